"""What must hold of the parsers of other indexes' pages, in checks like those of `wire_checks`."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar

from packaging.utils import canonicalize_name

from simpleindex.wire import mirror_page, simple_html, simple_json
from simpleindex.wire.simple_page import ProjectPage
from simpleindex.wire.upstream_list import ELEMENT_CHARACTERS_MAX, NamesInHtml, NamesInJson
from simpleindex.wire.upstream_page import BadPage, parse_page
from simpleindex_storage.errors import Refused
from simpleindex_storage.model import ProjectStatus
from simpleindex_storage.names import parse_project_name, split_filename
from tests.fuzz.outcomes import shortened

PROJECT = canonicalize_name("demo")
PAGE_URL = "https://user:password@index.example/simple/demo/"

_URL = re.compile(r"https?://[A-Za-z0-9._:\[\]-]+(?:[/?][!-~]*)?")
_PIECES_MAX = 100
_NOW = datetime(2024, 1, 1, tzinfo=UTC)

_Value = TypeVar("_Value")


def json_page(data: bytes) -> bool:
    """What comes of a page can be shown, and means the same then."""
    page = _taken(lambda: parse_page(data, "application/json", PAGE_URL, PROJECT))
    if page is None:
        return False
    _check_page(page)
    if page.status is not ProjectStatus.QUARANTINED:
        shown = simple_json.render_project(page)
        again = parse_page(shown, "application/json", PAGE_URL, PROJECT)
        assert _essence(again) == _essence(page)
        assert (again.versions, again.status, again.serial) == (
            page.versions, page.status, page.serial,
        )  # fmt: skip
    return bool(page.files)


def html_page(data: bytes) -> bool:
    """As for JSON."""
    page = _taken(lambda: parse_page(data, "text/html", PAGE_URL, PROJECT))
    if page is None:
        return False
    _check_page(page)
    if page.status is not ProjectStatus.QUARANTINED:
        shown = simple_html.render_project(page)
        assert _essence(parse_page(shown, "text/html", PAGE_URL, PROJECT)) == _essence(page)
    return bool(page.files)


def _check_page(page: ProjectPage) -> None:
    """Nothing in it can do harm, and all of it can be kept."""
    names = [file.filename for file in page.files]
    assert len(set(names)) == len(names)
    for file in page.files:
        assert split_filename(file.filename)[0] == PROJECT
        assert _URL.fullmatch(file.url), f"no lawful URL: {file.url[:200]!a}"
        assert "#" not in file.url
        for digests in (file.hashes, file.metadata):
            if isinstance(digests, dict):
                assert all(re.fullmatch("[0-9a-f]{32,128}", value) for value in digests.values())
        assert file.size_bytes is None or 0 <= file.size_bytes < 1 << 63
        assert file.uploaded_at is None or file.uploaded_at.tzinfo is UTC
        for text in (file.requires_python, file.yanked, file.provenance, page.status_reason):
            assert "\0" not in (text or "").encode().decode()
    kept = mirror_page.merged(None, None, page, _NOW)
    assert mirror_page.decode(mirror_page.encode(kept)) == kept
    assert mirror_page.merged(kept, _NOW, page, _NOW) == kept


def _essence(page: ProjectPage) -> list[object]:
    """What both forms show of each file, whatever else they show."""
    return [
        (file.filename, file.url, file.hashes.get("sha256"), file.yanked is None)
        for file in page.files
    ]


def json_list(data: bytes) -> bool:
    """The names in a list are those that Python's own parser finds, in any chunks."""
    names = _names(lambda: NamesInJson(step_bytes=1), data)
    expected = _expected_names(data)
    if expected is not None:
        assert names == expected, f"{shortened(names)} instead of {shortened(expected)}"
    return names is not None


def html_list(data: bytes) -> bool:
    """The names in a list are the same in any chunks."""
    return _names(NamesInHtml, data) is not None


def _names(make_parser: Callable[[], NamesInJson | NamesInHtml], data: bytes) -> list[str] | None:
    """The first byte tells how long the pieces are."""
    body = data[1:]
    piece_bytes = max(1 + (data or b"\0")[0], len(body) // _PIECES_MAX)

    def told(*chunks: bytes) -> list[str]:
        parser = make_parser()
        names = [name for chunk in chunks for name in parser.feed(chunk)]
        return [*names, *parser.close()]

    whole = _taken(lambda: told(body))
    cut = (body[at : at + piece_bytes] for at in range(0, len(body), piece_bytes))
    in_pieces = _taken(lambda: told(*cut))
    assert in_pieces == whole, f"whole: {shortened(whole)}, in pieces: {shortened(in_pieces)}"
    for name in whole or ():
        assert parse_project_name(name) == name
    return whole


def _expected_names(data: bytes) -> list[str] | None:
    """None: it is no list, or not a plain one."""
    body = data[1:]
    if len(body) > ELEMENT_CHARACTERS_MAX or body.count(b"projects") > 1 or b"api-v" in body:
        return None
    try:
        document = json.loads(body.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return None
    projects = document.get("projects") if isinstance(document, dict) else None
    if not isinstance(projects, list) or b"\\" in body:
        return None
    named = [project.get("name") for project in projects if isinstance(project, dict)]
    return [name for each in named if isinstance(each, str) for name in _lawful(each)]


def _lawful(text: str) -> list[str]:
    try:
        return [parse_project_name(text)]
    except Refused:
        return []


def _taken(work: Callable[[], _Value]) -> _Value | None:
    try:
        return work()
    except BadPage as bad:
        line = str(bad)
        assert line.isprintable(), f"a line that cannot be printed: {ascii(line)[:300]}"
        assert len(line) < 300, f"a line of {len(line)} characters"
        return None
