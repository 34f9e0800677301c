"""Fields of JSON that comes from outside, taken one at a time or refused.

What a record does not name is left alone: newer writers may say more than this reads.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from simpleindex_storage.errors import Refused
from simpleindex_storage.model import JsonValue

_LINE_CHARACTERS_MAX = 4000
_SHA256 = re.compile(r"[0-9a-f]{64}")
_TIME = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True, slots=True)
class Fields:
    """One object, and how to name it where something in it is refused."""

    document: Mapping[str, JsonValue]
    subject: str

    def text(self, name: str) -> str:
        """A line of text that is there. Raises Refused."""
        value = self.text_or_none(name)
        if value is None:
            raise self.refused(name, "is missing")
        return value

    def text_or_none(self, name: str) -> str | None:
        """A line of text, or none. Raises Refused for anything else."""
        value = self.document.get(name)
        if value is None:
            return None
        if (
            not isinstance(value, str)
            or len(value) > _LINE_CHARACTERS_MAX
            or any(mark < " " or mark == "\x7f" or "\ud800" <= mark <= "\udfff" for mark in value)
        ):
            raise self.refused(name, "is no line of text")
        return value

    def number(self, name: str, *, least: int = 0, most: int = 1 << 50) -> int:
        """A whole number within bounds. Raises Refused."""
        value = self.document.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise self.refused(name, f"is no whole number from {least} to {most}")
        return value

    def truth(self, name: str) -> bool:
        """True or false; false if it is not there. Raises Refused."""
        value = self.document.get(name, False)
        if not isinstance(value, bool):
            raise self.refused(name, "is neither true nor false")
        return value

    def sha256(self, name: str) -> str:
        """A digest in lower-case hex. Raises Refused."""
        value = self.text(name)
        if not _SHA256.fullmatch(value):
            raise self.refused(name, "is no SHA-256 in lower-case hex")
        return value

    def time_or_none(self, name: str) -> datetime | None:
        """A time as `time_text` writes it, or none. Raises Refused."""
        value = self.text_or_none(name)
        if value is None:
            return None
        try:
            return parse_time(value)
        except ValueError:
            raise self.refused(name, "is no time like 2026-11-22T13:00:00Z") from None

    def values(self, name: str, *, most: int) -> list[JsonValue]:
        """A list; an empty one if it is not there. Raises Refused."""
        value = self.document.get(name)
        if value is None:
            return []
        if not isinstance(value, list) or len(value) > most:
            raise self.refused(name, f"is no list of up to {most} entries")
        return value

    def texts(self, name: str, *, most: int) -> tuple[str, ...]:
        """A list of lines of text. Raises Refused."""
        values = self.values(name, most=most)
        entries = Fields({str(n): value for n, value in enumerate(values)}, self.entry(name))
        return tuple(entries.text(str(place)) for place in range(len(values)))

    def places(self, name: str, *, among: int) -> tuple[int, ...]:
        """Places in a list that has `among` entries. Raises Refused."""
        values = self.values(name, most=among)
        places = tuple(value for value in values if isinstance(value, int) and 0 <= value < among)
        if len(places) != len(values):
            raise self.refused(name, f"has a number that is not from 0 to {among - 1}")
        return places

    def records(self, name: str, *, most: int) -> "tuple[Fields, ...]":
        """A list of objects. Raises Refused."""
        values = self.values(name, most=most)
        return tuple(
            as_fields(value, f"{self.entry(name)}[{place}]") for place, value in enumerate(values)
        )

    def record(self, name: str) -> "Fields":
        """An object that is there. Raises Refused."""
        return as_fields(self.document.get(name), self.entry(name))

    def entry(self, name: str) -> str:
        """How a field is named in what is told."""
        return f"{self.subject}: {name}"

    def refused(self, name: str, why: str) -> Refused:
        """What to raise for a field."""
        return Refused(self.subject, f"'{name}' {why}")


def as_fields(document: JsonValue, subject: str) -> Fields:
    """The fields of an object. Raises Refused for anything else."""
    if not isinstance(document, dict):
        raise Refused(subject, "a JSON object is needed")
    return Fields(document, subject)


def parse_fields(raw: bytes, subject: str) -> Fields:
    """The fields of a text that holds one JSON object. Raises Refused."""
    try:
        return as_fields(json.loads(raw), subject)
    except (ValueError, RecursionError):
        raise Refused(subject, "it is not valid JSON, or not all of it is there") from None


def time_text(time: datetime) -> str:
    """A time to the second, in UTC: `2026-11-22T13:00:00Z`."""
    return time.astimezone(UTC).strftime(_TIME)


def parse_time(text: str) -> datetime:
    """The inverse of `time_text`. Raises ValueError."""
    return datetime.strptime(text, _TIME).replace(tzinfo=UTC)
