"""Heads of answers: the same bytes that h11 would write, and refused where it refuses."""

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simpleindex.wire.answer_head import AnswerHead, write_head

Headers = list[tuple[bytes, bytes]]


def written(
    headers: Headers, *, status: int = 200, phrase: bytes = b"OK", method: str = "GET"
) -> AnswerHead | None:
    """What is written for a request that lets the connection stay; None where it is refused."""
    try:
        return write_head(status, phrase, headers, of_head=method == "HEAD", is_last=False)
    except ValueError:
        return None


def written_by_h11(
    headers: Headers,
    *,
    status: int = 200,
    phrase: bytes = b"OK",
    method: str = "GET",
    is_last: bool = False,
) -> bytes | None:
    conn = h11.Connection(h11.SERVER)
    connection = b"Connection: close\r\n" if is_last else b""
    conn.receive_data(b"%b / HTTP/1.1\r\nHost: x\r\n%b\r\n" % (method.encode(), connection))
    conn.next_event()
    try:
        return conn.send(h11.Response(status_code=status, headers=headers, reason=phrase))
    except h11.LocalProtocolError:
        return None


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("status", "headers"),
    [
        pytest.param(200, [(b"content-length", b"5"), (b"X-Spelled", b"a b\tc")], id="a length"),
        pytest.param(200, [(b"content-type", b"text/html"), (b"etag", b"")], id="no length"),
        pytest.param(200, [(b"Transfer-Encoding", b"chunked")], id="chunks"),
        pytest.param(200, [(b"connection", b"close"), (b"content-length", b"0")], id="the last"),
        pytest.param(302, [(b"location", b"/caf\xe9"), (b"content-length", b"0")], id="moved"),
        pytest.param(204, [], id="nothing"),
        pytest.param(304, [(b"etag", b'"1"')], id="unchanged"),
        pytest.param(304, [(b"etag", b'"1"'), (b"content-length", b"7")], id="a length of nothing"),
        pytest.param(200, [(b"a", b"b\r\nc: d")], id="a line break in a value"),
        pytest.param(200, [(b"a: b\r\nc", b"d")], id="a line break in a name"),
        pytest.param(200, [(b"a", b"b\nc: d")], id="a line feed"),
        pytest.param(200, [(b"a", b"b\rc")], id="a carriage return"),
        pytest.param(200, [(b"a", b"b\x00")], id="a NUL"),
        pytest.param(200, [(b"a", b" b")], id="a blank ahead"),
        pytest.param(200, [(b"a", b"b ")], id="a blank behind"),
        pytest.param(200, [(b"a b", b"c")], id="a blank in a name"),
        pytest.param(200, [(b"", b"c")], id="no name"),
        pytest.param(200, [(b"a:b", b"c")], id="a colon in a name"),
        pytest.param(200, [(b"content-length", b"-1")], id="no number"),
        pytest.param(200, [(b"content-length", b"1"), (b"Content-Length", b"2")], id="two lengths"),
    ],
)
def test_it_is_what_h11_writes(status: int, headers: Headers, method: str) -> None:
    head = written(headers, status=status, method=method)
    told = written_by_h11(headers, status=status, method=method)
    assert (head and head.content) == told


def test_what_follows_is_told() -> None:
    with_length = [(b"content-length", b"5")]
    assert written(with_length) == AnswerHead(
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", 5, is_last=False
    )
    assert written([]) == AnswerHead(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", None, is_last=False
    )
    for_head = written(with_length, method="HEAD")
    assert for_head is not None and for_head.body_bytes == 0
    unchanged = written(with_length, status=304)
    assert unchanged is not None and unchanged.body_bytes == 0


def test_a_connection_is_closed_where_either_side_wants_it() -> None:
    headers = [(b"content-length", b"0"), (b"connection", b"close"), (b"a", b"b")]
    for sent in (headers, headers[:1]):
        head = write_head(200, b"OK", sent, of_head=False, is_last=True)
        assert head.is_last
        assert head.content == written_by_h11(sent, is_last=True)
    for value in (b"close", b"Keep-Alive, Close"):
        ours = written([(b"Connection", value)])
        assert ours is not None and ours.is_last
        assert ours.content == written_by_h11([(b"Connection", value)])
    theirs = written([(b"Connection", b"keep-alive")])
    assert theirs is not None and not theirs.is_last


@pytest.mark.parametrize("phrase", [b"", b"File already exists: a b\tc \xc3\xa9"])
def test_a_phrase_is_written_as_by_h11(phrase: bytes) -> None:
    head = written([], phrase=phrase)
    assert head is not None
    assert head.content == written_by_h11([], phrase=phrase)


@pytest.mark.parametrize("phrase", [b"a\r\nb: c", b"a\nb", b"a\rb", b"\0"])
def test_a_phrase_that_breaks_its_line_is_refused(phrase: bytes) -> None:
    assert written([], phrase=phrase) is None  # h11 does not look


@pytest.mark.parametrize("status", [100, 1000, 7])
def test_only_an_answer_has_a_head(status: int) -> None:
    assert written([], status=status) is None


def test_a_length_beside_chunks_is_refused() -> None:
    assert written([(b"content-length", b"1"), (b"transfer-encoding", b"chunked")]) is None


PARTS = [
    b"a", b"B", b":", b" ", b"\t", b"\r", b"\n", b"\r\n", b"\0", b"\x0b", b"\x7f", b"\xff"
]  # fmt: skip
TEXTS = st.lists(st.sampled_from(PARTS), max_size=4).map(b"".join)


@settings(max_examples=500, deadline=None)
@given(st.lists(st.tuples(st.just(b"a") | TEXTS, TEXTS), max_size=3))
def test_whatever_the_headers_they_are_written_or_refused_as_by_h11(headers: Headers) -> None:
    head = written(headers)
    assert (head and head.content) == written_by_h11(headers)
