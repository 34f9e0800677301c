"""Bringing single files over: as a second name where that is possible, else as a copy."""

import hashlib
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from simpleindex_storage.durable import link, unavailable_on_failure

from .wanted import Wanted

_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Earlier:
    """A backup beside the one that is being made."""

    path: Path
    damaged: frozenset[str]
    """What was so when it was made; below it."""

    def has_lost(self, wanted: Wanted) -> bool:
        """Whether it knows that it lacks the right bytes."""
        return f"files/{wanted.path}" in self.damaged


class UnreadableError(OSError):
    """It is the source of a copy that fails, and not its target."""


class FileCopies:
    """Takes files from one `files/` to another. Counts what it does."""

    def __init__(
        self, source: Path, target: Path, earlier: Sequence[Earlier] = (), *, may_link: bool
    ) -> None:
        """`earlier`: backups beside the target, the newest first."""
        self._source = source
        self._target = target
        self._earlier = earlier
        self._may_link = may_link
        self.linked = self.reused = self.copied = 0
        self.copied_bytes = 0

    def take(self, wanted: Wanted) -> bool:
        """Bring a file over; False, and nothing has changed, if it is not as it was recorded.

        It is read and compared with its digest, unless the backup before has these very bytes:
        then they were compared when they got there. Raises Unavailable.
        """
        source, target = self._source / wanted.path, self._target / wanted.path
        with unavailable_on_failure(f"{wanted.path} cannot be saved"):
            if target.exists():  # by an earlier round; a path always has the same bytes
                return True
            make_private(target.parent)
            stated = _plain(source)
            if stated is None or wanted.size_bytes not in (None, stated.st_size):
                return False
            before = self._before(wanted)
            if self._may_link and _link(source, target):
                is_known = before is not None and before.samefile(target)
                if not is_known and not _has_digest(target, wanted.sha256):
                    target.unlink()
                    return False
                self.linked += 1
                return True
            if before is not None and _link(before, target):
                self.reused += 1
                return True
            try:
                digest, copied_bytes = copy(source, target)
            except (FileNotFoundError, UnreadableError):
                digest, copied_bytes = "", 0
            if digest != wanted.sha256:
                target.unlink(missing_ok=True)
                return False
            self._count_copy(copied_bytes)
            return True

    def take_from_earlier(self, wanted: Wanted) -> Path | None:
        """Bring over what an earlier backup has of a file, and say which; None: none has it."""
        target = self._target / wanted.path
        tried: set[int] = set()
        with unavailable_on_failure(f"{wanted.path} cannot be saved"):
            for earlier in self._earlier:
                path = earlier.path / "files" / wanted.path
                stated = _plain(path)
                if stated is None or stated.st_ino in tried:
                    continue
                tried.add(stated.st_ino)
                if not _has_digest(path, wanted.sha256):
                    continue
                if _link(path, target):
                    self.reused += 1
                else:
                    self._count_copy(copy(path, target)[1])
                return earlier.path
        return None

    def take_as_it_is(self, wanted: Wanted) -> None:
        """Bring over what lies there, right or not, if anything does that can be read."""
        source, target = self._source / wanted.path, self._target / wanted.path
        with unavailable_on_failure(f"{wanted.path} cannot be saved"):
            if _plain(source) is None:
                return
            make_private(target.parent)
            try:
                self._count_copy(copy(source, target)[1])
            except (FileNotFoundError, UnreadableError):
                target.unlink(missing_ok=True)

    def take_unread(self, wanted: Wanted) -> None:
        """Bring over what lies there as a second name, where that can be and is wanted."""
        source, target = self._source / wanted.path, self._target / wanted.path
        with unavailable_on_failure(f"{wanted.path} cannot be saved"):
            make_private(target.parent)
            if self._may_link and _plain(source) is not None and _link(source, target):
                self.linked += 1
                return
        self.take_as_it_is(wanted)

    def drop(self, wanted: Wanted) -> None:
        """Take away again what is no longer recorded."""
        target = self._target / wanted.path
        with unavailable_on_failure(f"{wanted.path} cannot be removed"):
            target.unlink(missing_ok=True)
            try:
                target.parent.rmdir()
            except OSError:  # others lie there, or it is gone
                return

    def _before(self, wanted: Wanted) -> Path | None:
        """The file in the backup before, if that has compared it."""
        if not self._earlier or self._earlier[0].has_lost(wanted):
            return None
        path = self._earlier[0].path / "files" / wanted.path
        stated = _plain(path)
        if stated is None:
            return None
        if wanted.size_bytes is None:  # beside a file other bytes may lie today
            return path if _has_digest(path, wanted.sha256) else None
        return path if stated.st_size == wanted.size_bytes else None

    def _count_copy(self, size_bytes: int) -> None:
        self.copied += 1
        self.copied_bytes += size_bytes


def copy(source: Path, target: Path, *, length_bytes: int | None = None) -> tuple[str, int]:
    """Copy a file, or its beginning, for its owner alone; the sha256 and the size of that.

    Raises UnreadableError, and OSError for everything else.
    """
    digest, size_bytes = hashlib.sha256(), 0
    left = length_bytes
    with source.open("rb") as reading, _opened_privately(target) as writing:
        while chunk := _read(reading, _CHUNK_BYTES if left is None else min(_CHUNK_BYTES, left)):
            writing.write(chunk)
            digest.update(chunk)
            size_bytes += len(chunk)
            left = None if left is None else left - len(chunk)
    return digest.hexdigest(), size_bytes


def sha256_of(path: Path) -> str:
    """The digest of a file. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def make_private(folder: Path) -> None:
    """Make a folder and those above it, which only their owner can look into."""
    if not folder.is_dir():
        make_private(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def sync_all() -> None:
    """Force everything that was written onto the disk: one call is cheaper than one a file."""
    if hasattr(os, "sync"):
        os.sync()


def _opened_privately(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")


def _read(file: BinaryIO, size_bytes: int) -> bytes:
    try:
        return file.read(size_bytes)
    except OSError as error:
        raise UnreadableError(error.errno, error.strerror) from error


def _has_digest(path: Path, sha256: str) -> bool:
    """Whether a file has these bytes; what cannot be read has not."""
    try:
        return sha256_of(path) == sha256
    except OSError:
        return False


def _plain(path: Path) -> os.stat_result | None:
    """What a plain file is like; None: there is none. No link is followed."""
    try:
        stated = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return stated if stat.S_ISREG(stated.st_mode) else None


def _link(source: Path, target: Path) -> bool:
    """Give a file a second name; False where that cannot be, or it has gone meanwhile."""
    try:
        return link(source, target)
    except FileNotFoundError:
        return False
