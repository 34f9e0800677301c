"""The command line as a whole: its verbs, their help, and how it says no."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from simpleindex import __version__
from simpleindex.cli import _main
from simpleindex.cli.options import this_command
from tests.cli.commands import Called, Cli, listing, run, run_as_nobody, run_program

VERBS = [
    "serve", "init", "add", "import-devpi", "export", "inspect", "list", "show", "push", "remove",
    "yank", "unyank", "archive", "deprecate", "quarantine", "activate", "prefetch", "approve",
    "why", "gc", "doctor", "fsck", "log", "rebuild", "backup", "restore", "user", "index",
    "passwd", "request", "target", "bundle", "token", "pyz", "config", "shims", "trust",
]  # fmt: skip
BELOW = [
    "bundle create", "bundle diff", "bundle show", "bundle verify", "trust add", "trust list",
    "trust remove", "bundle history", "bundle import", "bundle undo",
    "config show", "index change", "index create", "index list", "index remove", "index show",
    "target add", "target list", "target probe", "target remove",
    "token create", "token list", "token revoke", "user create", "user list", "user remove",
]  # fmt: skip
COLUMNS_MAX = 100


def commands() -> Iterator[tuple[str, click.Command]]:
    """Every command and verb, with the words that call it."""
    waiting: list[tuple[list[str], click.Command]] = [([], _main)]
    while waiting:
        words, command = waiting.pop()
        yield " ".join(words), command
        if isinstance(command, click.Group):
            context = click.Context(command)
            for name in command.list_commands(context):
                below = command.get_command(context, name)
                assert below is not None
                waiting.append(([*words, name], below))


COMMANDS = list(commands())
EACH_COMMAND = pytest.mark.parametrize(
    ("words", "command"), COMMANDS, ids=[words or "no verb" for words, _ in COMMANDS]
)


def test_the_verbs_are_known() -> None:
    assert sorted(words for words, _ in COMMANDS) == sorted(["", *VERBS, *BELOW])


@EACH_COMMAND
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_is_plain_and_fits_a_terminal(
    cli: Cli, words: str, command: click.Command, flag: str
) -> None:
    assert command.help
    out = cli.must(*words.split(), flag)
    assert out.startswith(f"Usage: {this_command()} {words}".rstrip())
    assert max(map(len, out.splitlines())) <= COLUMNS_MAX
    assert out.isascii()


@EACH_COMMAND
def test_every_option_says_what_it_is_for(words: str, command: click.Command) -> None:
    options = [each for each in command.params if isinstance(each, click.Option)]
    for option in options:
        help_text = option.help
        if not option.hidden:
            assert help_text, f"{words} {option.opts} has no help"
            assert help_text[0].isupper() or help_text.startswith("HOST"), option.opts
            assert help_text.endswith((".", "]")), option.opts


@EACH_COMMAND
def test_every_command_says_what_it_does(words: str, command: click.Command) -> None:
    first_line = (command.help or "").splitlines()[0]
    assert first_line.endswith("."), words


@pytest.mark.parametrize("words", [["--version"], ["serve", "--version"]])
def test_the_version_is_told_alone(cli: Cli, words: list[str]) -> None:
    assert cli.must(*words) == f"{__version__}\n"


def test_the_module_is_the_command() -> None:
    assert run("--version") == Called(0, f"{__version__}\n", "")


def test_asking_for_the_version_does_not_load_the_server() -> None:
    program = (
        "import sys; from simpleindex.cli import main; main(['config', 'show']);"
        "sys.exit(bool({'uvicorn', 'starlette', 'sqlite3'} & set(sys.modules)))"
    )
    assert run_program([sys.executable, "-c", program]).exit_code == 0


@pytest.mark.parametrize("words", [[], ["serve"]], ids=["no verb", "serve"])
def test_without_a_verb_it_serves(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    monkeypatch.setenv("SIMPLEINDEX_SERVERDIR", str(tmp_path))
    assert cli(*words).complaint == (
        f"{tmp_path}: other things lie in this folder; choose an empty one, or a directory of "
        "simpleindex-server"
    )


def test_options_without_a_verb_are_those_of_serve(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    complaint = cli(f"--serverdir={tmp_path}", "--restrict-modify=root", "--port=0").complaint
    assert complaint.startswith(f"{tmp_path}: other things lie in this folder")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["bogus"], "No such command 'bogus'. See `simpleindex-server --help`."),
        (
            ["init", "--bogus"],
            "No such option '--bogus'. See `simpleindex-server init --help`.",
        ),
        (
            ["--zzz"],
            "No such option '--zzz'. See `simpleindex-server serve --help`.",
        ),
        (
            ["serve", "extra"],
            "Got unexpected extra argument (extra). See `simpleindex-server serve --help`.",
        ),
        (["add"], "Missing argument 'PATH...'. See `simpleindex-server add --help`."),
        (["serve", "--port=http"], "port = 'http' (flag --port): a whole number is needed"),
        (["serve", "--listen=8000"], "listen = ('8000',) (flag --listen): '8000' is not HOST:PORT"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_command_line_that_makes_no_sense_is_told_in_one_line(
    cli: Cli, words: list[str], complaint: str
) -> None:
    assert cli(*words).complaint == complaint.replace("`simpleindex-server", f"`{this_command()}")


@pytest.mark.parametrize("verb", ["serve", "init", "add", "passwd"])
def test_a_bad_settings_file_stops_every_verb(cli: Cli, tmp_path: Path, verb: str) -> None:
    (tmp_path / "simpleindex.toml").write_text("port = \n")
    before = listing(tmp_path)
    words = [verb, f"--serverdir={tmp_path}", *(["."] if verb == "add" else [])]
    complaint = cli(*words).complaint
    assert complaint.startswith(f"settings file {tmp_path / 'simpleindex.toml'} is not valid TOML")
    assert listing(tmp_path) == before


def test_ctrl_c_is_no_traceback(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("simpleindex.cli.config.config_from", interrupted)
    called = cli("config", "show")
    assert (called.exit_code, called.err.strip()) == (1, "simpleindex-server: interrupted")


def test_a_path_that_cannot_be_looked_at_is_named(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "exists", refused)
    assert cli("add", tmp_path).complaint == f"{tmp_path}: Permission denied"


@pytest.mark.skipif(not hasattr(os, "setuid") or os.getuid() != 0, reason="only root can try")
@pytest.mark.parametrize("verb", ["serve", "init", "add", "passwd"])
def test_a_directory_that_others_may_not_look_into_is_told_of_in_one_line(
    cli: Cli, tmp_path: Path, verb: str
) -> None:
    cli.init(tmp_path / "data")
    before = listing(tmp_path)
    words = [verb, f"--serverdir={tmp_path / 'data'}", *(["/"] if verb == "add" else [])]
    called = run_as_nobody(*words)
    assert str(tmp_path / "data") in called.complaint
    assert "Permission denied" in called.complaint
    assert listing(tmp_path) == before


@pytest.mark.parametrize(
    ("words", "where", "hint"),
    [
        ("bundle undo 7", "--serverdir", "bundle history"),
        ("target remove cp39-win_amd64", "--serverdir", "target list"),
        ("target remove cp39-win_amd64", "--targets", "target list"),
        ("target add --learned cp39-win_amd64", "--serverdir", "target list --learned"),
        ("trust remove bob", "--serverdir", "trust list"),
        ("trust remove bob", "--keys", "trust list"),
        ("index show root/none", "--serverdir", "index list"),
        ("list --index=root/none", "--serverdir", "index list"),
        ("approve demo==1.0 --index=root/none", "--serverdir", "index list"),
    ],
)
def test_what_names_all_there_are_can_be_typed_as_it_is_told(
    words: str, where: str, hint: str, cli: Cli, data: Path
) -> None:
    place = f"{where}={data if where == '--serverdir' else data / 'list'}"
    told = cli(*words.split(), place).err
    assert f"; `{this_command()} {hint} {place}` names all" in told
