"""Any simple index as a source for resolvers: each page and each metadata is fetched once for all.

Metadata comes from the file beside the wheel, if one is announced; else from the end of the wheel,
read by ranges; else from the whole wheel. What has a digest is compared with it. Whole files are
copied into drafts, which go on where they stand when the connection has broken off.
"""

import hashlib
import tempfile
from collections.abc import (
    AsyncIterator,
    Callable,
    Coroutine,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from concurrent.futures import CancelledError, Future
from contextlib import asynccontextmanager, contextmanager
from threading import Lock
from typing import Any, BinaryIO, Protocol, TypeVar, cast
from urllib.parse import urlsplit

import anyio
import anyio.from_thread
import anyio.to_thread

from simpleindex.gap.releases import (
    Described,
    NotAsPromised,
    Releases,
    SourceTrouble,
    describe,
    releases_of,
)
from simpleindex.mirror.wheel_ranges import fetch_metadata, metadata_in
from simpleindex.upstream import client
from simpleindex.upstream.addresses import Addresses
from simpleindex.upstream.client import NoRanges, Patience, Upstream, UpstreamTrouble
from simpleindex.upstream.pip_index import find_pip_index
from simpleindex.wire.simple_page import PageFile
from simpleindex.wire.upstream_page import BadPage, parse_page
from simpleindex_storage.errors import Refused
from simpleindex_storage.metadata import METADATA_BYTES_MAX
from simpleindex_storage.names import ProjectName

_Answer = TypeVar("_Answer")

AT_ONCE = 8
"""Requests, by default."""
WHOLE_BYTES_MAX = 1 << 30
"""Of a wheel that is fetched only for its metadata."""
_IN_MEMORY_BYTES_MAX = 4 << 20
_PROJECTS_MAX = 20_000
"""A resolver that asks for more has gone astray."""
_FILE_BYTES_MAX = 64 << 30
"""Of one whose page does not tell its size."""
_TRIES_MAX = 20
"""Of a file that breaks off again and again; each has to bring something."""
_NOTHING_MORE = "the index is asked nothing any more"
_HOP = "across-the-gap"
_PATIENCE = Patience(connect_seconds=10.0, page_seconds=60.0, idle_seconds=30.0)
_DIGESTS = ("sha256", "sha384", "sha512", "blake2b_256")
"""Those to go by; of md5 anybody can make another file."""


class Draft(Protocol):
    """A file on its way here, as far as it has come. Its methods may block, and raise OSError."""

    @property
    def received_bytes(self) -> int:
        """How much of it is here."""

    @property
    def validator(self) -> str | None:
        """What to ask the rest with."""

    def begin(self, first_byte: int, validator: str | None) -> None:
        """What is written from now on begins there: where it stands, or again at 0."""

    def write(self, chunk: bytes) -> None:
        """Put it at the end."""

    def close(self) -> None:
        """Nothing more comes for now. Does not block."""


class _Hash(Protocol):
    def update(self, data: bytes, /) -> None: ...

    def hexdigest(self) -> str: ...


class IndexSource:
    """An index that is asked by way of a portal to an event loop. May be used from any thread."""

    def __init__(
        self,
        source: client.Source,
        upstream: Upstream,
        portal: anyio.from_thread.BlockingPortal,
        *,
        at_once: int,
        whole_bytes_max: int,
    ) -> None:
        self._source = source
        self._upstream = upstream
        self._portal = portal
        self._turns = anyio.Semaphore(at_once)
        self._whole_bytes_max = whole_bytes_max
        self._pages: dict[ProjectName, Future[Releases | None]] = {}
        self._described: dict[str, Future[Described]] = {}
        self._without_ranges: set[str] = set()
        self._copies: list[Future[None]] = []
        self._is_given_up = False
        self._lock = Lock()

    def releases(self, project: ProjectName) -> Releases | None:
        """A project; None: there is none. Raises SourceTrouble."""
        return _result(self._page(project))

    def described(self, file: PageFile) -> Described:
        """The metadata of a wheel. Raises SourceTrouble."""
        return _result(self._metadata(file))

    def expect(self, projects: Iterable[ProjectName]) -> None:
        """Begin to fetch these pages."""
        for project in projects:
            self._page(project)

    def expect_described(self, file: PageFile) -> None:
        """Begin to fetch this metadata."""
        self._metadata(file)

    def copy(self, file: PageFile, draft: Draft) -> "Future[None]":
        """Begin to fetch a whole file; what has come of it stays in the draft, whatever happens.

        The future raises SourceTrouble or OSError, or is cancelled by `give_up`. Digests are not
        looked at, the size is.
        """
        with self._lock:
            if self._is_given_up:
                raise SourceTrouble(_NOTHING_MORE)
            future = self._portal.start_task_soon(self._copy, file, draft)
            self._copies.append(future)
            return future

    def give_up(self) -> None:
        """Answer nobody any more: who waits is told so."""
        with self._lock:
            self._is_given_up = True
            waiting: list[Future[Any]] = [
                *self._pages.values(), *self._described.values(), *self._copies
            ]  # fmt: skip
        for future in waiting:
            future.cancel()

    def _page(self, project: ProjectName) -> "Future[Releases | None]":
        return self._once(self._pages, project, lambda: self._fetch_page(project))

    def _metadata(self, file: PageFile) -> "Future[Described]":
        return self._once(self._described, file.url, lambda: self._describe(file))

    def _once(
        self,
        kept: dict[Any, "Future[_Answer]"],
        key: str,
        fetch: Callable[[], Coroutine[Any, Any, _Answer]],
    ) -> "Future[_Answer]":
        with self._lock:
            future = kept.get(key)
            if future is None:
                if self._is_given_up:
                    raise SourceTrouble(_NOTHING_MORE)
                future = kept[key] = self._portal.start_task_soon(fetch)
            return future

    async def _fetch_page(self, project: ProjectName) -> "Releases | None":
        if len(self._pages) > _PROJECTS_MAX:
            raise SourceTrouble(f"over {_PROJECTS_MAX} projects would have to be looked at")
        async with self._turn(f"the page of {project}"):
            answer = await self._upstream.page(self._source, project)
            if not isinstance(answer, client.Fetched):
                return None
            return await anyio.to_thread.run_sync(_read_page, answer, project)

    async def _describe(self, file: PageFile) -> Described:
        async with self._turn(f"the metadata of {file.filename}"):
            raw, is_proven = await self._fetch_metadata(file)
            return await anyio.to_thread.run_sync(
                lambda: describe(raw, file.filename, is_proven=is_proven)
            )

    async def _fetch_metadata(self, file: PageFile) -> tuple[bytes, bool]:
        """The METADATA of a wheel, and whether a digest proves it."""
        hosts = frozenset({urlsplit(file.url).hostname or ""})  # of a page, which is trusted so far
        if file.metadata is not None and file.metadata is not False:
            raw = await self._announced(file, hosts)
            digests = file.metadata if not isinstance(file.metadata, bool) else {}
            named = [name for name in _DIGESTS if name in digests]
            if raw is not None and all(_digest(name, raw) == digests[name] for name in named):
                return raw, bool(named)
        host = urlsplit(file.url).netloc
        if host not in self._without_ranges:

            async def fetch(first: int, last: int) -> tuple[bytes, int]:
                return await self._upstream.part(
                    self._source, file.url, first, last, page_hosts=hosts
                )

            try:
                return await fetch_metadata(file.filename, file.size_bytes, fetch), False
            except NoRanges:
                self._without_ranges.add(host)
        return await self._out_of_whole(file, hosts)

    async def _announced(self, file: PageFile, hosts: frozenset[str]) -> bytes | None:
        """What lies beside the wheel; None if it is not what was announced, or not there."""
        try:
            return await self._upstream.small(
                self._source, f"{file.url}.metadata", METADATA_BYTES_MAX, page_hosts=hosts
            )
        except UpstreamTrouble as trouble:
            if trouble.is_down:
                raise
            return None

    async def _out_of_whole(self, file: PageFile, hosts: frozenset[str]) -> tuple[bytes, bool]:
        if (file.size_bytes or 0) > self._whole_bytes_max:
            raise _too_large(file, self._whole_bytes_max)
        digests = {name: _new_hash(name) for name in _DIGESTS if name in file.hashes}
        with tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES_MAX) as draft:
            async with self._upstream.file(self._source, file.url, page_hosts=hosts) as answer:
                received_bytes = 0
                async for chunk in answer.chunks:
                    received_bytes += len(chunk)
                    if received_bytes > self._whole_bytes_max:
                        raise _too_large(file, self._whole_bytes_max)
                    for digest in digests.values():
                        digest.update(chunk)
                    await anyio.to_thread.run_sync(draft.write, chunk)
            for name, digest in digests.items():
                if digest.hexdigest() != file.hashes[name]:
                    raise NotAsPromised(
                        f"{file.filename} has another {name} than its page promises"
                    )
            draft.seek(0)
            whole = cast(BinaryIO, draft)
            return await anyio.to_thread.run_sync(metadata_in, whole, file.filename), bool(digests)

    async def _copy(self, file: PageFile, draft: Draft) -> None:
        async with self._turn(file.filename):
            for _ in range(_TRIES_MAX):
                stood_at = draft.received_bytes
                try:
                    await self._go_on(file, draft)
                    return
                except NoRanges:
                    await anyio.to_thread.run_sync(draft.begin, 0, None)
                except UpstreamTrouble:
                    if draft.received_bytes <= stood_at:
                        raise
                finally:
                    draft.close()
            raise SourceTrouble(f"{file.filename} broke off {_TRIES_MAX} times")

    async def _go_on(self, file: PageFile, draft: Draft) -> None:
        """Fetch what a draft lacks, or all of it. Raises UpstreamTrouble, and as `copy` does."""
        hosts = frozenset({urlsplit(file.url).hostname or ""})
        bytes_max = _FILE_BYTES_MAX if file.size_bytes is None else file.size_bytes
        async with self._upstream.file(
            self._source,
            file.url,
            first_byte=draft.received_bytes,
            validator=draft.validator,
            page_hosts=hosts,
        ) as answer:
            await anyio.to_thread.run_sync(draft.begin, answer.first_byte, answer.validator)
            async for chunk in answer.chunks:
                if draft.received_bytes + len(chunk) > bytes_max:
                    raise NotAsPromised(f"{file.filename} is larger than its page promises")
                await anyio.to_thread.run_sync(draft.write, chunk)
        if file.size_bytes not in {None, draft.received_bytes}:
            raise NotAsPromised(f"{file.filename} is smaller than its page promises")

    @asynccontextmanager
    async def _turn(self, what: str) -> AsyncIterator[None]:
        """Wait for a turn to ask; all that goes wrong is told as SourceTrouble."""
        async with self._turns:
            try:
                yield
            except (UpstreamTrouble, BadPage) as error:
                raise SourceTrouble(f"{what} cannot be had", str(error)) from None
            except Refused as error:
                raise SourceTrouble(str(error)) from None
            except OSError as error:  # of the draft
                raise SourceTrouble(f"{what} cannot be kept: {error.strerror}") from None


def usual_url(environment: Mapping[str, str]) -> str:
    """The index to ask where none is named: the one of the pip here. It takes up to a second.

    It may hold a user and a password. Raises Refused if there is none.
    """
    found = find_pip_index(environment)
    if found is None:
        raise Refused(
            "the index to ask",
            "pip on this computer uses none that can be asked over http or https; name one",
        )
    return found.url


@contextmanager
def open_source(
    url: str,
    *,
    private_hosts: Sequence[str] = (),
    file_hosts: Sequence[str] = (),
    at_once: int = AT_ONCE,
    patience: Patience = _PATIENCE,
    whole_bytes_max: int = WHOLE_BYTES_MAX,
) -> Iterator[IndexSource]:
    """An index, for the time of the block; requests that are on their way then are given up.

    The host of `url` may have any address, since it was named; others that it leads to must be
    public, or among `private_hosts` (names, addresses, networks). `file_hosts` may hold pages and
    files besides those that its pages name. Raises Refused for what is no URL or no host.
    """
    host = _host(url)
    try:
        addresses = Addresses(private_hosts).with_host(host)
    except ValueError as error:
        raise Refused("private_upstreams", str(error)) from None
    upstream = Upstream(addresses, _HOP, patience)
    source = client.Source(url, tuple(file_hosts))
    with anyio.from_thread.start_blocking_portal() as portal:
        opened = portal.call(
            lambda: IndexSource(
                source, upstream, portal, at_once=at_once, whole_bytes_max=whole_bytes_max
            )
        )
        try:
            yield opened
        finally:
            opened.give_up()
            portal.call(upstream.close)


def _read_page(answer: client.Fetched, project: ProjectName) -> Releases:
    page = parse_page(answer.body, answer.content_type, answer.url, project)
    return releases_of(project, page.offered_files)


def _host(url: str) -> str:
    try:
        parts = urlsplit(url)
        if parts.scheme in {"http", "https"} and parts.hostname:
            return parts.hostname
    except ValueError:
        pass
    # Not the URL itself: where it is wrong, a password may be anywhere in it.
    raise Refused("the URL of the index", "it is none of http or https")


def _result(future: "Future[_Answer]") -> _Answer:
    try:
        return future.result()
    except CancelledError:
        raise SourceTrouble(_NOTHING_MORE) from None


def _new_hash(name: str) -> _Hash:
    if name == "blake2b_256":
        return hashlib.blake2b(digest_size=32)
    return hashlib.new(name)


def _digest(name: str, content: bytes) -> str:
    digest = _new_hash(name)
    digest.update(content)
    return digest.hexdigest()


def _too_large(file: PageFile, bytes_max: int) -> SourceTrouble:
    return SourceTrouble(
        f"{file.filename} has over {bytes_max} bytes, and its index gives its metadata only with "
        "all of it"
    )
