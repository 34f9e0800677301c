"""The index as a part of somebody else's application, below a prefix."""

import asyncio
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route

from simpleindex import Config, create_app
from simpleindex.app import Application
from tests.asgi import Client, asking
from tests.builders import an_upload_body
from tests.clients.programs import Terminal
from tests.listening import listening
from tests.routes.sites import DEVPI, V1_JSON, WHEEL, basic

PREFIX = "/tools/index"


async def greet(request: Request) -> Response:
    return PlainTextResponse("the host")


@contextmanager
def a_host(prepared: Path, folder: Path) -> Iterator[Starlette]:
    """An application of somebody's, with the index mounted in it."""
    shutil.copytree(prepared, folder)
    index = create_app(Config(serverdir=folder))
    try:
        yield Starlette(routes=[Mount(PREFIX, app=index), Route("/{rest:path}", greet)])
    finally:
        index.close()


@pytest.fixture
def host(prepared: Path, tmp_path: Path) -> Iterator[Starlette]:
    with a_host(prepared, tmp_path / "data") as host:
        yield host


@pytest.fixture
def client(host: Starlette) -> Iterator[Client]:
    with asking(host) as client:
        content_type, body = an_upload_body(WHEEL)
        headers = {"content-type": content_type, "authorization": basic("root", "rootpw")}
        assert client.ask("POST", f"{PREFIX}/root/local/", headers, body).status == 200
        yield client


@pytest.mark.parametrize("below", ["", "+simple/"])
def test_pip_installs_from_below_a_prefix(
    below: str, client: Client, host: Starlette, tmp_path: Path
) -> None:
    with listening(host) as url:
        Terminal(tmp_path / "home").must(
            sys.executable, "-m", "pip", "--isolated", "--disable-pip-version-check", "install",
            "--no-cache-dir", "--index-url", f"{url}{PREFIX}/root/local/{below}",
            "--target", tmp_path / "installed", "demo",
        )  # fmt: skip
    assert (tmp_path / "installed" / "demo" / "__init__.py").read_text() == '__version__ = "1.0"\n'


@pytest.mark.parametrize(
    ("target", "location"),
    [
        ("/root/local", "local/"),
        ("/root/local/Demo", "demo/"),
        ("/root/local/+simple/Demo/?x", "../demo/?x"),
    ],
)
def test_redirects_stay_below_the_prefix(target: str, location: str, client: Client) -> None:
    answer = client.get(f"{PREFIX}{target}")
    assert (answer.status, answer.header("location")) == (302, location)


def test_no_page_names_the_prefix_or_the_host(client: Client) -> None:
    for target in ("/root/local/", "/root/local/+simple/", "/root/local/demo/"):
        for accept in ("text/html", V1_JSON):
            answer = client.get(f"{PREFIX}{target}", accept)
            assert answer.status == 200
            assert not re.search(r"tools|index\.example|127\.0\.0\.1", answer.text)


def test_devpis_urls_have_the_prefix(client: Client) -> None:
    found = client.get(f"{PREFIX}/root/local/+api", DEVPI).json["result"]
    root = f"http://index.example:3141{PREFIX}"
    assert (found["login"], found["index"]) == (f"{root}/+login", f"{root}/root/local")


def test_the_start_page_is_below_the_prefix(client: Client) -> None:
    answer = client.get(f"{PREFIX}/", "text/html")
    assert f"http://index.example:3141{PREFIX}/root/local/" in answer.text


def test_the_hosts_own_urls_stay_the_hosts(client: Client) -> None:
    for target in ("/", "/root/local/", "/+api", f"{PREFIX}x/root/local/"):
        assert client.get(target).text == "the host"


def test_an_index_named_like_the_prefix_is_told_from_it(client: Client) -> None:
    assert client.get(f"{PREFIX}/tools/index/").status == 404
    assert "tools/index" in client.get(f"{PREFIX}/tools/index/").line


def test_nothing_happens_before_the_first_request(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    app = create_app(Config(serverdir=folder))
    assert not folder.exists()
    with asking(app) as client:
        assert client.get("/+api").status == 200
    assert (folder / "catalog.sqlite").exists()
    app.close()


def test_requests_that_come_first_together_open_the_directory_once(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "data"
    shutil.copytree(prepared, folder)
    opened: list[Path] = []
    really_open = Application.open

    def counting(app: Application) -> None:
        opened.append(folder)
        really_open(app)

    monkeypatch.setattr(Application, "open", counting)
    app = create_app(Config(serverdir=folder))

    async def ask() -> int:
        statuses: list[int] = []

        async def receive() -> dict[str, object]:
            return {"type": "http.request"}

        async def send(message: object) -> None:
            assert isinstance(message, dict)
            statuses.append(message.get("status", 200))

        scope = {
            "type": "http",
            "method": "GET",
            "path": "/+api",
            "query_string": b"",
            "headers": [],
        }
        await app(scope, receive, send)
        return statuses[0]

    async def ask_together() -> list[int]:
        return await asyncio.gather(*(ask() for _ in range(5)))

    assert asyncio.run(ask_together()) == [200] * 5
    assert opened == [folder]
    app.close()


def test_a_lifespan_closes_the_directory_and_another_request_opens_it_again(
    prepared: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "data"
    shutil.copytree(prepared, folder)
    app = create_app(Config(serverdir=folder))
    with asking(app) as client:
        assert client.get("/+api").status == 200
        assert list((folder / "incoming").glob("*.lock"))
        events = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
        told = client.exchange({"type": "lifespan"}, events)
        assert [message["type"] for message in told] == [
            "lifespan.startup.complete",
            "lifespan.shutdown.complete",
        ]
        assert not list((folder / "incoming").iterdir())
        assert client.get("/+api").status == 200
    app.close()
