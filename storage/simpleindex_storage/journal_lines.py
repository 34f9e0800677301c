"""Reading the journal, line by line: it may be larger than memory, and grow meanwhile."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeAlias

from .journal import segments
from .model import Actor
from .records import time_from_text

Fact: TypeAlias = tuple[str, Mapping[str, Any]]
"""What it is about, and what there is to say."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One change."""

    serial: int
    time: datetime
    by: Actor
    what: str
    facts: Sequence[Fact]


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a file, and what it says."""

    number: int
    """The first is 1."""
    end: int
    """How many bytes the file has up to its end."""
    is_whole: bool
    """False for what has no line end: a write that was cut short, or goes on just now."""
    entry: Entry | None
    """None: it is damaged."""


def lines_of(path: Path, at_bytes: int = 0) -> Iterator[Line]:
    """The lines behind the first `at_bytes` bytes of a file. Raises OSError."""
    end = at_bytes
    with path.open("rb") as file:
        file.seek(at_bytes)
        for number, raw in enumerate(file, 1):
            end += len(raw)
            yield Line(number, end, raw.endswith(b"\n"), parse_entry(raw))


class JournalReader:
    """Goes through the journal of a directory, and on from there as it grows."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._first_serial = -1
        """Of the segment that was read last."""
        self._at_bytes = 0

    def read(self, up_to: int | None) -> Iterator[tuple[Path, Line]]:
        """The lines that were not read yet, up to a serial; None: to the end. Raises OSError.

        A line that is still being written is left for the next time, and so is a damaged one at
        the very end: it may never have been committed.
        """
        for segment in segments(self._folder):
            if segment.first_serial < self._first_serial:
                continue
            if segment.first_serial > self._first_serial:
                self._first_serial, self._at_bytes = segment.first_serial, 0
            damaged: list[Line] = []
            for line in lines_of(segment.path, self._at_bytes):
                if line.entry is None:
                    damaged.append(line)
                elif not line.is_whole or (up_to is not None and line.entry.serial > up_to):
                    return
                else:
                    self._at_bytes = line.end
                    yield from ((segment.path, each) for each in (*damaged, line))
                    damaged.clear()


def parse_entry(raw: bytes) -> Entry | None:
    """What a line says; None for one that is damaged."""
    try:
        value = json.loads(raw)
        return Entry(
            serial=int(value["serial"]),
            time=time_from_text(value["time"]),
            # The first versions did not tell from where.
            by=Actor(value["who"], value.get("from")),
            what=value["what"],
            facts=tuple((str(kind), _mapping(fact)) for kind, fact in value["facts"]),
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def first_entry(path: Path) -> Entry | None:
    """The first line of a file, if there is one that can be read. Raises OSError."""
    return next((line.entry for line in lines_of(path) if line.entry is not None), None)


def last_entry(path: Path) -> Entry | None:
    """The last line of a file, if there is one that can be read. Raises OSError."""
    last = None
    for line in lines_of(path):
        last = line.entry or last
    return last


def _mapping(fact: object) -> Mapping[str, Any]:
    if not isinstance(fact, dict):
        raise TypeError("a fact is an object")
    return fact
