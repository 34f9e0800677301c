"""Notes about logins that all processes of a server directory share: who was wrong, who was right.

Two rings of fixed size, each of which forgets its oldest note for the next one. In a file that is
mapped into memory, so that a look costs no call to the system; times are those of the wall clock,
so that a restart forgives nobody. Names and addresses are not in it, only digests that the caller
makes with a key.
"""

import mmap
import os
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import NamedTuple, Protocol

from .durable import write_file
from .locks import FileLock

FAILURES_KEPT = 2000
PLACES_KEPT = 2000

_NOTE_WORDS = 3
_WORD_BYTES = 8
_FAILURES_WORDS = 1 + _NOTE_WORDS * FAILURES_KEPT
_WORDS = _FAILURES_WORDS + 1 + _NOTE_WORDS * PLACES_KEPT


class Note(NamedTuple):
    """Something that counts for a while."""

    ends_at_ms: int
    """Milliseconds since 1970; 0 for a note that was never finished."""
    user: int
    """A digest of 64 bits; 0 where it matters to no user."""
    address: int


class Ring(Protocol):
    """The last notes of one kind. May be used from any thread."""

    def count(self) -> int:
        """How many notes there ever were: the same number means that nothing is new."""

    def notes(self) -> Sequence[Note]:
        """All that are kept, the oldest first."""

    def add(self, note: Note) -> None:
        """Keep one more. On return, every process that shares the ring sees it."""


class LoginNotes(Protocol):
    """Both rings of a server directory."""

    failures: Ring
    places: Ring
    """Where users were right, as the digest of both in `user`."""

    def close(self) -> None:
        """Let go of them."""


class MemoryRing:
    """A ring of this process alone."""

    def __init__(self, size: int) -> None:
        self._notes: deque[Note] = deque(maxlen=size)
        self._count = 0
        self._lock = Lock()

    def count(self) -> int:
        """How many notes there ever were."""
        return self._count

    def notes(self) -> Sequence[Note]:
        """All that are kept, the oldest first."""
        with self._lock:
            return list(self._notes)

    def add(self, note: Note) -> None:
        """Keep one more."""
        with self._lock:
            self._notes.append(note)
            self._count += 1


class MemoryNotes:
    """What one process knows by itself: for tests, and where the disk has no room for a file."""

    def __init__(self) -> None:
        self.failures: Ring = MemoryRing(FAILURES_KEPT)
        self.places: Ring = MemoryRing(PLACES_KEPT)

    def close(self) -> None:
        """Nothing is open."""


class SharedNotes:
    """The rings in a file of the server directory, which only its owner can read."""

    def __init__(self, path: Path) -> None:
        """Open the file; one that is missing or of another size is made anew. Raises OSError."""
        self._lock = FileLock(path.with_name(f"{path.name}.lock"))
        try:
            with self._lock.held():
                _prepare(path)
            with path.open("r+b") as file:
                self._memory = mmap.mmap(file.fileno(), _WORDS * _WORD_BYTES)
        except BaseException:
            self._lock.close()
            raise
        self._words = memoryview(self._memory).cast("Q")
        self.failures: Ring = _SharedRing(self._words, self._lock, 0, FAILURES_KEPT)
        self.places: Ring = _SharedRing(self._words, self._lock, _FAILURES_WORDS, PLACES_KEPT)

    def close(self) -> None:
        """Unmap the file, and let go of its lock."""
        self._words.release()
        self._memory.close()
        self._lock.close()


def _prepare(path: Path) -> None:
    size_bytes = _WORDS * _WORD_BYTES
    if not path.is_file() or path.stat().st_size != size_bytes:
        # Written out, no hole: a full disk would kill whoever writes to one through its memory.
        # Replaced, never cut: a process that has the former one mapped goes on with that.
        write_file(path, bytes(size_bytes))
    elif os.name != "nt":
        path.chmod(0o600)


class _SharedRing:
    """One word that counts, and behind it the notes. Words are read and written whole.

    A writer holds the lock; readers do not. The count is raised last, so whoever read a note that
    was half written finds another count the next time, and reads again. What a killed writer has
    begun says by its end, 0, that it is no note.
    """

    def __init__(self, words: memoryview, lock: FileLock, first_word: int, size: int) -> None:
        self._words = words
        self._lock = lock
        self._first = first_word
        self._size = size

    def count(self) -> int:
        """How many notes there ever were."""
        count: int = self._words[self._first]
        return count

    def notes(self) -> Sequence[Note]:
        """All that are kept, the oldest first."""
        begin, oldest = self._first + 1, self.count() % self._size * _NOTE_WORDS
        words = self._words[begin : begin + _NOTE_WORDS * self._size].tolist()
        words = words[oldest:] + words[:oldest]
        return [Note(*words[at : at + 3]) for at in range(0, len(words), _NOTE_WORDS) if words[at]]

    def add(self, note: Note) -> None:
        """Keep one more."""
        with self._lock.held():
            count = self.count()
            at = self._first + 1 + _NOTE_WORDS * (count % self._size)
            self._words[at] = 0
            self._words[at + 1], self._words[at + 2] = note.user, note.address
            self._words[at] = note.ends_at_ms
            self._words[self._first] = count + 1
