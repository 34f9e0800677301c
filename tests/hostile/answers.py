"""A request to the hostile upstream, and an answer as it means to send it, faults and all."""

import mmap
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Protocol, TypeAlias

BEFORE_HEAD = -1
"""A place in an answer: not even its status line has been sent."""


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked."""

    method: str
    target: str
    """The path as it was sent: quoted, and with the query."""
    headers: Mapping[str, str]
    """Names in lower case."""

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    def header(self, name: str) -> str | None:
        return self.headers.get(name)

    def asking(self, **headers: str) -> "Request":
        """The same request with other headers; underscores stand for dashes."""
        changed = {name.replace("_", "-"): value for name, value in headers.items()}
        return replace(self, headers={**self.headers, **changed})

    def not_asking(self, *names: str) -> "Request":
        """The same request without these headers."""
        kept = {name: value for name, value in self.headers.items() if name not in names}
        return replace(self, headers=kept)


class Body(Protocol):
    """Content of a known size, of which any part can be had."""

    @property
    def size_bytes(self) -> int: ...

    def part(self, start: int, stop: int) -> bytes | memoryview: ...


@dataclass(frozen=True, slots=True)
class Content:
    """A body in memory."""

    content: bytes

    @property
    def size_bytes(self) -> int:
        return len(self.content)

    def part(self, start: int, stop: int) -> memoryview:
        return memoryview(self.content)[start:stop]


@dataclass(frozen=True, slots=True)
class MappedFile:
    """A body on disk."""

    mapping: mmap.mmap

    @property
    def size_bytes(self) -> int:
        return len(self.mapping)

    def part(self, start: int, stop: int) -> bytes:
        return self.mapping[start:stop]


@dataclass(frozen=True, slots=True)
class Padded:
    """Two ends with blanks between them; takes no more memory than its ends."""

    head: bytes
    blanks: int
    tail: bytes

    @property
    def size_bytes(self) -> int:
        return len(self.head) + self.blanks + len(self.tail)

    def part(self, start: int, stop: int) -> bytes:
        tail_at = len(self.head) + self.blanks
        blanks = max(0, min(stop, tail_at) - max(start, len(self.head)))
        tail = self.tail[max(0, start - tail_at) : max(0, stop - tail_at)]
        return self.head[start:stop] + b" " * blanks + tail


@dataclass(frozen=True, slots=True)
class Slice:
    """A part of another body."""

    whole: Body
    start: int
    stop: int

    @property
    def size_bytes(self) -> int:
        return self.stop - self.start

    def part(self, start: int, stop: int) -> bytes | memoryview:
        return self.whole.part(self.start + start, min(self.start + stop, self.stop))


@dataclass(frozen=True, slots=True)
class Flipped:
    """Another body with each bit of each byte turned round."""

    true: Body

    @property
    def size_bytes(self) -> int:
        return self.true.size_bytes

    def part(self, start: int, stop: int) -> bytes:
        return bytes(self.true.part(start, stop)).translate(_FLIPPED)


class Framing(Enum):
    """How a client can tell where the body ends."""

    LENGTH = "length"
    CHUNKED = "chunked"
    CLOSE = "close"


@dataclass(frozen=True, slots=True)
class Pause:
    """Nothing more is sent from here on, until the event; None: ever."""

    at_byte: int
    """Of the body, or BEFORE_HEAD."""
    until: threading.Event | None


@dataclass(frozen=True, slots=True)
class Delivery:
    """How an answer is sent. As it stands: at once, whole and honestly."""

    framing: Framing = Framing.LENGTH
    declared_bytes: int | None = None
    """What Content-Length says, if that is not the truth."""
    pauses: tuple[Pause, ...] = ()
    cut_after_bytes: int | None = None
    """Of the body; then the connection is closed."""
    reset: bool = False
    """Whether it is closed with a reset."""
    bytes_per_second: float | None = None
    head_too: bool = False
    """Whether the head is sent as slowly as the body."""
    raw: bytes | None = None
    """Sent instead of an answer."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer."""

    status: int
    headers: Mapping[str, str]
    """Without those that say where the body ends."""
    body: Body
    delivery: Delivery = Delivery()

    def saying(self, **headers: str | None) -> "Reply":
        """The same with other headers; underscores stand for dashes, None takes one out."""
        return self.with_headers({name.replace("_", "-"): value for name, value in headers.items()})

    def with_headers(self, changed: Mapping[str, str | None]) -> "Reply":
        """The same with these headers, in whatever case; None takes one out."""
        lower = {name.lower() for name in changed}
        kept = {name: value for name, value in self.headers.items() if name.lower() not in lower}
        new = {name: value for name, value in changed.items() if value is not None}
        return replace(self, headers={**kept, **new})

    def with_body(self, body: Body) -> "Reply":
        return replace(self, body=body)

    def sent(
        self,
        *,
        framing: Framing | None = None,
        declared_bytes: int | None = None,
        pause: Pause | None = None,
        cut_after_bytes: int | None = None,
        reset: bool = False,
        bytes_per_second: float | None = None,
        head_too: bool = False,
    ) -> "Reply":
        """The same, sent in another way."""
        before = self.delivery
        delivery = replace(
            before,
            framing=framing or before.framing,
            declared_bytes=before.declared_bytes if declared_bytes is None else declared_bytes,
            pauses=before.pauses if pause is None else (*before.pauses, pause),
            cut_after_bytes=before.cut_after_bytes if cut_after_bytes is None else cut_after_bytes,
            reset=before.reset or reset,
            bytes_per_second=bytes_per_second or before.bytes_per_second,
            head_too=before.head_too or head_too,
        )
        return replace(self, delivery=delivery)


Answering: TypeAlias = Callable[[Request], Reply]

_FLIPPED = bytes(byte ^ 0xFF for byte in range(256))


def a_reply(status: int, text: str = "", **headers: str) -> Reply:
    """A short answer in plain text; underscores in names of headers stand for dashes."""
    reply = Reply(status, {"Content-Type": "text/plain; charset=utf-8"}, Content(text.encode()))
    return reply.saying(**headers)
