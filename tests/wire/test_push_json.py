import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpleindex.wire.push_json import OtherServer, PushOrder, parse
from simpleindex_storage.errors import Refused
from simpleindex_storage.names import IndexName, parse_project_name

DEMO = parse_project_name("demo")
PROD = IndexName("root/prod")
POST = {"posturl": "https://index.example/legacy/", "username": "alice", "password": "secret"}


def body(**content: Any) -> bytes:
    return json.dumps({"name": "Demo", "version": "1.0"} | content).encode()


@pytest.mark.parametrize(
    ("content", "with_files", "with_documentation"),
    [
        ({}, True, True),
        ({"no_docs": True}, True, False),
        ({"only_docs": True}, False, True),
        ({"no_docs": False, "only_docs": False}, True, True),
    ],
)
def test_an_order_to_another_index_says_what_goes_along(
    content: dict[str, Any], with_files: bool, with_documentation: bool
) -> None:
    order = parse(body(targetindex="root/prod", **content))
    assert order == PushOrder(DEMO, "1.0", PROD, with_files, with_documentation)


def test_an_order_to_another_server_says_who_sends() -> None:
    server = OtherServer(POST["posturl"], "alice", "secret")
    assert parse(body(**POST)) == PushOrder(DEMO, "1.0", server)
    registering = parse(body(**POST, register_project=True, other="ignored"))
    assert isinstance(registering.target, OtherServer)
    assert registering.target.register


def test_a_password_is_never_shown() -> None:
    assert "secret" not in repr(parse(body(**POST)))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"name": None, "targetindex": "a/b"}, "'name'"),
        ({"name": "", "targetindex": "a/b"}, "'name'"),
        ({"name": "a b", "targetindex": "a/b"}, "project name"),
        ({"version": 1, "targetindex": "a/b"}, "'version'"),
        ({"version": "one", "targetindex": "a/b"}, "PEP 440"),
        ({"targetindex": "prod"}, "USER/INDEX"),
        ({"targetindex": "a/b/c"}, "index name"),
        ({"targetindex": 1}, "'targetindex'"),
        ({"targetindex": "a/b", "no_docs": True, "only_docs": True}, "leave nothing"),
        ({"targetindex": "a/b", "no_docs": "yes"}, "true or false"),
        ({"targetindex": "a/b", "force": True}, "unknown keys: force"),
        ({"targetindex": "a/b", "posturl": "http://x/"}, "unknown keys: posturl"),
        ({}, "neither a targetindex nor a posturl"),
        (POST | {"posturl": "ftp://index.example/"}, "http or https"),
        (POST | {"posturl": "file:///etc/passwd"}, "http or https"),
        (POST | {"posturl": "http:///legacy/"}, "http or https"),
        (POST | {"posturl": "http://[/"}, "no URL"),
        (POST | {"posturl": "http://x:99999/"}, "no URL"),
        (POST | {"posturl": "http://x/\n"}, "http or https"),
        (POST | {"posturl": "http://u:topsecret@x/"}, "credentials"),
        (POST | {"username": "a:b"}, "colon"),
        (POST | {"password": 1}, "'password'"),
        (POST | {"register_project": "yes"}, "true or false"),
    ],
)
def test_what_cannot_be_carried_out_is_refused(content: dict[str, Any], words: str) -> None:
    with pytest.raises(Refused) as raised:
        parse(body(**content))
    assert words in str(raised.value)
    assert "secret" not in str(raised.value)


@given(st.binary() | st.text().map(str.encode))
def test_any_body_is_answered_for(raw: bytes) -> None:
    with pytest.raises(Refused):
        parse(raw)


@given(st.text())
def test_any_url_is_taken_or_refused(url: str) -> None:
    try:
        order = parse(body(**(POST | {"posturl": url})))
    except Refused:
        return
    assert isinstance(order.target, OtherServer)
    assert order.target.url == url
