"""The way in: a form with a file, as devpi-client, twine, uv and others post it."""

import logging
from contextlib import ExitStack
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from simpleindex.access import Principal, Rules
from simpleindex.errors import Forbidden, NotAuthenticated, TooLarge
from simpleindex.routes.asking import credentials_of, in_thread
from simpleindex.routes.doorkeeper import Doorkeeper
from simpleindex.wire import upload_form
from simpleindex.wire.locations import IndexAt, ListAt, UploadAt
from simpleindex.wire.multipart import (
    Field,
    FileChunk,
    FileStart,
    MultipartParser,
    Signature,
)
from simpleindex_storage.errors import NotStored, Refused
from simpleindex_storage.model import Admitted, Index, MirrorSettings, Staged, StageSettings
from simpleindex_storage.names import IndexName, index_name
from simpleindex_storage.ports import Draft
from simpleindex_storage.store import Store

_log = logging.getLogger("simpleindex")

_FORM_BYTES_MAX = 8 << 20
"""What a form may have around its file: text fields, part headers, boundaries."""
_WRITE_BYTES = 1 << 20
"""How much is gathered before it goes to a thread: small files cost one hop in all."""


@dataclass(frozen=True, slots=True)
class UploadDoor:
    """Takes files into indexes."""

    store: Store
    doorkeeper: Doorkeeper
    rules: Rules
    upload_bytes_max: int

    async def receive(self, request: Request, at: IndexAt | ListAt | UploadAt) -> Response:
        """Receive one file; 200 once it is stored to stay.

        Who is asking is settled before anything is read: an unknown sender gets 401 whatever the
        URL names, so that names of indexes cannot be tried out.
        """
        principal = await self.doorkeeper.identify(request)
        came_with_some = credentials_of(request) is not None
        permit = await in_thread(lambda: self._permit(principal, at, came_with_some))
        declared = request.headers.get("content-length", "0")
        if declared.isdecimal() and int(declared[:20]) > self.upload_bytes_max + _FORM_BYTES_MAX:
            raise self._too_large()
        reception = _Reception(self.store, self.upload_bytes_max)
        try:
            await self._read(request, reception)
            admitted = await in_thread(lambda: reception.admit(permit))
        finally:
            await in_thread(reception.close)
        for remark in admitted.remarks:
            _log.warning("%s took an odd file from %s: %s", permit.index, permit.sender, remark)
        return Response(
            "".join(f"taken, but {remark}\n" for remark in admitted.remarks),
            media_type="text/plain",
        )

    def _permit(
        self, principal: Principal, at: IndexAt | ListAt | UploadAt, came_with_some: bool
    ) -> "_Permit":
        """Who may upload where. Raises what stands in the way."""
        sender = principal.name or ""
        found, name = None, None
        try:
            name = index_name(at.user, at.index)
            with self.store.catalog.snapshot() as seen:
                found = seen.index(name)
        except Refused:
            pass  # such an index cannot exist
        if found is not None and self.rules.may_upload(principal, found.settings):
            return _Permit(found.name, sender)
        if principal.name is None:
            raise NotAuthenticated(
                "the user name or the password is wrong"
                if came_with_some
                else "uploading to this index needs a user name and a password",
                www_authenticate='Basic realm="simpleindex-server"',
            )
        if name is not None and found is None and self.rules.may_make_by_upload(principal, name):
            settings = StageSettings(volatile=False, acl_upload=(principal.name,))
            return _Permit(name, sender, Index(name, settings, automatic=True))
        if found is None:
            raise NotStored(
                f"index {at.user[:80]}/{at.index[:80]}",
                "create it with `devpi index -c`, or check the URL",
            )
        if isinstance(found.settings, MirrorSettings):
            raise Forbidden(f"{found.name} mirrors another index, and takes no uploads")
        raise Forbidden(
            f"{principal.name} may not upload to {found.name}; its acl_upload names who may"
        )

    async def _read(self, request: Request, reception: "_Reception") -> None:
        reader = MultipartParser(request.headers.get("content-type", ""))
        async for chunk in request.stream():
            for event in reader.feed(chunk):
                match event:
                    case Field(name, value):
                        reception.fields.append((name, value))
                    case FileStart(_, filename):
                        reception.filename = filename
                    case FileChunk(data):
                        reception.add(data)
                    case Signature(content):
                        reception.signature = content
            if reception.size_bytes > self.upload_bytes_max:
                raise self._too_large()
            if reception.waiting_bytes >= _WRITE_BYTES:
                await in_thread(reception.write)
        reader.finish()

    def _too_large(self) -> TooLarge:
        return TooLarge(
            f"the file is over the limit of {self.upload_bytes_max} bytes; the server's setting "
            "upload_bytes_max raises it"
        )


@dataclass(frozen=True, slots=True)
class _Permit:
    """Where a file may go, and in whose name."""

    index: IndexName
    sender: str
    make_index: Index | None = None
    """The index as it is to be made, if it is not there yet."""


class _Reception:
    """What has been received of one upload. The methods that wait for the disk say so."""

    def __init__(self, store: Store, upload_bytes_max: int) -> None:
        self.fields: list[tuple[str, str]] = []
        self.filename: str | None = None
        self.signature: bytes | None = None
        self.size_bytes = 0
        self.waiting_bytes = 0
        self._store = store
        self._waiting: list[bytes] = []
        self._drafts = ExitStack()
        self._draft: Draft | None = None

    def add(self, data: bytes) -> None:
        """Gather bytes of the file."""
        self._waiting.append(data)
        self.waiting_bytes += len(data)
        self.size_bytes += len(data)

    def write(self) -> None:
        """Put what was gathered into the draft. Waits for the disk."""
        if self._draft is None:
            self._draft = self._drafts.enter_context(self._store.stage())
        self._draft.write(b"".join(self._waiting))
        self._waiting.clear()
        self.waiting_bytes = 0

    def admit(self, permit: _Permit) -> Admitted:
        """All is there: check and store it. Waits for the disk."""
        if self.filename is None:
            raise Refused("upload", "the form has no file in its field 'content'")
        upload = upload_form.parse(
            self.fields,
            self.filename,
            index=permit.index,
            sender=permit.sender,
            signature=self.signature,
        )
        (admitted,) = self._store.admit([(upload, self._finish())], make_index=permit.make_index)
        return admitted

    def close(self) -> None:
        """Remove what was not stored. Waits for the disk."""
        self._drafts.close()

    def _finish(self) -> Staged:
        self.write()
        assert self._draft is not None
        return self._draft.finish()
