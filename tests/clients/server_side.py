"""What an admin does, and sees, beside the clients that a test is about."""

import json
import subprocess
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urljoin
from urllib.request import ProxyHandler, Request, build_opener

from tests.server import RunningServer, server_environment, simpleindex

_RUN_SECONDS_MAX = 120.0
_JSON = "application/vnd.pypi.simple.v1+json"


def add(server: RunningServer, *paths: Path) -> None:
    """Import files and folders on the server's machine, into `root/local`, while it runs."""
    run_verb("add", *map(str, paths), "--serverdir", str(server.serverdir))


def run_verb(*arguments: str) -> str:
    """Run a verb of `simpleindex-server` that has to succeed; what it wrote."""
    finished = subprocess.run(
        simpleindex(*arguments),
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=server_environment(),
        text=True,
        timeout=_RUN_SECONDS_MAX,
    )
    assert finished.returncode == 0, finished.stdout
    return finished.stdout


def filenames_in(server: RunningServer, index: str = "root/local") -> set[str]:
    """Every file that the simple pages of an index show; nothing where there is no index."""
    url = f"{server.url}/{index}/+simple/"
    listing = _simple_json(url)
    if listing is None:
        return set()
    names = [project["name"] for project in listing["projects"]]
    pages = [_simple_json(urljoin(url, f"{name}/")) for name in names]
    return {file["filename"] for page in pages if page is not None for file in page["files"]}


def project_exists(server: RunningServer, project: str, index: str = "root/local") -> bool:
    """Whether an index answers for a project, also one without files."""
    return _simple_json(f"{server.url}/{index}/+simple/{project}/") is not None


def open_directly(request: Request) -> tuple[int, str]:
    """Send a request past all proxies; the status, and the body as text."""
    try:
        with build_opener(ProxyHandler({})).open(request, timeout=_RUN_SECONDS_MAX) as reply:
            return reply.status, reply.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.read().decode()


def _simple_json(url: str) -> Any:
    status, body = open_directly(Request(url, headers={"Accept": _JSON}))
    if status == 404:
        return None
    assert status == 200, f"{url} answers {status}: {body}"
    return json.loads(body)
