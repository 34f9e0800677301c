"""What the benchmarks that compare servers found, on its way from their processes to the report."""

import dataclasses
import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

LOAD_SHARE_MAX = 0.95
"""With more of its core than this, the load held the figure down and not the server."""


@dataclass(frozen=True, slots=True)
class Line:
    """What each server gave, round by round: figures at the same place met the same machine.

    A server that could not be measured has no rounds, and maybe a word on why. Shares are of one
    core, medians of the rounds: what the server used of its own, and the load of its own.
    """

    title: str
    unit: str
    more_is_better: bool
    rounds: Mapping[str, Sequence[float]]
    server_shares: Mapping[str, float] = field(default_factory=dict)
    load_shares: Mapping[str, float] = field(default_factory=dict)
    failures: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Findings:
    """What one run of one benchmark found."""

    question: str
    machine: str
    lines: Sequence[Line]
    servers: Mapping[str, str]
    """The version of each that was measured."""
    missing: Mapping[str, str]
    """Why others were not."""
    notes: Sequence[str] = ()

    def save(self, path: Path) -> None:
        """Write it as JSON, for `load`."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(dataclasses.asdict(self), indent=1) + "\n", "utf-8")

    @classmethod
    def load(cls, path: Path) -> "Findings":
        """Read what `save` has written. Raises OSError, ValueError."""
        told = json.loads(path.read_text("utf-8"))
        return cls(**told | {"lines": [Line(**line) for line in told["lines"]]})


@dataclass(frozen=True, slots=True)
class Report:
    """All findings together; runs are never mixed within a ratio."""

    findings: Sequence[Findings]

    @property
    def titles(self) -> list[str]:
        """Of all lines, each once."""
        return list(dict.fromkeys(line.title for line in self._lines))

    @property
    def servers(self) -> dict[str, str]:
        """The version of each server that was measured."""
        return {name: told for found in self.findings for name, told in found.servers.items()}

    @property
    def missing(self) -> dict[str, str]:
        """Why others were not measured at all."""
        return {
            name: told
            for found in self.findings
            for name, told in found.missing.items()
            if name not in self.servers
        }

    def line(self, title: str) -> Line:
        """The first of that title: for what all of them have in common."""
        return self._titled(title)[0]

    def figure(self, title: str, server: str) -> float | None:
        """The median; None where there is none."""
        rounds = [line.rounds.get(server, ()) for line in self._titled(title)]
        return _median([figure for each in rounds for figure in each])

    def ratio(self, title: str, server: str, other: str) -> float | None:
        """The median of what each round says: how many times the other's figure."""
        pairs = [
            pair
            for line in self._titled(title)
            if server in line.rounds and other in line.rounds
            for pair in zip(line.rounds[server], line.rounds[other], strict=True)
        ]
        return _median([one / two for one, two in pairs if two])

    def server_share(self, title: str, server: str) -> float | None:
        """How much of its core the server used; None where nobody knows."""
        return self._share(title, server, lambda line: line.server_shares)

    def load_share(self, title: str, server: str) -> float | None:
        """How much of its core the load used; None where nobody knows."""
        return self._share(title, server, lambda line: line.load_shares)

    def is_load_the_limit(self, title: str, server: str) -> bool:
        """Whether the figure says what the load can do, and the server could do more."""
        share = self.load_share(title, server)
        return share is not None and share > LOAD_SHARE_MAX

    def why_without(self, title: str, server: str) -> str:
        """Why there is no figure; nothing when there is one, or nobody has said why."""
        if self.figure(title, server) is not None:
            return ""
        lines = self._titled(title)
        if not lines:
            return "no benchmark with this line has run"
        failures = [line.failures[server] for line in lines if server in line.failures]
        return " ".join([*failures, *filter(None, [self.missing.get(server)])]) or (
            f"{server}: not measured"
        )

    def _titled(self, title: str) -> list[Line]:
        return [line for line in self._lines if line.title == title]

    def _share(
        self, title: str, server: str, shares: Callable[[Line], Mapping[str, float]]
    ) -> float | None:
        return _median(
            [shares(line)[server] for line in self._titled(title) if server in shares(line)]
        )

    @property
    def _lines(self) -> list[Line]:
        return [line for found in self.findings for line in found.lines]


def _median(values: Sequence[float]) -> float | None:
    return statistics.median(values) if values else None
