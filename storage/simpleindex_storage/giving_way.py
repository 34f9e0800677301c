"""Long work in pieces, between which whoever answers requests may run.

A thread that computes keeps its core for a whole slice of the system's clock, often 4 ms, also
where it has let go of the interpreter's lock; and several of them take turns. Asking to be put
behind the others costs a microsecond, and a page waits for one piece instead.
"""

import os
import time
from collections.abc import Iterator

PIECE_BYTES = 64 << 10
"""Some 0.2 ms of all our digests."""


def give_way() -> None:
    """Let other threads have the core, if any wants it."""
    if hasattr(os, "sched_yield"):
        os.sched_yield()
    else:  # on Windows
        time.sleep(0)


def pieces(content: bytes) -> Iterator[memoryview]:
    """The content, a piece at a time; gives way in between."""
    whole = memoryview(content)
    for begin in range(0, len(whole), PIECE_BYTES):
        if begin:
            give_way()
        yield whole[begin : begin + PIECE_BYTES]
