"""Takes note of each request: counts it, and lets the access log have it."""

from collections.abc import Callable
from typing import TypeAlias

from simpleindex.config import Network
from simpleindex.counted import Counted
from simpleindex.events import Answered, Door, Event

AccessLog: TypeAlias = Callable[[Answered], bool]
"""Writes a line for a request; False, if it had to drop it."""


class Observer:
    """Sees every request, whether it came through ASGI or was answered below that."""

    def __init__(
        self, counted: Counted, access_log: AccessLog | None, trusted_proxies: tuple[Network, ...]
    ) -> None:
        self.counted = counted
        self.trusted_proxies = trusted_proxies
        self.is_logging = access_log is not None
        """Whether it matters who has asked for what."""
        self.began = counted.began
        """To be called when a request has come in; `note` must follow."""
        self._access_log = access_log

    def note(self, answered: Answered) -> None:
        """A request that had come in is over."""
        self.counted.answered(answered)
        if self._access_log is None:
            return
        # A probe every few seconds would be most of the log of a small site.
        if answered.door is Door.SERVER and answered.status < 400:
            return
        if not self._access_log(answered):
            self.counted.count(Event.LOG_LINES_DROPPED)
