"""What a site has to ask for: what it was decided to have, and what its hosts did not find."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from packaging.specifiers import SpecifierSet

from simpleindex.access import AUTOMATIC_INDEX
from simpleindex.gap.bundle.manifest import stamp
from simpleindex.gap.closure import Roots, Standing, check_closure
from simpleindex.gap.decisions import Decisions, read_decisions
from simpleindex.gap.fitting import Fitting, Range
from simpleindex.gap.learned import AskedFor, Learned, by_name, read_learned, together
from simpleindex.gap.own_source import OwnSource
from simpleindex.gap.pythons import BOOTSTRAP_PROJECTS
from simpleindex.gap.releases import SourceTrouble
from simpleindex.gap.request import Held, Request, Wanted
from simpleindex.gap.site_roots import SiteRoots, check_site, read_site_roots
from simpleindex.gap.target_file import FILE_NAME, read_targets
from simpleindex.gap.targets import Target, marker_environment, without_guesses
from simpleindex.gap.wishes import Wishes, parse_line
from simpleindex_storage.errors import NotStored
from simpleindex_storage.names import IndexName, ProjectName
from simpleindex_storage.ports import Snapshot
from simpleindex_storage.store import Store

_HELD_DIGITS = 16
_SHOWN_MAX = 3


@dataclass(frozen=True, slots=True)
class Maybe:
    """A project that installers asked for and could not use; nobody has decided about it."""

    project: ProjectName
    why: str


@dataclass(frozen=True, slots=True)
class SiteRequest:
    """A request, and what is to be told of it."""

    request: Request
    maybe: tuple[Maybe, ...]
    """The same as in the request, most wanted first."""
    ignored: tuple[ProjectName, ...]
    withdrawn: tuple[str, ...] = ()
    """Lines of bundles that are not asked for again, since they are about ignored projects."""
    target_notes: Mapping[str, str] = field(default_factory=dict)
    """By the name of a target: how often it was seen."""
    unlisted: tuple[Target, ...] = ()
    """Targets that were seen and are left out, since there is a list, and they are not in it."""


def site_request(
    serverdir: Path, store: Store, seen: Snapshot, index: IndexName, *, with_learned: bool = False
) -> SiteRequest:
    """What to ask for so that an index has all that is wanted of it.

    `with_learned`: for all targets that were seen, not only for those of the list. Raises
    NotStored, Refused, Unavailable. The index that makes itself may be still to come.
    """
    source = OwnSource(store, seen, index, may_be_missing=index == AUTOMATIC_INDEX)
    learned, decisions = read_learned(serverdir), read_decisions(serverdir)
    roots = read_site_roots(seen, source, decisions.ignored)
    listed = read_targets(serverdir / FILE_NAME) or roots.targets
    known = {target.name for target in listed}
    others = tuple(target for target, _ in by_name(learned) if target.name not in known)
    takes_all = with_learned or not listed
    targets = (*without_guesses(listed, others), *others) if takes_all else listed
    wanted = tuple(_wanted(targets, decisions, roots, source))
    covered = {parse_line(each.requirement).project for each in wanted}
    covered |= roots.of_bundles
    maybe = tuple(
        each
        for each in _maybe(_sources(store, seen, learned), learned)
        if each.project not in covered and each.project not in decisions.ignored
    )
    files = [file for project in source.projects() for file in source.listed(project)]
    request = Request(
        stamp=stamp(file.sha256 for file in files),
        targets=targets,
        roots=_each_once(line for one in roots.sets for line in one.roots),
        constraints=_each_once(line for one in roots.sets for line in one.constraints),
        wanted=wanted,
        maybe=tuple(Wanted(each.project, each.why) for each in maybe),
        have=tuple(Held(file.sha256[:_HELD_DIGITS], file.filename) for file in files),
    )
    return SiteRequest(
        request,
        maybe,
        decisions.ignored,
        roots.withdrawn,
        {target.name: f"seen {seen}" for target, seen in by_name(learned)},
        () if takes_all else others,
    )


def asked_for(store: Store, seen: Snapshot, serverdir: Path) -> frozenset[ProjectName]:
    """All that installers asked for and could not use, whatever was decided about it."""
    learned = read_learned(serverdir)
    return frozenset(each.project for each in _maybe(_sources(store, seen, learned), learned))


def _wanted(
    targets: Sequence[Target], decisions: Decisions, roots: SiteRoots, source: OwnSource
) -> Iterator[Wanted]:
    """What was decided and is not here yet; and what projects lack that came without a bundle."""
    decided = Roots(tuple(Wishes((line,), sdists=roots.sdists) for line in decisions.wanted))
    standings = check_closure(targets, decided, source)
    for place, line in enumerate(decisions.wanted):
        unmet = [it.target for it in standings if not it.verdicts[place].kind.is_good]
        if unmet or not targets:
            yield Wanted(line.text, f"not yet on {_some(_names(unmet))}" if unmet else "")
    standings = check_site(targets, roots, source)
    for requirement, (needing, lacking) in _missing(standings, roots.projects).items():
        marker = _marker(lacking, targets)
        text = f"{requirement}; {marker}" if marker else requirement
        yield Wanted(text, f"needed by {_some(needing)} on {_some(_names(lacking))}")


def _missing(
    standings: Sequence[Standing], projects: Sequence[ProjectName]
) -> dict[str, tuple[list[str], list[Target]]]:
    """What lacks so that projects could be installed which no bundle has brought: which, and where.

    What the lines of a bundle lack is found anew from these lines.
    """
    found: dict[str, tuple[list[str], list[Target]]] = {}
    for standing in standings:
        for missing in standing.missing:
            is_itself = parse_line(missing.requirement).project == missing.line
            if missing.line not in projects or is_itself:
                continue
            needing, lacking = found.setdefault(missing.requirement, ([], []))
            needing.append(missing.line)
            if standing.target not in lacking:
                lacking.append(standing.target)
    return found


def _marker(lacking: Sequence[Target], targets: Sequence[Target]) -> str:
    """A marker that holds on those of the targets that lack something; empty: on all."""
    if len(lacking) == len(targets):
        return ""
    for names in (("sys_platform",), ("python_version",), ("python_version", "sys_platform")):
        values = _each_once(_values(target, names) for target in lacking)
        if all(target in lacking or _values(target, names) not in values for target in targets):
            break
    return " or ".join(values)


def _values(target: Target, names: Sequence[str]) -> str:
    environment = marker_environment(target)
    return " and ".join(f'{name} == "{environment[name]}"' for name in names)


def _sources(store: Store, seen: Snapshot, learned: Learned) -> dict[IndexName, OwnSource]:
    """The indexes that installers asked, as far as there are such."""
    found: dict[IndexName, OwnSource] = {}
    for index in {each.index for each in (*learned.missing, *learned.read)}:
        with suppress(NotStored):
            is_to_come = index == AUTOMATIC_INDEX
            found[index] = OwnSource(store, seen, index, may_be_missing=is_to_come)
    return found


def _maybe(sources: Mapping[IndexName, OwnSource], learned: Learned) -> list[Maybe]:
    """What installers could not use and cannot yet, what was asked for on the most days first."""
    lacking: dict[ProjectName, list[AskedFor]] = {}
    fittings: dict[tuple[IndexName, Target], Fitting] = {}
    read = (each for each in learned.read if _tells_something(each, sources.get(each.index)))
    for each in (*learned.missing, *read):
        if each.project in BOOTSTRAP_PROJECTS:
            continue  # each pip looks for a newer one of itself, and every bundle brings these
        source = sources.get(each.index)
        if source is None:
            continue
        key = each.index, each.target
        fitting = fittings.get(key) or Fitting(each.target, source, {})
        fittings[key] = fitting
        if not _can_use(source, fitting, each.project):
            lacking.setdefault(each.project, []).append(each)
    often_first = sorted(lacking.items(), key=lambda it: _rank(it[1]))
    return [Maybe(project, _why(asked, sources)) for project, asked in often_first]


def _tells_something(read: AskedFor, source: OwnSource | None) -> bool:
    """Whether a page that was read may have had nothing for who read it.

    That of an index with a mirror was the mirror's to tell; and who asks for what has been removed
    since finds that it is not there.
    """
    return source is not None and not source.mirrors and bool(source.listed(read.project))


def _can_use(source: OwnSource, fitting: Fitting, project: ProjectName) -> bool:
    """Whether there is any file of a project for a target, with the newest pip."""
    try:
        releases = source.releases(project)
        if next(fitting.fits(project, Range(SpecifierSet())), None) is not None:
            return True
    except SourceTrouble:
        return True
    # Whoever has put in nothing but what is to be built has hosts that can build it.
    return releases is not None and any(
        not file.filename.endswith(".whl") and fitting.runs_here(file.requires_python)
        for files in releases.files.values()
        for file in files
    )


def _rank(asked: Sequence[AskedFor]) -> tuple[int, int, ProjectName]:
    seen = together(*(each.seen for each in asked))
    return -seen.days, -seen.times, asked[0].project


def _why(asked: Sequence[AskedFor], sources: Mapping[IndexName, OwnSource]) -> str:
    is_here = any(sources[each.index].listed(each.project) for each in asked)
    what = "no usable file" if is_here else "not here"
    askers = _names(each.target for each in asked)
    return f"{what}; asked {together(*(each.seen for each in asked))}, by {_some(askers)}"


def _names(targets: Iterable[Target]) -> list[str]:
    return [target.name for target in targets]


def _some(texts: Iterable[str]) -> str:
    names = _each_once(texts)
    more = len(names) - _SHOWN_MAX
    shown = ", ".join(names[:_SHOWN_MAX])
    return f"{shown} and {more} more" if more > 0 else shown


def _each_once(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts))
