"""Whole answers, by the raw bytes of the requests that they are for.

Installers ask for the same things in the same words, thousands of times between two changes. Such
a request needs no parsing: if its bytes are equal to an earlier one's, on a connection where all
else is equal, so is the answer, but for its `Date`. What an answer depends on besides those bytes
is said by the door that gave it (`Standing`), and an answer without that is never kept.

Others ask for the same in other words: what differs is who they say they are, or something that no
answer which is kept depends on. So an answer to a plain request is kept for all requests that are
equal in what matters, and found by what has been read of them; the raw bytes of those that came
more than once lead to it at once.

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
from simpleindex.wire.hops import HOPS_HEADER
from simpleindex.wire.origin import is_forwarded, is_trusted, nearest_stranger
from simpleindex.wire.plain_request import PlainRequest

RECORDING_KEY = "simpleindex.recording"
"""Where a request's scope has its `Recording`, if it has one."""

ANSWER_BYTES_MAX = 4 << 20
"""Of an answer that is kept, with its head."""
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
_NO_SECOND = -1
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


_CONNECTION, _USUAL_CONNECTION = b"connection", b"keep-alive"
_FORWARDED_FOR = b"x-forwarded-for"
_USER_AGENT = b"user-agent"
MATTERS = frozenset(
    {
        b"accept", b"accept-encoding",
        # What the client has already, and how much it wants of the rest.
        b"if-match", b"if-modified-since", b"if-none-match", b"if-range", b"if-unmodified-since",
        b"range",
        # Under which URL it sees this server, and by way of which others it asks.
        b"host", b"x-forwarded-host", b"x-forwarded-proto", b"x-outside-url",
        HOPS_HEADER.encode(),
    }
)  # fmt: skip
"""Headers that an answer which is kept may depend on, besides those for which none is kept.

And on whether a proxy speaks for anybody: to it, a header may stand for a file. For whom it does
so is logged at most, as is what a client calls itself.
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
    depends on no header besides those that matter.
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
        "_date_ends_at", "_date_starts_at", "_output", "_second", "answered", "event", "hits",
        "key", "serials", "size_bytes", "valid_from", "valid_until", "words",
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
        self._output = output
        self._date_starts_at = output.index(_DATE) + len(_DATE)
        self._date_ends_at = output.index(_LINE_END, self._date_starts_at)
        self._second = _NO_SECOND
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

    def output(self, second: int, date: bytes) -> bytes:
        """All of it as it is sent in this second. Copied once for all who ask in it."""
        if second != self._second:
            before, after = self._date_starts_at, self._date_ends_at
            view = memoryview(self._output)
            self._output = b"".join((view[:before], date, view[after:]))
            self._second, self._date_ends_at = second, before + len(date)
        return self._output


class Words:
    """A request in so many words, and its answer."""

    __slots__ = ("address", "answer", "answered", "hits", "line")

    def __init__(self, answer: HotAnswer, answered: Answered) -> None:
        self.answer = answer
        self.answered = answered
        """As the access log has it."""
        self.hits = 0
        """How often it came in these words and was not told yet."""
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

    is_logging: bool
    """Whether it matters who has asked for what."""

    def line_of(self, answered: Answered) -> Line | None:
        """What the access log has to say of a request; None: nothing."""

    def log_again(self, line: Line) -> None:
        """Let the access log have a request, at `log_all` at the latest."""

    def log_all(self) -> None:
        """Let the access log have all of them now: there may be no more for a while."""

    def note_often(self, answered: Answered, times: int, event: Event | None) -> None:
        """Count requests that were all like this one, and for each of them this event."""

    def note_words(self, answered: Answered, sent: bytes, times: int) -> None:
        """Learn from those that came in these bytes: who sends them says who they are."""


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

    def answer_to(self, peer: Peer, sent: bytes, loop: asyncio.AbstractEventLoop) -> bytes | None:
        """All that is sent now to a request that has just come; None where that is not known.

        It is counted and logged.
        """
        words = self._words.get((peer.kind, sent))
        return None if words is None else self._give(words, peer, loop)

    def answer_to_like(
        self, peer: Peer, sent: bytes, request: PlainRequest, loop: asyncio.AbstractEventLoop
    ) -> bytes | None:
        """The same, if a request is known in which all is equal that matters."""
        matters = _what_matters(request)
        answer = None if matters is None else self._answers.get((peer.kind, matters))
        if answer is None:
            return None
        is_logging = self._watcher.is_logging
        answered = self._answered(answer, peer, request) if is_logging else answer.answered
        words = Words(answer, answered)
        if len(sent) <= REQUEST_BYTES_MAX and self._is_seen((peer.kind, sent)):
            self._learn((peer.kind, sent), words)
            return self._give(words, peer, loop)
        output = self._give(words, peer, loop)
        self._tell(sent, words)
        return output

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
        matters = sent if request is None else _what_matters(request)
        if matters is None:
            return None
        key = (peer.kind, matters)
        return Recording(self, key, (peer.kind, sent)) if self._is_seen(key) else None

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
        """Count what was answered since the last time, and let all of it be logged."""
        uncounted, self._uncounted = self._uncounted, []
        if uncounted:
            self._watcher.log_all()
        for answer in uncounted:
            self._watcher.note_often(answer.answered, answer.hits, answer.event)
            answer.hits = 0
            for (_, sent), words in answer.words.items():
                self._tell(sent, words)
            if self._answers.get(answer.key) is answer:
                self._answers.move_to_end(answer.key)

    def _give(self, words: Words, peer: Peer, loop: asyncio.AbstractEventLoop) -> bytes | None:
        answer, now = words.answer, self._clock()
        if answer.serials != self._agreed() or not answer.valid_from <= now < answer.valid_until:
            self._drop_for_now(answer)
            return None
        if not answer.hits:
            if not self._uncounted:
                loop.call_later(_COUNT_SECONDS, self.count)
            self._uncounted.append(answer)
        answer.hits += 1
        words.hits += 1
        if peer.address != words.address:
            words.address, answered = peer.address, words.answered
            if not peer.is_proxy:
                answered = answered._replace(address=peer.address)
            words.line = self._watcher.line_of(answered)
        if words.line is not None:
            self._watcher.log_again(words.line)
        second = int(now)
        if second != self._second:
            self._second, self._date = second, formatdate(second, usegmt=True).encode()
        return answer.output(second, self._date)

    def _drop_for_now(self, answer: HotAnswer) -> None:
        """It was worth keeping before, so it is now, as soon as it is known anew."""
        if self._answers.get(answer.key) is answer:
            self._once_seen.add(hash(answer.key))
            self._drop(answer)

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

    def _tell(self, sent: bytes, words: Words) -> None:
        if words.hits:
            self._watcher.note_words(words.answer.answered, sent, words.hits)
            words.hits = 0

    def _forget(self, sent: Key, words: Words) -> None:
        self._tell(sent[1], words)
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


def _what_matters(request: PlainRequest) -> bytes | None:
    """All of a request that its answer may depend on, in the order in which it was said.

    The parts of it have no line feeds in them. None: no answer to it is kept.
    """
    said = [request.method.encode(), request.target]
    is_passed_on = False
    for name, value in request.headers:
        if name in MATTERS:
            said.append(b"%b:%b" % (name, value))
        elif _makes_it_special(name, value):
            return None
        elif name == _FORWARDED_FOR:
            is_passed_on = True
    if is_passed_on and is_forwarded(_forwarded_for(request)):
        said.append(_FORWARDED_FOR)
    return b"\n".join(said)


def may_be_kept(headers: Iterable[tuple[bytes, bytes]], http_version: str) -> bool:
    """Whether an answer to a request with such headers, names in lower case, is one for all."""
    return http_version == "1.1" and not any(
        _makes_it_special(name, value) for name, value in headers
    )


def _makes_it_special(name: bytes, value: bytes) -> bool:
    """Whether no answer to a request with this header is kept."""
    return name in _NEVER or (name == _CONNECTION and value.lower() != _USUAL_CONNECTION)
