"""How often one may be wrong."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TypeAlias

import pytest

from simpleindex.errors import TooManyFailures
from simpleindex.limits import FAILURES_MAX, FAILURES_OF_ONE_MAX, PLACE_SECONDS, FailureLimits
from simpleindex_storage.failures import LoginNotes, MemoryNotes, SharedNotes


class Clock:
    seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


Limits: TypeAlias = Callable[..., FailureLimits]


@pytest.fixture(params=["memory", "file"])
def notes(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LoginNotes]:
    made: LoginNotes = (
        MemoryNotes() if request.param == "memory" else SharedNotes(tmp_path / "failures")
    )
    with closing(made):
        yield made


@pytest.fixture
def limits(notes: LoginNotes) -> Limits:
    return lambda clock=None: FailureLimits(notes, clock or Clock(), b"a key")


def refused_for(failures: FailureLimits, user: str | None, address: str | None) -> int | None:
    """For how many seconds the next try is refused; None if it is not."""
    try:
        failures.check(user, address)
    except TooManyFailures as error:
        assert error.status == 429
        seconds = int(error.headers["retry-after"])
        assert f" {seconds} seconds" in str(error)
        return seconds
    return None


def test_the_tenth_failure_is_the_last(limits: Limits) -> None:
    failures = limits()
    for _ in range(FAILURES_OF_ONE_MAX):
        assert refused_for(failures, "root", "a") is None
        failures.count("root", "a")
    assert refused_for(failures, "root", "a") == 300
    assert refused_for(failures, "ROOT", None) == 300
    assert refused_for(failures, "root", "b") == 300
    assert refused_for(failures, "alice", "a") == 300
    assert refused_for(failures, "alice", "b") is None
    assert refused_for(failures, None, None) is None


def test_a_try_is_free_again_when_the_oldest_failure_is_old(limits: Limits) -> None:
    clock = Clock()
    failures = limits(clock)
    for _ in range(FAILURES_OF_ONE_MAX):
        failures.count("root", "a")
        clock.seconds += 10
    assert refused_for(failures, "root", None) == 200
    clock.seconds += 199.5
    assert refused_for(failures, "root", None) == 1
    clock.seconds += 0.5
    assert refused_for(failures, "root", None) is None
    failures.count("root", "a")
    assert refused_for(failures, "root", None) == 10


def test_the_longest_wait_is_told(limits: Limits) -> None:
    clock = Clock()
    failures = limits(clock)
    for _ in range(FAILURES_OF_ONE_MAX):
        failures.count("root", None)
    clock.seconds += 100
    for _ in range(FAILURES_OF_ONE_MAX):
        failures.count(None, "a")
    assert refused_for(failures, "root", "b") == 200
    assert refused_for(failures, "root", "a") == 300


def test_all_failures_together_are_bounded(limits: Limits) -> None:
    clock = Clock()
    failures = limits(clock)
    for number in range(FAILURES_MAX):
        assert refused_for(failures, f"user{number}", f"{number}") is None
        failures.count(f"user{number}", f"{number}")
    assert refused_for(failures, "root", "a") == 300
    clock.seconds += 300
    assert refused_for(failures, "root", "a") is None


def test_names_of_any_length_are_counted(limits: Limits) -> None:
    failures = limits()
    for _ in range(FAILURES_OF_ONE_MAX):
        failures.count("x" * 1_000_000, "\ud800" * 1_000_000)
    assert refused_for(failures, "x" * 1_000_000, None) == 300
    assert refused_for(failures, None, "\ud800" * 1_000_000) == 300


@pytest.mark.parametrize(
    ("address", "other", "is_one"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("127.0.0.1", "127.0.0.2", True),
        ("127.0.0.1", "::1", True),
        ("by way of 127.0.0.1", "127.0.0.1", False),
        ("no address", "no address", True),
        ("no address", "another", False),
    ],
)
def test_addresses_that_one_machine_can_take_are_one(
    address: str, other: str, is_one: bool, limits: Limits
) -> None:
    failures = limits()
    for _ in range(FAILURES_OF_ONE_MAX):
        failures.count(None, address)
    assert (refused_for(failures, None, other) is not None) is is_one
    assert failures.has_tries("root", other) is not is_one


def test_without_an_address_the_user_has_tries_or_not(limits: Limits) -> None:
    failures = limits()
    for _ in range(FAILURES_OF_ONE_MAX):
        failures.count("root", "a")
    assert not failures.has_tries("root", None)
    assert failures.has_tries("root", "b")
    assert failures.has_tries("alice", None)


def test_where_a_user_was_right_the_failures_of_strangers_do_not_count(limits: Limits) -> None:
    clock = Clock()
    failures = limits(clock)
    failures.remember("Root", "2001:db8::1")
    for number in range(FAILURES_MAX):
        failures.count("root", f"{number}")
    assert refused_for(failures, "root", "b") == 300
    assert refused_for(failures, "root", None) == 300
    assert refused_for(failures, "root", "2001:db8::2") is None
    assert failures.is_known("ROOT", "2001:db8::1")
    assert refused_for(failures, "alice", "2001:db8::1") == 300
    clock.seconds += PLACE_SECONDS
    assert not failures.is_known("root", "2001:db8::1")


def test_a_place_is_written_down_anew_only_when_it_has_become_old(
    limits: Limits, notes: LoginNotes
) -> None:
    clock = Clock()
    failures = limits(clock)
    for _ in range(100):
        failures.remember("root", "a")
    for nowhere in (None, "127.0.0.1"):
        failures.remember("root", nowhere)
    assert notes.places.count() == 1
    clock.seconds += PLACE_SECONDS * 0.6
    failures.remember("root", "a")
    assert notes.places.count() == 2
    clock.seconds += PLACE_SECONDS * 0.6
    assert failures.is_known("root", "a")


def test_a_clock_that_is_set_back_locks_nobody_out_for_longer(limits: Limits) -> None:
    clock = Clock()
    clock.seconds = 1_000_000.0
    failures = limits(clock)
    for _ in range(FAILURES_OF_ONE_MAX):
        failures.count("root", "a")
    clock.seconds -= 10
    assert refused_for(failures, "root", "a") is None
    clock.seconds -= 86_400
    assert refused_for(failures, "root", "a") is None
    for _ in range(FAILURES_OF_ONE_MAX):
        failures.count("root", "a")
    assert refused_for(failures, "root", "a") == 300


def test_a_look_at_what_has_not_changed_reads_no_notes(
    limits: Limits, notes: LoginNotes, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = limits()
    failures.count("root", "a")
    assert failures.has_tries("root", "a")

    def read() -> None:
        raise AssertionError("the notes were read again")

    monkeypatch.setattr(notes.failures, "notes", read)
    for _ in range(3):
        assert failures.has_tries("root", "a")


def test_two_that_share_notes_and_key_count_together(notes: LoginNotes) -> None:
    one, other, stranger = (FailureLimits(notes, Clock(), key) for key in (b"k", b"k", b"x"))
    for number in range(FAILURES_OF_ONE_MAX):
        (one if number % 2 else other).count("root", "a")
    assert refused_for(one, "root", "b") == refused_for(other, "root", "b") == 300
    assert refused_for(stranger, "root", "a") is None
