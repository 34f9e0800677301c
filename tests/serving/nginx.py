"""A real nginx on a free port of the loopback interface, with locations as the documents have them.

with running_nginx(tmp_path / "nginx", locations) as url:
    get(f"{url}/index/root/local/")
"""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks.nginx import find_nginx, worker_user

_STOP_SECONDS_MAX = 30.0
_DOCUMENT = Path(__file__).parents[2] / "docs" / "running.md"
_SNIPPET = re.compile("^```nginx\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def nginx() -> str:
    """Its program; the test is skipped where it is not installed."""
    found = find_nginx()
    if found is None:
        pytest.skip("nginx is not installed")
    return found


def documented_locations(port: int, serverdir: Path) -> str:
    """What `docs/running.md` tells to put in a `server`, for a server on a port."""
    snippets = _SNIPPET.findall(_DOCUMENT.read_text("utf-8"))
    text = "".join(snippets)
    for documented, meant in (
        ("http://127.0.0.1:3141/;", f"http://127.0.0.1:{port}/;"),
        ("/var/lib/simpleindex/", f"{serverdir}/"),
    ):
        assert documented in text
        text = text.replace(documented, meant)
    return text


@contextmanager
def running_nginx(folder: Path, locations: str) -> Iterator[str]:
    """Serve these locations for the time of the block; the URL, without a slash at its end.

    Requests that come before it has started wait. Its log is shown if the block raises.
    """
    program = nginx()
    folder.mkdir()
    log = folder / "error.log"
    with socket.create_server(("127.0.0.1", 0)) as listener, log.open("wb") as stderr:
        port = listener.getsockname()[1]
        settings = folder / "nginx.conf"
        settings.write_text(
            _SETTINGS.format(user=worker_user(), folder=folder, port=port, locations=locations)
        )
        process = subprocess.Popen(
            [program, "-p", str(folder), "-c", str(settings), "-e", "stderr"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            # It takes over what it would listen on, as from a predecessor.
            env={"NGINX": f"{listener.fileno()};", "PATH": os.defpath},
            pass_fds=[listener.fileno()],
        )
    try:
        yield f"http://127.0.0.1:{port}"
        assert process.poll() is None
    except BaseException:
        sys.stderr.write(f"--- log of nginx\n{log.read_text('utf-8', 'replace')}---\n")
        raise
    finally:
        process.terminate()
        process.wait(_STOP_SECONDS_MAX)


_SETTINGS = """\
{user}
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
{locations}
    }}
}}
"""
