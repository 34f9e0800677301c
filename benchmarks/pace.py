"""Asks a server for pages at a steady pace, whatever it does, and says how long each took.

A request is due at a moment that no answer changes: where an answer is late, those that had to wait
behind it are late, too, and count as that. (A client that waits for an answer before it asks on
hides every stall but one.) It runs as a process of its own, and before others where it may, so
that what else the load does is not taken for the server's delay:

    python -m benchmarks.pace PORT '{"paths": [...], "headers": {...}, "seconds": 10, ...}'

prints the seconds of each answer, and how late it was itself, as JSON.
"""

import dataclasses
import json
import os
import selectors
import socket
import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.processes import PeerFailed, pinned, run_to_end

_READ_BYTES = 1 << 16
_PRIORITY = 10
_ENDING_SECONDS_MAX = 30.0


@dataclass(frozen=True, slots=True)
class Pace:
    """What is asked for, how often a second in all, on how many connections, and for how long."""

    port: int
    paths: Sequence[str]
    headers: Mapping[str, str]
    per_second: float
    connections: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Paced:
    """What came of it. Seconds, in the order of the answers."""

    answers: list[float]
    """From the moment at which each request was due to its last byte."""
    own_delays: list[float]
    """How much later than it could have this program sent each request."""


def run_paced(pace: Pace, core: int | None) -> Paced:
    """Ask at this pace, in a process of its own. Raises PeerFailed."""
    command = [sys.executable, "-m", "benchmarks.pace", json.dumps(dataclasses.asdict(pace))]
    printed = run_to_end(pinned(command, core), seconds_max=pace.seconds + _ENDING_SECONDS_MAX)
    return Paced(**json.loads(printed))


def ask_paced(pace: Pace) -> Paced:
    """Ask at this pace. Raises PeerFailed where an answer is not 200, or does not come."""
    paced = Paced([], [])
    with selectors.DefaultSelector() as selector:
        lines = [_Line(selector, pace, paced) for _ in range(pace.connections)]
        try:
            _keep_pace(selector, pace, lines)
        finally:
            for line in lines:
                line.close()
    return paced


def _keep_pace(selector: selectors.BaseSelector, pace: Pace, lines: Sequence["_Line"]) -> None:
    count = round(pace.per_second * pace.seconds)
    began = time.perf_counter()
    gave_up = began + pace.seconds + _ENDING_SECONDS_MAX
    sent = 0
    while sent < count or any(line.is_busy for line in lines):
        now = time.perf_counter()
        if now > gave_up:
            raise PeerFailed(f"answers are missing {_ENDING_SECONDS_MAX:.0f} s after the last")
        while sent < count and (due := began + sent / pace.per_second) <= now:
            lines[sent % len(lines)].ask(pace.paths[sent % len(pace.paths)], due)
            sent += 1
        next_due = began + sent / pace.per_second if sent < count else gave_up
        for key, _ in selector.select(max(0.0, next_due - time.perf_counter())):
            key.data.receive()


@dataclass(slots=True)
class _Line:
    """A connection, and the requests that are due on it: one is answered at a time."""

    selector: selectors.BaseSelector
    pace: Pace
    paced: Paced
    _socket: socket.socket = field(init=False)
    _waiting: deque[tuple[str, float]] = field(default_factory=deque)
    _due: float | None = None
    _received: bytearray = field(default_factory=bytearray)

    def __post_init__(self) -> None:
        self._connect()

    @property
    def is_busy(self) -> bool:
        return self._due is not None

    def ask(self, path: str, due: float) -> None:
        """Send a request, or let it wait until the line is free."""
        if self.is_busy:
            self._waiting.append((path, due))
        else:
            self._send(path, due, could_send_at=due)

    def receive(self) -> None:
        """Take what has come; an answer that is whole is timed, and the next request sent."""
        received = self._socket.recv(_READ_BYTES)
        now = time.perf_counter()
        if not received and self.is_busy:
            raise PeerFailed("the connection was closed before the answer was whole")
        self._received += received
        if self._due is not None:
            if not _is_whole(self._received):
                return
            if not self._received.startswith(b"HTTP/1.1 200"):
                raise PeerFailed(f"an answer was {bytes(self._received[:60])!r}")
            self.paced.answers.append(now - self._due)
            self._due = None
        if not received or b"connection: close" in _head(self._received):
            self.close()
            self._connect()
        self._received.clear()
        if self._waiting:
            path, due = self._waiting.popleft()
            self._send(path, due, could_send_at=now)

    def close(self) -> None:
        self.selector.unregister(self._socket)
        self._socket.close()

    def _connect(self) -> None:
        self._socket = socket.create_connection(("127.0.0.1", self.pace.port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.selector.register(self._socket, selectors.EVENT_READ, self)

    def _send(self, path: str, due: float, *, could_send_at: float) -> None:
        self._due = due
        lines = [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{self.pace.port}"]
        lines += [f"{name}: {value}" for name, value in self.pace.headers.items()]
        request = "\r\n".join([*lines, "", ""]).encode()
        self.paced.own_delays.append(time.perf_counter() - could_send_at)
        self._socket.sendall(request)


def _is_whole(received: bytearray) -> bool:
    """Whether head and body are there; a body has a length, or comes in chunks."""
    _, found, body = received.partition(b"\r\n\r\n")
    if not found:
        return False
    for line in _head(received).split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return len(body) >= int(line.partition(b":")[2])
        if line.startswith(b"transfer-encoding:"):
            return body.endswith(b"0\r\n\r\n")
    raise PeerFailed("an answer has neither length nor chunks")


def _head(received: bytearray) -> bytes:
    """In lower case."""
    return bytes(received.partition(b"\r\n\r\n")[0]).lower()


def _go_first() -> None:
    """Before all others of this core, where that is allowed."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(_PRIORITY))
    except (AttributeError, OSError):
        return


def main(argv: Sequence[str] | None = None) -> int:
    """Ask as the first argument says, and print what came of it."""
    (told,) = sys.argv[1:] if argv is None else argv
    _go_first()
    print(json.dumps(dataclasses.asdict(ask_paced(Pace(**json.loads(told))))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
