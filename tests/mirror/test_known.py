"""What is known of a mirror, read from what is kept: what a read costs, and when it is believed."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from simpleindex.mirror.known import Known, Mirrored
from simpleindex.mirror.sources import Sources
from simpleindex.wire import mirror_page
from simpleindex.wire.mirror_page import MirrorPage
from simpleindex.wire.simple_page import PageFile, ProjectPage
from simpleindex_storage.cache import Cache
from simpleindex_storage.mirrored import KeptPage
from simpleindex_storage.model import Index, MirrorSettings
from simpleindex_storage.names import FilePlace
from tests.storage.caches import DEMO, MIRROR, NOW, Clock

URL = "http://upstream.example/simple"
FILENAME = "demo-1.0-py3-none-any.whl"
DIGEST = "0123456789abcdef" * 4
INDEX = Index(MIRROR, MirrorSettings(mirror_url=URL))
NOTHING = ProjectPage(DEMO, files=(), versions=())
FILE = PageFile(FILENAME, f"{URL}/{FILENAME}", {"sha256": DIGEST})
PAGE = ProjectPage(DEMO, files=(FILE,), versions=("1.0",))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def mirrored(tmp_path: Path, clock: Clock) -> Iterator[Mirrored]:
    cache = Cache(tmp_path / "cache", clock)
    yield Mirrored(cache, Sources(None), expiry_seconds=1800, offline=False, now=clock)
    cache.close()


def tell(mirrored: Mirrored, page: ProjectPage) -> None:
    """Let upstream have said this at NOW."""

    def make(known: Known | None) -> MirrorPage:
        before = None if known is None else known.page
        return mirror_page.merged(before, NOW, page, NOW)

    mirrored.keep(KeptPage(MIRROR, DEMO, URL, None, None, None, NOW), make)


def test_a_file_is_found_without_reading_its_page_again(
    mirrored: Mirrored, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell(mirrored, PAGE)

    def not_again(*_: object) -> None:
        raise AssertionError("the content was read")

    monkeypatch.setattr(mirrored.cache, "page", not_again)
    file, verdict, hosts = mirrored.file(INDEX, FilePlace(MIRROR, DIGEST[:16], FILENAME))
    assert file.known.file == FILE
    assert verdict.is_shown
    assert hosts == {"upstream.example"}
    assert len(mirrored.look(INDEX, DEMO).files) == 1


def test_a_project_that_upstream_suddenly_has_not_is_asked_for_again_soon(
    mirrored: Mirrored, clock: Clock
) -> None:
    tell(mirrored, PAGE)
    tell(mirrored, NOTHING)
    assert mirrored.look(INDEX, DEMO).files == ()
    clock.go_on(seconds=59)
    mirrored.look(INDEX, DEMO)
    assert not mirrored.wishes
    clock.go_on(seconds=2)
    assert mirrored.look(INDEX, DEMO).page is not None
    assert [wish.project for wish in mirrored.wishes] == [DEMO]


def test_a_project_that_never_had_a_file_is_believed_as_long_as_any(
    mirrored: Mirrored, clock: Clock
) -> None:
    tell(mirrored, NOTHING)
    clock.go_on(seconds=1799)
    mirrored.look(INDEX, DEMO)
    assert not mirrored.wishes


def test_what_another_process_changed_is_read_again(mirrored: Mirrored, tmp_path: Path) -> None:
    tell(mirrored, PAGE)
    assert len(mirrored.look(INDEX, DEMO).files) == 1
    other = Cache(tmp_path / "cache", Clock())
    kept = other.page(MIRROR, DEMO)
    assert kept is not None and kept.content is not None
    changed = mirror_page.with_metadata(mirror_page.decode(kept.content), FILENAME, DIGEST)
    other.keep_page(replace(kept, content=mirror_page.encode(changed)))
    (file,) = mirrored.look(INDEX, DEMO).files
    assert file.known.file.metadata == {"sha256": DIGEST}
    other.close()
