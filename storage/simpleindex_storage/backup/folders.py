"""The folder that backups lie in, one below the other, and what a backup says of itself.

DEST/20261123T014500Z/             one backup: a server directory, but for what is in motion
DEST/20261123T014500Z/backup.json  its last file: what has it is complete
DEST/20261124T014500Z.unfinished/  being made, or broken off; the next backup removes it
DEST/lock                          held while one is being made
"""

import json
import re
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from simpleindex_storage.durable import unavailable_on_failure
from simpleindex_storage.errors import Refused
from simpleindex_storage.records import time_from_text, time_text
from simpleindex_storage.sqlite_file import CATALOG_FILE

T = TypeVar("T")

MANIFEST = "backup.json"
UNFINISHED = ".unfinished"
FORMAT = 1

_SHA256 = re.compile(r"[0-9a-f]{64}")
# What a backup says is believed where it leads to nothing outside of it, on any system.
_NAME = re.compile(r"[^/\\:\0]+")


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup says of itself."""

    made_at: datetime
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
        document = {"format": FORMAT, **asdict(self), "made_at": time_text(self.made_at)}
        return (json.dumps(document, indent=2) + "\n").encode()


@dataclass(frozen=True, slots=True)
class Backup:
    """One that is complete."""

    path: Path
    manifest: Manifest


def read_manifest(backup: Path) -> Manifest:
    """What a complete backup says of itself. Raises Refused for anything else."""
    try:
        document = json.loads((backup / MANIFEST).read_bytes())
        if document["format"] != FORMAT:
            raise Refused(str(backup), "a newer simpleindex-server made this backup; use that one")
        return _parsed(document)
    except (FileNotFoundError, NotADirectoryError):
        raise Refused(str(backup), _why_none(backup)) from None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise Refused(str(backup), f"its {MANIFEST} cannot be read: {error}") from None


def _parsed(document: Mapping[str, Any]) -> Manifest:
    """Raises ValueError, KeyError, TypeError."""
    made_at = time_from_text(document["made_at"])
    if made_at.tzinfo is None:
        raise ValueError("made_at has no time zone")
    digests = _a(dict, document["digests"])
    if CATALOG_FILE not in digests:
        raise ValueError("it has no catalog")
    return Manifest(
        made_at=made_at,
        made_by=_a(str, document["made_by"]),
        uuid=_a(str, document["uuid"]),
        serial=_a(int, document["serial"]),
        catalog_version=_a(int, document["catalog_version"]),
        files=_a(int, document["files"]),
        size_bytes=_a(int, document["size_bytes"]),
        damaged=tuple(_path_below(each) for each in _a(list, document["damaged"])),
        digests={_name_at_the_top(name): _sha256(digest) for name, digest in digests.items()},
    )


def _a(kind: type[T], value: object) -> T:
    if not isinstance(value, kind):
        raise TypeError(f"{value!r} is no {kind.__name__}")
    return value


def _path_below(value: object) -> str:
    path = _a(str, value)
    for part in path.split("/"):
        _name_at_the_top(part)
    return path


def _name_at_the_top(name: str) -> str:
    if not _NAME.fullmatch(name) or name in (".", ".."):
        raise ValueError(f"{name!r} is no name of a file")
    return name


def _sha256(value: object) -> str:
    digest = _a(str, value)
    if not _SHA256.fullmatch(digest):
        raise ValueError(f"{digest!r} is no sha256")
    return digest


def complete_backups(destination: Path) -> list[Backup]:
    """The backups in a folder that can be used, the oldest first, whatever they are called."""
    if not destination.is_dir():
        return []
    found = []
    for path in destination.iterdir():
        if not path.name.endswith(UNFINISHED) and (path / MANIFEST).is_file():
            with suppress(Refused):  # of another version, or damaged
                found.append(Backup(path, read_manifest(path)))
    return sorted(found, key=lambda backup: (backup.manifest.made_at, backup.path.name))


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
    if found := complete_backups(backup):
        return f"this folder holds backups; name one of them, the newest is {found[-1].path}"
    if backup.name.endswith(UNFINISHED):
        return "this backup was never finished; name a complete one"
    return "this is no backup of simpleindex-server"
