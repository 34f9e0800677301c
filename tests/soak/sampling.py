"""What the server process and its directory take up while it runs."""

import os
from dataclasses import dataclass
from pathlib import Path

from tests.server import RunningServer

_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class ProcessUse:
    """What a process takes up."""

    rss_bytes: int
    fds: int
    threads: int


@dataclass(frozen=True, slots=True)
class Sample:
    """The server at one moment."""

    at_seconds: float
    """Since the load began."""
    process: ProcessUse | None
    """None where the system has no /proc."""
    wal_bytes: int
    journal_bytes: int
    drafts: int
    """Files in `incoming/` that are no locks."""


def take_sample(server: RunningServer, at_seconds: float) -> Sample:
    """How the server is doing; its process must be alive."""
    root = server.serverdir
    return Sample(
        at_seconds=at_seconds,
        process=_use_of(server.process.pid),
        wal_bytes=_size_bytes(root / "catalog.sqlite-wal"),
        journal_bytes=_size_bytes(root / "journal.jsonl"),
        drafts=len(left_in_incoming(root)),
    )


def can_see_processes() -> bool:
    """Whether the system tells what a process takes up."""
    return (_PROC / "self" / "status").exists()


def left_in_incoming(serverdir: Path) -> list[Path]:
    """The files in `incoming/` that are no locks. May be asked while they come and go."""
    incoming = serverdir / "incoming"
    return [
        Path(folder, name)
        for folder, _, names in os.walk(incoming)
        for name in names
        if not name.endswith(".lock")
    ]


def _use_of(pid: int) -> ProcessUse | None:
    if not can_see_processes():
        return None
    lines = (_PROC / str(pid) / "status").read_text("utf-8").splitlines()
    said = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    return ProcessUse(
        rss_bytes=int(said["VmRSS"].removesuffix(" kB")) << 10,
        fds=sum(1 for _ in (_PROC / str(pid) / "fd").iterdir()),
        threads=int(said["Threads"]),
    )


def _size_bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
