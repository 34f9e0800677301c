"""Taking a backup while the directory is served.

The catalog is copied first, in one view of it; then the files that this copy records; and so on,
by what has changed meanwhile, until nothing that it records was removed before it could be saved.
From the third round on writers wait, so there is a last one.
"""

import shutil
import sqlite3
from collections.abc import Container, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, count
from pathlib import Path
from typing import Any

from simpleindex_storage.durable import sync_folder, unavailable_on_failure, write_file
from simpleindex_storage.errors import Refused, Unavailable
from simpleindex_storage.journal import FIRST_SEGMENT, segments
from simpleindex_storage.locks import FileLock
from simpleindex_storage.processes import check_one_version
from simpleindex_storage.sqlite_file import (
    CATALOG_FILE,
    check_version,
    connect,
    fact,
    reading_errors,
    refusing_damage,
)
from simpleindex_storage.state_file import STATE_FILE, state_of

from .copying import Earlier, FileCopies, copy, make_private, sha256_of, sync_all
from .folders import (
    MANIFEST,
    Manifest,
    complete_backups,
    new_draft,
    remove_backup,
    remove_unfinished,
)
from .last import LastBackup, note_last_backup
from .wanted import Wanted, wanted_files

SMALL_FILES = (
    "secret",
    "root-password",
    "simpleindex.toml",
    "targets.json",
    "trusted-keys",
    "wanted.json",
    STATE_FILE,
)
_ROUNDS_BESIDE_WRITERS = 2
_SPARE_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class Taken:
    """A backup that is complete."""

    path: Path
    manifest: Manifest
    linked: int
    """Files that are second names of the served ones."""
    reused: int
    """Likewise of those in the backup before."""
    copied: int
    copied_bytes: int
    recovered: tuple[tuple[str, Path], ...]
    """Files that are lost or damaged where they are served, and the backups that had them yet."""
    removed: tuple[Path, ...]
    """Older backups that had to go."""


def take_backup(
    root: Path,
    destination: Path,
    now: datetime,
    made_by: str,
    *,
    keep: int | None = None,
    with_cache: bool = False,
) -> Taken:
    """Back a server directory up into a new folder below `destination`.

    What is there of an earlier run that was broken off is removed. `keep` is how many complete
    backups stay, this one among them. Files that are lost or damaged already come out of an
    earlier backup; those that none has are named in the manifest. A crash leaves a folder that
    does not count. Raises Refused, also while a process of another version has the directory open;
    and Unavailable, whose `full` tells of a disk without room, which is asked about first.
    """
    check_one_version(root / "incoming")
    if root.resolve() in (destination.resolve(), *destination.resolve().parents):
        raise Refused(str(destination), f"backups of {root} cannot lie in it; choose another disk")
    with (
        unavailable_on_failure(f"{destination} cannot be written"),
        _folder_for_backups(destination),
    ):
        lock = FileLock(destination / "lock")
        try:
            if not lock.try_keep():
                raise Unavailable(f"another backup is being made in {destination}; try it later")
            remove_unfinished(destination)
            try:
                return _Taking(root, destination, now).take(made_by, keep, with_cache=with_cache)
            except BaseException:
                with suppress(OSError):  # the next one removes it
                    remove_unfinished(destination)
                raise
        finally:
            lock.close()


@contextmanager
def _folder_for_backups(destination: Path) -> Iterator[None]:
    """Make it, and those above it; what was made goes again if nothing is saved in it."""
    made = [path for path in (destination, *destination.parents) if not path.exists()]
    make_private(destination)
    try:
        yield
    except BaseException:
        with suppress(OSError):  # another backup has begun there
            if made:
                (destination / "lock").unlink(missing_ok=True)
            for path in made:
                path.rmdir()
        raise


class _Taking:
    def __init__(self, root: Path, destination: Path, now: datetime) -> None:
        self._root = root
        self._destination = destination
        self._now = now
        self._earlier = tuple(_earlier(destination))
        may_link = root.stat().st_dev == destination.stat().st_dev
        self._check_room(may_link=may_link)
        self._draft, self._final = new_draft(destination, now)
        self._copies = FileCopies(
            root / "files",
            self._draft / "files",
            self._earlier,
            may_link=may_link,
        )
        self._damaged: set[str] = set()
        self._recovered: dict[str, Path] = {}

    def take(self, made_by: str, keep: int | None, *, with_cache: bool) -> Taken:
        make_private(self._draft / "files")
        while True:
            self._take_files()
            digests = dict(self._small_files())
            if self._is_of_one_moment(digests):
                break
            for name in digests:
                if name != CATALOG_FILE:  # it tells the next round which files are there
                    (self._draft / name).unlink()
        if with_cache:
            self._take_cache()
        sync_all()
        manifest = self._manifest(made_by, digests)
        write_file(self._draft / MANIFEST, manifest.text())
        self._draft.rename(self._final)
        sync_folder(self._destination)
        note_last_backup(self._root, LastBackup(self._final, self._now))
        removed = self._too_many(keep) if keep else []
        for backup in removed:
            remove_backup(backup)
        copies = self._copies
        return Taken(
            self._final, manifest, copies.linked, copies.reused, copies.copied,
            copies.copied_bytes, tuple(sorted(self._recovered.items())), tuple(removed),
        )  # fmt: skip

    def _too_many(self, keep: int) -> list[Path]:
        """The oldest backups, but for the `keep` that stay. This one is never among them."""
        found = complete_backups(self._destination)
        others = [backup.path for backup in found if backup.path != self._final]
        return others[: max(len(others) - (keep - 1), 0)]

    def _take_files(self) -> None:
        """Catalog and files, in as many rounds as it takes."""
        catalog, newer = self._draft / CATALOG_FILE, self._draft / f"{CATALOG_FILE}.new"
        missed: list[Wanted] = []
        turnstile = FileLock(self._root / "lock")
        try:
            for number in count(1):
                is_last = number > _ROUNDS_BESIDE_WRITERS
                with turnstile.held() if is_last else nullcontext():
                    newer.unlink(missing_ok=True)
                    _copy_catalog(self._root / CATALOG_FILE, newer)
                    older = catalog if catalog.exists() else None
                    missed = self._take_round(newer, older, missed, is_last=is_last)
                newer.replace(catalog)
                catalog.chmod(0o600)
                if not missed:
                    return
        finally:
            turnstile.close()

    def _take_round(
        self, newer: Path, older: Path | None, missed: Iterable[Wanted], *, is_last: bool
    ) -> list[Wanted]:
        """Bring the files up to a newer catalog; those that were not, or not as recorded, there.

        The next round sees whether they were removed or replaced meanwhile.
        """
        gone = set()
        if older is not None:
            for wanted in wanted_files(older, without=newer):
                self._copies.drop(wanted)
                self._damaged.discard(f"files/{wanted.path}")
                self._recovered.pop(f"files/{wanted.path}", None)
                gone.add(wanted)
        still_missed = []
        again = (wanted for wanted in missed if wanted not in gone)
        for wanted in chain(again, wanted_files(newer, without=older)):
            if self._copies.take(wanted):
                continue
            if is_last:  # writers wait, and it is on record: it was lost or damaged before
                self._take_damaged(wanted)
            else:
                still_missed.append(wanted)
        return still_missed

    def _take_damaged(self, wanted: Wanted) -> None:
        path = f"files/{wanted.path}"
        earlier = self._copies.take_from_earlier(wanted)
        if earlier is None:
            self._damaged.add(path)
            self._copies.take_as_it_is(wanted)
        else:
            self._recovered[path] = earlier

    def _small_files(self) -> Iterator[tuple[str, str]]:
        """Everything at the top, and the digest of each. The journal ends with the catalog."""
        catalog = self._draft / CATALOG_FILE
        facts = _facts_of(catalog)
        current = _segment_of(facts)
        yield CATALOG_FILE, sha256_of(catalog)
        later = {
            segment.path.name
            for segment in segments(self._root)
            if segment.first_serial > facts["serial"]
        }
        # The current one, too, begins after the last change as long as nothing is in it.
        for path in sorted(self._root.glob("journal*.jsonl")):
            if path.name in later - {current}:
                continue
            length = facts["journal_bytes"] if path.name == current else None
            with suppress(FileNotFoundError):  # its time was up; the state, below, stands for it
                digest, _ = copy(path, self._draft / path.name, length_bytes=length)
                yield path.name, digest
        for name in SMALL_FILES:
            with suppress(FileNotFoundError):
                yield name, copy(self._root / name, self._draft / name)[0]

    def _is_of_one_moment(self, digests: Container[str]) -> bool:
        """Whether journal and state, which were saved after the catalog, still go with it."""
        facts = _facts_of(self._draft / CATALOG_FILE)
        current = _segment_of(facts)
        if current not in digests:
            if _segment_of(_facts_of(self._root / CATALOG_FILE)) != current:  # its time was up
                return False
            self._damaged.add(current)
        try:
            state = state_of(self._draft)
        except Refused:  # fsck tells of it; the catalog does not need it
            return True
        return state is None or state.serial <= facts["serial"]

    def _take_cache(self) -> None:
        """What mirrors have kept. It heals itself, so it need not be of one moment."""
        source, target = self._root / "cache", self._draft / "cache"
        if not (source / "cache.sqlite").is_file():
            return
        make_private(target)
        with reading_errors():
            _copy_sqlite(source / "cache.sqlite", target / "cache.sqlite")
        for folder in ("files", "lists"):
            for path in sorted((source / folder).rglob("*")):
                if not path.is_file() or path.is_symlink():
                    continue
                copied = target / path.relative_to(source)
                make_private(copied.parent)
                with suppress(FileNotFoundError):  # evicted meanwhile
                    copy(path, copied)

    def _manifest(self, made_by: str, digests: dict[str, str]) -> Manifest:
        catalog = self._draft / CATALOG_FILE
        files = size_bytes = 0
        for wanted in wanted_files(catalog):
            files += wanted.size_bytes is not None
            size_bytes += wanted.size_bytes or 0
        with closing(sqlite3.connect(catalog)) as connection:
            version: int = connection.execute("PRAGMA user_version").fetchone()[0]
            return Manifest(
                made_at=self._now,
                made_by=made_by,
                uuid=fact(connection, "uuid"),
                serial=fact(connection, "serial"),
                catalog_version=version,
                files=files,
                size_bytes=size_bytes,
                damaged=tuple(sorted(self._damaged)),
                digests=digests,
            )

    def _check_room(self, *, may_link: bool) -> None:
        catalog = self._root / CATALOG_FILE
        needed = _SPARE_BYTES + catalog.stat().st_size
        needed += sum(path.stat().st_size for path in self._root.glob("journal*.jsonl"))
        if not may_link:
            before = self._earlier[0].path / CATALOG_FILE if self._earlier else None
            with refusing_damage(catalog):
                wanted = wanted_files(catalog, without=before)
                needed += sum(each.size_bytes or 0 for each in wanted)
        free = shutil.disk_usage(self._destination).free
        if free < needed:
            raise Unavailable(
                f"{self._destination} has room for {free:,} bytes, and the backup needs "
                f"{needed:,}; make room there, or choose another disk",
                full=True,
            )


def _earlier(destination: Path) -> Iterator[Earlier]:
    """The backups that are there, the newest first."""
    for backup in reversed(complete_backups(destination)):
        yield Earlier(backup.path, frozenset(backup.manifest.damaged))


def _copy_catalog(path: Path, target: Path) -> None:
    with refusing_damage(path):
        with closing(connect(path)) as connection:
            check_version(connection, path)
        _copy_sqlite(path, target)
    with closing(sqlite3.connect(target)) as connection, connection:
        connection.execute("DELETE FROM removals")  # what was removed does not come along


def _copy_sqlite(path: Path, target: Path) -> None:
    """One view of a file that may be written to. Reads all of it: no damage gets through unseen."""
    with closing(connect(path)) as connection:
        connection.execute("VACUUM INTO ?", (str(target),))
    target.chmod(0o600)


def _facts_of(catalog: Path) -> dict[str, Any]:
    """What a catalog says of itself."""
    with reading_errors(), closing(connect(catalog)) as connection:
        return dict(connection.execute("SELECT name, value FROM facts"))


def _segment_of(facts: Mapping[str, Any]) -> str:
    """The segment of the journal that goes with a catalog."""
    return str(facts.get("journal_name", FIRST_SEGMENT))
