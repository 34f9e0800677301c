"""Results of tests, as devpi's client sends them: JSON that is kept as it is."""

import json

from simpleindex_storage.errors import Refused

RESULT_BYTES_MAX = 10 << 20
"""Of one result; the output of all tests stands in it."""

_PARTS_MAX = 500_000
"""Of objects, lists and what is in them: each takes a hundred times its bytes when it is parsed."""


def check_result(body: bytes) -> None:
    """It must be a JSON object. Raises Refused."""
    if sum(body.count(mark) for mark in (b"{", b"[", b",")) > _PARTS_MAX:
        raise Refused("test result", f"it has more than {_PARTS_MAX:,} parts; send less output")
    try:
        # Of bytes it would take UTF-16 too, and halves of surrogate pairs; who reads it might not.
        value = json.loads(body.decode())
    except (ValueError, RecursionError):
        raise Refused("test result", "it is not valid JSON") from None
    if not isinstance(value, dict):
        raise Refused("test result", "a JSON object is needed, as `devpi test` sends it")
