"""The catalog against itself."""

from collections.abc import Iterator

from simpleindex_storage.catalog_sql import REMOVALS
from simpleindex_storage.errors import Unavailable
from simpleindex_storage.names import FilePlace, IndexName
from simpleindex_storage.sqlite_transaction import SqliteSnapshot

from .codes import Code, Fault
from .files import is_recorded
from .reading import CatalogReader

_TOLD_MAX = 20
_PATH = "catalog.sqlite"

_NEWER = """
    SELECT 'index ' || name, serial FROM indexes WHERE serial > ?1
    UNION ALL SELECT 'project ' || name, serial FROM projects WHERE serial > ?1
    UNION ALL SELECT 'delivery', max(serial, ifnull(undone_serial, 0)) FROM deliveries
        WHERE max(serial, ifnull(undone_serial, 0)) > ?1
    LIMIT ?2
"""


def damage(reader: CatalogReader, *, is_quick: bool) -> Iterator[Fault]:
    """What SQLite itself finds. Quick: without comparing the tables with their indexes."""
    pragma = "quick_check" if is_quick else "integrity_check"
    try:
        with reader.rows() as connection:
            found = [told for (told,) in connection.execute(f"PRAGMA {pragma}({_TOLD_MAX})")]
    except Unavailable as error:
        found = [str(error)]
    for told in found:
        if told != "ok":
            yield Fault(Code.CATALOG_PAGES, _PATH, f"is damaged: {' '.join(told.split())}")


def disagreements(reader: CatalogReader) -> Iterator[Fault]:
    """Records that do not go together."""
    with reader.rows() as connection:
        orphans = connection.execute("PRAGMA foreign_key_check").fetchmany(_TOLD_MAX)
        (serial,) = connection.execute("SELECT value FROM facts WHERE name = 'serial'").fetchone()
        newer = connection.execute(_NEWER, (serial, _TOLD_MAX)).fetchall()
    for table, row, parent, _ in orphans:
        what = f"has row {row} in {table}, and not what that names in {parent}"
        yield Fault(Code.RECORD_ORPHAN, _PATH, what)
    for record, told in newer:
        what = f"has {record} of serial {told}, and is itself of serial {serial}"
        yield Fault(Code.RECORD_SERIAL, _PATH, what)


def removals(reader: CatalogReader) -> set[tuple[str, str, str]]:
    """Files that were removed and may still lie there: index, digits, name.

    Not those that came again since: nobody deletes them.
    """
    with reader.rows() as connection:
        seen = SqliteSnapshot(connection)
        return {
            (index, digits, filename)
            for index, digits, filename in connection.execute(REMOVALS).fetchall()
            if not is_recorded(seen, FilePlace(IndexName(index), digits, filename), None)
        }
