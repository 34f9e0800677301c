"""Several processes that answer requests on the same sockets, and the one that looks after them.

uvicorn has such a supervisor too; this one also passes new settings on, ends within a set time,
and lets its workers end when it is killed itself.

Between it and each worker is a pipe. Down goes a `Config`, which is to be used from now on, or
None: stop. Up comes None, once: requests are answered.
"""

import logging
import multiprocessing
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from threading import Thread

from simpleindex.config import Config, ConfigError
from simpleindex.errors import one_line
from simpleindex.log_lines import log_to_stderr
from simpleindex.serving.hangup import on_hangup
from simpleindex.serving.memory import give_memory_back
from simpleindex.serving.server import GRACE_SECONDS, Server
from simpleindex.serving.settings import Reading, Settings, log_unusable, try_out
from simpleindex.serving.stopping import on_stop, stops_held_back
from simpleindex.serving.tls import tls_of
from simpleindex_storage.errors import StoreError

_log = logging.getLogger("simpleindex")

_STOP_SECONDS_MAX = GRACE_SECONDS + 1.5
"""Whoever is still there then is killed. Uploads are answered for when they are safe, so a kill
loses nothing."""
_PAUSES_SECONDS = (2.0, 4.0, 8.0, 16.0, 30.0)
"""Before a worker is started again that ended before it was ready: after the first time, the
second, and so on; then always the last."""
_LOOK_SECONDS = 0.5
"""On Windows nothing else ends a wait when Ctrl-C is pressed."""


class WorkerFailed(Exception):
    """A worker could not be started. It has said why."""


@dataclass(slots=True, eq=False)
class _Worker:
    process: BaseProcess
    line: Connection
    is_ready: bool = False


class Workers:
    """Keeps a number of workers at work until it is told to stop. For the main thread."""

    def __init__(self, settings: Settings, sockets: Sequence[socket.socket]) -> None:
        self._settings = settings
        self._count = settings.current.workers
        self._sockets = list(sockets)
        self._workers: list[_Worker] = []
        self._is_stopping = False
        self._has_to_reload = False
        self._failures = 0
        """How many workers in a row ended before they were ready."""
        self._next_start = 0.0

    def run(self, when_ready: Callable[[], None]) -> None:
        """Start the workers, and return when all have ended. Raises WorkerFailed.

        `when_ready` is called once all of them answer. SIGTERM and SIGINT end it within ten
        seconds; SIGHUP gives the settings, read again, to all workers.
        """
        on_stop(self._stop)
        on_hangup(self._reload_soon, self._stop)
        with _woken_by_signals() as waking:
            self._replace_dead()
            try:
                self._wait_until_ready(waking)
                if not self._is_stopping:
                    when_ready()
                while not self._is_stopping:
                    self._look_after(waking)
            finally:
                self._end()

    def _stop(self) -> None:
        self._is_stopping = True

    def _reload_soon(self) -> None:
        self._has_to_reload = True

    def _wait_until_ready(self, waking: socket.socket) -> None:
        while not all(worker.is_ready for worker in self._workers):
            self._hear(waking)
            has_one_ended = any(not worker.process.is_alive() for worker in self._workers)
            if self._is_stopping:  # as all may have been told together: it has not failed
                return
            if has_one_ended:
                raise WorkerFailed

    def _look_after(self, waking: socket.socket) -> None:
        self._hear(waking)
        if self._has_to_reload:
            self._has_to_reload = False
            self._reload()
        for worker in [worker for worker in self._workers if not worker.process.is_alive()]:
            self._workers.remove(worker)
            self._bury(worker)
        self._replace_dead()

    def _hear(self, waking: socket.socket) -> None:
        """Wait until there is something to do: a signal, a word of a worker, or its end."""
        lines = {worker.line: worker for worker in self._workers if not worker.is_ready}
        ends = [worker.process.sentinel for worker in self._workers]
        for heard in wait([waking, *lines, *ends], _LOOK_SECONDS):
            if isinstance(heard, socket.socket):
                waking.recv(1024)
            elif isinstance(heard, Connection):
                with suppress(EOFError, OSError):  # it has ended, which its sentinel tells, too
                    heard.recv()
                    lines[heard].is_ready = True
                    self._failures = 0

    def _bury(self, worker: _Worker) -> None:
        worker.line.close()
        if not worker.is_ready:
            self._failures += 1
            self._next_start = time.monotonic() + _pause_seconds(self._failures)
        process = worker.process
        _log.error("worker %s ended with %s; another one takes its place",
                   process.pid, _end_of(process.exitcode))  # fmt: skip

    def _replace_dead(self) -> None:
        if time.monotonic() >= self._next_start:
            while len(self._workers) < self._count and not self._is_stopping:
                self._workers.append(_started(self._settings.current, self._sockets))

    def _reload(self) -> None:
        try:
            reading = self._settings.read()
            try_out(reading.config)
        except (ConfigError, StoreError) as error:
            log_unusable(error)
        else:
            self._tell(reading.config)
            self._settings.take(reading)

    def _tell(self, order: Config | None) -> None:
        for worker in self._workers:
            with suppress(OSError):  # it is at its end already
                worker.line.send(order)

    def _end(self) -> None:
        """Let the workers finish what they are at, and end those that do not come to an end."""
        self._tell(None)
        deadline = time.monotonic() + _STOP_SECONDS_MAX
        for worker in self._workers:
            worker.process.join(max(0.0, deadline - time.monotonic()))
        for worker in self._workers:
            if worker.process.is_alive():
                _log.error("worker %s did not end in time, and was killed", worker.process.pid)
                worker.process.kill()
            worker.process.join()
            worker.line.close()


@contextmanager
def _woken_by_signals() -> Iterator[socket.socket]:
    """A socket that can be read once a signal has come."""
    waking, writing = socket.socketpair()
    with waking, writing:
        waking.setblocking(False)
        writing.setblocking(False)
        before = signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
        try:
            yield waking
        finally:
            signal.set_wakeup_fd(before)


def _started(config: Config, sockets: Sequence[socket.socket]) -> _Worker:
    # Not a fork: threads and open databases do not survive one, and Windows has none.
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(config, sockets, theirs), name="worker")
    with stops_held_back():
        process.start()
    theirs.close()  # so that our end tells when the worker is gone
    return _Worker(process, ours)


def _work(config: Config, sockets: Sequence[socket.socket], line: Connection) -> None:
    """What a worker process does."""
    give_memory_back()
    if hasattr(signal, "SIGHUP"):  # a terminal that is closed tells all; the supervisor decides
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with closing(log_to_stderr(as_json=config.log_format == "json")) as log:
        try:
            server = Server(config, tls_of(config), sockets, lambda: line.send(None), log)
            Thread(target=_follow, args=(line, server), name="orders", daemon=True).start()
            server.run()
        except (ConfigError, StoreError) as error:
            _log.error("%s", one_line(str(error)))
            sys.exit(1)


def _follow(line: Connection, server: Server) -> None:
    """Do what the supervisor says, for as long as it is there."""
    while True:
        try:
            order = line.recv()
        except (EOFError, OSError):  # it was killed; nobody would end this process any more
            order = None
        if order is None:
            server.stop()
            return
        _pass_on(order, server)


def _pass_on(config: Config, server: Server) -> None:
    server.reload(lambda: Reading(config, tls_of(config)))


def _pause_seconds(failures: int) -> float:
    """How long to wait before a worker is started again, after so many failures in a row."""
    return _PAUSES_SECONDS[min(failures, len(_PAUSES_SECONDS)) - 1]


def _end_of(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        with suppress(ValueError):
            return signal.Signals(-exit_code).name
    return f"exit code {exit_code}"
