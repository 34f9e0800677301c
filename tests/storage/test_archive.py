"""Archives that are right, wrong, cut off, lying about their sizes, or made to do harm."""

import gzip
import io
import random
import struct
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simpleindex_storage.archive import (
    METADATA_BYTES_MAX,
    read_sdist_metadata,
    read_wheel_metadata,
)
from simpleindex_storage.errors import Refused, Unavailable
from simpleindex_storage.names import parse_filename
from tests.builders import (
    BuiltFile,
    a_big_wheel,
    a_tar_gz,
    a_wheel,
    a_zip,
    an_sdist,
    core_metadata,
    wheel_members,
)

WHEEL = "demo-1.0-py3-none-any.whl"
SDIST = "demo-1.0.tar.gz"
ZIP_SDIST = "demo-1.0.zip"
METADATA = core_metadata()
PKG_INFO = ("demo-1.0/PKG-INFO", METADATA)


def read(filename: str, content: bytes, folder: Path) -> bytes:
    return read_at(BuiltFile(filename, content).save(folder))


def read_at(path: Path) -> bytes:
    filename = parse_filename(path.name)
    return (read_wheel_metadata if filename.is_wheel else read_sdist_metadata)(path, filename)


def refusal(filename: str, content: bytes, folder: Path) -> str:
    with pytest.raises(Refused) as refused:
        read(filename, content, folder)
    line = str(refused.value)
    assert line.startswith(f"{filename}: ")
    assert line.isprintable()
    return line


def members_without(missing: str) -> dict[str, bytes]:
    members = wheel_members("demo", "1.0", metadata=METADATA)
    del members[missing]
    return members


# Wheels


@pytest.mark.parametrize(
    ("filename", "folder"),
    [
        ("demo-1.0-py3-none-any.whl", "demo-1.0"),
        ("demo-1.0-1-cp311-cp311-linux_x86_64.whl", "demo-1.0"),
        ("Zope.Demo-1.0-py3-none-any.whl", "Zope.Demo-1.0"),
        ("zope_demo-1.0-py3-none-any.whl", "Zope.Demo-1.0"),
        ("zope_demo-1.0-py3-none-any.whl", "zope-demo-1.0"),
        ("demo-1.0.0-py3-none-any.whl", "demo-1.0"),
        ("demo-1.0+cpu.1-py3-none-any.whl", "demo-1.0+cpu.1"),
        ("demo-1!2.0.post1-py3-none-any.whl", "demo-1!2.0.post1"),
    ],
)
def test_a_wheels_metadata_is_found_however_its_folder_is_spelled(
    filename: str, folder: str, tmp_path: Path
) -> None:
    content = a_zip(
        {f"{folder}.dist-info/WHEEL": b"w", f"{folder}.dist-info/METADATA": b"it\r\nsays\n"}
    )
    assert read(filename, content, tmp_path) == b"it\r\nsays\n"


def test_metadata_of_other_projects_in_a_wheel_is_not_taken(tmp_path: Path) -> None:
    others = {
        "METADATA": b"no",
        "demo/_vendor/demo-1.0.dist-info/METADATA": b"no",
        "demo-2.0.dist-info/METADATA": b"no",
        "other-1.0.dist-info/METADATA": b"no",
        "demo.dist-info/METADATA": b"no",
        "demo-1.0.dist-info/METADATA.json": b"no",
        "demo-not a version.dist-info/METADATA": b"no",
    }
    built = a_wheel(extra_files=others)
    first = a_zip(others | wheel_members("demo", "1.0", metadata=METADATA))
    assert read(WHEEL, built.content, tmp_path) == METADATA
    assert read(WHEEL, first, tmp_path) == METADATA


@pytest.mark.parametrize(
    "second", ["demo-1.0.dist-info", "Demo-1.0.dist-info", "demo-1.0.0.dist-info"]
)
def test_a_wheel_with_two_metadata_files_is_refused(second: str, tmp_path: Path) -> None:
    pairs = [*wheel_members("demo", "1.0", metadata=METADATA).items(), (f"{second}/METADATA", b"x")]
    assert "holds demo-1.0.dist-info/METADATA 2 times" in refusal(WHEEL, a_zip(pairs), tmp_path)


def test_a_renamed_wheel_is_refused_with_the_name_that_was_found(tmp_path: Path) -> None:
    content = a_wheel("other", "1.0").content
    line = refusal(WHEEL, content, tmp_path)
    assert "holds no demo-1.0.dist-info/METADATA (but 'other-1.0.dist-info')" in line


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ("demo-1.0.dist-info/WHEEL", "holds no demo-1.0.dist-info/WHEEL"),
        ("demo-1.0.dist-info/METADATA", "holds no demo-1.0.dist-info/METADATA"),
    ],
    ids=["WHEEL", "METADATA"],
)
def test_a_wheel_that_lacks_a_file_is_refused(missing: str, words: str, tmp_path: Path) -> None:
    assert words in refusal(WHEEL, a_zip(members_without(missing)), tmp_path)


@pytest.mark.parametrize(
    "compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA], ids=["bzip2", "lzma"]
)
def test_metadata_in_an_odd_compression_is_refused(compression: int, tmp_path: Path) -> None:
    content = a_zip(wheel_members("demo", "1.0", metadata=METADATA), compression=compression)
    assert "neither stored nor deflated" in refusal(WHEEL, content, tmp_path)


def test_metadata_up_to_the_limit_is_read_and_more_is_refused(tmp_path: Path) -> None:
    def wheel(size_bytes: int) -> bytes:
        return a_zip(wheel_members("demo", "1.0", metadata=b"x" * size_bytes))

    assert len(read(WHEEL, wheel(METADATA_BYTES_MAX), tmp_path)) == METADATA_BYTES_MAX
    line = refusal(WHEEL, wheel(METADATA_BYTES_MAX + 1), tmp_path)
    assert "METADATA is larger than 10 MiB" in line


def test_a_member_that_inflates_to_more_than_it_declares_costs_no_memory(tmp_path: Path) -> None:
    honest = a_zip(wheel_members("demo", "1.0", metadata=bytes(80 << 20)))
    lying = honest.replace(struct.pack("<L", 80 << 20), struct.pack("<L", 100))
    path = BuiltFile(WHEEL, lying).save(tmp_path)
    assert peak_bytes(lambda: _refused(path)) < 4 << 20


def test_a_member_that_declares_more_than_it_has_is_refused(tmp_path: Path) -> None:
    raw = METADATA + b"x" * 77
    honest = a_zip(wheel_members("demo", "1.0", metadata=raw), compression=zipfile.ZIP_STORED)
    lying = honest.replace(struct.pack("<L", len(raw)), struct.pack("<L", 1 << 30))
    refusal(WHEEL, lying, tmp_path)


def test_a_member_with_a_wrong_checksum_is_refused(tmp_path: Path) -> None:
    stored = a_zip(wheel_members("demo", "1.0", metadata=METADATA), compression=zipfile.ZIP_STORED)
    assert "CRC" in refusal(WHEEL, stored.replace(b"Name: demo", b"Name: dome"), tmp_path)


def test_a_wheel_that_wants_a_password_is_refused(tmp_path: Path) -> None:
    content = bytearray(a_zip(wheel_members("demo", "1.0", metadata=METADATA)))
    for signature, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        at = -1
        while (at := content.find(signature, at + 1)) >= 0:
            content[at + offset] |= 1
    assert "is encrypted" in refusal(WHEEL, bytes(content), tmp_path)


def test_a_directory_of_absurd_size_is_not_loaded(tmp_path: Path) -> None:
    # An end record that declares a directory of 200 MiB, with 200 MiB ahead of it.
    size_bytes = 200 << 20
    path = tmp_path / WHEEL
    with path.open("wb") as file:
        file.truncate(size_bytes)
        file.seek(0, io.SEEK_END)
        file.write(struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, size_bytes, 0, 0))
    assert peak_bytes(lambda: _refused(path)) < 1 << 20


def test_looking_into_a_large_wheel_takes_little_memory(tmp_path: Path) -> None:
    path = tmp_path / WHEEL
    a_big_wheel(path, 100_000_000)
    assert path.stat().st_size > 100_000_000
    assert peak_bytes(lambda: read_at(path)) < 1 << 20


# sdists


@pytest.mark.parametrize("format", [".tar.gz", ".zip"])
@pytest.mark.parametrize(
    "top", ["demo-1.0", "Demo-1.0", "./demo-1.0", "any folder"], ids=lambda top: top
)
def test_an_sdists_pkg_info_is_the_one_below_its_top_folder(
    top: str, format: str, tmp_path: Path
) -> None:
    members = {
        f"{top}/demo/PKG-INFO": b"no",
        f"{top}/src/demo.egg-info/PKG-INFO": b"no",
        f"{top}/PKG-INFO.in": b"no",
        f"{top}/PKG-INFO": b"it\r\nsays\n",
        f"{top}/z.py": b"",
    }
    content = a_zip(members) if format == ".zip" else a_tar_gz(members)
    assert read(f"demo-1.0{format}", content, tmp_path) == b"it\r\nsays\n"


@pytest.mark.parametrize("format", [".tar.gz", ".zip"])
@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"demo-1.0/setup.py": b""}, "has no PKG-INFO"),
        ({"demo-1.0/demo.egg-info/PKG-INFO": b""}, "has no PKG-INFO"),
        ({"PKG-INFO": b""}, "has no PKG-INFO"),
        ({}, ""),
        (
            {"demo-1.0/setup.py": b"", "other/PKG-INFO": b""},
            "more than one top folder ('demo-1.0', 'other')",
        ),
        (
            {"demo-1.0/a": b"", "/demo-1.0/PKG-INFO": b""},
            "more than one top folder ('demo-1.0', '/')",
        ),
    ],
    ids=["none", "egg-info only", "no top folder", "empty", "two top folders", "absolute"],
)
def test_an_sdist_without_its_pkg_info_is_refused(
    members: dict[str, bytes], words: str, format: str, tmp_path: Path
) -> None:
    content = a_zip(members) if format == ".zip" else a_tar_gz(members)
    assert words in refusal(f"demo-1.0{format}", content, tmp_path)


def test_a_zip_sdist_with_two_pkg_infos_is_refused(tmp_path: Path) -> None:
    content = a_zip([("demo-1.0/PKG-INFO", b"a"), ("./demo-1.0/PKG-INFO", b"b")])
    assert "holds demo-1.0/PKG-INFO 2 times" in refusal(ZIP_SDIST, content, tmp_path)


@pytest.mark.parametrize("format", [".tar.gz", ".zip"])
def test_a_pkg_info_above_the_limit_is_refused(format: str, tmp_path: Path) -> None:
    built = an_sdist(metadata=b"x" * (METADATA_BYTES_MAX + 1), format=format)
    assert "PKG-INFO is larger than 10 MiB" in refusal(built.filename, built.content, tmp_path)


def test_nothing_behind_pkg_info_is_read(tmp_path: Path) -> None:
    bomb = a_tar_gz({"demo-1.0/PKG-INFO": METADATA, "demo-1.0/zeros": bytes(100 << 20)})
    assert read(SDIST, bomb, tmp_path) == METADATA


def test_a_bomb_ahead_of_pkg_info_is_refused_and_takes_little_memory(tmp_path: Path) -> None:
    bomb = a_tar_gz({"demo-1.0/zeros": bytes(100 << 20), "demo-1.0/PKG-INFO": METADATA})
    assert "inflates to more than 64 MiB" in refusal(SDIST, bomb, tmp_path)
    assert peak_bytes(lambda: _refused(tmp_path / SDIST)) < 2 << 20


def test_a_large_sdist_with_pkg_info_at_its_end_is_read_in_little_memory(tmp_path: Path) -> None:
    # flit, hatchling and poetry write PKG-INFO last. 100 MB that hardly shrink.
    path, block = tmp_path / SDIST, random.Random(1).randbytes(1 << 20)
    members = [*((f"demo-1.0/{number}", block) for number in range(100)), PKG_INFO]
    with (
        gzip.open(path, "wb", compresslevel=1) as out,
        tarfile.open(fileobj=out, mode="w|") as archive,
    ):
        for name, content in members:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    assert path.stat().st_size > 100_000_000
    assert peak_bytes(lambda: _expect(read_at(path), METADATA)) < 2 << 20


def test_many_members_take_little_memory(tmp_path: Path) -> None:
    header = tarfile.TarInfo("demo-1.0/x").tobuf()
    path = BuiltFile(SDIST, gzip.compress(header * 20_000, mtime=0)).save(tmp_path)
    assert peak_bytes(lambda: _refused(path)) < 2 << 20


@pytest.mark.full
def test_an_absurd_number_of_members_is_refused(tmp_path: Path) -> None:
    header = tarfile.TarInfo("demo-1.0/x").tobuf()
    content = gzip.compress(header * 200_001, compresslevel=1) + random.Random(1).randbytes(1 << 20)
    assert "too many members" in refusal(SDIST, content, tmp_path)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE], ids=repr)
def test_a_pkg_info_that_is_no_plain_file_is_refused(kind: bytes, tmp_path: Path) -> None:
    entry = tarfile.TarInfo("demo-1.0/PKG-INFO")
    entry.type, entry.linkname = kind, "../../etc/passwd"
    assert "not a plain file" in refusal(SDIST, gzip.compress(entry.tobuf()), tmp_path)


def test_long_names_are_read_in_each_way_that_tar_writes_them(tmp_path: Path) -> None:
    deep = "demo-1.0/" + "/".join(["a folder with a long name"] * 20) + "/ünï.py"
    for tar_format in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz", format=tar_format) as archive:
            archive.addfile(tarfile.TarInfo(deep))
            entry = tarfile.TarInfo("demo-1.0/PKG-INFO")
            entry.size = len(METADATA)
            archive.addfile(entry, io.BytesIO(METADATA))
        assert read(SDIST, buffer.getvalue(), tmp_path) == METADATA


def _header(kind: bytes, size_bytes: int, **fields: object) -> bytes:
    entry = tarfile.TarInfo("demo-1.0/x")
    entry.type, entry.size = kind, size_bytes
    for name, value in fields.items():
        setattr(entry, name, value)
    return entry.tobuf(tarfile.GNU_FORMAT)


def _pax(kind: bytes, record: bytes) -> bytes:
    length = len(record) + 1
    while len(b"%d " % length) + len(record) != length:
        length += 1
    content = b"%d " % length + record
    return _header(kind, len(content)) + content + bytes(-len(content) % 512)


@pytest.mark.parametrize(
    "tar",
    [
        _header(tarfile.REGTYPE, -512),
        _header(tarfile.REGTYPE, -1024) * 2,
        _header(tarfile.XHDTYPE, -512) * 2,
        _header(tarfile.XHDTYPE, -1024) * 2,
        _header(tarfile.REGTYPE, 1 << 62),
        _header(tarfile.XHDTYPE, 1 << 62),
        _header(tarfile.XHDTYPE, 50 << 20) + bytes(50 << 20),
        _header(tarfile.GNUTYPE_LONGNAME, 50 << 20) + b"a" * (50 << 20),
        _header(tarfile.GNUTYPE_LONGNAME, 512) * 100_000,
        _header(tarfile.XHDTYPE, 512) * 100_000,
        (_header(tarfile.GNUTYPE_SPARSE, 0)[:482] + b"\1" + bytes(29) + b"\1" * 512 * 90_000),
        _pax(tarfile.XHDTYPE, b"GNU.sparse.major=1\n")
        + _pax(tarfile.XHDTYPE, b"GNU.sparse.minor=0\n")
        + _header(tarfile.REGTYPE, 0)
        + b"9999999999\n"
        + b"0\n" * (20 << 20),
        b"".join(_pax(tarfile.XGLTYPE, b"key%d=%s\n" % (i, b"v" * 5000)) + _header(b"0", 0)
                 for i in range(4000)),
        _pax(tarfile.XHDTYPE, b"size=-1\n") + _header(b"0", 0),
        _pax(tarfile.XHDTYPE, b"size=" + b"9" * 5000 + b"\n") + _header(b"0", 0),
        b"\xff" * 512,
    ],
    ids=[
        "negative size", "negative size 2", "negative pax", "negative pax 2",
        "endless member", "endless pax",
        "large pax", "large long name", "chain of long names", "chain of pax", "sparse",
        "sparse in pax", "many global headers", "negative size in pax", "absurd size in pax",
        "no header",
    ],
)  # fmt: skip
def test_tar_headers_that_do_harm_are_refused_in_little_memory(tar: bytes, tmp_path: Path) -> None:
    path = BuiltFile(SDIST, gzip.compress(tar, compresslevel=1)).save(tmp_path)
    assert peak_bytes(lambda: _refused(path)) < 12 << 20


def _pkg_info(size_bytes: int, content: bytes, kind: bytes = tarfile.REGTYPE) -> bytes:
    return (
        _header(kind, size_bytes, name="demo-1.0/PKG-INFO") + content + bytes(-len(content) % 512)
    )


@pytest.mark.parametrize(
    ("tar", "words"),
    [
        (_pkg_info(46, METADATA, tarfile.GNUTYPE_SPARSE), "not a plain file"),
        (_pkg_info(2000, METADATA), "no readable sdist"),
    ],
    ids=["sparse", "cut off"],
)
def test_a_pkg_info_that_other_tools_would_not_read_is_refused(
    tar: bytes, words: str, tmp_path: Path
) -> None:
    assert read(SDIST, gzip.compress(_pkg_info(46, METADATA)), tmp_path) == METADATA
    assert words in refusal(SDIST, gzip.compress(tar), tmp_path)


# Anything at all


@pytest.mark.parametrize("filename", [WHEEL, SDIST, ZIP_SDIST])
@pytest.mark.parametrize(
    "content",
    [b"", b"PK", b"<html>not found</html>", bytes(100_000), gzip.compress(b""), b"\x1f\x8b"],
    ids=["empty", "two bytes", "a web page", "zeros", "empty gzip", "gzip magic"],
)
def test_what_is_no_archive_is_refused(filename: str, content: bytes, tmp_path: Path) -> None:
    assert "no readable" in refusal(filename, content, tmp_path)


def test_a_wheel_under_an_sdists_name_is_refused(tmp_path: Path) -> None:
    assert "no readable sdist" in refusal(SDIST, a_wheel().content, tmp_path)


def test_a_file_that_cannot_be_read_back_is_no_fault_of_the_sender(tmp_path: Path) -> None:
    for filename in (WHEEL, SDIST, ZIP_SDIST):
        with pytest.raises(Unavailable, match=f"{filename} cannot be read back"):
            read_at(tmp_path / filename)


@pytest.mark.parametrize("built", [a_wheel(), an_sdist(format=".zip")], ids=["wheel", "zip sdist"])
def test_a_zip_that_was_cut_off_anywhere_is_refused(built: BuiltFile, tmp_path: Path) -> None:
    for end in range(0, len(built.content) - 1, 7):
        assert "no readable" in refusal(built.filename, built.content[:end], tmp_path)


def test_a_tar_that_was_cut_off_ahead_of_pkg_info_is_refused(tmp_path: Path) -> None:
    noise = random.Random(1).randbytes(2000)
    content = a_tar_gz({"demo-1.0/noise": noise, "demo-1.0/PKG-INFO": METADATA})
    for end in range(0, 2000, 7):
        assert "no readable sdist" in refusal(SDIST, content[:end], tmp_path)


BASES: dict[str, tuple[str, bytes, Callable[[bytes], bytes]]] = {
    "wheel": (WHEEL, a_wheel().content, bytes),
    "stored wheel": (
        WHEEL,
        a_zip(wheel_members("demo", "1.0", metadata=METADATA), compression=zipfile.ZIP_STORED),
        bytes,
    ),
    "zip sdist": (ZIP_SDIST, an_sdist(format=".zip").content, bytes),
    "gzip": (SDIST, a_tar_gz({"demo-1.0/a": b"a", "demo-1.0/PKG-INFO": METADATA}), bytes),
    "tar": (
        SDIST,
        gzip.decompress(
            a_tar_gz({"demo-1.0/" + "a" * 200: b"a" * 600, "demo-1.0/PKG-INFO": METADATA})
        ),
        lambda tar: gzip.compress(tar, compresslevel=1, mtime=0),
    ),
}


@pytest.mark.parametrize("base", BASES)
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_damage_of_any_kind_is_refused_or_does_not_matter(
    base: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    filename, content, wrap = BASES[base]
    damaged = bytearray(content)
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(damaged) - 1))
        piece = data.draw(st.binary(min_size=1, max_size=8))
        damaged[at : at + data.draw(st.sampled_from([0, 1, len(piece)]))] = piece
    path = tmp_path_factory.mktemp("damaged") / filename
    path.write_bytes(wrap(bytes(damaged)))
    try:
        read_at(path)
    except Refused as refused:
        assert str(refused).isprintable()


def peak_bytes(work: Callable[[], object]) -> int:
    """The most memory that Python had taken at once while it worked."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def _refused(path: Path) -> None:
    with pytest.raises(Refused):
        read_at(path)


def _expect(found: bytes, wanted: bytes) -> None:
    assert found == wanted
