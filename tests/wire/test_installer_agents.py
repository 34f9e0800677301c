"""What is kept of the User-Agents of installers."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpleindex.gap.targets import with_markers
from simpleindex.gap.user_agents import target_of_agent
from simpleindex.wire.installer_agents import kind_of_host
from tests.gap.test_user_agents import agent


@pytest.mark.parametrize(
    "text",
    [
        agent("pip/18.1"),
        agent("uv/0.9.1"),
        agent(cpu="AMD64", distro=None, system={"name": "Windows", "release": "10"}),
        agent(distro={"name": "Alpine Linux", "version": "3.18.4"}),
        agent(distro={"name": "macOS", "version": "14.5"}, system={"name": "Darwin"}, cpu="arm64"),
    ],
)
def test_what_is_kept_tells_the_same_target_but_for_its_kernel(text: str) -> None:
    kept, target = kind_of_host(text.encode()), target_of_agent(text)
    assert kept is not None
    assert target is not None
    assert target_of_agent(kept) == with_markers(target, {})
    assert len(kept) < 400


def test_hosts_that_differ_in_nothing_that_matters_are_one_kind() -> None:
    changes: list[dict[str, Any]] = [
        {},
        {"system": {"name": "Linux", "release": "5.4.0-office"}},
        {"openssl_version": "OpenSSL 3.0", "ci": True, "setuptools_version": "70"},
        {"user_data": "host-17"},
    ]
    assert len({kind_of_host(agent(**change).encode()) for change in changes}) == 1
    assert kind_of_host(agent("pip/18.1").encode()) != kind_of_host(agent().encode())


@pytest.mark.parametrize(
    "text",
    ["", "Mozilla/5.0", "pip/23.0", "pip/23.0 {", "pip/23.0 []", "twine/6.1 {}",
     agent(padding="x" * 5000), "pip/23.0 " + "[" * 3000],
)  # fmt: skip
def test_others_tell_nothing(text: str) -> None:
    assert kind_of_host(text.encode()) is None


def test_texts_that_no_installer_says_are_left_out() -> None:
    odd = agent(cpu="x" * 100, system={"name": "a\nb"}, distro={"name": ["x"], "version": "\u00e9"})
    kept = kind_of_host(odd.encode())
    assert kept is not None
    told = json.loads(kept.partition(" ")[2])
    assert told["cpu"] == ""
    assert told["system"] == {"name": ""}
    assert told["distro"] == {
        "name": "", "version": "", "libc": {"lib": "", "version": ""},
    }  # fmt: skip


@given(st.binary() | st.text().map(lambda text: f"uv/1.0 {{{text}}}".encode()))
def test_no_user_agent_is_too_odd(sent: bytes) -> None:
    kept = kind_of_host(sent)
    assert kept is None or kind_of_host(kept.encode()) == kept
