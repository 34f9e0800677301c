"""Starts the real server, spoiled or doomed on purpose, for the tests of crashes.

    python -m tests.crash.launcher [--sabotage NAME] [--kill-at N] [--points FILE] -- serve ...

`--sabotage` breaks one step of the promise that an answered upload survives: it shows that the
checks would notice. From an upload with the header `X-Watch` on, every call that changes the disk
is a numbered point: `--points` writes down what they are, `--kill-at` ends the process in front of
one of them as `kill -9` does.
"""

import argparse
import os
import signal
import sqlite3
import sys
import threading
from collections.abc import Callable
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from starlette.background import BackgroundTasks
from starlette.requests import Request
from starlette.responses import Response

from simpleindex.cli import main
from simpleindex.routes.upload import UploadDoor, _Reception
from simpleindex_storage import files_disk
from simpleindex_storage.files_disk import DiskDraft, DiskFiles

WATCH_HEADER = "x-watch"

ANSWER, COMMIT = "answer", "COMMIT"
"""Names of two points; those of the others begin with the name of the call."""

_FILE_CALLS = (
    "fsync", "ftruncate", "link", "mkdir", "rename", "replace", "rmdir", "unlink", "write",
)  # fmt: skip
"""All calls of `os` with which the store changes what is on the disk."""


def launch(arguments: list[str]) -> int:
    """Spoil the server as asked, then be its command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--sabotage", choices=SABOTAGES)
    parser.add_argument("--kill-at", type=int)
    parser.add_argument("--points", type=Path)
    parser.add_argument("words", nargs="+")
    asked = parser.parse_args(arguments)
    if asked.sabotage:
        SABOTAGES[asked.sabotage]()
    _watch(_Points(asked.kill_at, asked.points))
    return main(asked.words)


class _Points:
    """Counts the points of the upload that is watched, and ends the process at one of them."""

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


def _watch(points: _Points) -> None:
    for name in _FILE_CALLS:
        _put(os, name, _reaching(points, getattr(os, name), name))
    _put(DiskDraft, "write", _reaching(points, DiskDraft.write, "write a draft"))
    _put(sqlite3, "connect", partial(sqlite3.connect, factory=_watched_connection(points)))
    receive = UploadDoor.receive

    async def receive_watched(door: UploadDoor, request: Request, at: Any) -> Response:
        points.watching |= WATCH_HEADER in request.headers
        response = await receive(door, request, at)
        points.reach(ANSWER)
        return response

    _put(UploadDoor, "receive", receive_watched)


def _put(owner: object, name: str, value: object) -> None:
    """Replace what everybody finds there under a name."""
    setattr(owner, name, value)


def _reaching(points: _Points, function: Callable[..., Any], name: str) -> Callable[..., Any]:
    def reach_and_call(*arguments: Any, **named: Any) -> Any:
        paths = [Path(each).name for each in arguments if isinstance(each, str | os.PathLike)]
        points.reach(" ".join([name, *paths]))
        return function(*arguments, **named)

    return reach_and_call


def _watched_connection(points: _Points) -> type[sqlite3.Connection]:
    class Watched(sqlite3.Connection):
        def execute(self, sql: str, *arguments: Any) -> sqlite3.Cursor:
            if sql == COMMIT:
                points.reach(COMMIT)
            return super().execute(sql, *arguments)

    return Watched


def _no_fsync() -> None:
    _put(os, "fsync", lambda _: None)


def _no_folder_sync() -> None:
    _put(files_disk, "sync_folder", lambda _: None)


def _rename_to_the_place() -> None:
    def rename(source: Path, target: Path) -> None:
        source.replace(target)

    _put(files_disk, "_link", rename)
    # It looks for the draft, which is at its place now.
    _put(DiskFiles, "confirm", lambda *_: None)


def _answer_early() -> None:
    """Send the answer first, then store the file."""
    postponed: ContextVar[BackgroundTasks] = ContextVar("postponed")
    receive, admit, close = UploadDoor.receive, _Reception.admit, _Reception.close

    async def answer_first(door: UploadDoor, request: Request, at: Any) -> Response:
        tasks = BackgroundTasks()
        postponed.set(tasks)
        response = await receive(door, request, at)
        response.background = tasks
        return response

    def later(function: Callable[..., object]) -> Callable[..., object]:
        def do_later(*arguments: Any) -> object:
            postponed.get().add_task(function, *arguments)
            return SimpleNamespace(remarks=())  # what a file without a fault would have

        return do_later

    _put(_Reception, "admit", later(admit))
    _put(_Reception, "close", later(close))
    _put(UploadDoor, "receive", answer_first)


SABOTAGES: dict[str, Callable[[], None]] = {
    "no-fsync": _no_fsync,
    "no-folder-sync": _no_folder_sync,
    "rename": _rename_to_the_place,
    "early-answer": _answer_early,
}

if __name__ == "__main__":
    sys.exit(launch(sys.argv[1:]))
