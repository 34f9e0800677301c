"""What a dump says, as records. All that is odd in it was sorted out when it was read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from simpleindex_storage.model import (
    AttachmentKind,
    Fields,
    IndexSettings,
    LogEntry,
    Project,
    User,
)
from simpleindex_storage.names import IndexName, ProjectName

DATA_FILE = "dataindex.json"
"""What makes a folder a dump."""
SIDE_FILE = "simpleindex.json"
"""What we know beyond that; devpi-import does not look at it."""
UNUSABLE_HASH = "unusable"
"""Of a user who has no password that we can check."""


@dataclass(frozen=True, slots=True)
class Note:
    """Something that the admin should know of a dump, or of what became of it."""

    subject: str
    text: str
    is_lost: bool = True
    """Whether something was not taken over; else it is a remark."""


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What we ourselves knew of a file when we wrote the dump."""

    uploaded_at: datetime
    uploaded_by: str
    log: tuple[LogEntry, ...]
    yanked: str | None = None
    has_signature: bool = False
    """`FILE.asc` lies beside it."""
    has_provenance: bool = False
    """`FILE.provenance` lies beside it."""


@dataclass(frozen=True, slots=True)
class DumpedFile:
    """A file of a release."""

    relpath: str
    """Below the dump, with forward slashes; never leads out of it."""
    filename: str
    promised: Mapping[str, str]
    """Digests by algorithm: sha256, md5."""
    uploaded_at: datetime | None
    uploaded_by: str
    log: tuple[LogEntry, ...]
    fields: Fields = field(default_factory=dict)
    yanked: str | None = None
    has_signature: bool = False
    has_provenance: bool = False


@dataclass(frozen=True, slots=True)
class DumpedAttachment:
    """Documentation of a release, or the result of a test."""

    kind: AttachmentKind
    relpath: str
    version: str
    promised: Mapping[str, str]
    uploaded_at: datetime | None
    uploaded_by: str
    log: tuple[LogEntry, ...]
    filename: str
    about: str = ""
    """The name of the file that was tested."""


@dataclass(frozen=True, slots=True)
class BareRelease:
    """A release that was registered and has no files."""

    version: str
    display_name: str
    fields: Fields


@dataclass(frozen=True, slots=True)
class DumpedProject:
    """A project of one index, under all its spellings."""

    name: ProjectName
    files: tuple[DumpedFile, ...] = ()
    attachments: tuple[DumpedAttachment, ...] = ()
    bare_releases: tuple[BareRelease, ...] = ()
    facts: Project | None = None
    """As we ourselves knew it when we wrote the dump."""


@dataclass(frozen=True, slots=True)
class DumpedIndex:
    """An index with all that lies in it."""

    name: IndexName
    settings: IndexSettings
    projects: tuple[DumpedProject, ...] = ()
    automatic: bool = False


@dataclass(frozen=True, slots=True)
class Dump:
    """Everything that can be taken from a dump, and notes of what cannot."""

    folder: Path
    """What the relpaths are relative to."""
    source: str
    """Who wrote it, for people: `devpi-server 6.20.3`."""
    users: tuple[User, ...] = ()
    indexes: tuple[DumpedIndex, ...] = ()
    """Bases before those that are built on them, as far as there is such an order."""
    notes: tuple[Note, ...] = ()

    @property
    def files_count(self) -> int:
        """Of files that installers take."""
        return sum(len(project.files) for index in self.indexes for project in index.projects)
