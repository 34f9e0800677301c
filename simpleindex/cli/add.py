"""`add`: take wheels and source distributions in from the disk."""

import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import click

from simpleindex.access import AUTOMATIC_INDEX
from simpleindex.cli.directory import open_as_owner
from simpleindex.cli.options import config_from, setting_options
from simpleindex.cli.packages import PACKAGES, find_packages
from simpleindex_storage.errors import NotStored, Refused, StoreError
from simpleindex_storage.model import Index, MirrorSettings, Outcome, StageSettings, Upload
from simpleindex_storage.names import IndexName, owner_of, parse_index_name
from simpleindex_storage.store import Store

_READ_BYTES = 1 << 20
_AT_A_TIME = 4
"""Files that are on their way at once; what becomes ready together shares a commit."""


@click.command("add")
@click.argument(
    "paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PATH..."
)
@click.option(
    "--index",
    "index_text",
    default=AUTOMATIC_INDEX,
    show_default=True,
    help="Where to; root/local is made if it is not there.",
)
@setting_options("serverdir")
def command(
    paths: tuple[Path, ...], index_text: str, config_file: Path | None, **flags: object
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
        results += _add_all(store, index, found)
    _report(results, index)
    if any(result.refused for result in results):
        raise click.exceptions.Exit(1)


@dataclass(frozen=True, slots=True)
class _Result:
    path: Path
    outcome: Outcome | None
    refused: str | None = None


def _add_all(store: Store, index: IndexName, found: Sequence[Path]) -> list[_Result]:
    make_index = None
    with store.catalog.snapshot() as seen:
        there = seen.index(index)
    if index == AUTOMATIC_INDEX:
        settings = StageSettings(volatile=False, acl_upload=(owner_of(index),))
        make_index = Index(index, settings, automatic=True)
    elif there is None:
        raise NotStored(
            f"index {index}", f"create it with `devpi index -c {index}`, or leave --index away"
        )
    elif isinstance(there.settings, MirrorSettings):
        raise Refused(index, "this index mirrors another one and takes no packages")
    results = []
    with (
        ThreadPoolExecutor(_AT_A_TIME) as threads,
        click.progressbar(
            length=len(found), label="Adding", file=sys.stderr, hidden=not sys.stderr.isatty()
        ) as progress,
    ):
        for result in threads.map(lambda path: _add(store, index, make_index, path), found):
            results.append(result)
            progress.update(1)
    return results


def _add(store: Store, index: IndexName, make_index: Index | None, path: Path) -> _Result:
    upload = Upload(index=index, filename=path.name, sender=owner_of(AUTOMATIC_INDEX))
    try:
        with path.open("rb") as file, store.stage() as draft:
            while chunk := file.read(_READ_BYTES):
                draft.write(chunk)
            (admitted,) = store.admit([(upload, draft.finish())], make_index=make_index)
    except StoreError as error:
        return _Result(path, None, str(error).removeprefix(f"{path.name}: "))
    except OSError as error:
        return _Result(path, None, f"cannot be read: {error.strerror}")
    return _Result(path, admitted.outcome)


def _report(results: Sequence[_Result], index: IndexName) -> None:
    for result in results:
        if result.refused:
            click.echo(f"refused  {result.path}: {result.refused}", err=True)
    counts = {outcome: 0 for outcome in Outcome}
    for result in results:
        if result.outcome is not None:
            counts[result.outcome] += 1
    refused = sum(1 for result in results if result.refused)
    line = f"{index}: {counts[Outcome.ADDED]} added, {counts[Outcome.ALREADY_THERE]} already there"
    if counts[Outcome.REPLACED]:
        line += f", {counts[Outcome.REPLACED]} replaced"
    click.echo(f"{line}, {refused} refused")
    if not results:
        click.echo(f"No wheels (.whl) or source distributions ({', '.join(PACKAGES[1:])}) found.")
