"""Attacks by the frame of a request: where it ends, where its body ends, and what is none."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from tests.hostile_requests.attack import SILENT, Attack, Change, harmless, headers, refused, shown
from tests.hostile_requests.doors import DOORS, FORMS, Request, Takes


def framing() -> Iterator[Attack]:
    """Where a body ends, told twice, or wrongly: the beginning of requests that are smuggled."""
    bodies = [door for door in DOORS if door.takes is not Takes.NOTHING]
    for value in (
        b"-1", b"+5", b"0x10", b"5 5", b"5,6", b"1e3", b"x", b"", b"\xff", b"9" * 5000, b"5;",
        b"5.0", b"\xd9\xa1",
    ):  # fmt: skip
        yield refused(
            f"Content-Length: {shown(value)}",
            headers((b"Content-Length", value)),
            400,
            413,
            SILENT,
            doors=bodies,
        )
    yield refused(
        "two Content-Lengths",
        lambda request: request.with_headers(
            (b"Content-Length", b"%d" % len(request.body)), (b"content-length", b"1")
        ),
        doors=bodies,
    )
    for value in (
        b"chunked, chunked", b"gzip, chunked", b"chunked;x", b"xchunked", b"x", b"", b"chunked,",
        b"identity", b"\x0bchunked", b"chunked\x00", b"gzip",
    ):  # fmt: skip
        yield refused(
            f"Transfer-Encoding: {shown(value)}", _chunked(_chunks, value), 400, doors=bodies
        )
    yield refused("both lengths", _both_lengths, doors=bodies)
    for name, write in (
        ("size x", lambda content: b"x\r\n" + content),
        ("size -1", lambda content: b"-1\r\n" + content),
        ("size +5", lambda content: b"+5\r\n" + content),
        ("size 0x5", lambda content: b"0x5\r\n" + content),
        ("no size", lambda content: b"\r\n" + content),
        ("a size of 5,000 digits", lambda content: b"f" * 5000 + b"\r\n" + content),
        ("a size of 17 digits", lambda content: b"f" * 17 + b"\r\n" + content),
        ("too small a size", lambda content: b"2\r\n" + content + b"\r\n0\r\n\r\n"),
        ("bare line feeds", lambda content: b"%x\n%b\n0\n\n" % (len(content), content)),
        ("an endless extension", lambda content: b"5;" + b"x" * 100_000 + b"\r\n" + content),
        ("a trailer of 300 KB", lambda content: _chunks(content)[:-2] + b"A: " + b"b" * 300_000),
        ("a trailer without a colon", lambda content: _chunks(content)[:-2] + b"A\r\n\r\n"),
    ):
        yield refused(
            f"chunks with {name}", _ending(_chunked(write)), 400, 431, SILENT, doors=FORMS
        )


def hidden_requests() -> Iterator[Attack]:
    """A second request in a body, or behind one: by root, so that it would be done."""
    yield refused(
        "a request in a body", lambda request: replace(request, body=_hidden(request)), doors=FORMS
    )
    for name, coding in (
        ("two lengths", b"chunked"), ("a coding in capitals", b"CHUNKED"),
        ("a coding with blanks", b" chunked "), ("an unknown coding", b"xchunked"),
        ("a coding twice", b"chunked, chunked"), ("no coding", b"identity"),
        ("a coding with a tab", b"\tchunked"), ("a coding with a quote", b'"chunked"'),
    ):  # fmt: skip
        yield refused(f"a request behind {name}", _behind_chunks(coding), 400, doors=FORMS)
    # What h11 takes for an end is one: a request behind `0\r\n\n` or `0 \r\n\r\n` is just the next.
    for end in (
        b"0\n\n", b"0\n\r\n", b"0;\n\r\n\r\n", b"0" * 23 + b"\r\n\r\n", b"\r\n0\r\n\r\n",
        b"0x0\r\n\r\n", b"0\r\r\n\r\n", b"-0\r\n\r\n", b"+0\r\n\r\n",
    ):  # fmt: skip
        title = f"a request behind the chunk {shown(end)}"
        yield refused(title, _behind_end(end), 400, SILENT, doors=FORMS)


def lines() -> Iterator[Attack]:
    """What is no request of HTTP/1."""
    for name, raw in (
        ("HTTP/0.9", b"GET /\r\n\r\n"),
        ("HTTP/9.9 in a word", b"GET / HTTP/99\r\n\r\n"),
        ("the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\n"),
        ("the rest of that preface", b"SM\r\n\r\n"),
        ("a TLS hello", bytes.fromhex("16030100c6010000c20303") + bytes(200)),
        ("garbage", bytes(range(256)) * 4),
        ("a line without end", b"GET /" + b"a" * 200_000),
        ("NULs", bytes(5000)),
        ("a RESP command", b"*1\r\n$4\r\nPING\r\n"),
        ("SSH", b"SSH-2.0-OpenSSH_9.9\r\n"),
        ("a proxy's greeting", b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\nGET / HTTP/1.1\r\n\r\n"),
        ("SMTP", b"EHLO poisoned.example\r\n"),
        ("an answer", b"HTTP/1.1 200 OK\r\n\r\n"),
        ("a half line", b"GE"),
        ("a half head", b"GET / HTTP/1.1\r\nHost: x\r\n"),
        ("empty lines only", b"\r\n" * 1000),
        ("blanks ahead", b"  GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
    ):
        yield refused(name, _raw(raw), 400, 405, 408, 414, 431, 505, SILENT, doors=DOORS[:1])
    for version in (
        b"HTTP/0.9", b"HTTP/1.2", b"HTTP/2.0", b"HTTP/9.9", b"HTTP/1.", b"http/1.1", b"HTTPS/1.1",
        b"HTTP/1.1 x", b"HTTP/1.10", b"HTTP/-1.1", b"", b"HTTP /1.1",
    ):  # fmt: skip
        yield harmless(f"version {shown(version)}", _version(version), 400, 505)
    yield harmless("HTTP/1.0", _version(b"HTTP/1.0"))


def _hidden(request: Request) -> bytes:
    """The removal of an index by whoever sends the request."""
    authorization = [each for each in request.headers if each[0] == b"Authorization"]
    return Request(b"DELETE", b"/root/other", tuple(authorization)).content


def _behind_chunks(coding: bytes) -> Change:
    """A body that ends at once by its chunks, but not by its Content-Length."""

    def change(request: Request) -> Request:
        content = b"0\r\n\r\n" + _hidden(request)
        sent = request.with_headers(
            (b"Content-Length", b"%d" % len(content)), (b"Transfer-Encoding", coding)
        )
        return replace(sent, body=content)

    return change


def _behind_end(end: bytes) -> Change:
    """A body of chunks with an end that is none, or not for everybody; and the client goes away."""

    def change(request: Request) -> Request:
        sent = request.with_headers((b"Transfer-Encoding", b"chunked"))
        return replace(sent, body=end + _hidden(request), ended=True)

    return change


def _both_lengths(request: Request) -> Request:
    chunked = _chunked(_chunks)(request)
    return chunked.with_headers((b"Content-Length", b"%d" % len(chunked.body)))


def _chunks(content: bytes) -> bytes:
    return b"%x\r\n%b\r\n0\r\n\r\n" % (len(content), content)


def _chunked(write: Callable[[bytes], bytes], coding: bytes = b"chunked") -> Change:
    def change(request: Request) -> Request:
        sent = request.with_headers((b"Transfer-Encoding", coding))
        return replace(sent, body=write(request.body))

    return change


def _ending(change: Change) -> Change:
    """The client goes away after it: there may be nothing to answer yet."""
    return lambda request: replace(change(request), ended=True)


def _raw(content: bytes) -> Change:
    return lambda request: replace(request, raw=content, ended=True)


def _version(version: bytes) -> Change:
    return lambda request: replace(request, version=version)
