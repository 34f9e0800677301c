"""`bundle history`: what was taken in, when and by whom."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from simpleindex.cli.directory import open_as_owner
from simpleindex.cli.options import config_from, setting_options
from simpleindex.cli.telling import count_text, json_option, table, tell
from simpleindex.gap.bundle.site_ledger import Import, imports
from simpleindex.gap.bundle.undoing import still_here
from simpleindex.gap.fields import time_text
from simpleindex_storage.model import JsonValue


@click.command("history")
@json_option
@setting_options("serverdir")
def command(*, as_json: bool, config_file: Path | None, **flags: object) -> None:
    """List all imports, the newest last: serial, time (UTC), user, index, source, digest, files.

    Of an import that was undone, and of one whose files were removed, it tells how many are left.
    """
    config = config_from(config_file, flags)
    with open_as_owner(config.serverdir) as store, store.catalog.snapshot() as seen:
        known = [_Told(taken, still_here(seen, taken)) for taken in imports(seen)]
    tell([_document(each) for each in known], _lines(known), as_json=as_json)


@dataclass(frozen=True, slots=True)
class _Told:
    """An import, and what is left of it."""

    taken: Import
    here: tuple[str, ...]
    """Files that it added, and that are there since."""

    @property
    def outcome(self) -> str:
        """What it added, and whether that is still so."""
        taken, here = self.taken, len(self.here)
        line = f"{count_text(len(taken.added), 'file')} added"
        if taken.undone_serial is not None:
            return f"{line}, undone with {taken.undone_serial}" + (f": {here} kept" if here else "")
        return line if here == len(taken.added) else f"{line}, {here or 'none'} of them still here"


def _lines(known: Sequence[_Told]) -> Iterator[str]:
    if known:
        yield from table([_row(each) for each in known])
    else:
        yield "nothing has been taken in yet"


def _row(told: _Told) -> tuple[str, ...]:
    taken = told.taken
    digests = [digest for bundle in taken.bundles for digest in bundle.digests]
    return (
        str(taken.serial),
        "" if taken.taken_at is None else time_text(taken.taken_at),
        taken.taken_by,
        taken.index,
        ", ".join(taken.sources),
        " ".join(digests) or "unproven",
        told.outcome,
    )


def _document(told: _Told) -> JsonValue:
    taken = told.taken
    return {
        "serial": taken.serial,
        "time": None if taken.taken_at is None else time_text(taken.taken_at),
        "who": taken.taken_by,
        "index": taken.index,
        "sources": list(taken.sources),
        "bundles": [
            {
                "digests": list(bundle.digests),
                "signed_by": bundle.signed_by,
                "created": time_text(bundle.manifest.created),
                "roots": list(bundle.manifest.roots),
                "constraints": list(bundle.manifest.constraints),
                "targets": [target.name for target in bundle.manifest.targets],
                "files": len(bundle.manifest.files),
            }
            for bundle in taken.bundles
        ],
        "added": [file.filename for file in taken.added],
        "still_here": list(told.here),
        "yanked": [file.filename for file in taken.yanked],
        "undone_serial": taken.undone_serial,
    }
