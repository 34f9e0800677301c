"""What lies around the files and the catalog: rights, and what mirrors have kept."""

import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from simpleindex_storage.cache_files import CacheFiles
from simpleindex_storage.cache_transaction import CacheReading
from simpleindex_storage.privacy import open_secrets, wide_open
from simpleindex_storage.sqlite_file import connect_reading

from .codes import Code, Fault

_CACHE = "cache/cache.sqlite"


def open_to_others(root: Path) -> Iterator[Fault]:
    """What others than its owner can get at; and what holds secrets, should its mode allow it."""
    for path in dict.fromkeys((*wide_open(root), *open_secrets(root))):
        try:
            mode = path.stat().st_mode
        except FileNotFoundError:  # files of a catalog that is in use come and go
            continue
        name = "." if path == root else path.name
        what = f"has the mode {stat.S_IMODE(mode):04o}"
        yield Fault(Code.OPEN_TO_OTHERS, f"{name}/" if stat.S_ISDIR(mode) else name, what)


def of_the_cache(root: Path) -> Iterator[Fault]:
    """A light look at what mirrors have kept: all of it can be fetched again."""
    path = root / _CACHE
    if not path.is_file() or path.stat().st_size == 0:
        return
    files = CacheFiles(root / "cache" / "files")
    try:
        with closing(connect_reading(path)) as connection:
            (told,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            if told != "ok":
                yield Fault(Code.CACHE_DAMAGED, _CACHE, f"is damaged: {' '.join(told.split())}")
                return
            seen = CacheReading(connection)
            yield from _records_without_files(seen, files)
            yield from _files_without_records(seen, files)
    except sqlite3.DatabaseError as error:
        yield Fault(Code.CACHE_DAMAGED, _CACHE, f"cannot be read: {error}")


def _records_without_files(seen: CacheReading, files: CacheFiles) -> Iterator[Fault]:
    after = None
    while places := seen.places(None, None, after):
        for each in places:
            if each.file_bytes is None or files.has(each.place, None, each.file_bytes):
                continue
            if seen.place(each.id) == each:  # it was not evicted meanwhile
                path = f"cache/files/{each.place.path}"
                yield Fault(Code.CACHE_LEFT, path, f"is not there with {each.file_bytes:,} bytes")
        after = places[-1]


def _files_without_records(seen: CacheReading, files: CacheFiles) -> Iterator[Fault]:
    if not files.root.is_dir():
        return
    for found in files.walk():
        if found.sidecar is not None:
            continue
        if found.place is None or seen.file(found.place) is None:
            path = found.path.relative_to(files.root).as_posix()
            yield Fault(Code.CACHE_LEFT, f"cache/files/{path}", "has no record")
