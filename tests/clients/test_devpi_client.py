"""The real devpi-client looks around, changes things and removes them."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.builders import BuiltFile, a_wheel, an_sdist
from tests.clients.programs import Finished, Terminal, program
from tests.clients.server_side import filenames_in
from tests.server import RunningServer, running_server

_TYPES_A_PASSWORD = """\
import getpass, sys
getpass.getpass = lambda prompt: "typed-password"
from devpi.main import main
sys.exit(main(["devpi", "passwd", *sys.argv[1:]]))
"""

OLD, WHEEL, SDIST = a_wheel("My.Demo", "1.0"), a_wheel("My.Demo", "2.0"), an_sdist("My.Demo", "2.0")
OTHER = a_wheel("other", "0.1")


@dataclass(frozen=True, slots=True)
class Devpi:
    """devpi-client at a terminal, beside the server that it uses."""

    terminal: Terminal
    server: RunningServer

    def run(self, *arguments: str) -> Finished:
        """Run a command."""
        finished = self.terminal.run(program("devpi"), *arguments)
        for sign_of_trouble in ("unversioned reply", "Traceback", "500 "):
            assert sign_of_trouble not in finished.output
        return finished

    def must(self, *arguments: str) -> str:
        """Run a command that has to succeed; what it wrote."""
        finished = self.run(*arguments)
        assert finished.exit_code == 0, finished.output
        return finished.output

    def refused(self, status: int, *arguments: str) -> str:
        """Run a command that the server has to refuse; what it wrote, on one line."""
        finished = self.run(*arguments)
        assert finished.exit_code == 1, finished.output
        assert f"{status} " in finished.output
        return finished.sentence

    def login(self, user: str, password: str) -> None:
        """Log in."""
        self.must("login", user, f"--password={password}")

    def upload(self, *files: BuiltFile, index: str = "root/dev") -> None:
        """Upload files, in their order."""
        folder = self.terminal.home / "files"
        folder.mkdir(exist_ok=True)
        for built in files:
            self.must("upload", "--index", index, str(built.save(folder)))


@pytest.fixture
def devpi(tmp_path: Path, terminal: Terminal) -> Iterator[Devpi]:
    """A client that root has logged in with, and a server with the empty index root/dev."""
    with running_server(tmp_path / "data") as server:
        client = Devpi(terminal, server)
        client.must("use", server.url)
        client.login("root", server.root_password)
        client.must("index", "-c", "dev")
        client.must("use", "root/dev")
        yield client


@pytest.fixture
def filled(devpi: Devpi) -> Devpi:
    """The same, with two releases of a project and one of another in the index."""
    devpi.upload(OLD, WHEEL, SDIST, OTHER)
    return devpi


def url_of(devpi: Devpi, built: BuiltFile, index: str = "root/dev") -> str:
    return f"{devpi.server.url}/{index}/+f/{built.sha256[:3]}/{built.sha256[3:16]}/{built.filename}"


def lines(output: str) -> list[str]:
    return [line.strip() for line in output.splitlines() if line.strip()]


# Listing


def test_list_shows_the_projects_of_the_index(filled: Devpi) -> None:
    assert lines(filled.must("list")) == ["my-demo", "other"]
    assert lines(filled.must("list", "-v")) == ["My.Demo==2.0", "other==0.1"]
    assert lines(filled.must("list", "-v", "--all")) == [
        "My.Demo==1.0",
        "My.Demo==2.0",
        "other==0.1",
    ]


@pytest.mark.parametrize("name", ["my-demo", "My.Demo", "my_demo"])
def test_list_shows_the_files_of_a_project_however_it_is_spelled(name: str, filled: Devpi) -> None:
    newest_first = [url_of(filled, built) for built in (WHEEL, SDIST, OLD)]
    assert lines(filled.must("list", name)) == newest_first
    assert lines(filled.must("list", "--all", name)) == newest_first
    assert lines(filled.must("list", f"{name}<2")) == newest_first[2:]
    assert "404" in filled.refused(404, "list", "none")


def test_list_shows_what_bases_have_and_what_is_hidden_in_them(filled: Devpi) -> None:
    filled.must("index", "-c", "derived", "bases=root/dev")
    changed = a_wheel("My.Demo", "2.0", extra_files={"my_demo/more.py": b""})
    filled.upload(changed, index="root/derived")
    filled.must("use", "root/derived")
    own, base = url_of(filled, changed, "root/derived"), url_of(filled, WHEEL)
    shown = lines(filled.must("list", "my-demo"))
    assert shown == [own, base, url_of(filled, SDIST), url_of(filled, OLD)]
    # The client shows links with the query of its own request.
    shown = lines(filled.must("list", "--ignore-bases", "my-demo"))
    assert shown == [f"{own}?ignore_bases="]
    assert lines(filled.must("list", "--ignore-bases", "-v")) == ["My.Demo==2.0"]


# Indexes


def test_index_shows_and_changes_settings(filled: Devpi) -> None:
    shown = filled.must("index", "root/dev")
    for line in ("type=stage", "volatile=True", "acl_upload=root", "strict_archives=True"):
        assert line in lines(shown)
    operations = ["volatile=False", "bases+=root/pypi", "acl_upload+=alice", "title=Our index"]
    shown = filled.must("index", "root/dev", *operations)
    for line in ("volatile=False", "bases=root/pypi", "acl_upload=root,alice", "title=Our index"):
        assert line in lines(shown)
    shown = filled.must("index", "root/dev", "bases-=root/pypi", "title-=", "acl_upload-=alice")
    assert {"bases=", "acl_upload=root"} <= set(lines(shown))
    assert "title=Our index" not in shown
    assert lines(filled.must("index", "-l")) == ["root/dev", "root/pypi"]


@pytest.mark.parametrize(
    ("operation", "words"),
    [
        ("colour=red", "colour"),
        ("colour+=red", "colour"),
        ("bases+=root/none", "root/none"),
        ("acl_upload-=alice", "alice"),
        ("volatile-=", "volatile"),
        ("type=mirror", "type"),
    ],
)
def test_index_says_why_a_change_is_refused(operation: str, words: str, devpi: Devpi) -> None:
    before = devpi.must("index", "root/dev")
    assert words in devpi.refused(400, "index", "root/dev", operation)
    assert devpi.must("index", "root/dev") == before


def test_an_index_is_deleted_unless_it_is_to_stay(filled: Devpi) -> None:
    filled.must("index", "-c", "prod", "volatile=False")
    assert "volatile" in filled.refused(403, "index", "--delete", "-y", "root/prod")
    filled.must("index", "--delete", "-y", "root/dev")
    assert lines(filled.must("index", "-l")) == ["root/prod", "root/pypi"]
    assert filenames_in(filled.server, "root/dev") == set()


# Users


def test_users_change_their_own_passwords(devpi: Devpi) -> None:
    devpi.must("user", "-c", "alice", "password=first-password", "email=alice@example.org")
    devpi.login("alice", "first-password")
    devpi.must("user", "-m", "alice", "password=second-password")
    # The old login has ended.
    assert "403" in devpi.refused(403, "user", "-m", "alice", "password=third-password")
    assert devpi.run("login", "alice", "--password=first-password").exit_code == 1
    devpi.login("alice", "second-password")
    typed = devpi.terminal.must(sys.executable, "-c", _TYPES_A_PASSWORD, "alice")
    assert "user modified: alice" in typed
    devpi.login("alice", "typed-password")
    assert "email=alice@example.org" in lines(devpi.must("user", "alice"))


def test_users_change_nothing_else_unless_they_may(devpi: Devpi) -> None:
    devpi.must("user", "-c", "alice", "password=first-password")
    devpi.login("alice", "first-password")
    refusal = devpi.refused(403, "user", "-m", "alice", "email=alice@example.org")
    assert "restrict_modify" in refusal
    devpi.refused(403, "user", "-m", "root", "password=mine-now-password")
    devpi.refused(403, "user", "--delete", "-y", "alice")
    devpi.login("root", devpi.server.root_password)
    devpi.must("user", "-m", "alice", "email=alice@example.org", "title=Alice")
    assert {"email=alice@example.org", "title=Alice"} <= set(lines(devpi.must("user", "alice")))
    devpi.must("user", "-m", "alice", "title=")
    assert "title" not in devpi.must("user", "alice")


def test_users_are_deleted_but_root_is_not(devpi: Devpi) -> None:
    devpi.must("user", "-c", "alice", "password=first-password")
    devpi.must("index", "-c", "alice/dev")
    devpi.must("user", "--delete", "-y", "alice")
    assert lines(devpi.must("user", "-l")) == ["root"]
    devpi.refused(404, "user", "alice")
    assert "root" in devpi.refused(403, "user", "--delete", "-y", "root")


# Removal


def test_remove_takes_a_whole_project(filled: Devpi) -> None:
    filled.must("remove", "-y", "My_Demo")
    assert lines(filled.must("list")) == ["other"]
    assert filenames_in(filled.server, "root/dev") == {OTHER.filename}
    assert filled.run("remove", "-y", "my-demo").exit_code == 1


def test_remove_takes_the_versions_that_a_spec_names(filled: Devpi) -> None:
    filled.upload(a_wheel("My.Demo", "1.5"))
    output = filled.must("remove", "-y", "my-demo<2")
    for version in ("1.0", "1.5"):
        assert f"deleting release {version} of my-demo" in output
    assert lines(filled.must("list", "my-demo")) == [url_of(filled, WHEEL), url_of(filled, SDIST)]
    assert "No releases" in filled.run("remove", "-y", "my-demo==9").output


def test_remove_takes_a_file_by_its_url(filled: Devpi) -> None:
    filled.must("remove", "-y", url_of(filled, WHEEL))
    assert lines(filled.must("list", "my-demo")) == [url_of(filled, SDIST), url_of(filled, OLD)]
    filled.refused(404, "remove", "-y", url_of(filled, WHEEL))


def test_remove_needs_force_where_files_are_to_stay(filled: Devpi) -> None:
    filled.must("index", "root/dev", "volatile=False")
    everything = filenames_in(filled.server, "root/dev")
    for what in ("my-demo", "my-demo==1.0", url_of(filled, OLD)):
        assert "force" in filled.refused(403, "remove", "-y", what)
    assert filenames_in(filled.server, "root/dev") == everything
    filled.must("remove", "-y", "-f", url_of(filled, WHEEL))
    filled.must("remove", "-y", "-f", "my-demo==1.0")
    assert filenames_in(filled.server, "root/dev") == {SDIST.filename, OTHER.filename}
    filled.must("remove", "-y", "-f", "my-demo")
    assert lines(filled.must("list")) == ["other"]


def test_remove_is_for_those_who_may(filled: Devpi) -> None:
    filled.must("user", "-c", "alice", "password=first-password")
    filled.login("alice", "first-password")
    assert "alice" in filled.refused(403, "remove", "-y", "my-demo")
    filled.login("root", filled.server.root_password)
    filled.must("index", "root/dev", "acl_upload+=alice")
    filled.login("alice", "first-password")
    filled.must("remove", "-y", "my-demo")


def test_what_a_base_has_is_not_removed_through_another_index(filled: Devpi) -> None:
    filled.must("index", "-c", "derived", "bases=root/dev")
    filled.must("use", "root/derived")
    finished = filled.run("remove", "-y", "my-demo")
    assert finished.exit_code == 1
    assert "No releases" in finished.output
    assert OLD.filename in filenames_in(filled.server, "root/dev")


# What else it asks


def test_refresh_and_version_work(filled: Devpi) -> None:
    assert filled.run("refresh", "my-demo").exit_code == 0
    assert "simpleindex-server" in filled.must("--version")
    assert '"type": "versiondata"' in filled.must("getjson", "My.Demo/1.0")
