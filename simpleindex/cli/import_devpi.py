"""`import-devpi`: take over what a devpi-server had."""

import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Lock

import click

from simpleindex.access import ROOT, verify_password
from simpleindex.cli.directory import open_as_owner
from simpleindex.cli.options import config_from, setting_options, this_command
from simpleindex.cli.telling import say, tell
from simpleindex.devpi_dump.folder import (
    export_with,
    indexes_with_files,
    is_dump,
    is_server_directory,
    read_dump,
    read_server_directory,
)
from simpleindex.devpi_dump.importing import only, take_over
from simpleindex.devpi_dump.records import Dump
from simpleindex.devpi_dump.report import Options, Report
from simpleindex.initialise import PASSWORD_FILE
from simpleindex_storage.model import JsonValue, Outcome
from simpleindex_storage.names import IndexName, parse_index_name
from simpleindex_storage.store import Store

_WORK_FOLDER = "import-devpi.tmp"
_EXIT_NOT_ALL = 3


@click.command("import-devpi")
@click.argument(
    "folder",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="DIR",
)
@click.option(
    "--only",
    "only_texts",
    multiple=True,
    metavar="USER/INDEX",
    help="Take over only this index and its user; may be given several times.",
)
@click.option(
    "--python",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="PATH",
    help="An interpreter that has devpi-server, if DIR is the directory of a devpi-server.",
)
@click.option(
    "--keep-refused",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Copy files into this folder that cannot be taken.",
)
@click.option("--dry-run", is_flag=True, help="Look at everything, and change nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@setting_options("serverdir")
def command(
    *,
    folder: Path,
    only_texts: tuple[str, ...],
    python: Path | None,
    keep_refused: Path | None,
    dry_run: bool,
    as_json: bool,
    config_file: Path | None,
    **flags: object,
) -> None:
    """Take over users, indexes, files, documentation and test results of a devpi-server.

    DIR is what `devpi-export` has written, or the directory of a devpi-server that does not run.
    It is only read. Works while this server runs, and can be done again: what is here already is
    left alone.

    Exit code 0: everything was taken. 3: everything but what is listed. 1: it failed.
    """
    config = config_from(config_file, flags)
    names = [parse_index_name(text) for text in only_texts]
    options = Options(is_dry_run=dry_run, keep_refused=keep_refused)
    with (
        open_as_owner(config.serverdir) as store,
        _opened(folder, names, python, config.serverdir / _WORK_FOLDER) as dump,
        _progress(dump.files_count) as advance,
    ):
        report = take_over(store, dump, options, advance)
        _forget_first_password(store, config.serverdir / PASSWORD_FILE)
    if as_json:
        tell(_json(report, dry_run), [], as_json=True)
    else:
        _tell(report, dry_run)
    if not report.is_complete:
        raise click.exceptions.Exit(_EXIT_NOT_ALL)


@contextmanager
def _opened(
    folder: Path, names: Sequence[IndexName], python: Path | None, work: Path
) -> Iterator[Dump]:
    """The dump that a folder is, or that can be made of it, for the time of the block."""
    with ExitStack() as afterwards:
        if is_dump(folder):
            dump = read_dump(folder)
        elif not is_server_directory(folder):
            raise click.ClickException(
                f"{folder} is neither a folder that devpi-export has written (with "
                "dataindex.json in it) nor the directory of a devpi-server"
            )
        elif python is not None:
            shutil.rmtree(work, ignore_errors=True)  # of a run that was killed
            work.mkdir(mode=0o700)
            afterwards.callback(shutil.rmtree, work, ignore_errors=True)
            dump = read_dump(export_with(python.absolute(), folder.absolute(), work))
        elif names:
            dump, names = read_server_directory(folder, names), ()
        else:
            raise click.ClickException(_how_to_export(folder))
        yield only(dump, names) if names else dump


def _forget_first_password(store: Store, path: Path) -> None:
    """Remove the file with root's first password, if root has another one now."""
    with store.catalog.snapshot() as seen:
        root = seen.user(ROOT)
    if root is None or not path.exists():
        return
    if not verify_password(path.read_text("utf-8").strip(), root.password_hash):
        path.unlink()


def _how_to_export(folder: Path) -> str:
    found = [f"{name} ({count} files)" for name, count in indexes_with_files(folder).items()]
    return (
        f"{folder} is the directory of a devpi-server, and only devpi-server can read its users "
        "and indexes. Where it is installed, stop the server and run `devpi-export --serverdir="
        f"{folder} DUMP`, then `{this_command()} import-devpi DUMP`; or name the interpreter that "
        "has it with --python, which does both. If there is no devpi-server any more, the bare "
        "files of an index can be taken with --only USER/INDEX; do not name mirrors. There are: "
        + (", ".join(found) or "none")
    )


@contextmanager
def _progress(files_count: int) -> Iterator[Callable[[], None]]:
    """What is to be called after each file, from whatever thread."""
    lock = Lock()
    with click.progressbar(
        length=files_count, label="Importing", file=sys.stderr, hidden=not sys.stderr.isatty()
    ) as bar:

        def advance() -> None:
            with lock:
                bar.update(1)

        yield advance


def _tell(report: Report, dry_run: bool) -> None:
    for note in report.notes:
        word = "not taken" if note.is_lost else "note     "
        say(f"{word} {note.subject}: {note.text}", err=True)
    counts = report.counts
    of_what = {
        "users": counts.users,
        "indexes": counts.indexes,
        "files": counts.files,
        "docs and test results": counts.attachments,
        "releases without files": counts.releases,
    }
    say(f"From {report.source}{' (dry run: nothing was changed)' if dry_run else ''}:")
    for what, counted in of_what.items():
        if counted:
            click.echo(
                f"  {what}: {counted[Outcome.ADDED]} {'to take' if dry_run else 'taken'}, "
                f"{counted[Outcome.ALREADY_THERE]} already here"
            )
    lost = sum(note.is_lost for note in report.notes)
    click.echo(f"  not taken: {lost}" if lost else "  Nothing is missing.")


def _json(report: Report, dry_run: bool) -> dict[str, JsonValue]:
    counts = report.counts
    return {
        "source": report.source,
        "dry_run": dry_run,
        "complete": report.is_complete,
        **{
            name: {"taken": counted[Outcome.ADDED], "there": counted[Outcome.ALREADY_THERE]}
            for name, counted in (
                ("users", counts.users),
                ("indexes", counts.indexes),
                ("files", counts.files),
                ("attachments", counts.attachments),
                ("releases", counts.releases),
            )
        },
        "not_taken": [
            {"what": note.subject, "why": note.text} for note in report.notes if note.is_lost
        ],
        "remarks": [
            {"what": note.subject, "text": note.text} for note in report.notes if not note.is_lost
        ],
    }
