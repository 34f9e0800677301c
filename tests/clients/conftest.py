"""What the client tests share: the real packages, and one server that is filled with them."""

import os
import shutil
import subprocess
import sys
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.clients import fetch
from tests.clients.programs import Terminal
from tests.clients.server_side import add
from tests.server import RunningServer, running_server

_FETCH_SECONDS_MAX = 900.0


@pytest.fixture(scope="session")
def real_packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that `packages.txt` lists, and nothing else."""
    finished = subprocess.run(
        [sys.executable, "-m", "tests.clients.fetch"],
        check=False,
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=_FETCH_SECONDS_MAX,
    )
    if finished.returncode == fetch.EXIT_UNREACHABLE:
        pytest.skip(finished.stdout.strip())
    assert finished.returncode == 0, finished.stdout + finished.stderr
    folder = tmp_path_factory.mktemp("real-packages")
    for name in fetch.listed_names():
        _put(fetch.FOLDER / name, folder / name)
    return folder


@pytest.fixture(scope="session")
def filled_server(
    tmp_path_factory: pytest.TempPathFactory, real_packages: Path
) -> Iterator[RunningServer]:
    """A server whose `root/local` holds the real packages."""
    with running_server(tmp_path_factory.mktemp("filled") / "data") as server:
        add(server, real_packages)
        yield server


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    """A terminal of somebody who has just been given an account."""
    return Terminal(tmp_path / "home")


def _put(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another disk
        shutil.copyfile(source, target)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show with a test that fails what its servers wrote."""
    report = yield
    for name, value in getattr(item, "funcargs", {}).items():
        if report.failed and isinstance(value, RunningServer):
            report.sections.append((f"Log of {name}", value.log.read_text("utf-8", "replace")))
    return report
