"""Files in a folder: what the contract cannot say of every backend."""

import errno
import os
import shutil
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from simpleindex_storage.errors import NotStored, Unavailable
from simpleindex_storage.files_disk import DiskFiles
from simpleindex_storage.model import Sidecar, Staged
from simpleindex_storage.names import FilePlace, IndexName
from simpleindex_storage.ports import Arrival
from tests.storage.contract_files import (
    BESIDE,
    METADATA,
    FilesContract,
    nothing_is_recorded,
    place_of,
    publish,
    staged_at,
)
from tests.storage.stores import (
    WAIT_SECONDS_MAX,
    FailingDisk,
    bytes_at,
    files_below,
    files_no_larger_than,
    metadata_at,
)

PLACE = place_of(b"bytes")
FINAL = f"files/{PLACE.path}"
ELSEWHERE = place_of(b"bytes", index=IndexName("root/other"))


class TestDiskFiles(FilesContract):
    def open(self, root: Path) -> DiskFiles:
        return DiskFiles(root)

    def die(self, files: object) -> None:
        assert isinstance(files, DiskFiles)
        files._alive.close()


def no_links(_: Path, target: object) -> None:
    raise OSError(errno.EPERM, "this disk has no hard links")


# Where things lie


def test_files_lie_plainly_at_the_path_of_their_url(tmp_path: Path) -> None:
    files = DiskFiles(tmp_path)
    publish(files, b"bytes", PLACE, METADATA)
    path = "files/root/local/+f/277/089d91c0bdf4f/demo-1.0.tar.gz"  # of its sha256
    assert files_below(tmp_path) == {path: b"bytes", f"{path}.metadata": METADATA}
    files.close()


def test_publishing_copies_no_bytes(tmp_path: Path) -> None:
    files = DiskFiles(tmp_path)
    with files.draft() as draft:
        draft.write(b"bytes")
        staged = draft.finish()
        inode = staged.path.stat().st_ino
        files.publish(staged, PLACE, {})
        assert (tmp_path / FINAL).stat().st_ino == inode
    assert (tmp_path / FINAL).stat().st_nlink == 1
    files.close()


def test_nothing_of_a_process_is_left_when_it_closes(tmp_path: Path) -> None:
    files = DiskFiles(tmp_path)
    publish(files, b"bytes", PLACE, METADATA)
    assert any((tmp_path / "incoming").iterdir())
    files.close()
    assert not any((tmp_path / "incoming").iterdir())


# The order in which things reach the disk


class Syncs:
    """What is synced and linked, in order."""

    def __init__(self, patch: pytest.MonkeyPatch, root: Path) -> None:
        self.log: list[str] = []
        fsync, link = os.fsync, os.link

        def logged_fsync(handle: int) -> None:
            path = Path(f"/proc/self/fd/{handle}").readlink()
            self.log.append(f"sync {self._kind(path.relative_to(root))}")
            fsync(handle)

        def logged_link(source: str, target: str, **options: Any) -> None:
            self.log.append(f"link {self._kind(Path(target).relative_to(root))}")
            link(source, target, **options)

        patch.setattr(os, "fsync", logged_fsync)
        patch.setattr(os, "link", logged_link)

    @staticmethod
    def _kind(path: Path) -> str:
        return "draft" if path.is_relative_to("incoming") else path.as_posix()


def test_bytes_and_names_are_on_the_disk_before_publishing_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = DiskFiles(tmp_path)
    syncs = Syncs(monkeypatch, tmp_path)
    publish(files, b"bytes", PLACE, METADATA)
    folder = Path(FINAL).parent
    parents = [parent.as_posix() for parent in reversed(folder.parents)][1:]
    assert syncs.log[:4] == [
        "sync draft",
        "sync draft",
        f"link {FINAL}.metadata",
        f"link {FINAL}",
    ]
    # The name of each new folder, in its parent; together, so in no order.
    assert sorted(syncs.log[4:]) == sorted(f"sync {each}" for each in (*parents, folder.as_posix()))
    files.close()


def stage_many(files: DiskFiles, drafts: ExitStack, count: int) -> list[Arrival]:
    """Drafts of files that lie in folders of their own."""
    arrivals: list[Arrival] = []
    for number in range(count):
        draft = drafts.enter_context(files.draft())
        content = f"bytes {number}".encode()
        draft.write(content)
        arrivals.append((draft.finish(), place_of(content, f"demo-{number}.tar.gz"), BESIDE))
    return arrivals


def test_of_many_files_all_bytes_are_on_the_disk_before_any_name_and_all_names_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = DiskFiles(tmp_path)
    with ExitStack() as drafts:
        arrivals = stage_many(files, drafts, 20)
        syncs = Syncs(monkeypatch, tmp_path)
        files.publish_all(arrivals)
    kinds = [entry.partition(" ")[0] for entry in syncs.log]
    assert kinds[:80] == ["sync"] * 40 + ["link"] * 40
    assert {entry for entry in syncs.log[:40]} == {"sync draft"}
    synced = syncs.log[80:]
    for _, place, _ in arrivals:
        for folder in list(Path(f"files/{place.path}").parents)[:6]:
            assert synced.count(f"sync {folder.as_posix()}") == 1
    files.close()


def test_a_folder_among_many_that_a_removal_takes_away_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = DiskFiles(tmp_path)
    fsync = os.fsync
    gone: list[Path] = []

    def lose_the_folder(handle: int) -> None:
        path = Path(f"/proc/self/fd/{handle}").readlink()
        if not gone and path.name == arrivals[3][1].sha256_prefix[3:]:
            gone.append(path)
            shutil.rmtree(path)
            raise FileNotFoundError(errno.ENOENT, "it was there a moment ago", str(path))
        fsync(handle)

    with ExitStack() as drafts:
        arrivals = stage_many(files, drafts, 5)
        monkeypatch.setattr(os, "fsync", lose_the_folder)
        files.publish_all(arrivals)
        assert len(gone) == 1
        assert [bytes_at(files, place) for _, place, _ in arrivals] == [
            f"bytes {number}".encode() for number in range(5)
        ]
    files.close()


def test_of_many_files_nothing_is_left_when_the_disk_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = DiskFiles(tmp_path)
    renamed: list[Path] = []
    rename = Path.rename

    def fail_for_the_third(path: Path, target: Path) -> Path:
        renamed.append(path)
        if len(renamed) == 3:
            raise OSError(errno.EIO, "Input/output error")
        return rename(path, target)

    with ExitStack() as drafts:
        arrivals = stage_many(files, drafts, 5)
        monkeypatch.setattr(Path, "rename", fail_for_the_third)
        with pytest.raises(Unavailable, match="5 files cannot be stored: Input/output error"):
            files.publish_all(arrivals)
    assert files_below(tmp_path / "files") == {}
    assert [path for path in (tmp_path / "incoming").rglob("*") if path.suffix == ".gz"] == []
    assert list((tmp_path / "incoming").rglob("*.metadata")) == []
    files.close()


def test_what_is_synced_together_is_at_the_disk_at_the_same_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = DiskFiles(tmp_path)
    neighbour = FilePlace(PLACE.index, PLACE.sha256_prefix[:3] + "0" * 13, "b.zip")
    publish(files, b"other bytes", neighbour)
    both = threading.Barrier(2)

    def wait_for_the_other(_: int) -> None:
        both.wait(WAIT_SECONDS_MAX)

    with files.draft() as draft:
        draft.write(b"bytes")
        staged = draft.finish()
        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", wait_for_the_other)
            # Two and two: the file and its metadata; then its folder and the one above.
            files.publish(staged, PLACE, BESIDE)
    files.close()


def test_a_folder_that_could_not_be_synced_does_not_count_as_lasting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = DiskFiles(tmp_path)
    fsync = os.fsync

    def fail_for_one(handle: int) -> None:
        if Path(f"/proc/self/fd/{handle}").readlink() == tmp_path / "files/root":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        fsync(handle)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fail_for_one)
        with pytest.raises(Unavailable):
            publish(files, b"bytes", PLACE)
    syncs = Syncs(monkeypatch, tmp_path)
    publish(files, b"bytes", PLACE)
    assert "sync files/root" in syncs.log
    files.close()


def test_to_confirm_what_is_there_as_published_reads_and_syncs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise AssertionError("it was just put there")

    files = DiskFiles(tmp_path)
    with files.draft() as draft:
        draft.write(b"bytes")
        staged = draft.finish()
        files.publish(staged, PLACE, BESIDE)
        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", fail)
            patched.setattr(os, "open", fail)
            patched.setattr(Path, "open", fail)
            files.confirm(staged, PLACE, BESIDE)
    assert set(files_below(tmp_path)) == {FINAL, f"{FINAL}.metadata"}
    files.close()


def test_a_sidecar_of_the_same_place_with_other_bytes_is_put_right(tmp_path: Path) -> None:
    files = DiskFiles(tmp_path)
    with files.draft() as first, files.draft() as second:
        first.write(b"bytes")
        second.write(b"bytes")
        staged, again = first.finish(), second.finish()
        files.publish(staged, PLACE, BESIDE)
        files.remove(PLACE)
        files.publish(again, PLACE, {Sidecar.METADATA: b"other metadata"})
        files.confirm(staged, PLACE, BESIDE)
    assert metadata_at(files, PLACE) == METADATA
    files.close()


def test_the_folder_of_all_files_is_on_the_disk_before_anything_lies_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    syncs = Syncs(monkeypatch, tmp_path)
    files = DiskFiles(tmp_path)
    assert "sync ." in syncs.log
    files.close()


def test_folders_that_are_known_to_last_are_not_synced_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = DiskFiles(tmp_path)
    publish(files, b"bytes", PLACE)
    syncs = Syncs(monkeypatch, tmp_path)
    publish(files, b"bytes", FilePlace(PLACE.index, PLACE.sha256_prefix[:3] + "0" * 13, "b.zip"))
    folder = Path(FINAL).parents[1]
    assert sorted(line for line in syncs.log if line.startswith("sync files")) == [
        f"sync {folder.as_posix()}",
        f"sync {folder.as_posix()}/{'0' * 13}",
    ]
    files.close()


def test_what_is_put_right_is_synced_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = DiskFiles(tmp_path)
    with files.draft() as draft:
        draft.write(b"bytes")
        staged = draft.finish()
        files.publish(staged, PLACE, BESIDE)
        files.remove(PLACE)
        syncs = Syncs(monkeypatch, tmp_path)
        files.confirm(staged, PLACE, BESIDE)
    folder = Path(FINAL).parent.as_posix()
    assert syncs.log[-1] == f"sync {folder}"
    files.close()


# Left-overs, and what somebody else has put there


@pytest.mark.parametrize("left_over", [b"", b"half", b"bytez", b"more than bytes"], ids=repr)
@pytest.mark.parametrize("suffix", ["", ".metadata"], ids=["file", "metadata"])
def test_a_damaged_left_over_at_the_place_is_replaced(
    left_over: bytes, suffix: str, tmp_path: Path
) -> None:
    files = DiskFiles(tmp_path)
    path = tmp_path / (FINAL + suffix)
    path.parent.mkdir(parents=True)
    path.write_bytes(left_over)
    with files.draft() as draft, path.open("rb") as reader:
        draft.write(b"bytes")
        staged = draft.finish()
        files.publish(staged, PLACE, BESIDE)
        files.confirm(staged, PLACE, BESIDE)
        assert reader.read() == left_over  # whoever reads it is not disturbed
    assert files_below(tmp_path) == {FINAL: b"bytes", f"{FINAL}.metadata": METADATA}
    files.close()


def test_a_whole_left_over_at_the_place_is_taken_as_it_is(tmp_path: Path) -> None:
    files = DiskFiles(tmp_path)
    publish(files, b"bytes", PLACE, METADATA)
    inode = (tmp_path / FINAL).stat().st_ino
    with files.draft() as draft:
        draft.write(b"bytes")
        staged = draft.finish()
        files.publish(staged, PLACE, BESIDE)
        files.confirm(staged, PLACE, BESIDE)
    assert (tmp_path / FINAL).stat().st_ino == inode
    files.close()


@pytest.mark.parametrize("suffix", ["", ".metadata"], ids=["file", "metadata"])
def test_a_symbolic_link_at_the_place_is_neither_followed_nor_kept(
    suffix: str, tmp_path: Path
) -> None:
    files = DiskFiles(tmp_path)
    content = METADATA if suffix else b"bytes"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(content)
    path = tmp_path / (FINAL + suffix)
    path.parent.mkdir(parents=True)
    path.symlink_to(elsewhere)
    with pytest.raises(NotStored):
        files.open_sidecar(PLACE, Sidecar.METADATA) if suffix else files.open(PLACE)
    with files.draft() as draft:
        draft.write(b"bytes")
        staged = draft.finish()
        files.publish(staged, PLACE, BESIDE)
        files.confirm(staged, PLACE, BESIDE)
    assert bytes_at(files, PLACE) == b"bytes"
    assert metadata_at(files, PLACE) == METADATA
    assert elsewhere.read_bytes() == content
    files.close()


def test_a_removal_deletes_the_link_and_not_what_it_leads_to(tmp_path: Path) -> None:
    files = DiskFiles(tmp_path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(b"bytes")
    path = tmp_path / FINAL
    path.parent.mkdir(parents=True)
    path.symlink_to(elsewhere)
    files.remove(PLACE)
    assert elsewhere.read_bytes() == b"bytes"
    assert not path.is_symlink()
    files.close()


def test_a_folder_at_the_place_is_no_file(tmp_path: Path) -> None:
    files = DiskFiles(tmp_path)
    (tmp_path / FINAL).mkdir(parents=True)
    with pytest.raises(NotStored):
        files.open(PLACE)
    files.close()


def test_strange_files_among_the_drafts_of_the_dead_are_removed_with_them(tmp_path: Path) -> None:
    dead = DiskFiles(tmp_path)
    folder = dead._own / "root+local"
    folder.mkdir()
    (folder / "Thumbs.db").write_bytes(b"what is this")
    (folder / "deeper").mkdir()
    (folder / "deeper" / "1+2+3").write_bytes(b"and this")
    dead._alive.close()
    files = DiskFiles(tmp_path)
    assert files.recover(nothing_is_recorded) == 2
    assert files_below(tmp_path) == {}
    files.close()


def test_the_mark_of_a_dead_process_without_drafts_is_removed(tmp_path: Path) -> None:
    files = DiskFiles(tmp_path)
    mark = tmp_path / "incoming" / "1-00000000.lock"
    mark.touch()
    assert files.recover(nothing_is_recorded) == 0
    assert not mark.exists()
    files.close()


# Drafts of what is stored


def test_a_draft_of_a_stored_file_takes_no_room_and_reads_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(*_: object) -> None:
        raise AssertionError("it must not be read")

    files = DiskFiles(tmp_path)
    publish(files, b"bytes", PLACE)
    inode = (tmp_path / FINAL).stat().st_ino
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "copyfileobj", read)
        patched.setattr(Path, "open", read)
        with files.draft_of(PLACE) as path:
            assert path.stat().st_ino == inode
            staged = staged_at(path, b"bytes")
            files.publish(staged, ELSEWHERE, {})
            files.confirm(staged, ELSEWHERE, {})
    assert (tmp_path / "files" / ELSEWHERE.path).stat().st_ino == inode
    assert (tmp_path / FINAL).stat().st_nlink == 2
    assert set(files_below(tmp_path)) == {FINAL, f"files/{ELSEWHERE.path}"}
    files.remove(PLACE)
    assert (tmp_path / "files" / ELSEWHERE.path).stat().st_nlink == 1
    files.close()


@pytest.mark.parametrize(
    "error_number", [errno.EPERM, errno.EMLINK, errno.EXDEV], ids=["never", "too many", "far away"]
)
def test_where_links_fail_a_draft_of_a_stored_file_is_a_copy(
    error_number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = DiskFiles(tmp_path)
    publish(files, b"bytes", PLACE)
    disk = FailingDisk(monkeypatch)
    disk.fail(lambda _, name: name == "link", error_number)
    with files.draft_of(PLACE) as path:
        assert path.read_bytes() == b"bytes"
        assert path.stat().st_ino != (tmp_path / FINAL).stat().st_ino
        files.publish(staged_at(path, b"bytes"), ELSEWHERE, {})
    assert set(files_below(tmp_path)) == {FINAL, f"files/{ELSEWHERE.path}"}
    assert bytes_at(files, ELSEWHERE) == b"bytes"
    files.close()


@pytest.mark.parametrize("links", [True, False], ids=["links", "no links"])
def test_a_symbolic_link_is_no_stored_file_to_make_a_draft_of(
    links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"bytes")
    files = DiskFiles(tmp_path)
    (tmp_path / FINAL).parent.mkdir(parents=True)
    (tmp_path / FINAL).symlink_to(secret)
    if not links:
        monkeypatch.setattr(Path, "hardlink_to", no_links)
    with pytest.raises(NotStored), files.draft_of(PLACE):
        pass
    assert secret.stat().st_nlink == 1
    assert not any(path.startswith("incoming/") for path in files_below(tmp_path))
    files.close()


def test_a_folder_is_no_stored_file_to_make_a_draft_of(tmp_path: Path) -> None:
    files = DiskFiles(tmp_path)
    (tmp_path / FINAL).mkdir(parents=True)
    with pytest.raises(NotStored), files.draft_of(PLACE):
        pass
    files.close()


@pytest.mark.parametrize("call", ["link", "fsync"])
def test_a_draft_of_a_stored_file_that_does_not_fit_says_so_and_leaves_nothing(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = DiskFiles(tmp_path)
    publish(files, b"bytes", PLACE)
    if call == "fsync":
        monkeypatch.setattr(Path, "hardlink_to", no_links)
    disk = FailingDisk(monkeypatch)
    disk.fail(lambda _, name: name == call)
    with (
        pytest.raises(Unavailable, match=r"demo-1\.0\.tar\.gz cannot be copied") as raised,
        files.draft_of(PLACE),
    ):
        pass
    assert raised.value.full
    assert set(files_below(tmp_path)) == {FINAL}
    disk.heal()
    with files.draft_of(PLACE) as path:
        assert path.read_bytes() == b"bytes"
    files.close()


# Races with removals


def publish_while(
    files: DiskFiles, happens: Callable[[], None], patch: pytest.MonkeyPatch, call: str
) -> None:
    """Publish PLACE, and let something happen just before the first `call`."""
    real = getattr(os, call)
    done: list[bool] = []

    def interrupted(*arguments: Any, **options: Any) -> Any:
        if not done:
            done.append(True)
            happens()
        return real(*arguments, **options)

    with files.draft() as draft:
        draft.write(b"bytes")
        staged = draft.finish()
        with patch.context() as patched:
            patched.setattr(os, call, interrupted)
            files.publish(staged, PLACE, BESIDE)
            assert done
        files.confirm(staged, PLACE, BESIDE)


def test_a_folder_that_a_removal_takes_away_before_the_link_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, other = DiskFiles(tmp_path), DiskFiles(tmp_path)
    publish_while(files, lambda: other.remove(PLACE), monkeypatch, "link")
    assert bytes_at(files, PLACE) == b"bytes"
    assert metadata_at(files, PLACE) == METADATA
    files.close()
    other.close()


def test_a_folder_that_vanishes_as_it_is_found_there_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, other = DiskFiles(tmp_path), DiskFiles(tmp_path)
    publish(files, b"bytes", PLACE, METADATA)
    mkdir = os.mkdir

    def mkdir_and_lose(path: Path, *mode: int) -> None:
        try:
            mkdir(path, *mode)
        except FileExistsError:
            if Path(path) == (tmp_path / FINAL).parent:
                other.remove(PLACE)
            raise

    with files.draft() as draft:
        draft.write(b"bytes")
        staged = draft.finish()
        with monkeypatch.context() as patched:
            patched.setattr(os, "mkdir", mkdir_and_lose)
            files.publish(staged, PLACE, BESIDE)
    assert bytes_at(files, PLACE) == b"bytes"
    assert metadata_at(files, PLACE) == METADATA
    files.close()
    other.close()


def test_a_file_where_the_folder_should_be_is_an_error_and_no_endless_loop(tmp_path: Path) -> None:
    files = DiskFiles(tmp_path)
    in_the_way = (tmp_path / FINAL).parent
    in_the_way.parent.mkdir(parents=True)
    in_the_way.touch()
    with pytest.raises(Unavailable, match=r"demo-1\.0\.tar\.gz cannot be stored"):
        publish(files, b"bytes", PLACE)
    files.close()


def test_a_reader_that_has_a_file_open_goes_on_reading_after_its_removal(tmp_path: Path) -> None:
    files = DiskFiles(tmp_path)
    publish(files, b"bytes", PLACE)
    with files.open(PLACE) as reader:
        assert reader.read(2) == b"by"
        files.remove(PLACE)
        assert reader.read() == b"tes"
    files.close()


def test_a_removal_leaves_no_empty_folder_and_no_neighbour_without_its(tmp_path: Path) -> None:
    files = DiskFiles(tmp_path)
    neighbour = FilePlace(PLACE.index, PLACE.sha256_prefix, "demo-1.0.zip")
    publish(files, b"bytes", PLACE, METADATA)
    publish(files, b"bytes", neighbour, METADATA)
    files.remove(PLACE)
    assert bytes_at(files, neighbour) == b"bytes"
    files.remove(neighbour)
    assert not (tmp_path / FINAL).parent.exists()
    files.close()


# Disks without hard links


@pytest.mark.parametrize(
    "error_number", [errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EXDEV]
)
def test_where_links_fail_bytes_are_copied(
    error_number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = DiskFiles(tmp_path)
    FailingDisk(monkeypatch).fail(lambda _, name: name == "link", error_number)
    content = os.urandom(3_000_000)
    place = place_of(content)
    with files.draft() as draft:
        draft.write(content)
        staged = draft.finish()
        files.publish(staged, place, BESIDE)
        files.confirm(staged, place, BESIDE)
    path = f"files/{place.path}"
    assert files_below(tmp_path) == {path: content, f"{path}.metadata": METADATA}
    files.close()


def test_a_copy_is_on_the_disk_before_publishing_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "hardlink_to", no_links)
    files = DiskFiles(tmp_path)
    syncs = Syncs(monkeypatch, tmp_path)
    publish(files, b"bytes", PLACE, METADATA)
    copied = [line for line in syncs.log if line.startswith(f"sync {FINAL}")]
    assert copied == [f"sync {FINAL}.metadata", f"sync {FINAL}"]
    named = syncs.log.index(f"sync {Path(FINAL).parent.as_posix()}")
    assert named > syncs.log.index(f"sync {FINAL}")
    files.close()


def test_half_a_copy_of_another_upload_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "hardlink_to", no_links)
    files = DiskFiles(tmp_path)
    path = tmp_path / FINAL
    path.parent.mkdir(parents=True)
    with path.open("wb") as others_copy, files.draft() as draft:
        others_copy.write(b"by")
        draft.write(b"bytes")
        staged = draft.finish()
        files.publish(staged, PLACE, BESIDE)
        files.confirm(staged, PLACE, BESIDE)
        others_copy.write(b"te")
    assert files_below(tmp_path) == {FINAL: b"bytes", f"{FINAL}.metadata": METADATA}
    files.close()


# Disks that fail


def test_a_draft_that_does_not_fit_says_so_and_leaves_nothing(tmp_path: Path) -> None:
    files = DiskFiles(tmp_path)
    with files_no_larger_than(1000), files.draft() as draft:
        draft.write(b"x" * 900)
        with pytest.raises(Unavailable, match="the disk is full") as raised:
            draft.write(b"x" * 900)
        assert raised.value.full
    assert files_below(tmp_path) == {}
    publish(files, b"bytes", PLACE)
    assert bytes_at(files, PLACE) == b"bytes"
    files.close()


@pytest.mark.parametrize(
    ("error_number", "words"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "the disk is full"),
        (errno.EIO, "Input/output error"),
        (errno.EROFS, "Read-only file system"),
    ],
    ids=["no room", "over the quota", "failing", "read-only"],
)
@pytest.mark.parametrize("call", ["fsync", "link", "mkdir", "rename"])
def test_a_failing_disk_is_told_in_words(
    call: str, error_number: int, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = DiskFiles(tmp_path)
    disk = FailingDisk(monkeypatch)
    disk.fail(lambda _, name: name == call, error_number)
    with pytest.raises(Unavailable) as raised:
        publish(files, b"bytes", PLACE, METADATA)
    assert str(raised.value) == f"demo-1.0.tar.gz cannot be stored: {words}"
    assert raised.value.full is (words == "the disk is full")
    disk.heal()
    publish(files, b"bytes", PLACE, METADATA)
    assert bytes_at(files, PLACE) == b"bytes"
    files.close()


def test_putting_right_that_fails_leaves_no_draft(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "hardlink_to", no_links)
    files = DiskFiles(tmp_path)

    def copy_half(reading: Any, writing: Any, *_: int) -> None:
        writing.write(b"by")
        raise OSError(errno.ENOSPC, "full")

    with files.draft() as draft:
        draft.write(b"bytes")
        staged: Staged = draft.finish()
        files.publish(staged, PLACE, {})
        files.remove(PLACE)
        monkeypatch.setattr(shutil, "copyfileobj", copy_half)
        with pytest.raises(Unavailable):
            files.confirm(staged, PLACE, {})
    assert files_below(tmp_path) == {}
    files.close()


def test_a_folder_that_cannot_be_used_is_told_in_words_and_leaves_no_mark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    DiskFiles(tmp_path).close()
    FailingDisk(monkeypatch).fail(lambda _, name: name == "mkdir")
    with pytest.raises(Unavailable, match="cannot be written: the disk is full"):
        DiskFiles(tmp_path)
    assert not any((tmp_path / "incoming").iterdir())
