"""Bundles are read as they were written; whatever was done to one is found and named."""

import io
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from shutil import copytree

import pytest

from simpleindex.gap.bundle import reading
from simpleindex.gap.bundle.manifest import (
    MEMBER,
    FileElsewhere,
    Manifest,
    Part,
    dump_manifest,
    stamp,
)
from simpleindex.gap.bundle.papers import papers
from simpleindex.gap.bundle.reading import looks_like_bundle, open_bundle, verify_bundle
from simpleindex.gap.bundle.stored_zip import Member, header
from simpleindex_storage.errors import Refused, Unavailable
from tests.builders import a_zip
from tests.gap.bundle.bundles import a_bundle, a_manifest, some_wheels
from tests.raw_archives import RawMember, raw_zip

EXTRAS = {"README.txt": b"read me\r\n", "report.html": b"<p>fine"}
WHEELS = some_wheels(3)


@pytest.fixture(params=["zip", "folder"])
def bundle_path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A bundle of either form."""
    path = tmp_path / "b"
    a_bundle(path, WHEELS, extras=EXTRAS, as_folder=request.param == "folder", sign=lambda _: b"s")
    return path


@pytest.fixture
def zipped(tmp_path: Path) -> Path:
    """A bundle that is a zip."""
    a_bundle(tmp_path / "b.zip", WHEELS, extras=EXTRAS, sign=lambda _: b"s")
    return tmp_path / "b.zip"


def test_a_bundle_is_read_as_it_was_written(bundle_path: Path) -> None:
    bundle = open_bundle(bundle_path)

    (volume,) = bundle.volumes
    assert volume.raw_manifest == dump_manifest(bundle.manifest)
    assert volume.signature == b"s"
    assert bundle.manifest.files == a_manifest(WHEELS).files
    for file, wheel in zip(bundle.manifest.files, WHEELS, strict=True):
        with bundle.open_file(file) as opened:
            assert opened.read() == wheel.content
    assert bundle.size_bytes == sum(len(wheel.content) for wheel in WHEELS)
    assert looks_like_bundle(bundle_path)


def test_verifying_reads_every_file_and_tells_how_far_it_is(bundle_path: Path) -> None:
    told = list[int]()

    assert verify_bundle(open_bundle(bundle_path), told.append) == []
    extras = {**papers(), **EXTRAS}.values()
    assert sum(told) == sum(map(len, (*extras, *(each.content for each in WHEELS))))


def test_other_files_and_folders_do_not_look_like_bundles(tmp_path: Path) -> None:
    (tmp_path / "wheels.zip").write_bytes(a_zip({"demo-1.0-py3-none-any.whl": b""}))
    (tmp_path / "empty").touch()
    for name in ("wheels.zip", "empty", "."):
        assert not looks_like_bundle(tmp_path / name)
        with pytest.raises(Refused, match="it is no bundle"):
            open_bundle(tmp_path / name)
    with pytest.raises(Unavailable, match="No such file"):
        looks_like_bundle(tmp_path / "gone")
    with pytest.raises(Unavailable, match="No such file"):
        open_bundle(tmp_path / "gone")


# Damage


def test_no_byte_of_a_zip_can_be_another(zipped: Path) -> None:
    # Every byte that is not of a file, and some of each file: what differs is found, and named.
    raw = zipped.read_bytes()
    contents = [*(wheel.content for wheel in WHEELS), *{**papers(), **EXTRAS}.values()]
    contents.append(open_bundle(zipped).volumes[0].raw_manifest)
    inside = {place for content in contents for place in _places_of(raw, content)}
    places = [place for place in range(len(raw)) if place not in inside or place % 97 == 0]
    for place in places:
        damaged = bytearray(raw)
        damaged[place] ^= 0x01 if place % 2 else 0x80
        complaint = complaint_about(zipped, bytes(damaged))
        assert complaint.startswith(f"{zipped}: "), (place, complaint)
        assert "damaged" in complaint or "cut short" in complaint, (place, complaint)


def test_no_part_of_a_zip_can_be_missing(zipped: Path) -> None:
    raw = zipped.read_bytes()
    for length in range(0, len(raw), 53):
        complaint = complaint_about(zipped, raw[:length])
        assert "cut short" in complaint or "its beginning is damaged" in complaint
    assert "cut short" in complaint_about(zipped, raw[:-1])
    for gap in range(0, len(raw) - 512, 499):
        assert complaint_about(zipped, raw[:gap] + raw[gap + 512 :])
        assert complaint_about(zipped, raw[:gap] + bytes(512) + raw[gap + 512 :])


def test_nothing_can_be_added_to_a_zip(zipped: Path) -> None:
    raw = zipped.read_bytes()
    assert "something was added: 1 bytes" in complaint_about(zipped, raw + b"x")
    assert "it is no bundle" in complaint_about(zipped, b"x" + raw)
    assert complaint_about(zipped, raw + raw)


def complaint_about(path: Path, content: bytes) -> str:
    """What is wrong with these bytes; fails if they are a bundle that is fine."""
    path.write_bytes(content)
    try:
        (complaint,) = verify_bundle(open_bundle(path))
    except Refused as refused:
        return str(refused)
    return complaint


def _places_of(raw: bytes, content: bytes) -> range:
    start = raw.index(content)
    return range(start, start + len(content))


def test_damaged_files_are_all_named(tmp_path: Path) -> None:
    a_bundle(tmp_path / "b", WHEELS, extras=EXTRAS, as_folder=True)
    bundle = open_bundle(tmp_path / "b")
    for name in (bundle.manifest.files[0].member, bundle.manifest.files[2].member, "report.html"):
        content = bytearray((tmp_path / "b" / name).read_bytes())
        content[-1] ^= 1
        (tmp_path / "b" / name).write_bytes(content)

    faults = verify_bundle(bundle)

    assert len(faults) == 3
    for fault, name in zip(faults, ("project1-1.0", "project3-1.0", "report.html"), strict=True):
        assert fault.startswith(f"{tmp_path / 'b'}: its {name}")
        assert fault.endswith("; copy the bundle again")


def test_the_last_bytes_of_a_damaged_file_are_never_given_away(zipped: Path) -> None:
    bundle = open_bundle(zipped)
    raw = bytearray(zipped.read_bytes())
    raw[_places_of(bytes(raw), WHEELS[1].content).start] ^= 1
    zipped.write_bytes(raw)

    with bundle.open_file(bundle.manifest.files[1]) as opened:
        got = io.BytesIO()
        with pytest.raises(Refused, match=r"its project2-1\.0.* is damaged: its sha256 is"):
            while chunk := opened.read(100):
                got.write(chunk)
    assert len(got.getvalue()) < len(WHEELS[1].content)


def test_a_file_that_vanishes_while_it_is_read_is_told(tmp_path: Path) -> None:
    a_bundle(tmp_path / "b", WHEELS, as_folder=True)
    bundle = open_bundle(tmp_path / "b")
    (tmp_path / "b" / bundle.manifest.files[0].member).unlink()
    (tmp_path / "b" / bundle.manifest.files[1].member).write_bytes(b"")

    with pytest.raises(Unavailable, match=r"project1-1\.0.*cannot be read: No such file"):
        bundle.open_file(bundle.manifest.files[0])
    with (
        bundle.open_file(bundle.manifest.files[1]) as opened,
        pytest.raises(Refused, match=r"project2-1\.0.*cut short"),
    ):
        opened.read()


def test_an_empty_file_is_checked_too(tmp_path: Path) -> None:
    empty = replace(WHEELS[0], content=b"")
    a_bundle(tmp_path / "b.zip", [empty])
    assert verify_bundle(open_bundle(tmp_path / "b.zip")) == []

    wrong = a_manifest([empty], files=(replace(a_manifest([empty]).files[0], sha256="0" * 64),))
    (tmp_path / "b.zip").write_bytes(zip_of(wrong))
    assert "is damaged" in verify_bundle(open_bundle(tmp_path / "b.zip"))[0]


# What is hostile


def zip_of(manifest: Manifest, **changes: object) -> bytes:
    """A zip as ours are, of this manifest. `changes` are of the second member."""
    contents = {wheel.sha256: wheel.content for wheel in WHEELS}
    members = [RawMember(MEMBER, dump_manifest(manifest), method=0)]
    members += [
        RawMember(file.member, contents.get(file.sha256, b""), method=0) for file in manifest.files
    ]
    if changes:
        members[1] = replace(members[1], **changes)  # type: ignore[arg-type]  # by name
    return raw_zip(members)


def zip_of_raw(raw_manifest: bytes) -> bytes:
    """A zip with nothing but a manifest."""
    return raw_zip([RawMember(MEMBER, raw_manifest, method=0)])


def test_a_zip_that_says_the_same_in_another_way_is_refused(zipped: Path) -> None:
    plain = zip_of(a_manifest(WHEELS))
    zipped.write_bytes(plain)
    assert verify_bundle(open_bundle(zipped)) == []
    changes: tuple[dict[str, object], ...] = (
        {"method": 8},
        {"flags": 8},
        {"comment": b"x"},
        {"mode": 0o120777},
        {"local_extra": b"\1\0\0\0"},
        {"central_extra": b"\1\0\0\0"},
        {"ahead": b"x"},
        {"behind": b"x"},
        {"central": {"start": 0}},
        {"central": {"name": b"../../etc/passwd"}},
        {"local": {"name": b"../../etc/passwd"}},
        {"name": "../../etc/passwd"},
        {"name": MEMBER},
        {"central": {"size": 1}},
        {"local": {"size": 1 << 31}},
        {"central": {"disk": 1}},
        {"content": b"x" * 100_000, "method": 8},
    )
    for change in changes:
        complaint = complaint_about(zipped, zip_of(a_manifest(WHEELS), **change))
        assert complaint.startswith(f"{zipped}: "), change


def test_members_that_the_manifest_does_not_name_are_refused(zipped: Path) -> None:
    manifest = a_manifest(WHEELS)
    members = [RawMember(MEMBER, dump_manifest(manifest), method=0)]
    members += [
        RawMember(file.member, wheel.content, method=0)
        for file, wheel in zip(manifest.files, WHEELS, strict=True)
    ]
    for name in ("x", "files/x", "README.txt", MEMBER, members[1].name):
        assert complaint_about(zipped, raw_zip([*members, RawMember(name, b"x", method=0)]))
    assert complaint_about(zipped, raw_zip(members[:-1]))
    assert complaint_about(zipped, raw_zip([*members[1:], members[0]]))
    assert complaint_about(zipped, raw_zip([members[0], *reversed(members[1:])]))
    assert complaint_about(zipped, raw_zip(members, reverse_directory=True))
    assert complaint_about(zipped, raw_zip(members, comment=b"x"))


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda it: replace(it, files=it.files * 2), id="twice"),
        pytest.param(
            lambda it: replace(
                it, files=(*it.files, replace(it.files[0], sha256="0" * 64, size_bytes=0))
            ),
            id="two of one name",
        ),
        pytest.param(
            lambda it: replace(it, elsewhere=(FileElsewhere(it.files[0].name, "0" * 64, 2),)),
            id="elsewhere without a part",
        ),
        pytest.param(lambda it: replace(it, part=Part(1, 2, "0123456789")), id="another set"),
        pytest.param(
            lambda it: replace(
                it,
                files=it.files[1:],
                elsewhere=(FileElsewhere(it.files[0].name, it.files[0].sha256, 1),),
                part=Part(1, 2, stamp(each.sha256 for each in it.files)),
            ),
            id="elsewhere and here",
        ),
        pytest.param(
            lambda it: replace(
                it,
                files=it.files[1:],
                elsewhere=(FileElsewhere(it.files[0].name, it.files[0].sha256, 3),),
                part=Part(1, 2, stamp(each.sha256 for each in it.files)),
            ),
            id="behind the last",
        ),
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused(
    spoil: Callable[[Manifest], Manifest], tmp_path: Path
) -> None:
    (tmp_path / "b.zip").write_bytes(zip_of(spoil(a_manifest(WHEELS))))

    with pytest.raises(Refused, match=rf"b\.zip: its {MEMBER} "):
        open_bundle(tmp_path / "b.zip")


def test_sizes_that_no_zip_can_have_are_refused_at_once(tmp_path: Path) -> None:
    files = tuple(
        replace(each, size_bytes=1 << 50, sha256=f"{number:064x}")
        for number, each in enumerate(a_manifest(some_wheels(30)).files)
    )
    (tmp_path / "b.zip").write_bytes(zip_of(a_manifest(files=files)))

    with pytest.raises(Refused, match="it is cut short"):
        open_bundle(tmp_path / "b.zip")


def test_a_manifest_that_is_mostly_brackets_is_not_parsed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "parse_manifest", None)
    (tmp_path / "b.zip").write_bytes(zip_of_raw(b'{"format": 1, "later": [' + b"{}," * 1_000_000))

    with pytest.raises(Refused, match=f"its {MEMBER} is no list of files"):
        open_bundle(tmp_path / "b.zip")


def test_a_manifest_with_a_size_over_all_bounds_is_not_read(tmp_path: Path) -> None:
    first = header(Member(MEMBER, 100 << 20))
    with (tmp_path / "b.zip").open("wb") as file:
        file.write(first)
        file.truncate(101 << 20)

    with pytest.raises(Refused, match=f"the header of its {MEMBER} is damaged"):
        open_bundle(tmp_path / "b.zip")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "b.zip")
    with pytest.raises(Refused, match="neither a file nor a folder"):
        open_bundle(tmp_path / "b.zip")


# Folders


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A bundle that is a plain folder."""
    a_bundle(tmp_path / "b", WHEELS, extras=EXTRAS, as_folder=True)
    return tmp_path / "b"


def test_what_desktops_leave_in_folders_is_overlooked(folder: Path) -> None:
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", "files/.DS_Store", "._README.txt"):
        (folder / name).write_bytes(b"x")

    assert verify_bundle(open_bundle(folder)) == []


@pytest.mark.parametrize("name", ["x.whl", "files/x", "files/zz/x", "sub/x", "manifest.json.bak"])
def test_what_a_folder_has_besides_is_refused(name: str, folder: Path) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(b"x")

    with pytest.raises(Refused, match="does not name"):
        open_bundle(folder)


def test_files_that_a_folder_lacks_are_named(folder: Path) -> None:
    member = open_bundle(folder).manifest.files[1].member
    (folder / member).unlink()
    with pytest.raises(Refused, match=r"its files/.*project2-1\.0.* is missing; copy the bundle"):
        open_bundle(folder)
    (folder / member).mkdir()
    with pytest.raises(Refused, match=r"does not name|no plain file"):
        open_bundle(folder)


def test_files_of_another_size_are_named_before_they_are_read(folder: Path) -> None:
    (folder / "report.html").write_bytes(b"x")
    with pytest.raises(Refused, match=r"its report\.html has 1 bytes, and not 7"):
        open_bundle(folder)


def test_links_are_not_followed(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(EXTRAS["report.html"])
    (folder / "report.html").unlink()
    (folder / "report.html").symlink_to(tmp_path / "secret")
    with pytest.raises(Refused, match=r"its report\.html is no plain file"):
        open_bundle(folder)


def test_linked_folders_are_not_entered(folder: Path, tmp_path: Path) -> None:
    copytree(folder / "files", tmp_path / "elsewhere")
    for path in sorted((folder / "files").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    (folder / "files").rmdir()
    (folder / "files").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Refused, match="'files' in it, which its manifest"):
        open_bundle(folder)


# Volumes


@pytest.fixture
def volumes(tmp_path: Path) -> list[Path]:
    """A bundle in three."""
    written = a_bundle(
        tmp_path / "b.zip", some_wheels(5, payload_bytes=40_000), extras=EXTRAS, max_bytes=130_000
    )
    assert len(written) == 3
    return [each.path for each in written]


def test_volumes_are_read_together_in_any_order(volumes: list[Path]) -> None:
    bundle = open_bundle(volumes[2], volumes[0], volumes[1])

    assert [volume.path for volume in bundle.volumes] == volumes
    assert (bundle.manifest.part, bundle.manifest.elsewhere) == (None, ())
    assert len(bundle.manifest.files) == 5
    assert verify_bundle(bundle) == []
    for file in bundle.manifest.files:
        with bundle.open_file(file) as opened:
            assert len(opened.read()) == file.size_bytes


def test_a_volume_is_read_alone_and_tells_what_is_elsewhere(volumes: list[Path]) -> None:
    alone = open_bundle(volumes[1])
    assert alone.manifest.part is not None
    assert {each.part for each in alone.manifest.elsewhere} == {1, 3}

    two = open_bundle(volumes[0], volumes[1])
    assert two.manifest.part is not None
    assert {each.part for each in two.manifest.elsewhere} == {3}
    assert verify_bundle(two) == []


def test_volumes_that_do_not_belong_together_are_refused(
    volumes: list[Path], tmp_path: Path
) -> None:
    copy = tmp_path / "copy.zip"
    copy.write_bytes(volumes[0].read_bytes())
    with pytest.raises(Refused, match=r"copy\.zip: it is the same volume as .*part1of3"):
        open_bundle(*volumes, copy)
    others = a_bundle(
        tmp_path / "o.zip", some_wheels(5, payload_bytes=40_001), extras=EXTRAS, max_bytes=130_000
    )
    with pytest.raises(Refused, match=r"o\.part2of3\.zip: it is no volume of the same bundle"):
        open_bundle(volumes[0], others[1].path)
    a_bundle(tmp_path / "whole.zip", WHEELS)
    with pytest.raises(Refused, match=r"whole\.zip: it is whole"):
        open_bundle(volumes[0], tmp_path / "whole.zip")
