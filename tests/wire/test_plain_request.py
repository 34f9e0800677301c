"""Plain requests: whatever is taken for one is read as h11 reads it."""

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simpleindex.wire.plain_request import PlainRequest, read_plain

PIP = (
    b"GET /root/pypi/+simple/demo/?a=b HTTP/1.1\r\nHost: index.example:3141\r\n"
    b'User-Agent: pip/26.2 {"ci":null,"cpu":"x86_64"}\r\nAccept-Encoding: gzip, deflate\r\n'
    b"Accept: application/vnd.pypi.simple.v1+json, text/html; q=0.1\r\n"
    b"Connection: keep-alive\r\n\r\n"
)


def read_by_h11(sent: bytes) -> PlainRequest | None:
    """The request, if it is exactly one without a body."""
    conn = h11.Connection(h11.SERVER)
    conn.receive_data(sent)
    try:
        request, end = conn.next_event(), conn.next_event()
    except h11.RemoteProtocolError:
        return None
    if not isinstance(request, h11.Request) or not isinstance(end, h11.EndOfMessage):
        return None
    if conn.trailing_data[0]:
        return None
    headers = [(bytes(name), bytes(value)) for name, value in request.headers]
    is_last = conn.their_state is h11.MUST_CLOSE
    return PlainRequest(request.method.decode(), bytes(request.target), headers, is_last)


@pytest.mark.parametrize(
    "sent",
    [
        PIP,
        b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /a%2Fb//c?d#e HTTP/1.1\r\nhOST:x\r\nX-Empty:\r\nX-A: b: c\r\nX-A: d\r\n\r\n",
        b"GET /[^`{|}~] HTTP/1.1\r\nHost:\r\nConnection: Close\r\n\r\n",
    ],
)
def test_what_is_plain_is_read_as_h11_reads_it(sent: bytes) -> None:
    request = read_plain(sent)
    assert request is not None
    assert request == read_by_h11(sent)


def test_a_request_is_told_in_full() -> None:
    request = read_plain(PIP)
    assert request is not None
    assert (request.method, request.target) == ("GET", b"/root/pypi/+simple/demo/?a=b")
    assert request.headers[0] == (b"host", b"index.example:3141")
    assert [name for name, _ in request.headers] == [
        b"host", b"user-agent", b"accept-encoding", b"accept", b"connection"
    ]  # fmt: skip
    assert not request.is_last


GET = b"GET / HTTP/1.1\r\nHost: x\r\n"


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(PIP[:-1], id="not all of it"),
        pytest.param(PIP + b"\r\n", id="more"),
        pytest.param(PIP + PIP, id="two"),
        pytest.param(b"\r\n" + PIP, id="an empty line ahead"),
        pytest.param(b"POST" + PIP[3:], id="another method"),
        pytest.param(b"PUSH" + PIP[3:], id="devpi's method"),
        pytest.param(b"get" + PIP[3:], id="small letters"),
        pytest.param(PIP.replace(b"1.1", b"1.0"), id="HTTP/1.0"),
        pytest.param(PIP.replace(b" /", b" http://x/", 1), id="a whole URL"),
        pytest.param(PIP.replace(b" /", b"  /", 1), id="two blanks"),
        pytest.param(PIP.replace(b" /", b"\t/", 1), id="a tab"),
        pytest.param(PIP.replace(b"demo", b"d\xc3\xa9mo"), id="bytes above ASCII in the path"),
        pytest.param(PIP.replace(b"demo", b"de mo"), id="a blank in the path"),
        pytest.param(PIP.replace(b"demo", b"de\x00mo"), id="a NUL in the path"),
        pytest.param(PIP.replace(b"\r\n", b"\n"), id="bare line feeds"),
        pytest.param(PIP.replace(b"\r\n", b"\r"), id="bare carriage returns"),
        pytest.param(GET + b"A: b\nC: d\r\n\r\n", id="a line feed in a value"),
        pytest.param(GET + b"A: b\rC: d\r\n\r\n", id="a carriage return in a value"),
        pytest.param(GET + b"A: b\x00\r\n\r\n", id="a NUL in a value"),
        pytest.param(GET + b"A: \xff\r\n\r\n", id="bytes above ASCII in a value"),
        pytest.param(GET + b"A: b\r\n c\r\n\r\n", id="a folded line"),
        pytest.param(GET + b" A: b\r\n\r\n", id="a blank before a name"),
        pytest.param(GET + b"A : b\r\n\r\n", id="a blank behind a name"),
        pytest.param(GET + b"A b: c\r\n\r\n", id="a blank in a name"),
        pytest.param(GET + b": c\r\n\r\n", id="no name"),
        pytest.param(GET + b"A\r\n\r\n", id="no colon"),
        pytest.param(GET + b"A:  b\r\n\r\n", id="two blanks before a value"),
        pytest.param(GET + b"A: b \r\n\r\n", id="a blank behind a value"),
        pytest.param(GET + b"A:\tb\r\n\r\n", id="a tab before a value"),
        pytest.param(GET + b"A: \r\n\r\n", id="a blank for a value"),
        pytest.param(GET + b"Host: x\r\n\r\n", id="two Hosts"),
        pytest.param(b"GET / HTTP/1.1\r\nA: b\r\n\r\n", id="no Host"),
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", id="no header"),
        pytest.param(GET + b"Content-Length: 0\r\n\r\n", id="a length"),
        pytest.param(GET + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n", id="two lengths"),
        pytest.param(GET + b"transfer-encoding: chunked\r\n\r\n", id="a transfer encoding"),
        pytest.param(GET + b"Expect: 100-continue\r\n\r\n", id="an expectation"),
        pytest.param(GET + b"UPGRADE: websocket\r\n\r\n", id="an upgrade"),
        pytest.param(GET + b"Connection: keep-alive, close\r\n\r\n", id="two words"),
        pytest.param(
            GET + b"Connection: keep-alive\r\nConnection: close\r\n\r\n", id="two Connections"
        ),
    ],
)
def test_everything_else_is_left_to_h11(sent: bytes) -> None:
    assert read_plain(sent) is None


PIECES = [
    b"GET", b"HEAD", b"PUSH", b" ", b"/", b"/x?y", b"*", b"HTTP/1.1", b"HTTP/1.0", b"\r\n", b"\n",
    b"\r", b"\t", b"\x00", b"\x0b", b"\x7f", b"\xff", b":", b": ", b"Host", b"host: x", b"Host: y",
    b"A", b"b", b",", b'"', b"Connection: ", b"close", b"keep-alive", b"Content-Length: 3",
    b"Transfer-Encoding: chunked", b"Expect: 100-continue", b"Upgrade: x", b"\r\n\r\n",
]  # fmt: skip
LINES = st.lists(st.sampled_from(PIECES), max_size=5).map(b"".join)


@settings(max_examples=500, deadline=None)
@given(
    st.sampled_from([b"GET / HTTP/1.1", b"HEAD /x HTTP/1.1"]) | LINES,
    st.lists(st.sampled_from([b"Host: x", b"A: b", b"Connection: close"]) | LINES, max_size=5),
    st.just(b"\r\n\r\n") | LINES,
)
def test_nothing_is_taken_that_h11_refuses_or_reads_otherwise(
    first: bytes, lines: list[bytes], end: bytes
) -> None:
    sent = b"\r\n".join([first, *lines]) + end
    request = read_plain(sent)
    assert request is None or request == read_by_h11(sent)


@settings(max_examples=500, deadline=None)
@given(st.integers(0, len(PIP)), st.integers(0, 12), st.sampled_from(PIECES) | st.binary())
def test_a_plain_request_that_is_spoilt_anywhere_is_read_as_h11_reads_it(
    at: int, without: int, instead: bytes
) -> None:
    sent = PIP[:at] + instead + PIP[at + without :]
    request = read_plain(sent)
    assert request is None or request == read_by_h11(sent)
