"""devpi's JSON API of projects, releases and files: what there is, and removal."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from packaging.version import Version
from starlette.requests import Request
from starlette.responses import Response

from simpleindex import library
from simpleindex.access import Principal, Rules
from simpleindex.config import Network
from simpleindex.errors import Forbidden
from simpleindex.mirror.known import Mirrored, WantedPage
from simpleindex.mirror.pages import MirrorPages
from simpleindex.reading import Reader
from simpleindex.routes.asking import (
    asked_index,
    asked_place,
    asked_project,
    asked_version,
    hops_of,
    in_thread,
    origin_of,
)
from simpleindex.routes.doorkeeper import Doorkeeper
from simpleindex.routes.readers import Readers, project_of
from simpleindex.routes.replies import changed, devpi_reply, told
from simpleindex.wire import devpi_json, devpi_releases
from simpleindex.wire.locations import FileAt, ProjectAt, RefreshAt, VersionAt
from simpleindex_storage import upkeep
from simpleindex_storage.errors import NotStored
from simpleindex_storage.model import (
    Attachment,
    DistFile,
    Index,
    JsonValue,
    MirrorSettings,
    ProjectStatus,
)
from simpleindex_storage.names import (
    FilePlace,
    IndexName,
    ProjectName,
    same_version,
)
from simpleindex_storage.ports import Change, Snapshot
from simpleindex_storage.store import Store

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ReleasesDoor:
    """Projects, releases and files, for devpi-client."""

    store: Store
    mirrored: Mirrored
    pages: MirrorPages
    doorkeeper: Doorkeeper
    readers: Readers
    rules: Rules
    outside_url: str | None
    trusted_proxy: tuple[Network, ...]

    async def project(self, request: Request, at: ProjectAt) -> Response:
        """All releases that the index shows; its own with `ignore_bases` in the query."""
        index, project = asked_index(at.user, at.index), asked_project(at.project)
        with_bases = "ignore_bases" not in request.query_params
        root_url = origin_of(request, self.outside_url, self.trusted_proxy)

        def read(reader: Reader) -> bytes:
            with self.store.catalog.snapshot() as seen:
                view = library.look(seen, index, reader, project)
                releases = library.shown_releases(
                    seen, view, project, self.mirrored, with_bases=with_bases
                )
            config: dict[str, JsonValue] = {
                nearest.release.version: devpi_releases.version_data(root_url, nearest, shadowed)
                for nearest, *shadowed in releases
            }
            return devpi_json.reply(config, "projectconfig")

        return devpi_reply(await self.readers.read(request, read))

    async def release(self, request: Request, at: VersionAt) -> Response:
        """One release, as the nearest index has it."""
        index, project = asked_index(at.user, at.index), asked_project(at.project)
        version = Version(asked_version(at.version, project))
        root_url = origin_of(request, self.outside_url, self.trusted_proxy)

        def read(reader: Reader) -> bytes:
            with self.store.catalog.snapshot() as seen:
                view = library.look(seen, index, reader, project)
                nearest, *shadowed = library.shown_release(
                    seen, view, project, version, self.mirrored
                )
            data = devpi_releases.version_data(root_url, nearest, shadowed)
            return devpi_json.reply(data, "versiondata")

        return devpi_reply(await self.readers.read(request, read))

    async def file(self, request: Request, at: FileAt) -> Response:
        """What is known of a file."""
        place = asked_place(at)

        def read(reader: Reader) -> bytes:
            with self.store.catalog.snapshot() as seen:
                library.look(seen, place.index, reader, project_of(place))
                stored = _stored(seen, place)
                project = seen.project(stored.index, stored.project)
                if project is not None and project.status is ProjectStatus.QUARANTINED:
                    raise NotStored(f"file {place.filename}", "its project is quarantined")
            return devpi_json.reply(devpi_releases.file_meta(stored), "releasefilemeta")

        return devpi_reply(await self.readers.read(request, read))

    async def refresh(self, request: Request, at: RefreshAt) -> Response:
        """To the project's page, once upstream was asked for what is on it.

        Only mirrors have to be: what the other indexes show is always fresh.
        """
        index, project = asked_index(at.user, at.index), asked_project(at.project)

        def wanted(reader: Reader) -> list[WantedPage]:
            with self.store.catalog.snapshot() as seen:
                view = library.look(seen, index, reader, project)
                mirrors = library.may_be_asked(seen, view, project)
            pages = (self.mirrored.wanted(mirror, project) for mirror in mirrors)
            return [page for page in pages if page is not None]

        def look(reader: Reader) -> None:
            with self.store.catalog.snapshot() as seen:
                view = library.look(seen, index, reader, project)
                library.shown_project(seen, view, project, self.mirrored)

        await self.pages.refresh(await self.readers.read(request, wanted), hops_of(request))
        await self.readers.read(request, look)
        location = f"{'../../' if at.slash else '../'}{project}/"
        return Response(status_code=302, headers={"location": location})

    async def remove_project(self, request: Request, at: ProjectAt) -> Response:
        """Remove a project of the index's own, with all its releases."""
        name, project = asked_index(at.user, at.index), asked_project(at.project)
        principal = await self.doorkeeper.identify(request)

        def remove(change: Change) -> bool:
            """Whether it is a mirror's, which has nothing of it in the catalog."""
            index = self._index(change, name, project, principal)
            is_mirrored = isinstance(index.settings, MirrorSettings)
            known = self.mirrored.cache.page_head if is_mirrored else change.project
            if known(name, project) is None:
                raise NotStored(f"project {project} in {name}")
            _check_may_go(index, request)
            if not is_mirrored:
                upkeep.remove_project(change, name, project)
            return is_mirrored

        if await self._removed(remove, principal, "remove project"):
            await in_thread(lambda: self.mirrored.cache.forget_project(name, project))
        return told(f"project {project} is removed from {name}")

    async def remove_release(self, request: Request, at: VersionAt) -> Response:
        """Remove a release of the index's own, with all that belongs to it."""
        name, project = asked_index(at.user, at.index), asked_project(at.project)
        version = asked_version(at.version, project)
        principal = await self.doorkeeper.identify(request)

        def remove(change: Change) -> None:
            index = self._index(change, name, project, principal)
            releases = change.releases(name, project)
            if not any(same_version(release.version, version) for release in releases):
                raise NotStored(f"version {version} of {project} in {name}", _advice(index))
            _check_may_go(index, request)
            upkeep.remove_release(change, name, project, version)

        await self._removed(remove, principal, "remove release")
        return told(f"{project} {version} is removed from {name}")

    async def remove_file(self, request: Request, at: FileAt) -> Response:
        """Remove one file; with the last one of a release the release goes, and so on upwards."""
        place = asked_place(at)
        principal = await self.doorkeeper.identify(request)

        def remove(change: Change) -> None:
            known = change.index(place.index)
            if known is not None and not self.rules.may_upload_some(principal, known):
                # Else whoever may not read could find out what is there.
                Reader(self.rules, principal).require(known, project_of(place))
            stored = _stored(change, place)
            index = self._index(change, place.index, stored.project, principal)
            _check_may_go(index, request)
            if isinstance(stored, DistFile):
                upkeep.remove_file(change, stored)
            else:
                upkeep.remove_attachment(change, stored)

        await self._removed(remove, principal, "remove file")
        return told(f"file {place.filename} is removed from {place.index}")

    async def _removed(self, remove: Callable[[Change], T], by: Principal, what: str) -> T:
        removed = await changed(self.store.catalog, remove, by, what)
        await in_thread(self.store.sweep_if_possible)
        return removed

    def _index(
        self, change: Change, name: IndexName, project: ProjectName, principal: Principal
    ) -> Index:
        """The index, if the principal may remove what is in it. Raises NotStored, Forbidden."""
        index = change.index(name)
        if index is None:
            raise NotStored(f"index {name}")
        if not self.rules.may_remove(principal, index, project):
            raise Forbidden(f"{principal} may not remove anything of {project} in {name}")
        return index


def _check_may_go(index: Index, request: Request) -> None:
    if not index.settings.volatile and "force" not in request.query_params:
        raise Forbidden(
            f"{index.name} is not volatile: what is in it stays, since somebody may rely on it; "
            "to remove it all the same, add ?force to the URL (devpi remove -f)"
        )


def _advice(index: Index) -> str:
    if isinstance(index.settings, MirrorSettings):
        return "it mirrors another index; only whole projects can be forgotten"
    return ""


def _stored(seen: Snapshot, place: FilePlace) -> DistFile | Attachment:
    """Whatever is recorded at a place. Raises NotStored."""
    stored = seen.file_at(place) or seen.attachment_at(place)
    if stored is None:
        raise NotStored(f"file {place.filename}")
    return stored
