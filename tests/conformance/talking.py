"""HTTP over TCP, with every header in our own hands, and bytes on a socket where that is needed."""

import contextlib
import json
import socket
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from io import BytesIO
from typing import Any, BinaryIO, TypeAlias, cast
from urllib.parse import urlsplit

V1_JSON = "application/vnd.pypi.simple.v1+json"
V1_HTML = "application/vnd.pypi.simple.v1+html"
HTML = "text/html"
FORMS = (HTML, V1_HTML, V1_JSON)

Headers: TypeAlias = Mapping[str, str] | Iterable[tuple[str, str]]

_SECONDS_MAX = 60.0


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server answered."""

    status: int
    reason: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    seconds: float = 0.0
    """From the first byte sent to the last received."""

    def header(self, name: str) -> str | None:
        """A header's value; the values of several, with commas between."""
        values = [value for known, value in self.headers if known.lower() == name.lower()]
        return ", ".join(values) if values else None

    def words(self, name: str) -> set[str]:
        """The elements of a header that is a list, in lower case."""
        return {word.strip().lower() for word in (self.header(name) or "").split(",")} - {""}

    @property
    def media_type(self) -> str:
        """Content-Type without its parameters."""
        return (self.header("content-type") or "").partition(";")[0].strip().lower()

    @property
    def text(self) -> str:
        return self.body.decode("utf-8")

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def connect(url: str) -> HTTPConnection:
    """A connection that is made when it is first used."""
    parts = urlsplit(url)
    make = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    return make(parts.hostname or "", parts.port, timeout=_SECONDS_MAX)


def ask(
    method: str, url: str, headers: Headers = (), body: bytes | Iterable[bytes] | None = None
) -> Reply:
    """One request on a connection of its own, with these headers and Host, and no others.

    A body in pieces is sent chunked. The URL has to be quoted as it is to arrive.
    """
    connection = connect(url)
    try:
        return ask_again(connection, method, url, headers, body)
    finally:
        connection.close()


def ask_again(
    connection: HTTPConnection,
    method: str,
    url: str,
    headers: Headers = (),
    body: bytes | Iterable[bytes] | None = None,
) -> Reply:
    """One request on a connection that is kept."""
    started = time.monotonic()
    pairs = list(headers.items() if isinstance(headers, Mapping) else headers)
    names = {name.lower() for name, _ in pairs}
    connection.putrequest(
        method, target_of(url), skip_host="host" in names, skip_accept_encoding=True
    )
    for name, value in pairs:
        connection.putheader(name, value)
    in_pieces = body is not None and not isinstance(body, bytes)
    if in_pieces:
        connection.putheader("Transfer-Encoding", "chunked")
    elif isinstance(body, bytes) and "content-length" not in names:
        connection.putheader("Content-Length", str(len(body)))
    # A refusal need not wait for the body; it lies there to be read all the same.
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        connection.endheaders(body, encode_chunked=in_pieces)
    return _read(connection.getresponse(), started)


def exchange(url: str, sent: bytes, *, ended: bool = False) -> bytes:
    """Send bytes as they are; all that comes until the server closes.

    `ended` closes our side after the last byte, as a client does that goes away.
    """
    connection = connect(url)
    connection.connect()
    with cast(socket.socket, connection.sock) as line:
        line.sendall(sent)
        if ended:
            line.shutdown(socket.SHUT_WR)
        received = bytearray()
        try:
            while piece := line.recv(1 << 16):
                received += piece
        except ConnectionResetError:
            pass
        return bytes(received)


def parsed(raw: bytes, method: str = "GET") -> Reply:
    """The first answer among bytes that came from a server."""
    response = HTTPResponse(cast(socket.socket, _Recorded(raw)), method=method)
    response.begin()
    return _read(response, time.monotonic())


def target_of(url: str) -> str:
    """What stands in the request line."""
    parts = urlsplit(url)
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def head_of(method: str, url: str, *lines: str, target: str | None = None) -> bytes:
    """The head of a request as bytes, with Host and `Connection: close`."""
    first = f"{method} {target_of(url) if target is None else target} HTTP/1.1"
    head = [first, f"Host: {urlsplit(url).netloc}", "Connection: close", *lines, "", ""]
    return "\r\n".join(head).encode("latin-1")


def _read(response: HTTPResponse, started: float) -> Reply:
    headers = tuple((name, value) for name, value in response.getheaders())
    body = response.read()
    seconds = time.monotonic() - started
    return Reply(response.status, response.reason, headers, body, seconds)


class _Recorded:
    """A socket from which these bytes come."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw

    def makefile(self, mode: str) -> BinaryIO:
        """What HTTPResponse reads from."""
        assert mode == "rb"
        return BytesIO(self._raw)
