"""The list of trusted keys, which is OpenSSH's own."""

from pathlib import Path

import pytest

from simpleindex.gap.bundle.trusted_keys import (
    TrustedKey,
    change_trusted,
    parse_public_key,
    read_trusted,
    with_key,
)
from simpleindex_storage.errors import Refused, Unavailable

KEY = "AAAAC3NzaC1lZDI1NTE5AAAAINdamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea"
OTHER = "AAAAC3NzaC1lZDI1NTE5AAAAIPxRzY5iGKGjjaR+0AIw8FgIFu0TujMDrF3rkRVIkIAl"


def key(name: str = "alice", text: str = KEY) -> TrustedKey:
    return parse_public_key(f"ssh-ed25519 {text} {name}@outside\n".encode(), "k.pub", name)


def test_no_file_is_no_key(tmp_path: Path) -> None:
    assert read_trusted(tmp_path / "trusted-keys") == ()


def test_keys_are_kept_in_the_form_of_openssh(tmp_path: Path) -> None:
    path = tmp_path / "trusted-keys"
    change_trusted(path, lambda known: with_key(known, key()))
    change_trusted(path, lambda known: with_key(known, key("bob", OTHER)))

    assert path.read_text() == (
        f'alice namespaces="pkgbundle" ssh-ed25519 {KEY}\n'
        f'bob namespaces="pkgbundle" ssh-ed25519 {OTHER}\n'
    )
    assert read_trusted(path) == (key(), key("bob", OTHER))
    assert key().text == f"ssh-ed25519 {KEY}"


def test_what_people_write_is_read(tmp_path: Path) -> None:
    (tmp_path / "t").write_text(
        f"\ufeff# who sends\r\n\r\n alice  ssh-ed25519  {KEY}  her key \r\n"
        f'b@x.example  namespaces="pkgbundle"  ssh-ed25519 {OTHER}\r\n',
        "utf-8",
    )
    assert [each.name for each in read_trusted(tmp_path / "t")] == ["alice", "b@x.example"]


@pytest.mark.parametrize(
    "line",
    [
        "alice",
        f"* ssh-ed25519 {KEY}",
        f'alice namespaces="file" ssh-ed25519 {KEY}',
        f"alice cert-authority ssh-ed25519 {KEY}",
        f"ssh-ed25519 {KEY}",
        "alice ssh-rsa AAAAB3NzaC1yc2E=",
        "alice ssh-ed25519 AAAA",
        f"alice ssh-ed25519 {KEY[:-4]}",
        f"alice ssh-ed25519 {KEY}AAAA",
        f"alice ssh-ed25519 ?{KEY[1:]}",
    ],
)
def test_what_is_no_such_line_is_refused_by_its_number(line: str, tmp_path: Path) -> None:
    (tmp_path / "t").write_text(f"# ours\n{line}\n")
    with pytest.raises(Refused, match=r"t: line 2: "):
        read_trusted(tmp_path / "t")


def test_a_public_key_is_called_by_its_comment_or_by_a_given_name() -> None:
    raw = f"ssh-ed25519 {KEY} alice@outside\n".encode()
    assert parse_public_key(raw, "k.pub").name == "alice@outside"
    assert parse_public_key(raw, "k.pub", "alice").name == "alice"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("-----BEGIN OPENSSH PRIVATE KEY-----\n", "to be shown to nobody; give the .pub file"),
        ("ssh-rsa AAAAB3NzaC1yc2E= x\n", "no public key of Ed25519"),
        ("", "no public key of Ed25519"),
        ("\udcff", "no text in UTF-8"),
        (f"ssh-ed25519 {KEY}\nssh-ed25519 {OTHER}\n", "no public key of Ed25519"),
        (f"ssh-ed25519 {KEY}\n", "'' is no name for a key; give it one .* with --name"),
        (f"ssh-ed25519 {KEY} my key\n", "'my key' is no name"),
        ("ssh-ed25519 AAAA alice\n", "its key is broken"),
        ("x" * (2 << 20), "bytes at the most"),
    ],
)
def test_what_is_no_public_key_is_refused(content: str, why: str) -> None:
    with pytest.raises(Refused, match=rf"k\.pub: .*{why}"):
        parse_public_key(content.encode(errors="surrogateescape"), "k.pub")


def test_a_key_has_one_name_and_a_name_one_key() -> None:
    known = (key("alice"), key("bob", OTHER))
    assert with_key(known, key("carol")) == (key("bob", OTHER), key("carol"))
    with pytest.raises(Refused, match=r"alice: another key has this name, SHA256:"):
        with_key(known, key("alice", OTHER))


def test_a_change_that_fails_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "t"
    change_trusted(path, lambda known: with_key(known, key()))
    before = path.read_bytes()
    with pytest.raises(Refused):
        change_trusted(path, lambda known: with_key(known, key("alice", OTHER)))
    assert path.read_bytes() == before
    with pytest.raises(Unavailable, match="cannot be written"):
        change_trusted(tmp_path / "gone" / "t", lambda known: known)
