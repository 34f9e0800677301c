"""The journal against itself and against the catalog."""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

from simpleindex_storage.catalog_sql import RECORDED
from simpleindex_storage.errors import Refused, Unavailable
from simpleindex_storage.journal import FIRST_SEGMENT, Segment, segments
from simpleindex_storage.journal_lines import Line, lines_of
from simpleindex_storage.state_file import STATE_FILE, facts_of, state_of

from .codes import Code, Fault
from .reading import CatalogReader

_TOLD_MAX = 20
_AT_ONCE = 1000

_FACTS = "SELECT name, value FROM facts WHERE name IN ('serial', 'journal_bytes', 'journal_name')"
_RECORDED = f"""
    SELECT kind, index_name, sha256_prefix, filename FROM ({RECORDED.format("main")})
"""  # noqa: S608  a statement
_TABLES = """
    CREATE TABLE told (kind, index_name, prefix, filename,
        PRIMARY KEY (index_name, filename, prefix, kind)) WITHOUT ROWID;
    CREATE TABLE recorded (kind, index_name, prefix, filename,
        PRIMARY KEY (index_name, filename, prefix, kind)) WITHOUT ROWID;
"""
_ONLY_IN = "SELECT index_name, filename FROM (SELECT * FROM {} EXCEPT SELECT * FROM {}) LIMIT ?"
_STEPS = {
    "file": "INSERT OR REPLACE INTO told VALUES ('file', ?1, ?2, ?3)",
    "file removed": "DELETE FROM told WHERE kind = 'file' AND index_name = ?1 AND filename = ?3",
    "attachment": "INSERT OR REPLACE INTO told VALUES ('attachment', ?1, ?2, ?3)",
    "attachment removed": (
        "DELETE FROM told WHERE kind = 'attachment' AND index_name = ?1 AND prefix = ?2 "
        "AND filename = ?3"
    ),
}


def disagreements(root: Path, reader: CatalogReader) -> Iterator[Fault]:
    """What is wrong with the journal. In constant memory.

    A server may write `state.json`, and remove the segments that it stands for, between a view of
    the catalog and the look at the files. So what is found is told only if it is there in another
    view, too.
    """
    if _seen(root, reader):
        yield from _seen(root, reader)


def _seen(root: Path, reader: CatalogReader) -> list[Fault]:
    """What is wrong in one view of the catalog."""
    with reader.rows() as connection, closing(sqlite3.connect("")) as told:
        known = dict(connection.execute(_FACTS))
        serial, current = known["serial"], known.get("journal_name", FIRST_SEGMENT)
        length = known["journal_bytes"]
        told.executescript(_TABLES)  # in a file without a name, which goes by itself
        try:
            some = list(
                islice(_lines_that_are_wrong(root, current, length, serial, told), _TOLD_MAX)
            )
        except FileNotFoundError as gone:  # since it was listed
            return [Fault(Code.JOURNAL_MISSING, Path(gone.filename).name, "is not there")]
        if not some:
            rows = connection.execute(_RECORDED)
            while part := rows.fetchmany(_AT_ONCE):
                told.executemany("INSERT INTO recorded VALUES (?, ?, ?, ?)", part)
            some = list(_other_files(told, current))
        return some


def _other_files(told: sqlite3.Connection, current: str) -> Iterator[Fault]:
    for these, those, what in (
        ("told", "recorded", "tells of {} in {}, which the catalog does not know"),
        ("recorded", "told", "does not tell of {} in {}, which the catalog knows"),
    ):
        rows = told.execute(_ONLY_IN.format(these, those), (_TOLD_MAX,))
        for index, filename in rows.fetchall():
            yield Fault(Code.JOURNAL_FILES, current, what.format(filename, index))


def _lines_that_are_wrong(
    root: Path, current: str, length_bytes: int, serial: int, told: sqlite3.Connection
) -> Iterator[Fault]:
    """Read all lines and keep the files that they tell of. A gap is told once."""
    if not (root / current).is_file():
        yield Fault(Code.JOURNAL_MISSING, current, "is not there")
        return
    size_bytes = (root / current).stat().st_size
    if size_bytes < length_bytes:
        what = f"has {size_bytes:,} bytes, and had {length_bytes:,}"
        yield Fault(Code.JOURNAL_SHORT, current, what)
        return
    try:
        state = state_of(root)
        if state is not None:
            _follow(told, facts_of(root))
    except (Refused, Unavailable, ValueError, KeyError, TypeError) as error:
        yield Fault(Code.JOURNAL_LINE, STATE_FILE, f"cannot be read: {error}")
        return
    covered = -1 if state is None else state.serial
    last, name = covered, current
    for segment in segments(root):
        if segment.first_serial > serial and segment.path.name != current:
            continue  # begun since the view was taken, or for a commit that never happened
        name = segment.path.name
        for line in _committed(segment, length_bytes if name == current else None):
            try:
                is_at = _follow_line(told, line, covered)
            except (ValueError, KeyError, TypeError) as error:
                what = f"has a line {line.number} that is none: {error}"
                yield Fault(Code.JOURNAL_LINE, name, what)
                return
            # What lies before the state may have gaps: the state stands for it.
            if is_at > covered and is_at != last + 1:
                what = f"goes on with serial {is_at} in line {line.number}, not with {last + 1}"
                yield Fault(Code.JOURNAL_GAP, name, what)
                return
            last = max(last, is_at)
    if last != serial:
        what = f"ends with serial {last}, and the catalog is at {serial}"
        yield Fault(Code.JOURNAL_GAP, name, what)


def _committed(segment: Segment, length_bytes: int | None) -> Iterator[Line]:
    """The lines of a segment; of the one that is written to, as many as the catalog knows."""
    begun_at = 0
    for line in lines_of(segment.path):
        if length_bytes is not None and begun_at >= length_bytes:
            return
        yield line
        begun_at = line.end


def _follow_line(told: sqlite3.Connection, line: Line, covered: int) -> int:
    """Do what a line tells, unless the state stands for it; its serial."""
    if line.entry is None or not line.is_whole:
        raise ValueError("it is damaged, or cut short")
    if line.entry.serial > covered:
        _follow(told, line.entry.facts)
    return line.entry.serial


def _follow(told: sqlite3.Connection, facts: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
    for kind, fact in facts:
        if kind in _STEPS:
            prefix = fact.get("sha256_prefix") or str(fact.get("sha256"))[:16]
            told.execute(_STEPS[kind], (fact["index"], prefix, fact["filename"]))
