"""What was taken in, import by import."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from simpleindex.gap.bundle.manifest import AssumedFile, BundledFile, Manifest
from simpleindex.gap.bundle.site_ledger import (
    Import,
    TakenBundle,
    TakenFile,
    imports,
    latest_roots,
    note_import,
)
from simpleindex.gap.targets import parse_target
from simpleindex_storage.model import Actor, Delivery
from simpleindex_storage.names import IndexName, parse_filename, parse_project_name
from simpleindex_storage.ports import Change
from simpleindex_storage.store import Store
from tests.storage.stores import LOCAL, NOW, a_stage, a_store, serial_of

_OTHER = IndexName("root/other")
_LINUX, _WINDOWS = parse_target("cp311-linux_x86_64"), parse_target("cp39-win_amd64")
_WHEEL = parse_filename("demo-1.0-py3-none-any.whl")
_MANIFEST = Manifest(
    created=datetime(2026, 11, 22, 13, 0, tzinfo=UTC),
    tool="simpleindex-server 1.0",
    targets=(_LINUX,),
    roots=("demo", "native; sys_platform == 'win32'"),
    constraints=("native<2",),
    files=(BundledFile(_WHEEL, "ab" * 32, 7, (0,)),),
    assumes=(AssumedFile(parse_filename("held-1.0-py3-none-any.whl"), "cd" * 32, (0,)),),
)
_IMPORT = Import(
    index=LOCAL,
    sources=("site.pkgbundle.zip",),
    bundles=(TakenBundle(_MANIFEST, ("ef" * 32,), ("AAAAA-BBBBB",), "SHA256:someone"),),
    loose_files=(TakenFile("loose-1.0.tar.gz", "12" * 32),),
    added=(TakenFile(_WHEEL.text, "ab" * 32),),
    yanked=(TakenFile("held-1.0-py3-none-any.whl", "cd" * 32),),
)


def _note(store: Store, *taken: Import) -> None:
    """Note imports, each in a change of its own."""
    for each in taken:

        def work(change: Change, each: Import = each) -> None:
            note_import(change, each, at=NOW, by="root")

        store.catalog.change(work, by=Actor("root"), what="bundle import")


def _for(
    *roots: str, targets: Sequence[str] = ("cp39-win_amd64",), pre_releases: bool = False
) -> Import:
    manifest = replace(
        _MANIFEST,
        roots=roots,
        targets=tuple(map(parse_target, targets)),
        constraints=(),
        pre_releases=pre_releases,
    )
    return replace(_IMPORT, bundles=(TakenBundle(manifest, ("ab" * 32,), ("AAAAA-BBBBB",)),))


def test_an_import_is_told_as_it_was_noted(tmp_path: Path) -> None:
    with a_store(tmp_path) as store:
        _note(store, _IMPORT)
        with store.catalog.snapshot() as seen:
            assert imports(seen) == (replace(_IMPORT, taken_at=NOW, taken_by="root", serial=1),)


def test_an_import_needs_what_it_brought_and_what_it_assumed() -> None:
    assert _IMPORT.brought == {"ab" * 32, "12" * 32}
    assert _IMPORT.assumed == {"cd" * 32}


def test_deliveries_of_others_are_none_of_the_ledgers(tmp_path: Path) -> None:
    with a_store(tmp_path) as store:
        strange = Delivery(NOW, "root", "something", {"kind": "something"})
        store.catalog.change(lambda it: it.put_delivery(strange), by=Actor(""), what="test")
        with store.catalog.snapshot() as seen:
            assert imports(seen) == ()


def test_roots_are_those_of_the_imports_that_count_each_once(tmp_path: Path) -> None:
    with a_store(tmp_path, a_stage(), a_stage(_OTHER)) as store:
        _note(
            store,
            _for("demo", targets=["cp39-win_amd64"]),
            _for("native"),
            _for("demo", targets=["cp39-win_amd64", "cp311-linux_x86_64"]),
            replace(_for("elsewhere"), index=_OTHER),
            _for("given-up"),
            _for(),
        )
        store.catalog.change(lambda it: it.undo_delivery(5), by=Actor("root"), what="undo")
        assert serial_of(store.catalog) == 7
        with store.catalog.snapshot() as seen:
            found = latest_roots(seen, LOCAL, ())
    assert [(each.roots, each.serial) for each in found] == [(("demo",), 3), (("native",), 2)]
    assert found[0].targets == (_WINDOWS, _LINUX)


def test_lines_that_were_withdrawn_count_in_no_set_and_targets_stay(tmp_path: Path) -> None:
    with a_store(tmp_path) as store:
        _note(store, _for("demo", "Flaks>=2"), _for("flaks", targets=["cp39-win_amd64"]))
        with store.catalog.snapshot() as seen:
            found = latest_roots(seen, LOCAL, (parse_project_name("flaks"),))
    assert [(each.roots, each.withdrawn) for each in found] == [
        ((), ("flaks",)),
        (("demo",), ("Flaks>=2",)),
    ]
    assert found[0].targets == (_WINDOWS,)


def test_the_same_lines_with_other_constraints_are_another_set(tmp_path: Path) -> None:
    with a_store(tmp_path) as store:
        _note(store, _for("demo"), _for("demo", pre_releases=True))
        with store.catalog.snapshot() as seen:
            assert [each.pre_releases for each in latest_roots(seen, LOCAL, ())] == [True, False]
