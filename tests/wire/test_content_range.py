import pytest

from simpleindex.wire.content_range import ContentRange, parse_content_range


@pytest.mark.parametrize(
    ("header", "part"),
    [
        ("bytes 0-9/10", ContentRange(0, 9, 10)),
        (" Bytes 5-5/10 ", ContentRange(5, 5, 10)),
        ("bytes 5-8/*", ContentRange(5, 8, None)),
    ],
)
def test_a_part_is_read(header: str, part: ContentRange) -> None:
    assert parse_content_range(header) == part


@pytest.mark.parametrize(
    "header",
    [
        "", "bytes */10", "bytes 9-0/10", "bytes 0-10/10", "bytes 0-9/0", "bytes 0-9",
        "lines 0-9/10", "bytes -1-9/10", "bytes 0-9/10, bytes 0-9/10", "bytes 0-٩/10",
        f"bytes 0-9/{'1' * 30}",
    ],
)  # fmt: skip
def test_what_cannot_be_is_none(header: str) -> None:
    assert parse_content_range(header) is None


@pytest.mark.parametrize(
    ("part", "length_bytes", "is_to_the_end"),
    [
        (ContentRange(0, 9, 10), 10, True),
        (ContentRange(5, 8, 10), 4, False),
        (ContentRange(5, 8, None), 4, True),
    ],
)
def test_a_part_knows_its_length(
    part: ContentRange, length_bytes: int, is_to_the_end: bool
) -> None:
    assert (part.length_bytes, part.is_to_the_end) == (length_bytes, is_to_the_end)
