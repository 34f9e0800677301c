"""Where the servers differ: each answers as the table says, ours on purpose."""

from pathlib import Path

from tests.builders import BuiltFile, a_wheel, a_zip, an_upload_body
from tests.clients.programs import Terminal
from tests.compatibility.checklist import covers
from tests.compatibility.desk import Desk
from tests.compatibility.differences import differs
from tests.compatibility.far import FarIndex
from tests.compatibility.sites import Site, encoded, path_of, result_of

WHEEL = a_wheel()
OTHER_BYTES = a_wheel(extra_files={"demo/more.py": b""})

# Users


@differs("own password by the client")
def test_the_client_changes_the_password_of_a_user(
    expected: int, site: Site, tmp_path: Path
) -> None:
    user = site.a_user("first-password")
    desk = Desk(site, Terminal(tmp_path / "home"))
    desk.must("use", site.url)
    desk.must("login", user, "--password=first-password")
    finished = desk.run("user", "-m", user, "password=second-password")
    assert finished.exit_code == (0 if expected == 200 else 1)
    assert "403 " in finished.output or expected == 200


@differs("old login after a new password")
def test_a_login_from_before_a_new_password(expected: str, site: Site) -> None:
    user = site.a_user("first-password")
    login = {"user": user, "password": "first-password"}
    token = result_of(site.ask("POST", "/+login", login), "proxyauth")["password"]
    change = {"password": "second-password"}
    assert site.ask("PATCH", f"/{user}", change, by="root").status == 200
    told = site.ask("GET", "/+api", headers={"X-Devpi-Auth": encoded(user, token)})
    assert result_of(told, "apiconfig")["authstatus"][0] == expected


@differs("empty password")
def test_a_user_is_given_an_empty_password(expected: int, site: Site) -> None:
    user = site.a_user("first-password")
    assert site.ask("PATCH", f"/{user}", {"password": ""}, by="root").status == expected


@differs("unknown key of a user")
def test_a_user_is_given_a_key_that_there_is_not(expected: int, site: Site) -> None:
    assert site.ask("PATCH", "/alice", {"colour": "red"}, by="root").status == expected


@differs("body of a login that is a list")
def test_a_login_is_a_list(expected: int, site: Site) -> None:
    assert site.ask("POST", "/+login", ["root", "secret"]).status == expected


# Indexes


@differs("operation -= on an unknown key")
def test_a_key_that_there_is_not_is_removed(expected: int, site: Site) -> None:
    told = site.ask("PATCH", f"/{site.an_index()}", ["colour-="], by="root")
    assert told.status == expected


@differs("operation += on an unknown key")
def test_a_key_that_there_is_not_is_added_to(expected: int, site: Site) -> None:
    told = site.ask("PATCH", f"/{site.an_index()}", ["colour+=red"], by="root")
    assert told.status == expected


@differs("settings of a stage for a mirror")
def test_a_mirror_is_given_settings_of_a_stage(expected: int, site: Site) -> None:
    index = site.an_index(type="mirror", mirror_url="http://127.0.0.1:9/simple/")
    told = site.ask("PATCH", f"/{index}", {"acl_upload": ["alice"]}, by="root")
    assert told.status == expected


@differs("title that is no text")
def test_a_title_is_a_number(expected: int, site: Site) -> None:
    told = site.ask("PATCH", f"/{site.an_index()}", {"title": 5}, by="root")
    assert told.status == expected


@differs("mirror_url with a password")
def test_a_stranger_sees_the_password_of_a_mirror(expected: bool, site: Site) -> None:
    url = "http://reader:mirror-secret@127.0.0.1:9/simple/"
    index = site.an_index(type="mirror", mirror_url=url)
    told = site.ask("GET", f"/{index}?no_projects=")
    assert told.status == 200
    assert ("mirror-secret" in told.text) == expected


@differs("base that has gone")
def test_an_index_is_changed_whose_base_has_gone(expected: int, site: Site) -> None:
    base = site.an_index()
    index = site.an_index(bases=[base])
    assert site.ask("DELETE", f"/{base}", by="root").status == 201
    assert site.ask("PATCH", f"/{index}", ["title=Again"], by="root").status == expected


@differs("error_on_noop")
def test_a_change_without_effect_is_asked_to_be_an_error(expected: int, site: Site) -> None:
    path = f"/{site.an_index()}?error_on_noop="
    assert site.ask("PATCH", path, ["volatile=True"], by="root").status == expected


# Releases


@differs("project in another spelling")
def test_a_project_is_asked_for_in_another_spelling(expected: int, site: Site) -> None:
    index = site.an_index()
    site.upload(index, a_wheel("My.Demo"))
    assert site.ask("GET", f"/{index}/My_Demo/").status == expected


@differs("two spellings of a version")
def test_a_release_is_announced_in_two_spellings(expected: list[str], site: Site) -> None:
    index = site.an_index()
    site.register(index, "demo", "1.0")
    site.register(index, "demo", "1.0.0")
    assert site.versions(index, "demo") == expected


@differs("version that is not normalised")
def test_a_version_is_not_normalised(expected: list[str], site: Site) -> None:
    index = site.an_index()
    site.register(index, "demo", "1.0-alpha1")
    assert site.versions(index, "demo") == expected


@differs("order of links")
def test_documentation_comes_before_the_file(expected: list[str], site: Site) -> None:
    index = site.an_index()
    pages = BuiltFile("demo-1.0.doc.zip", a_zip({"index.html": b"<p>docs</p>"}))
    site.send_documentation(index, pages, "demo", "1.0")
    site.upload(index, WHEEL)
    links = result_of(site.ask("GET", f"/{index}/demo/1.0"), "versiondata")["+links"]
    assert [link["rel"] for link in links] == expected


@differs("status of a project")
def test_a_project_is_archived(expected: int, site: Site) -> None:
    index = site.an_index()
    site.upload(index, WHEEL)
    told = site.ask("PATCH", f"/{index}/demo", {"project-status": "archived"}, by="root")
    assert told.status == expected


@differs("link that runs a script")
def test_a_home_page_runs_a_script(expected: str, site: Site) -> None:
    index = site.an_index()
    site.register(index, "demo", "1.0", home_page="javascript:alert(1)")
    told = result_of(site.ask("GET", f"/{index}/demo/1.0"), "versiondata")
    assert told["home_page"] == expected


# Removal


@differs("file that was removed")
def test_a_file_is_asked_for_that_was_removed(expected: int, site: Site) -> None:
    index = site.an_index()
    site.upload(index, WHEEL)
    path = path_of(index, WHEEL)
    assert site.ask("DELETE", path, by="root").status == 200
    assert site.ask("GET", path, accept="*/*").status == expected


@differs("removal where there is no index")
def test_a_project_is_removed_where_there_is_no_index(expected: int, site: Site) -> None:
    assert site.ask("DELETE", "/root/none/demo", by="root").status == expected


@differs("removal by anybody")
def test_a_stranger_removes_where_everybody_uploads(expected: int, site: Site) -> None:
    index = site.an_index(acl_upload=[":ANONYMOUS:"])
    site.upload(index, WHEEL)
    assert site.ask("DELETE", f"/{index}/demo").status == expected


# Uploads


@differs("first upload to root/local")
def test_root_uploads_to_an_index_that_nobody_has_made(expected: int, site: Site) -> None:
    assert site.send("root/local", WHEEL).status == expected


@differs("upload below the index")
def test_a_file_is_sent_to_the_simple_pages(expected: int, site: Site) -> None:
    index = site.an_index()
    content_type, body = an_upload_body(WHEEL)
    assert site.send_form(f"{index}/+simple", content_type, body).status == expected


@differs("digest that is not the file's")
def test_a_digest_is_not_the_files(expected: int, site: Site) -> None:
    told = site.send(site.an_index(), WHEEL, sha256_digest="0" * 64, md5_digest=None)
    assert told.status == expected


@differs("name missing in a form")
def test_a_form_has_no_name(expected: int, site: Site) -> None:
    assert site.send(site.an_index(), WHEEL, name=None).status == expected


@differs("changed file in a refused upload")
def test_a_refused_upload_says_something_new_of_the_release(expected: str, site: Site) -> None:
    index = site.an_index(volatile=False)
    assert site.send(index, WHEEL, summary="first").status == 200
    assert site.send(index, OTHER_BYTES, summary="changed").status == 409
    told = site.ask("GET", f"/{index}/demo/1.0")
    assert result_of(told, "versiondata")["summary"] == expected


# Pushes


@differs("identical release in a non-volatile index")
def test_a_release_is_pushed_twice(expected: int, site: Site) -> None:
    source, target = site.an_index(), site.an_index(volatile=False)
    site.upload(source, WHEEL)
    push = {"name": "demo", "version": "1.0", "targetindex": target}
    assert site.ask("PUSH", f"/{source}", push, by="root").status == 200
    assert site.ask("PUSH", f"/{source}", push, by="root").status == expected


@differs("name in the steps of a push")
def test_a_push_spells_the_name_otherwise_than_the_upload(expected: str, site: Site) -> None:
    source, target = site.an_index(), site.an_index()
    assert site.send(source, a_wheel("My.Demo"), name="My.Demo").status == 200
    push = {"name": "my-demo", "version": "1.0", "targetindex": target}
    steps = result_of(site.ask("PUSH", f"/{source}", push, by="root"), "actionlog")
    assert steps[0][2] == expected


@differs("anonymous push to another server")
def test_a_stranger_pushes_to_another_server(expected: int, site: Site, far: FarIndex) -> None:
    index = site.an_index()
    site.upload(index, WHEEL)
    target = {"posturl": far.url, "username": "nobody", "password": "none"}
    told = site.ask("PUSH", f"/{index}", {"name": "demo", "version": "1.0", **target})
    assert told.status == expected


@differs("push without a version")
def test_a_push_names_no_version(expected: int, site: Site) -> None:
    index = site.an_index()
    site.upload(index, WHEEL)
    push = {"name": "demo", "targetindex": index}
    assert site.ask("PUSH", f"/{index}", push, by="root").status == expected


# Files, refreshes, the server


@differs("part of a file")
def test_a_part_of_a_file_is_asked_for(expected: int, site: Site) -> None:
    index = site.an_index()
    site.upload(index, WHEEL)
    headers = {"Range": "bytes=-10"}
    told = site.ask("GET", path_of(index, WHEEL), accept="*/*", headers=headers)
    assert told.status == expected
    assert told.body == (WHEEL.content[-10:] if expected == 206 else WHEEL.content)


@differs("refresh of an unknown project")
def test_an_unknown_project_is_refreshed(expected: int, site: Site) -> None:
    path = f"/{site.an_index()}/+simple/none/refresh"
    assert site.ask("POST", path, accept="*/*").status == expected


@differs("GET of refresh")
def test_refresh_is_asked_for_with_get(expected: int, site: Site) -> None:
    index = site.an_index()
    site.upload(index, WHEEL)
    assert site.ask("GET", f"/{index}/+simple/demo/refresh").status == expected


@differs("status tells folders")
def test_the_status_tells_where_the_server_keeps_its_data(expected: bool, site: Site) -> None:
    told = result_of(site.ask("GET", "/+status"), "status")
    assert ("serverdir" in told) == expected


@covers("GET /+changelog/{serial}, /+changelog/{serial}-")
@differs("replication")
def test_the_log_of_changes_is_asked_for(expected: int, site: Site) -> None:
    for path in ("/+changelog/0", "/+changelog/0-"):
        assert site.ask("GET", path).status == expected
