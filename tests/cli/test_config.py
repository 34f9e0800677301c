"""`config show`: every setting, its value, and where that came from."""

import json
from pathlib import Path

import pytest

from simpleindex.cli.options import this_command
from simpleindex.config import Config, settings
from tests.cli.commands import Cli


def test_every_setting_is_shown_with_its_default(cli: Cli) -> None:
    shown = rows(cli.must("config", "show"))
    assert list(shown) == [entry.name for entry in settings()]
    assert {source for _, source in shown.values()} == {"default"}
    assert shown["port"] == ("3141", "default")
    assert shown["host"] == ("127.0.0.1", "default")
    assert shown["restrict_modify"] == ("root", "default")
    assert shown["unix_socket"] == ("-", "default")
    assert shown["access_log"] == ("true", "default")


def test_flags_win_over_environment_over_file_over_default(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "simpleindex.toml"
    file.write_text('port = 1\nhost = "127.0.0.2"\nrestrict-modify = ["root", "eva"]\n')
    monkeypatch.setenv("SIMPLEINDEX_PORT", "2")
    monkeypatch.setenv("SIMPLEINDEX_HOST", "127.0.0.3")
    monkeypatch.setenv("SIMPLEINDEX_SERVERDIR", str(tmp_path))
    shown = rows(cli.must("config", "show", "--port=3"))
    assert shown["port"] == ("3", "flag --port")
    assert shown["host"] == ("127.0.0.3", "environment SIMPLEINDEX_HOST")
    assert shown["restrict_modify"] == ("root,eva", str(file))
    assert shown["serverdir"] == (str(tmp_path), "environment SIMPLEINDEX_SERVERDIR")
    assert shown["login_seconds"] == ("36000", "default")


def test_a_settings_file_can_lie_anywhere(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text("offline_mode = true\n")
    shown = rows(cli.must("config", "show", "-c", tmp_path / "other.toml"))
    assert shown["offline_mode"] == ("true", str(tmp_path / "other.toml"))


def test_addresses_are_shown_as_they_are_given(cli: Cli) -> None:
    shown = rows(cli.must("config", "show", "--listen=127.0.0.1:1", "--listen=[::1]:2"))
    assert shown["listen"] == ("127.0.0.1:1,::1:2", "flag --listen")


def test_one_address_among_networks_is_shown_as_that(cli: Cli) -> None:
    shown = rows(cli.must("config", "show", "--trusted-proxy=::ffff:10.0.0.1,10.1.0.0/16"))
    assert shown["trusted_proxy"] == ("10.0.0.1,10.1.0.0/16", "flag --trusted-proxy")
    assert shown["metrics_from"] == ("127.0.0.1,::1", "default")


def test_devpi_servers_name_for_the_upload_limit_is_taken(cli: Cli) -> None:
    shown = rows(cli.must("config", "show", "--max-request-body-size=1000"))
    assert shown["upload_bytes_max"] == ("1000", "flag --upload-bytes-max")


def test_programs_get_the_same_as_json(cli: Cli) -> None:
    shown = json.loads(cli.must("config", "show", "--json", "--port=0"))
    assert list(shown) == [entry.name for entry in settings()]
    assert shown["port"] == {"value": "0", "from": "flag --port"}
    assert shown["upload_bytes_max"]["value"] == str(Config().upload_bytes_max)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("port = ", "is not valid TOML"),
        ("prot = 3141", "there is no setting 'prot'"),
        ('port = "many"', "a whole number is needed"),
        ("port = 70000", "a port is a number from 0 (any free one) to 65535"),
        ("access_log = 3", "true or false is needed"),
        ('outside_url = "packages.example"', "a URL like https://packages.example/index"),
        ('serverdir = "/srv"', "serverdir can only be given by flag or environment"),
        ("[server]\nport = 1", "there is no setting 'server'"),
    ],
)
def test_a_settings_file_that_cannot_be_used_is_named(
    cli: Cli, tmp_path: Path, content: str, why: str
) -> None:
    file = tmp_path / "simpleindex.toml"
    file.write_text(content)
    complaint = cli("config", "show", f"--serverdir={tmp_path}").complaint
    assert str(file) in complaint
    assert why in complaint


def test_a_settings_file_in_another_encoding_is_named(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "simpleindex.toml").write_bytes("# Börse\n".encode("latin-1"))
    complaint = cli("config", "show", f"--serverdir={tmp_path}").complaint
    assert complaint.startswith(f"settings file {tmp_path / 'simpleindex.toml'} is not valid TOML")


def test_a_missing_settings_file_is_named(cli: Cli) -> None:
    complaint = cli("config", "show", "--config=nowhere.toml").complaint
    assert complaint == "settings file nowhere.toml cannot be read: No such file or directory"


def test_a_bad_value_in_the_environment_is_named(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMPLEINDEX_PORT", "http")
    complaint = cli("config", "show").complaint
    assert complaint == "port = 'http' (environment SIMPLEINDEX_PORT): a whole number is needed"


def test_without_a_second_word_the_help_is_named(cli: Cli) -> None:
    assert cli("config").complaint == f"Missing command. See `{this_command()} config --help`."


def rows(out: str) -> dict[str, tuple[str, str]]:
    """Value and source of each setting, by name."""
    found = {}
    for line in out.splitlines():
        name, value, source = line.split(maxsplit=2)
        assert source[0] + source[-1] == "()", line
        found[name] = (value, source[1:-1])
    return found


@pytest.mark.parametrize("how", [(), ("--json",)])
def test_a_password_in_a_url_is_not_shown(cli: Cli, tmp_path: Path, how: tuple[str, ...]) -> None:
    url = "--upstream-url=https://bob:hunter2@packages.example/simple"
    shown = cli.must("config", "show", f"--serverdir={tmp_path}", url, *how)
    assert "https://packages.example/simple" in shown
    assert "hunter2" not in shown
    assert "bob" not in shown
