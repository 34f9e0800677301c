"""Puts the parts together. Nothing is opened, read or listened to before the first request."""

import asyncio
from collections.abc import Callable
from datetime import datetime

from starlette.types import ASGIApp, Receive, Scope, Send

from simpleindex.access import Authenticator, Logins, Rules
from simpleindex.config import Config, read_config
from simpleindex.initialise import PASSWORD_FILE, SECRET_FILE, initialise, read_secret
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
from simpleindex_storage.opening import FolderState, open_store, state_of, utc_now
from simpleindex_storage.store import Store


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
        self._store: Store | None = None
        self._mirroring: Mirroring | None = None
        self._front: ASGIApp | None = None
        self._opening = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or follow the server's lifespan."""
        if scope["type"] == "lifespan":
            await self._follow_lifespan(receive, send)
        elif scope["type"] == "http":
            front = self._front
            if front is None:
                async with self._opening:
                    if self._front is None:
                        await in_thread(self.open)
                    front = self._front
            assert front is not None
            await front(scope, receive, send)

    def open(self) -> None:
        """Open the server directory. Raises Refused, Unavailable."""
        root = self._config.serverdir
        if state_of(root) is FolderState.EMPTY:
            initialise(root, self._now())
        self._store = open_store(root, self._now)
        try:
            secret = read_secret(self._config.secretfile or root / SECRET_FILE)
            hop = self._store.catalog.uuid
            self._mirroring = open_mirroring(self._config, self._store.catalog, hop, self._now)
            self._mirroring.cache.tidy_if_possible()
            self._front = _join(self._config, self._store, self._mirroring, secret, self._now)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Finish what is being written, and let go of the directory."""
        if self._mirroring is not None:
            self._mirroring.cache.close()
        if self._store is not None:
            self._store.close()
        self._store = self._mirroring = self._front = None

    async def _follow_lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                if self._mirroring is not None:
                    await self._mirroring.stop()
                await in_thread(self.close)
                await send({"type": "lifespan.shutdown.complete"})
                return


def _join(
    config: Config,
    store: Store,
    mirroring: Mirroring,
    secret: bytes,
    now: Callable[[], datetime],
) -> Front:
    catalog = store.catalog
    logins = Logins(secret, config.login_seconds, now)
    doorkeeper = Doorkeeper(Authenticator(catalog, logins), config.trusted_proxy)
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
        push=PushDoor(store, mirrored, mirroring.files, readers, doorkeeper, rules, now),
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
