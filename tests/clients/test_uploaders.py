"""What people read on their terminal when an upload succeeds, and when it is refused."""

from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias
from urllib.request import Request

import pytest

from tests.builders import a_wheel, an_sdist, an_upload_body, core_metadata
from tests.clients.programs import Finished, Terminal, program
from tests.clients.server_side import filenames_in, open_directly, project_exists
from tests.server import RunningServer, running_server

Uploader: TypeAlias = Callable[[Terminal, RunningServer, Path, str, str], Finished]
"""Sends a file to `root/local` as a user with a password."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    with running_server(tmp_path / "data") as server:
        yield server


def twine(
    terminal: Terminal, server: RunningServer, file: Path, user: str, password: str
) -> Finished:
    return _twine(terminal, f"{server.url}/root/local/", "-u", user, "-p", password, str(file))


def uv_publish(
    terminal: Terminal, server: RunningServer, file: Path, user: str, password: str
) -> Finished:
    return _uv(terminal, f"{server.url}/root/local/", "-u", user, "-p", password, str(file))


def devpi_upload(
    terminal: Terminal, server: RunningServer, file: Path, user: str, password: str
) -> Finished:
    devpi = program("devpi")
    terminal.must(devpi, "use", server.url)
    logged_in = terminal.run(devpi, "login", user, f"--password={password}")
    if logged_in.exit_code != 0:
        return logged_in
    if user == "root" and not _root_local_exists(server):
        terminal.must(devpi, "index", "-c", "local", "volatile=False")
    terminal.must(devpi, "use", "root/local")
    return terminal.run(devpi, "upload", str(file))


UPLOADERS: dict[str, Uploader] = {"twine": twine, "uv": uv_publish, "devpi": devpi_upload}

all_uploaders = pytest.mark.parametrize("upload", UPLOADERS.values(), ids=UPLOADERS)


@all_uploaders
def test_files_are_listed_once_they_are_uploaded_and_may_be_sent_again(
    upload: Uploader, server: RunningServer, terminal: Terminal, tmp_path: Path
) -> None:
    wheel, sdist = a_wheel("demo", "1.0"), an_sdist("demo", "1.0")
    for built in (wheel, sdist):
        file = built.save(tmp_path)
        for _ in range(2):
            finished = upload(terminal, server, file, "root", server.root_password)
            assert finished.exit_code == 0, finished.output
    assert filenames_in(server) == {wheel.filename, sdist.filename}


@pytest.mark.parametrize("path", ["/root/local", "/root/local/"])
def test_an_upload_url_may_end_with_a_slash_or_not(
    path: str, server: RunningServer, terminal: Terminal, tmp_path: Path
) -> None:
    by_twine, by_uv = a_wheel("demo", "1.0"), a_wheel("demo", "2.0")
    account = ["-u", "root", "-p", server.root_password]
    sent = _twine(terminal, server.url + path, *account, str(by_twine.save(tmp_path)))
    assert sent.exit_code == 0, sent.output
    sent = _uv(terminal, server.url + path, *account, str(by_uv.save(tmp_path)))
    assert sent.exit_code == 0, sent.output
    assert filenames_in(server) == {by_twine.filename, by_uv.filename}


@all_uploaders
def test_a_wrong_password_is_named_as_the_reason(
    upload: Uploader, server: RunningServer, terminal: Terminal, tmp_path: Path
) -> None:
    finished = upload(terminal, server, a_wheel().save(tmp_path), "root", "wrong")
    assert finished.exit_code != 0
    assert "401" in finished.sentence
    assert filenames_in(server) == set()


def test_without_a_password_nothing_waits_for_one_and_nothing_is_stored(
    server: RunningServer, terminal: Terminal, tmp_path: Path
) -> None:
    file = a_wheel().save(tmp_path)
    for run in (_twine, _uv):
        finished = run(terminal, f"{server.url}/root/local/", str(file))
        assert finished.exit_code != 0
        assert "credential" in finished.sentence.lower()
    status, _ = _post(server, *an_upload_body(a_wheel()), account=None)
    assert status == 401
    assert filenames_in(server) == set()


@all_uploaders
def test_a_user_who_may_not_upload_reads_that_it_is_forbidden(
    upload: Uploader, server: RunningServer, terminal: Terminal, tmp_path: Path
) -> None:
    first = a_wheel("first")
    sent = devpi_upload(terminal, server, first.save(tmp_path), "root", server.root_password)
    assert sent.exit_code == 0, sent.output
    terminal.must(program("devpi"), "user", "-c", "alice", "password=her-own-password")

    file = a_wheel("second").save(tmp_path)
    finished = upload(terminal, server, file, "alice", "her-own-password")
    assert finished.exit_code != 0
    assert "403" in finished.sentence
    assert filenames_in(server) == {first.filename}
    assert not project_exists(server, "second")


@all_uploaders
def test_other_bytes_under_a_taken_name_are_refused_with_the_words_already_exists(
    upload: Uploader, server: RunningServer, terminal: Terminal, tmp_path: Path
) -> None:
    stored = a_wheel("demo", "1.0")
    sent = upload(terminal, server, stored.save(tmp_path), "root", server.root_password)
    assert sent.exit_code == 0, sent.output

    other = a_wheel("demo", "1.0", extra_files={"demo/other.py": b"other = True\n"})
    finished = upload(terminal, server, other.save(tmp_path), "root", server.root_password)
    assert finished.exit_code != 0
    assert "File already exists: demo-1.0-py3-none-any.whl" in finished.sentence
    assert stored.sha256 in open_directly(_page(server, "demo"))[1]


@all_uploaders
def test_a_wheel_whose_metadata_lies_is_refused_with_the_reason(
    upload: Uploader, server: RunningServer, terminal: Terminal, tmp_path: Path
) -> None:
    file = a_wheel("demo", "1.0", metadata=core_metadata("another", "1.0")).save(tmp_path)
    finished = upload(terminal, server, file, "root", server.root_password)
    assert finished.exit_code != 0
    for told in ("400", "'demo'", "'another'"):
        assert told in finished.sentence
    assert filenames_in(server) == set()
    assert not project_exists(server, "demo")
    assert not project_exists(server, "another")


def test_metadata_that_belies_the_form_and_the_file_name_is_refused(server: RunningServer) -> None:
    wheel = a_wheel("demo", "1.0", metadata=core_metadata("demo", "2.0"))
    form = an_upload_body(wheel)
    status, told = _post(server, *form, account=("root", server.root_password))
    assert status == 400
    for word in (wheel.filename, "metadata", "1.0", "2.0"):
        assert word in told
    assert filenames_in(server) == set()
    assert not project_exists(server, "demo")


@pytest.mark.parametrize("digest", ["sha256_digest", "md5_digest", "blake2_256_digest"])
def test_bytes_with_another_digest_are_refused_with_both_digests(
    digest: str, server: RunningServer
) -> None:
    wheel = a_wheel()
    zeros = "0" * (32 if digest == "md5_digest" else 64)
    form = an_upload_body(wheel, **{digest: zeros})
    status, told = _post(server, *form, account=("root", server.root_password))
    assert status == 400
    assert wheel.filename in told
    assert zeros in told
    assert filenames_in(server) == set()


def _twine(terminal: Terminal, url: str, *arguments: str) -> Finished:
    quiet = ["--non-interactive", "--disable-progress-bar"]
    return terminal.run(program("twine"), "upload", *quiet, "--repository-url", url, *arguments)


def _uv(terminal: Terminal, url: str, *arguments: str) -> Finished:
    alone = ["--no-config", "--no-cache", "--trusted-publishing", "never"]
    return terminal.run(program("uv"), "publish", *alone, "--publish-url", url, *arguments)


def _post(
    server: RunningServer,
    content_type: str,
    body: bytes,
    *,
    account: tuple[str, str] | None,
) -> tuple[int, str]:
    headers = {"Content-Type": content_type}
    if account is not None:
        headers["Authorization"] = f"Basic {b64encode(':'.join(account).encode()).decode()}"
    return open_directly(Request(f"{server.url}/root/local/", body, headers, method="POST"))


def _page(server: RunningServer, project: str) -> Request:
    return Request(f"{server.url}/root/local/+simple/{project}/")


def _root_local_exists(server: RunningServer) -> bool:
    request = Request(f"{server.url}/root/local", headers={"Accept": "application/json"})
    return open_directly(request)[0] == 200
