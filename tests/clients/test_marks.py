"""What installers make of yanks and statuses, with the real programs."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.builders import a_wheel
from tests.clients.programs import Finished, Terminal, program
from tests.clients.server_side import add, run_verb
from tests.server import RunningServer, running_server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    for version in ("1.0", "2.0"):
        a_wheel("demo", version).save(wheels)
    with running_server(tmp_path / "data") as running:
        add(running, wheels)
        yield running


def install(terminal: Terminal, installer: str, server: RunningServer, what: str) -> Finished:
    url, target = f"{server.url}/root/local/+simple/", str(terminal.home / "installed")
    if installer == "uv":
        return terminal.run(
            program("uv"), "pip", "install", "--no-cache", "--python", sys.executable,
            "--reinstall", "--target", target, "--default-index", url, what,
        )  # fmt: skip
    return terminal.run(
        sys.executable, "-m", "pip", "--isolated", "--no-cache-dir", "install", "--upgrade",
        "--disable-pip-version-check", "--target", target, "--index-url", url, what,
    )  # fmt: skip


def installed(terminal: Terminal) -> set[str]:
    return {path.name for path in (terminal.home / "installed").glob("demo-*.dist-info")}


@pytest.mark.parametrize("installer", ["pip", "uv"])
def test_a_yanked_version_is_taken_only_by_who_pins_it(
    installer: str, server: RunningServer, terminal: Terminal
) -> None:
    serverdir = f"--serverdir={server.serverdir}"
    run_verb("yank", "demo", "2.0", "--reason=eats files", serverdir)
    assert install(terminal, installer, server, "demo").exit_code == 0
    assert installed(terminal) == {"demo-1.0.dist-info"}
    pinned = install(terminal, installer, server, "demo==2.0")
    assert pinned.exit_code == 0
    assert "eats files" in pinned.sentence
    assert "demo-2.0.dist-info" in installed(terminal)
    run_verb("unyank", "demo", "2.0", serverdir)
    assert "eats files" not in install(terminal, installer, server, "demo==2.0").sentence


@pytest.mark.parametrize("installer", ["pip", "uv"])
def test_a_quarantined_project_cannot_be_installed_until_it_is_active_again(
    installer: str, server: RunningServer, terminal: Terminal
) -> None:
    serverdir = f"--serverdir={server.serverdir}"
    run_verb("quarantine", "demo", serverdir)
    assert install(terminal, installer, server, "demo").exit_code != 0
    assert installed(terminal) == set()
    run_verb("activate", "demo", serverdir)
    assert install(terminal, installer, server, "demo").exit_code == 0
    for verb in ("archive", "deprecate"):
        run_verb(verb, "demo", serverdir)
        assert install(terminal, installer, server, "demo").exit_code == 0
