"""Segments of the journal: how they begin, and how the old ones go."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from simpleindex_storage import log_retention, state_file
from simpleindex_storage.catalog_sqlite import SqliteCatalog
from simpleindex_storage.errors import Refused, Unavailable
from simpleindex_storage.journal import segments
from simpleindex_storage.locks import FileLock
from simpleindex_storage.log_retention import Trimmed, trim_log
from simpleindex_storage.names import UserName
from simpleindex_storage.opening import create_store, open_store
from simpleindex_storage.state_file import facts_of, state_of, write_state
from simpleindex_storage.store import Store
from tests.builders import a_wheel
from tests.storage.filled import ROOT
from tests.storage.stores import (
    NOW,
    a_stage,
    a_store,
    before_commits,
    catalog_dump,
    disk_full,
    held_up,
    journal_of,
    nothing,
    opened,
    send,
    wait_until,
)

DAYS = 20


class Site:
    """A server directory, and days that pass."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.now = NOW
        create_store(root, lambda change: change.put_index(a_stage()), NOW)

    def upload(self, number: int) -> None:
        """Take a file in."""
        store = open_store(self.root, lambda: self.now)
        send(store, a_wheel(version=f"{number}.0"))
        store.close()

    def trim(self, log_days: int = DAYS) -> Trimmed:
        """What a day's housekeeping does."""
        store = open_store(self.root, lambda: self.now)
        trimmed = trim_log(self.root, store.catalog, log_days, self.now)
        store.close()
        return trimmed

    def after(self, days: float) -> "Site":
        """The same, some days later."""
        self.now += timedelta(days=days)
        return self

    @property
    def names(self) -> list[str]:
        """The segments."""
        return [segment.path.name for segment in segments(self.root)]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path / "data")


def jobs_of(store: Store) -> int:
    """How many changes wait for the writer."""
    assert isinstance(store.catalog, SqliteCatalog)
    return store.catalog._jobs.qsize()


def serials_of(root: Path) -> list[int]:
    return [line["serial"] for line in journal_of(root)]


# Segments


def test_a_new_segment_is_named_after_its_first_serial(tmp_path: Path) -> None:
    with a_store(tmp_path) as store:
        send(store, a_wheel())
        store.catalog.begin_segment()
        with store.catalog.snapshot() as seen:
            assert seen.journal_name == "journal-2.jsonl"
        send(store, a_wheel(version="2.0"))
        send(store, a_wheel(version="3.0"))
    assert [path.path.name for path in segments(tmp_path)] == ["journal.jsonl", "journal-2.jsonl"]
    assert serials_of(tmp_path) == [0, 1, 2, 3]
    assert (tmp_path / "journal-2.jsonl").stat().st_mode & 0o777 == 0o600


def test_an_empty_segment_is_not_followed_by_another(tmp_path: Path) -> None:
    with a_store(tmp_path) as store:
        store.catalog.begin_segment()
        store.catalog.begin_segment()
    assert [path.path.name for path in segments(tmp_path)] == ["journal.jsonl", "journal-1.jsonl"]


def test_all_processes_go_on_in_the_segment_that_one_has_begun(tmp_path: Path) -> None:
    with a_store(tmp_path) as store, opened(tmp_path) as other:
        send(store, a_wheel(version="1.0"))
        send(other, a_wheel(version="2.0"))
        store.catalog.begin_segment()
        send(other, a_wheel(version="3.0"))
        send(store, a_wheel(version="4.0"))
    assert (tmp_path / "journal-3.jsonl").read_bytes().count(b"\n") == 2
    assert serials_of(tmp_path) == [0, 1, 2, 3, 4]


def test_a_segment_whose_commit_fails_is_never_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with before_commits(monkeypatch) as watch, a_store(tmp_path) as store:
        send(store, a_wheel(version="1.0"))
        watch(disk_full)
        with pytest.raises(Unavailable):
            store.catalog.begin_segment()
        watch(nothing)
        send(store, a_wheel(version="2.0"))
    assert (tmp_path / "journal.jsonl").read_bytes().count(b"\n") == 3
    assert [path.path.name for path in segments(tmp_path)] == ["journal.jsonl"]


def test_a_segment_with_lines_whose_commit_fails_is_in_nobodys_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with before_commits(monkeypatch) as watch, a_store(tmp_path) as store:
        send(store, a_wheel(version="1.0"))
        with ThreadPoolExecutor() as threads, held_up(store.catalog) as ask:
            begun = threads.submit(store.catalog.begin_segment)
            changed = ask(lambda change: change.put_user(replace(ROOT, name=UserName("lost"))))
            wait_until(lambda: jobs_of(store) == 2)
            watch(disk_full)
        for each in (begun, changed):
            with pytest.raises(Unavailable):
                each.result()
        assert (tmp_path / "journal-2.jsonl").read_bytes().count(b"\n") == 1
        watch(nothing)
        send(store, a_wheel(version="2.0"))
    assert serials_of(tmp_path) == [0, 1, 2]
    assert [path.path.name for path in segments(tmp_path)] == ["journal.jsonl"]


def test_segments_of_later_than_a_restored_catalog_are_set_aside(site: Site) -> None:
    site.upload(1)
    backup = (site.root / "catalog.sqlite").read_bytes()
    assert site.after(DAYS / 2).trim().removed == ()
    site.upload(2)
    write_state_of(site)
    later = (site.root / "journal-2.jsonl").read_bytes()
    (site.root / "catalog.sqlite").write_bytes(backup)
    site.upload(3)
    assert site.names == ["journal.jsonl"]
    assert serials_of(site.root) == [0, 1, 2]
    assert (site.root / "journal-2-from-0.jsonl").read_bytes() == later
    assert state_of(site.root) is None
    assert (site.root / "state-from-2.json").exists()


def write_state_of(site: Site) -> None:
    with opened(site.root) as store:
        log_retention._write_state(site.root, store.catalog, site.now)


# What goes, and when


def test_without_a_limit_nothing_is_ever_removed(site: Site) -> None:
    site.upload(1)
    assert site.after(10_000).trim(0) == Trimmed()
    assert site.names == ["journal.jsonl"]


def test_lines_stay_as_long_as_they_should_and_go_soon_after(site: Site) -> None:
    for day in range(2 * DAYS + 5):
        site.upload(day)
        site.trim()
        limit = site.now - timedelta(days=DAYS)
        times = [datetime.fromisoformat(line["time"]) for line in journal_of(site.root)]
        assert serials_of(site.root)[-1] == day + 1
        assert serials_of(site.root) == list(range(serials_of(site.root)[0], day + 2))
        assert times[0] > limit - timedelta(days=DAYS / 10 + 1)
        if times[0] > NOW:
            assert times[0] <= limit + timedelta(days=1)
        site.after(1)
    assert serials_of(site.root)[0] > DAYS


def test_before_anything_goes_all_that_is_known_is_written_down(site: Site) -> None:
    for number in range(3):
        site.upload(number)
    site.after(DAYS + 1)
    assert site.trim() == Trimmed(("journal.jsonl",), 3)
    assert site.names == ["journal-4.jsonl"]
    state = state_of(site.root)
    with opened(site.root) as store, store.catalog.snapshot() as seen:
        assert state is not None
        assert (state.serial, state.uuid, state.time) == (3, store.catalog.uuid, site.now)
        assert [(kind, fact) for kind, fact in facts_of(site.root)] == list(seen.all_facts())
    assert (site.root / "state.json").stat().st_mode & 0o777 == 0o600
    document = json.loads((site.root / "state.json").read_bytes())
    assert [kind for kind, _ in document["facts"]].count("file") == 3


def test_a_state_that_is_damaged_behind_its_first_line_is_written_anew(site: Site) -> None:
    site.upload(1)
    write_state_of(site)
    path = site.root / "state.json"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(Refused, match="is damaged"):
        list(facts_of(site.root))
    assert site.after(DAYS + 1).trim().removed == ("journal.jsonl",)
    with opened(site.root) as store, store.catalog.snapshot() as seen:
        assert list(facts_of(site.root)) == list(seen.all_facts())


def test_a_state_that_cannot_be_written_lets_all_stay(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.upload(1)
    site.after(DAYS + 1)
    before = catalog_dump(site.root)
    store = open_store(site.root, lambda: site.now)
    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(Unavailable, match=r"state\.json cannot be written"):
        trim_log(site.root, store.catalog, DAYS, site.now)
    monkeypatch.undo()
    store.close()
    assert serials_of(site.root) == [0, 1]
    assert not list(site.root.glob("state.json*"))
    assert [line for line in before if "journal" not in line] == [
        line for line in catalog_dump(site.root) if "journal" not in line
    ]


def fail(*_: object) -> None:
    raise OSError(5, "Input/output error")


def test_of_several_processes_one_does_the_work(site: Site) -> None:
    site.upload(1)
    site.after(DAYS + 1)
    lock = FileLock(site.root / "log.lock")
    assert lock.try_keep()
    assert site.trim() == Trimmed()
    lock.close()
    assert site.trim().removed == ("journal.jsonl",)


def test_who_waits_for_its_turn_keeps_all_others_out_once_it_has_it(site: Site) -> None:
    waiting = FileLock(site.root / "log.lock")
    site.upload(1)
    assert site.trim() == Trimmed()
    assert waiting.try_keep()
    site.after(DAYS + 1)
    assert site.trim() == Trimmed()
    waiting.close()
    assert site.trim().removed == ("journal.jsonl",)


def test_a_lock_that_cannot_be_opened_is_told_of_as_a_disk_that_fails(site: Site) -> None:
    (site.root / "log.lock").mkdir()
    with pytest.raises(Unavailable, match="the journal cannot be trimmed: Is a directory"):
        site.trim()


def test_a_segment_that_cannot_be_read_is_kept(site: Site) -> None:
    site.upload(1)
    (site.root / "journal.jsonl").write_bytes(b"no line at all\n")
    assert site.after(DAYS + 1).trim() == Trimmed()


# The state file


def test_a_state_is_read_line_by_line_and_damage_is_named(tmp_path: Path) -> None:
    with a_store(tmp_path) as store:
        write_some_state(tmp_path, store)
    path = tmp_path / "state.json"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([lines[0], b'["index", {"name"\n', *lines[2:]]))
    with pytest.raises(Refused, match="its line 2 is damaged"):
        list(facts_of(tmp_path))
    path.write_bytes(b"".join(lines[:-1]))
    with pytest.raises(Refused, match=f"its line {len(lines)} is damaged"):
        list(facts_of(tmp_path))
    for content, reason in ((b"{}\n", "no state"), (b"", "no state"), (b"\xff\n", "no state")):
        path.write_bytes(content)
        with pytest.raises(Refused, match=reason):
            state_of(tmp_path)
    path.write_bytes(lines[0].replace(b'"format": 1', b'"format": 2'))
    with pytest.raises(Refused, match="a newer simpleindex-server wrote it"):
        state_of(tmp_path)


def write_some_state(root: Path, store: Store) -> None:
    with store.catalog.snapshot() as seen:
        state = state_file.State(seen.serial, store.catalog.uuid, NOW)
        write_state(root, state, seen.all_facts())
