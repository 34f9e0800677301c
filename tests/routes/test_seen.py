"""What the access log hears of each request."""

import asyncio
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from simpleindex.app import create_app
from simpleindex.config import Config, parse_networks
from simpleindex.events import CLIENT_GONE, Answered, Door, Line
from simpleindex.routes.seen import Seen
from tests.asgi import Client, asking
from tests.routes.sites import DEVPI, NOW, basic


@dataclass(frozen=True, slots=True)
class Watched:
    """A server, and what its access log has heard."""

    client: Client
    heard: list[Answered]

    def last(self, method: str, target: str, *rest: Any, **more: Any) -> Answered:
        """Ask for something; what was heard of it."""
        before = len(self.heard)
        self.client.ask(method, target, *rest, **more)
        assert len(self.heard) == before + 1
        return self.heard[-1]


@dataclass(frozen=True, slots=True)
class Hearing:
    """An access log that hears of requests, and takes their lines or not."""

    heard: list[Answered]
    takes: bool

    def answered(self, answered: Answered) -> int:
        self.heard.append(answered)
        return 0 if self.takes else 1

    def line_of(self, answered: Answered) -> Line:
        return answered.target, b""

    def again(self, line: Line) -> int:
        raise AssertionError("nothing is answered below ASGI here")

    def write_all(self) -> int:
        return 0


@contextmanager
def watched(folder: Path, *, takes: bool = True, **settings: Any) -> Iterator[Watched]:
    heard: list[Answered] = []
    config = Config(serverdir=folder, offline_mode=True, **settings)
    app = create_app(config, lambda: NOW, Hearing(heard, takes))
    with asking(app) as client:
        try:
            yield Watched(client, heard)
        finally:
            app.close()


@pytest.fixture
def folder(prepared: Path, tmp_path: Path) -> Path:
    shutil.copytree(prepared, tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture
def site(folder: Path) -> Iterator[Watched]:
    with watched(folder) as site:
        yield site


def test_a_request_is_told_with_all_that_is_known_of_it(site: Watched) -> None:
    agent = {"user-agent": "pip/26.2", "accept": DEVPI}
    heard = site.last("GET", "/root/pypi/%C3%BC?token=hushhush", agent, peer="192.0.2.9")
    assert heard._replace(seconds=0, sent_bytes=0) == Answered(
        Door.DEVPI, "GET", 404, 0, 0, 0, b"/root/pypi/%C3%BC", "1.1", "192.0.2.9", None, b"pip/26.2"
    )
    assert heard.seconds > 0 and heard.sent_bytes > 0


def test_a_query_is_not_told(site: Watched) -> None:
    assert b"hushhush" not in repr(site.last("GET", "/+api?password=hushhush")).encode()


def test_whoever_had_to_say_who_they_are_is_named(site: Watched) -> None:
    login = b'{"user": "alice", "password": "alicepw"}'
    json = {"content-type": DEVPI}
    assert site.last("POST", "/+login", json, login).user == "alice"
    assert site.last("GET", "/+api", {"authorization": basic("alice", "alicepw")}).user == "alice"
    assert site.last("GET", "/+api", {"authorization": basic("alice", "wrong")}).user is None
    assert site.last("GET", "/+api").user is None


def test_the_bytes_of_both_bodies_are_told(site: Watched) -> None:
    heard = site.last("POST", "/+login", {"content-type": DEVPI}, [b'{"user":', b' "alice"}'])
    assert heard.received_bytes == 17
    assert heard.status == 400


def test_only_proxies_that_are_trusted_tell_addresses(folder: Path) -> None:
    forwarded = {"x-forwarded-for": "203.0.113.5"}
    with watched(folder, trusted_proxy=parse_networks("192.0.2.1")) as site:
        assert site.last("GET", "/+api", forwarded, peer="192.0.2.1").address == "203.0.113.5"
        for peer in ("192.0.2.2", "127.0.0.1"):
            assert site.last("GET", "/+api", forwarded, peer=peer).address == peer
        assert site.last("GET", "/+api", client=None).address is None


def test_probes_that_are_answered_well_are_not_told(site: Watched) -> None:
    site.client.get("/-/health/live")
    site.client.ask("GET", "/-/metrics", peer="127.0.0.1", host="localhost")
    assert site.heard == []
    assert site.last("GET", "/-/metrics").status == 403


def test_a_client_that_goes_away_is_told_of(site: Watched) -> None:
    headers = {
        "authorization": basic("root", "rootpw"),
        "content-type": "multipart/form-data; boundary=x",
    }
    site.client.cut_off("POST", "/root/local/", headers, b"--x\r\n")
    assert (site.heard[-1].status, site.heard[-1].received_bytes) == (CLIENT_GONE, 5)


def test_a_line_that_was_dropped_is_counted(folder: Path) -> None:
    with watched(folder, takes=False) as site:
        site.client.get("/+api")
        told = site.client.ask("GET", "/-/metrics", peer="127.0.0.1", host="localhost").text
    assert "simpleindex_log_lines_dropped_total 1\n" in told


@pytest.mark.parametrize(
    ("fails_after_start", "status"), [(False, 500), (True, 200)], ids=["at once", "on the way"]
)
def test_an_answer_that_fails_is_told_of_and_the_failure_goes_on(
    folder: Path, fails_after_start: bool, status: int
) -> None:
    with watched(folder) as site:
        site.client.get("/+api")

        async def failing(_scope: object, _receive: object, send: Callable[..., Any]) -> None:
            if fails_after_start:
                await send({"type": "http.response.start", "status": 200, "headers": []})
            raise OSError("cut")

        opened = site.client._app._opened  # type: ignore[attr-defined]  # it is an Application
        scope = {
            "type": "http",
            "method": "GET",
            "path": "/a",
            "http_version": "1.1",
            "headers": [],
        }

        async def ignore(*_: object) -> Any:
            return None

        with pytest.raises(OSError, match="cut"):
            asyncio.run(Seen(failing, opened.observer)(scope, ignore, ignore))
        assert (site.heard[-1].status, site.heard[-1].target) == (status, b"/a")
