"""The devpi-server that people come from, installed and running."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request

from tests.clients import tools
from tests.clients.installed import command_of, environment_with
from tests.clients.server_side import open_directly
from tests.server import clean_environment, free_port

_START_SECONDS_MAX = 120
_STOP_SECONDS_MAX = 60.0

# Of what lies in devpi-server's environment only this must be found by our server: the rest has
# versions of its own.
_ARGON2 = ("argon2", "_argon2_cffi_bindings", "cffi", "_cffi_backend*")


@dataclass(frozen=True, slots=True)
class Devpi:
    """A devpi-server, as somebody has installed it."""

    environment: tools.Environment

    @property
    def python(self) -> Path:
        return self.command("devpi-server").with_name("python")

    def command(self, name: str) -> Path:
        return command_of("devpi_server", name)

    def argon2(self, folder: Path) -> Path:
        """A folder from which Python imports what devpi-server hashes passwords with."""
        folder.mkdir()
        for pattern in _ARGON2:
            for path in self.environment.folder.glob(f"lib/python*/site-packages/{pattern}"):
                (folder / path.name).symlink_to(path)
        return folder

    @contextmanager
    def running(self, serverdir: Path, *options: str) -> Iterator[str]:
        """A process that answers, for the time of the block; its URL."""
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        where = [f"--serverdir={serverdir}", "--host=127.0.0.1", f"--port={port}"]
        log = serverdir.with_name(f"{serverdir.name}.log")
        with log.open("wb") as output:
            process = subprocess.Popen(
                [str(self.command("devpi-server")), *where, *options],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=clean_environment(),
            )
        try:
            _wait_for_an_answer(url, process, log)
            yield url
        finally:
            process.terminate()
            process.wait(_STOP_SECONDS_MAX)


def installed_devpi() -> Devpi:
    """Install devpi-server, unless it is there; skips the test where no index can be asked."""
    return Devpi(environment_with("devpi_server"))


def _wait_for_an_answer(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(_START_SECONDS_MAX):
        try:
            open_directly(Request(f"{url}/+api"))
            return
        except URLError:
            _wait_a_second(process, log)
    told = log.read_text("utf-8", "replace")
    raise AssertionError(f"devpi-server does not answer:\n{told}")


def _wait_a_second(process: subprocess.Popen[bytes], log: Path) -> None:
    try:
        exit_code = process.wait(1.0)
    except subprocess.TimeoutExpired:
        return
    told = log.read_text("utf-8", "replace")
    raise AssertionError(f"devpi-server ended with exit code {exit_code}:\n{told}")
