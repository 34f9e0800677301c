"""`add`: take wheels and source distributions in from the disk."""

import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import click

from simpleindex.access import ROOT_AT_CONSOLE
from simpleindex.cli.directory import index_to_make, into_index_option, open_as_owner
from simpleindex.cli.options import config_from, setting_options
from simpleindex.cli.packages import PACKAGES, find_packages
from simpleindex.cli.telling import say
from simpleindex_storage import faults
from simpleindex_storage.errors import Refused, StoreError
from simpleindex_storage.model import Index, Outcome, Upload
from simpleindex_storage.names import IndexName, parse_index_name
from simpleindex_storage.store import Store

_READ_BYTES = 1 << 20
_AT_A_TIME = 4
"""Files that are on their way at once; what becomes ready together shares a commit."""


@click.command("add")
@click.argument(
    "paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PATH..."
)
@into_index_option
@click.option(
    "--strict-archives/--no-strict-archives",
    default=None,
    help="Whether to refuse files that some installer can use although something is wrong with "
    "them: old or sloppy archives, eggs. What is taken all the same is told. [default: as the "
    "index is set, which is to refuse them]",
)
@setting_options("serverdir")
def command(
    paths: tuple[Path, ...],
    index_text: str,
    strict_archives: bool | None,
    config_file: Path | None,
    **flags: object,
) -> None:
    """Take wheels and source distributions, or folders of them, into an index.

    Works while the server runs; what was added is visible at once. Files that are there already
    are left alone, so that the same folder can be added again.
    """
    config = config_from(config_file, flags)
    index = parse_index_name(index_text)
    found, closed = find_packages(paths)
    results = [_Result(path, None, reason) for path, reason in closed]
    with open_as_owner(config.serverdir) as store:
        results += _add_all(_Target(store, index, strict_archives), found)
    _report(results, index)
    if any(result.refused for result in results):
        raise click.exceptions.Exit(1)


@dataclass(frozen=True, slots=True)
class _Result:
    path: Path
    outcome: Outcome | None
    refused: str | None = None
    for_strictness: bool = False
    """Whether it was refused only because the index is strict."""
    remarks: tuple[str, ...] = ()
    """What is wrong with a file that was taken."""


@dataclass(frozen=True, slots=True)
class _Target:
    """Where files go, and how."""

    store: Store
    index: IndexName
    strict_archives: bool | None
    make_index: Index | None = None


def _add_all(target: _Target, found: Sequence[Path]) -> list[_Result]:
    target = replace(target, make_index=index_to_make(target.store, target.index))
    results = []
    with (
        ThreadPoolExecutor(_AT_A_TIME) as threads,
        click.progressbar(
            length=len(found), label="Adding", file=sys.stderr, hidden=not sys.stderr.isatty()
        ) as progress,
    ):
        for result in threads.map(lambda path: _add(target, path), found):
            results.append(result)
            progress.update(1)
    return results


def _add(target: _Target, path: Path) -> _Result:
    upload = Upload(index=target.index, filename=path.name, sender=ROOT_AT_CONSOLE.name)
    try:
        with path.open("rb") as file, target.store.stage() as draft:
            while chunk := file.read(_READ_BYTES):
                draft.write(chunk)
            (admitted,) = target.store.admit(
                [(upload, draft.finish())],
                by=ROOT_AT_CONSOLE,
                make_index=target.make_index,
                strict_archives=target.strict_archives,
            )
    except StoreError as error:
        is_strictness = isinstance(error, Refused) and faults.is_strictness(error)
        return _Result(path, None, _below(path, str(error)), is_strictness)
    except OSError as error:
        return _Result(path, None, f"cannot be read: {error.strerror}")
    remarks = tuple(_below(path, remark) for remark in admitted.remarks)
    return _Result(path, admitted.outcome, remarks=remarks)


def _below(path: Path, sentence: str) -> str:
    """A sentence that begins with a file's name, to stand behind its path."""
    return sentence.removeprefix(f"{path.name}: ")


def _report(results: Sequence[_Result], index: IndexName) -> None:
    for result in results:
        if result.refused:
            say(f"refused  {result.path}: {result.refused}", err=True)
        for remark in result.remarks:
            say(f"odd      {result.path}: {remark}", err=True)
    counts = {outcome: 0 for outcome in Outcome}
    for result in results:
        if result.outcome is not None:
            counts[result.outcome] += 1
    refused = sum(1 for result in results if result.refused)
    line = f"{index}: {counts[Outcome.ADDED]} added, {counts[Outcome.ALREADY_THERE]} already there"
    if counts[Outcome.REPLACED]:
        line += f", {counts[Outcome.REPLACED]} replaced"
    click.echo(f"{line}, {refused} refused")
    strict = sum(result.for_strictness for result in results)
    if strict:
        click.echo(
            f"{strict} of the refused files can be used by some installer; "
            "`add --no-strict-archives` takes them, and tells what is wrong with them"
        )
    if not results:
        click.echo(f"No packages ({', '.join(PACKAGES)}) found.")
