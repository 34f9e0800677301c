"""What a client sees of an index: its own files, then those of its bases, in order.

Pure functions over a snapshot of the catalog, and what is known of mirrors. Resolution is devpi's:
breadth first through `bases`, each index once (so circles are harmless), missing bases skipped,
mirrors last. Whatever reads of mirrors may raise UpstreamNeeded.
"""

import heapq
from collections import deque
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import Generic, TypeAlias, TypeVar

from packaging.version import InvalidVersion, Version

from simpleindex import whitelist
from simpleindex.access import is_public
from simpleindex.errors import NothingKnown
from simpleindex.mirror.known import (
    NO_MIRRORS,
    MirroredFile,
    MirrorLook,
    SeenMirrors,
    UpstreamNeeded,
    WantedPage,
    as_dist_file,
)
from simpleindex.reading import ANY_READER, Reader
from simpleindex.wire.devpi_releases import StoredRelease
from simpleindex.wire.simple_page import (
    ProjectListPage,
)
from simpleindex_storage.errors import NotStored, Refused, Unavailable
from simpleindex_storage.model import (
    Attachment,
    DistFile,
    Index,
    ListedFile,
    MirrorSettings,
    Project,
    ProjectStatus,
    Release,
)
from simpleindex_storage.names import IndexName, ProjectName, parse_filename
from simpleindex_storage.ports import Snapshot

File = TypeVar("File", DistFile, ListedFile)

_LISTED_AT_ONCE = 2_000
"""Projects that are read for a long list before others have their turn: some 2 ms."""


@dataclass(frozen=True, slots=True)
class Sight(Generic[File]):
    """What an index shows of a project, before it is made into a page."""

    index: IndexName
    project: ProjectName
    files: tuple[File, ...]
    """A file name that several indexes have is here once: from the first of them."""
    state: "SightState"
    serial: int | None
    """Of the last change to any of it; None where several indexes count, each on its own."""
    status: ProjectStatus
    """In the nearest index that has the project."""
    status_reason: str | None
    mirrored: tuple[MirroredFile, ...] = ()
    """What mirrors add, after the files of the indexes themselves."""
    told_versions: tuple[str, ...] = ()
    """Versions that mirrors tell of, with or without files."""

    @property
    def has_provenance(self) -> bool:
        """Whether a page of it depends on the URL under which the client sees us."""
        return any(file.provenance_sha256 is not None for file in self.files) or any(
            file.known.file.provenance is not None for file in self.mirrored
        )


@dataclass(frozen=True, slots=True)
class SightState:
    """By which it is known whether a page that was made is still true."""

    fingerprint: Hashable
    """Equal for two sights of one project that show the same."""
    valid_until: datetime | None = None
    """When it may change without any change here; None: never."""


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


def shown_project(
    seen: Snapshot, view: View, project: ProjectName, mirrors: SeenMirrors = NO_MIRRORS
) -> Sight[DistFile]:
    """What is seen of a project. Raises NotStored, UpstreamNeeded, NothingKnown.

    A project that is known and has no files is shown empty, which tells installers something
    else than one that never was.
    """
    return _shown(seen, view, project, mirrors, seen.files)


def listed_project(
    seen: Snapshot, view: View, project: ProjectName, mirrors: SeenMirrors = NO_MIRRORS
) -> Sight[ListedFile]:
    """The same, as far as its page shows it, which takes a fraction of the time. As that."""
    return _shown(seen, view, project, mirrors, seen.listed_files)


def dist_files(sight: Sight[DistFile]) -> tuple[DistFile, ...]:
    """All files, as far as enough is known of them to tell of them as of stored ones."""
    told = (as_dist_file(file) for file in sight.mirrored)
    return (*sight.files, *(file for file in told if file is not None))


def _shown(
    seen: Snapshot,
    view: View,
    project: ProjectName,
    mirrors: SeenMirrors,
    read: Callable[[IndexName, ProjectName], tuple[File, ...]],
) -> Sight[File]:
    entries, looks = _known(seen, view, project, mirrors)
    _require_some(view, project, entries, looks)
    files: dict[str, File] = {}
    for index, entry in entries:
        # What is quarantined in a base is not offered through any index.
        if entry is not None and entry.status is not ProjectStatus.QUARANTINED:
            for file in read(index.name, project):
                files.setdefault(file.key, file)
    own = [entry for _, entry in entries if entry is not None]
    pages = [look.page for look in looks if look.page is not None]
    nearest = own[0] if own else pages[0]
    return Sight(
        index=view.name,
        project=project,
        files=tuple(files.values()),
        state=_state(view, entries, looks),
        serial=_serial(view, entries, looks),
        status=nearest.status,
        status_reason=nearest.status_reason,
        mirrored=_mirrored_files(files.keys(), looks),
        told_versions=tuple(version for look in looks for version in _told_versions(look)),
    )


def state_of_project(
    seen: Snapshot, view: View, project: ProjectName, mirrors: SeenMirrors = NO_MIRRORS
) -> SightState:
    """The state that `shown_project` would give, without reading the files. As that."""
    entries, looks = _known(seen, view, project, mirrors)
    _require_some(view, project, entries, looks)
    return _state(view, entries, looks)


def may_be_asked(seen: Snapshot, view: View, project: ProjectName) -> tuple[Index, ...]:
    """The mirrors that may show a project through an index: nothing of ours has its name."""
    return tuple(index for index in _admitted(seen, view, project) if _is_mirror(index))


def list_mirrors(view: View) -> tuple[Index, ...]:
    """The mirrors whose projects are in the list of an index."""
    return tuple(index for index in view.indexes if _is_mirror(index))


def has_more_projects(seen: Snapshot, view: View, than: int) -> bool:
    """Whether the list of an index is longer than that, or may be: what bases share counts twice.

    Without the projects of mirrors. It takes the same time for any longer list.
    """
    count = 0
    for index in view.indexes:
        count += seen.count_projects(index.name, than + 1 - count)
        if count > than:
            return True
    return False


def shown_projects(seen: Snapshot, view: View) -> ProjectListPage:
    """The projects of an index and its bases, without those of mirrors."""
    listed = (own_projects(seen, index.name) for index in view.indexes)
    return ProjectListPage(dict(_merged(listed)), seen.serial)


def own_projects(seen: Snapshot, index: IndexName) -> "Iterator[_Listed]":
    """The projects of an index alone, and the serials of the last changes to them, by name."""
    return _some_at_a_time(lambda after, at_most: seen.listed_projects(index, after, at_most))


def listed_projects(
    snapshot: Callable[[], AbstractContextManager[Snapshot]], view: View
) -> "Iterator[_Listed]":
    """The same names and serials, read while somebody takes them, however long that takes.

    No snapshot is held meanwhile. So what changes while it is read may be told already, or not
    yet; what does not is told once. Raises Unavailable if an index of the view was changed: who
    may read it may have changed too.
    """

    def listed(index: Index) -> Iterator[_Listed]:
        def read(after: str, at_most: int) -> tuple[_Listed, ...]:
            with snapshot() as seen:
                if seen.index(index.name) != index:
                    raise Unavailable(f"{index.name} was changed while its list was being sent")
                return seen.listed_projects(index.name, after, at_most)

        return _some_at_a_time(read)

    return _merged(map(listed, view.indexes))


_Listed: TypeAlias = tuple[ProjectName, int]
"""A project, and the serial of the last change to it."""


def _some_at_a_time(read: Callable[[str, int], tuple[_Listed, ...]]) -> Iterator[_Listed]:
    after = ""
    while some := read(after, _LISTED_AT_ONCE):
        yield from some
        if len(some) < _LISTED_AT_ONCE:
            return
        after = some[-1][0]


def _merged(lists: Iterable[Iterator[_Listed]]) -> Iterator[_Listed]:
    """Projects from several indexes, each once, with the last change to any of them."""
    first, *others = lists
    if not others:  # as most are, and it is the long ones that this is for
        yield from first
        return
    for name, same in groupby(heapq.merge(first, *others), key=itemgetter(0)):
        yield name, max(serial for _, serial in same)


def shown_releases(
    seen: Snapshot,
    view: View,
    project: ProjectName,
    mirrors: SeenMirrors = NO_MIRRORS,
    *,
    with_bases: bool = True,
) -> tuple[tuple[StoredRelease, ...], ...]:
    """All releases of a project, also those without files; each as its indexes have it.

    The nearest index comes first. `1.0` and `1.0.0` are one release (PEP 440), which has the
    spelling that came first. Raises NotStored if no index of the chain has the project;
    UpstreamNeeded, NothingKnown.
    """
    found: dict[Version, list[StoredRelease]] = {}
    entries, looks = _readable(seen, view, project, mirrors, with_bases)
    for index, entry in entries:
        releases = seen.releases(index, project)
        for version, stored in _stored(seen, entry, releases).items():
            found.setdefault(version, []).append(stored)
    for look in looks:
        for version, stored in _mirrored_releases(look, project).items():
            found.setdefault(version, []).append(stored)
    return tuple(tuple(each) for each in found.values())


def shown_release(
    seen: Snapshot,
    view: View,
    project: ProjectName,
    version: Version,
    mirrors: SeenMirrors = NO_MIRRORS,
) -> tuple[StoredRelease, ...]:
    """One release, as `shown_releases` has it; descriptions of others are not read. As that."""
    found: list[StoredRelease] = []
    entries, looks = _readable(seen, view, project, mirrors, with_bases=True)
    for index, entry in entries:
        parts: list[DistFile | Attachment] = [*seen.files(index, project)]
        parts += seen.attachments(index, project)
        spellings = [part.version for part in parts if Version(part.version) == version]
        stored = [
            seen.release(index, project, spelling)
            for spelling in dict.fromkeys((*spellings, str(version)))
        ]
        releases = [release for release in stored if release is not None]
        found += _stored(seen, entry, releases).values()
    for look in looks:
        stored_there = _mirrored_releases(look, project).get(version)
        found += [] if stored_there is None else [stored_there]
    if not found:
        raise NotStored(f"version {version} of {project} in {view.name}")
    return tuple(found)


def _told_versions(look: MirrorLook) -> Sequence[str]:
    """What upstream tells, but for releases of which rules leave no file."""
    if look.page is None:
        return ()
    hidden = {file.version for file in look.page.files}
    hidden -= {file.known.version for file in look.files}
    return [text for text in look.page.versions if not hidden or _normal(text) not in hidden]


def _normal(version: str) -> str:
    try:
        return str(Version(version))
    except InvalidVersion:
        return version


_Entries: TypeAlias = list[tuple[Index, Project | None]]


def _known(
    seen: Snapshot, view: View, project: ProjectName, mirrors: SeenMirrors
) -> tuple[_Entries, list[MirrorLook]]:
    """What each index of the chain knows of a project, and what each mirror shows of it.

    Raises UpstreamNeeded for all of them at once.
    """
    entries: _Entries = []
    looks: list[MirrorLook] = []
    wanted: list[WantedPage] = []
    for index in _admitted(seen, view, project):
        if not _is_mirror(index):
            entries.append((index, seen.project(index.name, project)))
            continue
        try:
            looks.append(mirrors.look(index, project))
        except UpstreamNeeded as needed:
            wanted += needed.wanted
    if wanted:
        raise UpstreamNeeded(*wanted)
    return entries, looks


def _admitted(seen: Snapshot, view: View, project: ProjectName) -> tuple[Index, ...]:
    """The indexes that may show a project, of those that the reader sees; mirrors last."""
    if not any(map(_is_mirror, view.indexes)):
        return view.indexes
    # Mirrors come last, so that what is hidden stands before them all.
    chain = sorted((*view.indexes, *view.hidden), key=_is_mirror)

    def has_project(index: IndexName) -> bool:
        return seen.had_project(index, project)

    shown = {index.name for index in view.indexes}
    admitted = whitelist.admitted(chain, project, has_project)
    return tuple(index for index in admitted if index.name in shown)


def _require_some(
    view: View, project: ProjectName, entries: _Entries, looks: Sequence[MirrorLook]
) -> None:
    """Raises NotStored if nobody has the project; NothingKnown if nobody can tell."""
    if any(entry is not None for _, entry in entries):
        return
    if any(look.page is not None for look in looks):
        return
    troubles = [look.trouble for look in looks if look.trouble is not None]
    if troubles:
        raise NothingKnown(f"nothing is known of {project} in {view.name} yet: {troubles[0]}")
    advice = [look.advice for look in looks if look.advice]
    raise NotStored(f"project {project} in {view.name}", *advice[:1])


def _mirrored_files(
    own_keys: Collection[str], looks: Sequence[MirrorLook]
) -> tuple[MirroredFile, ...]:
    """The files of mirrors, each name once: from the first mirror, and from none if it is ours."""
    found: dict[str, MirroredFile] = {}
    for look in looks:
        for file in look.files:
            filename = file.known.file.filename
            if not own_keys or _key(filename) not in own_keys:
                found.setdefault(filename, file)
    return tuple(found.values())


def _key(filename: str) -> str | None:
    try:
        return parse_filename(filename).key
    except Refused:
        return None


def _serial(view: View, entries: _Entries, looks: Sequence[MirrorLook]) -> int | None:
    """The serial of a page: ours, or upstream's where the index mirrors it and no more."""
    if _is_mirror(view.indexes[0]):
        page = looks[0].page if looks else None
        return None if page is None else page.serial
    if any(look.page is not None for look in looks):
        return None
    serials = [index.serial for index, _ in entries]
    return max(serials + [entry.serial for _, entry in entries if entry is not None])


def _mirrored_releases(look: MirrorLook, project: ProjectName) -> dict[Version, StoredRelease]:
    """What a mirror shows, release by release, the newest first as devpi has it."""
    files: dict[Version, list[DistFile]] = {}
    for mirrored in look.files:
        file = as_dist_file(mirrored)
        if file is not None:
            files.setdefault(Version(file.version), []).append(file)
    found = {}
    for version in sorted(files, reverse=True):
        text = files[version][0].version
        release = Release(look.index, project, text, {"name": project, "version": text})
        found[version] = StoredRelease(release, project, tuple(files[version]), ())
    return found


def _readable(
    seen: Snapshot, view: View, project: ProjectName, mirrors: SeenMirrors, with_bases: bool
) -> tuple[list[tuple[IndexName, Project]], list[MirrorLook]]:
    """The indexes whose releases are shown, nearest first, and the mirrors. As `shown_project`."""
    name = view.name
    entries, looks = _known(seen, view, project, mirrors)
    _require_some(view, project, entries, looks)
    # What is quarantined in a base is not offered through any index; its own tells its
    # maintainers what they may want to remove, though nobody gets the files.
    readable = [
        (index.name, entry)
        for index, entry in entries
        if entry is not None
        and (index.name == name or (with_bases and entry.status is not ProjectStatus.QUARANTINED))
    ]
    return readable, [look for look in looks if with_bases or look.index == name]


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


def _state(view: View, entries: _Entries, looks: Sequence[MirrorLook]) -> SightState:
    known = tuple((index.name, index.serial, entry and entry.serial) for index, entry in entries)
    mirrors = tuple((look.index, look.fingerprint) for look in looks)
    serials = tuple(index.serial for index in view.indexes)  # of settings, mirrors' included
    moments = (look.valid_until for look in looks)
    return SightState(
        (known, mirrors, serials, tuple(index.name for index in view.hidden)),
        min((moment for moment in moments if moment is not None), default=None),
    )


def _is_mirror(index: Index) -> bool:
    return isinstance(index.settings, MirrorSettings)
