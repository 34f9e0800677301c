"""`why`: which index answers for a name, and what rules say of each of its files."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
from packaging.version import Version

from simpleindex import library
from simpleindex.cli.mirrors import OpenMirrors, opened
from simpleindex.cli.options import config_from, setting_options
from simpleindex.cli.telling import count_text, json_option, tell
from simpleindex.policy import MirrorPolicy
from simpleindex_storage.model import Index, JsonValue, MirrorSettings, ProjectStatus
from simpleindex_storage.names import (
    IndexName,
    ProjectName,
    parse_index_name,
    parse_project_name,
    parse_version,
)
from simpleindex_storage.ports import Snapshot
from simpleindex_storage.records import time_text


@dataclass(frozen=True, slots=True)
class _Finding:
    """What one index has to say."""

    index: str
    line: str
    is_asked: bool
    files: tuple[tuple[str, str], ...] = ()
    """Files that are not shown, and why."""


@dataclass(frozen=True, slots=True)
class _Question:
    """What is asked for."""

    project: ProjectName
    version: Version | None
    """None: all of them."""
    index: IndexName


@click.command("why")
@click.argument("name", metavar="NAME[==VERSION]")
@click.option(
    "--index",
    "index_text",
    default="root/pypi",
    show_default=True,
    metavar="USER/INDEX",
    help="The index that hosts are given.",
)
@json_option
@setting_options("serverdir")
def command(
    *, name: str, index_text: str, as_json: bool, config_file: Path | None, **flags: object
) -> None:
    """Tell why an index shows what it shows of a project, and why it does not show the rest.

    Nobody is asked: it tells what is known here, and what rules make of it.
    """
    project_text, equals, version_text = (part.strip() for part in name.partition("=="))
    project = parse_project_name(project_text)
    version = Version(parse_version(version_text)) if equals else None
    index = parse_index_name(index_text)
    config = config_from(config_file, flags)
    with opened(config) as mirrors, mirrors.store.catalog.snapshot() as seen:
        view = library.look(seen, index)
        admitted = {each.name for each in library.may_be_asked(seen, view, project)}
        findings = [
            _finding(mirrors, seen, each, _Question(project, version, index), each.name in admitted)
            for each in (*view.indexes, *view.hidden)
        ]
    document: JsonValue = [
        {"index": each.index, "says": each.line, "asked": each.is_asked, "hidden": dict(each.files)}
        for each in findings
    ]
    tell(document, _lines(findings), as_json=as_json)


def _lines(findings: list[_Finding]) -> Iterator[str]:
    for each in findings:
        yield f"{each.index}: {each.line}"
        for _, reason in each.files:
            yield f"  {reason}"


def _finding(
    mirrors: OpenMirrors, seen: Snapshot, index: Index, question: _Question, is_admitted: bool
) -> _Finding:
    project, version = question.project, question.version
    if not isinstance(index.settings, MirrorSettings):
        return _of_stage(seen, index, project, version)
    if not is_admitted:
        return _Finding(
            index.name,
            f"is not asked: {project} is, or was, a project of ours; mirror_whitelist+={project} "
            f"for {question.index} lets the mirror complete it",
            is_asked=False,
        )
    verdict = MirrorPolicy.of(index.settings).of_project(project)
    if not verdict.is_shown:
        return _Finding(index.name, f"is not asked: {verdict.reason}", is_asked=False)
    return _of_mirror(mirrors, index, project, version)


def _of_stage(
    seen: Snapshot, index: Index, project: ProjectName, version: Version | None
) -> _Finding:
    known = seen.project(index.name, project)
    if known is None:
        line = "has nothing of that name"
        if seen.had_project(index.name, project):
            line = (
                "had a project of that name once, which was removed; it goes on keeping mirrors "
                f"out, until `remove {project} --index {index.name} --give-up-name`"
            )
        return _Finding(index.name, line, is_asked=True)
    files = seen.files(index.name, project)
    count = sum(version is None or Version(file.version) == version for file in files)
    line = f"has {count_text(count, 'file')} of its own"
    if known.status is not ProjectStatus.ACTIVE:
        line += f"; the project is {known.status}"
    if known.status is ProjectStatus.QUARANTINED:
        line += ", so that nobody is offered any"
    return _Finding(index.name, line, is_asked=True)


def _of_mirror(
    mirrors: OpenMirrors, index: Index, project: ProjectName, version: Version | None
) -> _Finding:
    mirrored = mirrors.mirroring.mirrored
    kept = mirrored.cache.page_head(index.name, project)
    settings = index.settings
    is_offline = isinstance(settings, MirrorSettings) and mirrored.is_offline(settings)
    if kept is None:
        line = "is offline, and has kept nothing of it" if is_offline else "has not heard of it yet"
        return _Finding(index.name, line, is_asked=not is_offline)
    checked = time_text(kept.checked_at)
    if not kept.has_content:
        line = f"{kept.source} had no such project at {checked}"
        return _Finding(index.name, line, is_asked=True)
    verdicts = [
        (file, verdict)
        for file, verdict in mirrored.verdicts(index, project)
        if version is None or Version(file.version) == version
    ]
    hidden = tuple(
        (file.file.filename, verdict.reason) for file, verdict in verdicts if not verdict.is_shown
    )
    shown = len(verdicts) - len(hidden)
    count = count_text(len(verdicts), "file")
    line = f"shows {shown} of {count}, as {kept.source} had them at {checked}"
    if is_offline:
        here = mirrored.cache.filenames(index.name, project)
        count = count_text(
            sum(verdict.is_shown and file.file.filename in here for file, verdict in verdicts),
            "file",
        )
        line += f"; being offline, only the {count} that it has kept"
    return _Finding(index.name, line, is_asked=True, files=hidden)
