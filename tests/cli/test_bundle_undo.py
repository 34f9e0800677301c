"""`bundle undo`: what an import added goes, and what others need stays."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from simpleindex_storage.names import IndexName
from tests.builders import a_wheel
from tests.cli.commands import Cli
from tests.cli.directories import catalog_of, make_index, stored
from tests.cli.test_bundle_import import (
    CHANGED,
    DEMO,
    HELD,
    NEEDY,
    OTHER,
    a_bundle_of,
    assumed,
    contents,
    files_of,
    must_take,
    notice,
    state,
    take,
)
from tests.gap.bundle.bundles import CREATED


def must_undo(cli: Cli, data: Path, *words: str) -> Any:
    return json.loads(cli.must("bundle", "undo", *words, f"--serverdir={data}", "--json"))


def test_all_that_an_import_added_goes_with_one_change(
    cli: Cli, data: Path, tmp_path: Path
) -> None:
    must_take(cli, data, a_bundle_of(tmp_path, DEMO, OTHER))
    told = must_undo(cli, data, "last")
    assert told["removed"] == [DEMO.filename, OTHER.filename]
    assert (told["serial"], told["kept"], told["gone_before"]) == (1, [], [])
    assert stored(data) == {}
    assert [path for path in (data / "files").rglob("*") if path.is_file()] == []
    with catalog_of(data) as seen:
        assert seen.serial == 2
        assert seen.projects(IndexName("root/local")) == ()
    (line,) = cli.must("log", "--what=bundle undo", f"--serverdir={data}").splitlines()
    assert line.endswith("root  console  bundle undo  serial 1")


def test_what_was_undone_can_be_taken_in_again(cli: Cli, data: Path, tmp_path: Path) -> None:
    path = a_bundle_of(tmp_path, DEMO)
    must_take(cli, data, path)
    must_undo(cli, data, "1")
    assert must_take(cli, data, path)["serial"] == 3
    assert stored(data) == contents(DEMO)


def test_what_was_there_before_stays(cli: Cli, data: Path, tmp_path: Path) -> None:
    cli.must("add", str(DEMO.save(tmp_path)), f"--serverdir={data}")
    must_take(cli, data, a_bundle_of(tmp_path, DEMO, OTHER))
    assert must_undo(cli, data, "last")["removed"] == [OTHER.filename]
    assert stored(data) == contents(DEMO)


def test_what_other_imports_brought_or_assumed_stays_and_it_is_told_which(
    cli: Cli, data: Path, tmp_path: Path
) -> None:
    must_take(cli, data, a_bundle_of(tmp_path, HELD, DEMO, OTHER))
    must_take(cli, data, a_bundle_of(tmp_path, NEEDY, name="second", assumes=(assumed(HELD),)))
    must_take(cli, data, a_bundle_of(tmp_path, DEMO, name="third", roots=("demo",)))
    told = must_undo(cli, data, "1")
    assert told["removed"] == [OTHER.filename]
    assert told["kept"] == [
        {"filename": HELD.filename, "why": "import 2 needs it, too"},
        {"filename": DEMO.filename, "why": "import 3 needs it, too"},
    ]
    assert stored(data) == contents(HELD, DEMO, NEEDY)
    assert told["targets"][0]["met"] == told["targets"][0]["met_before"] == 1


def test_a_dry_run_tells_what_would_go_and_what_stays_and_why(
    cli: Cli, data: Path, tmp_path: Path
) -> None:
    must_take(cli, data, a_bundle_of(tmp_path, HELD, DEMO, OTHER))
    must_take(cli, data, a_bundle_of(tmp_path, DEMO, name="third", roots=("demo",)))
    cli.must("remove", "other", "--force", f"--serverdir={data}")
    before = state(data)
    undo = ("bundle", "undo", "1", f"--serverdir={data}")
    assert cli.must(*undo, "--dry-run").splitlines() == [
        "would undo import 1 (site.pkgbundle.zip)",
        f"goes     {HELD.filename}",
        f"stays    {DEMO.filename}: import 2 needs it, too",
        "root/local: 1 file would be removed, 1 kept, 1 had been removed before",
        "nothing was changed",
    ]
    told = json.loads(cli.must(*undo, "--dry-run", "--json"))
    assert state(data) == before
    assert {**must_undo(cli, data, "1"), "targets": []} == told


def test_the_history_tells_what_is_left_of_an_import(cli: Cli, data: Path, tmp_path: Path) -> None:
    def outcomes() -> list[str]:
        lines = cli.must("bundle", "history", f"--serverdir={data}").splitlines()
        return [line.split("  ")[-1] for line in lines]

    must_take(cli, data, a_bundle_of(tmp_path, HELD, DEMO, OTHER))
    must_take(cli, data, a_bundle_of(tmp_path, DEMO, NEEDY, name="second", roots=("demo",)))
    cli.must("remove", "needy", "--force", f"--serverdir={data}")
    must_undo(cli, data, "1")
    assert outcomes() == [
        "3 files added, undone with 4: 1 kept",
        "1 file added, none of them still here",
    ]
    found = json.loads(cli.must("bundle", "history", "--json", f"--serverdir={data}"))
    assert [each["still_here"] for each in found] == [[DEMO.filename], []]
    must_undo(cli, data, "2")
    assert outcomes() == ["3 files added, undone with 4", "1 file added, undone with 5"]


def test_what_an_import_that_was_undone_needed_is_needed_no_more(
    cli: Cli, data: Path, tmp_path: Path
) -> None:
    must_take(cli, data, a_bundle_of(tmp_path, HELD))
    must_take(cli, data, a_bundle_of(tmp_path, NEEDY, name="second", assumes=(assumed(HELD),)))
    must_undo(cli, data, "last")
    assert must_undo(cli, data, "last")["removed"] == [HELD.filename]
    assert stored(data) == {}


def test_the_last_once_more_is_the_one_before_and_each_is_named(
    cli: Cli, data: Path, tmp_path: Path
) -> None:
    first = a_bundle_of(tmp_path, DEMO, name="first")
    must_take(cli, data, first, a_bundle_of(tmp_path, HELD, name="more"))
    must_take(cli, data, a_bundle_of(tmp_path, OTHER, name="second"))
    told = [cli.must("bundle", "undo", "last", f"--serverdir={data}") for _ in range(2)]
    assert [each.splitlines()[0] for each in told] == [
        "undid import 2 (second.pkgbundle.zip)",
        "undid import 1 (first.pkgbundle.zip, more.pkgbundle.zip)",
    ]


def test_what_was_assumed_from_another_index_stays_in_the_base(
    cli: Cli, data: Path, tmp_path: Path
) -> None:
    must_take(cli, data, a_bundle_of(tmp_path, HELD, DEMO))
    cli.must("index", "create", "root/dev", "bases=root/local", f"--serverdir={data}")
    cli.must("index", "create", "root/apart", f"--serverdir={data}")
    second = a_bundle_of(tmp_path, NEEDY, name="second", assumes=(assumed(HELD),))
    must_take(cli, data, second, "--index=root/dev")
    must_take(cli, data, a_bundle_of(tmp_path, DEMO, name="third"), "--index=root/apart")
    assert must_undo(cli, data, "1")["removed"] == [DEMO.filename]
    assert stored(data) == contents(HELD)
    assert stored(data, "root/apart") == contents(DEMO)


def test_what_stayed_for_another_import_goes_with_that(
    cli: Cli, data: Path, tmp_path: Path
) -> None:
    must_take(cli, data, a_bundle_of(tmp_path, HELD, DEMO, OTHER))
    must_take(cli, data, a_bundle_of(tmp_path, NEEDY, name="second", assumes=(assumed(HELD),)))
    must_take(cli, data, a_bundle_of(tmp_path, DEMO, name="third", roots=("demo",)))
    must_undo(cli, data, "1")
    assert must_undo(cli, data, "2")["removed"] == [NEEDY.filename, HELD.filename]
    assert must_undo(cli, data, "3")["removed"] == [DEMO.filename]
    assert stored(data) == {}


def test_what_somebody_has_put_in_again_stays(cli: Cli, data: Path, tmp_path: Path) -> None:
    must_take(cli, data, a_bundle_of(tmp_path, DEMO, OTHER))
    cli.must("remove", "demo", "--force", f"--serverdir={data}")
    cli.must("add", str(DEMO.save(tmp_path)), f"--serverdir={data}")
    must_take(cli, data, a_bundle_of(tmp_path, DEMO, HELD, name="second"))
    told = must_undo(cli, data, "1")
    assert told["removed"] == [OTHER.filename]
    assert told["kept"] == [
        {"filename": DEMO.filename, "why": "it was removed and put in again since"}
    ]
    assert must_undo(cli, data, "last")["removed"] == [HELD.filename]
    assert stored(data) == contents(DEMO)


def test_volumes_are_undone_one_by_one(cli: Cli, data: Path, tmp_path: Path) -> None:
    must_take(cli, data, a_bundle_of(tmp_path, DEMO))
    must_take(cli, data, a_bundle_of(tmp_path, OTHER, name="second"))
    assert must_undo(cli, data, "1")["removed"] == [DEMO.filename]
    assert must_undo(cli, data, "2")["removed"] == [OTHER.filename]


def test_what_was_replaced_or_removed_since_is_left_alone(
    cli: Cli, data: Path, tmp_path: Path
) -> None:
    make_index(data, "root/local", volatile=True)
    must_take(cli, data, a_bundle_of(tmp_path, DEMO, OTHER))
    cli.must("add", str(CHANGED.save(tmp_path)), f"--serverdir={data}")
    cli.must("remove", "other", f"--serverdir={data}")
    told = must_undo(cli, data, "last")
    assert (told["removed"], told["gone_before"]) == ([], [OTHER.filename])
    (kept,) = told["kept"]
    assert kept == {"filename": DEMO.filename, "why": "it was replaced since, and has other bytes"}
    assert stored(data) == contents(CHANGED)


def test_what_an_import_yanked_is_yanked_no_more_unless_somebody_else_did_it_again(
    cli: Cli, data: Path, tmp_path: Path
) -> None:
    must_take(cli, data, a_bundle_of(tmp_path, DEMO, OTHER))
    later = {"created": CREATED + timedelta(days=1)}
    yanks = (notice(DEMO, "bad"), notice(OTHER, "bad"))
    must_take(cli, data, a_bundle_of(tmp_path, HELD, name="later", yanks=yanks, **later))
    cli.must("yank", "other", "1.0", "--reason=ours", f"--serverdir={data}")
    told = must_undo(cli, data, "last")
    assert (told["removed"], told["unyanked"]) == ([HELD.filename], [DEMO.filename])
    assert files_of(data, "demo")[0].yanked is None
    assert files_of(data, "other")[0].yanked == "ours"


def test_how_targets_stand_without_it_is_told(cli: Cli, data: Path, tmp_path: Path) -> None:
    must_take(cli, data, a_bundle_of(tmp_path, DEMO, roots=("demo",)))
    better = a_wheel("demo", "2.0", requires_dist=["other"])
    must_take(cli, data, a_bundle_of(tmp_path, better, OTHER, name="later", roots=("demo>=2",)))
    out = cli.must("bundle", "undo", "last", f"--serverdir={data}")
    assert out.splitlines() == [
        "undid import 2 (later.pkgbundle.zip)",
        "what other imports were made for, now and before:",
        "ok       cp39-win_amd64: 1 of 1 can be installed, 1 before",
        "root/local: 2 files removed",
    ]


def test_the_same_lines_of_another_import_count_on(cli: Cli, data: Path, tmp_path: Path) -> None:
    must_take(cli, data, a_bundle_of(tmp_path, DEMO, name="first", roots=("demo", "demo<9")))
    must_take(cli, data, a_bundle_of(tmp_path, OTHER, name="second", roots=("other",)))
    better = a_wheel("demo", "2.0")
    must_take(cli, data, a_bundle_of(tmp_path, better, name="third", roots=("demo", "demo<9")))
    told = must_undo(cli, data, "last")
    assert [(each["lines"], each["met"]) for each in told["targets"]] == [(1, 1), (2, 2)]


def test_a_line_that_was_withdrawn_is_not_told(cli: Cli, data: Path, tmp_path: Path) -> None:
    take(cli, data, a_bundle_of(tmp_path, DEMO, roots=("demo", "flaks")))
    must_take(cli, data, a_bundle_of(tmp_path, OTHER, name="later", roots=("other",)))
    cli.must("request", "--ignore=flaks", f"--serverdir={data}")
    out = cli.must("bundle", "undo", "last", f"--serverdir={data}")
    assert "ok       cp39-win_amd64: 1 of 1 can be installed, 1 before" in out


def test_where_nothing_is_left_it_is_told_what_can_be_installed_no_more(
    cli: Cli, data: Path, tmp_path: Path
) -> None:
    must_take(cli, data, a_bundle_of(tmp_path, DEMO, roots=("demo",)))
    out = cli.must("bundle", "undo", "last", f"--serverdir={data}")
    assert out.splitlines()[:3] == [
        "undid import 1 (site.pkgbundle.zip)",
        "what it was made for, now and before:",
        "error    cp39-win_amd64: 0 of 1 can be installed, 1 before",
    ]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ("2", "import 2: it was undone already, with serial 3"),
        ("7", "there is no import 7 here"),
        ("last", "nothing to undo: every import was undone already"),
    ],
)
def test_what_cannot_be_undone_is_told_and_nothing_is_done(
    words: str, complaint: str, cli: Cli, data: Path, tmp_path: Path
) -> None:
    cli.must("index", "create", "root/dev", f"--serverdir={data}")
    must_take(cli, data, a_bundle_of(tmp_path, DEMO), "--index=root/dev")
    must_undo(cli, data, "2")
    before = state(data)
    called = cli("bundle", "undo", words, f"--serverdir={data}")
    assert (called.exit_code, called.out) == (2, "")
    assert called.err.startswith(f"simpleindex-server: {complaint}")
    assert called.err.count("\n") == 1
    assert state(data) == before


def test_where_nothing_was_taken_in_there_is_nothing_to_undo(cli: Cli, data: Path) -> None:
    for words in (["last"], ["last", "--dry-run"]):
        called = cli("bundle", "undo", *words, f"--serverdir={data}")
        assert (called.exit_code, called.out) == (2, "")
        assert called.err == (
            "simpleindex-server: nothing to undo: nothing has been taken in yet\n"
        )


def test_what_is_no_serial_is_told(cli: Cli, data: Path) -> None:
    complaint = cli("bundle", "undo", "first", f"--serverdir={data}").complaint
    assert complaint.startswith("'first' is neither a serial nor 'last'")
