"""File locks between processes, which the system releases when their holder dies.

Used for three things: the turnstile in front of the catalog, through which one writer passes at a
time; the mark on a process's folder of drafts that says that the process is alive; and the presence
of all who have the cache open, whose drafts lie in one folder. A lock is held by an open file, so
it never outlives its process, kill -9 included.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
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

    def _share(handle: int) -> None:
        """Windows has no such lock in its C library, so nobody is ever known to be alone."""

    def _is_alone(handle: int) -> bool:
        return False

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

    def _share(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_SH)

    def _is_alone(handle: int) -> bool:
        # It takes the place of the shared lock, which goes first: where others have that too,
        # there is neither afterwards.
        return _lock(handle, wait=False)

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


class Presence:
    """Says that a process has a folder open, and knows whether others have."""

    def __init__(self, path: Path) -> None:
        with ExitStack() as if_it_fails:
            self._asking = FileLock(path.with_name(f"{path.name}.lock"))
            """Held by the one who asks whether others are there, so that one at a time does."""
            if_it_fails.callback(self._asking.close)
            self._handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o600)
            if_it_fails.callback(os.close, self._handle)
            _share(self._handle)
            if_it_fails.pop_all()

    @contextmanager
    def alone(self) -> Iterator[bool]:
        """Whether nobody else has the folder open; then nobody opens it during the block."""
        with ExitStack() as asking:
            asking.enter_context(self._asking.held())
            asking.callback(_share, self._handle)
            is_alone = _is_alone(self._handle)
            if not is_alone:
                # The attempt took our shared lock away: we have it again before anybody else asks.
                asking.close()
            yield is_alone

    def close(self) -> None:
        """Be gone."""
        os.close(self._handle)
        self._asking.close()
