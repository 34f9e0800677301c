"""What each target has to be given so that it can install what is wanted; and what it cannot have.

Every line gets a verdict of its own on every target. Nothing is asked but the source that is
given; the clock is passed in.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TypeAlias

from packaging.specifiers import SpecifierSet
from packaging.version import Version
from resolvelib import AbstractProvider, BaseReporter, ResolutionImpossible, Resolver
from resolvelib.resolvers import ResolutionTooDeep
from resolvelib.structs import RequirementInformation

from simpleindex.gap.needs import Budget, Candidate, GaveUp, Need, Needs
from simpleindex.gap.pythons import BOOTSTRAP_PROJECTS
from simpleindex.gap.releases import Source, SourceTrouble
from simpleindex.gap.targets import Target
from simpleindex.gap.wishes import Line, Wishes, parse_line
from simpleindex.wire.simple_page import PageFile
from simpleindex_storage.names import ProjectName

ROUNDS_MAX = 5000
SECONDS_MAX = 120.0
"""For one target."""
AT_ONCE = 8
_CAUSES_SHOWN_MAX = 6

_Key: TypeAlias = tuple[ProjectName, str]
_Information: TypeAlias = RequirementInformation[Need, Candidate]


class Kind(StrEnum):
    """What becomes of a line on a target."""

    MET = "met"
    ALONE = "alone"
    """It can be installed, but not beside the others: they exclude each other."""
    UNMET = "unmet"
    NOT_WANTED = "not-wanted"
    """Its marker says that it is not for such a host."""
    REFUSED = "refused"
    """It is no line that an index can serve."""
    UNKNOWN = "unknown"
    """The index did not tell what would have been needed to know."""
    GAVE_UP = "gave-up"
    """The search took more than it may."""

    @property
    def is_good(self) -> bool:
        """Whether `pip install` of the line succeeds, or is not wanted."""
        return self in {Kind.MET, Kind.ALONE, Kind.NOT_WANTED}


@dataclass(frozen=True, slots=True)
class Verdict:
    """A line on a target."""

    line: Line
    kind: Kind
    chain: tuple[str, ...] = ()
    """Why, each because of the next."""


@dataclass(frozen=True, slots=True)
class Pick:
    """A file that a target needs."""

    project: ProjectName
    version: Version
    file: PageFile
    extras: tuple[str, ...]
    needed_by: tuple[str, ...]
    """Lines, and releases that are picked, too."""
    pip_needed: str | None
    """The oldest pip that takes it, if the target's own is older."""
    is_proven: bool
    """False: its metadata was read without a digest; the file has to confirm it."""


_Picks: TypeAlias = dict[tuple[ProjectName, Version], Pick]


@dataclass(frozen=True, slots=True)
class Outcome:
    """All that is to be said of one target."""

    target: Target
    verdicts: tuple[Verdict, ...]
    """One for each line, in their order."""
    bootstrap: tuple[Verdict, ...]
    """Likewise for pip, setuptools and wheel."""
    picks: tuple[Pick, ...]
    """Each file once, by name and version."""
    notes: tuple[str, ...]

    @property
    def is_complete(self) -> bool:
        """Whether all that is wanted can be installed."""
        return all(verdict.kind.is_good for verdict in self.verdicts)


def resolve_all(
    targets: Sequence[Target],
    wishes: Wishes,
    source: Source,
    *,
    at_once: int = AT_ONCE,
    seconds_max: float = SECONDS_MAX,
    now: Callable[[], float] = time.monotonic,
) -> list[Outcome]:
    """The outcome for each target, in their order; several are worked on at the same time.

    If it is interrupted, it waits for nobody: let the source give up then.
    """
    source.expect(line.project for line in wishes.lines if line.project is not None)
    threads = ThreadPoolExecutor(at_once, "resolving")
    try:
        return list(
            threads.map(
                lambda target: resolve(target, wishes, source, seconds_max=seconds_max, now=now),
                targets,
            )
        )
    finally:
        threads.shutdown(wait=False, cancel_futures=True)


def resolve(
    target: Target,
    wishes: Wishes,
    source: Source,
    *,
    seconds_max: float = SECONDS_MAX,
    rounds_max: int = ROUNDS_MAX,
    together: bool = True,
    now: Callable[[], float] = time.monotonic,
) -> Outcome:
    """The outcome for one target. Raises nothing that an index can cause.

    Not `together`: each line by itself, whatever the others want.
    """
    budget = Budget(seconds_max, now)
    search = _Search(Needs(target, wishes, source, budget), rounds_max)
    verdicts = search.verdicts(wishes.lines) if together else search.verdicts_alone(wishes.lines)
    # By themselves, whatever is constrained; and pip in its newest release, whatever is held: files
    # are picked that older ones may not know.
    held = {project: held for project, held in wishes.held.items() if project != "pip"}
    kept = Wishes((), held=held, held_files=wishes.held_files)
    tools = _Search(Needs(target, kept, source, budget), rounds_max)
    bootstrap = tools.verdicts([parse_line(project) for project in BOOTSTRAP_PROJECTS])
    builders = _Builders(target, wishes, source, budget, rounds_max)
    picks = _joined(tools.picks, search.picks)
    if wishes.sdists is not None:
        picks = _joined(picks, builders.picks_for(search))
    return Outcome(
        target,
        tuple(verdicts),
        tuple(bootstrap),
        tuple(picks[key] for key in sorted(picks)),
        tuple({**search.needs.notes, **tools.needs.notes, **builders.notes}),
    )


class _Builders:
    """Finds what hosts need to build source distributions; each is built by itself."""

    def __init__(
        self, target: Target, wishes: Wishes, source: Source, budget: Budget, rounds_max: int
    ) -> None:
        self.notes: dict[str, None] = {}
        self._target = target
        # As with installers: constraints are for what is installed, not for what builds it.
        self._wishes = Wishes(
            (), held=wishes.held, held_files=wishes.held_files, sdists=wishes.sdists
        )
        self._source = source
        self._budget = budget
        self._rounds_max = rounds_max

    def picks_for(self, search: "_Search") -> "_Picks":
        """What is needed to build all that was found there as source."""
        found: _Picks = {}
        waiting = list(search.picks.values())
        seen: set[str] = set()
        while waiting:
            pick = waiting.pop()
            if pick.file.url in seen:
                continue
            seen.add(pick.file.url)
            requires = search.needs.to_build(pick.file)
            if not requires:
                continue
            building = _Search(
                Needs(self._target, self._wishes, self._source, self._budget), self._rounds_max
            )
            release = f"{pick.project} {pick.version}"
            for verdict in building.verdicts([Line(str(each), each) for each in requires]):
                if not verdict.kind.is_good:
                    why = " -> ".join(verdict.chain)
                    self.notes[f"{release} cannot be built: {verdict.line.text}: {why}"] = None
            found = _joined(found, building.picks)
            waiting += building.picks.values()
        return found


class _Search:
    """Finds verdicts for lines, and keeps the files that they take."""

    def __init__(self, needs: Needs, rounds_max: int) -> None:
        self.needs = needs
        self.picks: _Picks = {}
        self._usual: set[ProjectName | None] = set()
        """Projects of which a release is picked that needs not be named."""
        self._rounds_max = rounds_max

    def verdicts(self, lines: Sequence[Line]) -> list[Verdict]:
        """A verdict for each line."""
        found: dict[int, Verdict] = {}
        hopeful: list[int] = []
        for place, line in enumerate(lines):
            verdict = self._at_first_sight(line)
            if verdict is None:
                hopeful.append(place)
            else:
                found[place] = verdict
        together = self._try([lines[place] for place in hopeful])
        if isinstance(together, _Solution):
            self._keep(together)
            found |= {place: Verdict(lines[place], Kind.MET) for place in hopeful}
        else:
            found |= self._one_by_one({place: lines[place] for place in hopeful})
        return [found[place] for place in range(len(lines))]

    def verdicts_alone(self, lines: Sequence[Line]) -> list[Verdict]:
        """A verdict for each line, whatever the others want."""
        return [self._alone(line) for line in lines]

    def _alone(self, line: Line) -> Verdict:
        verdict = self._at_first_sight(line)
        if verdict is not None:
            return verdict
        if self._is_in_a_solution(line):
            return Verdict(line, Kind.MET)
        found = self._try([line])
        if isinstance(found, _Solution):
            self._keep(found)
            return Verdict(line, Kind.MET)
        return found

    def _is_in_a_solution(self, line: Line) -> bool:
        """Whether a solution for another line holds one for this.

        What a release needs is beside it there; and any release will do for a bare name, but one
        that only somebody who names it may take.
        """
        requirement = line.requirement
        if requirement is None or requirement.specifier or requirement.extras or line.hashes:
            return False
        return line.project in self._usual

    def _at_first_sight(self, line: Line) -> Verdict | None:
        """The verdict that needs no search; None: there is hope."""
        if line.requirement is None:
            return Verdict(line, Kind.REFUSED, (line.refusal or "it cannot be read",))
        if not self.needs.applies(line.requirement.marker):
            return Verdict(line, Kind.NOT_WANTED, (f"its marker is {line.requirement.marker}",))
        try:
            for need in self.needs.of_requirement(line.requirement):
                chain = self.needs.why_not(need)
                if chain is not None:
                    return Verdict(line, Kind.UNMET, chain)
        except SourceTrouble as trouble:
            return Verdict(line, Kind.UNKNOWN, trouble.chain)
        except GaveUp:
            return _gave_up(line)
        return None

    def _one_by_one(self, lines: Mapping[int, Line]) -> dict[int, Verdict]:
        """Verdicts where not all lines can be met together: the earlier ones come first."""
        found: dict[int, Verdict] = {}
        accepted: list[Line] = []
        solution: _Solution | None = None
        for place, line in lines.items():
            with_it = self._try([*accepted, line])
            if isinstance(with_it, _Solution):
                accepted.append(line)
                solution = with_it
                found[place] = Verdict(line, Kind.MET)
                continue
            alone = self._try([line]) if accepted else with_it
            if isinstance(alone, _Solution):
                self._keep(alone)
                found[place] = Verdict(line, Kind.ALONE, with_it.chain)
            else:
                found[place] = replace(alone, line=line)
        if solution is not None:
            self._keep(solution)
        return found

    def _try(self, lines: Sequence[Line]) -> "_Solution | Verdict":
        """A solution for all of these lines, or a verdict that tells why there is none."""
        roots = [
            need
            for line in lines
            if line.requirement is not None
            for need in self.needs.of_requirement(line.requirement)
        ]
        resolver = Resolver(_Provider(self.needs), BaseReporter[Need, Candidate, _Key]())
        stands_for = lines[0] if lines else Line("", None)
        try:
            straight = self._straight(roots, lines)
            if straight is not None:
                return straight
            result = resolver.resolve(roots, self._rounds_max)
        except ResolutionImpossible as impossible:
            return Verdict(stands_for, Kind.UNMET, _conflict(impossible.causes))
        except SourceTrouble as trouble:
            return Verdict(stands_for, Kind.UNKNOWN, trouble.chain)
        except (GaveUp, ResolutionTooDeep):
            return _gave_up(stands_for)
        graph = result.graph
        parents = {key: [each for each in graph.iter_parents(key)] for key in result.mapping}
        return _Solution(dict(result.mapping), parents, tuple(lines))

    def _straight(self, roots: Sequence[Need], lines: Sequence[Line]) -> "_Solution | None":
        """The best for each need, if that goes together as it is; None: a search has to find out.

        It would find the same, and takes much longer for it. Raises SourceTrouble, GaveUp.
        """
        mapping: dict[_Key, Candidate] = {}
        parents: dict[_Key, list[_Key | None]] = {}
        waiting: list[tuple[_Key | None, Need]] = [(None, need) for need in roots]
        while waiting:
            parent, need = waiting.pop()
            key = need.key
            known = mapping.get(key)
            if known is None:
                candidates = self.needs.candidates(need, need.specifier)
                usable = (it for it in candidates if self.needs.why_not_candidate(it) is None)
                known = next(usable, None)
                if known is None:
                    return None
                mapping[key] = known
                waiting += [(key, below) for below in self.needs.of_candidate(known)]
            elif not need.specifier.contains(known.version, prereleases=True):
                return None
            parents.setdefault(key, []).append(parent)
        return _Solution(mapping, parents, tuple(lines))

    def _keep(self, solution: "_Solution") -> None:
        for pick in solution.picks(self.needs):
            key = pick.project, pick.version
            known = self.picks.get(key)
            self.picks[key] = pick if known is None else _merged(known, pick)
            if not pick.version.is_prerelease and pick.file.yanked is None:
                self._usual.add(pick.project)


@dataclass(frozen=True, slots=True)
class _Solution:
    """Releases that go together."""

    mapping: Mapping[_Key, Candidate]
    parents: Mapping[_Key, Sequence[_Key | None]]
    lines: tuple[Line, ...]

    def picks(self, needs: Needs) -> Iterator[Pick]:
        """The files, with who needs each of them."""
        for (project, extra), candidate in self.mapping.items():
            if extra:
                continue
            extras = sorted(name for other, name in self.mapping if other == project and name)
            keys = [(project, ""), *((project, name) for name in extras)]
            parents = {parent for key in keys for parent in self.parents.get(key, ())}
            yield Pick(
                project,
                candidate.version,
                candidate.file,
                tuple(extras),
                tuple(self._wanting(project, parents)),
                needs.fitting.pip_needed(candidate.file),
                needs.is_proven(candidate),
            )

    def _wanting(self, project: ProjectName, parents: set[_Key | None]) -> Iterator[str]:
        if None in parents:
            wanted = (line.text for line in self.lines if line.project == project)
            yield from dict.fromkeys(wanted)
        others = {parent[0] for parent in parents if parent is not None} - {project}
        yield from (f"{name} {self.mapping[name, ''].version}" for name in sorted(others))


class _Provider(AbstractProvider[Need, Candidate, _Key]):
    """What resolvelib asks. Candidates are looked at ahead, so that it seldom has to turn back."""

    def __init__(self, needs: Needs) -> None:
        self._needs = needs
        self._order: dict[_Key, int] = {}

    def identify(self, requirement_or_candidate: Need | Candidate) -> _Key:
        key = requirement_or_candidate.project, requirement_or_candidate.extra or ""
        self._order.setdefault(key, len(self._order))
        return key

    def find_matches(
        self,
        identifier: _Key,
        requirements: Mapping[_Key, Iterator[Need]],
        incompatibilities: Mapping[_Key, Iterator[Candidate]],
    ) -> Callable[[], Iterator[Candidate]]:
        wanted = list(requirements[identifier])
        excluded = {candidate.version for candidate in incompatibilities[identifier]}
        together = SpecifierSet()
        for need in wanted:
            together &= need.specifier

        def matches() -> Iterator[Candidate]:
            for candidate in self._needs.candidates(wanted[0], together):
                if candidate.version in excluded:
                    continue
                if self._needs.why_not_candidate(candidate) is None:
                    yield candidate

        return matches

    def is_satisfied_by(self, requirement: Need, candidate: Candidate) -> bool:
        # Whether a pre-release or a yanked one may be taken was decided when it was found.
        return requirement.specifier.contains(candidate.version, prereleases=True)

    def get_dependencies(self, candidate: Candidate) -> Iterable[Need]:
        return self._needs.of_candidate(candidate)

    def narrow_requirement_selection(
        self,
        identifiers: Iterable[_Key],
        resolutions: Mapping[_Key, Candidate],
        candidates: Mapping[_Key, Iterator[Candidate]],
        information: Mapping[_Key, Iterator[_Information]],
        backtrack_causes: Sequence[_Information],
    ) -> Iterable[_Key]:
        waiting = list(identifiers)
        to_blame = {self.identify(cause.requirement) for cause in backtrack_causes}
        to_blame |= {self.identify(each.parent) for each in backtrack_causes if each.parent}
        return [key for key in waiting if key in to_blame] or waiting

    def get_preference(
        self,
        identifier: _Key,
        resolutions: Mapping[_Key, Candidate],
        candidates: Mapping[_Key, Iterator[Candidate]],
        information: Mapping[_Key, Iterator[_Information]],
        backtrack_causes: Sequence[_Information],
    ) -> tuple[bool, bool, int]:
        operators = {
            each.operator
            for known in information[identifier]
            for each in known.requirement.specifier
        }
        is_pinned = bool(operators & {"==", "==="})
        is_bounded = bool(operators & {"<", "<=", "~="})
        return not is_pinned, not is_bounded, self._order.get(identifier, 0)


def _conflict(causes: Iterable[_Information]) -> tuple[str, ...]:
    lines: set[str] = set()
    for cause in causes:
        wanted = "is wanted" if cause.parent is None else f"is needed by {cause.parent}"
        lines.add(f"{cause.requirement.text} {wanted}")
    told = sorted(lines)[:_CAUSES_SHOWN_MAX]
    return (*told, "these exclude each other")


def _gave_up(line: Line) -> Verdict:
    return Verdict(line, Kind.GAVE_UP, ("the search took longer than it may",))


def _joined(one: "_Picks", other: "_Picks") -> "_Picks":
    both = {**one, **other}
    for key in one.keys() & other.keys():
        both[key] = _merged(one[key], other[key])
    return both


def _merged(one: Pick, other: Pick) -> Pick:
    return replace(
        one,
        extras=tuple(sorted({*one.extras, *other.extras})),
        needed_by=tuple(dict.fromkeys((*one.needed_by, *other.needed_by))),
    )
