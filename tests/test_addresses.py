import asyncio
import socket
from collections.abc import Callable, Iterable, Sequence

import httpcore2
import pytest

from simpleindex.upstream.addresses import Addresses, AddressRefused
from simpleindex.upstream.connections import GuardedBackend

PUBLIC = "8.8.8.8"
PUBLIC_V6 = "2606:4700::1111"


class FakeResolver:
    """Says one answer after another, the last one for ever."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, int]] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append((host, port))
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


class FakeNetwork(httpcore2.AsyncNetworkBackend):
    """Connects to what it is told to, and takes note."""

    def __init__(self, *reachable: str, dead: Iterable[str] = ()) -> None:
        self.reachable = reachable
        self.dead = set(dead)
        self.tried: list[str] = []
        self.shares: list[float | None] = []

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  its name is the parent's
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        self.tried.append(host)
        self.shares.append(timeout)
        if host in self.dead:
            raise httpcore2.ConnectTimeout("dead")
        if host not in self.reachable:
            raise httpcore2.ConnectError("refused")
        return httpcore2.AsyncNetworkStream()


def addresses(*allowed: str, found: Sequence[str] = ()) -> Addresses:
    return Addresses(allowed, FakeResolver(found))


def of(known: Addresses, host: str) -> Sequence[str]:
    return asyncio.run(known.of(host, 443))


def connect(known: Addresses, network: FakeNetwork, timeout: float | None = 4.0) -> None:
    async def once() -> None:
        await GuardedBackend(known, network).connect_tcp("index.example", 443, timeout)

    asyncio.run(once())


@pytest.mark.parametrize("address", [PUBLIC, PUBLIC_V6, "64:ff9b::808:808", "2002:808:808::1"])
def test_a_public_address_may_be_connected_to(address: str) -> None:
    assert of(addresses(found=[address]), "index.example") == [address]
    assert of(addresses(), address) == [address]


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("127.0.0.1", "loopback"),
        ("127.255.0.3", "loopback"),
        ("::1", "loopback"),
        ("10.1.2.3", "private"),
        ("172.16.0.1", "private"),
        ("192.168.0.1", "private"),
        ("fd00::1", "private"),
        ("fec0::1", "private"),
        ("100.64.0.1", "private"),
        ("198.18.0.1", "private"),
        ("169.254.169.254", "link-local"),
        ("fe80::1", "link-local"),
        ("fe80::1%2", "link-local"),
        ("224.0.0.1", "multicast"),
        ("ff02::1", "multicast"),
        ("240.0.0.1", "reserved"),
        ("255.255.255.255", "reserved"),
        ("::127.0.0.1", "reserved"),
        ("64:ff9b:1::808:808", "reserved"),
        ("0.0.0.0", "unspecified"),
        ("::", "unspecified"),
        ("::ffff:127.0.0.1", "loopback"),
        ("::ffff:169.254.169.254", "link-local"),
        ("64:ff9b::a01:203", "private"),
        ("2002:a01:203::1", "private"),
    ],
)
def test_no_other_address_may(address: str, kind: str) -> None:
    with pytest.raises(AddressRefused) as by_name:
        of(addresses(found=[address]), "index.example")
    assert (by_name.value.host, by_name.value.kind) == ("index.example", kind)
    with pytest.raises(AddressRefused) as by_itself:
        of(addresses(), f"[{address}]" if ":" in address else address)
    assert by_itself.value.kind == kind


@pytest.mark.parametrize("host", ["127.1", "0x7f.1", "2130706433", "0x7f000001", "017700000001"])
def test_an_address_in_an_old_notation_is_one(host: str) -> None:
    with pytest.raises(AddressRefused):
        of(addresses(), host)
    with pytest.raises(AddressRefused):
        addresses().check_unresolved(host)


@pytest.mark.parametrize(
    ("allowed", "address"),
    [
        ("packages.corp", "10.1.2.3"),
        ("Packages.Corp.", "10.1.2.3"),
        ("10.1.2.3", "10.1.2.3"),
        ("10.0.0.0/8", "10.1.2.3"),
        ("10.0.0.0/8", "::ffff:10.1.2.3"),
        ("fd00::/8", "fd00::1"),
        ("[fd00::1]", "fd00::1"),
        ("127.0.0.1", "127.0.0.1"),
    ],
)
def test_what_is_allowed_may_be_private(allowed: str, address: str) -> None:
    assert of(addresses(allowed, found=[address]), "packages.corp") == [address]
    with pytest.raises(AddressRefused):
        of(addresses(allowed, found=["192.168.0.1"]), "other.corp")


def test_one_private_address_among_public_ones_is_too_much() -> None:
    with pytest.raises(AddressRefused, match=r"10\.1\.2\.3"):
        of(addresses(found=[PUBLIC, "10.1.2.3"]), "index.example")


def test_one_more_host_can_be_allowed() -> None:
    before = addresses("192.168.0.1", found=["10.1.2.3"])
    after = before.with_host("packages.corp")
    assert of(after, "packages.corp") == ["10.1.2.3"]
    assert of(after, "192.168.0.1") == ["192.168.0.1"]
    with pytest.raises(AddressRefused):
        of(before, "packages.corp")


@pytest.mark.parametrize(
    "text", ["", " ", "10.0.0.0/33", "http://a", "a:80", "a b", "*.corp", "a/b"]
)
def test_what_names_no_host_cannot_be_allowed(text: str) -> None:
    with pytest.raises(ValueError, match="neither the name of a host"):
        Addresses([text])


def test_the_refusal_says_what_to_do() -> None:
    with pytest.raises(AddressRefused) as refused:
        of(addresses(found=["10.1.2.3"]), "packages.corp")
    assert str(refused.value) == (
        "packages.corp is at the private address 10.1.2.3; if that is right, allow it with "
        "--private-upstreams=packages.corp or the setting private_upstreams"
    )
    with pytest.raises(AddressRefused, match=r"^10\.1\.2\.3 is a private address; if"):
        of(addresses(), "10.1.2.3")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST.", "a.localhost", "10.1.2.3", "[::1]"])
def test_a_name_that_needs_no_resolving_is_checked_before_a_proxy_gets_it(host: str) -> None:
    with pytest.raises(AddressRefused):
        addresses().check_unresolved(host)
    addresses(host).check_unresolved(host)


@pytest.mark.parametrize("host", ["index.example", "localhost.example", PUBLIC, "cafe.fade"])
def test_other_names_are_left_to_the_proxy(host: str) -> None:
    resolver = FakeResolver(["10.1.2.3"])
    Addresses([], resolver).check_unresolved(host)
    assert resolver.asked == []


def test_the_system_knows_localhost_and_it_is_refused() -> None:
    with pytest.raises(AddressRefused):
        asyncio.run(Addresses([]).of("localhost", 80))


@pytest.mark.parametrize("host", ["a" * 64 + ".example", "a..example"])
def test_a_name_that_cannot_be_resolves_to_nothing(host: str) -> None:
    with pytest.raises(OSError):
        asyncio.run(Addresses([]).of(host, 80))


def test_the_connection_goes_to_the_address_that_was_checked() -> None:
    resolver = FakeResolver([PUBLIC], ["127.0.0.1"])
    network = FakeNetwork(PUBLIC, "127.0.0.1")
    connect(Addresses([], resolver), network)
    assert network.tried == [PUBLIC]
    assert resolver.asked == [("index.example", 443)]


def test_a_refused_address_is_not_connected_to() -> None:
    network = FakeNetwork("127.0.0.1")
    with pytest.raises(AddressRefused):
        connect(addresses(found=["127.0.0.1"]), network)
    assert network.tried == []


def test_a_dead_address_takes_only_its_share_of_the_time() -> None:
    network = FakeNetwork("1.1.1.1", dead=[PUBLIC])
    connect(addresses(found=[PUBLIC, "1.1.1.1"]), network, timeout=4.0)
    assert network.tried == [PUBLIC, "1.1.1.1"]
    assert network.shares[0] == pytest.approx(2.0, abs=0.2)


def test_both_families_are_tried_by_turns_and_not_for_ever() -> None:
    found = [PUBLIC_V6, "2606:4700::2", "2606:4700::3", "1.1.1.1", PUBLIC, "9.9.9.9"]
    network = FakeNetwork()
    with pytest.raises(httpcore2.ConnectError):
        connect(addresses(found=found), network)
    assert network.tried == [PUBLIC_V6, "1.1.1.1", "2606:4700::2", PUBLIC]


def test_without_a_deadline_none_is_shared() -> None:
    network = FakeNetwork(PUBLIC)
    connect(addresses(found=[PUBLIC]), network, timeout=None)
    assert network.shares == [None]


@pytest.mark.parametrize(
    ("resolve", "failure"),
    [
        pytest.param(
            lambda: asyncio.sleep(60, [PUBLIC]), httpcore2.ConnectTimeout, id="takes too long"
        ),
        pytest.param(lambda: asyncio.sleep(0, []), httpcore2.ConnectError, id="nothing"),
    ],
)
def test_a_name_that_does_not_resolve_is_a_connection_that_failed(
    resolve: Callable[[], asyncio.Future[Sequence[str]]], failure: type[Exception]
) -> None:
    async def resolver(host: str, port: int) -> Sequence[str]:
        return await resolve()

    with pytest.raises(failure):
        connect(Addresses([], resolver), FakeNetwork(PUBLIC), timeout=0.05)


def test_an_error_of_the_resolver_is_a_connection_that_failed() -> None:
    async def resolver(host: str, port: int) -> Sequence[str]:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    with pytest.raises(httpcore2.ConnectError):
        connect(Addresses([], resolver), FakeNetwork(PUBLIC))
