"""A catalog that is made anew: the same as before, or what is different is told."""

import errno
import json
import os
import shutil
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from simpleindex_storage import upkeep
from simpleindex_storage.errors import Refused, Unavailable
from simpleindex_storage.fsck.check import Check
from simpleindex_storage.fsck.reading import CatalogReader
from simpleindex_storage.journal import segments
from simpleindex_storage.log_retention import trim_log
from simpleindex_storage.model import (
    StageSettings,
)
from simpleindex_storage.rebuild import again as rebuilding
from simpleindex_storage.rebuild import draft
from simpleindex_storage.rebuild.again import Rebuilt, rebuild
from simpleindex_storage.rebuild.from_files import NO_PASSWORD, rebuild_from_files
from simpleindex_storage.rebuild.replay import _DOES
from simpleindex_storage.state_file import facts_of
from tests.builders import a_wheel
from tests.storage.filled import ART, BY, DEMO, DEV, ROOT, change, fill
from tests.storage.stores import (
    LOCAL,
    NOW,
    catalog_dump,
    files_below,
    journal_of,
    opened,
    read,
    recorded_files,
    send,
    serial_of,
)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What tests get a copy of."""
    folder = tmp_path_factory.mktemp("filled") / "data"
    fill(folder)
    return folder


@pytest.fixture
def root(filled: Path, tmp_path: Path) -> Path:
    """A directory that a test may ruin."""
    return Path(shutil.copytree(filled, tmp_path / "data"))


def again(root: Path, *, skip_damaged: bool = False, drop_missing: bool = False) -> Rebuilt:
    return rebuild(root, NOW, by=BY, skip_damaged=skip_damaged, drop_missing=drop_missing)


def ruin(root: Path) -> None:
    """Let the catalog be lost, with all that SQLite keeps beside it."""
    for path in root.glob("catalog.sqlite*"):
        path.unlink()


def append_line(root: Path, line: bytes) -> None:
    with (root / "journal.jsonl").open("ab") as journal:
        journal.write(line)


def test_a_lost_catalog_is_the_same_again(root: Path) -> None:
    before, files = catalog_dump(root), files_below(root)
    serial = len(journal_of(root)) - 1
    ruin(root)
    rebuilt = again(root)
    assert catalog_dump(root) == before
    assert files_below(root) == files
    assert rebuilt == Rebuilt(serial, serial + 1, rebuilt.counts)
    assert rebuilt.counts == {
        "users": 2, "tokens": 1, "indexes": 3, "projects": 3, "releases": 4, "files": 4,
        "attachments": 2,
    }  # fmt: skip
    assert (root / "catalog.sqlite").stat().st_mode & 0o777 == 0o600
    with opened(root) as store:
        assert serial_of(store.catalog) == serial
        for file in recorded_files(store.catalog):
            read(store, file)
        send(store, a_wheel("more"))
    assert catalog_dump(root) != before
    assert [line["serial"] for line in journal_of(root)] == list(range(serial + 2))


def test_every_kind_of_fact_has_been_tried(root: Path) -> None:
    told = {kind for line in journal_of(root) for kind, _ in line["facts"]}
    assert told == set(_DOES) - {"former project", "file to remove"}


def test_after_old_lines_have_gone_the_catalog_is_the_same_again(root: Path) -> None:
    with opened(root) as store:
        (art,) = (file for file in recorded_files(store.catalog) if file.project == ART)
        change(store, lambda it: it.remove_file(art))
        trimmed = trim_log(root, store.catalog, 1, NOW + timedelta(days=3))
        assert trimmed.removed == ("journal.jsonl",)
        kinds = {kind for kind, _ in facts_of(root)}
        assert {"former project", "file to remove", "attachment", "token", "delivery"} <= kinds
        send(store, a_wheel("more"))
    before = by_names(root)
    rebuilt = again(root)
    assert by_names(root) == before
    assert rebuilt.lines == len(journal_of(root)) == 1


@pytest.mark.parametrize("is_lost", [False, True], ids=["there", "lost"])
def test_after_all_lines_have_gone_the_journal_goes_on_where_it_should(
    is_lost: bool, root: Path
) -> None:
    with opened(root) as store:
        trim_log(root, store.catalog, 1, NOW + timedelta(days=3))
        (segment,) = segments(root)
    before = by_names(root)
    assert segment.path.read_bytes() == b""
    if is_lost:
        segment.path.unlink()
    again(root)
    assert [fault.code for fault in Check(root).faults()] == []
    assert by_names(root) == before
    with opened(root) as store:
        send(store, a_wheel("more"))
    assert [each.path.name for each in segments(root)] == [segment.path.name]
    assert [fault.code for fault in Check(root).faults()] == []


def test_what_was_to_be_removed_when_old_lines_went_is_removed(root: Path) -> None:
    with opened(root) as store:
        (art,) = (file for file in recorded_files(store.catalog) if file.project == ART)
        change(store, lambda it: it.remove_file(art))
        trim_log(root, store.catalog, 1, NOW + timedelta(days=3))
    with closing(sqlite3.connect(root / "catalog.sqlite")) as connection:
        before = connection.execute("SELECT * FROM removals").fetchall()
    assert len(before) == 1
    assert again(root).unknown == ()
    with closing(sqlite3.connect(root / "catalog.sqlite")) as connection:
        assert connection.execute("SELECT * FROM removals").fetchall() == before
    with opened(root):
        assert not (root / "files" / art.place.path).exists()


def by_names(root: Path) -> list[object]:
    """All that can be seen of a catalog; the numbers of its rows are its own affair."""
    with opened(root) as store, store.catalog.snapshot() as seen:
        return [seen.serial, store.catalog.uuid, *seen.all_facts()]


def test_what_was_there_before_is_kept_under_another_name(root: Path) -> None:
    with closing(sqlite3.connect(root / "catalog.sqlite")) as connection:
        connection.execute("DELETE FROM files")
        connection.commit()
    damaged = catalog_dump(root)
    rebuilt = again(root)
    assert rebuilt.kept == root / "catalog.sqlite.damaged-20260102T030405"
    with closing(sqlite3.connect(rebuilt.kept)) as connection:
        assert list(connection.iterdump()) == damaged
    assert catalog_dump(root) != damaged
    assert again(root).kept == root / "catalog.sqlite.damaged-20260102T030405-2"


def test_a_log_of_sqlite_is_never_found_beside_another_catalog(root: Path) -> None:
    before = catalog_dump(root)
    (root / "catalog.sqlite").write_bytes(b"no catalog any more")
    for ending in ("-wal", "-shm"):
        (root / f"catalog.sqlite{ending}").write_bytes(b"of the old one")
    kept = again(root).kept
    assert kept is not None
    assert kept.read_bytes() == b"no catalog any more"
    assert kept.with_name(f"{kept.name}-wal").read_bytes() == b"of the old one"
    assert sorted(path.name for path in root.glob("catalog.sqlite*") if path.name < kept.name) == [
        "catalog.sqlite"
    ]
    assert catalog_dump(root) == before


@pytest.mark.parametrize("is_readable", [True, False], ids=["readable", "lost"])
def test_a_journal_that_tells_no_uuid_leaves_that_of_the_catalog(
    is_readable: bool, root: Path
) -> None:
    path = root / "journal.jsonl"
    with opened(root) as store:
        uuid = store.catalog.uuid
    path.write_bytes(path.read_bytes().replace(b'["server",{"uuid":"%s"}],' % uuid.encode(), b""))
    if not is_readable:
        ruin(root)
    assert again(root).has_new_uuid is not is_readable
    with opened(root) as store:
        assert (store.catalog.uuid == uuid) is is_readable


# Damage


@pytest.mark.parametrize(
    "torn", [b'{"serial": 99, "ti', b'{"serial": 99, "ti\n', b"\x00" * 90], ids=repr
)
def test_a_last_line_that_was_cut_short_is_dropped(torn: bytes, root: Path) -> None:
    before, length = catalog_dump(root), (root / "journal.jsonl").stat().st_size
    append_line(root, torn)
    rebuilt = again(root)
    assert rebuilt.unfinished == f"journal.jsonl, line {rebuilt.lines + 1}"
    assert rebuilt.skipped == ()
    assert catalog_dump(root) == before
    with opened(root):
        assert (root / "journal.jsonl").stat().st_size == length


def test_a_segment_that_was_never_begun_does_not_make_that_line_damage(root: Path) -> None:
    before = catalog_dump(root)
    append_line(root, b'{"serial": 99, "ti')
    (root / f"journal-{len(before)}.jsonl").touch()
    assert again(root).unfinished
    assert catalog_dump(root) == before
    with opened(root):
        assert [path.path.name for path in segments(root)] == ["journal.jsonl"]


def damage_line(root: Path, number: int, new: bytes = b"damaged\n") -> None:
    path = root / "journal.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    lines[number - 1] = new
    path.write_bytes(b"".join(lines))


@pytest.mark.parametrize(
    ("new", "complaint"),
    [
        (b"damaged\n", "journal.jsonl, line 10: it is damaged"),
        (b"", "journal.jsonl, line 10: before it the changes 9 to 9 are missing"),
    ],
    ids=["damaged", "missing"],
)
def test_damage_is_refused_and_changes_nothing(new: bytes, complaint: str, root: Path) -> None:
    damage_line(root, 10, new)
    before = catalog_dump(root), sorted(path.name for path in root.iterdir())
    with pytest.raises(Refused, match=complaint) as raised:
        again(root)
    assert "--skip-damaged goes on without it" in str(raised.value)
    assert (catalog_dump(root), sorted(path.name for path in root.iterdir())) == before


def test_damage_can_be_left_out_and_what_hangs_on_it_is_named(root: Path) -> None:
    lines = journal_of(root)
    (number,) = (
        number
        for number, line in enumerate(lines, 1)
        if any(kind == "index" and fact["name"] == "alice/dev" for kind, fact in line["facts"])
    )
    damage_line(root, number)
    rebuilt = again(root, skip_damaged=True)
    assert rebuilt.serial == len(lines)
    assert rebuilt.skipped[0] == f"journal.jsonl, line {number}: it is damaged"
    assert "there is no index alice/dev here" in rebuilt.skipped[2]
    assert len(rebuilt.skipped) == 4
    with opened(root) as store, store.catalog.snapshot() as seen:
        assert [index.name for index in seen.indexes()] == ["root/far", "root/local"]
        assert seen.serial == rebuilt.serial
    (line,) = (root / f"journal-{rebuilt.serial}.jsonl").read_text().splitlines()
    assert json.loads(line)["what"] == "rebuild"
    # From now on nothing is damaged.
    before = by_names(root)
    ruin(root)
    assert again(root).skipped == ()
    assert by_names(root) == before


def test_a_journal_that_lacks_what_the_catalog_knows_is_refused(root: Path) -> None:
    path = root / "journal.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-2]))
    before = catalog_dump(root)
    with pytest.raises(Refused, match="the catalog knows of changes up to serial"):
        again(root)
    assert catalog_dump(root) == before
    rebuilt = again(root, skip_damaged=True)
    assert len(rebuilt.skipped) == 1


def test_without_a_journal_it_is_told_what_could_be_done(root: Path) -> None:
    (root / "journal.jsonl").unlink()
    with pytest.raises(Refused, match="--from-files"):
        again(root)


# The files


def test_files_that_are_gone_are_named_and_stay_recorded(root: Path) -> None:
    before = catalog_dump(root)
    with opened(root) as store:
        file = recorded_files(store.catalog)[0]
    (root / "files" / file.place.path).unlink()
    rebuilt = again(root)
    assert (rebuilt.missing, rebuilt.dropped) == ((file.place,), False)
    assert catalog_dump(root) == before


def test_files_that_are_gone_can_be_forgotten(root: Path) -> None:
    with opened(root) as store:
        file, *others = recorded_files(store.catalog)
    (root / "files" / file.place.path).unlink()
    serial = len(journal_of(root))
    rebuilt = again(root, drop_missing=True)
    assert (rebuilt.serial, rebuilt.missing, rebuilt.dropped) == (serial, (file.place,), True)
    with opened(root) as store:
        assert list(recorded_files(store.catalog)) == others
    line = journal_of(root)[-1]
    assert (line["serial"], line["who"], line["from"], line["what"]) == (
        serial, "root", "console", "rebuild",
    )  # fmt: skip
    before = by_names(root)
    ruin(root)
    assert again(root).missing == ()
    assert by_names(root) == before


def test_files_that_nothing_tells_of_are_named(root: Path) -> None:
    stray = root / "files" / "root" / "local" / "+f" / "abc" / "0123456789abc"
    stray.mkdir(parents=True)
    (stray / "stray-1.0.tar.gz").write_bytes(b"?")
    (root / "files" / "odd").write_bytes(b"?")
    assert again(root).unknown == (
        "odd", "root/local/+f/abc/0123456789abc/stray-1.0.tar.gz",
    )  # fmt: skip


def test_bytes_of_forgotten_files_are_still_to_be_removed(root: Path) -> None:
    with opened(root) as store:
        file = recorded_files(store.catalog)[0]
        change(store, lambda it: upkeep.forget_file(it, file))
    assert again(root).unknown == ()
    with opened(root):
        assert not (root / "files" / file.place.path).exists()


# Others, and crashes


def test_nothing_is_done_while_somebody_has_the_directory_open(root: Path) -> None:
    with opened(root), pytest.raises(Refused, match="has this directory open; stop it first"):
        again(root)
    again(root)


@pytest.mark.parametrize("call", ["put_in_place", "_keep", "settle"])
@pytest.mark.parametrize("is_after", [False, True], ids=["before", "after"])
def test_whoever_is_killed_meanwhile_leaves_the_old_catalog_or_the_new_one(
    call: str, is_after: bool, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = catalog_dump(root)
    module = rebuilding if call == "settle" else draft
    original = getattr(module, call)

    def die(*arguments: object) -> object:
        result = original(*arguments) if is_after else None
        os.kill(os.getpid(), signal.SIGKILL)
        return result

    child = os.fork()
    if child == 0:
        monkeypatch.setattr(module, call, die)
        again(root)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert catalog_dump(root) == before
    again(root)
    assert catalog_dump(root) == before
    assert not list(root.glob("catalog.sqlite.new*"))


def killed_before(step: int, work: Callable[[], object]) -> bool:
    """Do something in a process that dies before it changes its n-th name of a file."""
    child = os.fork()
    if child == 0:
        steps = count()

        def counted(call: Callable[..., None]) -> Callable[..., None]:
            def one(*arguments: Any, **options: Any) -> None:
                if next(steps) == step:
                    os.kill(os.getpid(), signal.SIGKILL)
                call(*arguments, **options)

            return one

        for name in ("replace", "rename", "link", "unlink"):
            setattr(os, name, counted(getattr(os, name)))
        exit_code = 1
        try:
            work()
            exit_code = 0
        finally:
            os._exit(exit_code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, -signal.SIGKILL)
    return code != 0


def pages(root: Path) -> list[object]:
    """All that can be seen of a catalog, but for when it was changed. Nothing is tidied up."""
    with closing(CatalogReader(root / "catalog.sqlite")) as reader, reader.snapshot() as seen:
        return [
            (kind, {key: value for key, value in fact.items() if key != "serial"})
            for kind, fact in seen.all_facts()
        ]


def each_death(filled: Path, tmp_path: Path, work: Callable[[Path], object]) -> Iterator[Path]:
    """A directory for each moment at which a rebuild can be killed, after that."""
    for step in count():
        root = Path(shutil.copytree(filled, tmp_path / str(step)))
        if not killed_before(step, lambda root=root: work(root)):  # type: ignore[misc]
            assert step > 5
            return
        yield root


def test_whenever_a_rebuild_from_files_is_killed_the_next_one_makes_the_catalog_whose_turn_it_is(
    trimmed: Path, tmp_path: Path
) -> None:
    before = pages(trimmed)
    whole = Path(shutil.copytree(trimmed, tmp_path / "whole"))
    from_files(whole)
    after = pages(whole)
    assert before != after
    seen = []
    for root in each_death(trimmed, tmp_path, from_files):
        there = pages(root)
        seen.append(there == after)
        if there == before:
            again(root)
            assert pages(root) == before
        else:
            with pytest.raises(Refused):  # never the old one in silence
                again(root)
            assert pages(root) == after
        from_files(root)
        assert pages(root) == after
        again(root)
        assert pages(root) == after
        assert not list(root.glob("*.new"))
    assert seen == sorted(seen)
    assert set(seen) == {False, True}


def test_whenever_a_rebuild_past_damage_is_killed_the_next_one_makes_the_same_pages(
    trimmed: Path, tmp_path: Path
) -> None:
    with opened(trimmed) as store:
        (segment,) = (each.path for each in segments(trimmed))
        before = pages(trimmed)
        send(store, a_wheel("late"))
    segment.write_bytes(b"damaged\n" + segment.read_bytes())
    present = pages(trimmed)

    def skipping(root: Path) -> Rebuilt:
        return again(root, skip_damaged=True)

    whole = Path(shutil.copytree(trimmed, tmp_path / "whole"))
    assert skipping(whole).skipped
    after = pages(whole)
    assert before != after
    for root in each_death(trimmed, tmp_path, skipping):
        assert pages(root) in (present, after)
        skipping(root)
        assert pages(root) == after
        assert again(root).skipped == ()
        assert pages(root) == after


@pytest.fixture
def trimmed(root: Path) -> Path:
    """One whose old lines have gone, and that has gone on since."""
    with opened(root) as store:
        trim_log(root, store.catalog, 1, NOW + timedelta(days=3))
        send(store, a_wheel("more"))
    return root


def test_a_rebuild_that_fails_before_the_catalog_is_in_place_leaves_journal_and_state(
    trimmed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, names = by_names(trimmed), sorted(path.name for path in trimmed.glob("journal*"))
    state = (trimmed / "state.json").read_bytes()

    def no_room(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(draft, "put_in_place", no_room)
        with pytest.raises(Unavailable, match="the disk is full"):
            from_files(trimmed)
    assert sorted(path.name for path in trimmed.glob("journal*")) == names
    assert (trimmed / "state.json").read_bytes() == state
    again(trimmed)
    assert by_names(trimmed) == before


def test_a_full_disk_leaves_the_old_catalog(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = catalog_dump(root)

    def no_room(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(draft, "put_in_place", no_room)
    with pytest.raises(Unavailable, match="the disk is full"):
        again(root)
    assert catalog_dump(root) == before
    assert not list(root.glob("catalog.sqlite.new*"))


@pytest.mark.parametrize("number", [errno.EPERM, errno.EIO], ids=["no links", "broken"])
def test_only_where_a_disk_has_no_links_the_old_catalog_is_kept_as_a_copy(
    number: int, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = catalog_dump(root)

    def refuse(path: Path, target: Path) -> None:
        raise OSError(number, "no second name")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    if number == errno.EPERM:
        kept = again(root).kept
        assert kept is not None
        with closing(sqlite3.connect(kept)) as connection:
            assert list(connection.iterdump()) == before
    else:
        with pytest.raises(Unavailable, match="cannot be replaced: no second name"):
            again(root)
    assert catalog_dump(root) == before


# From the files alone


def from_files(root: Path) -> Rebuilt:
    return rebuild_from_files(root, NOW, by=BY, root_user=ROOT)


def test_from_files_alone_come_indexes_releases_and_files(root: Path) -> None:
    with opened(root) as store:
        before = {file.place: file for file in recorded_files(store.catalog)}
        before |= {file.place: file for file in recorded_files(store.catalog, DEV)}
        for number, place in enumerate(sorted(before, key=lambda it: it.filename)):
            os.utime(root / "files" / place.path, (number, number))
    files = files_below(root)
    ruin(root)
    (root / "journal.jsonl").unlink()
    rebuilt = from_files(root)
    assert files_below(root) == files
    assert rebuilt.skipped[0].startswith("root/local/+f/")  # documentation that is none
    assert rebuilt.has_new_uuid
    assert rebuilt.without_password == ("alice",)
    with opened(root) as store, store.catalog.snapshot() as seen:
        after = [*recorded_files(store.catalog), *recorded_files(store.catalog, DEV)]
        assert {file.place for file in after} == set(before)
        for file in after:
            was = before[file.place]
            assert file.metadata_sha256 == was.metadata_sha256
            assert file.requires_python == was.requires_python
            assert (file.md5, file.blake2b_256) == (was.md5, was.blake2b_256)
            assert (file.uploaded_by, file.uploaded_at.year) == ("", 1970)
            assert seen.release(file.index, file.project, file.version)
        assert [user.password_hash for user in seen.users()] == [NO_PASSWORD, "a hash"]
        index = seen.index(DEV)
        assert index is not None and isinstance(index.settings, StageSettings)
        assert (index.automatic, index.settings.volatile) == (True, False)
        assert index.settings.acl_upload == ("alice",)
        assert len(seen.attachments(LOCAL, DEMO)) == 1
        send(store, a_wheel("more"))
    state = by_names(root)
    again(root)
    assert by_names(root) == state


def keep_from_looking_into(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no folder of this name be read."""
    scandir = os.scandir

    def refuse(path: str | Path = ".") -> Any:
        if Path(path).name == name:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)


@pytest.mark.parametrize("work", [from_files, again])
def test_a_folder_that_cannot_be_read_is_not_taken_for_an_empty_one(
    work: Callable[[Path], Rebuilt], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = catalog_dump(root), sorted(path.name for path in root.iterdir())
    with monkeypatch.context() as patch:
        keep_from_looking_into("dev", patch)
        with pytest.raises(Unavailable, match="files/alice/dev cannot be read: Permission denied"):
            work(root)
    assert (catalog_dump(root), sorted(path.name for path in root.iterdir())) == before


def test_a_file_that_cannot_be_looked_at_is_not_taken_for_a_missing_one(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lstat = Path.lstat

    def refuse(path: Path) -> os.stat_result:
        if path.suffix == ".whl":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return lstat(path)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "lstat", refuse)
        with pytest.raises(Unavailable, match=r"\.whl cannot be looked at: Permission denied"):
            again(root, drop_missing=True)


def test_from_files_the_log_of_old_goes_on(root: Path) -> None:
    lines = len(journal_of(root))
    ruin(root)
    rebuilt = from_files(root)
    assert rebuilt.serial == lines + 1
    told = journal_of(root)
    assert [line["serial"] for line in told] == [*range(lines), lines + 1]
    assert (told[-1]["what"], told[-1]["facts"]) == ("rebuild", [])


def test_from_files_what_is_not_what_its_path_says_is_left_out(root: Path) -> None:
    with opened(root) as store:
        file, other = recorded_files(store.catalog)[:2]
    path = root / "files" / file.place.path
    path.write_bytes(b"damaged")
    newer = replace(other.place, sha256_prefix="0" * 16)
    (root / "files" / newer.path).parent.mkdir(parents=True)
    (root / "files" / newer.path).write_bytes(b"?")
    os.utime(root / "files" / newer.path, (1, 1))
    rebuilt = from_files(root)
    left_out = "\n".join(rebuilt.skipped)
    assert f"{file.place.path}: {file.filename}: the sha256 digest should be" in left_out
    assert f"{newer.path}: {other.place.path} has the same name, and is newer" in left_out
    assert path.read_bytes() == b"damaged"
    assert (root / "files" / newer.path).exists()
    with opened(root) as store:
        assert other.place in {each.place for each in recorded_files(store.catalog)}
        assert file.place not in {each.place for each in recorded_files(store.catalog)}
    assert (root / "files" / newer.path).exists()
