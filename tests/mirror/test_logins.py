"""An upstream behind a login: it is told who asks, and nobody else is told the password."""

import base64
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

import httpx2
import pytest

from tests.builders import a_provenance, a_wheel
from tests.hostile.behaviours import (
    Behaviour,
    HangUp,
    HtmlOnly,
    NotAJson,
    Redirect,
    RedirectLoop,
    Status,
)
from tests.mirror.sites import HTML, MirrorSite, a_mirror, a_site
from tests.server import RunningServer

USER, PASSWORD = "mirror-user", "p@ss:w%rd/of-upstream"
DEMO = a_wheel("demo", "1.0")
SECRETS = [
    PASSWORD,
    quote(PASSWORD, safe=""),
    base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode(),
    f"{USER}:",
]
PAGE = "/simple/demo/"


@pytest.fixture
def guarded(shared_server: RunningServer) -> Iterator[MirrorSite]:
    """A mirror that knows how to log in at its upstream."""
    with a_mirror(shared_server) as site:
        site.upstream.require_login(USER, PASSWORD)
        site.change(f"mirror_url={with_account(site)}")
        yield site


def with_account(site: MirrorSite, password: str = PASSWORD) -> str:
    return site.upstream.url.replace("//", f"//{USER}:{quote(password, safe='')}@")


def test_pages_lists_and_files_come_from_behind_the_login(guarded: MirrorSite) -> None:
    guarded.upstream.add(DEMO, provenance=a_provenance())
    assert guarded.filenames("demo") == [DEMO.filename]
    url = guarded.file_url("demo", DEMO.filename)
    assert guarded.get(url, "*/*").content == DEMO.content
    assert guarded.get(f"{url}.metadata", "*/*").status_code == 200
    assert guarded.get(f"{url}.provenance", "*/*").content == a_provenance()
    assert guarded.get(guarded.simple_url).json()["projects"] == [{"name": "demo"}]
    assert all("authorization" in asked.headers for asked in guarded.upstream.requests)


def test_a_wrong_password_is_told_as_what_it_is(guarded: MirrorSite) -> None:
    guarded.change(f"mirror_url={with_account(guarded, 'wrong')}")
    answer = guarded.page("demo")
    assert answer.status_code == 504
    assert "answered with status 401" in answer.text
    assert "wrong@" not in answer.text


def test_the_password_is_in_nothing_that_the_server_tells(guarded: MirrorSite) -> None:
    guarded.upstream.add(DEMO, provenance=a_provenance())
    stage = guarded.make_stage()
    told = []
    for index in (guarded.index, stage):
        told += [
            guarded.page("demo", index=index),
            guarded.page("demo", HTML, index=index),
            guarded.get(f"/{index}", "application/json"),
            guarded.get(f"/{index}/", "text/html"),
            guarded.get(f"/{index}/demo", "application/json"),
            guarded.get(f"/{index}/demo", "text/html"),
            guarded.get(f"/{index}/demo/json", "*/*"),
            guarded.get(f"/{index}/+simple/"),
            guarded.download("demo", DEMO.filename, index=index),
            guarded.refresh("demo", index=index),
        ]
    told += [
        guarded.get("/root", "application/json"),
        guarded.get("/", "application/json"),
        guarded.get("/+status", "application/json"),
        guarded.get(f"/{guarded.index}/+api", "application/json"),
    ]
    assert leaks(told) == []
    assert leaks_of(guarded.log()) == []


TROUBLES: Mapping[str, Behaviour | None] = {
    "500": Status(500),
    "hangs up": HangUp(),
    "no JSON": NotAJson(),
    "elsewhere": Redirect("http://elsewhere.example/simple/demo/"),
    "for ever": RedirectLoop(),
    "no URL": Redirect("http://127.0.0.1:0/"),
    "unplugged": None,
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_the_password_is_in_no_line_about_trouble(trouble: str, guarded: MirrorSite) -> None:
    guarded.upstream.add(DEMO)
    behaviour = TROUBLES[trouble]
    if behaviour is None:
        guarded.upstream.unplug()
    else:
        guarded.upstream.behave("/simple/", behaviour)
    told = [
        guarded.page("demo"),
        guarded.page("demo", HTML),
        guarded.refresh("demo"),
        guarded.get(guarded.simple_url),
        guarded.get("/+status", "application/json"),
    ]
    assert [answer.status_code for answer in told] == [504, 504, 502, 504, 200]
    assert leaks(told) == []
    assert leaks_of(guarded.log()) == []


def test_the_index_shows_the_password_to_its_admin_alone(guarded: MirrorSite) -> None:
    shown = guarded.get(f"/{guarded.index}", "application/json").json()["result"]["mirror_url"]
    assert shown == guarded.upstream.url
    to_root = guarded.api("GET", f"/{guarded.index}").json()["result"]["mirror_url"]
    assert to_root == with_account(guarded)


def test_the_password_is_not_kept_in_the_cache(tmp_path: Path) -> None:
    with a_site(tmp_path / "data") as site:
        site.upstream.require_login(USER, PASSWORD)
        site.change(f"mirror_url={with_account(site)}")
        site.upstream.add(DEMO)
        site.upstream.behave(PAGE, HtmlOnly())
        assert site.download("demo", DEMO.filename).status_code == 200
        site.get(site.simple_url)
        kept = [path for path in (tmp_path / "data" / "cache").rglob("*") if path.is_file()]
        assert kept
        for path in kept:
            assert leaks_of(path.read_bytes().decode("latin-1")) == [], path


def test_the_password_goes_to_no_other_server(guarded: MirrorSite) -> None:
    with a_mirror(guarded.server) as elsewhere:
        elsewhere.upstream.add(DEMO)
        guarded.upstream.behave(PAGE, Redirect(f"{elsewhere.upstream.url}/demo/"))
        assert guarded.filenames("demo") == [DEMO.filename]
        assert guarded.download("demo", DEMO.filename).content == DEMO.content
        assert len(elsewhere.upstream.requests) == 2
        assert [
            asked for asked in elsewhere.upstream.requests if "authorization" in asked.headers
        ] == []


def test_a_login_at_our_server_goes_to_no_upstream(site: MirrorSite) -> None:
    site.upstream.add(DEMO)
    root = ("root", site.token())
    page = site.client.get(f"/{site.index}/+simple/demo/", auth=root)
    assert page.status_code == 200
    cookie: Mapping[str, str] = {"cookie": "a=b", "x-secret": "s", "user-agent": "me/1.0"}
    site.client.get(f"/{site.index}/+simple/other/", auth=root, headers=cookie)
    sent = {name for asked in site.upstream.requests for name in asked.headers}
    assert sent.isdisjoint({"authorization", "cookie", "x-secret"})
    assert "me/1.0" not in {asked.headers["user-agent"] for asked in site.upstream.requests}


def leaks(told: list[httpx2.Response]) -> list[str]:
    found = []
    for answer in told:
        headers = "\n".join(f"{name}: {value}" for name, value in answer.headers.items())
        text = f"{answer.reason_phrase}\n{headers}\n{answer.content.decode('latin-1')}"
        found += [f"{secret} in {answer.url}" for secret in leaks_of(text)]
    return found


def leaks_of(text: str) -> list[str]:
    return [secret for secret in SECRETS if secret in text]
