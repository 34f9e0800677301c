"""Sets of real projects for 16 kinds of hosts, from the index that the pip of this machine uses."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from simpleindex.gap.bundle.cache import open_cache
from simpleindex.gap.bundle.creating import Creation, Order
from simpleindex.gap.bundle.holdings import holdings_of
from simpleindex.gap.bundle.planning import Plan
from simpleindex.gap.request import Held
from simpleindex.gap.resolving import Kind
from simpleindex.gap.source import IndexSource
from tests.clients.programs import Terminal, program
from tests.gap.interpreters import python_of
from tests.gap.site_sets import MANY, SIX, SMALL, NoIndex, index_url, lines, real_index, targets
from tests.gap.test_referees import UV_PLATFORMS

pytestmark = pytest.mark.full

COMPARED_WITH_UV = (0, 5, 7, 12, 15)
"""Places among the targets: uv takes seconds for each."""

_TOOLS = {"pip", "setuptools", "wheel", "packaging"}
"""What comes along for hosts, with what that needs; none of the six needs these."""


@pytest.fixture(scope="module")
def index() -> Iterator[IndexSource]:
    with ExitStack() as stack:
        try:
            source = stack.enter_context(real_index())
        except NoIndex as why:
            pytest.skip(f"no index of pip answers here: {why}")
        yield source


def planned(index: IndexSource, folder: Path, order: Order) -> Plan:
    with open_cache(folder / "cache") as cache:
        return Creation(order, index, cache).plan()


@pytest.mark.parametrize("wanted", [SIX, SMALL, MANY], ids=["six", "small", "many"])
def test_every_line_is_met_on_every_target_or_there_is_a_named_reason(
    wanted: tuple[str, ...], index: IndexSource, tmp_path: Path
) -> None:
    plan = planned(index, tmp_path, Order(targets(), lines(wanted)))
    for outcome in plan.outcomes:
        for verdict in outcome.verdicts:
            assert verdict.kind not in {Kind.UNKNOWN, Kind.GAVE_UP, Kind.REFUSED}, verdict
            assert verdict.kind in {Kind.MET, Kind.NOT_WANTED} or verdict.chain, verdict
        assert all(verdict.kind is Kind.MET for verdict in outcome.bootstrap), outcome.bootstrap
    if wanted in {SIX, SMALL}:
        assert plan.is_complete, plan.problems
    assert len({planned.name.text for planned in plan.files}) == len(plan.files)


def test_uv_pins_the_same_for_the_six(index: IndexSource, tmp_path: Path) -> None:
    plan = planned(index, tmp_path, Order(targets(), lines(SIX)))
    terminal = Terminal(tmp_path / "home")
    (tmp_path / "wanted.txt").write_text("\n".join(SIX))
    differences = []
    for place in COMPARED_WITH_UV:
        outcome = plan.outcomes[place]
        theirs = compiled(terminal, tmp_path, outcome.target.name, "--default-index", index_url())
        ours = {
            f"{pick.project}=={pick.version}"
            for pick in outcome.picks
            if pick.project not in _TOOLS
        }
        if theirs != ours:
            differences.append((outcome.target.name, theirs - ours, ours - theirs))
    assert differences == []


def compiled(terminal: Terminal, folder: Path, target: str, *index: str | Path) -> set[str]:
    """What uv pins for a target."""
    python, _, platform = target.partition("-")
    output = terminal.must(
        program("uv"), "pip", "compile", folder / "wanted.txt", "--python-version", python,
        "--python-platform", UV_PLATFORMS[platform], "--only-binary", ":all:", "--no-header",
        "--no-annotate", *index, "--python", python_of("this"), "--quiet",
        UV_CACHE_DIR=str(folder / "uv-cache"), no_proxy="*",
    )  # fmt: skip
    return {text for text in output.split() if "==" in text}


def test_from_the_files_of_a_bundle_uv_installs_on_all_16(
    index: IndexSource, tmp_path: Path
) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    with open_cache(tmp_path / "cache") as cache:
        creation = Creation(Order(targets(), lines(SMALL)), index, cache)
        plan = creation.fetch(creation.plan())
        contents = creation.contents(plan, datetime.now(UTC), "tests")
        for file in contents.manifest.files:
            (folder / file.name.text).symlink_to(contents.paths[file.sha256])
        (tmp_path / "wanted.txt").write_text("\n".join(SMALL))
        terminal = Terminal(tmp_path / "home")
        for target in plan.targets:
            pins = compiled(terminal, tmp_path, target.name, "--no-index", "--find-links", folder)
            assert len(pins) >= len(SMALL)


@pytest.mark.parametrize("wanted", [SIX, MANY], ids=["six", "many"])
def test_a_month_later_only_the_difference_goes(
    wanted: Sequence[str], index: IndexSource, tmp_path: Path
) -> None:
    now = datetime.now(UTC)
    order = Order(targets(), lines(tuple(wanted)), uploaded_before=now - timedelta(days=30))
    first = planned(index, tmp_path, order)
    if first.is_empty:
        pytest.skip("the index does not tell when files were uploaded")
    sent = {planned.file.hashes["sha256"]: planned for planned in first.files}
    had = holdings_of(Held(sha256, each.name.text) for sha256, each in sent.items())
    later = replace(order, uploaded_before=now, holdings=had)
    kept = planned(index, tmp_path, later)
    newest = planned(index, tmp_path, replace(later, updated=None))
    everything = planned(index, tmp_path, replace(later, holdings=holdings_of([])))
    for second in (kept, newest):
        assert second.assumes
        assert not {planned.file.hashes["sha256"] for planned in second.files} & set(sent)
        assert {each.sha256 for each in second.assumes} <= set(sent)
        assert second.size_bytes < everything.size_bytes / 2
    # What the site has still fits, so that next to nothing has to come; and the newest, all of it.
    assert kept.size_bytes <= newest.size_bytes
    needed = {planned.file.hashes["sha256"] for planned in everything.files}
    assert needed == {planned.file.hashes["sha256"] for planned in newest.files} | {
        each.sha256 for each in newest.assumes
    }
