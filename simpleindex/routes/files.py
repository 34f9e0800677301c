"""Downloads: `/<user>/<index>/+f/<3 hex>/<13 hex>/<filename>`, and what lies beside it."""

import asyncio
import hashlib
import logging
from dataclasses import dataclass, replace
from datetime import datetime
from io import SEEK_END, BytesIO
from typing import BinaryIO

from aiofiles.threadpool import wrap
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from simpleindex.errors import RangeNotSatisfiable
from simpleindex.hot import Standing
from simpleindex.mirror.files import LyingBeside, MirrorFiles
from simpleindex.mirror.transfers import STREAMED_BYTES_MIN, WantedFile
from simpleindex.reading import Reader
from simpleindex.routes.arriving import (
    ArrivingResponse,
    client_gone,
    passing_response,
    unfetched,
)
from simpleindex.routes.asking import asked_place, hops_of, in_thread
from simpleindex.routes.handing_over import HandingOver, LiesAt
from simpleindex.routes.readers import Readers, project_of
from simpleindex.routes.seen import say_standing
from simpleindex.wire import browser_headers
from simpleindex.wire.conditional import (
    ByteRange,
    Unsatisfiable,
    choose_range,
    http_date,
    matches_none,
)
from simpleindex.wire.hand_over import Shelf, handed_over
from simpleindex.wire.locations import FileAt
from simpleindex_storage.durable import unavailable_on_failure
from simpleindex_storage.errors import NotStored, Unavailable
from simpleindex_storage.model import AttachmentKind, Index, Sidecar
from simpleindex_storage.names import FilePlace
from simpleindex_storage.store import Store

_log = logging.getLogger("simpleindex")

_PATHSEND = "http.response.pathsend"
_CHUNK_BYTES = 256 << 10
"""Large enough that the hop to a thread for each does not count, small enough for many clients."""


@dataclass(frozen=True, slots=True)
class FilesDoor:
    """Bytes of files that are recorded. What has no record is not there, whatever the disk says."""

    store: Store
    mirror_files: MirrorFiles
    readers: Readers
    handing_over: HandingOver

    async def file(self, request: Request, at: FileAt) -> Response:
        """A file or what lies beside it: whole, in part, or unchanged since the client has it."""
        place = asked_place(at)

        def find(reader: Reader) -> tuple[bool, _Opened | WantedFile]:
            is_public = self.readers.check(reader, place.index, project_of(place))
            try:
                return is_public, replace(self._stored(place, at.sidecar), is_stored=True)
            except NotStored:
                mirror = self.mirror_files.mirror(place.index)
                if mirror is None:
                    raise
            return is_public, self._mirrored(mirror, place, at.sidecar)

        is_public, found = await self.readers.read(request, find)
        if isinstance(found, _Opened):
            instead = self._instead_of_bytes(request, found)
            if is_public and found.is_stored and (found.is_small or instead):
                say_standing(request.scope, Standing())
            return _answer(request, found, is_public=is_public, instead=instead)
        return await self._fetched(request, found, at.sidecar, is_public=is_public)

    def _instead_of_bytes(self, request: Request, opened: "_Opened") -> tuple[str, str] | None:
        """The header by which the server in front sends a file; None: we do.

        What is small is in memory, and sent as fast as the header would be.
        """
        if opened.lies_at is None or opened.is_small:
            return None
        return self.handing_over.header(request, opened.lies_at)

    def _stored(self, place: FilePlace, sidecar: Sidecar | None) -> "_Opened":
        """Record and file in one hop; a small file is read in the same."""
        if sidecar is not None:
            file, content = self.store.open_sidecar(place, sidecar)
            return _opened(_Told.of(file.sha256_of(sidecar), file.uploaded_at, sidecar), content)
        try:
            file, content = self.store.open(place)
        except NotStored as error:
            try:
                attachment, content = self.store.open_attachment(place)
            except NotStored:
                raise error from None
            told = _Told.of(attachment.sha256, attachment.uploaded_at, attachment.kind)
        else:
            told = _Told.of(file.sha256, file.uploaded_at)
        return _opened(told, content, LiesAt(Shelf.STORED, place))

    def _mirrored(
        self, mirror: Index, place: FilePlace, sidecar: Sidecar | None
    ) -> "_Opened | WantedFile":
        """What a mirror has kept at a place, or has to fetch."""
        if sidecar is None:
            found = self.mirror_files.find(mirror, place)
            if isinstance(found, WantedFile):
                return found
            told = _Told.of(found.kept.sha256, found.file.changed_at)
            return _opened(told, found.content, LiesAt(Shelf.KEPT, place))
        lying = self.mirror_files.find_sidecar(mirror, place, sidecar)
        if isinstance(lying, WantedFile):
            return lying
        return _opened_sidecar(sidecar, lying)

    async def _fetched(
        self, request: Request, wanted: WantedFile, sidecar: Sidecar | None, *, is_public: bool
    ) -> Response:
        """What a mirror has to fetch first; of a large file what has come already."""
        hops = hops_of(request)
        if sidecar is not None:
            lying = await self.mirror_files.sidecar(wanted, sidecar, hops)
            return _answer(request, _opened_sidecar(sidecar, lying), is_public=is_public)
        told = _Told.of(wanted.file.sha256, wanted.file.changed_at)
        headers = _headers(told, is_public=is_public)
        if wanted.settings.mirror_use_external_urls:
            return RedirectResponse(wanted.file.known.file.url, 302, {"vary": "Accept"})
        if told.etag is not None and matches_none(request.headers.get("if-none-match"), told.etag):
            return _not_modified(headers)
        if request.method == "HEAD":
            return unfetched(headers, wanted.size_bytes)
        try:
            transfer = self.mirror_files.begin(wanted, hops)
            if wanted.size_bytes is None or wanted.size_bytes >= STREAMED_BYTES_MIN:
                await transfer.begun()
                if not transfer.is_over and (transfer.size_bytes or 0) >= STREAMED_BYTES_MIN:
                    # A whole answer, also to who wants a part: nothing is known to be right yet.
                    return ArrivingResponse(transfer, self.mirror_files.follow(transfer), headers)
            copy = await self.mirror_files.whole(wanted, hops)
        except Unavailable as error:
            if not error.full:
                raise
            _log.warning("%s: %s; it is handed on, and not kept", wanted.place.index, error)
            passing = self.mirror_files.pass_along(wanted, hops)
            return await passing_response(passing, headers, wanted.size_bytes)
        told = _Told.of(copy.kept.sha256, copy.file.changed_at)
        opened = await in_thread(lambda: _opened(told, copy.content))
        return _answer(request, opened, is_public=is_public)


# Never guessed: Windows asks its registry. Of a file that is not named here: octet-stream.
_CONTENT_TYPES = {
    Sidecar.SIGNATURE: "application/pgp-signature",
    Sidecar.PROVENANCE: "application/vnd.pypi.integrity.v1+json",
    AttachmentKind.DOCUMENTATION: "application/zip",
    AttachmentKind.TOX_RESULT: "application/json",
}


@dataclass(frozen=True, slots=True)
class _Told:
    """What headers say of a file."""

    etag: str | None
    changed_at: datetime
    kind: Sidecar | AttachmentKind | None

    @classmethod
    def of(
        cls,
        sha256: str | None,
        changed_at: datetime,
        kind: Sidecar | AttachmentKind | None = None,
    ) -> "_Told":
        """`kind`: None for a file of a release."""
        return cls(None if sha256 is None else f'"{sha256}"', changed_at, kind)


@dataclass(frozen=True, slots=True)
class _Opened:
    """What is here: bytes, and what is said of them."""

    told: _Told
    content: BinaryIO
    size_bytes: int
    lies_at: LiesAt | None = None
    """Of a whole file, which a server in front may send; None: it is for us to send."""
    is_stored: bool = False
    """It is here to stay. (Of what mirrors keep is noted when it was asked for.)"""

    @property
    def is_small(self) -> bool:
        """Whether it is in memory already."""
        return isinstance(self.content, BytesIO)


def _opened(told: _Told, content: BinaryIO, lies_at: LiesAt | None = None) -> _Opened:
    """A small file is read at once. Raises Unavailable."""
    try:
        with unavailable_on_failure("the file cannot be read"):
            size_bytes = content.seek(0, SEEK_END)
            content.seek(0)
            if size_bytes > _CHUNK_BYTES:
                return _Opened(told, content, size_bytes, lies_at)
            with content:
                return _Opened(told, BytesIO(content.read()), size_bytes, lies_at)
    except BaseException:
        content.close()
        raise


def _opened_sidecar(sidecar: Sidecar, lying: LyingBeside) -> _Opened:
    sha256 = hashlib.sha256(lying.content).hexdigest()
    told = _Told.of(sha256, lying.file.changed_at, sidecar)
    return _Opened(told, BytesIO(lying.content), len(lying.content))


def _answer(
    request: Request,
    opened: _Opened,
    *,
    is_public: bool,
    instead: tuple[str, str] | None = None,
) -> Response:
    """As much of it as the client asks for. Raises RangeNotSatisfiable; then it is closed.

    `instead`: a header that stands for the bytes. The server in front sees to the range then.
    """
    try:
        headers, etag = _headers(opened.told, is_public=is_public), opened.told.etag
        assert etag is not None
        if matches_none(request.headers.get("if-none-match"), etag):
            opened.content.close()
            return _not_modified(headers)
        # RFC 9110, 14.2: Range means something with GET only.
        chosen = None
        if request.method == "GET":
            chosen = choose_range(
                request.headers.get("range"),
                request.headers.get("if-range"),
                etag=etag,
                last_modified=opened.told.changed_at,
                size_bytes=opened.size_bytes,
            )
        if isinstance(chosen, Unsatisfiable):
            raise RangeNotSatisfiable(
                f"the range begins behind the end of the file, which has {opened.size_bytes} bytes",
                content_range=chosen.content_range(opened.size_bytes),
            )
        # A range that we would not give, but maybe that server, is none for it to see.
        if instead is not None and (chosen is not None or "range" not in request.headers):
            opened.content.close()
            return Response(headers=handed_over(headers, instead))
        status = 200
        if chosen is not None:
            status = 206
            headers["content-range"] = chosen.content_range(opened.size_bytes)
        whole = ByteRange(0, opened.size_bytes - 1)
        return _FileResponse(opened.content, chosen or whole, status, headers)
    except BaseException:
        opened.content.close()
        raise


def _headers(told: _Told, *, is_public: bool) -> dict[str, str]:
    headers = {
        "accept-ranges": "bytes",
        "cache-control": _cache_control(told.kind, is_public=is_public),
        "content-type": "application/octet-stream",
        "last-modified": http_date(told.changed_at),
        **browser_headers.FILE,
    }
    if told.kind is not None and told.kind in _CONTENT_TYPES:
        headers["content-type"] = _CONTENT_TYPES[told.kind]
        headers["content-disposition"] = "attachment"  # else browsers would show some of them
    if told.etag is not None:
        headers["etag"] = told.etag
    if not isinstance(told.kind, Sidecar):
        headers["vary"] = "Accept"  # devpi-client is told of the file at the same URL
    return headers


def _not_modified(headers: dict[str, str]) -> Response:
    del headers["content-type"]
    return Response(status_code=304, headers=headers)


def _cache_control(kind: Sidecar | AttachmentKind | None, *, is_public: bool) -> str:
    if kind is Sidecar.PROVENANCE:  # PEP 740 lets it grow
        return "no-cache" if is_public else "private, no-cache"
    return f"{'public' if is_public else 'private'}, max-age=31536000, immutable"


class _FileResponse(Response):
    """Sends a part of an open file with constant memory, and closes it.

    A server that offers to send whole files by their paths (ASGI's extension for that) does so.
    """

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
            elif self.status_code == 200 and _PATHSEND in scope.get("extensions", {}):
                await send({"type": _PATHSEND, "path": self._content.name})
            else:
                await self._send_body(receive, send)
        finally:
            self._content.close()

    async def _send_body(self, receive: Receive, send: Send) -> None:
        reading = wrap(self._content)
        await reading.seek(self._part.first)
        left = self._part.size_bytes
        # To send to a client that has gone is no error in ASGI: the rest would be read for nobody.
        gone = asyncio.create_task(client_gone(receive))
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
