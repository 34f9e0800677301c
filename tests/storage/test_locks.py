import os
import sys
import threading
from pathlib import Path

import pytest

from simpleindex_storage import locks
from simpleindex_storage.locks import FileLock, Presence
from tests.storage.other_process import elsewhere, hold_a_lock
from tests.storage.stores import WAIT_SECONDS_MAX


@pytest.mark.parametrize("end", ["goes on", "is killed"])
def test_a_lock_that_another_process_holds_is_had_once_it_goes_on_or_dies(
    end: str, tmp_path: Path
) -> None:
    path = tmp_path / "lock"
    lock = FileLock(path)
    have = threading.Event()

    def take() -> None:
        with lock.held():
            have.set()

    with elsewhere(hold_a_lock, str(path)) as other:
        other.wait_for("ready")
        assert not lock.try_keep()
        taking = threading.Thread(target=take)
        taking.start()
        assert not have.is_set()
        other.tell() if end == "goes on" else other.kill()
        assert have.wait(WAIT_SECONDS_MAX)
        taking.join(WAIT_SECONDS_MAX)
    lock.close()


def test_a_kept_lock_is_kept_until_it_is_closed(tmp_path: Path) -> None:
    lock, other = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    assert lock.try_keep()
    assert not other.try_keep()
    lock.close()
    assert other.try_keep()
    other.close()


def test_threads_of_one_process_take_turns(tmp_path: Path) -> None:
    lock = FileLock(tmp_path / "lock")
    together = threading.Barrier(8)
    inside: list[int] = []

    def take(number: int) -> None:
        together.wait(WAIT_SECONDS_MAX)
        for _ in range(50):
            with lock.held():
                inside.append(number)
                os.sched_yield()
                assert inside.pop() == number
                assert inside == []

    threads = [_Checked(target=take, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_SECONDS_MAX)
    assert [thread.error for thread in threads] == [None] * 8
    lock.close()


def test_a_lock_is_let_go_if_its_block_raises(tmp_path: Path) -> None:
    lock, other = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    with pytest.raises(RuntimeError, match="broken off"), lock.held():
        assert not other.try_keep()
        raise RuntimeError("broken off")
    assert other.try_keep()
    lock.close()
    other.close()


def test_the_file_of_a_lock_stays_unless_it_is_to_be_deleted(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    FileLock(path).close()
    assert path.exists()
    lock = FileLock(path)
    assert lock.try_keep()
    lock.close(delete=True)
    assert not path.exists()


def test_deleting_a_lock_whose_file_is_gone_is_fine(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    lock = FileLock(path)
    path.unlink()
    lock.close(delete=True)
    assert not path.exists()


class _Checked(threading.Thread):
    """A thread that keeps what went wrong in it."""

    error: BaseException | None = None

    def run(self) -> None:
        try:
            super().run()
        except BaseException as error:
            self.error = error


SHARED_LOCKS = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no shared locks")


@SHARED_LOCKS
def test_whoever_is_present_knows_whether_somebody_else_is(tmp_path: Path) -> None:
    one, other = Presence(tmp_path / "present"), Presence(tmp_path / "present")
    with one.alone() as is_alone:
        assert not is_alone
    other.close()
    with one.alone() as is_alone:
        assert is_alone
    other = Presence(tmp_path / "present")  # it is shared again
    other.close()
    one.close()


@SHARED_LOCKS
def test_whoever_has_asked_whether_others_are_there_is_still_there(tmp_path: Path) -> None:
    path = tmp_path / "present"
    one, other, third = Presence(path), Presence(path), Presence(path)
    with one.alone() as first, other.alone() as second, third.alone() as last:
        assert (first, second, last) == (False, False, False)
    third.close()
    with one.alone() as first, other.alone() as second:
        assert (first, second) == (False, False)
    other.close()
    one.close()


@SHARED_LOCKS
def test_of_two_who_ask_at_once_none_is_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = Presence(tmp_path / "present"), Presence(tmp_path / "present")
    told: list[bool] = []
    has_come = threading.Event()

    def ask() -> None:
        with other.alone() as is_alone:
            told.append(is_alone)
        has_come.set()

    asking = _Checked(target=ask)
    lock = locks._lock

    def lock_and_let_the_other_come(handle: int, *, wait: bool) -> bool:
        if threading.current_thread() is asking:
            if wait:
                has_come.set()
            return lock(handle, wait=wait)
        is_ours = lock(handle, wait=wait)
        if not wait:  # we have just lost our shared lock
            asking.start()
            assert has_come.wait(WAIT_SECONDS_MAX)
        return is_ours

    monkeypatch.setattr(locks, "_lock", lock_and_let_the_other_come)
    with one.alone() as is_alone:
        assert not is_alone
        asking.join(WAIT_SECONDS_MAX)
    assert (asking.error, told) == (None, [False])
    other.close()
    one.close()


@SHARED_LOCKS
def test_two_threads_that_share_a_presence_are_alone_one_after_the_other(tmp_path: Path) -> None:
    presence = Presence(tmp_path / "present")
    together = threading.Barrier(4)
    inside: list[bool] = []

    def ask() -> None:
        together.wait(WAIT_SECONDS_MAX)
        for _ in range(50):
            with presence.alone() as is_alone:
                inside.append(is_alone)
                os.sched_yield()
                assert inside == [True]
                inside.clear()

    threads = [_Checked(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_SECONDS_MAX)
    assert [thread.error for thread in threads] == [None] * 4
    presence.close()
