"""What the tests of the command line share."""

import os
from pathlib import Path

import pytest

from tests.cli.commands import Cli
from tests.cli.directories import open_once


@pytest.fixture(autouse=True)
def no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither the environment nor a home folder tells the command line anything."""
    for name in os.environ:
        if name.startswith("SIMPLEINDEX_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    """The command line, called in this process."""
    return Cli(capsys)


@pytest.fixture
def data(cli: Cli, tmp_path: Path) -> Path:
    """A server directory that has been opened once."""
    cli.init(tmp_path / "data")
    open_once(tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture
def wheelhouse(tmp_path: Path) -> Path:
    """An empty folder for packages."""
    folder = tmp_path / "wheelhouse"
    folder.mkdir()
    return folder
