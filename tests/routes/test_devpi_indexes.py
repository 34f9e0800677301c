"""Indexes are changed and removed by HTTP, as devpi-client does it."""

from typing import Any

import pytest

from simpleindex_storage.model import Index, MirrorSettings, StageSettings
from simpleindex_storage.names import IndexName
from simpleindex_storage.upkeep import remove_index
from tests.asgi import Answer
from tests.builders import a_wheel
from tests.routes.devpi_asking import ask, result
from tests.routes.sites import WHEEL, MakeSite, Site

URL = "https://up:geheim@up.example/simple/"


@pytest.fixture
def with_dev(site: Site) -> Site:
    """A server with `alice/dev`, and with `alice/mirror`, in whose URL there is a password."""
    site.make_index("alice/dev", acl_upload=("alice",))
    mirror = Index(IndexName("alice/mirror"), MirrorSettings(mirror_url=URL))
    site.change(lambda change: change.put_index(mirror))
    return site


def serial(answer: Answer) -> int:
    return int(answer.header("x-devpi-serial") or -1)


def test_operations_change_an_index_in_order(with_dev: Site) -> None:
    operations = [
        "volatile=False", "bases=root/pypi", "bases+=alice/dev", "acl_upload+=bob",
        "acl_upload-=alice", "title=x", "title-=", "strict_archives=no",
    ]  # fmt: skip
    told = result(ask(with_dev, "PATCH", "/alice/dev", operations, by="root"), "indexconfig")
    assert told["volatile"] is told["strict_archives"] is False
    assert told["bases"] == ["root/pypi", "alice/dev"]
    assert told["acl_upload"] == ["bob"]
    assert not {"title", "projects"} & told.keys()
    assert result(ask(with_dev, "GET", "/alice/dev?no_projects"), "indexconfig") == told


def test_an_object_changes_an_index_and_a_whole_reply_is_unwrapped(with_dev: Site) -> None:
    ask(with_dev, "PATCH", "/alice/dev/", {"title": "Dev"}, by="root")
    whole = ask(with_dev, "GET", "/alice/dev").json
    whole["result"]["volatile"] = False
    told = result(ask(with_dev, "PATCH", "/alice/dev", whole, by="root"), "indexconfig")
    assert (told["volatile"], told["title"]) == (False, "Dev")


def test_what_changes_nothing_costs_no_serial_and_can_be_made_an_error(with_dev: Site) -> None:
    before = ask(with_dev, "GET", "/alice/dev")
    for content in ([], {}, ["volatile=True"], {"acl_upload": "alice"}, before.json):
        answer = ask(with_dev, "PATCH", "/alice/dev", content, by="root")
        assert (answer.status, serial(answer)) == (200, serial(before))
        strict = ask(with_dev, "PATCH", "/alice/dev?error_on_noop", content, by="root")
        assert strict.status == 400
        assert "alice/dev" in strict.line
    changed = ask(with_dev, "PATCH", "/alice/dev?error_on_noop=", ["volatile=False"], by="root")
    assert (changed.status, serial(changed)) == (200, serial(before) + 1)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (["bases+=alice/none", "volatile=False"], "alice/none"),
        ({"bases": ["root/pypi", "alice/none"]}, "alice/none"),
        (["volatile=False", "colour+=red"], "colour"),
        (["colour-="], "colour"),
        ({"colour": "red"}, "colour"),
        (["type=mirror"], "type"),
        ({"type": "mirror"}, "type"),
        (["bases-="], "bases"),
        ([["volatile=False"]], "text"),
        ({"type": "indexconfig", "result": "x"}, "JSON object"),
        ("volatile=False", "JSON object"),
        (7, "JSON object"),
    ],
    ids=str,
)
def test_a_change_that_cannot_be_made_is_refused_as_a_whole(
    content: Any, words: str, with_dev: Site
) -> None:
    before = with_dev.stored()
    refusal = ask(with_dev, "PATCH", "/alice/dev", content, by="root")
    assert refusal.status == 400
    assert words in refusal.line
    assert with_dev.stored() == before


def test_a_base_that_was_removed_since_stands_in_nobodys_way(with_dev: Site) -> None:
    with_dev.make_index("root/base")
    bases = (IndexName("root/base"),)
    with_dev.make_index("root/derived", bases=bases)
    with_dev.change(lambda change: remove_index(change, bases[0]))
    told = ask(with_dev, "PATCH", "/root/derived", ["bases+=root/pypi", "title=x"], by="root")
    assert result(told, "indexconfig")["bases"] == ["root/base", "root/pypi"]
    gone = ask(with_dev, "PATCH", "/root/derived", ["bases-=root/base"], by="root")
    assert result(gone, "indexconfig")["bases"] == ["root/pypi"]


def test_pages_show_a_new_base_at_once(with_dev: Site) -> None:
    with_dev.add(WHEEL)
    assert with_dev.get("/alice/dev/demo/").status == 404
    ask(with_dev, "PATCH", "/alice/dev", ["bases=root/local"], by="root")
    assert WHEEL.filename in with_dev.get("/alice/dev/demo/").text


def test_an_automatic_index_that_was_changed_is_an_index_like_others(site: Site) -> None:
    site.upload(WHEEL)
    ask(site, "PATCH", "/root/local", ["volatile=False"], by="root")
    assert ask(site, "PUT", "/root/local", {}, by="root").status == 200
    site.make_index("root/other")
    automatic = Index(IndexName("alice/auto"), StageSettings(volatile=False), automatic=True)
    site.change(lambda change: change.put_index(automatic))
    ask(site, "PATCH", "/alice/auto", ["volatile=True"], by="root")
    assert ask(site, "PUT", "/alice/auto", {}, by="root").status == 409


def test_a_mirror_is_changed_like_a_stage(with_dev: Site) -> None:
    operations = ["mirror_cache_expiry=60", "mirror_url=https://other.example/simple/"]
    told = result(ask(with_dev, "PATCH", "/alice/mirror", operations, by="root"), "indexconfig")
    assert told["mirror_cache_expiry"] == 60
    assert told["mirror_url"] == "https://other.example/simple/"
    removed = ask(with_dev, "PATCH", "/alice/mirror", ["mirror_cache_expiry-="], by="root")
    assert "mirror_cache_expiry" not in result(removed, "indexconfig")
    refusal = ask(with_dev, "PATCH", "/alice/mirror", ["bases=root/pypi"], by="root")
    assert refusal.status == 400


@pytest.mark.parametrize(
    ("by", "sees"), [("root", True), ("alice", True), ("bob", False), (None, False)]
)
def test_a_password_in_a_mirrors_url_is_for_those_who_may_set_it(
    by: str | None, sees: bool, with_dev: Site
) -> None:
    assert ask(with_dev, "PUT", "/bob", {"password": "bobpw"}, by="root").status == 201
    answers = [ask(with_dev, "GET", target, by=by) for target in ("/", "/alice", "/alice/mirror")]
    for answer in answers:
        assert ("geheim" in answer.text) is sees
        assert "up.example/simple/" in answer.text


# Removal


def test_an_index_goes_with_all_its_files_and_those_above_it_work_on(with_dev: Site) -> None:
    with_dev.make_index("root/derived", bases=(IndexName("alice/dev"),))
    with_dev.add(WHEEL, a_wheel("art"), index="alice/dev")
    with_dev.add(WHEEL, index="root/derived")
    answer = ask(with_dev, "DELETE", "/alice/dev", by="root")
    assert (answer.status, "alice/dev" in answer.json["message"]) == (201, True)
    assert ask(with_dev, "GET", "/alice/dev").status == 404
    (path, *_) = with_dev.stored().paths
    assert path.startswith("files/root/derived/")
    assert result(ask(with_dev, "GET", "/root/derived"), "indexconfig")["projects"] == ["demo"]
    assert WHEEL.filename in with_dev.get("/root/derived/demo/").text
    assert ask(with_dev, "PUT", "/alice/dev", {}, by="root").status == 200


@pytest.mark.parametrize("query", ["", "?force", "?force="])
def test_an_index_that_is_not_volatile_stays(query: str, with_dev: Site) -> None:
    with_dev.add(WHEEL)
    before = with_dev.stored()
    refusal = ask(with_dev, "DELETE", f"/root/local/{query}", by="root")
    assert refusal.status == 403
    assert "volatile" in refusal.line
    assert with_dev.stored() == before


@pytest.mark.parametrize("target", ["/root/none", "/nobody/dev"])
@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_for_what_is_not_there_nobody_has_a_permission(
    method: str, target: str, with_dev: Site
) -> None:
    for by in ("root", "alice", None):
        refusal = ask(with_dev, method, target, ["volatile=True"], by=by)
        assert refusal.status == 403
    assert f"no index {target[1:]}" in ask(with_dev, method, target, [], by="root").line


@pytest.mark.parametrize(
    ("restrict_modify", "by", "status"),
    [
        (("root",), "root", 200),
        (("root",), "alice", 403),
        (("root",), None, 403),
        (("root", "bob"), "bob", 200),
        (("bob",), "root", 403),
        ((), "alice", 200),
        ((), "root", 200),
        ((), "bob", 403),
        ((), None, 403),
    ],
)
def test_only_who_may_change_an_index_changes_or_removes_it(
    restrict_modify: tuple[str, ...], by: str | None, status: int, make_site: MakeSite
) -> None:
    assert ask(make_site(), "PUT", "/bob", {"password": "bobpw"}, by="root").status == 201
    site = make_site(restrict_modify=restrict_modify)
    site.make_index("alice/dev", acl_upload=("alice", "bob"))
    before = site.stored()
    changed = ask(site, "PATCH", "/alice/dev", ["title=x"], by=by)
    removed = ask(site, "DELETE", "/alice/dev", by=by)
    assert (changed.status, removed.status) == (status, 201 if status == 200 else 403)
    if status == 403:
        assert site.stored() == before
        assert "restrict_modify" in changed.line


@pytest.mark.parametrize("target", ["/alice/dev", "/alice"])
@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"\xff", b"[" * 60_000, b'{"title": NaN}', b'["title=\\ud800"]', b"null", b"7"],
    ids=lambda body: repr(body[:20]),
)
def test_an_odd_body_is_a_400_and_changes_nothing(body: bytes, target: str, with_dev: Site) -> None:
    before = with_dev.stored()
    refusal = with_dev.ask("PATCH", target, with_dev.sent_by("root"), body)
    assert refusal.status == 400
    assert refusal.line
    assert with_dev.stored() == before
