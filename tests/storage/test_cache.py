"""Pages and files of mirrors, as two processes see them that share a cache."""

import hashlib
import os
import shutil
import zlib
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO

import pytest

from simpleindex_storage.cache import Cache
from simpleindex_storage.errors import NotStored, Unavailable
from simpleindex_storage.mirrored import KeptFile, KeptPage
from simpleindex_storage.model import Sidecar
from simpleindex_storage.names import FilePlace, ProjectName, parse_project_name
from tests.storage.caches import (
    DEMO,
    MIRROR,
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
from tests.storage.stores import FailingDisk, before_commits, disk_full, nothing

LATER = NOW + timedelta(hours=1)

# Pages


@pytest.mark.parametrize(
    "content",
    [None, b"", b"{}", b"a\x00\xff" * 700, os.urandom(5000), b"long" * 300_000],
    ids=["none", "empty", "short", "packed", "unpackable", "large"],
)
def test_a_page_is_seen_by_all_as_it_was_kept(content: bytes | None, tmp_path: Path) -> None:
    page = replace(a_page(content=content), last_modified="yesterday")
    with two_caches(tmp_path) as (cache, other):
        assert other.page(MIRROR, DEMO) is None
        kept = cache.keep_page(page)
        assert kept == replace(page, serial=1)
        assert cache.page(MIRROR, DEMO) == other.page(MIRROR, DEMO) == kept
    with a_cache(tmp_path) as again:
        assert again.page(MIRROR, DEMO) == kept


def test_a_page_belongs_to_its_index_and_project(tmp_path: Path) -> None:
    with a_cache(tmp_path) as cache:
        cache.keep_page(a_page())
        assert cache.page(OTHER, DEMO) is None
        assert cache.page(MIRROR, parse_project_name("demo2")) is None


@pytest.mark.parametrize(
    "after",
    [
        a_page(content=b"something else"),
        a_page(content=None),
        a_page(source="elsewhere"),
        a_page("another"),
        a_page(index=OTHER),
    ],
    ids=["content", "presence", "source", "project", "index"],
)
def test_every_process_sees_at_once_that_a_page_changed(after: KeptPage, tmp_path: Path) -> None:
    with two_caches(tmp_path) as (cache, other):
        cache.keep_page(a_page())
        assert (cache.agreed_serial(), other.agreed_serial()) == (1, 1)
        kept = cache.keep_page(after)
        assert kept.serial == other.agreed_serial() == other.settled_serial() == 2
        assert other.page(kept.index, kept.project) == kept


@pytest.mark.parametrize("content", [b"the same", None])
def test_what_is_confirmed_only_becomes_fresher(content: bytes | None, tmp_path: Path) -> None:
    with two_caches(tmp_path) as (cache, other):
        cache.keep_page(a_page(content=content))
        again = other.keep_page(a_page(content=content, etag='"2"', checked_at=LATER))
        assert again.serial == cache.agreed_serial() == 1
        assert cache.page(MIRROR, DEMO) == again
        other.renew_page(MIRROR, DEMO, NOW)
        assert cache.page(MIRROR, DEMO) == replace(again, checked_at=NOW)
        assert cache.agreed_serial() == 1


def test_renewing_a_page_that_is_not_kept_keeps_none(tmp_path: Path) -> None:
    with a_cache(tmp_path) as cache:
        cache.renew_page(MIRROR, DEMO, NOW)
        cache.change_page(MIRROR, DEMO, lambda content: content + b"!")
        assert cache.page(MIRROR, DEMO) is None


def test_a_page_is_changed_in_place(tmp_path: Path) -> None:
    with two_caches(tmp_path) as (cache, other):
        before = cache.keep_page(a_page(content=b"a page"))
        other.change_page(MIRROR, DEMO, lambda content: content + b", changed")
        changed = replace(before, content=b"a page, changed", serial=2)
        assert cache.page(MIRROR, DEMO) == changed
        other.change_page(MIRROR, DEMO, lambda content: content)
        assert cache.page(MIRROR, DEMO) == changed
        assert cache.agreed_serial() == 2
        assert cache.keep_page(a_page(content=b"a page, changed")).serial == 2


def test_a_page_of_a_project_that_upstream_does_not_have_is_not_changed(tmp_path: Path) -> None:
    with a_cache(tmp_path) as cache:
        kept = cache.keep_page(a_page(content=None))
        cache.change_page(MIRROR, DEMO, lambda content: content + b"!")
        assert cache.page(MIRROR, DEMO) == kept


def test_a_change_of_a_page_that_raises_changes_nothing(tmp_path: Path) -> None:
    def broken(_: bytes) -> bytes:
        raise zlib.error("a mistake")

    with a_cache(tmp_path) as cache:
        kept = cache.keep_page(a_page())
        with pytest.raises(zlib.error, match="a mistake"):
            cache.change_page(MIRROR, DEMO, broken)
        assert cache.page(MIRROR, DEMO) == kept
        assert cache.agreed_serial() == 1


def test_projects_are_those_that_upstream_has_in_order(tmp_path: Path) -> None:
    names = [f"p{number}" for number in range(2100)]
    with a_cache(tmp_path) as cache:
        with cache._records.change() as change:  # one commit is quicker than 2,100
            for name in reversed(names):
                change.put_page(a_page(name, content=None), None)
        for name in ("p7", "p19"):
            cache.keep_page(a_page(name))
        cache.keep_page(a_page("p1", index=OTHER))
        assert list(cache.projects(MIRROR)) == ["p19", "p7"]
        with cache._records.change() as change:
            change._connection.execute("UPDATE pages SET content_sha256 = x'00'")
        assert list(cache.projects(MIRROR)) == sorted(names)
        assert list(cache.projects(OTHER)) == ["p1"]


# Files


def test_a_file_is_seen_by_all_as_it_came(tmp_path: Path) -> None:
    place, clock = a_place(), Clock()
    with two_caches(tmp_path, clock) as (cache, other):
        kept = keep(cache, place, b"some bytes")
        sha256 = hashlib.sha256(b"some bytes").hexdigest()
        assert kept == KeptFile(place, DEMO, 10, sha256, NOW, NOW)
        assert other.file(place) == kept
        assert read(other, place) == read(cache, place) == b"some bytes"
        assert other.filenames(MIRROR, DEMO) == {place.filename}
        assert other.filenames(OTHER, DEMO) == frozenset()
        assert files_below(tmp_path) == {place.path: b"some bytes"}
        assert files_below(tmp_path, "parts") == {}


def test_a_file_changes_no_page(tmp_path: Path) -> None:
    with a_cache(tmp_path) as cache:
        keep(cache, a_place())
        assert cache.agreed_serial() == 0


def test_files_that_are_not_kept_are_not_there(tmp_path: Path) -> None:
    with a_cache(tmp_path) as cache:
        keep(cache, a_place())
        for place in (
            a_place("2.0"),
            a_place(index=OTHER),
            replace(a_place(), sha256_prefix="f" * 16),
        ):
            assert cache.file(place) is None
            with pytest.raises(NotStored, match=r"demo-.*\.whl"):
                cache.open(place)


@pytest.mark.parametrize("harm", ["removed", "shortened", "a link", "a folder less"])
def test_a_file_whose_bytes_were_touched_behind_our_back_is_not_kept_any_more(
    harm: str, tmp_path: Path
) -> None:
    place, path = a_place(), path_of(tmp_path, a_place())
    with two_caches(tmp_path) as (cache, other):
        keep(cache, place)
        elsewhere = tmp_path / "elsewhere"
        elsewhere.write_bytes(b"the bytes")
        if harm == "a folder less":
            path.unlink()
            path.parent.rmdir()
        elif harm == "shortened":
            path.write_bytes(b"the")
        else:
            path.unlink()
        if harm == "a link":
            path.symlink_to(elsewhere)
        with pytest.raises(NotStored):
            other.open(place)
        assert cache.file(place) is None
        assert files_below(tmp_path) == {}
        assert cache.usage() == ()
        assert elsewhere.read_bytes() == b"the bytes"
        keep(cache, place)
        assert read(other, place) == b"the bytes"


def test_other_bytes_replace_those_that_were_kept(tmp_path: Path) -> None:
    place = a_place()
    with two_caches(tmp_path) as (cache, other):
        keep(cache, place, b"old bytes")
        _, old = other.open(place)
        keep(other, place, b"new bytes")
        with old:
            assert old.read() == b"old bytes"
        assert read(cache, place) == b"new bytes"
        assert [usage.size_bytes for usage in cache.usage()] == [9]


def test_nobody_gets_new_bytes_for_those_of_an_old_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = a_place()
    with two_caches(tmp_path) as (cache, other):
        keep(cache, place, b"old bytes")
        open_bytes = other._files.open
        replaced: list[KeptFile] = []

        def replaced_meanwhile(place: FilePlace) -> BinaryIO:
            if not replaced:  # after the record was read
                replaced.append(keep(cache, place, b"new bytes"))
            return open_bytes(place)

        monkeypatch.setattr(other._files, "open", replaced_meanwhile)
        kept, content = other.open(place)
        with content:
            assert content.read() == b"new bytes"
        assert kept == replaced[0]


def test_an_old_record_is_gone_before_other_bytes_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = a_place()
    recorded: list[KeptFile | None] = []
    with two_caches(tmp_path) as (cache, other):
        link = cache._files.link

        def look_and_link(part: Path, place: FilePlace) -> None:
            recorded.append(other.file(place))
            link(part, place)

        monkeypatch.setattr(cache._files, "link", look_and_link)
        kept = keep(cache, place, b"old bytes")
        keep(cache, place, b"old bytes")
        keep(cache, place, b"new bytes")
    assert recorded == [None, kept, None]


def test_what_lies_at_a_place_without_a_record_is_replaced(tmp_path: Path) -> None:
    place = a_place()
    path = path_of(tmp_path, place)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"a left-over")
    with a_cache(tmp_path) as cache:
        keep(cache, place)
        assert read(cache, place) == b"the bytes"


def test_a_file_that_is_open_is_read_to_its_end_although_it_is_gone(tmp_path: Path) -> None:
    with a_cache(tmp_path) as cache:
        keep(cache, a_place())
        _, content = cache.open(a_place())
        assert len(cache.evict(0, 0)) == 1
        with content:
            assert content.read() == b"the bytes"


# What lies beside files


def test_sidecars_are_kept_with_the_file_or_without(tmp_path: Path) -> None:
    place = a_place()
    with two_caches(tmp_path) as (cache, other):
        cache.keep_sidecar(place, DEMO, Sidecar.METADATA, b"Name: demo\n")
        assert other.sidecar(place, Sidecar.METADATA) == b"Name: demo\n"
        assert other.sidecar(place, Sidecar.PROVENANCE) is None
        assert other.file(place) is None
        with pytest.raises(NotStored):
            other.open(place)
        assert cache.filenames(MIRROR, DEMO) == frozenset()
        keep(cache, place)
        cache.keep_sidecar(place, DEMO, Sidecar.PROVENANCE, b"{}")
        cache.keep_sidecar(place, DEMO, Sidecar.METADATA, b"Name: demo\nVersion: 1\n")
        assert files_below(tmp_path) == {
            place.path: b"the bytes",
            f"{place.path}.metadata": b"Name: demo\nVersion: 1\n",
            f"{place.path}.provenance": b"{}",
        }
        assert [(each.files, each.size_bytes) for each in cache.usage()] == [(1, 9 + 22 + 2)]
        assert files_below(tmp_path, "parts") == {}


def test_a_sidecar_whose_bytes_were_touched_is_not_kept_any_more(tmp_path: Path) -> None:
    place = a_place()
    with a_cache(tmp_path) as cache:
        keep(cache, place)
        cache.keep_sidecar(place, DEMO, Sidecar.METADATA, b"Name: demo\n")
        (tmp_path / "cache" / "files" / f"{place.path}.metadata").write_bytes(b"Name: evil2\n")
        assert cache.sidecar(place, Sidecar.METADATA) is None
        assert files_below(tmp_path) == {place.path: b"the bytes"}
        assert [each.size_bytes for each in cache.usage()] == [9]
        assert read(cache, place) == b"the bytes"


# Forgetting


def test_a_project_is_forgotten_with_all_that_belongs_to_it(tmp_path: Path) -> None:
    other_place = a_place(project="other")
    with two_caches(tmp_path) as (cache, other):
        for name in ("demo", "other"):
            cache.keep_page(a_page(name))
        for number in range(3):
            keep(cache, a_place(f"1.{number}"))
            cache.keep_sidecar(a_place(f"1.{number}"), DEMO, Sidecar.METADATA, b"metadata")
        cache.keep_sidecar(a_place("2.0"), DEMO, Sidecar.METADATA, b"metadata")
        keep(cache, other_place, project=ProjectName("other"))
        other.forget_project(MIRROR, DEMO)
        assert cache.agreed_serial() == 3
        assert cache.page(MIRROR, DEMO) is None
        assert list(cache.projects(MIRROR)) == ["other"]
        assert files_below(tmp_path) == {other_place.path: b"the bytes"}
        assert cache.filenames(MIRROR, DEMO) == frozenset()
        other.forget_project(MIRROR, DEMO)
        assert cache.agreed_serial() == 3


def test_an_index_is_forgotten_with_all_that_belongs_to_it(tmp_path: Path) -> None:
    with a_cache(tmp_path) as cache:
        for index in (MIRROR, OTHER):
            keep(cache, a_place(index=index))
            for number in range(250):
                cache.keep_page(a_page(f"p{number}", index=index))
            with cache.names_writer(index) as writer:
                writer.add([DEMO])
                writer.finish(None, None, "upstream", NOW)
        for number in range(150):
            cache.keep_sidecar(a_place(f"2.{number}"), DEMO, Sidecar.METADATA, b"m")
        serial = cache.settled_serial()
        cache.forget_index(MIRROR)
        assert cache.settled_serial() > serial
        assert [usage.index for usage in cache.usage()] == [OTHER]
        assert list(cache.projects(MIRROR)) == []
        assert cache.names(MIRROR) is None
        assert cache.names(OTHER) is not None
        assert set(files_below(tmp_path)) == {a_place(index=OTHER).path}
        assert set(files_below(tmp_path, "lists")) == {"root+other.names"}
        assert sorted(path.name for path in (tmp_path / "cache" / "files" / "root").iterdir()) == [
            "other"
        ]


# Disks that fail


def test_a_full_disk_keeps_nothing_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = a_place()
    with before_commits(monkeypatch) as watch, a_cache(tmp_path) as cache:
        keep(cache, a_place("0.9"))
        page = cache.keep_page(a_page())
        watch(disk_full)
        with pytest.raises(Unavailable, match="the cache cannot be written") as raised:
            cache.keep_page(a_page(content=b"other"))
        assert raised.value.full
        with pytest.raises(Unavailable) as raised:
            keep(cache, place)
        assert raised.value.full
        assert set(files_below(tmp_path)) == {a_place("0.9").path}
        with pytest.raises(Unavailable):
            cache.keep_sidecar(place, DEMO, Sidecar.METADATA, b"metadata")
        with pytest.raises(Unavailable):
            cache.evict(0, 0)
        watch(nothing)
        assert cache.page(MIRROR, DEMO) == page
        assert cache.file(place) is None
        assert cache.sidecar(place, Sidecar.METADATA) is None
        assert files_below(tmp_path, "parts") == {}
        cache.keep_page(a_page(content=b"other"))
        assert cache.agreed_serial() == 2
        keep(cache, place)
        assert read(cache, place) == b"the bytes"
        with pytest.raises(NotStored):
            cache.open(a_place("0.9"))  # removed by the eviction whose commit failed
        cache.gc()
        assert set(files_below(tmp_path)) == {place.path}


def test_each_call_that_fails_for_want_of_room_leaves_a_cache_that_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = FailingDisk(monkeypatch)
    with a_cache(tmp_path) as cache:
        number = 0
        while True:
            number += 1
            place = a_place(f"1.{number}")
            disk.fail(lambda call, _, number=number: call == number)  # type: ignore[misc]
            try:
                keep(cache, place)
            except Unavailable as error:
                assert error.full
                disk.heal()
                assert cache.file(place) is None
                assert not cache.watch(place).is_held()
                cache.gc()
                assert not path_of(tmp_path, place).exists()
                keep(cache, place)
                assert read(cache, place) == b"the bytes"
            else:
                break
        assert number > 4
        assert files_below(tmp_path, "parts") == {}


def test_pages_and_files_are_readable_by_their_owner_alone(tmp_path: Path) -> None:
    with a_cache(tmp_path) as cache:
        keep(cache, a_place())
        cache.keep_sidecar(a_place(), DEMO, Sidecar.METADATA, b"metadata")
        cache.keep_page(a_page())
        with cache.names_writer(MIRROR) as writer:
            writer.add([DEMO])
            writer.finish(None, None, "upstream", NOW)
        folder = tmp_path / "cache"
        assert folder.stat().st_mode & 0o777 == 0o700
        modes = {
            path.relative_to(folder).as_posix(): path.stat().st_mode & 0o777
            for path in folder.rglob("*")
            if path.is_file()
        }
        assert {name for name, mode in modes.items() if mode != 0o600} == set()
        assert {"cache.sqlite", "cache.sqlite-wal", "generation", "lists/root+mirror.names"} <= set(
            modes
        )


def test_the_folder_may_be_deleted_while_nobody_uses_it(tmp_path: Path) -> None:
    with a_cache(tmp_path) as cache:
        cache.keep_page(a_page())
        keep(cache, a_place())
    shutil.rmtree(tmp_path / "cache")
    with a_cache(tmp_path) as cache:
        assert cache.page(MIRROR, DEMO) is None
        assert cache.file(a_place()) is None


def test_a_closed_cache_says_so(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", Clock())
    cache.close()
    with pytest.raises(Unavailable, match="closed"):
        cache.keep_page(a_page())


def test_a_part_may_be_left_after_the_cache_was_closed(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", Clock())
    part = receiving(cache, a_place())
    cache.close()
    part.close()
    with a_cache(tmp_path) as again:
        keep(again, a_place())


def test_what_upstream_had_not_is_forgotten_and_nothing_else(tmp_path: Path) -> None:
    clock, nobody = Clock(), parse_project_name("nobody")
    with a_cache(tmp_path, clock) as cache:
        cache.keep_page(a_page("demo", checked_at=clock()))
        cache.keep_page(a_page("nobody", None, checked_at=clock()))
        cache.forget_absent(clock())
        assert cache.page(MIRROR, nobody) is not None
        cache.forget_absent(clock() + timedelta(seconds=1))
        assert cache.page(MIRROR, nobody) is None
        assert cache.page(MIRROR, DEMO) is not None
