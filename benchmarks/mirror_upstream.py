"""The index that the mirrors mirror: files that nginx sends, or Python where nginx is missing."""

import gzip
import hashlib
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

from benchmarks.asking import FILE_HEADERS
from benchmarks.corpus import CHAIN_PROJECTS, chain_wheels
from benchmarks.nginx import find_nginx, worker_user
from benchmarks.processes import free_port, pinned, run_to_end, running
from tests.builders import BuiltFile, a_big_wheel
from tests.hostile import pages
from tests.hostile.behaviours import ManyLinks, Rate
from tests.hostile.pages import OfferedFile, OfferedProject
from tests.hostile.upstream import running_upstream

SMALL_PAGES = 40
SMALL_PAGE_FILES = 5
LARGE_PAGES = 5
LARGE_PAGE_FILES = 2_000
BIG_FILE_BYTES = 100_000_000
SLOW_BYTES_PER_SECOND = 20_000_000

RESOLVED_CHAIN = tuple(f"bench-resolved-{number:02}" for number in range(CHAIN_PROJECTS))
INSTALLED_CHAIN = tuple(f"bench-installed-{number:02}" for number in range(CHAIN_PROJECTS))
"""Two chains, in which each project needs the next: installing must not find the pages of the
first warm. Each has five versions, and the newest wheel weighs 100 KB."""

SMALL_PAGE_NAMES = tuple(f"bench-small-{number:02}" for number in range(SMALL_PAGES))
LARGE_PAGE_NAMES = tuple(f"bench-large-{number}" for number in range(LARGE_PAGES))
FAST_PROJECT, SLOW_PROJECT = "bench-fast", "bench-slow"

_FORMS = {"json": pages.JSON, "html": pages.HTML}
_UPLOADED_AT = datetime(2024, 1, 1, tzinfo=UTC)
_SETTLING_SECONDS = 0.3


@dataclass(frozen=True, slots=True)
class Upstream:
    """The index, answering."""

    port: int
    version: str
    paths: Callable[[], Sequence[str]]
    """The path of each GET that has been answered so far."""

    page_path: str = "/simple/{project}/"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/simple/"

    def fetches(self, filename: str) -> int:
        """How often a file has been asked for so far."""
        time.sleep(_SETTLING_SECONDS)  # a request is logged when it is over, on the other side
        return sum(path.endswith(f"/{filename}") for path in self.paths())


def big_filename(project: str) -> str:
    """The one file of a project that has a big one."""
    return f"{project.replace('-', '_')}-1.0-py3-none-any.whl"


@contextmanager
def upstream_serving(folder: Path, core: int | None) -> Iterator[Upstream]:
    """The index for the time of a `with` block. `folder` is a new one."""
    serving = _nginx_serving if find_nginx() else _python_serving
    with serving(folder, core) as upstream:
        yield upstream


@contextmanager
def _nginx_serving(folder: Path, core: int | None) -> Iterator[Upstream]:
    _write_site(folder)
    program, port = find_nginx() or "nginx", free_port()
    settings, log = folder / "nginx.conf", folder / "access.log"
    settings.write_text(
        _NGINX_SETTINGS.format(
            user=worker_user(),
            folder=folder,
            port=port,
            slow_file=big_filename(SLOW_PROJECT),
            slow_bytes_per_second=SLOW_BYTES_PER_SECOND,
        )
    )
    version = run_to_end([program, "-v"]).strip().removeprefix("nginx version: ")
    command = [program, "-p", str(folder), "-c", str(settings), "-e", "stderr"]
    with running(pinned(command, core)) as server:
        server.wait_for_answer(port, "/", FILE_HEADERS)
        yield Upstream(port, version, lambda: log.read_text().splitlines())


@contextmanager
def _python_serving(_: Path, __: int | None) -> Iterator[Upstream]:
    with running_upstream() as site:
        for names in (RESOLVED_CHAIN, INSTALLED_CHAIN):
            for built in chain_wheels(names):
                site.add(built)
        for name, count in _pages_without_files():
            site.add_project(name)
            site.behave(f"/simple/{name}/$", ManyLinks(count))
        for project in (FAST_PROJECT, SLOW_PROJECT):
            site.add_big(big_filename(project), BIG_FILE_BYTES)
        site.behave(f"{big_filename(SLOW_PROJECT)}$", Rate(SLOW_BYTES_PER_SECOND))
        version = "Python in this very process, so figures are worse than they could be"
        yield Upstream(
            site.port,
            version,
            lambda: [asked.path for asked in site.requests if asked.method == "GET"],
        )


def _write_site(folder: Path) -> None:
    """Write each page in both forms, packed too, and all files."""
    files = folder / "files"
    for kind in ("files", *_FORMS):
        (folder / kind).mkdir(parents=True)
    names: list[str] = []
    for chain in (RESOLVED_CHAIN, INSTALLED_CHAIN):
        names += _write_projects(folder, [_offered(built, files) for built in chain_wheels(chain)])
    for project in (FAST_PROJECT, SLOW_PROJECT):
        names += _write_projects(folder, [_offered_big(project, files)])
    for name, count in _pages_without_files():
        names.append(name)
        for form, content_type in _FORMS.items():
            _write_page(folder / form / name, pages.many_links(name, count, content_type))
    for form, content_type in _FORMS.items():
        _write_page(folder / form / "+list", pages.list_page(names, content_type, serial=1))


def _pages_without_files() -> Iterator[tuple[str, int]]:
    for name in SMALL_PAGE_NAMES:
        yield name, SMALL_PAGE_FILES
    for name in LARGE_PAGE_NAMES:
        yield name, LARGE_PAGE_FILES


def _offered(built: BuiltFile, files: Path) -> OfferedFile:
    built.save(files)
    name, version, *_ = built.filename.split("-")
    project = name.replace("_", "-")
    metadata = _metadata_in(built)
    (files / f"{built.filename}.metadata").write_bytes(metadata)
    return OfferedFile(
        project=project,
        filename=built.filename,
        url=f"/files/{built.filename}",
        hashes={"sha256": built.sha256},
        size_bytes=len(built.content),
        uploaded_at=_UPLOADED_AT,
        requires_python=">=3.8",
        metadata={"sha256": hashlib.sha256(metadata).hexdigest()},
        version=version,
    )


def _metadata_in(built: BuiltFile) -> bytes:
    with zipfile.ZipFile(BytesIO(built.content)) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return archive.read(name)


def _offered_big(project: str, files: Path) -> OfferedFile:
    path = files / big_filename(project)
    a_big_wheel(path, BIG_FILE_BYTES)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return OfferedFile(
        project=project,
        filename=path.name,
        url=f"/files/{path.name}",
        hashes={"sha256": digest},
        size_bytes=path.stat().st_size,
        uploaded_at=_UPLOADED_AT,
        version="1.0",
    )


def _write_projects(folder: Path, files: Sequence[OfferedFile]) -> list[str]:
    names = list(dict.fromkeys(file.project for file in files))
    for name in names:
        own = tuple(file for file in files if file.project == name)
        for form, content_type in _FORMS.items():
            page = pages.project_page(OfferedProject(name, own, serial=1), content_type)
            _write_page(folder / form / name, page)
    return names


def _write_page(path: Path, page: bytes) -> None:
    path.write_bytes(page)
    path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(page, mtime=0))


# Captures have names where `$form` is used: finding that out matches anew, and forgets `$1`.
_NGINX_SETTINGS = """\
{user}
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 1024; }}
http {{
    log_format paths $request_uri;
    map $request_method $is_get {{ default 0; GET 1; }}
    access_log {folder}/access.log paths if=$is_get;
    map $http_accept $form {{ default html; ~simple\\.v1\\+json json; }}
    sendfile on;
    tcp_nopush on;
    gzip_static on;
    absolute_redirect off;
    keepalive_requests 100000000;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        location = /simple/ {{ rewrite ^ /$form/+list last; }}
        location /simple/ {{
            rewrite ^/simple/(?<project>[^/]+)/$ /$form/$project last;
            rewrite ^/simple/([^/]+)$ /simple/$1/ permanent;
        }}
        location /html/ {{ internal; root {folder}; default_type text/html; }}
        location /json/ {{
            internal;
            root {folder};
            default_type application/vnd.pypi.simple.v1+json;
        }}
        location /files/ {{
            root {folder};
            default_type application/octet-stream;
            gzip_static off;
        }}
        location = /files/{slow_file} {{
            root {folder};
            default_type application/octet-stream;
            gzip_static off;
            limit_rate {slow_bytes_per_second};
        }}
    }}
}}
"""
