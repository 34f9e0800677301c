"""Yanks and statuses by HTTP: who may, what is taken, and that pages show it at once."""

import json
from typing import Any

import pytest

from simpleindex_storage.model import ProjectStatus
from simpleindex_storage.names import IndexName, parse_project_name
from simpleindex_storage.upkeep import mark_project
from tests.asgi import Answer
from tests.builders import a_wheel, an_sdist
from tests.routes.sites import SDIST, V1_JSON, WHEEL, Site, basic


def patch(site: Site, target: str, content: Any, by: str | None = "root") -> Answer:
    return site.ask("PATCH", target, site.sent_by(by), json.dumps(content).encode())


def page(site: Site, index: str = "root/local") -> dict[str, Any]:
    answer = site.get(f"/{index}/demo/", V1_JSON)
    assert answer.status == 200
    content: dict[str, Any] = answer.json
    return content


def yanked(site: Site) -> dict[str, Any]:
    return {file["filename"]: file.get("yanked", False) for file in page(site)["files"]}


def test_a_yank_marks_all_files_of_the_release_and_no_others(site: Site) -> None:
    sdist = an_sdist(version="1.0")
    site.add(WHEEL, sdist, SDIST)
    assert patch(site, "/root/local/demo/1.0", {"yanked": "broken"}).status == 200
    assert yanked(site) == {
        WHEEL.filename: "broken", sdist.filename: "broken", SDIST.filename: False,
    }  # fmt: skip


@pytest.mark.parametrize(("sent", "shown"), [(True, True), ("", True), ("<b>", "<b>")])
def test_a_yank_may_have_a_reason(site: Site, sent: object, shown: object) -> None:
    site.add(WHEEL)
    assert patch(site, "/root/local/Demo/1.0.0/", {"yanked": sent}).status == 200
    assert yanked(site) == {WHEEL.filename: shown}
    assert 'data-yanked="' in site.get("/root/local/+simple/demo/").text


def test_a_yank_can_be_taken_back(site: Site) -> None:
    site.add(WHEEL)
    before = site.get("/root/local/+simple/demo/").text
    patch(site, "/root/local/demo/1.0", {"yanked": True})
    assert site.get("/root/local/+simple/demo/").text != before
    answer = patch(site, "/root/local/demo/1.0", {"yanked": False})
    assert answer.json == {"message": "demo 1.0: 1 files are not yanked now"}
    assert site.get("/root/local/+simple/demo/").text == before


def test_the_same_mark_again_changes_nothing(site: Site) -> None:
    site.add(WHEEL)
    patch(site, "/root/local/demo/1.0", {"yanked": "broken"})
    patch(site, "/root/local/demo", {"project-status": "deprecated", "reason": "old"})
    before = site.stored()
    patch(site, "/root/local/demo/1.0", {"yanked": "broken"})
    patch(site, "/root/local/demo", {"project-status": "deprecated", "reason": "old"})
    assert site.stored() == before


@pytest.mark.parametrize("status", ["archived", "deprecated"])
def test_a_status_is_shown_and_the_files_stay(site: Site, status: str) -> None:
    site.add(WHEEL)
    answer = patch(site, "/root/local/demo/", {"project-status": status, "reason": "see art"})
    assert (answer.status, answer.json) == (200, {"message": f"demo is {status} now"})
    assert page(site)["project-status"] == {"status": status, "reason": "see art"}
    assert (
        f'<meta name="pypi:project-status" content="{status}">'
        in site.get("/root/local/+simple/demo/").text
    )
    assert [file["filename"] for file in page(site)["files"]] == [WHEEL.filename]


def test_a_quarantined_project_offers_no_file_by_any_way(site: Site) -> None:
    site.add(WHEEL)
    site.make_index("root/derived", bases=(IndexName("root/local"),))
    links = [page(site)["files"][0]["url"], page(site)["files"][0]["url"] + ".metadata"]
    patch(site, "/root/local/demo", {"project-status": "quarantined"})
    assert page(site)["files"] == []
    assert page(site)["versions"] == []
    assert page(site, "root/derived")["files"] == []
    for link in links:
        answer = site.get(f"/root/local/demo/{link}".replace("demo/../", ""))
        assert (answer.status, "quarantined" in answer.line) == (404, True)
    patch(site, "/root/local/demo", {"project-status": "active"})
    assert [file["filename"] for file in page(site)["files"]] == [WHEEL.filename]
    assert "project-status" not in page(site)


@pytest.mark.parametrize(
    ("status", "taken"),
    [("archived", False), ("quarantined", False), ("deprecated", True), ("active", True)],
)
def test_what_is_closed_takes_no_uploads(site: Site, status: str, taken: bool) -> None:
    site.add(WHEEL)
    patch(site, "/root/local/demo", {"project-status": status})
    before = site.stored()
    answer = site.upload(a_wheel(version="2.0"))
    assert answer.status == (200 if taken else 400)
    if not taken:
        assert f"the project demo is {status} in root/local and takes no files" in answer.line
        assert site.stored() == before


@pytest.mark.parametrize(
    ("target", "content"),
    [
        ("/root/local/demo/1.0", {"yanked": None}),
        ("/root/local/demo/1.0", {"yanked": 1}),
        ("/root/local/demo/1.0", {"yanked": True, "more": 1}),
        ("/root/local/demo/1.0", {}),
        ("/root/local/demo/1.0", []),
        ("/root/local/demo/1.0", {"yanked": "two\nlines"}),
        ("/root/local/demo/1.0", {"yanked": "x" * 501}),
        ("/root/local/demo/one", {"yanked": True}),
        ("/root/local/demo", {"project-status": "gone"}),
        ("/root/local/demo", {"project-status": None}),
        ("/root/local/demo", {"project-status": ["active"]}),
        ("/root/local/demo", {"project-status": "active", "reason": 1}),
        ("/root/local/demo", {"project-status": "active", "more": 1}),
        ("/root/local/demo", "active"),
    ],
    ids=str,
)
def test_an_odd_mark_is_refused_and_changes_nothing(
    site: Site, target: str, content: object
) -> None:
    site.add(WHEEL)
    before = site.stored()
    answer = patch(site, target, content)
    assert answer.status == 400
    assert answer.line
    assert site.stored() == before


@pytest.mark.parametrize(
    "target",
    ["/root/none/demo/1.0", "/root/local/none/1.0", "/root/local/demo/9.9"],
)
def test_what_is_not_there_cannot_be_yanked(site: Site, target: str) -> None:
    site.add(WHEEL)
    assert patch(site, target, {"yanked": True}).status == 404


def test_a_project_of_a_base_is_marked_in_the_base(site: Site) -> None:
    site.add(WHEEL)
    site.make_index("root/derived", bases=(IndexName("root/local"),), acl_upload=("root",))
    assert patch(site, "/root/derived/demo", {"project-status": "archived"}).status == 404
    site.change(
        lambda change: mark_project(
            change, IndexName("root/local"), parse_project_name("demo"),
            ProjectStatus.ARCHIVED, None,
        )
    )  # fmt: skip
    assert page(site, "root/derived")["project-status"] == {"status": "archived"}


@pytest.mark.parametrize("by", [None, "alice"])
def test_only_who_may_remove_may_mark(site: Site, by: str | None) -> None:
    site.add(WHEEL)
    before = site.stored()
    assert patch(site, "/root/local/demo/1.0", {"yanked": True}, by).status == 403
    assert patch(site, "/root/local/demo", {"project-status": "archived"}, by).status == 403
    assert site.stored() == before


def test_an_uploader_and_root_may_mark(site: Site) -> None:
    site.make_index("alice/dev", acl_upload=("alice",))
    site.add(WHEEL, index="alice/dev")
    assert patch(site, "/alice/dev/demo/1.0", {"yanked": True}, "alice").status == 200
    assert patch(site, "/alice/dev/demo/1.0", {"yanked": False}, "root").status == 200


def test_whoever_has_the_wrong_password_is_told_so(site: Site) -> None:
    site.add(WHEEL)
    wrong = {"authorization": basic("root", "wrong")}
    answer = site.ask("PATCH", "/root/local/demo", wrong, b'{"project-status": "archived"}')
    assert answer.status == 403
    assert answer.line.startswith("somebody whose user name or password is wrong, or whose login")
