"""The start page, and who gets it."""

from base64 import b64encode
from hashlib import sha256

import pytest

from simpleindex import __version__
from simpleindex_storage.model import Index, MirrorSettings
from simpleindex_storage.names import IndexName
from tests.routes.sites import DEVPI, MakeSite, Site

CHROME = "text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8"


@pytest.mark.parametrize("accept", [CHROME, "text/html", "TEXT/HTML, */*"])
def test_people_get_a_page(accept: str, filled: Site) -> None:
    answer = filled.get("/", accept)
    assert (answer.status, answer.header("content-type")) == (200, "text/html; charset=utf-8")
    assert __version__ in answer.text
    assert "http://index.example:3141/alice/dev/" in answer.text
    assert filled.ask("HEAD", "/", {"accept": accept}).headers == answer.headers


@pytest.mark.parametrize(
    "accept", ["*/*", None, DEVPI, "text/html, application/json", "text/html;q=0, */*", "image/png"]
)
def test_programs_get_json(accept: str | None, filled: Site) -> None:
    for target in ("/", "//", "/?a=b"):
        answer = filled.get(target, accept)
        assert (answer.status, answer.header("content-type")) == (200, DEVPI)
        assert answer.header("vary") == "Accept"


def test_the_page_may_do_nothing_but_be_read(filled: Site) -> None:
    answer = filled.get("/", CHROME)
    policy = (answer.header("content-security-policy") or "").split("; ")
    assert policy[0] == "default-src 'none'"
    assert {"frame-ancestors 'none'", "base-uri 'none'"} <= set(policy)
    assert not [part for part in policy if "http" in part or "*" in part or "script" in part]
    assert answer.header("x-content-type-options") == "nosniff"
    assert answer.header("cache-control") == "no-cache"
    assert answer.header("vary") == "Accept"


def test_the_only_style_that_counts_is_the_pages_own(filled: Site) -> None:
    answer = filled.get("/", CHROME)
    style = answer.text.partition("<style>")[2].partition("</style>")[0]
    digest = b64encode(sha256(style.encode()).digest()).decode()
    policy = (answer.header("content-security-policy") or "").split("; ")
    assert f"style-src 'sha256-{digest}'" in policy
    assert " style=" not in answer.text


@pytest.mark.parametrize(
    "host", ['"><script>', "a b", "evil.example/<b>", "x" * 5000 + ":1:1", "", None]
)
def test_a_host_header_that_is_none_is_not_repeated(host: str | None, filled: Site) -> None:
    answer = filled.ask("GET", "/", {"accept": CHROME}, host=host)
    assert answer.status == 200
    if host:
        assert host not in answer.text
        assert "script" not in answer.text
    assert "http://127.0.0.1:3141/alice/dev/" in answer.text


def test_the_page_names_indexes_that_packages_can_be_put_into(make_site: MakeSite) -> None:
    site = make_site(outside_url="https://out.example/index")
    site.make_index("alice/dev")
    mirror = Index(IndexName("alice/mirror"), MirrorSettings())
    site.change(lambda change: change.put_index(mirror))
    text = site.get("/", CHROME).text
    assert "https://out.example/index/alice/dev/" in text
    assert "alice/mirror" not in text
    assert "root/pypi" not in text


def test_a_new_index_is_on_the_page_at_once(site: Site) -> None:
    assert "There is no index with packages yet" in site.get("/", CHROME).text
    site.make_index("alice/dev")
    assert 'href="alice/dev/+simple/"' in site.get("/", CHROME).text
