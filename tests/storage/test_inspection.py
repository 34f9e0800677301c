"""The strict walk of whole wheels and sdists: every fault is found, and nothing else."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simpleindex_storage.errors import Refused, Unavailable
from simpleindex_storage.faults import RULES, Faults, Finding, Verdict
from simpleindex_storage.inspection import inspect
from simpleindex_storage.member_names import MemberNames
from simpleindex_storage.names import parse_filename
from tests.bad_archives import (
    BAD_ARCHIVES,
    DIST_INFO,
    GOOD_ARCHIVES,
    SDIST,
    WHEEL,
    ZIP_SDIST,
    BadArchive,
    wheel_with,
    wheel_with_record,
)
from tests.builders import BuiltFile, a_zip, core_metadata, record, wheel_members
from tests.raw_archives import raw_members, raw_zip
from tests.storage.inspections import inspected


@pytest.mark.parametrize(
    "bad",
    [bad for bad in BAD_ARCHIVES if RULES[bad.rule].verdict is Verdict.ALWAYS],
    ids=lambda bad: bad.id,
)
def test_what_would_hurt_or_fool_installers_is_refused(bad: BadArchive, tmp_path: Path) -> None:
    built = bad.build()
    with pytest.raises(Refused) as refused:
        inspected(built, tmp_path)
    assert refused.value.__notes__ == [bad.rule]
    line = str(refused.value)
    assert line.startswith(f"{built.filename}: ")
    assert bad.words in line
    assert line.isprintable()


@pytest.mark.parametrize(
    "bad",
    [bad for bad in BAD_ARCHIVES if RULES[bad.rule].verdict is Verdict.STRICT],
    ids=lambda bad: bad.id,
)
def test_what_is_old_or_sloppy_is_a_finding(bad: BadArchive, tmp_path: Path) -> None:
    built = bad.build()
    metadata, findings = inspected(built, tmp_path)
    assert metadata.name == "demo"
    assert [finding.rule for finding in findings] == [bad.rule]
    line = findings[0].sentence
    assert line.startswith(f"{built.filename}: ")
    assert bad.words in line
    assert line.isprintable()
    assert str(findings[0].refusal()) == line


@pytest.mark.parametrize("build", GOOD_ARCHIVES, ids=lambda build: build.__name__.replace("_", " "))
def test_what_is_right_has_no_finding(build: Callable[[], BuiltFile], tmp_path: Path) -> None:
    metadata, findings = inspected(build(), tmp_path)
    assert metadata.name == "demo"
    assert findings == ()


def test_there_is_a_bad_archive_for_each_rule() -> None:
    decided = {rule for rule, row in RULES.items() if row.verdict is not Verdict.ALLOWED}
    assert {bad.rule for bad in BAD_ARCHIVES} == decided


def test_each_rule_says_what_to_do() -> None:
    assert [rule for rule, row in RULES.items() if not row.reason] == []
    assert [
        rule for rule, row in RULES.items() if not row.advice and row.verdict is not Verdict.ALLOWED
    ] == []


def test_what_is_wrong_in_many_places_is_one_finding(tmp_path: Path) -> None:
    built = wheel_with_record(lambda _: f"{DIST_INFO}/RECORD,,\n")
    _, (finding,) = inspected(built, tmp_path)
    assert finding == Finding(
        "record-unlisted",
        WHEEL,
        "its RECORD does not list 'demo/__init__.py' (and 2 more like it) (record-unlisted); "
        "build it again with a current tool",
    )


def test_all_that_is_wrong_is_found(tmp_path: Path) -> None:
    members = wheel_members("demo", "1.0", metadata=core_metadata(requires_python="three"))
    members[f"{DIST_INFO}/entry_points.txt"] = b"demo = demo:main\n"
    members[f"{DIST_INFO}/RECORD"] = f"{DIST_INFO}/RECORD,,\n".encode()
    built = BuiltFile(WHEEL, raw_zip(raw_members(members), comment=b"x"))
    _, findings = inspected(built, tmp_path)
    assert [finding.rule for finding in findings] == [
        "zip-comment",
        "requires-python",
        "entry-points",
        "record-unlisted",
    ]


def test_a_file_that_cannot_be_read_back_is_no_fault_of_the_sender(tmp_path: Path) -> None:
    for filename in (WHEEL, SDIST, ZIP_SDIST):
        with pytest.raises(Unavailable, match=f"{filename} cannot be read back"):
            inspect(tmp_path / filename, parse_filename(filename))


@pytest.mark.parametrize("name", ["x" * 1000, "demo/" + "\u65e5" * 500])
def test_the_names_of_all_members_together_are_bounded(name: str) -> None:
    names = MemberNames(Faults(parse_filename(SDIST)))
    with pytest.raises(Refused) as refused:
        for number in range(40_000):
            names.add(f"{name}{number}", is_folder=False)
    assert refused.value.__notes__ == ["too-many-members"]


@pytest.mark.parametrize(
    "text",
    [
        "Requires-Dist: x; " + "(" * 4000 + "\n",
        "Requires-Dist: x" + ">" * 100_000 + "\n",
        "Requires-Dist: x>=" + "9" * 4900 + "\n",
        "Requires-Python: >=" + "9" * 4900 + "\n",
        "Requires-Python: " + ">=1," * 100_000 + "\n",
        "License-Expression: " + "(" * 900 + "\n",
        "License-Expression: " + "MIT or " * 100_000 + "\n",
        "Requires-Dist: x\n" * 50_000,
        "License-File: x\n" * 50_000,
    ],
    ids=lambda text: text[:24].strip(),
)
def test_metadata_that_is_made_to_take_time_is_read_soon(text: str, tmp_path: Path) -> None:
    raw = b"Metadata-Version: 2.4\nName: demo\nVersion: 1.0\n" + text.encode()
    built = wheel_with({f"{DIST_INFO}/METADATA": raw})
    begun = time.process_time()
    _, findings = inspected(built, tmp_path)
    assert time.process_time() - begun < 5
    assert len(findings) == 1


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("WHEEL", b"Wheel-Version: 1.0\n" + b"Tag: " + b"a." * 100_000 + b"-b-c\n"),
        ("WHEEL", b"Wheel-Version: 1.0\n" + b"Tag: a-b-c\n" * 20_000),
        ("entry_points.txt", b"[console_scripts]\n" + b"a" + b" " * 200_000 + b"b\n"),
        ("entry_points.txt", b"[" * 200_000),
    ],
    ids=["long tag", "many tags", "long line", "brackets"],
)
def test_small_files_that_are_made_to_take_time_are_read_soon(
    name: str, content: bytes, tmp_path: Path
) -> None:
    built = wheel_with({f"{DIST_INFO}/{name}": content})
    begun = time.process_time()
    _, findings = inspected(built, tmp_path)
    assert time.process_time() - begun < 2
    assert {finding.rule for finding in findings} <= {"entry-points"}


@pytest.mark.parametrize("name", ["METADATA", "WHEEL", "RECORD", "entry_points.txt"])
@settings(max_examples=200, deadline=None)
@given(content=st.binary() | st.text().map(str.encode), keeps=st.booleans())
def test_anything_in_the_files_of_dist_info_is_refused_or_found(
    name: str, content: bytes, keeps: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    usual = usual_files()[f"{DIST_INFO}/{name}"]
    files = {f"{DIST_INFO}/{name}": usual + content if keeps else content}
    refused_or_found(BuiltFile(WHEEL, a_zip(usual_files() | files)), tmp_path_factory)


@pytest.mark.parametrize("filename", [WHEEL, SDIST, ZIP_SDIST])
@settings(max_examples=200, deadline=None)
@given(content=st.binary(), ahead=st.sampled_from([b"", b"PK\3\4", b"\x1f\x8b\x08", b"PK\5\6"]))
def test_anything_at_all_is_refused(
    filename: str, content: bytes, ahead: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with pytest.raises(Refused):
        path = tmp_path_factory.mktemp("anything") / filename
        path.write_bytes(ahead + content)
        inspect(path, parse_filename(filename))


@pytest.mark.parametrize("build", GOOD_ARCHIVES, ids=lambda build: build.__name__)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_damage_of_any_kind_is_refused_or_found(
    build: Callable[[], BuiltFile], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    built = build()
    damaged = bytearray(built.content)
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(damaged) - 1))
        piece = data.draw(st.binary(min_size=1, max_size=8))
        damaged[at : at + data.draw(st.sampled_from([0, 1, len(piece)]))] = piece
    refused_or_found(BuiltFile(built.filename, bytes(damaged)), tmp_path_factory)


def usual_files() -> dict[str, bytes]:
    """What lies in a wheel; its RECORD is right as long as nothing is changed."""
    members = wheel_members("demo", "1.0", metadata=core_metadata())
    members[f"{DIST_INFO}/entry_points.txt"] = b"[console_scripts]\ndemo = demo:main\n"
    return members | {f"{DIST_INFO}/RECORD": record(members, DIST_INFO)}


def refused_or_found(built: BuiltFile, folders: pytest.TempPathFactory) -> None:
    """Nothing else is raised, and each line can be read."""
    try:
        metadata, findings = inspected(built, folders.mktemp("damaged"))
    except Refused as refused:
        assert str(refused).isprintable()
    else:
        assert metadata.name
        assert all(finding.sentence.isprintable() for finding in findings)
