"""Each target with its seeds and a few inputs more; and that each finds what it is there for."""

import base64
import logging
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import pytest

from simpleindex.gap.bundle import reading, verify
from simpleindex.wire import (
    conditional,
    credentials,
    devpi_json,
    locations,
    negotiate,
    upload_form,
    upstream_list,
    upstream_page,
)
from simpleindex.wire.credentials import Credentials
from simpleindex.wire.multipart import Event, FileChunk, FileEnd, MultipartParser
from simpleindex_storage import inspection, names
from simpleindex_storage.member_names import MemberNames, plain_name
from simpleindex_storage.metadata import parse_core_metadata
from simpleindex_storage.model import CoreMetadata
from simpleindex_storage.names import DistFilename, parse_filename
from simpleindex_storage.record_file import Digest, Record
from simpleindex_storage.tar_walk import TarWalk
from simpleindex_storage.zip_directory import ZipEntry
from simpleindex_storage.zip_walk import Take, ZipWalk
from tests.fuzz import __main__ as command
from tests.fuzz import archive_checks, engine, references, wire_checks
from tests.fuzz.coverage import coverage_of
from tests.fuzz.engine import Fuzzer
from tests.fuzz.targets import TARGETS, Target, available

_MORE_INPUTS = 300
_INPUTS_UNTIL_FOUND_MAX = 4000


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """python-multipart logs what it refuses."""
    logger = logging.getLogger("python_multipart")
    logger.setLevel(logging.CRITICAL)
    yield
    logger.setLevel(logging.NOTSET)


def fuzzed(target: Target, more_inputs: int, seed: int = 1) -> engine.Report:
    return Fuzzer(target, seed=seed).run(inputs_max=len(target.seeds()) + more_inputs)


@pytest.mark.parametrize("target", available().values(), ids=available())
def test_nothing_breaks_what_must_hold(target: Target) -> None:
    report = fuzzed(target, _MORE_INPUTS)
    assert [failure.trace for failure in report.failures.values()] == []
    assert report.accepted > 0
    assert report.refused > 0


@pytest.mark.full
@pytest.mark.parametrize("target", available().values(), ids=available())
def test_nothing_breaks_what_must_hold_for_longer(target: Target) -> None:
    report = fuzzed(target, 20_000, seed=2)
    assert [failure.trace for failure in report.failures.values()] == []


# Planted faults, each of which its target must find


class _LosesCarriageReturns(MultipartParser):
    def feed(self, chunk: bytes) -> list[Event]:
        return super().feed(chunk.removesuffix(b"\r"))


class _MendsTheFile(MultipartParser):
    def feed(self, chunk: bytes) -> list[Event]:
        return [
            FileChunk(event.data.replace(b"-", b"_")) if isinstance(event, FileChunk) else event
            for event in super().feed(chunk)
        ]


class _Hoards(MultipartParser):
    def __init__(self, content_type: str) -> None:
        super().__init__(content_type)
        self._content = b""

    def feed(self, chunk: bytes) -> list[Event]:
        events: list[Event] = []
        for event in super().feed(chunk):
            if isinstance(event, FileChunk):
                self._content += event.data
                continue
            if isinstance(event, FileEnd) and self._content:
                events.append(FileChunk(self._content))
            events.append(event)
        return events


class _IgnoresChecksums(ZipWalk):
    def _inflate(self, entry: ZipEntry, take: Take | None) -> int:
        super()._inflate(entry, take)
        return entry.crc


class _IgnoresLongNames(TarWalk):
    def _said_once(self, pax: str | None, long: str | None) -> str | None:
        return None


class _IgnoresPlaces(MemberNames):
    def _checked(self, name: str) -> str:
        return plain_name(name)


class _IgnoresTargets(MemberNames):
    def add_symbolic_link(self, name: str, target: str) -> str:
        return self.add(name)


class _IgnoresDigests(Record):
    def _compare_digest(self, name: str, told: str, digest: Digest) -> None:
        pass


def _with_the_last_name(raw: bytes) -> CoreMetadata:
    said = references.read_by_email(raw).get_all("Name", [""])
    return replace(parse_core_metadata(raw), name=str(said[-1]).strip() or "none")


def _with_a_key_as_spelled(text: str) -> DistFilename:
    return replace(parse_filename(text), key=text)


def _decoded_loosely(value: str) -> Credentials | None:
    user, colon, secret = base64.b64decode(value + "==").decode("latin-1").partition(":")
    return Credentials(user, secret) if colon else None


def _decoded_twice(path: str) -> locations.Location | None:
    return _locate(unquote(path))


_locate = locations.locate


def _nothing(*_: object) -> None:
    pass


FAULTS: tuple[tuple[str, str, object, str, object], ...] = (
    ("multipart", "loses a CR", wire_checks, "MultipartParser", _LosesCarriageReturns),
    ("multipart", "mends the file", wire_checks, "MultipartParser", _MendsTheFile),
    ("multipart", "hoards the file", wire_checks, "MultipartParser", _Hoards),
    ("upload-form", "takes any digest", upload_form, "_HEX", re.compile(".*")),
    ("accept", "ignores weights", negotiate, "_weight", lambda _: 1.0),
    ("accept-encoding", "ignores weights", negotiate, "_weight", lambda _: 1.0),
    ("range", "ignores If-Range", conditional, "_still_the_same", lambda *_: True),
    ("range", "ends one too early", conditional, "_position", lambda text: int(text or "1") - 1),
    ("if-none-match", "splits at commas", conditional, "_OPAQUE_TAG", re.compile('"[^",]*"')),
    ("credentials", "decodes loosely", credentials, "_decoded", _decoded_loosely),
    ("json", "takes any value", devpi_json, "_check_value", _nothing),
    ("path", "decodes twice", locations, "locate", _decoded_twice),
    ("file-name", "spells the key", wire_checks, "parse_filename", _with_a_key_as_spelled),
    ("name", "takes a slash", names, "_PART", re.compile("[A-Za-z0-9./@-]{1,64}")),
    ("upstream-json", "takes any URL", upstream_page, "_QUOTED_URL", re.compile(".*")),
    ("upstream-html", "takes any digest", upstream_page, "_HEX", re.compile(".*")),
    ("upstream-json-list", "takes any name", upstream_list, "_NORMALISED", re.compile(".*")),
    ("upstream-html-list", "takes any name", upstream_list, "_NORMALISED", re.compile(".*")),
    ("zip", "ignores checksums", archive_checks, "ZipWalk", _IgnoresChecksums),
    ("unzip", "ignores checksums", archive_checks, "ZipWalk", _IgnoresChecksums),
    ("tar", "ignores long names", archive_checks, "TarWalk", _IgnoresLongNames),
    ("wheel", "ignores places", inspection, "MemberNames", _IgnoresPlaces),
    ("wheel", "ignores digests", inspection, "Record", _IgnoresDigests),
    ("wheel", "ignores scripts", inspection, "check_entry_points", _nothing),
    ("sdist", "ignores targets", inspection, "MemberNames", _IgnoresTargets),
    ("metadata", "takes the last name", archive_checks, "parse_core_metadata", _with_the_last_name),
    ("wheel-file", "takes any version", archive_checks, "check_wheel_file", _nothing),
    ("entry-points", "takes any script", archive_checks, "check_entry_points", _nothing),
    ("record", "ignores digests", archive_checks, "Record", _IgnoresDigests),
    ("bundle", "believes headers", reading._Zip, "_check_headers", _nothing),
    ("bundle-manifest", "takes a name twice", reading, "contradiction", _nothing),
    ("ssh-signature", "takes any signature", verify, "is_ed25519", lambda *_: True),
)
"""The target, the fault, and what is put in the place of what."""


@pytest.mark.parametrize(
    ("name", "module", "attribute", "planted"),
    [(fault[0], *fault[2:]) for fault in FAULTS if fault[0] in available()],
    ids=[f"{name} {fault}" for name, fault, *_ in FAULTS if name in available()],
)
def test_a_planted_fault_is_found(
    name: str, module: object, attribute: str, planted: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, attribute, planted)
    monkeypatch.setattr(negotiate, "_weigh_once", negotiate._weigh)  # remembers no faults
    target = available()[name]
    report = Fuzzer(target, seed=1, failures_max=1).run(inputs_max=_INPUTS_UNTIL_FOUND_MAX)
    assert len(report.failures) == 1


def test_each_target_has_a_planted_fault() -> None:
    assert {name for name, *_ in FAULTS} == {*TARGETS, "unzip"}


# The search itself


def no_bad(data: bytes) -> bool:
    assert b"bad" not in data
    return len(data) % 2 == 0


TOY = Target("toy", no_bad, lambda: [b"nothing at all"], tokens=(b"ba", b"d"))


def test_what_is_found_is_made_short() -> None:
    report = Fuzzer(TOY, seed=1, failures_max=1).run(inputs_max=5000)
    (failure,) = report.failures.values()
    assert failure.data == b"bad"
    assert failure.sentence.startswith("AssertionError")
    assert "no_bad" in failure.trace


def test_the_same_seed_tries_the_same_inputs() -> None:
    def tried(seed: int) -> tuple[engine.Report, list[bytes]]:
        kept: list[bytes] = []
        target = replace(TARGETS["path"], seeds=lambda: [b"/"])
        return Fuzzer(target, seed=seed, keep=kept.append).run(inputs_max=1500), kept

    assert tried(1) == tried(1)
    assert tried(1)[1] != tried(2)[1]
    assert len(tried(1)[1]) > 2  # from next to nothing, it finds its way further in


def test_an_input_that_takes_for_ever_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def never_ends(data: bytes) -> bool:
        while data:
            pass
        return True

    monkeypatch.setattr(engine, "CPU_SECONDS_MAX", 0.05)
    report = Fuzzer(replace(TOY, check=never_ends), seed=1, failures_max=1).run(inputs_max=5)
    (failure,) = report.failures.values()
    assert failure.sentence.startswith("TookTooLongError")


def test_lines_that_no_input_reached_before_are_noticed() -> None:
    coverage = coverage_of(["simpleindex.wire.locations"])
    noticed = [
        coverage.watch(lambda path=path: locations.locate(path))[1]  # type: ignore[misc]  # bound
        for path in ("/root/dev/demo", "/root/dev/other", "/root/dev/demo/1.0", "/root/dev/x/2")
    ]
    assert noticed == [True, False, True, False]


def main(folder: Path, *arguments: str) -> int:
    return command.main([*arguments, "--corpus", str(folder), "--seconds", "0.2"])


def test_the_command_prints_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(tmp_path, "path", "json") == 0
    heading, *lines = capsys.readouterr().out.splitlines()
    assert heading.split()[0] == "target"
    assert [line.split()[0] for line in lines] == ["path", "json"]


def test_the_command_keeps_what_fails_and_tries_it_first_the_next_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive_checks, "check_entry_points", _nothing)
    assert main(tmp_path, "entry-points") == 1
    kept = next((tmp_path / "entry-points").glob("failing-*"))
    assert str(kept) in capsys.readouterr().out
    later = Fuzzer(
        replace(TARGETS["entry-points"], seeds=lambda: []), seed=1, earlier=[kept.read_bytes()]
    )
    assert len(later.run(inputs_max=1).failures) == 1


def test_an_unknown_target_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main(["none"])
    assert "invalid choice" in capsys.readouterr().err
