"""What crashes and failures leave lying about in a server directory."""

import json
from collections.abc import Iterable
from pathlib import Path

from simpleindex_storage.opening import open_cache
from tests.crash.harness import dead_drafts
from tests.server import RunningServer

_DRAFTS = (".new", ".new-journal", ".new-wal", ".new-shm", ".draft", ".link")


def left_behind(server: RunningServer) -> list[str]:
    """Drafts and what nobody knows of, while a server is running that has nothing to do."""
    root = server.serverdir
    with_drafts = (root, root / "cache", root / "cache/parts", root / "cache/lists")
    return [
        *dead_drafts(server),
        *(
            f"{path.relative_to(root)} is left over"
            for folder in with_drafts
            if folder.is_dir()
            for path in folder.iterdir()
            if path.name.endswith(_DRAFTS)
        ),
        *_unknown_to_the_cache(root),
    ]


def strays(serverdir: Path, index: str, paths: Iterable[str]) -> list[str]:
    """Files of an index, or with "" of all, that nobody can see."""
    root = serverdir / "files"
    there = {
        path.relative_to(root).as_posix() for path in (root / index).rglob("*") if not path.is_dir()
    }
    known = {*paths, *(f"{path}.metadata" for path in paths)}  # of sdists it is kept, not shown
    return [f"files/{name} lies there without a record" for name in sorted(there - known)]


def journal_gaps(serverdir: Path, serial: int) -> list[str]:
    """Where the journal does not have one line for each change up to a serial."""
    lines = (serverdir / "journal.jsonl").read_text("utf-8").splitlines()
    serials = [json.loads(line)["serial"] for line in lines]
    if serials == list(range(serial + 1)):
        return []
    return [f"the catalog is at serial {serial}, the journal has the serials {serials}"]


def _unknown_to_the_cache(root: Path) -> list[str]:
    cache = open_cache(root)
    try:
        return [f"cache/{orphan.path} is left over" for orphan in cache.gc(dry_run=True)]
    finally:
        cache.close()
