"""The servers that are compared: how each is filled, started and addressed."""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from benchmarks.asking import FILE_HEADERS, HTML_PAGE_HEADERS, JSON_PAGE_HEADERS, ask, file_paths
from benchmarks.corpus import Corpus, Project, write_devpi_dump
from benchmarks.nginx import find_nginx, worker_user
from benchmarks.processes import PeerFailed, Server, free_port, pinned, run_to_end, running

ROOT_PASSWORD = "a-password-of-the-benchmarks"

CHECKOUT = Path(__file__).resolve().parent.parent


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

    def serving(
        self, corpus: Corpus, folder: Path, core: int | None
    ) -> AbstractContextManager[Served]:
        """Filled with the corpus and answering, for the time of a `with` block."""
        ...


@dataclass(frozen=True, slots=True)
class SimpleindexPeer:
    """The server of this checkout, under the interpreter that runs the benchmarks."""

    name: str = "simpleindex"

    def missing(self) -> str | None:
        return None

    def version(self) -> str:
        return our_version()

    @contextmanager
    def serving(self, corpus: Corpus, folder: Path, core: int | None) -> Iterator[Served]:
        serverdir = folder / "serverdir"
        fill_simpleindex(serverdir, corpus.wheels)
        command = serve_command(serverdir)
        with running(pinned(command, core), our_environment()) as server:
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


@dataclass(frozen=True, slots=True)
class NginxPeer:
    """nginx with the same bytes as static files: the pages as our own server sent them."""

    ours: Served
    name: str = "nginx"

    def missing(self) -> str | None:
        return None if find_nginx() else "nginx (apt install nginx)"

    def version(self) -> str:
        return run_to_end([find_nginx() or "nginx", "-v"]).strip().removeprefix("nginx version: ")

    @contextmanager
    def serving(self, corpus: Corpus, folder: Path, core: int | None) -> Iterator[Served]:
        compressed = _capture_pages(self.ours, corpus, folder)
        _capture_metadata(self.ours, corpus.small_projects[0], folder)
        port = free_port()
        settings = folder / "nginx.conf"
        settings.write_text(_nginx_settings(corpus, folder, port, compressed=compressed))
        command = [find_nginx() or "nginx", "-p", str(folder), "-c", str(settings), "-e", "stderr"]
        with running(pinned(command, core)) as server:
            server.wait_for_answer(port, "/", FILE_HEADERS)
            yield Served(
                name=self.name,
                server=server,
                port=port,
                html_page_path="/html/{project}",
                json_page_path="/json/{project}",
                files_path="/files/",
                metadata_path="/metadata/",
            )


@dataclass(frozen=True, slots=True)
class DevpiPeer:
    """devpi-server with its defaults, but for a log line each request: ours logs none either."""

    bin_folder: Path | None
    name: str = "devpi"

    def missing(self) -> str | None:
        if self._tool("devpi-server") and self._tool("devpi-import"):
            return None
        return (
            "devpi-server (pip install devpi-server; then PATH or SIMPLEINDEX_BENCH_DEVPI=.../bin)"
        )

    def version(self) -> str:
        return "devpi-server " + run_to_end([self._found("devpi-server"), "--version"]).strip()

    @contextmanager
    def serving(self, corpus: Corpus, folder: Path, core: int | None) -> Iterator[Served]:
        index = "root/bench"
        serverdir, dump, logging = folder / "serverdir", folder / "dump", folder / "logging.json"
        write_devpi_dump(corpus, dump, index)
        logging.write_text(_QUIET)
        run_to_end(
            [
                *(self._found("devpi-import"), "--serverdir", str(serverdir), "--no-root-pypi"),
                *("--root-passwd", ROOT_PASSWORD, str(dump)),
            ]
        )
        port = free_port()
        command = [
            *(self._found("devpi-server"), "--serverdir", str(serverdir)),
            *("--host", "127.0.0.1", "--port", str(port), "--logger-cfg", str(logging)),
        ]
        with running(pinned(command, core)) as server:
            server.wait_for_answer(port, "/+api", FILE_HEADERS)
            yield Served(
                name=self.name,
                server=server,
                port=port,
                html_page_path=f"/{index}/+simple/{{project}}/",
                json_page_path=f"/{index}/+simple/{{project}}/",
                upload_path=f"/{index}/",
            )

    def _tool(self, name: str) -> str | None:
        return shutil.which(name, path=None if self.bin_folder is None else str(self.bin_folder))

    def _found(self, name: str) -> str:
        return self._tool(name) or name


def our_environment() -> dict[str, str]:
    """The environment in which `python -m simpleindex` is this checkout's, installed or not."""
    paths = [str(CHECKOUT), str(CHECKOUT / "storage")]
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths)}


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


def serve_command(serverdir: Path) -> list[str]:
    """Serve this directory on a port that the system chooses and the first line names."""
    return [
        *(sys.executable, "-m", "simpleindex", "serve", "--serverdir", str(serverdir)),
        *("--host", "127.0.0.1", "--port", "0", "--no-access-log"),
    ]


def _capture_pages(ours: Served, corpus: Corpus, folder: Path) -> bool:
    """Save each page as our server sends it to pip; whether any came compressed."""
    kinds = (
        ("html", ours.html_page_path, HTML_PAGE_HEADERS),
        ("json", ours.json_page_path, JSON_PAGE_HEADERS),
    )
    compressed = False
    for kind, path, headers in kinds:
        pages = folder / kind
        pages.mkdir()
        for project in corpus.projects:
            page = ask(ours.port, path.format(project=project.name), headers)
            (pages / project.name).write_bytes(page.plain_body)
            if page.encoding == "gzip":
                compressed = True
                (pages / f"{project.name}.gz").write_bytes(page.body)
    return compressed


def _capture_metadata(ours: Served, project: Project, folder: Path) -> None:
    """Save the metadata of a project's first wheel as our server sends it."""
    filename = project.filenames[0]
    answer = ask(ours.port, ours.metadata_of(project.name, filename), FILE_HEADERS)
    (folder / "metadata").mkdir()
    (folder / "metadata" / f"{filename}.metadata").write_bytes(answer.body)


def _nginx_settings(corpus: Corpus, folder: Path, port: int, *, compressed: bool) -> str:
    return _NGINX_SETTINGS.format(
        user=worker_user(),
        folder=folder,
        port=port,
        wheels=corpus.wheels.resolve(),
        gzip_static="on" if compressed else "off",
    )


_NGINX_SETTINGS = """\
{user}
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    gzip_static {gzip_static};
    keepalive_requests 100000000;
    open_file_cache max=10000 inactive=10m;
    open_file_cache_valid 10m;
    open_file_cache_errors on;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        location /html/ {{ root {folder}; default_type text/html; }}
        location /json/ {{
            root {folder};
            default_type application/vnd.pypi.simple.v1+json;
        }}
        location /metadata/ {{
            root {folder};
            default_type application/octet-stream;
            gzip_static off;
        }}
        location /files/ {{
            alias {wheels}/;
            default_type application/octet-stream;
            gzip_static off;
        }}
    }}
}}
"""

_QUIET = '{"version": 1, "disable_existing_loggers": false, "root": {"level": "WARNING"}}'
