"""The pages that installers read: `+simple/` and its aliases, HTML and JSON."""

import gzip
import hashlib
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from simpleindex import library
from simpleindex.errors import NotAcceptable
from simpleindex.library import View
from simpleindex.reading import Reader
from simpleindex.rendered import RenderedPage, RenderedPages
from simpleindex.routes.asking import (
    accept_of,
    asked_index,
    asked_project,
    credentials_of,
    joined,
    origin_of,
)
from simpleindex.routes.readers import Readers
from simpleindex.wire import simple_html, simple_json
from simpleindex.wire.conditional import matches_none
from simpleindex.wire.locations import IndexAt, ListAt, PageAt, ProjectAt
from simpleindex.wire.negotiate import Form, choose, takes_gzip
from simpleindex.wire.origin import is_secure
from simpleindex.wire.simple_page import ProjectListPage, ProjectPage, page_depth
from simpleindex_storage.names import IndexName, ProjectName
from simpleindex_storage.ports import Catalog, Snapshot

Fingerprint = Callable[[Snapshot, View], Hashable]
Render = Callable[[Snapshot, View], "_Rendering"]

_NOTHING_RESTRICTED: tuple[IndexName, ...] = ()
"""In keys of pages: what they show, everybody may see."""
_VARY = "Accept, Accept-Encoding"
_GZIP_LEVEL = 6
_GZIP_GAIN_BYTES_MIN = 200
"""For less it is not worth the client's work."""


@dataclass(frozen=True, slots=True)
class SimpleDoor:
    """The simple repository API of every index."""

    catalog: Catalog
    readers: Readers
    pages: RenderedPages
    outside_url: str | None
    trusted_proxies: tuple[str, ...]

    async def list_page(self, request: Request, at: ListAt | IndexAt) -> Response:
        """All projects of an index and its bases."""
        form = _form(request)
        index = asked_index(at.user, at.index)
        if not at.slash:
            return _redirect(request, "", at.below or at.index)
        href_prefix = "" if at.below else "+simple/"

        def render(seen: Snapshot, view: View) -> _Rendering:
            page = library.shown_projects(seen, view)
            return _Rendering(_list_bytes(page, form, href_prefix), page.serial)

        key = (index, href_prefix, form)
        recipe = _Recipe(form, key, index, None, lambda seen, _: seen.serial, render)
        return _answer(request, recipe, await self._page(request, recipe))

    async def project_page(self, request: Request, at: PageAt | ProjectAt) -> Response:
        """One project. Other spellings of its name lead to the normalised one (PEP 503)."""
        form = _form(request)
        index = asked_index(at.user, at.index)
        project = asked_project(at.project)
        if project != at.project or not at.slash:
            return _redirect(request, "../" if at.slash else "", project)
        depth = page_depth(at.below)

        def fingerprint(seen: Snapshot, view: View) -> Hashable:
            return library.fingerprint_of_project(seen, view, project)

        def recipe_for(secure_url: str | None) -> _Recipe:
            def render(seen: Snapshot, view: View) -> _Rendering:
                sight = library.shown_project(seen, view, project)
                body = _project_bytes(library.page_of(sight, depth, secure_url), form)
                return _Rendering(body, sight.fingerprint, sight.has_provenance)

            key = (index, project, depth, form, secure_url)
            return _Recipe(form, key, index, project, fingerprint, render)

        recipe = recipe_for(None)
        page = await self._page(request, recipe)
        if page.differs_by_origin:
            root_url = origin_of(request, self.outside_url, self.trusted_proxies)
            if is_secure(root_url):
                recipe = recipe_for(root_url)
                page = await self._page(request, recipe)
        return _answer(request, recipe, page)

    async def _page(self, request: Request, recipe: "_Recipe") -> RenderedPage:
        zipped = takes_gzip(joined(request, "accept-encoding"))
        # Read before the snapshot: what was agreed only afterwards might not be in it.
        agreed = self.catalog.agreed_serial()
        if agreed is not None:
            page = self.pages.current((recipe.key, _NOTHING_RESTRICTED, zipped), agreed)
            if page is not None and (page.is_public or credentials_of(request) is None):
                return page
        return await self.readers.read(
            request, lambda reader: self._page_now(agreed, recipe, reader, zipped)
        )

    def _page_now(
        self, agreed: int | None, recipe: "_Recipe", reader: Reader, zipped: bool
    ) -> RenderedPage:
        """The page as it is now, made anew or compressed anew only if it has changed."""
        key, page = self._plain_page(agreed, recipe, reader)
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
                )
            else:
                page = _compressed(page)
            self.pages.keep((*key, True), agreed, page)
        return page

    def _plain_page(
        self, agreed: int | None, recipe: "_Recipe", reader: Reader
    ) -> tuple[tuple[Hashable, Hashable], RenderedPage]:
        """The page, and the key of all pages like it: readers share what they all may see."""
        with self.catalog.snapshot() as seen:
            view = library.look(seen, recipe.index, reader, recipe.project)
            key = (recipe.key, view.restricted)
            before = self.pages.maybe((*key, False))
            if before is not None and before.fingerprint == recipe.fingerprint(seen, view):
                page = replace(before, is_public=view.is_public)
            else:
                made = recipe.render(seen, view)
                page = RenderedPage(
                    made.body,
                    _etag(made.body, recipe.form),
                    made.fingerprint,
                    differs_by_origin=made.differs_by_origin,
                    is_public=view.is_public,
                )
        self.pages.keep((*key, False), agreed, page)
        return key, page


@dataclass(frozen=True, slots=True)
class _Recipe:
    """How a page is made, and how to tell whether it must be."""

    form: Form
    key: Hashable
    index: IndexName
    project: ProjectName | None
    fingerprint: Fingerprint
    render: Render


@dataclass(frozen=True, slots=True)
class _Rendering:
    """A page as it was just made."""

    body: bytes
    fingerprint: Hashable
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


def _compressed(page: RenderedPage) -> RenderedPage:
    """The page under gzip, with a tag of its own; a page that gains nothing stays as it is."""
    body = gzip.compress(page.body, _GZIP_LEVEL, mtime=0)
    if len(body) + _GZIP_GAIN_BYTES_MIN > len(page.body):
        return replace(page, fingerprint=page.etag)
    etag = f'{page.etag[:-1]}-gzip"'
    return replace(page, body=body, etag=etag, fingerprint=page.etag, encoding="gzip")


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


def _project_bytes(page: ProjectPage, form: Form) -> bytes:
    if form is Form.JSON:
        return simple_json.render_project(page)
    return simple_html.render_project(page)


def _etag(body: bytes, form: Form) -> str:
    """Differs between the forms too: a cache must not take one for the other."""
    return f'"{hashlib.sha256(form.name.encode() + body).hexdigest()[:32]}"'
