import os
from pathlib import Path

import pytest

from simpleindex_storage.generation import Generation
from tests.storage.other_process import announce_and_settle, elsewhere

BYTES = 16


def words(root: Path) -> Generation:
    return Generation(root / "generation")


def test_a_new_generation_agrees_on_0(tmp_path: Path) -> None:
    here = words(tmp_path)
    assert (here.agreed(), here.settled()) == (0, 0)
    here.close()


def test_nobody_agrees_between_announcing_and_settling(tmp_path: Path) -> None:
    here = words(tmp_path)
    here.settle(4)
    assert here.agreed() == 4
    here.announce(5)
    assert (here.agreed(), here.settled()) == (None, 4)
    here.settle(5)
    assert (here.agreed(), here.settled()) == (5, 5)
    here.close()


def test_another_process_sees_each_step_at_once(tmp_path: Path) -> None:
    here = words(tmp_path)
    with elsewhere(announce_and_settle, str(tmp_path / "generation")) as other:
        other.wait_for("ready")
        assert (here.agreed(), here.settled()) == (None, 0)
        other.tell()
        other.wait_for("ready")
        assert (here.agreed(), here.settled()) == (7, 7)
    here.close()


def test_what_a_killed_process_has_said_stays_said(tmp_path: Path) -> None:
    with elsewhere(announce_and_settle, str(tmp_path / "generation")) as other:
        other.wait_for("ready")
        other.kill()
    here = words(tmp_path)
    assert (here.agreed(), here.settled()) == (None, 0)
    here.close()


@pytest.mark.parametrize(
    ("committed", "agreed"),
    [(4, None), (5, 5), (6, 5)],
    ids=["before its commit", "after its commit", "and others have come since"],
)
def test_a_reader_heals_what_a_dead_writer_left_if_its_commit_is_seen(
    committed: int, agreed: int | None, tmp_path: Path
) -> None:
    here = words(tmp_path)
    here.settle(4)
    here.announce(5)
    here.heal(committed)
    assert here.agreed() == agreed
    here.close()


def test_healing_what_is_whole_changes_nothing(tmp_path: Path) -> None:
    here = words(tmp_path)
    here.settle(4)
    here.heal(3)
    here.heal(4)
    here.heal(5)
    assert (here.agreed(), here.settled()) == (4, 4)
    here.close()


def test_a_writer_takes_back_what_a_dead_one_announced(tmp_path: Path) -> None:
    here = words(tmp_path)
    here.settle(4)
    here.announce(5)
    here.settle(4)
    assert (here.agreed(), here.settled()) == (4, 4)
    here.close()


def test_serials_beyond_32_bits_are_kept_whole(tmp_path: Path) -> None:
    here, other = words(tmp_path), words(tmp_path)
    serial = (1 << 63) + 12345
    here.announce(serial)
    here.settle(serial)
    assert (other.agreed(), other.settled()) == (serial, serial)
    here.close()
    other.close()


def test_opening_again_keeps_the_words(tmp_path: Path) -> None:
    here = words(tmp_path)
    here.settle(9)
    here.close()
    again = words(tmp_path)
    assert again.agreed() == 9
    again.close()


@pytest.mark.parametrize("size_bytes", [0, 7], ids=["empty", "cut off"])
def test_a_file_that_is_too_short_is_made_long_enough(size_bytes: int, tmp_path: Path) -> None:
    (tmp_path / "generation").write_bytes(bytes(size_bytes))
    here = words(tmp_path)
    here.settle(3)
    assert here.agreed() == 3
    assert (tmp_path / "generation").stat().st_size >= BYTES
    here.close()


def test_the_words_have_room_on_the_disk_before_anybody_writes_to_them(tmp_path: Path) -> None:
    # Writing to a hole through memory kills the process once the disk is full.
    words(tmp_path).close()
    with (tmp_path / "generation").open("rb") as file:
        assert os.lseek(file.fileno(), 0, os.SEEK_HOLE) >= BYTES
