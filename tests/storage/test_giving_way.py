"""Whoever works on long content lets others run in between; short content is done in one go."""

import os
import random
import time
from pathlib import Path

import pytest

from simpleindex_storage import giving_way
from simpleindex_storage.files_disk import DiskFiles
from simpleindex_storage.giving_way import PIECE_BYTES
from simpleindex_storage.inspection import inspect
from simpleindex_storage.names import parse_filename
from tests.builders import BuiltFile, a_tar_gz, a_wheel, a_zip, core_metadata

_LONG = random.Random(3).randbytes(20 * PIECE_BYTES + 1)
_PKG_INFO = {"demo-1.0/PKG-INFO": core_metadata("demo", "1.0")}

_LONG_FILES = [
    pytest.param(a_wheel(extra_files={"demo/data": _LONG}), id="wheel"),
    pytest.param(BuiltFile("demo-1.0.zip", a_zip({**_PKG_INFO, "demo-1.0/data": _LONG})), id="zip"),
    pytest.param(
        BuiltFile("demo-1.0.tar.gz", a_tar_gz({**_PKG_INFO, "demo-1.0/data": _LONG})), id="tar"
    ),
]


@pytest.fixture
def times(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """One entry for each time that somebody gave way."""
    times: list[None] = []
    monkeypatch.setattr(os, "sched_yield", lambda: times.append(None), raising=False)
    return times


def test_content_comes_whole_in_pieces(times: list[None]) -> None:
    pieces = [bytes(piece) for piece in giving_way.pieces(_LONG)]

    assert b"".join(pieces) == _LONG
    assert {len(piece) for piece in pieces} == {PIECE_BYTES, 1}
    assert len(times) == 20


def test_what_fits_into_a_piece_is_worked_on_without_a_stop(times: list[None]) -> None:
    assert list(giving_way.pieces(b"")) == []
    assert len(list(giving_way.pieces(bytes(PIECE_BYTES)))) == 1
    assert times == []


def test_who_receives_a_file_gives_way_after_each_piece(tmp_path: Path, times: list[None]) -> None:
    files = DiskFiles(tmp_path)
    with files.draft() as draft:
        draft.write(_LONG)
        staged = draft.finish()
        assert staged.path.read_bytes() == _LONG
    files.close()

    assert len(times) == 20


@pytest.mark.parametrize("built", _LONG_FILES)
def test_who_looks_through_an_archive_gives_way_after_each_piece(
    built: BuiltFile, tmp_path: Path, times: list[None]
) -> None:
    inspect(built.save(tmp_path), parse_filename(built.filename))

    assert len(times) >= 20


def test_a_small_wheel_is_looked_through_without_a_stop(tmp_path: Path, times: list[None]) -> None:
    built = a_wheel()
    inspect(built.save(tmp_path), parse_filename(built.filename))

    assert times == []


def test_where_the_system_has_no_call_for_it_sleeping_for_no_time_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slept: list[float] = []
    monkeypatch.delattr(os, "sched_yield", raising=False)
    monkeypatch.setattr(time, "sleep", slept.append)

    giving_way.give_way()

    assert slept == [0]
