"""Searches in an index: from the query of a URL to what is wanted, and from hits to JSON."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from simpleindex.wire.pypi_json import encoded
from simpleindex_storage.errors import Refused
from simpleindex_storage.model import JsonValue
from simpleindex_storage.names import ProjectName
from simpleindex_storage.search_text import FIELDS, Found, Term, folded

LIMIT_USUAL = 50
LIMIT_MAX = 1000

_QUERY_CHARACTERS_MAX = 500
_WORDS_MAX = 20
"""Each of them is one more look at every text."""

_FIELD_ALIASES = {"requires_dist": "requires"}
_NUMBER = re.compile(r"[0-9]{1,9}", re.ASCII)
_NAME_SEPARATORS = re.compile(r"[-_.]+")


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """What is searched for, and which part of the answer is wanted."""

    text: str
    """As it was sent."""
    terms: tuple[Term, ...]
    limit: int = LIMIT_USUAL
    offset: int = 0


@dataclass(frozen=True, slots=True)
class SearchResult:
    """A release that was found, with what its author says of it in one line."""

    found: Found
    summary: str | None


def parse_query(parameters: Mapping[str, str]) -> SearchQuery:
    """`q`, `limit` and `offset` of a URL's query. Raises Refused."""
    text = parameters.get("q", "")
    return SearchQuery(
        text,
        _terms(text),
        _number(parameters, "limit", LIMIT_USUAL, least=1, most=LIMIT_MAX),
        _number(parameters, "offset", 0, least=0, most=10**9),
    )


def ranked(query: SearchQuery, found: Iterable[Found]) -> list[Found]:
    """The best first: those with the wanted name, then those whose name begins with or has it."""
    words = [
        _NAME_SEPARATORS.sub("-", term.word) for term in query.terms if term.field in (None, "name")
    ]
    whole = "-".join(words)  # `flask login` is `flask-login`

    def distance(name: ProjectName) -> int:
        if name == whole:
            return 0
        if name in words:
            return 1
        if any(name.startswith(word) for word in words):
            return 2
        return 3 if any(word in name for word in words) else 4

    return sorted(found, key=lambda each: (distance(each.project.name), each.project.name))


def render(
    query: SearchQuery, total: int, shown: Sequence[SearchResult], *, serial: int, href_prefix: str
) -> bytes:
    """The answer in UTF-8. `total`: how many projects were found, of which a part is shown.

    `href_prefix` leads from the URL of the search to that of the index.
    """
    return encoded(
        {
            "meta": {"_last-serial": serial},
            "query": query.text,
            "total": total,
            "projects": [_project(result, href_prefix) for result in shown],
        }
    )


def _terms(text: str) -> tuple[Term, ...]:
    words = text.split()
    if not words:
        raise Refused("search", "it lacks words to look for; add ?q=WORDS to the URL")
    if len(text) > _QUERY_CHARACTERS_MAX or len(words) > _WORDS_MAX:
        raise Refused(
            "search", f"it may have {_WORDS_MAX} words and {_QUERY_CHARACTERS_MAX} characters"
        )
    return tuple(dict.fromkeys(map(_term, words)))


def _term(text: str) -> Term:
    prefix, colon, word = text.partition(":")
    field = prefix.lower().replace("-", "_")
    field = _FIELD_ALIASES.get(field, field)
    # Words have colons too, as in `::` or in URLs; only a known field narrows.
    if not colon or field not in FIELDS:
        return Term(folded(text))
    if not word:
        raise Refused("search", f"a word is missing behind {text!r}; do not put a space there")
    return Term(folded(word), field)


def _number(parameters: Mapping[str, str], name: str, usual: int, *, least: int, most: int) -> int:
    text = parameters.get(name)
    if text is None:
        return usual
    if not _NUMBER.fullmatch(text) or not least <= int(text) <= most:
        raise Refused("search", f"{name} is {text[:40]!r}, not a number from {least} to {most}")
    return int(text)


def _project(result: SearchResult, href_prefix: str) -> JsonValue:
    project = result.found.project
    shown: dict[str, JsonValue] = {"name": project.name}
    if project.display_name != project.name:
        shown["display-name"] = project.display_name
    return shown | {
        "version": result.found.version,
        "summary": result.summary,
        "matched": list(result.found.matched),
        "url": f"{href_prefix}+simple/{project.name}/",
    }
