"""`list` and `show`: what an index holds."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import click
from packaging.version import Version

from simpleindex.access import AUTOMATIC_INDEX
from simpleindex.cli.directory import no_index, open_as_owner
from simpleindex.cli.options import config_from, setting_options
from simpleindex.cli.telling import count_text, json_option, size_text, table, tell
from simpleindex_storage.errors import NotStored
from simpleindex_storage.model import (
    DistFile,
    JsonValue,
    MirrorSettings,
    Project,
    ProjectStatus,
    Release,
)
from simpleindex_storage.names import (
    IndexName,
    ProjectName,
    parse_index_name,
    parse_project_name,
    parse_version,
    same_version,
)
from simpleindex_storage.ports import Snapshot
from simpleindex_storage.records import (
    attachment_json,
    fields_json,
    file_json,
    project_json,
    time_text,
)

_INDEX = click.option(
    "--index", "index_text", default=AUTOMATIC_INDEX, show_default=True, help="Of which index."
)
_FIELDS_SHOWN = ("summary", "license_expression", "license", "requires_python", "requires_dist")


@click.command("list")
@click.argument("project", required=False)
@_INDEX
@json_option
@setting_options("serverdir")
def list_(
    project: str | None, index_text: str, as_json: bool, config_file: Path | None, **flags: object
) -> None:
    """List the projects of an index, or the files of one PROJECT.

    Only what lies in the index itself, without its bases.
    """
    index = parse_index_name(index_text)
    config = config_from(config_file, flags)
    with open_as_owner(config.serverdir) as store, store.catalog.snapshot() as seen:
        if project is None:
            listed = _listed_projects(seen, index)
            tell(
                [_project_document(each, files) for each, files in listed],
                _project_lines(listed),
                as_json=as_json,
            )
        else:
            files = _files_of(seen, index, parse_project_name(project))
            tell([file_json(file) for file in files], _file_lines(files), as_json=as_json)


@click.command("show")
@click.argument("project")
@click.argument("version", required=False)
@_INDEX
@json_option
@setting_options("serverdir")
def show(
    project: str,
    version: str | None,
    index_text: str,
    as_json: bool,
    config_file: Path | None,
    **flags: object,
) -> None:
    """Show what is known of a release: the newest one, if no VERSION is named."""
    index, name = parse_index_name(index_text), parse_project_name(project)
    number = None if version is None else parse_version(version)
    config = config_from(config_file, flags)
    with open_as_owner(config.serverdir) as store, store.catalog.snapshot() as seen:
        known, release = _release_of(seen, index, name, number)
        files = [file for file in _files_of(seen, index, name) if file.version == release.version]
        attached = [
            each for each in seen.attachments(index, name) if each.version == release.version
        ]
    document: JsonValue = {
        "project": project_json(known),
        "version": release.version,
        "fields": fields_json(release.fields),
        "files": [file_json(file) for file in files],
        "attachments": [attachment_json(each) for each in attached],
    }
    lines = [*_release_lines(known, release), "", *_file_lines(files)]
    lines += [f"{each.kind}  {each.place.filename}" for each in attached]
    tell(document, lines, as_json=as_json)


_OF_MIRRORS = (
    "it mirrors another index; `why NAME --index INDEX` tells what is known of a project there, "
    "and the devpi client lists its releases (`devpi list NAME`)"
)


def _check_no_mirror(seen: Snapshot, name: IndexName) -> None:
    """Raises NotStored: nothing of what a mirror shows is in the catalog."""
    index = seen.index(name)
    if index is not None and isinstance(index.settings, MirrorSettings):
        raise NotStored(f"list of {name}", _OF_MIRRORS)


def _listed_projects(
    seen: Snapshot, index: IndexName
) -> list[tuple[Project, tuple[DistFile, ...]]]:
    if seen.index(index) is None:
        raise no_index(index)
    _check_no_mirror(seen, index)
    return [(project, seen.files(index, project.name)) for project in seen.projects(index)]


def _project_document(project: Project, files: Sequence[DistFile]) -> JsonValue:
    return {
        **project_json(project),
        "newest": _newest(file.version for file in files),
        "files": len(files),
    }


def _project_lines(
    listed: Sequence[tuple[Project, Sequence[DistFile]]],
) -> list[str]:
    return table(
        [
            (
                project.display_name,
                _newest(file.version for file in files) or "-",
                count_text(len(files), "file"),
                "" if project.status is ProjectStatus.ACTIVE else project.status,
            )
            for project, files in listed
        ]
    )


def _newest(versions: Iterator[str]) -> str | None:
    return max(versions, key=Version, default=None)


def _files_of(seen: Snapshot, index: IndexName, name: ProjectName) -> list[DistFile]:
    _check_no_mirror(seen, index)
    if seen.project(index, name) is None:
        raise NotStored(f"project {name} in {index}")
    return sorted(seen.files(index, name), key=lambda file: (Version(file.version), file.filename))


def _file_lines(files: Sequence[DistFile]) -> list[str]:
    return table(
        [
            (
                file.filename,
                size_text(file.size_bytes),
                time_text(file.uploaded_at)[:16].replace("T", " "),
                file.uploaded_by or "-",
                "; ".join(_said_of(file)),
            )
            for file in files
        ]
    )


def _said_of(file: DistFile) -> Iterator[str]:
    if file.yanked is not None:
        yield f"yanked: {file.yanked}" if file.yanked else "yanked"
    if file.findings:
        yield f"odd: {', '.join(file.findings)}"


def _release_of(
    seen: Snapshot, index: IndexName, name: ProjectName, version: str | None
) -> tuple[Project, Release]:
    _check_no_mirror(seen, index)
    project = seen.project(index, name)
    if project is None:
        raise NotStored(f"project {name} in {index}")
    releases = [
        release
        for release in seen.releases(index, name)
        if version is None or same_version(release.version, version)
    ]
    if not releases:
        raise NotStored(f"{name} {version or ''} in {index}".replace("  ", " "))
    return project, max(releases, key=lambda release: Version(release.version))


def _release_lines(project: Project, release: Release) -> list[str]:
    lines = [f"{project.display_name} {release.version} in {project.index}"]
    if project.status is not ProjectStatus.ACTIVE:
        reason = f": {project.status_reason}" if project.status_reason else ""
        lines.append(f"The project is {project.status}{reason}")
    for field in _FIELDS_SHOWN:
        value = release.fields.get(field, ())
        texts = [value.partition("\n")[0]] if isinstance(value, str) else value
        lines += [f"{field}: {text}" for text in texts]
    return lines
