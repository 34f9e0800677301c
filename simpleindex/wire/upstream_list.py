"""The list of another index's projects, as JSON or as HTML, read while it arrives.

Such lists have hundreds of thousands of names. Of the list itself, never more than a piece is in
memory. Names that no project may have are left out; one that is listed twice is told twice.
"""

import codecs
import json
import re
from enum import Enum, auto

from simpleindex.wire.upstream_page import (
    AnchorParser,
    Attributes,
    BadPage,
    check_api_version,
    is_json,
)
from simpleindex_storage.errors import Refused
from simpleindex_storage.model import JsonValue
from simpleindex_storage.names import ProjectName, parse_project_name

ELEMENT_CHARACTERS_MAX = 1 << 16
"""Of one project in a list as JSON, and of any one thing that is said beside the projects."""

_STEP_BYTES = 1 << 14
"""Fewer are not looked at, so that no element is begun anew with each of a thousand chunks."""

_NORMALISED = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_decode_value = json.JSONDecoder().raw_decode


def names_parser(content_type: str, first_chunk: bytes) -> "NamesInJson | NamesInHtml":
    """The parser for a list of which the first chunk is known. The chunk is still to be fed."""
    return NamesInJson() if is_json(content_type, first_chunk) else NamesInHtml()


class NamesInHtml:
    """The names in a list as HTML (PEP 503): the text of each anchor."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")("replace")
        self._parser = AnchorParser("", self._take)
        self._names: list[ProjectName] = []
        self._has_names = False

    def feed(self, chunk: bytes) -> list[ProjectName]:
        """The names that have arrived. Raises BadPage."""
        self._parser.feed(self._decoder.decode(chunk))
        return self._arrived()

    def close(self) -> list[ProjectName]:
        """The last names. Raises BadPage if the list is not complete, or is none."""
        self._parser.feed(self._decoder.decode(b"", True))
        head = self._parser.end()
        if not head.is_whole:
            raise BadPage("it breaks off before the end of the HTML")
        names = self._arrived()
        is_marked = head.is_of_the_simple_api or head.title.lower().startswith("simple index")
        if not (self._has_names or is_marked):
            raise BadPage("it is not a page of the simple API: it has no links to projects")
        return names

    def _take(self, _base_url: str, _attributes: Attributes, text: str) -> None:
        # Web servers that list a folder show the names of folders with a slash.
        if name := _lawful_name(text.removesuffix("/")):
            self._names.append(name)

    def _arrived(self) -> list[ProjectName]:
        arrived, self._names = self._names, []
        self._has_names = self._has_names or bool(arrived)
        return arrived


class _Before(Enum):
    """What comes next in a list as JSON."""

    START = auto()
    KEY = auto()
    PROJECT = auto()
    COMMA = auto()
    """Another key, or the end of them."""
    END = auto()


class _NotYetError(Exception):
    """More must arrive, or it is no JSON: which of them, its end or too great a length tells."""


_START = re.compile(r"[ \t\r\n]*\{[ \t\r\n]*(?:(\})|(?=[^ \t\r\n}]))")
_COLON = re.compile(r"[ \t\r\n]*:[ \t\r\n]*")
_LIST_START = re.compile(r"\[[ \t\r\n]*(?:(\])|(?=[^ \t\r\n\]]))")
_COMMA = re.compile(r"[ \t\r\n]*(?:(\})|,)")
_DELIMITER = re.compile(r"[ \t\r\n]*([,\]}])")
"""Behind a value. As long as there is none, a number may have more digits to come."""
_BLANKS = re.compile(r"[ \t\r\n]*")


class NamesInJson:
    """The names in a list as JSON (PEP 691)."""

    def __init__(self, *, step_bytes: int = _STEP_BYTES) -> None:
        """`step_bytes`: chunks are gathered until there are so many."""
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._step_bytes = step_bytes
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._text = ""
        self._at = 0
        """Up to where the text is understood."""
        self._before = _Before.START
        self._names: list[ProjectName] = []
        self._has_projects = False

    def feed(self, chunk: bytes) -> list[ProjectName]:
        """The names that have arrived. Raises BadPage."""
        self._waiting.append(chunk)
        self._waiting_bytes += len(chunk)
        return self._arrived(is_last=False) if self._waiting_bytes >= self._step_bytes else []

    def close(self) -> list[ProjectName]:
        """The last names. Raises BadPage if the list is not complete, or is none."""
        names = self._arrived(is_last=True)
        if self._before is not _Before.END:
            raise BadPage("it is not valid JSON, or it breaks off")
        if not self._has_projects:
            raise BadPage("it is JSON, but has no list of projects")
        return names

    def _arrived(self, *, is_last: bool) -> list[ProjectName]:
        try:
            arrived = self._decoder.decode(b"".join(self._waiting), is_last)
        except UnicodeDecodeError:
            raise BadPage("it is not in UTF-8") from None
        self._waiting, self._waiting_bytes = [], 0
        self._text, self._at = self._text[self._at :] + arrived, 0
        self._read()
        names, self._names = self._names, []
        return names

    def _read(self) -> None:
        """Go on as far as things are complete."""
        try:
            while self._before is not _Before.END:
                self._read_next()
            self._at = self._match(_BLANKS, self._at).end()
        except _NotYetError:
            self._check_length(len(self._text))
        except (ValueError, RecursionError):  # ValueError: a number of thousands of digits
            raise BadPage("it is not valid JSON") from None
        if self._before is _Before.END and self._at < len(self._text):
            raise BadPage("it is not valid JSON: it goes on behind its end")

    def _read_next(self) -> None:
        match self._before:
            case _Before.START:
                start = self._match(_START, self._at)
                self._go_on(start.end(), _Before.END if start[1] else _Before.KEY)
            case _Before.KEY:
                self._read_key()
            case _Before.PROJECT:
                while self._before is _Before.PROJECT:
                    self._read_project()
            case _:
                comma = self._match(_COMMA, self._at)
                self._go_on(comma.end(), _Before.END if comma[1] else _Before.KEY)

    def _read_key(self) -> None:
        key, end = self._value(self._at)
        if not isinstance(key, str):
            raise BadPage("it is not valid JSON: a key is no text")
        end = self._match(_COLON, end).end()
        if key == "projects":
            start = self._match(_LIST_START, end)
            self._has_projects = True
            self._go_on(start.end(), _Before.COMMA if start[1] else _Before.PROJECT)
            return
        value, end = self._value(end)
        self._match(_DELIMITER, end)
        if key == "meta" and isinstance(value, dict) and "api-version" in value:
            check_api_version(value["api-version"])
        self._go_on(end, _Before.COMMA)

    def _read_project(self) -> None:
        project, end = self._value(self._at)
        delimiter = self._match(_DELIMITER, end)
        if delimiter[1] == "}":
            raise BadPage("it is not valid JSON: a list ends like an object")
        name = project.get("name") if isinstance(project, dict) else None
        if isinstance(name, str) and (lawful := _lawful_name(name)):
            self._names.append(lawful)
        self._go_on(delimiter.end(), _Before.PROJECT if delimiter[1] == "," else _Before.COMMA)

    def _value(self, start: int) -> tuple[JsonValue, int]:
        """The value that begins there, and where it ends."""
        try:
            value: tuple[JsonValue, int] = _decode_value(
                self._text, self._match(_BLANKS, start).end()
            )
        except json.JSONDecodeError:
            raise _NotYetError from None
        return value

    def _match(self, pattern: re.Pattern[str], start: int) -> re.Match[str]:
        match = pattern.match(self._text, start)
        if match is None:
            raise _NotYetError
        return match

    def _go_on(self, at: int, before: _Before) -> None:
        self._check_length(at)
        self._at, self._before = at, before

    def _check_length(self, end: int) -> None:
        if end - self._at > ELEMENT_CHARACTERS_MAX:
            raise BadPage(f"it has an element of more than {ELEMENT_CHARACTERS_MAX} characters")


def _lawful_name(text: str) -> ProjectName | None:
    if _NORMALISED.fullmatch(text):
        return ProjectName(text)
    try:
        return parse_project_name(text)
    except Refused:
        return None
