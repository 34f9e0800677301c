"""Other processes of this machine, as /proc tells of them."""

import time
from collections.abc import Callable
from pathlib import Path

WAIT_SECONDS_MAX = 30.0


def children_of(pid: int) -> list[int]:
    """The processes that a process has started."""
    told = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(word) for word in told.split()]


def wait_until_gone(pid: int) -> None:
    """Wait for the end of a process, which may be no child of ours."""
    wait_until(lambda: not _is_running(pid))


def wait_until(is_so: Callable[[], bool]) -> None:
    """Wait for what tells nobody when it happens."""
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while not is_so():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def _is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"
