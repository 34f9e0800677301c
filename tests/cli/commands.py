"""Call the command line, and look at what it did."""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from simpleindex.cli import main
from tests.server import server_environment, simpleindex

RUN_SECONDS_MAX = 60.0
ROOT_PASSWORD = "a-password-of-the-tests"


@dataclass(frozen=True, slots=True)
class Called:
    """A command that has come to its end."""

    exit_code: int
    out: str
    err: str

    @property
    def complaint(self) -> str:
        """The one line that says why nothing was done. Fails for anything but that."""
        assert self.exit_code == 1, self
        assert self.out == "", self
        (line,) = self.err.splitlines()
        told, _, text = line.partition("simpleindex-server: ")
        assert told == "" and text, self
        return text


@dataclass(frozen=True, slots=True)
class Cli:
    """The command line, called in this process."""

    capsys: pytest.CaptureFixture[str]

    def __call__(self, *arguments: str | Path) -> Called:
        self.capsys.readouterr()
        exit_code = main([str(argument) for argument in arguments])
        out, err = self.capsys.readouterr()
        return Called(exit_code, out, err)

    def must(self, *arguments: str | Path) -> str:
        """Call a command that has to succeed without a complaint; what it printed."""
        called = self(*arguments)
        assert (called.exit_code, called.err) == (0, ""), called
        return called.out

    def init(self, serverdir: Path) -> None:
        """Make a server directory whose root has ROOT_PASSWORD."""
        self.must("init", f"--serverdir={serverdir}", f"--root-passwd={ROOT_PASSWORD}")


def run(*arguments: str | Path, stdin: str = "", **variables: str) -> Called:
    """The command line in a process of its own."""
    return run_program(simpleindex(*map(str, arguments)), stdin=stdin, **variables)


def run_program(command: list[str], *, stdin: str = "", **variables: str) -> Called:
    """Any program that ends by itself, in the environment of a server."""
    finished = subprocess.run(
        command,
        check=False,
        input=stdin,
        capture_output=True,
        env=server_environment(**variables),
        text=True,
        timeout=RUN_SECONDS_MAX,
    )
    return Called(finished.returncode, finished.stdout, finished.stderr)


def run_as_nobody(*arguments: str | Path) -> Called:
    """The command line as a user who owns nothing. Only root can call it so."""
    return run_program([sys.executable, "-c", _AS_NOBODY, *map(str, arguments)])


def run_on_read_only_disk(folder: Path, *arguments: str | Path) -> Called:
    """The command line where nothing below `folder` can be changed, by root neither.

    The folder is mounted over itself, in a namespace that ends with the command. Skips the test
    where that is not allowed.
    """
    remount = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && "$@"'
    alone = ["unshare", "--map-root-user", "--mount", "sh", "-c", remount, str(folder)]
    if shutil.which("unshare") is None or run_program([*alone, "true"]).exit_code != 0:
        pytest.skip("nothing can be mounted here: no `unshare`, or no right to use it")
    assert run_program([*alone, "test", "-w", str(folder)]).exit_code == 1
    return run_program([*alone, *simpleindex(*map(str, arguments))])


def listing(folder: Path) -> Mapping[str, str]:
    """Everything below a folder: its kind and rights, and a digest of each file's bytes."""
    return {
        str(path.relative_to(folder)): f"{path.lstat().st_mode:o} {_digest(path)}"
        for path in sorted(folder.rglob("*"))
    }


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


# The verbs are loaded first: the source tree and Python may lie where nobody can look.
_AS_NOBODY = """\
import os, pwd, sys
import simpleindex.cli.add, simpleindex.cli.init, simpleindex.cli.passwd, simpleindex.cli.serve
os.setgroups([]), os.setgid(65534), os.setuid(65534)
sys.exit(simpleindex.cli.main(sys.argv[1:]))
"""
