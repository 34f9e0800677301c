"""Transfers inside one process: what becomes of who waits when they are given up or fail."""

import asyncio
import logging
import random
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import BinaryIO

import anyio.to_thread
import pytest

from simpleindex.errors import UpstreamFailed
from simpleindex.mirror import transfers as transfers_room
from simpleindex.mirror.files import MirrorFiles
from simpleindex.mirror.known import Mirrored, MirroredFile, Troubles
from simpleindex.mirror.pages import Upstreams
from simpleindex.mirror.sources import Sources
from simpleindex.mirror.transfers import Room, Transfers, WantedFile
from simpleindex.upstream.addresses import Addresses
from simpleindex.upstream.client import Upstream
from simpleindex.upstream.pip_index import PipIndex
from simpleindex.wire.mirror_page import MirrorFile
from simpleindex.wire.simple_page import PageFile
from simpleindex_storage.cache import Cache, KeptFile
from simpleindex_storage.errors import Unavailable
from simpleindex_storage.model import Index, MirrorSettings
from simpleindex_storage.names import FilePlace
from tests.builders import a_wheel
from tests.fakes import FakeCatalog
from tests.hostile.behaviours import Chunked
from tests.hostile.upstream import running_upstream
from tests.storage.caches import DEMO, MIRROR, NOW, Clock

pytestmark = pytest.mark.anyio

BUILT = a_wheel("demo", "1.0")
NOISE = random.Random(1).randbytes(6 << 20)
WAIT_SECONDS = 10.0


class Disk:
    """Tells how much room there is; while it is stuck, it takes its time."""

    def __init__(self) -> None:
        self.is_asked, self.goes_on = threading.Event(), threading.Event()

    def __call__(self, _: Path) -> int:
        self.is_asked.set()
        assert self.goes_on.wait(WAIT_SECONDS)
        return 1 << 40


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
def cache(tmp_path: Path, disk: Disk) -> Iterator[Cache]:
    made = Cache(tmp_path / "cache", Clock(), free_bytes=disk)
    yield made
    made.close()


def upstreams() -> Upstreams:
    addresses = Addresses(["127.0.0.1"])
    return Upstreams(Sources(None), lambda _: Upstream(addresses, "this-server"))


def mirrored(cache: Cache) -> Mirrored:
    return Mirrored(cache, Sources(None), expiry_seconds=60, offline=False, now=Clock())


def wanted(url: str) -> WantedFile:
    told = PageFile(BUILT.filename, f"{url}/{BUILT.filename}", {"sha256": BUILT.sha256})
    known = MirrorFile(told, "1.0", BUILT.sha256[:16], NOW, None)
    settings = MirrorSettings(mirror_url=url)
    return WantedFile(MirroredFile(MIRROR, DEMO, known), settings, frozenset())


async def test_who_waits_for_a_transfer_that_is_given_up_before_it_begins_is_told(
    cache: Cache,
) -> None:
    transfers = Transfers(mirrored(cache), upstreams())
    transfer = transfers.begin(wanted("http://127.0.0.1:9"))
    await transfers.close()
    with pytest.raises(UpstreamFailed, match="is being stopped"):
        await asyncio.wait_for(transfer.whole(), WAIT_SECONDS)


async def test_what_nobody_expects_is_told_to_who_waits_and_to_the_log_once(
    cache: Cache, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: str | None) -> Upstream:
        raise RuntimeError("a fault of ours")

    told: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, what: told.append(what["message"]))
    transfers = Transfers(mirrored(cache), Upstreams(Sources(None), fail))
    with caplog.at_level(logging.ERROR), pytest.raises(UpstreamFailed, match="could not be"):
        await asyncio.wait_for(transfers.begin(wanted("http://127.0.0.1:9")).whole(), WAIT_SECONDS)
    await transfers.close()
    assert [record.message for record in caplog.records] == [
        f"a transfer of {BUILT.filename} failed"
    ]
    assert told == []


async def test_a_transfer_that_is_given_up_ends_after_what_it_has_begun(
    cache: Cache, disk: Disk
) -> None:
    with running_upstream() as upstream:
        upstream.add(BUILT)
        reach = upstreams()
        transfers = Transfers(mirrored(cache), reach, Room(cache_bytes_max=1 << 30))
        url = f"{upstream.root_url}/files/demo"
        transfer = transfers.begin(wanted(url))
        assert await asyncio.to_thread(disk.is_asked.wait, WAIT_SECONDS)
        ending = asyncio.create_task(transfers.close())
        await asyncio.sleep(0.1)
        assert cache.watch(transfer.wanted.place).is_held()
        assert not ending.done()
        disk.goes_on.set()
        await asyncio.wait_for(ending, WAIT_SECONDS)
        assert not cache.watch(transfer.wanted.place).is_held()
        await reach.close()


async def test_a_file_that_goes_before_it_is_opened_is_fetched_again(
    tmp_path: Path, disk: Disk
) -> None:
    class Narrow(Cache):
        """What comes first has to go at once."""

        opened = 0

        def open(self, place: FilePlace) -> tuple[KeptFile, BinaryIO]:
            self.opened += 1
            if self.opened == 1:
                self.evict(0, 0)
            return super().open(place)

    disk.goes_on.set()
    cache = Narrow(tmp_path / "narrow", Clock(), free_bytes=disk)
    with running_upstream() as upstream, closing(cache):
        upstream.add(BUILT)
        reach, url = upstreams(), f"{upstream.root_url}/files/demo"
        transfers = Transfers(mirrored(cache), reach)
        files = MirrorFiles(FakeCatalog(), mirrored(cache), reach, transfers)
        copy = await asyncio.wait_for(files.whole(wanted(url), ()), WAIT_SECONDS)
        with copy.content:
            assert copy.content.read() == BUILT.content
        assert cache.opened == upstream.requests.count(".whl$") == 2
        await reach.close()


async def test_a_file_of_untold_size_is_not_kept_beyond_all_that_mirrors_may_keep(
    cache: Cache, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfers_room, "_ROOM_BYTES", 1 << 20)
    disk.goes_on.set()
    with running_upstream() as upstream:
        upstream.add(a_wheel(extra_files={"demo/noise.bin": NOISE}).content, BUILT.filename)
        upstream.behave(".whl$", Chunked())
        reach = upstreams()
        transfers = Transfers(mirrored(cache), reach, Room(cache_bytes_max=3 << 20))
        asked = wanted(f"{upstream.root_url}/files/demo")
        with pytest.raises(Unavailable, match="larger than all that mirrors may keep"):
            await asyncio.wait_for(transfers.begin(asked).whole(), WAIT_SECONDS)
        await transfers.close()
        await reach.close()
    assert cache.watch(asked.place).size_bytes() == 0


async def test_one_thread_waits_for_pip_however_many_ask() -> None:
    goes_on = threading.Event()

    def find() -> PipIndex | None:
        assert goes_on.wait(WAIT_SECONDS)
        return PipIndex("http://127.0.0.1:9/simple", "pip")

    reach = Upstreams(Sources(None, find), lambda _: Upstream(Addresses([]), "this-server"))
    asking = [asyncio.create_task(reach.reach(MirrorSettings())) for _ in range(50)]
    await asyncio.sleep(0.1)
    assert anyio.to_thread.current_default_thread_limiter().borrowed_tokens == 1
    goes_on.set()
    found = await asyncio.wait_for(asyncio.gather(*asking), WAIT_SECONDS)
    assert {source.url for source, _ in found} == {"http://127.0.0.1:9/simple"}


def test_trouble_is_over_when_its_time_is_or_the_clock_is_put_back() -> None:
    clock = Clock()
    troubles, index = Troubles(clock), Index(MIRROR, MirrorSettings(), serial=7)
    for is_down in (True, False):
        troubles.note(index, DEMO, "it is down", is_down=is_down)
        assert troubles.line(index, DEMO) == "it is down"
    clock.go_on(-3600)
    assert troubles.line(index, DEMO) is None
    assert troubles.of_index(index) is None
