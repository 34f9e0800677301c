"""Fetch files side by side into the cache: each once, and only what is not there yet."""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from simpleindex.gap.bundle.cache import Cache, FileDraft, promised_sha256
from simpleindex.gap.releases import NotAsPromised, SourceTrouble
from simpleindex.gap.source import IndexSource
from simpleindex.wire.simple_page import PageFile
from simpleindex_storage.durable import unavailable_on_failure
from simpleindex_storage.errors import Unavailable

LOOK_SECONDS = 0.25
"""How often progress is told."""
AHEAD = 32
"""Files that are asked for or wait for their turn to be."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far it is."""

    files_done: int
    files: int
    bytes_done: int
    bytes: int
    """Of files whose sizes are known."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What has become of files."""

    sha256s: Mapping[str, str]
    """By URL."""
    troubles: Mapping[str, str]
    """By file name: why it cannot be had."""
    fetched_bytes: int
    """That came over the wire now."""


def no_telling(progress: Progress) -> None:
    """For whoever does not want to know."""


def download(
    files: Sequence[PageFile],
    source: IndexSource,
    cache: Cache,
    tell: Callable[[Progress], None] = no_telling,
) -> Fetched:
    """Fetch what the cache does not have. What fails hinders nothing else.

    An interrupt lets the source give up; what has come so far stays in the cache. Raises
    Unavailable if the cache cannot be written.
    """
    with _giving_up(source):
        return _Downloading(files, source, cache, tell).run()


class _Downloading:
    """One download of many files. Its counts are told from any thread."""

    def __init__(
        self,
        files: Sequence[PageFile],
        source: IndexSource,
        cache: Cache,
        tell: Callable[[Progress], None],
    ) -> None:
        self._files = list({file.url: file for file in files}.values())
        self._source = source
        self._cache = cache
        self._tell = tell
        self._lock = Lock()
        self._came_bytes = 0
        """Less what was thrown away again."""
        self._fetched_bytes = 0
        self._held_bytes = 0
        """What was here, whole files or beginnings."""
        self._done = 0
        self._sha256s: dict[str, str] = {}
        self._troubles: dict[str, str] = {}

    def run(self) -> Fetched:
        missing = [file for file in self._files if not self._is_here(file)]
        self._check_room(missing)
        waiting = iter(missing)
        under_way: dict[Future[None], tuple[PageFile, FileDraft, bool]] = {}
        self._tell(self._progress())
        is_last = False
        while not is_last or under_way:
            while not is_last and len(under_way) < AHEAD:
                file = next(waiting, None)
                if file is None:
                    is_last = True
                else:
                    self._start(file, under_way)
            done, _ = wait(under_way, LOOK_SECONDS, FIRST_COMPLETED)
            for future in done:
                file, draft, had_some = under_way.pop(future)
                if not self._end(future, file, draft, may_repeat=had_some):
                    self._start(file, under_way)
            self._tell(self._progress())
        return Fetched(self._sha256s, self._troubles, self._fetched_bytes)

    def _start(
        self, file: PageFile, under_way: dict["Future[None]", tuple[PageFile, FileDraft, bool]]
    ) -> None:
        with unavailable_on_failure(f"{self._cache.folder} cannot be used as a cache"):
            draft = self._cache.draft(file, self._received)
        self._held_bytes += draft.received_bytes
        under_way[self._source.copy(file, draft)] = file, draft, bool(draft.received_bytes)

    def _end(
        self, future: "Future[None]", file: PageFile, draft: FileDraft, *, may_repeat: bool
    ) -> bool:
        """Note what has become of a file; False: it is to be fetched again, from the beginning.

        What was there from an earlier run may be what is wrong with it.
        """
        with unavailable_on_failure(f"{self._cache.folder} cannot be written"):
            try:
                future.result()
                self._sha256s[file.url] = self._cache.take(file, draft)
            except CancelledError:
                self._troubles[file.filename] = "it was given up"
            except SourceTrouble as trouble:
                if may_repeat and isinstance(trouble, NotAsPromised):
                    self._received(-draft.received_bytes)
                    draft.delete()
                    return False
                self._troubles[file.filename] = str(trouble)
        self._done += 1
        return True

    def _is_here(self, file: PageFile) -> bool:
        sha256 = promised_sha256(file)
        path: Path | None = None if sha256 is None else self._cache.find(sha256)
        if sha256 is None or path is None:
            return False
        self._sha256s[file.url] = sha256
        self._held_bytes += path.stat().st_size
        self._done += 1
        return True

    def _check_room(self, missing: Sequence[PageFile]) -> None:
        """Say at once what the disk would say after a long time."""
        needed = sum(file.size_bytes or 0 for file in missing)
        folder = self._cache.folder
        with unavailable_on_failure(f"{folder} cannot be used as a cache"):
            free = shutil.disk_usage(folder).free
        if free < needed:
            raise Unavailable(
                f"{folder} cannot be used as a cache: {needed} bytes are needed, and the disk has "
                f"{free}",
                full=True,
            )

    def _received(self, count_bytes: int) -> None:
        with self._lock:
            self._came_bytes += count_bytes
            self._fetched_bytes += max(count_bytes, 0)

    def _progress(self) -> Progress:
        known_bytes = sum(file.size_bytes or 0 for file in self._files)
        return Progress(
            self._done, len(self._files), self._held_bytes + self._came_bytes, known_bytes
        )


@contextmanager
def _giving_up(source: IndexSource) -> Iterator[None]:
    try:
        yield
    except BaseException:
        source.give_up()
        raise
