"""One client's connection: asks, takes the time, and looks at what every answer must have."""

import socket
import struct
import time
from array import array
from base64 import b64encode
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPMessage

from tests.soak.model import WrongAnswer

ANSWER_SECONDS_MAX = 60.0


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, read whole."""

    status: int
    headers: HTTPMessage
    body: bytes

    @property
    def content_type(self) -> str:
        return self.headers.get("Content-Type", "")

    @property
    def etag(self) -> str:
        return self.headers.get("ETag", "")


@dataclass(slots=True)
class Ledger:
    """What one client has seen."""

    seconds: defaultdict[str, "array[float]"] = field(
        default_factory=lambda: defaultdict(lambda: array("d"))
    )
    """How long each request took, by kind."""
    errors: list[tuple[str, str]] = field(default_factory=list)
    """Kind of request, and what was wrong."""


class Session:
    """A connection that is kept; whoever breaks it gets a new one with the next request."""

    def __init__(self, port: int, ledger: Ledger) -> None:
        self.ledger = ledger
        self.port = port
        self.serial = 0
        """The last change that the server has told this client of."""
        self._connection = self.another_connection()

    def ask(
        self,
        kind: str,
        path: str,
        headers: Mapping[str, str] = {},
        *,
        method: str = "GET",
        body: bytes | None = None,
        expected: Collection[int] = (200,),
    ) -> Answer:
        """Ask, and take the time. Raises WrongAnswer for another status than the expected."""
        with self.timed(kind):
            self._connection.request(method, path, body, headers)
            with self._connection.getresponse() as response:
                answer = Answer(response.status, response.headers, response.read())
        if answer.status not in expected:
            raise WrongAnswer(f"{method} {path}: {answer.status} {answer.body[:300]!r}")
        self._check_serial(answer)
        return answer

    @contextmanager
    def timed(self, kind: str) -> Iterator[None]:
        """Take the time of a request, unless it fails."""
        begun = time.perf_counter()
        yield
        self.ledger.seconds[kind].append(time.perf_counter() - begun)

    def hang_up(self) -> None:
        """Close the connection; the next request opens another one."""
        self._connection.close()

    def another_connection(self) -> HTTPConnection:
        """One that can be spoiled."""
        return HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_SECONDS_MAX)

    def _check_serial(self, answer: Answer) -> None:
        serial = int(answer.headers.get("X-Devpi-Serial", "-1"))
        if serial < self.serial:
            raise WrongAnswer(f"the serial went back from {self.serial} to {serial}")
        self.serial = serial


def basic(user: str, password: str) -> dict[str, str]:
    """The header by which twine and pip log in."""
    return {"Authorization": f"Basic {_joined(user, password)}"}


def by_token(user: str, token: str) -> dict[str, str]:
    """The header by which devpi-client shows its login."""
    return {"X-Devpi-Auth": _joined(user, token)}


def break_off(connection: HTTPConnection, *, rudely: bool) -> None:
    """Hang up, `rudely` as a host does that lost its power and comes up again: with a reset."""
    if rudely and connection.sock is not None:
        linger = struct.pack("ii", 1, 0)
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    connection.close()


def _joined(user: str, secret: str) -> str:
    return b64encode(f"{user}:{secret}".encode()).decode()
