"""`passwd`: sets a password in the catalog, with or without a server that runs."""

import os
import subprocess
from pathlib import Path

import pytest

from simpleindex.initialise import PASSWORD_FILE
from tests.cli.asking import ask_json
from tests.cli.commands import ROOT_PASSWORD, Cli, listing, run
from tests.cli.directories import open_once, root_has, user
from tests.server import running_server, server_environment, simpleindex


def test_the_new_password_replaces_the_old_one(cli: Cli, tmp_path: Path) -> None:
    cli.init(tmp_path / "data")
    out = cli.must("passwd", *new_password(tmp_path, "newer\n"))
    assert out == "The password of root is changed.\n"
    assert root_has(tmp_path / "data", "newer")
    assert not root_has(tmp_path / "data", ROOT_PASSWORD)
    assert user(tmp_path / "data").modified_at is not None


def test_only_the_first_line_of_a_file_counts(cli: Cli, tmp_path: Path) -> None:
    cli.init(tmp_path / "data")
    cli.must("passwd", "root", *new_password(tmp_path, "first line\r\nsecond\n"))
    assert root_has(tmp_path / "data", "first line")


def test_the_file_with_the_random_password_goes_away(cli: Cli, tmp_path: Path) -> None:
    cli.must("init", f"--serverdir={tmp_path / 'data'}")
    assert (tmp_path / "data" / PASSWORD_FILE).exists()
    cli.must("passwd", *new_password(tmp_path, "newer\n"))
    assert not (tmp_path / "data" / PASSWORD_FILE).exists()


def test_a_password_can_come_from_standard_input(tmp_path: Path) -> None:
    data = f"--serverdir={tmp_path / 'data'}"
    assert run("init", data).exit_code == 0
    called = run("passwd", data, "--password-file=-", stdin="pässword\n")
    assert (called.exit_code, called.err) == (0, "")
    assert root_has(tmp_path / "data", "pässword")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such terminals")
def test_it_asks_twice_at_a_terminal_and_does_not_show_what_is_typed(
    cli: Cli, tmp_path: Path
) -> None:
    cli.init(tmp_path / "data")
    seen = typed_at_a_terminal(
        ["passwd", f"--serverdir={tmp_path / 'data'}"],
        [
            ("New password of root: ", "s3cret word\n"),
            ("Repeat for confirmation: ", "s3cret word\n"),
        ],
    )
    assert "s3cret word" not in seen
    assert "The password of root is changed." in seen
    assert root_has(tmp_path / "data", "s3cret word")


def test_logins_end_while_the_server_runs(cli: Cli, tmp_path: Path) -> None:
    cli.init(tmp_path / "data")
    with running_server(tmp_path / "data") as server:
        token = log_in(server.port, ROOT_PASSWORD)
        assert may_make_a_user(server.port, "anna", token)
        cli.must("passwd", *new_password(tmp_path, "newer\n"))
        assert not may_make_a_user(server.port, "berta", token)
        assert not may_make_a_user(server.port, "berta", ROOT_PASSWORD)
        assert may_make_a_user(server.port, "berta", log_in(server.port, "newer"))


@pytest.mark.parametrize("content", ["", "\n", "\nsecond line\n"])
def test_an_empty_password_is_refused(cli: Cli, tmp_path: Path, content: str) -> None:
    cli.must("init", f"--serverdir={tmp_path / 'data'}")
    open_once(tmp_path / "data")
    words = ["passwd", *new_password(tmp_path, content)]
    before = listing(tmp_path)
    assert cli(*words).complaint == "password: it must not be empty"
    assert listing(tmp_path) == before


def test_a_file_in_another_encoding_is_named(cli: Cli, tmp_path: Path) -> None:
    cli.init(tmp_path / "data")
    arguments = new_password(tmp_path, "")
    (tmp_path / "newer").write_bytes("pässword\n".encode("latin-1"))
    assert cli("passwd", *arguments).complaint == f"{tmp_path / 'newer'} is not text in UTF-8"


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("nobody", "there is no user nobody here; check the spelling"),
        ("ROOT", "there is no user ROOT here; check the spelling"),
        ("../root", "user name '../root': a name begins with a letter or digit"),
    ],
)
def test_an_unknown_user_changes_nothing(
    cli: Cli, tmp_path: Path, name: str, complaint: str
) -> None:
    cli.must("init", f"--serverdir={tmp_path / 'data'}")
    open_once(tmp_path / "data")
    words = ["passwd", name, *new_password(tmp_path, "newer\n")]
    before = listing(tmp_path)
    assert cli(*words).complaint.startswith(complaint)
    assert listing(tmp_path) == before


def test_without_a_terminal_the_other_way_is_named(cli: Cli, tmp_path: Path) -> None:
    cli.init(tmp_path / "data")
    called = run("passwd", f"--serverdir={tmp_path / 'data'}", stdin="newer\nnewer\n")
    assert called.complaint == (
        "there is no terminal to ask for the password at; give --password-file "
        "(- for standard input)"
    )


def new_password(folder: Path, content: str) -> list[str]:
    """Options that name the directory `data`, and a file with these bytes."""
    (folder / "newer").write_bytes(content.encode())
    return [f"--serverdir={folder / 'data'}", f"--password-file={folder / 'newer'}"]


def log_in(port: int, password: str) -> str:
    status, answer = ask_json(port, "POST", "/+login", {"user": "root", "password": password})
    assert status == 200, answer
    token: str = answer["result"]["password"]
    return token


def may_make_a_user(port: int, name: str, secret: str) -> bool:
    """Whether root, with this password or login token, may."""
    status, _ = ask_json(port, "PUT", f"/{name}", {"password": "x"}, login=("root", secret))
    assert status in (201, 401, 403), status
    return status == 201


def typed_at_a_terminal(arguments: list[str], dialogue: list[tuple[str, str]]) -> str:
    """Run a command that succeeds at a terminal, answering each question; all that is seen."""
    import pty  # not there on Windows

    ours, theirs = pty.openpty()
    with subprocess.Popen(
        simpleindex(*arguments), stdin=theirs, stdout=theirs, stderr=theirs,
        env=server_environment(), start_new_session=True,
    ) as process:  # fmt: skip
        os.close(theirs)
        seen = ""
        try:
            for question, answer in dialogue:
                while question not in seen:
                    seen += os.read(ours, 4096).decode()
                os.write(ours, answer.encode())
                seen = seen.replace(question, "")
            while chunk := os.read(ours, 4096):
                seen += chunk.decode()
        except OSError:
            pass  # how Linux tells that nobody has the terminal open any more
        finally:
            os.close(ours)
    assert process.returncode == 0, seen
    return seen
