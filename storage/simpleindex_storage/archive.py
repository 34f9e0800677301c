"""Looks into wheels and sdists, whoever made them: bounded in memory, and nothing is unpacked.

What a header declares is never believed: every bound is kept on the bytes that come out.
"""

import errno
import io
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from .errors import Refused, Unavailable
from .names import DistFilename

METADATA_BYTES_MAX = 10 << 20
"""Of a METADATA or PKG-INFO; the largest real ones hold a manual of some 100 kB."""

_DIRECTORY_BYTES_MAX = 16 << 20
"""Of a zip's central directory, which zipfile keeps in memory: over 100,000 ordinary members."""

_INFLATED_BYTES_FLOOR = 64 << 20
_INFLATED_BYTES_CEILING = 2 << 30

_HEADER_BYTES_MAX = 256 << 10
"""Of all the headers of one tar member: long names, extended attributes."""

_TAR_MEMBERS_MAX = 200_000
"""Each costs tarfile some 20 microseconds."""

_GLOBAL_HEADERS_MAX = 100
"""Global pax headers stay in memory until the end."""

_BLOCK_BYTES = 64 << 10

# zipfile and tarfile promise an exception of their own for broken archives, but let through what
# their parsing meets: LookupError, struct.error, RecursionError (a RuntimeError, as are
# NotImplementedError and zipfile's complaint of a missing password), UnicodeError (a ValueError).
_UNREADABLE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    struct.error,
    EOFError,
    ValueError,
    ArithmeticError,
    LookupError,
    RuntimeError,
)


def read_wheel_metadata(path: Path, filename: DistFilename) -> bytes:
    """METADATA of the wheel at `path`, from the dist-info folder that its file name asks for.

    Raises Refused, or Unavailable when the disk fails.
    """
    with _reading(filename), _open_zip(path, filename) as archive:
        names = archive.namelist()
        folder = _dist_info_folder(names, filename)
        if f"{folder}/WHEEL" not in names:
            raise Refused(
                filename.text,
                f"it holds no {folder}/WHEEL, so no installer takes it; build it again",
            )
        return _zip_member(archive, f"{folder}/METADATA", filename)


def read_sdist_metadata(path: Path, filename: DistFilename) -> bytes:
    """PKG-INFO of the sdist at `path`, from directly below its one top folder.

    Of a .tar.gz nothing behind PKG-INFO is read. Raises Refused, or Unavailable when the disk
    fails.
    """
    with _reading(filename):
        if filename.text.endswith(".zip"):
            return _pkg_info_of_zip(path, filename)
        return _pkg_info_of_tar(path, filename)


@contextmanager
def _reading(filename: DistFilename) -> Iterator[None]:
    """Turns what the standard library raises for bad archives into one line for the sender."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.EINVAL:  # EINVAL: an offset in the archive pointed before its start
            raise Unavailable(f"{filename.text} cannot be read back: {error.strerror}") from error
        raise _unreadable(filename, error) from error
    except _UNREADABLE as error:
        raise _unreadable(filename, error) from error


def _unreadable(filename: DistFilename, error: Exception) -> Refused:
    kind = "wheel" if filename.is_wheel else "sdist"
    reason = " ".join(str(error).split())[:120] or type(error).__name__
    printable = "".join(char if char.isprintable() else "?" for char in reason)
    return Refused(
        filename.text,
        f"it is no readable {kind} ({printable}); send it again, and if that does not help, "
        "build it again",
    )


class _BoundedReads(io.BufferedReader):
    """A file that hands out no more at once than a central directory may have.

    zipfile reads the whole directory in one piece, of whatever size the archive declares.
    """

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > _DIRECTORY_BYTES_MAX:
            raise zipfile.BadZipFile(
                f"its directory is larger than {_DIRECTORY_BYTES_MAX >> 20} MiB"
            )
        return super().read(size)


@contextmanager
def _open_zip(path: Path, filename: DistFilename) -> Iterator[zipfile.ZipFile]:
    with _BoundedReads(io.FileIO(path)) as file, zipfile.ZipFile(file) as archive:
        yield archive


def _dist_info_folder(names: Iterable[str], filename: DistFilename) -> str:
    # Not the first METADATA: wheels may carry other projects' files, at any depth.
    folders = [
        name.removesuffix("/METADATA")
        for name in names
        if name.endswith(".dist-info/METADATA") and name.count("/") == 1
    ]
    matching = [folder for folder in folders if _is_dist_info_of(folder, filename)]
    wanted = f"{filename.project.replace('-', '_')}-{filename.version}.dist-info/METADATA"
    if not matching:
        others = f" (but {folders[0][:100]!r})" if folders else ""
        raise Refused(
            filename.text,
            f"it holds no {wanted}{others}; if it was renamed, give it back the name "
            "that it was built with",
        )
    if len(matching) > 1:
        raise Refused(
            filename.text, f"it holds {wanted} {len(matching)} times, and tools differ in which "
            "they read; build it again",
        )  # fmt: skip
    return matching[0]


def _is_dist_info_of(folder: str, filename: DistFilename) -> bool:
    name, _, version = folder.removesuffix(".dist-info").rpartition("-")
    if canonicalize_name(name) != filename.project:
        return False
    try:
        return Version(version) == Version(filename.version)
    except InvalidVersion:
        return False


def _zip_member(archive: zipfile.ZipFile, name: str, filename: DistFilename) -> bytes:
    entry = archive.getinfo(name)
    if entry.flag_bits & 0x1:
        raise Refused(filename.text, f"its {name} is encrypted; build it again without a password")
    # The others inflate without bound in zipfile, and no installer needs them.
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise Refused(
            filename.text, f"its {name} is neither stored nor deflated; build it with another tool"
        )
    blocks, size_bytes = [], 0
    with archive.open(entry) as member:
        while block := member.read(_BLOCK_BYTES):
            blocks.append(block)
            size_bytes += len(block)
            if size_bytes > METADATA_BYTES_MAX:
                raise _too_large(name, filename)
    return b"".join(blocks)


def _too_large(name: str, filename: DistFilename) -> Refused:
    return Refused(
        filename.text,
        f"its {name} is larger than {METADATA_BYTES_MAX >> 20} MiB; shorten the description",
    )


def _pkg_info_of_zip(path: Path, filename: DistFilename) -> bytes:
    with _open_zip(path, filename) as archive:
        top, found = None, []
        for name in archive.namelist():
            top, is_pkg_info = _place(name, top, filename)
            if is_pkg_info:
                found.append(name)
        if not found:
            raise _without_pkg_info(filename)
        if len(found) > 1:
            raise Refused(
                filename.text, f"it holds {top}/PKG-INFO {len(found)} times; build it again"
            )
        return _zip_member(archive, found[0], filename)


def _pkg_info_of_tar(path: Path, filename: DistFilename) -> bytes:
    with path.open("rb") as file:
        stream = _Gunzipped(file, path.stat().st_size, filename)
        archive = tarfile.TarFile(fileobj=stream)
        top, members = None, 0
        while (member := archive.next()) is not None:
            top, is_pkg_info = _place(member.name, top, filename)
            if is_pkg_info:
                return _tar_member(stream, member, filename)
            members += 1
            if members > _TAR_MEMBERS_MAX:
                raise tarfile.ReadError("too many members")
            archive.members.clear()  # type: ignore[attr-defined]  # undocumented, else it keeps all
            if len(archive.pax_headers) > _GLOBAL_HEADERS_MAX:
                raise tarfile.ReadError("too many global headers")
            stream.may_read(_HEADER_BYTES_MAX)
    raise _without_pkg_info(filename)


def _place(name: str, top: str | None, filename: DistFilename) -> tuple[str | None, bool]:
    """The top folder after this member, and whether the member is the PKG-INFO directly below."""
    parts = PurePosixPath(name).parts  # without the leading ./ that some tar commands write
    if not parts:
        return top, False
    if top is not None and parts[0] != top:
        raise Refused(
            filename.text,
            f"it has more than one top folder ({top[:60]!r}, {parts[0][:60]!r}); build it again",
        )
    return parts[0], parts[1:] == ("PKG-INFO",)


def _without_pkg_info(filename: DistFilename) -> Refused:
    return Refused(
        filename.text,
        "it has no PKG-INFO directly below its top folder, as sdists have; "
        "build it again with a current tool, or upload a wheel",
    )


class _Gunzipped(io.BufferedIOBase):
    """A gzip file as the forward-only, uncompressed file that tarfile needs.

    gzip.GzipFile would do but for bounds: this one refuses a bomb, and never reads more at once
    than `may_read` allows, so that tarfile's loops over headers end and stay small.
    """

    def __init__(self, file: io.BufferedReader, size_bytes: int, filename: DistFilename) -> None:
        self._file = file
        self._filename = filename
        self._inflater = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        self._inflated_bytes_max = _inflated_bytes_max(size_bytes)
        self._inflated_bytes = 0
        self._ahead = memoryview(b"")
        self.may_read(_HEADER_BYTES_MAX)

    def may_read(self, size_bytes: int) -> None:
        """Set how much may be read, not counting what is skipped, before the next such call."""
        self._readable_bytes = size_bytes

    def tell(self) -> int:
        return self._inflated_bytes - len(self._ahead)

    def seek(self, position: int, whence: int = io.SEEK_SET, /) -> int:
        """Skip forward, at most to the end."""
        if whence != io.SEEK_SET or position < self.tell():
            raise tarfile.ReadError("a member lies before the one ahead of it")
        while self.tell() < position and self._fill():
            self._ahead = self._ahead[position - self.tell() :]
        return self.tell()

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or not 0 <= size <= self._readable_bytes:
            raise tarfile.ReadError("a member's headers are too large")
        self._readable_bytes -= size
        parts = []
        while size > 0 and self._fill():
            parts.append(self._ahead[:size])
            self._ahead = self._ahead[size:]
            size -= len(parts[-1])
        return b"".join(parts)

    def _fill(self) -> bool:
        """Have at least one byte ahead. False at the end.

        What follows the first gzip member is taken for padding: tools differ in reading it.
        """
        while not self._ahead and not self._inflater.eof:
            block = self._inflater.unconsumed_tail or self._file.read(_BLOCK_BYTES)
            self._ahead = memoryview(self._inflater.decompress(block, _BLOCK_BYTES))
            if not block and not self._ahead and not self._inflater.eof:
                raise EOFError("it ends too early")
            self._count(len(self._ahead))
        return bool(self._ahead)

    def _count(self, size_bytes: int) -> None:
        self._inflated_bytes += size_bytes
        if self._inflated_bytes > self._inflated_bytes_max:
            raise Refused(
                self._filename.text,
                f"it inflates to more than {self._inflated_bytes_max >> 20} MiB, far beyond its "
                "size; leave out generated data, or upload a wheel",
            )


def _inflated_bytes_max(size_bytes: int) -> int:
    # Source code shrinks to a quarter, seldom to a fortieth; gzip's bombs to a thousandth.
    hundredfold = min(100 * size_bytes, _INFLATED_BYTES_CEILING)
    return max(_INFLATED_BYTES_FLOOR, hundredfold, 10 * size_bytes)


def _tar_member(stream: _Gunzipped, member: tarfile.TarInfo, filename: DistFilename) -> bytes:
    if not member.isreg() or member.issparse():
        raise Refused(filename.text, "its PKG-INFO is not a plain file; build it again")
    if member.size > METADATA_BYTES_MAX:
        raise _too_large("PKG-INFO", filename)
    stream.may_read(member.size)
    raw = stream.read(member.size)
    if len(raw) < member.size:
        raise EOFError("it ends within PKG-INFO")
    return raw
