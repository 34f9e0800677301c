"""A start that tidies up after a crash, a stop, and `init`: killed and failing at every call."""

import errno
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

import pytest

from tests.builders import a_wheel
from tests.crash.harness import (
    PASSWORD,
    Client,
    Sent,
    client_of,
    init,
    launched,
    restarted,
    violations,
)
from tests.crash.leavings import journal_gaps, left_behind
from tests.crash.shim import FAILING, LASTING, Shim, a_shim
from tests.crash.tally import Harm, Tally, tally_of
from tests.server import STOP_SECONDS_MAX, server_environment

INDEX = "root/dev"
START_SECONDS_MAX = 30.0
OLD, NEW = a_wheel(), a_wheel(extra_files={"demo/more.py": b"more"})

WAYS = [
    *(pytest.param(error, False, id=errno.errorcode[error]) for error in FAILING),
    *(pytest.param(error, True, id=f"{errno.errorcode[error]} for good") for error in LASTING),
]


@pytest.fixture(scope="module")
def crashed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory whose server died just before a commit: drafts, bytes and lines are left."""
    serverdir = tmp_path_factory.mktemp("crashed") / "data"
    init(serverdir)
    with (
        a_shim(serverdir) as shim,
        launched(serverdir, shim=shim) as server,
        client_of(server) as client,
    ):
        client.make_index(INDEX)
        assert client.upload(INDEX, OLD).is_promised
        assert client.upload(INDEX, a_wheel("other")).is_promised
        client.ask("DELETE", f"/{INDEX}/other", None, {})
        shim.kill_at(10**6)
        assert client.upload(INDEX, a_wheel("counted")).is_promised
        commit = next(number for number, call in enumerate(shim.calls()) if "sqlite-wal" in call)
        shim.kill_at(commit)
        assert client.upload(INDEX, NEW).status is None
        assert server.process.wait(STOP_SECONDS_MAX) == -signal.SIGKILL
    assert list((serverdir / "incoming").glob("*/*/*"))
    return serverdir


@contextmanager
def a_copy(original: Path, folder: Path) -> Iterator[Path]:
    serverdir = folder / "data"
    shutil.copytree(original, serverdir)
    yield serverdir
    shutil.rmtree(serverdir)


def a_start(serverdir: Path, shim: Shim) -> subprocess.Popen[str]:
    """A server that may not come to listen; its stdout ends with it."""
    words = ["serve", f"--serverdir={serverdir}", "--port=0", "--no-access-log"]
    return subprocess.Popen(
        [sys.executable, "-m", "simpleindex", *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=shim.environment(),
        text=True,
    )


def outcome_of(process: subprocess.Popen[str], shim: Shim) -> tuple[bool, int, str]:
    """Whether it came to listen, its exit code, and what it wrote to stderr."""
    assert process.stdout is not None
    listens = process.stdout.readline() != ""
    shim.disarm()
    if listens:
        process.terminate()
    try:
        _, told = process.communicate(timeout=START_SECONDS_MAX)
    finally:
        process.kill()
        process.wait()
    return listens, process.returncode, told


def judge(serverdir: Path, tally: Tally, call: str, *more: Sent) -> None:
    """Start once more, in peace: all is there, `more` too, and it works."""
    broken: list[str] = []
    with restarted(serverdir, broken) as server, client_of(server) as client:
        tally.add(Harm.WEDGED, broken, call)
        tally.add(Harm.LEFT_OVER, left_behind(server), call)
        sent = [Sent(INDEX, OLD, 200), Sent(INDEX, a_wheel("counted"), 200)]
        found = violations(server, [*sent, Sent(INDEX, NEW, None), *more])
        tally.add(Harm.LOST, found, call)
        tally.add(Harm.HALF_VISIBLE, journal_gaps(serverdir, client.serial()), call)
        works(client, tally, call)


def works(client: Client, tally: Tally, call: str) -> None:
    answer = client.upload(INDEX, a_wheel("afterwards"))
    if not answer.is_promised:
        tally.add(Harm.WEDGED, [f"afterwards an upload got {answer.status}"], call)


def choose(numbers: Sequence[int] | None) -> Iterator[int]:
    return count() if numbers is None else iter([*numbers, 10**6])


def kill_starts(crashed: Path, folder: Path, numbers: Sequence[int] | None = None) -> Tally:
    tally = tally_of("start after a crash")
    for number in choose(numbers):
        with a_copy(crashed, folder) as serverdir, a_shim(serverdir) as shim:
            shim.kill_at(number)
            listens, code, told = outcome_of(a_start(serverdir, shim), shim)
            if not shim.has_hit:
                tally.points += shim.passed
                assert listens, told
                return tally
            assert code == -signal.SIGKILL
            tally.kills += 1
            judge(serverdir, tally, f"killed at {number}: {shim.calls()[number]}")
    raise AssertionError("it never came to an end")


def fail_starts(
    crashed: Path,
    folder: Path,
    error: int,
    *,
    for_good: bool,
    numbers: Sequence[int] | None = None,
) -> Tally:
    tally = tally_of("start after a crash")
    for number in choose(numbers):
        with a_copy(crashed, folder) as serverdir, a_shim(serverdir) as shim:
            shim.fail(error, number, for_good=for_good)
            listens, code, told = outcome_of(a_start(serverdir, shim), shim)
            if not shim.has_hit:
                tally.points += shim.passed
                assert listens, told
                return tally
            tally.failures += 1
            call = f"{errno.errorcode[error]} at {number}: {shim.calls()[number]}"
            if not listens:
                lines = [line for line in told.splitlines() if line]
                if code != 1 or len(lines) != 1 or "Traceback" in told:
                    tally.add(Harm.WEDGED, [f"it ended with {code} and told: {told[-400:]}"], call)
                if for_good and error == errno.ENOSPC:
                    tally.add(Harm.WEDGED, [f"it does not start on a full disk: {told}"], call)
            judge(serverdir, tally, call)
    raise AssertionError("it never came to an end")


@pytest.mark.full
def test_no_moment_of_a_start_is_a_bad_one_to_die(crashed: Path, tmp_path: Path) -> None:
    assert kill_starts(crashed, tmp_path).lines() == []


@pytest.mark.full
@pytest.mark.parametrize(("error", "for_good"), WAYS)
def test_no_call_of_a_start_is_a_bad_one_to_fail(
    crashed: Path, tmp_path: Path, error: int, for_good: bool
) -> None:
    assert fail_starts(crashed, tmp_path, error, for_good=for_good).lines() == []


def test_some_moments_of_a_start_to_die_and_to_fail(crashed: Path, tmp_path: Path) -> None:
    assert kill_starts(crashed, tmp_path, range(0, 60, 12)).lines() == []
    assert fail_starts(crashed, tmp_path, errno.ENOSPC, for_good=True, numbers=[0]).lines() == []


@pytest.mark.full
def test_no_moment_of_a_stop_is_a_bad_one_to_die(crashed: Path, tmp_path: Path) -> None:
    tally = tally_of("stop")
    for number in count():
        with a_copy(crashed, tmp_path) as serverdir, a_shim(serverdir) as shim:
            with launched(serverdir, shim=shim) as server, client_of(server) as client:
                assert client.upload(INDEX, a_wheel("afterwards")).is_promised
                shim.kill_at(number)
                server.process.terminate()
                server.process.wait(STOP_SECONDS_MAX)
                shim.disarm()
            if not shim.has_hit:
                tally.points += shim.passed
                break
            tally.kills += 1
            stored = Sent(INDEX, a_wheel("afterwards"), 200)
            judge(serverdir, tally, f"killed at {number}: {shim.calls()[number]}", stored)
    assert tally.lines() == []


@pytest.mark.full
@pytest.mark.parametrize("error", [None, *FAILING])
def test_init_can_be_done_again_whatever_ended_it(tmp_path: Path, error: int | None) -> None:
    tally = tally_of("init")
    for number in count():
        serverdir = tmp_path / f"data-{number}"
        command = [
            sys.executable, "-m", "simpleindex", "init", f"--serverdir={serverdir}",
            f"--root-passwd={PASSWORD}",
        ]  # fmt: skip
        with a_shim(serverdir) as shim:
            if error is None:
                shim.kill_at(number)
            else:
                shim.fail(error, number)
            ended = subprocess.run(
                command, env=shim.environment(), capture_output=True, text=True, check=False
            )
            shim.disarm()
            if not shim.has_hit:
                assert ended.returncode == 0, ended.stderr
                tally.points += shim.passed
                break
            call = f"{shim.calls()[number]} ({error or 'killed'})"
        if error is None:
            tally.kills += 1
        else:
            tally.failures += 1
            if "Traceback" in ended.stderr:
                tally.add(Harm.WEDGED, [ended.stderr[-500:]], call)
        again = subprocess.run(
            command, env=server_environment(), capture_output=True, text=True, check=False
        )
        if again.returncode != 0 and "is a server directory already" not in again.stderr:
            tally.add(Harm.WEDGED, [f"init again: {again.stderr}"], call)
        with suppress(AssertionError), launched(serverdir) as server, client_of(server) as client:
            if not client.upload("root/local", OLD).is_promised:
                tally.add(Harm.WEDGED, ["it takes no upload"], call)
            tally.add(Harm.LEFT_OVER, left_behind(server), call)
            continue
        tally.add(Harm.WEDGED, ["it does not start"], call)
    assert tally.lines() == []
