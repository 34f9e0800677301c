"""The step that fetches real packages, and with it: what an index is given, it gives back."""

import sys
from pathlib import Path

from tests.clients.fetch import EXIT_UNREACHABLE, listed_names, project_of
from tests.clients.programs import Finished, Terminal
from tests.server import RunningServer, free_port, server_environment


def test_every_real_package_comes_out_of_an_index_as_it_went_in(
    filled_server: RunningServer, real_packages: Path, terminal: Terminal, tmp_path: Path
) -> None:
    finished = _fetch(terminal, tmp_path, PIP_INDEX_URL=f"{filled_server.url}/root/local/+simple/")
    assert finished.exit_code == 0, finished.output
    for name in listed_names():
        assert (tmp_path / name).read_bytes() == (real_packages / name).read_bytes(), name


def test_a_complete_folder_needs_no_index(terminal: Terminal, tmp_path: Path) -> None:
    for name in listed_names():
        (tmp_path / name).touch()
    finished = _fetch(terminal, tmp_path, PIP_NO_INDEX="1")
    assert finished.exit_code == 0
    assert finished.output.startswith(f"{len(listed_names())} real packages are in ")


def test_an_index_that_does_not_answer_is_told_in_one_line(
    terminal: Terminal, tmp_path: Path
) -> None:
    nobody = f"http://127.0.0.1:{free_port()}/"
    finished = _fetch(terminal, tmp_path / "folder", PIP_INDEX_URL=nobody)
    assert finished.exit_code == EXIT_UNREACHABLE
    assert "cannot be fetched" in finished.output.splitlines()[-1]
    assert list((tmp_path / "folder").iterdir()) == []


def test_the_list_has_enough_of_each_kind_and_nothing_twice() -> None:
    names = listed_names()
    wheels = [name for name in names if name.endswith(".whl")]
    assert len(wheels) >= 85
    assert len(names) - len(wheels) >= 20
    assert len({name.lower() for name in names}) == len(names)
    assert len({project_of(name) for name in names}) >= 50


def _fetch(terminal: Terminal, folder: Path, **variables: str) -> Finished:
    source_tree = server_environment()["PYTHONPATH"]
    fetch = [sys.executable, "-m", "tests.clients.fetch", str(folder)]
    return terminal.run(*fetch, PYTHONPATH=source_tree, **variables)
