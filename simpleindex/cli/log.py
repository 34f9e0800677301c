"""`log`: who changed what, when and from where."""

import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path

import click

from simpleindex.audit_log import Wanted, line_for_people, line_for_programs, parse_time
from simpleindex.cli.directory import open_as_owner, require_directory
from simpleindex.cli.options import config_from, setting_options
from simpleindex.cli.telling import json_option, printable, tell
from simpleindex.config import Config
from simpleindex_storage.journal_lines import Entry, JournalReader
from simpleindex_storage.log_retention import Trimmed, trim_log
from simpleindex_storage.model import JsonValue
from simpleindex_storage.names import parse_index_name, parse_project_name, parse_user_name
from simpleindex_storage.opening import utc_now
from simpleindex_storage.sqlite_file import standing_of

_LINES = 50
_LOOK_AGAIN_SECONDS = 0.5


@click.command("log")
@click.option("--since", metavar="TIME", help="From then on: 2026-01-31, or 7d, 12h, 30m ago.")
@click.option("--until", metavar="TIME", help="Up to then; of a day, to its end.")
@click.option("--user", metavar="NAME", help="What this user did.")
@click.option("--index", metavar="USER/INDEX", help="What was done to this index.")
@click.option("--project", metavar="NAME", help="What was done to this project.")
@click.option(
    "--what",
    multiple=True,
    metavar="WORD",
    help="Only upload, remove, yank, ...; repeatable.",
)
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(min=0),
    metavar="N",
    help="The last N lines; 0: all [default: 50; with --json all].",
)
@click.option("--follow", is_flag=True, help="Go on as more is done, until interrupted.")
@click.option(
    "--trim", is_flag=True, help="Show nothing; remove what is older than the setting log_days."
)
@json_option
@setting_options("serverdir", "log_days")
def command(
    *,
    since: str | None,
    until: str | None,
    user: str | None,
    index: str | None,
    project: str | None,
    what: tuple[str, ...],
    lines: int | None,
    follow: bool,
    trim: bool,
    as_json: bool,
    config_file: Path | None,
    **flags: object,
) -> None:
    """Tell who changed what, when and from where; the newest comes last.

    A line for each change: time (UTC), user, address, what was done, and to what. With --json a
    JSON object for each, with all that was changed but for passwords and other secrets. The
    server may run meanwhile; its catalog is not needed.
    """
    config = config_from(config_file, flags)
    if trim:
        _trim(config, as_json=as_json)
        return
    now = utc_now()
    wanted = Wanted(
        since=None if since is None else parse_time(since, now),
        until=None if until is None else parse_time(until, now, is_end=True),
        user=None if user is None else parse_user_name(user),
        index=None if index is None else parse_index_name(index),
        project=None if project is None else parse_project_name(project),
        what=what,
    )
    root = config.serverdir
    require_directory(root)
    reader = JournalReader(root)
    found: Iterable[Entry] = _new_entries(root, reader, wanted)
    count = (0 if as_json else _LINES) if lines is None else lines
    if count:
        found = deque(found, maxlen=count)
    if follow:
        found = chain(found, _more_entries(root, reader, wanted))
    if not _print(found, line_for_programs if as_json else _line_for_people) and not follow:
        click.echo("simpleindex-server: nothing in the log fits", err=True)


def _new_entries(root: Path, reader: JournalReader, wanted: Wanted) -> Iterator[Entry]:
    """What is wanted of the lines that were not read yet."""
    # Lines beyond what is committed may yet be taken back.
    standing = standing_of(root / "catalog.sqlite")
    for path, line in reader.read(None if standing is None else standing.serial):
        if line.entry is None:
            click.echo(
                f"simpleindex-server: warning: a line of {path.name} is damaged, at byte "
                f"{line.end}",
                err=True,
            )
        elif wanted.takes(line.entry):
            yield line.entry


def _more_entries(root: Path, reader: JournalReader, wanted: Wanted) -> Iterator[Entry]:
    """What comes from now on, without an end."""
    while True:
        time.sleep(_LOOK_AGAIN_SECONDS)
        yield from _new_entries(root, reader, wanted)


def _line_for_people(entry: Entry) -> str:
    return printable(line_for_people(entry))


def _print(entries: Iterable[Entry], line_of: Callable[[Entry], str]) -> bool:
    """Print them; whether there were any."""
    is_any = False
    try:
        with suppress(KeyboardInterrupt):  # how following ends
            for entry in entries:
                is_any = True
                click.echo(line_of(entry))  # which flushes
    except BrokenPipeError:  # `log | head` has seen enough; Python must not complain at the end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return is_any


def _trim(config: Config, *, as_json: bool) -> None:
    with open_as_owner(config.serverdir) as store:
        trimmed = trim_log(config.serverdir, store.catalog, config.log_days, utc_now())
    document: dict[str, JsonValue] = {
        "log_days": config.log_days,
        "removed": list(trimmed.removed),
        "state_serial": trimmed.state_serial,
    }
    tell(document, [_told(config.log_days, trimmed)], as_json=as_json)


def _told(log_days: int, trimmed: Trimmed) -> str:
    if not log_days:
        return "The log is kept for ever; the setting log_days says for how many days it may be."
    if not trimmed.removed:
        return f"Nothing has to go yet; lines are kept for {log_days} days."
    return f"Removed {', '.join(trimmed.removed)}; what was in there is older than {log_days} days."
