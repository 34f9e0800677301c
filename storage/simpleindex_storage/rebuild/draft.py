"""A catalog that is being made anew beside the present one, and takes its place when it is whole.

root/catalog.sqlite.new                 the draft
root/catalog.sqlite.damaged-<time>      what was there before, with its -wal and -shm
"""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from simpleindex_storage import catalog_sql as sql
from simpleindex_storage.durable import (
    free_name,
    link,
    sync_file,
    sync_folder,
    unavailable_on_failure,
)
from simpleindex_storage.errors import Refused
from simpleindex_storage.locks import FileLock
from simpleindex_storage.processes import living
from simpleindex_storage.sqlite_file import (
    CATALOG_FILE,
    fact,
    migrate,
    put_in_place,
    standing_of,
    writing_errors,
)
from simpleindex_storage.sqlite_transaction import SqliteChange, SqliteSnapshot

_BESIDE = ("-wal", "-shm")
"""What SQLite keeps beside a catalog. Beside another one it would ruin that."""
_CACHE_KIB = 32 << 10


@contextmanager
def alone(root: Path) -> Iterator[None]:
    """Keep all other processes out of a directory. Raises Refused while one has it open."""
    with unavailable_on_failure(f"{root} cannot be written"):
        turnstile = FileLock(root / "lock")
    try:
        with turnstile.held():  # whoever wants to open it now waits
            _check_nobody_is_in(root)
            yield
    finally:
        turnstile.close()


def _check_nobody_is_in(root: Path) -> None:
    if living(root / "incoming"):
        raise Refused(
            str(root), "a server or another command has this directory open; stop it first"
        )


class DraftCatalog:
    """The catalog in the making. Nothing of it stays if it is not finished."""

    def __init__(self, root: Path, connection: sqlite3.Connection) -> None:
        self._root = root
        self.connection = connection

    def change(self, serial: int) -> SqliteChange:
        """A part of the draft that is from the change of this serial."""
        return SqliteChange(self.connection, serial)

    def seen(self) -> SqliteSnapshot:
        """The draft as it is now."""
        return SqliteSnapshot(self.connection)

    def set_fact(self, name: str, value: str | int) -> None:
        """Say something of the catalog itself."""
        self.connection.execute(sql.SET_FACT, (value, name))

    @property
    def uuid(self) -> str:
        """32 hex digits."""
        return str(fact(self.connection, "uuid"))

    def finish(self, now: datetime) -> Path | None:
        """Let it take the place of the present one; where that is kept. Raises Unavailable.

        A crash leaves either of them.
        """
        with writing_errors():
            self.connection.execute("COMMIT")
            self.connection.execute("PRAGMA journal_mode = WAL")
            self.connection.close()
        path = self._root / CATALOG_FILE
        with unavailable_on_failure(f"{path} cannot be replaced"):
            kept = _keep(path, now)
            put_in_place(path.with_name(f"{CATALOG_FILE}.new"), path)
        return kept


@contextmanager
def draft_catalog(root: Path) -> Iterator[DraftCatalog]:
    """An empty catalog, to be filled and finished in the block. Raises Unavailable."""
    path = root / f"{CATALOG_FILE}.new"
    try:
        with unavailable_on_failure(f"{root} cannot be written"):
            _unlink_all(path)
        with writing_errors(), closing(sqlite3.connect(path, isolation_level=None)) as connection:
            migrate(connection)
            connection.execute(f"PRAGMA application_id = {sql.APPLICATION_ID}")
            connection.execute("PRAGMA foreign_keys = ON")
            # Nobody else reads it, and a crash drops it: it is synced once, when it is whole.
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute("PRAGMA journal_mode = MEMORY")
            connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
            connection.execute("BEGIN")
            yield DraftCatalog(root, connection)
    finally:
        with suppress(OSError):
            _unlink_all(path)


def _unlink_all(draft: Path) -> None:
    for left in draft.parent.glob(draft.name + "*"):
        left.unlink()


def keep_aside(path: Path, now: datetime) -> None:
    """Give what is about to be replaced, if it is there, a second name. Raises Unavailable."""
    with unavailable_on_failure(f"{path} cannot be kept"):
        if path.exists():
            _link(path, _aside(path, now))


def _aside(path: Path, now: datetime) -> Path:
    """A name that is free: `catalog.sqlite.damaged-20260131T120000`, or with a number behind it."""
    return free_name(path.parent, f"{path.name}.damaged-{now.astimezone(UTC):%Y%m%dT%H%M%S}")


def _keep(path: Path, now: datetime) -> Path | None:
    """Give a catalog, and what lies beside it, other names; then nothing lies beside it."""
    _end_write_ahead(path)
    kept = _aside(path, now)
    there = [ending for ending in ("", *_BESIDE) if path.with_name(path.name + ending).exists()]
    for ending in there:
        _link(path.with_name(path.name + ending), kept.with_name(kept.name + ending))
    sync_folder(path.parent)
    for ending in _BESIDE:
        path.with_name(path.name + ending).unlink(missing_ok=True)
    return kept if "" in there else None


def _end_write_ahead(path: Path) -> None:
    """Take the write-ahead log into a catalog that is sound enough: then it is one file.

    Beside what is no catalog SQLite would just delete it.
    """
    if standing_of(path) is None:
        return
    with suppress(sqlite3.Error), closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")


def _link(source: Path, target: Path) -> None:
    if not link(source, target):
        shutil.copyfile(source, target)
        target.chmod(0o600)
        sync_file(target)
