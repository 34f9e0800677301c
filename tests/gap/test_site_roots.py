"""What a site wants of an index, as its ledger of bundles and its files tell."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from simpleindex.gap.bundle.manifest import AssumedFile, BundledFile, Manifest
from simpleindex.gap.bundle.site_ledger import Import, TakenBundle, TakenFile, note_import
from simpleindex.gap.own_source import OwnSource
from simpleindex.gap.site_roots import SiteRoots, check_site, read_site_roots
from simpleindex.gap.targets import Target, parse_target
from simpleindex_storage.names import IndexName, parse_filename
from simpleindex_storage.ports import Change
from simpleindex_storage.store import Store
from tests.gap.corpus import Offer, named, offer
from tests.gap.test_own_source import BASE, LOCAL, ROOT, put, site_store

NOW = datetime(2026, 11, 22, 13, 0, tzinfo=UTC)
LINUX, WINDOWS = parse_target("3.12.1-manylinux_2_17_x86_64"), parse_target("3.9.18-win_amd64")
MACOS = parse_target("3.12.1-macosx_13_0_arm64")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with site_store(tmp_path / "data") as opened:
        yield opened


def take_in(
    store: Store,
    *offers: Offer,
    roots: tuple[str, ...] = (),
    constraints: tuple[str, ...] = (),
    targets: tuple[Target, ...] = (LINUX,),
    assumes: tuple[Offer, ...] = (),
    index: IndexName = LOCAL,
) -> int:
    """Import a bundle; the serial of its entry in the ledger."""
    put(store, *offers, index=index)
    manifest = Manifest(
        NOW,
        "test",
        targets,
        roots,
        constraints,
        files=tuple(
            BundledFile(parse_filename(it.built.filename), it.built.sha256, len(it.built.content))
            for it in offers
        ),
        assumes=tuple(
            AssumedFile(parse_filename(it.built.filename), it.built.sha256) for it in assumes
        ),
    )
    note(
        store,
        Import(index, ("b.zip",), (TakenBundle(manifest, ("ef" * 32,), ("DIGEST",)),), (), ()),
    )
    with store.catalog.snapshot() as seen:
        return seen.serial


def note(store: Store, taken: Import) -> None:
    def work(change: Change) -> None:
        note_import(change, taken, at=NOW, by="root")

    store.catalog.change(work, by=ROOT, what="bundle import")


def wanted(store: Store, *ignored: str) -> SiteRoots:
    with store.catalog.snapshot() as seen:
        return read_site_roots(seen, OwnSource(store, seen, LOCAL), named(*ignored))


def lines_of(found: SiteRoots, target: Target) -> list[list[str]]:
    return [[line.text for line in wishes.lines] for wishes in found.of(target).wishes]


def test_without_bundles_each_project_is_wanted_by_itself(store: Store) -> None:
    put(store, offer("plain"), offer("demo"))
    found = wanted(store)
    assert (found.sets, found.targets, found.projects) == ((), (), tuple(named("demo", "plain")))
    assert found.of(LINUX).projects == found.projects


def test_what_a_bundle_brought_is_wanted_for_its_lines_alone(store: Store) -> None:
    held = offer("held")
    put(store, held, offer("plain"))
    take_in(store, offer("demo"), offer("lib"), roots=("demo",), constraints=("lib<2",),
            assumes=(held,))  # fmt: skip
    found = wanted(store)
    assert found.projects == tuple(named("plain"))
    (wishes,) = found.of(LINUX).wishes
    assert [line.text for line in wishes.lines] == ["demo"]
    assert [line.text for line in wishes.constraints] == ["lib<2"]


def test_files_that_came_without_a_manifest_are_wanted_by_themselves(store: Store) -> None:
    loose = offer("loose")
    put(store, loose)
    files = (TakenFile(loose.built.filename, loose.built.sha256),)
    note(store, Import(LOCAL, ("wheels",), (), files, files))
    assert wanted(store).projects == tuple(named("loose"))


def test_lines_are_for_the_targets_that_they_were_carried_in_for(store: Store) -> None:
    take_in(store, roots=("for-linux",), targets=(LINUX,))
    take_in(store, roots=("for-both",), targets=(LINUX, WINDOWS))
    found = wanted(store)
    assert {target.name for target in found.targets} == {LINUX.name, WINDOWS.name}
    assert lines_of(found, LINUX) == [["for-both"], ["for-linux"]]
    assert lines_of(found, WINDOWS) == [["for-both"]]
    assert lines_of(found, MACOS) == [["for-both"], ["for-linux"]]


def test_what_was_assumed_gives_way_to_what_a_newer_bundle_was_made_for(store: Store) -> None:
    guess, told = parse_target("cp39-windows"), WINDOWS
    take_in(store, roots=("first",), targets=(guess,))
    assert lines_of(wanted(store), told) == [["first"]]
    take_in(store, roots=("other",), targets=(LINUX,))
    assert lines_of(wanted(store), told) == [["first"]]
    assert wanted(store).targets == (LINUX, guess)
    take_in(store, roots=("second",), targets=(told,))
    found = wanted(store)
    assert found.targets == (told, LINUX)
    assert lines_of(found, told) == [["second"], ["first"]]
    take_in(store, roots=("both",), targets=(guess, told))
    assert wanted(store).targets == (guess, told, LINUX)


def test_a_line_of_several_bundles_counts_once_unless_they_constrain_it_otherwise(
    store: Store,
) -> None:
    take_in(store, roots=("old", "kept"))
    take_in(store, roots=("kept", "new"))
    take_in(store, roots=("kept",), constraints=("kept<2",))
    assert lines_of(wanted(store), LINUX) == [["kept"], ["kept", "new"], ["old"]]


def test_what_was_undone_counts_no_more_and_bases_do(store: Store) -> None:
    gone = take_in(store, offer("demo"), roots=("demo",))
    store.catalog.change(lambda change: change.undo_delivery(gone), by=ROOT, what="undo")
    take_in(store, offer("below"), roots=("below",), index=BASE)
    found = wanted(store)
    assert lines_of(found, LINUX) == [["below"]]
    assert found.projects == tuple(named("demo"))  # for it is still there


def test_what_somebody_has_withdrawn_is_wanted_of_nothing(store: Store) -> None:
    take_in(store, roots=("typo>=2", "kept"))
    take_in(store, roots=("typo",), targets=(WINDOWS,))
    found = wanted(store, "typo")
    assert lines_of(found, LINUX) == [["kept"]]
    assert lines_of(found, WINDOWS) == []
    assert lines_of(found, MACOS) == [["kept"]]
    assert {target.name for target in found.targets} == {LINUX.name, WINDOWS.name}
    assert found.withdrawn == ("typo", "typo>=2")
    assert wanted(store).withdrawn == ()


def test_each_target_is_checked_for_what_it_shall_install(store: Store) -> None:
    put(store, offer("plain", "1.0", "gone; sys_platform == 'win32'"))
    take_in(store, offer("demo"), roots=("demo",), targets=(LINUX, WINDOWS))
    take_in(store, roots=("missing",), targets=(WINDOWS,))
    found = wanted(store)
    with store.catalog.snapshot() as seen:
        linux, windows = check_site([LINUX, WINDOWS], found, OwnSource(store, seen, LOCAL))
    assert [verdict.line.text for verdict in linux.verdicts] == ["demo", "plain"]
    assert not linux.failures
    assert [verdict.line.text for verdict in windows.failures] == ["missing", "plain"]
    assert [each.requirement for each in windows.missing] == ["missing", "gone"]
