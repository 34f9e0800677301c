"""The pages that installers read."""

import gzip
import re
from collections.abc import Callable
from dataclasses import replace
from html import unescape
from typing import Any
from urllib.parse import urljoin

import pytest

from simpleindex.routes import simple
from simpleindex.wire import simple_html
from simpleindex.wire.pieces import Pieced, compress
from simpleindex_storage.names import IndexName
from tests.asgi import Answer
from tests.builders import a_wheel, an_sdist
from tests.routes.sites import (
    DEVPI,
    OTHER,
    SDIST,
    V1_HTML,
    V1_JSON,
    WHEEL,
    MakeSite,
    Site,
)

HTML = "text/html; charset=utf-8"
PIP = f"{V1_JSON}, {V1_HTML}; q=0.1, text/html; q=0.01"
UV = f"{V1_JSON}, {V1_HTML};q=0.2, text/html;q=0.01"
CHROME = "text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8"

INSTALLERS = {
    "pip 9 to 22.1": ("text/html", HTML),
    "pip": (PIP, V1_JSON),
    "uv": (UV, V1_JSON),
    "poetry": (f"{V1_JSON}, */*;q=0.1", V1_JSON),
    "pdm": (f"{V1_JSON}, {V1_HTML}; q=0.1, text/html; q=0.01, application/json; q=0", V1_JSON),
    "easy_install": (None, HTML),
    "hatch": ("*/*", HTML),
    "wget": ("*/*;q=0.5", HTML),
    "v1 html": (V1_HTML, V1_HTML),
    "latest": ("application/vnd.pypi.simple.latest+json", V1_JSON),
    "browser": (CHROME, HTML),
}

PROJECT_PAGES = [
    "/root/local/demo/",
    "/root/local/+simple/demo/",
    "/root/local/simple/demo/",
    "/root/local/%2Bsimple/demo/",
    "//root/local/demo/",
]
LISTS = ["/root/local/", "/root/local/+simple/", "/root/local/simple/"]

installers = pytest.mark.parametrize(("accept", "form"), INSTALLERS.values(), ids=INSTALLERS)


def links(page: Answer) -> dict[str, str]:
    """Texts and targets of all anchors."""
    found = re.findall(r'<a href="([^"]*)"[^>]*>([^<]*)</a>', page.text)
    return {text: unescape(href) for href, text in found}


def names(page: Answer) -> list[str]:
    """The projects on a list, in either form."""
    if page.header("content-type") == V1_JSON:
        return [project["name"] for project in page.json["projects"]]
    return list(links(page))


def filenames(page: Answer) -> list[str]:
    """The files on a project's page, in either form."""
    if page.header("content-type") == V1_JSON:
        return [file["filename"] for file in page.json["files"]]
    return list(links(page))


# Which form


@installers
@pytest.mark.parametrize("target", PROJECT_PAGES)
def test_every_installer_gets_the_form_of_a_page_that_it_reads(
    target: str, accept: str | None, form: str, filled: Site
) -> None:
    page = filled.get(target, accept)
    assert (page.status, page.header("content-type")) == (200, form)
    assert filenames(page) == [WHEEL.filename, SDIST.filename]


@installers
@pytest.mark.parametrize("target", LISTS)
def test_every_installer_gets_the_form_of_the_list_that_it_reads(
    target: str, accept: str | None, form: str, filled: Site
) -> None:
    page = filled.get(target, accept)
    assert (page.status, page.header("content-type")) == (200, form)
    assert names(page) == ["art", "demo"]


def test_accept_headers_count_together(filled: Site) -> None:
    headers = [("accept", "text/html;q=0.1"), ("accept", V1_JSON)]
    page = filled.ask("GET", "/root/local/demo/", headers)
    assert page.header("content-type") == V1_JSON


@pytest.mark.parametrize(
    ("query", "form"),
    [
        (f"format={V1_JSON}", V1_JSON),
        (f"format={V1_JSON.replace('+', '%2B')}", V1_JSON),
        (f"a=b&format={V1_HTML}", V1_HTML),
        ("format=text/html", HTML),
        ("format=nothing", HTML),
        ("format=", HTML),
        ("format=%FF%00", HTML),
    ],
)
def test_the_query_may_ask_for_a_form(query: str, form: str, filled: Site) -> None:
    for target in (*PROJECT_PAGES, *LISTS):
        page = filled.get(f"{target}?{query}", "text/html")
        assert (page.status, page.header("content-type")) == (200, form)


@pytest.mark.parametrize(
    "accept", ["image/png", "application/xml", f"{V1_JSON};q=0", "application/vnd.pypi.simple.v2"]
)
@pytest.mark.parametrize("target", [*PROJECT_PAGES, *LISTS])
def test_who_takes_none_of_the_forms_is_told_which_there_are(
    target: str, accept: str, filled: Site
) -> None:
    refusal = filled.get(target, accept)
    assert refusal.status == 406
    assert refusal.header("vary") == "Accept"
    for form in ("text/html", V1_HTML, V1_JSON):
        assert form in refusal.line


def test_devpis_object_is_only_for_those_who_name_json(filled: Site) -> None:
    for target in ("/root/local", "/root/local/"):
        for accept in (DEVPI, "application/json;q=0.5, */*"):
            answer = filled.get(target, accept)
            assert answer.header("content-type") == DEVPI
            assert answer.header("vary") == "Accept"
            assert answer.json["type"] == "indexconfig"
    refused = filled.get("/root/local/", "application/json;q=0, image/png")
    assert refused.status == 406


# What is on a page


def test_a_page_tells_all_of_a_file(site: Site) -> None:
    wheel = a_wheel(requires_python=">=3.8,<4")
    (added,) = site.add(wheel)
    page = site.get("/root/local/+simple/demo/", PIP).json
    assert page["meta"]["api-version"] == "1.4"
    assert (page["name"], page["versions"]) == ("demo", ["1.0"])
    assert page["files"] == [
        {
            "filename": wheel.filename,
            "url": f"../../+f/{wheel.sha256[:3]}/{wheel.sha256[3:16]}/{wheel.filename}",
            "hashes": {"sha256": wheel.sha256},
            "requires-python": ">=3.8,<4",
            "size": len(wheel.content),
            "upload-time": "2026-11-22T13:02:46.123456Z",
            "core-metadata": {"sha256": added.file.metadata_sha256},
        }
    ]


@pytest.mark.parametrize("index", ["/root/local/", "/alice/dev/"])
@pytest.mark.parametrize("below", ["demo/", "+simple/demo/", "simple/demo/", "%2Bsimple/demo/"])
@pytest.mark.parametrize("accept", ["text/html", PIP], ids=["html", "json"])
def test_every_link_leads_to_its_file(index: str, below: str, accept: str, filled: Site) -> None:
    page = filled.get(f"{index}{below}", accept)
    if accept == "text/html":
        found = links(page)
    else:
        found = {file["filename"]: file["url"] for file in page.json["files"]}
    assert len(found) == 2
    for built in (WHEEL, SDIST):
        url = urljoin(f"http://x{index}{below}", found[built.filename]).partition("#")[0]
        answer = filled.get(url.removeprefix("http://x"))
        assert answer.status == 200
        assert answer.body == built.content


@pytest.mark.parametrize("target", LISTS)
def test_every_link_of_the_list_leads_to_a_page(target: str, filled: Site) -> None:
    url = urljoin(f"http://x{target}", links(filled.get(target))["art"])
    assert filenames(filled.get(url.removeprefix("http://x"))) == [OTHER.filename]


def test_files_of_bases_are_shown_and_the_nearest_wins(site: Site) -> None:
    ours, theirs = a_wheel(extra_files={"demo/ours.py": b""}), a_wheel()
    site.make_index("root/base")
    site.add(theirs, a_wheel(version="2.0"), a_wheel("other"), index="root/base")
    site.make_index("root/local", bases=(IndexName("root/base"), IndexName("root/pypi")))
    site.add(ours)
    files = site.get("/root/local/demo/", PIP).json["files"]
    assert files[0]["hashes"]["sha256"] == ours.sha256
    assert [file["filename"] for file in files] == [ours.filename, "demo-2.0-py3-none-any.whl"]
    assert names(site.get("/root/local/")) == ["demo", "other"]


def test_nothing_that_a_package_says_gets_out_of_its_place(site: Site) -> None:
    site.make_index("root/local", strict_archives=False)
    site.add(a_wheel(requires_python='>=3.8,!="><script>'))
    page = site.get("/root/local/demo/")
    assert page.status == 200
    assert "<script>" not in page.text


# Caching


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("target", [*PROJECT_PAGES, *LISTS])
def test_a_page_that_the_client_has_is_not_sent_again(
    target: str, method: str, filled: Site
) -> None:
    page = filled.ask(method, target)
    etag = page.header("etag")
    assert page.status == 200
    assert etag is not None
    assert page.header("cache-control") == "no-cache"
    assert page.header("vary") == "Accept, Accept-Encoding"
    for sent in (etag, f"W/{etag}", f'"x", {etag}', "*"):
        again = filled.ask(method, target, {"if-none-match": sent})
        assert again.status == 304
        for name in ("etag", "cache-control", "vary"):
            assert again.header(name) == page.header(name)
        assert again.header("content-type") is None
    assert filled.ask(method, target, {"if-none-match": f'"x{etag[2:]}'}).status == 200


@pytest.fixture
def long(site: Site) -> Site:
    """A site with a page that is worth compressing."""
    site.add(*(a_wheel(version=f"1.{number}") for number in range(8)))
    return site


@pytest.mark.parametrize("accept", ["text/html", V1_HTML, V1_JSON])
def test_a_page_is_compressed_for_who_takes_that(accept: str, long: Site) -> None:
    plain = long.get("/root/local/demo/", accept)
    zipped = long.get("/root/local/demo/", accept, accept_encoding="gzip, deflate")
    assert plain.header("content-encoding") is None
    assert zipped.header("content-encoding") == "gzip"
    assert zipped.header("content-length") == str(len(zipped.body))
    assert len(zipped.body) < len(plain.body) / 2
    assert gzip.decompress(zipped.body) == plain.body
    assert zipped.header("content-type") == plain.header("content-type")


def test_a_compressed_page_has_a_tag_of_its_own(long: Site) -> None:
    plain = long.get("/root/local/demo/").header("etag") or ""
    zipped = long.get("/root/local/demo/", accept_encoding="gzip").header("etag") or ""
    assert plain != zipped
    for encoding, tag, status in (
        ("gzip", zipped, 304), ("gzip", plain, 200), ("identity", zipped, 200),
        ("identity", plain, 304),
    ):  # fmt: skip
        answer = long.get("/root/local/demo/", accept_encoding=encoding, if_none_match=tag)
        assert answer.status == status


def test_a_page_is_compressed_once_for_each_change(
    long: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    compressed = []

    def noted(plain: Pieced, level: int, before: Pieced) -> Pieced:
        compressed.append(plain)
        return compress(plain, level, before)

    monkeypatch.setattr(simple, "compress", noted)
    for _ in range(3):
        long.get("/root/local/demo/", accept_encoding="gzip")
        long.get("/root/local/demo/")
    long.add(a_wheel("other"))
    long.get("/root/local/demo/", accept_encoding="gzip")
    assert len(compressed) == 1
    long.add(a_wheel(version="2.0"))
    page = long.get("/root/local/demo/", accept_encoding="gzip")
    assert len(compressed) == 2
    assert b"demo-2.0" in gzip.decompress(page.body)


def test_a_short_page_and_a_file_are_sent_as_they_are(site: Site) -> None:
    site.add(a_wheel(requires_python=">=3.8"))
    page = site.get("/root/local/demo/", V1_JSON, accept_encoding="gzip")
    assert page.header("content-encoding") is None
    url = f"/root/local/demo/{page.json['files'][0]['url']}".replace("demo/../", "")
    for target in (url, f"{url}.metadata"):
        assert site.get(target, accept_encoding="gzip").header("content-encoding") is None


@pytest.mark.parametrize("target", ["/root/local/demo/", "/root/local/"])
def test_each_form_has_a_tag_of_its_own(target: str, filled: Site) -> None:
    tags = {filled.get(target, accept).header("etag") for accept in ("text/html", V1_HTML, V1_JSON)}
    assert len(tags) == 3


@pytest.mark.parametrize("target", ["/root/local/demo/", "/root/local/", "/root/pypi/+simple/"])
def test_head_tells_the_same_as_get(target: str, filled: Site) -> None:
    got, asked = filled.get(target), filled.ask("HEAD", target)
    assert (asked.status, asked.headers, asked.body) == (got.status, got.headers, b"")


@pytest.mark.parametrize("target", ["/root/local/demo/", "/root/local/", "/alice/dev/demo/"])
@pytest.mark.parametrize("accept", ["text/html", V1_JSON], ids=["html", "json"])
def test_an_upload_by_another_process_is_on_the_page_at_once(
    target: str, accept: str, site: Site
) -> None:
    site.add(a_wheel())
    site.make_index("alice/dev", bases=(IndexName("root/local"),))
    before = [site.get(target, accept) for _ in range(3)][-1]
    site.add(a_wheel(version="2.0"), a_wheel("other"))
    after = site.get(target, accept, if_none_match=before.header("etag") or "")
    assert after.status == 200
    assert after.header("etag") != before.header("etag")
    assert b"other" in after.body or b"demo-2.0" in after.body


def test_every_change_of_a_file_is_on_the_page_at_once(site: Site) -> None:
    site.make_index("root/local", acl_upload=("root",))
    (first,) = site.add(a_wheel())
    assert filenames(site.get("/root/local/demo/")) == [first.file.filename]
    site.add(a_wheel(extra_files={"demo/changed.py": b""}))
    replaced = site.get("/root/local/demo/", PIP).json["files"]
    assert replaced[0]["hashes"]["sha256"] != first.file.sha256
    site.upload(a_wheel(version="3.0"))
    assert "demo-3.0-py3-none-any.whl" in filenames(site.get("/root/local/demo/"))
    site.replace_files()
    empty = site.get("/root/local/demo/", PIP)
    assert (empty.status, empty.json["files"], empty.json["versions"]) == (200, [], [])


class Counting:
    """Stands in for a function, and counts its calls."""

    def __init__(self, function: Callable[..., bytes]) -> None:
        self._function = function
        self.calls = 0

    def __call__(self, *arguments: Any, **named: Any) -> bytes:
        self.calls += 1
        return self._function(*arguments, **named)


@pytest.fixture
def rendered(monkeypatch: pytest.MonkeyPatch) -> Counting:
    """Counts the project pages that are rendered as HTML."""
    counting = Counting(simple_html.render_project)
    monkeypatch.setattr(simple_html, "render_project", counting)
    return counting


def test_a_page_is_rendered_once_and_not_for_each_request(site: Site, rendered: Counting) -> None:
    site.add(a_wheel())
    pages = {site.get("/root/local/demo/").body for _ in range(5)}
    assert len(pages) == 1
    assert rendered.calls == 1


def test_a_page_is_not_rendered_again_when_another_project_changes(
    site: Site, rendered: Counting
) -> None:
    site.add(a_wheel())
    before = site.get("/root/local/demo/")
    site.add(a_wheel("other"))
    site.make_index("alice/dev")
    after = site.get("/root/local/demo/")
    assert after.body == before.body
    assert rendered.calls == 1
    site.add(a_wheel(version="2.0"))
    assert site.get("/root/local/demo/").body != before.body
    assert rendered.calls == 2


def test_a_page_that_is_too_large_to_keep_is_served_all_the_same(
    make_site: MakeSite, rendered: Counting
) -> None:
    site = make_site(page_memory_bytes=1)
    site.add(a_wheel())
    for calls in (1, 2):
        assert filenames(site.get("/root/local/demo/")) == ["demo-1.0-py3-none-any.whl"]
        assert rendered.calls == calls


def test_each_depth_of_a_page_has_links_of_its_own_in_the_memory(filled: Site) -> None:
    for _ in range(2):
        for target, up in (
            ("/root/local/demo/", "../+f"),
            ("/root/local/+simple/demo/", "../../+f"),
        ):
            href = links(filled.get(target))[WHEEL.filename]
            assert href.startswith(f"{up}/")


def test_a_file_that_is_damaged_afterwards_makes_no_page_fail(site: Site) -> None:
    """Pages come from the catalog alone: an installer can still choose another file."""
    site.add(a_wheel())
    (wheel, metadata) = sorted((site.folder / "files").rglob("*.whl*"))
    wheel.unlink()
    metadata.unlink()
    assert filenames(site.get("/root/local/demo/")) == ["demo-1.0-py3-none-any.whl"]


# Redirects


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("target", "location", "leads_to"),
    [
        ("/root/local", "local/", "/root/local/"),
        ("/root/local/+simple", "+simple/", "/root/local/+simple/"),
        ("/root/local/simple", "simple/", "/root/local/simple/"),
        ("/root/local/demo", "demo/", "/root/local/demo/"),
        ("/root/local/Demo", "demo/", "/root/local/demo/"),
        ("/root/local/Demo/", "../demo/", "/root/local/demo/"),
        ("/root/local/+simple/demo", "demo/", "/root/local/+simple/demo/"),
        ("/root/local/+simple/DEMO/", "../demo/", "/root/local/+simple/demo/"),
        ("/root/local/simple/DEMO/", "../demo/", "/root/local/simple/demo/"),
        ("/root/local/+simple/a_b.-c/", "../a-b-c/", "/root/local/+simple/a-b-c/"),
        ("/root/local/D%65mo/", "../demo/", "/root/local/demo/"),
    ],
)
def test_a_page_has_one_url_and_others_lead_there(
    target: str, location: str, leads_to: str, method: str, filled: Site
) -> None:
    for query in ("", "?format=text/html", "?a=b&c=%20%22%0A", "?a=http://x/?y"):
        answer = filled.ask(method, f"{target}{query}")
        assert answer.status == 302
        told = answer.header("location")
        assert told == location + query
        assert answer.header("vary") == "Accept"
        assert urljoin(f"http://x{target}", told) == f"http://x{leads_to}{query}"


@pytest.mark.parametrize("host", ["[::::]", "[", "a b", "evil.example/x", "", None])
def test_a_redirect_does_not_depend_on_the_host_header(host: str | None, filled: Site) -> None:
    answer = filled.ask("GET", "/root/local/Demo/?x", host=host)
    assert (answer.status, answer.header("location")) == (302, "../demo/?x")


def test_bytes_in_a_query_that_are_no_text_break_no_redirect(filled: Site) -> None:
    """Some servers pass them on."""
    answer = filled.ask("GET", "/root/local/Demo/", query_string=b"x=\xff\xfe")
    assert answer.status == 302
    assert (answer.header("location") or "").startswith("../demo/?x=%")


@pytest.mark.parametrize(
    "target",
    [
        "/root/https:evil.example",
        "/x/javascript:alert(1)",
        "/x/%5C%5Cevil.example",
        "/x/%0D%0Aset-cookie:x",
        "/root/local/https:evil.example",
        "/root/local/+simple/%5C%5Cevil.example",
    ],
)
def test_no_redirect_leads_off_the_server(target: str, filled: Site) -> None:
    assert filled.get(target).status == 404


# What is not there


@pytest.mark.parametrize("accept", ["text/html", PIP, "*/*", None])
@pytest.mark.parametrize(
    "target",
    [
        "/root/local/other/",
        "/root/local/+simple/other/",
        "/root/local/simple/pip/",
        "/root/none/",
        "/root/none/+simple/",
        "/root/none/demo/",
        "/none/local/demo/",
        "/ROOT/local/demo/",
        "/root/local/-/",
        "/root/local/d%C3%A9mo/",
        "/root/local/demo%0A/",
        "/root/local/demo%00/",
        "/root/local/+simple/%2e%2e/",
        "/root/local/demo/1.0/",
        "/root/con/demo/",
    ],
)
def test_what_is_not_there_is_a_404_in_every_form(
    target: str, accept: str | None, filled: Site
) -> None:
    refusal = filled.get(target, accept)
    assert refusal.status == 404
    assert refusal.line
    assert refusal.header("cache-control") == "no-store"
    assert refusal.header("etag") is None


def test_a_project_without_files_is_there_and_empty(site: Site) -> None:
    site.make_index("root/local")
    site.add(a_wheel())
    site.replace_files()
    assert site.get("/root/local/demo/").status == 200
    assert filenames(site.get("/root/local/demo/", PIP)) == []
    assert names(site.get("/root/local/")) == ["demo"]


def test_an_empty_index_has_an_empty_list(site: Site) -> None:
    site.make_index("root/local")
    assert names(site.get("/root/local/")) == []
    assert site.get("/root/local/", PIP).json["projects"] == []


@pytest.mark.parametrize(
    ("method", "target", "allow"),
    [
        ("PUT", "/root/local/demo/", "GET, HEAD, PATCH, DELETE"),
        ("DELETE", "/root/local/+simple/demo/", "GET, HEAD"),
        ("TRACE", "/root/local/+simple/", "GET, HEAD, POST"),
        ("BREW", "/root/local/", "GET, HEAD, PUT, PATCH, DELETE, POST, PUSH"),
        ("PUSH", "/root/local/+simple/", "GET, HEAD, POST"),
        ("OPTIONS", "/", "GET, HEAD"),
        ("get", "/root/local/demo/", "GET, HEAD, PATCH, DELETE"),
        ("GET", "/root/local/legacy/", "POST"),
        ("GET", "/+login", "POST"),
        ("X" * 5000, "/root/local/demo/", "GET, HEAD, PATCH, DELETE"),
    ],
)
def test_other_methods_are_told_which_there_are(
    method: str, target: str, allow: str, filled: Site
) -> None:
    refusal = filled.ask(method, target)
    assert (refusal.status, refusal.header("allow")) == (405, allow)
    assert allow in refusal.line


@pytest.mark.parametrize(
    "target",
    ["/root/local/demo/", "/root/local/+simple/demo/", "/root/local/demo/1.0", "/root/local/+f/x"],
)
def test_a_post_where_nothing_is_taken_names_the_right_url(target: str, filled: Site) -> None:
    refusal = filled.ask("POST", target)
    assert refusal.status == 404
    if "1.0" not in target and "+f" not in target:
        assert "/root/local/" in refusal.line


def test_aliases_win_over_projects_of_their_names(site: Site) -> None:
    site.add(a_wheel("simple"), a_wheel("legacy"))
    assert names(site.get("/root/local/simple/")) == ["legacy", "simple"]
    assert site.get("/root/local/legacy/").status == 405
    for name in ("simple", "legacy"):
        for target in LISTS:
            url = urljoin(f"http://x{target}", links(site.get(target))[name])
            page = site.get(url.removeprefix("http://x"))
            assert filenames(page) == [f"{name}-1.0-py3-none-any.whl"]


def test_both_forms_show_the_same_files(site: Site) -> None:
    site.add(*(a_wheel(version=f"1.{minor}") for minor in (2, 10, 1)), an_sdist(version="1.3"))
    html, json = site.get("/root/local/demo/"), site.get("/root/local/demo/", PIP)
    assert filenames(html) == filenames(json)
    assert json.json["versions"] == ["1.1", "1.2", "1.3", "1.10"]


def test_a_yanked_file_is_marked_at_once(site: Site) -> None:
    (added,) = site.add(a_wheel())
    site.get("/root/local/demo/")
    site.replace_files(replace(added.file, yanked="broken"))
    assert 'data-yanked="broken"' in site.get("/root/local/demo/").text
    assert site.get("/root/local/demo/", PIP).json["files"][0]["yanked"] == "broken"
