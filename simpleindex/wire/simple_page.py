"""The pages of the simple repository API as records: what both forms, HTML and JSON, show.

They stand for our own pages and for those of other indexes alike. Times are aware and in UTC;
digests are lower-case hex, and so are the names of their algorithms.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NewType
from urllib.parse import quote

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from simpleindex_storage.model import ProjectStatus, Sidecar
from simpleindex_storage.names import FilePlace, IndexName, ProjectName

API_VERSION = "1.4"
"""Of the simple API: with project status, and without the namespaces of 1.5.

The HTML form stays at it for good (PEP 833).
"""

_REQUIRES_PYTHON_CHARACTERS_MAX = 1000
"""More than anybody has use for, and too few for a number that Python's `int` would refuse."""

PageDepth = NewType("PageDepth", int)
"""How many levels a page's relative links stand below the URL of its index, `/user/index/`."""


@dataclass(frozen=True, slots=True)
class PageFile:
    """One file on the page of a project. None means that it is not known."""

    filename: str
    url: str
    """Relative to the page or absolute; quoted, and without a fragment."""
    hashes: Mapping[str, str]
    """By algorithm. May be empty."""
    size_bytes: int | None = None
    uploaded_at: datetime | None = None
    requires_python: str | None = None
    """As the metadata says it, valid or not."""
    metadata: Mapping[str, str] | bool | None = None
    """Digests of the core metadata at `url` plus `.metadata`. True: it is there, but no digest is
    known. False: there is none."""
    yanked: str | None = None
    """None: not yanked. Any text, also an empty one: yanked, for that reason."""
    gpg_sig: bool | None = None
    """Whether there is a signature at `url` plus `.asc`."""
    provenance: str | None = None
    """An absolute URL whose origin is secure: PEP 740 allows no other."""


@dataclass(frozen=True, slots=True)
class ProjectPage:
    """One project: its files, in the order in which they are shown."""

    name: ProjectName
    files: tuple[PageFile, ...]
    versions: tuple[str, ...]
    """Each once; those of all files, and maybe some without files."""
    status: ProjectStatus = ProjectStatus.ACTIVE
    status_reason: str | None = None
    serial: int | None = None
    """Of the last change to the page, for mirrors that follow the index."""

    @property
    def offered_files(self) -> tuple[PageFile, ...]:
        """What clients may see: PEP 792 forbids to offer any file of a quarantined project."""
        return () if self.status is ProjectStatus.QUARANTINED else self.files

    @property
    def shows_status(self) -> bool:
        """Whether there is more to say than that the project is active, which goes unsaid."""
        return self.status is not ProjectStatus.ACTIVE or bool(self.status_reason)


@dataclass(frozen=True, slots=True)
class ProjectListPage:
    """The projects of an index, in the order in which they are shown."""

    projects: Mapping[ProjectName, int | None]
    """With the serial of the last change to each, where it is known."""
    serial: int | None = None
    """Of the last change to the list or to any of its projects."""


def page_depth(path_below_index: str) -> PageDepth:
    """The depth of the page at a path as it was asked for: 2 for `+simple/demo/`, 0 for `demo`.

    A slash at the end counts: without it, clients resolve links one level further up.
    """
    return PageDepth(path_below_index.count("/"))


def relative_url(place: FilePlace, *, index: IndexName, depth: PageDepth) -> str:
    """The link to a stored file on a page of `index`.

    Relative, so that it holds behind every host name, prefix and proxy.
    """
    prefix = place.sha256_prefix
    # Some servers and proxies take a literal `+` in a path for a space, so a file name has none;
    # `+f` is devpi's path and keeps its spelling.
    below_index = f"+f/{prefix[:3]}/{prefix[3:]}/{quote(place.filename, safe='!')}"
    if place.index == index:
        return "../" * depth + below_index
    return "../" * (depth + 2) + f"{place.index}/{below_index}"


def provenance_url(place: FilePlace, root_url: str) -> str:
    """Where the provenance of a stored file is; absolute, as PEP 740 demands."""
    folder = place.path.removesuffix(place.filename)
    return f"{root_url}/{folder}{quote(place.filename, safe='!')}{Sidecar.PROVENANCE}"


def valid_requires_python(files: Iterable[PageFile]) -> frozenset[str]:
    """Those values of Requires-Python that are fit to be shown; each is examined once.

    Installers take an invalid one for no limit at best, so it is left out; so is an empty one,
    with which old tools say that there is none.
    """
    values = {file.requires_python for file in files}
    return frozenset(value for value in values if value and _is_specifier(value))


def _is_specifier(text: str) -> bool:
    if len(text) > _REQUIRES_PYTHON_CHARACTERS_MAX:
        return False
    try:
        return len(SpecifierSet(text)) > 0
    except InvalidSpecifier:
        return False
