"""A site without internet: a network namespace in which there is nothing but its own loopback.

with closed_site() as site:
    Terminal(home).must(*site.command("python3", "server.pyz", "serve"))

What runs in it sees the files of this machine, and nobody outside of it over any network, this
machine's own servers neither. Ends with the block; so what was started in it has to have ended.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import which

import pytest

_STOP_SECONDS_MAX = 30.0

# Programs that bring the loopback up are not on every machine; the call is on every Linux.
_HOLD = """
import fcntl, socket, struct, sys
SIOCSIFFLAGS, IFF_UP, IFF_RUNNING = 0x8914, 0x1, 0x40
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
    fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP | IFF_RUNNING))
print("ready", flush=True)
sys.stdin.read()
"""
_WAYS = (
    (["--net"], ["--net"]),
    (["--map-root-user", "--net"], ["--user", "--net", "--preserve-credentials"]),
)
"""For root, and for others where the system lets them: how to make it, and how to get in."""


@dataclass(frozen=True, slots=True)
class ClosedSite:
    """The site, as tests get in."""

    _entrance: tuple[str, ...]

    def command(self, *arguments: str | Path) -> list[str]:
        """The command that runs another one in there. Signals reach that one."""
        return [*self._entrance, *map(str, arguments)]


@contextmanager
def closed_site() -> Iterator[ClosedSite]:
    """Skips the test where namespaces are not there, or not allowed."""
    if which("unshare") is None or which("nsenter") is None:
        pytest.skip("there is no unshare or no nsenter here to make a network of its own")
    for make, enter in _WAYS:
        holder = subprocess.Popen(
            ["unshare", *make, sys.executable, "-I", "-c", _HOLD],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        try:
            assert holder.stdout is not None
            if holder.stdout.readline() == "ready\n":
                yield ClosedSite(("nsenter", f"--target={holder.pid}", *enter, "--"))
                return
        finally:
            holder.communicate(timeout=_STOP_SECONDS_MAX)
    pytest.skip("networks of one's own are not allowed here")
