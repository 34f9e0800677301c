"""devpi's JSON API of indexes."""

from dataclasses import dataclass, replace

from starlette.requests import Request
from starlette.responses import Response

from simpleindex import library
from simpleindex.access import Principal, Rules
from simpleindex.errors import Forbidden
from simpleindex.mirror.forgetting import forget_gone_if_possible
from simpleindex.reading import Reader
from simpleindex.routes.asking import asked_index, in_thread, json_body
from simpleindex.routes.doorkeeper import Doorkeeper
from simpleindex.routes.replies import changed, devpi_reply, not_allowed, told
from simpleindex.wire import devpi_json, index_settings
from simpleindex.wire.locations import IndexAt
from simpleindex_storage import upkeep
from simpleindex_storage.cache import Cache
from simpleindex_storage.errors import AlreadyStored, NotStored, Refused
from simpleindex_storage.model import Index, IndexSettings, JsonValue, StageSettings
from simpleindex_storage.names import IndexName, index_name, owner_of
from simpleindex_storage.ports import Change
from simpleindex_storage.store import Store


@dataclass(frozen=True, slots=True)
class IndexesDoor:
    """Indexes and their settings."""

    store: Store
    cache: Cache
    doorkeeper: Doorkeeper
    rules: Rules

    async def show(self, request: Request, at: IndexAt) -> Response:
        """One index, with the names of its projects unless `no_projects` is in the query."""
        principal = await self.doorkeeper.identify_reader(request)
        name = asked_index(at.user, at.index)
        with_projects = "no_projects" not in request.query_params

        def read() -> bytes:
            with self.store.catalog.snapshot() as seen:
                index = seen.index(name)
                if index is None:
                    raise NotStored(f"index {name}")
                Reader(self.rules, principal).require(index)
                config = self._config(index, principal)
                if with_projects:
                    config["projects"] = [
                        project for project, _ in library.own_projects(seen, name)
                    ]
            return devpi_json.reply(config, "indexconfig")

        return devpi_reply(await in_thread(read))

    async def create(self, request: Request, at: IndexAt) -> Response:
        """Make an index, or give one that was made automatically its settings; 200."""
        principal = await self.doorkeeper.identify(request)
        body = await json_body(request)
        name = index_name(at.user, at.index)
        if not self.rules.may_create_index(principal, owner_of(name)):
            raise not_allowed(principal, f"create indexes of {owner_of(name)}")
        index = await changed(
            self.store.catalog,
            lambda change: _create(change, name, body),
            principal,
            "create index",
        )
        return self._reply(index, principal)

    async def modify(self, request: Request, at: IndexAt) -> Response:
        """Change settings; whoever does so wants the index as it is then, automatic or not."""
        principal = await self.doorkeeper.identify(request)
        body = await json_body(request)
        name = asked_index(at.user, at.index)
        must_change = "error_on_noop" in request.query_params

        def modify(change: Change) -> Index:
            index = self._changeable(change, name, principal)
            settings = index_settings.parse_index_change(body, index.settings)
            if settings == index.settings:
                if must_change:
                    raise Refused(f"index {name}", "it has these settings already")
                return index
            after = replace(index, settings=settings, automatic=False)
            upkeep.check_bases(change, after, before=_bases(index.settings))
            change.put_index(after)
            return after

        index = await changed(self.store.catalog, modify, principal, "modify index")
        return self._reply(index, principal)

    async def remove(self, request: Request, at: IndexAt) -> Response:
        """Remove an index with all that is in it; 201, which devpi has here."""
        principal = await self.doorkeeper.identify(request)
        name = asked_index(at.user, at.index)

        def remove(change: Change) -> None:
            index = self._changeable(change, name, principal)
            if not index.settings.volatile:
                raise Forbidden(
                    f"index {name} is not volatile, and so stays; to remove it all the same, set "
                    "volatile=True first"
                )
            upkeep.remove_index(change, name)

        await changed(self.store.catalog, remove, principal, "remove index")
        await in_thread(self.store.sweep_if_possible)
        # What it kept, if it was a mirror; and what could not be forgotten of others before.
        await in_thread(lambda: forget_gone_if_possible(self.cache, self.store.catalog))
        return told(f"index {name} is removed", 201)

    def _changeable(self, change: Change, name: IndexName, principal: Principal) -> Index:
        """The index, if the principal may change it. Raises Forbidden."""
        if not self.rules.may_change_index(principal, name):
            raise not_allowed(principal, f"change index {name}")
        index = change.index(name)
        if index is None:
            # devpi answers 403: nobody has a permission for what is not there.
            raise Forbidden(f"there is no index {name} here")
        return index

    def _config(self, index: Index, principal: Principal) -> dict[str, JsonValue]:
        may_see = self.rules.may_see_secrets(principal, index.name)
        return index_settings.index_config(index, with_secrets=may_see)

    def _reply(self, index: Index, principal: Principal) -> Response:
        return devpi_reply(devpi_json.reply(self._config(index, principal), "indexconfig"))


def _create(change: Change, name: IndexName, body: bytes) -> Index:
    known = change.index(name)
    if known is not None and not known.automatic:
        raise AlreadyStored("Index", name, "choose another name, or use it as it is")
    owner = owner_of(name)
    if change.user(owner) is None:
        raise NotStored(f"user {owner}", "an index lies below the name of a user")
    kept = known.settings if known and isinstance(known.settings, StageSettings) else None
    settings = index_settings.parse_new_index(body, name, kept)
    if kept is not None and not isinstance(settings, StageSettings):
        raise Refused(f"index {name}", "it holds uploads, and cannot become a mirror")
    index = Index(name, settings)
    upkeep.check_bases(change, index)
    change.put_index(index)
    return index


def _bases(settings: IndexSettings) -> tuple[IndexName, ...]:
    return settings.bases if isinstance(settings, StageSettings) else ()
