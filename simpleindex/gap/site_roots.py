"""What a site wants of its index, as far as the site itself knows."""

from pathlib import Path

from simpleindex.gap.closure import Roots
from simpleindex.gap.own_source import OwnSource


def roots_of_site(serverdir: Path, source: OwnSource) -> Roots:
    """Each project of the index by itself. Raises Refused, Unavailable."""
    return Roots(projects=source.projects())
