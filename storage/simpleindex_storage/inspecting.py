"""Looks through many archives, some of them in other processes.

To look through a small archive is nearly all Python, of which a process runs one thread at a time:
two threads take as long as one. What another process finds comes back whole, or is found out again
here; so it is no matter what becomes of that process.
"""

import pickle
import queue
import struct
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, TypeAlias

from .errors import StoreError
from .faults import Finding
from .inspection import inspect
from .model import CoreMetadata
from .names import DistFilename, parse_filename

Found: TypeAlias = tuple[CoreMetadata, tuple[Finding, ...]]
Inspect: TypeAlias = Callable[[Path, DistFilename], Found]
"""As `inspection.inspect`."""

_LENGTH = struct.Struct("<I")
_NOT_FOUND = pickle.dumps(None)
_RUN = "import sys; sys.path[:] = {path!r}; from {module} import answer_until_told as a; a()"


class Inspectors:
    """Looks through archives here and in `count` other processes. May be used from any thread.

    Each call takes its thread until it is answered, so there should be one more than processes.
    Those take 25 MB each, write nothing, and end when this is closed, or with this process.
    """

    def __init__(self, count: int) -> None:
        self._all: list[_Inspector] = []
        self._idle: queue.SimpleQueue[_Inspector] = queue.SimpleQueue()
        with suppress(OSError):  # no more processes are allowed
            for _ in range(count if sys.executable else 0):
                self._all.append(_Inspector())
        for each in self._all:
            self._idle.put(each)

    def __enter__(self) -> "Inspectors":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def inspect(self, path: Path, filename: DistFilename) -> Found:
        """As `inspection.inspect`: by a process that has nothing else to do, or by this one.

        Raises Refused, Unavailable.
        """
        try:
            inspector = self._idle.get_nowait()
        except queue.Empty:
            return inspect(path, filename)
        try:
            found = inspector.ask(path, filename)
        except (OSError, EOFError):  # it was killed, or could not begin
            return inspect(path, filename)
        self._idle.put(inspector)
        # What is wrong with an archive is told here, and by nobody else.
        return found or inspect(path, filename)

    def close(self) -> None:
        """Let the processes end, and wait for that."""
        for each in self._all:
            each.close()


class _Inspector:
    """Another process, which looks through one archive after the other."""

    def __init__(self) -> None:
        command = _RUN.format(path=_search_path(), module=__name__)
        self._process = subprocess.Popen(  # noqa: S603  this program, once more
            [sys.executable, "-S", *(["-B"] if sys.dont_write_bytecode else []), "-c", command],
            stdin=subprocess.PIPE,  # which is closed when this process ends, however it does
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def ask(self, path: Path, filename: DistFilename) -> Found | None:
        """What it finds. None: it is to be found out here. Raises OSError, EOFError."""
        assert self._process.stdin is not None and self._process.stdout is not None
        _send(self._process.stdin, pickle.dumps((path, filename.text)))
        found: Found | None = pickle.loads(_received(self._process.stdout))  # noqa: S301
        return found

    def close(self) -> None:
        with suppress(OSError):
            self._process.communicate()


def answer_until_told() -> None:
    """What the other process does, as long as its standard input is open."""
    asked = sys.stdin.buffer
    # Not that of sys, which PYTHONUNBUFFERED lets write a part of what it is given.
    answers = open(sys.stdout.fileno(), "wb", closefd=False)  # noqa: SIM115
    with suppress(EOFError, OSError, KeyboardInterrupt):  # Ctrl-C is for the one that asks
        while True:
            path, filename = pickle.loads(_received(asked))  # noqa: S301  of the one that asks
            try:
                answer = pickle.dumps(inspect(path, parse_filename(filename)))
            except StoreError:
                answer = _NOT_FOUND
            _send(answers, answer)


def _search_path() -> list[str]:
    """Where the other process finds what this one has imported, a zip among them."""
    ours = str(Path(__file__).parent.parent)
    return [ours, *(each for each in sys.path if each != ours)]


def _send(file: IO[bytes], content: bytes) -> None:
    file.write(_LENGTH.pack(len(content)) + content)
    file.flush()


def _received(file: IO[bytes]) -> bytes:
    """The next message. Raises EOFError where there is none, or only half of it."""
    head = file.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        raise EOFError
    content = file.read(_LENGTH.unpack(head)[0])
    if len(content) < _LENGTH.unpack(head)[0]:
        raise EOFError
    return content
