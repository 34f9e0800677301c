"""However an archive is made, looking through it takes little memory, and cut ones are refused."""

import gzip
import io
import random
import struct
import tarfile
from pathlib import Path

import pytest

from simpleindex_storage.errors import Refused
from simpleindex_storage.inspection import inspect
from simpleindex_storage.names import parse_filename
from tests.bad_archives import METADATA, SDIST, WHEEL
from tests.builders import (
    BuiltFile,
    a_big_wheel,
    a_tar_gz,
    a_wheel,
    a_zip,
    an_sdist,
    wheel_members,
)
from tests.storage.inspections import peak_bytes

PKG_INFO = ("demo-1.0/PKG-INFO", METADATA)


def test_a_member_that_inflates_to_more_than_it_declares_costs_no_memory(tmp_path: Path) -> None:
    honest = a_zip(wheel_members("demo", "1.0", metadata=bytes(80 << 20)))
    lying = honest.replace(struct.pack("<L", 80 << 20), struct.pack("<L", 100))
    path = BuiltFile(WHEEL, lying).save(tmp_path)
    assert peak_bytes(lambda: _refused(path)) < 4 << 20


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
    assert peak_bytes(lambda: _inspect(path)) < 1 << 20


def test_a_bomb_ahead_of_pkg_info_is_refused_and_takes_little_memory(tmp_path: Path) -> None:
    bomb = a_tar_gz({"demo-1.0/zeros": bytes(100 << 20), "demo-1.0/PKG-INFO": METADATA})
    path = BuiltFile(SDIST, bomb).save(tmp_path)
    assert peak_bytes(lambda: _refused(path)) < 2 << 20


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
    assert peak_bytes(lambda: _inspect(path)) < 2 << 20


def test_many_members_take_little_memory(tmp_path: Path) -> None:
    header = tarfile.TarInfo("demo-1.0/x").tobuf()
    path = BuiltFile(SDIST, gzip.compress(header * 20_000, mtime=0)).save(tmp_path)
    assert peak_bytes(lambda: _refused(path)) < 2 << 20


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


@pytest.mark.parametrize("built", [a_wheel(), an_sdist(format=".zip")], ids=["wheel", "zip sdist"])
def test_a_zip_that_was_cut_off_anywhere_is_refused(built: BuiltFile, tmp_path: Path) -> None:
    for end in range(0, len(built.content) - 1, 7):
        _refused(BuiltFile(built.filename, built.content[:end]).save(tmp_path))


def test_a_tar_that_was_cut_off_ahead_of_pkg_info_is_refused(tmp_path: Path) -> None:
    noise = random.Random(1).randbytes(2000)
    content = a_tar_gz({"demo-1.0/noise": noise, "demo-1.0/PKG-INFO": METADATA})
    for end in range(0, 2000, 7):
        _refused(BuiltFile(SDIST, content[:end]).save(tmp_path))


def _refused(path: Path) -> None:
    with pytest.raises(Refused):
        _inspect(path)


def _inspect(path: Path) -> None:
    inspect(path, parse_filename(path.name))
