"""Caches to work with, and what tests let another process do to them."""

import hashlib
import os
import resource
import select
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest.mock import patch

from simpleindex_storage.cache import Cache, Part
from simpleindex_storage.cache_sqlite import CacheSqlite
from simpleindex_storage.generation import Generation
from simpleindex_storage.mirrored import KeptFile, KeptPage, PartNote
from simpleindex_storage.names import FilePlace, IndexName, ProjectName, parse_project_name

MIRROR = IndexName("root/mirror")
OTHER = IndexName("root/other")
DEMO = parse_project_name("demo")
NOW = datetime(2026, 1, 2, 3, 4, 5, 678_901, UTC)
NOTE = PartNote(10, '"validator"', "digest of a url")


class Clock:
    """A clock that goes on when it is told to."""

    def __init__(self, time: datetime = NOW) -> None:
        self.time = time

    def __call__(self) -> datetime:
        return self.time

    def go_on(self, seconds: float = 1) -> datetime:
        self.time += timedelta(seconds=seconds)
        return self.time


@contextmanager
def a_cache(
    root: Path, clock: Clock | None = None, *, free_bytes: int = 1 << 40
) -> Iterator[Cache]:
    """The cache of a server directory, for the time of the block."""
    cache = Cache(root / "cache", clock or Clock(), free_bytes=lambda _: free_bytes)
    try:
        yield cache
    finally:
        cache.close()


@contextmanager
def two_caches(root: Path, clock: Clock | None = None) -> Iterator[tuple[Cache, Cache]]:
    """One cache, opened twice, as two processes do."""
    with a_cache(root, clock) as cache, a_cache(root, clock) as other:
        yield cache, other


def a_page(
    project: str = "demo",
    content: bytes | None = b"what upstream says",
    *,
    index: IndexName = MIRROR,
    source: str = "upstream",
    etag: str | None = '"1"',
    checked_at: datetime = NOW,
) -> KeptPage:
    """What an upstream has said of a project."""
    name = parse_project_name(project)
    return KeptPage(index, name, source, content, etag, None, checked_at)


def a_place(version: str = "1.0", *, project: str = "demo", index: IndexName = MIRROR) -> FilePlace:
    """Where a file of a project lies."""
    filename = f"{project}-{version}-py3-none-any.whl"
    return FilePlace(index, hashlib.sha256(filename.encode()).hexdigest()[:16], filename)


def receiving(cache: Cache, place: FilePlace) -> Part:
    """A file that nobody else receives."""
    part = cache.receive(place)
    assert part is not None
    return part


def keep(
    cache: Cache, place: FilePlace, content: bytes = b"the bytes", project: ProjectName = DEMO
) -> KeptFile:
    """Receive a file."""
    with receiving(cache, place) as part:
        part.begin(NOTE)
        part.write(content)
        return part.keep(project)


def read(cache: Cache, place: FilePlace) -> bytes:
    """A file's bytes, as clients get them."""
    kept, content = cache.open(place)
    with content:
        read = content.read()
    assert (len(read), hashlib.sha256(read).hexdigest()) == (kept.size_bytes, kept.sha256)
    return read


def path_of(root: Path, place: FilePlace) -> Path:
    """Where the bytes of a file lie."""
    return root / "cache" / "files" / place.path


def files_below(root: Path, folder: str = "files") -> dict[str, bytes]:
    """What lies in a folder of the cache, but for locks."""
    top = root / "cache" / folder
    return {
        path.relative_to(top).as_posix(): path.read_bytes()
        for path in sorted(top.rglob("*"))
        if path.is_file() and path.suffix != ".lock" and path.name != "lock"
    }


# What another process does; see `other_process.elsewhere`.


def _ready() -> None:
    print("ready", flush=True)
    sys.stdin.readline()


def keep_pages(root: str) -> None:
    """Keep a page, and then another content of it."""
    with a_cache(Path(root)) as cache:
        for content in (b"first", b"second"):
            cache.keep_page(a_page(content=content))
            _ready()


def receive_slowly(root: str) -> None:
    """Receive a file in two halves."""
    with a_cache(Path(root)) as cache, receiving(cache, a_place()) as part:
        _ready()
        part.begin(NOTE)
        part.write(b"the f")
        _ready()
        part.write(b"ile..")
        _ready()
        part.keep(DEMO)
        _ready()


def follow(root: str) -> None:
    """Read a file that somebody receives, to its end; tell what it was."""
    with a_cache(Path(root)) as cache:
        watch = cache.watch(a_place())
        with watch.open() as file:
            read = file.read()
            print("following", flush=True)
            while True:
                is_held = watch.is_held()
                read += file.read()
                kept = watch.outcome()
                if kept is not None and len(read) == kept.size_bytes:
                    break
                assert is_held, "its receiver has died"
        print(read.decode(), flush=True)


def race_to_receive(root: str, versions: str) -> None:
    """Try to receive files, holding those that nobody else receives; tell which."""
    with a_cache(Path(root)) as cache:
        _ready()
        parts = [cache.receive(a_place(f"1.{n}")) for n in range(int(versions))]
        print(*(n for n, part in enumerate(parts) if part is not None), flush=True)
        sys.stdin.readline()
        for part in parts:
            if part is not None:
                part.close()


def look_often(root: str) -> None:
    """Ask again and again whether somebody receives a file, until told to stop."""
    with a_cache(Path(root)) as cache:
        watch = cache.watch(a_place())
        print("looking", flush=True)
        while not select.select([sys.stdin], [], [], 0)[0]:
            watch.is_held()


def keep_many(root: str, name: str, count: str) -> None:
    """Keep pages and files of names of our own."""
    with a_cache(Path(root)) as cache:
        _ready()
        for n in range(int(count)):
            cache.keep_page(a_page(f"{name}-{n}", name.encode()))
            cache.change_page(MIRROR, DEMO, lambda content: content + b"x")
            keep(cache, a_place(f"1.{n}", project=name), name.encode(), ProjectName(name))


def die_while_keeping(root: str, when: str) -> None:
    """Keep a page and a file, and be killed on the way."""
    with a_cache(Path(root)) as cache:
        if when == "linked":
            with receiving(cache, a_place()) as part:
                part.begin(NOTE)
                part.write(b"the bytes")
                patch.object(CacheSqlite, "change", _die).start()
                part.keep(DEMO)
        elif when == "recorded":
            with receiving(cache, a_place()) as part:
                part.begin(NOTE)
                part.write(b"the bytes")
                patch.object(Part, "_remove", _die).start()
                part.keep(DEMO)
        elif when == "announced":
            patch.object(Generation, "announce", _die_after(Generation.announce)).start()
            cache.keep_page(a_page())
        else:
            patch.object(Generation, "settle", _die_settling).start()
            cache.keep_page(a_page())


def sort_names(root: str, count: str) -> None:
    """Keep a list of so many names, in no more memory than this process has now and some."""
    with a_cache(Path(root)) as cache:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with cache.names_writer(MIRROR) as writer:
            for n in range(int(count)):
                writer.add([ProjectName(hashlib.sha256(str(n).encode()).hexdigest() * 4)])
            writer.finish(None, None, "upstream", NOW)
        print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10, flush=True)


def _die(*_: object, **__: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _die_after(call: object) -> object:
    def called(*arguments: object) -> None:
        assert callable(call)
        call(*arguments)
        _die()

    return called


def _die_settling(_: Generation, serial: int) -> None:
    if serial > 0:
        _die()
