"""How often one may be wrong."""

import pytest

from simpleindex import limits
from simpleindex.errors import TooManyFailures
from simpleindex.limits import FAILURES_MAX, FAILURES_OF_ONE_MAX, FailureLimits


class Clock:
    seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


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


def test_the_tenth_failure_is_the_last() -> None:
    failures = FailureLimits(Clock())
    for _ in range(FAILURES_OF_ONE_MAX):
        assert refused_for(failures, "root", "a") is None
        failures.count("root", "a")
    assert refused_for(failures, "root", "a") == 300
    assert refused_for(failures, "ROOT", None) == 300
    assert refused_for(failures, "root", "b") == 300
    assert refused_for(failures, "alice", "a") == 300
    assert refused_for(failures, "alice", "b") is None
    assert refused_for(failures, None, None) is None


def test_a_try_is_free_again_when_the_oldest_failure_is_old() -> None:
    clock = Clock()
    failures = FailureLimits(clock)
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


def test_the_longest_wait_is_told() -> None:
    clock = Clock()
    failures = FailureLimits(clock)
    for _ in range(FAILURES_OF_ONE_MAX):
        failures.count("root", None)
    clock.seconds += 100
    for _ in range(FAILURES_OF_ONE_MAX):
        failures.count(None, "a")
    assert refused_for(failures, "root", "b") == 200
    assert refused_for(failures, "root", "a") == 300


def test_all_failures_together_are_bounded() -> None:
    clock = Clock()
    failures = FailureLimits(clock)
    for number in range(FAILURES_MAX):
        assert refused_for(failures, f"user{number}", f"{number}") is None
        failures.count(f"user{number}", f"{number}")
    assert refused_for(failures, "root", "a") == 300
    clock.seconds += 300
    assert refused_for(failures, "root", "a") is None


def test_what_is_kept_in_mind_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "FAILURES_MAX", 20)
    clock = Clock()
    failures = FailureLimits(clock)
    for number in range(1000):
        failures.count(f"{number}" * 10_000, f"{number}")
    assert len(failures._failures) == 20
    assert len(failures._counts) <= 40
    assert max(map(len, failures._counts)) < 100
    clock.seconds += 300
    assert refused_for(failures, None, None) is None
    assert not failures._failures
    assert not failures._counts


@pytest.mark.parametrize(
    ("address", "other", "is_one"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("no address", "no address", True),
        ("no address", "another", False),
    ],
)
def test_addresses_that_one_machine_can_take_are_one(
    address: str, other: str, is_one: bool
) -> None:
    failures = FailureLimits(Clock())
    for _ in range(FAILURES_OF_ONE_MAX):
        failures.count(None, address)
    assert (refused_for(failures, None, other) is not None) is is_one
    assert failures.has_tries("root", other) is not is_one


def test_without_an_address_the_user_has_tries_or_not() -> None:
    failures = FailureLimits(Clock())
    for _ in range(FAILURES_OF_ONE_MAX):
        failures.count("root", "a")
    assert not failures.has_tries("root", None)
    assert failures.has_tries("root", "b")
    assert failures.has_tries("alice", None)
