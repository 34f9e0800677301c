"""Requests that cross an answer: who saw that something was missing just before it came."""

from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from simpleindex.mirror.files import MirrorFiles
from simpleindex.mirror.known import Mirrored, UpstreamNeeded, WantedPage
from simpleindex.mirror.lists import MirrorLists
from simpleindex.mirror.pages import MirrorPages, Upstreams
from simpleindex.mirror.sources import Sources
from simpleindex.mirror.transfers import Transfers, WantedFile
from simpleindex.upstream.addresses import Addresses
from simpleindex.upstream.client import Upstream
from simpleindex_storage.cache import Cache
from simpleindex_storage.mirrored import KeptNames
from simpleindex_storage.model import Index, MirrorSettings, Sidecar
from simpleindex_storage.names import IndexName
from tests.builders import a_wheel
from tests.fakes import FakeCatalog
from tests.hostile.upstream import Upstream as FakeUpstream
from tests.hostile.upstream import running_upstream
from tests.storage.caches import DEMO, MIRROR, Clock

pytestmark = pytest.mark.anyio

BUILT = a_wheel("demo", "1.0")
PAGE, LIST = "/simple/demo/", "/simple/"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cache(tmp_path: Path, clock: Clock) -> Iterator[Cache]:
    with closing(Cache(tmp_path / "cache", clock)) as made:
        yield made


@pytest.fixture
def upstream() -> Iterator[FakeUpstream]:
    with running_upstream() as running:
        running.add(BUILT)
        yield running


@pytest.fixture
def mirrored(cache: Cache, clock: Clock) -> Mirrored:
    return Mirrored(cache, Sources(None), expiry_seconds=60, offline=False, now=clock)


@pytest.fixture
async def upstreams() -> AsyncIterator[Upstreams]:
    addresses = Addresses(["127.0.0.1"])
    made = Upstreams(Sources(None), lambda _: Upstream(addresses, "this-server"))
    yield made
    await made.close()


def an_index(upstream: FakeUpstream) -> Index:
    return Index(MIRROR, MirrorSettings(mirror_url=f"{upstream.root_url}{LIST}"))


def missing(mirrored: Mirrored, index: Index) -> tuple[WantedPage, ...]:
    """What has to be asked for before the page of demo can be told."""
    with pytest.raises(UpstreamNeeded) as needed:
        mirrored.look(index, DEMO)
    return needed.value.wanted


async def test_a_page_that_came_since_it_was_missed_is_not_asked_for_again(
    mirrored: Mirrored, upstreams: Upstreams, upstream: FakeUpstream, clock: Clock
) -> None:
    pages = MirrorPages(mirrored, upstreams, clock)
    index = an_index(upstream)
    missed = missing(mirrored, index)
    await pages.ask(missed)
    await pages.ask(missed)
    assert upstream.requests.count(PAGE) == 1
    assert len(mirrored.look(index, DEMO).files) == 1
    await pages.close()


async def test_who_wants_a_page_anew_gets_it_however_new_it_is(
    mirrored: Mirrored, upstreams: Upstreams, upstream: FakeUpstream, clock: Clock
) -> None:
    pages = MirrorPages(mirrored, upstreams, clock)
    missed = missing(mirrored, an_index(upstream))
    await pages.ask(missed)
    await pages.refresh(missed)
    assert upstream.requests.count(PAGE) == 2
    await pages.close()


async def test_a_page_that_is_old_again_is_asked_for_again(
    mirrored: Mirrored, upstreams: Upstreams, upstream: FakeUpstream, clock: Clock
) -> None:
    pages = MirrorPages(mirrored, upstreams, clock)
    index = an_index(upstream)
    await pages.ask(missing(mirrored, index))
    clock.go_on(seconds=61)
    mirrored.look(index, DEMO)
    (wish,) = mirrored.wishes
    await pages.ask([wish])
    assert upstream.requests.count(PAGE) == 2
    await pages.close()


async def test_a_list_that_came_since_it_was_missed_is_not_asked_for_again(
    mirrored: Mirrored,
    upstreams: Upstreams,
    upstream: FakeUpstream,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lists = MirrorLists(mirrored, upstreams, expiry_seconds=60, now=clock)
    index = an_index(upstream)
    assert await lists.ensure([index], ()) == {}
    look = mirrored.cache.names
    looks: list[IndexName] = []

    def miss_it_once(name: IndexName) -> KeptNames | None:
        looks.append(name)
        return None if len(looks) == 1 else look(name)

    monkeypatch.setattr(mirrored.cache, "names", miss_it_once)
    assert await lists.ensure([index], ()) == {}
    assert len(looks) > 1
    assert upstream.requests.count(LIST) == 1
    await lists.close()


async def test_metadata_that_came_since_it_was_missed_is_not_asked_for_again(
    mirrored: Mirrored, upstreams: Upstreams, upstream: FakeUpstream, clock: Clock
) -> None:
    pages = MirrorPages(mirrored, upstreams, clock)
    files = MirrorFiles(FakeCatalog(), mirrored, upstreams, Transfers(mirrored, upstreams))
    index = an_index(upstream)
    await pages.ask(missing(mirrored, index))
    (file,) = mirrored.look(index, DEMO).files
    missed = files.find_sidecar(index, file.place, Sidecar.METADATA)
    assert isinstance(missed, WantedFile)
    first = await files.sidecar(missed, Sidecar.METADATA, ())
    asked = len(upstream.requests)
    assert (await files.sidecar(missed, Sidecar.METADATA, ())).content == first.content
    assert len(upstream.requests) == asked
    await files.close()
    await pages.close()
