"""Who can reach the server, and whether others can read what is sent to it. Pure."""

from collections.abc import Iterable

from simpleindex.wire.clients import is_loopback


def in_the_open(
    addresses: Iterable[tuple[str, int]], outside_url: str | None, *, has_tls: bool
) -> list[str]:
    """Those of the addresses at which other computers talk to us unencrypted, as HOST:PORT.

    A proxy that speaks https, as `outside_url` tells, is taken to be the only one who gets there.
    """
    if has_tls or (outside_url or "").startswith("https://"):
        return []
    return beyond(addresses)


def beyond(addresses: Iterable[tuple[str, int]]) -> list[str]:
    """Those of the addresses that other computers reach, as HOST:PORT."""
    return [
        f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        for host, port in addresses
        if host != "localhost" and not is_loopback(host)
    ]
