"""devpi's JSON API about the server: where everything is, logins, and how it is."""

from contextlib import suppress
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import unquote, urlsplit

from starlette.requests import Request
from starlette.responses import Response

from simpleindex.access import Rules, is_public
from simpleindex.config import Network
from simpleindex.errors import Forbidden, NotAuthenticated
from simpleindex.mirror.known import Mirrored
from simpleindex.reading import Reader
from simpleindex.routes.asking import asked_index, in_thread, json_body, origin_of
from simpleindex.routes.doorkeeper import Doorkeeper
from simpleindex.routes.replies import devpi_reply, told
from simpleindex.version import __version__
from simpleindex.wire import devpi_json, user_json
from simpleindex.wire.credentials import Credentials
from simpleindex.wire.locations import (
    Api,
    FileAt,
    IndexAt,
    JsonAt,
    ListAt,
    Location,
    PageAt,
    PagesAt,
    ProjectAt,
    RefreshAt,
    SearchAt,
    UploadAt,
    VersionAt,
    locate,
)
from simpleindex_storage.errors import NotStored, Refused
from simpleindex_storage.mirrored import Usage
from simpleindex_storage.model import Index, JsonValue, MirrorSettings, StageSettings
from simpleindex_storage.names import (
    IndexName,
    ProjectName,
    index_name,
    parse_filename,
    parse_project_name,
)
from simpleindex_storage.ports import Catalog

_OfProject: TypeAlias = PageAt | RefreshAt | ProjectAt | VersionAt | PagesAt | JsonAt
_OfIndex: TypeAlias = IndexAt | ListAt | SearchAt | UploadAt | FileAt | _OfProject


@dataclass(frozen=True, slots=True)
class DevpiDoor:
    """Discovery, logins and status."""

    catalog: Catalog
    mirrored: Mirrored
    doorkeeper: Doorkeeper
    rules: Rules
    outside_url: str | None
    trusted_proxy: tuple[Network, ...]

    async def api(self, request: Request, at: Api) -> Response:
        """`+api`: where everything is, and whether the client's login still holds."""
        principal = await self.doorkeeper.identify_reader(request)
        root = self._root_url(request)
        status: list[JsonValue] = ["noauth", "", []]
        if principal.name is not None:
            status = ["ok", principal.name, []]
        result: dict[str, JsonValue] = {
            "login": f"{root}/+login",
            "authstatus": status,
            "features": list(devpi_json.FEATURES),
        }
        if at.user is not None and at.index is not None:
            name = asked_index(at.user, at.index)
            index = await in_thread(lambda: self._index(name))
            result["index"] = f"{root}/{name}"
            result["simpleindex"] = f"{root}/{name}/+simple/"
            if isinstance(index.settings, StageSettings):
                result["pypisubmit"] = f"{root}/{name}/"
        return devpi_reply(devpi_json.reply(result, "apiconfig"))

    async def login(self, request: Request) -> Response:
        """`+login`: a token for a password."""
        user, password = user_json.parse_login(await json_body(request))
        known = await self.doorkeeper.log_in(request, Credentials(user, password))
        if known is None:
            raise NotAuthenticated(
                f"user {user[:80]!r} could not be authenticated: the name or the password is wrong"
            )
        _, token = known
        result = user_json.proxy_auth(token, self.doorkeeper.login_seconds)
        return devpi_reply(devpi_json.reply(result, "proxyauth", "login successful"))

    async def status(self, request: Request) -> Response:
        """`+status`: what runs here, without anything that only its admin need know."""
        mirrors = await in_thread(self._mirrors)
        result: dict[str, JsonValue] = {
            "versioninfo": {"simpleindex-server": __version__},
            "role": "MASTER",
            "serial": self.catalog.settled_serial(),
            "uuid": self.catalog.uuid,
            "polling_replicas": {},
            "metrics": [],
            "mirrors": mirrors,
        }
        return devpi_reply(devpi_json.reply(result, "status"))

    def _mirrors(self) -> JsonValue:
        """What is kept for each mirror that everybody may read, and what is wrong with it."""
        with self.catalog.snapshot() as seen:
            indexes = [index for index in seen.indexes() if is_public(index.settings)]
        kept = {usage.index: usage for usage in self.mirrored.cache.usage()}
        nothing = Usage(IndexName(""), 0, 0, 0, None)
        figures: dict[str, JsonValue] = {}
        for index in indexes:
            if isinstance(index.settings, MirrorSettings):
                usage = kept.get(index.name, nothing)
                figures[index.name] = {
                    "pages": usage.pages,
                    "files": usage.files,
                    "bytes": usage.size_bytes,
                    "upstream": self.mirrored.source_label(index),
                    "trouble": self.mirrored.troubles.of_index(index),
                }
        return figures

    async def check(self, request: Request) -> Response:
        """`+authcheck`: whether a front server may hand out what it was asked for.

        nginx asks so (auth_request) before it serves a file itself; `X-Original-URI` tells what.
        """
        asked = request.headers.get("x-original-uri", "/")
        location = locate(_path_below(asked, self._root_url(request)))
        if location is None:
            raise Forbidden("there is nothing at this URL that could be handed out")
        reader = Reader(self.rules, await self.doorkeeper.identify_reader(request))
        try:
            await in_thread(lambda: self._check_may_read(location, reader))
        except NotAuthenticated as error:
            if request.headers.get("user-agent", "").startswith("devpi-client/"):
                raise Forbidden(str(error)) from None  # a 401 would end its login
            raise
        return told("this may be handed out")

    def _check_may_read(self, location: Location, reader: Reader) -> None:
        """Raises what stands in the way. What is not there is for others to say."""
        if not isinstance(location, _OfIndex):
            return
        with self.catalog.snapshot() as seen, suppress(Refused):
            index = seen.index(index_name(location.user, location.index))
            if index is not None:
                reader.require(index, _project_of(location))

    def _root_url(self, request: Request) -> str:
        return origin_of(request, self.outside_url, self.trusted_proxy)

    def _index(self, name: IndexName) -> Index:
        with self.catalog.snapshot() as seen:
            index = seen.index(name)
        if index is None:
            raise NotStored(f"index {name}")
        return index


def _project_of(location: _OfIndex) -> ProjectName | None:
    """What a URL is about; None for the index as a whole, and for what has no lawful name."""
    try:
        if isinstance(location, FileAt):
            return parse_filename(location.filename).project
        if isinstance(location, _OfProject):
            return parse_project_name(location.project)
    except Refused:
        pass  # documentation, for one: whoever may read the index may read it
    return None


def _path_below(uri: str, root_url: str) -> str:
    """The path below our root that a front server was asked for; its query does not count."""
    try:
        path = unquote(urlsplit(uri).path)
    except ValueError:
        raise Forbidden("the header X-Original-URI holds no URL") from None
    prefix = urlsplit(root_url).path
    return path.removeprefix(prefix) if path.startswith(f"{prefix}/") else path
