import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpleindex.wire import user_json
from simpleindex.wire.user_json import UserChange
from simpleindex_storage.errors import Refused
from simpleindex_storage.model import Index, MirrorSettings, StageSettings, User
from simpleindex_storage.names import IndexName, UserName

AT = datetime(2026, 11, 22, 13, 2, 46, 123456, UTC)
ALICE = User(UserName("alice"), "scrypt$hash", 3, AT, AT, {"email": "a@b", "custom_data": [1]})


def changed(content: object) -> UserChange:
    return user_json.parse_user_change(json.dumps(content).encode())


def test_a_new_user_has_a_profile_of_what_says_something() -> None:
    body = b'{"password": "x", "email": "a@b", "title": "", "custom_data": {"n": 1}}'
    assert user_json.parse_new_user(body) == ("x", {"email": "a@b", "custom_data": {"n": 1}})


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ({}, "password"),
        ({"password": ""}, "password"),
        ({"password": None}, "password"),
        ({"password": ["x"]}, "password"),
        ({"password": "x", "pwhash": "y", "admin": True}, "admin, pwhash"),
        ({"password": "x", "email": ["a@b"]}, "email"),
        ({"password": "x", "title": 7}, "title"),
    ],
)
def test_a_refusal_of_a_new_user_names_what_is_wrong(content: object, named: str) -> None:
    with pytest.raises(Refused, match=named):
        user_json.parse_new_user(json.dumps(content).encode())


@pytest.mark.parametrize(
    ("content", "keys", "profile"),
    [
        pytest.param({}, set(), ALICE.profile, id="nothing"),
        pytest.param({"password": "x"}, {"password"}, ALICE.profile, id="password"),
        pytest.param({"password": None}, set(), ALICE.profile, id="no password"),
        pytest.param({"email": "a@b", "custom_data": [1]}, set(), ALICE.profile, id="the same"),
        pytest.param({"title": ""}, set(), ALICE.profile, id="what says nothing"),
        pytest.param({"email": ""}, {"email"}, {"custom_data": [1]}, id="removed"),
        pytest.param({"custom_data": None}, {"custom_data"}, {"email": "a@b"}, id="made null"),
        pytest.param(
            {"title": "T", "email": "c@d"},
            {"title", "email"},
            {"title": "T", "email": "c@d", "custom_data": [1]},
            id="set",
        ),
        pytest.param(
            {
                "username": "x", "created": "y", "modified": 7, "indexes": {}, "email": "a@b",
                "password": "x",
            },
            {"password"}, ALICE.profile, id="as devpi-client sends a password",
        ),
    ],
)  # fmt: skip
def test_only_what_differs_counts_as_changed(
    content: object, keys: set[str], profile: object
) -> None:
    change = changed(content)
    assert change.changed_keys(ALICE) == keys
    assert change.profile_of(ALICE) == profile


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ({"password": 7}, "password"),
        ({"password": ["x"]}, "password"),
        ({"emial": "a@b", "pwhash": "x"}, "emial, pwhash"),
        ({"email": {}}, "email"),
        ([], "JSON object"),
        (None, "JSON object"),
    ],
)
def test_a_refusal_of_a_change_names_what_is_wrong(content: object, named: str) -> None:
    with pytest.raises(Refused, match=named):
        changed(content)


def test_a_password_is_not_shown_in_logs() -> None:
    assert "geheim" not in repr(UserChange("geheim"))


def test_an_answer_about_a_user_shows_no_hash_and_only_their_indexes() -> None:
    indexes = (
        Index(IndexName("alice/dev"), StageSettings(acl_upload=("alice",))),
        Index(IndexName("root/pypi"), MirrorSettings()),
    )
    config = user_json.user_config(ALICE, indexes, lambda index: False)
    indexes_told: Any = config.pop("indexes")
    assert list(indexes_told) == ["dev"]
    assert indexes_told["dev"]["acl_upload"] == ["alice"]
    assert config == {
        "username": "alice",
        "created": "2026-11-22T13:02:46Z",
        "modified": "2026-11-22T13:02:46Z",
        "email": "a@b",
        "custom_data": [1],
    }
    assert "modified" not in user_json.user_config(
        replace(ALICE, modified_at=None), (), lambda index: False
    )


_json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
_keys = st.sampled_from(["user", "password", "email", "title", "custom_data", "indexes", "x"])


@given(content=_json_values | st.dictionaries(_keys, _json_values), raw=st.binary())
def test_any_login_and_user_is_parsed_or_refused(content: object, raw: bytes) -> None:
    for body in (json.dumps(content).encode(), raw):
        try:
            user, password = user_json.parse_login(body)
            (user + password).encode()
        except Refused:
            pass
        try:
            password, profile = user_json.parse_new_user(body)
            assert password and profile.keys() <= {"email", "title", "description", "custom_data"}
        except Refused:
            pass
        try:
            change = user_json.parse_user_change(body)
            assert all(change.profile_of(ALICE).values())
        except Refused:
            pass
