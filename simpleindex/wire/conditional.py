"""Conditional requests and byte ranges, as RFC 9110 has them in its parts 13 and 14.

Entity tags are written as in the header: `"abc"`, or `W/"abc"` for a weak one.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime

_OPAQUE_TAG = re.compile(r'"[^"]*"')
_RANGE_SPEC = re.compile(r"([0-9]*)-([0-9]*)")

_DIGITS_MAX = 18
"""No file is that long, and Python converts no more than some thousand digits."""


@dataclass(frozen=True, slots=True)
class ByteRange:
    """A part of a file, for a 206. It has at least one byte."""

    first: int
    last: int
    """Inclusive."""

    @property
    def size_bytes(self) -> int:
        """How many bytes it has."""
        return self.last - self.first + 1

    def content_range(self, size_bytes: int) -> str:
        """The Content-Range of an answer with this part of a file of that size."""
        return f"bytes {self.first}-{self.last}/{size_bytes}"


@dataclass(frozen=True, slots=True)
class Unsatisfiable:
    """The range begins behind the end of the file: a 416."""

    def content_range(self, size_bytes: int) -> str:
        """The Content-Range by which the answer tells the size of the file."""
        return f"bytes */{size_bytes}"


def matches_none(if_none_match: str | None, etag: str) -> bool:
    """Whether the client has this very representation, so that the answer is a 304.

    Compared weakly, as 13.1.2 wants it for If-None-Match.
    """
    if if_none_match is None:
        return False
    if if_none_match.strip(" \t") == "*":
        return True
    # Not split at commas: a tag may have one inside.
    return etag.removeprefix("W/") in _OPAQUE_TAG.findall(if_none_match)


def choose_range(
    range_header: str | None,
    if_range: str | None,
    *,
    etag: str,
    last_modified: datetime | None,
    size_bytes: int,
) -> ByteRange | Unsatisfiable | None:
    """The part of the file to answer a GET with. None: all of it, with a 200.

    That is also the answer to what is malformed, to unknown units and to several ranges at once,
    which 14.2 leaves to the server.
    """
    if range_header is None or not _still_the_same(if_range, etag, last_modified):
        return None
    unit, _, range_set = range_header.partition("=")
    if unit.strip(" \t").lower() != "bytes":
        return None
    specs = [spec for part in range_set.split(",") if (spec := part.strip(" \t"))]
    if len(specs) != 1:
        return None
    return _resolve(specs[0], size_bytes)


def http_date(moment: datetime) -> str:
    """A time as in Last-Modified, to the second (5.6.7)."""
    return format_datetime(moment.astimezone(UTC), usegmt=True)


def _still_the_same(if_range: str | None, etag: str, last_modified: datetime | None) -> bool:
    if if_range is None:
        return True
    validator = if_range.strip(" \t")
    if validator.startswith(('"', "W/")):
        # A strong comparison: the parts of two weakly equal representations do not fit together.
        return validator == etag and not etag.startswith("W/")
    # 13.1.5 wants the date to be exactly ours, not just later.
    return last_modified is not None and validator == http_date(last_modified)


def _resolve(spec: str, size_bytes: int) -> ByteRange | Unsatisfiable | None:
    match = _RANGE_SPEC.fullmatch(spec)
    # No Content-Range can name a part of an empty file; some clients ask for a range of everything.
    if match is None or size_bytes == 0:
        return None
    first_digits, last_digits = match.groups()
    if not first_digits:
        return _suffix(last_digits, size_bytes)
    first = _position(first_digits)
    last = _position(last_digits) if last_digits else size_bytes - 1
    if last_digits and last < first:
        return None
    if first >= size_bytes:
        return Unsatisfiable()
    return ByteRange(first, min(last, size_bytes - 1))


def _suffix(digits: str, size_bytes: int) -> ByteRange | Unsatisfiable | None:
    if not digits:
        return None
    length = min(_position(digits), size_bytes)
    return ByteRange(size_bytes - length, size_bytes - 1) if length else Unsatisfiable()


def _position(digits: str) -> int:
    significant = digits.lstrip("0")
    return int(significant or "0") if len(significant) <= _DIGITS_MAX else 10**_DIGITS_MAX
