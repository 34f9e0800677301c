"""What a stop has no time for: it is refused, as everything is that is refused, and not broken."""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random

from simpleindex.wire.browser_headers import EVERYWHERE
from tests.builders import a_wheel, an_upload_body
from tests.hostile.behaviours import Hang, SilentDrop
from tests.hostile.upstream import Upstream, running_upstream
from tests.listening import Connection, Heard
from tests.mirror.sites import MirrorSite, a_client, until
from tests.server import RunningServer, server_of
from tests.serving.clients import root_of

GONE_SECONDS_MAX = 8.0
"""From SIGTERM to the end, where there is one second of grace."""

NOISE = Random(0).randbytes(16 << 20)
"""No compression makes it smaller."""
LARGE = a_wheel("large", extra_files={"large/x": NOISE})


@contextmanager
def served(tmp_path: Path, *flags: str) -> Iterator[RunningServer]:
    """A server that gives what is under way one second when it is to stop."""
    data = tmp_path / "data"
    words = ("serve", f"--serverdir={data}", "--port=0", "--no-access-log", *flags)
    with server_of([sys.executable, "-c", _SHORT_GRACE, *words], data) as server:
        yield server


@contextmanager
def mirroring(tmp_path: Path) -> Iterator[tuple[RunningServer, Upstream]]:
    """The same, with a mirror of an upstream."""
    with running_upstream() as upstream:
        flags = ("--private-upstreams=127.0.0.1", f"--upstream-url={upstream.url}")
        with served(tmp_path, *flags) as server:
            yield server, upstream


def assert_is_refused(answer: Heard) -> None:
    assert answer.status == 503
    assert answer.body.decode() == f"{answer.reason}\n"
    expected = {"retry-after": "5", "connection": "close", **EVERYWHERE}
    assert expected.items() <= answer.headers.items()


def end_of(server: RunningServer) -> list[str]:
    """The lines of the log, once the server has ended by itself."""
    assert server.process.wait(GONE_SECONDS_MAX) == 0
    assert list((server.serverdir / "incoming").iterdir()) == []
    return server.log.read_text("utf-8").splitlines()


def upload(server: RunningServer, connection: Connection) -> Callable[[], None]:
    """Begin an upload; what sends a little more of it."""
    content_type, body = an_upload_body(a_wheel(extra_files={"demo/x": NOISE}))
    head = (
        f"POST /root/local/ HTTP/1.1\r\nHost: x\r\nContent-Type: {content_type}\r\n"
        f"Authorization: {root_of(server).login}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    connection.send(head.encode(), body[: 3 << 20])
    return lambda: connection.send(b"x")


def test_uploads_that_drip_are_refused_and_leave_nothing(tmp_path: Path) -> None:
    with served(tmp_path) as server, ExitStack() as kept:
        connections = [kept.enter_context(Connection(server.url)) for _ in range(3)]
        drips = [upload(server, connection) for connection in connections]
        until(lambda: drafts_of(server) == 3, "the uploads have begun")
        server.process.send_signal(signal.SIGTERM)
        for drip in drips:
            drip()
        for connection in connections:
            assert_is_refused(connection.hear())
            assert connection.hear_the_end() == b""
        (line,) = end_of(server)
    assert "stopping: closed 3 connections" in line


def test_a_second_ctrl_c_breaks_nothing_off(tmp_path: Path) -> None:
    # As a worker gets it: told to stop already by the process that looks after it.
    with served(tmp_path) as server, Connection(server.url) as connection:
        drip = upload(server, connection)
        until(lambda: drafts_of(server) == 1, "the upload has begun")
        server.process.send_signal(signal.SIGINT)
        until(lambda: not is_listening(server), "the first is heard")
        server.process.send_signal(signal.SIGINT)
        drip()
        assert_is_refused(connection.hear())
        (line,) = end_of(server)
    assert "stopping: closed 1 connection" in line


def test_what_waits_for_an_upstream_is_refused_or_cut(tmp_path: Path) -> None:
    with mirroring(tmp_path) as (server, upstream), ExitStack() as kept:
        page, file = (kept.enter_context(Connection(server.url)) for _ in range(2))
        upstream.add(a_wheel("far"))
        upstream.add(LARGE)
        upstream.behave("/far/", SilentDrop())
        upstream.behave(f"{LARGE.filename}$", Hang(after_bytes=1 << 20))
        with a_client(server.url) as client:
            url = MirrorSite(server, upstream, client).file_url("large", LARGE.filename)
        page.request("GET /root/pypi/+simple/far/")
        file.request(f"GET {url.removeprefix(server.url)}")
        upstream.wait_for("/far/", 1)
        assert file.hear(of_head=True).status == 200  # it is passed on as it comes
        server.process.send_signal(signal.SIGTERM)
        assert_is_refused(page.hear())
        assert len(file.hear_the_end()) < len(LARGE.content)
        (line,) = end_of(server)
    assert "stopping: closed 2 connections" in line


def test_a_download_that_is_not_read_is_cut(tmp_path: Path) -> None:
    with served(tmp_path) as server, Connection(server.url) as slow:
        root = root_of(server)
        assert root.upload(LARGE).status == 200
        (sha256,) = root.page("large").files.values()
        slow.request(f"GET /root/local/+f/{sha256[:3]}/{sha256[3:16]}/{LARGE.filename}")
        head = slow.hear(of_head=True)
        assert (head.status, head.headers["content-length"]) == (200, str(len(LARGE.content)))
        server.process.send_signal(signal.SIGTERM)
        (line,) = end_of(server)
        assert len(slow.hear_the_end()) < len(LARGE.content)
    assert "stopping: closed 1 connection" in line


def drafts_of(server: RunningServer) -> int:
    found = (server.serverdir / "incoming").rglob("*")
    return sum(path.is_file() and path.name.isdigit() for path in found)


def is_listening(server: RunningServer) -> bool:
    try:
        with Connection(server.url):
            return True
    except ConnectionRefusedError:
        return False


_SHORT_GRACE = """\
import sys
from simpleindex.cli import main
from simpleindex.serving import server

server.GRACE_SECONDS = 1
sys.exit(main(sys.argv[1:]))
"""
