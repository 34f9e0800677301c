"""Our server with no more syncs than pypiron's: the bytes of each file, neither names nor records.

A program of its own: `python one_sync.py serve ...`. It is there to be compared, and loses uploads
where the power fails.
"""

import os
import runpy
import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from simpleindex_storage.durable import SyncingTogether


class _UnsyncedConnection(sqlite3.Connection):
    """Commits without waiting for the disk."""

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        return super().execute(sql.replace("synchronous = FULL", "synchronous = OFF"), parameters)


def sync_drafts(handle: int) -> None:
    """As `os.fsync` for a file that is being received; nothing for everything else."""
    path = Path(f"/proc/self/fd/{handle}").readlink()
    if "incoming" in path.parts and path.suffix != ".metadata" and path.is_file():
        _SYNC(handle)


def _connect(*arguments: Any, **options: Any) -> sqlite3.Connection:
    connection: sqlite3.Connection = _CONNECT(
        *arguments, **{"factory": _UnsyncedConnection, **options}
    )
    return connection


def _do_in_turn(_: SyncingTogether, jobs: Iterable[Callable[[], None]]) -> None:
    """Where there is one thing to wait for, threads to wait side by side only cost."""
    for job in jobs:
        job()


_SYNC, _CONNECT = os.fsync, sqlite3.connect


def _main() -> None:
    os.fsync = sync_drafts  # type: ignore[assignment]  # we give it numbers alone
    sqlite3.connect = _connect  # type: ignore[assignment]  # of its many forms, ours
    SyncingTogether._do_at_once = _do_in_turn  # type: ignore[assignment, method-assign]
    runpy.run_module("simpleindex", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _main()
