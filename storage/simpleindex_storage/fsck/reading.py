"""Reading a catalog as it lies there, without tidying it up as opening it would."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from simpleindex_storage.errors import Unavailable
from simpleindex_storage.names import IndexName, ProjectName
from simpleindex_storage.sqlite_file import check_version, connect, reading_errors
from simpleindex_storage.sqlite_transaction import SqliteSnapshot

_PROJECTS_AT_ONCE = 100
_PROJECTS_AFTER = """
    SELECT projects.id, indexes.name, projects.name
    FROM projects JOIN indexes ON indexes.id = index_id
    WHERE projects.id > ? ORDER BY projects.id LIMIT ?
"""


class CatalogReader:
    """One connection to a catalog that a server may be writing to. For one thread.

    Raises Refused for a catalog of another version, and one that is damaged at first sight; and
    Unavailable.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise Unavailable(f"{path} is not there")
        self._connection = connect(path)
        try:
            with reading_errors():
                check_version(self._connection, path)
        except BaseException:
            self._connection.close()
            raise

    @contextmanager
    def rows(self) -> Iterator[sqlite3.Connection]:
        """One view of everything, for statements. Raises Unavailable."""
        with reading_errors():
            self._connection.execute("BEGIN")
            try:
                yield self._connection
            finally:
                self._connection.rollback()

    @contextmanager
    def snapshot(self) -> Iterator[SqliteSnapshot]:
        """One view of everything, in records. Raises Unavailable."""
        with self.rows() as connection:
            yield SqliteSnapshot(connection)

    def projects(self) -> Iterator[tuple[IndexName, ProjectName]]:
        """The projects of all indexes, as they were made. No view is held in between."""
        after = 0
        while True:
            with self.rows() as connection:
                found = connection.execute(_PROJECTS_AFTER, (after, _PROJECTS_AT_ONCE)).fetchall()
            if not found:
                return
            yield from ((IndexName(index), ProjectName(name)) for _, index, name in found)
            after = found[-1][0]

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()
