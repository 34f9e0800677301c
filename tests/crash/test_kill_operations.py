"""`kill -9` in front of the calls by which a removal, a push or documentation changes the disk."""

import hashlib
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from simpleindex_storage.model import Actor, Attachment, DistFile, Upload
from simpleindex_storage.names import IndexName
from simpleindex_storage.store import Store
from tests.builders import a_wheel, an_sdist
from tests.crash.operations import DEMO, NEW_PAGES, SOURCE, operate
from tests.crash.points import ANSWER, COMMIT, calls_of
from tests.storage.other_process import elsewhere
from tests.storage.stores import (
    a_result,
    a_stage,
    attach,
    documentation,
    files_below,
    files_of,
    journal_of,
    make_store,
    opened,
    paths_of,
    read_attachment,
    recorded_files,
    send,
    serial_of,
)

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")

WHEEL, SDIST, CHANGED = a_wheel(), an_sdist(), a_wheel(extra_files={"demo/old.py": b"old"})
OLD_PAGES = b"the old pages"


@dataclass(frozen=True, slots=True)
class Held:
    """What an index holds: names and digests."""

    files: frozenset[tuple[str, str]]
    attachments: frozenset[tuple[str, str]]
    releases: frozenset[tuple[str, str]]
    """Projects and versions."""


@dataclass(frozen=True, slots=True)
class Round:
    """One operation on an index of its own, in a process that may die over it."""

    index: IndexName
    died: str
    before: Held
    after: Held
    is_answered: bool


def prepare_removal(store: Store, index: IndexName) -> None:
    """A project with everything that can belong to one; its wheel shares its bytes with others."""
    wheel = recorded_files(store.catalog, SOURCE)[0]
    with store.stage_copy(wheel) as staged:
        store.admit([(Upload(index, wheel.filename, "root"), staged)], by=Actor("root"))
    for built in (SDIST, a_wheel("demo", "2.0"), a_wheel("neighbour")):
        send(store, built, index)
    for number in (0, 1):
        attach(store, a_result(replace(wheel, index=index), number=number), b"{}")
    attach(store, documentation(OLD_PAGES, index=index), OLD_PAGES)


def prepare_push(store: Store, index: IndexName) -> None:
    """One of the names that are pushed there belongs to other bytes, which were tested."""
    old = send(store, CHANGED, index).file
    attach(store, a_result(old), b"{}")


def prepare_documentation(store: Store, index: IndexName) -> None:
    """There is documentation already."""
    attach(store, documentation(OLD_PAGES, index=index), OLD_PAGES)


PREPARATIONS: dict[str, Callable[[Store, IndexName], None]] = {
    "removal": prepare_removal,
    "push": prepare_push,
    "documentation": prepare_documentation,
}


@pytest.mark.parametrize("operation", PREPARATIONS)
def test_a_telling_choice_of_moments_are_no_bad_ones_to_die(operation: str, tmp_path: Path) -> None:
    points = points_of(tmp_path / "counted", operation)
    assert_all_is_watched(operation, points)
    moments = telling(points)
    assert len(moments) < len(points)
    assert violations_of_deaths(tmp_path / "data", operation, points, moments) == []


@pytest.mark.full
@pytest.mark.parametrize("operation", PREPARATIONS)
def test_no_moment_of_an_operation_is_a_bad_one_to_die(operation: str, tmp_path: Path) -> None:
    points = points_of(tmp_path / "counted", operation)
    moments = range(len(points))
    assert violations_of_deaths(tmp_path / "data", operation, points, moments) == []


@pytest.mark.parametrize(
    ("operation", "commit", "violation"),
    [
        ("careless removal", 0, "demo-1.0.tar.gz is on record without its bytes"),
        ("careless push", -1, "root/at-{} is neither as before nor as after"),
    ],
    ids=["removal", "push"],
)
def test_a_careless_operation_dies_badly(
    operation: str, commit: int, violation: str, tmp_path: Path
) -> None:
    points = points_of(tmp_path / "counted", operation)
    moment = [number for number, point in enumerate(points) if point == COMMIT][commit]
    broken = violations_of_deaths(tmp_path / "data", operation, points, [moment])
    assert any(violation.format(moment) in line for line in broken), broken


def points_of(root: Path, operation: str) -> list[str]:
    """What an operation does if it is let be."""
    file = root.with_name("points")
    prepare_store(root)
    with opened(root) as store:
        index = prepare_index(store, operation, "counted")
    assert run(operation, root, index, file, None) == 0
    points = calls_of(file)
    assert points[-1] == ANSWER
    return points


def telling(points: Sequence[str]) -> list[int]:
    """The first moment of each kind, all commits, and what comes next to those."""
    commits = [number for number, point in enumerate(points) if point == COMMIT]
    chosen = {points.index(point) for point in points} | {len(points) - 1}
    for commit in commits:
        chosen |= {commit, commit + 1}
    return sorted(chosen)


def assert_all_is_watched(operation: str, points: Sequence[str]) -> None:
    """A call that is missed would be a moment that nobody tries."""
    expected = {"fsync", "unlink", "write", "rmdir", COMMIT, ANSWER}
    if operation != "removal":
        expected |= {"mkdir", "link", "rename"}
    assert expected <= set(points)
    assert points.count(COMMIT) == 2  # the operation's, and that of the sweep


def prepare_store(root: Path) -> None:
    make_store(root, a_stage(SOURCE))
    with opened(root) as store:
        for built in (WHEEL, SDIST, a_wheel("demo", "2.0")):
            send(store, built, SOURCE)


def prepare_index(store: Store, operation: str, name: str) -> IndexName:
    index = IndexName(f"root/at-{name}")
    store.catalog.change(
        lambda it: it.put_index(a_stage(index, volatile=True)), by=Actor("root"), what="test"
    )
    PREPARATIONS[operation.removeprefix("careless ")](store, index)
    return index


def run(operation: str, root: Path, index: IndexName, points: Path, kill_at: int | None) -> int:
    """Let another process do it; its exit code."""
    number = "" if kill_at is None else str(kill_at)
    with elsewhere(operate, operation, str(root), index, str(points), number) as process:
        exit_code, _ = process.end()
    return exit_code


def violations_of_deaths(
    root: Path, operation: str, points: Sequence[str], moments: Sequence[int]
) -> list[str]:
    """Let a process die in front of each of the points that are named by number.

    One directory lives through all the deaths, and has an index for each.
    """
    prepare_store(root)
    broken: list[str] = []
    rounds: list[Round] = []
    for moment in [*moments, None]:
        with opened(root) as store:
            broken += violations(store, root, rounds)
            index = prepare_index(store, operation, str(moment))
            before = held(store, index)
        passed = root.with_name(f"points-{moment}")
        exit_code = run(operation, root, index, passed, moment)
        if moment is None:
            assert exit_code == 0
        else:
            assert exit_code == -signal.SIGKILL
            assert calls_of(passed) == points[: moment + 1]
        died = "not at all" if moment is None else f"before {moment}: {points[moment]}"
        is_answered = calls_of(passed)[-1] == ANSWER
        rounds.append(Round(index, died, before, after(operation, before), is_answered))
    with opened(root) as store:
        broken += violations(store, root, rounds)
    return broken


def held(store: Store, index: IndexName) -> Held:
    with store.catalog.snapshot() as seen:
        names = [project.name for project in seen.projects(index)]
        return Held(
            frozenset((it.filename, it.sha256) for name in names for it in seen.files(index, name)),
            frozenset(
                (it.place.filename, it.sha256)
                for name in names
                for it in seen.attachments(index, name)
            ),
            frozenset((name, it.version) for name in names for it in seen.releases(index, name)),
        )


def after(operation: str, before: Held) -> Held:
    """What an operation that is done leaves."""
    if operation.endswith("removal"):
        kept = frozenset(file for file in before.files if file[0].startswith("neighbour"))
        return Held(kept, frozenset(), frozenset({("neighbour", "1.0")}))
    if operation.endswith("push"):
        pushed = (WHEEL, SDIST, a_wheel("demo", "2.0"))
        return Held(
            frozenset((built.filename, built.sha256) for built in pushed),
            frozenset(),
            frozenset({(DEMO, "1.0"), (DEMO, "2.0")}),
        )
    pages = documentation(NEW_PAGES)
    return replace(before, attachments=frozenset({(pages.place.filename, pages.sha256)}))


def violations(store: Store, root: Path, rounds: Sequence[Round]) -> list[str]:
    """Where a store that was opened after a crash breaks its promises. Nothing else goes on."""
    last = f" (killed {rounds[-1].died})" if rounds else ""
    found = [
        *(line for each in rounds for line in _half_done(store, each)),
        *_lost_or_left(store, root),
        *_journal_differs(store, root),
    ]
    return [line + last for line in found]


def _half_done(store: Store, done: Round) -> Iterator[str]:
    there = held(store, done.index)
    if there not in (done.before, done.after):
        yield f"{done.index} is neither as before nor as after"
    if done.is_answered and there != done.after:
        yield f"{done.index} was answered for and is as before"


def _lost_or_left(store: Store, root: Path) -> Iterator[str]:
    """On record without bytes; bytes without a record; drafts."""
    files, attachments = _on_record(store)
    there = files_below(root)
    expected = files_of(*files) | paths_of(*attachments)
    for path in sorted(expected - set(there)):
        yield f"{Path(path).name} is on record without its bytes"
    for path in sorted(set(there) - expected):
        yield f"{path} is left over"
    for file in files:
        content = there.get(f"files/{file.place.path}", b"")
        if hashlib.sha256(content).hexdigest() != file.sha256:
            yield f"{file.filename} has other bytes"
    for attachment in attachments:
        if f"files/{attachment.place.path}" in there:
            content = read_attachment(store, attachment)
            if hashlib.sha256(content).hexdigest() != attachment.sha256:
                yield f"{attachment.place.filename} has other bytes"


def _journal_differs(store: Store, root: Path) -> Iterator[str]:
    """What the journal tells must be what the catalog has."""
    lines, serial = journal_of(root), serial_of(store.catalog)
    if [line["serial"] for line in lines] != list(range(serial + 1)):
        yield f"the catalog is at serial {serial}, the journal has other serials"
    files, attachments = _on_record(store)
    told = _told([fact for line in lines for fact in line["facts"]])
    on_record = {(it.index, it.filename): it.sha256 for it in files} | {
        (it.index, it.place.sha256_prefix, it.place.filename): it.sha256 for it in attachments
    }
    if told != on_record:
        yield f"the journal and the catalog differ by {told.items() ^ on_record.items()}"


def _on_record(store: Store) -> tuple[list[DistFile], list[Attachment]]:
    with store.catalog.snapshot() as seen:
        own = [
            (index.name, it.name) for index in seen.indexes() for it in seen.projects(index.name)
        ]
        files = [file for named in own for file in seen.files(*named)]
        return files, [it for named in own for it in seen.attachments(*named)]


def _told(facts: Sequence[tuple[str, dict[str, Any]]]) -> dict[tuple[str, ...], str]:
    """Files and attachments, by what names them, that are there when all the facts are done."""
    told: dict[tuple[str, ...], str] = {}
    for kind, fact in facts:
        what = kind.removesuffix(" removed")
        if what not in ("file", "attachment"):
            continue
        words = ["index", "filename"] if what == "file" else ["index", "sha256_prefix", "filename"]
        name = tuple(fact[word] for word in words)
        if kind == what:
            told[name] = fact["sha256"]
        else:
            del told[name]
    return told
