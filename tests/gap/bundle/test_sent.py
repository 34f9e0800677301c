"""What was sent before, in a file that may be damaged, grow, or come from a newer program."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from simpleindex.gap.bundle import sent as module
from simpleindex.gap.bundle.sent import Sent, add_sent, find_sent, read_sent
from simpleindex_storage.errors import NotStored, Refused

SHA256 = "0" * 64


def sent(number: int) -> Sent:
    created = datetime(2026, 10, 1, 12, tzinfo=UTC) + timedelta(days=number)
    return Sent(f"STAMP{number:05}", created, f"{number}.zip", {SHA256: "a-1.0.tar.gz"})


def test_it_keeps_the_newest_entries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ENTRIES_MAX", 3)
    path = tmp_path / "sent.json"
    assert read_sent(path) == ()
    for number in range(5):
        add_sent(path, sent(number))
    assert read_sent(path) == (sent(2), sent(3), sent(4))


def test_a_state_is_named_by_its_stamp_its_day_or_as_the_last() -> None:
    entries = [sent(number) for number in range(3)]
    assert find_sent(entries, "last") == sent(2)
    assert find_sent(entries, "stamp00001") == sent(1)
    assert find_sent(entries, "2026-10-02") == sent(1)
    assert find_sent(entries, "2026-12-31") == sent(2)
    with pytest.raises(NotStored, match=r"known are STAMP00000 \(2026-10-01T12:00:00Z\), STAMP"):
        find_sent(entries, "2026-09-30")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"{", "it is not valid JSON"),
        (b'{"format": 2}', "it is of a newer simpleindex-server"),
        (b'{"format": 1, "sent": [{"stamp": "x"}]}', "'created' is missing"),
    ],
)
def test_what_is_no_such_list_is_refused(content: bytes, why: str, tmp_path: Path) -> None:
    (tmp_path / "sent.json").write_bytes(content)
    with pytest.raises(Refused, match=why):
        read_sent(tmp_path / "sent.json")
