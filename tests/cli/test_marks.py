"""`yank` and its kin: what they mark, and what they say."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from simpleindex_storage.model import DistFile, Project
from simpleindex_storage.names import IndexName, parse_project_name
from tests.builders import a_wheel
from tests.cli.commands import Cli
from tests.cli.directories import catalog_of

LOCAL, DEMO = IndexName("root/local"), parse_project_name("demo")


@pytest.fixture
def filled(cli: Cli, data: Path, wheelhouse: Path) -> Path:
    a_wheel("demo").save(wheelhouse)
    cli.must("add", wheelhouse, f"--serverdir={data}")
    return data


def demo(data: Path) -> tuple[Project, Sequence[DistFile]]:
    with catalog_of(data) as seen:
        project = seen.project(LOCAL, DEMO)
        assert project is not None
        return project, seen.files(LOCAL, DEMO)


def test_a_release_is_yanked_and_unyanked(cli: Cli, filled: Path) -> None:
    out = cli.must("yank", "Demo", "1.0.0", "--reason=broken", f"--serverdir={filled}")
    assert out == "root/local: demo 1.0.0 yanked (1 file)\n"
    assert [file.yanked for file in demo(filled)[1]] == ["broken"]
    out = cli.must("unyank", "demo", "1.0", f"--serverdir={filled}")
    assert out == "root/local: demo 1.0 unyanked (1 file)\n"
    assert [file.yanked for file in demo(filled)[1]] == [None]


@pytest.mark.parametrize(
    ("verb", "status"),
    [("archive", "archived"), ("deprecate", "deprecated"), ("quarantine", "quarantined")],
)
def test_a_project_is_marked_and_activated(cli: Cli, filled: Path, verb: str, status: str) -> None:
    out = cli.must(verb, "demo", "--reason=see art", f"--serverdir={filled}")
    assert out == f"root/local: demo is {status} now\n"
    assert (demo(filled)[0].status, demo(filled)[0].status_reason) == (status, "see art")
    cli.must("activate", "demo", f"--serverdir={filled}")
    assert (demo(filled)[0].status, demo(filled)[0].status_reason) == ("active", None)


def test_programs_are_told_what_was_marked(cli: Cli, filled: Path) -> None:
    out = cli.must("yank", "demo", "1.0", "--json", f"--serverdir={filled}")
    assert json.loads(out) == {
        "index": "root/local", "project": "demo", "version": "1.0", "yanked": True, "files": 1,
    }  # fmt: skip
    out = cli.must("archive", "demo", "--reason=old", "--json", f"--serverdir={filled}")
    assert json.loads(out)["status"] == "archived"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["yank", "demo", "9.9"], "there is no demo 9.9 in root/local here"),
        (["yank", "none", "1.0"], "there is no none 1.0 in root/local here"),
        (["yank", "demo", "one"], "version 'one': it is not a version as PEP 440 defines them"),
        (["yank", "demo", "1.0", "--reason=a\nb"], "reason: it is one line of 500 characters"),
        (["archive", "none"], "there is no project none in root/local here"),
        (["archive", "demo", "--index=root/none"], "there is no project demo in root/none here"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_not_there_is_told_in_one_line(
    cli: Cli, filled: Path, words: list[str], complaint: str
) -> None:
    assert cli(*words, f"--serverdir={filled}").complaint.startswith(complaint)
