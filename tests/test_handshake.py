"""HTTPS before the first request: clients that say nothing, too little, or something else."""

import logging
import ssl
from collections.abc import Iterator
from contextlib import suppress

import pytest
from starlette.types import Receive, Scope, Send

from simpleindex.config import Config
from simpleindex.serving.tls import tls_of
from tests.certificates import Certificate, a_certificate
from tests.lines import Desk, RawLine, a_desk

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


async def telling(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with what the request is said to have come over."""
    body = scope["scheme"].encode()
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def waiting(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers nobody."""
    while (await receive())["type"] != "http.disconnect":
        pass


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return a_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def context(certificate: Certificate) -> ssl.SSLContext:
    tls = tls_of(Config(tls_cert=certificate.cert, tls_key=certificate.key))
    assert tls is not None
    return tls.context


@pytest.fixture
def trusting(certificate: Certificate) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=certificate.authority)


@pytest.fixture
def desk() -> Iterator[Desk]:
    with a_desk(telling) as desk:
        yield desk


class Client:
    """A client's end of TLS, which says what it is told to say, when it is told to."""

    def __init__(self, trusting: ssl.SSLContext) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._end = trusting.wrap_bio(self._incoming, self._outgoing, server_hostname="127.0.0.1")
        self._taken_bytes = 0

    def say(self) -> bytes:
        """What it has to send of the handshake now."""
        with suppress(ssl.SSLWantReadError):
            self._end.do_handshake()
        return self._outgoing.read()

    def ask(self, request: bytes) -> bytes:
        """A request, as it is sent."""
        self._end.write(request)
        return self._outgoing.read()

    def hear(self, line: RawLine) -> None:
        """Take what the server has sent."""
        self._incoming.write(bytes(line.heard[self._taken_bytes :]))
        self._taken_bytes = len(line.heard)

    def read(self, line: RawLine) -> bytes:
        """What the server's answers are."""
        self.hear(line)
        answer = b""
        with suppress(ssl.SSLWantReadError):
            while more := self._end.read(1 << 16):
                answer += more
        return answer


def reach(line: RawLine, trusting: ssl.SSLContext) -> Client:
    """Agree on TLS."""
    client = Client(trusting)
    line.send(client.say())
    client.hear(line)
    line.send(client.say())
    return client


def hello(trusting: ssl.SSLContext) -> bytes:
    return Client(trusting).say()


def test_a_request_is_answered_over_tls_and_is_known_to_be(
    desk: Desk, context: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    line = desk.connect_raw(context)
    client = reach(line, trusting)
    assert len(desk.connections) == 1
    for _ in range(2):
        line.send(client.ask(REQUEST))
        answer = client.read(line)
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n") and answer.endswith(b"\r\n\r\nhttps")
    line.hang_up()
    assert len(desk.connections) == 0
    assert desk.reasons == []


def test_a_request_that_comes_with_the_end_of_the_handshake_is_answered(
    desk: Desk, context: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    line, client = desk.connect_raw(context), Client(trusting)
    line.send(client.say())
    client.hear(line)
    line.send(client.say() + client.ask(REQUEST))
    assert client.read(line).endswith(b"\r\n\r\nhttps")


def test_what_comes_before_the_handshake_has_begun_is_not_lost(
    desk: Desk, context: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    client, protocol = Client(trusting), desk.raw_protocol(context)
    line = RawLine(desk.clock, "192.0.2.1")
    line.set_protocol(protocol)
    protocol.connection_made(line)
    protocol.data_received(client.say())  # as uvloop does
    desk.clock.catch_up()
    client.hear(line)
    line.send(client.say(), client.ask(REQUEST))
    assert client.read(line).endswith(b"\r\n\r\nhttps")
    line.hang_up()


def test_who_says_nothing_is_left(desk: Desk, context: ssl.SSLContext) -> None:
    line = desk.connect_raw(context)
    desk.clock.pass_time(9.5)
    assert line.is_open
    desk.clock.pass_time(2)
    assert line.is_lost and not line.heard
    assert desk.reasons == ["silent"]
    assert len(desk.connections) == 0


def test_a_handshake_that_drips_is_ended(
    desk: Desk, context: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    line = desk.connect_raw(context)
    rest = iter(hello(trusting))
    desk.clock.pass_time(12, each=lambda: line.send(bytes([next(rest)])))
    assert line.is_lost
    assert desk.reasons == ["silent"]


def test_the_handshake_is_part_of_the_time_for_the_first_header(
    desk: Desk, context: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    line = desk.connect_raw(context)
    desk.clock.pass_time(8)
    client = reach(line, trusting)
    line.send(client.ask(REQUEST[:-2]))
    desk.clock.pass_time(1)
    assert line.is_open
    desk.clock.pass_time(3)
    assert client.read(line).startswith(b"HTTP/1.1 408 ")
    assert desk.reasons == ["header-too-slow"]


def test_handshakes_count_for_their_address(context: ssl.SSLContext) -> None:
    with a_desk(telling, connections_per_address=2) as desk:
        first, second = desk.connect_raw(context), desk.connect_raw(context)
        desk.connect_raw(context)
        assert first.is_lost and second.is_open
        desk.connect_raw(context, address="192.0.2.2")
        assert second.is_open
        assert len(desk.connections) == 3
        assert desk.reasons == ["made-room"]


def test_where_all_are_busy_a_new_one_is_told_so_when_it_can_understand(
    context: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    with a_desk(waiting, connections=1) as desk:
        busy = desk.connect_raw(context)
        client = reach(busy, trusting)
        busy.send(client.ask(REQUEST))
        refused, silent = desk.connect_raw(context), desk.connect_raw(context)
        told = reach(refused, trusting).read(refused)
        assert told.startswith(b"HTTP/1.1 503 ") and b"\r\nretry-after: 5\r\n" in told
        assert len(desk.connections) == 1
        assert desk.reasons == ["too-many-connections"] * 2
        assert not refused.is_lost and not silent.is_lost
        desk.clock.pass_time(7)
        assert refused.is_lost and silent.is_lost  # neither says goodbye
        assert not busy.is_lost


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(REQUEST, id="plain HTTP"),
        pytest.param(b"SSH-2.0-OpenSSH_9.6\r\n", id="another protocol"),
        pytest.param(b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", id="a bad hello"),
        pytest.param(b"\x15\x03\x03\x00\x02\x02\x30", id="an alert"),
    ],
)
def test_what_is_no_handshake_is_ended_without_ado(
    sent: bytes, desk: Desk, context: ssl.SSLContext, caplog: pytest.LogCaptureFixture
) -> None:
    line = desk.connect_raw(context, sent)
    assert line.is_lost
    assert desk.reasons == ["handshake-failed"]
    assert len(desk.connections) == 0
    assert [record.name for record in caplog.records if record.levelno > logging.INFO] == []


def test_a_client_that_does_not_trust_the_certificate_is_counted(
    desk: Desk, context: ssl.SSLContext, caplog: pytest.LogCaptureFixture
) -> None:
    line, client = desk.connect_raw(context), Client(ssl.create_default_context())
    line.send(client.say())
    client.hear(line)
    with pytest.raises(ssl.SSLCertVerificationError):
        client.say()
    line.send(client._outgoing.read())
    assert line.is_lost
    assert desk.reasons == ["handshake-failed"]
    assert [record.name for record in caplog.records if record.levelno > logging.INFO] == []


def test_a_client_that_leaves_in_its_handshake_is_no_news(
    desk: Desk, context: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    for sent in (b"", hello(trusting)[:20], hello(trusting)):
        desk.connect_raw(context, sent).hang_up()
    assert len(desk.connections) == 0
    assert desk.reasons == []


def test_a_stop_waits_for_no_handshake(
    desk: Desk, context: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    lines = [
        desk.connect_raw(context, sent) for sent in (b"", hello(trusting)[:20], hello(trusting))
    ]
    desk.stop()
    assert all(line.is_lost for line in lines)
    assert len(desk.connections) == 0


def test_a_stop_waits_for_no_handshake_that_has_not_begun(
    desk: Desk, context: ssl.SSLContext
) -> None:
    protocol, line = desk.raw_protocol(context), RawLine(desk.clock, "192.0.2.1")
    line.set_protocol(protocol)
    protocol.connection_made(line)
    desk.stop()
    assert line.is_lost
    assert len(desk.connections) == 0
