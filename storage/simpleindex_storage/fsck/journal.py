"""The journal against itself and against the catalog."""

import json
import re
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from .codes import Code, Fault
from .reading import CatalogReader

CURRENT = "journal.jsonl"
STATE = "state.json"
"""What the catalog knew at one serial, so that older lines need not be kept."""
_SEGMENT = re.compile(r"journal(?:-([0-9]+))?\.jsonl")
_STATE_SERIAL = re.compile(rb'\{"format": 1, "serial": ([0-9]+)[,}]')
_LINE_BYTES_MAX = 4096
_TOLD_MAX = 20
_AT_ONCE = 1000

_FACTS = "SELECT name, value FROM facts WHERE name IN ('serial', 'journal_bytes', 'journal_name')"
_RECORDED = """
    SELECT 'file', indexes.name, substr(sha256, 1, 16), filename
    FROM files JOIN indexes ON indexes.id = index_id
    UNION ALL SELECT 'attachment', index_name, sha256_prefix, filename FROM attachments
"""
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


@dataclass(frozen=True, slots=True)
class Segment:
    """One file of the journal, or as much of it as the catalog knows."""

    path: Path
    first_serial: int
    length_bytes: int


def segments(root: Path, current: str, length_bytes: int) -> list[Segment]:
    """The files of the journal in order; of the one that is written to, what is committed.

    What was set aside when an older catalog was restored is none of them.
    """
    found = []
    for path in root.glob("journal*.jsonl"):
        if match := _SEGMENT.fullmatch(path.name):
            length = length_bytes if path.name == current else path.stat().st_size
            found.append(Segment(path, int(match[1] or 0), length))
    return sorted(found, key=lambda each: each.first_serial)


def state_serial(root: Path) -> int | None:
    """Up to which serial `state.json` stands for the journal; None: there is none.

    Raises ValueError for one that cannot be read.
    """
    try:
        with (root / STATE).open("rb") as file:
            match = _STATE_SERIAL.match(file.readline(_LINE_BYTES_MAX))
    except FileNotFoundError:
        return None
    if match is None:
        raise ValueError("its first line tells no serial")
    return int(match[1])


def disagreements(root: Path, reader: CatalogReader) -> Iterator[Fault]:
    """What is wrong with the journal. In constant memory."""
    with reader.rows() as connection, closing(sqlite3.connect("")) as told:
        known = dict(connection.execute(_FACTS))
        serial, current = known["serial"], known.get("journal_name", CURRENT)
        length = known["journal_bytes"]
        told.executescript(_TABLES)  # in a file without a name, which goes by itself
        some = list(islice(_lines_that_are_wrong(root, current, length, serial, told), _TOLD_MAX))
        if not some:
            rows = connection.execute(_RECORDED)
            while part := rows.fetchmany(_AT_ONCE):
                told.executemany("INSERT INTO recorded VALUES (?, ?, ?, ?)", part)
            some = list(_other_files(told, current))
    yield from some


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
        covered = state_serial(root)
        _follow_state(told, root / STATE)
    except (ValueError, KeyError, TypeError) as error:
        yield Fault(Code.JOURNAL_LINE, STATE, f"cannot be read: {error}")
        return
    covered = -1 if covered is None else covered
    last, name = covered, current
    for segment in segments(root, current, length_bytes):
        name = segment.path.name
        for number, line in enumerate(_lines(segment), 1):
            try:
                is_at, facts = _read(line)
                if is_at > covered:
                    _follow(told, facts)
            except (ValueError, KeyError, TypeError) as error:
                yield Fault(Code.JOURNAL_LINE, name, f"has a line {number} that is none: {error}")
                return
            # What lies before the state may have gaps: the state stands for it.
            if is_at > covered and is_at != last + 1:
                what = f"goes on with serial {is_at} in line {number}, not with {last + 1}"
                yield Fault(Code.JOURNAL_GAP, name, what)
                return
            last = max(last, is_at)
    if last != serial:
        what = f"ends with serial {last}, and the catalog is at {serial}"
        yield Fault(Code.JOURNAL_GAP, name, what)


def _lines(segment: Segment) -> Iterator[bytes]:
    left = segment.length_bytes
    with segment.path.open("rb") as file:
        while left > 0 and (line := file.readline(left)):
            left -= len(line)
            yield line


def _read(line: bytes) -> tuple[int, Iterable[tuple[str, dict[str, Any]]]]:
    entry = json.loads(line)
    return int(entry["serial"]), [(kind, fact) for kind, fact in entry["facts"]]


def _follow(told: sqlite3.Connection, facts: Iterable[tuple[str, dict[str, Any]]]) -> None:
    for kind, fact in facts:
        if kind in _STEPS:
            prefix = fact.get("sha256_prefix") or str(fact.get("sha256"))[:16]
            told.execute(_STEPS[kind], (fact["index"], prefix, fact["filename"]))


def _follow_state(told: sqlite3.Connection, path: Path) -> None:
    """Each line but the first and the last is one fact."""
    if not path.exists():
        return
    with path.open("rb") as file:
        file.readline()
        for line in file:
            text = line.strip().removesuffix(b",")
            if text.startswith(b"["):
                kind, fact = json.loads(text)
                _follow(told, [(kind, fact)])
