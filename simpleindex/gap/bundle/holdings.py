"""What a site has, as the other side knows it: names of files, and how their digests begin."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from packaging.version import Version

from simpleindex.gap.layers import versions_by_project
from simpleindex.gap.request import Held
from simpleindex_storage.errors import Refused
from simpleindex_storage.names import DistFilename, ProjectName, parse_filename

_KEY_DIGITS = 16
_SHA256_DIGITS = 64


@dataclass(frozen=True)
class Holdings:
    """Files of a site. None at all: nothing is known, or it is new."""

    names: tuple[DistFilename, ...] = ()
    stamp: str | None = None
    """Of all that it has, as it says itself."""
    _held: Mapping[str, tuple[Held, ...]] = field(default_factory=dict)
    """By how their digests begin."""
    _filenames: frozenset[str] = frozenset()

    @property
    def is_known(self) -> bool:
        """Whether the site has said, or been sent, anything."""
        return bool(self.names) or self.stamp is not None

    def files(self, known: Mapping[str, str]) -> dict[str, str]:
        """Its files, as far as their digests are told whole or are among those known.

        Here and there it is names by SHA-256.
        """
        held = [each for some in self._held.values() for each in some]
        whole = {
            each.sha256_prefix: each.filename
            for each in held
            if len(each.sha256_prefix) == _SHA256_DIGITS
        }
        return whole | {sha256: name for sha256, name in known.items() if self.has(sha256)}

    @property
    def count(self) -> int:
        """How many files it has."""
        return sum(map(len, self._held.values()))

    def has(self, sha256: str) -> bool:
        """Whether the site has a file of this digest."""
        near = self._held.get(sha256[:_KEY_DIGITS], ())
        return any(sha256.startswith(each.sha256_prefix) for each in near)

    def clashes_with(self, filename: str, sha256: str) -> bool:
        """Whether the site has another file of this name."""
        return filename in self._filenames and not self.has(sha256)

    @property
    def projects(self) -> frozenset[ProjectName]:
        """Of which it has anything."""
        return frozenset(name.project for name in self.names)

    @property
    def versions(self) -> Mapping[ProjectName, frozenset[Version]]:
        """What it has of each project."""
        return versions_by_project((name.project, name.version) for name in self.names)

    @property
    def filenames(self) -> Mapping[ProjectName, tuple[str, ...]]:
        """Likewise, as files."""
        found: dict[ProjectName, list[str]] = {}
        for name in self.names:
            found.setdefault(name.project, []).append(name.text)
        return {project: tuple(names) for project, names in found.items()}


def holdings_of(held: Iterable[Held], stamp: str | None = None) -> Holdings:
    """What a site has said that it has. What bears no name of a package counts for nothing."""
    names: dict[str, DistFilename] = {}
    by_beginning: dict[str, tuple[Held, ...]] = {}
    for each in held:
        try:
            name = parse_filename(each.filename)
        except Refused:
            continue
        names[name.text] = name
        key = each.sha256_prefix[:_KEY_DIGITS]
        by_beginning[key] = (*by_beginning.get(key, ()), each)
    return Holdings(tuple(names.values()), stamp, by_beginning, frozenset(names))
