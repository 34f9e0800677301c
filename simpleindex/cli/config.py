"""`config show`: every setting, and where its value came from."""

import json
from pathlib import Path

import click

from simpleindex.cli.options import config_from, part_text, setting_options
from simpleindex.config import settings
from simpleindex.secrets_in_urls import without_account


@click.group("config", no_args_is_help=False)
def command() -> None:
    """Look at the settings."""


@command.command("show")
@setting_options()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def show(config_file: Path | None, as_json: bool, **flags: object) -> None:
    """Print each setting, its value, and where that came from.

    Flags win over the environment (SIMPLEINDEX_PORT), that over the settings file
    (SERVERDIR/simpleindex.toml), and that over the default.
    """
    config = config_from(config_file, flags)
    rows = [
        (entry.name, _text(getattr(config, entry.name)), config.source_of(entry.name))
        for entry in settings()
    ]
    if as_json:
        click.echo(
            json.dumps({name: {"value": value, "from": source} for name, value, source in rows})
        )
        return
    name_width = max(len(name) for name, _, _ in rows)
    value_width = max(len(value) for _, value, _ in rows)
    for name, value, source in rows:
        click.echo(f"{name:{name_width}}  {value:{value_width}}  ({source})")


def _text(value: object) -> str:
    """A value as it would be written in the environment, but for a password in it."""
    if value is None or value == ():
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(map(part_text, value))
    return without_account(str(value))
