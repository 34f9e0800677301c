"""One paragraph about the machine: a figure without it says nothing."""

import os
import platform
import statistics
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.environments import CHECKOUT
from benchmarks.peers import speedups

_FSYNCS = 20


def describe_machine(folder: Path) -> str:
    """Date, processor, memory, Python, and how long this disk takes for an fsync."""
    found = speedups(sys.executable)
    extras = " and ".join(found) or "no uvloop or httptools"
    lines = [
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, commit {_commit()}",
        f"{_processor()}, {os.cpu_count()} cores, {_memory_gb():.0f} GB, {platform.platform()}",
        f"CPython {platform.python_version()}, with {extras} installed; "
        f"an fsync of 4 KiB takes {fsync_milliseconds(folder):.2f} ms",
    ]
    return "\n".join(lines)


def fsync_milliseconds(folder: Path) -> float:
    """The median: what each durable upload pays at least once."""
    taken = []
    with (folder / "fsync-probe").open("wb") as file:
        for _ in range(_FSYNCS):
            file.write(bytes(4096))
            file.flush()
            started = time.perf_counter()
            os.fsync(file.fileno())
            taken.append(time.perf_counter() - started)
    return statistics.median(taken) * 1_000


def _commit() -> str:
    described = subprocess.run(
        ["git", "-C", str(CHECKOUT), "describe", "--always", "--dirty"],
        capture_output=True,
        text=True,
        check=False,
    )
    return described.stdout.strip() or "unknown"


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


def _memory_gb() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
