from dataclasses import replace
from datetime import UTC, datetime, timedelta

from simpleindex.rendered import RenderedPage, RenderedPages

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def a_page(body: bytes = b"x", fingerprint: object = 1) -> RenderedPage:
    return RenderedPage(body, f'"{body.hex()}"', str(fingerprint))


def test_a_page_is_current_at_the_serial_it_was_kept_at_and_at_no_other() -> None:
    pages, page = RenderedPages(10_000), a_page()
    pages.keep("demo", 7, page)
    assert pages.current("demo", 7, NOW) is page
    assert pages.current("demo", 6, NOW) is None
    assert pages.current("demo", 8, NOW) is None
    assert pages.current("other", 7, NOW) is None


def test_no_page_is_current_while_there_is_no_agreed_serial() -> None:
    pages = RenderedPages(10_000)
    pages.keep("demo", 7, a_page())
    assert pages.current("demo", None, NOW) is None


def test_a_page_made_without_an_agreed_serial_is_not_kept() -> None:
    pages = RenderedPages(10_000)
    pages.keep("demo", None, a_page())
    assert pages.maybe("demo") is None


def test_a_page_that_was_true_once_can_be_kept_again_at_a_later_serial() -> None:
    pages = RenderedPages(10_000)
    pages.keep("demo", 7, a_page())
    before = pages.maybe("demo")
    assert before == a_page()
    pages.keep("demo", 9, before)
    assert pages.current("demo", 9, NOW) is before


def test_a_newer_page_takes_the_place_of_the_older() -> None:
    pages, new = RenderedPages(10_000), a_page(b"new")
    pages.keep("demo", 7, a_page(b"old"))
    pages.keep("demo", 8, new)
    assert pages.current("demo", 7, NOW) is None
    assert pages.current("demo", 8, NOW) is new


def test_what_was_not_asked_for_longest_goes_when_the_memory_is_full() -> None:
    pages = RenderedPages(10_000)
    for key in ("a", "b", "c"):
        pages.keep(key, 1, a_page(b"x" * 2_500))
    assert pages.current("a", 1, NOW) is not None
    pages.keep("d", 1, a_page(b"x" * 2_500))
    assert [key for key in "abcd" if pages.maybe(key) is None] == ["b"]


def test_a_page_larger_than_the_memory_is_not_kept_and_drives_nothing_out() -> None:
    pages = RenderedPages(10_000)
    pages.keep("a", 1, a_page())
    pages.keep("b", 1, a_page(b"x" * 10_000))
    assert pages.maybe("a") is not None
    assert pages.maybe("b") is None


def test_replacing_a_page_many_times_does_not_use_the_memory_up() -> None:
    pages = RenderedPages(10_000)
    pages.keep("other", 1, a_page())
    for serial in range(100):
        pages.keep("demo", serial, a_page(b"x" * 4_000))
    assert pages.maybe("other") is not None


def test_many_tiny_pages_do_not_use_more_than_the_memory() -> None:
    pages = RenderedPages(10_000)
    for number in range(1_000):
        pages.keep(number, 1, a_page(b""))
    kept = [number for number in range(1_000) if pages.maybe(number) is not None]
    assert 10 <= len(kept) <= 40
    assert kept[-1] == 999


def test_a_page_that_may_have_changed_by_now_is_not_told_from_memory() -> None:
    pages = RenderedPages(10_000)
    page = replace(a_page(), valid_until=NOW + timedelta(seconds=5))
    pages.keep("demo", 7, page)
    assert pages.current("demo", 7, NOW) is page
    assert pages.current("demo", 7, NOW + timedelta(seconds=5)) is None
    assert pages.maybe("demo") is page


def test_a_page_is_looked_at_again_when_the_clock_is_put_back() -> None:
    pages = RenderedPages(10_000)
    page = replace(a_page(), valid_until=NOW + timedelta(seconds=5), looked_at=NOW)
    pages.keep("demo", 7, page)
    assert pages.current("demo", 7, NOW) is page
    assert pages.current("demo", 7, NOW - timedelta(days=1)) is None
