"""Tools that live in environments of their own, made when a test first asks for one."""

import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from tests.clients import fetch, tools

_INSTALL_SECONDS_MAX = 900.0


def command_of(tool: str, name: str | None = None) -> Path:
    """A command of a tool, by the tool's own name if no other is given. May skip the test."""
    path = environment_with(tool).command(name or tool)
    assert path is not None, f"{tool} brings no command {name or tool}"
    return path


def environment_with(tool: str) -> tools.Environment:
    """The environment of a tool. Skips the test where no index can be asked for it."""
    (wheel,) = (known for known in tools.TOOLS if known.startswith(f"{tool}-"))
    exit_code, told = _install(wheel)
    if exit_code == fetch.EXIT_UNREACHABLE:
        pytest.skip(told)
    assert exit_code == 0, told
    return tools.environment_of(wheel)


@cache
def _install(wheel: str) -> tuple[int, str]:
    # In a process of its own: pip's settings for this machine are in force there, and there alone.
    finished = subprocess.run(
        [sys.executable, "-m", "tests.clients.tools", str(tools.FOLDER), wheel],
        check=False,
        cwd=Path(__file__).parents[2],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_INSTALL_SECONDS_MAX,
    )
    return finished.returncode, finished.stdout.strip()
