"""`init`: make a server directory."""

import sys
from pathlib import Path
from typing import TextIO

import click

from simpleindex.cli.directory import keep_others_out
from simpleindex.cli.options import (
    ROOT_PASSWORD_VARIABLE,
    config_from,
    devpi_options,
    first_line,
    require_owner,
    setting_options,
    this_command,
    warn_of_ignored,
)
from simpleindex.initialise import PASSWORD_FILE, initialise
from simpleindex_storage.opening import FolderState, state_of, utc_now


@click.command("init")
@setting_options("serverdir")
@click.option(
    "--root-passwd",
    envvar=ROOT_PASSWORD_VARIABLE,
    help="Password of the user root [default: a random one].",
)
@click.option(
    "--root-passwd-file",
    type=click.File("r", encoding="utf-8"),
    help="Take it from the first line of this file; - for standard input.",
)
@click.option("--no-root-pypi", is_flag=True, help="Do not create the mirror root/pypi.")
@devpi_options
@click.pass_context
def command(
    context: click.Context,
    /,
    config_file: Path | None,
    root_passwd: str | None,
    root_passwd_file: TextIO | None,
    no_root_pypi: bool,
    **flags: object,
) -> None:
    """Make a new server directory with the user root.

    A random password is printed once, if this is a terminal, and kept in the file root-password
    of the directory until it is changed.
    """
    config = config_from(config_file, flags)
    root = config.serverdir
    warn_of_ignored(context)
    require_owner(root)
    keep_others_out()
    if state_of(root) is FolderState.OURS:
        raise click.ClickException(f"{root} is a server directory already; nothing was changed")
    if root_passwd_file is not None:
        root_passwd = first_line(root_passwd_file)
    made = initialise(root, utc_now(), password=root_passwd, with_pypi=not no_root_pypi)
    click.echo(f"Made the server directory {root}")
    if made is not None:
        if sys.stdout.isatty():
            click.echo(f"Password of root: {made}")
        click.echo(f"The password of root is in {root / PASSWORD_FILE} until it is changed.")
    click.echo(f"Next: {this_command()} serve --serverdir={root}")
