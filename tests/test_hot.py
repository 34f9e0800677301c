"""Answers that are given again without asking the application."""

import random
import re
from collections.abc import Iterator
from datetime import timedelta

import pytest

from simpleindex.events import Event
from simpleindex.hot import Standing
from simpleindex.protocol_output import SLICE_BYTES
from tests.hot_site import (
    EARLIER,
    HEAD,
    NOW,
    REQUEST,
    SPOKEN_FOR,
    Site,
    ask,
    heated,
    hot_answers,
)
from tests.lines import READERS, Desk, a_desk, requests_read


@pytest.fixture(autouse=True, params=READERS.values(), ids=list(READERS))
def _reading(request: pytest.FixtureRequest) -> Iterator[None]:
    with requests_read(request.param):
        yield


@pytest.fixture
def site() -> Site:
    return Site()


@pytest.fixture
def desk(site: Site) -> Iterator[Desk]:
    with a_desk(site, hot=hot_answers(site)) as desk:
        desk.tell_date(EARLIER)
        yield desk


def test_the_third_who_asks_in_the_same_words_gets_the_same_answer_at_once(
    desk: Desk, site: Site
) -> None:
    line = desk.connect()
    first, second, third = (ask(line, REQUEST) for _ in range(3))
    assert site.calls == 2
    assert first == second
    assert third == second.replace(EARLIER.encode(), b"Fri, 02 Jan 2026 03:04:05 GMT")
    assert third.endswith(b"\r\n\r\nthe page")
    assert ask(desk.connect(address="192.0.2.9"), REQUEST) == third
    assert site.calls == 2


def test_the_date_is_that_of_the_moment(desk: Desk, site: Site) -> None:
    line = heated(desk)
    dates = []
    for _ in range(3):
        site.now += 0.9
        dates += re.findall(rb"date: (.*) GMT\r\n", ask(line, REQUEST))
    assert [date[-2:] for date in dates] == [b"05", b"06", b"07"]


@pytest.mark.parametrize("serials", [(2, 1), (1, 2), None])
def test_nothing_is_told_of_before_a_change(
    desk: Desk, site: Site, serials: tuple[int, int] | None
) -> None:
    line = heated(desk)
    site.serials, site.body = serials, b"another page"
    assert ask(line, REQUEST).endswith(b"another page")


def test_what_changed_is_kept_anew_at_once(desk: Desk, site: Site) -> None:
    line = heated(desk)
    site.serials = (2, 1)
    ask(line, REQUEST)
    ask(line, REQUEST)
    assert site.calls == 3


def test_what_was_made_while_something_changed_is_not_kept(desk: Desk, site: Site) -> None:
    site.serials = None
    line = heated(desk)
    site.serials = (2, 1)
    ask(line, REQUEST)
    assert site.calls == 3


def test_what_no_door_vouches_for_is_made_anew_each_time(desk: Desk, site: Site) -> None:
    site.standing = None
    line = heated(desk)
    ask(line, REQUEST)
    assert site.calls == 3


@pytest.mark.parametrize("seconds", [0, 9])
def test_what_time_changes_is_told_until_then(desk: Desk, site: Site, seconds: int) -> None:
    site.standing = Standing(NOW + timedelta(seconds=10), NOW)
    line = heated(desk)
    site.now += seconds
    ask(line, REQUEST)
    assert site.calls == 2


@pytest.mark.parametrize("seconds", [-1, 10])
def test_what_time_may_have_changed_is_not_told(desk: Desk, site: Site, seconds: int) -> None:
    """Also where the clock was put back."""
    site.standing = Standing(NOW + timedelta(seconds=10), NOW)
    line = heated(desk)
    site.now += seconds
    ask(line, REQUEST)
    assert site.calls == 3


@pytest.mark.parametrize(
    "header",
    [
        "Authorization: Basic cm9vdDo=",
        "X-Devpi-Auth: cm9vdDo=",
        "Cookie: a=b",
        "Proxy-Authorization: Basic cm9vdDo=",
        "Expect: 100-continue",
        "Upgrade: h2c",
        "Connection: close",
        "Connection: keep-alive, X-A",
        "Content-Length: 0",
        "Transfer-Encoding: chunked",
        "TE: trailers",
    ],
)
def test_whoever_says_who_it_is_or_wants_something_special_is_answered_anew(
    desk: Desk, site: Site, header: str
) -> None:
    body = b"0\r\n\r\n" if header.startswith("Transfer") else b""
    request = HEAD + header.encode() + b"\r\n\r\n" + body
    for _ in range(3):
        ask(desk.connect(), request)
    assert site.calls == 3


def test_requests_of_http_1_0_are_answered_anew(desk: Desk, site: Site) -> None:
    for _ in range(3):
        ask(desk.connect(), REQUEST.replace(b"1.1", b"1.0"))
    assert site.calls == 3


def test_the_usual_word_for_a_connection_that_stays_does_no_harm(desk: Desk, site: Site) -> None:
    request = HEAD + b"Connection: keep-alive\r\n\r\n"
    line = heated(desk, request)
    assert ask(line, request).endswith(b"the page")
    assert site.calls == 2


def test_head_is_another_request(desk: Desk, site: Site) -> None:
    line = heated(desk)
    head = REQUEST.replace(b"GET", b"HEAD")
    assert [ask(line, head)[-4:] for _ in range(3)] == [b"\r\n\r\n"] * 3
    assert site.calls == 4


def test_two_requests_at_once_are_two(desk: Desk, site: Site) -> None:
    line = heated(desk)
    for _ in range(3):
        assert ask(line, REQUEST * 2).count(b"the page") == 2
    assert site.calls == 8


def test_a_request_in_parts_is_one(desk: Desk, site: Site) -> None:
    line = heated(desk)
    for _ in range(3):
        assert ask(line, REQUEST[:9], REQUEST[9:]).count(b"the page") == 1
    assert site.calls == 5


def test_what_looks_like_a_request_in_a_body_is_none(desk: Desk, site: Site) -> None:
    line = heated(desk)
    post = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(REQUEST)
    assert ask(line, post, REQUEST).count(b"HTTP/1.1 200") == 1
    assert site.calls == 3
    assert ask(line, REQUEST).count(b"the page") == 1
    assert site.calls == 3


def test_a_part_of_a_header_is_not_lost_to_a_known_request(desk: Desk, site: Site) -> None:
    line = heated(desk)
    assert ask(line, b"GET /other/ HTTP/1.1\r\nX-A: ", REQUEST).count(b"HTTP/1.1 200") == 1
    assert site.calls == 3


def test_who_does_not_read_is_answered_as_slowly_as_ever(desk: Desk, site: Site) -> None:
    line = heated(desk)
    line.reads = False
    ask(line, REQUEST)
    assert site.calls == 2
    ask(line, REQUEST)
    assert site.calls == 3


def test_each_answer_is_counted_and_logged_with_the_address_of_its_client(
    desk: Desk, site: Site
) -> None:
    site.is_logging = True
    site.standing = Standing(event=Event.PAGE_REMEMBERED)
    line = heated(desk)
    assert (site.lines, site.waiting, site.answered_often) == ([], [], 0)
    for _ in range(5):
        ask(line, REQUEST)
    ask(desk.connect(address="192.0.2.9"), REQUEST)
    desk.clock.pass_time(1)
    assert (site.answered_often, site.events) == (6, 6)
    assert site.lines == ["192.0.2.1"] * 5 + ["192.0.2.9"]
    ask(line, REQUEST)
    desk.clock.pass_time(1)
    assert site.answered_often == 7


def test_what_a_proxy_that_is_trusted_has_asked_for_is_for_it_alone(site: Site) -> None:
    site.is_logging = True
    with a_desk(site, hot=hot_answers(site, "192.0.2.0/30")) as desk:
        desk.tell_date(EARLIER)
        heated(desk)  # at 192.0.2.1
        ask(desk.connect(address="192.0.2.1"), REQUEST)
        assert site.calls == 2
        ask(desk.connect(address="192.0.2.2"), REQUEST)
        ask(desk.connect(address="192.0.2.9"), REQUEST)
        assert site.calls == 4
        desk.clock.pass_time(1)
        assert site.lines == [SPOKEN_FOR]


def test_other_settings_know_nothing_of_what_was_kept(desk: Desk, site: Site) -> None:
    line = heated(desk)
    desk.take_over(hot_answers(site, "192.0.2.1"))
    ask(line, REQUEST)
    assert site.calls == 3
    ask(line, REQUEST)
    ask(line, REQUEST)
    ask(desk.connect(address="192.0.2.9"), REQUEST)
    assert site.calls == 5


def test_a_connection_that_is_answered_at_once_stays_open(desk: Desk) -> None:
    idle_seconds = desk.connections.bounds.idle_seconds
    line = heated(desk)
    for _ in range(3):
        desk.clock.pass_time(idle_seconds * 0.7)
        assert ask(line, REQUEST).endswith(b"the page")
    desk.clock.pass_time(idle_seconds * 1.5)
    assert not line.is_open


def test_who_is_answered_at_once_is_not_silent(desk: Desk) -> None:
    heated(desk)
    line = desk.connect(REQUEST)
    desk.clock.pass_time(12)  # silent ones are closed by then
    assert line.is_open


def test_what_was_asked_for_longest_ago_goes_when_the_memory_is_full(
    desk: Desk, site: Site
) -> None:
    site.body = bytes(100_000)
    requests = [b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % number for number in range(11)]
    for request in requests[:10]:
        heated(desk, request)
    line = desk.connect(requests[0])
    assert site.calls == 20
    desk.clock.pass_time(1)  # it is known now that the first is still wanted
    heated(desk, requests[10])
    assert site.calls == 22
    ask(line, requests[0])
    assert site.calls == 22
    ask(line, requests[1])
    assert site.calls == 23


def test_what_is_too_large_to_be_kept_is_made_anew(desk: Desk, site: Site) -> None:
    site.body = bytes(1 << 20)
    line = heated(desk)
    ask(line, REQUEST)
    assert site.calls == 3


def test_a_large_answer_goes_out_as_fast_as_it_is_read(desk: Desk, site: Site) -> None:
    site.body = random.Random(1).randbytes(700 << 10)
    line = heated(desk)
    line.reads = False
    line.heard.clear()
    line.send(REQUEST)
    assert line.get_write_buffer_size() == SLICE_BYTES
    line.send(REQUEST)  # its turn is when the first is done
    for _ in range(30):
        assert line.get_write_buffer_size() <= SLICE_BYTES + (16 << 10)
        line.read(50_000)
    assert site.calls == 3
    _, *answers = line.heard.split(b"HTTP/1.1 200 OK\r\n")
    assert [answer.partition(b"\r\n\r\n")[2] == site.body for answer in answers] == [True, True]
    line.reads = True
    assert ask(line, REQUEST).endswith(site.body)
    assert site.calls == 3


def test_who_hangs_up_in_the_middle_of_a_large_answer_is_forgotten(desk: Desk, site: Site) -> None:
    site.body = bytes(700 << 10)
    line = heated(desk)
    line.reads = False
    line.send(REQUEST)
    assert line.is_open
    line.hang_up()
    assert site.calls == 2
    assert ask(desk.connect(), REQUEST).endswith(site.body)


def test_who_does_not_read_a_large_answer_is_hung_up_on(desk: Desk, site: Site) -> None:
    site.body = bytes(700 << 10)
    line = heated(desk)
    line.reads = False
    line.send(REQUEST)
    desk.clock.pass_time(desk.connections.bounds.unread_seconds + 2)
    assert not line.is_open
