"""Joins the parts that mirrors are made of: what is kept, who asks, and what is on its way."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from simpleindex.addresses import Addresses
from simpleindex.config import Config
from simpleindex.mirror_files import MirrorFiles
from simpleindex.mirror_lists import MirrorLists
from simpleindex.mirrored import Mirrored
from simpleindex.mirrors import MirrorPages, Upstreams
from simpleindex.sources import Sources
from simpleindex.transfers import Room, Transfers
from simpleindex.upstream import Upstream
from simpleindex_storage.cache import Cache
from simpleindex_storage.ports import Catalog

CACHE_FOLDER = "cache"
"""Below the server directory. All in it can be fetched again."""


@dataclass(frozen=True, slots=True)
class Mirroring:
    """All that mirrors need, for a server or for a verb of the command line."""

    cache: Cache
    mirrored: Mirrored
    upstreams: Upstreams
    pages: MirrorPages
    lists: MirrorLists
    transfers: Transfers
    files: MirrorFiles

    async def stop(self) -> None:
        """Give up what is under way, in the event loop in which it was begun."""
        await self.files.close()
        await self.transfers.close()
        await self.lists.close()
        await self.pages.close()
        await self.upstreams.close()


def open_mirroring(
    config: Config, catalog: Catalog, hop: str, now: Callable[[], datetime]
) -> Mirroring:
    """Open what is kept of mirrors. `hop` names this server to others. Raises Unavailable."""
    cache = Cache(config.serverdir / CACHE_FOLDER, now)
    sources = Sources(config.upstream_url)
    addresses = Addresses(config.private_upstreams)

    def make(trusted_host: str | None) -> Upstream:
        known = addresses if trusted_host is None else addresses.with_host(trusted_host)
        return Upstream(known, hop)

    mirrored = Mirrored(
        cache,
        sources,
        expiry_seconds=config.mirror_cache_expiry,
        offline=config.offline_mode,
        now=now,
    )
    upstreams = Upstreams(sources, make)
    transfers = Transfers(cache, upstreams, Room(config.cache_bytes_max, config.keep_free_bytes))
    return Mirroring(
        cache=cache,
        mirrored=mirrored,
        upstreams=upstreams,
        pages=MirrorPages(mirrored, upstreams, now),
        lists=MirrorLists(mirrored, upstreams, expiry_seconds=config.mirror_cache_expiry, now=now),
        transfers=transfers,
        files=MirrorFiles(catalog, mirrored, upstreams, transfers),
    )
