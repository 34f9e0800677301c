"""`target`: the kinds of hosts of a site, in a server directory or in a file of their own."""

import json
import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from simpleindex.cli.options import this_command
from simpleindex.gap.probe import SCRIPT, one_line
from simpleindex.learning import HOST, sightings_of
from simpleindex_storage.sightings import Sight
from tests.cli.commands import Cli, run
from tests.gap.interpreters import output_of, python_of
from tests.gap.test_user_agents import agent

SHOWN = """\
cp36-manylinux_2_17_x86_64  Python 3.6.15, Linux x86_64, glibc 2.17, pip 18.1  assumed: Python 3.6.15, glibc 2.17
  pip 18.1 is too old for many wheels of today; such a host can install them after `pip install pip==21.3.1`
3.9.18-win_amd64            Python 3.9.18, Windows amd64
"""  # noqa: E501  as it is printed


def listed(cli: Cli, *where: str | Path) -> Any:
    return json.loads(cli.must("target", "list", "--json", *where))


def names(cli: Cli, *where: str | Path) -> list[str]:
    return [each["name"] for each in listed(cli, *where)]


def test_targets_lie_in_the_server_directory_and_are_told_with_what_is_assumed(
    cli: Cli, data: Path
) -> None:
    where = f"--serverdir={data}"
    assert cli.must("target", "list", where).startswith("there is no target yet")
    told = cli.must("target", "add", "cp36-linux_x86_64", "3.9.18-windows", where)
    assert told.splitlines()[0] == (
        "cp36-manylinux_2_17_x86_64: Python 3.6.15, Linux x86_64, glibc 2.17, pip 18.1"
    )
    assert "assumed" not in told
    shown = cli.must("target", "list", where)
    assert shown.startswith(SHOWN)
    (note,) = shown.removeprefix(SHOWN).splitlines()
    assert note.startswith("what nobody has said is assumed: the newest Python known on ")
    assert note.endswith(f"; `{this_command()} target probe` asks a host")
    kept = json.loads((data / "targets.json").read_text())
    assert [each["name"] for each in kept] == ["cp36-manylinux_2_17_x86_64", "3.9.18-win_amd64"]


def test_without_a_server_directory_a_file_is_named(cli: Cli, tmp_path: Path) -> None:
    where = f"--targets={tmp_path / 'site.json'}"
    cli.must("target", "add", "cp39-win_amd64", where)
    cli.must("target", "add", "cp312-alpine", where)
    assert names(cli, where) == ["cp39-win_amd64", "cp312-musllinux_1_2_x86_64"]
    assert cli.must("target", "remove", "cp39-win_amd64", where) == "1 target removed\n"
    assert names(cli, where) == ["cp312-musllinux_1_2_x86_64"]
    assert not (tmp_path / ".simpleindex").exists()


def test_a_target_of_the_same_name_is_replaced_where_it_stands(cli: Cli, tmp_path: Path) -> None:
    where = f"--targets={tmp_path / 'site.json'}"
    cli.must("target", "add", "cp39-win_amd64", "cp310-win_amd64", where)
    cli.must("target", "add", "cp39-win_amd64", "--installer=pip 20.2.3", where)
    first, second = listed(cli, where)
    assert (first["name"], first["installer"]) == (
        "cp39-win_amd64", {"name": "pip", "version": "20.2.3"},
    )  # fmt: skip
    assert second["name"] == "cp310-win_amd64"


def test_what_hosts_have_told_is_taken_as_it_was_printed(cli: Cli, tmp_path: Path) -> None:
    # Several hosts, each a line, as a loop over them collects it.
    told = output_of([python_of("this"), "-c", SCRIPT]) + output_of(
        [python_of("3.8"), "-c", SCRIPT]
    )
    (tmp_path / "hosts.txt").write_text(told)
    where = f"--targets={tmp_path / 'site.json'}"
    cli.must("target", "add", f"--from={tmp_path / 'hosts.txt'}", where)
    found = listed(cli, where)
    assert len(found) == 2
    assert found[1]["python"].startswith("3.8.")
    assert found[1]["installer"]["name"] == "pip"


def test_a_probe_can_be_piped_in(tmp_path: Path) -> None:
    told = output_of([python_of("this"), "-c", SCRIPT])
    called = run("target", "add", "--from=-", f"--targets={tmp_path / 'site.json'}", stdin=told)
    assert (called.exit_code, called.err) == (0, "")
    assert (
        json.loads((tmp_path / "site.json").read_text())[0]["python"] == json.loads(told)["python"]
    )


def test_a_list_can_be_carried_to_the_other_side(cli: Cli, data: Path, tmp_path: Path) -> None:
    inside, outside = f"--serverdir={data}", f"--targets={tmp_path / 'site.json'}"
    cli.must("target", "add", "cp39-win_amd64", "cp36-linux", inside)
    cli.must("target", "add", f"--from={data / 'targets.json'}", outside)
    assert listed(cli, outside) == listed(cli, inside)


def test_the_probe_is_a_line_or_a_script_that_can_be_read(cli: Cli) -> None:
    assert cli.must("target", "probe") == one_line() + "\n"
    assert cli.must("target", "probe", "--script") == SCRIPT


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["add"], "nothing to add: give names of targets, --from FILE, or --learned."),
        (["add", "cp39"], "a target is named like cp39-win_amd64"),
        (["add", "cp39-win_amd64", "--installer=x"], "an installer is named like 'pip 18.1'"),
        (["remove"], "Missing argument 'TARGET...'."),
        (["remove", "cp39-win_amd64"], "there is no target cp39-win_amd64 here; `"),
        (["list", "--targets=/"], "'/' is a directory"),
    ],
)
def test_what_cannot_be_done_is_told_in_a_line(
    arguments: list[str], why: str, cli: Cli, tmp_path: Path
) -> None:
    where = [] if "--targets=/" in arguments else [f"--targets={tmp_path / 'site.json'}"]
    assert why in cli("target", *arguments, *where).complaint
    assert not (tmp_path / "site.json").exists()


@pytest.mark.parametrize("content", ["", "[]", "{", '[{"python": "3.9.18"}]', "\0", "\xff"])
def test_nothing_is_added_from_what_is_no_list(content: str, cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "hosts.txt").write_bytes(content.encode("latin-1"))
    where = f"--targets={tmp_path / 'site.json'}"
    added = cli("target", "add", f"--from={tmp_path / 'hosts.txt'}", where)
    assert added.complaint
    assert not (tmp_path / "site.json").exists()


def test_a_backup_has_the_targets(cli: Cli, data: Path, tmp_path: Path) -> None:
    where = f"--serverdir={data}"
    cli.must("target", "add", "cp39-win_amd64", where)
    cli.must("backup", tmp_path / "backups", where)
    (backup,) = (tmp_path / "backups").glob("*Z")
    cli.must("restore", backup, f"--serverdir={tmp_path / 'restored'}")
    assert names(cli, f"--serverdir={tmp_path / 'restored'}") == ["cp39-win_amd64"]


def test_targets_may_be_there_before_the_server_directory_is_made(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "targets.json").write_text('["cp39-win_amd64"]')
    cli.init(tmp_path / "data")
    assert names(cli, f"--serverdir={tmp_path / 'data'}") == ["cp39-win_amd64"]


# What installers have told


@pytest.fixture
def learned(data: Path) -> str:
    """A server directory that pips of two kinds, one of them twice, have asked; as an option."""
    sightings = sightings_of(data)
    new_libc = {"libc": {"lib": "glibc", "version": "2.39"}}
    for day, who in ((22, agent("pip/23.0.1")), (23, agent("pip/18.1")), (23, agent("uv/0.9"))):
        sightings.add({Sight(HOST, who): day}, date(2026, 11, day))
    sightings.add({Sight(HOST, agent(distro=new_libc)): 1}, date(2026, 11, 23))
    return f"--serverdir={data}"


OFTEN, ONCE = "3.8.18-manylinux_2_36_x86_64", "3.8.18-manylinux_2_39_x86_64"


def test_learned_targets_are_listed_with_how_often_they_were_seen(cli: Cli, learned: str) -> None:
    cli.must("target", "add", ONCE, learned)
    assert cli.must("target", "list", learned).splitlines()[-1] == (
        f"1 other was told by installers; `{this_command()} target list --learned {learned}` tells "
        "which"
    )
    often, once = cli.must("target", "list", "--learned", learned).splitlines()
    assert re.split("  +", often) == [
        OFTEN,
        "Python 3.8.18, Linux x86_64, glibc 2.36, pip 18.1",
        "68x on 1 day, last 2026-11-23",
        "new",
    ]
    assert once.endswith("1x on 1 day, last 2026-11-23   in the list")
    first, second = json.loads(cli.must("target", "list", "--learned", "--json", learned))
    assert (first["name"], first["times"], first["is_known"]) == (OFTEN, 68, False)
    assert (second["name"], second["last_day"], second["is_known"]) == (ONCE, "2026-11-23", True)


def test_learned_targets_that_are_not_known_are_added_with_the_oldest_pip(
    cli: Cli, learned: str
) -> None:
    cli.must("target", "add", ONCE, "--installer=pip 25.0", learned)
    cli.must("target", "add", "--learned", learned)
    installers = {each["name"]: each["installer"]["version"] for each in listed(cli, learned)}
    assert installers == {ONCE: "25.0", OFTEN: "18.1"}
    assert "nothing to add" in cli("target", "add", "--learned", learned).complaint


def test_what_was_assumed_gives_way_to_what_hosts_of_that_kind_have_told(
    cli: Cli, learned: str
) -> None:
    others = ["cp39-manylinux_2_17_x86_64", "cp38-win_amd64", "3.8.20-manylinux_2_17_x86_64"]
    cli.must("target", "add", "cp38-linux_x86_64", *others, learned)
    rows = cli.must("target", "list", "--learned", learned).splitlines()
    assert all(row.endswith("  new, in place of cp38-manylinux_2_17_x86_64") for row in rows)
    told = cli.must("target", "add", "--learned", learned).splitlines()
    assert told[-1] == "cp38-manylinux_2_17_x86_64 gave way: assumed was Python 3.8.20, glibc 2.17"
    assert names(cli, learned) == [*others, OFTEN, ONCE]


def test_what_was_assumed_gives_way_to_probes_but_not_to_what_is_named(
    cli: Cli, tmp_path: Path
) -> None:
    where = f"--targets={tmp_path / 'site.json'}"
    cli.must("target", "add", "cp39-win_amd64", "cp310-win_amd64", where)
    cli.must("target", "add", "3.9.18-win_amd64", where)
    assert names(cli, where) == ["cp39-win_amd64", "cp310-win_amd64", "3.9.18-win_amd64"]
    (tmp_path / "hosts.txt").write_text('{"python": "3.10.4", "platform": "win_amd64"}')
    told = cli.must("target", "add", f"--from={tmp_path / 'hosts.txt'}", where, "--json")
    assert json.loads(told)["gave_way"] == ["cp310-win_amd64"]
    assert names(cli, where) == ["cp39-win_amd64", "3.9.18-win_amd64", "3.10.4-win_amd64"]


def test_learned_targets_may_be_added_by_name(cli: Cli, learned: str) -> None:
    cli.must("target", "add", ONCE, "--learned", "--installer=pip 21.0", learned)
    (added,) = listed(cli, learned)
    assert (added["name"], added["installer"]["version"]) == (ONCE, "21.0")
    complaint = cli("target", "add", "--learned", "cp39-win_amd64", learned).complaint
    assert complaint.startswith("there is no target cp39-win_amd64 here; `")


def test_without_a_server_nothing_is_learned(cli: Cli, data: Path, tmp_path: Path) -> None:
    told = cli.must("target", "list", "--learned", f"--serverdir={data}")
    assert told == "no installer has told what kind of host it is on\n"
    assert cli.must("target", "list", "--learned", "--json", f"--serverdir={data}") == "[]\n"
    where = f"--targets={tmp_path / 'site.json'}"
    for verb in ("list", "add"):
        assert "is of a server directory" in cli("target", verb, "--learned", where).complaint
