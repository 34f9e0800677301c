"""The other index servers that ours is compared with: how each is filled and started.

Each is installed where `environments` says, runs as its own documents advise for production, in
one process, without a line of log for each request.
"""

import base64
import http.client
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.asking import (
    ANSWER_SECONDS_MAX,
    FILE_HEADERS,
    read_answer,
)
from benchmarks.corpus import Corpus, Project, write_devpi_dump
from benchmarks.environments import Environment, environment_of, quiet_environment
from benchmarks.peers import DEVPI_QUIET, ROOT_PASSWORD, Peer, Served, devpi_environment
from benchmarks.processes import (
    PeerFailed,
    free_port,
    pinned,
    run_to_end,
    running,
)
from tests.builders import BuiltFile, an_upload_body

PYPIRON, SIMPLE_REPOSITORY, DEVPI, PYPISERVER = (
    "pypiron",
    "simple-repository-server",
    "devpi",
    "pypiserver",
)
RIVALS = (PYPIRON, SIMPLE_REPOSITORY, DEVPI, PYPISERVER)

_DEVPI_INDEX = "root/bench"

_BASIC = base64.b64encode(f"root:{ROOT_PASSWORD}".encode()).decode()
_UPLOAD_HEADERS = {
    "Authorization": f"Basic {_BASIC}",
    "User-Agent": FILE_HEADERS["User-Agent"],
}


@dataclass(frozen=True, slots=True)
class DevpiPeer:
    """devpi-server with its defaults, and told to announce core metadata."""

    environment: Environment
    name: str = DEVPI

    def missing(self) -> str | None:
        return self.environment.missing("devpi-server", "devpi-import")

    def version(self) -> str:
        return self.environment.versions("devpi-server")

    def fill(self, corpus: Corpus, folder: Path) -> None:
        dump = folder / "dump"
        write_devpi_dump(corpus, dump, _DEVPI_INDEX)
        command = [
            *(self.environment.program("devpi-import"), "--serverdir", str(folder / "serverdir")),
            *("--no-root-pypi", "--root-passwd", ROOT_PASSWORD, str(dump)),
        ]
        run_to_end(command, quiet_environment())

    @contextmanager
    def started(self, folder: Path, core: int | None) -> Iterator[Served]:
        logging, port = folder / "logging.json", free_port()
        logging.write_text(DEVPI_QUIET)
        command = [
            *(self.environment.program("devpi-server"), "--serverdir", str(folder / "serverdir")),
            *("--host", "127.0.0.1", "--port", str(port), "--logger-cfg", str(logging)),
            "--enable-core-metadata",
        ]
        with running(pinned(command, core), quiet_environment()) as server:
            server.wait_for_answer(port, "/+api", FILE_HEADERS)
            yield Served(
                name=self.name,
                server=server,
                port=port,
                html_page_path=f"/{_DEVPI_INDEX}/+simple/{{project}}/",
                json_page_path=f"/{_DEVPI_INDEX}/+simple/{{project}}/",
                upload_path=f"/{_DEVPI_INDEX}/",
            )


@dataclass(frozen=True, slots=True)
class PypiserverPeer:
    """pypiserver as its own image runs it: gunicorn, its index kept in memory (`cached-dir`).

    With threads, as connections would not be kept otherwise.
    """

    environment: Environment
    name: str = PYPISERVER

    def missing(self) -> str | None:
        return self.environment.missing("pypi-server", "gunicorn")

    def version(self) -> str:
        return self.environment.versions("pypiserver", "gunicorn")

    def fill(self, corpus: Corpus, folder: Path) -> None:
        wheels = folder / "wheels"
        wheels.mkdir()
        for wheel in corpus.wheels.iterdir():
            os.link(wheel, wheels / wheel.name)

    @contextmanager
    def started(self, folder: Path, core: int | None) -> Iterator[Served]:
        port = free_port()
        command = [
            *(self.environment.program("pypi-server"), "run", "-i", "127.0.0.1", "-p", str(port)),
            *("--server", "gunicorn", "--backend", "cached-dir", "--disable-fallback"),
            # A password in each request would measure how dear its hash is.
            *("-a", ".", "-P", ".", str(folder / "wheels")),
        ]
        gunicorn = f"--workers 1 --threads {_THREADS} --keep-alive 75 --log-level warning"
        settings = quiet_environment(GUNICORN_CMD_ARGS=gunicorn)
        with running(pinned(command, core), settings) as server:
            server.wait_for_answer(port, "/health", FILE_HEADERS)
            yield Served(
                name=self.name,
                server=server,
                port=port,
                html_page_path="/simple/{project}/",
                json_page_path="/simple/{project}/",
                upload_path="/",
                upload_headers=_UPLOAD_HEADERS,
            )


@dataclass(frozen=True, slots=True)
class SimpleRepositoryPeer:
    """simple-repository-server on a folder of files; it takes no uploads."""

    environment: Environment
    name: str = SIMPLE_REPOSITORY

    def missing(self) -> str | None:
        return self.environment.missing("simple-repository-server")

    def version(self) -> str:
        return self.environment.versions("simple-repository-server", "uvicorn")

    def fill(self, corpus: Corpus, folder: Path) -> None:
        for project in corpus.projects:
            files = folder / "index" / project.name
            files.mkdir(parents=True)
            for filename in project.filenames:
                os.link(corpus.wheels / filename, files / filename)

    @contextmanager
    def started(self, folder: Path, core: int | None) -> Iterator[Served]:
        port = free_port()
        start = [self.environment.program(), "-c", _START_SIMPLE_REPOSITORY]
        command = [*start, str(folder / "index"), str(port)]
        with running(pinned(command, core), quiet_environment()) as server:
            server.wait_for_answer(port, "/", FILE_HEADERS)
            yield Served(
                name=self.name,
                server=server,
                port=port,
                html_page_path="/simple/{project}/",
                json_page_path="/simple/{project}/",
            )


@dataclass(frozen=True, slots=True)
class PypironPeer:
    """pypiron on a folder, filled through its own uploads; it asks nobody outside."""

    environment: Environment
    name: str = PYPIRON

    def missing(self) -> str | None:
        return self.environment.missing("pypiron")

    def version(self) -> str:
        return self.environment.versions("pypiron")

    def fill(self, corpus: Corpus, folder: Path) -> None:
        with self.started(folder, None) as served:
            for project in corpus.projects:
                _upload_all(served, corpus.wheels, project)
        # It answers an upload before its pages show it, and ends without having made them.
        rebuild = [self.environment.program("pypiron"), "rebuild-index"]
        run_to_end([*rebuild, "--data-dir", str(folder / "data")], quiet_environment())

    @contextmanager
    def started(self, folder: Path, core: int | None) -> Iterator[Served]:
        spool, port = folder / "spool", free_port()
        spool.mkdir(exist_ok=True)
        command = [
            *(self.environment.program("pypiron"), "serve", "--bind-addr", f"127.0.0.1:{port}"),
            *("--data-dir", str(folder / "data"), "--spool-dir", str(spool)),
            *("--advisory-feed", "", "--exclude-newer", ""),
        ]
        settings = quiet_environment(
            PYPIRON_UPLOADER_USER="root", PYPIRON_UPLOADER_PASS=ROOT_PASSWORD, RUST_LOG="warn"
        )
        with running(pinned(command, core), settings) as server:
            server.wait_for_answer(port, "/health", FILE_HEADERS)
            yield Served(
                name=self.name,
                server=server,
                port=port,
                html_page_path="/simple/{project}/",
                json_page_path="/simple/{project}/",
                upload_path="/legacy/",
                upload_headers=_UPLOAD_HEADERS,
            )


def rivals() -> dict[str, Peer]:
    """All of them by name; what is not there is installed when somebody asks what is missing."""
    pypiserver = environment_of(
        "SIMPLEINDEX_BENCH_PYPISERVER", "pypiserver", "pypiserver[cache]", "gunicorn"
    )
    simple_repository = environment_of(
        "SIMPLEINDEX_BENCH_SIMPLE_REPOSITORY",
        "simple-repository-server",
        "simple-repository-server",
    )
    pypiron = environment_of("SIMPLEINDEX_BENCH_PYPIRON", "pypiron", "pypiron")
    peers: list[Peer] = [
        PypironPeer(pypiron),
        SimpleRepositoryPeer(simple_repository),
        DevpiPeer(devpi_environment()),
        PypiserverPeer(pypiserver),
    ]
    return {peer.name: peer for peer in peers}


SYNCS: Mapping[str, str] = {
    "simpleindex": "syncs the file, its name and the record before it answers an upload",
    "pypiron": "syncs the file's bytes before it answers an upload, but neither names nor records",
    "devpi": "syncs its database before it answers an upload, but not the file's bytes",
    "pypiserver": "syncs nothing before it answers an upload",
}
"""What is on the disk when an upload is answered, as their system calls show."""


def _upload_all(served: Served, wheels: Path, project: Project) -> None:
    assert served.upload_path is not None
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=ANSWER_SECONDS_MAX)
    try:
        for filename in project.filenames:
            content_type, body = an_upload_body(
                BuiltFile(filename, (wheels / filename).read_bytes())
            )
            headers = {**_UPLOAD_HEADERS, "Content-Type": content_type}
            connection.request("POST", served.upload_path, body, headers)
            answer = read_answer(connection)
            if answer.status != 200:
                told = f"{answer.status} {answer.body[:200]!r}"
                raise PeerFailed(f"{served.name}: {filename}: {told}")
    finally:
        connection.close()


_THREADS = 16

# What its command does, which has no flag for uvicorn's access log.
_START_SIMPLE_REPOSITORY = """\
import sys, uvicorn
from simple_repository_server.__main__ import create_app
app = create_app([sys.argv[1]])
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), log_level="warning", access_log=False)
"""
