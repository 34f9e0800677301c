"""`bundle import`, killed and failing at every call: all of a bundle is taken in, or nothing."""

import errno
import hashlib
import random
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest

from simpleindex.cli import main
from simpleindex.gap.bundle.manifest import AssumedFile, Notice
from simpleindex.gap.bundle.site_ledger import imports
from simpleindex_storage.names import IndexName, parse_filename
from simpleindex_storage.opening import open_store
from tests.builders import a_wheel, an_sdist
from tests.crash.harness import init, restarted
from tests.crash.leavings import journal_gaps, strays
from tests.crash.shim import CHANGES, FAILING, LASTING, Shim, a_shim
from tests.crash.tally import Harm, Tally, tally_of
from tests.gap.bundle.bundles import a_bundle, a_manifest

OLD = a_wheel("old")
BUILT = (a_wheel(), a_wheel(version="2.0"), an_sdist("other"), a_wheel("large", extra_files={
    "large/data.py": bytes(range(256)) * 4096
}))  # fmt: skip

BEFORE = ({OLD.filename: None}, 0)
AFTER = ({OLD.filename: "it is bad", **{built.filename: None for built in BUILT}}, 1)
"""Files and why they are yanked; and how many imports the ledger has of the index."""

KILLS = 30
SOME = 9
LANES = 6
"""Each takes every sixth call, at a site of its own: the more imports a ledger has, the longer it
takes to read it, and with all trials at one site no import would ever come to its end untouched."""

WAYS = [
    *(pytest.param(error, False, id=errno.errorcode[error]) for error in FAILING),
    *(pytest.param(error, True, id=f"{errno.errorcode[error]} for good") for error in LASTING),
]


@dataclass(frozen=True, slots=True)
class Site:
    """A server directory, a bundle, and what stands between processes and the disk."""

    serverdir: Path
    bundle: Path
    shim: Shim

    def prepare(self, index: str) -> None:
        """An index that has what the bundle assumes, and yanks."""
        where = f"--serverdir={self.serverdir}"
        assert main(["index", "create", index, where]) == 0
        old = str(self.bundle.with_name(OLD.filename))
        assert main(["add", old, f"--index={index}", where]) == 0

    def take_in(self, index: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "simpleindex", *self._words(index)]
        environment = self.shim.environment()
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    def take_in_again(self, index: str, tally: Tally, call: str) -> None:
        """The same, in peace and in this process."""
        exit_code = main(self._words(index))
        if exit_code != 0:
            tally.add(Harm.WEDGED, [f"the same again: {exit_code}"], call)
        self.judge(index, tally, call, may_be_before=False)

    def _words(self, index: str) -> list[str]:
        words = ["bundle", "import", str(self.bundle), f"--index={index}", "--no-check"]
        return [*words, f"--serverdir={self.serverdir}"]

    def judge(self, index: str, tally: Tally, call: str, *, may_be_before: bool) -> None:
        """Whether an index is as it was, or has all of it; and that nothing else is left."""
        seen, paths, serial = self._seen(index, tally, call)
        if seen != AFTER and not (may_be_before and seen == BEFORE):
            tally.add(Harm.HALF_VISIBLE, [f"it is {seen}"], call)
        tally.add(Harm.LEFT_OVER, strays(self.serverdir, index, paths), call)
        tally.add(Harm.HALF_VISIBLE, journal_gaps(self.serverdir, serial), call)

    def judge_left_overs(self, tally: Tally, call: str) -> None:
        """Once no process has the directory open, there are no drafts in it."""
        drafts = [str(path) for path in (self.serverdir / "incoming").iterdir()]
        tally.add(Harm.LEFT_OVER, drafts, call)

    def _seen(
        self, index: str, tally: Tally, call: str
    ) -> tuple[tuple[dict[str, str | None], int], list[str], int]:
        name = IndexName(index)
        # As the next process would: what is left of the one that died is cleared away here.
        with closing(open_store(self.serverdir)) as store:
            with store.catalog.snapshot() as seen:
                known = [it for it in seen.projects(name)]
                files = [file for it in known for file in seen.files(name, it.name)]
                taken = [each for each in imports(seen) if each.index == name]
                serial = seen.serial
            for file in files:
                with store.open(file.place)[1] as content:
                    if hashlib.sha256(content.read()).hexdigest() != file.sha256:
                        tally.add(Harm.LOST, [f"{file.filename} has other bytes"], call)
        state = ({file.filename: file.yanked for file in files}, len(taken))
        return state, [file.place.path for file in files], serial


@contextmanager
def a_site(folder: Path) -> Iterator[Site]:
    OLD.save(folder)
    bundle = folder / "site.pkgbundle.zip"
    old = (parse_filename(OLD.filename), OLD.sha256)
    manifest = a_manifest(BUILT, assumes=(AssumedFile(*old),), yanks=(Notice(*old, "it is bad"),))
    a_bundle(bundle, BUILT, manifest=manifest)
    init(folder / "data")
    with a_shim(folder / "data") as shim:
        yield Site(folder / "data", bundle, shim)


def changes_of(site: Site) -> list[str]:
    """What an import changes on the disk, call by call."""
    site.prepare("root/counted")
    site.shim.count(CHANGES)
    ended = site.take_in("root/counted")
    assert ended.returncode == 0, ended.stderr
    site.shim.disarm()
    return site.shim.calls()


def kill_at(site: Site, numbers: Iterable[int], calls: Sequence[str]) -> Tally:
    """Each time, the next process finds one state or the other, and the same again ends it."""
    tally = tally_of("import a bundle")
    for number in numbers:
        index = f"root/kill-{number}"
        site.prepare(index)
        site.shim.kill_at(number)
        ended = site.take_in(index)
        site.shim.disarm()
        call = f"killed at {number}: {calls[number] if number < len(calls) else ''}"
        if not site.shim.has_hit:
            tally.points += site.shim.passed
            assert ended.returncode == 0, ended.stderr
            site.judge(index, tally, call, may_be_before=False)
            break
        assert ended.returncode == -signal.SIGKILL
        tally.kills += 1
        site.judge(index, tally, call, may_be_before=True)
        site.judge_left_overs(tally, call)
        site.take_in_again(index, tally, call)
    return tally


def test_an_import_that_is_killed_at_thirty_random_moments_is_never_half(tmp_path: Path) -> None:
    with a_site(tmp_path) as site:
        calls = changes_of(site)
        moments = random.Random(8).sample(range(len(calls) - 3), KILLS)
        tally = kill_at(site, moments, calls)
        assert tally.lines() == []
        assert tally.kills == KILLS
        broken: list[str] = []
        with restarted(site.serverdir, broken):
            assert broken == []


@pytest.mark.full
def test_no_moment_of_an_import_is_a_bad_one_to_die(tmp_path: Path) -> None:
    with a_site(tmp_path) as site:
        calls = changes_of(site)
        assert kill_at(site, range(len(calls) + 100), calls).lines() == []


def fail_at(site: Site, numbers: Iterable[int], error: int, *, for_good: bool) -> Tally:
    """Beside a server that is not told of any trouble, and has none."""
    tally = tally_of("import a bundle")
    for number in numbers:
        index = f"root/fail-{number}"
        site.prepare(index)
        site.shim.fail(error, number, for_good=for_good)
        ended = site.take_in(index)
        site.shim.disarm()
        if not site.shim.has_hit:
            tally.points += site.shim.passed
            assert ended.returncode == 0, ended.stderr
            break
        tally.failures += 1
        call = f"{errno.errorcode[error]} at {number}: {site.shim.calls()[number]}"
        if ended.returncode not in (0, 1) or "Traceback" in ended.stderr:
            tally.add(Harm.WEDGED, [f"{ended.returncode} {ended.stderr[-400:]}"], call)
        site.judge(index, tally, call, may_be_before=ended.returncode != 0)
        site.take_in_again(index, tally, call)
    return tally


def test_an_import_on_a_disk_that_fills_up_is_never_half(tmp_path: Path) -> None:
    with a_site(tmp_path) as site:
        site.prepare("root/counted")
        site.shim.count(LASTING[errno.ENOSPC])
        assert site.take_in("root/counted").returncode == 0
        site.shim.disarm()
        moments = random.Random(8).sample(range(len(site.shim.calls()) - 3), SOME)
        assert fail_at(site, moments, errno.ENOSPC, for_good=True).lines() == []


@pytest.mark.full
@pytest.mark.parametrize("lane", range(LANES))
@pytest.mark.parametrize(("error", "for_good"), WAYS)
def test_no_call_of_an_import_is_a_bad_one_to_fail(
    tmp_path: Path, error: int, for_good: bool, lane: int
) -> None:
    with a_site(tmp_path) as site, restarted(site.serverdir, []):
        tally = fail_at(site, count(lane, LANES), error, for_good=for_good)
    assert tally.lines() == []
    assert tally.failures > 0
