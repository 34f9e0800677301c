"""What the numbers of `Counters` mean: requests, uploads, refusals, mirrors.

The layout follows from the tables here. Whoever changes them gets other files of counters: they
begin at zero, as `/-/metrics` says they may.
"""

import hashlib
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from pathlib import Path

from simpleindex.errors import REASONS
from simpleindex.events import Answered, Door, Event
from simpleindex.wire.metrics_text import Family, Kind, Sample, histogram
from simpleindex_storage.counters import Counters, Layout

SECONDS_BOUNDS = (0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0)
"""Upper ends of the buckets of the time that answers take."""

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "PUSH", "OTHER")
_STATUSES = ("1xx", "2xx", "3xx", "4xx", "5xx")
_OTHER_REASON = "other"
_REASONS = (*REASONS, _OTHER_REASON)

PREFIX = "simpleindex_"
_SERIES: Mapping[str, tuple[str, str]] = {
    "uploads": ("outcome", "Files, documentation and registrations that were sent, by outcome."),
    "failed_logins": ("", "Wrong passwords and tokens."),
    "rendered_pages": ("result", "Simple pages told: remembered, found to be true still, or made."),
    "mirror_page_looks": ("result", "Looks at kept pages of mirrors, for pages and for files."),
    "mirror_page_fetches": ("result", "Pages that upstreams were asked for."),
    "mirror_list_fetches": ("result", "Lists of projects that upstreams were asked for."),
    "mirror_files": ("result", "Files and metadata of mirrors asked for: kept here, or missing."),
    "mirror_file_fetches": ("result", "Files that were fetched from upstreams."),
    "mirror_file_received_bytes": ("", "Bytes of files that came from upstreams."),
    "protocol_refusals": ("reason", "Connections and requests refused or ended by how they came."),
    "log_lines_dropped": ("", "Lines that whoever reads the log was too slow for."),
}
"""The label and the help of what `Event` counts; no label where there is one figure."""


class _Words:
    """Where each figure has its word."""

    def __init__(self) -> None:
        self._names: list[str] = []
        self.requests = self._block("requests", Door.__members__, _METHODS, _STATUSES)
        self.buckets = self._block("buckets", Door.__members__, (*SECONDS_BOUNDS, "more"))
        self.microseconds = self._block("microseconds", Door.__members__)
        self.received = self._block("received", Door.__members__)
        self.sent = self._block("sent", Door.__members__)
        reasons = self._block("refusals", _REASONS)
        self.refusals = {reason: reasons + turn for turn, reason in enumerate(_REASONS)}
        self.events = self._block("events", Event.__members__)
        counts = len(self._names)
        self.in_flight = self._block("requests in flight")
        digest = hashlib.sha256("\n".join(self._names).encode()).digest()[:16]
        self.layout = Layout(digest, counts, len(self._names) - counts)

    def _block(self, name: str, *dimensions: Iterable[object]) -> int:
        """Words for all combinations; the last dimension turns fastest."""
        start = len(self._names)
        self._names += [f"{name} {values}" for values in product(*dimensions)]
        return start


_WORDS = _Words()
_IN_FLIGHT = _WORDS.in_flight
_STATUSES_COUNT = len(_STATUSES)
_BUCKETS_COUNT = len(SECONDS_BOUNDS) + 1
_OF_DOOR = [
    (
        _WORDS.requests + door * len(_METHODS) * _STATUSES_COUNT - 1,  # statuses begin with 1
        _WORDS.buckets + door * _BUCKETS_COUNT,
        _WORDS.microseconds + door,
        _WORDS.received + door,
        _WORDS.sent + door,
    )
    for door in range(len(Door))
]
"""Where the figures of a door begin: worked out once, they are needed for every request."""
_METHOD_TURN = {method: turn for turn, method in enumerate(_METHODS)}
_OTHER_METHOD = len(_METHODS) - 1
_TOLD = {event.outcome: event for event in Event if event.series == "protocol_refusals"}


class Counted:
    """What this process counts, and what all processes of its directory have counted together."""

    def __init__(self, folder: Path) -> None:
        self._counters = Counters(folder, _WORDS.layout)

    def began(self) -> None:
        """A request has come in. To be called, as `answered`, by the event loop alone."""
        self._counters.words[_IN_FLIGHT] += 1  # which nobody else changes: no lock

    def answered(self, answered: Answered) -> None:
        """A request that had come in is over."""
        seconds = answered.seconds
        requests, buckets, microseconds, received, sent = _OF_DOOR[answered.door]
        method = _METHOD_TURN.get(answered.method, _OTHER_METHOD)
        request = requests + method * _STATUSES_COUNT + answered.status // 100
        bucket = buckets + bisect_left(SECONDS_BOUNDS, seconds)
        counters = self._counters
        words = counters.words
        with counters.lock:
            words[_IN_FLIGHT] -= 1
            words[request] += 1
            words[bucket] += 1
            words[microseconds] += int(seconds * 1e6)
            words[received] += answered.received_bytes
            words[sent] += answered.sent_bytes
        counters.touch()

    def answered_often(self, answered: Answered, times: int) -> None:
        """Requests that nobody has heard of before came in, and are over, each like this one."""
        requests, buckets, microseconds, received, sent = _OF_DOOR[answered.door]
        method = _METHOD_TURN.get(answered.method, _OTHER_METHOD)
        counters = self._counters
        words = counters.words
        with counters.lock:
            words[requests + method * _STATUSES_COUNT + answered.status // 100] += times
            words[buckets + bisect_left(SECONDS_BOUNDS, answered.seconds)] += times
            words[microseconds] += int(answered.seconds * 1e6) * times
            words[received] += answered.received_bytes * times
            words[sent] += answered.sent_bytes * times
        counters.touch()

    def refused(self, reason: str) -> None:
        """A request was refused, for one of the reasons of `errors`."""
        self._counters.add(_WORDS.refusals.get(reason, _WORDS.refusals[_OTHER_REASON]))

    def count(self, event: Event, times: int = 1) -> None:
        """Something else has happened."""
        self._counters.add(_WORDS.events + event.turn, times)

    def told(self, reason: str) -> None:
        """The protocol has refused something below HTTP, and has this word for it."""
        self.count(_TOLD.get(reason, Event.TOLD_OTHER))

    def families(self) -> Sequence[Family]:
        """The figures of all processes together. Reads a file of each."""
        sums = self._counters.sums()
        words = sums.words
        workers = "Processes that work on the server directory and count."
        in_flight = "Requests that are being answered."
        return (
            _requests(words),
            _seconds(words),
            _by_door(words, _WORDS.received, "received", "Bytes of the bodies of requests."),
            _by_door(words, _WORDS.sent, "sent", "Bytes of the bodies of answers."),
            _refusals(words),
            *(_series(words, name) for name in _SERIES),
            gauge("requests_in_flight", in_flight, words[_IN_FLIGHT]),
            gauge("workers", workers, sums.processes),
        )

    def close(self) -> None:
        """Write down what was counted."""
        self._counters.close()


def gauge(name: str, help_text: str, value: int | float) -> Family:
    """A figure of ours that stands alone."""
    return Family(PREFIX + name, Kind.GAUGE, help_text, (Sample(value),))


def _requests(words: Sequence[int]) -> Family:
    samples = []
    word = _WORDS.requests
    for door in Door:
        for method in _METHODS:
            for status in _STATUSES:
                if words[word]:  # most never happen
                    labels = (("door", _name(door)), ("method", method), ("status", status))
                    samples.append(Sample(words[word], labels))
                word += 1
    help_text = "Requests that were answered, or given up by their clients (4xx)."
    return Family(f"{PREFIX}requests", Kind.COUNTER, help_text, samples)


def _seconds(words: Sequence[int]) -> Family:
    size = _BUCKETS_COUNT
    starts = [(door, _WORDS.buckets + door * size) for door in Door]
    rows = [
        (
            (("door", _name(door)),),
            words[start : start + size],
            words[_WORDS.microseconds + door] / 1e6,
        )
        for door, start in starts
        if any(words[start : start + size])
    ]
    help_text = "Time from a request's head to the end of its answer."
    return histogram(f"{PREFIX}request_duration_seconds", help_text, SECONDS_BOUNDS, rows)


def _by_door(words: Sequence[int], start: int, what: str, help_text: str) -> Family:
    samples = [
        Sample(words[start + door], (("door", _name(door)),))
        for door in Door
        if words[start + door]
    ]
    return Family(f"{PREFIX}{what}_bytes", Kind.COUNTER, help_text, samples)


def _refusals(words: Sequence[int]) -> Family:
    samples = [
        Sample(words[word], (("reason", reason), ("status", str(REASONS.get(reason, "")))))
        for reason, word in _WORDS.refusals.items()
    ]
    help_text = "Requests that were refused, by reason."
    return Family(f"{PREFIX}refusals", Kind.COUNTER, help_text, samples)


def _series(words: Sequence[int], name: str) -> Family:
    label, help_text = _SERIES[name]
    samples = [
        Sample(words[_WORDS.events + event.turn], ((label, event.outcome),) if label else ())
        for event in Event
        if event.series == name
    ]
    return Family(PREFIX + name, Kind.COUNTER, help_text, samples)


def _name(door: Door) -> str:
    return door.name.lower()
