"""Brings files of mirrors here: each once, however many clients wait, in all processes.

Who comes first receives the file into a growing part; everybody else, in this process or in
another one, reads along. Of a large file the bytes flow at once, but the last of them are held
back until the digest is right: so wrong bytes are never a whole answer for anybody.
"""

import asyncio
import hashlib
import logging
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO, TypeVar

import anyio.to_thread

from simpleindex.errors import UpstreamFailed
from simpleindex.events import Count, Event
from simpleindex.mirror.flights import Flights
from simpleindex.mirror.known import Mirrored, MirroredFile
from simpleindex.mirror.pages import Upstreams
from simpleindex.upstream.client import FileAnswer, NoRanges, Source, Upstream, UpstreamTrouble
from simpleindex.wire.mirror_page import with_digest
from simpleindex.wire.simple_page import PageFile
from simpleindex_storage.cache import Cache, Part, Watch
from simpleindex_storage.errors import NotStored, StoreError, Unavailable
from simpleindex_storage.mirrored import KeptFile, PartNote
from simpleindex_storage.model import MirrorSettings
from simpleindex_storage.names import FilePlace

T = TypeVar("T")

_log = logging.getLogger("simpleindex")

STREAMED_BYTES_MIN = 8 << 20
"""Smaller files are answered for only when they are here and right; larger ones flow at once."""

HELD_BACK_BYTES = 256 << 10
"""What nobody gets of a file before its digest is known to be right: its end."""

_TRIES_MAX = 4
"""How often a transfer that was cut is taken up again, from where it was."""
_BETWEEN_TRIES_SECONDS = 0.2
_GLANCE_SECONDS = 0.02
"""How often another process's transfer is looked at."""
_CHUNK_BYTES = 256 << 10
_ROOM_BYTES = 64 << 20
"""How much room is made at a time for a file of which nobody has said how large it is."""
_DIGESTS = ("sha256", "sha512", "sha384", "blake2b_256", "md5")
"""By which a file is checked: the first of these that upstream tells."""


@dataclass(frozen=True, slots=True)
class Room:
    """How much of the disk files of mirrors may take."""

    cache_bytes_max: int | None = None
    keep_free_bytes: int = 0


@dataclass(frozen=True, slots=True)
class WantedFile:
    """A file that a mirror lists and that is not here yet."""

    file: MirroredFile
    settings: MirrorSettings
    page_hosts: frozenset[str]
    """Hosts that the project's page names as those of its files."""

    @property
    def place(self) -> FilePlace:
        """Where it will be."""
        return self.file.place

    @property
    def size_bytes(self) -> int | None:
        """As upstream's page tells it."""
        return self.file.known.file.size_bytes


class Transfer:
    """A file on its way, as all who wait for it see it. Belongs to one event loop."""

    def __init__(self, wanted: WantedFile) -> None:
        self.wanted = wanted
        self.size_bytes = wanted.size_bytes
        """Of the whole file; None while nobody has said."""
        self.received_bytes = 0
        self.is_right = False
        """All is here, and the digest is right."""
        self.kept: KeptFile | None = None
        self.failure: Exception | None = None
        self._change = asyncio.Event()

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come."""
        return self.kept is not None or self.failure is not None

    @property
    def readable_bytes(self) -> int:
        """How much of it may be handed out now."""
        if self.is_right:
            return self.received_bytes
        return max(0, self.received_bytes - HELD_BACK_BYTES)

    def tell(self) -> None:
        """Wake all who wait for something to change."""
        self._change.set()
        self._change = asyncio.Event()

    async def changed(self) -> None:
        """Wait until something has changed."""
        await self._change.wait()

    async def whole(self) -> KeptFile:
        """Wait until it is here and recorded. Raises UpstreamFailed, NotStored, Unavailable."""
        while not self.is_over:
            await self.changed()
        if self.kept is not None:
            return self.kept
        assert self.failure is not None
        raise self.failure

    async def begun(self) -> None:
        """Wait until its first bytes are here. Raises as `whole`."""
        while not (self.received_bytes or self.is_over):
            await self.changed()
        if self.failure is not None:
            raise self.failure


class Transfers:
    """All files that are on their way to this process. Belongs to one event loop."""

    def __init__(self, mirrored: Mirrored, upstreams: Upstreams, room: Room = Room()) -> None:
        self._mirrored = mirrored
        self._cache = mirrored.cache
        self._upstreams = upstreams
        self._room = room
        self._transfers: dict[FilePlace, Transfer] = {}
        self._flights = Flights[FilePlace, None]()

    def begin(self, wanted: WantedFile, hops: tuple[str, ...] = ()) -> Transfer:
        """Let a file come, or join those who wait for it."""
        known = self._transfers.get(wanted.place)
        if known is not None:
            return known
        transfer = self._transfers[wanted.place] = Transfer(wanted)
        task = self._flights.join(wanted.place, lambda: self._run(transfer, hops))

        def end(_: asyncio.Task[None]) -> None:
            self._transfers.pop(wanted.place, None)
            if not transfer.is_over:  # it was cancelled, maybe before it began
                transfer.failure = UpstreamFailed("the server is being stopped")
            transfer.tell()

        task.add_done_callback(end)
        return transfer

    def follow(self, transfer: Transfer) -> "Growing":
        """The file as it grows, for one reader."""
        return Growing(self._cache, transfer)

    async def close(self) -> None:
        """Give up what is under way; what has arrived is taken up again at the next request."""
        await self._flights.close()

    async def _run(self, transfer: Transfer, hops: tuple[str, ...]) -> None:
        try:
            while not transfer.is_over:
                part = await anyio.to_thread.run_sync(self._cache.receive, transfer.wanted.place)
                if part is None:
                    await self._follow(transfer)
                else:
                    await self._receive(transfer, part, hops)
        except (StoreError, UpstreamFailed) as error:
            transfer.failure = error
        except Exception:  # nobody awaits this: whoever waits does so for the transfer
            _log.exception("a transfer of %s failed", transfer.wanted.place.filename)
            transfer.failure = UpstreamFailed("the file could not be fetched")

    async def _follow(self, transfer: Transfer) -> None:
        """Read along while another process receives the file, until it is done or gone."""
        watch = self._cache.watch(transfer.wanted.place)
        while True:
            glance = await anyio.to_thread.run_sync(_Glance.at, watch)
            if glance.kept is not None:
                transfer.received_bytes = glance.kept.size_bytes
                transfer.kept, transfer.is_right = glance.kept, True
                return
            if not glance.is_held:
                return
            if glance.note is not None:
                transfer.size_bytes = glance.note.size_bytes or transfer.size_bytes
                if glance.size_bytes != transfer.received_bytes:
                    transfer.received_bytes = glance.size_bytes
                    transfer.tell()
            await asyncio.sleep(_GLANCE_SECONDS)

    async def _receive(self, transfer: Transfer, part: Part, hops: tuple[str, ...]) -> None:
        """Receive the file; what goes wrong is the transfer's failure."""
        wanted, place = transfer.wanted, transfer.wanted.place
        try:
            # Another process may have been done with it a moment ago.
            transfer.kept = await anyio.to_thread.run_sync(self._cache.file, place)
            if transfer.kept is not None:
                transfer.received_bytes, transfer.is_right = transfer.kept.size_bytes, True
                return
            source, upstream = await self._upstreams.reach(wanted.settings)
            count = self._mirrored.count
            receiving = _Receiving(
                transfer, part, self._cache, self._room, source, upstream, hops, count
            )
            await receiving.all_tries()
            await receiving.check()
            transfer.is_right = True
            transfer.tell()
            transfer.kept = await _to_its_end(part.keep, wanted.file.project)
            count(Event.MIRROR_FILE_FETCHED, 1)
            if wanted.file.sha256 is None:
                await anyio.to_thread.run_sync(self._pin, wanted.file, transfer.kept)
            # Files that arrive together make room for themselves alone.
            await _to_its_end(
                self._cache.evict, self._room.cache_bytes_max, self._room.keep_free_bytes
            )
        except UpstreamTrouble as error:
            line = f"{place.filename} cannot be fetched: {error}"
            _log.warning("%s: %s", place.index, line)
            self._mirrored.count(Event.MIRROR_FILE_FAILED, 1)
            if error.status in (404, 410):
                raise NotStored(f"file {place.filename}", "upstream has it no more") from None
            raise UpstreamFailed(line) from None
        finally:
            await _to_its_end(part.close)

    def _pin(self, file: MirroredFile, kept: KeptFile) -> None:
        """From now on these are the bytes that go by this name: upstream tells no digest."""
        filename, sha256 = kept.place.filename, kept.sha256
        self._mirrored.change_page(file, lambda page: with_digest(page, filename, sha256))


@dataclass(frozen=True, slots=True)
class _Glance:
    """What is seen of a file that another process receives."""

    kept: KeptFile | None
    is_held: bool
    note: PartNote | None
    size_bytes: int

    @classmethod
    def at(cls, watch: Watch) -> "_Glance":
        # Asked in this order, a file that is done between two questions is not taken for gone.
        is_held, note, size_bytes = watch.is_held(), watch.note(), watch.size_bytes()
        return cls(watch.outcome(), is_held, note, size_bytes)


@dataclass(frozen=True, slots=True)
class _Receiving:
    """One file, from upstream into a part."""

    transfer: Transfer
    part: Part
    cache: Cache
    room: Room
    source: Source
    upstream: Upstream
    hops: tuple[str, ...]
    count: Count

    async def all_tries(self) -> None:
        """Receive all of it, taking up again what was cut. Raises UpstreamTrouble, StoreError."""
        for tries_left in reversed(range(_TRIES_MAX)):
            before = self.part.size_bytes
            try:
                await self._one_try(is_again=tries_left < _TRIES_MAX - 1)
                return
            except NoRanges:  # the rest cannot be had, but maybe the whole
                if not tries_left or not before:
                    raise
                await _to_its_end(self.part.drop)
            except UpstreamTrouble:
                self.transfer.tell()
                made_progress = self.part.size_bytes > before
                if not tries_left or not made_progress:
                    raise
            await asyncio.sleep(_BETWEEN_TRIES_SECONDS)

    async def check(self) -> None:
        """Whether the bytes are those that upstream's page promises. Raises UpstreamTrouble."""
        promised = promised_digest(self.transfer.wanted.file.known.file)
        if promised is None:
            return
        algorithm, digest = promised
        found = await _to_its_end(self.part.digest, algorithm)
        if found != digest:
            await _to_its_end(self.part.drop)
            raise UpstreamTrouble(
                f"upstream sent other bytes than it promised: their {algorithm} is {found}, not "
                f"{digest}",
                is_down=False,
            )

    async def _one_try(self, *, is_again: bool) -> None:
        note, file = self.part.note, self.transfer.wanted.file.known.file
        # Only a digest can tell whether bytes that an earlier process has left are still right.
        is_checked = promised_digest(file) is not None
        resumes = (
            note is not None
            and note.url_digest == _url_digest(file)
            and (is_checked or (is_again and note.validator is not None))
        )
        if resumes and note is not None and note.size_bytes == self.part.size_bytes:
            # All of it: whoever received it died before it was kept. Nothing is left to ask for.
            self.transfer.size_bytes = self.transfer.received_bytes = note.size_bytes
            return
        async with self.upstream.file(
            self.source,
            file.url,
            first_byte=self.part.size_bytes if resumes else 0,
            validator=note.validator if resumes and note is not None else None,
            page_hosts=self.transfer.wanted.page_hosts,
            hops=self.hops,
        ) as answer:
            await self._begin(answer)
            async for chunk in answer.chunks:
                self.count(Event.MIRROR_FILE_BYTES, len(chunk))
                await _to_its_end(self._take, chunk)
                self.transfer.received_bytes = self.part.size_bytes
                self.transfer.tell()
        # An answer that tells no length ends where its connection does, however that came.
        if self.part.size_bytes < (self.transfer.size_bytes or 0):
            raise UpstreamTrouble("upstream sends less of it than its page says", is_down=False)

    def _take(self, chunk: bytes) -> None:
        size_bytes, received_bytes = self.transfer.size_bytes, self.part.size_bytes + len(chunk)
        if size_bytes is not None and received_bytes > size_bytes:
            self.part.drop()
            raise UpstreamTrouble("upstream sends more of it than its page says", is_down=False)
        if size_bytes is None and received_bytes % _ROOM_BYTES < len(chunk):
            self._make_room(_ROOM_BYTES, received_bytes)
        self.part.write(chunk)

    async def _begin(self, answer: FileAnswer) -> None:
        transfer, file = self.transfer, self.transfer.wanted.file.known.file
        check_answer(file, answer)
        size_bytes = answer.size_bytes if file.size_bytes is None else file.size_bytes
        if answer.first_byte == 0:
            await _to_its_end(self._make_room, size_bytes or 0)
            note = PartNote(size_bytes, answer.validator, _url_digest(file))
            await _to_its_end(self.part.begin, note)
        transfer.size_bytes = size_bytes
        transfer.received_bytes = self.part.size_bytes
        transfer.tell()

    def _make_room(self, size_bytes: int, received_bytes: int = 0) -> None:
        """Let older files go. Raises Unavailable if there is no room all the same."""
        room, filename = self.room, self.transfer.wanted.place.filename
        known_bytes = max(size_bytes, received_bytes)
        if room.cache_bytes_max is not None and known_bytes > room.cache_bytes_max:
            self.part.drop()
            raise Unavailable(
                f"{filename} is larger than all that mirrors may keep (cache_bytes_max)", full=True
            )
        self.cache.evict(room.cache_bytes_max, room.keep_free_bytes, room_for_bytes=size_bytes)
        if not self.cache.has_room(size_bytes, room.keep_free_bytes):
            self.part.drop()
            raise Unavailable(
                f"there is no room for {filename}: at least {room.keep_free_bytes} bytes of the "
                "disk are to stay free (keep_free_bytes)",
                full=True,
            )


def check_answer(file: PageFile, answer: FileAnswer) -> None:
    """Whether upstream sends what its page says, as far as headers tell. Raises UpstreamTrouble."""
    sizes = {file.size_bytes, answer.size_bytes} - {None}
    if len(sizes) > 1:
        raise UpstreamTrouble(
            f"upstream sends {answer.size_bytes} bytes, but its page says {file.size_bytes}"
        )
    if answer.is_packed and promised_digest(file) is None:
        raise UpstreamTrouble("it came compressed, and nothing tells whether that is right")


def promised_digest(file: PageFile) -> tuple[str, str] | None:
    """The best digest that upstream tells of a file, and its algorithm."""
    hashes: Mapping[str, str] = file.hashes
    return next(((name, hashes[name]) for name in _DIGESTS if name in hashes), None)


class Growing:
    """A file that is arriving, or has just arrived, as one reader sees it. Blocks."""

    def __init__(self, cache: Cache, transfer: Transfer) -> None:
        self._cache = cache
        self._transfer = transfer
        self._place = transfer.wanted.place
        self._watch = cache.watch(self._place)
        self._file: BinaryIO | None = None
        self._is_right = False

    def read(self, start: int, count: int) -> bytes:
        """Bytes that have arrived. Raises UpstreamFailed, NotStored, Unavailable.

        If the file was begun anew, what lies before `start` has to be what it was.
        """
        while True:
            file = self._opened()
            chunk = _read_at(file, start, count)
            if chunk and (self._is_right or self._watch.is_current(file) or self._is_all(file)):
                return chunk
            self._file = None
            with file:
                if not _begin_alike(file, self._opened(), start):
                    line = f"{self._place.filename} is begun anew, with other bytes"
                    raise UpstreamFailed(line)

    def close(self) -> None:
        """Let go of it."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _is_all(self, file: BinaryIO) -> bool:
        """Whether it is the whole file, which has made room for others since it came."""
        kept = self._transfer.kept
        if kept is not None:
            file.seek(0)
            digest = hashlib.sha256()
            while block := file.read(_CHUNK_BYTES):
                digest.update(block)
            self._is_right = digest.hexdigest() == kept.sha256
        return self._is_right

    def _opened(self) -> BinaryIO:
        if self._file is None:
            try:
                self._file = self._watch.open()
            except NotStored:
                self._file = self._cache.open(self._place)[1]
        return self._file


def _begin_alike(one: BinaryIO, other: BinaryIO, size_bytes: int) -> bool:
    return all(
        _read_at(one, start, _CHUNK_BYTES)[: size_bytes - start]
        == _read_at(other, start, _CHUNK_BYTES)[: size_bytes - start]
        for start in range(0, size_bytes, _CHUNK_BYTES)
    )


def _read_at(file: BinaryIO, start: int, count: int) -> bytes:
    file.seek(start)
    return file.read(count)


async def read_along(transfer: Transfer, growing: Growing) -> AsyncGenerator[bytes, None]:
    """The bytes of a file as they come. Raises what makes it fail, before its end is told."""
    done = 0
    while True:
        while done < transfer.readable_bytes:
            count = min(_CHUNK_BYTES, transfer.readable_bytes - done)
            chunk = await anyio.to_thread.run_sync(growing.read, done, count)
            done += len(chunk)
            yield chunk
        if transfer.is_right and done == transfer.received_bytes:
            return
        if transfer.failure is not None:
            raise transfer.failure
        if transfer.readable_bytes <= done:
            await transfer.changed()


async def _to_its_end(job: Callable[..., T], *arguments: object) -> T:
    """Do in a thread what uses a part. Who is cancelled waits for it: only one may use a part."""
    doing = asyncio.ensure_future(anyio.to_thread.run_sync(partial(job, *arguments)))
    try:
        return await asyncio.shield(doing)
    except asyncio.CancelledError:
        await asyncio.wait([doing])
        raise


def _url_digest(file: PageFile) -> str:
    """Stands for what is fetched where its URL must not be written down: it may hold secrets."""
    told = (file.url, *(f"{name}={digest}" for name, digest in sorted(file.hashes.items())))
    return hashlib.sha256("\n".join(told).encode()).hexdigest()
