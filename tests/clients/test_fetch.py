"""The step that fetches real packages, and with it: what an index is given, it gives back."""

import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.clients.fetch import EXIT_UNREACHABLE, listed_archives, listed_names, project_of
from tests.clients.programs import Finished, Terminal
from tests.server import RunningServer, free_port, server_environment


def test_every_real_package_comes_out_of_an_index_as_it_went_in(
    filled_server: RunningServer, real_packages: Path, terminal: Terminal, tmp_path: Path
) -> None:
    index_url = f"{filled_server.url}/root/local/+simple/"
    finished = _fetch(terminal, tmp_path, "--packages-only", PIP_INDEX_URL=index_url)
    assert finished.exit_code == 0, finished.output
    for name in listed_names():
        assert (tmp_path / name).read_bytes() == (real_packages / name).read_bytes(), name


def test_a_complete_folder_needs_no_index(terminal: Terminal, tmp_path: Path) -> None:
    names = (*listed_names(), *listed_archives())
    for name in names:
        (tmp_path / name).touch()
    finished = _fetch(terminal, tmp_path, PIP_NO_INDEX="1")
    assert finished.exit_code == 0
    assert finished.output.startswith(f"{len(names)} real packages are in ")


def test_an_index_that_does_not_answer_is_told_in_one_line(
    terminal: Terminal, tmp_path: Path
) -> None:
    nobody = f"http://127.0.0.1:{free_port()}/"
    finished = _fetch(terminal, tmp_path / "folder", PIP_INDEX_URL=nobody)
    assert finished.exit_code == EXIT_UNREACHABLE
    assert "cannot be fetched" in finished.output.splitlines()[-1]
    assert list((tmp_path / "folder").iterdir()) == []


def test_the_packages_are_enough_of_each_kind() -> None:
    names = listed_names()
    wheels = [name for name in names if name.endswith(".whl")]
    assert len(wheels) >= 85
    assert len(names) - len(wheels) >= 20
    assert len({project_of(name) for name in names}) >= 50


def test_packages_and_archives_are_enough_of_each_kind_and_nothing_twice() -> None:
    names = (*listed_names(), *listed_archives())
    kinds = Counter(name.rpartition(".")[2] for name in names)
    assert kinds["whl"] >= 150
    assert kinds["gz"] >= 50
    assert kinds["zip"] >= 15
    assert kinds["egg"] >= 10
    assert len({name.lower() for name in names}) == len(names)
    assert len({project_of(name) for name in names}) >= 100


@pytest.mark.parametrize(
    ("filename", "project"),
    [
        ("oslo.config-1.4.0.0a3-py2.py3-none-any.whl", "oslo-config"),
        ("cffi-1.0.2-2-cp26-none-win32.whl", "cffi"),
        ("backports.entry_points_selectable-1.0.2.tar.gz", "backports-entry-points-selectable"),
        ("PyYAML-3.10.zip", "pyyaml"),
        ("zope.interface-4.1.3-py2.6-win-amd64.egg", "zope-interface"),
    ],
)
def test_a_file_name_tells_the_page_that_lists_it(filename: str, project: str) -> None:
    assert project_of(filename) == project


def _fetch(terminal: Terminal, folder: Path, *options: str, **variables: str) -> Finished:
    source_tree = server_environment()["PYTHONPATH"]
    fetch = [sys.executable, "-m", "tests.clients.fetch", str(folder), *options]
    return terminal.run(*fetch, PYTHONPATH=source_tree, **variables)
