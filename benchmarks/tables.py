"""How benchmarks print what they found."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class Timed:
    """What somebody took for something, and what was found by it."""

    title: str
    who: str
    seconds: float
    found: str
    target_seconds: float | None = None

    @property
    def is_missed(self) -> bool:
        """Whether it took longer than it may."""
        return self.target_seconds is not None and self.seconds > self.target_seconds


def timed_table(rows: Sequence[Timed]) -> str:
    """A line for each."""
    lines = [("", "", "seconds", "target", "found")]
    for row in rows:
        target = "-" if row.target_seconds is None else f"<= {row.target_seconds:g}"
        missed = " MISSED" if row.is_missed else ""
        lines.append((row.title, row.who, f"{row.seconds:.2f}", target + missed, row.found))
    return aligned(lines)


def ratio_text(ratio: float | None) -> str:
    """A ratio; `-` where there is none."""
    return "-" if ratio is None else f"{ratio:.2f}"


def say(what: str) -> None:
    """Tell what is going on, beside the table."""
    print(what, file=sys.stderr, flush=True)
