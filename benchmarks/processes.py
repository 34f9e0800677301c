"""Start a server as a process of its own on one core, wait until it answers, and end it."""

import os
import queue
import re
import shutil
import socket
import subprocess
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.asking import ask

START_SECONDS_MAX = 60.0
FILL_SECONDS_MAX = 240.0
STOP_SECONDS_MAX = 15.0

_POLL_SECONDS = 0.005
_TAIL_LINES = 30
_LISTENING = re.compile(r"http://127\.0\.0\.1:(\d+)/")


class PeerFailed(Exception):
    """A peer did not do what it was started for; says which, and its last words."""


@dataclass(frozen=True, slots=True)
class Cores:
    """Where the server and where its load run; None leaves that to the system."""

    server: int | None
    load: int | None


class Server:
    """A server process that we started. Its output is kept, the last lines of it.

    `errors` is a file that takes what it writes to stderr, where that is more than we would read.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str] | None = None,
        errors: Path | None = None,
    ):
        self._name = Path(command[0]).name
        with ExitStack() as stack:
            self._process = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stack.enter_context(errors.open("ab")) if errors else subprocess.STDOUT,
                text=True,
                errors="replace",
            )
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self._announced: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read_output, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def announced_port(self) -> int:
        """The port in the first line of output that names one. Raises PeerFailed."""
        try:
            port = self._announced.get(timeout=START_SECONDS_MAX)
        except queue.Empty:
            port = None
        if port is None:
            raise self.failure("named no port")
        return port

    def wait_for_answer(self, port: int, path: str, headers: Mapping[str, str]) -> None:
        """Until it answers at all, whatever it answers. Raises PeerFailed."""
        deadline = time.monotonic() + START_SECONDS_MAX
        while True:
            try:
                ask(port, path, headers)
            except OSError:
                if self._process.poll() is not None:
                    raise self.failure("ended at once") from None
                if time.monotonic() > deadline:
                    raise self.failure("did not answer in time") from None
                time.sleep(_POLL_SECONDS)
            else:
                return

    def failure(self, what: str) -> PeerFailed:
        """What went wrong, with the last lines of output."""
        return PeerFailed(f"{self._name} (process {self.pid}) {what}:\n{''.join(self._tail)}")

    def stop(self) -> None:
        """End this process, and no other."""
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(STOP_SECONDS_MAX)

    def _read_output(self) -> None:
        output = self._process.stdout
        assert output is not None
        with output:
            for line in output:
                self._tail.append(line)
                found = _LISTENING.search(line)
                if found:
                    self._announced.put(int(found[1]))
        self._announced.put(None)


@contextmanager
def running(
    command: Sequence[str],
    environment: Mapping[str, str] | None = None,
    errors: Path | None = None,
) -> Iterator[Server]:
    """A server for the time of a `with` block."""
    server = Server(command, environment, errors)
    try:
        yield server
    finally:
        server.stop()


def run_to_end(
    command: Sequence[str],
    environment: Mapping[str, str] | None = None,
    *,
    seconds_max: float = FILL_SECONDS_MAX,
) -> str:
    """Run a command that ends by itself; what it printed. Raises PeerFailed."""
    name = " ".join(command[:4])
    try:
        done = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=seconds_max,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise PeerFailed(f"{name} took more than {seconds_max:.0f} seconds") from None
    if done.returncode != 0:
        raise PeerFailed(f"{name} ended with {done.returncode}:\n{done.stdout[-2_000:]}")
    return done.stdout


def choose_cores() -> Cores:
    """The first two cores that this process may use; no pinning where there is only one."""
    if shutil.which("taskset") is None or not hasattr(os, "sched_getaffinity"):
        return Cores(server=None, load=None)
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        return Cores(server=None, load=None)
    return Cores(server=allowed[0], load=allowed[1])


def pinned(command: Sequence[str], core: int | None) -> list[str]:
    """The command on one core. The process id stays the command's own: taskset replaces itself."""
    return list(command) if core is None else ["taskset", "-c", str(core), *command]


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listened on a moment ago."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
