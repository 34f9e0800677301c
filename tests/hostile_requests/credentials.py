"""Attacks by credentials, and by what is written to the log of who asked for what."""

import base64
from collections.abc import Iterator
from dataclasses import replace

from tests.hostile_requests.attack import Attack, Change, harmless, headers, plus, refused, shown
from tests.hostile_requests.doors import JSONS, READS


def credentials() -> Iterator[Attack]:
    """Who somebody is, said so that it cannot be read, or is not true."""
    unlike = (401, 403, 429)
    for value in (
        b"", b"Basic", b"Basic ", b"basic x", b"Basic !!!!", b"Basic YQ", b"Basic YQ=",
        b"Basic YWJj", b"Basic \xff", b"Basic " + b"A" * 20_000, b"Basic " + _basic(b"\0:\0"),
        b"Basic " + _basic(b":"), b"Basic " + _basic(b"root"), b"Basic " + _basic(b"alice:"),
        b"Basic " + _basic(b":rootpw"), b"Basic " + _basic(b"\xff\xfe:\xff"),
        b"Basic " + _basic(b"../root:rootpw"), b"Basic " + _basic(b"root\0:rootpw"),
        b"Basic " + _basic(b"alice:\0"), b"Basic " + _basic(b"__token__:sit_" + b"x" * 9000),
        b"Basic " + _basic(b"__token__:"), b"Basic " + _basic(b"alice:si1.9999999999.1.AAAA"),
        b"Basic " + _basic(b"alice:si1.1.1.AAAA"),
        b"Basic " + _basic(b"alice:si1." + b"9" * 5000 + b".1.AAAA"),
        b"Basic " + _basic(b"alice:si1...."), b"Basic " + _basic("alice:si1.\u0661.1.é".encode()),
        b"Basic " + _basic(b"alice:" + b"x" * 15_000),
        b"Basic " + _basic(b"root\r\nX-Injected: 1:x"), b"Basic " + _basic(b"\x1b[2J:x"), b"Bearer",
        b"Bearer x", b"Bearer si1.9999999999.1.AAAA", b"Digest username=root", b"Negotiate x",
        b"AWS4-HMAC-SHA256 x", b"\xff", b"," * 9000, b"Basic " + _basic(b"alice:x") + b", Basic x",
        b"Basic\tYWxpY2U6eA==",
    ):  # fmt: skip
        yield Attack(f"Authorization: {shown(value)}", headers((b"Authorization", value)),
                     frozenset(unlike), is_harmless=True)  # fmt: skip
    for value in (
        b"",
        b"\xff",
        b"x",
        _basic(b"alice:x"),
        _basic(b"root"),
        b"=" * 9000,
        _basic(b"\xff:\xff"),
    ):
        change = headers((b"X-Devpi-Auth", value))
        yield Attack(f"X-Devpi-Auth: {shown(value)}", change, frozenset(unlike), is_harmless=True)
    two = ((b"Authorization", b"Basic x"), (b"Authorization", b"Basic " + _basic(b"alice:alicepw")))
    yield Attack("two Authorizations", plus(*two), frozenset(unlike), is_harmless=True)
    for size_bytes in (100_000, 1_000_000):
        value = b"Basic " + _basic(b"alice:" + b"x" * size_bytes)
        yield Attack(f"a password of {size_bytes:,} bytes", headers((b"Authorization", value)),
                     frozenset((*unlike, 400, 431)), is_harmless=True, is_long=True)  # fmt: skip


def log_lines() -> Iterator[Attack]:
    """What a log must not show as it is: line ends, and words to terminals."""
    for text in (
        b"%0a2026-01-01 00:00:00,000 forged",
        b"%0d%1b[2K forged",
        b"%1b]0;x%07",
        b"%c2%9b2J",
        b"%e2%80%a8x",
    ):
        encoded = text.replace(b" ", b"%20")
        yield refused(
            f"log by path {shown(text)}", _target(b"/root/" + encoded), 404, 405, 400, doors=_LOGGED
        )
        yield harmless(f"log by query {shown(text)}", _target_query(encoded), doors=_LOGGED)


_LOGGED = [*JSONS[:3], *READS[:3]]


def _basic(account: bytes) -> bytes:
    return base64.b64encode(account)


def _target(target: bytes) -> Change:
    return lambda request: replace(request, target=target)


def _target_query(query: bytes) -> Change:
    return lambda request: replace(request, target=request.target + b"?" + query)
