"""JSON documents beside the simple API: of projects and releases, and of searches."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from packaging.version import Version
from starlette.requests import Request
from starlette.responses import Response

from simpleindex import library
from simpleindex.config import Network
from simpleindex.library import Sight, View
from simpleindex.mirror.known import SeenMirrors
from simpleindex.reading import Reader
from simpleindex.routes.asking import (
    asked_index,
    asked_project,
    asked_version,
    joined,
    origin_of,
)
from simpleindex.routes.readers import Readers
from simpleindex.search import search
from simpleindex.wire import pypi_json, search_json
from simpleindex.wire.browser_headers import OPEN_TO_OTHER_SITES
from simpleindex.wire.conditional import matches_none
from simpleindex.wire.locations import JsonAt, SearchAt
from simpleindex.wire.negotiate import takes_gzip
from simpleindex.wire.pieces import compress_whole
from simpleindex_storage.errors import NotStored
from simpleindex_storage.model import DistFile, ProjectStatus
from simpleindex_storage.names import IndexName, ProjectName
from simpleindex_storage.ports import Catalog, Snapshot
from simpleindex_storage.search_text import Found

_GZIP_LEVEL = 6
_GZIP_BYTES_MIN = 1000
"""Less would fit into one packet anyway."""


@dataclass(frozen=True, slots=True)
class DocumentsDoor:
    """What tools ask for below an index that is not an installer's page."""

    catalog: Catalog
    mirrored: SeenMirrors
    readers: Readers
    outside_url: str | None
    trusted_proxies: tuple[Network, ...]

    async def project(self, request: Request, at: JsonAt) -> Response:
        """A project with all its releases, or one release; names in any spelling."""
        index = asked_index(at.user, at.index)
        project, version = _asked_release(at)
        root_url = origin_of(request, self.outside_url, self.trusted_proxies)

        def make(seen: Snapshot, view: View) -> _Made:
            sight = library.shown_project(seen, view, project, self.mirrored)
            document = _project_document(seen, view, root_url, sight, version)
            # bandersnatch takes a document without it for a stale one.
            headers = {"x-pypi-last-serial": str(document.serial)}
            return _Made(pypi_json.render(document), headers)

        return await self._answer(request, index, project, make)

    async def search(self, request: Request, at: SearchAt) -> Response:
        """The projects of an index and its bases in which all words of `q` are found."""
        index = asked_index(at.user, at.index)
        query = search_json.parse_query(request.query_params)

        def make(seen: Snapshot, view: View) -> _Made:
            found = search_json.ranked(query, search(seen, view, query.terms))
            shown = found[query.offset : query.offset + query.limit]
            results = [search_json.SearchResult(each, _summary(seen, each)) for each in shown]
            href_prefix = "../" if at.slash else ""
            return _Made(
                search_json.render(
                    query, len(found), results, serial=seen.serial, href_prefix=href_prefix
                )
            )

        return await self._answer(request, index, None, make)

    async def _answer(
        self,
        request: Request,
        index: IndexName,
        project: ProjectName | None,
        make: "Callable[[Snapshot, View], _Made]",
    ) -> Response:
        zipped = takes_gzip(joined(request, "accept-encoding"))

        def work(reader: Reader) -> tuple[bytes, dict[str, str]]:
            with self.catalog.snapshot() as seen:
                view = library.look(seen, index, reader, project)
                made = make(seen, view)
            return _packed(made, zipped, is_public=view.is_public)

        body, headers = await self.readers.read(request, work)
        if matches_none(request.headers.get("if-none-match"), headers["etag"]):
            headers.pop("content-encoding", None)
            return Response(status_code=304, headers=headers)
        return Response(body, 200, headers, pypi_json.MEDIA_TYPE)


@dataclass(frozen=True, slots=True)
class _Made:
    """A document, and the headers that go with it alone."""

    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


def _packed(made: _Made, zipped: bool, *, is_public: bool) -> tuple[bytes, dict[str, str]]:
    """The body as it is sent, and its headers."""
    body, digest = made.body, hashlib.sha256(made.body).hexdigest()[:32]
    headers = {
        **OPEN_TO_OTHER_SITES,
        **made.headers,
        # Without it yanks would stay unseen.
        "cache-control": "no-cache" if is_public else "private, no-cache",
        "etag": f'"{digest}"',
        "vary": "Accept-Encoding",
    }
    if zipped and len(body) >= _GZIP_BYTES_MIN:
        body = compress_whole(body, _GZIP_LEVEL)
        headers |= {"content-encoding": "gzip", "etag": f'"{digest}-gzip"'}
    return body, headers


def _asked_release(at: JsonAt) -> tuple[ProjectName, Version | None]:
    """What a URL names. Raises NotStored: nothing has an unlawful name."""
    project = asked_project(at.project)
    version = None if at.version is None else Version(asked_version(at.version, project))
    return project, version


def _project_document(
    seen: Snapshot, view: View, root_url: str, sight: Sight[DistFile], version: Version | None
) -> pypi_json.ProjectDocument:
    """What the index tells, on the grounds of the files that it offers. Raises NotStored."""
    index, project = view.name, sight.project
    # PEP 792: what is quarantined in the nearest index is not offered from its bases either.
    is_quarantined = sight.status is ProjectStatus.QUARANTINED
    releases = pypi_json.releases_of(() if is_quarantined else library.dist_files(sight))
    if version is None:
        release = pypi_json.latest(releases)
        if release is None:
            raise NotStored(f"release of {project} in {index}", "it offers no files")
    else:
        same = (each for each in releases if Version(each.version) == version)
        release = next(same, None)
        if release is None:
            raise NotStored(f"version {version} of {project} in {index}")
    file = release.files[0]
    entry = seen.project(file.index, project)
    told = seen.release(file.index, project, file.version)
    return pypi_json.ProjectDocument(
        root_url=root_url,
        index=index,
        project=project,
        display_name=project if entry is None else entry.display_name,
        release=release,
        fields={} if told is None else told.fields,
        releases=releases if version is None else None,
        serial=seen.serial if sight.serial is None else sight.serial,
    )


def _summary(seen: Snapshot, found: Found) -> str | None:
    project = found.project
    release = seen.release(project.index, project.name, found.version)
    summary = None if release is None else release.fields.get("summary")
    return summary if isinstance(summary, str) else None
