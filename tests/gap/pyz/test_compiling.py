"""What another process does for a first start: it compiles, and ends when nobody needs it."""

import importlib.util
import subprocess
import sys
import threading
from pathlib import Path
from zipfile import ZipFile

import pytest

from simpleindex.gap.pyz.compiling import LOADED_LAST, compile_ahead
from simpleindex.gap.pyz.unpacking import compile_beside
from tests.server import clean_environment

SCRIPT = "simpleindex_compiling.py"
_SECONDS_MAX = 120.0
_MODULES = 40
_SLOW = "".join(f"def f{number}(a, b={number}): return a + b\n" for number in range(2000))
"""Takes tens of milliseconds to compile."""


def unpacked_modules(folder: Path, *names: str, text: str = "x = 1\n") -> list[Path]:
    """Modules below `folder`; where Python will look for them compiled."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return [compiled(folder / name) for name in names]


def compiled(source: Path) -> Path:
    return Path(importlib.util.cache_from_source(str(source)))


def those_there(paths: list[Path]) -> int:
    return sum(path.exists() for path in paths)


def test_all_that_it_compiles_is_in_the_file(pyz: Path) -> None:
    with ZipFile(pyz) as file:
        folders = {name.rpartition("/")[0] for name in file.namelist() if name.endswith(".py")}
    assert not [name for name in LOADED_LAST if name not in folders]


def test_python_takes_what_it_has_compiled(tmp_path: Path) -> None:
    (made,) = unpacked_modules(tmp_path, "simpleindex/routes/one.py", text="print('one')\n")
    compile_ahead(tmp_path, lambda: False)
    before = made.stat()
    command = [sys.executable, "-v", "-c", "import one"]
    told = subprocess.run(
        command,
        capture_output=True,
        check=True,
        env=clean_environment(PYTHONPATH=str(tmp_path / "simpleindex" / "routes")),
        text=True,
    )
    assert told.stdout == "one\n"
    assert f"matches {made.parent.parent / 'one.py'}" in told.stderr  # as python -v says it
    assert (made.stat().st_ino, made.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_what_is_compiled_already_is_left_as_it_is(tmp_path: Path) -> None:
    one, two = unpacked_modules(tmp_path, "simpleindex/one.py", "simpleindex/two.py")
    one.parent.mkdir()
    one.write_bytes(b"by somebody else")
    compile_ahead(tmp_path, lambda: False)
    assert one.read_bytes() == b"by somebody else"
    assert two.exists()


def test_nothing_more_is_compiled_when_it_is_over(tmp_path: Path) -> None:
    paths = unpacked_modules(tmp_path, "h11/a.py", "h11/b.py", "h11/c.py")
    compile_ahead(tmp_path, lambda: those_there(paths) == 1)
    assert those_there(paths) == 1


def test_a_folder_that_takes_nothing_is_no_trouble(tmp_path: Path) -> None:
    one, two = unpacked_modules(tmp_path, "simpleindex/one.py", "simpleindex_storage/two.py")
    one.parent.write_bytes(b"")  # where __pycache__ would be
    compile_ahead(tmp_path, lambda: False)
    assert two.exists()


def test_a_module_that_is_half_unpacked_is_no_trouble(tmp_path: Path) -> None:
    (half,) = unpacked_modules(tmp_path, "simpleindex/half.py", text="def f(:\n")
    (whole,) = unpacked_modules(tmp_path, "simpleindex/a_whole.py")
    compile_ahead(tmp_path, lambda: False)
    assert (half.exists(), whole.exists()) == (False, True)


# The process


def its_process(folder: Path, pyz: Path) -> "subprocess.Popen[bytes]":
    with ZipFile(pyz) as file:
        (folder / SCRIPT).write_bytes(file.read(SCRIPT))
    return subprocess.Popen(
        [sys.executable, "-S", str(folder / SCRIPT)],
        env=clean_environment(),
        stdin=subprocess.PIPE,
    )


def test_it_ends_when_all_is_compiled(pyz: Path, tmp_path: Path) -> None:
    paths = unpacked_modules(tmp_path, *(f"h11/m{number}.py" for number in range(_MODULES)))
    with its_process(tmp_path, pyz) as process:
        assert process.wait(_SECONDS_MAX) == 0
    assert those_there(paths) == _MODULES


def test_it_ends_with_who_has_started_it(pyz: Path, tmp_path: Path) -> None:
    names = (f"h11/m{number}.py" for number in range(_MODULES))
    paths = unpacked_modules(tmp_path, *names, text=_SLOW)
    with its_process(tmp_path, pyz) as process:
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(_SECONDS_MAX) == 0
    assert those_there(paths) < _MODULES


# Who starts it


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands of processes that would be started; each is refused."""
    commands: list[list[str]] = []

    def refuse(command: list[str], **_: object) -> None:
        commands.append(command)
        raise BlockingIOError("Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    return commands


def test_where_no_process_can_be_had_it_goes_without(
    tmp_path: Path, started: list[list[str]]
) -> None:
    compile_beside(tmp_path)
    assert started == [[sys.executable, "-S", str(tmp_path / SCRIPT)]]


def test_where_no_thread_can_be_had_it_goes_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    unpacked_modules(tmp_path, SCRIPT)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    compile_beside(tmp_path)


def test_none_is_started_where_this_python_has_compiled_all_that_serves(
    tmp_path: Path, started: list[list[str]]
) -> None:
    (app,) = unpacked_modules(tmp_path, "simpleindex/app.py")
    app.parent.mkdir()
    app.write_bytes(b"")
    compile_beside(tmp_path)
    assert started == []


def test_none_is_started_where_python_is_to_write_no_bytecode(
    tmp_path: Path, started: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    compile_beside(tmp_path)
    assert started == []
