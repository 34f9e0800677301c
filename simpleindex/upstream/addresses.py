"""Which addresses another index may be at: not the site's own network, unless that is allowed.

The names of hosts come from the pages of others, and whoever runs a name's zone says where it
leads: without this, a page could have us fetch what only this machine can reach.
"""

import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import TypeAlias

import anyio

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network
Resolver: TypeAlias = Callable[[str, int], Awaitable[Sequence[str]]]
"""From a host's name and a port to addresses, the best first. Raises OSError if there is none."""

_NAT64 = IPv6Network("64:ff9b::/96")


class AddressRefused(Exception):
    """A host lies where nobody allowed it to be."""

    def __init__(self, host: str, address: str, kind: str) -> None:
        super().__init__(host, address, kind)
        self.host = host
        self.address = address
        self.kind = kind

    def __str__(self) -> str:
        here = f"at the {self.kind} address {self.address}"
        if self.host == self.address:
            here = f"a {self.kind} address"
        return (
            f"{self.host} is {here}; if that is right, allow it with "
            f"--private-upstreams={self.host} or the setting private_upstreams"
        )


async def ask_system(host: str, port: int) -> Sequence[str]:
    """The addresses of a host, as this machine resolves names. Raises OSError."""
    found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(where[0]) for *_, where in found))


class Addresses:
    """Public addresses, and the others that are allowed."""

    def __init__(self, allowed: Sequence[str], resolver: Resolver = ask_system) -> None:
        """`allowed` are hosts' names, addresses and networks. Raises ValueError for others."""
        self._allowed = tuple(allowed)
        self._resolver = resolver
        entries = [_entry(text) for text in self._allowed]
        self._names = frozenset(entry for entry in entries if isinstance(entry, str))
        self._networks = tuple(entry for entry in entries if not isinstance(entry, str))

    def with_host(self, host: str) -> "Addresses":
        """The same, and one host more. Raises ValueError if it is none."""
        return Addresses((*self._allowed, host), self._resolver)

    async def of(self, host: str, port: int) -> Sequence[str]:
        """Where a host is: addresses that may be connected to, all of them checked.

        Raises AddressRefused if any of them may not, and OSError if there is none.
        """
        literal = _literal(host)
        if literal is not None:
            found: Sequence[str] = [str(literal)]
        else:
            try:
                found = await self._resolver(host, port)
            except UnicodeError as error:
                raise socket.gaierror(socket.EAI_NONAME, "no name of a host") from error
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, "no address")
        self._check(host, map(ip_address, found))
        return found

    def check_unresolved(self, host: str) -> None:
        """Check what a host's name says by itself, where a proxy will resolve it.

        Raises AddressRefused.
        """
        literal = _literal(host)
        if literal is not None:
            self._check(host, [literal])
        elif f".{_plain(host)}".endswith(".localhost"):
            self._check(host, [IPv4Address("127.0.0.1")])

    def _check(self, host: str, addresses: Iterable[Address]) -> None:
        if _plain(host) in self._names:
            return
        for address in addresses:
            # As a whole, and the one that it stands for: either can be what is allowed.
            alike = [address, _within(address) or address]
            kind = _kind(alike[1])
            if kind is not None and not any(a in net for a in alike for net in self._networks):
                raise AddressRefused(_plain(host), str(address), kind)


def _entry(text: str) -> Network | str:
    text = _plain(text)
    try:
        return ip_network(text, strict=False)
    except ValueError:
        if not text or any(letter in "/:@*" or letter.isspace() for letter in text):
            raise ValueError(
                f"{text!r} is neither the name of a host, nor an address, nor a network"
            ) from None
        return text


def _plain(host: str) -> str:
    return host.strip().strip("[]").removesuffix(".").lower()


def _literal(host: str) -> Address | None:
    """The address that a host's name is, in any of the notations that resolvers take."""
    plain = _plain(host)
    try:
        return ip_address(plain)
    except ValueError:
        pass
    try:
        # 127.1, 0x7f000001, 2130706433: all of them are the loopback interface.
        return IPv4Address(socket.inet_aton(plain))
    except (OSError, UnicodeError):
        return None


def _within(address: Address) -> IPv4Address | None:
    """The IPv4 address that an IPv6 address leads to (RFC 4291, 6052 and 3056)."""
    if isinstance(address, IPv4Address):
        return None
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour


_KINDS: Sequence[tuple[str, Callable[[Address], bool]]] = (
    ("unspecified", lambda address: address.is_unspecified),
    ("loopback", lambda address: address.is_loopback),
    ("link-local", lambda address: address.is_link_local),
    ("multicast", lambda address: address.is_multicast),
    ("reserved", lambda address: address.is_reserved),
    ("private", lambda address: address.is_private or not address.is_global),
    ("private", lambda address: isinstance(address, IPv6Address) and address.is_site_local),
)


def _kind(address: Address) -> str | None:
    """What an address is, if it is none of the internet's."""
    return next((kind for kind, is_it in _KINDS if is_it(address)), None)
