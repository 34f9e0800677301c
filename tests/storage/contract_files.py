"""What every backend of `ports.Files` must do. A backend's own tests inherit these."""

from abc import ABC, abstractmethod
from contextlib import ExitStack
from pathlib import Path

import pytest

from simpleindex_storage.errors import NotStored
from simpleindex_storage.model import Sidecar, Staged
from simpleindex_storage.names import FilePlace, IndexName
from simpleindex_storage.ports import Files
from tests.storage.stores import LOCAL, bytes_at, digests_of, metadata_at

METADATA = b"Metadata-Version: 2.1\r\nName: demo\nVersion: 1.0\n"
BESIDE = {Sidecar.METADATA: METADATA}


def place_of(
    content: bytes, filename: str = "demo-1.0.tar.gz", index: IndexName = LOCAL
) -> FilePlace:
    return FilePlace(index, digests_of(content).sha256[:16], filename)


def publish(files: Files, content: bytes, place: FilePlace, metadata: bytes | None = None) -> None:
    with files.draft() as draft:
        draft.write(content)
        beside = {} if metadata is None else {Sidecar.METADATA: metadata}
        files.publish(draft.finish(), place, beside)


def staged_at(path: Path, content: bytes) -> Staged:
    """What is said of a draft that has these bytes."""
    return Staged(path, digests_of(content), len(content))


def nothing_is_recorded(_: FilePlace) -> bool:
    return False


def everything_is_recorded(_: FilePlace) -> bool:
    return True


class FilesContract(ABC):
    """Inherit, and say how the backend is opened."""

    @abstractmethod
    def open(self, root: Path) -> Files:
        """The files of one server, as a process of their own has them. Called several times."""

    @abstractmethod
    def die(self, files: Files) -> None:
        """Let go of what the system takes from a process that is killed; tidy nothing up."""

    def test_published_bytes_are_read_as_they_were_written(self, tmp_path: Path) -> None:
        files = self.open(tmp_path)
        content = b"some\r\nbytes\x00\xff" * 100_000
        publish(files, content, place_of(content), METADATA)
        assert bytes_at(files, place_of(content)) == content
        assert metadata_at(files, place_of(content)) == METADATA
        files.close()

    def test_many_files_are_published_at_once(self, tmp_path: Path) -> None:
        files = self.open(tmp_path)
        # Some share their folder, some have the same bytes, one is of another index.
        names = [f"demo-{number}.0.tar.gz" for number in range(30)]
        places = {name: place_of(name[:6].encode(), name) for name in names}
        places["other-1.0.tar.gz"] = place_of(b"other", "other-1.0.tar.gz", IndexName("root/other"))
        with ExitStack() as drafts:
            arrivals = []
            for name, place in places.items():
                draft = drafts.enter_context(files.draft())
                draft.write(name[:6].encode() if name in names else b"other")
                arrivals.append((draft.finish(), place, {Sidecar.METADATA: name.encode()}))
            files.publish_all(arrivals)
            for staged, place, beside in arrivals:
                files.confirm(staged, place, beside)
        for name, place in places.items():
            assert bytes_at(files, place) == (name[:6].encode() if name in names else b"other")
            assert metadata_at(files, place) == name.encode()
        files.close()

    def test_an_empty_file_is_a_file(self, tmp_path: Path) -> None:
        files = self.open(tmp_path)
        publish(files, b"", place_of(b""), b"")
        assert bytes_at(files, place_of(b"")) == b""
        assert metadata_at(files, place_of(b"")) == b""
        files.close()

    def test_a_file_without_metadata_has_none(self, tmp_path: Path) -> None:
        files = self.open(tmp_path)
        publish(files, b"bytes", place_of(b"bytes"))
        with pytest.raises(NotStored, match=r"demo-1\.0\.tar\.gz\.metadata"):
            files.open_sidecar(place_of(b"bytes"), Sidecar.METADATA)
        files.close()

    def test_what_was_published_is_there_for_every_process_and_after_a_restart(
        self, tmp_path: Path
    ) -> None:
        files, other = self.open(tmp_path), self.open(tmp_path)
        publish(files, b"bytes", place_of(b"bytes"))
        assert bytes_at(other, place_of(b"bytes")) == b"bytes"
        files.close()
        other.close()
        again = self.open(tmp_path)
        assert bytes_at(again, place_of(b"bytes")) == b"bytes"
        again.close()

    def test_nothing_is_read_that_was_never_published(self, tmp_path: Path) -> None:
        files = self.open(tmp_path)
        publish(files, b"bytes", place_of(b"bytes"))
        for place in (
            place_of(b"other bytes"),
            place_of(b"bytes", "demo-2.0.tar.gz"),
            place_of(b"bytes", index=IndexName("root/other")),
        ):
            with pytest.raises(NotStored):
                files.open(place)
            with pytest.raises(NotStored):
                files.open_sidecar(place, Sidecar.METADATA)
        files.close()

    @pytest.mark.parametrize(
        "chunks",
        [(), (b"",), (b"some bytes",), (b"some", b" ", b"", b"bytes"), (b"x" * 3_000_000, b"y")],
        ids=["none", "an empty one", "one", "several", "large"],
    )
    def test_all_digests_and_the_size_are_those_of_the_bytes(
        self, chunks: tuple[bytes, ...], tmp_path: Path
    ) -> None:
        files = self.open(tmp_path)
        with files.draft() as draft:
            for chunk in chunks:
                draft.write(chunk)
            staged = draft.finish()
            content = b"".join(chunks)
            assert staged == Staged(staged.path, digests_of(content), len(content))
            assert staged.path.read_bytes() == content
        files.close()

    def test_a_draft_is_invisible_and_goes_with_its_block(self, tmp_path: Path) -> None:
        files = self.open(tmp_path)
        with files.draft() as draft:
            draft.write(b"bytes")
            staged = draft.finish()
            with pytest.raises(NotStored):
                files.open(place_of(b"bytes"))
        assert not staged.path.exists()
        files.close()

    def test_a_draft_goes_even_if_its_block_raises(self, tmp_path: Path) -> None:
        files = self.open(tmp_path)
        with pytest.raises(RuntimeError, match="the sender hung up"), files.draft() as draft:
            draft.write(b"byt")
            path = draft.finish().path
            raise RuntimeError("the sender hung up")
        assert not path.exists()
        files.close()

    def test_the_same_bytes_may_be_published_twice(self, tmp_path: Path) -> None:
        files = self.open(tmp_path)
        place = place_of(b"bytes")
        with files.draft() as first, files.draft() as second:
            first.write(b"bytes")
            second.write(b"bytes")
            for staged in (first.finish(), second.finish()):
                files.publish(staged, place, BESIDE)
                files.confirm(staged, place, BESIDE)
        assert bytes_at(files, place) == b"bytes"
        assert metadata_at(files, place) == METADATA
        files.close()

    def test_other_bytes_under_the_same_name_get_another_place(self, tmp_path: Path) -> None:
        files = self.open(tmp_path)
        publish(files, b"old", place_of(b"old"), b"old metadata")
        publish(files, b"new", place_of(b"new"), b"new metadata")
        files.remove(place_of(b"old"))
        assert bytes_at(files, place_of(b"new")) == b"new"
        assert metadata_at(files, place_of(b"new")) == b"new metadata"
        files.close()

    def test_all_that_may_lie_beside_a_file_comes_and_goes_with_it(self, tmp_path: Path) -> None:
        files, other = self.open(tmp_path), self.open(tmp_path)
        place = place_of(b"bytes")
        beside = {sidecar: f"the {sidecar}".encode() for sidecar in Sidecar}
        with files.draft() as draft:
            draft.write(b"bytes")
            staged = draft.finish()
            files.publish(staged, place, beside)
            other.remove(place)
            files.confirm(staged, place, beside)
        for sidecar, content in beside.items():
            with other.open_sidecar(place, sidecar) as file:
                assert file.read() == content
        files.remove(place)
        for sidecar in Sidecar:
            with pytest.raises(NotStored, match=f"demo-1.0.tar.gz{sidecar}"):
                files.open_sidecar(place, sidecar)
        files.close()
        other.close()

    def test_what_was_removed_is_gone_with_its_metadata(self, tmp_path: Path) -> None:
        files = self.open(tmp_path)
        place = place_of(b"bytes")
        publish(files, b"bytes", place, METADATA)
        files.remove(place)
        with pytest.raises(NotStored):
            files.open(place)
        with pytest.raises(NotStored):
            files.open_sidecar(place, Sidecar.METADATA)
        files.close()

    def test_removing_nothing_is_fine(self, tmp_path: Path) -> None:
        files = self.open(tmp_path)
        files.remove(place_of(b"bytes"))
        publish(files, b"bytes", place_of(b"bytes"))
        files.remove(place_of(b"bytes", "demo-2.0.tar.gz"))
        assert bytes_at(files, place_of(b"bytes")) == b"bytes"
        files.close()

    def test_it_is_told_whether_a_place_has_the_bytes_and_those_beside_them(
        self, tmp_path: Path
    ) -> None:
        files, place = self.open(tmp_path), place_of(b"bytes")
        with files.draft() as draft:
            draft.write(b"bytes")
            staged = draft.finish()
            assert not files.holds(staged, place, {})
            publish(files, b"bytes", place)
            assert files.holds(staged, place, {})
            assert not files.holds(staged, place, BESIDE)
            publish(files, b"bytes", place, METADATA)
            assert files.holds(staged, place, BESIDE)
            assert not files.holds(staged, place, {Sidecar.METADATA: b"other metadata"})
        with files.draft() as draft:
            draft.write(b"other")
            assert not files.holds(draft.finish(), place, {})
        files.close()

    def test_confirming_what_is_there_leaves_it_alone(self, tmp_path: Path) -> None:
        files = self.open(tmp_path)
        with files.draft() as draft:
            draft.write(b"bytes")
            staged = draft.finish()
            files.publish(staged, place_of(b"bytes"), BESIDE)
            files.confirm(staged, place_of(b"bytes"), BESIDE)
        assert bytes_at(files, place_of(b"bytes")) == b"bytes"
        assert metadata_at(files, place_of(b"bytes")) == METADATA
        files.close()

    def test_confirming_publishes_what_was_removed_meanwhile(self, tmp_path: Path) -> None:
        files, other = self.open(tmp_path), self.open(tmp_path)
        place = place_of(b"bytes")
        with files.draft() as draft:
            draft.write(b"bytes")
            staged = draft.finish()
            files.publish(staged, place, BESIDE)
            other.remove(place)
            files.confirm(staged, place, BESIDE)
        assert bytes_at(files, place) == b"bytes"
        assert metadata_at(files, place) == METADATA
        files.close()
        other.close()

    def test_confirming_publishes_what_was_never_published(self, tmp_path: Path) -> None:
        files = self.open(tmp_path)
        with files.draft() as draft:
            draft.write(b"bytes")
            files.confirm(draft.finish(), place_of(b"bytes"), BESIDE)
        assert bytes_at(files, place_of(b"bytes")) == b"bytes"
        assert metadata_at(files, place_of(b"bytes")) == METADATA
        files.close()

    # Drafts of what is stored

    def test_a_draft_of_a_stored_file_has_its_bytes_and_can_be_published(
        self, tmp_path: Path
    ) -> None:
        files = self.open(tmp_path)
        source, target = place_of(b"bytes"), place_of(b"bytes", index=IndexName("root/other"))
        publish(files, b"bytes", source, METADATA)
        with files.draft_of(source) as path:
            assert path.read_bytes() == b"bytes"
            staged = staged_at(path, b"bytes")
            files.publish(staged, target, {Sidecar.METADATA: b"other metadata"})
            files.confirm(staged, target, {Sidecar.METADATA: b"other metadata"})
        assert not path.exists()
        assert bytes_at(files, target) == bytes_at(files, source) == b"bytes"
        assert metadata_at(files, target) == b"other metadata"
        assert metadata_at(files, source) == METADATA
        files.remove(source)
        assert bytes_at(files, target) == b"bytes"
        files.close()

    def test_a_draft_of_a_stored_file_goes_with_its_block_and_the_file_stays(
        self, tmp_path: Path
    ) -> None:
        files = self.open(tmp_path)
        publish(files, b"bytes", place_of(b"bytes"))
        with files.draft_of(place_of(b"bytes")) as left:
            pass
        with pytest.raises(RuntimeError), files.draft_of(place_of(b"bytes")) as path:
            raise RuntimeError("on second thought")
        assert not left.exists()
        assert not path.exists()
        assert bytes_at(files, place_of(b"bytes")) == b"bytes"
        files.close()

    def test_a_draft_of_a_stored_file_outlives_the_file(self, tmp_path: Path) -> None:
        files, other = self.open(tmp_path), self.open(tmp_path)
        source, target = place_of(b"bytes"), place_of(b"bytes", index=IndexName("root/other"))
        publish(files, b"bytes", source)
        with files.draft_of(source) as path:
            other.remove(source)
            with pytest.raises(NotStored):
                files.open(source)
            assert path.read_bytes() == b"bytes"
            files.publish(staged_at(path, b"bytes"), target, {})
        assert bytes_at(other, target) == b"bytes"
        files.close()
        other.close()

    def test_several_drafts_of_one_file_are_several(self, tmp_path: Path) -> None:
        files = self.open(tmp_path)
        publish(files, b"bytes", place_of(b"bytes"))
        with files.draft_of(place_of(b"bytes")) as first:
            with files.draft_of(place_of(b"bytes")) as second:
                assert first != second
            assert first.read_bytes() == b"bytes"
        files.close()

    @pytest.mark.parametrize(
        "place",
        [
            place_of(b"other bytes"),
            place_of(b"bytes", "demo-2.0.tar.gz"),
            place_of(b"bytes", index=IndexName("root/other")),
            place_of(b"bytes", "demo-1.0.tar.gz/demo-1.0.tar.gz"),
        ],
        ids=["bytes", "name", "index", "below a file"],
    )
    def test_there_is_no_draft_of_what_is_not_stored(
        self, place: FilePlace, tmp_path: Path
    ) -> None:
        files = self.open(tmp_path)
        publish(files, b"bytes", place_of(b"bytes"))
        with pytest.raises(NotStored, match=r"demo-.\.0\.tar\.gz"), files.draft_of(place):
            pass
        files.close()

    def test_recovery_takes_back_a_copy_that_a_dead_process_published_and_not_its_source(
        self, tmp_path: Path
    ) -> None:
        dead = self.open(tmp_path)
        source, target = place_of(b"bytes"), place_of(b"bytes", index=IndexName("root/other"))
        publish(dead, b"bytes", source)
        copying, waiting = dead.draft_of(source), dead.draft_of(source)
        dead.publish(staged_at(copying.__enter__(), b"bytes"), target, BESIDE)
        waiting.__enter__()
        self.die(dead)
        files = self.open(tmp_path)
        assert files.recover(lambda place: place == source) == 2
        with pytest.raises(NotStored):
            files.open(target)
        assert bytes_at(files, source) == b"bytes"
        files.close()

    # Recovery

    def test_recovery_takes_back_what_a_dead_process_published_without_a_record(
        self, tmp_path: Path
    ) -> None:
        dead = self.open(tmp_path)
        publishing = dead.draft()
        draft = publishing.__enter__()
        draft.write(b"bytes")
        dead.publish(draft.finish(), place_of(b"bytes"), BESIDE)
        self.die(dead)
        files = self.open(tmp_path)
        assert files.recover(nothing_is_recorded) == 1
        with pytest.raises(NotStored):
            files.open(place_of(b"bytes"))
        assert files.recover(nothing_is_recorded) == 0
        files.close()

    def test_recovery_keeps_what_a_dead_process_published_and_recorded(
        self, tmp_path: Path
    ) -> None:
        dead = self.open(tmp_path)
        publishing = dead.draft()
        draft = publishing.__enter__()
        draft.write(b"bytes")
        dead.publish(draft.finish(), place_of(b"bytes"), BESIDE)
        self.die(dead)
        files = self.open(tmp_path)
        asked: list[FilePlace] = []

        def is_recorded(place: FilePlace) -> bool:
            asked.append(place)
            return True

        assert files.recover(is_recorded) == 1
        assert asked == [place_of(b"bytes")]
        assert bytes_at(files, place_of(b"bytes")) == b"bytes"
        assert metadata_at(files, place_of(b"bytes")) == METADATA
        files.close()

    def test_recovery_drops_what_a_dead_process_was_receiving(self, tmp_path: Path) -> None:
        dead = self.open(tmp_path)
        receiving = dead.draft()
        receiving.__enter__().write(b"byt")
        self.die(dead)
        files = self.open(tmp_path)
        assert files.recover(everything_is_recorded) == 1
        assert files.recover(everything_is_recorded) == 0
        files.close()

    def test_recovery_leaves_the_drafts_of_the_living_alone(self, tmp_path: Path) -> None:
        files, other = self.open(tmp_path), self.open(tmp_path)
        with files.draft() as draft, other.draft() as others:
            draft.write(b"by")
            others.write(b"by")
            assert files.recover(nothing_is_recorded) == 0
            draft.write(b"tes")
            others.write(b"tes")
            files.publish(draft.finish(), place_of(b"bytes"), {})
            assert others.finish().path.read_bytes() == b"bytes"
        assert bytes_at(files, place_of(b"bytes")) == b"bytes"
        files.close()
        other.close()

    @pytest.mark.parametrize("end", ["closed", "killed"])
    def test_a_draft_that_is_left_is_found_by_the_next_start(
        self, end: str, tmp_path: Path
    ) -> None:
        files = self.open(tmp_path)
        with files.draft() as draft:
            draft.write(b"bytes")
            staged = draft.finish()
            files.publish(staged, place_of(b"bytes"), BESIDE)
            files.leave(staged)
        assert bytes_at(files, place_of(b"bytes")) == b"bytes"
        files.close() if end == "closed" else self.die(files)
        again = self.open(tmp_path)
        assert again.recover(nothing_is_recorded) == 1
        with pytest.raises(NotStored):
            again.open(place_of(b"bytes"))
        again.close()

    def test_a_draft_that_is_left_is_taken_back_when_that_is_possible_again(
        self, tmp_path: Path
    ) -> None:
        files = self.open(tmp_path)
        recorded = place_of(b"recorded")
        for content in (b"bytes", b"recorded"):
            with files.draft() as draft:
                draft.write(content)
                staged = draft.finish()
                files.publish(staged, place_of(content), BESIDE)
                files.leave(staged)
        files.finish(lambda place: place == recorded)
        with pytest.raises(NotStored):
            files.open(place_of(b"bytes"))
        assert bytes_at(files, recorded) == b"recorded"
        files.close()
        again = self.open(tmp_path)
        assert again.recover(nothing_is_recorded) == 0
        again.close()
