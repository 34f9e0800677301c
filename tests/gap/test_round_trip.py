"""Installs that fail inside, a bundle of what the site asks for, and the same installs again."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from simpleindex.gap.request import parse_request
from simpleindex.gap.targets import Target
from tests.clients.programs import Terminal, program
from tests.clients.server_side import run_verb
from tests.gap.corpus import CORPUS, offer, publish
from tests.gap.interpreters import its_pip, probed, python_of
from tests.hostile.upstream import Upstream, running_upstream
from tests.server import RunningServer, running_server

TOOLS = (
    offer("pip", "21.3.1", python=">=3.6,<3.10"), offer("pip", "26.3", python=">=3.10"),
    offer("setuptools", "59.6.0"), offer("wheel", "0.37.1"),
)  # fmt: skip

Install = Callable[[RunningServer, str, Path], bool]
"""Install a line from a server into a folder; whether that went well."""


def with_pip(minor: str) -> Install:
    def install(server: RunningServer, line: str, folder: Path) -> bool:
        python = python_of(minor)
        finished = Terminal(folder).run(
            python, its_pip(python) / "pip", "install", "--index-url",
            f"{server.url}/root/local/+simple/", "--no-compile", "--target", folder / minor, line,
        )  # fmt: skip
        return finished.exit_code == 0

    return install


def with_uv(server: RunningServer, line: str, folder: Path) -> bool:
    finished = Terminal(folder).run(
        program("uv"), "pip", "install", "--python", python_of("this"), "--target", folder / "uv",
        "--index-url", f"{server.url}/root/local/+simple/", line,
        UV_CACHE_DIR=str(folder / "uv-cache"),
    )  # fmt: skip
    return finished.exit_code == 0


INSTALLS: dict[str, Install] = {"3.6": with_pip("3.6"), "3.13": with_pip("3.13"), "this": with_uv}
"""By the Python: pip 18.1, a newer pip, and uv."""


@pytest.fixture(scope="module")
def outside() -> Iterator[Upstream]:
    with running_upstream() as upstream:
        publish(upstream, (*CORPUS, *TOOLS))
        yield upstream


def test_what_failed_inside_goes_once_what_was_asked_for_is_there(
    outside: Upstream, tmp_path: Path
) -> None:
    data, request, bundle = tmp_path / "data", tmp_path / "r.txt", tmp_path / "b.pkgbundle.zip"
    where = f"--serverdir={data}"
    with running_server(data) as server:
        for install in INSTALLS.values():
            assert not install(server, "colour", tmp_path)
        assert server.stop() == 0
    listed = run_verb("request", "--list", where)
    assert listed.startswith("maybe  colour  not here; asked ")
    assert len(listed.splitlines()) == 1
    run_verb("request", "--accept=colour", "-o", str(request), where)
    asked = {target.python for target in parse_request(request.read_bytes(), "r.txt").targets}
    assert asked == {target.python for target in hosts()}
    run_verb(
        "bundle", "create", f"--request={request}", f"--index-url={outside.url}",
        "-o", str(bundle), f"--cache={tmp_path / 'cache'}", where,
    )  # fmt: skip
    with running_server(data) as server:
        run_verb("bundle", "import", str(bundle), where)
        for install in INSTALLS.values():
            assert install(server, "colour", tmp_path)
        assert run_verb("request", "--list", where).startswith("clients asked for nothing")
        told = run_verb("doctor", "--targets", where)  # for what the bundle was made for
        assert told.endswith("3 targets, none with something that cannot be installed\n")


def hosts() -> list[Target]:
    """The targets that the installs are on."""
    return [probed(python_of(minor)) for minor in INSTALLS]
