"""The end and the directory of a zip: which members it says it has, and where.

Every byte must belong to one member, to the directory or to the end, and what is written twice must
be the same twice (APPNOTE.TXT, 4.3 to 4.5), so that all readers see the same members.
"""

import struct
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import BinaryIO, NamedTuple

from .errors import Refused
from .faults import Faults, shown
from .member_names import MEMBERS_MAX

DIRECTORY_BYTES_MAX = 16 << 20

STORED, DEFLATED = 0, 8
FLAG_DESCRIPTOR = 0x0008
_FLAG_UTF8 = 0x0800
_FLAGS_ENCRYPTED = 0x0001 | 0x0040 | 0x2000
_FLAGS_KNOWN = 0x0002 | 0x0004 | FLAG_DESCRIPTOR | _FLAG_UTF8  # 2 and 4: how hard it was deflated
_VERSION_MAX = 63  # zipfile's

SAME_32 = 0xFFFF_FFFF
"""Stands for: see the zip64 field."""
_SAME_16 = 0xFFFF

_END = struct.Struct("<4s4H2LH")
_END_SIGNATURE = b"PK\5\6"
_COMMENT_BYTES_MAX = 0xFFFF
_END64_LOCATOR = struct.Struct("<4sLQL")
_END64_LOCATOR_SIGNATURE = b"PK\6\7"
_END64 = struct.Struct("<4sQ2H2L4Q")
_END64_SIGNATURE = b"PK\6\6"
_ENTRY = struct.Struct("<4s6H3L5H2L")
_ENTRY_SIGNATURE = b"PK\1\2"

_ZIP64_FIELD, _UNICODE_PATH_FIELD = 0x0001, 0x7075
_FACTS_IN_DIRECTORY = 3  # that a zip64 field may hold: two sizes, and the place


class ZipEntry(NamedTuple):
    """A member, as the directory tells of it. A tuple, because wheels have thousands."""

    name: str
    flags: int
    method: int
    crc: int
    packed_bytes: int
    size_bytes: int
    start: int
    """Of its local header, in bytes from the beginning of the file."""
    mode: int
    """As in `os.stat_result.st_mode`; 0 where the tool wrote none."""

    @property
    def raw_name(self) -> bytes:
        """The name as it is written."""
        return self.name.encode("utf-8" if self.flags & _FLAG_UTF8 else "cp437")

    @property
    def is_folder(self) -> bool:
        """Whether it is there for its name alone."""
        return self.name.endswith("/")


class ZipDirectory(NamedTuple):
    """What a zip says at its end of all its members."""

    entries: tuple[ZipEntry, ...]
    """In their order there, as `zipfile` has them."""
    ends: Mapping[int, int]
    """Where the member that begins at a place must end: where the next one begins."""


class _End(NamedTuple):
    """The record that ends a zip, and where it stands."""

    place: int
    disk: int
    directory_disk: int
    entries_here: int
    entries: int
    length: int
    """Of the directory, in bytes."""
    start: int
    """Of the directory."""


def read_directory(
    file: BinaryIO, size_bytes: int, faults: Faults, *, ahead_bytes_max: int = 0
) -> ZipDirectory:
    """The members of a zip of this size, none of which has been looked at. Raises Refused.

    `ahead_bytes_max` is how much may stand before the first member: a shell script, in eggs.
    """
    start, count, raw = _located(file, size_bytes, faults)
    entries = tuple(_entries(raw, count, start, faults))
    return ZipDirectory(entries, _ends_of(entries, start, faults, ahead_bytes_max))


def looks_like_zip(file: BinaryIO, size_bytes: int) -> bool:
    """Whether pip takes a file of any name for a zip: as Python's `is_zipfile` does."""
    tail = _tail(file, size_bytes)
    return 0 <= _place_of_end(tail) <= len(tail) - _END.size


def extra_fields(raw: bytes, raw_name: bytes, faults: Faults) -> Mapping[int, bytes]:
    """What stands behind a member's name, by its kind. Raises Refused."""
    fields: dict[int, bytes] = {}
    at = 0
    while len(raw) - at >= 4:  # less than that is padding
        kind, length = struct.unpack_from("<2H", raw, at)
        at += 4 + length
        if at > len(raw):
            raise faults.fatal("zip-extra", f"the extra field of its {_shown(raw_name)} is broken")
        if kind in fields and kind in (_ZIP64_FIELD, _UNICODE_PATH_FIELD):
            raise faults.fatal(
                "zip-duplicate-extra",
                f"its {_shown(raw_name)} has the extra field {kind:#06x} twice",
            )
        fields[kind] = raw[at - length : at]
    other_name = fields.get(_UNICODE_PATH_FIELD)
    # A byte of version, and the checksum of the name that it stands for.
    if other_name is not None and other_name[5:] != raw_name:
        raise faults.fatal(
            "zip-unicode-path", f"its {_shown(raw_name)} has another name in an extra field"
        )
    return fields


def with_zip64(
    name: str,
    fields: Mapping[int, bytes],
    told: tuple[int, ...],
    faults: Faults,
    *,
    disk: int = 0,
) -> tuple[int, ...]:
    """Two sizes and, in the directory, a place, with those from the zip64 field that did not fit.

    The field holds those that did not fit, in this order, and then perhaps the disk. Some tools
    write all of them: Bazel does ahead of members, where all readers bear it.
    """
    raw = fields.get(_ZIP64_FIELD, b"")
    numbers, disk_bytes = raw[: len(raw) // 8 * 8], raw[len(raw) // 8 * 8 :]
    values = struct.unpack(f"<{len(numbers) // 8}Q", numbers)
    rest = iter(values)
    facts = tuple(next(rest, 0) if fact == SAME_32 else fact for fact in told)
    is_exact = len(values) == told.count(SAME_32)
    is_other_disk = disk_bytes not in (b"", bytes(4)) or disk not in (0, _SAME_16)
    if is_other_disk or not (is_exact or values == facts):
        raise faults.fatal(
            "zip-zip64", f"the sizes or the place of its {shown(name)} are contradictory"
        )
    if not is_exact and len(told) == _FACTS_IN_DIRECTORY:
        faults.note(
            "zip-zip64-surplus", f"the zip64 field of its {shown(name)} repeats what is said"
        )
    return facts


def exactly(file: BinaryIO, faults: Faults, size_bytes: int) -> bytes:
    """So many bytes. Raises Refused."""
    raw = file.read(size_bytes)
    if len(raw) < size_bytes:
        raise faults.fatal("truncated", "it ends before it should")
    return raw


def start_of(entry: ZipEntry) -> int:
    """By which members are sorted as they lie."""
    return entry.start


def _located(file: BinaryIO, size_bytes: int, faults: Faults) -> tuple[int, int, bytes]:
    """Where the directory begins, how many members it has, and its bytes."""
    end = _zip64_end(file, _end(file, size_bytes, faults), faults)
    if end.disk or end.directory_disk or end.entries_here != end.entries:
        raise _broken(faults, "it is a part of several files")
    if end.length > DIRECTORY_BYTES_MAX or end.entries > MEMBERS_MAX:
        raise faults.fatal(
            "too-many-members",
            f"it holds more than {MEMBERS_MAX:,} members, or a directory of more than "
            f"{DIRECTORY_BYTES_MAX >> 20} MiB",
        )
    if end.start + end.length != end.place:
        raise _wrong_place(file, end, faults)
    file.seek(end.start)
    return end.start, end.entries, exactly(file, faults, end.length)


def _end(file: BinaryIO, size_bytes: int, faults: Faults) -> _End:
    tail = _tail(file, size_bytes)
    at = _place_of_end(tail)
    if at < 0:
        raise faults.fatal(
            "not-an-archive", "it is no readable zip: it was cut off, or is something else"
        )
    rest = len(tail) - at - _END.size
    _, *facts, comment_bytes = _END.unpack_from(tail, at) if rest >= 0 else (b"", 0)
    if rest < comment_bytes:
        raise faults.fatal("truncated", "it is cut off in its last bytes")
    if rest > comment_bytes:
        raise faults.fatal("zip-trailing-data", f"{rest - comment_bytes} bytes follow its end")
    if comment_bytes:
        faults.note("zip-comment", "it has a comment")
    return _End(size_bytes - len(tail) + at, *facts)


def _zip64_end(file: BinaryIO, end: _End, faults: Faults) -> _End:
    """The same facts where they need more room. Told twice, they must be the same."""
    place = end.place - _END64_LOCATOR.size - _END64.size
    if place < 0:
        return end
    file.seek(place)
    raw = exactly(file, faults, _END64.size + _END64_LOCATOR.size)
    signature, locator_disk, told_place, disks = _END64_LOCATOR.unpack_from(raw, _END64.size)
    if signature != _END64_LOCATOR_SIGNATURE:
        return end
    signature, record_bytes, _, _, *facts = _END64.unpack_from(raw)
    if (
        signature != _END64_SIGNATURE
        or told_place != place
        or record_bytes != _END64.size - 12  # without its signature and this number
        or locator_disk
        or disks != 1
    ):
        raise faults.fatal("zip-zip64", "its zip64 end is broken, or not where it is said to be")
    full = _End(place, *facts)
    limits = _End(place, _SAME_16, _SAME_16, _SAME_16, _SAME_16, SAME_32, SAME_32)
    for short, limit, fact in zip(end[1:], limits[1:], full[1:], strict=True):
        if short not in (limit, fact):
            raise faults.fatal("zip-zip64", "its two ends contradict each other")
    return full


def _wrong_place(file: BinaryIO, end: _End, faults: Faults) -> Refused:
    begins = end.place - end.length
    if begins > end.start:
        file.seek(begins)
        if file.read(4) in (_ENTRY_SIGNATURE, _END_SIGNATURE):
            return faults.fatal(
                "zip-prepended-data", f"{begins - end.start} bytes stand before its beginning"
            )
    return _broken(faults, "its directory is not where its end says")


def _entries(raw: bytes, entries: int, directory_start: int, faults: Faults) -> Iterator[ZipEntry]:
    at = 0
    for _ in range(entries):
        if len(raw) - at < _ENTRY.size:
            raise _broken(faults, "its directory has fewer members than its end says")
        (
            signature, _, version, flags, method, _, _, crc, packed, size, name_bytes,
            extra_bytes, comment_bytes, disk, _, attributes, start,
        ) = _ENTRY.unpack_from(raw, at)  # fmt: skip
        name_at = at + _ENTRY.size
        extra_at = name_at + name_bytes
        at = extra_at + extra_bytes + comment_bytes
        if signature != _ENTRY_SIGNATURE or at > len(raw):
            raise _broken(faults, "its directory is broken")
        raw_name = raw[name_at:extra_at]
        name = _name(raw_name, flags, faults)
        if comment_bytes:
            faults.note("zip-entry-comment", f"its {shown(name)} has a comment")
        if extra_bytes or SAME_32 in (packed, size, start) or disk:
            fields = extra_fields(raw[extra_at : extra_at + extra_bytes], raw_name, faults)
            size, packed, start = with_zip64(name, fields, (size, packed, start), faults, disk=disk)
        if start >= directory_start:
            raise _broken(faults, f"its {shown(name)} lies behind the directory")
        _check_kind(name, flags, method, version & 0xFF, faults)
        yield ZipEntry(name, flags, method, crc, packed, size, start, attributes >> 16)
    if at != len(raw):
        raise _broken(faults, "its directory has more members than its end says")


def _name(raw: bytes, flags: int, faults: Faults) -> str:
    if raw.isascii():
        return raw.decode("ascii")
    if flags & _FLAG_UTF8:
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            name = raw.decode("utf-8", "backslashreplace")
            raise faults.fatal(
                "zip-name-encoding",
                f"the name of its member {shown(name)} says to be UTF-8, and is not",
            ) from None
    name = raw.decode("cp437")
    faults.note(
        "member-name-encoding",
        f"the name of its member {shown(name)} is not ASCII and not marked as UTF-8",
    )
    return name


def _check_kind(name: str, flags: int, method: int, version: int, faults: Faults) -> None:
    if flags & _FLAGS_ENCRYPTED:
        raise faults.fatal("zip-encrypted", f"its {shown(name)} is encrypted")
    if method not in (STORED, DEFLATED):
        raise faults.fatal("zip-method", f"its {shown(name)} is neither stored nor deflated")
    if flags & ~_FLAGS_KNOWN or version > _VERSION_MAX:
        raise faults.fatal(
            "zip-flags", f"its {shown(name)} needs a feature of zip that pip does not have"
        )


def _ends_of(
    entries: tuple[ZipEntry, ...], directory_start: int, faults: Faults, ahead_bytes_max: int
) -> dict[int, int]:
    """Where the member that begins at a place must end: where the next one begins."""
    starts = sorted(map(start_of, entries))
    if starts and starts[0] > ahead_bytes_max:
        raise faults.fatal("zip-prepended-data", f"{starts[0]} bytes stand before its first member")
    if not starts and directory_start:
        raise _broken(faults, "its directory names no member")
    ends = dict(pairwise([*starts, directory_start]))
    if len(ends) != len(starts):
        raise faults.fatal("zip-overlap", "two of its members are the same bytes")
    return ends


def _broken(faults: Faults, what: str) -> Refused:
    return faults.fatal("zip-directory", what)


def _tail(file: BinaryIO, size_bytes: int) -> bytes:
    file.seek(max(0, size_bytes - _END.size - _COMMENT_BYTES_MAX))
    return file.read(_END.size + _COMMENT_BYTES_MAX)


def _place_of_end(tail: bytes) -> int:
    # As zipfile and all that begin at the end look for it. That nothing but its own comment
    # follows, and the directory stands right before it, makes it the only one.
    at = len(tail) - _END.size
    if tail.startswith(_END_SIGNATURE, max(0, at)) and tail.endswith(b"\0\0"):
        return at
    return tail.rfind(_END_SIGNATURE)


def _shown(raw_name: bytes) -> str:
    return shown(raw_name.decode("utf-8", "backslashreplace"))
