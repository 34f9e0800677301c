"""What a serving process gives back, and what its collector need not look through."""

import subprocess
import sys
from pathlib import Path

import pytest

from simpleindex.serving.memory import give_memory_back
from tests.server import server_environment

_MB = 1 << 20
_THREADS = 12


def test_freed_blocks_go_back_whatever_thread_had_them() -> None:
    if not give_memory_back():
        pytest.skip("this C library cannot be told")
    kept = grown_bytes(gives_back=True)
    assert kept < 3 * 16 * _MB
    assert grown_bytes(gives_back=False) > kept + 4 * 16 * _MB  # else this test proves nothing


def grown_bytes(*, gives_back: bool) -> int:
    """How much more a process takes for good once a dozen of its threads have hashed passwords."""
    (grown,) = told_by(_HASH_IN_MANY_THREADS, str(_THREADS), str(gives_back))
    return grown


def told_by(program: str, *arguments: str) -> list[int]:
    """The numbers that a program prints, run in a process of its own."""
    finished = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        check=True,
        capture_output=True,
        env=server_environment(),
        text=True,
        timeout=120,
    )
    return [int(word) for word in finished.stdout.split()]


_HASH_IN_MANY_THREADS = """\
import sys, threading
from simpleindex.access import hash_password
from simpleindex.serving.memory import give_memory_back

def resident_bytes():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096

if sys.argv[2] == "True":
    give_memory_back()
hash_password("warm"), hash_password("warm again")
before = resident_bytes()
together = threading.Barrier(int(sys.argv[1]))

def work():
    for _ in range(3):
        hash_password("a password")
    together.wait()

threads = [threading.Thread(target=work) for _ in range(int(sys.argv[1]))]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(resident_bytes() - before)
"""


def test_a_server_that_is_ready_leaves_little_to_look_through(tmp_path: Path) -> None:
    """Else each full collection keeps all requests waiting."""
    left, spared = told_by(_COUNT_WHEN_READY, str(tmp_path / "data"))
    assert left < spared / 10


_COUNT_WHEN_READY = """\
import gc, sys
from contextlib import closing
from pathlib import Path
from simpleindex.config import Config
from simpleindex.log_lines import log_to_stderr
from simpleindex.serving.server import Server
from simpleindex.serving.sockets import bind

def ready():
    print(len(gc.get_objects()), gc.get_freeze_count())
    server.stop()

config = Config(serverdir=Path(sys.argv[1]), port=0)
with closing(log_to_stderr(as_json=False)) as log:
    server = Server(config, None, bind(config), ready, log)
    server.run()
"""
