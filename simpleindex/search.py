"""What a search in an index and its bases finds. Pure functions over a snapshot of the catalog."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from packaging.version import Version

from simpleindex.library import View
from simpleindex_storage.model import Project, ProjectStatus
from simpleindex_storage.names import IndexName, ProjectName
from simpleindex_storage.ports import Snapshot
from simpleindex_storage.search_text import Found, Term


def search(seen: Snapshot, view: View, terms: Sequence[Term]) -> tuple[Found, ...]:
    """Of each project of the index and its bases the newest release that matches.

    Mirrors are left out: what their projects say of themselves is upstream's to search.
    What a page of the project does not offer is not found: nothing of quarantined projects, and
    nothing that an index says of a release that a nearer one has too.
    """
    newest: dict[ProjectName, Found] = {}
    for found in _offered(seen, view, terms):
        known = newest.get(found.project.name)
        if known is None or Version(found.version) > Version(known.version):
            newest[found.project.name] = found
    return tuple(newest.values())


def _offered(seen: Snapshot, view: View, terms: Sequence[Term]) -> Iterator[Found]:
    nearer: list[IndexName] = []
    for index in view.indexes:
        by_project = groupby(seen.search(index.name, terms), key=lambda found: found.project)
        for project, releases in by_project:
            if not _is_quarantined(seen, project, nearer):
                hidden = _versions(seen, project.name, nearer)
                yield from (found for found in releases if Version(found.version) not in hidden)
        nearer.append(index.name)


def _is_quarantined(seen: Snapshot, project: Project, nearer: Sequence[IndexName]) -> bool:
    """Whether the project is, here or in the nearest index that has it, which decides for all."""
    entries = (seen.project(index, project.name) for index in nearer)
    nearest = next((entry for entry in entries if entry is not None), project)
    return ProjectStatus.QUARANTINED in (project.status, nearest.status)


def _versions(seen: Snapshot, name: ProjectName, indexes: Sequence[IndexName]) -> set[Version]:
    """The releases of which these indexes offer files."""
    found: set[Version] = set()
    for index in indexes:
        entry = seen.project(index, name)
        if entry is not None and entry.status is not ProjectStatus.QUARANTINED:
            found |= {Version(file.version) for file in seen.files(index, name)}
    return found
