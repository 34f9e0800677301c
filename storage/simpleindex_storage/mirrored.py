"""The records of what is kept of other indexes: pages, files, and lists of names.

All of it can be fetched again. Times are aware and in UTC, digests lower-case hex.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from .names import FilePlace, IndexName, ProjectName


@dataclass(frozen=True, slots=True)
class KeptPage:
    """What an upstream has said of a project."""

    index: IndexName
    project: ProjectName
    source: str
    """Names the upstream that said it, without secrets. Another source: the page is out of date."""
    content: bytes | None
    """Opaque here. None: upstream has no such project."""
    etag: str | None
    last_modified: str | None
    checked_at: datetime
    """When upstream last said or confirmed it."""
    serial: int = 0
    """Of the last change of the content, or of who said it. Set by the cache."""


@dataclass(frozen=True, slots=True)
class PageHead:
    """A page but for its content, which may be long."""

    source: str
    has_content: bool
    etag: str | None
    last_modified: str | None
    checked_at: datetime
    serial: int


@dataclass(frozen=True, slots=True)
class KeptFile:
    """A file of an upstream whose bytes are here."""

    place: FilePlace
    project: ProjectName
    size_bytes: int
    sha256: str
    kept_at: datetime
    used_at: datetime
    """When it was last read; up to a minute behind what other processes know."""


@dataclass(frozen=True, slots=True)
class PartNote:
    """What is to be known of a file that is arriving, to go on with it after a break."""

    size_bytes: int | None
    """Of the whole file; None: nobody has said."""
    validator: str | None
    """What upstream calls this version of the file (ETag or date); None: nothing."""
    url_digest: str
    """Tells whether it comes from the same URL, which may hold secrets."""


@dataclass(frozen=True, slots=True)
class KeptNames:
    """The list of all projects of an upstream, which lies in a file."""

    index: IndexName
    source: str
    count: int
    size_bytes: int
    sha256: str
    """Of the file."""
    etag: str | None
    last_modified: str | None
    checked_at: datetime
    path: Path
    """One name a line, sorted, each once."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What is kept for one index."""

    index: IndexName
    pages: int
    """Projects that upstream has, as far as anybody asked."""
    files: int
    size_bytes: int
    """Of the files, and of what lies beside them."""
    oldest_use_at: datetime | None
    """When the file was last read that has not been read for longest; None: there is none."""


@dataclass(frozen=True, slots=True)
class Evicted:
    """A file that made room, with what lay beside it; or only that."""

    place: FilePlace
    size_bytes: int
    used_at: datetime


@dataclass(frozen=True, slots=True)
class Orphan:
    """Bytes without a record, or a record without its bytes."""

    path: str
    """Below the cache, with forward slashes."""
    size_bytes: int
    """As it lies there, or as it was recorded."""
    is_missing: bool
    """There is a record, but not its bytes."""
