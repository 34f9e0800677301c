"""Manifests: read as they were written, and refused where they make no sense."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from simpleindex.gap.bundle.manifest import (
    FORMAT,
    AssumedFile,
    BundledFile,
    ExtraFile,
    FileElsewhere,
    Manifest,
    Notice,
    Origin,
    Part,
    Problem,
    dump_manifest,
    parse_manifest,
    spoken_digest,
    stamp,
)
from simpleindex.gap.targets import parse_target
from simpleindex_storage.errors import Refused
from simpleindex_storage.names import parse_filename

_NAME = parse_filename("demo-1.0-py3-none-any.whl")
_WHEN = datetime(2026, 11, 22, 13, 0, 5, tzinfo=UTC)

_MANIFEST = Manifest(
    created=_WHEN,
    tool="simpleindex-server 1.0",
    targets=(parse_target("cp39-win_amd64"), parse_target("3.9.18-linux_x86_64")),
    roots=("demo>=1; python_version > '3'", "other[extra]"),
    constraints=("demo<2",),
    pre_releases=True,
    files=(
        BundledFile(_NAME, "a" * 64, 1000, (0, 1)),
        BundledFile(
            parse_filename("other-1.0.tar.gz"),
            "b" * 64,
            0,
            (1,),
            Origin.BUILT,
            built_from="c" * 64,
            uploaded_at=_WHEN,
            yanked="",
            requires_python=">=3.6",
            licence="MIT — 授權",
        ),
    ),
    assumes=(AssumedFile(_NAME, "d" * 64, (0,)),),
    elsewhere=(FileElsewhere(_NAME, "e" * 64, 2),),
    yanks=(Notice(_NAME, "f" * 64, "broken"),),
    removals=(Notice(_NAME, "0" * 64, ""),),
    problems=(Problem("other[extra]", 1, "unmet", ("other needs gone", "there is no gone")),),
    notes=("one",),
    base="0123456789",
    result_stamp="ABCDEFGHJK",
    part=Part(1, 3, "ZZZZZZZZZZ"),
    extras=(ExtraFile("README.zh-Hant.txt", "1" * 64, 7),),
)


def test_a_manifest_is_read_as_it_was_written() -> None:
    assert parse_manifest(dump_manifest(_MANIFEST), "b.zip") == _MANIFEST


def test_the_least_that_a_manifest_can_say_is_enough() -> None:
    least = Manifest(_WHEN, "x", (), ())

    assert parse_manifest(dump_manifest(least), "b.zip") == least


def test_what_newer_programs_say_besides_is_left_alone() -> None:
    document = json.loads(dump_manifest(_MANIFEST))
    document["later"] = {"more": 1}
    document["files"][0]["later"] = True

    assert parse_manifest(json.dumps(document).encode(), "b.zip") == _MANIFEST


def test_a_newer_format_is_refused_in_a_sentence_that_says_what_to_do() -> None:
    document = json.loads(dump_manifest(_MANIFEST)) | {"format": FORMAT + 1, "files": "others"}

    with pytest.raises(Refused, match=r"b\.zip: it is of format 2, .* take a newer"):
        parse_manifest(json.dumps(document).encode(), "b.zip")


def _spoilt(change: Callable[[Any], object]) -> bytes:
    document = json.loads(dump_manifest(_MANIFEST))
    change(document)
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff",
        b'{"format": true}',
        b"[" * 100_000,
        _spoilt(lambda it: it.update(created="yesterday")),
        _spoilt(lambda it: it.update(created=None)),
        _spoilt(lambda it: it.update(tool=None)),
        _spoilt(lambda it: it.update(targets=[{"python": "nonsense"}])),
        _spoilt(lambda it: it.update(roots="demo")),
        _spoilt(lambda it: it.update(roots=["demo\nother"])),
        _spoilt(lambda it: it.update(pre_releases="yes")),
        _spoilt(lambda it: it["files"][0].update(filename="../../etc/passwd")),
        _spoilt(lambda it: it["files"][0].update(filename="a/b-1.0.tar.gz")),
        _spoilt(lambda it: it["files"][0].update(sha256="A" * 64)),
        _spoilt(lambda it: it["files"][0].update(size=-1)),
        _spoilt(lambda it: it["files"][0].update(size=1.5)),
        _spoilt(lambda it: it["files"][0].update({"for": [2]})),
        _spoilt(lambda it: it["files"][0].update({"for": ["0"]})),
        _spoilt(lambda it: it["files"][0].update(origin="heaven")),
        _spoilt(lambda it: it["files"].append(1)),
        _spoilt(lambda it: it["assumes"][0].pop("sha256")),
        _spoilt(lambda it: it["extras"][0].update(name="autorun.inf")),
        _spoilt(lambda it: it["extras"][0].update(name="../README.txt")),
        _spoilt(lambda it: it["extras"][0].update(size=1 << 40)),
        _spoilt(lambda it: it["elsewhere"][0].update(part=0)),
        _spoilt(lambda it: it["problems"][0].update(target=2)),
        _spoilt(lambda it: it["part"].update(number=4)),
    ],
)
def test_what_makes_no_sense_is_refused(raw: bytes) -> None:
    with pytest.raises(Refused, match=r"b\.zip|target|file"):
        parse_manifest(raw, "b.zip")


def test_a_stamp_names_a_set_of_files_in_any_order() -> None:
    assert stamp(["a" * 64, "b" * 64]) == stamp(["b" * 64, "a" * 64, "a" * 64])
    assert stamp(["a" * 64]) != stamp(["b" * 64])
    assert len(stamp([])) == 10


def test_a_digest_can_be_read_out_and_changes_with_every_byte() -> None:
    digest = spoken_digest(dump_manifest(_MANIFEST))

    assert [len(group) for group in digest.split("-")] == [5, 5, 5, 5]
    assert not set(digest) & set("ILOU")
    assert digest != spoken_digest(dump_manifest(_MANIFEST) + b" ")
