"""Downloads: `/<user>/<index>/+f/<3 hex>/<13 hex>/<filename>`, and what lies beside it."""

import asyncio
from dataclasses import dataclass
from io import SEEK_END, BytesIO
from typing import BinaryIO, TypeAlias

from aiofiles.threadpool import wrap
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from simpleindex.errors import RangeNotSatisfiable
from simpleindex.reading import Reader
from simpleindex.routes.asking import asked_place
from simpleindex.routes.readers import Readers, project_of
from simpleindex.wire.conditional import (
    ByteRange,
    Unsatisfiable,
    choose_range,
    http_date,
    matches_none,
)
from simpleindex.wire.locations import FileAt
from simpleindex_storage.errors import NotStored
from simpleindex_storage.model import Attachment, AttachmentKind, DistFile, Sidecar
from simpleindex_storage.names import FilePlace
from simpleindex_storage.store import Store

_CHUNK_BYTES = 256 << 10
"""Large enough that the hop to a thread for each does not count, small enough for many clients."""


@dataclass(frozen=True, slots=True)
class FilesDoor:
    """Bytes of files that are recorded. What has no record is not there, whatever the disk says."""

    store: Store
    readers: Readers

    async def file(self, request: Request, at: FileAt) -> Response:
        """A file or what lies beside it: whole, in part, or unchanged since the client has it."""
        place = asked_place(at)

        def find(reader: Reader) -> "tuple[bool, _Kept, _Opened]":
            is_public = self.readers.check(reader, place.index, project_of(place))
            return is_public, *self._open(place, at.sidecar)

        is_public, file, opened = await self.readers.read(request, find)
        try:
            return _answer(request, file, opened, at.sidecar, is_public=is_public)
        except BaseException:
            opened.content.close()
            raise

    def _open(self, place: FilePlace, sidecar: Sidecar | None) -> "tuple[_Kept, _Opened]":
        """Record and file in one hop; a small file is read in the same."""
        file, content = self._found(place, sidecar)
        try:
            size_bytes = content.seek(0, SEEK_END)
            content.seek(0)
            if size_bytes > _CHUNK_BYTES:
                return file, _Opened(content, size_bytes)
            with content:
                return file, _Opened(BytesIO(content.read()), size_bytes)
        except BaseException:
            content.close()
            raise

    def _found(self, place: FilePlace, sidecar: Sidecar | None) -> "tuple[_Kept, BinaryIO]":
        if sidecar is not None:
            return self.store.open_sidecar(place, sidecar)
        try:
            return self.store.open(place)
        except NotStored as error:
            try:
                return self.store.open_attachment(place)
            except NotStored:
                raise error from None


_Kept: TypeAlias = DistFile | Attachment


@dataclass(frozen=True, slots=True)
class _Opened:
    content: BinaryIO
    size_bytes: int


# Never guessed: Windows asks its registry. Of a file that is not named here: octet-stream.
_CONTENT_TYPES = {
    Sidecar.SIGNATURE: "application/pgp-signature",
    Sidecar.PROVENANCE: "application/vnd.pypi.integrity.v1+json",
    AttachmentKind.DOCUMENTATION: "application/zip",
    AttachmentKind.TOX_RESULT: "application/json",
}


def _answer(
    request: Request, file: _Kept, opened: _Opened, sidecar: Sidecar | None, *, is_public: bool
) -> Response:
    if isinstance(file, Attachment):
        sha256, content_type = file.sha256, _CONTENT_TYPES.get(file.kind)
    else:
        sha256 = file.sha256 if sidecar is None else file.sha256_of(sidecar) or ""
        content_type = _CONTENT_TYPES.get(sidecar) if sidecar else None
    etag = f'"{sha256}"'
    headers = {
        "accept-ranges": "bytes",
        "cache-control": _cache_control(sidecar, is_public=is_public),
        "content-type": content_type or "application/octet-stream",
        "etag": etag,
        "last-modified": http_date(file.uploaded_at),
        "x-content-type-options": "nosniff",
    }
    if sidecar is None:
        headers["vary"] = "Accept"  # devpi-client is told of the file at the same URL
    if matches_none(request.headers.get("if-none-match"), etag):
        opened.content.close()
        del headers["content-type"]
        return Response(status_code=304, headers=headers)
    # RFC 9110, 14.2: Range means something with GET only.
    chosen = None
    if request.method == "GET":
        chosen = choose_range(
            request.headers.get("range"),
            request.headers.get("if-range"),
            etag=etag,
            last_modified=file.uploaded_at,
            size_bytes=opened.size_bytes,
        )
    if isinstance(chosen, Unsatisfiable):
        raise RangeNotSatisfiable(
            f"the range begins behind the end of the file, which has {opened.size_bytes} bytes",
            content_range=chosen.content_range(opened.size_bytes),
        )
    status = 200
    if chosen is not None:
        status = 206
        headers["content-range"] = chosen.content_range(opened.size_bytes)
    whole = ByteRange(0, opened.size_bytes - 1)
    return _FileResponse(opened.content, chosen or whole, status, headers)


def _cache_control(sidecar: Sidecar | None, *, is_public: bool) -> str:
    if sidecar is Sidecar.PROVENANCE:  # PEP 740 lets it grow
        return "no-cache" if is_public else "private, no-cache"
    return f"{'public' if is_public else 'private'}, max-age=31536000, immutable"


class _FileResponse(Response):
    """Sends a part of an open file with constant memory, and closes it."""

    def __init__(
        self, content: BinaryIO, part: ByteRange, status: int, headers: dict[str, str]
    ) -> None:
        super().__init__(status_code=status, headers=headers)
        self.headers["content-length"] = str(part.size_bytes)
        self._content = content
        self._part = part
        self.background: BackgroundTask | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await send(
                {
                    "type": "http.response.start",
                    "status": self.status_code,
                    "headers": self.raw_headers,
                }
            )
            if scope["method"] == "HEAD":
                await send({"type": "http.response.body"})
            elif isinstance(self._content, BytesIO):
                part = self._content.getvalue()[self._part.first : self._part.last + 1]
                await send({"type": "http.response.body", "body": part})
            else:
                await self._send_body(receive, send)
        finally:
            self._content.close()

    async def _send_body(self, receive: Receive, send: Send) -> None:
        reading = wrap(self._content)
        await reading.seek(self._part.first)
        left = self._part.size_bytes
        # To send to a client that has gone is no error in ASGI: the rest would be read for nobody.
        gone = asyncio.create_task(_client_gone(receive))
        try:
            while not gone.done():
                chunk = await reading.read(min(left, _CHUNK_BYTES))
                left -= len(chunk)
                if left and not chunk:
                    # A cut connection tells the client that this is not all; a short 200 would not.
                    raise OSError("a stored file is shorter than it was when it was opened")
                await send({"type": "http.response.body", "body": chunk, "more_body": left > 0})
                if not left:
                    return
        finally:
            gone.cancel()


async def _client_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
