import json
from typing import Any

import pytest

from simpleindex.wire import devpi_json
from simpleindex_storage.errors import Refused


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"\xff",
        b"{'a': 1}",
        b'{"title": NaN}',
        b'{"title": -Infinity}',
        b'{"title": 1e999}',
        b'{"title": ' + b"9" * 5000 + b"}",
        b'["\\ud800"]',
        b'{"\\ud800": 1}',
        b"[" * 60_000,
        b'{"custom_data": ' + b"[" * 40 + b"]" * 40 + b"}",
        b'{"custom_data": ' + b'{"a":' * 40 + b"1" + b"}" * 41,
    ],
    ids=lambda body: repr(body[:24]),
)
def test_what_is_no_sane_json_is_refused(body: bytes) -> None:
    for parse in (devpi_json.parse_json, devpi_json.parse_object):
        with pytest.raises(Refused):
            parse(body)


@pytest.mark.parametrize("body", [b"[]", b"null", b'"x"', b"7", b"true"])
def test_an_object_is_needed_where_one_is(body: bytes) -> None:
    assert devpi_json.parse_json(body) == json.loads(body)
    with pytest.raises(Refused, match="JSON object"):
        devpi_json.parse_object(body)


@pytest.mark.parametrize(
    ("parts", "envelope"),
    [
        ((), {}),
        (([], "list:userconfig"), {"result": [], "type": "list:userconfig"}),
        (({"a": "é"}, "x", "done"), {"result": {"a": "é"}, "type": "x", "message": "done"}),
        ((None, None, "done"), {"message": "done"}),
        ((["x" * 200_000], "x"), {"result": ["x" * 200_000], "type": "x"}),
    ],
    ids=["empty", "list", "all", "message", "large"],
)
def test_every_answer_has_the_envelope(parts: tuple[Any, ...], envelope: object) -> None:
    body = devpi_json.reply(*parts)
    assert json.loads(body) == envelope
    assert body.endswith(b"\n")


def test_half_a_character_in_old_metadata_breaks_no_answer() -> None:
    assert json.loads(devpi_json.reply("a\ud800b", "x"))["result"] == "a?b"
