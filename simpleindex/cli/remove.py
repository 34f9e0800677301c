"""`remove`: take projects, releases or files out of an index."""

from pathlib import Path

import click

from simpleindex.access import AUTOMATIC_INDEX, ROOT_AT_CONSOLE
from simpleindex.cli.directory import open_as_owner
from simpleindex.cli.options import config_from, setting_options
from simpleindex.cli.telling import count_text, json_option, tell
from simpleindex_storage import upkeep
from simpleindex_storage.errors import NotStored, Refused
from simpleindex_storage.model import DistFile
from simpleindex_storage.names import (
    IndexName,
    ProjectName,
    parse_filename,
    parse_index_name,
    parse_project_name,
    parse_version,
    same_version,
)
from simpleindex_storage.ports import Change


@click.command("remove")
@click.argument("project")
@click.argument("version", required=False)
@click.option("--file", "filename", help="Only this file.")
@click.option(
    "--index", "index_text", default=AUTOMATIC_INDEX, show_default=True, help="Out of which index."
)
@click.option(
    "--give-up-name",
    is_flag=True,
    help="Let mirrors show a project of that name from now on, which may be a stranger's.",
)
@click.option(
    "--force", is_flag=True, help="Also out of an index that never removes files (volatile=False)."
)
@json_option
@setting_options("serverdir")
def command(
    *,
    project: str,
    version: str | None,
    filename: str | None,
    index_text: str,
    give_up_name: bool,
    force: bool,
    as_json: bool,
    config_file: Path | None,
    **flags: object,
) -> None:
    """Remove a PROJECT, one VERSION of it, or a single file, for good.

    Works while the server runs. With the last file of a release its documentation goes; with the
    last release the project. Its name goes on keeping mirrors out, unless it is given up, now or
    later.
    """
    if give_up_name and (version or filename):
        raise click.UsageError("--give-up-name is for a whole project")
    index, name = parse_index_name(index_text), parse_project_name(project)
    number = None if version is None else parse_version(version)
    key = None if filename is None else parse_filename(filename).key

    def remove(change: Change) -> list[DistFile]:
        if change.index(index) is None:
            raise NotStored(f"index {index}")
        if change.project(index, name) is None:
            if not (give_up_name and change.had_project(index, name)):
                raise NotStored(f"project {name} in {index}")
            change.forget_former(index, name)  # there is no file left to protect
            return []
        _check_removable(change, index, force)
        files = [
            file
            for file in change.files(index, name)
            if (number is None or same_version(file.version, number)) and key in (None, file.key)
        ]
        _remove(change, index, name, number, files if key is not None else None)
        if give_up_name:
            change.forget_former(index, name)
        return files

    config = config_from(config_file, flags)
    with open_as_owner(config.serverdir) as store:
        removed = store.catalog.change(remove, by=ROOT_AT_CONSOLE, what="remove")
        store.sweep_if_possible()
    what = f"{name} {number}" if number else name
    tell(
        {"index": index, "removed": [file.filename for file in removed]},
        [f"{index}: {count_text(len(removed), 'file')} of {what} removed"],
        as_json=as_json,
    )


def _check_removable(change: Change, name: IndexName, force: bool) -> None:
    index = change.index(name)
    if index is not None and not index.settings.volatile and not force:
        raise Refused(name, "it never removes files (volatile=False); --force does it all the same")


def _remove(
    change: Change,
    index: IndexName,
    name: ProjectName,
    version: str | None,
    files: list[DistFile] | None,
) -> None:
    if files is not None:
        if not files:
            raise NotStored(f"such a file of {name} in {index}")
        for file in files:
            upkeep.remove_file(change, file)
    elif version is not None:
        upkeep.remove_release(change, index, name, version)
    else:
        upkeep.remove_project(change, index, name)
