"""Starts the real server, spoiled on purpose, for the tests of crashes.

    python -m tests.crash.launcher --sabotage NAME -- serve ...

One step of the promise is broken that an answered upload survives, or one that a server lives on
when its disk fails: it shows that the checks would notice.
"""

import argparse
import os
import sys
from collections.abc import Callable
from contextlib import nullcontext
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from starlette.background import BackgroundTasks
from starlette.requests import Request
from starlette.responses import Response

from simpleindex.cli import main
from simpleindex.events import Event
from simpleindex.routes.upload import UploadDoor, _Reception, _Taken
from simpleindex_storage import files_disk
from simpleindex_storage.files_disk import DiskFiles


def launch(arguments: list[str]) -> int:
    """Spoil the server as asked, then be its command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--sabotage", choices=SABOTAGES, required=True)
    parser.add_argument("words", nargs="+")
    asked = parser.parse_args(arguments)
    SABOTAGES[asked.sabotage]()
    return main(asked.words)


def _no_fsync() -> None:
    put(os, "fsync", lambda _: None)


def _no_folder_sync() -> None:
    put(files_disk, "sync_folder", lambda _: None)


def _rename_to_the_place() -> None:
    def rename(source: Path, target: Path) -> None:
        source.replace(target)

    put(files_disk, "_link", rename)
    # It looks for the draft, which is at its place now.
    put(DiskFiles, "confirm", lambda *_: None)


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
            return _Taken(Event.UPLOAD_ADDED)

        return do_later

    put(_Reception, "admit", later(admit))
    put(_Reception, "close", later(close))
    put(UploadDoor, "receive", answer_first)


def _let_errors_through() -> None:
    put(files_disk, "unavailable_on_failure", lambda _: nullcontext())


def put(owner: object, name: str, value: object) -> None:
    """Replace what everybody finds there under a name."""
    setattr(owner, name, value)


SABOTAGES: dict[str, Callable[[], None]] = {
    "no-fsync": _no_fsync,
    "no-folder-sync": _no_folder_sync,
    "rename": _rename_to_the_place,
    "early-answer": _answer_early,
    "raw-errors": _let_errors_through,
}

if __name__ == "__main__":
    sys.exit(launch(sys.argv[1:]))
