"""What became of a dump that was taken over, piece by piece and as a whole."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from simpleindex_storage.model import Outcome

from .records import Note

WHAT = "import"
"""What the journal calls it."""


@dataclass(frozen=True, slots=True)
class Options:
    """How to take a dump over."""

    is_dry_run: bool = False
    """Look at everything, and change nothing."""
    keep_refused: Path | None = None
    """Where copies of the files go that are refused whatever an index allows."""


@dataclass(slots=True)
class Counts:
    """What became of what is in a dump."""

    users: Counter[Outcome] = field(default_factory=Counter)
    indexes: Counter[Outcome] = field(default_factory=Counter)
    files: Counter[Outcome] = field(default_factory=Counter)
    attachments: Counter[Outcome] = field(default_factory=Counter)
    releases: Counter[Outcome] = field(default_factory=Counter)
    """Those without files."""

    def add(self, other: "Counts") -> None:
        """Count another's too."""
        self.users += other.users
        self.indexes += other.indexes
        self.files += other.files
        self.attachments += other.attachments
        self.releases += other.releases


@dataclass(frozen=True, slots=True)
class Report:
    """What became of a dump: what was taken, and notes of what was not."""

    source: str
    counts: Counts
    notes: tuple[Note, ...]

    @property
    def is_complete(self) -> bool:
        """Whether everything was taken over."""
        return not any(note.is_lost for note in self.notes)


@dataclass(slots=True)
class Done:
    """What one piece of work has come to."""

    counts: Counts = field(default_factory=Counts)
    notes: list[Note] = field(default_factory=list)

    def lost(self, subject: str, text: str) -> None:
        """Something is not taken over."""
        self.notes.append(Note(subject, text))

    def remark(self, subject: str, text: str) -> None:
        """Something is not quite as it was."""
        self.notes.append(Note(subject, text, is_lost=False))
