"""devpi's JSON API, as its client uses it."""

from collections.abc import Mapping
from typing import Any

import pytest

from simpleindex.config import parse_networks
from simpleindex.routes import web
from simpleindex_storage.model import Index, MirrorSettings
from simpleindex_storage.names import IndexName
from tests.asgi import Answer
from tests.builders import a_wheel
from tests.routes.devpi_asking import ask, devpi_auth, result
from tests.routes.sites import DEVPI, NOW, V1_JSON, WHEEL, MakeSite, Site, basic

ROOT = "http://index.example:3141"
FEATURES = ["push-no-docs", "push-only-docs", "push-register-project", "server-keyvalue-parsing"]
SECRETS = ("scrypt", "password_hash", "pwhash", "rootpw", "alicepw")


# Discovery


@pytest.mark.parametrize("target", ["/+api", "/root/+api", "/nobody/+api", "/a$/+api", "/%2Bapi"])
def test_discovery_tells_where_to_log_in(target: str, filled: Site) -> None:
    assert result(ask(filled, "GET", target), "apiconfig") == {
        "login": f"{ROOT}/+login",
        "authstatus": ["noauth", "", []],
        "features": FEATURES,
    }


def test_discovery_of_an_index_tells_its_urls(filled: Site) -> None:
    found = result(ask(filled, "GET", "/root/local/+api", by="alice"), "apiconfig")
    assert found == {
        "login": f"{ROOT}/+login",
        "authstatus": ["ok", "alice", []],
        "features": FEATURES,
        "index": f"{ROOT}/root/local",
        "simpleindex": f"{ROOT}/root/local/+simple/",
        "pypisubmit": f"{ROOT}/root/local/",
    }


def test_discovery_of_a_mirror_names_no_url_to_upload_to(filled: Site) -> None:
    found = result(ask(filled, "GET", "/root/pypi/+api"), "apiconfig")
    assert "pypisubmit" not in found
    assert found["index"] == f"{ROOT}/root/pypi"


@pytest.mark.parametrize("target", ["/root/none/+api", "/nobody/local/+api", "/a$/b/+api"])
def test_discovery_of_an_index_that_is_not_there_is_a_404(target: str, filled: Site) -> None:
    refusal = ask(filled, "GET", target)
    assert refusal.status == 404
    assert target.removeprefix("/").removesuffix("/+api") in refusal.line


@pytest.mark.parametrize(
    "headers",
    [
        {"x-devpi-auth": devpi_auth("root", "si1.1000000000.1.stale")},
        {"x-devpi-auth": devpi_auth("deleted", "si1.1000000000.1.stale")},
        {"x-devpi-auth": "not base64"},
        {"authorization": basic("root", "wrong")},
    ],
    ids=str,
)
def test_a_stale_token_breaks_neither_discovery_nor_login(
    headers: Mapping[str, str], site: Site
) -> None:
    with_json = {"accept": DEVPI, **headers}
    found = site.ask("GET", "/root/pypi/+api", with_json)
    assert result(found, "apiconfig")["authstatus"] == ["noauth", "", []]
    body = b'{"user": "root", "password": "rootpw"}'
    assert site.ask("POST", "/+login", with_json, body).status == 200
    refused = site.ask("POST", "/+login", with_json, b'{"user": "root", "password": "x"}')
    assert refused.status == 401
    assert refused.header("location") is None
    assert "root" in refused.line


@pytest.mark.parametrize(
    ("settings", "asked", "url"),
    [
        ({}, {"host": "10.0.0.1"}, "http://10.0.0.1"),
        ({}, {"host": None}, "http://127.0.0.1:3141"),
        ({}, {"host": "<b>"}, "http://127.0.0.1:3141"),
        ({}, {"host": None, "server": ("::1", 3141)}, "http://[::1]:3141"),
        ({}, {"host": None, "server": ("/run/index.sock", None)}, "http://localhost"),
        ({}, {"host": None, "server": None}, "http://localhost"),
        ({}, {"host": "h", "scheme": "https"}, "https://h"),
        ({"outside_url": "https://out.example/x"}, {"host": "h"}, "https://out.example/x"),
        ({"trusted_proxy": parse_networks("192.0.2.7")}, {"host": "h"}, "https://out.example"),
        ({"trusted_proxy": parse_networks("192.0.2.8")}, {"host": "h"}, "http://h"),
        ({"trusted_proxy": parse_networks("192.0.2.7")}, {"host": "h", "client": None}, "http://h"),
    ],
)
def test_urls_are_those_under_which_the_client_came(
    settings: Any, asked: Any, url: str, make_site: MakeSite
) -> None:
    site = make_site(**settings)
    forwarded = {"x-forwarded-host": "out.example", "x-forwarded-proto": "https"}
    answer = site.ask("GET", "/root/pypi/+api", forwarded, **asked)
    found = result(answer, "apiconfig")
    assert (found["login"], found["index"]) == (f"{url}/+login", f"{url}/root/pypi")


# Logins


def test_a_login_gives_a_token_that_opens_what_the_password_does(site: Site) -> None:
    answer = ask(site, "POST", "/+login", {"user": "alice", "password": "alicepw"})
    login = result(answer, "proxyauth")
    assert login["expiration"] == 36_000
    assert answer.json["message"]
    headers = {"x-devpi-auth": devpi_auth("alice", login["password"])}
    found = result(site.ask("GET", "/+api", headers), "apiconfig")
    assert found["authstatus"] == ["ok", "alice", []]


def test_a_login_lasts_as_long_as_it_is_set(make_site: MakeSite) -> None:
    answer = ask(
        make_site(login_seconds=60), "POST", "/+login", {"user": "root", "password": "rootpw"}
    )
    assert result(answer, "proxyauth")["expiration"] == 60


def test_a_token_outlives_a_restart(make_site: MakeSite) -> None:
    answer = ask(make_site(), "POST", "/+login", {"user": "root", "password": "rootpw"})
    headers = {"authorization": basic("root", result(answer, "proxyauth")["password"])}
    found = result(make_site().ask("GET", "/+api", headers), "apiconfig")
    assert found["authstatus"] == ["ok", "root", []]


def test_whoever_is_unknown_and_whoever_is_wrong_hear_the_same(site: Site) -> None:
    lines = []
    for user in ("root", "nobody", "a$"):
        refusal = ask(site, "POST", "/+login", {"user": user, "password": "wrong"})
        assert refusal.status == 401
        lines.append(refusal.line.replace(user, "USER"))
    assert len(set(lines)) == 1


def test_a_token_is_no_password_to_log_in_with(site: Site) -> None:
    refusal = ask(site, "POST", "/+login", {"user": "root", "password": site.token("root")})
    assert refusal.status == 401


# Users


def test_the_root_lists_users_with_their_indexes(filled: Site) -> None:
    """`devpi use -l` sends a GET with a body."""
    found = result(ask(filled, "GET", "/", {}), "list:userconfig")
    assert list(found) == ["alice", "root"]
    assert list(found["root"]["indexes"]) == ["local", "pypi"]
    assert found["alice"]["indexes"]["dev"]["bases"] == ["root/local"]
    assert found["alice"]["created"] == NOW.strftime("%Y-%m-%dT%H:%M:%SZ")


def test_a_user_is_told_of_alone(filled: Site) -> None:
    everybody = result(ask(filled, "GET", "/"), "list:userconfig")
    for target in ("/alice", "/alice/"):
        assert result(ask(filled, "GET", target), "userconfig") == everybody["alice"]


@pytest.mark.parametrize("target", ["/nobody", "/ALICE", "/a$", "/a%00b", "/.alice"])
def test_a_user_who_is_not_there_is_a_404(target: str, filled: Site) -> None:
    refusal = ask(filled, "GET", target)
    assert refusal.status == 404
    assert refusal.line


def test_root_makes_users_who_can_log_in(site: Site) -> None:
    content = {"password": "bobpw", "email": "bob@example", "title": "", "custom_data": [1]}
    made = result(ask(site, "PUT", "/bob", content, by="root"), "userconfig", 201)
    assert made == {
        "username": "bob",
        "created": "2026-11-22T13:02:46Z",
        "email": "bob@example",
        "custom_data": [1],
        "indexes": {},
    }
    login = ask(site, "POST", "/+login", {"user": "bob", "password": "bobpw"})
    assert login.status == 200


@pytest.mark.parametrize(
    ("target", "content", "status", "words"),
    [
        ("/alice", {"password": "x"}, 409, "already exists"),
        ("/Alice", {"password": "x"}, 409, "already exists"),
        ("/bob", {}, 400, "password"),
        ("/bob", {"password": ""}, 400, "empty"),
        ("/bob", {"password": "x" * 1025}, 400, "1024"),
        ("/bob", {"password": "x", "pwhash": "y"}, 400, "pwhash"),
        ("/bob", None, 400, "JSON"),
        ("/bob", [], 400, "JSON object"),
        ("/a$", {"password": "x"}, 400, "name"),
        ("/con", {"password": "x"}, 400, "name"),
        ("/" + "b" * 65, {"password": "x"}, 400, "name"),
        ("/bob.", {"password": "x"}, 400, "name"),
    ],
)
def test_a_user_who_cannot_be_made_is_refused(
    target: str, content: Any, status: int, words: str, site: Site
) -> None:
    before = result(ask(site, "GET", "/"), "list:userconfig")
    refusal = ask(site, "PUT", target, content, by="root")
    assert refusal.status == status
    assert words in refusal.line
    assert result(ask(site, "GET", "/"), "list:userconfig") == before


# Indexes


def test_an_index_is_made_with_defaults_and_told_of(site: Site) -> None:
    made = result(ask(site, "PUT", "/alice/dev", {}, by="root"), "indexconfig")
    assert made == {
        "type": "stage",
        "volatile": True,
        "bases": [],
        "acl_upload": ["alice"],
        "acl_project_upload": {},
        "acl_toxresult_upload": [":ANONYMOUS:"],
        "acl_read": [":ANONYMOUS:"],
        "challenge": False,
        "mirror_whitelist": [],
        "mirror_whitelist_inheritance": "intersection",
        "strict_archives": True,
    }
    assert result(ask(site, "GET", "/alice/dev?no_projects="), "indexconfig") == made
    assert result(ask(site, "GET", "/alice/dev/"), "indexconfig") == made | {"projects": []}


def test_an_index_lists_its_own_projects_only(filled: Site) -> None:
    for target in ("/root/local", "/root/local/"):
        found = result(ask(filled, "GET", target), "indexconfig")
        assert found["projects"] == ["art", "demo"]
    assert result(ask(filled, "GET", "/alice/dev"), "indexconfig")["projects"] == []
    for query in ("no_projects=", "no_projects", "no_projects=1"):
        assert "projects" not in result(ask(filled, "GET", f"/root/local?{query}"), "indexconfig")


def test_an_index_is_made_as_devpi_client_says_it(site: Site) -> None:
    content = {"bases": "root/pypi,alice/dev", "volatile": "False", "title": "Dev"}
    made = result(ask(site, "PUT", "/alice/dev/", content, by="root"), "indexconfig")
    assert made["bases"] == ["root/pypi", "alice/dev"]
    assert (made["volatile"], made["title"]) == (False, "Dev")


def test_a_mirror_is_made_and_told_of(site: Site) -> None:
    content = {"type": "mirror", "mirror_url": "https://up.example/simple/"}
    made = result(ask(site, "PUT", "/alice/up", content, by="root"), "indexconfig")
    assert (made["type"], made["volatile"]) == ("mirror", True)
    assert made["mirror_url"] == "https://up.example/simple/"
    assert "bases" not in made
    assert ask(site, "GET", "/alice/up", content).json["result"]["projects"] == []


@pytest.mark.parametrize(
    ("target", "content", "status", "words"),
    [
        ("/root/pypi", {}, 409, "already exists"),
        ("/root/PyPI", {}, 409, "already exists"),
        ("/nobody/dev", {}, 404, "user nobody"),
        ("/ALICE/dev", {}, 404, "user ALICE"),
        ("/alice/dev", None, 400, "JSON"),
        ("/alice/dev", [], 400, "JSON object"),
        ("/alice/dev", {"bases": ["alice/none"]}, 400, "alice/none"),
        ("/alice/dev", {"bases": "alice"}, 400, "alice"),
        ("/alice/dev", {"volatile": "perhaps"}, 400, "volatile"),
        ("/alice/dev", {"colour": "red"}, 400, "colour"),
        ("/alice/dev", {"type": "mirror", "mirror_url": "x"}, 400, "http://"),
        ("/alice/d$", {}, 400, "index name"),
        ("/alice/nul", {}, 400, "index name"),
        ("/alice/" + "i" * 65, {}, 400, "index name"),
    ],
)
def test_an_index_that_cannot_be_made_is_refused(
    target: str, content: Any, status: int, words: str, site: Site
) -> None:
    before = result(ask(site, "GET", "/"), "list:userconfig")
    refusal = ask(site, "PUT", target, content, by="root")
    assert refusal.status == status
    assert words in refusal.line
    assert result(ask(site, "GET", "/"), "list:userconfig") == before


@pytest.mark.parametrize(
    ("restrict_modify", "by", "user", "index"),
    [
        (("root",), "root", 201, 200),
        (("root",), "alice", 403, 403),
        (("root",), None, 403, 403),
        (("root", "alice"), "alice", 201, 200),
        (("alice",), "root", 403, 403),
        ((), "alice", 201, 200),
        ((), "root", 201, 200),
        ((), None, 403, 403),
    ],
)
def test_restrict_modify_is_kept(
    restrict_modify: tuple[str, ...], by: str | None, user: int, index: int, make_site: MakeSite
) -> None:
    site = make_site(restrict_modify=restrict_modify)
    answers = [
        ask(site, "PUT", "/bob", {"password": "bobpw"}, by=by),
        ask(site, "PUT", "/alice/dev", {}, by=by),
    ]
    assert [answer.status for answer in answers] == [user, index]
    for answer in answers:
        if answer.status == 403:
            assert "restrict_modify" in answer.line
            assert (by or "not logged in") in answer.line


# Status, and what front servers ask


def test_the_status_tells_the_version_and_nothing_of_the_machine(filled: Site) -> None:
    answer = ask(filled, "GET", "/+status")
    status = result(answer, "status")
    assert status["versioninfo"].keys() == {"simpleindex-server"}
    assert status["role"] == "MASTER"
    assert str(status["serial"]) == answer.header("x-devpi-serial")
    assert status["uuid"] == answer.header("x-devpi-uuid")
    assert str(filled.folder) not in answer.text
    assert status["mirrors"].keys() == {"root/pypi"}
    assert "/" not in answer.text.replace("root/pypi", "")


@pytest.mark.parametrize(
    ("uri", "status"),
    [
        (None, 200),
        ("/", 200),
        ("/+api", 200),
        ("/root/local/", 200),
        (f"/root/local/%2Bf/{WHEEL.sha256[:3]}/{WHEEL.sha256[3:16]}/{WHEEL.filename}", 200),
        ("http://index.example:3141/root/local/+simple/demo/?x=/+y", 200),
        ("/root/none/+simple/", 200),
        ("/a$/b", 200),
        ("/root/+nothing/x", 403),
        ("/root/local/../secret", 403),
        ("//[", 403),
    ],
)
def test_a_front_server_may_hand_out_what_everybody_may_read(
    uri: str | None, status: int, filled: Site
) -> None:
    headers = {} if uri is None else {"x-original-uri": uri}
    for method in ("GET", "HEAD", "POST"):
        assert filled.ask(method, "/+authcheck", headers).status == status


@pytest.mark.parametrize("outside_url", [None, "https://out.example/packages"])
def test_a_front_server_asks_for_those_who_may_not_read(
    outside_url: str | None, make_site: MakeSite
) -> None:
    site = make_site(outside_url=outside_url)
    site.make_index("alice/closed", acl_read=("alice",))
    site.make_index("alice/asking", acl_read=("alice",), challenge=True)
    prefix = "" if outside_url is None else "/packages"

    def check(index: str, by: str | None, **headers: str) -> int:
        uri = f"{prefix}/alice/{index}/+f/0a1/23456789abcde/demo-1.0.tar.gz"
        asked = {**site.sent_by(by), "x-original-uri": uri, **headers}
        return site.ask("GET", "/+authcheck", asked).status

    assert [check("closed", by) for by in (None, "alice")] == [403, 200]
    assert [check("asking", by) for by in (None, "alice")] == [401, 200]
    assert check("asking", None, **{"user-agent": "devpi-client/7.3.0"}) == 403


# All answers


ANSWERS = [
    ("GET", "/", None),
    ("GET", "/alice", None),
    ("GET", "/root/local", None),
    ("GET", "/root/local/", None),
    ("GET", "/+api", None),
    ("GET", "/root/local/+api", None),
    ("POST", "/+login", {"user": "alice", "password": "alicepw"}),
    ("POST", "/+login", {"user": "alice", "password": "rootpw"}),
    ("POST", "/+login", {"user": "scrypt$x", "password": 1}),
    ("PUT", "/alice", {"password": "alicepw"}),
    ("PUT", "/root/local", {}),
    ("GET", "/none", None),
    ("GET", "/root/none", None),
    ("GET", "/root/none/+api", None),
    ("DELETE", "/root", None),
    ("PATCH", "/root/local", ["volatile=False"]),
    ("PUSH", "/root/local", {}),
    ("GET", "/+status", None),
    ("GET", "/+authcheck", None),
    ("GET", "/root/local/demo", None),
    ("GET", "/root/local/demo/1.0", None),
    ("PATCH", "/alice", {"password": 7}),
    ("PATCH", "/root", {}),
    ("DELETE", "/alice/none", None),
    ("GET", "/nothing/at/this/url", None),
    ("POST", "/root/local/", {}),
]


@pytest.mark.parametrize(("method", "target", "content"), ANSWERS)
def test_no_answer_tells_a_secret(method: str, target: str, content: Any, filled: Site) -> None:
    """The type is exactly application/json on all of them, also on errors: `ask` sees to it."""
    answer = ask(filled, method, target, content, by="root")
    for secret in SECRETS:
        assert secret not in answer.text.replace("'scrypt$x'", "")
    assert "Accept" in (answer.header("vary") or "")
    assert answer.header("cache-control") in ("no-cache", "no-store")


@pytest.mark.parametrize(
    ("method", "target", "accept"),
    [
        *((method, target, DEVPI) for method, target, _ in ANSWERS),
        ("GET", "/", "text/html"),
        ("GET", "/root/local/", "text/html"),
        ("GET", "/root/local/demo/", V1_JSON),
        ("GET", "/root/local/Demo", "*/*"),
        ("HEAD", "/root/local/demo/", "*/*"),
        ("GET", "/root/local/demo/", "image/png"),
        ("GET", f"/root/local/+f/{WHEEL.sha256[:3]}/{WHEEL.sha256[3:16]}/{WHEEL.filename}", "*/*"),
        ("GET", "/root/local/+f/abc/0123456789abc/demo-1.0.tar.gz", "*/*"),
        ("POST", "/root/local/", "*/*"),
        ("BREW", "/root/local/", "*/*"),
    ],
)
def test_every_answer_has_devpis_headers(
    method: str, target: str, accept: str, filled: Site
) -> None:
    answer = filled.ask(method, target, {"accept": accept})
    assert answer.header("x-devpi-api-version") == "2"
    assert answer.header("x-devpi-server-version")
    serial = answer.header("x-devpi-serial")
    assert serial is not None
    assert serial.isdecimal()
    uuid = answer.header("x-devpi-uuid")
    assert uuid is not None
    assert len(uuid) == 32
    assert answer.header("x-devpi-master-uuid") == uuid
    assert answer.header("x-devpi-primary-uuid") == uuid


def test_a_failure_of_ours_is_a_500_with_devpis_headers(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> bytes:
        raise RuntimeError("a bug")

    monkeypatch.setattr(web, "start_page", fail)
    answer = site.ask("GET", "/", {"accept": "text/html"}, query_string=b"\xff")
    assert answer.status == 500
    assert answer.header("x-devpi-api-version") == "2"
    assert "bug" not in answer.line
    (record,) = caplog.records
    assert "a bug" in caplog.text
    assert record.name == "simpleindex"


def test_the_serial_grows_with_changes_and_with_nothing_else(site: Site) -> None:
    def serial(answer: Answer) -> int:
        return int(answer.header("x-devpi-serial") or -1)

    first = serial(ask(site, "GET", "/+api"))
    assert serial(ask(site, "POST", "/+login", {"user": "root", "password": "rootpw"})) == first
    assert serial(ask(site, "PUT", "/alice/dev", {}, by="root")) == first + 1
    assert serial(ask(site, "PUT", "/alice/dev", {}, by="root")) == first + 1
    assert serial(ask(site, "PUT", "/bob", {"password": "x"}, by="root")) == first + 2
    assert serial(site.upload(WHEEL)) == first + 3
    assert serial(site.upload(WHEEL)) == first + 3
    assert serial(site.upload(a_wheel(), sha256_digest="0" * 64)) == first + 3
    assert serial(site.get("/root/local/demo/")) == first + 3
    site.add(a_wheel(version="2.0"))
    assert serial(site.get("/root/local/+simple/")) == first + 4


def test_the_uuid_stays_across_restarts(make_site: MakeSite) -> None:
    uuids = {make_site().get("/+api").header("x-devpi-uuid") for _ in range(2)}
    assert len(uuids) == 1


# Odd bodies


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"x"',
        b"7",
        b"\xff\xfe",
        b"\x00",
        b"[" * 60_000,
        b'{"password": 1e999}',
        b'{"password": NaN, "user": "x"}',
        b'{"user": "\\ud800", "password": "x"}',
        b'{"custom_data": ' + b"9" * 5000 + b"}",
        b'{"user": null, "password": null}',
        b"a=b&c=d",
    ],
    ids=lambda body: repr(body[:20]),
)
@pytest.mark.parametrize(
    ("method", "target"), [("POST", "/+login"), ("PUT", "/bob"), ("PUT", "/alice/new")]
)
def test_an_odd_body_is_a_400(method: str, target: str, body: bytes, filled: Site) -> None:
    headers = {**filled.sent_by("root"), "accept": DEVPI}
    refusal = filled.ask(method, target, headers, body)
    assert refusal.status == 400
    assert refusal.line
    assert ask(filled, "GET", "/bob").status == 404
    assert ask(filled, "GET", "/alice/new").status == 404


@pytest.mark.parametrize(
    ("method", "target"), [("POST", "/+login"), ("PUT", "/bob"), ("PUT", "/alice/new")]
)
def test_a_body_that_goes_on_is_not_gathered(method: str, target: str, filled: Site) -> None:
    refusal = filled.ask(method, target, filled.sent_by("root"), [b" " * 10_000] * 100)
    assert refusal.status == 413
    assert "65536" in refusal.line


@pytest.mark.parametrize(
    ("method", "target"), [("POST", "/+login"), ("PUT", "/bob"), ("PUT", "/alice/new")]
)
def test_a_client_that_goes_away_changes_nothing(method: str, target: str, filled: Site) -> None:
    body = b'{"password": "x", "user": "root"'
    assert filled.client.cut_off(method, target, filled.sent_by("root"), body) == []
    assert ask(filled, "GET", "/bob").status == 404


def test_a_mirror_is_told_as_it_was_set(site: Site) -> None:
    settings = MirrorSettings(mirror_cache_expiry_seconds=60, extra={"title": "Up"})
    site.change(lambda change: change.put_index(Index(IndexName("alice/up"), settings)))
    found = result(ask(site, "GET", "/alice/up?no_projects"), "indexconfig")
    assert found.items() >= {"type": "mirror", "mirror_cache_expiry": 60, "title": "Up"}.items()
