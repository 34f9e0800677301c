"""Whether a run was good, and the table that says so."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from tests.soak.sampling import ProcessUse, Sample

RSS_GROWTH_RATIO_MAX = 0.10
RSS_GROWTH_BYTES_MAX = 8 << 20
"""A growth counts if it is over both: a tenth of a small process is noise of the allocator."""
FDS_GROWTH_MAX = 10
WAL_BYTES_MAX = 64 << 20

_WINDOW_RATIO = 5
"""A fifth of the samples after the warm-up are its beginning, and a fifth are the end."""
_LINES_SHOWN = 20
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Outcome:
    """All that a run has brought to light."""

    seconds: Mapping[str, Sequence[float]]
    """How long requests took, by kind; all kinds that there are."""
    errors: Sequence[tuple[str, str]]
    """Failed requests and wrong answers: their kind, and what was wrong."""
    samples: Sequence[Sample]
    warm_up_seconds: float
    left: Sequence[str]
    """What was wrong after the end: with the server's exit, its files or its catalog."""


def verdict(outcome: Outcome) -> tuple[str, ...]:
    """Everything for which a run is to be called a failure; nothing, if it was good."""
    return tuple(_findings(outcome))


def table(outcome: Outcome) -> str:
    """The run in figures."""
    return "\n".join([*_request_lines(outcome), "", *_use_lines(outcome)])


def _findings(outcome: Outcome) -> Iterator[str]:
    yield from _some([f"{kind}: {what}" for kind, what in outcome.errors], "errors")
    for kind, seconds in outcome.seconds.items():
        if not seconds:
            yield f"nothing was done of the kind {kind!r}"
    yield from _some(outcome.left, "faults after the end")
    if len(_settled(outcome)) < 2:
        yield "there are fewer than two samples after the warm-up"
        return
    yield from _growth(*_begin_and_end(outcome))
    wal_bytes = max(sample.wal_bytes for sample in outcome.samples)
    if wal_bytes > WAL_BYTES_MAX:
        yield f"the write-ahead log grew to {wal_bytes} bytes, over {WAL_BYTES_MAX}"


def _some(lines: Sequence[str], what: str) -> Iterator[str]:
    yield from lines[:_LINES_SHOWN]
    if len(lines) > _LINES_SHOWN:
        yield f"and {len(lines) - _LINES_SHOWN} more {what}"


def _growth(begin: ProcessUse | None, end: ProcessUse | None) -> Iterator[str]:
    if begin is None or end is None:
        return
    grown_bytes = end.rss_bytes - begin.rss_bytes
    if grown_bytes > max(RSS_GROWTH_BYTES_MAX, RSS_GROWTH_RATIO_MAX * begin.rss_bytes):
        yield f"the memory grew after the warm-up from {begin.rss_bytes} to {end.rss_bytes} bytes"
    if end.fds > begin.fds + FDS_GROWTH_MAX:
        yield f"the open files grew after the warm-up from {begin.fds} to {end.fds}"


def _settled(outcome: Outcome) -> list[Sample]:
    return [each for each in outcome.samples if each.at_seconds >= outcome.warm_up_seconds]


def _begin_and_end(outcome: Outcome) -> tuple[ProcessUse | None, ProcessUse | None]:
    """What the process took up after the warm-up and at the end, medians both."""
    settled = _settled(outcome)
    width = max(1, len(settled) // _WINDOW_RATIO)
    return _median_use(settled[:width]), _median_use(settled[-width:])


def _median_use(samples: Sequence[Sample]) -> ProcessUse | None:
    uses = [sample.process for sample in samples if sample.process is not None]
    if not uses:
        return None
    return ProcessUse(
        rss_bytes=int(median(use.rss_bytes for use in uses)),
        fds=int(median(use.fds for use in uses)),
        threads=int(median(use.threads for use in uses)),
    )


def _course(samples: Sequence[Sample]) -> str:
    """Memory over time: whether it still grows, or has come to rest."""
    mib = [each.process.rss_bytes / _MIB for each in samples if each.process is not None]
    return "".join(f"{mib[len(mib) * part // 10]:>9.1f}" for part in range(10))


def _request_lines(outcome: Outcome) -> Iterator[str]:
    yield f"{'requests':<24}{'number':>9}{'errors':>8}{'p50 ms':>9}{'p99 ms':>9}{'max ms':>9}"
    failed = [kind for kind, _ in outcome.errors]
    for kind in dict.fromkeys([*outcome.seconds, *failed]):
        seconds = sorted(outcome.seconds.get(kind, ()))
        times = "".join(f"{_quantile_ms(seconds, part):>9.1f}" for part in (0.5, 0.99, 1))
        yield f"{kind:<24}{len(seconds):>9}{failed.count(kind):>8}{times}"
    total = sum(len(seconds) for seconds in outcome.seconds.values())
    yield f"{'all':<24}{total:>9}{len(failed):>8}"


def _quantile_ms(ordered: Sequence[float], part: float) -> float:
    return 1000 * ordered[math.ceil(part * len(ordered)) - 1] if ordered else math.nan


def _use_lines(outcome: Outcome) -> Iterator[str]:
    if len(_settled(outcome)) < 2:
        return
    begin, end = _begin_and_end(outcome)
    yield f"{'server':<24}{'warm':>9}{'end':>9}{'drift':>9}"
    if begin is None or end is None:
        yield "memory, open files and threads: not sampled, as this system has no /proc"
    else:
        warm_mib, end_mib = begin.rss_bytes / _MIB, end.rss_bytes / _MIB
        yield f"{'memory, MiB':<24}{warm_mib:>9.1f}{end_mib:>9.1f}{end_mib / warm_mib - 1:>+9.1%}"
        yield f"{'  in tenths of the run':<24}{_course(outcome.samples)}"
        yield f"{'open files':<24}{begin.fds:>9}{end.fds:>9}{end.fds - begin.fds:>+9}"
        threads = end.threads - begin.threads
        yield f"{'threads':<24}{begin.threads:>9}{end.threads:>9}{threads:>+9}"
    samples = outcome.samples
    yield f"write-ahead log at most {max(each.wal_bytes for each in samples) / _MIB:.1f} MiB"
    yield f"journal at the end {samples[-1].journal_bytes / _MIB:.1f} MiB"
    yield f"drafts in incoming/ at most {max(each.drafts for each in samples)}"
