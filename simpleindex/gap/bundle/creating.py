"""Makes what goes into a bundle: finds out, fetches, looks into what came, and says it all.

What resolvers went by is compared with the files themselves: an index may say one thing beside a
wheel and another in it. Where it does, the wheel counts, and everything is found out again. So it
is where a wheel is one that no server would take: the site has nobody to fetch another from.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import chain
from pathlib import Path
from types import MappingProxyType

from simpleindex.gap.bundle.cache import Cache, promised_sha256
from simpleindex.gap.bundle.downloading import Progress, download, no_telling
from simpleindex.gap.bundle.holdings import Holdings
from simpleindex.gap.bundle.manifest import (
    BundledFile,
    Manifest,
    Origin,
    dump_manifest,
    parse_manifest,
    stamp,
)
from simpleindex.gap.bundle.planning import Plan, PlannedFile, make_plan
from simpleindex.gap.bundle.sdists import BuiltSdists, IncludedSdists, Policy
from simpleindex.gap.layers import Proven, Sorted, UploadedBefore, WithPrivate
from simpleindex.gap.releases import Described, Releases, Sdists, Source, SourceTrouble, describe
from simpleindex.gap.resolving import resolve_all
from simpleindex.gap.source import IndexSource
from simpleindex.gap.targets import Target
from simpleindex.gap.wishes import Line, Wishes
from simpleindex.wire.simple_page import PageFile
from simpleindex_storage.errors import Refused, Unavailable
from simpleindex_storage.inspection import inspect
from simpleindex_storage.model import CoreMetadata
from simpleindex_storage.names import DistKind, ProjectName

ROUNDS_MAX = 5
"""Of looking into files, and finding out again what follows."""
_SHOWN_TROUBLES_MAX = 3
_THREADS_MAX = 4
_TOLD_BYTES_MIN = 50_000_000
"""To look through so much takes about a second: whoever waits is told why."""
_LICENCE_CHARACTERS_MAX = 200
_ROOT_CHARACTERS_MAX = 4000


def _tell_nobody(line: str) -> None:
    """Where nobody wants to know."""


@dataclass(frozen=True)
class Order:
    """What somebody wants to be sent."""

    targets: tuple[Target, ...]
    lines: tuple[Line, ...]
    constraints: tuple[Line, ...] = ()
    holdings: Holdings = field(default_factory=Holdings)
    updated: frozenset[ProjectName] | None = frozenset()
    """Projects that shall be the newest, whatever the site has; None: all."""
    pre_releases: bool = False
    uploaded_before: datetime | None = None
    all_inside: bool = False
    """What the site has comes along, too."""
    sdists: Policy = Policy.REFUSE
    may_remove: bool = False
    """The lines are all that the site wants: what they do not need may go."""

    def wishes(self, pages: Mapping[ProjectName, Releases], sdists: Sdists | None) -> Wishes:
        """For the resolver. `pages` are projects of the site that the index has, too.

        Releases that only the site has are not kept before others: nobody here knows what they
        need, and some are gone from the index for a reason.
        """
        held = {
            project: versions & frozenset(pages[project].files) if project in pages else versions
            for project, versions in self.holdings.versions.items()
            if self.updated is not None and project not in self.updated
        }
        return Wishes(
            self.lines,
            self.constraints,
            held,
            frozenset(self._held_files(pages)),
            pre_releases=self.pre_releases,
            sdists=sdists,
        )

    def _held_files(self, pages: Mapping[ProjectName, Releases]) -> Iterator[str]:
        """URLs of what the site has and need not be sent again in another form.

        Also where all projects shall be the newest: a release that is, is not made newer by
        another file of it. Of a project that somebody has named the best file is taken.
        """
        for project, releases in pages.items():
            if self.updated is not None and project in self.updated:
                continue
            for file in chain.from_iterable(releases.files.values()):
                sha256 = promised_sha256(file)
                if sha256 is not None and self.holdings.has(sha256):
                    yield file.url


@dataclass(frozen=True, slots=True)
class Contents:
    """What a bundle holds, and where that lies."""

    manifest: Manifest
    paths: Mapping[str, Path]
    """By SHA-256."""
    fetched_bytes: int
    """Over the wire, now."""
    site: Mapping[str, str]
    """What the site has then, as far as that is known: names of files by SHA-256."""


class Creation:
    """One bundle in the making. Of one thread."""

    def __init__(
        self,
        order: Order,
        source: IndexSource,
        cache: Cache,
        *,
        build_environment: Mapping[str, str] = MappingProxyType({}),
        tell: Callable[[str], None] = _tell_nobody,
    ) -> None:
        """Builds run in that environment, where they are wanted; `tell` is told what takes long."""
        self._order = order
        self._index = source
        self._cache = cache
        self._proven = Proven(source)
        self._included: IncludedSdists | None = None
        self._built: BuiltSdists | None = None
        if order.sdists is Policy.INCLUDE:
            self._included = IncludedSdists(self._proven, source, cache)
        elif order.sdists is Policy.BUILD:
            self._built = BuiltSdists(self._proven, source, cache, build_environment, tell)
        self._before: UploadedBefore | None = None
        self._tell = tell
        self._source = Sorted(self._layered(self._included or self._built or self._proven))
        self._pages: dict[ProjectName, Releases] | None = None
        self._sha256s: dict[str, str] = {}
        self._metadata: dict[str, CoreMetadata] = {}
        self._fetched_bytes = 0
        self._notes: dict[str, None] = {}

    def plan(self) -> Plan:
        """What is to be sent, as far as the index tells. Raises Unavailable."""
        self._source.expect(self._order.holdings.projects)
        wishes = self._order.wishes(self._site_pages(), self._included or self._built)
        outcomes = resolve_all(self._order.targets, wishes, self._source)
        plan = make_plan(
            outcomes,
            self._order.holdings,
            self._site_pages(),
            all_inside=self._order.all_inside,
            may_remove=self._order.may_remove,
        )
        if self._before is not None and self._before.undated:
            self._notes[
                f"{len(self._before.undated)} projects have files of which the index does not tell "
                "the upload time; those are left out"
            ] = None
        return replace(plan, notes=(*self._notes, *plan.notes))

    def to_fetch(self, plan: Plan) -> tuple[PageFile, ...]:
        """What the cache does not have, at a glance."""
        files = [planned.file for planned in plan.files]
        return tuple(file for file in files if not self._cache.seems_to_have(file))

    def fetch(self, plan: Plan, tell: Callable[[Progress], None] = no_telling) -> Plan:
        """Fetch all files of a plan; the plan that the files themselves lead to.

        Raises Unavailable if one cannot be had: what came stays in the cache for the next time.
        """
        for _ in range(ROUNDS_MAX):
            self._download(plan.files, tell)
            if self._is_as_told(plan.files):
                return plan
            plan = self.plan()
        raise Refused("the index", "its files are others than it tells, again and again")

    def contents(self, plan: Plan, created: datetime, tool: str) -> Contents:
        """What to write, once all is fetched."""
        files = tuple(self._bundled(planned) for planned in plan.files)
        holdings = self._order.holdings
        had = holdings.files(self._known_names() | {it.sha256: it.name.text for it in plan.assumes})
        then = had | {file.sha256: file.name.text for file in files}
        manifest = Manifest(
            created=created,
            tool=tool,
            targets=plan.targets,
            roots=tuple(dict.fromkeys(_texts(self._order.lines))),
            constraints=tuple(dict.fromkeys(_texts(self._order.constraints))),
            pre_releases=self._order.pre_releases,
            files=files,
            assumes=plan.assumes,
            yanks=plan.yanks,
            removals=plan.removals,
            problems=plan.problems,
            notes=plan.notes,
            base=holdings.stamp,
            # Of a file that only the site knows, no more than the beginning may be known here.
            result_stamp=stamp(then) if len(had) == holdings.count else None,
        )
        # Better told here than at the site.
        parse_manifest(dump_manifest(manifest), "the bundle")
        return Contents(
            manifest,
            {file.sha256: self._path(file.sha256) for file in files},
            self._fetched_bytes,
            then,
        )

    def _layered(self, source: Source) -> Source:
        order = self._order
        if order.holdings.is_known:
            source = WithPrivate(source, order.holdings.filenames)
        if order.uploaded_before is not None:
            source = self._before = UploadedBefore(source, order.uploaded_before)
        return source

    def _known_names(self) -> dict[str, str]:
        """Files of the site's projects that the index has, too: names by SHA-256."""
        return {
            sha256: file.filename
            for releases in self._site_pages().values()
            for some in releases.files.values()
            for file in some
            if (sha256 := promised_sha256(file)) is not None
        }

    def _site_pages(self) -> dict[ProjectName, Releases]:
        """The projects of the site that the index has, too."""
        if self._pages is None:
            self._pages = {}
            for project in sorted(self._order.holdings.projects):
                try:
                    releases = self._index.releases(project)
                except SourceTrouble as trouble:
                    self._notes[f"what became of {project} since is not known: {trouble}"] = None
                    continue
                if releases is not None:
                    self._pages[project] = releases
        return self._pages

    def _download(self, files: Iterable[PlannedFile], tell: Callable[[Progress], None]) -> None:
        missing = [planned.file for planned in files if planned.file.url not in self._sha256s]
        fetched = download(missing, self._index, self._cache, tell)
        self._sha256s.update(fetched.sha256s)
        self._fetched_bytes += fetched.fetched_bytes
        if fetched.troubles:
            troubles = list(fetched.troubles.values())
            more = len(troubles) - _SHOWN_TROUBLES_MAX
            shown = "; ".join(troubles[:_SHOWN_TROUBLES_MAX])
            others = f"; and {more} more" if more > 0 else ""
            raise Unavailable(
                f"{len(troubles)} of {len(missing)} files cannot be had: {shown}{others}; what "
                "came is kept: try again, or forbid a release with a constraint like 'name!=1.0'"
            )

    def _is_as_told(self, files: Iterable[PlannedFile]) -> bool:
        """Whether all files say what was told of them. What they say is known from here on."""
        others = False
        for file, actual in self._looked_into(files):
            if isinstance(actual, Refused):
                self._source.sort_out(file, f"has a wheel that no server takes: {actual.rule}")
                self._notes[f"{actual}; so it is left out"] = None
                others = True
                continue
            try:
                told = self._source.described(file)
            except SourceTrouble:
                told = None
            self._proven.prove(file, actual)
            if told is None or replace(told, is_proven=True) != actual:
                self._notes[
                    f"the metadata in {file.filename} is not what the index tells of it; what is "
                    "in the file counts"
                ] = None
                others = True
        return not others

    def _looked_into(
        self, files: Iterable[PlannedFile]
    ) -> Iterator[tuple[PageFile, Described | Refused]]:
        """All wheels that nobody has looked into yet, and what is in each."""
        unseen = [
            planned
            for planned in files
            if planned.name.kind is DistKind.WHEEL and planned.file.url not in self._metadata
        ]
        paths = [self._path(self._sha256s[planned.file.url]) for planned in unseen]
        if sum(path.stat().st_size for path in paths) >= _TOLD_BYTES_MIN:
            self._tell(f"looking through {len(paths)} wheels")
        threads = ThreadPoolExecutor(min(_THREADS_MAX, os.cpu_count() or 1), "looking through")
        try:
            found = list(threads.map(_look_into, unseen, paths))
        finally:
            threads.shutdown(cancel_futures=True)
        for planned, metadata in zip(unseen, found, strict=True):
            if isinstance(metadata, Refused):
                yield planned.file, metadata
            else:
                self._metadata[planned.file.url] = metadata
                yield planned.file, describe(metadata.raw, planned.file.filename, is_proven=True)

    def _bundled(self, planned: PlannedFile) -> BundledFile:
        sha256 = self._sha256s[planned.file.url]
        metadata = self._metadata.get(planned.file.url)
        requires_python = planned.file.requires_python
        if requires_python is None and metadata is not None:
            requires_python = metadata.requires_python
        built_from = None if self._built is None else self._built.built_from(planned.file)
        return BundledFile(
            name=planned.name,
            sha256=sha256,
            size_bytes=self._path(sha256).stat().st_size,
            targets=planned.targets,
            origin=Origin.INDEX if built_from is None else Origin.BUILT,
            built_from=built_from,
            uploaded_at=planned.file.uploaded_at,
            yanked=None if planned.file.yanked is None else _one_line(planned.file.yanked),
            requires_python=None if requires_python is None else _one_line(requires_python),
            licence=None if metadata is None else _licence(metadata),
        )

    def _path(self, sha256: str) -> Path:
        path = self._cache.find(sha256)
        if path is None:
            raise Unavailable(f"a file went from the cache {self._cache.folder}; try again")
        return path


def _look_into(planned: PlannedFile, path: Path) -> CoreMetadata | Refused:
    """What a wheel says of itself, or why nobody can take it. Raises Unavailable."""
    try:
        # What only strict indexes refuse is taken in from bundles.
        metadata, _ = inspect(path, planned.name)
    except Refused as refused:
        return refused
    return metadata


def _texts(lines: Iterable[Line]) -> Iterable[str]:
    """Requirements as others can read them: without what is refused."""
    for line in lines:
        if line.requirement is not None:
            text = str(line.requirement)
            yield text if len(text) <= _ROOT_CHARACTERS_MAX else line.requirement.name


def _licence(metadata: CoreMetadata) -> str | None:
    """What a file says of its licence, in a line."""
    fields = metadata.fields
    expression = fields.get("license_expression")
    if isinstance(expression, str):
        return _one_line(expression)
    classifiers = fields.get("classifiers") or ()
    named = [
        text.rpartition(" :: ")[2]
        for text in ([classifiers] if isinstance(classifiers, str) else classifiers)
        if text.startswith("License ::")
    ]
    if named:
        return _one_line(", ".join(named))
    text = fields.get("license")
    # Some put the whole text of it there; its first line names it, mostly.
    return _one_line(text.strip().splitlines()[0]) if isinstance(text, str) else None


def _one_line(text: str) -> str:
    cut = text[:_LICENCE_CHARACTERS_MAX]
    return "".join(each if each.isprintable() else "?" for each in cut)
