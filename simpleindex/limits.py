"""How often somebody may be wrong about a password: a count of failures, in memory."""

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from math import ceil
from threading import Lock

from simpleindex.errors import TooManyFailures

WINDOW_SECONDS = 300.0
FAILURES_OF_ONE_MAX = 10
"""Per user, and per address."""
FAILURES_MAX = 1000
"""In all. It is also the bound of what is kept in mind."""

_NAME_CHARACTERS = 64


@dataclass(frozen=True, slots=True)
class _Failure:
    ends_at: float
    marks: tuple[str, ...]
    """Whose failure it is: a user's and an address's, as far as they are known."""


class FailureLimits:
    """The failures of the last five minutes. May be used from any thread.

    Every process counts for itself: with several workers, the limits are that many times higher.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._failures: deque[_Failure] = deque()
        self._counts: Counter[str] = Counter()
        self._lock = Lock()

    def check(self, user: str | None, address: str | None) -> None:
        """Raises TooManyFailures if it is not the time to try again.

        `user` None: it matters to no user who is wrong here. `address` None: it is not known.
        """
        marks = _marks(user, address)
        with self._lock:
            self._forget_old()
            waits_until = [
                next(failure.ends_at for failure in self._failures if mark in failure.marks)
                for mark in marks
                if self._counts[mark] >= FAILURES_OF_ONE_MAX
            ]
            if len(self._failures) >= FAILURES_MAX:
                waits_until.append(self._failures[0].ends_at)
            now = self._clock()
        if waits_until:
            seconds = ceil(max(waits_until) - now)
            raise TooManyFailures(
                "there were too many wrong passwords or tokens; the next try is answered in "
                f"{seconds} seconds",
                retry_after=str(seconds),
            )

    def has_tries(self, user: str, address: str | None) -> bool:
        """Whether the address has not used up its tries; the user, if it is not known."""
        with self._lock:
            self._forget_old()
            return self._counts[_marks(user, address)[-1]] < FAILURES_OF_ONE_MAX

    def count(self, user: str | None, address: str | None) -> None:
        """Take note of a failure."""
        failure = _Failure(self._clock() + WINDOW_SECONDS, _marks(user, address))
        with self._lock:
            self._forget_old()
            if len(self._failures) >= FAILURES_MAX:
                self._forget_oldest()
            self._failures.append(failure)
            self._counts.update(failure.marks)

    def _forget_old(self) -> None:
        now = self._clock()
        while self._failures and self._failures[0].ends_at <= now:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        self._counts.subtract(self._failures[0].marks)
        for mark in self._failures.popleft().marks:
            if self._counts[mark] <= 0:
                del self._counts[mark]


def _marks(user: str | None, address: str | None) -> tuple[str, ...]:
    named = () if user is None else (f"user {user[:_NAME_CHARACTERS].casefold()}",)
    return named if address is None else (*named, f"address {_network(address)}")


def _network(address: str) -> str:
    """The address; of IPv6 the /64, within which one machine can take any address."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address[:_NAME_CHARACTERS]
    if not isinstance(parsed, IPv6Address):
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return f"{int(parsed) >> 64:x}"
