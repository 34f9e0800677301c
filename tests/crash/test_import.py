"""`add` of a folder, killed and failing at every call: each file is taken whole, or not at all."""

import errno
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest

from tests.builders import a_wheel
from tests.crash.harness import Client, Sent, client_of, init, restarted, violations
from tests.crash.leavings import journal_gaps, left_behind
from tests.crash.shim import CHANGES, FAILING, LASTING, Shim, a_shim
from tests.crash.tally import Harm, Tally, tally_of
from tests.crash.trying import one_of_each_kind
from tests.server import RunningServer

BUILT = (a_wheel(), a_wheel(version="2.0"), a_wheel("other"))

WAYS = [
    *(pytest.param(error, False, id=errno.errorcode[error]) for error in FAILING),
    *(pytest.param(error, True, id=f"{errno.errorcode[error]} for good") for error in LASTING),
]


@contextmanager
def a_folder(folder: Path) -> Iterator[tuple[Path, Path, Shim]]:
    """A server directory, a folder with packages, and a shim."""
    serverdir, packages = folder / "data", folder / "packages"
    packages.mkdir()
    for built in BUILT:
        built.save(packages)
    init(serverdir)
    with a_shim(serverdir) as shim:
        yield serverdir, packages, shim


def add(
    serverdir: Path, packages: Path, index: str, shim: Shim
) -> "subprocess.CompletedProcess[str]":
    words = ["add", str(packages), f"--serverdir={serverdir}", f"--index={index}"]
    command = [sys.executable, "-m", "simpleindex", *words]
    return subprocess.run(
        command, env=shim.environment(), capture_output=True, text=True, check=False
    )


def sent_to(index: str, *, is_done: bool) -> list[Sent]:
    return [Sent(index, built, 200 if is_done else None) for built in BUILT]


def judge(
    server: RunningServer, client: Client, index: str, tally: Tally, call: str, *, is_done: bool
) -> None:
    tally.add(Harm.LEFT_OVER, left_behind(server), call)
    tally.add(Harm.HALF_VISIBLE, violations(server, sent_to(index, is_done=is_done)), call)
    tally.add(Harm.HALF_VISIBLE, journal_gaps(server.serverdir, client.serial()), call)


def kill_adds(folder: Path, *, some: bool) -> Tally:
    """Each time, a server is started afterwards, and the same folder is added again beside it."""
    tally = tally_of("add a folder")
    with a_folder(folder) as (serverdir, packages, shim):
        with restarted(serverdir, []) as server, client_of(server) as client:
            client.make_index("root/counted")
        shim.count(CHANGES)
        assert add(serverdir, packages, "root/counted", shim).returncode == 0
        shim.disarm()
        calls = shim.calls()
        numbers: Sequence[int] = one_of_each_kind(calls)[::6] if some else range(len(calls) + 100)
        for number in numbers:
            index, broken = f"root/kill-{number}", list[str]()
            with restarted(serverdir, broken) as server, client_of(server) as client:
                client.make_index(index)
            shim.kill_at(number)
            ended = add(serverdir, packages, index, shim)
            shim.disarm()
            if not shim.has_hit:
                tally.points += shim.passed
                assert ended.returncode == 0, ended.stderr
                break
            assert ended.returncode == -signal.SIGKILL
            tally.kills += 1
            call = f"killed at {number}: {calls[number] if number < len(calls) else ''}"
            with restarted(serverdir, broken) as server, client_of(server) as client:
                tally.add(Harm.WEDGED, broken, call)
                judge(server, client, index, tally, call, is_done=False)
                again = add(serverdir, packages, index, shim)
                if again.returncode != 0:
                    tally.add(Harm.WEDGED, [f"the same again: {again.stderr}"], call)
                judge(server, client, index, tally, call, is_done=True)
    return tally


def test_some_moments_of_an_import_to_die(tmp_path: Path) -> None:
    tally = kill_adds(tmp_path, some=True)
    assert tally.lines() == []
    assert tally.kills > 0


@pytest.mark.full
def test_no_moment_of_an_import_is_a_bad_one_to_die(tmp_path: Path) -> None:
    assert kill_adds(tmp_path, some=False).lines() == []


@pytest.mark.full
@pytest.mark.parametrize(("error", "for_good"), WAYS)
def test_no_call_of_an_import_is_a_bad_one_to_fail(
    tmp_path: Path, error: int, for_good: bool
) -> None:
    tally = tally_of("add a folder")
    with (
        a_folder(tmp_path) as (serverdir, packages, shim),
        restarted(serverdir, []) as server,
        client_of(server) as client,
    ):
        for number in count():
            index = f"root/fail-{number}"
            client.make_index(index)
            shim.fail(error, number, for_good=for_good)
            ended = add(serverdir, packages, index, shim)
            shim.disarm()
            if not shim.has_hit:
                tally.points += shim.passed
                assert ended.returncode == 0, ended.stderr
                break
            tally.failures += 1
            call = f"{errno.errorcode[error]} at {number}: {shim.calls()[number]}"
            if ended.returncode not in (0, 1) or "Traceback" in ended.stderr:
                tally.add(Harm.WEDGED, [f"{ended.returncode} {ended.stderr[-400:]}"], call)
            again = add(serverdir, packages, index, shim)
            if again.returncode != 0:
                tally.add(Harm.WEDGED, [f"the same again: {again.stderr[-400:]}"], call)
            found = violations(server, sent_to(index, is_done=True))
            tally.add(Harm.HALF_VISIBLE, found, call)
        tally.add(Harm.LEFT_OVER, left_behind(server))
    assert tally.lines() == []
