"""A zip read from its raw bytes, so that there is one way to read it, or none.

Readers of zips differ: those that begin at the end trust the directory, those that stream trust
what stands before each member. Here every byte must belong to one member, to the directory or to
the end, and each fact that is written twice must be the same twice.
"""

import struct
import zlib
from collections.abc import Callable
from typing import BinaryIO, TypeAlias

from .errors import Refused
from .faults import Faults, shown
from .giving_way import PIECE_BYTES, give_way
from .zip_directory import (
    DEFLATED,
    FLAG_DESCRIPTOR,
    SAME_32,
    STORED,
    ZipEntry,
    exactly,
    extra_fields,
    read_directory,
    start_of,
    with_zip64,
)

Take: TypeAlias = Callable[[bytes], object]
"""What gets a member's bytes, block by block: a digest's `update`."""

INFLATED_BYTES_FLOOR = 64 << 20
INFLATED_RATIO_MAX = 50

_READ_BYTES = 64 << 10

_LOCAL_HEADER = struct.Struct("<4s5H3L2H")
_LOCAL_SIGNATURE = b"PK\3\4"
_DESCRIPTOR_SIGNATURE = b"PK\7\x08"


class ZipWalk:
    """The members of a zip, each inflated and compared with all that is said of it.

    Raises Refused. Takes constant memory, but for the directory's entries.
    """

    def __init__(
        self, file: BinaryIO, size_bytes: int, faults: Faults, *, ahead_bytes_max: int = 0
    ) -> None:
        self._file = file
        self._faults = faults
        self._inflated_bytes = 0
        self._inflated_bytes_max = inflated_bytes_max(size_bytes)
        self.entries, self._ends = read_directory(
            file, size_bytes, faults, ahead_bytes_max=ahead_bytes_max
        )

    def as_they_lie(self) -> list[ZipEntry]:
        """The members in the order in which they are read fastest."""
        return sorted(self.entries, key=start_of)

    def read(self, entry: ZipEntry, bytes_max: int) -> bytes:
        """A member's bytes, which are refused when there are more than `bytes_max`."""
        blocks: list[bytes] = []
        if entry.size_bytes > bytes_max:  # what comes out is compared with it
            raise too_large(self._faults, entry.name, bytes_max)
        self.check(entry, blocks.append)
        return b"".join(blocks)

    def check(self, entry: ZipEntry, take: Take | None = None) -> None:
        """Inflate a member, and compare all that is said of it. `take` gets the bytes."""
        rest_bytes = self._enter(entry)
        # Old zip tools wrote folders as deflated members of no bytes at all; nobody inflates them.
        is_nothing = entry.is_folder and not entry.packed_bytes
        copy = self._inflate if entry.method == DEFLATED and not is_nothing else self._copy
        crc = copy(entry, take)
        if crc != entry.crc:
            raise self._faults.fatal(
                "zip-crc", f"the checksum of its {shown(entry.name)} is not the one promised"
            )
        if entry.flags & FLAG_DESCRIPTOR:
            self._check_descriptor(entry, rest_bytes)

    def _enter(self, entry: ZipEntry) -> int:
        """Go to a member's first byte; how many bytes follow its last one."""
        if self._file.tell() != entry.start:
            self._file.seek(entry.start)
        (
            signature, _, flags, method, _, _, crc, packed, size, name_bytes, extra_bytes,
        ) = _LOCAL_HEADER.unpack(exactly(self._file, self._faults, _LOCAL_HEADER.size))  # fmt: skip
        if signature != _LOCAL_SIGNATURE:
            raise self._differs(entry, "place")
        names = exactly(self._file, self._faults, name_bytes + extra_bytes)
        raw_name = names[:name_bytes]
        if raw_name != entry.raw_name:
            raise self._differs(entry, "name")
        if extra_bytes or SAME_32 in (packed, size):
            fields = extra_fields(names[name_bytes:], raw_name, self._faults)
            if SAME_32 in (packed, size) or not entry.flags & FLAG_DESCRIPTOR:
                size, packed = with_zip64(entry.name, fields, (size, packed), self._faults)
        told, known = (crc, packed, size), (entry.crc, entry.packed_bytes, entry.size_bytes)
        if (flags, method) != (entry.flags, entry.method):
            raise self._differs(entry, "flags or method")
        if told != known and not (flags & FLAG_DESCRIPTOR and told == (0, 0, 0)):
            raise self._differs(entry, "checksum or sizes")
        start = entry.start + _LOCAL_HEADER.size + len(names)
        return self._check_room(entry, start, is_told=told == known)

    def _check_room(self, entry: ZipEntry, start: int, *, is_told: bool) -> int:
        rest = self._ends[entry.start] - start - entry.packed_bytes
        if rest < 0:
            raise self._faults.fatal(
                "zip-overlap", f"its {shown(entry.name)} reaches into what follows it"
            )
        if entry.flags & FLAG_DESCRIPTOR:
            if entry.method == STORED and not is_told:
                raise self._faults.fatal(
                    "zip-descriptor-stored",
                    f"the size of its {shown(entry.name)} stands behind it, and it is stored",
                )
        elif rest:
            raise self._faults.fatal(
                "zip-gap", f"{rest} bytes behind its {shown(entry.name)} belong to no member"
            )
        if entry.is_folder and entry.size_bytes:
            raise self._faults.fatal(
                "zip-folder-content", f"its folder {shown(entry.name)} has bytes of its own"
            )
        return rest

    def _copy(self, entry: ZipEntry, take: Take | None) -> int:
        if entry.packed_bytes != entry.size_bytes:
            raise self._wrong_size(entry)
        crc, left = 0, entry.packed_bytes
        self._count(left)
        while left:
            block = self._file.read(min(left, PIECE_BYTES))
            if not block:
                raise self._faults.fatal("truncated", "it ends before it should")
            left -= len(block)
            crc = zlib.crc32(block, crc)
            if take is not None:
                take(block)
            if left:
                give_way()
        return crc

    def _inflate(self, entry: ZipEntry, take: Take | None) -> int:
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        crc, left, missing = 0, entry.packed_bytes, entry.size_bytes
        while not inflater.eof:
            packed = inflater.unconsumed_tail
            if not packed and left:
                packed = self._file.read(min(left, _READ_BYTES))
                left -= len(packed)
            try:
                block = inflater.decompress(packed, PIECE_BYTES)
            except zlib.error:
                raise self._no_deflate(entry) from None
            if not block and not packed and not inflater.eof:
                raise self._no_deflate(entry)
            missing -= len(block)
            self._count(len(block))
            if missing < 0:
                raise self._wrong_size(entry)
            crc = zlib.crc32(block, crc)
            if take is not None:
                take(block)
            if missing:
                give_way()
        if missing:
            raise self._wrong_size(entry)
        if left or inflater.unused_data:
            raise self._faults.fatal(
                "zip-deflate", f"its {shown(entry.name)} ends before the bytes that are its own"
            )
        return crc

    def _check_descriptor(self, entry: ZipEntry, rest: int) -> None:
        raw = exactly(self._file, self._faults, rest) if rest in (12, 16, 20, 24) else b""
        if rest in (16, 24):
            signature, raw = raw[:4], raw[4:]
        else:
            signature = _DESCRIPTOR_SIGNATURE
        told = struct.unpack("<3L" if len(raw) == 12 else "<L2Q", raw) if raw else ()
        known = (entry.crc, entry.packed_bytes, entry.size_bytes)
        if signature != _DESCRIPTOR_SIGNATURE or told != known:
            raise self._faults.fatal(
                "zip-descriptor",
                f"what stands behind its {shown(entry.name)} is not its checksum and sizes",
            )
        self._faults.note(
            "zip-data-descriptor", f"the sizes of its {shown(entry.name)} stand behind it"
        )

    def _count(self, size_bytes: int) -> None:
        self._inflated_bytes += size_bytes
        if self._inflated_bytes > self._inflated_bytes_max:
            raise too_much(self._faults, self._inflated_bytes_max)

    def _differs(self, entry: ZipEntry, what: str) -> Refused:
        return self._faults.fatal(
            "zip-local-mismatch",
            f"the {what} of its {shown(entry.name)} differs between directory and member",
        )

    def _wrong_size(self, entry: ZipEntry) -> Refused:
        return self._faults.fatal(
            "zip-size",
            f"its {shown(entry.name)} does not have the {entry.size_bytes} bytes it says",
        )

    def _no_deflate(self, entry: ZipEntry) -> Refused:
        return self._faults.fatal("zip-deflate", f"its {shown(entry.name)} cannot be inflated")


def inflated_bytes_max(size_bytes: int) -> int:
    """How much may come out of an archive of this size."""
    return max(INFLATED_BYTES_FLOOR, INFLATED_RATIO_MAX * size_bytes)


def too_much(faults: Faults, bytes_max: int) -> Refused:
    """What to raise when more comes out."""
    return faults.fatal(
        "bomb",
        f"it inflates to more than {bytes_max >> 20} MiB, over {INFLATED_RATIO_MAX} times its size",
    )


def too_large(faults: Faults, name: str, bytes_max: int) -> Refused:
    """What to raise for a member that would have to be held in memory."""
    size = f"{bytes_max >> 20} MiB" if bytes_max >> 20 else f"{bytes_max >> 10} KiB"
    return faults.fatal("metadata-huge", f"its {shown(name)} is larger than {size}")
