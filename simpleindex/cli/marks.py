"""`yank`, `unyank`, `archive`, `deprecate`, `quarantine`, `activate`: mark what is there."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import click

from simpleindex.access import AUTOMATIC_INDEX, ROOT_AT_CONSOLE
from simpleindex.cli.directory import open_as_owner
from simpleindex.cli.options import config_from, setting_options
from simpleindex.cli.telling import count_text, json_option, tell
from simpleindex.config import Config
from simpleindex_storage.model import JsonValue, ProjectStatus
from simpleindex_storage.names import (
    parse_index_name,
    parse_project_name,
    parse_version,
)
from simpleindex_storage.ports import Change
from simpleindex_storage.records import project_json
from simpleindex_storage.upkeep import mark_project, yank_release

T = TypeVar("T")

_INDEX = click.option(
    "--index", "index_text", default=AUTOMATIC_INDEX, show_default=True, help="Of which index."
)
_REASON = click.option(
    "--reason", default="", metavar="TEXT", help="One line that installers and people are shown."
)


@click.command("yank")
@click.argument("project")
@click.argument("version")
@_INDEX
@_REASON
@json_option
@setting_options("serverdir")
def yank(
    *,
    project: str,
    version: str,
    index_text: str,
    reason: str,
    as_json: bool,
    config_file: Path | None,
    **flags: object,
) -> None:
    """Yank a release: installers take it only for who asks for exactly that version.

    Works while the server runs, and can be taken back with unyank.
    """
    count = _yank(config_from(config_file, flags), index_text, project, version, reason)
    _tell_yank(index_text, project, version, count, reason, as_json=as_json)


@click.command("unyank")
@click.argument("project")
@click.argument("version")
@_INDEX
@json_option
@setting_options("serverdir")
def unyank(
    *,
    project: str,
    version: str,
    index_text: str,
    as_json: bool,
    config_file: Path | None,
    **flags: object,
) -> None:
    """Take a yank back."""
    count = _yank(config_from(config_file, flags), index_text, project, version, None)
    _tell_yank(index_text, project, version, count, None, as_json=as_json)


def _status_command(verb: str, status: ProjectStatus, help_text: str) -> click.Command:
    @click.command(verb, help=help_text)
    @click.argument("project")
    @_INDEX
    @_REASON
    @json_option
    @setting_options("serverdir")
    def command(
        *,
        project: str,
        index_text: str,
        reason: str,
        as_json: bool,
        config_file: Path | None,
        **flags: object,
    ) -> None:
        index, name = parse_index_name(index_text), parse_project_name(project)
        work = partial(mark_project, index=index, project=name, status=status, reason=reason)
        marked = _change(work, verb, config_from(config_file, flags))
        tell(project_json(marked), [f"{index}: {name} is {status} now"], as_json=as_json)

    return command


archive = _status_command(
    "archive",
    ProjectStatus.ARCHIVED,
    "Mark a project as no longer maintained: it takes no uploads, and can be installed.",
)
deprecate = _status_command(
    "deprecate",
    ProjectStatus.DEPRECATED,
    "Mark a project as superseded: it can be installed, and tools may warn.",
)
quarantine = _status_command(
    "quarantine",
    ProjectStatus.QUARANTINED,
    "Offer a project's files to nobody, and take no uploads, until it is active again.",
)
activate = _status_command(
    "activate", ProjectStatus.ACTIVE, "Take back what archive, deprecate or quarantine did."
)


def _yank(config: Config, index_text: str, project: str, version: str, reason: str | None) -> int:
    index, name = parse_index_name(index_text), parse_project_name(project)
    number = parse_version(version)
    work = partial(yank_release, index=index, project=name, version=number, reason=reason)
    return _change(work, "unyank" if reason is None else "yank", config)


def _tell_yank(
    index_text: str, project: str, version: str, count: int, reason: str | None, *, as_json: bool
) -> None:
    name, number = parse_project_name(project), parse_version(version)
    done = "unyanked" if reason is None else "yanked"
    document: JsonValue = {
        "index": index_text,
        "project": name,
        "version": number,
        "yanked": False if reason is None else reason or True,
        "files": count,
    }
    line = f"{index_text}: {name} {number} {done} ({count_text(count, 'file')})"
    tell(document, [line], as_json=as_json)


def _change(work: Callable[[Change], T], what: str, config: Config) -> T:
    with open_as_owner(config.serverdir) as store:
        return store.catalog.change(work, by=ROOT_AT_CONSOLE, what=what)
