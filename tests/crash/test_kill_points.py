"""`kill -9` in front of every single call by which an upload changes the disk."""

import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

import pytest

from tests.builders import a_wheel
from tests.crash.harness import (
    Client,
    Sent,
    client_of,
    init,
    journal_violations,
    launched,
    restarted,
    violations,
)
from tests.crash.points import ANSWER, COMMIT, calls_of
from tests.server import STOP_SECONDS_MAX

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")

Scenario: TypeAlias = Callable[[Client, str], list[Sent]]
"""Uploads something to an index; the last upload is watched."""


def the_first_file(client: Client, index: str) -> list[Sent]:
    return [client.upload(index, a_wheel("demo"), watched=True)]


def another_release(client: Client, index: str) -> list[Sent]:
    return [
        client.upload(index, a_wheel("demo", "1.0")),
        client.upload(index, a_wheel("demo", "1.1"), watched=True),
    ]


def other_bytes(client: Client, index: str) -> list[Sent]:
    changed = a_wheel("demo", extra_files={"demo/more.py": b"more"})
    return [
        client.upload(index, a_wheel("demo")),
        client.upload(index, changed, watched=True),
    ]


def the_same_bytes_again(client: Client, index: str) -> list[Sent]:
    return [
        client.upload(index, a_wheel("demo")),
        client.upload(index, a_wheel("demo"), watched=True),
    ]


@pytest.mark.parametrize(
    "scenario", [the_first_file, another_release, other_bytes, the_same_bytes_again]
)
def test_no_moment_of_an_upload_is_a_bad_one_to_die(tmp_path: Path, scenario: Scenario) -> None:
    points = points_of(tmp_path / "counted", scenario)
    moments = range(points.index(ANSWER) + 1)
    assert_all_is_watched([points[moment] for moment in moments], scenario)
    assert violations_of_deaths(tmp_path / "data", scenario, points, moments) == []


@pytest.mark.parametrize(
    ("sabotage", "violation"),
    [
        ("rename", "demo-1.0-py3-none-any.whl lies there without a record"),
        ("early-answer", "demo-1.0-py3-none-any.whl was answered with success and is lost"),
    ],
)
def test_a_spoiled_server_dies_badly(tmp_path: Path, sabotage: str, violation: str) -> None:
    points = points_of(tmp_path / "counted", the_first_file, sabotage)
    broken = violations_of_deaths(
        tmp_path / "data", the_first_file, points, [points.index(COMMIT)], sabotage
    )
    assert any(violation in line for line in broken), broken


def points_of(serverdir: Path, scenario: Scenario, sabotage: str | None = None) -> list[str]:
    """What the watched upload does, and what comes after it, if it is let be."""
    init(serverdir)
    file = serverdir.with_name("points")
    with (
        launched(serverdir, sabotage=sabotage, points=file) as server,
        client_of(server) as client,
    ):
        client.make_index("root/dev")
        assert all(each.is_promised for each in scenario(client, "root/dev"))
    return calls_of(file)


def assert_all_is_watched(points: list[str], scenario: Scenario) -> None:
    """A call that the launcher misses would be a moment that nobody tries."""
    expected = {"write", "unlink", ANSWER}
    if scenario is not the_same_bytes_again:
        expected |= {"fsync", "mkdir", "rename", "link", COMMIT}
    assert expected <= set(points)
    if scenario is other_bytes:
        assert points.count(COMMIT) == 2  # the upload's, and that of the removal


def violations_of_deaths(
    serverdir: Path,
    scenario: Scenario,
    points: Sequence[str],
    moments: Sequence[int],
    sabotage: str | None = None,
) -> list[str]:
    """Let a server die in front of each of the points that are named by number.

    One directory lives through all the deaths, and has an index for each.
    """
    init(serverdir)
    broken: list[str] = []
    sent: list[Sent] = []
    everything: list[Sent] = []
    died = "not yet"
    for moment in [*moments, None]:
        passed = serverdir.with_name(f"points-{moment}")
        with (
            restarted(
                serverdir, broken, kill_at=moment, points=passed, sabotage=sabotage
            ) as server,
            client_of(server) as client,
        ):
            found = violations(server, everything if moment is None else sent)
            found += journal_violations(server, everything)
            broken += [f"{line} (killed {died})" for line in found]
            client.make_index(f"root/at-{moment}")
            if moment is not None:
                sent = scenario(client, f"root/at-{moment}")
                everything += sent
                assert server.process.wait(STOP_SECONDS_MAX) == -signal.SIGKILL
                assert calls_of(passed) == points[: moment + 1]
                died = f"before {moment}: {points[moment]}"
    return broken
