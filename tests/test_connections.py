"""The bounds on slow and greedy clients, with clients, clock and application of our own."""

import asyncio
import logging
import re
import sys
from collections.abc import Iterator

import pytest
from starlette.types import Receive, Scope, Send

from simpleindex.config import parse_networks
from simpleindex.connections import STOPPING, Bounds
from simpleindex.wire.browser_headers import EVERYWHERE
from tests.lines import READERS, Desk, Line, a_desk, requests_read

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
HEAD_OF_A_POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n"
A_PART = b"GET / HTTP/1.1\r\nHost: "
LARGE = 1 << 20


async def echoing(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with as many bytes as it has got; at `/large` with many more."""
    got, more_body = 0, scope["method"] != "GET"
    while more_body:
        message = await receive()
        if message["type"] == "http.disconnect":
            GONE.append(got)
            return
        got += len(message["body"])
        more_body = message["more_body"]
    body = bytes(LARGE) if scope["path"] == "/large" else b"%d" % got
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


GONE: list[int] = []
"""What `echoing` had got of the requests that were broken off."""


@pytest.fixture(autouse=True, params=READERS.values(), ids=list(READERS))
def _reading(request: pytest.FixtureRequest) -> Iterator[None]:
    with requests_read(request.param):
        yield


@pytest.fixture
def desk() -> Iterator[Desk]:
    GONE.clear()
    with a_desk(echoing) as desk:
        yield desk


def refused(line: Line) -> tuple[int, str]:
    """Status and line of the last answer, which must be complete and as refusals are."""
    *_, last = re.finditer(rb"HTTP/1\.1 (\d{3}) ", bytes(line.heard))
    head, _, body = bytes(line.heard)[last.end() :].partition(b"\r\n\r\n")
    reason, *headers = head.decode().split("\r\n")
    assert body.decode() == f"{reason}\n"
    assert "connection: close" in headers
    assert f"content-length: {len(body)}" in headers
    assert "content-type: text/plain; charset=utf-8" in headers
    assert {f"{name}: {value}" for name, value in EVERYWHERE.items()} <= set(headers)
    return int(last[1]), reason


def test_who_never_says_anything_is_left_without_an_answer(desk: Desk) -> None:
    line = desk.connect()
    desk.clock.pass_time(9.5)
    assert line.is_open
    desk.clock.pass_time(2)
    assert line.is_lost and not line.heard
    assert desk.reasons == ["silent"]
    assert len(desk.connections) == 0


def test_a_header_that_drips_is_refused(desk: Desk) -> None:
    line = desk.connect(A_PART)
    desk.clock.pass_time(12, each=lambda: line.send(b"x"))
    assert refused(line)[0] == 408
    assert not line.is_open
    assert desk.reasons == ["header-too-slow"]


def test_who_begins_late_has_no_more_time_for_it(desk: Desk) -> None:
    line = desk.connect()
    desk.clock.pass_time(9)
    line.send(A_PART)
    desk.clock.pass_time(3)
    assert refused(line)[0] == 408


def test_the_header_of_a_second_request_has_its_own_time(desk: Desk) -> None:
    line = desk.connect(REQUEST)
    desk.clock.pass_time(20)
    line.send(A_PART)
    desk.clock.pass_time(9)
    assert line.is_open
    desk.clock.pass_time(3)
    assert refused(line)[0] == 408


def test_a_part_of_a_header_behind_a_request_is_timed_too(desk: Desk) -> None:
    line = desk.connect(REQUEST + A_PART)
    desk.clock.pass_time(12)
    assert refused(line)[0] == 408


def test_a_refused_client_that_stays_is_cut_off(desk: Desk) -> None:
    line = desk.connect(A_PART)
    line.reads = False
    desk.clock.pass_time(12, each=lambda: line.send(b"x"))
    assert not line.is_lost
    desk.clock.pass_time(6, each=lambda: line.send(b"x" * 1000))
    assert line.is_lost
    assert desk.reasons == ["header-too-slow"]


@pytest.mark.parametrize(
    ("sent", "seconds"),
    [
        pytest.param(b"", 12, id="silent"),
        pytest.param(A_PART, 12, id="slow"),
        pytest.param(b"what?\r\n\r\n", 0, id="malformed"),
        pytest.param(HEAD_OF_A_POST + b"\r\n", 22, id="slow body"),
        pytest.param(REQUEST, 32, id="idle"),
        pytest.param(REQUEST.replace(b"1.1", b"1.0"), 0, id="last request"),
    ],
)
def test_who_does_not_say_goodbye_over_tls_is_cut_off(
    sent: bytes, seconds: float, desk: Desk
) -> None:
    line = desk.connect(sent, tls=True)
    desk.clock.pass_time(seconds)
    assert not line.is_open and not line.is_lost
    assert len(desk.connections) == 0
    desk.clock.pass_time(6)
    assert line.is_lost


@pytest.mark.parametrize("version", ["0.9", "2.0", "9.9"])
def test_a_version_of_http_that_is_not_spoken_here_is_refused(version: str, desk: Desk) -> None:
    line = desk.connect(REQUEST.replace(b"1.1", version.encode()))
    assert refused(line) == (400, "only HTTP/1.1 and HTTP/1.0 are understood here")
    assert desk.reasons == ["malformed"]


def test_who_takes_a_last_answer_over_tls_and_stays_is_cut_off(desk: Desk) -> None:
    line = desk.connect(tls=True)
    line.reads = False
    line.send(b"GET / HTTP/1.0\r\n\r\n")
    desk.clock.pass_time(20)
    assert not line.is_lost
    line.read(1000)
    desk.clock.pass_time(8)
    assert line.is_lost
    assert desk.reasons == []


def test_a_stop_does_not_wait_for_goodbyes_over_tls(desk: Desk) -> None:
    lines = [desk.connect(sent, tls=True) for sent in (b"", b"what?\r\n\r\n", REQUEST)]
    late = desk.connect(tls=True)
    late.reads = False
    late.send(b"GET / HTTP/1.0\r\n\r\n")
    assert late.get_write_buffer_size()
    desk.stop()
    assert all(line.is_lost for line in lines)
    assert not late.is_lost
    desk.clock.pass_time(62)
    assert late.is_lost


def test_an_idle_connection_is_closed_without_a_word(desk: Desk) -> None:
    line = desk.connect(REQUEST)
    heard = bytes(line.heard)
    desk.clock.pass_time(29)
    assert line.is_open
    desk.clock.pass_time(3)
    assert line.is_lost and line.heard == heard
    assert desk.reasons == []


def test_a_connection_that_is_used_stays(desk: Desk) -> None:
    line = desk.connect()
    desk.clock.pass_time(1)
    for _ in range(20):
        line.send(REQUEST[:10], REQUEST[10:])
        desk.clock.pass_time(8)
    assert line.is_open
    assert line.heard.count(b"200 OK") == 20


def test_a_body_that_does_not_come_is_refused(desk: Desk) -> None:
    line = desk.connect(HEAD_OF_A_POST + b"\r\n")
    desk.clock.pass_time(19)
    assert line.is_open
    desk.clock.pass_time(3)
    assert refused(line)[0] == 408
    assert desk.reasons == ["body-too-slow"]
    assert GONE == [0]


def test_a_body_that_drips_is_refused_and_its_request_ends(desk: Desk) -> None:
    line = desk.connect(HEAD_OF_A_POST + b"\r\n")
    desk.clock.pass_time(45, each=lambda: line.send(b"x" * 128))
    assert refused(line)[0] == 408
    assert 18_000 < GONE[0] < 25_000


def test_a_body_of_two_kilobytes_a_second_is_waited_for(desk: Desk) -> None:
    line = desk.connect(HEAD_OF_A_POST + b"\r\n")
    desk.clock.pass_time(480, each=lambda: line.send(b"x" * 512))
    assert line.is_open
    line.send(bytes(1_000_000 - 480 * 4 * 512))
    assert line.heard.endswith(b"1000000")


def test_a_fast_body_may_pause_but_not_for_ever(desk: Desk) -> None:
    line = desk.connect(HEAD_OF_A_POST + b"\r\n", b"x" * 500_000)
    desk.clock.pass_time(58)
    assert line.is_open
    desk.clock.pass_time(4)
    assert refused(line)[0] == 408


def test_time_in_which_we_do_not_read_is_no_fault_of_the_client() -> None:
    reading: list[Receive] = []

    async def busy(scope: Scope, receive: Receive, send: Send) -> None:
        reading.append(receive)
        await asyncio.get_running_loop().create_future()

    with a_desk(busy) as desk:
        line = desk.connect(HEAD_OF_A_POST + b"\r\n", b"x" * 100_000)
        assert line.is_paused
        desk.clock.pass_time(500)
        assert line.is_open
        message = desk.clock.run_until_complete(reading[0]())
        assert len(message["body"]) == 100_000
        desk.clock.pass_time(70)
        assert refused(line)[0] == 408


def test_who_waits_to_be_asked_for_the_body_is_not_slow() -> None:
    async def busy(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.get_running_loop().create_future()

    with a_desk(busy) as desk:
        line = desk.connect(HEAD_OF_A_POST + b"Expect: 100-continue\r\n\r\n")
        desk.clock.pass_time(100)
        assert line.is_open and not line.heard


def test_the_rest_of_a_refused_body_must_come_in_time_too() -> None:
    async def refusing(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 401, "headers": headers})
        await send({"type": "http.response.body"})

    with a_desk(refusing) as desk:
        line = desk.connect(HEAD_OF_A_POST + b"\r\n", b"x" * 1000)
        heard = bytes(line.heard)
        assert b" 401 " in heard
        desk.clock.pass_time(25)
        assert not line.is_open
        assert line.heard == heard  # there is nothing more to answer
        assert desk.reasons == ["body-too-slow"]


def test_an_answer_that_nobody_reads_is_given_up(desk: Desk) -> None:
    line = desk.connect()
    line.reads = False
    line.send(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
    assert 64 << 10 < line.get_write_buffer_size() < 512 << 10
    desk.clock.pass_time(58)
    assert not line.is_lost
    desk.clock.pass_time(4)
    assert line.is_lost
    assert desk.reasons == ["unread"]


def test_an_answer_that_is_read_slowly_is_waited_for(desk: Desk) -> None:
    line = desk.connect()
    line.reads = False
    line.send(b"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    desk.clock.pass_time(800, each=lambda: line.read(300))
    assert not line.is_lost
    while not line.is_lost:
        line.read(100_000)
    assert len(line.heard.partition(b"\r\n\r\n")[2]) == LARGE
    assert desk.reasons == []


def test_an_answer_that_is_read_byte_by_byte_is_given_up(desk: Desk) -> None:
    line = desk.connect()
    line.reads = False
    line.send(b"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    desk.clock.pass_time(80, each=lambda: line.read(1))
    assert line.is_lost
    assert desk.reasons == ["unread"]


def test_an_answer_to_an_unfinished_request_is_sent_to_its_end() -> None:
    async def refusing(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"connection", b"close")]
        await send({"type": "http.response.start", "status": 413, "headers": headers})
        await send({"type": "http.response.body", "body": bytes(50_000)})

    with a_desk(refusing) as desk:
        line = desk.connect()
        line.reads = False
        line.send(HEAD_OF_A_POST + b"\r\n")
        desk.clock.pass_time(100, each=lambda: line.read(100))
        assert not line.is_lost
        line.read(50_000)
        assert line.is_lost
        assert desk.reasons == []


def test_requests_without_end_are_not_read_while_answers_wait(desk: Desk) -> None:
    line = desk.connect()
    line.reads = False
    sent = 0
    while not line.is_paused and sent < 100:
        line.send(b"POST /large HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n" * 1000)
        sent += 1
    assert sent < 3
    assert line.get_write_buffer_size() < 512 << 10
    desk.clock.pass_time(62)
    assert line.is_lost


def test_requests_that_have_come_together_are_answered_in_turn(desk: Desk) -> None:
    line = desk.connect()
    posts = b"".join(
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (size, bytes(size))
        for size in range(200)
    )
    line.send(posts)
    while line.is_paused:
        desk.clock.catch_up()
    answers = re.findall(rb"\r\n\r\n(\d+)", bytes(line.heard))
    assert answers == [b"%d" % size for size in range(200)]


@pytest.mark.parametrize(
    ("sent", "status", "reason"),
    [
        pytest.param(b"\x16\x03\x01\x02", 400, "malformed", id="TLS"),
        pytest.param(b"what?\r\n\r\n", 400, "malformed", id="no request line"),
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", 400, "malformed", id="no Host"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\nA b: c\r\n\r\n", 400, "malformed", id="header"),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", 400, "malformed",
            id="transfer encoding",
        ),
        pytest.param(
            b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"x" * 33_000, 431, "header-too-large",
            id="large header that goes on",
        ),
        pytest.param(
            b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"x" * 33_000 + b"\r\n\r\n", 431,
            "header-too-large", id="large header",
        ),
        pytest.param(
            b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 100 + b"\r\n", 431,
            "header-too-large", id="many headers",
        ),
        pytest.param(
            b"GET /" + b"x" * 33_000, 414, "header-too-large", id="long URL that goes on"
        ),
        pytest.param(
            b"GET /" + b"x" * 33_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414, "header-too-large",
            id="long URL",
        ),
    ],
)  # fmt: skip
def test_what_is_no_request_is_refused(sent: bytes, status: int, reason: str, desk: Desk) -> None:
    line = desk.connect(sent)
    assert refused(line)[0] == status
    assert desk.reasons == [reason]
    line = desk.connect(REQUEST)  # and so is the second on a connection
    line.send(sent)
    assert refused(line)[0] == status
    assert line.heard.count(b"\r\n\r\n") == 2


@pytest.mark.parametrize("before", [b"", REQUEST])
def test_a_large_header_whose_end_comes_later_is_refused(before: bytes, desk: Desk) -> None:
    line = desk.connect(before + REQUEST[:-2] + b"A: b\r\n")
    line.send(b"B: " + b"x" * 33_000 + b"\r\n\r\n")
    assert refused(line)[0] == 431


def test_a_header_just_below_the_bounds_is_taken(desk: Desk) -> None:
    line = desk.connect(b"GET /" + b"x" * 15_000 + b" HTTP/1.1\r\nHost: x\r\n")
    line.send(b"A: b\r\n" * 98 + b"B: " + b"x" * 17_000 + b"\r\n\r\n")
    assert line.heard.startswith(b"HTTP/1.1 200 OK")


CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "rest", [b"zz\r\n", b"3\r\nabcdef\r\n", b"1" * 40_000, b"0\r\nA" + b"x" * 40_000]
)
def test_a_body_that_goes_wrong_is_refused(
    rest: bytes, desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    line = desk.connect(CHUNKED + b"3\r\nabc\r\n", rest)
    assert refused(line)[0] == 400
    assert len(GONE) == 1
    desk.clock.pass_time(6)
    assert line.is_lost
    assert desk.reasons == ["malformed"]
    assert [record.name for record in caplog.records if record.levelno > logging.INFO] == []


def test_a_body_that_goes_wrong_in_mid_answer_ends_it() -> None:
    async def answering(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"so far", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass

    with a_desk(answering) as desk:
        line = desk.connect(CHUNKED)
        line.send(b"zz\r\n")
        assert line.heard.count(b"HTTP/1.1 ") == 1
        assert not line.heard.endswith(b"0\r\n\r\n")
        assert not line.is_open


def test_a_body_in_crumbs_is_refused(desk: Desk) -> None:
    line = desk.connect(CHUNKED)
    line.send(b"1\r\nx\r\n" * 5000)
    assert line.is_open
    line.send(b"1\r\nx\r\n" * 40_000)
    assert refused(line)[0] == 400
    assert GONE and GONE[0] <= 5000
    assert desk.reasons == ["malformed"]


def test_a_body_in_many_chunks_is_taken(desk: Desk) -> None:
    line = desk.connect(CHUNKED, b"80\r\n%s\r\n" % bytes(128) * 6000)
    line.send(b"1\r\nx\r\n" * 4000, b"0\r\n\r\n")
    line.send(CHUNKED, b"1\r\nx\r\n" * 4000, b"0\r\n\r\n")
    assert b"\r\n\r\n772000" in line.heard
    assert line.heard.endswith(b"\r\n\r\n4000")


def test_what_follows_the_last_request_does_not_matter(desk: Desk) -> None:
    line = desk.connect(b"GET /large HTTP/1.0\r\n\r\n", b"\r\nwhat?")
    assert line.heard.count(b"HTTP/1.1 ") == 1
    assert line.is_lost
    assert desk.reasons == []


def test_an_upgrade_that_is_not_to_be_had_is_no_news(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    upgrade = b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    line = desk.connect(REQUEST.removesuffix(b"\r\n") + upgrade, REQUEST)
    assert line.heard.count(b"HTTP/1.1 200 OK") == 2
    assert [record.name for record in caplog.records if record.levelno > logging.INFO] == []


def test_who_has_no_request_running_makes_room_for_others() -> None:
    with a_desk(echoing, connections=3) as desk:
        used, silent, half = desk.connect(REQUEST), desk.connect(), desk.connect(A_PART)
        used.send(REQUEST)  # so that it has waited for less long than the others
        for waiting in (silent, half, used):
            line = desk.connect(HEAD_OF_A_POST + b"\r\n")
            assert waiting.is_lost
            assert line.is_open
        assert desk.reasons == ["made-room"] * 3
        assert len(desk.connections) == 3


def test_where_all_are_busy_a_new_one_is_refused() -> None:
    with a_desk(echoing, connections=3) as desk:
        busy = [desk.connect(HEAD_OF_A_POST + b"\r\n") for _ in range(3)]
        line = desk.connect(REQUEST)
        assert refused(line)[0] == 503
        assert b"retry-after: 5\r\n" in line.heard
        assert desk.reasons == ["too-many-connections"]
        busy[0].hang_up()
        assert desk.connect(REQUEST).heard.startswith(b"HTTP/1.1 200 OK")


def test_an_answer_on_its_way_is_not_cut_to_make_room() -> None:
    with a_desk(echoing, connections=1) as desk:
        reader = desk.connect()
        reader.reads = False
        reader.send(REQUEST)
        assert refused(desk.connect(REQUEST))[0] == 503
        reader.read(1000)
        assert desk.connect(REQUEST).heard.startswith(b"HTTP/1.1 200 OK")
        assert reader.is_lost


def test_one_address_cannot_have_all_connections() -> None:
    with a_desk(echoing, connections_per_address=2) as desk:
        greedy = [desk.connect(HEAD_OF_A_POST + b"\r\n") for _ in range(2)]
        assert refused(desk.connect(REQUEST))[0] == 503
        assert desk.connect(REQUEST, address="192.0.2.2").heard.startswith(b"HTTP/1.1 200 OK")
        greedy[0].hang_up()
        again = desk.connect(REQUEST)
        assert again.heard.startswith(b"HTTP/1.1 200 OK")
        desk.connect(REQUEST)
        assert again.is_lost


@pytest.mark.parametrize("address", ["192.0.2.7", "127.0.0.1", "127.0.0.9", "::1", None])
def test_where_everybody_may_come_from_counts_as_no_address(address: str | None) -> None:
    with a_desk(echoing, connections_per_address=1, exempt=("192.0.2.7",)) as desk:
        lines = [desk.connect(A_PART, address=address) for _ in range(9)]
        assert all(line.is_open for line in lines)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("fe80::1%eth0", "fe80::2%eth0", True),
    ],
)
def test_one_client_has_a_whole_network_of_ipv6(one: str, other: str, same: bool) -> None:
    with a_desk(echoing, connections_per_address=1) as desk:
        first = desk.connect(address=one)
        desk.connect(address=other)
        assert first.is_lost is same


def test_many_who_are_refused_take_no_room() -> None:
    with a_desk(echoing, connections=1) as desk:
        desk.connect(HEAD_OF_A_POST + b"\r\n")
        refused_ones = [desk.connect() for _ in range(300)]
        assert sum(not line.is_lost for line in refused_ones) == 100
        desk.clock.pass_time(6)
        assert all(line.is_lost for line in refused_ones)


def test_no_bound_means_none() -> None:
    with a_desk(echoing, connections=0, connections_per_address=0) as desk:
        lines = [desk.connect(HEAD_OF_A_POST + b"\r\n") for _ in range(1500)]
        assert all(line.is_open for line in lines)


def test_other_bounds_hold_for_who_comes_after_them() -> None:
    with a_desk(echoing, connections=3, connections_per_address=3) as desk:
        busy = [desk.connect(HEAD_OF_A_POST + b"\r\n") for _ in range(3)]
        desk.connections.bound(Bounds(connections=2, connections_per_address=3), ())
        assert all(line.is_open for line in busy)
        assert refused(desk.connect(REQUEST, address="192.0.2.2"))[0] == 503
        desk.connections.bound(Bounds(connections=9, connections_per_address=1), ())
        assert refused(desk.connect(REQUEST))[0] == 503
        proxies = parse_networks("192.0.2.1")
        desk.connections.bound(Bounds(connections=9, connections_per_address=1), proxies)
        assert desk.connect(REQUEST).heard.startswith(b"HTTP/1.1 200 OK")


def test_a_stop_closes_all_that_has_no_request_running(desk: Desk) -> None:
    waiting = [desk.connect(), desk.connect(A_PART), desk.connect(REQUEST)]
    leaving = desk.connect(b"what?\r\n\r\n")
    busy = desk.connect(HEAD_OF_A_POST + b"\r\n")
    desk.stop()
    assert all(line.is_lost for line in [*waiting, leaving])
    assert busy.is_open
    busy.send(bytes(1_000_000))
    assert b"1000000" in busy.heard
    assert busy.is_lost


def test_however_many_requests_are_running_each_is_refused_and_one_line_tells_of_them(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "simpleindex")
    busy = [desk.connect(HEAD_OF_A_POST + b"\r\n") for _ in range(150)]
    idle = desk.connect(REQUEST)
    desk.connections.refuse_running(STOPPING)
    desk.clock.catch_up()
    assert {refused(line)[0] for line in busy} == {503}
    assert idle.heard.count(b"HTTP/1.1 ") == 1
    assert len(GONE) == 150
    (line,) = caplog.messages
    assert line.startswith("stopping: closed 150 connections whose request was not done ")
    desk.connections.cut()
    desk.clock.catch_up()
    assert all(line.is_lost for line in [*busy, idle])
    assert desk.reasons == ["stopping"] * 150


def test_requests_that_are_given_up_end_without_ado(caplog: pytest.LogCaptureFixture) -> None:
    async def hanging(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.get_running_loop().create_future()

    with a_desk(hanging) as desk:
        refused_one, gone = desk.connect(REQUEST), desk.connect(REQUEST)
        gone.hang_up()
        desk.connections.refuse_running(STOPPING)
        desk.give_up()
        assert refused(refused_one)[0] == 503
    assert [record.name for record in caplog.records if record.levelno > logging.WARNING] == []


def test_nothing_is_looked_at_when_nobody_is_here(desk: Desk) -> None:
    desk.connect(REQUEST).hang_up()
    desk.clock.pass_time(2)
    assert desk.clock._scheduled == []  # type: ignore[attr-defined]  # asyncio tells no other way


def test_a_flood_does_not_flood_the_log(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "simpleindex")
    for number in range(50):
        desk.connect(b"what?\r\n\r\n", address=f"192.0.2.{number}")
    assert caplog.messages == [
        "malformed: closed 1 connection whose request was malformed, the last from 192.0.2.0"
    ]
    desk.clock.pass_time(12)
    assert caplog.messages[1:] == [
        "malformed: closed 49 connections whose request was malformed, the last from 192.0.2.49"
    ]
    assert desk.reasons == ["malformed"] * 50


def test_several_processes_share_the_bounds_on_connections() -> None:
    shared = Bounds(connections=10, connections_per_address=0).divided(3)
    assert (shared.connections, shared.connections_per_address) == (4, 0)
    assert shared.header_seconds == Bounds().header_seconds


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such limit on Windows")
@pytest.mark.parametrize(
    ("limits", "wanted", "connections", "soft_after"),
    [
        pytest.param((256, 4096), 1000, 1000, 2100, id="raised"),
        pytest.param((256, 1024), 1000, 462, 1024, id="as far as it goes"),
        pytest.param((256, 1024), 0, 462, 1024, id="no bound"),
        pytest.param((512, 4096), 50, 50, 512, id="enough"),
        pytest.param((64, 64), 1000, 1, 64, id="hardly any"),
    ],
)
def test_there_are_not_more_connections_than_open_files(
    limits: tuple[int, int],
    wanted: int,
    connections: int,
    soft_after: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import resource

    now = [limits]
    monkeypatch.setattr(resource, "getrlimit", lambda which: now[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda which, both: now.append(both))
    bounds = Bounds(connections=wanted).within_descriptors()
    assert bounds.connections == connections
    assert now[-1][0] == soft_after
