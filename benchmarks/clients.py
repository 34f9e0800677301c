"""Installers that are timed, without caches, and without settings of this machine."""

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.corpus import NEWEST_OF_CHAIN
from benchmarks.load import LoadFailed
from benchmarks.processes import run_to_end
from tests.server import clean_environment


def missing_uv() -> str | None:
    """What has to be installed first; None when nothing is missing."""
    return None if shutil.which("uv", path=_program_path()) else "uv (pip install uv)"


def uv_seconds(url: str, chain: Sequence[str], folder: Path) -> float:
    """The time in which uv finds out what the first of a chain needs. `folder` is for its files.

    Raises PeerFailed, LoadFailed.
    """
    uv = shutil.which("uv", path=_program_path()) or "uv"
    with tempfile.TemporaryDirectory(dir=folder) as name:
        wanted = Path(name) / "wanted.in"
        wanted.write_text(f"{chain[0]}\n")
        command = [
            *(uv, "pip", "compile", "--quiet", "--no-config", "--no-header", "--no-annotate"),
            *("--python", sys.executable, "--no-cache", "--default-index", url, str(wanted)),
        ]
        started = time.perf_counter()
        printed = run_to_end(command, clean_environment())
        taken = time.perf_counter() - started
    found = printed.count(f"=={NEWEST_OF_CHAIN}")
    if found != len(chain):
        raise LoadFailed(f"uv found {found} projects of {len(chain)}")
    return taken


def pip_seconds(url: str, chain: Sequence[str], folder: Path) -> float:
    """The time in which pip installs the first of a chain, with all that it needs.

    `folder` is for its files. Raises PeerFailed, LoadFailed.
    """
    with tempfile.TemporaryDirectory(dir=folder) as name:
        command = [
            *(sys.executable, "-m", "pip", "--isolated", "install", "--quiet", "--no-compile"),
            *("--disable-pip-version-check", "--no-cache-dir", "--target", f"{name}/site"),
            *("--index-url", url, chain[0]),
        ]
        started = time.perf_counter()
        run_to_end(command, clean_environment())
        taken = time.perf_counter() - started
        installed = len(list(Path(name, "site").glob(f"*-{NEWEST_OF_CHAIN}.dist-info")))
    if installed != len(chain):
        raise LoadFailed(f"pip installed {installed} projects of {len(chain)}")
    return taken


def _program_path() -> str:
    """Where programs are looked for: beside our interpreter first."""
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
