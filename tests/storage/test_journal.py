import json
from pathlib import Path

import pytest

from simpleindex_storage.errors import Unavailable
from simpleindex_storage.journal import LINES_PER_COMMIT_MAX, Journal
from simpleindex_storage.model import JsonValue
from tests.storage.stores import FailingDisk, files_no_larger_than, journal_of


def open_journal(root: Path) -> Journal:
    journal = Journal(root)
    journal.use("journal.jsonl")
    return journal


def content_of(root: Path) -> bytes:
    return (root / "journal.jsonl").read_bytes()


def test_entries_become_a_line_of_json_each(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    length = journal.append([{"serial": 1, "who": "größer 大"}, {"facts": [None]}], at_bytes=0)
    journal.close()
    assert content_of(tmp_path) == '{"serial":1,"who":"größer 大"}\n{"facts":[null]}\n'.encode()
    assert length == len(content_of(tmp_path))


@pytest.mark.parametrize(
    "text",
    ["", "two\nlines\r\n", "\x00\x1f\x7f\x85\u2028", '"\\', "half \ud83d of a pair", "\U0001f600"],
    ids=["empty", "line ends", "control", "quotes", "surrogate", "beyond the BMP"],
)
def test_any_text_stays_on_its_line_and_is_read_back(text: str, tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    journal.append([{"what": text}, {"what": "next"}], at_bytes=0)
    journal.close()
    assert journal_of(tmp_path) == [{"what": text}, {"what": "next"}]


def test_lines_are_written_behind_what_the_catalog_knows_of(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    first = journal.append([{"serial": 1}], at_bytes=0)
    second = journal.append([{"serial": 2}], at_bytes=first)
    journal.close()
    again = open_journal(tmp_path)
    again.append([{"serial": 3}], at_bytes=second)
    again.close()
    assert journal_of(tmp_path) == [{"serial": 1}, {"serial": 2}, {"serial": 3}]


def test_lines_of_a_commit_that_never_happened_are_overwritten(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    first = journal.append([{"serial": 1}], at_bytes=0)
    journal.append(
        [{"serial": 2, "what": "something that failed, and took many words"}], at_bytes=first
    )
    journal.append([{"serial": 2}], at_bytes=first)
    journal.close()
    assert journal_of(tmp_path) == [{"serial": 1}, {"serial": 2}]


def test_lines_of_a_commit_that_never_happened_are_cut(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    first = journal.append([{"serial": 1}], at_bytes=0)
    journal.append([{"serial": 2}], at_bytes=first)
    journal.cut(first)
    assert journal_of(tmp_path) == [{"serial": 1}]
    journal.cut(first + 100)
    assert journal_of(tmp_path) == [{"serial": 1}]
    journal.close()


def test_a_journal_that_somebody_has_shortened_is_continued_without_a_gap(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    length = journal.append([{"serial": 1}, {"serial": 2}], at_bytes=0)
    (tmp_path / "journal.jsonl").write_bytes(b'{"serial":2}\n')
    length = journal.append([{"serial": 3}], at_bytes=length)
    journal.append([{"serial": 4}], at_bytes=length)
    journal.close()
    assert journal_of(tmp_path) == [{"serial": 2}, {"serial": 3}, {"serial": 4}]


def test_half_a_line_on_a_full_disk_is_overwritten_by_the_next(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    first = journal.append([{"serial": 1}], at_bytes=0)
    with files_no_larger_than(first + 10), pytest.raises(Unavailable) as raised:
        journal.append([{"serial": 2, "what": "more than there is room for"}], at_bytes=first)
    assert raised.value.full
    assert len(content_of(tmp_path)) == first + 10
    journal.append([{"serial": 2}], at_bytes=first)
    journal.close()
    assert journal_of(tmp_path) == [{"serial": 1}, {"serial": 2}]


@pytest.mark.parametrize("call", ["write", "fsync"])
def test_a_disk_that_fails_is_told_in_words(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = open_journal(tmp_path)
    length = journal.append([{"serial": 1}], at_bytes=0)
    FailingDisk(monkeypatch).fail(lambda _, name: name == call)
    with pytest.raises(Unavailable, match="the journal cannot be written: the disk is full"):
        journal.append([{"serial": 2}], at_bytes=length)
    journal.close()


def test_cutting_that_fails_is_told_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = open_journal(tmp_path)
    journal.append([{"serial": 1}], at_bytes=0)
    FailingDisk(monkeypatch).fail(lambda _, name: name == "ftruncate")
    with pytest.raises(Unavailable, match="the journal cannot be written"):
        journal.cut(0)
    journal.close()


def test_only_its_owner_can_read_the_journal(tmp_path: Path) -> None:
    open_journal(tmp_path).close()
    assert (tmp_path / "journal.jsonl").stat().st_mode & 0o777 == 0o600


def test_lines_that_one_commit_cannot_have_left_are_set_aside(tmp_path: Path) -> None:
    old: list[dict[str, JsonValue]] = [
        {"serial": number} for number in range(1, LINES_PER_COMMIT_MAX + 2)
    ]
    journal = open_journal(tmp_path)
    for restored in range(2):
        length = journal.append([{"serial": 0}], at_bytes=0)
        journal.append(old, at_bytes=length)
        if restored:
            journal.cut(length)
        else:
            journal.append([{"serial": 1, "what": "after the restore"}], at_bytes=length)
    journal.close()
    assert journal_of(tmp_path) == [{"serial": 0}]
    aside = sorted(path.name for path in tmp_path.glob("journal-*"))
    assert aside == [f"journal-from-{length}-2.jsonl", f"journal-from-{length}.jsonl"]
    for name in aside:
        assert [json.loads(line) for line in (tmp_path / name).read_text().splitlines()] == old
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600


def test_what_one_commit_can_have_left_is_cut_without_a_trace(tmp_path: Path) -> None:
    left: list[dict[str, JsonValue]] = [
        {"serial": number} for number in range(1, LINES_PER_COMMIT_MAX + 1)
    ]
    journal = open_journal(tmp_path)
    length = journal.append([{"serial": 0}], at_bytes=0)
    journal.append(left, at_bytes=length)
    journal.cut(length)
    journal.close()
    assert journal_of(tmp_path) == [{"serial": 0}]
    assert [path.name for path in tmp_path.iterdir()] == ["journal.jsonl"]
