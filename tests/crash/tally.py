"""Counts what was tried and what went wrong, for the table at the end of a run."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any


class Harm(StrEnum):
    """What a crash or a failing disk must never do."""

    LOST = "lost"
    HALF_VISIBLE = "half-visible"
    WEDGED = "wedged"
    LEFT_OVER = "left-over"


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that went wrong."""

    harm: Harm
    line: str


@dataclass(slots=True)
class Tally:
    """What was tried on one operation, and what came of it."""

    operation: str
    points: int = 0
    """Calls that an operation makes, of all that may go wrong."""
    kills: int = 0
    failures: int = 0
    violations: list[Violation] = field(default_factory=list)

    def add(self, harm: Harm, lines: Iterable[str], where: str = "") -> None:
        """Note what went wrong, and at which call."""
        self.violations += (Violation(harm, line + (where and f" ({where})")) for line in lines)

    def lines(self) -> list[str]:
        """All that went wrong."""
        return [f"{each.harm}: {each.line}" for each in self.violations]


_added: list[Tally] = []


def tally_of(operation: str) -> Tally:
    """A new tally, which the table adds to those of the same operation."""
    tally = Tally(operation)
    _added.append(tally)
    return tally


def added() -> list[dict[str, Any]]:
    """All tallies of this process, for another one's table: in what goes through a pipe."""
    return [
        {
            **asdict(tally),
            "violations": [(each.harm.value, each.line) for each in tally.violations],
        }
        for tally in _added
    ]


def add_of_others(tallies: Iterable[dict[str, Any]]) -> None:
    """Let the table have what another process has `added`."""
    for told in tallies:
        violations = [Violation(Harm(harm), line) for harm, line in told["violations"]]
        _added.append(Tally(**{**told, "violations": violations}))


def table() -> list[str]:
    """All tallies, one line an operation, and their sum."""
    names = list(dict.fromkeys(tally.operation for tally in _added))
    rows = [_row(name, [tally for tally in _added if tally.operation == name]) for name in names]
    if not rows:
        return []
    head = ["operation", "points", "kills", "failures", *(str(harm) for harm in Harm)]
    lines = [head, *rows, _row("all", _added)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return [
        "  ".join(
            [line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]
        )
        for line in lines
    ]  # fmt: skip


def _row(name: str, tallies: list[Tally]) -> list[str]:
    violations = [violation for tally in tallies for violation in tally.violations]
    sums = (
        sum(tally.points for tally in tallies),
        sum(tally.kills for tally in tallies),
        sum(tally.failures for tally in tallies),
        *(sum(violation.harm is harm for violation in violations) for harm in Harm),
    )
    return [name, *map(str, sums)]
