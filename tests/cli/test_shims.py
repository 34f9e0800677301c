"""`shims`: scripts that were written for devpi-server run as they are."""

import os
import subprocess
from pathlib import Path

import pytest

from simpleindex import __version__
from tests.cli.commands import RUN_SECONDS_MAX, Called, Cli, listing
from tests.server import free_port, server_environment, server_of

NEEDS_POSIX = pytest.mark.skipif(os.name == "nt", reason="the scripts are for a POSIX shell")

OLD_SETUP = """\
set -e
devpi-init --serverdir="$DATA" --root-passwd=secret --storage=sqlite --no-root-pypi
printf 'newer\\n' > "$DATA.password"
devpi-passwd root --serverdir="$DATA" --password-file="$DATA.password"
"""


def test_three_launchers_are_written(cli: Cli, tmp_path: Path) -> None:
    out = cli.must("shims", tmp_path / "bin")
    names = ["devpi-init", "devpi-passwd", "devpi-server"]
    suffix = ".cmd" if os.name == "nt" else ""
    written = [tmp_path / "bin" / f"{name}{suffix}" for name in names]
    assert sorted((tmp_path / "bin").iterdir()) == written
    assert sorted(out.splitlines()) == [f"wrote {path}" for path in written]


def test_launchers_can_be_written_again(cli: Cli, tmp_path: Path) -> None:
    cli.must("shims", tmp_path)
    before = listing(tmp_path)
    cli.must("shims", tmp_path)
    assert listing(tmp_path) == before


@NEEDS_POSIX
def test_a_program_of_that_name_is_left_alone(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "devpi-server").write_bytes(b"\x7fELF the real one \xff")
    before = listing(tmp_path)
    complaint = cli("shims", tmp_path).complaint
    assert complaint == f"{tmp_path / 'devpi-server'} is something else; remove it first"
    assert listing(tmp_path) == before


def test_a_file_is_no_folder_for_launchers(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "bin").write_text("mine")
    assert cli("shims", tmp_path / "bin").complaint.startswith(f"{tmp_path / 'bin'} cannot be")
    assert (tmp_path / "bin").read_text() == "mine"


@NEEDS_POSIX
def test_an_old_script_sets_up_and_starts_a_server(cli: Cli, tmp_path: Path) -> None:
    cli.must("shims", tmp_path / "bin")
    data = tmp_path / "data"
    setup = by_shell(tmp_path / "bin", OLD_SETUP, DATA=str(data))
    assert setup.exit_code == 0, setup
    port = free_port()
    start = (
        f'exec devpi-server --serverdir="{data}" --restrict-modify=root --port={port} '
        "--host=127.0.0.1 --threads=50"
    )
    environment = environment_with(tmp_path / "bin")
    with server_of(["sh", "-c", start], data, environment) as server:
        assert server.port == port


@NEEDS_POSIX
def test_an_old_script_finds_out_the_version(cli: Cli, tmp_path: Path) -> None:
    cli.must("shims", tmp_path)
    told = by_shell(tmp_path, "devpi-server --version")
    assert told == Called(0, f"{__version__}\n", "")


@NEEDS_POSIX
def test_an_old_script_sees_a_failure(cli: Cli, tmp_path: Path) -> None:
    cli.must("shims", tmp_path / "bin")
    (tmp_path / "notes.txt").write_text("mine")
    called = by_shell(tmp_path / "bin", 'devpi-init --serverdir="$DATA"', DATA=str(tmp_path))
    assert called.complaint.startswith(f"{tmp_path}: ")


def by_shell(folder: Path, script: str, **variables: str) -> Called:
    finished = subprocess.run(
        ["sh", "-c", script],
        check=False,
        capture_output=True,
        env=environment_with(folder, **variables),
        text=True,
        timeout=RUN_SECONDS_MAX,
    )
    return Called(finished.returncode, finished.stdout, finished.stderr)


def environment_with(folder: Path, **variables: str) -> dict[str, str]:
    return server_environment(PATH=f"{folder}{os.pathsep}{os.environ['PATH']}", **variables)
