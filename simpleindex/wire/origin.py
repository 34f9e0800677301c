"""The URL under which a client sees this server: devpi's JSON needs absolute links."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from simpleindex.config import Network
from simpleindex.wire.clients import is_loopback, parse_address

_HOST = re.compile(r"(?:[A-Za-z0-9._~-]+|\[([0-9A-Fa-f:.]+)\])(?::([0-9]{1,5}))?")
_HOST_CHARACTERS_MAX = 261
"""Of the longest name that DNS has, and a port; it is repeated with each link of a document."""
_PORT = re.compile(":[0-9]+$")
_USUAL_PORTS = {"http": ":80", "https": ":443"}
_OWN_HOSTS = ("localhost", "127.0.0.1", "[::1]")
_PORT_MAX = 65535
_URL = re.compile(r"https?://([^/]+)(?:/(?:(?![\"'<>\\^`{|}?#])[!-~])*)?")


@dataclass(frozen=True, slots=True)
class Peer:
    """Where a request came in."""

    scheme: str
    server: str
    """HOST:PORT of our end, for a request without a usable Host header."""
    trusted: bool
    """Whether the other end is a proxy whose headers count."""
    prefix: str
    """The path under which this application is mounted; no slash at its end."""


def origin(headers: Mapping[str, str], peer: Peer, outside_url: str | None) -> str:
    """The URL of our root, without a slash at its end.

    `X-Outside-Url` and `X-Forwarded-*` can be sent by anybody, so that they count only from
    proxies that the admin has named.
    """
    if peer.trusted:
        forwarded = headers.get("x-outside-url", "")
        found = _URL.fullmatch(forwarded)
        if found is not None and _is_host(found[1]):
            return forwarded.rstrip("/")
    if outside_url is not None:
        return outside_url
    scheme, host = peer.scheme, headers.get("host", "")
    if peer.trusted:
        host = _last(headers.get("x-forwarded-host")) or host
        proto = _last(headers.get("x-forwarded-proto")).lower()
        scheme = proto if proto in ("http", "https") else scheme
    if not _is_host(host):
        host = peer.server
    return f"{scheme}://{host}{peer.prefix}"


def is_trusted(address: str | None, trusted: tuple[Network, ...]) -> bool:
    """Whether an address is a proxy's, or within a network of proxies, that the admin has named."""
    if address is None or not trusted:
        return False
    parsed = parse_address(address)
    return parsed is not None and any(parsed in network for network in trusted)


def nearest_stranger(
    peer: str | None, forwarded_for: str | None, trusted: tuple[Network, ...]
) -> str | None:
    """The address of whoever a request came from last but for trusted proxies.

    `X-Forwarded-For` counts as far back as trusted proxies have written it. None stands for a Unix
    socket.
    """
    hops = _hops(forwarded_for)
    address = peer
    while is_trusted(address, trusted) and hops:
        address = hops.pop()
    return address


def client_address(
    peer: str | None, forwarded_for: str | None, trusted: tuple[Network, ...]
) -> str | None:
    """Who a request is from: the nearest stranger, or some words that name nobody.

    A proxy on this computer that nobody has named as trusted speaks for strangers too: what it
    forwards is not from the address that is this computer's own.
    """
    address = nearest_stranger(peer, forwarded_for, trusted)
    if is_trusted(peer, trusted) or peer is None or not is_loopback(peer):
        return address
    return f"by way of {peer}" if is_forwarded(forwarded_for) else address


def is_forwarded(forwarded_for: str | None) -> bool:
    """Whether `X-Forwarded-For`, all of it, names anybody for whom a request was passed on."""
    return bool(_hops(forwarded_for))


def is_from_elsewhere(headers: Mapping[str, str], root_url: str) -> bool:
    """Whether a page of another site has a browser send this, with the password that it knows.

    Browsers say so in `Origin` with whatever can change something; programs do not send it.
    """
    said = headers.get("origin")
    if said is None:
        return False
    scheme, _, there = said.lower().partition("://")
    root_scheme, _, root = root_url.lower().partition("://")
    here = (
        # In which scheme that is, a proxy that nobody has named leaves open.
        _without_usual_port(scheme, headers.get("host", "").lower()),
        _without_usual_port(root_scheme, root.partition("/")[0]),
    )
    return _without_usual_port(scheme, there) not in [host for host in here if host]


def is_secure(root_url: str) -> bool:
    """Whether nobody on the way can change what comes from there (PEP 740 asks for that)."""
    return root_url.startswith("https://") or host_to_trust(root_url) is None


def host_to_trust(root_url: str) -> str | None:
    """What pip must be given as `--trusted-host` to install from a URL; None if nothing.

    Without it pip ignores an index that it reaches over plain HTTP on another computer.
    """
    scheme, _, rest = root_url.partition("://")
    host = _PORT.sub("", rest.partition("/")[0])
    return None if scheme == "https" or host in _OWN_HOSTS else host


def _is_host(text: str) -> bool:
    """Whether it is a name or an address that a URL may have, with a port or without one."""
    found = _HOST.fullmatch(text)
    if found is None or len(text) > _HOST_CHARACTERS_MAX:
        return False
    ipv6, port = found.groups()
    if ipv6 is not None and (":" not in ipv6 or parse_address(ipv6) is None):
        return False
    return port is None or 0 < int(port) <= _PORT_MAX


def _without_usual_port(scheme: str, host: str) -> str:
    """Browsers never name it in `Origin`, people and proxies may in `Host` and in settings."""
    return host.removesuffix(_USUAL_PORTS.get(scheme, ""))


def _hops(forwarded_for: str | None) -> list[str]:
    return [hop.strip() for hop in (forwarded_for or "").split(",") if hop.strip()]


def _last(value: str | None) -> str:
    """What the nearest proxy said."""
    return (value or "").rpartition(",")[2].strip()
