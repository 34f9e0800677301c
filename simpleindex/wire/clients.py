"""Addresses of clients: what they are, and which of them count as one client."""

from ipaddress import IPv4Address, IPv6Address, ip_address

LOOPBACK = "127.0.0.1"
"""Stands for all addresses by which this computer reaches itself."""

_UNKNOWN_CHARACTERS_MAX = 64


def parse_address(text: str) -> IPv4Address | IPv6Address | None:
    """An address, without its zone; None for what is none.

    One of IPv4 that comes in the notation of IPv6, as whoever listens to both gets it, is of IPv4.
    """
    try:
        parsed = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(parsed, "ipv4_mapped", None) or parsed


def is_loopback(text: str) -> bool:
    """Whether nobody but this computer has the address."""
    parsed = parse_address(text)
    return parsed is not None and parsed.is_loopback


def network_of(text: str) -> str:
    """What counts as one client: an address of IPv4, `LOOPBACK`, or of IPv6 the /64.

    Within a /64 one machine can take any address. What is no address counts as it is.
    """
    parsed = parse_address(text)
    if parsed is None:
        return text[:_UNKNOWN_CHARACTERS_MAX]
    if parsed.is_loopback:
        return LOOPBACK
    if isinstance(parsed, IPv4Address):
        return str(parsed)
    return parsed.exploded[: len("0000:0000:0000:0000")] + "::/64"
