"""The cache's SQLite file: how it is opened, begun anew where it is damaged, read and changed.

Commits are written ahead and not synced one by one. So a power cut may take the last of them, and
never leaves the file in between two; a process that dies takes nothing that was committed.
"""

import logging
import os
import queue
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from . import cache_sql as sql
from .cache_transaction import CacheChange, CacheReading
from .errors import Refused, Unavailable
from .generation import Generation
from .locks import FileLock

_log = logging.getLogger(__name__)

_BUSY_SECONDS = 10.0
_SERIAL_MAX = 1 << 62
"""Numbers beyond were never ours: the words are damaged."""
_LOG_BYTES_MAX = 8 << 20
"""What the write-ahead log is cut to once its commits are in the file."""


class CacheSqlite:
    """One SQLite file with its lock and generation words. May be used from any thread."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "cache.sqlite"
        for name in ("cache.sqlite", "generation"):
            _make_private(folder / name)
        self._turnstile = FileLock(folder / "lock")
        self._generation = Generation(folder / "generation")
        self.agreed_serial = self._generation.agreed
        """The serial that everybody sees, if no change is on its way."""
        self._readers: queue.LifoQueue[sqlite3.Connection] = queue.LifoQueue()
        self._is_closed = False
        try:
            with self._turnstile.held(), self._errors("opened"):
                self._writing = _open(self._path, serial_min=self._generation.settled())
                self._generation.settle(CacheReading(self._writing).serial)
        except BaseException:
            self._turnstile.close()
            self._generation.close()
            raise

    def settled_serial(self) -> int:
        """The serial of the last commit that was announced."""
        return self._generation.settled()

    @contextmanager
    def reading(self) -> Iterator[CacheReading]:
        """What is on record. Raises Unavailable."""
        if self._is_closed:
            raise Unavailable("the cache is closed")
        with self._errors("read"):
            try:
                connection = self._readers.get_nowait()
            except queue.Empty:
                connection = _connect(self._path)
            try:
                seen = CacheReading(connection)
                if self._generation.agreed() is None:
                    self._generation.heal(seen.serial)
                yield seen
            except sqlite3.Error:
                connection.close()  # whatever is wrong with it, the next reader begins anew
                raise
            except BaseException:
                self._readers.put(connection)
                raise
            self._readers.put(connection)

    @contextmanager
    def change(self, *, is_synced: bool = False) -> Iterator[CacheChange]:
        """Change what is on record: all that the block does, or nothing. Raises Unavailable.

        One at a time on the machine: files may be put in place and taken away in the block, too.
        `is_synced`: no power cut takes it back.
        """
        if self._is_closed:
            raise Unavailable("the cache is closed")
        with self._turnstile.held(), self._errors("written"):
            connection = self._writing
            connection.execute(f"PRAGMA synchronous = {'FULL' if is_synced else 'NORMAL'}")
            connection.execute("BEGIN IMMEDIATE")
            try:
                before = CacheReading(connection).serial
                self._generation.settle(before)  # a writer may have died, or failed to commit
                change = CacheChange(connection, before + 1)
                yield change
                if change.is_visible:
                    connection.execute(sql.SET_FACT, (before + 1, "serial"))
                    self._generation.announce(before + 1)
                connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
                raise
            self._generation.settle(before + change.is_visible)

    def close(self) -> None:
        """Close the files."""
        with self._turnstile.held():
            self._is_closed = True
        with suppress(queue.Empty):
            while True:
                self._readers.get_nowait().close()
        self._writing.close()
        self._turnstile.close()
        self._generation.close()

    @contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        """What SQLite raises becomes Unavailable."""
        try:
            yield
        except sqlite3.Error as error:
            if _is_damage(error):
                with suppress(OSError):  # the next opening begins anew
                    _suspicion(self._path).touch(mode=0o600)
            full = getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL
            raise Unavailable(f"the cache cannot be {what}: {error}", full=full) from error


class _Unusable(Exception):
    """The file is damaged, or none of ours."""


def _open(path: Path, serial_min: int) -> sqlite3.Connection:
    """The connection that writes, to a file that is ours. To be called under the lock."""
    try:
        connection = _opened(path, serial_min)
        if _suspicion(path).exists():
            _check_whole(connection, path)
        return connection
    except (_Unusable, sqlite3.Error) as unusable:
        if isinstance(unusable, sqlite3.Error) and not _is_damage(unusable):
            raise
        aside = path.with_name(f"{path.name}.damaged")
        path.replace(aside)
        for left in (f"{path.name}-wal", f"{path.name}-shm", f"{path.name}-journal"):
            path.with_name(left).unlink(missing_ok=True)
        _suspicion(path).unlink(missing_ok=True)
        _log.warning(
            "%s cannot be used (%s): it is now %s, and what it knew of is fetched again",
            path,
            unusable,
            aside.name,
        )
    _make_private(path)
    return _opened(path, serial_min)


def _opened(path: Path, serial_min: int) -> sqlite3.Connection:
    connection = _connect(path)
    try:
        _bring_up_to_date(connection, path)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES_MAX}")
        # What was begun anew, or has lost commits, must not tell an old serial of new things.
        if CacheReading(connection).serial < serial_min < _SERIAL_MAX:
            connection.execute(sql.SET_FACT, (serial_min, "serial"))
    except BaseException:
        connection.close()
        raise
    return connection


def _check_whole(connection: sqlite3.Connection, path: Path) -> None:
    """Look at all of a file in which damage was found. Raises _Unusable.

    SQLite tells of damage, too, when a read has failed that works again.
    """
    try:
        found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    except BaseException:
        connection.close()
        raise
    if found != "ok":
        connection.close()
        raise _Unusable(found)
    _suspicion(path).unlink(missing_ok=True)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path,
        timeout=_BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=64,
    )
    try:
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA foreign_keys = ON")
    except BaseException:
        connection.close()
        raise
    return connection


def _bring_up_to_date(connection: sqlite3.Connection, path: Path) -> None:
    """Lead a file from its version to ours, in one transaction. Raises _Unusable, Refused."""
    application_id = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    is_new = (application_id, version) == (0, 0)
    if is_new and connection.execute(sql.TABLES).fetchone()[0] == 0:
        connection.execute("PRAGMA journal_mode = WAL")
    elif application_id != sql.APPLICATION_ID:
        raise _Unusable("it is no cache of simpleindex-server")
    elif version > len(sql.MIGRATIONS):
        raise Refused(
            str(path),
            f"a newer simpleindex-server made this cache (version {version}, this one knows "
            f"{len(sql.MIGRATIONS)}); install that one, or delete the folder: all of it can be "
            "fetched again",
        )
    if version < len(sql.MIGRATIONS):
        steps = "".join(sql.MIGRATIONS[version:])
        connection.executescript(
            f"BEGIN IMMEDIATE; {steps} PRAGMA application_id = {sql.APPLICATION_ID}; "
            f"PRAGMA user_version = {len(sql.MIGRATIONS)}; COMMIT;"
        )


def _is_damage(error: sqlite3.Error) -> bool:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    is_broken_schema = code == sqlite3.SQLITE_ERROR and "no such" in str(error)
    return is_broken_schema or code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _suspicion(path: Path) -> Path:
    """The mark of a file in which a process found damage while it was working."""
    return path.with_name(f"{path.name}.suspect")


def _make_private(path: Path) -> None:
    """Let a file be there that only its owner can read."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
