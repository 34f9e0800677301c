import errno
import threading
from pathlib import Path

import pytest

from simpleindex_storage.durable import SyncingTogether, unavailable_on_failure, write_file
from simpleindex_storage.errors import Unavailable
from tests.storage.stores import WAIT_SECONDS_MAX, FailingDisk, files_no_larger_than


@pytest.mark.parametrize(
    ("error", "sentence", "full"),
    [
        (OSError(errno.ENOSPC, "No space left"), "it failed: the disk is full", True),
        (OSError(errno.EDQUOT, "Quota exceeded"), "it failed: the disk is full", True),
        (OSError(errno.EFBIG, "File too large"), "it failed: the disk is full", True),
        (OSError(errno.EIO, "Input/output error"), "it failed: Input/output error", False),
        (OSError("no number"), "it failed: no number", False),
    ],
    ids=["no room", "quota", "too large", "failing", "without a number"],
)
def test_what_a_disk_raises_is_told_in_words(error: OSError, sentence: str, full: bool) -> None:
    with pytest.raises(Unavailable) as raised, unavailable_on_failure("it failed"):
        raise error
    assert str(raised.value) == sentence
    assert raised.value.full is full
    assert raised.value.__cause__ is error


def test_one_sync_that_fails_is_told_when_all_have_ended() -> None:
    order: list[str] = []
    failed = threading.Event()

    def fail() -> None:
        failed.set()
        raise OSError(errno.EIO, "Input/output error")

    def go_on() -> None:
        assert failed.wait(WAIT_SECONDS_MAX)
        order.append("the other one")

    syncing = SyncingTogether()
    for jobs in ([fail, go_on], [go_on, fail]):
        failed.clear()
        with pytest.raises(OSError, match="Input/output error"):
            syncing.sync(jobs)
        order.append("told")
    assert order == ["the other one", "told"] * 2
    syncing.close()


def test_who_syncs_while_another_does_takes_no_threads_besides() -> None:
    began, may_end = threading.Event(), threading.Event()
    threads: list[threading.Thread] = []

    def hold() -> None:
        began.set()
        assert may_end.wait(WAIT_SECONDS_MAX)

    def take_note() -> None:
        threads.append(threading.current_thread())

    syncing = SyncingTogether()
    first = threading.Thread(target=syncing.sync, args=([hold, take_note],))
    first.start()
    assert began.wait(WAIT_SECONDS_MAX)
    syncing.sync([take_note, take_note])
    may_end.set()
    first.join()
    syncing.sync([take_note, take_note])
    syncing.close()
    mine = [thread is threading.current_thread() for thread in threads]
    assert sorted(mine) == [False, False, True, True, True]
    assert threads.count(first) == 0


def test_other_errors_are_not_the_disks() -> None:
    with pytest.raises(ValueError, match="a mistake"), unavailable_on_failure("it failed"):
        raise ValueError("a mistake")


def test_a_small_file_is_replaced_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    write_file(path, b"old")
    write_file(path, b"new")
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_small_file_that_does_not_fit_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    write_file(path, b"old")
    with files_no_larger_than(10), pytest.raises(OSError, match="File too large"):
        write_file(path, b"new, and longer than there is room for")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_small_file_that_cannot_be_put_in_place_leaves_the_old_one(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "secret"
    write_file(path, b"old")
    FailingDisk(monkeypatch).fail(lambda _, name: name == call)
    with pytest.raises(OSError, match="No space left"):
        write_file(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
