"""Takes an import back: what it added goes, unless something else needs it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from simpleindex.gap.bundle.site_ledger import Import, TakenFile, imports
from simpleindex.gap.bundle.taking import searched_indexes, yank_reason
from simpleindex_storage import upkeep
from simpleindex_storage.errors import NotStored, Refused
from simpleindex_storage.model import Actor, DistFile
from simpleindex_storage.names import parse_filename
from simpleindex_storage.ports import Change, Snapshot
from simpleindex_storage.store import Store

WHAT = "bundle undo"
"""How the journal names it."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A file that an import added, and that stays."""

    filename: str
    why: str


@dataclass(frozen=True, slots=True)
class Undone:
    """What was taken back, or would be."""

    taken: Import
    removed: tuple[DistFile, ...]
    kept: tuple[Kept, ...]
    gone: tuple[str, ...]
    """Files that somebody had removed already."""
    unyanked: tuple[DistFile, ...]


def import_of(seen: Snapshot, serial: int | None) -> Import:
    """The import of a serial; None: the last that was not undone. Raises NotStored, Refused."""
    known = imports(seen)
    if serial is None:
        found = [each for each in known if each.undone_serial is None]
        if not found:
            why = "every import was undone already" if known else "nothing has been taken in yet"
            raise Refused("nothing to undo", why)
        return found[-1]
    for each in known:
        if each.serial == serial:
            if each.undone_serial is not None:
                raise Refused(
                    f"import {serial}", f"it was undone already, with serial {each.undone_serial}"
                )
            return each
    raise NotStored(f"import {serial}", "`simpleindex-server bundle history` names all")


def undo(store: Store, serial: int, *, by: Actor) -> Undone:
    """Remove what an import added, and take back what it yanked, in one change.

    What other imports brought or assumed as well stays until they are undone; and what somebody
    has put in since stays. Raises NotStored, Refused, Unavailable: then nothing was done. Bytes are
    deleted when the change is on the disk; what a crash keeps from it is deleted at the next start.
    """
    undone = store.catalog.change(lambda change: _undo(change, serial), by=by, what=WHAT)
    store.sweep_if_possible()
    return undone


def look(seen: Snapshot, serial: int) -> Undone:
    """What `undo` would take back as things stand, and what it would leave. Changes nothing.

    Raises NotStored, Refused.
    """
    taken = import_of(seen, serial)
    needed = dict(_needed_by_others(seen, taken))
    removed: list[DistFile] = []
    kept: list[Kept] = []
    gone: list[str] = []
    for added in taken.added:
        stored = seen.file_named(taken.index, parse_filename(added.filename).key)
        if stored is None:
            gone.append(added.filename)
        elif stored.sha256 != added.sha256:
            kept.append(Kept(added.filename, "it was replaced since, and has other bytes"))
        elif not _came_with(stored, taken):
            kept.append(Kept(added.filename, "it was removed and put in again since"))
        elif added.sha256 in needed:
            kept.append(Kept(added.filename, f"import {needed[added.sha256]} needs it, too"))
        else:
            removed.append(stored)
    going = {stored.place for stored in removed}
    for stored in _left_for(seen, taken):
        if stored.sha256 not in needed and stored.place not in going:
            going.add(stored.place)
            removed.append(stored)
    unyanked = tuple(it for it in _to_unyank(seen, taken) if it.place not in going)
    return Undone(taken, tuple(removed), tuple(kept), tuple(gone), unyanked)


def still_here(seen: Snapshot, taken: Import) -> tuple[str, ...]:
    """Which of the files that an import added are there since then."""
    found = (
        (it, seen.file_named(taken.index, parse_filename(it.filename).key)) for it in taken.added
    )
    return tuple(
        it.filename
        for it, stored in found
        if stored is not None and stored.sha256 == it.sha256 and _came_with(stored, taken)
    )


def _undo(change: Change, serial: int) -> Undone:
    found = look(change, serial)
    for stored in found.removed:
        upkeep.remove_file(change, stored)
    for stored in found.unyanked:
        change.yank_file(stored, None)
    change.undo_delivery(serial)
    return found


def _came_with(stored: DistFile, taken: Import) -> bool:
    """Whether a file is there since an import, and not since somebody put it in again."""
    return any(entry.when == taken.taken_at for entry in stored.log)


def _left_for(seen: Snapshot, taken: Import) -> Iterator[DistFile]:
    """What imports added that were undone before, and what stayed for the sake of this one."""
    needed = taken.brought | taken.assumed
    for other in imports(seen):
        if other.undone_serial is None or other.serial == taken.serial:
            continue
        for added in other.added:
            if added.sha256 not in needed:
                continue
            stored = seen.file_named(other.index, parse_filename(added.filename).key)
            is_same = stored is not None and stored.sha256 == added.sha256
            if stored is not None and is_same and _came_with(stored, other):
                yield stored


def _needed_by_others(seen: Snapshot, taken: Import) -> Iterator[tuple[str, int]]:
    """Files by their SHA-256, and the first other import that brought or assumed them.

    An index that has this one among its bases assumes what it finds here.
    """
    for each in reversed(imports(seen)):
        if each.serial == taken.serial or each.undone_serial is not None:
            continue
        if each.index == taken.index:
            claims = each.brought | each.assumed
        elif taken.index in searched_indexes(seen, each.index):
            claims = each.assumed
        else:
            continue
        for sha256 in claims:
            yield sha256, each.serial


def _to_unyank(seen: Snapshot, taken: Import) -> Iterator[DistFile]:
    """What somebody has yanked for another reason since stays so."""
    reasons = _reasons(taken)
    for yanked in taken.yanked:
        stored = seen.file_named(taken.index, parse_filename(yanked.filename).key)
        if stored is None or stored.sha256 != yanked.sha256 or stored.yanked is None:
            continue
        if stored.yanked == reasons.get(yanked):
            yield stored


def _reasons(taken: Import) -> dict[TakenFile, str]:
    notices: Sequence[tuple[TakenFile, str]] = [
        (TakenFile(notice.name.text, notice.sha256), yank_reason(notice))
        for bundle in taken.bundles
        for notice in bundle.manifest.yanks
    ]
    return dict(notices)
