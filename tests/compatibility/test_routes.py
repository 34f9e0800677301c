"""Every route of devpi's protocol, as clients other than devpi's own find it too."""

import json
import re
from urllib.parse import urljoin

import pytest

from tests.builders import a_wheel, an_sdist
from tests.compatibility.checklist import covers
from tests.compatibility.sites import (
    ALICE_PASSWORD,
    JSON,
    PIP,
    SIMPLE_JSON,
    Site,
    encoded,
    message_of,
    path_of,
    result_of,
)
from tests.documents import TOX_RESULT

WHEEL, SDIST, NEWER = a_wheel("My.Demo"), an_sdist("My.Demo"), a_wheel("My.Demo", "2.0")
OTHER_BYTES = a_wheel("My.Demo", extra_files={"my_demo/more.py": b""})

_HTML = "text/html"


@pytest.fixture(scope="module")
def filled(site: Site) -> str:
    """An index with two releases, which no test changes."""
    index = site.an_index()
    for built in (WHEEL, SDIST, NEWER):
        assert site.send(index, built, name="My.Demo").status == 200
    return index


# The server


@pytest.mark.parametrize("path", ["/+api", "/+status", "/", "/none/none", "/+none"])
def test_every_answer_names_the_version_of_the_api(path: str, site: Site) -> None:
    told = site.ask("GET", path)
    assert told.header("X-DEVPI-API-VERSION") == "2"
    assert told.header("content-type") == JSON


@covers("any /+api, /{user}/+api, /{user}/{index}/+api")
def test_the_api_names_its_urls_and_features(site: Site, filled: str) -> None:
    for path in ("/+api", "/root/+api", f"/{filled}/+api"):
        told = result_of(site.ask("GET", path), "apiconfig")
        assert told["login"] == f"{site.url}/+login"
        assert told["authstatus"] == ["noauth", "", []]
        assert set(told["features"]) == {
            "push-no-docs",
            "push-only-docs",
            "push-register-project",
            "server-keyvalue-parsing",
        }
    assert told["index"] == f"{site.url}/{filled}"
    assert told["simpleindex"] == f"{site.url}/{filled}/+simple/"
    assert told["pypisubmit"] == f"{site.url}/{filled}/"
    assert "root/none" in message_of(site.ask("GET", "/root/none/+api"), 404)


@covers("POST /+login")
def test_a_password_is_exchanged_for_a_token(site: Site) -> None:
    login = {"user": "alice", "password": ALICE_PASSWORD}
    told = result_of(site.ask("POST", "/+login", login), "proxyauth")
    assert told.keys() == {"password", "expiration"}
    assert told["expiration"] == 36000
    for carrier in (
        {"X-Devpi-Auth": encoded("alice", told["password"])},
        {"Authorization": f"Basic {encoded('alice', told['password'])}"},
        {"Authorization": f"Basic {encoded('alice', ALICE_PASSWORD)}"},
    ):
        api = result_of(site.ask("GET", "/+api", headers=carrier), "apiconfig")
        assert api["authstatus"] == ["ok", "alice", []]


@covers("POST /+login")
def test_a_login_that_is_wrong_is_refused_with_a_message(site: Site) -> None:
    for user in ("alice", "nobody"):
        told = site.ask("POST", "/+login", {"user": user, "password": "wrong"})
        assert user in message_of(told, 401)
        assert told.header("Location") is None
    message_of(site.ask("POST", "/+login", {"user": "alice"}), 400)
    message_of(site.ask("POST", "/+login", body=b"no json"), 400)


@covers("GET /+status")
def test_the_status_tells_versions_role_and_serial(site: Site) -> None:
    told = result_of(site.ask("GET", "/+status"), "status")
    assert isinstance(told["versioninfo"], dict)
    assert isinstance(told["serial"], int)
    assert re.fullmatch("[0-9a-f]{32}", told["uuid"])
    assert told["role"] in {"MASTER", "STANDALONE"}


@covers("any /+authcheck")
def test_a_front_server_is_told_who_may_read(site: Site, filled: str) -> None:
    original = f"{site.url}{path_of(filled, WHEEL)}"
    told = site.ask("GET", "/+authcheck", accept="*/*", headers={"X-Original-URI": original})
    assert told.status == 200


# Users


@covers("GET /", "GET /{user}")
def test_users_are_shown_with_their_indexes_and_without_secrets(site: Site, filled: str) -> None:
    users = result_of(site.ask("GET", "/"), "list:userconfig")
    assert {"root", "alice"} <= users.keys()
    alone = result_of(site.ask("GET", "/root"), "userconfig")
    for root in (users["root"], alone):
        assert root["username"] == "root"
        settings = root["indexes"][filled.removeprefix("root/")]
        assert settings["type"] == "stage"
        assert "projects" not in settings
        assert not root.keys() & {"password", "pwhash", "pwsalt"}
    assert "nobody" in message_of(site.ask("GET", "/nobody"), 404)


@covers("PUT /{user}", "PATCH /{user}", "DELETE /{user}")
def test_a_user_is_made_changed_and_deleted(site: Site) -> None:
    path = f"/{site.a_name('user')}"
    made = {"password": "first-password", "email": "u@example.org"}
    told = site.ask("PUT", path, made, by="root")
    assert told.status == 201
    assert told.json["type"] == "userconfig"
    assert told.json["result"]["email"] == "u@example.org"
    message_of(site.ask("PUT", path, made, by="root"), 409)
    message_of(site.ask("PATCH", path, {"title": "Somebody", "email": ""}, by="root"), 200)
    user = result_of(site.ask("GET", path), "userconfig")
    assert user["title"] == "Somebody"
    assert "email" not in user
    changed = site.ask("PATCH", path, {"password": "second-password"}, by="root")
    assert result_of(changed, "userpassword").keys() == {"password", "expiration"}
    message_of(site.ask("DELETE", path, by="root"), 200)
    message_of(site.ask("GET", path), 404)


@covers("PUT /{user}", "PATCH /{user}", "DELETE /{user}")
@pytest.mark.parametrize("by", [None, "alice"])
def test_users_are_changed_by_those_who_may_alone(by: str | None, site: Site) -> None:
    body = {"password": "some-password"}
    message_of(site.ask("PUT", "/mallory", body, by=by), 403)
    message_of(site.ask("PATCH", "/root", {"title": "x"}, by=by), 403)
    message_of(site.ask("PATCH", "/alice", {"title": "x"}, by=by), 403)
    message_of(site.ask("DELETE", "/alice", by=by), 403)
    message_of(site.ask("DELETE", "/root", by="root"), 403)


@covers("PUT /{user}")
@pytest.mark.parametrize("name", ["ca%20rol", "a;b", "a~b"])
def test_a_user_cannot_be_named_like_that(name: str, site: Site) -> None:
    message_of(site.ask("PUT", f"/{name}", {"password": "some-password"}, by="root"), 400)


# Indexes


@covers("PUT /{user}/{index}", "GET /{user}/{index}")
def test_a_new_index_has_devpis_settings(site: Site) -> None:
    path = f"/alice/{site.a_name()}"
    told = result_of(site.ask("PUT", path, {}, by="root"), "indexconfig")
    devpis = {
        "type": "stage",
        "volatile": True,
        "bases": [],
        "acl_upload": ["alice"],
        "acl_toxresult_upload": [":ANONYMOUS:"],
        "mirror_whitelist": [],
        "mirror_whitelist_inheritance": "intersection",
    }
    assert {key: told[key] for key in devpis} == devpis
    assert result_of(site.ask("GET", path), "indexconfig") == {**told, "projects": []}
    assert result_of(site.ask("GET", f"{path}?no_projects="), "indexconfig") == told
    message_of(site.ask("PUT", path, {}, by="root"), 409)
    message_of(site.ask("PUT", f"/nobody/{site.a_name()}", {}, by="root"), 404)
    message_of(site.ask("PUT", f"/alice/{site.a_name()}", {}, by="alice"), 403)


@covers("PATCH /{user}/{index}")
def test_an_index_is_changed_by_operations_or_by_an_object(site: Site) -> None:
    path = f"/{site.an_index()}"
    operations = ["volatile=False", "acl_upload+=alice", "title=Ours", "bases=root/none,"]
    assert "root/none" in message_of(site.ask("PATCH", path, operations, by="root"), 400)
    told = result_of(site.ask("PATCH", path, operations[:3], by="root"), "indexconfig")
    assert (told["volatile"], told["acl_upload"]) == (False, ["root", "alice"])
    told = result_of(
        site.ask("PATCH", path, ["acl_upload-=root", "title-="], by="root"), "indexconfig"
    )
    assert told["acl_upload"] == ["alice"]
    assert "title" not in told
    told = result_of(site.ask("PATCH", path, {"volatile": "yes"}, by="root"), "indexconfig")
    assert told["volatile"] is True


@covers("PATCH /{user}/{index}")
@pytest.mark.parametrize(
    "change",
    [
        {"colour": "red"},
        ["colour=red"],
        {"volatile": "perhaps"},
        {"type": "mirror"},
        {"bases": ["root/none"]},
        ["acl_upload-=nobody"],
        ["volatile-="],
    ],
    ids=str,
)
def test_a_setting_that_makes_no_sense_is_refused(change: object, site: Site, filled: str) -> None:
    before = site.ask("GET", f"/{filled}").json
    message_of(site.ask("PATCH", f"/{filled}", change, by="root"), 400)
    assert site.ask("GET", f"/{filled}").json == before


@covers("PATCH /{user}/{index}", "DELETE /{user}/{index}")
@pytest.mark.parametrize("by", [None, "alice"])
def test_an_index_is_not_its_users_to_change(by: str | None, site: Site) -> None:
    index = site.an_index("alice")
    message_of(site.ask("PATCH", f"/{index}", ["title=x"], by=by), 403)
    message_of(site.ask("DELETE", f"/{index}", by=by), 403)


@covers("DELETE /{user}/{index}")
def test_an_index_goes_with_its_files_unless_it_is_to_stay(site: Site) -> None:
    index = site.an_index(volatile=False)
    site.upload(index, WHEEL)
    message_of(site.ask("DELETE", f"/{index}", by="root"), 403)
    result_of(site.ask("PATCH", f"/{index}", ["volatile=True"], by="root"), "indexconfig")
    message_of(site.ask("DELETE", f"/{index}", by="root"), 201)
    message_of(site.ask("GET", f"/{index}"), 404)


# Uploads and pushes


@covers("POST /{user}/{index} with a form")
def test_an_upload_that_is_taken_has_an_empty_answer(site: Site) -> None:
    index = site.an_index()
    told = site.send(index, WHEEL)
    assert (told.status, told.body) == (200, b"")
    assert site.filenames(index, "my-demo") == {WHEEL.filename}


@covers("POST /{user}/{index} with a form")
def test_an_upload_is_for_those_who_may(site: Site, filled: str) -> None:
    told = site.send(filled, NEWER, by=None)
    assert told.status == 401
    assert (told.header("WWW-Authenticate") or "").startswith("Basic realm=")
    assert site.send(filled, NEWER, by="alice").status == 403
    assert site.send("alice/none", NEWER).status == 404


@covers("POST /{user}/{index} with a form")
def test_other_bytes_replace_a_file_in_a_volatile_index_alone(site: Site) -> None:
    volatile, kept = site.an_index(), site.an_index(volatile=False)
    site.upload(volatile, WHEEL, OTHER_BYTES)
    assert site.ask("GET", path_of(volatile, OTHER_BYTES), accept="*/*").status == 200
    site.upload(kept, WHEEL, WHEEL)
    assert site.send(kept, OTHER_BYTES).status == 409
    assert site.ask("GET", path_of(kept, WHEEL), accept="*/*").body == WHEEL.content


@covers("POST /{user}/{index} with a form")
@pytest.mark.parametrize(
    "fields", [{":action": "verify"}, {"name": "other"}, {"version": "3.0"}], ids=str
)
def test_a_form_that_does_not_fit_is_refused(
    fields: dict[str, str], site: Site, filled: str
) -> None:
    assert site.send(filled, NEWER, **fields).status == 400


@covers("POST /{user}/{index} with a form")
def test_a_release_is_announced_before_its_files(site: Site) -> None:
    index = site.an_index()
    site.register(index, "demo", "1.0", summary="soon")
    told = result_of(site.ask("GET", f"/{index}/demo/1.0"), "versiondata")
    assert told["summary"] == "soon"
    assert "+links" not in told
    page = site.ask("GET", f"/{index}/+simple/demo/", accept=SIMPLE_JSON)
    assert (page.status, page.json["files"]) == (200, [])


@covers("PUSH /{user}/{index}, POST with JSON")
@pytest.mark.parametrize("method", ["PUSH", "POST"])
def test_a_push_tells_its_steps(method: str, site: Site, filled: str) -> None:
    target = site.an_index()
    push = {"name": "my-demo", "version": "2.0", "targetindex": target}
    steps = result_of(site.ask(method, f"/{filled}", push, by="root"), "actionlog")
    registered, stored = steps
    assert (registered[:2], registered[3:]) == ([200, "register"], ["2.0", "->", target])
    assert stored == [200, "store_releasefile", path_of(target, NEWER).removeprefix("/")]
    assert site.filenames(target, "my-demo") == {NEWER.filename}


@covers("PUSH /{user}/{index}, POST with JSON")
def test_a_push_that_cannot_be_is_refused(site: Site, filled: str) -> None:
    target = site.an_index()
    push = {"name": "my-demo", "version": "2.0", "targetindex": target}
    for changed, status in (
        ({"version": "9"}, 400),
        ({"name": "none"}, 400),
        ({"targetindex": "root/none"}, 404),
        ({"targetindex": "none"}, 400),
        ({"no_docs": True, "only_docs": True}, 400),
    ):
        message_of(site.ask("PUSH", f"/{filled}", push | changed, by="root"), status)
    message_of(site.ask("PUSH", f"/{filled}", push), 401)
    assert site.filenames(target, "my-demo") == set()


# Pages for installers


@covers("GET /{user}/{index} by an installer", "GET /{user}/{index}/+simple")
def test_installers_are_shown_all_projects(site: Site, filled: str) -> None:
    for path, headers in ((f"/{filled}/", PIP), (f"/{filled}/+simple/", {})):
        told = site.ask("GET", path, accept=SIMPLE_JSON, headers=headers)
        assert told.status == 200
        assert told.media_type == SIMPLE_JSON
        assert [project["name"] for project in told.json["projects"]] == ["my-demo"]
        told = site.ask("GET", path, accept=_HTML, headers=headers)
        assert told.media_type == _HTML
        assert "my-demo/" in told.text


@covers("GET /{user}/{index}/{project} by an installer", "GET /{user}/{index}/+simple/{project}")
def test_installers_are_shown_the_files_of_a_project(site: Site, filled: str) -> None:
    for path, headers in ((f"/{filled}/my-demo/", PIP), (f"/{filled}/+simple/my-demo/", {})):
        told = site.ask("GET", path, accept=SIMPLE_JSON, headers=headers)
        assert (told.status, told.media_type) == (200, SIMPLE_JSON)
        files = {file["filename"]: file for file in told.json["files"]}
        assert files.keys() == {WHEEL.filename, SDIST.filename, NEWER.filename}
        assert files[WHEEL.filename]["hashes"]["sha256"] == WHEEL.sha256
        assert files[WHEEL.filename]["url"].endswith(path_of("", WHEEL).lstrip("/"))
        told = site.ask("GET", path, accept=_HTML, headers=headers)
        assert (told.status, told.media_type) == (200, _HTML)
        assert f"{WHEEL.filename}#sha256={WHEEL.sha256}" in told.text
    assert site.ask("GET", f"/{filled}/+simple/none/", accept=_HTML).status == 404
    assert site.ask("GET", f"/{filled}/none/", accept=_HTML, headers=PIP).status == 404


@covers("POST /{user}/{index}/+simple/{project}/refresh")
def test_a_refresh_leads_to_the_page(site: Site, filled: str) -> None:
    told = site.ask("POST", f"/{filled}/+simple/my-demo/refresh", accept="*/*")
    assert told.status == 302
    page = f"{site.url}/{filled}/+simple/my-demo/"
    assert urljoin(f"{page}refresh", told.header("Location")) == page


# Files


@covers("GET, HEAD /{user}/{index}/+f/{path}, +e/{path}")
def test_a_file_has_its_bytes_and_a_description(site: Site, filled: str) -> None:
    path = path_of(filled, WHEEL)
    for place in (path, path.replace("+f", "%2Bf"), f"/{path}"):
        told = site.ask("GET", place, accept="*/*")
        assert (told.status, told.body) == (200, WHEEL.content)
        assert told.words("cache-control") >= {"immutable"}
    head = site.ask("HEAD", path, accept="*/*")
    assert (head.status, head.body) == (200, b"")
    assert head.header("content-length") == str(len(WHEEL.content))
    about = result_of(site.ask("GET", path), "releasefilemeta")
    assert about["hashes"]["sha256"] == WHEEL.sha256
    assert about["hash_spec"] == f"sha256={WHEEL.sha256}"
    assert (about["project"], about["version"]) == ("my-demo", "1.0")
    assert about["last_modified"].endswith(" GMT")
    for folder in ("+f/123/4567890123456", "+e/somewhere"):
        nowhere = f"/{filled}/{folder}/{WHEEL.filename}"
        assert site.ask("GET", nowhere, accept="*/*").status == 404


@covers("POST /{user}/{index}/+f/{path}")
def test_a_result_of_a_test_is_kept_beside_the_file(site: Site) -> None:
    index = site.an_index()
    site.upload(index, WHEEL)
    told = result_of(site.ask("POST", path_of(index, WHEEL), TOX_RESULT), "toxresultpath")
    place = told.partition("#")[0]
    assert place.startswith(f"{path_of(index, WHEEL).removeprefix('/')}.toxresult-")
    kept = site.ask("GET", f"/{place}", accept="*/*")
    assert json.loads(kept.body) == TOX_RESULT
    links = result_of(site.ask("GET", f"/{index}/my-demo/1.0"), "versiondata")["+links"]
    (link,) = (link for link in links if link["rel"] == "toxresult")
    assert link["for_href"] == f"{site.url}{path_of(index, WHEEL)}"
    assert link["href"] == f"{site.url}/{place}"


@covers("DELETE /{user}/{index}/+f/{path}")
def test_with_its_last_file_a_project_goes(site: Site) -> None:
    index = site.an_index()
    site.upload(index, WHEEL, SDIST)
    message_of(site.ask("DELETE", path_of(index, WHEEL), by="alice"), 403)
    message_of(site.ask("DELETE", path_of(index, WHEEL), by="root"), 200)
    assert site.filenames(index, "my-demo") == {SDIST.filename}
    message_of(site.ask("DELETE", path_of(index, SDIST), by="root"), 200)
    message_of(site.ask("GET", f"/{index}/my-demo"), 404)


# Projects and releases


@covers("GET /{user}/{index}/{project}", "GET /{user}/{index}/{project}/{version}")
def test_a_project_tells_its_releases_and_their_links(site: Site, filled: str) -> None:
    told = result_of(site.ask("GET", f"/{filled}/my-demo/"), "projectconfig")
    assert told.keys() == {"1.0", "2.0"}
    alone = result_of(site.ask("GET", f"/{filled}/my-demo/2.0"), "versiondata")
    assert (alone["name"], alone["version"]) == (told["2.0"]["name"], "2.0")
    (link,) = alone["+links"]
    assert link["rel"] == "releasefile"
    assert link["href"] == f"{site.url}{path_of(filled, NEWER)}"
    assert link["hashes"]["sha256"] == NEWER.sha256
    (entry,) = link["log"]
    assert (entry["what"], entry["who"], entry["dst"]) == ("upload", "root", filled)
    assert len(entry["when"]) == 6
    for path in (f"/{filled}/none", f"/{filled}/my-demo/9"):
        message_of(site.ask("GET", path), 404)


@covers("GET /{user}/{index}/{project}")
def test_a_project_is_seen_through_bases_unless_they_are_left_out(site: Site, filled: str) -> None:
    index = site.an_index(bases=[filled])
    site.upload(index, WHEEL)
    told = result_of(site.ask("GET", f"/{index}/my-demo"), "projectconfig")
    assert told.keys() == {"1.0", "2.0"}
    (shadowed,) = told["1.0"]["+shadowing"]
    assert shadowed["+links"][0]["href"].startswith(f"{site.url}/{filled}/")
    own = result_of(site.ask("GET", f"/{index}/my-demo?ignore_bases="), "projectconfig")
    assert own.keys() == {"1.0"}
    assert result_of(site.ask("GET", f"/{index}"), "indexconfig")["projects"] == ["my-demo"]


@covers("DELETE /{user}/{index}/{project}", "DELETE /{user}/{index}/{project}/{version}")
def test_projects_and_releases_are_removed_by_force_where_files_are_to_stay(site: Site) -> None:
    index = site.an_index(volatile=False)
    site.upload(index, WHEEL, NEWER)
    for path in (f"/{index}/my-demo/1.0", f"/{index}/my-demo"):
        message_of(site.ask("DELETE", path, by="alice"), 403)
        message_of(site.ask("DELETE", path, by="root"), 403)
    message_of(site.ask("DELETE", f"/{index}/my-demo/9?force", by="root"), 404)
    message_of(site.ask("DELETE", f"/{index}/my-demo/1.0?force", by="root"), 200)
    assert site.versions(index, "my-demo") == ["2.0"]
    message_of(site.ask("DELETE", f"/{index}/my-demo?force", by="root"), 200)
    message_of(site.ask("DELETE", f"/{index}/my-demo?force", by="root"), 404)
