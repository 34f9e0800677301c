"""`bundle import`: what comes in, what is refused, and that it is all of it or nothing."""

import json
import random
import shutil
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from simpleindex.cli.bundle import import_bundle
from simpleindex.cli.options import this_command
from simpleindex.gap.bundle import taking
from simpleindex.gap.bundle.manifest import AssumedFile, Notice, stamp
from simpleindex.gap.bundle.papers import papers
from simpleindex.gap.bundle.signatures import sign_with
from simpleindex.gap.closure import Standing
from simpleindex.gap.request import parse_request
from simpleindex.gap.targets import parse_target
from simpleindex_storage.errors import Unavailable
from simpleindex_storage.model import DistFile
from simpleindex_storage.names import IndexName, parse_filename
from tests.builders import BuiltFile, a_wheel, a_zip, an_egg, an_sdist
from tests.cli.commands import Called, Cli
from tests.cli.directories import catalog_of, make_index, stored
from tests.gap.bundle.bundles import CREATED, a_bundle, a_manifest, bundled
from tests.gap.bundle.keys import a_key
from tests.server import running_server

DEMO, OTHER, NEEDY = a_wheel("demo"), a_wheel("other"), a_wheel("needy", requires_dist=["held"])
HELD = a_wheel("held")
CHANGED = a_wheel(extra_files={"demo/more.py": b"more = True\n"})
LOCAL = IndexName("root/local")


def contents(*built: BuiltFile) -> dict[str, bytes]:
    return {each.filename: each.content for each in built}


def assumed(built: BuiltFile) -> AssumedFile:
    return AssumedFile(parse_filename(built.filename), built.sha256, (0,))


def notice(built: BuiltFile, reason: str = "") -> Notice:
    return Notice(parse_filename(built.filename), built.sha256, reason)


def take(cli: Cli, data: Path, *words: str | Path) -> Called:
    return cli("bundle", "import", *words, f"--serverdir={data}")


def must_take(cli: Cli, data: Path, *words: str | Path) -> Any:
    """Take something in that has to get in; what programs are told."""
    return json.loads(cli.must("bundle", "import", *words, f"--serverdir={data}", "--json"))


def refused(cli: Cli, data: Path, *words: str | Path) -> Called:
    """Try to take something in that has to be refused, and that leaves all as it was."""
    before = state(data)
    called = take(cli, data, *words)
    assert called.exit_code == 2, called
    assert state(data) == before
    return called


def state(data: Path) -> tuple[object, ...]:
    """All that there is: what the catalog knows, and the bytes below it."""
    with catalog_of(data) as seen:
        facts = list(seen.all_facts())
        serial = seen.serial
    files = {path: path.read_bytes() for path in (data / "files").rglob("*") if path.is_file()}
    return serial, facts, files, list((data / "incoming").iterdir())


def files_of(data: Path, project: str) -> tuple[DistFile, ...]:
    with catalog_of(data) as seen:
        return seen.files(LOCAL, parse_filename(f"{project}-1.0.tar.gz").project)


def a_bundle_of(folder: Path, *built: BuiltFile, name: str = "site", **changed: object) -> Path:
    """A bundle that nobody expects to be enough for anything, unless `roots` are given."""
    path = folder / f"{name}.pkgbundle.zip"
    a_bundle(path, built, manifest=a_manifest(built, **{"roots": (), **changed}))
    return path


# What comes in


def test_what_is_in_a_bundle_comes_in_with_one_change(cli: Cli, data: Path, tmp_path: Path) -> None:
    uploaded_at = datetime(2025, 3, 4, 5, 6, 7, tzinfo=UTC)
    files = (
        replace(bundled(DEMO), uploaded_at=uploaded_at),
        replace(bundled(OTHER), yanked="it is broken"),
    )
    path = a_bundle_of(tmp_path, DEMO, OTHER, files=files)
    told = must_take(cli, data, path)
    assert told["serial"] == 1
    assert told["added"] == [DEMO.filename, OTHER.filename]
    assert told["added_bytes"] == len(DEMO.content) + len(OTHER.content)
    assert (told["new_projects"], told["new_releases"]) == (["demo", "other"], 2)
    assert stored(data) == contents(DEMO, OTHER)
    (demo,), (other,) = files_of(data, "demo"), files_of(data, "other")
    assert demo.uploaded_at == uploaded_at
    assert demo.log[0].when > uploaded_at
    assert (demo.yanked, other.yanked) == (None, "it is broken")
    with catalog_of(data) as seen:
        index = seen.index(LOCAL)
        assert index is not None and index.automatic
    (line,) = cli.must("log", "--what=bundle", f"--serverdir={data}").splitlines()
    assert line.endswith("root  console  bundle import  root/local site.pkgbundle.zip")


def test_people_are_told_what_came_and_how_to_take_it_back(
    cli: Cli, data: Path, tmp_path: Path
) -> None:
    path = a_bundle_of(tmp_path, DEMO, roots=("demo", "nowhere"))
    called = take(cli, data, path)
    assert called.exit_code == 3
    (digest,) = must_take_again_digests(cli, data, path)
    assert called.out.splitlines() == [
        f"bundle   {path}: digest {digest}, not signed",
        "root/local: 1 added (1 KB), 0 already there".replace("1 KB", size(DEMO)),
        "root/local: 1 new project, 1 release with new files",
        "error    cp39-win_amd64: 1 of 2 can be installed, 0 before",
        "         nowhere: unmet",
        "           the index has no project nowhere",
        f"serial 1; `{this_command()} bundle undo 1 --serverdir={data}` would take it back",
    ]


def must_take_again_digests(cli: Cli, data: Path, path: Path) -> list[str]:
    told: list[str] = json.loads(take(cli, data, path, "--json").out)["digests"]
    return told


def size(built: BuiltFile) -> str:
    return f"{len(built.content)} bytes" if len(built.content) < 1000 else "1.0 KB"


def test_the_same_bundle_again_changes_nothing(cli: Cli, data: Path, tmp_path: Path) -> None:
    path = a_bundle_of(tmp_path, DEMO, OTHER)
    must_take(cli, data, path)
    before = state(data)
    told = must_take(cli, data, path)
    assert (told["serial"], told["added"], told["already_there"]) == (None, [], 2)
    assert state(data) == before
    assert "all of it had been taken in before" in take(cli, data, path).out


def test_a_file_that_was_lost_is_put_right_by_the_same_bundle(
    cli: Cli, data: Path, tmp_path: Path
) -> None:
    path = a_bundle_of(tmp_path, DEMO, OTHER)
    must_take(cli, data, path)
    before = state(data)
    (file,) = files_of(data, "demo")
    (data / "files" / file.place.path).unlink()
    must_take(cli, data, path)
    assert stored(data) == contents(DEMO, OTHER)
    assert state(data)[:2] == before[:2]


def test_other_roots_for_files_that_are_there_are_noted(
    cli: Cli, data: Path, tmp_path: Path
) -> None:
    must_take(cli, data, a_bundle_of(tmp_path, DEMO))
    told = must_take(cli, data, a_bundle_of(tmp_path, DEMO, name="b", roots=("demo",)))
    assert (told["serial"], told["added"]) == (2, [])


def test_a_running_server_shows_what_came_in_at_once(cli: Cli, data: Path, tmp_path: Path) -> None:
    path = a_bundle_of(tmp_path, DEMO, OTHER)
    with running_server(data) as server:
        page = f"{server.url}/root/local/+simple/demo/"
        told = must_take(cli, data, path)
        assert told["added"] == [DEMO.filename, OTHER.filename]
        with urlopen(page) as answer:
            assert DEMO.filename in answer.read().decode()
        cli.must("bundle", "undo", "last", f"--serverdir={data}")
        with urlopen(f"{server.url}/root/local/+simple/") as answer:
            assert "demo" not in answer.read().decode()


def test_a_dry_run_finds_everything_out_and_changes_nothing(
    cli: Cli, data: Path, tmp_path: Path
) -> None:
    path = a_bundle_of(tmp_path, DEMO, OTHER)
    before = state(data)
    told = must_take(cli, data, path, "--dry-run")
    assert told["serial"] is None
    assert state(data) == before
    assert "2 files" in take(cli, data, path, "--dry-run").out
    broken = bytearray(path.read_bytes())
    broken[broken.index(DEMO.content) + 50] ^= 1
    path.write_bytes(broken)
    assert "is damaged" in refused(cli, data, path, "--dry-run").out


def test_an_index_with_a_name_takes_it_and_one_that_is_not_there_does_not(
    cli: Cli, data: Path, tmp_path: Path
) -> None:
    make_index(data, "root/dev", volatile=True)
    path = a_bundle_of(tmp_path, DEMO)
    must_take(cli, data, path, "--index=root/dev")
    assert stored(data, "root/dev") == contents(DEMO)
    assert "index root/gone" in refused(cli, data, path, "--index=root/gone").err
    cli.must("index", "create", "root/far", "type=mirror", f"--serverdir={data}")
    assert "takes no packages" in refused(cli, data, path, "--index=root/far").err


# What has to be there, and what must not


def test_what_a_bundle_assumes_has_to_be_there(cli: Cli, data: Path, tmp_path: Path) -> None:
    gone = a_wheel("gone")
    path = a_bundle_of(
        tmp_path, NEEDY, assumes=(assumed(HELD), assumed(gone)), roots=("needy", "gone")
    )
    request = tmp_path / "request.txt"
    cli.must("add", str(OTHER.save(tmp_path)), f"--serverdir={data}")
    told = refused(cli, data, path, f"--request={request}").out
    for built in (HELD, gone):
        assert f"missing  {built.filename} is not here, and the bundle needs it to be" in told
    assert told.splitlines()[-3:] == [
        "root/local: nothing was taken in",
        "what is missing came with an earlier bundle: take that in first, or in the same command",
        f"or carry out {request}, which was written now: `bundle create --request=request.txt` "
        "puts what is missing into the next bundle",
    ]
    asked = parse_request(request.read_bytes(), "request.txt")
    assert asked.roots == ("needy", "gone")
    assert asked.targets == (parse_target("cp39-win_amd64"),)
    assert [(each.sha256_prefix, each.filename) for each in asked.have] == [
        (OTHER.sha256[:16], OTHER.filename)
    ]
    assert asked.stamp == stamp([OTHER.sha256])

    for built in (HELD, gone):
        cli.must("add", str(built.save(tmp_path)), f"--serverdir={data}")
    must_take(cli, data, path)
    assert stored(data) == contents(OTHER, HELD, gone, NEEDY)


def test_of_much_that_is_missing_a_few_are_named_and_what_is_known_of_the_bundle_before(
    cli: Cli, data: Path, tmp_path: Path
) -> None:
    gone = [a_wheel(f"gone{number}") for number in range(48)]
    path = a_bundle_of(
        tmp_path, DEMO, name="second", assumes=tuple(map(assumed, gone)), base="4F2A9C1BQK"
    )
    told = refused(cli, data, path).out
    assert told.count("missing  ") == 5
    assert "         and 43 more, which --json tells" in told.splitlines()
    assert (
        f"{path} was made 2026-11-23T12:00:00Z for a site of stamp 4F2A9C1BQK; of the bundle "
        "before it, `bundle show` tells `the site is of stamp 4F2A9C1BQK with it`"
    ) in told.splitlines()
    assert told.splitlines()[-1] == (
        "or carry out what the same command writes with --request=FILE, or "
        f"`{this_command()} request -o FILE --serverdir={data}`: the next bundle then has what is "
        "missing"
    )
    found = json.loads(take(cli, data, path, "--json").out)
    assert (len(found["missing"]), found["request"]) == (48, None)


def test_other_bytes_under_the_same_name_are_not_what_is_assumed(
    cli: Cli, data: Path, tmp_path: Path
) -> None:
    cli.must("add", str(CHANGED.save(tmp_path)), f"--serverdir={data}")
    path = a_bundle_of(tmp_path, OTHER, assumes=(assumed(DEMO),))
    assert DEMO.filename in refused(cli, data, path).out


def test_what_a_bundle_assumes_may_be_in_a_base(cli: Cli, data: Path, tmp_path: Path) -> None:
    cli.must("add", str(HELD.save(tmp_path)), f"--serverdir={data}")
    cli.must("index", "create", "root/dev", "bases=root/local", f"--serverdir={data}")
    path = a_bundle_of(tmp_path, NEEDY, assumes=(assumed(HELD),))
    must_take(cli, data, path, "--index=root/dev")
    assert stored(data, "root/dev") == contents(NEEDY)


def test_bundles_in_the_wrong_order_are_refused_until_they_come_together(
    cli: Cli, data: Path, tmp_path: Path
) -> None:
    first = a_bundle_of(tmp_path, HELD, name="first")
    second = a_bundle_of(tmp_path, NEEDY, name="second", assumes=(assumed(HELD),))
    refused(cli, data, second)
    told = must_take(cli, data, second, first)
    assert (told["serial"], stored(data)) == (1, contents(HELD, NEEDY))


def test_a_name_that_is_taken_by_other_bytes_refuses_all_and_all_such_are_told(
    cli: Cli, data: Path, tmp_path: Path
) -> None:
    other = a_wheel("other", extra_files={"other/more.py": b"more = True\n"})
    for built in (CHANGED, other):
        cli.must("add", str(built.save(tmp_path)), f"--serverdir={data}")
    path = a_bundle_of(tmp_path, HELD, DEMO, OTHER)
    for words in ([], ["--replace"]):  # root/local never replaces a file
        told = refused(cli, data, path, *words).out
        assert told.count("is in root/local with different bytes") == 2
        assert CHANGED.sha256[:16] in told


def test_other_bytes_replace_those_of_an_index_that_lets_them_only_if_that_is_asked_for(
    cli: Cli, data: Path, tmp_path: Path
) -> None:
    make_index(data, "root/local", volatile=True)
    cli.must("add", str(CHANGED.save(tmp_path)), f"--serverdir={data}")
    path = a_bundle_of(tmp_path, DEMO, OTHER)
    assert "--replace puts this one in its place" in refused(cli, data, path).out
    told = must_take(cli, data, path, "--replace")
    assert (told["replaced"], told["added"]) == ([DEMO.filename], [OTHER.filename])
    assert stored(data) == contents(DEMO, OTHER)


def test_a_folder_with_other_bytes_under_a_name_is_refused_as_well(
    cli: Cli, data: Path, tmp_path: Path, wheelhouse: Path
) -> None:
    make_index(data, "root/local", volatile=True)
    cli.must("add", str(CHANGED.save(tmp_path)), f"--serverdir={data}")
    for built in (DEMO, OTHER):
        built.save(wheelhouse)
    assert "with different bytes" in refused(cli, data, wheelhouse).out
    must_take(cli, data, wheelhouse, "--replace")
    assert stored(data) == contents(DEMO, OTHER)


def test_one_name_with_different_bytes_in_two_places_is_refused(
    cli: Cli, data: Path, tmp_path: Path, wheelhouse: Path
) -> None:
    CHANGED.save(wheelhouse)
    told = refused(cli, data, a_bundle_of(tmp_path, DEMO, OTHER), wheelhouse).out
    assert f"{DEMO.filename} comes twice, with different bytes" in told


def test_a_disk_without_room_is_told_before_anything_is_copied(
    cli: Cli, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = a_bundle_of(tmp_path, DEMO)
    before = state(data)
    usage = shutil.disk_usage(data)._replace(free=taking.RESERVE_BYTES + len(DEMO.content))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    complaint = take(cli, data, path).complaint
    assert complaint.startswith(f"{data} has room for {usage.free:,} bytes, and ")
    monkeypatch.undo()
    assert state(data) == before


# Archives


def test_what_is_odd_in_a_bundle_is_taken_and_told_and_what_hurts_is_refused(
    cli: Cli, data: Path, tmp_path: Path
) -> None:
    odd = an_egg("old")
    told = must_take(cli, data, a_bundle_of(tmp_path, DEMO, odd))
    (remark,) = told["odd"]
    assert remark.startswith(f"{odd.filename}: it is an egg")
    bad = BuiltFile("bad-1.0-py3-none-any.whl", b"no wheel at all")
    worse = BuiltFile("worse-1.0-py3-none-any.whl", b"nor is this")
    out = refused(cli, data, a_bundle_of(tmp_path, OTHER, bad, worse, name="bad")).out
    assert out.count("refused  ") == 2
    odd_too = a_bundle_of(tmp_path, an_egg("older"), name="strict")
    assert "it is an egg" in refused(cli, data, odd_too, "--strict-archives").out


def test_what_is_odd_without_a_manifest_is_for_the_index_to_take_or_not(
    cli: Cli, data: Path, wheelhouse: Path
) -> None:
    for built in (DEMO, an_egg("old"), an_egg("older")):
        built.save(wheelhouse)
    assert refused(cli, data, wheelhouse).out.count("it is an egg") == 2
    assert len(must_take(cli, data, wheelhouse, "--no-strict-archives")["odd"]) == 2


# Bundles that are damaged


def test_a_bundle_that_is_damaged_anywhere_is_refused_or_taken_whole(
    cli: Cli, data: Path, tmp_path: Path
) -> None:
    large = a_wheel("large", extra_files={"large/data": random.Random(1).randbytes(300_000)})
    path = a_bundle_of(tmp_path, DEMO, large)
    whole = path.read_bytes()
    finished = 0
    for at in range(0, len(whole), max(len(whole) // 40, 1)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        before = state(data)
        if take(cli, data, path).exit_code == 0:  # it is in a file that is for people
            assert stored(data) == contents(DEMO, large)
            cli.must("bundle", "undo", "last", f"--serverdir={data}")
            finished += 1
        else:
            assert state(data) == before
    assert finished < 10
    path.write_bytes(whole)
    must_take(cli, data, path)
    assert stored(data) == contents(DEMO, large)


def test_damage_in_what_need_not_be_copied_is_told(cli: Cli, data: Path, tmp_path: Path) -> None:
    path = a_bundle_of(tmp_path, DEMO, OTHER)
    must_take(cli, data, path)
    whole = path.read_bytes()
    path.write_bytes(whole.replace(DEMO.content, DEMO.content[:-1] + b"!"))
    told = must_take(cli, data, path)
    assert (told["serial"], told["already_there"]) == (None, 2)
    (damage,) = told["damaged"]
    assert f"its {DEMO.filename} is damaged" in damage
    assert "damaged  " in take(cli, data, path).out
    assert stored(data) == contents(DEMO, OTHER)


def test_a_bundle_that_is_cut_short_is_refused(cli: Cli, data: Path, tmp_path: Path) -> None:
    path = a_bundle_of(tmp_path, DEMO, an_sdist("art"))
    whole = path.read_bytes()
    for length in range(0, len(whole), len(whole) // 12):
        path.write_bytes(whole[:length])
        refused(cli, data, path)


# Volumes


@pytest.fixture
def volumes(tmp_path: Path) -> list[Path]:
    built = [
        a_wheel(f"part{number}", extra_files={f"part{number}/data": bytes(range(200)) * 50})
        for number in range(3)
    ]
    written = a_bundle(
        tmp_path / "site.pkgbundle.zip",
        built,
        manifest=a_manifest(built, roots=("part0", "part1", "part2")),
        max_bytes=sum(map(len, papers().values())) + 6_000,  # room for one of them
    )
    assert len(written) == 3
    return [each.path for each in written]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_volumes_come_in_together_in_any_order(
    order: Sequence[int], cli: Cli, data: Path, volumes: list[Path]
) -> None:
    told = must_take(cli, data, *(volumes[place] for place in order))
    assert (told["serial"], len(told["added"]), told["missing_volumes"]) == (1, 3, [])
    assert [target["met"] for target in told["targets"]] == [3]
    assert len(told["digests"]) == 3


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_volumes_come_in_one_after_the_other_in_any_order(
    order: Sequence[int], cli: Cli, data: Path, volumes: list[Path]
) -> None:
    for number, place in enumerate(order, 1):
        told = must_take(cli, data, volumes[place])
        assert (told["serial"], len(told["added"])) == (number, 1)
        rest = ", ".join(str(other + 1) for other in range(3) if other != place)
        assert told["missing_volumes"] == [f"{volumes[place]}: {rest} of 3"]
    assert len(stored(data)) == 3
    assert must_take(cli, data, *volumes)["targets"][0]["met"] == 3


def test_a_folder_of_volumes_is_taken_in_as_they_are(
    cli: Cli, data: Path, volumes: list[Path], tmp_path: Path
) -> None:
    stick = tmp_path / "stick"
    stick.mkdir()
    for path in volumes:
        path.rename(stick / path.name)
    (stick / "notes.txt").write_text("carried on Monday\n")
    told = must_take(cli, data, stick)
    assert (len(told["added"]), told["unproven"]) == (3, 0)
    assert told["left_out"] == [str(stick / "notes.txt")]


# Without a manifest


def test_a_bundle_that_is_a_plain_folder_is_a_bundle(cli: Cli, data: Path, tmp_path: Path) -> None:
    a_bundle(tmp_path / "folder", [DEMO], manifest=a_manifest([DEMO], roots=()), as_folder=True)
    told = must_take(cli, data, tmp_path / "folder")
    assert (told["added"], told["unproven"]) == ([DEMO.filename], 0)


def test_a_folder_of_packages_comes_in_unproven(cli: Cli, data: Path, wheelhouse: Path) -> None:
    (wheelhouse / "below" / "deep").mkdir(parents=True)
    DEMO.save(wheelhouse)
    an_sdist("art").save(wheelhouse / "below")
    an_sdist("zipped", format=".zip").save(wheelhouse / "below" / "deep")
    OTHER.save(wheelhouse)
    (wheelhouse / "README.txt").write_text("what pip download left")
    (wheelhouse / ".DS_Store").write_bytes(b"left by a desktop")
    told = must_take(cli, data, wheelhouse, "--no-strict-archives")
    assert (told["serial"], len(told["added"]), told["unproven"]) == (1, 4, 4)
    assert told["left_out"] == [str(wheelhouse / "README.txt")]
    assert must_take(cli, data, wheelhouse, "--no-strict-archives")["serial"] is None
    out = take(cli, data, wheelhouse, "--no-strict-archives").out
    assert "unproven 4 files without a manifest" in out


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_zip_of_packages_comes_in_unproven(
    compression: int, cli: Cli, data: Path, tmp_path: Path
) -> None:
    members = {
        "wheels/": b"",
        f"wheels/{DEMO.filename}": DEMO.content,
        f"../../{OTHER.filename}": OTHER.content,
        "wheels/notes.txt": b"notes",
    }
    path = tmp_path / "wheels-2026.zip"
    path.write_bytes(a_zip(members, compression=compression))
    told = must_take(cli, data, path)
    assert (sorted(told["added"]), told["unproven"]) == ([DEMO.filename, OTHER.filename], 2)
    assert told["left_out"] == [f"{path}: wheels/notes.txt"]
    assert stored(data) == contents(DEMO, OTHER)


def test_a_damaged_zip_of_packages_is_refused(cli: Cli, data: Path, tmp_path: Path) -> None:
    path = tmp_path / "wheels.zip"
    members = contents(OTHER, DEMO)
    whole = a_zip(members, compression=zipfile.ZIP_STORED)
    at = whole.index(DEMO.content) + len(DEMO.content) // 2
    path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    assert "copy the zip again" in refused(cli, data, path).out
    path.write_bytes(whole[:-30])  # so that the last wheel ends where the zip should
    assert "copy it again" in refused(cli, data, path).err
    path.write_bytes(whole[: len(OTHER.content) // 2])
    assert "it is no zip, or damaged" in refused(cli, data, path).err


def test_single_packages_come_in_too(cli: Cli, data: Path, tmp_path: Path) -> None:
    told = must_take(cli, data, DEMO.save(tmp_path), an_sdist("art").save(tmp_path))
    assert told["unproven"] == 2


def test_a_folder_without_any_package_is_refused(cli: Cli, data: Path, wheelhouse: Path) -> None:
    (wheelhouse / "notes.txt").write_text("no package")
    assert "no bundle and no package" in refused(cli, data, wheelhouse).err


@pytest.mark.parametrize("name", ["notes.txt", "gone.whl"])
def test_what_is_no_package_is_not_passed_over_if_it_is_named(
    name: str, cli: Cli, data: Path, tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("no package")
    assert f"{tmp_path / name}: " in refused(cli, data, tmp_path / name).err


def test_a_file_that_is_called_like_a_package_and_cannot_be_one_refuses_all(
    cli: Cli, data: Path, wheelhouse: Path
) -> None:
    DEMO.save(wheelhouse)
    for name in ("demo.whl", "setup.exe"):
        (wheelhouse / name).write_bytes(b"?")
    out = refused(cli, data, wheelhouse).out
    assert "demo.whl" in out and "setup.exe" in out


# Who made it


@pytest.mark.parametrize(
    "heard",
    [
        lambda digest: digest,
        lambda digest: digest.lower().replace("-", " "),
        lambda digest: digest.replace("0", "O").replace("1", "I"),
    ],
    ids=["as it was told", "written down in another way", "heard as letters"],
)
def test_the_digest_that_was_read_out_lets_a_bundle_in_and_any_other_keeps_it_out(
    heard: Any, cli: Cli, data: Path, tmp_path: Path
) -> None:
    path = a_bundle_of(tmp_path, DEMO)
    (digest,) = must_take(cli, data, path, "--dry-run")["digests"]
    wrong = f"--expect={'2' if digest[0] != '2' else '3'}{digest[1:]}"
    assert f"its digest is {digest}" in refused(cli, data, path, wrong).err
    must_take(cli, data, path, f"--expect={heard(digest)}")


def test_of_what_has_no_digest_none_can_be_expected(cli: Cli, data: Path, wheelhouse: Path) -> None:
    DEMO.save(wheelhouse)
    refused(cli, data, wheelhouse, "--expect=AAAAA-BBBBB-CCCCC-DDDDD")


def test_each_volume_has_a_digest_to_be_expected(cli: Cli, data: Path, volumes: list[Path]) -> None:
    digests = must_take(cli, data, *volumes, "--dry-run")["digests"]
    refused(cli, data, *volumes, *(f"--expect={digest}" for digest in digests[:2]))
    must_take(cli, data, *volumes, *(f"--expect={digest}" for digest in digests))


def test_a_bundle_is_taken_from_who_is_trusted_and_from_nobody_else(
    cli: Cli, data: Path, tmp_path: Path
) -> None:
    alice, mallory = a_key(tmp_path, "alice"), a_key(tmp_path, "mallory")
    trust(data, alice)
    signed, forged = tmp_path / "signed.pkgbundle.zip", tmp_path / "forged.pkgbundle.zip"
    manifest = a_manifest([DEMO], roots=())
    a_bundle(signed, [DEMO], manifest=manifest, sign=sign_with(alice))
    a_bundle(forged, [DEMO], manifest=manifest, sign=sign_with(mallory))
    unsigned = a_bundle_of(tmp_path, OTHER)
    assert "which is not trusted here" in refused(cli, data, forged).err
    assert "it is not signed" in refused(cli, data, unsigned, "--require-signature").err
    told = must_take(cli, data, signed, "--require-signature")
    assert [name.partition(" ")[0] for name in told["signed_by"]] == ["alice@outside"]
    (taken,) = json.loads(cli.must("bundle", "history", "--json", f"--serverdir={data}"))
    assert taken["bundles"][0]["signed_by"] == told["signed_by"][0]
    must_take(cli, data, unsigned)


def trust(data: Path, key: Path) -> None:
    public = key.with_name(f"{key.name}.pub").read_text().split()
    (data / "trusted-keys").write_text(f"{public[2]} {public[0]} {public[1]}\n")


def test_where_signatures_are_required_nothing_comes_in_without_a_manifest(
    cli: Cli, data: Path, wheelhouse: Path, tmp_path: Path
) -> None:
    trust(data, a_key(tmp_path))
    DEMO.save(wheelhouse)
    (data / "simpleindex.toml").write_text("require_signature = true\n")
    assert "packages without a manifest have none" in refused(cli, data, wheelhouse).err


# What was withdrawn


def test_what_was_withdrawn_upstream_is_yanked_in_the_same_change(
    cli: Cli, data: Path, tmp_path: Path
) -> None:
    must_take(cli, data, a_bundle_of(tmp_path, DEMO, HELD))
    newer = a_wheel("demo", "2.0")
    told = must_take(
        cli,
        data,
        a_bundle_of(
            tmp_path,
            newer,
            name="newer",
            created=CREATED + timedelta(days=30),
            yanks=(notice(DEMO, "it deletes\u202efiles"), notice(CHANGED), notice(OTHER)),
            removals=(notice(HELD, "nobody needs it"),),
        ),
    )
    assert (told["yanked"], told["not_yanked"], told["serial"]) == ([DEMO.filename], [], 2)
    assert told["removals_proposed"] == [{"filename": HELD.filename, "reason": "nobody needs it"}]
    assert {file.version: file.yanked for file in files_of(data, "demo")} == {
        "1.0": "it deletes?files",
        "2.0": None,
    }
    assert files_of(data, "held")[0].yanked is None


def test_an_older_bundle_only_adds(cli: Cli, data: Path, tmp_path: Path) -> None:
    must_take(cli, data, a_bundle_of(tmp_path, DEMO))
    older = a_bundle_of(
        tmp_path, OTHER, name="older", created=CREATED - timedelta(days=1), yanks=(notice(DEMO),)
    )
    told = must_take(cli, data, older)
    assert (told["yanked"], told["not_yanked"]) == ([], [DEMO.filename])
    assert files_of(data, "demo")[0].yanked is None
    assert stored(data) == contents(DEMO, OTHER)


# What it means for hosts


def test_how_targets_stand_is_told_as_it_was_and_is(cli: Cli, data: Path, tmp_path: Path) -> None:
    targets = (parse_target("cp39-win_amd64"), parse_target("cp311-linux_x86_64"))
    native = a_wheel("native", tag="cp311-cp311-manylinux_2_17_x86_64")
    cli.must("add", str(DEMO.save(tmp_path)), f"--serverdir={data}")
    path = a_bundle_of(tmp_path, native, roots=("demo", "native"), targets=targets)
    called = take(cli, data, path, "--json")
    assert called.exit_code == 3
    windows, linux = json.loads(called.out)["targets"]
    assert (windows["met_before"], windows["met"], windows["lines"]) == (1, 1, 2)
    assert [unmet["line"] for unmet in windows["unmet"]] == ["native"]
    assert (linux["met_before"], linux["met"], linux["unmet"]) == (1, 2, [])
    assert take(cli, data, path, "--no-check").exit_code == 0


def test_a_target_for_which_nothing_is_asked_is_not_called_all_right(
    cli: Cli, data: Path, tmp_path: Path
) -> None:
    path = a_bundle_of(tmp_path, DEMO, roots=("demo; sys_platform == 'linux'",))
    out = take(cli, data, path).out
    assert "note     cp39-win_amd64: nothing is asked for it, so nothing was looked at" in out


def test_a_line_that_was_withdrawn_counts_no_more(cli: Cli, data: Path, tmp_path: Path) -> None:
    path = a_bundle_of(tmp_path, DEMO, roots=("demo", "flaks"))
    assert take(cli, data, path).exit_code == 3
    cli.must("request", "--ignore=flaks", f"--serverdir={data}")
    called = take(cli, data, path)
    assert called.exit_code == 0
    assert "ok       cp39-win_amd64: 1 of 1 can be installed, 1 before" in called.out
    assert "note     withdrawn with request --ignore: flaks" in called.out
    assert must_take(cli, data, path)["withdrawn"] == ["flaks"]
    alone = a_bundle_of(tmp_path, OTHER, name="alone", roots=("flaks",))
    assert must_take(cli, data, alone)["targets"] == []

    request = tmp_path / "request.txt"
    lacking = a_bundle_of(
        tmp_path, NEEDY, name="lacking", assumes=(assumed(HELD),), roots=("flaks", "needy")
    )
    refused(cli, data, lacking, f"--request={request}")
    assert parse_request(request.read_bytes(), "request.txt").roots == ("needy",)


def test_of_several_bundles_it_is_told_which_one_each_verdict_is_about(
    cli: Cli, data: Path, tmp_path: Path
) -> None:
    first = a_bundle_of(tmp_path, DEMO, name="first", roots=("demo",))
    second = a_bundle_of(tmp_path, OTHER, name="second", roots=("other", "nowhere"))
    called = take(cli, data, first, second)
    lines = called.out.splitlines()
    place = lines.index(f"what {first} was made for:")
    assert lines[place + 1 : place + 4] == [
        "ok       cp39-win_amd64: 1 of 1 can be installed, 0 before",
        f"what {second} was made for:",
        "error    cp39-win_amd64: 1 of 2 can be installed, 0 before",
    ]
    told = json.loads(take(cli, data, first, second, "--json").out)
    assert [each["bundle"] for each in told["targets"]] == [str(first), str(second)]
    assert "was made for:" not in take(cli, data, first).out


def test_trouble_after_all_was_taken_in_does_not_look_as_if_nothing_was(
    cli: Cli, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = a_bundle_of(tmp_path, DEMO, roots=("demo",))
    asked: list[object] = []

    def fail_the_second_time(*arguments: object) -> tuple[Standing, ...]:
        asked.append(arguments)
        if len(asked) == 2:
            raise Unavailable("the disk fails")
        return ()

    monkeypatch.setattr(import_bundle, "standings", fail_the_second_time)
    told = must_take(cli, data, path)
    assert (told["serial"], told["added"], told["targets"]) == (1, [DEMO.filename], [])
    assert told["trouble"] == "how targets stand now cannot be told: the disk fails"
    asked.clear()
    assert "note     how targets stand now cannot be told" in take(cli, data, path).out


def test_packages_of_ones_own_that_get_company_of_the_same_name_are_told(
    cli: Cli, data: Path, tmp_path: Path
) -> None:
    cli.must("add", str(DEMO.save(tmp_path)), f"--serverdir={data}")
    must_take(cli, data, a_bundle_of(tmp_path, OTHER))
    newer = (a_wheel("demo", "9.0"), a_wheel("other", "9.0"))
    path = a_bundle_of(tmp_path, *newer, name="newer")
    told = must_take(cli, data, path)
    assert told["mixed"] == ["demo"]


# What is kept of it


def test_backups_and_rebuilds_have_what_was_taken_in(cli: Cli, data: Path, tmp_path: Path) -> None:
    must_take(cli, data, a_bundle_of(tmp_path, DEMO, roots=("demo",)))
    must_take(cli, data, a_bundle_of(tmp_path, OTHER, name="more"))
    cli.must("bundle", "undo", "last", f"--serverdir={data}")
    history = cli.must("bundle", "history", "--json", f"--serverdir={data}")
    cli.must("backup", tmp_path / "backups", f"--serverdir={data}")
    (backup,) = (tmp_path / "backups").glob("*Z")
    (data / "catalog.sqlite").unlink()
    cli.must("rebuild", f"--serverdir={data}")
    assert cli.must("bundle", "history", "--json", f"--serverdir={data}") == history
    cli.must("restore", backup, f"--serverdir={tmp_path / 'restored'}")
    again = f"--serverdir={tmp_path / 'restored'}"
    assert cli.must("bundle", "history", "--json", again) == history


def test_the_history_tells_each_import(cli: Cli, data: Path, tmp_path: Path) -> None:
    assert cli.must("bundle", "history", f"--serverdir={data}") == (
        "nothing has been taken in yet\n"
    )
    told = must_take(cli, data, a_bundle_of(tmp_path, DEMO, roots=("demo",)))
    must_take(cli, data, OTHER.save(tmp_path))
    cli.must("bundle", "undo", "2", f"--serverdir={data}")
    first, second = cli.must("bundle", "history", f"--serverdir={data}").splitlines()
    assert first.startswith("1  20") and "root/local  site.pkgbundle.zip" in first
    assert told["digests"][0] in first and first.endswith("  1 file added")
    assert f"{OTHER.filename}  unproven  " in second
    assert second.endswith("  1 file added, undone with 3")
    found = json.loads(cli.must("bundle", "history", "--json", f"--serverdir={data}"))
    assert [(each["serial"], each["undone_serial"]) for each in found] == [(1, None), (2, 3)]
    (bundle,) = found[0]["bundles"]
    assert (bundle["roots"], bundle["targets"]) == (["demo"], ["cp39-win_amd64"])
