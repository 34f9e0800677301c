"""Long bodies, of which only that is made anew which is not in the one before."""

import gzip
import zlib
from collections.abc import Callable, Iterable
from hashlib import sha256

import pytest

from simpleindex.wire.pieces import NOTHING, Piece, Pieced, assemble, compress

Part = tuple[bytes, Callable[[], bytes]]


def parts(*contents: bytes) -> list[Part]:
    """Parts whose keys are their contents."""
    return [(content, lambda content=content: content) for content in contents]  # type: ignore[misc]


def none_of_them() -> bytes:
    raise AssertionError("this is made already")


def test_a_body_is_its_parts_one_behind_the_other() -> None:
    made = assemble(parts(b"ab", b"cde"))
    assert made == Pieced(b"abcde", (Piece(b"ab", 0, 2), Piece(b"cde", 2, 5)))


def test_a_part_of_the_body_before_is_not_made_again() -> None:
    before = assemble(parts(b"one", b"two", b"three"))
    known: Iterable[Part] = [(b"three", none_of_them), *parts(b"new"), (b"one", none_of_them)]
    assert assemble(known, before).body == b"threenewone"


def test_a_part_without_a_key_is_always_made() -> None:
    before = assemble([(b"", lambda: b"old")])
    assert assemble([(b"", lambda: b"new")], before).body == b"new"


CONTENTS = [
    pytest.param((), id="no parts"),
    pytest.param((b"",), id="an empty part"),
    pytest.param((b"a" * 5_000,), id="one part"),
    pytest.param(tuple(b"%d," % n * 500 for n in range(20)), id="many parts"),
]


@pytest.mark.parametrize("contents", CONTENTS)
def test_a_compressed_body_is_one_member_of_gzip(contents: tuple[bytes, ...]) -> None:
    plain = assemble(parts(*contents))
    packed = compress(plain, 6).body
    assert gzip.decompress(packed) == plain.body
    # As clients do it that know of no second member.
    unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)
    assert unpacker.decompress(packed) == plain.body
    assert unpacker.eof
    assert not unpacker.unused_data


@pytest.mark.parametrize("size_bytes", [0, 1, 5_000, 8_191, 8_192, 8_193, 40_000, 100_000])
def test_a_body_without_pieces_is_one_member_that_is_as_small_as_others_make_it(
    size_bytes: int,
) -> None:
    lines = b"".join(b"%d %s\n" % (n, sha256(b"%d" % n).hexdigest().encode()) for n in range(2_000))
    # What stands at its end, stood at its start: as far as a window can reach.
    body = (lines[: size_bytes // 2] + lines[: size_bytes - size_bytes // 2])[:size_bytes]
    packed = compress(Pieced(body), 6).body
    unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)
    assert unpacker.decompress(packed) == body
    assert unpacker.eof and not unpacker.unused_data
    assert len(packed) <= len(gzip.compress(body, 6)) * 1.05


def test_a_body_is_compressed_to_the_same_bytes_whatever_was_before() -> None:
    old = [b"%d," % n * 500 for n in range(5)]
    changed = assemble(parts(old[0], b"another one", *old[2:], b"and one more"))
    before = compress(assemble(parts(*old)), 6)
    assert compress(changed, 6, before) == compress(changed, 6, NOTHING)


def test_what_was_compressed_before_is_not_compressed_again() -> None:
    old = [b"%d," % n * 500 for n in range(5)]
    before = compress(assemble(parts(*old)), 6)
    # Spoilt, so that it shows where it is taken from.
    spoilt = Pieced(bytes(len(before.body)), before.pieces)
    packed = compress(assemble(parts(*old, b"more")), 6, spoilt)
    kept = packed.body[before.pieces[1].start : before.pieces[5].end]
    assert kept == bytes(len(kept))
    fresh = compress(assemble(parts(*old, b"more")), 6)
    assert packed.body[packed.pieces[6].start :] == fresh.body[fresh.pieces[6].start :]
