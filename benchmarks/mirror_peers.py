"""The mirrors that are compared: how each is installed, started and pointed at the upstream."""

import http.client
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from benchmarks.asking import ANSWER_SECONDS_MAX, FILE_HEADERS, read_answer
from benchmarks.environments import Environment, environment_of, quiet_environment
from benchmarks.load import login_headers
from benchmarks.mirror_upstream import Upstream
from benchmarks.peers import (
    DEVPI_QUIET,
    ROOT_PASSWORD,
    Measured,
    Served,
    devpi_environment,
    our_environment,
    our_version,
    serve_command,
)
from benchmarks.processes import PeerFailed, free_port, pinned, run_to_end, running

_INDEX = "root/up"
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

    environment: Environment
    name: str = "devpi"

    def missing(self) -> str | None:
        return self.environment.missing("devpi-server")

    def version(self) -> str:
        return self.environment.versions("devpi-server")

    @contextmanager
    def serving(self, upstream: Upstream, folder: Path, core: int | None) -> Iterator[Served]:
        serverdir, logging = folder / "serverdir", folder / "logging.json"
        logging.write_text(DEVPI_QUIET)
        where = ["--serverdir", str(serverdir)]
        init = [self.environment.program("devpi-init"), *where]
        run_to_end([*init, "--root-passwd", ROOT_PASSWORD, "--no-root-pypi"], quiet_environment())
        port = free_port()
        command = [
            *(self.environment.program("devpi-server"), *where, "--host", "127.0.0.1"),
            *("--port", str(port), "--logger-cfg", str(logging), "--enable-core-metadata"),
        ]
        with running(pinned(command, core), quiet_environment()) as server:
            server.wait_for_answer(port, "/+api", FILE_HEADERS)
            served = Served(self.name, server, port, *_devpi_page_paths())
            _make_mirror(served, upstream, {"mirror_provides_core_metadata": True})
            yield served


@dataclass(frozen=True, slots=True)
class ProxpiMirror:
    """proxpi behind gunicorn, with a thread for each client: its image has two in all."""

    environment: Environment
    name: str = "proxpi"

    def missing(self) -> str | None:
        return self.environment.missing("gunicorn")

    def version(self) -> str:
        versions = self.environment.versions("proxpi", "gunicorn")
        return f"{versions} with {_PROXPI_THREADS} threads"

    @contextmanager
    def serving(self, upstream: Upstream, folder: Path, core: int | None) -> Iterator[Served]:
        port = free_port()
        environment = {
            **quiet_environment(),
            "PROXPI_INDEX_URL": upstream.url,
            "PROXPI_CACHE_DIR": str(folder / "cache"),
            "PROXPI_LOGGING_LEVEL": "WARNING",
        }
        command = [
            *(self.environment.program("gunicorn"), "--bind", f"127.0.0.1:{port}"),
            *("--workers", "1", "--threads", str(_PROXPI_THREADS), "--log-level", "warning"),
            *("--worker-tmp-dir", str(folder), "proxpi.server:app"),
        ]
        (folder / "cache").mkdir()
        with running(pinned(command, core), environment) as server:
            server.wait_for_answer(port, "/health", FILE_HEADERS)
            yield Served(self.name, server, port, "/index/{project}/", "/index/{project}/")


def peers_besides_ours(names: Sequence[str]) -> list[MirrorPeer]:
    """Those of these names. They are where the environment says, or are installed by us."""
    proxpi = environment_of("SIMPLEINDEX_BENCH_PROXPI", "proxpi", "proxpi", "gunicorn")
    known: dict[str, MirrorPeer] = {
        "devpi": DevpiMirror(devpi_environment()),
        "proxpi": ProxpiMirror(proxpi),
    }
    return [known[name] for name in names]


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
