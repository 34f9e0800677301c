"""What a server directory remembers of its last backup, for whoever asks how old that is."""

import json
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from simpleindex_storage.durable import write_file
from simpleindex_storage.records import time_from_text, time_text

_FILE = "last-backup.json"


@dataclass(frozen=True, slots=True)
class LastBackup:
    """The last one that was completed."""

    path: Path
    made_at: datetime


def note_last_backup(root: Path, last: LastBackup) -> None:
    """Remember a backup. If that cannot be written down, the backup is as good."""
    document = {"path": str(last.path), "made_at": time_text(last.made_at)}
    with suppress(OSError):
        write_file(root / _FILE, (json.dumps(document) + "\n").encode())


def read_last_backup(root: Path) -> LastBackup | None:
    """None: there was none, or nobody remembers."""
    try:
        document = json.loads((root / _FILE).read_bytes())
        return LastBackup(Path(document["path"]), time_from_text(document["made_at"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
