"""Taking away what the cache holds: to make room, because it is wrong, or because nobody knows it.

Files go before the commit that forgets them: one that is lost leaves records without bytes, which
whoever reads them drops, and no bytes that nobody knows of.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from .cache_files import CacheFiles, Found
from .cache_parts import Parts
from .cache_sqlite import CacheSqlite
from .cache_transaction import CacheChange, CacheReading, Place
from .durable import unavailable_on_failure
from .mirrored import Evicted, Orphan
from .model import Sidecar
from .names import FilePlace, IndexName, ProjectName


class Upkeep:
    """Removes files together with their records. May be used from any thread."""

    def __init__(self, folder: Path, records: CacheSqlite, files: CacheFiles, parts: Parts) -> None:
        self._folder = folder
        self._records = records
        self._files = files
        self._parts = parts

    def evict(self, needed_bytes: int, *, dry_run: bool) -> tuple[Evicted, ...]:
        """Delete places that were not used for longest, until they had so many bytes."""
        evicted: list[Evicted] = []
        after = None
        while needed_bytes > 0:
            with self._records.reading() as seen:
                places = seen.oldest_places(after)
            if not places:
                break
            looked_at = _as_far_as_needed(places, needed_bytes)
            after = looked_at[-1]
            going = [each for each in looked_at if not self._parts.is_held(each.place)]
            gone = going if dry_run else self._remove_unused(going)
            needed_bytes -= sum(each.size_bytes for each in gone)
            evicted += (Evicted(each.place, each.size_bytes, each.used_at) for each in gone)
        return tuple(evicted)

    def forget(self, index: IndexName, project: ProjectName | None) -> None:
        """Delete the files of a project, or of a whole index, with what lies beside them."""
        after = None
        while True:
            with self._removing_files() as change:
                places = change.places(index, project, after)
                for each in places:
                    self._remove(change, each)
            if not places:
                return
            after = places[-1]

    def drop_if_wrong(self, place: FilePlace, sidecar: Sidecar | None) -> None:
        """Forget a file, or what lies beside it, whose bytes are not there."""
        with self._removing_files() as change:
            if sidecar is None:
                kept = change.file(place)
                size_bytes = None if kept is None else kept.size_bytes
            else:
                size_bytes = change.sidecar_bytes(place, sidecar)
            if size_bytes is not None and not self._files.has(place, sidecar, size_bytes):
                self._files.remove(place, sidecar)
                change.clear(place, sidecar)

    def remove_unrecorded(self, place: FilePlace, sidecar: Sidecar | None = None) -> None:
        """Remove what was put in place and then not recorded."""
        with self._removing_files() as change:
            known = change.file(place) if sidecar is None else change.sidecar_bytes(place, sidecar)
            if known is None:
                self._files.remove(place, sidecar)
            change.forget_arrival(place, sidecar)

    def finish(self, lists: Path) -> None:
        """Remove what processes that died have put in place and not recorded."""
        with self._records.reading() as seen:
            arrivals = seen.arrivals()
        for place, sidecar in arrivals:
            self.remove_unrecorded(place, sidecar)
        self._collect_lists(lists, dry_run=False)

    def collect(self, lists: Path, *, dry_run: bool) -> tuple[Orphan, ...]:
        """Delete files without a record, and records without their bytes."""
        orphans: list[Orphan] = []
        for found in self._files.walk():
            with self._records.reading() as seen:
                is_known = _is_recorded(seen, found)
            if not is_known:
                orphans += self._collect_file(found, dry_run=dry_run)
        orphans += self._collect_lists(lists, dry_run=dry_run)
        after = None
        while True:
            with self._removing_files() as change:
                places = change.places(None, None, after)
                for each in places:
                    orphans += self._collect_record(change, each, dry_run=dry_run)
            if not places:
                return tuple(orphans)
            after = places[-1]

    def _remove_unused(self, places: Sequence[Place]) -> list[Place]:
        """Delete places, but for those that were used or changed since they were looked at."""
        with self._removing_files() as change:
            return [
                each
                for each in places
                if change.place(each.id) == each and self._remove(change, each)
            ]

    def _remove(self, change: CacheChange, each: Place) -> bool:
        """Delete and forget what is at a place; False if somebody's having it open forbids that."""
        if not self._files.remove(each.place):
            return False
        change.remove_place(each.id)
        return True

    def _collect_file(self, found: Found, *, dry_run: bool) -> list[Orphan]:
        with self._removing_files() as change:
            # Looked at again: it may have been recorded a moment ago, or be gone.
            if _is_recorded(change, found) or not os.path.lexists(found.path):
                return []
            if not dry_run:
                with suppress(PermissionError):
                    found.path.unlink()
                self._files.remove_empty(found.path.parent)
        return [Orphan(self._below(found.path), found.size_bytes, is_missing=False)]

    def _collect_lists(self, lists: Path, *, dry_run: bool) -> list[Orphan]:
        orphans = []
        with self._removing_files() as change:
            known = {lists / names_file(index): index for index in change.lists()}
            for path, index in known.items():
                if not path.is_file():
                    orphans.append(Orphan(self._below(path), 0, is_missing=True))
                    if not dry_run:
                        change.remove_names(index)
            for path in sorted(lists.glob("*.names")):
                if path not in known:
                    size_bytes = path.lstat().st_size
                    orphans.append(Orphan(self._below(path), size_bytes, is_missing=False))
                    if not dry_run:
                        path.unlink()
        return orphans

    def _collect_record(self, change: CacheChange, each: Place, *, dry_run: bool) -> list[Orphan]:
        sizes: list[tuple[Sidecar | None, int]] = [*change.sidecars(each.id)]
        if each.file_bytes is not None:
            sizes.append((None, each.file_bytes))
        orphans = []
        for kind, size_bytes in sizes:
            if not self._files.has(each.place, kind, size_bytes):
                path = self._files.path(each.place, kind)
                orphans.append(Orphan(self._below(path), size_bytes, is_missing=True))
                if not dry_run:
                    self._files.remove(each.place, kind)
                    change.clear(each.place, kind)
        return orphans

    def _below(self, path: Path) -> str:
        return path.relative_to(self._folder).as_posix()

    @contextmanager
    def _removing_files(self) -> Iterator[CacheChange]:
        with unavailable_on_failure("files cannot be removed"), self._records.change() as change:
            yield change


def names_file(index: IndexName) -> str:
    """The name of the file that has the list of all projects of an index."""
    return f"{index.replace('/', '+')}.names"  # no name has a "+" in it


def _as_far_as_needed(places: Sequence[Place], needed_bytes: int) -> list[Place]:
    """The first of some places, until they have so many bytes."""
    going = []
    for each in places:
        going.append(each)
        needed_bytes -= each.size_bytes
        if needed_bytes <= 0:
            break
    return going


def _is_recorded(seen: CacheReading, found: Found) -> bool:
    if found.place is None:
        return False
    if found.sidecar is not None:
        return seen.sidecar_bytes(found.place, found.sidecar) is not None
    return seen.file(found.place) is not None
