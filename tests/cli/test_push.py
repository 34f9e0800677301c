"""`push`: from one index into another, all or nothing."""

import json
from pathlib import Path

import pytest

from tests.builders import a_wheel, an_sdist
from tests.cli.commands import Cli
from tests.cli.directories import make_index, stored

WHEEL, SDIST = a_wheel("demo", "1.0"), an_sdist("demo", "1.0")


@pytest.fixture
def filled(cli: Cli, data: Path, wheelhouse: Path) -> Path:
    make_index(data, "root/prod", volatile=False)
    for built in (WHEEL, SDIST, a_wheel("demo", "2.0")):
        built.save(wheelhouse)
    cli.must("add", wheelhouse, f"--serverdir={data}")
    return data


def test_a_release_is_pushed_and_takes_no_more_room(cli: Cli, filled: Path) -> None:
    lines = cli.must("push", "Demo", "1.0", "root/prod", f"--serverdir={filled}").splitlines()
    assert lines[0] == "register demo 1.0 -> root/prod"
    assert len(lines) == 3
    assert set(stored(filled, "root/prod")) == {WHEEL.filename, SDIST.filename}
    first, second = (filled / "files").rglob(WHEEL.filename)
    assert first.samefile(second)


def test_programs_are_told_each_step(cli: Cli, filled: Path) -> None:
    out = cli.must("push", "demo", "2.0", "root/prod", "--json", f"--serverdir={filled}")
    assert json.loads(out)[0] == [200, "register", "demo", "2.0", "->", "root/prod"]


def test_other_bytes_under_a_taken_name_keep_all_away(
    cli: Cli, filled: Path, wheelhouse: Path
) -> None:
    changed = a_wheel("demo", "1.0", requires_python=">=3").save(wheelhouse)
    cli.must("add", changed, "--index=root/prod", f"--serverdir={filled}")
    complaint = cli("push", "demo", "1.0", "root/prod", f"--serverdir={filled}").complaint
    assert complaint.startswith("File already exists: demo-1.0-py3-none-any.whl")
    assert set(stored(filled, "root/prod")) == {WHEEL.filename}


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["demo", "9", "root/prod"], "demo 9: root/local has no such release of its own"),
        (["none", "1.0", "root/prod"], "none 1.0: root/local has no such release of its own"),
        (["demo", "1.0", "root/none"], "there is no index root/none here"),
        (["demo", "1.0", "root/prod", "--only-docs"], "there is no file of demo 1.0 to push"),
        (["demo", "1.0", "root/prod", "--only-docs", "--no-docs"], "--no-docs and --only-docs"),
    ],
    ids=" ".join,
)
def test_what_cannot_be_is_told_in_one_line(
    cli: Cli, filled: Path, words: list[str], complaint: str
) -> None:
    assert cli("push", *words, f"--serverdir={filled}").complaint.startswith(complaint)
    assert stored(filled, "root/prod") == {}
