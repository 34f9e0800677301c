"""Whole answers, by the raw bytes of the requests that they are for.

Installers ask for the same things in the same words, thousands of times between two changes. Such
a request needs no parsing: if its bytes are equal to an earlier one's, on a connection where all
else is equal, so is the answer, but for its `Date`. What an answer depends on besides those bytes
is said by the door that gave it (`Standing`), and an answer without that is never kept.

Others ask for the same in nearly the same words: what differs is who they say they are. So an
answer to a plain request is kept for all requests that are equal but for that, and found by what
has been read of them; the raw bytes of those that came more than once lead to it at once.

The protocol asks here before it parses, and again when it has parsed, and lets a request that
comes for the second time carry a `Recording` through the application.
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
from simpleindex.wire.origin import is_forwarded, is_trusted, nearest_stranger
from simpleindex.wire.plain_request import PlainRequest

RECORDING_KEY = "simpleindex.recording"
"""Where a request's scope has its `Recording`, if it has one."""

ANSWER_BYTES_MAX = 256 << 10
"""Of an answer that is kept, with its head. It is sent in one piece, whoever reads it."""
REQUEST_BYTES_MAX = 4 << 10

_ENTRY_BYTES = 600
"""What an answer costs besides its bytes and those of its request, roughly."""
_WORDS_BYTES = 400
"""What other words for the same request cost besides themselves, roughly."""
_WORDS_MAX = 64
"""For one answer. Who asks in ever new words drives out no other answer by it."""
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


_FORWARDED_FOR = b"x-forwarded-for"
_USER_AGENT = b"user-agent"
SAYS_NOTHING = frozenset(
    {
        _FORWARDED_FOR, _USER_AGENT, b"x-real-ip",
        # By which proxies and their owners find a request again.
        b"traceparent", b"tracestate", b"x-correlation-id", b"x-request-id",
    }
)  # fmt: skip
"""Headers that no answer which is kept may depend on: they are logged at most.

For whom a proxy speaks says nothing; that it speaks for anybody does: it may send the file.
"""


Agreed = Callable[[], tuple[int, int] | None]
"""Tells the serials of all that answers show (the catalog's, and that of what mirrors keep), if
nothing of it is being changed."""

Key = tuple[str, bytes]
"""The kind of connection, and all of the request; or all of it that matters, which looks different
from all requests."""


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

    It holds as long as the serials stand that were agreed before anything was read for it, and
    would be the same without the headers that are said to say nothing.
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
        "after_date", "answered", "before_date", "event", "hits", "key", "serials", "size_bytes",
        "valid_from", "valid_until", "words",
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
        """What it costs to keep it, with all words for it."""
        self.serials = serials
        until, since = standing.valid_until, standing.looked_at
        self.valid_until = inf if until is None else until.timestamp()
        self.valid_from = -inf if until is None or since is None else since.timestamp()
        self.answered = answered._replace(seconds=0.0)
        self.event = standing.event
        self.words: dict[Key, Words] = {}
        """The requests that are known to ask for it; the oldest first."""
        self.hits = 0
        """How often it was given and not counted yet."""


class Words:
    """A request in so many words, and its answer."""

    __slots__ = ("address", "answer", "answered", "line")

    def __init__(self, answer: HotAnswer, answered: Answered) -> None:
        self.answer = answer
        self.answered = answered
        """As the access log has it."""
        self.address: str | None = _NO_ADDRESS
        """Of the client who sent it last; and its line in the access log, if there is one."""
        self.line: Line | None = None


class Recording:
    """A request on its way through the application, whose answer may be worth keeping."""

    __slots__ = ("_hot", "_key", "_sent", "output", "serials", "standing")

    def __init__(self, hot: "HotAnswers", key: Key, sent: Key) -> None:
        self._hot = hot
        self._key = key
        self._sent = sent
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
            answer = HotAnswer(self._key, output, serials, standing, answered)
            self._hot.keep(answer, self._sent)


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
        self._words: dict[Key, Words] = {}
        """What their requests are known by, of all answers."""
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

    def find(self, peer: Peer, sent: bytes) -> Words | None:
        """A request that has just come, if it is known, and its answer holds."""
        words = self._words.get((peer.kind, sent))
        return None if words is None or not self._holds(words.answer) else words

    def find_like(self, peer: Peer, sent: bytes, request: PlainRequest) -> Words | None:
        """The same, if one is known that says all the same but for what says nothing."""
        answer = self._answers.get((peer.kind, _what_matters(request)))
        if answer is None or not self._holds(answer):
            return None
        words = Words(answer, self._answered(answer, peer, request))
        if len(sent) <= REQUEST_BYTES_MAX and self._is_seen((peer.kind, sent)):
            self._learn((peer.kind, sent), words)
        return words

    def give(self, words: Words, peer: Peer, loop: asyncio.AbstractEventLoop) -> bytes:
        """The answer as it is sent now; it is counted and logged."""
        answer = words.answer
        if not answer.hits:
            if not self._uncounted:
                loop.call_later(_COUNT_SECONDS, self.count)
            self._uncounted.append(answer)
        answer.hits += 1
        if peer.address != words.address:
            words.address, answered = peer.address, words.answered
            if not peer.is_proxy:
                answered = answered._replace(address=peer.address)
            words.line = self._watcher.line_of(answered)
        if words.line is not None:
            self._watcher.log_again(words.line)
        now = int(self._clock())
        if now != self._second:
            self._second, self._date = now, formatdate(now, usegmt=True).encode()
        return b"%b%b%b" % (answer.before_date, self._date, answer.after_date)

    def record(self, peer: Peer, sent: bytes, request: PlainRequest | None) -> Recording | None:
        """A recording for a request that has just come; None if nobody has asked for that before.

        `request` is what was read of it, if it is a plain one.
        """
        if (
            len(sent) > REQUEST_BYTES_MAX
            or not sent.startswith((b"GET /", b"HEAD /"))
            or sent.find(_END_OF_HEAD) != len(sent) - len(_END_OF_HEAD)
        ):
            return None
        raw = (peer.kind, sent)
        key = raw if request is None else (peer.kind, _what_matters(request))
        return Recording(self, key, raw) if self._is_seen(key) else None

    def keep(self, answer: HotAnswer, sent: Key) -> None:
        """Remember an answer, and the request that it was given to."""
        if answer.size_bytes > self._bytes_max:
            return
        before = self._answers.get(answer.key)
        if before is not None:
            self._drop(before)
        self._answers[answer.key] = answer
        self._bytes += answer.size_bytes
        self._learn(sent, Words(answer, answer.answered))

    def count(self) -> None:
        """Count what was answered since the last time."""
        uncounted, self._uncounted = self._uncounted, []
        for answer in uncounted:
            self._watcher.note_often(answer.answered, answer.hits, answer.event)
            answer.hits = 0
            if self._answers.get(answer.key) is answer:
                self._answers.move_to_end(answer.key)

    def _holds(self, answer: HotAnswer) -> bool:
        """Whether an answer is still right; it is dropped otherwise."""
        if answer.serials == self._agreed() and (
            answer.valid_until == inf or answer.valid_from <= self._clock() < answer.valid_until
        ):
            return True
        # It was worth keeping before, so it is now, as soon as it is known anew.
        self._once_seen.add(hash(answer.key))
        self._drop(answer)
        return False

    def _is_seen(self, key: Key) -> bool:
        """Whether this came before; if so, it is forgotten, else remembered."""
        sight = hash(key)
        if sight in self._once_seen:
            self._once_seen.discard(sight)
            return True
        if len(self._once_seen) >= _ONCE_SEEN_MAX:
            self._once_seen.clear()
        self._once_seen.add(sight)
        return False

    def _answered(self, answer: HotAnswer, peer: Peer, request: PlainRequest) -> Answered:
        """What the access log has to know of a request, which somebody else has sent before."""
        agents = [value for name, value in request.headers if name == _USER_AGENT]
        address = nearest_stranger(peer.address, _forwarded_for(request), self._trusted_proxies)
        return answer.answered._replace(
            address=address,
            user_agent=agents[0] if agents else None,
        )

    def _learn(self, sent: Key, words: Words) -> None:
        """Know a request by its words from now on."""
        answer = words.answer
        before = self._words.get(sent)
        if before is not None:
            self._forget(sent, before)
        elif len(answer.words) >= _WORDS_MAX:
            self._forget(*next(iter(answer.words.items())))
        self._words[sent] = answer.words[sent] = words
        answer.size_bytes += len(sent[1]) + _WORDS_BYTES
        self._bytes += len(sent[1]) + _WORDS_BYTES
        while self._bytes > self._bytes_max:
            self._drop(next(iter(self._answers.values())))

    def _forget(self, sent: Key, words: Words) -> None:
        del self._words[sent], words.answer.words[sent]
        words.answer.size_bytes -= len(sent[1]) + _WORDS_BYTES
        self._bytes -= len(sent[1]) + _WORDS_BYTES

    def _drop(self, answer: HotAnswer) -> None:
        for sent in answer.words:
            del self._words[sent]
        del self._answers[answer.key]
        self._bytes -= answer.size_bytes


def _forwarded_for(request: PlainRequest) -> str:
    forwarded = [value for name, value in request.headers if name == _FORWARDED_FOR]
    return b",".join(forwarded).decode("latin-1")


def _what_matters(request: PlainRequest) -> bytes:
    """All of a request that its answer may depend on, in the order in which it was said.

    The parts of it have no line feeds in them.
    """
    said = [b"%b:%b" % header for header in request.headers if header[0] not in SAYS_NOTHING]
    if is_forwarded(_forwarded_for(request)):
        said.append(_FORWARDED_FOR)
    return b"%b\n%b\n%b" % (request.method.encode(), request.target, b"\n".join(said))


def may_be_kept(headers: Iterable[tuple[bytes, bytes]], http_version: str) -> bool:
    """Whether an answer to a request with such headers, names in lower case, is one for all."""
    return http_version == "1.1" and not any(
        name in _NEVER or (name == b"connection" and value.lower() != b"keep-alive")
        for name, value in headers
    )
