"""Heads of answers to requests of HTTP/1.1, as h11 would write them."""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from simpleindex.wire.plain_request import TOKEN

# What h11 takes for a value: all but blanks, with blanks of one line in between.
_WORD = rb"[^\x00\s]++"
_LINE = re.compile(TOKEN + rb": (?:" + _WORD + rb"(?:[ \t]++" + _WORD + rb")*+)?+\r\n")
_STATUS_LINE = re.compile(rb"HTTP/1\.1 [2-9][0-9]{2} [^\x00\n\v\f\r]*+\r\n")

_LINES_KEPT = 1024
"""Most headers say the same in each answer."""

_LENGTH = b"content-length"
_CODING = b"transfer-encoding"
_CONNECTION = b"connection"
_OF_FRAMES = frozenset({_LENGTH, _CODING, _CONNECTION})
_CHUNKED = b"Transfer-Encoding: chunked\r\n"
_CLOSE = b"Connection: close\r\n"
_WITHOUT_BODY = (204, 304)


class AnswerHead(NamedTuple):
    """A head, and what it says of what follows."""

    content: bytes
    body_bytes: int | None
    """How much follows; None: chunks, the last of which is empty."""
    is_last: bool
    """The connection is closed after it."""


def write_head(
    status: int,
    phrase: bytes,
    headers: Iterable[tuple[bytes, bytes]],
    *,
    of_head: bool,
    is_last: bool,
) -> AnswerHead:
    """The head of an answer, with all that says where its body ends.

    `of_head`: it answers a HEAD, with the headers that a GET would get. `is_last`: the client
    wants no other. Raises ValueError for what cannot be sent: line breaks in values, say.
    """
    body_bytes: int | None = None
    is_chunked, closes = False, is_last
    lines = [_status_line(status, phrase)]
    for name, value in headers:
        line, frame = _line(name, value)
        if frame is _CONNECTION:
            closes = closes or b"close" in (word.strip() for word in value.lower().split(b","))
            if is_last:
                continue  # it is told below
        elif frame is _CODING:
            is_chunked = True  # nothing else is spoken here
            continue
        elif frame is _LENGTH:
            if body_bytes is not None or not value.isdigit():
                raise ValueError(f"no length of an answer: {value!r}")
            body_bytes = int(value)
        lines.append(line)
    is_empty = status in _WITHOUT_BODY
    if is_chunked and body_bytes is not None:
        raise ValueError("an answer with a length is sent in chunks")
    if body_bytes is None and not is_empty:
        lines.append(_CHUNKED)
    if is_last:
        lines.append(_CLOSE)
    lines.append(b"\r\n")
    return AnswerHead(b"".join(lines), 0 if of_head or is_empty else body_bytes, closes)


@lru_cache(_LINES_KEPT)
def _status_line(status: int, phrase: bytes) -> bytes:
    line = b"HTTP/1.1 %d %b\r\n" % (status, phrase)
    if _STATUS_LINE.fullmatch(line) is None:
        raise ValueError(f"no first line of an answer: {line!r}")
    return line


@lru_cache(_LINES_KEPT)
def _line(name: bytes, value: bytes) -> tuple[bytes, bytes | None]:
    """A header as it is sent, and its name if it has to do with where bodies or answers end."""
    line = b"%b: %b\r\n" % (name, value)
    if b":" in name or _LINE.fullmatch(line) is None:
        raise ValueError(f"no header: {line!r}")
    known = name.lower()
    return line, next((frame for frame in _OF_FRAMES if frame == known), None)
