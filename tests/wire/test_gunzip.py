import gzip
import zlib

import pytest

from simpleindex.wire.gunzip import PIECE_BYTES_MAX, BadGzip, Gunzip


def unpacked(content: bytes, chunk_bytes: int = 1 << 20) -> bytes:
    gunzip = Gunzip()
    pieces: list[bytes] = []
    for start in range(0, len(content), chunk_bytes):
        pieces += gunzip.feed(content[start : start + chunk_bytes])
    gunzip.close()
    assert max(map(len, pieces), default=0) <= PIECE_BYTES_MAX
    return b"".join(pieces)


@pytest.mark.parametrize("chunk_bytes", [1, 7, 1 << 20])
@pytest.mark.parametrize("content", [b"", b"abc", b"abc" * 1000])
def test_what_was_packed_comes_out(content: bytes, chunk_bytes: int) -> None:
    assert unpacked(gzip.compress(content), chunk_bytes) == content


@pytest.mark.parametrize("chunk_bytes", [1, 1 << 20])
def test_streams_may_follow_each_other(chunk_bytes: int) -> None:
    assert unpacked(gzip.compress(b"abc") + gzip.compress(b"def"), chunk_bytes) == b"abcdef"


def test_much_comes_in_pieces() -> None:
    assert unpacked(gzip.compress(bytes(10 << 20))) == bytes(10 << 20)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"<html>", id="no gzip"),
        pytest.param(zlib.compress(b"abc"), id="deflate"),
        pytest.param(gzip.compress(b"abc" * 100)[:-1], id="cut in the trailer"),
        pytest.param(gzip.compress(b"abc" * 100)[:-12], id="cut"),
        pytest.param(gzip.compress(b"abc")[:-8] + bytes(8), id="wrong checksum"),
        pytest.param(gzip.compress(b"abc") + b"abc", id="more behind it"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_a_bad_gzip_is_refused(content: bytes) -> None:
    with pytest.raises(BadGzip):
        unpacked(content)
