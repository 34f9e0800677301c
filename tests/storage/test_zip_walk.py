"""Whatever we take, Python's zipfile reads in the same way; and zips of any size are read."""

import hashlib
import io
import struct
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simpleindex_storage.errors import Refused
from simpleindex_storage.faults import Faults
from simpleindex_storage.names import parse_filename
from simpleindex_storage.zip_walk import ZipWalk
from tests.bad_archives import WHEEL, raw_wheel, usual_members
from tests.builders import BuiltFile, a_big_wheel, a_wheel, a_zip, wheel_members
from tests.raw_archives import (
    RawMember,
    deflated,
    descriptor,
    extra_field,
    raw_zip,
    zip64_field,
)
from tests.storage.inspections import no_findings, peak_bytes, refused_rule

LONG = b"some text " * 40
STREAMED = RawMember(
    "demo/streamed.py",
    LONG,
    flags=8,
    local={"crc": 0, "packed": 0, "size": 0},
    behind=descriptor(LONG, deflated(LONG)),
)
BASES: Mapping[str, bytes] = {
    "wheel": a_wheel(extra_files={"demo/long.bin": LONG}).content,
    "stored": a_zip(wheel_members("demo", "1.0", metadata=b"x"), compression=zipfile.ZIP_STORED),
    "streamed": raw_zip([*usual_members(), STREAMED]),
    "zip64": raw_wheel(end64={}).content,
    "comment": raw_wheel(comment=b"a comment").content,
}

DESCRIPTOR = descriptor(LONG, deflated(LONG))
FIELDS = (
    b"\0\0",
    extra_field(0x5455, b"x" * 9),
    extra_field(0x7075, b"\1" + bytes(4) + b"demo/x.py"),
    zip64_field(len(LONG)),
    zip64_field(len(LONG), len(deflated(LONG))),
    zip64_field(len(LONG), len(deflated(LONG)), 0),
)

NUMBERS = st.sampled_from([0, 1, 8, 20, 0x800, 0xFFFF]) | st.integers(0, 0xFFFF)
LARGE_NUMBERS = NUMBERS | st.sampled_from([0xFFFF_FFFF, 0xFFFF_FFFE, 1 << 31]) | st.integers(0, 500)


def walked(content: bytes) -> dict[str, bytes]:
    """What we take for the members. Raises Refused."""
    walk = ZipWalk(io.BytesIO(content), len(content), Faults(parse_filename(WHEEL)))
    members = {}
    for entry in walk.entries:
        blocks: list[bytes] = []
        walk.check(entry, blocks.append)
        members[entry.name] = b"".join(blocks)
    assert [*members] == list(dict.fromkeys(entry.name for entry in walk.entries))
    return members


def read_by_zipfile(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        return {entry.filename: archive.read(entry) for entry in archive.infolist()}


def same_or_refused(content: bytes) -> None:
    try:
        members = walked(content)
    except Refused as refused:
        assert str(refused).isprintable()
    else:
        # zipfile ends a name at a NUL; those are refused when names are looked at.
        expected = read_by_zipfile(content)
        assert {name.partition("\0")[0]: raw for name, raw in members.items()} == expected


@pytest.mark.parametrize("base", BASES)
def test_zipfile_reads_the_same(base: str) -> None:
    assert walked(BASES[base]) == read_by_zipfile(BASES[base])


@pytest.mark.parametrize("base", BASES)
@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_of_a_damaged_zip_zipfile_reads_the_same_or_it_is_refused(
    base: str, data: st.DataObject
) -> None:
    damaged = bytearray(BASES[base])
    ends = [at for at in range(len(damaged)) if damaged[at : at + 2] == b"PK"]
    for _ in range(data.draw(st.integers(1, 4))):
        near = data.draw(st.sampled_from(ends)) + data.draw(st.integers(0, 60))
        at = min(data.draw(st.sampled_from([near, near, len(damaged) // 2])), len(damaged) - 1)
        piece = data.draw(st.binary(min_size=1, max_size=4))
        damaged[at : at + data.draw(st.sampled_from([0, 1, len(piece), len(piece)]))] = piece
    same_or_refused(bytes(damaged))


def lies() -> st.SearchStrategy[tuple[str, str, object]]:
    """Where one thing is said otherwise: ahead of a member, in the directory, or at the end."""
    sizes = st.tuples(
        st.sampled_from(["local", "central", "both"]),
        st.sampled_from(["crc", "packed", "size"]),
        LARGE_NUMBERS,
    )
    kinds = st.tuples(
        st.sampled_from(["local", "central", "both"]), st.sampled_from(["flags", "method"]), NUMBERS
    )
    fields = st.tuples(
        st.just("field"), st.sampled_from(["local_extra", "central_extra"]), st.sampled_from(FIELDS)
    )
    starts = st.tuples(st.just("central"), st.just("start"), LARGE_NUMBERS)
    behind = st.tuples(st.just("field"), st.just("behind"), st.sampled_from([b"x", DESCRIPTOR]))
    end = st.tuples(st.just("end"), st.sampled_from(["here", "entries", "comment"]), NUMBERS)
    directory = st.tuples(st.just("end"), st.sampled_from(["length", "start"]), LARGE_NUMBERS)
    end64 = st.tuples(
        st.just("end64"), st.sampled_from(["entries", "start", "bytes", "place"]), LARGE_NUMBERS
    )
    return st.one_of(sizes, kinds, fields, starts, behind, end, directory, end64)


@settings(max_examples=600, deadline=None)
@given(
    told=st.lists(lies(), max_size=3),
    base=st.sampled_from([RawMember("demo/x.py", LONG), STREAMED]),
    has_end64=st.booleans(),
    comment=st.sampled_from([b"", b"PK\5\6", b"hello"]),
)
def test_of_a_zip_that_lies_zipfile_reads_the_same_or_it_is_refused(
    told: Sequence[tuple[str, str, object]], base: RawMember, has_end64: bool, comment: bytes
) -> None:
    said: dict[str, dict[str, Any]] = {
        place: {} for place in ("local", "central", "end", "end64", "field")
    }
    for place, key, value in told:
        for each in ("local", "central") if place == "both" else (place,):
            said[each][key] = value
    member = replace(
        base,
        local=dict(base.local) | said["local"],
        central=dict(base.central) | said["central"],
        **said["field"],
    )
    end64 = said["end64"] if has_end64 or said["end64"] else None
    same_or_refused(
        raw_zip([member, *usual_members()], end=said["end"], end64=end64, comment=comment)
    )


@pytest.mark.parametrize("form", ["<4s3L", "<3L", "<4sL2Q", "<L2Q"])
def test_each_form_of_a_descriptor_is_read(form: str) -> None:
    streamed = replace(STREAMED, behind=descriptor(LONG, deflated(LONG), form=form))
    assert walked(raw_zip([streamed]))["demo/streamed.py"] == LONG


def test_a_streamed_member_may_say_its_sizes_ahead_too() -> None:
    known = replace(STREAMED, local={})
    assert walked(raw_zip([known]))["demo/streamed.py"] == LONG
    stored = replace(known, method=0, behind=descriptor(LONG, LONG))
    assert walked(raw_zip([stored]))["demo/streamed.py"] == LONG


def test_a_streamed_member_may_announce_zip64_sizes() -> None:
    later = {"crc": 0, "packed": 0xFFFF_FFFF, "size": 0xFFFF_FFFF}
    streamed = replace(
        STREAMED,
        local=later,
        local_extra=zip64_field(0, 0),
        behind=descriptor(LONG, deflated(LONG), form="<4sL2Q"),
    )
    assert walked(raw_zip([streamed]))["demo/streamed.py"] == LONG


def test_a_comment_that_holds_another_end_is_refused() -> None:
    inner = a_wheel("other").content
    outer = raw_wheel(comment=inner).content
    with pytest.raises(Refused) as refused:
        walked(outer)
    assert refused.value.__notes__ == ["zip-prepended-data"]


def test_the_places_may_look_like_a_signature() -> None:
    # zipfile looks at the last 22 bytes first, and so finds the end that begins there.
    content = raw_zip([RawMember("x", b"x")])
    at = struct.pack("<L", struct.unpack("<L", b"PK\5\6")[0])
    with pytest.raises(Refused) as refused:
        walked(content[:-6] + at + content[-2:])
    assert refused.value.__notes__ == ["zip-directory"]


def test_a_directory_of_absurd_size_is_not_loaded(tmp_path: Path) -> None:
    size_bytes = 200 << 20
    path = tmp_path / WHEEL
    with path.open("wb") as file:
        file.truncate(size_bytes)
        file.seek(0, io.SEEK_END)
        file.write(struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, size_bytes, 0, 0))
    assert peak_bytes(lambda: refused_rule(path, "too-many-members")) < 1 << 20


def test_a_large_wheel_takes_little_memory(tmp_path: Path) -> None:
    path = tmp_path / WHEEL
    a_big_wheel(path, 200_000_000)
    assert peak_bytes(lambda: no_findings(path)) < 4 << 20


def test_a_bomb_takes_little_memory_and_is_stopped_on_its_way(tmp_path: Path) -> None:
    bomb = a_wheel(extra_files={"demo/zeros": bytes(100 << 20)})
    path = bomb.save(tmp_path)
    assert peak_bytes(lambda: refused_rule(path, "bomb")) < 4 << 20


def test_sizes_that_are_declared_too_small_do_not_hide_a_bomb(tmp_path: Path) -> None:
    said = {"size": 100}
    zeros = RawMember("demo/zeros", bytes(100 << 20), local=said, central=said)
    path = BuiltFile(WHEEL, raw_zip([*usual_members(), zeros])).save(tmp_path)
    assert peak_bytes(lambda: refused_rule(path, "zip-size")) < 4 << 20


def test_a_wheel_that_shrinks_well_is_no_bomb(tmp_path: Path) -> None:
    noise = b"".join(hashlib.sha256(b"%d" % number).digest() for number in range(60_000))
    tables = {f"demo/table{number}": bytes(10 << 20) for number in range(8)}
    no_findings(a_wheel(extra_files=tables | {"demo/noise": noise}).save(tmp_path))


@pytest.mark.full
def test_a_wheel_of_more_than_4_gib_is_read(tmp_path: Path) -> None:
    path = tmp_path / WHEEL
    a_big_wheel(path, 4_400_000_000)
    assert path.stat().st_size > 1 << 32
    no_findings(path)
