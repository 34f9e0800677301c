"""Takes note of each request: counts it, and lets the access log have it."""

from typing import Protocol

from simpleindex.config import Network
from simpleindex.counted import Counted
from simpleindex.events import Answered, Door, Event, Line


class AccessLog(Protocol):
    """Writes a line for each request.

    What writes tells how many lines it found that had to be dropped: its own, or some before it.
    """

    def answered(self, answered: Answered) -> int:
        """Write that a request was answered, behind what has waited for more."""

    def line_of(self, answered: Answered) -> Line:
        """What may be said `again`, whenever a request like this one is answered so."""

    def again(self, line: Line) -> int:
        """Write, at `write_all` at the latest, that one was answered as another one before."""

    def write_all(self) -> int:
        """Write what has waited for more."""


class Learner(Protocol):
    """Learns from requests for pages of projects. Never fails, never waits."""

    def saw(self, agent: bytes, path: str, *, is_found: bool) -> None:
        """One came, for a path below our root."""

    def saw_again(self, sent: bytes, times: int) -> None:
        """One came in these bytes, so many times, and got a page each time."""


class Observer:
    """Sees every request, whether it came through ASGI or was answered below that."""

    def __init__(
        self,
        counted: Counted,
        access_log: AccessLog | None,
        trusted_proxies: tuple[Network, ...],
        learner: Learner | None = None,
    ) -> None:
        self.counted = counted
        self.learner = learner
        """None: nobody wants to learn."""
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
        self._count_dropped(self._access_log.answered(answered))

    def note_often(self, answered: Answered, times: int, event: Event | None) -> None:
        """Count requests that came and went below ASGI, and what else happened with each."""
        self.counted.answered_often(answered, times)
        if event is not None:
            self.counted.count(event, times)

    def note_words(self, answered: Answered, sent: bytes, times: int) -> None:
        """Learn from a request that came and went below ASGI so many times in these bytes."""
        if self.learner is not None and answered.door is Door.PAGE:
            self.learner.saw_again(sent, times)

    def line_of(self, answered: Answered) -> Line | None:
        """What the access log has to say of a request; None: nothing."""
        return None if self._access_log is None else self._access_log.line_of(answered)

    def log_again(self, line: Line) -> None:
        """Let the access log have a request that was answered as another one was before."""
        if self._access_log is not None:
            self._count_dropped(self._access_log.again(line))

    def log_all(self) -> None:
        """Let the access log write what has waited for more of the same kind."""
        if self._access_log is not None:
            self._count_dropped(self._access_log.write_all())

    def _count_dropped(self, dropped: int) -> None:
        if dropped:
            self.counted.count(Event.LOG_LINES_DROPPED, dropped)
