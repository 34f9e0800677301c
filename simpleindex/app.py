"""Puts the parts together. Nothing is opened, read or listened to before the first request."""

import asyncio
import hmac
import logging
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime

from starlette.types import Receive, Scope, Send

from simpleindex.access import Authenticator, Logins, Rules
from simpleindex.config import Config, read_config
from simpleindex.counted import Counted
from simpleindex.hot import Agreed, HotAnswers
from simpleindex.initialise import PASSWORD_FILE, SECRET_FILE, initialise, read_secret
from simpleindex.learning import Learner, sightings_of
from simpleindex.limits import FailureLimits
from simpleindex.mirror.forgetting import forget_gone_if_possible
from simpleindex.mirror.opening import Mirroring, open_mirroring
from simpleindex.observing import AccessLog, Observer
from simpleindex.rendered import RenderedPages
from simpleindex.routes.asking import in_thread
from simpleindex.routes.attachments import AttachmentsDoor
from simpleindex.routes.devpi import DevpiDoor
from simpleindex.routes.documents import DocumentsDoor
from simpleindex.routes.doorkeeper import Doorkeeper
from simpleindex.routes.files import FilesDoor
from simpleindex.routes.front import Front
from simpleindex.routes.handing_over import HandingOver
from simpleindex.routes.health import HealthDoor
from simpleindex.routes.indexes import IndexesDoor
from simpleindex.routes.marks import MarksDoor
from simpleindex.routes.metrics import MetricsDoor
from simpleindex.routes.push import PushDoor
from simpleindex.routes.readers import Readers
from simpleindex.routes.releases import ReleasesDoor
from simpleindex.routes.seen import Seen
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
    config: Config | None = None,
    now: Callable[[], datetime] = utc_now,
    access_log: AccessLog | None = None,
) -> "Application":
    """An ASGI application that serves one server directory; it may be mounted in another.

    Below a mount, hosts do not run a lifespan, so the directory is opened at the first request,
    and made if it is not there yet. `open` does it sooner, `close` lets go of it. `access_log`
    hears of each request once it is over, if the settings want one.
    """
    return Application(config or read_config({}, {}), now, access_log)


@dataclass(slots=True)
class _Server:
    """What runs the application, as far as the application tells of it."""

    started_at: datetime
    access_log: AccessLog | None
    open_connections: Callable[[], int] | None = None

    def connections(self) -> int | None:
        """How many clients are connected; None where nobody knows."""
        return None if self.open_connections is None else self.open_connections()


class Application:
    """The index as an ASGI application."""

    def __init__(
        self, config: Config, now: Callable[[], datetime], access_log: AccessLog | None
    ) -> None:
        self._config = config
        self._now = now
        self._server = _Server(now(), access_log)
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
        self._opened = _open(self._config, self._server, self._now)

    def count_connections(self, count: Callable[[], int]) -> None:
        """Let `/-/metrics` tell how many clients are connected."""
        self._server.open_connections = count

    def hot(self) -> HotAnswers | None:
        """Whole answers that hold at this moment; None while nothing is open."""
        return None if self._opened is None else self._opened.hot

    def refused(self, reason: str) -> None:
        """Count what was refused before it was a request, by the protocol's word for it."""
        if self._opened is not None:
            self._opened.observer.counted.told(reason)

    def close(self) -> None:
        """Finish what is being written, and let go of the directory."""
        if self._opened is not None:
            self._opened.close()
        self._opened = None

    async def reload(self, config: Config) -> None:
        """Answer as these settings say from now on; requests under way end as they began.

        The server directory stays the same. Raises Refused, Unavailable; then nothing changes.
        """
        opened = await in_thread(lambda: _open(config, self._server, self._now))
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
                # A stop ends the waiting for it, not the work itself: `retire` waits for that.
                await asyncio.shield(self._opened.keep_up())
            await asyncio.sleep(_UPKEEP_SECONDS)


class _Opened:
    """A server directory that is open, and the doors to what is in it."""

    def __init__(
        self, parts: "_Parts", front: Front, observer: Observer, to_close: ExitStack
    ) -> None:
        self.store = parts.store
        self.front = front
        self.observer = observer
        self.hot = HotAnswers(
            parts.config.page_memory_bytes // 2, parts.agreed, observer, parts.config.trusted_proxy
        )
        self._parts = parts
        self._seen = Seen(front, observer)
        self._to_close = to_close
        self._inside = 0
        self._is_left = asyncio.Event()

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        self._inside += 1
        try:
            await self._seen(scope, receive, send)
        finally:
            self._leave()

    async def keep_up(self) -> None:
        """Do what has to be done at the start and once a day. Whatever fails is told in the log."""
        self._inside += 1
        try:
            await in_thread(self._keep_up)
        except Exception:
            _log.exception("the daily upkeep failed")
        finally:
            self._leave()

    async def retire(self) -> None:
        """Close, once the last request is answered and the upkeep done. No more must come."""
        while self._inside:
            self._is_left.clear()
            await self._is_left.wait()
        await self._parts.mirroring.stop()
        self.hot.count()  # here: the access log goes on for another one, and hears this loop alone
        await in_thread(self.close)

    def close(self) -> None:
        """Finish what is being written, and let go of the directory."""
        self.hot.count()
        self._to_close.close()

    def _leave(self) -> None:
        self._inside -= 1
        if not self._inside:
            self._is_left.set()

    def _keep_up(self) -> None:
        parts = self._parts
        forget_gone_if_possible(parts.mirroring.cache, parts.store.catalog)
        try:
            trim_log(
                parts.config.serverdir, parts.store.catalog, parts.config.log_days, parts.now()
            )
        except StoreError as error:
            _log.error("the audit log was not trimmed: %s", error)


def _open(config: Config, server: _Server, now: Callable[[], datetime]) -> _Opened:
    root = config.serverdir
    with ExitStack() as opened:
        store = open_store(root, now)
        opened.callback(store.close)
        secret = read_secret(config.secretfile or root / SECRET_FILE)
        counted = Counted(root / "counters")
        opened.callback(counted.close)
        mirroring = open_mirroring(config, store.catalog, store.catalog.uuid, now, counted.count)
        opened.callback(mirroring.cache.close)
        mirroring.cache.tidy_if_possible()
        notes = open_login_notes(root)
        opened.callback(notes.close)
        limits = FailureLimits(notes, time.time, hmac.digest(secret, _FAILURES_KEY, "sha256"))
        logins = Logins(secret, config.login_seconds, now)
        authenticator = Authenticator(store.catalog, logins, limits, count=counted.count)
        doorkeeper = Doorkeeper(authenticator, config.trusted_proxy)
        agreed = _agreed_by(store, mirroring)
        parts = _Parts(config, server, store, mirroring, doorkeeper, counted, now, agreed)
        access_log = server.access_log if config.access_log else None
        learner = None
        if config.learn:
            learner = Learner(sightings_of(root), now)
            opened.callback(learner.close)
        observer = Observer(counted, access_log, config.trusted_proxy, learner)
        return _Opened(parts, _join(parts), observer, opened.pop_all())


@dataclass(frozen=True, slots=True)
class _Parts:
    """What doors are made of."""

    config: Config
    server: _Server
    store: Store
    mirroring: Mirroring
    doorkeeper: Doorkeeper
    counted: Counted
    now: Callable[[], datetime]
    agreed: Agreed


def _agreed_by(store: Store, mirroring: Mirroring) -> Agreed:
    # Asked at each request: what leads there is looked up once.
    stored_serial, kept_serial = store.catalog.agreed_serial, mirroring.cache.agreed_serial

    def agreed() -> tuple[int, int] | None:
        stored, kept = stored_serial(), kept_serial()
        return None if stored is None or kept is None else (stored, kept)

    return agreed


def _join(parts: _Parts) -> Front:
    config, server, store, now = parts.config, parts.server, parts.store, parts.now
    mirroring, doorkeeper, counted = parts.mirroring, parts.doorkeeper, parts.counted
    catalog = store.catalog
    rules = Rules(config.restrict_modify)
    mirrored = mirroring.mirrored
    readers = Readers(catalog, doorkeeper, rules, mirroring.pages)
    return Front(
        catalog=catalog,
        agreed=parts.agreed,
        simple=SimpleDoor(
            catalog,
            mirrored,
            mirroring.lists,
            readers,
            RenderedPages(config.page_memory_bytes // 2),
            parts.agreed,
            now,
            config.outside_url,
            config.trusted_proxy,
            counted.count,
        ),
        files=FilesDoor(store, mirroring.files, readers, HandingOver.of(config)),
        upload=UploadDoor(store, doorkeeper, rules, config.upload_bytes_max, now, counted.count),
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
        health=HealthDoor(store, config.serverdir),
        metrics=MetricsDoor(
            counted=counted,
            catalog=catalog,
            serverdir=config.serverdir,
            doorkeeper=doorkeeper,
            readers=config.metrics_from,
            trusted_proxies=config.trusted_proxy,
            started_at=server.started_at,
            open_connections=server.connections,
        ),
        counted=counted,
    )
