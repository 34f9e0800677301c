"""`init`: a new server directory, its password, and when nothing is made."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from simpleindex.initialise import PASSWORD_FILE, SECRET_FILE
from tests.cli.commands import Cli, listing, run
from tests.cli.directories import index_of, root_has
from tests.server import server_environment, simpleindex

NEEDS_POSIX = pytest.mark.skipif(os.name == "nt", reason="Windows has other rights and terminals")


def test_a_directory_is_made_and_the_next_command_is_told(cli: Cli, tmp_path: Path) -> None:
    out = cli.must("init", f"--serverdir={tmp_path / 'new' / 'data'}")
    assert out.startswith(f"Made the server directory {tmp_path / 'new' / 'data'}\n")
    assert f"serve --serverdir={tmp_path / 'new' / 'data'}\n" in out
    assert (tmp_path / "new" / "data" / "catalog.sqlite").is_file()


def test_a_random_password_is_kept_in_a_file_and_not_printed(cli: Cli, tmp_path: Path) -> None:
    out = cli.must("init", f"--serverdir={tmp_path / 'data'}")
    password = kept_password(tmp_path / "data")
    assert len(password) >= 16
    assert password not in out
    assert str(tmp_path / "data" / PASSWORD_FILE) in out
    assert root_has(tmp_path / "data", password)


def test_a_random_password_can_be_typed_behind_any_option(cli: Cli, tmp_path: Path) -> None:
    cli.must("init", f"--serverdir={tmp_path / 'data'}")
    assert re.fullmatch("[A-Za-z0-9]{16}", kept_password(tmp_path / "data"))


def test_two_directories_get_different_passwords_and_secrets(cli: Cli, tmp_path: Path) -> None:
    for name in ("one", "two"):
        cli.must("init", f"--serverdir={tmp_path / name}")
    for kept in (PASSWORD_FILE, SECRET_FILE):
        assert (tmp_path / "one" / kept).read_text() != (tmp_path / "two" / kept).read_text()


@NEEDS_POSIX
def test_only_the_owner_can_read_what_is_made(cli: Cli, tmp_path: Path) -> None:
    cli.must("init", f"--serverdir={tmp_path / 'data'}")
    rights = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "data").iterdir()}
    assert rights[PASSWORD_FILE] == rights[SECRET_FILE] == rights["catalog.sqlite"] == 0o600
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700


@NEEDS_POSIX
def test_a_random_password_is_printed_once_to_a_terminal(tmp_path: Path) -> None:
    out = output_on_a_terminal("init", f"--serverdir={tmp_path / 'data'}")
    assert out.count(kept_password(tmp_path / "data")) == 1


def test_a_password_can_be_given_as_option(cli: Cli, tmp_path: Path) -> None:
    out = cli.must("init", f"--serverdir={tmp_path / 'data'}", "--root-passwd=chosen word")
    assert root_has(tmp_path / "data", "chosen word")
    assert "chosen word" not in out
    assert not (tmp_path / "data" / PASSWORD_FILE).exists()


def test_a_password_can_be_given_in_the_environment(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIMPLEINDEX_ROOT_PASSWD", "from the environment")
    cli.must("init", f"--serverdir={tmp_path / 'data'}")
    assert root_has(tmp_path / "data", "from the environment")
    assert not (tmp_path / "data" / PASSWORD_FILE).exists()


@pytest.mark.parametrize("content", ["pässword\n", "pässword\r\nsecond line\n", "pässword"])
def test_a_password_can_be_given_in_a_file(cli: Cli, tmp_path: Path, content: str) -> None:
    (tmp_path / "chosen").write_bytes(content.encode())
    cli.must(
        "init", f"--serverdir={tmp_path / 'data'}", f"--root-passwd-file={tmp_path / 'chosen'}"
    )
    assert root_has(tmp_path / "data", "pässword")


def test_a_password_can_be_given_on_standard_input(tmp_path: Path) -> None:
    called = run("init", f"--serverdir={tmp_path / 'data'}", "--root-passwd-file=-", stdin="pw\n")
    assert (called.exit_code, called.err) == (0, "")
    assert root_has(tmp_path / "data", "pw")


def test_the_mirror_is_made_unless_it_is_not_wanted(cli: Cli, tmp_path: Path) -> None:
    cli.must("init", f"--serverdir={tmp_path / 'with'}")
    cli.must("init", f"--serverdir={tmp_path / 'without'}", "--no-root-pypi")
    assert index_of(tmp_path / "with", "root/pypi") is not None
    assert index_of(tmp_path / "without", "root/pypi") is None


def test_a_second_init_changes_nothing(cli: Cli, tmp_path: Path) -> None:
    cli.must("init", f"--serverdir={tmp_path / 'data'}")
    before = listing(tmp_path)
    called = cli("init", f"--serverdir={tmp_path / 'data'}", "--root-passwd=other")
    assert called.complaint == (
        f"{tmp_path / 'data'} is a server directory already; nothing was changed"
    )
    assert listing(tmp_path) == before


def test_an_interrupted_init_is_simply_done_again(cli: Cli, tmp_path: Path) -> None:
    data = tmp_path / "data"
    cli.must("init", f"--serverdir={data}")
    (data / "catalog.sqlite").rename(data / "catalog.sqlite.new")  # what comes last is missing
    cli.must("init", f"--serverdir={data}")
    assert root_has(data, kept_password(data))
    assert not (data / "catalog.sqlite.new").exists()


def test_settings_that_were_written_first_are_kept(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "simpleindex.toml").write_text("port = 4242\n")
    cli.must("init", f"--serverdir={tmp_path}")
    assert (tmp_path / "simpleindex.toml").read_text() == "port = 4242\n"


@pytest.mark.parametrize(
    ("option", "why"),
    [
        ("--root-passwd=", "password: it must not be empty"),
        (f"--root-passwd={'x' * 1025}", "password: it is longer than 1024 bytes"),
        ("--root-passwd-file=empty", "password: it must not be empty"),
        ("--root-passwd-file=latin", "latin is not text in UTF-8"),
    ],
    ids=["empty", "too long", "empty file", "file in another encoding"],
)
def test_a_password_that_cannot_be_used_makes_nothing(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str, why: str
) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "latin").write_bytes("pässword\n".encode("latin-1"))
    monkeypatch.chdir(tmp_path)
    assert cli("init", f"--serverdir={tmp_path / 'data'}", option).complaint == why
    assert not (tmp_path / "data").exists()


def test_a_missing_password_file_is_named(cli: Cli, tmp_path: Path) -> None:
    called = cli("init", f"--serverdir={tmp_path / 'data'}", "--root-passwd-file=nowhere")
    assert "'nowhere'" in called.complaint
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    "names",
    [["notes.txt"], [".nodeinfo", ".serverversion", ".sqlite"], ["files"]],
    ids=["of somebody's", "of devpi-server", "of a copy without its catalog"],
)
def test_a_folder_in_use_is_left_alone(cli: Cli, tmp_path: Path, names: list[str]) -> None:
    for name in names:
        (tmp_path / name).write_text("mine")
    before = listing(tmp_path)
    complaint = cli("init", f"--serverdir={tmp_path}").complaint
    assert complaint == f"{tmp_path}: a new server directory needs an empty folder"
    assert listing(tmp_path) == before


def test_a_file_is_no_folder(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("mine")
    complaint = cli("init", f"--serverdir={tmp_path / 'data'}").complaint
    assert complaint == f"{tmp_path / 'data'}: a new server directory needs an empty folder"


def output_on_a_terminal(*arguments: str) -> str:
    """What somebody at a terminal sees of a command that succeeds."""
    import pty  # not there on Windows

    ours, theirs = pty.openpty()
    with subprocess.Popen(
        simpleindex(*arguments), stdin=theirs, stdout=theirs, stderr=theirs,
        env=server_environment(),
    ) as process:  # fmt: skip
        os.close(theirs)
        seen = b""
        try:
            while chunk := os.read(ours, 4096):
                seen += chunk
        except OSError:
            pass  # how Linux tells that nobody has the terminal open any more
        finally:
            os.close(ours)
    assert process.returncode == 0, seen
    return seen.decode()


def kept_password(serverdir: Path) -> str:
    return (serverdir / PASSWORD_FILE).read_text().removesuffix("\n")
