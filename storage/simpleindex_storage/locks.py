"""File locks between processes, which the system releases when their holder dies.

Used for two things: the turnstile in front of the catalog, through which one writer passes at a
time, and the mark on a process's folder of drafts that says that the process is alive. A lock is
held by an open file, so it never outlives its process, kill -9 included.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock

if sys.platform == "win32":
    import msvcrt

    def _lock(handle: int, *, wait: bool) -> bool:
        # LK_LOCK gives up with an OSError after ten attempts, one a second.
        while True:
            try:
                msvcrt.locking(handle, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
                return True
            except OSError:
                if not wait:
                    return False

    def _unlock(handle: int) -> None:
        os.lseek(handle, 0, os.SEEK_SET)
        msvcrt.locking(handle, msvcrt.LK_UNLCK, 1)

    def _delete(handle: int, path: Path) -> None:
        os.close(handle)  # Windows deletes no open file, so whoever opens it now keeps it
        with suppress(OSError):
            path.unlink()

else:
    import fcntl

    def _lock(handle: int, *, wait: bool) -> bool:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            return False
        return True

    def _unlock(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_UN)

    def _delete(handle: int, path: Path) -> None:
        with suppress(OSError):
            path.unlink()  # first, so that whoever gets the lock next finds that its file is gone
        os.close(handle)


class FileLock:
    """A lock that one holder on this machine can have. Threads of one process take turns, too."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o600)
        self._threads = Lock()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Wait for the lock, and hold it for the block."""
        with self._threads:
            _lock(self._handle, wait=True)
            try:
                yield
            finally:
                _unlock(self._handle)

    def try_keep(self) -> bool:
        """Take the lock until `close`, if nobody has it."""
        return _lock(self._handle, wait=False)

    def close(self, *, delete: bool = False) -> None:
        """Let go, and delete the file of a kept lock if nobody shall have it again."""
        if delete:
            _delete(self._handle, self._path)
        else:
            os.close(self._handle)
