"""The records that both packages speak in: frozen, and without behaviour that touches a disk.

Times are aware and in UTC. Digests are lower-case hex.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple, TypeAlias

from .names import FilePlace, IndexName, ProjectName, UserName

JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"
"""What JSON can say."""

Fields: TypeAlias = Mapping[str, str | tuple[str, ...]]
"""Core metadata as upload forms name it: `requires_dist` has several values, `summary` one."""


CONSOLE = "console"
"""Where verbs of the command line act from."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Somebody who changes something, and from where: both stand in the journal."""

    name: str
    """A user's. Empty: somebody who was not logged in, or the server itself."""
    origin: str | None = None
    """The address of a client, or `CONSOLE`; None where it cannot be known."""


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who can log in and own indexes."""

    name: UserName
    password_hash: str
    """Opaque here; `simpleindex.access` makes and checks it."""
    password_version: int
    """Goes up with each change of the password, which ends all logins made before."""
    created_at: datetime
    modified_at: datetime | None = None
    profile: Mapping[str, JsonValue] = field(default_factory=dict)
    """email, title, description, custom_data: kept for people, without meaning here."""


class TokenAction(StrEnum):
    """What a token may be used for."""

    READ = "read"
    UPLOAD = "upload"


@dataclass(frozen=True, slots=True)
class ApiToken:
    """A secret that stands for a user, within limits. The secret itself is not kept."""

    id: str
    """Names it to people; no secret."""
    user: UserName
    name: str
    """What it is for, in its maker's words."""
    sha256: str
    created_at: datetime
    expires_at: datetime | None = None
    """None: never."""
    actions: tuple[TokenAction, ...] = tuple(TokenAction)
    indexes: tuple[str, ...] = ()
    """Patterns of index names; none: every index."""
    projects: tuple[str, ...] = ()
    """Patterns of normalised project names; none: every project."""


EVERYBODY = (":ANONYMOUS:",)
"""The list of those who may, where everybody may."""


@dataclass(frozen=True, slots=True)
class StageSettings:
    """An index that holds uploads."""

    volatile: bool = True
    """Files may be replaced and removed. False: a file name, once taken, keeps its bytes."""
    bases: tuple[IndexName, ...] = ()
    """Searched after the index itself, in this order. They need not exist (any more)."""
    acl_upload: tuple[str, ...] = ()
    """User names, `:ANONYMOUS:` or `:AUTHENTICATED:`."""
    acl_project_upload: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By pattern of normalised project names: who counts there, instead of `acl_upload`."""
    acl_read: tuple[str, ...] = EVERYBODY
    """Who may see anything of it, besides its owner and whom the other lists name."""
    challenge: bool = False
    """Ask anonymous readers for a password (401). False: refuse them at once (403)."""
    acl_toxresult_upload: tuple[str, ...] = EVERYBODY
    mirror_whitelist: tuple[str, ...] = ()
    """`*`, or projects that a mirror may complete although a private project has their name."""
    mirror_whitelist_inheritance: str = "intersection"
    strict_archives: bool = True
    """Refuse files that some installer can use although something is wrong with them."""
    extra: Mapping[str, JsonValue] = field(default_factory=dict)
    """title, description, custom_data."""


UPLOAD_TIME = "upload-time"
"""The age of a file counts from when its index says that it was uploaded."""
FIRST_SEEN = "first-seen"
"""The age of a file counts from when we saw it first."""


@dataclass(frozen=True, slots=True)
class MirrorSettings:
    """An index that shows another index, and caches it. A setting that is None was never given."""

    volatile: bool = True
    mirror_url: str | None = None
    mirror_web_url_fmt: str | None = None
    mirror_cache_expiry_seconds: int | None = None
    mirror_no_project_list: bool | None = None
    mirror_use_external_urls: bool | None = None
    mirror_ignore_serial_header: bool | None = None
    """Kept for devpi's scripts: no serial of upstream's is ever looked at."""
    mirror_provides_core_metadata: bool | None = None
    """Likewise: every wheel has core metadata here."""
    min_age_days: float | None = None
    """Files are held back until they have this age. None: shown at once."""
    min_age_from: str = UPLOAD_TIME
    """`UPLOAD_TIME` or `FIRST_SEEN`."""
    approved: tuple[str, ...] = ()
    """Releases that are shown at any age: normalised, `demo==1.0`."""
    allow: tuple[str, ...] = ()
    """Projects, patterns of them, and maybe versions: `demo`, `demo<2`, `acme-*`. Unless there
    are none, nothing else is shown."""
    deny: tuple[str, ...] = ()
    """Likewise what is not shown, also if `allow` names it."""
    reserved_names: tuple[str, ...] = ()
    """Patterns of normalised project names that the other index is never asked for."""
    file_hosts: tuple[str, ...] = ()
    """Hosts, or `*.` and a domain, that files may come from besides the other index's own."""
    offline: bool = False
    """Nothing is fetched: only what is there already is shown."""
    acl_read: tuple[str, ...] = EVERYBODY
    challenge: bool = False
    extra: Mapping[str, JsonValue] = field(default_factory=dict)


IndexSettings: TypeAlias = StageSettings | MirrorSettings


@dataclass(frozen=True, slots=True)
class Index:
    """A named set of projects."""

    name: IndexName
    settings: IndexSettings
    automatic: bool = False
    """Made by `add` or by a first upload; a creation by hand may still give it its settings."""
    serial: int = 0
    """Of the last change to the settings. Set by the catalog."""


class ProjectStatus(StrEnum):
    """What the maintainers of a project say of it as a whole (PEP 792)."""

    ACTIVE = "active"
    ARCHIVED = "archived"
    """Takes no uploads."""
    QUARANTINED = "quarantined"
    """Takes no uploads, and its files are offered to nobody."""
    DEPRECATED = "deprecated"


@dataclass(frozen=True, slots=True)
class Project:
    """A project of one index."""

    index: IndexName
    name: ProjectName
    display_name: str
    """The spelling of the last upload."""
    serial: int = 0
    """Of the last change to anything that a page of the project shows. Set by the catalog."""
    status: ProjectStatus = ProjectStatus.ACTIVE
    status_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Release:
    """A version of a project, and what its author says of it."""

    index: IndexName
    project: ProjectName
    version: str
    fields: Fields


class Event(StrEnum):
    """What may have happened to a file, in devpi's words."""

    UPLOAD = "upload"
    PUSH = "push"
    OVERWRITE = "overwrite"


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One event in the history of a file."""

    what: Event
    who: str | None
    """None: somebody who was not logged in, or nobody."""
    when: datetime
    source: IndexName | None = None
    """Of a push: where the file came from."""
    target: IndexName | None = None
    """Where the file came to."""
    count: int | None = None
    """Of an overwrite: how many there were."""


class AttachmentKind(StrEnum):
    """What belongs to a release and is no file that installers take; in devpi's words."""

    DOCUMENTATION = "doczip"
    TOX_RESULT = "toxresult"


@dataclass(frozen=True, slots=True)
class Attachment:
    """Documentation of a release, or the result of a test of one of its files."""

    kind: AttachmentKind
    index: IndexName
    project: ProjectName
    version: str
    place: FilePlace
    """Documentation lies by its own bytes, a result beside the file that was tested."""
    size_bytes: int
    sha256: str
    uploaded_at: datetime
    uploaded_by: str
    file_key: str | None = None
    """The key of the file that was tested."""
    log: tuple[LogEntry, ...] = ()


@dataclass(frozen=True, slots=True)
class Delivery:
    """Files that came together, all of them or none, and what came with them."""

    taken_at: datetime
    taken_by: str
    subject: str
    """What it was, in a few words for people."""
    document: Mapping[str, JsonValue]
    """In the words of who took it in; without meaning here."""
    undone_serial: int | None = None
    """Of the change that has taken it back."""
    serial: int = 0
    """Of the change that took it in. Set by the catalog."""


class Sidecar(StrEnum):
    """What may lie beside a file: under its name, and with this ending, which no file has."""

    METADATA = ".metadata"
    """Core metadata, as in the archive (PEP 658)."""
    SIGNATURE = ".asc"
    """A detached signature in ASCII armour, of GnuPG or its like (PEP 503)."""
    PROVENANCE = ".provenance"
    """Where the file comes from, as JSON (PEP 740)."""


@dataclass(frozen=True, slots=True)
class DistFile:
    """One wheel, sdist or egg of a release."""

    index: IndexName
    project: ProjectName
    version: str
    filename: str
    key: str
    """Equal for two spellings of one file name; unique in the index."""
    size_bytes: int
    sha256: str
    md5: str
    blake2b_256: str
    uploaded_at: datetime
    uploaded_by: str
    requires_python: str | None = None
    metadata_sha256: str | None = None
    """Of the core metadata that is stored beside the file; None where there is none."""
    signature_sha256: str | None = None
    """Likewise of the signature."""
    provenance_sha256: str | None = None
    """Likewise of the provenance."""
    yanked: str | None = None
    """None: not yanked. Any text, also an empty one: yanked, for that reason."""
    findings: tuple[str, ...] = ()
    """The rules of `faults.RULES` that the file breaks, and that its index let pass."""
    log: tuple[LogEntry, ...] = ()
    """Its history, oldest first."""

    @property
    def place(self) -> FilePlace:
        """Where the bytes lie."""
        return FilePlace(self.index, self.sha256[:16], self.filename)

    def sha256_of(self, sidecar: Sidecar) -> str | None:
        """The digest of what lies beside the file; None where there is no such thing."""
        match sidecar:
            case Sidecar.METADATA:
                return self.metadata_sha256
            case Sidecar.SIGNATURE:
                return self.signature_sha256
            case Sidecar.PROVENANCE:
                return self.provenance_sha256


class ListedFile(NamedTuple):
    """What the page of a project shows of a file. A tuple, as there may be many thousands."""

    index_name: IndexName
    version: str
    filename: str
    key: str
    size_bytes: int
    sha256: str
    uploaded_at_text: str
    """As `records.time_text` has it."""
    requires_python: str | None
    metadata_sha256: str | None
    signature_sha256: str | None
    provenance_sha256: str | None
    yanked: str | None

    @property
    def place(self) -> FilePlace:
        """Where the bytes lie."""
        return FilePlace(self.index_name, self.sha256[:16], self.filename)


@dataclass(frozen=True, slots=True)
class Digests:
    """The three digests of the same bytes that upload forms may promise."""

    sha256: str
    md5: str
    blake2b_256: str


@dataclass(frozen=True, slots=True)
class Staged:
    """Bytes that have arrived whole and that no client can see."""

    path: Path
    digests: Digests
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Upload:
    """What a sender says of a file: a client, an upstream index, or a bundle."""

    index: IndexName
    filename: str
    sender: str
    """The user's name; it stands in the log."""
    name: str | None = None
    """The project as the sender names it. None: as the file does."""
    version: str | None = None
    promised: Mapping[str, str] = field(default_factory=dict)
    """Digests by algorithm: sha256, md5, blake2b_256. Each one given is checked."""
    fields: Fields = field(default_factory=dict)
    """Metadata in the sender's words; empty: as the file says."""
    signature: bytes | None = None
    """What lies in `FILE.asc`."""
    provenance: bytes | None = None
    """A provenance object (PEP 740), as JSON. It must speak of this very file."""
    uploaded_at: datetime | None = None
    """None: now."""
    yanked: str | None = None
    """As in `DistFile`, for a file that comes from another index."""
    log: tuple[LogEntry, ...] = ()
    """The history that the file brings along; empty: it begins with this upload."""


class Outcome(StrEnum):
    """What became of an upload that was not refused."""

    ADDED = "added"
    REPLACED = "replaced"
    ALREADY_THERE = "already there"


@dataclass(frozen=True, slots=True)
class Admitted:
    """A file that is in the index now."""

    file: DistFile
    outcome: Outcome
    remarks: tuple[str, ...] = ()
    """What is wrong with a file that was let pass; a sentence for each of its findings."""


@dataclass(frozen=True, slots=True)
class CoreMetadata:
    """What a wheel's METADATA or an sdist's PKG-INFO says."""

    raw: bytes
    """As it lies in the archive, byte for byte: installers compare it with the wheel's own."""
    name: str
    version: str
    requires_python: str | None
    fields: Fields
