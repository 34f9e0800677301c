"""API tokens and restricted indexes, as real uploaders and installers use them."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.builders import a_wheel
from tests.clients.programs import Terminal, program
from tests.clients.server_side import add, run_verb
from tests.server import RunningServer, running_server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    """A server whose `root/local` only root may read."""
    (tmp_path / "first").mkdir()
    with running_server(tmp_path / "data") as server:
        add(server, a_wheel("first").save(tmp_path / "first"))
        terminal = Terminal(tmp_path / "admin")
        devpi = program("devpi")
        terminal.must(devpi, "use", server.url)
        terminal.must(devpi, "login", "root", f"--password={server.root_password}")
        terminal.must(devpi, "index", "root/local", "acl_read=root", "acl_upload=root")
        yield server


def a_token(server: RunningServer, *limits: str) -> str:
    made = run_verb("token", "create", "root", *limits, "--serverdir", str(server.serverdir))
    return made.strip()


def installs(terminal: Terminal, server: RunningServer, account: str, target: Path) -> bool:
    """Whether pip and uv both get `first` with a user and a secret; neither may ask for more."""
    url = f"{server.url}/root/local/".replace("://", f"://{account}")
    pip = [sys.executable, "-m", "pip", "--isolated", "install", "--no-cache-dir"]

    by_pip = terminal.run(
        *pip, "--index-url", url, "--target", target / "pip", "first", PIP_CONFIG_FILE="/dev/null"
    )
    by_uv = terminal.run(
        program("uv"), "pip", "install", "--no-config", "--no-cache", "--python", sys.executable,
        "--default-index", url, "--target", target / "uv", "first",
    )  # fmt: skip
    codes = {by_pip.exit_code == 0, by_uv.exit_code == 0}
    assert len(codes) == 1, by_pip.output + by_uv.output
    return codes == {True}


def test_pip_and_uv_install_with_a_token_from_an_index_that_is_not_for_everybody(
    server: RunningServer, terminal: Terminal, tmp_path: Path
) -> None:
    reading, uploading = a_token(server, "--read"), a_token(server, "--upload")
    assert installs(terminal, server, f"__token__:{reading}@", tmp_path / "by token")
    assert installs(terminal, server, f"root:{server.root_password}@", tmp_path / "by password")
    assert not installs(terminal, server, f"__token__:{uploading}@", tmp_path / "wrong token")
    assert not installs(terminal, server, "", tmp_path / "by nobody")


def test_twine_and_uv_upload_with_a_token_what_it_is_for(
    server: RunningServer, terminal: Terminal, tmp_path: Path
) -> None:
    token = a_token(server, "--upload", "--project=demo*")
    url = f"{server.url}/root/local/"
    for name, is_taken in [("demo", True), ("demo-two", True), ("other", False)]:
        by_twine, by_uv = a_wheel(name, "1.0").save(tmp_path), a_wheel(name, "2.0").save(tmp_path)
        account = {"TWINE_USERNAME": "__token__", "TWINE_PASSWORD": token}
        sent = terminal.run(
            program("twine"), "upload", "--non-interactive", "--disable-progress-bar",
            "--repository-url", url, by_twine, **account,
        )  # fmt: skip
        assert (sent.exit_code == 0) is is_taken, sent.output
        sent_too = terminal.run(
            program("uv"), "publish", "--no-config", "--publish-url", url, "--token", token, by_uv
        )
        assert (sent_too.exit_code == 0) is is_taken, sent_too.output
        if not is_taken:
            assert "403" in sent.sentence
            assert "403" in sent_too.sentence


def test_the_devpi_client_reads_what_it_may(
    server: RunningServer, terminal: Terminal, tmp_path: Path
) -> None:
    devpi = program("devpi")
    terminal.must(devpi, "use", f"{server.url}/root/local")
    refused = terminal.run(devpi, "list")
    assert "may not read" in refused.sentence
    terminal.must(devpi, "login", "root", f"--password={server.root_password}")
    assert "first" in terminal.must(devpi, "list")
    assert "acl_read=root" in terminal.must(devpi, "index")
