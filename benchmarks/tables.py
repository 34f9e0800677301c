"""How benchmarks print what they found."""

import sys
from collections.abc import Sequence

_WORDS = 2
"""The first columns, which hold words and not figures."""


def aligned(lines: Sequence[Sequence[str]]) -> str:
    """A table: words to the left of their columns, figures to the right."""
    widths = [max(len(line[place]) for line in lines) for place in range(len(lines[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if place < _WORDS else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def ratio_text(ratio: float | None) -> str:
    """A ratio; `-` where there is none."""
    return "-" if ratio is None else f"{ratio:.2f}"


def say(what: str) -> None:
    """Tell what is going on, beside the table."""
    print(what, file=sys.stderr, flush=True)
