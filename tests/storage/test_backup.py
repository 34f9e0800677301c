"""Backups: what is in one, what the next one shares with it, and the way back."""

import errno
import json
import os
import shutil
import signal
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO

import pytest

from simpleindex_storage.backup import copying, take
from simpleindex_storage.backup.folders import complete_backups, read_manifest
from simpleindex_storage.backup.restore import Restored, restore_backup
from simpleindex_storage.backup.take import Taken, take_backup
from simpleindex_storage.durable import write_file
from simpleindex_storage.errors import Refused, Unavailable
from simpleindex_storage.fsck.check import Check
from simpleindex_storage.locks import FileLock
from simpleindex_storage.log_retention import trim_log
from simpleindex_storage.model import Actor, DistFile
from simpleindex_storage.opening import FolderState, state_of
from simpleindex_storage.state_file import State, write_state
from simpleindex_storage.store import Store
from simpleindex_storage.upkeep import remove_file
from tests.builders import BuiltFile, a_wheel
from tests.storage.other_process import die_while_backing_up, elsewhere
from tests.storage.stores import (
    NOW,
    a_stage,
    a_store,
    attach,
    documentation,
    journal_of,
    opened,
    read,
    read_attachment,
    recorded_files,
    send,
    serial_of,
)

DEMO = a_wheel("demo")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A directory with two files and a documentation."""
    with a_store(tmp_path / "data", a_stage(volatile=True)) as store:
        send(store, DEMO)
        send(store, a_wheel("other"))
        attach(store, documentation(), b"the pages")
    write_file(tmp_path / "data" / "secret", b"a key")
    return tmp_path / "data"


@pytest.fixture
def dest(tmp_path: Path) -> Path:
    return tmp_path / "backups"


def backed_up(root: Path, dest: Path, *, keep: int | None = None, days: int = 0) -> Taken:
    return take_backup(root, dest, NOW + timedelta(days=days), "test", keep=keep)


def complete_in(dest: Path) -> list[Path]:
    return [backup.path for backup in complete_backups(dest)]


def faults(root: Path) -> list[str]:
    return [f"{fault.code} {fault.path}" for fault in Check(root).faults()]


def remove(store: Store, file: DistFile) -> None:
    store.catalog.change(lambda it: remove_file(it, file), by=Actor("root"), what="remove")
    store.sweep()


def path_of(root: Path, built: BuiltFile = DEMO) -> Path:
    (path,) = (root / "files").rglob(built.filename)
    return path


def restored_to(backup: Path, root: Path, **options: bool) -> Restored:
    return restore_backup(backup, root, **options)


def another_disk(monkeypatch: pytest.MonkeyPatch, source: Path) -> None:
    """Let no link lead from there to anywhere else."""
    link = os.link

    def refuse(src: Path, dst: Path, **how: bool) -> None:
        if Path(src).is_relative_to(source) and not Path(dst).is_relative_to(source):
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        link(src, dst, **how)

    monkeypatch.setattr(os, "link", refuse)


def test_what_is_restored_is_the_server_that_was_saved(
    root: Path, dest: Path, tmp_path: Path
) -> None:
    with opened(root) as store:
        taken = backed_up(root, dest)
        send(store, a_wheel("late"))
        uuid, files = store.catalog.uuid, recorded_files(store.catalog)
    assert taken.path == dest / "20260102T030405Z"
    assert (taken.manifest.files, taken.manifest.serial, taken.manifest.damaged) == (3, 3, ())
    restored_to(taken.path, tmp_path / "new")
    assert faults(tmp_path / "new") == []
    assert (tmp_path / "new" / "secret").read_bytes() == b"a key"
    with opened(tmp_path / "new") as store:
        assert recorded_files(store.catalog) == tuple(it for it in files if it.project != "late")
        assert read(store, recorded_files(store.catalog)[0]) == DEMO.content
        assert read_attachment(store, documentation()) == b"the pages"
        assert (store.catalog.uuid, serial_of(store.catalog)) == (uuid, 3)
        send(store, a_wheel("next"))
    assert [line["serial"] for line in journal_of(tmp_path / "new")] == [0, 1, 2, 3, 4]
    assert faults(tmp_path / "new") == []


def test_only_the_owner_can_look_into_a_backup_and_what_was_restored(
    root: Path, dest: Path, tmp_path: Path
) -> None:
    backup = backed_up(root, dest).path
    restored_to(backup, tmp_path / "new")
    for folder in (dest, backup, backup / "files", tmp_path / "new"):
        assert folder.stat().st_mode & 0o777 == 0o700
    for name in ("catalog.sqlite", "journal.jsonl", "secret", "backup.json"):
        assert (backup / name).stat().st_mode & 0o777 == 0o600


def test_the_journal_of_a_backup_ends_with_its_catalog(root: Path, dest: Path) -> None:
    with (root / "journal.jsonl").open("ab") as journal:
        journal.write(b'{"serial":4,"of":"a commit that never happened"}\n')
    backup = backed_up(root, dest).path
    assert [line["serial"] for line in journal_of(backup)] == [0, 1, 2, 3]


def test_segments_of_the_journal_and_its_state_come_along(root: Path, dest: Path) -> None:
    for name in ("journal-2.jsonl", "journal-9.jsonl", "journal-from-77.jsonl"):
        (root / name).write_text("{}\n")
    write_state(root, State(1, "x", NOW), [])
    backup = backed_up(root, dest).path
    names = {path.name for path in backup.iterdir()}
    assert {"journal.jsonl", "journal-2.jsonl", "journal-from-77.jsonl", "state.json"} <= names
    assert "journal-9.jsonl" not in names, "it begins after the last change that was saved"


def test_a_journal_that_has_just_begun_a_segment_is_saved_and_restored(
    root: Path, dest: Path, tmp_path: Path
) -> None:
    with opened(root) as store:
        store.catalog.begin_segment()
        taken = backed_up(root, dest)
    assert taken.manifest.damaged == ()
    assert (taken.path / "journal-4.jsonl").read_bytes() == b""
    assert restored_to(taken.path, tmp_path / "new").faults == ()
    assert faults(tmp_path / "new") == []
    with opened(tmp_path / "new") as store:
        send(store, a_wheel("next"))
    assert len((tmp_path / "new" / "journal-4.jsonl").read_text().splitlines()) == 1
    assert [line["serial"] for line in journal_of(tmp_path / "new")] == [0, 1, 2, 3, 4]


def test_a_segment_that_is_begun_after_the_catalog_was_saved_stays_out(
    root: Path, dest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_catalog = take._copy_catalog

    def begin_meanwhile(path: Path, target: Path) -> None:
        copy_catalog(path, target)
        store.catalog.begin_segment()

    monkeypatch.setattr(take, "_copy_catalog", begin_meanwhile)
    with opened(root) as store:
        taken = backed_up(root, dest)
    assert taken.manifest.damaged == ()
    assert not (taken.path / "journal-4.jsonl").exists()


def test_a_segment_whose_time_is_up_while_it_is_to_be_saved_makes_another_round(
    root: Path, dest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_catalog = take._copy_catalog

    def trim_meanwhile(path: Path, target: Path) -> None:
        copy_catalog(path, target)
        trim_log(root, store.catalog, 1, NOW + timedelta(days=9))

    monkeypatch.setattr(take, "_copy_catalog", trim_meanwhile)
    with opened(root) as store:
        taken = backed_up(root, dest)
    assert taken.manifest.damaged == ()
    assert {"journal-4.jsonl", "state.json"} <= set(taken.manifest.digests)
    restored_to(taken.path, tmp_path / "new")
    assert faults(tmp_path / "new") == []


def test_a_journal_that_is_lost_is_told_of(root: Path, dest: Path) -> None:
    (root / "journal.jsonl").unlink()
    assert backed_up(root, dest).manifest.damaged == ("journal.jsonl",)


def test_a_state_that_is_newer_than_the_saved_catalog_makes_another_round(
    root: Path, dest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_catalog = take._copy_catalog

    def trim_meanwhile(path: Path, target: Path) -> None:
        copy_catalog(path, target)
        if not (root / "state.json").exists():
            send(store, a_wheel("late"))
            write_state(root, State(4, "x", NOW), [])

    monkeypatch.setattr(take, "_copy_catalog", trim_meanwhile)
    with opened(root) as store:
        taken = backed_up(root, dest)
    assert (taken.manifest.serial, taken.manifest.files) == (4, 4)
    assert "state.json" in taken.manifest.digests
    assert [line["serial"] for line in journal_of(taken.path)] == [0, 1, 2, 3, 4]


def test_on_the_same_disk_files_take_no_room(root: Path, dest: Path) -> None:
    taken = backed_up(root, dest)
    assert (taken.linked, taken.copied) == (5, 0)
    assert path_of(taken.path).samefile(path_of(root))


def test_on_another_disk_only_what_is_new_is_copied(
    root: Path, dest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    another_disk(monkeypatch, root)
    first = backed_up(root, dest)
    assert (first.linked, first.reused, first.copied) == (0, 0, 5)
    with opened(root) as store:
        send(store, a_wheel("late"))
    second = backed_up(root, dest, days=1)
    assert (second.linked, second.reused, second.copied) == (0, 5, 2)
    assert path_of(second.path).samefile(path_of(first.path))
    assert not path_of(second.path).samefile(path_of(root))


def replace(path: Path, content: bytes) -> None:
    """Put other bytes in the place of a file, as a file of their own."""
    path.unlink()
    path.write_bytes(content)


@pytest.mark.parametrize("is_elsewhere", [False, True])
def test_wrong_bytes_of_the_right_size_are_told_of_by_every_backup_that_has_no_others(
    root: Path, dest: Path, monkeypatch: pytest.MonkeyPatch, *, is_elsewhere: bool
) -> None:
    if is_elsewhere:
        another_disk(monkeypatch, root)
    replace(path_of(root), bytes(len(DEMO.content)))
    for days in (0, 1):
        taken = backed_up(root, dest, days=days)
        assert [path.rpartition("/")[2] for path in taken.manifest.damaged] == [DEMO.filename]
        assert not path_of(taken.path).samefile(path_of(root))


@pytest.mark.parametrize("other", [bytes(len(DEMO.content)), b"cut short", None])
def test_an_earlier_backup_has_the_bytes_that_are_lost_or_wrong_and_that_is_told(
    other: bytes | None, root: Path, dest: Path, tmp_path: Path
) -> None:
    first = backed_up(root, dest)
    path = path_of(root)
    below = path.relative_to(root).as_posix()
    if other is None:
        path.unlink()
    else:
        replace(path, other)
    second, third = backed_up(root, dest, days=1), backed_up(root, dest, days=2, keep=1)
    assert second.recovered == ((below, first.path),)
    assert third.recovered == ((below, second.path),)
    assert third.manifest.damaged == ()
    assert path_of(third.path).read_bytes() == DEMO.content
    restored_to(third.path, tmp_path / "new", is_verified=True)
    assert faults(tmp_path / "new") == []


def test_what_lies_beside_a_file_is_compared_too(root: Path, dest: Path) -> None:
    first = backed_up(root, dest)
    beside = path_of(root).with_name(DEMO.filename + ".metadata")
    replace(beside, bytes(beside.stat().st_size))
    second = backed_up(root, dest, days=1)
    assert second.recovered == ((beside.relative_to(root).as_posix(), first.path),)


def test_only_what_the_backup_before_does_not_have_is_read(
    root: Path, dest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    has_digest = copying._has_digest
    read: list[str] = []

    def note(path: Path, sha256: str) -> bool:
        read.append(path.name)
        return has_digest(path, sha256)

    monkeypatch.setattr(copying, "_has_digest", note)
    backed_up(root, dest)
    assert len(read) == 5
    with opened(root) as store:
        late = send(store, a_wheel("late")).file
    read.clear()
    taken = backed_up(root, dest, days=1)
    assert [name for name in read if not name.endswith(".metadata")] == [late.filename]
    assert taken.linked == 7


@pytest.mark.parametrize("is_elsewhere", [False, True])
def test_a_file_that_cannot_be_read_keeps_nobody_from_the_rest(
    root: Path, dest: Path, monkeypatch: pytest.MonkeyPatch, *, is_elsewhere: bool
) -> None:
    if is_elsewhere:
        another_disk(monkeypatch, root)
    bad = path_of(root).stat().st_size

    def fail(file: BinaryIO, size_bytes: int) -> bytes:
        if os.fstat(file.fileno()).st_size == bad:
            raise copying.UnreadableError(errno.EIO, "Input/output error")
        return file.read(size_bytes)

    monkeypatch.setattr(copying, "_read", fail)
    monkeypatch.setattr(copying, "_has_digest", lambda path, _: path.name != DEMO.filename)
    taken = backed_up(root, dest)
    assert [path.rpartition("/")[2] for path in taken.manifest.damaged] == [DEMO.filename]
    assert not list((taken.path / "files").rglob(DEMO.filename))


def lose(path: Path) -> None:
    path.unlink()


def shorten(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:50])


def lead_away(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/passwd")


@pytest.mark.parametrize("spoil", [lose, shorten, lead_away])
def test_a_file_that_is_damaged_already_is_told_of_and_keeps_nobody_from_the_rest(
    spoil: Callable[[Path], None], root: Path, dest: Path, tmp_path: Path
) -> None:
    spoil(path_of(root))
    taken = backed_up(root, dest)
    assert [path.rpartition("/")[2] for path in taken.manifest.damaged] == [DEMO.filename]
    with pytest.raises(Refused, match=r"1 were lost or damaged before it was made \(the first: f"):
        restored_to(taken.path, tmp_path / "new")
    assert not (tmp_path / "new").exists()
    restored = restored_to(taken.path, tmp_path / "new", is_verified=True, despite_faults=True)
    assert restored.faults == ()
    assert len(faults(tmp_path / "new")) == 1
    with opened(tmp_path / "new") as store:
        send(store, DEMO)
    assert faults(tmp_path / "new") == []


def test_a_file_that_goes_between_the_catalog_and_its_turn_makes_another_round(
    root: Path, dest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_catalog, rounds = take._copy_catalog, []

    def busy_copy(path: Path, target: Path) -> None:
        copy_catalog(path, target)
        rounds.append(target)
        if len(rounds) <= take._ROUNDS_BESIDE_WRITERS:  # later, writers wait
            remove(store, recorded_files(store.catalog)[0])
            send(store, a_wheel("new", f"{len(rounds)}.0"))

    monkeypatch.setattr(take, "_copy_catalog", busy_copy)
    with opened(root) as store:
        taken = backed_up(root, dest)
        now = recorded_files(store.catalog)
    assert len(rounds) == 3
    assert taken.manifest.damaged == ()
    restored_to(taken.path, tmp_path / "new", is_verified=True)
    assert faults(tmp_path / "new") == []
    with opened(tmp_path / "new") as store:
        assert recorded_files(store.catalog) == now


@pytest.mark.parametrize("when", ["_copy_catalog", "sync_all"])
def test_a_backup_that_is_killed_does_not_count_and_the_next_one_works(
    when: str, root: Path, dest: Path, tmp_path: Path
) -> None:
    with elsewhere(die_while_backing_up, str(root), str(dest), when) as other:
        assert other.end() == (-signal.SIGKILL, "")
    (left,) = dest.glob("*.unfinished")
    assert complete_in(dest) == []
    with pytest.raises(Refused, match="this backup was never finished"):
        restored_to(left, tmp_path / "new")
    taken = backed_up(root, dest)
    assert complete_in(dest) == [taken.path]
    assert not list(dest.glob("*.unfinished"))
    restored_to(taken.path, tmp_path / "new")


def test_the_oldest_complete_backups_go(root: Path, dest: Path) -> None:
    taken = [backed_up(root, dest, keep=2, days=days) for days in range(4)]
    assert complete_in(dest) == [taken[2].path, taken[3].path]
    assert taken[3].removed == (taken[1].path,)
    assert len(complete_in(dest)) == 2
    again = backed_up(root, dest, days=3)
    assert again.path.name == "20260105T030405Z-2"


@pytest.mark.parametrize("days", [0, -1, 1], ids=["same time", "clock set back", "later"])
def test_whatever_others_are_called_the_backup_that_was_just_made_stays(
    root: Path, dest: Path, days: int
) -> None:
    first = backed_up(root, dest)
    first.path.rename(dest / "before-the-upgrade")
    second = backed_up(root, dest, keep=1, days=days)
    assert second.removed == (dest / "before-the-upgrade",)
    assert complete_in(dest) == [second.path]


def test_the_age_of_backups_is_what_they_say_and_not_their_name(root: Path, dest: Path) -> None:
    backed_up(root, dest).path.rename(dest / "z-oldest")
    newer = backed_up(root, dest, days=1)
    path = path_of(root)
    path.unlink()
    third = backed_up(root, dest, days=2, keep=2)
    assert third.recovered == ((path.relative_to(root).as_posix(), newer.path),)
    assert third.removed == (dest / "z-oldest",)


def test_what_cannot_be_read_is_no_backup_and_never_goes(root: Path, dest: Path) -> None:
    unreadable = backed_up(root, dest).path
    (unreadable / "backup.json").write_text("?")
    taken = backed_up(root, dest, days=1, keep=1)
    assert (taken.removed, complete_in(dest)) == ((), [taken.path])
    assert unreadable.exists()


def test_without_room_nothing_is_begun(
    root: Path, dest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil._ntuple_diskusage(1, 1, 1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(Unavailable, match="has room for 1,000 bytes, and the backup needs") as it:
        backed_up(root, dest)
    assert it.value.full
    assert not dest.exists()
    dest.mkdir()
    with pytest.raises(Unavailable):
        backed_up(root, dest)
    assert [path.name for path in dest.iterdir()] == ["lock"]


def test_what_fails_in_the_middle_leaves_nothing(
    root: Path, dest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    another_disk(monkeypatch, root)
    monkeypatch.setattr(copying, "copy", no_room)
    with pytest.raises(Unavailable, match="cannot be saved: the disk is full"):
        backed_up(root, dest / "new")
    assert not dest.exists()


def test_two_backups_do_not_meet_in_one_folder(root: Path, dest: Path) -> None:
    dest.mkdir()
    other = FileLock(dest / "lock")
    assert other.try_keep()
    with pytest.raises(Unavailable, match="another backup is being made"):
        backed_up(root, dest)
    other.close()


def test_a_backup_does_not_lie_in_what_it_saves(root: Path) -> None:
    with pytest.raises(Refused, match="cannot lie in it"):
        backed_up(root, root / "backups")
    assert not (root / "backups").exists()


def test_a_damaged_catalog_is_not_saved(root: Path, dest: Path) -> None:
    os.truncate(root / "catalog.sqlite", 8192)
    with pytest.raises(Refused, match=r"the catalog is damaged .* `simpleindex-server rebuild"):
        backed_up(root, dest)
    assert not dest.exists()


# The way back


def test_nothing_is_restored_over_anything(root: Path, dest: Path, tmp_path: Path) -> None:
    backup = backed_up(root, dest).path
    with pytest.raises(Refused, match="into an empty folder"):
        restored_to(backup, root)
    (tmp_path / "file").touch()
    with pytest.raises(Refused, match="into an empty folder"):
        restored_to(backup, tmp_path / "file")
    (tmp_path / "empty").mkdir()
    restored_to(backup, tmp_path / "empty")


def test_the_folder_of_backups_is_none_and_names_the_newest(
    root: Path, dest: Path, tmp_path: Path
) -> None:
    backed_up(root, dest)
    with pytest.raises(Refused, match=r"name one of them, the newest is .*/20260102T030405Z$"):
        restored_to(dest, tmp_path / "new")
    with pytest.raises(Refused, match="this is no backup"):
        restored_to(root, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_backup_with_faults_is_restored_on_request_only(
    root: Path, dest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    another_disk(monkeypatch, root)
    backup = backed_up(root, dest).path
    path = path_of(backup)
    path.write_bytes(bytes(path.stat().st_size))
    restored_to(backup, tmp_path / "not noticed")  # only sizes are looked at
    with pytest.raises(Refused, match=r"it has faults \(1 x file-bytes; the first: files/root/"):
        restored_to(backup, tmp_path / "new", is_verified=True)
    assert not (tmp_path / "new").exists()
    path.unlink()
    (tmp_path / "new").mkdir()
    with pytest.raises(Refused, match="1 x file-missing"):
        restored_to(backup, tmp_path / "new")
    assert list((tmp_path / "new").iterdir()) == []
    restored = restored_to(backup, tmp_path / "new", despite_faults=True)
    assert len(restored.faults) == 1
    with opened(tmp_path / "new") as store:
        assert len(recorded_files(store.catalog)) == 2


def test_a_backup_whose_catalog_was_changed_is_not_restored(
    root: Path, dest: Path, tmp_path: Path
) -> None:
    backup = backed_up(root, dest).path
    with (backup / "catalog.sqlite").open("r+b") as file:
        file.seek(5000)
        file.write(b"x")
    with pytest.raises(Refused, match="it has changed since it was saved"):
        restored_to(backup, tmp_path / "new")


def test_a_restore_that_is_broken_off_leaves_no_directory_of_ours(
    root: Path, dest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup = backed_up(root, dest).path
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(errno.EIO, "broken")))
    with pytest.raises(Unavailable, match="broken"):
        restored_to(backup, tmp_path / "new")
    assert state_of(tmp_path / "new") is FolderState.FOREIGN


def test_restored_files_share_nothing_with_the_backup_unless_asked_to(
    root: Path, dest: Path, tmp_path: Path
) -> None:
    backup = backed_up(root, dest).path
    restored_to(backup, tmp_path / "new")
    assert not path_of(tmp_path / "new").samefile(path_of(backup))
    restored = restored_to(backup, tmp_path / "linked", may_link=True)
    assert (restored.linked, restored.copied) == (5, 0)
    assert path_of(tmp_path / "linked").samefile(path_of(backup))


def test_the_manifest_says_what_is_in_a_backup(root: Path, dest: Path) -> None:
    taken = backed_up(root, dest)
    assert read_manifest(taken.path) == taken.manifest
    document = json.loads((taken.path / "backup.json").read_text())
    assert document["made_at"] == "2026-01-02T03:04:05.678901Z"
    assert set(document["digests"]) == {"catalog.sqlite", "journal.jsonl", "secret"}
    assert {path.name for path in taken.path.iterdir()} == {
        *document["digests"],
        "backup.json",
        "files",
    }
    document["format"] = 2
    (taken.path / "backup.json").write_text(json.dumps(document))
    with pytest.raises(Refused, match="a newer simpleindex-server made this backup"):
        read_manifest(taken.path)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("digests", {"catalog.sqlite": "0" * 64, "../evil": "0" * 64}),
        ("digests", {"catalog.sqlite": "0" * 64, "..": "0" * 64}),
        ("digests", {"catalog.sqlite": "0" * 64, "/etc/evil": "0" * 64}),
        ("digests", {"catalog.sqlite": "0" * 64, "..\\evil": "0" * 64}),
        ("digests", {"catalog.sqlite": "0" * 64, "C:evil": "0" * 64}),
        ("digests", {"catalog.sqlite": "0" * 64, "": "0" * 64}),
        ("digests", {"catalog.sqlite": "no digest"}),
        ("digests", {"catalog.sqlite": None}),
        ("digests", {"secret": "0" * 64}),
        ("digests", ["catalog.sqlite"]),
        ("damaged", ["files/../../evil"]),
        ("damaged", ["/etc/evil"]),
        ("damaged", [7]),
        ("damaged", "files/one"),
        ("made_at", "yesterday"),
        ("made_at", "2026-01-02T03:04:05"),
        ("made_at", None),
        ("serial", "3"),
        ("uuid", None),
    ],
)
def test_a_backup_that_says_what_none_says_is_not_restored(
    root: Path, dest: Path, tmp_path: Path, field: str, value: object
) -> None:
    backup = backed_up(root, dest).path
    document = json.loads((backup / "backup.json").read_text())
    (backup / "backup.json").write_text(json.dumps(document | {field: value}))
    with pytest.raises(Refused, match=r"its backup\.json cannot be read"):
        restored_to(backup, tmp_path / "new", despite_faults=True)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("content", ["[]", "7", '{"format": 1}', "[" * 100_000])
def test_a_manifest_that_is_none_is_refused(root: Path, dest: Path, content: str) -> None:
    backup = backed_up(root, dest).path
    (backup / "backup.json").write_text(content)
    with pytest.raises(Refused, match=r"its backup\.json cannot be read"):
        read_manifest(backup)


def test_a_catalog_that_is_put_back_by_hand_sets_the_newer_journal_aside(
    root: Path, dest: Path
) -> None:
    backup = backed_up(root, dest).path
    with opened(root) as store:
        for number in range(70):
            send(store, a_wheel("late", f"{number}.0"))
    shutil.copy2(backup / "catalog.sqlite", root / "catalog.sqlite")
    with opened(root) as store:
        assert {file.project for file in recorded_files(store.catalog)} == {"demo", "other"}
        send(store, a_wheel("after"))
    assert [line["serial"] for line in journal_of(root)] == [0, 1, 2, 3, 4]
    assert len(list(root.glob("journal-from-*.jsonl"))) == 1
    assert {line.partition(" ")[0] for line in faults(root)} == {"stray-file"}
