"""Which index each mirror shows: its own setting, the server's, or the one that pip here uses."""

import os
import time
from collections.abc import Callable
from threading import Lock
from urllib.parse import urlsplit

from simpleindex.upstream.client import Source, UpstreamTrouble
from simpleindex.upstream.pip_index import PipIndex, find_pip_index
from simpleindex_storage.model import MirrorSettings

_SEARCH_AGAIN_SECONDS = 60.0


class Sources:
    """Finds upstreams. The one of pip is looked for when it is first needed: it takes a moment."""

    def __init__(
        self,
        upstream_url: str | None,
        find: Callable[[], PipIndex | None] = lambda: find_pip_index(os.environ),
    ) -> None:
        self._upstream_url = upstream_url
        self._find = find
        self._lock = Lock()
        self._default_url: str | None = upstream_url
        self._searched_at: float | None = None

    def known(self, settings: MirrorSettings) -> Source | None:
        """The source, if it is known without a search."""
        url = settings.mirror_url or self._default_url
        return None if url is None else Source(url, settings.file_hosts)

    def find(self, settings: MirrorSettings) -> Source:
        """The source. Blocks. Raises UpstreamTrouble if there is none."""
        if settings.mirror_url is None:
            self._search()
        source = self.known(settings)
        if source is None:
            raise UpstreamTrouble(
                "no upstream is known: pip on this computer uses none that can be mirrored; give "
                "the index a mirror_url, or the server --upstream-url",
                is_down=True,
            )
        return source

    def trusted_host(self, settings: MirrorSettings) -> str | None:
        """The host that pip itself is configured with; it may have a private address."""
        if settings.mirror_url is not None or self._upstream_url is not None:
            return None
        return urlsplit(self._default_url or "").hostname

    def _search(self) -> None:
        with self._lock:
            if self._default_url is not None:
                return
            now = time.monotonic()
            if self._searched_at is None or now - self._searched_at > _SEARCH_AGAIN_SECONDS:
                self._searched_at = now
                found = self._find()
                self._default_url = None if found is None else found.url
