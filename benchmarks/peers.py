"""The servers that are compared: what is asked of each, and ours; others are in `rivals`."""

import os
import shutil
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from benchmarks.asking import FILE_HEADERS, HTML_PAGE_HEADERS, ask, file_paths
from benchmarks.corpus import Corpus
from benchmarks.environments import CHECKOUT, Environment, environment_of
from benchmarks.processes import PeerFailed, Server, pinned, run_to_end, running

ROOT_PASSWORD = "a-password-of-the-benchmarks"

OURS, OURS_WITH_SPEED = "simpleindex", "simpleindex[speed]"

SPEEDUPS = ("uvloop", "httptools")
"""What makes our server faster where it can be imported."""

ONE_SYNC = Path(__file__).with_name("one_sync.py")

_UNPACKED = "filled-once"


@dataclass(frozen=True, slots=True)
class Served:
    """A peer that answers, and where on it things are.

    In the two page paths `{project}` stands for a project's name. Where `files_path` is None the
    links of the pages say where files are. Where `upload_path` is None it takes no uploads.
    """

    name: str
    server: Server
    port: int
    html_page_path: str
    json_page_path: str
    files_path: str | None = None
    upload_path: str | None = None
    metadata_path: str | None = None
    """Where the metadata of files is; None: beside them."""
    upload_headers: Mapping[str, str] | None = None
    """What lets uploads in; None: what a login as devpi's client does it gives."""
    repeats: bool = False
    """It can do nothing but say again what it was asked before, in the same words."""

    def metadata_of(self, project: str, filename: str) -> str:
        """Where the metadata of this wheel is. Raises PeerFailed."""
        if self.metadata_path is not None:
            return f"{self.metadata_path}{filename}.metadata"
        return self.file_path(project, filename) + ".metadata"

    def file_path(self, project: str, filename: str) -> str:
        """Where this file is. Raises PeerFailed."""
        if self.files_path is not None:
            return self.files_path + filename
        page_path = self.html_page_path.format(project=project)
        page = ask(self.port, page_path, HTML_PAGE_HEADERS)
        path = file_paths(page, page_path).get(filename) if page.status == 200 else None
        if path is None:
            raise PeerFailed(f"{self.name}: {page_path}: {page.status}, without {filename}")
        return path


class Measured(Protocol):
    """What a table has a column for."""

    @property
    def name(self) -> str:
        """The head of its column."""
        ...

    def missing(self) -> str | None:
        """Why it cannot be measured, or what has to be installed first; None when it can."""
        ...

    def version(self) -> str:
        """The version, in its own words."""
        ...


class Peer(Measured, Protocol):
    """A server that can be measured."""

    def fill(self, corpus: Corpus, folder: Path) -> None:
        """Make what it serves, in a folder that is new. Raises PeerFailed."""
        ...

    def started(self, folder: Path, core: int | None) -> AbstractContextManager[Served]:
        """Answering from that folder, for the time of a `with` block; any number of times."""
        ...


@dataclass(frozen=True, slots=True)
class SimpleindexPeer:
    """The server of this checkout, under an interpreter of an environment or under this one."""

    name: str = OURS
    environment: Environment | None = None
    has_access_log: bool = False
    syncs_once: bool = False
    """Whether it forces onto the disk only what the fastest rival does."""

    @property
    def python(self) -> str:
        """The interpreter that it runs under."""
        return sys.executable if self.environment is None else self.environment.program()

    def missing(self) -> str | None:
        return None if self.environment is None else self.environment.missing("python")

    def version(self) -> str:
        found = " and ".join(speedups(self.python)) or f"no {' or '.join(SPEEDUPS)}"
        return f"{our_version()}, with {found}"

    def fill(self, corpus: Corpus, folder: Path) -> None:
        # All kinds of ours begin with the same directory, which takes longer to make than to copy.
        filled = folder.parent / _UNPACKED
        if not filled.exists():
            fill_simpleindex(filled, corpus.wheels)
        shutil.copytree(filled, folder / "serverdir")

    @contextmanager
    def started(self, folder: Path, core: int | None) -> Iterator[Served]:
        command = serve_command(
            folder / "serverdir",
            program=[self.python, *([str(ONE_SYNC)] if self.syncs_once else ["-m", "simpleindex"])],
            has_access_log=self.has_access_log,
        )
        log = folder / "access.log" if self.has_access_log else None
        with running(pinned(command, core), our_environment(), errors=log) as server:
            port = server.announced_port()
            server.wait_for_answer(port, "/", FILE_HEADERS)
            yield Served(
                name=self.name,
                server=server,
                port=port,
                html_page_path="/root/local/+simple/{project}/",
                json_page_path="/root/local/+simple/{project}/",
                upload_path="/root/local/",
            )


def our_kinds() -> list[SimpleindexPeer]:
    """Ours as it is installed without extras, and with the extra `[speed]`."""
    plain = None
    if speedups(sys.executable):
        plain = Environment("simpleindex", _our_requirements())
    with_speed = Environment("simpleindex-speed", _our_requirements("speed"))
    return [SimpleindexPeer(OURS, plain), SimpleindexPeer(OURS_WITH_SPEED, with_speed)]


def devpi_environment() -> Environment:
    """Where devpi-server is, or is installed when somebody asks what is missing."""
    return environment_of("SIMPLEINDEX_BENCH_DEVPI", "devpi", "devpi-server")


def speedups(python: str) -> list[str]:
    """Which of SPEEDUPS this interpreter finds."""
    asked = "import importlib.util as u, sys; print(*filter(u.find_spec, sys.argv[1:]))"
    return run_to_end([python, "-c", asked, *SPEEDUPS]).split()


_NEVER_COMPILED = "PYTHONDONTWRITEBYTECODE"


def our_environment() -> dict[str, str]:
    """The environment in which `python -m simpleindex` is this checkout's, installed or not."""
    paths = [str(CHECKOUT), str(CHECKOUT / "storage")]
    # What pip installs is compiled: nobody's server does that at each start.
    kept = {name: value for name, value in os.environ.items() if name != _NEVER_COMPILED}
    return kept | {"PYTHONPATH": os.pathsep.join(paths)}


def our_version() -> str:
    """The version of this checkout's server."""
    printed = run_to_end([sys.executable, "-m", "simpleindex", "--version"], our_environment())
    return printed.strip()


def fill_simpleindex(serverdir: Path, *wheels: Path) -> None:
    """Make a new server directory that holds these wheels."""
    program = [sys.executable, "-m", "simpleindex"]
    where = ["--serverdir", str(serverdir)]
    run_to_end(
        [*program, "init", *where, "--root-passwd", ROOT_PASSWORD, "--no-root-pypi"],
        our_environment(),
    )
    run_to_end([*program, "add", *map(str, wheels), *where], our_environment())


def serve_command(
    serverdir: Path,
    *,
    program: Sequence[str] = (sys.executable, "-m", "simpleindex"),
    has_access_log: bool = False,
) -> list[str]:
    """Serve this directory on a port that the system chooses and the first line names."""
    return [
        *(*program, "serve", "--serverdir", str(serverdir)),
        *("--host", "127.0.0.1", "--port", "0"),
        "--access-log" if has_access_log else "--no-access-log",
    ]


def _our_requirements(*extras: str) -> tuple[str, ...]:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))["project"]
    optional = project["optional-dependencies"]
    return (*project["dependencies"], *(each for extra in extras for each in optional[extra]))


DEVPI_QUIET = '{"version": 1, "disable_existing_loggers": false, "root": {"level": "WARNING"}}'
