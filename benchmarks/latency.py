"""How long does a page take while wheels are being uploaded? Run with --help for options."""

import argparse
import http.client
import statistics
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from benchmarks.asking import JSON_PAGE_HEADERS
from benchmarks.corpus import Corpus, build_corpus, small_wheel, stored_wheel
from benchmarks.findings import Findings, Line
from benchmarks.lineup import (
    LineUp,
    Options,
    add_common_arguments,
    common_options,
    cores_for_load,
    line_up,
    pinning_note,
    working_folder,
)
from benchmarks.load import LoadFailed, Upload, login_headers, run_uploads
from benchmarks.machine import describe_machine
from benchmarks.pace import Pace, Paced, run_paced
from benchmarks.peers import OURS, OURS_WITH_SPEED, Served
from benchmarks.processes import Cores, PeerFailed
from benchmarks.report import conclude
from benchmarks.rivals import DEVPI, PYPIRON
from benchmarks.tables import say
from tests.builders import an_upload_body

PEERS = (OURS, OURS_WITH_SPEED, PYPIRON, DEVPI)

PER_SECOND = 200.0
PAGE_CONNECTIONS = 4
UPLOAD_CONNECTIONS = 4

_PROJECTS = 100
_MILLISECONDS = 1_000
_SMALL_UPLOADS_PER_SECOND = 1_000
_BIG_UPLOADS_PER_SECOND = 40
_BIG_BYTES = 5_000_000
_DISTURBED_SHARE_MIN = 0.9


@dataclass(frozen=True, slots=True)
class Size:
    """One size of wheel, as lines of the table call it, and the uploads of one round."""

    called: str
    uploads: Sequence[Upload]

    def title(self, what: str) -> str:
        return f"page while {self.called} wheels come in, {what}"

    @property
    def uploads_title(self) -> str:
        return f"uploads of {self.called} wheels the while"


@dataclass(frozen=True, slots=True)
class Run:
    """What is the same for all servers."""

    corpus: Corpus
    cores: Cores
    seconds: float


@dataclass(slots=True)
class Results:
    """Figures by title and server, of all rounds."""

    rounds: int = 0
    figures: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    failures: dict[tuple[str, str], str] = field(default_factory=dict)
    own_delays: list[float] = field(default_factory=list)

    def add(self, title: str, server: str, figure: float) -> None:
        self.figures.setdefault((title, server), []).append(figure)

    def line(self, title: str, unit: str, *, more_is_better: bool) -> Line:
        return Line(
            title=title,
            unit=unit,
            more_is_better=more_is_better,
            rounds={
                server: figures
                for (of, server), figures in self.figures.items()
                if of == title and (of, server) not in self.failures
            },
            failures={server: why for (of, server), why in self.failures.items() if of == title},
        )


_STATISTICS = ("median", "p99", "longest")


def titles() -> list[str]:
    """Of all lines that this can find."""
    return [
        title
        for size in (Size("1 KB", ()), Size("5 MB", ()))
        for title in (*map(size.title, _STATISTICS), size.uploads_title)
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """Measure in turns, print the table. 1 when a figure failed, or a promise to be checked."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.latency", description=__doc__)
    add_common_arguments(parser, peers=PEERS, minutes_max=8)
    parser.add_argument("--seconds", type=float, default=10.0, help="of pages for each figure")
    parser.add_argument("--check", action="store_true", help="end with 1 where a promise fails")
    parsed = parser.parse_args(argv)
    try:
        findings = _run(common_options(parser, parsed), parsed.seconds)
    except PeerFailed as failure:
        print(failure, file=sys.stderr)
        return 1
    return conclude(findings, parsed.findings, is_check=parsed.check)


def _run(options: Options, seconds: float) -> Findings:
    deadline = time.monotonic() + options.minutes_max * 60
    with working_folder(options.workdir) as folder:
        corpus = build_corpus(
            folder / "wheels",
            small_projects=_PROJECTS,
            large_project_files=0,
            big_file_bytes=0,
        )
        found = line_up(options.peers, corpus, folder)
        run = Run(corpus, cores_for_load(), seconds)
        results = Results()
        for number in range(options.rounds):
            began = time.monotonic()
            for size in _sizes(number, seconds):
                measure_round(found, size, run, number, results)
            results.rounds += 1
            if 2 * time.monotonic() - began > deadline:
                break
        return Findings(
            question="How long does a page take while wheels come in?",
            machine=describe_machine(folder),
            lines=list(_lines(results)),
            servers=found.versions,
            missing=found.missing,
            notes=_conditions(results, run),
        )


def _sizes(number: int, seconds: float) -> Iterator[Size]:
    """Anew in each round, as no name is free a second time; one at a time, for the memory."""
    say(f"round {number + 1}: building wheels")
    small = round(_SMALL_UPLOADS_PER_SECOND * seconds)
    names = [f"bench-small-{number}-{each:05}" for each in range(small)]
    yield Size("1 KB", [Upload(*an_upload_body(small_wheel(name, "1.0"))) for name in names])
    say(f"round {number + 1}: building big wheels")
    big = round(_BIG_UPLOADS_PER_SECOND * seconds)
    names = [f"bench-big-{number}-{each:05}" for each in range(big)]
    wheels = (stored_wheel(name, "1.0", _BIG_BYTES) for name in names)
    yield Size("5 MB", [Upload(*an_upload_body(wheel)) for wheel in wheels])


def measure_round(found: LineUp, size: Size, run: Run, number: int, results: Results) -> None:
    """One figure of each kind for each server, newly started."""
    for entrant in found.in_turn(number):
        say(f"round {number + 1}: {entrant.name}, wheels of {size.called}")
        if (size.title("p99"), entrant.name) in results.failures:
            continue
        try:
            with entrant.started(run.cores.server) as served:
                if served.upload_path is not None:
                    _measure_once(served, size, run, results)
        except (PeerFailed, LoadFailed, OSError, http.client.HTTPException) as failure:
            results.failures[size.title("p99"), entrant.name] = str(failure) or repr(failure)


def _measure_once(served: Served, size: Size, run: Run, results: Results) -> None:
    """Pages at their pace while uploads come as fast as they are taken."""
    uploading = _Uploading(served, size.uploads, run.seconds)
    paths = [served.json_page_path.format(project=each.name) for each in run.corpus.small_projects]
    pace = Pace(
        port=served.port,
        paths=paths,
        headers=JSON_PAGE_HEADERS,
        per_second=PER_SECOND,
        connections=PAGE_CONNECTIONS,
        seconds=run.seconds,
    )
    uploading.start()
    try:
        paced = run_paced(pace, run.cores.load)
    finally:
        uploading.join()
    if uploading.failure:
        raise LoadFailed(uploading.failure)
    _add(served.name, size, paced, uploading.per_second, results)


def _add(server: str, size: Size, paced: Paced, uploads: float, results: Results) -> None:
    figures = statistics.median(paced.answers), percentile(paced.answers, 99), max(paced.answers)
    for what, figure in zip(_STATISTICS, figures, strict=True):
        results.add(size.title(what), server, figure * _MILLISECONDS)
    results.add(size.uploads_title, server, uploads)
    results.own_delays += paced.own_delays


def percentile(values: Sequence[float], percent: float) -> float:
    """The least value that is not below this much of them."""
    ordered = sorted(values)
    place = max(0, -(-len(ordered) * percent // 100) - 1)
    return ordered[int(place)]


class _Uploading(threading.Thread):
    """Uploads beside the pages. What went wrong is in `failure`."""

    def __init__(self, served: Served, uploads: Sequence[Upload], seconds: float) -> None:
        super().__init__()
        self.failure = ""
        self.per_second = 0.0
        self._served, self._uploads, self._seconds = served, uploads, seconds
        self._headers = served.upload_headers or login_headers(served)

    def run(self) -> None:
        began = time.perf_counter()
        try:
            self.per_second = run_uploads(
                self._served,
                self._uploads,
                self._headers,
                connections=UPLOAD_CONNECTIONS,
                seconds_max=self._seconds,
            )
        except (LoadFailed, OSError) as failure:
            self.failure = str(failure) or repr(failure)
        # Pages that nobody disturbed any longer would make the figure better than it is.
        if time.perf_counter() - began < self._seconds * _DISTURBED_SHARE_MIN:
            self.failure = self.failure or f"all {len(self._uploads)} wheels were taken too soon"


def _lines(results: Results) -> Iterator[Line]:
    for title in titles():
        is_uploads = title.startswith("uploads")
        yield results.line(title, "uploads/s" if is_uploads else "ms", more_is_better=is_uploads)


def _conditions(results: Results, run: Run) -> list[str]:
    own = percentile(results.own_delays, 99) if results.own_delays else 0.0
    return [
        f"{PER_SECOND:.0f} pages a second on {PAGE_CONNECTIONS} connections, each timed from when "
        f"it was due, for {run.seconds:g} s; {UPLOAD_CONNECTIONS} clients upload what is taken",
        f"median of {results.rounds} rounds, in each a server that was just started; "
        f"{pinning_note(run.cores)}",
        f"the client's own delay, which is part of the figures: p99 {own * _MILLISECONDS:.2f} ms",
    ]


if __name__ == "__main__":
    sys.exit(main())
