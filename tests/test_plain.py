"""Plain requests through the protocol: what they get, and what they do to the application."""

import asyncio
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from simpleindex.connections import STOPPING
from tests.lines import READERS, Desk, Line, a_desk, requests_read

GET = b"GET /a%20b?c=d HTTP/1.1\r\nHost: x\r\nX-A: b\r\n\r\n"
HEAD = GET.replace(b"GET", b"HEAD")
POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
BY_OURSELVES, BY_H11 = READERS.values()
END: Message = {"type": "http.response.body"}


def start(*headers: tuple[bytes, bytes], status: int = 200) -> Message:
    return {"type": "http.response.start", "status": status, "headers": headers}


def body(content: bytes, *, more: bool = False) -> Message:
    return {"type": "http.response.body", "body": content, "more_body": more}


def saying(*messages: Message) -> ASGIApp:
    """An application that answers so."""

    async def said(scope: Scope, receive: Receive, send: Send) -> None:
        for message in messages:
            await send(message)

    return said


def heard(app: ASGIApp, request: bytes, reader: Any) -> tuple[bytes, bool]:
    """What comes back, twice over if the connection stays; whether it stays."""
    with requests_read(reader), a_desk(app) as desk:
        desk.tell_date("Fri, 02 Jan 2026 03:04:04 GMT")
        line = desk.connect(request)
        line.send(request)
        return bytes(line.heard), line.is_open


LENGTH_5 = (b"content-length", b"5")


@pytest.mark.parametrize(
    "request_", [GET, HEAD, GET[:-2] + b"Connection: close\r\n\r\n"], ids=["GET", "HEAD", "last"]
)
@pytest.mark.parametrize(
    "messages",
    [
        pytest.param([start(LENGTH_5), body(b"12345")], id="whole"),
        pytest.param([start(LENGTH_5), body(b"12", more=True), body(b"345")], id="in parts"),
        pytest.param([start(LENGTH_5), body(b"12345", more=True), END], id="with an empty end"),
        pytest.param([start(), body(b"12", more=True), body(b"345")], id="in chunks"),
        pytest.param([start(), body(b"", more=True), body(b"12", more=True), END], id="gaps"),
        pytest.param([start(), END], id="nothing in chunks"),
        pytest.param([start(status=204), END], id="204"),
        pytest.param([start((b"etag", b'"1"'), status=304), END], id="304"),
        pytest.param([start(LENGTH_5, status=304), END], id="304 with a length"),
        pytest.param([start(LENGTH_5, (b"connection", b"close")), body(b"12345")], id="close"),
        pytest.param(
            [start(LENGTH_5, (b"X-Reason", b"why not"), status=404), body(b"12345")], id="refusal"
        ),
        pytest.param([start(LENGTH_5, (b"X-Reason", b"?")), body(b"12345")], id="no refusal"),
        pytest.param([start((b"X-A", b"b"), LENGTH_5), body(bytes(5))], id="spelled"),
    ],
)
def test_an_answer_is_the_same_whoever_reads_the_request(
    messages: list[Message], request_: bytes
) -> None:
    app = saying(*messages)
    ours = heard(app, request_, BY_OURSELVES)
    assert ours == heard(app, request_, BY_H11)
    assert ours[0].startswith(b"HTTP/1.1 ")


@pytest.mark.parametrize("fault", ["raises", "says nothing"])
def test_who_has_no_answer_is_told_that_it_is_our_fault(
    fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def failing(scope: Scope, receive: Receive, send: Send) -> None:
        if fault == "raises":
            raise LookupError

    ours = heard(failing, GET, BY_OURSELVES)
    assert ours == heard(failing, GET, BY_H11)
    assert ours[0].startswith(b"HTTP/1.1 500 ") and not ours[1]
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 2


@pytest.mark.parametrize(
    "messages",
    [
        pytest.param([start(LENGTH_5), body(b"123456")], id="too long"),
        pytest.param([start(LENGTH_5), body(b"1234")], id="too short"),
        pytest.param([start(LENGTH_5), body(b"1234", more=True)], id="broken off"),
        pytest.param([start(), body(b"1234", more=True)], id="broken off in chunks"),
        pytest.param([start((b"a", b"b\r\nc: d")), END], id="a header that cannot be sent"),
        pytest.param([start(), start()], id="two heads"),
        pytest.param([start(status=103), END], id="no answer yet"),
        pytest.param([start(LENGTH_5, status=204), body(b"12345")], id="a body of nothing"),
    ],
)
def test_an_answer_that_goes_wrong_never_looks_whole(
    messages: list[Message], caplog: pytest.LogCaptureFixture
) -> None:
    for reader in READERS.values():
        told, is_open = heard(saying(*messages), GET, reader)
        assert not is_open
        assert not told.endswith((b"12345", b"0\r\n\r\n"))
        assert b"c: d" not in told
    assert len(caplog.records) == 2


@pytest.mark.parametrize("request_", [GET, HEAD, GET.replace(b"X-A: b", b"X-A:")])
def test_the_application_sees_the_same_request_whoever_reads_it(request_: bytes) -> None:
    seen: list[tuple[dict[str, Any], Message]] = []

    async def looking(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append((dict(scope), await receive()))
        await saying(start(LENGTH_5), body(b"12345"))(scope, receive, send)

    for reader in READERS.values():
        heard(looking, request_, reader)
    ours, _, by_h11, _ = seen
    assert ours == by_h11
    assert ours[0]["path"] == "/a b"


class Waiting:
    """An application that answers `GET` when it is told to, and all else at once."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.paths: list[str] = []
        self.ended: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with the length of the body."""
        self.paths.append(scope["path"])
        size, message = 0, await receive()
        while message.get("more_body"):
            size, message = size + len(message["body"]), await receive()
        size += len(message["body"])
        if scope["method"] == "GET":
            going_on = asyncio.ensure_future(self.go_on.wait())
            leaving = asyncio.ensure_future(receive())
            await asyncio.wait([going_on, leaving], return_when=asyncio.FIRST_COMPLETED)
            going_on.cancel()
            leaving.cancel()
        self.ended.append(scope["path"])
        await send(start((b"content-length", b"1")))
        await send(body(b"%d" % size))


@pytest.fixture
def waiting() -> Waiting:
    return Waiting()


@pytest.fixture
def desk(waiting: Waiting) -> Iterator[Desk]:
    with a_desk(waiting) as desk:
        yield desk


def answers(line: Line) -> list[bytes]:
    """The bodies."""
    return [answer[-1:] for answer in bytes(line.heard).split(b"HTTP/1.1 200 OK")[1:]]


def errors_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno > logging.WARNING]


def test_requests_that_come_meanwhile_are_answered_in_turn(desk: Desk, waiting: Waiting) -> None:
    line = desk.connect(GET)
    line.send(POST + GET.replace(b"a%20b", b"c"), POST[:-1])
    assert waiting.paths == ["/a b"]
    waiting.go_on.set()
    desk.clock.catch_up()
    line.send(b"c")
    desk.clock.catch_up()
    assert answers(line) == [b"0", b"3", b"0", b"3"]
    assert waiting.paths == ["/a b", "/", "/c", "/"]


def test_nothing_more_is_read_while_requests_wait(desk: Desk, waiting: Waiting) -> None:
    line = desk.connect(GET)
    assert not line.is_paused
    line.send(POST)
    assert line.is_paused
    waiting.go_on.set()
    desk.clock.catch_up()
    assert not line.is_paused
    assert len(answers(line)) == 2


def test_who_waits_for_the_client_lets_nothing_more_in_either() -> None:
    receiving: list[Receive] = []

    async def busy(scope: Scope, receive: Receive, send: Send) -> None:
        receiving.append(receive)
        await receive()
        await asyncio.get_running_loop().create_future()

    with a_desk(busy) as desk:
        line = desk.connect(GET)
        line.send(POST)
        leaving = asyncio.ensure_future(receiving[0](), loop=desk.clock)
        desk.clock.catch_up()
        assert line.is_paused
        leaving.cancel()


def test_what_is_malformed_behind_a_request_is_refused_in_its_turn(
    desk: Desk, waiting: Waiting
) -> None:
    line = desk.connect(GET)
    line.send(b"what?\r\n\r\n")
    assert not line.heard
    waiting.go_on.set()
    desk.clock.catch_up()
    assert line.heard.startswith(b"HTTP/1.1 200 OK")
    assert b"HTTP/1.1 400 the request is malformed" in line.heard
    assert desk.reasons == ["malformed"]


def test_a_part_of_a_header_behind_a_request_has_its_time(desk: Desk, waiting: Waiting) -> None:
    line = desk.connect(GET)
    line.send(b"GET / HT")
    waiting.go_on.set()
    desk.clock.pass_time(12)
    assert b"HTTP/1.1 408 " in line.heard
    assert desk.reasons == ["header-too-slow"]


def test_nothing_is_taken_behind_the_last_request(desk: Desk, waiting: Waiting) -> None:
    line = desk.connect(GET[:-2] + b"Connection: close\r\n\r\n")
    line.send(POST)
    assert not line.is_paused  # else nobody would see it leave
    waiting.go_on.set()
    desk.clock.catch_up()
    assert answers(line) == [b"0"]
    assert waiting.paths == ["/a b"]
    assert not line.is_open


def test_a_request_that_is_running_is_finished_before_a_stop(desk: Desk, waiting: Waiting) -> None:
    line = desk.connect(GET)
    desk.stop()
    assert line.is_open
    waiting.go_on.set()
    desk.clock.catch_up()
    assert answers(line) == [b"0"]
    assert not line.is_open


def test_a_request_that_cannot_be_waited_for_is_refused(
    desk: Desk, waiting: Waiting, caplog: pytest.LogCaptureFixture
) -> None:
    line = desk.connect(GET)
    desk.connections.refuse_running(STOPPING)
    desk.clock.catch_up()
    assert line.heard.startswith(b"HTTP/1.1 503 ")
    assert line.heard.count(b"HTTP/1.1") == 1
    assert waiting.ended == ["/a b"]
    assert not errors_in(caplog)


def test_an_answer_that_has_begun_is_not_followed_by_a_refusal() -> None:
    async def beginning(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start(LENGTH_5))
        await send(body(b"12", more=True))
        await asyncio.get_running_loop().create_future()

    with a_desk(beginning) as desk:
        line = desk.connect(GET)
        desk.connections.refuse_running(STOPPING)
        assert line.heard.endswith(b"\r\n\r\n12")
        assert not line.is_open


def test_a_client_that_leaves_ends_its_request(desk: Desk, waiting: Waiting) -> None:
    line = desk.connect(GET)
    line.hang_up()
    desk.clock.catch_up()
    assert waiting.ended == ["/a b"]
    assert len(desk.connections) == 0
    assert not line.heard


def test_a_head_goes_out_alone_if_its_body_is_long_in_coming() -> None:
    going_on = asyncio.Event()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start(LENGTH_5))
        await going_on.wait()
        await send(body(b"12345"))

    with a_desk(slow) as desk:
        line = desk.connect(GET)
        assert line.heard.startswith(b"HTTP/1.1 200 OK") and line.heard.endswith(b"\r\n\r\n")
        assert line.writes == 1
        going_on.set()
        desk.clock.catch_up()
        assert line.heard.endswith(b"\r\n\r\n12345")
        assert line.writes == 2


def test_a_head_goes_out_with_its_body_if_that_is_there() -> None:
    with a_desk(saying(start(LENGTH_5), body(b"12345"))) as desk:
        line = desk.connect(GET)
        assert line.heard.endswith(b"\r\n\r\n12345")
        assert line.writes == 1


def test_an_answer_that_was_refused_meanwhile_is_not_begun(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def beginning(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start(LENGTH_5))
        stopping.connections.refuse_running(STOPPING)
        await asyncio.get_running_loop().create_future()

    with a_desk(beginning) as stopping:
        line = stopping.connect(GET)
        assert not line.is_open
        assert b" 200 " not in line.heard
        assert not errors_in(caplog)


def test_headers_above_the_bounds_are_refused_as_ever() -> None:
    with a_desk(saying(start(), END), header_count=3, header_bytes=200) as desk:
        few = GET[:-2] + b"A: b\r\n\r\n"
        assert desk.connect(few).heard.startswith(b"HTTP/1.1 200 ")
        assert desk.connect(few[:-2] + b"C: d\r\n\r\n").heard.startswith(b"HTTP/1.1 431 ")
        large = GET[:-2] + b"A: " + b"b" * 200 + b"\r\n\r\n"
        assert desk.connect(large).heard.startswith(b"HTTP/1.1 431 ")
