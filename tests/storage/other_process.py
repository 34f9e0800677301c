"""What tests let another process do: hold something, race for something, or die at some point.

with elsewhere(hold_a_draft, str(root)) as process:
    process.wait_for("ready")
"""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from unittest.mock import patch

from simpleindex_storage import catalog_sql
from simpleindex_storage.backup import take
from simpleindex_storage.catalog_sqlite import SqliteCatalog
from simpleindex_storage.errors import AlreadyStored
from simpleindex_storage.failures import Note, SharedNotes
from simpleindex_storage.files_disk import DiskFiles
from simpleindex_storage.generation import Generation
from simpleindex_storage.locks import FileLock
from simpleindex_storage.model import Actor, Upload
from simpleindex_storage.names import IndexName
from simpleindex_storage.store import Store
from tests.builders import a_wheel
from tests.server import server_environment
from tests.storage.stores import (
    NOW,
    attach,
    documentation,
    opened,
    recorded_files,
    send,
    serial_of,
)

_END_SECONDS_MAX = 60.0


@dataclass(frozen=True, slots=True)
class OtherProcess:
    """A process that runs one of the functions below."""

    popen: "subprocess.Popen[str]"

    def wait_for(self, line: str) -> None:
        """Wait until it prints a line."""
        assert self.popen.stdout is not None
        assert self.popen.stdout.readline() == line + "\n"

    def tell(self, line: str = "go on") -> None:
        """Let it read a line."""
        assert self.popen.stdin is not None
        self.popen.stdin.write(line + "\n")
        self.popen.stdin.flush()

    def end(self) -> tuple[int, str]:
        """Wait for its end: the exit code, and what it has printed."""
        printed, _ = self.popen.communicate(timeout=_END_SECONDS_MAX)
        return self.popen.returncode, printed

    def kill(self) -> None:
        """End it as a power cut would."""
        self.popen.kill()
        self.popen.wait(_END_SECONDS_MAX)


@contextmanager
def elsewhere(function: Callable[..., None], *arguments: str) -> Iterator[OtherProcess]:
    """Run a function in another process, which does not outlive the block."""
    run = f"from {function.__module__} import {function.__name__} as run; run(*{arguments!r})"
    with subprocess.Popen(
        [sys.executable, "-c", run],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=server_environment(),
        text=True,
    ) as popen:
        try:
            yield OtherProcess(popen)
        finally:
            popen.kill()
            with suppress(BrokenPipeError):
                popen.communicate(timeout=_END_SECONDS_MAX)


def _ready() -> None:
    print("ready", flush=True)
    sys.stdin.readline()


def hold_a_draft(root: str) -> None:
    with opened(Path(root)) as store, store.stage() as draft:
        draft.write(b"half a ")
        _ready()
        draft.write(b"file")
        draft.finish()
        print("finished", flush=True)


def hold_a_lock(path: str) -> None:
    with FileLock(Path(path)).held():
        _ready()


def hold_the_store(root: str) -> None:
    with opened(Path(root)):
        _ready()


def add_notes(path: str, count: str) -> None:
    """Note so many failures, of users 0, 1, 2 ...; print "ready", and wait."""
    notes = SharedNotes(Path(path))
    for number in range(int(count)):
        notes.failures.add(Note(1_800_000_000_000, number, 1))
    print("ready", flush=True)
    sys.stdin.readline()


def announce_and_settle(path: str) -> None:
    words = Generation(Path(path))
    words.announce(7)
    _ready()
    words.settle(7)
    _ready()


def race(root: str, name: str, count: str) -> None:
    """Upload `count` versions of demo, each of whose bytes tell our name; tell what happened."""
    won, serials = [], []
    with opened(Path(root)) as store:
        _ready()
        for version in range(int(count)):
            built = a_wheel("demo", f"1.{version}", extra_files={"demo/who.txt": name.encode()})
            with suppress(AlreadyStored):
                won.append(send(store, built, sender=name).file.filename)
            serials.append(serial_of(store.catalog))
    print(json.dumps({"won": won, "serials": serials}), flush=True)


def die_while_uploading(root: str, when: str) -> None:
    """Upload demo 1.0, and be killed on the way: see the table below."""
    with opened(Path(root)) as store:
        _DEADLY[when](store)
        send(store, a_wheel("demo", "1.0", extra_files={"demo/new.txt": b"new"}))


def die_while_copying(root: str, source: str, target: str, when: str) -> None:
    """Copy the only file of an index to another one, and be killed on the way."""
    with opened(Path(root)) as store:
        (file,) = recorded_files(store.catalog, IndexName(source))
        with store.stage_copy(file) as staged:
            if when == "copied":
                _die()
            _DEADLY[when](store)
            store.admit(
                [(Upload(IndexName(target), file.filename, "root"), staged)], by=Actor("root")
            )


def die_while_attaching(root: str, when: str) -> None:
    """Upload documentation of demo 1.0, and be killed on the way."""
    content = b"PK new pages"
    with opened(Path(root)) as store:
        _DEADLY[when](store)
        attach(store, documentation(content), content)


def die_while_migrating(root: str, when: str) -> None:
    """Bring a catalog to the next version, and be killed on the way."""
    migrations = (*catalog_sql.MIGRATIONS, "ALTER TABLE files ADD COLUMN note TEXT;")
    with (
        patch.object(catalog_sql, "MIGRATIONS", migrations),
        patch.object(Path, when, _die),
        opened(Path(root)),
    ):
        print("not killed", flush=True)


def _die(*_: object, **__: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _die_received(store: Store) -> None:
    patch.object(store, "admit", _die).start()


def _die_half_copied(store: Store) -> None:
    def copy_half(reading: BinaryIO, writing: BinaryIO, *_: int) -> None:
        content = reading.read()
        if content.startswith(b"PK"):
            writing.write(content[:100])
            writing.flush()
            _die()
        writing.write(content)

    def no_links(path: Path, target: Path) -> None:
        raise PermissionError(errno.EPERM, "this disk has no hard links")

    patch.object(Path, "hardlink_to", no_links).start()
    patch.object(shutil, "copyfileobj", copy_half).start()


def _die_linked(store: Store) -> None:
    patch.object(SqliteCatalog, "change", _die).start()


def _die_journalled(store: Store) -> None:
    patch.object(Generation, "announce", _die).start()


def _die_committed(store: Store) -> None:
    settle, before = Generation.settle, serial_of(store.catalog)

    def settle_what_is_old(self: Generation, serial: int) -> None:
        if serial > before:
            _die()
        settle(self, serial)

    patch.object(Generation, "settle", settle_what_is_old).start()


def _die_sweeping(store: Store) -> None:
    patch.object(DiskFiles, "remove", _die).start()


_DEADLY: dict[str, Callable[[Store], None]] = {
    "received": _die_received,
    "half copied": _die_half_copied,
    "linked": _die_linked,
    "journalled": _die_journalled,
    "committed": _die_committed,
    "sweeping": _die_sweeping,
}


def die_while_backing_up(root: str, destination: str, when: str) -> None:
    """Take a backup and die once all files are there, or before it is called complete."""
    with patch.object(take, when, _die):
        take.take_backup(Path(root), Path(destination), NOW, "test")
