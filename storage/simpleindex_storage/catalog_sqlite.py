"""The catalog in an SQLite file: one writer at a time on the machine, any number of readers.

Writes of all threads go to one writer thread, which commits whatever has gathered while it was
busy in one go, each piece of work in a savepoint of its own. Between processes a lock file stands
in front, since SQLite's own way of waiting for a writer is to sleep and try again.

What a crash leaves: SQLite's write-ahead log is replayed at the next opening. A commit that was
answered for has been synced.
"""

import queue
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from . import catalog_sql as sql
from . import records
from .errors import Unavailable
from .generation import Generation
from .journal import LINES_PER_COMMIT_MAX, Journal
from .locks import FileLock
from .model import CONSOLE, Actor, JsonValue
from .ports import Change, Snapshot
from .sqlite_file import (
    check_version,
    connect,
    fact,
    migrate,
    put_in_place,
    reading_errors,
    writing_errors,
)
from .sqlite_transaction import SqliteChange, SqliteSnapshot
from .state_file import set_aside_if_after

T = TypeVar("T")


class SqliteCatalog:
    """One catalog file, the journal and the generation words that go with it."""

    def __init__(
        self, folder: Path, journal: Journal, generation: Generation, now: Callable[[], datetime]
    ) -> None:
        self._path = folder / "catalog.sqlite"
        self._turnstile = FileLock(folder / "lock")
        self._journal = journal
        self._generation = generation
        self.agreed_serial = self._generation.agreed
        """The serial that everybody sees, if no change is on its way. (Asked for at each request,
        so that another call in between would show.)"""
        self._now = now
        self._readers: queue.LifoQueue[sqlite3.Connection] = queue.LifoQueue()
        # Opened first, and for writing: a reader alone could not replay what a crash has left.
        self._writing = connect(self._path)
        with reading_errors():
            check_version(self._writing, self._path)
            # It is so, but for a backup that was put back: VACUUM INTO does not keep the mode.
            self._writing.execute("PRAGMA journal_mode = WAL")
            self._uuid = str(fact(self._writing, "uuid"))
        self._is_first_commit = True
        self._entrance = threading.Lock()
        self._closed = False
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._writer = threading.Thread(target=self._write_on, name="catalog", daemon=True)
        self._writer.start()

    @property
    def uuid(self) -> str:
        """32 hex digits."""
        return self._uuid

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        """A consistent view. Raises Unavailable."""
        try:
            connection = self._readers.get_nowait()
        except queue.Empty:
            connection = connect(self._path)
        try:
            with reading_errors():
                connection.execute("BEGIN")
                seen = SqliteSnapshot(connection)
                self._generation.heal(seen.serial)
                yield seen
        except Unavailable:
            connection.close()  # whatever is wrong with it, the next reader begins anew
            raise
        except BaseException:
            self._give_back(connection)
            raise
        self._give_back(connection)

    def change(self, work: Callable[[Change], T], *, by: Actor, what: str) -> T:
        """Do `work` in the next commit. Raises what it raises, and Unavailable."""
        job = _Job(work, by, what)
        self._submit(job)
        result: T = job.done.result()
        return result

    def begin_segment(self) -> None:
        """Let the journal go on in a new file, unless it has just begun one. Raises Unavailable."""
        job = _Job(lambda _: None, Actor(""), "begin segment", begins_segment=True)
        self._submit(job)
        job.done.result()

    def settled_serial(self) -> int:
        """The serial of the last commit that was announced."""
        return self._generation.settled()

    def close(self) -> None:
        """Finish what was asked for, and close the files."""
        with self._entrance:
            self._closed = True
            self._jobs.put(None)
        self._writer.join()
        with suppress(queue.Empty):
            while True:
                self._readers.get_nowait().close()
        self._writing.close()
        self._turnstile.close()
        self._journal.close()
        self._generation.close()

    def _submit(self, job: "_Job") -> None:
        with self._entrance:
            if self._closed:
                raise Unavailable("the catalog is closed")
            self._jobs.put(job)

    def _give_back(self, connection: sqlite3.Connection) -> None:
        connection.execute("ROLLBACK")
        self._readers.put(connection)

    def _write_on(self) -> None:
        """The writer thread: takes what has gathered, commits it, and answers."""
        closing = False
        while not closing:
            jobs = [self._jobs.get()]
            with suppress(queue.Empty):
                while len(jobs) < LINES_PER_COMMIT_MAX:
                    jobs.append(self._jobs.get_nowait())
            closing = None in jobs
            batch = [job for job in jobs if job is not None]
            if batch:
                self._commit(batch)

    def _commit(self, jobs: Sequence["_Job"]) -> None:
        """Do the jobs in one transaction; each of them hears only when it is on the disk."""
        try:
            with self._turnstile.held(), writing_errors():
                self._commit_alone(jobs)
        except BaseException as error:  # this thread must live on, and every caller must hear
            for job in jobs:
                job.error = job.error or error
        for job in jobs:
            job.answer()

    def _commit_alone(self, jobs: Sequence["_Job"]) -> None:
        connection = self._writing
        connection.execute("BEGIN IMMEDIATE")
        try:
            before = serial = int(fact(connection, "serial"))
            if self._generation.announced() > before:
                self._rule_out_the_failed()
            self._generation.settle(before)
            self._open_journal(before)
            entries: list[dict[str, JsonValue]] = []
            changed = False
            if any(job.begins_segment for job in jobs) and fact(connection, "journal_bytes"):
                connection.execute(sql.SET_FACT, (self._journal.begin(before + 1), "journal_name"))
                connection.execute(sql.SET_FACT, (0, "journal_bytes"))
                changed = True
            for job in jobs:
                change = _do(job, connection, serial + 1)
                changed |= change.changed
                if change.facts:
                    serial += 1
                    entries.append(self._entry(serial, job, change.facts))
            if entries:
                length = self._journal.append(
                    entries, at_bytes=int(fact(connection, "journal_bytes"))
                )
                connection.execute(sql.SET_FACT, (serial, "serial"))
                connection.execute(sql.SET_FACT, (length, "journal_bytes"))
                self._generation.announce(serial)
            self._end(before, changed=changed)
        except BaseException:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            self._is_first_commit = True  # the next one clears away what this one has begun
            raise
        self._generation.settle(serial)

    def _end(self, before: int, *, changed: bool) -> None:
        try:
            self._writing.execute("COMMIT" if changed else "ROLLBACK")
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
                # What makes it a commit is its last page, and that had no room in the log. So there
                # is nothing to rule out, and its bytes may go: they may be what fills the disk.
                self._generation.settle(before)
            raise

    def _rule_out_the_failed(self) -> None:
        """Take care that a commit that failed, or whose writer died, never happens after all.

        All of it may be in SQLite's log, whole but not synced. Nobody sees it there; but whoever
        opens the catalog next, when all processes have died, would take it for a commit, while
        its lines of the journal and its bytes are deleted. So first another commit takes its place
        in the log.
        """
        self._writing.execute(sql.COUNT_FAILED_COMMIT)
        self._writing.execute("COMMIT")
        self._writing.execute("BEGIN IMMEDIATE")

    def _open_journal(self, serial: int) -> None:
        """Go on where the last commit has stopped; the first time, look for what is newer."""
        self._journal.use(str(fact(self._writing, "journal_name")))
        self._journal.cut(int(fact(self._writing, "journal_bytes")))
        if self._is_first_commit:
            self._journal.set_aside_later_ones()
            set_aside_if_after(self._path.parent, serial)
            self._is_first_commit = False

    def _entry(self, serial: int, job: "_Job", facts: list[JsonValue]) -> dict[str, JsonValue]:
        time = records.time_text(self._now())
        return {
            "serial": serial, "time": time, "who": job.by.name, "from": job.by.origin,
            "what": job.what, "facts": facts,
        }  # fmt: skip


@dataclass(slots=True, eq=False)
class _Job:
    """A piece of work on its way to the writer thread and back."""

    work: Callable[[Change], Any]
    by: Actor
    what: str
    done: "Future[Any]"
    begins_segment: bool
    """Whether its commit shall begin a new segment of the journal."""
    result: Any = None
    error: BaseException | None = None

    def __init__(
        self,
        work: Callable[[Change], Any],
        by: Actor,
        what: str,
        *,
        begins_segment: bool = False,
    ) -> None:
        self.work, self.by, self.what = work, by, what
        self.begins_segment = begins_segment
        self.done = Future()
        self.result = self.error = None

    def answer(self) -> None:
        """Let the caller go on."""
        if self.error is not None:
            self.done.set_exception(self.error)
        else:
            self.done.set_result(self.result)


def _do(job: _Job, connection: sqlite3.Connection, new_serial: int) -> SqliteChange:
    """Do one job in its savepoint. If it raises, it has changed nothing."""
    change = SqliteChange(connection, new_serial)
    connection.execute("SAVEPOINT job")
    try:
        job.result = job.work(change)
    except sqlite3.Error:
        raise  # the disk or the file is in trouble, and so are all others of this commit
    except Exception as error:  # goes to the one who asked, and to nobody else
        job.error = error
        connection.execute("ROLLBACK TO job")
        change.facts, change.changed = [], False
    connection.execute("RELEASE job")
    return change


def create_catalog(folder: Path, first: Callable[[Change], None], now: datetime) -> None:
    """Make a catalog and its journal, with what `first` puts in at serial 0.

    The catalog appears last, and whole: until then the folder has none. Raises Unavailable.
    """
    path, draft = folder / "catalog.sqlite", folder / "catalog.sqlite.new"
    for left in folder.glob(draft.name + "*"):
        left.unlink()
    with writing_errors():
        connection = sqlite3.connect(draft, isolation_level=None)
        try:
            connection.execute(f"PRAGMA application_id = {sql.APPLICATION_ID}")
            migrate(connection)
            change = SqliteChange(connection, 0)
            first(change)
            journal = Journal(folder)
            journal.use(str(fact(connection, "journal_name")))
            # So that a rebuild makes a catalog of the same server.
            server: JsonValue = ["server", {"uuid": str(fact(connection, "uuid"))}]
            entry: dict[str, JsonValue] = {
                "serial": 0, "time": records.time_text(now), "who": "", "from": CONSOLE,
                "what": "init", "facts": [server, *change.facts],
            }  # fmt: skip
            connection.execute(sql.SET_FACT, (journal.append([entry], at_bytes=0), "journal_bytes"))
            journal.close()
            connection.execute("PRAGMA journal_mode = WAL")
        finally:
            connection.close()
    put_in_place(draft, path)
