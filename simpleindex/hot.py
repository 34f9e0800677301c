"""Whole answers, by the raw bytes of the requests that they are for.

Installers ask for the same things in the same words, thousands of times between two changes. Such
a request needs no parsing: if its bytes are equal to an earlier one's, on a connection where all
else is equal, so is the answer, but for its `Date`. What an answer depends on besides those bytes
is said by the door that gave it (`Standing`), and an answer without that is never kept.

The protocol asks here before it parses, and lets a request that comes for the second time carry a
`Recording` through the application.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from email.utils import formatdate
from math import inf
from typing import Protocol

from simpleindex.config import Network
from simpleindex.events import Answered, Event, Line
from simpleindex.wire.origin import is_trusted

RECORDING_KEY = "simpleindex.recording"
"""Where a request's scope has its `Recording`, if it has one."""

ANSWER_BYTES_MAX = 256 << 10
"""Of an answer that is kept, with its head. It is sent in one piece, whoever reads it."""
REQUEST_BYTES_MAX = 4 << 10

_ENTRY_BYTES = 600
"""What an answer costs besides its bytes and those of its request, roughly."""
_ONCE_SEEN_MAX = 20_000
_COUNT_SECONDS = 0.25
"""How soon what is answered from here is counted at the latest."""

_END_OF_HEAD = b"\r\n\r\n"
_NO_ADDRESS = ""
_LINE_END = b"\r\n"
_DATE = b"\r\ndate: "
_NEVER = frozenset(
    {
        # Who asks, and what else may change the answer from one time to the next.
        b"authorization", b"cookie", b"proxy-authorization", b"x-devpi-auth",
        # A body, and what turns the connection into something else.
        b"content-length", b"expect", b"te", b"trailer", b"transfer-encoding", b"upgrade",
    }
)  # fmt: skip
"""Headers of requests whose answers are not kept."""


Agreed = Callable[[], tuple[int, int] | None]
"""Tells the serials of all that answers show (the catalog's, and that of what mirrors keep), if
nothing of it is being changed."""

Key = tuple[str, bytes]
"""The kind of connection, and all of the request."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end of a connection, as far as that matters."""

    kind: str
    """Of the connection: what answers depend on besides the request."""
    address: str | None
    is_proxy: bool
    """It speaks for others; for whom, each request says."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What a door says of an answer that everybody gets who asks in the same words.

    It holds as long as the serials stand that were agreed before anything was read for it.
    """

    valid_until: datetime | None = None
    """When it may change without any change here; None: never."""
    looked_at: datetime | None = None
    """When that was found out. Before that, the clock has been put back."""
    event: Event | None = None
    """What is counted for each such answer, besides the answer."""


class HotAnswer:
    """An answer as it is sent."""

    __slots__ = (
        "address", "after_date", "answered", "before_date", "event", "hits", "key", "line",
        "serials", "size_bytes", "valid_from", "valid_until",
    )  # fmt: skip

    def __init__(
        self,
        key: Key,
        output: bytes,
        serials: tuple[int, int],
        standing: Standing,
        answered: Answered,
    ) -> None:
        self.key = key
        head, date, rest = output.partition(_DATE)
        self.before_date = head + date
        self.after_date = rest[rest.index(_LINE_END) :]
        self.size_bytes = len(output) + len(key[1]) + _ENTRY_BYTES
        """What it costs to keep it."""
        self.serials = serials
        until, since = standing.valid_until, standing.looked_at
        self.valid_until = inf if until is None else until.timestamp()
        self.valid_from = -inf if until is None or since is None else since.timestamp()
        self.answered = answered._replace(seconds=0.0)
        self.event = standing.event
        self.address: str | None = _NO_ADDRESS
        """Of the client who got it last; and its line in the access log, if there is one."""
        self.line: Line | None = None
        self.hits = 0
        """How often it was given and not counted yet."""


class Recording:
    """A request on its way through the application, whose answer may be worth keeping."""

    __slots__ = ("_hot", "_key", "output", "serials", "standing")

    def __init__(self, hot: "HotAnswers", key: Key) -> None:
        self._hot = hot
        self._key = key
        self.output: bytes | None = None
        """All that was sent, once that is known; None if it was too much."""
        self.serials: tuple[int, int] | None = None
        """Those that were agreed when the request came."""
        self.standing: Standing | None = None
        """What the door says of its answer; None: it is good for this once."""

    def finish(self, answered: Answered) -> None:
        """The request is over."""
        output, serials, standing = self.output, self.serials, self.standing
        if output is None or serials is None or standing is None:
            return
        if _DATE in output[: output.find(_END_OF_HEAD)]:
            self._hot.keep(HotAnswer(self._key, output, serials, standing, answered))


class Watcher(Protocol):
    """Takes note of what is answered from here."""

    def line_of(self, answered: Answered) -> Line | None:
        """What the access log has to say of a request; None: nothing."""

    def log_again(self, line: Line) -> None:
        """Let the access log have a request."""

    def note_often(self, answered: Answered, times: int, event: Event | None) -> None:
        """Count requests that were all like this one, and for each of them this event."""


class HotAnswers:
    """A bounded memory of answers that were asked for twice. Belongs to one event loop.

    Those that were asked for longest ago go when it is full.
    """

    def __init__(
        self,
        bytes_max: int,
        agreed: Agreed,
        watcher: Watcher,
        trusted_proxies: tuple[Network, ...] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._bytes_max = bytes_max
        self._bytes = 0
        self._agreed = agreed
        self._watcher = watcher
        self._trusted_proxies = trusted_proxies
        self._clock = clock
        self._answers: OrderedDict[Key, HotAnswer] = OrderedDict()
        self._once_seen: set[int] = set()
        """Hashes of requests that came and are not kept. Who forges one is kept a time too soon."""
        self._uncounted: list[HotAnswer] = []
        self._second = 0
        self._date = b""

    def peer(self, scheme: object, server: object, address: str | None) -> Peer:
        """The other end of a connection: what is spoken, over which of our addresses, by whom."""
        is_proxy = is_trusted(address, self._trusted_proxies)
        kind = f"{scheme} {server} {address if is_proxy else ''}"
        return Peer(kind, address, is_proxy)

    def find(self, key: Key) -> HotAnswer | None:
        """The answer to a request, if there is one that holds."""
        answer = self._answers.get(key)
        if answer is None:
            return None
        if answer.serials == self._agreed() and (
            answer.valid_until == inf or answer.valid_from <= self._clock() < answer.valid_until
        ):
            return answer
        self._drop(answer)
        # It was worth keeping before, so it is now, as soon as it is known anew.
        self._once_seen.add(hash(key))
        return None

    def give(self, answer: HotAnswer, peer: Peer, loop: asyncio.AbstractEventLoop) -> bytes:
        """The answer as it is sent now; it is counted and logged."""
        if not answer.hits:
            if not self._uncounted:
                loop.call_later(_COUNT_SECONDS, self.count)
            self._uncounted.append(answer)
        answer.hits += 1
        if peer.address != answer.address:
            answer.address, answered = peer.address, answer.answered
            if not peer.is_proxy:
                answered = answered._replace(address=peer.address)
            answer.line = self._watcher.line_of(answered)
        if answer.line is not None:
            self._watcher.log_again(answer.line)
        now = int(self._clock())
        if now != self._second:
            self._second, self._date = now, formatdate(now, usegmt=True).encode()
        return b"%b%b%b" % (answer.before_date, self._date, answer.after_date)

    def record(self, key: Key) -> Recording | None:
        """A recording for a request that has just come; None for one that came never before."""
        request = key[1]
        if (
            len(request) > REQUEST_BYTES_MAX
            or not request.startswith((b"GET /", b"HEAD /"))
            or request.find(_END_OF_HEAD) != len(request) - len(_END_OF_HEAD)
        ):
            return None
        sight = hash(key)
        if sight in self._once_seen:
            self._once_seen.discard(sight)
            return Recording(self, key)
        if len(self._once_seen) >= _ONCE_SEEN_MAX:
            self._once_seen.clear()
        self._once_seen.add(sight)
        return None

    def keep(self, answer: HotAnswer) -> None:
        """Remember an answer."""
        if answer.size_bytes > self._bytes_max:
            return
        before = self._answers.get(answer.key)
        if before is not None:
            self._drop(before)
        self._answers[answer.key] = answer
        self._bytes += answer.size_bytes
        while self._bytes > self._bytes_max:
            self._drop(next(iter(self._answers.values())))

    def count(self) -> None:
        """Count what was answered since the last time."""
        uncounted, self._uncounted = self._uncounted, []
        for answer in uncounted:
            self._watcher.note_often(answer.answered, answer.hits, answer.event)
            answer.hits = 0
            if self._answers.get(answer.key) is answer:
                self._answers.move_to_end(answer.key)

    def _drop(self, answer: HotAnswer) -> None:
        del self._answers[answer.key]
        self._bytes -= answer.size_bytes


def may_be_kept(headers: Iterable[tuple[bytes, bytes]], http_version: str) -> bool:
    """Whether an answer to a request with such headers, names in lower case, is one for all."""
    return http_version == "1.1" and not any(
        name in _NEVER or (name == b"connection" and value.lower() != b"keep-alive")
        for name, value in headers
    )
