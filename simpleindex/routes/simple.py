"""The pages that installers read: `+simple/` and its aliases, HTML and JSON."""

import hashlib
import zlib
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import chain

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse

from simpleindex import library
from simpleindex.config import Network
from simpleindex.errors import NotAcceptable, NothingKnown
from simpleindex.events import Count, Event
from simpleindex.hot import Agreed, Standing
from simpleindex.library import SightState, View
from simpleindex.mirror.known import Mirrored
from simpleindex.mirror.lists import MirrorLists
from simpleindex.project_page import render_page
from simpleindex.reading import Reader
from simpleindex.rendered import RenderedPage, RenderedPages
from simpleindex.routes.asking import (
    accept_of,
    asked_index,
    asked_project,
    credentials_of,
    hops_of,
    in_thread,
    joined,
    origin_of,
)
from simpleindex.routes.readers import Readers
from simpleindex.routes.seen import say_standing
from simpleindex.wire import simple_html, simple_json
from simpleindex.wire.conditional import matches_none
from simpleindex.wire.locations import IndexAt, ListAt, PageAt, ProjectAt
from simpleindex.wire.negotiate import Form, choose, takes_gzip
from simpleindex.wire.origin import is_secure
from simpleindex.wire.pieces import NOTHING, Pieced, compress
from simpleindex.wire.simple_page import ProjectListPage, page_depth
from simpleindex_storage.model import Index
from simpleindex_storage.names import IndexName, ProjectName
from simpleindex_storage.ports import Catalog, Snapshot

State = Callable[[Snapshot, View], SightState]
Render = Callable[[Snapshot, View, Pieced], "_Rendering"]
"""The last one is the page as it was before, as far as that is known."""

_NOTHING_RESTRICTED: tuple[IndexName, ...] = ()
"""In keys of pages: what they show, everybody may see."""
_VARY = "Accept, Accept-Encoding"
_GZIP_LEVEL = 6
_SENT_WHOLE_BYTES_MAX = 256 << 10
_SHORT_LIST_PROJECTS_MAX = 5_000
"""Lists up to this length are made whole, and kept: some 250 KB."""
_QUICK_GZIP_LEVEL = 1
"""Of a list that is made while it is sent, and not kept."""
_GZIP_GAIN_BYTES_MIN = 200
"""For less it is not worth the client's work."""


@dataclass(frozen=True, slots=True)
class SimpleDoor:
    """The simple repository API of every index."""

    catalog: Catalog
    mirrored: Mirrored
    lists: MirrorLists
    readers: Readers
    pages: RenderedPages
    agreed: Agreed
    now: Callable[[], datetime]
    outside_url: str | None
    trusted_proxies: tuple[Network, ...]
    count: Count

    async def list_page(self, request: Request, at: ListAt | IndexAt) -> Response:
        """All projects of an index and its bases."""
        form = _form(request)
        index = asked_index(at.user, at.index)
        if not at.slash:
            return _redirect(request, "", at.below or at.index)
        href_prefix = "" if at.below else "+simple/"

        def render(seen: Snapshot, view: View, _before: Pieced) -> _Rendering:
            page = library.shown_projects(seen, view)
            body = _list_bytes(page, form, href_prefix)
            return _Rendering(Pieced(body), SightState(page.serial))

        def state(seen: Snapshot, _view: View) -> SightState:
            return SightState(seen.serial)

        key = (index, href_prefix, form)
        recipe = _Recipe(form, key, index, None, state, render)
        found = self._remembered(request, recipe, self.agreed())
        if found is None:  # long lists never are remembered
            mirrors, is_long = await self._extent(request, index)
            if is_long:
                return await self._long_list(request, form, index, href_prefix, mirrors)
            found = await self._page(request, recipe)
        return self._told(request, recipe, found)

    async def project_page(self, request: Request, at: PageAt | ProjectAt) -> Response:
        """One project. Other spellings of its name lead to the normalised one (PEP 503)."""
        form = _form(request)
        index = asked_index(at.user, at.index)
        project = asked_project(at.project)
        if project != at.project or not at.slash:
            return _redirect(request, "../" if at.slash else "", project)
        depth = page_depth(at.below)

        def state(seen: Snapshot, view: View) -> SightState:
            return library.state_of_project(seen, view, project, self.mirrored)

        def recipe_for(secure_url: str | None) -> _Recipe:
            def render(seen: Snapshot, view: View, before: Pieced) -> _Rendering:
                sight = library.listed_project(seen, view, project, self.mirrored)
                made = render_page(sight, form, depth, secure_url, before)
                return _Rendering(made, sight.state, sight.has_provenance)

            key = (index, project, depth, form, secure_url)
            return _Recipe(form, key, index, project, state, render)

        recipe = recipe_for(None)
        found = await self._page(request, recipe)
        if found.page.differs_by_origin:
            root_url = origin_of(request, self.outside_url, self.trusted_proxies)
            if is_secure(root_url):
                recipe = recipe_for(root_url)
                found = await self._page(request, recipe)
        return self._told(request, recipe, found)

    def _told(self, request: Request, recipe: "_Recipe", found: "_Found") -> Response:
        page = found.page
        self.count(found.how, 1)
        if page.is_public:
            standing = Standing(page.valid_until, page.looked_at, Event.PAGE_REMEMBERED)
            say_standing(request.scope, standing)
        return _answer(request, recipe, page)

    async def _page(self, request: Request, recipe: "_Recipe") -> "_Found":
        # Read before the snapshot: what was agreed only afterwards might not be in it.
        agreed = self.agreed()
        found = self._remembered(request, recipe, agreed)
        if found is not None:
            return found
        zipped = _is_zipped(request)
        return await self.readers.read(
            request, lambda reader: self._page_now(agreed, recipe, reader, zipped)
        )

    def _remembered(self, request: Request, recipe: "_Recipe", agreed: Hashable) -> "_Found | None":
        """The page as it was made before, if it is true still, and for whoever is asking."""
        if agreed is None:
            return None
        key = (recipe.key, _NOTHING_RESTRICTED, _is_zipped(request))
        page = self.pages.current(key, agreed, self.now())
        if page is None or not (page.is_public or credentials_of(request) is None):
            return None
        return _Found(page, Event.PAGE_REMEMBERED)

    async def _extent(self, request: Request, index: IndexName) -> tuple[tuple[Index, ...], bool]:
        """The mirrors whose projects are in the list of an index, and whether it may be long."""

        def find(reader: Reader) -> tuple[tuple[Index, ...], bool]:
            with self.catalog.snapshot() as seen:
                view = library.look(seen, index, reader)
                mirrors = library.list_mirrors(view)
                return mirrors, bool(mirrors) or library.has_more_projects(
                    seen, view, _SHORT_LIST_PROJECTS_MAX
                )

        return await self.readers.read(request, find)

    async def _long_list(
        self,
        request: Request,
        form: Form,
        index: IndexName,
        href_prefix: str,
        mirrors: tuple[Index, ...],
    ) -> Response:
        """A list that is made while it is sent: all that upstream has, or just very much of ours.

        It goes by serials, not by its bytes: newer names under an older tag are told again.
        """
        troubles = await self.lists.ensure(mirrors, hops_of(request)) if mirrors else {}
        if index in troubles:
            raise NothingKnown(f"the list of {index} is not known yet: {troubles[index]}")

        def read(reader: Reader) -> tuple[View, int]:
            with self.catalog.snapshot() as seen:
                return library.look(seen, index, reader), seen.serial

        view, serial = await self.readers.read(request, read)
        own = library.listed_projects(self.catalog.snapshot, view)
        listing = await self._listing(own, serial, mirrors)
        shown = " ".join(each.name for each in view.indexes)
        told = f"{serial} {listing.told} {href_prefix} {shown}"
        zipped, etag = _is_zipped(request), _etag(told.encode(), form)
        headers = {
            "cache-control": "no-cache" if view.is_public else "private, no-cache",
            "etag": _gzip_etag(etag) if zipped else etag,
            "vary": _VARY,
        }
        if matches_none(request.headers.get("if-none-match"), headers["etag"]):
            listing.close()
            return Response(status_code=304, headers=headers)
        parts = listing.parts(form, href_prefix)
        headers["content-type"] = form.content_type
        if zipped:
            headers["content-encoding"] = "gzip"
            parts = _zipped(parts)
        return await _sent(request.method, _closing(listing, parts), headers)

    async def _listing(
        self, own: Iterator[tuple[ProjectName, int]], serial: int, mirrors: tuple[Index, ...]
    ) -> "_Listing":
        if not mirrors:
            return _Listing(own, serial)
        names = await in_thread(lambda: self.lists.open(mirrors, (name for name, _ in own)))
        # Upstreams tell no serials, so that nobody could go by those of ours alone.
        return _Listing(((name, None) for name in names), None, names.digest, names.close)

    def _page_now(
        self, agreed: Hashable, recipe: "_Recipe", reader: Reader, zipped: bool
    ) -> "_Found":
        """The page as it is now, made anew or compressed anew only if it has changed."""
        key, found = self._plain_page(agreed, recipe, reader)
        page = found.page
        if zipped:
            before = self.pages.maybe((*key, True))
            if before is not None and before.fingerprint == page.etag:
                # Its bytes alone: who may see them may have changed since.
                page = replace(
                    page,
                    body=before.body,
                    etag=before.etag,
                    fingerprint=before.fingerprint,
                    encoding=before.encoding,
                    pieces=before.pieces,
                )
            else:
                page = _compressed(page, before)
            self.pages.keep((*key, True), agreed, page)
        return _Found(page, found.how)

    def _plain_page(
        self, agreed: Hashable, recipe: "_Recipe", reader: Reader
    ) -> tuple[tuple[Hashable, Hashable], "_Found"]:
        """The page, and the key of all pages like it: readers share what they all may see."""
        looked_at = self.now()
        with self.catalog.snapshot() as seen:
            view = library.look(seen, recipe.index, reader, recipe.project)
            key = (recipe.key, view.restricted)
            before = self.pages.maybe((*key, False))
            state = recipe.state(seen, view) if before is not None else None
            if before is not None and state is not None and before.fingerprint == state.fingerprint:
                how = Event.PAGE_CONFIRMED
                page = replace(
                    before,
                    is_public=view.is_public,
                    valid_until=state.valid_until,
                    looked_at=looked_at,
                )
            else:
                rendering = recipe.render(seen, view, before.pieced if before else NOTHING)
                how = Event.PAGE_MADE
                page = RenderedPage(
                    rendering.made.body,
                    _etag(rendering.made.body, recipe.form),
                    rendering.state.fingerprint,
                    differs_by_origin=rendering.differs_by_origin,
                    is_public=view.is_public,
                    valid_until=rendering.state.valid_until,
                    looked_at=looked_at,
                    pieces=rendering.made.pieces,
                )
        self.pages.keep((*key, False), agreed, page)
        return key, _Found(page, how)


@dataclass(frozen=True, slots=True)
class _Listing:
    """The projects of a long list, as they are read."""

    projects: Iterator[tuple[ProjectName, int | None]]
    serial: int | None
    told: str = ""
    """Tells what mirrors show from what they did before."""
    close: Callable[[], None] = lambda: None

    def parts(self, form: Form, href_prefix: str) -> Iterator[bytes]:
        """The list as it is sent."""
        if form is Form.JSON:
            return simple_json.list_parts(self.projects, self.serial)
        return simple_html.list_parts((name for name, _ in self.projects), href_prefix=href_prefix)


@dataclass(frozen=True, slots=True)
class _Found:
    """A page to tell, and what that took: counted once for what is told, however it was found."""

    page: RenderedPage
    how: Event


@dataclass(frozen=True, slots=True)
class _Recipe:
    """How a page is made, and how to tell whether it must be."""

    form: Form
    key: Hashable
    index: IndexName
    project: ProjectName | None
    state: State
    render: Render


@dataclass(frozen=True, slots=True)
class _Rendering:
    """A page as it was just made."""

    made: Pieced
    state: SightState
    differs_by_origin: bool = False


def _answer(request: Request, recipe: _Recipe, page: RenderedPage) -> Response:
    headers = {
        # pip 26.2 and newer obeys max-age, which would hide uploads and yanks.
        "cache-control": "no-cache" if page.is_public else "private, no-cache",
        "etag": page.etag,
        "vary": _VARY,
    }
    if matches_none(request.headers.get("if-none-match"), page.etag):
        return Response(status_code=304, headers=headers)
    headers["content-type"] = recipe.form.content_type
    if page.encoding is not None:
        headers["content-encoding"] = page.encoding
    return Response(page.body, headers=headers)


def _compressed(page: RenderedPage, before: RenderedPage | None) -> RenderedPage:
    """The page under gzip, with a tag of its own; a page that gains nothing stays as it is.

    What of a long page was in `before` is not compressed again.
    """
    known = before.pieced if before is not None and before.encoding else NOTHING
    zipped = compress(page.pieced, _GZIP_LEVEL, known)
    if len(zipped.body) + _GZIP_GAIN_BYTES_MIN > len(page.body):
        return replace(page, fingerprint=page.etag)
    return replace(
        page,
        body=zipped.body,
        etag=_gzip_etag(page.etag),
        fingerprint=page.etag,
        encoding="gzip",
        pieces=zipped.pieces,
    )


def _zipped(parts: Iterator[bytes]) -> Iterator[bytes]:
    packer = zlib.compressobj(_QUICK_GZIP_LEVEL, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    for part in parts:
        if packed := packer.compress(part):
            yield packed
    yield packer.flush()


def _closing(listing: _Listing, parts: Iterator[bytes]) -> Iterator[bytes]:
    """The parts; what they are read from is closed after the last, or when nobody wants more."""
    try:
        yield from parts
    finally:
        listing.close()


async def _sent(method: str, parts: Iterator[bytes], headers: dict[str, str]) -> Response:
    """The answer that the parts make up; a long one is made while it is sent."""

    def begin() -> tuple[list[bytes], bool]:
        first: list[bytes] = []
        size_bytes = 0
        for part in parts:
            first.append(part)
            size_bytes += len(part)
            if size_bytes > _SENT_WHOLE_BYTES_MAX:
                return first, False
        return first, True

    first, is_all = await in_thread(begin)
    if is_all:
        return Response(b"".join(first), headers=headers)
    if method == "HEAD":  # the rest would be made for nobody
        answer = Response(headers=headers)
        del answer.headers["content-length"]
        return answer
    return StreamingResponse(chain(first, parts), headers=headers)


def _is_zipped(request: Request) -> bool:
    return takes_gzip(joined(request, "accept-encoding"))


def _form(request: Request) -> Form:
    form = choose(accept_of(request), request.query_params.get("format"))
    if form is None:
        offered = ", ".join(each.content_type.partition(";")[0] for each in Form)
        raise NotAcceptable(f"this page exists as {offered}; accept one of them")
    return form


def _redirect(request: Request, up: str, name: str) -> Response:
    """To the same page under its proper URL; relative, so that it holds behind any proxy."""
    # Not `request.url`, which raises for bytes that are no text; some servers let them through.
    query = request.scope.get("query_string", b"").decode("latin-1")
    last = name.rpartition("/")[2]
    target = f"{up}{last}/" + (f"?{query}" if query else "")
    return RedirectResponse(target, status_code=302, headers={"vary": "Accept"})


def _list_bytes(page: ProjectListPage, form: Form, href_prefix: str) -> bytes:
    if form is Form.JSON:
        return simple_json.render_list(page)
    return simple_html.render_list(page, href_prefix=href_prefix)


def _etag(body: bytes, form: Form) -> str:
    """Differs between the forms too: a cache must not take one for the other."""
    return f'"{hashlib.sha256(form.name.encode() + body).hexdigest()[:32]}"'


def _gzip_etag(etag: str) -> str:
    """Other bytes have another tag, also where they stand for the same page."""
    return f'{etag[:-1]}-gzip"'
