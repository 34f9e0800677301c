"""Which test stands for which item of the checklist in `docs/conformance.md`."""

from collections.abc import Callable
from typing import Any, TypeVar

_Test = TypeVar("_Test", bound=Callable[..., Any])

COVERED: dict[str, tuple[int, ...]] = {}
"""The items of each test, by its name."""


def covers(*items: int) -> Callable[[_Test], _Test]:
    """Mark a test with the items of the checklist that it is about."""

    def mark(test: _Test) -> _Test:
        COVERED[test.__name__] = items
        return test

    return mark
