import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from simpleindex.wire import devpi_json
from simpleindex_storage.errors import Refused
from simpleindex_storage.model import (
    Index,
    IndexSettings,
    MirrorSettings,
    StageSettings,
    User,
)
from simpleindex_storage.names import IndexName, UserName, parse_project_name

DEV = IndexName("alice/dev")
AT = datetime(2026, 11, 22, 13, 2, 46, 123456, UTC)


def new_index(content: object, known: StageSettings | None = None) -> IndexSettings:
    return devpi_json.parse_new_index(json.dumps(content).encode(), DEV, known)


def alices(**settings: Any) -> StageSettings:
    return StageSettings(**{"acl_upload": ("alice",)} | settings)


@pytest.mark.parametrize(
    ("content", "settings"),
    [
        pytest.param({}, alices(), id="nothing"),
        pytest.param({"type": "stage", "projects": ["x"]}, alices(), id="type and projects"),
        pytest.param({"volatile": False}, alices(volatile=False), id="flag"),
        pytest.param({"volatile": "No"}, alices(volatile=False), id="flag as text"),
        pytest.param({"volatile": "TRUE"}, alices(), id="flag in capitals"),
        pytest.param(
            {"bases": ["root/pypi", "alice/prod"]},
            alices(bases=(IndexName("root/pypi"), IndexName("alice/prod"))),
            id="list",
        ),
        pytest.param(
            {"bases": " root/pypi ,, alice/prod "},
            alices(bases=(IndexName("root/pypi"), IndexName("alice/prod"))),
            id="list as text",
        ),
        pytest.param({"bases": ""}, alices(), id="empty list as text"),
        pytest.param(
            {"acl_upload": "bob,:anonymous:,:Authenticated:"},
            alices(acl_upload=("bob", ":ANONYMOUS:", ":AUTHENTICATED:")),
            id="acl",
        ),
        pytest.param({"acl_upload": []}, alices(acl_upload=()), id="nobody may upload"),
        pytest.param({"acl_toxresult_upload": []}, alices(acl_toxresult_upload=()), id="tox"),
        pytest.param(
            {"mirror_whitelist": "*,Big_Name"},
            alices(mirror_whitelist=("*", parse_project_name("big-name"))),
            id="whitelist",
        ),
        pytest.param(
            {"strict_archives": "False"}, alices(strict_archives=False), id="legacy archives"
        ),
        pytest.param(
            {"mirror_whitelist_inheritance": "Union"},
            alices(mirror_whitelist_inheritance="union"),
            id="inheritance",
        ),
        pytest.param(
            {"title": "T", "custom_data": {"a": [1, None]}},
            alices(extra={"title": "T", "custom_data": {"a": [1, None]}}),
            id="extra",
        ),
        pytest.param({"type": "mirror"}, MirrorSettings(), id="mirror"),
        pytest.param(
            {
                "type": "mirror", "mirror_url": "https://up.example/simple/", "bases": "x",
                "mirror_cache_expiry": "600", "mirror_no_project_list": "yes", "volatile": False,
            },
            MirrorSettings(
                volatile=False, mirror_url="https://up.example/simple/",
                mirror_cache_expiry_seconds=600, mirror_no_project_list=True,
            ),
            id="mirror with settings",
        ),
    ],
)  # fmt: skip
def test_a_new_index_has_what_is_given_and_defaults(
    content: object, settings: IndexSettings
) -> None:
    assert new_index(content) == settings


def test_an_automatic_index_keeps_what_is_not_given() -> None:
    automatic = StageSettings(volatile=False, acl_upload=("root",), extra={"title": "T"})
    assert new_index({}, automatic) == automatic
    assert new_index({"volatile": True, "description": "D"}, automatic) == StageSettings(
        volatile=True, acl_upload=("root",), extra={"title": "T", "description": "D"}
    )


@pytest.mark.parametrize(
    ("content", "named"),
    [
        pytest.param({"volatile": "maybe"}, "volatile", id="no flag"),
        pytest.param({"volatile": 1}, "volatile", id="number as flag"),
        pytest.param({"bases": "pypi"}, "pypi", id="no index name"),
        pytest.param({"bases": "root/pypi/x"}, "pypi/x", id="too long an index name"),
        pytest.param({"bases": 7}, "bases", id="number as list"),
        pytest.param({"bases": ["a/b", 7]}, "bases", id="number in a list"),
        pytest.param({"bases": {"a/b": 1}}, "bases", id="object as list"),
        pytest.param({"acl_upload": None}, "acl_upload", id="null as list"),
        pytest.param({"mirror_whitelist": ["?"]}, "'?'", id="no project"),
        pytest.param({"mirror_whitelist_inheritance": "both"}, "inheritance", id="inheritance"),
        pytest.param({"strict_archives": "maybe"}, "strict_archives", id="word as flag"),
        pytest.param({"mirror_whitelist_inheritance": []}, "inheritance", id="list as word"),
        pytest.param({"type": "replica"}, "'replica'", id="type"),
        pytest.param({"type": ["stage"]}, "type", id="list as type"),
        pytest.param({"type": "mirror", "mirror_url": "ftp://x"}, "mirror_url", id="scheme"),
        pytest.param({"type": "mirror", "mirror_url": 7}, "mirror_url", id="number as url"),
        pytest.param({"type": "mirror", "mirror_cache_expiry": -1}, "expiry", id="in the past"),
        pytest.param({"type": "mirror", "mirror_cache_expiry": True}, "expiry", id="flag as time"),
        pytest.param({"type": "mirror", "mirror_cache_expiry": "1h"}, "expiry", id="unit"),
        pytest.param({"type": "mirror", "mirror_no_project_list": 0}, "no_project", id="mirror"),
        pytest.param({"mirror_url": "https://x"}, "mirror_url", id="mirror's key on a stage"),
        pytest.param({"volatil": True, "a": 1}, "a, volatil", id="unknown keys"),
        pytest.param([], "JSON object", id="list"),
        pytest.param(None, "JSON object", id="null"),
        pytest.param("x", "JSON object", id="text"),
        pytest.param({"title": "\ud800"}, "Unicode", id="half a character"),
        pytest.param({"\ud800": 1}, "Unicode", id="half a character in a key"),
    ],
)
def test_a_refusal_of_a_new_index_names_what_is_wrong(content: object, named: str) -> None:
    with pytest.raises(Refused) as refused:
        new_index(content)
    assert named in str(refused.value)


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
        b"[" * 60_000,
        b'{"custom_data": ' + b"[" * 40 + b"]" * 40 + b"}",
        b'{"custom_data": ' + b'{"a":' * 40 + b"1" + b"}" * 41,
    ],
    ids=lambda body: repr(body[:24]),
)
def test_what_is_no_sane_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(Refused):
        devpi_json.parse_object(body)


_json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
_index_keys = st.sampled_from(
    [
        "type", "volatile", "bases", "acl_upload", "acl_toxresult_upload", "mirror_whitelist",
        "mirror_whitelist_inheritance", "mirror_url", "mirror_web_url_fmt", "mirror_cache_expiry",
        "mirror_no_project_list", "mirror_use_external_urls", "title", "custom_data", "projects",
        "pwhash", "user", "password", "email",
    ]
)  # fmt: skip
_likely = st.sampled_from(
    ["stage", "mirror", "yes", "a/b", "a/b,c/d", "*", ["a/b"], [""], "union", "https://x", 600, []]
)


@given(
    content=_json_values | st.dictionaries(_index_keys, _likely | _json_values, max_size=6),
    raw=st.binary(),
)
@example(content={"type": {}}, raw=b"\xef\xbb\xbf{}")
def test_any_body_gives_settings_or_is_refused(content: object, raw: bytes) -> None:
    for body in (json.dumps(content).encode(), raw):
        try:
            settings = devpi_json.parse_new_index(body, DEV, None)
        except Refused:
            continue
        shown = devpi_json.reply(devpi_json.index_config(Index(DEV, settings)), "indexconfig")
        again = json.loads(shown, parse_constant=pytest.fail)["result"]
        assert devpi_json.parse_new_index(json.dumps(again).encode(), DEV, None) == settings


@given(content=_json_values | st.dictionaries(_index_keys, _json_values), raw=st.binary())
def test_any_login_and_user_is_parsed_or_refused(content: object, raw: bytes) -> None:
    for body in (json.dumps(content).encode(), raw):
        try:
            user, password = devpi_json.parse_login(body)
            (user + password).encode()
        except Refused:
            pass
        try:
            password, profile = devpi_json.parse_new_user(body)
            assert password and profile.keys() <= {"email", "title", "description", "custom_data"}
        except Refused:
            pass


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ({}, "password"),
        ({"password": ""}, "password"),
        ({"password": None}, "password"),
        ({"password": ["x"]}, "password"),
        ({"password": "x", "pwhash": "y", "admin": True}, "admin, pwhash"),
    ],
)
def test_a_refusal_of_a_new_user_names_what_is_wrong(content: object, named: str) -> None:
    with pytest.raises(Refused) as refused:
        devpi_json.parse_new_user(json.dumps(content).encode())
    assert named in str(refused.value)


def test_a_new_user_has_a_profile_of_what_says_something() -> None:
    body = b'{"password": "x", "email": "a@b", "title": "", "custom_data": {"n": 1}}'
    assert devpi_json.parse_new_user(body) == ("x", {"email": "a@b", "custom_data": {"n": 1}})


def test_an_answer_about_a_user_shows_no_hash() -> None:
    user = User(UserName("alice"), "scrypt$hash", 3, AT, AT, {"email": "a@b"})
    indexes = (
        Index(DEV, StageSettings(acl_upload=("alice",))),
        Index(IndexName("root/pypi"), MirrorSettings(mirror_cache_expiry_seconds=60)),
    )
    assert devpi_json.user_config(user, indexes) == {
        "username": "alice",
        "created": "2026-11-22T13:02:46Z",
        "modified": "2026-11-22T13:02:46Z",
        "email": "a@b",
        "indexes": {
            "dev": {
                "type": "stage",
                "volatile": True,
                "bases": [],
                "acl_upload": ["alice"],
                "acl_toxresult_upload": [":ANONYMOUS:"],
                "mirror_whitelist": [],
                "mirror_whitelist_inheritance": "intersection",
                "strict_archives": True,
            }
        },
    }


def test_an_answer_about_a_mirror_leaves_out_what_was_never_given() -> None:
    settings = MirrorSettings(mirror_cache_expiry_seconds=60, mirror_no_project_list=False)
    assert devpi_json.index_config(Index(DEV, settings)) == {
        "type": "mirror",
        "volatile": True,
        "mirror_cache_expiry": 60,
        "mirror_no_project_list": False,
    }


@pytest.mark.parametrize(
    ("parts", "envelope"),
    [
        ((), {}),
        (([], "list:userconfig"), {"result": [], "type": "list:userconfig"}),
        (({"a": "é"}, "x", "done"), {"result": {"a": "é"}, "type": "x", "message": "done"}),
        ((None, None, "done"), {"message": "done"}),
    ],
)
def test_every_answer_has_the_envelope(parts: tuple[Any, ...], envelope: object) -> None:
    body = devpi_json.reply(*parts)
    assert json.loads(body) == envelope
    assert body.endswith(b"\n")
