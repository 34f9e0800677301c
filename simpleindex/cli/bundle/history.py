"""`bundle history`: what was taken in, when and by whom."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from simpleindex.cli.directory import open_as_owner
from simpleindex.cli.options import config_from, setting_options
from simpleindex.cli.telling import count_text, json_option, table, tell
from simpleindex.gap.bundle.site_ledger import Import, imports
from simpleindex.gap.fields import time_text
from simpleindex_storage.model import JsonValue


@click.command("history")
@json_option
@setting_options("serverdir")
def command(*, as_json: bool, config_file: Path | None, **flags: object) -> None:
    """List all imports, the newest last: serial, time (UTC), user, index, source, digest."""
    config = config_from(config_file, flags)
    with open_as_owner(config.serverdir) as store, store.catalog.snapshot() as seen:
        known = imports(seen)
    tell([_document(each) for each in known], _lines(known), as_json=as_json)


def _lines(known: Sequence[Import]) -> Iterator[str]:
    if known:
        yield from table([_row(each) for each in known])
    else:
        yield "nothing has been taken in yet"


def _row(taken: Import) -> tuple[str, ...]:
    digests = [digest for bundle in taken.bundles for digest in bundle.digests]
    end = "" if taken.undone_serial is None else f", undone with {taken.undone_serial}"
    return (
        str(taken.serial),
        "" if taken.taken_at is None else time_text(taken.taken_at),
        taken.taken_by,
        taken.index,
        ", ".join(taken.sources),
        " ".join(digests) or "unproven",
        f"{count_text(len(taken.added), 'file')} added{end}",
    )


def _document(taken: Import) -> JsonValue:
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
        "yanked": [file.filename for file in taken.yanked],
        "undone_serial": taken.undone_serial,
    }
