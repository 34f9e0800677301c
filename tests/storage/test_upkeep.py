"""What is removed goes with all that belongs to it, and nothing else goes."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest

from simpleindex_storage import upkeep
from simpleindex_storage.errors import NotStored, Refused, Unavailable
from simpleindex_storage.files_disk import DiskFiles
from simpleindex_storage.model import Actor, Admitted, Attachment, DistFile, Project, Upload, User
from simpleindex_storage.names import FilePlace, IndexName, UserName, parse_project_name
from simpleindex_storage.ports import Change
from simpleindex_storage.store import Store
from tests.builders import BuiltFile, a_wheel, an_sdist
from tests.storage.contract_catalog import ROOT
from tests.storage.stores import (
    LOCAL,
    a_result,
    a_stage,
    a_store,
    attach,
    attachments_of,
    before_commits,
    disk_full,
    documentation,
    files_below,
    files_of,
    journal_of,
    nothing,
    opened,
    paths_of,
    read,
    read_attachment,
    recorded_files,
    send,
    serial_of,
)

T = TypeVar("T")

DEMO = parse_project_name("demo")
OTHER = IndexName("root/other")
ADA = replace(ROOT, name=UserName("ada"))


def do(store: Store, work: Callable[[Change], T]) -> T:
    """A removal as a server does it: the bytes go after the records."""
    result = store.catalog.change(work, by=Actor("root"), what="remove")
    store.sweep_if_possible()
    return result


def put_user(store: Store, user: User) -> None:
    store.catalog.change(lambda it: it.put_user(user), by=Actor(""), what="test")


def send_with_results(store: Store, built: BuiltFile, index: IndexName = LOCAL) -> DistFile:
    """A file that was tested twice."""
    file = send(store, built, index).file
    for number in (0, 1):
        attach(store, a_result(file, number=number), b"{}")
    return file


def document(store: Store, version: str = "1.0", index: IndexName = LOCAL) -> Attachment:
    """Documentation for a release."""
    pages = documentation(f"pages of {version}".encode(), version, index=index)
    attach(store, pages, f"pages of {version}".encode())
    return pages


def everything_below(store: Store, *indexes: IndexName) -> set[str]:
    """What has to lie on the disk for what these indexes have on record."""
    paths: set[str] = set()
    for index in indexes:
        paths |= files_of(*recorded_files(store.catalog, index))
        with store.catalog.snapshot() as seen:
            for project in seen.projects(index):
                paths |= paths_of(*seen.attachments(index, project.name))
    return paths


# Files


def test_a_removed_file_goes_with_its_results_and_nothing_else_does(tmp_path: Path) -> None:
    with a_store(tmp_path) as store:
        removed = send_with_results(store, a_wheel())
        kept = send_with_results(store, an_sdist())
        pages = document(store)
        do(store, lambda it: upkeep.remove_file(it, removed))
        assert recorded_files(store.catalog) == (kept,)
        results = (a_result(kept), a_result(kept, number=1))
        assert attachments_of(store.catalog) == (*results, pages)
        assert set(files_below(tmp_path)) == files_of(kept) | paths_of(*results, pages)
        with pytest.raises(NotStored):
            store.open(removed.place)
        with pytest.raises(NotStored):
            store.open_attachment(a_result(removed).place)


def test_the_last_file_of_a_release_takes_the_release_along(tmp_path: Path) -> None:
    with a_store(tmp_path) as store:
        last = send_with_results(store, a_wheel())
        kept = send(store, a_wheel("demo", "2.0")).file
        document(store)
        do(store, lambda it: upkeep.remove_file(it, last))
        with store.catalog.snapshot() as seen:
            assert [release.version for release in seen.releases(LOCAL, DEMO)] == ["2.0"]
        assert attachments_of(store.catalog) == ()
        assert set(files_below(tmp_path)) == files_of(kept)


def test_the_last_file_of_a_project_takes_the_project_along(tmp_path: Path) -> None:
    with a_store(tmp_path) as store:
        last, other = send_with_results(store, a_wheel()), send(store, a_wheel("other")).file
        document(store)
        do(store, lambda it: upkeep.remove_file(it, last))
        with store.catalog.snapshot() as seen:
            assert [project.name for project in seen.projects(LOCAL)] == ["other"]
        assert set(files_below(tmp_path)) == files_of(other)


def test_a_project_stays_for_a_release_that_has_only_documentation(tmp_path: Path) -> None:
    with a_store(tmp_path) as store:
        file = send(store, a_wheel()).file
        pages = document(store, "2.0")
        do(store, lambda it: upkeep.remove_file(it, file))
        with store.catalog.snapshot() as seen:
            assert [release.version for release in seen.releases(LOCAL, DEMO)] == ["2.0"]
        assert set(files_below(tmp_path)) == paths_of(pages)


def test_a_file_takes_no_release_along_that_is_spelled_otherwise(tmp_path: Path) -> None:
    with a_store(tmp_path) as store:
        kept = send(store, an_sdist("demo", "1.0")).file
        removed = send(store, a_wheel("demo", "1.0.0")).file
        do(store, lambda it: upkeep.remove_file(it, removed))
        assert recorded_files(store.catalog) == (kept,)
        assert read(store, kept) == an_sdist("demo", "1.0").content


@pytest.mark.parametrize("volatile", [True, False], ids=["replaced", "removed"])
def test_a_file_that_is_not_there_any_more_is_not_removed(volatile: bool, tmp_path: Path) -> None:
    changed = a_wheel(extra_files={"demo/more.py": b"more = True\n"})
    with a_store(tmp_path, a_stage(volatile=True)) as store:
        file = send(store, a_wheel()).file
        if volatile:
            send(store, changed)
        else:
            send(store, an_sdist())
            do(store, lambda it: upkeep.remove_file(it, file))
        there, serial = recorded_files(store.catalog), serial_of(store.catalog)
        with pytest.raises(NotStored, match=r"demo-1\.0-py3-none-any\.whl"):
            do(store, lambda it: upkeep.remove_file(it, file))
        assert recorded_files(store.catalog) == there
        assert serial_of(store.catalog) == serial


# Attachments


def test_removed_documentation_goes_and_its_release_stays_with_its_files(tmp_path: Path) -> None:
    with a_store(tmp_path) as store:
        file, pages = send_with_results(store, a_wheel()), document(store)
        do(store, lambda it: upkeep.remove_attachment(it, pages))
        results = (a_result(file), a_result(file, number=1))
        assert attachments_of(store.catalog) == results
        assert recorded_files(store.catalog) == (file,)
        assert set(files_below(tmp_path)) == files_of(file) | paths_of(*results)
        with pytest.raises(NotStored, match=r"demo-1\.0\.doc\.zip"):
            do(store, lambda it: upkeep.remove_attachment(it, pages))


@pytest.mark.parametrize("version", ["1.0.0", "2.0"], ids=["another spelling", "another version"])
def test_the_last_of_a_release_takes_that_release_alone_along(version: str, tmp_path: Path) -> None:
    with a_store(tmp_path) as store:
        pages, file = document(store, version), send(store, a_wheel("demo", "1.0")).file
        do(store, lambda it: upkeep.remove_attachment(it, pages))
        with store.catalog.snapshot() as seen:
            assert [release.version for release in seen.releases(LOCAL, DEMO)] == ["1.0"]
        assert recorded_files(store.catalog) == (file,)
        do(store, lambda it: upkeep.remove_file(it, file))
        only = document(store, version)
        do(store, lambda it: upkeep.remove_attachment(it, only))
        with store.catalog.snapshot() as seen:
            assert seen.projects(LOCAL) == ()
        assert files_below(tmp_path) == {}


# Releases


def test_a_removed_release_goes_with_its_files_results_and_documentation(tmp_path: Path) -> None:
    with a_store(tmp_path) as store:
        send_with_results(store, a_wheel())
        send_with_results(store, an_sdist())
        kept = send_with_results(store, a_wheel("demo", "2.0"))
        document(store)
        pages = document(store, "2.0")
        do(store, lambda it: upkeep.remove_release(it, LOCAL, DEMO, "1.0"))
        assert recorded_files(store.catalog) == (kept,)
        with store.catalog.snapshot() as seen:
            assert [release.version for release in seen.releases(LOCAL, DEMO)] == ["2.0"]
        left = (a_result(kept), a_result(kept, number=1), pages)
        assert attachments_of(store.catalog) == left
        assert set(files_below(tmp_path)) == files_of(kept) | paths_of(*left)


@pytest.mark.parametrize("version", ["1", "1.0", "1.0.0", "v1.0", "0!1.0"])
def test_a_release_is_removed_by_any_spelling_of_its_version(version: str, tmp_path: Path) -> None:
    with a_store(tmp_path) as store:
        send(store, a_wheel())
        kept = send(store, a_wheel("demo", "1.0.1")).file
        do(store, lambda it: upkeep.remove_release(it, LOCAL, DEMO, version))
        assert recorded_files(store.catalog) == (kept,)


@pytest.mark.parametrize("version", ["1.0", "1.0.0"])
def test_a_release_that_is_there_in_two_spellings_goes_whole(version: str, tmp_path: Path) -> None:
    with a_store(tmp_path) as store:
        send(store, an_sdist("demo", "1.0"))
        send(store, a_wheel("demo", "1.0.0"))
        kept = send(store, a_wheel("demo", "2.0")).file
        do(store, lambda it: upkeep.remove_release(it, LOCAL, DEMO, version))
        assert recorded_files(store.catalog) == (kept,)
        assert set(files_below(tmp_path)) == files_of(kept)


def test_the_last_release_takes_the_project_along(tmp_path: Path) -> None:
    with a_store(tmp_path) as store:
        send(store, a_wheel())
        document(store)
        do(store, lambda it: upkeep.remove_release(it, LOCAL, DEMO, "1"))
        with store.catalog.snapshot() as seen:
            assert seen.projects(LOCAL) == ()
        assert files_below(tmp_path) == {}


# Projects, indexes, users


def test_a_removed_project_goes_whole_from_its_index_alone(tmp_path: Path) -> None:
    with a_store(tmp_path, a_stage(), a_stage(OTHER)) as store:
        for index in (LOCAL, OTHER):
            send_with_results(store, a_wheel(), index)
            send(store, a_wheel("demo", "2.0"), index)
            send(store, a_wheel("neighbour"), index)
            document(store, index=index)
        do(store, lambda it: upkeep.remove_project(it, LOCAL, DEMO))
        assert [file.project for file in recorded_files(store.catalog)] == ["neighbour"]
        assert len(recorded_files(store.catalog, OTHER)) == 3
        assert len(attachments_of(store.catalog, index=OTHER)) == 3
        assert set(files_below(tmp_path)) == everything_below(store, LOCAL, OTHER)


def test_a_removed_index_goes_with_all_its_projects(tmp_path: Path) -> None:
    with a_store(tmp_path, a_stage(), a_stage(OTHER)) as store:
        for index in (LOCAL, OTHER):
            send_with_results(store, a_wheel(), index)
            send(store, a_wheel("neighbour"), index)
            document(store, index=index)
        do(store, lambda it: upkeep.remove_index(it, LOCAL))
        with store.catalog.snapshot() as seen:
            assert [index.name for index in seen.indexes()] == [OTHER]
        assert len(recorded_files(store.catalog, OTHER)) == 2
        assert set(files_below(tmp_path)) == everything_below(store, OTHER)
        with pytest.raises(NotStored, match="index root/local"):
            send(store, a_wheel())


def test_an_index_that_has_nothing_can_be_removed(tmp_path: Path) -> None:
    with a_store(tmp_path, a_stage(), a_stage(OTHER)) as store:
        do(store, lambda it: upkeep.remove_index(it, OTHER))
        with store.catalog.snapshot() as seen:
            assert [index.name for index in seen.indexes()] == [LOCAL]


def test_a_removed_user_goes_with_their_indexes_and_nobody_elses(tmp_path: Path) -> None:
    adas = [IndexName(name) for name in ("ada/dev", "ada/prod")]
    others = [IndexName(name) for name in ("adam/dev", "root/ada")]
    with a_store(tmp_path, *(a_stage(name) for name in (*adas, *others))) as store:
        put_user(store, ADA)
        put_user(store, ROOT)
        for index in (*adas, *others):
            send_with_results(store, a_wheel(), index)
        do(store, lambda it: upkeep.remove_user(it, ADA.name))
        with store.catalog.snapshot() as seen:
            assert seen.users() == (ROOT,)
            assert [index.name for index in seen.indexes()] == others
        assert set(files_below(tmp_path)) == everything_below(store, *others)
        assert len(files_below(tmp_path)) == 8


@pytest.mark.parametrize(
    ("work", "words"),
    [
        (lambda it: upkeep.remove_release(it, LOCAL, DEMO, "2.0"), "no demo 2.0 in root/local"),
        (lambda it: upkeep.remove_release(it, OTHER, DEMO, "1.0"), "no demo 1.0 in root/other"),
        (
            lambda it: upkeep.remove_project(it, LOCAL, parse_project_name("other")),
            "no project other in root/local",
        ),
        (lambda it: upkeep.remove_project(it, OTHER, DEMO), "no project demo in root/other"),
        (lambda it: upkeep.remove_index(it, OTHER), "no index root/other"),
        (lambda it: upkeep.remove_index(it, IndexName("ROOT/local")), "no index ROOT/local"),
        (lambda it: upkeep.remove_user(it, UserName("root")), "no user root"),
    ],
    ids=["release", "index of it", "project", "index of that", "index", "its case", "user"],
)
def test_what_is_not_there_is_not_removed(
    work: Callable[[Change], None], words: str, tmp_path: Path
) -> None:
    with a_store(tmp_path) as store:
        file = send(store, a_wheel()).file
        with pytest.raises(NotStored, match=words):
            do(store, work)
        assert recorded_files(store.catalog) == (file,)
        assert serial_of(store.catalog) == 1


def test_no_release_has_a_version_that_is_none(tmp_path: Path) -> None:
    with a_store(tmp_path) as store:
        send(store, a_wheel())
        with pytest.raises(Refused, match="version 'one'"):
            do(store, lambda it: upkeep.remove_release(it, LOCAL, DEMO, "one"))


# Bytes


def test_bytes_that_another_index_shares_stay_for_it(tmp_path: Path) -> None:
    with a_store(tmp_path, a_stage(), a_stage(OTHER)) as store:
        first, second = send(store, a_wheel()).file, push(store, a_wheel()).file
        paths = [tmp_path / "files" / file.place.path for file in (first, second)]
        assert paths[0].stat().st_ino == paths[1].stat().st_ino
        assert paths[1].stat().st_nlink == 2
        do(store, lambda it: upkeep.remove_index(it, LOCAL))
        assert not paths[0].exists()
        assert paths[1].stat().st_nlink == 1
        assert read(store, second) == a_wheel().content
        do(store, lambda it: upkeep.remove_project(it, OTHER, DEMO))
        assert files_below(tmp_path) == {}


def push(store: Store, built: BuiltFile) -> Admitted:
    """Copy the only file of an index to another one."""
    (file,) = recorded_files(store.catalog)
    with store.stage_copy(file) as staged:
        (admitted,) = store.admit(
            [(Upload(OTHER, built.filename, "root"), staged)], by=Actor("root")
        )
    return admitted


def test_bytes_whose_removal_was_not_swept_go_at_the_next_start(tmp_path: Path) -> None:
    with a_store(tmp_path) as store:
        send_with_results(store, a_wheel())
        document(store)

        def remove(it: Change) -> None:
            upkeep.remove_project(it, LOCAL, DEMO)

        store.catalog.change(remove, by=Actor("root"), what="remove")
        assert len(files_below(tmp_path)) == 5
    with opened(tmp_path):
        assert files_below(tmp_path) == {}


def test_what_comes_back_before_the_sweep_keeps_its_bytes(tmp_path: Path) -> None:
    with a_store(tmp_path) as store:
        send_with_results(store, a_wheel())
        document(store)

        def remove(it: Change) -> None:
            upkeep.remove_index(it, LOCAL)

        store.catalog.change(remove, by=Actor("root"), what="remove")
        file = send(store, a_wheel(), make_index=a_stage()).file
        pages = document(store)
        store.sweep()
        assert read(store, file) == a_wheel().content
        assert set(files_below(tmp_path)) == files_of(file) | paths_of(pages)


@pytest.mark.parametrize(
    "work",
    [
        lambda it: upkeep.remove_file(it, it.files(LOCAL, DEMO)[0]),
        lambda it: upkeep.remove_release(it, LOCAL, DEMO, "1.0"),
        lambda it: upkeep.remove_project(it, LOCAL, DEMO),
        lambda it: upkeep.remove_index(it, LOCAL),
        lambda it: upkeep.remove_user(it, ROOT.name),
    ],
    ids=["file", "release", "project", "index", "user"],
)
@pytest.mark.parametrize("fails", ["the commit", "what comes after"])
def test_nothing_is_removed_by_a_change_that_fails(
    work: Callable[[Change], None],
    fails: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def remove_and_think_again(it: Change) -> None:
        work(it)
        raise Refused("it", "on second thought")

    with before_commits(monkeypatch) as watch, a_store(tmp_path) as store:
        put_user(store, ROOT)
        file = send_with_results(store, a_wheel())
        pages = document(store)
        attachments, serial = attachments_of(store.catalog), serial_of(store.catalog)
        if fails == "the commit":
            watch(disk_full)
            with pytest.raises(Unavailable):
                do(store, work)
            watch(nothing)
        else:
            with pytest.raises(Refused, match="on second thought"):
                do(store, remove_and_think_again)
        store.sweep()
        assert read(store, file) == a_wheel().content
        assert attachments_of(store.catalog) == attachments
        assert read_attachment(store, pages) == b"pages of 1.0"
        assert serial_of(store.catalog) == store.catalog.agreed_serial() == serial
        do(store, work)
        assert files_below(tmp_path) == {}


# What others hear of it


@pytest.mark.parametrize(
    "work",
    [
        lambda it: upkeep.remove_file(it, it.files(LOCAL, DEMO)[0]),
        lambda it: upkeep.remove_release(it, LOCAL, DEMO, "1.0"),
        lambda it: upkeep.remove_project(it, LOCAL, DEMO),
    ],
    ids=["file", "release", "project"],
)
def test_pages_differ_after_a_removal_and_again_after_the_same_comes_back(
    work: Callable[[Change], None], tmp_path: Path
) -> None:
    with a_store(tmp_path, a_stage(), a_stage(OTHER)) as store:
        send(store, a_wheel())
        send(store, a_wheel("demo", "2.0"))
        seen_before = fingerprint(store)
        do(store, work)
        without = fingerprint(store)
        send(store, a_wheel())
        again = fingerprint(store)
        assert len({seen_before, without, again}) == 3


def test_the_page_of_a_project_that_was_removed_and_made_anew_is_another(tmp_path: Path) -> None:
    with a_store(tmp_path) as store:
        send(store, a_wheel())
        before = fingerprint(store)
        do(store, lambda it: upkeep.remove_index(it, LOCAL))
        send(store, a_wheel(), make_index=a_stage())
        assert fingerprint(store) != before
        with store.catalog.snapshot() as seen:
            project = seen.project(LOCAL, DEMO)
        assert project is not None
        assert project.serial == serial_of(store.catalog) == 3


def fingerprint(store: Store) -> tuple[int | None, int | None]:
    """The serials by which rendered pages of a project are told apart: its index's and its own."""
    with store.catalog.snapshot() as seen:
        index, project = seen.index(LOCAL), seen.project(LOCAL, DEMO)
    return (index.serial if index else None), (project.serial if project else None)


def test_the_journal_tells_of_each_thing_that_was_removed(tmp_path: Path) -> None:
    with a_store(tmp_path, a_stage(IndexName("ada/dev"))) as store:
        put_user(store, ADA)
        file = send(store, a_wheel(), IndexName("ada/dev")).file
        pages = document(store, index=file.index)
        do(store, lambda it: upkeep.remove_user(it, ADA.name))
        serial = serial_of(store.catalog)
    line = journal_of(tmp_path)[-1]
    assert (line["serial"], line["who"], line["what"]) == (serial, "root", "remove")
    place = pages.place
    assert line["facts"] == [
        [
            "attachment removed",
            {
                "index": "ada/dev",
                "sha256_prefix": place.sha256_prefix,
                "filename": place.filename,
            },
        ],
        ["file removed", {"index": "ada/dev", "filename": file.filename}],
        ["release removed", {"index": "ada/dev", "project": "demo", "version": "1.0"}],
        ["project removed", {"index": "ada/dev", "project": "demo"}],
        ["index removed", {"index": "ada/dev"}],
        ["user removed", {"user": "ada"}],
    ]


def test_what_is_left_of_a_project_has_the_serial_of_the_removal(tmp_path: Path) -> None:
    with a_store(tmp_path) as store:
        send(store, a_wheel())
        send(store, a_wheel("demo", "2.0"))
        send(store, a_wheel("other"))
        do(store, lambda it: upkeep.remove_release(it, LOCAL, DEMO, "1.0"))
        with store.catalog.snapshot() as seen:
            assert seen.project(LOCAL, DEMO) == Project(LOCAL, DEMO, "demo", 4)
        assert serial_of(store.catalog) == store.catalog.agreed_serial() == 4


def test_a_file_that_cannot_be_deleted_keeps_no_other_from_it_and_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with a_store(tmp_path) as store:
        stuck, *_ = [send(store, a_wheel(version=f"{number}.0")).file for number in range(3)]
        remove = DiskFiles.remove

        def refuse(files: DiskFiles, place: FilePlace) -> None:
            if place == stuck.place:
                raise Unavailable("it is held")
            remove(files, place)

        monkeypatch.setattr(DiskFiles, "remove", refuse)
        do(store, lambda it: upkeep.remove_project(it, LOCAL, DEMO))
        assert set(files_below(tmp_path)) == files_of(stuck)
        monkeypatch.setattr(DiskFiles, "remove", remove)
        new = send(store, a_wheel("new")).file
        assert set(files_below(tmp_path)) == files_of(new)


def test_what_an_upload_could_not_take_back_is_taken_back_with_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_files: DiskFiles, _place: FilePlace) -> None:
        raise Unavailable("it is held")

    with before_commits(monkeypatch) as watch, a_store(tmp_path) as store:
        watch(disk_full)
        with monkeypatch.context() as patch:
            patch.setattr(DiskFiles, "remove", refuse)
            with pytest.raises(Unavailable):
                send(store, a_wheel())
        assert len(files_below(tmp_path)) == 3  # the file, its metadata, and the draft
        watch(nothing)
        new = send(store, a_wheel("new")).file
        assert set(files_below(tmp_path)) == files_of(new)
