"""Sorting a list of names that may be long, in constant memory: runs on the disk, then merged."""

import hashlib
import heapq
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path

from .durable import sync_file, unavailable_on_failure
from .names import ProjectName

_NAMES_PER_RUN = 20_000
_RUNS_MAX = 64
"""More are merged into one, so that few files are open at once."""
_LINES_AT_ONCE = 2_000


@dataclass(frozen=True, slots=True)
class SortedNames:
    """A finished list: one name a line, sorted, each once."""

    path: Path
    count: int
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class SaidOfNames:
    """What is to be remembered of a list."""

    etag: str | None
    last_modified: str | None
    source: str
    checked_at: datetime


class NamesWriter:
    """Takes the names of a list as they come. To be used from one thread at a time."""

    def __init__(self, folder: Path, keep: Callable[[SortedNames, SaidOfNames], None]) -> None:
        self._folder = folder
        self._keep = keep
        self._names: list[bytes] = []
        self._runs: list[Path] = []
        self._drafts = 0

    def add(self, names: Iterable[ProjectName]) -> None:
        """Take some names. Raises Unavailable."""
        for name in names:
            self._names.append(name.encode() + b"\n")  # an end that sorts before all of a name
            if len(self._names) == _NAMES_PER_RUN:
                self._end_run()

    def finish(
        self, etag: str | None, last_modified: str | None, source: str, checked_at: datetime
    ) -> None:
        """All are there: let the list take the place of the one before. Raises Unavailable."""
        self._end_run()
        merged = self._merge(self._runs)
        with unavailable_on_failure("the list of projects cannot be kept"):
            sync_file(merged.path)
        self._keep(merged, SaidOfNames(etag, last_modified, source, checked_at))

    def _end_run(self) -> None:
        names, self._names = sorted(self._names), []
        with unavailable_on_failure("the list of projects cannot be kept"):
            run = self._draft()
            with run.open("xb") as file:
                file.writelines(names)
        self._runs.append(run)
        if len(self._runs) == _RUNS_MAX:
            self._runs = [self._merge(self._runs).path]

    def _merge(self, runs: Sequence[Path]) -> SortedNames:
        """One list of several, which are gone then."""
        count = size_bytes = 0
        digest = hashlib.sha256()
        with unavailable_on_failure("the list of projects cannot be kept"), ExitStack() as files:
            draft = self._draft()
            merged = files.enter_context(open(draft, "xb", opener=_privately))
            lines = _each_once(heapq.merge(*(files.enter_context(run.open("rb")) for run in runs)))
            while some := list(islice(lines, _LINES_AT_ONCE)):
                chunk = b"".join(some)
                merged.write(chunk)
                digest.update(chunk)
                count += len(some)
                size_bytes += len(chunk)
        for run in runs:
            with suppress(OSError):  # it goes with its folder
                run.unlink()
        return SortedNames(draft, count, size_bytes, digest.hexdigest())

    def _draft(self) -> Path:
        self._drafts += 1
        return self._folder / str(self._drafts)


def _each_once(lines: Iterable[bytes]) -> Iterator[bytes]:
    before = b""
    for line in lines:
        if line != before:
            yield line
        before = line


def _privately(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
