"""SIGHUP: settings are read again, without a request being lost."""

import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from random import Random

import pytest

from tests.builders import a_wheel, an_upload_body
from tests.cli.asking import ANSWER_SECONDS_MAX, ask_json
from tests.listening import Connection
from tests.server import RunningServer, running_server
from tests.serving.clients import root_of
from tests.serving.processes import wait_until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGHUP")

WHEEL = a_wheel()
LARGE = a_wheel("large", extra_files={"large/noise": Random(0).randbytes(4 << 20)})
"""Large enough to be written to the disk before all of it has come."""


@contextmanager
def served(tmp_path: Path, workers: int) -> Iterator[RunningServer]:
    options = (f"--workers={workers}", "--no-access-log")
    with running_server(tmp_path / "data", *options) as server:
        yield server


def settle(server: RunningServer, text: str, told: str) -> None:
    """Write settings into the file of the directory, and let the server take them over."""
    (server.serverdir / "simpleindex.toml").write_text(text)
    before = server.log.read_text().count(told)
    server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: server.log.read_text().count(told) > before)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_setting_is_in_effect_after_sighup(tmp_path: Path, workers: int) -> None:
    with served(tmp_path, workers) as server:
        root = root_of(server)
        assert root.upload(WHEEL).status == 200
        settle(server, "upload_bytes_max = 10", "settings were read again")
        wait_until(lambda: all(root.upload(WHEEL).status == 413 for _ in range(20)))
        settle(server, "", "settings were read again")
        wait_until(lambda: all(root.upload(WHEEL).status == 200 for _ in range(20)))
        lines = server.log.read_text().splitlines()
    told = [line.partition(" settings ")[2] for line in lines if " settings were" in line]
    assert told == ["were read again; changed: upload_bytes_max"] * 2
    assert list((tmp_path / "data" / "incoming").iterdir()) == []


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("upload_bytes_max = 'much'", "upload_bytes_max = 'much' ("),
        ("no_such_setting = 1", "there is no setting 'no_such_setting'"),
        ("this is no toml", "is not valid TOML"),
        ("secretfile = '/nowhere/key'", "the key for logins cannot be read"),
    ],
    ids=["value", "name", "syntax", "unusable"],
)
def test_settings_that_cannot_be_used_change_nothing(
    tmp_path: Path, workers: int, text: str, complaint: str
) -> None:
    with served(tmp_path, workers) as server:
        root = root_of(server)
        settle(server, text, "the settings stay as they were: ")
        assert complaint in server.log.read_text()
        assert root.upload(WHEEL).status == 200
        log = server.log.read_text()
    assert "Traceback" not in log


def test_the_bounds_on_connections_are_in_effect_after_sighup(tmp_path: Path) -> None:
    with served(tmp_path, 1) as server, ExitStack() as kept:
        settle(server, "connections_max = 2", "changed: connections_max")
        for _ in range(2):
            busy = kept.enter_context(Connection(server.url))
            busy.request("POST /+login", Expect="100-continue", Content_Length="2")
            assert busy.hear().status == 100  # the request has begun
        with Connection(server.url) as refused:
            refused.request("GET /+api")
            assert refused.hear().status == 503
        settle(server, "", "changed: connections_max")
        assert root_of(server).ask("GET", "/+api").status == 200


def test_what_takes_a_restart_is_told(tmp_path: Path) -> None:
    with served(tmp_path, 1) as server:
        settle(server, "unix_socket = '/tmp/x'\nlogin_seconds = 60", "settings were read again")
        log = server.log.read_text()
        assert "changed: login_seconds; not before a restart: unix_socket" in log
        assert root_of(server).ask("GET", "/+api").status == 200


def test_what_takes_a_restart_is_compared_with_what_is_in_effect(tmp_path: Path) -> None:
    with served(tmp_path, 1) as server:
        settle(server, "unix_socket = '/tmp/x'", "settings were read again")
        settle(server, "login_seconds = 60", "settings were read again")
        lines = server.log.read_text().splitlines()
    assert lines[-1].endswith("changed: login_seconds")


def test_a_request_that_is_under_way_goes_on_with_the_settings_of_its_beginning(
    tmp_path: Path,
) -> None:
    with served(tmp_path, 1) as server:
        root_of(server).upload(a_wheel("first"))
        request = upload_request(server)
        with closing(socket.create_connection(("127.0.0.1", server.port))) as line:
            line.settimeout(ANSWER_SECONDS_MAX)
            line.sendall(request[:-1000])
            wait_until(lambda: drafts_of(server) == 1)
            settle(server, "upload_bytes_max = 10", "settings were read again")
            assert root_of(server).upload(WHEEL).status == 413
            line.sendall(request[-1000:])
            assert line.recv(1024).startswith(b"HTTP/1.1 200 ")
        assert root_of(server).page("large").status == 200
        wait_until(lambda: len(list((server.serverdir / "incoming").glob("*.lock"))) == 1)


def test_each_answer_is_in_the_log_whatever_settings_it_came_under(tmp_path: Path) -> None:
    page = "/root/local/+simple/demo/"
    with running_server(tmp_path / "data") as server:
        root_of(server).upload(WHEEL)
        with closing(HTTPConnection("127.0.0.1", server.port, timeout=ANSWER_SECONDS_MAX)) as line:
            for seconds in (60, 70, 80):
                for _ in range(200):
                    line.request("GET", page)
                    answer = line.getresponse()
                    answer.read()
                    assert answer.status == 200
                settle(server, f"login_seconds = {seconds}", "settings were read again")
        server.stop()
        log = server.log.read_text()
    assert log.count(f'"GET {page} HTTP/1.1" 200') == 600


def test_logins_outlive_new_settings(tmp_path: Path) -> None:
    with served(tmp_path, 1) as server:
        credentials = {"user": "root", "password": server.root_password}
        _, told = ask_json(server.port, "POST", "/+login", credentials)
        login = ("root", told["result"]["password"])
        settle(server, "login_seconds = 60", "settings were read again")
        _, told = ask_json(server.port, "GET", "/+api", login=login)
        assert told["result"]["authstatus"][:2] == ["ok", "root"]


def upload_request(server: RunningServer) -> bytes:
    """The bytes of an upload of the large file by root."""
    content_type, body = an_upload_body(LARGE)
    head = "\r\n".join(
        [
            "POST /root/local/ HTTP/1.1",
            "Host: localhost",
            f"Content-Type: {content_type}",
            f"Content-Length: {len(body)}",
            f"Authorization: {root_of(server).login}",
        ]
    )
    return head.encode() + b"\r\n\r\n" + body


def drafts_of(server: RunningServer) -> int:
    """How many files are being received."""
    return sum(
        path.is_file() for path in (server.serverdir / "incoming").rglob("*") if path.name.isdigit()
    )
