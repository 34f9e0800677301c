"""Whether what a site wants can be installed from what it has."""

from collections.abc import Iterable, Sequence

import pytest

from simpleindex.gap.closure import (
    LooseEnd,
    Missing,
    Roots,
    Standing,
    check_closure,
    loose_ends,
    releases_on,
)
from simpleindex.gap.resolving import Kind
from simpleindex.gap.targets import Installer, Target, parse_target
from simpleindex.gap.wishes import Wishes, parse_line
from simpleindex_storage.names import ProjectName
from tests.gap.corpus import CORPUS, Offer, Said, named, offer, source_offer

OLD_LINUX = parse_target("3.6.15-manylinux_2_17_x86_64")
LINUX = parse_target("3.12.1-manylinux_2_17_x86_64")
WINDOWS = parse_target("3.9.18-win_amd64")
NEW_PIP = offer("pip", "21.3.1")


def wanted(*texts: str) -> Roots:
    return Roots((Wishes(tuple(map(parse_line, texts))),))


def by_itself(*names: str) -> Roots:
    return Roots(projects=tuple(named(*names)))


def standing(target: Target, roots: Roots, offers: Iterable[Offer] = CORPUS) -> Standing:
    (found,) = check_closure([target], roots, Said(*offers))
    return found


def kinds(found: Standing) -> dict[str, Kind]:
    return {verdict.line.text: verdict.kind for verdict in found.verdicts}


def test_each_target_has_its_own_verdicts_in_the_order_of_the_roots() -> None:
    roots = Roots(wanted("colour", "future").wishes, tuple(named("plain")))
    found = check_closure([OLD_LINUX, LINUX, WINDOWS], roots, Said(*CORPUS))
    assert [each.target for each in found] == [OLD_LINUX, LINUX, WINDOWS]
    for each in found:
        assert kinds(each) == {"colour": Kind.MET, "future": Kind.UNMET, "plain": Kind.MET}
        (failure,) = each.failures
        assert "requires Python >=3.13" in failure.chain[-1]


def test_what_is_missing_is_named_with_the_line_that_needs_it() -> None:
    gone = [each for each in CORPUS if each.project != "win-helper"]
    assert not standing(LINUX, wanted("colour"), gone).failures
    found = standing(WINDOWS, wanted("colour", "chain-1", "plain"), gone)
    assert kinds(found) == {"colour": Kind.UNMET, "chain-1": Kind.UNMET, "plain": Kind.MET}
    assert found.missing == (Missing("win-helper", "colour"), Missing("nowhere", "chain-1"))
    assert found.failures[1].chain == (
        "chain-1 1.0 needs chain-2>=1",
        "chain-2 1.0 needs chain-3",
        "chain-3 1.0 needs nowhere",
        "the index has no project nowhere",
    )


def test_lines_of_different_wishes_need_not_go_together() -> None:
    apart = Roots(wanted("app-a").wishes + wanted("app-b").wishes)
    assert set(kinds(standing(LINUX, apart)).values()) == {Kind.MET}


def test_what_is_here_and_excludes_itself_is_missing_nothing() -> None:
    offers = [offer("app", "1.0", "lib<2", "app-b"), offer("app-b", "1.0", "lib>=2"),
              offer("lib"), offer("lib", "2.0")]  # fmt: skip
    found = standing(LINUX, wanted("app"), offers)
    assert (kinds(found), found.missing) == ({"app": Kind.UNMET}, ())


def test_projects_by_themselves_may_exclude_each_other() -> None:
    offers = [offer("app-a", "1.0", "lib<2"), offer("app-b", "1.0", "lib>=2"),
              offer("lib"), offer("lib", "2.0")]  # fmt: skip
    found = standing(LINUX, by_itself("app-a", "app-b", "lib"), offers)
    assert set(kinds(found).values()) == {Kind.MET}


def test_a_project_is_only_meant_for_targets_that_it_has_a_file_for() -> None:
    offers = [offer("only-win", "1.0", "helper", tag="cp39-cp39-win_amd64")]
    there = standing(WINDOWS, by_itself("only-win"), offers)
    assert (kinds(there), there.missing) == (
        {"only-win": Kind.UNMET},
        (Missing("helper", "only-win"),),
    )
    elsewhere = standing(LINUX, by_itself("only-win"), offers)
    assert (kinds(elsewhere), elsewhere.missing) == ({"only-win": Kind.NOT_WANTED}, ())
    assert "only for cp39-cp39" in elsewhere.verdicts[0].chain[0]


def test_who_names_it_wants_it_on_every_target() -> None:
    offers = [offer("only-win", tag="cp39-cp39-win_amd64")]
    assert kinds(standing(LINUX, wanted("only-win"), offers)) == {"only-win": Kind.UNMET}


def test_an_older_release_serves_where_the_newest_cannot() -> None:
    offers = [offer("demo"), offer("demo", "2.0", "gone")]
    assert not standing(LINUX, by_itself("demo"), offers).failures


def test_a_pre_release_that_somebody_else_names_does_not_make_a_bare_name_good() -> None:
    offers = [offer("asks", "1.0", "demo>=2.0rc1"), offer("demo", "1.0", "gone"),
              offer("demo", "2.0rc1")]  # fmt: skip
    found = standing(LINUX, by_itself("asks", "demo"), offers)
    assert kinds(found) == {"asks": Kind.MET, "demo": Kind.UNMET}


def test_constraints_count() -> None:
    wishes = Wishes((parse_line("plain"),), constraints=(parse_line("plain>=2"),))
    found = standing(LINUX, Roots((wishes,)))
    assert found.failures[0].chain[0].startswith("no release is plain under the constraint")


MODERN = offer("demo", "2.0", tag="cp36-abi3-manylinux_2_17_x86_64.manylinux2014_x86_64")
OLD = offer("demo", "1.0", tag="cp36-abi3-manylinux1_x86_64")


def with_pip(version: str) -> Target:
    name = "3.6.15-manylinux_2_17_x86_64"
    return parse_target(name, installer=Installer("pip", version))


@pytest.mark.parametrize("roots", [wanted("demo"), by_itself("demo")], ids=["line", "project"])
def test_an_old_pip_needs_a_newer_one_first_which_has_to_be_here(roots: Roots) -> None:
    found = standing(with_pip("18.1"), roots, [MODERN, NEW_PIP])
    assert (found.failures, found.pip_first) == ((), "21.3.1")
    assert standing(with_pip("21.3.1"), roots, [MODERN]).pip_first is None
    for tools in ([], [offer("pip", "19.0")]):
        without = standing(with_pip("18.1"), roots, [MODERN, *tools])
        assert without.pip_first is None
        assert kinds(without)["demo"] is not Kind.MET


def test_an_old_pip_alone_takes_the_release_that_it_knows_the_wheels_of() -> None:
    found = standing(with_pip("18.1"), wanted("demo"), [OLD, MODERN])
    assert (found.failures, found.pip_first) == ((), None)


def test_what_the_index_cannot_tell_is_a_failure_too() -> None:
    said = Said(offer("demo"))
    said.broken.add("demo")
    (found,) = check_closure([LINUX], Roots(wanted("demo").wishes, tuple(named("demo"))), said)
    assert [verdict.kind for verdict in found.failures] == [Kind.UNKNOWN, Kind.UNKNOWN]


def test_a_search_that_takes_too_long_is_a_failure_too() -> None:
    (found,) = check_closure(
        [LINUX], wanted("colour"), Said(*CORPUS), seconds_max=1.0, now=iter(range(99)).__next__
    )
    assert [verdict.kind for verdict in found.failures] == [Kind.GAVE_UP]


def test_needs_of_releases_that_nobody_has_to_take_are_notes_alone() -> None:
    offers = [offer("demo"), offer("demo", "2.0", "gone; sys_platform == 'win32'", "plain"),
              offer("plain"), offer("other", "1.0", "plain>=2; extra == 'more'")]  # fmt: skip
    said = Said(*offers)
    assert loose_ends(named("demo", "other", "plain", "nowhere"), [LINUX, WINDOWS], said) == (
        LooseEnd("demo 2.0", "gone", (WINDOWS,)),
    )
    said.broken.add("demo")
    assert loose_ends(named("demo"), [LINUX, WINDOWS], said) == ()
    assert loose_ends(named("other"), [LINUX], Said(offers[0]), seconds_max=-1) == ()


def releases(name: str, targets: Sequence[Target], *offers: Offer) -> dict[str, list[Kind]]:
    rows = releases_on(ProjectName(name), targets, Said(*offers))
    return {str(row.version): [verdict.kind for verdict in row.verdicts] for row in rows}


def test_each_release_is_told_on_each_target_the_newest_first() -> None:
    offers = [offer("demo"), offer("demo", "2.0", "gone; sys_platform == 'win32'"),
              offer("demo", "3.0", python=">=3.12"), source_offer("demo", "4.0")]  # fmt: skip
    found = releases("demo", [OLD_LINUX, LINUX, WINDOWS], *offers)
    met, unmet = Kind.MET, Kind.UNMET
    assert list(found) == ["4.0", "3.0", "2.0", "1.0"]
    assert found["4.0"] == [unmet, unmet, unmet]
    assert found["3.0"] == [unmet, met, unmet]
    assert found["2.0"] == [met, met, unmet]
    assert found["1.0"] == [met, met, met]
    assert releases("nowhere", [LINUX]) == {}
