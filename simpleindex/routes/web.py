"""Pages for people."""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from simpleindex.config import Network
from simpleindex.reading import Reader
from simpleindex.routes.asking import origin_of
from simpleindex.routes.readers import Readers
from simpleindex.version import __version__
from simpleindex.web.start_page import start_page, style_source
from simpleindex.wire import browser_headers
from simpleindex_storage.model import StageSettings
from simpleindex_storage.ports import Catalog


@dataclass(frozen=True, slots=True)
class WebDoor:
    """The start page."""

    catalog: Catalog
    readers: Readers
    outside_url: str | None
    trusted_proxy: tuple[Network, ...]

    async def start(self, request: Request) -> Response:
        """What this is, and how to use it."""
        names = await self.readers.read(request, self._stages)
        root = origin_of(request, self.outside_url, self.trusted_proxy)
        headers = {
            "cache-control": "no-cache",
            "vary": "Accept",
            **browser_headers.start_page(style_source()),
        }
        return Response(start_page(root, __version__, names), 200, headers, "text/html")

    def _stages(self, reader: Reader) -> list[str]:
        with self.catalog.snapshot() as seen:
            return [
                index.name
                for index in seen.indexes()
                if isinstance(index.settings, StageSettings) and reader.may_read(index)
            ]
