import pytest

from simpleindex.wire.hops import HOPS_MAX, parse_hops, render_hops


@pytest.mark.parametrize(
    ("header", "hops"),
    [
        pytest.param(None, (), id="no header"),
        pytest.param("", (), id="empty"),
        pytest.param("a", ("a",), id="one"),
        pytest.param("a, b,c", ("a", "b", "c"), id="three"),
        pytest.param("a,,b d,é,<i>,e\r", ("a", "e"), id="not names"),
        pytest.param("a" * 65 + ",b", ("b",), id="too long"),
    ],
)
def test_hops_are_the_names_in_the_header(header: str | None, hops: tuple[str, ...]) -> None:
    assert parse_hops(header) == hops


def test_no_more_hops_are_read_than_a_way_may_have() -> None:
    assert parse_hops(",".join(f"hop{i}" for i in range(1000))) == tuple(
        f"hop{i}" for i in range(HOPS_MAX)
    )


def test_hops_are_read_as_they_are_written() -> None:
    hops = ("0c1f4f5e-0000-4000-8000-000000000001", "b")
    assert parse_hops(render_hops(hops)) == hops
