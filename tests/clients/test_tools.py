"""The step that installs publishing tools: what it makes, when again, and what it says."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.builders import BuiltFile, a_wheel
from tests.clients.fetch import EXIT_UNREACHABLE
from tests.clients.programs import Finished, Terminal
from tests.clients.server_side import add
from tests.clients.tools import environment_of
from tests.server import RunningServer, free_port, running_server, server_environment

TOOL: BuiltFile = a_wheel(
    "demo",
    extra_files={
        "demo/command.py": b'def main():\n    print("a tool of the tests")\n',
        "demo-1.0.dist-info/entry_points.txt": b"[console_scripts]\ndemo = demo.command:main\n",
    },
)


@pytest.fixture
def index(tmp_path: Path) -> Iterator[RunningServer]:
    with running_server(tmp_path / "data") as server:
        add(server, TOOL.save(tmp_path))
        yield server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "tools"


def test_a_tool_is_installed_once_and_then_needs_no_index(
    index: RunningServer, folder: Path, terminal: Terminal
) -> None:
    made = _make(terminal, folder, TOOL, PIP_INDEX_URL=_url(index))
    assert made.exit_code == 0, made.output
    assert made.output.splitlines()[-1] == f"1 publishing tools are in {folder}"
    command = environment_of(TOOL.filename, folder).command("demo")
    assert command is not None
    assert terminal.must(command) == "a tool of the tests\n"

    again = _make(terminal, folder, TOOL, PIP_NO_INDEX="1")
    assert again.exit_code == 0, again.output


def test_what_was_interrupted_or_made_by_another_python_is_made_again(
    index: RunningServer, folder: Path, terminal: Terminal
) -> None:
    environment = environment_of(TOOL.filename, folder)
    environment.folder.mkdir(parents=True)
    rest = environment.folder / "rest"
    rest.touch()
    made = _make(terminal, folder, TOOL, PIP_INDEX_URL=_url(index))
    assert made.exit_code == 0, made.output
    assert not rest.exists()

    rest.touch()
    mark = environment.folder / "made-by"
    mark.write_text(mark.read_text("utf-8").replace(sys.version, "another"), "utf-8")
    made = _make(terminal, folder, TOOL, PIP_INDEX_URL=_url(index))
    assert made.exit_code == 0, made.output
    assert not rest.exists()


def test_an_index_that_does_not_answer_is_told_in_one_line(
    folder: Path, terminal: Terminal
) -> None:
    nobody = f"http://127.0.0.1:{free_port()}/"
    finished = _make(terminal, folder, TOOL, PIP_INDEX_URL=nobody)
    assert finished.exit_code == EXIT_UNREACHABLE
    assert "cannot be installed" in finished.output.splitlines()[-1]
    assert list(folder.iterdir()) == []


def test_a_tool_that_needs_what_the_index_lacks_fails_with_the_words_of_pip(
    index: RunningServer, folder: Path, terminal: Terminal, tmp_path: Path
) -> None:
    incomplete = a_wheel("demo", "2.0", requires_dist=["no-such-project"])
    add(index, incomplete.save(tmp_path))
    for _ in range(2):
        finished = _make(terminal, folder, incomplete, PIP_INDEX_URL=_url(index))
        assert finished.exit_code == 1
        assert "no-such-project" in finished.output


def _make(terminal: Terminal, folder: Path, tool: BuiltFile, **variables: str) -> Finished:
    source_tree = server_environment()["PYTHONPATH"]
    make = [sys.executable, "-m", "tests.clients.tools", str(folder), tool.filename]
    return terminal.run(*make, PYTHONPATH=source_tree, **variables)


def _url(index: RunningServer) -> str:
    return f"{index.url}/root/local/+simple/"
