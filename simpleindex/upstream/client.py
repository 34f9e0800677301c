"""Talks to another index: conditional requests, deadlines, and whom it may lead us to. No policy.

What it answers is bytes; `wire` reads them. Nothing that it or a page names is trusted: hosts are
checked by name here, and by address where `connections` connects.
"""

import asyncio
import re
import ssl
from base64 import b64encode
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from socket import gaierror
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote, urlsplit

import anyio.to_thread

from simpleindex.upstream.addresses import Addresses, AddressRefused
from simpleindex.wire.content_range import ContentRange, parse_content_range
from simpleindex.wire.gunzip import PIECE_BYTES_MAX, BadGzip, Gunzip
from simpleindex.wire.hops import HOPS_HEADER, render_hops

if TYPE_CHECKING:
    import httpx2

_Cause = TypeVar("_Cause", bound=BaseException)

_ACCEPT = (
    "application/vnd.pypi.simple.v1+json, "
    "application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
)
_REDIRECTS_MAX = 5
_DRAINED_BYTES_MAX = 64 << 10
_DRAIN_SECONDS = 0.5
_HEADER_CHARACTERS_MAX = 500
_HOST_CHARACTERS_MAX = 100
_LENGTH = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class Source:
    """Another index."""

    url: str = field(repr=False)
    """Of its list of projects. It may hold a user and a password."""
    file_hosts: tuple[str, ...] = ()
    """Hosts besides its own that pages and files may lead to: names, or `*.example.org`."""

    @property
    def label(self) -> str:
        """The URL for people and logs: without user, password and query."""
        try:
            parts = urlsplit(self.url)
            port = parts.port
        except ValueError:
            return "a URL that cannot be read"
        host = parts.hostname or ""
        netloc = f"[{host}]" if ":" in host else host
        label = f"{parts.scheme}://{netloc}{'' if port is None else f':{port}'}{parts.path}"
        return _printable(label)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the other index may take, and how much it may send."""

    connect_seconds: float = 4.0
    page_seconds: float = 10.0
    """For a whole page; pip waits 15 seconds for ours."""
    idle_seconds: float = 10.0
    """Without a byte of a file."""
    list_seconds: float = 120.0
    """For the whole list of names."""
    file_seconds: float = 3600.0
    page_bytes_max: int = 100 << 20
    """Of a page or a list, unpacked."""


class UpstreamTrouble(Exception):
    """The other index did not give what was asked for. Its text is one line, without secrets."""

    def __init__(self, line: str, *, is_down: bool = False, status: int | None = None) -> None:
        super().__init__(line)
        self.is_down = is_down
        """It cannot be reached, or took too long: it need not be asked for a while."""
        self.status = status
        """Of its answer, if that is what is wrong."""


class NoRanges(UpstreamTrouble):
    """It does not send parts of this file."""


@dataclass(frozen=True, slots=True)
class NotModified:
    """What the caller has is what there is."""


@dataclass(frozen=True, slots=True)
class Absent:
    """There is no such page."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A page."""

    body: bytes
    content_type: str
    """Empty: it was not said."""
    url: str
    """After redirects; without query."""
    etag: str | None
    last_modified: str | None


@dataclass(frozen=True, slots=True)
class NamesAnswer:
    """A list of names as it arrives."""

    content_type: str
    etag: str | None
    last_modified: str | None
    chunks: AsyncIterator[bytes]
    """Raises UpstreamTrouble."""


@dataclass(frozen=True, slots=True)
class FileAnswer:
    """A file as it arrives."""

    first_byte: int
    """Of the chunks. 0: from the beginning, whatever was asked for."""
    size_bytes: int | None
    """Of the whole file; None: it was not said."""
    validator: str | None
    """What to ask the rest with, should it break off."""
    chunks: AsyncGenerator[bytes, None]
    """Raises UpstreamTrouble, also at the end, if there was less or more than was said."""
    is_packed: bool = False
    """Whether the bytes are said to be packed, though it was asked not to do that.

    Web servers say so of files that are archives: then the bytes are those of the file.
    """


class Upstream:
    """Asks other indexes. All its connections belong to the event loop that it is first used in."""

    def __init__(self, addresses: Addresses, hop: str, patience: Patience = Patience()) -> None:
        """`hop` is what this server is called on the way from mirror to mirror."""
        self._addresses = addresses
        self._hop = hop
        self._patience = patience
        self._client: httpx2.AsyncClient | None = None
        self._making = asyncio.Lock()
        self._is_closed = False

    async def page(
        self,
        source: Source,
        project: str,
        *,
        etag: str | None = None,
        last_modified: str | None = None,
        hops: tuple[str, ...] = (),
    ) -> NotModified | Absent | Fetched:
        """The page of a project. Raises UpstreamTrouble."""
        conditions = _conditions(etag, last_modified)
        headers = {"accept": _ACCEPT, "accept-encoding": "gzip", **conditions}
        async with self._within(source, self._patience.page_seconds):
            errand = _below(source, f"{quote(project)}/")
            async with self._answer(errand, headers, hops) as answer:
                if answer.status_code in {404, 410}:
                    await _drain(answer)
                    return Absent()
                if await _is_unmodified(answer, conditions):
                    return NotModified()
                pieces = []
                async with aclosing(self._unpacked(answer, answer.aiter_raw())) as unpacked:
                    async for piece in unpacked:
                        pieces.append(piece)
                return Fetched(
                    b"".join(pieces),
                    answer.headers.get("content-type", "")[:_HEADER_CHARACTERS_MAX],
                    str(answer.url.copy_with(query=None, fragment=None)),
                    _kept(answer, "etag"),
                    _kept(answer, "last-modified"),
                )

    @asynccontextmanager
    async def names(
        self,
        source: Source,
        *,
        etag: str | None = None,
        last_modified: str | None = None,
        hops: tuple[str, ...] = (),
    ) -> AsyncIterator[NotModified | NamesAnswer]:
        """The list of its projects. Raises UpstreamTrouble."""
        conditions = _conditions(etag, last_modified)
        headers = {"accept": _ACCEPT, "accept-encoding": "gzip", **conditions}
        ends_at = asyncio.get_running_loop().time() + self._patience.list_seconds
        async with AsyncExitStack() as stack:
            async with self._within(source, self._patience.list_seconds):
                asking = self._answer(_below(source, ""), headers, hops)
                answer = await stack.enter_async_context(asking)
                is_unmodified = await _is_unmodified(answer, conditions)
            if is_unmodified:
                yield NotModified()
                return
            raw = self._chunks(source, answer, ends_at)
            await stack.enter_async_context(aclosing(raw))
            unpacked = self._unpacked(answer, raw)
            await stack.enter_async_context(aclosing(unpacked))
            yield NamesAnswer(
                answer.headers.get("content-type", "")[:_HEADER_CHARACTERS_MAX],
                _kept(answer, "etag"),
                _kept(answer, "last-modified"),
                unpacked,
            )

    @asynccontextmanager
    async def file(
        self,
        source: Source,
        url: str,
        *,
        first_byte: int = 0,
        validator: str | None = None,
        page_hosts: frozenset[str] = frozenset(),
        hops: tuple[str, ...] = (),
    ) -> AsyncIterator[FileAnswer]:
        """A file, or what comes of it from `first_byte`, if it is still that of the `validator`.

        Without a validator it comes from the beginning. `page_hosts` are those that its page has
        files at. Raises UpstreamTrouble; NoRanges if only the rest cannot be had.
        """
        headers = {"accept-encoding": "identity"}
        if first_byte and validator is not None:
            headers |= {"range": f"bytes={first_byte}-", "if-range": validator}
        patience = self._patience
        ends_at = asyncio.get_running_loop().time() + patience.file_seconds
        async with AsyncExitStack() as stack:
            async with self._within(source, patience.connect_seconds + patience.idle_seconds):
                asking = self._answer(_at(source, url, page_hosts), headers, hops)
                answer = await stack.enter_async_context(asking)
                span = _span_of_rest(answer, first_byte if "range" in headers else None)
                if span.first_byte and _validator(answer, like=validator) not in {None, validator}:
                    raise NoRanges(f"{_where(answer.url)} sends the rest of another file")
            chunks = self._chunks(source, answer, ends_at)
            await stack.enter_async_context(aclosing(chunks))
            whole = _whole(answer, chunks, span.length_bytes)
            await stack.enter_async_context(aclosing(whole))
            yield FileAnswer(
                span.first_byte, span.size_bytes, _validator(answer), whole, _is_packed(answer)
            )

    async def part(
        self,
        source: Source,
        url: str,
        first: int,
        last: int,
        *,
        page_hosts: frozenset[str] = frozenset(),
        hops: tuple[str, ...] = (),
    ) -> tuple[bytes, int]:
        """The bytes from `first` to `last` of a file, or to its end, and its whole size.

        Raises NoRanges and other UpstreamTrouble.
        """
        headers = {"accept-encoding": "identity", "range": f"bytes={first}-{last}"}
        async with self._within(source, self._patience.page_seconds):
            errand = _at(source, url, page_hosts)
            async with self._answer(errand, headers, hops) as answer:
                if answer.status_code == 200:
                    raise NoRanges(f"{_where(answer.url)} sends no parts of files", status=200)
                part = _part_of(answer)
                if part.size_bytes is None:
                    raise NoRanges(f"{_where(answer.url)} does not tell the sizes of files")
                if (part.first, part.last) != (first, min(last, part.size_bytes - 1)):
                    raise _other_part(answer)
                async with aclosing(
                    _whole(answer, answer.aiter_raw(), part.length_bytes)
                ) as chunks:
                    content = b"".join([chunk async for chunk in chunks])
                return content, part.size_bytes

    async def small(
        self,
        source: Source,
        url: str,
        bytes_max: int,
        *,
        page_hosts: frozenset[str] = frozenset(),
        hops: tuple[str, ...] = (),
    ) -> bytes | None:
        """A whole file of at most so many bytes; None: there is none. Raises UpstreamTrouble."""
        headers = {"accept-encoding": "identity"}
        async with self._within(source, self._patience.page_seconds):
            errand = _at(source, url, page_hosts)
            async with self._answer(errand, headers, hops) as answer:
                if answer.status_code in {404, 410}:
                    await _drain(answer)
                    return None
                length_bytes = _span_of_rest(answer, None).length_bytes
                _refuse_codings(answer)
                too_large = UpstreamTrouble(
                    f"{_where(answer.url)} sends more than {bytes_max} bytes of a small file"
                )
                if length_bytes is not None and length_bytes > bytes_max:
                    raise too_large
                chunks: list[bytes] = []
                received_bytes = 0
                async with aclosing(_whole(answer, answer.aiter_raw(), length_bytes)) as whole:
                    async for chunk in whole:
                        received_bytes += len(chunk)
                        if received_bytes > bytes_max:
                            raise too_large
                        chunks.append(chunk)
                return b"".join(chunks)

    async def close(self) -> None:
        """Close all connections, and ask nothing any more."""
        self._is_closed = True
        if self._client is not None:
            await self._client.aclose()

    @asynccontextmanager
    async def _within(self, source: Source, seconds: float) -> AsyncIterator[None]:
        """Give a block that asks so much time. What goes wrong in it is told as UpstreamTrouble."""
        await self._make_client()
        with _told(source):
            async with asyncio.timeout(seconds):
                yield

    async def _make_client(self) -> None:
        if self._is_closed:
            raise UpstreamTrouble("this server is about to stop, and asks no other")
        if self._client is not None:
            return
        async with self._making:
            if self._client is None:
                await anyio.to_thread.run_sync(self._make_client_here)

    def _make_client_here(self) -> None:
        import httpx2  # noqa: PLC0415  serving must not wait for it before it is needed

        from simpleindex.upstream.connections import make_client  # noqa: PLC0415  it imports httpx2

        patience = self._patience
        timeout = httpx2.Timeout(patience.idle_seconds, connect=patience.connect_seconds)
        try:
            self._client = make_client(self._addresses, timeout)
        except (OSError, ValueError, ImportError, httpx2.InvalidURL) as error:
            # Not their texts: the URL of a proxy may hold a password.
            raise UpstreamTrouble(
                "the certificates or proxies that this server's environment names cannot be used "
                f"({type(error).__name__})"
            ) from None

    @asynccontextmanager
    async def _answer(
        self, errand: "_Errand", headers: Mapping[str, str], hops: tuple[str, ...]
    ) -> AsyncIterator["httpx2.Response"]:
        """What is answered after all redirects. Its body is not read yet."""
        url = errand.url
        errand.check(url, errand.source_url)
        for _ in range(_REDIRECTS_MAX + 1):
            answer = await self._ask(
                url,
                {
                    **headers,
                    **errand.credentials(url),
                    HOPS_HEADER: render_hops((*hops, self._hop)),
                },
            )
            try:
                if not answer.has_redirect_location:
                    yield answer
                    return
                await _drain(answer)
            finally:
                await answer.aclose()
            target = url.join(answer.headers["location"])
            errand.check(target, url)
            url = _without_account(target)
        raise UpstreamTrouble(f"{_where(url)} redirects more than {_REDIRECTS_MAX} times")

    async def _ask(self, url: "httpx2.URL", headers: Mapping[str, str]) -> "httpx2.Response":
        import httpx2  # noqa: PLC0415  serving must not wait for it before it is needed

        assert self._client is not None
        try:
            request = self._client.build_request("GET", url, headers=headers)
            try:
                return await self._client.send(request, stream=True)
            except (httpx2.RemoteProtocolError, httpx2.ReadError):
                # A connection that was kept can end at the moment of its next use. Asked again, a
                # server that has really broken off does so again.
                return await self._client.send(request, stream=True)
        except ValueError:
            # It parses where a redirect leads, and fails so on some names that IDNA forbids.
            raise UpstreamTrouble(f"{_where(url)} leads to what is no URL") from None

    async def _chunks(
        self, source: Source, answer: "httpx2.Response", ends_at: float
    ) -> AsyncGenerator[bytes, None]:
        """The body as it arrives, for callers that take their own time between the chunks."""
        loop = asyncio.get_running_loop()
        async with aclosing(answer.aiter_raw()) as raw:
            while True:
                with _told(source):
                    async with asyncio.timeout_at(
                        min(ends_at, loop.time() + self._patience.idle_seconds)
                    ):
                        chunk = await anext(raw, None)
                if chunk is None:
                    return
                yield chunk

    async def _unpacked(
        self, answer: "httpx2.Response", raw: AsyncGenerator[bytes, None]
    ) -> AsyncGenerator[bytes, None]:
        """The body without its gzip, and no more of it than is allowed."""
        where = _where(answer.url)
        left_bytes = self._patience.page_bytes_max
        async with aclosing(_decoded(answer, raw)) as decoded:
            async for piece in decoded:
                left_bytes -= len(piece)
                if left_bytes < 0:
                    raise UpstreamTrouble(
                        f"{where} sends a page of more than {self._patience.page_bytes_max} bytes"
                    )
                yield piece


@dataclass(frozen=True, slots=True)
class _Errand:
    """A URL, and where asking it may lead."""

    url: "httpx2.URL"
    source_url: "httpx2.URL"
    """With the account, if there is one."""
    hosts: frozenset[str]
    patterns: tuple[str, ...]

    def check(self, url: "httpx2.URL", before: "httpx2.URL") -> None:
        """Raises UpstreamTrouble if `url` may not be asked, to which `before` has led."""
        if url.scheme not in {"http", "https"}:
            raise UpstreamTrouble(f"{_where(before)} leads to a URL that is not http or https")
        if not url.raw_host or (url.port is not None and not 0 < url.port < 1 << 16):
            raise UpstreamTrouble(f"{_where(before)} leads to what is no URL")
        if url.scheme == "http" and before.scheme == "https":
            raise UpstreamTrouble(
                f"{_where(before)} leads from https to http at {_where(url)}, which is not followed"
            )
        host = _host(url)
        if host in self.hosts or any(_is_below(host, pattern) for pattern in self.patterns):
            return
        raise UpstreamTrouble(
            f"{_where(before)} leads to the host {_where(url)}; if that is right, name it in the "
            "setting file_hosts"
        )

    def credentials(self, url: "httpx2.URL") -> dict[str, str]:
        """The account, for the very server that it is meant for."""
        account = f"{self.source_url.username}:{self.source_url.password}"
        if account == ":" or _origin(url) != _origin(self.source_url):
            return {}
        return {"authorization": f"Basic {b64encode(account.encode()).decode()}"}


def _below(source: Source, path: str) -> _Errand:
    """To ask for a page of an index."""
    import httpx2  # noqa: PLC0415  serving must not wait for it before it is needed

    own = httpx2.URL(source.url)
    raw_path = own.raw_path.partition(b"?")[0].rstrip(b"/") + b"/" + path.encode("ascii")
    url = _without_account(own).copy_with(raw_path=raw_path, fragment=None)
    return _Errand(url, own, frozenset({_host(own)}), _plain(source.file_hosts))


def _at(source: Source, url: str, page_hosts: frozenset[str]) -> _Errand:
    """To ask for a file."""
    import httpx2  # noqa: PLC0415  serving must not wait for it before it is needed

    own = httpx2.URL(source.url)
    hosts = frozenset({_host(own), *_plain(tuple(page_hosts))})
    return _Errand(_without_account(httpx2.URL(url)), own, hosts, _plain(source.file_hosts))


def _plain(hosts: tuple[str, ...]) -> tuple[str, ...]:
    """Hosts in the notation that they have in requests."""
    return tuple(_in_ascii(host.strip("[]").removesuffix(".").lower()) for host in hosts)


def _in_ascii(host: str) -> str:
    try:
        return host if host.isascii() else host.encode("idna").decode()
    except UnicodeError:
        return host  # which no request has, and which so allows nothing


def _is_below(host: str, pattern: str) -> bool:
    return host.endswith(pattern[1:]) if pattern.startswith("*.") else host == pattern


def _host(url: "httpx2.URL") -> str:
    return url.raw_host.decode("ascii").removesuffix(".").lower()


def _origin(url: "httpx2.URL") -> tuple[str, bytes, int | None]:
    port = url.port or {"http": 80, "https": 443}.get(url.scheme)
    return url.scheme, url.raw_host, port


def _without_account(url: "httpx2.URL") -> "httpx2.URL":
    return url.copy_with(username=None, password=None)


def _where(url: "httpx2.URL") -> str:
    """Whom a line about trouble is about."""
    host = _printable(_host(url)[:_HOST_CHARACTERS_MAX])
    return host if url.port is None else f"{host}:{url.port}"


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)


async def _is_unmodified(answer: "httpx2.Response", conditions: Mapping[str, str]) -> bool:
    """Whether the caller has it already. Raises UpstreamTrouble if there is no page either."""
    if answer.status_code == 304 and conditions:
        await _drain(answer)
        return True
    if answer.status_code != 200:
        raise _unexpected(answer)
    return False


def _unexpected(answer: "httpx2.Response") -> UpstreamTrouble:
    return UpstreamTrouble(
        f"{_where(answer.url)} answered with status {answer.status_code}",
        status=answer.status_code,
    )


async def _drain(answer: "httpx2.Response") -> None:
    """Read what nobody needs, if it is little and comes soon: then the connection is of use."""
    import httpx2  # noqa: PLC0415  serving must not wait for it before it is needed

    left_bytes = _DRAINED_BYTES_MAX
    with suppress(TimeoutError, httpx2.HTTPError):
        async with asyncio.timeout(_DRAIN_SECONDS), aclosing(answer.aiter_raw()) as raw:
            async for chunk in raw:
                left_bytes -= len(chunk)
                if left_bytes < 0:
                    return


async def _decoded(
    answer: "httpx2.Response", raw: AsyncGenerator[bytes, None]
) -> AsyncGenerator[bytes, None]:
    """The body without its gzip. Raises UpstreamTrouble, also for one that is cut off."""
    coding = _coding(answer)
    if coding not in {"identity", "", "gzip", "x-gzip"}:
        raise UpstreamTrouble(f"{_where(answer.url)} sends an encoding that nobody asked for")
    gzip = Gunzip() if coding.endswith("gzip") else None
    async with aclosing(raw):
        try:
            async for chunk in raw:
                for piece in [chunk] if gzip is None else gzip.feed(chunk):
                    yield piece
                    if len(piece) == PIECE_BYTES_MAX:
                        # Much work for few bytes: others, and the deadline, get their turn.
                        await asyncio.sleep(0)
            if gzip is not None:
                gzip.close()
        except BadGzip as error:
            raise UpstreamTrouble(f"{_where(answer.url)} sends a bad gzip: {error}") from None


@dataclass(frozen=True, slots=True)
class _Span:
    """Which bytes of a file an answer holds."""

    first_byte: int
    length_bytes: int | None
    size_bytes: int | None
    """Of the whole file."""


def _span_of_rest(answer: "httpx2.Response", asked_from: int | None) -> _Span:
    """What an answer holds of a file, of which the whole or the rest was asked for.

    Raises UpstreamTrouble.
    """
    if answer.status_code == 200:
        length_bytes = _length(answer)
        return _Span(0, length_bytes, length_bytes)
    if answer.status_code == 416 and asked_from is not None:
        raise NoRanges(f"{_where(answer.url)} has no more of this file", status=416)
    if answer.status_code != 206 or asked_from is None:
        raise _unexpected(answer)
    try:
        part = _part_of(answer)
        if part.first != asked_from or not part.is_to_the_end:
            raise _other_part(answer)
    except UpstreamTrouble as error:
        raise NoRanges(str(error)) from None
    return _Span(part.first, part.length_bytes, part.size_bytes)


def _part_of(answer: "httpx2.Response") -> ContentRange:
    """Which part a 206 holds. Raises UpstreamTrouble."""
    if answer.status_code != 206:
        raise _unexpected(answer)
    _refuse_codings(answer)
    part = parse_content_range(answer.headers.get("content-range", ""))
    if part is None or _length(answer) not in {None, part.length_bytes}:
        raise UpstreamTrouble(f"{_where(answer.url)} sends a part of a file, but not which")
    return part


def _other_part(answer: "httpx2.Response") -> UpstreamTrouble:
    return UpstreamTrouble(f"{_where(answer.url)} sends another part than was asked for")


def _coding(answer: "httpx2.Response") -> str:
    coding: str = answer.headers.get("content-encoding", "")
    return coding.strip().lower()


def _is_packed(answer: "httpx2.Response") -> bool:
    return _coding(answer) not in {"identity", ""}


def _refuse_codings(answer: "httpx2.Response") -> None:
    if _is_packed(answer):
        raise UpstreamTrouble(
            f"{_where(answer.url)} sends a file that came compressed, though it was asked not to"
        )


def _length(answer: "httpx2.Response") -> int | None:
    said = answer.headers.get("content-length")
    if said is None:
        return None
    if not _LENGTH.fullmatch(said):
        raise UpstreamTrouble(f"{_where(answer.url)} tells a length that is no number")
    return int(said)


async def _whole(
    answer: "httpx2.Response", chunks: AsyncGenerator[bytes, None], length_bytes: int | None
) -> AsyncGenerator[bytes, None]:
    """The chunks. Raises UpstreamTrouble if they are more or less than was said."""
    received_bytes = 0
    async with aclosing(chunks):
        async for chunk in chunks:
            received_bytes += len(chunk)
            if length_bytes is not None and received_bytes > length_bytes:
                break
            yield chunk
    if length_bytes is not None and received_bytes != length_bytes:
        less = "less" if received_bytes < length_bytes else "more"
        raise UpstreamTrouble(f"{_where(answer.url)} sends {less} than the length that it told")


def _conditions(etag: str | None, last_modified: str | None) -> dict[str, str]:
    conditions = {"if-none-match": etag, "if-modified-since": last_modified}
    return {name: value for name, value in conditions.items() if value is not None}


def _kept(answer: "httpx2.Response", name: str) -> str | None:
    """A header that is to be sent back one day, if it can be."""
    value: str | None = answer.headers.get(name)
    if value is None or len(value) > _HEADER_CHARACTERS_MAX:
        return None
    return value if value.isascii() and value.isprintable() else None


def _validator(answer: "httpx2.Response", *, like: str | None = None) -> str | None:
    """What an answer's bytes are known by: a strong ETag, or the time of the last change.

    `like` is one to compare it with, which decides between the two.
    """
    etag = _kept(answer, "etag")
    if etag is not None and etag.startswith('"') and (like is None or like.startswith('"')):
        return etag
    if like is not None and like.startswith('"'):
        return None
    return _kept(answer, "last-modified")


@contextmanager
def _told(source: Source) -> Iterator[None]:
    """Tell what goes wrong as UpstreamTrouble."""
    import httpx2  # noqa: PLC0415  serving must not wait for it before it is needed

    try:
        yield
    except TimeoutError as error:
        raise UpstreamTrouble(f"{source.label} took too long", is_down=True) from error
    except AddressRefused as error:
        raise UpstreamTrouble(str(error), is_down=True) from error
    except httpx2.InvalidURL:
        # Without the cause: it shows parts of what may be a password.
        raise UpstreamTrouble(f"{source.label} leads to what is no URL") from None
    except httpx2.HTTPError as error:
        raise _trouble(error, _where(error.request.url)) from error


def _trouble(error: "httpx2.HTTPError", where: str) -> UpstreamTrouble:
    import httpx2  # noqa: PLC0415  serving must not wait for it before it is needed

    if isinstance(error, httpx2.PoolTimeout):
        return UpstreamTrouble(f"too many requests are on their way to ask {where} as well")
    if isinstance(error, httpx2.TimeoutException):
        return UpstreamTrouble(f"{where} took too long", is_down=True)
    if isinstance(error, httpx2.ProxyError):
        return UpstreamTrouble(f"the proxy does not lead to {where}", is_down=True)
    if isinstance(error, httpx2.ConnectError):
        if _cause(error, gaierror):
            return UpstreamTrouble(f"the name {where} does not resolve", is_down=True)
        if distrust := _cause(error, ssl.SSLCertVerificationError):
            return UpstreamTrouble(
                f"the certificate of {where} is not trusted here: {distrust.verify_message}",
                is_down=True,
            )
        return UpstreamTrouble(f"{where} cannot be reached", is_down=True)
    return UpstreamTrouble(f"{where} broke off ({type(error).__name__})")


def _cause(error: BaseException, kind: type[_Cause]) -> _Cause | None:
    seen: BaseException | None = error
    while seen is not None and not isinstance(seen, kind):
        seen = seen.__cause__ or seen.__context__
    return seen
