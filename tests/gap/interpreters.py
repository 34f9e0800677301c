"""The Pythons of this machine, and what their own pips say of them."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from simpleindex.gap.probe import SCRIPT
from simpleindex.gap.targets import Target, load_target
from tests.clients.programs import bundled_pip, interpreter
from tests.server import clean_environment

MINORS = ("2.7", "3.6", "3.7", "3.8", "3.9", "3.10", "3.11", "3.12", "3.13")
_SECONDS_MAX = 120.0

_SUPPORTED = """
import json, sys
sys.path.insert(0, sys.argv[1])
try:
    from pip._internal.utils.compatibility_tags import get_supported
except ImportError:
    from pip._internal.pep425tags import get_supported
print(json.dumps([t if isinstance(t, tuple) else str(t).split("-") for t in get_supported()]))
"""


def python_of(minor: str) -> Path:
    """One of a minor version. Skips the test where this machine has none."""
    return Path(sys.executable) if minor == "this" else interpreter(minor)


def output_of(command: Sequence[str | Path], **variables: str) -> str:
    """What a program wrote that has to succeed, and has nothing to complain about."""
    finished = subprocess.run(
        [str(part) for part in command],
        check=False,
        capture_output=True,
        env=clean_environment(**variables),
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=_SECONDS_MAX,
    )
    assert (finished.returncode, finished.stderr) == (0, ""), finished
    return finished.stdout


def probed(python: Path) -> Target:
    """The target that a Python says it is."""
    return load_target(json.loads(output_of([python, "-c", SCRIPT])))


def tags_of_pip(python: Path, pip: Path) -> list[str]:
    """The tags of wheels that a pip takes there, the best first, as it tells them itself."""
    told = output_of([python, "-W", "ignore", "-c", _SUPPORTED, pip])
    return ["-".join(tag) for tag in json.loads(told)]


def its_pip(python: Path) -> Path:
    """The wheel of the pip that it brought along. May skip the test."""
    return bundled_pip(python).parent


@contextmanager
def noted_agents() -> Iterator[tuple[str, list[str]]]:
    """An index of nothing: its URL, and the User-Agents of those who have asked it."""
    heard: list[str] = []

    class Nothing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.append(self.headers["User-Agent"])
            self.send_error(404)

        def log_message(self, format: str, *arguments: object) -> None:
            """Tell nobody."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Nothing)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/simple/", heard
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
