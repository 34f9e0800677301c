"""What is one client, for whoever counts failures, connections and asks who may look."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from simpleindex.wire.clients import LOOPBACK, is_loopback, network_of, parse_address

ADDRESSES = st.ip_addresses().map(str)


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("127.0.0.1", LOOPBACK),
        ("127.9.9.9", LOOPBACK),
        ("::ffff:127.0.0.1", LOOPBACK),
        ("::1", LOOPBACK),
        ("2001:db8:1:2:3:4:5:6", "2001:0db8:0001:0002::/64"),
        ("2001:db8:1:2::", "2001:0db8:0001:0002::/64"),
        ("fe80::1%eth0", "fe80:0000:0000:0000::/64"),
        ("by way of 127.0.0.1", "by way of 127.0.0.1"),
        ("", ""),
        ("x" * 1000, "x" * 64),
    ],
)
def test_one_client_is_an_address_or_a_network_of_ipv6(address: str, name: str) -> None:
    assert network_of(address) == name


@pytest.mark.parametrize("address", ["localhost", "loopback", "console", "127.1", "[::1]", "%lo"])
def test_a_name_is_never_this_computer(address: str) -> None:
    assert parse_address(address) is None
    assert not is_loopback(address)
    assert network_of(address) != LOOPBACK


@given(st.one_of(ADDRESSES, st.text()))
@example("127.0.0.1" + "0" * 64)
def test_only_this_computers_addresses_count_as_it(text: str) -> None:
    assert (network_of(text) == LOOPBACK) == is_loopback(text)


@given(ADDRESSES)
def test_the_notation_of_an_address_does_not_matter(text: str) -> None:
    parsed = parse_address(text)
    assert parsed is not None
    assert parse_address(parsed.exploded.upper()) == parsed
    assert network_of(parsed.exploded) == network_of(text)
