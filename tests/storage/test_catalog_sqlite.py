"""The catalog in an SQLite file: what the contract cannot say of every backend."""

import os
import re
import sqlite3
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from simpleindex_storage import catalog_sql, sqlite_file, upkeep
from simpleindex_storage.catalog_sqlite import SqliteCatalog, create_catalog
from simpleindex_storage.errors import AlreadyStored, Unavailable
from simpleindex_storage.generation import Generation
from simpleindex_storage.journal import Journal
from simpleindex_storage.model import Actor, DistFile, User
from simpleindex_storage.names import IndexName, UserName
from simpleindex_storage.ports import Change
from simpleindex_storage.records import file_json, index_json, release_json, time_text, user_json
from tests.storage.contract_catalog import (
    DEMO,
    ROOT,
    CatalogContract,
    change,
    put_index,
    put_user,
    record,
    remove_demo,
)
from tests.storage.stores import (
    LOCAL,
    NOW,
    WAIT_SECONDS_MAX,
    FailingDisk,
    a_file,
    a_release,
    a_stage,
    before_commits,
    disk_full,
    held_up,
    journal_of,
    nothing,
    serial_of,
    wait_until,
)


def open_catalog(root: Path) -> SqliteCatalog:
    root.mkdir(exist_ok=True)
    if not (root / "catalog.sqlite").exists():
        create_catalog(root, lambda change: None, NOW)
    journal, generation = Journal(root), Generation(root / "generation")
    return SqliteCatalog(root, journal, generation, lambda: NOW)


class TestSqliteCatalog(CatalogContract):
    def open(self, root: Path) -> SqliteCatalog:
        return open_catalog(root)


def a_user(number: int) -> User:
    return replace(ROOT, name=UserName(f"user{number}"))


# The journal


def test_the_journal_tells_every_change_with_its_serial_time_and_author(tmp_path: Path) -> None:
    catalog = open_catalog(tmp_path)
    file = a_file()
    change(catalog, lambda it: it.put_user(ROOT), who="")
    put_index(catalog)
    record(catalog, file)
    catalog.change(lambda it: it.remove_file(file), by=Actor("ada"), what="remove")
    catalog.close()
    time = time_text(NOW)
    assert journal_of(tmp_path) == [
        {
            "serial": 0,
            "time": time,
            "who": "",
            "from": "console",
            "what": "init",
            "facts": [["server", {"uuid": catalog.uuid}]],
        },
        {
            "serial": 1,
            "time": time,
            "who": "",
            "from": None,
            "what": "test",
            "facts": [["user", user_json(ROOT)]],
        },
        {
            "serial": 2,
            "time": time,
            "who": "root",
            "from": None,
            "what": "test",
            "facts": [["index", index_json(a_stage())]],
        },
        {
            "serial": 3,
            "time": time,
            "who": "root",
            "from": None,
            "what": "test",
            "facts": [
                ["release", release_json(a_release(file), "demo")],
                ["file", file_json(file)],
            ],
        },
        {
            "serial": 4,
            "time": time,
            "who": "ada",
            "from": None,
            "what": "remove",
            "facts": [["file removed", {"index": file.index, "filename": file.filename}]],
        },
    ]


def test_the_journal_tells_when_a_name_comes_to_be_kept_and_when_it_is_given_up(
    tmp_path: Path,
) -> None:
    catalog = open_catalog(tmp_path)
    put_index(catalog)
    record(catalog, a_file())
    change(catalog, remove_demo)
    change(catalog, lambda it: it.forget_former(LOCAL, DEMO))
    catalog.close()
    demo = {"index": "root/local", "project": "demo"}
    assert journal_of(tmp_path)[-2]["facts"][-1] == ["project removed", demo]
    assert journal_of(tmp_path)[-1]["facts"] == [["name given up", demo]]


def test_the_journal_tells_nothing_of_what_did_not_happen(tmp_path: Path) -> None:
    catalog = open_catalog(tmp_path)
    put_index(catalog)
    record(catalog, a_file())
    with pytest.raises(AlreadyStored):
        record(catalog, a_file(content=b"other bytes"))
    change(catalog, lambda it: it.users())
    change(catalog, lambda it: it.forget_removal(a_file().place))
    catalog.close()
    assert [line["serial"] for line in journal_of(tmp_path)] == [0, 1, 2]


def test_the_journal_is_on_the_disk_before_the_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = []
    fsync = os.fsync

    def logged_fsync(handle: int) -> None:
        fsync(handle)
        steps.append(f"sync {Path(f'/proc/self/fd/{handle}').readlink().name}")

    with before_commits(monkeypatch) as watch:
        catalog = open_catalog(tmp_path)
        watch(lambda: steps.append(f"commit after {len(journal_of(tmp_path))} lines"))
        monkeypatch.setattr(os, "fsync", logged_fsync)
        put_user(catalog)
        catalog.close()
    assert steps == ["sync journal.jsonl", "commit after 2 lines"]


# Commits that several changes share


def test_changes_that_wait_for_the_same_writer_share_a_commit_and_have_a_serial_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits = []
    with before_commits(monkeypatch) as watch:
        catalog = open_catalog(tmp_path)
        watch(lambda: commits.append("commit"))
        with held_up(catalog) as ask:
            asked = [ask(lambda it, n=n: _put(it, n)) for n in range(16)]  # type: ignore[misc]
        assert [it.result(WAIT_SECONDS_MAX) for it in asked] == list(range(16))
    assert commits == ["commit"]
    assert serial_of(catalog) == 16
    assert catalog.agreed_serial() == 16
    catalog.close()
    assert [line["serial"] for line in journal_of(tmp_path)] == list(range(17))


def test_one_change_of_a_shared_commit_that_raises_harms_no_other(tmp_path: Path) -> None:
    catalog = open_catalog(tmp_path)

    def put_twice(it: Change) -> None:
        _put(it, 1)
        it.put_user(replace(a_user(2), name=UserName("USER0")))

    with held_up(catalog) as ask:
        first = ask(lambda it: _put(it, 0))
        second = ask(put_twice)
        third = ask(lambda it: _put(it, 2))
    assert (first.result(), third.result()) == (0, 2)
    with pytest.raises(AlreadyStored, match="USER0"):
        second.result()
    with catalog.snapshot() as seen:
        assert [user.name for user in seen.users()] == ["user0", "user2"]
        assert seen.serial == 2
    catalog.close()
    assert [line["serial"] for line in journal_of(tmp_path)] == [0, 1, 2]


def test_text_that_no_encoding_has_harms_no_other_change_of_its_commit(tmp_path: Path) -> None:
    catalog = open_catalog(tmp_path)
    odd = replace(a_user(1), profile={"title": "half \ud83d"})
    with held_up(catalog) as ask:
        asked: list[Future[object]] = [
            ask(lambda it: _put(it, 0)),
            ask(lambda it: it.put_user(odd)),
        ]
    for it in asked:
        it.result(WAIT_SECONDS_MAX)
    catalog.close()
    assert journal_of(tmp_path)[2]["facts"] == [["user", user_json(odd)]]


def test_everybody_hears_of_a_commit_that_fails_and_nothing_of_it_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with before_commits(monkeypatch) as watch:
        catalog = open_catalog(tmp_path)
        put_user(catalog)
        with held_up(catalog) as ask:
            watch(disk_full)
            asked = [ask(lambda it, n=n: _put(it, n)) for n in range(3)]  # type: ignore[misc]
        for it in asked:
            with pytest.raises(Unavailable, match="disk is full") as raised:
                it.result(WAIT_SECONDS_MAX)
            assert raised.value.full
        with catalog.snapshot() as seen:
            assert (seen.serial, seen.users()) == (1, (ROOT,))
        watch(nothing)
        put_index(catalog)
        assert serial_of(catalog) == catalog.agreed_serial() == 2
        catalog.close()
    assert [(line["serial"], line["facts"][0][0]) for line in journal_of(tmp_path)[1:]] == [
        (1, "user"),
        (2, "index"),
    ]


def test_a_journal_that_cannot_be_written_is_told_in_words_and_nothing_is_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog = open_catalog(tmp_path)
    disk = FailingDisk(monkeypatch)
    for call in ("write", "fsync"):
        disk.fail(lambda _, name, call=call: name == call)  # type: ignore[misc]
        with pytest.raises(Unavailable, match="the journal cannot be written: the disk is full"):
            put_user(catalog)
        assert serial_of(catalog) == catalog.agreed_serial() == 0
    disk.heal()
    put_user(catalog)
    assert serial_of(catalog) == 1
    catalog.close()
    assert [line["serial"] for line in journal_of(tmp_path)] == [0, 1]


def test_lines_of_a_commit_that_failed_are_cut_by_whoever_writes_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with before_commits(monkeypatch) as watch:
        catalog = open_catalog(tmp_path)
        watch(disk_full)
        with pytest.raises(Unavailable):
            put_user(catalog)
        assert len(journal_of(tmp_path)) == 2
        watch(nothing)
        change(catalog, lambda it: it.users())  # it changes nothing, and holds the write lock
        assert len(journal_of(tmp_path)) == 1
        catalog.close()


# The generation


def test_while_a_commit_is_on_its_way_no_process_relies_on_what_it_has_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agreed: list[int | None] = []
    with before_commits(monkeypatch) as watch:
        catalog, other = open_catalog(tmp_path), open_catalog(tmp_path)
        watch(lambda: agreed.extend([catalog.agreed_serial(), other.agreed_serial()]))
        put_user(catalog)
    assert agreed == [None, None]
    assert (catalog.agreed_serial(), other.agreed_serial()) == (1, 1)
    catalog.close()
    other.close()


def test_a_reader_heals_what_a_writer_left_that_died_after_its_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog = open_catalog(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(Generation, "settle", lambda self, serial: None)
        put_user(catalog)
    assert catalog.agreed_serial() is None
    assert serial_of(catalog) == 1
    assert catalog.agreed_serial() == 1
    catalog.close()


def test_a_writer_heals_what_a_writer_left_that_died_before_its_commit(tmp_path: Path) -> None:
    catalog = open_catalog(tmp_path)
    words = Generation(tmp_path / "generation")
    words.announce(1)
    assert serial_of(catalog) == 0
    assert catalog.agreed_serial() is None  # that commit may still come
    change(catalog, lambda it: it.users())
    assert catalog.agreed_serial() == 0
    words.close()
    catalog.close()


# SQLite


def test_commits_are_synced_and_written_ahead(tmp_path: Path) -> None:
    catalog = open_catalog(tmp_path)
    assert catalog._writing.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert catalog._writing.execute("PRAGMA synchronous").fetchone() == (2,)
    catalog.close()


def test_a_copy_that_was_put_back_is_written_ahead_too(tmp_path: Path) -> None:
    # VACUUM INTO makes backups whose readers would hold up the writer.
    catalog = open_catalog(tmp_path)
    put_user(catalog)
    catalog._writing.execute("VACUUM INTO ?", (str(tmp_path / "backup"),))
    catalog.close()
    (tmp_path / "backup").replace(tmp_path / "catalog.sqlite")
    again = open_catalog(tmp_path)
    with again.snapshot() as seen:
        put_index(again)
        assert seen.users() == (ROOT,)
    again.close()


def test_a_catalog_that_somebody_else_keeps_locked_is_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_file, "_BUSY_SECONDS", 0.0)
    catalog = open_catalog(tmp_path)
    somebody = sqlite3.connect(tmp_path / "catalog.sqlite", isolation_level=None)
    somebody.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable, match="the catalog cannot be written: database is locked"):
        put_user(catalog)
    assert serial_of(catalog) == 0
    somebody.execute("ROLLBACK")
    put_user(catalog)
    assert serial_of(catalog) == 1
    somebody.close()
    catalog.close()


def test_a_reader_is_not_held_up_by_a_writer(tmp_path: Path) -> None:
    catalog = open_catalog(tmp_path)
    with held_up(catalog):
        assert serial_of(catalog) == 0
    catalog.close()


def test_closing_finishes_what_was_asked_for(tmp_path: Path) -> None:
    catalog = open_catalog(tmp_path)
    with held_up(catalog) as ask:
        asked = [ask(lambda it, n=n: _put(it, n)) for n in range(3)]  # type: ignore[misc]
        closing = threading.Thread(target=catalog.close)
        closing.start()
        wait_until(lambda: catalog._jobs.qsize() > 3)
        with pytest.raises(Unavailable, match="closed"):
            put_user(catalog)
    closing.join(WAIT_SECONDS_MAX)
    assert [it.result(WAIT_SECONDS_MAX) for it in asked] == [0, 1, 2]
    again = open_catalog(tmp_path)
    assert serial_of(again) == 3
    again.close()


def test_a_page_is_read_without_reading_all_files_of_its_index(tmp_path: Path) -> None:
    catalog = open_catalog(tmp_path)
    for statement in (
        catalog_sql.FILES,
        catalog_sql.LISTED_FILES,
        catalog_sql.RELEASES,
        catalog_sql.ATTACHMENTS,
    ):
        plan = catalog._writing.execute(f"EXPLAIN QUERY PLAN {statement}", ("root/local", "demo"))
        *_, steps = zip(*plan, strict=True)
        assert any("projects" in step and "name=?" in step for step in steps), steps
        assert not any("SCAN" in step or "files USING INDEX sqlite" in step for step in steps), (
            steps
        )
    catalog.close()


@pytest.mark.parametrize(
    ("statement", "values"),
    [
        pytest.param(catalog_sql.LISTED_PROJECTS, ("root/local", "demo", 10), id="part of a list"),
        pytest.param(catalog_sql.COUNT_PROJECTS, ("root/local", 10), id="length of a list"),
        pytest.param(catalog_sql.HAS_FILES, ("root/local", "demo", "1.0"), id="files of a release"),
        pytest.param(catalog_sql.FILE_NAMED, ("root/local", "demo-1.0.tar.gz"), id="file by name"),
    ],
)
def test_what_is_asked_of_a_large_index_is_found_without_a_scan_or_a_sort(
    statement: str, values: tuple[str | int, ...], tmp_path: Path
) -> None:
    catalog = open_catalog(tmp_path)
    plan = catalog._writing.execute(f"EXPLAIN QUERY PLAN {statement}", values)
    steps = [step for *_, step in plan if "SCAN CONSTANT ROW" not in step]
    catalog.close()
    assert not any("TEMP B-TREE" in step for step in steps), steps
    # What is counted is no table, and as short as it was asked for.
    assert not any(re.search(r"SCAN (?!\(subquery)", step) for step in steps), steps


def test_a_file_of_a_large_project_costs_no_more_than_one_of_a_small(tmp_path: Path) -> None:
    catalog = open_catalog(tmp_path)
    put_index(catalog)
    added, removed = [], []
    for project, count in (("small", 10), ("large", 1_000)):
        names = [f"{project}-1.{number % 5}-py3-none-p{number}.whl" for number in range(count + 1)]
        *files, last = map(a_file, names)
        change(catalog, partial(_put_files, files=files))
        added.append(_steps_of(catalog, partial(_put_files, files=[last])))
        removed.append(_steps_of(catalog, partial(upkeep.remove_file, file=last)))
    catalog.close()
    # Trees get higher, and no more.
    assert added[1] < 2 * added[0]
    assert removed[1] < 2 * removed[0]


def _put_files(it: Change, files: Sequence[DistFile]) -> None:
    for file in files:
        it.put_release(a_release(file), file.project)
        it.put_file(file)


def _steps_of(catalog: SqliteCatalog, work: Callable[[Change], None]) -> int:
    """How many of SQLite's instructions a change takes."""
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    catalog._writing.set_progress_handler(count, 1)
    change(catalog, work)
    catalog._writing.set_progress_handler(None, 1)
    return steps


def test_names_are_data_and_never_sql(tmp_path: Path) -> None:
    catalog = open_catalog(tmp_path)
    with catalog.snapshot() as seen:
        assert seen.index(IndexName("x' OR '1'='1")) is None
        assert seen.user(UserName('"; DROP TABLE users; --')) is None
        assert seen.users() == ()
    catalog.close()


def _put(it: Change, number: int) -> int:
    """Put a user; its number among all, which tells the order of the changes."""
    it.put_user(a_user(number))
    return number
