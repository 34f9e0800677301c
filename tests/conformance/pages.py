"""Pages of the simple API as records, read without the help of any client's parser."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

HASH_NAMES = frozenset({"md5", "sha1", "sha224", "sha256", "sha384", "sha512"})
"""Those that a link may have in its fragment."""

_VOID = frozenset({"meta", "br", "hr", "link", "base", "img", "input"})
_ATTRIBUTE = re.compile(r"""\s+[^\s"'<>/=]+(\s*=\s*("[^"]*"|'[^']*'))?""")
_TAG = re.compile(r"<[^<>]*>")
_LONE_AMPERSAND = re.compile(r"&(?!([a-zA-Z][a-zA-Z0-9]*|#[0-9]+|#[xX][0-9a-fA-F]+);)")


@dataclass(frozen=True, slots=True)
class Anchor:
    """One `<a>` with an href."""

    href: str
    text: str
    attributes: Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class HtmlPage:
    """A page, and where it was found."""

    url: str
    source: str
    anchors: tuple[Anchor, ...]
    metas: tuple[tuple[str, str], ...]
    """Names and contents of `<meta>`."""
    base: str | None
    faults: tuple[str, ...]
    """What a validator would report, as far as this one looks."""

    def meta(self, name: str) -> list[str]:
        """The contents of all `<meta>` of a name."""
        return [content for known, content in self.metas if known == name]

    def absolute(self, href: str) -> str:
        """Where a link leads, by the rules of browsers: `<base>` first, then the page's URL."""
        return urljoin(urljoin(self.url, self.base or ""), href)


@dataclass(frozen=True, slots=True)
class ShownFile:
    """What a page says of a file, in terms that both forms share."""

    filename: str
    url: str
    """Absolute, without its fragment."""
    hashes: Mapping[str, str] = field(default_factory=dict)
    requires_python: str | None = None
    yanked: str | None = None
    """The reason, which may be empty; None for a file that is not yanked."""
    core_metadata: Mapping[str, str] | None = None
    """Digests; empty if it is there and its digest is not told; None if it is not announced."""
    gpg_sig: bool | None = None
    provenance: str | None = None


def parse_html(source: str, url: str) -> HtmlPage:
    """Read a page that is well-formed, and much that is not."""
    reader = _Reader()
    reader.feed(source)
    reader.close()
    faults = list(reader.faults)
    faults += [f"<{tag}> is not closed" for tag in reader.open_tags]
    faults += [
        f"there is no <{tag}>" for tag in ("html", "head", "title") if tag not in reader.seen
    ]
    if not re.match(r"(?i)<!doctype html>", source):
        faults.append("it does not begin with the doctype of HTML5")
    if _LONE_AMPERSAND.search(source):
        faults.append("an ampersand is not escaped")
    if set("<>") & set(_TAG.sub("", source)):
        faults.append("an angle bracket is not escaped")
    return HtmlPage(
        url, source, tuple(reader.anchors), tuple(reader.metas), reader.base, tuple(faults)
    )


def files_of_html(page: HtmlPage) -> dict[str, ShownFile]:
    """The files of a page by their names; the names are those of the URLs."""
    return {file.filename: file for file in map(lambda each: _html_file(page, each), page.anchors)}


def files_of_json(document: Any, url: str) -> dict[str, ShownFile]:
    """The files of a JSON page by their names."""
    return {each["filename"]: _json_file(each, url) for each in document["files"]}


def _html_file(page: HtmlPage, anchor: Anchor) -> ShownFile:
    url, _, fragment = page.absolute(anchor.href).partition("#")
    said = anchor.attributes
    metadata = said.get("data-core-metadata")
    gpg_sig = said.get("data-gpg-sig")
    return ShownFile(
        filename=unquote(urlsplit(url).path.rpartition("/")[2]),
        url=url,
        hashes=_digests(fragment),
        requires_python=said.get("data-requires-python"),
        yanked=(said["data-yanked"] or "") if "data-yanked" in said else None,
        core_metadata=None if metadata is None else _digests(metadata),
        gpg_sig=None if gpg_sig is None else gpg_sig == "true",
        provenance=said.get("data-provenance"),
    )


def _json_file(file: Mapping[str, Any], url: str) -> ShownFile:
    metadata, yanked = file.get("core-metadata"), file.get("yanked", False)
    return ShownFile(
        filename=file["filename"],
        url=urljoin(url, file["url"]),
        hashes=file["hashes"],
        requires_python=file.get("requires-python"),
        yanked=None if yanked is False else "" if yanked is True else yanked,
        core_metadata=None if not metadata else {} if metadata is True else metadata,
        gpg_sig=file.get("gpg-sig"),
        provenance=file.get("provenance"),
    )


def _digests(text: str) -> dict[str, str]:
    name, _, digest = text.partition("=")
    return {name: digest} if digest else {}


class _Reader(HTMLParser):
    """Collects what the records need, and what is wrong on the way."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.anchors: list[Anchor] = []
        self.metas: list[tuple[str, str]] = []
        self.base: str | None = None
        self.faults: list[str] = []
        self.open_tags: list[str] = []
        self.seen: set[str] = set()
        self._link: tuple[str, Mapping[str, str | None]] | None = None
        self._text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        if tag not in _VOID:
            self.open_tags.append(tag)
        self._check_source(tag)
        said = dict(attrs)
        if len(said) != len(attrs):
            self.faults.append(f"<{tag}> has an attribute twice")
        if tag == "meta" and said.get("name"):
            self.metas.append((said["name"] or "", said.get("content") or ""))
        elif tag == "base":
            self.base = said.get("href")
        elif tag == "a" and said.get("href") is not None:
            self._link, self._text = (said["href"] or "", said), ""

    def handle_endtag(self, tag: str) -> None:
        if not self.open_tags or self.open_tags[-1] != tag:
            self.faults.append(f"</{tag}> closes nothing, or too much")
        if tag in self.open_tags:
            while self.open_tags.pop() != tag:
                pass
        if tag == "a" and self._link is not None:
            self.anchors.append(Anchor(self._link[0], self._text.strip(), self._link[1]))
            self._link = None

    def handle_data(self, data: str) -> None:
        if self._link is not None:
            self._text += data

    def _check_source(self, tag: str) -> None:
        source = self.get_starttag_text() or ""
        rest = _ATTRIBUTE.sub("", source[1 + len(tag) :])
        if rest.strip() not in (">", "/>"):
            self.faults.append(f"an attribute without quotes, or worse: {source[:200]}")
