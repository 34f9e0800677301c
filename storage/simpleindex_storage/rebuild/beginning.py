"""A journal that does not lead to its catalog: it goes on behind a state of that catalog.

    root/state.json.new                    the state, and ...
    root/journal-<first serial>.jsonl.new  the segment behind it, until the catalog is in place

The catalog takes its place first. So whatever stops a rebuild before that leaves journal and state
that go with the catalog that is there. What stops it behind that leaves a catalog that knows more
than they do: the next rebuild refuses to forget it, and the same rebuild, done again, ends it.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path

from simpleindex_storage.durable import free_name, sync_folder, unavailable_on_failure
from simpleindex_storage.journal import Journal, segment_name
from simpleindex_storage.model import JsonValue
from simpleindex_storage.state_file import STATE_FILE, Fact, State, draft_state

_DRAFT = ".new"


class DraftJournal:
    """Where the journal goes on. Of a state and a segment in the making nothing stays by itself."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._is_begun_anew = False
        self.name = ""
        """Of the segment."""
        self.size_bytes = 0

    def go_on(self, name: str, size_bytes: int) -> None:
        """Go on in a segment that is there, behind what was taken of it."""
        self.name, self.size_bytes = name, size_bytes

    def begin_behind_state(self, serial: int) -> None:
        """Make a segment that is empty yet, as all is in the state. Raises Unavailable."""
        journal = Journal(self._root)
        try:
            self.name = journal.begin(serial + 1)
        finally:
            journal.close()

    def begin(self, state: State, facts: Iterable[Fact]) -> None:
        """Let a state stand for all up to its serial, and go on behind it. Raises Unavailable."""
        draft_state(self._root, state, facts)
        self.name, self.size_bytes = segment_name(state.serial + 1), 0
        self._is_begun_anew = True

    def append(self, line: dict[str, JsonValue]) -> None:
        """Let the journal tell what a rebuild has changed. Raises Unavailable."""
        journal = Journal(self._root)
        try:
            journal.use(self.name + _DRAFT if self._is_begun_anew else self.name)
            self.size_bytes = journal.append([line], at_bytes=self.size_bytes)
        finally:
            journal.close()

    def put_in_place(self) -> None:
        """Once the catalog is in place, which names the segment. Raises Unavailable."""
        if not self._is_begun_anew:
            return
        segment = self._root / self.name
        with unavailable_on_failure(
            "the catalog is made anew, but not the state and the journal that go with it; do the "
            "same once more"
        ):
            if segment.exists() and segment.stat().st_size:  # nothing in it could be read
                segment.rename(free_name(self._root, f"{segment.stem}-from-0", segment.suffix))
            for path in (self._root / STATE_FILE, segment):
                path.with_name(path.name + _DRAFT).replace(path)
            sync_folder(self._root)


@contextmanager
def draft_journal(root: Path) -> Iterator[DraftJournal]:
    """Where the journal of a directory is to go on. Raises Unavailable."""
    try:
        with unavailable_on_failure(f"{root} cannot be written"):
            _unlink_drafts(root)
        yield DraftJournal(root)
    finally:
        with suppress(OSError):
            _unlink_drafts(root)


def _unlink_drafts(root: Path) -> None:
    for left in chain(root.glob(STATE_FILE + _DRAFT), root.glob(f"journal-*.jsonl{_DRAFT}")):
        left.unlink()
