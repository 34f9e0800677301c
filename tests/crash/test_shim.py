"""The calls that are counted are all there are, of Python's and of SQLite's; and they can fail."""

import errno
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.builders import a_wheel
from tests.crash.harness import client_of, init, launched
from tests.crash.shim import CHANGES, Kind, a_shim
from tests.crash.tally import Harm, Tally
from tests.crash.trace import parse_trace, strace
from tests.server import STOP_SECONDS_MAX

SQLITE = (
    "import sqlite3, sys; it = sqlite3.connect(sys.argv[1]); "
    "it.execute('CREATE TABLE t (x)'); it.commit()"
)


def test_what_the_kernel_sees_of_an_upload_is_counted(tmp_path: Path) -> None:
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    data, trace = tmp_path / "data", tmp_path / "trace"
    init(data)
    with a_shim(data) as shim:
        shim.count(CHANGES)
        with launched(data, shim=shim, under=strace(trace)) as server:
            with client_of(server) as client:
                assert client.upload("root/local", a_wheel()).is_promised
            (mark,) = (data / "incoming").glob("*.lock")
            os.kill(int(mark.name.partition("-")[0]), signal.SIGTERM)
            assert server.process.wait(STOP_SECONDS_MAX) == 0
        counted = [call.split(" ") for call in shim.calls()]
    seen = parse_trace(trace.read_text(), data)
    kinds = {"write": "write", "sync": "sync", "link": "link", "rename": "rename",
             "mkdir": "mkdir"}  # fmt: skip
    for kind, name in kinds.items():
        by_kernel = {call.path for call in seen if call.kind == kind and _is_below(call.path)}
        by_shim = {words[1] for words in counted if words[0] == name}
        assert by_kernel <= by_shim, kind
    synced = {words[1] for words in counted if words[0] == "sync"}
    assert {"catalog.sqlite-wal", "journal.jsonl"} <= synced


def _is_below(path: str) -> bool:
    return not path.startswith(("/", "socket:", "pipe:", "anon_inode:", "counters/"))


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO])
def test_a_chosen_call_fails_and_no_other(tmp_path: Path, error: int) -> None:
    with a_shim(tmp_path) as shim:
        command = [sys.executable, "-c", SQLITE, str(tmp_path / "it.sqlite")]
        shim.count(Kind.WRITE)
        assert subprocess.run(command, env=shim.environment(), check=False).returncode == 0
        assert shim.passed > 0
        (tmp_path / "it.sqlite").unlink()
        shim.fail(error, shim.passed // 2)
        ended = subprocess.run(
            command, env=shim.environment(), capture_output=True, text=True, check=False
        )
        assert shim.has_hit
        assert "sqlite3.OperationalError" in ended.stderr
        shim.disarm()
        assert subprocess.run(command, env=shim.environment(), check=False).returncode == 0


def test_a_process_dies_in_front_of_a_chosen_call(tmp_path: Path) -> None:
    with a_shim(tmp_path) as shim:
        shim.kill_at(0)
        command = [sys.executable, "-c", SQLITE, str(tmp_path / "it.sqlite")]
        ended = subprocess.run(command, env=shim.environment(), check=False)
    assert ended.returncode == -signal.SIGKILL
    assert list(tmp_path.iterdir()) == []


def test_the_counts_are_added_up() -> None:
    tally = Tally("try", 3, 2, 1)
    tally.add(Harm.LOST, ["a file"], "write x")
    assert tally.lines() == ["lost: a file (write x)"]
