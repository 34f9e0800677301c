from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpleindex.config import parse_networks
from simpleindex.wire.origin import Peer, client_address, is_from_elsewhere, is_trusted, origin

STRANGER = Peer(scheme="http", server="10.0.0.1:3141", trusted=False, prefix="")
PROXY = replace(STRANGER, trusted=True)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("index.example", "http://index.example"),
        ("index.example:3141", "http://index.example:3141"),
        ("192.0.2.1:80", "http://192.0.2.1:80"),
        ("[::1]:3141", "http://[::1]:3141"),
        ("xn--bcher-kva.example", "http://xn--bcher-kva.example"),
        (f"{'a' * 255}:65535", f"http://{'a' * 255}:65535"),
    ],
)
def test_the_host_that_was_asked_for_is_told(host: str, url: str) -> None:
    assert origin({"host": host}, STRANGER, None) == url


@pytest.mark.parametrize(
    "host",
    [
        "",
        " ",
        "a b",
        "index.example/path",
        "index.example:port",
        "index.example:123456",
        "user@index.example",
        '"><script>',
        "a\nb",
        "index.example\n",
        "ü.example",
        "[::1",
        "::1",
        "index.example#x",
        "index.example?x",
        "a,b",
        "a" * 262,
        "index.example:0",
        "index.example:65536",
        "[::1]:99999",
        "[:::]",
        "[1:2:3:4:5:6:7:8:9]",
        "[192.0.2.1]",
    ],
)
def test_a_host_that_is_none_is_not_told_on(host: str) -> None:
    assert origin({"host": host}, STRANGER, None) == "http://10.0.0.1:3141"


def test_our_own_address_stands_in_for_a_missing_host() -> None:
    assert origin({}, STRANGER, None) == "http://10.0.0.1:3141"


@pytest.mark.parametrize(
    ("headers", "url"),
    [
        ({}, "http://h"),
        ({"x-forwarded-proto": "https"}, "https://h"),
        ({"x-forwarded-proto": "HTTPS"}, "https://h"),
        ({"x-forwarded-proto": "gopher"}, "http://h"),
        ({"x-forwarded-host": "out.example"}, "http://out.example"),
        ({"x-forwarded-host": "evil.example, out.example"}, "http://out.example"),
        ({"x-forwarded-proto": "http, https", "x-forwarded-host": "out"}, "https://out"),
        ({"x-forwarded-host": "<b>"}, "http://10.0.0.1:3141"),
        ({"x-outside-url": "https://out.example/index/"}, "https://out.example/index"),
        ({"x-outside-url": "https://out", "x-forwarded-host": "other"}, "https://out"),
        ({"x-outside-url": "javascript:alert(1)"}, "http://h"),
        ({"x-outside-url": 'https://out"><script>'}, "http://h"),
        ({"x-outside-url": "https://out?x"}, "http://h"),
        ({"x-outside-url": ""}, "http://h"),
        ({"x-outside-url": "http:////"}, "http://h"),
        ({"x-outside-url": "http:///path"}, "http://h"),
        ({"x-outside-url": "http://out:99999/"}, "http://h"),
        ({"x-outside-url": "http://user@out/"}, "http://h"),
        ({"x-outside-url": "http://[:::]/"}, "http://h"),
        ({"x-outside-url": "http://out/\x7f"}, "http://h"),
        ({"x-outside-url": "http://out/\xff"}, "http://h"),
        ({"x-outside-url": "http://[2001:db8::1]:8080/a/b/"}, "http://[2001:db8::1]:8080/a/b"),
    ],
)
def test_what_a_proxy_says_counts_only_if_it_is_trusted(headers: dict[str, str], url: str) -> None:
    assert origin({"host": "h"} | headers, PROXY, None) == url
    assert origin({"host": "h"} | headers, STRANGER, None) == "http://h"


def test_a_set_outside_url_goes_before_everything_but_a_trusted_proxys() -> None:
    outside = "https://set.example/index"
    headers = {"host": "h", "x-forwarded-host": "f", "x-outside-url": "https://o"}
    assert origin(headers, STRANGER, outside) == outside
    assert origin({"host": "h", "x-forwarded-host": "f"}, PROXY, outside) == outside
    assert origin(headers, PROXY, outside) == "https://o"


def test_the_prefix_of_a_mount_is_part_of_it() -> None:
    mounted = replace(STRANGER, prefix="/tools/index")
    assert origin({"host": "h"}, mounted, None) == "http://h/tools/index"


@given(
    headers=st.dictionaries(
        st.sampled_from(["host", "x-forwarded-host", "x-forwarded-proto", "x-outside-url"]),
        st.text() | st.text('htps:/.[]"<> \n,@#?é', max_size=12),
    ),
    trusted=st.booleans(),
)
def test_nothing_in_a_header_breaks_out_of_the_url(headers: dict[str, str], trusted: bool) -> None:
    url = origin(headers, replace(STRANGER, trusted=trusted), None)
    assert url.startswith(("http://", "https://"))
    assert not set(url) & set("\"'<> \n\r\t\\")
    assert not url.endswith("/")


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        pytest.param("192.0.2.1", None, "192.0.2.1", id="nothing forwarded"),
        pytest.param("192.0.2.1", "198.51.100.1", "192.0.2.1", id="by a stranger"),
        pytest.param("10.0.0.1", "198.51.100.1", "198.51.100.1", id="by a proxy"),
        pytest.param("10.0.0.1", "1.1.1.1, 198.51.100.1", "198.51.100.1", id="the last stranger"),
        pytest.param("10.0.0.1", "198.51.100.1,10.0.0.2", "198.51.100.1", id="two proxies"),
        pytest.param("10.0.0.1", "10.0.0.2", "10.0.0.2", id="a proxy itself"),
        pytest.param("10.0.0.1", None, "10.0.0.1", id="nothing said"),
        pytest.param("10.0.0.1", " , ", "10.0.0.1", id="nothing meant"),
        pytest.param(None, "198.51.100.1", None, id="Unix socket"),
    ],
)
def test_an_address_is_that_of_the_nearest_stranger(
    peer: str | None, forwarded: str | None, address: str | None
) -> None:
    assert client_address(peer, forwarded, parse_networks("10.0.0.1,10.0.0.2")) == address


@pytest.mark.parametrize(
    ("address", "trusted", "is_one"),
    [
        ("10.0.0.1", ("10.0.0.1",), True),
        ("10.9.9.9", ("192.0.2.1", "10.0.0.0/8"), True),
        ("11.0.0.1", ("10.0.0.0/8",), False),
        ("::ffff:10.0.0.1", ("10.0.0.0/8",), True),
        ("2001:db8::5", ("2001:db8::/32",), True),
        ("2001:db9::5", ("2001:db8::/32", "10.0.0.0/8"), False),
        ("no address", ("0.0.0.0/0",), False),
        ("by way of 10.0.0.1", ("10.0.0.0/8",), False),
        (None, ("0.0.0.0/0",), False),
        ("10.0.0.1", (), False),
    ],
)
def test_proxies_are_named_by_address_or_network(
    address: str | None, trusted: tuple[str, ...], is_one: bool
) -> None:
    assert is_trusted(address, parse_networks(trusted)) is is_one


@pytest.mark.parametrize("peer", ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
def test_what_an_unnamed_proxy_here_forwards_is_from_somebody_else(peer: str) -> None:
    assert client_address(peer, "192.0.2.1", ()) == f"by way of {peer}"
    assert client_address(peer, None, ()) == peer
    assert client_address(peer, "192.0.2.1", parse_networks(peer)) == "192.0.2.1"
    assert client_address("198.18.0.1", "127.0.0.1", ()) == "198.18.0.1"


@pytest.mark.parametrize(
    ("origin_said", "is_elsewhere"),
    [
        (None, False),
        ("http://index.example:3141", False),
        ("https://INDEX.example:3141", False),
        ("https://out.example", False),
        ("https://evil.example", True),
        ("http://index.example", True),
        ("http://index.example:3141.evil.example", True),
        ("null", True),
        ("", True),
        ("https://", True),
    ],
)
def test_pages_of_other_sites_are_told_by_their_origin(
    origin_said: str | None, is_elsewhere: bool
) -> None:
    headers = {"host": "index.example:3141"}
    headers |= {} if origin_said is None else {"origin": origin_said}
    assert is_from_elsewhere(headers, "https://out.example/index") is is_elsewhere
    assert is_from_elsewhere(headers, "HTTPS://OUT.example:443/index") is is_elsewhere
    assert is_from_elsewhere({"origin": "https://"}, "https://out.example")


@pytest.mark.parametrize(
    ("host", "origin_said", "is_elsewhere"),
    [
        ("index.example:80", "http://index.example", False),
        ("index.example:443", "https://index.example", False),
        ("index.example", "http://index.example:80", False),
        ("[2001:db8::1]:80", "http://[2001:db8::1]", False),
        ("index.example:80", "https://index.example", True),
        ("index.example:443", "http://index.example", True),
        ("index.example", "http://index.example:443", True),
        ("[2001:db8::80]", "http://[2001:db8:]", True),
        (":80", "http://", True),
    ],
)
def test_the_usual_port_is_the_same_place_named_or_not(
    host: str, origin_said: str, is_elsewhere: bool
) -> None:
    headers = {"host": host, "origin": origin_said}
    assert is_from_elsewhere(headers, "http://out.example:8080") is is_elsewhere
