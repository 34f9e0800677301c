"""Several worker processes: one server to its clients, whatever becomes of single processes."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from threading import Barrier

import pytest

from simpleindex.serving.workers import _pause_seconds
from tests.builders import a_wheel
from tests.certificates import a_certificate
from tests.server import (
    STOP_SECONDS_MAX,
    RunningServer,
    running_server,
    server_environment,
    simpleindex,
)
from tests.serving.clients import Root, root_of
from tests.serving.processes import children_of, wait_until, wait_until_gone

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="processes are looked up below /proc"
)

CLIENTS = 8
GONE_SECONDS_MAX = 10.0
"""From SIGTERM to the end."""


@contextmanager
def four_workers(tmp_path: Path) -> Iterator[RunningServer]:
    with running_server(tmp_path / "data", "--workers=4", "--no-access-log") as server:
        yield server


def test_every_worker_answers_on_the_same_port(tmp_path: Path) -> None:
    with running_server(tmp_path / "data", "--workers=2", "--no-access-log") as server:
        workers = workers_of(server)
        assert len(workers) == 2
        root = root_of(server)
        for paused, _ in (workers, workers[::-1]):
            with paused_process(paused):
                assert root.ask("GET", "/+api").status == 200
        assert server.stop() == 0
        assert server.log.read_text() == ""
    assert list((tmp_path / "data" / "incoming").iterdir()) == []


@pytest.mark.parametrize("rounds", [10, pytest.param(100, marks=pytest.mark.full)])
def test_of_clients_that_upload_the_same_name_one_wins(tmp_path: Path, rounds: int) -> None:
    with four_workers(tmp_path) as server, ThreadPoolExecutor(CLIENTS) as threads:
        root = root_of(server)
        root.upload(a_wheel("first"))
        together = Barrier(CLIENTS)

        def upload(number: int, version: str) -> tuple[int, str]:
            built = a_wheel("demo", version, extra_files={"demo/n.py": b"%d" % number})
            together.wait()
            return root.upload(built).status, built.sha256

        for turn in range(rounds):
            version = f"1.{turn}"
            sent = list(threads.map(upload, range(CLIENTS), [version] * CLIENTS))
            assert sorted(status for status, _ in sent) == [200] + [409] * (CLIENTS - 1)
            shown = root.page("demo").files[a_wheel("demo", version).filename]
            assert shown in {sha256 for status, sha256 in sent if status == 200}


def test_a_worker_that_dies_is_replaced_and_the_others_go_on(tmp_path: Path) -> None:
    with running_server(tmp_path / "data", "--workers=2", "--no-access-log") as server:
        root = root_of(server)
        root.upload(a_wheel())
        before = workers_of(server)
        os.kill(before[0], signal.SIGKILL)
        wait_until_gone(before[0])
        assert root.page("demo").status == 200  # nobody has to wait for the new one
        wait_until(lambda: len(workers_of(server)) == 2)
        assert before[1] in workers_of(server)
        assert root.upload(a_wheel("demo", "2.0")).status == 200
        server.wait_for_log(f"worker {before[0]} ended with SIGKILL; another one takes its place")


@pytest.mark.parametrize("unusable", ["secretfile = '/nowhere/key'", "tls"])
def test_what_no_worker_could_use_is_refused_once_and_replaced_workers_are_as_before(
    tmp_path: Path, unusable: str
) -> None:
    if unusable == "tls":
        made = a_certificate(tmp_path)
        unusable = f"tls_cert = '{made.cert}'\ntls_key = '{made.key}'"
    with running_server(tmp_path / "data", "--workers=2", "--no-access-log") as server:
        root = root_of(server)
        (server.serverdir / "simpleindex.toml").write_text(unusable)
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "the settings stay as they were: " in server.log.read_text())
        killed, other = workers_of(server)
        os.kill(killed, signal.SIGKILL)
        wait_until_gone(killed)
        wait_until(lambda: len(workers_of(server)) == 2)
        with paused_process(other):
            assert root.ask("GET", "/+api").status == 200
        told = server.wait_for_log(f"worker {killed} ended with SIGKILL").splitlines()
    assert [line.partition(" the settings ")[1] for line in told] == [" the settings ", ""]


def test_workers_end_when_the_process_that_looks_after_them_is_killed(tmp_path: Path) -> None:
    with running_server(tmp_path / "data", "--workers=2", "--no-access-log") as server:
        root = root_of(server)
        root.upload(a_wheel())
        workers = workers_of(server)
        server.kill()
        for worker in workers:
            wait_until_gone(worker)
    with running_server(tmp_path / "data") as server:
        assert root_of(server).page("demo").status == 200
        log = server.log.read_text()
    assert "Traceback" not in log


@pytest.mark.parametrize("workers", [1, 4])
def test_a_stop_under_load_finishes_or_refuses_what_is_under_way(
    tmp_path: Path, workers: int
) -> None:
    data = tmp_path / "data"
    options = (f"--workers={workers}", "--no-access-log")
    with running_server(data, *options) as server, ThreadPoolExecutor(CLIENTS) as threads:
        root = root_of(server)
        root.upload(a_wheel("first"))
        begun = Barrier(CLIENTS + 1)
        uploads = [threads.submit(upload_until_the_end, root, n, begun) for n in range(CLIENTS)]
        begun.wait()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(GONE_SECONDS_MAX) == 0
        acknowledged = [filename for upload in uploads for filename in upload.result()]
        log = server.log.read_text()
    assert "Traceback" not in log
    assert list((data / "incoming").iterdir()) == []
    with running_server(data) as server:
        root = root_of(server)
        shown = {name for n in range(CLIENTS) for name in root.page(f"load-{n}").files}
    assert set(acknowledged) <= shown
    assert len(acknowledged) >= CLIENTS


def test_workers_that_cannot_start_end_the_server(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    finished = subprocess.run(
        [sys.executable, "-c", _FOREIGN_FOLDER, str(tmp_path)],
        capture_output=True,
        env=server_environment(),
        text=True,
        timeout=STOP_SECONDS_MAX,
        check=False,
    )
    assert finished.stdout == "a worker failed\n"
    assert "this is not a directory of simpleindex-server" in finished.stderr
    assert "Traceback" not in finished.stderr


def test_a_worker_that_never_gets_ready_is_tried_again_for_ever() -> None:
    pauses = [_pause_seconds(failures) for failures in (1, 2, 5, 6, 1025, 10**6)]
    assert pauses == [2, 4, 30, 30, 30, 30]


def test_a_ctrl_c_while_workers_start_ends_all_without_a_word(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(_CTRL_C_IN_A_NEW_WORKER)
    environment = server_environment()
    environment["PYTHONPATH"] = f"{tmp_path}{os.pathsep}{environment['PYTHONPATH']}"
    finished = subprocess.run(
        simpleindex("serve", f"--serverdir={tmp_path / 'data'}", "--port=0", "--workers=3"),
        capture_output=True,
        env=environment,
        text=True,
        timeout=STOP_SECONDS_MAX,
        check=False,
    )
    assert (finished.returncode, finished.stderr, finished.stdout) == (0, "", "")
    assert list((tmp_path / "data" / "incoming").iterdir()) == []


def upload_until_the_end(root: Root, number: int, begun: Barrier) -> list[str]:
    """Upload one file after the other, until nobody answers; those that were acknowledged."""
    acknowledged: list[str] = []
    while True:
        built = a_wheel(f"load-{number}", f"1.{len(acknowledged)}")
        try:
            status = root.upload(built).status
        except (OSError, HTTPException):
            return acknowledged
        if status != 200:
            assert status == 503
            return acknowledged
        acknowledged.append(built.filename)
        if len(acknowledged) == 1:
            begun.wait()


def workers_of(server: RunningServer) -> list[int]:
    """The worker processes that have the directory open."""
    marks = (server.serverdir / "incoming").glob("*.lock")
    open_by = {int(mark.name.partition("-")[0]) for mark in marks}
    return sorted(open_by & set(children_of(server.process.pid)))


@contextmanager
def paused_process(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


_CTRL_C_IN_A_NEW_WORKER = """\
import os, signal, sys

if "--multiprocessing-fork" in sys.orig_argv:
    for pid in (os.getppid(), os.getpid()):
        os.kill(pid, signal.SIGINT)
"""


_FOREIGN_FOLDER = """\
import sys
from pathlib import Path
from simpleindex.config import Config
from simpleindex.serving.settings import Settings
from simpleindex.serving.workers import WorkerFailed, Workers

config = Config(serverdir=Path(sys.argv[1]), workers=2)
try:
    Workers(Settings(config, lambda: config), []).run(lambda: None)
except WorkerFailed:
    print("a worker failed")
"""
