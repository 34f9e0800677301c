"""What an index has of a project, as a resolver asks for it: versions, their files, their needs."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import Protocol

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.tags import Tag
from packaging.utils import BuildTag, InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from simpleindex.gap.targets import Target
from simpleindex.wire.simple_page import PageFile
from simpleindex_storage.metadata import parse_core_metadata
from simpleindex_storage.names import ProjectName, split_filename

_REQUIREMENT_CHARACTERS_MAX = 4000
_STAR_BEHIND_ORDER = re.compile(r"([<>]=?\s*[0-9][0-9a-zA-Z.]*?)\.\*")


class SourceTrouble(Exception):
    """The index cannot tell what it was asked. Its text is one line, without secrets."""

    def __init__(self, what: str, cause: str | None = None) -> None:
        """`cause` is why, where that may be why of other things, too: a host that is not there."""
        super().__init__(what if cause is None else f"{what}: {cause}")
        self.chain: tuple[str, ...] = (what,) if cause is None else (what, cause)
        """The same as reasons, each because of the next."""


class NotAsPromised(SourceTrouble):
    """What came is not the file that its page speaks of."""


@dataclass(frozen=True, slots=True)
class Releases:
    """A project of an index."""

    project: ProjectName
    files: Mapping[Version, tuple[PageFile, ...]]
    """Those that may be offered, by version, the newest version first."""
    spoilt: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Those of them that nobody could take in, by URL: clauses that say why."""

    @property
    def has_final(self) -> bool:
        """Whether there is a release that is no pre-release."""
        return any(not version.is_prerelease for version in self.files)


@dataclass(frozen=True, slots=True)
class Described:
    """What the metadata of a wheel says, as far as it decides what else is installed."""

    requires: tuple[Requirement, ...]
    requires_python: str | None
    extras: frozenset[str]
    """Normalised."""
    unreadable: tuple[str, ...] = ()
    """Requirements that no standard knows, as they stand; installers leave them out."""
    is_proven: bool = True
    """Whether these bytes are what the page promised: if not, the wheel has to confirm them."""
    build_requires: tuple[Requirement, ...] = ()
    """What a source distribution needs to be built; of a wheel nothing."""


class Source(Protocol):
    """An index, asked by several resolvers at the same time. All may raise SourceTrouble."""

    def releases(self, project: ProjectName) -> Releases | None:
        """A project; None: there is none. Blocks."""

    def described(self, file: PageFile) -> Described:
        """The metadata of a wheel. Blocks."""

    def expect(self, projects: Iterable[ProjectName]) -> None:
        """These will be asked for soon. Raises nothing."""

    def expect_described(self, file: PageFile) -> None:
        """So will the metadata of this wheel. Raises nothing."""


class Sdists(Protocol):
    """What is done with source distributions, where a target can use no wheel of any release."""

    def usable(self, file: PageFile, target: Target) -> PageFile | str | None:
        """What the target gets: the file itself, or a wheel made of it; or why nothing.

        The latter is a clause behind the name of the release, or None where it is as if there were
        no source. Blocks. Raises SourceTrouble.
        """


def releases_of(project: ProjectName, files: Sequence[PageFile]) -> Releases:
    """The files of a page by version; those whose names tell none are left out."""
    by_version: dict[Version, list[PageFile]] = {}
    for file in files:
        _, version = split_filename(file.filename)
        by_version.setdefault(_version(version), []).append(file)
    newest_first = sorted(by_version, reverse=True)
    return Releases(project, {version: tuple(by_version[version]) for version in newest_first})


@lru_cache(maxsize=1 << 16)
def wheel_tags(filename: str) -> tuple[frozenset[Tag], BuildTag] | None:
    """The tags of a wheel, and its build number; None: it is no wheel, or none by the standard."""
    if not filename.endswith(".whl"):
        return None
    try:
        _, _, build, tags = parse_wheel_filename(filename)
    except (InvalidWheelFilename, InvalidVersion):
        return None
    return tags, build


def describe(raw: bytes, filename: str, *, is_proven: bool) -> Described:
    """What a METADATA says. Raises Refused."""
    metadata = parse_core_metadata(raw, subject=filename)
    requires: list[Requirement] = []
    unreadable: list[str] = []
    for text in _texts(metadata.fields.get("requires_dist")):
        requirement = parse_requirement(text)
        if requirement is None:
            unreadable.append(text)
        else:
            requires.append(requirement)
    extras = _texts(metadata.fields.get("provides_extras"))
    return Described(
        tuple(requires),
        metadata.requires_python,
        frozenset(canonicalize_name(extra) for extra in extras),
        tuple(unreadable),
        is_proven,
    )


@lru_cache(maxsize=1 << 14)
def parse_requirement(text: str) -> Requirement | None:
    """A requirement (PEP 508); None: it is none."""
    if len(text) > _REQUIREMENT_CHARACTERS_MAX:
        return None
    try:
        return Requirement(text)
    except (InvalidRequirement, ValueError, RecursionError):
        try:
            # Old metadata has `>=3.6.*`, which meant `>=3.6`.
            return Requirement(_STAR_BEHIND_ORDER.sub(r"\1", text))
        except (InvalidRequirement, ValueError, RecursionError):
            return None


@lru_cache(maxsize=1 << 12)
def python_range(text: str) -> SpecifierSet | None:
    """A Requires-Python; None: it is none, and installers take it for no limit."""
    try:
        return SpecifierSet(_STAR_BEHIND_ORDER.sub(r"\1", text))
    except (InvalidSpecifier, ValueError):
        return None


@lru_cache(maxsize=1 << 16)
def _version(text: str) -> Version:
    return Version(text)


def _texts(value: str | tuple[str, ...] | None) -> tuple[str, ...]:
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else value
