"""`rebuild`: make the catalog anew, from the journal or from the files alone."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from simpleindex.access import ROOT, ROOT_AT_CONSOLE, hash_password
from simpleindex.cli.directory import require_directory
from simpleindex.cli.options import config_from, setting_options, this_command
from simpleindex.cli.telling import count_text, json_option, tell
from simpleindex.initialise import PASSWORD_FILE, keep_password, make_secret, random_password
from simpleindex_storage.model import JsonValue, User
from simpleindex_storage.opening import utc_now
from simpleindex_storage.rebuild.again import Rebuilt, rebuild
from simpleindex_storage.rebuild.from_files import rebuild_from_files

_SHOWN_MAX = 20
_EXIT_NOT_ALL = 1


@click.command("rebuild")
@click.option(
    "--drop-missing", is_flag=True, help="Forget recorded files whose bytes are not there any more."
)
@click.option(
    "--skip-damaged",
    is_flag=True,
    help="Go on past lines of the journal that are damaged or missing, and tell which.",
)
@click.option(
    "--from-files",
    is_flag=True,
    help="Without a journal: take what paths and archives tell. Users are without passwords.",
)
@json_option
@setting_options("serverdir")
@click.pass_context
def command(
    context: click.Context,
    /,
    *,
    drop_missing: bool,
    skip_damaged: bool,
    from_files: bool,
    as_json: bool,
    config_file: Path | None,
    **flags: object,
) -> None:
    """Make the catalog anew, when it is lost or damaged. The server must not run.

    From state.json and the journal, so that all pages are the same as before, byte for byte. The
    old catalog is kept as catalog.sqlite.damaged-TIME; what is interrupted leaves it in place.
    Then the catalog is compared with the files. Exit code 1: files are missing, or something was
    left out; all of it is told.
    """
    if from_files and (drop_missing or skip_damaged):
        raise click.UsageError("--from-files goes without the other two: it reads no journal")
    root = config_from(config_file, flags).serverdir
    require_directory(root)
    begun = time.monotonic()
    with _percent() as progress:
        if from_files:
            password = random_password()
            user = User(ROOT, hash_password(password), 1, utc_now())
            done = rebuild_from_files(
                root, utc_now(), by=ROOT_AT_CONSOLE, root_user=user, progress=progress
            )
            keep_password(root, password)
            make_secret(root)
        else:
            done = rebuild(
                root,
                utc_now(),
                by=ROOT_AT_CONSOLE,
                skip_damaged=skip_damaged,
                drop_missing=drop_missing,
                progress=progress,
            )
    seconds = time.monotonic() - begun
    lines = _lines(root, done, seconds, from_files=from_files)
    tell(_document(done, seconds), lines, as_json=as_json)
    if done.skipped or (done.missing and not done.dropped):
        context.exit(_EXIT_NOT_ALL)


class _Progress:
    """Percents, at a terminal."""

    def __init__(self, *, hidden: bool) -> None:
        self._hidden = hidden
        self._shown = -1

    def __call__(self, done: int, total: int) -> None:
        percent = 100 * done // total if total else 100
        if percent != self._shown and not self._hidden:
            click.echo(f"\rRebuilding {percent:3} %", err=True, nl=False)
            self._shown = percent

    def close(self) -> None:
        """End the line."""
        if self._shown >= 0:
            click.echo("", err=True)


@contextmanager
def _percent() -> Iterator[_Progress]:
    progress = _Progress(hidden=not sys.stderr.isatty())
    try:
        yield progress
    finally:
        progress.close()


def _document(done: Rebuilt, seconds: float) -> dict[str, JsonValue]:
    return {
        "serial": done.serial,
        "lines": done.lines,
        "counts": dict(done.counts),
        "seconds": round(seconds, 2),
        "kept": None if done.kept is None else str(done.kept),
        "new_uuid": done.has_new_uuid,
        "unfinished": done.unfinished or None,
        "left_out": list(done.skipped),
        "missing": [place.path for place in done.missing],
        "dropped": done.dropped,
        "unknown": list(done.unknown),
        "without_password": list(done.without_password),
    }


def _lines(root: Path, done: Rebuilt, seconds: float, *, from_files: bool) -> Iterator[str]:
    counts = done.counts
    source = "the files" if from_files else count_text(done.lines, "line") + " of the journal"
    yield (
        f"The catalog is made anew from {source}, in {seconds:.1f} s: "
        f"{count_text(counts['files'], 'file')} of {count_text(counts['projects'], 'project')} in "
        f"{count_text(counts['indexes'], 'index', 'indexes')}, "
        f"{count_text(counts['users'], 'user')}; serial {done.serial}."
    )
    if done.kept is not None:
        yield f"The old one is kept as {done.kept}; remove it when all is well."
    if done.has_new_uuid:
        yield "What the server was called is not known any more: it has a new uuid."
    if done.unfinished:
        yield f"Not taken, as it was never finished: {done.unfinished}."
    yield from _some("Left out:", done.skipped)
    missing = [place.path for place in done.missing]
    yield from _some(
        "Recorded without their bytes, and forgotten:"
        if done.dropped
        else "Recorded, but their bytes are not there (--drop-missing forgets them):",
        missing,
    )
    yield from _some("In files/ without a record, and so seen by nobody:", done.unknown)
    if from_files:
        yield f"Root has a new password, in {root / PASSWORD_FILE}."
        yield (
            "Settings of indexes, mirrors, tokens, yanks and statuses are lost; indexes take "
            "uploads of their owners, and never replace files."
        )
    if done.without_password:
        names = ", ".join(done.without_password)
        yield f"Without a password: {names}; `{this_command()} passwd USER` sets one."


def _some(title: str, names: tuple[str, ...] | list[str]) -> Iterator[str]:
    if names:
        yield title
        yield from (f"  {name}" for name in names[:_SHOWN_MAX])
    if len(names) > _SHOWN_MAX:
        yield f"  and {len(names) - _SHOWN_MAX} more; --json tells all"
