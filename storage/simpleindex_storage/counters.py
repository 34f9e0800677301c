"""Numbers that each process counts for itself, kept in files so that they can be added up.

    root/counters/<number>    of one process at a time, which holds the file's lock

A process that comes takes over the lowest file that nobody holds, and counts on from where that
ends; so a sum over all files never gets smaller, whoever was killed. Nothing is mapped into memory:
a full disk would kill whoever writes to a mapped page that the filesystem has to place anew. A
process counts in memory, and writes it all down a moment later; what it is asked for, it writes
down first, so that a kill takes back nothing that was ever told.

A file holds the same record twice, and the older one is overwritten: a process that is killed in
the middle leaves the other. What cannot be read, or was laid out otherwise, counts as nothing; and
where there is no room for a file, its process counts in memory alone. Counting never fails.
"""

import struct
import zlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from threading import Event, Lock, Thread

from .locks import FileLock

PROCESSES_MAX = 64
"""More processes on one directory count in memory alone."""
_SAVE_SECONDS = 0.2
_CLOSE_SECONDS_MAX = 5.0
_NOT_READ_BYTES = 8
"""At the beginning of a file: Windows lets nobody read a byte that another one has locked."""
_DIGEST_BYTES = 16


@dataclass(frozen=True, slots=True)
class Layout:
    """What the numbers of a record are; two records with other digests cannot be added up."""

    digest: bytes
    """16 bytes."""
    counts: int
    """How many numbers only grow, across processes that come and go."""
    states: int
    """How many more tell of the process alone, and count while it lives."""

    @property
    def words(self) -> int:
        """How many numbers there are; the states come last."""
        return self.counts + self.states


@dataclass(frozen=True, slots=True)
class Sums:
    """The numbers of all processes of a directory."""

    words: Sequence[int]
    processes: int
    """How many of them live."""


class Counters:
    """The numbers of one process. May be used from any thread; trouble with the disk is borne."""

    def __init__(self, folder: Path, layout: Layout) -> None:
        self.words = [0] * layout.words
        """To be changed under `lock`, unless one thread alone changes a word; then touch."""
        self.lock = Lock()
        self._layout = layout
        self._folder = folder
        self._form = _Form(layout)
        self._sequence = 0
        self._saving = Lock()
        self._held: _Held | None = None
        with suppress(OSError):
            folder.mkdir(mode=0o700, exist_ok=True)
            self._held = _take(folder)
        if self._held is not None:
            with suppress(OSError):
                self._take_over(self._held.file)
            self.save()  # or what told of the last holder alone would count as if it lived
        self._is_touched = False
        self._changed, self._closing = Event(), Event()
        self._saver = Thread(target=self._save_on, name="counters", daemon=True)
        self._saver.start()

    def add(self, word: int, amount: int = 1) -> None:
        """Count something."""
        with self.lock:
            self.words[word] += amount
        self.touch()

    def touch(self) -> None:
        """Let what was changed be written down in a moment."""
        if not self._is_touched:  # quicker than to ask the event
            self._is_touched = True
            self._changed.set()

    def save(self) -> Sequence[int]:
        """Write the numbers down now, if that is possible; what they were."""
        with self._saving:
            with self.lock:
                words = tuple(self.words)
            if self._held is not None:
                with suppress(OSError):
                    self._write(self._held.file, words)
        return words

    def sums(self) -> Sums:
        """The numbers of all processes, this one's as they are now. Reads a file of each."""
        words = list(self.save())
        processes = 1
        for path in self._others():
            record = self._form.newest(_content_of(path))
            if record is None:
                continue
            lives = not _is_free(path)
            processes += lives
            for word in range(self._layout.words if lives else self._layout.counts):
                words[word] += record.words[word]
        return Sums(words, processes)

    def close(self) -> None:
        """Write the numbers down for the last time, and let go of the file."""
        self._closing.set()
        self._changed.set()
        self._saver.join(_CLOSE_SECONDS_MAX)
        self.save()
        with self._saving:
            if self._held is not None:
                self._held.close()
                self._held = None

    def _take_over(self, file: FileIO) -> None:
        """Count on from what the last holder of a file has left."""
        record = self._form.newest(_content(file))
        if record is not None:
            self._sequence = record.sequence
            self.words[: self._layout.counts] = record.words[: self._layout.counts]
            return
        # All of it, so that it has its room on the disk from the beginning.
        file.seek(_NOT_READ_BYTES)
        file.write(bytes(self._form.file_bytes - _NOT_READ_BYTES))
        file.truncate()

    def _write(self, file: FileIO, words: Sequence[int]) -> None:
        """Write them over the older of the two records. Raises OSError."""
        sequence = self._sequence + 1
        record = self._form.packed(sequence, words)
        file.seek(self._form.place(sequence % 2))
        if file.write(record) == len(record):
            self._sequence = sequence  # else the same half again: the other one is whole

    def _others(self) -> list[Path]:
        own = None if self._held is None else self._held.path
        numbered = (self._folder / str(number) for number in range(PROCESSES_MAX))
        return [path for path in numbered if path != own and path.exists()]

    def _save_on(self) -> None:
        while not self._closing.is_set():
            self._changed.wait()
            self._changed.clear()
            self._is_touched = False  # in this order: what is changed from here on sets it again
            self.save()
            self._closing.wait(_SAVE_SECONDS)


@dataclass(frozen=True, slots=True)
class _Held:
    """The file that a process counts in, and its lock."""

    path: Path
    lock: FileLock
    file: FileIO

    def close(self) -> None:
        with suppress(OSError):
            self.file.close()
        self.lock.close()


def _take(folder: Path) -> _Held | None:
    """The lowest file that nobody holds. Raises OSError."""
    for number in range(PROCESSES_MAX):
        path = folder / str(number)
        lock = FileLock(path)
        try:
            if lock.try_keep():
                return _Held(path, lock, FileIO(path, "r+"))
        except OSError:
            lock.close()
            raise
        lock.close()
    return None


def _is_free(path: Path) -> bool:
    """Whether no process holds a file."""
    try:
        lock = FileLock(path)
    except OSError:
        return True
    try:
        return lock.try_keep()
    finally:
        lock.close()


def _content_of(path: Path) -> bytes:
    try:
        with FileIO(path) as file:
            return _content(file)
    except OSError:
        return b""


def _content(file: FileIO) -> bytes:
    file.seek(_NOT_READ_BYTES)
    return bytes(_NOT_READ_BYTES) + file.readall()


@dataclass(frozen=True, slots=True)
class _Record:
    sequence: int
    words: tuple[int, ...]


class _Form:
    """How a file holds its two records."""

    def __init__(self, layout: Layout) -> None:
        assert len(layout.digest) == _DIGEST_BYTES
        self._layout = layout
        self._struct = struct.Struct(f"<{_DIGEST_BYTES}sQ{layout.words}q")
        self._record_bytes = self._struct.size + 4

    @property
    def file_bytes(self) -> int:
        return _NOT_READ_BYTES + 2 * self._record_bytes

    def place(self, half: int) -> int:
        """Where one of the two records begins."""
        return _NOT_READ_BYTES + half * self._record_bytes

    def packed(self, sequence: int, words: Sequence[int]) -> bytes:
        body = self._struct.pack(self._layout.digest, sequence, *words)
        return body + zlib.crc32(body).to_bytes(4, "little")

    def newest(self, content: bytes) -> _Record | None:
        """The newer of the two records of a file; None if neither is whole and of this layout."""
        found = []
        for half in range(2):
            start = self.place(half)
            body = content[start : start + self._struct.size]
            check = content[start + self._struct.size : start + self._record_bytes]
            if len(body) < self._struct.size or zlib.crc32(body).to_bytes(4, "little") != check:
                continue
            digest, sequence, *words = self._struct.unpack(body)
            if digest == self._layout.digest:
                found.append(_Record(sequence, tuple(words)))
        return max(found, key=lambda record: record.sequence, default=None)
