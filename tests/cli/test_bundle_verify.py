"""`bundle verify`, `show` and `diff`: what they tell of bundles, and with which exit code."""

import json
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from simpleindex.gap.bundle.manifest import AssumedFile, Manifest, Notice, Problem
from simpleindex.gap.bundle.reading import open_bundle
from simpleindex.gap.bundle.signatures import sign_with
from simpleindex.gap.targets import parse_target
from tests.builders import BuiltFile, a_wheel
from tests.cli.commands import Called, Cli
from tests.gap.bundle.bundles import a_bundle, a_manifest, some_wheels
from tests.gap.bundle.keys import a_key

WHEELS = some_wheels(3)
DEMO, NEWER = a_wheel("demo", "1.0"), a_wheel("demo", "1.1")
WINDOWS, LINUX = parse_target("3.9.18-win_amd64"), parse_target("3.6.15-manylinux_2_17_x86_64")


@pytest.fixture
def fine(tmp_path: Path) -> Path:
    """A bundle with nothing to say against it."""
    a_bundle(tmp_path / "fine.zip", WHEELS)
    return tmp_path / "fine.zip"


@pytest.fixture
def damaged(fine: Path) -> Path:
    """One of which two files are damaged."""
    raw = bytearray(fine.read_bytes())
    for wheel in WHEELS[1:]:
        raw[raw.index(wheel.content)] ^= 1
    path = fine.with_name("damaged.zip")
    path.write_bytes(raw)
    return path


def told(called: Called) -> Any:
    """The document that a command printed."""
    return json.loads(called.out)


# verify


def test_a_bundle_that_is_fine_is_told_to_be(cli: Cli, fine: Path) -> None:
    digest = open_bundle(fine).volumes[0].digest
    size = sum(len(wheel.content) for wheel in WHEELS)
    assert cli.must("bundle", "verify", fine) == (
        f"{fine}: 3 files, {size / 1000:.1f} KB, for 1 target\n"
        "made 2026-11-23T12:00:00Z by simpleindex-server 1.0\n"
        f"digest {digest}\n"
        "not signed\n"
        "all of it is there, and as it was made\n"
    )
    assert json.loads(cli.must("bundle", "verify", "--json", fine)) == {
        "bundle": str(fine),
        "files": 3,
        "bytes": size,
        "digests": {str(fine): digest},
        "signer": {"standing": "unsigned", "fingerprint": None, "name": None},
        "missing_parts": [],
        "faults": [],
        "refused": None,
    }


def test_every_damaged_file_is_named_and_the_exit_code_is_1(cli: Cli, damaged: Path) -> None:
    called = cli("bundle", "verify", damaged)
    assert (called.exit_code, called.err) == (1, "")
    faults = [line for line in called.out.splitlines() if line.startswith("fault  ")]
    assert [fault.split(": its ")[1].split()[0] for fault in faults] == [
        wheel.filename for wheel in WHEELS[1:]
    ]
    assert "as it was made" not in called.out
    called = cli("bundle", "verify", "--json", damaged)
    assert (called.exit_code, len(told(called)["faults"])) == (1, 2)


def test_what_is_no_bundle_or_not_all_of_one_is_told_in_a_line(
    cli: Cli, fine: Path, tmp_path: Path
) -> None:
    (tmp_path / "short.zip").write_bytes(fine.read_bytes()[:-1])
    assert "short.zip: it is cut short" in cli("bundle", "verify", tmp_path / "short.zip").complaint
    assert "it is no bundle" in cli("bundle", "verify", tmp_path).complaint
    assert "does not exist" in cli("bundle", "verify", tmp_path / "gone.zip").complaint
    assert "Missing argument 'BUNDLE'" in cli("bundle", "verify").complaint


def test_a_digest_that_was_told_by_voice_is_compared(cli: Cli, fine: Path) -> None:
    digest = open_bundle(fine).volumes[0].digest
    cli.must("bundle", "verify", fine, f"--expect={digest.lower().replace('-', ' ')}")
    called = cli("bundle", "verify", fine, "--expect=00000-00000-00000-00000")
    assert (called.exit_code, called.err) == (2, "")
    why = f"{fine}: its digest is {digest}, and that is not what is expected"
    assert f"refused  {why}\n" in called.out


def test_who_signed_is_told_and_what_is_required_is_kept(
    cli: Cli, fine: Path, data: Path, tmp_path: Path
) -> None:
    where = f"--serverdir={data}"
    for name in ("alice", "bob"):
        a_bundle(tmp_path / f"{name}.zip", WHEELS, sign=sign_with(a_key(tmp_path, name)))
    fingerprint = cli.must("trust", "add", tmp_path / "alice.pub", where).split()[-1]

    alices = cli.must("bundle", "verify", tmp_path / "alice.zip", where, "--require-signature")
    assert f"signed by alice@outside ({fingerprint})\n" in alices
    bobs = cli("bundle", "verify", "--json", tmp_path / "bob.zip", where)
    assert (bobs.exit_code, told(bobs)["signer"]["standing"]) == (2, "unknown")
    assert "which is not trusted here; if you know whose key that is" in told(bobs)["refused"]
    cli.must("bundle", "verify", fine, where)
    unsigned = cli("bundle", "verify", fine, where, "--require-signature")
    assert unsigned.exit_code == 2
    assert "refused  " in unsigned.out
    (data / "simpleindex.toml").write_text("require_signature = true\n")
    assert cli("bundle", "verify", fine, where).exit_code == 2
    cli.must("bundle", "verify", fine, where, "--no-require-signature")


def test_keys_in_a_file_are_compared_where_there_is_no_server(cli: Cli, tmp_path: Path) -> None:
    a_bundle(tmp_path / "b.zip", WHEELS, sign=sign_with(a_key(tmp_path, "alice")))
    cli.must("trust", "add", tmp_path / "alice.pub", f"--keys={tmp_path / 'keys'}")
    out = cli.must("bundle", "verify", tmp_path / "b.zip", f"--keys={tmp_path / 'keys'}")
    assert "signed by alice@outside" in out
    assert "which is not trusted here" in cli.must("bundle", "verify", tmp_path / "b.zip")


def test_a_signature_that_is_wrong_is_refused(cli: Cli, tmp_path: Path) -> None:
    key = a_key(tmp_path)
    a_bundle(tmp_path / "b.zip", WHEELS, sign=lambda raw: sign_with(key)(raw + b" "))
    complaint = cli("bundle", "verify", tmp_path / "b.zip").complaint
    assert "b.zip: its signature is wrong: it is not of this manifest.json" in complaint


def test_of_several_parts_one_is_enough_to_name(cli: Cli, tmp_path: Path) -> None:
    wheels = some_wheels(5, payload_bytes=40_000)
    written = a_bundle(tmp_path / "b.zip", wheels, max_bytes=130_000)
    paths = [each.path for each in written]
    for given in (paths[:1], paths[1:2], paths):
        document = json.loads(cli.must("bundle", "verify", "--json", *given))
        assert (document["files"], document["missing_parts"]) == (5, [])
        assert document["digests"] == {str(each.path): each.digest for each in written}
    expected = [f"--expect={each.digest}" for each in written]
    cli.must("bundle", "verify", paths[0], *expected)
    assert cli("bundle", "verify", paths[0], *expected[1:]).exit_code == 2

    paths[2].unlink()
    document = json.loads(cli.must("bundle", "verify", "--json", paths[0]))
    assert document["missing_parts"] == [3]
    assert "part 3 of 3 is not here, with 1 file" in cli.must("bundle", "verify", paths[0])


def test_a_folder_is_as_good_as_a_zip(cli: Cli, fine: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(fine) as archive:
        archive.extractall(tmp_path / "unpacked")
    assert "as it was made" in cli.must("bundle", "verify", tmp_path / "unpacked")


# show


def a_site(*wheels: BuiltFile, **changed: object) -> Manifest:
    """A manifest for two targets, of which one lacks something."""
    manifest = a_manifest(
        wheels,
        targets=(WINDOWS, LINUX),
        roots=("demo", "project1>=1", "lost"),
        problems=(Problem("lost", 1, "unmet", ("lost 1.0 needs gone", "there is no gone")),),
    )
    return replace(manifest, **changed)  # type: ignore[arg-type]  # by name


def test_what_a_bundle_holds_is_told_by_target_and_release(cli: Cli, tmp_path: Path) -> None:
    manifest = a_site(
        DEMO,
        *WHEELS,
        assumes=(AssumedFile(a_manifest([NEWER]).files[0].name, NEWER.sha256),),
        yanks=(Notice(a_manifest([NEWER]).files[0].name, NEWER.sha256, "broken"),),
        base="0123456789",
        result_stamp="ABCDEFGHJK",
        notes=("a note",),
    )
    a_bundle(tmp_path / "b.zip", [DEMO, *WHEELS], manifest=manifest)

    lines = cli.must("bundle", "show", tmp_path / "b.zip").splitlines()

    for line in (
        "not signed",
        "for a site of stamp 0123456789",
        "the site is of stamp ABCDEFGHJK with it",
        "1 file more must be there already",
        "note: a note",
        "3.9.18-win_amd64  Python 3.9.18, Windows amd64: 4 files; all lines met",
        "  cannot have lost: lost 1.0 needs gone -> there is no gone",
        "  project1>=1",
        "demo      1.0  1 file  " + f"{len(DEMO.content)} bytes",
        "withdrawn: demo-1.1-py3-none-any.whl (broken)",
    ):
        assert line in lines
    assert any(line.endswith(": 0 files; 1 line unmet") for line in lines)
    files = cli.must("bundle", "show", "--files", tmp_path / "b.zip")
    assert all(f"{wheel.filename}  " in files and wheel.sha256 in files for wheel in WHEELS)


def test_programs_are_shown_the_manifest_itself(cli: Cli, fine: Path) -> None:
    document = json.loads(cli.must("bundle", "show", "--json", fine))
    with zipfile.ZipFile(fine) as archive:
        manifest = json.loads(archive.read("manifest.json"))
    assert {name: document[name] for name in manifest} == manifest
    assert document["digests"] == {str(fine): open_bundle(fine).volumes[0].digest}
    assert document["signer"]["standing"] == "unsigned"


def test_names_that_would_steer_a_terminal_are_shown_plainly(cli: Cli, tmp_path: Path) -> None:
    manifest = a_site(DEMO, notes=("evil\u202e\u0085",))
    a_bundle(tmp_path / "b.zip", [DEMO], manifest=manifest)
    assert "note: evil??\n" in cli.must("bundle", "show", tmp_path / "b.zip")


# diff


def test_what_is_new_gone_and_changed_is_told(cli: Cli, tmp_path: Path) -> None:
    other = replace(WHEELS[0], content=a_wheel("project1", "1.0", extra_files={"x": b""}).content)
    a_bundle(tmp_path / "a.zip", [DEMO, *WHEELS], manifest=a_site(DEMO, *WHEELS))
    solved = a_site(NEWER, other, *WHEELS[1:], problems=(), roots=("demo", "more"))
    a_bundle(tmp_path / "b.zip", [NEWER, other, *WHEELS[1:]], manifest=solved)

    out = cli.must("bundle", "diff", tmp_path / "a.zip", tmp_path / "b.zip")
    found = json.loads(cli.must("bundle", "diff", "--json", tmp_path / "a.zip", tmp_path / "b.zip"))

    assert [each["filename"] for each in found["new"]] == [NEWER.filename]
    assert [each["filename"] for each in found["gone"]] == [DEMO.filename]
    (changed,) = found["changed"]
    assert changed["before"]["sha256"] == WHEELS[0].sha256
    assert changed["after"] == {
        "filename": other.filename, "sha256": other.sha256, "size": len(other.content),
    }  # fmt: skip
    assert (found["same"], found["new_bytes"], found["gone_bytes"]) == (
        2, len(NEWER.content), len(DEMO.content),
    )  # fmt: skip
    assert found["new_roots"] == ["more"]
    assert found["gone_roots"] == ["project1>=1", "lost"]
    assert found["targets"] == [
        {"target": LINUX.name, "problems_before": 1, "problems_after": 0, "new_problems": [],
         "solved": ["lost"]}
    ]  # fmt: skip
    for line in (
        f"new      {NEWER.filename}",
        f"gone     {DEMO.filename}",
        f"changed  {other.filename}",
        "line  gone  lost",
        f"{LINUX.name}  1 problem before, 0 now",
        "  solved, or not asked for any more: lost",
        "1 file new",
    ):
        assert line in out


def test_problems_that_are_new_are_told_with_their_reasons(cli: Cli, tmp_path: Path) -> None:
    a_bundle(tmp_path / "a.zip", [DEMO], manifest=a_site(DEMO, problems=(), targets=(LINUX,)))
    a_bundle(tmp_path / "b.zip", [DEMO], manifest=a_site(DEMO))
    out = cli.must("bundle", "diff", tmp_path / "a.zip", tmp_path / "b.zip")
    assert f"target  new  {WINDOWS.name}" in out
    assert f"{LINUX.name}  0 problems before, 1 now" in out
    assert "  cannot have lost any more: lost 1.0 needs gone -> there is no gone" in out


def test_what_must_be_at_the_site_is_no_difference(cli: Cli, tmp_path: Path) -> None:
    a_bundle(tmp_path / "a.zip", [DEMO, *WHEELS])
    assumed = tuple(
        AssumedFile(file.name, file.sha256, file.targets) for file in a_manifest(WHEELS).files
    )
    a_bundle(tmp_path / "b", [DEMO], manifest=a_manifest([DEMO], assumes=assumed), as_folder=True)
    for pair in (("a.zip", "b"), ("b", "a.zip"), ("a.zip", "a.zip")):
        out = cli.must("bundle", "diff", *(tmp_path / name for name in pair))
        assert out == "no difference; 4 files in both\n"


def test_parts_are_compared_as_one(cli: Cli, tmp_path: Path) -> None:
    wheels = some_wheels(5, payload_bytes=40_000)
    a_bundle(tmp_path / "whole.zip", wheels)
    parts = a_bundle(tmp_path / "b.zip", wheels, max_bytes=130_000)
    out = cli.must("bundle", "diff", tmp_path / "whole.zip", parts[1].path)
    assert out == "no difference; 5 files in both\n"


def test_only_bundles_are_compared(cli: Cli, fine: Path, tmp_path: Path) -> None:
    shutil.copy(fine, tmp_path / "other.zip")
    (tmp_path / "x.zip").write_bytes(b"x")
    assert "it is no bundle" in cli("bundle", "diff", fine, tmp_path / "x.zip").complaint
    assert "Missing argument 'AFTER'" in cli("bundle", "diff", fine).complaint
