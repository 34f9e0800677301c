"""Archives that other processes look through: as here, and here if need be."""

import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

import pytest

from simpleindex_storage import inspecting
from simpleindex_storage.errors import Refused, Unavailable
from simpleindex_storage.inspecting import Inspectors
from simpleindex_storage.inspection import inspect
from simpleindex_storage.names import DistFilename, parse_filename
from tests.bad_archives import BAD_ARCHIVES, GOOD_ARCHIVES, BadArchive
from tests.builders import BuiltFile, a_wheel, core_metadata

WHEEL = a_wheel("demo", requires_dist=["other"], requires_python=">=3.8")
_MANY = 60


def saved(built: BuiltFile, folder: Path) -> tuple[Path, DistFilename]:
    return built.save(folder), parse_filename(built.filename)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list["subprocess.Popen[bytes]"]:
    """The processes that were started."""
    processes: list[subprocess.Popen[bytes]] = []

    class Recorded(subprocess.Popen[bytes]):
        def __init__(self, *arguments: object, **settings: object) -> None:
            super().__init__(*arguments, **settings)  # type: ignore[call-overload]
            processes.append(self)

    monkeypatch.setattr(subprocess, "Popen", Recorded)
    return processes


@pytest.fixture
def looked_here(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of archives that this process has looked through."""
    names: list[str] = []

    def noting(path: Path, filename: DistFilename) -> inspecting.Found:
        names.append(filename.text)
        return inspect(path, filename)

    monkeypatch.setattr(inspecting, "inspect", noting)
    return names


def look_here(folder: Path, looked_here: list[str]) -> None:
    """Ask for something that no other process can tell."""
    archive = saved(WHEEL, folder)
    with Inspectors(2) as inspectors:
        assert inspectors.inspect(*archive) == inspect(*archive)
    assert looked_here == [WHEEL.filename]


@pytest.fixture(scope="module")
def inspectors() -> Iterator[Inspectors]:
    with Inspectors(1) as one:
        yield one


@pytest.mark.parametrize("built", [WHEEL, *(good() for good in GOOD_ARCHIVES)], ids=str)
def test_another_process_finds_what_this_one_would(
    built: BuiltFile, inspectors: Inspectors, tmp_path: Path, looked_here: list[str]
) -> None:
    archive = saved(built, tmp_path)
    assert inspectors.inspect(*archive) == inspect(*archive)
    assert looked_here == []


@pytest.mark.parametrize("bad", BAD_ARCHIVES, ids=lambda bad: bad.id)
def test_what_is_wrong_is_told_as_by_this_one(
    bad: BadArchive, inspectors: Inspectors, tmp_path: Path
) -> None:
    archive = saved(bad.build(), tmp_path)
    try:
        expected = inspect(*archive)
    except Refused as refused:
        with pytest.raises(Refused) as told:
            inspectors.inspect(*archive)
        assert str(told.value) == str(refused)
        assert told.value.__notes__ == refused.__notes__
    else:
        assert inspectors.inspect(*archive) == expected


def test_an_archive_that_cannot_be_read_is_unavailable(
    inspectors: Inspectors, tmp_path: Path
) -> None:
    with pytest.raises(Unavailable):
        inspectors.inspect(tmp_path / "no", parse_filename(WHEEL.filename))


def test_threads_that_find_all_processes_at_work_look_themselves(
    tmp_path: Path, looked_here: list[str]
) -> None:
    wheels = [saved(a_wheel(f"demo-{number}"), tmp_path) for number in range(_MANY)]
    first = threading.Barrier(4)

    def look(archive: tuple[Path, DistFilename]) -> str:
        if archive in wheels[:4]:
            first.wait(60)
        return several.inspect(*archive)[0].name

    with Inspectors(2) as several, ThreadPoolExecutor(4) as threads:
        found = list(threads.map(look, wheels))
    assert found == [f"demo-{number}" for number in range(_MANY)]
    assert 1 <= len(looked_here) < _MANY


# Whatever becomes of the others


def test_what_a_killed_process_was_asked_is_found_here(
    tmp_path: Path, started: list["subprocess.Popen[bytes]"], looked_here: list[str]
) -> None:
    archive = saved(WHEEL, tmp_path)
    with Inspectors(1) as inspectors:
        assert inspectors.inspect(*archive) == inspect(*archive)
        (process,) = started
        process.kill()
        process.wait()
        for _ in range(2):
            assert inspectors.inspect(*archive) == inspect(*archive)
    assert looked_here == [WHEEL.filename] * 2


def test_a_python_that_does_not_know_where_it_is_looks_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, looked_here: list[str]
) -> None:
    monkeypatch.setattr(sys, "executable", None)
    look_here(tmp_path, looked_here)


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGSTOP")
def test_a_long_answer_comes_whole_though_nothing_is_buffered_and_it_is_stopped_in_its_middle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, started: list["subprocess.Popen[bytes]"]
) -> None:
    monkeypatch.setenv("PYTHONUNBUFFERED", "1")
    long = core_metadata("demo", "1.0", description="What it is for. " * 20_000)
    archive = saved(a_wheel("demo", "1.0", metadata=long), tmp_path)
    with Inspectors(1) as inspectors:
        inspectors.inspect(*saved(a_wheel("small"), tmp_path))  # it has begun
        (process,) = started
        received = inspecting._received

        def after_a_stop(file: IO[bytes]) -> bytes:
            assert process.stdout is not None
            select.select([process.stdout], [], [])  # the pipe is full, and most waits before it
            process.send_signal(signal.SIGSTOP)
            process.send_signal(signal.SIGCONT)
            return received(file)

        monkeypatch.setattr(inspecting, "_received", after_a_stop)
        assert inspectors.inspect(*archive) == inspect(*archive)


def test_where_no_process_can_be_had_all_is_found_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, looked_here: list[str]
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise BlockingIOError("Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    look_here(tmp_path, looked_here)


def test_where_a_process_cannot_begin_all_is_found_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, looked_here: list[str]
) -> None:
    monkeypatch.setattr(inspecting, "_RUN", "raise SystemExit(1)")
    look_here(tmp_path, looked_here)


def test_the_processes_end_with_who_has_started_them(
    started: list["subprocess.Popen[bytes]"],
) -> None:
    """Whose end closes what they read from, as `close` does."""
    with Inspectors(2):
        assert [process.poll() for process in started] == [None, None]
    assert [process.returncode for process in started] == [0, 0]
