"""The one file, run by every Python of this machine that can, and by those that cannot."""

import os
import signal
import subprocess
import sysconfig
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from hashlib import sha256
from pathlib import Path
from urllib.request import ProxyHandler, build_opener

import pytest

from simpleindex import __version__
from tests.builders import a_wheel
from tests.cli.commands import Called
from tests.clients.programs import Terminal
from tests.gap.interpreters import its_pip, python_of
from tests.server import RunningServer, clean_environment, server_environment, server_of

MINORS = ("3.11", "3.12", "3.13", "3.14")
TOO_OLD = ("2.7", "3.6", "3.7", "3.8", "3.9", "3.10")

_SECONDS_MAX = 120.0
_START_SECONDS_MAX = 1.0
_STARTS = 8
"""Of so many one has to be in time: others work on the machine that tests run on."""
_AT_ONCE = 4
_KILLS = 6
_FILES_MORE = 80
"""From one kill to the next."""

_IMPORT_ALL = """
import pkgutil, sys
sys.path.insert(0, sys.argv[1])
import simpleindex, simpleindex_storage
for package in (simpleindex, simpleindex_storage):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not module.name.endswith("__main__"):
            __import__(module.name)
            print(module.name)
"""

_INSPECT_ELSEWHERE = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from simpleindex_storage import inspecting
from simpleindex_storage.names import parse_filename
wheel = Path(sys.argv[2])
inspecting.inspect = None  # not here
with inspecting.Inspectors(1) as inspectors:
    print(inspectors.inspect(wheel, parse_filename(wheel.name))[0].name)
"""


def run(python: Path, *arguments: str | Path, **variables: str) -> Called:
    """A command of one of the Pythons, in an environment where nothing else is installed."""
    finished = subprocess.run(
        [str(python), *map(str, arguments)],
        check=False,
        capture_output=True,
        env=clean_environment(**variables),
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=_SECONDS_MAX,
    )
    return Called(finished.returncode, finished.stdout, finished.stderr)


def serving(
    python: Path, pyz: Path, data: Path, *options: str, **variables: str
) -> AbstractContextManager[RunningServer]:
    """The server of the file, for the time of a block."""
    command = [str(python), str(pyz), "serve", "--serverdir", str(data), "--port=0", *options]
    return server_of(command, data, clean_environment(**variables))


def answer(server: RunningServer, path: str = "/") -> bytes:
    """What it says to a GET."""
    with build_opener(ProxyHandler({})).open(server.url + path, timeout=_SECONDS_MAX) as reply:
        content: bytes = reply.read()
    return content


# How it is made


@pytest.mark.parametrize("minor", MINORS)
def test_each_python_makes_the_same_file(minor: str, pyz: Path, tmp_path: Path) -> None:
    """Of the same distributions, somewhere else, at another time, under other settings."""
    python = python_of(minor)
    variables = server_environment(PYTHONHASHSEED="7", TZ="Asia/Taipei", LC_ALL="C")
    libraries = sysconfig.get_path("purelib")
    variables["PYTHONPATH"] += f"{os.pathsep}{libraries}"
    command = [str(python), "-m", "simpleindex", "pyz"]
    subprocess.run(command, check=True, cwd=tmp_path, env=variables, umask=0o077)
    assert (
        sha256((tmp_path / "server.pyz").read_bytes()).digest() == sha256(pyz.read_bytes()).digest()
    )


def test_what_one_file_makes_is_the_same_file(pyz: Path, tmp_path: Path) -> None:
    called = run(python_of("this"), pyz, "pyz", tmp_path / "copy.pyz", HOME=str(tmp_path))
    assert called.exit_code == 0, called
    assert (tmp_path / "copy.pyz").read_bytes() == pyz.read_bytes()


# Whoever runs it


@pytest.mark.parametrize("minor", TOO_OLD)
def test_a_python_that_is_too_old_is_told_so_in_a_line(minor: str, pyz: Path) -> None:
    python = python_of(minor)
    called = run(python, pyz, "serve")
    assert called == Called(
        1,
        "",
        f"simpleindex-server: Python 3.11 or newer is needed, and this is {minor} ({python})\n",
    )


@pytest.mark.parametrize("minor", MINORS)
def test_all_of_it_can_be_imported_where_nothing_is_installed(minor: str, pyz: Path) -> None:
    called = run(python_of(minor), "-I", "-S", "-c", _IMPORT_ALL, pyz)
    assert (called.exit_code, called.err) == (0, "")
    assert {"simpleindex.app", "simpleindex.gap.source"} <= set(called.out.split())


@pytest.mark.parametrize("minor", MINORS)
def test_processes_that_look_through_archives_come_out_of_it(
    minor: str, pyz: Path, tmp_path: Path
) -> None:
    wheel = a_wheel("demo").save(tmp_path)
    called = run(python_of(minor), "-I", "-S", "-c", _INSPECT_ELSEWHERE, pyz, wheel)
    assert called == Called(0, "demo\n", "")


@pytest.mark.parametrize(
    ("minor", "is_unpacked"),
    [
        *(pytest.param(minor, True, id=f"{minor} unpacked") for minor in MINORS),
        pytest.param(MINORS[0], False, id=f"{MINORS[0]} in the archive"),
        *(
            pytest.param(minor, False, id=f"{minor} in the archive", marks=pytest.mark.full)
            for minor in MINORS[1:]
        ),
    ],
)
def test_it_serves_with_several_workers(
    minor: str, pyz: Path, tmp_path: Path, is_unpacked: bool
) -> None:
    python = python_of(minor)
    home = {"HOME": str(tmp_path)} if is_unpacked else {"HOME": ""}
    a_wheel("demo").save(tmp_path)
    with serving(python, pyz, tmp_path / "data", "--workers=2", **home) as server:
        called = run(python, pyz, "add", tmp_path, f"--serverdir={server.serverdir}", **home)
        assert (called.exit_code, called.err) == (0, "")
        assert b"demo-1.0-py3-none-any.whl" in answer(server, "/root/local/+simple/demo/")
        checked = run(python, pyz, "doctor", f"--serverdir={server.serverdir}", **home)
        assert f"ok      versions: simpleindex-server {__version__}, Python {minor}." in checked.out
        assert "is not installed" not in checked.out
    assert (tmp_path / ".cache").exists() is is_unpacked


def test_hints_and_help_name_the_file_as_it_was_started(pyz: Path, tmp_path: Path) -> None:
    python, data = python_of("this"), tmp_path / "data"

    def told(*words: str | Path) -> str:
        called = run(python, pyz, *words, HOME=str(tmp_path))
        return called.out + called.err

    assert told("bundle", "import").endswith(f"{pyz} bundle import --help`.\n")
    assert f" {pyz} [OPTIONS] COMMAND" in " ".join(told("--help").split())
    told("init", f"--serverdir={data}")
    assert told("target", "list", f"--serverdir={data}").endswith(
        f"{pyz} target add --help` tells how to name one\n"
    )
    assert told("bundle", "undo", "12", f"--serverdir={data}").endswith(
        f"{pyz} bundle history --serverdir={data}` names all\n"
    )
    request = told("request", f"--serverdir={data}")
    assert f"# Where there is internet: python3 {pyz.name} bundle create " in request


def test_pip_installs_from_it(pyz: Path, tmp_path: Path) -> None:
    python = python_of("3.11")
    a_wheel("demo").save(tmp_path)
    variables = {"HOME": str(tmp_path)}
    with serving(python, pyz, tmp_path / "data", **variables) as server:
        run(python, pyz, "add", tmp_path, f"--serverdir={server.serverdir}", **variables)
        Terminal(tmp_path / "home").must(
            python, its_pip(python) / "pip", "install", "--index-url",
            f"{server.url}/root/local/", "--target", tmp_path / "installed", "demo",
        )  # fmt: skip
    assert list((tmp_path / "installed").glob("demo-1.0.dist-info"))


def test_a_later_start_compiles_nothing(pyz: Path, tmp_path: Path) -> None:
    python, home = python_of("this"), {"HOME": str(tmp_path)}
    times = []
    for _ in range(3):
        with serving(python, pyz, tmp_path / "data", **home) as server:
            answer(server)
        compiled = (tmp_path / ".cache").rglob("*.pyc")
        times.append({path: path.stat().st_mtime_ns for path in compiled})
    first, second, third = times
    assert len(first) > 100
    assert first.keys() <= second.keys()  # a module may still be on its way into the folder
    assert second == third


@pytest.mark.full
@pytest.mark.alone
@pytest.mark.parametrize("minor", MINORS)
@pytest.mark.parametrize("is_first", [True, False], ids=["first start", "later start"])
def test_the_first_answer_comes_within_a_second(
    minor: str, is_first: bool, pyz: Path, tmp_path: Path
) -> None:
    python, data = python_of(minor), tmp_path / "data"
    for _ in range(2):
        with serving(python, pyz, data, HOME=str(tmp_path / "home")) as server:
            answer(server)
    needed = []
    for number in range(_STARTS):
        home = tmp_path / (f"home-{number}" if is_first else "home")
        begun = time.monotonic()
        with serving(python, pyz, data, HOME=str(home)) as server:
            answer(server)
            needed.append(time.monotonic() - begun)
    assert min(needed) <= _START_SECONDS_MAX, needed


# What it calls itself


def test_it_says_how_it_can_be_called_again(pyz: Path, tmp_path: Path) -> None:
    python = python_of("this")
    data = tmp_path / "data"
    command = [str(python), str(pyz), "init", f"--serverdir={data}"]
    told = subprocess.check_output(
        command, cwd=tmp_path, env=clean_environment(HOME=str(tmp_path)), text=True
    )
    assert told.splitlines()[-1] == f"Next: {python} {pyz} serve --serverdir={data}"


def test_it_names_itself_as_it_is_reached_from_here(pyz: Path, tmp_path: Path) -> None:
    python = python_of("this")
    finished = subprocess.run(
        [python.name, pyz.name, "fsck", f"--serverdir={tmp_path / 'no'}"],
        check=False,
        capture_output=True,
        cwd=pyz.parent,
        env=clean_environment(HOME=str(tmp_path), PATH=str(python.parent)),
        text=True,
    )
    assert f"`{python.name} {pyz.name} init --serverdir={tmp_path / 'no'}`" in finished.stderr


@pytest.mark.skipif(os.name == "nt", reason="the scripts are for a POSIX shell")
def test_launchers_of_devpi_call_the_file(pyz: Path, tmp_path: Path) -> None:
    python = python_of("this")
    folder = tmp_path / "a folder"
    folder.mkdir()
    copied = folder / "server.pyz"
    copied.write_bytes(pyz.read_bytes())
    environment = clean_environment(HOME=str(tmp_path))
    subprocess.run(
        [str(python), "server.pyz", "shims", "bin"],
        check=True,
        cwd=folder,
        env=environment,
        stdout=subprocess.DEVNULL,
    )
    told = subprocess.check_output(
        [folder / "bin" / "devpi-server", "--version"], cwd=tmp_path, env=environment, text=True
    )
    assert told == f"{__version__}\n"


# Starts that meet, and starts that are cut short


def version_told(commands: Sequence[subprocess.Popen[str]]) -> list[tuple[int, str]]:
    with ThreadPoolExecutor(len(commands)) as pool:
        told = pool.map(lambda process: process.communicate(timeout=_SECONDS_MAX)[0], commands)
        return [(process.wait(), out) for process, out in zip(commands, told, strict=True)]


def test_first_starts_at_the_same_time_are_in_nobodys_way(pyz: Path, tmp_path: Path) -> None:
    command = [str(python_of("this")), str(pyz), "--version"]
    environment = clean_environment(HOME=str(tmp_path))
    processes = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(_AT_ONCE)
    ]
    assert version_told(processes) == [(0, f"{__version__}\n")] * _AT_ONCE
    assert not list(tmp_path.rglob("*.draft"))


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL")
def test_a_first_start_that_was_killed_harms_no_later_one(pyz: Path, tmp_path: Path) -> None:
    """Killed when so and so many files are there: each time at another place in its work."""
    python = python_of("this")
    command = [str(python), str(pyz), "--version"]
    was_cut_short = 0
    for number in range(_KILLS):
        home = tmp_path / str(number)
        home.mkdir()
        process = subprocess.Popen(
            command,
            env=clean_environment(HOME=str(home), PYTHONDONTWRITEBYTECODE="1"),
            stdout=subprocess.DEVNULL,
        )
        while process.poll() is None and len(list(home.rglob("*.py"))) < _FILES_MORE * number:
            pass
        process.send_signal(signal.SIGKILL)
        was_cut_short += process.wait() == -signal.SIGKILL
        assert run(python, pyz, "--version", HOME=str(home)) == Called(0, f"{__version__}\n", "")
    assert was_cut_short
