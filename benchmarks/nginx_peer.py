"""nginx as a package index: static files, with the very bytes that our server sends."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from benchmarks.asking import FILE_HEADERS, HTML_PAGE_HEADERS, JSON_PAGE_HEADERS, ask, file_paths
from benchmarks.corpus import Corpus, Project
from benchmarks.nginx import find_nginx, worker_user
from benchmarks.peers import Served
from benchmarks.processes import PeerFailed, free_port, pinned, run_to_end, running

_SITE_PATH = "/root/local/"
"""Where an installer finds the whole index, as on our own server."""


@dataclass(frozen=True, slots=True)
class NginxPeer:
    """nginx with the same bytes as static files: the pages as our own server sent them.

    With `is_whole`, all that the pages link to is where they say, for installers to follow.
    """

    ours: Served
    is_whole: bool = False
    name: str = "nginx"

    def missing(self) -> str | None:
        return None if find_nginx() else "nginx (apt install nginx)"

    def version(self) -> str:
        return run_to_end([find_nginx() or "nginx", "-v"]).strip().removeprefix("nginx version: ")

    def fill(self, corpus: Corpus, folder: Path) -> None:
        _capture_pages(self.ours, corpus, folder)
        _capture_metadata(self.ours, corpus.small_projects[0], folder)
        (folder / "wheels").symlink_to(corpus.wheels.resolve())
        if self.is_whole:
            for project in corpus.projects:
                _capture_files(self.ours, project, corpus.wheels, folder / "site")

    @contextmanager
    def started(self, folder: Path, core: int | None) -> Iterator[Served]:
        port = free_port()
        settings = folder / "nginx.conf"
        settings.write_text(_nginx_settings(folder, port))
        command = [find_nginx() or "nginx", "-p", str(folder), "-c", str(settings), "-e", "stderr"]
        page_path = _SITE_PATH + "+simple/{project}/"
        with running(pinned(command, core)) as server:
            server.wait_for_answer(port, "/", FILE_HEADERS)
            yield Served(
                name=self.name,
                server=server,
                port=port,
                html_page_path=page_path if self.is_whole else "/html/{project}",
                json_page_path=page_path if self.is_whole else "/json/{project}",
                files_path="/files/",
                metadata_path="/metadata/",
            )


def _capture_pages(ours: Served, corpus: Corpus, folder: Path) -> None:
    """Save each page as our server sends it to pip, compressed where that is how it comes."""
    kinds = (
        ("html", ours.html_page_path, HTML_PAGE_HEADERS),
        ("json", ours.json_page_path, JSON_PAGE_HEADERS),
    )
    for kind, path, headers in kinds:
        pages = folder / kind
        pages.mkdir()
        for project in corpus.projects:
            page = ask(ours.port, path.format(project=project.name), headers)
            (pages / project.name).write_bytes(page.plain_body)
            if page.encoding == "gzip":
                (pages / f"{project.name}.gz").write_bytes(page.body)


def _capture_metadata(ours: Served, project: Project, folder: Path) -> None:
    """Save the metadata of a project's first wheel as our server sends it."""
    filename = project.filenames[0]
    answer = ask(ours.port, ours.metadata_of(project.name, filename), FILE_HEADERS)
    (folder / "metadata").mkdir()
    (folder / "metadata" / f"{filename}.metadata").write_bytes(answer.body)


def _capture_files(ours: Served, project: Project, wheels: Path, site: Path) -> None:
    """Put a project's files and their metadata where its page says they are."""
    page_path = ours.html_page_path.format(project=project.name)
    for filename, path in file_paths(
        ask(ours.port, page_path, HTML_PAGE_HEADERS), page_path
    ).items():
        metadata = ask(ours.port, f"{path}.metadata", FILE_HEADERS)
        if metadata.status != 200:
            raise PeerFailed(f"{ours.name}: {path}.metadata: {metadata.status}")
        place = site / unquote(path).lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to((wheels / filename).resolve())
        place.with_name(f"{place.name}.metadata").write_bytes(metadata.body)


def _nginx_settings(folder: Path, port: int) -> str:
    is_compressed = any((folder / "html").glob("*.gz")) or any((folder / "json").glob("*.gz"))
    return _NGINX_SETTINGS.format(
        user=worker_user(),
        folder=folder,
        site_path=_SITE_PATH,
        port=port,
        wheels=folder / "wheels",
        gzip_static="on" if is_compressed else "off",
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
    map $http_accept $form {{ default html; ~simple\\.v1\\+json json; }}
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
        location {site_path}+simple/ {{
            rewrite "^{site_path}\\+simple/(?<project>[^/]+)/$" /$form/$project last;
        }}
        location {site_path} {{
            root {folder}/site;
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
