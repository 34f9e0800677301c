"""The one door: what comes in whole, what is refused, and that nothing is left of the refused."""

import errno
import hashlib
import itertools
import json
import shutil
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import simpleindex_storage.store
from simpleindex_storage.catalog_sqlite import SqliteCatalog
from simpleindex_storage.errors import (
    AlreadyStored,
    Damaged,
    NotStored,
    Refused,
    StoreError,
    Unavailable,
)
from simpleindex_storage.files_disk import DiskFiles
from simpleindex_storage.generation import Generation
from simpleindex_storage.journal import Journal
from simpleindex_storage.model import (
    Actor,
    Admitted,
    Attachment,
    Delivery,
    DistFile,
    Event,
    Index,
    LogEntry,
    MirrorSettings,
    Outcome,
    Project,
    ProjectStatus,
    Release,
    Sidecar,
    Staged,
    StageSettings,
    Upload,
)
from simpleindex_storage.names import FilePlace, IndexName
from simpleindex_storage.ports import Arrival, Change
from simpleindex_storage.store import Checked, Store
from simpleindex_storage.upkeep import mark_project
from tests.builders import BuiltFile, a_wheel, an_egg, an_sdist, core_metadata
from tests.storage.other_process import die_while_attaching, die_while_copying, elsewhere
from tests.storage.stores import (
    LOCAL,
    NOW,
    WAIT_SECONDS_MAX,
    FailingDisk,
    a_file,
    a_result,
    a_stage,
    a_store,
    attach,
    attachments_of,
    before_commits,
    digests_of,
    disk_full,
    documentation,
    files_below,
    files_no_larger_than,
    files_of,
    forget,
    held_up,
    journal_of,
    make_store,
    nothing,
    opened,
    paths_of,
    read,
    read_attachment,
    recorded_files,
    send,
    send_together,
    serial_of,
)

MIRROR = Index(IndexName("root/pypi"), MirrorSettings())
VOLATILE = a_stage(volatile=True)
DEV = IndexName("root/dev")


def a_changed_wheel(name: str = "demo", version: str = "1.0") -> BuiltFile:
    """As `a_wheel`, but with other bytes."""
    return a_wheel(name, version, extra_files={f"{name}/more.py": b"more = True\n"})


def renamed(built: BuiltFile, filename: str) -> BuiltFile:
    return replace(built, filename=filename)


# What is recorded


def test_a_file_is_recorded_with_all_that_is_known_of_it(tmp_path: Path) -> None:
    built = a_wheel("Demo.Thing", "1.0", requires_python=">=3.8", requires_dist=["a", "b>1"])
    metadata = core_metadata(
        "Demo.Thing", "1.0", requires_python=">=3.8", requires_dist=["a", "b>1"]
    )
    with a_store(tmp_path) as store:
        admitted = send(store, built, sender="ada")
        assert admitted.outcome is Outcome.ADDED
        file = admitted.file
        assert (file.index, file.project, file.version) == (LOCAL, "demo-thing", "1.0")
        assert (file.filename, file.key) == (built.filename, "demo-thing-1.0-py3-none-any.whl")
        assert file.size_bytes == len(built.content)
        assert (file.sha256, file.md5, file.blake2b_256) == (
            digests_of(built.content).sha256,
            digests_of(built.content).md5,
            digests_of(built.content).blake2b_256,
        )
        assert (file.uploaded_at, file.uploaded_by) == (NOW, "ada")
        assert (file.requires_python, file.yanked) == (">=3.8", None)
        assert file.metadata_sha256 == hashlib.sha256(metadata).hexdigest()
        assert recorded_files(store.catalog) == (file,)
        assert read(store, file) == built.content
        recorded, content = store.open_sidecar(file.place, Sidecar.METADATA)
        with content:
            assert (recorded, content.read()) == (file, metadata)
        with store.catalog.snapshot() as seen:
            assert seen.project(LOCAL, file.project) == Project(
                LOCAL, file.project, "Demo.Thing", 1
            )
            release = seen.release(LOCAL, file.project, "1.0")
            assert release is not None
            assert release.fields["requires_dist"] == ("a", "b>1")
        assert set(files_below(tmp_path)) == files_of(file)


def test_what_the_sender_says_of_a_release_is_kept_but_the_file_knows_better(
    tmp_path: Path,
) -> None:
    built = a_wheel(metadata=core_metadata(headers=[("Summary", "as the file says")]))
    fields = {"summary": "as the form says", "keywords": "only the form says this"}
    with a_store(tmp_path) as store, store.stage() as draft:
        draft.write(built.content)
        upload = Upload(LOCAL, built.filename, "root", fields=fields)
        (admitted,) = store.admit([(upload, draft.finish())], by=Actor("root"))
        with store.catalog.snapshot() as seen:
            release = seen.release(LOCAL, admitted.file.project, "1.0")
    assert release is not None
    assert release.fields["summary"] == "as the file says"
    assert release.fields["keywords"] == "only the form says this"


def test_each_upload_that_adds_something_has_the_next_serial(tmp_path: Path) -> None:
    with a_store(tmp_path) as store:
        assert serial_of(store.catalog) == 0
        for serial in range(1, 4):
            send(store, a_wheel("demo", f"{serial}.0"))
            assert serial_of(store.catalog) == store.catalog.agreed_serial() == serial
        send(store, a_wheel("demo", "1.0"))
        assert serial_of(store.catalog) == store.catalog.agreed_serial() == 3


def test_an_import_of_many_files_has_one_serial(tmp_path: Path) -> None:
    with a_store(tmp_path) as store:
        admitted = send_together(store, *(a_wheel("demo", f"{n}.0") for n in range(5)))
        assert {it.outcome for it in admitted} == {Outcome.ADDED}
        assert serial_of(store.catalog) == 1
        assert recorded_files(store.catalog) == tuple(it.file for it in admitted)


def check_all(
    store: Store, drafts: ExitStack, *files: BuiltFile, index: IndexName = LOCAL
) -> list[Checked]:
    """Stage and check files, as an import does; their drafts last as long as the stack."""
    checked = []
    for built in files:
        draft = drafts.enter_context(store.stage())
        draft.write(built.content)
        checked.append(store.check(Upload(index, built.filename, "root"), draft.finish()))
    return checked


def delivered(what: str) -> Delivery:
    return Delivery(NOW, "root", what, {})


def test_what_comes_with_an_import_is_done_in_the_same_change(tmp_path: Path) -> None:
    told: list[tuple[Outcome, int]] = []

    def then(change: Change, admitted: tuple[Admitted, ...]) -> None:
        told.extend((it.outcome, len(change.files(LOCAL, it.file.project))) for it in admitted)
        change.put_delivery(delivered("a wheel and an sdist"))

    with a_store(tmp_path) as store, ExitStack() as drafts:
        send(store, a_wheel("old"))
        checked = check_all(store, drafts, a_wheel(), an_sdist(), a_wheel("old"))
        store.admit_checked(checked, by=Actor("root"), what="bundle import", then=then)
        assert told == [(Outcome.ADDED, 2), (Outcome.ADDED, 2), (Outcome.ALREADY_THERE, 1)]
        with store.catalog.snapshot() as seen:
            assert [it.serial for it in seen.deliveries()] == [2]
        assert [line["what"] for line in journal_of(tmp_path)[1:]] == ["upload", "bundle import"]


def test_what_comes_with_an_import_is_done_also_if_all_files_are_there(tmp_path: Path) -> None:
    def then(change: Change, _: tuple[Admitted, ...]) -> None:
        change.put_delivery(delivered("nothing new"))

    with a_store(tmp_path) as store, ExitStack() as drafts:
        send(store, a_wheel())
        checked = check_all(store, drafts, a_wheel())
        (admitted,) = store.admit_checked(checked, by=Actor("root"), then=then)
        assert admitted.outcome is Outcome.ALREADY_THERE
        store.admit_checked([], by=Actor("root"), then=then)
        with store.catalog.snapshot() as seen:
            assert [it.serial for it in seen.deliveries()] == [2, 3]


def test_if_what_comes_with_an_import_fails_nothing_was_done(tmp_path: Path) -> None:
    def then(change: Change, _: tuple[Admitted, ...]) -> None:
        change.put_delivery(delivered("never"))
        raise Refused("bundle", "something is missing")

    with a_store(tmp_path) as store:
        with ExitStack() as drafts:
            checked = check_all(store, drafts, a_wheel(), an_sdist("other"))
            with pytest.raises(Refused, match="something is missing"):
                store.admit_checked(checked, by=Actor("root"), then=then)
        assert_nothing_happened(store, tmp_path)
        with store.catalog.snapshot() as seen:
            assert seen.deliveries() == ()


def test_all_that_would_be_refused_of_an_import_is_told_at_once(tmp_path: Path) -> None:
    with a_store(tmp_path) as store, ExitStack() as drafts:
        send(store, a_changed_wheel())
        checked = check_all(store, drafts, a_wheel(), an_egg("old"), a_wheel("fine"))
        taken, odd = store.objections(checked)
        assert isinstance(taken, AlreadyStored)
        assert isinstance(odd, Refused)
        assert "it is an egg" in str(odd)
        assert store.objections(check_all(store, drafts, a_wheel("fine"))) == []
        assert serial_of(store.catalog) == 1


def test_an_import_of_nothing_is_nothing(tmp_path: Path) -> None:
    with a_store(tmp_path) as store:
        assert store.admit([], by=Actor("root")) == ()
        assert serial_of(store.catalog) == 0


def test_sixteen_threads_at_once_all_succeed_with_a_serial_each(tmp_path: Path) -> None:
    together = threading.Barrier(16)

    def send_one(number: int) -> Outcome:
        built = a_wheel(f"demo{number}")
        together.wait(WAIT_SECONDS_MAX)
        return send(store, built).outcome

    with a_store(tmp_path) as store, ThreadPoolExecutor(16) as threads:
        assert set(threads.map(send_one, range(16))) == {Outcome.ADDED}
        with store.catalog.snapshot() as seen:
            serials = [project.serial for project in seen.projects(LOCAL)]
        assert sorted(serials) == list(range(1, 17))
        assert set(files_below(tmp_path)) == files_of(*recorded_files(store.catalog))
    assert [line["serial"] for line in journal_of(tmp_path)] == list(range(17))


# What is refused


def digests(content: bytes) -> dict[str, str]:
    told = digests_of(content)
    return {"sha256": told.sha256, "md5": told.md5, "blake2b_256": told.blake2b_256}


def test_digests_that_were_promised_and_kept_are_fine(tmp_path: Path) -> None:
    built = a_wheel()
    with a_store(tmp_path) as store:
        assert send(store, built, promised=digests(built.content)).outcome is Outcome.ADDED


@pytest.mark.parametrize("algorithm", ["sha256", "md5", "blake2b_256"])
def test_every_digest_that_was_promised_is_checked(algorithm: str, tmp_path: Path) -> None:
    built = a_wheel()
    promised = digests(built.content) | {algorithm: digests(b"other bytes")[algorithm]}
    with a_store(tmp_path) as store:
        with pytest.raises(Damaged) as raised:
            send(store, built, promised=promised)
        assert raised.value.digest == algorithm
        assert raised.value.promised == promised[algorithm]
        assert raised.value.actual == digests(built.content)[algorithm]
        assert_nothing_happened(store, tmp_path)


@pytest.mark.parametrize("format", [".tar.gz", ".zip", ".whl"])
@pytest.mark.parametrize(
    ("name", "version", "words"),
    [
        ("other", "1.0", "the form says that the project is 'other'"),
        ("demo", "1.1", "the form says that the version is '1.1'"),
        ("de mo", None, "project name 'de mo'"),
        (None, "one", "version 'one'"),
    ],
    ids=["project", "version", "no project name", "no version"],
)
def test_what_the_sender_says_must_agree_with_the_file_name(
    name: str | None, version: str | None, words: str, format: str, tmp_path: Path
) -> None:
    built = a_wheel() if format == ".whl" else an_sdist(format=format)
    with a_store(tmp_path) as store:
        with pytest.raises(Refused, match=words):
            send(store, built, name=name, version=version)
        assert_nothing_happened(store, tmp_path)


@pytest.mark.parametrize("format", [".tar.gz", ".zip", ".whl"])
@pytest.mark.parametrize(
    ("name", "version"), [("other", "1.0"), ("demo", "1.1"), ("demo", "1.0.post1")]
)
def test_what_the_file_says_inside_must_agree_with_its_name(
    name: str, version: str, format: str, tmp_path: Path
) -> None:
    metadata = core_metadata(name, version)
    built = a_wheel(metadata=metadata)
    if format != ".whl":
        built = an_sdist(metadata=metadata, format=format)
    with a_store(tmp_path) as store:
        with pytest.raises(Refused, match="its metadata says"):
            send(store, built)
        assert_nothing_happened(store, tmp_path)


@pytest.mark.parametrize(
    ("built", "name", "version"),
    [
        (a_wheel("demo", "1.0", metadata=core_metadata("DEMO", "1.0.0")), "Demo", "1.0.0"),
        (an_sdist("zope.demo", "1.0"), "Zope-Demo", "v1.0"),
        (renamed(an_sdist("zope.demo", "1.0"), "zope.demo-1.0.tar.gz"), "zope_demo", "1"),
    ],
    ids=["case and zeros", "punctuation", "old file name"],
)
def test_spellings_of_one_name_and_version_agree(
    built: BuiltFile, name: str, version: str, tmp_path: Path
) -> None:
    with a_store(tmp_path) as store:
        admitted = send(store, built, name=name, version=version)
        assert admitted.file.filename == built.filename
        assert admitted.file.version == "1.0"


REFUSED: Mapping[str, tuple[BuiltFile, IndexName, type[StoreError]]] = {
    "a name that leads elsewhere": (renamed(a_wheel(), "../../evil-1.0.tar.gz"), LOCAL, Refused),
    "no wheel": (BuiltFile("demo-1.0-py3-none-any.whl", b"no wheel"), LOCAL, Refused),
    "an empty wheel": (BuiltFile("demo-1.0-py3-none-any.whl", b""), LOCAL, Refused),
    "no sdist": (BuiltFile("demo-1.0.tar.gz", b"no sdist"), LOCAL, Refused),
    "other bytes": (a_changed_wheel("taken"), LOCAL, AlreadyStored),
    "an index that is not there": (a_wheel(), IndexName("root/gone"), NotStored),
    "a mirror": (a_wheel(), MIRROR.name, Refused),
}


@pytest.mark.parametrize("case", REFUSED)
def test_nothing_is_left_of_a_file_that_is_refused(case: str, tmp_path: Path) -> None:
    built, index, error = REFUSED[case]
    with a_store(tmp_path, a_stage(), MIRROR) as store:
        taken = send(store, a_wheel("taken")).file
        with pytest.raises(error):
            send(store, built, index)
        assert_nothing_happened(store, tmp_path, taken_file=taken, serial=1)
    assert not any((tmp_path / "incoming").iterdir())


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("position", [0, 1, 2])
def test_an_import_is_all_or_nothing(case: str, position: int, tmp_path: Path) -> None:
    refused, index, error = REFUSED[case]
    good = [a_wheel("demo", f"{n}.0") for n in (2, 3)]
    files = [*good[:position], refused, *good[position:]]
    with a_store(tmp_path, a_stage(), MIRROR) as store:
        taken = send(store, a_wheel("taken")).file
        with pytest.raises(error), staged(store, files) as arrivals:
            store.admit(
                [
                    (Upload(index if it is refused else LOCAL, it.filename, "root"), at)
                    for it, at in zip(files, arrivals, strict=True)
                ],
                by=Actor("root"),
            )
        assert_nothing_happened(store, tmp_path, taken_file=taken, serial=1)
        assert {it.outcome for it in send_together(store, *good)} == {Outcome.ADDED}


def test_an_import_with_two_files_of_one_name_and_other_bytes_is_refused(tmp_path: Path) -> None:
    with a_store(tmp_path) as store:
        with pytest.raises(AlreadyStored):
            send_together(store, a_wheel("other"), a_wheel(), a_changed_wheel())
        assert_nothing_happened(store, tmp_path)


def test_an_import_may_name_the_same_file_twice(tmp_path: Path) -> None:
    with a_store(tmp_path) as store:
        first, second = send_together(store, a_wheel(), a_wheel())
        assert (first.outcome, second.outcome) == (Outcome.ADDED, Outcome.ALREADY_THERE)
        assert first.file == second.file
        assert set(files_below(tmp_path)) == files_of(first.file)


@contextmanager
def staged(store: Store, files: list[BuiltFile]) -> Iterator[list[Staged]]:
    """Stage files, for the time of the block."""
    if not files:
        yield []
        return
    with store.stage() as draft, staged(store, files[1:]) as rest:
        draft.write(files[0].content)
        yield [draft.finish(), *rest]


def assert_nothing_happened(
    store: Store, root: Path, *, taken_file: Any = None, serial: int = 0
) -> None:
    """Nothing new is recorded, readable or left on the disk."""
    expected = () if taken_file is None else (taken_file,)
    assert recorded_files(store.catalog) == expected
    assert set(files_below(root)) == files_of(*expected)
    assert serial_of(store.catalog) == store.catalog.agreed_serial() == serial
    assert [line["serial"] for line in journal_of(root)] == list(range(serial + 1))


# What is old or sloppy


ODD = an_egg(metadata=core_metadata(requires_python="three"))
"""A file that strict indexes refuse for two reasons, and other indexes do not."""


def test_a_strict_index_refuses_what_is_odd_and_tells_the_way_out(tmp_path: Path) -> None:
    with a_store(tmp_path) as store:
        with pytest.raises(Refused) as refused:
            send(store, ODD)
        assert files_below(tmp_path) == {}
    assert str(refused.value) == (
        "demo-1.0-py2.7.egg: it is an egg (egg); turn it into a wheel with `wheel convert` (it "
        "breaks 1 more rules); root/local would take it with strict_archives=False"
    )


def test_an_index_that_is_not_strict_takes_what_is_odd_and_remembers_why(tmp_path: Path) -> None:
    with a_store(tmp_path, a_stage(strict_archives=False)) as store:
        admitted = send(store, ODD)
        assert recorded_files(store.catalog) == (admitted.file,)
    assert (admitted.file.project, admitted.file.version) == ("demo", "1.0")
    assert admitted.file.findings == ("egg", "requires-python")
    assert [remark[:40] for remark in admitted.remarks] == [
        "demo-1.0-py2.7.egg: it is an egg (egg); ",
        "demo-1.0-py2.7.egg: its Requires-Python ",
    ]
    assert '"findings":["egg","requires-python"]' in json.dumps(
        journal_of(tmp_path)[-1], separators=(",", ":")
    )


@pytest.mark.parametrize("strict", [True, False])
def test_who_sends_may_decide_otherwise_than_the_index(strict: bool, tmp_path: Path) -> None:
    with a_store(tmp_path, a_stage(strict_archives=not strict)) as store:
        if strict:
            with pytest.raises(Refused, match="it is an egg"):
                send(store, ODD, strict_archives=True)
        else:
            assert send(store, ODD, strict_archives=False).remarks


def test_what_is_there_already_may_be_sent_again_however_odd(tmp_path: Path) -> None:
    with a_store(tmp_path) as store:
        send(store, ODD, strict_archives=False)
        assert send(store, ODD).outcome is Outcome.ALREADY_THERE


# Names that are taken


def test_other_bytes_never_replace_a_stored_file(tmp_path: Path) -> None:
    with a_store(tmp_path) as store:
        file = send(store, a_wheel()).file
        with pytest.raises(
            AlreadyStored, match=r"File already exists: demo-1\.0-py3-none-any\.whl"
        ):
            send(store, a_changed_wheel())
        assert read(store, file) == a_wheel().content
        assert_nothing_happened(store, tmp_path, taken_file=file, serial=1)


@pytest.mark.parametrize("volatile", [False, True], ids=["keeps its files", "volatile"])
def test_the_same_bytes_again_are_fine_and_change_nothing(volatile: bool, tmp_path: Path) -> None:
    with a_store(tmp_path, a_stage(volatile=volatile)) as store:
        file = send(store, a_wheel(), sender="ada").file
        again = send(store, a_wheel(), sender="bob")
        assert (again.outcome, again.file) == (Outcome.ALREADY_THERE, file)
        assert_nothing_happened(store, tmp_path, taken_file=file, serial=1)


def test_another_spelling_of_a_name_is_the_same_name(tmp_path: Path) -> None:
    built = an_sdist("zope.demo", "1.0")
    other = renamed(built, "Zope.Demo-1.0.tar.gz")
    assert built.filename != other.filename
    with a_store(tmp_path) as store:
        file = send(store, built).file
        again = send(store, other)
        assert (again.outcome, again.file) == (Outcome.ALREADY_THERE, file)
        assert_nothing_happened(store, tmp_path, taken_file=file, serial=1)


def test_the_same_file_in_two_indexes_is_stored_for_each(tmp_path: Path) -> None:
    other = IndexName("root/other")
    with a_store(tmp_path, VOLATILE, a_stage(other)) as store:
        files = send(store, a_wheel()).file, send(store, a_wheel(), other).file
        assert set(files_below(tmp_path)) == files_of(*files)
        send(store, a_changed_wheel())
        assert read(store, files[1]) == a_wheel().content


def test_other_bytes_replace_a_file_of_a_volatile_index_at_another_place(tmp_path: Path) -> None:
    with a_store(tmp_path, VOLATILE) as store:
        old = send(store, a_wheel()).file
        _, reader = store.open(old.place)
        with reader:
            replaced = send(store, a_changed_wheel())
            new = replaced.file
            assert replaced.outcome is Outcome.REPLACED
            assert new.place != old.place
            assert reader.read() == a_wheel().content  # who had it open reads it to its end
        assert recorded_files(store.catalog) == (new,)
        assert read(store, new) == a_changed_wheel().content
        with pytest.raises(NotStored):
            store.open(old.place)
        assert set(files_below(tmp_path)) == files_of(new)
        assert serial_of(store.catalog) == 2


def test_two_spellings_replace_each_other_in_a_volatile_index(tmp_path: Path) -> None:
    with a_store(tmp_path, VOLATILE) as store:
        send(store, renamed(an_sdist("demo", "1.0"), "Demo-1.0.tar.gz"))
        changed = an_sdist("demo", "1.0", metadata=core_metadata(headers=[("Summary", "new")]))
        new = send(store, changed)
        assert new.outcome is Outcome.REPLACED
        assert recorded_files(store.catalog) == (new.file,)
        assert set(files_below(tmp_path)) == files_of(new.file)


def test_an_import_into_a_volatile_index_may_replace_its_own_files(tmp_path: Path) -> None:
    with a_store(tmp_path, VOLATILE) as store:
        _, last = send_together(store, a_wheel(), a_changed_wheel())
        assert last.outcome is Outcome.REPLACED
        assert recorded_files(store.catalog) == (last.file,)
        assert set(files_below(tmp_path)) == files_of(last.file)


def test_old_bytes_come_back_to_their_old_place(tmp_path: Path) -> None:
    with a_store(tmp_path, VOLATILE) as store:
        first = send(store, a_wheel()).file
        send(store, a_changed_wheel())
        again = send(store, a_wheel())
        assert (again.outcome, again.file.place) == (Outcome.REPLACED, first.place)
        assert read(store, again.file) == a_wheel().content
        assert set(files_below(tmp_path)) == files_of(again.file)


def test_a_replaced_file_that_cannot_be_deleted_now_goes_at_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: DiskFiles, place: FilePlace) -> None:
        raise Unavailable(f"{place.filename} cannot be removed: a virus scanner has it open")

    with a_store(tmp_path, VOLATILE) as store:
        old = send(store, a_wheel()).file
        with monkeypatch.context() as patched:
            patched.setattr(DiskFiles, "remove", fail)
            new = send(store, a_changed_wheel()).file
        assert set(files_below(tmp_path)) == files_of(old, new)
    with opened(tmp_path) as store:
        assert set(files_below(tmp_path)) == files_of(new)
        assert recorded_files(store.catalog) == (new,)


# Indexes that are made on the way


def test_the_first_upload_makes_its_index(tmp_path: Path) -> None:
    made = Index(IndexName("root/new"), StageSettings(volatile=False), automatic=True)
    with a_store(tmp_path) as store:
        file = send(store, a_wheel(), made.name, make_index=made).file
        with store.catalog.snapshot() as seen:
            assert seen.index(made.name) == replace(made, serial=1)
        assert serial_of(store.catalog) == 1
        send(store, a_wheel("other"), made.name, make_index=made)
        assert len(recorded_files(store.catalog, made.name)) == 2
        assert read(store, file) == a_wheel().content


def test_an_index_that_is_there_keeps_its_settings(tmp_path: Path) -> None:
    with a_store(tmp_path, VOLATILE) as store:
        send(store, a_wheel(), make_index=a_stage(volatile=False))
        with store.catalog.snapshot() as seen:
            assert seen.index(LOCAL) == VOLATILE


def test_no_index_is_made_for_a_file_that_is_refused(tmp_path: Path) -> None:
    made = a_stage(IndexName("root/new"))
    with a_store(tmp_path) as store:
        with pytest.raises(AlreadyStored):
            send_together(store, a_wheel(), a_changed_wheel(), index=made.name, make_index=made)
        with store.catalog.snapshot() as seen:
            assert seen.index(made.name) is None
        assert_nothing_happened(store, tmp_path)


def test_no_other_index_is_made_than_the_one_that_is_missing(tmp_path: Path) -> None:
    with a_store(tmp_path) as store:
        with pytest.raises(NotStored, match="root/gone"):
            send(store, a_wheel(), IndexName("root/gone"), make_index=a_stage())
        assert_nothing_happened(store, tmp_path)


def test_an_index_whose_name_differs_only_in_case_is_not_made(tmp_path: Path) -> None:
    other = a_stage(IndexName("root/Local"))
    with a_store(tmp_path) as store:
        with pytest.raises(AlreadyStored, match="Index already exists: root/Local"):
            send(store, a_wheel(), other.name, make_index=other)
        assert_nothing_happened(store, tmp_path)


def test_two_first_uploads_at_once_make_one_index(tmp_path: Path) -> None:
    made = a_stage(IndexName("root/new"))
    together = threading.Barrier(2)

    def send_one(name: str) -> Outcome:
        built = a_wheel(name)
        together.wait(WAIT_SECONDS_MAX)
        return send(store, built, made.name, make_index=made).outcome

    with a_store(tmp_path) as store, ThreadPoolExecutor(2) as threads:
        assert list(threads.map(send_one, ["a", "b"])) == [Outcome.ADDED] * 2
        with store.catalog.snapshot() as seen:
            assert len(seen.indexes()) == 2
            assert len(seen.projects(made.name)) == 2


# Races


class InterruptedFiles(DiskFiles):
    """Lets something happen once, just after files were published, and notes removals."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.after_publishing: Callable[[], object] = nothing
        self.removed: list[FilePlace] = []

    def publish_all(self, arrivals: Sequence[Arrival]) -> None:
        super().publish_all(arrivals)
        happens, self.after_publishing = self.after_publishing, nothing
        happens()

    def remove(self, place: FilePlace) -> None:
        self.removed.append(place)
        super().remove(place)


@contextmanager
def an_interrupted_store(root: Path, *indexes: Index) -> Iterator[tuple[Store, InterruptedFiles]]:
    make_store(root, *indexes)
    journal, generation = Journal(root), Generation(root / "generation")
    files = InterruptedFiles(root)
    store = Store(files, SqliteCatalog(root, journal, generation, lambda: NOW), lambda: NOW)
    try:
        yield store, files
    finally:
        store.close()


def test_a_sweep_while_the_same_bytes_come_in_again_does_not_lose_them(tmp_path: Path) -> None:
    with an_interrupted_store(tmp_path, VOLATILE) as (store, files):
        file = send(store, a_wheel()).file
        forget(store, file)
        files.after_publishing = store.sweep
        again = send(store, a_wheel())
        assert again.outcome is Outcome.ADDED
        assert read(store, again.file) == a_wheel().content
        assert set(files_below(tmp_path)) == files_of(again.file)
        store.sweep()
        assert read(store, again.file) == a_wheel().content


def test_a_removal_while_the_same_bytes_come_in_again_does_not_lose_them(tmp_path: Path) -> None:
    with an_interrupted_store(tmp_path, VOLATILE) as (store, files):
        file = send(store, a_wheel()).file

        def remove() -> None:
            forget(store, file)
            store.sweep()
            assert not (tmp_path / "files" / file.place.path).exists()

        files.after_publishing = remove  # of the other file, while this one counts as there
        admitted = send_together(store, a_wheel(), a_wheel("other"))
        assert [it.outcome for it in admitted] == [Outcome.ADDED, Outcome.ADDED]
        assert read(store, admitted[0].file) == a_wheel().content
        assert set(files_below(tmp_path)) == files_of(*(it.file for it in admitted))


def test_a_refusal_while_the_same_bytes_come_in_again_does_not_lose_them(tmp_path: Path) -> None:
    with an_interrupted_store(tmp_path) as (store, files):

        def others_import_is_refused() -> None:
            files.after_publishing = lambda: send(store, a_changed_wheel("contested"))
            with pytest.raises(AlreadyStored):
                send_together(store, a_wheel(), a_wheel("contested"))

        files.after_publishing = others_import_is_refused
        admitted = send(store, a_wheel())
        assert admitted.outcome is Outcome.ADDED
        assert read(store, admitted.file) == a_wheel().content


def test_the_slower_of_two_uploads_of_one_name_is_refused_without_a_trace(tmp_path: Path) -> None:
    with an_interrupted_store(tmp_path) as (store, files):
        files.after_publishing = lambda: send(store, a_changed_wheel())
        with pytest.raises(AlreadyStored):
            send(store, a_wheel())
        (file,) = recorded_files(store.catalog)
        assert read(store, file) == a_changed_wheel().content
        assert_nothing_happened(store, tmp_path, taken_file=file, serial=1)


def test_the_slower_of_two_uploads_of_the_same_bytes_finds_them_there(tmp_path: Path) -> None:
    with an_interrupted_store(tmp_path) as (store, files):
        files.after_publishing = lambda: send(store, a_wheel())
        admitted = send(store, a_wheel())
        assert admitted.outcome is Outcome.ALREADY_THERE
        assert_nothing_happened(store, tmp_path, taken_file=admitted.file, serial=1)
        assert read(store, admitted.file) == a_wheel().content


def test_the_slower_of_two_spellings_of_one_name_leaves_nothing(tmp_path: Path) -> None:
    built = an_sdist("zope.demo", "1.0")
    with an_interrupted_store(tmp_path) as (store, files):
        files.after_publishing = lambda: send(store, built)
        admitted = send(store, renamed(built, "zope.demo-1.0.tar.gz"))
        assert admitted.outcome is Outcome.ALREADY_THERE
        assert admitted.file.filename == built.filename
        assert_nothing_happened(store, tmp_path, taken_file=admitted.file, serial=1)


def test_bytes_whose_name_differs_only_in_case_from_a_stored_files_are_left_alone(
    tmp_path: Path,
) -> None:
    # Where a disk takes both names for one, they are the stored file's.
    built = a_wheel("pyyaml", "5.4.1")
    other_case = renamed(built, built.filename.replace("pyyaml", "PyYAML"))
    with an_interrupted_store(tmp_path) as (store, files):
        old = send(store, built).file
        forget(store, old)
        stored = send(store, other_case).file
        store.sweep()
        files.after_publishing = lambda: send(store, a_changed_wheel("contested"))
        with pytest.raises(AlreadyStored):
            send_together(store, built, a_wheel("contested"))
        assert old.place != stored.place
        assert old.place not in files.removed
        assert read(store, stored) == built.content


def test_a_sweep_lets_others_write_in_between(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(simpleindex_storage.store, "_SWEPT_AT_ONCE_MAX", 3)
    with a_store(tmp_path) as store:
        for minor in range(7):
            forget(store, send(store, a_wheel(version=f"1.{minor}")).file)
        sweeps: list[str] = []
        change = store.catalog.change

        def change_and_count(work: Callable[[Change], Any], *, by: Actor, what: str) -> Any:
            sweeps.append(what)
            return change(work, by=by, what=what)

        monkeypatch.setattr(store.catalog, "change", change_and_count)
        store.sweep()
        assert sweeps == ["sweep"] * 3
        assert files_below(tmp_path) == {}


def test_a_sweep_deletes_no_bytes_of_a_removal_that_is_not_committed_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with before_commits(monkeypatch) as watch, a_store(tmp_path, VOLATILE) as store:
        file = send(store, a_wheel()).file
        with held_up(store.catalog) as ask:
            watch(disk_full)
            removal = ask(lambda it: it.remove_file(file))
            sweep = ask(store._sweep)
        for asked in (removal, sweep):
            with pytest.raises(Unavailable):
                asked.result(WAIT_SECONDS_MAX)
        watch(nothing)
        assert read(store, file) == a_wheel().content

        with held_up(store.catalog) as ask:
            ask(lambda it: it.remove_file(file))
            ask(store._sweep)
        assert f"files/{file.place.path}" in files_below(tmp_path)
        store.sweep()
        assert files_below(tmp_path) == {}


def test_a_refusal_deletes_no_bytes_of_a_removal_that_is_not_committed_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with before_commits(monkeypatch) as watch, a_store(tmp_path, VOLATILE) as store:
        file = send(store, a_wheel()).file
        take_back: list[Callable[[Change], None]] = []
        change = store.catalog.change

        def caught(work: Any, *, by: Actor, what: str) -> Any:
            if what == "withdraw":
                take_back.append(work)
                return None
            raise Refused("it", "on second thought")

        with monkeypatch.context() as patched, pytest.raises(Refused):
            patched.setattr(store.catalog, "change", caught)
            send_together(store, a_wheel(), a_wheel("other"))
        assert store.catalog.change == change
        with held_up(store.catalog) as ask:
            watch(disk_full)
            ask(lambda it: it.remove_file(file))
            ask(take_back[0])
        watch(nothing)
        assert read(store, file) == a_wheel().content


# What lies at the place already


@pytest.mark.parametrize("left_over", [b"", b"half a wh"], ids=["empty", "half"])
def test_a_damaged_left_over_at_the_place_is_replaced(left_over: bytes, tmp_path: Path) -> None:
    built = a_wheel()
    path = tmp_path / "files" / FilePlace(LOCAL, built.sha256[:16], built.filename).path
    with a_store(tmp_path) as store:
        path.parent.mkdir(parents=True)
        path.write_bytes(left_over)
        path.with_name(path.name + ".metadata").write_bytes(left_over)
        file = send(store, built).file
        assert read(store, file) == built.content
        with store.open_sidecar(file.place, Sidecar.METADATA)[1] as metadata:
            assert metadata.read() == core_metadata()


def test_bytes_without_a_record_are_invisible(tmp_path: Path) -> None:
    with a_store(tmp_path) as store:
        file = send(store, a_wheel()).file
        path = tmp_path / "files" / file.place.path
        shutil.copy(path, path.with_name("demo-2.0-py3-none-any.whl"))
        shutil.copy(path, path.with_name("demo-2.0-py3-none-any.whl.metadata"))
        place = replace(file.place, filename="demo-2.0-py3-none-any.whl")
        with pytest.raises(NotStored):
            store.open(place)
        with pytest.raises(NotStored):
            store.open_sidecar(place, Sidecar.METADATA)


def test_a_record_whose_bytes_somebody_took_away_is_not_stored(tmp_path: Path) -> None:
    with a_store(tmp_path) as store:
        file = send(store, a_wheel()).file
        (tmp_path / "files" / file.place.path).unlink()
        with pytest.raises(NotStored):
            store.open(file.place)


# Disks that fail


def test_where_links_fail_bytes_are_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = FailingDisk(monkeypatch)
    disk.fail(lambda _, name: name == "link", errno.EPERM)
    with a_store(tmp_path, VOLATILE) as store:
        send(store, a_wheel())
        assert "link" in disk.calls
        file = send(store, a_changed_wheel()).file
        assert read(store, file) == a_changed_wheel().content
        assert set(files_below(tmp_path)) == files_of(file)


def test_nothing_is_left_of_a_file_that_does_not_fit_and_the_next_one_works(
    tmp_path: Path,
) -> None:
    with a_store(tmp_path) as store:
        with files_no_larger_than(100), pytest.raises(Unavailable) as raised:
            send(store, a_wheel())
        assert raised.value.full
        assert_nothing_happened(store, tmp_path)
        assert send(store, a_wheel()).outcome is Outcome.ADDED


@pytest.mark.parametrize("call", ["fsync", "link", "rename", "mkdir", "write"])
def test_nothing_is_left_of_a_file_that_the_disk_has_no_room_for(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with a_store(tmp_path) as store:
        disk = FailingDisk(monkeypatch)
        first = itertools.count()
        disk.fail(lambda _, name: name == call and next(first) == 0)
        with pytest.raises(Unavailable) as raised:
            send(store, a_wheel())
        assert raised.value.full
        assert_nothing_happened(store, tmp_path)
        assert send(store, a_wheel()).outcome is Outcome.ADDED


def test_nothing_is_left_of_a_file_whose_commit_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with before_commits(monkeypatch) as watch, a_store(tmp_path) as store:
        watch(disk_full)
        with pytest.raises(Unavailable) as raised:
            send(store, a_wheel())
        assert raised.value.full
        assert_nothing_happened(store, tmp_path)
        watch(nothing)
        assert send(store, a_wheel()).outcome is Outcome.ADDED


def test_a_replacement_whose_commit_fails_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with before_commits(monkeypatch) as watch, a_store(tmp_path, VOLATILE) as store:
        old = send(store, a_wheel()).file
        watch(disk_full)
        with pytest.raises(Unavailable):
            send(store, a_changed_wheel())
        assert read(store, old) == a_wheel().content
        assert_nothing_happened(store, tmp_path, taken_file=old, serial=1)


@pytest.mark.parametrize("error_number", [errno.ENOSPC, errno.EIO], ids=["no room", "failing"])
@pytest.mark.parametrize("lasts", [False, True], ids=["once", "from then on"])
def test_whichever_call_fails_nothing_is_lost_and_the_next_upload_works(
    lasts: bool, error_number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The Nth call fails, for N = 1, 2, 3 and so on, until an upload gets by without it.
    disk = FailingDisk(monkeypatch)
    for failing in itertools.count(1):
        root = tmp_path / str(failing)
        with a_store(root, VOLATILE) as store:
            old = send(store, a_wheel()).file
            disk.fail(
                lambda number, _, n=failing: number >= n if lasts else number == n,  # type: ignore[misc]
                error_number,
            )
            try:
                send(store, a_changed_wheel())
            except Unavailable as error:
                assert error.full is (error_number == errno.ENOSPC)
                is_new = False
            else:
                is_new = True
            tried = disk.calls[:]
            reached = len(tried) >= failing
            disk.heal()
            (file,) = recorded_files(store.catalog)
            assert (file != old) is is_new
            expected = a_changed_wheel().content if is_new else a_wheel().content
            assert read(store, file) == expected
        with opened(root) as store:
            assert set(files_below(root)) == files_of(file)
            assert read(store, file) == expected
            send(store, a_changed_wheel())
            (file,) = recorded_files(store.catalog)
            assert read(store, file) == a_changed_wheel().content
        if not reached:
            # Each kind of call of an upload was among those that failed.
            assert {"fsync", "link", "rename", "mkdir", "write"} <= set(tried)
            break
    assert tried.count("fsync") >= 6  # draft, metadata, the folders, the journal


def test_a_store_whose_catalog_fails_for_longer_finds_its_left_overs_at_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with a_store(tmp_path) as store:

        def fail(*_: object, **__: object) -> None:
            raise Unavailable("the catalog cannot be written: disk I/O error")

        with monkeypatch.context() as patched:
            patched.setattr(SqliteCatalog, "change", fail)
            with pytest.raises(Unavailable):
                send(store, a_wheel())
        assert any(path.startswith("files/") for path in files_below(tmp_path))
    with opened(tmp_path) as store:
        assert_nothing_happened(store, tmp_path)


# What happened to a file


def test_an_upload_is_the_first_thing_that_happens_to_a_file(tmp_path: Path) -> None:
    with a_store(tmp_path) as store:
        file = send(store, a_wheel(), sender="ada").file
        nobodys = send(store, a_wheel("other"), sender="").file
        assert file.log == (LogEntry(Event.UPLOAD, "ada", NOW, target=LOCAL),)
        assert nobodys.log == (LogEntry(Event.UPLOAD, None, NOW, target=LOCAL),)
        assert {it.log for it in recorded_files(store.catalog)} == {file.log, nobodys.log}


def test_how_often_a_file_was_replaced_is_counted(tmp_path: Path) -> None:
    built = [a_wheel(extra_files={"demo/n.txt": str(n).encode()}) for n in range(4)]
    with a_store(tmp_path, VOLATILE) as store:
        send(store, built[0])
        for count, each in enumerate(built[1:], 1):
            file = send(store, each, sender="ada").file
            assert file.log == (
                LogEntry(Event.OVERWRITE, None, NOW, count=count),
                LogEntry(Event.UPLOAD, "ada", NOW, target=LOCAL),
            )
        assert send(store, built[-1], sender="bob").file == file  # the same bytes count for nothing
        forget(store, file)
        assert send(store, built[0]).file.log[0].what is Event.UPLOAD


def test_what_a_file_brings_along_is_kept_as_it_was_given(tmp_path: Path) -> None:
    long_ago = datetime(2019, 5, 6, 7, 8, 9, 10, UTC)
    log = (
        LogEntry(Event.UPLOAD, "ada", long_ago, target=DEV),
        LogEntry(Event.PUSH, "bob", NOW, source=DEV, target=LOCAL),
    )
    with a_store(tmp_path, VOLATILE) as store:
        send(store, a_changed_wheel())
        with store.stage() as draft:
            draft.write(a_wheel().content)
            upload = Upload(
                LOCAL, a_wheel().filename, "bob", uploaded_at=long_ago, yanked="broken", log=log
            )
            (admitted,) = store.admit(
                [(upload, draft.finish())], by=Actor("ada", "192.0.2.7"), what="push"
            )
        (file,) = recorded_files(store.catalog)
        assert file == admitted.file
        assert (file.uploaded_at, file.uploaded_by, file.yanked) == (long_ago, "bob", "broken")
        # It was replaced when this came, not when this was first uploaded.
        assert file.log == (LogEntry(Event.OVERWRITE, None, NOW, count=1), *log)
    line = journal_of(tmp_path)[-1]
    # Who brings it need not be who once made it.
    assert (line["who"], line["from"], line["what"]) == ("ada", "192.0.2.7", "push")


# From one index to another


def push(
    store: Store,
    *files: DistFile,
    target: IndexName = LOCAL,
    before: Callable[[], object] = nothing,
) -> tuple[Admitted, ...]:
    """Copy files to another index in one go; `before` happens when all are staged."""
    with ExitStack() as stages:
        arrivals = [
            (
                Upload(
                    target,
                    file.filename,
                    "root",
                    uploaded_at=file.uploaded_at,
                    log=(*file.log, LogEntry(Event.PUSH, "root", NOW, file.index, target)),
                ),
                stages.enter_context(store.stage_copy(file)),
            )
            for file in files
        ]
        before()
        return store.admit(arrivals, by=Actor("root"), what="push")


def inode_of(root: Path, file: DistFile) -> int:
    return (root / "files" / file.place.path).stat().st_ino


def test_a_file_that_is_copied_to_another_index_is_the_same_and_takes_no_room(
    tmp_path: Path,
) -> None:
    with a_store(tmp_path, a_stage(), a_stage(DEV)) as store:
        source = send(store, a_wheel(), DEV, sender="ada").file
        (admitted,) = push(store, source)
        copy = admitted.file
        assert admitted.outcome is Outcome.ADDED
        assert copy == replace(source, index=LOCAL, uploaded_by="root", log=copy.log)
        assert [entry.what for entry in copy.log] == [Event.UPLOAD, Event.PUSH]
        assert inode_of(tmp_path, copy) == inode_of(tmp_path, source)
        assert read(store, copy) == read(store, source) == a_wheel().content
        with store.open_sidecar(copy.place, Sidecar.METADATA)[1] as metadata:
            assert metadata.read() == core_metadata()
        assert set(files_below(tmp_path)) == files_of(copy, source)
        with store.catalog.snapshot() as seen:
            release = seen.release(DEV, source.project, "1.0")
            assert release is not None
            assert seen.release(LOCAL, source.project, "1.0") == replace(release, index=LOCAL)


def test_where_links_fail_a_file_is_copied_to_another_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with a_store(tmp_path, a_stage(), a_stage(DEV)) as store:
        source = send(store, a_wheel(), DEV).file
        FailingDisk(monkeypatch).fail(lambda _, name: name == "link", errno.EPERM)
        (admitted,) = push(store, source)
        assert inode_of(tmp_path, admitted.file) != inode_of(tmp_path, source)
        assert read(store, admitted.file) == a_wheel().content
        assert set(files_below(tmp_path)) == files_of(admitted.file, source)


def test_files_that_are_copied_together_have_one_serial(tmp_path: Path) -> None:
    with a_store(tmp_path, a_stage(), a_stage(DEV)) as store:
        sources = send_together(store, a_wheel(), an_sdist(), a_wheel("other"), index=DEV)
        admitted = push(store, *(it.file for it in sources))
        assert serial_of(store.catalog) == 2
        assert {it.outcome for it in admitted} == {Outcome.ADDED}
        assert {it.file for it in admitted} == set(recorded_files(store.catalog))
        again = push(store, *(it.file for it in sources))
        assert {it.outcome for it in again} == {Outcome.ALREADY_THERE}
        assert serial_of(store.catalog) == 2


@pytest.mark.parametrize("position", [0, 1, 2])
def test_of_files_that_are_copied_together_none_is_there_if_one_is_refused(
    position: int, tmp_path: Path
) -> None:
    good = [a_wheel("demo", f"{n}.0") for n in (2, 3)]
    built = [*good[:position], a_changed_wheel("taken"), *good[position:]]
    with a_store(tmp_path, a_stage(), a_stage(DEV)) as store:
        taken = send(store, a_wheel("taken")).file
        sources = tuple(it.file for it in send_together(store, *built, index=DEV))
        with pytest.raises(AlreadyStored, match=r"File already exists: taken-1\.0"):
            push(store, *sources)
        assert recorded_files(store.catalog) == (taken,)
        assert set(files_below(tmp_path)) == files_of(taken, *sources)
        assert serial_of(store.catalog) == store.catalog.agreed_serial() == 2
        assert read(store, taken) == a_wheel("taken").content
        assert [read(store, file) for file in sources] == [each.content for each in built]


def test_a_copy_replaces_other_bytes_in_a_volatile_index(tmp_path: Path) -> None:
    with a_store(tmp_path, VOLATILE, a_stage(DEV)) as store:
        old, source = send(store, a_wheel()).file, send(store, a_changed_wheel(), DEV).file
        (admitted,) = push(store, source)
        assert admitted.outcome is Outcome.REPLACED
        assert admitted.file.log[0] == LogEntry(Event.OVERWRITE, None, NOW, count=1)
        assert recorded_files(store.catalog) == (admitted.file,)
        assert read(store, admitted.file) == a_changed_wheel().content
        with pytest.raises(NotStored):
            store.open(old.place)
        assert set(files_below(tmp_path)) == files_of(admitted.file, source)


def test_a_copy_outlives_a_source_that_is_removed_on_the_way(tmp_path: Path) -> None:
    with a_store(tmp_path, a_stage(), a_stage(DEV)) as store:
        sources = tuple(it.file for it in send_together(store, a_wheel(), an_sdist(), index=DEV))

        def remove() -> None:
            for source in sources:
                forget(store, source)
            store.sweep()
            assert not any(path.startswith("files/") for path in files_below(tmp_path))

        admitted = push(store, *sources, before=remove)
        files = tuple(it.file for it in admitted)
        assert recorded_files(store.catalog, DEV) == ()
        assert set(recorded_files(store.catalog)) == set(files)
        assert [read(store, file) for file in files] == [a_wheel().content, an_sdist().content]
        assert set(files_below(tmp_path)) == files_of(*files)


def test_what_was_removed_before_it_could_be_copied_is_not_stored(tmp_path: Path) -> None:
    with a_store(tmp_path, a_stage(), a_stage(DEV)) as store:
        first, second = (it.file for it in send_together(store, a_wheel(), an_sdist(), index=DEV))
        forget(store, second)
        store.sweep()
        with pytest.raises(NotStored, match=r"demo-1\.0\.tar\.gz"):
            push(store, first, second)
        assert recorded_files(store.catalog) == ()
        assert set(files_below(tmp_path)) == files_of(first)


@pytest.mark.parametrize("call", ["fsync", "link", "rename", "mkdir"])
@pytest.mark.parametrize("number", range(3), ids=["first", "second", "third"])
def test_nothing_is_left_of_a_copy_that_the_disk_has_no_room_for(
    call: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with a_store(tmp_path, a_stage(), a_stage(DEV)) as store:
        sources = tuple(
            it.file
            for it in send_together(
                store, *(a_wheel("demo", f"{n}.0") for n in range(3)), index=DEV
            )
        )
        disk, tries = FailingDisk(monkeypatch), itertools.count()
        disk.fail(lambda _, name: name == call and next(tries) == number)
        with pytest.raises(Unavailable) as raised:
            push(store, *sources)
        assert raised.value.full
        assert recorded_files(store.catalog) == ()
        assert set(files_below(tmp_path)) == files_of(*sources)
        assert len(push(store, *sources)) == 3


@pytest.mark.parametrize(
    ("when", "is_recorded"), [("copied", False), ("linked", False), ("committed", True)]
)
def test_a_copy_whose_process_is_killed_is_there_whole_or_not_at_all(
    when: str, is_recorded: bool, tmp_path: Path
) -> None:
    with a_store(tmp_path, a_stage(), a_stage(DEV)) as store:
        source = send(store, a_wheel(), DEV).file
    with elsewhere(die_while_copying, str(tmp_path), DEV, LOCAL, when) as other:
        assert other.end() == (-signal.SIGKILL, "")
    assert any(path.startswith("incoming/") for path in files_below(tmp_path))
    with opened(tmp_path) as store:
        files = recorded_files(store.catalog)
        assert [file.filename for file in files] == [source.filename] * is_recorded
        assert set(files_below(tmp_path)) == files_of(source, *files)
        assert read(store, source) == a_wheel().content
        (admitted,) = push(store, source)
        assert read(store, admitted.file) == a_wheel().content


# Documentation


def put_document(
    store: Store,
    content: bytes = b"the pages",
    version: str = "1.0",
    *,
    project: str = "demo",
    index: IndexName = LOCAL,
) -> tuple[Attachment, Outcome]:
    pages = documentation(content, version, project=project, index=index)
    return pages, attach(store, pages, content)


def test_documentation_is_kept_with_its_release(tmp_path: Path) -> None:
    with a_store(tmp_path) as store:
        file = send(store, a_wheel()).file
        pages, outcome = put_document(store)
        assert outcome is Outcome.ADDED
        assert attachments_of(store.catalog) == (pages,)
        assert read_attachment(store, pages) == b"the pages"
        assert set(files_below(tmp_path)) == files_of(file) | paths_of(pages)
        with store.catalog.snapshot() as seen:
            (release,) = seen.releases(LOCAL, file.project)
            assert release.fields["name"] == "demo"
        with pytest.raises(NotStored):
            store.open(pages.place)
        with pytest.raises(NotStored):
            store.open_attachment(file.place)
    line = journal_of(tmp_path)[-1]
    assert (line["serial"], line["who"], line["what"]) == (2, "root", "doczip")
    assert [kind for kind, _ in line["facts"]] == ["attachment"]


def test_documentation_that_comes_first_makes_its_release(tmp_path: Path) -> None:
    with a_store(tmp_path) as store:
        pages, outcome = put_document(store)
        assert outcome is Outcome.ADDED
        with store.catalog.snapshot() as seen:
            assert seen.projects(LOCAL) == (Project(LOCAL, pages.project, "demo", 1),)
            assert seen.releases(LOCAL, pages.project) == (
                Release(LOCAL, pages.project, "1.0", {"name": "demo", "version": "1.0"}),
            )
        file = send(store, a_wheel()).file
        assert attachments_of(store.catalog) == (pages,)
        assert set(files_below(tmp_path)) == files_of(file) | paths_of(pages)


def test_documentation_of_a_new_release_leaves_the_spelling_of_its_project(tmp_path: Path) -> None:
    with a_store(tmp_path) as store:
        project = send(store, a_wheel("Demo.Thing")).file.project
        put_document(store, version="2.0", project="demo-thing")
        with store.catalog.snapshot() as seen:
            assert seen.project(LOCAL, project) == Project(LOCAL, project, "Demo.Thing", 2)
            release = seen.release(LOCAL, project, "2.0")
            assert release is not None
            assert release.fields == {"name": "Demo.Thing", "version": "2.0"}


@pytest.mark.parametrize("volatile", [False, True], ids=["keeps its files", "volatile"])
def test_the_same_documentation_again_changes_nothing(volatile: bool, tmp_path: Path) -> None:
    with a_store(tmp_path, a_stage(volatile=volatile)) as store:
        pages, _ = put_document(store)
        again = replace(pages, uploaded_by="ada")
        renamed_again = replace(pages, place=replace(pages.place, filename="Demo-1.0.doc.zip"))
        for each in (again, renamed_again):
            assert attach(store, each, b"the pages") is Outcome.ALREADY_THERE
        assert attachments_of(store.catalog) == (pages,)
        assert read_attachment(store, pages) == b"the pages"
        assert set(files_below(tmp_path)) == paths_of(pages)
        assert serial_of(store.catalog) == store.catalog.agreed_serial() == 1


def test_other_documentation_never_replaces_what_an_index_keeps(tmp_path: Path) -> None:
    with a_store(tmp_path) as store:
        pages, _ = put_document(store)
        with pytest.raises(AlreadyStored, match=r"File already exists: demo-1\.0\.doc\.zip"):
            put_document(store, b"other pages")
        assert attachments_of(store.catalog) == (pages,)
        assert read_attachment(store, pages) == b"the pages"
        assert set(files_below(tmp_path)) == paths_of(pages)
        assert serial_of(store.catalog) == 1
        other, outcome = put_document(store, b"other pages", "2.0")
        assert outcome is Outcome.ADDED
        assert attachments_of(store.catalog) == (pages, other)


def test_other_documentation_replaces_that_of_a_volatile_index(tmp_path: Path) -> None:
    with a_store(tmp_path, VOLATILE) as store:
        old, _ = put_document(store)
        neighbour, _ = put_document(store, b"pages of 2.0", "2.0")
        file = send(store, a_wheel()).file
        attach(store, a_result(file), b"{}")
        new, outcome = put_document(store, b"other pages")
        assert outcome is Outcome.REPLACED
        assert set(attachments_of(store.catalog)) == {neighbour, a_result(file), new}
        assert read_attachment(store, new) == b"other pages"
        with pytest.raises(NotStored):
            store.open_attachment(old.place)
        left = paths_of(neighbour, a_result(file), new)
        assert set(files_below(tmp_path)) == files_of(file) | left


def test_of_two_that_send_documentation_at_once_the_slower_is_refused(tmp_path: Path) -> None:
    with an_interrupted_store(tmp_path) as (store, files):
        files.after_publishing = lambda: put_document(store, b"faster pages")
        with pytest.raises(AlreadyStored):
            put_document(store)
        (pages,) = attachments_of(store.catalog)
        assert read_attachment(store, pages) == b"faster pages"
        assert set(files_below(tmp_path)) == paths_of(pages)


def test_a_removal_while_the_same_documentation_comes_in_does_not_lose_it(tmp_path: Path) -> None:
    with an_interrupted_store(tmp_path, VOLATILE) as (store, files):
        pages, _ = put_document(store)

        def remove() -> None:
            store.catalog.change(
                lambda it: it.remove_attachment(pages), by=Actor("root"), what="remove"
            )
            store.sweep()

        files.after_publishing = remove
        assert put_document(store) == (pages, Outcome.ADDED)
        assert read_attachment(store, pages) == b"the pages"
        store.sweep()
        assert set(files_below(tmp_path)) == paths_of(pages)


# Results of tests


def test_results_of_tests_lie_beside_their_file_and_none_replaces_another(tmp_path: Path) -> None:
    with a_store(tmp_path) as store:
        file = send(store, a_wheel()).file
        results = [a_result(file, f"{{{n}}}".encode(), number=n) for n in range(3)]
        for number, result in enumerate(results):
            assert attach(store, result, f"{{{number}}}".encode()) is Outcome.ADDED
        assert attachments_of(store.catalog) == tuple(results)
        assert [read_attachment(store, it) for it in results] == [b"{0}", b"{1}", b"{2}"]
        assert {(tmp_path / path).parent for path in paths_of(*results)} == {
            (tmp_path / "files" / file.place.path).parent
        }
        for content in (b"{0}", b"{other}"):
            with pytest.raises(AlreadyStored):
                attach(store, a_result(file, content), content)
        assert read_attachment(store, results[0]) == b"{0}"
        assert serial_of(store.catalog) == 4
        assert set(files_below(tmp_path)) == files_of(file) | paths_of(*results)


def test_a_result_that_takes_the_name_of_one_that_was_faster_leaves_that_alone(
    tmp_path: Path,
) -> None:
    with an_interrupted_store(tmp_path) as (store, files):
        file = send(store, a_wheel()).file
        faster = a_result(file, b"{faster}")
        files.after_publishing = lambda: attach(store, faster, b"{faster}")
        with pytest.raises(AlreadyStored, match="another result came at the same moment"):
            attach(store, a_result(file), b"{}")
        assert attachments_of(store.catalog) == (faster,)
        assert read_attachment(store, faster) == b"{faster}"
        assert set(files_below(tmp_path)) == files_of(file) | paths_of(faster)


def test_results_of_tests_go_when_their_file_is_replaced(tmp_path: Path) -> None:
    with a_store(tmp_path, VOLATILE) as store:
        old, kept = send(store, a_wheel()).file, send(store, an_sdist()).file
        for file in (old, kept):
            attach(store, a_result(file), b"{}")
        new = send(store, a_changed_wheel()).file
        assert attachments_of(store.catalog) == (a_result(kept),)
        assert set(files_below(tmp_path)) == files_of(new, kept) | paths_of(a_result(kept))
        # The test took a while, and was of the old bytes.
        with pytest.raises(NotStored, match=r"file that demo-.*toxresult-"):
            attach(store, a_result(old), b"{}")
        attach(store, a_result(new), b"{}")
        left = paths_of(a_result(kept), a_result(new))
        assert set(files_below(tmp_path)) == files_of(new, kept) | left


def test_a_result_whose_file_is_removed_at_that_moment_leaves_nothing(tmp_path: Path) -> None:
    with an_interrupted_store(tmp_path) as (store, files):
        file = send(store, a_wheel()).file

        def remove() -> None:
            forget(store, file)
            store.sweep()

        files.after_publishing = remove
        with pytest.raises(NotStored):
            attach(store, a_result(file), b"{}")
        assert attachments_of(store.catalog) == ()
        assert files_below(tmp_path) == {}


# Attachments that are refused, and disks that fail


NOT_THERE = a_file("demo-2.0.tar.gz", b"never sent")
REFUSED_ATTACHMENTS: Mapping[str, tuple[Attachment, type[StoreError]]] = {
    "documentation for no index": (documentation(index=IndexName("root/gone")), NotStored),
    "documentation for a mirror": (documentation(index=MIRROR.name), Refused),
    "other documentation": (documentation(version="3.0"), AlreadyStored),
    "documentation of an archived project": (documentation(project="archived"), Refused),
    "documentation of a quarantined project": (documentation(project="quarantined"), Refused),
    "a result for no index": (
        a_result(replace(NOT_THERE, index=IndexName("root/gone"))),
        NotStored,
    ),
    "a result for a mirror": (a_result(replace(NOT_THERE, index=MIRROR.name)), Refused),
    "a result for no file": (a_result(NOT_THERE), NotStored),
    "a result without a file": (replace(a_result(NOT_THERE), file_key=None), NotStored),
}


@pytest.mark.parametrize("case", REFUSED_ATTACHMENTS)
def test_nothing_is_left_of_an_attachment_that_is_refused(case: str, tmp_path: Path) -> None:
    attachment, error = REFUSED_ATTACHMENTS[case]
    content = b"the pages" if attachment.file_key is None else b"{}"
    with a_store(tmp_path, a_stage(), MIRROR) as store:
        put_document(store, b"what is there", "3.0")
        for status in (ProjectStatus.ARCHIVED, ProjectStatus.QUARANTINED):
            mark(store, send(store, a_wheel(status)).file, status)
        before, serial = files_below(tmp_path), serial_of(store.catalog)
        with pytest.raises(error):
            attach(store, attachment, content)
        assert files_below(tmp_path) == before
        assert serial_of(store.catalog) == store.catalog.agreed_serial() == serial


def mark(store: Store, file: DistFile, status: ProjectStatus) -> None:
    store.catalog.change(
        lambda it: mark_project(it, file.index, file.project, status, None),
        by=Actor("root"),
        what="test",
    )


@pytest.mark.parametrize(
    ("status", "is_offered"),
    [
        (ProjectStatus.ARCHIVED, True),
        (ProjectStatus.DEPRECATED, True),
        (ProjectStatus.QUARANTINED, False),
    ],
)
def test_what_belongs_to_a_quarantined_project_is_offered_to_nobody(
    status: ProjectStatus, is_offered: bool, tmp_path: Path
) -> None:
    with a_store(tmp_path) as store:
        file = send(store, a_wheel()).file
        pages, _ = put_document(store)
        attach(store, a_result(file), b"{}")
        mark(store, file, status)
        more = a_result(file, b"{more}", number=1)
        if is_offered:
            assert read_attachment(store, pages) == b"the pages"
            assert attach(store, more, b"{more}") is Outcome.ADDED
            assert read_attachment(store, more) == b"{more}"
        else:
            for hidden in (pages, a_result(file)):
                with pytest.raises(NotStored, match="quarantined"):
                    store.open_attachment(hidden.place)
            with pytest.raises(NotStored, match="quarantined"):
                attach(store, more, b"{more}")
            mark(store, file, ProjectStatus.ACTIVE)
            assert read_attachment(store, a_result(file)) == b"{}"
            expected = files_of(file) | paths_of(pages, a_result(file))
            assert set(files_below(tmp_path)) == expected


def test_an_attachment_whose_bytes_somebody_took_away_is_not_stored(tmp_path: Path) -> None:
    with a_store(tmp_path) as store:
        pages, _ = put_document(store)
        (tmp_path / "files" / pages.place.path).unlink()
        with pytest.raises(NotStored):
            store.open_attachment(pages.place)


def test_a_damaged_left_over_at_the_place_of_an_attachment_is_replaced(tmp_path: Path) -> None:
    with a_store(tmp_path) as store:
        path = tmp_path / "files" / documentation().place.path
        path.parent.mkdir(parents=True)
        path.write_bytes(b"half a pa")
        pages, _ = put_document(store)
        assert read_attachment(store, pages) == b"the pages"


@pytest.mark.parametrize("error_number", [errno.ENOSPC, errno.EIO], ids=["no room", "failing"])
@pytest.mark.parametrize("lasts", [False, True], ids=["once", "from then on"])
def test_whichever_call_fails_no_documentation_is_lost_and_the_next_works(
    lasts: bool, error_number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The Nth call fails, for N = 1, 2, 3 and so on, until documentation gets by without it.
    disk = FailingDisk(monkeypatch)
    for failing in itertools.count(1):
        root = tmp_path / str(failing)
        with a_store(root, VOLATILE) as store:
            old, _ = put_document(store, b"old pages")
            disk.fail(
                lambda number, _, n=failing: number >= n if lasts else number == n,  # type: ignore[misc]
                error_number,
            )
            try:
                put_document(store)
            except Unavailable as error:
                assert error.full is (error_number == errno.ENOSPC)
                expected = old, b"old pages"
            else:
                expected = documentation(), b"the pages"
            tried = disk.calls[:]
            disk.heal()
            assert attachments_of(store.catalog) == (expected[0],)
            assert read_attachment(store, expected[0]) == expected[1]
        with opened(root) as store:
            assert set(files_below(root)) == paths_of(expected[0])
            assert read_attachment(store, expected[0]) == expected[1]
            put_document(store)
            assert attachments_of(store.catalog) == (documentation(),)
            assert read_attachment(store, documentation()) == b"the pages"
        if len(tried) < failing:
            # Each kind of call was among those that failed.
            assert {"fsync", "link", "rename", "mkdir", "write"} <= set(tried)
            break
    assert tried.count("fsync") >= 5  # the draft, the folders, the journal


@pytest.mark.parametrize("call", ["fsync", "link", "rename", "mkdir", "write"])
def test_nothing_is_left_of_an_attachment_that_the_disk_has_no_room_for(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with a_store(tmp_path) as store:
        disk, tries = FailingDisk(monkeypatch), itertools.count()
        disk.fail(lambda _, name: name == call and next(tries) == 0)
        with pytest.raises(Unavailable) as raised:
            put_document(store)
        assert raised.value.full
        assert_nothing_happened(store, tmp_path)
        with store.catalog.snapshot() as seen:
            assert seen.projects(LOCAL) == ()
        assert put_document(store)[1] is Outcome.ADDED


def test_a_replacement_of_documentation_whose_commit_fails_leaves_the_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with before_commits(monkeypatch) as watch, a_store(tmp_path, VOLATILE) as store:
        old, _ = put_document(store, b"old pages")
        watch(disk_full)
        with pytest.raises(Unavailable):
            put_document(store)
        watch(nothing)
        assert attachments_of(store.catalog) == (old,)
        assert set(files_below(tmp_path)) == paths_of(old)
        store.sweep()
        assert read_attachment(store, old) == b"old pages"


@pytest.mark.parametrize(
    ("when", "is_recorded"),
    [
        ("linked", False),
        ("half copied", False),
        ("journalled", False),
        ("committed", True),
        ("sweeping", True),
    ],
)
def test_documentation_whose_process_is_killed_is_there_whole_or_not_at_all(
    when: str, is_recorded: bool, tmp_path: Path
) -> None:
    with a_store(tmp_path, VOLATILE) as store:
        file = send(store, a_wheel()).file
        old, _ = put_document(store, b"old pages")
    with elsewhere(die_while_attaching, str(tmp_path), when) as other:
        assert other.end() == (-signal.SIGKILL, "")
    published = [path for path in files_below(tmp_path) if path.endswith(".doc.zip")]
    assert len([path for path in published if path.startswith("files/")]) == 2
    with opened(tmp_path) as store:
        (pages,) = attachments_of(store.catalog)
        content = b"PK new pages" if is_recorded else b"old pages"
        assert (pages == old) is not is_recorded
        assert read_attachment(store, pages) == content
        assert set(files_below(tmp_path)) == files_of(file) | paths_of(pages)
        serial = 3 if is_recorded else 2
        assert serial_of(store.catalog) == store.catalog.agreed_serial() == serial
        assert [line["serial"] for line in journal_of(tmp_path)] == list(range(serial + 1))


# What was lost or damaged, and comes again


def lost(path: Path) -> None:
    path.unlink()


def damaged(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:10])


def led_away(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def gone_with_its_folder(path: Path) -> None:
    shutil.rmtree(path.parents[1])


@pytest.mark.parametrize("beside", ["", ".metadata"], ids=["the file", "its metadata"])
@pytest.mark.parametrize("spoil", [lost, damaged, cut_short, led_away, gone_with_its_folder])
def test_the_same_bytes_again_put_right_what_has_become_of_the_stored_ones(
    spoil: Callable[[Path], None], beside: str, tmp_path: Path
) -> None:
    with a_store(tmp_path) as store:
        file, other = send(store, a_wheel()).file, send(store, a_wheel("other")).file
        before = files_below(tmp_path)
        spoil(tmp_path / "files" / (file.place.path + beside))
        assert send(store, a_wheel()).outcome is Outcome.ALREADY_THERE
        assert files_below(tmp_path) == before
        spoil(tmp_path / "files" / (file.place.path + beside))
        together = send_together(store, a_wheel(), a_wheel("third"))
        assert [each.outcome for each in together] == [Outcome.ALREADY_THERE, Outcome.ADDED]
        assert read(store, file) == a_wheel().content
        assert serial_of(store.catalog) == 3
    assert set(files_below(tmp_path)) == files_of(file, other, together[1].file)


@pytest.mark.parametrize("spoil", [lost, damaged, cut_short])
def test_the_same_documentation_again_puts_right_what_has_become_of_it(
    spoil: Callable[[Path], None], tmp_path: Path
) -> None:
    with a_store(tmp_path) as store:
        attach(store, documentation(), b"the pages")
        spoil(tmp_path / "files" / documentation().place.path)
        assert attach(store, documentation(), b"the pages") is Outcome.ALREADY_THERE
        assert read_attachment(store, documentation()) == b"the pages"
