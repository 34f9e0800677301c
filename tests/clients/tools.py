"""Make what the tools that publish projects live in: `python -m tests.clients.tools`.

Each gets a virtual environment to itself: its dependencies must not decide which releases the
server is tested with, and some of the tools want what others refuse. As in `fetch`, pip does the
talking, with the settings of this machine; the tests that run the tools see none of those.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.clients import fetch

FOLDER = Path(__file__).parents[2] / ".cache" / "uploaders"
"""Where the environments lie, between runs too."""

TOOLS = (
    # Publishes nothing; what people come from, and may want to go back to.
    "devpi_server-6.20.3-py3-none-any.whl",
    "flit-4.2.0-py3-none-any.whl",
    "hatch-1.18.2-py3-none-any.whl",
    # The newest releases of what it depends on are not always ones that it works with.
    "pdm-2.29.3-py3-none-any.whl[locked]",
    "poetry-2.5.1-py3-none-any.whl",
    # The last that skips existing files of whatever index.
    "twine-6.1.0-py3-none-any.whl",
)
"""The wheels of the tools, with the extra to be installed if there is one."""

_INSTALL_SECONDS_MAX = 600.0


class NotInstalled(Exception):
    """The index answers, but pip cannot install a tool from it."""


@dataclass(frozen=True, slots=True)
class Environment:
    """The virtual environment of one tool."""

    folder: Path

    def command(self, name: str) -> Path | None:
        """A command that the tool brings; None if there is no such."""
        path = shutil.which(name, path=str(self.folder / _SCRIPTS))
        return None if path is None else Path(path)

    def is_made(self) -> bool:
        """Whether it was made to its end, here, and by the Python that asks."""
        try:
            return self._mark.read_text("utf-8") == self._maker()
        except FileNotFoundError:
            return False

    def make(self, requirement: str) -> None:
        """Make it, in place of what lies there. Raises NotInstalled."""
        venv.create(self.folder, clear=True, symlinks=os.name != "nt")
        python = self.folder / _SCRIPTS / "python"
        # Few of the modules are ever imported: they are compiled when they are.
        options = ["--quiet", "--disable-pip-version-check", "--no-compile"]
        finished = subprocess.run(
            [sys.executable, "-m", "pip", "--python", python, "install", *options, requirement],
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_INSTALL_SECONDS_MAX,
        )
        if finished.returncode != 0:
            raise NotInstalled(f"{self.folder.name}:\n{finished.stdout.rstrip()}")
        self._mark.write_text(self._maker(), "utf-8")

    @property
    def _mark(self) -> Path:
        return self.folder / "made-by"

    def _maker(self) -> str:
        # The commands name the folder, and the folder links to the Python.
        return f"{sys.version}\n{sys.base_prefix}\n{self.folder}\n"


def environment_of(tool: str, folder: Path = FOLDER) -> Environment:
    """Where a tool lives, named by its wheel: `poetry-2.5.1`."""
    name, version, *_ = tool.split("-")
    return Environment(folder.absolute() / f"{name}-{version}")


def make(tools: Iterable[str], folder: Path = FOLDER) -> None:
    """Make the environments that are not made yet. Raises Unreachable, NotAsListed, NotInstalled.

    A later call goes on where one was interrupted.
    """
    missing = [tool for tool in tools if not environment_of(tool, folder).is_made()]
    if not missing:
        return
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".wheels-", dir=folder.absolute()) as wheels:
        # First all of these: `fetch` can tell an index that is silent from one that lacks a file.
        fetch.fetch((tool.partition("[")[0] for tool in missing), Path(wheels))
        for tool in missing:
            environment_of(tool, folder).make(f"{wheels}{os.sep}{tool}")


def main(arguments: list[str] | None = None) -> int:
    """Make all environments, and say in one line how that went; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.clients.tools", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=FOLDER)
    parser.add_argument("tools", nargs="*", metavar="WHEEL", help="instead of those that are known")
    chosen = parser.parse_args(arguments)
    tools, folder = chosen.tools or TOOLS, chosen.folder
    try:
        make(tools, folder)
    except fetch.Unreachable as error:
        print(f"the publishing tools cannot be installed: {error}")
        return fetch.EXIT_UNREACHABLE
    except (fetch.NotAsListed, NotInstalled) as error:
        print(f"a publishing tool cannot be installed: {error}")
        return 1
    print(f"{len(tools)} publishing tools are in {folder}")
    return 0


_SCRIPTS = "Scripts" if os.name == "nt" else "bin"


if __name__ == "__main__":
    sys.exit(main())
