"""Gzip as it arrives, unpacked in pieces of a bounded size: a little gzip can hold very much."""

import zlib
from collections.abc import Iterator

PIECE_BYTES_MAX = 256 << 10


class BadGzip(Exception):
    """What arrived is no gzip, or only the beginning of one."""


class Gunzip:
    """The state between two chunks."""

    def __init__(self) -> None:
        self._stream = _new_stream()

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """What a chunk holds; to be taken to its end before the next chunk. Raises BadGzip."""
        rest = chunk
        try:
            while rest:
                if self._stream.eof:  # one after another is allowed (RFC 1952, 2.2)
                    self._stream = _new_stream()
                piece = self._stream.decompress(rest, PIECE_BYTES_MAX)
                rest = self._stream.unused_data or self._stream.unconsumed_tail
                if piece:
                    yield piece
            # What did not fit into the last piece, with no input left over.
            while not self._stream.eof and (piece := self._stream.decompress(b"", PIECE_BYTES_MAX)):
                yield piece
        except zlib.error as error:
            raise BadGzip("no gzip") from error

    def close(self) -> None:
        """Nothing more comes. Raises BadGzip if something should."""
        if not self._stream.eof:
            raise BadGzip("broken off")


def _new_stream() -> "zlib._Decompress":
    return zlib.decompressobj(zlib.MAX_WBITS | 16)
