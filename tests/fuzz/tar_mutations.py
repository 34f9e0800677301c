"""How a .tar.gz becomes another one: the headers below the gzip, and the gzip itself."""

import gzip
import struct
import tarfile
import zlib
from collections.abc import Callable

from tests.fuzz.mutations import INPUT_BYTES_MAX, NUMBERS, Ground, a_token, mutated_once
from tests.raw_archives import (
    changed_header,
    deflated,
    filled_up,
    pax_header,
    tar_header,
    tar_member,
)

_TAR_FIELDS = (
    (0, 100), (100, 8), (108, 8), (116, 8), (124, 12), (136, 12), (156, 1), (157, 100), (257, 8),
    (265, 32), (329, 8), (337, 8), (345, 155), (500, 12),
)  # fmt: skip
_KINDS = (
    b"0", b"\0", b"1", b"2", b"3", b"5", b"6", b"7", b"L", b"K", b"x", b"g", b"S", b"V", b"D",
)  # fmt: skip


def change_a_tar_header(ground: Ground, data: bytes) -> bytes:
    """Another field in one header, with the sum that goes with it."""
    rng, tar = ground.rng, _gunzipped(data)
    headers = [at for at in range(0, len(tar) - 511, 512) if tar[at + 257 : at + 262] == b"ustar"]
    if not headers:
        return data
    at = rng.choice(headers)
    place, size = rng.choice(_TAR_FIELDS)
    old = tar[at + place : at + place + size]
    octal = b"%0*o\0" % (size - 1, rng.choice(NUMBERS))
    choices = (
        mutated_once(ground, old), a_token(ground), octal, bytes(size), b"\x80" + bytes(size - 1),
        b"\xff" * size, _stepped(ground, old),
    )  # fmt: skip
    new = rng.choice(_KINDS) if size == 1 else rng.choice(choices)[:size]
    header = changed_header(tar[at : at + 512], place, new)
    return _gzipped(ground, tar[:at] + header + tar[at + 512 :])


def _stepped(ground: Ground, octal: bytes) -> bytes:
    digits = octal.rstrip(b" \0")
    if not digits or digits.strip(b"01234567"):
        return octal
    number = max(0, int(digits, 8) + ground.rng.choice((-1, 1, 512, -512)))
    return b"%0*o" % (len(digits), number)


def rebuild_tar(ground: Ground, data: bytes) -> bytes:
    """The same blocks in another order, or with another member, or something ahead of one."""
    rng, tar = ground.rng, _gunzipped(data)
    parts = _parts_of(tar)
    at = rng.randrange(len(parts) + 1)
    match rng.randrange(6):
        case 0 if at < len(parts):
            del parts[at]
        case 1 if at < len(parts):
            parts.insert(rng.randrange(len(parts) + 1), parts[at])
        case 2:
            rng.shuffle(parts)
        case 3 if at < len(parts):
            content = mutated_once(ground, parts[at][512:])
            parts[at] = changed_header(parts[at][:512], 124, b"%011o\0" % len(content)) + filled_up(
                content
            )
        case _:
            parts.insert(at, _new_part(ground))
    end = rng.choice((bytes(1024), bytes(1024), bytes(1024), bytes(512), b"", bytes(10240)))
    return _gzipped(ground, b"".join(parts) + end)


def repack_gzip(ground: Ground, data: bytes) -> bytes:
    """The same tar in a gzip that says other things of itself."""
    rng, tar = ground.rng, _gunzipped(data)
    if not tar:
        return data
    flags = rng.choice((0, 1, 2, 4, 8, 16, 12, 31, 32, 128))
    head = b"\x1f\x8b\x08" + bytes([flags]) + rng.randbytes(4) + b"\2\3"
    if flags & 4:
        head += b"\3\0abc"
    if flags & 8:
        head += b"a.tar\0"
    if flags & 16:
        head += b"comment\0"
    if flags & 2:
        head += struct.pack("<H", zlib.crc32(head) & 0xFFFF)
    tail = struct.pack("<2L", zlib.crc32(tar), len(tar))
    behind = rng.choice((b"", b"", b"\0", bytes(600), b"x", gzip.compress(b""), gzip.compress(tar)))
    return head + deflated(tar, rng.randrange(10)) + tail + behind


def _new_part(ground: Ground) -> bytes:
    rng, token = ground.rng, a_token(ground)
    name = token.decode("utf-8", "surrogateescape").replace("\0", "_") or "x"
    key = rng.choice(
        ("path", "linkpath", "size", "mtime", "uid", "hdrcharset", "GNU.sparse.name", "x")
    )
    long_name = filled_up(mutated_once(ground, b"demo-1.0/" + b"n" * 120 + b"\0"))
    target = rng.choice(("PKG-INFO", "../x", "demo-1.0/PKG-INFO", "/x", "."))
    link = rng.choice((b"1", b"2"))
    choices: tuple[Callable[[], bytes], ...] = (
        lambda: pax_header({key: rng.choice((name, "7", "-1", "1.5", "demo-1.0/y", ""))},
                           rng.choice((b"x", b"x", b"g"))),
        lambda: tar_header("././@LongLink", rng.choice((b"L", b"K")), 130) + long_name,
        lambda: tar_member(f"demo-1.0/{name}"[:90], rng.randbytes(rng.randrange(700))),
        lambda: tar_header(f"demo-1.0/{name}"[:90], link, linkname=target),
        lambda: tar_header(f"demo-1.0/{name}"[:90], b"5"),
        lambda: bytes(512),
    )  # fmt: skip
    try:
        return rng.choice(choices)()
    except (ValueError, tarfile.TarError):  # names that tarfile does not write
        return bytes(512)


def _parts_of(tar: bytes) -> list[bytes]:
    """Headers, each with what it says to be its content."""
    parts, at = [], 0
    while len(tar) - at >= 512 and tar[at + 257 : at + 262] == b"ustar":
        digits = tar[at + 124 : at + 135].strip(b" \0")
        size = int(digits, 8) if digits and not digits.strip(b"01234567") else 0
        end = at + 512 + size + -size % 512
        parts.append(tar[at:end])
        at = end
    return parts


def _gunzipped(data: bytes) -> bytes:
    try:
        return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(data, 4 * INPUT_BYTES_MAX)
    except zlib.error:
        return b""


def _gzipped(ground: Ground, tar: bytes) -> bytes:
    return gzip.compress(tar, compresslevel=ground.rng.choice((0, 1, 6)), mtime=0)
