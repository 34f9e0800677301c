"""`request`: what a site asks for, and what was decided about it."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from simpleindex.gap.bundle.manifest import stamp
from simpleindex.gap.request import Request, parse_request
from simpleindex.gap.targets import parse_target
from simpleindex.learning import HOST, MISSING, READ, sightings_of
from simpleindex.wire.installer_agents import kind_of_host
from simpleindex_storage.opening import open_store
from simpleindex_storage.sightings import Sight
from tests.cli.commands import Called, Cli
from tests.gap.corpus import Offer, offer, source_offer
from tests.gap.test_site_roots import take_in
from tests.gap.test_user_agents import agent

WINDOWS, LINUX = "3.9.18-win_amd64", "3.12.1-manylinux_2_17_x86_64"
DEBIAN = "3.8.18-manylinux_2_36_x86_64"
"""What the User-Agents of the tests tell."""


@pytest.fixture
def site(cli: Cli, data: Path) -> str:
    """A server directory with two targets, as an option."""
    where = f"--serverdir={data}"
    cli.must("target", "add", WINDOWS, LINUX, where)
    return where


def put(cli: Cli, site: str, folder: Path, *offers: Offer) -> None:
    folder.mkdir()
    for each in offers:
        each.built.save(folder)
    cli.must("add", folder, site)


def learn(
    data: Path,
    kind: str,
    *projects: str,
    times: int = 1,
    who: str = agent(),
    index: str = "root/local",
) -> None:
    host = kind_of_host(who.encode())
    assert host is not None
    seen = {Sight(HOST, host): times}
    seen |= {Sight(kind, f"{index}/{project}", host): times for project in projects}
    sightings_of(data).add(seen, date(2026, 11, 22))


def written(cli: Cli, site: str, *options: str) -> Request:
    return parse_request(cli.must("request", site, *options).encode(), "request")


def wanted(request: Request) -> list[str]:
    return [each.requirement for each in request.wanted]


def maybe(request: Request) -> list[str]:
    return [each.requirement for each in request.maybe]


def test_a_request_says_what_is_here_and_for_which_targets(
    cli: Cli, site: str, tmp_path: Path
) -> None:
    offers = [offer("demo"), offer("demo", "2.0"), source_offer("art")]
    put(cli, site, tmp_path / "wheels", *offers)
    request = written(cli, site)
    assert [target.name for target in request.targets] == [WINDOWS, LINUX]
    digests = {each.built.filename: each.built.sha256 for each in offers}
    assert {held.filename: held.sha256_prefix for held in request.have} == {
        filename: digest[:16] for filename, digest in digests.items()
    }
    assert request.stamp == stamp(digests.values())
    assert (request.roots, request.wanted, request.maybe) == ((), (), ())


def test_lines_of_bundles_are_asked_for_again_with_their_constraints(
    cli: Cli, data: Path, site: str, tmp_path: Path
) -> None:
    put(cli, site, tmp_path / "wheels", offer("plain"))
    store = open_store(data)
    take_in(store, offer("demo"), roots=("demo", "gone"), constraints=("demo<2",))
    take_in(store, roots=("demo", "other"))
    store.close()
    request = written(cli, site)
    assert request.roots == ("demo", "other", "gone")
    assert request.constraints == ("demo<2",)
    assert request.wanted == ()  # what they lack is found anew from them


def test_a_line_of_a_bundle_is_withdrawn_and_taken_back(
    cli: Cli, data: Path, site: str, tmp_path: Path
) -> None:
    put(cli, site, tmp_path / "wheels", offer("plain"))
    store = open_store(data)
    take_in(store, offer("demo"), roots=("demo", "Flaks>=2"))
    take_in(store, roots=("flaks",))
    store.close()
    assert cli.must("request", "--ignore=flaks", site) == "ignored  flaks\n"
    request = written(cli, site)
    assert (request.roots, request.wanted) == (("demo",), ())
    listed = cli.must("request", "--list", site)
    assert listed == "ignored  flaks  withdraws lines of bundles: flaks, Flaks>=2\n"
    document = json.loads(cli.must("request", "--list", "--json", site))
    assert (document["ignored"], document["withdrawn"]) == (["flaks"], ["flaks", "Flaks>=2"])
    cli.must("request", "--want=flaks", site)
    assert written(cli, site).roots == ("flaks", "demo", "Flaks>=2")


def test_what_somebody_wants_is_asked_for_until_it_is_here(
    cli: Cli, site: str, tmp_path: Path
) -> None:
    told = cli.must("request", "--want=plain>=1.1", "--want=colour", site)
    assert told == "wanted   plain>=1.1\nwanted   colour\n"
    assert wanted(written(cli, site)) == ["plain>=1.1", "colour"]
    put(cli, site, tmp_path / "wheels", offer("plain", "1.1"),
        offer("colour", "1.0", "helper; sys_platform == 'win32'"))  # fmt: skip
    request = written(cli, site)
    assert wanted(request) == ["colour", 'helper; sys_platform == "win32"']
    assert request.wanted[0].why == f"not yet on {WINDOWS}"
    assert request.wanted[1].why == f"needed by colour on {WINDOWS}"
    put(cli, site, tmp_path / "more", offer("helper"))
    assert wanted(written(cli, site)) == []


def test_what_projects_lack_is_asked_for_where_it_lacks(
    cli: Cli, site: str, tmp_path: Path
) -> None:
    cli.must("target", "add", "3.9.18-manylinux_2_17_x86_64", site)
    put(cli, site, tmp_path / "wheels", offer("a", "1.0", "everywhere>=1"),
        offer("b", "1.0", "old; python_version < '3.10'", "everywhere>=1"),
        offer("c", "1.0", "both; sys_platform == 'win32' and python_version < '3.10'"),
        offer("d", "1.0", "missing; sys_platform == 'darwin'"))  # fmt: skip
    request = written(cli, site)
    assert wanted(request) == [
        "everywhere>=1",
        'old; python_version == "3.9"',
        'both; sys_platform == "win32"',
    ]
    assert request.wanted[0].why.startswith("needed by a, b on ")


def test_what_clients_asked_for_does_not_count_until_it_is_accepted(
    cli: Cli, data: Path, site: str, tmp_path: Path
) -> None:
    put(cli, site, tmp_path / "wheels", offer("demo"))
    learn(data, MISSING, "flask", times=3)
    learn(data, MISSING, "pip", "setuptools", "wheel", times=9)  # which come by themselves
    learn(data, MISSING, "flaks", "flask", who=agent("pip/18.1"))
    request = written(cli, site)
    assert (wanted(request), maybe(request)) == ([], ["flask", "flaks"])
    assert request.maybe[0].why == f"not here; asked 4x on 1 day, last 2026-11-22, by {DEBIAN}"

    assert cli.must("request", "--list", site).splitlines() == [
        f"maybe  flask  not here; asked 4x on 1 day, last 2026-11-22, by {DEBIAN}",
        f"maybe  flaks  not here; asked 1x on 1 day, last 2026-11-22, by {DEBIAN}",
    ]
    cli.must("request", "--accept=Flask", "--ignore=flaks", site)
    request = written(cli, site)
    assert (wanted(request), maybe(request)) == (["flask"], [])
    assert "ignored  flaks" in cli.must("request", "--list", site)

    refused = cli("request", "--accept=django", site).complaint
    assert refused.startswith("there is no project django among those that clients asked for here;")
    assert "--want=django" in refused


def test_what_has_come_since_is_not_asked_for_any_more(
    cli: Cli, data: Path, site: str, tmp_path: Path
) -> None:
    learn(data, MISSING, "flask")
    assert maybe(written(cli, site)) == ["flask"]  # also before there is any index
    put(cli, site, tmp_path / "wheels", offer("flask"))
    assert maybe(written(cli, site)) == []


def test_pages_without_a_usable_file_are_told(
    cli: Cli, data: Path, site: str, tmp_path: Path
) -> None:
    modern = offer("modern", tag="cp38-abi3-manylinux_2_39_x86_64")
    put(cli, site, tmp_path / "wheels", modern, offer("demo"), source_offer("art"))
    learn(data, READ, "modern", "demo", "art")
    request = written(cli, site)
    assert maybe(request) == ["modern"]
    assert request.maybe[0].why.startswith("no usable file; asked 1x")


def test_what_was_found_and_has_been_removed_since_is_not_asked_for(
    cli: Cli, data: Path, site: str, tmp_path: Path
) -> None:
    put(cli, site, tmp_path / "wheels", offer("demo"))
    learn(data, READ, "demo", "gone")
    assert maybe(written(cli, site)) == []
    learn(data, MISSING, "gone")
    assert maybe(written(cli, site)) == ["gone"]


def test_what_others_asked_of_indexes_that_are_not_there_is_left_out(
    cli: Cli, data: Path, site: str
) -> None:
    learn(data, MISSING, "flask", index="root/nothing")
    assert maybe(written(cli, site)) == []


def test_what_a_mirror_has_shown_is_not_asked_for_but_what_it_lacked(
    cli: Cli, data: Path, site: str
) -> None:
    learn(data, READ, "django", index="root/pypi")
    learn(data, MISSING, "flask", index="root/pypi")
    assert maybe(written(cli, site)) == ["flask"]


def test_targets_that_were_seen_are_asked_for_if_there_is_no_list_or_somebody_says_so(
    cli: Cli, data: Path, site: str
) -> None:
    learn(data, MISSING, "flask", times=3)
    text = cli.must("request", site)
    assert f"# Not asked for, since it is not in the list: {DEBIAN}, seen 3x on 1 day" in text
    listed = [WINDOWS, LINUX]
    assert [target.name for target in written(cli, site).targets] == listed
    with_learned = written(cli, site, "--learned").targets
    assert [target.name for target in with_learned] == [*listed, DEBIAN]
    cli.must("target", "remove", *listed, site)
    text = cli.must("request", site)
    (target,) = parse_request(text.encode(), "request").targets
    assert target.name == DEBIAN
    assert "pip 23.0.1; seen 3x on 1 day, last 2026-11-22\n" in text


def test_targets_that_were_assumed_give_way_to_those_that_were_seen(
    cli: Cli, data: Path, tmp_path: Path
) -> None:
    site = f"--serverdir={data}"
    cli.must("target", "add", "cp38-linux_x86_64", "cp38-win_amd64", site)
    guess, other = "cp38-manylinux_2_17_x86_64", "cp38-win_amd64"
    learn(data, MISSING, "flask")

    def asked_for(*options: str) -> list[str]:
        return [target.name for target in written(cli, site, *options).targets]

    assert asked_for() == [guess, other]  # what is in the list is for somebody to change
    assert asked_for("--learned") == [other, DEBIAN]
    cli.must("target", "remove", guess, other, site)
    store = open_store(data)
    take_in(store, roots=("flask",), targets=(parse_target("cp38-linux_x86_64"),))
    store.close()
    assert asked_for() == [DEBIAN]


def test_it_is_written_whole_and_told_in_short(
    cli: Cli, data: Path, site: str, tmp_path: Path
) -> None:
    learn(data, MISSING, "flask")
    out = tmp_path / "request.txt"
    told = cli.must("request", "-o", out, "--want=demo", site).splitlines()
    assert told[0] == f"{out}: 2 targets, 0 files that are here, 1 wanted, 1 to be decided"
    assert told[1].startswith("1 kind of host was seen that the list of targets has not; `")
    assert told[2].startswith("`")
    assert wanted(parse_request(out.read_bytes(), "request")) == ["demo"]
    document = json.loads(cli.must("request", "-o", out, "--json", site))
    assert (document["file"], document["wanted"], document["maybe"]) == (
        str(out), ["demo"], ["flask"],
    )  # fmt: skip
    nowhere = tmp_path / "nowhere" / "request.txt"
    assert "cannot be written" in cli("request", "-o", nowhere, site).complaint


def test_programs_are_told_what_to_decide_about(cli: Cli, data: Path, site: str) -> None:
    def told(*options: str) -> Any:
        return json.loads(cli.must("request", "--json", *options, site))

    assert told("--want=demo", "--ignore=junk") == {"wanted": ["demo"], "ignored": ["junk"]}
    learn(data, MISSING, "flask", "junk")
    document = told("--list")
    assert [each["project"] for each in document["maybe"]] == ["flask"]
    assert document["wanted"] == [{"requirement": "demo", "why": f"not yet on {WINDOWS}, {LINUX}"}]
    assert document["ignored"] == ["junk"]
    assert parse_request(told()["text"].encode(), "request").maybe[0].requirement == "flask"


def test_where_there_is_nothing_to_decide_that_is_told(cli: Cli, site: str) -> None:
    told = cli.must("request", "--list", site)
    assert told == "clients asked for nothing that is not here, and nothing more is wanted\n"


def test_a_request_without_targets_says_so(cli: Cli, data: Path, tmp_path: Path) -> None:
    where = f"--serverdir={data}"
    assert "# No target is known" in cli.must("request", where)
    assert "no target is known" in cli.must("request", "-o", tmp_path / "r.txt", where)


@pytest.mark.parametrize(
    ("option", "why"),
    [
        ("--want=./demo", "it comes from a path or URL"),
        ("--ignore=a b", "a name is made of ASCII letters"),
        ("--accept=nothing", "there is no project nothing among those"),
        ("--index=root/none", "index root/none"),
    ],
)
def test_what_cannot_be_asked_for_is_told_in_a_line(
    option: str, why: str, cli: Cli, site: str
) -> None:
    called: Called = cli("request", option, site)
    assert why in called.complaint


def test_a_backup_has_the_decisions(cli: Cli, site: str, tmp_path: Path) -> None:
    cli.must("request", "--want=demo", "--ignore=junk", site)
    cli.must("backup", tmp_path / "backups", site)
    (backup,) = (tmp_path / "backups").glob("*Z")
    restored = f"--serverdir={tmp_path / 'restored'}"
    cli.must("restore", backup, restored)
    document = json.loads(cli.must("request", "--list", "--json", restored))
    assert ([each["requirement"] for each in document["wanted"]], document["ignored"]) == (
        ["demo"], ["junk"],
    )  # fmt: skip
