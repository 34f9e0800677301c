"""`token`: makes, lists and revokes API tokens, with or without a server that runs."""

import json
import re
from hashlib import sha256
from pathlib import Path

import pytest

from simpleindex_storage.model import ApiToken, TokenAction
from simpleindex_storage.names import UserName
from tests.cli.asking import ask_json
from tests.cli.commands import Cli
from tests.cli.directories import catalog_of
from tests.server import running_server

ROOT = UserName("root")


def tokens(data: Path) -> tuple[ApiToken, ...]:
    with catalog_of(data) as seen:
        return seen.tokens(ROOT)


def test_a_token_is_printed_once_and_only_its_digest_is_kept(cli: Cli, data: Path) -> None:
    secret = cli.must("token", "create", "root", f"--serverdir={data}").removesuffix("\n")
    assert re.fullmatch(r"sit_[A-Za-z0-9_-]{43}", secret)
    (token,) = tokens(data)
    assert token.sha256 == sha256(secret.encode()).hexdigest()
    assert token.actions == (TokenAction.READ, TokenAction.UPLOAD)
    assert (token.indexes, token.projects, token.expires_at) == ((), (), None)
    for path in data.rglob("*"):
        assert path.is_dir() or secret.encode() not in path.read_bytes(), path


def test_a_token_has_the_limits_that_were_asked_for(cli: Cli, data: Path) -> None:
    out = cli.must(
        "token", "create", "root", "--name=ci", "--index=root/*", "--index=root/local",
        "--project=Demo_*", "--upload", "--days=30", "--json", f"--serverdir={data}",
    )  # fmt: skip
    told = json.loads(out)
    (token,) = tokens(data)
    assert (token.name, token.actions) == ("ci", (TokenAction.UPLOAD,))
    assert (token.indexes, token.projects) == (("root/*", "root/local"), ("demo-*",))
    assert token.expires_at is not None
    assert (token.expires_at - token.created_at).days == 30
    assert told["id"] == token.id
    assert told["token"].startswith("sit_")


def test_tokens_are_listed_and_revoked(cli: Cli, data: Path) -> None:
    assert cli.must("token", "list", f"--serverdir={data}") == ""
    cli.must("token", "create", "root", "--name=ci", "--read", f"--serverdir={data}")
    (token,) = tokens(data)
    listed = cli.must("token", "list", "root", f"--serverdir={data}").splitlines()
    assert [line.split() for line in listed] == [
        ["ID", "USER", "NAME", "FOR", "INDEXES", "PROJECTS", "EXPIRES"],
        [token.id, "root", "ci", "read", "*", "*", "never"],
    ]
    (entry,) = json.loads(cli.must("token", "list", "--json", f"--serverdir={data}"))
    assert entry["id"] == token.id
    assert "sha256" not in entry
    out = cli.must("token", "revoke", token.id, f"--serverdir={data}")
    assert out == f"Token {token.id} of root is revoked.\n"
    assert tokens(data) == ()


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["create", "nobody"], "there is no user nobody here"),
        (["create", "root", "--days=0"], "token: days is a number from 1 to 3650"),
        (["create", "root", "--days=3651"], "token: days is a number from 1 to 3650"),
        (["create", "root", "--name=a\nb"], "token: its name is one line of 100 characters"),
        (["create", "root", "--project=a/b"], "pattern 'a/b': it is the name of a project"),
        (["create", "root", "--index=local"], "pattern 'local': it is the name of an index"),
        (["list", "nobody"], "there is no user nobody here"),
        (["revoke", "1a2b"], "there is no token 1a2b here"),
    ],
    ids=" ".join,
)
def test_what_cannot_be_is_told_in_one_line(
    cli: Cli, data: Path, words: list[str], complaint: str
) -> None:
    assert cli("token", *words, f"--serverdir={data}").complaint.startswith(complaint)
    assert tokens(data) == ()


def test_a_token_holds_and_ends_while_the_server_runs(cli: Cli, data: Path) -> None:
    with running_server(data) as server:
        secret = cli.must("token", "create", "root", f"--serverdir={data}").strip()
        for user in ("__token__", "root"):
            assert whoami(server.port, user, secret) == ["ok", "root", []]
        assert whoami(server.port, "alice", secret) == ["noauth", "", []]
        cli.must("token", "revoke", tokens(data)[0].id, f"--serverdir={data}")
        assert whoami(server.port, "__token__", secret) == ["noauth", "", []]


def whoami(port: int, user: str, secret: str) -> object:
    _, told = ask_json(port, "GET", "/+api", login=(user, secret))
    return told["result"]["authstatus"]
