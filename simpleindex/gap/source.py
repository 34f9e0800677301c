"""Any simple index as a source for resolvers: each page and each metadata is fetched once for all.

Metadata comes from the file beside the wheel, if one is announced; else from the end of the wheel,
read by ranges; else from the whole wheel. What has a digest is compared with it.
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

from simpleindex.gap.releases import Described, Releases, SourceTrouble, describe, releases_of
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
_HOP = "across-the-gap"
_PATIENCE = Patience(connect_seconds=10.0, page_seconds=60.0, idle_seconds=30.0)
_DIGESTS = ("sha256", "sha384", "sha512", "blake2b_256")
"""Those to go by; of md5 anybody can make another file."""


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

    def give_up(self) -> None:
        """Answer nobody any more: who waits is told so."""
        with self._lock:
            waiting: list[Future[Any]] = [*self._pages.values(), *self._described.values()]
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
                    raise SourceTrouble(
                        f"{file.filename} has another {name} than its page promises"
                    )
            draft.seek(0)
            whole = cast(BinaryIO, draft)
            return await anyio.to_thread.run_sync(metadata_in, whole, file.filename), bool(digests)

    @asynccontextmanager
    async def _turn(self, what: str) -> AsyncIterator[None]:
        """Wait for a turn to ask; all that goes wrong is told as SourceTrouble."""
        async with self._turns:
            try:
                yield
            except (UpstreamTrouble, BadPage) as error:
                raise SourceTrouble(f"{what} cannot be had: {error}") from None
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
        raise SourceTrouble("the index is asked nothing any more") from None


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
