"""Projects, releases and files as devpi-client sees and removes them."""

import io
import time
from dataclasses import replace
from typing import Any

import pytest

from simpleindex_storage.model import (
    Actor,
    Attachment,
    AttachmentKind,
    DistFile,
    Index,
    MirrorSettings,
    ProjectStatus,
    Release,
)
from simpleindex_storage.names import IndexName, parse_place, parse_project_name
from simpleindex_storage.upkeep import mark_project, remove_project
from tests.asgi import Answer
from tests.builders import BuiltFile, a_wheel, an_sdist, core_metadata
from tests.routes.devpi_asking import ask, result
from tests.routes.sites import (
    DEVPI,
    SDIST,
    V1_JSON,
    WHEEL,
    MakeSite,
    Site,
    elsewhere,
)

ROOT = "http://index.example:3141"
LOCAL, DEMO = IndexName("root/local"), parse_project_name("demo")


def path_of(built: BuiltFile, index: str = "root/local") -> str:
    return f"/{index}/+f/{built.sha256[:3]}/{built.sha256[3:16]}/{built.filename}"


def project(site: Site, target: str) -> dict[str, Any]:
    found: dict[str, Any] = result(ask(site, "GET", target), "projectconfig")
    return found


def hrefs(version: dict[str, Any]) -> list[str]:
    return [link["href"].removeprefix(ROOT) for link in version.get("+links", ())]


def attach(site: Site, kind: AttachmentKind, filename: str, to: DistFile) -> str:
    """Let something belong to a file's release; its path."""
    with elsewhere(site.folder) as store, store.stage() as draft:
        draft.write(filename.encode())
        staged = draft.finish()
        is_result = kind is AttachmentKind.TOX_RESULT
        prefix = to.sha256[:16] if is_result else staged.digests.sha256[:16]
        attachment = Attachment(
            kind, to.index, to.project, to.version, parse_place(to.index, prefix, filename),
            staged.size_bytes, staged.digests.sha256, to.uploaded_at, "root",
            file_key=to.key if is_result else None,
        )  # fmt: skip
        store.attach(attachment, staged, by=Actor("root"))
    return f"/{attachment.place.path}"


# What there is


def test_a_project_is_told_with_all_releases_and_their_links(filled: Site) -> None:
    found = project(filled, "/root/local/demo/")
    assert list(found) == ["1.0", "2.0+local.1"]
    assert hrefs(found["1.0"]) == [path_of(WHEEL)]
    assert hrefs(found["2.0+local.1"]) == [path_of(SDIST)]
    (link,) = found["1.0"]["+links"]
    assert link["hash_spec"] == f"sha256={WHEEL.sha256}"
    assert link["log"] == [
        {"what": "upload", "who": "root", "when": [2026, 11, 22, 13, 2, 46], "dst": "root/local"}
    ]
    assert found["1.0"]["requires_python"] == ">=3.8,<4"
    assert (found["1.0"]["summary"], found["1.0"]["classifiers"]) == ("", [])


def test_links_begin_with_the_url_that_discovery_tells(make_site: MakeSite) -> None:
    site = make_site(outside_url="https://out.example/packages")
    site.add(WHEEL)
    index = result(ask(site, "GET", "/root/local/+api"), "apiconfig")["index"]
    (link,) = project(site, "/root/local/demo")["1.0"]["+links"]
    assert link["href"].startswith(f"{index}/")


@pytest.mark.parametrize("target", ["/root/local/Demo", "/root/local/DEMO/", "/root/local/demo"])
def test_names_and_versions_may_be_spelled_in_any_way(target: str, filled: Site) -> None:
    found = project(filled, target)
    slash = "" if target.endswith("/") else "/"
    for version in ("1.0", "v1.0", "1.0.0", "1.0/"):
        one = result(ask(filled, "GET", f"{target}{slash}{version}"), "versiondata")
        assert one == found["1.0"]


def test_the_spelling_of_a_name_is_its_authors(site: Site) -> None:
    site.add(a_wheel("My.Demo", "1.0"))
    found = project(site, "/root/local/my-demo")
    assert (found["1.0"]["name"], found["1.0"]["version"]) == ("My.Demo", "1.0")


@pytest.mark.parametrize(
    "target",
    [
        "/root/local/none",
        "/root/local/none/1.0",
        "/root/local/demo/9",
        "/root/local/demo/x",
        "/root/local/d$",
        "/root/local/d$/1.0",
        "/root/none/demo",
        "/a$/b/demo/1.0",
        "/root/pypi/demo",
        "/root/pypi/demo/1.0",
    ],
)
def test_what_is_not_there_is_a_404(target: str, filled: Site) -> None:
    refusal = ask(filled, "GET", target)
    assert refusal.status == 404
    assert refusal.line


@pytest.mark.parametrize("accept", ["*/*", None, "text/html", V1_JSON])
def test_only_who_names_json_gets_devpis_object(accept: str | None, filled: Site) -> None:
    for target in ("/root/local/demo/", path_of(WHEEL)):
        answer = filled.get(target, accept)
        assert answer.status == 200
        assert answer.header("content-type") != DEVPI
    answer = filled.get("/root/local/demo/", f"{DEVPI};q=0.5, */*")
    assert answer.header("content-type") == DEVPI


def test_releases_of_bases_are_there_and_what_they_repeat_is_shadowed(site: Site) -> None:
    site.make_index("root/base")
    site.make_index("root/derived", bases=(IndexName("root/base"),))
    other = a_wheel(version="1.0", extra_files={"demo/other.py": b""})
    site.add(WHEEL, a_wheel(version="3.0"), index="root/base")
    site.add(other, index="root/derived")
    found = project(site, "/root/derived/demo")
    assert list(found) == ["1.0", "3.0"]
    assert hrefs(found["1.0"]) == [path_of(other, "root/derived")]
    (shadowed,) = found["1.0"]["+shadowing"]
    assert hrefs(shadowed) == [path_of(WHEEL, "root/base")]
    assert "+shadowing" not in found["3.0"]
    assert result(ask(site, "GET", "/root/derived/demo/1.0"), "versiondata") == found["1.0"]
    assert list(project(site, "/root/derived/demo?ignore_bases=")) == ["1.0"]
    site.change(lambda change: remove_project(change, IndexName("root/derived"), DEMO))
    assert project(site, "/root/derived/demo?ignore_bases") == {}
    assert ask(site, "GET", "/root/derived/other?ignore_bases").status == 404


def test_two_spellings_of_a_version_are_one_release(site: Site) -> None:
    first, second = an_sdist(version="1.0"), a_wheel(version="1.0.0")
    site.add(first, second)
    found = project(site, "/root/local/demo")
    assert list(found) == ["1.0"]
    assert hrefs(found["1.0"]) == [path_of(first), path_of(second)]
    for version in ("1.0", "1.0.0"):
        one = result(ask(site, "GET", f"/root/local/demo/{version}"), "versiondata")
        assert one == found["1.0"]


def test_a_release_without_files_has_no_links(site: Site) -> None:
    site.add(WHEEL)
    bare = Release(LOCAL, DEMO, "5.0", {"name": "demo", "version": "5.0", "summary": "soon"})
    site.change(lambda change: change.put_release(bare, "demo"))
    found = project(site, "/root/local/demo")
    assert found["5.0"]["summary"] == "soon"
    assert "+links" not in found["5.0"]
    assert result(ask(site, "GET", "/root/local/demo/5.0"), "versiondata") == found["5.0"]


def test_documentation_and_results_of_tests_are_linked(site: Site) -> None:
    ((admitted),) = site.add(WHEEL)
    doc = attach(site, AttachmentKind.DOCUMENTATION, "demo-1.0.doc.zip", admitted.file)
    tox = attach(site, AttachmentKind.TOX_RESULT, f"{WHEEL.filename}.toxresult-1-0", admitted.file)
    found = project(site, "/root/local/demo")["1.0"]
    assert hrefs(found) == [path_of(WHEEL), doc, tox]
    assert [link["rel"] for link in found["+links"]] == ["releasefile", "doczip", "toxresult"]
    assert found["+links"][2]["for_href"] == f"{ROOT}{path_of(WHEEL)}"
    meta = result(ask(site, "GET", doc), "releasefilemeta")
    assert meta["hash_spec"] == found["+links"][1]["hash_spec"]


def test_what_is_quarantined_is_told_to_its_maintainers_alone(site: Site) -> None:
    site.add(WHEEL)
    site.make_index("root/derived", bases=(LOCAL,))
    status = ProjectStatus.QUARANTINED
    site.change(lambda change: mark_project(change, LOCAL, DEMO, status, None))
    assert hrefs(project(site, "/root/local/demo")["1.0"]) == [path_of(WHEEL)]
    assert project(site, "/root/derived/demo") == {}
    assert ask(site, "GET", "/root/derived/demo/1.0").status == 404
    assert ask(site, "GET", path_of(WHEEL)).status == 404
    assert ask(site, "DELETE", f"{path_of(WHEEL)}?force", by="root").status == 200


def test_what_a_reader_may_not_see_is_not_told(site: Site) -> None:
    site.make_index("alice/closed", acl_read=("alice",), acl_upload=("alice",))
    site.make_index("root/derived", bases=(IndexName("alice/closed"),))
    site.add(WHEEL, index="alice/closed")
    path = path_of(WHEEL, "alice/closed")
    for target in ("/alice/closed", "/alice/closed/demo", "/alice/closed/demo/1.0", path):
        assert ask(site, "GET", target).status == 403
        assert ask(site, "GET", target, by="alice").status == 200
    assert ask(site, "GET", "/root/derived/demo").status == 404
    assert list(project_as(site, "/root/derived/demo", "alice")) == ["1.0"]
    for by in (None, "alice"):
        users = result(ask(site, "GET", "/", by=by), "list:userconfig")
        assert ("acl_upload" in users["alice"]["indexes"]["closed"]) is (by == "alice")
        assert result(ask(site, "GET", "/alice", by=by), "userconfig") == users["alice"]


def project_as(site: Site, target: str, by: str) -> dict[str, Any]:
    found: dict[str, Any] = result(ask(site, "GET", target, by=by), "projectconfig")
    return found


def test_a_file_is_told_of_without_its_bytes(filled: Site) -> None:
    assert result(ask(filled, "GET", path_of(WHEEL)), "releasefilemeta") == {
        "last_modified": "Sun, 22 Nov 2026 13:02:46 GMT",
        "hash_spec": f"sha256={WHEEL.sha256}",
        "hashes": {"sha256": WHEEL.sha256},
        "project": "demo",
        "version": "1.0",
    }
    assert ask(filled, "GET", "/root/local/+f/abc/0123456789abc/demo-1.0.tar.gz").status == 404
    assert filled.get(f"{path_of(WHEEL)}.metadata", DEVPI).text.startswith("Metadata-Version")


def test_thousands_of_releases_are_read_once(
    make_site: MakeSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = make_site()
    ((admitted),) = site.add(a_wheel(metadata=core_metadata(description="x" * 10_000)))
    with elsewhere(site.folder) as store, store.catalog.snapshot() as seen:
        (release,) = seen.releases(LOCAL, DEMO)

    def fill(change: Any) -> None:
        for number in range(2, 2002):
            version, name = f"{number}.0", f"demo-{number}.0-py3-none-any.whl"
            change.put_release(replace(release, version=version), "demo")
            change.put_file(replace(admitted.file, version=version, filename=name, key=name))

    site.change(fill)
    started = time.process_time()
    found = project(site, "/root/local/demo")
    assert len(found) == 2001
    # Read again for each of them, the descriptions alone would take minutes.
    assert time.process_time() - started < 10
    started = time.process_time()
    assert ask(site, "GET", "/root/local/demo/7.0").status == 200
    assert time.process_time() - started < 1


# Refreshing


@pytest.mark.parametrize(
    ("target", "location"),
    [
        ("/root/local/+simple/demo/refresh", "../demo/"),
        ("/root/local/+simple/Demo/refresh/", "../../demo/"),
        ("/alice/dev/simple/demo/refresh", "../demo/"),
    ],
)
def test_to_refresh_leads_to_the_page(target: str, location: str, filled: Site) -> None:
    answer = filled.ask("POST", target)
    assert (answer.status, answer.header("location")) == (302, location)


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("POST", "/root/local/+simple/none/refresh", 404),
        ("POST", "/root/none/+simple/demo/refresh", 404),
        ("POST", "/root/local/+simple/d$/refresh", 404),
        ("POST", "/root/pypi/+simple/demo/refresh", 404),
        ("GET", "/root/local/+simple/demo/refresh", 405),
    ],
)
def test_what_cannot_be_refreshed_is_refused(
    method: str, target: str, status: int, filled: Site
) -> None:
    assert ask(filled, method, target).status == status


# Removal


@pytest.fixture
def volatile(site: Site) -> Site:
    """A server with two releases of demo, of three files, in `alice/dev`."""
    site.make_index("alice/dev", acl_upload=("alice",))
    site.add(WHEEL, SDIST, an_sdist(version="1.0"), index="alice/dev")
    return site


def remove(site: Site, target: str, by: str | None = "alice") -> Answer:
    return ask(site, "DELETE", target, by=by)


def test_a_project_goes_with_all_its_files(volatile: Site) -> None:
    answer = remove(volatile, "/alice/dev/Demo/")
    assert (answer.status, "demo" in answer.json["message"]) == (200, True)
    assert volatile.stored().paths == ()
    assert result(ask(volatile, "GET", "/alice/dev"), "indexconfig")["projects"] == []
    assert volatile.get("/alice/dev/+simple/demo/").status == 404
    assert remove(volatile, "/alice/dev/demo").status == 404


def test_a_release_goes_with_its_files_and_the_others_stay(volatile: Site) -> None:
    assert remove(volatile, "/alice/dev/demo/1.0.0").status == 200
    assert list(project(volatile, "/alice/dev/demo")) == ["2.0+local.1"]
    assert volatile.get(path_of(WHEEL, "alice/dev")).status == 404
    assert volatile.get(path_of(SDIST, "alice/dev")).status == 200
    assert remove(volatile, "/alice/dev/demo/1.0").status == 404
    assert remove(volatile, "/alice/dev/demo/2.0+local.1/").status == 200
    assert ask(volatile, "GET", "/alice/dev/demo").status == 404


def test_with_the_last_file_the_release_goes_and_the_project_with_that(volatile: Site) -> None:
    sdist = an_sdist(version="1.0")
    paths = [path_of(built, "alice/dev") for built in (WHEEL, sdist, SDIST)]
    left = []
    for path in paths:
        assert remove(volatile, path).status == 200
        assert volatile.get(path).status == remove(volatile, path).status == 404
        answer = ask(volatile, "GET", "/alice/dev/demo")
        left.append(list(answer.json["result"]) if answer.status == 200 else None)
    assert left == [["1.0", "2.0+local.1"], ["2.0+local.1"], None]
    assert volatile.stored().paths == ()


def test_documentation_and_results_can_be_removed_alone(volatile: Site) -> None:
    with elsewhere(volatile.folder) as store, store.catalog.snapshot() as seen:
        file, *_ = seen.files(IndexName("alice/dev"), DEMO)
    doc = attach(volatile, AttachmentKind.DOCUMENTATION, "demo-1.0.doc.zip", file)
    only = attach(
        volatile, AttachmentKind.DOCUMENTATION, "demo-7.0.doc.zip", replace(file, version="7.0")
    )
    tox = attach(volatile, AttachmentKind.TOX_RESULT, f"{file.filename}.toxresult-1-0", file)
    assert "7.0" in project(volatile, "/alice/dev/demo")
    for path in (doc, tox, only):
        assert remove(volatile, path).status == 200
        assert ask(volatile, "GET", path).status == 404
    found = project(volatile, "/alice/dev/demo")
    assert len(found["1.0"]["+links"]) == 2
    assert "7.0" not in found


@pytest.mark.parametrize("target", ["/root/local/demo", "/root/local/demo/1.0", path_of(WHEEL)])
def test_what_is_not_volatile_goes_only_by_force(target: str, site: Site) -> None:
    site.add(WHEEL)
    before = site.stored()
    refusal = remove(site, target, "root")
    assert refusal.status == 403
    assert "force" in refusal.line
    assert site.stored() == before
    assert remove(site, f"{target}?force=", "root").status == 200
    assert site.stored().paths == ()


@pytest.mark.parametrize(
    "target",
    [
        "/alice/dev/none",
        "/alice/dev/demo/9",
        "/alice/dev/demo/x",
        "/alice/dev/none/1.0",
        "/alice/dev/d$",
        "/alice/dev/+f/abc/0123456789abc/demo-1.0.tar.gz",
        "/alice/dev/+f/xyz/0123456789abc/demo-1.0.tar.gz",
        "/root/none/demo",
        "/root/none/demo/1.0",
        "/root/derived/demo",
        "/root/derived/demo/1.0",
        path_of(WHEEL, "root/derived"),
        "/root/pypi/demo",
        "/root/pypi/demo/1.0",
    ],
)
def test_what_is_not_there_cannot_be_removed(target: str, volatile: Site) -> None:
    volatile.make_index("root/derived", bases=(IndexName("alice/dev"),))
    volatile.change(
        lambda change: change.put_index(Index(IndexName("root/pypi"), MirrorSettings()))
    )
    before = volatile.stored()
    for query in ("", "?force"):
        assert remove(volatile, f"{target}{query}", "root").status == 404
    assert volatile.stored() == before


def test_what_lies_beside_a_file_is_not_removed_alone(volatile: Site) -> None:
    assert remove(volatile, f"{path_of(WHEEL, 'alice/dev')}.metadata").status == 405


@pytest.mark.parametrize(
    ("restrict_modify", "acl_upload", "by", "may"),
    [
        (("root",), ("alice",), "alice", True),
        (("root",), ("alice",), "root", True),
        (("root",), ("bob",), "alice", False),
        (("root",), ("bob",), "bob", True),
        (("root",), ("bob",), None, False),
        (("root",), (":ANONYMOUS:",), None, False),
        (("bob",), (), "root", False),
        (("bob",), (), "bob", True),
        ((), (), "alice", True),
        ((), (), "root", True),
        ((), (), "bob", False),
    ],
)
def test_only_who_may_remove_removes(
    restrict_modify: tuple[str, ...],
    acl_upload: tuple[str, ...],
    by: str | None,
    may: bool,
    make_site: MakeSite,
) -> None:
    assert ask(make_site(), "PUT", "/bob", {"password": "bobpw"}, by="root").status == 201
    site = make_site(restrict_modify=restrict_modify)
    site.make_index("alice/dev", acl_upload=acl_upload)
    built = [WHEEL, a_wheel(version="2.0"), a_wheel("art")]
    site.add(*built, index="alice/dev")
    before = site.stored()
    targets = [path_of(WHEEL, "alice/dev"), "/alice/dev/demo/2.0", "/alice/dev/art"]
    answers = [remove(site, target, by) for target in targets]
    assert {answer.status for answer in answers} == {200 if may else 403}
    if not may:
        assert site.stored() == before
        assert all((by or "not logged in") in answer.line for answer in answers)


def test_a_download_that_has_begun_outlives_the_removal(volatile: Site) -> None:
    with elsewhere(volatile.folder) as store:
        place = parse_place(IndexName("alice/dev"), WHEEL.sha256[:16], WHEEL.filename)
        _, opened = store.open(place)
        with opened, io.BytesIO() as received:
            assert remove(volatile, "/alice/dev/demo").status == 200
            received.write(opened.read())
            assert received.getvalue() == WHEEL.content
