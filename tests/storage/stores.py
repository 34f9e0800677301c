"""Stores to work with, what lies in their folders, and disks that fail."""

import errno
import hashlib
import json
import os
import resource
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import pytest

from simpleindex_storage.catalog_sqlite import SqliteCatalog
from simpleindex_storage.journal import segments
from simpleindex_storage.model import (
    Actor,
    Admitted,
    Attachment,
    AttachmentKind,
    Digests,
    DistFile,
    Event,
    Index,
    LogEntry,
    Outcome,
    Release,
    Sidecar,
    Staged,
    StageSettings,
    Upload,
)
from simpleindex_storage.names import FilePlace, IndexName, parse_filename, parse_project_name
from simpleindex_storage.opening import create_store, open_store
from simpleindex_storage.ports import Catalog, Change, Files
from simpleindex_storage.store import Store
from tests.builders import BuiltFile, core_metadata

T = TypeVar("T")

LOCAL = IndexName("root/local")
NOW = datetime(2026, 1, 2, 3, 4, 5, 678_901, UTC)
WAIT_SECONDS_MAX = 30.0
"""Only a hang takes this long."""


def a_stage(
    name: IndexName = LOCAL, *, volatile: bool = False, strict_archives: bool = True
) -> Index:
    """An index that takes uploads."""
    return Index(name, StageSettings(volatile=volatile, strict_archives=strict_archives))


def make_store(root: Path, *indexes: Index) -> None:
    """A server directory with these indexes, or else with root/local, which keeps its files."""

    def first(change: Change) -> None:
        for index in indexes or (a_stage(),):
            change.put_index(index)

    create_store(root, first, NOW)


@contextmanager
def a_store(root: Path, *indexes: Index) -> Iterator[Store]:
    """A store in a new server directory, for the time of the block."""
    make_store(root, *indexes)
    with opened(root) as store:
        yield store


@contextmanager
def opened(root: Path) -> Iterator[Store]:
    """The store of a server directory that is there, for the time of the block."""
    store = open_store(root, lambda: NOW)
    try:
        yield store
    finally:
        store.close()


def send(
    store: Store,
    built: BuiltFile,
    index: IndexName = LOCAL,
    *,
    make_index: Index | None = None,
    name: str | None = None,
    version: str | None = None,
    promised: dict[str, str] | None = None,
    sender: str = "root",
    strict_archives: bool | None = None,
) -> Admitted:
    """Upload one file."""
    upload = Upload(index, built.filename, sender, name, version, promised or {})
    with store.stage() as draft:
        draft.write(built.content)
        (admitted,) = store.admit(
            [(upload, draft.finish())],
            by=Actor(sender),
            make_index=make_index,
            strict_archives=strict_archives,
        )
    return admitted


def send_together(
    store: Store, *files: BuiltFile, index: IndexName = LOCAL, make_index: Index | None = None
) -> tuple[Admitted, ...]:
    """Upload several files in one go, as an import does."""
    arrivals: list[tuple[Upload, Staged]] = []

    def stage(rest: Sequence[BuiltFile]) -> tuple[Admitted, ...]:
        if not rest:
            return store.admit(arrivals, by=Actor("root"), make_index=make_index)
        with store.stage() as draft:
            draft.write(rest[0].content)
            arrivals.append((Upload(index, rest[0].filename, "root"), draft.finish()))
            return stage(rest[1:])

    return stage(files)


def forget(store: Store, file: DistFile) -> None:
    """Remove a file from the catalog; its bytes stay until the next sweep."""
    store.catalog.change(lambda change: change.remove_file(file), by=Actor("root"), what="remove")


def recorded_files(catalog: Catalog, index: IndexName = LOCAL) -> tuple[DistFile, ...]:
    """All files of an index."""
    with catalog.snapshot() as seen:
        return tuple(
            file
            for project in seen.projects(index)
            for file in seen.files(index, project.name)
        )  # fmt: skip


def serial_of(catalog: Catalog) -> int:
    with catalog.snapshot() as seen:
        return seen.serial


def bytes_at(files: Files, place: FilePlace) -> bytes:
    with files.open(place) as file:
        return file.read()


def metadata_at(files: Files, place: FilePlace) -> bytes:
    with files.open_sidecar(place, Sidecar.METADATA) as file:
        return file.read()


def read(store: Store, file: DistFile) -> bytes:
    """A file's bytes, as clients get them."""
    recorded, content = store.open(file.place)
    with content:
        assert recorded == file
        return content.read()


def files_below(root: Path) -> dict[str, bytes]:
    """The files that a server directory holds, published or not, but for processes' marks.

    `files/root/local/+f/...`, `incoming/123-abc/0`.
    """
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for folder in ("files", "incoming")
        for path in sorted((root / folder).rglob("*"))
        if path.is_file() and path.suffix != ".lock"
    }


def files_of(*files: DistFile) -> set[str]:
    """What `files_below` has to have for them."""
    paths = {f"files/{file.place.path}" for file in files}
    return paths | {f"{path}.metadata" for path in paths}


def paths_of(*attachments: Attachment) -> set[str]:
    """What `files_below` has to have for them."""
    return {f"files/{attachment.place.path}" for attachment in attachments}


def journal_of(root: Path) -> list[dict[str, Any]]:
    """The journal's lines, of all its segments."""
    return [
        json.loads(line)
        for segment in segments(root)
        for line in segment.path.read_bytes().splitlines()
    ]


def catalog_dump(root: Path) -> list[str]:
    """All that lies in a catalog, as SQL: equal for catalogs that say the same."""
    with closing(sqlite3.connect(root / "catalog.sqlite")) as connection:
        return list(connection.iterdump())


def a_file(
    filename: str = "demo-1.0-py3-none-any.whl",
    content: bytes = b"the bytes",
    *,
    index: IndexName = LOCAL,
    uploaded_at: datetime = NOW,
    requires_python: str | None = None,
    yanked: str | None = None,
    findings: tuple[str, ...] = (),
) -> DistFile:
    """The record of a file."""
    parsed = parse_filename(filename)
    digests = digests_of(content)
    return DistFile(
        index=index,
        project=parsed.project,
        version=parsed.version,
        filename=filename,
        key=parsed.key,
        size_bytes=len(content),
        sha256=digests.sha256,
        md5=digests.md5,
        blake2b_256=digests.blake2b_256,
        uploaded_at=uploaded_at,
        uploaded_by="root",
        requires_python=requires_python,
        metadata_sha256=hashlib.sha256(core_metadata()).hexdigest(),
        yanked=yanked,
        findings=findings,
    )


def a_release(file: DistFile) -> Release:
    """The release that a file belongs to."""
    return Release(file.index, file.project, file.version, {"summary": "a demonstration"})


def documentation(
    content: bytes = b"the pages",
    version: str = "1.0",
    *,
    project: str = "demo",
    index: IndexName = LOCAL,
) -> Attachment:
    """The record of the documentation of a release."""
    sha256 = digests_of(content).sha256
    return Attachment(
        kind=AttachmentKind.DOCUMENTATION,
        index=index,
        project=parse_project_name(project),
        version=version,
        place=FilePlace(index, sha256[:16], f"{project}-{version}.doc.zip"),
        size_bytes=len(content),
        sha256=sha256,
        uploaded_at=NOW,
        uploaded_by="root",
        log=(LogEntry(Event.UPLOAD, "root", NOW, target=index),),
    )


def a_result(file: DistFile, content: bytes = b"{}", *, number: int = 0) -> Attachment:
    """The record of the result of a test of a file."""
    filename = f"{file.filename}.toxresult-20260102030405-{number}"
    return Attachment(
        kind=AttachmentKind.TOX_RESULT,
        index=file.index,
        project=file.project,
        version=file.version,
        place=FilePlace(file.index, file.place.sha256_prefix, filename),
        size_bytes=len(content),
        sha256=digests_of(content).sha256,
        uploaded_at=NOW,
        uploaded_by="",
        file_key=file.key,
    )


def attach(store: Store, attachment: Attachment, content: bytes) -> Outcome:
    """Upload what belongs to a release."""
    with store.stage() as draft:
        draft.write(content)
        return store.attach(attachment, draft.finish(), by=Actor("root"))


def read_attachment(store: Store, attachment: Attachment) -> bytes:
    """An attachment's bytes, as clients get them."""
    recorded, content = store.open_attachment(attachment.place)
    with content:
        assert recorded == attachment
        return content.read()


def attachments_of(
    catalog: Catalog, project: str = "demo", index: IndexName = LOCAL
) -> tuple[Attachment, ...]:
    with catalog.snapshot() as seen:
        return seen.attachments(index, parse_project_name(project))


def digests_of(content: bytes) -> Digests:
    return Digests(
        hashlib.sha256(content).hexdigest(),
        hashlib.md5(content).hexdigest(),
        hashlib.blake2b(content, digest_size=32).hexdigest(),
    )


def wait_until(holds: Callable[[], bool]) -> None:
    """Let other threads run until something holds."""
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while not holds():
        assert time.monotonic() < deadline, "it never came true"
        os.sched_yield()


@contextmanager
def held_up(catalog: Catalog) -> Iterator[Callable[[Callable[[Change], T]], "Future[T]"]]:
    """Keep a catalog's writer busy, so that the changes made in the block meet in one commit.

    The block gets a function that asks for a change; what it returns is answered after the block.
    """
    assert isinstance(catalog, SqliteCatalog)
    busy, go_on = threading.Event(), threading.Event()

    def hold(_: Change) -> None:
        busy.set()
        assert go_on.wait(WAIT_SECONDS_MAX)

    with ThreadPoolExecutor(64) as threads:
        holding = threads.submit(catalog.change, hold, by=Actor(""), what="hold")
        assert busy.wait(WAIT_SECONDS_MAX)

        def ask(work: Callable[[Change], T]) -> "Future[T]":
            before = catalog._jobs.qsize()
            asked = threads.submit(catalog.change, work, by=Actor("root"), what="test")
            wait_until(lambda: catalog._jobs.qsize() > before)
            return asked

        try:
            yield ask
        finally:
            go_on.set()
            holding.result(WAIT_SECONDS_MAX)


@contextmanager
def files_no_larger_than(size_bytes: int) -> Iterator[None]:
    """Let every write fail that would make a file larger: a disk without room, to one process."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


class FailingDisk:
    """Counts the calls that change a disk, and lets some of them fail.

    SQLite's own calls are not among them; `before_commits` stands for those.
    """

    CALLS = ("fsync", "link", "rename", "replace", "mkdir", "ftruncate", "write")

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.calls: list[str] = []
        self._fails: Callable[[int, str], bool] = lambda number, name: False
        self._errno = errno.ENOSPC
        for name in self.CALLS:
            patch.setattr(os, name, self._counted(name, getattr(os, name)))

    def fail(self, which: Callable[[int, str], bool], error_number: int = errno.ENOSPC) -> None:
        """From now on, let calls fail; they are numbered from 1 anew."""
        self.calls.clear()
        self._fails, self._errno = which, error_number

    def heal(self) -> None:
        """Let no call fail any more."""
        self._fails = lambda number, name: False

    def _counted(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **options: Any) -> Any:
            self.calls.append(name)
            if self._fails(len(self.calls), name):
                raise OSError(self._errno, os.strerror(self._errno))
            return call(*arguments, **options)

        return counted


class WatchedConnection(sqlite3.Connection):
    """Calls a function before each commit, which may raise."""

    before_commit: ClassVar[Callable[[], None]]

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        if sql == "COMMIT":
            WatchedConnection.before_commit()
        return super().execute(sql, parameters)


@contextmanager
def before_commits(patch: pytest.MonkeyPatch) -> Iterator[Callable[[Callable[[], None]], None]]:
    """Watch the catalogs that are opened in the block; it gets a function that sets what happens.

    Each call of it counts until the next.
    """

    def watch(happens: Callable[[], None]) -> None:
        WatchedConnection.before_commit = staticmethod(happens)

    connect = sqlite3.connect

    def connect_watched(*arguments: Any, **options: Any) -> sqlite3.Connection:
        return connect(*arguments, factory=WatchedConnection, **options)

    watch(nothing)
    with patch.context() as patched:
        patched.setattr(sqlite3, "connect", connect_watched)
        yield watch


def nothing() -> None:
    """What usually happens before a commit."""


def disk_full() -> None:
    """What SQLite says of a disk without room."""
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode = sqlite3.SQLITE_FULL
    raise error
