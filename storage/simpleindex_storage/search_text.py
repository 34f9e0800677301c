"""What a search looks at: core metadata as one text for each release, and words to find in it.

A catalog keeps the text beside the release and filters by it; which field a word stands in is
then told from the text alone, so that no search has to read descriptions.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from .model import Project, Release

FIELDS: Mapping[str, tuple[str, ...]] = {
    "name": (),  # of the project, which every release has
    "summary": ("summary",),
    "keywords": ("keywords",),
    "classifiers": ("classifiers",),
    "author": ("author", "author_email"),
    "maintainer": ("maintainer", "maintainer_email"),
    "license": ("license", "license_expression"),
    "requires": ("requires_dist",),
    "requires_python": ("requires_python",),
    "extras": ("provides_extras",),
    "platform": ("platform", "supported_platform"),
    "urls": ("home_page", "download_url", "project_urls"),
}
"""The fields by the names that searches use, and what they are made of. Texts that are stored
follow this order: a change of it needs a migration."""

_SEPARATOR = "\x1e"
_NAME_SEPARATORS = re.compile(r"[-_.]+")


@dataclass(frozen=True, slots=True)
class Term:
    """A word that must be found."""

    word: str
    """Folded."""
    field: str | None = None
    """One of `FIELDS`; None: any of them."""


@dataclass(frozen=True, slots=True)
class Found:
    """A release in which all terms were found."""

    project: Project
    version: str
    matched: tuple[str, ...]
    """The fields in which any of the terms stands."""


def folded(text: str) -> str:
    """Equal for texts that differ only in case, or in how their letters are composed."""
    composed = unicodedata.normalize("NFC", text.casefold())
    # Half a surrogate pair has no encoding, and PostgreSQL keeps no NUL.
    return composed.encode(errors="replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")


def search_text(release: Release, display_name: str) -> str:
    """The text of a release: its fields in the order of `FIELDS`, folded, a line for each value."""
    parts = [_names(release, display_name)]
    parts += [_values(release, names) for field, names in FIELDS.items() if field != "name"]
    return _SEPARATOR.join(folded("\n".join(part)).replace(_SEPARATOR, " ") for part in parts)


def fields_with(text: str, terms: Sequence[Term]) -> tuple[str, ...] | None:
    """The fields in which any of the terms stands; None if one of them is not found."""
    fields = dict(zip(FIELDS, text.split(_SEPARATOR), strict=True))
    matched: set[str] = set()
    for term in terms:
        searched = FIELDS if term.field is None else (term.field,)
        found = {field for field in searched if term.word in fields[field]}
        if not found:
            return None
        matched |= found
    return tuple(field for field in FIELDS if field in matched)


def _names(release: Release, display_name: str) -> Iterable[str]:
    # PEP 503 takes the separators for the same, so each of them may be typed.
    spelled = [_NAME_SEPARATORS.sub(separator, release.project) for separator in "-_."]
    return dict.fromkeys([*spelled, display_name])


def _values(release: Release, names: Iterable[str]) -> list[str]:
    values: list[str] = []
    for name in names:
        value = release.fields.get(name, ())
        values += [value] if isinstance(value, str) else value
    return values
