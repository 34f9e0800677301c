"""devpi's JSON: the envelope of its replies, and what comes in a request's body."""

import json
from collections.abc import Mapping
from math import isfinite
from typing import Any

from simpleindex_storage.errors import Refused
from simpleindex_storage.model import JsonValue

MEDIA_TYPE = "application/json"
"""Exactly this, without parameters: devpi-client compares the whole header."""

FEATURES: tuple[str, ...] = (
    "push-no-docs",
    "push-only-docs",
    "push-register-project",
    "server-keyvalue-parsing",
)
"""What devpi-client may ask for beyond the basics."""

_JSON_DEPTH_MAX = 32
_INDENTED_BYTES_MAX = 100_000
"""Above this nobody reads it, and Python's indenting encoder takes ten times as long."""


def reply(result: JsonValue = None, kind: str | None = None, message: str | None = None) -> bytes:
    """The envelope of every answer."""
    envelope: dict[str, JsonValue] = {}
    if kind is not None:
        envelope |= {"result": result, "type": kind}
    if message is not None:
        envelope["message"] = message
    plain = json.dumps(envelope, ensure_ascii=False)
    if len(plain) <= _INDENTED_BYTES_MAX:
        plain = json.dumps(envelope, indent=2, ensure_ascii=False)
    # Half a surrogate pair, which has no encoding, becomes a question mark.
    return plain.encode(errors="replace") + b"\n"


def parse_json(body: bytes) -> Any:
    """A request's body, which must be JSON of sane depth. Raises Refused."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise Refused("request body", "it is not valid JSON") from None
    _check_value(value, _JSON_DEPTH_MAX)
    return value


def parse_object(body: bytes) -> Mapping[str, Any]:
    """A request's body, which must be a JSON object of sane depth. Raises Refused."""
    value = parse_json(body)
    if not isinstance(value, dict):
        raise Refused("request body", "a JSON object is needed")
    return value


def _check_value(value: object, levels: int) -> None:
    """Refuse what could not be written down again: too deep, half a character, no number."""
    if levels == 0:
        raise Refused("request body", f"it is nested deeper than {_JSON_DEPTH_MAX} levels")
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise Refused("request body", "a text in it is not valid Unicode") from None
    elif isinstance(value, float) and not isfinite(value):
        # Python reads NaN and Infinity too, and 1e999 as such; JSON knows none of them.
        raise Refused("request body", "a number in it is too large, or none")
    elif isinstance(value, dict):
        for key, entry in value.items():
            _check_value(key, levels)
            _check_value(entry, levels - 1)
    elif isinstance(value, list):
        for entry in value:
            _check_value(entry, levels - 1)
