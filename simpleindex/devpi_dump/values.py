"""Reading JSON that somebody else has written: what is odd is noted, and nothing raises."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from math import isfinite
from typing import Any

from simpleindex_storage.errors import Refused
from simpleindex_storage.model import Event, JsonValue, LogEntry
from simpleindex_storage.names import IndexName, parse_index_name

from .records import Note

JSON_BYTES_MAX = 1 << 30
_LEVELS_MAX = 32
_LOG_MAX = 1000
_WHO_CHARACTERS_MAX = 200
_DIGEST_HEX_DIGITS = {"sha256": 64, "md5": 32}
_TIME = "%Y-%m-%dT%H:%M:%SZ"


class Notes:
    """Gathers what is odd."""

    def __init__(self) -> None:
        self._notes: list[Note] = []

    def lost(self, subject: str, text: str) -> None:
        """Something is not taken over."""
        self._notes.append(Note(subject, text))

    def remark(self, subject: str, text: str) -> None:
        """Something is not quite as it was."""
        self._notes.append(Note(subject, text, is_lost=False))

    def all(self) -> tuple[Note, ...]:
        """In the order of arrival."""
        return tuple(self._notes)


def parse_json_object(raw: bytes, subject: str) -> Mapping[str, Any]:
    """A file that holds one JSON object. Raises Refused."""
    if len(raw) > JSON_BYTES_MAX:
        raise Refused(subject, f"it is larger than {JSON_BYTES_MAX >> 20} MiB")
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        raise Refused(subject, "it is not valid JSON, or not all of it is there") from None
    if not isinstance(value, dict):
        raise Refused(subject, "a JSON object is needed")
    return value


def as_object(value: object) -> Mapping[str, Any]:
    """An object; an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def as_list(value: object) -> list[Any]:
    """A list; an empty one for anything else."""
    return value if isinstance(value, list) else []


def as_text(value: object) -> str:
    """A text that can be written down again; an empty one for anything else."""
    return value if isinstance(value, str) and is_sound(value) else ""


def shown(value: object) -> str:
    """Any value, for a person to read, on one short line."""
    text = value if isinstance(value, str) else repr(value)
    return "".join(mark if mark.isprintable() else "?" for mark in text[:120])


def is_sound(value: object, levels: int = _LEVELS_MAX) -> bool:
    """Whether JSON can be written down again: not too deep, all text whole, all numbers finite."""
    if isinstance(value, str):
        return not any("\ud800" <= mark <= "\udfff" for mark in value)
    if isinstance(value, float):
        return isfinite(value)
    if isinstance(value, dict):
        return levels > 0 and all(
            is_sound(key) and is_sound(entry, levels - 1) for key, entry in value.items()
        )
    if isinstance(value, list):
        return levels > 0 and all(is_sound(entry, levels - 1) for entry in value)
    return True


def time_of(value: object) -> datetime | None:
    """A time as users have it: `2026-11-22T13:00:00Z`."""
    try:
        return datetime.strptime(value, _TIME).replace(tzinfo=UTC)  # type: ignore[arg-type]  # or TypeError
    except (TypeError, ValueError):
        return None


def time_text(time: datetime) -> str:
    """The inverse of `time_of`."""
    return time.astimezone(UTC).strftime(_TIME)


def http_time_of(value: object) -> datetime | None:
    """A time as files have it: `Sun, 22 Nov 2026 13:02:46 GMT`."""
    try:
        time = parsedate_to_datetime(value)  # type: ignore[arg-type]  # or TypeError
    except (TypeError, ValueError, OverflowError, IndexError):
        return None
    try:
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def http_time_text(time: datetime) -> str:
    """The inverse of `http_time_of`."""
    return format_datetime(time.astimezone(UTC), usegmt=True)


def promised_digests(entry: Mapping[str, Any]) -> dict[str, str]:
    """The digests that an `entrymapping` promises, in all forms that devpi-server has written."""
    told = dict(as_object(entry.get("hashes")))
    if "md5" in entry:  # devpi-server 2.1
        told["md5"] = entry["md5"]
    spec, equals, spec_digest = as_text(entry.get("hash_spec")).partition("=")
    if equals:
        told[spec] = spec_digest
    return {
        algorithm: digest.lower()
        for algorithm, digits in _DIGEST_HEX_DIGITS.items()
        if isinstance(digest := told.get(algorithm), str)
        and len(digest) == digits
        and all(mark in "0123456789abcdefABCDEF" for mark in digest)
    }


def log_of(value: object) -> tuple[LogEntry, ...]:
    """The history of a file. Entries that make no sense are left out."""
    entries = (_log_entry(as_object(entry)) for entry in as_list(value)[:_LOG_MAX])
    return tuple(entry for entry in entries if entry is not None)


def log_json(log: tuple[LogEntry, ...]) -> list[JsonValue]:
    """The inverse of `log_of`."""
    entries: list[JsonValue] = []
    for entry in log:
        when = entry.when.astimezone(UTC).timetuple()[:6]
        written: dict[str, JsonValue] = {
            "what": str(entry.what),
            "who": entry.who,
            "when": list(when),
        }
        for key, value in (("src", entry.source), ("dst", entry.target), ("count", entry.count)):
            if value is not None:
                written[key] = value
        entries.append(written)
    return entries


def author_of(log: tuple[LogEntry, ...]) -> str:
    """Who uploaded a file first; nobody, if that is not known."""
    uploads = [entry.who for entry in log if entry.who and entry.what is Event.UPLOAD]
    others = [entry.who for entry in log if entry.who]
    return next(iter([*uploads, *others]), "")


def _log_entry(entry: Mapping[str, Any]) -> LogEntry | None:
    try:
        event = Event(as_text(entry.get("what")))
        numbers = [int(number) for number in as_list(entry.get("when"))[:6]]
        when = datetime(*numbers, tzinfo=UTC)  # type: ignore[arg-type, misc]  # or TypeError
    except (TypeError, ValueError, OverflowError):
        return None
    count = entry.get("count")
    return LogEntry(
        what=event,
        who=as_text(entry.get("who"))[:_WHO_CHARACTERS_MAX] or None,
        when=when,
        source=_index_or_none(entry.get("src")),
        target=_index_or_none(entry.get("dst")),
        count=count if isinstance(count, int) and 0 <= count < 1 << 31 else None,
    )


def _index_or_none(value: object) -> IndexName | None:
    try:
        return parse_index_name(as_text(value))
    except Refused:
        return None
