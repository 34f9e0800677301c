"""A short form of the soak test, and that each of its checks can fail."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tests.bad_archives import BAD_ARCHIVES
from tests.builders import a_wheel
from tests.server import running_server
from tests.soak.aftermath import broken_at_rest, broken_promises
from tests.soak.model import (
    STOCK_INDEX,
    VOLATILE_INDEX,
    FileState,
    Model,
    ShownFile,
    Slot,
    WrongAnswer,
)
from tests.soak.run import Plan, make_volatile_index, soak
from tests.soak.sampling import ProcessUse, Sample, can_see_processes
from tests.soak.verdict import WAL_BYTES_MAX, Outcome, table, verdict
from tests.soak.writing import add_files

SHORT = Plan(
    seconds=4.0,
    warm_up_seconds=1.5,
    clients=4,
    stock_projects=30,
    large_files_bytes=(1_000_000,),
    bad_archives=BAD_ARCHIVES[::15],
    add_every_seconds=2.0,
    sample_seconds=0.1,
)
MIB = 1 << 20


def test_every_answer_of_a_short_soak_is_right_and_nothing_is_left(tmp_path: Path) -> None:
    outcome = soak(SHORT, tmp_path)
    assert verdict(outcome) == (), table(outcome)
    assert all((sample.process is not None) == can_see_processes() for sample in outcome.samples)
    assert sum(map(len, outcome.seconds.values())) > 20 * SHORT.clients


# The verdict


def growing(per_sample: ProcessUse) -> Callable[[Outcome], Outcome]:
    """Lets each sample be so much more than the one before it."""

    def grow(outcome: Outcome) -> Outcome:
        samples = [
            replace(
                sample,
                process=ProcessUse(
                    rss_bytes=sample.process.rss_bytes + number * per_sample.rss_bytes,
                    fds=sample.process.fds + number * per_sample.fds,
                    threads=sample.process.threads + number * per_sample.threads,
                ),
            )
            for number, sample in enumerate(outcome.samples)
            if sample.process is not None
        ]
        return replace(outcome, samples=samples)

    return grow


def with_a_large_wal(outcome: Outcome) -> Outcome:
    first, *others = outcome.samples
    return replace(outcome, samples=[replace(first, wal_bytes=WAL_BYTES_MAX + 1), *others])


def with_an_early_end(outcome: Outcome) -> Outcome:
    return replace(outcome, samples=[each for each in outcome.samples if each.at_seconds < 300])


FAULTS: Sequence[tuple[str, Callable[[Outcome], Outcome], str]] = (
    ("growing memory", growing(ProcessUse(MIB // 4, 0, 0)), "the memory grew after the warm-up"),
    ("growing open files", growing(ProcessUse(0, 1, 0)), "the open files grew after the warm-up"),
    ("a large write-ahead log", with_a_large_wal, "the write-ahead log grew to 67108865 bytes"),
    (
        "a wrong answer",
        lambda outcome: replace(outcome, errors=[("file", "client 3: other bytes")]),
        "file: client 3: other bytes",
    ),
    (
        "a missing file",
        lambda outcome: replace(outcome, left=["demo-1.0-py3-none-any.whl is missing"]),
        "demo-1.0-py3-none-any.whl is missing",
    ),
    (
        "a load that leaves something out",
        lambda outcome: replace(outcome, seconds={**outcome.seconds, "upload": []}),
        "nothing was done of the kind 'upload'",
    ),
    ("an early end", with_an_early_end, "there are fewer than two samples after the warm-up"),
)


@pytest.mark.parametrize(
    ("spoil", "finding"), [fault[1:] for fault in FAULTS], ids=[fault[0] for fault in FAULTS]
)
def test_a_run_fails_for(spoil: Callable[[Outcome], Outcome], finding: str) -> None:
    (found,) = verdict(spoil(a_good_run()))
    assert found.startswith(finding)


def test_a_good_run_does_not_fail() -> None:
    assert verdict(a_good_run()) == ()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(60 * MIB, 67 * MIB, id="more than a tenth and less than 8 MiB"),
        pytest.param(500 * MIB, 540 * MIB, id="more than 8 MiB and less than a tenth"),
    ],
)
def test_memory_may_grow_by_little(before: int, after: int) -> None:
    samples = [
        replace(sample, process=ProcessUse(before if number < 100 else after, 30, 7))
        for number, sample in enumerate(a_good_run().samples)
    ]
    assert verdict(replace(a_good_run(), samples=samples)) == ()


def test_memory_may_grow_in_the_warm_up() -> None:
    samples = [
        replace(sample, process=ProcessUse((60 if sample.at_seconds < 300 else 90) * MIB, 30, 7))
        for sample in a_good_run().samples
    ]
    assert verdict(replace(a_good_run(), samples=samples)) == ()


def test_of_many_errors_some_are_told_and_all_are_counted() -> None:
    outcome = replace(a_good_run(), errors=[("file", f"error {number}") for number in range(25)])
    assert verdict(outcome)[-2:] == ("file: error 19", "and 5 more errors")
    assert table(outcome).count("25") == 2


def test_without_proc_the_rest_is_judged_and_the_table_says_so() -> None:
    samples = [replace(sample, process=None) for sample in a_good_run().samples]
    outcome = replace(a_good_run(), samples=samples)
    assert verdict(outcome) == ()
    assert "not sampled, as this system has no /proc" in table(outcome)


# What a page must show


def test_a_page_must_show_what_was_acknowledged_before_it_was_asked_for() -> None:
    slot = a_slot()
    before = slot.now
    replace_file(slot)
    slot.settle()
    expectation = Model([slot]).expect("demo")
    expectation.check([shown(slot, slot.now)])
    with pytest.raises(WrongAnswer, match="none of the last 1 states"):
        expectation.check([shown(slot, before)])


def test_a_page_may_show_what_is_being_sent_or_what_was_there() -> None:
    slot = a_slot()
    expectation = Model([slot]).expect("demo")
    before = slot.now
    replace_file(slot)
    slot.settle()
    replace_file(slot)
    for state in slot.since(0):
        expectation.check([shown(slot, state)])
    assert slot.since(0)[0] == before


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        pytest.param(lambda file: [], "is missing on its page", id="it is not there"),
        pytest.param(lambda file: [file, file], "twice", id="it is there twice"),
        pytest.param(
            lambda file: [file, replace(file, filename="other-1.0.tar.gz")],
            "never sent",
            id="another one is there",
        ),
        *(
            pytest.param(
                lambda file, change=change: [replace(file, **change)], "none of", id=str([*change])
            )
            for change in (
                {"sha256": "0" * 64},
                {"path": "/root/soak/+f/000/0000000000000/demo-1.0-py3-none-any.whl"},
                {"metadata_sha256": None},
                {"yanked": "a reason"},
                {"size_bytes": 1},
            )
        ),
    ],
)
def test_a_page_is_wrong_when(
    spoil: Callable[[ShownFile], Sequence[ShownFile]], words: str
) -> None:
    slot = a_slot()
    expectation = Model([slot]).expect("demo")
    expectation.check([shown(slot, slot.now)])
    with pytest.raises(WrongAnswer, match=words):
        expectation.check(spoil(shown(slot, slot.now)))


# What is left


def test_what_is_lost_damaged_or_left_over_is_found_after_the_end(tmp_path: Path) -> None:
    kept, damaged, lost = (a_wheel("demo", version) for version in ("1.0", "1.1", "1.2"))
    slots = [Slot(VOLATILE_INDEX, "demo", f"1.{n}", b) for n, b in enumerate((kept, damaged, lost))]
    model = Model([*slots, Slot(STOCK_INDEX, "stock", "1.0", a_wheel("stock"))])
    data = tmp_path / "data"
    with running_server(data) as server:
        add_files(data, STOCK_INDEX, [a_wheel("stock")])
        make_volatile_index(server)
        add_files(data, VOLATILE_INDEX, [kept, damaged, lost])
        assert broken_promises(server, model) == []
        damaged_path, lost_path = (data / "files" / s.path_of(s.now)[1:] for s in slots[1:])
        damaged_path.write_bytes(b"other bytes")
        lost_path.rename(lost_path.with_name("stray"))
        model.slots[0].begin(replace(slots[0].now, yanked="never sent"))
        model.slots[0].settle()
        found = "\n".join(broken_promises(server, model))
    assert f"{damaged_path.name} has other bytes" in found
    assert f"{lost_path.name}: 404" in found
    assert "/stray lies there without a record" in found
    assert "yanked='never sent'" in found
    assert len(found.splitlines()) == 4


def test_a_left_over_draft_and_a_complaint_are_found_at_rest(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running_server(data):
        pass
    assert broken_at_rest(data) == []
    draft = data / "incoming" / "123-abc" / "0"
    draft.parent.mkdir()
    draft.touch()
    (tmp_path / "data.log").write_text("Traceback (most recent call last):\n")
    assert [line.partition(":")[0] for line in broken_at_rest(data)] == [
        "incoming/123-abc/0 is left over",
        "incoming/123-abc is left over",
        "the server's log tells of a failure",
    ]


def a_good_run() -> Outcome:
    """Half an hour without any growth."""
    use = ProcessUse(rss_bytes=60 * MIB, fds=30, threads=7)
    samples = [Sample(5.0 * number, use, 4 * MIB, number, 0) for number in range(360)]
    return Outcome(
        seconds={"page": [0.001, 0.002], "upload": [0.01]},
        errors=[],
        samples=samples,
        warm_up_seconds=300,
        left=[],
    )


def a_slot() -> Slot:
    return Slot(VOLATILE_INDEX, "demo", "1.0", a_wheel())


def replace_file(slot: Slot) -> None:
    number = len(slot.since(0))
    slot.begin(FileState.of(a_wheel(extra_files={"demo/payload.bin": bytes(number)})))


def shown(slot: Slot, state: FileState) -> ShownFile:
    return ShownFile(
        filename=slot.filename,
        path=slot.path_of(state),
        sha256=state.sha256,
        metadata_sha256=state.metadata_sha256,
        yanked=state.yanked,
        size_bytes=state.size_bytes,
    )
