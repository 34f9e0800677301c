"""The mirrors that are compared: how each is installed, started and pointed at the upstream."""

import http.client
import json
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from benchmarks.asking import ANSWER_SECONDS_MAX, FILE_HEADERS, read_answer
from benchmarks.load import login_headers
from benchmarks.mirror_upstream import Upstream
from benchmarks.peers import (
    CHECKOUT,
    ROOT_PASSWORD,
    Measured,
    Served,
    our_environment,
    our_version,
    serve_command,
)
from benchmarks.processes import PeerFailed, free_port, pinned, run_to_end, running
from tests.server import clean_environment

PEERS_FOLDER = CHECKOUT / ".cache" / "mirror-peers"
"""Where peers are installed that were not found; kept between runs."""

_INDEX = "root/up"
_INSTALL_SECONDS_MAX = 600.0
_PROXPI_THREADS = 40


class MirrorPeer(Measured, Protocol):
    """A mirror that can be measured. To ask what is missing installs it if need be."""

    def serving(
        self, upstream: Upstream, folder: Path, core: int | None
    ) -> AbstractContextManager[Served]:
        """A mirror that has seen nothing yet, for the time of a `with` block."""
        ...


@dataclass(frozen=True, slots=True)
class SimpleindexMirror:
    """The server of this checkout, under the interpreter that runs the benchmarks."""

    name: str = "simpleindex"

    def missing(self) -> str | None:
        return None

    def version(self) -> str:
        return our_version()

    @contextmanager
    def serving(self, upstream: Upstream, folder: Path, core: int | None) -> Iterator[Served]:
        serverdir = folder / "serverdir"
        init = [*(sys.executable, "-m", "simpleindex", "init"), "--serverdir", str(serverdir)]
        run_to_end(
            [*init, "--root-passwd", ROOT_PASSWORD, "--no-root-pypi"],
            our_environment(),
        )
        command = [*serve_command(serverdir), "--private-upstreams", "127.0.0.1"]
        with running(pinned(command, core), our_environment()) as server:
            port = server.announced_port()
            server.wait_for_answer(port, "/+api", FILE_HEADERS)
            served = Served(self.name, server, port, *_devpi_page_paths())
            _make_mirror(served, upstream, {})
            yield served


@dataclass(frozen=True, slots=True)
class DevpiMirror:
    """devpi-server, told to pass core metadata on, without a log line for each request."""

    bin_folder: Path
    name: str = "devpi"

    def missing(self) -> str | None:
        return _missing(self.bin_folder, "devpi-server", ["devpi-server"])

    def version(self) -> str:
        printed = run_to_end([str(self.bin_folder / "devpi-server"), "--version"], _peer_settings())
        return "devpi-server " + printed.strip().splitlines()[0]

    @contextmanager
    def serving(self, upstream: Upstream, folder: Path, core: int | None) -> Iterator[Served]:
        serverdir, logging = folder / "serverdir", folder / "logging.json"
        logging.write_text(_QUIET)
        where = ["--serverdir", str(serverdir)]
        init = [str(self.bin_folder / "devpi-init"), *where]
        run_to_end([*init, "--root-passwd", ROOT_PASSWORD, "--no-root-pypi"], _peer_settings())
        port = free_port()
        command = [
            *(str(self.bin_folder / "devpi-server"), *where, "--host", "127.0.0.1"),
            *("--port", str(port), "--logger-cfg", str(logging), "--enable-core-metadata"),
        ]
        with running(pinned(command, core), _peer_settings()) as server:
            server.wait_for_answer(port, "/+api", FILE_HEADERS)
            served = Served(self.name, server, port, *_devpi_page_paths())
            _make_mirror(served, upstream, {"mirror_provides_core_metadata": True})
            yield served


@dataclass(frozen=True, slots=True)
class ProxpiMirror:
    """proxpi behind gunicorn, with a thread for each client: its image has two in all."""

    bin_folder: Path
    name: str = "proxpi"

    def missing(self) -> str | None:
        return _missing(self.bin_folder, "gunicorn", ["proxpi", "gunicorn"])

    def version(self) -> str:
        asked = "import importlib.metadata as m; print(*map(m.version, ['proxpi', 'gunicorn']))"
        printed = run_to_end([str(self.bin_folder / "python"), "-c", asked], _peer_settings())
        own, gunicorn = printed.split()
        return f"proxpi {own} on gunicorn {gunicorn} with {_PROXPI_THREADS} threads"

    @contextmanager
    def serving(self, upstream: Upstream, folder: Path, core: int | None) -> Iterator[Served]:
        port = free_port()
        environment = {
            **_peer_settings(),
            "PROXPI_INDEX_URL": upstream.url,
            "PROXPI_CACHE_DIR": str(folder / "cache"),
            "PROXPI_LOGGING_LEVEL": "WARNING",
        }
        command = [
            *(str(self.bin_folder / "gunicorn"), "--bind", f"127.0.0.1:{port}"),
            *("--workers", "1", "--threads", str(_PROXPI_THREADS), "--log-level", "warning"),
            *("--worker-tmp-dir", str(folder), "proxpi.server:app"),
        ]
        (folder / "cache").mkdir()
        with running(pinned(command, core), environment) as server:
            server.wait_for_answer(port, "/health", FILE_HEADERS)
            yield Served(self.name, server, port, *["/index/{project}/"] * 2)


def peers_besides_ours(names: Sequence[str]) -> list[MirrorPeer]:
    """Those of these names. They are where the environment says, or are installed by us."""
    known: dict[str, MirrorPeer] = {
        "devpi": DevpiMirror(_bin_folder("SIMPLEINDEX_BENCH_DEVPI", "devpi")),
        "proxpi": ProxpiMirror(_bin_folder("SIMPLEINDEX_BENCH_PROXPI", "proxpi")),
    }
    return [known[name] for name in names]


def _bin_folder(variable: str, name: str) -> Path:
    given = os.environ.get(variable)
    return Path(given).absolute() if given else PEERS_FOLDER / name / "bin"


def _missing(bin_folder: Path, program: str, requirements: Sequence[str]) -> str | None:
    """Why there is no such program; None when there is, maybe since now."""
    if shutil.which(program, path=str(bin_folder)):
        return None
    if not bin_folder.is_relative_to(PEERS_FOLDER):
        return f"{program}: not in {bin_folder}"
    environment = bin_folder.parent
    venv.create(environment, clear=True, symlinks=os.name != "nt")
    # pip's settings of this machine are in force: this is no part of what is measured.
    installed = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "--python", str(environment / "bin" / "python")),
            *("install", "--quiet", "--disable-pip-version-check", *requirements),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_INSTALL_SECONDS_MAX,
        check=False,
    )
    if installed.returncode == 0:
        return None
    shutil.rmtree(environment)
    return f"{' and '.join(requirements)} cannot be installed: {_last_line(installed.stdout)}"


def _last_line(printed: str) -> str:
    lines = printed.strip().splitlines()
    return lines[-1] if lines else "pip said nothing"


def _peer_settings() -> dict[str, str]:
    # pkg_resources, which devpi-server's framework uses, complains at each start.
    return clean_environment(PYTHONWARNINGS="ignore")


def _devpi_page_paths() -> tuple[str, str]:
    path = f"/{_INDEX}/+simple/{{project}}/"
    return path, path


def _make_mirror(served: Served, upstream: Upstream, more: dict[str, object]) -> None:
    """Make the index that mirrors the upstream, in the way of devpi. Raises PeerFailed."""
    settings = {"type": "mirror", "mirror_url": upstream.url, "volatile": True, **more}
    headers = {
        **login_headers(served),
        "Content-Type": "application/json",
        "Accept": "application/json",
    }
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=ANSWER_SECONDS_MAX)
    try:
        connection.request("PUT", f"/{_INDEX}", json.dumps(settings), headers)
        answer = read_answer(connection)
    finally:
        connection.close()
    if answer.status not in {200, 201}:
        raise PeerFailed(f"{served.name}: PUT /{_INDEX}: {answer.status} {answer.body[:300]!r}")


_QUIET = '{"version": 1, "disable_existing_loggers": false, "root": {"level": "WARNING"}}'
