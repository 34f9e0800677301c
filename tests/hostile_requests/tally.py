"""How much was sent, for the line at the end of a run of tests."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Tally:
    """Of all groups that were tried."""

    answers: Counter[int] = field(default_factory=Counter)
    """How often each status was the answer; 0 is silence."""
    attacks: int = 0
    least_kilobytes: int = 0
    """The memory of the server before the first attack."""
    most_kilobytes: int = 0
    """After any group."""

    def __str__(self) -> str:
        of_ours = sum(count for status, count in self.answers.items() if status >= 500)
        grown = (self.most_kilobytes - self.least_kilobytes) / 1024
        return (
            f"{self.answers.total():,} hostile requests ({self.attacks:,} attacks), "
            f"{of_ours} times 5xx, the server's memory grew by {grown:.1f} MiB"
        )
