"""API tokens: made, used, listed and revoked over HTTP."""

import base64
import json
from typing import Any

import pytest

from simpleindex import api_tokens
from simpleindex.config import parse_networks
from simpleindex_storage.model import User
from simpleindex_storage.names import UserName
from tests.asgi import Answer
from tests.builders import a_wheel, an_upload_body
from tests.routes.sites import DEVPI, NOW, WHEEL, MakeSite, Site, basic


def make(site: Site, user: str = "alice", by: str | None = "alice", **wish: Any) -> Answer:
    headers = site.sent_by(by, DEVPI) | {"accept": DEVPI}
    return site.ask("POST", f"/{user}/+tokens", headers, json.dumps(wish).encode())


def secret_of(site: Site, **wish: Any) -> str:
    made = make(site, **wish)
    assert made.status == 201
    secret: str = made.json["result"]["token"]
    return secret


def upload(site: Site, user: str, secret: str, built: Any = WHEEL, to: str = "/alice/dev/") -> int:
    content_type, body = an_upload_body(built)
    headers = {"content-type": content_type, "authorization": basic(user, secret)}
    return site.ask("POST", to, headers, body).status


@pytest.fixture
def dev(site: Site) -> Site:
    """With alice/dev, to which alice may upload."""
    site.make_index("alice/dev", acl_upload=("alice",))
    return site


def test_a_token_is_told_once(dev: Site) -> None:
    made = make(dev, name="ci", days=30, projects=["Demo*"])
    assert (made.status, made.header("cache-control")) == (201, "no-store")
    result = made.json["result"]
    secret = result.pop("token")
    assert result["expires"] == "2026-12-22T13:02:46Z"
    assert result["projects"] == ["demo*"]
    listed = dev.ask("GET", "/alice/+tokens", dev.sent_by("alice"))
    assert listed.json == {"type": "list:token", "result": [result]}
    assert listed.header("cache-control") == "no-store"
    assert secret not in (dev.folder / "journal.jsonl").read_text()


@pytest.mark.parametrize("user", ["__token__", "alice"])
def test_a_token_uploads_as_its_user(user: str, dev: Site) -> None:
    assert upload(dev, user, secret_of(dev)) == 200
    with_devpi = {"x-devpi-auth": base64.b64encode(f"{user}:{secret_of(dev)}".encode()).decode()}
    told = dev.ask("GET", "/+api", with_devpi | {"accept": DEVPI})
    assert told.json["result"]["authstatus"] == ["ok", "alice", []]


def test_an_upload_by_a_token_stands_in_the_journal_as_its_users(dev: Site) -> None:
    assert upload(dev, "__token__", secret_of(dev)) == 200
    last = json.loads((dev.folder / "journal.jsonl").read_text().splitlines()[-1])
    assert (last["who"], last["what"]) == ("alice", "upload")


@pytest.mark.parametrize(
    ("wish", "status"),
    [
        ({"actions": ["upload"]}, 200),
        ({"actions": ["read"]}, 403),
        ({"indexes": ["alice/*"]}, 200),
        ({"indexes": ["root/*"]}, 403),
        ({"projects": ["demo"]}, 200),
        ({"projects": ["art"]}, 403),
    ],
)
def test_a_token_uploads_within_its_limits(wish: dict[str, Any], status: int, dev: Site) -> None:
    before = dev.stored()
    assert upload(dev, "__token__", secret_of(dev, **wish)) == status
    if status == 403:
        assert dev.stored().paths == before.paths


def test_a_token_never_may_more_than_its_user(dev: Site) -> None:
    secret = secret_of(dev)
    dev.make_index("root/local", acl_upload=("root",))
    assert upload(dev, "__token__", secret, to="/root/local/") == 403
    assert upload(dev, "root", secret, to="/root/local/") == 401


def test_roots_token_makes_root_local_by_its_first_upload_if_it_is_for_that(site: Site) -> None:
    for limits, status in [
        ({"projects": ["art"]}, 403),
        ({"indexes": ["alice/*"]}, 404),
        ({}, 200),
    ]:
        secret = secret_of(site, user="root", by="root", **limits)
        assert upload(site, "__token__", secret, to="/root/local/") == status


@pytest.mark.parametrize(
    ("method", "target", "content"),
    [
        ("POST", "/root/+tokens", {}),
        ("GET", "/root/+tokens", None),
        ("DELETE", "/root/+tokens/1a2b", None),
        ("PUT", "/carol", {"password": "x"}),
        ("PATCH", "/root", {"password": "x"}),
        ("PATCH", "/alice", {"title": "x"}),
        ("DELETE", "/alice", None),
        ("PUT", "/root/new", {}),
        ("PATCH", "/root/local", {"volatile": True}),
        ("DELETE", "/root/local", None),
        ("PATCH", "/root/local/demo/1.0", {"yanked": True}),
        ("PATCH", "/root/local/demo", {"project-status": "archived"}),
        ("DELETE", "/root/local/demo/1.0", None),
        ("DELETE", "/root/local/demo?force", None),
    ],
)
def test_even_roots_token_changes_nothing_else(
    method: str, target: str, content: object, site: Site
) -> None:
    site.add(WHEEL)
    headers = {"authorization": basic("__token__", secret_of(site, user="root", by="root"))}
    before = site.stored()
    body = b"" if content is None else json.dumps(content).encode()
    answer = site.ask(method, target, headers | {"content-type": DEVPI}, body)
    assert answer.status == 403
    assert site.stored() == before


def test_a_token_logs_nobody_in(dev: Site) -> None:
    secret = secret_of(dev)
    for user in ("alice", "__token__"):
        body = json.dumps({"user": user, "password": secret}).encode()
        assert dev.ask("POST", "/+login", {"content-type": DEVPI}, body).status == 401


def test_a_revoked_token_is_no_good_at_once(dev: Site) -> None:
    made = make(dev).json["result"]
    assert upload(dev, "__token__", made["token"]) == 200
    answer = dev.ask("DELETE", f"/alice/+tokens/{made['id']}", dev.sent_by("alice"))
    assert answer.json == {"message": f"token {made['id']} of alice is revoked"}
    assert upload(dev, "__token__", made["token"], a_wheel(version="2.0")) == 401
    again = dev.ask("DELETE", f"/alice/+tokens/{made['id']}", dev.sent_by("alice"))
    assert again.status == 404


def test_tokens_go_with_their_user(site: Site) -> None:
    site.change(lambda change: change.put_user(User(UserName("carol"), "no hash", 1, NOW)))
    headers = {"authorization": basic("__token__", secret_of(site, user="carol", by="root"))}
    assert site.ask("GET", "/+api", headers).json["result"]["authstatus"][0] == "ok"
    site.change(lambda change: change.remove_user(UserName("carol")))
    assert site.ask("GET", "/+api", headers).json["result"]["authstatus"][0] == "noauth"


@pytest.mark.parametrize(
    ("user", "by", "status"),
    [
        ("alice", "alice", 201),
        ("alice", "root", 201),
        ("root", "alice", 403),
        ("alice", None, 401),
        ("nobody", "root", 404),
        ("nobody", None, 401),
        ("a$", "root", 404),
        ("nobody", "alice", 403),
    ],
)
def test_tokens_are_for_their_user_and_root(
    user: str, by: str | None, status: int, site: Site
) -> None:
    assert make(site, user, by).status == status
    listed = site.ask("GET", f"/{user}/+tokens", site.sent_by(by))
    assert listed.status == (200 if status == 201 else status)


def test_nobody_revokes_the_tokens_of_others(dev: Site) -> None:
    made = make(dev).json["result"]
    dev.change(lambda change: change.put_user(User(UserName("carol"), "no hash", 1, NOW)))
    for user, status in (("alice", 403), ("carol", 404)):
        target = f"/{user}/+tokens/{made['id']}"
        assert dev.ask("DELETE", target, dev.sent_by("carol")).status == status
    assert upload(dev, "__token__", made["token"]) == 200


def test_a_wish_that_makes_no_sense_is_a_400(site: Site) -> None:
    assert make(site, days=0).status == 400
    assert make(site, scope="all").status == 400
    assert site.ask("GET", "/alice/+tokens", site.sent_by("alice")).json["result"] == []


def test_there_is_an_end_to_tokens(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_tokens, "TOKENS_OF_USER_MAX", 2)
    assert [make(site).status for _ in range(3)] == [201, 201, 400]


# Failures


def ask_as(site: Site, user: str, secret: str, peer: str, **forwarded: str) -> Answer:
    headers = {"authorization": basic(user, secret)} | {
        name.replace("_", "-"): value for name, value in forwarded.items()
    }
    return site.ask("GET", "/alice/+tokens", headers, peer=peer)


def test_whoever_is_wrong_too_often_is_asked_to_wait(site: Site) -> None:
    for number in range(10):
        assert ask_as(site, "__token__", f"sit_{number}", "192.0.2.1").status == 401
    answer = ask_as(site, "alice", "alicepw", "192.0.2.1")
    assert answer.status == 429
    assert 0 < int(answer.header("retry-after") or "") <= 300
    assert "too many wrong passwords" in answer.line
    body = json.dumps({"user": "alice", "password": "alicepw"}).encode()
    assert site.ask("POST", "/+login", {}, body, peer="192.0.2.1").status == 429
    assert site.ask("POST", "/+login", {}, body, peer="192.0.2.2").status == 200


def test_reading_goes_on_for_whoever_is_wrong_too_often(site: Site) -> None:
    site.add(WHEEL)
    wrong = {"authorization": basic("__token__", "sit_x")}
    for _ in range(12):
        site.ask("GET", "/alice/+tokens", wrong)
    for target in ("/root/local/+simple/", "/root/local/+simple/demo/", "/+api", "/"):
        assert site.ask("GET", target, wrong).status == 200
        assert site.ask("GET", target).status == 200
    assert site.ask("GET", "/root/local", wrong | {"accept": DEVPI}).status == 200


@pytest.mark.parametrize(
    ("trusted", "is_told_apart"), [((), False), (("192.0.2.1",), True)], ids=["stranger", "proxy"]
)
def test_an_address_is_forwarded_by_trusted_proxies_only(
    trusted: tuple[str, ...], is_told_apart: bool, make_site: MakeSite
) -> None:
    site = make_site(trusted_proxy=parse_networks(trusted))
    for number in range(10):
        forwarded = f"203.0.113.9, 198.51.100.{number}"
        answer = ask_as(site, "__token__", "sit_x", "192.0.2.1", x_forwarded_for=forwarded)
        assert answer.status == 401
    answer = ask_as(site, "__token__", "sit_x", "192.0.2.1", x_forwarded_for="198.51.100.77")
    assert answer.status == (401 if is_told_apart else 429)
