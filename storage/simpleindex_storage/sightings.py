"""What was seen of clients, counted: a small SQLite file that the processes of a directory share.

Advice, and nothing more: it is not synced, and a file that is damaged is begun anew. Of each kind
only so many sightings are kept; those go first that were made on the fewest days. So whoever makes
up a thousand names in a minute drives out nothing that was seen on two days.
"""

import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import date
from pathlib import Path
from typing import NamedTuple, TypeVar

from .durable import unavailable_on_failure
from .errors import Unavailable
from .locks import FileLock

T = TypeVar("T")

TEXT_CHARACTERS_MAX = 500

_BUSY_SECONDS = 10.0
_IS_ANEW_AFTER = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR}
"""The last for another table under our name, which no version of ours has made."""

_TABLE = """
CREATE TABLE IF NOT EXISTS sighting (
    kind TEXT NOT NULL, what TEXT NOT NULL, who TEXT NOT NULL,
    times INTEGER NOT NULL, days INTEGER NOT NULL, last_day TEXT NOT NULL,
    PRIMARY KEY (kind, what, who)
) WITHOUT ROWID"""
# The conflict is named, since SQLite before 3.35 wants that.
_ADD = """
INSERT INTO sighting VALUES (?, ?, ?, ?, 1, ?)
ON CONFLICT (kind, what, who) DO UPDATE SET
    times = min(times + excluded.times, 1000000000000),
    days = days + (last_day < excluded.last_day),
    last_day = max(last_day, excluded.last_day)"""
_ALL = """
SELECT kind, what, who, times, days, last_day FROM sighting ORDER BY kind, what, who"""
_COUNT = "SELECT count(*) FROM sighting WHERE kind = ?"
_DROP = """
DELETE FROM sighting WHERE (kind, what, who) IN (
    SELECT kind, what, who FROM sighting WHERE kind = ?
    ORDER BY days, last_day, times, what, who LIMIT ?
)"""


class Sight(NamedTuple):
    """Something that is seen again and again."""

    kind: str
    what: str
    who: str = ""
    """Who did it, or to whom it happened: a kind of client, never one of them."""


class Sighted(NamedTuple):
    """How often it was seen."""

    sight: Sight
    times: int
    days: int
    """On how many days."""
    last_day: date


class Sightings:
    """The file of a server directory; it is opened each time. May be used from any thread."""

    def __init__(self, path: Path, kept_max: Mapping[str, int]) -> None:
        """`kept_max`: how many sightings of each kind are kept; there are no other kinds."""
        self._path = path
        self._kept_max = dict(kept_max)

    def add(self, seen: Mapping[Sight, int], day: date) -> None:
        """Count these, so many times each. Raises Unavailable; then nothing is counted."""
        rows = [
            (*sight, times, day.isoformat())
            for sight, times in seen.items()
            if sight.kind in self._kept_max
            and max(len(sight.what), len(sight.who)) <= TEXT_CHARACTERS_MAX
        ]

        def work(connection: sqlite3.Connection) -> None:
            connection.executemany(_ADD, rows)
            for kind, kept_max in self._kept_max.items():
                too_many = connection.execute(_COUNT, (kind,)).fetchone()[0] - kept_max
                if too_many > 0:
                    connection.execute(_DROP, (kind, too_many))

        if rows:
            self._do(work)

    def all(self) -> tuple[Sighted, ...]:
        """All that are kept, by kind. Raises Unavailable."""
        if not self._path.exists():
            return ()

        def work(connection: sqlite3.Connection) -> list[tuple[str, str, str, int, int, str]]:
            return connection.execute(_ALL).fetchall()

        return tuple(
            Sighted(Sight(kind, what, who), times, days, date.fromisoformat(last_day))
            for kind, what, who, times, days, last_day in self._do(work)
        )

    def _do(self, work: Callable[[sqlite3.Connection], T]) -> T:
        with self._alone():
            try:
                return self._try(work)
            except sqlite3.DatabaseError as error:
                if getattr(error, "sqlite_errorcode", 0) & 0xFF not in _IS_ANEW_AFTER:
                    raise Unavailable(f"{self._path} cannot be used: {error}") from error
            self._path.unlink(missing_ok=True)
            self._path.with_name(f"{self._path.name}-journal").unlink(missing_ok=True)
            try:
                return self._try(work)
            except sqlite3.Error as error:
                raise Unavailable(f"{self._path} cannot be used: {error}") from error

    def _try(self, work: Callable[[sqlite3.Connection], T]) -> T:
        # Made first, so that it is our user's alone whatever the umask.
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
        connection = sqlite3.connect(self._path, timeout=_BUSY_SECONDS, isolation_level=None)
        with closing(connection):
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(_TABLE)
            result = work(connection)
            connection.execute("COMMIT")
            return result

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with unavailable_on_failure(f"{self._path} cannot be used"):
            lock = FileLock(self._path.with_name(f"{self._path.name}.lock"))
            try:
                with lock.held():
                    yield
            finally:
                lock.close()
