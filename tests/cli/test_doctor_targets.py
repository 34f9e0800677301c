"""`doctor --targets`: what each kind of host can install from what is here."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from simpleindex.cli.options import this_command
from simpleindex_storage.opening import open_store
from tests.cli.commands import Called, Cli
from tests.gap.corpus import Offer, offer
from tests.gap.test_site_roots import take_in

WINDOWS, LINUX = "3.9.18-win_amd64", "3.12.1-manylinux_2_17_x86_64"
COLOUR = offer("colour", "1.0", "win-helper; sys_platform == 'win32'")


@pytest.fixture
def site(cli: Cli, data: Path) -> str:
    """A server directory with two targets, as an option."""
    where = f"--serverdir={data}"
    cli.must("target", "add", WINDOWS, LINUX, where)
    return where


def put(cli: Cli, site: str, folder: Path, offers: Iterable[Offer]) -> None:
    folder.mkdir()
    for each in offers:
        each.built.save(folder)
    cli.must("add", folder, site)


def told(called: Called) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(called.out)
    return document


def test_a_gap_is_told_with_its_reasons_where_it_is_and_nowhere_else(
    cli: Cli, site: str, tmp_path: Path
) -> None:
    put(cli, site, tmp_path / "wheels", [COLOUR, offer("plain")])
    called = cli("doctor", "--targets", site)
    assert (called.exit_code, called.err) == (1, "")
    assert called.out.splitlines() == [
        f"error  {WINDOWS}: 1 of 2 can be installed",
        "       colour: it cannot be installed",
        "         colour 1.0 needs win-helper",
        "         the index has no project win-helper",
        f"ok     {LINUX}: 2 of 2 can be installed",
        "note   1 need of a release is met by nothing here, which is a fault only above; "
        "--json tells more",
        "root/local: 2 targets, 1 with something that cannot be installed",
    ]
    put(cli, site, tmp_path / "more", [offer("win-helper")])
    assert "2 targets, none with something" in cli.must("doctor", "--targets", site)


def test_programs_are_told_the_same(cli: Cli, site: str, tmp_path: Path) -> None:
    put(cli, site, tmp_path / "wheels", [COLOUR])
    document = told(cli("doctor", "--targets", "--json", site))
    assert (document["index"], document["is_complete"]) == ("root/local", False)
    windows, linux = document["targets"]
    assert (windows["target"], windows["is_complete"]) == (WINDOWS, False)
    assert windows["verdicts"] == [
        {
            "line": "colour",
            "where": "",
            "kind": "unmet",
            "chain": ["colour 1.0 needs win-helper", "the index has no project win-helper"],
        }
    ]
    assert windows["missing"] == [{"requirement": "win-helper", "line": "colour"}]
    assert (linux["is_complete"], linux["missing"]) == (True, [])
    assert document["loose_ends"] == [
        {"release": "colour 1.0", "needs": "win-helper", "targets": [WINDOWS]}
    ]


def test_lines_of_a_file_are_what_counts_if_there_is_one(
    cli: Cli, site: str, tmp_path: Path
) -> None:
    put(cli, site, tmp_path / "wheels", [COLOUR, offer("plain"), offer("plain", "2.0")])
    wanted, bounds = tmp_path / "wanted.txt", tmp_path / "bounds.txt"
    wanted.write_text("plain<2\n--pre\n")
    assert "left out" in cli.must("doctor", "--targets", "-r", wanted, site)
    bounds.write_text("plain>=2\n")
    called = cli("doctor", "--targets", "-r", wanted, f"--constraint={bounds}", site)
    assert called.exit_code == 1
    assert "under the constraint plain>=2" in called.out
    wanted.write_text("./plain\n")
    refused = cli("doctor", "--targets", "-r", wanted, site)
    assert refused.exit_code == 1
    assert "./plain: it is nothing that an index can have" in refused.out


def test_a_line_of_a_bundle_that_cannot_be_met_is_told_until_it_is_withdrawn(
    cli: Cli, data: Path, site: str, tmp_path: Path
) -> None:
    put(cli, site, tmp_path / "wheels", [offer("more")])
    store = open_store(data)
    take_in(store, offer("plain"), roots=("plain", "flaks>=2"))
    take_in(store, roots=("plain",))
    store.close()
    called = cli("doctor", "--targets", site)
    assert called.exit_code == 1
    told_lines = called.out.splitlines()
    why = told_lines.index("         the index has no project flaks")
    assert told_lines[why - 1] == "       flaks>=2: it cannot be installed"
    ignore = f"`{this_command()} request --ignore=flaks {site}`"
    assert told_lines[why + 1] == f"         {ignore} withdraws the line"
    assert called.out.count("withdraws") == 1  # once is enough for all targets

    cli.must("request", "--ignore=flaks", site)
    out = cli.must("doctor", "--targets", site)
    assert f"ok     {WINDOWS}: 2 of 2 can be installed" in out
    assert "note   withdrawn with request --ignore: flaks>=2" in out
    assert json.loads(cli.must("doctor", "--targets", "--json", site))["withdrawn"] == ["flaks>=2"]
    cli.must("request", "--want=flaks", site)
    assert cli("doctor", "--targets", site).exit_code == 1


def test_what_was_put_in_by_itself_or_stands_in_a_file_is_not_to_be_withdrawn(
    cli: Cli, data: Path, site: str, tmp_path: Path
) -> None:
    put(cli, site, tmp_path / "wheels", [COLOUR])
    assert "withdraws" not in cli("doctor", "--targets", site).out
    store = open_store(data)
    take_in(store, roots=("flaks",))
    store.close()
    wanted = tmp_path / "wanted.txt"
    wanted.write_text("flaks\n")
    cli.must("request", "--ignore=flaks", site)
    called = cli("doctor", "--targets", "-r", wanted, site)
    assert (called.exit_code, "withdr" in called.out) == (1, False)


def test_other_targets_may_be_named(cli: Cli, site: str, tmp_path: Path) -> None:
    put(cli, site, tmp_path / "wheels", [COLOUR])
    assert "1 target, none" in cli.must("doctor", "--targets", f"--target={LINUX}", site)
    called = cli("doctor", "--targets", "--target=cp38-win_amd64", site)
    assert (called.exit_code, "error  cp38-win_amd64" in called.out) == (1, True)


def test_where_nothing_is_asked_nothing_is_called_all_right(
    cli: Cli, site: str, tmp_path: Path
) -> None:
    put(cli, site, tmp_path / "wheels", [offer("plain", tag="cp39-cp39-win_amd64")])
    one = f"note   {LINUX}: nothing is asked for it, so nothing was looked at"
    told_lines = cli.must("doctor", "--targets", site).splitlines()
    assert told_lines == [
        f"ok     {WINDOWS}: 1 of 1 can be installed",
        one,
        "root/local: 2 targets, none with something that cannot be installed",
    ]
    cli.must("remove", "plain", "--force", site)
    assert cli.must("doctor", "--targets", f"--target={LINUX}", site).splitlines() == [
        one,
        "root/local: 1 target, and nothing is asked for any",
    ]


def test_which_pip_has_to_come_first_is_told(cli: Cli, site: str, tmp_path: Path) -> None:
    modern = offer("demo", tag="cp36-abi3-manylinux_2_17_x86_64.manylinux2014_x86_64")
    put(cli, site, tmp_path / "wheels", [modern, offer("pip", "21.3.1")])
    called = cli.must("doctor", "--targets", "--target=cp36-linux", site)
    assert (
        "pip 18.1 does not know all the wheels; first run `pip install --index-url URL "
        "--trusted-host HOST pip==21.3.1` there, with the URL and the host of this index"
    ) in called


def test_each_release_of_a_project_is_told_on_each_target(
    cli: Cli, site: str, tmp_path: Path
) -> None:
    offers = [offer("demo"), offer("demo", "2.0", "gone; sys_platform == 'win32'")]
    put(cli, site, tmp_path / "wheels", offers)
    ask = ("doctor", "--targets", "--project=demo", site)
    assert cli.must(*ask).splitlines() == [
        f"demo  {WINDOWS}  {LINUX}",
        f"2.0   no{' ' * 14}  yes",
        f"1.0   yes{' ' * 13}  yes",
        f"2.0 on {WINDOWS}: demo 2.0 needs gone; the index has no project gone",
    ]
    (project,) = json.loads(cli.must(*ask, "--json"))
    assert project["project"] == "demo"
    assert [release["version"] for release in project["releases"]] == ["2.0", "1.0"]
    newest = project["releases"][0]["targets"]
    assert newest[LINUX] == {"kind": "met", "chain": []}
    assert newest[WINDOWS]["chain"][-1] == "the index has no project gone"


def test_what_a_mirror_could_fetch_does_not_count(cli: Cli, site: str, tmp_path: Path) -> None:
    put(cli, site, tmp_path / "wheels", [offer("plain")])
    cli.must("index", "create", "root/all", "bases=root/local,root/pypi", site)
    assert "note   what could be fetched by root/pypi does not count" in cli.must(
        "doctor", "--targets", "--index=root/all", site
    )


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--target=cp39-win_amd64"], "are for --targets"),
        (["-r", "wanted.txt"], "are for --targets"),
        (["--targets", "--index=root/none"], "index root/none"),
        (["--targets", "--target=nonsense"], "a target is named like"),
        (["--targets", "-r", "not-there.txt"], "not-there.txt cannot be read"),
        (["--targets", "--project=none"], "project none"),
    ],
)
def test_what_cannot_be_examined_is_told_in_a_line(
    arguments: list[str], why: str, cli: Cli, site: str, tmp_path: Path
) -> None:
    put(cli, site, tmp_path / "wheels", [offer("plain")])
    assert why in cli("doctor", *arguments, site).complaint


def test_without_targets_it_says_how_to_name_them(cli: Cli, data: Path, tmp_path: Path) -> None:
    put(cli, f"--serverdir={data}", tmp_path / "wheels", [offer("plain")])
    complaint = cli("doctor", "--targets", f"--serverdir={data}").complaint
    assert complaint.startswith(
        f"there is no target yet; `{this_command()} target add --help` tells"
    )
