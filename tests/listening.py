"""An application behind a real socket, in a thread of this process, and a client of few words."""

import re
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import uvicorn
from starlette.types import ASGIApp

_SECONDS_MAX = 30.0


@contextmanager
def listening(app: ASGIApp, **settings: Any) -> Iterator[str]:
    """Serve an application on a free port for the time of the block; its URL.

    `settings` are uvicorn's. Requests that come before the server has started wait.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(app, log_config=None, ws="none", **settings)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


@dataclass(frozen=True, slots=True)
class Heard:
    """An answer as it came over the wire."""

    status: int
    reason: str
    headers: Mapping[str, str]
    body: bytes


class Connection:
    """One connection, on which bytes are sent as they are given."""

    def __init__(self, url: str) -> None:
        host, _, port = url.partition("://")[2].partition(":")
        self._socket = socket.create_connection((host, int(port)), timeout=_SECONDS_MAX)
        self._received = b""

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, *parts: bytes) -> None:
        """Send these bytes."""
        for part in parts:
            self._socket.sendall(part)

    def request(self, line: str, body: bytes = b"", **headers: str) -> None:
        """Send a request, its Host among the headers, and its Content-Length if it has a body.

        (Where one is expected, also if it is empty.)
        """
        named = {"Host": "index.example"}
        if body or not line.startswith(("GET ", "HEAD ")):
            named["Content-Length"] = str(len(body))
        named |= {name.replace("_", "-"): value for name, value in headers.items()}
        head = "".join(f"{name}: {value}\r\n" for name, value in named.items())
        self.send(f"{line} HTTP/1.1\r\n{head}\r\n".encode("latin-1"), body)

    def hear(self, *, of_head: bool = False) -> Heard:
        """Wait for the next answer. `of_head`: its body is left out."""
        head = self._until(b"\r\n\r\n")
        status_line, *lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
        match = re.fullmatch(r"HTTP/1\.1 (\d{3}) (.*)", status_line)
        assert match is not None, status_line
        headers = {name.lower(): value for name, _, value in (x.partition(": ") for x in lines)}
        length = 0 if of_head else int(headers.get("content-length", "0"))
        return Heard(int(match[1]), match[2], headers, self._take(length))

    def hear_the_end(self) -> bytes:
        """Wait until the server hangs up; what it said before."""
        with suppress(ConnectionResetError):
            while more := self._socket.recv(1 << 16):
                self._received += more
        return self._take(len(self._received))

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._received:
            self._more()
        return self._take(self._received.index(mark) + len(mark))

    def _take(self, size: int) -> bytes:
        while len(self._received) < size:
            self._more()
        taken, self._received = self._received[:size], self._received[size:]
        return taken

    def _more(self) -> None:
        more = self._socket.recv(1 << 16)
        assert more, f"the server hung up after {self._received!r}"
        self._received += more
