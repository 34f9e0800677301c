import asyncio
import gzip
import logging
import ssl
import subprocess
import sys
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from socket import gaierror
from typing import TypeAlias

import pytest

from simpleindex.upstream.addresses import Addresses
from simpleindex.upstream.client import (
    Absent,
    Fetched,
    NamesAnswer,
    NoRanges,
    NotModified,
    Patience,
    Source,
    Upstream,
    UpstreamTrouble,
)
from tests.server import free_port, server_environment

pytestmark = pytest.mark.anyio

HERE = Addresses(["127.0.0.1"])
PATIENT = Patience(connect_seconds=2.0, page_seconds=5.0, idle_seconds=5.0)
HASTY = Patience(
    connect_seconds=0.3, page_seconds=0.3, idle_seconds=0.3, list_seconds=0.3, file_seconds=0.4
)
PAGE = b'{"meta": {}, "name": "demo"}'
JSON = "application/vnd.pypi.simple.v1+json"

Action: TypeAlias = Callable[[asyncio.StreamWriter], Awaitable[None]]
"""Answers in its own way; the connection ends with it."""
Answer: TypeAlias = bytes | Action


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked."""

    path: str
    headers: Mapping[str, str]


@dataclass
class Server:
    """A server that has been told what to say: for each path its answers, the last for ever."""

    port: int = 0
    host: str = "127.0.0.1"
    answers: dict[str, list[Answer]] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    talks: list[asyncio.Task[None]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def source(self) -> Source:
        return Source(f"{self.url}/simple/")

    def says(self, path: str, *answers: Answer) -> None:
        self.answers[path] = list(answers)

    @property
    def paths(self) -> list[str]:
        return [request.path for request in self.requests]

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        talk = asyncio.current_task()
        assert talk is not None
        self.talks.append(talk)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                while await self._answer_one(reader, writer):
                    pass
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
        except asyncio.CancelledError:
            writer.transport.abort()

    async def end(self) -> None:
        """Nobody is listened to any more."""
        for talk in self.talks:
            talk.cancel()
        await asyncio.gather(*self.talks)
        await asyncio.sleep(0)  # for what `abort` has left to do

    async def _answer_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        line, *lines = head.removesuffix("\r\n\r\n").split("\r\n")
        headers = {name.lower(): value for name, _, value in (x.partition(": ") for x in lines)}
        path = line.split(" ")[1]
        self.requests.append(Request(path, headers))
        answers = self.answers.get(path, [answer(404)])
        said = answers.pop(0) if len(answers) > 1 else answers[0]
        if not isinstance(said, bytes):
            await said(writer)
            return False
        writer.write(said)
        await writer.drain()
        return True


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def without_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@asynccontextmanager
async def serving(
    host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
) -> AsyncIterator[Server]:
    server = Server(host=host)
    listener = await asyncio.start_server(server.talk, host, 0, ssl=tls)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        await server.end()


@asynccontextmanager
async def asking(
    patience: Patience = PATIENT, addresses: Addresses = HERE
) -> AsyncIterator[Upstream]:
    upstream = Upstream(addresses, "us", patience)
    try:
        yield upstream
    finally:
        await upstream.close()


def answer(status: int, body: bytes = b"", **headers: str) -> bytes:
    """An answer with its length, unless that is among the headers; `""` leaves a header out."""
    named = {"content-length": str(len(body))}
    named |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = "".join(f"{name}: {value}\r\n" for name, value in named.items() if value)
    return f"HTTP/1.1 {status} Said\r\n{lines}\r\n".encode("latin-1") + body


def page(body: bytes = PAGE, **headers: str) -> bytes:
    return answer(200, body, content_type=JSON, **headers)


def redirect(location: str, status: int = 302) -> bytes:
    return answer(status, b"elsewhere", location=location)


def part(first: int, last: int, size: object, content: bytes, **headers: str) -> bytes:
    return answer(206, content, **{"content_range": f"bytes {first}-{last}/{size}", **headers})


def self_signed(name: str) -> bytes:
    """A certificate and its key."""
    pytest.importorskip("cryptography", reason="makes the certificate")
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    return certificate.public_bytes(pem) + key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def then_hang_up(said: bytes) -> Action:
    async def say(writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        await writer.drain()

    return say


def dripping(said: bytes, drop: bytes, seconds: float = 0.05) -> Action:
    """Says something, and then one drop after the other for ever."""

    async def say(writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        while True:
            await writer.drain()
            await asyncio.sleep(seconds)
            writer.write(drop)

    return say


async def silence(writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(60)


async def refusal(asked: Awaitable[object]) -> UpstreamTrouble:
    with pytest.raises(UpstreamTrouble) as raised:
        await asked
    text = str(raised.value)
    assert text
    assert text.isprintable()
    assert "secret" not in text
    return raised.value


async def whole_file(upstream: Upstream, source: Source, url: str) -> bytes:
    async with upstream.file(source, url) as file:
        return b"".join([chunk async for chunk in file.chunks])


async def all_names(upstream: Upstream, source: Source) -> bytes:
    async with upstream.names(source) as names:
        assert isinstance(names, NamesAnswer)
        return b"".join([chunk async for chunk in names.chunks])


async def test_a_page_is_delivered_with_what_is_needed_to_ask_again() -> None:
    async with serving() as server, asking() as upstream:
        date = "Sun, 22 Nov 2026 13:02:46 GMT"
        server.says("/simple/demo/", page(etag='"1"', last_modified=date))
        assert await upstream.page(server.source, "demo") == Fetched(
            PAGE, JSON, f"{server.url}/simple/demo/", '"1"', date
        )
        (request,) = server.requests
        assert request.headers["accept"].startswith(f"{JSON}, ")
        assert request.headers["accept-encoding"] == "gzip"
        assert request.headers["user-agent"].startswith("simpleindex-server/")
        assert request.headers["x-simpleindex-hops"] == "us"
        assert not {"authorization", "cookie", "if-none-match"} & request.headers.keys()


async def test_the_source_may_end_without_a_slash() -> None:
    async with serving() as server, asking() as upstream:
        server.says("/simple/demo/", page())
        assert isinstance(await upstream.page(Source(f"{server.url}/simple"), "demo"), Fetched)


async def test_hops_are_passed_on() -> None:
    async with serving() as server, asking() as upstream:
        await upstream.page(server.source, "demo", hops=("a", "b"))
        assert server.requests[0].headers["x-simpleindex-hops"] == "a,b,us"


@pytest.mark.parametrize("status", [404, 410])
async def test_a_page_that_is_not_there_is_absent(status: int) -> None:
    async with serving() as server, asking() as upstream:
        server.says("/simple/demo/", answer(status, b"no such page"))
        assert await upstream.page(server.source, "demo") == Absent()
        assert await upstream.page(server.source, "demo") == Absent()
        assert server.connections == 1


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(dripping(answer(404, content_length="999"), b"", 60), id="none"),
        pytest.param(then_hang_up(answer(404, b"a", content_length="9")), id="not all of it"),
        pytest.param(answer(404, bytes(1 << 20)), id="very much"),
    ],
)
async def test_what_a_page_that_is_absent_says_does_not_matter(said: Answer) -> None:
    async with serving() as server, asking() as upstream:
        server.says("/simple/demo/", said)
        assert await upstream.page(server.source, "demo") == Absent()


async def test_what_has_not_changed_is_not_sent_again() -> None:
    async with serving() as server, asking() as upstream:
        server.says("/simple/demo/", answer(304, content_length=""))
        for _ in range(3):
            found = await upstream.page(server.source, "demo", etag='W/"1"', last_modified="then")
            assert found == NotModified()
        assert server.requests[0].headers["if-none-match"] == 'W/"1"'
        assert server.requests[0].headers["if-modified-since"] == "then"
        assert server.connections == 1


async def test_not_modified_is_no_answer_to_who_has_nothing() -> None:
    async with serving() as server, asking() as upstream:
        server.says("/simple/demo/", answer(304, content_length=""))
        assert (await refusal(upstream.page(server.source, "demo"))).status == 304


@pytest.mark.parametrize("status", [204, 206, 401, 403, 429, 500, 502, 503])
async def test_another_status_is_trouble_but_the_server_is_there(status: int) -> None:
    async with serving() as server, asking() as upstream:
        server.says("/simple/demo/", answer(status, content_length=""))
        server.says("/simple/", answer(status))
        for asked in (
            upstream.page(server.source, "demo"),
            all_names(upstream, server.source),
        ):
            trouble = await refusal(asked)
            assert (trouble.status, trouble.is_down) == (status, False)
            assert f"127.0.0.1:{server.port} answered with status {status}" in str(trouble)


async def test_a_page_of_text_is_left_to_the_parser() -> None:
    async with serving() as server, asking() as upstream:
        server.says("/simple/demo/", answer(200, b"<p>Welcome", content_type="text/html"))
        found = await upstream.page(server.source, "demo")
        assert isinstance(found, Fetched)
        assert (found.body, found.content_type) == (b"<p>Welcome", "text/html")


async def test_headers_that_cannot_be_sent_back_are_not_kept() -> None:
    async with serving() as server, asking() as upstream:
        server.says("/simple/demo/", page(etag='"é"', last_modified="x" * 1000))
        found = await upstream.page(server.source, "demo")
        assert isinstance(found, Fetched)
        assert (found.etag, found.last_modified) == (None, None)


async def test_a_packed_page_is_unpacked() -> None:
    async with serving() as server, asking() as upstream:
        packed = gzip.compress(PAGE * 100_000)
        server.says("/simple/demo/", page(packed, content_encoding="gzip"))
        server.says("/simple/", page(packed, content_encoding="x-gzip"))
        found = await upstream.page(server.source, "demo")
        assert isinstance(found, Fetched)
        assert found.body == PAGE * 100_000
        assert await all_names(upstream, server.source) == PAGE * 100_000


@pytest.mark.parametrize(
    ("said", "about"),
    [
        pytest.param(
            page(gzip.compress(PAGE)[:-9], content_encoding="gzip"), "broken off", id="cut gzip"
        ),
        pytest.param(page(content_encoding="gzip"), "bad gzip", id="no gzip"),
        pytest.param(page(content_encoding="br"), "nobody asked for", id="other encoding"),
        pytest.param(then_hang_up(page(content_length="999")), "broke off", id="cut"),
        pytest.param(
            then_hang_up(page(b"fff\r\nabc", content_length="", transfer_encoding="chunked")),
            "broke off", id="cut chunk",
        ),
        pytest.param(then_hang_up(b""), "broke off", id="hung up"),
        pytest.param(then_hang_up(b"HTTP/1.1 200 OK\r\nCont"), "broke off", id="cut head"),
        pytest.param(then_hang_up(b"SSH-2.0-OpenSSH\r\n\r\n"), "broke off", id="other protocol"),
        pytest.param(page(content_length="five"), "broke off", id="length no number"),
        pytest.param(page(content_length="-1"), "broke off", id="negative length"),
        pytest.param(
            answer(200, b"", x="y" * 200_000), "broke off", id="endless head"
        ),
    ],
)  # fmt: skip
async def test_a_page_that_does_not_arrive_whole_is_trouble(said: Answer, about: str) -> None:
    async with serving() as server, asking() as upstream:
        server.says("/simple/demo/", said)
        server.says("/simple/", said)
        for asked in (
            upstream.page(server.source, "demo"),
            all_names(upstream, server.source),
        ):
            trouble = await refusal(asked)
            assert (about in str(trouble), trouble.is_down) == (True, False), str(trouble)


@pytest.mark.parametrize("packs", [False, True])
async def test_no_more_of_a_page_is_read_than_is_allowed(packs: bool) -> None:
    patience = Patience(page_bytes_max=1 << 20)
    async with serving() as server, asking(patience) as upstream:
        bomb = bytes(50 << 20)
        headers = {"content_encoding": "gzip"} if packs else {}
        server.says("/simple/demo/", page(gzip.compress(bomb) if packs else bomb, **headers))
        server.says("/simple/", page(gzip.compress(bomb) if packs else bomb, **headers))
        for asked in (
            upstream.page(server.source, "demo"),
            all_names(upstream, server.source),
        ):
            trouble = await refusal(asked)
            assert "more than 1048576 bytes" in str(trouble)


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(silence, id="silence"),
        pytest.param(dripping(b"HTTP/1.1 200 OK\r\nx: ", b"y"), id="head"),
        pytest.param(dripping(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), id="only interim answers"),
        pytest.param(dripping(page(content_length="999"), b"y"), id="body"),
        pytest.param(
            dripping(page(b"5;x=", content_length="", transfer_encoding="chunked"), b"y"),
            id="chunk extension",
        ),
    ],
)
async def test_the_deadline_holds_for_a_whole_page(said: Answer) -> None:
    async with serving() as server, asking(HASTY) as upstream:
        server.says("/simple/demo/", said)
        server.says("/simple/", said)
        for asked in (
            upstream.page(server.source, "demo"),
            all_names(upstream, server.source),
        ):
            trouble = await asyncio.wait_for(refusal(asked), 5.0)
            assert (trouble.is_down, trouble.status) == (True, None)
            assert "took too long" in str(trouble)


async def test_the_deadline_holds_over_redirects() -> None:
    async with serving() as server, asking(HASTY) as upstream:

        async def slowly(writer: asyncio.StreamWriter) -> None:
            await asyncio.sleep(0.2)
            writer.write(redirect("/simple/demo/"))
            await writer.drain()

        server.says("/simple/demo/", slowly)
        assert (await refusal(upstream.page(server.source, "demo"))).is_down


async def test_a_server_that_is_not_there_is_down() -> None:
    async with asking() as upstream:
        source = Source(f"http://user:secret@127.0.0.1:{free_port()}/simple/")
        trouble = await refusal(upstream.page(source, "demo"))
        assert (trouble.is_down, trouble.status) == (True, None)
        assert "cannot be reached" in str(trouble)


async def test_a_server_without_a_certificate_is_told_apart() -> None:
    async with serving() as server, asking(HASTY) as upstream:
        source = Source(f"https://127.0.0.1:{server.port}/simple/")
        assert (await refusal(upstream.page(source, "demo"))).is_down


async def test_a_certificate_is_checked_for_the_name_not_the_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def resolver(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.1"]

    addresses = Addresses(["127.0.0.1"], resolver)
    certificate = tmp_path / "certificate.pem"
    certificate.write_bytes(self_signed("index.example"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    async with serving(tls=context) as server:
        server.says("/simple/demo/", page())
        source = Source(f"https://index.example:{server.port}/simple/")
        async with asking(addresses=addresses) as upstream:
            trouble = await refusal(upstream.page(source, "demo"))
            assert trouble.is_down
            assert "the certificate of index.example" in str(trouble)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        async with asking(addresses=addresses) as upstream:
            other = Source(f"https://other.example:{server.port}/simple/")
            trouble = await refusal(upstream.page(other, "demo"))
            assert "the certificate of other.example" in str(trouble)
            assert isinstance(await upstream.page(source, "demo"), Fetched)


async def test_a_name_that_does_not_resolve_is_told() -> None:
    async def resolver(host: str, port: int) -> Sequence[str]:
        raise gaierror("unknown")

    async with asking(addresses=Addresses([], resolver)) as upstream:
        trouble = await refusal(upstream.page(Source("http://index.example/simple/"), "demo"))
        assert trouble.is_down
        assert str(trouble) == "the name index.example does not resolve"


async def test_a_name_that_leads_into_the_own_network_is_refused() -> None:
    async def resolver(host: str, port: int) -> Sequence[str]:
        return ["10.1.2.3"]

    async with asking(addresses=Addresses([], resolver)) as upstream:
        trouble = await refusal(upstream.page(Source("http://packages.corp/simple/"), "demo"))
        assert trouble.is_down  # nobody need ask again before it is allowed
        assert "private address 10.1.2.3" in str(trouble)
        assert "private_upstreams" in str(trouble)


async def test_a_name_is_resolved_once_for_a_connection() -> None:
    asked: list[str] = []

    async def resolver(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["127.0.0.2"]

    async with (
        serving() as server,
        asking(addresses=Addresses(["127.0.0.1"], resolver)) as upstream,
    ):
        server.says("/simple/demo/", page())
        source = Source(f"http://index.example:{server.port}/simple/")
        for _ in range(3):
            assert isinstance(await upstream.page(source, "demo"), Fetched)
        assert asked == ["index.example"]
        assert server.requests[0].headers["host"] == f"index.example:{server.port}"


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/x", "http://localhost:1/x", "http://[::1]:1/x"]
)
async def test_the_own_machine_is_refused_unless_it_is_allowed(url: str) -> None:
    async with asking(addresses=Addresses([])) as upstream:
        assert "private_upstreams" in str(await refusal(upstream.page(Source(url), "demo")))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_within_the_host_are_followed(status: int) -> None:
    async with serving() as server, asking() as upstream:
        server.says("/simple/Demo/", redirect("../demo/", status))
        server.says("/simple/demo/", redirect(f"{server.url}/pages/demo/?token=secret", status))
        server.says("/pages/demo/?token=secret", page())
        found = await upstream.page(server.source, "Demo", etag='"1"')
        assert isinstance(found, Fetched)
        assert found.url == f"{server.url}/pages/demo/"
        assert [request.headers["if-none-match"] for request in server.requests] == ['"1"'] * 3
        assert server.connections == 1


async def test_redirects_end() -> None:
    async with serving() as server, asking() as upstream:
        server.says("/simple/demo/", redirect("/simple/demo/?secret"))
        server.says("/simple/demo/?secret", redirect("/simple/demo/?secret"))
        trouble = await refusal(upstream.page(server.source, "demo"))
        assert "redirects more than 5 times" in str(trouble)
        assert len(server.requests) == 6


async def test_five_redirects_are_followed() -> None:
    async with serving() as server, asking() as upstream:
        server.says("/simple/demo/", *[redirect("/simple/demo/")] * 5, page())
        assert isinstance(await upstream.page(server.source, "demo"), Fetched)


async def test_a_redirect_to_another_host_is_refused_unless_it_is_named() -> None:
    async with serving() as server, serving("127.0.0.2") as other:
        server.says("/simple/demo/", redirect(f"{other.url}/demo/?token=secret"))
        other.says("/demo/?token=secret", page())
        addresses = Addresses(["127.0.0.0/8"])
        async with asking(addresses=addresses) as upstream:
            trouble = await refusal(upstream.page(server.source, "demo"))
            assert "127.0.0.2" in str(trouble)
            assert "file_hosts" in str(trouble)
            assert other.requests == []
            named = Source(server.source.url, ("127.0.0.2",))
            assert isinstance(await upstream.page(named, "demo"), Fetched)


@pytest.mark.parametrize(
    ("location", "about"),
    [
        ("file:///etc/passwd", "not http or https"),
        ("ftp://127.0.0.1/", "not http or https"),
        ("gopher://127.0.0.1/", "not http or https"),
        ("javascript:alert(1)", "not http or https"),
        ("http://169.254.169.254/latest", "file_hosts"),
        ("//other.example/", "file_hosts"),
        ("http://127.0.0.1\\@other.example/", "file_hosts"),
        ("http://127.0.0.1@other.example/", "file_hosts"),
        ("http://other.example#@127.0.0.1/", "file_hosts"),
        ("http://127.0.0.1.other.example/", "file_hosts"),
        ("http://127.0.0.1:99999/", "URL"),
        ("http://[::1/", "URL"),
        ("http://xn--a.1xn--/", "URL"),
        ("//ftp:@", "URL"),
        ("http://a..example:0/", "URL"),
    ],
)
async def test_a_redirect_elsewhere_is_refused(location: str, about: str) -> None:
    async with serving() as server, asking() as upstream:
        server.says("/simple/demo/", redirect(location))
        trouble = await refusal(upstream.page(server.source, "demo"))
        assert (about in str(trouble), trouble.is_down) == (True, False), str(trouble)
        assert len(server.requests) == 1


async def test_a_file_at_http_is_refused_where_the_index_is_at_https() -> None:
    async with serving() as server, asking() as upstream:
        source = Source("https://127.0.0.1/simple/")
        trouble = await refusal(upstream.part(source, f"{server.url}/f", 0, 1))
        assert "from https to http" in str(trouble)
        assert server.requests == []


async def test_the_password_is_for_the_index_alone() -> None:
    account = b64encode("user:secret ü".encode()).decode()
    async with serving() as server, serving() as other, asking() as upstream:
        source = Source(f"http://user:secret%20%C3%BC@127.0.0.1:{server.port}/simple/")
        server.says("/simple/demo/", redirect("/demo/"))
        server.says("/demo/", redirect(f"{other.url}/demo/"))
        other.says("/demo/", redirect(f"http://other:other@127.0.0.1:{other.port}/again/"))
        other.says("/again/", redirect(f"{server.url}/back/"))
        server.says("/back/", page())
        found = await upstream.page(source, "demo")
        assert isinstance(found, Fetched)
        assert found.url == f"{server.url}/back/"
        sent = [request.headers.get("authorization") for request in server.requests]
        assert sent == [f"Basic {account}"] * 3
        assert [request.headers.get("authorization") for request in other.requests] == [None] * 2


async def test_the_password_is_not_told() -> None:
    for url in ("http://user:secret@127.0.0.1/simple/?key=secret#secret", "http://secret:x@h/"):
        assert "secret" not in Source(url).label
        assert "secret" not in repr(Source(url))
    assert Source("http://u:secret@[::1]:80/simple/").label == "http://[::1]:80/simple/"
    assert Source("http://user:pass/secret@host/").label == "a URL that cannot be read"
    async with serving() as server, asking() as upstream:
        server.says("/simple/demo/", answer(401))
        source = Source(f"http://secret:secret@127.0.0.1:{server.port}/simple/")
        await refusal(upstream.page(source, "demo"))
        await refusal(upstream.page(Source("http://user:pass/secret@host/"), "demo"))


async def test_cookies_are_not_kept() -> None:
    async with serving() as server, asking() as upstream:
        server.says("/simple/demo/", page(set_cookie="a=b; Path=/"))
        for _ in range(2):
            await upstream.page(server.source, "demo")
        assert "cookie" not in server.requests[1].headers


async def test_accounts_of_the_machine_are_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login user password secret")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HOME", str(netrc.parent))
    async with serving() as server, asking() as upstream:
        await upstream.page(server.source, "demo")
        assert "authorization" not in server.requests[0].headers


async def test_a_connection_that_ends_meanwhile_is_no_trouble() -> None:
    async with serving() as server, asking() as upstream:
        server.says("/simple/demo/", then_hang_up(b""), page())
        assert isinstance(await upstream.page(server.source, "demo"), Fetched)


async def test_a_list_of_names_arrives_in_chunks() -> None:
    async with serving() as server, asking() as upstream:
        body = PAGE * 100_000
        server.says("/simple/", page(body, etag='"1"'), answer(304, content_length=""))
        async with upstream.names(server.source, hops=("a",)) as names:
            assert isinstance(names, NamesAnswer)
            assert (names.content_type, names.etag, names.last_modified) == (JSON, '"1"', None)
            chunks = [chunk async for chunk in names.chunks]
        assert len(chunks) > 1
        assert b"".join(chunks) == body
        async with upstream.names(server.source, etag='"1"') as names:
            assert names == NotModified()
        assert server.requests[0].headers["x-simpleindex-hops"] == "a,us"


async def test_a_list_of_names_need_not_be_read_to_its_end() -> None:
    async with serving() as server, asking() as upstream:
        server.says("/simple/", page(gzip.compress(bytes(10 << 20)), content_encoding="gzip"))
        async with upstream.names(server.source) as names:
            assert isinstance(names, NamesAnswer)
            await anext(names.chunks)


async def test_a_file_arrives_with_what_is_needed_to_go_on() -> None:
    async with serving() as server, asking() as upstream:
        content = bytes(range(256)) * 4096
        server.says("/f/demo-1.0.tar.gz", answer(200, content, etag='"1"', last_modified="then"))
        async with upstream.file(server.source, f"{server.url}/f/demo-1.0.tar.gz") as file:
            assert (file.first_byte, file.size_bytes, file.validator) == (0, len(content), '"1"')
            assert b"".join([chunk async for chunk in file.chunks]) == content
        (request,) = server.requests
        assert request.headers["accept-encoding"] == "identity"
        assert not {"range", "if-range"} & request.headers.keys()


@pytest.mark.parametrize(
    ("headers", "validator"),
    [
        ({"etag": 'W/"1"', "last_modified": "then"}, "then"),
        ({"etag": 'W/"1"'}, None),
        ({"last_modified": "then"}, "then"),
        ({}, None),
    ],
)
async def test_a_weak_etag_does_not_prove_the_same_bytes(
    headers: dict[str, str], validator: str | None
) -> None:
    async with serving() as server, asking() as upstream:
        server.says("/f", answer(200, b"abc", **headers))
        async with upstream.file(server.source, f"{server.url}/f") as file:
            assert file.validator == validator


@pytest.mark.parametrize(
    ("said", "first_byte", "content"),
    [
        pytest.param(part(3, 9, 10, b"defghij", etag='"1"'), 3, b"defghij", id="the rest"),
        pytest.param(part(3, 9, "*", b"defghij"), 3, b"defghij", id="of an unknown whole"),
        pytest.param(answer(200, b"new", etag='"2"'), 0, b"new", id="from the beginning"),
    ],
)
async def test_a_file_goes_on_where_it_broke_off(
    said: bytes, first_byte: int, content: bytes
) -> None:
    async with serving() as server, asking() as upstream:
        server.says("/f", said)
        url = f"{server.url}/f"
        async with upstream.file(server.source, url, first_byte=3, validator='"1"') as file:
            assert file.first_byte == first_byte
            assert file.size_bytes in {10, 3, None}
            assert b"".join([chunk async for chunk in file.chunks]) == content
        assert server.requests[0].headers["range"] == "bytes=3-"
        assert server.requests[0].headers["if-range"] == '"1"'


async def test_without_a_validator_a_file_begins_anew() -> None:
    async with serving() as server, asking() as upstream:
        server.says("/f", answer(200, b"abc"))
        async with upstream.file(server.source, f"{server.url}/f", first_byte=2) as file:
            assert file.first_byte == 0
        assert "range" not in server.requests[0].headers


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(answer(416, content_range="bytes */2"), id="shorter than that"),
        pytest.param(part(0, 9, 10, b"abcdefghij"), id="from the beginning"),
        pytest.param(part(3, 8, 10, b"defghi"), id="not to the end"),
        pytest.param(part(3, 9, 10, b"defghij", etag='"2"'), id="of another file"),
        pytest.param(part(3, 9, 10, b"defghij", content_range=""), id="it does not say which"),
        pytest.param(part(3, 9, 10, b"defghi"), id="of another length"),
        pytest.param(part(3, 9, 10, b"defghij", content_encoding="gzip"), id="compressed"),
        pytest.param(answer(404), id="gone"),
        pytest.param(answer(304, content_length=""), id="not modified"),
    ],
)
async def test_another_rest_than_was_asked_for_is_trouble(said: bytes) -> None:
    async with serving() as server, asking() as upstream:
        server.says("/f", said)

        async def go_on() -> None:
            url = f"{server.url}/f"
            async with upstream.file(server.source, url, first_byte=3, validator='"1"'):
                raise AssertionError("there is no file")

        assert not (await refusal(go_on())).is_down


async def test_a_part_that_nobody_asked_for_is_trouble() -> None:
    async with serving() as server, asking() as upstream:
        server.says("/f", part(0, 9, 10, b"abcdefghij"))
        await refusal(whole_file(upstream, server.source, f"{server.url}/f"))


@pytest.mark.parametrize(
    ("said", "about"),
    [
        pytest.param(then_hang_up(answer(200, b"abc", content_length="9")), "broke off", id="cut"),
        pytest.param(
            answer(
                200, b"3\r\nabc\r\n0\r\n\r\n", content_length="9", transfer_encoding="chunked"
            ),
            "less than the length", id="less",
        ),
        pytest.param(
            answer(
                200, b"3\r\nabc\r\n0\r\n\r\n", content_length="2", transfer_encoding="chunked"
            ),
            "more than the length", id="more",
        ),
        pytest.param(answer(200, b"abc", content_length="+3"), "broke off", id="signed"),
        pytest.param(answer(200, b"abc", content_length="1" * 30), "broke off", id="huge"),
        pytest.param(answer(503), "status 503", id="503"),
    ],
)  # fmt: skip
async def test_a_file_that_does_not_arrive_whole_is_trouble(said: Answer, about: str) -> None:
    async with serving() as server, asking() as upstream:
        server.says("/f", said)
        url = f"{server.url}/f"
        for asked in (
            whole_file(upstream, server.source, url),
            upstream.small(server.source, url, 1000),
        ):
            trouble = await refusal(asked)
            assert about in str(trouble)
            assert not trouble.is_down


async def test_a_file_that_is_said_to_be_packed_comes_as_it_is_and_that_is_told() -> None:
    async with serving() as server, asking() as upstream:
        server.says("/f", answer(200, b"abc", content_encoding="gzip"))
        url = f"{server.url}/f"
        async with upstream.file(server.source, url) as file:
            assert file.is_packed
            assert b"".join([chunk async for chunk in file.chunks]) == b"abc"
        trouble = await refusal(upstream.small(server.source, url, 1000))
        assert "came compressed" in str(trouble)


async def test_a_file_of_no_said_length_ends_with_the_connection() -> None:
    async with serving() as server, asking() as upstream:
        server.says("/f", then_hang_up(answer(200, b"abc", content_length="")))
        async with upstream.file(server.source, f"{server.url}/f") as file:
            assert file.size_bytes is None
            assert b"".join([chunk async for chunk in file.chunks]) == b"abc"


async def test_a_file_that_stops_coming_is_given_up() -> None:
    async with serving() as server, asking(HASTY) as upstream:

        async def stop(writer: asyncio.StreamWriter) -> None:
            writer.write(answer(200, b"abc", content_length="9"))
            await silence(writer)

        server.says("/f", stop)
        trouble = await refusal(whole_file(upstream, server.source, f"{server.url}/f"))
        assert trouble.is_down
        assert "took too long" in str(trouble)


@pytest.mark.parametrize(
    ("head", "drop"),
    [
        pytest.param(answer(200, content_length="999"), b"y", id="bytes"),
        pytest.param(
            answer(200, b"5;x=", content_length="", transfer_encoding="chunked"), b"y", id="none"
        ),
    ],
)
async def test_a_file_does_not_drip_for_ever(head: bytes, drop: bytes) -> None:
    async with serving() as server, asking(HASTY) as upstream:
        server.says("/f", dripping(head, drop))
        asked = refusal(whole_file(upstream, server.source, f"{server.url}/f"))
        assert (await asyncio.wait_for(asked, 5.0)).is_down


async def test_the_time_of_who_takes_the_chunks_is_not_that_of_the_server() -> None:
    patience = Patience(idle_seconds=0.2)
    async with serving() as server, asking(patience) as upstream:
        content = bytes(1 << 20)
        server.says("/f", answer(200, content))
        received = 0
        async with upstream.file(server.source, f"{server.url}/f") as file:
            async for chunk in file.chunks:
                if not received:
                    await asyncio.sleep(0.4)
                received += len(chunk)
        assert received == len(content)


async def test_an_error_of_who_takes_the_chunks_stays_what_it_is() -> None:
    async with serving() as server, asking() as upstream:
        server.says("/f", answer(200, bytes(1 << 20)))
        for error in (TimeoutError("theirs"), ValueError("theirs")):
            with pytest.raises(type(error), match="theirs"):
                async with upstream.file(server.source, f"{server.url}/f") as file:
                    await anext(file.chunks)
                    raise error
        assert await whole_file(upstream, server.source, f"{server.url}/f") == bytes(1 << 20)


async def test_files_come_from_the_hosts_that_the_page_names() -> None:
    addresses = Addresses(["127.0.0.0/8"])
    async with (
        serving() as server,
        serving("127.0.0.2") as other,
        serving("127.0.0.3") as third,
        asking(addresses=addresses) as upstream,
    ):
        other.says("/f", answer(200, b"abc"))
        other.says("/away", redirect(f"{third.url}/f"))
        third.says("/f", answer(200, b"def"))
        trouble = await refusal(upstream.small(server.source, f"{other.url}/f", 10))
        assert "leads to the host 127.0.0.2:" in str(trouble)
        assert "file_hosts" in str(trouble)
        assert other.requests == []
        hosts = frozenset({"127.0.0.2"})
        url = f"{other.url}/f"
        assert await upstream.small(server.source, url, 10, page_hosts=hosts) == b"abc"
        away = upstream.small(server.source, f"{other.url}/away", 10, page_hosts=hosts)
        assert "127.0.0.3" in str(await refusal(away))
        assert third.requests == []
        named = Source(server.source.url, ("127.0.0.3",))
        away = upstream.small(named, f"{other.url}/away", 10, page_hosts=hosts)
        assert await away == b"def"


@pytest.mark.parametrize(
    ("pattern", "host", "is_allowed"),
    [
        ("files.example", "files.example", True),
        ("Files.Example.", "files.EXAMPLE", True),
        ("files.example", "a.files.example", False),
        ("files.example", "files.example.org", False),
        ("*.example", "a.b.example", True),
        ("*.example", "example", False),
        ("*.example", "badexample", False),
        ("*", "files.example", False),
        ("bücher.example", "xn--bcher-kva.example", True),
        ("bücher.example", "bücher.example", True),
    ],
)
async def test_file_hosts_are_names_or_all_below_a_name(
    pattern: str, host: str, is_allowed: bool
) -> None:
    async def resolver(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.1"]

    addresses = Addresses(["127.0.0.1"], resolver)
    async with serving() as server, asking(addresses=addresses) as upstream:
        server.says("/f", answer(200, b"abc"))
        source = Source("http://index.example/simple/", (pattern,))
        asked = upstream.small(source, f"http://{host}:{server.port}/f", 10)
        if is_allowed:
            assert await asked == b"abc"
        else:
            assert "file_hosts" in str(await refusal(asked))


async def test_a_part_of_a_file_comes_with_its_size() -> None:
    async with serving() as server, asking() as upstream:
        server.says("/f", part(2, 4, 10, b"cde"), part(8, 9, 10, b"ij"))
        url = f"{server.url}/f"
        assert await upstream.part(server.source, url, 2, 4) == (b"cde", 10)
        assert await upstream.part(server.source, url, 8, 20) == (b"ij", 10)
        assert [request.headers["range"] for request in server.requests] == [
            "bytes=2-4",
            "bytes=8-20",
        ]


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(answer(200, bytes(50 << 20)), id="sends all"),
        pytest.param(part(2, 4, "*", b"cde"), id="does not know the size"),
    ],
)
async def test_a_server_that_knows_no_parts_is_told_apart(said: bytes) -> None:
    async with serving() as server, asking() as upstream:
        server.says("/f", said)
        with pytest.raises(NoRanges):
            await upstream.part(server.source, f"{server.url}/f", 2, 4)


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(part(0, 2, 10, b"abc"), id="another part"),
        pytest.param(part(2, 3, 10, b"cd"), id="less"),
        pytest.param(part(2, 9, 10, b"cdefghij"), id="more"),
        pytest.param(part(2, 4, 10, b"cde", content_length="4"), id="another length"),
        pytest.param(answer(416), id="outside"),
        pytest.param(answer(404), id="gone"),
        pytest.param(
            answer(206, b"--x\r\n", content_type="multipart/byteranges; boundary=x"), id="many"
        ),
        pytest.param(
            then_hang_up(part(2, 4, 10, b"cdefg", content_length="", transfer_encoding="")),
            id="more than it says",
        ),
    ],
)
async def test_another_part_than_was_asked_for_is_trouble(said: Answer) -> None:
    async with serving() as server, asking() as upstream:
        server.says("/f", said)
        trouble = await refusal(upstream.part(server.source, f"{server.url}/f", 2, 4))
        assert not isinstance(trouble, NoRanges)


async def test_a_small_file_comes_whole_or_not_at_all() -> None:
    async with serving() as server, asking() as upstream:
        url = f"{server.url}/f"
        server.says("/f", answer(200, b"abc"), answer(404), answer(410))
        assert await upstream.small(server.source, url, 3) == b"abc"
        assert await upstream.small(server.source, url, 3) is None
        assert await upstream.small(server.source, url, 3) is None


@pytest.mark.parametrize("length", ["", None])
async def test_a_small_file_has_a_bound(length: str | None) -> None:
    async with serving() as server, asking() as upstream:
        headers = {} if length is None else {"content_length": length}
        server.says("/f", then_hang_up(answer(200, b"abcd", **headers)))
        trouble = await refusal(upstream.small(server.source, f"{server.url}/f", 3))
        assert "more than 3 bytes" in str(trouble)


async def test_who_gives_up_leaves_a_client_that_works() -> None:
    async with serving() as server, asking() as upstream:
        has_asked = asyncio.Event()

        async def silent(writer: asyncio.StreamWriter) -> None:
            has_asked.set()
            await silence(writer)

        server.says("/simple/demo/", silent, page())
        asked = asyncio.create_task(upstream.page(server.source, "demo"))
        await has_asked.wait()
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        assert isinstance(await upstream.page(server.source, "demo"), Fetched)


async def test_who_gives_up_within_a_handshake_leaves_no_connection() -> None:
    has_begun, has_ended = asyncio.Event(), asyncio.Event()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(1)
        has_begun.set()
        await reader.read()
        writer.close()
        has_ended.set()

    listener = await asyncio.start_server(listen, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    async with listener, asking() as upstream:
        source = Source(f"https://127.0.0.1:{port}/simple/")
        asked = asyncio.create_task(upstream.page(source, "demo"))
        await has_begun.wait()
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        await asyncio.wait_for(has_ended.wait(), 5.0)


async def test_many_at_once_share_one_client() -> None:
    async with serving() as server, asking() as upstream:
        server.says("/simple/demo/", page())
        found = await asyncio.gather(*[upstream.page(server.source, "demo") for _ in range(20)])
        assert all(isinstance(one, Fetched) for one in found)


async def test_after_its_end_nothing_is_asked() -> None:
    async with serving() as server:
        upstream = Upstream(HERE, "us")
        await upstream.close()
        await refusal(upstream.page(server.source, "demo"))
        assert server.requests == []


async def test_by_way_of_a_proxy_names_are_not_resolved_here(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def resolver(host: str, port: int) -> Sequence[str]:
        raise AssertionError(f"{host} was resolved")

    async with serving() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        proxy.says("http://index.example/simple/demo/", page())
        async with asking(addresses=Addresses([], resolver)) as upstream:
            found = await upstream.page(Source("http://index.example/simple/"), "demo")
            assert isinstance(found, Fetched)
            assert found.url == "http://index.example/simple/demo/"
            for host in ("localhost", "10.1.2.3", "[::1]", "127.1"):
                await refusal(upstream.page(Source(f"http://{host}/simple/"), "demo"))
        assert proxy.paths == ["http://index.example/simple/demo/"]


@pytest.mark.parametrize(
    "exceptions", ["*", "127.0.0.1", "127.0.0.0/8", "other.example, 127.0.0.1", "::1,127.0.0.0/8"]
)
async def test_what_needs_no_proxy_is_asked_directly_and_guarded(
    exceptions: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving() as proxy, serving() as server:
        monkeypatch.setenv("all_proxy", proxy.url)
        monkeypatch.setenv("no_proxy", exceptions)
        server.says("/simple/demo/", page())
        async with asking() as upstream:
            assert isinstance(await upstream.page(server.source, "demo"), Fetched)
        async with asking(addresses=Addresses([])) as upstream:
            assert "private_upstreams" in str(await refusal(upstream.page(server.source, "demo")))
        assert proxy.requests == []


@pytest.mark.parametrize(
    ("exceptions", "is_direct"),
    [("example", True), (".example", True), ("*.example", True), ("ample", False), ("x", False)],
)
async def test_a_domain_may_need_no_proxy(
    exceptions: str, is_direct: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def resolver(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.1"]

    async with serving() as proxy, serving() as server:
        url = f"http://index.example:{server.port}"
        monkeypatch.setenv("http_proxy", proxy.url.removeprefix("http://"))
        monkeypatch.setenv("no_proxy", exceptions)
        server.says("/simple/demo/", page())
        proxy.says(f"{url}/simple/demo/", page())
        async with asking(addresses=Addresses(["127.0.0.1"], resolver)) as upstream:
            assert isinstance(await upstream.page(Source(f"{url}/simple/"), "demo"), Fetched)
        assert [len(proxy.requests), len(server.requests)] == [not is_direct, is_direct]


async def test_a_tunnel_through_a_proxy_that_refuses_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with serving() as proxy:
        monkeypatch.setenv("https_proxy", proxy.url.replace("//", "//user:secret@"))
        proxy.says("index.example:443", answer(407))
        async with asking(addresses=Addresses([])) as upstream:
            trouble = await refusal(upstream.page(Source("https://index.example/simple/"), "demo"))
        assert trouble.is_down
        assert str(trouble) == "the proxy does not lead to index.example"


@pytest.mark.parametrize(
    ("name", "value"),
    [("http_proxy", "quux://user:secret@proxy.example"), ("SSL_CERT_FILE", "/secret/missing.pem")],
)
async def test_an_environment_that_cannot_be_used_is_told(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    async with serving() as server, asking() as upstream:
        trouble = await refusal(upstream.page(server.source, "demo"))
        assert "environment" in str(trouble)


async def test_no_password_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with serving() as server, asking() as upstream:
        server.says("/simple/demo/", page())
        await upstream.page(Source(f"http://user:secret@127.0.0.1:{server.port}/simple/"), "demo")
    assert "secret" not in caplog.text


def test_the_http_client_is_not_loaded_before_it_is_needed() -> None:
    program = (
        "import sys\n"
        "from simpleindex.upstream.client import Addresses, Source, Upstream\n"
        "Upstream(Addresses([]), 'us'), Source('http://user@host/').label\n"
        "print(*sys.modules)"
    )
    loaded = subprocess.check_output(
        [sys.executable, "-c", program], env=server_environment(), text=True
    ).split()
    assert "simpleindex.upstream.client" in loaded
    assert not {"httpx2", "httpcore2", "simpleindex.upstream.connections"} & set(loaded)
