"""What upstream can do with the page of a project, and what those see who ask for it here."""

import json
from collections.abc import Sequence
from pathlib import Path

import httpx2
import pytest

from tests.builders import a_wheel
from tests.hostile.behaviours import (
    Always304,
    BadJson,
    Behaviour,
    Chunked,
    CutAfter,
    GzipBomb,
    HangUp,
    HtmlOnly,
    HugePage,
    JsonOfWrongShape,
    ManyLinks,
    NotAJson,
    Page,
    RawBytes,
    Redirect,
    RedirectLoop,
    SlowDrip,
    Status,
    Together,
    UntilClose,
    WithHeaders,
    WrongLength,
)
from tests.mirror.sites import HTML, JSON, MirrorSite, a_site

DEMO = a_wheel("demo", "1.0", requires_python=">=3.8")
NEWER = a_wheel("demo", "2.0")
PAGE = "/simple/demo/"
PORTAL = b"<!DOCTYPE html><html><head><title>Welcome</title></head><body>Log in!</body></html>"

BROKEN: dict[str, tuple[Behaviour, str]] = {
    "cut off": (CutAfter(50), "broke off"),
    "cut off with a reset": (CutAfter(50, reset=True), "broke off"),
    "cut off in chunks": (Together(Chunked(), CutAfter(50)), "broke off"),
    "shorter than told": (WrongLength(+10), "broke off"),
    "hangs up": (HangUp(), "broke off"),
    "no HTTP": (RawBytes(b"220 mail.example ESMTP\r\n"), "broke off"),
    "500": (Status(500), "answered with status 500"),
    "503": (Status(503, {"Retry-After": "3600"}), "answered with status 503"),
    "429": (Status(429), "answered with status 429"),
    "403": (Status(403, body=b"the firewall says no"), "answered with status 403"),
    "204": (Status(204), "answered with status 204"),
    "over the bound": (HugePage(), "sends a page of more than 104857600 bytes"),
    "a gzip bomb": (GzipBomb(), "sends a page of more than 104857600 bytes"),
    "no gzip": (
        Together(Page(b"{}", JSON), WithHeaders({"Content-Encoding": "gzip"})),
        "sends a bad gzip",
    ),
    "odd encoding": (WithHeaders({"Content-Encoding": "br"}), "an encoding that nobody asked for"),
    "HTML that is told to be JSON": (NotAJson(), "not valid JSON"),
    "half of a JSON": (BadJson(), "not valid JSON"),
    "JSON of the wrong shape": (JsonOfWrongShape(), "has no list of files"),
    "JSON that is a list": (JsonOfWrongShape([]), "but not an object"),
    "JSON of another API": (
        JsonOfWrongShape({"files": [], "meta": {"api-version": "2.0"}}),
        "version '2.0' of the simple API",
    ),
    "JSON of something else": (JsonOfWrongShape({"files": []}), "tells no version"),
    "nothing": (Page(b"", None), "not a page of the simple API"),
    "a captive portal": (Page(PORTAL, "text/html"), "not a page of the simple API"),
    "redirects for ever": (RedirectLoop(), "redirects more than 5 times"),
    "redirects to no URL": (Redirect("http://127.0.0.1:0/"), "what is no URL"),
    "redirects to no web server": (Redirect("file:///etc/passwd"), "not http or https"),
}
broken = pytest.mark.parametrize(("behaviour", "line"), BROKEN.values(), ids=BROKEN)


@broken
def test_what_is_no_page_is_told_as_trouble_with_upstream(
    behaviour: Behaviour, line: str, site: MirrorSite
) -> None:
    site.upstream.add(DEMO)
    site.upstream.behave(PAGE, behaviour)
    answer = site.page("demo")
    assert (answer.status_code, answer.text.count("\n")) == (504, 1)
    assert line in answer.text
    assert "retry-after" not in answer.headers  # pip would wait so long, five times
    assert answer.headers["cache-control"] == "no-store"


@broken
def test_what_is_no_page_never_replaces_the_page_that_is_kept(
    behaviour: Behaviour, line: str, site: MirrorSite
) -> None:
    site.upstream.add(DEMO)
    before = site.page("demo").content
    site.upstream.add(NEWER)
    site.upstream.behave(PAGE, behaviour)
    assert line in site.refresh("demo").text
    assert site.page("demo").content == before
    site.upstream.behave(PAGE, None)
    assert site.refresh("demo").status_code == 302
    assert site.filenames("demo") == [DEMO.filename, NEWER.filename]


FORMS: dict[str, Behaviour] = {
    "HTML": HtmlOnly(),
    "HTML of an unknown type": Together(HtmlOnly(), WithHeaders({"Content-Type": None})),
    "chunks": Chunked(),
    "until the connection ends": UntilClose(),
    "a type that says nothing": WithHeaders({"Content-Type": "application/octet-stream"}),
    "slowly": SlowDrip(2_000),
    "by way of a redirect": Redirect("/elsewhere/demo/"),
}


@pytest.mark.parametrize("behaviour", FORMS.values(), ids=FORMS)
def test_a_page_is_read_however_it_comes(behaviour: Behaviour, site: MirrorSite) -> None:
    offered = site.upstream.add(DEMO, requires_python=">=3.8")
    page = {
        "meta": {"api-version": "1.0"},
        "files": [
            {
                "filename": DEMO.filename,
                "url": f"../../files/demo/{DEMO.filename}",
                "hashes": offered.hashes,
                "requires-python": ">=3.8",
                "core-metadata": offered.metadata,
            }
        ],
    }
    site.upstream.put("/elsewhere/demo/", json.dumps(page).encode(), "application/json")
    site.upstream.behave(f"{PAGE}$", behaviour)
    file = site.files("demo")[DEMO.filename]
    assert file["hashes"] == {"sha256": DEMO.sha256}
    assert file["requires-python"] == ">=3.8"
    assert file["core-metadata"] == offered.metadata
    assert site.download("demo", DEMO.filename).content == DEMO.content


def test_not_modified_is_trouble_for_who_has_never_had_the_page(site: MirrorSite) -> None:
    site.upstream.behave(PAGE, Always304())
    answer = site.page("demo")
    assert answer.status_code == 504
    assert "answered with status 304" in answer.text


@pytest.mark.parametrize(
    "count", [10_000, pytest.param(120_000, marks=pytest.mark.full)], ids="{:,}".format
)
def test_a_page_of_very_many_links_is_shown_whole(count: int, site: MirrorSite) -> None:
    site.upstream.behave(PAGE, ManyLinks(count))
    names = site.filenames("demo")
    assert len(names) == len(set(names)) == count
    assert site.page("demo", HTML).text.count("<a ") == count


def test_bad_entries_are_left_out_and_the_good_ones_stay(site: MirrorSite) -> None:
    good = {"filename": DEMO.filename, "url": "/files/x", "hashes": {"sha256": DEMO.sha256}}
    bad: Sequence[object] = [
        7,
        {},
        good | {"filename": "../../demo-1.1.tar.gz"},
        good | {"filename": "other-1.0.tar.gz"},
        good | {"filename": "demo-1.2.exe"},
        good | {"filename": "demo-1.3.tar.gz", "url": "file:///etc/passwd"},
        good | {"filename": "demo-1.4.tar.gz", "url": "javascript:alert(1)"},
        good | {"filename": "demo-not a version.tar.gz"},
        good | {"hashes": {"sha256": "0" * 64}},
    ]
    page = {"meta": {"api-version": "1.0"}, "files": [*bad[:4], good, *bad[4:]]}
    site.upstream.behave(PAGE, JsonOfWrongShape(page))
    assert site.filenames("demo") == [DEMO.filename]
    assert site.files("demo")[DEMO.filename]["hashes"] == {"sha256": DEMO.sha256}


def test_a_redirect_to_another_host_is_followed_only_if_the_host_is_named(
    site: MirrorSite,
) -> None:
    site.upstream.add(DEMO)
    elsewhere = site.upstream.root_url.replace("127.0.0.1", "localhost")
    site.upstream.behave(PAGE, [Redirect(f"{elsewhere}/simple/demo/?other")])
    answer = site.page("demo")
    assert answer.status_code == 504
    assert "leads to the host localhost" in answer.text
    assert "file_hosts" in answer.text
    assert site.upstream.requests.paths() == [PAGE]
    site.change("file_hosts+=localhost")
    site.upstream.behave(PAGE, [Redirect(f"{elsewhere}/simple/demo/?other")])
    assert site.refresh("demo").status_code == 302
    assert site.filenames("demo") == [DEMO.filename]


def test_an_upstream_at_a_private_address_is_asked_only_if_the_server_allows_it(
    tmp_path: Path,
) -> None:
    with a_site(tmp_path / "data", "--private-upstreams=192.0.2.1") as site:
        site.upstream.add(DEMO)
        answer = site.page("demo")
        assert answer.status_code == 504
        assert "private" in answer.text
        assert site.upstream.connections_made == 0


def test_a_project_without_files_is_an_empty_page(site: MirrorSite) -> None:
    site.upstream.add_project("demo")
    assert site.filenames("demo") == []
    assert site.page("demo", HTML).status_code == 200


def test_trouble_with_one_page_is_none_with_another(site: MirrorSite) -> None:
    site.upstream.add(DEMO)
    site.upstream.add(a_wheel("other"))
    site.upstream.behave(PAGE, Status(500))
    assert _statuses(site.page("demo"), site.page("other")) == [504, 200]


def test_trouble_is_told_in_the_log_with_the_name_of_mirror_and_project(site: MirrorSite) -> None:
    site.upstream.behave(PAGE, Status(500))
    site.page("demo")
    line = f"{site.index}: page of demo not fetched: 127.0.0.1:{site.upstream.port} answered with"
    site.wait_for_log(line)


def _statuses(*answers: httpx2.Response) -> list[int]:
    return [answer.status_code for answer in answers]
