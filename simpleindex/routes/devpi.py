"""devpi's JSON API: what its client needs to log in, to look around and to make an index."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import Response

from simpleindex.access import Principal, Rules, check_new_password
from simpleindex.errors import Forbidden, NotAuthenticated
from simpleindex.routes.asking import (
    asked_index,
    in_thread,
    json_body,
    origin_of,
)
from simpleindex.routes.doorkeeper import Doorkeeper
from simpleindex.wire import devpi_json
from simpleindex.wire.credentials import Credentials
from simpleindex.wire.locations import Api, IndexAt, UserAt
from simpleindex_storage.errors import AlreadyStored, NotStored, Refused
from simpleindex_storage.model import Index, JsonValue, StageSettings, User
from simpleindex_storage.names import (
    IndexName,
    UserName,
    index_name,
    owner_of,
    parse_user_name,
)
from simpleindex_storage.ports import Change
from simpleindex_storage.store import Store

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class DevpiDoor:
    """Discovery, logins, users and indexes."""

    store: Store
    doorkeeper: Doorkeeper
    rules: Rules
    outside_url: str | None
    trusted_proxy: tuple[str, ...]
    now: Callable[[], datetime]

    async def api(self, request: Request, at: Api) -> Response:
        """`+api`: where everything is, and whether the client's login still holds."""
        principal = await self.doorkeeper.identify(request)
        root = origin_of(request, self.outside_url, self.trusted_proxy)
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
        return _reply(devpi_json.reply(result, "apiconfig"))

    async def login(self, request: Request) -> Response:
        """`+login`: a token for a password."""
        user, password = devpi_json.parse_login(await json_body(request))
        credentials = Credentials(user, password)
        known = await self.doorkeeper.log_in(credentials)
        if known is None:
            raise NotAuthenticated(
                f"user {user[:80]!r} could not be authenticated: the name or the password is wrong"
            )
        _, token = known
        result: dict[str, JsonValue] = {
            "password": token,
            "expiration": self.doorkeeper.login_seconds,
        }
        return _reply(devpi_json.reply(result, "proxyauth", "login successful"))

    async def users(self, request: Request) -> Response:
        """All users with their indexes."""

        def read() -> dict[str, JsonValue]:
            with self.store.catalog.snapshot() as seen:
                indexes = seen.indexes()
                return {user.name: devpi_json.user_config(user, indexes) for user in seen.users()}

        return _reply(devpi_json.reply(await in_thread(read), "list:userconfig"))

    async def user(self, request: Request, at: UserAt) -> Response:
        """One user."""

        def read() -> dict[str, JsonValue]:
            name = _user_name(at.user)
            with self.store.catalog.snapshot() as seen:
                user = seen.user(name)
                if user is None:
                    raise NotStored(f"user {name}")
                return devpi_json.user_config(user, seen.indexes())

        return _reply(devpi_json.reply(await in_thread(read), "userconfig"))

    async def create_user(self, request: Request, at: UserAt) -> Response:
        """Make a user; 201."""
        principal = await self.doorkeeper.identify(request)
        if not self.rules.may_create_user(principal):
            raise _forbidden(principal, "create users")
        name = parse_user_name(at.user)
        password, profile = devpi_json.parse_new_user(await json_body(request))
        check_new_password(password)

        def create(change: Change) -> User:
            if change.user(name) is not None:
                raise AlreadyStored("User", name, "choose another name")
            user = User(name, password_hash, 1, self.now(), profile=profile)
            change.put_user(user)
            return user

        password_hash = await self.doorkeeper.hash(password)
        user = await self._change(create, principal, "create user")
        return _reply(devpi_json.reply(devpi_json.user_config(user, ()), "userconfig"), 201)

    async def index(self, request: Request, at: IndexAt) -> Response:
        """One index, with the names of its projects unless `no_projects` is in the query."""
        name = asked_index(at.user, at.index)
        with_projects = "no_projects" not in request.query_params

        def read() -> dict[str, JsonValue]:
            with self.store.catalog.snapshot() as seen:
                index = seen.index(name)
                if index is None:
                    raise NotStored(f"index {name}")
                config = devpi_json.index_config(index)
                if with_projects:
                    config["projects"] = [project.name for project in seen.projects(name)]
                return config

        return _reply(devpi_json.reply(await in_thread(read), "indexconfig"))

    async def create_index(self, request: Request, at: IndexAt) -> Response:
        """Make an index, or give one that was made automatically its settings; 200."""
        principal = await self.doorkeeper.identify(request)
        body = await json_body(request)
        name = index_name(at.user, at.index)
        if not self.rules.may_create_index(principal, owner_of(name)):
            raise _forbidden(principal, f"create indexes of {owner_of(name)}")
        index = await self._change(
            lambda change: _create_index(change, name, body), principal, "create index"
        )
        return _reply(devpi_json.reply(devpi_json.index_config(index), "indexconfig"))

    def _index(self, name: IndexName) -> Index:
        with self.store.catalog.snapshot() as seen:
            index = seen.index(name)
        if index is None:
            raise NotStored(f"index {name}")
        return index

    async def _change(self, work: Callable[[Change], T], principal: Principal, what: str) -> T:
        who = principal.name or ""
        return await in_thread(lambda: self.store.catalog.change(work, who=who, what=what))


def _create_index(change: Change, name: IndexName, body: bytes) -> Index:
    known = change.index(name)
    if known is not None and not known.automatic:
        raise AlreadyStored("Index", name, "choose another name, or use it as it is")
    owner = owner_of(name)
    if change.user(owner) is None:
        raise NotStored(f"user {owner}", "an index lies below the name of a user")
    kept = known.settings if known and isinstance(known.settings, StageSettings) else None
    settings = devpi_json.parse_new_index(body, name, kept)
    if kept is not None and not isinstance(settings, StageSettings):
        raise Refused(f"index {name}", "it holds uploads, and cannot become a mirror")
    if isinstance(settings, StageSettings):
        missing = [base for base in settings.bases if base != name and not change.index(base)]
        if missing:
            raise Refused(f"index {name}", f"its bases do not exist: {', '.join(missing)}")
    index = Index(name, settings)
    change.put_index(index)
    return index


def _user_name(text: str) -> UserName:
    try:
        return parse_user_name(text)
    except Refused:
        raise NotStored(f"user {text[:80]}") from None


def _forbidden(principal: Principal, action: str) -> Forbidden:
    who = f"user {principal.name}" if principal.name else "somebody who is not logged in"
    return Forbidden(f"{who} may not {action}; the server's setting restrict_modify names who may")


def _reply(body: bytes, status: int = 200) -> Response:
    headers = {"cache-control": "no-cache", "vary": "Accept"}
    return Response(body, status, headers, devpi_json.MEDIA_TYPE)
