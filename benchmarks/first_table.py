"""How many answers a second does each server give on one core? Run with --help for options."""

import argparse
import http.client
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks.asking import FILE_HEADERS, HTML_PAGE_HEADERS, JSON_PAGE_HEADERS, ask, file_paths
from benchmarks.corpus import Corpus, Project, build_corpus
from benchmarks.load import (
    Answers,
    LoadFailed,
    Target,
    login_headers,
    missing_wrk,
    prepare_uploads,
    run_uploads,
    run_wrk,
)
from benchmarks.machine import describe_machine, speedups
from benchmarks.peers import DevpiPeer, NginxPeer, Peer, Served, SimpleindexPeer
from benchmarks.processes import Cores, PeerFailed, choose_cores
from benchmarks.tables import aligned, ratio_text, say
from benchmarks.usage import processor_seconds

PEERS = ("simpleindex", "nginx", "devpi")

# More than any of the peers takes in a second and on one core.
_UPLOADS_PER_SECOND_MAX = 1_500
_WARM_UP_SECONDS = 1


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says."""

    seconds: int
    rounds: int
    peers: tuple[str, ...]
    minutes_max: float
    per_core: bool
    is_check: bool
    workdir: Path | None


@dataclass(frozen=True, slots=True)
class Least:
    """What a figure has to be at least, in times of what nginx does with the same bytes."""

    plain: float | None = None
    """Without the extra `[speed]`."""
    with_speed: float | None = None

    @property
    def here(self) -> float | None:
        """What is promised under the interpreter that runs this."""
        return self.with_speed if speedups() else self.plain


@dataclass(frozen=True, slots=True)
class Run:
    """What a row needs, besides a peer, to measure once."""

    corpus: Corpus
    folder: Path
    seconds: int
    cores: Cores


@dataclass(frozen=True, slots=True)
class Measured:
    """A figure, and how much of a core the server used the while.

    Less than all of it: something else held the figure down, the load, the disk or a neighbour.
    """

    figure: float
    core_share: float

    @property
    def per_core(self) -> "Measured":
        """The figure for a second of processor time instead of one on the wall."""
        return replace(self, figure=self.figure / self.core_share)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. `measure` gives None where a peer cannot do this at all."""

    title: str
    unit: str
    measure: Callable[[Served, Run, int], Measured | None]
    least: Least = Least()


@dataclass(slots=True)
class Results:
    """The figures of all rounds, by row and peer."""

    rounds: int = 0
    measured: dict[tuple[str, str], list[Measured]] = field(default_factory=dict)
    failures: dict[tuple[str, str], str] = field(default_factory=dict)

    def add(self, row: Row, peer: str, measured: Measured) -> None:
        self.measured.setdefault((row.title, peer), []).append(measured)

    def figure(self, row: Row, peer: str) -> float | None:
        """The median; None where there is no figure for each round."""
        if not self._complete(row, peer):
            return None
        return statistics.median(each.figure for each in self.measured[row.title, peer])

    def core_share(self, row: Row, peer: str) -> float | None:
        """The median; None where there is no figure for each round."""
        if not self._complete(row, peer):
            return None
        return statistics.median(each.core_share for each in self.measured[row.title, peer])

    def ratio(self, row: Row, peer: str, other: str) -> float | None:
        """The median of what each round says: peers of one round met the same machine."""
        if not self._complete(row, peer) or not self._complete(row, other):
            return None
        ours, theirs = self.measured[row.title, peer], self.measured[row.title, other]
        return statistics.median(
            one.figure / two.figure for one, two in zip(ours, theirs, strict=True)
        )

    def per_core(self) -> "Results":
        """The same, for seconds of processor time."""
        measured = {key: [each.per_core for each in of] for key, of in self.measured.items()}
        return replace(self, measured=measured)

    def _complete(self, row: Row, peer: str) -> bool:
        key = (row.title, peer)
        return key in self.measured and key not in self.failures


def main(argv: Sequence[str] | None = None) -> int:
    """Fill and start the peers, measure in turns, print the table. 1 when a figure failed."""
    options = _parse(argv)
    if missing_wrk():
        print(f"missing: {missing_wrk()}", file=sys.stderr)
        return 1
    try:
        results = _run(options)
    except PeerFailed as failure:
        print(failure, file=sys.stderr)
        return 1
    for (title, peer), failed in results.failures.items():
        print(f"FAILED: {peer}: {title}: {failed}")
    missed = _missed(results) if options.is_check else []
    for line in missed:
        print(line)
    return 1 if results.failures or missed else 0


def _run(options: Options) -> Results:
    deadline = time.monotonic() + options.minutes_max * 60
    cores = choose_cores()
    if cores.load is not None:
        # Our own threads send the uploads: they keep off the servers' core, as wrk does.
        os.sched_setaffinity(0, {cores.load})
    with tempfile.TemporaryDirectory(dir=options.workdir, prefix="bench-") as name:
        folder = Path(name)
        say("writing the wheels")
        corpus = build_corpus(folder / "wheels")
        run = Run(corpus=corpus, folder=folder, seconds=options.seconds, cores=cores)
        with _peers_serving(options.peers, run) as (peers, notes):
            results = _measure(peers, run, options.rounds, deadline)
        if options.per_core:
            results = results.per_core()
        print(_table([each.name for each in peers], results))
        print()
        print("\n".join([describe_machine(folder), *notes, *_conditions(run, results, options)]))
    return results


@contextmanager
def _peers_serving(wanted: Sequence[str], run: Run) -> Iterator[tuple[list[Served], list[str]]]:
    """All peers that are installed, filled and answering; and notes on versions and the missing."""
    notes: list[str] = []
    with ExitStack() as stack:

        def start(peer: Peer) -> list[Served]:
            if peer.missing():
                notes.append(f"missing: {peer.missing()}")
                return []
            say(f"filling and starting {peer.name}")
            folder = run.folder / peer.name
            folder.mkdir()
            notes.append(f"{peer.name}: {peer.version()}")
            serving = peer.serving(run.corpus, folder, run.cores.server)
            return [stack.enter_context(serving)]

        peers = start(SimpleindexPeer())
        if "nginx" in wanted:
            peers += start(NginxPeer(ours=peers[0]))
        if "devpi" in wanted:
            bin_folder = os.environ.get("SIMPLEINDEX_BENCH_DEVPI")
            peers += start(DevpiPeer(bin_folder=Path(bin_folder) if bin_folder else None))
        yield peers, notes


def _measure(peers: Sequence[Served], run: Run, rounds: int, deadline: float) -> Results:
    """Every row in every round, the peers in turn; who is first changes with the round.

    No round begins that would not end before the deadline, but for the first.
    """
    results = Results()
    for number in range(rounds):
        started = time.monotonic()
        first = number % len(peers)
        for row in _ROWS:
            say(f"round {number + 1} of {rounds}: {row.title}")
            for peer in (*peers[first:], *peers[:first]):
                _measure_once(row, peer, run, number, results)
        results.rounds += 1
        if 2 * time.monotonic() - started > deadline:
            break
    return results


def _measure_once(row: Row, peer: Served, run: Run, number: int, results: Results) -> None:
    if (row.title, peer.name) in results.failures:
        return
    try:
        measured = row.measure(peer, run, number)
    except (LoadFailed, PeerFailed, OSError, http.client.HTTPException) as failure:
        results.failures[row.title, peer.name] = str(failure)
    else:
        if measured is not None:
            results.add(row, peer.name, measured)


def _missed(results: Results) -> list[str]:
    """What is promised and does not hold, or could not be measured."""
    lines = []
    for row in _ROWS:
        least, ratio = row.least.here, results.ratio(row, "simpleindex", "nginx")
        if least is not None and (ratio is None or ratio < least):
            lines.append(f"MISSED: {row.title}: {ratio_text(ratio)} x nginx, promised {least}")
    return lines


def _small_html(peer: Served, run: Run, _: int) -> Measured:
    return _pages(peer, run, run.corpus.small_projects[:1], peer.html_page_path, HTML_PAGE_HEADERS)


def _small_json(peer: Served, run: Run, _: int) -> Measured:
    return _pages(peer, run, run.corpus.small_projects[:1], peer.json_page_path, JSON_PAGE_HEADERS)


def _small_json_in_turn(peer: Served, run: Run, _: int) -> Measured:
    return _pages(peer, run, run.corpus.small_projects, peer.json_page_path, JSON_PAGE_HEADERS)


def _unlike_json(peer: Served, run: Run, _: int) -> Measured:
    projects = run.corpus.small_projects
    return _pages(peer, run, projects, peer.json_page_path, JSON_PAGE_HEADERS, are_unlike=True)


def _large_html(peer: Served, run: Run, _: int) -> Measured:
    return _pages(peer, run, [run.corpus.large_project], peer.html_page_path, HTML_PAGE_HEADERS)


def _large_json(peer: Served, run: Run, _: int) -> Measured:
    return _pages(peer, run, [run.corpus.large_project], peer.json_page_path, JSON_PAGE_HEADERS)


def _pages(
    peer: Served,
    run: Run,
    projects: Sequence[Project],
    page_path: str,
    headers: Mapping[str, str],
    *,
    are_unlike: bool = False,
) -> Measured:
    paths = tuple(page_path.format(project=project.name) for project in projects)
    page = ask(peer.port, paths[0], headers)
    links = file_paths(page, paths[0]) if page.status == 200 else {}
    if set(links) != set(projects[0].filenames):
        raise LoadFailed(f"{paths[0]}: {page.status}, {len(links)} files")
    # The pages of the other projects differ by a few bytes at most.
    body_bytes_min = round(len(page.body) * 0.9)
    target = Target(peer.port, paths, headers, body_bytes_min, are_unlike)
    return _read(peer, run, target, lambda answers: answers.per_second)


def _not_modified(peer: Served, run: Run, _: int) -> Measured | None:
    path = peer.json_page_path.format(project=run.corpus.small_projects[0].name)
    etag = ask(peer.port, path, JSON_PAGE_HEADERS).headers.get("etag")
    if etag is None:
        return None
    headers = {**JSON_PAGE_HEADERS, "If-None-Match": etag}
    again = ask(peer.port, path, headers)
    if again.status != 304:
        raise LoadFailed(f"{path} with its own ETag: {again.status}")
    target = Target(peer.port, (path,), headers, body_bytes_min=0)
    return _read(peer, run, target, lambda answers: answers.per_second)


def _small_file(peer: Served, run: Run, _: int) -> Measured:
    project = run.corpus.small_projects[0]
    target = _file_target(peer, run, project)
    return _read(peer, run, target, lambda answers: answers.per_second)


def _metadata(peer: Served, run: Run, _: int) -> Measured:
    project = run.corpus.small_projects[0]
    path = peer.metadata_of(project.name, project.filenames[0])
    answer = ask(peer.port, path, FILE_HEADERS)
    if answer.status != 200 or not answer.body.startswith(b"Metadata-Version"):
        raise LoadFailed(f"{path}: {answer.status}")
    target = Target(peer.port, (path,), FILE_HEADERS, body_bytes_min=len(answer.body))
    return _read(peer, run, target, lambda answers: answers.per_second)


def _big_file(peer: Served, run: Run, _: int) -> Measured:
    target = _file_target(peer, run, run.corpus.big_file_project)
    return _read(peer, run, target, lambda answers: answers.megabytes_per_second)


def _file_target(peer: Served, run: Run, project: Project) -> Target:
    filename = project.filenames[0]
    path = peer.file_path(project.name, filename)
    size_bytes = (run.corpus.wheels / filename).stat().st_size
    file = ask(peer.port, path, FILE_HEADERS)
    if file.status != 200 or len(file.body) != size_bytes:
        raise LoadFailed(f"{path}: {file.status}, {len(file.body)} bytes of {size_bytes}")
    return Target(peer.port, (path,), FILE_HEADERS, body_bytes_min=size_bytes)


def _uploads_on_one(peer: Served, run: Run, number: int) -> Measured | None:
    return _uploads(peer, run, connections=1, series=f"{number}-one")


def _uploads_on_eight(peer: Served, run: Run, number: int) -> Measured | None:
    return _uploads(peer, run, connections=8, series=f"{number}-eight")


def _uploads(peer: Served, run: Run, *, connections: int, series: str) -> Measured | None:
    if peer.upload_path is None:
        return None
    uploads = prepare_uploads(_UPLOADS_PER_SECOND_MAX * run.seconds, series=series)
    headers = login_headers(peer)
    with _watched(peer) as share:
        rate = run_uploads(peer, uploads, headers, connections=connections, seconds_max=run.seconds)
    return Measured(rate, share())


def _read(peer: Served, run: Run, target: Target, figure: Callable[[Answers], float]) -> Measured:
    script, core = run.folder / "turn.lua", run.cores.load
    # What is asked for is not new to anybody: nginx opens its files, we make our pages.
    run_wrk(target, script, seconds=_WARM_UP_SECONDS, core=core)
    with _watched(peer) as share:
        answers = run_wrk(target, script, seconds=run.seconds, core=core)
    return Measured(figure(answers), share())


@contextmanager
def _watched(peer: Served) -> Iterator[Callable[[], float]]:
    """Afterwards the function says how much of a core the server used in the block."""
    share = 0.0
    pid = peer.server.pid
    began, used = time.perf_counter(), processor_seconds(pid)
    yield lambda: share
    share = (processor_seconds(pid) - used) / (time.perf_counter() - began)


_REPEATED = Least(plain=1.3, with_speed=1.5)

_ROWS = (
    Row("page of 5 files, HTML", "answers/s", _small_html, _REPEATED),
    Row("page of 5 files, JSON", "answers/s", _small_json, _REPEATED),
    Row("500 such pages in turn, JSON", "answers/s", _small_json_in_turn),
    Row("and no two requests alike, JSON", "answers/s", _unlike_json, Least(with_speed=0.35)),
    Row("page of 2,000 files, HTML", "answers/s", _large_html, Least(0.9, 0.9)),
    Row("page of 2,000 files, JSON", "answers/s", _large_json, Least(0.9, 0.9)),
    Row("304 of a page, JSON", "answers/s", _not_modified, _REPEATED),
    Row("metadata of a wheel", "answers/s", _metadata, _REPEATED),
    Row("file of 1 KB", "answers/s", _small_file, Least(0.6, 0.6)),
    Row("file of 100 MB", "MB/s", _big_file, Least(0.8, 0.8)),
    Row("uploads on 1 connection", "uploads/s", _uploads_on_one),
    Row("uploads on 8 connections", "uploads/s", _uploads_on_eight),
)


def _table(peers: Sequence[str], results: Results) -> str:
    others = peers[1:]
    head = ["", "unit", *peers, *(f"x {other}" for other in others), "promised", "of a core"]
    lines = [head]
    for row in _ROWS:
        figures = [_figure(results.figure(row, peer)) for peer in peers]
        ratios = [ratio_text(results.ratio(row, peers[0], other)) for other in others]
        shares = "/".join(_percent(results.core_share(row, peer)) for peer in peers)
        promised = "-" if row.least.here is None else f"{row.least.here:.2f}"
        lines.append([row.title, row.unit, *figures, *ratios, promised, f"{shares} %"])
    return aligned(lines)


def _figure(figure: float | None) -> str:
    if figure is None:
        return "-"
    return f"{figure:,.0f}" if figure >= 100 else f"{figure:,.1f}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share * 100:.0f}"


def _conditions(run: Run, results: Results, options: Options) -> list[str]:
    pinning = (
        f"servers on core {run.cores.server}, load on core {run.cores.load}"
        if run.cores.load is not None
        else "NOT pinned: servers and load share the cores"
    )
    per_core = ["figures are a second of the server's processor time"] if options.per_core else []
    return [
        *per_core,
        f"median of {results.rounds} rounds of {run.seconds} s, peers in turn; {pinning}",
        "16 connections for reads; headers as pip sends them (pages with Accept-Encoding: gzip)",
        "of a core: what the servers used, in their order; below 90 % something else was slower",
        "nginx sends the pages that simpleindex sent, as static files; devpi-server has no ETag",
    ]


def _parse(argv: Sequence[str] | None) -> Options:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.first_table", description=__doc__)
    parser.add_argument("--seconds", type=int, default=2, help="for each figure in each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--peers", default=",".join(PEERS), help="besides ours; of: nginx,devpi (default: all)"
    )
    parser.add_argument("--minutes-max", type=float, default=5.0, help="ends after fewer rounds")
    parser.add_argument(
        "--per-core",
        action="store_true",
        help="figures a second of processor time that the server used: for a busy machine",
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="end with 1 where a figure is less than is promised, in times of nginx's",
    )
    parser.add_argument("--workdir", type=Path, help="a folder on the disk to measure")
    parsed = parser.parse_args(argv)
    peers = tuple(parsed.peers.split(","))
    unknown = set(peers) - set(PEERS)
    if unknown:
        parser.error(f"unknown peers: {', '.join(sorted(unknown))}; there are {', '.join(PEERS)}")
    return Options(
        seconds=parsed.seconds,
        rounds=parsed.rounds,
        peers=peers,
        minutes_max=parsed.minutes_max,
        per_core=parsed.per_core,
        is_check=parsed.check,
        workdir=parsed.workdir,
    )


if __name__ == "__main__":
    sys.exit(main())
