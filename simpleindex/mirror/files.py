"""Files of mirrors, and what belongs to them: from what is kept, else from upstream."""

import asyncio
import hashlib
import logging
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import BinaryIO

import anyio.to_thread

from simpleindex.errors import Forbidden, UpstreamFailed
from simpleindex.events import Event
from simpleindex.mirror.flights import Flights
from simpleindex.mirror.known import Mirrored, MirroredFile, settings_of
from simpleindex.mirror.pages import Upstreams
from simpleindex.mirror.passing import passed_along
from simpleindex.mirror.transfers import Growing, Transfer, Transfers, WantedFile
from simpleindex.mirror.wheel_ranges import fetch_metadata, metadata_in
from simpleindex.upstream.client import NoRanges, UpstreamTrouble
from simpleindex.wire.mirror_page import with_metadata
from simpleindex_storage.errors import NotStored, Refused, Unavailable
from simpleindex_storage.metadata import METADATA_BYTES_MAX
from simpleindex_storage.mirrored import KeptFile
from simpleindex_storage.model import Index, MirrorSettings, Sidecar
from simpleindex_storage.names import FilePlace, IndexName
from simpleindex_storage.ports import Catalog

_log = logging.getLogger("simpleindex")

_OPENINGS_MAX = 3
"""How often a file is fetched that is gone again before it could be opened."""

_SIDECAR_BYTES_MAX = {
    Sidecar.METADATA: METADATA_BYTES_MAX,
    Sidecar.SIGNATURE: 64 << 10,
    Sidecar.PROVENANCE: 4 << 20,
}


@dataclass(frozen=True, slots=True)
class KeptCopy:
    """A file of a mirror that is here, open."""

    file: MirroredFile
    kept: KeptFile
    content: BinaryIO


@dataclass(frozen=True, slots=True)
class LyingBeside:
    """What lies beside a file: its metadata, signature or provenance."""

    file: MirroredFile
    content: bytes


class MirrorFiles:
    """Finds files of mirrors. `find` may be called from any thread, the rest from the loop."""

    def __init__(
        self, catalog: Catalog, mirrored: Mirrored, upstreams: Upstreams, transfers: Transfers
    ) -> None:
        self._catalog = catalog
        self._mirrored = mirrored
        self._upstreams = upstreams
        self._transfers = transfers
        self._sidecars = Flights[tuple[FilePlace, Sidecar], bytes]()

    def mirror(self, name: IndexName) -> Index | None:
        """An index, if it mirrors another one."""
        with self._catalog.snapshot() as seen:
            index = seen.index(name)
        is_mirror = index is not None and isinstance(index.settings, MirrorSettings)
        return index if is_mirror else None

    def find(self, mirror: Index, place: FilePlace) -> KeptCopy | WantedFile:
        """A file that a mirror lists, if it may be had: as it is kept, or as it is to be fetched.

        Raises NotStored, Forbidden, UpstreamNeeded.
        """
        wanted = self._listed(mirror, place)
        try:
            kept, content = self._mirrored.cache.open(place)
        except NotStored:
            pass
        else:
            self._mirrored.count(Event.MIRROR_FILE_KEPT, 1)
            return KeptCopy(wanted.file, kept, content)
        if self._mirrored.is_offline(wanted.settings):
            raise NotStored(
                f"file {place.filename}", f"{place.index} is offline and has not kept it"
            )
        if wanted.file.known.gone:
            raise NotStored(f"file {place.filename}", "upstream has it no more")
        self._mirrored.count(Event.MIRROR_FILE_MISSING, 1)
        return wanted

    def begin(self, wanted: WantedFile, hops: tuple[str, ...]) -> Transfer:
        """Let a file come."""
        return self._transfers.begin(wanted, hops)

    async def whole(self, wanted: WantedFile, hops: tuple[str, ...]) -> KeptCopy:
        """A file, once it is here. Raises UpstreamFailed, NotStored, Unavailable."""
        for _ in range(_OPENINGS_MAX):
            await self._transfers.begin(wanted, hops).whole()
            try:
                opened = await anyio.to_thread.run_sync(self._mirrored.cache.open, wanted.place)
            except NotStored:
                continue  # it had to make room for another one at once
            return KeptCopy(wanted.file, *opened)
        raise Unavailable(
            f"{wanted.place.filename} is gone again as soon as it is here: mirrors may keep too "
            "little (cache_bytes_max, keep_free_bytes)",
            full=True,
        )

    def follow(self, transfer: Transfer) -> Growing:
        """A file as it grows, for one reader."""
        return self._transfers.follow(transfer)

    def pass_along(self, wanted: WantedFile, hops: tuple[str, ...]) -> AsyncGenerator[bytes, None]:
        """A file that there is no room for, as upstream sends it. Raises UpstreamFailed."""
        return passed_along(self._upstreams, wanted, hops, self._mirrored.count)

    def find_sidecar(
        self, mirror: Index, place: FilePlace, sidecar: Sidecar
    ) -> LyingBeside | WantedFile:
        """What lies beside a file, or the file for which it is to be fetched. As `find`."""
        wanted = self._listed(mirror, place)
        kept = self._mirrored.cache.sidecar(place, sidecar)
        if kept is not None and _is_as_announced(kept, wanted.file, sidecar):
            self._mirrored.count(Event.MIRROR_FILE_KEPT, 1)
            return LyingBeside(wanted.file, kept)
        if not _may_have(wanted.file, sidecar):
            raise NotStored(f"file {place.filename}{sidecar}")
        if not self._mirrored.is_offline(wanted.settings):
            self._mirrored.count(Event.MIRROR_FILE_MISSING, 1)
            return wanted
        if sidecar is not Sidecar.METADATA:
            raise NotStored(
                f"file {place.filename}{sidecar}", "it is not kept, and this is offline"
            )
        try:
            return LyingBeside(wanted.file, self._from_kept_copy(wanted.file))
        except Refused as error:
            raise NotStored(f"file {place.filename}{sidecar}", str(error)) from None

    def _listed(self, mirror: Index, place: FilePlace) -> WantedFile:
        """A file that a mirror lists, if it may be had, whether it is here or not. As `find`."""
        file, verdict, hosts = self._mirrored.file(mirror, place)
        if not verdict.may_be_served:
            _log.warning("%s: %s refused: %s", mirror.name, place.filename, verdict.reason)
            raise Forbidden(verdict.reason)
        return WantedFile(file, settings_of(mirror), hosts)

    async def sidecar(
        self, wanted: WantedFile, sidecar: Sidecar, hops: tuple[str, ...]
    ) -> LyingBeside:
        """What belongs to a file, from upstream. Raises NotStored, UpstreamFailed, Unavailable."""
        fetching = self._sidecars.join(
            (wanted.place, sidecar), lambda: self._fetch_sidecar(wanted, sidecar, hops)
        )
        return LyingBeside(wanted.file, await asyncio.shield(fetching))

    async def close(self) -> None:
        """Give up what is under way."""
        await self._sidecars.close()

    async def _fetch_sidecar(
        self, wanted: WantedFile, sidecar: Sidecar, hops: tuple[str, ...]
    ) -> bytes:
        place = wanted.place
        # It may have come, for somebody else, since it was seen to be missing.
        kept = await anyio.to_thread.run_sync(self._mirrored.cache.sidecar, place, sidecar)
        if kept is not None and _is_as_announced(kept, wanted.file, sidecar):
            return kept
        try:
            content = await self._relayed(wanted, sidecar, hops)
            if content is None:
                if sidecar is not Sidecar.METADATA:
                    raise NotStored(f"file {place.filename}{sidecar}", "upstream has it no more")
                content = await self._taken_out(wanted, hops)
            if not _is_as_announced(content, wanted.file, sidecar):
                raise UpstreamTrouble("upstream sent other metadata than it promised")
        except UpstreamTrouble as error:
            line = f"{place.filename}{sidecar} cannot be fetched: {error}"
            _log.warning("%s: %s", place.index, line)
            raise UpstreamFailed(line) from None
        except Refused as error:
            _log.warning("%s: no metadata of %s: %s", place.index, place.filename, error)
            raise NotStored(f"file {place.filename}{sidecar}", str(error)) from None
        await anyio.to_thread.run_sync(self._keep, wanted.file, sidecar, content)
        return content

    async def _relayed(
        self, wanted: WantedFile, sidecar: Sidecar, hops: tuple[str, ...]
    ) -> bytes | None:
        """What upstream has beside its file; None if that is nothing. Raises UpstreamTrouble."""
        file = wanted.file.known.file
        url = file.provenance if sidecar is Sidecar.PROVENANCE else file.url + sidecar
        if url is None or (sidecar is Sidecar.METADATA and not _is_announced(wanted.file)):
            return None
        source, upstream = await self._upstreams.reach(wanted.settings)
        return await upstream.small(
            source, url, _SIDECAR_BYTES_MAX[sidecar], page_hosts=wanted.page_hosts, hops=hops
        )

    async def _taken_out(self, wanted: WantedFile, hops: tuple[str, ...]) -> bytes:
        """The metadata of a wheel, taken out of it. Raises Refused, UpstreamTrouble, ..."""
        file = wanted.file.known.file
        here = await anyio.to_thread.run_sync(self._mirrored.cache.file, wanted.place)
        if here is None:
            source, upstream = await self._upstreams.reach(wanted.settings)

            async def fetch(first: int, last: int) -> tuple[bytes, int]:
                return await upstream.part(
                    source, file.url, first, last, page_hosts=wanted.page_hosts, hops=hops
                )

            try:
                return await fetch_metadata(file.filename, file.size_bytes, fetch)
            except NoRanges:  # the client would have to download it as well
                await self._transfers.begin(wanted, hops).whole()
        return await anyio.to_thread.run_sync(self._from_kept_copy, wanted.file)

    def _from_kept_copy(self, file: MirroredFile) -> bytes:
        """The metadata of a wheel that is here. Raises NotStored, Refused."""
        _, content = self._mirrored.cache.open(file.place)
        with content:
            return metadata_in(content, file.place.filename)

    def _keep(self, file: MirroredFile, sidecar: Sidecar, content: bytes) -> None:
        filename = file.place.filename
        self._mirrored.cache.keep_sidecar(file.place, file.project, sidecar, content)
        if sidecar is Sidecar.METADATA and not isinstance(file.known.file.metadata, dict):
            sha256 = hashlib.sha256(content).hexdigest()
            self._mirrored.change_page(file, lambda page: with_metadata(page, filename, sha256))


def _may_have(file: MirroredFile, sidecar: Sidecar) -> bool:
    match sidecar:
        case Sidecar.METADATA:
            return file.place.filename.endswith(".whl") or _is_announced(file)
        case Sidecar.SIGNATURE:
            return bool(file.known.file.gpg_sig)
        case Sidecar.PROVENANCE:
            return file.known.file.provenance is not None


def _is_as_announced(content: bytes, file: MirroredFile, sidecar: Sidecar) -> bool:
    """Whether it is what the page says now: upstream may have put its metadata right."""
    metadata = file.known.file.metadata
    if sidecar is not Sidecar.METADATA or not isinstance(metadata, dict):
        return True
    promised = metadata.get("sha256")
    return promised is None or promised == hashlib.sha256(content).hexdigest()


def _is_announced(file: MirroredFile) -> bool:
    metadata = file.known.file.metadata
    return metadata is not None and metadata is not False
