"""Whatever we take, Python's tarfile reads in the same way."""

import contextlib
import gzip
import io
import os
import random
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simpleindex_storage.errors import Refused
from simpleindex_storage.faults import Faults
from simpleindex_storage.inspection import inspect
from simpleindex_storage.member_names import MemberNames
from simpleindex_storage.names import parse_filename
from simpleindex_storage.tar_walk import TarWalk
from tests.bad_archives import PKG_INFO, SDIST, long_names_in_gnus_format, long_names_in_pax
from tests.builders import BuiltFile, an_sdist, core_metadata
from tests.raw_archives import a_tar, changed_header, pax_header, tar_header, tar_member
from tests.storage.inspections import no_findings, peak_bytes, refused_rule

LAST = ("demo-1.0/PKG-INFO", core_metadata())  # as flit, hatchling and poetry write it

BASES: Mapping[str, bytes] = {
    "sdist": an_sdist().content,
    "pax": long_names_in_pax().content,
    "gnu": long_names_in_gnus_format().content,
    "links": a_tar(
        PKG_INFO,
        tar_header("demo-1.0/sub/", b"5"),
        tar_header("demo-1.0/sub/x", b"2", linkname="../PKG-INFO"),
        tar_header("demo-1.0/y", b"1", linkname="demo-1.0/PKG-INFO"),
        pax_header({"path": "demo-1.0/long", "size": "3"}),
        tar_member("demo-1.0/short", b"abc"),
    ),
}


def walked(content: bytes) -> list[tuple[str, bytes, int, str]]:
    """What we take for the members. Raises Refused."""
    walk = TarWalk(io.BytesIO(content), len(content), Faults(parse_filename(SDIST)))
    return [
        (member.name.rstrip("/"), member.kind, member.size_bytes, member.target)
        for member in walk.members()
    ]


def read_by_tarfile(content: bytes) -> list[tuple[str, bytes, int, str]]:
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive:
        return [
            (
                member.name.rstrip("/"),
                b"0" if member.isreg() else member.type,
                member.size,
                member.linkname if member.islnk() or member.issym() else "",
            )
            for member in archive
        ]


def same_or_refused(content: bytes) -> None:
    try:
        members = walked(content)
    except Refused as refused:
        assert str(refused).isprintable()
    else:
        assert members == read_by_tarfile(content)


@pytest.mark.parametrize("base", BASES)
def test_tarfile_reads_the_same(base: str) -> None:
    assert walked(BASES[base]) == read_by_tarfile(BASES[base])


@pytest.mark.parametrize("base", BASES)
@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_of_a_damaged_tar_tarfile_reads_the_same_or_it_is_refused(
    base: str, data: st.DataObject
) -> None:
    tar = gzip.decompress(BASES[base])
    headers = [at for at in range(0, len(tar), 512) if tar[at + 257 : at + 262] == b"ustar"]
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.sampled_from(headers))
        fields = [(0, 100), (124, 12), (156, 1), (157, 100), (257, 8), (345, 20), (512, 60)]
        start, length = data.draw(st.sampled_from(fields))
        place = start + data.draw(st.integers(0, length - 1))
        pieces = st.sampled_from([b"\0", b"0", b"7", b" ", b"/", b"\x80", b"x", b"5", b"L"])
        piece = data.draw(pieces | st.binary(min_size=1, max_size=3))
        changed = tar[at : at + 1024]
        if place < 512 and data.draw(st.integers(0, 9)):
            changed = changed_header(changed, place, piece)[: len(changed)]
        else:
            changed = changed[:place] + piece + changed[place + len(piece) :]
        tar = tar[:at] + changed + tar[at + 1024 :]
    same_or_refused(gzip.compress(tar, compresslevel=1, mtime=0))


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_a_damaged_gzip_is_refused_or_the_damage_does_not_matter(data: st.DataObject) -> None:
    damaged = bytearray(BASES["sdist"])
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, 20) | st.integers(0, len(damaged) - 1))
        damaged[at : at + data.draw(st.integers(0, 1))] = data.draw(st.binary(max_size=2))
    same_or_refused(bytes(damaged))


def test_a_tar_that_was_cut_off_anywhere_is_refused(tmp_path: Path) -> None:
    content = BASES["gnu"]
    for end in range(0, len(content) - 1, 7):
        path = BuiltFile(SDIST, content[:end]).save(tmp_path)
        with pytest.raises(Refused):
            inspect(path, parse_filename(SDIST))


def test_a_large_sdist_takes_little_memory(tmp_path: Path) -> None:
    path, block = tmp_path / SDIST, random.Random(1).randbytes(1 << 20)
    with (
        gzip.open(path, "wb", compresslevel=1) as out,
        tarfile.open(fileobj=out, mode="w|") as archive,
    ):
        members = [*((f"demo-1.0/{number}", block) for number in range(100)), LAST]
        for name, content in members:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    assert path.stat().st_size > 100_000_000
    assert peak_bytes(lambda: no_findings(path)) < 4 << 20


def test_a_bomb_takes_little_memory(tmp_path: Path) -> None:
    bomb = a_tar(PKG_INFO, tar_member("demo-1.0/zeros", bytes(100 << 20)))
    path = BuiltFile(SDIST, bomb).save(tmp_path)
    assert peak_bytes(lambda: refused_rule(path, "bomb")) < 4 << 20


@pytest.mark.parametrize(
    ("tar", "rule"),
    [
        (tar_header("demo-1.0/x", b"0", 1 << 32), "truncated"),
        (tar_header("demo-1.0/x", b"0", 1 << 70), "truncated"),
        (tar_header("demo-1.0/x", b"x", 1 << 32), "tar-header"),
        (tar_header("demo-1.0/x", b"L", 1 << 32), "tar-header"),
        (tar_member("x", b"demo-1.0/x", b"L") * 20_000, "tar-header"),
        (pax_header({"path": "demo-1.0/x"}) * 20_000, "tar-header"),
        (b"".join(pax_header({f"key{n}": "v" * 5000}, b"g") for n in range(4000)), "tar-header"),
    ],
    ids=[
        "endless member", "more than endless", "endless pax", "endless long name",
        "chain of long names", "chain of pax", "many global headers",
    ],
)  # fmt: skip
def test_headers_that_do_harm_take_little_memory(tar: bytes, rule: str, tmp_path: Path) -> None:
    path = BuiltFile(SDIST, a_tar(PKG_INFO, tar, end=b"")).save(tmp_path)
    assert peak_bytes(lambda: refused_rule(path, rule)) < 4 << 20


@pytest.mark.full
def test_an_absurd_number_of_members_is_refused(tmp_path: Path) -> None:
    tar = b"".join(tar_header(f"demo-1.0/{number}") for number in range(100_001))
    noise = tar_member("demo-1.0/noise", random.Random(1).randbytes(1 << 20))
    path = BuiltFile(SDIST, a_tar(PKG_INFO, noise, tar)).save(tmp_path)
    refused_rule(path, "too-many-members")


PLACES = ("top/a", "top/b", "top/a/b", "top/b/a", "top/a/b/c", "top/c", "top/b/a/c")
TARGETS = (
    "a", "b", "..", "../..", "../a", "../../b", "b/a", "a/../..", "./b", "b/../../x", "/tmp",
    "top/a",     "top/b/a", "top/../x", "../../../x", "a/b/c", "c",
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(
    members=st.lists(
        st.tuples(st.sampled_from(PLACES), st.sampled_from("0225125"), st.sampled_from(TARGETS)),
        min_size=1,
        max_size=6,
    )
)
def test_no_links_that_are_taken_lead_out(
    members: list[tuple[str, str, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    names = MemberNames(Faults(parse_filename(SDIST)), depth=1)
    add: dict[str, Callable[[str, str], str]] = {
        "0": lambda name, _: names.add(name),
        "1": names.add_hard_link,
        "2": names.add_symbolic_link,
        "5": lambda name, _: names.add(name, is_folder=True),
    }
    try:
        for name, kind, target in members:
            add[kind](name, target)
        names.finish()
    except Refused:
        return
    folder = tmp_path_factory.mktemp("links")
    for name, kind, target in members:
        _write(folder / name, kind, folder / target if kind == "1" else Path(target))
    top = (folder / "top").resolve()
    assert [path for path in folder.iterdir() if path.name != "top"] == []
    for path in top.rglob("*"):
        assert Path(os.path.realpath(path)).is_relative_to(top)  # takes links in a circle, too


def _write(path: Path, kind: str, target: Path) -> None:
    """As a tool does that looks at nothing. What cannot be written is left out."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileNotFoundError, FileExistsError):
        if kind == "0":
            path.write_bytes(b"x")
        elif kind == "1":
            path.hardlink_to(target)
        elif kind == "2":
            path.symlink_to(target)
        else:
            path.mkdir(exist_ok=True)
