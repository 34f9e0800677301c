"""`doctor`: look a site over, and say what is unsafe or broken."""

import os
from collections import Counter
from dataclasses import replace
from pathlib import Path

import click

from simpleindex.access import AUTOMATIC_INDEX
from simpleindex.cli.doctor_targets import Asked, examine_targets
from simpleindex.cli.options import as_typed, config_from, setting_options
from simpleindex.cli.telling import json_option, tell
from simpleindex.doctor.checks import findings
from simpleindex.doctor.examined import examine
from simpleindex.doctor.finding import Finding, Level
from simpleindex_storage.model import JsonValue
from simpleindex_storage.opening import utc_now


@click.command("doctor")
@click.option("--online", is_flag=True, help="Also try whether what mirrors show answers.")
@click.option(
    "--targets",
    "is_of_targets",
    is_flag=True,
    help="Instead, find out whether each target can install what it shall, from here alone.",
)
@click.option(
    "-r",
    "--requirement",
    "requirements",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="With --targets: what they shall install [default: what bundles were made for, and each "
    "project that was put in by itself]. Repeatable.",
)
@click.option(
    "--constraint",
    "constraints",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="With -r: bounds of versions, as for pip. Repeatable.",
)
@click.option(
    "--target",
    "target_names",
    multiple=True,
    metavar="TARGET",
    help="With --targets: only this one, known or not. Repeatable.",
)
@click.option(
    "--project",
    "project_names",
    multiple=True,
    metavar="NAME",
    help="With --targets: only tell which release of it can be installed on which target.",
)
@click.option(
    "--index",
    "index_text",
    default=AUTOMATIC_INDEX,
    show_default=True,
    metavar="USER/INDEX",
    help="With --targets: the index that hosts are given.",
)
@json_option
@setting_options()
def command(
    *,
    online: bool,
    is_of_targets: bool,
    requirements: tuple[Path, ...],
    constraints: tuple[Path, ...],
    target_names: tuple[str, ...],
    project_names: tuple[str, ...],
    index_text: str,
    as_json: bool,
    config_file: Path | None,
    **flags: object,
) -> None:
    """Look the whole site over: versions, disk, clock, rights, settings, accounts, backups.

    Give it the options that the server has, or let both read them from simpleindex.toml. Each line
    tells a level, a word that stays the same, and what was found: ok; note (maybe as it is meant);
    unsafe (somebody could do harm); error (it does not work, or soon will not). The exit code is 1
    if there are errors. Nothing is changed, and without --online nobody is asked.

    With --targets it tells instead what each kind of host can install with nothing but what is
    here, and for the rest why not; the exit code is 1 if there is any.
    """
    config = config_from(config_file, flags)
    if is_of_targets:
        asked = Asked(
            config.serverdir, index_text, target_names, requirements, constraints, project_names
        )
        examine_targets(asked, as_json=as_json)
        return
    if requirements or constraints or target_names or project_names:
        raise click.UsageError("-r, --constraint, --target and --project are for --targets")
    found = [
        replace(each, advice=as_typed(each.advice, config.serverdir))
        for each in findings(examine(config, os.environ, utc_now(), is_online=online))
    ]
    counts = Counter(each.level for each in found)
    document: dict[str, JsonValue] = {
        "counts": {level.value: counts[level] for level in Level},
        "findings": [
            {"level": each.level, "code": each.code, "what": each.what, "advice": each.advice}
            for each in found
        ],
    }
    lines = [line for each in found for line in _lines(each)]
    told = ", ".join(f"{counts[level]} {level.value}" for level in Level if counts[level])
    tell(document, [*lines, told], as_json=as_json)
    if counts[Level.ERROR]:
        raise click.exceptions.Exit(1)


def _lines(each: Finding) -> list[str]:
    lines = [f"{each.level.value:6}  {each.code}: {each.what}"]
    return [*lines, f"        {each.advice}"] if each.advice else lines
