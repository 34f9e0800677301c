"""A real server in a process of its own, on a free port of the loopback interface.

with running_server(tmp_path / "data") as server:
    get(f"{server.url}/root/local/")
"""

import os
import queue
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

START_SECONDS_MAX = 60.0
"""A server that has not told its URL by then hangs; a healthy one needs about half a second."""

STOP_SECONDS_MAX = 30.0
_LOG_SECONDS_MAX = 10.0

_ROOT = Path(__file__).parents[1]
_URL = re.compile(r"(https?)://127\.0\.0\.1:(\d+)/?")
_SETTINGS = (
    "PIP_", "UV_", "DEVPI", "SIMPLEINDEX_", "TWINE_", "POETRY_", "PDM_", "HATCH_", "FLIT_",
    "PYTHON", "VIRTUAL_ENV", "PYENV_V",
)  # fmt: skip
_NOBODY = "http://127.0.0.1:9"
_KILLED = -9


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server that listens."""

    url: str
    """Without a slash at its end: `http://127.0.0.1:40123`."""
    port: int
    process: subprocess.Popen[str]
    serverdir: Path
    log: Path
    """What it writes to stderr; beside the server directory, and kept across restarts."""

    @property
    def root_password(self) -> str:
        """The one that `init` made. Raises FileNotFoundError if another was chosen."""
        return (self.serverdir / "root-password").read_text("utf-8").strip()

    def stop(self) -> int:
        """End it in the orderly way; its exit code."""
        self.process.terminate()
        return self.process.wait(STOP_SECONDS_MAX)

    def wait_for_log(self, text: str, *, times: int = 1, after: int = 0) -> str:
        """Wait until a text is in the log, behind its first characters; all that follows them.

        A thread of the server writes its lines, a moment after the answers that they tell of.
        """
        deadline = time.monotonic() + _LOG_SECONDS_MAX
        while (told := self.log.read_text("utf-8")[after:]).count(text) < times:
            assert time.monotonic() < deadline, f"{text!r} is not in the log"
            time.sleep(0.01)
        return told

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()
        self.process.wait(STOP_SECONDS_MAX)


@contextmanager
def running_server(serverdir: Path, *arguments: str) -> Iterator[RunningServer]:
    """Serve a directory, which is initialised if it is new, for the time of the block.

    `arguments` go to `serve`, and win over what is given to it here.
    """
    serve = simpleindex("serve", "--serverdir", str(serverdir), "--host", "127.0.0.1")
    with server_of([*serve, "--port", "0", *arguments], serverdir) as server:
        yield server


@contextmanager
def server_of(
    command: Sequence[str], serverdir: Path, environment: dict[str, str] | None = None
) -> Iterator[RunningServer]:
    """Start a server with a command of one's own; its log is shown if the block raises.

    At the end of the block the server is stopped, and must exit with 0 unless it was killed there.
    """
    log = serverdir.with_name(f"{serverdir.name}.log")
    with log.open("ab") as stderr:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env=server_environment() if environment is None else environment,
            text=True,
        )
    assert process.stdout is not None
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    reader = threading.Thread(target=_pass_on, args=(process.stdout, lines), daemon=True)
    reader.start()
    try:
        scheme, port = _place_told(lines)
        server = RunningServer(f"{scheme}://127.0.0.1:{port}", port, process, serverdir, log)
        yield server
        exit_code = server.stop() if process.poll() is None else process.returncode
        assert exit_code in {0, _KILLED}, f"the server ended with exit code {exit_code}"
    except BaseException:
        sys.stderr.write(f"--- log of the server, {log}\n{log.read_text('utf-8', 'replace')}---\n")
        raise
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(STOP_SECONDS_MAX)
        reader.join(STOP_SECONDS_MAX)


def simpleindex(*arguments: str) -> list[str]:
    """The command that runs a verb of the command line."""
    return [sys.executable, "-m", "simpleindex", *arguments]


def hearing_ctrl_c(*arguments: str) -> list[str]:
    """As `simpleindex`, for a process that will be interrupted.

    Shells let what they start in the background ignore that, and so do all that it starts.
    """
    return [sys.executable, "-c", _HEARS_CTRL_C, *arguments]


_HEARS_CTRL_C = """\
import signal, sys
from simpleindex.cli import main

signal.signal(signal.SIGINT, signal.default_int_handler)
sys.exit(main(sys.argv[1:]))
"""


def clean_environment(**variables: str) -> dict[str, str]:
    """The environment without settings of installers, clients and servers, plus `variables`.

    Nobody in it finds an index of this machine's or gets further than the loopback interface:
    proxies lead nowhere.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.upper().startswith(_SETTINGS) and not name.lower().endswith("_proxy")
    }
    nowhere = {"http_proxy": _NOBODY, "https_proxy": _NOBODY, "all_proxy": _NOBODY}
    return {
        **kept,
        **nowhere,
        "no_proxy": "127.0.0.1,localhost",
        "PIP_CONFIG_FILE": os.devnull,
        **variables,
    }


def server_environment(**variables: str) -> dict[str, str]:
    """The clean environment, in which Python finds this source tree, installed or not."""
    return clean_environment(
        PYTHONPATH=os.pathsep.join([str(_ROOT), str(_ROOT / "storage")]), **variables
    )


def free_port() -> int:
    """A port that nobody listens on, for commands that must name one."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _pass_on(stdout: IO[str], lines: "queue.SimpleQueue[str]") -> None:
    # Read to the end, or the server would wait for room in its pipe one day.
    with stdout:
        for line in stdout:
            lines.put(line)
    lines.put("")


def _place_told(lines: "queue.SimpleQueue[str]") -> tuple[str, int]:
    deadline = time.monotonic() + START_SECONDS_MAX
    heard: list[str] = []
    while True:
        try:
            line = lines.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            raise AssertionError(f"no URL within {START_SECONDS_MAX} s, but {heard}") from None
        if match := _URL.search(line):
            return match[1], int(match[2])
        assert line, f"the server ended without telling its URL: {heard}"
        heard.append(line)
