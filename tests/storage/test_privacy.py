"""Who can get at a server directory."""

import os
from pathlib import Path

import pytest

from simpleindex_storage.privacy import wide_open

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
