"""What the cache takes away: to make room, and what nobody knows of."""

import errno
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from simpleindex_storage import cache_uses
from simpleindex_storage.cache import Cache
from simpleindex_storage.cache_files import Found
from simpleindex_storage.errors import Unavailable
from simpleindex_storage.mirrored import Evicted, Orphan, Usage
from simpleindex_storage.model import Sidecar
from simpleindex_storage.names import FilePlace
from tests.storage.caches import (
    DEMO,
    MIRROR,
    NOTE,
    NOW,
    OTHER,
    Clock,
    a_cache,
    a_page,
    a_place,
    files_below,
    keep,
    path_of,
    read,
    receiving,
    two_caches,
)
from tests.storage.stores import before_commits, disk_full, nothing, wait_until

PLACES = tuple(a_place(f"1.{number}") for number in range(4))


def keep_all(cache: Cache, clock: Clock, size_bytes: int = 100) -> None:
    """Keep files a second after each other, of so many bytes each."""
    for place in PLACES:
        keep(cache, place, b"x" * size_bytes)
        clock.go_on()


def left(cache: Cache) -> list[FilePlace]:
    return [place for place in PLACES if cache.file(place) is not None]


def places(evicted: tuple[Evicted, ...]) -> list[FilePlace]:
    return [each.place for each in evicted]


# Use


def test_files_that_were_not_used_for_longest_go_first(tmp_path: Path) -> None:
    clock = Clock()
    with a_cache(tmp_path, clock) as cache:
        keep_all(cache, clock)
        used_at = clock.time
        assert read(cache, PLACES[0]) == b"x" * 100
        assert cache.evict(200, 0) == (
            Evicted(PLACES[1], 100, NOW + timedelta(seconds=1)),
            Evicted(PLACES[2], 100, NOW + timedelta(seconds=2)),
        )
        assert left(cache) == [PLACES[0], PLACES[3]]
        assert set(files_below(tmp_path)) == {PLACES[0].path, PLACES[3].path}
        clock.go_on()
        assert cache.evict(0, 0)[-1] == Evicted(PLACES[0], 100, used_at)


def test_reading_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    commits: list[str] = []
    with before_commits(monkeypatch) as watch, a_cache(tmp_path, clock) as cache:
        keep(cache, PLACES[0])
        cache.keep_sidecar(PLACES[0], DEMO, Sidecar.METADATA, b"metadata")
        used_at = clock.go_on()
        watch(lambda: commits.append("commit"))
        read(cache, PLACES[0])
        clock.go_on()
        cache.sidecar(PLACES[0], Sidecar.METADATA)
        assert commits == []
        watch(nothing)
    with a_cache(tmp_path) as again:  # it was written when the cache was closed
        file = again.file(PLACES[0])
        assert file is not None
        assert file.used_at == used_at + timedelta(seconds=1)


def test_use_is_written_down_after_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_uses, "WRITTEN_SECONDS", 0.0)
    clock = Clock()
    with two_caches(tmp_path, clock) as (cache, other):
        keep(cache, PLACES[0])
        for _ in range(2):
            used_at = clock.go_on()
            read(cache, PLACES[0])
            wait_until(lambda used_at=used_at: _used_at(other, PLACES[0]) == used_at)  # type: ignore[misc]


def test_use_that_cannot_be_written_down_is_not_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    with before_commits(monkeypatch) as watch, a_cache(tmp_path, clock) as cache:
        keep_all(cache, clock)
        read(cache, PLACES[0])
        watch(disk_full)
        with pytest.raises(Unavailable):
            cache.evict(300, 0)
        watch(nothing)
        assert places(cache.evict(300, 0)) == [PLACES[1]]


def test_a_late_word_of_use_does_not_make_a_file_older(tmp_path: Path) -> None:
    clock = Clock()
    with two_caches(tmp_path, clock) as (cache, other):
        keep(cache, PLACES[0])
        read(other, PLACES[0])
        used_at = clock.go_on()
        read(cache, PLACES[0])
        cache._uses.write()
        other._uses.write()
        assert _used_at(cache, PLACES[0]) == used_at
        clock.go_on(-10)
        keep(cache, PLACES[0])
        assert _used_at(cache, PLACES[0]) == used_at


# Room


def test_nothing_goes_while_there_is_room(tmp_path: Path) -> None:
    clock = Clock()
    with a_cache(tmp_path, clock, free_bytes=1000) as cache:
        keep_all(cache, clock)
        assert cache.evict(None, 0) == ()
        assert cache.evict(400, 1000) == ()
        assert cache.evict(500, 900, room_for_bytes=100) == ()
        assert left(cache) == list(PLACES)


@pytest.mark.parametrize(
    ("bytes_max", "keep_free_bytes", "room_for_bytes", "count"),
    [
        (399, 0, 0, 1), (300, 0, 0, 1), (299, 0, 0, 2), (400, 0, 1, 1), (400, 0, 150, 2),
        (0, 0, 0, 4), (None, 1001, 0, 1), (None, 1000, 101, 2), (None, 1400, 0, 4),
        (None, 1401, 0, 0), (None, 5000, 0, 0),
        (399, 1150, 0, 2), (100, 1150, 0, 3),
    ],
)  # fmt: skip
def test_as_many_files_go_as_needed(
    bytes_max: int | None, keep_free_bytes: int, room_for_bytes: int, count: int, tmp_path: Path
) -> None:
    clock = Clock()
    with a_cache(tmp_path, clock, free_bytes=1000) as cache:
        keep_all(cache, clock)
        would = cache.evict(bytes_max, keep_free_bytes, dry_run=True, room_for_bytes=room_for_bytes)
        assert left(cache) == list(PLACES)
        gone = cache.evict(bytes_max, keep_free_bytes, room_for_bytes=room_for_bytes)
        assert places(gone) == list(PLACES[:count])
        assert gone == would
        assert left(cache) == list(PLACES[count:])


def test_many_files_go_in_several_steps(tmp_path: Path) -> None:
    with a_cache(tmp_path) as cache:
        for number in range(230):
            cache.keep_sidecar(a_place(f"2.{number}"), DEMO, Sidecar.METADATA, b"x")
        assert len(cache.evict(5, 0, dry_run=True)) == 225
        assert len(cache.evict(5, 0)) == 225
        assert [each.size_bytes for each in cache.usage()] == [5]


def test_a_file_goes_with_what_lies_beside_it_and_counts_as_one(tmp_path: Path) -> None:
    clock = Clock()
    with a_cache(tmp_path, clock) as cache:
        keep_all(cache, clock)
        cache.keep_sidecar(PLACES[0], DEMO, Sidecar.METADATA, b"y" * 20)
        cache.keep_sidecar(a_place("9.0"), DEMO, Sidecar.METADATA, b"y" * 20)
        assert cache.evict(None, 0) == ()
        assert [each.size_bytes for each in cache.evict(300, 0)] == [100, 100]  # not 440 - 100
        used_at = clock.time
        assert cache.evict(0, 0)[-2:] == (
            Evicted(PLACES[0], 120, used_at),
            Evicted(a_place("9.0"), 20, used_at),
        )
        assert files_below(tmp_path) == {}
        assert cache.usage() == ()
        assert list((tmp_path / "cache" / "files").iterdir()) == []


def test_pages_and_lists_stay(tmp_path: Path) -> None:
    with a_cache(tmp_path, free_bytes=0) as cache:
        page = cache.keep_page(a_page())
        with cache.names_writer(MIRROR) as writer:
            writer.add([DEMO])
            writer.finish(None, None, "upstream", NOW)
        assert cache.evict(0, 1 << 40) == ()
        assert cache.page(MIRROR, DEMO) == page
        assert cache.names(MIRROR) is not None


def test_what_is_being_received_stays(tmp_path: Path) -> None:
    clock = Clock()
    with two_caches(tmp_path, clock) as (cache, other):
        keep_all(cache, clock)
        with receiving(other, PLACES[0]) as part:
            part.begin(NOTE)
            part.write(b"x" * 100)
            assert places(cache.evict(300, 0)) == [PLACES[1]]
            part.keep(DEMO)
        assert len(cache.evict(0, 0)) == 3


def test_a_file_that_is_used_at_the_last_moment_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    with two_caches(tmp_path, clock) as (cache, other):
        keep_all(cache, clock)
        is_held = cache._parts.is_held

        def used_meanwhile(place: FilePlace) -> bool:
            read(other, PLACES[0])
            other._uses.write()
            return is_held(place)

        monkeypatch.setattr(cache._parts, "is_held", used_meanwhile)
        assert places(cache.evict(300, 0)) == [PLACES[1]]
        assert left(cache) == [PLACES[0], PLACES[2], PLACES[3]]


def test_a_file_that_cannot_be_deleted_while_it_is_open_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    unlink = Path.unlink

    def as_on_windows(path: Path, missing_ok: bool = False) -> None:
        if path == path_of(tmp_path, PLACES[0]):
            raise PermissionError(13, "it is open")
        unlink(path, missing_ok)

    with a_cache(tmp_path, clock) as cache:
        keep_all(cache, clock)
        monkeypatch.setattr(Path, "unlink", as_on_windows)
        assert places(cache.evict(300, 0)) == [PLACES[1]]
        assert read(cache, PLACES[0]) == b"x" * 100


def test_nothing_but_files_of_the_cache_ever_goes(tmp_path: Path) -> None:
    upload = tmp_path / "files" / PLACES[0].path
    upload.parent.mkdir(parents=True)
    upload.write_bytes(b"an upload")
    with a_cache(tmp_path, free_bytes=0) as cache:
        keep(cache, PLACES[0])
        cache.evict(0, 1 << 40)
        cache.gc()
    assert upload.read_bytes() == b"an upload"


def test_room_is_what_is_free_beyond_what_shall_stay_free(tmp_path: Path) -> None:
    with a_cache(tmp_path, free_bytes=1000) as cache:
        assert cache.has_room(900, 100)
        assert not cache.has_room(901, 100)
        assert cache.has_room(1000, 0)


def test_room_is_asked_of_the_disk(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", Clock())
    assert cache.has_room(0, 0)
    assert not cache.has_room(1 << 60, 0)
    cache.close()


# Figures


def test_usage_tells_what_is_kept_for_each_index(tmp_path: Path) -> None:
    clock = Clock()
    with a_cache(tmp_path, clock) as cache:
        assert cache.usage() == ()
        cache.keep_page(a_page())
        cache.keep_page(a_page("missing", None))
        cache.keep_page(a_page(index=OTHER))
        keep_all(cache, clock)
        cache.keep_sidecar(PLACES[0], DEMO, Sidecar.METADATA, b"y" * 20)
        assert cache.usage() == (
            Usage(
                MIRROR, pages=1, files=4, size_bytes=420, oldest_use_at=NOW + timedelta(seconds=1)
            ),
            Usage(OTHER, pages=1, files=0, size_bytes=0, oldest_use_at=None),
        )


# Orphans


def test_what_is_whole_is_not_collected(tmp_path: Path) -> None:
    clock = Clock()
    with a_cache(tmp_path, clock) as cache:
        keep_all(cache, clock)
        cache.keep_sidecar(PLACES[0], DEMO, Sidecar.METADATA, b"metadata")
        with cache.names_writer(MIRROR) as writer:
            writer.add([DEMO])
            writer.finish(None, None, "upstream", NOW)
        with receiving(cache, a_place("9.0")) as part:
            part.begin(NOTE)
            part.write(b"half")
            assert cache.gc() == ()
            assert part.size_bytes == cache.watch(a_place("9.0")).size_bytes()
        assert left(cache) == list(PLACES)


def test_files_without_a_record_are_collected(tmp_path: Path) -> None:
    files = tmp_path / "cache" / "files"
    place = a_place("9.0")
    strange = {
        place.path: b"a file",
        f"{place.path}.metadata": b"metadata",
        f"{PLACES[0].path}.asc": b"a signature",
        "root/mirror/strange": b"strange",
        "top": b"top",
        "root/mi%72ror/+f/abc/0123456789abc/demo-1.0.tar.gz": b"odd",
        "root/mirror/+f/ab/c0123456789abc/demo-1.0.tar.gz": b"split elsewhere",
    }
    with a_cache(tmp_path) as cache:
        keep(cache, PLACES[0])
        for name, content in strange.items():
            (files / name).parent.mkdir(parents=True, exist_ok=True)
            (files / name).write_bytes(content)
        (tmp_path / "cache" / "lists" / "root+gone.names").write_bytes(b"demo\n")
        would = cache.gc(dry_run=True)
        assert set(files_below(tmp_path)) == {*strange, PLACES[0].path}
        assert cache.gc() == would
        assert set(would) == {
            Orphan(f"files/{name}", len(content), is_missing=False)
            for name, content in strange.items()
        } | {Orphan("lists/root+gone.names", 5, is_missing=False)}
        assert files_below(tmp_path) == {PLACES[0].path: b"the bytes"}
        assert cache.gc() == ()
        top = sorted(path.name for path in files.rglob("*") if not any(path.parents[0].iterdir()))
        assert top == []


def test_a_file_that_is_recorded_at_the_last_moment_is_not_collected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with two_caches(tmp_path) as (cache, other):
        path_of(tmp_path, PLACES[0]).parent.mkdir(parents=True)
        path_of(tmp_path, PLACES[0]).write_bytes(b"a left-over")
        collect_file = cache._upkeep._collect_file

        def recorded_meanwhile(found: Found, *, dry_run: bool) -> list[Orphan]:
            keep(other, PLACES[0])
            return collect_file(found, dry_run=dry_run)

        monkeypatch.setattr(cache._upkeep, "_collect_file", recorded_meanwhile)
        assert cache.gc() == ()
        assert read(cache, PLACES[0]) == b"the bytes"


def test_links_are_collected_and_not_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_bytes(b"precious")
    with a_cache(tmp_path) as cache:
        link = tmp_path / "cache" / "files" / "link"
        link.symlink_to(precious / "file")
        assert [each.path for each in cache.gc()] == ["files/link"]
        assert not link.is_symlink()
    assert (precious / "file").read_bytes() == b"precious"


def test_records_without_their_bytes_are_collected(tmp_path: Path) -> None:
    clock = Clock()
    with a_cache(tmp_path, clock) as cache:
        keep_all(cache, clock)
        for place in PLACES[:3]:
            cache.keep_sidecar(place, DEMO, Sidecar.METADATA, b"metadata")
        path_of(tmp_path, PLACES[0]).unlink()
        path_of(tmp_path, PLACES[1]).with_name(PLACES[1].filename + ".metadata").unlink()
        path_of(tmp_path, PLACES[3]).write_bytes(b"short")
        with cache.names_writer(MIRROR) as writer:
            writer.add([DEMO])
            writer.finish(None, None, "upstream", NOW)
        (tmp_path / "cache" / "lists" / "root+mirror.names").unlink()
        would = cache.gc(dry_run=True)
        assert left(cache) == list(PLACES)
        assert cache.gc() == would
        assert set(would) == {
            Orphan(f"files/{PLACES[0].path}", 100, is_missing=True),
            Orphan(f"files/{PLACES[1].path}.metadata", 8, is_missing=True),
            Orphan(f"files/{PLACES[3].path}", 100, is_missing=True),
            Orphan("lists/root+mirror.names", 0, is_missing=True),
        }
        assert left(cache) == [PLACES[1], PLACES[2]]
        assert cache.sidecar(PLACES[0], Sidecar.METADATA) == b"metadata"
        assert cache.names(MIRROR) is None
        assert [each.size_bytes for each in cache.usage()] == [8 + 100 + 108]
        assert cache.gc() == ()


def _used_at(cache: Cache, place: FilePlace) -> object:
    file = cache.file(place)
    return None if file is None else file.used_at


def test_a_folder_that_cannot_be_read_is_not_taken_for_an_empty_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scandir = os.scandir

    def refuse(path: str | Path = ".") -> Any:
        if Path(path).name == "+f":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    clock = Clock()
    with a_cache(tmp_path, clock) as cache:
        keep_all(cache, clock)
        with monkeypatch.context() as patch:
            patch.setattr(os, "scandir", refuse)
            with pytest.raises(Unavailable, match="files cannot be read: Permission denied"):
                cache.gc()
        assert left(cache) == list(PLACES)
