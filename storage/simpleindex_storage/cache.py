"""What mirrors keep of other indexes: pages, files, and lists of names. The one face of it.

    cache/cache.sqlite                                          pages, and what is known of files
    cache/generation  cache/lock                                for all processes, as a catalog has
    cache/present                                               held by whoever has the cache open
    cache/present.lock                                          and by who asks if others have it
    cache/files/<user>/<index>/+f/<3 hex>/<13 hex>/<filename>   as uploads lie, sidecars beside them
    cache/parts/                                                files that are arriving
    cache/lists/<user>+<index>.names                            names of all projects

All of it can be fetched again: while the server is stopped, the folder may be deleted. A process
that dies takes nothing that was kept; a power cut may take what was kept in the last moments, and
no more. A recorded file's bytes were on the disk before its record was written, and a record whose
bytes are gone is dropped by whoever finds that out.
"""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import BinaryIO

from .cache_files import CacheFiles
from .cache_names import NamesWriter, SaidOfNames, SortedNames
from .cache_parts import Part, Parts, Watch
from .cache_sqlite import CacheSqlite
from .cache_transaction import CacheChange, Content
from .cache_upkeep import Upkeep, names_file
from .cache_uses import Uses
from .durable import unavailable_on_failure
from .errors import NotStored, StoreError
from .locks import Presence
from .mirrored import Evicted, KeptFile, KeptNames, KeptPage, Orphan, PageHead, PartNote, Usage
from .model import Sidecar
from .names import FilePlace, IndexName, ProjectName
from .plain_files import open_plainly

__all__ = [
    "Cache",
    "Evicted",
    "KeptFile",
    "KeptNames",
    "KeptPage",
    "NamesWriter",
    "Orphan",
    "Part",
    "PartNote",
    "Usage",
    "Watch",
]

_PROJECTS_AT_ONCE = 1_000
_ABSENT_KEPT_FOR = timedelta(days=1)
_DRAFTS_LEFT_FOR = timedelta(days=1)


def free_bytes_at(folder: Path) -> int:
    """How much more the disk takes that a folder lies on."""
    return shutil.disk_usage(folder).free


class Cache:
    """The cache of one server directory. Blocks; may be called from any thread.

    Any number of processes may have it open. Raises Refused for that of a newer version, and
    Unavailable.
    """

    def __init__(
        self,
        folder: Path,
        now: Callable[[], datetime],
        *,
        free_bytes: Callable[[Path], int] = free_bytes_at,
    ) -> None:
        self._folder = folder
        self._lists = folder / "lists"
        self._now = now
        self._free_bytes = free_bytes
        with unavailable_on_failure(f"{folder} cannot be written"):
            folder.mkdir(mode=0o700, exist_ok=True)
            for each in (folder / "files", self._lists):
                each.mkdir(mode=0o700, exist_ok=True)
            self._files = CacheFiles(folder / "files")
            with ExitStack() as if_it_fails:
                self._presence = Presence(folder / "present")
                if_it_fails.callback(self._presence.close)
                self._parts = Parts(folder / "parts")
                if_it_fails.callback(self._parts.close)
                self._records = CacheSqlite(folder)
                self.agreed_serial = self._records.agreed_serial
                """The serial that everybody sees, if no change is on its way."""
                if_it_fails.pop_all()
        self._upkeep = Upkeep(folder, self._records, self._files, self._parts)
        self._evicting = Lock()
        self._lists_in_the_way: set[Path] = set()
        """Drafts of lists that nobody needs, and that could not be removed."""
        self._unrecorded_lists: set[IndexName] = set()
        """Indexes whose lists lie in place without a record, and could not be removed."""
        self._uses = Uses(self._write_uses)

    # Pages

    def settled_serial(self) -> int:
        """The serial of the last change that was announced."""
        return self._records.settled_serial()

    def page(self, index: IndexName, project: ProjectName) -> KeptPage | None:
        """What upstream has said of a project. Raises Unavailable."""
        with self._records.reading() as seen:
            return seen.page(index, project)

    def page_head(self, index: IndexName, project: ProjectName) -> PageHead | None:
        """As `page`, without reading the content. Raises Unavailable."""
        with self._records.reading() as seen:
            return seen.page_head(index, project)

    def keep_page(self, page: KeptPage) -> KeptPage:
        """Keep what upstream says; with its serial, new only if something changed.

        Raises Unavailable.
        """
        content = self._packed(page)
        with self._records.change() as change:
            return change.put_page(page, content)

    def replace_page(self, page: KeptPage, before: int | None) -> KeptPage | None:
        """As `keep_page`, but None unless its serial still is `before` (None: there was no page).

        Then nothing is kept: the page is to be made anew, from what is kept now.
        """
        content = self._packed(page)
        with self._records.change() as change:
            return change.put_page(page, content) if change.is_still(page, before) else None

    def renew_page(self, index: IndexName, project: ProjectName, checked_at: datetime) -> None:
        """Upstream has confirmed what is kept. Raises Unavailable."""
        with self._records.change() as change:
            change.renew_page(index, project, checked_at)

    def change_page(
        self, index: IndexName, project: ProjectName, change: Callable[[bytes], bytes]
    ) -> None:
        """Change what is kept of a page that has content, while nobody else does.

        Raises Unavailable, and what `change` raises.
        """
        with self._records.change() as changing:
            page = changing.page(index, project)
            if page is None or page.content is None:
                return
            content = change(page.content)
            if content != page.content:
                changing.put_content(index, project, Content(content))

    def projects(self, index: IndexName) -> Iterator[ProjectName]:
        """Projects that upstream has, as far as anybody asked, by name. Raises Unavailable."""
        after = ""
        while True:
            with self._records.reading() as seen:
                names = seen.projects(index, after, _PROJECTS_AT_ONCE)
            yield from names
            if len(names) < _PROJECTS_AT_ONCE:
                return
            after = names[-1]

    def forget_page(self, index: IndexName, project: ProjectName) -> None:
        """Forget a page; its files stay. Raises Unavailable."""
        with self._records.change() as change:
            change.remove_page(index, project)

    def forget_absent(self, before: datetime) -> None:
        """Forget that upstream had no such project when it was asked before a time.

        Raises Unavailable.
        """
        with self._records.change() as change:
            change.remove_absent_pages(before)

    def forget_project(self, index: IndexName, project: ProjectName) -> None:
        """Forget a page, and delete its files and what lies beside them. Raises Unavailable."""
        self.forget_page(index, project)
        self._upkeep.forget(index, project)

    def forget_index_if_possible(self, index: IndexName) -> None:
        """As `forget_index`, for an index that is gone. What is left, `gc` finds."""
        with suppress(StoreError):
            self.forget_index(index)

    def forget_index(self, index: IndexName) -> None:
        """Forget all pages of an index, its files, and the list of its names.

        Raises Unavailable.
        """
        path = self._names_path(index)
        with unavailable_on_failure(f"{path} cannot be removed"), self._records.change() as change:
            path.unlink(missing_ok=True)
            change.remove_names(index)
        is_more = True
        while is_more:
            with self._records.change() as change:
                is_more = change.remove_some_pages(index)
        self._upkeep.forget(index, None)

    def indexes(self) -> tuple[IndexName, ...]:
        """All indexes of which something is kept, by name. Raises Unavailable."""
        with self._records.reading() as seen:
            return seen.indexes()

    # Files

    def file(self, place: FilePlace) -> KeptFile | None:
        """What is known of a file that is here. Raises Unavailable."""
        with self._records.reading() as seen:
            return seen.file(place)

    def filenames(self, index: IndexName, project: ProjectName) -> frozenset[str]:
        """The names of the files of a project that are here. Raises Unavailable."""
        with self._records.reading() as seen:
            return seen.filenames(index, project)

    def open(self, place: FilePlace) -> tuple[KeptFile, BinaryIO]:
        """A file and its bytes, open for reading. Raises NotStored, Unavailable."""
        while True:
            kept = self.file(place)
            if kept is None:
                raise NotStored(f"file {place.filename}")
            with suppress(NotStored), ExitStack() as unless_right:
                content = unless_right.enter_context(self._files.open(place))
                if self._is_of(content, kept):
                    self._uses.note(place, self._now())
                    unless_right.pop_all()
                    return kept, content
            self._upkeep.drop_if_wrong(place, None)

    def keep_sidecar(
        self, place: FilePlace, project: ProjectName, sidecar: Sidecar, content: bytes
    ) -> None:
        """Keep what lies beside a file, whether that is here or not. Raises Unavailable."""
        draft = self._parts.draft()
        with unavailable_on_failure(f"{place.filename}{sidecar} cannot be kept"):
            try:
                _write_draft(draft, content)
                with self._recording(place, sidecar) as change:
                    self._files.move(draft, place, sidecar)
                    change.put_sidecar(place, project, sidecar, len(content), self._now())
            finally:
                self._parts.drop(draft)

    def sidecar(self, place: FilePlace, sidecar: Sidecar) -> bytes | None:
        """What lies beside a file; None if it is not here. Raises Unavailable."""
        with self._records.reading() as seen:
            size_bytes = seen.sidecar_bytes(place, sidecar)
        if size_bytes is None:
            return None
        with suppress(NotStored), self._files.open(place, sidecar) as file:
            with unavailable_on_failure(f"{place.filename}{sidecar} cannot be read"):
                content = file.read()
            if len(content) == size_bytes:
                self._uses.note(place, self._now())
                return content
        self._upkeep.drop_if_wrong(place, sidecar)
        return None

    # Arriving files

    def receive(self, place: FilePlace) -> Part | None:
        """Receive a file; None while anybody on the machine does. Raises Unavailable."""
        return self._parts.receive(place, self._keep)

    def watch(self, place: FilePlace) -> Watch:
        """See what becomes of a file that somebody receives, maybe in another process."""
        return self._parts.watch(place, self._files, lambda: self.file(place))

    # Lists of names

    @contextmanager
    def names_writer(self, index: IndexName) -> Iterator[NamesWriter]:
        """Write the list of all projects of an upstream; without `finish`, nothing is kept.

        Raises Unavailable.
        """
        for left in list(self._lists_in_the_way):
            self._drop_list(left)
        for unrecorded in list(self._unrecorded_lists):
            self._withdraw_list(unrecorded)
        folder = self._lists / f"{os.urandom(8).hex()}.draft"
        with unavailable_on_failure("the list of projects cannot be kept"):
            folder.mkdir(mode=0o700)
        try:
            yield NamesWriter(folder, lambda names, said: self._keep_names(index, names, said))
        finally:
            self._drop_list(folder)

    def names(self, index: IndexName) -> KeptNames | None:
        """What is known of the list of an upstream's projects. Raises Unavailable."""
        with self._records.reading() as seen:
            return seen.names(index, self._names_path(index))

    def open_names(self, index: IndexName) -> BinaryIO:
        """The list, open for reading: as `names` tells, or newer. Raises NotStored, Unavailable."""
        names = self.names(index)
        if names is None:
            raise NotStored(f"list of the projects of {index}")
        try:
            return open_plainly(names.path, names.path.name)
        except NotStored:
            with self._records.change() as change:
                if not names.path.is_file():
                    change.remove_names(index)
            raise NotStored(f"list of the projects of {index}") from None

    def renew_names(self, index: IndexName, checked_at: datetime) -> None:
        """Upstream has confirmed the list. Raises Unavailable."""
        with self._records.change() as change:
            change.renew_names(index, checked_at)

    # Upkeep

    def usage(self) -> tuple[Usage, ...]:
        """What is kept for each index, by name. Raises Unavailable."""
        with self._records.reading() as seen:
            return seen.usage()

    def evict(
        self,
        bytes_max: int | None,
        keep_free_bytes: int,
        *,
        dry_run: bool = False,
        room_for_bytes: int = 0,
    ) -> tuple[Evicted, ...]:
        """Delete files that were not read for longest, as far as room is needed.

        All files together, and `room_for_bytes` more, are to have `bytes_max` at the most (None:
        any number); and the disk is to have `keep_free_bytes` free besides those. What is being
        received stays, and so do pages. If all files together are too few, none goes. Raises
        Unavailable.
        """
        with self._evicting:  # two at once would each make the room that both see missing
            needed_bytes = self._needed_bytes(bytes_max, keep_free_bytes, room_for_bytes)
            with self._records.reading() as seen:
                kept_bytes = seen.size_bytes
            if not 0 < needed_bytes <= kept_bytes:
                return ()
            self._uses.write()
            return self._upkeep.evict(needed_bytes, dry_run=dry_run)

    def has_room(self, size_bytes: int, keep_free_bytes: int) -> bool:
        """Whether the disk has `keep_free_bytes` free besides this. Raises Unavailable."""
        return self._free() - size_bytes >= keep_free_bytes

    def tidy_if_possible(self) -> None:
        """As `tidy`; a full disk must not keep anybody from reading."""
        with suppress(StoreError):
            self.tidy()

    def tidy(self) -> int:
        """Delete what processes that died have left; how many parts. To be called at the start.

        Parts that are younger than a day stay: whoever receives the file goes on with them. So do
        drafts, unless nobody else has the cache open, who might be writing them. What upstream had
        not got when somebody asked a day ago is forgotten. Raises Unavailable.
        """
        self.forget_absent(self._now() - _ABSENT_KEPT_FOR)
        with (
            unavailable_on_failure("left-overs of an earlier run cannot be removed"),
            self._presence.alone() as is_alone,
        ):
            for folder in self._lists.glob("*.draft"):
                with suppress(FileNotFoundError):
                    changed_at = datetime.fromtimestamp(folder.stat().st_mtime, UTC)
                    if is_alone or self._now() - changed_at > _DRAFTS_LEFT_FOR:
                        shutil.rmtree(folder)
            if is_alone:
                self._upkeep.finish(self._lists)
            return self._parts.tidy(self._now(), drafts=is_alone)

    def gc(self, *, dry_run: bool = False) -> tuple[Orphan, ...]:
        """Delete files without a record, and records without their bytes. Looks at all of them.

        Raises Unavailable.
        """
        return self._upkeep.collect(self._lists, dry_run=dry_run)

    def close(self) -> None:
        """Write down what was read lately, and let go of everything."""
        self._uses.close()
        self._parts.close()
        self._records.close()
        self._presence.close()

    def _packed(self, page: KeptPage) -> Content | None:
        """The content of a page; packed, if it is new, before anybody has to wait for it."""
        if page.content is None:
            return None
        content = Content(page.content)
        with self._records.reading() as seen:
            is_same = seen.is_same(page, content)
        if not is_same:
            content.pack()
        return content

    def _is_of(self, content: BinaryIO, kept: KeptFile) -> bool:
        """Whether opened bytes are those of a record, and not of one that came in between."""
        if os.fstat(content.fileno()).st_size != kept.size_bytes:
            return False
        now = self.file(kept.place)
        return now is not None and now.sha256 == kept.sha256

    def _keep(
        self, place: FilePlace, project: ProjectName, part: Path, size_bytes: int, sha256: str
    ) -> KeptFile:
        """Put a part in its place, and record it. To be called by whoever receives it."""
        now = self._now()
        kept = KeptFile(place, project, size_bytes, sha256, now, now)
        with unavailable_on_failure(f"{place.filename} cannot be kept"):
            before = self.file(place)
            if before is not None and before.sha256 != sha256:
                # First and on its own: nobody takes the new bytes for those of the old record.
                with self._records.change(is_synced=True) as change:
                    self._files.remove(place, None)
                    change.clear(place)
            with self._recording(place, None) as change:
                self._files.link(part, place)
                change.put_file(kept)
        return kept

    @contextmanager
    def _recording(self, place: FilePlace, sidecar: Sidecar | None) -> Iterator[CacheChange]:
        """A change that puts something in place and records it: both, or neither.

        It is announced first, so that the next start finds what a process that died left there.
        """
        with self._records.change() as announcing:
            announcing.announce(place, sidecar)
        try:
            with self._records.change() as change:
                yield change
        except BaseException:
            with suppress(StoreError):  # left to the next start
                self._upkeep.remove_unrecorded(place, sidecar)
            raise

    def _needed_bytes(self, bytes_max: int | None, keep_free_bytes: int, room_bytes: int) -> int:
        """How much has to go."""
        needed = keep_free_bytes + room_bytes - self._free()
        if bytes_max is not None:
            with self._records.reading() as seen:
                needed = max(needed, seen.size_bytes + room_bytes - bytes_max)
        return needed

    def _free(self) -> int:
        with unavailable_on_failure(f"{self._folder} cannot be looked at"):
            return self._free_bytes(self._folder)

    def _keep_names(self, index: IndexName, names: SortedNames, said: SaidOfNames) -> None:
        path = self._names_path(index)
        kept = KeptNames(
            index, said.source, names.count, names.size_bytes, names.sha256, said.etag,
            said.last_modified, said.checked_at, path,
        )  # fmt: skip
        try:
            with unavailable_on_failure(f"{path} cannot be kept"), self._records.change() as change:
                names.path.replace(path)
                change.put_names(kept)
        except BaseException:
            self._withdraw_list(index)
            raise

    def _withdraw_list(self, index: IndexName) -> None:
        """Remove a list that was put in place and not recorded, now or with the next one."""
        path = self._names_path(index)
        try:
            with unavailable_on_failure(f"{path} stays"), self._records.change() as change:
                if index not in change.lists():
                    path.unlink(missing_ok=True)
        except StoreError:
            self._unrecorded_lists.add(index)
        else:
            self._unrecorded_lists.discard(index)

    def _drop_list(self, folder: Path) -> None:
        """Remove the drafts of a list, now or with the next one."""
        shutil.rmtree(folder, ignore_errors=True)
        if folder.exists():
            self._lists_in_the_way.add(folder)
        else:
            self._lists_in_the_way.discard(folder)

    def _names_path(self, index: IndexName) -> Path:
        return self._lists / names_file(index)

    def _write_uses(self, uses: Mapping[FilePlace, datetime]) -> None:
        with self._records.change() as change:
            change.note_uses(uses)


def _write_draft(path: Path, content: bytes) -> None:
    """A file that only its owner can read, on the disk."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
    try:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(handle, rest) :]
        os.fsync(handle)
    finally:
        os.close(handle)
