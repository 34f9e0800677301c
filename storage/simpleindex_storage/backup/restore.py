"""From a backup to a server directory. The catalog comes last: until then there is none."""

import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from simpleindex_storage.durable import unavailable_on_failure
from simpleindex_storage.errors import Refused
from simpleindex_storage.fsck.check import Check
from simpleindex_storage.fsck.codes import Code, Fault
from simpleindex_storage.sqlite_file import CATALOG_FILE, put_in_place

from .copying import FileCopies, copy, make_private, sha256_of, sync_all
from .folders import Manifest, read_manifest
from .wanted import wanted_files

_DRAFT = f"{CATALOG_FILE}.new"
_OF_THE_JOURNAL = {
    Code.JOURNAL_FILES,
    Code.JOURNAL_GAP,
    Code.JOURNAL_LINE,
    Code.JOURNAL_MISSING,
    Code.JOURNAL_SHORT,
}
"""What the served directory has had as well, if a backup has it: the backup's own are compared."""

_WAYS_ON = "use another backup, or restore what there is with --despite-faults"


@dataclass(frozen=True, slots=True)
class Restored:
    """A server directory that is complete."""

    manifest: Manifest
    linked: int
    copied: int
    faults: tuple[Fault, ...]
    """What fsck finds, and what would not have been restored without being asked to."""


def restore_backup(
    backup: Path,
    root: Path,
    *,
    is_verified: bool = False,
    may_link: bool = False,
    despite_faults: bool = False,
) -> Restored:
    """Make a server directory out of a backup, in a folder that is empty or does not exist.

    `is_verified`: every file is compared with its sha256, not only with its size. `may_link` makes
    second names of the backup's files, which is fast, and lets damage to one be damage to both.
    Raises Refused for a backup that is not complete or has faults, and makes nothing then; and
    Unavailable, which leaves a folder that is no server directory.
    """
    manifest = read_manifest(backup)
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise Refused(
            str(root),
            "a backup is restored into an empty folder; if a restore was broken off here, delete "
            "what it has left",
        )
    if manifest.damaged and not despite_faults:
        raise Refused(
            str(backup),
            f"of its files, {len(manifest.damaged)} were lost or damaged before it was made (the "
            f"first: {manifest.damaged[0]}); {_WAYS_ON}",
        )
    _check_digests(backup, manifest)
    was_there = root.exists()
    with unavailable_on_failure(f"{root} cannot be written"):
        make_private(root)
        root.chmod(0o700)
        make_private(root / "files")
        copies = FileCopies(backup / "files", root / "files", may_link=may_link)
        for wanted in wanted_files(backup / CATALOG_FILE):
            copies.take_unread(wanted)
        for name in manifest.digests:
            copy(backup / name, root / (_DRAFT if name == CATALOG_FILE else name))
        _copy_cache(backup / "cache", root / "cache")
        sync_all()
        faults = _faults(root, manifest, is_quick=not is_verified)
        if faults and not despite_faults:
            _empty(root, was_there=was_there)
            raise Refused(str(backup), _told(faults))
        put_in_place(root / _DRAFT, root / CATALOG_FILE)
    return Restored(manifest, copies.linked, copies.copied, faults)


def _check_digests(backup: Path, manifest: Manifest) -> None:
    for name, promised in manifest.digests.items():
        with unavailable_on_failure(f"{backup / name} cannot be read"):
            actual = sha256_of(backup / name)
        if actual != promised:
            raise Refused(
                str(backup / name), "it has changed since it was saved; use another backup"
            )


def _empty(root: Path, *, was_there: bool) -> None:
    """Take away what was restored into a folder."""
    for path in root.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    if not was_there:
        root.rmdir()


def _copy_cache(source: Path, target: Path) -> None:
    for path in sorted(source.rglob("*")):
        if path.is_file() and not path.is_symlink():
            copied = target / path.relative_to(source)
            make_private(copied.parent)
            copy(path, copied)


def _faults(root: Path, manifest: Manifest, *, is_quick: bool) -> tuple[Fault, ...]:
    """What is wrong that was not so when the backup was made."""
    return tuple(
        fault
        for fault in Check(root, is_quick=is_quick, catalog_name=_DRAFT).faults()
        if fault.kind.is_fault
        and fault.path not in manifest.damaged
        and fault.code not in _OF_THE_JOURNAL
    )


def _told(faults: tuple[Fault, ...]) -> str:
    counted = ", ".join(
        f"{number} x {code}" for code, number in Counter(each.code for each in faults).items()
    )
    return f"it has faults ({counted}; the first: {faults[0].path} {faults[0].what}); {_WAYS_ON}"
