"""What others do to an index while something is taken in: it comes in whole, or not at all."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from simpleindex.gap.bundle import taking as taking_module
from simpleindex.gap.bundle.loads import opened_load
from simpleindex.gap.bundle.manifest import AssumedFile, Notice
from simpleindex.gap.bundle.site_ledger import imports
from simpleindex.gap.bundle.taking import Done, Taking, Wanted
from simpleindex_storage.errors import AlreadyStored, Refused, StoreError, Unavailable
from simpleindex_storage.inspecting import Inspectors
from simpleindex_storage.model import Actor, Outcome
from simpleindex_storage.names import parse_filename
from simpleindex_storage.opening import open_store
from simpleindex_storage.store import Store
from simpleindex_storage.upkeep import remove_file
from tests.builders import BuiltFile, a_wheel
from tests.gap.bundle.bundles import a_bundle, a_manifest
from tests.storage.stores import LOCAL, NOW, a_stage, a_store, files_below, recorded_files, send

_BY = Actor("root", "console")
_DEMO, _OTHER, _HELD = a_wheel("demo"), a_wheel("other"), a_wheel("held")
_CHANGED = a_wheel(extra_files={"demo/more.py": b"more = True\n"})


@contextmanager
def _taking(store: Store, path: Path, **wanted: bool) -> Iterator[Taking]:
    with opened_load([path]) as load:
        yield Taking(store, load, Wanted(LOCAL, **wanted), _BY, NOW)  # type: ignore[arg-type]


def _take(taking: Taking, meanwhile: Callable[[], object] = lambda: None) -> Done:
    """Take all of it in; `meanwhile` happens when all is ready."""
    plan = taking.look()
    assert plan.faults == ()
    with ExitStack() as drafts:
        staged = taking.stage(plan, drafts)
        assert staged.faults == ()
        meanwhile()
        return taking.take_in(plan, staged)


def _bundle(folder: Path, *built: BuiltFile, **changed: object) -> Path:
    path = folder / "site.pkgbundle.zip"
    a_bundle(path, built, manifest=a_manifest(built, **{"roots": (), **changed}))
    return path


@pytest.mark.parametrize("volatile", [False, True])
def test_other_bytes_that_come_a_moment_before_keep_all_of_it_out(
    volatile: bool, tmp_path: Path
) -> None:
    path = _bundle(tmp_path, _DEMO, _OTHER)
    with a_store(tmp_path / "data", a_stage(volatile=volatile)) as store:
        with _taking(store, path) as taking, pytest.raises(AlreadyStored):
            _take(taking, lambda: send(store, _CHANGED))
        (file,) = recorded_files(store.catalog)
        assert file.sha256 == _CHANGED.sha256
        assert len(files_below(tmp_path / "data")) == 2
        with store.catalog.snapshot() as seen:
            assert imports(seen) == ()


def test_the_same_bytes_that_come_a_moment_before_are_not_added_by_the_import(
    tmp_path: Path,
) -> None:
    path = _bundle(tmp_path, _DEMO, _OTHER)
    with a_store(tmp_path / "data") as store, _taking(store, path) as taking:
        done = _take(taking, lambda: send(store, _DEMO))
        assert [each.outcome for each in done.admitted] == [Outcome.ALREADY_THERE, Outcome.ADDED]
        with store.catalog.snapshot() as seen:
            (taken,) = imports(seen)
        assert [file.filename for file in taken.added] == [_OTHER.filename]


def _remove(store: Store, built: BuiltFile) -> None:
    (file,) = (it for it in recorded_files(store.catalog) if it.filename == built.filename)
    store.catalog.change(lambda change: remove_file(change, file), by=_BY, what="remove")


def test_a_file_that_was_there_and_is_removed_a_moment_before_keeps_all_of_it_out(
    tmp_path: Path,
) -> None:
    path = _bundle(tmp_path, _DEMO, _OTHER)
    with a_store(tmp_path / "data") as store, _taking(store, path) as taking:
        send(store, _DEMO)
        with pytest.raises(Unavailable, match="do the same again"):
            _take(taking, lambda: _remove(store, _DEMO))
        assert recorded_files(store.catalog) == ()
        _take(taking)
        assert len(recorded_files(store.catalog)) == 2


def test_an_assumed_file_that_is_removed_a_moment_before_keeps_all_of_it_out(
    tmp_path: Path,
) -> None:
    assumes = (AssumedFile(parse_filename(_HELD.filename), _HELD.sha256),)
    path = _bundle(tmp_path, _DEMO, assumes=assumes)
    with a_store(tmp_path / "data") as store, _taking(store, path) as taking:
        send(store, _HELD)
        with pytest.raises(Refused, match=r"held-1\.0.*removed a moment ago"):
            _take(taking, lambda: _remove(store, _HELD))
        assert recorded_files(store.catalog) == ()


def test_what_yanks_and_what_is_recorded_come_with_one_serial(tmp_path: Path) -> None:
    yanks = (Notice(parse_filename(_DEMO.filename), _DEMO.sha256, "bad"),)
    path = _bundle(tmp_path, _OTHER, yanks=yanks)
    with a_store(tmp_path / "data") as store, _taking(store, path) as taking:
        send(store, _DEMO)
        done = _take(taking)
        with store.catalog.snapshot() as seen:
            assert done.serial == seen.serial == 2
            assert [project.serial for project in seen.projects(LOCAL)] == [2, 2]


def test_a_reader_that_fails_halfway_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _bundle(tmp_path, _DEMO, _OTHER)
    with a_store(tmp_path / "data") as store, _taking(store, path) as taking:
        before = files_below(tmp_path / "data")

        def fail(*_: object, **__: object) -> None:
            raise Unavailable("the disk fails")

        monkeypatch.setattr(store, "check", fail)
        plan = taking.look()
        with ExitStack() as drafts, pytest.raises(StoreError, match="the disk fails"):
            taking.stage(plan, drafts)
        assert files_below(tmp_path / "data") == before


def test_many_files_are_looked_through_by_several_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    class Counted(Inspectors):
        def __init__(self, count: int) -> None:
            asked.append(count)
            super().__init__(count)

    monkeypatch.setattr(taking_module, "Inspectors", Counted)
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    many = [a_wheel(f"demo-{number}") for number in range(200)]
    path = _bundle(tmp_path, *many)
    with a_store(tmp_path / "data") as store, _taking(store, path) as taking:
        assert len(_take(taking).admitted) == len(many)
        assert {file.filename for file in recorded_files(store.catalog)} == {
            it.filename for it in many
        }
    path = _bundle(tmp_path, *many[1:])
    with a_store(tmp_path / "few") as store, _taking(store, path) as taking:
        _take(taking)
    assert asked == [2, 0]


def test_what_is_taken_in_is_there_for_the_next_process(tmp_path: Path) -> None:
    path = _bundle(tmp_path, _DEMO, _OTHER)
    with a_store(tmp_path / "data") as store, _taking(store, path) as taking:
        _take(taking)
    again = open_store(tmp_path / "data")
    try:
        assert len(recorded_files(again.catalog)) == 2
    finally:
        again.close()
