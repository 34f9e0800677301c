"""Attacks by bodies of JSON, and by what is packed."""

import gzip
import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from tests.hostile_requests.attack import (
    MARKUP,
    Attack,
    Change,
    body,
    refused,
    shown,
)
from tests.hostile_requests.doors import FORMS, INDEX, JSONS, Door, Request

_NO_OBJECTS: Mapping[str, bytes] = {
    "nothing": b"",
    "blanks": b" \n" * 99,
    "null": b"null",
    "true": b"true",
    "a number": b"5",
    "a text": b'"password"',
    "a list": b"[]",
    "a list of pairs": b'[["user", "root"]]',
    "NaN": b"NaN",
    "Infinity": b"-Infinity",
    "a number of 50,000 digits": b"9" * 50_000,
    "half an object": b'{"user": "ro',
    "two objects": b"{}{}",
    "single quotes": b"{'user': 'root'}",
    "a comment": b"{/* */}",
    "a comma at the end": b'{"user": "root",}',
    "no key": b"{: 1}",
    "a key that is a number": b"{1: 1}",
    "a control character": b'{"user": "a\x01b"}',
    "a BOM of another encoding": b"\xff\xfe{}",
    "no UTF-8": b'{"user": "\xff\xfe"}',
    "an overlong NUL": b'{"user": "\xc0\x80"}',
    "an encoded surrogate": b'{"user": "\xed\xa0\x80"}',
    "UTF-7": b"+AHsAfQ-",
    "a form": b"user=root&password=x",
    "XML": b'<!DOCTYPE x [<!ENTITY a "aaaa">]><methodCall>&a;</methodCall>',
    "a pickle": b"\x80\x04cos\nsystem\n(S'id'\ntR.",
    "NULs": bytes(1000),
    "lists in lists, to a depth of 100,000": b"[" * 100_000,
    "lists in lists, closed": b"[" * 30_000 + b"]" * 30_000,
    "objects in objects": b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
}

_TOO_LARGE: Mapping[str, bytes] = {
    "11 MB of a text": b'{"user": "' + b"a" * 11_000_000 + b'"}',
    "12 MB of blanks": b" " * 12_000_000,
    "7 MB of keys": b"{" + b",".join(b'"k%d":1' % number for number in range(600_000)) + b"}",
}

_VALUES: Sequence[object] = [
    [], {}, 5, -1, 1.5, [[]], [None], {"a": "b"}, {"$ne": None}, [{}], ["x"] * 9000, "\ud800",
    10**4000, 1e308 * 10,
]  # fmt: skip
"""In place of a text."""

_SETTINGS: Sequence[Mapping[str, object]] = [
    {"bases": "../x"}, {"bases": ["root/../x"]}, {"bases": [5]}, {"bases": {"a": "b"}},
    {"bases": ["a" * 5000]}, {"bases": [f"root/{MARKUP}"]},
    {"bases": ["root/new\r\nX-Injected: 1"]}, {"volatile": "perhaps"}, {"volatile": []},
    {"volatile": 2}, {"acl_upload": {"a": 1}}, {"acl_upload": [None]}, {"acl_upload": [["root"]]},
    {"acl_upload": 5}, {"type": "exec"}, {"type": None}, {"type": ["mirror"]},
    {"type": "mirror", "mirror_url": "file:///etc/passwd"},
    {"type": "mirror", "mirror_url": "gopher://x/"}, {"type": "mirror", "mirror_url": 5},
    {"type": "mirror", "mirror_url": "http://[::1"},
    {"type": "mirror", "mirror_url": "http://a b/"},
    {"type": "mirror", "mirror_url": "http://x/\r\nX-Injected: 1"},
    {"type": "mirror", "mirror_url": ""}, {"mirror_whitelist": 5}, {"mirror_whitelist": ["../x"]},
    {"mirror_whitelist": [{}]}, {"unknown_setting": 1}, {"__proto__": {}}, {"": ""},
    {"a" * 5000: 1}, {"title": ["x"]}, {"acl_read": {"x": {}}},
]  # fmt: skip

_URLS: Sequence[object] = [
    "file:///etc/passwd", "ftp://x/", "javascript:alert(1)", "http://", "http://a:b@x/", "//x/", "",
    5, "http://x\r\nX-Injected: 1/", ["http://x/"], "http://[::1", "http://x:99999/",
    "gopher://127.0.0.1:25/_EHLO",
]  # fmt: skip

_ORDERS: Sequence[Mapping[str, object]] = [
    {"targetindex": "../x"}, {"targetindex": "root"}, {"targetindex": "root/local/x"},
    {"targetindex": "root/" + "x" * 5000}, {"targetindex": f"root/{MARKUP}"},
    {"targetindex": "root/x\0"}, {"name": "../x"}, {"name": "d/emo"}, {"name": ""},
    {"name": "x" * 5000}, {"name": "déjà"}, {"version": "../1.0"}, {"version": "1" * 5000 + "x"},
    {"version": ""}, {"version": "1.0\n\n;"}, {"no_docs": 1}, {"only_docs": "x"},
    {"no_docs": True, "only_docs": True}, {"unknown": 1},
    *({"targetindex": None, "posturl": url} for url in _URLS),
]  # fmt: skip


_NOBODY: Sequence[str] = [
    "", ":", "root\0", "root ", "../root", "\r\nX-Injected: 1", "\x1b[2Jx",
    "\n2026-01-01 00:00:00,000 forged", MARKUP, "x" * 60_000, "\u202eroot", "\uff52oot",
    "r\u200boot", "__token__", "%s%n{0}{user}", "' OR 1=1--", "*", "con", "\x9b2J", "\u2028x",
]  # fmt: skip


def json_bodies() -> Iterator[Attack]:
    """JSON of the wrong kind, shape, depth, size or encoding; and what is none."""
    for name, content in _NO_OBJECTS.items():
        # Of an index, a list tells what is to be changed (devpi's `["volatile=False"]`).
        doors = [door for door in JSONS if content != b"[]" or (door.method, door.kind) != _LISTED]
        yield refused(f"JSON: {name}", body(content), 400, 413, doors=doors)
    for encoding in ("utf-16", "utf-32", "utf-7"):
        yield refused(f"JSON: {encoding}, and a byte more", _in_encoding(encoding), doors=JSONS)
    for name, content in _TOO_LARGE.items():
        yield refused(f"JSON: {name}", body(content), 400, 413, doors=JSONS, is_long=True)
    for value in _VALUES:
        for door in _WITH_TEXTS:
            for key in json.loads(door.body):
                yield refused(
                    f"JSON: {key} {shown(json.dumps(value) if value != 1e308 * 10 else '1e999')}",
                    _with_value(key, value),
                    doors=[door],
                )


def logins() -> Iterator[Attack]:
    """Names and passwords that nobody has, some of them so that a log or a page would suffer."""
    for user in _NOBODY:
        content = json.dumps({"user": user, "password": "x"}).encode()
        yield refused(f"a login of {shown(user)}", body(content), 400, 401, doors=_LOGINS)
    for password in ("", "\0", "x" * 1025, "x" * 60_000, "\ud83d\udc0d" * 1000, "é" * 600):
        content = json.dumps({"user": "alice", "password": password}).encode()
        yield refused(f"a password {shown(password)}", body(content), 400, 401, 429, doors=_LOGINS)


def json_settings() -> Iterator[Attack]:
    """Settings of indexes, and orders to push, that name what must not be."""
    for settings in _SETTINGS:
        change = body(json.dumps(settings).encode())
        yield refused(
            f"settings {shown(json.dumps(settings))}", change, 400, 404, doors=_OF_INDEXES
        )
    for changes in _ORDERS:
        for door in _PUSHES:
            content = json.dumps(json.loads(door.body) | changes).encode()
            title = f"order {shown(json.dumps(changes))}"
            yield refused(title, body(content), 400, 404, doors=[door])


def packed_bodies() -> Iterator[Attack]:
    """Bodies under a Content-Encoding, bombs among them: nothing is unpacked here."""
    bomb = gzip.compress(bytes(50_000_000), 9)
    for coding, pack in (
        (b"gzip", gzip.compress), (b"deflate", zlib.compress),
        (b"br", lambda content: b"\x8b" + content),
        (b"zstd", lambda content: b"\x28\xb5\x2f\xfd" + content),
        (b"gzip, gzip", lambda content: gzip.compress(gzip.compress(content))),
        (b"gzip", lambda _: bomb), (b"deflate", lambda _: zlib.compress(bytes(10_000_000))),
        (b"\xff", lambda content: b"\x1f\x8b" + content),
    ):  # fmt: skip

        def change(request: Request, coding: bytes = coding, pack: Pack = pack) -> Request:
            sent = request.with_headers((b"Content-Encoding", coding))
            return replace(sent, body=pack(request.body))

        yield refused(
            f"Content-Encoding: {shown(coding)}", change, 400, 413, 415, doors=[*JSONS, *FORMS]
        )


Pack = Callable[[bytes], bytes]

_LOGINS = tuple(door for door in JSONS if door.kind == "Login")
_LISTED = ("PATCH", "IndexAt")
_OF_INDEXES = tuple(
    door for door in JSONS if door.method in ("PUT", "PATCH") and door.kind == "IndexAt"
)
_PUSHES = tuple(door for door in JSONS if door.target == INDEX and door.method in ("POST", "PUSH"))
_WITH_TEXTS: Sequence[Door] = tuple(door for door in JSONS if door.kind != "FileAt")
"""All but results of tests, which may hold anything."""


def _in_encoding(encoding: str) -> Change:
    return lambda request: replace(request, body=request.body.decode().encode(encoding) + b"\xff")


def _with_value(key: str, value: object) -> Change:
    def change(request: Request) -> Request:
        content = json.dumps(json.loads(request.body) | {key: value})
        return replace(request, body=content.replace("Infinity", "1e999").encode())

    return change
