import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from simpleindex.wire.tokens_json import TokenWish, parse_wish, token_config
from simpleindex_storage.errors import Refused
from simpleindex_storage.model import ApiToken, TokenAction
from simpleindex_storage.names import UserName

AT = datetime(2026, 11, 22, 13, 2, 46, 123456, UTC)


def test_a_wish_without_limits() -> None:
    assert parse_wish(b"{}") == TokenWish()
    assert TokenWish().actions == (TokenAction.READ, TokenAction.UPLOAD)
    empty = b'{"name": "", "actions": [], "indexes": [], "projects": [], "days": null}'
    assert parse_wish(empty) == TokenWish()


def test_a_wish_with_all_limits() -> None:
    wish = {
        "name": "größer", "actions": ["upload", "upload"], "indexes": ["root/*"],
        "projects": ["De_mo*"], "days": 3650,
    }  # fmt: skip
    assert parse_wish(json.dumps(wish).encode()) == TokenWish(
        "größer", (TokenAction.UPLOAD,), ("root/*",), ("de-mo*",), 3650
    )


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("", "valid JSON"),
        ("[]", "a JSON object"),
        ('{"project": "x", "scope": 1}', "unknown keys: project, scope; known are name, indexes"),
        ('{"name": 1}', "its name is a text"),
        ('{"name": "a\\nb"}', "one line of 100"),
        (f'{{"name": "{"x" * 101}"}}', "one line of 100"),
        ('{"days": 0}', "1 to 3650"),
        ('{"days": 3651}', "1 to 3650"),
        ('{"days": true}', "whole number"),
        ('{"days": 1.5}', "whole number"),
        ('{"days": "1"}', "whole number"),
        ('{"actions": "read"}', "actions is a list"),
        ('{"actions": ["delete"]}', "its actions are read and upload"),
        ('{"indexes": [1]}', "indexes is a list"),
        ('{"indexes": ["local"]}', "the name of an index"),
        ('{"indexes": null}', "indexes is a list"),
        ('{"projects": ["a/b"]}', "the name of a project"),
        (json.dumps({"projects": ["x"] * 101}), "at most"),
    ],
)
def test_what_cannot_be_granted_is_refused(body: str, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        parse_wish(body.encode())


def test_a_token_is_told_of_without_anything_secret() -> None:
    token = ApiToken("1a2b", UserName("alice"), "ci", "ab" * 32, AT)
    assert token_config(token) == {
        "id": "1a2b",
        "user": "alice",
        "name": "ci",
        "created": "2026-11-22T13:02:46Z",
        "expires": None,
        "actions": ["read", "upload"],
        "indexes": [],
        "projects": [],
    }
    assert token_config(replace(token, expires_at=AT))["expires"] == "2026-11-22T13:02:46Z"
