"""The front door: finds out what a URL names, and calls the door that serves it.

Plain ASGI instead of a list of routes: devpi's layout lets several things share a URL, told apart
by method and headers, and matching a path once is also faster than trying routes in turn.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from simpleindex.errors import MethodNotAllowed, NotFound, RequestError, one_line, refusal
from simpleindex.routes.asking import accept_of, path_of
from simpleindex.routes.devpi import DevpiDoor
from simpleindex.routes.documents import OPEN_TO_OTHER_SITES, DocumentsDoor
from simpleindex.routes.files import FilesDoor
from simpleindex.routes.marks import MarksDoor
from simpleindex.routes.simple import SimpleDoor
from simpleindex.routes.upload import UploadDoor
from simpleindex.routes.web import WebDoor
from simpleindex.version import __version__
from simpleindex.wire.locations import (
    Api,
    FileAt,
    IndexAt,
    JsonAt,
    ListAt,
    Location,
    Login,
    PageAt,
    ProjectAt,
    Root,
    SearchAt,
    UploadAt,
    UserAt,
    VersionAt,
    locate,
)
from simpleindex.wire.negotiate import choose, names_html, names_json
from simpleindex_storage.errors import StoreError
from simpleindex_storage.ports import Catalog

_log = logging.getLogger("simpleindex")

Handler: TypeAlias = Callable[[], Awaitable[Response]]

_OnlyRead: TypeAlias = Root | Api | PageAt | JsonAt | SearchAt | FileAt

_READING = ("GET", "HEAD")


@dataclass(frozen=True, slots=True)
class Front:
    """All doors of one server, as one ASGI application."""

    catalog: Catalog
    simple: SimpleDoor
    files: FilesDoor
    upload: UploadDoor
    devpi: DevpiDoor
    marks: MarksDoor
    documents: DocumentsDoor
    web: WebDoor

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        response = await self._response(request)
        if response is not None:
            await response(scope, receive, self._with_devpi_headers(send))

    async def _response(self, request: Request) -> Response | None:
        location = locate(path_of(request))
        try:
            return await self._handler(request, location)()
        except (StoreError, RequestError) as error:
            if request.method not in _READING:
                # Some clients show the status alone, so that nobody else would see the reason.
                told = one_line(str(error))
                _log.warning("%s %r refused: %s", request.method, path_of(request), told)
            is_document = isinstance(location, JsonAt | SearchAt)
            answer = refusal(
                error,
                as_json=is_document or names_json(accept_of(request)),
                as_log=_is_devpi_upload(request),
            )
            if is_document:
                answer.headers.update(OPEN_TO_OTHER_SITES)
            return answer
        except ClientDisconnect:
            return None  # there is nobody to answer
        except Exception:
            _log.exception("%s %r failed", request.method, path_of(request))
            return Response("the server failed; its log says why\n", 500, media_type="text/plain")

    def _handler(self, request: Request, location: Location | None) -> Handler:
        """The door's method for a request. Raises NotFound, MethodNotAllowed."""
        if location is None:
            raise NotFound(_NOTHING)
        handlers = self._handlers(request, location)
        method = "GET" if request.method == "HEAD" else request.method
        if method in handlers:
            return handlers[method]
        if method == "POST":
            raise NotFound(
                f"nothing is taken at this URL; files are uploaded to /{_index_of(location)}/"
            )
        allowed = [*_READING, *handlers] if "GET" in handlers else list(handlers)
        allow = ", ".join(dict.fromkeys(allowed))
        raise MethodNotAllowed(
            f"this version cannot {request.method[:20]} what is at this URL, only {allow}",
            allow=allow,
        )

    def _handlers(self, request: Request, location: Location) -> Mapping[str, Handler]:
        """What can be done at a URL, by method. HEAD goes with GET."""
        match location:
            case Login():
                return {"POST": lambda: self.devpi.login(request)}
            case UserAt():
                return {
                    "GET": lambda: self.devpi.user(request, location),
                    "PUT": lambda: self.devpi.create_user(request, location),
                }
            case IndexAt():
                return {
                    "GET": lambda: self._index(request, location),
                    "PUT": lambda: self.devpi.create_index(request, location),
                    "POST": lambda: self.upload.receive(request, location),
                }
            case ListAt():
                return {
                    "GET": lambda: self.simple.list_page(request, location),
                    "POST": lambda: self.upload.receive(request, location),
                }
            case UploadAt():
                return {"POST": lambda: self.upload.receive(request, location)}
            case ProjectAt():
                return {
                    "GET": lambda: self._project(request, location),
                    "PATCH": lambda: self.marks.set_status(request, location),
                }
            case VersionAt():
                return {
                    "GET": lambda: self._release(location),
                    "PATCH": lambda: self.marks.yank(request, location),
                }
            case _:
                return {"GET": lambda: self._read(request, location)}

    async def _read(self, request: Request, location: _OnlyRead) -> Response:
        """What can be done where nothing else can be done."""
        match location:
            case Root():
                return await self._root(request)
            case Api():
                return await self.devpi.api(request, location)
            case PageAt():
                return await self.simple.project_page(request, location)
            case JsonAt():
                return await self.documents.project(request, location)
            case SearchAt():
                return await self.documents.search(request, location)
            case FileAt():
                return await self.files.file(request, location)

    async def _root(self, request: Request) -> Response:
        """People get a page; devpi-client, and whoever says nothing, the users."""
        accept = accept_of(request)
        if names_html(accept) and not names_json(accept):
            return await self.web.start(request)
        return await self.devpi.users(request)

    async def _index(self, request: Request, at: IndexAt) -> Response:
        """devpi's object for those who name JSON; for everybody else the list of projects.

        Installers whose index URL ends here send any Accept there is, so it must be so (the
        URL that OMFLOW hosts are given has no `+simple`).
        """
        if names_json(accept_of(request)):
            return await self.devpi.index(request, at)
        return await self.simple.list_page(request, at)

    async def _project(self, request: Request, at: ProjectAt) -> Response:
        """A page for everybody; devpi's object of the project, which its client names, is missing.

        It says so instead of the 406 that would follow from the Accept header.
        """
        accept = accept_of(request)
        if names_json(accept) and choose(accept) is None:
            raise NotFound("this version does not list the versions of a project as devpi does yet")
        return await self.simple.project_page(request, at)

    async def _release(self, at: VersionAt) -> Response:
        raise NotFound(
            f"there is no page of a single release; those of {at.project[:80]} are on its page"
        )

    def _with_devpi_headers(self, send: Send) -> Send:
        """devpi-client warns at every command about a server that does not send these."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                uuid = self.catalog.uuid.encode()
                message["headers"] = [
                    *message["headers"],
                    (b"x-devpi-api-version", b"2"),
                    (b"x-devpi-server-version", __version__.encode()),
                    (b"x-devpi-serial", b"%d" % self.catalog.settled_serial()),
                    (b"x-devpi-uuid", uuid),
                    (b"x-devpi-master-uuid", uuid),
                    (b"x-devpi-primary-uuid", uuid),
                ]
            await send(message)

        return send_with_headers


_NOTHING = "there is nothing at this URL; pages of packages are at /USER/INDEX/+simple/"


def _is_devpi_upload(request: Request) -> bool:
    """devpi-client shows of a refused upload only this kind of JSON, but accepts `*/*`."""
    agent = request.headers.get("user-agent", "")
    return request.method == "POST" and (
        "x-devpi-auth" in request.headers or agent.startswith("devpi-client/")
    )


def _index_of(location: Location) -> str:
    """The index below which a URL lies, or how to name one."""
    if isinstance(location, Root | Login | UserAt) or location.index is None:
        return "USER/INDEX"
    return f"{location.user[:80]}/{location.index[:80]}" if location.user else "USER/INDEX"
