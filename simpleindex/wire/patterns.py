"""Patterns for names of projects and indexes: `*` stands for any text, `?` for one character."""

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase

from simpleindex_storage.errors import Refused
from simpleindex_storage.names import IndexName, ProjectName

_CHARACTERS_MAX = 130
"""As many as USER/INDEX can have, and one more."""
_PROJECT = re.compile(r"[A-Za-z0-9*?]([A-Za-z0-9._*?-]*[A-Za-z0-9*?])?")
_INDEX = re.compile(r"[A-Za-z0-9*?][A-Za-z0-9._@*?-]*/[A-Za-z0-9*?][A-Za-z0-9._@*?-]*|\*")
_SEPARATORS = re.compile(r"[-_.]+")
_WILD = re.compile(r"[*?]")


def parse_project_pattern(text: str) -> str:
    """A pattern, normalised as the names are that it is for (PEP 503). Raises Refused."""
    if len(text) > _CHARACTERS_MAX or not _PROJECT.fullmatch(text):
        raise Refused(
            f"pattern {text[:80]!r}", "it is the name of a project, with * and ? for any characters"
        )
    return _SEPARATORS.sub("-", text).lower()


def parse_index_pattern(text: str) -> str:
    """A pattern for USER/INDEX, or `*` for all of them. Raises Refused."""
    if len(text) > _CHARACTERS_MAX or not _INDEX.fullmatch(text):
        raise Refused(
            f"pattern {text[:80]!r}",
            "it is the name of an index, USER/INDEX, with * and ? for any characters",
        )
    return text


def fits_any(name: ProjectName | IndexName, patterns: Iterable[str]) -> bool:
    """Whether a name fits one of the patterns."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def most_specific(name: ProjectName, patterns: Iterable[str]) -> str | None:
    """The pattern that counts for a name, whatever order they are in; None if none fits.

    The name itself comes before every pattern; else the one with the most characters that are
    not wild; else the longer one, so that `a?*` comes before `a*`; else the first by alphabet.
    """
    fitting = [pattern for pattern in patterns if fnmatchcase(name, pattern)]
    return min(fitting, key=_rank, default=None)


def _rank(pattern: str) -> tuple[bool, int, int, str]:
    fixed = len(_WILD.sub("", pattern))
    return fixed < len(pattern), -fixed, -len(pattern), pattern
