"""Processes of two versions do not work on one directory."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from simpleindex_storage import processes
from simpleindex_storage.errors import Refused, Unavailable
from simpleindex_storage.locks import FileLock
from simpleindex_storage.processes import is_alive, living
from simpleindex_storage.version import __version__
from tests.storage.stores import make_store, opened


@contextmanager
def a_process(root: Path, name: str) -> Iterator[None]:
    """A mark of a process that lives: this one, by another name."""
    (root / "incoming").mkdir(exist_ok=True)
    lock = FileLock(root / "incoming" / f"{name}.lock")
    assert lock.try_keep()
    try:
        yield
    finally:
        lock.close(delete=True)


@pytest.mark.parametrize(
    ("name", "version"), [("17-ab@0.0.1", "0.0.1"), ("17-ab", "(an older one)")]
)
def test_a_directory_that_another_version_has_open_is_refused(
    tmp_path: Path, name: str, version: str
) -> None:
    make_store(tmp_path)
    with (
        a_process(tmp_path, name),
        pytest.raises(Refused, match="stop that one first") as refused,
        opened(tmp_path),
    ):
        pass
    assert str(refused.value) == (
        f"{tmp_path}: simpleindex-server {version}, process 17, has this directory open, and this "
        f"is version {__version__}; stop that one first"
    )
    with opened(tmp_path):
        pass


@pytest.mark.parametrize("kind", ["folder", "link"])
def test_what_is_no_plain_file_is_no_mark_of_a_process(tmp_path: Path, kind: str) -> None:
    make_store(tmp_path)
    odd = tmp_path / "incoming" / "17-ab@0.0.1.lock"
    odd.parent.mkdir(exist_ok=True)
    if kind == "folder":
        odd.mkdir()
    else:
        odd.symlink_to(tmp_path)
    with opened(tmp_path):
        assert len(living(tmp_path / "incoming")) == 1
    assert not is_alive(odd.with_name("17-ab@0.0.1"))
    assert os.path.lexists(odd)


def test_a_mark_that_cannot_be_opened_is_no_sign_that_its_process_died(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_store(tmp_path)
    with a_process(tmp_path, "17-ab"):

        def refuse(path: Path) -> FileLock:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))

        monkeypatch.setattr(processes, "FileLock", refuse)
        with pytest.raises(Unavailable, match=r"17-ab\.lock cannot be opened: Permission denied"):
            living(tmp_path / "incoming")


def test_processes_of_one_version_work_side_by_side(tmp_path: Path) -> None:
    make_store(tmp_path)
    with opened(tmp_path), opened(tmp_path):
        marks = [path.name for path in (tmp_path / "incoming").glob("*.lock")]
    assert len(marks) == 2
    assert all(mark.startswith(f"{os.getpid()}-") and f"@{__version__}" in mark for mark in marks)


def test_the_mark_of_another_version_that_died_is_no_obstacle(tmp_path: Path) -> None:
    make_store(tmp_path)
    (tmp_path / "incoming").mkdir(exist_ok=True)
    (tmp_path / "incoming" / "17-ab@0.0.1.lock").touch()
    with opened(tmp_path):
        assert not (tmp_path / "incoming" / "17-ab@0.0.1.lock").exists()
