"""The file in which the targets of a site are kept."""

import json
import threading
from pathlib import Path

import pytest

from simpleindex.gap import target_file
from simpleindex.gap.target_file import change_targets, parse_targets, read_targets
from simpleindex.gap.targets import Target, dump_target, parse_target
from simpleindex_storage.errors import Refused, Unavailable

WINDOWS, LINUX = parse_target("cp39-win_amd64"), parse_target("cp312-manylinux_2_28_x86_64")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "targets.json"


def test_no_file_is_no_targets(path: Path) -> None:
    assert read_targets(path) == ()


def test_what_is_written_is_read_again_in_its_order(path: Path) -> None:
    assert change_targets(path, lambda known: (*known, WINDOWS)) == (WINDOWS,)
    assert change_targets(path, lambda known: (*known, LINUX)) == (WINDOWS, LINUX)
    assert read_targets(path) == (WINDOWS, LINUX)
    assert json.loads(path.read_text()) == [dump_target(WINDOWS), dump_target(LINUX)]


def test_names_will_do_for_people_who_write_it_themselves(path: Path) -> None:
    path.write_text('["cp39-win_amd64",\n {"python": "3.9.18", "platform": "win32"}]\n')
    assert read_targets(path) == (WINDOWS, parse_target("3.9.18-win32"))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("[", "it is not JSON: line 1"),
        ('["cp39-win_amd64",\n\n nothing]', "it is not JSON: line 3"),
        ('["cp39-win_amd64", "cp39"]', "entry 2: target 'cp39': a target is named like"),
        ('["cp39-win_amd64", "3.9-win64"]', "it has two targets cp39-win_amd64; remove one"),
        ("[" * 100_000, "it is not JSON"),
        ("[" + '"cp39-win_amd64",' * 1000 + '"cp39-win_amd64"]', "it has over 1000 targets"),
        (" " * ((1 << 20) + 1), "it has over 1048576 bytes"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_by_name_and_line(
    content: str, why: str, path: Path
) -> None:
    path.write_text(content)
    with pytest.raises(Refused, match=why) as refused:
        read_targets(path)
    assert str(refused.value).startswith(f"{path}: ")
    with pytest.raises(Refused):
        change_targets(path, lambda known: (*known, LINUX))
    assert path.read_text() == content


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="cannot be written: No such file or directory"):
        change_targets(tmp_path / "nowhere" / "targets.json", lambda known: (*known, LINUX))
    with pytest.raises(Unavailable, match="cannot be read: Is a directory"):
        read_targets(tmp_path)


def test_what_breaks_off_a_change_leaves_the_file_as_it_was(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change_targets(path, lambda _: (WINDOWS,))
    before = path.read_bytes()

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(target_file, "write_file", fail)
    with pytest.raises(Unavailable, match="the disk is full"):
        change_targets(path, lambda known: (*known, LINUX))
    assert path.read_bytes() == before


def test_those_who_add_at_the_same_time_all_have_theirs_added(path: Path) -> None:
    targets = [parse_target(f"3.9.{patch}-win_amd64") for patch in range(8)]
    together = threading.Barrier(len(targets))

    def add(target: Target) -> None:
        together.wait()
        change_targets(path, lambda known: (*known, target))

    threads = [threading.Thread(target=add, args=(target,)) for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {target.name for target in read_targets(path)} == {target.name for target in targets}


def test_records_may_follow_each_other_as_probes_print_them() -> None:
    lines = "\n".join(json.dumps(dump_target(target)) for target in (WINDOWS, LINUX, WINDOWS))
    assert parse_targets(f"\n{lines}\r\n".encode(), "hosts") == (WINDOWS, LINUX, WINDOWS)
    assert parse_targets(b"", "hosts") == ()
