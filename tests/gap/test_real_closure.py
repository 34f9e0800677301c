"""Real projects, of which one file after the other is taken away: what we say of it, and uv.

Only metadata is fetched; the wheels are empty, and named as the real ones.
"""

import random
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

from simpleindex.gap.closure import Roots, check_closure
from simpleindex.gap.resolving import Outcome, Pick, resolve_all
from simpleindex.gap.source import IndexSource
from simpleindex.gap.targets import Target
from simpleindex.gap.wishes import Wishes
from tests.builders import BuiltFile, a_wheel, core_metadata
from tests.gap.corpus import Offer, Said
from tests.gap.site_sets import SIX, SMALL, NoIndex, lines, real_index, targets
from tests.gap.test_closure_referees import Referee, Site

pytestmark = pytest.mark.full

DELETIONS = 200


@pytest.fixture(scope="module")
def index() -> Iterator[IndexSource]:
    with ExitStack() as stack:
        try:
            source = stack.enter_context(real_index())
        except NoIndex as why:
            pytest.skip(f"no index of pip answers here: {why}")
        yield source


def stub(pick: Pick, index: IndexSource) -> Offer:
    """An empty wheel that needs what the real one does."""
    described = index.described(pick.file)
    metadata = core_metadata(
        str(pick.project),
        str(pick.version),
        requires_python=described.requires_python,
        requires_dist=[str(requirement) for requirement in described.requires],
        headers=[("Provides-Extra", extra) for extra in sorted(described.extras)],
    )
    tag = "-".join(pick.file.filename.removesuffix(".whl").split("-")[-3:])
    built = a_wheel(str(pick.project), str(pick.version), metadata=metadata, tag=tag)
    return Offer(BuiltFile(pick.file.filename, built.content), metadata, pick.file.requires_python)


def needing(outcomes: list[Outcome], gone: Offer) -> list[Target]:
    """The targets that a file was picked for."""
    return [
        each.target
        for each in outcomes
        if gone.built.filename in {pick.file.filename for pick in each.picks}
    ]


def excludes(offered: Offer, target: Target) -> bool:
    """Whether a file is not for the Python of a target.

    uv would take it all the same if that is by a hole, like `>=2.7,!=3.6.*`: it goes by the lower
    bounds of Requires-Python alone.
    """
    limits = offered.requires_python
    return bool(limits) and not SpecifierSet(limits or "").contains(target.python)


def test_without_a_file_of_real_projects_we_and_uv_say_the_same(
    index: IndexSource, tmp_path: Path
) -> None:
    wishes = Wishes(lines(tuple(dict.fromkeys((*SIX, *SMALL)))))
    outcomes = resolve_all(targets(), wishes, index)
    assert all(outcome.is_complete for outcome in outcomes)
    picks = {pick.file.filename: pick for each in outcomes for pick in each.picks}
    offers = tuple(stub(pick, index) for pick in picks.values())
    referee = Referee(tmp_path, Site(wishes.lines, offers))
    rng = random.Random(1)
    found = []
    for gone in rng.choices(offers, k=DELETIONS):
        needed_by = needing(outcomes, gone)
        asked = {*rng.sample(needed_by, min(2, len(needed_by))), rng.choice(targets())}
        said = Said(*(each for each in offers if each is not gone))
        for standing in check_closure(list(asked), Roots((wishes,)), said):
            ours = not standing.failures
            hidden = [each for each in offers if each is gone or excludes(each, standing.target)]
            uv = referee.can_install(standing.target, *hidden)
            found.append((gone.built.filename, standing.target.name, ours, uv))
    assert {ours for _, _, ours, _ in found} == {True, False}
    assert [each for each in found if each[2] != each[3]] == []
