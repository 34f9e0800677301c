"""The append-only record of changes, one JSON object a line: audit log, and source of a rebuild.

The catalog writes each line, and syncs it, before it commits the change that the line tells of,
and remembers in the same commit how long the journal then is. Whatever lies beyond that length
belongs to a commit that never happened, and is cut off by the next writer. So no line is ever
missing, and none is ever there twice.

More lines than one commit can hold are something else: the catalog is older than the journal,
restored from a backup. Those lines tell of what happened since, and are set aside in a file.

    root/journal.jsonl                   the first segment
    root/journal-<first serial>.jsonl    the segments that follow, one after the other
    root/journal[...]-from-<bytes>.jsonl what was set aside of a segment; no segment itself

The catalog names the segment that is being written, so that a new one begins with a commit: for
all processes at once, and whatever crashes meanwhile.
"""

import json
import os
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from .durable import free_name, sync_folder, unavailable_on_failure, write_file
from .model import JsonValue

FIRST_SEGMENT = "journal.jsonl"
LINES_PER_COMMIT_MAX = 64

_SEGMENT = re.compile(r"journal(?:-([0-9]+))?\.jsonl")


@dataclass(frozen=True, slots=True)
class Segment:
    """A file of the journal."""

    path: Path
    first_serial: int
    """Of its first line, if it has any."""


def segment_name(first_serial: int) -> str:
    """What a segment is called that is not the first one."""
    return f"journal-{first_serial}.jsonl"


def segments(folder: Path) -> list[Segment]:
    """The files of a directory's journal, the oldest first. Raises OSError."""
    found = []
    for path in folder.iterdir():
        if match := _SEGMENT.fullmatch(path.name):
            found.append(Segment(path, int(match[1] or 0)))
    return sorted(found, key=lambda segment: segment.first_serial)


class Journal:
    """The journal of one server directory. Only the holder of the write lock may touch it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path: Path | None = None
        self._handle = -1

    def use(self, name: str) -> None:
        """Go on in the segment that the catalog names. Raises Unavailable."""
        path = self._folder / name
        if path == self._path:
            return
        with unavailable_on_failure("the journal cannot be opened"):
            self.close()
            flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0)
            self._handle = os.open(path, flags, 0o600)
            self._path = path

    def begin(self, first_serial: int) -> str:
        """Make an empty segment, to stay, and go on in it; its name. Raises Unavailable.

        The catalog must name it in the same commit; if that fails, nobody ever reads it.
        """
        name = segment_name(first_serial)
        with unavailable_on_failure("the journal cannot be written"):
            self.use(name)
            self._cut(0)
            sync_folder(self._folder)
        return name

    def append(self, entries: Iterable[dict[str, JsonValue]], *, at_bytes: int) -> int:
        """Write the lines behind the first `at_bytes` bytes of the segment; the length after them.

        A shorter one, from which somebody took lines away, is continued at its end. Durable once
        this returns. Raises Unavailable.
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

    def set_aside_later_ones(self) -> None:
        """Set segments aside that begin after the one in use: nobody reads on in them.

        The catalog is from before them, or the commit that was to begin one never happened, which
        may leave it empty. Raises Unavailable.
        """
        with unavailable_on_failure("the journal cannot be written"):
            found = segments(self._folder)
            in_use = next(each.first_serial for each in found if each.path == self._path)
            for segment in found:
                if segment.path == self._path:
                    continue
                with suppress(PermissionError):  # Windows: somebody reads it; the next start does
                    if segment.path.stat().st_size == 0:
                        segment.path.unlink()
                    elif segment.first_serial > in_use:
                        segment.path.rename(_place_aside(segment.path, 0))

    def close(self) -> None:
        """Close the file."""
        if self._path is not None:
            os.close(self._handle)
            self._path = None

    def _cut(self, at_bytes: int) -> int:
        """Let the segment end there, or where it ends if that is sooner; its length then."""
        assert self._path is not None
        size_bytes = os.fstat(self._handle).st_size
        if size_bytes <= at_bytes:
            return size_bytes
        with self._path.open("rb") as file:
            file.seek(at_bytes)
            if sum(1 for _ in file) > LINES_PER_COMMIT_MAX:
                file.seek(at_bytes)
                write_file(_place_aside(self._path, at_bytes), file.read())
        os.ftruncate(self._handle, at_bytes)
        return at_bytes


def _place_aside(path: Path, at_bytes: int) -> Path:
    return free_name(path.parent, f"{path.stem}-from-{at_bytes}", path.suffix)


def _line(entry: dict[str, JsonValue]) -> bytes:
    text = json.dumps(entry, ensure_ascii=False, separators=(",", ":"))
    # JSON can say half of a surrogate pair, UTF-8 cannot: it becomes the escape that it came as.
    return text.encode(errors="backslashreplace") + b"\n"
