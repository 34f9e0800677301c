"""SIGHUP where a terminal is closed: who was started in it ends, unless `nohup` was before it."""

import subprocess
import sys

import pytest

from tests.server import STOP_SECONDS_MAX, server_environment

if sys.platform == "win32":
    pytest.skip("Windows has no SIGHUP", allow_module_level=True)

import pty
from os import close


@pytest.mark.parametrize(("began", "done"), [("", "stop"), ("ignored", "reload")])
def test_a_terminal_that_is_closed_ends_who_does_not_ignore_that(began: str, done: str) -> None:
    ours, terminal = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", _IN_A_TERMINAL, began],
        stdin=terminal,
        stdout=subprocess.PIPE,
        env=server_environment(),
        start_new_session=True,
        text=True,
    ) as process:
        close(terminal)
        assert process.stdout is not None
        assert process.stdout.readline() == "waiting\n"
        close(ours)
        assert process.communicate(timeout=STOP_SECONDS_MAX)[0] == f"{done}\n"


_IN_A_TERMINAL = """\
import fcntl, signal, sys, termios
from simpleindex.serving.hangup import on_hangup

fcntl.ioctl(0, termios.TIOCSCTTY, 0)
if sys.argv[1] == "ignored":
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
on_hangup(lambda: print("reload"), lambda: print("stop"))
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP])
print("waiting", flush=True)
signal.sigwait([signal.SIGHUP])
signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGHUP])
signal.raise_signal(signal.SIGHUP)
"""
