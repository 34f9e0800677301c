"""From what each target needs to what is sent: what is new, what the site has, what it loses.

Nothing here fetches anything: projects that have been looked at are passed in.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from packaging.version import Version

from simpleindex.gap.bundle.cache import promised_sha256
from simpleindex.gap.bundle.holdings import Holdings
from simpleindex.gap.bundle.manifest import AssumedFile, Notice, Problem
from simpleindex.gap.layers import is_private
from simpleindex.gap.pythons import newest_tools
from simpleindex.gap.releases import Releases
from simpleindex.gap.resolving import Kind, Outcome, Pick, Verdict
from simpleindex.gap.targets import Target
from simpleindex.wire.simple_page import PageFile
from simpleindex_storage.errors import Refused
from simpleindex_storage.names import DistFilename, ProjectName, parse_filename

_SHOWN_MAX = 5
_CHAIN_MAX = 60


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """A file that goes along."""

    name: DistFilename
    file: PageFile
    targets: tuple[int, ...]
    """Who needs it: places among the targets."""


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of a project at the site."""

    project: ProjectName
    had: tuple[str, ...]
    """Versions; none: it is new."""
    gets: tuple[str, ...]
    """Versions that it does not have yet, or has not for all targets."""
    files: int
    size_bytes: int
    """Of files whose sizes are known."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a bundle is to hold, and what it cannot."""

    targets: tuple[Target, ...]
    outcomes: tuple[Outcome, ...]
    """One for each target."""
    files: tuple[PlannedFile, ...]
    assumes: tuple[AssumedFile, ...]
    yanks: tuple[Notice, ...]
    removals: tuple[Notice, ...]
    notes: tuple[str, ...]
    changes: tuple[Change, ...]

    @property
    def is_complete(self) -> bool:
        """Whether each target gets all that is wanted of it."""
        return all(outcome.is_complete for outcome in self.outcomes)

    @property
    def is_empty(self) -> bool:
        """Whether nothing that is wanted can be had on any target."""
        wanted = [verdict.kind for outcome in self.outcomes for verdict in outcome.verdicts]
        return all(kind not in {Kind.MET, Kind.ALONE} for kind in wanted)

    @property
    def size_bytes(self) -> int:
        """Of the files whose sizes are known."""
        return sum(planned.file.size_bytes or 0 for planned in self.files)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Lines that are not met, and those that exclude others."""
        return tuple(
            Problem(_cut(verdict.line.text), place, verdict.kind, _cut_chain(verdict.chain))
            for place, outcome in enumerate(self.outcomes)
            for verdict in outcome.verdicts
            if not verdict.kind.is_good or verdict.kind is Kind.ALONE
        )


def make_plan(
    outcomes: Sequence[Outcome],
    holdings: Holdings,
    pages: Mapping[ProjectName, Releases],
    *,
    all_inside: bool = False,
    may_remove: bool = False,
) -> Plan:
    """The plan for these outcomes. `pages` are the projects of the site that the index has, too.

    `all_inside` sends also what the site has. `may_remove` proposes to remove what no line needs
    any more; that is done only if all lines are met.
    """
    new, had, notes = _parted(outcomes, holdings, all_inside=all_inside)
    notes += _notes(outcomes, holdings)
    known = [
        (sha256, name, file)
        for sha256, name, file in _known_files(pages.values())
        if holdings.has(sha256)
    ]
    yanks = [
        Notice(name, sha256, _cut(file.yanked))
        for sha256, name, file in known
        if file.yanked is not None
    ]
    is_complete = all(outcome.is_complete for outcome in outcomes)
    needed = {each.sha256 for each in had} | {promised_sha256(each.file) for each in new}
    removals = [
        Notice(name, sha256, "nothing that is wanted needs it any more")
        for sha256, name, file in known
        if may_remove and is_complete and sha256 not in needed
    ]
    return Plan(
        targets=tuple(outcome.target for outcome in outcomes),
        outcomes=tuple(outcomes),
        files=tuple(new),
        assumes=tuple(had),
        yanks=tuple(yanks),
        removals=tuple(removals),
        notes=tuple(dict.fromkeys(map(_cut, notes))),
        changes=tuple(_changes(new, holdings)),
    )


def _parted(
    outcomes: Sequence[Outcome], holdings: Holdings, *, all_inside: bool
) -> tuple[list[PlannedFile], list[AssumedFile], list[str]]:
    """What goes along, what the site has, and what nobody knows."""
    picks: dict[str, Pick] = {}
    targets: dict[str, list[int]] = {}
    for place, outcome in enumerate(outcomes):
        for pick in outcome.picks:
            picks[pick.file.url] = pick
            targets.setdefault(pick.file.url, []).append(place)
    new: list[PlannedFile] = []
    had: list[AssumedFile] = []
    notes: list[str] = []
    for url, pick in sorted(picks.items(), key=lambda it: (it[1].project, it[1].file.filename)):
        if is_private(pick.file):
            notes.append(
                f"{pick.project} {pick.version} is at the site and not on the index: what it needs "
                "in turn is not known here"
            )
            continue
        name = parse_filename(pick.file.filename)
        sha256 = promised_sha256(pick.file)
        if sha256 is not None and holdings.has(sha256) and not all_inside:
            had.append(AssumedFile(name, sha256, tuple(targets[url])))
            continue
        if sha256 is not None and holdings.clashes_with(name.text, sha256):
            notes.append(
                f"the site has another {name.text}, with other content; it will refuse this one"
            )
        new.append(PlannedFile(name, pick.file, tuple(targets[url])))
    return new, had, notes


def _notes(outcomes: Sequence[Outcome], holdings: Holdings) -> list[str]:
    notes = list(chain.from_iterable(outcome.notes for outcome in outcomes))
    for outcome in outcomes:
        notes += _old_installer(outcome)
    notes += _sources(outcomes)
    notes += _missing_tools(outcomes, holdings)
    return notes


def _missing_tools(outcomes: Sequence[Outcome], holdings: Holdings) -> Iterator[str]:
    """Which of pip, setuptools and wheel do not come along; those for the same reason together."""
    missing: dict[tuple[str, str], list[str]] = {}
    for outcome in outcomes:
        for verdict in outcome.bootstrap:
            # A site that has one can go on with it.
            if not verdict.kind.is_good and verdict.line.project not in holdings.projects:
                missing.setdefault((verdict.line.text, _why(verdict)), []).append(
                    outcome.target.name
                )
    tools: dict[tuple[str, str], list[str]] = {}
    for (tool, why), names in missing.items():
        tools.setdefault((_some(names), why), []).append(tool)
    told = {
        _why(verdict): verdict.line.text
        for outcome in outcomes
        for verdict in reversed(outcome.verdicts)
        if verdict.kind is Kind.UNKNOWN
    }
    for (names_text, why), together in tools.items():
        verb = "does" if len(together) == 1 else "do"
        reason = f", for the same reason as {told[why]}" if why in told else f": {why}"
        yield f"{', '.join(together)} {verb} not come along for {names_text}{reason}"


def _sources(outcomes: Sequence[Outcome]) -> Iterator[str]:
    found: dict[str, list[str]] = {}
    for outcome in outcomes:
        for pick in outcome.picks:
            if pick.file.filename.endswith((".tar.gz", ".zip")):
                found.setdefault(pick.file.filename, []).append(outcome.target.name)
    for filename, names in found.items():
        yield (
            f"{filename} is built on the hosts when it is installed, which may need a compiler "
            f"there: {_some(names)}"
        )


def _old_installer(outcome: Outcome) -> Iterator[str]:
    count = sum(pick.pip_needed is not None for pick in outcome.picks)
    if count:
        target = outcome.target
        files = "1 file" if count == 1 else f"{count} files"
        yield (
            f"{target.name}: {target.installer} is too old for {files}; run "
            f"`pip install pip=={newest_tools(target.minor).pip}` first"
        )


def _known_files(pages: Iterable[Releases]) -> Iterator[tuple[str, DistFilename, PageFile]]:
    for releases in pages:
        for file in chain.from_iterable(releases.files.values()):
            sha256 = promised_sha256(file)
            if sha256 is None:
                continue
            try:
                name = parse_filename(file.filename)
            except Refused:
                continue
            yield sha256, name, file


def _changes(new: Sequence[PlannedFile], holdings: Holdings) -> Iterator[Change]:
    by_project: dict[ProjectName, list[PlannedFile]] = {}
    for planned in new:
        by_project.setdefault(planned.name.project, []).append(planned)
    had = holdings.versions
    for project, files in by_project.items():
        gets = sorted({Version(planned.name.version) for planned in files})
        yield Change(
            project,
            tuple(map(str, sorted(had.get(project, ())))),
            tuple(map(str, gets)),
            len(files),
            sum(planned.file.size_bytes or 0 for planned in files),
        )


def _why(verdict: Verdict) -> str:
    if verdict.kind is Kind.UNKNOWN and verdict.chain:
        return verdict.chain[-1]  # the index's trouble, whatever it was asked for
    return " -> ".join(verdict.chain) or verdict.kind


def _some(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN_MAX
    shown = ", ".join(names[:_SHOWN_MAX])
    return f"{shown} and {more} more" if more > 0 else shown


def _cut_chain(chain: Sequence[str]) -> tuple[str, ...]:
    """Its beginning, and its end, which says most."""
    if len(chain) > _CHAIN_MAX:
        half = _CHAIN_MAX // 2
        chain = [*chain[:half], f"and so on, {len(chain) - 2 * half} times", *chain[-half:]]
    return tuple(map(_cut, chain))


def _cut(text: str) -> str:
    """As a manifest keeps it: one line that is not too long."""
    return "".join(each if each.isprintable() else "?" for each in text[:1000])
