"""Faults are planted one by one: each is found by its own name, and mended where it can be."""

import errno
import itertools
import json
import os
import shutil
import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from simpleindex_storage import state_file
from simpleindex_storage.durable import write_file
from simpleindex_storage.errors import Unavailable
from simpleindex_storage.fsck import files as fsck_files
from simpleindex_storage.fsck import journal as fsck_journal
from simpleindex_storage.fsck import surroundings
from simpleindex_storage.fsck.check import Check
from simpleindex_storage.fsck.codes import KINDS, Code, Fault
from simpleindex_storage.fsck.mend import Done, Mender
from simpleindex_storage.journal import Segment, segments
from simpleindex_storage.log_retention import Trimmed, trim_log
from simpleindex_storage.model import Actor, Outcome, Sidecar, Upload
from simpleindex_storage.names import IndexName, parse_project_name
from simpleindex_storage.opening import open_cache
from simpleindex_storage.privacy import wide_open
from simpleindex_storage.upkeep import remove_project
from tests.builders import A_SIGNATURE, a_wheel
from tests.storage.other_process import elsewhere, hold_a_draft
from tests.storage.stores import (
    LOCAL,
    NOW,
    a_file,
    a_result,
    a_stage,
    a_store,
    attach,
    documentation,
    files_below,
    forget,
    opened,
    read,
    recorded_files,
    send,
    serial_of,
)

NEEDS_MODES = pytest.mark.skipif(os.name == "nt", reason="Windows has no modes of files")
OTHER = IndexName("root/other")
DEMO = a_wheel("demo")
TWIN = a_wheel("twin")
"""Lies in both indexes."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory in which all is well: files in two indexes, attachments, and a removed file."""
    root = tmp_path_factory.mktemp("fsck") / "data"
    with a_store(root, a_stage(volatile=True), a_stage(OTHER)) as store:
        file = send(store, DEMO).file
        send(store, TWIN)
        send(store, TWIN, OTHER)
        attach(store, documentation(), b"the pages")
        attach(store, a_result(file), b"{}")
        upload = Upload(LOCAL, "signed-1.0-py3-none-any.whl", "root", signature=A_SIGNATURE)
        with store.stage() as draft:
            draft.write(a_wheel("signed").content)
            store.admit([(upload, draft.finish())], by=Actor("root"))
        send(store, a_wheel("gone"))
        store.catalog.change(
            lambda it: remove_project(it, LOCAL, parse_project_name("gone")), by=Actor(""), what=""
        )
        store.sweep()
    with closing(open_cache(root, lambda: NOW)):
        pass
    return root


@pytest.fixture
def root(whole: Path, tmp_path: Path) -> Path:
    """One that a test may spoil."""
    return Path(shutil.copytree(whole, tmp_path / "data"))


def faults(root: Path, *, is_quick: bool = False) -> list[Fault]:
    return list(Check(root, is_quick=is_quick).faults())


def codes(root: Path, *, is_quick: bool = False) -> list[Code]:
    return [fault.code for fault in faults(root, is_quick=is_quick)]


def files_and_sizes(root: Path) -> dict[Path, tuple[int, int]]:
    """All that lies there, but for what SQLite needs to read."""
    return {
        path: (path.lstat().st_mtime_ns, path.lstat().st_size)
        for path in root.rglob("*")
        if not path.is_dir() and not path.name.endswith(("-wal", "-shm"))
    }


def repair(root: Path, *, forget_missing: bool = False) -> list[str | None]:
    """What was done about each fault; None if that is still there."""
    with closing(Mender(root, lambda: NOW, forget_missing=forget_missing)) as mender:
        done = [mender.mend(fault) for fault in Check(root).faults()]
    return [each.what if each.is_mended else None for each in done]


def path_of(root: Path, built: str = "demo", index: IndexName = LOCAL) -> Path:
    (path,) = (root / "files" / index).rglob(f"{built}-1.0-py3-none-any.whl")
    return path


def write(root: Path, *statements: str) -> None:
    """Change the catalog behind everybody's back."""
    with closing(sqlite3.connect(root / "catalog.sqlite", isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def flip(path: Path) -> None:
    """Change a byte, and not the size."""
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


def grow(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"x")


def to_a_link(path: Path) -> None:
    shutil.move(path, path.with_name("elsewhere"))
    (path.with_name("elsewhere")).replace(path.parents[7] / "elsewhere")
    path.symlink_to(path.parents[7] / "elsewhere")


def beside(root: Path, sidecar: Sidecar = Sidecar.METADATA, built: str = "demo") -> Path:
    path = path_of(root, built)
    return path.with_name(path.name + sidecar)


def spoil_pages(root: Path) -> None:
    path = root / "catalog.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        (page,) = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'attachments_of_release'"
        ).fetchone()
    content = path.read_bytes()
    at = (page - 1) * 4096
    path.write_bytes(content[:at] + b"\xff" * 4096 + content[at + 4096 :])


def cut_catalog(root: Path) -> None:
    os.truncate(root / "catalog.sqlite", 8192)


def journal_lines(root: Path, change: Callable[[list[bytes]], Sequence[bytes]]) -> None:
    """Change the journal, and let the catalog believe that it has always been so."""
    path = root / "journal.jsonl"
    path.write_bytes(b"".join(change(path.read_bytes().splitlines(keepends=True))))
    write(root, f"UPDATE facts SET value = {path.stat().st_size} WHERE name = 'journal_bytes'")


def write_state(root: Path, serial: int) -> None:
    """Let `state.json` stand for the lines up to a serial, and take them away."""
    path = root / "journal.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    facts = [fact for line in lines[: serial + 1] for fact in json.loads(line)["facts"]]
    state_file.write_state(root, state_file.State(serial, "x", NOW), facts)
    rest = root / f"journal-{serial + 1}.jsonl"
    rest.write_bytes(b"".join(lines[serial + 1 :]))
    rest.chmod(0o600)
    path.unlink()
    write(
        root,
        f"UPDATE facts SET value = {rest.stat().st_size} WHERE name = 'journal_bytes'",
        f"INSERT OR REPLACE INTO facts VALUES ('journal_name', '{rest.name}')",
    )


def lose_the_state(root: Path) -> None:
    write_state(root, 4)
    (root / "state.json").unlink()


def leave_open(path: Path) -> None:
    path.touch()
    path.chmod(0o644)


def add_stray(root: Path) -> None:
    place = a_file("stray-1.0-py3-none-any.whl").place
    (root / "files" / place.path).parent.mkdir(parents=True)
    (root / "files" / place.path).write_bytes(b"the bytes")


def leave_drafts(root: Path) -> None:
    with elsewhere(hold_a_draft, str(root)) as other:
        other.wait_for("ready")
        other.kill()


def leave_a_removal(root: Path) -> None:
    with opened(root) as store:
        forget(store, send(store, a_wheel("late")).file)


def cache_without_record(root: Path) -> None:
    folder = root / "cache" / "files" / "root" / "pypi" / "+f" / "abc" / "0123456789abc"
    folder.mkdir(parents=True)
    (folder / "demo-1.0.tar.gz").write_bytes(b"nobody knows it")


PLANTED: dict[str, tuple[Code, Callable[[Path], object]]] = {
    "pages": (Code.CATALOG_PAGES, spoil_pages),
    "a catalog cut short": (Code.CATALOG_PAGES, cut_catalog),
    "no release": (
        Code.RECORD_ORPHAN,
        lambda root: write(root, "DELETE FROM releases WHERE id = 1"),
    ),
    "serial": (
        Code.RECORD_SERIAL,
        lambda root: write(root, "UPDATE projects SET serial = 99 WHERE id = 1"),
    ),
    "serial of a delivery": (
        Code.RECORD_SERIAL,
        lambda root: write(root, "INSERT INTO deliveries VALUES (99, '', '', '', 1, '{}')"),
    ),
    "key": (Code.RECORD_NAMES, lambda root: write(root, "UPDATE files SET key = 'x' WHERE id = 1")),
    "unreadable record": (
        Code.RECORD_UNREADABLE,
        lambda root: write(root, "UPDATE files SET findings = '{' WHERE id = 1"),
    ),
    "missing": (Code.FILE_MISSING, lambda root: path_of(root).unlink()),
    "missing with its folder": (Code.FILE_MISSING, lambda root: shutil.rmtree(root / "files")),
    "missing documentation": (
        Code.FILE_MISSING, lambda root: (root / "files" / documentation().place.path).unlink()
    ),
    "link": (Code.FILE_NOT_PLAIN, lambda root: to_a_link(path_of(root))),
    "size": (Code.FILE_SIZE, lambda root: grow(path_of(root))),
    "bytes": (Code.FILE_BYTES, lambda root: flip(path_of(root))),
    "documentation": (
        Code.FILE_BYTES, lambda root: flip(root / "files" / documentation().place.path)
    ),
    "no metadata": (Code.SIDECAR_MISSING, lambda root: beside(root).unlink()),
    "no signature": (
        Code.SIDECAR_MISSING, lambda root: beside(root, Sidecar.SIGNATURE, "signed").unlink()
    ),
    "metadata": (Code.SIDECAR_BYTES, lambda root: flip(beside(root))),
    "signature": (
        Code.SIDECAR_BYTES, lambda root: flip(beside(root, Sidecar.SIGNATURE, "signed"))
    ),
    "surplus": (
        Code.SIDECAR_UNANNOUNCED, lambda root: beside(root, Sidecar.PROVENANCE).write_bytes(b"{}")
    ),
    "stray": (Code.STRAY_FILE, add_stray),
    "not ours": (Code.STRAY_FILE, lambda root: (root / "files" / "note.txt").write_bytes(b"mine")),
    "a link among the files": (
        Code.STRAY_FILE, lambda root: (root / "files" / "root" / "new").symlink_to(root)
    ),
    "no journal": (Code.JOURNAL_MISSING, lambda root: (root / "journal.jsonl").unlink()),
    "short journal": (
        Code.JOURNAL_SHORT, lambda root: os.truncate(root / "journal.jsonl", 100)
    ),
    "no line": (
        Code.JOURNAL_LINE,
        lambda root: journal_lines(root, lambda lines: [*lines[:-1], b"{\n", lines[-1]]),
    ),
    "gap": (Code.JOURNAL_GAP, lambda root: journal_lines(root, lambda it: [*it[:2], *it[3:]])),
    "no beginning": (Code.JOURNAL_GAP, lambda root: journal_lines(root, lambda it: it[1:])),
    "no end": (Code.JOURNAL_GAP, lambda root: journal_lines(root, lambda it: it[:-1])),
    "other files": (
        Code.JOURNAL_FILES,
        lambda root: journal_lines(
            root, lambda it: [line.replace(b"twin-1.0", b"twit-1.0") for line in it]
        ),
    ),
    "state": (
        Code.JOURNAL_LINE,
        lambda root: write_file(root / "state.json", b"once upon a time"),
    ),
    "lines that no state stands for": (
        Code.JOURNAL_GAP,
lose_the_state,
    ),
    "empty folder": (
        Code.EMPTY_FOLDER,
        lambda root: (root / "files" / "root" / "local" / "+f" / "abc" / "def").mkdir(parents=True),
    ),
    "removal": (Code.REMOVAL_LEFT, leave_a_removal),
    "drafts": (Code.DRAFT_LEFT, leave_drafts),
    "drafts of nobody": (Code.DRAFT_LEFT, lambda root: (root / "incoming" / "1-a").mkdir()),
    "open directory": (Code.OPEN_TO_OTHERS, lambda root: root.chmod(0o755)),
    "open set-aside catalog": (
        Code.OPEN_TO_OTHERS, lambda root: leave_open(root / "catalog.sqlite.damaged-1")
    ),
    "open journal": (Code.OPEN_TO_OTHERS, lambda root: (root / "journal.jsonl").chmod(0o640)),
    "cache": (
        Code.CACHE_DAMAGED,
        lambda root: (root / "cache/cache.sqlite").write_bytes(b"x" * 99),
    ),
    "surplus in the cache": (Code.CACHE_LEFT, cache_without_record),
}  # fmt: skip

FOLLOWING = {
    "missing with its folder": [Code.SIDECAR_MISSING],
    "missing documentation": [Code.EMPTY_FOLDER],
}
LEFT_OF = {
    Code.FILE_NOT_PLAIN: Code.FILE_MISSING,
    Code.FILE_SIZE: Code.FILE_MISSING,
    Code.FILE_BYTES: Code.FILE_MISSING,
    Code.SIDECAR_BYTES: Code.SIDECAR_MISSING,
}
"""What is found after wrong bytes, for which there are no others, were set aside."""
MENDED = {
    "no metadata", "metadata", "surplus", "stray", "not ours", "a link among the files",
    "empty folder", "removal", "drafts", "drafts of nobody", "open directory", "open journal",
    "open set-aside catalog", "cache", "surplus in the cache",
}  # fmt: skip


def test_a_fault_is_planted_of_every_kind() -> None:
    assert {code for code, _ in PLANTED.values()} == set(Code) == set(KINDS)


def test_a_directory_in_which_all_is_well_has_no_faults(root: Path) -> None:
    check = Check(root)
    assert list(check.faults()) == []
    assert (check.file_count, check.size_bytes) == (6, check.expected_bytes())
    assert codes(root, is_quick=True) == []
    with opened(root):
        assert codes(root) == []


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_found_by_its_name(name: str, root: Path) -> None:
    code, plant = PLANTED[name]
    plant(root)
    before = files_and_sizes(root)
    found = faults(root)
    assert {fault.code for fault in found} == {code, *FOLLOWING.get(name, ())}
    assert all("\n" not in fault.what for fault in found)
    assert files_and_sizes(root) == before, "looking changes nothing"


# What is in a catalog that SQLite finds damaged cannot be relied upon, so nothing is tried there.
@pytest.mark.parametrize("name", [it for it in PLANTED if PLANTED[it][0] is not Code.CATALOG_PAGES])
def test_what_can_be_mended_is_mended_and_the_rest_stays_as_it_is(name: str, root: Path) -> None:
    PLANTED[name][1](root)
    before = [each for each in codes(root) if each not in FOLLOWING.get(name, ())]
    done = repair(root)
    assert (None not in done) is (name in MENDED), done
    left = [each for each in codes(root) if each not in FOLLOWING.get(name, ())]
    stays = [LEFT_OF.get(each, each) for each in before]
    assert left == ([] if name in MENDED else stays)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("size", path_of),
        ("bytes", path_of),
        ("link", path_of),
        ("documentation", lambda root: root / "files" / documentation().place.path),
        ("signature", lambda root: beside(root, Sidecar.SIGNATURE, "signed")),
    ],
)
def test_wrong_bytes_for_which_there_are_no_others_are_set_aside_and_still_a_fault(
    name: str, path: Callable[[Path], Path], root: Path
) -> None:
    spoilt = path(root)
    PLANTED[name][1](root)
    below = spoilt.relative_to(root).as_posix()
    size_bytes = spoilt.lstat().st_size
    with opened(root) as store:
        files = recorded_files(store.catalog)
        with closing(Mender(root, lambda: NOW)) as mender:
            (done,) = (mender.mend(fault) for fault in Check(root).faults())
        assert recorded_files(store.catalog) == files
    assert not done.is_mended
    assert done.what.startswith("set aside in set-aside/2026-01-02T030405Z/, so that clients get")
    assert done.what.endswith(f"copy it from a backup: BACKUP/{below}")
    assert not os.path.lexists(spoilt)
    assert (root / "set-aside/2026-01-02T030405Z" / below).lstat().st_size == size_bytes


def test_a_removed_file_that_came_again_is_not_said_to_be_deleted(root: Path) -> None:
    file = a_file(DEMO.filename, DEMO.content)
    write(
        root,
        f"INSERT INTO removals VALUES ('{LOCAL}', '{file.place.sha256_prefix}', '{file.filename}')",
    )
    assert codes(root) == []


def test_what_was_put_right_meanwhile_is_not_set_aside(root: Path) -> None:
    path = path_of(root)
    flip(path)
    (fault,) = faults(root)
    path.write_bytes(DEMO.content)
    with closing(Mender(root, lambda: NOW)) as mender:
        assert mender.mend(fault).is_mended
    assert path.read_bytes() == DEMO.content


def test_a_state_stands_for_lines_that_are_gone(root: Path) -> None:
    write_state(root, 4)
    assert codes(root) == []
    state = root / "state.json"
    state.write_bytes(state.read_bytes().replace(b"twin-1.0", b"twit-1.0"))
    assert set(codes(root)) == {Code.JOURNAL_FILES}


def test_a_directory_may_be_named_by_a_relative_path(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_cache(root).close()
    monkeypatch.chdir(root.parent)
    assert list(Check(Path(root.name)).faults()) == []


def test_a_folder_that_cannot_be_read_is_not_taken_for_an_empty_one(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scandir = os.scandir

    def refuse(path: str | Path = ".") -> object:
        if Path(path).name == "+f":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(Unavailable, match=r"\+f cannot be read: Permission denied"):
        list(Check(root).faults())


def test_a_quick_check_reads_no_file(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flip(path_of(root))
    grow(path_of(root, "twin", OTHER))
    monkeypatch.delattr(fsck_files, "sha256_of")
    assert codes(root, is_quick=True) == [Code.FILE_SIZE]


@pytest.mark.parametrize("spoil", [Path.unlink, flip, grow, to_a_link])
def test_bytes_that_lie_in_another_index_too_are_put_back(
    spoil: Callable[[Path], None], root: Path
) -> None:
    spoil(path_of(root, "twin"))
    (done,) = repair(root)
    assert done is not None and done.startswith("put back out of files/root/other/+f/")
    assert codes(root) == []
    assert path_of(root, "twin").samefile(path_of(root, "twin", OTHER))
    aside = list((root / "set-aside").rglob("twin*.whl"))
    assert len(aside) == (spoil is not Path.unlink)


def test_bytes_that_mirrors_have_kept_are_put_back(root: Path) -> None:
    path_of(root).unlink()
    digits = DEMO.sha256[:16]
    kept = root / f"cache/files/root/pypi/+f/{digits[:3]}/{digits[3:]}/{DEMO.filename}"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(DEMO.content)
    with closing(sqlite3.connect(root / "cache/cache.sqlite", isolation_level=None)) as cache:
        size_bytes, time = len(DEMO.content), "2026-01-02T03:04:05.000000Z"
        cache.execute(
            "INSERT INTO places (index_name, sha256_prefix, filename, project, file_bytes, sha256,"
            " kept_at, used_at, size_bytes) VALUES ('root/pypi', ?, ?, 'demo', ?, ?, ?, ?, ?)",
            (digits, DEMO.filename, size_bytes, DEMO.sha256, time, time, size_bytes),
        )
    assert repair(root) == [f"put back out of {kept.relative_to(root).as_posix()}"]
    assert codes(root) == []


def test_wrong_bytes_elsewhere_are_not_put_back(root: Path) -> None:
    flip(path_of(root, "twin"))
    flip(path_of(root, "twin", OTHER))
    assert repair(root) == [None, None]
    assert codes(root) == [Code.FILE_MISSING, Code.FILE_MISSING]


@pytest.mark.parametrize("name", ["missing", "size", "bytes", "link", "missing documentation"])
def test_records_whose_bytes_are_gone_are_forgotten_on_request_and_said_so(
    name: str, root: Path
) -> None:
    PLANTED[name][1](root)
    with opened(root) as store:
        serial = serial_of(store.catalog)
    done = repair(root, forget_missing=True)
    assert done == ["forgotten"]
    assert codes(root) == []
    with opened(root) as store:
        assert serial_of(store.catalog) == serial + 1
    last = (root / "journal.jsonl").read_text().splitlines()[-1]
    assert '"who":"fsck","from":"console","what":"forget missing"' in last
    if name in ("size", "bytes"):  # what lay there may still be of use to somebody
        assert len(list((root / "set-aside").rglob("demo*.whl"))) == 1


@pytest.mark.parametrize("name", ["missing", "size", "bytes", "link", "no metadata", "metadata"])
def test_what_cannot_be_mended_is_by_uploading_it_again(name: str, root: Path) -> None:
    PLANTED[name][1](root)
    with opened(root) as store:
        admitted = send(store, DEMO)
        assert admitted.outcome is Outcome.ALREADY_THERE
        assert read(store, admitted.file) == DEMO.content
    assert codes(root) == []


def test_a_stray_is_set_aside_and_not_deleted(root: Path) -> None:
    add_stray(root)
    place = a_file("stray-1.0-py3-none-any.whl").place
    assert repair(root) == ["set aside in set-aside/2026-01-02T030405Z/"]
    aside = root / "set-aside/2026-01-02T030405Z/files" / place.path
    assert aside.read_bytes() == b"the bytes"
    assert codes(root) == []


def test_uploads_and_removals_meanwhile_are_no_faults(root: Path) -> None:
    stop = threading.Event()

    def work() -> None:
        for number in itertools.count():
            if stop.is_set():
                return
            built = a_wheel("busy", f"1.{number}")
            send(store, built)
            if number % 2:
                store.catalog.change(
                    lambda it: remove_project(it, LOCAL, parse_project_name("busy")),
                    by=Actor("root"),
                    what="remove",
                )
                store.sweep()

    with opened(root) as store:
        worker = threading.Thread(target=work)
        worker.start()
        try:
            for _ in range(15):
                assert faults(root) == []
        finally:
            stop.set()
            worker.join()
        assert len(recorded_files(store.catalog)) >= 3
    assert codes(root) == []
    assert files_below(root)


def test_a_segment_that_is_begun_meanwhile_is_no_gap(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(root) as store:
        begun = itertools.count(1)

        def segments_and_a_new_one(folder: Path) -> list[Segment]:
            store.catalog.begin_segment()
            send(store, a_wheel("later", f"{next(begun)}.0"))
            return segments(folder)

        monkeypatch.setattr(fsck_journal, "segments", segments_and_a_new_one)
        assert codes(root) == []
        assert next(begun) > 1


@pytest.mark.parametrize("when", ["the state is read", "segments are listed", "they are read"])
def test_segments_that_are_trimmed_meanwhile_are_no_gap(
    when: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    function = {
        "the state is read": "state_of",
        "segments are listed": "segments",
        "they are read": "lines_of",
    }[when]
    usual = getattr(fsck_journal, function)
    trimmed: list[Trimmed] = []
    with opened(root) as store:
        store.catalog.begin_segment()
        send(store, a_wheel("later"))

        def trim_first(*arguments: Any) -> Any:
            if not trimmed:
                store.catalog.begin_segment()
                send(store, a_wheel("latest"))
                trimmed.append(trim_log(root, store.catalog, 1, NOW + timedelta(days=3)))
            return usual(*arguments)

        monkeypatch.setattr(fsck_journal, function, trim_first)
        assert codes(root) == []
    assert "journal.jsonl" in trimmed[0].removed


def test_a_segment_that_leads_nowhere_is_missing(root: Path) -> None:
    (root / "journal-3.jsonl").symlink_to(root / "nowhere")
    (fault,) = faults(root)
    assert (fault.code, fault.path) == (Code.JOURNAL_MISSING, "journal-3.jsonl")


@NEEDS_MODES
def test_all_that_others_get_at_is_told_and_shut(root: Path) -> None:
    leave_open(root / "state-from-7.json")
    (root / "files").chmod(0o755)
    (root / "ballast").chmod(0o604)
    root.chmod(0o750)
    told = [fault.path for fault in surroundings.open_to_others(root)]
    assert {"./", "files/", "ballast", "state-from-7.json"} <= set(told)
    assert [str(root / path) for path in told] == list(map(str, wide_open(root)))
    assert repair(root) == ["now its owner's alone"] * len(told)
    root.chmod(0o755)
    assert [fault.path for fault in faults(root)] == ["./"]


@NEEDS_MODES
def test_a_directory_behind_a_link_is_looked_at_itself(root: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(root)
    assert faults(tmp_path / "link") == []
    root.chmod(0o755)
    assert faults(tmp_path / "link")[0].what == "has the mode 0755"


@NEEDS_MODES
def test_what_has_gone_meanwhile_needs_no_other_mode(root: Path) -> None:
    leave_open(root / "secret.new")
    (fault,) = faults(root)
    (root / "secret.new").unlink()
    with closing(Mender(root, lambda: NOW)) as mender:
        assert mender.mend(fault) == Done("no longer so", is_mended=True)


@NEEDS_MODES
def test_what_belongs_to_somebody_else_keeps_its_mode_and_ends_no_repair(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, mode: int) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), str(path))

    leave_open(root / "secret.new")
    monkeypatch.setattr(Path, "chmod", refuse)
    assert repair(root) == [None]


def test_a_gap_beside_a_running_server_is_told(root: Path) -> None:
    PLANTED["gap"][1](root)
    with opened(root) as store:
        store.catalog.begin_segment()
        send(store, a_wheel("later"))
        assert codes(root) == [Code.JOURNAL_GAP]


def test_what_is_being_published_is_neither_told_of_nor_set_aside(root: Path) -> None:
    file = a_file("stray-1.0-py3-none-any.whl", b"the bytes")
    with opened(root) as store, store.stage() as draft:
        draft.write(b"the bytes")
        staged = draft.finish()
        store._files.publish(staged, file.place, {Sidecar.METADATA: b"metadata"})
        assert codes(root) == []
    # The draft that said so is gone, and so is the excuse.
    assert codes(root) == [Code.STRAY_FILE, Code.STRAY_FILE]
