"""What real installers look for in vain stands in the request of the site afterwards."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from simpleindex.gap.learned import by_name, read_learned
from simpleindex.gap.request import Request, parse_request
from simpleindex.gap.targets import Target
from tests.builders import BuiltFile, a_wheel
from tests.clients.programs import Terminal, program
from tests.clients.server_side import add, run_verb
from tests.gap.interpreters import its_pip, probed, python_of
from tests.server import RunningServer, running_server

MODERN = a_wheel("modern", "1.0", tag="cp39-cp39-win_amd64")
"""No host of this machine can use it."""
NEEDY = a_wheel("needy", "1.0", requires_dist=["not-here>=2"])


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    with running_server(tmp_path / "data") as running:
        folder = tmp_path / "wheels"
        folder.mkdir()
        built: tuple[BuiltFile, ...] = (MODERN, NEEDY, a_wheel("plain", "1.0"))
        for each in built:
            each.save(folder)
        add(running, folder)
        yield running


def request_of(server: RunningServer) -> Request:
    """The request of a site whose server has come to its end."""
    assert server.stop() == 0
    text = run_verb("request", f"--serverdir={server.serverdir}")
    return parse_request(text.encode(), "request")


def facts(target: Target) -> tuple[str, ...]:
    return target.python, str(target.platform), target.abi, str(target.installer)


@pytest.mark.parametrize(
    "minor",
    ["3.6", *(pytest.param(minor, marks=pytest.mark.full) for minor in ("3.8", "3.10", "3.13"))],
)
def test_what_a_pip_did_not_find_is_in_the_request_with_its_target(
    minor: str, server: RunningServer, tmp_path: Path
) -> None:
    python = python_of(minor)
    terminal = Terminal(tmp_path / "home")
    pip_install: list[str | Path] = [
        python, its_pip(python) / "pip", "install", "--index-url",
        f"{server.url}/root/local/+simple/", "--no-compile", "--target", tmp_path / "installed",
    ]  # fmt: skip
    terminal.must(*pip_install, "plain")
    for line in ("Flask_Login", "modern", "needy"):
        assert terminal.run(*pip_install, line).exit_code != 0
    request = request_of(server)
    asked = {each.requirement: each.why for each in request.maybe}
    assert set(asked) == {"flask-login", "modern"}
    assert asked["modern"].startswith("no usable file; asked ")
    assert asked["flask-login"].startswith("not here; asked ")
    host = probed(python)
    assert all(why.endswith(f", by {host.name}") for why in asked.values())
    assert [facts(target) for target in request.targets] == [facts(host)]
    assert [each.requirement for each in request.wanted] == ["not-here>=2"]


def test_what_uv_did_not_find_is_in_the_request_too(server: RunningServer, tmp_path: Path) -> None:
    python = python_of("this")
    terminal = Terminal(tmp_path / "home")
    for line in ("Flask_Login", "modern", "plain"):
        finished = terminal.run(
            program("uv"), "pip", "install", "--python", python, "--target", tmp_path / "installed",
            "--index-url", f"{server.url}/root/local/+simple/", line,
            UV_CACHE_DIR=str(tmp_path / "cache"),
        )  # fmt: skip
        assert (finished.exit_code == 0) is (line == "plain"), finished.output
    request = request_of(server)
    assert {each.requirement for each in request.maybe} == {"flask-login", "modern"}
    ((target, _),) = by_name(read_learned(server.serverdir))
    host = probed(python)
    assert facts(target)[:3] == facts(host)[:3]
    assert target.installer is not None
    assert target.installer.name == "uv"


def test_a_request_can_be_made_while_the_server_runs(server: RunningServer, tmp_path: Path) -> None:
    run_verb("request", "--want=django", f"--serverdir={server.serverdir}")
    out = tmp_path / "request.txt"
    run_verb("request", "-o", str(out), f"--serverdir={server.serverdir}")
    assert [each.requirement for each in parse_request(out.read_bytes(), "r").wanted] == ["django"]
