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
from starlette.types import Receive, Scope, Send

from simpleindex.counted import Counted
from simpleindex.errors import (
    SERVER_FAILED,
    Forbidden,
    MethodNotAllowed,
    NotFound,
    RequestError,
    UpstreamIsUs,
    one_line,
    reason_of,
    refusal,
)
from simpleindex.events import Door
from simpleindex.hot import Agreed
from simpleindex.routes.asking import accept_of, hops_of, origin_of, path_of
from simpleindex.routes.attachments import AttachmentsDoor
from simpleindex.routes.devpi import DevpiDoor
from simpleindex.routes.documents import DocumentsDoor
from simpleindex.routes.files import FilesDoor
from simpleindex.routes.health import HealthDoor
from simpleindex.routes.indexes import IndexesDoor
from simpleindex.routes.marks import MarksDoor
from simpleindex.routes.metrics import MetricsDoor
from simpleindex.routes.push import PushDoor
from simpleindex.routes.releases import ReleasesDoor
from simpleindex.routes.seen import say_agreed, say_door, usual_door
from simpleindex.routes.simple import SimpleDoor
from simpleindex.routes.tokens import TokensDoor
from simpleindex.routes.upload import UploadDoor
from simpleindex.routes.users import UsersDoor
from simpleindex.routes.web import WebDoor
from simpleindex.secrets_in_urls import without_account
from simpleindex.version import __version__
from simpleindex.wire.browser_headers import OPEN_TO_OTHER_SITES, completed
from simpleindex.wire.locations import (
    Api,
    AuthCheck,
    FileAt,
    HealthAt,
    IndexAt,
    JsonAt,
    ListAt,
    Location,
    Login,
    MetricsAt,
    PageAt,
    PagesAt,
    ProjectAt,
    RefreshAt,
    Root,
    SearchAt,
    StatusAt,
    TokenAt,
    TokensAt,
    UploadAt,
    UserAt,
    VersionAt,
    locate,
)
from simpleindex.wire.negotiate import names_html, names_json
from simpleindex.wire.origin import is_from_elsewhere
from simpleindex_storage.errors import StoreError
from simpleindex_storage.ports import Catalog

_log = logging.getLogger("simpleindex")

Handler: TypeAlias = Callable[[], Awaitable[Response]]

_OnlyRead: TypeAlias = (
    Root | StatusAt | HealthAt | MetricsAt | Api | PageAt | PagesAt | JsonAt | SearchAt
)

_READING = ("GET", "HEAD")


@dataclass(frozen=True, slots=True)
class Front:
    """All doors of one server, as one ASGI application."""

    catalog: Catalog
    agreed: Agreed
    simple: SimpleDoor
    files: FilesDoor
    upload: UploadDoor
    push: PushDoor
    attachments: AttachmentsDoor
    devpi: DevpiDoor
    users: UsersDoor
    indexes: IndexesDoor
    releases: ReleasesDoor
    marks: MarksDoor
    documents: DocumentsDoor
    tokens: TokensDoor
    web: WebDoor
    health: HealthDoor
    metrics: MetricsDoor
    counted: Counted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        # Of a read, the serial from before: what is shown is that new at least. Of a change, the
        # one after it.
        serial = None
        if request.method in _READING:
            agreed = self.agreed()
            say_agreed(scope, agreed)
            serial = self.catalog.settled_serial() if agreed is None else agreed[0]
        response = await self._response(request)
        if response is not None:
            told = self.catalog.settled_serial() if serial is None else serial
            response.raw_headers = [*completed(response.raw_headers), *self._devpi_headers(told)]
            await response(scope, receive, send)

    async def _response(self, request: Request) -> Response | None:
        location = locate(path_of(request))
        say_door(request.scope, usual_door(location, request.method))
        try:
            self._check(request)
            return await self._handler(request, location)()
        except (StoreError, RequestError) as error:
            self.counted.refused(reason_of(error))
            if request.method not in _READING:
                # Some clients show the status alone, so that nobody else would see the reason.
                told = one_line(str(error))
                _log.warning("%s %r refused: %s", request.method, _shown_path(request), told)
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
            self.counted.refused(SERVER_FAILED)
            _log.exception("%s %r failed", request.method, _shown_path(request))
            return Response("the server failed; its log says why\n", 500, media_type="text/plain")

    def _check(self, request: Request) -> None:
        """What may stand in the way of any request. Raises RequestError."""
        if self.catalog.uuid in hops_of(request):
            raise UpstreamIsUs(
                "this server is asked by way of its own mirrors; see to it that no mirror_url "
                "leads back here"
            )
        if "transfer-encoding" in request.headers and "content-length" in request.headers:
            # RFC 9112, 6.1: a front server may have taken the other one, and with it the end of
            # the body for the next request. So there is none after it.
            raise RequestError(
                "the length of the body is told twice, by Content-Length and by "
                "Transfer-Encoding; send one of them",
                connection="close",
            )
        if request.method not in _READING:
            self._check_sender(request)

    def _check_sender(self, request: Request) -> None:
        """Raises Forbidden for what a page of another site lets a browser send."""
        root_url = origin_of(request, self.web.outside_url, self.web.trusted_proxy)
        if is_from_elsewhere(request.headers, root_url):
            raise Forbidden(
                "a page of another site sent this, and such pages may not change anything here; if "
                "it is this site's own, set outside_url to its URL"
            )

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
            case AuthCheck():
                return dict.fromkeys(("GET", request.method), lambda: self.devpi.check(request))
            case UserAt() | TokensAt() | TokenAt():
                return self._handlers_of_user(request, location)
            case IndexAt():
                return {
                    "GET": lambda: self._index(request, location),
                    "PUT": lambda: self.indexes.create(request, location),
                    "PATCH": lambda: self.indexes.modify(request, location),
                    "DELETE": lambda: self.indexes.remove(request, location),
                    "POST": lambda: self._post(request, location),
                    "PUSH": lambda: self.push.push(request, location),
                }
            case ListAt():
                return {
                    "GET": lambda: self.simple.list_page(request, location),
                    "POST": lambda: self.upload.receive(request, location),
                }
            case RefreshAt():
                return {"POST": lambda: self.releases.refresh(request, location)}
            case UploadAt():
                return {"POST": lambda: self.upload.receive(request, location)}
            case ProjectAt():
                return {
                    "GET": lambda: self._project(request, location),
                    "PATCH": lambda: self.marks.set_status(request, location),
                    "DELETE": lambda: self.releases.remove_project(request, location),
                }
            case VersionAt():
                return {
                    "GET": lambda: self._release(request, location),
                    "PATCH": lambda: self.marks.yank(request, location),
                    "DELETE": lambda: self.releases.remove_release(request, location),
                }
            case FileAt(sidecar=None):
                return {
                    "GET": lambda: self._file(request, location),
                    "POST": lambda: self.attachments.take_result(request, location),
                    "DELETE": lambda: self.releases.remove_file(request, location),
                }
            case FileAt():
                return {"GET": lambda: self.files.file(request, location)}
            case _:
                return {"GET": lambda: self._read(request, location)}

    def _handlers_of_user(
        self, request: Request, location: UserAt | TokensAt | TokenAt
    ) -> Mapping[str, Handler]:
        match location:
            case UserAt():
                return {
                    "GET": lambda: self.users.show(request, location),
                    "PUT": lambda: self.users.create(request, location),
                    "PATCH": lambda: self.users.modify(request, location),
                    "DELETE": lambda: self.users.remove(request, location),
                }
            case TokensAt():
                return {
                    "GET": lambda: self.tokens.list_all(request, location),
                    "POST": lambda: self.tokens.create(request, location),
                }
            case TokenAt():
                return {"DELETE": lambda: self.tokens.revoke(request, location)}

    async def _read(self, request: Request, location: _OnlyRead) -> Response:
        """What can be done where nothing else can be done."""
        match location:
            case Root():
                return await self._root(request)
            case StatusAt():
                return await self.devpi.status(request)
            case HealthAt():
                return await self.health.tell(location)
            case MetricsAt():
                return await self.metrics.tell(request)
            case Api():
                return await self.devpi.api(request, location)
            case PageAt():
                return await self.simple.project_page(request, location)
            case JsonAt():
                return await self.documents.project(request, location)
            case SearchAt():
                return await self.documents.search(request, location)
            case PagesAt():
                return await self.attachments.page(request, location)

    async def _root(self, request: Request) -> Response:
        """People get a page; devpi-client, and whoever says nothing, the users."""
        accept = accept_of(request)
        if names_html(accept) and not names_json(accept):
            say_door(request.scope, Door.WEB)
            return await self.web.start(request)
        return await self.users.list_all(request)

    async def _post(self, request: Request, at: IndexAt) -> Response:
        """A form, or, where PUSH does not get through, what would be pushed."""
        content_type = request.headers.get("content-type", "").partition(";")[0]
        if content_type.strip().lower() == "application/json":
            say_door(request.scope, Door.PUSH)
            return await self.push.push(request, at)
        return await self.upload.receive(request, at)

    async def _index(self, request: Request, at: IndexAt) -> Response:
        """devpi's object for those who name JSON; for everybody else the list of projects.

        Installers whose index URL ends here send any Accept there is, so it must be so (the
        URL that OMFLOW hosts are given has no `+simple`).
        """
        if names_json(accept_of(request)):
            say_door(request.scope, Door.DEVPI)
            return await self.indexes.show(request, at)
        return await self.simple.list_page(request, at)

    async def _project(self, request: Request, at: ProjectAt) -> Response:
        """devpi's object for those who name JSON; for everybody else the page of the project."""
        if names_json(accept_of(request)):
            say_door(request.scope, Door.DEVPI)
            return await self.releases.project(request, at)
        return await self.simple.project_page(request, at)

    async def _release(self, request: Request, at: VersionAt) -> Response:
        if names_json(accept_of(request)):
            return await self.releases.release(request, at)
        raise NotFound(
            f"there is no page of a single release; those of {at.project[:80]} are on its page"
        )

    async def _file(self, request: Request, at: FileAt) -> Response:
        """The bytes, but what is known of them for those who name JSON."""
        if names_json(accept_of(request)):
            say_door(request.scope, Door.DEVPI)
            return await self.releases.file(request, at)
        return await self.files.file(request, at)

    def _devpi_headers(self, serial: int) -> list[tuple[bytes, bytes]]:
        """devpi-client warns at every command about a server that does not send these."""
        uuid = self.catalog.uuid.encode()
        return [
            (b"x-devpi-api-version", b"2"),
            (b"x-devpi-server-version", __version__.encode()),
            (b"x-devpi-serial", b"%d" % serial),
            (b"x-devpi-uuid", uuid),
            (b"x-devpi-master-uuid", uuid),
            (b"x-devpi-primary-uuid", uuid),
        ]


_NOTHING = "there is nothing at this URL; pages of packages are at /USER/INDEX/+simple/"


def _is_devpi_upload(request: Request) -> bool:
    """devpi-client shows of a refused upload only this kind of JSON, but accepts `*/*`."""
    agent = request.headers.get("user-agent", "")
    return request.method == "POST" and (
        "x-devpi-auth" in request.headers or agent.startswith("devpi-client/")
    )


def _shown_path(request: Request) -> str:
    """For logs: what is asked of a proxy is a whole URL, in which a password may be."""
    return without_account(path_of(request))


def _index_of(location: Location) -> str:
    """The index below which a URL lies, or how to name one."""
    without = (
        Root | Login | StatusAt | HealthAt | MetricsAt | AuthCheck | UserAt | TokensAt | TokenAt
    )
    if isinstance(location, without) or location.index is None:
        return "USER/INDEX"
    return f"{location.user[:80]}/{location.index[:80]}" if location.user else "USER/INDEX"
