"""What a parser that is told any bytes may do: take them, or refuse them in one plain line."""

from collections.abc import Callable
from typing import TypeVar

from simpleindex_storage.errors import Refused

_Value = TypeVar("_Value")

_LINE_CHARACTERS_MAX = 1500


def taken(work: Callable[[], _Value]) -> _Value | None:
    """What comes out; None for a refusal, which must be one line that can be read."""
    try:
        return work()
    except Refused as refused:
        line = str(refused)
        assert line.isprintable(), f"a refusal that cannot be printed: {ascii(line)[:300]}"
        assert len(line) < _LINE_CHARACTERS_MAX, f"a refusal of {len(line)} characters"
        return None


def shortened(value: object) -> str:
    """For the sentence of a failure."""
    return repr(value)[:200]
