"""One strict walk of a whole wheel, sdist or egg: what it is, and all that is wrong with it.

What follows from each fault is decided in `faults.RULES`. The bytes are read once, from the
beginning to the end, after a look at the directory of a zip and at the few files of a wheel that
tell what the others must be.
"""

import io
import os
import stat
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import BinaryIO

from .errors import Refused, Unavailable
from .faults import Faults, Finding, shown
from .member_names import MemberNames, plain_name
from .metadata import METADATA_BYTES_MAX, parse_core_metadata
from .metadata_rules import check_metadata, license_files, names_same
from .model import CoreMetadata
from .names import DistFilename, DistKind
from .record_file import RECORD_BYTES_MAX, Record
from .tar_walk import TAR_BLOCK_BYTES, TarMember, TarWalk, is_gzip, is_tar_header
from .wheel_files import (
    ENTRY_POINTS_BYTES_MAX,
    WHEEL_BYTES_MAX,
    check_entry_points,
    check_wheel_file,
)
from .zip_directory import ZipEntry, looks_like_zip
from .zip_walk import ZipWalk

_BUFFER_BYTES = 256 << 10
_LINK_BYTES_MAX = 4096

_KEPT_BYTES_MAX: Mapping[str, int] = {
    "METADATA": METADATA_BYTES_MAX,
    "WHEEL": WHEEL_BYTES_MAX,
    "RECORD": RECORD_BYTES_MAX,
    "entry_points.txt": ENTRY_POINTS_BYTES_MAX,
}
"""Of the files in dist-info that are held in memory."""

_EGG_PKG_INFO = "EGG-INFO/PKG-INFO"
_EGG_SCRIPT_BYTES_MAX = 4096
_DATA_SCHEMES = frozenset({"purelib", "platlib", "headers", "scripts", "data"})


def inspect(path: Path, filename: DistFilename) -> tuple[CoreMetadata, tuple[Finding, ...]]:
    """What the file at `path` says of itself, and what a strict index would refuse.

    Raises Refused for what is refused whatever an index allows, and Unavailable when the disk
    fails. Takes a few MB of memory whatever the file's size, and time in proportion to the bytes
    that come out, which are bounded by the bytes that go in. It blocks, and writes nothing.
    """
    faults = Faults(filename)
    try:
        with path.open("rb", buffering=0) as raw:
            size_bytes = os.fstat(raw.fileno()).st_size
            with _buffered(raw, size_bytes) as file:
                metadata = _INSPECT[filename.kind](file, size_bytes, filename, faults)
    except OSError as error:
        raise Unavailable(f"{filename.text} cannot be read back: {error.strerror}") from error
    return metadata, faults.findings()


def _buffered(raw: io.FileIO, size_bytes: int) -> BinaryIO:
    """The file, to be read here and there: one that fits into the buffer is read once and whole."""
    if size_bytes > _BUFFER_BYTES:
        return io.BufferedReader(raw, _BUFFER_BYTES)
    return io.BytesIO(raw.readall())


# Wheels


def _inspect_wheel(
    file: BinaryIO, size_bytes: int, filename: DistFilename, faults: Faults
) -> CoreMetadata:
    _check_wheel_name(filename, faults)
    walk, names = _open_zip(file, size_bytes, faults)
    tops = {entry.name.partition("/")[0] for entry in walk.entries}
    folder = _dist_info_folder(tops, filename, faults)
    _check_data_folders(walk.entries, folder, faults)

    # What tells how the others must be comes first, wherever it lies.
    entries = {entry.name: entry for entry in walk.entries if entry.name.startswith(folder)}
    kept = {
        path: walk.read(entries[path], bytes_max)
        for name, bytes_max in _KEPT_BYTES_MAX.items()
        if (path := f"{folder}/{name}") in entries
    }
    for name, rule in (("METADATA", "metadata-missing"), ("WHEEL", "wheel-file-missing")):
        if f"{folder}/{name}" not in kept:
            raise faults.fatal(rule, f"it holds no {folder}/{name}")
    metadata = _parse(kept[f"{folder}/METADATA"], filename, faults)
    for name in license_files(metadata):
        _check_license_file(f"{folder}/licenses/{name}", names, faults)
    check_wheel_file(kept[f"{folder}/WHEEL"], filename, faults)
    check_entry_points(kept.get(f"{folder}/entry_points.txt", b""), faults)

    _check_members(walk, kept, folder, tops, faults)
    return metadata


def _check_members(
    walk: ZipWalk,
    kept: Mapping[str, bytes],
    folder: str,
    tops: Collection[str],
    faults: Faults,
) -> None:
    raw = kept.get(f"{folder}/RECORD")
    if raw is None:
        raise faults.fatal("record-missing", f"it holds no {folder}/RECORD")
    record = Record(raw, folder, faults)
    for entry in walk.as_they_lie():
        digest = record.digest_for(entry.name)
        if entry.name not in kept:
            walk.check(entry, digest.update if digest else None)
        elif digest is not None:
            digest.update(kept[entry.name])
        record.compare(entry.name, entry.size_bytes, digest)
    record.finish(tops)


def _check_wheel_name(filename: DistFilename, faults: Faults) -> None:
    # Binary distribution format, "File name convention".
    usual = f"{filename.project.replace('-', '_')}-{filename.version}-"
    if not filename.text.startswith(usual):
        faults.note("wheel-name-spelling", f"its name does not begin with {usual!r}")


def _dist_info_folder(tops: Collection[str], filename: DistFilename, faults: Faults) -> str:
    # As pip looks for it: the only folder at the top whose name ends so.
    folders = sorted(top for top in tops if top.endswith(".dist-info"))
    if len(folders) > 1:
        raise faults.fatal(
            "dist-info-several",
            f"it has {len(folders)} dist-info folders, {shown(folders[0])} and "
            f"{shown(folders[1])} among them",
        )
    name, version = filename.text.split("-")[:2]
    usual = f"{name}-{version}.dist-info"
    folder = folders[0] if folders else ""
    told_name, _, told_version = folder.removesuffix(".dist-info").rpartition("-")
    if not names_same(told_name, told_version, filename):
        others = f" (but {shown(folder)})" if folder else ""
        raise faults.fatal("metadata-missing", f"it holds no {usual}/METADATA{others}")
    if folder != usual:
        faults.note("dist-info-spelling", f"it holds {shown(folder)} where {usual!r} was expected")
    return folder


def _check_data_folders(entries: Iterable[ZipEntry], folder: str, faults: Faults) -> None:
    usual = f"{folder.removesuffix('.dist-info')}.data"
    for entry in entries:
        top, _, below = entry.name.partition("/")
        if not top.endswith(".data") or not below:
            continue
        if top != usual:
            faults.note("data-folder", f"it holds {shown(top)} where {usual!r} was expected")
        scheme, slash, _ = below.partition("/")
        if not entry.is_folder and not (slash and scheme in _DATA_SCHEMES):
            raise faults.fatal(
                "data-scheme",
                f"its {shown(entry.name)} is in none of {', '.join(sorted(_DATA_SCHEMES))}",
            )


# sdists


def _inspect_sdist(
    file: BinaryIO, size_bytes: int, filename: DistFilename, faults: Faults
) -> CoreMetadata:
    usual = f"{filename.project.replace('-', '_')}-{filename.version}"
    if filename.text.endswith(".zip"):
        faults.note("sdist-zip", "it is an sdist in the form of a zip")
        top, names, raw = _walk_zip_sdist(file, size_bytes, faults)
    else:
        if filename.text != f"{usual}.tar.gz":
            faults.note("sdist-name-spelling", f"its name is not {usual}.tar.gz")
        top, names, raw = _walk_tar_sdist(file, size_bytes, faults)
    _check_top_folder(top, usual, filename, faults)
    metadata = _parse(raw, filename, faults)
    for name in license_files(metadata):
        _check_license_file(f"{top}/{name}", names, faults)
    return metadata


def _walk_zip_sdist(
    file: BinaryIO, size_bytes: int, faults: Faults
) -> tuple[str, MemberNames, bytes]:
    """The top folder, the members' names, and PKG-INFO."""
    walk, names = _open_zip(file, size_bytes, faults, depth=1)
    top, pkg_info = "", None
    for entry in walk.entries:
        plain = plain_name(entry.name)
        top = _top_folder(plain, top, faults)
        if plain == f"{top}/PKG-INFO":
            pkg_info = entry
    if pkg_info is None:
        raise _without_pkg_info(faults)
    raw = walk.read(pkg_info, METADATA_BYTES_MAX)
    for entry in walk.as_they_lie():
        if entry is not pkg_info:
            walk.check(entry)
    return top, names, raw


def _walk_tar_sdist(
    file: BinaryIO, size_bytes: int, faults: Faults
) -> tuple[str, MemberNames, bytes]:
    """The top folder, the members' names, and PKG-INFO."""
    if is_gzip(file) and looks_like_zip(file, size_bytes):
        raise faults.fatal("zip-and-tar", "pip takes it for a zip, others for a tar")
    walk, names = TarWalk(file, size_bytes, faults), MemberNames(faults, depth=1)
    top, raw = "", None
    for member in walk.members():
        plain = _add_tar_member(member, names, faults)
        top = _top_folder(plain, top, faults)
        if plain == f"{top}/PKG-INFO" and member.is_file:
            raw = walk.content(METADATA_BYTES_MAX)
    names.finish()
    if raw is None:
        raise _without_pkg_info(faults)
    return top, names, raw


def _add_tar_member(member: TarMember, names: MemberNames, faults: Faults) -> str:
    if member.is_symbolic_link or member.is_hard_link:
        _note_link("sdist-link", member.name, member.target, faults)
        add = names.add_symbolic_link if member.is_symbolic_link else names.add_hard_link
        return add(member.name, member.target)
    return names.add(member.name, is_folder=member.is_folder)


def _top_folder(plain: str, top: str, faults: Faults) -> str:
    """The one top folder, after one more member."""
    own = plain.partition("/")[0]  # empty for the folder ./ that some tar commands write
    if top and own and own != top:
        raise faults.fatal(
            "sdist-several-tops", f"it has more than one top folder, {shown(top)} and {shown(own)}"
        )
    return own or top


def _without_pkg_info(faults: Faults) -> Refused:
    return faults.fatal("metadata-missing", "it has no PKG-INFO directly below its top folder")


def _check_top_folder(top: str, usual: str, filename: DistFilename, faults: Faults) -> None:
    if top in (usual, filename.text.removesuffix(".zip").removesuffix(".tar.gz")):
        return
    name, _, version = top.rpartition("-")
    rule = "sdist-top-spelling" if names_same(name, version, filename) else "sdist-top-folder"
    faults.note(rule, f"its top folder is {shown(top)}, not {usual!r}")


# Eggs


def _inspect_egg(
    file: BinaryIO, size_bytes: int, filename: DistFilename, faults: Faults
) -> CoreMetadata:
    faults.note("egg", "it is an egg")
    # Those of setuptools install themselves: `sh setuptools-0.6c11-py2.7.egg`.
    walk, _ = _open_zip(file, size_bytes, faults, ahead_bytes_max=_EGG_SCRIPT_BYTES_MAX)
    pkg_info = next((entry for entry in walk.entries if entry.name == _EGG_PKG_INFO), None)
    if pkg_info is None:
        raise faults.fatal("metadata-missing", f"it holds no {_EGG_PKG_INFO}")
    metadata = _parse(walk.read(pkg_info, METADATA_BYTES_MAX), filename, faults)
    for entry in walk.as_they_lie():
        if entry is not pkg_info:
            walk.check(entry)
    return metadata


_INSPECT = {
    DistKind.WHEEL: _inspect_wheel,
    DistKind.SDIST: _inspect_sdist,
    DistKind.EGG: _inspect_egg,
}


# All


def _open_zip(
    file: BinaryIO, size_bytes: int, faults: Faults, *, depth: int = 0, ahead_bytes_max: int = 0
) -> tuple[ZipWalk, MemberNames]:
    """A zip whose directory and names are as they should be."""
    walk = ZipWalk(file, size_bytes, faults, ahead_bytes_max=ahead_bytes_max)
    names = MemberNames(faults, depth=depth)
    file.seek(0)
    if is_tar_header(file.read(TAR_BLOCK_BYTES)):
        raise faults.fatal("zip-and-tar", "it is a zip and a tar at once")
    for entry in walk.entries:
        kind = stat.S_IFMT(entry.mode)
        if kind == stat.S_IFLNK:
            target = walk.read(entry, _LINK_BYTES_MAX).decode("utf-8", "surrogateescape")
            names.add_symbolic_link(entry.name, target)
            _note_link("member-link", entry.name, target, faults)
        elif kind in (0, stat.S_IFREG, stat.S_IFDIR):  # 0: the tool did not say
            names.add(entry.name, is_folder=entry.is_folder)
        else:
            raise faults.fatal(
                "member-special", f"its {shown(entry.name)} is neither file, folder nor link"
            )
    names.finish()
    return walk, names


def _parse(raw: bytes, filename: DistFilename, faults: Faults) -> CoreMetadata:
    try:
        metadata = parse_core_metadata(raw, subject=filename.text)
    except Refused as refused:
        refused.add_note("metadata-unreadable")
        raise
    check_metadata(metadata, filename, faults)
    return metadata


def _note_link(rule: str, name: str, target: str, faults: Faults) -> None:
    faults.note(rule, f"its {shown(name)} is a link to {shown(target)}")


def _check_license_file(name: str, names: MemberNames, faults: Faults) -> None:
    if name not in names:
        faults.note("license-file-missing", f"its metadata names {shown(name)}, which is not there")
