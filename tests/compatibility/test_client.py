"""devpi-client, unmodified, in all of its commands."""

import base64
import hashlib
import json
import stat
import sys
from importlib.metadata import distribution
from pathlib import Path

import pytest

from tests.builders import BuiltFile, a_wheel, a_zip, an_sdist
from tests.clients.programs import Terminal
from tests.compatibility.checklist import covers
from tests.compatibility.desk import Desk, lines
from tests.compatibility.far import FarIndex
from tests.compatibility.sites import ALICE_PASSWORD, Site, path_of
from tests.documents import TOX_RESULT

OLD, WHEEL, SDIST = a_wheel("My.Demo", "1.0"), a_wheel("My.Demo", "2.0"), an_sdist("My.Demo", "2.0")
DOCUMENTATION = BuiltFile("My.Demo-2.0.doc.zip", a_zip({"index.html": b"<p>docs</p>"}))

# What the environment of somebody who tests has; the server sees what tox has found out.
_TOX = f"""\
#!{sys.executable}
import sys
from pathlib import Path
Path(sys.argv[sys.argv.index("--result-json") + 1]).write_text('''{json.dumps(TOX_RESULT)}''')
"""
_PIP = """\
#!/bin/sh
exec {python} -m pip --python {venv}/bin/python "$@"
"""
_TYPES_A_PASSWORD = """\
import getpass, sys
getpass.getpass = lambda prompt: "typed-password"
from devpi.main import main
sys.exit(main(["devpi", "passwd", *sys.argv[1:]]))
"""


@pytest.fixture(scope="module")
def filled(site: Site) -> str:
    """An index with two releases and documentation, which no test changes."""
    index = site.an_index()
    for built in (OLD, WHEEL, SDIST):
        assert site.send(index, built, name="My.Demo").status == 200
    site.send_documentation(index, DOCUMENTATION, "My.Demo", "2.0")
    return index


def test_the_client_is_as_it_was_released() -> None:
    client = distribution("devpi-client")
    assert client.version == "7.3.0"
    sources = [file for file in client.files or () if file.suffix == ".py"]
    assert len(sources) > 10
    for file in sources:
        assert file.hash is not None
        digest = hashlib.new(file.hash.mode, file.read_binary()).digest()
        assert base64.urlsafe_b64encode(digest).decode().rstrip("=") == file.hash.value


# Looking around, logging in and off


@covers("use URL", "use NAME", "login", "logoff")
def test_a_user_comes_looks_around_and_leaves(site: Site, filled: str, tmp_path: Path) -> None:
    desk = Desk(site, Terminal(tmp_path / "home"))
    assert "not logged in" in desk.must("use", site.url)
    refused = desk.refused(401, "login", "alice", "--password=wrong")
    assert "alice" in refused
    told = desk.must("login", "alice", f"--password={ALICE_PASSWORD}")
    assert "credentials valid for 10.00 hours" in told
    told = desk.must("use", filled)
    assert f"current devpi index: {site.url}/{filled} (logged in as alice)" in told
    desk.must("logoff")
    assert f"{site.url}/{filled} (not logged in)" in desk.must("use")
    desk.refused(404, "use", "root/none")


@covers("use -l")
def test_use_lists_the_indexes_of_all_or_of_a_user(root: Desk, filled: str) -> None:
    told = root.must("use", "-l")
    assert filled in told
    told = root.must("use", "-l", "--user", "root")
    assert filled in told
    assert "alice/" not in told


@covers("use --set-cfg")
def test_use_writes_the_settings_of_installers(site: Site, filled: str, tmp_path: Path) -> None:
    desk, settings = Desk(site, Terminal(tmp_path / "home")), tmp_path / "pip.conf"
    desk.must("use", "--set-cfg", f"{site.url}/{filled}", PIP_CONFIG_FILE=str(settings))
    assert f"index_url = {site.url}/{filled}/+simple/" in settings.read_text()


@covers("--version")
def test_the_version_of_the_server_is_told(root: Desk) -> None:
    told = root.must("--version")
    assert "devpi-client 7.3.0" in told
    assert "current devpi server" in told


# Users and indexes


@covers("user")
def test_users_are_made_shown_changed_and_deleted(root: Desk) -> None:
    name = root.site.a_name("user")
    root.must("user", "-c", name, "password=some-password", "email=u@example.org")
    assert name in lines(root.must("user", "-l"))
    root.must("user", "-m", name, "email=", "title=Somebody")
    shown = root.must("user", name)
    assert "title=Somebody" in lines(shown)
    assert "email" not in shown
    root.must("user", "-y", "--delete", name)
    root.refused(404, "user", name)


@covers("passwd")
def test_a_password_is_typed(root: Desk, tmp_path: Path) -> None:
    name = root.site.a_user("first-password")
    told = root.terminal.must(sys.executable, "-c", _TYPES_A_PASSWORD, name)
    assert f"user modified: {name}" in told
    login = {"user": name, "password": "typed-password"}
    assert root.site.ask("POST", "/+login", login).status == 200


@covers("user", "index -c")
def test_a_user_without_rights_is_refused(alice: Desk) -> None:
    alice.refused(403, "user", "-c", "mallory", "password=some-password")
    alice.refused(403, "index", "-c", alice.site.a_name())


@covers("index -c", "index key=value", "index", "index -l", "index --delete")
def test_indexes_are_made_shown_changed_and_deleted(root: Desk) -> None:
    name = root.site.a_name()
    shown = lines(root.must("index", "-c", name, "bases=", "volatile=False"))
    assert {"type=stage", "volatile=False", "acl_upload=root"} <= set(shown)
    operations = ["volatile=True", "acl_upload+=alice", "title=Our index"]
    shown = lines(root.must("index", name, *operations))
    assert {"volatile=True", "acl_upload=root,alice", "title=Our index"} <= set(shown)
    assert set(lines(root.must("index", "--no-projects", name))) <= set(shown) | {"projects="}
    root.refused(400, "index", name, "colour=red")
    assert f"root/{name}" in lines(root.must("index", "-l"))
    root.must("index", "-y", "--delete", name)
    # The client says nothing here but with its exit code.
    assert root.run("index", name).exit_code == 1
    assert root.site.ask("GET", f"/root/{name}").status == 404


# Uploads


@covers("upload")
def test_a_folder_is_uploaded_with_documentation(root: Desk, tmp_path: Path) -> None:
    index = root.site.an_index()
    for built in (OLD, WHEEL, SDIST, DOCUMENTATION):
        built.save(tmp_path)
    told = root.must("upload", "--index", index, "--dry-run", "--from-dir", tmp_path)
    assert OLD.filename in told
    assert root.site.filenames(index, "my-demo") == set()
    root.must("upload", "--index", index, "--only-latest", "--from-dir", tmp_path)
    assert OLD.filename not in root.site.filenames(index, "my-demo")
    root.must("upload", "--index", index, "--from-dir", tmp_path)
    everything = {OLD.filename, WHEEL.filename, SDIST.filename}
    assert root.site.filenames(index, "my-demo") == everything
    root.must("upload", "--index", index, tmp_path / DOCUMENTATION.filename)
    told = root.must("getjson", f"{root.site.url}/{index}/my-demo/2.0")
    rels = [link["rel"] for link in json.loads(told)["result"]["+links"]]
    assert rels.count("doczip") == 1


@covers("upload")
def test_single_files_are_uploaded_or_refused_with_a_reason(root: Desk, tmp_path: Path) -> None:
    index = root.site.an_index(volatile=False)
    changed = a_wheel("My.Demo", "1.0", extra_files={"my_demo/more.py": b""})
    path = OLD.save(tmp_path)
    root.must("upload", "--index", index, path, SDIST.save(tmp_path))
    root.must("upload", "--index", index, path)
    told = root.refused(409, "upload", "--index", index, changed.save(tmp_path))
    assert "already exists" in told


@covers("upload")
def test_who_may_not_upload_is_told(alice: Desk, filled: str, tmp_path: Path) -> None:
    alice.refused(403, "upload", "--index", filled, OLD.save(tmp_path))


# Lists


@covers("list")
def test_projects_are_listed(root: Desk, filled: str) -> None:
    assert lines(root.must("list", "--index", filled)) == ["my-demo"]
    assert lines(root.must("list", "--index", filled, "-v")) == ["My.Demo==2.0"]
    shown = lines(root.must("list", "--index", filled, "-v", "--all"))
    assert sorted(shown) == ["My.Demo==1.0", "My.Demo==2.0"]


@covers("list SPEC")
def test_files_are_listed(root: Desk, filled: str) -> None:
    newest_first = [f"{root.site.url}{path_of(filled, each)}" for each in (WHEEL, SDIST, OLD)]
    assert lines(root.must("list", "--index", filled, "--all", "my-demo")) == newest_first
    assert lines(root.must("list", "--index", filled, "my-demo<2")) == newest_first[2:]
    root.refused(404, "list", "--index", filled, "none")


@covers("list SPEC")
def test_bases_are_listed_unless_they_are_left_out(root: Desk, filled: str) -> None:
    index = root.site.an_index(bases=[filled])
    shown = lines(root.must("list", "--index", index, "my-demo"))
    assert f"{root.site.url}{path_of(filled, WHEEL)}" in shown
    assert lines(root.must("list", "--index", index, "--ignore-bases", "my-demo")) == []


# JSON


@covers("getjson", "patchjson")
def test_json_is_shown_and_changed(root: Desk, tmp_path: Path) -> None:
    index, change = root.site.an_index(), tmp_path / "change.json"
    change.write_text('["title=By JSON"]')
    told = root.must("patchjson", f"/{index}", change)
    assert "PATCH REQUEST sent to" in told
    shown = json.loads(root.must("getjson", f"/{index}"))
    assert shown["type"] == "indexconfig"
    assert shown["result"]["title"] == "By JSON"


# Removal, pushes


@covers("remove")
def test_files_releases_and_projects_are_removed(root: Desk) -> None:
    index = root.site.an_index()
    root.site.upload(index, OLD, WHEEL, SDIST)
    root.must("remove", "-y", "--index", index, f"{root.site.url}{path_of(index, WHEEL)}")
    assert root.site.filenames(index, "my-demo") == {OLD.filename, SDIST.filename}
    told = root.must("remove", "-y", "--index", index, "my-demo<2")
    assert "deleting release 1.0 of my-demo" in told
    assert root.site.filenames(index, "my-demo") == {SDIST.filename}
    root.must("remove", "-y", "--index", index, "my-demo")
    assert root.site.ask("GET", f"/{index}/my-demo").status == 404


@covers("remove")
def test_removal_takes_force_where_files_are_to_stay(root: Desk) -> None:
    index = root.site.an_index(volatile=False)
    root.site.upload(index, OLD)
    root.refused(403, "remove", "-y", "--index", index, "my-demo==1.0")
    assert root.site.filenames(index, "my-demo") == {OLD.filename}
    root.must("remove", "-y", "-f", "--index", index, "my-demo==1.0")
    assert root.site.filenames(index, "my-demo") == set()


@covers("push")
@pytest.mark.parametrize(
    ("options", "rels"),
    [
        ([], ["doczip", "releasefile", "releasefile"]),
        (["--no-docs"], ["releasefile", "releasefile"]),
        (["--only-docs"], ["doczip"]),
    ],
    ids=["everything", "files", "documentation"],
)
def test_a_release_is_pushed_to_another_index(
    options: list[str], rels: list[str], root: Desk, filled: str
) -> None:
    target = root.site.an_index()
    told = root.must("push", "--index", filled, *options, "my-demo==2.0", target)
    assert f"-> {target}" in told
    release = root.site.ask("GET", f"/{target}/my-demo/2.0").json["result"]
    assert sorted(link["rel"] for link in release["+links"]) == rels


@covers("push")
def test_a_release_is_pushed_to_another_server(root: Desk, far: FarIndex, tmp_path: Path) -> None:
    index = root.site.an_index()
    root.site.upload(index, OLD)
    settings = tmp_path / "pypirc"
    settings.write_text(
        "[distutils]\nindex-servers = far\n\n"
        f"[far]\nrepository = {far.url}\nusername = somebody\npassword = secret\n"
    )
    where = ["--pypirc", str(settings), "--register-project"]
    # Pushes to other servers start at the index in use, whatever the option says.
    root.must("use", index)
    told = root.must("push", *where, "my-demo==1.0", "pypi:far")
    assert "200 register" in told
    assert "200 upload" in told
    registered, uploaded = far.forms
    assert b"submit" in registered
    assert b"file_upload" in uploaded
    assert OLD.content in uploaded


# What runs other programs


@covers("install")
def test_pip_installs_from_the_index(root: Desk, filled: str, tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    root.terminal.must(sys.executable, "-m", "venv", "--without-pip", venv)
    _make_program(venv / "bin" / "pip", _PIP.format(python=sys.executable, venv=venv))
    root.must("install", "--index", filled, "--venv", venv, "my-demo")
    version = "import my_demo; print(my_demo.__version__)"
    assert root.terminal.must(venv / "bin" / "python", "-c", version).strip() == "2.0"


@covers("test", "list -t")
def test_results_of_tests_are_sent_and_listed(root: Desk, tmp_path: Path) -> None:
    index, settings = root.site.an_index(), tmp_path / "tox.ini"
    root.site.upload(index, SDIST)
    settings.write_text("[tox]\n")
    programs = tmp_path / "bin"
    programs.mkdir()
    _make_program(programs / "tox", _TOX)
    root.must("use", index)
    told = root.must("test", "-c", settings, "my-demo", PATH=f"{programs}:/usr/bin:/bin")
    assert "posting tox result data to" in told
    assert "success" in told
    shown = root.must("list", "-t", "my-demo")
    assert SDIST.filename in shown
    for word in ("builder", "linux", "3.11.7"):
        assert word in shown


@covers("refresh")
def test_a_project_is_refreshed(root: Desk, filled: str) -> None:
    told = root.must("refresh", "--index", filled, "my-demo")
    assert "Refreshed my-demo" in told
    assert "Couldn't" not in told


def _make_program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
