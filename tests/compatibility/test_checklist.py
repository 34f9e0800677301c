"""That every part of the protocol, and every difference, has a test."""

import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType

import pytest

from tests.compatibility.checklist import COVERED, ROUTES, VERBS
from tests.compatibility.differences import DIFFERENCES, DIFFERENT, Difference


def all_tests() -> Iterator[FunctionType]:
    """All tests of this folder but those of the lists."""
    for path in sorted(Path(__file__).parent.glob("test_*.py")):
        if path.stem == "test_checklist":
            continue
        module = importlib.import_module(f"tests.compatibility.{path.stem}")
        for name, value in vars(module).items():
            if name.startswith("test_") and value.__module__ == module.__name__:
                assert isinstance(value, FunctionType)
                yield value


def test_no_two_tests_have_one_name() -> None:
    names = [test.__name__ for test in all_tests()]
    assert len(set(names)) == len(names)
    assert COVERED.keys() | DIFFERENT.keys() <= set(names)


@pytest.mark.parametrize("part", [*ROUTES, *VERBS])
def test_a_route_or_verb_is_checked(part: str) -> None:
    names = {test.__name__ for test in all_tests()}
    assert {name for name, parts in COVERED.items() if part in parts} & names


def test_no_test_stands_for_what_is_not_listed() -> None:
    assert len(list(all_tests())) > 0
    assert {part for parts in COVERED.values() for part in parts} == {*ROUTES, *VERBS}


@pytest.mark.parametrize(("case", "difference"), DIFFERENCES.items(), ids=DIFFERENCES)
def test_a_difference_is_one_and_a_test_expects_it(case: str, difference: Difference) -> None:
    assert difference.devpi != difference.ours
    assert difference.why
    (test,) = (test for test in all_tests() if DIFFERENT.get(test.__name__) == case)
    assert "expected" in inspect.signature(test).parameters
