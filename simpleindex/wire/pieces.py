"""Long bodies made of pieces, of which those that were made before are not made again.

A page of thousands of files changes by one of them at a time. So most of the next page, and of
what is sent compressed, is in the one before already.
"""

import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple

_GZIP_HEAD = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
"""RFC 1952, 2.3: deflate, no flags, no time, an unknown system."""
_SMALL_WINDOW_BITS, _SMALL_MEMORY_LEVEL = 13, 5
_AS_GZIP = 16
"""Added to the bits of the window, it asks zlib for gzip."""
_LAST_BLOCK = b"\x03\x00"
"""RFC 1951: an empty block that says that it is the last."""


class Piece(NamedTuple):
    """Where a piece stands in a body."""

    key: bytes
    """Equal for equal pieces; empty for one that is never looked for."""
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Pieced:
    """A body, and where its pieces are. A short one has none: it is made whole."""

    body: bytes
    pieces: tuple[Piece, ...] = ()


NOTHING = Pieced(b"")


def assemble(
    parts: Iterable[tuple[bytes, Callable[[], bytes]]], before: Pieced = NOTHING
) -> Pieced:
    """The body of these parts, each a key and how it is made, unless it is in `before`."""
    known = {piece.key: piece for piece in before.pieces if piece.key}
    old = memoryview(before.body)
    joined: list[bytes | memoryview] = []
    pieces: list[Piece] = []
    end = 0
    for key, make in parts:
        found = known.get(key)
        content = make() if found is None else old[found.start : found.end]
        joined.append(content)
        pieces.append(Piece(key, end, end + len(content)))
        end += len(content)
    return Pieced(b"".join(joined), tuple(pieces))


def compress_whole(body: bytes, level: int) -> bytes:
    """A body under gzip.

    zlib works in 256 KB, which takes longer to prepare than the page of a few files to compress. A
    body that fits into a small window needs a fifth of that, and gets hardly larger by it.
    """
    if len(body) <= 1 << _SMALL_WINDOW_BITS:
        window_bits, memory_level = _SMALL_WINDOW_BITS, _SMALL_MEMORY_LEVEL
    else:
        window_bits, memory_level = zlib.MAX_WBITS, zlib.DEF_MEM_LEVEL
    packer = zlib.compressobj(level, zlib.DEFLATED, _AS_GZIP + window_bits, memory_level)
    return packer.compress(body) + packer.flush()


def compress(plain: Pieced, level: int, before: Pieced = NOTHING) -> Pieced:
    """A body under gzip, as one member (some clients stop after the first).

    Each piece is compressed for itself; `before` is what this gave for an earlier body.
    """
    if not plain.pieces:
        return Pieced(compress_whole(plain.body, level))
    whole = memoryview(plain.body)

    def deflated(piece: Piece) -> tuple[bytes, Callable[[], bytes]]:
        content = whole[piece.start : piece.end]
        return sha256(content).digest(), lambda: _deflate(content, level)

    # Not only its checksum: it ends the member, so it is never taken for a piece.
    size = len(whole) & 0xFFFFFFFF
    trailer = _LAST_BLOCK + zlib.crc32(whole).to_bytes(4, "little") + size.to_bytes(4, "little")
    parts = [(b"", lambda: _GZIP_HEAD), *map(deflated, plain.pieces), (b"", lambda: trailer)]
    return assemble(parts, before)


def _deflate(content: memoryview, level: int) -> bytes:
    packer = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
    # A full flush ends at a byte, and nothing behind it refers to what stands before it.
    return packer.compress(content) + packer.flush(zlib.Z_FULL_FLUSH)
