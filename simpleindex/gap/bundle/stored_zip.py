"""The zip that a bundle is: the bytes that stand around its members, to the last one.

They follow from the names, sizes and checksums of the members alone. So equal bundles are equal
bytes; and a reader who knows what is inside compares the rest with what it has to be, and leaves no
place where anything could be hidden or be said twice. Any program that reads zips reads these
(APPNOTE.TXT, 4.3 to 4.5): nothing is compressed, and zip64 is used where it has to be.
"""

import struct
from collections.abc import Sequence
from typing import NamedTuple

_LOCAL = struct.Struct("<4s5H3L2H")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_END64 = struct.Struct("<4sQ2H2L4Q")
_END64_LOCATOR = struct.Struct("<4sLQL")
_END = struct.Struct("<4s4H2LH")

_SAME_16, _SAME_32 = 0xFFFF, 0xFFFF_FFFF  # see the zip64 field
_VERSION, _VERSION_64 = 20, 45
_UNIX = 3 << 8
_MODE = 0o100644 << 16
_TIME, _DATE = 0, 1 << 5 | 1  # the first day that a zip can tell: 1980-01-01

_FAR = 1 << 40

END_BYTES_MAX = _END64.size + _END64_LOCATOR.size + _END.size
HEADER_BYTES_MAX = _LOCAL.size + 300
"""With a name that is not longer than those which are looked for by it."""


class Member(NamedTuple):
    """A file in a zip. Its name is of ASCII."""

    name: str
    size_bytes: int
    crc: int = 0


def header(member: Member) -> bytes:
    """What stands ahead of a member's bytes."""
    is_large = member.size_bytes >= _SAME_32
    size = _SAME_32 if is_large else member.size_bytes
    field = _zip64_field(member.size_bytes, member.size_bytes) if is_large else b""
    name = member.name.encode("ascii")
    version = _VERSION_64 if is_large else _VERSION
    return (
        _LOCAL.pack(
            b"PK\3\4", version, 0, 0, _TIME, _DATE, member.crc, size, size, len(name), len(field)
        )
        + name
        + field
    )


def told_by(raw: bytes) -> Member | None:
    """What a header says, true or not, that these bytes begin with; None: it is none."""
    if len(raw) < _LOCAL.size:
        return None
    signature, *_, crc, _, size, name_bytes, field_bytes = _LOCAL.unpack_from(raw)
    name_end = _LOCAL.size + name_bytes
    name, field = raw[_LOCAL.size : name_end], raw[name_end : name_end + field_bytes]
    if signature != b"PK\3\4" or len(name) < name_bytes or len(field) < field_bytes:
        return None
    if size == _SAME_32 and len(field) == len(_zip64_field(0, 0)):
        (size,) = struct.unpack_from("<Q", field, 4)
    return Member(name.decode("ascii", "replace"), size, crc)


def entry(member: Member, start: int) -> bytes:
    """What the directory says of a member whose header begins at `start`."""
    facts = (member.size_bytes, member.size_bytes, start)
    large = [fact for fact in facts if fact >= _SAME_32]
    size, packed, place = (min(fact, _SAME_32) for fact in facts)
    field = _zip64_field(*large) if large else b""
    name = member.name.encode("ascii")
    version = _VERSION_64 if large else _VERSION
    return (
        _ENTRY.pack(
            b"PK\1\2", _UNIX | version, version, 0, 0, _TIME, _DATE, member.crc, packed, size,
            len(name), len(field), 0, 0, 0, _MODE, place,
        )
        + name
        + field
    )  # fmt: skip


def crc_in(raw_entry: bytes, at: int = 0) -> int:
    """The checksum in an entry of a directory, which begins at `at`."""
    crc: int = _ENTRY.unpack_from(raw_entry, at)[7]
    return crc


def end(members: int, directory_start: int, directory_bytes: int) -> bytes:
    """What stands behind the directory."""
    facts = (members, directory_bytes, directory_start)
    short = (min(members, _SAME_16), min(directory_bytes, _SAME_32), min(directory_start, _SAME_32))
    last = _END.pack(b"PK\5\6", 0, 0, short[0], *short, 0)
    if members < _SAME_16 and max(facts[1:]) < _SAME_32:
        return last
    full = _END64.pack(
        b"PK\6\6", _END64.size - 12, _UNIX | _VERSION_64, _VERSION_64, 0, 0, members, *facts
    )
    locator = _END64_LOCATOR.pack(b"PK\6\7", 0, directory_start + directory_bytes, 1)
    return full + locator + last


class Layout(NamedTuple):
    """Where everything is in a zip."""

    starts: tuple[int, ...]
    """Of the headers, in the order of the members."""
    directory_start: int
    directory_bytes: int
    end_bytes: int

    @property
    def size_bytes(self) -> int:
        """Of the whole zip."""
        return self.directory_start + self.directory_bytes + self.end_bytes


def layout(members: Sequence[Member]) -> Layout:
    """Where these members are, one behind the other, in a zip of them alone."""
    starts, place, directory_bytes = [], 0, 0
    for member in members:
        starts.append(place)
        directory_bytes += len(entry(member, place))
        place += len(header(member)) + member.size_bytes
    end_bytes = len(end(len(members), place, directory_bytes))
    return Layout(tuple(starts), place, directory_bytes, end_bytes)


def room_bytes(member: Member) -> int:
    """What a member takes of a zip at the most, wherever it stands there."""
    return len(header(member)) + member.size_bytes + len(entry(member, _FAR))


def _zip64_field(*numbers: int) -> bytes:
    return struct.pack(f"<2H{len(numbers)}Q", 1, 8 * len(numbers), *numbers)
