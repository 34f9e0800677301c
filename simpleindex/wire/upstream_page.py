"""Project pages of other indexes, as JSON or as HTML: what they say, as far as it can be used.

Nothing in them is trusted. A page that is none is refused, and an entry that is none is left out:
of what stays, no name leads out of a folder, and no URL to anything but a web server.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from html.parser import HTMLParser
from typing import TypeAlias
from urllib.parse import quote, unquote, urljoin, urlsplit

from simpleindex.wire.simple_page import PageFile, ProjectPage
from simpleindex_storage.errors import Refused
from simpleindex_storage.model import JsonValue, ProjectStatus
from simpleindex_storage.names import ProjectName, parse_version, split_filename

Attributes: TypeAlias = Mapping[str, str | None]
"""Of an anchor, by name in lower case. None: it has no value."""

_STEP_CHARACTERS = 1 << 14
_UNFINISHED_CHARACTERS_MAX = 1 << 17
"""Of a tag, a comment or a script, and between two anchors."""
_TEXT_CHARACTERS_MAX = 1 << 12
_ANCHOR_END = re.compile(r"</a[ \t\r\n]{0,9}>", re.IGNORECASE)

_HASH_CHARACTERS = {"sha256": 64, "sha384": 96, "sha512": 128, "md5": 32, "blake2b_256": 64}
_HEX = re.compile(r"[0-9A-Fa-f]+")
_INTEGER_MAX = (1 << 63) - 1
_UNFIT = re.compile("[\x00\ud800-\udfff]")
"""What no database and no encoding takes."""

_API_VERSION = re.compile(r"1(\.[0-9]+)?")
_QUOTED_URL = re.compile(
    r"https?://[A-Za-z0-9._-]+(?::[1-9][0-9]{0,3})?(?:/[A-Za-z0-9._~!$&'()*+,;=:@/?%-]*)?"
)
"""One that can be passed on as it is: without user and password, blanks, or a fragment."""
_NETLOC = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_UNQUOTED = "/~!$&'()*+,;=:@%"
"""What stays as it is in a path, besides letters and digits. What is quoted is not quoted again."""


class BadPage(Exception):
    """A page of another index cannot be used. One line for people tells why."""


def parse_page(body: bytes, content_type: str, url: str, project: ProjectName) -> ProjectPage:
    """The page of a project, with its files at absolute URLs. Raises BadPage.

    `url` is where the page was found in the end. Left out are files that have the name of an
    earlier one, of another project, or of no wheel, sdist or egg, and those without a web address;
    so is what is said of a file in words that no standard knows.
    """
    page_url = _joined("", url) or ""  # so that credentials in it get into no link
    parse = _parse_json if is_json(content_type, body) else _parse_html
    return parse(body, page_url, project)


def is_json(content_type: str, body: bytes) -> bool:
    """Whether it is JSON rather than HTML. The beginning of the body is enough."""
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type.endswith("json"):
        return True
    if "html" in media_type:
        return False
    return body[:1000].removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{")


def check_api_version(version: JsonValue) -> None:
    """Raises BadPage for a version of the simple API that is not 1.x (PEP 629)."""
    if not isinstance(version, str):
        raise BadPage("its version of the simple API is no text")
    if not _API_VERSION.fullmatch(version.strip()):
        raise BadPage(f"it has version {version[:20]!a} of the simple API, not 1.x")


class AnchorParser:
    """Tells of each anchor of an HTML document; chunks may be cut anywhere."""

    def __init__(self, url: str, take: Callable[[str, Attributes, str], None]) -> None:
        """`take` is called with each anchor: what it is relative to, its attributes, its text."""
        self._reader = _AnchorReader(url, take)
        self._waiting = ""
        self._searched = _STEP_CHARACTERS

    def feed(self, text: str) -> None:
        """Raises BadPage."""
        # Python's parser may take a `>` in an attribute for the end of a tag where a chunk ends
        # before the quote does. So it is fed in steps that end with an anchor, wherever chunks do.
        self._waiting += text
        start = 0
        while end := _ANCHOR_END.search(self._waiting, start + self._searched):
            self._read(self._waiting[start : end.end()])
            start, self._searched = end.end(), _STEP_CHARACTERS
        self._waiting = self._waiting[start:]
        self._searched = max(_STEP_CHARACTERS, len(self._waiting) - 16)
        _check_unfinished(self._waiting)

    def end(self) -> "Head":
        """What the head of the document says, and whether the document is whole. Raises BadPage."""
        self._read(self._waiting)
        return self._reader.end()

    def _read(self, text: str) -> None:
        _check_unfinished(text)
        try:
            self._reader.feed(text)
        except (AssertionError, ValueError):
            # Python's parser has no errors of its own: the one stands for an odd declaration, the
            # other for a character reference of thousands of digits.
            raise BadPage("it is not HTML") from None
        _check_unfinished(self._reader.rawdata)


@dataclass(frozen=True, slots=True)
class Head:
    """What an HTML document says of itself."""

    title: str
    meta: Mapping[str, str]
    """By name; of the names of the simple API alone."""
    is_whole: bool
    """Nothing is left open at its end."""

    @property
    def is_of_the_simple_api(self) -> bool:
        """Whether the document says so itself."""
        return "pypi:repository-version" in self.meta


class _AnchorReader(HTMLParser):
    def __init__(self, url: str, take: Callable[[str, Attributes, str], None]) -> None:
        super().__init__()
        self._url = url
        self._base_url: str | None = None
        self._take = take
        self._title = ""
        self._in_title = False
        self._meta: dict[str, str] = {}
        self._is_open = {"html": False, "body": False}
        self._anchor: Attributes | None = None
        self._text = ""

    def end(self) -> Head:
        """In place of `close`, which takes minutes for some tens of kilobytes of unfinished tags.

        An anchor that was left open ends with the document.
        """
        is_open = self._anchor is not None or "<" in self.rawdata or any(self._is_open.values())
        self._end_anchor()
        return Head(self._title.strip(), self._meta, not is_open)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self._end_anchor()
            self._anchor, self._text = dict(reversed(attrs)), ""  # the first of a name counts
        elif tag == "base":
            if self._base_url is None and (href := dict(reversed(attrs)).get("href")):
                self._base_url = _joined(self._url, href)
        elif tag == "meta":
            self._note_meta(dict(reversed(attrs)))
        elif tag == "title":
            self._in_title = not self._title
        elif tag in self._is_open:
            self._is_open[tag] = True

    def handle_endtag(self, tag: str) -> None:
        if tag == "a":
            self._end_anchor()
        elif tag == "title":
            self._in_title = False
        elif tag in self._is_open:
            self._is_open = dict.fromkeys(self._is_open, False)  # either tells of the end

    def handle_data(self, data: str) -> None:
        if self._anchor is not None and len(self._text) < _TEXT_CHARACTERS_MAX:
            self._text += data
        elif self._in_title and len(self._title) < _TEXT_CHARACTERS_MAX:
            self._title += data

    def _end_anchor(self) -> None:
        if self._anchor is not None:
            attributes, self._anchor = self._anchor, None
            self._take(self._base_url or self._url, attributes, self._text.strip())

    def _note_meta(self, attributes: Attributes) -> None:
        name, content = attributes.get("name") or "", attributes.get("content") or ""
        if name == "pypi:repository-version":
            check_api_version(content)
        if name.startswith("pypi:") and len(self._meta) < 100:
            self._meta.setdefault(name, content)


def _check_unfinished(text: str) -> None:
    if len(text) > _UNFINISHED_CHARACTERS_MAX:
        raise BadPage(f"it has {_UNFINISHED_CHARACTERS_MAX} characters that end with no tag")


# JSON


def _parse_json(body: bytes, url: str, project: ProjectName) -> ProjectPage:
    document = _json_object(body)
    meta, entries = document.get("meta"), document.get("files")
    if not isinstance(entries, list):
        raise BadPage("it is JSON, but has no list of files")
    says_version = isinstance(meta, dict) and "api-version" in meta
    if isinstance(meta, dict) and says_version:
        check_api_version(meta["api-version"])
    files = _Files(project)
    for entry in entries:
        if isinstance(entry, dict):
            _add_json(files, url, entry)
    if not (says_version or files.found):
        # Else any JSON that has files would tell that the project has none.
        raise BadPage("it is JSON, but tells no version of the simple API, and no file of use")
    status, versions = document.get("project-status"), document.get("versions")
    return files.page(
        status=_text(status.get("status")) if isinstance(status, dict) else None,
        reason=_text(status.get("reason")) if isinstance(status, dict) else None,
        versions=versions if isinstance(versions, list) else (),
        serial=_count(meta.get("_last-serial")) if isinstance(meta, dict) else None,
    )


def _json_object(body: bytes) -> Mapping[str, JsonValue]:
    try:
        document: JsonValue = json.loads(body.decode("utf-8-sig"))
    except (ValueError, RecursionError):  # ValueError: also not UTF-8, or a number without end
        raise BadPage("it is not valid JSON") from None
    if not isinstance(document, dict):
        raise BadPage("it is JSON, but not an object")
    return document


def _add_json(files: "_Files", page_url: str, entry: Mapping[str, JsonValue]) -> None:
    get = entry.get
    filename, href = get("filename"), get("url")
    if not isinstance(filename, str) or not isinstance(href, str):
        return
    version = files.version_of(filename)
    url = _located(page_url, href.partition("#")[0])
    if version is None or url is None:
        return
    hashes, gpg_sig = get("hashes"), get("gpg-sig")
    files.add(
        version,
        PageFile(
            filename,
            url,
            _known_hashes(hashes.items()) if isinstance(hashes, dict) else {},
            size_bytes=_count(get("size")),
            uploaded_at=_moment(get("upload-time")),
            requires_python=_text(get("requires-python")),
            metadata=_json_metadata(entry),
            yanked=_json_yanked(get("yanked")),
            gpg_sig=gpg_sig if isinstance(gpg_sig, bool) else None,
            provenance=_web_address(get("provenance")),
        ),
    )


def _json_metadata(entry: Mapping[str, JsonValue]) -> Mapping[str, str] | bool | None:
    for key in ("core-metadata", "dist-info-metadata", "data-dist-info-metadata"):
        match entry.get(key):
            case bool() as is_there:
                return is_there
            case dict() as digests:
                return _known_hashes(digests.items()) or True
    return None


def _json_yanked(value: JsonValue) -> str | None:
    if isinstance(value, str) and value:  # PEP 691: what is truthy counts
        return _text(value) or ""
    return "" if value is True else None


def _count(value: JsonValue) -> int | None:
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if 0 <= value <= _INTEGER_MAX else None


def _moment(value: JsonValue) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
        return moment.astimezone(UTC) if moment.tzinfo else None
    except (ValueError, OverflowError):  # the latter at the ends of the calendar
        return None


# HTML


def _parse_html(body: bytes, url: str, project: ProjectName) -> ProjectPage:
    files = _Files(project)
    parser = AnchorParser(url, partial(_add_html, files))
    parser.feed(body.decode("utf-8-sig", "replace"))
    head = parser.end()
    if not (files.found or head.is_of_the_simple_api or head.title.startswith("Links for")):
        # The page of a proxy or of a login must not count as one of a project without files.
        raise BadPage("it is not a page of the simple API: it has no links to files of the project")
    return files.page(
        status=head.meta.get("pypi:project-status"),
        reason=_text(head.meta.get("pypi:project-status-reason")),
    )


def _add_html(files: "_Files", base_url: str, attributes: Attributes, text: str) -> None:
    href, _, fragment = (attributes.get("href") or "").partition("#")
    url = _located(base_url, href)
    if url is None:
        return
    # The text should be the same (PEP 503), but some servers shorten it, others number their URLs.
    filename = unquote(url.partition("?")[0].rpartition("/")[2])
    version = files.version_of(filename)
    if version is None:
        filename, version = text, files.version_of(text)
    if version is None:
        return
    get = attributes.get
    files.add(
        version,
        PageFile(
            filename,
            url,
            _known_hashes(_pairs(fragment)),
            requires_python=_text(get("data-requires-python")),
            metadata=_html_metadata(attributes),
            yanked=_text(get("data-yanked")) or "" if "data-yanked" in attributes else None,
            gpg_sig={"true": True, "false": False}.get(get("data-gpg-sig") or ""),
            provenance=_web_address(get("data-provenance")),
        ),
    )


def _html_metadata(attributes: Attributes) -> Mapping[str, str] | bool | None:
    for key in ("data-core-metadata", "data-dist-info-metadata"):
        if key in attributes:
            value = attributes[key] or ""
            return value.lower() != "false" and (_known_hashes(_pairs(value)) or True)
    return None


def _pairs(text: str) -> Iterable[tuple[str, str]]:
    for part in text.split("&") if text else ():
        algorithm, _, digest = part.partition("=")
        yield algorithm, digest


# Both


class _Files:
    """The files of a page, while it is read."""

    def __init__(self, project: ProjectName) -> None:
        self.found: dict[str, PageFile] = {}
        self._project = project
        self._versions: dict[str, None] = {}

    def version_of(self, filename: str) -> str | None:
        """None: it is no name of a file of the project, or not the first of that name."""
        try:
            project, version = split_filename(filename)
        except Refused:
            return None
        return version if project == self._project and filename not in self.found else None

    def add(self, version: str, file: PageFile) -> None:
        """Add a file of that version, under a name that is new."""
        self.found[file.filename] = file
        self._versions[version] = None

    def page(
        self,
        status: str | None,
        reason: str | None,
        versions: Iterable[JsonValue] = (),
        serial: int | None = None,
    ) -> ProjectPage:
        """The page, with the versions as they were listed, and those of all files."""
        shown: dict[str, str] = {}
        for text in versions:
            if isinstance(text, str) and (version := _version(text)):
                shown.setdefault(version, text.strip())
        for version in self._versions:
            shown.setdefault(version, version)
        known_status = _known_status(status)
        return ProjectPage(
            self._project,
            tuple(self.found.values()),
            tuple(shown.values()),
            known_status or ProjectStatus.ACTIVE,
            (reason or None) if known_status else None,
            serial,
        )


def _known_status(text: str | None) -> ProjectStatus | None:
    return next((status for status in ProjectStatus if status == text), None)


def _version(text: str) -> str | None:
    try:
        return parse_version(text)
    except Refused:
        return None


def _known_hashes(told: Iterable[tuple[str, JsonValue]]) -> dict[str, str]:
    hashes = {}
    for algorithm, digest in told:
        characters = _HASH_CHARACTERS.get(algorithm)
        if isinstance(digest, str) and len(digest) == characters and _HEX.fullmatch(digest):
            hashes[algorithm] = digest.lower()
    return hashes


def _text(value: JsonValue) -> str | None:
    if not isinstance(value, str):
        return None
    return value if value.isprintable() or not _UNFIT.search(value) else None


def _web_address(value: JsonValue) -> str | None:
    return _located("", value) if isinstance(value, str) else None


def _located(base_url: str, href: str) -> str | None:
    """The absolute URL; None if it leads to no web server."""
    url = href.strip()
    if not url:
        return None
    return url if _QUOTED_URL.fullmatch(url) else _joined(base_url, url)


def _joined(base_url: str, href: str) -> str | None:
    """Both as one absolute URL to a web server: quoted, without credentials and fragment."""
    try:
        url = urljoin(base_url, href)
        if _QUOTED_URL.fullmatch(url):
            return url
        parts = urlsplit(url)
        netloc = parts.netloc.rpartition("@")[2]
        has_place = bool(_NETLOC.fullmatch(netloc)) and parts.port != 0
        if parts.scheme not in ("http", "https") or not has_place:
            return None
        path = quote(parts.path, safe=_UNQUOTED)
        query = "?" + quote(parts.query, safe=_UNQUOTED + "?") if parts.query else ""
    except ValueError:  # no URL, no port, or half a character
        return None
    return f"{parts.scheme}://{netloc}{path}{query}"
