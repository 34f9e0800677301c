"""The catalog in an SQLite file: one writer at a time on the machine, any number of readers.

Writes of all threads go to one writer thread, which commits whatever has gathered while it was
busy in one go, each piece of work in a savepoint of its own. Between processes a lock file stands
in front, since SQLite's own way of waiting for a writer is to sleep and try again.

What a crash leaves: SQLite's write-ahead log is replayed at the next opening. A commit that was
answered for has been synced.
"""

import json
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from . import catalog_sql as sql
from . import records
from .durable import sync_file, sync_folder
from .errors import AlreadyStored, Refused, Unavailable
from .generation import Generation
from .journal import Journal
from .locks import FileLock
from .model import DistFile, Index, JsonValue, Project, ProjectStatus, Release, User
from .names import FilePlace, IndexName, ProjectName, UserName, parse_filename
from .ports import Change, Snapshot

T = TypeVar("T")

_JOBS_PER_COMMIT_MAX = 64
_BUSY_SECONDS = 10.0


class SqliteCatalog:
    """One catalog file, the journal and the generation words that go with it."""

    def __init__(
        self, folder: Path, journal: Journal, generation: Generation, now: Callable[[], datetime]
    ) -> None:
        self._path = folder / "catalog.sqlite"
        self._turnstile = FileLock(folder / "lock")
        self._journal = journal
        self._generation = generation
        self._now = now
        self._readers: queue.LifoQueue[sqlite3.Connection] = queue.LifoQueue()
        # Opened first, and for writing: a reader alone could not replay what a crash has left.
        self._writing = _connect(self._path)
        with _reading_errors():
            _check_version(self._writing, self._path)
            # It is so, but for a backup that was put back: VACUUM INTO does not keep the mode.
            self._writing.execute("PRAGMA journal_mode = WAL")
            self._uuid = str(_fact(self._writing, "uuid"))
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
            connection = _connect(self._path)
        try:
            with _reading_errors():
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

    def change(self, work: Callable[[Change], T], *, who: str, what: str) -> T:
        """Do `work` in the next commit. Raises what it raises, and Unavailable."""
        job = _Job(work, who, what)
        with self._entrance:
            if self._closed:
                raise Unavailable("the catalog is closed")
            self._jobs.put(job)
        result: T = job.done.result()
        return result

    def agreed_serial(self) -> int | None:
        """The serial that everybody sees, if no change is on its way."""
        return self._generation.agreed()

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

    def _give_back(self, connection: sqlite3.Connection) -> None:
        connection.execute("ROLLBACK")
        self._readers.put(connection)

    def _write_on(self) -> None:
        """The writer thread: takes what has gathered, commits it, and answers."""
        closing = False
        while not closing:
            jobs = [self._jobs.get()]
            with suppress(queue.Empty):
                while len(jobs) < _JOBS_PER_COMMIT_MAX:
                    jobs.append(self._jobs.get_nowait())
            closing = None in jobs
            batch = [job for job in jobs if job is not None]
            if batch:
                self._commit(batch)

    def _commit(self, jobs: Sequence["_Job"]) -> None:
        """Do the jobs in one transaction; each of them hears only when it is on the disk."""
        try:
            with self._turnstile.held(), _writing_errors():
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
            before = serial = int(_fact(connection, "serial"))
            # What a writer left that died, or whose commit failed.
            self._generation.settle(before)
            self._journal.cut(int(_fact(connection, "journal_bytes")))
            entries: list[dict[str, JsonValue]] = []
            changed = False
            for job in jobs:
                change = _do(job, connection, serial + 1)
                changed |= change.changed
                if change.facts:
                    serial += 1
                    entries.append(self._entry(serial, job, change.facts))
            if entries:
                length = self._journal.append(
                    entries, at_bytes=int(_fact(connection, "journal_bytes"))
                )
                connection.execute(sql.SET_FACT, (serial, "serial"))
                connection.execute(sql.SET_FACT, (length, "journal_bytes"))
                self._generation.announce(serial)
            connection.execute("COMMIT" if changed else "ROLLBACK")
        except BaseException:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise
        self._generation.settle(serial)

    def _entry(self, serial: int, job: "_Job", facts: list[JsonValue]) -> dict[str, JsonValue]:
        time = records.time_text(self._now())
        return {"serial": serial, "time": time, "who": job.who, "what": job.what, "facts": facts}


class SqliteSnapshot:
    """What one transaction sees."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._serial = int(_fact(connection, "serial"))

    @property
    def serial(self) -> int:
        """Of the last change that is seen."""
        return self._serial

    def user(self, name: UserName) -> User | None:
        """One user."""
        return next(self._users(sql.USER, name), None)

    def users(self) -> tuple[User, ...]:
        """All users."""
        return tuple(self._users(sql.USERS))

    def index(self, name: IndexName) -> Index | None:
        """One index."""
        return next(self._indexes(sql.INDEX, name), None)

    def indexes(self) -> tuple[Index, ...]:
        """All indexes."""
        return tuple(self._indexes(sql.INDEXES))

    def projects(self, index: IndexName) -> tuple[Project, ...]:
        """An index's own projects."""
        return tuple(self._projects(sql.PROJECTS, index))

    def project(self, index: IndexName, name: ProjectName) -> Project | None:
        """One of an index's own projects."""
        return next(self._projects(sql.PROJECT, index, name), None)

    def release(self, index: IndexName, project: ProjectName, version: str) -> Release | None:
        """One release."""
        return next(self._releases(sql.RELEASE, index, project, version), None)

    def releases(self, index: IndexName, project: ProjectName) -> tuple[Release, ...]:
        """All releases of a project."""
        return tuple(self._releases(sql.RELEASES, index, project))

    def files(self, index: IndexName, project: ProjectName) -> tuple[DistFile, ...]:
        """All files of a project."""
        return tuple(self._files(sql.FILES, index, project))

    def file_at(self, place: FilePlace) -> DistFile | None:
        """The file that is recorded at a place."""
        try:
            key = parse_filename(place.filename).key
        except Refused:
            return None
        found = self._files(sql.FILE_AT, place.index, key, place.filename, place.sha256_prefix)
        return next(found, None)

    def file_named(self, index: IndexName, key: str) -> DistFile | None:
        """The file that has a name."""
        return next(self._files(sql.FILE_NAMED, index, key), None)

    def _users(self, statement: str, *values: str) -> Iterator[User]:
        for row in self._connection.execute(statement, values):
            name, password_hash, password_version, created_at, modified_at, profile = row
            yield User(
                name=UserName(name),
                password_hash=password_hash,
                password_version=password_version,
                created_at=records.time_from_text(created_at),
                modified_at=records.time_from_text(modified_at) if modified_at else None,
                profile=json.loads(profile),
            )

    def _indexes(self, statement: str, *values: str) -> Iterator[Index]:
        for name, settings, automatic, serial in self._connection.execute(statement, values):
            yield Index(
                name=IndexName(name),
                settings=records.settings_from_json(json.loads(settings)),
                automatic=bool(automatic),
                serial=serial,
            )

    def _projects(self, statement: str, *values: str) -> Iterator[Project]:
        for row in self._connection.execute(statement, values):
            index, name, display_name, serial, status, status_reason = row
            yield Project(index, name, display_name, serial, ProjectStatus(status), status_reason)

    def _releases(
        self, statement: str, index: IndexName, project: ProjectName, *values: str
    ) -> Iterator[Release]:
        for version, fields in self._connection.execute(statement, (index, project, *values)):
            yield Release(index, project, version, records.fields_from_json(json.loads(fields)))

    def _files(self, statement: str, *values: str) -> Iterator[DistFile]:
        for row in self._connection.execute(statement, values):
            index, project, version, filename, key, size_bytes, sha256, md5, blake2b_256 = row[:9]
            uploaded_at, uploaded_by, requires_python, metadata_sha256, yanked = row[9:]
            yield DistFile(
                index=index,
                project=project,
                version=version,
                filename=filename,
                key=key,
                size_bytes=size_bytes,
                sha256=sha256,
                md5=md5,
                blake2b_256=blake2b_256,
                uploaded_at=records.time_from_text(uploaded_at),
                uploaded_by=uploaded_by,
                requires_python=requires_python,
                metadata_sha256=metadata_sha256,
                yanked=yanked,
            )


class SqliteChange(SqliteSnapshot):
    """One change, inside its savepoint."""

    def __init__(self, connection: sqlite3.Connection, new_serial: int) -> None:
        super().__init__(connection)
        self._new_serial = new_serial
        self.facts: list[JsonValue] = []
        """What the journal is told, in order. Without facts there is no new serial."""
        self.changed = False

    def put_user(self, user: User) -> None:
        """Create or change a user. Raises AlreadyStored."""
        row = (
            user.name,
            user.name.casefold(),
            user.password_hash,
            user.password_version,
            records.time_text(user.created_at),
            records.time_text(user.modified_at) if user.modified_at else None,
            json.dumps(dict(user.profile)),
        )
        with _taken("User", user.name, "names that differ only in case count as one"):
            self._write(sql.PUT_USER, row)
        self._tell("user", records.user_json(user))

    def put_index(self, index: Index) -> None:
        """Create or change an index. Raises AlreadyStored."""
        settings = json.dumps(records.settings_json(index.settings))
        row = (index.name, index.name.casefold(), settings, index.automatic, self._new_serial)
        with _taken("Index", index.name, "names that differ only in case count as one"):
            self._write(sql.PUT_INDEX, row)
        self._tell("index", records.index_json(index))

    def put_release(self, release: Release, display_name: str) -> None:
        """Create or change a release, and its project where there is none."""
        project = (release.index, release.project)
        self._write(sql.PUT_PROJECT, (*project, display_name, self._new_serial))
        fields = json.dumps(records.fields_json(release.fields))
        self._write(sql.PUT_RELEASE, (*project, release.version, fields))
        self._tell("release", records.release_json(release, display_name))

    def put_file(self, file: DistFile) -> None:
        """Record a file. Raises AlreadyStored."""
        row = (
            file.index, file.project, file.version, file.filename, file.key, file.size_bytes,
            file.sha256, file.md5, file.blake2b_256, records.time_text(file.uploaded_at),
            file.uploaded_by, file.requires_python, file.metadata_sha256, file.yanked,
        )  # fmt: skip
        with _taken("File", file.filename, f"{file.index} has it already"):
            self._write(sql.PUT_FILE, row)
        self._write(sql.TOUCH_PROJECT, (file.index, file.project, self._new_serial))
        self._tell("file", records.file_json(file))

    def mark_project(self, project: Project) -> None:
        """Change the status of a project that is there."""
        named = (project.index, project.name)
        self._write(
            sql.MARK_PROJECT, (*named, self._new_serial, project.status, project.status_reason)
        )
        self._tell("project", records.project_json(project))

    def yank_file(self, file: DistFile, reason: str | None) -> None:
        """Mark a file as yanked, or as not yanked."""
        self._write(sql.YANK_FILE, (file.index, file.key, reason))
        self._write(sql.TOUCH_PROJECT, (file.index, file.project, self._new_serial))
        self._tell("yanked", {"index": file.index, "filename": file.filename, "reason": reason})

    def remove_file(self, file: DistFile) -> None:
        """Forget a file, and keep its place in mind."""
        self._write(sql.REMOVE_FILE, (file.index, file.key))
        self._write(sql.TOUCH_PROJECT, (file.index, file.project, self._new_serial))
        place = file.place
        self._write(sql.ADD_REMOVAL, (place.index, place.sha256_prefix, place.filename))
        self._tell("file removed", {"index": file.index, "filename": file.filename})

    def removals(self) -> tuple[FilePlace, ...]:
        """Places whose files were forgotten."""
        rows = self._connection.execute(sql.REMOVALS)
        return tuple(FilePlace(*row) for row in rows)

    def forget_removal(self, place: FilePlace) -> None:
        """The file is gone."""
        self._write(sql.FORGET_REMOVAL, (place.index, place.sha256_prefix, place.filename))

    def _write(self, statement: str, values: Sequence[str | int | None]) -> None:
        self.changed = True
        self._connection.execute(statement, values)

    def _tell(self, kind: str, fact: dict[str, JsonValue]) -> None:
        self.facts.append([kind, fact])


@dataclass(slots=True, eq=False)
class _Job:
    """A piece of work on its way to the writer thread and back."""

    work: Callable[[Change], Any]
    who: str
    what: str
    done: "Future[Any]"
    result: Any = None
    error: BaseException | None = None

    def __init__(self, work: Callable[[Change], Any], who: str, what: str) -> None:
        self.work, self.who, self.what = work, who, what
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
    with _writing_errors():
        connection = sqlite3.connect(draft, isolation_level=None)
        try:
            connection.execute(f"PRAGMA application_id = {sql.APPLICATION_ID}")
            _migrate(connection)
            change = SqliteChange(connection, 0)
            first(change)
            journal = Journal(folder / "journal.jsonl")
            entry: dict[str, JsonValue] = {
                "serial": 0, "time": records.time_text(now), "who": "", "what": "init",
                "facts": change.facts,
            }  # fmt: skip
            connection.execute(sql.SET_FACT, (journal.append([entry], at_bytes=0), "journal_bytes"))
            journal.close()
            connection.execute("PRAGMA journal_mode = WAL")
        finally:
            connection.close()
    draft.chmod(0o600)
    sync_file(draft)
    draft.replace(path)
    sync_folder(folder)


def prepare_catalog(path: Path) -> None:
    """Check that a catalog can be used by this version; bring an older one up to date.

    The work is done on a copy, which then takes the place of the original: a crash leaves either
    of them. Raises Refused for a file that is not ours, that is damaged, or that a newer version
    made; and Unavailable, also if a server of the older version still has it open.
    """
    turnstile = FileLock(path.with_name("lock"))
    try:
        with turnstile.held():  # of several processes that start at once, one does the work
            _prepare_alone(path)
    finally:
        turnstile.close()


def _prepare_alone(path: Path) -> None:
    draft = path.with_name(path.name + ".new")
    with (
        _reading_errors(),
        closing(sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)) as connection,
    ):
        if _check_ours(connection, path) == len(sql.MIGRATIONS):
            return
        _end_write_ahead(connection, path)
        draft.unlink(missing_ok=True)
        connection.execute("VACUUM INTO ?", (str(draft),))
    with _writing_errors():
        copy = sqlite3.connect(draft, isolation_level=None)
        try:
            _migrate(copy)
            copy.execute("PRAGMA journal_mode = WAL")
        finally:
            copy.close()
    draft.chmod(0o600)
    sync_file(draft)
    draft.replace(path)
    sync_folder(path.parent)


def _end_write_ahead(connection: sqlite3.Connection, path: Path) -> None:
    """Take the write-ahead log into the file: it must not be found beside another one."""
    connection.execute("PRAGMA busy_timeout = 0")
    try:
        connection.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
            raise
        # Whoever has it open would go on writing to a file that nobody reads any more.
        raise Unavailable(
            f"{path} must be brought up to date, but another process has it open; stop that first"
        ) from None


def _migrate(connection: sqlite3.Connection) -> None:
    """Lead a catalog from its version to ours, in one transaction."""
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    steps = "".join(sql.MIGRATIONS[version:])
    connection.execute("PRAGMA synchronous = FULL")
    connection.executescript(
        f"BEGIN IMMEDIATE; {steps} PRAGMA user_version = {len(sql.MIGRATIONS)}; COMMIT;"
    )


def _connect(path: Path) -> sqlite3.Connection:
    with _reading_errors():
        connection = sqlite3.connect(
            path,
            timeout=_BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=64,
        )
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        return connection


def _check_version(connection: sqlite3.Connection, path: Path) -> None:
    if _check_ours(connection, path) != len(sql.MIGRATIONS):
        raise Refused(
            str(path), "this catalog must be brought up to date first; restart the server"
        )


def _check_ours(connection: sqlite3.Connection, path: Path) -> int:
    """The version of a catalog. Raises Refused if it is none that we can read."""
    try:
        ours = connection.execute("PRAGMA application_id").fetchone()[0] == sql.APPLICATION_ID
        version: int = connection.execute("PRAGMA user_version").fetchone()[0]
        if ours:
            _fact(connection, "serial")
    except (sqlite3.DatabaseError, TypeError) as error:
        if isinstance(error, sqlite3.OperationalError):
            raise
        raise Refused(
            str(path), f"the catalog cannot be read ({error}); restore a backup"
        ) from None
    if not ours:
        raise Refused(str(path), "this is not a catalog of simpleindex-server")
    if version > len(sql.MIGRATIONS):
        raise Refused(
            str(path),
            f"a newer simpleindex-server made this catalog (version {version}, this one knows "
            f"{len(sql.MIGRATIONS)}); install that one",
        )
    return version


def _fact(connection: sqlite3.Connection, name: str) -> Any:
    return connection.execute(sql.FACT, (name,)).fetchone()[0]


@contextmanager
def _taken(kind: str, name: str, advice: str) -> Iterator[None]:
    try:
        yield
    except sqlite3.IntegrityError:
        raise AlreadyStored(kind, name, advice) from None


@contextmanager
def _reading_errors() -> Iterator[None]:
    with _sqlite_errors("the catalog cannot be read"):
        yield


@contextmanager
def _writing_errors() -> Iterator[None]:
    with _sqlite_errors("the catalog cannot be written"):
        yield


@contextmanager
def _sqlite_errors(what: str) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        full = getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL
        raise Unavailable(f"{what}: {error}", full=full) from error
