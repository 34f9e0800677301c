"""The cache's SQLite file: opened, begun anew where it is damaged, brought up to date."""

import logging
import os
import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from simpleindex_storage import cache_sql, cache_sqlite
from simpleindex_storage.cache import Cache
from simpleindex_storage.errors import Refused, Unavailable
from simpleindex_storage.generation import Generation
from simpleindex_storage.names import IndexName
from tests.storage.caches import (
    DEMO,
    MIRROR,
    Clock,
    a_cache,
    a_page,
    a_place,
    files_below,
    keep,
    read,
    two_caches,
)
from tests.storage.stores import FailingDisk

OPENING_SECONDS_MAX = 0.02


def fill(root: Path) -> None:
    with a_cache(root) as cache:
        for number in range(100):
            cache.keep_page(a_page(f"p{number}", os.urandom(2000)))
        keep(cache, a_place())


def execute(root: Path, statement: str) -> None:
    with closing(sqlite3.connect(root / "cache" / "cache.sqlite")) as connection:
        connection.execute(statement)
        connection.commit()


def test_opening_takes_an_instant(tmp_path: Path) -> None:
    fill(tmp_path)
    took = []
    for _ in range(5):  # another process may be in the way once
        begun = time.perf_counter()
        cache = Cache(tmp_path / "cache", Clock())
        took.append(time.perf_counter() - begun)
        cache.close()
    assert min(took) < OPENING_SECONDS_MAX


def test_commits_are_written_ahead_and_not_synced_one_by_one(tmp_path: Path) -> None:
    with a_cache(tmp_path) as cache:
        cache.keep_page(a_page())
        writing = cache._records._writing
        assert writing.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert writing.execute("PRAGMA synchronous").fetchone() == (1,)
        assert writing.execute("PRAGMA application_id").fetchone() == (cache_sql.APPLICATION_ID,)


def test_a_page_that_packs_well_takes_little_room(tmp_path: Path) -> None:
    with a_cache(tmp_path) as cache:
        cache.keep_page(a_page(content=b"long" * 100_000))
        cache.keep_page(a_page("random", os.urandom(1000)))
        sizes = cache._records._writing.execute("SELECT is_packed, length(content) FROM contents")
        (packed, packed_bytes), (unpacked, unpacked_bytes) = sizes.fetchall()
        assert (packed, unpacked, unpacked_bytes) == (1, 0, 1000)
        assert packed_bytes < 5000


def test_renewing_a_large_page_writes_little(tmp_path: Path) -> None:
    with a_cache(tmp_path) as cache:
        cache.keep_page(a_page(content=os.urandom(1 << 20)))
        log = tmp_path / "cache" / "cache.sqlite-wal"
        cache._records._writing.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        cache.renew_page(MIRROR, DEMO, Clock().go_on())
        assert 0 < log.stat().st_size < 64 << 10


@pytest.mark.parametrize(
    "harm", ["garbage", "cut", "hole", "another program's", "a catalog", "no table"]
)
def test_a_file_that_cannot_be_used_is_set_aside_and_begun_anew(
    harm: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fill(tmp_path)
    path = tmp_path / "cache" / "cache.sqlite"
    if harm == "garbage":
        path.write_bytes(b"garbage" * 1000)
    elif harm == "cut":
        os.truncate(path, 5000)
    elif harm == "hole":
        with path.open("r+b") as file:
            file.seek(20)
            file.write(bytes(5000))
    elif harm == "another program's":
        path.unlink()
        execute(tmp_path, "CREATE TABLE photos (name)")
    elif harm == "a catalog":
        execute(tmp_path, "PRAGMA application_id = 0x53495831")
    else:
        execute(tmp_path, "DROP TABLE facts")
    before = path.read_bytes()
    with caplog.at_level(logging.WARNING), two_caches(tmp_path) as (cache, other):
        (line,) = caplog.messages
        assert "cache.sqlite.damaged" in line
        assert "\n" not in line
        assert path.with_name("cache.sqlite.damaged").read_bytes() == before
        assert path.stat().st_mode & 0o777 == 0o600
        assert cache.page(MIRROR, DEMO) is None
        assert cache.file(a_place()) is None
        cache.keep_page(a_page())
        assert other.page(MIRROR, DEMO) == cache.page(MIRROR, DEMO)
        assert len(files_below(tmp_path)) == 1  # without a record
        cache.gc()
        assert files_below(tmp_path) == {}


def test_a_log_of_commits_of_a_file_that_was_set_aside_is_not_taken_for_the_new_ones(
    tmp_path: Path,
) -> None:
    path = tmp_path / "cache" / "cache.sqlite"
    with a_cache(tmp_path) as cache:
        cache.keep_page(a_page())
        execute(tmp_path, "PRAGMA application_id = 0x53495831")
        log = path.with_name("cache.sqlite-wal").read_bytes()
        assert log
    path.with_name("cache.sqlite-wal").write_bytes(log)
    with a_cache(tmp_path) as cache:
        assert cache.page(MIRROR, DEMO) is None
        cache.keep_page(a_page())
    with a_cache(tmp_path) as cache:
        assert cache.page(MIRROR, DEMO) is not None


def test_a_new_file_does_not_tell_old_serials_again(tmp_path: Path) -> None:
    fill(tmp_path)
    (tmp_path / "cache" / "cache.sqlite").unlink()
    with a_cache(tmp_path) as cache:
        assert cache.agreed_serial() == 100
        assert cache.keep_page(a_page()).serial == cache.agreed_serial() == 101


def test_a_file_that_is_whole_after_all_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "cache" / "cache.sqlite"
    with a_cache(tmp_path) as cache:
        cache.keep_page(a_page())
    suspicion = path.with_name("cache.sqlite.suspect")
    suspicion.touch()
    with a_cache(tmp_path) as cache:
        assert cache.page(MIRROR, DEMO) is not None
    assert not suspicion.exists()
    assert not path.with_name("cache.sqlite.damaged").exists()


def test_words_that_are_damaged_are_not_believed(tmp_path: Path) -> None:
    fill(tmp_path)
    (tmp_path / "cache" / "generation").write_bytes(b"\xff" * 16)
    with a_cache(tmp_path) as cache:
        assert cache.agreed_serial() == 100
        assert cache.keep_page(a_page()).serial == cache.agreed_serial() == 101


def test_damage_that_is_found_later_is_dealt_with_at_the_next_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fill(tmp_path)
    path = tmp_path / "cache" / "cache.sqlite"
    with path.open("r+b") as file:
        file.seek(0, os.SEEK_END)
        size_bytes = file.tell()
        file.seek(40_960)
        file.write(os.urandom(size_bytes - 40_960))
    with a_cache(tmp_path) as cache:
        with pytest.raises(Unavailable, match="the cache cannot be"):
            for number in range(100):
                cache.keep_page(a_page(f"p{number}", b"new"))
        assert caplog.messages == []
    with a_cache(tmp_path) as cache:
        assert len(caplog.messages) == 1
        cache.keep_page(a_page())
    with a_cache(tmp_path) as cache:
        assert cache.page(MIRROR, DEMO) is not None
        assert len(caplog.messages) == 1


def test_a_newer_versions_file_is_refused_and_left_alone(tmp_path: Path) -> None:
    fill(tmp_path)
    execute(tmp_path, f"PRAGMA user_version = {len(cache_sql.MIGRATIONS) + 1}")
    with pytest.raises(Refused, match=r"cache\.sqlite: a newer simpleindex-server made this cache"):
        Cache(tmp_path / "cache", Clock())
    execute(tmp_path, f"PRAGMA user_version = {len(cache_sql.MIGRATIONS)}")
    with a_cache(tmp_path) as cache:
        assert read(cache, a_place()) == b"the bytes"


def test_an_older_versions_file_is_brought_up_to_date(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path)
    more = (*cache_sql.MIGRATIONS, "ALTER TABLE pages ADD COLUMN note TEXT;")
    monkeypatch.setattr(cache_sql, "MIGRATIONS", more)
    with two_caches(tmp_path) as (cache, _):
        assert read(cache, a_place()) == b"the bytes"
        version = cache._records._writing.execute("PRAGMA user_version").fetchone()
        assert version == (len(more),)


def test_a_file_that_somebody_else_keeps_locked_is_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_sqlite, "_BUSY_SECONDS", 0.0)
    with a_cache(tmp_path) as cache:
        somebody = sqlite3.connect(tmp_path / "cache" / "cache.sqlite", isolation_level=None)
        somebody.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable, match="the cache cannot be written: database is locked"):
            cache.keep_page(a_page())
        assert cache.page(MIRROR, DEMO) is None
        somebody.execute("ROLLBACK")
        somebody.close()
        cache.keep_page(a_page())
        assert cache.agreed_serial() == 1


def test_a_folder_that_cannot_be_made_is_told_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    FailingDisk(monkeypatch).fail(lambda _, name: name == "mkdir")
    with pytest.raises(Unavailable, match=r"cache cannot be written: the disk is full") as raised:
        Cache(tmp_path / "cache", Clock())
    assert raised.value.full


def test_a_reader_heals_what_a_writer_left_that_died_after_its_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with a_cache(tmp_path) as cache:
        with monkeypatch.context() as patched:
            patched.setattr(Generation, "settle", lambda self, serial: None)
            cache.keep_page(a_page())
        assert cache.agreed_serial() is None
        assert cache.page(MIRROR, DEMO) is not None
        assert cache.agreed_serial() == 1


def test_names_are_data_and_never_sql(tmp_path: Path) -> None:
    page = a_page(source="x'); DROP TABLE pages; --", etag="' OR '1'='1")
    with a_cache(tmp_path) as cache:
        cache.keep_page(page)
        assert cache.page(MIRROR, DEMO) == replace(page, serial=1)
        assert cache.page(IndexName("x' OR '1'='1"), DEMO) is None
