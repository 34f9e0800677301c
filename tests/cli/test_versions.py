"""Which commands work beside a server of another version."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from simpleindex_storage.locks import FileLock
from simpleindex_storage.version import __version__
from tests.builders import a_wheel
from tests.cli.commands import Cli, listing, run
from tests.server import free_port


@pytest.fixture
def beside(data: Path) -> Iterator[Path]:
    """A directory that a process of another version has open."""
    (data / "incoming").mkdir(exist_ok=True)
    with closing(FileLock(data / "incoming" / "17-ab@0.0.1.lock")) as mark:
        assert mark.try_keep()
        yield data


@pytest.mark.parametrize(
    "verb",
    [
        ("add", "{wheels}"),
        ("backup", "{there}"),
        ("export", "{there}"),
        ("fsck", "--forget-missing"),
        ("fsck", "--repair"),
        ("gc",),
        ("log", "--trim"),
        ("passwd", "root"),
    ],
    ids=" ".join,
)
def test_what_may_write_is_refused(cli: Cli, beside: Path, tmp_path: Path, verb: list[str]) -> None:
    before = listing(beside)
    there = tmp_path / "there"
    (tmp_path / "wheels").mkdir()
    a_wheel().save(tmp_path / "wheels")
    arguments = [each.format(there=there, wheels=tmp_path / "wheels") for each in verb]
    assert cli(*arguments, f"--serverdir={beside}").complaint == (
        f"{beside}: simpleindex-server 0.0.1, process 17, has this directory open, and this is "
        f"version {__version__}; stop that one first"
    )
    assert listing(beside) == before
    assert not there.exists()


def test_a_server_is_refused(beside: Path) -> None:
    called = run("serve", f"--serverdir={beside}", f"--port={free_port()}")
    assert called.exit_code == 1
    assert "simpleindex-server 0.0.1, process 17, has this directory open" in called.err


@pytest.mark.parametrize("verb", ["doctor", "log", "fsck"])
def test_what_only_reads_works(cli: Cli, beside: Path, verb: str) -> None:
    before = listing(beside)
    called = cli(verb, f"--serverdir={beside}")
    assert "stop that one first" not in called.out + called.err
    assert called.exit_code == 0, called
    after = dict(listing(beside))
    for ending in ("-shm", "-wal"):  # where SQLite says who reads; a server that runs has them
        after.pop(f"catalog.sqlite{ending}", None)
    assert after == before
