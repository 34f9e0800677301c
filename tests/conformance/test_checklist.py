"""That the document, its items and the tests say the same."""

import importlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType

from tests.conformance.checklist import COVERED

DOCUMENT = Path(__file__).parents[2] / "docs" / "conformance.md"
ITEMS = range(1, 123)

_ROW = re.compile(r"\| (\d+) \| (.+) \| (.+) \| (.+) \| (.+) \|")
_TEST = re.compile(r"`(test_\w+)`")
_DUTIES = {"MUST", "SHOULD", "MAY", "custom", "client", "draft", "none"}


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the checklist."""

    item: int
    asked: str
    duty: str
    section: str
    proof: str

    @property
    def tests(self) -> set[str]:
        """The tests that it names."""
        return set(_TEST.findall(self.proof))


def rows() -> list[Row]:
    """The checklist as the document has it."""
    lines = DOCUMENT.read_text("utf-8").splitlines()
    return [
        Row(int(match[1]), match[2], match[3], match[4], match[5])
        for line in lines
        if (match := _ROW.fullmatch(line))
    ]


def all_tests() -> Iterator[FunctionType]:
    """All tests of this folder but those of the checklist."""
    folder = Path(__file__).parent
    for path in sorted(folder.glob("test_*.py")):
        if path.stem == "test_checklist":
            continue
        module = importlib.import_module(f"tests.conformance.{path.stem}")
        for name, value in vars(module).items():
            if name.startswith("test_") and value.__module__ == module.__name__:
                assert isinstance(value, FunctionType)
                yield value


def test_every_item_has_one_line_in_the_document() -> None:
    assert [row.item for row in rows()] == list(ITEMS)


def test_every_item_is_tested_or_says_why_not() -> None:
    for row in rows():
        assert row.duty in _DUTIES
        assert row.tests or row.proof.startswith("Not tested: ")


def test_the_document_names_exactly_the_tests_of_each_item() -> None:
    names = [test.__name__ for test in all_tests()]
    assert len(set(names)) == len(names), "two tests have one name"
    marked: dict[int, set[str]] = {item: set() for item in ITEMS}
    for name in names:
        for item in COVERED[name]:
            marked[item].add(name)
    assert {row.item: row.tests for row in rows()} == marked


def test_every_test_names_its_standard() -> None:
    assert [test.__name__ for test in all_tests() if not test.__doc__] == []
