"""Requests that are nothing but a plain header, read in one go.

Nearly all that an index is asked are such. Every other request is h11's, which knows all of
HTTP/1.1: so what is read here must be a part of what h11 takes, and be read as h11 reads it.
"""

import re
from typing import NamedTuple

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
"""RFC 9110, 5.6.2."""

# Each part knows where it ends by its first byte, and gives nothing back: what does not fit is
# found out in the time that it takes to look at it once.
_REQUEST = re.compile(
    rb"(GET|HEAD) (/[\x21-\x7e]*+) HTTP/1\.1\r\n((?:" + TOKEN + rb": ?+[\x20-\x7e]*+\r\n)++)\r\n"
)
_FIELD = re.compile(rb"([^:]++): ?+([^\r]*+)\r\n")
_BLANKS_AROUND_A_VALUE = (b":  ", b" \r\n")

_NOT_PLAIN = frozenset({b"content-length", b"expect", b"transfer-encoding", b"upgrade"})
"""A body, and what h11 or uvicorn have to say something to."""
_HOST = b"host"
_CONNECTION = b"connection"
_IS_LAST = {b"keep-alive": False, b"close": True}


class PlainRequest(NamedTuple):
    """A request without a body."""

    method: str
    target: bytes
    """A path, and perhaps a query; of visible ASCII."""
    headers: list[tuple[bytes, bytes]]
    """The names in lower case."""
    is_last: bool
    """The client wants the connection to be closed after it."""


def read_plain(sent: bytes) -> PlainRequest | None:
    """The request that has come; None unless it is exactly one, whole and plain."""
    match = _REQUEST.fullmatch(sent)
    if match is None:
        return None
    method, target, fields = match.groups()
    if any(blanks in fields for blanks in _BLANKS_AROUND_A_VALUE):
        return None
    headers = [(name.lower(), value) for name, value in _FIELD.findall(fields)]
    names = [name for name, _ in headers]
    # RFC 9112, 3.2: without exactly one Host it is refused.
    if names.count(_HOST) != 1 or not _NOT_PLAIN.isdisjoint(names):
        return None
    is_last = _is_last([value for name, value in headers if name == _CONNECTION])
    if is_last is None:
        return None
    return PlainRequest(method.decode("ascii"), target, headers, is_last)


def _is_last(values: list[bytes]) -> bool | None:
    """What `Connection` has to say, where that is one of the usual words; else None."""
    if not values:
        return False
    return _IS_LAST.get(values[0].lower()) if len(values) == 1 else None
