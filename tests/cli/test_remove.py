"""`remove`: what goes, what stays, and what has to be forced."""

import json
from pathlib import Path

import pytest

from tests.builders import a_wheel, an_sdist
from tests.cli.commands import Cli, listing
from tests.cli.directories import make_index, stored

WHEEL, SDIST, NEWER = a_wheel("demo", "1.0"), an_sdist("demo", "1.0"), a_wheel("demo", "2.0")


@pytest.fixture
def filled(cli: Cli, data: Path, wheelhouse: Path) -> Path:
    make_index(data, "root/local", volatile=True)
    for built in (WHEEL, SDIST, NEWER, a_wheel("other")):
        built.save(wheelhouse)
    cli.must("add", wheelhouse, f"--serverdir={data}")
    return data


@pytest.mark.parametrize(
    ("words", "told", "left"),
    [
        (["demo"], "root/local: 3 files of demo removed", set()),
        (["Demo", "1.0.0"], "root/local: 2 files of demo 1.0.0 removed", {NEWER}),
        (
            ["demo", f"--file={SDIST.filename}"],
            "root/local: 1 file of demo removed",
            {WHEEL, NEWER},
        ),
        (
            ["demo", "--file=Demo-1.0-py3-none-any.whl"],
            "root/local: 1 file of demo removed",
            {SDIST, NEWER},
        ),
    ],
    ids=["project", "release", "file", "another spelling"],
)
def test_what_is_named_goes_with_its_bytes(
    cli: Cli, filled: Path, words: list[str], told: str, left: set[object]
) -> None:
    assert cli.must("remove", *words, f"--serverdir={filled}") == f"{told}\n"
    kept = {WHEEL, SDIST, NEWER} & left
    assert set(stored(filled)) == {built.filename for built in kept} | {
        "other-1.0-py3-none-any.whl"
    }
    on_disk = {path.name for path in (filled / "files").rglob("demo*") if path.is_file()}
    assert on_disk == {f"{built.filename}{end}" for built in kept for end in ("", ".metadata")}


def test_programs_are_told_what_went(cli: Cli, filled: Path) -> None:
    out = cli.must("remove", "demo", "2.0", "--json", f"--serverdir={filled}")
    assert json.loads(out) == {"index": "root/local", "removed": [NEWER.filename]}


def test_an_index_that_keeps_its_files_has_to_be_forced(
    cli: Cli, data: Path, wheelhouse: Path
) -> None:
    cli.must("add", WHEEL.save(wheelhouse), f"--serverdir={data}")
    before = listing(data / "files")
    complaint = cli("remove", "demo", f"--serverdir={data}").complaint
    assert complaint == (
        "root/local: it never removes files (volatile=False); --force does it all the same"
    )
    assert listing(data / "files") == before
    cli.must("remove", "demo", "--force", f"--serverdir={data}")
    assert stored(data) == {}


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["none"], "there is no project none in root/local here"),
        (["demo", "9"], "there is no demo 9 in root/local here"),
        (["demo", "--file=demo-9.tar.gz"], "there is no such a file of demo in root/local here"),
        (["demo", "2.0", f"--file={SDIST.filename}"], "there is no such a file"),
        (["demo", "--index=root/none"], "there is no index root/none here"),
    ],
    ids=" ".join,
)
def test_what_is_not_there_is_told_and_nothing_goes(
    cli: Cli, filled: Path, words: list[str], complaint: str
) -> None:
    before = stored(filled)
    assert cli("remove", *words, f"--serverdir={filled}").complaint.startswith(complaint)
    assert stored(filled) == before
