"""The catalog, made anew from `state.json` and the journal: every change is done once more.

Serials, order of arrival and times are those of the first time, so that all pages are the same,
byte for byte. The present catalog is not needed, and is kept under another name.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import zip_longest
from pathlib import Path

from simpleindex_storage import catalog_sql as sql
from simpleindex_storage import upkeep
from simpleindex_storage.durable import unavailable_on_failure
from simpleindex_storage.errors import Refused, StoreError
from simpleindex_storage.journal import segments
from simpleindex_storage.journal_lines import Entry, Line, lines_of
from simpleindex_storage.model import Actor, JsonValue
from simpleindex_storage.names import FilePlace, UserName
from simpleindex_storage.ports import Change
from simpleindex_storage.records import time_text
from simpleindex_storage.sqlite_file import CATALOG_FILE, Standing, standing_of
from simpleindex_storage.state_file import STATE_FILE, State, facts_of, state_of

from .beginning import draft_journal
from .draft import DraftCatalog, alone, draft_catalog
from .replay import replay
from .stored import missing_places, unknown_paths


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What a rebuild has done."""

    serial: int
    """Of the catalog, as it is now."""
    lines: int
    """Lines of the journal that were done again."""
    counts: dict[str, int]
    """Users, tokens, indexes, projects, releases, files, attachments."""
    kept: Path | None = None
    """Where the catalog is kept that was there before."""
    has_new_uuid: bool = False
    """Nobody knew the old one: clients take this for another server."""
    unfinished: str = ""
    """The end of the journal that was not taken, as its write was cut short."""
    skipped: tuple[str, ...] = ()
    """What was damaged, and left out."""
    missing: tuple[FilePlace, ...] = ()
    """Recorded files whose bytes are not there."""
    dropped: bool = False
    """Whether those were forgotten."""
    unknown: tuple[str, ...] = ()
    """Files that nothing is recorded of, relative to `files/`."""
    without_password: tuple[UserName, ...] = ()
    """Users of whom no more than the name is known."""


def rebuild(
    root: Path,
    now: datetime,
    *,
    by: Actor,
    skip_damaged: bool = False,
    drop_missing: bool = False,
    progress: Callable[[int, int], object] = lambda done, total: None,
) -> Rebuilt:
    """Make the catalog anew from state and journal; `progress` hears of bytes read, and of all.

    A last line that was cut short belongs to a change that nobody was told of, and is dropped;
    other damage is refused, unless `skip_damaged` leaves it out. Recorded files whose bytes are
    gone stay recorded, unless `drop_missing` forgets them. A crash leaves the old catalog or the
    new one. Raises Refused, also while another process has the directory open, and Unavailable.
    """
    with alone(root), draft_catalog(root) as draft, draft_journal(root) as journal:
        former = standing_of(root / CATALOG_FILE)
        again = _Again(root, draft, skip_damaged, progress)
        again.take_state()
        again.take_journal()
        again.check_nothing_is_lost(former)
        uuid = again.uuid or (former.uuid if former else None)
        if uuid is not None:
            draft.set_fact("uuid", uuid)
        forget_what_is_gone(root, draft.change(again.serial))
        missing = missing_places(root, draft)
        serial = again.serial
        if again.skipped:
            journal.begin(State(serial, draft.uuid, now), draft.seen().all_facts())
        elif again.segment:
            journal.go_on(again.segment, again.size_bytes)
        else:
            journal.begin_behind_state(serial)
        if again.skipped or (drop_missing and missing):
            serial += 1
            change = draft.change(serial)
            if drop_missing:
                _drop(change, missing)
            journal.append(rebuild_line(serial, now, by, change.facts))
        settle(draft, serial, journal.name, journal.size_bytes)
        rebuilt = Rebuilt(
            serial=serial,
            lines=again.lines,
            counts=counts_of(draft),
            has_new_uuid=uuid is None,
            unfinished=again.unfinished,
            skipped=tuple(again.skipped),
            missing=tuple(missing),
            dropped=drop_missing,
            unknown=tuple(unknown_paths(root, draft.change(serial))),
        )
        kept = draft.finish(now)
        journal.put_in_place()
        return replace(rebuilt, kept=kept)


class _Again:
    """Does what the journal tells of, line by line."""

    def __init__(
        self,
        root: Path,
        draft: DraftCatalog,
        skip_damaged: bool,
        progress: Callable[[int, int], object],
    ) -> None:
        self._root = root
        self._draft = draft
        self._skip_damaged = skip_damaged
        self._progress = progress
        self._read_bytes = self._total_bytes = 0
        self._covered = -1
        self.serial = -1
        self.uuid: str | None = None
        self.lines = 0
        self.segment, self.size_bytes = "", 0
        """The last segment, none if the state stands for all, and how far it was taken."""
        self.unfinished = ""
        self.skipped: list[str] = []

    def take_state(self) -> None:
        """Begin with what is in the state file, if there is one."""
        state = state_of(self._root)
        if state is None:
            return
        change = self._draft.change(state.serial)
        for kind, fact in facts_of(self._root):
            serial = fact.get("serial")
            if isinstance(serial, int):  # of an index or a project, which what follows belongs to
                change = self._draft.change(serial)
            try:
                replay(change, kind, fact)
            except StoreError as error:
                raise Refused(STATE_FILE, f"it contradicts itself ({error})") from None
        self.serial = self._covered = state.serial
        self.uuid = state.uuid

    def take_journal(self) -> None:
        """Go on with the segments that tell of what came after it."""
        with unavailable_on_failure("the journal cannot be read"):
            # An empty one is new, or left of a commit that never began it; both are made again.
            found = [each for each in segments(self._root) if each.path.stat().st_size]
            if not found and self.serial < 0:
                raise Refused(
                    str(self._root),
                    "there is no journal; what can be known from the files alone is less "
                    "(--from-files)",
                )
            # Those of which all is in the state file are not read.
            needed = [
                segment
                for segment, following in zip_longest(found, found[1:])
                if following is None or following.first_serial > self.serial + 1
            ]
            self._total_bytes = sum(segment.path.stat().st_size for segment in needed)
            for segment in needed:
                self.segment = segment.path.name
                self._take_segment(segment.path, is_last=segment is needed[-1])

    def check_nothing_is_lost(self, former: Standing | None) -> None:
        """Refuse to forget what the catalog still knows, if it can be read."""
        is_of_ours = former is not None and self.uuid in (None, former.uuid)
        if former is not None and is_of_ours and former.serial > self.serial:
            lost = (
                f"the catalog knows of changes up to serial {former.serial}, the journal only of "
                f"those up to {self.serial}"
            )
            if not self._skip_damaged:
                raise Refused(str(self._root), f"{lost}; --skip-damaged goes on without the rest")
            self.skipped.append(lost)

    def _take_segment(self, path: Path, *, is_last: bool) -> None:
        damaged: Line | None = None
        self.size_bytes = 0
        for line in lines_of(path):
            self._progress(self._read_bytes + line.end, self._total_bytes)
            if damaged is not None:  # and more follows, so it was written once
                self._skip(path, damaged, "it is damaged")
            damaged = None
            if line.entry is None or not line.is_whole:
                damaged = line
                continue
            self._take(path, line, line.entry)
            self.size_bytes = line.end
        self._read_bytes += path.stat().st_size
        if damaged is not None:
            if is_last:
                self.unfinished = f"{path.name}, line {damaged.number}"
            else:
                self._skip(path, damaged, "it is damaged")

    def _take(self, path: Path, line: Line, entry: Entry) -> None:
        if entry.serial <= self._covered:
            return
        if entry.serial <= self.serial:
            self._skip(path, line, f"its serial {entry.serial} was there before")
            return
        if entry.serial > self.serial + 1:
            gap = f"before it the changes {self.serial + 1} to {entry.serial - 1} are missing"
            self._skip(path, line, gap)
        self.serial = entry.serial
        connection = self._draft.connection
        connection.execute("SAVEPOINT entry")
        try:
            self._do(entry)
        except StoreError as error:
            connection.execute("ROLLBACK TO entry")
            self._skip(path, line, f"it does not fit to what was before ({error})")
        connection.execute("RELEASE entry")

    def _do(self, entry: Entry) -> None:
        change = self._draft.change(entry.serial)
        for kind, fact in entry.facts:
            if kind == "server":
                self.uuid = str(fact.get("uuid"))
            replay(change, kind, fact)
        self.lines += 1

    def _skip(self, path: Path, line: Line, why: str) -> None:
        where = f"{path.name}, line {line.number}"
        if not self._skip_damaged:
            raise Refused(
                where, f"{why}; --skip-damaged goes on without it, and tells what was left out"
            )
        self.skipped.append(f"{where}: {why}")


def forget_what_is_gone(root: Path, change: Change) -> None:
    """Of the places to clear, keep in mind only those where something lies."""
    for place in change.removals():
        if not (root / "files" / place.path).exists():
            change.forget_removal(place)


def rebuild_line(
    serial: int, now: datetime, by: Actor, facts: Sequence[JsonValue]
) -> dict[str, JsonValue]:
    """What the journal tells of a rebuild that has changed something."""
    return {
        "serial": serial, "time": time_text(now), "who": by.name, "from": by.origin,
        "what": "rebuild", "facts": list(facts),
    }  # fmt: skip


def settle(draft: DraftCatalog, serial: int, name: str, size_bytes: int) -> None:
    """Say where a catalog stands in its journal."""
    draft.set_fact("serial", serial)
    draft.set_fact("journal_name", name)
    draft.set_fact("journal_bytes", size_bytes)


def counts_of(draft: DraftCatalog) -> dict[str, int]:
    """How many things of each kind there are."""
    return {
        kind: int(draft.connection.execute(sql.COUNT.format(kind)).fetchone()[0])
        for kind in ("users", "tokens", "indexes", "projects", "releases", "files", "attachments")
    }


def _drop(change: Change, missing: Sequence[FilePlace]) -> None:
    for place in missing:
        file = change.file_at(place)
        if file is not None:
            upkeep.remove_file(change, file)
            continue
        attachment = change.attachment_at(place)
        if attachment is not None:  # those of a file go with it
            upkeep.remove_attachment(change, attachment)
