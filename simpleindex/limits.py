"""How often somebody may be wrong about a password, and whom others' failures do not hold up.

Nobody can keep a user out by guessing at their password. Three counts hold guessing down: of an
address, of a user, and of all together. But the last two, which strangers can fill, count for
strangers only: not for an address from which the user was right before, and not for this computer
itself, where the admin sits.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import ceil
from threading import Lock

from simpleindex.errors import TooManyFailures
from simpleindex.wire.clients import LOOPBACK, network_of
from simpleindex_storage.failures import LoginNotes, Note

WINDOW_SECONDS = 300.0
FAILURES_OF_ONE_MAX = 10
"""Of a user, and of an address."""
FAILURES_MAX = 1000
"""Of all strangers together."""
PLACE_SECONDS = 30 * 86_400.0
"""For how long an address is known as a user's, after the last time that they were right there."""

_NAME_CHARACTERS = 64


@dataclass(slots=True)
class _Tally:
    """What the notes came to when they were last looked at."""

    counts: tuple[int, int] = (-1, -1)
    made_at: float = 0.0
    good_until: float = 0.0
    """When the first of the failures is old."""
    failures: defaultdict[int, list[float]] = field(default_factory=lambda: defaultdict(list))
    """When each one of a user's or an address's ends, the first to end first."""
    strangers: list[float] = field(default_factory=list)
    places: dict[int, float] = field(default_factory=dict)


class FailureLimits:
    """The failures of the last five minutes. May be used from any thread.

    `clock` is that of the wall if the notes are shared with other processes. Where it was set
    back, notes that end later than any could are no longer counted.
    """

    def __init__(self, notes: LoginNotes, clock: Callable[[], float], key: bytes = b"") -> None:
        """`key`: without it nobody can tell from the notes whom they are about."""
        self._notes = notes
        self._clock = clock
        self._key = key[:64]
        self._console = self._mark("address", LOOPBACK)
        self._tally = _Tally()
        self._lock = Lock()

    def check(self, user: str | None, address: str | None) -> None:
        """Raises TooManyFailures if it is not the time to try again.

        `user` None: it matters to no user who is wrong here. `address` None: it is not known.
        """
        tally, now = self._current()
        waits_until = []
        if address is not None:
            waits_until += _over(tally.failures.get(self._of_address(address)), FAILURES_OF_ONE_MAX)
        if not self._is_known(tally, user, address):
            waits_until += _over(tally.strangers, FAILURES_MAX)
            if user is not None:
                waits_until += _over(tally.failures.get(self._of_user(user)), FAILURES_OF_ONE_MAX)
        if waits_until:
            seconds = max(1, ceil(max(waits_until) - now))
            raise TooManyFailures(
                "there were too many wrong passwords or tokens; the next try is answered in "
                f"{seconds} seconds",
                retry_after=str(seconds),
            )

    def has_tries(self, user: str, address: str | None) -> bool:
        """Whether the address has not used up its tries; the user, if it is not known."""
        mark = self._of_user(user) if address is None else self._of_address(address)
        return len(self._current()[0].failures.get(mark, ())) < FAILURES_OF_ONE_MAX

    def is_known(self, user: str, address: str | None) -> bool:
        """Whether the failures of strangers do not count: for a known place, and the console."""
        return self._is_known(self._current()[0], user, address)

    def count(self, user: str | None, address: str | None) -> None:
        """Take note of a failure."""
        of_address = 0 if address is None else self._of_address(address)
        # What goes wrong on this computer is no reason to shut the door of a user elsewhere.
        is_nobodys = user is None or of_address == self._console
        of_user = 0 if is_nobodys or user is None else self._of_user(user)
        ends_at_ms = int((self._clock() + WINDOW_SECONDS) * 1000)
        self._notes.failures.add(Note(ends_at_ms, of_user, of_address))

    def remember(self, user: str, address: str | None) -> None:
        """Take note of where a user was right; not each time, but often enough."""
        if address is None or self._of_address(address) == self._console:
            return
        tally, now = self._current()
        place = self._of_place(user, address)
        if tally.places.get(place, 0.0) < now + PLACE_SECONDS / 2:
            self._notes.places.add(Note(int((now + PLACE_SECONDS) * 1000), place, 0))

    def _is_known(self, tally: _Tally, user: str | None, address: str | None) -> bool:
        if address is None:
            return False
        if self._of_address(address) == self._console:
            return True
        return user is not None and self._of_place(user, address) in tally.places

    def _current(self) -> tuple[_Tally, float]:
        """What counts now, and when that is. Costs next to nothing while nothing has changed."""
        now = self._clock()
        tally = self._tally
        if tally.counts == self._counts() and tally.made_at <= now < tally.good_until:
            return tally, now
        with self._lock:
            self._tally = tally = self._made(now)
        return tally, now

    def _made(self, now: float) -> _Tally:
        # The counts first: a note that comes meanwhile makes them old.
        tally = _Tally(self._counts(), now, now + WINDOW_SECONDS)
        for note in self._notes.failures.notes():
            ends_at = note.ends_at_ms / 1000
            if not now < ends_at <= now + WINDOW_SECONDS:
                continue
            tally.good_until = min(tally.good_until, ends_at)
            for mark in note.user, note.address:
                if mark:
                    tally.failures[mark].append(ends_at)
            if note.address != self._console:
                tally.strangers.append(ends_at)
        for note in self._notes.places.notes():
            ends_at = note.ends_at_ms / 1000
            if now < ends_at <= now + PLACE_SECONDS:
                tally.places[note.user] = ends_at
        return tally

    def _counts(self) -> tuple[int, int]:
        return self._notes.failures.count(), self._notes.places.count()

    def _of_user(self, user: str) -> int:
        return self._mark("user", _named(user))

    def _of_address(self, address: str) -> int:
        return self._mark("address", network_of(address))

    def _of_place(self, user: str, address: str) -> int:
        return self._mark("place", f"{_named(user)}\0{network_of(address)}")

    def _mark(self, kind: str, name: str) -> int:
        text = f"{kind}\0{name}".encode(errors="surrogatepass")
        return int.from_bytes(hashlib.blake2b(text, digest_size=8, key=self._key).digest())


def _over(ends_at: Sequence[float] | None, max_count: int) -> list[float]:
    """When there are fewer than so many again, if there are not now."""
    if ends_at is None or len(ends_at) < max_count:
        return []
    return [sorted(ends_at)[-max_count]]


def _named(user: str) -> str:
    return user[:_NAME_CHARACTERS].casefold()
