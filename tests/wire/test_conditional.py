from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from simpleindex.wire.conditional import (
    ByteRange,
    Unsatisfiable,
    choose_range,
    http_date,
    matches_none,
)

ETAG = '"abc"'
MODIFIED_AT = datetime(2024, 5, 6, 7, 8, 9, 500_000, UTC)
MODIFIED = "Mon, 06 May 2024 07:08:09 GMT"
HUGE = "9" * 10_000

Answer = ByteRange | Unsatisfiable | None


def answer(
    range_header: str | None,
    if_range: str | None = None,
    *,
    etag: str = ETAG,
    last_modified: datetime | None = MODIFIED_AT,
    size_bytes: int = 100,
) -> Answer:
    return choose_range(
        range_header, if_range, etag=etag, last_modified=last_modified, size_bytes=size_bytes
    )


@pytest.mark.parametrize(
    ("if_none_match", "etag", "not_modified"),
    [
        (None, ETAG, False),
        ("", ETAG, False),
        ('"abc"', ETAG, True),
        ('"other"', ETAG, False),
        ('"ABC"', ETAG, False),
        ('"abcd"', ETAG, False),
        (' "abc" ', ETAG, True),
        ('"x", "abc", "y"', ETAG, True),
        ('"x","abc"', ETAG, True),
        ('"x",, W/"y"', ETAG, False),
        ('W/"abc"', ETAG, True),
        ('"abc"', 'W/"abc"', True),
        ('W/"abc"', 'W/"abc"', True),
        ('W/"x", W/"abc"', ETAG, True),
        ('"a,b"', '"a,b"', True),
        ('"a,b"', '"a"', False),
        ('"a", "b"', '", "', False),
        ("*", ETAG, True),
        (" * ", ETAG, True),
        ('"*"', ETAG, False),
        ("abc", ETAG, False),
        ('"abc', ETAG, False),
        ('"never closed, "abc"', ETAG, False),
    ],
)
def test_if_none_match_is_compared_weakly(
    if_none_match: str | None, etag: str, not_modified: bool
) -> None:
    assert matches_none(if_none_match, etag) is not_modified


@given(tags=st.lists(st.text("abc,/W")), wanted=st.text("abc,/W"))
def test_a_tag_is_found_exactly_if_it_is_in_the_list(tags: list[str], wanted: str) -> None:
    header = ", ".join(f'"{tag}"' for tag in tags)
    assert matches_none(header, f'"{wanted}"') is (wanted in tags)


@pytest.mark.parametrize(
    ("range_header", "expected"),
    [
        pytest.param(None, None, id="no-range"),
        ("bytes=0-0", ByteRange(0, 0)),
        ("bytes=0-9", ByteRange(0, 9)),
        ("bytes=10-19", ByteRange(10, 19)),
        ("bytes=90-", ByteRange(90, 99)),
        ("bytes=0-", ByteRange(0, 99)),
        ("bytes=99-", ByteRange(99, 99)),
        ("bytes=-1", ByteRange(99, 99)),
        ("bytes=-100", ByteRange(0, 99)),
        # Longer than the file is all of it.
        ("bytes=90-100", ByteRange(90, 99)),
        ("bytes=0-999", ByteRange(0, 99)),
        ("bytes=-101", ByteRange(0, 99)),
        ("bytes=000000000000000000000000010-00000000000000000000000011", ByteRange(10, 11)),
        pytest.param(f"bytes=5-{HUGE}", ByteRange(5, 99), id="huge-last"),
        pytest.param(f"bytes=-{HUGE}", ByteRange(0, 99), id="huge-suffix"),
        # Spellings.
        ("BYTES=0-9", ByteRange(0, 9)),
        ("bytes= 0-9", ByteRange(0, 9)),
        ("bytes=0-9,", ByteRange(0, 9)),
        ("bytes=, 0-9 ,,", ByteRange(0, 9)),
        # Behind the end.
        ("bytes=100-", Unsatisfiable()),
        ("bytes=100-200", Unsatisfiable()),
        ("bytes=-0", Unsatisfiable()),
        pytest.param(f"bytes={HUGE}-", Unsatisfiable(), id="huge-first"),
        pytest.param(f"bytes={HUGE}-{HUGE}", Unsatisfiable(), id="huge-both"),
        # Several ranges, and what is no range: the whole file.
        ("bytes=0-1,3-4", None),
        ("bytes=0-1,-1", None),
        ("bytes=100-,0-1", None),
        ("bytes=9-0", None),
        ("bytes=200-100", None),
        pytest.param(f"bytes={HUGE}-5", None, id="huge-backwards"),
        ("bytes", None),
        ("bytes=", None),
        ("bytes=,", None),
        ("bytes=-", None),
        ("bytes=5", None),
        ("bytes=a-b", None),
        ("bytes=0x1-2", None),
        ("bytes=+1-2", None),
        ("bytes=1-2-3", None),
        ("bytes=--1", None),
        ("bytes=1 - 2", None),
        ("bytes=\u0661-\u0662", None),
        ("bytes=1_0-2_0", None),
        ("bytes 0-1", None),
        ("items=0-1", None),
        ("=0-1", None),
        ("", None),
    ],
)
def test_a_single_range_is_honoured_and_anything_else_gets_the_whole_file(
    range_header: str | None, expected: Answer
) -> None:
    assert answer(range_header) == expected


@pytest.mark.parametrize("range_header", ["bytes=0-", "bytes=0-0", "bytes=-1", "bytes=-0"])
def test_an_empty_file_is_always_sent_whole(range_header: str) -> None:
    assert answer(range_header, size_bytes=0) is None


@pytest.mark.parametrize(
    ("if_range", "honoured"),
    [
        (None, True),
        (ETAG, True),
        (f" {ETAG} ", True),
        ('"other"', False),
        ('"ABC"', False),
        ('W/"abc"', False),
        ('"abc", "other"', False),
        ("abc", False),
        ("*", False),
        ("", False),
        (MODIFIED, True),
        ("Mon, 06 May 2024 07:08:10 GMT", False),
        ("Mon, 06 May 2024 07:08:08 GMT", False),
        ("Monday, 06-May-24 07:08:09 GMT", False),
        ("yesterday", False),
    ],
)
def test_a_range_is_honoured_only_if_the_client_has_the_rest_of_this_file(
    if_range: str | None, honoured: bool
) -> None:
    assert answer("bytes=5-", if_range) == (ByteRange(5, 99) if honoured else None)


@pytest.mark.parametrize(
    ("if_range", "etag", "last_modified"),
    [
        pytest.param('W/"abc"', 'W/"abc"', MODIFIED_AT, id="weak-tags-are-never-strongly-equal"),
        pytest.param(MODIFIED, ETAG, None, id="no-date-to-compare"),
    ],
)
def test_without_a_strong_validator_the_whole_file_is_sent(
    if_range: str, etag: str, last_modified: datetime | None
) -> None:
    assert answer("bytes=5-", if_range, etag=etag, last_modified=last_modified) is None


def test_a_file_that_changed_is_sent_whole_even_if_the_range_is_behind_its_end() -> None:
    assert answer("bytes=1000-", '"other"') is None


@pytest.mark.parametrize(
    "moment",
    [MODIFIED_AT, MODIFIED_AT.astimezone(timezone(timedelta(hours=-5)))],
    ids=["utc", "elsewhere"],
)
def test_dates_are_told_in_gmt_to_the_second(moment: datetime) -> None:
    assert http_date(moment) == MODIFIED


def test_content_range_tells_the_part_and_the_whole() -> None:
    part = ByteRange(10, 19)
    assert part.content_range(100) == "bytes 10-19/100"
    assert part.size_bytes == 10
    assert Unsatisfiable().content_range(100) == "bytes */100"


@given(content=st.binary(min_size=1, max_size=20), first=st.integers(0, 30), length=st.integers(1))
def test_a_range_is_what_slicing_gives(content: bytes, first: int, length: int) -> None:
    part = answer(f"bytes={first}-{first + length - 1}", size_bytes=len(content))
    if isinstance(part, ByteRange):
        assert content[part.first : part.last + 1] == content[first : first + length]
        assert part.size_bytes == len(content[first : first + length])
    else:
        assert part == Unsatisfiable()
        assert first >= len(content)


@given(content=st.binary(min_size=1, max_size=20), length=st.integers(1))
def test_a_suffix_is_what_slicing_gives(content: bytes, length: int) -> None:
    part = answer(f"bytes=-{length}", size_bytes=len(content))
    assert isinstance(part, ByteRange)
    assert content[part.first : part.last + 1] == content[-min(length, len(content)) :]


@settings(deadline=None)  # a loaded machine may take its time over the long ones
@given(range_header=st.text(st.sampled_from("bytes=0123-, \t9x")), size_bytes=st.integers(0, 50))
@example(range_header="bytes=" + "," * 60_000, size_bytes=5)
@example(range_header="bytes=" + "0" * 60_000 + "-", size_bytes=5)
def test_no_range_leaves_the_file(range_header: str, size_bytes: int) -> None:
    part = answer(range_header, size_bytes=size_bytes)
    if isinstance(part, ByteRange):
        assert 0 <= part.first <= part.last < size_bytes
