"""The documentation of a release: a zip of pages, which is checked once and never unpacked.

Pages are read out of it when they are asked for, a block at a time.
"""

import io
import stat
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from .errors import NotStored, Refused, Unavailable
from .faults import Faults, shown
from .member_names import MemberNames, plain_name
from .names import FILENAME_BYTES_MAX, DistFilename, DistKind, ProjectName
from .zip_directory import DEFLATED, ZipEntry, read_directory
from .zip_walk import ZipWalk

DOCUMENTATION_BYTES_MAX = 512 << 20
"""Of all pages together, inflated."""

DOCUMENTATION_MEMBERS_MAX = 20_000
"""The directory is read for each page, so it must not be long; Python's own has some 1,500."""

_BUFFER_BYTES = 256 << 10
_BLOCK_BYTES = 256 << 10
_LOCAL_HEADER_BYTES = 30
_NAME_AND_EXTRA = struct.Struct("<2H")
_NAME_AND_EXTRA_AT = 26


def documentation_name(project: ProjectName, version: str) -> str:
    """The name under which a release's documentation is kept. Raises Refused for one too long."""
    name = f"{project}-{version}.doc.zip"
    if len(name) > FILENAME_BYTES_MAX:
        raise Refused(
            f"documentation {name[:80]!r}", f"its name has over {FILENAME_BYTES_MAX} bytes"
        )
    return name


def check_documentation(path: Path, filename: str) -> None:
    """Look through a zip of pages, to its last byte. Raises Refused, Unavailable.

    It must have one way to be read, no links, and not inflate to more than is sane.
    """
    faults = _faults(filename)
    try:
        with path.open("rb", buffering=_BUFFER_BYTES) as file:
            walk = ZipWalk(file, file.seek(0, io.SEEK_END), faults)
            _check_bounds(walk.entries, filename)
            _check_names(walk.entries, filename, faults)
            for entry in walk.as_they_lie():
                walk.check(entry)
    except OSError as error:
        raise Unavailable(f"{filename} cannot be read back: {error.strerror}") from error


class Documentation:
    """The pages in an open zip that has been checked. Closes nothing."""

    def __init__(self, content: BinaryIO, filename: str) -> None:
        """Reads the directory. Raises Unavailable for a zip that has gone bad since it came."""
        self._content = content
        self._filename = filename
        try:
            size_bytes = content.seek(0, io.SEEK_END)
            entries = read_directory(content, size_bytes, _faults(filename)).entries
        except Refused as error:
            raise self._damaged() from error
        self._pages = {_plain(entry): entry for entry in entries if not entry.is_folder}

    def page(self, path: str) -> ZipEntry:
        """A page; of a folder, which ends with a slash or is empty, its index. Raises NotStored."""
        name = f"{path}index.html" if not path or path.endswith("/") else path
        entry = self._pages.get(name)
        if entry is None:
            raise NotStored(f"page {name[:200]!r} in {self._filename}")
        return entry

    def is_folder(self, path: str) -> bool:
        """Whether there are pages below a path, which does not end with a slash."""
        return any(name.startswith(f"{path}/") for name in self._pages)

    def blocks(self, entry: ZipEntry) -> Iterator[bytes]:
        """A page's bytes, in blocks; the last one only if all are right. Raises Unavailable."""
        header = self._content.seek(entry.start) + _NAME_AND_EXTRA_AT
        self._content.seek(header)
        raw = self._content.read(_NAME_AND_EXTRA.size)
        if len(raw) < _NAME_AND_EXTRA.size:
            raise self._damaged()
        self._content.seek(entry.start + _LOCAL_HEADER_BYTES + sum(_NAME_AND_EXTRA.unpack(raw)))
        blocks = self._inflated(entry) if entry.method == DEFLATED else self._packed(entry)
        held, missing, crc = b"", entry.size_bytes, 0
        for block in blocks:
            missing -= len(block)
            if missing < 0:
                break
            crc = zlib.crc32(block, crc)
            if held:
                yield held
            held = block
        if missing or crc != entry.crc:
            raise self._damaged()
        if held:
            yield held

    def _packed(self, entry: ZipEntry) -> Iterator[bytes]:
        left = entry.packed_bytes
        while left and (block := self._content.read(min(left, _BLOCK_BYTES))):
            left -= len(block)
            yield block

    def _inflated(self, entry: ZipEntry) -> Iterator[bytes]:
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        for packed in self._packed(entry):
            waiting = packed
            while waiting:
                try:
                    block = inflater.decompress(waiting, _BLOCK_BYTES)
                except zlib.error:
                    raise self._damaged() from None
                waiting = inflater.unconsumed_tail
                if block:
                    yield block
        if rest := inflater.flush():
            yield rest

    def _damaged(self) -> Unavailable:
        return Unavailable(f"{self._filename} was damaged on the disk; upload it again")


def _faults(filename: str) -> Faults:
    # Documentation has a name of its own kind; of it, only the text is ever told.
    return Faults(DistFilename(filename, ProjectName(""), "", filename, DistKind.SDIST))


def _check_bounds(entries: tuple[ZipEntry, ...], filename: str) -> None:
    if len(entries) > DOCUMENTATION_MEMBERS_MAX:
        raise Refused(filename, f"it holds more than {DOCUMENTATION_MEMBERS_MAX:,} files")
    if sum(entry.size_bytes for entry in entries) > DOCUMENTATION_BYTES_MAX:
        raise Refused(
            filename,
            f"it inflates to more than {DOCUMENTATION_BYTES_MAX >> 20} MiB; leave data out",
        )


def _check_names(entries: tuple[ZipEntry, ...], filename: str, faults: Faults) -> None:
    names = MemberNames(faults)
    for entry in entries:
        if stat.S_IFMT(entry.mode) not in (0, stat.S_IFREG, stat.S_IFDIR):  # 0: it did not say
            raise Refused(
                filename, f"its {shown(entry.name)} is neither file nor folder; put a copy there"
            )
        names.add(entry.name, is_folder=entry.is_folder)
    names.finish()


def _plain(entry: ZipEntry) -> str:
    return plain_name(entry.name.replace("\\", "/"))
