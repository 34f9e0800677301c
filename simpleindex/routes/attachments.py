"""What belongs to releases beside their files: pages of documentation, and results of tests."""

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import BinaryIO
from urllib.parse import quote

from packaging.version import Version
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from simpleindex.access import Principal, Rules, is_public
from simpleindex.errors import Forbidden
from simpleindex.reading import Reader
from simpleindex.releases import keep_result
from simpleindex.routes.asking import (
    asked_index,
    asked_place,
    asked_project,
    bounded_body,
    in_thread,
)
from simpleindex.routes.doorkeeper import Doorkeeper
from simpleindex.routes.readers import Readers, project_of
from simpleindex.wire import browser_headers, devpi_json
from simpleindex.wire.conditional import matches_none
from simpleindex.wire.locations import FileAt, PagesAt
from simpleindex.wire.pages import content_type_of
from simpleindex.wire.tox_json import RESULT_BYTES_MAX, check_result
from simpleindex_storage.documentation import Documentation
from simpleindex_storage.errors import NotStored, Refused
from simpleindex_storage.model import Attachment, AttachmentKind, DistFile, Index
from simpleindex_storage.names import (
    IndexName,
    ProjectName,
    parse_version,
    same_version,
)
from simpleindex_storage.ports import Snapshot
from simpleindex_storage.store import Store

_SMALL_BYTES = 256 << 10
"""A page up to this size is read in one hop."""

_LATEST, _STABLE = "latest", "stable"


@dataclass(frozen=True, slots=True)
class AttachmentsDoor:
    """Pages out, results in."""

    store: Store
    doorkeeper: Doorkeeper
    readers: Readers
    rules: Rules
    now: Callable[[], datetime]

    async def page(self, request: Request, at: PagesAt) -> Response:
        """A page of a release's documentation; to a folder without its slash, the way there."""
        if not at.slash and not at.path:
            return _redirect(request, "+doc" if at.is_long else "+d")
        is_head = request.method == "HEAD"
        found = await self.readers.read(
            request, lambda reader: self._page(reader, at, is_head=is_head)
        )
        if found is None:
            return _redirect(request, at.path.rpartition("/")[2])
        return _answer(request, found)

    async def take_result(self, request: Request, at: FileAt) -> Response:
        """Take the result of a test of a file, in JSON; its place."""
        principal = await self.doorkeeper.identify(request)
        file = await in_thread(lambda: self._tested(principal, at))
        body = await bounded_body(request, "a test result", RESULT_BYTES_MAX)

        def keep() -> Attachment:
            check_result(body)
            return keep_result(self.store, file, body, by=principal.actor, now=self.now)

        result = await in_thread(keep)
        reply = devpi_json.reply(f"{result.place.path}#sha256={result.sha256}", "toxresultpath")
        return Response(reply, media_type=devpi_json.MEDIA_TYPE)

    def _tested(self, principal: Principal, at: FileAt) -> DistFile:
        place = asked_place(at)
        index = place.index
        with self.store.catalog.snapshot() as seen:
            known, file = seen.index(index), seen.file_at(place)
            if known is not None and not self.rules.may_upload_some(principal, known):
                # Else whoever may not read could find out what is there.
                Reader(self.rules, principal).require(known, project_of(place))
            if known is None or file is None:
                raise NotStored(f"file {at.filename}")
            if not self.rules.may_upload_result(principal, known, file.project):
                who = f"user {principal.name}" if principal.name else "somebody not logged in"
                raise Forbidden(
                    f"{who} may not send results of tests to {index}; its "
                    "acl_toxresult_upload names who may"
                )
        return file

    def _page(self, reader: Reader, at: PagesAt, *, is_head: bool) -> "_Page | None":
        """A page that is open, if it is large, or whole; None for a folder without its slash."""
        with self.store.catalog.snapshot() as seen:
            index, project = _named(seen, at)
            reader.require(index, project)
            kept = _documentation(seen, at, project)
        _, content = self.store.open_attachment(kept.place)
        try:
            pages = Documentation(content, kept.place.filename)
            path = f"{at.path}/" if at.path and at.slash else at.path
            try:
                entry = pages.page(path)
            except NotStored:
                if path and not at.slash and pages.is_folder(path):
                    content.close()
                    return None
                raise
            blocks = pages.blocks(entry)
            page = _Page(entry.name, kept.sha256, entry.size_bytes, is_public(index.settings))
            if entry.size_bytes > _SMALL_BYTES and not is_head:
                return replace(page, content=content, blocks=blocks)
            with content:
                return replace(page, body=b"" if is_head else b"".join(blocks))
        except BaseException:
            content.close()
            raise


@dataclass(frozen=True, slots=True)
class _Page:
    name: str
    sha256: str
    """Of all the documentation, which tells versions of one page apart as well."""
    size_bytes: int
    is_public: bool
    body: bytes = b""
    content: BinaryIO | None = None
    """What the blocks are read from, of a page that is large."""
    blocks: Iterator[bytes] | None = None


def _answer(request: Request, page: _Page) -> Response:
    etag = f'"{page.sha256}"'
    headers = {
        "cache-control": "no-cache" if page.is_public else "private, no-cache",
        "etag": etag,
        **browser_headers.DOCUMENTATION_PAGE,
    }
    if matches_none(request.headers.get("if-none-match"), etag):
        if page.content is not None:
            page.content.close()
        return Response(status_code=304, headers=headers)
    headers |= {"content-type": content_type_of(page.name), "content-length": str(page.size_bytes)}
    if page.content is None or page.blocks is None:
        return Response(page.body, headers=headers)
    return _LargePage(page.content, page.blocks, headers)


class _LargePage(StreamingResponse):
    """Sends a page block by block, and closes what it is read from."""

    def __init__(self, content: BinaryIO, blocks: Iterator[bytes], headers: dict[str, str]) -> None:
        super().__init__(_in_threads(blocks), headers=headers)
        self._content = content

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._content.close()


async def _in_threads(blocks: Iterator[bytes]) -> AsyncIterator[bytes]:
    while block := await in_thread(lambda: next(blocks, b"")):
        yield block


def _redirect(request: Request, last: str) -> Response:
    """To the same folder, with its slash; relative, so that it holds behind any proxy."""
    query = request.scope.get("query_string", b"").decode("latin-1")
    target = f"./{quote(last, safe='+')}/" + (f"?{query}" if query else "")
    return RedirectResponse(target, status_code=302)


def _named(seen: Snapshot, at: PagesAt) -> tuple[Index, ProjectName]:
    name = asked_index(at.user, at.index)
    index = seen.index(name)
    if index is None:
        raise NotStored(f"index {name}")
    return index, asked_project(at.project)


def _documentation(seen: Snapshot, at: PagesAt, project: ProjectName) -> Attachment:
    """That of a version, of the highest one that has any, or of the highest that is final."""
    missing = NotStored(f"documentation of {project} {at.version[:80]!r}")
    try:
        kept = _all_documentation(seen, asked_index(at.user, at.index), project)
        if at.version in (_LATEST, _STABLE):
            kept = [
                each
                for each in kept
                if at.version == _LATEST or not Version(each.version).is_prerelease
            ]
        else:
            version = parse_version(at.version)
            kept = [each for each in kept if same_version(each.version, version)]
    except Refused:
        raise missing from None
    if not kept:
        raise missing
    return max(kept, key=lambda each: Version(each.version))


def _all_documentation(seen: Snapshot, index: IndexName, project: ProjectName) -> list[Attachment]:
    attached = seen.attachments(index, project)
    return [each for each in attached if each.kind is AttachmentKind.DOCUMENTATION]
