"""`list` and `show`: what an index holds, for people and for programs."""

import json
from pathlib import Path

import pytest

from tests.builders import a_wheel, an_egg, an_sdist, core_metadata
from tests.cli.commands import Cli


@pytest.fixture
def filled(cli: Cli, data: Path, wheelhouse: Path) -> Path:
    """demo 1.0, 1.10 (yanked) and an egg; and other, which is archived."""
    summary = core_metadata("demo", "1.10", headers=[("Summary", "a demonstration")])
    for built in (
        a_wheel("demo", "1.0"),
        an_sdist("demo", "1.0"),
        a_wheel("demo", "1.10", metadata=summary),
        an_egg("demo", "0.9"),
        a_wheel("Other", "2.0"),
    ):
        built.save(wheelhouse)
    serverdir = f"--serverdir={data}"
    assert cli("add", "--no-strict-archives", wheelhouse, serverdir).exit_code == 0
    cli.must("yank", "demo", "1.10", "--reason=eats files", serverdir)
    cli.must("archive", "other", "--reason=see demo", serverdir)
    return data


def test_an_index_lists_its_projects(cli: Cli, filled: Path) -> None:
    assert cli.must("list", f"--serverdir={filled}").splitlines() == [
        "demo   1.10  4 files",
        "Other  2.0   1 file   archived",
    ]


def test_a_project_lists_its_files_with_what_is_odd_about_them(cli: Cli, filled: Path) -> None:
    lines = cli.must("list", "Demo", f"--serverdir={filled}").splitlines()
    assert [line.split()[0] for line in lines] == [
        "demo-0.9-py2.7.egg",
        "demo-1.0-py3-none-any.whl",
        "demo-1.0.tar.gz",
        "demo-1.10-py3-none-any.whl",
    ]
    assert lines[0].endswith("  root  odd: egg")
    assert lines[1].endswith("  root")
    assert lines[3].endswith("  root  yanked: eats files")


def test_programs_get_all_of_it(cli: Cli, filled: Path) -> None:
    demo, other = json.loads(cli.must("list", "--json", f"--serverdir={filled}"))
    assert (demo["name"], demo["newest"], demo["files"]) == ("demo", "1.10", 4)
    assert (other["display_name"], other["status"]) == ("Other", "archived")
    files = json.loads(cli.must("list", "demo", "--json", f"--serverdir={filled}"))
    assert [file["yanked"] for file in files] == [None, None, None, "eats files"]
    assert len(files[0]["sha256"]) == 64


def test_the_newest_release_is_shown(cli: Cli, filled: Path) -> None:
    lines = cli.must("show", "demo", f"--serverdir={filled}").splitlines()
    assert lines[:3] == ["demo 1.10 in root/local", "summary: a demonstration", ""]
    assert lines[3].startswith("demo-1.10-py3-none-any.whl")
    assert len(lines) == 4


def test_a_release_is_shown_in_any_spelling_of_its_version(cli: Cli, filled: Path) -> None:
    shown = json.loads(cli.must("show", "demo", "v1.0.0", "--json", f"--serverdir={filled}"))
    assert shown["version"] == "1.0"
    assert [file["filename"] for file in shown["files"]] == [
        "demo-1.0-py3-none-any.whl",
        "demo-1.0.tar.gz",
    ]
    assert shown["fields"]["name"] == "demo"
    assert shown["attachments"] == []


def test_what_is_said_of_a_project_is_shown(cli: Cli, filled: Path) -> None:
    lines = cli.must("show", "other", f"--serverdir={filled}").splitlines()
    assert lines[1] == "The project is archived: see demo"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["list", "none"], "there is no project none in root/local here"),
        (["list", "--index=root/none"], "there is no index root/none here"),
        (["show", "none"], "there is no project none in root/local here"),
        (["show", "demo", "9"], "there is no demo 9 in root/local here"),
        (["list", "--index=none"], "index name 'none': an index is named USER/INDEX"),
    ],
    ids=" ".join,
)
def test_what_is_not_there_is_told_in_one_line(
    cli: Cli, filled: Path, words: list[str], complaint: str
) -> None:
    assert cli(*words, f"--serverdir={filled}").complaint.startswith(complaint)


def test_an_empty_index_lists_nothing(cli: Cli, data: Path) -> None:
    cli.must("index", "create", "root/empty", f"--serverdir={data}")
    assert cli.must("list", "--index=root/empty", f"--serverdir={data}") == ""


@pytest.mark.parametrize("words", [("list",), ("list", "demo"), ("show", "demo")])
def test_what_a_mirror_shows_is_looked_at_otherwise(
    cli: Cli, tmp_path: Path, words: tuple[str, ...]
) -> None:
    cli.init(tmp_path / "data")
    where = (f"--serverdir={tmp_path / 'data'}", "--index=root/pypi")
    assert "it mirrors another index; `why NAME" in cli(*words, *where).complaint
