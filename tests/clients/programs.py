"""The programs that people use against an index, as they come: found, and run as from a terminal.

Each run has a clean environment and a home folder of its own, so that no settings, passwords or
caches of the machine take part.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.server import clean_environment

RUN_SECONDS_MAX = 240.0


@dataclass(frozen=True, slots=True)
class Finished:
    """A program that has come to its end."""

    exit_code: int
    output: str
    """All that a person saw on the terminal, without colours."""

    @property
    def sentence(self) -> str:
        """The output on one line: some programs break lines at 80 columns, whatever they hold."""
        return " ".join(self.output.split())


@dataclass(frozen=True, slots=True)
class Terminal:
    """Where a person types commands."""

    home: Path

    def run(self, *command: str | Path, **variables: str) -> Finished:
        """Run a command to its end; nobody is there to answer questions."""
        finished = subprocess.run(
            [str(part) for part in command],
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=self._environment(variables),
            timeout=RUN_SECONDS_MAX,
        )
        output = finished.stdout.decode("utf-8", "replace")
        return Finished(finished.returncode, re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", output))

    def must(self, *command: str | Path, **variables: str) -> str:
        """Run a command that has to succeed; what it wrote."""
        finished = self.run(*command, **variables)
        assert finished.exit_code == 0, f"{command} failed:\n{finished.output}"
        return finished.output

    def _environment(self, variables: Mapping[str, str]) -> dict[str, str]:
        self.home.mkdir(exist_ok=True)
        home = str(self.home)
        look = {"NO_COLOR": "1", "TERM": "dumb"}
        places = {"HOME": home, "USERPROFILE": home, "XDG_CONFIG_HOME": str(self.home / ".config")}
        # A keyring would ask the person at the desk.
        quiet = {"PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring"}
        return clean_environment(**look, **places, **quiet, **variables)


_HOME = Path.home()
"""As it was before any test changed it."""


def program(name: str) -> Path:
    """A command of the environment that the tests run in."""
    path = shutil.which(name, path=str(Path(sys.executable).parent))
    assert path is not None, f"{name} is not installed beside {sys.executable}"
    return Path(path)


def interpreter(version: str) -> Path:
    """The Python of a minor version ("3.6"). Skips the test where this machine has none."""
    for command in _interpreter_candidates(version):
        finished = _quietly([*command, "-c", _TELL_PYTHON])
        if finished is not None:
            told_version, executable = finished.splitlines()
            if told_version == version:
                return Path(executable)
    pytest.skip(f"Python {version} is not on this machine")


def bundled_pip(python: Path) -> Path:
    """The pip that came with a Python, to be run as `python PATH ...`: its users never had another.

    Skips the test where ensurepip is left out, as some Linux distributions do.
    """
    wheel = _quietly([str(python), "-c", _TELL_PIP_WHEEL])
    if wheel is None:
        pytest.skip(f"{python} carries no pip")
    return Path(wheel.strip()) / "pip"


_TELL_PYTHON = """\
import sys
print("%d.%d" % sys.version_info[:2])
print(sys.executable)
"""

_TELL_PIP_WHEEL = """\
import ensurepip, glob, os, sysconfig
pattern = "pip-" + ensurepip.version() + "-*.whl"
bundled = os.path.join(os.path.dirname(ensurepip.__file__), "_bundled")
folders = [bundled, sysconfig.get_config_var("WHEEL_PKG_DIR") or bundled]
print([path for folder in folders for path in glob.glob(os.path.join(folder, pattern))][0])
"""


def _interpreter_candidates(version: str) -> list[list[str]]:
    root = Path(os.environ.get("PYENV_ROOT") or _HOME / ".pyenv")
    by_patch = sorted(root.glob(f"versions/{version}.*/bin/python"), key=_patch_version)
    installed = [[str(path)] for path in reversed(by_patch)]
    on_path = [[path] for path in [shutil.which(f"python{version}")] if path]
    launcher = [[path, f"-{version}"] for path in [shutil.which("py")] if path]
    return [*on_path, *installed, *launcher]


def _patch_version(python: Path) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", python.parts[-3])]


def _quietly(command: Sequence[str]) -> str | None:
    try:
        finished = subprocess.run(
            command, check=True, capture_output=True, env=clean_environment(), text=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None  # the shim of a version manager, for example, where no such version is chosen
    return finished.stdout
