"""From a folder to a store: what is opened, what is refused, and what a crash leaves."""

import errno
import os
import shutil
import signal
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from simpleindex_storage import catalog_sql, opening, upkeep
from simpleindex_storage.errors import Refused, Unavailable
from simpleindex_storage.files_disk import DiskFiles
from simpleindex_storage.model import Actor
from simpleindex_storage.names import parse_project_name
from simpleindex_storage.opening import FolderState, create_store, open_store, state_of
from simpleindex_storage.ports import Change
from tests.builders import a_wheel
from tests.storage.other_process import (
    die_while_migrating,
    die_while_uploading,
    elsewhere,
    hold_a_draft,
    hold_the_store,
)
from tests.storage.stores import (
    LOCAL,
    NOW,
    WAIT_SECONDS_MAX,
    FailingDisk,
    a_stage,
    a_store,
    before_commits,
    disk_full,
    files_below,
    files_no_larger_than,
    files_of,
    forget,
    journal_of,
    make_store,
    nothing,
    opened,
    read,
    recorded_files,
    send,
    serial_of,
    wait_until,
)

ONE_MORE = "ALTER TABLE files ADD COLUMN note TEXT NOT NULL DEFAULT 'none yet';"


def write_catalog(root: Path, statement: str) -> None:
    """Change a catalog from outside."""
    with closing(sqlite3.connect(root / "catalog.sqlite", isolation_level=None)) as connection:
        connection.execute(statement)


def open_handles() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def fact(root: Path, statement: str) -> Any:
    with closing(sqlite3.connect(root / "catalog.sqlite")) as connection:
        return connection.execute(statement).fetchone()[0]


# New directories


def test_a_new_store_has_what_it_was_made_with_at_serial_0(tmp_path: Path) -> None:
    root = tmp_path / "deep" / "down" / "data"
    make_store(root)
    with opened(root) as store, store.catalog.snapshot() as seen:
        assert seen.serial == 0
        assert seen.indexes() == (a_stage(),)
    (line,) = journal_of(root)
    assert (line["serial"], line["what"]) == (0, "init")
    assert [kind for kind, _ in line["facts"]] == ["server", "index"]


def test_only_its_owner_can_look_into_a_new_directory(tmp_path: Path) -> None:
    root = tmp_path / "data"
    make_store(root)
    assert root.stat().st_mode & 0o777 == 0o700
    assert (root / "catalog.sqlite").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("names", "state"),
    [
        ([], FolderState.EMPTY),
        (["secret", "simpleindex.toml", "lost+found"], FolderState.EMPTY),
        (["journal.jsonl", "catalog.sqlite.new", "root-password.new"], FolderState.EMPTY),
        (["photo.jpg"], FolderState.FOREIGN),
        (["secret", "photo.jpg"], FolderState.FOREIGN),
        (["files"], FolderState.FOREIGN),
        ([".serverversion"], FolderState.FOREIGN),
        (["catalog.sqlite"], FolderState.OURS),
        (["catalog.sqlite", "photo.jpg"], FolderState.OURS),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, list) else value.name,
)
def test_a_folder_is_told_by_what_lies_in_it(
    names: list[str], state: FolderState, tmp_path: Path
) -> None:
    for name in names:
        (tmp_path / name).touch()
    assert state_of(tmp_path) is state


def test_a_folder_that_does_not_exist_is_empty_and_a_file_is_foreign(tmp_path: Path) -> None:
    assert state_of(tmp_path / "new") is FolderState.EMPTY
    (tmp_path / "file").touch()
    assert state_of(tmp_path / "file") is FolderState.FOREIGN


@pytest.mark.parametrize("name", ["photo.jpg", "catalog.sqlite"], ids=["foreign", "ours"])
def test_no_store_is_made_where_something_lies(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"precious")
    with pytest.raises(Refused, match="a new server directory needs an empty folder"):
        make_store(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_bytes() == b"precious"


def test_making_a_store_that_was_broken_off_can_be_repeated(tmp_path: Path) -> None:
    def break_off(change: Change) -> None:
        change.put_index(a_stage())
        raise Refused("it", "on second thought")

    root = tmp_path / "data"
    with pytest.raises(Refused, match="on second thought"):
        create_store(root, break_off, NOW)
    assert state_of(root) is FolderState.EMPTY
    with a_store(root) as store:
        assert serial_of(store.catalog) == 0
    assert len(journal_of(root)) == 1


def test_making_a_store_can_be_repeated_whichever_call_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = FailingDisk(monkeypatch)
    for failing in count(1):
        root = tmp_path / str(failing)
        disk.fail(lambda number, _, n=failing: number == n)  # type: ignore[misc]
        try:
            make_store(root)
        except Unavailable as error:
            assert error.full
            assert len(disk.calls) >= failing
            disk.heal()
            if state_of(root) is FolderState.EMPTY:
                make_store(root)
        else:
            break
        with opened(root) as store:
            assert send(store, a_wheel()).file in recorded_files(store.catalog)
        assert [line["serial"] for line in journal_of(root)] == [0, 1]
    assert failing > 4


# What is refused


@pytest.mark.parametrize("names", [[], ["photo.jpg"]], ids=["empty", "foreign"])
def test_a_directory_of_somebody_elses_is_not_opened(names: list[str], tmp_path: Path) -> None:
    for name in names:
        (tmp_path / name).touch()
    with pytest.raises(Refused, match="this is not a directory of simpleindex-server"):
        open_store(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == names


def a_newer_catalog(root: Path) -> None:
    write_catalog(root, f"PRAGMA user_version = {len(catalog_sql.MIGRATIONS) + 1}")


def somebody_elses_database(root: Path) -> None:
    (root / "catalog.sqlite").unlink()
    write_catalog(root, "CREATE TABLE facts (name, value)")


def no_database(root: Path) -> None:
    (root / "catalog.sqlite").write_bytes(b"once upon a time" * 1000)


def an_empty_file(root: Path) -> None:
    (root / "catalog.sqlite").write_bytes(b"")


def pages_of_zeros(root: Path) -> None:
    path = root / "catalog.sqlite"
    content = path.read_bytes()
    path.write_bytes(content[:4096] + bytes(len(content) - 4096))


def a_file_cut_short(root: Path) -> None:
    path = root / "catalog.sqlite"
    os.truncate(path, path.stat().st_size // 2 // 4096 * 4096)


def a_torn_table(root: Path) -> None:
    spoil_page_of(root, "projects")


def spoil_page_of(root: Path, name: str) -> None:
    path = root / "catalog.sqlite"
    content = path.read_bytes()
    table = fact(root, f"SELECT rootpage FROM sqlite_master WHERE name = '{name}'")
    at = (table - 1) * 4096
    path.write_bytes(content[:at] + b"\xff" * 4096 + content[at + 4096 :])


def no_facts(root: Path) -> None:
    write_catalog(root, "DELETE FROM facts")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (a_newer_catalog, "a newer simpleindex-server made this catalog"),
        (somebody_elses_database, "this is not a catalog of simpleindex-server"),
        (an_empty_file, "the catalog is damaged .the file is empty.; `simpleindex-server rebuild "),
        (no_database, "the catalog is damaged .file is not a database.; `simpleindex-server reb"),
        (pages_of_zeros, "the catalog is damaged .*; `simpleindex-server rebuild --serverdir=.*"),
        (a_file_cut_short, "the catalog is damaged .*malformed.*, or restore a backup"),
        (a_torn_table, "the catalog is damaged .*malformed.*, or restore a backup"),
        (no_facts, "the catalog is damaged .*; `simpleindex-server rebuild --serverdir=.*"),
    ],
    ids=[
        "newer", "somebody else's", "empty", "no database", "damaged", "cut short", "torn",
        "no facts",
    ],
)  # fmt: skip
def test_a_catalog_that_cannot_be_used_is_refused_in_one_line_and_left_as_it_is(
    spoil: Callable[[Path], None], words: str, tmp_path: Path
) -> None:
    make_store(tmp_path)
    spoil(tmp_path)
    before = (tmp_path / "catalog.sqlite").read_bytes()
    with pytest.raises(Refused, match=words) as raised:
        open_store(tmp_path)
    assert "\n" not in str(raised.value)
    assert (tmp_path / "catalog.sqlite").read_bytes() == before


def test_a_catalog_that_cannot_be_opened_is_unavailable(tmp_path: Path) -> None:
    make_store(tmp_path)
    (tmp_path / "catalog.sqlite").unlink()
    (tmp_path / "catalog.sqlite").mkdir()
    with pytest.raises(Unavailable, match="the catalog cannot be read: unable to open"):
        open_store(tmp_path)


def test_pages_that_rot_while_the_store_is_open_make_it_unavailable(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with a_store(tmp_path) as store:
        send(store, a_wheel())
    for index in ("files_of_project", "files_of_release", "sqlite_autoindex_files_1"):
        spoil_page_of(tmp_path, index)  # opening looks at tables only
    with opened(tmp_path) as store:
        with pytest.raises(Unavailable, match="the catalog cannot be read"):
            recorded_files(store.catalog)
        assert "`simpleindex-server fsck` tells what is damaged" in caplog.text
        with pytest.raises(Unavailable):
            send(store, a_wheel("other"))
        assert serial_of(store.catalog) == 1


def test_a_directory_that_cannot_be_written_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Tests may run as root, whom permissions do not stop: what the system would say is put in.
    make_store(tmp_path)
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    with pytest.raises(Refused, match="the directory cannot be written"):
        open_store(tmp_path)


def test_a_directory_that_cannot_be_looked_into_is_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", fail)
    with pytest.raises(Unavailable, match="cannot be read: Permission denied"):
        open_store(tmp_path)


@pytest.mark.parametrize("fails", ["mkdir", "fsync"])
def test_an_opening_that_fails_holds_on_to_nothing(
    fails: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_store(tmp_path)
    open_store(tmp_path).close()
    handles, threads = open_handles(), threading.active_count()
    with monkeypatch.context() as patched:
        FailingDisk(patched).fail(lambda _, name: name == fails)
        with pytest.raises(Unavailable):
            open_store(tmp_path)
    assert open_handles() == handles
    assert threading.active_count() == threads
    open_store(tmp_path).close()


def test_an_opening_whose_recovery_fails_holds_on_to_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise Unavailable("left-overs of an earlier run cannot be removed: Input/output error")

    make_store(tmp_path)
    open_store(tmp_path).close()
    handles, threads = open_handles(), threading.active_count()
    with monkeypatch.context() as patched:
        patched.setattr(DiskFiles, "recover", fail)
        with pytest.raises(Unavailable, match="left-overs"):
            open_store(tmp_path)
    assert open_handles() == handles
    assert threading.active_count() == threads
    assert not any((tmp_path / "incoming").iterdir())


# What opening costs


def test_opening_looks_at_no_stored_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with a_store(tmp_path) as store:
        send(store, a_wheel())
    looked: list[str] = []
    for name in ("scandir", "listdir", "stat", "lstat", "open", "unlink"):
        monkeypatch.setattr(os, name, _noted(getattr(os, name), looked))
    with opened(tmp_path):
        pass
    monkeypatch.undo()
    assert str(tmp_path / "incoming") in looked
    assert [path for path in looked if path.startswith(str(tmp_path / "files" / "root"))] == []
    assert len(looked) < 60


def _noted(call: Callable[..., Any], looked: list[str]) -> Callable[..., Any]:
    def noted(*arguments: Any, **options: Any) -> Any:
        looked.append(str(arguments[0]) if arguments else ".")
        return call(*arguments, **options)

    return noted


def test_a_disk_without_room_for_housekeeping_is_opened_and_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with a_store(tmp_path) as store:
        removed, kept = send(store, a_wheel()).file, send(store, a_wheel("kept")).file
        forget(store, removed)
    with before_commits(monkeypatch) as watch:
        watch(disk_full)
        with opened(tmp_path) as store:
            assert read(store, kept) == a_wheel("kept").content
            with pytest.raises(Unavailable) as raised:
                send(store, a_wheel("new"))
            assert raised.value.full
            watch(nothing)
            send(store, a_wheel("new"))
    with opened(tmp_path) as store:
        assert set(files_below(tmp_path)) == files_of(*recorded_files(store.catalog))


def test_a_full_disk_is_opened_after_a_clean_stop_for_which_ballast_is_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with a_store(tmp_path) as store:
        file = send(store, a_wheel()).file
    ballast = tmp_path / "ballast"
    assert ballast.stat().st_size >= 256 << 10

    class FullDisk(sqlite3.Connection):
        def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
            if ballast.exists():
                raise sqlite3.OperationalError("disk I/O error")  # of the shared memory's file
            return super().execute(sql, parameters)

    def no_room(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    connect = sqlite3.connect
    with monkeypatch.context() as patched:
        patched.setattr(
            sqlite3, "connect", lambda *where, **how: connect(*where, factory=FullDisk, **how)
        )
        patched.setattr(opening, "write_file", no_room)
        with opened(tmp_path) as store:
            assert read(store, file) == a_wheel().content
        assert not ballast.exists()
    with opened(tmp_path):
        assert ballast.stat().st_size >= 256 << 10  # taken in again, now that there is room


def test_an_opening_that_fails_for_other_reasons_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with a_store(tmp_path) as store:
        send(store, a_wheel())
    FailingDisk(monkeypatch).fail(lambda _, name: name == "mkdir", errno.EIO)
    for _ in range(2):  # with ballast, and without
        with pytest.raises(Unavailable, match="Input/output error"):
            open_store(tmp_path)


# Several processes


def test_two_processes_have_it_open_and_see_each_others_uploads(tmp_path: Path) -> None:
    with a_store(tmp_path) as store, elsewhere(hold_the_store, str(tmp_path)) as other:
        other.wait_for("ready")
        first = send(store, a_wheel()).file
        with opened(tmp_path) as third:
            assert read(third, first) == a_wheel().content
            send(third, a_wheel("other"))
        assert store.catalog.agreed_serial() == serial_of(store.catalog) == 2
        other.tell()
        assert other.end() == (0, "")
        send(store, a_wheel("last"))


def test_opening_leaves_a_living_process_its_drafts(tmp_path: Path) -> None:
    make_store(tmp_path)
    with elsewhere(hold_a_draft, str(tmp_path)) as other:
        other.wait_for("ready")
        with opened(tmp_path) as store:
            assert list(files_below(tmp_path).values()) == [b"half a "]
            assert store.recover() == 0
        other.tell()
        assert other.end() == (0, "finished\n")
    assert files_below(tmp_path) == {}


def test_opening_drops_the_drafts_of_a_killed_process(tmp_path: Path) -> None:
    make_store(tmp_path)
    with elsewhere(hold_a_draft, str(tmp_path)) as other:
        other.wait_for("ready")
        other.kill()
    assert list(files_below(tmp_path).values()) == [b"half a "]
    with opened(tmp_path):
        assert files_below(tmp_path) == {}


@pytest.mark.parametrize(
    ("when", "is_recorded"),
    [
        ("received", False),
        ("linked", False),
        ("half copied", False),
        ("journalled", False),
        ("committed", True),
        ("sweeping", True),
    ],
)
def test_an_upload_that_is_killed_is_there_whole_or_not_at_all(
    when: str, is_recorded: bool, tmp_path: Path
) -> None:
    with a_store(tmp_path, a_stage(volatile=True)) as store:
        old = send(store, a_wheel()).file
    with elsewhere(die_while_uploading, str(tmp_path), when) as other:
        assert other.end() == (-signal.SIGKILL, "")
    left = files_below(tmp_path)
    assert len(left) > 2
    if when != "received":
        published = [path for path in left if path.startswith("files/")]
        assert len(published) == 4  # the old one and the new one, each with its metadata
    assert len(journal_of(tmp_path)) == (3 if when == "journalled" or is_recorded else 2)

    with opened(tmp_path) as store:
        (file,) = recorded_files(store.catalog)
        assert (file != old) is is_recorded
        assert set(files_below(tmp_path)) == files_of(file)
        new_bytes = a_wheel(extra_files={"demo/new.txt": b"new"}).content
        assert read(store, file) == (new_bytes if is_recorded else a_wheel().content)
        serial = 2 if is_recorded else 1
        assert serial_of(store.catalog) == store.catalog.agreed_serial() == serial
        assert [line["serial"] for line in journal_of(tmp_path)] == list(range(serial + 1))
        send(store, a_wheel(extra_files={"demo/newer.txt": b"newer"}))
        assert [line["serial"] for line in journal_of(tmp_path)] == list(range(serial + 2))


# Catalogs of older versions


def test_an_older_catalog_is_brought_up_to_date_with_all_it_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with a_store(tmp_path) as store:
        file, uuid = send(store, a_wheel()).file, store.catalog.uuid
    monkeypatch.setattr(catalog_sql, "MIGRATIONS", (*catalog_sql.MIGRATIONS, ONE_MORE))
    with opened(tmp_path) as store:
        assert recorded_files(store.catalog) == (file,)
        assert read(store, file) == a_wheel().content
        assert store.catalog.uuid == uuid
        assert serial_of(store.catalog) == 1
        send(store, a_wheel("other"))
    assert fact(tmp_path, "PRAGMA user_version") == len(catalog_sql.MIGRATIONS)
    assert fact(tmp_path, "SELECT note FROM files") == "none yet"
    assert fact(tmp_path, "PRAGMA journal_mode") == "wal"
    assert (tmp_path / "catalog.sqlite").stat().st_mode & 0o777 == 0o600
    assert not (tmp_path / "catalog.sqlite.new").exists()


def test_the_older_catalog_is_kept_and_only_the_last_one_of_a_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    version = len(catalog_sql.MIGRATIONS)
    with a_store(tmp_path) as store:
        file = send(store, a_wheel()).file
    (tmp_path / f"catalog-v{version}-2025-12-31.sqlite").write_bytes(b"an upgrade of last year")
    monkeypatch.setattr(catalog_sql, "MIGRATIONS", (*catalog_sql.MIGRATIONS, ONE_MORE))
    with opened(tmp_path) as store:
        send(store, a_wheel("other"))
    (kept,) = tmp_path.glob("catalog-v*")
    assert kept.name == f"catalog-v{version}-2026-01-02.sqlite"
    assert kept.stat().st_mode & 0o777 == 0o600
    (told,) = caplog.messages
    assert told.endswith(f"is of version {version + 1} now; the older one is kept as {kept.name}")

    monkeypatch.undo()
    kept.replace(tmp_path / "catalog.sqlite")  # the way back
    with opened(tmp_path) as store:
        assert recorded_files(store.catalog) == (file,)


def test_without_room_for_a_copy_an_older_catalog_stays_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_store(tmp_path)
    before = (tmp_path / "catalog.sqlite").read_bytes()
    monkeypatch.setattr(catalog_sql, "MIGRATIONS", (*catalog_sql.MIGRATIONS, ONE_MORE))
    with (
        files_no_larger_than(64 << 10),
        pytest.raises(Unavailable, match="cannot be brought up to"),
    ):
        open_store(tmp_path)
    assert (tmp_path / "catalog.sqlite").read_bytes()[100:] == before[100:]
    assert not list(tmp_path.glob("catalog-v*"))


BACK_TO_THE_FIRST = """
    DROP TABLE former_projects;
    DROP TABLE deliveries;
    DELETE FROM facts WHERE name = 'journal_name';
    PRAGMA user_version = 1;
"""


def test_a_catalog_of_the_first_version_opens_with_its_data_and_does_what_ours_does(
    tmp_path: Path,
) -> None:
    with a_store(tmp_path, a_stage(volatile=True)) as store:
        file, other = send(store, a_wheel()).file, send(store, a_wheel("other")).file
    with closing(sqlite3.connect(tmp_path / "catalog.sqlite")) as connection:
        connection.executescript(BACK_TO_THE_FIRST)
    for _ in range(2):  # once as it is brought up to date, and once as it is then
        with opened(tmp_path) as store, store.catalog.snapshot() as seen:
            assert set(recorded_files(store.catalog)) == {file, other}
            assert read(store, file) == a_wheel().content
            assert seen.had_project(LOCAL, file.project)
            assert not seen.had_project(LOCAL, parse_project_name("third"))
    with opened(tmp_path) as store:
        store.catalog.change(
            lambda change: upkeep.remove_project(change, LOCAL, file.project),
            by=Actor(""),
            what="test",
        )
    with opened(tmp_path) as store, store.catalog.snapshot() as seen:
        assert recorded_files(store.catalog) == (other,)
        assert seen.had_project(LOCAL, file.project)


def test_what_a_crash_left_in_the_write_ahead_log_is_brought_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_store(tmp_path)
    with elsewhere(die_while_uploading, str(tmp_path), "committed") as other:
        assert other.end()[0] == -signal.SIGKILL
    assert (tmp_path / "catalog.sqlite-wal").stat().st_size > 0
    monkeypatch.setattr(catalog_sql, "MIGRATIONS", (*catalog_sql.MIGRATIONS, ONE_MORE))
    with opened(tmp_path) as store:
        (file,) = recorded_files(store.catalog)
        assert file.project == "demo"
        send(store, a_wheel("other"))
        assert serial_of(store.catalog) == 2


def test_a_step_that_fails_leaves_the_older_catalog_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with a_store(tmp_path) as store:
        file = send(store, a_wheel()).file
    steps = (*catalog_sql.MIGRATIONS, ONE_MORE, "INSERT INTO no_such_table VALUES (1);")
    with monkeypatch.context() as patched:
        patched.setattr(catalog_sql, "MIGRATIONS", steps)
        with pytest.raises(Unavailable, match="no_such_table"):
            open_store(tmp_path)
    assert fact(tmp_path, "PRAGMA user_version") == len(catalog_sql.MIGRATIONS)
    with opened(tmp_path) as store:
        assert recorded_files(store.catalog) == (file,)
        send(store, a_wheel("other"))
    monkeypatch.setattr(catalog_sql, "MIGRATIONS", steps[:-1])
    with opened(tmp_path) as store:
        assert len(recorded_files(store.catalog)) == 2


@pytest.mark.parametrize("when", ["chmod", "replace"], ids=["on the way", "just before its end"])
def test_a_migration_that_is_killed_leaves_the_older_catalog(
    when: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with a_store(tmp_path) as store:
        file = send(store, a_wheel()).file
    with elsewhere(die_while_migrating, str(tmp_path), when) as other:
        assert other.end() == (-signal.SIGKILL, "")
    assert (tmp_path / "catalog.sqlite.new").exists()
    shutil.copytree(tmp_path, tmp_path / "copy")
    with opened(tmp_path / "copy") as store:  # the older version still works on it
        assert recorded_files(store.catalog) == (file,)
        send(store, a_wheel("other"))
        assert fact(tmp_path / "copy", "PRAGMA journal_mode") == "wal"
    monkeypatch.setattr(catalog_sql, "MIGRATIONS", (*catalog_sql.MIGRATIONS, ONE_MORE))
    with opened(tmp_path) as store:
        assert recorded_files(store.catalog) == (file,)


def test_no_catalog_is_migrated_while_an_older_server_has_it_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_store(tmp_path)
    with elsewhere(hold_the_store, str(tmp_path)) as other:
        other.wait_for("ready")
        with monkeypatch.context() as patched:
            patched.setattr(catalog_sql, "MIGRATIONS", (*catalog_sql.MIGRATIONS, ONE_MORE))
            with pytest.raises(Unavailable, match="another process has it open; stop that first"):
                open_store(tmp_path)
        with opened(tmp_path) as store:
            send(store, a_wheel())
        other.tell()
        assert other.end() == (0, "")
    monkeypatch.setattr(catalog_sql, "MIGRATIONS", (*catalog_sql.MIGRATIONS, ONE_MORE))
    with opened(tmp_path) as store:
        assert len(recorded_files(store.catalog)) == 1


def test_of_two_processes_that_start_at_once_one_migrates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with a_store(tmp_path) as store:
        file = send(store, a_wheel()).file
    monkeypatch.setattr(catalog_sql, "MIGRATIONS", (*catalog_sql.MIGRATIONS, ONE_MORE))
    replace, may_go_on, begun = Path.replace, threading.Event(), []

    def slow_replace(path: Path, target: Path) -> Path:
        begun.append(path)
        assert may_go_on.wait(WAIT_SECONDS_MAX)
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", slow_replace)
    opened_by: list[int] = []

    def open_it(number: int) -> None:
        with opened(tmp_path) as store:
            assert recorded_files(store.catalog) == (file,)
            opened_by.append(number)

    threads = [threading.Thread(target=open_it, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(begun) > 0)
    may_go_on.set()
    for thread in threads:
        thread.join(WAIT_SECONDS_MAX)
    assert sorted(opened_by) == [0, 1]
    assert len(begun) == 1


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ((), "a newer simpleindex-server made this catalog"),
        ((*catalog_sql.MIGRATIONS, ONE_MORE), "this catalog must be brought up to date first"),
    ],
    ids=["newer", "older"],
)
def test_a_catalog_of_another_version_is_not_written(
    steps: tuple[str, ...], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_store(tmp_path)
    monkeypatch.setattr(opening, "prepare_catalog", lambda path, now: None)
    monkeypatch.setattr(catalog_sql, "MIGRATIONS", steps)
    with pytest.raises(Refused, match=words):
        open_store(tmp_path)


def test_a_cache_is_opened_on_a_full_disk_by_dropping_ballast(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ballast = tmp_path / "ballast"

    class FullDisk(sqlite3.Connection):
        def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
            if ballast.exists():
                raise sqlite3.OperationalError("database or disk is full")
            return super().execute(sql, parameters)

    connect = sqlite3.connect
    with a_store(tmp_path):
        assert ballast.exists()
        with monkeypatch.context() as patched:
            patched.setattr(
                sqlite3, "connect", lambda *where, **how: connect(*where, factory=FullDisk, **how)
            )
            cache = opening.open_cache(tmp_path)
            cache.close()
        assert ballast.exists()  # taken in again: there was room after all


def test_a_cache_that_cannot_be_opened_for_other_reasons_is_not(tmp_path: Path) -> None:
    with a_store(tmp_path):
        (tmp_path / "cache").write_bytes(b"")
        with pytest.raises(Unavailable):
            opening.open_cache(tmp_path)
