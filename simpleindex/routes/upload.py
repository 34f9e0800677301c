"""The way in: a form with a file, as devpi-client, twine, uv and others post it."""

import logging
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from simpleindex.access import Principal, Rules
from simpleindex.errors import Forbidden, NotAuthenticated, RequestError, TooLarge, status_of
from simpleindex.events import Count, Event
from simpleindex.releases import keep_documentation, register_release
from simpleindex.routes.asking import (
    bounded_body,
    credentials_of,
    in_thread,
)
from simpleindex.routes.doorkeeper import Doorkeeper
from simpleindex.wire import upload_form
from simpleindex.wire.locations import IndexAt, ListAt, UploadAt
from simpleindex.wire.multipart import (
    TEXT_BYTES_MAX,
    Field,
    FileChunk,
    FileStart,
    MultipartParser,
    Signature,
)
from simpleindex_storage.errors import NotStored, Refused, StoreError
from simpleindex_storage.model import (
    Actor,
    Index,
    MirrorSettings,
    Outcome,
    Release,
    Staged,
    StageSettings,
)
from simpleindex_storage.names import IndexName, ProjectName, index_name, parse_filename
from simpleindex_storage.ports import Draft
from simpleindex_storage.store import Store

_log = logging.getLogger("simpleindex")

_FORM_BYTES_MAX = 8 << 20
"""What a form may have around its file: text fields, part headers, boundaries."""
_URLENCODED = "application/x-www-form-urlencoded"
_WRITE_BYTES = 1 << 20
"""How much is gathered before it goes to a thread: small files cost one hop in all."""


@dataclass(frozen=True, slots=True)
class UploadDoor:
    """Takes files into indexes."""

    store: Store
    doorkeeper: Doorkeeper
    rules: Rules
    upload_bytes_max: int
    now: Callable[[], datetime]
    count: Count

    async def receive(self, request: Request, at: IndexAt | ListAt | UploadAt) -> Response:
        """Receive one file, documentation or a registration; 200 once it is stored to stay."""
        try:
            taken = await self._receive(request, at)
        except (StoreError, RequestError) as error:
            refused = status_of(error) < 500
            self.count(Event.UPLOAD_REFUSED if refused else Event.UPLOAD_FAILED, 1)
            raise
        except ClientDisconnect:
            self.count(Event.UPLOAD_CUT, 1)
            raise
        self.count(taken.event, 1)
        return Response(
            "".join(f"taken, but {remark}\n" for remark in taken.remarks),
            media_type="text/plain",
        )

    async def _receive(self, request: Request, at: IndexAt | ListAt | UploadAt) -> "_Taken":
        """As `receive`.

        Who is asking is settled before anything is read: an unknown sender gets 401 whatever the
        URL names, so that names of indexes cannot be tried out.
        """
        came_with_some = credentials_of(request) is not None
        permit = await self.doorkeeper.identify_and(
            request, lambda principal: self._permit(principal, at, came_with_some)
        )
        declared = request.headers.get("content-length", "0")
        if declared.isdecimal() and int(declared[:20]) > self.upload_bytes_max + _FORM_BYTES_MAX:
            raise self._too_large()
        reception = _Reception(self.store, self.upload_bytes_max)
        try:
            await self._read(request, reception)
            taken = await in_thread(lambda: reception.store(permit, self.now))
        finally:
            if not reception.is_closed:
                await in_thread(reception.close)
        for remark in taken.remarks:
            _log.warning("%s took an odd file from %s: %s", permit.index, permit.by.name, remark)
        return taken

    def _permit(
        self, principal: Principal, at: IndexAt | ListAt | UploadAt, came_with_some: bool
    ) -> "_Permit":
        """Who may upload where. Raises what stands in the way."""
        found, name = None, None
        try:
            name = index_name(at.user, at.index)
            with self.store.catalog.snapshot() as seen:
                found = seen.index(name)
        except Refused:
            pass  # such an index cannot exist
        if found is not None and self.rules.may_upload_some(principal, found):
            return _Permit(found.name, principal.actor, self._allowed(principal, found))
        if principal.name is None:
            raise NotAuthenticated(
                "the user name or the password is wrong"
                if came_with_some
                else "uploading to this index needs a user name and a password",
                www_authenticate='Basic realm="simpleindex-server"',
            )
        if name is not None and found is None and self.rules.may_make_by_upload(principal, name):
            settings = StageSettings(volatile=False, acl_upload=(principal.name,))
            made = Index(name, settings, automatic=True)
            return _Permit(name, principal.actor, self._allowed(principal, made), made)
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

    def _allowed(self, principal: Principal, index: Index) -> "Callable[[ProjectName], bool]":
        return lambda project: self.rules.may_upload(principal, index, project)

    async def _read(self, request: Request, reception: "_Reception") -> None:
        content_type = request.headers.get("content-type", "")
        if content_type.partition(";")[0].strip().lower() == _URLENCODED:
            reception.fields = upload_form.parse_urlencoded(
                await bounded_body(request, "a form without a file", TEXT_BYTES_MAX)
            )
            return
        reader = MultipartParser(content_type)
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


_EVENTS: Mapping[Outcome, Event] = {
    Outcome.ADDED: Event.UPLOAD_ADDED,
    Outcome.REPLACED: Event.UPLOAD_REPLACED,
    Outcome.ALREADY_THERE: Event.UPLOAD_ALREADY_THERE,
}


@dataclass(frozen=True, slots=True)
class _Permit:
    """Where a file may go, and in whose name."""

    index: IndexName
    by: Actor
    allows: Callable[[ProjectName], bool]
    make_index: Index | None = None
    """The index as it is to be made, if it is not there yet."""

    def require(self, project: ProjectName) -> None:
        """Whether it holds for a project, which only the form tells. Raises Forbidden."""
        if not self.allows(project):
            raise Forbidden(
                f"{self.by.name or 'somebody who is not logged in'} may not upload {project} to "
                f"{self.index}; its acl_project_upload, or the token, names who may"
            )


@dataclass(frozen=True, slots=True)
class _Taken:
    """What has been stored."""

    event: Event
    remarks: tuple[str, ...] = ()
    """What is wrong with it that its index let pass."""


class _Reception:
    """What has been received of one upload. The methods that wait for the disk say so."""

    def __init__(self, store: Store, upload_bytes_max: int) -> None:
        self.fields: list[tuple[str, str]] = []
        self.filename: str | None = None
        self.signature: bytes | None = None
        self.size_bytes = 0
        self.waiting_bytes = 0
        self.is_closed = False
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

    def store(self, permit: _Permit, now: Callable[[], datetime]) -> "_Taken":
        """All is there: check and store it, and close. Waits for the disk."""
        try:
            return self.admit(permit, now)
        finally:
            self.close()

    def admit(self, permit: _Permit, now: Callable[[], datetime]) -> "_Taken":
        """Check and store what is there. Waits for the disk."""
        action = upload_form.action_of(self.fields)
        if action is upload_form.Action.SUBMIT:
            if self.filename is not None:
                raise Refused(
                    "upload", "':action' is 'submit', which takes no file; send 'file_upload'"
                )
            self._register(permit)
            return _Taken(Event.UPLOAD_REGISTERED)
        if self.filename is None:
            raise Refused("upload", "the form has no file in its field 'content'")
        if action is upload_form.Action.DOCUMENTATION:
            self._keep_documentation(permit, self.filename, now)
            return _Taken(Event.UPLOAD_DOCUMENTATION)
        return self._admit(permit, self.filename)

    def close(self) -> None:
        """Remove what was not stored. Waits for the disk."""
        self.is_closed = True
        self._drafts.close()

    def _register(self, permit: _Permit) -> None:
        form = upload_form.parse_submit(self.fields)
        permit.require(form.project)
        release = Release(permit.index, form.project, form.version, form.fields)
        register_release(
            self._store,
            release,
            form.display_name,
            by=permit.by,
            make_index=permit.make_index,
        )

    def _keep_documentation(
        self, permit: _Permit, filename: str, now: Callable[[], datetime]
    ) -> None:
        form = upload_form.parse_documentation(self.fields, filename)
        permit.require(form.project)
        keep_documentation(
            self._store,
            self._finish(),
            permit.index,
            form.project,
            form.version,
            by=permit.by,
            now=now,
            make_index=permit.make_index,
        )

    def _admit(self, permit: _Permit, filename: str) -> "_Taken":
        upload = upload_form.parse(
            self.fields,
            filename,
            index=permit.index,
            sender=permit.by.name,
            signature=self.signature,
        )
        permit.require(parse_filename(filename).project)
        (admitted,) = self._store.admit(
            [(upload, self._finish())], by=permit.by, make_index=permit.make_index
        )
        return _Taken(_EVENTS[admitted.outcome], admitted.remarks)

    def _finish(self) -> Staged:
        self.write()
        assert self._draft is not None
        return self._draft.finish()
