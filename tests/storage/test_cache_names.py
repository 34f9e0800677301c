"""Lists of all names of an upstream: sorted on the disk, replaced whole."""

import errno
import hashlib
import heapq
import random
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

import pytest

from simpleindex_storage import cache_names
from simpleindex_storage.cache import Cache
from simpleindex_storage.errors import NotStored, Unavailable
from simpleindex_storage.mirrored import KeptNames
from simpleindex_storage.names import IndexName, ProjectName
from tests.storage.caches import DEMO, MIRROR, NOW, OTHER, a_cache, sort_names, two_caches
from tests.storage.other_process import elsewhere
from tests.storage.stores import FailingDisk, before_commits, disk_full, nothing

SORTING_BYTES_MAX = 40 << 20
"""Of memory, on top of what a process has that has a cache open."""


def keep_names(
    cache: Cache, *names: str, index: IndexName = MIRROR, source: str = "upstream"
) -> None:
    with cache.names_writer(index) as writer:
        for name in names:
            writer.add([ProjectName(name)])
        writer.finish('"1"', "yesterday", source, NOW)


def listed(cache: Cache, index: IndexName = MIRROR) -> list[str]:
    with cache.open_names(index) as file:
        return file.read().decode().splitlines()


def test_names_are_sorted_and_each_is_there_once(tmp_path: Path) -> None:
    with two_caches(tmp_path) as (cache, other):
        assert other.names(MIRROR) is None
        with pytest.raises(NotStored, match="root/mirror"):
            other.open_names(MIRROR)
        keep_names(cache, "b", "demo-x", "a", "demo", "b", "demo1")
        content = b"a\nb\ndemo\ndemo-x\ndemo1\n"
        assert other.names(MIRROR) == KeptNames(
            index=MIRROR,
            source="upstream",
            count=5,
            size_bytes=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
            etag='"1"',
            last_modified="yesterday",
            checked_at=NOW,
            path=tmp_path / "cache" / "lists" / "root+mirror.names",
        )
        with other.open_names(MIRROR) as file:
            assert file.read() == content
        assert other.names(OTHER) is None


def test_a_list_may_be_empty(tmp_path: Path) -> None:
    with a_cache(tmp_path) as cache:
        keep_names(cache)
        assert listed(cache) == []


@pytest.mark.parametrize("per_run", [1, 7, 999, 1000, 1001])
def test_a_list_of_many_runs_is_the_same(
    per_run: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_names, "_NAMES_PER_RUN", per_run)
    monkeypatch.setattr(cache_names, "_LINES_AT_ONCE", 100)
    names = [f"p{number % 700}" for number in range(1000)]
    random.Random(1).shuffle(names)
    with a_cache(tmp_path) as cache:
        keep_names(cache, *names)
        assert listed(cache) == sorted(set(names))
        assert [path.name for path in (tmp_path / "cache" / "lists").iterdir()] == [
            "root+mirror.names"
        ]


def test_few_files_are_open_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_names, "_NAMES_PER_RUN", 1)
    monkeypatch.setattr(cache_names, "_RUNS_MAX", 4)
    merged: list[int] = []
    merge = heapq.merge

    def counted_merge(*runs: Iterable[bytes]) -> Iterable[bytes]:
        merged.append(len(runs))
        return merge(*runs)

    monkeypatch.setattr(heapq, "merge", counted_merge)
    with a_cache(tmp_path) as cache:
        keep_names(cache, *"hgfedcba")
        assert listed(cache) == list("abcdefgh")
    assert max(merged) == 4


def test_a_long_list_is_sorted_in_little_memory(tmp_path: Path) -> None:
    with elsewhere(sort_names, str(tmp_path), "100000") as other:
        exit_code, printed = other.end()
    assert exit_code == 0
    with a_cache(tmp_path) as cache:
        names = listed(cache)
        kept = cache.names(MIRROR)
        assert kept is not None
        assert len(names) == kept.count == 100_000
        assert names == sorted(names)
        assert kept.size_bytes == 100_000 * 257
    assert int(printed) < SORTING_BYTES_MAX


def test_everybody_sees_at_once_that_a_list_changed(tmp_path: Path) -> None:
    with two_caches(tmp_path) as (cache, other):
        keep_names(cache, "a")
        assert other.agreed_serial() == 1
        keep_names(cache, "a")
        other.renew_names(MIRROR, NOW + timedelta(hours=1))
        kept = cache.names(MIRROR)
        assert kept is not None
        assert kept.checked_at == NOW + timedelta(hours=1)
        assert other.agreed_serial() == 1
        keep_names(cache, "a", "b")
        assert other.agreed_serial() == 2
        assert listed(other) == ["a", "b"]


def test_who_reads_a_list_reads_the_whole_of_it_although_it_is_replaced(tmp_path: Path) -> None:
    with a_cache(tmp_path) as cache:
        keep_names(cache, "a", "b")
        with cache.open_names(MIRROR) as file:
            keep_names(cache, "c")
            assert file.read() == b"a\nb\n"


def test_a_list_that_is_not_finished_replaces_none(tmp_path: Path) -> None:
    with a_cache(tmp_path) as cache:
        keep_names(cache, "a")
        with pytest.raises(RuntimeError, match="cut"), cache.names_writer(MIRROR) as writer:
            writer.add([DEMO])
            raise RuntimeError("cut")
        assert listed(cache) == ["a"]
        assert [path.name for path in (tmp_path / "cache" / "lists").iterdir()] == [
            "root+mirror.names"
        ]


def test_a_list_whose_file_is_gone_is_not_kept_any_more(tmp_path: Path) -> None:
    with a_cache(tmp_path) as cache:
        keep_names(cache, "a")
        (tmp_path / "cache" / "lists" / "root+mirror.names").unlink()
        with pytest.raises(NotStored):
            cache.open_names(MIRROR)
        assert cache.names(MIRROR) is None


def test_a_list_that_does_not_fit_replaces_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with before_commits(monkeypatch) as watch, a_cache(tmp_path) as cache:
        keep_names(cache, "a")
        disk = FailingDisk(monkeypatch)
        for call in ("fsync", "replace", "mkdir"):
            disk.fail(lambda _, name, call=call: name == call)  # type: ignore[misc]
            with pytest.raises(Unavailable) as raised:
                keep_names(cache, "b")
            assert raised.value.full
        disk.heal()
        assert listed(cache) == ["a"]
        watch(disk_full)
        with pytest.raises(Unavailable):
            keep_names(cache, "b")
        watch(nothing)
        assert cache.agreed_serial() is None or cache.agreed_serial() == 1
        keep_names(cache, "b")
        assert listed(cache) == ["b"]
        assert cache.settled_serial() == 2


def test_a_list_that_could_not_be_taken_back_goes_with_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    lists = tmp_path / "cache" / "lists"
    with before_commits(monkeypatch) as watch, a_cache(tmp_path) as cache:
        watch(disk_full)
        with monkeypatch.context() as read_only:
            read_only.setattr(Path, "unlink", fail)
            with pytest.raises(Unavailable):
                keep_names(cache, "a")
        watch(nothing)
        assert [path.name for path in lists.iterdir()] == ["root+mirror.names"]
        with cache.names_writer(IndexName("root/other")):
            pass
        assert list(lists.iterdir()) == []
