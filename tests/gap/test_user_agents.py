"""What pip and uv tell of their hosts with every request."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpleindex.gap.targets import Installer, Target
from simpleindex.gap.user_agents import target_of_agent
from tests.clients.programs import Terminal, program
from tests.gap.interpreters import MINORS, noted_agents, probed, python_of


def agent(installer: str = "pip/23.0.1", **changed: object) -> str:
    """The User-Agent of a pip on Debian, with changes."""
    told: dict[str, object] = {
        "ci": None,
        "cpu": "x86_64",
        "distro": {
            "id": "bookworm", "libc": {"lib": "glibc", "version": "2.36"},
            "name": "Debian GNU/Linux", "version": "12",
        },
        "implementation": {"name": "CPython", "version": "3.8.18"},
        "installer": {"name": "pip", "version": "23.0.1"},
        "python": "3.8.18",
        "system": {"name": "Linux", "release": "6.1.0"},
    }  # fmt: skip
    return f"{installer} {json.dumps(told | changed)}"


def known(text: str) -> Target:
    target = target_of_agent(text)
    assert target is not None
    return target


@pytest.mark.parametrize("minor", MINORS)
def test_what_a_real_pip_tells_is_what_its_host_is(minor: str, tmp_path: Path) -> None:
    python = python_of(minor)
    with noted_agents() as (url, heard):
        finished = Terminal(tmp_path / "home").run(
            python, "-m", "pip", "download", "--index-url", url, "--dest", tmp_path, "demo"
        )
    assert finished.exit_code != 0  # there is nothing to be had
    host = probed(python)
    told = known(heard[0])
    facts = ("python", "platform", "abi", "installer", "assumed")
    assert [getattr(told, fact) for fact in facts] == [getattr(host, fact) for fact in facts]


def test_what_a_real_uv_tells_is_what_its_host_is(tmp_path: Path) -> None:
    python = python_of("this")
    with noted_agents() as (url, heard):
        Terminal(tmp_path / "home").run(
            program("uv"), "pip", "install", "--python", python, "--target", tmp_path / "t",
            "--index-url", url, "demo",
        )  # fmt: skip
    host, told = probed(python), known(heard[0])
    assert (told.python, told.platform, told.abi) == (host.python, host.platform, host.abi)
    assert told.installer is not None
    assert told.installer.name == "uv"


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"cpu": "AMD64", "distro": None, "system": {"name": "Windows", "release": "10"}},
         "3.8.18-win_amd64"),
        ({"cpu": "x86", "distro": None, "system": {"name": "Windows", "release": "7"}},
         "3.8.18-win32"),
        ({"cpu": "arm64", "distro": {"name": "macOS", "version": "14.5"},
          "system": {"name": "Darwin", "release": "23.5.0"}}, "3.8.18-macosx_14_5_arm64"),
        ({"cpu": "x86_64", "distro": {"name": "macOS", "version": "10.16"},
          "system": {"name": "Darwin", "release": "20.1.0"}}, "3.8.18-macosx_11_0_x86_64"),
        ({"cpu": "aarch64", "distro": {"name": "Alpine Linux", "version": "3.18.4"}},
         "3.8.18-musllinux_1_2_aarch64"),
        ({"distro": {"name": "Alpine Linux", "version": "3.12"}}, "3.8.18-musllinux_1_1_x86_64"),
        ({"distro": {"libc": {"lib": "musl", "version": "1.2"}}}, "3.8.18-musllinux_1_2_x86_64"),
        ({"distro": {"name": "Odd"}}, "3.8.18-linux_x86_64"),
        ({"distro": {"libc": {"lib": "glibc", "version": "2.31-13"}}},
         "3.8.18-manylinux_2_31_x86_64"),
    ],
)  # fmt: skip
def test_other_systems_are_told_apart(changed: dict[str, Any], name: str) -> None:
    target = known(agent(**changed))
    assert target.name == name
    assert ("platform" in target.assumed) is ("Alpine" in str(changed))


def test_the_installer_is_kept_with_its_version() -> None:
    assert known(agent("pip/18.1")).installer == Installer("pip", "18.1")
    assert known(agent("uv/0.9.1")).installer == Installer("uv", "0.9.1")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Mozilla/5.0 (X11; Linux x86_64)",
        "pip/23.0.1",
        "pip/23.0.1 {",
        "pip/23.0.1 []",
        "pip/23.0.1 {}",
        "twine/6.1 " + agent().partition(" ")[2],
        agent(implementation={"name": "PyPy", "version": "7.3.16"}),
        agent(implementation="CPython"),
        agent(implementation={"name": "CPython", "version": "x"}),
        agent(system={"name": "FreeBSD"}),
        agent(cpu="z80"),
        agent(cpu=None),
        agent(distro={"libc": {"lib": "glibc", "version": "new"}}),
        agent(padding="x" * 5000),
        "pip/23.0.1 " + "[" * 3000,
    ],
)
def test_who_tells_no_target_is_none(text: str) -> None:
    assert target_of_agent(text) is None


@given(st.text() | st.text().map(lambda text: f"pip/1.0 {{{text}}}"))
def test_no_user_agent_is_too_odd(text: str) -> None:
    assert target_of_agent(text) is None


def test_a_release_that_is_no_line_of_text_is_left_out() -> None:
    odd = agent(system={"name": "Linux", "release": "6\x1b[31m"})
    assert known(odd).told_markers == ()
