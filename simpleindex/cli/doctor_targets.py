"""What `doctor --targets` tells: whether each kind of host can install what it shall, from here."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from simpleindex.cli.directory import open_as_owner
from simpleindex.cli.options import as_typed
from simpleindex.cli.telling import count_text, table, tell, upgrade_text
from simpleindex.gap.closure import (
    LooseEnd,
    Roots,
    Row,
    Standing,
    check_closure,
    loose_ends,
    releases_on,
)
from simpleindex.gap.decisions import read_decisions
from simpleindex.gap.own_source import OwnSource
from simpleindex.gap.releases import Sdists, SourceTrouble
from simpleindex.gap.resolving import Kind
from simpleindex.gap.site_roots import SiteRoots, check_site, read_site_roots
from simpleindex.gap.target_file import FILE_NAME, read_targets
from simpleindex.gap.targets import Target, parse_target
from simpleindex.gap.wish_files import read_wish_file
from simpleindex.gap.wishes import Wishes
from simpleindex_storage.errors import NotStored
from simpleindex_storage.model import JsonValue
from simpleindex_storage.names import IndexName, ProjectName, parse_index_name, parse_project_name

_WORDS = {
    Kind.UNMET: "it cannot be installed",
    Kind.REFUSED: "it is nothing that an index can have",
    Kind.UNKNOWN: "nobody can tell",
    Kind.GAVE_UP: "nobody can tell",
}
_SIGNS = {Kind.MET: "yes", Kind.ALONE: "yes"}
"""In tables of releases; whatever else there is, is a no."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line asks for."""

    serverdir: Path
    index_text: str
    target_names: tuple[str, ...]
    """Without any: those of the list, or else of the bundles that were taken in."""
    requirements: tuple[Path, ...]
    constraints: tuple[Path, ...]
    project_names: tuple[str, ...]
    """Of which all releases are told."""


@dataclass(frozen=True, slots=True)
class _Found:
    """What the index says."""

    index: IndexName
    standings: tuple[Standing, ...]
    mirrors: tuple[IndexName, ...]
    left_out: tuple[str, ...]
    loose_ends: tuple[LooseEnd, ...]
    roots: SiteRoots | None
    """Against which it was held; None: against what was given on the command line."""

    @property
    def withdrawn(self) -> tuple[str, ...]:
        """Lines of bundles that do not count."""
        return () if self.roots is None else self.roots.withdrawn

    @property
    def of_bundles(self) -> frozenset[ProjectName]:
        """What lines of bundles are about, which can be withdrawn."""
        return frozenset() if self.roots is None else self.roots.of_bundles


def examine_targets(asked: Asked, *, as_json: bool) -> None:
    """Tell it. Raises Exit with 1 where something cannot be installed."""
    index = parse_index_name(asked.index_text)
    projects = [parse_project_name(name) for name in asked.project_names]
    read = [read_wish_file(path) for path in asked.requirements]
    limits = [read_wish_file(path) for path in asked.constraints]
    with open_as_owner(asked.serverdir) as store, store.catalog.snapshot() as seen:
        source = OwnSource(store, seen, index)
        wanted = read_site_roots(seen, source, read_decisions(asked.serverdir).ignored)
        targets = _targets(asked, wanted)
        if projects:
            _tell_releases(projects, targets, source, wanted.sdists, as_json=as_json)
            return
        if read:
            lines = tuple(line for each in read for line in each.lines)
            bounds = [line for each in limits for line in each.lines]
            bounds += [line for each in (*read, *limits) for line in each.constraints]
            roots = Roots((Wishes(lines, tuple(bounds), sdists=wanted.sdists),))
            standings = check_closure(targets, roots, source)
        else:
            standings = check_site(targets, wanted, source)
        found = _Found(
            index,
            standings,
            source.mirrors,
            tuple(option for each in (*read, *limits) for option in each.left_out),
            loose_ends(source.projects(), targets, source),
            None if read else wanted,
        )
    told = (as_typed(line, asked.serverdir) for line in _lines(found))
    tell(_document(found), told, as_json=as_json)
    if any(standing.failures for standing in found.standings):
        raise click.exceptions.Exit(1)


def _targets(asked: Asked, wanted: SiteRoots) -> tuple[Target, ...]:
    known = read_targets(asked.serverdir / FILE_NAME) or wanted.targets
    by_name = {target.name: target for target in known}
    if asked.target_names:
        return tuple(by_name.get(name) or parse_target(name) for name in asked.target_names)
    if not known:
        raise click.ClickException(
            "there is no target yet; `simpleindex-server target add --help` tells how to name "
            "those of the site"
        )
    return known


def _document(found: _Found) -> JsonValue:
    return {
        "index": found.index,
        "is_complete": not any(standing.failures for standing in found.standings),
        "targets": [_standing_document(standing) for standing in found.standings],
        "mirrors_left_out": list(found.mirrors),
        "options_left_out": list(found.left_out),
        "withdrawn": list(found.withdrawn),
        "loose_ends": [
            {
                "release": each.release,
                "needs": each.needs,
                "targets": [target.name for target in each.targets],
            }
            for each in found.loose_ends
        ],
    }


def _standing_document(standing: Standing) -> JsonValue:
    return {
        "target": standing.target.name,
        "description": standing.target.words,
        "is_complete": not standing.failures,
        "pip_first": standing.pip_first,
        "verdicts": [
            {
                "line": verdict.line.text,
                "where": verdict.line.where,
                "kind": verdict.kind,
                "chain": list(verdict.chain),
            }
            for verdict in standing.verdicts
        ],
        "missing": [
            {"requirement": missing.requirement, "line": missing.line}
            for missing in standing.missing
        ],
        "built_there": list(standing.built_there),
        "notes": list(standing.notes),
    }


def _lines(found: _Found) -> Iterator[str]:
    hinted: set[ProjectName] = set()
    for standing in found.standings:
        yield from _standing_lines(standing, found.of_bundles, hinted)
    if found.withdrawn:
        yield f"note   withdrawn with request --ignore: {', '.join(found.withdrawn)}"
    for option in found.left_out:
        yield f"note   left out, as it means nothing here: {option}"
    if found.mirrors:
        yield f"note   what could be fetched by {', '.join(found.mirrors)} does not count"
    if found.loose_ends:
        count = count_text(len(found.loose_ends), "need of a release is", "needs of releases are")
        yield f"note   {count} met by nothing here, which is a fault only above; --json tells more"
    count = count_text(len(found.standings), "target")
    if not any(standing.meant for standing in found.standings):
        yield f"{found.index}: {count}, and nothing is asked for any"
        return
    incomplete = sum(bool(standing.failures) for standing in found.standings)
    yield f"{found.index}: {count}, {incomplete or 'none'} with something that cannot be installed"


def _standing_lines(
    standing: Standing, of_bundles: Collection[ProjectName], hinted: set[ProjectName]
) -> Iterator[str]:
    """`hinted` collects the projects of which was told how a line about them is withdrawn."""
    if not standing.meant:
        name = standing.target.name
        yield f"note   {name}: nothing is asked for it, so nothing was looked at"
        return
    good = len(standing.meant) - len(standing.failures)
    level = "error" if standing.failures else "ok"
    yield f"{level:5}  {standing.target.name}: {good} of {len(standing.meant)} can be installed"
    for verdict in standing.failures:
        yield f"       {verdict.line.text}: {_WORDS[verdict.kind]}"
        yield from (f"         {reason}" for reason in verdict.chain)
        project = verdict.line.project
        if project is None or verdict.kind is not Kind.UNMET:
            continue
        if project in of_bundles and project not in hinted:
            hinted.add(project)
            yield f"         `simpleindex-server request --ignore={project}` withdraws the line"
    if standing.pip_first is not None:
        yield f"       {upgrade_text(standing.target.installer, standing.pip_first)}"
    for filename in standing.built_there:
        yield f"       note: {filename} is built there, which may need a compiler"
    yield from (f"       note: {note}" for note in standing.notes)


def _tell_releases(
    projects: Sequence[ProjectName],
    targets: Sequence[Target],
    source: OwnSource,
    sdists: Sdists | None,
    *,
    as_json: bool,
) -> None:
    for project in projects:
        if source.releases(project) is None:
            raise NotStored(f"project {project}")
    try:
        rows = {
            project: releases_on(project, targets, source, sdists=sdists) for project in projects
        }
    except SourceTrouble as trouble:
        raise click.ClickException(str(trouble)) from None
    document: JsonValue = [_releases_document(project, rows[project]) for project in projects]
    lines = [line for project in projects for line in _releases_lines(project, rows[project])]
    tell(document, lines, as_json=as_json)


def _releases_document(project: ProjectName, rows: Sequence[Row]) -> JsonValue:
    return {
        "project": project,
        "releases": [
            {
                "version": str(row.version),
                "targets": {
                    target.name: {"kind": verdict.kind, "chain": list(verdict.chain)}
                    for target, verdict in zip(row.targets, row.verdicts, strict=True)
                },
            }
            for row in rows
        ],
    }


def _releases_lines(project: ProjectName, rows: Sequence[Row]) -> Iterator[str]:
    if not rows:
        yield f"{project} has no release with a file"
        return
    head = [str(project), *(target.name for target in rows[0].targets)]
    body = [
        [str(row.version), *(_SIGNS.get(verdict.kind, "no") for verdict in row.verdicts)]
        for row in rows
    ]
    yield from table([head, *body])
    newest = rows[0]
    for target, verdict in zip(newest.targets, newest.verdicts, strict=True):
        if not verdict.kind.is_good:
            yield f"{newest.version} on {target.name}: {'; '.join(verdict.chain)}"
