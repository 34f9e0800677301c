"""PUSH: a release goes from one index to another, here or elsewhere."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime

from starlette.requests import Request
from starlette.responses import Response

from simpleindex.access import Principal, Rules
from simpleindex.errors import Forbidden, NotAuthenticated
from simpleindex.mirror.files import KeptCopy, MirrorFiles
from simpleindex.mirror.known import Mirrored, MirroredFile
from simpleindex.pushing.cargo import Cargo, Step, load
from simpleindex.pushing.from_mirror import push_copies
from simpleindex.pushing.posting import is_done, post
from simpleindex.pushing.transfer import push
from simpleindex.reading import Reader
from simpleindex.routes.asking import asked_index, hops_of, in_thread, json_body
from simpleindex.routes.doorkeeper import Doorkeeper
from simpleindex.routes.readers import Readers
from simpleindex.upstream.addresses import Addresses
from simpleindex.wire import devpi_json, push_json
from simpleindex.wire.locations import IndexAt
from simpleindex.wire.push_json import OtherServer, PushOrder
from simpleindex_storage.errors import NotStored, Refused
from simpleindex_storage.model import Index, MirrorSettings
from simpleindex_storage.names import IndexName, ProjectName, same_version
from simpleindex_storage.ports import Snapshot
from simpleindex_storage.store import Store


@dataclass(frozen=True, slots=True)
class PushDoor:
    """Takes orders to push what an index holds of its own."""

    store: Store
    mirrored: Mirrored
    mirror_files: MirrorFiles
    readers: Readers
    doorkeeper: Doorkeeper
    rules: Rules
    addresses: Addresses
    """Where other servers may be."""
    now: Callable[[], datetime]

    async def push(self, request: Request, at: IndexAt) -> Response:
        """Push a release; devpi's log of what was done."""
        principal = await self.doorkeeper.identify(request)
        source = asked_index(at.user, at.index)
        order = push_json.parse(await json_body(request))
        mirror = await in_thread(lambda: self._source(principal, source, order.project))
        if mirror is not None:
            return await self._copy(request, principal, mirror, order)
        if isinstance(order.target, OtherServer):
            return await self._post(principal, source, order, order.target)
        target = order.target
        steps = await in_thread(lambda: self._transfer(principal, source, order, target))
        return _reply(steps)

    async def _post(
        self, principal: Principal, source: IndexName, order: PushOrder, server: OtherServer
    ) -> Response:
        def find() -> Cargo:
            with self.store.catalog.snapshot() as seen:
                index = seen.index(source)
                if index is not None and not self.rules.may_push_out(
                    principal, index, order.project
                ):
                    raise Forbidden(
                        f"{principal} may not push {order.project} out of {source} to another "
                        "server; its acl_upload names who may"
                    )
                return _cargo(seen, source, order)

        if principal.name is None:
            # Else anybody could let this server send requests to places that only it reaches.
            raise NotAuthenticated("a push to another server needs a login")
        if principal.token is not None:
            raise Forbidden("a push to another server needs a login; a token is for this one")
        cargo = await in_thread(find)
        steps = await post(self.store, cargo, server, self.addresses)
        return _reply(steps, 200 if is_done(steps[-1]) else 502)

    def _transfer(
        self, principal: Principal, source: IndexName, order: PushOrder, target: IndexName
    ) -> list[Step]:
        with self.store.catalog.snapshot() as seen:
            cargo = _cargo(seen, source, order)
            self._check_target(seen, principal, target, order.project)
        return push(self.store, cargo, target, by=principal.actor, when=self.now())

    async def _copy(
        self, request: Request, principal: Principal, mirror: Index, order: PushOrder
    ) -> Response:
        """Out of a mirror: what is not here yet is fetched first."""
        target = order.target
        if isinstance(target, OtherServer):
            raise Refused(
                str(order.project),
                f"{mirror.name} mirrors another index; push it to an index of this server first",
            )

        def find(_: Reader) -> list[MirroredFile]:
            with self.store.catalog.snapshot() as seen:
                self._check_target(seen, principal, target, order.project)
            shown = self.mirrored.look(mirror, order.project).files
            return [file for file in shown if same_version(file.known.version, order.version)]

        files = await self.readers.read(request, find)
        if not files:
            raise NotStored(f"release {order.project} {order.version} in {mirror.name}")
        with ExitStack() as opened:
            copies = []
            for file in files:
                copy = await self._here(request, mirror, file)
                copies.append((file, opened.enter_context(copy.content)))
            by, when = principal.actor, self.now()
            steps = await in_thread(
                lambda: push_copies(self.store, copies, target, by=by, when=when)
            )
        return _reply(steps)

    async def _here(self, request: Request, mirror: Index, file: MirroredFile) -> KeptCopy:
        """A mirror's file, fetched if it is not here. Raises UpstreamFailed, NotStored, ..."""
        find = self.mirror_files.find
        found = await self.readers.read(request, lambda _: find(mirror, file.place))
        if isinstance(found, KeptCopy):
            return found
        return await self.mirror_files.whole(found, hops_of(request))

    def _source(
        self, principal: Principal, source: IndexName, project: ProjectName
    ) -> Index | None:
        """The index that is pushed from, if it is a mirror. Raises NotStored, Forbidden, ..."""
        with self.store.catalog.snapshot() as seen:
            index = seen.index(source)
        if index is None:
            raise NotStored(f"index {source}")
        Reader(self.rules, principal).require(index, project)
        return index if isinstance(index.settings, MirrorSettings) else None

    def _check_target(
        self, seen: Snapshot, principal: Principal, target: IndexName, project: ProjectName
    ) -> None:
        index = seen.index(target)
        if index is None:
            raise NotStored(f"index {target}", "create it with `devpi index -c`")
        if self.rules.may_upload(principal, index, project):
            return
        if principal.name is None:
            raise NotAuthenticated(f"a push to {target} needs a login")
        if isinstance(index.settings, MirrorSettings):
            raise Forbidden(f"{target} mirrors another index, and takes no uploads")
        raise Forbidden(
            f"{principal.name} may not upload to {target}; its acl_upload names who may"
        )


def _cargo(seen: Snapshot, source: IndexName, order: PushOrder) -> Cargo:
    return load(
        seen,
        source,
        order.project,
        order.version,
        with_files=order.with_files,
        with_documentation=order.with_documentation,
    )


def _reply(steps: list[Step], status: int = 200) -> Response:
    body = devpi_json.reply([step.line for step in steps], "actionlog")
    return Response(body, status, {"cache-control": "no-store"}, devpi_json.MEDIA_TYPE)
