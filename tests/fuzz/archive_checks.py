"""What must hold of the walks of archives, and of the parsers of what lies in them.

Whatever they take, other readers must read in the same way; what they refuse, others may take.
"""

import atexit
import io
import posixpath
import shutil
import subprocess
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Collection, Mapping
from functools import cache
from pathlib import Path, PurePosixPath

from simpleindex_storage.faults import Faults, Finding
from simpleindex_storage.inspection import inspect
from simpleindex_storage.metadata import parse_core_metadata, stated
from simpleindex_storage.metadata_rules import check_metadata
from simpleindex_storage.model import CoreMetadata
from simpleindex_storage.names import parse_filename
from simpleindex_storage.record_file import Record
from simpleindex_storage.tar_walk import TarWalk
from simpleindex_storage.wheel_files import check_entry_points, check_wheel_file
from simpleindex_storage.zip_walk import ZipWalk
from tests.bad_archives import DIST_INFO, SDIST, WHEEL
from tests.fuzz import references
from tests.fuzz.outcomes import shortened, taken

RECORD_MEMBERS: Mapping[str, bytes] = {
    "demo/__init__.py": b"x = 1\n",
    "demo/a,b.py": b"",
    f"{DIST_INFO}/METADATA": b"Name: demo\n",
    f"{DIST_INFO}/RECORD": b"itself",
}

# Archives


def zip_walk(data: bytes) -> bool:
    """Of every zip that is taken, zipfile reads the same members with the same bytes."""
    walked = taken(lambda: _walked_zip(data))
    if walked is None:
        return False
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        # zipfile ends names at a NUL; those are refused when names are looked at.
        assert archive.namelist() == [name.partition("\0")[0] for name, _ in walked]
        assert archive.testzip() is None
        for entry, (_, content) in zip(archive.infolist(), walked, strict=True):
            assert archive.read(entry) == content
    return True


def _walked_zip(data: bytes) -> list[tuple[str, bytes]]:
    walk = ZipWalk(io.BytesIO(data), len(data), _faults())
    members = []
    for entry in walk.entries:
        blocks: list[bytes] = []
        walk.check(entry, blocks.append)
        members.append((entry.name, b"".join(blocks)))
    in_order = [entry.start for entry in walk.as_they_lie()]
    assert in_order == sorted(in_order)
    return members


def unzip(data: bytes) -> bool:
    """Every zip that is taken is whole for the command unzip, too; it may warn."""
    if not taken(lambda: _walked_zip(data)) or _has_a_folder_of_no_bytes(data):
        return False  # nor is one without members whole to unzip
    path = _scratch() / "a.zip"
    path.write_bytes(data)
    command = subprocess.run(
        ["unzip", "-tqq", "-P", "", path], capture_output=True, timeout=60, check=False
    )
    # 81: unzip 6 is older than some versions that zipfile knows, and leaves those members out.
    assert command.returncode in (0, 1, 81), f"unzip: {command.returncode} {command.stdout[:300]!r}"
    return True


def _has_a_folder_of_no_bytes(data: bytes) -> bool:
    """Deflated, they should have two; all installers make such a folder, and unzip complains."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return any(
            entry.filename.endswith("/") and entry.compress_type and not entry.compress_size
            for entry in archive.infolist()
        )


def tar_walk(data: bytes) -> bool:
    """Of every .tar.gz that is taken, tarfile reads the same members with the same bytes."""
    walked = taken(lambda: _walked_tar(data))
    if walked is None:
        return False
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as archive:
        read = [
            (
                member.name.rstrip("/"),
                b"0" if member.isreg() else member.type,
                member.size,
                member.linkname if member.islnk() or member.issym() else "",
                _content(archive, member),
            )
            for member in archive
        ]
    assert walked == read, f"we: {shortened(walked)}, tarfile: {shortened(read)}"
    return True


def _walked_tar(data: bytes) -> list[tuple[str, bytes, int, str, bytes]]:
    walk = TarWalk(io.BytesIO(data), len(data), _faults(SDIST))
    return [
        (member.name.rstrip("/"), member.kind, member.size_bytes, member.target,
         walk.content(1 << 20) if member.is_file else b"")
        for member in walk.members()
    ]  # fmt: skip


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member) if member.isreg() else None
    return file.read() if file else b""


def wheel(data: bytes) -> bool:
    """A wheel that is taken says to pip what it said to us, and nothing of it lies elsewhere."""
    inspected = _inspected(data, WHEEL)
    if inspected is None:
        return False
    metadata, findings = inspected
    rules = {finding.rule for finding in findings}
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    files = [name for name in archive.namelist() if not name.endswith("/")]
    assert len(set(files)) == len(files), "a file is there twice"  # a folder may be
    folders = {name.partition("/")[0] for name in members if ".dist-info/" in name}
    folder = next(name for name in folders if name.endswith(".dist-info"))
    assert metadata.raw == members[f"{folder}/METADATA"]
    _check_places(members)
    _check_scripts(members.get(f"{folder}/entry_points.txt", b""))
    _check_wheel_version(members[f"{folder}/WHEEL"])
    if not [rule for rule in rules if rule.startswith("record-")]:
        assert references.record_is_right(members[f"{folder}/RECORD"], members, folder)
    return True


def sdist(data: bytes) -> bool:
    """An sdist that is taken says to pip what it said to us, and unpacks into its own folder."""
    inspected = _inspected(data, SDIST)
    if inspected is None:
        return False
    metadata, _ = inspected
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as archive:
        members = archive.getmembers()
        # As pip counts them, to which a backslash is a slash.
        plain = [posixpath.normpath(member.name.replace("\\", "/")) for member in members]
        tops = {name.split("/")[0] for name in plain} - {"."}
        assert len(tops) == 1
        found = [
            member for member in members
            if posixpath.normpath(member.name) == f"{min(tops)}/PKG-INFO"
        ]  # fmt: skip
        assert [_content(archive, member) for member in found] == [metadata.raw]
        _check_places([member.name + "/" if member.isdir() else member.name for member in members])
        for member in members:
            # What pip unpacks with. It never gets to write anything here.
            assert tarfile.data_filter(member, "/nowhere") is not None
    return True


def _inspected(data: bytes, filename: str) -> tuple[CoreMetadata, tuple[Finding, ...]] | None:
    path = _scratch() / filename
    path.write_bytes(data)
    inspected = taken(lambda: inspect(path, parse_filename(filename)))
    if inspected is not None:
        for finding in inspected[1]:
            assert finding.sentence.isprintable()
            assert str(finding.refusal()) == finding.sentence
    return inspected


def _check_places(members: Collection[str]) -> None:
    for name in members:
        for below in (name, name.replace("\\", "/")):
            place = posixpath.normpath(posixpath.join("/top", below))
            assert place == "/top" or place.startswith("/top/"), f"{name!r} lies outside"
        assert ":" not in name[1:2], f"{name!r} lies on a drive"
    files = {posixpath.normpath(name) for name in members if not name.endswith("/")}
    for name in members:
        above = [str(folder) for folder in PurePosixPath(posixpath.normpath(name)).parents]
        assert not files.intersection(above), f"{name!r} lies below a file"


@cache
def _scratch() -> Path:
    """A folder for as long as the process runs."""
    folder = tempfile.mkdtemp(prefix="fuzz-")
    atexit.register(shutil.rmtree, folder)
    return Path(folder)


def _faults(filename: str = WHEEL) -> Faults:
    return Faults(parse_filename(filename))


# What lies in archives


def metadata(data: bytes) -> bool:
    """Metadata that is taken says what installers read in it, and says it again when read again."""
    parsed = taken(lambda: parse_core_metadata(data))
    if parsed is None:
        return False
    assert parsed.raw == data
    assert parse_core_metadata(data) == parsed
    message = references.read_by_email(data)
    assert _unfolded(parsed.name) == _said(message["Name"])
    assert _unfolded(parsed.version) == _said(message["Version"])
    assert _unfolded(parsed.requires_python) == _said(message["Requires-Python"])
    needed = [_said(each) for each in message.get_all("Requires-Dist", [])]
    known = [_unfolded(each) for each in parsed.fields.get("requires_dist", ())]
    assert known == [each for each in needed if each is not None]
    taken(lambda: check_metadata(parsed, parse_filename(WHEEL), _faults()))
    return True


def _said(header: object) -> str | None:
    """What a header says, if it says anything."""
    return None if header is None else _unfolded(stated("", str(header)))


def _unfolded(text: str | None) -> str | None:
    """On one line."""
    return None if text is None else " ".join(text.split())


def wheel_file(data: bytes) -> bool:
    """A WHEEL that is taken is of a version that pip installs."""
    faults = _faults()
    if not _passes(lambda: check_wheel_file(data, parse_filename(WHEEL), faults)):
        return False
    _check_wheel_version(data)
    return True


def _check_wheel_version(raw: bytes) -> None:
    version = str(references.read_by_email(raw)["Wheel-Version"]).strip()
    assert version.split(".")[0].lstrip("0") in ("", "1"), f"pip reads Wheel-Version {version!r}"


def entry_points(data: bytes) -> bool:
    """No script of entry points that are taken is written outside of the scripts' folder."""
    if not _passes(lambda: check_entry_points(data, _faults())):
        return False
    _check_scripts(data)
    return True


def _check_scripts(raw: bytes) -> None:
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return  # pip stops at it
    try:
        scripts = references.read_by_importlib(text)
    except TypeError:
        return  # importlib stops at it: a line without a value
    for script in scripts:
        if script.group in ("console_scripts", "gui_scripts"):
            assert "/" not in script.name, f"pip writes a script to {script.name!r}"
            assert "\\" not in script.name, f"pip writes a script to {script.name!r}"
            assert script.name not in ("", ".", ".."), f"pip writes a script to {script.name!r}"


def record(data: bytes) -> bool:
    """A RECORD has no finding if, and only if, it lists each member with its digest and size."""
    faults = _faults()
    if not _passes(lambda: _compare_record(data, faults)):
        return False
    is_right = references.record_is_right(data, RECORD_MEMBERS, DIST_INFO)
    rules = [finding.rule for finding in faults.findings()]
    assert is_right is (rules == []), f"right: {is_right}, findings: {rules}"
    return True


def _compare_record(data: bytes, faults: Faults) -> None:
    record = Record(data, DIST_INFO, faults)
    for name, content in RECORD_MEMBERS.items():
        digest = record.digest_for(name)
        if digest is not None:
            digest.update(content)
        record.compare(name, len(content), digest)
    record.finish({name.partition("/")[0] for name in RECORD_MEMBERS})


def _passes(check: Callable[[], None]) -> bool:
    """Whether it refuses nothing."""

    def passed() -> bool:
        check()
        return True

    return taken(passed) is not None
