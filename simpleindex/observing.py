"""Takes note of each request: counts it, and lets the access log have it."""

from collections.abc import Callable
from typing import TypeAlias

from simpleindex.counted import Counted
from simpleindex.events import Answered, Door, Event

AccessLog: TypeAlias = Callable[[Answered], bool]
"""Writes a line for a request; False, if it had to drop it."""


class Observer:
    """Sees every request, whether it came through ASGI or was answered below that."""

    def __init__(
        self, counted: Counted, access_log: AccessLog | None, trusted_proxies: tuple[str, ...]
    ) -> None:
        self.counted = counted
        self.trusted_proxies = trusted_proxies
        self._access_log = access_log

    @property
    def is_logging(self) -> bool:
        """Whether it matters who has asked for what."""
        return self._access_log is not None

    def began(self) -> None:
        """A request has come in. `note` must follow."""
        self.counted.began()

    def note(self, answered: Answered) -> None:
        """A request that had come in is over."""
        self.counted.answered(answered)
        # A probe every few seconds would be most of the log of a small site.
        is_probe = answered.door is Door.SERVER and answered.status < 400
        if self._access_log is None or is_probe:
            return
        if not self._access_log(answered):
            self.counted.count(Event.LOG_LINES_DROPPED)
