"""What is asked of each server in `first_table`, and how a figure comes about."""

import resource
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.asking import FILE_HEADERS, HTML_PAGE_HEADERS, JSON_PAGE_HEADERS, ask, file_paths
from benchmarks.corpus import Corpus, Project
from benchmarks.lineup import LOGGING, SYNCING_ONCE
from benchmarks.load import (
    Answers,
    LoadFailed,
    Target,
    login_headers,
    prepare_uploads,
    run_uploads,
    run_wrk,
)
from benchmarks.peers import Served
from benchmarks.processes import Cores
from benchmarks.usage import processor_seconds

# More than any of the peers takes in a second and on one core.
_UPLOADS_PER_SECOND_MAX = 1_500
_WARM_UP_SECONDS = 1

# Of all connections together: in two seconds a slower server might not end one answer.
_SLOW_PER_SECOND = 10.0
_SLOW_SECONDS = 6


@dataclass(frozen=True, slots=True)
class Run:
    """What a row needs, besides a server, to measure once."""

    corpus: Corpus
    folder: Path
    seconds: int
    cores: Cores


@dataclass(frozen=True, slots=True)
class Measured:
    """A figure, and how much of its core the server used the while, and the load of its own.

    Where the server used less than all of it, something else held the figure down: the load, the
    disk or a neighbour.
    """

    figure: float
    server_share: float
    load_share: float

    @property
    def per_core(self) -> "Measured":
        """The figure for a second of the server's processor time instead of one on the wall."""
        return replace(self, figure=self.figure / self.server_share)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. `measure` gives None where a server cannot do this at all."""

    title: str
    unit: str
    measure: Callable[[Served, Run, int], Measured | None]
    variant: str | None = None
    """Of ours, which is measured, too: one of `lineup.VARIANTS`."""


def _small_html(peer: Served, run: Run, _: int) -> Measured:
    return _pages(peer, run, run.corpus.small_projects[:1], peer.html_page_path, HTML_PAGE_HEADERS)


def _small_json(peer: Served, run: Run, _: int) -> Measured:
    return _pages(peer, run, run.corpus.small_projects[:1], peer.json_page_path, JSON_PAGE_HEADERS)


def _small_json_in_turn(peer: Served, run: Run, _: int) -> Measured:
    return _pages(peer, run, run.corpus.small_projects, peer.json_page_path, JSON_PAGE_HEADERS)


def _unlike_json(peer: Served, run: Run, _: int) -> Measured | None:
    if peer.repeats:
        return None
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


def _metadata(peer: Served, run: Run, _: int) -> Measured | None:
    project = run.corpus.small_projects[0]
    path = peer.metadata_of(project.name, project.filenames[0])
    answer = ask(peer.port, path, FILE_HEADERS)
    if answer.status == 404:
        return None
    if answer.status != 200 or not answer.body.startswith(b"Metadata-Version"):
        raise LoadFailed(f"{path}: {answer.status}")
    target = Target(peer.port, (path,), FILE_HEADERS, body_bytes_min=len(answer.body))
    return _read(peer, run, target, lambda answers: answers.per_second)


def _big_file(peer: Served, run: Run, _: int) -> Measured | None:
    if peer.repeats:  # from memory: no server should
        return None
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
    headers = peer.upload_headers or login_headers(peer)
    with _watched(peer) as measured:
        rate = run_uploads(peer, uploads, headers, connections=connections, seconds_max=run.seconds)
    return measured(rate)


def _read(peer: Served, run: Run, target: Target, figure: Callable[[Answers], float]) -> Measured:
    script, core = run.folder / "turn.lua", run.cores.load
    # What is asked for is not new to anybody: nginx opens its files, we make our pages.
    warm_up = run_wrk(target, script, seconds=_WARM_UP_SECONDS, core=core)
    is_slow = warm_up.per_second < _SLOW_PER_SECOND
    seconds = max(run.seconds, _SLOW_SECONDS) if is_slow else run.seconds
    with _watched(peer) as measured:
        answers = run_wrk(target, script, seconds=seconds, core=core)
    return measured(figure(answers))


@contextmanager
def _watched(peer: Served) -> Iterator[Callable[[float], Measured]]:
    """Afterwards the function adds to a figure what server and load used in the block."""
    pid = peer.server.pid
    began, server_began, load_began = time.perf_counter(), processor_seconds(pid), _load_seconds()
    shares: list[float] = []
    yield lambda figure: Measured(figure, *shares)
    wall = time.perf_counter() - began
    shares += [
        (processor_seconds(pid) - server_began) / wall,
        (_load_seconds() - load_began) / wall,
    ]


def _load_seconds() -> float:
    """What this process and its children that have ended, wrk among them, used of processors."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


ROWS = (
    Row("page of 5 files, HTML", "answers/s", _small_html),
    Row("page of 5 files, JSON", "answers/s", _small_json, variant=LOGGING),
    Row("500 such pages in turn, JSON", "answers/s", _small_json_in_turn, variant=LOGGING),
    Row("and no two requests alike, JSON", "answers/s", _unlike_json),
    Row("page of 2,000 files, HTML", "answers/s", _large_html),
    Row("page of 2,000 files, JSON", "answers/s", _large_json),
    Row("304 of a page, JSON", "answers/s", _not_modified),
    Row("metadata of a wheel", "answers/s", _metadata),
    Row("file of 1 KB", "answers/s", _small_file),
    Row("file of 100 MB", "MB/s", _big_file),
    Row("uploads on 1 connection", "uploads/s", _uploads_on_one, variant=SYNCING_ONCE),
    Row("uploads on 8 connections", "uploads/s", _uploads_on_eight, variant=SYNCING_ONCE),
)
