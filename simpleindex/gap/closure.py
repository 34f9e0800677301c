"""Whether what a site wants can be installed on each of its targets, out of one index alone.

The verdict is that of the whole way, as a host would go it. That one file here needs another that
is not here is no fault by itself: mostly it is of a release that nobody has to take.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from packaging.specifiers import SpecifierSet
from packaging.version import Version

from simpleindex.gap.fitting import Fitting, Range
from simpleindex.gap.needs import Budget, GaveUp, Need, Needs
from simpleindex.gap.releases import Sdists, Source, SourceTrouble
from simpleindex.gap.resolving import SECONDS_MAX, Kind, Outcome, Verdict, resolve
from simpleindex.gap.targets import Target
from simpleindex.gap.wishes import Line, Wishes, parse_line
from simpleindex_storage.names import ProjectName

_DEPTH_MAX = 100

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Roots:
    """What a site wants."""

    wishes: tuple[Wishes, ...] = ()
    """Lines that go together: those of a file, or those that a bundle was made for."""
    projects: tuple[ProjectName, ...] = ()
    """What was put in by itself. Each has to be installable, by its name alone, on every target
    that it has a file for at all."""


@dataclass(frozen=True, slots=True)
class Missing:
    """What an index lacks so that a line can be met on a target."""

    requirement: str
    """To be asked for: without its marker, which holds there."""
    line: str


@dataclass(frozen=True, slots=True)
class Standing:
    """How a target stands."""

    target: Target
    verdicts: tuple[Verdict, ...]
    """One for each line of all wishes, in their order, then one for each project."""
    missing: tuple[Missing, ...] = ()
    pip_first: str | None = None
    """The pip that is here and has to be installed before the rest: that of the hosts knows not
    all the wheels that are here. None: as they are, they can install all that is met."""
    notes: tuple[str, ...] = ()
    built_there: tuple[str, ...] = ()
    """Source distributions that are to be built on the host, which may need a compiler."""

    @property
    def meant(self) -> tuple[Verdict, ...]:
        """Of what is asked for on this target. None: nothing was looked at."""
        return tuple(it for it in self.verdicts if it.kind is not Kind.NOT_WANTED)

    @property
    def failures(self) -> tuple[Verdict, ...]:
        """What cannot be installed, or about which nothing could be found out."""
        return tuple(verdict for verdict in self.verdicts if not verdict.kind.is_good)


@dataclass(frozen=True, slots=True)
class Row:
    """A release."""

    version: Version
    targets: tuple[Target, ...]
    verdicts: tuple[Verdict, ...]
    """One for each target."""


@dataclass(frozen=True, slots=True)
class LooseEnd:
    """A release that needs what is not here. Nobody has to take it, as long as another serves."""

    release: str
    needs: str
    targets: tuple[Target, ...]
    """Those that could use the release."""


def check_closure(
    targets: Sequence[Target],
    roots: Roots,
    source: Source,
    *,
    seconds_max: float = SECONDS_MAX,
    now: Clock = time.monotonic,
) -> tuple[Standing, ...]:
    """How each target stands, in their order. `seconds_max` is for one of them, and one of wishes.

    It takes one thread a second or so for hundreds of files. Raises nothing that an index can
    cause.
    """
    return tuple(_standing(target, roots, source, seconds_max, now) for target in targets)


def releases_on(
    project: ProjectName,
    targets: Sequence[Target],
    source: Source,
    *,
    sdists: Sdists | None = None,
    seconds_max: float = SECONDS_MAX,
    now: Clock = time.monotonic,
) -> tuple[Row, ...]:
    """Each release of a project on each target, the newest first. Raises SourceTrouble."""
    releases = source.releases(project)
    versions = () if releases is None else tuple(releases.files)
    lines = tuple(parse_line(f"{project}=={version}") for version in versions)
    wishes = Wishes(lines, sdists=sdists)
    checks = [_Check(target, wishes, source, seconds_max, now) for target in targets]
    columns = [check.alone().verdicts for check in checks]
    return tuple(
        Row(version, tuple(targets), tuple(column[place] for column in columns))
        for place, version in enumerate(versions)
    )


def loose_ends(
    projects: Iterable[ProjectName],
    targets: Sequence[Target],
    source: Source,
    *,
    seconds_max: float = SECONDS_MAX,
    now: Clock = time.monotonic,
) -> tuple[LooseEnd, ...]:
    """The needs of single releases that no file here meets: notes, and no verdict of anything.

    By release; what cannot be read is passed over.
    """
    found: dict[tuple[str, str], list[Target]] = {}
    listed = tuple(projects)
    for target in targets:
        needs = Needs(target, Wishes(()), source, Budget(seconds_max, now))
        with suppress(GaveUp):
            for release, need in _unmet_needs(needs, listed):
                found.setdefault((release, need), []).append(target)
    return tuple(LooseEnd(*names, tuple(where)) for names, where in sorted(found.items()))


def _unmet_needs(needs: Needs, projects: Iterable[ProjectName]) -> Iterator[tuple[str, str]]:
    anything = SpecifierSet(">=0", prereleases=True)
    for project in projects:
        whole = Need(project, None, anything, project)
        try:
            for candidate in needs.candidates(whole, anything):
                for need in needs.of_candidate(candidate):
                    if next(needs.candidates(need, need.specifier), None) is None:
                        yield str(candidate), need.text
        except SourceTrouble:
            continue


def _standing(
    target: Target, roots: Roots, source: Source, seconds_max: float, now: Clock
) -> Standing:
    found = [_Check(target, wishes, source, seconds_max, now).together() for wishes in roots.wishes]
    if roots.projects:
        by_name = Wishes(tuple(map(parse_line, roots.projects)))
        found.append(_Check(target, by_name, source, seconds_max, now).where_it_fits())
    pips = [each.pip_first for each in found if each.pip_first is not None]
    return Standing(
        target,
        tuple(verdict for each in found for verdict in each.verdicts),
        tuple(dict.fromkeys(missing for each in found for missing in each.missing)),
        max(pips, key=Version, default=None),
        tuple(dict.fromkeys(note for each in found for note in each.notes)),
        tuple(dict.fromkeys(name for each in found for name in each.built_there)),
    )


class _Check:
    """Wishes, on one target."""

    def __init__(
        self, target: Target, wishes: Wishes, source: Source, seconds_max: float, now: Clock
    ) -> None:
        self._target = target
        self._wishes = wishes
        self._source = source
        self._seconds_max = seconds_max
        self._now = now

    def together(self) -> Standing:
        """How it stands with all lines together."""
        return self._found(together=True)

    def alone(self) -> Standing:
        """How it stands with each line by itself."""
        return self._found(together=False)

    def where_it_fits(self) -> Standing:
        """As `alone`, but what has no file for the target at all is not meant for it."""
        found = self.alone()
        fitting = Fitting(self._target, self._source, {})
        verdicts = tuple(
            replace(verdict, kind=Kind.NOT_WANTED)
            if verdict.kind is Kind.UNMET and not _fits(fitting, verdict.line)
            else verdict
            for verdict in found.verdicts
        )
        not_meant = {each.line.text for each in verdicts if each.kind is Kind.NOT_WANTED}
        missing = tuple(each for each in found.missing if each.line not in not_meant)
        return replace(found, verdicts=verdicts, missing=missing)

    def _found(self, *, together: bool) -> Standing:
        outcome = self._resolved(self._wishes, together=together)
        pip_first = None
        needed = _newest(pick.pip_needed for pick in outcome.picks)
        if needed is not None:
            here = _newest(str(each.version) for each in outcome.picks if each.project == "pip")
            if here is not None and Version(here) >= Version(needed):
                pip_first = here
            else:
                self._wishes = replace(self._wishes, as_installed=True)
                outcome = self._resolved(self._wishes, together=together)
        missing = tuple(self._missing(outcome.verdicts))
        names = (pick.file.filename for pick in outcome.picks)
        built_there = tuple(name for name in names if not name.endswith(".whl"))
        return Standing(
            self._target, outcome.verdicts, missing, pip_first, outcome.notes, built_there
        )

    def _resolved(self, wishes: Wishes, *, together: bool) -> Outcome:
        return resolve(
            self._target,
            wishes,
            self._source,
            together=together,
            seconds_max=self._seconds_max,
            now=self._now,
        )

    def _missing(self, verdicts: Iterable[Verdict]) -> Iterator[Missing]:
        unmet = [verdict.line for verdict in verdicts if verdict.kind is Kind.UNMET]
        if not unmet:
            return
        budget = Budget(self._seconds_max, self._now)
        needs = Needs(self._target, self._wishes, self._source, budget)
        for line in unmet:
            try:
                leaf = _leaf_of(needs, line)
            except (SourceTrouble, GaveUp):
                continue
            if leaf is not None:
                yield Missing(leaf, line.text)


def _leaf_of(needs: Needs, line: Line) -> str | None:
    """What is not here at all, deepest below a line; None: what is here excludes itself."""
    if line.requirement is None:
        return None
    for need in needs.of_requirement(line.requirement):
        if needs.why_not(need) is not None:
            return _leaf(needs, need)
    return None


def _leaf(needs: Needs, need: Need) -> str:
    for _ in range(_DEPTH_MAX):
        best = next(needs.candidates(need, need.specifier), None)
        if best is None:
            break
        below = next(
            (each for each in needs.of_candidate(best) if needs.why_not(each) is not None), None
        )
        if below is None:
            break
        need = below
    return need.text


def _fits(fitting: Fitting, line: Line) -> bool:
    """Whether the target can use any file of a project."""
    if line.project is None:
        return False
    try:
        return next(fitting.fits(line.project, Range(SpecifierSet())), None) is not None
    except SourceTrouble:
        return True


def _newest(versions: Iterable[str | None]) -> str | None:
    return max((each for each in versions if each is not None), key=Version, default=None)
