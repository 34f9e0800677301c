"""Files that are arriving: one receiver each, followers, and what a break leaves."""

import gc
import hashlib
import os
import sqlite3
import sys
import threading
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from simpleindex_storage.cache import Cache, Part
from simpleindex_storage.errors import NotStored, Unavailable
from simpleindex_storage.mirrored import PartNote
from simpleindex_storage.model import Sidecar
from tests.storage.caches import (
    DEMO,
    NOTE,
    Clock,
    a_cache,
    a_place,
    files_below,
    keep,
    path_of,
    read,
    receiving,
    two_caches,
)
from tests.storage.stores import WAIT_SECONDS_MAX, FailingDisk, files_no_larger_than

PLACE = a_place()


def leave_a_part(cache: Cache, content: bytes = b"half a ", note: PartNote = NOTE) -> None:
    """Receive the beginning of a file."""
    with receiving(cache, PLACE) as part:
        part.begin(note)
        part.write(content)


# Receivers


def test_a_file_has_one_receiver_at_a_time(tmp_path: Path) -> None:
    with two_caches(tmp_path) as (cache, other):
        part = receiving(cache, PLACE)
        assert cache.receive(PLACE) is None
        assert other.receive(PLACE) is None
        with receiving(other, a_place("2.0")):
            pass
        part.close()
        part.close()
        receiving(other, PLACE).close()
        assert files_below(tmp_path, "parts") == {}


def test_of_many_threads_one_receives_a_file(tmp_path: Path) -> None:
    together = threading.Barrier(8)
    held: list[Part] = []
    most: list[int] = []

    def race(cache: Cache) -> None:
        for _ in range(30):
            together.wait(WAIT_SECONDS_MAX)
            part = cache.receive(PLACE)
            if part is not None:
                held.append(part)
                most.append(len(held))
            together.wait(WAIT_SECONDS_MAX)
            if part is not None:
                held.remove(part)
                part.close()

    with two_caches(tmp_path) as caches:
        threads = [threading.Thread(target=race, args=(caches[n % 2],)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(WAIT_SECONDS_MAX)
    # Whoever closes may still be at it when the next round begins, but nobody is second.
    assert set(most) == {1}
    assert not list((tmp_path / "cache" / "parts").glob("*.lock"))


def test_looking_whether_a_file_is_received_keeps_nobody_from_receiving_it(tmp_path: Path) -> None:
    is_over = threading.Event()
    with two_caches(tmp_path) as (cache, other):
        watch = other.watch(PLACE)

        def look() -> None:
            while not is_over.is_set():
                watch.is_held()

        threads = [threading.Thread(target=look) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(200):
                with receiving(cache, PLACE):
                    assert watch.is_held()
        finally:
            is_over.set()
            for thread in threads:
                thread.join(WAIT_SECONDS_MAX)
        assert not watch.is_held()


def test_a_receiver_that_was_lost_keeps_nobody_from_receiving(tmp_path: Path) -> None:
    with a_cache(tmp_path) as cache:
        part: Part | None = receiving(cache, PLACE)
        part = None  # as when a task is cancelled while a thread makes it
        gc.collect()
        assert part is None
        receiving(cache, PLACE).close()


# Bytes


@pytest.mark.parametrize("chunks", [(), (b"",), (b"one",), (b"one", b"", b"two" * 100_000)])
def test_all_digests_are_those_of_the_bytes(chunks: tuple[bytes, ...], tmp_path: Path) -> None:
    content = b"".join(chunks)
    with a_cache(tmp_path) as cache:
        with receiving(cache, PLACE) as part:
            part.begin(NOTE)
            for chunk in chunks:
                part.write(chunk)
            assert part.size_bytes == len(content)
            assert part.digest() == hashlib.sha256(content).hexdigest()
            for algorithm in ("md5", "sha1", "sha384", "sha512"):
                assert part.digest(algorithm) == hashlib.new(algorithm, content).hexdigest()
            blake2b = hashlib.blake2b(content, digest_size=32).hexdigest()
            assert part.digest("blake2b_256") == blake2b
            part.keep(DEMO)
        assert read(cache, PLACE) == content


def test_a_part_becomes_the_file_without_being_copied(tmp_path: Path) -> None:
    with a_cache(tmp_path) as cache, receiving(cache, PLACE) as part:
        part.write(b"the bytes")
        (before,) = (tmp_path / "cache" / "parts").glob("*.part")
        inode = before.stat().st_ino
        part.keep(DEMO)
        assert path_of(tmp_path, PLACE).stat().st_ino == inode
        assert path_of(tmp_path, PLACE).stat().st_nlink == 1


def test_a_part_becomes_the_file_on_disks_without_links_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(_: Path, target: object) -> None:
        raise PermissionError(1, "this disk has no hard links")

    monkeypatch.setattr(Path, "hardlink_to", no_links)
    with a_cache(tmp_path) as cache:
        with receiving(cache, PLACE) as part:
            part.begin(NOTE)
            part.write(b"the bytes")
            part.keep(DEMO)
        assert read(cache, PLACE) == b"the bytes"
        assert files_below(tmp_path, "parts") == {}


def test_a_files_bytes_are_on_the_disk_before_its_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    fsync, link = os.fsync, Path.hardlink_to

    def logged_fsync(handle: int) -> None:
        steps.append(f"sync {Path(f'/proc/self/fd/{handle}').readlink().suffix}")
        fsync(handle)

    def logged_link(path: Path, target: Path) -> None:
        steps.append(f"link {target.suffix}")
        link(path, target)

    with a_cache(tmp_path) as cache, receiving(cache, PLACE) as part:
        part.begin(NOTE)
        part.write(b"the bytes")
        monkeypatch.setattr(os, "fsync", logged_fsync)
        monkeypatch.setattr(Path, "hardlink_to", logged_link)
        part.keep(DEMO)
    assert steps == ["sync .part", "link .part"]


def test_wrong_bytes_are_removed_and_the_file_can_be_begun_anew(tmp_path: Path) -> None:
    with a_cache(tmp_path) as cache:
        with receiving(cache, PLACE) as part:
            part.begin(NOTE)
            part.write(b"wrong")
            part.drop()
            assert (part.size_bytes, part.note) == (0, None)
            assert files_below(tmp_path, "parts") == {}
            part.begin(NOTE)
            part.write(b"right")
            part.keep(DEMO)
        assert read(cache, PLACE) == b"right"


# Breaks


def test_what_a_break_leaves_is_gone_on_with(tmp_path: Path) -> None:
    with two_caches(tmp_path) as (cache, other):
        leave_a_part(cache)
        assert cache.file(PLACE) is None
        with receiving(other, PLACE) as part:
            assert (part.size_bytes, part.note) == (7, NOTE)
            part.write(b"fi")
            part.write(b"le")
            assert part.digest() == hashlib.sha256(b"half a file").hexdigest()
            part.keep(DEMO)
        assert read(cache, PLACE) == b"half a file"


def test_what_is_left_and_complete_is_kept_as_it_is(tmp_path: Path) -> None:
    with a_cache(tmp_path) as cache:
        leave_a_part(cache, b"0123456789")
        with receiving(cache, PLACE) as part:
            assert part.size_bytes == 10
            part.keep(DEMO)
        assert read(cache, PLACE) == b"0123456789"


def test_what_a_break_leaves_may_be_begun_anew(tmp_path: Path) -> None:
    note = replace(NOTE, size_bytes=None, validator=None)
    with a_cache(tmp_path) as cache:
        leave_a_part(cache)
        with receiving(cache, PLACE) as part:
            part.begin(note)
            assert (part.size_bytes, part.note) == (0, note)
            part.write(b"other bytes")
        with receiving(cache, PLACE) as part:
            assert (part.size_bytes, part.note) == (11, note)
            part.keep(DEMO)
        assert read(cache, PLACE) == b"other bytes"


@pytest.mark.parametrize("left", ["no note", "a broken note", "too long", "empty", "a link"])
def test_what_cannot_be_gone_on_with_is_removed(left: str, tmp_path: Path) -> None:
    folder = tmp_path / "cache" / "parts"
    precious = tmp_path / "precious"
    precious.write_bytes(b"pre")
    with a_cache(tmp_path) as cache:
        size_bytes = 10 if left == "too long" else None
        leave_a_part(cache, b"x" * 11, replace(NOTE, size_bytes=size_bytes))
        (part,), (note,) = folder.glob("*.part"), folder.glob("*.note")
        if left == "no note":
            note.unlink()
        elif left == "a broken note":
            note.write_bytes(b"{")
        elif left == "empty":
            part.write_bytes(b"")
        elif left == "a link":
            part.unlink()
            part.symlink_to(precious)
        with receiving(cache, PLACE) as again:
            assert (again.size_bytes, again.note) == (0, None)
            assert files_below(tmp_path, "parts") == {}
            again.write(b"the bytes")
            again.keep(DEMO)
        assert read(cache, PLACE) == b"the bytes"
    assert precious.read_bytes() == b"pre"


def test_without_a_note_nothing_is_left(tmp_path: Path) -> None:
    with a_cache(tmp_path) as cache:
        with receiving(cache, PLACE) as part:
            part.write(b"half a ")
        assert files_below(tmp_path, "parts") == {}
        with receiving(cache, PLACE) as part:
            assert part.size_bytes == 0


def test_a_kept_file_is_not_touched_by_who_receives_it_again(tmp_path: Path) -> None:
    with a_cache(tmp_path) as cache:
        leave_a_part(cache, b"0123456789")
        (left,) = (tmp_path / "cache" / "parts").glob("*.part")
        with receiving(cache, PLACE) as part:
            os.link(left, tmp_path / "second name")  # as when it dies after it was recorded
            part.keep(DEMO)
        os.link(path_of(tmp_path, PLACE), left)
        left.with_suffix(".note").write_text('{"size_bytes":20,"validator":"x","url_digest":"y"}')
        with receiving(cache, PLACE) as part:
            assert part.size_bytes == 0
            part.begin(NOTE)
            part.write(b"other")
        assert read(cache, PLACE) == b"0123456789"


@pytest.mark.parametrize("call", ["write", "fsync", "replace"])
def test_a_part_for_which_there_is_no_room_is_given_up(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = FailingDisk(monkeypatch)
    with a_cache(tmp_path) as cache:
        with receiving(cache, PLACE) as part:
            part.begin(NOTE)
            part.write(b"half")
            disk.fail(lambda _, name: name == call)
            with pytest.raises(Unavailable, match=r"demo-1\.0.*: the disk is full") as raised:
                part.write(b" a file")
                part.keep(DEMO)
            assert raised.value.full
        disk.heal()
        assert cache.file(PLACE) is None
        assert files_below(tmp_path, "parts") == files_below(tmp_path) == {}


def test_bytes_that_did_not_fit_whole_are_not_there(tmp_path: Path) -> None:
    with a_cache(tmp_path) as cache, receiving(cache, PLACE) as part:
        part.begin(NOTE)
        part.write(b"half")
        with files_no_larger_than(6), pytest.raises(Unavailable, match="the disk is full"):
            part.write(b" a file")
        assert part.size_bytes == cache.watch(PLACE).size_bytes() == 4
        assert part.digest() == hashlib.sha256(b"half").hexdigest()


# Followers


def test_a_follower_reads_along_to_the_end(tmp_path: Path) -> None:
    with two_caches(tmp_path) as (cache, other):
        watch = other.watch(PLACE)
        assert not watch.is_held()
        with pytest.raises(NotStored):
            watch.open()
        with receiving(cache, PLACE) as part:
            assert watch.is_held()
            assert (watch.note(), watch.size_bytes(), watch.outcome()) == (None, 0, None)
            with pytest.raises(NotStored):
                watch.open()
            part.begin(NOTE)
            part.write(b"half a ")
            assert (watch.note(), watch.size_bytes(), watch.outcome()) == (NOTE, 7, None)
            with watch.open() as file:
                assert file.read() == b"half a "
                part.write(b"file")
                assert file.read(2) == b"fi"
                kept = part.keep(DEMO)
                assert watch.outcome() == kept
                assert watch.is_current(file)
                assert file.read() == b"le"
        assert not watch.is_held()
        assert (watch.note(), watch.size_bytes(), watch.outcome()) == (None, 0, kept)


def test_what_was_left_is_not_arriving(tmp_path: Path) -> None:
    with a_cache(tmp_path) as cache:
        leave_a_part(cache)
        with pytest.raises(NotStored):
            cache.watch(PLACE).open()


def test_a_follower_can_tell_that_its_file_was_begun_anew(tmp_path: Path) -> None:
    with two_caches(tmp_path) as (cache, other):
        leave_a_part(cache, b"old bytes")
        watch = other.watch(PLACE)
        with receiving(cache, PLACE) as part:
            with watch.open() as file:
                assert file.read(3) == b"old"
                assert watch.is_current(file)
                part.begin(NOTE)
                assert not watch.is_current(file)
                part.write(b"new bytes")
                assert not watch.is_current(file)
                assert file.read() == b" bytes"  # and none of the new ones
                part.keep(DEMO)
                assert not watch.is_current(file)
            assert read(other, PLACE) == b"new bytes"


# Tidying up


def test_left_parts_wait_for_a_day(tmp_path: Path) -> None:
    clock = Clock(datetime.now(UTC))
    with a_cache(tmp_path, clock) as cache:
        leave_a_part(cache)
        with receiving(cache, a_place("2.0")) as held:
            held.begin(NOTE)
            held.write(b"held")
            clock.go_on(timedelta(hours=23).total_seconds())
            assert cache.tidy() == 0
            assert sorted(files_below(tmp_path, "parts").values())[0] == b"half a "
            clock.go_on(timedelta(hours=2).total_seconds())
            assert cache.tidy() == 1
            assert cache.tidy() == 0
            held.write(b" on to")
            held.keep(DEMO)
        with receiving(cache, PLACE) as part:
            assert part.size_bytes == 0
        assert files_below(tmp_path, "parts") == {}


def test_left_overs_that_nobody_can_go_on_with_are_removed_at_once(tmp_path: Path) -> None:
    clock = Clock(datetime.now(UTC))
    folder = tmp_path / "cache" / "parts"
    with two_caches(tmp_path, clock) as (cache, _):
        leave_a_part(cache)
        (note,) = folder.glob("*.note")
        note.unlink()
        (folder / "0123.lock").touch()
        (folder / "4567.note").write_bytes(b"{}")
        (folder / "89ab.draft").write_bytes(b"half a sidecar")
        (tmp_path / "cache" / "lists" / "0123.draft").mkdir()
        assert cache.tidy() == 1
        assert files_below(tmp_path, "parts") == {"89ab.draft": b"half a sidecar"}
        clock.go_on(timedelta(days=2).total_seconds())
        assert cache.tidy() == 0
        assert [path.name for path in folder.iterdir()] == ["lock"]
        assert not any((tmp_path / "cache" / "lists").iterdir())


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no shared locks")
def test_drafts_are_removed_at_once_if_nobody_else_has_the_cache_open(tmp_path: Path) -> None:
    draft = tmp_path / "cache" / "parts" / "89ab.draft"
    with a_cache(tmp_path) as cache:
        with a_cache(tmp_path):
            draft.write_bytes(b"half a sidecar")
            (tmp_path / "cache" / "lists" / "0123.draft").mkdir()
            cache.tidy()
            assert draft.exists()
        cache.tidy()
        assert not draft.exists()
        assert not any((tmp_path / "cache" / "lists").iterdir())


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no shared locks")
def test_what_was_put_in_place_and_not_recorded_is_gone_after_the_next_start(
    tmp_path: Path,
) -> None:
    with a_cache(tmp_path) as cache:
        keep(cache, PLACE)
        cache.keep_sidecar(PLACE, DEMO, Sidecar.METADATA, b"metadata")
        kept = files_below(tmp_path, "files")
    with closing(sqlite3.connect(tmp_path / "cache" / "cache.sqlite")) as died, died:
        for kind in ("", Sidecar.METADATA, Sidecar.PROVENANCE):
            place = (PLACE.index, PLACE.sha256_prefix, PLACE.filename)
            died.execute("INSERT INTO arrivals VALUES (?, ?, ?, ?)", (*place, kind))
    stray = tmp_path / "cache" / "files" / (PLACE.path + Sidecar.PROVENANCE)
    stray.write_bytes(b"not recorded")
    with a_cache(tmp_path) as cache:
        cache.tidy()
        assert files_below(tmp_path, "files") == kept
        with closing(sqlite3.connect(tmp_path / "cache" / "cache.sqlite")) as seen:
            assert seen.execute("SELECT count(*) FROM arrivals").fetchone() == (0,)
