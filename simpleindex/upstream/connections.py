"""The HTTP client that goes only where `addresses` allows. To be imported when it is needed."""

from collections.abc import Iterable, Mapping, Sequence
from http.cookiejar import CookieJar, DefaultCookiePolicy
from ipaddress import ip_address, ip_network
from itertools import chain, zip_longest
from math import inf
from ssl import SSLContext
from typing import Any
from urllib.request import getproxies

import anyio
import httpcore2
import httpx2

from simpleindex.upstream.addresses import Addresses
from simpleindex.version import __version__

_CONNECTIONS_MAX = 100
_KEPT_CONNECTIONS_MAX = 20
_KEPT_SECONDS = 4.0  # servers like ours close them after five
_TRIED_MAX = 4


def make_client(addresses: Addresses, timeout: httpx2.Timeout) -> httpx2.AsyncClient:
    """A client that follows no redirect and keeps no cookie. It takes a while: TLS roots are read.

    Proxies and certificates are those of the environment.
    Raises OSError, ValueError, ImportError and httpx2.InvalidURL if they cannot be used.
    """
    context = httpx2.create_ssl_context()
    proxies = getproxies()
    return httpx2.AsyncClient(
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        follow_redirects=False,
        headers={"user-agent": f"simpleindex-server/{__version__}"},
        timeout=timeout,
        transport=RoutedTransport(addresses, context, proxies),
        trust_env=False,  # what it would do with proxies is done by the transport
    )


class GuardedBackend(httpcore2.AsyncNetworkBackend):
    """Resolves names itself, and connects to nothing but the addresses that were checked."""

    def __init__(
        self, addresses: Addresses, network: httpcore2.AsyncNetworkBackend | None = None
    ) -> None:
        self._addresses = addresses
        self._network = network or httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  its name is the parent's
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Connect to the first address that answers; each has its share of the time.

        Raises AddressRefused, ConnectError and ConnectTimeout.
        """
        ends_at = anyio.current_time() + (inf if timeout is None else timeout)
        try:
            with anyio.fail_after(timeout):
                found = await self._addresses.of(host, port)
        except TimeoutError as error:
            raise httpcore2.ConnectTimeout("resolving took too long") from error
        except OSError as error:
            raise httpcore2.ConnectError(str(error)) from error
        tried = _by_turns(found)[:_TRIED_MAX]
        failure: Exception | None = None
        for index, address in enumerate(tried):
            share = max(0.0, ends_at - anyio.current_time()) / (len(tried) - index)
            try:
                stream = await self._network.connect_tcp(
                    address, port, None if timeout is None else share, local_address, socket_options
                )
                return _Stream(stream)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
        assert failure is not None
        raise failure

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await self._network.sleep(seconds)


class _Stream(httpcore2.AsyncNetworkStream):
    """A connection that ends with a handshake that is given up. httpcore2's own would stay open."""

    def __init__(self, inner: httpcore2.AsyncNetworkStream) -> None:
        self._inner = inner

    async def read(
        self,
        max_bytes: int,
        timeout: float | None = None,  # noqa: ASYNC109  its name is the parent's
    ) -> bytes:
        return await self._inner.read(max_bytes, timeout)

    async def write(
        self,
        buffer: bytes,
        timeout: float | None = None,  # noqa: ASYNC109  its name is the parent's
    ) -> None:
        await self._inner.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def start_tls(
        self,
        ssl_context: SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109  its name is the parent's
    ) -> httpcore2.AsyncNetworkStream:
        try:
            return await self._inner.start_tls(ssl_context, server_hostname, timeout)
        except anyio.get_cancelled_exc_class():
            with anyio.CancelScope(shield=True):
                await self._inner.aclose()
            raise

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class GuardedTransport(httpx2.AsyncHTTPTransport):
    """Connects by way of a GuardedBackend."""

    def __init__(self, addresses: Addresses, context: SSLContext) -> None:
        # Not by the parent's constructor, which would make a pool without the guard.
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=context,
            max_connections=_CONNECTIONS_MAX,
            max_keepalive_connections=_KEPT_CONNECTIONS_MAX,
            keepalive_expiry=_KEPT_SECONDS,
            network_backend=GuardedBackend(addresses),
        )


class RoutedTransport(httpx2.AsyncBaseTransport):
    """Sends a request by the proxy that the environment names for it, or without one."""

    def __init__(
        self, addresses: Addresses, context: SSLContext, proxies: Mapping[str, str]
    ) -> None:
        self._addresses = addresses
        self._direct = GuardedTransport(addresses, context)
        self._exceptions = proxies.get("no", "")
        self._proxies: dict[str, httpx2.AsyncHTTPTransport] = {}
        for scheme in ("http", "https"):
            url = proxies.get(scheme) or proxies.get("all")
            if url:
                limits = httpx2.Limits(
                    max_connections=_CONNECTIONS_MAX,
                    max_keepalive_connections=_KEPT_CONNECTIONS_MAX,
                    keepalive_expiry=_KEPT_SECONDS,
                )
                self._proxies[scheme] = httpx2.AsyncHTTPTransport(
                    verify=context,
                    limits=limits,
                    proxy=url if "://" in url else f"http://{url}",
                )

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send it. Raises AddressRefused, beside what every transport does."""
        proxy = self._proxies.get(request.url.scheme)
        host = request.url.raw_host.decode("ascii")
        if proxy is None or _goes_direct(host, self._exceptions):
            return await self._direct.handle_async_request(request)
        self._addresses.check_unresolved(host)
        return await proxy.handle_async_request(request)

    async def aclose(self) -> None:
        """Close all connections."""
        for transport in (self._direct, *self._proxies.values()):
            await transport.aclose()


def _by_turns(addresses: Sequence[str]) -> list[str]:
    """Both families by turns, as one of them may lead nowhere from here."""
    first = [address for address in addresses if (":" in address) == (":" in addresses[0])]
    second = [address for address in addresses if address not in first]
    turns = chain.from_iterable(zip_longest(first, second))
    return [address for address in turns if address is not None]


def _goes_direct(host: str, exceptions: str) -> bool:
    """Whether NO_PROXY names a host: by its name, a domain above it, its address or a network."""
    for exception in filter(None, (text.strip().lower() for text in exceptions.split(","))):
        if exception == "*":
            return True
        domain = exception.removeprefix("*").removeprefix(".")
        if f".{host}".endswith(f".{domain}"):
            return True
        try:
            if ip_address(host.strip("[]")) in ip_network(exception.strip("[]"), strict=False):
                return True
        except ValueError:
            continue
    return False
