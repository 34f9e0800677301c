"""What simple pages say, HTML and JSON, read in the plainest way."""

import json
import re
from html import unescape
from typing import Any
from urllib.parse import unquote, urljoin

from tests.soak.model import Seen, ShownFile, WrongAnswer

HTML = "text/html"
JSON = "application/vnd.pypi.simple.v1+json"

_ANCHOR = re.compile(r"<a ([^>]*)>([^<]*)</a>")
_ATTRIBUTE = re.compile(r'([a-z-]+)="([^"]*)"')


def files_on(content_type: str, path: str, body: bytes) -> Seen:
    """The files on the page of a project, which was found at `path`. Raises WrongAnswer."""
    is_json = content_type.startswith(JSON)
    try:
        return _json_files(path, body) if is_json else _html_files(path, body)
    except (ValueError, LookupError, TypeError) as error:
        raise WrongAnswer(f"{path} cannot be read: {error!r}; it begins {body[:200]!r}") from None


def projects_on(content_type: str, path: str, body: bytes) -> frozenset[str]:
    """The names on the list of an index. Raises WrongAnswer."""
    try:
        if content_type.startswith(JSON):
            names = [project["name"] for project in json.loads(body)["projects"]]
        else:
            names = [unescape(text) for _, text in _ANCHOR.findall(_whole(body))]
    except (ValueError, LookupError, TypeError) as error:
        raise WrongAnswer(f"{path} cannot be read: {error!r}; it begins {body[:200]!r}") from None
    if len(set(names)) != len(names):
        raise WrongAnswer(f"{path} has a name twice")
    return frozenset(names)


def _json_files(path: str, body: bytes) -> Seen:
    return [_json_file(path, file) for file in json.loads(body)["files"]]


def _json_file(path: str, file: dict[str, Any]) -> ShownFile:
    metadata = file.get("core-metadata")
    return ShownFile(
        filename=file["filename"],
        path=unquote(urljoin(path, file["url"])),
        sha256=file["hashes"]["sha256"],
        metadata_sha256=metadata["sha256"] if metadata else None,
        yanked=file.get("yanked"),
        size_bytes=file["size"],
    )


def _html_files(path: str, body: bytes) -> Seen:
    return [_html_file(path, *anchor) for anchor in _ANCHOR.findall(_whole(body))]


def _html_file(path: str, attributes_text: str, text: str) -> ShownFile:
    attributes = {name: unescape(value) for name, value in _ATTRIBUTE.findall(attributes_text)}
    url, _, sha256 = attributes["href"].partition("#sha256=")
    metadata = attributes.get("data-core-metadata")
    return ShownFile(
        filename=unescape(text),
        path=unquote(urljoin(path, url)),
        sha256=sha256,
        metadata_sha256=metadata.removeprefix("sha256=") if metadata else None,
        yanked=attributes.get("data-yanked"),
        size_bytes=None,
    )


def _whole(body: bytes) -> str:
    text = body.decode()
    if not text.endswith("</html>\n"):
        raise ValueError("the end is missing")
    return text
