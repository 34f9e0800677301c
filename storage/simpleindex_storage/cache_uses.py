"""When files of the cache were read: remembered for a minute, so that reading costs no writing."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from threading import Lock, Timer

from .errors import Unavailable
from .names import FilePlace

WRITTEN_SECONDS = 60.0


class Uses:
    """The last use of each file. May be used from any thread."""

    def __init__(self, write: Callable[[Mapping[FilePlace, datetime]], None]) -> None:
        self._write = write
        self._uses: dict[FilePlace, datetime] = {}
        self._lock = Lock()
        self._timer: Timer | None = None
        self._is_closed = False

    def note(self, place: FilePlace, used_at: datetime) -> None:
        """A file is being read."""
        with self._lock:
            self._uses[place] = used_at
            if self._timer is None and not self._is_closed:
                self._timer = Timer(WRITTEN_SECONDS, self._write_in_time)
                self._timer.daemon = True
                self._timer.start()

    def write(self) -> None:
        """Write down what is remembered. Raises Unavailable; then it is still remembered."""
        with self._lock:
            uses, self._uses = self._uses, {}
        if not uses:
            return
        try:
            self._write(uses)
        except BaseException:
            with self._lock:
                self._uses = uses | self._uses
            raise

    def close(self) -> None:
        """Write down what is remembered, if that is possible."""
        with self._lock:
            self._is_closed = True
            timer = self._timer
        if timer is not None:
            timer.cancel()
            timer.join()
        with suppress(Unavailable):
            self.write()

    def _write_in_time(self) -> None:
        with self._lock:
            self._timer = None
        with suppress(Unavailable):  # tried again a minute after the next use
            self.write()
