"""Around all doors: sees each request come in and its answer go out, and takes note of it."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from simpleindex.events import CLIENT_GONE, Answered, Door
from simpleindex.observing import Observer
from simpleindex.wire.locations import (
    FileAt,
    HealthAt,
    IndexAt,
    JsonAt,
    ListAt,
    Location,
    Login,
    MetricsAt,
    PageAt,
    PagesAt,
    ProjectAt,
    SearchAt,
    UploadAt,
)
from simpleindex.wire.origin import client_address
from simpleindex_storage.model import Sidecar

_KEY = "simpleindex.asked"


@dataclass(slots=True)
class Asked:
    """What comes to light about a request while it is answered."""

    door: Door = Door.OTHER
    user: str | None = None


class Seen:
    """An ASGI application with somebody who watches it."""

    def __init__(self, app: ASGIApp, observer: Observer) -> None:
        self.app = app
        self._observer = observer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, and take note of it however it ends."""
        begun = time.perf_counter()
        asked = scope[_KEY] = Asked()
        exchange = _Exchange(receive, send, has_body=scope["method"] != "HEAD")
        self._observer.began()
        try:
            await self.app(scope, exchange.receive, exchange.send)
        except BaseException:
            exchange.status = exchange.status or 500  # which is what the server will say
            raise
        finally:
            status = exchange.status or CLIENT_GONE
            seconds = time.perf_counter() - begun
            self._observer.note(self._answered(scope, asked, exchange, status, seconds))

    def _answered(
        self, scope: Scope, asked: Asked, exchange: "_Exchange", status: int, seconds: float
    ) -> Answered:
        method = scope["method"]
        counts = (asked.door, method, status, seconds, exchange.received_bytes, exchange.sent_bytes)
        if not self._observer.is_logging:
            return Answered(*counts)
        return Answered(
            *counts,
            scope.get("raw_path") or scope["path"].encode("utf-8", "backslashreplace"),
            scope["http_version"],
            _address(scope, self._observer.trusted_proxies),
            asked.user,
            next((value for name, value in scope["headers"] if name == b"user-agent"), None),
        )


class _Exchange:
    """What goes to and fro for one request."""

    __slots__ = ("_has_body", "_receive", "_send", "received_bytes", "sent_bytes", "status")

    def __init__(self, receive: Receive, send: Send, *, has_body: bool) -> None:
        self.status = 0
        self.received_bytes = 0
        self.sent_bytes = 0
        self._receive = receive
        self._send = send
        self._has_body = has_body

    async def receive(self) -> Message:
        message = await self._receive()
        self.received_bytes += len(message.get("body", b""))
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        elif self._has_body:
            self.sent_bytes += len(message.get("body", b""))
        await self._send(message)


def asked_in(scope: Scope) -> Asked:
    """What has come to light about a request; may be added to."""
    asked: Asked = scope.setdefault(_KEY, Asked())
    return asked


def usual_door(location: Location | None, method: str) -> Door:
    """Which door answers at a URL, unless the front finds a reason for another one."""
    if location is None:
        return Door.OTHER
    if method in ("GET", "HEAD"):
        if isinstance(location, FileAt) and location.sidecar is Sidecar.METADATA:
            return Door.METADATA
        return _READING.get(type(location), Door.DEVPI)
    if method == "POST":
        return _POSTING.get(type(location), Door.DEVPI)
    return Door.PUSH if method == "PUSH" else Door.DEVPI


_READING: Mapping[type[Location], Door] = {
    IndexAt: Door.LIST,
    ListAt: Door.LIST,
    ProjectAt: Door.PAGE,
    PageAt: Door.PAGE,
    FileAt: Door.FILE,
    JsonAt: Door.JSON,
    SearchAt: Door.SEARCH,
    PagesAt: Door.WEB,
    HealthAt: Door.SERVER,
    MetricsAt: Door.SERVER,
}
_POSTING: Mapping[type[Location], Door] = {
    Login: Door.LOGIN,
    IndexAt: Door.UPLOAD,
    ListAt: Door.UPLOAD,
    UploadAt: Door.UPLOAD,
    FileAt: Door.UPLOAD,
}


def _address(scope: Scope, trusted: tuple[str, ...]) -> str | None:
    client = scope.get("client")
    address = client[0] if client else None
    values = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
    return client_address(address, b",".join(values).decode("latin-1"), trusted)
