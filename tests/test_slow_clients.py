"""Slow and greedy clients on real sockets, with bounds that are short; the usual ones in `full`."""

import random
import re
import socket
import ssl
import statistics
import sys
import threading
import time
from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path

import pytest

from simpleindex.app import create_app
from simpleindex.config import Config
from simpleindex.connections import Bounds, Connections
from simpleindex.handshake import encrypted_protocol
from simpleindex.protocol import bounded_protocol
from simpleindex.serving.tls import tls_of
from tests.builders import a_wheel, an_upload_body
from tests.certificates import Certificate, a_certificate
from tests.listening import Connection, listening
from tests.routes.sites import basic, elsewhere, prepare
from tests.server import RunningServer, running_server

WAIT_SECONDS_MAX = 30.0
"""For what comes within a second; the machine may be slow."""

PAGE_SECONDS = 0.2
PAGE_SECONDS_MAX = 5.0
"""For one page, and less than any client here is waited for."""


class Told:
    """Waits for the reasons for which connections are closed."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._reasons: list[str] = []

    def __call__(self, reason: str) -> None:
        with self._condition:
            self._reasons.append(reason)
            self._condition.notify_all()

    def wait_for(self, reason: str) -> None:
        """Wait until it was told. Nothing else may have been."""
        with self._condition:
            assert self._condition.wait_for(lambda: self._reasons, WAIT_SECONDS_MAX)
            assert set(self._reasons) == {reason}


@contextmanager
def served(folder: Path, told: Told, **bounds: float) -> Iterator[str]:
    """A server with its own bounds; the URL."""
    prepare(folder)
    connections = Connections(Bounds(**bounds), told=told)  # type: ignore[arg-type]  # whole ones
    app = create_app(Config(serverdir=folder, offline_mode=True))
    with listening(app, http=bounded_protocol(connections)) as url:
        yield url


@contextmanager
def served_over_tls(folder: Path, told: Told, made: Certificate, bounds: Bounds) -> Iterator[str]:
    """The same with HTTPS."""
    prepare(folder)
    config = Config(serverdir=folder, offline_mode=True, tls_cert=made.cert, tls_key=made.key)
    tls = tls_of(config)
    assert tls is not None
    http = encrypted_protocol(Connections(bounds, told=told), lambda: tls.context)
    with listening(create_app(config), http=http) as url:
        yield url


@pytest.fixture
def told() -> Told:
    return Told()


def head_of_upload(content_type: str, size_bytes: int) -> bytes:
    return (
        f"POST /root/local/ HTTP/1.1\r\nHost: x\r\nContent-Type: {content_type}\r\n"
        f"Authorization: {basic('root', 'rootpw')}\r\nContent-Length: {size_bytes}\r\n\r\n"
    ).encode()


def drip(connection: Connection, pieces: Sequence[bytes], pause_seconds: float) -> None:
    """Send piece by piece, until the server has had enough."""
    for piece in pieces:
        try:
            connection.send(piece)
        except OSError:
            return
        time.sleep(pause_seconds)


def is_healthy(url: str) -> bool:
    with Connection(url) as connection:
        connection.request("GET /+api")
        return connection.hear().status == 200


def is_healthy_over_tls(url: str, made: Certificate) -> bool:
    trusting = ssl.create_default_context(cafile=made.authority)
    place = url.rpartition("/")[2]
    with closing(HTTPSConnection(place, timeout=PAGE_SECONDS_MAX, context=trusting)) as asking:
        asking.request("GET", "/+api")
        return asking.getresponse().status == 200


def test_silent_and_dripping_headers_are_ended(tmp_path: Path, told: Told) -> None:
    with served(tmp_path / "data", told, header_seconds=1) as url:
        with Connection(url) as silent:
            assert silent.hear_the_end() == b""
        told.wait_for("silent")
        assert is_healthy(url)
    told = Told()
    with served(tmp_path / "other", told, header_seconds=1) as url, Connection(url) as slow:
        slow.send(b"GET / HTTP/1.1\r\nHost: x\r\nA: ")
        drip(slow, [b"x"] * 40, 0.05)
        assert slow.hear().status == 408
        told.wait_for("header-too-slow")
        assert slow.hear_the_end() == b""


def test_a_dripping_upload_is_refused_and_leaves_nothing(tmp_path: Path, told: Told) -> None:
    folder = tmp_path / "data"
    content_type, body = an_upload_body(a_wheel(extra_files={"demo/x": bytes(5 << 20)}))
    filled = body[: 3 << 20]  # so that a draft has been begun
    bounds = {"body_grace_seconds": 1, "body_pause_seconds": 1}
    with served(folder, told, **bounds) as url, Connection(url) as slow:
        slow.send(head_of_upload(content_type, len(filled) + 1000), filled)
        told.wait_for("body-too-slow")
        refusal = slow.hear()
        assert refusal.status == 408
        assert refusal.body.decode() == f"{refusal.reason}\n"
    # The server has stopped, and so has finished what it was doing.
    assert not list((folder / "incoming").iterdir())
    assert not [path for path in (folder / "files").rglob("*") if path.is_file()]
    with elsewhere(folder) as store, store.catalog.snapshot() as seen:
        assert [index.name for index in seen.indexes()] == ["root/pypi"]


def test_a_slow_but_steady_upload_is_stored(tmp_path: Path, told: Told) -> None:
    content_type, body = an_upload_body(a_wheel(extra_files={"demo/x": bytes(range(256)) * 8}))
    bounds = {"body_grace_seconds": 1, "body_bytes_per_second": 100}
    with served(tmp_path / "data", told, **bounds) as url, Connection(url) as steady:
        steady.send(head_of_upload(content_type, len(body)))
        size = len(body) // 30
        pieces = [body[start : start + size] for start in range(0, len(body), size)]
        drip(steady, pieces, 0.1)
        assert steady.hear().status == 200
        steady.request("GET /root/local/+simple/demo/")
        assert b"demo-1.0-py3-none-any.whl" in steady.hear().body


def test_a_download_that_nobody_reads_is_given_up(tmp_path: Path, told: Told) -> None:
    with served(tmp_path / "data", told, unread_seconds=1) as url:
        large = 32 << 20
        with Connection(url) as sender:
            wheel = a_wheel(extra_files={"demo/x": _random(large)})
            content_type, body = an_upload_body(wheel)
            sender.send(head_of_upload(content_type, len(body)), body)
            assert sender.hear().status == 200
            sender.request("GET /root/local/+simple/demo/")
            found = re.search(rb'href="\.\./\.\./([^#"]+)', sender.hear().body)
        assert found is not None
        with Connection(url) as greedy:
            greedy.request(f"GET /root/local/{found[1].decode()}")
            told.wait_for("unread")
            assert len(greedy.hear_the_end()) < large
        assert is_healthy(url)


def _random(size_bytes: int) -> bytes:
    """What no compression makes smaller, the same each time."""
    return random.Random(1).randbytes(size_bytes)


def test_requests_without_end_whose_answers_nobody_reads_are_given_up(
    tmp_path: Path, told: Told
) -> None:
    with served(tmp_path / "data", told, unread_seconds=1) as url, Connection(url) as greedy:
        with pytest.raises(OSError):
            for _ in range(1000):  # many times what the system keeps for both ends
                greedy.send(b"GET /root/pypi/+simple/ HTTP/1.1\r\nHost: x\r\n\r\n" * 10_000)
        told.wait_for("unread")
        assert is_healthy(url)


def test_pages_are_answered_while_others_take_all_connections(tmp_path: Path, told: Told) -> None:
    with served(tmp_path / "data", told, connections=20) as url, ExitStack() as kept:
        for _ in range(5):
            silent = [kept.enter_context(Connection(url)) for _ in range(20)]
            for each in silent[10:]:
                each.send(b"GET / HTTP/1.1\r\nHost: ")
            assert is_healthy(url)
        told.wait_for("made-room")


def test_handshakes_that_are_silent_or_drip_are_ended_and_delay_no_page(
    tmp_path: Path, told: Told
) -> None:
    made = a_certificate(tmp_path)
    bounds = Bounds(header_seconds=1)
    with served_over_tls(tmp_path / "data", told, made, bounds) as url, ExitStack() as kept:
        silent = [kept.enter_context(Connection(url)) for _ in range(10)]
        slow = kept.enter_context(Connection(url))
        assert is_healthy_over_tls(url, made)
        drip(slow, [b"\x16\x03\x01\x02", *[b"\0"] * 40], 0.05)
        assert slow.hear_the_end() == b""
        assert all(each.hear_the_end() == b"" for each in silent)
        told.wait_for("silent")
        assert is_healthy_over_tls(url, made)


@pytest.mark.skipif(sys.platform != "linux", reason="open files are counted in /proc")
def test_handshakes_take_no_more_open_files_than_there_may_be_connections(tmp_path: Path) -> None:
    made = a_certificate(tmp_path)
    flags = (f"--tls-cert={made.cert}", f"--tls-key={made.key}", "--connections-max=10")
    with running_server(tmp_path / "data", *flags) as server, ExitStack() as kept:
        before = sockets_of(server)
        for _ in range(100):
            kept.enter_context(Connection(server.url))
        assert is_healthy_over_tls(server.url, made)
        assert sockets_of(server) <= before + 10
        server.wait_for_log("made-room: closed 1 connection")


def sockets_of(server: RunningServer) -> int:
    """How many are open. What is closed while it is counted does not count."""
    count = 0
    for each in Path(f"/proc/{server.process.pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            count += str(each.readlink()).startswith("socket:")
    return count


def test_the_bound_on_connections_is_a_setting(tmp_path: Path) -> None:
    with running_server(tmp_path / "data", "--connections-max=2") as server, ExitStack() as kept:
        for _ in range(2):
            busy = kept.enter_context(Connection(server.url))
            busy.send(b"POST /+login HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n")
            busy.send(b"Expect: 100-continue\r\n\r\n")
            assert busy.hear().status == 100  # the request has begun
        refusals = [kept.enter_context(Connection(server.url)) for _ in range(9)]
        for refused in refusals:
            refused.request("GET /")
            answer = refused.hear()
            assert answer.status == 503
            assert answer.headers["retry-after"] == "5"
        busy.send(b"{}")
        assert busy.hear().status == 400
        assert is_healthy(server.url)
        server.wait_for_log("too-many-connections: closed 1 connection")


def test_a_stop_does_not_wait_for_half_a_header(tmp_path: Path) -> None:
    with (
        running_server(tmp_path / "data") as server,
        Connection(server.url) as silent,
        Connection(server.url) as half,
    ):
        half.send(b"GET / HTTP/1.1\r\nHost: ")
        assert is_healthy(server.url)
        assert server.stop() == 0
        assert silent.hear_the_end() == half.hear_the_end() == b""
        assert "Cancel" not in server.log.read_text("utf-8")  # of what was waited for in vain


@pytest.mark.full
@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_slow_and_greedy_clients_of_each_kind_are_closed_and_delay_no_page(tmp_path: Path) -> None:
    with running_server(tmp_path / "data", "--no-access-log") as server:
        path = upload(server, "greedy", 16 << 20)
        idle_bytes = resident_bytes(server)
        with Crowd(server) as crowd:
            crowd.join("silent", 500, b"")
            crowd.join("header", 100, b"GET / HTTP/1.1\r\nHost: ", drips=True)
            crowd.join("body", 50, head_of_dripping_upload(server), drips=True)
            crowd.join("unread", 50, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            crowd.join("flood", 20, b"GET /+api HTTP/1.1\r\nHost: x\r\n\r\n" * 10_000)
            taken = crowd.stay(90)
            grown = resident_bytes(server) - idle_bytes
        assert crowd.closed_after("silent") < 13
        assert crowd.closed_after("header") < 13
        assert crowd.closed_after("body") < 25
        log = server.log.read_text("utf-8")
        assert told_of(log, "unread") == 70
        assert told_of(log, "silent") == 500
        assert told_of(log, "header-too-slow") == 100
        assert told_of(log, "body-too-slow") == 50
        assert len(log.splitlines()) < 100
        assert statistics.median(taken) < PAGE_SECONDS, sorted(taken)
        assert grown < 100 << 20
        assert not [
            path
            for path in (server.serverdir / "incoming").rglob("*")
            if path.is_file() and path.stat().st_size > 0
        ]


def resident_bytes(server: RunningServer) -> int:
    status = Path(f"/proc/{server.process.pid}/status").read_text("utf-8")
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) << 10


class Crowd:
    """Many clients, of whom none does what it should, and a good one among them."""

    def __init__(self, server: RunningServer) -> None:
        self._server = server
        self._sockets: dict[socket.socket, tuple[str, bool]] = {}
        self._joined_at: dict[str, float] = {}
        self._closed_at: dict[str, list[float]] = {}

    def __enter__(self) -> "Crowd":
        return self

    def __exit__(self, *_: object) -> None:
        for each in self._sockets:
            each.close()

    def join(self, kind: str, count: int, sent: bytes, *, drips: bool = False) -> None:
        """As many more, who send this, and then nothing or a byte now and then."""
        self._joined_at[kind] = time.monotonic()
        for _ in range(count):
            joining = socket.create_connection(("127.0.0.1", self._server.port))
            joining.setblocking(False)
            if sent:
                joining.send(sent)
            self._sockets[joining] = (kind, drips)

    def stay(self, seconds: float) -> list[float]:
        """Let them be a burden; how many seconds pages took meanwhile."""
        end, taken = time.monotonic() + seconds, []
        while time.monotonic() < end:
            began = time.monotonic()
            asking = HTTPConnection("127.0.0.1", self._server.port, timeout=WAIT_SECONDS_MAX)
            asking.request("GET", "/root/local/+simple/greedy/")
            answer = asking.getresponse()
            assert answer.status == 200 and answer.read()
            asking.close()
            taken.append(time.monotonic() - began)
            self._go_on()
            time.sleep(0.2)
        return taken

    def closed_after(self, kind: str) -> float:
        """How many seconds the last of them was let stay."""
        assert not any(kind == other for other, _ in self._sockets.values())
        return max(self._closed_at[kind]) - self._joined_at[kind]

    def _go_on(self) -> None:
        for each, (kind, drips) in list(self._sockets.items()):
            if kind in ("unread", "flood"):
                continue
            try:
                if drips:
                    each.send(b"x")
                is_closed = each.recv(1 << 16) == b""
            except BlockingIOError:
                continue
            except OSError:
                is_closed = True
            if is_closed:
                self._closed_at.setdefault(kind, []).append(time.monotonic())
                del self._sockets[each]
                each.close()


def told_of(log: str, reason: str) -> int:
    """How many connections the log says were closed for it."""
    return sum(int(count) for count in re.findall(rf"{reason}: closed (\d+) ", log))


def head_of_dripping_upload(server: RunningServer) -> bytes:
    account = b64encode(f"root:{server.root_password}".encode()).decode()
    return (
        "POST /root/local/ HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n"
        f"Content-Type: multipart/form-data; boundary=x\r\nAuthorization: Basic {account}\r\n\r\n"
    ).encode()


def upload(server: RunningServer, name: str, size_bytes: int) -> str:
    """Store a wheel of about this size; its path."""
    content_type, body = an_upload_body(a_wheel(name, extra_files={"x": _random(size_bytes)}))
    account = b64encode(f"root:{server.root_password}".encode()).decode()
    asking = HTTPConnection("127.0.0.1", server.port, timeout=WAIT_SECONDS_MAX)
    headers = {"Content-Type": content_type, "Authorization": f"Basic {account}"}
    asking.request("POST", "/root/local/", body, headers)
    answer = asking.getresponse()
    assert answer.status == 200, answer.read()
    answer.read()
    asking.request("GET", f"/root/local/+simple/{name}/")
    found = re.search(rb'href="\.\./\.\./([^#"]+)', asking.getresponse().read())
    asking.close()
    assert found is not None
    return f"/root/local/{found[1].decode()}"
