"""Zips and tars written byte by byte, so that they can say what no library would write."""

import gzip
import io
import struct
import tarfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

_SAME_32 = 0xFFFF_FFFF


@dataclass(frozen=True, slots=True)
class RawMember:
    """A member of a zip. `local` and `central` change what its header and the directory say.

    Their keys are: name, flags, method, crc, packed, size, and in the directory version, start,
    disk.
    """

    name: str
    content: bytes = b""
    method: int = 8
    flags: int = 0
    mode: int = 0o100644
    data: bytes | None = None
    """What lies there instead of the content, deflated or not."""
    local: Mapping[str, int | bytes] = field(default_factory=dict)
    central: Mapping[str, int | bytes] = field(default_factory=dict)
    local_extra: bytes = b""
    central_extra: bytes = b""
    comment: bytes = b""
    ahead: bytes = b""
    behind: bytes = b""

    @property
    def packed(self) -> bytes:
        """What lies in the file."""
        if self.data is not None:
            return self.data
        return self.content if self.method == 0 else deflated(self.content)

    @property
    def facts(self) -> dict[str, int | bytes]:
        """What is true of it."""
        return {
            "name": self.name.encode(),
            "flags": self.flags,
            "method": self.method,
            "crc": zlib.crc32(self.content),
            "packed": len(self.packed),
            "size": len(self.content),
            "version": 20,
            "disk": 0,
        }


def raw_members(members: Mapping[str, bytes]) -> list[RawMember]:
    """Members that are as they should be."""
    return [RawMember(name, content) for name, content in members.items()]


def with_first(members: Sequence[RawMember], **changes: object) -> list[RawMember]:
    """The same members, of which the first is changed."""
    return [replace(members[0], **changes), *members[1:]]  # type: ignore[arg-type]  # by name


def raw_zip(
    members: Iterable[RawMember],
    *,
    prepended: bytes = b"",
    ahead_of_directory: bytes = b"",
    ahead_of_end: bytes = b"",
    comment: bytes = b"",
    trailing: bytes = b"",
    end: Mapping[str, int] = {},
    end64: Mapping[str, int] | None = None,
    reverse_directory: bool = False,
) -> bytes:
    """A zip with these members. `end` and `end64` change what the end records say.

    Keys of `end`: disk, directory_disk, here, entries, length, start, comment; of `end64` also:
    bytes, place, disks. With `end64` there is a zip64 end, and the other says to look there.
    """
    out, entries = bytearray(prepended), []
    for member in members:
        out += member.ahead
        start = len(out)
        out += _local_header(member) + member.packed + member.behind
        entries.append(_directory_entry(member, start))
    out += ahead_of_directory
    directory = b"".join(reversed(entries) if reverse_directory else entries)
    facts = {
        "disk": 0,
        "directory_disk": 0,
        "here": len(entries),
        "entries": len(entries),
        "length": len(directory),
        "start": len(out),
        "comment": len(comment),
    }
    out += directory + ahead_of_end
    if end64 is not None:
        out += _end64(facts | {"bytes": 44, "place": len(out), "disks": 1} | dict(end64))
        facts |= dict.fromkeys(("here", "entries"), 0xFFFF) | {"length": _SAME_32}
        facts |= {"start": _SAME_32}
    out += struct.pack("<4s4H2LH", b"PK\5\6", *(facts | dict(end)).values())
    return bytes(out) + comment + trailing


def deflated(content: bytes, level: int = 6) -> bytes:
    """As it lies in a zip."""
    packer = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packer.compress(content) + packer.flush()


def extra_field(kind: int, content: bytes) -> bytes:
    """One field of those that follow a name."""
    return struct.pack("<2H", kind, len(content)) + content


def zip64_field(*numbers: int) -> bytes:
    """The field with the sizes, and perhaps the place, that did not fit."""
    return extra_field(1, struct.pack(f"<{len(numbers)}Q", *numbers))


def descriptor(content: bytes, packed: bytes, *, form: str = "<4s3L") -> bytes:
    """What stands behind a member whose sizes were not known before."""
    facts = (zlib.crc32(content), len(packed), len(content))
    return struct.pack(form, b"PK\7\x08", *facts) if "s" in form else struct.pack(form, *facts)


def tar_header(
    name: str = "demo-1.0/x", kind: bytes = b"0", size: int = 0, **facts: object
) -> bytes:
    """One block of a tar; `facts` are attributes of a TarInfo."""
    entry = tarfile.TarInfo(name)
    entry.type, entry.size = kind, size
    for key, value in facts.items():
        setattr(entry, key, value)
    return entry.tobuf(tarfile.GNU_FORMAT)


def tar_member(name: str, content: bytes = b"", kind: bytes = b"0", **facts: object) -> bytes:
    """A header and the content, filled up to whole blocks."""
    return tar_header(name, kind, len(content), **facts) + filled_up(content)


def changed_header(header: bytes, at: int, piece: bytes) -> bytes:
    """A header with other bytes somewhere, and the sum that goes with them."""
    changed = bytearray(header)
    changed[at : at + len(piece)] = piece
    changed[148:156] = b" " * 8
    changed[148:156] = b"%06o\0 " % sum(changed[:512])
    return bytes(changed)


def pax_header(records: Mapping[str, str], kind: bytes = b"x") -> bytes:
    """What stands ahead of a member and says what its own header has no room for."""
    content = b"".join(_pax_record(f"{key}={value}\n".encode()) for key, value in records.items())
    return tar_header("pax", kind, len(content)) + filled_up(content)


def filled_up(content: bytes) -> bytes:
    """To whole blocks of a tar."""
    return content + bytes(-len(content) % 512)


def a_tar(*parts: bytes, end: bytes = bytes(1024)) -> bytes:
    """These parts as a .tar.gz, with the end that a tar has."""
    return gzip.compress(b"".join(parts) + end, mtime=0)


def a_tar_of(entries: Iterable[tuple[tarfile.TarInfo, bytes]], format: int) -> bytes:
    """A .tar.gz as Python's tarfile writes it in one of its formats."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format) as archive:
        for entry, content in entries:
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return gzip.compress(buffer.getvalue(), mtime=0)


def _local_header(member: RawMember) -> bytes:
    said = member.facts | dict(member.local)
    name = said["name"]
    assert isinstance(name, bytes)
    numbers = [said[key] for key in ("flags", "method")]
    sizes = [said[key] for key in ("crc", "packed", "size")]
    return (
        struct.pack("<4s5H3L2H", b"PK\3\4", 20, *numbers, 0, 33, *sizes, len(name),
                    len(member.local_extra))
        + name
        + member.local_extra
    )  # fmt: skip


def _directory_entry(member: RawMember, start: int) -> bytes:
    said = member.facts | {"start": start} | dict(member.central)
    name = said["name"]
    assert isinstance(name, bytes)
    sizes = [said[key] for key in ("crc", "packed", "size")]
    return (
        struct.pack("<4s6H3L5H2L", b"PK\1\2", 0x0314, said["version"], said["flags"],
                    said["method"], 0, 33, *sizes, len(name), len(member.central_extra),
                    len(member.comment), said["disk"], 0, member.mode << 16, said["start"])
        + name
        + member.central_extra
        + member.comment
    )  # fmt: skip


def _end64(facts: Mapping[str, int]) -> bytes:
    said = [facts[key] for key in ("disk", "directory_disk", "here", "entries", "length", "start")]
    return struct.pack("<4sQ2H2L4Q", b"PK\6\6", facts["bytes"], 45, 45, *said) + struct.pack(
        "<4sLQL", b"PK\6\7", 0, facts["place"], facts["disks"]
    )


def _pax_record(record: bytes) -> bytes:
    length = len(record) + 1
    while len(b"%d " % length) + len(record) != length:
        length += 1
    return b"%d " % length + record
