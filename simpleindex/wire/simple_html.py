"""Pages of the simple repository API as HTML: PEP 503, and what later PEPs added up to 1.4."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from itertools import islice

from simpleindex.wire.simple_page import (
    API_VERSION,
    PageFile,
    ProjectListPage,
    ProjectPage,
    valid_requires_python,
)

_LINK_HASHES = ("sha256", "sha512", "sha384", "md5")
"""uv refuses a page with sha1 or sha224 in a fragment; these four are understood by everybody."""

_NAMES_PER_PART = 2000

_NOT_IN_HTML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
"""No HTML document may hold these, and some parsers end at the first NUL."""


def render_project(page: ProjectPage) -> bytes:
    """The page of a project, in UTF-8: one anchor for each file, and no other anchor."""
    before, after = project_frame(page)
    return before + render_files(page.offered_files) + after


def project_frame(page: ProjectPage) -> tuple[bytes, bytes]:
    """What stands before the files of a page, and what stands behind them."""
    lines = [*_head(f"Links for {page.name}", _status(page)), ""]
    return "\n".join(lines).encode(), "\n".join(_TAIL).encode()


def render_files(files: Sequence[PageFile]) -> bytes:
    """The anchors of some files: those of a page, put together, make up its middle."""
    requires_python = {
        value: _attribute("data-requires-python", value) for value in valid_requires_python(files)
    }
    anchors = (
        _file_anchor(file, requires_python.get(file.requires_python or "")) for file in files
    )
    return "".join(f"{anchor}\n" for anchor in anchors).encode()


def render_list(page: ProjectListPage, *, href_prefix: str = "") -> bytes:
    """The list of an index's projects, in UTF-8.

    `href_prefix` leads from the list to where the project pages are: nothing on `+simple/` itself,
    `+simple/` on the page of the index.
    """
    return b"".join(list_parts(page.projects, href_prefix=href_prefix))


def list_parts(names: Iterable[str], *, href_prefix: str = "") -> Iterator[bytes]:
    """As `render_list`, part by part: a mirror's list has hundreds of thousands of names."""
    yield "\n".join([*_head("Projects", []), ""]).encode()
    prefix, rest = _escaped(href_prefix), iter(names)
    while some := list(islice(rest, _NAMES_PER_PART)):
        # Escaped in one piece, which is quicker; a normalised name has no line break in it.
        escaped = _escaped("\n".join(some)).split("\n")
        lines = (f'<a href="{prefix}{name}/">{name}</a><br>\n' for name in escaped)
        yield "".join(lines).encode()
    yield "\n".join(_TAIL).encode()


_TAIL = ("</body>", "</html>", "")


def _head(title: str, extra_meta: list[str]) -> list[str]:
    title = _escaped(title)
    return [
        "<!DOCTYPE html>",  # pip 22.0 refuses a page that begins otherwise
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        f'<meta name="pypi:repository-version" content="{API_VERSION}">',
        *extra_meta,
        f"<title>{title}</title>",
        "</head>",
        "<body>",
        f"<h1>{title}</h1>",
    ]


def _status(page: ProjectPage) -> list[str]:
    if not page.shows_status:
        return []
    lines = [f'<meta name="pypi:project-status" content="{page.status}">']
    if page.status_reason:
        reason = _attribute("content", page.status_reason)
        lines.append(f'<meta name="pypi:project-status-reason"{reason}>')
    return lines


def _file_anchor(file: PageFile, requires_python: str | None) -> str:
    digest = _digest(file.hashes)
    href = f"{file.url}#{digest}" if digest else file.url
    attributes = _attribute("href", href) + (requires_python or "")
    if file.metadata is not None and file.metadata is not False:
        attributes += _core_metadata(file.metadata)
    if file.yanked is not None:
        attributes += _attribute("data-yanked", file.yanked)
    if file.gpg_sig is not None:
        attributes += _attribute("data-gpg-sig", "true" if file.gpg_sig else "false")
    if file.provenance is not None:
        attributes += _attribute("data-provenance", file.provenance)
    return f"<a{attributes}>{_escaped(file.filename)}</a><br>"


def _core_metadata(digests: Mapping[str, str] | bool) -> str:
    value = _escaped("true" if isinstance(digests, bool) else _digest(digests) or "true")
    # pip 22.3 to 23.1 know only the second name, which PEP 714 took back.
    return f' data-core-metadata="{value}" data-dist-info-metadata="{value}"'


def _digest(digests: Mapping[str, str]) -> str | None:
    # A fragment has room for one.
    for algorithm in _LINK_HASHES:
        if algorithm in digests:
            return f"{algorithm}={digests[algorithm]}"
    return None


def _attribute(name: str, value: str) -> str:
    return f' {name}="{_escaped(value)}"'


def _escaped(text: str) -> str:
    # Everything that is not ours goes through here: names, reasons and URLs, metadata, upstream's
    # words. `>` too, since hatch looks for anchors with `<a [^>]+>`.
    return escape(text if text.isprintable() else _NOT_IN_HTML.sub("\ufffd", text))
