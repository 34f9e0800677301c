"""A page that cannot be fetched, or not be kept, for reasons that lie here."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from simpleindex.mirror.known import Mirrored, WantedPage
from simpleindex.mirror.pages import MirrorPages, Upstreams
from simpleindex.mirror.sources import Sources
from simpleindex_storage.errors import Unavailable
from simpleindex_storage.model import Index, MirrorSettings
from simpleindex_storage.names import IndexName, parse_project_name
from tests.storage.caches import a_cache

MIRROR = Index(IndexName("root/mirror"), MirrorSettings(volatile=False))
DEMO = parse_project_name("demo")
WANTED = WantedPage(MIRROR, DEMO)


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def mirrored(tmp_path: Path) -> Iterator[Mirrored]:
    with a_cache(tmp_path) as cache:
        yield Mirrored(cache, Sources(None), expiry_seconds=60, offline=False, now=now)


def asking(mirrored: Mirrored, monkeypatch: pytest.MonkeyPatch, error: Exception) -> MirrorPages:
    """Pages of an upstream for which nothing works but that error."""

    async def fail(*_: Any) -> Any:
        raise error

    upstreams = Upstreams(Sources(None), lambda _: pytest.fail("nobody is asked"))
    monkeypatch.setattr(upstreams, "reach", fail)
    return MirrorPages(mirrored, upstreams, now)


def test_an_unexpected_failure_is_a_trouble_like_others(
    mirrored: Mirrored, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asyncio.run(asking(mirrored, monkeypatch, RuntimeError("a fault")).ask([WANTED]))
    line = mirrored.troubles.line(MIRROR, DEMO)
    assert line == "the page could not be fetched; the server's log says why"
    assert "RuntimeError: a fault" in caplog.text


def test_a_page_that_cannot_be_kept_is_no_fault_of_upstream(
    mirrored: Mirrored, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = Unavailable("there is no room", full=True)
    with pytest.raises(Unavailable, match="there is no room"):
        asyncio.run(asking(mirrored, monkeypatch, full).ask([WANTED]))
    assert mirrored.troubles.until(MIRROR, DEMO) is None, "the next request asks again"


def test_a_page_that_is_told_anyway_is_asked_for_later_if_it_cannot_be_kept(
    mirrored: Mirrored, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def wait() -> None:
        pages = asking(mirrored, monkeypatch, Unavailable("there is no room", full=True))
        mirrored.wishes.append(WANTED)
        pages.grant_wishes()
        with pytest.raises(Unavailable):
            await pages.ask([WANTED])
        await asyncio.sleep(0)

    asyncio.run(wait())
    assert mirrored.troubles.until(MIRROR, DEMO) is not None
