"""What may become a link."""

import json
from datetime import UTC, datetime

import pytest

from simpleindex.wire.devpi_releases import StoredRelease, version_data
from simpleindex.wire.links import is_followable
from simpleindex.wire.pypi_json import ProjectDocument, releases_of, render
from simpleindex_storage.model import DistFile, Fields, Release
from simpleindex_storage.names import IndexName, parse_project_name

LOCAL, DEMO = IndexName("root/local"), parse_project_name("demo")

UNFOLLOWABLE = [
    "",
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    " JaVaScRiPt:alert(1)",
    "java\nscript:alert(1)",
    "java\tscript:alert(1)",
    "\x01javascript:alert(1)",
    "\u00a0javascript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "vbscript:x",
    "file:///etc/passwd",
    "//home.example/",
    "/relative",
    "home.example",
    "https:home.example",
    "https:///path",
    "https://",
    " https://home.example/",
    "https://home.example/\r\nSet-Cookie: a=b",
    "https://home.example/\x00",
    "https://home.example\\@evil.example/",
    "https://home.example/\u202egnp.exe",
    "https://home.example/\ud800",
]


@pytest.mark.parametrize(
    "url",
    [
        "https://home.example",
        "HTTP://home.example:8080/a?b=c&d#e",
        "http://[2001:db8::1]/",
        "https://home.example/ü",
        "mailto:somebody@home.example",
    ],
)
def test_web_pages_and_mails_may(url: str) -> None:
    assert is_followable(url)


@pytest.mark.parametrize("url", UNFOLLOWABLE)
def test_nothing_else_may(url: str) -> None:
    assert not is_followable(url)


def told_by_devpi(fields: Fields) -> tuple[object, ...]:
    """The home page, the download URL, and the other links."""
    release = StoredRelease(Release(LOCAL, DEMO, "1.0", fields), "demo", (), ())
    data = version_data("http://index.example", release)
    return data["home_page"], data["download_url"], data["project_urls"]


def told_in_documents(fields: Fields) -> tuple[object, ...]:
    file = DistFile(
        LOCAL, DEMO, "1.0", "demo-1.0.tar.gz", "demo-1.0.tar.gz", 7, "0" * 64, "0" * 32, "0" * 64,
        datetime(2026, 1, 2, tzinfo=UTC), "root",
    )  # fmt: skip
    (release,) = releases_of([file])
    document = ProjectDocument(
        "http://index.example", LOCAL, DEMO, "demo", release, fields, None, serial=1
    )
    info = json.loads(render(document))["info"]
    return info["home_page"], info["download_url"], info["project_urls"]


@pytest.mark.parametrize("url", [url for url in UNFOLLOWABLE if not is_followable(url.strip())])
def test_no_document_tells_a_link_that_nobody_may_follow(url: str) -> None:
    fields: Fields = {
        "home_page": url,
        "download_url": url,
        "project_urls": (f"Docs, {url} ", f"{url}", f",{url}", "Good, https://good.example/"),
    }
    assert told_by_devpi(fields) == ("", "", ["Good, https://good.example/"])
    assert told_in_documents(fields) == (None, None, {"Good": "https://good.example/"})


def test_links_of_another_kind_than_expected_do_no_harm() -> None:
    fields: Fields = {
        "home_page": ("javascript:alert(1)",),
        "download_url": ("https://a.example/", "https://b.example/"),
        "project_urls": "Docs, javascript:alert(1)",
    }
    assert told_by_devpi(fields) == ("", "", [])
    assert told_in_documents(fields) == (None, None, {})


def test_good_links_are_told_as_they_were_given() -> None:
    page = "https://home.example/"
    fields: Fields = {"home_page": page, "download_url": page, "project_urls": (f"A ,{page}", page)}
    assert told_by_devpi(fields) == (page, page, [f"A ,{page}", page])
    links = {"A": page, page: page, "Homepage": page, "Download": page}
    assert told_in_documents(fields) == (page, page, links)
