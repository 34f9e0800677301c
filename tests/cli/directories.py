"""Look into server directories, and spoil them, without the command line."""

import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from simpleindex.access import verify_password
from simpleindex_storage.model import Actor, Index, StageSettings, User
from simpleindex_storage.names import IndexName, UserName
from simpleindex_storage.opening import open_store
from simpleindex_storage.ports import Snapshot

ANY_NAMES = pytest.mark.skipif(sys.platform != "linux", reason="names of files are text here")
UNPRINTABLE_NAMES = {
    b"odd\nfault  catalog-pages  catalog.sqlite is damaged": (
        "odd?fault  catalog-pages  catalog.sqlite is damaged"
    ),
    b"odd\x1b[2J": "odd?[2J",
    b"odd\xff": "odd?",
    "\u00f6dd\u202e\x85".encode(): "\u00f6dd??",
}
"""Names of files that must not reach a terminal, and how they are shown."""


@contextmanager
def catalog_of(serverdir: Path) -> Iterator[Snapshot]:
    """What the catalog says."""
    with closing(open_store(serverdir)) as store, store.catalog.snapshot() as seen:
        yield seen


def user(serverdir: Path, name: str = "root") -> User:
    """A user who is there."""
    with catalog_of(serverdir) as seen:
        found = seen.user(UserName(name))
    assert found is not None
    return found


def root_has(serverdir: Path, password: str) -> bool:
    """Whether this is root's password."""
    return verify_password(password, user(serverdir).password_hash)


def index_of(serverdir: Path, name: str) -> Index | None:
    """An index, if it is there."""
    with catalog_of(serverdir) as seen:
        return seen.index(IndexName(name))


def make_index(serverdir: Path, name: str, *, volatile: bool) -> None:
    """Create an index to which root may upload."""
    index = Index(IndexName(name), StageSettings(volatile=volatile, acl_upload=("root",)))
    with closing(open_store(serverdir)) as store:
        store.catalog.change(lambda change: change.put_index(index), by=Actor("root"), what="index")


def stored(serverdir: Path, index: str = "root/local") -> dict[str, bytes]:
    """The bytes of every file that is recorded in an index, by name."""
    with closing(open_store(serverdir)) as store:
        with store.catalog.snapshot() as seen:
            name = IndexName(index)
            files = [
                file for project in seen.projects(name) for file in seen.files(name, project.name)
            ]
        found = {}
        for file in files:
            with store.open(file.place)[1] as content:
                found[file.filename] = content.read()
        return found


def open_once(serverdir: Path) -> None:
    """Let everything be there that every opening makes."""
    open_store(serverdir).close()


def make_newer(serverdir: Path) -> None:
    """Let the catalog be one that a later version has made."""
    with closing(sqlite3.connect(serverdir / "catalog.sqlite")) as connection:
        connection.execute("PRAGMA user_version = 1000")


def make_unreadable(serverdir: Path) -> None:
    """Let the catalog be no catalog any more."""
    (serverdir / "catalog.sqlite").write_bytes(b"these bytes are no catalog\n" * 1000)


def spoil_indexes_of(serverdir: Path, table: str) -> None:
    """Let the pages rot by which SQLite finds the rows of a table."""
    path = serverdir / "catalog.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        pages = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE type = 'index' AND tbl_name = ?", (table,)
        ).fetchall()
        (size_bytes,) = connection.execute("PRAGMA page_size").fetchone()
    with path.open("r+b") as file:
        for (page,) in pages:
            file.seek((page - 1) * size_bytes)
            file.write(b"\xff" * size_bytes)
