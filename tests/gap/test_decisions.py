"""What was decided about what a site shall have."""

import json
from pathlib import Path

import pytest

from simpleindex.gap.decisions import (
    FILE_NAME,
    Decisions,
    change_decisions,
    ignore,
    read_decisions,
    want,
    wanted_line,
)
from simpleindex_storage.errors import Refused
from tests.gap.corpus import named


def texts(decisions: Decisions) -> list[str]:
    return [line.text for line in decisions.wanted]


def test_decisions_are_kept_as_they_were_made(tmp_path: Path) -> None:
    assert read_decisions(tmp_path) == Decisions()
    lines = tuple(map(wanted_line, ("flask>=3", "numpy; python_version < '3.9'")))
    change_decisions(tmp_path, lambda known: ignore(want(known, lines), tuple(named("flaks"))))
    found = read_decisions(tmp_path)
    assert texts(found) == ["flask>=3", "numpy; python_version < '3.9'"]
    assert found.ignored == tuple(named("flaks"))
    assert found.wanted_projects == set(named("flask", "numpy"))


def test_the_last_decision_counts() -> None:
    flask = (wanted_line("flask"),)
    decided = want(want(Decisions(), flask), flask)
    assert texts(decided) == ["flask"]
    ignored = ignore(decided, tuple(named("flask", "flask")))
    assert (texts(ignored), ignored.ignored) == ([], tuple(named("flask")))
    assert want(ignored, flask) == Decisions(flask)


def test_what_fails_changes_nothing(tmp_path: Path) -> None:
    change_decisions(tmp_path, lambda known: want(known, (wanted_line("flask"),)))
    before = (tmp_path / FILE_NAME).read_bytes()
    many = tuple(wanted_line(f"x{number}") for number in range(10_001))
    with pytest.raises(Refused, match="10000 entries"):
        change_decisions(tmp_path, lambda known: want(known, many))
    assert (tmp_path / FILE_NAME).read_bytes() == before


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{",
        '{"wanted": "flask"}',
        '{"wanted": ["./flask"]}',
        '{"ignored": ["a b"]}',
        '{"want": []}',
        '{"wanted": ["\\u0000"]}',
        json.dumps({"wanted": ["x" * 3000] * 2000}),
    ],
)
def test_a_file_that_makes_no_sense_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text(content)
    with pytest.raises(Refused):
        read_decisions(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-e .",
        "demo @ https://x/y.whl",
        "a b",
        "-r other.txt",
        "demo" + ",".join(f"!=1.{number}" for number in range(100)),
    ],
)
def test_only_what_an_index_can_have_can_be_wanted(text: str) -> None:
    with pytest.raises(Refused):
        wanted_line(text)
