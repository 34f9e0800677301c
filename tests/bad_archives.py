"""A wheel or sdist for each thing that can be wrong with one, and for what looks wrong and is not.

Each builder has the name of its fault. All of them are of the project demo, version 1.0.
"""

import base64
import gzip
import hashlib
import io
import random
import struct
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from tests.builders import (
    BuiltFile,
    a_tar_gz,
    a_wheel,
    a_zip,
    an_egg,
    an_sdist,
    core_metadata,
    record,
    wheel_members,
)
from tests.raw_archives import (
    RawMember,
    a_tar,
    a_tar_of,
    changed_header,
    deflated,
    descriptor,
    extra_field,
    pax_header,
    raw_members,
    raw_zip,
    tar_header,
    tar_member,
    with_first,
    zip64_field,
)

WHEEL = "demo-1.0-py3-none-any.whl"
SDIST = "demo-1.0.tar.gz"
ZIP_SDIST = "demo-1.0.zip"

METADATA = core_metadata()
PKG_INFO = tar_member("demo-1.0/PKG-INFO", METADATA)
DIST_INFO = "demo-1.0.dist-info"

_FIRST = b'__version__ = "1.0"\n'
"""The content of the first member of the wheels."""


@dataclass(frozen=True, slots=True)
class BadArchive:
    """A file with one fault."""

    rule: str
    build: Callable[[], BuiltFile]
    words: str
    """Stand in the sentence that tells of the fault."""

    @property
    def id(self) -> str:
        """The fault, in words."""
        return self.build.__name__.replace("_", " ")


def usual_members() -> list[RawMember]:
    """Those of a wheel that is as it should be."""
    return raw_members(_members_and_record({}))


def raw_wheel(
    *more: RawMember,
    first: Mapping[str, object] = {},
    changed: Callable[[RawMember], RawMember] = lambda member: member,
    **options: object,
) -> BuiltFile:
    """A wheel whose first member is changed, and then all, and others added; RECORD lists all."""
    names = {member.name: member.content for member in more if not member.name.endswith("/")}
    members = with_first(raw_members(_members_and_record(names)), **first)
    members = [member for member in members if member.name not in names] + list(more)
    return BuiltFile(WHEEL, raw_zip(map(changed, members), **options))  # type: ignore[arg-type]


def wheel_with(
    files: Mapping[str, bytes] = {}, *, without: str = "", filename: str = WHEEL
) -> BuiltFile:
    """A wheel with these files, which RECORD lists, and without one."""
    members = wheel_members("demo", "1.0", metadata=METADATA) | dict(files)
    members.pop(without, None)
    members[f"{DIST_INFO}/RECORD"] = record(members, DIST_INFO)
    members.pop(without, None)
    return BuiltFile(filename, a_zip(members))


def wheel_with_metadata(*lines: str, name: str = "demo", version: str = "1.0") -> BuiltFile:
    """A wheel whose METADATA has these lines besides those that there must be."""
    least = ("Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}")
    keys = {line.partition(":")[0] for line in lines}
    said = [line for line in least if line.partition(":")[0] not in keys] + list(lines)
    return wheel_with({f"{DIST_INFO}/METADATA": "".join(f"{line}\n" for line in said).encode()})


def wheel_with_wheel_file(*lines: str) -> BuiltFile:
    """A wheel whose WHEEL is this."""
    text = "".join(f"{line}\n" for line in lines)
    return wheel_with({f"{DIST_INFO}/WHEEL": text.encode()})


def wheel_with_record(change: Callable[[str], str]) -> BuiltFile:
    """A wheel whose RECORD is changed."""
    members = _members_and_record({})
    name = f"{DIST_INFO}/RECORD"
    members[name] = change(members[name].decode()).encode("utf-8", "surrogateescape")
    return BuiltFile(WHEEL, a_zip(members))


def sdist_of(*parts: bytes, end: bytes = bytes(1024)) -> BuiltFile:
    """An sdist of these parts of a tar."""
    return BuiltFile(SDIST, a_tar(*parts, end=end))


def _members_and_record(files: Mapping[str, bytes]) -> dict[str, bytes]:
    members = wheel_members("demo", "1.0", metadata=METADATA) | dict(files)
    return members | {f"{DIST_INFO}/RECORD": record(members, DIST_INFO)}


# What kind of file it is, and how much comes out


def a_web_page_named_as_a_wheel() -> BuiltFile:
    return BuiltFile(WHEEL, b"<html>not found</html>")


def a_web_page_named_as_an_sdist() -> BuiltFile:
    return BuiltFile(SDIST, b"<html>not found</html>")


def a_gzip_without_a_tar() -> BuiltFile:
    return BuiltFile(SDIST, gzip.compress(b"x" * 2000, mtime=0))


def a_wheel_named_as_an_sdist() -> BuiltFile:
    return BuiltFile(SDIST, a_wheel().content)


def a_wheel_that_is_cut_off() -> BuiltFile:
    return BuiltFile(WHEEL, a_wheel().content[:-5])


def an_sdist_that_is_cut_off() -> BuiltFile:
    return BuiltFile(SDIST, an_sdist().content[:-20])


def a_tar_that_is_cut_off_in_a_member() -> BuiltFile:
    return sdist_of(PKG_INFO, tar_member("demo-1.0/x", b"x" * 5000)[:2000], end=b"")


def a_tar_that_is_cut_off_in_a_header() -> BuiltFile:
    return sdist_of(PKG_INFO, tar_header()[:100], end=b"")


def a_wheel_that_is_a_tar_too() -> BuiltFile:
    # A tar begins with a name, which the zip's first bytes can be; its other fields are the name
    # of the zip's member.
    def written(name: bytes) -> bytes:
        return raw_zip([RawMember("", method=0, local={"name": name}, central={"name": name})])

    beginning = written(bytes(482))[:30]
    block = changed_header(tar_header(), 0, beginning + bytes(70))
    return BuiltFile(WHEEL, written(block[30:]))


def an_sdist_that_is_a_zip_too() -> BuiltFile:
    packer = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=packer, mtime=0, compresslevel=0) as out:
        out.write(b"".join([PKG_INFO, tar_member("demo-1.0/x.zip", a_zip({"x": b"x"}))]))
        out.write(bytes(1024))
    return BuiltFile(SDIST, packer.getvalue())


def a_wheel_that_is_a_bomb() -> BuiltFile:
    return wheel_with({"demo/zeros": bytes(65 << 20)})


def an_sdist_that_is_a_bomb() -> BuiltFile:
    return sdist_of(PKG_INFO, tar_member("demo-1.0/zeros", bytes(65 << 20)))


def an_end_that_announces_too_many_members() -> BuiltFile:
    count = 100_001
    return raw_wheel(end64={"here": count, "entries": count})


# Zip framing


def data_behind_the_end() -> BuiltFile:
    return raw_wheel(trailing=b"more")


def a_wheel_behind_a_wheel() -> BuiltFile:
    return BuiltFile(WHEEL, a_wheel().content * 2)


def data_ahead_of_the_beginning() -> BuiltFile:
    return BuiltFile(WHEEL, b"#!/bin/sh\n" + raw_wheel().content)


def data_ahead_that_the_places_count() -> BuiltFile:
    return raw_wheel(prepended=b"#!/bin/sh\n")


def a_directory_that_is_elsewhere() -> BuiltFile:
    return raw_wheel(end={"start": 1000})


def data_between_directory_and_end() -> BuiltFile:
    return raw_wheel(ahead_of_end=b"PK\5\5\4\0sign")


def a_count_that_is_too_small() -> BuiltFile:
    return raw_wheel(end={"here": 3, "entries": 3})


def a_count_that_is_too_large() -> BuiltFile:
    return raw_wheel(end={"here": 5, "entries": 5})


def a_zip_without_members() -> BuiltFile:
    return BuiltFile(WHEEL, raw_zip([]))


def a_part_of_several_disks() -> BuiltFile:
    return raw_wheel(end={"here": 3})


def a_directory_without_a_member() -> BuiltFile:
    return BuiltFile(WHEEL, raw_zip([], ahead_of_directory=raw_wheel().content))


def a_member_that_lies_behind_the_directory() -> BuiltFile:
    return raw_wheel(first={"central": {"start": 100_000}})


def a_zip64_end_that_contradicts_the_other() -> BuiltFile:
    return raw_wheel(end64={}, end={"here": 3, "entries": 3})


def a_zip64_end_that_is_elsewhere() -> BuiltFile:
    return raw_wheel(end64={"place": 0})


def a_zip64_end_with_data_of_its_own() -> BuiltFile:
    return raw_wheel(end64={"bytes": 45})


def a_zip64_field_that_contradicts_the_sizes() -> BuiltFile:
    return raw_wheel(first={"central_extra": zip64_field(1, 2, 3)})


def a_zip64_field_that_says_all_again() -> BuiltFile:
    field = zip64_field(len(_FIRST), len(deflated(_FIRST)), 0)
    return raw_wheel(first={"central_extra": field})


def a_zip64_field_that_is_missing() -> BuiltFile:
    return raw_wheel(first={"central": {"size": 0xFFFF_FFFF}})


def an_extra_field_that_is_broken() -> BuiltFile:
    return raw_wheel(first={"central_extra": struct.pack("<2H", 0x5455, 500)})


def two_zip64_fields() -> BuiltFile:
    size = len(_FIRST)
    return raw_wheel(
        first={
            "central": {"size": 0xFFFF_FFFF},
            "central_extra": zip64_field(size) + zip64_field(size),
        }
    )


def another_name_in_an_extra_field() -> BuiltFile:
    other = extra_field(0x7075, b"\1" + bytes(4) + b"demo/other.py")
    return raw_wheel(first={"central_extra": other})


def a_name_that_says_to_be_utf8_and_is_not() -> BuiltFile:
    return raw_wheel(first={"flags": 0x800, "central": {"name": b"demo/\xff.py"}})


def a_flag_that_zipfile_does_not_know() -> BuiltFile:
    return raw_wheel(first={"flags": 0x20})


def a_version_that_zipfile_does_not_know() -> BuiltFile:
    return raw_wheel(first={"central": {"version": 64}})


def an_encrypted_member() -> BuiltFile:
    return raw_wheel(first={"flags": 1})


def a_member_in_bzip2() -> BuiltFile:
    members = _members_and_record({})
    return BuiltFile(WHEEL, a_zip(members, compression=zipfile.ZIP_BZIP2))


def two_members_of_the_same_bytes() -> BuiltFile:
    # As in a zip bomb without recursion: one kernel, many directory entries.
    return raw_wheel(RawMember("demo/x.py", _FIRST, central={"start": 0}))


def a_member_that_reaches_into_the_next() -> BuiltFile:
    # A stored block of deflate that quotes the next member's header.
    members = usual_members()
    inner = raw_zip(members[:1])[: 30 + len("demo/__init__.py") + len(members[0].packed)]
    quoted = b"\0" + struct.pack("<HH", len(inner), len(inner) ^ 0xFFFF) + inner
    outer = RawMember(
        "demo/x.py",
        data=quoted[:5],
        local={"packed": len(quoted), "size": len(inner)},
        central={"packed": len(quoted), "size": len(inner)},
    )
    return BuiltFile(WHEEL, raw_zip([outer, *members]))


def a_gap_between_members() -> BuiltFile:
    return raw_wheel(first={"behind": b"hidden"})


def a_member_that_the_directory_does_not_name() -> BuiltFile:
    hidden = raw_zip([RawMember("demo/hidden.py", _FIRST)])
    return raw_wheel(first={"behind": hidden[: hidden.index(b"PK\1\2")]})


def a_gap_ahead_of_the_directory() -> BuiltFile:
    return raw_wheel(ahead_of_directory=b"hidden")


def another_name_ahead_of_the_member() -> BuiltFile:
    return raw_wheel(first={"local": {"name": b"demo/__evil__.py"}})


def another_size_ahead_of_the_member() -> BuiltFile:
    return raw_wheel(first={"local": {"size": 5}})


def another_packed_size_ahead_of_the_member() -> BuiltFile:
    return raw_wheel(first={"local": {"packed": 5}})


def another_checksum_ahead_of_the_member() -> BuiltFile:
    return raw_wheel(first={"local": {"crc": 5}})


def another_method_ahead_of_the_member() -> BuiltFile:
    return raw_wheel(first={"local": {"method": 0}})


def other_flags_ahead_of_the_member() -> BuiltFile:
    return raw_wheel(first={"local": {"flags": 0x800}})


def no_member_where_the_directory_says() -> BuiltFile:
    return raw_wheel(first={"ahead": b"", "central": {"start": 1}}, prepended=b"")


def a_descriptor_that_lies() -> BuiltFile:
    return raw_wheel(first=_streamed(_FIRST) | {"behind": descriptor(b"other", deflated(_FIRST))})


def a_descriptor_that_is_missing() -> BuiltFile:
    return raw_wheel(first=_streamed(_FIRST) | {"behind": b""})


def a_stored_member_whose_size_follows() -> BuiltFile:
    stored = _streamed(_FIRST) | {"method": 0, "behind": descriptor(_FIRST, _FIRST)}
    return raw_wheel(first=stored)


def a_member_that_cannot_be_inflated() -> BuiltFile:
    return raw_wheel(first={"data": b"\xff" * 20})


def a_member_that_ends_too_early() -> BuiltFile:
    return raw_wheel(first={"data": deflated(_FIRST)[:-3]})


def a_member_with_something_behind_its_end() -> BuiltFile:
    return raw_wheel(first={"data": deflated(_FIRST) + b"hidden"})


def a_member_with_more_bytes_than_it_says() -> BuiltFile:
    return raw_wheel(first={"data": deflated(_FIRST + b"more")})


def a_member_with_fewer_bytes_than_it_says() -> BuiltFile:
    return raw_wheel(first={"data": deflated(_FIRST[:-3])})


def a_stored_member_of_two_sizes() -> BuiltFile:
    size = {"size": 5}
    return raw_wheel(first={"method": 0, "local": size, "central": size})


def a_member_with_a_wrong_checksum() -> BuiltFile:
    crc = {"crc": 5}
    return raw_wheel(first={"local": crc, "central": crc})


def a_folder_with_bytes_of_its_own() -> BuiltFile:
    return raw_wheel(RawMember("demo/sub/", b"hidden", mode=0o040755))


def a_member_whose_size_follows() -> BuiltFile:
    return raw_wheel(first=_streamed(_FIRST))


def a_comment_behind_the_end() -> BuiltFile:
    return raw_wheel(comment=b"hello")


def a_comment_behind_a_member() -> BuiltFile:
    return raw_wheel(first={"comment": b"hello"})


def _streamed(content: bytes) -> dict[str, object]:
    """What a tool writes that cannot go back in the file."""
    return {
        "flags": 8,
        "local": {"crc": 0, "packed": 0, "size": 0},
        "behind": descriptor(content, deflated(content)),
    }


# Gzip and tar framing


def a_gzip_with_a_wrong_checksum() -> BuiltFile:
    raw = bytearray(an_sdist().content)
    raw[-8] ^= 1
    return BuiltFile(SDIST, bytes(raw))


def two_gzips_one_behind_the_other() -> BuiltFile:
    return BuiltFile(SDIST, gzip.compress(PKG_INFO) + gzip.compress(bytes(1024)))


def data_behind_the_gzip() -> BuiltFile:
    return BuiltFile(SDIST, an_sdist().content + b"more")


def zeros_behind_the_gzip() -> BuiltFile:
    return BuiltFile(SDIST, an_sdist().content + bytes(512))


def a_header_with_a_wrong_sum() -> BuiltFile:
    broken = bytearray(tar_member("demo-1.0/x", b"x"))
    broken[0] ^= 1
    return sdist_of(PKG_INFO, bytes(broken))


def a_header_of_an_unknown_format() -> BuiltFile:
    return sdist_of(PKG_INFO, changed_header(tar_header(), 257, b"star42"))


def a_prefix_in_gnus_format() -> BuiltFile:
    return sdist_of(PKG_INFO, changed_header(tar_header("x"), 345, b"demo-1.0"))


def a_size_that_is_no_number() -> BuiltFile:
    return sdist_of(PKG_INFO, changed_header(tar_header(), 124, b"0000000000x\0"))


def a_mode_that_is_no_number() -> BuiltFile:
    return sdist_of(PKG_INFO, changed_header(tar_header(), 100, b"rw-r--r"))


def a_negative_size() -> BuiltFile:
    return sdist_of(PKG_INFO, tar_header(size=-512))


def a_pax_header_that_is_broken() -> BuiltFile:
    return sdist_of(PKG_INFO, tar_member("pax", b"99 path=x\n", b"x"), tar_header())


def a_pax_header_that_says_something_twice() -> BuiltFile:
    return sdist_of(PKG_INFO, tar_member("pax", b"12 path=a/b\n12 path=c/d\n", b"x"), tar_header())


def a_pax_header_that_is_huge() -> BuiltFile:
    return sdist_of(PKG_INFO, pax_header({"comment": "x" * (300 << 10)}), tar_header())


def two_pax_headers_for_one_member() -> BuiltFile:
    header = pax_header({"path": "demo-1.0/y"})
    return sdist_of(PKG_INFO, header, header, tar_header())


def two_long_names_for_one_member() -> BuiltFile:
    long = tar_member("././@LongLink", b"demo-1.0/z\0", b"L")
    return sdist_of(PKG_INFO, pax_header({"path": "demo-1.0/y"}), long, tar_header())


def a_long_name_with_something_behind_it() -> BuiltFile:
    return sdist_of(PKG_INFO, tar_member("x", b"demo-1.0/z\0/hidden", b"L"), tar_header())


def a_long_name_that_goes_on_behind_its_end() -> BuiltFile:
    long = tar_header("x", b"L", 10) + b"demo-1.0/y.py".ljust(512, b"\0")
    return sdist_of(PKG_INFO, long, tar_header())


def a_pax_header_without_its_member() -> BuiltFile:
    return sdist_of(PKG_INFO, pax_header({"path": "demo-1.0/y"}))


def two_sizes_of_one_member() -> BuiltFile:
    # What a reader that overlooks the pax header takes for content, another takes for a member.
    hidden = tar_member("demo-1.0/hidden", b"x")
    member = tar_header("demo-1.0/x", size=0)
    return sdist_of(PKG_INFO, pax_header({"size": str(len(hidden))}), member, hidden)


def a_link_with_a_size() -> BuiltFile:
    hidden = tar_member("demo-1.0/hidden", b"x")
    link = tar_header("demo-1.0/x", b"1", len(hidden), linkname="demo-1.0/PKG-INFO")
    return sdist_of(PKG_INFO, link, hidden)


def a_global_header_that_nothing_follows() -> BuiltFile:
    return sdist_of(PKG_INFO, pax_header({"comment": "x"}, b"g"))


def too_many_global_headers_in_a_row() -> BuiltFile:
    return sdist_of(pax_header({"comment": "x"}, b"g") * 101, PKG_INFO)


def a_file_that_hides_members_in_pax() -> BuiltFile:
    return sdist_of(PKG_INFO, pax_header({"path": "demo-1.0/x"}), *_folder_with_a_size())


def a_file_that_hides_members_in_gnus_format() -> BuiltFile:
    long = tar_member("././@LongLink", b"demo-1.0/x\0", b"L")
    return sdist_of(PKG_INFO, long, *_folder_with_a_size())


def _folder_with_a_size() -> tuple[bytes, bytes]:
    # tarfile sees a folder by the name in its own header, and then reads on in its content.
    hidden = tar_member("demo-1.0/hidden", b"x")
    return changed_header(tar_header("demo-1.0/x/", size=len(hidden)), 156, b"\0"), hidden


def a_name_for_all_members() -> BuiltFile:
    return sdist_of(pax_header({"path": "demo-1.0/y"}, b"g"), PKG_INFO)


def a_sparse_member() -> BuiltFile:
    return sdist_of(PKG_INFO, tar_header(kind=b"S"))


def a_sparse_member_in_pax() -> BuiltFile:
    return sdist_of(PKG_INFO, pax_header({"GNU.sparse.major": "1"}), tar_header())


def members_behind_the_end_of_the_tar() -> BuiltFile:
    return sdist_of(PKG_INFO, bytes(1024), tar_member("demo-1.0/hidden", b"x"))


def a_tar_without_an_end() -> BuiltFile:
    return sdist_of(PKG_INFO, end=b"")


def a_tar_with_half_an_end() -> BuiltFile:
    return sdist_of(PKG_INFO, end=bytes(512))


# Names and kinds of members


def a_wheel_member_outside() -> BuiltFile:
    return wheel_with({"../evil.py": b""})


def a_wheel_member_outside_by_a_detour() -> BuiltFile:
    return wheel_with({"demo/../../evil.py": b""})


def an_absolute_wheel_member() -> BuiltFile:
    return wheel_with({"/etc/evil": b""})


def a_wheel_member_on_a_drive() -> BuiltFile:
    return wheel_with({"C:evil.py": b""})


def a_wheel_member_outside_by_backslashes() -> BuiltFile:
    return wheel_with({"demo\\..\\..\\evil.py": b""})


def an_sdist_member_outside() -> BuiltFile:
    return sdist_of(PKG_INFO, tar_member("demo-1.0/../../evil.py"))


def an_absolute_sdist_member() -> BuiltFile:
    return sdist_of(PKG_INFO, tar_member("/etc/evil"))


def a_member_without_a_name() -> BuiltFile:
    return raw_wheel(RawMember(""))


def a_file_named_as_a_folder() -> BuiltFile:
    return sdist_of(PKG_INFO, tar_member("demo-1.0/x/", b"x"))


def a_nul_in_a_name() -> BuiltFile:
    return raw_wheel(RawMember("demo/x.py\0.txt"))


def a_line_end_in_a_name() -> BuiltFile:
    return wheel_with({"demo/x\ny.py": b""})


def a_name_of_thousands_of_letters() -> BuiltFile:
    return wheel_with({"demo/" + "x" * 2000: b""})


def a_wheel_member_that_is_there_twice() -> BuiltFile:
    members = _members_and_record({})
    return BuiltFile(WHEEL, a_zip([*members.items(), ("demo/__init__.py", b"evil")]))


def a_member_that_is_there_twice_with_another_case_between() -> BuiltFile:
    spelled = [("demo/x.py", b"1"), ("demo/X.py", b"2"), ("demo/x.py", b"evil")]
    return BuiltFile(WHEEL, a_zip([*_members_and_record({}).items(), *spelled]))


def an_sdist_member_that_is_there_twice() -> BuiltFile:
    return sdist_of(PKG_INFO, PKG_INFO)


def a_file_that_is_a_folder_too() -> BuiltFile:
    return wheel_with({"demo/x": b"", "demo/x/y.py": b""})


def a_file_that_is_a_folder_too_with_another_case_beside_it() -> BuiltFile:
    return wheel_with({"demo/x": b"", "demo/X": b"", "demo/x/y.py": b""})


def a_member_below_a_link() -> BuiltFile:
    link = tar_header("demo-1.0/x", b"2", linkname="demo")
    return sdist_of(PKG_INFO, link, tar_member("demo-1.0/x/y.py"))


def a_link_out_of_an_sdist() -> BuiltFile:
    return sdist_of(PKG_INFO, tar_header("demo-1.0/x", b"2", linkname="../y"))


def an_absolute_link_in_an_sdist() -> BuiltFile:
    return sdist_of(PKG_INFO, tar_header("demo-1.0/x", b"2", linkname="/etc/passwd"))


def a_link_that_goes_up_behind_another_link() -> BuiltFile:
    # x leads up two folders, so that x/../.. leads out.
    up = tar_header("demo-1.0/a/b/x", b"2", linkname="../..")
    return sdist_of(PKG_INFO, up, tar_header("demo-1.0/a/b/y", b"2", linkname="x/../../z"))


def a_hard_link_out_of_an_sdist() -> BuiltFile:
    return sdist_of(PKG_INFO, tar_header("demo-1.0/x", b"1", linkname="../etc/passwd"))


def a_hard_link_to_nothing() -> BuiltFile:
    return sdist_of(PKG_INFO, tar_header("demo-1.0/x", b"1", linkname="demo-1.0/y"))


def a_hard_link_to_a_link() -> BuiltFile:
    link = tar_header("demo-1.0/a/b/x", b"2", linkname="../../y")
    return sdist_of(PKG_INFO, link, tar_header("demo-1.0/z", b"1", linkname="demo-1.0/a/b/x"))


def a_link_out_of_a_wheel() -> BuiltFile:
    return raw_wheel(RawMember("demo/x", b"../../etc/passwd", mode=0o120777))


def a_device_in_an_sdist() -> BuiltFile:
    return sdist_of(PKG_INFO, tar_header("demo-1.0/x", b"3"))


def a_pipe_in_an_sdist() -> BuiltFile:
    return sdist_of(PKG_INFO, tar_header("demo-1.0/x", b"6"))


def a_device_in_a_wheel() -> BuiltFile:
    return raw_wheel(RawMember("demo/x", mode=0o020666))


def a_link_within_a_wheel() -> BuiltFile:
    return raw_wheel(RawMember("demo/x", b"__init__.py", mode=0o120777))


def a_link_within_an_sdist() -> BuiltFile:
    return sdist_of(PKG_INFO, tar_header("demo-1.0/a/x", b"2", linkname="../PKG-INFO"))


def a_hard_link_within_an_sdist() -> BuiltFile:
    return sdist_of(PKG_INFO, tar_header("demo-1.0/x", b"1", linkname="demo-1.0/PKG-INFO"))


def a_backslash_in_a_name() -> BuiltFile:
    return wheel_with({"demo\\x.py": b""})


def an_sdist_below_a_dot() -> BuiltFile:
    return BuiltFile(SDIST, a_tar_gz({"./demo-1.0/PKG-INFO": METADATA}))


def two_names_that_differ_in_case() -> BuiltFile:
    return wheel_with({"demo/x.py": b"1", "demo/X.py": b"2"})


def a_file_and_a_folder_that_differ_in_case() -> BuiltFile:
    return wheel_with({"demo/x": b"1", "demo/X/y.py": b"2"})


def a_wheel_member_whose_name_is_not_marked_as_utf8() -> BuiltFile:
    member = RawMember("demo/\u2502.py")  # a line in the alphabet of MS-DOS
    name = {"name": b"demo/\xb3.py"}
    return raw_wheel(replace(member, local=name, central=name))


def an_sdist_member_whose_name_is_not_utf8() -> BuiltFile:
    header = changed_header(tar_header("demo-1.0/xx"), 0, b"demo-1.0/\xff\xfe")
    return sdist_of(PKG_INFO, header)


# Core metadata


def a_wheel_without_metadata() -> BuiltFile:
    return wheel_with(without=f"{DIST_INFO}/METADATA")


def a_wheel_without_dist_info() -> BuiltFile:
    return BuiltFile(WHEEL, a_zip({"demo/__init__.py": b""}))


def a_wheel_whose_metadata_is_misspelled() -> BuiltFile:
    # zipfile, and so pip, looks for this very name.
    return wheel_with({f"{DIST_INFO}//METADATA": METADATA}, without=f"{DIST_INFO}/METADATA")


def a_wheel_that_was_renamed() -> BuiltFile:
    return BuiltFile(WHEEL, a_wheel("other").content)


def an_sdist_without_pkg_info() -> BuiltFile:
    return sdist_of(tar_member("demo-1.0/setup.py"))


def an_sdist_whose_pkg_info_is_a_link() -> BuiltFile:
    link = tar_header("demo-1.0/PKG-INFO", b"2", linkname="info")
    return sdist_of(link, tar_member("demo-1.0/info", METADATA))


def metadata_of_another_project() -> BuiltFile:
    return wheel_with_metadata(name="other")


def metadata_of_another_version() -> BuiltFile:
    return wheel_with_metadata(version="2.0")


def an_sdist_that_was_renamed() -> BuiltFile:
    return BuiltFile(SDIST, an_sdist("other", metadata=core_metadata("other")).content)


def metadata_that_is_huge() -> BuiltFile:
    noise = base64.encodebytes(random.Random(1).randbytes(8 << 20))
    return wheel_with({f"{DIST_INFO}/METADATA": METADATA + b"\n" + noise})


def pkg_info_that_is_huge() -> BuiltFile:
    noise = base64.encodebytes(random.Random(1).randbytes(8 << 20))
    return sdist_of(tar_member("demo-1.0/PKG-INFO", METADATA + b"\n" + noise))


def metadata_of_an_unknown_major_version() -> BuiltFile:
    return wheel_with_metadata("Metadata-Version: 3.0")


def metadata_without_a_name() -> BuiltFile:
    return wheel_with({f"{DIST_INFO}/METADATA": b"Metadata-Version: 2.1\nVersion: 1.0\n"})


def metadata_in_latin_1() -> BuiltFile:
    summary = b"Summary: caf\xe9\n"
    return wheel_with({f"{DIST_INFO}/METADATA": METADATA + summary})


def metadata_of_an_unknown_minor_version() -> BuiltFile:
    return wheel_with_metadata("Metadata-Version: 2.99")


def metadata_of_no_version() -> BuiltFile:
    return wheel_with_metadata("Metadata-Version: two")


def requires_python_that_is_no_specifier() -> BuiltFile:
    return wheel_with_metadata("Requires-Python: three")


def a_requirement_that_cannot_be_parsed() -> BuiltFile:
    return wheel_with_metadata("Requires-Dist: one two")


def a_license_expression_that_cannot_be_parsed() -> BuiltFile:
    return wheel_with_metadata("Metadata-Version: 2.4", "License-Expression: free for all")


def a_license_and_a_license_expression() -> BuiltFile:
    return wheel_with_metadata("Metadata-Version: 2.4", "License: MIT", "License-Expression: MIT")


def a_license_file_that_a_wheel_lacks() -> BuiltFile:
    return wheel_with_metadata("Metadata-Version: 2.4", "License-File: LICENSE")


def a_license_file_that_an_sdist_lacks() -> BuiltFile:
    metadata = b"Metadata-Version: 2.4\nName: demo\nVersion: 1.0\nLicense-File: LICENSE\n"
    return an_sdist(metadata=metadata)


# Wheels


def two_dist_info_folders() -> BuiltFile:
    return wheel_with({"other-1.0.dist-info/METADATA": core_metadata("other")})


def a_wheel_without_wheel_file() -> BuiltFile:
    return wheel_with(without=f"{DIST_INFO}/WHEEL")


def a_wheel_file_without_a_version() -> BuiltFile:
    return wheel_with_wheel_file("Tag: py3-none-any")


def a_version_behind_the_headers_of_the_wheel_file() -> BuiltFile:
    return wheel_with_wheel_file("Tag: py3-none-any", "", "Wheel-Version: 1.0")


def a_wheel_file_that_is_not_utf8() -> BuiltFile:
    return wheel_with({f"{DIST_INFO}/WHEEL": b"Wheel-Version: 1.0\nGenerator: caf\xe9\n"})


def a_wheel_of_an_unknown_major_version() -> BuiltFile:
    return wheel_with_wheel_file("Wheel-Version: 2.0", "Tag: py3-none-any")


def data_of_an_unknown_scheme() -> BuiltFile:
    return wheel_with({"demo-1.0.data/elsewhere/x": b""})


def data_without_a_scheme() -> BuiltFile:
    return wheel_with({"demo-1.0.data/x": b""})


def a_script_outside() -> BuiltFile:
    return wheel_with(
        {f"{DIST_INFO}/entry_points.txt": b"[console_scripts]\n../evil = demo:main\n"}
    )


def a_script_outside_behind_a_semicolon() -> BuiltFile:
    return wheel_with(
        {f"{DIST_INFO}/entry_points.txt": b"[console_scripts]\n;/../../evil = demo:main\n"}
    )


def a_script_outside_below_two_brackets() -> BuiltFile:
    return wheel_with(
        {f"{DIST_INFO}/entry_points.txt": b"[[console_scripts]]\n../evil = demo:main\n"}
    )


def a_record_line_outside() -> BuiltFile:
    return wheel_with_record(lambda text: text + "../../../etc/passwd,,\n")


def a_record_line_of_another_project() -> BuiltFile:
    return wheel_with_record(lambda text: text + "pip/__init__.py,,\n")


def a_wheel_without_a_record() -> BuiltFile:
    return wheel_with(without=f"{DIST_INFO}/RECORD")


def a_record_that_is_not_utf8() -> BuiltFile:
    return wheel_with_record(lambda text: text.replace("RECORD,,", "RECORD,,,\udce9"))


def a_record_line_of_two_columns() -> BuiltFile:
    return wheel_with_record(lambda text: text.replace("RECORD,,", "RECORD,"))


def a_record_line_that_is_there_twice() -> BuiltFile:
    return wheel_with_record(lambda text: text.splitlines()[0] + "\n" + text)


def a_member_that_record_does_not_list() -> BuiltFile:
    return wheel_with_record(lambda text: text.partition("\n")[2])


def a_record_that_does_not_list_itself() -> BuiltFile:
    return wheel_with_record(lambda text: text.replace(f"{DIST_INFO}/RECORD,,\n", ""))


def a_record_line_without_its_member() -> BuiltFile:
    return wheel_with_record(lambda text: text + "demo/lost.py,,\n")


def a_record_with_a_wrong_digest() -> BuiltFile:
    digest = _digest("sha256", b"other")
    return wheel_with_record(lambda text: _with_first_digest(text, digest))


def a_record_with_a_wrong_size() -> BuiltFile:
    return wheel_with_record(lambda text: text.replace(f",{len(_FIRST)}\n", ",5\n", 1))


def a_record_without_a_digest() -> BuiltFile:
    return wheel_with_record(lambda text: _with_first_digest(text, ""))


def a_record_with_md5() -> BuiltFile:
    return wheel_with_record(lambda text: _with_first_digest(text, _digest("md5", _FIRST)))


def a_record_with_sha1() -> BuiltFile:
    return wheel_with_record(lambda text: _with_first_digest(text, _digest("sha1", _FIRST)))


def a_record_with_hexadecimal_digests() -> BuiltFile:
    digest = "sha256=" + hashlib.sha256(_FIRST).hexdigest()
    return wheel_with_record(lambda text: _with_first_digest(text, digest))


def tags_that_differ_from_the_file_name() -> BuiltFile:
    return wheel_with_wheel_file("Wheel-Version: 1.0", "Tag: py2-none-any")


def no_tags() -> BuiltFile:
    return wheel_with_wheel_file("Wheel-Version: 1.0")


def a_build_that_differs_from_the_file_name() -> BuiltFile:
    return wheel_with_wheel_file("Wheel-Version: 1.0", "Tag: py3-none-any", "Build: 2")


def a_build_that_the_file_name_alone_has() -> BuiltFile:
    return wheel_with(filename="demo-1.0-2-py3-none-any.whl")


def entry_points_without_a_section() -> BuiltFile:
    return wheel_with({f"{DIST_INFO}/entry_points.txt": b"demo = demo:main\n"})


def entry_points_that_are_not_utf8() -> BuiltFile:
    return wheel_with({f"{DIST_INFO}/entry_points.txt": b"[x]\ncaf\xe9 = demo:main\n"})


def a_script_with_a_blank_in_its_name() -> BuiltFile:
    return wheel_with({f"{DIST_INFO}/entry_points.txt": b"[gui_scripts]\na b = demo:main\n"})


def a_data_folder_of_another_version() -> BuiltFile:
    return wheel_with({"demo-2.0.data/scripts/x": b""})


def a_dist_info_folder_in_another_spelling() -> BuiltFile:
    metadata = core_metadata("demo")
    members = wheel_members("demo", "1.0.0", metadata=metadata)
    members["demo-1.0.0.dist-info/RECORD"] = record(members, "demo-1.0.0.dist-info")
    return BuiltFile(WHEEL, a_zip(members))


def a_wheel_name_in_an_old_spelling() -> BuiltFile:
    members = wheel_members("demo", "1.0", metadata=METADATA)
    members = {name.replace("demo-1.0", "Demo-1.0"): raw for name, raw in members.items()}
    members["Demo-1.0.dist-info/RECORD"] = record(members, "Demo-1.0.dist-info")
    return BuiltFile("Demo-1.0-py3-none-any.whl", a_zip(members))


# Source distributions


def two_top_folders() -> BuiltFile:
    return sdist_of(PKG_INFO, tar_member("other/x"))


def a_file_beside_the_top_folder() -> BuiltFile:
    return sdist_of(PKG_INFO, tar_member("x"))


def two_top_folders_in_a_zip() -> BuiltFile:
    return BuiltFile(ZIP_SDIST, a_zip({"demo-1.0/PKG-INFO": METADATA, "other/x": b""}))


def a_top_folder_of_another_name() -> BuiltFile:
    return BuiltFile(SDIST, a_tar_gz({"any folder/PKG-INFO": METADATA}))


def a_top_folder_in_another_spelling() -> BuiltFile:
    return BuiltFile(SDIST, a_tar_gz({"Demo-1.0.0/PKG-INFO": METADATA}))


def an_sdist_name_in_an_old_spelling() -> BuiltFile:
    return BuiltFile("Demo-1.0.tar.gz", an_sdist().content)


def an_sdist_that_is_a_zip() -> BuiltFile:
    return an_sdist(format=".zip")


def _with_first_digest(text: str, digest: str) -> str:
    line, _, rest = text.partition("\n")
    name, _, size = line.split(",")
    return f"{name},{digest},{size}\n{rest}"


def _digest(algorithm: str, content: bytes) -> str:
    raw = hashlib.new(algorithm, content).digest()
    return f"{algorithm}={base64.urlsafe_b64encode(raw).rstrip(b'=').decode()}"


# What looks wrong and is not


def members_in_another_order_than_the_directory() -> BuiltFile:
    return raw_wheel(reverse_directory=True)


def a_zip64_end() -> BuiltFile:
    return raw_wheel(end64={})


def a_zip64_end_that_is_not_needed() -> BuiltFile:
    start = raw_wheel().content.index(b"PK\1\2")
    return raw_wheel(end64={}, end={"start": start, "here": 4, "entries": 4})


def sizes_in_zip64_fields() -> BuiltFile:
    packed, size = len(deflated(_FIRST)), len(_FIRST)
    both = {"packed": 0xFFFF_FFFF, "size": 0xFFFF_FFFF}
    field = zip64_field(size, packed)
    return raw_wheel(
        first={"local": both, "central": both, "local_extra": field, "central_extra": field}
    )


def sizes_in_a_zip64_field_ahead_of_the_member_alone() -> BuiltFile:
    both = {"packed": 0xFFFF_FFFF, "size": 0xFFFF_FFFF}
    field = zip64_field(len(_FIRST), len(deflated(_FIRST)))
    return raw_wheel(first={"local": both, "local_extra": field})


def a_zip64_field_ahead_of_a_member_that_repeats_its_sizes() -> BuiltFile:
    field = zip64_field(len(_FIRST), len(deflated(_FIRST)))
    return raw_wheel(first={"local_extra": field})


def a_place_and_a_disk_in_a_zip64_field() -> BuiltFile:
    field = extra_field(1, struct.pack("<QL", 0, 0))
    return raw_wheel(
        first={"central": {"start": 0xFFFF_FFFF, "disk": 0xFFFF}, "central_extra": field}
    )


def extra_fields_of_other_tools() -> BuiltFile:
    times = extra_field(0x5455, b"\3" + bytes(8))
    return raw_wheel(first={"local_extra": times, "central_extra": times[:4] + times[4:] + b"\0"})


def the_same_name_in_an_extra_field() -> BuiltFile:
    same = extra_field(0x7075, b"\1" + bytes(4) + b"demo/__init__.py")
    return raw_wheel(first={"central_extra": same, "local_extra": same})


def stored_members() -> BuiltFile:
    return BuiltFile(WHEEL, a_zip(_members_and_record({}), compression=zipfile.ZIP_STORED))


def folders_and_empty_files() -> BuiltFile:
    return raw_wheel(
        RawMember("demo/", mode=0o040755, method=0),
        RawMember("demo/sub/", mode=0o040755),
        RawMember("demo/old/", mode=0o040755, data=b""),
        RawMember("demo/sub/py.typed", method=0),
        RawMember("demo/sub/empty.py"),
    )


def names_in_utf8() -> BuiltFile:
    return wheel_with({"demo/caf\xe9.py": b"", "demo/\u65e5\u672c.txt": b"", "demo/.x@(1)~": b""})


def a_record_with_sha384_and_sha512() -> BuiltFile:
    def change(text: str) -> str:
        wheel_file = wheel_members("demo", "1.0", metadata=METADATA)[f"{DIST_INFO}/WHEEL"]
        lines = _with_first_digest(text, _digest("sha384", _FIRST)).splitlines()
        at = next(number for number, line in enumerate(lines) if "/WHEEL" in line)
        lines[at] = f"{DIST_INFO}/WHEEL,{_digest('sha512', wheel_file)},"
        return "\n".join(lines)

    return wheel_with_record(change)


def a_record_with_padded_digests_and_windows_line_ends() -> BuiltFile:
    digest = _digest("sha256", _FIRST) + "="
    return wheel_with_record(lambda text: _with_first_digest(text, digest).replace("\n", "\r\n"))


def signatures_that_record_does_not_list() -> BuiltFile:
    members = _members_and_record({})
    signatures = {f"{DIST_INFO}/RECORD.jws": b"{}", f"{DIST_INFO}/RECORD.p7s": b"x"}
    return BuiltFile(WHEEL, a_zip(members | signatures))


def a_name_with_a_comma() -> BuiltFile:
    members = _members_and_record({"demo/x.py": b""})
    members["demo/x,y.py"] = members.pop("demo/x.py")
    name = f"{DIST_INFO}/RECORD"
    members[name] = members[name].replace(b"demo/x.py", b'"demo/x,y.py"')
    return BuiltFile(WHEEL, a_zip(members))


def compressed_tags_and_a_build() -> BuiltFile:
    lines = [f"Tag: {python}-none-any" for python in ("py2", "py3")]
    raw = "".join(f"{line}\n" for line in ("Wheel-Version: 1.9", *lines, "Build: 2b"))
    return wheel_with(
        {f"{DIST_INFO}/WHEEL": raw.encode()}, filename="demo-1.0-2b-py2.py3-none-any.whl"
    )


def a_local_version() -> BuiltFile:
    return a_wheel("demo", "1.0+cpu.1")


def data_of_each_scheme_and_entry_points() -> BuiltFile:
    points = b"# commands\n[console_scripts]\ndemo = demo:main [x]\n\n[any.group]\na b = demo\n"
    schemes = ("purelib", "platlib", "headers", "scripts", "data")
    files = {f"demo-1.0.data/{scheme}/x": b"" for scheme in schemes}
    return wheel_with(files | {f"{DIST_INFO}/entry_points.txt": points})


def metadata_with_a_license_file() -> BuiltFile:
    lines = ("Metadata-Version: 2.4", "License-Expression: MIT", "License-File: x/LICENSE")
    raw = "".join(f"{line}\n" for line in (*lines, "Name: demo", "Version: 1.0")).encode()
    return wheel_with({f"{DIST_INFO}/METADATA": raw, f"{DIST_INFO}/licenses/x/LICENSE": b"MIT"})


def an_old_license_file_that_lies_elsewhere() -> BuiltFile:
    return wheel_with_metadata("Metadata-Version: 2.1", "License-File: LICENSE")


def a_requirement_from_a_place() -> BuiltFile:
    return wheel_with_metadata("Requires-Dist: other @ https://example.com/other-1.0.tar.gz")


def metadata_of_the_version_that_never_was() -> BuiltFile:
    return wheel_with_metadata("Metadata-Version: 2.0")


def long_names_in_pax() -> BuiltFile:
    return BuiltFile(SDIST, a_tar_of(_entries(), tarfile.PAX_FORMAT))


def long_names_in_gnus_format() -> BuiltFile:
    return BuiltFile(SDIST, a_tar_of(_entries(), tarfile.GNU_FORMAT))


def long_names_in_ustar() -> BuiltFile:
    return BuiltFile(SDIST, a_tar_of(_entries(300)[:2], tarfile.USTAR_FORMAT))


def a_commit_in_a_global_header() -> BuiltFile:
    return sdist_of(pax_header({"comment": "0123abc"}, b"g"), PKG_INFO)


def folders_as_unix_v7_wrote_them() -> BuiltFile:
    old = changed_header(tar_header("demo-1.0/", b"\0"), 257, bytes(8))
    return sdist_of(old, PKG_INFO)


def an_sdist_with_a_license_file() -> BuiltFile:
    metadata = b"Metadata-Version: 2.4\nName: demo\nVersion: 1.0\nLicense-File: LICENSE\n"
    members = {"demo-1.0/LICENSE": b"MIT", "demo-1.0/PKG-INFO": metadata}
    return BuiltFile(SDIST, a_tar_gz(members))


def _entries(length: int = 1000) -> list[tuple[tarfile.TarInfo, bytes]]:
    deep = "demo-1.0/" + "/".join(["a folder with a long name"] * ((length - 200) // 26)) + "/x.py"
    names = (deep[:-5] + "/y.py", "demo-1.0/PKG-INFO", deep, "demo-1.0/\xfcn\xef.py")
    return [(tarfile.TarInfo(name), METADATA) for name in names]


# Eggs


def an_egg_that_is_a_script() -> BuiltFile:
    buffer = io.BytesIO(b"#!/bin/sh\nexec python2.7 ...\n")
    egg = zipfile.ZipFile(io.BytesIO(an_egg().content))
    with zipfile.ZipFile(buffer, "a") as archive:
        for name in egg.namelist():
            archive.writestr(name, egg.read(name))
    return BuiltFile(an_egg().filename, buffer.getvalue())


def an_egg_behind_a_lot_of_data() -> BuiltFile:
    buffer = io.BytesIO(bytes(5000))
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr("EGG-INFO/PKG-INFO", METADATA)
    return BuiltFile(an_egg().filename, buffer.getvalue())


def an_egg_without_metadata() -> BuiltFile:
    return BuiltFile(an_egg().filename, a_zip({"demo/__init__.py": b""}))


GOOD_ARCHIVES: tuple[Callable[[], BuiltFile], ...] = (
    a_wheel,
    an_sdist,
    members_in_another_order_than_the_directory,
    a_zip64_end,
    a_zip64_end_that_is_not_needed,
    sizes_in_zip64_fields,
    sizes_in_a_zip64_field_ahead_of_the_member_alone,
    a_zip64_field_ahead_of_a_member_that_repeats_its_sizes,
    a_place_and_a_disk_in_a_zip64_field,
    extra_fields_of_other_tools,
    the_same_name_in_an_extra_field,
    stored_members,
    folders_and_empty_files,
    names_in_utf8,
    a_record_with_sha384_and_sha512,
    a_record_with_padded_digests_and_windows_line_ends,
    signatures_that_record_does_not_list,
    a_name_with_a_comma,
    compressed_tags_and_a_build,
    a_local_version,
    data_of_each_scheme_and_entry_points,
    metadata_with_a_license_file,
    an_old_license_file_that_lies_elsewhere,
    a_requirement_from_a_place,
    metadata_of_the_version_that_never_was,
    metadata_of_an_unknown_minor_version,
    long_names_in_pax,
    long_names_in_gnus_format,
    long_names_in_ustar,
    a_commit_in_a_global_header,
    folders_as_unix_v7_wrote_them,
    an_sdist_with_a_license_file,
    tags_that_differ_from_the_file_name,
    no_tags,
    a_build_that_differs_from_the_file_name,
    a_build_that_the_file_name_alone_has,
    a_dist_info_folder_in_another_spelling,
    a_wheel_name_in_an_old_spelling,
    a_top_folder_in_another_spelling,
    an_sdist_name_in_an_old_spelling,
    a_link_within_an_sdist,
    a_hard_link_within_an_sdist,
    an_sdist_that_is_a_zip,
)
"""None of them has a finding."""


BAD_ARCHIVES: tuple[BadArchive, ...] = (
    BadArchive("not-an-archive", a_web_page_named_as_a_wheel, "no readable zip"),
    BadArchive("not-an-archive", a_web_page_named_as_an_sdist, "no readable sdist"),
    BadArchive("not-an-archive", a_gzip_without_a_tar, "no readable sdist"),
    BadArchive("not-an-archive", a_wheel_named_as_an_sdist, "no readable sdist"),
    BadArchive("truncated", a_wheel_that_is_cut_off, "cut off"),
    BadArchive("truncated", an_sdist_that_is_cut_off, "ends too early"),
    BadArchive("truncated", a_tar_that_is_cut_off_in_a_member, "cut off in a member"),
    BadArchive("truncated", a_tar_that_is_cut_off_in_a_header, "cut off in a header"),
    BadArchive("zip-and-tar", a_wheel_that_is_a_tar_too, "a zip and a tar at once"),
    BadArchive("zip-and-tar", an_sdist_that_is_a_zip_too, "takes it for a zip"),
    BadArchive("bomb", a_wheel_that_is_a_bomb, "inflates to more than 64 MiB"),
    BadArchive("bomb", an_sdist_that_is_a_bomb, "inflates to more than 64 MiB"),
    BadArchive("too-many-members", an_end_that_announces_too_many_members, "more than 100,000"),
    BadArchive("zip-trailing-data", data_behind_the_end, "4 bytes follow its end"),
    BadArchive("zip-prepended-data", a_wheel_behind_a_wheel, "before its beginning"),
    BadArchive("zip-prepended-data", data_ahead_of_the_beginning, "10 bytes stand before"),
    BadArchive("zip-prepended-data", data_ahead_that_the_places_count, "10 bytes stand before"),
    BadArchive("zip-directory", a_directory_that_is_elsewhere, "not where its end says"),
    BadArchive("zip-directory", data_between_directory_and_end, "not where its end says"),
    BadArchive("zip-directory", a_count_that_is_too_small, "more members than its end says"),
    BadArchive("zip-directory", a_count_that_is_too_large, "fewer members than its end says"),
    BadArchive("zip-directory", a_part_of_several_disks, "a part of several files"),
    BadArchive("zip-directory", a_directory_without_a_member, "names no member"),
    BadArchive("zip-directory", a_member_that_lies_behind_the_directory, "behind the directory"),
    BadArchive("zip-zip64", a_zip64_end_that_contradicts_the_other, "contradict each other"),
    BadArchive("zip-zip64", a_zip64_end_that_is_elsewhere, "zip64 end is broken"),
    BadArchive("zip-zip64", a_zip64_end_with_data_of_its_own, "zip64 end is broken"),
    BadArchive("zip-zip64", a_zip64_field_that_contradicts_the_sizes, "contradictory"),
    BadArchive("zip-zip64-surplus", a_zip64_field_that_says_all_again, "repeats what is said"),
    BadArchive("zip-zip64", a_zip64_field_that_is_missing, "contradictory"),
    BadArchive("zip-extra", an_extra_field_that_is_broken, "is broken"),
    BadArchive("zip-duplicate-extra", two_zip64_fields, "0x0001 twice"),
    BadArchive("zip-unicode-path", another_name_in_an_extra_field, "another name"),
    BadArchive("zip-name-encoding", a_name_that_says_to_be_utf8_and_is_not, "says to be UTF-8"),
    BadArchive("zip-flags", a_flag_that_zipfile_does_not_know, "a feature of zip"),
    BadArchive("zip-flags", a_version_that_zipfile_does_not_know, "a feature of zip"),
    BadArchive("zip-encrypted", an_encrypted_member, "is encrypted"),
    BadArchive("zip-method", a_member_in_bzip2, "neither stored nor deflated"),
    BadArchive("zip-overlap", two_members_of_the_same_bytes, "the same bytes"),
    BadArchive("zip-overlap", a_member_that_reaches_into_the_next, "reaches into what follows"),
    BadArchive("zip-gap", a_gap_between_members, "6 bytes behind its 'demo/__init__.py'"),
    BadArchive("zip-gap", a_member_that_the_directory_does_not_name, "belong to no member"),
    BadArchive("zip-gap", a_gap_ahead_of_the_directory, "belong to no member"),
    BadArchive("zip-local-mismatch", another_name_ahead_of_the_member, "the name of its"),
    BadArchive("zip-local-mismatch", another_size_ahead_of_the_member, "checksum or sizes"),
    BadArchive("zip-local-mismatch", another_packed_size_ahead_of_the_member, "checksum or sizes"),
    BadArchive("zip-local-mismatch", another_checksum_ahead_of_the_member, "checksum or sizes"),
    BadArchive("zip-local-mismatch", another_method_ahead_of_the_member, "flags or method"),
    BadArchive("zip-local-mismatch", other_flags_ahead_of_the_member, "flags or method"),
    BadArchive("zip-prepended-data", no_member_where_the_directory_says, "1 bytes stand before"),
    BadArchive("zip-descriptor", a_descriptor_that_lies, "not its checksum and sizes"),
    BadArchive("zip-descriptor", a_descriptor_that_is_missing, "not its checksum and sizes"),
    BadArchive("zip-descriptor-stored", a_stored_member_whose_size_follows, "it is stored"),
    BadArchive("zip-deflate", a_member_that_cannot_be_inflated, "cannot be inflated"),
    BadArchive("zip-deflate", a_member_that_ends_too_early, "cannot be inflated"),
    BadArchive("zip-deflate", a_member_with_something_behind_its_end, "ends before the bytes"),
    BadArchive("zip-size", a_member_with_more_bytes_than_it_says, "does not have the 20 bytes"),
    BadArchive("zip-size", a_member_with_fewer_bytes_than_it_says, "does not have the 20 bytes"),
    BadArchive("zip-size", a_stored_member_of_two_sizes, "does not have the 5 bytes"),
    BadArchive("zip-crc", a_member_with_a_wrong_checksum, "checksum of its 'demo/__init__.py'"),
    BadArchive("zip-folder-content", a_folder_with_bytes_of_its_own, "bytes of its own"),
    BadArchive("zip-data-descriptor", a_member_whose_size_follows, "stand behind it"),
    BadArchive("zip-comment", a_comment_behind_the_end, "it has a comment"),
    BadArchive("zip-entry-comment", a_comment_behind_a_member, "'demo/__init__.py' has a comment"),
    BadArchive("gzip-damaged", a_gzip_with_a_wrong_checksum, "cannot be inflated, or are not"),
    BadArchive("gzip-several", two_gzips_one_behind_the_other, "several gzip files"),
    BadArchive("gzip-trailing-data", data_behind_the_gzip, "more behind its end"),
    BadArchive("gzip-padding", zeros_behind_the_gzip, "zeros follow"),
    BadArchive("tar-header", a_header_with_a_wrong_sum, "wrong checksum"),
    BadArchive("tar-header", a_header_of_an_unknown_format, "unknown format"),
    BadArchive("tar-header", a_prefix_in_gnus_format, "unknown format"),
    BadArchive("tar-header", a_size_that_is_no_number, "a number that is none"),
    BadArchive("tar-header", a_mode_that_is_no_number, "a number that is none"),
    BadArchive("tar-header", a_negative_size, "a negative size"),
    BadArchive("tar-header", a_pax_header_that_is_broken, "broken pax header"),
    BadArchive("tar-header", a_pax_header_that_says_something_twice, "something twice"),
    BadArchive("tar-header", a_pax_header_that_is_huge, "more than 256 KiB"),
    BadArchive("tar-header", two_pax_headers_for_one_member, "two headers of one kind"),
    BadArchive("tar-header", two_long_names_for_one_member, "two long names"),
    BadArchive("tar-header", a_long_name_with_something_behind_it, "something behind it"),
    BadArchive("tar-header", a_long_name_that_goes_on_behind_its_end, "behind its end"),
    BadArchive("tar-header", a_pax_header_without_its_member, "without its member"),
    BadArchive("tar-header", a_global_header_that_nothing_follows, "without its member"),
    BadArchive("tar-header", too_many_global_headers_in_a_row, "more than 100 global headers"),
    BadArchive("tar-header", a_file_that_hides_members_in_pax, "a folder to others"),
    BadArchive("tar-header", a_file_that_hides_members_in_gnus_format, "a folder to others"),
    BadArchive("tar-size", two_sizes_of_one_member, "two sizes"),
    BadArchive("tar-size", a_link_with_a_size, "has a size all the same"),
    BadArchive("tar-global-header", a_name_for_all_members, "says the path of all members"),
    BadArchive("tar-sparse", a_sparse_member, "is a sparse member"),
    BadArchive("tar-sparse", a_sparse_member_in_pax, "a sparse member"),
    BadArchive("tar-trailing-data", members_behind_the_end_of_the_tar, "behind the end"),
    BadArchive("tar-end-missing", a_tar_without_an_end, "has no end"),
    BadArchive("tar-end-missing", a_tar_with_half_an_end, "half an end"),
    BadArchive("member-outside", a_wheel_member_outside, "'../evil.py' lies outside"),
    BadArchive("member-outside", a_wheel_member_outside_by_a_detour, "lies outside"),
    BadArchive("member-outside", an_absolute_wheel_member, "'/etc/evil' lies outside"),
    BadArchive("member-outside", a_wheel_member_on_a_drive, "'C:evil.py' lies outside"),
    BadArchive("member-outside", a_wheel_member_outside_by_backslashes, "lies outside"),
    BadArchive("member-outside", an_sdist_member_outside, "lies outside"),
    BadArchive("member-outside", an_absolute_sdist_member, "'/etc/evil' lies outside"),
    BadArchive("member-empty-name", a_member_without_a_name, "without a name"),
    BadArchive("member-empty-name", a_file_named_as_a_folder, "without a name"),
    BadArchive("member-control-character", a_nul_in_a_name, "a control character"),
    BadArchive("member-control-character", a_line_end_in_a_name, "a control character"),
    BadArchive("member-name-long", a_name_of_thousands_of_letters, "more than 1024 characters"),
    BadArchive("member-duplicate", a_wheel_member_that_is_there_twice, "'demo/__init__.py' twice"),
    BadArchive(
        "member-duplicate", a_member_that_is_there_twice_with_another_case_between, "x.py' twice"
    ),
    BadArchive("member-duplicate", an_sdist_member_that_is_there_twice, "PKG-INFO' twice"),
    BadArchive("member-file-and-folder", a_file_that_is_a_folder_too, "both a file and a folder"),
    BadArchive(
        "member-file-and-folder",
        a_file_that_is_a_folder_too_with_another_case_beside_it,
        "both a file and a folder",
    ),
    BadArchive("member-file-and-folder", a_member_below_a_link, "both a file and a folder"),
    BadArchive("link-outside", a_link_out_of_an_sdist, "a link to '../y'"),
    BadArchive("link-outside", an_absolute_link_in_an_sdist, "a link to '/etc/passwd'"),
    BadArchive("link-outside", a_link_that_goes_up_behind_another_link, "out of the archive"),
    BadArchive("link-outside", a_hard_link_out_of_an_sdist, "out of the archive"),
    BadArchive("link-outside", a_hard_link_to_nothing, "no file of it"),
    BadArchive("link-outside", a_hard_link_to_a_link, "no file of it"),
    BadArchive("link-outside", a_link_out_of_a_wheel, "a link to '../../etc/passwd'"),
    BadArchive("member-special", a_device_in_an_sdist, "neither file, folder nor link"),
    BadArchive("member-special", a_pipe_in_an_sdist, "neither file, folder nor link"),
    BadArchive("member-special", a_device_in_a_wheel, "neither file, folder nor link"),
    BadArchive("member-link", a_link_within_a_wheel, "a link to '__init__.py'"),
    BadArchive("member-backslash", a_backslash_in_a_name, "has a backslash"),
    BadArchive("member-odd-path", an_sdist_below_a_dot, "stands for 'demo-1.0/PKG-INFO'"),
    BadArchive("member-case", two_names_that_differ_in_case, "one name on Windows"),
    BadArchive("member-case", a_file_and_a_folder_that_differ_in_case, "one name on Windows"),
    BadArchive(
        "member-name-encoding", a_wheel_member_whose_name_is_not_marked_as_utf8, "not marked"
    ),
    BadArchive("member-name-encoding", an_sdist_member_whose_name_is_not_utf8, "is not UTF-8"),
    BadArchive("metadata-missing", a_zip_without_members, "no demo-1.0.dist-info/METADATA"),
    BadArchive("metadata-missing", a_wheel_without_metadata, "no demo-1.0.dist-info/METADATA"),
    BadArchive("metadata-missing", a_wheel_without_dist_info, "no demo-1.0.dist-info/METADATA"),
    BadArchive("metadata-missing", a_wheel_whose_metadata_is_misspelled, "dist-info/METADATA"),
    BadArchive("metadata-missing", a_wheel_that_was_renamed, "(but 'other-1.0.dist-info')"),
    BadArchive("metadata-missing", an_sdist_without_pkg_info, "no PKG-INFO"),
    BadArchive("metadata-missing", an_sdist_whose_pkg_info_is_a_link, "no PKG-INFO"),
    BadArchive("metadata-lies", metadata_of_another_project, "says 'other' '1.0'"),
    BadArchive("metadata-lies", metadata_of_another_version, "says 'demo' '2.0'"),
    BadArchive("metadata-lies", an_sdist_that_was_renamed, "says 'other' '1.0'"),
    BadArchive("metadata-huge", metadata_that_is_huge, "larger than 10 MiB"),
    BadArchive("metadata-huge", pkg_info_that_is_huge, "larger than 10 MiB"),
    BadArchive("metadata-unreadable", metadata_of_an_unknown_major_version, "of version '3.0'"),
    BadArchive("metadata-unreadable", metadata_without_a_name, "has no Name"),
    BadArchive("metadata-encoding", metadata_in_latin_1, "is not UTF-8"),
    BadArchive("metadata-version", metadata_of_no_version, "version 'two'"),
    BadArchive("requires-python", requires_python_that_is_no_specifier, "'three' is not valid"),
    BadArchive("requires-dist", a_requirement_that_cannot_be_parsed, "'one two' is not valid"),
    BadArchive("license-expression", a_license_expression_that_cannot_be_parsed, "is not valid"),
    BadArchive("license-expression", a_license_and_a_license_expression, "both License"),
    BadArchive("license-file-missing", a_license_file_that_a_wheel_lacks, "licenses/LICENSE'"),
    BadArchive("license-file-missing", a_license_file_that_an_sdist_lacks, "demo-1.0/LICENSE'"),
    BadArchive("dist-info-several", two_dist_info_folders, "2 dist-info folders"),
    BadArchive("wheel-file-missing", a_wheel_without_wheel_file, "no demo-1.0.dist-info/WHEEL"),
    BadArchive("wheel-file-unreadable", a_wheel_file_without_a_version, "Wheel-Version"),
    BadArchive(
        "wheel-file-unreadable", a_version_behind_the_headers_of_the_wheel_file, "Wheel-Version"
    ),
    BadArchive("wheel-file-unreadable", a_wheel_file_that_is_not_utf8, "WHEEL is not UTF-8"),
    BadArchive("wheel-version-major", a_wheel_of_an_unknown_major_version, "is '2.0', not 1.x"),
    BadArchive("data-scheme", data_of_an_unknown_scheme, "in none of data, headers"),
    BadArchive("data-scheme", data_without_a_scheme, "in none of data, headers"),
    BadArchive("script-path", a_script_outside, "the name '../evil'"),
    BadArchive("script-path", a_script_outside_behind_a_semicolon, "';/../../evil'"),
    BadArchive("script-path", a_script_outside_below_two_brackets, "the name '../evil'"),
    BadArchive("record-outside", a_record_line_outside, "outside of its folders"),
    BadArchive("record-outside", a_record_line_of_another_project, "'pip/__init__.py'"),
    BadArchive("record-missing", a_wheel_without_a_record, "no demo-1.0.dist-info/RECORD"),
    BadArchive("record-unreadable", a_record_that_is_not_utf8, "not UTF-8"),
    BadArchive("record-unreadable", a_record_line_of_two_columns, "2 columns, not 3"),
    BadArchive("record-duplicate", a_record_line_that_is_there_twice, "lists 'demo/__init__.py'"),
    BadArchive("record-unlisted", a_member_that_record_does_not_list, "'demo/__init__.py'"),
    BadArchive("record-unlisted", a_record_that_does_not_list_itself, "dist-info/RECORD'"),
    BadArchive("record-missing-member", a_record_line_without_its_member, "'demo/lost.py'"),
    BadArchive("record-mismatch", a_record_with_a_wrong_digest, "not the one"),
    BadArchive("record-mismatch", a_record_with_a_wrong_size, "has 20 bytes, RECORD says '5'"),
    BadArchive("record-unhashed", a_record_without_a_digest, "no digest of 'demo/__init__.py'"),
    BadArchive("record-hash-kind", a_record_with_md5, "has 'md5' of"),
    BadArchive("record-hash-kind", a_record_with_sha1, "has 'sha1' of"),
    BadArchive("record-hash-form", a_record_with_hexadecimal_digests, "in hexadecimal"),
    BadArchive("entry-points", entry_points_without_a_section, "the line 'demo = demo:main'"),
    BadArchive("entry-points", entry_points_that_are_not_utf8, "not UTF-8"),
    BadArchive("entry-points", a_script_with_a_blank_in_its_name, "'a b'"),
    BadArchive("data-folder", a_data_folder_of_another_version, "'demo-2.0.data'"),
    BadArchive("sdist-several-tops", two_top_folders, "'demo-1.0' and 'other'"),
    BadArchive("sdist-several-tops", a_file_beside_the_top_folder, "'demo-1.0' and 'x'"),
    BadArchive("sdist-several-tops", two_top_folders_in_a_zip, "'demo-1.0' and 'other'"),
    BadArchive("sdist-top-folder", a_top_folder_of_another_name, "is 'any folder'"),
    BadArchive("egg", an_egg, "it is an egg"),
    BadArchive("egg", an_egg_that_is_a_script, "it is an egg"),
    BadArchive("zip-prepended-data", an_egg_behind_a_lot_of_data, "5000 bytes stand before"),
    BadArchive("metadata-missing", an_egg_without_metadata, "holds no EGG-INFO/PKG-INFO"),
)
"""Each is refused, or has one finding, for its rule alone."""
