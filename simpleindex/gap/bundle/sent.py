"""What was sent before: for sites from which nothing comes back, not even a list.

A small file beside the cache. An entry is the state that a bundle leads to, so that each can be
gone on from alone: the last one, or an older one, if what came later was lost on the way.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path

from simpleindex.gap.bundle.manifest import FILES_MAX
from simpleindex.gap.fields import Fields, parse_fields, time_text
from simpleindex.gap.small_files import read_bytes_if_there
from simpleindex_storage.durable import unavailable_on_failure, write_file
from simpleindex_storage.errors import NotStored, Refused
from simpleindex_storage.model import JsonValue

FILE_NAME = "sent.json"
ENTRIES_MAX = 100

_FORMAT = 1
_BYTES_MAX = 1 << 30


@dataclass(frozen=True, slots=True)
class Sent:
    """What a site has once it has taken a bundle in, as far as this side knows."""

    stamp: str
    created: datetime
    bundle: str
    """What it was called, for people."""
    files: Mapping[str, str]
    """Names, by SHA-256."""


def read_sent(path: Path) -> tuple[Sent, ...]:
    """What was sent, the oldest first; nothing if there is no file. Raises Refused, Unavailable."""
    raw = read_bytes_if_there(path, _BYTES_MAX)
    if raw is None:
        return ()
    fields = parse_fields(raw, str(path))
    if fields.number("format", least=1) > _FORMAT:
        raise Refused(str(path), "it is of a newer simpleindex-server")
    return tuple(_sent(entry) for entry in fields.records("sent", most=ENTRIES_MAX))


def add_sent(path: Path, sent: Sent) -> None:
    """Note what was sent now. The oldest goes when there are too many. Raises Unavailable."""
    entries = (*read_sent(path), sent)[-ENTRIES_MAX:]
    document: JsonValue = {
        "format": _FORMAT,
        "sent": [
            {
                "stamp": entry.stamp,
                "created": time_text(entry.created),
                "bundle": entry.bundle,
                "files": [
                    {"sha256": sha256, "filename": entry.files[sha256]}
                    for sha256 in sorted(entry.files)
                ],
            }
            for entry in entries
        ],
    }
    with unavailable_on_failure(f"{path} cannot be written"):
        write_file(path, json.dumps(document).encode() + b"\n")


def find_sent(entries: Sequence[Sent], since: str) -> Sent:
    """The state that is named: `last`, a stamp, or a day, of which its last is taken.

    Raises NotStored.
    """
    if since == "last":
        found = list(entries)
    elif day := _day(since):
        # That day as people here have it: until its end.
        ends_at = datetime.combine(day, time.max).astimezone(UTC)
        found = [entry for entry in entries if entry.created <= ends_at]
    else:
        found = [entry for entry in entries if entry.stamp == since.upper()]
    if not found:
        raise NotStored(
            f"record of what was sent ({since[:40]!r})",
            f"known are {_shown(entries)}" if entries else "nothing was sent from here so far",
        )
    return found[-1]


def _sent(fields: Fields) -> Sent:
    created = fields.time_or_none("created")
    if created is None:
        raise fields.refused("created", "is missing")
    files = fields.records("files", most=FILES_MAX)
    return Sent(
        fields.text("stamp"),
        created,
        fields.text("bundle"),
        {entry.sha256("sha256"): entry.text("filename") for entry in files},
    )


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if "-" in text else None
    except ValueError:
        return None


def _shown(entries: Iterable[Sent]) -> str:
    return ", ".join(f"{entry.stamp} ({time_text(entry.created)})" for entry in entries)
