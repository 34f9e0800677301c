"""A .tar.gz read from its raw bytes, so that there is one way to read it, or none.

Python's tarfile takes a broken header for the end of the archive; others go on, or take a size
from elsewhere. What they could disagree about is refused here. Formats: POSIX.1-1988 (ustar),
POSIX.1-2001 (pax), and GNU tar's long names.
"""

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple

from .errors import Refused
from .faults import Faults, shown
from .giving_way import PIECE_BYTES, give_way
from .zip_walk import inflated_bytes_max, too_large, too_much

_READ_BYTES = 64 << 10

TAR_BLOCK_BYTES = 512
_EXTENSION_BYTES_MAX = 256 << 10
"""Of a long name, or of the pax records ahead of a member."""

_GLOBAL_HEADERS_MAX = 100
"""In a row: tarfile reads each within the one ahead of it, until Python gives up."""

_REGULAR, _REGULAR_OLD, _CONTIGUOUS = b"0", b"\0", b"7"
_HARD_LINK, _SYMBOLIC_LINK, _FOLDER = b"1", b"2", b"5"
_LONG_NAME, _LONG_TARGET = b"L", b"K"
_PAX, _PAX_GLOBAL = b"x", b"g"
_SPARSE = b"S"
_MAGIC_POSIX = b"ustar\0"
_MAGICS_OTHER = (b"ustar ", bytes(6))  # GNU's and Unix V7's, which have no room for a prefix
_NAME, _SIZE, _SUM, _KIND = slice(0, 100), slice(124, 136), slice(148, 156), slice(156, 157)
_TARGET, _MAGIC, _PREFIX = slice(157, 257), slice(257, 263), slice(345, 500)
# Mode, owner, group, time, and a device's two: tarfile takes a header with a broken one for none.
_NUMBERS = tuple(
    slice(start, end)
    for start, end in ((100, 108), (108, 116), (116, 124), (136, 148), (329, 337), (337, 345))
)
_NUMBER_SIGNS = b"01234567"

_GZIP_SIGNATURE = b"\x1f\x8b"


class TarMember(NamedTuple):
    """A member, as its headers tell of it."""

    name: str
    kind: bytes
    size_bytes: int
    target: str
    """Of a link; else empty."""

    @property
    def is_file(self) -> bool:
        """Whether it has bytes of its own."""
        return self.kind == _REGULAR

    @property
    def is_folder(self) -> bool:
        """Whether it is there for its name alone."""
        return self.kind == _FOLDER

    @property
    def is_symbolic_link(self) -> bool:
        """Whether it points to `target`, as seen from its own folder."""
        return self.kind == _SYMBOLIC_LINK

    @property
    def is_hard_link(self) -> bool:
        """Whether it is the file `target` once more."""
        return self.kind == _HARD_LINK


@dataclass(slots=True)
class _Ahead:
    """What stands ahead of a member's own header, because it did not fit there."""

    pax: Mapping[str, str] | None = None
    name: str | None = None
    target: str | None = None


class TarWalk:
    """One pass over the members of a .tar.gz. Raises Refused. Takes constant memory."""

    def __init__(self, file: BinaryIO, size_bytes: int, faults: Faults) -> None:
        self._stream = _Gunzipped(file, size_bytes, faults)
        self._faults = faults
        self._left_bytes = 0
        self._padding_bytes = 0

    def members(self) -> Iterator[TarMember]:
        """All of them, in their order. What is not read of a member is skipped."""
        header, global_headers = self._first_header(), 0
        while header is not None:
            ahead = _Ahead()
            while header is not None and header[_KIND] in (_LONG_NAME, _LONG_TARGET, _PAX):
                self._read_ahead(header, ahead)
                header = self._header()
            if ahead != _Ahead() and (header is None or header[_KIND] == _PAX_GLOBAL):
                raise self._broken("a header without its member")
            if header is None:
                return
            if header[_KIND] == _PAX_GLOBAL:
                self._check_global(header)
                global_headers += 1
            else:
                yield self._member(header, ahead)
                self._stream.skip(self._left_bytes + self._padding_bytes)
                global_headers = 0
            header = self._header()
            if global_headers and header is None:
                raise self._broken("a header without its member")  # tarfile opens no such tar
            if global_headers > _GLOBAL_HEADERS_MAX:
                raise self._broken(f"more than {_GLOBAL_HEADERS_MAX} global headers in a row")

    def content(self, bytes_max: int) -> bytes:
        """The bytes of the member that `members` is at, refused when there are more than that."""
        if self._left_bytes > bytes_max:
            raise too_large(self._faults, "PKG-INFO", bytes_max)
        size_bytes, self._left_bytes = self._left_bytes, 0
        return self._stream.exactly(size_bytes)

    def _first_header(self) -> bytes | None:
        header = self._stream.read(TAR_BLOCK_BYTES)
        if not (is_tar_header(header) or header == bytes(TAR_BLOCK_BYTES)):
            raise self._faults.fatal("not-an-archive", "it is no readable sdist: there is no tar")
        return self._checked(header)

    def _header(self) -> bytes | None:
        header = self._stream.read(TAR_BLOCK_BYTES)
        if header == b"":
            self._faults.note("tar-end-missing", "the tar in it has no end")
            return None
        if len(header) < TAR_BLOCK_BYTES:
            raise self._faults.fatal("truncated", "the tar in it is cut off in a header")
        return self._checked(header)

    def _checked(self, header: bytes) -> bytes | None:
        if header == bytes(TAR_BLOCK_BYTES):
            self._read_end()
            return None
        if not is_tar_header(header):
            raise self._broken("a header with a wrong checksum")
        prefix = header[_PREFIX].strip(b"\0")
        if header[_MAGIC] != _MAGIC_POSIX and (header[_MAGIC] not in _MAGICS_OTHER or prefix):
            raise self._broken("a header of an unknown format")
        for place in _NUMBERS:
            self._number(header[place])
        return header

    def _read_end(self) -> None:
        """What follows a block of zeros: another one, and then only more of them."""
        padding_bytes = 0
        while block := self._stream.read(PIECE_BYTES):
            if block.strip(b"\0"):
                raise self._faults.fatal(
                    "tar-trailing-data", "there is more behind the end of the tar in it"
                )
            padding_bytes += len(block)
        if padding_bytes < TAR_BLOCK_BYTES:
            self._faults.note("tar-end-missing", "the tar in it has half an end")

    def _read_ahead(self, header: bytes, ahead: _Ahead) -> None:
        kind, raw = header[_KIND], self._extension(header)
        said = {_PAX: ahead.pax, _LONG_NAME: ahead.name, _LONG_TARGET: ahead.target}[kind]
        if said is not None:
            raise self._broken("two headers of one kind for one member")
        if kind == _PAX:
            ahead.pax = self._pax(raw)
        elif kind == _LONG_NAME:
            ahead.name = self._long(raw)
        else:
            ahead.target = self._long(raw)

    def _long(self, raw: bytes) -> str:
        text, _, rest = raw.partition(b"\0")
        if rest.strip(b"\0"):
            raise self._broken("a long name with something behind it")
        return _text(text)

    def _extension(self, header: bytes) -> bytes:
        size_bytes = self._size_in_header(header)
        if size_bytes > _EXTENSION_BYTES_MAX:
            raise self._broken(f"a header of more than {_EXTENSION_BYTES_MAX >> 10} KiB")
        raw = self._stream.exactly(size_bytes)
        # tarfile reads on in what fills up the block.
        if self._stream.exactly(-size_bytes % TAR_BLOCK_BYTES).strip(b"\0"):
            raise self._broken("a long name or pax header that goes on behind its end")
        return raw

    def _pax(self, raw: bytes) -> Mapping[str, str]:
        """The records of a pax header: `LENGTH KEY=VALUE`, each of which ends in a new line."""
        records: dict[str, str] = {}
        at = 0
        while at < len(raw):
            space = raw.find(b" ", at, at + 10)
            digits = raw[at:space]
            if space < 0 or not digits.isdigit():
                raise self._broken("a broken pax header")
            end = at + int(digits)
            key, equals, value = raw[space + 1 : end].partition(b"=")
            if end > len(raw) or not equals or not value.endswith(b"\n"):
                raise self._broken("a broken pax header")
            name = _text(key)
            if name in records:
                raise self._broken("a pax header that says something twice")
            records[name] = _text(value[:-1])
            at = end
        if any(name.startswith("GNU.sparse.") for name in records):
            raise self._faults.fatal("tar-sparse", "it holds a sparse member")
        return records

    def _check_global(self, header: bytes) -> None:
        records = self._pax(self._extension(header))
        for key in ("path", "linkpath", "size"):
            if key in records:
                raise self._faults.fatal(
                    "tar-global-header", f"a global header in it says the {key} of all members"
                )

    def _member(self, header: bytes, ahead: _Ahead) -> TarMember:
        records = ahead.pax or {}
        name = self._said_once(records.get("path"), ahead.name)
        if name is None:
            name = _name_in_header(header)
        # For a folder, tarfile goes by the name in the member's own header alone, and then takes
        # what follows for headers, whatever the size.
        own_name = _name_in_header(header)
        if header[_KIND] == _REGULAR_OLD and own_name.endswith("/") != name.endswith("/"):
            raise self._broken("a member that is a file to some and a folder to others")
        kind = self._kind(header[_KIND], name)
        target = ""
        if kind in (_HARD_LINK, _SYMBOLIC_LINK):
            long_target = self._said_once(records.get("linkpath"), ahead.target)
            target = _field(header, _TARGET) if long_target is None else long_target
        size_bytes = self._size(header, records, kind, name)
        self._left_bytes, self._padding_bytes = size_bytes, -size_bytes % TAR_BLOCK_BYTES
        return TarMember(name, kind, size_bytes, target)

    def _said_once(self, pax: str | None, long: str | None) -> str | None:
        if None not in (pax, long) and pax != long:
            raise self._broken("two long names for one member")
        return long if pax is None else pax

    def _kind(self, kind: bytes, name: str) -> bytes:
        if kind == _SPARSE:
            raise self._faults.fatal("tar-sparse", f"its {shown(name)} is a sparse member")
        if kind == _REGULAR_OLD and name.endswith("/"):
            return _FOLDER  # as Unix V7 wrote them
        if kind in (_REGULAR_OLD, _CONTIGUOUS):
            return _REGULAR
        if kind not in (_REGULAR, _HARD_LINK, _SYMBOLIC_LINK, _FOLDER):
            raise self._faults.fatal(
                "member-special", f"its {shown(name)} is neither file, folder nor link"
            )
        return kind

    def _size(self, header: bytes, records: Mapping[str, str], kind: bytes, name: str) -> int:
        size_bytes = self._size_in_header(header)
        # A reader that overlooks either goes on reading at another place.
        if records.get("size", str(size_bytes)) != str(size_bytes):
            raise self._faults.fatal("tar-size", f"its {shown(name)} has two sizes")
        if kind != _REGULAR and size_bytes:
            raise self._faults.fatal(
                "tar-size", f"its {shown(name)} is no file and has a size all the same"
            )
        return size_bytes

    def _size_in_header(self, header: bytes) -> int:
        size_bytes = self._number(header[_SIZE])
        if size_bytes < 0:
            raise self._broken("a header with a negative size")
        return size_bytes

    def _number(self, raw: bytes) -> int:
        if raw[0] in (0x80, 0xFF):  # GNU's: binary, the highest byte first, 0xFF for a minus
            return int.from_bytes(raw[1:], "big") - (
                1 << 8 * (len(raw) - 1) if raw[0] == 0xFF else 0
            )
        digits = raw.partition(b"\0")[0].strip(b" ")
        if digits.strip(_NUMBER_SIGNS):
            raise self._broken("a header with a number that is none")
        return int(digits or b"0", 8)

    def _broken(self, what: str) -> Refused:
        return self._faults.fatal("tar-header", f"the tar in it has {what}")


class _Gunzipped:
    """What is in a gzip file, from its beginning to its end. Raises Refused."""

    def __init__(self, file: BinaryIO, size_bytes: int, faults: Faults) -> None:
        if not is_gzip(file):
            raise faults.fatal("not-an-archive", "it is no readable sdist: it is no gzip file")
        file.seek(0)
        self._file = file
        self._faults = faults
        self._inflater = zlib.decompressobj(zlib.MAX_WBITS | 16)
        self._inflated_bytes = 0
        self._inflated_bytes_max = inflated_bytes_max(size_bytes)
        self._ended = False
        self._block = b""
        self._at = 0

    def read(self, size_bytes: int) -> bytes:
        """So many bytes, fewer at the end, which is checked then."""
        raw = self._block[self._at : self._at + size_bytes]
        self._at += len(raw)
        if len(raw) == size_bytes:
            return raw
        parts = [raw]
        size_bytes -= len(raw)
        while size_bytes and self._fill():
            parts.append(self._block[:size_bytes])
            self._at = len(parts[-1])
            size_bytes -= self._at
        return b"".join(parts)

    def exactly(self, size_bytes: int) -> bytes:
        """So many bytes."""
        raw = self.read(size_bytes)
        if len(raw) < size_bytes:
            raise self._cut_off()
        return raw

    def skip(self, size_bytes: int) -> None:
        """Go over so many bytes, which must be there."""
        while size_bytes > len(self._block) - self._at:
            size_bytes -= len(self._block) - self._at
            if not self._fill():
                raise self._cut_off()
        self._at += size_bytes

    def _fill(self) -> bool:
        """Have the next block. False at the end."""
        if self._inflated_bytes:
            give_way()
        self._block, self._at = b"", 0
        while not self._block:
            if self._inflater.eof:
                self._check_end()
                return False
            packed = self._inflater.unconsumed_tail or self._file.read(_READ_BYTES)
            try:
                self._block = self._inflater.decompress(packed, PIECE_BYTES)
            except zlib.error:
                raise self._faults.fatal(
                    "gzip-damaged", "its bytes cannot be inflated, or are not those promised"
                ) from None
            if not packed and not self._block and not self._inflater.eof:
                raise self._faults.fatal("truncated", "it is no readable sdist: it ends too early")
        self._inflated_bytes += len(self._block)
        if self._inflated_bytes > self._inflated_bytes_max:
            raise too_much(self._faults, self._inflated_bytes_max)
        return True

    def _check_end(self) -> None:
        if self._ended:
            return
        self._ended = True
        rest = self._inflater.unused_data or self._file.read(_READ_BYTES)
        if rest.startswith(_GZIP_SIGNATURE):
            raise self._faults.fatal("gzip-several", "it is made of several gzip files")
        padding = False
        while rest:
            if rest.strip(b"\0"):
                raise self._faults.fatal("gzip-trailing-data", "there is more behind its end")
            padding = True
            rest = self._file.read(_READ_BYTES)
        if padding:
            self._faults.note("gzip-padding", "zeros follow its end")

    def _cut_off(self) -> Refused:
        return self._faults.fatal("truncated", "the tar in it is cut off in a member")


def is_gzip(file: BinaryIO) -> bool:
    """Whether a file begins as gzip files do."""
    file.seek(0)
    return file.read(2) == _GZIP_SIGNATURE


def is_tar_header(block: bytes) -> bool:
    """Whether 512 bytes begin a member of a tar."""
    if len(block) < TAR_BLOCK_BYTES:
        return False
    told = block[_SUM].partition(b"\0")[0].strip(b" ")
    if not told or told.strip(_NUMBER_SIGNS):
        return False
    # Summed up as if the sum itself were blanks; some old tools took bytes for signed numbers.
    counted = block[:148] + b" " * 8 + block[156:TAR_BLOCK_BYTES]
    unsigned = sum(counted)
    return int(told, 8) == unsigned or int(told, 8) == unsigned - 256 * sum(
        byte > 127 for byte in counted
    )


def _name_in_header(header: bytes) -> str:
    name, prefix = _field(header, _NAME), _field(header, _PREFIX)
    return f"{prefix}/{name}" if prefix else name


def _field(header: bytes, place: slice) -> str:
    return _text(header[place].partition(b"\0")[0])


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")
