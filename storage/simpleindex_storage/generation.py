"""Two numbers in shared memory by which every process sees at once that something changed.

The file holds two 8-byte words. A writer sets `dirty` to its new serial before it commits, and
`clean` to the same after; only then may it answer its client. So whoever finds both equal, reads
the catalog, and later finds them unchanged, knows without asking the system that what it read is
still what everybody sees. If a writer dies between the two, the words stay apart and nobody
trusts them until the next reader or writer compares them with the catalog and heals them.
"""

import mmap
from pathlib import Path

_WORDS_BYTES = 16
_DIRTY, _CLEAN = 0, 1


class Generation:
    """The two words of one server directory. Words are read and written whole (8-byte moves)."""

    def __init__(self, path: Path) -> None:
        with path.open("a+b") as file:
            if file.seek(0, 2) < _WORDS_BYTES:
                # Not a hole: a full disk would kill whoever writes to one through its memory.
                file.write(bytes(_WORDS_BYTES))
                file.flush()
            self._memory = mmap.mmap(file.fileno(), _WORDS_BYTES)
        self._words = memoryview(self._memory).cast("Q")

    def agreed(self) -> int | None:
        """The serial that readers may rely on; None while a change is on its way."""
        clean = self._words[_CLEAN]
        return clean if clean == self._words[_DIRTY] else None

    def settled(self) -> int:
        """The last serial that was said to be committed."""
        return self._words[_CLEAN]

    def announced(self) -> int:
        """The last serial that somebody was about to commit, whatever became of it."""
        return self._words[_DIRTY]

    def announce(self, serial: int) -> None:
        """To be called under the write lock, before the commit that makes `serial`."""
        self._words[_DIRTY] = serial

    def settle(self, serial: int) -> None:
        """To be called under the write lock, once `serial` is committed, or is known to stand."""
        # This order, since `clean` alone running ahead could meet an old `dirty` by accident.
        self._words[_DIRTY] = serial
        self._words[_CLEAN] = serial

    def heal(self, committed: int) -> None:
        """To be called by a reader that sees the commit of `committed`, without any lock.

        If a writer died after its commit and before it could say so, this says it. Only `clean`
        is touched: were a reader late, and a writer on its way again, the words would stay apart,
        which costs time and hands out nothing old.
        """
        dirty = self._words[_DIRTY]
        if self._words[_CLEAN] != dirty and committed >= dirty:
            self._words[_CLEAN] = dirty

    def close(self) -> None:
        """Unmap the words."""
        self._words.release()
        self._memory.close()
