"""Keys and signatures of ssh-keygen. Skips the test where that is missing."""

import shutil
import subprocess
from pathlib import Path

import pytest


def ssh_keygen(*arguments: str | Path, stdin: bytes = b"") -> bytes:
    """Call it; it has to succeed."""
    finished = ssh_keygen_finished(*arguments, stdin=stdin)
    assert finished.returncode == 0, finished
    return finished.stdout


def ssh_keygen_finished(
    *arguments: str | Path, stdin: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    """Call it, whatever comes of it."""
    program = shutil.which("ssh-keygen")
    if program is None:
        pytest.skip("no ssh-keygen here")
    return subprocess.run(
        [program, *map(str, arguments)], check=False, input=stdin, capture_output=True
    )


def a_key(folder: Path, name: str = "alice", kind: str = "ed25519") -> Path:
    """A pair of keys; where the private one is. The public one is beside it (`.pub`)."""
    ssh_keygen("-q", "-t", kind, "-N", "", "-C", f"{name}@outside", "-f", folder / name)
    return folder / name
