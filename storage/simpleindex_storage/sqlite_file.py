"""The SQLite file of a catalog: how it is opened, recognised, and brought up to date.

Whatever SQLite raises leaves here as one of the store's errors.
"""

import logging
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from . import catalog_sql as sql
from .durable import link, sync_file, sync_folder
from .errors import Refused, Unavailable
from .locks import FileLock

CATALOG_FILE = "catalog.sqlite"
"""In a server directory."""

_log = logging.getLogger(__name__)

_BUSY_SECONDS = 10.0


def connect(path: Path) -> sqlite3.Connection:
    """A connection that any thread may use, one at a time. Raises Unavailable."""
    with reading_errors():
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


def connect_reading(path: Path) -> sqlite3.Connection:
    """A connection to a file that others may have open, through which nothing can be written.

    What is wrong with the file is raised as sqlite3 has it.
    """
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)


def check_version(connection: sqlite3.Connection, path: Path) -> None:
    """Raises Refused for a catalog that is not of this version."""
    if _check_ours(connection, path) != len(sql.MIGRATIONS):
        raise Refused(
            str(path), "this catalog must be brought up to date first; restart the server"
        )


def fact(connection: sqlite3.Connection, name: str) -> Any:
    """One of the few facts that a catalog keeps about itself."""
    return connection.execute(sql.FACT, (name,)).fetchone()[0]


@dataclass(frozen=True, slots=True)
class Standing:
    """What a catalog says of itself."""

    uuid: str
    serial: int


def standing_of(path: Path) -> Standing | None:
    """How far a catalog is, which others may have open; None for one that cannot be read."""
    try:
        with closing(connect_reading(path)) as reading:
            return Standing(str(fact(reading, "uuid")), int(fact(reading, "serial")))
    except (sqlite3.Error, TypeError, ValueError):
        return None


def put_in_place(draft: Path, path: Path) -> None:
    """Let a finished catalog file appear, whole, and to stay."""
    draft.chmod(0o600)
    sync_file(draft)
    for left in path.parent.glob(f"{draft.name}-*"):  # SQLite does not mind if it cannot remove one
        left.unlink()
    draft.replace(path)
    sync_folder(path.parent)


def prepare_catalog(path: Path, now: datetime) -> None:
    """Check that a catalog can be used by this version; bring an older one up to date.

    The work is done on a copy, which then takes the place of the original: a crash leaves either
    of them, and the original is kept beside it, as `catalog-v1-2026-11-23.sqlite`. The time this
    takes does not depend on the size of a catalog that is up to date. Raises Refused for a file
    that is not ours, that is damaged, or that a newer version made; and Unavailable, also if a
    server of the older version still has it open, or if there is no room for the copy.
    """
    turnstile = FileLock(path.with_name("lock"))
    try:
        with turnstile.held():  # of several processes that start at once, one does the work
            _prepare_alone(path, now)
    finally:
        turnstile.close()


def _prepare_alone(path: Path, now: datetime) -> None:
    draft = path.with_name(path.name + ".new")
    with (
        reading_errors(),
        closing(sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)) as connection,
    ):
        version = _check_ours(connection, path)
        if version == len(sql.MIGRATIONS):
            return
        _end_write_ahead(connection, path)
        draft.unlink(missing_ok=True)
        with _sqlite_errors("the catalog cannot be brought up to date"):
            connection.execute("VACUUM INTO ?", (str(draft),))
    with writing_errors():
        copy = sqlite3.connect(draft, isolation_level=None)
        try:
            migrate(copy)
            copy.execute("PRAGMA journal_mode = WAL")
        finally:
            copy.close()
    kept = _keep(path, version, now)
    put_in_place(draft, path)
    _log.warning(
        "%s was of version %d and is of version %d now; the older one is kept as %s",
        path, version, len(sql.MIGRATIONS), kept.name,
    )  # fmt: skip


def _keep(path: Path, version: int, now: datetime) -> Path:
    """Give the older catalog a second name, under which it stays; the last one of its version."""
    kept = path.with_name(f"{path.stem}-v{version}-{now:%Y-%m-%d}{path.suffix}")
    for older in path.parent.glob(f"{path.stem}-v{version}-*{path.suffix}"):
        older.unlink()
    path.chmod(0o600)
    if not link(path, kept):
        shutil.copy2(path, kept)
        sync_file(kept)
    return kept


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


def migrate(connection: sqlite3.Connection) -> None:
    """Lead a catalog from its version to ours, in one transaction."""
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    steps = "".join(sql.MIGRATIONS[version:])
    connection.execute("PRAGMA synchronous = FULL")
    connection.executescript(
        f"BEGIN IMMEDIATE; {steps} PRAGMA user_version = {len(sql.MIGRATIONS)}; COMMIT;"
    )


def damage_at_first_sight(path: Path) -> str | None:
    """What is wrong with a catalog, as far as a look tells that takes no longer for a larger one.

    SQLite compares the length of the file with what its header says, and reads the schema; both
    ends of each table are read besides. None: nothing is seen. Raises Unavailable.
    """
    if not path.is_file():
        raise Unavailable(f"{path} is not there")
    with (
        reading_errors(),
        closing(sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)) as connection,
    ):
        return _damage_of(connection, path)


def _damage_of(connection: sqlite3.Connection, path: Path) -> str | None:
    if path.stat().st_size == 0:
        return "the file is empty"
    try:
        if _is_ours(connection):
            for (statement,) in connection.execute(sql.TABLES).fetchall():
                connection.execute(statement).fetchone()
            fact(connection, "serial")
    except (sqlite3.DatabaseError, TypeError) as error:
        if isinstance(error, sqlite3.OperationalError) and "no such table" not in str(error):
            raise
        return str(error)
    return None


def _is_ours(connection: sqlite3.Connection) -> bool:
    told: int = connection.execute("PRAGMA application_id").fetchone()[0]
    return told == sql.APPLICATION_ID


def _check_ours(connection: sqlite3.Connection, path: Path) -> int:
    """The version of a catalog. Raises Refused if it is none that we can read."""
    if (damage := _damage_of(connection, path)) is not None:
        raise _damaged(path, damage)
    ours = _is_ours(connection)
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if not ours:
        raise Refused(str(path), "this is not a catalog of simpleindex-server")
    if version > len(sql.MIGRATIONS):
        raise Refused(
            str(path),
            f"a newer simpleindex-server made this catalog (version {version}, this one knows "
            f"{len(sql.MIGRATIONS)}); install that one",
        )
    return version


def _damaged(path: Path, what: str) -> Refused:
    """What to raise for a catalog that is damaged: it names the way out."""
    root = path.parent
    return Refused(
        str(path),
        f"the catalog is damaged ({what}); `simpleindex-server rebuild --serverdir={root}` makes "
        "it anew from the journal and the files, or restore a backup",
    )


@contextmanager
def reading_errors() -> Iterator[None]:
    """What SQLite raises becomes Unavailable: the catalog cannot be read."""
    with _sqlite_errors("the catalog cannot be read"):
        yield


@contextmanager
def writing_errors() -> Iterator[None]:
    """What SQLite raises becomes Unavailable: the catalog cannot be written."""
    with _sqlite_errors("the catalog cannot be written"):
        yield


@contextmanager
def refusing_damage(path: Path) -> Iterator[None]:
    """As reading_errors, but that damage becomes Refused, which names the way out."""
    damage = damage_at_first_sight(path)
    if damage is not None:
        raise _damaged(path, damage)
    try:
        yield
    except sqlite3.Error as error:
        if _is_damage(error):
            raise _damaged(path, str(error)) from error
        raise Unavailable(f"the catalog cannot be read: {error}") from error


def _is_damage(error: sqlite3.Error) -> bool:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


@contextmanager
def _sqlite_errors(what: str) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if _is_damage(error):
            _log.error(
                "%s: %s; `simpleindex-server fsck` tells what is damaged, and "
                "`simpleindex-server rebuild` makes the catalog anew",
                what,
                error,
            )
        raise Unavailable(f"{what}: {error}", full=code == sqlite3.SQLITE_FULL) from error
