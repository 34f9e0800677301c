"""Publishing a project with the tools that people manage projects with, as they come."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin
from urllib.request import Request

import pytest

from tests.builders import A_SIGNATURE, BuiltFile, a_statement, an_attestation
from tests.clients.programs import Finished, Terminal
from tests.clients.publishers import (
    PUBLISHERS,
    Destination,
    Publisher,
    a_project,
    hatch,
    pdm,
    twine_6,
    uv,
)
from tests.clients.server_side import filenames_in, open_directly, project_exists
from tests.server import RunningServer, running_server

UPLOAD_PATHS = ["", "/legacy", "/legacy/", "/+simple", "/+simple/"]
"""Below `root/local`, beside its URL with a slash, which the other tests use."""

SKIPPING = {
    "poetry": (["--skip-existing"], "File exists. Skipping"),
    "pdm": (["--skip-existing"], "Skipping {file} because it appears to already exist"),
    "twine-6": (["--skip-existing"], "Skipping {file} because it appears to already exist"),
    "hatch": ([], "{file} ... already exists"),
}
"""How each skips what is there already, and what it says of a file with other content."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    with running_server(tmp_path / "data") as server:
        yield server


def publishers_but(*left_out: str) -> pytest.MarkDecorator:
    chosen = {name: publish for name, publish in PUBLISHERS.items() if name not in left_out}
    return pytest.mark.parametrize("publish", chosen.values(), ids=chosen)


@publishers_but()
def test_a_project_is_published_to_a_fresh_server_and_may_be_published_again(
    publish: Publisher, server: RunningServer, terminal: Terminal, tmp_path: Path
) -> None:
    assert not _root_local_exists(server)
    project = a_project(tmp_path / "demo")
    finished = publish(terminal, project, _root_local(server))
    assert finished.exit_code == 0, finished.output
    assert len(project.files) == 2
    assert _root_local_exists(server)
    assert _digests_in(server) == project.digests

    page = _page(server)
    finished = publish(terminal, project, _root_local(server))
    assert finished.exit_code == 0, finished.output
    assert _page(server) == page


@publishers_but()
def test_a_project_can_be_published_to_any_of_the_upload_urls(
    publish: Publisher, server: RunningServer, terminal: Terminal, tmp_path: Path
) -> None:
    published: dict[str, str] = {}
    for number, path in enumerate(UPLOAD_PATHS):
        project = a_project(tmp_path / f"demo-{number}", version=f"1.{number}")
        to = Destination(f"{server.url}/root/local{path}", "root", server.root_password)
        finished = publish(terminal, project, to)
        assert finished.exit_code == 0, f"{path}: {finished.output}"
        published |= project.digests
        assert _digests_in(server) == published, path


@pytest.mark.parametrize("tool", SKIPPING)
def test_what_is_there_already_is_skipped_also_if_it_differs(
    tool: str, server: RunningServer, terminal: Terminal, tmp_path: Path
) -> None:
    publish, (options, told) = PUBLISHERS[tool], SKIPPING[tool]
    project, other = a_project(tmp_path / "demo"), a_project(tmp_path / "other", text="Other.")
    assert publish(terminal, project, _root_local(server)).exit_code == 0
    page = _page(server)

    finished = publish(terminal, project, _root_local(server), *options)
    assert finished.exit_code == 0, finished.output

    finished = publish(terminal, other, _root_local(server), *options)
    assert finished.exit_code == 0, finished.output
    for file in other.files:
        assert told.format(file=file.name) in finished.sentence
    assert _page(server) == page


@pytest.mark.parametrize("path", ["/root/local", "/root/local/"])
def test_hatch_finds_what_is_there_below_the_upload_url(
    path: str, server: RunningServer, terminal: Terminal, tmp_path: Path
) -> None:
    project = a_project(tmp_path / "demo")
    to = Destination(server.url + path, "root", server.root_password)
    assert "already exists" not in hatch(terminal, project, to).sentence
    assert hatch(terminal, project, to).sentence.count("already exists") == 2
    assert server.wait_for_log('"POST ', times=2).count('"POST ') == 2


def test_uv_skips_what_it_finds_on_the_check_url_but_not_if_it_differs(
    server: RunningServer, terminal: Terminal, tmp_path: Path
) -> None:
    check = ["--check-url", f"{server.url}/root/local/+simple/"]
    project, other = a_project(tmp_path / "demo"), a_project(tmp_path / "other", text="Other.")
    # There is no index yet to be checked.
    finished = uv(terminal, project, _root_local(server), *check)
    assert finished.exit_code == 0, finished.output
    page = _page(server)

    finished = uv(terminal, project, _root_local(server), *check)
    assert finished.exit_code == 0, finished.output
    for file in project.files:
        assert f"File {file.name} already exists, skipping" in finished.sentence

    finished = uv(terminal, other, _root_local(server), *check)
    assert finished.exit_code != 0
    wheel = other.files[0].name
    assert f"do not match for `{wheel}`" in finished.sentence
    assert f"Local: sha256={other.digests[wheel]}" in finished.sentence
    assert f"Remote: sha256={project.digests[wheel]}" in finished.sentence
    assert _page(server) == page


@publishers_but("hatch")  # which never sends a file whose name is taken
def test_other_bytes_under_a_taken_name_are_refused_with_the_reason(
    publish: Publisher, server: RunningServer, terminal: Terminal, tmp_path: Path
) -> None:
    project, other = a_project(tmp_path / "demo"), a_project(tmp_path / "other", text="Other.")
    assert publish(terminal, project, _root_local(server)).exit_code == 0
    page = _page(server)
    finished = publish(terminal, other, _root_local(server))
    assert finished.exit_code != 0
    assert "409" in finished.sentence
    told = _told_by(publish, finished, terminal)
    reason = r"File already exists: demo-1\.0(-py3-none-any\.whl|\.tar\.gz); .* under a new version"
    assert re.search(reason, told), told
    assert _page(server) == page


@publishers_but("flit")  # which writes the metadata itself
def test_metadata_that_lie_are_refused_with_the_reason(
    publish: Publisher, server: RunningServer, terminal: Terminal, tmp_path: Path
) -> None:
    project = a_project(tmp_path / "demo", name_inside="another")
    finished = publish(terminal, project, _root_local(server))
    assert finished.exit_code != 0
    assert "400" in finished.sentence
    told = _told_by(publish, finished, terminal)
    filename = r"demo-1\.0(-py3-none-any\.whl|\.tar\.gz)"
    reason = rf"{filename}: its metadata says 'another'[^;]*'demo'[^;]*; if it was renamed"
    assert re.search(reason, told), told
    assert filenames_in(server) == set()
    assert not project_exists(server, "demo")
    assert not project_exists(server, "another")


@publishers_but()
def test_a_wrong_password_is_told_and_stores_nothing(
    publish: Publisher, server: RunningServer, terminal: Terminal, tmp_path: Path
) -> None:
    to = Destination(f"{server.url}/root/local/", "root", "not-the-password")
    finished = publish(terminal, a_project(tmp_path / "demo"), to)
    assert finished.exit_code != 0
    assert "401" in finished.sentence
    told = _told_by(publish, finished, terminal)
    assert "the user name or the password is wrong" in told
    assert not _root_local_exists(server)


def _told_by(publish: Publisher, finished: Finished, terminal: Terminal) -> str:
    """What a person can read of the server's words."""
    if publish is not pdm:
        return finished.sentence
    # pdm shows the status, and names a file with the rest.
    (log,) = terminal.home.rglob("pdm-publish-*.log")
    assert log.name in finished.output
    return " ".join(log.read_text("utf-8").split())


def _root_local(server: RunningServer) -> Destination:
    return Destination(f"{server.url}/root/local/", "root", server.root_password)


def test_signatures_that_old_twine_sends_along_are_served(
    server: RunningServer, terminal: Terminal, tmp_path: Path
) -> None:
    project = a_project(tmp_path / "demo")
    for file in project.files:
        file.with_name(f"{file.name}.asc").write_bytes(A_SIGNATURE)
    finished = twine_6(terminal, project, _root_local(server))
    assert finished.exit_code == 0, finished.output
    for file in json.loads(_page(server))["files"]:
        assert file["gpg-sig"] is True
        url = urljoin(f"{server.url}/root/local/+simple/demo/", file["url"])
        assert open_directly(Request(f"{url}.asc")) == (200, A_SIGNATURE.decode())


def test_attestations_that_uv_sends_along_are_served(
    server: RunningServer, terminal: Terminal, tmp_path: Path
) -> None:
    project = a_project(tmp_path / "demo")
    attestations = {}
    for file in project.files:
        statement = a_statement(BuiltFile(file.name, file.read_bytes()))
        attestations[file.name] = an_attestation(statement)
        beside = file.with_name(f"{file.name}.publish.attestation")
        beside.write_text(json.dumps(attestations[file.name]), "utf-8")
    finished = uv(terminal, project, _root_local(server))
    assert finished.exit_code == 0, finished.output
    for file in json.loads(_page(server))["files"]:
        assert file["provenance"].startswith(f"{server.url}/root/local/+f/")
        status, body = open_directly(Request(file["provenance"]))
        assert status == 200, body
        (bundle,) = json.loads(body)["attestation_bundles"]
        assert bundle["attestations"] == [attestations[file["filename"]]]


def _page(server: RunningServer) -> str:
    """All that the index tells of the project."""
    request = Request(
        f"{server.url}/root/local/+simple/demo/",
        headers={"Accept": "application/vnd.pypi.simple.v1+json"},
    )
    status, body = open_directly(request)
    assert status == 200, body
    return body


def _digests_in(server: RunningServer) -> dict[str, str]:
    return {
        file["filename"]: file["hashes"]["sha256"] for file in json.loads(_page(server))["files"]
    }


def _root_local_exists(server: RunningServer) -> bool:
    request = Request(f"{server.url}/root/local", headers={"Accept": "application/json"})
    return open_directly(request)[0] == 200
