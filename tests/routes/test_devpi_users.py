"""Users are changed and removed by HTTP, as devpi-client does it."""

from typing import Any

import pytest

from simpleindex_storage.model import Index, MirrorSettings
from simpleindex_storage.names import IndexName
from tests.builders import a_wheel
from tests.routes.devpi_asking import ask, devpi_auth, result
from tests.routes.sites import DEVPI, WHEEL, MakeSite, Site


def login(site: Site, user: str, password: str) -> int:
    return ask(site, "POST", "/+login", {"user": user, "password": password}).status


def authstatus(site: Site, user: str, token: str) -> list[Any]:
    answer = site.ask("GET", "/+api", {"x-devpi-auth": devpi_auth(user, token)})
    status: list[Any] = result(answer, "apiconfig")["authstatus"]
    return status


def as_the_client_sends(site: Site, user: str, **changed: Any) -> dict[str, Any]:
    """devpi-client gets the user, and sends all of that back with what is to be changed."""
    known: dict[str, Any] = result(ask(site, "GET", f"/{user}"), "userconfig")
    for key in ("indexes", "username"):
        del known[key]
    return known | changed


def test_users_change_their_own_password_and_their_old_logins_end(site: Site) -> None:
    before = site.token("alice")
    content = as_the_client_sends(site, "alice", password="new-password")
    changed = result(ask(site, "PATCH", "/alice", content, by="alice"), "userpassword")
    assert changed["expiration"] == 36_000
    assert authstatus(site, "alice", changed["password"]) == ["ok", "alice", []]
    assert authstatus(site, "alice", before) == ["noauth", "", []]
    assert login(site, "alice", "alicepw") == 401
    assert login(site, "alice", "new-password") == 200
    assert result(ask(site, "GET", "/alice"), "userconfig")["modified"] == "2026-11-22T13:02:46Z"


def test_a_profile_is_changed_key_by_key(site: Site) -> None:
    first = ask(site, "PATCH", "/alice", {"email": "a@b", "title": "T"}, by="root")
    assert (first.status, "alice" in first.json["message"]) == (200, True)
    ask(site, "PATCH", "/alice/", {"title": "", "custom_data": {"n": 1}}, by="root")
    told = result(ask(site, "GET", "/alice"), "userconfig")
    assert (told["email"], told["custom_data"]) == ("a@b", {"n": 1})
    assert "title" not in told
    assert login(site, "alice", "alicepw") == 200


def test_what_changes_nothing_is_not_written_down(site: Site) -> None:
    ask(site, "PATCH", "/alice", {"email": "a@b"}, by="root")
    before = site.stored()
    for content in ({}, {"email": "a@b"}, as_the_client_sends(site, "alice", title="")):
        assert ask(site, "PATCH", "/alice", content, by="alice").status == 200
    assert site.stored() == before


@pytest.mark.parametrize(
    ("restrict_modify", "by", "password", "email"),
    [
        (("root",), "root", 200, 200),
        (("root",), "alice", 200, 403),
        (("root",), "bob", 403, 403),
        (("root",), None, 403, 403),
        (("bob",), "bob", 200, 200),
        (("bob",), "root", 403, 403),
        ((), "alice", 200, 200),
        ((), "root", 200, 200),
        ((), "bob", 403, 403),
        ((), None, 403, 403),
    ],
)
def test_only_who_may_change_a_user_does(
    restrict_modify: tuple[str, ...], by: str | None, password: int, email: int, make_site: MakeSite
) -> None:
    assert ask(make_site(), "PUT", "/bob", {"password": "bobpw"}, by="root").status == 201
    site = make_site(restrict_modify=restrict_modify)
    answers = [
        ask(site, "PATCH", "/alice", {"email": "a@b"}, by=by),
        ask(site, "PATCH", "/alice", {"password": "x", "email": "c@d"}, by=by),
        ask(site, "PATCH", "/alice", {"password": "x"}, by=by),
    ]
    assert [answer.status for answer in answers] == [email, email, password]
    for answer in answers:
        if answer.status == 403:
            assert "restrict_modify" in answer.line
    told = result(ask(site, "GET", "/alice"), "userconfig")
    assert told.get("email") == ("c@d" if email == 200 else None)
    assert login(site, "alice", "x") == (200 if password == 200 else 401)


@pytest.mark.parametrize(
    ("target", "content", "status", "words"),
    [
        ("/nobody", {"password": "x"}, 404, "nobody"),
        ("/ALICE", {"email": "x"}, 404, "ALICE"),
        ("/a$", {}, 404, "user"),
        ("/alice", {"password": ""}, 400, "empty"),
        ("/alice", {"password": "x" * 1025}, 400, "1024"),
        ("/alice", {"password": ["x"]}, 400, "password"),
        ("/alice", {"pwhash": "x"}, 400, "pwhash"),
        ("/alice", {"email": {"a": 1}}, 400, "email"),
        ("/alice", [], 400, "JSON object"),
        ("/alice", None, 400, "JSON"),
    ],
)
def test_a_change_that_cannot_be_made_is_refused(
    target: str, content: Any, status: int, words: str, site: Site
) -> None:
    before = site.stored()
    refusal = ask(site, "PATCH", target, content, by="root")
    assert refusal.status == status
    assert words in refusal.line
    assert site.stored() == before
    assert login(site, "alice", "alicepw") == 200


def test_whoever_may_not_set_a_password_costs_no_hash(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers = {**site.sent_by("alice"), "accept": DEVPI}
    monkeypatch.setattr("simpleindex.routes.doorkeeper.hash_password", None)
    assert site.ask("PATCH", "/root", headers, b'{"password": "x"}').status == 403


def test_the_file_with_roots_first_password_goes_with_the_password(site: Site) -> None:
    kept = site.folder / "root-password"
    kept.write_text("first\n")
    ask(site, "PATCH", "/alice", {"password": "x"}, by="root")
    ask(site, "PATCH", "/root", {"email": "a@b"}, by="root")
    assert kept.exists()
    assert ask(site, "PATCH", "/root", {"password": "new"}, by="root").status == 200
    assert not kept.exists()


# Removal


def test_a_user_goes_with_all_their_indexes_and_files(site: Site) -> None:
    site.make_index("alice/dev")
    site.make_index("alice/empty")
    site.make_index("root/derived", bases=(IndexName("alice/dev"),))
    site.add(WHEEL, index="alice/dev")
    token = site.token("alice")
    answer = ask(site, "DELETE", "/alice", by="root")
    assert (answer.status, "alice" in answer.json["message"]) == (200, True)
    assert ask(site, "GET", "/alice").status == ask(site, "GET", "/alice/dev").status == 404
    assert site.stored().paths == ()
    assert authstatus(site, "alice", token) == ["noauth", "", []]
    assert result(ask(site, "GET", "/root/derived"), "indexconfig")["bases"] == ["alice/dev"]
    assert site.get("/root/derived/demo/").status == 404


def test_a_user_with_an_index_that_is_to_stay_stays(site: Site) -> None:
    site.make_index("alice/dev")
    site.make_index("alice/prod", volatile=False)
    site.add(a_wheel(), index="alice/dev")
    before = site.stored()
    refusal = ask(site, "DELETE", "/alice?force", by="root")
    assert refusal.status == 403
    assert "alice/prod" in refusal.line
    assert "alice/dev" not in refusal.line
    assert site.stored() == before
    assert ask(site, "GET", "/alice").status == 200


@pytest.mark.parametrize(
    ("restrict_modify", "by", "user", "status"),
    [
        (("root",), "root", "alice", 200),
        (("root",), "alice", "alice", 403),
        (("root",), None, "alice", 403),
        (("root",), "root", "root", 403),
        (("root",), "root", "nobody", 404),
        (("root",), "root", "a$", 404),
        (("root", "alice"), "alice", "alice", 403),
        (("alice",), "alice", "root", 403),
        ((), "alice", "alice", 200),
        ((), "root", "root", 403),
        ((), None, "alice", 403),
    ],
)
def test_only_who_may_remove_a_user_does_and_nobody_removes_root(
    restrict_modify: tuple[str, ...], by: str | None, user: str, status: int, make_site: MakeSite
) -> None:
    site = make_site(restrict_modify=restrict_modify)
    # Without its mirror nothing but the rule keeps root.
    site.change(lambda change: change.put_index(Index(IndexName("root/pypi"), MirrorSettings())))
    answer = ask(site, "DELETE", f"/{user}", by=by)
    assert answer.status == status
    gone = ask(site, "GET", f"/{user}").status == 404
    assert gone is (status != 403)
