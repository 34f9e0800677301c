"""Puts the parts together. Nothing is opened, read or listened to before the first request."""

import asyncio
import hmac
import logging
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime

from starlette.types import Receive, Scope, Send

from simpleindex.access import Authenticator, Logins, Rules
from simpleindex.config import Config, read_config
from simpleindex.initialise import PASSWORD_FILE, SECRET_FILE, initialise, read_secret
from simpleindex.limits import FailureLimits
from simpleindex.mirror.opening import Mirroring, open_mirroring
from simpleindex.rendered import RenderedPages
from simpleindex.routes.asking import in_thread
from simpleindex.routes.attachments import AttachmentsDoor
from simpleindex.routes.devpi import DevpiDoor
from simpleindex.routes.documents import DocumentsDoor
from simpleindex.routes.doorkeeper import Doorkeeper
from simpleindex.routes.files import FilesDoor
from simpleindex.routes.front import Front
from simpleindex.routes.indexes import IndexesDoor
from simpleindex.routes.marks import MarksDoor
from simpleindex.routes.push import PushDoor
from simpleindex.routes.readers import Readers
from simpleindex.routes.releases import ReleasesDoor
from simpleindex.routes.simple import SimpleDoor
from simpleindex.routes.tokens import TokensDoor
from simpleindex.routes.upload import UploadDoor
from simpleindex.routes.users import UsersDoor
from simpleindex.routes.web import WebDoor
from simpleindex_storage.errors import StoreError
from simpleindex_storage.log_retention import trim_log
from simpleindex_storage.opening import (
    FolderState,
    open_login_notes,
    open_store,
    state_of,
    utc_now,
)
from simpleindex_storage.store import Store

_log = logging.getLogger("simpleindex")

_FAILURES_KEY = b"simpleindex failed logins"
_UPKEEP_SECONDS = 86_400.0


def create_app(
    config: Config | None = None, now: Callable[[], datetime] = utc_now
) -> "Application":
    """An ASGI application that serves one server directory; it may be mounted in another.

    Below a mount, hosts do not run a lifespan, so the directory is opened at the first request,
    and made if it is not there yet. `open` does it sooner, `close` lets go of it.
    """
    return Application(config or read_config({}, {}), now)


class Application:
    """The index as an ASGI application."""

    def __init__(self, config: Config, now: Callable[[], datetime]) -> None:
        self._config = config
        self._now = now
        self._opened: _Opened | None = None
        self._opening = asyncio.Lock()
        self._retiring: set[asyncio.Task[None]] = set()
        """What was opened with other settings, and still answers requests."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or follow the server's lifespan."""
        if scope["type"] == "lifespan":
            await self._follow_lifespan(receive, send)
        elif scope["type"] == "http":
            if self._opened is None:
                async with self._opening:
                    if self._opened is None:
                        await in_thread(self.open)
            assert self._opened is not None
            await self._opened.answer(scope, receive, send)

    def open(self) -> None:
        """Open the server directory. Raises Refused, Unavailable."""
        root = self._config.serverdir
        if state_of(root) is FolderState.EMPTY:
            initialise(root, self._now())
        self._opened = _open(self._config, self._now)

    def close(self) -> None:
        """Finish what is being written, and let go of the directory."""
        if self._opened is not None:
            self._opened.close()
        self._opened = None

    async def reload(self, config: Config) -> None:
        """Answer as these settings say from now on; requests under way end as they began.

        The server directory stays the same. Raises Refused, Unavailable; then nothing changes.
        """
        opened = await in_thread(lambda: _open(config, self._now))
        before, self._opened, self._config = self._opened, opened, config
        if before is not None:
            retiring = asyncio.create_task(before.retire())
            self._retiring.add(retiring)
            retiring.add_done_callback(self._retiring.discard)

    async def _follow_lifespan(self, receive: Receive, send: Send) -> None:
        upkeep = asyncio.create_task(self._keep_up())
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                upkeep.cancel()
                await asyncio.wait([upkeep])
                await asyncio.gather(*self._retiring)
                if self._opened is not None:
                    await self._opened.retire()
                self._opened = None
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _keep_up(self) -> None:
        """What has to be done once a day, beside everything else."""
        while True:
            if self._opened is not None:
                await in_thread(self._opened.keep_up)
            await asyncio.sleep(_UPKEEP_SECONDS)


class _Opened:
    """A server directory that is open, and the doors to what is in it."""

    def __init__(
        self,
        store: Store,
        mirroring: Mirroring,
        front: Front,
        keep_up: Callable[[], None],
        to_close: ExitStack,
    ) -> None:
        """`keep_up` does what has to be done once a day, and blocks."""
        self.store = store
        self.mirroring = mirroring
        self.front = front
        self.keep_up = keep_up
        self._to_close = to_close
        self._inside = 0
        self._is_left = asyncio.Event()

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        self._inside += 1
        try:
            await self.front(scope, receive, send)
        finally:
            self._inside -= 1
            if not self._inside:
                self._is_left.set()

    async def retire(self) -> None:
        """Close, once the last request is answered. No more must come."""
        while self._inside:
            self._is_left.clear()
            await self._is_left.wait()
        await self.mirroring.stop()
        await in_thread(self.close)

    def close(self) -> None:
        """Finish what is being written, and let go of the directory."""
        self._to_close.close()


def _open(config: Config, now: Callable[[], datetime]) -> _Opened:
    root = config.serverdir
    with ExitStack() as opened:
        store = open_store(root, now)
        opened.callback(store.close)
        secret = read_secret(config.secretfile or root / SECRET_FILE)
        mirroring = open_mirroring(config, store.catalog, store.catalog.uuid, now)
        opened.callback(mirroring.cache.close)
        mirroring.cache.tidy_if_possible()
        notes = open_login_notes(root)
        opened.callback(notes.close)
        limits = FailureLimits(notes, time.time, hmac.digest(secret, _FAILURES_KEY, "sha256"))
        logins = Logins(secret, config.login_seconds, now)
        doorkeeper = Doorkeeper(Authenticator(store.catalog, logins, limits), config.trusted_proxy)
        front = _join(config, store, mirroring, doorkeeper, now)

        def keep_up() -> None:
            try:
                trim_log(root, store.catalog, config.log_days, now())
            except StoreError as error:
                _log.error("the audit log was not trimmed: %s", error)

        return _Opened(store, mirroring, front, keep_up, opened.pop_all())


def _join(
    config: Config,
    store: Store,
    mirroring: Mirroring,
    doorkeeper: Doorkeeper,
    now: Callable[[], datetime],
) -> Front:
    catalog = store.catalog
    rules = Rules(config.restrict_modify)
    mirrored = mirroring.mirrored
    readers = Readers(catalog, doorkeeper, rules, mirroring.pages)
    return Front(
        catalog=catalog,
        simple=SimpleDoor(
            catalog,
            mirrored,
            mirroring.lists,
            readers,
            RenderedPages(config.page_memory_bytes),
            now,
            config.outside_url,
            config.trusted_proxy,
        ),
        files=FilesDoor(store, mirroring.files, readers),
        upload=UploadDoor(store, doorkeeper, rules, config.upload_bytes_max, now),
        push=PushDoor(
            store,
            mirrored,
            mirroring.files,
            readers,
            doorkeeper,
            rules,
            mirroring.addresses,
            now,
        ),
        attachments=AttachmentsDoor(store, doorkeeper, readers, rules, now),
        devpi=DevpiDoor(
            catalog, mirrored, doorkeeper, rules, config.outside_url, config.trusted_proxy
        ),
        users=UsersDoor(
            store, mirroring.cache, doorkeeper, rules, now, config.serverdir / PASSWORD_FILE
        ),
        indexes=IndexesDoor(store, mirroring.cache, doorkeeper, rules),
        releases=ReleasesDoor(
            store,
            mirrored,
            mirroring.pages,
            doorkeeper,
            readers,
            rules,
            config.outside_url,
            config.trusted_proxy,
        ),
        marks=MarksDoor(catalog, doorkeeper, rules),
        documents=DocumentsDoor(
            catalog, mirrored, readers, config.outside_url, config.trusted_proxy
        ),
        tokens=TokensDoor(catalog, doorkeeper, rules, now),
        web=WebDoor(catalog, readers, config.outside_url, config.trusted_proxy),
    )
