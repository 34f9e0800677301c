"""`/-/metrics`: figures for Prometheus, and whatever else reads its format."""

import os
import platform
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from simpleindex.access import ROOT
from simpleindex.config import Network
from simpleindex.counted import PREFIX, Counted, gauge
from simpleindex.errors import Forbidden
from simpleindex.routes.asking import accept_of, address_of, in_thread
from simpleindex.routes.doorkeeper import Doorkeeper
from simpleindex.version import __version__
from simpleindex.wire.clients import parse_address
from simpleindex.wire.metrics_text import Family, Kind, Sample, format_for, render
from simpleindex.wire.origin import host_to_trust
from simpleindex_storage.journal import segments
from simpleindex_storage.ports import Catalog

_FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip")

_SIZES = {
    "catalog_bytes": ("catalog.sqlite", "Size of the catalog."),
    "catalog_wal_bytes": ("catalog.sqlite-wal", "Size of the catalog's write-ahead log."),
}
"""Files of the server directory, by the figure that tells how large they are."""


@dataclass(frozen=True, slots=True)
class MetricsDoor:
    """What was counted, and how things are; for those whom `metrics_from` names, and root."""

    counted: Counted
    catalog: Catalog
    serverdir: Path
    doorkeeper: Doorkeeper
    readers: tuple[Network, ...]
    trusted_proxies: tuple[Network, ...]
    started_at: datetime
    open_connections: Callable[[], int | None]
    """How many clients are connected to this process; None where nobody can tell."""

    async def tell(self, request: Request) -> Response:
        """All figures. Raises Forbidden."""
        if not self._is_near(request):
            principal = await self.doorkeeper.identify(request)
            if principal.name != ROOT or principal.token is not None:
                raise Forbidden(
                    "metrics are for the addresses that the server's setting metrics_from names, "
                    "and for root with a password"
                )
        form = format_for(accept_of(request))
        body = await in_thread(lambda: render(self._families(), form))
        headers = {"cache-control": "no-store", "vary": "Accept", "content-type": form}
        return Response(body, headers=headers)

    def _is_near(self, request: Request) -> bool:
        """Whether it comes from an address that may read, as far as can be seen from here."""
        client = request.scope.get("client")
        address = address_of(request, self.trusted_proxies)
        if address is None:
            return False  # a Unix socket, behind which a proxy speaks for anybody
        known = parse_address(address)
        if known is None:
            return False
        if client is not None and client[0] == address and known.is_loopback:
            # A proxy on this computer that nobody has named speaks for anybody, too.
            is_forwarded = any(name in request.headers for name in _FORWARDED)
            host = f"http://{request.headers.get('host', '')}"
            if is_forwarded or host_to_trust(host) is not None:
                return False
        return any(known in network for network in self.readers)

    def _families(self) -> Iterator[Family]:
        yield from self.counted.families()
        yield gauge("catalog_serial", "Number of the last change.", self.catalog.settled_serial())
        for name, (file, help_text) in _SIZES.items():
            size = 0
            with suppress(OSError):
                size = (self.serverdir / file).stat().st_size
            yield gauge(name, help_text, size)
        yield gauge("journal_bytes", "Size of the journal.", _journal_bytes(self.serverdir))
        with suppress(OSError):
            usage = shutil.disk_usage(self.serverdir)
            yield gauge("disk_free_bytes", "Room on the disk of the server directory.", usage.free)
            yield gauge(
                "disk_total_bytes", "Size of the disk of the server directory.", usage.total
            )
        connections = self.open_connections()
        if connections is not None:
            help_text = "Connections of clients, of the process that answers."
            yield gauge("connections_open", help_text, connections)
        labels = (("version", __version__), ("python", platform.python_version()))
        info = "What runs here; always 1."
        yield Family(f"{PREFIX}build_info", Kind.GAUGE, info, (Sample(1, labels),))
        yield from _of_process(self.started_at)


def _journal_bytes(serverdir: Path) -> int:
    """Of all its segments, as far as they are there: old ones go while we look."""
    total = 0
    with suppress(OSError):
        for segment in segments(serverdir):
            with suppress(FileNotFoundError):
                total += segment.path.stat().st_size
    return total


def _of_process(started_at: datetime) -> Sequence[Family]:
    """The figures that all who speak this format have, by their usual names."""
    cpu_seconds = Sample(round(time.process_time(), 3))
    families = [
        _process("start_time_seconds", "When this process began.", started_at.timestamp()),
        Family("process_cpu_seconds", Kind.COUNTER, "Its time on processors.", (cpu_seconds,)),
    ]
    if sys.platform == "linux":
        with suppress(OSError, ValueError, IndexError):
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            memory = pages * os.sysconf("SC_PAGE_SIZE")
            families.append(_process("resident_memory_bytes", "Its memory.", memory))
            count = sum(1 for _ in Path("/proc/self/fd").iterdir())
            families.append(_process("open_fds", "Its open files and connections.", count))
    return families


def _process(name: str, help_text: str, value: int | float) -> Family:
    return Family(f"process_{name}", Kind.GAUGE, help_text, (Sample(value),))
