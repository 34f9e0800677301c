"""Around all doors: sees each request come in and its answer go out, and takes note of it."""

from asyncio import CancelledError
from collections.abc import Iterable, Mapping
from time import perf_counter

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from simpleindex.config import Network
from simpleindex.events import CLIENT_GONE, Answered, Door
from simpleindex.hot import RECORDING_KEY, Recording, Standing
from simpleindex.observing import Learner, Observer
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
from simpleindex.wire.origin import nearest_stranger
from simpleindex_storage.model import Sidecar

_KEY = "simpleindex.asked"
_LENGTH = b"content-length"
# Members of an enumeration take their time to be looked up.
_OTHER, _DEVPI, _FILE, _PAGE = Door.OTHER, Door.DEVPI, Door.FILE, Door.PAGE
_FOUND = frozenset({200, 304})
_NOT_FOUND = 404


class Asked:
    """A request on its way through the doors: what comes to light about it, what goes to and fro.

    No dataclass, and one object for all: this is done for every request.
    """

    __slots__ = (
        "_headers", "_receive", "_send", "door", "received_bytes", "sent_bytes", "status", "user",
    )  # fmt: skip

    def __init__(self, receive: Receive, send: Send) -> None:
        self.door = _OTHER
        self.user: str | None = None
        self.status = 0
        self.received_bytes = 0
        self.sent_bytes = 0
        self._headers: Iterable[tuple[bytes, bytes]] = ()
        """Of the answer."""
        self._receive = receive
        self._send = send

    async def receive(self) -> Message:
        """The next message of the client's."""
        message = await self._receive()
        if "body" in message:
            self.received_bytes += len(message["body"])
        return message

    async def send(self, message: Message) -> None:
        """Send a message to the client."""
        if "body" in message:
            self.sent_bytes += len(message["body"])
        elif "status" in message:
            self.status = message["status"]
            self._headers = message.get("headers", ())
        else:  # the server sends a file by its path
            self.sent_bytes = next(int(value) for name, value in self._headers if name == _LENGTH)
        await self._send(message)


class Seen:
    """An ASGI application with somebody who watches it."""

    def __init__(self, app: ASGIApp, observer: Observer) -> None:
        self.app = app
        self._observer = observer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, and take note of it however it ends."""
        begun = perf_counter()
        asked = scope[_KEY] = Asked(receive, send)
        self._observer.began()
        try:
            await self.app(scope, asked.receive, asked.send)
        except CancelledError:
            asked.status = asked.status or 503  # the server stops, and has refused it
            raise
        except BaseException:
            asked.status = asked.status or 500  # which is what the server will say
            raise
        finally:
            answered = self._answered(scope, asked, perf_counter() - begun)
            self._observer.note(answered)
            if asked.door is _PAGE and self._observer.learner is not None:
                _teach(self._observer.learner, scope, asked.status)
            recording: Recording | None = scope.get(RECORDING_KEY)
            if recording is not None:
                recording.finish(answered)

    def _answered(self, scope: Scope, asked: Asked, seconds: float) -> Answered:
        method = scope["method"]
        status = asked.status or CLIENT_GONE
        sent_bytes = 0 if method == "HEAD" else asked.sent_bytes
        received_bytes = asked.received_bytes
        if not self._observer.is_logging:
            return Answered(asked.door, method, status, seconds, received_bytes, sent_bytes)
        return Answered(
            asked.door,
            method,
            status,
            seconds,
            received_bytes,
            sent_bytes,
            scope.get("raw_path") or scope["path"].encode("utf-8", "backslashreplace"),
            scope["http_version"],
            _address(scope, self._observer.trusted_proxies),
            asked.user,
            next((value for name, value in scope["headers"] if name == b"user-agent"), None),
        )


def _teach(learner: Learner, scope: Scope, status: int) -> None:
    """Let somebody learn from a request that asked for the page of a project, and got an answer."""
    is_found = status in _FOUND
    if scope["method"] != "GET" or not (is_found or status == _NOT_FOUND):
        return
    agent = next((value for name, value in scope["headers"] if name == b"user-agent"), None)
    if agent is not None:
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        learner.saw(agent, path, is_found=is_found)


def say_door(scope: Scope, door: Door) -> None:
    """Say which door answers."""
    asked = scope.get(_KEY)
    if asked is not None:  # else nobody counts
        asked.door = door


def say_user(scope: Scope, user: str | None) -> None:
    """Say who it is that asks."""
    asked = scope.get(_KEY)
    if asked is not None:
        asked.user = user


def say_standing(scope: Scope, standing: Standing) -> None:
    """Say how long the answer holds, for everybody who asks in the same words."""
    recording: Recording | None = scope.get(RECORDING_KEY)
    if recording is not None:
        recording.standing = standing


def say_agreed(scope: Scope, serials: tuple[int, int] | None) -> None:
    """Say what was agreed before anything was read for a request."""
    recording: Recording | None = scope.get(RECORDING_KEY)
    if recording is not None:
        recording.serials = serials


def usual_door(location: Location | None, method: str) -> Door:
    """Which door answers at a URL, unless the front finds a reason for another one."""
    if location is None:
        return _OTHER
    if method in ("GET", "HEAD"):
        door = _READING.get(type(location), _DEVPI)
        is_metadata = door is _FILE and getattr(location, "sidecar", None) is Sidecar.METADATA
        return Door.METADATA if is_metadata else door
    if method == "POST":
        return _POSTING.get(type(location), _DEVPI)
    return Door.PUSH if method == "PUSH" else _DEVPI


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


def _address(scope: Scope, trusted: tuple[Network, ...]) -> str | None:
    """The client's. Tools that read the log take addresses, and no words for whom nobody knows."""
    client = scope.get("client")
    values = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
    forwarded_for = b",".join(values).decode("latin-1")
    return nearest_stranger(client[0] if client else None, forwarded_for, trusted)
