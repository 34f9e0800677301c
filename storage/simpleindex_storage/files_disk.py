"""Package files in a folder: plain files, each visible whole or not at all.

    root/files/<user>/<index>/+f/<3 hex>/<13 hex>/<filename>            what was published
    root/files/<user>/<index>/+f/<3 hex>/<13 hex>/<filename>.metadata   its core metadata, ...
    root/incoming/<process>.lock                                        held while the process lives
    root/incoming/<process>/<number>                                    drafts being received
    root/incoming/<process>/<number>.metadata                           what is to lie beside one
    root/incoming/<process>/<user>+<index>/<16 hex>+<number>+<filename> drafts being published

A draft is renamed to say where it goes before it is linked there, so that the next start can
tell what a process that died was about to publish, without walking `files/`.
"""

import filecmp
import hashlib
import os
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from io import FileIO
from itertools import count
from pathlib import Path
from typing import BinaryIO

from .draft_names import noted_name, noted_place
from .durable import SyncingTogether, link, sync_file, sync_folder, unavailable_on_failure
from .errors import NotStored
from .giving_way import pieces
from .locks import FileLock
from .model import Digests, Sidecar, Staged
from .names import FilePlace
from .plain_files import files_below, open_plainly
from .ports import Arrival
from .processes import folder_of, marks, new_mark

_SIDECARS = tuple(Sidecar)


class DiskFiles:
    """Files below one folder, which must lie on one filesystem.

    Any number of processes may work on the same folder. What survives a crash: everything that
    `publish` has returned for.
    """

    def __init__(self, root: Path) -> None:
        self._files = root / "files"
        self._incoming = root / "incoming"
        with unavailable_on_failure(f"{root} cannot be written"):
            for folder in (self._files, self._incoming):
                folder.mkdir(exist_ok=True)
            sync_folder(root)
            self._own, self._alive = _own_folder(self._incoming)
        self._numbers = count()
        self._lasting = {self._files}
        """Folders whose names are known to be on the disk, not just in its cache."""
        self._syncing = SyncingTogether()
        self._noted: dict[Path, _Noted] = {}
        """The drafts that are being published, by where they were received."""
        self._unfinished: set[Path] = set()
        """Drafts whose name tells what could not be taken back."""
        self._in_the_way: set[Path] = set()
        """Drafts that nobody needs, and that could not be removed."""

    @contextmanager
    def draft(self) -> Iterator["DiskDraft"]:
        """Receive a file. Raises Unavailable when the disk is full or fails."""
        self._drop_again()
        path = self._own / str(next(self._numbers))
        with unavailable_on_failure("no file can be received"):
            draft = DiskDraft(path)
        try:
            yield draft
        finally:
            draft.close()
            self._drop_draft(path)

    @contextmanager
    def draft_of(self, place: FilePlace) -> Iterator[Path]:
        """A draft that is a second name for a stored file, or a copy where disks have no links."""
        path, stored = self._own / str(next(self._numbers)), self._files / place.path
        try:
            with unavailable_on_failure(f"{place.filename} cannot be copied"):
                try:
                    if stored.is_symlink():  # none is ever made by us
                        raise FileNotFoundError
                    _link(stored, path)
                except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                    raise NotStored(f"file {place.filename}") from None
            yield path
        finally:
            self._drop_draft(path)

    def publish(self, staged: Staged, place: FilePlace, sidecars: Mapping[Sidecar, bytes]) -> None:
        """Put staged bytes at their place, to stay. Raises Unavailable."""
        self.publish_all([(staged, place, sidecars)])

    def publish_all(self, arrivals: Sequence[Arrival]) -> None:
        """Put many at their places, to stay, and sync each kind of thing together.

        Of many files the first sync takes most of the others along. Raises Unavailable.
        """
        what = arrivals[0][1].filename if len(arrivals) == 1 else f"{len(arrivals)} files"
        with unavailable_on_failure(f"{what} cannot be stored"):
            noted = self._note(arrivals)
            finals = [self._files / place.path for _, place, _ in arrivals]
            while not self._link_all(noted, finals):
                pass  # a removal took a folder away; it holds nothing else, so it cannot go on

    def confirm(self, staged: Staged, place: FilePlace, sidecars: Mapping[Sidecar, bytes]) -> None:
        """Make sure that the place has these bytes. To be called under the write lock.

        Left-overs of a crash that have our place but other bytes are replaced here, where nobody
        else publishes or removes; and a removal of the same bytes may have come in between.
        """
        if staged.path not in self._noted:  # it was there already, and has been removed just now
            self.publish(staged, place, sidecars)
        noted, final = self._noted[staged.path], self._files / place.path
        with unavailable_on_failure(f"{place.filename} cannot be stored"):
            changed = self._put_right(noted.path, final)
            for sidecar in sidecars:
                changed |= self._put_right(noted.beside[sidecar], _beside(final, sidecar))
            if changed:
                sync_folder(final.parent)

    def holds(self, staged: Staged, place: FilePlace, sidecars: Mapping[Sidecar, bytes]) -> bool:
        """Whether the place has these bytes, and these beside them. Raises Unavailable."""
        final = self._files / place.path
        with unavailable_on_failure(f"{place.filename} cannot be read"):
            return _same_bytes(staged.path, final) and all(
                _holds(_beside(final, sidecar), content) for sidecar, content in sidecars.items()
            )

    def leave(self, staged: Staged) -> None:
        """Keep the draft, whose name tells `finish`, or the next start, what was going on."""
        noted = self._noted.pop(staged.path, None)
        if noted is not None:
            self._unfinished.add(noted.path)
            for draft in noted.beside.values():
                self._drop(draft)

    def finish(self, is_recorded: Callable[[FilePlace], bool]) -> None:
        """Take back what could not be taken back before. Raises Unavailable."""
        with unavailable_on_failure("left-overs cannot be removed"):
            for draft in list(self._unfinished):
                self._take_back(draft, self._own, is_recorded)
                draft.unlink(missing_ok=True)
                self._unfinished.discard(draft)

    def remove(self, place: FilePlace) -> None:
        """Delete a file and what lies beside it. Raises Unavailable."""
        final = self._files / place.path
        with unavailable_on_failure(f"{place.filename} cannot be removed"):
            final.unlink(missing_ok=True)
            for sidecar in Sidecar:
                _beside(final, sidecar).unlink(missing_ok=True)
            with suppress(OSError):  # it may be gone, or hold another file
                final.parent.rmdir()
            with suppress(FileNotFoundError):
                sync_folder(final.parent.parent)

    def open(self, place: FilePlace) -> BinaryIO:
        """The bytes of a file. Raises NotStored, Unavailable."""
        return open_plainly(self._files / place.path, place.filename)

    def open_sidecar(self, place: FilePlace, sidecar: Sidecar) -> BinaryIO:
        """What lies beside a file. Raises NotStored, Unavailable."""
        return open_plainly(_beside(self._files / place.path, sidecar), place.filename + sidecar)

    def recover(self, is_recorded: Callable[[FilePlace], bool]) -> int:
        """Drop the drafts of processes that died, and what they had published but not recorded."""
        dropped = 0
        with unavailable_on_failure("left-overs of an earlier run cannot be removed"):
            for mark in marks(self._incoming):
                if folder_of(mark) != self._own:
                    dropped += self._drop_if_dead(mark, is_recorded)
        return dropped

    def close(self) -> None:
        """Remove this process's folder of drafts, and its mark, unless a draft is to be found."""
        self._syncing.close()
        if not self._unfinished:
            with suppress(OSError):
                shutil.rmtree(self._own)
        self._alive.close(delete=not self._own.exists())

    def _drop_draft(self, path: Path) -> None:
        """Remove what is left of a draft, wherever it lies now."""
        noted = self._noted.pop(path, None)
        for left in (path,) if noted is None else (noted.path, *noted.beside.values()):
            self._drop(left)

    def _drop(self, draft: Path) -> None:
        """Remove a draft, now or later: what matters is done, or has failed and is to be told."""
        try:
            draft.unlink(missing_ok=True)
        except OSError:
            self._in_the_way.add(draft)

    def _drop_again(self) -> None:
        """Remove what could not be removed before."""
        for draft in list(self._in_the_way):
            with suppress(OSError):
                draft.unlink(missing_ok=True)
                self._in_the_way.discard(draft)

    def _note(self, arrivals: Sequence[Arrival]) -> "list[_Noted]":
        """Let the bytes be on the disk, and then the drafts' names tell their places."""
        waiting: list[tuple[Staged, _Noted]] = []
        syncs: list[Callable[[], None]] = []
        done: list[_Noted] = []
        try:
            for staged, place, sidecars in arrivals:
                beside = {each: self._own / f"{next(self._numbers)}{each}" for each in sidecars}
                noted = _Noted(self._own / noted_name(place, next(self._numbers)), beside)
                waiting.append((staged, noted))
                syncs.append(partial(sync_file, staged.path))
                syncs += (partial(_write_synced, beside[it], sidecars[it]) for it in sidecars)
            self._syncing.sync(syncs)
            for staged, noted in waiting:
                _rename(staged.path, noted.path)
                self._noted[staged.path] = noted
                done.append(noted)
        except BaseException:
            for _, noted in waiting[len(done) :]:  # the others go with their drafts
                for draft in noted.beside.values():
                    self._drop(draft)
            raise
        return done

    def _link_all(self, noted: "Sequence[_Noted]", finals: Sequence[Path]) -> bool:
        """Link files and what lies beside them; False if a folder vanished meanwhile."""
        try:
            with self._places([final.parent for final in finals]):
                for each, final in zip(noted, finals, strict=True):
                    for sidecar, draft in each.beside.items():
                        _link(draft, _beside(final, sidecar))
                    _link(each.path, final)
        except (FileNotFoundError, FileExistsError):
            # mkdir says that the folder exists, too, if it vanishes before it is looked at.
            if not any(map(_has_vanished, finals)):
                raise
            return False
        return True

    @contextmanager
    def _places(self, folders: Sequence[Path]) -> Iterator[None]:
        """Create the folders of files; all names are synced when the block has put those there.

        A folder that is there already may have been made a moment ago, by a process that has not
        synced it yet; so only what this process has synced itself counts as lasting.
        """
        parents = [parent for folder in folders for parent in self._make_folder(folder)]
        yield
        changed = dict.fromkeys(
            [*(parent.parent for parent in parents), *(it.parent for it in folders), *folders]
        )
        self._syncing.sync(partial(sync_folder, each) for each in changed)
        self._lasting.update(parents)

    def _make_folder(self, folder: Path) -> Sequence[Path]:
        """Create the folder of one file; the folders above that are not known to last."""
        parents = self._not_lasting(folder.parent)
        for parent in parents:
            parent.mkdir(exist_ok=True)
        try:
            folder.mkdir(exist_ok=True)
        except FileNotFoundError:  # somebody has taken away what had been there to stay
            if parents:
                raise
            self._lasting = {self._files}
            return self._make_folder(folder)
        return parents

    def _not_lasting(self, folder: Path) -> Sequence[Path]:
        """A folder that many files share, and its parents, the outermost first."""
        if folder in self._lasting:
            return ()
        return (*self._not_lasting(folder.parent), folder)

    def _put_right(self, source: Path, final: Path) -> bool:
        """Let `final` have the bytes of `source`; whether anything had to be done."""
        if _same_bytes(source, final):
            return False
        if not final.parent.is_dir():
            with self._places([final.parent]):
                pass
        # Over what is there: whoever reads it goes on reading the old bytes, and nobody ever
        # sees the name missing.
        between = self._own / str(next(self._numbers))
        try:
            _link(source, between)
            between.replace(final)
        finally:
            self._drop(between)  # renaming onto a link to the same file does nothing
        return True

    def _drop_if_dead(self, mark: Path, is_recorded: Callable[[FilePlace], bool]) -> int:
        lock, dropped, is_done = FileLock(mark), 0, False
        try:
            if lock.try_keep():
                dropped = self._drop_folder(folder_of(mark), is_recorded)
                is_done = True
        finally:
            lock.close(delete=is_done)
        return dropped

    def _drop_folder(self, folder: Path, is_recorded: Callable[[FilePlace], bool]) -> int:
        drafts = list(files_below(folder))
        for draft in drafts:
            self._take_back(draft, folder, is_recorded)
        if folder.is_dir():
            shutil.rmtree(folder)
        return sum(not draft.name.endswith(_SIDECARS) for draft in drafts)

    def _take_back(
        self, draft: Path, folder: Path, is_recorded: Callable[[FilePlace], bool]
    ) -> None:
        """Remove what a draft says that it was published as, unless it is recorded there."""
        place = noted_place(draft.relative_to(folder))
        if place is not None and not is_recorded(place):
            self.remove(place)


@dataclass(frozen=True, slots=True)
class _Noted:
    """A draft that is being published."""

    path: Path
    """Where it lies now; the name tells its place."""
    beside: Mapping[Sidecar, Path]
    """Drafts of what is to lie beside it. They stay as long as it does."""


class DiskDraft:
    """A file that is being received; all digests grow with it, so that it is read only once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("xb", buffering=0)
        self._size_bytes = 0
        self._sha256 = hashlib.sha256()
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._blake2b = hashlib.blake2b(digest_size=32)

    def write(self, chunk: bytes) -> None:
        """Take the next bytes. Raises Unavailable."""
        with unavailable_on_failure("the file cannot be received"):
            for piece in pieces(chunk):
                for digest in (self._sha256, self._md5, self._blake2b):
                    digest.update(piece)
                _write_all(self._file, piece)
        self._size_bytes += len(chunk)

    def finish(self) -> Staged:
        """All bytes are there."""
        self.close()
        digests = Digests(
            self._sha256.hexdigest(), self._md5.hexdigest(), self._blake2b.hexdigest()
        )
        return Staged(self._path, digests, self._size_bytes)

    def close(self) -> None:
        """Close the file; it stays where it is."""
        with suppress(OSError):  # what could not be written was said by `write`, or by the sync
            self._file.close()


def _own_folder(incoming: Path) -> tuple[Path, FileLock]:
    """A new folder for this process's drafts, and the lock that says the process is alive."""
    folder, lock = new_mark(incoming)
    try:
        folder.mkdir()
    except OSError:
        lock.close(delete=True)
        raise
    return folder, lock


def _link(source: Path, target: Path) -> None:
    """Give `source` a second name. A name that is taken is left alone: `confirm` decides."""
    # Not a rename: it would replace what lies there without a word, and it would take the
    # draft away, whose name is all that tells the next start what was going on.
    with suppress(FileExistsError):
        if not link(source, target):
            _copy(source, target)


def _has_vanished(final: Path) -> bool:
    """Whether the folder of a file is gone, while that above it is there."""
    return not os.path.lexists(final.parent) and final.parent.parent.is_dir()


def _write_all(file: FileIO, content: bytes | memoryview) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[file.write(rest) or 0 :]


def _write_synced(path: Path, content: bytes) -> None:
    with path.open("xb", buffering=0) as file:
        _write_all(file, content)
        os.fsync(file.fileno())


def _rename(draft: Path, noted: Path) -> None:
    try:
        draft.rename(noted)
    except FileNotFoundError:  # the first of its index
        noted.parent.mkdir(exist_ok=True)
        draft.rename(noted)


def _copy(source: Path, target: Path) -> None:
    """For disks without hard links. Half a copy is a left-over: no record names it."""
    with source.open("rb") as reading, target.open("xb") as writing:
        shutil.copyfileobj(reading, writing, 1 << 20)
        writing.flush()
        os.fsync(writing.fileno())


def _beside(final: Path, sidecar: Sidecar) -> Path:
    return final.with_name(final.name + sidecar)


def _same_bytes(source: Path, final: Path) -> bool:
    """Whether a plain file with the bytes of `source` lies there."""
    try:
        there = final.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    if not stat.S_ISREG(there.st_mode):  # a link, or what the comparison would have to wait for
        return False
    return os.path.samestat(there, source.lstat()) or filecmp.cmp(source, final, shallow=False)


def _holds(path: Path, content: bytes) -> bool:
    try:
        if path.is_symlink() or path.stat().st_size != len(content):
            return False
        return path.read_bytes() == content
    except FileNotFoundError:
        return False
