"""Core metadata out of a wheel that is elsewhere: a few ranges of it instead of all of it.

The directory of a zip is at its end, and wheels that follow the standard keep their metadata close
to it, so that one or two requests do; three where the directory is long.
"""

import io
import struct
import zipfile
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import BinaryIO

import anyio.to_thread
from packaging.utils import canonicalize_name

from simpleindex_storage.errors import Refused
from simpleindex_storage.metadata import METADATA_BYTES_MAX
from simpleindex_storage.names import ProjectName, split_filename

FetchRange = Callable[[int, int], Awaitable[tuple[bytes, int]]]
"""From the first and the last byte that are wanted to the bytes, and the size of the file."""

_END_BYTES = 32 << 10
"""How much of the end is asked for at once: the whole directory of most wheels, and often all."""
_HEADER_BYTES = 30 + 512
"""A local header, with room for a name and extra fields."""
_REQUESTS_MAX = 6
_PART_BYTES_MAX = 32 << 20
"""Of one request: a directory may say that it is as long as the whole file."""


class _Missing(Exception):
    """These bytes have to be fetched."""

    def __init__(self, first: int, last: int) -> None:
        super().__init__(first, last)
        self.first = first
        self.last = last


async def fetch_metadata(filename: str, size_bytes: int | None, fetch: FetchRange) -> bytes:
    """The METADATA of a wheel, byte for byte. Raises Refused, and what `fetch` raises."""
    if size_bytes is None:
        _, size_bytes = await fetch(0, 0)
    seen = _Seen(size_bytes)
    first, last = max(0, size_bytes - _END_BYTES), size_bytes - 1
    for _ in range(_REQUESTS_MAX):
        if not 0 <= first <= last:  # it is empty, or its directory lies
            raise Refused(filename, "it is no wheel that can be read: it ends before its metadata")
        if last - first >= _PART_BYTES_MAX:
            raise Refused(filename, f"over {_PART_BYTES_MAX} bytes of it are needed for that")
        content, told_bytes = await fetch(first, last)
        if told_bytes != size_bytes or len(content) != last - first + 1:
            raise Refused(filename, "upstream tells different sizes of it")
        seen.add(first, content)
        try:
            # In a thread: a directory may have very many entries.
            return await anyio.to_thread.run_sync(metadata_in, seen, filename)
        except _Missing as missing:
            first, last = missing.first, min(missing.last, size_bytes - 1)
    raise Refused(filename, "its metadata is scattered over the file")


def metadata_in(file: "BinaryIO | _Seen", filename: str) -> bytes:
    """The METADATA of a wheel that is open. Raises Refused."""
    project, _ = split_filename(filename)
    try:
        with zipfile.ZipFile(file) as wheel:
            member = _metadata_member(wheel, project, filename)
            if member.file_size > METADATA_BYTES_MAX:
                raise Refused(filename, f"its metadata has over {METADATA_BYTES_MAX} bytes")
            if member.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
                raise Refused(filename, "its metadata is packed in a way that wheels do not use")
            if isinstance(file, _Seen):
                start = member.header_offset
                file.require(start, start + _HEADER_BYTES + member.compress_size)
            with wheel.open(member) as reading:
                return reading.read(METADATA_BYTES_MAX + 1)
    except (
        zipfile.BadZipFile,
        zlib.error,
        struct.error,
        RuntimeError,
        EOFError,
        ValueError,
    ) as error:
        raise Refused(filename, f"it is no wheel that can be read: {error}") from None


def _metadata_member(
    wheel: zipfile.ZipFile, project: ProjectName, filename: str
) -> zipfile.ZipInfo:
    """The one METADATA of the project itself: some wheels carry those of others deeper inside."""
    found = [
        member
        for member in wheel.infolist()
        if member.filename.count("/") == 1
        and member.filename.endswith(".dist-info/METADATA")
        # Old tools left dashes in it; pip goes by the beginning, too.
        and canonicalize_name(member.filename).startswith(f"{project}-")
    ]
    if len(found) != 1:
        raise Refused(filename, f"it has {len(found)} files of metadata instead of one")
    return found[0]


@dataclass(slots=True)
class _Segment:
    first: int
    content: bytes

    @property
    def end(self) -> int:
        return self.first + len(self.content)


class _Seen(io.RawIOBase):
    """A file of which only some segments are here; to read elsewhere raises _Missing."""

    def __init__(self, size_bytes: int) -> None:
        super().__init__()
        self._size_bytes = size_bytes
        self._segments: list[_Segment] = []
        self._place = 0

    def add(self, first: int, content: bytes) -> None:
        """These bytes are here now. Neighbours become one."""
        joined = _Segment(first, content)
        apart = []
        for segment in self._segments:
            if segment.end < joined.first or joined.end < segment.first:
                apart.append(segment)
                continue
            low, high = sorted((segment, joined), key=lambda each: each.first)
            joined = _Segment(low.first, low.content + high.content[low.end - high.first :])
        self._segments = [*apart, joined]

    def require(self, first: int, end: int) -> None:
        """Raises _Missing unless all of these bytes are here."""
        end = min(end, self._size_bytes)
        for segment in self._segments:
            if segment.first <= first < segment.end:
                if end > segment.end:
                    raise _Missing(segment.end, end - 1)
                return
        raise _Missing(first, end - 1)

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size_bytes}[whence]
        self._place = max(0, base + offset)
        return self._place

    def read(self, size: int | None = -1, /) -> bytes:
        end = self._size_bytes
        if size is not None and size >= 0:
            end = min(end, self._place + size)
        if self._place >= end:
            return b""
        self.require(self._place, end)
        for segment in self._segments:
            if segment.first <= self._place < segment.end:
                content = segment.content[self._place - segment.first : end - segment.first]
                self._place += len(content)
                return content
        raise AssertionError("these bytes are here")
