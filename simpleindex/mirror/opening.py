"""Joins the parts that mirrors are made of: what is kept, who asks, and what is on its way."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from simpleindex.config import Config
from simpleindex.events import Count, nobody_counts
from simpleindex.mirror.files import MirrorFiles
from simpleindex.mirror.known import Mirrored
from simpleindex.mirror.lists import MirrorLists
from simpleindex.mirror.pages import MirrorPages, Upstreams
from simpleindex.mirror.sources import Sources
from simpleindex.mirror.transfers import Room, Transfers
from simpleindex.upstream.addresses import Addresses
from simpleindex.upstream.client import Upstream
from simpleindex_storage.cache import Cache
from simpleindex_storage.errors import Refused
from simpleindex_storage.opening import open_cache
from simpleindex_storage.ports import Catalog


@dataclass(frozen=True, slots=True)
class Mirroring:
    """All that mirrors need, for a server or for a verb of the command line."""

    cache: Cache
    addresses: Addresses
    """Where other servers may be."""
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
    config: Config,
    catalog: Catalog,
    hop: str,
    now: Callable[[], datetime],
    count: Count = nobody_counts,
) -> Mirroring:
    """Open what is kept of mirrors; `hop` names this server to others.

    Raises Refused, also for a setting that cannot be used, and Unavailable.
    """
    sources = Sources(config.upstream_url)
    try:
        addresses = Addresses(config.private_upstreams)
    except ValueError as error:
        raise Refused("private_upstreams", str(error)) from None
    cache = open_cache(config.serverdir, now)

    def make(trusted_host: str | None) -> Upstream:
        known = addresses if trusted_host is None else addresses.with_host(trusted_host)
        return Upstream(known, hop)

    mirrored = Mirrored(
        cache,
        sources,
        expiry_seconds=config.mirror_cache_expiry,
        offline=config.offline_mode,
        now=now,
        count=count,
    )
    upstreams = Upstreams(sources, make)
    transfers = Transfers(mirrored, upstreams, Room(config.cache_bytes_max, config.keep_free_bytes))
    return Mirroring(
        cache=cache,
        addresses=addresses,
        mirrored=mirrored,
        upstreams=upstreams,
        pages=MirrorPages(mirrored, upstreams, now),
        lists=MirrorLists(mirrored, upstreams, expiry_seconds=config.mirror_cache_expiry, now=now),
        transfers=transfers,
        files=MirrorFiles(catalog, mirrored, upstreams, transfers),
    )
