"""Which releases of a project a target can use, with which file; and what is wrong with the rest.

The rules are those of installers: tags, Requires-Python against the whole version of Python,
yanked files only for those who pin them, pre-releases only for those who ask or where there is
nothing else. A source distribution is no file that can be used, since hosts may lack a compiler,
unless somebody says so; even then any wheel goes before it, an older release's, too.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from packaging.specifiers import SpecifierSet
from packaging.tags import Tag
from packaging.version import Version

from simpleindex.gap.platforms import System
from simpleindex.gap.releases import Releases, Sdists, Source, python_range, wheel_tags
from simpleindex.gap.targets import Target, installer_tags, pip_needed, supported_tags
from simpleindex.gap.wishes import Hashes
from simpleindex.wire.simple_page import PageFile
from simpleindex_storage.names import ProjectName

_GLIBC = re.compile(r"manylinux_2_([0-9]{1,2})_(.+)")
_SHOWN_PLATFORMS_MAX = 4
_SDISTS_TRIED_MAX = 3
"""Releases of a project: to look into one, or to build it, takes long."""


@dataclass(frozen=True, slots=True)
class Fit:
    """A release that a target can use."""

    version: Version
    file: PageFile

    @property
    def is_yanked(self) -> bool:
        """Whether it is only for those who pin it."""
        return self.file.yanked is not None


@dataclass(frozen=True, slots=True)
class Misfit:
    """A release that it cannot use, and why: a clause behind its name."""

    version: Version
    why: str
    runs_here: bool = True
    """Whether it is for the target's Python, at least."""


@dataclass(frozen=True, slots=True)
class Range:
    """Which releases somebody allows."""

    specifier: SpecifierSet
    hashes: Hashes = frozenset()
    constraint: SpecifierSet = field(default_factory=SpecifierSet)
    """Of a constraints file; it is told apart in explanations."""
    pre_releases: bool = False

    @property
    def is_pinned(self) -> bool:
        """Whether one release is named: then it may be yanked (PEP 592)."""
        return any(
            each.operator == "===" or (each.operator == "==" and not each.version.endswith(".*"))
            for specifier in (self.specifier, self.constraint)
            for each in specifier
        )

    def allows(self, version: Version) -> bool:
        """Whether a version is in it, pre-release or not."""
        return self.specifier.contains(version, prereleases=True) and self.constraint.contains(
            version, prereleases=True
        )

    def allows_pre_releases(self, releases: Releases) -> bool:
        """Whether pre-releases count: one is named, or there is nothing else at all."""
        is_named = bool(self.specifier.prereleases or self.constraint.prereleases)
        return self.pre_releases or is_named or not releases.has_final


class Fitting:
    """What fits one target; of each release it is found out once. For one thread."""

    def __init__(
        self,
        target: Target,
        source: Source,
        held: Mapping[ProjectName, frozenset[Version]],
        sdists: Sdists | None = None,
        *,
        held_files: frozenset[str] = frozenset(),
        as_installed: bool = False,
    ) -> None:
        self.target = target
        self._source = source
        self._held = held
        self._held_files = held_files
        self._sdists = sdists
        own_tags = installer_tags(target)
        tags = own_tags if as_installed else supported_tags(target)
        self._ranks = {tag: rank for rank, tag in enumerate(tags)}
        self._own_tags = frozenset(own_tags)
        self._looks = {(tag.interpreter, tag.abi) for tag in self._ranks}
        self._python = target.requires_python_version
        self._known: dict[tuple[ProjectName, Version, Hashes], Fit | Misfit] = {}
        self._known_sdists: dict[tuple[ProjectName, Version, Hashes], Fit | Misfit] = {}
        self._runs_on: dict[str, bool] = {}

    def fits(self, project: ProjectName, allowed: Range) -> Iterator[Fit]:
        """The releases that can be taken, the best first: what is held, then the newest.

        Raises SourceTrouble.
        """
        releases = self._source.releases(project)
        if releases is None:
            return
        with_pre_releases = allowed.allows_pre_releases(releases)
        is_pinned = allowed.is_pinned
        without: list[Version] = []
        for version in self._in_order(releases):
            if version.is_prerelease and not with_pre_releases:
                continue
            if not allowed.allows(version):
                continue
            fit = self._look(releases, version, allowed.hashes)
            if isinstance(fit, Misfit):
                without.append(version)
            elif is_pinned or not fit.is_yanked:
                yield fit
        if self._sdists is None:
            return
        for version in without[:_SDISTS_TRIED_MAX]:
            fit = self._look_at_sdist(releases, version, allowed.hashes)
            if isinstance(fit, Fit) and (is_pinned or not fit.is_yanked):
                yield fit

    def why_none(self, project: ProjectName, allowed: Range, asked: str) -> str:
        """Why `fits` finds nothing: a sentence. `asked` is how it was asked for."""
        releases = self._source.releases(project)
        if releases is None:
            return f"the index has no project {project}"
        if not releases.files:
            return f"the index has no file of {project}"
        limit = f" under the constraint {project}{allowed.constraint}" if allowed.constraint else ""
        matching = [version for version in releases.files if allowed.allows(version)]
        if not matching:
            newest = next(iter(releases.files))
            return f"no release is {asked}{limit}; the newest is {newest}"
        if not allowed.allows_pre_releases(releases):
            finals = [version for version in matching if not version.is_prerelease]
            if not finals:
                return f"only pre-releases are {asked}{limit}: {matching[0]}; none was asked for"
            matching = finals
        looks = [self._look(releases, version, allowed.hashes) for version in matching]
        # What is wrong with those for other Pythons tells less.
        look = next((each for each in looks if _runs_here(each)), looks[0])
        if self._sdists is not None and isinstance(look, Misfit) and look.runs_here:
            look = self._look_at_sdist(releases, look.version, allowed.hashes)
        return (
            f"no {asked}{limit} can be used on {self.target.name}: {project} {look.version} "
            f"{_clause(look)}{_and_others(len(matching) - 1)}"
        )

    def runs_here(self, requires_python: str | None) -> bool:
        """Whether a Requires-Python has room for the target's Python. One that is none has."""
        if not requires_python:
            return True
        known = self._runs_on.get(requires_python)
        if known is None:
            limits = python_range(requires_python)
            known = limits is None or limits.contains(self._python, prereleases=True)
            self._runs_on[requires_python] = known
        return known

    def pip_needed(self, file: PageFile) -> str | None:
        """The oldest pip that takes a file, if the target's own is too old for that."""
        named = wheel_tags(file.filename)
        if named is None or named[0] & self._own_tags:
            return None
        needed = [pip_needed(self.target, tag) for tag in named[0] if tag in self._ranks]
        return min((each for each in needed if each is not None), key=Version, default=None)

    def _in_order(self, releases: Releases) -> Iterator[Version]:
        held = self._held.get(releases.project, frozenset[Version]())
        if not held:
            return iter(releases.files)
        # Stable: among those that are held, and among the others, the newest is first.
        return iter(sorted(releases.files, key=lambda version: version not in held))

    def _look(self, releases: Releases, version: Version, hashes: Hashes) -> Fit | Misfit:
        key = releases.project, version, hashes
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._examine(releases, version, hashes)
        return known

    def _look_at_sdist(self, releases: Releases, version: Version, hashes: Hashes) -> Fit | Misfit:
        """The same of its source distribution, if that may be used. Raises SourceTrouble."""
        key = releases.project, version, hashes
        known = self._known_sdists.get(key)
        if known is None:
            known = self._examine_sdist(releases, version, hashes)
            self._known_sdists[key] = known
        return known

    def _examine_sdist(self, releases: Releases, version: Version, hashes: Hashes) -> Fit | Misfit:
        promised = _promised(releases.files[version], hashes)
        running = [file for file in promised if self.runs_here(file.requires_python)]
        sdists = [file for file in running if file.filename.endswith((".tar.gz", ".zip"))]
        if self._sdists is None or not sdists:
            return self._examine(releases, version, hashes)
        sdist = min(sdists, key=lambda file: (file.yanked is not None, file.filename))
        used = self._sdists.usable(sdist, self.target)
        if used is None:
            return self._examine(releases, version, hashes)
        if isinstance(used, str):
            return Misfit(version, used)
        if used.url in releases.spoilt:
            return Misfit(version, releases.spoilt[used.url])
        named = wheel_tags(used.filename)
        if named is not None and not any(tag in self._ranks for tag in named[0]):
            return Misfit(version, f"was built as {used.filename}, which is for other hosts")
        return Fit(version, used)

    def _examine(self, releases: Releases, version: Version, hashes: Hashes) -> Fit | Misfit:
        promised = _promised(releases.files[version], hashes)
        if not promised:
            return Misfit(version, "has no file with one of the hashes")
        running = [file for file in promised if self.runs_here(file.requires_python)]
        if not running:
            why = f"requires Python {promised[0].requires_python}"
            return Misfit(version, why, runs_here=False)
        best: tuple[tuple[bool, bool, int, tuple[int, str]], PageFile] | None = None
        spoilt: str | None = None
        for file in running:
            named = wheel_tags(file.filename)
            if named is None:
                continue
            tags, build = named
            rank = min((self._ranks[tag] for tag in tags if tag in self._ranks), default=None)
            if rank is None:
                continue
            if file.url in releases.spoilt:
                spoilt = releases.spoilt[file.url]
                continue
            # Not yanked, then what is held, then the best tag, then the highest build number.
            is_held = file.url in self._held_files
            order = (file.yanked is None, is_held, -rank, build or (-1, ""))
            if best is None or order > best[0]:
                best = order, file
        if best is None:
            return Misfit(version, spoilt or self._why_no_wheel(running))
        return Fit(version, best[1])

    def _why_no_wheel(self, files: list[PageFile]) -> str:
        wheels = [named[0] for file in files if (named := wheel_tags(file.filename)) is not None]
        if not wheels:
            return "has no wheel, only what has to be built"
        tags = {tag for some in wheels for tag in some}
        near = {tag for tag in tags if (tag.interpreter, tag.abi) in self._looks}
        if not near:
            pythons = sorted({f"{tag.interpreter}-{tag.abi}" for tag in tags})
            return f"has no wheel for its Python, only for {_some(pythons)}"
        platform = self.target.platform
        floors = {
            int(match[1])
            for tag in near
            if (match := _GLIBC.fullmatch(tag.platform)) and match[2] == platform.machine
        }
        if platform.system is System.GLIBC and floors:
            return f"has no wheel for its glibc, only from glibc 2.{min(floors)} on"
        return f"has no wheel for its platform, only for {_some(_platforms(near))}"


def _promised(files: Iterable[PageFile], hashes: Hashes) -> list[PageFile]:
    """Those with one of the hashes; all, where none is named."""
    return [file for file in files if not hashes or hashes & set(file.hashes.items())]


def _platforms(tags: Iterable[Tag]) -> list[str]:
    return sorted({tag.platform for tag in tags})


def _some(names: list[str]) -> str:
    more = len(names) - _SHOWN_PLATFORMS_MAX
    shown = ", ".join(names[:_SHOWN_PLATFORMS_MAX])
    return f"{shown} and {more} more" if more > 0 else shown


def _and_others(count: int) -> str:
    if not count:
        return ""
    return (
        "; the other release cannot either" if count == 1 else f"; nor can {count} other releases"
    )


def _runs_here(look: Fit | Misfit) -> bool:
    return not isinstance(look, Misfit) or look.runs_here


def _clause(look: Fit | Misfit) -> str:
    return look.why if isinstance(look, Misfit) else "is yanked"
