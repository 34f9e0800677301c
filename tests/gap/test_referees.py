"""What uv and real pips say to the same questions, asked of the same index over HTTP."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from simpleindex.gap.resolving import Kind, Outcome, resolve_all
from simpleindex.gap.source import open_source
from simpleindex.gap.targets import Target, parse_target
from simpleindex.gap.wishes import Wishes, parse_line
from tests.builders import BuiltFile
from tests.clients.programs import Terminal, program
from tests.clients.server_side import add
from tests.gap.corpus import CORPUS, publish
from tests.gap.interpreters import its_pip, probed, python_of
from tests.hostile.upstream import Upstream, running_upstream
from tests.server import running_server

LINES = (
    "colour", "native", "abi3", "modern", "holes", "patchy", "future", "fresh", "fresh>=2.0rc1",
    "only-pre", "dropped", "dropped==2.0", "source-only", "half-source", "broken",
    "deep", "chain-1", "many", "many[fast]", "many[slow]", "circle-a", "app-a", "app-c",
    "plain>2", "nowhere", "win-helper; sys_platform == 'win32'",
)  # fmt: skip
"""All but old-final: where no final release runs on a Python, pip takes a pre-release that nobody
asked for, and uv, which passes over upper bounds, a release that does not run there."""

_EXCLUDING = {"fresh>=2.0rc1", "dropped==2.0", "app-a"}
"""Beside these, others would have to be older, or otherwise chosen."""

UV_PLATFORMS = {
    "manylinux_2_17_x86_64": "x86_64-manylinux2014",
    "manylinux_2_28_x86_64": "x86_64-manylinux_2_28",
    "musllinux_1_2_x86_64": "x86_64-unknown-linux-musl",
    "macosx_13_0_arm64": "aarch64-apple-darwin",
    "win_amd64": "x86_64-pc-windows-msvc",
}

TARGETS = (
    "3.6.15-manylinux_2_17_x86_64", "3.6.15-win_amd64", "3.8.18-manylinux_2_17_x86_64",
    "3.9.18-win_amd64", "3.9.19-manylinux_2_28_x86_64", "3.12.0-win_amd64",
    "3.12.1-manylinux_2_17_x86_64", "3.12.1-manylinux_2_28_x86_64",
    "3.12.1-musllinux_1_2_x86_64", "3.12.1-macosx_13_0_arm64", "3.13.0-win_amd64",
)  # fmt: skip


@pytest.fixture(scope="module")
def index() -> Iterator[Upstream]:
    with running_upstream() as upstream:
        publish(upstream, CORPUS)
        yield upstream


def outcomes(url: str, targets: list[Target], line: str) -> list[Outcome]:
    with open_source(url) as source:
        return resolve_all(targets, Wishes((parse_line(line),)), source)


def pins(outcome: Outcome) -> set[str]:
    return {f"{pick.project}=={pick.version}" for pick in outcome.picks}


@pytest.fixture(scope="module")
def ours(index: Upstream) -> dict[str, list[Outcome]]:
    """By line, for each target."""
    targets = [parse_target(name) for name in TARGETS]
    return {line: outcomes(index.url, targets, line) for line in LINES}


@pytest.mark.parametrize("place", range(len(TARGETS)), ids=TARGETS)
def test_uv_finds_the_same_releases_and_fails_where_we_do(
    place: int, ours: dict[str, list[Outcome]], index: Upstream, tmp_path: Path
) -> None:
    terminal = Terminal(tmp_path / "home")
    python, _, platform = TARGETS[place].partition("-")
    differences = []
    for line in LINES:
        if line == "holes" and python.startswith("3.9."):
            continue  # uv sees the lower bounds of Requires-Python alone; pip, below, does not
        (tmp_path / "wanted.txt").write_text(line)
        finished = terminal.run(
            program("uv"), "pip", "compile", tmp_path / "wanted.txt", "--python-version", python,
            "--python-platform", UV_PLATFORMS[platform], "--only-binary", ":all:", "--no-header",
            "--no-annotate", "--index-url", index.url, "--python", python_of("this"), "--quiet",
            UV_CACHE_DIR=str(tmp_path / "cache"),
        )  # fmt: skip
        theirs = {text for text in finished.output.split() if "==" in text}
        outcome = ours[line][place]
        if (finished.exit_code == 0) != outcome.is_complete or (
            finished.exit_code == 0 and theirs != pins(outcome)
        ):
            differences.append((line, pins(outcome), outcome.verdicts, finished.output))
    assert differences == []


@pytest.mark.parametrize("minor", ["3.6", "3.7", "3.8", "3.9", "3.10", "3.11", "3.12", "3.13"])
def test_what_was_picked_is_all_that_a_real_pip_needs(
    minor: str, index: Upstream, tmp_path: Path
) -> None:
    python = python_of(minor)
    host = probed(python)
    wishes = Wishes(tuple(parse_line(line) for line in LINES if line not in _EXCLUDING))
    with open_source(index.url) as source:
        (outcome,) = resolve_all([host], wishes, source)
    names = {pick.file.filename for pick in outcome.picks}
    too_new = {pick.project for pick in outcome.picks if pick.pip_needed is not None}
    assert bool(too_new) is (minor == "3.6")  # it came with pip 18.1
    met = [verdict.line for verdict in outcome.verdicts if verdict.kind is Kind.MET]
    lines = [line.text for line in met if line.text not in {"many[fast]", *too_new}]
    with running_upstream() as inside:
        publish(inside, [each for each in CORPUS if each.built.filename in names])
        pip_install: list[str | Path] = [
            python, its_pip(python) / "pip", "install", "--index-url", inside.url, "--no-compile",
        ]  # fmt: skip
        terminal = Terminal(tmp_path / "home")
        terminal.must(*pip_install, "--target", tmp_path / "installed", *lines)
        for project in too_new:
            assert terminal.run(*pip_install, "--target", tmp_path / "no", project).exit_code != 0
    for line in lines:
        folder = Requirement(line).name.replace("-", "_")
        assert list((tmp_path / "installed").glob(f"{folder}-*.dist-info"))


def test_where_we_say_no_a_real_pip_finds_nothing_in_the_whole_index_either(
    index: Upstream, tmp_path: Path
) -> None:
    python = python_of("3.9")
    host = probed(python)
    terminal = Terminal(tmp_path / "home")
    unmet = []
    for line in LINES:
        (outcome,) = outcomes(index.url, [host], line)
        if outcome.verdicts[0].kind is Kind.UNMET:
            unmet.append(line)
            finished = terminal.run(
                python, its_pip(python) / "pip", "download", "--only-binary", ":all:",
                "--index-url", index.url, "--dest", tmp_path / "files", line,
            )  # fmt: skip
            assert finished.exit_code != 0, (line, finished.output)
    assert {"future", "source-only", "broken", "chain-1", "many[slow]", "nowhere"} <= set(unmet)


def test_an_index_of_ours_leads_to_the_same_files(tmp_path: Path) -> None:
    offers = [each for each in CORPUS if not each.yanked and each.project != "from-url"]
    files: list[BuiltFile] = [each.built for each in offers]
    folder = tmp_path / "wheels"
    folder.mkdir()
    for file in files:
        file.save(folder)
    targets = [parse_target(name) for name in TARGETS]
    with running_upstream() as upstream:
        publish(upstream, offers)
        expected = [list(map(pins, outcomes(upstream.url, targets, line))) for line in LINES]
    with running_server(tmp_path / "data") as server:
        add(server, folder)
        url = f"{server.url}/root/local/+simple/"
        assert [list(map(pins, outcomes(url, targets, line))) for line in LINES] == expected
