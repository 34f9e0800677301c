"""What a server asks of those who look after its memory: Python's collector, and the C library."""

import ctypes
import gc
import os
import sys

_ARENAS_MAX = 2
_MMAP_THRESHOLD_BYTES = 1 << 20

# Of glibc's malloc.h.
_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8


def give_memory_back() -> bool:
    """Let freed blocks of a megabyte and more go back to the system; whether that can be told.

    By itself glibc learns from the first such block to keep the following ones, in an arena for
    each thread: the 16 MB that hashing a password takes, and every large upload, then stay with
    whatever thread has had them. A server's memory grows so for hours without any leak.
    """
    if not sys.platform.startswith("linux") or not _is_glibc():
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(
        mallopt(_M_MMAP_THRESHOLD, _MMAP_THRESHOLD_BYTES) and mallopt(_M_ARENA_MAX, _ARENAS_MAX)
    )


def spare_what_stays() -> None:
    """Let the collector leave alone whatever there is now. To be called when a server is ready.

    To look through the classes and functions of a whole server takes 15 ms, in which no request is
    answered, and finds nothing. Without them a full collection takes well below one.
    """
    gc.freeze()


def _is_glibc() -> bool:
    try:
        return "glibc" in (os.confstr("CS_GNU_LIBC_VERSION") or "")
    except (OSError, ValueError):  # another C library does not know the name
        return False
