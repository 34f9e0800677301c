"""SIGTERM and SIGINT: who hears of them, and that no process hears of them before it can."""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

if sys.platform != "win32":
    from multiprocessing import resource_tracker

_NUMBERS = (signal.SIGTERM, signal.SIGINT)


def on_stop(stop: Callable[[], None]) -> None:
    """Call `stop` at each signal to stop, also at those that were held back until now.

    To be called in the main thread.
    """
    for number in _NUMBERS:
        signal.signal(number, lambda *_: stop())
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _NUMBERS)


@contextmanager
def stops_held_back() -> Iterator[None]:
    """Hold signals to stop back for the time of the block; for longer in a process begun in it.

    That gets them when it calls `on_stop`. By itself Python answers the first Ctrl-C with a
    traceback from the middle of its imports. On Windows nothing is held back.
    """
    if sys.platform == "win32":
        yield
        return
    resource_tracker.ensure_running()  # which lets them in again, when it begins to run
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _NUMBERS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
