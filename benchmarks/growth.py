"""What does it cost to have a million files? Run with --help."""

import argparse
import base64
import http.client
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path

from benchmarks.asking import (
    ANSWER_SECONDS_MAX,
    HTML_PAGE_HEADERS,
    JSON_PAGE_HEADERS,
    ask,
    read_answer,
)
from benchmarks.chart import log_log_chart
from benchmarks.corpus import small_wheel
from benchmarks.grown import FILES_PER_PROJECT, INDEX, Growth, grow, large_name, small_name
from benchmarks.machine import describe_machine
from benchmarks.peers import ROOT_PASSWORD, our_environment, serve_command
from benchmarks.processes import PeerFailed, Server, choose_cores, pinned, running
from benchmarks.tables import say
from benchmarks.usage import MB, processor_seconds, resident_bytes
from tests.builders import an_upload_body

SIZES = (1_000, 10_000, 100_000, 1_000_000)
LARGE_PROJECTS = (2_000, 20_000)

START_SECONDS_TARGET = 0.5
RESIDENT_MB_TARGET = 128
FLAT_TARGET = 2.0
"""With any number of files, what is flat takes at most so many times what it takes with the fewest:
machines are noisy."""

_PAGES = 50
_AGAIN = 2_000
"""How often one of them is asked for again: half a second, for some moments are twice as slow."""
_UPLOADS = 20
_STARTS = 3
_FORMS = {"JSON": JSON_PAGE_HEADERS, "HTML": HTML_PAGE_HEADERS}


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table."""

    title: str
    unit: str
    target: float | None = None
    """The most it may be; None: nothing is promised of it by itself."""
    is_flat: bool = False
    """Whether it shall not depend on the number of files."""
    values: dict[int, float] = field(default_factory=dict)
    """By the number of files."""

    @property
    def most(self) -> float | None:
        """The most it may be, also in comparison with the fewest files."""
        bounds = [] if self.target is None else [self.target]
        if self.is_flat and self.values:
            bounds.append(FLAT_TARGET * self.values[min(self.values)])
        return min(bounds, default=None)

    @property
    def met(self) -> bool:
        return self.most is None or all(each <= self.most for each in self.values.values())


class Table:
    """Lines in the order in which they were measured first."""

    def __init__(self) -> None:
        self.lines: dict[str, Line] = {}

    def put(
        self,
        files: int,
        title: str,
        value: float,
        unit: str = "ms",
        target: float | None = None,
        *,
        is_flat: bool = False,
    ) -> None:
        line = self.lines.setdefault(title, Line(title, unit, target, is_flat))
        line.values[files] = value

    def markdown(self) -> str:
        sizes = sorted({files for line in self.lines.values() for files in line.values})
        heads = ["", *(f"{files:,} files" for files in sizes), "target"]
        rows = [heads, ["---", *("---:" for _ in sizes), "---:"]]
        for line in self.lines.values():
            figures = [_figure(line.values.get(files), line.unit) for files in sizes]
            missed = "" if line.met else " **missed**"
            target = "" if line.most is None else f"{line.most:.3g} {line.unit}{missed}"
            rows.append([line.title, *figures, target])
        return "\n".join(f"| {' | '.join(row)} |" for row in rows)

    def chart(self) -> str:
        shown = {
            line.title: {float(files): value for files, value in line.values.items()}
            for line in self.lines.values()
            if line.title in _CHARTED
        }
        return log_log_chart(
            "What the number of files costs", "files in the index", "milliseconds", shown
        )


_START, _PAGE, _LIST_BEGINS, _LIST = (
    "start, processor time",
    "page of 5 files, first time",
    "project list as JSON, first byte",
    "project list as JSON, whole",
)
_UPLOAD = "upload of one file"
_LARGE_UPLOAD = f"upload into {LARGE_PROJECTS[-1]:,} files"
_LARGE_PAGE = f"page of {LARGE_PROJECTS[-1]:,} files, one more"
_CHARTED = (_START, _PAGE, _LARGE_PAGE, _UPLOAD, _LARGE_UPLOAD, _LIST_BEGINS, _LIST)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print the table. 1 when a target is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument(
        "--files", type=int, nargs="+", default=SIZES, help="how many, besides two large projects"
    )
    parser.add_argument("--svg", type=Path, help="where to write the chart")
    parser.add_argument("--workdir", type=Path, help="a folder on the disk to measure")
    options = parser.parse_args(argv)
    table = Table()
    with tempfile.TemporaryDirectory(dir=options.workdir, prefix="bench-") as name:
        try:
            for files in options.files:
                serverdir = Path(name) / str(files)
                say(f"{files:,} files: filling")
                growth = Growth(files // FILES_PER_PROJECT, LARGE_PROJECTS)
                grow(serverdir, growth, password=ROOT_PASSWORD)
                _measure(table, files, growth, serverdir)
        except PeerFailed as failure:
            print(failure, file=sys.stderr)
            return 1
        print(table.markdown())
        print()
        print(describe_machine(Path(name)))
    print("besides the files that are named, each index has a project of 2,000 and one of 20,000;")
    print("memory is that of all processes (RSS); MB are 1,000,000 bytes")
    if options.svg is not None:
        options.svg.write_text(table.chart())
    return 0 if all(line.met for line in table.lines.values()) else 1


def _measure(table: Table, files: int, growth: Growth, serverdir: Path) -> None:
    put = partial(table.put, files)
    say(f"{files:,} files: measuring")
    starts = [_start(serverdir) for _ in range(_STARTS)]
    put("start to the first answer", statistics.median(seconds for seconds, _ in starts) * 1_000)
    used = statistics.median(used for _, used in starts) * 1_000
    put(_START, used, target=START_SECONDS_TARGET * 1_000)
    with _serving(serverdir) as (server, port):
        client = _Client(server, port)
        put("memory after start", resident_bytes(server.pid) / MB, "MB")
        _measure_pages(put, client, growth)
        _measure_uploads(put, client, growth)
        _measure_lists(put, client)
        ended = resident_bytes(server.pid) / MB
        put("memory at the end", ended, "MB", RESIDENT_MB_TARGET)


_Put = Callable[..., None]


def _measure_pages(put: _Put, client: "_Client", growth: Growth) -> None:
    put("`/+status`", client.milliseconds("/+status"))
    first = range(0, growth.small_projects, max(1, growth.small_projects // _PAGES))
    pages = [f"/{INDEX}/+simple/{small_name(number)}/" for number in first]
    put(_PAGE, statistics.median([client.milliseconds(page) for page in pages]), is_flat=True)
    again = [client.milliseconds(pages[0]) for _ in range(_AGAIN)]
    put("page of 5 files, again", statistics.median(again), is_flat=True)
    for files in growth.large_projects:
        page = f"/{INDEX}/+simple/{large_name(files)}/"
        put(f"page of {files:,} files, first time", client.milliseconds(page))
        put(f"page of {files:,} files, again", client.milliseconds(page))


def _measure_uploads(put: _Put, client: "_Client", growth: Growth) -> None:
    client.upload("bench-first")  # what a first request loads is no cost of an upload
    small = [client.upload(small_name(number)) for number in range(_UPLOADS)]
    put(_UPLOAD, statistics.median(small), is_flat=True)
    largest = large_name(growth.large_projects[-1])
    uploads = [client.upload(largest) for _ in range(_UPLOADS)]
    put(_LARGE_UPLOAD, statistics.median(uploads), is_flat=True)
    page = f"/{INDEX}/+simple/{largest}/"
    changed = []
    for _ in range(_STARTS):
        client.milliseconds(page)
        client.upload(largest)
        changed.append(client.milliseconds(page))
    put(_LARGE_PAGE, statistics.median(changed))


def _measure_lists(put: _Put, client: "_Client") -> None:
    path = f"/{INDEX}/+simple/"
    for form, headers in _FORMS.items():
        before = client.resident_mb()
        listed = client.listed(path, headers)
        put(f"project list as {form}, first byte", listed.first_byte_ms)
        put(f"project list as {form}, whole", listed.whole_ms)
        put(f"project list as {form}, growth of memory", client.resident_mb() - before, "MB")


@dataclass(frozen=True, slots=True)
class _Listed:
    first_byte_ms: float
    whole_ms: float


class _Client:
    """Somebody who asks a server again and again, over one connection."""

    def __init__(self, server: Server, port: int) -> None:
        self._server = server
        self._port = port
        self._minor = count(1_000)  # above those that there are
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_SECONDS_MAX)

    def resident_mb(self) -> float:
        return resident_bytes(self._server.pid) / MB

    def milliseconds(self, path: str, headers: Mapping[str, str] = JSON_PAGE_HEADERS) -> float:
        """How long a whole answer takes."""
        begun = time.perf_counter()
        self._connection.request("GET", path, headers=dict(headers))
        answer = read_answer(self._connection)
        taken = time.perf_counter() - begun
        _expect(answer.status == 200, f"{path}: {answer.status}")
        return taken * 1_000

    def listed(self, path: str, headers: Mapping[str, str]) -> _Listed:
        """How long the first byte of an answer takes, and all of it, without keeping it."""
        begun = time.perf_counter()
        self._connection.request("GET", path, headers=dict(headers))
        response = self._connection.getresponse()
        response.read(1)
        first_byte = time.perf_counter() - begun
        while response.read(1 << 16):
            pass
        _expect(response.status == 200, f"{path}: {response.status}")
        return _Listed(first_byte * 1_000, (time.perf_counter() - begun) * 1_000)

    def upload(self, project: str) -> float:
        """How long it takes to upload a file of a new version."""
        wheel = small_wheel(project, f"1.{next(self._minor)}")
        content_type, body = an_upload_body(wheel)
        credentials = base64.b64encode(f"root:{ROOT_PASSWORD}".encode()).decode()
        headers = {"Content-Type": content_type, "Authorization": f"Basic {credentials}"}
        begun = time.perf_counter()
        self._connection.request("POST", f"/{INDEX}/", body, headers)
        answer = read_answer(self._connection)
        taken = time.perf_counter() - begun
        _expect(answer.status == 200, f"upload: {answer.status} {answer.body[:200]!r}")
        return taken * 1_000


def _start(serverdir: Path) -> tuple[float, float]:
    """From the start of the process to the first whole answer: seconds, and processor seconds."""
    begun = time.perf_counter()
    with _serving(serverdir) as (server, port):
        path = f"/{INDEX}/+simple/{small_name(0)}/"
        _expect(ask(port, path, JSON_PAGE_HEADERS).status == 200, f"{path} at start")
        return time.perf_counter() - begun, processor_seconds(server.pid)


@contextmanager
def _serving(serverdir: Path) -> Iterator[tuple[Server, int]]:
    command = pinned(serve_command(serverdir), choose_cores().server)
    with running(command, our_environment()) as server:
        yield server, server.announced_port()


def _expect(held: bool, what: str) -> None:
    if not held:
        raise PeerFailed(f"simpleindex: {what}")


def _figure(value: float | None, unit: str) -> str:
    if value is None:
        return "-"
    return f"{value:,.1f} {unit}" if value < 100 else f"{value:,.0f} {unit}"


if __name__ == "__main__":
    sys.exit(main())
