"""Numbers the calls that change the disk, and ends the process in front of one of them.

As `kill -9` does: nothing gets a chance to tidy up.
"""

import os
import signal
import sqlite3
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from simpleindex_storage.files_disk import DiskDraft

ANSWER, COMMIT = "answer", "COMMIT"
"""Names of two points; those of the others begin with the name of the call."""

_FILE_CALLS = (
    "fsync", "ftruncate", "link", "mkdir", "rename", "replace", "rmdir", "unlink", "write",
)  # fmt: skip
"""All calls of `os` with which the store changes what is on the disk."""


class Points:
    """Counts the points of what is watched, and ends the process at one of them."""

    def __init__(self, kill_at: int | None, file: Path | None) -> None:
        self._kill_at = kill_at
        self._file = file
        self._lock = threading.Lock()
        self._passed = 0
        self.watching = False

    def reach(self, name: str) -> None:
        """To be called in front of what `name` tells."""
        with self._lock:
            if not self.watching:
                return
            if self._file is not None:
                with self._file.open("a") as file:
                    file.write(f"{name}\n")
            if self._passed == self._kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
                signal.pause()  # other threads must not get past this point before it arrives
            self._passed += 1


def watch_disk(points: Points) -> None:
    """Make a point of every call that changes the disk, and of every commit."""
    for name in _FILE_CALLS:
        put(os, name, _reaching(points, getattr(os, name), name))
    put(DiskDraft, "write", _reaching(points, DiskDraft.write, "write a draft"))
    put(sqlite3, "connect", partial(sqlite3.connect, factory=_watched_connection(points)))


def put(owner: object, name: str, value: object) -> None:
    """Replace what everybody finds there under a name."""
    setattr(owner, name, value)


def calls_of(file: Path) -> list[str]:
    """The points in a file, without the paths, which differ from run to run."""
    return [line.partition(" ")[0] for line in file.read_text().splitlines()]


def _reaching(points: Points, function: Callable[..., Any], name: str) -> Callable[..., Any]:
    def reach_and_call(*arguments: Any, **named: Any) -> Any:
        paths = [Path(each).name for each in arguments if isinstance(each, str | os.PathLike)]
        points.reach(" ".join([name, *paths]))
        return function(*arguments, **named)

    return reach_and_call


def _watched_connection(points: Points) -> type[sqlite3.Connection]:
    class Watched(sqlite3.Connection):
        def execute(self, sql: str, *arguments: Any) -> sqlite3.Cursor:
            if sql == COMMIT:
                points.reach(COMMIT)
            return super().execute(sql, *arguments)

    return Watched
