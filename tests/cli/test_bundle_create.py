"""`bundle create`: from requirements and an index to a bundle, and what is told of it."""

import base64
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any

import pytest

from simpleindex.cli.bundle import create
from simpleindex.gap.bundle.manifest import Manifest, Origin, stamp
from simpleindex.gap.bundle.reading import open_bundle, verify_bundle
from simpleindex.gap.bundle.signatures import Standing, signer_of
from simpleindex.gap.pythons import NEWEST_PATCH
from simpleindex.gap.pyz.building import MEMBER as SERVER
from simpleindex.gap.pyz.building import server_pyz
from simpleindex.gap.request import Held, Request, Wanted, dump_request
from simpleindex.gap.targets import parse_target
from simpleindex_storage.errors import NotStored
from tests.bad_archives import (
    a_comment_behind_the_end,
    a_member_with_a_wrong_checksum,
)
from tests.builders import BuiltFile, a_tar_gz, a_wheel, a_zip, an_sdist, core_metadata
from tests.cli.commands import Called, Cli
from tests.clients.server_side import add
from tests.gap.corpus import CORPUS, Offer, offer, publish, source_offer
from tests.gap.interpreters import probed, python_of
from tests.hostile.behaviours import Hang, HtmlOnly, NoRanges, SilentDrop, Status, WithBody
from tests.hostile.upstream import Upstream, running_upstream
from tests.server import hearing_ctrl_c, running_server, server_environment

LINUX = "3.12.1-manylinux_2_17_x86_64"
WINDOWS = "3.9.18-win_amd64"
BOOTSTRAP = (offer("pip", "26.3"), offer("setuptools", "84.0"), offer("wheel", "0.48"))
TOOLS = {"pip-26.3-py3-none-any.whl", "setuptools-84.0-py3-none-any.whl",
         "wheel-0.48-py3-none-any.whl"}  # fmt: skip


@pytest.fixture(scope="module")
def shared() -> Iterator[Upstream]:
    with running_upstream() as upstream:
        publish(upstream, (*CORPUS, *BOOTSTRAP))
        yield upstream


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    """One that a test may change."""
    with running_upstream() as running:
        publish(running, BOOTSTRAP)
        yield running


@dataclass(frozen=True)
class Desk:
    """A computer with internet: a folder, and an index."""

    cli: Cli
    folder: Path
    index: Upstream
    brings_server: bool = False

    @property
    def bundle(self) -> Path:
        return self.folder / "site.pkgbundle.zip"

    @property
    def written(self) -> Manifest:
        """The manifest of the bundle, which is whole."""
        bundle = open_bundle(self.bundle)
        assert verify_bundle(bundle) == []
        return bundle.manifest

    def create(self, *arguments: str | Path) -> Called:
        """`bundle create`, for Linux unless targets are named."""
        named = [] if any("--target" in str(each) for each in arguments) else [f"--target={LINUX}"]
        return self.cli(
            "bundle", "create", *arguments, *named, f"--index-url={self.index.url}",
            f"--cache={self.folder / 'cache'}", "-o", self.bundle,
            *([] if self.brings_server else ["--without-server"]),
        )  # fmt: skip

    def must(self, *arguments: str | Path, exit_code: int = 0) -> Manifest:
        """It has to come to that; the manifest of the bundle, which is whole."""
        called = self.create(*arguments)
        assert (called.exit_code, called.err) == (exit_code, ""), called
        return self.written

    def told(self, *arguments: str | Path, exit_code: int = 0) -> Any:
        called = self.create("--json", *arguments)
        assert (called.exit_code, called.err) == (exit_code, ""), called
        return json.loads(called.out)

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text)
        return path

    def request(self, **facts: Any) -> Path:
        return self.write("request.txt", dump_request(Request(**facts)))


@pytest.fixture
def desk(cli: Cli, tmp_path: Path, shared: Upstream) -> Desk:
    return Desk(cli, tmp_path, shared)


@pytest.fixture
def own(cli: Cli, tmp_path: Path, upstream: Upstream) -> Desk:
    """With an index of which the test says what is on it."""
    return Desk(cli, tmp_path, upstream)


def names(manifest: Manifest) -> set[str]:
    return {file.name.text for file in manifest.files} - TOOLS


def held(*offers: Offer) -> tuple[Held, ...]:
    return tuple(Held(each.built.sha256[:16], each.built.filename) for each in offers)


def named(filename: str) -> Offer:
    return next(each for each in CORPUS if each.built.filename == filename)


# What is sent


def test_each_target_gets_what_it_needs_and_each_file_goes_once(desk: Desk) -> None:
    manifest = desk.must("colour", "native", f"--target={LINUX}", f"--target={WINDOWS}")
    places = {file.name.text: file.targets for file in manifest.files}
    assert places == {
        "colour-1.0-py3-none-any.whl": (0, 1),
        "late-1.0-py3-none-any.whl": (0,),
        "win_helper-1.0-py3-none-any.whl": (1,),
        "native-1.0-cp312-cp312-manylinux_2_12_x86_64.manylinux2010_x86_64.whl": (0,),
        "native-2.0-cp39-cp39-win_amd64.whl": (1,),
        **dict.fromkeys(TOOLS, (0, 1)),
    }
    assert [target.name for target in manifest.targets] == [LINUX, WINDOWS]
    assert manifest.roots == ("colour", "native")
    assert manifest.problems == ()
    assert (manifest.base, manifest.assumes) == (None, ())
    assert manifest.result_stamp == stamp(file.sha256 for file in manifest.files)
    assert manifest.tool.startswith("simpleindex-server ")


def test_a_file_is_told_with_what_its_index_and_itself_say_of_it(own: Desk) -> None:
    metadata = core_metadata(
        "art", headers=[("Classifier", "License :: OSI Approved :: MIT License")]
    )
    own.index.add(
        a_wheel("art", metadata=metadata), requires_python=">=3.6",
        uploaded_at=datetime(2026, 10, 1, tzinfo=UTC),
    )  # fmt: skip
    own.index.add(a_wheel("old", metadata=core_metadata("old", headers=[("License", "BSD\nand")])))
    new = core_metadata("new", headers=[("License-Expression", "MIT OR Apache-2.0")])
    own.index.add(a_wheel("new", metadata=new))
    manifest = own.must("art", "old", "new", "pip")
    by_name = {str(file.name.project): file for file in manifest.files}
    art = by_name["art"]
    assert (art.requires_python, art.uploaded_at) == (">=3.6", datetime(2026, 10, 1, tzinfo=UTC))
    assert {name: file.licence for name, file in by_name.items() if name not in TOOLS} == {
        "art": "MIT License", "old": "BSD", "new": "MIT OR Apache-2.0",
        "pip": None, "setuptools": None, "wheel": None,
    }  # fmt: skip


def test_files_and_words_and_constraints_are_read_together(desk: Desk) -> None:
    desk.write("more.txt", "many[fast]; sys_platform == 'win32'\n--pre\n")
    desk.write("limits.txt", "lib<2")
    wanted = desk.write("wanted.txt", "-r more.txt\n-c limits.txt\napp-c\n")
    limits = desk.write("own.txt", "plain==1.0")
    manifest = desk.must("plain", "-r", wanted, "-c", limits)
    assert {"app_c-1.0-py3-none-any.whl", "lib-1.0-py3-none-any.whl",
            "plain-1.0-py3-none-any.whl"} == names(manifest)  # fmt: skip
    assert manifest.constraints == ("plain==1.0", "lib<2")
    assert manifest.roots == ("plain", 'many[fast]; sys_platform == "win32"', "app-c")
    assert "--pre is left out: it means nothing here" in manifest.notes


def test_of_options_in_files_no_password_is_told(desk: Desk) -> None:
    secret = "https://bob:s3cret@packages.example/simple"
    wanted = desk.write("wanted.txt", f"--index-url {secret}\n--extra-index-url={secret}\nplain\n")
    manifest = desk.must("-r", wanted)
    assert "s3cret" not in str(manifest)
    assert len([note for note in manifest.notes if "is left out" in note]) == 2


def test_hashes_are_kept_to(desk: Desk) -> None:
    sha256 = named("plain-1.0-py3-none-any.whl").built.sha256
    wanted = desk.write("wanted.txt", f"plain --hash=sha256:{sha256}")
    assert names(desk.must("-r", wanted)) == {"plain-1.0-py3-none-any.whl"}


def test_pre_releases_count_where_they_are_asked_for(desk: Desk) -> None:
    assert names(desk.must("fresh")) == {"fresh-1.0-py3-none-any.whl"}
    manifest = desk.must("fresh", "--pre")
    assert names(manifest) == {"fresh-2.0rc1-py3-none-any.whl"}
    assert manifest.pre_releases


def test_lock_files_are_pins(desk: Desk) -> None:
    lock = desk.write(
        "uv.lock",
        """version = 1
[[package]]
name = "site"
source = { virtual = "." }
dependencies = [{ name = "plain" }]
[[package]]
name = "plain"
version = "1.0"
source = { registry = "https://packages.example/simple" }
""",
    )
    for option in ("--uv-lock", "-r"):
        assert names(desk.must(option, lock)) == {"plain-1.0-py3-none-any.whl"}
    pylock = desk.write(
        "pylock.toml",
        f"""lock-version = "1.0"
created-by = "tests"
[[packages]]
name = "lib"
version = "1.0"
wheels = [{{name = "lib-1.0-py3-none-any.whl", url = "https://packages.example/l",
hashes = {{sha256 = "{named("lib-1.0-py3-none-any.whl").built.sha256}"}}}}]
""".replace(",\nhashes", ", hashes"),
    )
    for option in ("--pylock", "-r"):
        assert names(desk.must(option, pylock)) == {"lib-1.0-py3-none-any.whl"}


def test_an_index_can_be_taken_as_it_was(own: Desk) -> None:
    own.index.add(a_wheel("art", "1.0"), uploaded_at=datetime(2026, 9, 1, tzinfo=UTC))
    own.index.add(a_wheel("art", "2.0"), uploaded_at=datetime(2026, 10, 1, tzinfo=UTC))
    own.index.add(a_wheel("art", "3.0"), uploaded_at=None)
    then = own.must("art", "--uploaded-before=2026-10-01", "--full")
    assert names(then) == {"art-1.0-py3-none-any.whl"}
    then = own.must("art", "--uploaded-before=2026-10-01T00:00:01Z", "--full")
    assert names(then) == {"art-2.0-py3-none-any.whl"}
    assert any("upload time" in note for note in then.notes)
    assert names(own.must("art")) == {"art-3.0-py3-none-any.whl"}


# What the site has


def test_what_the_site_has_is_assumed_and_kept_before_newer_ones(desk: Desk) -> None:
    has = named("plain-1.0-py3-none-any.whl")
    request = desk.request(
        stamp="0123456789", targets=(parse_target(LINUX),), roots=("plain", "lib"), have=held(has)
    )
    manifest = desk.must("--request", request, "--target", LINUX)
    assert names(manifest) == {"lib-2.0-py3-none-any.whl"}
    assert [each.sha256 for each in manifest.assumes] == [has.built.sha256]
    assert manifest.base == "0123456789"
    inside = {file.sha256 for file in manifest.files}
    assert manifest.result_stamp == stamp({has.built.sha256, *inside})


@pytest.mark.parametrize(
    ("update", "expected"),
    [
        ("none", {"fresh-1.0"}),
        ("plain", {"fresh-1.0", "plain-1.1"}),
        ("all", {"fresh-1.0", "plain-1.1", "lib-2.0"}),
    ],
)
def test_what_shall_be_newer_is_named(update: str, expected: set[str], desk: Desk) -> None:
    have = held(named("plain-1.0-py3-none-any.whl"), named("lib-1.0-py3-none-any.whl"))
    request = desk.request(have=have)
    manifest = desk.must("plain", "lib", "fresh", f"--have={request}", f"--update={update}")
    assert names(manifest) == {f"{each}-py3-none-any.whl" for each in expected}


@pytest.mark.parametrize(
    ("update", "sent"), [("none", False), ("all", False), ("crypt", True), ("plain", False)]
)
def test_a_release_that_the_site_has_is_not_sent_again_as_another_file(
    update: str, sent: bool, own: Desk
) -> None:
    # The site's hosts were assumed with the oldest glibc, and have told of a newer one since.
    old, new = (
        offer("crypt", "45.0", tag=f"cp311-abi3-manylinux_2_{minor}_x86_64") for minor in (17, 34)
    )
    publish(own.index, (old, new, offer("plain")))
    told = parse_target("3.12.1-manylinux_2_36_x86_64")
    request = own.request(targets=(told,), roots=("crypt",), have=held(old))
    manifest = own.must(f"--request={request}", f"--target={told.name}", f"--update={update}")
    assert names(manifest) == ({new.built.filename} if sent else set())
    assert [each.sha256 for each in manifest.assumes] == ([] if sent else [old.built.sha256])
    assert bool(manifest.removals) == sent
    assert names(own.must("crypt", f"--target={told.name}")) == {new.built.filename}


def test_another_file_of_it_is_sent_for_hosts_that_cannot_use_those_of_the_site(own: Desk) -> None:
    old, new = offer("crypt", tag="py3-none-win_amd64"), offer("crypt", tag="py3-none-any")
    publish(own.index, (old, new))
    request = own.request(roots=("crypt",), have=held(old))
    both = ("--target=cp312-win_amd64", f"--target={LINUX}")
    manifest = own.must(f"--request={request}", *both)
    assert names(manifest) == {new.built.filename}
    assert [each.sha256 for each in manifest.assumes] == [old.built.sha256]


def test_all_of_it_can_be_sent_all_the_same(desk: Desk) -> None:
    request = desk.request(have=held(named("plain-1.0-py3-none-any.whl")))
    manifest = desk.must("plain", f"--have={request}", "--full")
    assert names(manifest) == {"plain-1.0-py3-none-any.whl"}
    assert manifest.assumes == ()


def test_wishes_that_nobody_has_looked_at_do_not_count_and_are_told(desk: Desk) -> None:
    request = desk.request(
        targets=(parse_target(WINDOWS),),
        wanted=(Wanted("plain", "asked for 3 times"),),
        maybe=(Wanted("reqeusts"),),
        constraints=("plain<1.1",),
    )
    called = desk.cli(
        "bundle", "create", "--request", request, f"--index-url={desk.index.url}",
        f"--cache={desk.folder / 'cache'}", "-o", desk.bundle,
    )  # fmt: skip
    assert called.exit_code == 0, called
    assert "does not count until somebody writes 'wanted' for 'maybe': reqeusts" in called.out
    assert names(desk.written) == {"plain-1.0-py3-none-any.whl"}
    assert desk.written.targets == (parse_target(WINDOWS),)


@pytest.mark.parametrize(
    "private",
    [offer("house-rules", "3.1"), source_offer("house-rules", "3.1")],
    ids=["wheel", "source"],
)
def test_what_only_the_site_has_fails_no_line(private: Offer, desk: Desk) -> None:
    request = desk.request(have=held(private))
    manifest = desk.must("house-rules", "plain", f"--have={request}")
    assert names(manifest) == {"plain-1.1-py3-none-any.whl"}
    assert manifest.assumes == ()
    (note,) = (note for note in manifest.notes if "house-rules" in note)
    assert note == (
        "house-rules 3.1 is at the site and not on the index: what it needs in turn is not known "
        "here"
    )
    # All that is known of it is the beginning of a digest.
    assert manifest.result_stamp is None


def test_a_release_that_is_gone_from_the_index_is_not_kept_before_others(own: Desk) -> None:
    own.index.add(a_wheel("art", "1.1", requires_dist=["lib"]))
    own.index.add(a_wheel("lib"))
    have = f"--have={own.request(have=held(offer('art', '1.0')))}"
    assert names(own.must("art", have)) == {"art-1.1-py3-none-any.whl", "lib-1.0-py3-none-any.whl"}
    # Who asks for it gets it: the site has it.
    pinned = own.must("art==1.0", have)
    assert names(pinned) == set()
    assert any(note.startswith("art 1.0 is at the site") for note in pinned.notes)


def test_what_was_withdrawn_since_is_told_and_what_nobody_needs_may_go(own: Desk) -> None:
    bad, old, art = offer("bad"), offer("art", "1.0"), offer("art", "2.0")
    own.index.add(bad.built, yanked="it deletes files")
    for each in (old, art):
        own.index.add(each.built)
    request = own.request(roots=("art",), have=held(bad, old, art))
    manifest = own.must(f"--request={request}")
    assert [(each.name.text, each.reason) for each in manifest.yanks] == [
        ("bad-1.0-py3-none-any.whl", "it deletes files")
    ]
    assert {each.name.text for each in manifest.removals} == {
        "art-1.0-py3-none-any.whl", "bad-1.0-py3-none-any.whl",
    }  # fmt: skip
    # Where the site has not said all that it wants, nobody can say what it does not need.
    assert own.must("art", f"--have={request}").removals == ()


def test_another_file_of_the_same_name_is_told(own: Desk) -> None:
    own.index.add(a_wheel("art"))
    other = Held("0" * 16, "art-1.0-py3-none-any.whl")
    manifest = own.must("art", f"--have={own.request(have=(other,))}")
    assert any("the site has another art-1.0-py3-none-any.whl" in note for note in manifest.notes)


def test_a_second_bundle_a_month_later_holds_only_the_difference(own: Desk) -> None:
    def at(month: int) -> datetime:
        return datetime(2026, month, 1, tzinfo=UTC)

    own.index.add(a_wheel("app", "1.0", requires_dist=["lib"]), uploaded_at=at(8))
    own.index.add(a_wheel("lib", "1.0"), uploaded_at=at(8))
    own.index.add(a_wheel("app", "1.1", requires_dist=["lib", "more"]), uploaded_at=at(10))
    own.index.add(a_wheel("more", "1.0"), uploaded_at=at(8))
    first = own.must("app", "--uploaded-before=2026-09-01")
    assert names(first) == {"app-1.0-py3-none-any.whl", "lib-1.0-py3-none-any.whl"}
    have = tuple(Held(file.sha256, file.name.text) for file in first.files)
    request = own.request(stamp=first.result_stamp, have=have)
    second = own.must("app", f"--have={request}", "--update=all")
    assert {file.name.text for file in second.files} == {
        "app-1.1-py3-none-any.whl", "more-1.0-py3-none-any.whl",
    }  # fmt: skip
    assert {each.name.text for each in second.assumes} == {"lib-1.0-py3-none-any.whl", *TOOLS}
    assert second.base == first.result_stamp


# A site from which nothing comes back


def test_what_was_sent_is_not_sent_again(desk: Desk) -> None:
    first = desk.must("plain")
    second = desk.must("plain", "lib", "--since=last")
    assert {file.name.text for file in second.files} == {"lib-2.0-py3-none-any.whl"}
    assert {each.name.text for each in second.assumes} == {"plain-1.1-py3-none-any.whl", *TOOLS}
    assert second.base == first.result_stamp
    # The second one was lost on the way.
    third = desk.must("plain", "lib", "fresh", f"--since={first.result_stamp}")
    assert names(third) == {"lib-2.0-py3-none-any.whl", "fresh-1.0-py3-none-any.whl"}
    today = datetime.now(UTC).astimezone().date()
    fourth = desk.must("plain", "lib", "fresh", f"--since={today}")
    assert fourth.files == ()
    assert fourth.base == third.result_stamp
    assert names(desk.must("plain", "--since=last", "--full")) == {"plain-1.1-py3-none-any.whl"}


@pytest.mark.parametrize("since", ["last", "0123456789", "2020-01-01"])
def test_what_was_never_sent_is_told(since: str, desk: Desk) -> None:
    complaint = desk.create("plain", f"--since={since}").complaint
    assert complaint == (
        f"there is no record of what was sent ('{since}') here; nothing was sent from here so far"
    )


def test_two_runs_with_the_same_inputs_differ_in_their_time_alone(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Later(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> "Later":
            return cls.fromtimestamp(datetime.now(tz).timestamp() + 3600, tz)

    first = desk.must("plain", "chain-1", exit_code=3)
    monkeypatch.setattr(create, "datetime", Later)
    second = desk.must("plain", "chain-1", exit_code=3)
    assert second.created > first.created
    assert replace(second, created=first.created) == first


def test_a_bundle_that_takes_the_place_of_another_says_so(desk: Desk) -> None:
    first, second = (desk.create("plain").out.splitlines()[-2] for _ in range(2))
    assert first.startswith(f"{desk.bundle}: ") and "written over" not in first
    assert second.endswith(", written over what lay there")
    (told,) = desk.told("plain")["written"]
    assert told["written_over"]


# What cannot be met


def test_lines_that_are_not_met_are_named_with_the_reasons_and_the_rest_is_sent(desk: Desk) -> None:
    called = desk.create("plain", "chain-1", f"--target={LINUX}", f"--target={WINDOWS}")
    assert (called.exit_code, called.err) == (3, "")
    lines = called.out.splitlines()
    place = lines.index("chain-1: cannot be met on any of the 2 targets")
    assert lines[place + 1 : place + 4] == [
        "  chain-1 1.0 needs chain-2>=1", "  chain-2 1.0 needs chain-3",
        "  chain-3 1.0 needs nowhere",
    ]  # fmt: skip
    assert [line.split() for line in lines if "NOT complete" in line] == [
        [name, "NOT", "complete", "1", "of", "2", "lines"] for name in (LINUX, WINDOWS)
    ]
    assert names(desk.written) == {"plain-1.1-py3-none-any.whl"}
    assert [(each.line, each.target, each.kind) for each in desk.written.problems] == [
        ("chain-1", 0, "unmet"), ("chain-1", 1, "unmet"),
    ]  # fmt: skip


def test_what_is_refused_for_all_targets_is_told_of_each(desk: Desk) -> None:
    called = desk.create("plain", "./here", f"--target={LINUX}", f"--target={WINDOWS}")
    assert (called.exit_code, called.err) == (3, "")
    assert "./here: is refused on each of the 2 targets" in called.out.splitlines()


def test_strictly_that_is_refused_and_nothing_is_fetched_or_written(own: Desk) -> None:
    own.index.add(a_wheel("plain"))
    called = own.create("plain", "nowhere", "--strict")
    assert (called.exit_code, called.err) == (2, "")
    assert called.out.splitlines()[-1] == (
        "refused, and nothing is written: some lines are not met, and with --strict all have to be"
    )
    assert not own.bundle.exists()
    assert own.index.requests.count(".whl$") == 0


def test_where_nothing_can_be_had_nothing_is_written(desk: Desk) -> None:
    told = desk.told("nowhere", "./here", exit_code=2)
    assert told["refused"] == "nothing that is wanted can be met on any target"
    assert told["written"] == []
    assert not desk.bundle.exists()
    assert not (desk.folder / "cache" / "sent.json").exists()


def test_an_index_that_cannot_be_asked_is_a_verdict_with_a_reason(own: Desk) -> None:
    own.index.add(a_wheel("art"))
    own.index.add(a_wheel("plain"))
    own.index.behave("/simple/art/", Status(503))
    told = own.told("art", "plain", exit_code=3)
    (target,) = told["targets"]
    assert [line["verdict"] for line in target["lines"]] == ["unknown", "met"]
    assert "the page of art cannot be had" in target["lines"][0]["chain"][0]


def elsewhere(index: Upstream, *wheels: BuiltFile) -> None:
    """Wheels whose files are at a host to which an index must not lead."""
    for wheel in wheels:
        index.add(wheel, metadata=False, url=f"http://127.0.0.2:9/{wheel.filename}")


def test_a_cause_that_several_lines_have_in_common_is_told_once(own: Desk) -> None:
    elsewhere(own.index, a_wheel("art"), a_wheel("colour"))
    own.index.add(a_wheel("plain", requires_dist=["art"]))
    own.index.add(a_wheel("lib"))
    called = own.create("art", "colour", "plain", "lib", f"--target={LINUX}", f"--target={WINDOWS}")
    assert called.exit_code == 3, called
    lines = called.out.splitlines()
    (place,) = [place for place, line in enumerate(lines) if "--private-upstreams=" in line]
    assert lines[place - 1] == (
        "art, colour, plain: 3 lines of which nothing is known on any of the 2 targets"
    )
    assert lines[place].startswith("  127.0.0.2 is a loopback address; if that is right, allow it")


def test_tools_that_lack_for_the_same_cause_are_told_together(own: Desk) -> None:
    with running_upstream() as bare:
        elsewhere(bare, a_wheel("art"), *(a_wheel(name) for name in ("pip", "setuptools", "wheel")))
        bare.add(a_wheel("lib"))
        desk = Desk(own.cli, own.folder, bare)
        out = desk.create("art", "lib").out
        (note,) = desk.must("lib").notes
    assert out.count("--private-upstreams=") == 1
    tools = f"pip, setuptools, wheel do not come along for {LINUX}"
    assert f"note: {tools}, for the same reason as art" in out
    assert note.startswith(f"{tools}: 127.0.0.2 is a loopback address; if that is right, allow it")


def test_a_file_that_cannot_be_had_is_an_error_and_the_rest_stays_for_the_next_time(
    own: Desk,
) -> None:
    for name in ("art", "plain"):
        own.index.add(a_wheel(name))
    own.index.behave("/art-1.0-py3-none-any.whl$", Status(404))
    called = own.create("art", "plain")
    assert called.exit_code == 1
    assert "1 of 5 files cannot be had: art-1.0-py3-none-any.whl cannot be had" in called.err
    assert not own.bundle.exists()
    own.index.behave("/art-1.0-py3-none-any.whl$", None)
    own.must("art", "plain")
    assert own.index.requests.count("/plain-1.0-py3-none-any.whl$") == 1


def test_a_missing_pip_is_told_but_fails_no_line(own: Desk) -> None:
    with running_upstream() as bare:
        bare.add(a_wheel("plain"))
        manifest = Desk(own.cli, own.folder, bare).must("plain")
    assert [note for note in manifest.notes if note.startswith("pip ")] == [
        f"pip does not come along for {LINUX}: the index has no project pip"
    ]


def test_an_installer_that_is_too_old_is_told(desk: Desk) -> None:
    manifest = desk.must("native", "--target=cp36-linux_x86_64")
    (note,) = (note for note in manifest.notes if "too old" in note)
    assert note.endswith("pip 18.1 is too old for 1 file; run `pip install pip==21.3.1` first")


def test_a_very_long_chain_and_odd_words_of_an_index_can_be_read_back(own: Desk) -> None:
    for number in range(95):
        own.index.add(a_wheel(f"link-{number}", requires_dist=[f"link-{number + 1}"]))
    own.index.add(a_wheel("odd", requires_dist=["bad >=\x07\x1b[2J"]), yanked="\x1b[2J gone\n")
    own.index.add(a_wheel("plain"))
    manifest = own.must("link-0", "odd==1.0", "plain", exit_code=3)
    (problem,) = manifest.problems
    assert problem.chain[-1] == "the index has no project link-95"
    assert any("cannot be read and is left out" in note for note in manifest.notes)


@pytest.mark.parametrize("ability", ["ranges", "nothing"])
def test_an_index_that_announces_nothing_serves_as_well(ability: str, own: Desk) -> None:
    for wheel in (a_wheel("art", requires_dist=["lib"]), a_wheel("lib")):
        own.index.add(wheel, metadata=False, sha256="untold", size="untold")
    if ability == "nothing":
        own.index.behave(".whl", NoRanges())
        own.index.behave("/simple/", HtmlOnly())
    assert names(own.must("art")) == {"art-1.0-py3-none-any.whl", "lib-1.0-py3-none-any.whl"}


# What is in the files


def test_what_is_in_a_wheel_counts_and_not_what_the_index_tells_of_it(own: Desk) -> None:
    # Without a digest nobody knows better until the wheel is here.
    own.index.add(a_wheel("art", requires_dist=["deep"]), metadata=True)
    own.index.behave("art-1.0-py3-none-any.whl.metadata", WithBody(core_metadata("art", "1.0")))
    own.index.add(a_wheel("deep", requires_dist=["deeper"]), metadata=True)
    own.index.behave("deep-1.0-py3-none-any.whl.metadata", WithBody(core_metadata("deep", "1.0")))
    own.index.add(a_wheel("deeper"))
    called = own.create("art")
    assert (called.exit_code, called.err) == (0, "")
    assert "what came is not what the index had told" in called.out
    assert {file.name.project for file in own.written.files} >= {"art", "deep", "deeper"}
    assert any("art-1.0-py3-none-any.whl is not what" in it for it in own.written.notes)
    assert own.index.requests.count("/art-1.0-py3-none-any.whl$") == 1


def test_a_wheel_that_turns_out_not_to_be_installable_leads_to_a_refusal(own: Desk) -> None:
    own.index.add(a_wheel("art", requires_dist=["nowhere"]), metadata=True)
    own.index.behave("art-1.0-py3-none-any.whl.metadata", WithBody(core_metadata("art", "1.0")))
    called = own.create("art")
    assert called.exit_code == 2, called
    assert not own.bundle.exists()


def test_a_wheel_that_no_server_would_take_is_not_carried_to_one(own: Desk) -> None:
    older, bad = a_wheel("demo", "0.9"), a_member_with_a_wrong_checksum()
    own.index.add(older)
    own.index.add(bad)
    manifest = own.must("demo")
    assert names(manifest) == {older.filename}
    (note,) = (note for note in manifest.notes if bad.filename in note)
    assert note.endswith("; so it is left out")
    called = own.create("demo==1.0")
    assert called.exit_code == 2
    assert "demo 1.0 has a wheel that no server takes: " in called.out
    assert own.index.requests.count(f"/{bad.filename}$") == 1


def test_one_that_is_merely_sloppy_is(own: Desk) -> None:
    odd = a_comment_behind_the_end()
    own.index.add(odd)
    assert names(own.must("demo")) == {odd.filename}


# Source distributions


def a_source(
    name: str,
    *,
    requires: tuple[str, ...] = (),
    build: tuple[str, ...] = (),
    dynamic: str = "",
    comment: str = "",
) -> BuiltFile:
    """A source distribution that says what it needs, or that it is Dynamic."""
    headers = [("Dynamic", dynamic)] if dynamic else []
    metadata = core_metadata(name, requires_dist=requires, headers=headers)
    built = an_sdist(name, metadata=metadata.replace(b"Version: 2.1", b"Version: 2.2"))
    with tarfile.open(fileobj=io.BytesIO(built.content)) as archive:
        members = {
            entry.name: file.read()
            for entry in archive
            if (file := archive.extractfile(entry)) is not None
        }
    pyproject = f"{name}-1.0/pyproject.toml"
    requires_text = json.dumps(list(build)).encode()
    members[pyproject] = members[pyproject].replace(
        b"requires = []", b"requires = " + requires_text + f" # {comment}".encode()
    )
    return BuiltFile(built.filename, a_tar_gz(members))


def test_sources_are_refused_at_first(own: Desk) -> None:
    own.index.add(a_source("art"))
    told = own.told("art", exit_code=2)
    (line,) = told["targets"][0]["lines"]
    assert line["chain"] == [
        f"no art can be used on {LINUX}: art 1.0 has no wheel, only what has to be built"
    ]


def test_they_come_along_with_what_they_need_and_what_builds_them(own: Desk) -> None:
    own.index.add(
        a_source("art", requires=("lib",), build=("builder>=2", "win-builder; os_name == 'nt'"))
    )
    for wheel in (
        a_wheel("lib"), a_wheel("builder", "1.0"), a_wheel("win-builder"),
        a_wheel("builder", "2.0", requires_dist=["builders-lib"]), a_wheel("builders-lib"),
    ):  # fmt: skip
        own.index.add(wheel)
    manifest = own.must("art", "--sdist=include")
    assert names(manifest) == {
        "art-1.0.tar.gz", "lib-1.0-py3-none-any.whl", "builder-2.0-py3-none-any.whl",
        "builders_lib-1.0-py3-none-any.whl",
    }  # fmt: skip
    assert any("may need a compiler there" in note for note in manifest.notes)
    assert {file.origin for file in manifest.files} == {Origin.INDEX}


def test_what_comes_as_source_on_purpose_counts_at_the_site_as_well(own: Desk, data: Path) -> None:
    """On the targets that it came for, as long as what builds it is there."""
    own.index.add(a_source("art", build=("builder",)))
    own.index.add(a_wheel("builder"))
    assert own.create("art", "--sdist=include").exit_code == 0
    site = f"--serverdir={data}"
    built = "art-1.0.tar.gz is built there, which may need a compiler"
    taken = own.cli("bundle", "import", own.bundle, site)
    assert (taken.exit_code, built in taken.out) == (0, True), taken
    out = own.cli.must("doctor", "--targets", site)
    assert f"ok     {LINUX}: 1 of 1 can be installed\n       note: {built}\n" in out
    own.cli.must("doctor", "--targets", site, "-r", own.write("wanted.txt", "art\n"))
    elsewhere = own.cli("doctor", "--targets", site, f"--target={WINDOWS}")
    assert elsewhere.exit_code == 1
    assert "art 1.0 has no wheel, only what has to be built" in elsewhere.out
    table = own.cli.must(
        "doctor", "--targets", site, "--project=art", f"--target={WINDOWS}", f"--target={LINUX}"
    )
    assert table.splitlines()[1].split() == ["1.0", "no", "yes"]
    own.cli.must("request", "--want=art", site)
    assert "wanted" not in own.cli.must("request", site)
    own.cli.must("remove", "builder", "--force", site)
    assert "art 1.0 needs builder to be built" in own.cli("doctor", "--targets", site).out
    own.cli.must("bundle", "undo", "last", site)
    own.cli.must("add", a_source("art").save(own.folder), site)
    loose = own.cli(
        "doctor", "--targets", site, f"--target={LINUX}", "-r", own.folder / "wanted.txt"
    )
    assert "art 1.0 has no wheel, only what has to be built" in loose.out


@pytest.mark.parametrize(
    ("source", "why"),
    [
        (an_sdist("art"), "art 1.0 has no wheel, and what it needs is known only once it is built"),
        (a_source("art", dynamic="Requires-Dist"), "what it needs is known only once it is built"),
        (a_source("art", build=("nowhere",)), "art 1.0 needs nowhere to be built"),
        (
            BuiltFile("art-1.0.tar.gz", b"x"),
            "art 1.0 has a source distribution that cannot be used",
        ),
        (a_source("art", comment="x" * (1 << 20)), "its pyproject.toml has over 1048576 bytes"),
    ],
    ids=["old", "dynamic", "builder", "broken", "long"],
)
def test_a_source_that_cannot_be_relied_on_is_none(source: BuiltFile, why: str, own: Desk) -> None:
    own.index.add(source.content, filename=source.filename)
    told = own.told("art", "--sdist=include", exit_code=2)
    (line,) = told["targets"][0]["lines"]
    assert why in " ".join(line["chain"])


def test_any_wheel_goes_before_a_source(own: Desk) -> None:
    own.index.add(a_wheel("art", "0.9"))
    own.index.add(a_source("art"))
    assert names(own.must("art", "--sdist=include")) == {"art-0.9-py3-none-any.whl"}
    assert names(own.must("art>=1", "--sdist=include")) == {"art-1.0.tar.gz"}


def test_a_wheel_is_made_where_that_is_wanted_and_only_once(own: Desk) -> None:
    # It says nothing of its needs; the wheel that is made of it does.
    source = an_sdist("art", metadata=core_metadata("art", requires_dist=["lib"]))
    own.index.add(source)
    own.index.add(a_wheel("lib"))
    called = own.create("art", "--sdist=build", f"--target={LINUX}", f"--target={WINDOWS}")
    assert (called.exit_code, called.err) == (0, ""), called
    assert called.out.count("building a wheel of art-1.0.tar.gz") == 1
    manifest = own.written
    assert names(manifest) == {"art-1.0-py3-none-any.whl", "lib-1.0-py3-none-any.whl"}
    (art,) = (file for file in manifest.files if file.name.project == "art")
    assert (art.origin, art.built_from) == (Origin.BUILT, source.sha256)
    assert art.targets == (0, 1)
    again = own.create("art", "--sdist=build")
    assert "building" not in again.out
    assert [file.sha256 for file in own.written.files if file.name.project == "art"] == [art.sha256]


def test_a_build_that_fails_is_a_reason(own: Desk) -> None:
    source = a_source("art", build=("nowhere",))
    own.index.add(source)
    told = own.told("art", "--sdist=build", exit_code=2)
    (line,) = told["targets"][0]["lines"]
    (why,) = line["chain"]
    assert f"no art can be used on {LINUX}: art 1.0 has no wheel, and could not be built: " in why
    assert "nowhere" in why
    assert not list((own.folder / "cache").glob("build-*"))


def test_what_was_built_for_this_kind_of_host_goes_to_no_other(own: Desk) -> None:
    host = probed(python_of("this"))
    tag = f"{host.abi}-{host.abi}-linux_x86_64"
    wheel = a_wheel("art", tag=tag)
    own.index.add(a_source_of(wheel))
    arguments = ("art", "--sdist=build", f"--target={WINDOWS}", f"--target={host.name}")
    told = own.told(*arguments, exit_code=3)
    other, same = (target["lines"][0] for target in told["targets"])
    assert same["verdict"] == "met"
    assert other["verdict"] == "unmet"
    assert "which is for hosts like this one alone" in other["chain"][0]


def test_a_wheel_that_no_server_would_take_is_none_either_where_it_was_made_here(own: Desk) -> None:
    good = a_wheel("art")
    with zipfile.ZipFile(io.BytesIO(good.content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    del members["art-1.0.dist-info/RECORD"]
    own.index.add(a_source_of(BuiltFile(good.filename, a_zip(members))))
    told = own.told("art", "--sdist=build", exit_code=2)
    (line,) = told["targets"][0]["lines"]
    assert "art 1.0 has a wheel that no server takes: " in line["chain"][0]


def a_source_of(wheel: BuiltFile) -> BuiltFile:
    """A source distribution of art, of which that wheel is made."""
    plain = a_wheel("art")
    with tarfile.open(fileobj=io.BytesIO(an_sdist("art").content)) as archive:
        members = {
            entry.name: file.read()
            for entry in archive
            if (file := archive.extractfile(entry)) is not None
        }
    backend = members["art-1.0/in_tree_backend.py"].replace(
        plain.filename.encode(), wheel.filename.encode()
    )
    backend = backend.replace(base64.b64encode(plain.content), base64.b64encode(wheel.content))
    members["art-1.0/in_tree_backend.py"] = backend
    return BuiltFile("art-1.0.tar.gz", a_tar_gz(members))


# Before and after


def test_a_dry_run_tells_all_and_fetches_nothing(own: Desk) -> None:
    own.index.add(a_wheel("plain"))
    told = own.told("plain", "nowhere", "--dry-run", exit_code=3)
    assert told["written"] == []
    assert {each["filename"] for each in told["files"]} == {"plain-1.0-py3-none-any.whl", *TOOLS}
    assert own.index.requests.count(".whl$") == 0
    assert not own.bundle.exists()


def test_the_table_tells_what_is_new_and_what_changes(desk: Desk) -> None:
    have = held(named("plain-1.0-py3-none-any.whl"), named("lib-2.0-py3-none-any.whl"))
    request = desk.request(have=have)
    called = desk.create("plain", "lib", "fresh", f"--have={request}", "--update=plain")
    assert called.exit_code == 0, called
    rows = [line.split() for line in called.out.splitlines()]
    assert ["new", "fresh", "1.0", "1", "file"] in [row[:5] for row in rows]
    assert ["changed", "plain", "1.0", "->", "1.1", "1", "file"] in [row[:7] for row in rows]
    assert "1 file the site has and keeps" in called.out
    assert [LINUX, "complete", "3", "of", "3", "lines"] in rows
    assert "fetched " in called.out


def test_what_is_assumed_of_targets_is_told_once_in_the_table_and_the_report(desk: Desk) -> None:
    targets = ("--target=cp39-linux_x86_64", "--target=cp311-win_amd64", f"--target={LINUX}")
    called = desk.create("plain", *targets)
    assert called.exit_code == 0, called
    rows = [line for line in called.out.splitlines() if "  complete " in line]
    assert [row.partition("assumed: ")[2] for row in rows] == [
        "Python 3.9.25, glibc 2.17", f"Python {NEWEST_PATCH[3, 11]}", "",
    ]  # fmt: skip
    assert called.out.count("what nobody has said is assumed: ") == 1
    with zipfile.ZipFile(desk.bundle) as members:
        assert members.read("report.txt").decode().count("what nobody has said is assumed: ") == 1
    shown = desk.cli.must("bundle", "show", desk.bundle)
    assert "assumed: " not in shown + desk.cli.must("bundle", "verify", desk.bundle)
    told = desk.told("plain", *targets)
    assert [each["assumed"] for each in told["targets"]] == [["python", "platform"], ["python"], []]


def test_a_second_run_fetches_nothing_again_and_writes_the_same(desk: Desk) -> None:
    first = desk.must("plain", "native")
    wheels = desk.index.requests.count(".whl$")
    told = desk.told("plain", "native")
    assert desk.index.requests.count(".whl$") == wheels
    assert told["fetched_bytes"] == 0
    assert told["stamp"] == first.result_stamp
    (written,) = told["written"]
    assert (written["path"], written["bytes"]) == (str(desk.bundle), desk.bundle.stat().st_size)


def test_it_is_cut_into_volumes_of_whole_files(own: Desk) -> None:
    for number in range(6):
        own.index.add(a_wheel(f"art-{number}", extra_files={"data.bin": os.urandom(50_000)}))
    told = own.told(*(f"art-{number}" for number in range(6)), "--max-size=200K")
    paths = [Path(each["path"]) for each in told["written"]]
    assert len(paths) >= 2
    assert all(path.stat().st_size <= 200_000 for path in paths)
    bundle = open_bundle(*paths)
    assert verify_bundle(bundle) == []
    assert len(bundle.manifest.files) == 9


def test_a_file_that_fits_in_no_volume_is_refused_before_it_is_fetched(own: Desk) -> None:
    own.index.add(a_wheel("art", extra_files={"data.bin": os.urandom(50_000)}))
    told = own.told("art", "--max-size=20K", exit_code=2)
    assert told["refused"].startswith("art-1.0-py3-none-any.whl alone has 5")
    assert own.index.requests.count(".whl$") == 0


def test_a_bundle_explains_itself(desk: Desk) -> None:
    names = {extra.name for extra in desk.must("plain").extras}
    assert {"verify.py", "README.txt", "report.txt"} <= names
    assert SERVER not in names


def test_its_report_says_what_each_target_gets_and_lacks(desk: Desk) -> None:
    desk.must("plain", "no-such-project", exit_code=3)
    with zipfile.ZipFile(desk.bundle) as members:
        report = members.read("report.txt").decode()
    assert "NOT complete  1 of 2 lines" in report
    assert "no-such-project: cannot be met" in report
    assert "the index has no project no-such-project" in report


def test_a_bundle_for_a_site_of_which_nothing_is_known_brings_the_server(desk: Desk) -> None:
    desk = replace(desk, brings_server=True)
    full = desk.must("plain")
    assert extra_of(full) == hashlib.sha256(server_pyz()).hexdigest()
    request = desk.request(have=(Held("0" * 16, "other-1.0.tar.gz"),))
    assert extra_of(desk.must("plain", f"--have={request}")) is None


def test_a_server_that_is_named_is_in_it_whatever_the_site_has(desk: Desk) -> None:
    server = desk.write("any.pyz", "a server")
    request = desk.request(have=(Held("0" * 16, "other-1.0.tar.gz"),))
    desk = replace(desk, brings_server=True)
    manifest = desk.must("plain", f"--have={request}", f"--with-server={server}")
    assert extra_of(manifest) == hashlib.sha256(b"a server").hexdigest()
    assert (
        "exclude" in desk.create("plain", f"--with-server={server}", "--without-server").complaint
    )


def test_where_there_is_no_room_for_a_server_that_is_told(desk: Desk) -> None:
    desk = replace(desk, brings_server=True)
    told = desk.told("plain", "--max-size=200K")
    assert any("--max-size is too small" in note for note in told["notes"])
    assert extra_of(desk.written) is None


def test_where_no_server_can_be_made_that_is_told(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> bytes:
        raise NotStored("list of files of click")

    monkeypatch.setattr(create, "server_pyz", fail)
    told = replace(desk, brings_server=True).told("plain")
    assert "none can be made of this program: there is no list" in str(told["notes"])
    assert extra_of(desk.written) is None


def extra_of(manifest: Manifest) -> str | None:
    return next((extra.sha256 for extra in manifest.extras if extra.name == SERVER), None)


def test_it_is_signed_by_a_key_of_ssh(desk: Desk) -> None:
    if shutil.which("ssh-keygen") is None:
        pytest.skip("there is no ssh-keygen")
    key = desk.folder / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    desk.must("plain", f"--sign={key}")
    signer = signer_of(open_bundle(desk.bundle), [])
    assert signer.standing is Standing.UNKNOWN


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["plain", "--sign=nokey"], "File 'nokey' does not exist"),
        (["plain", "--with-server=no.pyz"], "File 'no.pyz' does not exist"),
        ([], "nothing is wanted: name projects, or files with -r"),
        (["plain", "--max-size=much"], "a size is written like 4000M, 4.7G or 650MiB"),
        (["plain", "--uploaded-before=May"], "a time is written like 2026-10-23"),
        (["plain", "--target=moon"], "a target is named like cp39-win_amd64"),
        (["plain", "--targets=nothing.json"], "there is no target in it, or it is not there"),
        (["-r", "nothing.txt"], "nothing.txt cannot be read: No such file or directory"),
        (["plain", "--update=a b"], "a name is made of ASCII letters"),
        (["--pylock=nothing.toml"], "nothing.toml cannot be read"),
    ],
)
def test_what_makes_no_order_is_told_in_a_line(
    arguments: list[str], why: str, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(desk.folder)
    assert why in desk.create(*arguments).complaint
    assert not desk.bundle.exists()


def test_targets_and_a_place_have_to_be_named(
    cli: Cli, tmp_path: Path, shared: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    index = f"--index-url={shared.url}"
    cache = f"--cache={tmp_path / 'cache'}"
    assert "for which hosts?" in cli("bundle", "create", "plain", index, cache).complaint
    target = f"--target={LINUX}"
    assert "where to?" in cli("bundle", "create", "plain", index, cache, target).complaint


def test_the_targets_of_a_server_directory_are_the_usual_ones(
    cli: Cli, data: Path, tmp_path: Path, shared: Upstream
) -> None:
    cli.must("target", "add", WINDOWS, f"--serverdir={data}")
    told = json.loads(
        cli.must(
            "bundle", "create", "plain", f"--serverdir={data}", f"--index-url={shared.url}",
            f"--cache={tmp_path / 'cache'}", "--dry-run", "--json",
        )
    )  # fmt: skip
    assert [each["name"] for each in told["targets"]] == [WINDOWS]


def test_an_index_of_ours_serves_as_well(cli: Cli, wheelhouse: Path, tmp_path: Path) -> None:
    for wheel in (a_wheel("art", requires_dist=["lib"]), a_wheel("lib"), a_wheel("pip", "26.3")):
        wheel.save(wheelhouse)
    with running_server(tmp_path / "data") as server:
        add(server, wheelhouse)
        url = f"{server.url}/root/local/+simple/"
        cli.must(
            "bundle", "create", "art", f"--index-url={url}", f"--target={LINUX}",
            f"--cache={tmp_path / 'cache'}", "-o", tmp_path / "site.zip", "--without-server",
        )  # fmt: skip
    manifest = open_bundle(tmp_path / "site.zip").manifest
    assert {file.name.project for file in manifest.files} == {"art", "lib", "pip"}


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [("4000M", 4 * 10**9), ("4.7G", 4_700_000_000), ("650MiB", 650 << 20), ("12kb", 12_000),
     ("123", 123)],
)  # fmt: skip
def test_sizes_have_the_units_that_people_write(text: str, size_bytes: int) -> None:
    from simpleindex.cli.bundle.create_inputs import parse_size

    assert parse_size(text) == size_bytes


def create_command(own: Desk, *arguments: str) -> list[str]:
    return hearing_ctrl_c(
        "bundle", "create", *arguments, f"--target={LINUX}", f"--index-url={own.index.url}",
        f"--cache={own.folder / 'cache'}", "-o", str(own.bundle), "--without-server",
    )  # fmt: skip


def interrupted(process: "subprocess.Popen[str]") -> None:
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err.strip()) == (1, "simpleindex-server: interrupted")


@pytest.fixture
def started() -> Iterator[Callable[[list[str]], "subprocess.Popen[str]"]]:
    """Starts processes; none outlives the test."""
    processes: list[subprocess.Popen[str]] = []

    def start(command: list[str]) -> "subprocess.Popen[str]":
        processes.append(
            subprocess.Popen(
                command,
                env=server_environment(),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
        return processes[-1]

    yield start
    for process in processes:
        if process.poll() is None:
            process.kill()
            process.communicate()


def test_an_interrupt_keeps_what_has_come_and_says_so_in_a_line(
    own: Desk, started: Callable[[list[str]], "subprocess.Popen[str]"]
) -> None:
    wheel = a_wheel("art", extra_files={"data.bin": os.urandom(200_000)})
    own.index.add(wheel)
    own.index.behave("/art-1.0-py3-none-any.whl$", Hang(100_000))
    process = started(create_command(own, "art"))
    own.index.wait_for("/art-1.0-py3-none-any.whl$")
    draft = own.folder / "cache" / "drafts" / f"{wheel.sha256}.part"
    deadline = time.monotonic() + 30
    while not draft.exists() or draft.stat().st_size < 100_000:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    interrupted(process)
    assert not own.bundle.exists()
    own.index.behave("/art-1.0-py3-none-any.whl$", None)
    own.must("art")
    assert own.index.requests.of("/art-1.0-py3-none-any.whl$")[-1].headers["range"] == (
        "bytes=100000-"
    )


def test_an_interrupt_ends_the_search_too(
    own: Desk, started: Callable[[list[str]], "subprocess.Popen[str]"]
) -> None:
    own.index.add(a_wheel("art"))
    own.index.behave("/simple/art/", SilentDrop())
    process = started(create_command(own, "art"))
    own.index.wait_for("/simple/art/")
    interrupted(process)


@pytest.mark.skipif(os.name == "nt", reason="there are no such terminals")
def test_at_a_terminal_there_is_a_bar(own: Desk) -> None:
    import pty

    own.index.add(a_wheel("art", extra_files={"data.bin": os.urandom(200_000)}))
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        create_command(own, "art"), env=server_environment(TERM="xterm"), stdout=theirs
    ) as process:
        os.close(theirs)
        shown = b""
        with suppress(OSError):  # how the end of a terminal is told
            while part := os.read(ours, 4096):
                shown += part
    os.close(ours)
    assert process.returncode == 0
    assert "Fetching (4 of 4 files)" in shown.decode()
    assert "100%" in shown.decode()
