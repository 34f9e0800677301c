"""What a server tells a proxy in front of it, over connections as they are."""

import random
import socket
import sys
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPResponse
from pathlib import Path

import pytest

from tests.builders import a_wheel
from tests.clients.server_side import add
from tests.mirror.sites import a_site
from tests.server import RunningServer, running_server

LARGE = a_wheel("large", extra_files={"large/payload.bin": random.Random(1).randbytes(300_000)})
PATH = f"/root/local/+f/{LARGE.sha256[:3]}/{LARGE.sha256[3:16]}/{LARGE.filename}"
NAMED = f"/+send/files{PATH}".replace("/+f/", "/%2Bf/")
OPTIONS = ("--trusted-proxy=127.0.0.1", "--send-files-by=x-accel-redirect:/+send/")
_SECONDS_MAX = 30.0

needs_more_addresses = pytest.mark.skipif(
    sys.platform != "linux", reason="elsewhere 127.0.0.1 is the loopback's only address"
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    folder = tmp_path_factory.mktemp("handing-over")
    with running_server(folder / "data", *OPTIONS) as server:
        add(server, LARGE.save(folder))
        yield server


FORWARDED = "X-Forwarded-For: 198.51.100.1\r\n"


def ask(
    server: RunningServer,
    *,
    address: str = "127.0.0.1",
    forwarded: str = FORWARDED,
    more: str = "",
) -> tuple[str, bytes]:
    """Ask for the file in the same words from an address; the proxy's header, and the body."""
    request = f"GET {PATH} HTTP/1.1\r\nHost: x\r\n{forwarded}{more}\r\n".encode()
    place = ("127.0.0.1", server.port)
    with closing(
        socket.create_connection(place, _SECONDS_MAX, source_address=(address, 0))
    ) as line:
        line.sendall(request)
        answer = HTTPResponse(line, method="GET")
        answer.begin()
        body = answer.read()
        assert answer.status in (200, 404)
        return answer.getheader("x-accel-redirect", ""), body


@needs_more_addresses
def test_an_answer_for_the_proxy_is_given_again_to_it_alone(server: RunningServer) -> None:
    for _ in range(3):
        assert ask(server) == (NAMED, b"")
    assert ask(server, address="127.0.0.2") == ("", LARGE.content)
    assert ask(server) == (NAMED, b"")
    # It was given again, as it was, without looking at the disk: there the file is no more.
    stored = server.serverdir / "files" / PATH.removeprefix("/")
    moved = stored.rename(server.serverdir.with_name("moved"))
    try:
        assert ask(server) == (NAMED, b"")
        assert b"there is no file" in ask(server, more='If-Range: "1"\r\n')[1]
        assert b"there is no file" in ask(server, address="127.0.0.2")[1]
    finally:
        moved.rename(stored)


@pytest.mark.parametrize(
    "beside",
    ["", "X-Forwarded-For:\r\n", "X-Forwarded-For: ,\r\n", "X-Forwarded-For: , \r\n" * 2],
    ids=["nothing", "nobody", "a comma", "twice nobody"],
)
def test_who_asks_beside_the_proxy_on_its_computer_gets_the_file(
    server: RunningServer, beside: str
) -> None:
    more = "X-Beside: 1\r\n"
    for _ in range(3):
        assert ask(server, more=more) == (NAMED, b"")
        assert ask(server, more=more, forwarded=beside) == ("", LARGE.content)


@needs_more_addresses
def test_an_answer_for_a_client_is_not_given_to_the_proxy(server: RunningServer) -> None:
    more = "X-Other: 1\r\n"
    for _ in range(3):
        assert ask(server, address="127.0.0.2", more=more) == ("", LARGE.content)
    assert ask(server, more=more) == (NAMED, b"")


def test_a_file_that_a_mirror_keeps_is_handed_over_as_long_as_it_may_be_had(
    tmp_path: Path,
) -> None:
    with a_site(tmp_path / "data", *OPTIONS) as site:
        site.upstream.add(LARGE)
        url = site.file_url("large", LARGE.filename)
        forwarded = {"x_forwarded_for": "198.51.100.1"}
        assert site.get(url, "*/*", **forwarded).content == LARGE.content
        for _ in range(3):
            answer = site.get(url, "*/*", **forwarded)
            assert answer.content == b""
            path = PATH.replace("/root/local/+f/", "/root/pypi/%2Bf/")
            assert answer.headers["x-accel-redirect"] == f"/+send/cache{path}"
        assert site.get(url, "*/*").content == LARGE.content
        site.change("deny+=large")
        refused = site.get(url, "*/*", **forwarded)
        assert refused.status_code == 403
        assert "x-accel-redirect" not in refused.headers
