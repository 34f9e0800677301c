"""Upstreams that keep others waiting: all of them at once, and waited for only once.

pip gives up a request after 15 seconds, and then tells of a time-out of ours.
"""

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from tests.builders import a_wheel
from tests.clients.programs import Terminal, program
from tests.hostile.behaviours import (
    Behaviour,
    Chunked,
    Hang,
    HangUp,
    SilentDrop,
    SlowDrip,
    Together,
)
from tests.hostile.upstream import Upstream
from tests.mirror.sites import PIP_SECONDS, MirrorSite, a_mirror, until
from tests.server import RunningServer

PAGE = "/simple/demo/"
AT_ONCE_SECONDS = 3.0
"""Far less than any time that upstream is given, and enough on a machine with much to do."""
DEMO = a_wheel("demo", "1.0")

WAYS: Mapping[str, Callable[[Upstream], None]] = {
    "says nothing": lambda upstream: upstream.behave(PAGE, SilentDrop()),
    "stops in the page": lambda upstream: upstream.behave(PAGE, Hang(20)),
    "stops in a chunk": lambda upstream: upstream.behave(PAGE, Together(Chunked(), Hang(20))),
    "sends a byte now and then": lambda upstream: upstream.behave(PAGE, SlowDrip(10)),
    "takes no connection": lambda upstream: upstream.go_deaf(),
}
LISTS: Mapping[str, Behaviour] = {"says nothing": SilentDrop(), "stops": Hang(20)}
ways = pytest.mark.parametrize("way", WAYS)


@dataclass(frozen=True, slots=True)
class Waited:
    """One who has waited, and then asked again."""

    answer: httpx2.Response
    seconds: float
    others: list[httpx2.Response]
    """The same page, and another one of that mirror, asked for after that."""
    seconds_for_others: float
    requests_for_others: int
    """How much upstream was asked for them."""
    connections_for_others: int


@dataclass(frozen=True, slots=True)
class AllWaited:
    """What came of all of it."""

    cold: Mapping[str, Waited]
    kept: Mapping[str, float]
    """How long a page took that is out of date, by the way in which upstream fails to renew it."""
    pip_output: str
    uv_output: str
    lists: Mapping[str, Waited]
    asked_again: int
    """How often a page was asked for that upstream broke off once, while somebody went on asking
    for it."""
    shown_again: list[str]
    """And what was on it then."""


@pytest.fixture(scope="module")
def waited(
    shared_server: RunningServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[AllWaited]:
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(20))

        def a_site(**settings: object) -> MirrorSite:
            return stack.enter_context(a_mirror(shared_server, **settings))

        cold = {way: pool.submit(_wait_for_page, a_site(), WAYS[way]) for way in WAYS}
        kept = {
            way: pool.submit(_wait_for_kept_page, a_site(mirror_cache_expiry=0), WAYS[way])
            for way in WAYS
        }
        lists = {
            name: pool.submit(_wait_for_list, a_site(), behaviour)
            for name, behaviour in LISTS.items()
        }
        terminal = Terminal(tmp_path_factory.mktemp("terminal") / "home")
        pip = pool.submit(_ask_with_pip, a_site(), terminal)
        uv = pool.submit(_ask_with_uv, a_site(), terminal)
        again = pool.submit(_go_on_asking, a_site(mirror_cache_expiry=0))
        yield AllWaited(
            {way: future.result() for way, future in cold.items()},
            {way: future.result() for way, future in kept.items()},
            pip.result(),
            uv.result(),
            {name: future.result() for name, future in lists.items()},
            *again.result(),
        )


@ways
def test_an_upstream_that_keeps_us_waiting_is_told_before_pip_gives_up(
    way: str, waited: AllWaited
) -> None:
    cold = waited.cold[way]
    assert cold.answer.status_code == 504
    assert "took too long" in cold.answer.text
    assert cold.seconds < PIP_SECONDS


@ways
def test_nobody_waits_again_for_an_upstream_that_just_kept_us_waiting(
    way: str, waited: AllWaited
) -> None:
    cold = waited.cold[way]
    assert [answer.status_code for answer in cold.others] == [504, 504]
    assert all("took too long" in answer.text for answer in cold.others)
    assert cold.seconds_for_others < AT_ONCE_SECONDS
    assert (cold.requests_for_others, cold.connections_for_others) == (0, 0)


@ways
def test_who_asks_for_a_page_that_is_kept_waits_for_no_upstream(
    way: str, waited: AllWaited
) -> None:
    assert waited.kept[way] < AT_ONCE_SECONDS


def test_pip_is_answered_before_it_gives_up(waited: AllWaited) -> None:
    assert "504 Server Error" in waited.pip_output
    assert "took too long" in waited.pip_output
    assert "timed out" not in waited.pip_output


def test_uv_tells_what_is_wrong_with_upstream(waited: AllWaited) -> None:
    assert "504 nothing is known of demo in root/mirror" in waited.uv_output
    assert "took too long" in waited.uv_output


@pytest.mark.parametrize("name", LISTS)
def test_a_list_that_does_not_come_is_told_before_pip_gives_up(
    name: str, waited: AllWaited
) -> None:
    told = waited.lists[name]
    assert told.answer.status_code == 504
    assert told.seconds < PIP_SECONDS


def test_an_upstream_that_broke_off_is_asked_again_after_a_while(waited: AllWaited) -> None:
    assert waited.asked_again >= 1
    assert waited.shown_again == [DEMO.filename, "demo-2.0-py3-none-any.whl"]


def _wait_for_page(site: MirrorSite, spoil: Callable[[Upstream], None]) -> Waited:
    site.upstream.add(DEMO)
    spoil(site.upstream)
    return _wait(site, lambda: site.page("demo"), lambda: [site.page("demo"), site.page("other")])


def _wait_for_list(site: MirrorSite, behaviour: Behaviour) -> Waited:
    site.upstream.behave("/simple/$", behaviour)
    return _wait(site, lambda: site.get(site.simple_url), list)


def _wait(
    site: MirrorSite,
    ask: Callable[[], httpx2.Response],
    ask_more: Callable[[], list[httpx2.Response]],
) -> Waited:
    begun = time.monotonic()
    answer = ask()
    seconds = time.monotonic() - begun
    requests, connections = len(site.upstream.requests), site.upstream.connections_made
    begun = time.monotonic()
    others = ask_more()
    return Waited(
        answer,
        seconds,
        others,
        time.monotonic() - begun,
        len(site.upstream.requests) - requests,
        site.upstream.connections_made - connections,
    )


def _wait_for_kept_page(site: MirrorSite, spoil: Callable[[Upstream], None]) -> float:
    site.upstream.add(DEMO)
    assert site.filenames("demo") == [DEMO.filename]
    spoil(site.upstream)
    begun = time.monotonic()
    for _ in range(3):
        assert site.filenames("demo") == [DEMO.filename]
    return time.monotonic() - begun


def _ask_with_pip(site: MirrorSite, terminal: Terminal) -> str:
    site.upstream.behave(PAGE, SilentDrop())
    where = ["--index-url", site.simple_url, "--retries=0", "--no-cache-dir"]
    pip: list[str | Path] = [sys.executable, "-m", "pip", "--isolated", "-vv", "download", "demo"]
    return terminal.run(*pip, *where, "--dest", terminal.home).sentence


def _ask_with_uv(site: MirrorSite, terminal: Terminal) -> str:
    site.upstream.behave(PAGE, SilentDrop())
    where = ["--no-config", "--no-cache", "--default-index", site.simple_url]
    target = ["--python", sys.executable, "--target", str(terminal.home)]
    uv: list[str | Path] = [program("uv"), "pip", "install", "demo", *where, *target]
    return terminal.run(*uv, UV_HTTP_RETRIES="0").sentence


def _go_on_asking(site: MirrorSite) -> tuple[int, list[str]]:
    site.upstream.add(DEMO)
    site.filenames("demo")
    site.upstream.add(a_wheel("demo", "2.0"))
    site.upstream.behave(PAGE, HangUp())
    assert site.refresh("demo").status_code == 502
    site.upstream.behave(PAGE, None)
    asked = site.upstream.requests.count(PAGE)
    until(lambda: len(site.filenames("demo")) > 1, "the page has the new file")
    return site.upstream.requests.count(PAGE) - asked, site.filenames("demo")
