"""The folder that backups lie in, one below the other, and what a backup says of itself.

DEST/20261123T014500Z/             one backup: a server directory, but for what is in motion
DEST/20261123T014500Z/backup.json  its last file: what has it is complete
DEST/20261124T014500Z.unfinished/  being made, or broken off; the next backup removes it
DEST/lock                          held while one is being made
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from pathlib import Path

from simpleindex_storage.durable import unavailable_on_failure
from simpleindex_storage.errors import Refused

MANIFEST = "backup.json"
UNFINISHED = ".unfinished"
FORMAT = 1


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup says of itself."""

    made_at: str
    made_by: str
    """The version of the program."""
    uuid: str
    serial: int
    """Of the last change that is in it."""
    catalog_version: int
    files: int
    size_bytes: int
    """Of the recorded files, and of what lies beside them."""
    damaged: tuple[str, ...]
    """Files that were lost or damaged already when the backup was made; below it."""
    digests: Mapping[str, str]
    """The sha256 of each file at its top."""

    def text(self) -> bytes:
        """As it is written."""
        document = {"format": FORMAT, **asdict(self)}
        return (json.dumps(document, indent=2) + "\n").encode()


def read_manifest(backup: Path) -> Manifest:
    """What a complete backup says of itself. Raises Refused for anything else."""
    try:
        document = json.loads((backup / MANIFEST).read_bytes())
        if document.pop("format") != FORMAT:
            raise Refused(str(backup), "a newer simpleindex-server made this backup; use that one")
        named = {each.name: document[each.name] for each in fields(Manifest)}
        return Manifest(**(named | {"damaged": tuple(document["damaged"])}))
    except (FileNotFoundError, NotADirectoryError):
        raise Refused(str(backup), _why_none(backup)) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Refused(str(backup), f"its {MANIFEST} cannot be read: {error}") from None


def complete_backups(destination: Path) -> list[Path]:
    """The backups in a folder that can be used, the oldest first."""
    if not destination.is_dir():
        return []
    return sorted(
        path
        for path in destination.iterdir()
        if not path.name.endswith(UNFINISHED) and (path / MANIFEST).is_file()
    )


def new_draft(destination: Path, now: datetime) -> tuple[Path, Path]:
    """A folder to make a backup in, and what it is called once it is complete."""
    stem = f"{now:%Y%m%dT%H%M%SZ}"
    for name in (stem, *(f"{stem}-{number}" for number in range(2, 1000))):
        final = destination / name
        if not final.exists():
            draft = destination / (name + UNFINISHED)
            draft.mkdir(mode=0o700)
            return draft, final
    raise Refused(str(destination), "a thousand backups were made in this second")


def remove_unfinished(destination: Path) -> None:
    """Remove what was broken off. Under the lock."""
    for left in destination.glob(f"*{UNFINISHED}"):
        shutil.rmtree(left)


def remove_backup(backup: Path) -> None:
    """Remove a backup; if that is broken off, it does not count as one any more."""
    going = backup.with_name(backup.name + UNFINISHED)
    with unavailable_on_failure(f"{backup} cannot be removed"):
        backup.rename(going)
        shutil.rmtree(going)


def _why_none(backup: Path) -> str:
    newest = [path.name for path in complete_backups(backup)][-1:]
    if newest:
        return f"this folder holds backups; name one of them, the newest is {backup / newest[0]}"
    if backup.name.endswith(UNFINISHED):
        return "this backup was never finished; name a complete one"
    return "this is no backup of simpleindex-server"
