"""What a server's processes take of memory and processor, as Linux tells it below /proc."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

MB = 1_000_000

_SAMPLE_SECONDS = 0.01
_RESET_PEAK = "5"


@dataclass(slots=True)
class Peak:
    """The most memory during a `with` block; known at its end."""

    before_bytes: int
    highest_bytes: int
    sampled: bool

    @property
    def growth_mb(self) -> float:
        return (self.highest_bytes - self.before_bytes) / MB


def resident_bytes(pid: int) -> int:
    """What the process and its children hold now."""
    return sum(_status_bytes(each, "VmRSS") for each in _family(pid))


def processor_seconds(pid: int) -> float:
    """What the process and its children have used of processors so far."""
    return sum(map(_processor_seconds, _family(pid)))


@contextmanager
def peak_of(pid: int) -> Iterator[Peak]:
    """Watch the process and its children. Without the right to reset the kernel's own peak
    it is sampled, which can miss a short one.
    """
    family = _family(pid)
    before_bytes = resident_bytes(pid)
    peak = Peak(before_bytes, before_bytes, sampled=not all(map(_reset_peak, family)))
    if not peak.sampled:
        yield peak
        peak.highest_bytes = sum(_status_bytes(each, "VmHWM") for each in family)
        return
    ended = threading.Event()
    sampler = threading.Thread(target=_sample, args=(pid, peak, ended), daemon=True)
    sampler.start()
    try:
        yield peak
    finally:
        ended.set()
        sampler.join()


def _family(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(member for child in children for member in _family(int(child)))]


def _status_bytes(pid: int, field: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise LookupError(f"{field} of process {pid}")


def _processor_seconds(pid: int) -> float:
    # The name, in brackets, may hold anything; user and system time are fields 14 and 15.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _reset_peak(pid: int) -> bool:
    try:
        Path(f"/proc/{pid}/clear_refs").write_text(_RESET_PEAK)
    except OSError:
        return False
    return True


def _sample(pid: int, peak: Peak, ended: threading.Event) -> None:
    while not ended.wait(_SAMPLE_SECONDS):
        peak.highest_bytes = max(peak.highest_bytes, resident_bytes(pid))
