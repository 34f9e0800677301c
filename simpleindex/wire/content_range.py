"""Content-Range: which bytes of a file an answer holds (RFC 9110, 14.4)."""

import re
from dataclasses import dataclass

_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ContentRange:
    """A part of a file."""

    first: int
    last: int
    size_bytes: int | None
    """Of the whole file; None: it is not said."""

    @property
    def length_bytes(self) -> int:
        """Of the part."""
        return self.last - self.first + 1

    @property
    def is_to_the_end(self) -> bool:
        """Whether nothing follows the part, as far as is known."""
        return self.size_bytes is None or self.last == self.size_bytes - 1


def parse_content_range(header: str) -> ContentRange | None:
    """None for what is no part, or cannot be."""
    match = _CONTENT_RANGE.fullmatch(header.strip())
    if match is None:
        return None
    size_bytes = None if match[3] == "*" else int(match[3])
    part = ContentRange(int(match[1]), int(match[2]), size_bytes)
    if part.last < part.first or (size_bytes is not None and part.last >= size_bytes):
        return None
    return part
