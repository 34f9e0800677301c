"""Lines of a log on their way to a file descriptor, written by a thread of their own.

Nobody who has something to say waits for a slow pipe: lines gather in memory, and the thread
writes them, a batch at a time. If that is so slow that a mebibyte has gathered, more lines are
dropped, and how many is the next line.
"""

import math
import os
import select
import time
from collections.abc import Callable, Iterable, Iterator
from threading import Event, Lock, Thread
from typing import NamedTuple

WRITTEN_BYTES_MAX = 4096
"""PIPE_BUF of Linux: lines of several processes on one pipe stay whole if they come like this."""

_WAITING_BYTES_MAX = 1 << 20
_BATCH_BYTES = 64 << 10
"""So much is written without waiting for more."""
_BATCH_SECONDS = 0.2
_CLOSE_SECONDS_MAX = 2.0


class _Said(NamedTuple):
    """One line, or some that stay together."""

    content: bytes
    lines: int


class LineWriter:
    """Writes lines to a file descriptor. May be used from any thread.

    `tell_dropped` makes the line that says how many were dropped.
    """

    def __init__(self, descriptor: int, tell_dropped: Callable[[int], bytes]) -> None:
        self._descriptor = descriptor
        self._tell_dropped = tell_dropped
        self._lock = Lock()
        self._waiting: list[_Said] = []
        self._waiting_bytes = 0
        self._dropped = 0
        self._some, self._urgent, self._closing = Event(), Event(), Event()
        self._gives_up_at = math.inf
        self._thread: Thread | None = None

    def put(self, content: bytes, *, lines: int = 1, urgent: bool = False) -> bool:
        """Let so many lines be written in a moment, at once if they are urgent. False: dropped.

        They stay together: up to `WRITTEN_BYTES_MAX`, none of another process comes between.
        """
        with self._lock:
            if self._waiting_bytes + len(content) > _WAITING_BYTES_MAX:
                self._dropped += lines
                return False
            before_bytes = self._waiting_bytes
            self._waiting.append(_Said(content, lines))
            self._waiting_bytes = after_bytes = before_bytes + len(content)
        if not before_bytes:
            self._wake()
        if urgent or before_bytes < _BATCH_BYTES <= after_bytes:
            self._urgent.set()
        return True

    def close(self) -> None:
        """Write what is left, unless nobody takes it for some seconds."""
        self._gives_up_at = time.monotonic() + _CLOSE_SECONDS_MAX
        self._closing.set()
        self._urgent.set()
        self._some.set()
        if self._thread is not None:
            self._thread.join(_CLOSE_SECONDS_MAX)

    def _wake(self) -> None:
        """Let the thread take what waits; it is begun if there is none."""
        with self._lock:
            if self._thread is None or not self._thread.is_alive():  # also after a fork
                self._thread = Thread(target=self._write_on, name="log", daemon=True)
                self._thread.start()
        self._some.set()

    def _write_on(self) -> None:
        while True:
            self._some.wait()
            self._urgent.wait(_BATCH_SECONDS)
            self._some.clear()
            self._urgent.clear()
            # Only now: whoever closes after this wakes us once more, as nothing clears it again.
            closing = self._closing.is_set()
            self._write_waiting()
            if closing:
                return

    def _write_waiting(self) -> None:
        with self._lock:
            waiting, self._waiting, self._waiting_bytes = self._waiting, [], 0
            dropped, self._dropped = self._dropped, 0
        lost = sum(
            sum(said.lines for said in batch)
            for batch in _batches(waiting)
            if not self._is_written(b"".join(said.content for said in batch))
        )
        if dropped and not self._is_written(self._tell_dropped(dropped)):
            lost += dropped
        with self._lock:
            self._dropped += lost

    def _is_written(self, content: bytes) -> bool:
        """Write it, and wait for whoever reads; False, if it could not be written."""
        rest = memoryview(content)
        while rest:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:  # who started us may have made it so, for a use of their own
                if self._closing.is_set() and time.monotonic() > self._gives_up_at:
                    return False
                if not self._wait_for_room():
                    return False
            except OSError:  # whoever read the log is gone, or its disk is full
                return False
        return True

    def _wait_for_room(self) -> bool:
        """Wait a moment for the descriptor to take more; False, where nobody can tell."""
        try:
            select.select([], [self._descriptor], [], _BATCH_SECONDS)
        except (OSError, ValueError):
            return False
        return True


def _batches(waiting: Iterable[_Said]) -> Iterator[list[_Said]]:
    """What waits, as much at a time as stays in one piece."""
    batch: list[_Said] = []
    size_bytes = 0
    for said in waiting:
        if batch and size_bytes + len(said.content) > WRITTEN_BYTES_MAX:
            yield batch
            batch, size_bytes = [], 0
        batch.append(said)
        size_bytes += len(said.content)
    if batch:
        yield batch
