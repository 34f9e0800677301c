"""The append-only record of changes, one JSON object a line: audit log, and source of a rebuild.

The catalog writes each line, and syncs it, before it commits the change that the line tells of,
and remembers in the same commit how long the journal then is. Whatever lies beyond that length
belongs to a commit that never happened, and is cut off by the next writer. So no line is ever
missing, and none is ever there twice.

More lines than one commit can hold are something else: the catalog is older than the journal,
restored from a backup. Those lines tell of what happened since, and are set aside in a file.
"""

import json
import os
from collections.abc import Iterable
from itertools import chain, count
from pathlib import Path

from .durable import unavailable_on_failure, write_file
from .model import JsonValue

LINES_PER_COMMIT_MAX = 64


class Journal:
    """The journal of one server directory. Only the holder of the write lock may append."""

    def __init__(self, path: Path) -> None:
        self._path = path
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0)
        self._handle = os.open(path, flags, 0o600)

    def append(self, entries: Iterable[dict[str, JsonValue]], *, at_bytes: int) -> int:
        """Write the lines behind the first `at_bytes` bytes; the length after them.

        A shorter journal, from which somebody took lines away, is continued at its end. Durable
        once this returns. Raises Unavailable.
        """
        lines = b"".join(_line(entry) for entry in entries)
        with unavailable_on_failure("the journal cannot be written"):
            start = self._cut(at_bytes)
            os.lseek(self._handle, start, os.SEEK_SET)
            rest = memoryview(lines)
            while rest:
                rest = rest[os.write(self._handle, rest) :]
            os.fsync(self._handle)
        return start + len(lines)

    def cut(self, at_bytes: int) -> None:
        """Drop lines of a commit that never happened. Raises Unavailable."""
        with unavailable_on_failure("the journal cannot be written"):
            self._cut(at_bytes)

    def close(self) -> None:
        """Close the file."""
        os.close(self._handle)

    def _cut(self, at_bytes: int) -> int:
        """Let the journal end there, or where it ends if that is sooner; its length then."""
        size_bytes = os.fstat(self._handle).st_size
        if size_bytes <= at_bytes:
            return size_bytes
        with self._path.open("rb") as file:
            file.seek(at_bytes)
            if sum(1 for _ in file) > LINES_PER_COMMIT_MAX:
                file.seek(at_bytes)
                write_file(self._place_aside(at_bytes), file.read())
        os.ftruncate(self._handle, at_bytes)
        return at_bytes

    def _place_aside(self, at_bytes: int) -> Path:
        """A name that is free: `journal-from-1234.jsonl`, or with a number behind it."""
        stem = f"{self._path.stem}-from-{at_bytes}"
        names = chain([f"{stem}.jsonl"], (f"{stem}-{number}.jsonl" for number in count(2)))
        return next(path for path in map(self._path.with_name, names) if not path.exists())


def _line(entry: dict[str, JsonValue]) -> bytes:
    text = json.dumps(entry, ensure_ascii=False, separators=(",", ":"))
    # JSON can say half of a surrogate pair, UTF-8 cannot: it becomes the escape that it came as.
    return text.encode(errors="backslashreplace") + b"\n"
