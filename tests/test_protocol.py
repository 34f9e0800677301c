"""What `serve` adds below ASGI, on real sockets."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from starlette.types import Receive, Scope, Send

from simpleindex.app import create_app
from simpleindex.config import Config
from simpleindex.protocol import IndexProtocol
from tests.builders import a_wheel, an_upload_body
from tests.lines import READERS
from tests.listening import Connection, listening
from tests.routes.sites import basic, elsewhere, prepare

TWINE = "twine/7.0.0"
CHANGED = a_wheel(extra_files={"demo/changed.py": b""})


@pytest.fixture(scope="module", params=READERS.values(), ids=list(READERS))
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("served") / "data"
    prepare(folder)
    app = create_app(Config(serverdir=folder))
    with listening(app, http=partial(IndexProtocol, read_plain=request.param)) as url:
        yield url


@pytest.fixture
def connection(url: str) -> Iterator[Connection]:
    with Connection(url) as connection:
        yield connection


def upload(connection: Connection, built_body: tuple[str, bytes], **headers: str) -> None:
    content_type, body = built_body
    connection.request("POST /root/local/", body, Content_Type=content_type, **headers)


def test_a_refusal_is_told_in_the_reason_phrase(connection: Connection) -> None:
    by_root = basic("root", "rootpw")
    upload(connection, an_upload_body(a_wheel()), Authorization=by_root, User_Agent=TWINE)
    assert connection.hear().reason == "OK"
    upload(connection, an_upload_body(CHANGED), Authorization=by_root, User_Agent=TWINE)
    refusal = connection.hear()
    assert refusal.status == 409
    assert refusal.reason.startswith("File already exists: demo-1.0-py3-none-any.whl;")
    assert refusal.body.decode() == f"{refusal.reason}\n"
    assert "x-reason" not in refusal.headers


@pytest.mark.parametrize(
    ("line", "status", "words"),
    [
        ("GET /root/none/", 404, "there is no index root/none here"),
        ("GET /there/is/nothing/at/this/url", 404, "there is nothing at this URL"),
        ("BREW /root/local/", 405, "this version cannot BREW"),
        ("PUSH /root/local/", 400, "it is not valid JSON"),
        ("POST /+login", 400, "it is not valid JSON"),
        ("POST /root/local/", 401, "uploading to this index needs a user name and a password"),
    ],
)
def test_every_refusal_is_told_so(
    line: str, status: int, words: str, connection: Connection
) -> None:
    connection.request(line)
    refusal = connection.hear()
    assert refusal.status == status
    assert words in refusal.reason
    assert "x-reason" not in refusal.headers


@pytest.mark.parametrize(
    ("line", "status", "reason"),
    [
        ("GET /root/pypi", 302, "Found"),
        ("GET /+api", 200, "OK"),
        ("GET /", 200, "OK"),
    ],
)
def test_other_answers_have_the_usual_phrase(
    line: str, status: int, reason: str, connection: Connection
) -> None:
    connection.request(line)
    answer = connection.hear()
    assert (answer.status, answer.reason) == (status, reason)


def test_a_refusal_of_a_head_is_told_in_the_reason_phrase(connection: Connection) -> None:
    connection.request("HEAD /root/none/")
    assert "root/none" in connection.hear(of_head=True).reason
    connection.request("GET /+api")
    assert connection.hear().status == 200


@pytest.mark.parametrize(
    "path", ["/x/%0D%0ASet-Cookie:%20a=b/", "/x/%00/", "/x/%1B[2J/", "/x/%C3%A9/", "/x/%E2%80%A8/"]
)
def test_a_name_in_a_refusal_cannot_break_the_status_line(
    path: str, connection: Connection
) -> None:
    connection.request(f"GET {path}")
    refusal = connection.hear()
    assert refusal.status == 404
    assert refusal.reason.isascii() and refusal.reason.isprintable()
    assert "set-cookie" not in refusal.headers
    connection.request("GET /+api")
    assert connection.hear().status == 200


def test_a_refused_upload_is_answered_before_its_body_has_come(connection: Connection) -> None:
    connection.send(
        b"POST /root/local/ HTTP/1.1\r\nHost: x\r\nContent-Length: 20000000\r\n"
        b"Content-Type: multipart/form-data; boundary=x\r\n\r\n"
    )
    assert connection.hear().status == 401
    connection.send(b"x" * 20_000_000)
    connection.request("GET /+api")
    assert connection.hear().status == 200


def test_what_waits_to_be_asked_for_a_body_is_answered_without(connection: Connection) -> None:
    connection.send(
        b"POST /root/local/ HTTP/1.1\r\nHost: x\r\nContent-Length: 20000000\r\n"
        b"Expect: 100-continue\r\n\r\n"
    )
    assert connection.hear().status == 401


def test_a_head_that_goes_on_is_cut_off(url: str) -> None:
    with Connection(url) as connection:
        connection.send(b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + b"x" * 100_000)
        refusal = connection.hear()
        assert refusal.status == 431
        assert refusal.body.decode() == f"{refusal.reason}\n"
        assert refusal.headers["connection"] == "close"


async def telling(scope: Scope, receive: Receive, send: Send) -> None:
    """An application whose refusals are what the path says."""
    await receive()
    headers = [(b"X-Reason", scope["path"].encode("latin-1")), (b"content-length", b"0")]
    await send({"type": "http.response.start", "status": 400, "headers": headers})
    await send({"type": "http.response.body"})


def test_the_header_is_found_however_it_is_spelled() -> None:
    with listening(telling, http=IndexProtocol, lifespan="off") as url, Connection(url) as asking:
        asking.request("GET /why%20not")
        heard = asking.hear()
        assert heard.reason == "/why not"
        assert "x-reason" not in heard.headers


def test_an_upload_that_waits_to_be_asked_for_its_body_is_asked(connection: Connection) -> None:
    content_type, body = an_upload_body(a_wheel("asked"))
    connection.send(
        f"POST /root/local/ HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
        f"Content-Type: {content_type}\r\nAuthorization: {basic('root', 'rootpw')}\r\n"
        "Expect: 100-continue\r\n\r\n".encode()
    )
    assert connection.hear().status == 100
    connection.send(body)
    assert connection.hear().status == 200


def test_a_bound_of_uvicorns_holds_for_every_request() -> None:
    with (
        listening(telling, http=IndexProtocol, lifespan="off", limit_concurrency=1) as url,
        Connection(url) as connection,
    ):
        connection.request("GET /")
        assert connection.hear().status == 503


def test_an_old_client_is_answered_and_left(url: str) -> None:
    with Connection(url) as connection:
        connection.send(b"GET /+api HTTP/1.0\r\n\r\nwhat?")
        answer = connection.hear()
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        connection.hear_the_end()


def test_a_large_answer_comes_whole_though_it_goes_out_in_parts() -> None:
    body = bytes(range(256)) * 10_000

    async def large(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-length", b"%d" % (2 * len(body)))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": True})
        await send({"type": "http.response.body", "body": body})

    with listening(large, http=IndexProtocol, lifespan="off") as url, Connection(url) as asking:
        for _ in range(2):
            asking.request("GET /")
            assert asking.hear().body == body + body
        asking.request("HEAD /")
        assert asking.hear(of_head=True).status == 200
        asking.request("GET /")
        assert asking.hear().status == 200


def test_a_client_that_hangs_up_in_its_upload_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    prepare(folder)
    app = create_app(Config(serverdir=folder))
    content_type, body = an_upload_body(CHANGED)
    with listening(app, http=IndexProtocol) as url, Connection(url) as connection:
        head = (
            f"POST /root/local/ HTTP/1.1\r\nHost: x\r\nContent-Type: {content_type}\r\n"
            f"Authorization: {basic('root', 'rootpw')}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        connection.send(head.encode(), body[:-1])
    # The server has stopped, and so has finished what it was doing.
    assert not [path for path in (folder / "files").rglob("*") if path.is_file()]
    assert not list((folder / "incoming").iterdir())
    with elsewhere(folder) as store, store.catalog.snapshot() as seen:
        assert [index.name for index in seen.indexes()] == ["root/pypi"]
