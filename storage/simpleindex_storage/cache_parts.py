"""Files that are arriving, each with one receiver on the machine and any number of followers.

    parts/<sha1 of the place>.lock    held while somebody receives it
    parts/<sha1 of the place>.part    what has arrived; the kept file is a second name of it
    parts/<sha1 of the place>.note    what is needed to go on with it after a break
    parts/lock                        held for an instant by whoever takes, tests or deletes a lock

A receiver that dies leaves the part for the next one. So may a power cut, and then its bytes need
not be those that were written: whoever goes on with a part has to compare its digest in the end.
"""

import hashlib
import json
import os
import stat
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO

from .cache_files import CacheFiles
from .durable import sync_file, unavailable_on_failure
from .errors import NotStored, Unavailable
from .locks import FileLock
from .mirrored import KeptFile, PartNote
from .names import FilePlace, ProjectName
from .plain_files import open_plainly

Keep = Callable[[FilePlace, ProjectName, Path, int, str], KeptFile]
"""Puts a part (its path, size and sha256) in its place, and records it."""

_LEFT_FOR = timedelta(days=1)
"""How long a part waits for somebody to go on with it."""

_DIGESTS: dict[str, Callable[[], Any]] = {
    "md5": lambda: hashlib.md5(usedforsecurity=False),
    "sha1": lambda: hashlib.sha1(usedforsecurity=False),
    "sha224": hashlib.sha224,
    "sha384": hashlib.sha384,
    "sha512": hashlib.sha512,
    "blake2b_256": lambda: hashlib.blake2b(digest_size=32),
}
"""By which a part can be digested, besides the sha256 that grows with it."""


class Parts:
    """The folder of files that are arriving. May be used from any thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(mode=0o700, exist_ok=True)
        self._guard = FileLock(folder / "lock")
        self._closing = Lock()
        self._is_closed = False
        self._in_the_way: set[Path] = set()
        """Drafts that nobody needs, and that could not be removed."""

    def receive(self, place: FilePlace, keep: Keep) -> "Part | None":
        """Receive a file; None while somebody else does. Raises Unavailable."""
        paths = _paths(self._folder, place)
        # Whoever only tests a lock has it for an instant; the guard keeps that instant from us.
        # And as locks come and go under it alone, no lock is taken whose file is gone already.
        with unavailable_on_failure(f"{place.filename} cannot be received"), self._guard.held():
            lock = FileLock(paths.lock)
            if not lock.try_keep():
                lock.close()
                return None
        try:
            with unavailable_on_failure(f"{place.filename} cannot be received"):
                return Part(place, paths, lock, self._let_go, keep)
        except BaseException:
            self._let_go(lock)
            raise

    def is_held(self, place: FilePlace) -> bool:
        """Whether somebody is receiving a file. Raises Unavailable."""
        path = _paths(self._folder, place).lock
        with unavailable_on_failure(f"{place.filename} cannot be looked at"), self._guard.held():
            if not path.exists():
                return False
            lock = FileLock(path)
            is_free = lock.try_keep()
            lock.close(delete=is_free)  # its holder has died
            return not is_free

    def watch(
        self, place: FilePlace, files: CacheFiles, outcome: Callable[[], KeptFile | None]
    ) -> "Watch":
        """See what becomes of a file."""
        return Watch(place, _paths(self._folder, place), self, files, outcome)

    def draft(self) -> Path:
        """A new path for something that is written in one go; `drop` it when that is done."""
        for left in list(self._in_the_way):
            self.drop(left)
        return self._folder / f"{os.urandom(8).hex()}.draft"

    def drop(self, draft: Path) -> None:
        """Remove a draft, if it is still there: now, or with the next one."""
        try:
            draft.unlink(missing_ok=True)
            self._in_the_way.discard(draft)
        except OSError:
            self._in_the_way.add(draft)

    def tidy(self, now: datetime, *, drafts: bool = False) -> int:
        """Delete what nobody will go on with; how many parts that were. Raises Unavailable.

        `drafts`: nobody is writing any, so all of them go, however young they are.
        """
        removed = 0
        with unavailable_on_failure("left-overs of an earlier run cannot be removed"):
            left: dict[str, list[Path]] = {}
            for path in self._folder.glob("*.*"):
                left.setdefault(path.name.partition(".")[0], []).append(path)
            for stem, paths in left.items():
                removed += self._tidy_one(_Paths.of(self._folder, stem), paths, now, drafts=drafts)
        return removed

    def close(self) -> None:
        """Close the guard. Parts that are still open let go of their locks all the same."""
        with self._closing:
            self._is_closed = True
            self._guard.close()

    def _tidy_one(
        self, paths: "_Paths", left: Sequence[Path], now: datetime, *, drafts: bool
    ) -> bool:
        with self._guard.held():
            lock = FileLock(paths.lock)
            is_free = lock.try_keep()
            try:
                if not is_free:
                    return False
                for path in left:
                    is_draft = path not in (paths.part, paths.note, paths.lock)
                    if is_draft and (drafts or _age(path, now) > _LEFT_FOR):
                        path.unlink(missing_ok=True)
                if paths.left() is not None and _age(paths.part, now) <= _LEFT_FOR:
                    return False
                was_there = paths.part.exists()
                paths.remove()
                return was_there and not paths.part.exists()
            finally:
                lock.close(delete=is_free)

    def _let_go(self, lock: FileLock) -> None:
        with self._closing:
            if self._is_closed:
                lock.close()
                return
            with self._guard.held():
                lock.close(delete=True)


@dataclass(frozen=True, slots=True)
class _Paths:
    """Where a file lies while it arrives."""

    part: Path
    note: Path
    lock: Path

    @classmethod
    def of(cls, folder: Path, stem: str) -> "_Paths":
        return cls(*(folder / f"{stem}.{kind}" for kind in ("part", "note", "lock")))

    def read_note(self) -> PartNote | None:
        try:
            return PartNote(**json.loads(self.note.read_bytes()))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def write_note(self, note: PartNote) -> None:
        # Not synced: it has to outlive the process, and after a power cut it may be missing.
        draft = self.note.with_name(self.note.name + ".new")
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            os.write(handle, json.dumps(asdict(note)).encode())
        finally:
            os.close(handle)
        draft.replace(self.note)

    def left(self) -> tuple[PartNote, int] | None:
        """The note and size of a part that can be gone on with."""
        note = self.read_note()
        try:
            found = self.part.lstat()
        except FileNotFoundError:
            return None
        # One that has a second name is a kept file, whose receiver died at the very end.
        if note is None or not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
            return None
        size_bytes_max = found.st_size if note.size_bytes is None else note.size_bytes
        return (note, found.st_size) if 0 < found.st_size <= size_bytes_max else None

    def remove(self) -> None:
        # In this order: without its note, a part is never gone on with.
        self.note.unlink(missing_ok=True)
        with suppress(PermissionError):  # open elsewhere, on Windows; the next start removes it
            self.part.unlink(missing_ok=True)


class Part:
    """A file that is arriving, and that nobody else receives until this is closed.

    A context manager; closing leaves the bytes for the next receiver if there is a note, and
    removes them else. To be used from one thread at a time.
    """

    def __init__(
        self,
        place: FilePlace,
        paths: _Paths,
        lock: FileLock,
        let_go: Callable[[FileLock], None],
        keep: Keep,
    ) -> None:
        self.place = place
        self.note: PartNote | None = None
        """What was said at the beginning, maybe by an earlier receiver that died."""
        self.size_bytes = 0
        """What is there by now; at first, what an earlier receiver has left."""
        self._lock: FileLock | None = None
        self._let_go = let_go
        self._paths = paths
        self._keep = keep
        self._file: int | None = None
        self._sha256 = hashlib.sha256()
        self._is_hopeless = False
        left = paths.left()
        if left is None:
            paths.remove()
        else:
            self.note, self.size_bytes = left
        self._lock = lock  # last: until here it is not ours to let go of

    def begin(self, note: PartNote) -> None:
        """Begin at the first byte, whatever is there. Raises Unavailable.

        Followers that have what was there open get no more of it.
        """
        with unavailable_on_failure(f"{self.place.filename} cannot be received"):
            self._remove()
            self._paths.write_note(note)
            self.note, self._is_hopeless = note, False

    def write(self, chunk: bytes) -> None:
        """Take the next bytes. Raises Unavailable; then they are not there, and all others are."""
        with unavailable_on_failure(f"{self.place.filename} cannot be received"):
            file = self._opened()
            rest = memoryview(chunk)
            try:
                while rest:
                    rest = rest[os.write(file, rest) :]
            except OSError:
                self._is_hopeless = True  # most likely the disk is full, and needs the room
                with suppress(OSError):
                    os.ftruncate(file, self.size_bytes)
                raise
        self._sha256.update(chunk)
        self.size_bytes += len(chunk)

    def digest(self, algorithm: str = "sha256") -> str:
        """The digest of all bytes so far. Any but sha256 reads them again. Raises Unavailable."""
        with unavailable_on_failure(f"{self.place.filename} cannot be read"):
            self._opened()
            if algorithm == "sha256":
                return self._sha256.hexdigest()
            with self._paths.part.open("rb") as file:
                digest = hashlib.file_digest(file, _DIGESTS[algorithm])
            return str(digest.hexdigest())

    def keep(self, project: ProjectName) -> KeptFile:
        """Record the file, with its bytes on the disk. Raises Unavailable.

        Other bytes that were recorded at its place are replaced.
        """
        sha256 = self.digest()
        try:
            with unavailable_on_failure(f"{self.place.filename} cannot be kept"):
                sync_file(self._paths.part)
            kept = self._keep(self.place, project, self._paths.part, self.size_bytes, sha256)
        except Unavailable as error:
            self._is_hopeless |= error.full
            raise
        with suppress(OSError):  # tidied up at the next start
            self._remove()
        return kept

    def drop(self) -> None:
        """Remove the bytes: they are wrong. Raises Unavailable."""
        with unavailable_on_failure(f"{self.place.filename} cannot be removed"):
            self._remove()

    def close(self) -> None:
        """Let somebody else receive the file, if it has not been kept."""
        lock, self._lock = self._lock, None
        if lock is None:
            return
        try:
            with suppress(OSError):
                if self.note is None or self._is_hopeless:
                    self._remove()
                self._close_file()
        finally:
            self._let_go(lock)

    def __enter__(self) -> "Part":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        # Of a task that was cancelled while a thread made this; else nobody ever gets the file.
        # Without the guard, which whoever is interrupted by this may hold.
        if self._lock is not None:
            self._lock.close()
            self._close_file()

    def _opened(self) -> int:
        """The part, open for appending; its digest is that of all that is there."""
        if self._file is None:
            flags = os.O_WRONLY | os.O_APPEND | getattr(os, "O_BINARY", 0)
            # Never over something: it may be a second name of a kept file.
            flags |= getattr(os, "O_NOFOLLOW", 0) if self.size_bytes else os.O_CREAT | os.O_EXCL
            self._file = os.open(self._paths.part, flags, 0o600)
            if self.size_bytes:
                with self._paths.part.open("rb") as before:
                    self._sha256 = hashlib.file_digest(before, hashlib.sha256)
        return self._file

    def _remove(self) -> None:
        self._close_file()
        self._paths.remove()
        self._sha256, self.size_bytes, self.note = hashlib.sha256(), 0, None

    def _close_file(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


@dataclass(frozen=True, slots=True)
class Watch:
    """A look at a file that somebody receives, maybe in another process.

    Ask in this order, and a file that is done between two questions is not taken for one whose
    receiver died: `is_held`, then `size_bytes`, then `outcome`.
    """

    place: FilePlace
    _paths: _Paths
    _parts: Parts
    _files: CacheFiles
    _outcome: Callable[[], KeptFile | None]

    def is_held(self) -> bool:
        """Whether somebody is receiving it. Raises Unavailable."""
        return self._parts.is_held(self.place)

    def open(self) -> BinaryIO:
        """What has arrived, to be read as it grows. Raises NotStored if nothing is arriving."""
        if not self.is_held():
            raise NotStored(f"file {self.place.filename}")
        return open_plainly(self._paths.part, self.place.filename)

    def is_current(self, file: BinaryIO) -> bool:
        """Whether an opened part still is what arrives, or has become the kept file.

        Else its receiver has begun anew, and what was read of it is worth nothing.
        """
        opened = os.fstat(file.fileno())
        for path in (self._paths.part, self._files.path(self.place)):
            with suppress(OSError):
                if os.path.samestat(opened, path.stat(follow_symlinks=False)):
                    return True
        return False

    def note(self) -> PartNote | None:
        """What its receiver has said of it at the beginning."""
        with unavailable_on_failure(f"{self.place.filename} cannot be looked at"):
            return self._paths.read_note()

    def size_bytes(self) -> int:
        """How much of it has arrived; 0 when it is not arriving (any more)."""
        try:
            return self._paths.part.stat().st_size
        except OSError:
            return 0

    def outcome(self) -> KeptFile | None:
        """The file, once it is recorded. Raises Unavailable."""
        return self._outcome()


def _paths(folder: Path, place: FilePlace) -> _Paths:
    stem = hashlib.sha1(place.path.encode(), usedforsecurity=False).hexdigest()
    return _Paths.of(folder, stem)


def _age(path: Path, now: datetime) -> timedelta:
    try:
        return now - datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except FileNotFoundError:
        return timedelta(0)
