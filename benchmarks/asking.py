"""Ask a server on 127.0.0.1 for one thing, as an installer does, and read the links of a page."""

import gzip
import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from html.parser import HTMLParser
from urllib.parse import unquote, urljoin, urlsplit

ANSWER_SECONDS_MAX = 60.0

# As pip 26 asks for a page, Accept-Encoding without the codecs that it only knows when their
# packages are installed.
JSON_PAGE_HEADERS = {
    "Accept": (
        "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html; q=0.1, "
        "text/html; q=0.01"
    ),
    "Accept-Encoding": "gzip, deflate",
    "Cache-Control": "max-age=0",
    "User-Agent": 'pip/26.3 {"implementation":{"name":"CPython","version":"3.13.1"}}',
}

# pip before 22.2 knows HTML alone.
HTML_PAGE_HEADERS = {
    "Accept": "text/html",
    "Accept-Encoding": "gzip, deflate",
    "Cache-Control": "max-age=0",
    "User-Agent": 'pip/20.3.4 {"implementation":{"name":"CPython","version":"3.6.15"}}',
}

FILE_HEADERS = {
    "Accept": "*/*",
    "Accept-Encoding": "identity",
    "User-Agent": JSON_PAGE_HEADERS["User-Agent"],
}


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer; header names in lower case, the body as it came."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def encoding(self) -> str:
        """`gzip`, or nothing."""
        return self.headers.get("content-encoding", "")

    @property
    def plain_body(self) -> bytes:
        """The body, decompressed."""
        return gzip.decompress(self.body) if self.encoding == "gzip" else self.body


def ask(port: int, path: str, headers: Mapping[str, str]) -> Answer:
    """GET, on a connection of its own. Raises OSError or http.client.HTTPException."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_SECONDS_MAX)
    try:
        connection.request("GET", path, headers=dict(headers))
        return read_answer(connection)
    finally:
        connection.close()


def read_answer(connection: http.client.HTTPConnection) -> Answer:
    """The whole answer to what was just sent."""
    response = connection.getresponse()
    body = response.read()
    return Answer(
        status=response.status,
        headers={name.lower(): value for name, value in response.getheaders()},
        body=body,
    )


def file_paths(page: Answer, page_path: str) -> dict[str, str]:
    """What a project page links to: file name to path on the same server."""
    if "json" in page.headers.get("content-type", ""):
        urls = [file["url"] for file in json.loads(page.plain_body)["files"]]
    else:
        links = _Links()
        links.feed(page.plain_body.decode())
        urls = links.urls
    paths = [urlsplit(urljoin(page_path, url)).path for url in urls]
    return {unquote(path.rpartition("/")[2]): path for path in paths}


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.urls: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.urls += [value for name, value in attrs if tag == "a" and name == "href" and value]
