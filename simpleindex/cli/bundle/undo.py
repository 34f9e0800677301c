"""`bundle undo`: take an import back."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from simpleindex.access import ROOT_AT_CONSOLE
from simpleindex.cli.bundle.given import refusals_told
from simpleindex.cli.bundle.import_telling import comparison_document, comparison_lines
from simpleindex.cli.directory import open_as_owner
from simpleindex.cli.options import config_from, setting_options
from simpleindex.cli.telling import count_text, json_option, tell
from simpleindex.gap.bundle.site_ledger import latest_roots
from simpleindex.gap.bundle.undoing import Undone, import_of, look, undo
from simpleindex.gap.bundle.verdicts import Comparison, compare, standings
from simpleindex.gap.decisions import read_decisions
from simpleindex_storage.model import JsonValue
from simpleindex_storage.names import ProjectName
from simpleindex_storage.store import Store

_LAST = "last"


@dataclass(frozen=True, slots=True)
class _Told:
    """What was taken back, and what that means for hosts."""

    undone: Undone
    comparisons: tuple[Comparison, ...]
    of_others: bool
    """Whether of the lines of other imports; else of its own."""


@click.command("undo")
@click.argument("serial_text", metavar=f"SERIAL|{_LAST}")
@click.option(
    "--check/--no-check",
    "checks_targets",
    default=True,
    help="Whether to tell what each target can install before and after. [default: yes]",
)
@click.option("--dry-run", is_flag=True, help="Only tell what would go, what would stay, and why.")
@json_option
@setting_options("serverdir")
def command(
    *,
    serial_text: str,
    checks_targets: bool,
    dry_run: bool,
    as_json: bool,
    config_file: Path | None,
    **flags: object,
) -> None:
    """Take an import back: the files that it added are removed, with one change.

    Also out of an index that removes no files otherwise. What was there before stays, and so does
    what another import has brought, too, or was made to go with. `bundle history` lists the
    serials; `undo last` once more goes one import further back. Exit codes: 0 undone; 2 there is
    no such import, or none that is not undone already; 1 something else went wrong.
    """
    if serial_text != _LAST and not serial_text.isdecimal():
        raise click.UsageError(f"{serial_text[:80]!r} is neither a serial nor {_LAST!r}")
    serial = None if serial_text == _LAST else int(serial_text)
    config = config_from(config_file, flags)
    with open_as_owner(config.serverdir) as store, refusals_told():
        if dry_run:
            found = _look(store, serial)
            tell(_document(found, ()), _dry_lines(found), as_json=as_json)
            return
        ignored = read_decisions(config.serverdir).ignored if checks_targets else ()
        told = _undo(store, serial, ignored, checks_targets=checks_targets)
    tell(_document(told.undone, told.comparisons), _lines(told), as_json=as_json)


def _look(store: Store, serial: int | None) -> Undone:
    with store.catalog.snapshot() as seen:
        return look(seen, import_of(seen, serial).serial)


def _undo(
    store: Store,
    serial: int | None,
    ignored: Collection[ProjectName],
    *,
    checks_targets: bool,
) -> _Told:
    with store.catalog.snapshot() as seen:
        taken = import_of(seen, serial)
        known = latest_roots(seen, taken.index, ignored)
        others = latest_roots(seen, taken.index, ignored, but=taken.serial)
    has_others = any(each.roots for each in others)
    # Where nothing is left that an index is to be good for, what it was good for is told.
    sets = (others if has_others else known) if checks_targets else ()
    before = standings(store, taken.index, sets)
    undone = undo(store, taken.serial, by=ROOT_AT_CONSOLE)
    comparisons = compare(before, standings(store, taken.index, sets))
    return _Told(undone, comparisons, has_others)


def _document(undone: Undone, comparisons: tuple[Comparison, ...]) -> JsonValue:
    return {
        "index": undone.taken.index,
        "serial": undone.taken.serial,
        "sources": list(undone.taken.sources),
        "removed": [file.filename for file in undone.removed],
        "kept": [{"filename": kept.filename, "why": kept.why} for kept in undone.kept],
        "gone_before": list(undone.gone),
        "unyanked": [file.filename for file in undone.unyanked],
        "targets": [comparison_document(each) for each in comparisons],
    }


def _lines(told: _Told) -> Iterator[str]:
    undone = told.undone
    yield f"undid {_named(undone)}"
    for kept in undone.kept:
        yield f"kept     {kept.filename}: {kept.why}"
    for file in undone.unyanked:
        yield f"unyanked {file.filename}"
    if told.comparisons:
        whose = "other imports were" if told.of_others else "it was"
        yield f"what {whose} made for, now and before:"
    yield from comparison_lines(told.comparisons)
    yield f"{undone.taken.index}: {count_text(len(undone.removed), 'file')} removed{_rest(undone)}"


def _dry_lines(found: Undone) -> Iterator[str]:
    yield f"would undo {_named(found)}"
    for file in found.removed:
        yield f"goes     {file.filename}"
    for kept in found.kept:
        yield f"stays    {kept.filename}: {kept.why}"
    for file in found.unyanked:
        yield f"unyanked {file.filename}"
    count = count_text(len(found.removed), "file")
    yield f"{found.taken.index}: {count} would be removed{_rest(found)}"
    yield "nothing was changed"


def _named(undone: Undone) -> str:
    return f"import {undone.taken.serial} ({', '.join(undone.taken.sources)})"


def _rest(undone: Undone) -> str:
    kept = f", {len(undone.kept)} kept" if undone.kept else ""
    return kept + (f", {len(undone.gone)} had been removed before" if undone.gone else "")
