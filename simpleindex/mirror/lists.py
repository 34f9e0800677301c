"""Lists of all names of upstreams: fetched in a stream, kept on the disk, never in memory."""

import asyncio
import hashlib
import heapq
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from datetime import datetime, timedelta
from functools import partial
from typing import BinaryIO

import anyio.to_thread

from simpleindex.events import Event
from simpleindex.mirror.flights import Flights
from simpleindex.mirror.known import Mirrored, Trouble, is_younger, settings_of
from simpleindex.mirror.pages import Upstreams
from simpleindex.policy import MirrorPolicy
from simpleindex.upstream.client import NamesAnswer, NotModified, UpstreamTrouble
from simpleindex.wire.upstream_list import NamesInHtml, NamesInJson, names_parser
from simpleindex.wire.upstream_page import BadPage
from simpleindex_storage.cache import NamesWriter
from simpleindex_storage.durable import unavailable_on_failure
from simpleindex_storage.errors import NotStored, StoreError, Unavailable
from simpleindex_storage.mirrored import KeptNames
from simpleindex_storage.model import Index
from simpleindex_storage.names import IndexName, ProjectName

_log = logging.getLogger("simpleindex")

_PATIENCE_SECONDS = 10.0
"""How long somebody waits for a list that is not here yet; it is fetched to its end all the same.

pip gives up after 15.
"""
_TROUBLE_SECONDS = 30.0
_BATCH_BYTES = 1 << 20
"""So much of a list is handed over to a thread at once."""


class MirrorLists:
    """The lists of all mirrors. `open` may be called from any thread, the rest from the loop."""

    def __init__(
        self,
        mirrored: Mirrored,
        upstreams: Upstreams,
        *,
        expiry_seconds: int,
        now: Callable[[], datetime],
    ) -> None:
        self._mirrored = mirrored
        self._upstreams = upstreams
        self._expiry_seconds = expiry_seconds
        self._now = now
        self._flights = Flights[IndexName, Unavailable | None]()
        self._troubles: dict[IndexName, Trouble] = {}

    async def ensure(self, mirrors: Sequence[Index], hops: tuple[str, ...]) -> dict[IndexName, str]:
        """See to it that the lists are here; why not, by index, for those that are not.

        A list that is out of date is told, and fetched anew behind the answer. Raises Unavailable
        for one that cannot be kept: that may pass at any moment.
        """
        waiting = []
        for index in mirrors:
            if not self._has_list(index):
                continue
            kept = await anyio.to_thread.run_sync(self._mirrored.cache.names, index.name)
            is_ours = kept is not None and self._mirrored.is_of_source(kept.source, index)
            if kept is not None and is_ours and self._is_fresh(kept, index):
                continue
            trouble = self._troubles.get(index.name)
            if trouble is not None and trouble.stands(index, self._now()):
                continue
            checked_at = None if kept is None else kept.checked_at
            flight = self._flights.join(index.name, partial(self._fetch, index, checked_at, hops))
            if not is_ours:
                waiting.append(flight)
        if waiting:
            done, _ = await asyncio.wait(waiting, timeout=_PATIENCE_SECONDS)
            for flight in done:
                unavailable = flight.result()
                if unavailable is not None:
                    raise unavailable
        return {index.name: line for index in mirrors if (line := await self._why_not(index))}

    def open(self, mirrors: Sequence[Index], own: Iterable[ProjectName]) -> "Names":
        """All names, those of mirrors and our own, in order and each once. Raises Unavailable."""
        names = Names()
        names.add("own", iter(own))  # in order already
        for index in mirrors:
            settings = settings_of(index)
            policy = MirrorPolicy.of(settings)
            lines: Iterator[ProjectName] | None = None
            if self._has_list(index):
                kept = self._mirrored.cache.names(index.name)
                digest = "" if kept is None else kept.sha256
                # In this order: newer names under an older digest are told again, and then right.
                with suppress(NotStored):
                    lines = names.lines(self._mirrored.cache.open_names(index.name))
            if lines is None:
                lines = self._mirrored.cache.projects(index.name)
                digest = str(self._mirrored.cache.settled_serial())
            shown = (name for name in lines if policy.of_project(name).is_shown)
            names.add(f"{index.name} {index.serial} {digest}", shown)
        return names

    async def close(self) -> None:
        """Give up what is under way."""
        await self._flights.close()

    def _has_list(self, index: Index) -> bool:
        settings = settings_of(index)
        return not (self._mirrored.is_offline(settings) or settings.mirror_no_project_list)

    def _is_fresh(self, kept: KeptNames, index: Index) -> bool:
        seconds = settings_of(index).mirror_cache_expiry_seconds
        lifetime = timedelta(seconds=self._expiry_seconds if seconds is None else seconds)
        return is_younger(kept.checked_at, lifetime, self._now())

    async def _why_not(self, index: Index) -> str | None:
        if not self._has_list(index):
            return None
        if await anyio.to_thread.run_sync(self._mirrored.cache.names, index.name) is not None:
            return None
        trouble = self._troubles.get(index.name)
        return "it is being fetched; ask again in a while" if trouble is None else trouble.line

    async def _fetch(
        self, index: Index, checked_at: datetime | None, hops: tuple[str, ...]
    ) -> Unavailable | None:
        """Fetch and keep a list; why it could not be kept, if it could not. Raises nothing else.

        `checked_at`: of the list as it was seen by who wants another one; None: there was none.
        """
        try:
            await self._fetch_and_keep(index, checked_at, hops)
        except Unavailable as error:
            _log.warning("%s: list of projects not kept: %s", index.name, error)
            return error
        except (UpstreamTrouble, BadPage, StoreError) as error:
            line = str(error)
            _log.warning("%s: list of projects not fetched: %s", index.name, line)
        except Exception:
            line = "the list of projects could not be fetched; the server's log says why"
            _log.exception("%s: list of projects not fetched", index.name)
        else:
            self._troubles.pop(index.name, None)
            return None
        self._mirrored.count(Event.MIRROR_LIST_FAILED, 1)
        until = self._now() + timedelta(seconds=_TROUBLE_SECONDS)
        self._troubles[index.name] = Trouble(index.serial, line, until, _TROUBLE_SECONDS)
        return None

    async def _fetch_and_keep(
        self, index: Index, checked_at: datetime | None, hops: tuple[str, ...]
    ) -> None:
        cache = self._mirrored.cache
        source, upstream = await self._upstreams.reach(settings_of(index))
        kept = await anyio.to_thread.run_sync(cache.names, index.name)
        if kept is not None and kept.source != source.label:
            kept = None
        if kept is not None and kept.checked_at != checked_at:
            return  # another flight, or another process, came in with it just now
        async with upstream.names(
            source,
            etag=None if kept is None else kept.etag,
            last_modified=None if kept is None else kept.last_modified,
            hops=hops,
        ) as answer:
            if isinstance(answer, NotModified):
                await anyio.to_thread.run_sync(cache.renew_names, index.name, self._now())
                self._mirrored.count(Event.MIRROR_LIST_UNCHANGED, 1)
                return
            await self._keep(index, source.label, answer)
            self._mirrored.count(Event.MIRROR_LIST_FETCHED, 1)

    async def _keep(self, index: Index, label: str, answer: NamesAnswer) -> None:
        stack = ExitStack()
        try:
            writer = await anyio.to_thread.run_sync(
                stack.enter_context, self._mirrored.cache.names_writer(index.name)
            )
            parser = None
            async for batch in _batches(answer):
                if parser is None:
                    parser = names_parser(answer.content_type, batch)
                await anyio.to_thread.run_sync(_take, writer, parser, batch)
            if parser is None:
                raise BadPage("the list of projects is empty")
            end = parser.close
            await anyio.to_thread.run_sync(lambda: writer.add(end()))
            now = self._now()
            await anyio.to_thread.run_sync(
                lambda: writer.finish(answer.etag, answer.last_modified, label, now)
            )
        finally:
            await anyio.to_thread.run_sync(stack.close)


async def _batches(answer: NamesAnswer) -> AsyncIterator[bytes]:
    batch = bytearray()
    async for chunk in answer.chunks:
        batch += chunk
        if len(batch) >= _BATCH_BYTES:
            yield bytes(batch)
            batch.clear()
    if batch:
        yield bytes(batch)


def _take(writer: NamesWriter, parser: NamesInJson | NamesInHtml, batch: bytes) -> None:
    writer.add(parser.feed(batch))


class Names:
    """Names from several places, in order, each once."""

    def __init__(self) -> None:
        self._told: list[str] = []
        self._iterators: list[Iterator[ProjectName]] = []
        self._files: list[BinaryIO] = []

    def add(self, told: str, names: Iterator[ProjectName]) -> None:
        """More names, which are in order; `told` tells them from what they were before."""
        self._told.append(told)
        self._iterators.append(names)

    def lines(self, file: BinaryIO) -> Iterator[ProjectName]:
        """The names in a file, which is closed with all the others. Raises Unavailable."""
        self._files.append(file)
        return _names_in(file)

    @property
    def digest(self) -> str:
        """Equal for the same names."""
        return hashlib.sha256("\n".join(self._told).encode()).hexdigest()

    def __iter__(self) -> Iterator[ProjectName]:
        last = None
        for name in heapq.merge(*self._iterators):
            if name != last:
                last = name
                yield name

    def close(self) -> None:
        """Close all files."""
        for file in self._files:
            file.close()


def _names_in(file: BinaryIO) -> Iterator[ProjectName]:
    """The names in a file. Raises Unavailable."""
    with unavailable_on_failure("the list of projects cannot be read"):
        for line in file:
            yield ProjectName(line.rstrip(b"\n").decode())
