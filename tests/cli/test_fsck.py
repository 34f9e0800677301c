"""`fsck`: what is told of faults, and what is mended."""

import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from simpleindex.cli.options import this_command
from tests.builders import a_wheel
from tests.cli.commands import Called, Cli, run
from tests.cli.directories import ANY_NAMES, UNPRINTABLE_NAMES, make_newer, make_unreadable
from tests.server import running_server, server_environment, simpleindex


@pytest.fixture
def filled(cli: Cli, data: Path, wheelhouse: Path) -> Path:
    a_wheel("demo").save(wheelhouse)
    cli.must("add", wheelhouse, f"--serverdir={data}")
    return data


def the_wheel(data: Path) -> Path:
    (path,) = (data / "files").rglob("*.whl")
    return path


def cut_in_half(data: Path) -> None:
    path = data / "catalog.sqlite"
    os.truncate(path, path.stat().st_size // 2)


def at_a_terminal(*arguments: str) -> Called:
    """Run a command whose errors a terminal shows, and whose output goes elsewhere."""
    ours, theirs = os.openpty()
    with subprocess.Popen(
        simpleindex(*arguments), stdout=subprocess.PIPE, stderr=theirs, env=server_environment(),
        text=True,
    ) as process:  # fmt: skip
        os.close(theirs)
        shown = b""
        try:
            while chunk := os.read(ours, 4096):
                shown += chunk
        except OSError:
            pass  # how Linux tells that nobody has the terminal open any more
        finally:
            os.close(ours)
        assert process.stdout is not None
        out = process.stdout.read()
    return Called(process.returncode, out, shown.decode())


def test_where_all_is_well_one_line_says_so(cli: Cli, filled: Path) -> None:
    (line,) = cli.must("fsck", f"--serverdir={filled}").splitlines()
    assert line.startswith("1 file, ") and line.endswith("/s: 0 faults")
    (line,) = cli.must("fsck", "--quick", f"--serverdir={filled}").splitlines()
    assert "read" not in line


def test_a_fault_is_told_with_its_word_and_what_to_do(cli: Cli, filled: Path) -> None:
    the_wheel(filled).write_bytes(b"rotten")
    called = cli("fsck", f"--serverdir={filled}")
    assert (called.exit_code, called.err) == (1, "")
    first, second, last = called.out.splitlines()
    assert first.startswith("fault  file-size  files/root/local/+f/")
    assert "upload the same file again" in second
    assert last.endswith(": 1 fault")
    told = json.loads(cli("fsck", "--json", f"--serverdir={filled}").out)
    assert (told["faults"], told["files"], told["quick"]) == (1, 1, False)
    assert told["found"][0]["code"] == "file-size"
    assert told["found"][0]["mended"] is None


@ANY_NAMES
@pytest.mark.parametrize(("name", "shown"), UNPRINTABLE_NAMES.items())
def test_no_name_of_a_file_forges_a_line_or_ends_the_check(
    name: bytes, shown: str, cli: Cli, filled: Path
) -> None:
    (filled / "files" / os.fsdecode(name)).write_bytes(b"mine")
    called = cli("fsck", f"--serverdir={filled}")
    assert (called.exit_code, called.err) == (1, "")
    first, advice, last = called.out.splitlines()
    assert f"`{this_command()} add FILE --serverdir={filled}` takes it in" in advice
    assert first == f"fault  stray-file  files/{shown} has no record"
    assert last.endswith(": 1 fault")
    (found,) = json.loads(cli("fsck", "--json", f"--serverdir={filled}").out)["found"]
    assert os.fsencode(found["path"]) == b"files/" + name


def test_what_is_mended_counts_as_no_fault(cli: Cli, filled: Path) -> None:
    wheel = the_wheel(filled)
    wheel.with_name(wheel.name + ".metadata").unlink()
    (filled / "files" / "note.txt").write_text("mine")
    assert cli("fsck", f"--serverdir={filled}").exit_code == 1
    lines = cli.must("fsck", "--repair", f"--serverdir={filled}").splitlines()
    assert lines[-1].endswith(": 0 faults, 2 mended")
    assert cli("fsck", f"--serverdir={filled}").exit_code == 0


def test_records_are_forgotten_only_on_request(cli: Cli, filled: Path) -> None:
    the_wheel(filled).unlink()
    assert cli("fsck", "--repair", f"--serverdir={filled}").exit_code == 1
    assert "forgotten" in cli.must("fsck", "--forget-missing", f"--serverdir={filled}")
    assert cli.must("fsck", f"--serverdir={filled}").endswith(": 0 faults\n")


def test_notes_do_not_count_as_faults(cli: Cli, filled: Path) -> None:
    for path in filled.iterdir():  # some were made without the umask of the verbs
        path.chmod(path.stat().st_mode & 0o700)
    filled.chmod(0o755)
    lines = cli.must("fsck", f"--serverdir={filled}").splitlines()
    assert lines[0] == "note  open-to-others  ./ has the mode 0755"
    assert lines[-1].endswith(": 0 faults, 1 note")


def test_it_works_while_the_server_runs(cli: Cli, filled: Path) -> None:
    with running_server(filled):
        the_wheel(filled).with_name("stray.txt").write_text("mine")
        assert "stray-file" in cli.must("fsck", "--repair", f"--serverdir={filled}")


def test_a_damaged_catalog_is_a_fault_that_names_the_way_out(cli: Cli, filled: Path) -> None:
    (filled / "catalog.sqlite").write_bytes(b"once upon a time")
    called = cli("fsck", "--repair", f"--serverdir={filled}")
    assert called.exit_code == 1
    first, second = called.out.splitlines()
    assert first.startswith("fault  catalog-pages  catalog.sqlite ")
    assert f"`{this_command()} rebuild --serverdir={filled}` makes the catalog anew" in second


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="this system has no such terminals")
@pytest.mark.parametrize("spoil", [make_unreadable, cut_in_half])
def test_at_a_terminal_a_damaged_catalog_is_told_of_all_the_same(
    spoil: Callable[[Path], None], filled: Path
) -> None:
    assert at_a_terminal("fsck", f"--serverdir={filled}").exit_code == 0
    spoil(filled)
    called = at_a_terminal("fsck", f"--serverdir={filled}")
    assert called == replace(run("fsck", f"--serverdir={filled}"), err=called.err)
    assert called.exit_code == 1
    assert called.out.startswith("fault  catalog-pages  catalog.sqlite ")
    assert "simpleindex-server:" not in called.err


def test_wrong_bytes_that_are_set_aside_stay_a_fault(cli: Cli, filled: Path) -> None:
    wheel = the_wheel(filled)
    wheel.write_bytes(bytes(wheel.stat().st_size))
    below = wheel.relative_to(filled).as_posix()
    called = cli("fsck", "--repair", f"--serverdir={filled}")
    _, second, last = called.out.splitlines()
    assert (called.exit_code, wheel.exists()) == (1, False)
    assert second.strip().startswith("set aside in set-aside/")
    assert second.endswith(f"copy it from a backup: BACKUP/{below}")
    assert last.endswith(": 1 fault")
    told = json.loads(cli("fsck", "--json", f"--serverdir={filled}").out)
    forget = f"`{this_command()} fsck --forget-missing --serverdir={filled}` forgets it"
    assert told["found"][0]["advice"].endswith(forget)


@pytest.mark.parametrize("verb", ["fsck", "backup"])
def test_a_catalog_of_a_newer_version_is_left_alone(
    verb: str, cli: Cli, filled: Path, tmp_path: Path
) -> None:
    make_newer(filled)
    where = [tmp_path / "saved"] if verb == "backup" else []
    complaint = cli(verb, *where, f"--serverdir={filled}").complaint
    assert "a newer simpleindex-server made this catalog" in complaint
