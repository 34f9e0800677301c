"""What does it cost to install through a mirror, beside going direct, devpi-server and proxpi?"""

import argparse
import http.client
import os
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.asking import ANSWER_SECONDS_MAX, FILE_HEADERS, JSON_PAGE_HEADERS, ask, file_paths
from benchmarks.clients import missing_uv, pip_seconds, uv_seconds
from benchmarks.corpus import CHAIN_PROJECTS
from benchmarks.load import LoadFailed, Target, missing_wrk, run_wrk
from benchmarks.machine import describe_machine
from benchmarks.mirror_peers import MirrorPeer, SimpleindexMirror, peers_besides_ours
from benchmarks.mirror_upstream import (
    BIG_FILE_BYTES,
    FAST_PROJECT,
    INSTALLED_CHAIN,
    LARGE_PAGE_FILES,
    LARGE_PAGE_NAMES,
    RESOLVED_CHAIN,
    SLOW_BYTES_PER_SECOND,
    SLOW_PROJECT,
    SMALL_PAGE_FILES,
    SMALL_PAGE_NAMES,
    Upstream,
    big_filename,
    upstream_serving,
)
from benchmarks.peers import Served
from benchmarks.processes import Cores, PeerFailed, choose_cores
from benchmarks.tables import aligned, ratio_text, say
from benchmarks.usage import MB, peak_of

PEERS = ("devpi", "proxpi")
CLIENTS = 20

_READ_BYTES = 1 << 20
_REDIRECTS_MAX = 3
_MILLISECONDS = 1_000


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says."""

    seconds: int
    rounds: int
    peers: tuple[str, ...]
    minutes_max: float
    workdir: Path | None


@dataclass(frozen=True, slots=True)
class Run:
    """What a trial needs besides a mirror."""

    upstream: Upstream
    folder: Path
    seconds: int
    cores: Cores


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    title: str
    unit: str
    more_is_better: bool = False
    is_compared: bool = True
    """Whether it says anything how many times better one peer is than another."""


@dataclass(frozen=True, slots=True)
class Figure:
    """What was measured once; `direct` is the same without a mirror, at the same time."""

    row: Row
    value: float
    direct: float | None = None


@dataclass(slots=True)
class Results:
    """The figures, by row and peer, of each round."""

    rounds: int = 0
    figures: dict[tuple[Row, str], dict[int, Figure]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    def add(self, peer: str, number: int, figure: Figure) -> None:
        self.figures.setdefault((figure.row, peer), {})[number] = figure

    def value(self, row: Row, peer: str) -> float | None:
        """The median; None where there is no figure."""
        return _median(figure.value for figure in self._of(row, peer).values())

    def direct(self, row: Row) -> float | None:
        """The median, over all mirrors that it was measured beside."""
        return _median(
            figure.direct
            for (of, _), figures in self.figures.items()
            for figure in figures.values()
            if of == row and figure.direct is not None
        )

    def times_direct(self, row: Row, peer: str) -> float | None:
        """The median of what each pair says: how much longer it takes through this mirror."""
        return _median(
            figure.value / figure.direct
            for figure in self._of(row, peer).values()
            if row.unit == "s" and figure.direct
        )

    def advantage(self, row: Row, peer: str, other: str) -> float | None:
        """How many times better than the other; the median of what each round says."""
        ours, theirs = self._of(row, peer), self._of(row, other)
        pairs = [(ours[number].value, theirs[number].value) for number in ours if number in theirs]
        ratios = [one / two if row.more_is_better else two / one for one, two in pairs if one > 0]
        return _median(ratios if row.is_compared and len(ratios) == len(pairs) else [])

    def _of(self, row: Row, peer: str) -> dict[int, Figure]:
        return self.figures.get((row, peer), {})


def main(argv: Sequence[str] | None = None) -> int:
    """Start the upstream and each mirror in turn, measure, print the table. 1 if ours failed."""
    options = _parse(argv)
    missing = missing_uv() or missing_wrk()
    if missing:
        print(f"missing: {missing}", file=sys.stderr)
        return 1
    try:
        results = _run(options)
    except PeerFailed as failure:
        print(failure, file=sys.stderr)
        return 1
    for what, failed in results.failures.items():
        print(f"FAILED: {what}: {failed}")
    return 1 if any(what.startswith("simpleindex:") for what in results.failures) else 0


def _run(options: Options) -> Results:
    deadline = time.monotonic() + options.minutes_max * 60
    notes: list[str] = []
    peers = _installed([SimpleindexMirror(), *peers_besides_ours(options.peers)], notes)
    cores = choose_cores()
    if cores.load is not None:
        # Clients and the upstream, the rest of the world, keep off the mirrors' core.
        os.sched_setaffinity(0, {cores.load})
    with tempfile.TemporaryDirectory(dir=options.workdir, prefix="bench-") as name:
        folder = Path(name)
        say("writing the upstream's files")
        with upstream_serving(folder / "upstream", cores.load) as upstream:
            run = Run(upstream, folder, options.seconds, cores)
            results = _measure(peers, run, options.rounds, deadline)
            print(_table([peer.name for peer in peers], results))
            print()
            notes += _conditions(run, results, upstream)
            print("\n".join([describe_machine(folder), *notes]))
    return results


def _installed(peers: Sequence[MirrorPeer], notes: list[str]) -> list[MirrorPeer]:
    """Those that can be measured; notes on versions and on the others."""
    found = []
    for peer in peers:
        say(f"looking for {peer.name}")
        missing = peer.missing()
        notes.append(f"missing: {missing}" if missing else f"{peer.name}: {peer.version()}")
        if missing is None:
            found.append(peer)
    return found


def _measure(peers: Sequence[MirrorPeer], run: Run, rounds: int, deadline: float) -> Results:
    """Every mirror in every round, new each time; who is first changes with the round.

    No round begins that would not end before the deadline, but for the first.
    """
    results = Results()
    for number in range(rounds):
        started = time.monotonic()
        first = number % len(peers)
        for peer in (*peers[first:], *peers[:first]):
            folder = run.folder / f"{peer.name}-{number}"
            folder.mkdir()
            try:
                with peer.serving(run.upstream, folder, run.cores.server) as served:
                    _measure_one(served, run, number, results)
            except (PeerFailed, LoadFailed, OSError, http.client.HTTPException) as failure:
                results.failures[f"{peer.name}: start"] = str(failure)
            shutil.rmtree(folder)
        results.rounds += 1
        if 2 * time.monotonic() - started > deadline:
            break
    return results


def _measure_one(served: Served, run: Run, number: int, results: Results) -> None:
    for trial in _TRIALS:
        title = (trial.__doc__ or "").rstrip(".")
        say(f"round {number + 1}, {served.name}: {title}")
        try:
            for figure in trial(served, run):
                results.add(served.name, number, figure)
        except (LoadFailed, PeerFailed, OSError, http.client.HTTPException) as failure:
            results.failures[f"{served.name}: {title}"] = str(failure) or repr(failure)


def _small_pages(served: Served, run: Run) -> Iterator[Figure]:
    """Small pages."""
    yield _cold_pages(_COLD_SMALL, SMALL_PAGE_NAMES, SMALL_PAGE_FILES, served, run)
    yield _warm_pages(_WARM_SMALL, SMALL_PAGE_NAMES, served, run)


def _large_pages(served: Served, run: Run) -> Iterator[Figure]:
    """Large pages."""
    yield _cold_pages(_COLD_LARGE, LARGE_PAGE_NAMES, LARGE_PAGE_FILES, served, run)
    yield _warm_pages(_WARM_LARGE, LARGE_PAGE_NAMES, served, run)


def _cold_pages(row: Row, names: Sequence[str], files: int, served: Served, run: Run) -> Figure:
    """What the mirror adds: the median of pairs, each for a project that it has not seen."""
    added, direct = [], []
    for place, name in enumerate(names):
        mirrored = (served.port, served.json_page_path.format(project=name))
        original = (run.upstream.port, run.upstream.page_path.format(project=name))
        taken = {
            each: _page_seconds(*each, files) for each in _alternating(place, original, mirrored)
        }
        direct.append(taken[original])
        added.append(taken[mirrored] - taken[original])
    return Figure(
        row,
        statistics.median(added) * _MILLISECONDS,
        statistics.median(direct) * _MILLISECONDS,
    )


def _page_seconds(port: int, path: str, files: int) -> float:
    started = time.perf_counter()
    page = ask(port, path, JSON_PAGE_HEADERS)
    taken = time.perf_counter() - started
    links = file_paths(page, path) if page.status == 200 else {}
    if len(links) != files:
        raise LoadFailed(f"{path}: {page.status}, {len(links)} files of {files}")
    return taken


def _warm_pages(row: Row, names: Sequence[str], served: Served, run: Run) -> Figure:
    paths = tuple(served.json_page_path.format(project=name) for name in names)
    page = ask(served.port, paths[0], JSON_PAGE_HEADERS)
    target = Target(served.port, paths, JSON_PAGE_HEADERS, round(len(page.body) * 0.9))
    script = run.folder / "turn.lua"
    answers = run_wrk(target, script, seconds=run.seconds, core=run.cores.load)
    return Figure(row, answers.per_second)


def _resolving(served: Served, run: Run) -> Iterator[Figure]:
    """Resolving with uv."""
    for row in (_COLD_RESOLUTION, _WARM_RESOLUTION):
        direct = uv_seconds(run.upstream.url, RESOLVED_CHAIN, run.folder)
        yield Figure(row, uv_seconds(_index_url(served), RESOLVED_CHAIN, run.folder), direct)


def _installing(served: Served, run: Run) -> Iterator[Figure]:
    """Installing with pip."""
    for row in (_COLD_INSTALL, _WARM_INSTALL):
        direct = pip_seconds(run.upstream.url, INSTALLED_CHAIN, run.folder)
        yield Figure(row, pip_seconds(_index_url(served), INSTALLED_CHAIN, run.folder), direct)


def _slow_file(served: Served, run: Run) -> Iterator[Figure]:
    """A big file from a slow upstream."""
    yield from _big_file(SLOW_PROJECT, _SLOW_FILE, served, run)


def _fast_file(served: Served, run: Run) -> Iterator[Figure]:
    """A big file from a fast upstream."""
    yield from _big_file(FAST_PROJECT, _FAST_FILE, served, run)


@dataclass(frozen=True, slots=True)
class _BigFileRows:
    slowest: Row
    served: Row
    fetches: Row
    growth: Row


def _big_file(project: str, rows: _BigFileRows, served: Served, run: Run) -> Iterator[Figure]:
    """A file that the mirror has not seen, for many clients at once, beside one going direct."""
    filename = big_filename(project)
    page_path = run.upstream.page_path.format(project=project)
    original = file_paths(ask(run.upstream.port, page_path, JSON_PAGE_HEADERS), page_path)[filename]
    mirrored = served.file_path(project, filename)
    (direct,) = _downloads(run.upstream.port, original, clients=1)
    fetched_before = run.upstream.fetches(filename)
    with peak_of(served.server.pid) as peak:
        downloads = _downloads(served.port, mirrored, clients=CLIENTS)
    failures = [each.failure for each in downloads if each.failure]
    yield Figure(rows.served, CLIENTS - len(failures))
    yield Figure(rows.fetches, run.upstream.fetches(filename) - fetched_before)
    yield Figure(rows.growth, peak.growth_mb)
    if failures:
        raise LoadFailed(f"{len(failures)} of {CLIENTS} clients: {failures[0]}")
    yield Figure(rows.slowest, max(each.seconds for each in downloads), direct.seconds)


@dataclass(slots=True)
class _Download:
    """One client's; `seconds` from the moment at which all began."""

    seconds: float = 0.0
    failure: str = ""


def _downloads(port: int, path: str, *, clients: int) -> list[_Download]:
    """As many clients at once, each in a thread of its own."""
    downloads = [_Download() for _ in range(clients)]
    together = threading.Barrier(clients)
    threads = [
        threading.Thread(target=_download, args=(port, path, together, each)) for each in downloads
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return downloads


def _download(port: int, path: str, together: threading.Barrier, download: _Download) -> None:
    buffer = bytearray(_READ_BYTES)
    together.wait()
    started = time.perf_counter()
    try:
        with _answer_to(port, path) as answer:
            size_bytes = 0
            while count := answer.readinto(buffer):
                size_bytes += count
        if answer.status != 200 or size_bytes < BIG_FILE_BYTES:
            download.failure = f"{answer.status}, {size_bytes} bytes"
    except (OSError, http.client.HTTPException) as error:
        download.failure = repr(error)
    download.seconds = time.perf_counter() - started


@contextmanager
def _answer_to(port: int, path: str) -> Iterator[http.client.HTTPResponse]:
    """The answer, of whoever the client is sent to. Raises OSError, HTTPException."""
    for _ in range(_REDIRECTS_MAX):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_SECONDS_MAX)
        try:
            connection.request("GET", path, headers=FILE_HEADERS)
            answer = connection.getresponse()
            location = answer.getheader("Location")
            if answer.status not in {301, 302, 307, 308} or location is None:
                yield answer
                return
            there = urlsplit(location)
            port, path = there.port or port, there.path
        finally:
            connection.close()
    raise http.client.HTTPException("too many redirects")


_COLD_SMALL = Row(f"cold page of {SMALL_PAGE_FILES} files, added", "ms")
_COLD_LARGE = Row(f"cold page of {LARGE_PAGE_FILES:,} files, added", "ms")
_WARM_SMALL = Row(f"warm pages of {SMALL_PAGE_FILES} files", "answers/s", more_is_better=True)
_WARM_LARGE = Row(f"warm pages of {LARGE_PAGE_FILES:,} files", "answers/s", more_is_better=True)
_COLD_RESOLUTION = Row(f"uv resolves {CHAIN_PROJECTS} projects, cold", "s")
_WARM_RESOLUTION = Row(f"uv resolves {CHAIN_PROJECTS} projects, warm", "s")
_COLD_INSTALL = Row(f"pip installs {CHAIN_PROJECTS} projects, cold", "s")
_WARM_INSTALL = Row(f"pip installs {CHAIN_PROJECTS} projects, warm", "s")


def _big_file_rows(title: str) -> _BigFileRows:
    return _BigFileRows(
        slowest=Row(f"{title}: slowest of {CLIENTS}", "s"),
        served=Row(f"{title}: served of {CLIENTS}", "clients", is_compared=False),
        fetches=Row(f"{title}: upstream asked", "times", is_compared=False),
        growth=Row(f"{title}: server grew", "MB", is_compared=False),
    )


_FILE_SIZE = f"{BIG_FILE_BYTES // MB} MB"
_SLOW_FILE = _big_file_rows(f"{_FILE_SIZE} at {SLOW_BYTES_PER_SECOND // MB} MB/s")
_FAST_FILE = _big_file_rows(f"{_FILE_SIZE} at full speed")

_TRIALS: tuple[Callable[[Served, Run], Iterator[Figure]], ...] = (
    _small_pages,
    _large_pages,
    _resolving,
    _installing,
    _slow_file,
    _fast_file,
)

_ROWS = (
    _COLD_SMALL,
    _COLD_LARGE,
    _WARM_SMALL,
    _WARM_LARGE,
    _COLD_RESOLUTION,
    _WARM_RESOLUTION,
    _COLD_INSTALL,
    _WARM_INSTALL,
    *(_SLOW_FILE.slowest, _SLOW_FILE.served, _SLOW_FILE.fetches, _SLOW_FILE.growth),
    *(_FAST_FILE.slowest, _FAST_FILE.served, _FAST_FILE.fetches, _FAST_FILE.growth),
)


def _index_url(served: Served) -> str:
    return f"http://127.0.0.1:{served.port}{served.html_page_path.partition('{')[0]}"


def _alternating(place: int, *each: tuple[int, str]) -> Iterator[tuple[int, str]]:
    """All of them, each second time in the other order."""
    return iter(each) if place % 2 else reversed(each)


def _median(values: Iterable[float]) -> float | None:
    found = list(values)
    return statistics.median(found) if found else None


def _table(peers: Sequence[str], results: Results) -> str:
    ours, *others = peers
    head = ["", "unit", "direct", *peers, "x direct", *(f"x {other}" for other in others)]
    lines = [head]
    for row in _ROWS:
        figures = [results.direct(row), *(results.value(row, peer) for peer in peers)]
        ratios = [
            results.times_direct(row, ours),
            *(results.advantage(row, ours, other) for other in others),
        ]
        lines.append([row.title, row.unit, *map(_figure, figures), *map(ratio_text, ratios)])
    return aligned(lines)


def _figure(figure: float | None) -> str:
    if figure is None:
        return "-"
    if abs(figure) >= 100:
        return f"{figure:,.0f}"
    return f"{figure:.0f}" if figure == round(figure) else f"{figure:.2f}"


def _conditions(run: Run, results: Results, upstream: Upstream) -> list[str]:
    pinning = (
        f"mirrors on core {run.cores.server}, clients and upstream on core {run.cores.load}"
        if run.cores.load is not None
        else "NOT pinned: mirrors, clients and upstream share the cores"
    )
    return [
        f"upstream: {upstream.version}, on this machine: no distance to it is part of the figures",
        f"median of {results.rounds} rounds, in each a new mirror of each kind; {pinning}",
        "cold: the mirror has not seen it; warm: it has. uv and pip start with empty caches always",
        "x direct: how much longer it takes through ours; x others: how many times better ours is",
        "devpi-server passes core metadata on, by its two settings for that; proxpi has a thread",
        "for each client, and sends clients to the upstream after 0.9 s of waiting",
    ]


def _parse(argv: Sequence[str] | None) -> Options:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mirror", description=__doc__)
    parser.add_argument("--seconds", type=int, default=2, help="for each figure of warm pages")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--peers", default=",".join(PEERS), help="besides ours; of: devpi,proxpi (default: all)"
    )
    parser.add_argument("--minutes-max", type=float, default=10.0, help="ends after fewer rounds")
    parser.add_argument("--workdir", type=Path, help="a folder on the disk to measure")
    parsed = parser.parse_args(argv)
    peers = tuple(filter(None, parsed.peers.split(",")))
    unknown = set(peers) - set(PEERS)
    if unknown:
        parser.error(f"unknown peers: {', '.join(sorted(unknown))}; there are {', '.join(PEERS)}")
    return Options(
        seconds=parsed.seconds,
        rounds=parsed.rounds,
        peers=peers,
        minutes_max=parsed.minutes_max,
        workdir=parsed.workdir,
    )


if __name__ == "__main__":
    sys.exit(main())
