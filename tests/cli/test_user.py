"""`user`: accounts made and removed on the server's disk."""

import json
from pathlib import Path

import pytest

from simpleindex.access import verify_password
from tests.builders import a_wheel
from tests.cli.commands import Cli, run
from tests.cli.directories import catalog_of, make_index, stored, user


def create(data: Path, name: str = "alice", password: str = "a-secret") -> None:
    done = run("user", "create", name, "--password-file=-", f"--serverdir={data}", stdin=password)
    assert (done.exit_code, done.out, done.err) == (0, f"user {name} created\n", "")


def names(data: Path) -> list[str]:
    with catalog_of(data) as seen:
        return [each.name for each in seen.users()]


def test_a_user_is_created_with_a_password(cli: Cli, data: Path) -> None:
    create(data)
    assert verify_password("a-secret", user(data, "alice").password_hash)
    cli.must("index", "create", "alice/dev", f"--serverdir={data}")
    assert cli.must("user", "list", f"--serverdir={data}").splitlines() == [
        "alice  -  alice/dev",
        "root   -  root/pypi",
    ]
    alice, _ = json.loads(cli.must("user", "list", "--json", f"--serverdir={data}"))
    assert (alice["name"], alice["email"], alice["indexes"]) == ("alice", None, ["alice/dev"])


@pytest.mark.parametrize(
    ("name", "password", "complaint"),
    [
        ("root", "x", "User already exists: root; choose another name"),
        ("alice", "", "password: it must not be empty"),
        ("a b", "x", "user name 'a b': a name begins with"),
    ],
)
def test_a_user_that_cannot_be_is_told_in_one_line(
    data: Path, name: str, password: str, complaint: str
) -> None:
    done = run("user", "create", name, "--password-file=-", f"--serverdir={data}", stdin=password)
    assert done.complaint.startswith(complaint)
    assert names(data) == ["root"]


def test_without_a_terminal_nobody_is_asked_for_a_password(data: Path) -> None:
    assert "give --password-file" in run("user", "create", "bob", f"--serverdir={data}").complaint


def test_a_user_goes_with_all_indexes(cli: Cli, data: Path, wheelhouse: Path) -> None:
    create(data)
    make_index(data, "alice/dev", volatile=True)
    cli.must("add", a_wheel().save(wheelhouse), "--index=alice/dev", f"--serverdir={data}")
    out = cli.must("user", "remove", "alice", f"--serverdir={data}")
    assert out == "user alice removed, with 1 index\n"
    assert names(data) == ["root"]
    assert [path for path in (data / "files").rglob("*") if path.is_file()] == []


def test_a_user_whose_index_keeps_its_files_has_to_be_forced(
    cli: Cli, data: Path, wheelhouse: Path
) -> None:
    create(data)
    make_index(data, "alice/prod", volatile=False)
    cli.must("add", a_wheel().save(wheelhouse), "--index=alice/prod", f"--serverdir={data}")
    complaint = cli("user", "remove", "alice", f"--serverdir={data}").complaint
    assert complaint.startswith("alice: alice/prod never removes files (volatile=False)")
    assert set(stored(data, "alice/prod")) == {a_wheel().filename}
    cli.must("user", "remove", "alice", "--force", f"--serverdir={data}")
    assert names(data) == ["root"]


def test_root_stays(cli: Cli, data: Path) -> None:
    complaint = cli("user", "remove", "root", "--force", f"--serverdir={data}").complaint
    assert complaint == "root: root cannot be removed"


def test_nobody_is_removed_who_is_not_there(cli: Cli, data: Path) -> None:
    complaint = cli("user", "remove", "alice", f"--serverdir={data}").complaint
    assert complaint == "there is no user alice here"
