"""Lets a test count the calls by which a process uses a folder, and choose one that goes wrong.

    with a_shim(tmp_path / "data") as shim:
        with server_of(command, ..., shim.environment()) as server:
            shim.kill_at(17)                # in front of its 18th call that changes the folder
            ...
            shim.fail(errno.EIO, 3)         # its 4th call that can fail like that, once
            shim.fail(errno.ENOSPC, 3, for_good=True)     # that one, and all that come after
            ...
            shim.disarm()

Without a C compiler the tests are skipped.
"""

import errno
import mmap
import os
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntFlag
from pathlib import Path

import pytest

from tests.server import server_environment

_SOURCE = Path(__file__).with_name("shim.c")


class Kind(IntFlag):
    """What a call does, as in `shim.c`."""

    CREATE = 1 << 0
    OPEN_WRITE = 1 << 1
    OPEN_READ = 1 << 2
    WRITE = 1 << 3
    SYNC = 1 << 4
    NAME = 1 << 5
    REMOVE = 1 << 6
    SIZE = 1 << 7
    READ = 1 << 8
    LOCK = 1 << 9
    MAP = 1 << 10
    MARK = 1 << 11
    SEND = 1 << 12
    LOOK = 1 << 13


_OPENING = Kind.CREATE | Kind.OPEN_WRITE | Kind.OPEN_READ

CHANGES = (
    Kind.CREATE | Kind.WRITE | Kind.SYNC | Kind.NAME | Kind.REMOVE | Kind.SIZE | Kind.MARK
    | Kind.SEND
)  # fmt: skip
"""In front of any other call, the disk is as it will be in front of the next of these."""

FAILING = {
    errno.ENOSPC: Kind.CREATE | Kind.WRITE | Kind.SYNC | Kind.NAME | Kind.SIZE,
    errno.EIO: ~(Kind.LOCK | Kind.SEND),
    errno.EACCES: _OPENING | Kind.NAME | Kind.REMOVE | Kind.LOOK | Kind.MARK,
    errno.EROFS: (
        Kind.CREATE | Kind.OPEN_WRITE | Kind.WRITE | Kind.NAME | Kind.REMOVE | Kind.SIZE | Kind.MARK
    ),
    errno.EAGAIN: Kind.LOCK,  # what SQLite calls SQLITE_BUSY
}
"""Which calls can fail in which way."""

LASTING = {
    # What is there stays as it is, and can be synced and taken away.
    errno.ENOSPC: Kind.CREATE | Kind.WRITE | Kind.NAME | Kind.SIZE,
    errno.EROFS: FAILING[errno.EROFS],
}
"""Which calls fail as long as a disk is full, or mounted for reading only."""

_CONTROL = struct.Struct("9q")
_COUNT, _KILL, _FAIL = range(3)
_ARMED, _PASSED, _HIT = 0, 6, 7
_NEVER = 1 << 62


class Shim:
    """What stands between processes and one folder. It does nothing until it is told to."""

    def __init__(self, root: Path, folder: Path, library: Path) -> None:
        self._root = root
        self._library = library
        self._control = folder / "control"
        self._log = folder / "log"
        self._control.write_bytes(bytes(_CONTROL.size))
        self._log.touch()
        with self._control.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), _CONTROL.size)
        self._words = memoryview(self._memory).cast("q")

    def environment(self) -> dict[str, str]:
        """That of processes that are to be watched."""
        return server_environment(
            LD_PRELOAD=str(self._library),
            CRASH_ROOT=str(self._root),
            CRASH_CONTROL=str(self._control),
            CRASH_LOG=str(self._log),
        )

    def count(self, kinds: Kind) -> None:
        """Count calls from now on, and let them be."""
        self._arm(kinds, _COUNT, _NEVER, _NEVER, 0)

    def kill_at(self, number: int) -> None:
        """End the process in front of a change, counted from 0 and from now on."""
        self._arm(CHANGES, _KILL, number, number, 0)

    def fail(
        self, error: int, number: int, *, for_good: bool = False, only: Kind | None = None
    ) -> None:
        """Let a call fail, counted from 0 and from now on; `for_good`, all that come after, too.

        `only` leaves some kinds of calls out.
        """
        kinds = LASTING[error] if for_good else FAILING[error]
        if only is not None:
            kinds &= only
        self._arm(kinds, _FAIL, number, _NEVER if for_good else number, error)

    def disarm(self) -> None:
        """Let everything be."""
        self._words[_ARMED] = 0

    @property
    def passed(self) -> int:
        """How many calls were counted."""
        return self._words[_PASSED]

    @property
    def has_hit(self) -> bool:
        """Whether a call went wrong."""
        return self._words[_HIT] > 0

    def calls(self) -> list[str]:
        """What was counted: names of calls, and paths below the folder."""
        return self._log.read_text("utf-8").splitlines()

    def close(self) -> None:
        self._words.release()
        self._memory.close()

    def _arm(self, kinds: Kind, action: int, first: int, last: int, error: int) -> None:
        self.disarm()
        os.truncate(self._log, 0)
        for number, word in enumerate((kinds & 0xFFFF, action, first, last, error, 0, 0, 0), 1):
            self._words[number] = word
        self._words[_ARMED] = 1


@contextmanager
def a_shim(root: Path) -> Iterator[Shim]:
    """A shim for processes that use a folder, which need not be there yet."""
    with tempfile.TemporaryDirectory(prefix="shim-") as folder:
        library = Path(folder, "shim.so")
        _build(library)
        shim = Shim(root.resolve(), Path(folder), library)
        try:
            yield shim
        finally:
            shim.disarm()
            shim.close()


def _build(library: Path) -> None:
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if sys.platform != "linux" or compiler is None:
        pytest.skip("needs Linux and a C compiler: calls of the C library are counted")
    command = [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(_SOURCE), "-ldl"]
    subprocess.run(command, check=True)
