"""Records against the disk, and the disk against the records."""

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import astuple
from pathlib import Path

from simpleindex_storage.catalog_sql import REMOVALS
from simpleindex_storage.draft_names import noted_place
from simpleindex_storage.durable import unavailable_on_failure
from simpleindex_storage.errors import NotStored, Refused, Unavailable
from simpleindex_storage.model import Attachment, DistFile, Sidecar
from simpleindex_storage.names import FilePlace, parse_filename
from simpleindex_storage.plain_files import open_plainly, place_of
from simpleindex_storage.ports import Snapshot
from simpleindex_storage.processes import is_alive
from simpleindex_storage.sqlite_transaction import SqliteSnapshot

from .codes import Code, Fault
from .reading import CatalogReader

_CHUNK_BYTES = 1 << 20
_IS_TO_GO = """
    SELECT 1 FROM removals WHERE index_name = ? AND sha256_prefix = ? AND filename = ?
"""
_OWN_FOLDER_DEPTH = 5
"""Of the folder that one file has for itself: user, index, +f, 3 digits, 13 digits."""


class FilesCheck:
    """Compares what is recorded with what lies there. A server may be at work meanwhile."""

    def __init__(
        self, root: Path, reader: CatalogReader, *, is_quick: bool, progress: Callable[[int], None]
    ) -> None:
        self._root = root
        self._files = root / "files"
        self._reader = reader
        self._is_quick = is_quick
        self._progress = progress
        self.count = 0
        self.size_bytes = 0
        """Of the files that were looked at."""

    def records(self) -> Iterator[Fault]:
        """Everything that is recorded, in the order of the catalog."""
        for index, project in self._reader.projects():
            try:
                with self._reader.snapshot() as seen:
                    files, others = seen.files(index, project), seen.attachments(index, project)
            except (ValueError, KeyError, TypeError) as error:
                yield Fault(
                    Code.RECORD_UNREADABLE,
                    "catalog.sqlite",
                    f"has {project} in {index} so: {error}",
                )
                continue
            records: tuple[DistFile | Attachment, ...] = (*files, *others)
            for record in records:
                yield from _names_that_differ(record)
                yield from self._looked_at_twice(record)
                self.count += 1
                self.size_bytes += record.size_bytes
                self._progress(record.size_bytes)

    def strays(self) -> Iterator[Fault]:
        """Everything that lies there and is not recorded."""
        empty = []
        for path in _walk(self._files, 0):
            if path.is_dir() and not path.is_symlink():
                empty.append(path)
            elif self.is_stray(path):
                yield self._stray(path)
        busy = self._busy_folders() if empty else set()
        for folder in empty:
            if folder not in busy and _is_empty(folder):
                yield Fault(Code.EMPTY_FOLDER, f"{self._below(folder)}/", "is empty")

    def _busy_folders(self) -> set[Path]:
        """Where an upload or a removal is at work, which empties a folder for an instant."""
        places = [*places_under_way(self._root)]
        with self._reader.rows() as connection:
            places += (FilePlace(*row) for row in connection.execute(REMOVALS))
        return {(self._files / place.path).parent for place in places}

    def is_stray(self, path: Path) -> bool:
        """Whether a file has no record, and nobody is about to make one."""
        named = place_of(path.relative_to(self._files))
        if named is None:
            return os.path.lexists(path)
        with self._reader.snapshot() as seen:
            if is_recorded(seen, *named):
                return False
        # Whoever publishes has a draft that says so, until after the commit. So: drafts first,
        # then the catalog, then the disk, from which the file of a removal may have gone.
        if named[0] in set(places_under_way(self._root)):
            return False
        with self._reader.rows() as connection:
            is_known = is_recorded(SqliteSnapshot(connection), *named)
            is_known |= connection.execute(_IS_TO_GO, astuple(named[0])).fetchone() is not None
            return not is_known and os.path.lexists(path)

    def _stray(self, path: Path) -> Fault:
        named = place_of(path.relative_to(self._files))
        if named is not None and named[1] is not None:
            with self._reader.snapshot() as seen:
                if seen.file_at(named[0]) is not None:
                    what = "lies beside its file and is not recorded"
                    return Fault(Code.SIDECAR_UNANNOUNCED, self._below(path), what)
        return Fault(Code.STRAY_FILE, self._below(path), "has no record")

    def _looked_at_twice(self, record: DistFile | Attachment) -> list[Fault]:
        """What is wrong with a file that is still on record when that is seen."""
        faults = self.of_record(record)
        if faults:
            with self._reader.snapshot() as seen:
                now = seen.file_at(record.place) or seen.attachment_at(record.place)
            return [] if now is None else self.of_record(now)
        return faults

    def of_record(self, record: DistFile | Attachment) -> list[Fault]:
        """What is wrong with one file and what lies beside it."""
        path = self._files / record.place.path
        found = self._looked_at(path, record.sha256, record.size_bytes)
        faults = [Fault(found[0], self._below(path), found[1], record)] if found else []
        if isinstance(record, DistFile):
            faults += self._beside(record, path)
        return faults

    def _beside(self, file: DistFile, path: Path) -> Iterator[Fault]:
        for sidecar in Sidecar:
            digest = file.sha256_of(sidecar)
            if digest is None:
                continue  # should something lie there, then it is a stray
            beside = path.with_name(path.name + sidecar)
            found = self._looked_at(beside, digest, None)
            if found:
                is_gone = found[0] is Code.FILE_MISSING
                code = Code.SIDECAR_MISSING if is_gone else Code.SIDECAR_BYTES
                yield Fault(code, self._below(beside), found[1], file, sidecar)

    def _looked_at(
        self, path: Path, sha256: str, size_bytes: int | None
    ) -> tuple[Code, str] | None:
        """What is wrong with the bytes at a path."""
        try:
            stated = path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return Code.FILE_MISSING, "is not there"
        except OSError as error:
            return Code.FILE_BYTES, f"cannot be read: {error.strerror}"
        if not stat.S_ISREG(stated.st_mode):
            return Code.FILE_NOT_PLAIN, "is no plain file"
        if size_bytes is not None and stated.st_size != size_bytes:
            what = f"has {stated.st_size:,} bytes, not {size_bytes:,}"
            return Code.FILE_SIZE, what
        if self._is_quick:
            return None
        try:
            actual = sha256_of(path)
        except NotStored:
            return Code.FILE_MISSING, "is not there"
        except (OSError, Unavailable) as error:
            return Code.FILE_BYTES, f"cannot be read: {error}"
        if actual != sha256:
            return Code.FILE_BYTES, f"has the sha256 {actual[:16]}..., not {sha256[:16]}..."
        return None

    def _below(self, path: Path) -> str:
        return path.relative_to(self._root).as_posix()


def is_recorded(seen: Snapshot, place: FilePlace, sidecar: Sidecar | None) -> bool:
    """Whether the catalog knows what lies at a place, or beside it."""
    file = seen.file_at(place)
    if sidecar is not None:
        return file is not None and file.sha256_of(sidecar) is not None
    return file is not None or seen.attachment_at(place) is not None


def drafts_of_the_dead(root: Path) -> Iterator[Fault]:
    """What processes that died have left in `incoming/`."""
    incoming = root / "incoming"
    names = sorted(os.listdir(incoming)) if incoming.is_dir() else []  # noqa: PTH208  names
    for name in dict.fromkeys(name.removesuffix(".lock") for name in names):
        if not is_alive(incoming / name):
            count = sum(path.is_file() for path in (incoming / name).rglob("*"))
            yield Fault(
                Code.DRAFT_LEFT,
                f"incoming/{name}/",
                f"has {count} drafts of a process that died" if count else "is of a dead process",
            )


def places_under_way(root: Path) -> Iterator[FilePlace]:
    """Where living processes are publishing something."""
    incoming = root / "incoming"
    for path in incoming.glob("*/*/*"):
        process = path.parents[1]
        place = noted_place(path.relative_to(process))
        if place is not None and is_alive(process):
            yield place


def sha256_of(path: Path) -> str:
    """The digest of a plain file's bytes. Raises NotStored, Unavailable, OSError."""
    digest = hashlib.sha256()
    with open_plainly(path, path.name) as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _names_that_differ(record: DistFile | Attachment) -> Iterator[Fault]:
    if not isinstance(record, DistFile):
        return
    path = f"files/{record.place.path}"
    try:
        name = parse_filename(record.filename)
    except Refused as refused:
        yield Fault(Code.RECORD_NAMES, path, f"has a name that is none: {refused}", record)
        return
    for what, told, is_so in (
        ("project", record.project, name.project),
        ("version", record.version, name.version),
        ("key", record.key, name.key),
    ):
        if told != is_so:
            yield Fault(
                Code.RECORD_NAMES, path, f"is recorded with the {what} {told!r}, not {is_so!r}"
            )


def _walk(folder: Path, depth: int) -> Iterator[Path]:
    """All that lies below a folder and is none; and the folders of single files that are empty.

    Raises Unavailable for a folder that cannot be read.
    """
    with unavailable_on_failure(f"{folder} cannot be read"):
        try:
            with os.scandir(folder) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except (FileNotFoundError, NotADirectoryError):
            return
    if not found and depth == _OWN_FOLDER_DEPTH:
        yield folder
    for entry in found:
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(Path(entry.path), depth + 1)
        else:
            yield Path(entry.path)


def _is_empty(folder: Path) -> bool:
    try:
        return next(folder.iterdir(), None) is None
    except (FileNotFoundError, NotADirectoryError):
        return False
