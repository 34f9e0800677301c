"""Releases on their way: devpi's client pushes them, and sends documentation and results."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.request import Request

import pytest

from tests.builders import BuiltFile, a_wheel, a_zip, an_sdist
from tests.clients.programs import Finished, Terminal, program
from tests.clients.server_side import filenames_in, open_directly
from tests.documents import DOCUMENTATION, TOX_RESULT
from tests.server import RunningServer, free_port, running_server

WHEEL, SDIST = a_wheel(), an_sdist()


@dataclass(frozen=True, slots=True)
class Desk:
    """Where somebody works with devpi's client as root, in root/local."""

    server: RunningServer
    terminal: Terminal
    folder: Path

    def devpi(self, *arguments: str | Path) -> Finished:
        return self.terminal.run(program("devpi"), *arguments)

    def must(self, *arguments: str | Path) -> str:
        return self.terminal.must(program("devpi"), *arguments)

    def upload(self, *files: BuiltFile) -> None:
        self.must("upload", *(file.save(self.folder) for file in files))

    def status_of(self, path: str) -> int:
        return open_directly(Request(f"{self.server.url}{path}"))[0]

    def results(self, index: str = "root/local") -> list[str]:
        """The links to results of tests of demo 1.0."""
        request = Request(f"{self.server.url}/{index}/demo/1.0")
        request.add_header("Accept", "application/json")
        status, body = open_directly(request)
        assert status == 200, body
        links = json.loads(body)["result"]["+links"]
        return [link["href"] for link in links if link["rel"] == "toxresult"]


@pytest.fixture
def desk(tmp_path: Path, terminal: Terminal) -> Iterator[Desk]:
    # The servers that are pushed to are on this computer too.
    with running_server(tmp_path / "data", "--private-upstreams=127.0.0.1") as server:
        folder = tmp_path / "files"
        folder.mkdir()
        desk = Desk(server, terminal, folder)
        desk.must("use", server.url)
        desk.must("login", "root", f"--password={server.root_password}")
        desk.must("index", "-c", "local", "volatile=False")
        desk.must("index", "-c", "prod", "volatile=False")
        desk.must("use", "root/local")
        yield desk


def test_a_release_is_pushed_with_all_that_belongs_to_it(desk: Desk) -> None:
    desk.upload(WHEEL, SDIST, DOCUMENTATION)
    _send_result(desk)
    told = desk.must("push", "demo==1.0", "root/prod")
    for step in ("register demo 1.0 -> root/prod", WHEEL.filename, SDIST.filename, "doczip"):
        assert step in told
    assert filenames_in(desk.server, "root/prod") == {WHEEL.filename, SDIST.filename}
    assert desk.status_of("/root/prod/demo/1.0/+doc/") == 200
    assert len(desk.results("root/prod")) == 1
    desk.must("push", "demo==1.0", "root/prod")


@pytest.mark.parametrize(
    ("option", "has_files", "documentation"),
    [("--no-docs", True, 404), ("--only-docs", False, 200)],
)
def test_documentation_may_stay_or_go_alone(
    option: str, has_files: bool, documentation: int, desk: Desk
) -> None:
    desk.upload(WHEEL, DOCUMENTATION)
    desk.must("push", option, "demo==1.0", "root/prod")
    assert bool(filenames_in(desk.server, "root/prod")) == has_files
    assert desk.status_of("/root/prod/demo/latest/+doc/") == documentation


def test_a_push_that_is_refused_says_why_and_leaves_nothing(desk: Desk) -> None:
    desk.upload(WHEEL, SDIST)
    desk.must("use", "root/prod")
    changed = a_wheel(extra_files={"demo/changed.py": b"changed"})
    desk.upload(changed)
    desk.must("use", "root/local")
    finished = desk.devpi("push", "demo==1.0", "root/prod")
    assert finished.exit_code != 0
    assert "409" in finished.sentence
    assert f"File already exists: {WHEEL.filename}" in finished.sentence
    assert filenames_in(desk.server, "root/prod") == {WHEEL.filename}


def test_who_may_not_upload_to_the_target_is_told(desk: Desk) -> None:
    desk.upload(WHEEL)
    desk.must("user", "-c", "alice", "password=her-own-password")
    desk.must("login", "alice", "--password=her-own-password")
    finished = desk.devpi("push", "demo==1.0", "root/prod")
    assert finished.exit_code != 0
    assert "403" in finished.sentence
    desk.must("logoff")
    finished = desk.devpi("push", "demo==1.0", "root/prod")
    assert finished.exit_code != 0
    assert "401" in finished.sentence
    assert filenames_in(desk.server, "root/prod") == set()


def test_a_release_is_pushed_to_another_server(desk: Desk, tmp_path: Path) -> None:
    desk.upload(WHEEL, SDIST, DOCUMENTATION)
    with running_server(tmp_path / "far") as far:
        pypirc = _pypirc(tmp_path, f"{far.url}/root/local/", far.root_password)
        told = desk.must("push", "--pypirc", pypirc, "demo==1.0", "pypi:far")
        assert "200 upload" in told
        assert "200 docfile demo" in told
        assert filenames_in(far) == {WHEEL.filename, SDIST.filename}
        desk.must("push", "--register-project", "--pypirc", pypirc, "demo==1.0", "pypi:far")
        assert far.root_password not in desk.server.log.read_text()

        wrong = _pypirc(tmp_path, f"{far.url}/root/local/", "not-the-password")
        finished = desk.devpi("push", "--pypirc", wrong, "demo==1.0", "pypi:far")
        assert finished.exit_code != 0
        assert "401" in finished.sentence
        assert "not-the-password" not in finished.output + desk.server.log.read_text()


def test_another_server_that_is_not_there_is_told(desk: Desk, tmp_path: Path) -> None:
    desk.upload(WHEEL)
    pypirc = _pypirc(tmp_path, f"http://127.0.0.1:{free_port()}/", "secret")
    finished = desk.devpi("push", "--pypirc", pypirc, "demo==1.0", "pypi:far")
    assert finished.exit_code != 0
    assert "502" in finished.sentence
    assert "cannot be reached" in finished.sentence


def test_documentation_is_uploaded_with_and_without_a_version(desk: Desk) -> None:
    desk.upload(WHEEL)
    desk.upload(BuiltFile("demo.doc.zip", a_zip({"index.html": b"for the highest"})))
    status, body = open_directly(Request(f"{desk.server.url}/root/local/demo/1.0/+d/index.html"))
    assert (status, body) == (200, "for the highest")
    finished = desk.devpi("upload", BuiltFile("other.doc.zip", b"no zip").save(desk.folder))
    assert finished.exit_code != 0
    assert "400" in finished.sentence


def test_results_of_tests_are_listed(desk: Desk) -> None:
    desk.upload(WHEEL)
    _send_result(desk)
    told = desk.must("list", "-t", "demo")
    assert WHEEL.filename in told
    for word in ("builder", "linux", "py", "3.11.7"):
        assert word in told


def test_a_removed_release_takes_its_documentation_and_results_along(desk: Desk) -> None:
    desk.upload(WHEEL, DOCUMENTATION)
    _send_result(desk)
    paths = [href.removeprefix(desk.server.url) for href in desk.results()]
    assert [desk.status_of(path) for path in paths] == [200]
    desk.must("remove", "-y", "-f", "demo==1.0")
    for path in (*paths, "/root/local/demo/1.0/+doc/"):
        assert desk.status_of(path) == 404


def _send_result(desk: Desk) -> None:
    """As `devpi test` does when tox is done."""
    path = f"/root/local/+f/{WHEEL.sha256[:3]}/{WHEEL.sha256[3:16]}/{WHEEL.filename}"
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    body = json.dumps(TOX_RESULT).encode()
    request = Request(f"{desk.server.url}{path}", body, headers, method="POST")
    status, text = open_directly(request)
    assert status == 200, text


def _pypirc(folder: Path, url: str, password: str) -> Path:
    path = folder / "pypirc"
    path.write_text(
        "[distutils]\nindex-servers = far\n\n"
        f"[far]\nrepository = {url}\nusername = root\npassword = {password}\n"
    )
    return path
