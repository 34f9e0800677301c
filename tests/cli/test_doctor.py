"""`doctor`: what is found on a real site."""

import json
import os
import re
import socket
from pathlib import Path
from typing import Any

import pytest

from simpleindex.cli.options import this_command
from simpleindex.doctor import examined
from tests.certificates import Certificate, a_certificate
from tests.cli.commands import Called, Cli
from tests.server import free_port, running_server


def codes(called: Called) -> dict[str, str]:
    """The level of each finding, by its word."""
    document: dict[str, Any] = json.loads(called.out)
    return {each["code"]: each["level"] for each in document["findings"]}


def test_a_new_site_has_no_errors(cli: Cli, data: Path) -> None:
    called = cli("doctor", f"--serverdir={data}", f"--port={free_port()}")
    assert (called.exit_code, called.err) == (0, "")
    assert called.out.startswith("ok      versions: simpleindex-server ")
    assert "note    backup-none: no backup was ever made" in called.out
    assert " ok, " in called.out.splitlines()[-1]
    assert not list(data.glob("doctor-*"))


def test_a_server_that_runs_is_seen(cli: Cli, data: Path) -> None:
    with running_server(data) as server:
        found = codes(cli("doctor", "--json", f"--serverdir={data}", f"--port={server.port}"))
        assert found["server"] == "ok"
        assert "port-taken" not in found and "server-elsewhere" not in found
        found = codes(cli("doctor", "--json", f"--serverdir={data}", f"--port={free_port()}"))
        assert found["server-elsewhere"] == "note"


def test_a_backup_is_remembered(cli: Cli, data: Path, tmp_path: Path) -> None:
    cli.must("backup", tmp_path / "saved", f"--serverdir={data}")
    found = codes(cli("doctor", "--json", f"--serverdir={data}", f"--port={free_port()}"))
    assert found["backup"] == "ok"


def asked_with(made: Certificate, data: Path, cli: Cli) -> Called:
    """What is said of a server that listens everywhere, with a certificate."""
    port, tls = free_port(), (f"--tls-cert={made.cert}", f"--tls-key={made.key}")
    return cli("doctor", "--json", f"--serverdir={data}", f"--port={port}", "--host=0.0.0.0", *tls)


def test_a_server_with_a_good_certificate_is_safe(cli: Cli, data: Path, tmp_path: Path) -> None:
    called = asked_with(a_certificate(tmp_path), data, cli)
    assert called.exit_code == 0
    assert codes(called)["certificate"] == "ok"
    assert "plain-http" not in codes(called)


@pytest.mark.parametrize("days", [0, 3], ids=["expired", "expires soon"])
def test_a_certificate_that_clients_will_refuse_is_an_error(
    days: int, cli: Cli, data: Path, tmp_path: Path
) -> None:
    called = asked_with(a_certificate(tmp_path, days=days), data, cli)
    assert called.exit_code == 1
    assert codes(called)["certificate-refused"] == "error"
    assert "certificate" not in codes(called)


def test_a_certificate_that_cannot_be_served_with_is_an_error(
    cli: Cli, data: Path, tmp_path: Path
) -> None:
    made = a_certificate(tmp_path)
    made.key.unlink()
    called = asked_with(made, data, cli)
    assert called.exit_code == 1
    assert codes(called)["certificate-unusable"] == "error"
    assert f"tls_key {made.key} cannot be read: No such file" in called.out


@pytest.mark.parametrize("at", ["nowhere", "foreign", "file"])
def test_what_is_no_directory_of_ours_is_an_error(cli: Cli, tmp_path: Path, at: str) -> None:
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "photo.jpg").touch()
    (tmp_path / "file").touch()
    called = cli("doctor", "--json", f"--serverdir={tmp_path / at}")
    assert (called.exit_code, called.err) == (1, "")
    expected = "directory-missing" if at == "nowhere" else "directory-foreign"
    assert codes(called)[expected] == "error"
    assert not (tmp_path / "nowhere").exists()


def test_a_damaged_catalog_is_an_error_that_names_the_way_out(cli: Cli, data: Path) -> None:
    os.truncate(data / "catalog.sqlite", 8192)
    called = cli("doctor", f"--serverdir={data}")
    assert called.exit_code == 1
    assert "error   catalog-damaged: the catalog is damaged" in called.out
    assert f"`{this_command()} rebuild --serverdir={data}`" in called.out


def test_every_command_that_is_advised_names_the_directory(cli: Cli, data: Path) -> None:
    data.chmod(0o750)
    cli.must("token", "create", "root", f"--serverdir={data}")
    told = json.loads(cli("doctor", "--json", f"--serverdir={data}", f"--port={free_port()}").out)
    commands = [
        command
        for each in told["findings"]
        for command in re.findall(rf"`({re.escape(this_command())} .*?)`", each["advice"])
    ]
    assert len(commands) >= 3
    assert [it for it in commands if f" --serverdir={data}" not in it] == []


def test_rights_that_others_have_are_unsafe_and_no_error(cli: Cli, data: Path) -> None:
    data.chmod(0o750)
    called = cli("doctor", "--json", f"--serverdir={data}", f"--port={free_port()}")
    assert called.exit_code == 0
    assert codes(called)["open-to-others"] == "unsafe"


def test_a_secret_that_others_may_read_is_unsafe_in_a_shut_directory_too(
    cli: Cli, data: Path
) -> None:
    aside = data / "catalog.sqlite.damaged-20260102T030405"
    aside.touch()
    aside.chmod(0o644)
    told = json.loads(cli("doctor", "--json", f"--serverdir={data}", f"--port={free_port()}").out)
    (found,) = (each for each in told["findings"] if each["code"] == "open-to-others")
    assert found["what"].startswith(f"{aside.name} has the mode 0644:")


def test_upstreams_are_asked_only_on_request(
    cli: Cli, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, int]] = []

    def note(address: tuple[str, int], _: float) -> None:
        asked.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "create_connection", note)
    port = free_port()
    options = [
        f"--serverdir={data}",
        f"--port={port}",
        "--upstream-url=http://packages.example:81/",
    ]
    assert cli("doctor", *options).exit_code == 0
    assert asked == [("127.0.0.1", port)]
    called = cli("doctor", "--online", "--json", *options)
    assert asked[2:] == [("packages.example", 81)]
    assert called.exit_code == 1
    assert codes(called)["upstream-silent"] == "error"


def test_a_filesystem_is_found_by_the_longest_mount(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts = tmp_path / "mounts"
    inner = str(tmp_path / "with space").replace(" ", "\\040")
    mounts.write_text(f"a / ext4 rw 0 0\nb {inner} nfs4 rw 0 0\nc {tmp_path} xfs rw 0 0\n")
    monkeypatch.setattr(examined, "_MOUNTS", mounts)
    (tmp_path / "with space").mkdir()
    assert examined._filesystem(tmp_path / "with space") == "nfs4"
    assert examined._filesystem(tmp_path) == "xfs"
    monkeypatch.setattr(examined, "_MOUNTS", tmp_path / "none")
    assert examined._filesystem(tmp_path) is None
