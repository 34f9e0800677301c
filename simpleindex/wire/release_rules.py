"""Rules about releases, as admins of mirrors write them: `demo`, `demo>=1,<2`, `acme-*`."""

import re
from dataclasses import dataclass

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import Version

from simpleindex.wire.patterns import fits_any, parse_project_pattern
from simpleindex_storage.errors import Refused
from simpleindex_storage.names import ProjectName, parse_project_name, parse_version

_OPERATOR = re.compile("[<>=!~]")
_CHARACTERS_MAX = 1000
"""More than anybody has use for, and too few for a number that Python's `int` would refuse."""


@dataclass(frozen=True, slots=True)
class ReleaseRule:
    """Which releases are meant: those of a project or of several, all of them or by version."""

    pattern: str
    """A normalised name, with `*` and `?` for any characters."""
    specifiers: SpecifierSet | None
    """None: whatever version."""

    def __str__(self) -> str:
        return self.pattern + ("" if self.specifiers is None else str(self.specifiers))

    def names(self, project: ProjectName) -> bool:
        """Whether any release of a project may be meant."""
        return fits_any(project, (self.pattern,))

    def takes(self, version: Version) -> bool:
        """Whether this release of a project that is named is meant; pre-releases are as others."""
        return self.specifiers is None or self.specifiers.contains(version, prereleases=True)


def parse_release_rule(text: str) -> ReleaseRule:
    """`NAME`, a pattern, or one of these with version specifiers (PEP 440). Raises Refused."""
    operator = _OPERATOR.search(text)
    if operator is None:
        return ReleaseRule(parse_project_pattern(text), None)
    try:
        if len(text) > _CHARACTERS_MAX or not text.isascii() or not text.isprintable():
            raise InvalidSpecifier
        specifiers = SpecifierSet(text[operator.start() :])
    except InvalidSpecifier:
        raise Refused(
            f"rule {text[:80]!r}",
            "after the name come version specifiers, with commas between: demo>=1,<2",
        ) from None
    return ReleaseRule(parse_project_pattern(text[: operator.start()].strip()), specifiers)


def parse_approval(text: str) -> str:
    """`NAME==VERSION`, one release; normalised. Raises Refused."""
    name, equals, version = text.partition("==")
    if not equals:
        raise Refused(f"release {text[:80]!r}", "it is written NAME==VERSION: demo==1.0")
    return f"{parse_project_name(name.strip())}=={parse_version(version)}"


def split_rules(text: str) -> list[str]:
    """The rules in a text with commas between, of which some belong to the versions of one rule."""
    rules: list[str] = []
    for item in map(str.strip, text.split(",")):
        if rules and _OPERATOR.match(item):
            rules[-1] += f",{item}"
        elif item:
            rules.append(item)
    return rules
