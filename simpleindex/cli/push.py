"""`push`: bring a release from one index into another, on the server's disk."""

from pathlib import Path

import click

from simpleindex.access import AUTOMATIC_INDEX, ROOT_AT_CONSOLE
from simpleindex.cli.directory import open_as_owner
from simpleindex.cli.options import config_from, setting_options
from simpleindex.cli.telling import json_option, tell
from simpleindex.pushing.cargo import load
from simpleindex.pushing.transfer import push
from simpleindex_storage.names import parse_index_name, parse_project_name, parse_version
from simpleindex_storage.opening import utc_now


@click.command("push")
@click.argument("project")
@click.argument("version")
@click.argument("target", metavar="TARGET-INDEX")
@click.option(
    "--index", "index_text", default=AUTOMATIC_INDEX, show_default=True, help="Out of which index."
)
@click.option("--no-docs", is_flag=True, help="Without its documentation.")
@click.option("--only-docs", is_flag=True, help="Its documentation alone.")
@json_option
@setting_options("serverdir")
def command(
    *,
    project: str,
    version: str,
    target: str,
    index_text: str,
    no_docs: bool,
    only_docs: bool,
    as_json: bool,
    config_file: Path | None,
    **flags: object,
) -> None:
    """Push a release to another index (USER/INDEX) of this server: all its files, or none.

    The files take no more room; test results and documentation go along.
    """
    if no_docs and only_docs:
        raise click.UsageError("--no-docs and --only-docs leave nothing to push")
    source, into = parse_index_name(index_text), parse_index_name(target)
    name, number = parse_project_name(project), parse_version(version)
    config = config_from(config_file, flags)
    with open_as_owner(config.serverdir) as store:
        with store.catalog.snapshot() as seen:
            cargo = load(
                seen,
                source,
                name,
                number,
                with_files=not only_docs,
                with_documentation=not no_docs,
            )
        steps = push(store, cargo, into, by=ROOT_AT_CONSOLE, when=utc_now())
    tell(
        [step.line for step in steps],
        [" ".join(step.words) for step in steps],
        as_json=as_json,
    )
