import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from io import FileIO
from pathlib import Path
from threading import Thread

import pytest

from simpleindex_storage import counters
from simpleindex_storage.counters import Counters, Layout
from tests.server import server_environment

LAYOUT = Layout(b"a" * 16, 2, 1)
OTHER = Layout(b"b" * 16, 2, 1)
APPLES, PEARS, HANDS = 0, 1, 2
"""Two numbers that only grow, and one that tells of the process."""


def counting(folder: Path, layout: Layout = LAYOUT) -> "closing[Counters]":
    return closing(Counters(folder / "counters", layout))


def total(folder: Path) -> tuple[int, ...]:
    """What a process that comes and goes sees."""
    with counting(folder) as here:
        return tuple(here.sums().words)


def test_what_was_counted_is_still_there_when_the_next_process_comes(tmp_path: Path) -> None:
    with counting(tmp_path) as here:
        here.add(APPLES, 3)
    with counting(tmp_path) as here:
        here.add(APPLES)
        assert tuple(here.sums().words) == (4, 0, 0)
    assert total(tmp_path) == (4, 0, 0)


def test_processes_are_added_up_by_each_of_them(tmp_path: Path) -> None:
    with counting(tmp_path) as one, counting(tmp_path) as other:
        one.add(APPLES, 2)
        other.add(APPLES, 5)
        other.add(PEARS)
        other.save()
        assert tuple(one.sums().words) == (7, 1, 0)
        assert tuple(other.sums().words) == (7, 1, 0)
        assert one.sums().processes == other.sums().processes == 2
    assert sorted(path.name for path in (tmp_path / "counters").iterdir()) == ["0", "1"]


def test_what_tells_of_a_process_goes_with_it(tmp_path: Path) -> None:
    with counting(tmp_path) as here:
        with counting(tmp_path) as other:
            other.add(HANDS, 2)
            other.add(PEARS, 2)
            other.save()
            assert tuple(here.sums().words) == (0, 2, 2)
        assert tuple(here.sums().words) == (0, 2, 0)
        assert here.sums().processes == 1


def test_what_told_of_a_dead_process_does_not_come_back_with_its_successor(
    tmp_path: Path,
) -> None:
    with counting(tmp_path) as here:
        with counting(tmp_path) as other:
            other.add(HANDS, 2)
            other.add(PEARS, 2)
        with counting(tmp_path):
            assert tuple(here.sums().words) == (0, 2, 0)
            assert here.sums().processes == 2


def test_nothing_is_told_that_is_not_written_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Meanwhile(FileIO):
        def write(self, data: object, /) -> int:
            assert isinstance(data, bytes)
            if is_asked:
                here.words[APPLES] += 1
            return super().write(data)

    is_asked = False
    monkeypatch.setattr(counters, "FileIO", Meanwhile)
    with counting(tmp_path) as here:
        is_asked = True
        told = here.sums().words[APPLES]
        is_asked = False
        kept = (tmp_path / "counters" / "0").read_bytes()
    (tmp_path / "counters" / "0").write_bytes(kept)
    assert total(tmp_path)[APPLES] == told


def test_a_kill_takes_back_nothing_that_was_ever_told(tmp_path: Path) -> None:
    with killed_after(tmp_path, "here.add(0, 7); print(here.sums().words[0])") as told:
        assert told == "7"
    assert total(tmp_path) == (7, 0, 0)


def test_what_others_do_not_ask_for_is_written_down_a_moment_later(tmp_path: Path) -> None:
    written = (
        "here.add(0, 7)\n"
        "import time\n"
        "other = Counters(folder, layout)\n"
        "for _ in range(3000):\n"
        "    if other.sums().words[0] == 7: break\n"
        "    time.sleep(0.01)\n"
        "print(other.sums().words[0])"
    )
    with killed_after(tmp_path, written) as told:
        assert told == "7"
    assert total(tmp_path) == (7, 0, 0)


@pytest.mark.parametrize("more", [1, 2], ids=["odd", "even"])
def test_a_record_that_was_cut_leaves_the_one_before(more: int, tmp_path: Path) -> None:
    path = tmp_path / "counters" / "0"
    with counting(tmp_path) as here:
        for _ in range(2 + more):
            here.add(APPLES)
            here.save()
        content = bytearray(path.read_bytes())
    older, newer = sorted(halves_of(content), key=lambda start: number_at(content, start + 16))
    content[newer + 24 : newer + 30] = os.urandom(6)
    path.write_bytes(content)
    assert total(tmp_path)[APPLES] == number_at(content, older + 24) > 0


def halves_of(content: bytearray) -> tuple[int, int]:
    """Where the two records of a file begin: a digest, a sequence number, the numbers, a check."""
    return 8, 8 + (len(content) - 8) // 2


def number_at(content: bytearray, start: int) -> int:
    return int.from_bytes(content[start : start + 8], "little")


@pytest.mark.parametrize(
    "content", [b"", b"x", b"x" * 100_000, bytes(8)], ids=["empty", "short", "long", "hole"]
)
def test_what_cannot_be_read_counts_as_nothing(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "counters").mkdir()
    (tmp_path / "counters" / "0").write_bytes(content)
    (tmp_path / "counters" / "1").write_bytes(content)
    with counting(tmp_path) as here:
        here.add(PEARS)
        assert tuple(here.sums().words) == (0, 1, 0)
    assert total(tmp_path) == (0, 1, 0)


def test_another_layout_begins_at_zero(tmp_path: Path) -> None:
    with counting(tmp_path) as here:
        here.add(APPLES)
    with counting(tmp_path, OTHER) as here:
        assert tuple(here.sums().words) == (0, 0, 0)
        here.add(PEARS)
    with counting(tmp_path, OTHER) as here:
        assert tuple(here.sums().words) == (0, 1, 0)


def test_versions_that_run_side_by_side_are_not_mixed_up(tmp_path: Path) -> None:
    with counting(tmp_path) as old, counting(tmp_path, OTHER) as new:
        old.add(APPLES)
        old.save()
        assert tuple(new.sums().words) == (0, 0, 0)
        assert new.sums().processes == 1


def test_a_file_that_is_in_the_way_makes_it_count_in_memory(tmp_path: Path) -> None:
    (tmp_path / "counters").write_text("mine")
    with counting(tmp_path) as here:
        here.add(APPLES)
        assert tuple(here.sums().words) == (1, 0, 0)
    assert (tmp_path / "counters").read_text() == "mine"


def test_more_processes_than_there_are_files_count_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counters, "PROCESSES_MAX", 1)
    with counting(tmp_path) as one:
        with counting(tmp_path) as other:
            one.add(APPLES)
            other.add(APPLES)
            one.save()
            assert other.sums().words[APPLES] == 2
            assert one.sums().words[APPLES] == 1
        assert one.sums().words[APPLES] == 1


class FullDisk(FileIO):
    """Takes nothing, or a part of what is written."""

    taken = 0

    def write(self, data: object, /) -> int:
        assert isinstance(data, bytes)
        if not self.taken:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(data[: self.taken])


@pytest.mark.parametrize("taken", [0, 30], ids=["nothing", "a part"])
def test_a_full_disk_makes_nobody_fail_and_is_forgotten_when_there_is_room(
    taken: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(counters, "FileIO", FullDisk)
        patched.setattr(FullDisk, "taken", taken)
        with counting(tmp_path) as here:
            for _ in range(3):
                here.add(APPLES)
                here.save()
            assert here.sums().words[APPLES] == 3
            patched.setattr(FullDisk, "taken", 1 << 20)
            here.add(APPLES)
    assert total(tmp_path) == (4, 0, 0)


def test_a_disk_that_is_full_for_a_while_leaves_what_was_written_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counters, "FileIO", FullDisk)
    monkeypatch.setattr(FullDisk, "taken", 1 << 20)
    here = Counters(tmp_path / "counters", LAYOUT)
    here.add(APPLES)
    here.save()
    monkeypatch.setattr(FullDisk, "taken", 30)
    for _ in range(3):
        here.add(APPLES)
        here.save()
    copy = (tmp_path / "counters" / "0").read_bytes()
    here.close()
    (tmp_path / "counters" / "0").write_bytes(copy)
    monkeypatch.undo()
    assert total(tmp_path) == (1, 0, 0)


def test_threads_lose_nothing_of_what_each_of_them_counts(tmp_path: Path) -> None:
    def count(here: Counters) -> None:
        for _ in range(5_000):
            here.add(APPLES)

    with counting(tmp_path) as here:
        threads = [Thread(target=count, args=(here,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert here.sums().words[APPLES] == 40_000


@contextmanager
def killed_after(folder: Path, work: str) -> Iterator[str]:
    """Count in another process, which is killed once it has printed a line."""
    program = (
        "from pathlib import Path\n"
        "from simpleindex_storage.counters import Counters, Layout\n"
        f"folder, layout = Path({str(folder / 'counters')!r}), Layout(b'a' * 16, 2, 1)\n"
        f"here = Counters(folder, layout)\n{work}\n"
        "import sys; sys.stdout.flush(); sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=server_environment(),
        text=True,
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline().strip()
        process.kill()
    yield line
