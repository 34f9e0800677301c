"""What a server has learned from installers: which targets there are, and what they did not find.

It is advice: proxies may change what installers say of themselves, and anybody may say anything.
"""

from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path

from packaging.version import Version

from simpleindex.gap.targets import Target
from simpleindex.gap.user_agents import target_of_agent
from simpleindex.learning import HOST, MISSING, READ, sightings_of
from simpleindex_storage.names import IndexName, ProjectName


@dataclass(frozen=True, slots=True)
class Seen:
    """How often something was seen."""

    times: int
    days: int
    last_day: date

    def __str__(self) -> str:
        days = "1 day" if self.days == 1 else f"{self.days} days"
        return f"{self.times}x on {days}, last {self.last_day}"


@dataclass(frozen=True, slots=True)
class AskedFor:
    """A project that a kind of host has asked an index for."""

    index: IndexName
    project: ProjectName
    target: Target
    seen: Seen


@dataclass(frozen=True, slots=True)
class Learned:
    """All that was learned so far."""

    targets: tuple[tuple[Target, Seen], ...] = ()
    """Those that were seen on the most days first."""
    missing: tuple[AskedFor, ...] = ()
    """There was no such project then."""
    read: tuple[AskedFor, ...] = ()
    """There was one, and its page was read."""


def read_learned(serverdir: Path) -> Learned:
    """What was learned until some seconds ago, also by servers that run. Raises Unavailable."""
    targets: dict[Target, Seen] = {}
    asked: dict[str, list[AskedFor]] = {MISSING: [], READ: []}
    for sight, times, days, last_day in sightings_of(serverdir).all():
        target = _target_of(sight.what if sight.kind == HOST else sight.who)
        if target is None:
            continue
        seen = Seen(times, days, last_day)
        if sight.kind == HOST:
            # Two distributions with the same C library are one target.
            known = targets.get(target)
            targets[target] = seen if known is None else together(known, seen)
        elif sight.kind in asked:
            index, _, project = sight.what.rpartition("/")
            asked[sight.kind].append(AskedFor(IndexName(index), ProjectName(project), target, seen))
    often_first = tuple(sorted(targets.items(), key=_often_first))
    return Learned(often_first, tuple(asked[MISSING]), tuple(asked[READ]))


def by_name(learned: Learned) -> tuple[tuple[Target, Seen], ...]:
    """Each target once, whatever installs there, those that were seen on the most days first.

    Of several installers the oldest pip counts: it knows the fewest wheels.
    """
    found: dict[str, tuple[Target, Seen]] = {}
    for target, seen in learned.targets:
        other, earlier = found.get(target.name, (target, None))
        both = seen if earlier is None else together(earlier, seen)
        found[target.name] = min(other, target, key=_age), both
    return tuple(sorted(found.values(), key=_often_first))


def together(*seen: Seen) -> Seen:
    """Several in one; on how many days, at the least."""
    return Seen(
        sum(each.times for each in seen),
        max(each.days for each in seen),
        max(each.last_day for each in seen),
    )


def _often_first(entry: tuple[Target, Seen]) -> tuple[int, int, str]:
    target, seen = entry
    return -seen.days, -seen.times, target.name


def _age(target: Target) -> tuple[bool, Version]:
    installer = target.installer
    if installer is None:
        return True, Version("0")
    return installer.name != "pip", Version(installer.version)


@lru_cache(maxsize=1024)
def _target_of(agent: str) -> Target | None:
    return target_of_agent(agent)
