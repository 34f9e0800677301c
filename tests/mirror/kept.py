"""What a mirror has on its server's disk, seen from outside."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.mirror.sites import MirrorSite


def kept_filenames(site: MirrorSite) -> list[str]:
    """The files that lie where kept files lie, with what lies beside them, by name."""
    folder = site.server.serverdir / "cache" / "files" / site.index
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def parts(serverdir: Path) -> list[Path]:
    """Files that are arriving, or were when somebody was killed."""
    return sorted((serverdir / "cache" / "parts").glob("*.part"))


def figures(site: MirrorSite) -> dict[str, Any]:
    """What `+status` tells of the mirror."""
    found: dict[str, Any] = site.get("/+status").json()["result"]["mirrors"][site.index]
    return found


def days_ago(days: float) -> datetime:
    """A moment of the past, or of the future where `days` are negative."""
    return datetime.now(UTC) - timedelta(days=days)
