"""How long the audit log is kept: old segments of the journal go, once `state.json` covers them.

The journal is what a catalog is rebuilt from as well. So before a segment goes, all that the
catalog knows is written to `state.json`, which stands for all lines up to its serial. Whatever
crashes in between, state and journal together tell everything.
"""

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from .durable import sync_folder, unavailable_on_failure
from .errors import Refused
from .journal import Segment, segments
from .journal_lines import first_entry, last_entry
from .locks import FileLock
from .ports import Catalog
from .state_file import State, state_of, write_state

_SEGMENTS_KEPT = 10
"""Into how many segments the time for which lines are kept is cut."""
_SEGMENT_DAYS_MIN = 1.0


@dataclass(frozen=True, slots=True)
class Trimmed:
    """What became of the old part of the log."""

    removed: tuple[str, ...] = ()
    """Names of files."""
    state_serial: int | None = None
    """Up to which serial `state.json` stands for lines that are gone; None: all are there."""


def trim_log(folder: Path, catalog: Catalog, log_days: int, now: datetime) -> Trimmed:
    """Remove the segments of which every line is older than `log_days` days; 0: keep all.

    Blocks, for some seconds where `state.json` has to be written for a large catalog; the catalog
    can be read and written meanwhile. To be called every day or so; of several processes one does
    the work. A line goes up to a tenth of the time later than it might. Raises Refused,
    Unavailable.
    """
    with unavailable_on_failure("the journal cannot be trimmed"):
        # The file stays: whoever has just opened it may get the lock next.
        lock = FileLock(folder / "log.lock")
        try:
            if log_days and lock.try_keep():
                _begin_segment_if_due(folder, catalog, log_days, now)
                return _remove(folder, catalog, now - timedelta(days=log_days), now)
            return Trimmed(state_serial=_covered(folder))
        finally:
            lock.close()


def _begin_segment_if_due(folder: Path, catalog: Catalog, log_days: int, now: datetime) -> None:
    with catalog.snapshot() as seen:
        present = folder / seen.journal_name
    period = timedelta(days=max(log_days / _SEGMENTS_KEPT, _SEGMENT_DAYS_MIN))
    first = first_entry(present) if present.exists() else None
    if first is not None and first.time <= now - period:
        catalog.begin_segment()


def _remove(folder: Path, catalog: Catalog, before: datetime, now: datetime) -> Trimmed:
    with catalog.snapshot() as seen:
        present = seen.journal_name
    old: list[Segment] = []
    for segment in segments(folder):
        # What cannot be read is kept: nobody can say how old it is, or that the state covers it.
        last = last_entry(segment.path) if segment.path.name != present else None
        if last is None or last.time >= before:
            break
        old.append(segment)
    if old:
        # Also where the one that is there covers them, by its first line: of the others nobody
        # knows, and these lines are about to be the only ones that tell the same.
        _write_state(folder, catalog, now)
    removed = []
    for segment in old:
        with suppress(PermissionError):  # Windows: somebody reads it; it goes the next time
            segment.path.unlink()
            removed.append(segment.path.name)
    sync_folder(folder)
    return Trimmed(tuple(removed), _covered(folder))


def _write_state(folder: Path, catalog: Catalog, now: datetime) -> None:
    with catalog.snapshot() as seen:
        write_state(folder, State(seen.serial, catalog.uuid, now), seen.all_facts())


def _covered(folder: Path) -> int | None:
    try:
        state = state_of(folder)
    except Refused:  # damaged: it covers nothing, and is written anew
        return None
    return None if state is None else state.serial
