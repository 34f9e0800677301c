"""Files from an index into a cache: each byte once, whatever breaks off."""

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from random import Random
from types import SimpleNamespace

import pytest

from simpleindex.gap.bundle.cache import Cache, open_cache, usual_cache
from simpleindex.gap.bundle.downloading import Fetched, Progress, download
from simpleindex.gap.releases import SourceTrouble
from simpleindex.gap.source import IndexSource, open_source
from simpleindex.upstream.client import Patience
from simpleindex.wire.simple_page import PageFile
from simpleindex_storage.errors import Refused, Unavailable
from tests.builders import BuiltFile, a_wheel
from tests.gap.corpus import named
from tests.hostile.behaviours import CutAfter, Hang, NoRanges, Status, Together, WrongBytes
from tests.hostile.upstream import Upstream, running_upstream

WHEELS = [
    a_wheel(f"demo-{number}", extra_files={"data.bin": Random(number).randbytes(100_000 * number)})
    for number in range(1, 6)
]
BIG = WHEELS[-1]


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with running_upstream() as running:
        for wheel in WHEELS:
            running.add(wheel)
        yield running


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Cache]:
    with open_cache(tmp_path / "cache") as opened:
        yield opened


def files_of(source: IndexSource, *wheels: BuiltFile) -> list[PageFile]:
    found = []
    for wheel in wheels:
        (project,) = named(wheel.filename.partition("-1.0")[0].replace("_", "-"))
        releases = source.releases(project)
        assert releases is not None
        found += [file for files in releases.files.values() for file in files]
    return found


def fetch(upstream: Upstream, cache: Cache, *wheels: BuiltFile) -> Fetched:
    with open_source(upstream.url, patience=Patience(idle_seconds=0.5)) as source:
        return download(files_of(source, *wheels), source, cache)


def assert_here(cache: Cache, wheel: BuiltFile) -> None:
    path = cache.find(wheel.sha256)
    assert path is not None
    assert path.read_bytes() == wheel.content
    assert list((cache.folder / "drafts").iterdir()) == []


def test_every_file_is_fetched_once_and_found_by_its_digest(
    upstream: Upstream, cache: Cache
) -> None:
    told: list[Progress] = []
    with open_source(upstream.url) as source:
        files = files_of(source, *WHEELS)
        fetched = download([*files, *files], source, cache, told.append)
    assert fetched.troubles == {}
    assert set(fetched.sha256s.values()) == {wheel.sha256 for wheel in WHEELS}
    assert fetched.fetched_bytes == sum(len(wheel.content) for wheel in WHEELS)
    for wheel in WHEELS:
        assert_here(cache, wheel)
    size_bytes = fetched.fetched_bytes
    assert (told[0].files_done, told[0].bytes_done) == (0, 0)
    assert told[-1] == Progress(5, 5, size_bytes, size_bytes)


def test_what_is_here_is_not_asked_for_again(upstream: Upstream, cache: Cache) -> None:
    fetch(upstream, cache, *WHEELS[:3])
    again = fetch(upstream, cache, *WHEELS)
    assert again.fetched_bytes == sum(len(wheel.content) for wheel in WHEELS[3:])
    assert upstream.requests.count(".whl$") == 5


def test_what_breaks_off_is_taken_up_where_it_stands(upstream: Upstream, cache: Cache) -> None:
    upstream.behave(".whl", [CutAfter(100_000), CutAfter(100_000)])
    fetched = fetch(upstream, cache, BIG)
    assert fetched.fetched_bytes == len(BIG.content)
    assert_here(cache, BIG)
    asked = upstream.requests.of(".whl$")
    assert [each.headers.get("range") for each in asked[1:]] == ["bytes=100000-", "bytes=200000-"]
    assert all(each.headers["if-range"] for each in asked[1:])


def test_a_later_run_goes_on_too(upstream: Upstream, cache: Cache) -> None:
    upstream.behave(".whl", [CutAfter(100_000), Status(503)])
    fetched = fetch(upstream, cache, BIG)
    assert fetched.sha256s == {}
    assert "answered with status 503" in fetched.troubles[BIG.filename]
    assert fetched.fetched_bytes == 100_000
    again = fetch(upstream, cache, BIG)
    assert again.fetched_bytes == len(BIG.content) - 100_000
    assert_here(cache, BIG)


def test_where_there_are_no_ranges_it_begins_again(upstream: Upstream, cache: Cache) -> None:
    upstream.behave(".whl", [Together(CutAfter(100_000), NoRanges()), NoRanges()])
    assert fetch(upstream, cache, BIG).fetched_bytes == len(BIG.content) + 100_000
    assert_here(cache, BIG)


def test_a_beginning_of_another_file_is_not_kept(upstream: Upstream, cache: Cache) -> None:
    # As many bytes, and an honest rest to them: only the digest tells.
    upstream.behave(".whl", [CutAfter(100_000), Status(503)])
    fetch(upstream, cache, BIG)
    (part,) = (cache.folder / "drafts").glob("*.part")
    part.write_bytes(b"x" * 100_000)
    assert fetch(upstream, cache, BIG).troubles == {}
    assert_here(cache, BIG)


def test_other_bytes_than_promised_are_never_kept(upstream: Upstream, cache: Cache) -> None:
    upstream.behave(".whl", WrongBytes())
    fetched = fetch(upstream, cache, BIG)
    assert fetched.troubles == {
        BIG.filename: f"{BIG.filename} has another sha256 than its page promises"
    }
    assert cache.find(BIG.sha256) is None
    assert list((cache.folder / "drafts").iterdir()) == []


@pytest.mark.parametrize(("size_bytes", "word"), [(1000, "larger"), (10_000_000, "smaller")])
def test_a_size_that_is_not_the_promised_one_is_told(
    size_bytes: int, word: str, upstream: Upstream, cache: Cache
) -> None:
    wheel = a_wheel("liar", extra_files={"data.bin": bytes(5000)})
    upstream.add(wheel, size=size_bytes)
    troubles = fetch(upstream, cache, wheel).troubles
    assert troubles == {wheel.filename: f"{wheel.filename} is {word} than its page promises"}


def test_one_that_fails_hinders_no_other(upstream: Upstream, cache: Cache) -> None:
    upstream.behave(WHEELS[1].filename, Status(404))
    fetched = fetch(upstream, cache, *WHEELS)
    assert list(fetched.troubles) == [WHEELS[1].filename]
    assert len(fetched.sha256s) == 4


def test_files_without_a_promised_digest_are_found_by_their_own(
    upstream: Upstream, cache: Cache
) -> None:
    wheel = a_wheel("plain")
    upstream.add(wheel, sha256="untold")
    assert list(fetch(upstream, cache, wheel).sha256s.values()) == [wheel.sha256]
    assert_here(cache, wheel)


def test_a_file_that_was_damaged_in_the_cache_is_fetched_again(
    upstream: Upstream, tmp_path: Path
) -> None:
    with open_cache(tmp_path / "cache") as cache:
        fetch(upstream, cache, BIG)
        path = cache.find(BIG.sha256)
        assert path is not None
    path.write_bytes(BIG.content[:-1] + b"x")
    with open_cache(tmp_path / "cache") as cache:
        assert cache.find(BIG.sha256) is None
        fetch(upstream, cache, BIG)
        assert_here(cache, BIG)


def test_an_interrupt_ends_all_and_keeps_what_has_come(upstream: Upstream, cache: Cache) -> None:
    for wheel in WHEELS:
        upstream.behave(wheel.filename, Hang(50_000, threading.Event()))

    def tell(progress: Progress) -> None:
        if progress.bytes_done >= 5 * 50_000:
            raise KeyboardInterrupt

    with open_source(upstream.url) as source:
        files = files_of(source, *WHEELS)
        with pytest.raises(KeyboardInterrupt):
            download(files, source, cache, tell)
        with pytest.raises(SourceTrouble, match="is asked nothing any more"):
            source.releases(*named("another"))
    for wheel in WHEELS:
        upstream.behave(wheel.filename, None)
    assert fetch(upstream, cache, *WHEELS).fetched_bytes == sum(
        len(wheel.content) - 50_000 for wheel in WHEELS
    )


def test_a_disk_without_room_is_told_before_anything_is_fetched(
    upstream: Upstream, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    free_bytes = len(BIG.content) - 1
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free_bytes))
    with pytest.raises(Unavailable, match=f"bytes are needed, and the disk has {free_bytes}"):
        fetch(upstream, cache, BIG)
    assert upstream.requests.count(".whl$") == 0


def test_a_cache_is_one_processs_at_a_time(cache: Cache) -> None:
    with (
        pytest.raises(Refused, match="another process uses this cache now"),
        open_cache(cache.folder),
    ):
        pass


def test_a_cache_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(Unavailable, match="cannot be used as a cache: Not a directory"),
        open_cache(tmp_path / "file" / "cache"),
    ):
        pass


def test_the_usual_cache_is_where_this_user_has_caches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    assert usual_cache({}) == Path("/home/somebody/.cache/simpleindex-server")
    assert usual_cache({"XDG_CACHE_HOME": "/var/c"}) == Path("/var/c/simpleindex-server")
    assert usual_cache({"XDG_CACHE_HOME": "c"}) == Path("/home/somebody/.cache/simpleindex-server")
