"""The room that files of mirrors take on the disk, and how it is made."""

import hashlib
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx2
import pytest

from tests.builders import BuiltFile, a_wheel
from tests.clients.server_side import run_verb
from tests.hostile.behaviours import CutAfter, Rate, WrongBytes
from tests.mirror.kept import figures, kept_filenames, parts
from tests.mirror.sites import MirrorSite, a_site, until

FILE_BYTES = 100_000
ROOM_FOR_THREE = f"--cache-bytes-max={3 * FILE_BYTES + 20_000}"
LARGE, LARGE_BYTES = "large-1.0-py3-none-any.whl", 10_000_000
NO_ROOM_AT_ALL = f"--keep-free-bytes={10**15}"


def a_file(name: str, size_bytes: int = FILE_BYTES) -> BuiltFile:
    """A wheel of just over this size."""
    payload = hashlib.shake_256(name.encode()).digest(size_bytes)
    return a_wheel(name, extra_files={f"{name}/payload.bin": payload})


ONE, TWO, THREE, FOUR = (a_file(name) for name in ("one", "two", "three", "four"))


def names(*files: BuiltFile) -> list[str]:
    return sorted(file.filename for file in files)


def read(site: MirrorSite, *files: BuiltFile) -> None:
    """Download files."""
    for file in files:
        answer = site.download(file.filename.partition("-")[0], file.filename)
        assert answer.content == file.content, answer.text


@pytest.fixture
def narrow(tmp_path: Path) -> Iterator[MirrorSite]:
    """A mirror with room for three of the four files that upstream has."""
    with a_site(tmp_path / "data", ROOM_FOR_THREE) as site:
        for file in (ONE, TWO, THREE, FOUR):
            site.upstream.add(file)
        yield site


# The budget


def test_the_file_that_nobody_read_for_longest_goes_first(narrow: MirrorSite) -> None:
    read(narrow, ONE, TWO, THREE, ONE, FOUR)
    assert kept_filenames(narrow) == names(ONE, THREE, FOUR)
    assert figures(narrow)["files"] == 3
    assert figures(narrow)["bytes"] == sum(len(file.content) for file in (ONE, THREE, FOUR))


def test_a_file_that_went_is_fetched_again_when_somebody_wants_it(narrow: MirrorSite) -> None:
    read(narrow, ONE, TWO, THREE, FOUR, ONE)
    assert kept_filenames(narrow) == names(ONE, THREE, FOUR)
    assert narrow.upstream.requests.count(ONE.filename) == 2


def test_pages_stay_when_their_files_go(narrow: MirrorSite) -> None:
    read(narrow, ONE, TWO, THREE, FOUR)
    narrow.upstream.unplug()
    assert narrow.filenames("one") == names(ONE)
    assert figures(narrow)["pages"] == 4


def test_what_lies_beside_a_file_goes_with_it(narrow: MirrorSite) -> None:
    url = narrow.file_url("one", ONE.filename)
    assert narrow.get(f"{url}.metadata").status_code == 200
    read(narrow, ONE, TWO, THREE, FOUR)
    assert kept_filenames(narrow) == names(TWO, THREE, FOUR)
    assert narrow.get(f"{url}.metadata").status_code == 200


def test_a_file_that_is_larger_than_the_budget_is_served_all_the_same(
    narrow: MirrorSite,
) -> None:
    large = a_file("large", 4 * FILE_BYTES)
    narrow.upstream.add(large)
    read(narrow, ONE, large)
    read(narrow, TWO)
    assert figures(narrow)["bytes"] < 3 * FILE_BYTES + 20_000


def test_who_is_reading_a_file_that_goes_gets_all_of_it(tmp_path: Path) -> None:
    large = "large-1.0-py3-none-any.whl"
    with a_site(tmp_path / "data", f"--cache-bytes-max={21_000_000}") as site:
        site.upstream.add_big(large, 20_000_000)
        site.upstream.add_big("other-1.0-py3-none-any.whl", 20_000_000)
        content = site.download("large", large).content
        until(lambda: kept_filenames(site) == [large], "it is kept")
        with site.client.stream("GET", site.file_url("large", large)) as answer:
            chunks = answer.iter_raw()
            first = next(chunks)
            site.download("other", "other-1.0-py3-none-any.whl")
            until(lambda: large not in kept_filenames(site), "it has gone")
            assert first + b"".join(chunks) == content


def test_who_reads_a_file_as_it_comes_gets_all_of_it_though_it_goes(tmp_path: Path) -> None:
    large, other = "large-1.0-py3-none-any.whl", "other-1.0-py3-none-any.whl"
    with a_site(tmp_path / "data", f"--cache-bytes-max={21_000_000}") as site:
        offered = site.upstream.add_big(large, 20_000_000)
        site.upstream.add_big(other, 20_000_000)
        with site.client.stream("GET", site.file_url("large", large)) as answer:
            chunks = answer.iter_raw()
            digest = hashlib.sha256(next(chunks))
            until(lambda: kept_filenames(site) == [large], "it is kept")
            site.download("other", other)
            until(lambda: large not in kept_filenames(site), "it has gone")
            for chunk in chunks:
                digest.update(chunk)
        assert digest.hexdigest() == offered.hashes["sha256"]


def test_files_that_come_together_have_no_more_room_than_others(narrow: MirrorSite) -> None:
    files = (ONE, TWO, THREE, FOUR)
    urls = [narrow.file_url(file.filename.partition("-")[0], file.filename) for file in files]
    narrow.upstream.behave(".whl$", Rate(4 * FILE_BYTES))
    answers = narrow.meanwhile(*(partial(narrow.get, url, "*/*") for url in urls)).all()
    assert [answer.content for answer in answers] == [file.content for file in files]
    until(lambda: figures(narrow)["files"] == 3, "one of them has gone")


# A full disk


@pytest.fixture
def full(tmp_path: Path) -> Iterator[MirrorSite]:
    """A mirror that may use nothing of the disk; upstream has a small and a large file."""
    with a_site(tmp_path / "data", NO_ROOM_AT_ALL) as site:
        site.upstream.add(ONE)
        site.upstream.add_big(LARGE, LARGE_BYTES)
        yield site


def test_where_the_disk_has_no_room_files_are_handed_on_and_not_kept(full: MirrorSite) -> None:
    for count in (1, 2):
        read(full, ONE)
        large = full.download("large", LARGE)
        assert large.status_code == 200
        assert hashlib.sha256(large.content).hexdigest() == sha256_on_page(full, "large")
        assert full.upstream.requests.count(ONE.filename) >= count
    assert figures(full)["files"] == 0
    assert kept_filenames(full) == []
    assert parts(full.server.serverdir) == []
    full.wait_for_log(f"there is no room for {LARGE}")


def test_what_is_handed_on_is_checked_too(full: MirrorSite) -> None:
    full.upstream.behave("/files/", WrongBytes())
    answer = full.download("one", ONE.filename)
    assert answer.status_code == 502
    assert "upstream sent other bytes than its sha256 promises" in answer.text
    with pytest.raises(httpx2.RemoteProtocolError):
        full.download("large", LARGE)
    full.upstream.behave(ONE.filename, CutAfter(50_000))
    full.upstream.behave(LARGE, CutAfter(5_000_000))
    assert full.download("one", ONE.filename).status_code == 502
    with pytest.raises(httpx2.RemoteProtocolError):
        full.download("large", LARGE)


def test_what_nothing_checks_is_not_handed_on(full: MirrorSite) -> None:
    full.upstream.add(TWO, sha256="untold")
    answer = full.download("two", TWO.filename)
    assert answer.status_code == 502
    assert f"there is no room for {TWO.filename}, and nothing to check it by" in answer.text


def test_metadata_is_to_be_had_on_a_full_disk(full: MirrorSite) -> None:
    assert full.get(f"{full.file_url('one', ONE.filename)}.metadata").status_code == 200


def sha256_on_page(site: MirrorSite, project: str) -> str:
    (file,) = site.files(project).values()
    return str(file["hashes"]["sha256"])


# What is not what it was


@pytest.mark.parametrize("damage", ["cut", "removed"])
def test_a_kept_file_that_is_damaged_on_the_disk_is_fetched_again(
    site: MirrorSite, damage: str
) -> None:
    site.upstream.add(ONE)
    read(site, ONE)
    (path,) = (site.server.serverdir / "cache" / "files" / site.index).rglob("*.whl")
    if damage == "cut":
        path.write_bytes(ONE.content[:-1])
    else:
        path.unlink()
    read(site, ONE)
    assert site.upstream.requests.count(ONE.filename) == 2
    assert kept_filenames(site) == names(ONE)


# `gc`


def test_a_rehearsal_of_gc_tells_what_would_go_and_removes_nothing(narrow: MirrorSite) -> None:
    read(narrow, ONE, TWO)
    told = narrow.verb("gc", "--dry-run", f"--cache-bytes-max={FILE_BYTES + 20_000}")
    assert told.splitlines()[0].startswith(f"{ONE.filename}  101 KB  last used 20")
    assert "1 file would be removed, 101 KB" in told
    assert "root/pypi keeps 2 files (202 KB) of 2 projects" in told
    assert kept_filenames(narrow) == names(ONE, TWO)
    assert figures(narrow)["files"] == 2


def test_gc_brings_the_files_down_to_the_budget_while_the_server_runs(narrow: MirrorSite) -> None:
    read(narrow, ONE, TWO)
    told = narrow.verb("gc", f"--cache-bytes-max={FILE_BYTES + 20_000}")
    assert "1 file removed, 101 KB" in told
    assert kept_filenames(narrow) == names(TWO)
    assert figures(narrow)["files"] == 1
    read(narrow, ONE)
    assert narrow.upstream.requests.count(ONE.filename) == 2


def test_gc_removes_what_nobody_knows_of(narrow: MirrorSite) -> None:
    read(narrow, ONE)
    cache = narrow.server.serverdir / "cache"
    left_over = cache / "files" / "root" / "pypi" / "+f" / "abc" / "0123456789abc"
    left_over.mkdir(parents=True)
    (left_over / "left-1.0.tar.gz").write_bytes(b"left over")
    place = "files/root/pypi/+f/abc/0123456789abc/left-1.0.tar.gz"
    for arguments in (["--dry-run"], []):
        document = json.loads(narrow.verb("gc", "--json", *arguments))
        assert document == {
            "dry_run": bool(arguments),
            "evicted": [],
            "left_over": [{"path": place, "bytes": 9}],
            "mirrors": [
                {"index": "root/pypi", "pages": 1, "files": 1, "bytes": len(ONE.content)}
            ],
        }  # fmt: skip
        assert (cache / place).exists() is bool(arguments)
    assert kept_filenames(narrow) == names(ONE)


def test_gc_leaves_uploads_alone(narrow: MirrorSite) -> None:
    stage = narrow.make_stage()
    mine = a_file("mine")
    narrow.upload(mine, stage)
    read(narrow, ONE)
    narrow.verb("gc", "--cache-bytes-max=1")
    assert kept_filenames(narrow) == []
    assert narrow.download("mine", mine.filename, index=stage).content == mine.content


def test_all_that_is_kept_may_be_deleted_while_the_server_is_stopped(tmp_path: Path) -> None:
    serverdir = tmp_path / "data"
    with a_site(serverdir) as site:
        upstream = site.upstream
        upstream.add(ONE)
        read(site, ONE)
        site.server.stop()
        for path in sorted((serverdir / "cache").rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        (serverdir / "cache").rmdir()
        assert run_verb("gc", "--serverdir", str(serverdir)).startswith("0 files removed")
        with a_site(serverdir, upstream=upstream) as again:
            read(again, ONE)
            assert figures(again)["files"] == 1
