"""How soon does our server answer, and how much memory does it take? Run with --help."""

import argparse
import base64
import hashlib
import http.client
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.asking import (
    ANSWER_SECONDS_MAX,
    FILE_HEADERS,
    HTML_PAGE_HEADERS,
    JSON_PAGE_HEADERS,
    ask,
    file_paths,
    read_answer,
)
from benchmarks.corpus import Corpus, build_corpus
from benchmarks.machine import describe_machine
from benchmarks.peers import ROOT_PASSWORD, fill_simpleindex, our_environment, serve_command
from benchmarks.processes import (
    Cores,
    PeerFailed,
    Server,
    choose_cores,
    pinned,
    running,
)
from benchmarks.tables import say
from benchmarks.usage import MB, Peak, peak_of, processor_seconds, resident_bytes
from tests.builders import BOUNDARY, a_big_wheel, a_multipart_body

PAGE_PATH = "/root/local/+simple/{project}/"
UPLOAD_PATH = "/root/local/"

START_SECONDS_TARGET = 0.5
IDLE_MB_TARGET = 64
GROWTH_MB_TARGET = 32

_BLOCK_BYTES = 1 << 20
_HUGE_PROJECT = "bench-huge"
_HUGE_FILENAME = "bench_huge-1.0-py3-none-any.whl"


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table; `target` is the most it may be, None where nothing is promised."""

    title: str
    value: float
    unit: str
    target: float | None = None

    @property
    def met(self) -> bool:
        return self.target is None or self.value <= self.target


@dataclass(frozen=True, slots=True)
class Stored:
    """A server directory of ours, and what lies in it."""

    serverdir: Path
    corpus: Corpus


@dataclass(frozen=True, slots=True)
class HugeFile:
    """A large wheel on the disk."""

    path: Path
    sha256: str


@dataclass(frozen=True, slots=True)
class Start:
    """From the start of the process to the first whole answer."""

    seconds: float
    processor_seconds: float


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print the table. 1 when a target is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.footprint", description=__doc__)
    parser.add_argument("--starts", type=int, default=5, help="starts per figure (the median)")
    parser.add_argument("--huge-bytes", type=int, default=1_000_000_000)
    parser.add_argument("--workdir", type=Path, help="a folder on the disk to measure")
    options = parser.parse_args(argv)
    try:
        figures = _run(options.workdir, options.starts, options.huge_bytes)
    except PeerFailed as failure:
        print(failure, file=sys.stderr)
        return 1
    return 0 if all(figure.met for figure in figures) else 1


def _run(workdir: Path | None, starts: int, huge_bytes: int) -> list[Figure]:
    cores = choose_cores()
    if cores.load is not None:
        os.sched_setaffinity(0, {cores.load})
    with tempfile.TemporaryDirectory(dir=workdir, prefix="bench-") as name:
        folder = Path(name)
        say("filling two server directories")
        few = _fill(folder / "few", projects=1, files=1)
        many = _fill(folder / "many", projects=1_000, files=5)
        figures = [
            *_start_figures(few, many, cores, starts),
            *_idle_figures(many, cores),
            *_huge_file_figures(few, _write_huge_file(folder, huge_bytes), cores),
        ]
        print(_table(figures))
        print()
        print(describe_machine(folder))
        print("resident memory (RSS) of all its processes; MB are 1,000,000 bytes")
    return figures


def _fill(folder: Path, *, projects: int, files: int) -> Stored:
    corpus = build_corpus(
        folder / "wheels",
        small_projects=projects,
        files_per_project=files,
        large_project_files=0,
        big_file_bytes=0,
    )
    serverdir = folder / "serverdir"
    fill_simpleindex(serverdir, corpus.wheels)
    return Stored(serverdir=serverdir, corpus=corpus)


def _start_figures(few: Stored, many: Stored, cores: Cores, starts: int) -> list[Figure]:
    """In turns, so that both meet the same machine. The system's file cache is warm."""
    # A project page needs a project: `few` is the emptiest directory that has one.
    taken: dict[str, tuple[Stored, list[Start]]] = {
        "1 file stored": (few, []),
        "5,000 files stored": (many, []),
    }
    for number in range(starts):
        say(f"start {number + 1} of {starts}")
        for stored, measured in taken.values():
            measured.append(_start_once(stored, cores))
    figures = []
    for title, (_, measured) in taken.items():
        seconds = statistics.median(start.seconds for start in measured)
        used = statistics.median(start.processor_seconds for start in measured)
        figures += [
            Figure(f"start to first page, {title}", seconds, "s", START_SECONDS_TARGET),
            Figure("  of that, processor time", used, "s"),
        ]
    return figures


def _start_once(stored: Stored, cores: Cores) -> Start:
    path = PAGE_PATH.format(project=stored.corpus.small_projects[0].name)
    started = time.perf_counter()
    with _serving(stored, cores) as (server, port):
        _expect(ask(port, path, JSON_PAGE_HEADERS).status == 200, f"{path} at start")
        return Start(time.perf_counter() - started, processor_seconds(server.pid))


def _idle_figures(stored: Stored, cores: Cores) -> list[Figure]:
    say("idle memory")
    with _serving(stored, cores) as (server, port):
        at_start_bytes = resident_bytes(server.pid)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_SECONDS_MAX)
        for project in stored.corpus.small_projects[:1_000]:
            path = PAGE_PATH.format(project=project.name)
            connection.request("GET", path, headers=JSON_PAGE_HEADERS)
            _expect(read_answer(connection).status == 200, path)
        connection.close()
        after_bytes = resident_bytes(server.pid)
    return [
        Figure("memory after start", at_start_bytes / MB, "MB", IDLE_MB_TARGET),
        Figure("memory after 1,000 pages", after_bytes / MB, "MB", IDLE_MB_TARGET),
    ]


def _huge_file_figures(stored: Stored, huge: HugeFile, cores: Cores) -> list[Figure]:
    size_mb = huge.path.stat().st_size / MB
    with _serving(stored, cores) as (server, port):
        # What a first request loads is no growth through the file.
        ask(port, PAGE_PATH.format(project=stored.corpus.small_projects[0].name), FILE_HEADERS)
        say(f"{size_mb:,.0f} MB in")
        started = time.perf_counter()
        with peak_of(server.pid) as upload_peak:
            _upload(port, huge)
        upload_seconds = time.perf_counter() - started
        say(f"{size_mb:,.0f} MB out")
        started = time.perf_counter()
        with peak_of(server.pid) as download_peak:
            _download(port, huge)
        download_seconds = time.perf_counter() - started
    return [
        _growth(f"memory growth, {size_mb:,.0f} MB in", upload_peak),
        _growth(f"memory growth, {size_mb:,.0f} MB out", download_peak),
        Figure(f"{size_mb:,.0f} MB in", size_mb / upload_seconds, "MB/s"),
        Figure(f"{size_mb:,.0f} MB out", size_mb / download_seconds, "MB/s"),
    ]


def _growth(title: str, peak: Peak) -> Figure:
    how = " (sampled)" if peak.sampled else ""
    return Figure(title + how, peak.growth_mb, "MB", GROWTH_MB_TARGET)


@contextmanager
def _serving(stored: Stored, cores: Cores) -> Iterator[tuple[Server, int]]:
    command = pinned(serve_command(stored.serverdir), cores.server)
    with running(command, our_environment()) as server:
        yield server, server.announced_port()


def _write_huge_file(folder: Path, size_bytes: int) -> HugeFile:
    say("writing a huge wheel")
    path = folder / _HUGE_FILENAME
    a_big_wheel(path, size_bytes)
    with path.open("rb") as file:
        return HugeFile(path=path, sha256=hashlib.file_digest(file, "sha256").hexdigest())


def _upload(port: int, huge: HugeFile) -> None:
    head, tail = _form_around(huge)
    credentials = base64.b64encode(f"root:{ROOT_PASSWORD}".encode()).decode()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_SECONDS_MAX)
    connection.putrequest("POST", UPLOAD_PATH)
    connection.putheader("Authorization", f"Basic {credentials}")
    connection.putheader("Content-Type", f"multipart/form-data; boundary={BOUNDARY}")
    size_bytes = len(head) + huge.path.stat().st_size + len(tail)
    connection.putheader("Content-Length", str(size_bytes))
    connection.endheaders(head)
    with huge.path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            connection.send(block)
    connection.send(tail)
    answer = read_answer(connection)
    connection.close()
    _expect(answer.status == 200, f"upload: {answer.status} {answer.body[:200]!r}")


def _form_around(huge: HugeFile) -> tuple[bytes, bytes]:
    """What stands before and after the file's bytes in an upload's body."""
    fields = [
        (":action", "file_upload"),
        ("protocol_version", "1"),
        ("metadata_version", "2.1"),
        ("name", _HUGE_PROJECT),
        ("version", "1.0"),
        ("filetype", "bdist_wheel"),
        ("pyversion", "py3"),
        ("sha256_digest", huge.sha256),
    ]
    mark = b"<the bytes of the file>"
    _, body = a_multipart_body(fields, ("content", huge.path.name, mark))
    head, _, tail = body.partition(mark)
    return head, tail


def _download(port: int, huge: HugeFile) -> None:
    page_path = PAGE_PATH.format(project=_HUGE_PROJECT)
    path = file_paths(ask(port, page_path, HTML_PAGE_HEADERS), page_path)[huge.path.name]
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_SECONDS_MAX)
    connection.request("GET", path, headers=FILE_HEADERS)
    response = connection.getresponse()
    digest = hashlib.sha256()
    while block := response.read(_BLOCK_BYTES):
        digest.update(block)
    connection.close()
    _expect(digest.hexdigest() == huge.sha256, f"download: {response.status}, other bytes")


def _expect(held: bool, what: str) -> None:
    if not held:
        raise PeerFailed(f"simpleindex: {what}")


def _table(figures: Sequence[Figure]) -> str:
    width = max(len(figure.title) for figure in figures)
    lines = [
        f"{figure.title:<{width}}  {figure.value:>8.2f} {figure.unit:<4}  {_verdict(figure)}"
        for figure in figures
    ]
    return "\n".join(line.rstrip() for line in lines)


def _verdict(figure: Figure) -> str:
    if figure.target is None:
        return ""
    return f"target <= {figure.target:g} {figure.unit}{'' if figure.met else '  MISSED'}"


if __name__ == "__main__":
    sys.exit(main())
