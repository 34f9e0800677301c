from pathlib import Path

import pytest

from simpleindex.connections import Reason
from simpleindex.counted import Counted
from simpleindex.errors import REASONS, RequestError, reason_of, status_of
from simpleindex.events import Answered, Door, Event
from simpleindex_storage.errors import (
    AlreadyStored,
    Damaged,
    NotStored,
    Refused,
    StoreError,
    Unavailable,
)

TOLD = tuple(reason.value for reason in Reason)


def figures(counted: Counted, name: str) -> dict[tuple[str, ...], float]:
    """The samples of a family that are not 0, by the values of their labels."""
    (family,) = (each for each in counted.families() if each.name == f"simpleindex_{name}")
    return {
        tuple(value for _, value in sample.labels): sample.value
        for sample in family.samples
        if sample.value
    }


@pytest.fixture
def counted(tmp_path: Path) -> Counted:
    return Counted(tmp_path / "counters")


@pytest.mark.parametrize("door", Door)
@pytest.mark.parametrize(
    ("method", "told"), [("GET", "GET"), ("PUSH", "PUSH"), ("BREW", "OTHER"), ("", "OTHER")]
)
def test_a_request_is_counted_by_door_method_and_status(
    door: Door, method: str, told: str, tmp_path: Path
) -> None:
    counted = Counted(tmp_path / "counters")
    for status in (200, 206, 304, 404, 507):
        counted.began()
        counted.answered(Answered(door, method, status, 0.002, 5, 7))
    name = door.name.lower()
    assert figures(counted, "requests") == {
        (name, told, "2xx"): 2,
        (name, told, "3xx"): 1,
        (name, told, "4xx"): 1,
        (name, told, "5xx"): 1,
    }
    assert figures(counted, "received_bytes") == {(name,): 25}
    assert figures(counted, "sent_bytes") == {(name,): 35}
    assert figures(counted, "requests_in_flight") == {}
    counted.close()


@pytest.mark.parametrize(
    ("seconds", "bucket"),
    [(0.0, "0.001"), (0.001, "0.001"), (0.0011, "0.005"), (10.0, "10.0"), (11.0, "+Inf")],
)
def test_a_time_is_in_the_first_bucket_that_holds_it(
    seconds: float, bucket: str, counted: Counted
) -> None:
    counted.began()
    counted.answered(Answered(Door.FILE, "GET", 200, seconds, 0, 0))
    (family,) = (
        each for each in counted.families() if each.name == "simpleindex_request_duration_seconds"
    )
    holding = [
        dict(each.labels)["le"]
        for each in family.samples
        if each.suffix == "_bucket" and each.value
    ]
    assert holding[0] == bucket
    assert holding[-1] == "+Inf"
    (total,) = (each.value for each in family.samples if each.suffix == "_sum")
    assert total == pytest.approx(seconds)


def test_what_has_begun_is_in_flight(counted: Counted) -> None:
    counted.began()
    counted.began()
    assert figures(counted, "requests_in_flight") == {(): 2}


@pytest.mark.parametrize("event", Event, ids=lambda event: event.name)
def test_every_event_has_a_figure_of_its_own(event: Event, counted: Counted) -> None:
    counted.count(event, 3)
    label = (event.outcome,) if event.outcome else ()
    assert figures(counted, event.series) == {label: 3}


@pytest.mark.parametrize("word", [*TOLD, "something new"])
def test_what_the_protocol_tells_is_counted_by_its_word(word: str, counted: Counted) -> None:
    counted.told(word)
    expected = word if word in TOLD else "other"
    assert figures(counted, "protocol_refusals") == {(expected,): 1}


@pytest.mark.parametrize("reason", [*REASONS, "unheard-of"])
def test_a_refusal_is_counted_by_its_reason_and_status(reason: str, counted: Counted) -> None:
    counted.refused(reason)
    status = REASONS.get(reason)
    expected = ("other", "") if status is None else (reason, str(status))
    assert figures(counted, "refusals") == {expected: 1}


@pytest.mark.parametrize(
    "error",
    [
        NotStored("file"), AlreadyStored("File", "a", "b"), Refused("a", "b"),
        Damaged("a", "sha256", "0", "1"), Unavailable("down"), Unavailable("full", full=True),
    ],
    ids=repr,
)  # fmt: skip
def test_every_failure_of_the_store_has_a_reason_with_its_status(error: StoreError) -> None:
    assert REASONS[reason_of(error)] == status_of(error)


def test_every_failure_of_requests_has_a_reason_with_its_status() -> None:
    kinds = [RequestError]
    for kind in kinds:
        kinds += kind.__subclasses__()
        assert REASONS[reason_of(kind("why"))] == kind.status
    assert len(kinds) > 10
