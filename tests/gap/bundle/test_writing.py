"""Bundles are written whole or not at all, and equal ones are equal bytes."""

import io
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import pytest

from simpleindex.gap.bundle import volumes
from simpleindex.gap.bundle.manifest import (
    MEMBER,
    BundledFile,
    parse_manifest,
    spoken_digest,
    stamp,
)
from simpleindex.gap.bundle.papers import papers
from simpleindex.gap.bundle.reading import open_bundle, verify_bundle
from simpleindex.gap.bundle.stored_zip import Member, end, entry, header, layout, told_by
from simpleindex.gap.bundle.volumes import FAT32_BYTES_MAX, volume_path
from simpleindex.gap.bundle.writing import write_bundle
from simpleindex_storage.errors import Refused, Unavailable
from simpleindex_storage.locks import FileLock
from tests.gap.bundle.bundles import a_bundle, a_manifest, names_in, some_wheels
from tests.server import server_environment

EXTRAS = {"README.txt": b"read me\r\n", "server.pyz": b"#!/usr/bin/env python3\n" * 50}
WITH_PAPERS = {**papers(has_server=True), **EXTRAS}


def test_any_program_that_reads_zips_reads_them(tmp_path: Path) -> None:
    wheels = some_wheels()
    (written,) = a_bundle(tmp_path / "b.zip", wheels, extras=EXTRAS)

    with zipfile.ZipFile(written.path) as archive:
        assert archive.testzip() is None
        first, *rest = archive.infolist()
        assert first.filename == MEMBER
        assert {each.compress_type for each in (first, *rest)} == {zipfile.ZIP_STORED}
        assert [each.filename for each in rest] == [
            *(f"files/{each.sha256[:2]}/{each.sha256}-{each.filename}" for each in wheels),
            *WITH_PAPERS,
        ]
        assert [archive.read(each) for each in rest] == [
            *(each.content for each in wheels),
            *WITH_PAPERS.values(),
        ]
        raw = archive.read(first)
    assert parse_manifest(raw, "b.zip") == written.manifest
    assert (written.digest, written.size_bytes) == (spoken_digest(raw), written.path.stat().st_size)
    assert names_in(tmp_path) == ["b.zip"]


def test_equal_bundles_are_equal_bytes(tmp_path: Path) -> None:
    for name in ("a.zip", "b.zip"):
        a_bundle(tmp_path / name, some_wheels(), extras=EXTRAS)

    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_a_plain_folder_has_the_same_names(tmp_path: Path) -> None:
    wheels = some_wheels()
    a_bundle(tmp_path / "b.zip", wheels, extras=EXTRAS)
    (written,) = a_bundle(tmp_path / "b", wheels, extras=EXTRAS, as_folder=True)

    with zipfile.ZipFile(tmp_path / "b.zip") as archive:
        expected = {each.filename: archive.read(each) for each in archive.infolist()}
    found = {
        path.relative_to(written.path).as_posix(): path.read_bytes()
        for path in written.path.rglob("*")
        if path.is_file()
    }
    assert found == expected
    assert names_in(tmp_path) == ["b", "b.zip"]


def test_a_signature_is_of_the_very_bytes_and_stands_second(tmp_path: Path) -> None:
    signed: list[bytes] = []

    def sign(raw: bytes) -> bytes:
        signed.append(raw)
        return b"a signature"

    a_bundle(tmp_path / "b.zip", some_wheels(1), sign=sign)

    with zipfile.ZipFile(tmp_path / "b.zip") as archive:
        assert archive.namelist()[1] == "manifest.json.sig"
        assert archive.read("manifest.json.sig") == b"a signature"
        assert signed == [archive.read(MEMBER)]


def test_progress_is_told_of_every_byte_of_the_files(tmp_path: Path) -> None:
    wheels, told = some_wheels(payload_bytes=1_500_000), list[int]()
    a_bundle(tmp_path / "b.zip", wheels, extras=EXTRAS, progress=told.append)

    assert sum(told) == sum(len(each.content) for each in wheels)
    assert len(told) > len(wheels)


# Volumes


def test_volumes_are_of_whole_files_and_know_of_each_other(tmp_path: Path) -> None:
    wheels = some_wheels(5, payload_bytes=40_000)
    written = a_bundle(tmp_path / "b.pkgbundle.zip", wheels, extras=EXTRAS, max_bytes=130_000)

    assert [each.path.name for each in written] == [
        f"b.part{number}of3.pkgbundle.zip" for number in (1, 2, 3)
    ]
    assert names_in(tmp_path) == [each.path.name for each in written]
    assert all(each.path.stat().st_size == each.size_bytes <= 130_000 for each in written)
    everything = {each.sha256: each.filename for each in wheels}
    for number, each in enumerate(written, 1):
        manifest = each.manifest
        assert manifest.part is not None
        assert (manifest.part.number, manifest.part.count) == (number, 3)
        assert manifest.part.set_stamp == stamp(everything)
        here = {file.sha256 for file in manifest.files}
        there = {file.sha256 for file in manifest.elsewhere}
        assert here | there == set(everything)
        assert not here & there
        for file in manifest.elsewhere:
            others = written[file.part - 1].manifest.files
            assert (file.name, file.sha256) in [(other.name, other.sha256) for other in others]
        names = [extra.name for extra in manifest.extras]
        assert names == list(WITH_PAPERS if number == 1 else papers())
        assert verify_bundle(open_bundle(each.path)) == []


def test_what_fits_in_one_is_written_in_one(tmp_path: Path) -> None:
    wheels = some_wheels()
    (alone,) = a_bundle(tmp_path / "a.zip", wheels)
    (limited,) = a_bundle(tmp_path / "b.zip", wheels, max_bytes=alone.size_bytes)

    assert limited.manifest.part is None
    assert limited.path.read_bytes() == alone.path.read_bytes()


def test_the_limit_is_kept_wherever_it_is(tmp_path: Path) -> None:
    wheels, counts = some_wheels(7, payload_bytes=3_000), set[int]()
    for max_bytes in range(40_000, 66_000, 500):
        written = a_bundle(tmp_path / "b.zip", wheels, sign=len_of, max_bytes=max_bytes)
        assert all(each.size_bytes <= max_bytes for each in written)
        assert all(each.size_bytes == each.path.stat().st_size for each in written)
        counts.add(len(written))
    assert counts >= {1, 2, 3, 4}


def len_of(raw: bytes) -> bytes:
    """A signature that is as good as none."""
    return b"%d" % len(raw)


def test_a_file_that_is_larger_than_a_volume_is_named(tmp_path: Path) -> None:
    wheels = [*some_wheels(2), *some_wheels(3, payload_bytes=50_000)[2:]]

    with pytest.raises(Refused, match=r"project3-1\.0-.*do not fit in a volume of 40000"):
        a_bundle(tmp_path / "b.zip", wheels, max_bytes=40_000)
    assert names_in(tmp_path) == []


def test_a_volume_has_to_have_room_for_the_list(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"volumes of 500 bytes: .* allow larger ones"):
        a_bundle(tmp_path / "b.zip", some_wheels(), max_bytes=500)


def test_no_more_volumes_are_made_than_are_read_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(volumes, "VOLUMES_MAX", 2)
    wheels = some_wheels(5, payload_bytes=40_000)
    with pytest.raises(Refused, match="3 of them would be needed, and 2 are the most"):
        a_bundle(tmp_path / "b.zip", wheels, max_bytes=130_000)


def test_a_folder_is_not_written_in_volumes(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="no folders"):
        a_bundle(tmp_path / "b", some_wheels(), max_bytes=50_000, as_folder=True)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("b.zip", "b.part02of12.zip"),
        ("b.pkgbundle.zip", "b.part02of12.pkgbundle.zip"),
        ("b", "b.part02of12"),
    ],
)
def test_volumes_are_in_order_when_they_are_sorted_by_name(name: str, expected: str) -> None:
    assert volume_path(Path("x") / name, 2, 12) == Path("x") / expected
    assert volume_path(Path("x") / name, 1, 1) == Path("x") / name


# Large ones, without writing them


def test_headers_of_4_gib_and_more_are_those_of_zip64() -> None:
    members = [
        Member("a", FAT32_BYTES_MAX - 1, 1),
        Member("b", FAT32_BYTES_MAX, 2),
        Member("c", 5, 3),
    ]
    where = layout(members)

    class Sparse(io.RawIOBase):
        """Has the headers and the end where they belong, and zeros between."""

        def __init__(self) -> None:
            self._pieces = {
                **{s: header(m) for m, s in zip(members, where.starts, strict=True)},
                where.directory_start: b"".join(
                    entry(m, s) for m, s in zip(members, where.starts, strict=True)
                )
                + end(len(members), where.directory_start, where.directory_bytes),
            }
            self._at = 0

        def seekable(self) -> bool:
            return True

        def readable(self) -> bool:
            return True

        def tell(self) -> int:
            return self._at

        def seek(self, offset: int, whence: int = 0) -> int:
            self._at = offset + (0, self._at, where.size_bytes)[whence]
            return self._at

        def read(self, size: int = -1) -> bytes:
            left = where.size_bytes - self._at
            size = left if size < 0 else min(size, left)
            out = bytearray(size)
            for start, piece in self._pieces.items():
                low, high = max(start, self._at), min(start + len(piece), self._at + size)
                if low < high:
                    out[low - self._at : high - self._at] = piece[low - start : high - start]
            self._at += size
            return bytes(out)

    with zipfile.ZipFile(Sparse()) as archive:
        found = archive.infolist()
        assert [(each.filename, each.file_size, each.header_offset) for each in found] == [
            (member.name, member.size_bytes, start)
            for member, start in zip(members, where.starts, strict=True)
        ]
        archive.open("c").close()  # which compares its own header with the directory
    assert told_by(header(members[1])) == members[1]


def test_more_members_than_zip_once_could_have_are_read(tmp_path: Path) -> None:
    members = [Member(str(number), 0) for number in range(70_000)]
    where = layout(members)
    with (tmp_path / "b.zip").open("wb") as file:
        file.writelines(map(header, members))
        file.writelines(map(entry, members, where.starts))
        file.write(end(len(members), where.directory_start, where.directory_bytes))

    assert (tmp_path / "b.zip").stat().st_size == where.size_bytes
    with zipfile.ZipFile(tmp_path / "b.zip") as archive:
        assert len(archive.namelist()) == 70_000


# What goes wrong


def test_other_bytes_than_promised_are_never_written(tmp_path: Path) -> None:
    right, wrong = some_wheels(2)
    manifest = a_manifest([right])
    for content in (wrong.content, right.content + b"x", right.content[:-1], b""):
        as_promised = replace(right, content=content)
        with pytest.raises(Refused, match=r"project1-1\.0.*fetch it again"):
            a_bundle(tmp_path / "b.zip", [as_promised], manifest=manifest)
        assert names_in(tmp_path) == []


@pytest.mark.parametrize("as_folder", [False, True])
def test_what_was_there_before_is_there_when_it_fails(as_folder: bool, tmp_path: Path) -> None:
    (tmp_path / "b.zip").write_bytes(b"before")

    def fail(file: BundledFile) -> BinaryIO:
        raise OSError(5, "Input/output error")

    destination = tmp_path / ("b" if as_folder else "b.zip")
    with pytest.raises(Unavailable, match=r"project1-1\.0.*cannot be read: Input/output error"):
        write_bundle(a_manifest(some_wheels(1)), fail, destination, as_folder=as_folder)
    assert names_in(tmp_path) == ["b.zip"]
    assert (tmp_path / "b.zip").read_bytes() == b"before"


def test_a_disk_without_room_says_so_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: _Usage())
    opened = list[BundledFile]()

    with pytest.raises(Unavailable, match="bytes are needed, and the disk has 10") as refusal:
        write_bundle(a_manifest(some_wheels()), _noting(opened), tmp_path / "b.zip")
    assert refusal.value.full
    assert opened == []


class _Usage:
    free = 10


def _noting(opened: list[BundledFile]) -> Callable[[BundledFile], BinaryIO]:
    def open_file(file: BundledFile) -> BinaryIO:
        opened.append(file)
        return io.BytesIO()

    return open_file


@pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="no limit of sizes here")
def test_a_disk_that_takes_no_large_files_leads_to_volumes(tmp_path: Path) -> None:
    told = subprocess.run(
        [sys.executable, "-c", _WITH_A_LIMIT, str(tmp_path / "b.zip")],
        check=False,
        capture_output=True,
        env=server_environment(),
        text=True,
    )
    assert "the disk takes no file of this size; allow volumes of 4294967295" in told.stdout
    assert names_in(tmp_path) == []


_WITH_A_LIMIT = """
import resource, signal, sys
from pathlib import Path
from simpleindex_storage.errors import Unavailable
from tests.gap.bundle.bundles import a_bundle, some_wheels
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))
try:
    a_bundle(Path(sys.argv[1]), some_wheels(payload_bytes=20_000))
except Unavailable as error:
    print(error)
"""


@pytest.mark.parametrize("as_folder", [False, True])
def test_killed_in_the_middle_leaves_nothing_under_the_name(
    as_folder: bool, tmp_path: Path
) -> None:
    program = [sys.executable, "-c", _HANGS, str(tmp_path / "b"), str(int(as_folder))]
    with subprocess.Popen(
        program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=server_environment()
    ) as hanging:
        assert hanging.stdout is not None
        assert hanging.stdout.readline() == b"in the middle\n"
        with pytest.raises(Unavailable, match="being written by another process"):
            a_bundle(tmp_path / "b", some_wheels(), as_folder=as_folder)
        hanging.kill()
    assert names_in(tmp_path) == ["b.lock", "b.unfinished"]
    (tmp_path / "b.part2of9.unfinished").write_bytes(b"of an attempt with volumes")
    (tmp_path / "b2.unfinished").write_bytes(b"of another bundle")

    (written,) = a_bundle(tmp_path / "b", some_wheels(), as_folder=as_folder)

    assert names_in(tmp_path) == ["b", "b2.unfinished"]
    assert verify_bundle(open_bundle(written.path)) == []


_HANGS = """
import io, sys
from pathlib import Path
from simpleindex.gap.bundle.writing import write_bundle
from tests.gap.bundle.bundles import a_manifest, opener, some_wheels

wheels = some_wheels()
open_file = opener(wheels)

class Hanging(io.BytesIO):
    def read(self, size=-1):
        print("in the middle", flush=True)
        sys.stdin.read()  # which ends with the test at the latest

def hang_at_last(file):
    return Hanging() if file.name.text.startswith("project3") else open_file(file)

write_bundle(a_manifest(wheels), hang_at_last, Path(sys.argv[1]), as_folder=sys.argv[2] == "1")
"""


@pytest.mark.parametrize(
    ("occupied", "as_folder", "why"),
    [("folder", False, "it is a folder"), ("folder", True, "no empty"), ("file", True, "no empty")],
)
def test_what_is_in_the_way_is_told_before_anything_is_written(
    occupied: str, as_folder: bool, why: str, tmp_path: Path
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "x").touch()
    (tmp_path / "file").touch()

    with pytest.raises(Refused, match=why):
        a_bundle(tmp_path / occupied, some_wheels(), as_folder=as_folder)
    assert names_in(tmp_path) == ["file", "folder"]


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    a_bundle(tmp_path / "b", some_wheels(), as_folder=True)

    assert verify_bundle(open_bundle(tmp_path / "b")) == []


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="No such file"):
        a_bundle(tmp_path / "gone" / "b.zip", some_wheels())


@pytest.mark.parametrize("name", ["autorun.inf", "../README.txt", "manifest.json", "files/x"])
def test_only_files_that_bundles_have_are_added(name: str, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="a bundle has no such file"):
        a_bundle(tmp_path / "b.zip", some_wheels(), extras={name: b""})


def test_what_could_not_be_read_back_is_not_written(tmp_path: Path) -> None:
    file = a_manifest(some_wheels(1)).files[0]
    twice = a_manifest(files=(file, replace(file, sha256="0" * 64)))
    with pytest.raises(Refused, match=r"the bundle: its manifest\.json names a file twice"):
        a_bundle(tmp_path / "b.zip", some_wheels(1), manifest=twice)
    assert names_in(tmp_path) == []


def test_a_lock_that_somebody_left_keeps_nobody_out(tmp_path: Path) -> None:
    FileLock(tmp_path / "b.zip.lock").close()
    a_bundle(tmp_path / "b.zip", some_wheels())

    assert names_in(tmp_path) == ["b.zip"]


def test_a_bundle_can_be_written_out_of_another(tmp_path: Path) -> None:
    a_bundle(tmp_path / "a.zip", some_wheels())
    bundle = open_bundle(tmp_path / "a.zip")
    write_bundle(bundle.manifest, bundle.open_file, tmp_path / "b.zip")

    assert (tmp_path / "b.zip").read_bytes() == (tmp_path / "a.zip").read_bytes()
