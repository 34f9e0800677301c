"""Several processes at one cache, some of which are killed."""

from contextlib import ExitStack
from pathlib import Path

import pytest

from simpleindex_storage.errors import NotStored
from simpleindex_storage.names import ProjectName
from tests.storage.caches import (
    DEMO,
    MIRROR,
    NOTE,
    a_cache,
    a_page,
    a_place,
    die_while_keeping,
    files_below,
    follow,
    keep_many,
    keep_pages,
    look_often,
    path_of,
    race_to_receive,
    read,
    receive_slowly,
    receiving,
)
from tests.storage.other_process import elsewhere

KILLED = -9


def test_what_one_process_keeps_all_others_see_at_once(tmp_path: Path) -> None:
    with a_cache(tmp_path) as cache, elsewhere(keep_pages, str(tmp_path)) as other:
        other.wait_for("ready")
        assert cache.agreed_serial() == 1
        page = cache.page(MIRROR, DEMO)
        assert page is not None
        assert page.content == b"first"
        other.tell()
        other.wait_for("ready")
        assert cache.agreed_serial() == 2
        page = cache.page(MIRROR, DEMO)
        assert page is not None
        assert page.content == b"second"
        other.tell()
        assert other.end() == (0, "")


def test_of_several_processes_one_receives_a_file(tmp_path: Path) -> None:
    count = 60
    with ExitStack() as running:
        others = [
            running.enter_context(elsewhere(race_to_receive, str(tmp_path), str(count)))
            for _ in range(3)
        ]
        for other in others:
            other.wait_for("ready")
        for other in others:
            other.tell()
        lines = []
        for other in others:
            assert other.popen.stdout is not None
            lines.append(other.popen.stdout.readline())
        for other in others:
            other.tell()
        assert [other.end() for other in others] == [(0, "")] * 3
    received = [int(number) for line in lines for number in line.split()]
    assert sorted(received) == list(range(count))


def test_a_receiver_is_not_kept_from_a_file_by_a_process_that_looks_at_it(tmp_path: Path) -> None:
    with a_cache(tmp_path) as cache, elsewhere(look_often, str(tmp_path)) as other:
        other.wait_for("looking")
        for _ in range(300):
            receiving(cache, a_place()).close()
        other.tell()
        assert other.end() == (0, "")


def test_a_follower_reads_what_another_process_receives(tmp_path: Path) -> None:
    with (
        a_cache(tmp_path) as cache,
        elsewhere(receive_slowly, str(tmp_path)) as receiver,
    ):
        receiver.wait_for("ready")
        watch = cache.watch(a_place())
        assert watch.is_held()
        assert cache.receive(a_place()) is None
        receiver.tell()
        receiver.wait_for("ready")
        assert (watch.note(), watch.size_bytes()) == (NOTE, 5)
        with watch.open() as file, elsewhere(follow, str(tmp_path)) as follower:
            follower.wait_for("following")
            assert file.read() == b"the f"
            receiver.tell()
            receiver.wait_for("ready")
            assert file.read() == b"ile.."
            assert watch.outcome() is None
            receiver.tell()
            receiver.wait_for("ready")
            kept = watch.outcome()
            assert kept is not None
            assert watch.is_current(file)
            assert watch.is_held()
            assert follower.end() == (0, "the file..\n")
            receiver.tell()
            assert receiver.end() == (0, "")
        assert not watch.is_held()
        assert read(cache, a_place()) == b"the file.."


def test_what_a_killed_receiver_leaves_is_gone_on_with(tmp_path: Path) -> None:
    with a_cache(tmp_path) as cache, elsewhere(receive_slowly, str(tmp_path)) as receiver:
        receiver.wait_for("ready")
        receiver.tell()
        receiver.wait_for("ready")
        watch = cache.watch(a_place())
        with watch.open() as file:
            receiver.kill()
            assert not watch.is_held()
            with receiving(cache, a_place()) as part:
                assert (part.size_bytes, part.note) == (5, NOTE)
                part.write(b"ile, whole"[:5])
                part.keep(DEMO)
            assert watch.is_current(file)
            assert file.read() == b"the file, "
        assert read(cache, a_place()) == b"the file, "
        assert files_below(tmp_path, "parts") == {}


@pytest.mark.parametrize("when", ["linked", "recorded", "announced", "committed"])
def test_whenever_a_process_is_killed_what_is_recorded_is_whole(when: str, tmp_path: Path) -> None:
    with a_cache(tmp_path) as cache:
        with elsewhere(die_while_keeping, str(tmp_path), when) as other:
            assert other.end() == (KILLED, "")
        page = cache.page(MIRROR, DEMO)
        if when == "announced":
            assert page is None
            assert cache.agreed_serial() is None  # that commit may still come
        elif when == "committed":
            assert page is not None
            assert page.content == a_page().content
            assert cache.agreed_serial() == 1
        elif when == "recorded":
            assert read(cache, a_place()) == b"the bytes"
        else:
            with pytest.raises(NotStored):
                cache.open(a_place())
        serial = cache.keep_page(a_page(content=b"the next")).serial
        assert cache.agreed_serial() == serial
        cache.tidy()
        cache.gc()
        with receiving(cache, a_place()) as part:
            if not part.size_bytes:
                part.begin(NOTE)
                part.write(b"the bytes")
            part.keep(DEMO)
        assert read(cache, a_place()) == b"the bytes"
        assert path_of(tmp_path, a_place()).stat().st_nlink == 1
        assert files_below(tmp_path, "parts") == {}


def test_many_processes_keep_many_things(tmp_path: Path) -> None:
    names, count = ("north", "east", "south"), 30
    with a_cache(tmp_path) as cache, ExitStack() as running:
        cache.keep_page(a_page(content=b""))
        others = [
            running.enter_context(elsewhere(keep_many, str(tmp_path), name, str(count)))
            for name in names
        ]
        for other in others:
            other.wait_for("ready")
        for other in others:
            other.tell()
        assert [other.end() for other in others] == [(0, "")] * len(names)
        page = cache.page(MIRROR, DEMO)
        assert page is not None
        assert page.content == b"x" * len(names) * count
        assert cache.agreed_serial() == 1 + 2 * len(names) * count
        for name in names:
            assert len(cache.filenames(MIRROR, ProjectName(name))) == count
            for number in range(count):
                assert read(cache, a_place(f"1.{number}", project=name)) == name.encode()
        assert cache.gc() == ()
