"""Bringing single files over: as a second name where that is possible, else as a copy."""

import errno
import hashlib
import os
import stat
from pathlib import Path

from simpleindex_storage.durable import unavailable_on_failure

from .wanted import Wanted

_CHUNK_BYTES = 1 << 20
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV}


class FileCopies:
    """Takes files from one `files/` to another. Counts what it does."""

    def __init__(self, source: Path, target: Path, before: Path | None, *, may_link: bool) -> None:
        """`before` is a third one, of an earlier backup beside the target."""
        self._source = source
        self._target = target
        self._before = before
        self._may_link = may_link
        self.linked = self.reused = self.copied = 0
        self.copied_bytes = 0

    def take(self, wanted: Wanted) -> bool | None:
        """Bring a file over. None: it is not there; False: it is not as it was recorded.

        What was damaged comes along as it is. Raises Unavailable.
        """
        source, target = self._source / wanted.path, self._target / wanted.path
        with unavailable_on_failure(f"{wanted.path} cannot be saved"):
            if target.exists():  # by an earlier round; a path always has the same bytes
                return True
            make_private(target.parent)
            size_bytes = _plain_size(source)
            is_whole = size_bytes is not None and wanted.size_bytes in (None, size_bytes)
            if is_whole and self._may_link and _link(source, target):
                self.linked += 1
                return True
            if self._has_before(wanted, wanted.size_bytes or size_bytes):
                self.reused += 1
                return True
            if size_bytes is None:
                return None
            try:
                digest, copied_bytes = copy(source, target)
            except FileNotFoundError:
                return None
            self.copied += 1
            self.copied_bytes += copied_bytes
            return is_whole and digest == wanted.sha256

    def drop(self, wanted: Wanted) -> None:
        """Take away again what is no longer recorded."""
        target = self._target / wanted.path
        with unavailable_on_failure(f"{wanted.path} cannot be removed"):
            target.unlink(missing_ok=True)
            try:
                target.parent.rmdir()
            except OSError:  # others lie there, or it is gone
                return

    def _has_before(self, wanted: Wanted, size_bytes: int | None) -> bool:
        """Link the file of the earlier backup, if it has one that fits."""
        if self._before is None or size_bytes is None:
            return False
        before = self._before / wanted.path
        return _plain_size(before) == size_bytes and _link(before, self._target / wanted.path)


def copy(source: Path, target: Path, *, length_bytes: int | None = None) -> tuple[str, int]:
    """Copy a file, or its beginning, for its owner alone; the sha256 and the size of that."""
    digest, size_bytes = hashlib.sha256(), 0
    left = length_bytes
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with source.open("rb") as reading, os.fdopen(handle, "wb") as writing:
        while chunk := reading.read(_CHUNK_BYTES if left is None else min(_CHUNK_BYTES, left)):
            writing.write(chunk)
            digest.update(chunk)
            size_bytes += len(chunk)
            left = None if left is None else left - len(chunk)
    return digest.hexdigest(), size_bytes


def make_private(folder: Path) -> None:
    """Make a folder and those above it, which only their owner can look into."""
    if not folder.is_dir():
        make_private(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def sync_all() -> None:
    """Force everything that was written onto the disk: one call is cheaper than one a file."""
    if hasattr(os, "sync"):
        os.sync()


def _plain_size(path: Path) -> int | None:
    """The size of a plain file; None: there is none. No link is followed."""
    try:
        stated = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return stated.st_size if stat.S_ISREG(stated.st_mode) else None


def _link(source: Path, target: Path) -> bool:
    try:
        target.hardlink_to(source)
    except FileNotFoundError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        return False
    return True
