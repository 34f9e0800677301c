"""What processes tell each other of failed logins."""

import errno
import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from simpleindex_storage import durable, failures
from simpleindex_storage.failures import (
    FAILURES_KEPT,
    LoginNotes,
    MemoryNotes,
    Note,
    SharedNotes,
)
from simpleindex_storage.opening import open_login_notes
from tests.storage.other_process import add_notes, elsewhere

A, B = Note(1_800_000_000_000, 1, 2**64 - 1), Note(1_800_000_000_001, 0, 3)


@pytest.fixture(params=["memory", "file"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], LoginNotes]:
    return MemoryNotes if request.param == "memory" else lambda: SharedNotes(tmp_path / "failures")


def test_notes_are_kept_in_their_order(opened: Callable[[], LoginNotes]) -> None:
    with closing(opened()) as notes:
        assert (list(notes.failures.notes()), notes.failures.count()) == ([], 0)
        notes.failures.add(A)
        notes.failures.add(B)
        notes.places.add(B)
        assert list(notes.failures.notes()) == [A, B]
        assert list(notes.places.notes()) == [B]
        assert (notes.failures.count(), notes.places.count()) == (2, 1)


def test_a_full_ring_forgets_the_oldest(opened: Callable[[], LoginNotes]) -> None:
    with closing(opened()) as notes:
        for number in range(1, FAILURES_KEPT + 4):
            notes.failures.add(Note(number, number, number))
        kept = notes.failures.notes()
        assert [note.ends_at_ms for note in kept] == list(range(4, FAILURES_KEPT + 4))
        assert notes.failures.count() == FAILURES_KEPT + 3
        assert list(notes.places.notes()) == []


def test_notes_outlive_their_process_and_are_seen_by_others_at_once(tmp_path: Path) -> None:
    path = tmp_path / "failures"
    with closing(SharedNotes(path)) as here, elsewhere(add_notes, str(path), "3") as other:
        other.wait_for("ready")
        assert [note.user for note in here.failures.notes()] == [0, 1, 2]
        other.kill()
    with closing(SharedNotes(path)) as later:
        assert [note.user for note in later.failures.notes()] == [0, 1, 2]


def test_processes_that_add_together_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "failures"
    with (
        closing(SharedNotes(path)) as here,
        elsewhere(add_notes, str(path), "300") as one,
        elsewhere(add_notes, str(path), "300") as other,
    ):
        for process in (one, other):
            process.wait_for("ready")
        assert here.failures.count() == 600
        users = sorted(note.user for note in here.failures.notes())
        assert users == sorted([*range(300), *range(300)])


def test_a_note_that_its_writer_did_not_finish_is_none(tmp_path: Path) -> None:
    with closing(SharedNotes(tmp_path / "failures")) as notes:
        notes.failures.add(A)
        notes.failures.add(Note(0, 7, 7))
        notes.failures.add(B)
        assert list(notes.failures.notes()) == [A, B]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no modes of files")
def test_only_the_owner_reads_them(tmp_path: Path) -> None:
    path = tmp_path / "failures"
    umask = os.umask(0)
    try:
        SharedNotes(path).close()
        modes = [each.stat().st_mode & 0o777 for each in sorted(tmp_path.iterdir())]
        assert modes == [0o600, 0o600]
        path.chmod(0o644)
        SharedNotes(path).close()
        assert path.stat().st_mode & 0o777 == 0o600
    finally:
        os.umask(umask)


@pytest.mark.parametrize("content", [b"", b"x", bytes(1 << 20)], ids=["empty", "short", "long"])
def test_a_file_of_another_size_is_made_anew(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "failures"
    path.write_bytes(content)
    with closing(SharedNotes(path)) as notes:
        notes.failures.add(A)
        assert list(notes.failures.notes()) == [A]


def test_the_file_has_no_holes(tmp_path: Path) -> None:
    SharedNotes(tmp_path / "failures").close()
    found = (tmp_path / "failures").stat()
    assert os.name == "nt" or found.st_blocks * 512 >= found.st_size


def test_without_room_for_the_file_a_process_counts_for_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(failures, "write_file", full)
    with closing(open_login_notes(tmp_path)) as notes:
        assert isinstance(notes, MemoryNotes)
    assert "No space left on device" in caplog.text
    monkeypatch.setattr(failures, "write_file", durable.write_file)
    with closing(open_login_notes(tmp_path)) as notes:
        assert isinstance(notes, SharedNotes)
