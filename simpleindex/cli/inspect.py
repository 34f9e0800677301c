"""`inspect`: look through wheels and source distributions without taking them in."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from simpleindex.cli.packages import find_packages
from simpleindex.cli.telling import say
from simpleindex_storage.errors import StoreError
from simpleindex_storage.inspection import inspect
from simpleindex_storage.names import parse_filename


@click.command("inspect")
@click.argument(
    "paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PATH..."
)
def command(paths: tuple[Path, ...]) -> None:
    """Look through wheels and source distributions, or folders of them, whole.

    Needs no server. Tells of each file what would hurt or fool an installer ("bad": the exit code
    is 1 then) and what is merely old or sloppy ("odd"). Good before a folder is carried to a site
    from which nobody can fetch another copy.
    """
    found, closed = find_packages(paths)
    reports = [_Report(path, bad=reason) for path, reason in closed]
    reports += map(_look_through, found)
    for report in reports:
        for line in report.lines():
            say(line)
    bad = sum(report.bad is not None for report in reports)
    odd = sum(bool(report.odd) for report in reports)
    click.echo(f"{len(reports)} files: {len(reports) - bad - odd} good, {odd} odd, {bad} bad")
    if bad:
        raise click.exceptions.Exit(1)


@dataclass(frozen=True, slots=True)
class _Report:
    path: Path
    bad: str | None = None
    odd: tuple[str, ...] = ()

    def lines(self) -> Iterator[str]:
        """What there is to say; nothing of a good file."""
        for word, sentence in [("bad", self.bad), *(("odd", each) for each in self.odd)]:
            if sentence is not None:
                yield f"{word}  {self.path}: {sentence.removeprefix(f'{self.path.name}: ')}"


def _look_through(path: Path) -> _Report:
    try:
        _, findings = inspect(path, parse_filename(path.name))
    except StoreError as error:
        return _Report(path, bad=str(error))
    return _Report(path, odd=tuple(finding.sentence for finding in findings))
