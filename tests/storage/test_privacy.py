"""Who can get at a server directory."""

import os
from pathlib import Path

import pytest

from simpleindex_storage.privacy import open_secrets, wide_open

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no modes of files")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "data"
    root.mkdir()
    for name, mode in (("secret", 0o600), ("catalog.sqlite", 0o644), ("files", 0o750)):
        path = root / name
        if name == "files":
            path.mkdir()
        else:
            path.touch()
        path.chmod(mode)
    (root / "link").symlink_to(root / "secret")
    return root


@pytest.mark.parametrize("mode", [0o700, 0o500])
def test_a_directory_that_only_its_owner_enters_is_shut(mode: int, root: Path) -> None:
    root.chmod(mode)
    assert wide_open(root) == ()
    root.chmod(0o700)


@pytest.mark.parametrize("mode", [0o755, 0o750, 0o701])
def test_of_one_that_others_enter_all_is_named_that_they_get_at(mode: int, root: Path) -> None:
    root.chmod(mode)
    assert wide_open(root) == (root, root / "catalog.sqlite", root / "files")


@pytest.mark.parametrize("mode", [0o755, 0o700])
@pytest.mark.parametrize(
    "name",
    [
        "catalog.sqlite", "catalog.sqlite-wal", "catalog.sqlite.new",
        "catalog-v1-2026-01-02.sqlite", "catalog.sqlite.damaged-20260102T030405-wal",
        "journal.jsonl", "journal-7.jsonl", "journal-7-from-99.jsonl",
        "state.json", "state.json.new", "state-from-7.json", "state.json.damaged-20260102T030405",
        "secret", "secret.new", "root-password", "root-password.new", "simpleindex.toml",
    ],
)  # fmt: skip
def test_a_secret_has_a_mode_of_its_own_in_whatever_directory(
    name: str, mode: int, tmp_path: Path
) -> None:
    tmp_path.chmod(mode)
    path = tmp_path / name
    path.touch()
    path.chmod(0o600)
    assert open_secrets(tmp_path) == ()
    path.chmod(0o640)
    assert open_secrets(tmp_path) == (path,)


def test_what_holds_no_secret_is_kept_by_its_directory(tmp_path: Path) -> None:
    for folder in ("files", "secrets"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder).chmod(0o755)
    (tmp_path / "generation").touch()
    (tmp_path / "generation").chmod(0o644)
    (tmp_path / "secret").symlink_to(tmp_path / "generation")
    assert open_secrets(tmp_path) == ()
