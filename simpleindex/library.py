"""What a client sees of an index: its own files, then those of its bases, in order.

Pure functions over a snapshot of the catalog. Resolution is devpi's: breadth first through
`bases`, each index once (so circles are harmless), missing bases skipped, mirrors last.
"""

from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass

from packaging.version import Version

from simpleindex.wire.simple_page import (
    PageDepth,
    PageFile,
    ProjectListPage,
    ProjectPage,
    provenance_url,
    relative_url,
)
from simpleindex_storage.errors import NotStored
from simpleindex_storage.model import DistFile, Index, MirrorSettings, Project, ProjectStatus
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


def chain(seen: Snapshot, name: IndexName) -> tuple[Index, ...]:
    """The index and its bases, in the order in which they are searched. Raises NotStored."""
    first = seen.index(name)
    if first is None:
        raise NotStored(f"index {name}")
    found: dict[IndexName, Index] = {}
    waiting = deque([first])
    while waiting:
        index = waiting.popleft()
        if index.name in found:
            continue
        found[index.name] = index
        if not isinstance(index.settings, MirrorSettings):
            bases = (seen.index(base) for base in index.settings.bases)
            waiting.extend(base for base in bases if base is not None)
    mirrors_last = sorted(found.values(), key=_is_mirror)
    return tuple(mirrors_last)


def shown_project(seen: Snapshot, name: IndexName, project: ProjectName) -> Sight:
    """What an index shows of a project. Raises NotStored for an unknown index or project.

    A project that is known and has no files is shown empty, which tells installers something
    else than one that never was.
    """
    entries = _entries(seen, name, project)
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
        fingerprint=_fingerprint(entries),
        serial=max(serials),
        status=known[0].status,
        status_reason=known[0].status_reason,
    )


def fingerprint_of_project(seen: Snapshot, name: IndexName, project: ProjectName) -> Hashable:
    """The fingerprint that `shown_project` would give, without reading the files."""
    return _fingerprint(_entries(seen, name, project))


def shown_projects(seen: Snapshot, name: IndexName) -> ProjectListPage:
    """The projects of an index and its bases. Raises NotStored."""
    indexes = chain(seen, name)
    _require_stage(indexes[0])
    serials: dict[ProjectName, int] = {}
    for index in indexes:
        for project in seen.projects(index.name):
            serials[project.name] = max(project.serial, serials.get(project.name, 0))
    return ProjectListPage(dict(sorted(serials.items())), seen.serial)


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
    seen: Snapshot, name: IndexName, project: ProjectName
) -> list[tuple[Index, Project | None]]:
    """What each index of the chain knows of a project."""
    indexes = chain(seen, name)
    _require_stage(indexes[0])
    return [(index, seen.project(index.name, project)) for index in indexes]


def _fingerprint(entries: list[tuple[Index, Project | None]]) -> Hashable:
    return tuple((index.name, index.serial, entry and entry.serial) for index, entry in entries)


def _require_stage(index: Index) -> None:
    if _is_mirror(index):
        raise NotStored(
            f"page of {index.name}", "this version does not fetch from other indexes yet"
        )


def _is_mirror(index: Index) -> bool:
    return isinstance(index.settings, MirrorSettings)
