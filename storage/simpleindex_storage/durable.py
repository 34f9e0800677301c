"""Making files stay, and saying so when a disk will not have it."""

import errno
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from itertools import chain, count
from pathlib import Path
from threading import Lock

from .errors import Unavailable

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG} if hasattr(errno, "EDQUOT") else {errno.ENOSPC}

_SYNCS_MAX = 8

_NO_LINKS = {
    errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV,
}  # fmt: skip
"""What a disk says that cannot give a file, or this one, a second name."""


@contextmanager
def unavailable_on_failure(what: str) -> Iterator[None]:
    """Turn what a failing disk raises into Unavailable, with `what` as the beginning of why."""
    try:
        yield
    except OSError as error:
        full = error.errno in _NO_ROOM
        reason = "the disk is full" if full else (error.strerror or str(error))
        raise Unavailable(f"{what}: {reason}", full=full) from error


def sync_file(path: Path) -> None:
    """Force the bytes of a file onto the disk."""
    handle = os.open(path, os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_folder(folder: Path) -> None:
    """Force the names in a folder onto the disk. Windows has no call for that, and needs none."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class SyncingTogether:
    """Lets a disk have several syncs at once: of what waits, it writes all in the same go.

    So two take hardly longer than one. But where several threads sync, there is enough to write at
    once, and still more threads would be in each other's way. May be used from any thread.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_SYNCS_MAX, "syncing")  # begins none by itself
        self._inside = 0
        self._lock = Lock()

    def sync(self, jobs: Iterable[Callable[[], None]]) -> None:
        """Do them all, in no order. Raises what the first of those that fail raises."""
        with self._lock:
            self._inside += 1
            is_alone = self._inside == 1
        try:
            if is_alone:
                self._do_at_once(jobs)
            else:
                for job in jobs:
                    job()
        finally:
            with self._lock:
                self._inside -= 1

    def _do_at_once(self, jobs: Iterable[Callable[[], None]]) -> None:
        own, *others = jobs
        promised = [self._threads.submit(job) for job in others]
        try:
            own()
        finally:
            wait(promised)  # whatever comes next, nothing of this is still going on
        for each in promised:
            each.result()

    def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown()


def link(source: Path, target: Path) -> bool:
    """Give a file a second name; False where the disk cannot: copy it instead. Raises OSError."""
    try:
        target.hardlink_to(source)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        return False
    return True


def free_name(folder: Path, stem: str, suffix: str = "") -> Path:
    """A path where nothing lies: `<stem><suffix>`, or with a number between them, from 2 on."""
    names = chain([f"{stem}{suffix}"], (f"{stem}-{number}{suffix}" for number in count(2)))
    return next(path for path in map(folder.joinpath, names) if not os.path.lexists(path))


def write_file(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Put a small file in place, whole or not at all, to stay. Replaces what was there."""
    draft = path.with_name(path.name + ".new")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(handle)
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)
