"""Server directories that have grown: the catalogs of years, written in a minute.

Rows go straight into the catalog, by the storage package's own statements. So there are no bytes
below `files/` (pages, lists and uploads need none), and the journal tells of the index alone.
"""

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.corpus import PLATFORM_TAGS
from simpleindex.initialise import initialise
from simpleindex_storage import catalog_sql as sql
from simpleindex_storage import records
from simpleindex_storage.model import Actor, Event, Fields, Index, LogEntry, Release, StageSettings
from simpleindex_storage.names import IndexName, ProjectName
from simpleindex_storage.opening import open_store
from simpleindex_storage.search_text import search_text
from simpleindex_storage.sqlite_file import CATALOG_FILE, connect

INDEX = IndexName("root/local")
FILES_PER_PROJECT = 5

_BEGUN_AT = datetime(2024, 1, 1, tzinfo=UTC)
_UPLOADER = "root"


@dataclass(frozen=True, slots=True)
class Growth:
    """How much there is. The small projects have five files each."""

    small_projects: int
    large_projects: tuple[int, ...] = ()
    """One project for each of these numbers of files; see `large_name`."""

    @property
    def files(self) -> int:
        return self.small_projects * FILES_PER_PROJECT + sum(self.large_projects)


def small_name(number: int) -> ProjectName:
    """The name of one of the small projects, counted from 0."""
    return ProjectName(f"bench-{number:06}")


def large_name(files: int) -> ProjectName:
    """The name of the project that has so many files."""
    return ProjectName(f"bench-large-{files}")


def grow(serverdir: Path, growth: Growth, *, password: str) -> None:
    """Make a server directory that has grown; `password` is root's.

    Not for a directory that anybody has open, or wants to keep: nothing is synced.
    """
    initialise(serverdir, _BEGUN_AT, password=password, with_pypi=False)
    store = open_store(serverdir)
    index = Index(INDEX, StageSettings(volatile=False, acl_upload=(_UPLOADER,)))
    store.catalog.change(lambda change: change.put_index(index), by=Actor(""), what="index")
    store.close()
    # It was written for a younger serial; the next process to open the directory makes another.
    (serverdir / "generation").unlink()
    connection = connect(serverdir / CATALOG_FILE)
    try:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("BEGIN")
        _fill(connection, growth)
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        connection.close()


@dataclass(frozen=True, slots=True)
class _Row:
    """One file, as far as it differs from all others."""

    project: ProjectName
    version: str
    tag: str
    number: int
    """Among all files."""


def _fill(connection: sqlite3.Connection, growth: Growth) -> None:
    # Project by project, as an archive grows: a project's rows lie together on the disk, more or
    # less, and those of its releases before those of its files, which refer to them.
    for number in range(growth.small_projects):
        name = small_name(number)
        first = number * FILES_PER_PROJECT
        _put(
            connection,
            name,
            [_Row(name, f"1.{n}", "py3-none-any", first + n) for n in range(FILES_PER_PROJECT)],
        )
    first = growth.small_projects * FILES_PER_PROJECT
    for files in growth.large_projects:
        name = large_name(files)
        _put(connection, name, list(_large(name, files, first)))
        first += files
    connection.execute(sql.SET_FACT, (growth.files + 1, "serial"))


def _large(name: ProjectName, files: int, first: int) -> Iterator[_Row]:
    for n in range(files):
        version = f"1.{n // len(PLATFORM_TAGS)}"
        yield _Row(name, version, PLATFORM_TAGS[n % len(PLATFORM_TAGS)], first + n)


def _put(connection: sqlite3.Connection, name: ProjectName, rows: list[_Row]) -> None:
    # The index had serial 1, and each file had the next one.
    connection.execute(sql.PUT_PROJECT, (INDEX, name, name, rows[-1].number + 2))
    versions = dict.fromkeys(row.version for row in rows)
    connection.executemany(sql.PUT_RELEASE, (_release(name, version) for version in versions))
    connection.executemany(sql.PUT_FILE, map(_file, rows))


def _release(name: ProjectName, version: str) -> tuple[str, ...]:
    fields: Fields = {
        "name": name,
        "version": version,
        "metadata_version": "2.1",
        "summary": "One of many",
        "requires_python": ">=3.8",
        "requires_dist": ("requests>=2", "attrs; extra == 'attrs'"),
        "author_email": "Somebody <somebody@example.com>",
    }
    text = search_text(Release(INDEX, name, version, fields), name)
    return INDEX, name, version, text, json.dumps(records.fields_json(fields))


def _file(row: _Row) -> tuple[str | int | None, ...]:
    filename = f"{row.project.replace('-', '_')}-{row.version}-{row.tag}.whl"
    digest = hashlib.sha256(filename.encode()).hexdigest()
    uploaded_at = _BEGUN_AT + timedelta(minutes=row.number)
    log = [LogEntry(Event.UPLOAD, _UPLOADER, uploaded_at, target=INDEX)]
    # Nobody checks the digests of bytes that are not there, but they have their lengths.
    return (
        INDEX, row.project, row.version, filename, f"{row.project}-{row.version}-{row.tag}.whl",
        1_000, digest, digest[:32], digest + digest, records.time_text(uploaded_at), _UPLOADER,
        ">=3.8", digest[::-1], None, None, None, "[]", json.dumps(records.log_json(log)),
    )  # fmt: skip
