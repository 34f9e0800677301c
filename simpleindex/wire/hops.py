"""Which mirrors a request has come through, so that none asks itself in the end."""

import re

HOPS_HEADER = "x-simpleindex-hops"

HOPS_MAX = 20
"""As many as are read. A request that has come through so many goes in a circle."""

_HOP = re.compile(r"[A-Za-z0-9._-]{1,64}")


def parse_hops(header: str | None) -> tuple[str, ...]:
    """The mirrors that a header names, the first to be asked first. What is no name is left out."""
    names = (name.strip() for name in (header or "").split(",", HOPS_MAX)[:HOPS_MAX])
    return tuple(name for name in names if _HOP.fullmatch(name))


def render_hops(hops: tuple[str, ...]) -> str:
    """The header that names these mirrors."""
    return ",".join(hops)
