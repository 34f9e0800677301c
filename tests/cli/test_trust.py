"""`trust`: keys are added, listed and removed, in a server directory or in a file of their own."""

import json
from pathlib import Path

import pytest

from tests.cli.commands import Cli, run

KEY = "AAAAC3NzaC1lZDI1NTE5AAAAINdamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea"
OTHER = "AAAAC3NzaC1lZDI1NTE5AAAAIPxRzY5iGKGjjaR+0AIw8FgIFu0TujMDrF3rkRVIkIAl"


@pytest.fixture
def alice(tmp_path: Path) -> Path:
    """Her public key."""
    (tmp_path / "alice.pub").write_text(f"ssh-ed25519 {KEY} alice@outside\n")
    return tmp_path / "alice.pub"


def test_keys_lie_in_the_server_directory(cli: Cli, data: Path, alice: Path) -> None:
    where = f"--serverdir={data}"
    assert cli.must("trust", "list", where) == "no key is trusted\n"
    told = cli.must("trust", "add", alice, where)
    assert told.startswith("alice@outside is trusted: SHA256:")
    fingerprint = told.split()[-1]
    assert (data / "trusted-keys").read_text() == (
        f'alice@outside namespaces="pkgbundle" ssh-ed25519 {KEY}\n'
    )
    assert cli.must("trust", "list", where) == f"alice@outside  {fingerprint}\n"
    assert json.loads(cli.must("trust", "list", "--json", where)) == [
        {"name": "alice@outside", "fingerprint": fingerprint, "key": f"ssh-ed25519 {KEY}"}
    ]
    assert cli.must("trust", "remove", fingerprint, where) == "1 key removed\n"
    assert cli.must("trust", "list", where) == "no key is trusted\n"


def test_without_a_server_directory_a_file_is_named(cli: Cli, tmp_path: Path, alice: Path) -> None:
    where = f"--keys={tmp_path / 'keys'}"
    cli.must("trust", "add", alice, "--name=outside", where)
    (tmp_path / "bob.pub").write_text(f"ssh-ed25519 {OTHER} bob\n")
    cli.must("trust", "add", tmp_path / "bob.pub", where)
    listed = json.loads(cli.must("trust", "list", "--json", where))
    assert [each["name"] for each in listed] == ["outside", "bob"]
    assert cli.must("trust", "remove", "bob", "outside", where) == "2 keys removed\n"


def test_a_key_can_be_piped_in(tmp_path: Path, alice: Path) -> None:
    called = run("trust", "add", "-", f"--keys={tmp_path / 'keys'}", stdin=alice.read_text())
    assert (called.exit_code, called.err) == (0, "")


def test_keys_are_part_of_backups(cli: Cli, data: Path, alice: Path, tmp_path: Path) -> None:
    cli.must("trust", "add", alice, f"--serverdir={data}")
    cli.must("backup", tmp_path / "saved", f"--serverdir={data}")
    (saved,) = (tmp_path / "saved").glob("*Z")
    cli.must("restore", saved, f"--serverdir={tmp_path / 'restored'}")
    restored = cli.must("trust", "list", f"--serverdir={tmp_path / 'restored'}")
    assert restored.startswith("alice@outside")


def test_keys_may_be_there_before_the_server(cli: Cli, alice: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    cli.must("trust", "add", alice, f"--keys={tmp_path / 'data' / 'trusted-keys'}")
    (tmp_path / "data" / "trusted-keys.lock").unlink()
    cli.init(tmp_path / "data")
    assert "alice" in cli.must("trust", "list", f"--serverdir={tmp_path / 'data'}")


def test_what_cannot_be_done_is_told_in_a_line(
    cli: Cli, data: Path, alice: Path, tmp_path: Path
) -> None:
    where = f"--serverdir={data}"
    cli.must("trust", "add", alice, where)
    before = (data / "trusted-keys").read_bytes()
    (tmp_path / "bob.pub").write_text(f"ssh-ed25519 {OTHER} bob\n")
    (tmp_path / "key").write_text("-----BEGIN OPENSSH PRIVATE KEY-----\n")

    def complaint(*arguments: str | Path) -> str:
        return cli("trust", *arguments, where).complaint

    same_name = complaint("add", tmp_path / "bob.pub", "--name=alice@outside")
    assert "another key has this name" in same_name
    assert "give the .pub file" in complaint("add", tmp_path / "key")
    assert "No such file" in complaint("add", tmp_path / "gone")
    assert complaint("remove", "bob").startswith("there is no key bob here; `")
    assert (data / "trusted-keys").read_bytes() == before
