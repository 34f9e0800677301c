"""Mending what was found: nothing that was acknowledged is lost, and no file of anybody's.

What lies where it should not is set aside, in `set-aside/<time>/` below the server directory. Only
what the program itself has left is deleted: drafts, empty folders, remainders of the cache.
"""

import os
import shutil
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path

from simpleindex_storage.errors import NotStored, StoreError
from simpleindex_storage.inspection import inspect
from simpleindex_storage.model import CONSOLE, Actor, Attachment, DistFile, Sidecar
from simpleindex_storage.names import FilePlace, IndexName, parse_filename
from simpleindex_storage.opening import open_cache, open_store
from simpleindex_storage.plain_files import place_of
from simpleindex_storage.ports import Change
from simpleindex_storage.sqlite_file import connect_reading
from simpleindex_storage.store import Store
from simpleindex_storage.upkeep import remove_attachment, remove_file

from .codes import Code, Fault
from .files import FilesCheck, is_recorded, sha256_of
from .reading import CatalogReader

SET_ASIDE = "set-aside"

_FSCK = Actor("fsck", CONSOLE)

_SAME_BYTES = """
    SELECT indexes.name, substr(sha256, 1, 16), filename
    FROM files JOIN indexes ON indexes.id = index_id WHERE sha256 = ?
"""
_SAME_BYTES_KEPT = """
    SELECT index_name, sha256_prefix, filename FROM places WHERE sha256 = ?
"""
_COPIED_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Done:
    """What was done about a fault."""

    what: str
    """Empty: nothing could be."""
    is_mended: bool
    """False: the fault is still there, and `what` says what an admin has to do."""


NOTHING = Done("", is_mended=False)
_WITH_WRONG_BYTES = {
    Code.FILE_NOT_PLAIN,
    Code.FILE_SIZE,
    Code.FILE_BYTES,
    Code.SIDECAR_BYTES,
}


class Mender:
    """Mends faults of one server directory, one after the other. A server may run meanwhile."""

    def __init__(
        self, root: Path, now: Callable[[], datetime], *, forget_missing: bool = False
    ) -> None:
        self._root = root
        self._files = root / "files"
        self._now = now
        self._forgets = forget_missing
        self._aside = root / SET_ASIDE / f"{now():%Y-%m-%dT%H%M%SZ}"
        self._reader = CatalogReader(root / "catalog.sqlite")
        self._store: Store | None = None

    def mend(self, fault: Fault) -> Done:
        """Do about a fault what can be done. Raises Unavailable."""
        mended = self._mended(fault)
        if mended is not None:
            return Done(mended, is_mended=True)
        if fault.code in _WITH_WRONG_BYTES:
            return self._without_wrong_bytes(fault)
        return NOTHING

    def _mended(self, fault: Fault) -> str | None:
        match fault.code:
            case Code.FILE_MISSING | Code.FILE_NOT_PLAIN | Code.FILE_SIZE | Code.FILE_BYTES:
                return self._mend_file(fault)
            case Code.SIDECAR_MISSING | Code.SIDECAR_BYTES:
                return self._mend_sidecar(fault)
            case Code.STRAY_FILE | Code.SIDECAR_UNANNOUNCED:
                return self._set_stray_aside(fault)
            case Code.EMPTY_FOLDER:
                return self._remove_folder(fault)
            case Code.REMOVAL_LEFT:
                self._opened().sweep()
                return "deleted"
            case Code.DRAFT_LEFT:
                return self._drop_drafts(fault)
            case Code.OPEN_TO_OTHERS:
                return self._shut(fault)
            case Code.CACHE_DAMAGED | Code.CACHE_LEFT:
                with closing(open_cache(self._root, self._now)) as cache:
                    cache.gc(dry_run=False)
                return "removed"
            case _:
                return None

    def close(self) -> None:
        """Let go of everything."""
        self._reader.close()
        if self._store is not None:
            self._store.close()

    def _opened(self) -> Store:
        """The store; opening it removes what dead processes have left."""
        if self._store is None:
            self._store = open_store(self._root, self._now)
        return self._store

    # Files

    def _mend_file(self, fault: Fault) -> str | None:
        record = fault.record
        if record is None:
            return None
        for place, path in self._same_bytes(record):
            with suppress(StoreError, OSError):
                is_same = sha256_of(path) == record.sha256
                if is_same and self._put_back(record, fault, place, path) and self._is_well(fault):
                    return f"put back out of {path.relative_to(self._root).as_posix()}"
        if not self._forgets:
            return None
        self._set_aside(self._root / fault.path)

        def forget(change: Change) -> None:
            if isinstance(record, DistFile):
                remove_file(change, record)
            else:
                remove_attachment(change, record)

        with suppress(NotStored):  # somebody has removed it meanwhile
            self._opened().catalog.change(forget, by=_FSCK, what="forget missing")
            self._opened().sweep_if_possible()
        return "forgotten"

    def _put_back(
        self, record: DistFile | Attachment, fault: Fault, place: FilePlace | None, path: Path
    ) -> bool:
        store = self._opened()
        other = None
        if place is not None:
            with store.catalog.snapshot() as seen:
                other = seen.file_at(place)
        if other is not None:  # as a second name of the same bytes
            with store.stage_copy(other) as staged:
                self._set_aside(self._root / fault.path)
                return store.put_back(record, staged, {})
        with store.stage() as draft:
            with path.open("rb") as file:
                while chunk := file.read(_COPIED_BYTES):
                    draft.write(chunk)
            staged = draft.finish()
            if staged.digests.sha256 != record.sha256:
                return False
            self._set_aside(self._root / fault.path)
            return store.put_back(record, staged, {})

    def _same_bytes(self, record: DistFile | Attachment) -> Iterator[tuple[FilePlace | None, Path]]:
        """Where the same bytes should lie too: in other indexes, and in the cache of mirrors."""
        with self._reader.rows() as connection:
            rows = connection.execute(_SAME_BYTES, (record.sha256,)).fetchall()
        for place in (FilePlace(IndexName(index), *rest) for index, *rest in rows):
            if place != record.place:
                yield place, self._files / place.path
        kept = self._root / "cache" / "cache.sqlite"
        if not kept.is_file():
            return
        with (
            suppress(sqlite3.Error),
            closing(connect_reading(kept)) as cache,
        ):
            rows = cache.execute(_SAME_BYTES_KEPT, (record.sha256,)).fetchall()
            for place in (FilePlace(IndexName(index), *rest) for index, *rest in rows):
                yield None, self._root / "cache" / "files" / place.path

    def _without_wrong_bytes(self, fault: Fault) -> Done:
        """Let nobody be served what nothing was found for that could take its place."""
        path = self._root / fault.path
        try:
            seen = path.lstat()
            if stat.S_ISREG(seen.st_mode) and sha256_of(path) == fault.sha256:
                return Done("no longer so", is_mended=True)
        except (StoreError, OSError):  # nobody can say that its bytes are wrong
            return NOTHING

        def move(_: Change) -> bool:
            # Under the write lock: nobody puts the right bytes there now.
            with suppress(FileNotFoundError, NotADirectoryError):
                if os.path.samestat(path.lstat(), seen):
                    self._set_aside(path)
                    with suppress(OSError):  # others may lie in its folder
                        path.parent.rmdir()
                    return True
            return False

        if not self._opened().catalog.change(move, by=_FSCK, what="set aside"):
            return NOTHING
        return Done(
            f"{self._told_aside()}, so that clients get a 404; upload the same file again, or "
            f"copy it from a backup: BACKUP/{fault.path}",
            is_mended=False,
        )

    # What lies beside files

    def _mend_sidecar(self, fault: Fault) -> str | None:
        file, sidecar = fault.record, fault.sidecar
        if not isinstance(file, DistFile) or sidecar is None:
            return None
        for content in self._contents(file, sidecar):
            if sha256(content).hexdigest() != file.sha256_of(sidecar):
                continue
            store = self._opened()
            with suppress(NotStored), store.stage_copy(file) as staged:
                self._set_aside(self._root / fault.path)
                if store.put_back(file, staged, {sidecar: content}) and self._is_well(fault):
                    return "made anew"
        return None

    def _contents(self, file: DistFile, sidecar: Sidecar) -> Iterator[bytes]:
        """What a sidecar may have held: out of its file, and beside the same file elsewhere."""
        path = self._files / file.place.path
        if sidecar is Sidecar.METADATA:
            with suppress(StoreError):
                yield inspect(path, parse_filename(file.filename))[0].raw
        for _, other in self._same_bytes(file):
            with suppress(OSError):
                yield other.with_name(other.name + sidecar).read_bytes()

    # What has no record

    def _set_stray_aside(self, fault: Fault) -> str | None:
        path = self._root / fault.path
        named = place_of(path.relative_to(self._files))

        def move(change: Change) -> bool:
            # Under the write lock: nobody records it now, and what is under way says so.
            is_needed = named is not None and is_recorded(change, *named)
            if is_needed or not self._check().is_stray(path):
                return False
            self._set_aside(path)
            if named is not None:
                with suppress(OSError):  # others may lie in its folder
                    path.parent.rmdir()
            return True

        if not self._opened().catalog.change(move, by=_FSCK, what="set aside"):
            return "no longer so"
        return self._told_aside()

    def _remove_folder(self, fault: Fault) -> str:
        try:
            (self._root / fault.path).rmdir()
        except OSError:  # something lies in it now
            return "no longer so"
        return "removed"

    def _drop_drafts(self, fault: Fault) -> str:
        folder = self._root / fault.path
        self._opened()
        if folder.exists():  # without the mark of a process nobody else looks at it
            self._set_aside(folder)
            return self._told_aside()
        return "removed"

    def _shut(self, fault: Fault) -> str | None:
        path = self._root / fault.path
        try:
            path.chmod(path.stat().st_mode & 0o700)
        except FileNotFoundError:  # files of a catalog that is in use come and go
            return "no longer so"
        except PermissionError:  # it belongs to somebody else
            return None
        return "now its owner's alone"

    def _is_well(self, fault: Fault) -> bool:
        """Whether what was mended is as it should be, on a second look."""
        assert fault.record is not None
        faults = self._check().of_record(fault.record)
        return fault.path not in {each.path for each in faults}

    def _check(self) -> FilesCheck:
        return FilesCheck(self._root, self._reader, is_quick=False, progress=lambda _: None)

    def _told_aside(self) -> str:
        return f"set aside in {self._aside.relative_to(self._root).as_posix()}/"

    def _set_aside(self, path: Path) -> None:
        """Move what lies at a path, if anything does, to where nobody looks."""
        target = self._aside / path.relative_to(self._root)
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileNotFoundError, NotADirectoryError):
            shutil.move(path, target)
