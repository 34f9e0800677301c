"""Answers that are given again to requests in other words, which ask for the same."""

import random
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin

import pytest
from starlette.datastructures import Headers

from simpleindex.config import HandOver, parse_networks
from simpleindex.events import Event
from simpleindex.hot import MATTERS, HotAnswers, Standing
from simpleindex.wire.plain_request import PlainRequest, read_plain
from tests.builders import a_wheel
from tests.hot_site import EARLIER, HEAD, SPOKEN_FOR, Site, ask, heated, hot_answers
from tests.lines import Desk, a_desk, requests_read
from tests.routes.sites import V1_HTML, V1_JSON, WHEEL, a_site, prepare
from tests.routes.sites import Site as Stored

REGISTERED = """
accept-charset accept-datetime accept-language access-control-request-method cache-control
content-type date depth device-memory dnt dpop early-data forwarded from front-end-https
if-schedule-tag-match keep-alive link max-forwards origin pragma prefer priority referer save-data
sec-fetch-dest sec-fetch-mode sec-gpc surrogate-capability timeout traceparent tracestate
user-agent via viewport-width want-digest warning x-correlation-id x-csrf-token x-devpi-client
x-forwarded-for x-forwarded-port x-forwarded-prefix x-forwarded-scheme x-forwarded-server
x-http-method-override x-original-uri x-original-url x-real-ip x-request-id x-requested-with
x-rewrite-url
"""
"""Headers that clients and proxies send; some of them mean something elsewhere."""

PROXY = "192.0.2.1"
PIP = HEAD + b"Accept: a/b\r\nUser-Agent: pip/26.2\r\n"


@pytest.fixture
def site() -> Site:
    return Site()


@pytest.fixture
def desk(site: Site) -> Iterator[Desk]:
    with a_desk(site, hot=hot_answers(site)) as desk:
        desk.tell_date(EARLIER)
        heated(desk, PIP + b"\r\n")
        yield desk


def test_who_asks_for_the_same_by_another_name_gets_the_same_answer_at_once(
    desk: Desk, site: Site
) -> None:
    line = desk.connect()
    known = ask(line, PIP + b"\r\n")
    assert ask(line, PIP.replace(b"pip/26.2", b"uv/0.13") + b"\r\n") == known
    assert ask(line, PIP.replace(b"User-Agent: pip/26.2\r\n", b"") + b"\r\n") == known
    assert site.calls == 2


def test_in_which_words_each_came_is_told(desk: Desk, site: Site) -> None:
    pip, uv = PIP + b"\r\n", PIP.replace(b"pip/26.2", b"uv/0.13") + b"\r\n"
    line = desk.connect()
    for request in (pip, uv, pip, uv, uv, pip, uv):
        ask(line, request)
    assert uv in site.words  # its first words were not known yet
    desk.clock.pass_time(1)
    assert site.words == {pip: 3, uv: 4}


def test_of_words_that_make_room_for_others_it_is_told_how_often_they_came(
    desk: Desk, site: Site
) -> None:
    line = desk.connect()
    requests = [PIP + b"X-Number: %d\r\n\r\n" % number for number in range(100)]
    for _ in range(4):
        for request in requests:
            ask(line, request)
    desk.clock.pass_time(1)
    assert site.words == dict.fromkeys(requests, 4)
    assert site.calls == 2


@pytest.mark.parametrize("name", [b"Via", b"X-Real-IP", b"X-Request-Id", b"X-Whatever"])
def test_headers_that_do_not_matter_make_no_difference(name: bytes, desk: Desk, site: Site) -> None:
    for number in range(3):
        assert ask(desk.connect(), PIP + name + b": %d\r\n\r\n" % number).endswith(b"the page")
    assert site.calls == 2


def test_for_whom_a_proxy_asks_makes_no_difference_but_that_it_does(desk: Desk, site: Site) -> None:
    line = desk.connect()
    for number in range(5):
        ask(line, PIP + b"X-Forwarded-For: 198.51.100.%d\r\n\r\n" % number)
    assert site.calls == 4
    ask(line, PIP + b"\r\n")
    assert site.calls == 4


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(PIP.replace(b"/page/", b"/page/?a"), id="another query"),
        pytest.param(PIP.replace(b"GET", b"HEAD"), id="another method"),
        pytest.param(PIP.replace(b"a/b", b"a/c"), id="another Accept"),
        pytest.param(PIP.replace(b"Accept:", b"Accept-Encoding:"), id="another name"),
        pytest.param(PIP + b"Accept: a/b\r\n", id="Accept twice"),
        pytest.param(PIP.replace(b"Host: x", b"Host: y"), id="another Host"),
        pytest.param(PIP + b"If-None-Match: *\r\n", id="what it has"),
        pytest.param(PIP + b"Range: bytes=0-1\r\n", id="a part"),
        pytest.param(PIP + b"X-Forwarded-Proto: https\r\n", id="how it comes to a proxy"),
        pytest.param(PIP + b"X-Forwarded-Host: y\r\n", id="what a proxy is called"),
        pytest.param(PIP + b"X-Outside-Url: https://y\r\n", id="our URL"),
        pytest.param(PIP + b"X-Simpleindex-Hops: y\r\n", id="a mirror"),
        pytest.param(PIP + b"Authorization: Basic cm9vdDo=\r\n", id="a password"),
        pytest.param(PIP + b"X-Devpi-Auth: cm9vdDo=\r\n", id="a token"),
        pytest.param(PIP + b"Cookie: a=b\r\n", id="a cookie"),
        pytest.param(PIP + b"Connection: close\r\n", id="the end"),
    ],
)
def test_every_other_difference_is_one(request_: bytes, desk: Desk, site: Site) -> None:
    assert ask(desk.connect(), request_ + b"\r\n").startswith(b"HTTP/1.1 200 OK\r\n")
    assert site.calls == 3


def test_nothing_is_told_by_another_name_of_before_a_change(desk: Desk, site: Site) -> None:
    site.serials, site.body = (2, 1), b"another page"
    line = desk.connect()
    other = PIP.replace(b"pip", b"uv") + b"\r\n"
    assert ask(line, other).endswith(b"another page")
    assert site.calls == 3
    assert ask(line, other).endswith(b"another page")
    assert ask(line, PIP + b"\r\n").endswith(b"another page")
    assert site.calls == 3


def test_two_who_ask_by_other_names_are_enough_to_keep_an_answer(site: Site) -> None:
    with a_desk(site, hot=hot_answers(site)) as desk:
        desk.tell_date(EARLIER)
        line = desk.connect()
        for number in range(9):
            ask(line, HEAD + b"User-Agent: pip/%d\r\n\r\n" % number)
        assert site.calls == 2


def test_words_that_come_again_need_not_be_read_any_more(site: Site) -> None:
    read: list[bytes] = []

    def reading(sent: bytes) -> PlainRequest | None:
        read.append(sent)
        return read_plain(sent)

    with requests_read(reading), a_desk(site, hot=hot_answers(site)) as desk:
        desk.tell_date(EARLIER)
        heated(desk)
        other = HEAD + b"User-Agent: uv\r\n\r\n"
        told = {ask(desk.connect(), other) for _ in range(5)}
        assert len(told) == 1
        assert read.count(other) == 2
        long = HEAD + b"User-Agent: " + b"x" * 5000 + b"\r\n\r\n"
        told |= {ask(desk.connect(), long) for _ in range(5)}
        assert len(told) == 1
        assert read.count(long) == 5
        assert site.calls == 2


def test_each_by_whatever_name_is_counted_and_logged_as_who_it_is(site: Site) -> None:
    site.is_logging = True
    site.standing = Standing(event=Event.PAGE_REMEMBERED)
    with a_desk(site, hot=hot_answers(site, "192.0.2.1")) as desk:
        desk.tell_date(EARLIER)
        heated(desk, PIP + b"\r\n")
        heated(desk, PIP + b"X-Forwarded-For: 198.51.100.9\r\n\r\n")
        proxy = desk.connect(address="192.0.2.1")
        for number in (1, 2, 3, 3, 3):
            spoken_for = b"X-Forwarded-For: 198.51.100.%d\r\n" % number
            ask(
                proxy,
                HEAD + b"Accept: a/b\r\nUser-Agent: uv/%d\r\n" % number + spoken_for + b"\r\n",
            )
        ask(proxy, PIP + b"\r\n")
        desk.clock.pass_time(1)
        assert site.calls == 4
        assert (site.answered_often, site.events) == (6, 6)
        third = ["198.51.100.3"] * 3
        assert site.lines == ["198.51.100.1", "198.51.100.2", *third, SPOKEN_FOR]
        assert site.agents == [b"uv/1", b"uv/2", b"uv/3", b"uv/3", None]


def test_what_is_said_of_oneself_without_a_proxy_is_not_believed(site: Site) -> None:
    site.is_logging = True
    with a_desk(site, hot=hot_answers(site)) as desk:
        desk.tell_date(EARLIER)
        heated(desk, HEAD + b"X-Forwarded-For: 198.51.100.2\r\n\r\n")
        ask(desk.connect(address="192.0.2.9"), HEAD + b"X-Forwarded-For: 198.51.100.1\r\n\r\n")
        desk.clock.pass_time(1)
        assert site.lines == ["192.0.2.9"]


def test_who_asks_in_ever_new_words_drives_out_no_other_answer(site: Site) -> None:
    site.body = bytes(100_000)
    hot = hot_answers(site)
    with a_desk(site, hot=hot) as desk:
        desk.tell_date(EARLIER)
        heated(desk, HEAD.replace(b"page", b"other") + b"\r\n")
        line = heated(desk)
        for number in range(400):
            words = HEAD + b"User-Agent: %d %b\r\n\r\n" % (number, b"x" * 3900)
            for _ in range(3):
                ask(line, words)
        ask(line, HEAD.replace(b"page", b"other") + b"\r\n")
        assert site.calls == 4
        assert 0 < held_bytes(hot) < 600_000


def test_what_is_kept_twice_is_held_once(site: Site) -> None:
    hot = hot_answers(site)
    with a_desk(site, hot=hot) as desk:
        desk.tell_date(EARLIER)
        line = heated(desk)
        once = held_bytes(hot)
        line.reads = False
        for _ in range(8):  # who does not read is answered by the application
            ask(line, HEAD + b"\r\n")
            assert held_bytes(hot) == once
        assert site.calls > 3


def test_words_that_are_read_once_more_are_held_once(site: Site) -> None:
    hot, sent = hot_answers(site), HEAD + b"\r\n"
    with a_desk(site, hot=hot) as desk:
        desk.tell_date(EARLIER)
        heated(desk)
        once, request = held_bytes(hot), read_plain(sent)
        assert request is not None
        peer = hot.peer("http", ("192.0.2.80", 80), "192.0.2.1")
        for _ in range(5):
            assert hot.answer_to_like(peer, sent, request, desk.clock) is not None
            assert held_bytes(hot) == once


def test_words_for_what_is_gone_are_forgotten(site: Site) -> None:
    """Else the memory would fill with them."""
    hot = hot_answers(site)
    with a_desk(site, hot=hot) as desk:
        desk.tell_date(EARLIER)
        line = heated(desk)
        for number in range(20):
            for _ in range(3):
                ask(line, HEAD + b"User-Agent: %d\r\n\r\n" % number)
        assert held_bytes(hot) > 0
        site.serials = None  # nothing holds while something changes
        ask(line, HEAD + b"\r\n")
        assert held_bytes(hot) == 0


def held_bytes(hot: HotAnswers) -> int:
    """What a memory says that it holds, which must be what it does hold."""
    answers, words = hot._answers.values(), hot._words
    assert sum(answer.size_bytes for answer in answers) == hot._bytes
    assert sum(len(answer.words) for answer in answers) == len(words)
    return hot._bytes


def test_no_door_whose_answers_are_kept_looks_at_what_does_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not at a header of any name, as far as it is asked for by that."""
    looked_at: set[str] = set()

    class Watched(Headers):
        def __getitem__(self, key: str) -> str:
            looked_at.add(key)
            return super().__getitem__(key)

        def __contains__(self, key: object) -> bool:
            looked_at.add(str(key))
            return super().__contains__(key)

        def getlist(self, key: str) -> list[str]:
            looked_at.add(key)
            return super().getlist(key)

        def items(self) -> list[tuple[str, str]]:  # type: ignore[override]  # as starlette's
            raise AssertionError("who looks at all of them looks at some that do not matter")

    monkeypatch.setattr("starlette.requests.Headers", Watched)
    prepare(tmp_path / "data")
    with a_site(
        tmp_path / "data",
        trusted_proxy=parse_networks([PROXY]),
        send_files_by=HandOver("x-accel-redirect", "/+send/"),
    ) as site:
        site.add(a_wheel(extra_files={"demo/large.bin": random.Random(1).randbytes(300_000)}))
        for target in targets_of(site):
            for method in ("GET", "HEAD"):
                site.ask(method, target, {"x-forwarded-for": "198.51.100.9"}, peer=PROXY)
                site.ask(method, target, {"range": "bytes=0-1"})
    assert {"accept", "range", "if-match", "x-forwarded-for"} <= looked_at
    never = {"authorization", "x-devpi-auth", "transfer-encoding", "content-length"}
    assert {name.encode() for name in looked_at - never} - {b"x-forwarded-for"} <= MATTERS


@pytest.mark.parametrize("accept", [V1_JSON, V1_HTML])
def test_what_does_not_matter_changes_no_answer_that_is_kept(tmp_path: Path, accept: str) -> None:
    prepare(tmp_path / "data")
    with a_site(tmp_path / "data") as site:
        site.add(WHEEL)
        for target in targets_of(site):
            usual = site.get(target, accept)
            assert usual.status == 200
            for name in REGISTERED:
                if name.encode() not in MATTERS:
                    assert (
                        site.ask("GET", target, {"accept": accept, name: "198.51.100.9"}) == usual
                    )


def targets_of(site: Stored) -> list[str]:
    """What there are answers to that are kept."""
    page = "/root/local/+simple/demo/"
    (file,) = site.get(page, V1_JSON).json["files"]
    path = urljoin(page, file["url"]).partition("#")[0]
    return ["/root/local/+simple/", page, path, f"{path}.metadata"]
