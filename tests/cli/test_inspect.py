"""`inspect`: what is bad, what is odd, and that nothing is changed."""

import os
from pathlib import Path

import pytest

from tests.builders import BuiltFile, a_wheel, an_sdist
from tests.cli.commands import Cli, listing
from tests.cli.directories import ANY_NAMES, UNPRINTABLE_NAMES


def test_good_files_are_counted_and_not_named(cli: Cli, wheelhouse: Path) -> None:
    a_wheel("good").save(wheelhouse)
    an_sdist("good").save(wheelhouse)
    assert cli.must("inspect", wheelhouse) == "2 files: 2 good, 0 odd, 0 bad\n"


def test_what_would_hurt_is_named_with_the_reason(cli: Cli, wheelhouse: Path) -> None:
    good = a_wheel("good").save(wheelhouse)
    renamed = BuiltFile("renamed-1.0-py3-none-any.whl", a_wheel("demo").content).save(wheelhouse)
    cut = BuiltFile("cut-1.0.tar.gz", an_sdist("cut").content[:-40]).save(wheelhouse)
    egg = BuiltFile("old-1.0-py3.6.egg", b"an egg").save(wheelhouse)
    before = listing(wheelhouse)
    called = cli("inspect", wheelhouse)
    assert called.exit_code == 1
    *lines, count = called.out.splitlines()
    assert count == "4 files: 1 good, 0 odd, 3 bad"
    assert [line.partition(": ")[0] for line in lines] == [
        f"bad  {path}" for path in sorted([cut, egg, renamed])
    ]
    assert good.name not in called.out
    assert listing(wheelhouse) == before


@ANY_NAMES
@pytest.mark.parametrize(("name", "shown"), UNPRINTABLE_NAMES.items())
def test_no_name_of_a_file_forges_a_line(
    name: bytes, shown: str, cli: Cli, wheelhouse: Path
) -> None:
    folder = wheelhouse / os.fsdecode(name)
    folder.mkdir()
    (folder / "demo-1.0-py3-none-any.whl").write_bytes(b"no wheel")
    called = cli("inspect", folder)
    assert (called.exit_code, called.err) == (1, "")
    first, last = called.out.splitlines()
    assert f"/{shown}/demo-1.0-py3-none-any.whl" in first
    assert last.endswith(" 1 bad")


def test_what_is_merely_sloppy_is_no_failure(cli: Cli, wheelhouse: Path) -> None:
    path = a_wheel("demo", requires_dist=["not a requirement !"]).save(wheelhouse)
    out = cli.must("inspect", path)
    assert out.startswith(f"odd  {path}: ")
    assert "not a requirement" in out
    assert out.endswith("1 files: 0 good, 1 odd, 0 bad\n")


def test_a_path_that_is_not_there_is_told(cli: Cli, wheelhouse: Path) -> None:
    path = wheelhouse / "none"
    assert cli("inspect", path).complaint == f"{path} does not exist"
