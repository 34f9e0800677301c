"""The pages that installers read: `+simple/` and its aliases, HTML and JSON."""

import gzip
import hashlib
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from simpleindex import library
from simpleindex.errors import NotAcceptable
from simpleindex.rendered import RenderedPage, RenderedPages
from simpleindex.routes.asking import accept_of, asked_index, in_thread, joined, origin_of
from simpleindex.wire import simple_html, simple_json
from simpleindex.wire.conditional import matches_none
from simpleindex.wire.locations import IndexAt, ListAt, PageAt, ProjectAt
from simpleindex.wire.negotiate import Form, choose, takes_gzip
from simpleindex.wire.origin import is_secure
from simpleindex.wire.simple_page import ProjectListPage, ProjectPage, page_depth
from simpleindex_storage.errors import NotStored, Refused
from simpleindex_storage.names import parse_project_name
from simpleindex_storage.ports import Catalog, Snapshot

Fingerprint = Callable[[Snapshot], Hashable]
Render = Callable[[Snapshot], "_Rendering"]

_VARY = "Accept, Accept-Encoding"
_GZIP_LEVEL = 6
_GZIP_GAIN_BYTES_MIN = 200
"""For less it is not worth the client's work."""


@dataclass(frozen=True, slots=True)
class SimpleDoor:
    """The simple repository API of every index."""

    catalog: Catalog
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

        def render(seen: Snapshot) -> _Rendering:
            page = library.shown_projects(seen, index)
            return _Rendering(_list_bytes(page, form, href_prefix), page.serial)

        recipe = _Recipe(form, (index, href_prefix, form), lambda seen: seen.serial, render)
        return _answer(request, recipe, await self._page(request, recipe))

    async def project_page(self, request: Request, at: PageAt | ProjectAt) -> Response:
        """One project. Other spellings of its name lead to the normalised one (PEP 503)."""
        form = _form(request)
        index = asked_index(at.user, at.index)
        try:
            project = parse_project_name(at.project)
        except Refused:
            raise NotStored(f"project {at.project[:80]!r}") from None
        if project != at.project or not at.slash:
            return _redirect(request, "../" if at.slash else "", project)
        depth = page_depth(at.below)

        def fingerprint(seen: Snapshot) -> Hashable:
            return library.fingerprint_of_project(seen, index, project)

        def recipe_for(secure_url: str | None) -> _Recipe:
            def render(seen: Snapshot) -> _Rendering:
                sight = library.shown_project(seen, index, project)
                body = _project_bytes(library.page_of(sight, depth, secure_url), form)
                return _Rendering(body, sight.fingerprint, sight.has_provenance)

            return _Recipe(form, (index, project, depth, form, secure_url), fingerprint, render)

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
        page = self.pages.current((recipe.key, zipped), agreed) if agreed is not None else None
        if page is None:
            page = await in_thread(lambda: self._page_now(agreed, recipe, zipped))
        return page

    def _page_now(self, agreed: int | None, recipe: "_Recipe", zipped: bool) -> RenderedPage:
        """The page as it is now, made anew or compressed anew only if it has changed."""
        page = self._plain_page(agreed, recipe)
        if zipped:
            before = self.pages.maybe((recipe.key, True))
            if before is not None and before.fingerprint == page.etag:
                page = before
            else:
                page = _compressed(page)
            self.pages.keep((recipe.key, True), agreed, page)
        return page

    def _plain_page(self, agreed: int | None, recipe: "_Recipe") -> RenderedPage:
        before = self.pages.maybe((recipe.key, False))
        with self.catalog.snapshot() as seen:
            if before is not None and before.fingerprint == recipe.fingerprint(seen):
                page = before
            else:
                made = recipe.render(seen)
                etag = _etag(made.body, recipe.form)
                page = RenderedPage(
                    made.body, etag, made.fingerprint, differs_by_origin=made.differs_by_origin
                )
        self.pages.keep((recipe.key, False), agreed, page)
        return page


@dataclass(frozen=True, slots=True)
class _Recipe:
    """How a page is made, and how to tell whether it must be."""

    form: Form
    key: Hashable
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
        "cache-control": "no-cache",
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
