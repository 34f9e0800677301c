"""Virtual environments for what is compared and does the comparing, kept below `.cache/`."""

import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import run_to_end
from tests.server import clean_environment

CHECKOUT = Path(__file__).resolve().parent.parent
PEERS_FOLDER = CHECKOUT / ".cache" / "peers"

_INSTALL_SECONDS_MAX = 600.0
_INSTALLED = "installed-requirements"


@dataclass(frozen=True, slots=True)
class Environment:
    """Where these requirements are installed: below PEERS_FOLDER, or in a folder that is given."""

    name: str
    requirements: tuple[str, ...]
    given_bin_folder: Path | None = None

    @property
    def bin_folder(self) -> Path:
        """Where its programs are."""
        return self.given_bin_folder or self._folder / "bin"

    def program(self, name: str = "python") -> str:
        """Where this program is, or would be."""
        return str(self.bin_folder / name)

    def missing(self, *programs: str) -> str | None:
        """Why there are no such programs; None when there are, maybe since now."""
        absent = [each for each in programs if not shutil.which(each, path=str(self.bin_folder))]
        if self.given_bin_folder is not None:
            return f"{', '.join(absent)}: not in {self.bin_folder}" if absent else None
        return self._install() if absent or not self._is_as_required() else None

    def versions(self, *distributions: str) -> str:
        """Name and version of each of these. Raises PeerFailed."""
        asked = "import importlib.metadata as m, sys; print(*map(m.version, sys.argv[1:]))"
        printed = run_to_end([self.program(), "-c", asked, *distributions], quiet_environment())
        each = zip(distributions, printed.split(), strict=True)
        return " and ".join(f"{name} {version}" for name, version in each)

    @property
    def _folder(self) -> Path:
        return PEERS_FOLDER / self.name

    @property
    def _wanted(self) -> str:
        return "".join(f"{requirement}\n" for requirement in self.requirements)

    def _is_as_required(self) -> bool:
        installed = self._folder / _INSTALLED
        return installed.is_file() and installed.read_text() == self._wanted

    def _install(self) -> str | None:
        venv.create(self._folder, clear=True, symlinks=os.name != "nt")
        # pip's settings of this machine are in force: this is no part of what is measured.
        installed = subprocess.run(
            [
                *(sys.executable, "-m", "pip", "--python", self.program()),
                *("install", "--quiet", "--disable-pip-version-check", *self.requirements),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_INSTALL_SECONDS_MAX,
            check=False,
        )
        if installed.returncode == 0:
            (self._folder / _INSTALLED).write_text(self._wanted)
            return None
        shutil.rmtree(self._folder)
        names = " and ".join(self.requirements)
        return f"{names} cannot be installed: {_last_line(installed.stdout)}"


def environment_of(variable: str, name: str, *requirements: str) -> Environment:
    """That of the variable, which names a folder of programs, or else one of our own."""
    given = os.environ.get(variable)
    return Environment(name, requirements, Path(given).absolute() if given else None)


def quiet_environment(**variables: str) -> dict[str, str]:
    """What other people's servers run in: no settings of this machine, no warnings."""
    # pkg_resources, which devpi-server's framework uses, complains at each start.
    return clean_environment(PYTHONWARNINGS="ignore", **variables)


def _last_line(printed: str) -> str:
    lines: Sequence[str] = printed.strip().splitlines()
    return lines[-1] if lines else "pip said nothing"
