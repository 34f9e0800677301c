"""Four processes, writers and readers: nobody reads what is older than an answered write.

Each answer carries the serial of a state; a read shows that state or a later one, whichever
process it came from, and a write that was answered is in all reads that begin after that.
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from threading import Condition, Event

import pytest

from tests.builders import BuiltFile, a_wheel
from tests.server import running_server
from tests.serving.clients import Answer, Root, root_of

INDEX = "root/dev"
PROJECTS = 3
READERS = 4
PATIENCE_SECONDS = 1.0
"""Of a writer with readers, some of whom have ended when all is over."""


@dataclass(frozen=True, slots=True)
class Write:
    """A change of one file that was answered: its bytes then, or that it is gone."""

    serial: int
    filename: str
    sha256: str | None


@dataclass(frozen=True, slots=True)
class Read:
    """A page that was asked for when some writes had been answered."""

    known: int
    """So many of the project's writes."""
    serial: int
    files: dict[str, str]


@dataclass(slots=True)
class History:
    """What one writer did to its project, and what readers saw of it."""

    project: str
    reads_each: int = 0
    """How many reads there are at least between two writes."""
    writes: list[Write] = field(default_factory=list)
    reads: list[Read] = field(default_factory=list)
    lock: Condition = field(default_factory=Condition)
    """Whoever holds it may change the lists; reads are told to who waits for it."""


@pytest.mark.parametrize(
    ("workers", "seconds"),
    [(4, 3.0), pytest.param(4, 60.0, marks=pytest.mark.full)],
    ids=["short", "long"],
)
def test_no_read_is_older_than_an_answered_write(
    tmp_path: Path, workers: int, seconds: float
) -> None:
    histories = [History(f"demo-{number}") for number in range(PROJECTS)]
    read_and_write(tmp_path / "data", workers, seconds, histories)


@pytest.mark.parametrize("workers", [1, 4])
def test_no_answer_that_is_given_again_is_older_than_an_answered_write(
    tmp_path: Path, workers: int
) -> None:
    """Where what was written is read often enough between two writes to be kept whole."""
    history = History("demo", reads_each=20 * workers)
    read_and_write(tmp_path / "data", workers, 3.0, [history])
    assert len(history.reads) > 5 * history.reads_each


def read_and_write(
    serverdir: Path, workers: int, seconds: float, histories: Sequence["History"]
) -> None:
    """Let some write and others read for a while, and look at what they have seen."""
    options = (f"--workers={workers}", "--no-access-log")
    with running_server(serverdir, *options) as server:
        root = root_of(server)
        root.make_index(INDEX)
        over = Event()
        with ThreadPoolExecutor(len(histories) + READERS) as threads:
            jobs = [threads.submit(write_on, root, each, over) for each in histories]
            for number in range(READERS):
                # Only what anybody may see is kept whole.
                read = root.page_as_anybody if number % 2 else root.page
                jobs.append(threads.submit(read_on, read, histories, Random(number), over))
            time.sleep(seconds)
            over.set()
            for job in jobs:
                job.result()
    for history in histories:
        assert [read for read in history.reads if not is_fresh(read, history.writes)] == []
        assert len(history.writes) > 5 and len(history.reads) > 5


def write_on(root: Root, history: History, over: Event) -> None:
    """Upload, replace and remove the same few files, over and over."""
    turn = 0
    while not over.is_set():
        built = a_wheel(
            history.project, f"1.{turn % 3}", extra_files={f"{history.project}/n": b"%d" % turn}
        )
        wait_for_readers(history)
        answer = root.upload(built, INDEX)
        assert answer.status == 200, answer
        note(history, Write(answer.serial, built.filename, built.sha256))
        if turn % 5 == 4:
            gone = root.ask("DELETE", f"/{INDEX}/{history.project}/1.{turn % 3}")
            assert gone.status == 200, gone
            note(history, Write(gone.serial, built.filename, None))
        turn += 1


def wait_for_readers(history: History) -> None:
    """Until the page was read often enough, or nobody reads any more."""
    with history.lock:
        wanted = len(history.reads) + history.reads_each
        history.lock.wait_for(lambda: len(history.reads) >= wanted, PATIENCE_SECONDS)


def note(history: History, write: Write) -> None:
    with history.lock:
        history.writes.append(write)


def read_on(
    ask: Callable[[str, str], Answer], histories: Sequence[History], chance: Random, over: Event
) -> None:
    """Look at one page after the other."""
    while not over.is_set():
        history = chance.choice(histories)
        with history.lock:
            known = len(history.writes)
        page = ask(history.project, INDEX)
        read = Read(known, page.serial, page.files)
        with history.lock:
            history.reads.append(read)
            history.lock.notify_all()


def is_fresh(read: Read, writes: Sequence[Write]) -> bool:
    """Whether a page shows of each file what there was at its serial, or became of it later."""
    if read.known and read.serial < writes[read.known - 1].serial:
        return False
    for filename in {write.filename for write in writes} | set(read.files):
        before = [write for write in writes[: read.known] if write.filename == filename]
        of_file = [write for write in writes if write.filename == filename]
        by_serial = [write for write in of_file if write.serial <= read.serial]
        settled = max(len(before), len(by_serial))
        states = [None, *(write.sha256 for write in of_file)][settled:]
        if read.files.get(filename) not in states:
            return False
    return True


ONE, TWO = (a_wheel("demo", "1.0", extra_files={"demo/n": letter}) for letter in (b"a", b"b"))


@pytest.mark.parametrize(
    ("read", "verdict"),
    [
        (Read(0, 0, {}), True),
        (Read(0, 0, {ONE.filename: TWO.sha256}), True),
        (Read(1, 4, {ONE.filename: ONE.sha256}), True),
        (Read(1, 3, {ONE.filename: ONE.sha256}), False),
        (Read(1, 4, {}), True),
        (Read(1, 5, {ONE.filename: ONE.sha256}), False),
        (Read(2, 5, {ONE.filename: ONE.sha256}), False),
        (Read(0, 6, {ONE.filename: TWO.sha256}), False),
        (Read(3, 6, {}), True),
        (Read(3, 6, {"other.whl": ONE.sha256}), False),
    ],
)
def test_the_judge_of_reads_can_tell_old_from_new(read: Read, verdict: bool) -> None:
    assert is_fresh(read, [write(4, ONE), write(5, TWO), Write(6, ONE.filename, None)]) is verdict


def write(serial: int, built: BuiltFile) -> Write:
    return Write(serial, built.filename, built.sha256)
