"""What a serving process gives back of the memory that it has taken for a moment."""

import subprocess
import sys

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
    finished = subprocess.run(
        [sys.executable, "-c", _HASH_IN_MANY_THREADS, str(_THREADS), str(gives_back)],
        check=True,
        capture_output=True,
        env=server_environment(),
        text=True,
        timeout=120,
    )
    return int(finished.stdout)


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
