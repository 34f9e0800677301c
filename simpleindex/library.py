"""What a client sees of an index: its own files, then those of its bases, in order.

Pure functions over a snapshot of the catalog. Resolution is devpi's: breadth first through
`bases`, each index once (so circles are harmless), missing bases skipped, mirrors last.
"""

from collections import deque
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

from packaging.version import Version

from simpleindex import whitelist
from simpleindex.access import is_public
from simpleindex.reading import ANY_READER, Reader
from simpleindex.wire.devpi_releases import StoredRelease
from simpleindex.wire.simple_page import (
    PageDepth,
    PageFile,
    ProjectListPage,
    ProjectPage,
    provenance_url,
    relative_url,
)
from simpleindex_storage.errors import NotStored
from simpleindex_storage.model import (
    Attachment,
    DistFile,
    Index,
    MirrorSettings,
    Project,
    ProjectStatus,
    Release,
)
from simpleindex_storage.names import IndexName, ProjectName
from simpleindex_storage.ports import Snapshot


@dataclass(frozen=True, slots=True)
class Sight:
    """What an index shows of a project, before it is made into a page."""

    index: IndexName
    project: ProjectName
    files: tuple[DistFile, ...]
    """A file name that several indexes have is here once: from the first of them."""
    fingerprint: Hashable
    """Equal for two sights of one project that show the same."""
    serial: int
    """Of the last change to any of it."""
    status: ProjectStatus
    """In the nearest index that has the project."""
    status_reason: str | None

    @property
    def has_provenance(self) -> bool:
        """Whether a page of it depends on the URL under which the client sees us."""
        return any(file.provenance_sha256 is not None for file in self.files)


@dataclass(frozen=True, slots=True)
class View:
    """An index and its bases, in the order in which they are searched, as one reader sees them."""

    indexes: tuple[Index, ...]
    hidden: tuple[Index, ...] = ()
    """Bases that this reader may not read, and what lies behind them. Nothing of them is shown,
    but their projects keep mirrors out as they do for others, or a stranger's would be shown."""

    @property
    def name(self) -> IndexName:
        """Of the index itself."""
        return self.indexes[0].name

    @property
    def restricted(self) -> tuple[IndexName, ...]:
        """Those that not everybody sees. Two readers who see the same of these see the same."""
        return tuple(index.name for index in self.indexes if not is_public(index.settings))

    @property
    def is_public(self) -> bool:
        """Whether everybody sees it so."""
        return not self.hidden and not self.restricted


def look(
    seen: Snapshot,
    name: IndexName,
    reader: Reader = ANY_READER,
    project: ProjectName | None = None,
) -> View:
    """The index and its bases, as far as a reader may see them, for one project or altogether.

    Raises NotStored; Forbidden, NotAuthenticated for the index itself; WhoIsAsking.
    """
    first = seen.index(name)
    if first is None:
        raise NotStored(f"index {name}")
    reader.require(first, project)
    unreadable: list[Index] = []

    def is_shown(index: Index) -> bool:
        if index is first or reader.may_read(index, project):
            return True
        unreadable.append(index)
        return False

    found = _chain(seen, [first], is_shown)
    behind = _chain(seen, unreadable, lambda index: index.name not in found)
    mirrors_last = sorted(found.values(), key=_is_mirror)
    return View(tuple(mirrors_last), tuple(behind.values()))


def _chain(
    seen: Snapshot, first: Sequence[Index], goes_on: Callable[[Index], bool]
) -> dict[IndexName, Index]:
    """Indexes and their bases, breadth first, each once; not those at which it does not go on."""
    found: dict[IndexName, Index] = {}
    waiting, met = deque(first), set[IndexName]()
    while waiting:
        index = waiting.popleft()
        if index.name in met:
            continue
        met.add(index.name)
        if not goes_on(index):
            continue
        found[index.name] = index
        if not isinstance(index.settings, MirrorSettings):
            bases = (seen.index(base) for base in index.settings.bases)
            waiting.extend(base for base in bases if base is not None)
    return found


def shown_project(seen: Snapshot, view: View, project: ProjectName) -> Sight:
    """What is seen of a project. Raises NotStored.

    A project that is known and has no files is shown empty, which tells installers something
    else than one that never was.
    """
    name, entries = view.name, _entries(seen, view, project)
    if all(entry is None for _, entry in entries):
        raise NotStored(f"project {project} in {name}")
    files: dict[str, DistFile] = {}
    for index, entry in entries:
        # What is quarantined in a base is not offered through any index.
        if entry is not None and entry.status is not ProjectStatus.QUARANTINED:
            for file in seen.files(index.name, project):
                files.setdefault(file.key, file)
    known = [entry for _, entry in entries if entry is not None]
    serials = [index.serial for index, _ in entries] + [entry.serial for entry in known]
    return Sight(
        index=name,
        project=project,
        files=tuple(files.values()),
        fingerprint=_fingerprint(view, entries),
        serial=max(serials),
        status=known[0].status,
        status_reason=known[0].status_reason,
    )


def fingerprint_of_project(seen: Snapshot, view: View, project: ProjectName) -> Hashable:
    """The fingerprint that `shown_project` would give, without reading the files."""
    return _fingerprint(view, _entries(seen, view, project))


def require_list(view: View) -> None:
    """Raises NotStored for an index that has no list of its projects."""
    _require_stage(view.indexes[0])


def shown_projects(seen: Snapshot, view: View) -> ProjectListPage:
    """The projects of an index and its bases. Raises NotStored."""
    require_list(view)
    serials: dict[ProjectName, int] = {}
    for index in view.indexes:
        for project in seen.projects(index.name):
            serials[project.name] = max(project.serial, serials.get(project.name, 0))
    return ProjectListPage(dict(sorted(serials.items())), seen.serial)


def shown_releases(
    seen: Snapshot, view: View, project: ProjectName, *, with_bases: bool = True
) -> tuple[tuple[StoredRelease, ...], ...]:
    """All releases of a project, also those without files; each as its indexes have it.

    The nearest index comes first. `1.0` and `1.0.0` are one release (PEP 440), which has the
    spelling that came first. Raises NotStored if no index of the chain has the project.
    """
    found: dict[Version, list[StoredRelease]] = {}
    for index, entry in _readable_entries(seen, view, project, with_bases):
        releases = seen.releases(index, project)
        for version, stored in _stored(seen, entry, releases).items():
            found.setdefault(version, []).append(stored)
    return tuple(tuple(each) for each in found.values())


def shown_release(
    seen: Snapshot, view: View, project: ProjectName, version: Version
) -> tuple[StoredRelease, ...]:
    """One release, as `shown_releases` has it; descriptions of others are not read.

    Raises NotStored.
    """
    found: list[StoredRelease] = []
    for index, entry in _readable_entries(seen, view, project, with_bases=True):
        parts: list[DistFile | Attachment] = [*seen.files(index, project)]
        parts += seen.attachments(index, project)
        spellings = [part.version for part in parts if Version(part.version) == version]
        stored = [
            seen.release(index, project, spelling)
            for spelling in dict.fromkeys((*spellings, str(version)))
        ]
        releases = [release for release in stored if release is not None]
        found += _stored(seen, entry, releases).values()
    if not found:
        raise NotStored(f"version {version} of {project} in {view.name}")
    return tuple(found)


def page_of(sight: Sight, depth: PageDepth, secure_url: str | None = None) -> ProjectPage:
    """The page for a URL that lies `depth` levels below its index.

    `secure_url` is our root as the client sees it, if its origin is secure: without that, PEP 740
    allows no link to a provenance.
    """
    # PEP 503: who tells of signatures should tell of each file whether it has one.
    tells_signatures = any(file.signature_sha256 is not None for file in sight.files)
    files = tuple(
        PageFile(
            filename=file.filename,
            url=relative_url(file.place, index=sight.index, depth=depth),
            hashes={"sha256": file.sha256},
            size_bytes=file.size_bytes,
            uploaded_at=file.uploaded_at,
            requires_python=file.requires_python,
            metadata=_metadata_digests(file),
            yanked=file.yanked,
            gpg_sig=file.signature_sha256 is not None if tells_signatures else None,
            provenance=provenance_url(file.place, secure_url)
            if secure_url is not None and file.provenance_sha256 is not None
            else None,
        )
        for file in sight.files
    )
    versions = sorted({file.version for file in sight.files}, key=Version)
    return ProjectPage(
        name=sight.project,
        files=files,
        versions=tuple(versions),
        status=sight.status,
        status_reason=sight.status_reason,
        serial=sight.serial,
    )


def _metadata_digests(file: DistFile) -> dict[str, str] | None:
    """Installers may take a dependency list from a wheel's metadata; from an sdist's only in part.

    So that of sdists is stored and not announced (its Dynamic fields are for a build to fill).
    """
    if file.metadata_sha256 is None or not file.filename.endswith(".whl"):
        return None
    return {"sha256": file.metadata_sha256}


def _entries(
    seen: Snapshot, view: View, project: ProjectName
) -> list[tuple[Index, Project | None]]:
    """What each index of the chain knows of a project."""
    _require_stage(view.indexes[0])
    known = {index.name: seen.project(index.name, project) for index in view.indexes}
    # Mirrors come last, so that what is hidden stands before them all.
    chain = sorted((*view.indexes, *view.hidden), key=_is_mirror)

    def has_project(index: IndexName) -> bool:
        entry = known[index] if index in known else seen.project(index, project)
        return entry is not None

    admitted = whitelist.admitted(chain, project, has_project)
    return [(index, known[index.name]) for index in admitted if index.name in known]


def _readable_entries(
    seen: Snapshot, view: View, project: ProjectName, with_bases: bool
) -> list[tuple[IndexName, Project]]:
    """The indexes whose releases are shown, nearest first. Raises NotStored."""
    name = view.name
    known = [(index.name, it) for index, it in _entries(seen, view, project) if it is not None]
    if not known:
        raise NotStored(f"project {project} in {name}")
    # What is quarantined in a base is not offered through any index; its own tells its
    # maintainers what they may want to remove, though nobody gets the files.
    return [
        (index, entry)
        for index, entry in known
        if index == name or (with_bases and entry.status is not ProjectStatus.QUARANTINED)
    ]


def _stored(
    seen: Snapshot, entry: Project, releases: Sequence[Release]
) -> dict[Version, StoredRelease]:
    """Releases of one index with what belongs to them, in order of arrival."""
    files: dict[Version, list[DistFile]] = {}
    for file in seen.files(entry.index, entry.name):
        files.setdefault(Version(file.version), []).append(file)
    attachments: dict[Version, list[Attachment]] = {}
    for attachment in seen.attachments(entry.index, entry.name):
        attachments.setdefault(Version(attachment.version), []).append(attachment)
    found: dict[Version, StoredRelease] = {}
    for release in releases:
        version = Version(release.version)
        if version not in found:
            found[version] = StoredRelease(
                release,
                entry.display_name,
                tuple(files.get(version, ())),
                tuple(attachments.get(version, ())),
            )
    return found


def _fingerprint(view: View, entries: list[tuple[Index, Project | None]]) -> Hashable:
    known = tuple((index.name, index.serial, entry and entry.serial) for index, entry in entries)
    return known, tuple(index.name for index in view.hidden)


def _require_stage(index: Index) -> None:
    if _is_mirror(index):
        raise NotStored(
            f"page of {index.name}", "this version does not fetch from other indexes yet"
        )


def _is_mirror(index: Index) -> bool:
    return isinstance(index.settings, MirrorSettings)
