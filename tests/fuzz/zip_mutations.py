"""How a zip becomes another one: its records as they lie, and its members written anew."""

import io
import struct
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import replace

from tests.fuzz.mutations import LARGE_NUMBERS, NUMBERS, Ground, mutated_once
from tests.raw_archives import (
    RawMember,
    deflated,
    descriptor,
    extra_field,
    raw_zip,
    zip64_field,
)

_ZIP_FIELDS = {
    b"PK\3\4": (26, ((4, 2), (6, 2), (8, 2), (14, 4), (18, 4), (22, 4), (26, 2), (28, 2))),
    b"PK\1\2": (
        42,
        ((6, 2), (8, 2), (10, 2), (16, 4), (20, 4), (24, 4), (28, 2), (30, 2), (32, 2), (34, 2),
         (38, 4), (42, 4)),
    ),
    b"PK\5\6": (20, ((4, 2), (6, 2), (8, 2), (10, 2), (12, 4), (16, 4), (20, 2))),
    b"PK\6\6": (52, ((4, 8), (16, 4), (20, 4), (24, 8), (32, 8), (40, 8), (48, 8))),
    b"PK\6\7": (16, ((4, 4), (8, 8), (16, 4))),
    b"PK\7\x08": (12, ((4, 4), (8, 4), (12, 4))),
}  # fmt: skip
"""By their signature: the places and sizes of the numbers in the records of a zip."""


def change_a_zip_record(ground: Ground, data: bytes) -> bytes:
    """Another number in one record, and perhaps the same one where it stands a second time."""
    rng = ground.rng
    records = [at for at in _places(data, b"PK") if data[at : at + 4] in _ZIP_FIELDS]
    if not records:
        return data
    at = rng.choice(records)
    signature = data[at : at + 4]
    place, size = rng.choice(_ZIP_FIELDS[signature][1])
    old = data[at + place : at + place + size]
    number = int.from_bytes(old, "little")
    new_number = rng.choice(
        (number + 1, number - 1, number ^ 1 << rng.randrange(8 * size), len(data), at,
         rng.choice(records), rng.choice(LARGE_NUMBERS), rng.choice(NUMBERS))
    )  # fmt: skip
    new = (new_number % (1 << 8 * size)).to_bytes(size, "little")
    changed = data[: at + place] + new + data[at + place + size :]
    if size == 4 and number and rng.random() < 0.5:
        return changed.replace(old, new)
    return changed


def rebuild_zip(ground: Ground, data: bytes) -> bytes:
    """The same members written anew, but for something about one of them or the whole."""
    rng, members = ground.rng, _members_of(data)
    if not members:
        return data
    whole: dict[str, object] = {}
    if rng.random() < 0.75:
        at = rng.randrange(len(members))
        members[at] = _changed_member(ground, members[at], members)
    elif rng.random() < 0.5:
        _reorder(ground, members)
    else:
        whole = _changed_whole(ground)
    try:
        return raw_zip(members, **whole)  # type: ignore[arg-type]  # by name
    except struct.error:  # a number that its field has no room for
        return data


def _members_of(data: bytes) -> list[RawMember]:
    """The members of a zip that zipfile reads; none of another one."""
    members = []
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for entry in archive.infolist():
                start = entry.header_offset
                name_bytes, extra_bytes = struct.unpack_from("<2H", data, start + 26)
                at = start + 30 + name_bytes + extra_bytes
                name = {"name": data[start + 30 : start + 30 + name_bytes]}
                members.append(
                    RawMember(
                        entry.filename,
                        archive.read(entry),
                        entry.compress_type,
                        entry.flag_bits & ~8,
                        entry.external_attr >> 16,
                        data[at : at + entry.compress_size],
                        local=name,
                        central=name,
                        local_extra=data[at - extra_bytes : at],
                    )
                )
    except Exception:  # of many kinds
        return []
    return members


def _changed_member(ground: Ground, member: RawMember, all_: Sequence[RawMember]) -> RawMember:
    rng = ground.rng
    change = rng.choice((_other_name, _other_content, _other_packing, _other_facts, _other_extra))
    changed = change(ground, member, all_)
    if rng.random() < 0.2:
        return replace(changed, mode=rng.choice((0, 0o100755, 0o040755, 0o120777, 0o010644)))
    return changed


def _other_name(ground: Ground, member: RawMember, all_: Sequence[RawMember]) -> RawMember:
    rng = ground.rng
    raw = member.local["name"]
    assert isinstance(raw, bytes)
    other = rng.choice(all_).local["name"]
    assert isinstance(other, bytes)
    names = (
        mutated_once(ground, raw), raw + b"/", raw.upper(), other, raw + b"/" + other,
        b"./" + raw, raw.replace(b"/", b"\\"), raw.replace(b"/", b"//"), raw + b"\0" + other,
        "\u00e9\u65e5".encode() + raw, b"../" + raw, raw.partition(b"/")[0],
    )  # fmt: skip
    name = rng.choice(names)[:2000]
    flags = member.flags if rng.random() < 0.5 else member.flags ^ 0x800
    local = {"name": name} if rng.random() < 0.95 else dict(member.local)
    return replace(member, flags=flags, local=local, central={"name": name})


def _other_content(ground: Ground, member: RawMember, all_: Sequence[RawMember]) -> RawMember:
    content = mutated_once(ground, member.content)
    if ground.rng.random() < 0.1:
        content = ground.rng.choice(all_).content
    if ground.rng.random() < 0.02:
        content = bytes(300_000)
    return replace(member, content=content, data=None)


def _other_packing(ground: Ground, member: RawMember, _: Sequence[RawMember]) -> RawMember:
    rng, content = ground.rng, member.content
    half = len(content) // 2
    packer = zlib.compressobj(rng.randrange(10), zlib.DEFLATED, -zlib.MAX_WBITS)
    flush = rng.choice((zlib.Z_SYNC_FLUSH, zlib.Z_FULL_FLUSH))
    in_blocks = packer.compress(content[:half]) + packer.flush(flush)
    in_blocks += packer.compress(content[half:]) + packer.flush()
    data = rng.choice(
        (deflated(content, rng.randrange(10)), in_blocks, b"\0\0\0\xff\xff" + in_blocks,
         in_blocks + b"\0", in_blocks[:-1], mutated_once(ground, in_blocks), content)
    )  # fmt: skip
    method = rng.choice((8, 8, 8, 0))
    if rng.random() < 0.3:
        form = rng.choice(("<4s3L", "<3L", "<4sL2Q", "<L2Q"))
        later = rng.choice(({"crc": 0, "packed": 0, "size": 0}, {}, {"size": 0}))
        return replace(
            member, data=data, method=method, flags=member.flags | 8,
            local=dict(member.local) | later, behind=descriptor(content, data, form=form),
        )  # fmt: skip
    return replace(member, data=data if method else content, method=method)


def _other_facts(ground: Ground, member: RawMember, all_: Sequence[RawMember]) -> RawMember:
    rng = ground.rng
    key = rng.choice(("flags", "method", "crc", "packed", "size", "version", "start", "disk"))
    fact = member.facts.get(key, 0)
    assert isinstance(fact, int)
    number = rng.choice((fact + 1, max(fact - 1, 0), 0, 8, 0x800, 0xFFFF, 0xFFFF_FFFF, len(all_)))
    said = {key: number}
    where = rng.randrange(3)
    return replace(
        member,
        local=dict(member.local) | (said if where != 1 else {}),
        central=dict(member.central) | (said if where != 0 else {}),
    )


def _other_extra(ground: Ground, member: RawMember, _: Sequence[RawMember]) -> RawMember:
    rng, sizes = ground.rng, (len(member.content), len(member.packed))
    name = member.local["name"]
    assert isinstance(name, bytes)
    unicode_path = b"\1" + struct.pack("<L", zlib.crc32(name)) + rng.choice((name, b"x", b""))
    extra = rng.choice(
        (zip64_field(), zip64_field(sizes[0]), zip64_field(*sizes), zip64_field(*sizes, 0),
         extra_field(0x7075, unicode_path), extra_field(0x5455, b"\3" + bytes(4)),
         extra_field(0x9901, b"\1\0AE\1\0\0"), b"\0", b"\0\0\0", zip64_field(*sizes)[:-1],
         extra_field(0x6375, b"\1" + bytes(4) + b"comment"))
    )  # fmt: skip
    where = rng.randrange(4)
    said = {"size": 0xFFFF_FFFF, "packed": 0xFFFF_FFFF} if rng.random() < 0.4 else {}
    return replace(
        member,
        local=dict(member.local) | (said if where != 1 else {}),
        central=dict(member.central) | (said if where != 0 else {}),
        local_extra=member.local_extra + (extra if where != 1 else b""),
        central_extra=extra if where != 0 else b"",
        comment=extra if where == 3 and rng.random() < 0.2 else b"",
    )


def _reorder(ground: Ground, members: list[RawMember]) -> None:
    rng = ground.rng
    at = rng.randrange(len(members))
    match rng.randrange(4):
        case 0:
            rng.shuffle(members)
        case 1:
            members.append(members[at])
        case 2:
            del members[at]
        case _:
            hidden = raw_zip([members[at]])
            members[at] = replace(members[at], behind=hidden[: rng.randrange(len(hidden))])


def _changed_whole(ground: Ground) -> dict[str, object]:
    rng, noise = ground.rng, ground.rng.randbytes(4)
    key = rng.choice(("disk", "directory_disk", "here", "entries", "length", "start", "comment"))
    number = rng.choice(NUMBERS)
    choices: tuple[dict[str, object], ...] = (
        {"prepended": noise}, {"ahead_of_directory": noise}, {"ahead_of_end": noise},
        {"comment": noise}, {"comment": b"PK\5\6" + bytes(18)}, {"trailing": noise},
        {"end": {key: number}}, {"end64": {}}, {"end64": {key: number}}, {"end64": {"bytes": 45}},
        {"reverse_directory": True}, {"end64": {}, "end": {"start": number}},
    )  # fmt: skip
    return rng.choice(choices)


def _places(data: bytes, piece: bytes) -> list[int]:
    places, at = [], data.find(piece)
    while at >= 0:
        places.append(at)
        at = data.find(piece, at + 1)
    return places
