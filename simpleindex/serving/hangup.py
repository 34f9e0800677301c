"""What SIGHUP means: read the settings again; but when a terminal was closed, stop."""

import os
import signal
from collections.abc import Callable


def on_hangup(reload: Callable[[], None], stop: Callable[[], None]) -> None:
    """Call `reload` at each SIGHUP, but `stop` once the terminal is gone that there is now.

    Where SIGHUP is ignored, as below `nohup`, the end of the terminal is no reason to stop. To be
    called in the main thread. Does nothing on Windows, which has no such signal.
    """
    number = getattr(signal, "SIGHUP", None)
    if number is None:
        return
    may_outlive_terminal = signal.getsignal(number) is signal.SIG_IGN
    had_terminal = not may_outlive_terminal and _has_terminal()

    def hang_up(*_: object) -> None:
        # Whoever closes a window means to end what runs in it; under systemd there is none.
        (stop if had_terminal and not _has_terminal() else reload)()

    signal.signal(number, hang_up)


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True
