"""Each call by which an operation uses the disk is a moment to die, or to fail.

`kill -9` in front of every change; every errno at every call that can raise it; a disk that is
full, or mounted for reading only, from each call on; and a death soon after each sync that fails.
What must hold is judged in `trying`.
"""

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.operations import (
    CHANGES,
    MIRRORED,
    PUSHES,
    REMOVALS,
    UPLOADS,
    Operation,
    mirroring,
)
from tests.crash.shim import FAILING, LASTING, Kind
from tests.crash.trying import a_trial, kinds_of, one_of_each_kind
from tests.hostile.upstream import Upstream, running_upstream

STORED = [*UPLOADS, *REMOVALS, *CHANGES, *PUSHES]
MIRRORING = mirroring("")
"""Only their names count: the upstream is another one each time."""

ALL = [pytest.param(operation, id=operation.name) for operation in [*STORED, *MIRRORING]]

WAYS = [
    *(pytest.param(error, False, id=errno.errorcode[error]) for error in FAILING),
    *(pytest.param(error, True, id=f"{errno.errorcode[error]} for good") for error in LASTING),
]


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with running_upstream() as running:
        running.add(MIRRORED)
        yield running


def with_upstream(operation: Operation, upstream: Upstream) -> Operation:
    """The same, of an upstream that is there."""
    named = {each.name: each for each in mirroring(upstream.url)}
    return named.get(operation.name, operation)


def test_a_telling_choice_of_moments_to_die(tmp_path: Path) -> None:
    (operation,) = (each for each in UPLOADS if each.name == "upload: the first file")
    with a_trial(operation, tmp_path / "data") as trial:
        assert_all_is_counted(trial.calls)
        moments = one_of_each_kind(trial.calls)
        assert len(moments) < len(trial.calls)
        trial.kill_at_every_change(moments)
    assert trial.tally.lines() == []


@pytest.mark.parametrize(
    ("name", "error", "for_good"),
    [
        ("upload: the first file", errno.EIO, False),
        ("upload: the first file", errno.ENOSPC, True),
        ("upload: other bytes", errno.EACCES, False),
        ("index: change", errno.EIO, False),
        ("fetch: a page", errno.ENOSPC, False),
    ],
)
def test_a_telling_choice_of_failures(
    tmp_path: Path, upstream: Upstream, name: str, error: int, for_good: bool
) -> None:
    (operation,) = (each for each in [*STORED, *mirroring(upstream.url)] if each.name == name)
    with a_trial(operation, tmp_path / "data") as trial:
        trial.fail_every_call(error, for_good=for_good)
    assert trial.tally.lines() == []
    assert trial.tally.failures > 0


def test_what_could_not_be_synced_is_not_half_there_after_a_death(tmp_path: Path) -> None:
    with a_trial(UPLOADS[0], tmp_path / "data") as trial:
        trial.die_of_every_failure(errno.EIO, Kind.SYNC)
    assert trial.tally.lines() == []
    assert trial.tally.failures == trial.tally.kills > 5


@pytest.mark.full
@pytest.mark.parametrize("operation", ALL[1:])
def test_no_failure_to_sync_is_a_bad_one_to_die_of(
    tmp_path: Path, upstream: Upstream, operation: Operation
) -> None:
    with a_trial(with_upstream(operation, upstream), tmp_path / "data") as trial:
        trial.die_of_every_failure(errno.EIO, Kind.SYNC)
    assert trial.tally.lines() == []


@pytest.mark.full
@pytest.mark.parametrize("operation", ALL)
def test_no_moment_is_a_bad_one_to_die(
    tmp_path: Path, upstream: Upstream, operation: Operation
) -> None:
    with a_trial(with_upstream(operation, upstream), tmp_path / "data") as trial:
        trial.kill_at_every_change()
    assert trial.tally.lines() == []
    assert trial.tally.kills >= len(trial.calls_in_the_end) > 0
    assert set(kinds_of(trial.calls)) <= set(kinds_of(trial.calls_in_the_end))


@pytest.mark.full
@pytest.mark.parametrize(("error", "for_good"), WAYS)
@pytest.mark.parametrize("operation", ALL)
def test_no_call_is_a_bad_one_to_fail(
    tmp_path: Path, upstream: Upstream, operation: Operation, error: int, for_good: bool
) -> None:
    with a_trial(with_upstream(operation, upstream), tmp_path / "data") as trial:
        trial.fail_every_call(error, for_good=for_good)
    assert trial.tally.lines() == []


@pytest.mark.parametrize(
    ("sabotage", "violation"),
    [
        ("rename", "demo-1.0-py3-none-any.whl lies there without a record"),
        ("early-answer", "lost: it was answered with success"),
    ],
)
def test_a_spoiled_server_dies_badly(tmp_path: Path, sabotage: str, violation: str) -> None:
    with a_trial(UPLOADS[0], tmp_path / "data", sabotage=sabotage) as trial:
        commit = trial.calls.index("write catalog.sqlite-wal")
        trial.kill_at_every_change([commit])
    assert any(violation in line for line in trial.tally.lines()), trial.tally.lines()


def test_a_server_that_cannot_fail_well_is_found_fault_with(tmp_path: Path) -> None:
    with a_trial(UPLOADS[0], tmp_path / "data", sabotage="raw-errors") as trial:
        trial.fail_every_call(errno.EACCES)
    assert any("wedged: it was answered with 500" in line for line in trial.tally.lines())


def assert_all_is_counted(calls: list[str]) -> None:
    """A call that is missed would be a moment that nobody tries."""
    told = [call.replace("incoming/", "incoming ").split(" ") for call in calls]
    made = {(words[0], words[-1].rpartition("/")[2]) for words in told}
    assert {("write", "catalog.sqlite-wal"), ("sync", "catalog.sqlite-wal")} <= made
    assert {("write", "journal.jsonl"), ("sync", "journal.jsonl"), ("send", "send")} <= made
    folders = [call for call in calls if call.startswith("sync files/")]
    links = [call for call in calls if call.startswith("link ") and " files/" in call]
    assert len(folders) >= 5, "the names of new folders are synced"
    assert len(links) == 2, "a file and its metadata are linked to their place"
