"""Looking ahead: what a release needs in turn, and whether any of that can be had at all.

A search that finds out late that a project deep below has no usable file tries everything above
it first. So each release is asked first whether each of its needs, and theirs, has a candidate at
all; the first one that has none is the explanation.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from packaging.markers import Marker, UndefinedComparison, UndefinedEnvironmentName
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from simpleindex.gap.fitting import Fitting, Range
from simpleindex.gap.releases import Source
from simpleindex.gap.targets import Target, marker_environment
from simpleindex.gap.wishes import Hashes, Line, Wishes
from simpleindex.wire.simple_page import PageFile
from simpleindex_storage.names import ProjectName

_DEPTH_MAX = 100
"""Of what is looked at ahead: below that, the search itself finds out."""
_TRIED_MAX = 50
"""Releases of one project that are looked into; likewise."""


class GaveUp(Exception):
    """The search took more than it may."""


@dataclass(frozen=True, slots=True)
class Need:
    """A project that something needs: one of its extras, or without them."""

    project: ProjectName
    extra: str | None
    specifier: SpecifierSet
    text: str
    """As it is told to people."""

    @property
    def key(self) -> tuple[ProjectName, str]:
        """Equal for those that one candidate has to meet."""
        return self.project, self.extra or ""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A release that may be taken, or one of its extras."""

    project: ProjectName
    version: Version
    extra: str | None
    file: PageFile = field(compare=False)

    def __str__(self) -> str:
        extra = f"[{self.extra}]" if self.extra else ""
        return f"{self.project}{extra} {self.version}"


@dataclass(frozen=True, slots=True)
class _Known:
    """What a release needs on a target."""

    needs: tuple[Need, ...]
    why_not: str | None
    """Why it cannot be taken by itself."""
    is_proven: bool
    build_needs: tuple[Need, ...] = ()
    """To build it; nothing for a wheel."""


class Budget:
    """How much may be tried: seconds by the clock that is passed in, for all of one target."""

    def __init__(self, seconds: float, now: Callable[[], float]) -> None:
        self._now = now
        self._ends_at = now() + seconds

    def check(self) -> None:
        """Raises GaveUp."""
        if self._now() > self._ends_at:
            raise GaveUp


class Needs:
    """What is needed on one target. For one thread."""

    def __init__(self, target: Target, wishes: Wishes, source: Source, budget: Budget) -> None:
        self.notes: dict[str, None] = {}
        """What is odd about metadata that was read; each once."""
        self.fitting = Fitting(
            target,
            source,
            wishes.held,
            wishes.sdists,
            held_files=wishes.held_files,
            as_installed=wishes.as_installed,
        )
        self._source = source
        self._budget = budget
        self._environment: Mapping[str, str] = {**marker_environment(target), "extra": ""}
        self._pre_releases = wishes.pre_releases
        self._constraints = self._constraining(wishes.constraints)
        self._hashes = _hashes_of((*wishes.lines, *wishes.constraints))
        self._known: dict[tuple[str, str | None], _Known] = {}
        self._candidates: dict[tuple[ProjectName, Version, str | None], Candidate] = {}
        self._why_candidate: dict[Candidate, tuple[str, ...] | None] = {}
        self._why: dict[tuple[ProjectName, str | None, SpecifierSet], tuple[str, ...] | None] = {}

    def applies(self, marker: Marker | None, extra: str = "") -> bool:
        """Whether a marker holds on the target. One that cannot be compared does not."""
        if marker is None:
            return True
        try:
            return marker.evaluate({**self._environment, "extra": extra})
        except (UndefinedComparison, UndefinedEnvironmentName, ValueError):
            text = str(marker)[:200]
            self.notes[f"the marker {text!r} cannot be compared; it counts as false"] = None
            return False

    def of_requirement(self, requirement: Requirement) -> list[Need]:
        """The needs that stand for a requirement: the project, and each extra by itself."""
        project = canonicalize_name(requirement.name)
        text = _text(requirement)
        extras = [None, *sorted(map(canonicalize_name, requirement.extras))]
        return [Need(project, extra, requirement.specifier, text) for extra in extras]

    def allowed(self, project: ProjectName, specifier: SpecifierSet) -> Range:
        """What may be taken, constraints and hashes included."""
        return Range(
            specifier,
            self._hashes.get(project, frozenset()),
            self._constraints.get(project, SpecifierSet()),
            self._pre_releases,
        )

    def candidates(self, need: Need, specifier: SpecifierSet) -> Iterator[Candidate]:
        """What can be taken for a need, within a specifier, the best first. Raises SourceTrouble.

        Without looking ahead.
        """
        for fit in self.fitting.fits(need.project, self.allowed(need.project, specifier)):
            self._budget.check()
            key = need.project, fit.version, need.extra
            known = self._candidates.get(key)
            if known is None:
                known = self._candidates[key] = Candidate(*key, fit.file)
            yield known

    def of_candidate(self, candidate: Candidate) -> tuple[Need, ...]:
        """What a release needs in turn. Raises SourceTrouble."""
        return self._look(candidate).needs

    def why_not(self, need: Need, depth: int = 0) -> tuple[str, ...] | None:
        """Why a need cannot be met, whatever else is taken: a chain; None: it can, it seems.

        Raises SourceTrouble, GaveUp.
        """
        key = need.project, need.extra, need.specifier
        if key in self._why:
            return self._why[key]
        if depth > _DEPTH_MAX:
            return None
        self._why[key] = None  # until more is known: circles are no obstacle
        first: tuple[str, ...] | None = None
        for tried, candidate in enumerate(self.candidates(need, need.specifier)):
            why = None if tried >= _TRIED_MAX else self.why_not_candidate(candidate, depth)
            if why is None:
                return None
            first = first or why
        if first is None:
            allowed = self.allowed(need.project, need.specifier)
            first = (self.fitting.why_none(need.project, allowed, need.text),)
        self._why[key] = first
        return first

    def why_not_candidate(self, candidate: Candidate, depth: int = 0) -> tuple[str, ...] | None:
        """The same of a release."""
        if candidate in self._why_candidate:
            return self._why_candidate[candidate]
        self._why_candidate[candidate] = None
        known = self._look(candidate)
        why: tuple[str, ...] | None = None
        if known.why_not is not None:
            why = (f"{candidate} {known.why_not}",)
        else:
            self._expect((*known.needs, *known.build_needs))
            whats = [(need, "") for need in known.needs]
            whats += [(need, " to be built") for need in known.build_needs]
            for need, what in whats:
                below = self.why_not(need, depth + 1)
                if below is not None:
                    why = (f"{candidate} needs {need.text}{what}", *below)
                    break
        self._why_candidate[candidate] = why
        return why

    def to_build(self, file: PageFile) -> tuple[Requirement, ...]:
        """What is needed on the target to build a file; nothing for a wheel."""
        requires = self._source.described(file).build_requires
        return tuple(each for each in requires if self.applies(each.marker))

    def is_proven(self, candidate: Candidate) -> bool:
        """Whether the metadata that was gone by is what the index has promised."""
        return self._look(candidate).is_proven

    def _expect(self, needs: Iterable[Need]) -> None:
        """Let all come at once that will be looked at one after the other."""
        self._source.expect(need.project for need in needs)
        for need in needs:
            best = next(self.candidates(need, need.specifier), None)
            if best is not None:
                self._source.expect_described(best.file)

    def _look(self, candidate: Candidate) -> _Known:
        key = candidate.file.url, candidate.extra
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._read(candidate)
        return known

    def _read(self, candidate: Candidate) -> _Known:
        described = self._source.described(candidate.file)
        is_proven = described.is_proven
        extra = candidate.extra
        release = f"{candidate.project} {candidate.version}"
        for text in described.unreadable:
            note = f"{release} needs {text[:200]!r}, which cannot be read and is left out"
            self.notes[note] = None
        if not self.fitting.runs_here(described.requires_python):
            return _Known((), f"requires Python {described.requires_python}", is_proven)
        needs: list[Need] = []
        if extra is not None:
            itself = SpecifierSet(f"==={candidate.version}")
            needs.append(Need(candidate.project, None, itself, f"{release} itself"))
            if extra not in described.extras:
                self.notes[f"{release} has no extra {extra}; it is left out"] = None
                return _Known(tuple(needs), None, is_proven)
        for requirement in described.requires:
            if extra is not None and self.applies(requirement.marker):
                continue  # it is a need of the release without extras
            if not self.applies(requirement.marker, extra or ""):
                continue
            if requirement.url is not None:
                why_not = f"needs {requirement.name} from a URL, which is no index"
                return _Known((), why_not, is_proven)
            needs.extend(self.of_requirement(requirement))
        build_needs = [
            need
            for requirement in described.build_requires
            if extra is None and self.applies(requirement.marker)
            for need in self.of_requirement(requirement)
        ]
        return _Known(tuple(needs), None, is_proven, tuple(build_needs))

    def _constraining(self, lines: Iterable[Line]) -> dict[ProjectName, SpecifierSet]:
        found: dict[ProjectName, SpecifierSet] = {}
        for line in lines:
            if line.requirement is not None and self.applies(line.requirement.marker):
                project = canonicalize_name(line.requirement.name)
                found[project] = found.get(project, SpecifierSet()) & line.requirement.specifier
        return found


def _hashes_of(lines: Iterable[Line]) -> dict[ProjectName, Hashes]:
    found: dict[ProjectName, Hashes] = {}
    for line in lines:
        if line.hashes and line.project is not None:
            found[line.project] = found.get(line.project, frozenset()) | line.hashes
    return found


def _text(requirement: Requirement) -> str:
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    return f"{canonicalize_name(requirement.name)}{extras}{requirement.specifier}"
