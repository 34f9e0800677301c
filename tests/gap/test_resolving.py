"""Verdicts for each line on each target, and the files that they take."""

from collections.abc import Iterable, Iterator
from itertools import count

import pytest
from packaging.utils import canonicalize_name
from packaging.version import Version

from simpleindex.gap.resolving import Kind, Outcome, Pick, Verdict, resolve, resolve_all
from simpleindex.gap.targets import Installer, parse_target
from simpleindex.gap.wishes import Line, Wishes, parse_line, read_lines
from tests.gap.corpus import CORPUS, Offer, Said, offer, page_file, source_offer

OLD_LINUX = "3.6.15-manylinux_2_17_x86_64"
LINUX = "3.12.1-manylinux_2_17_x86_64"
NEW_LINUX = "3.12.1-manylinux_2_28_x86_64"
WINDOWS = "3.9.18-win_amd64"


def lines(*texts: str) -> tuple[Line, ...]:
    return tuple(map(parse_line, texts))


def outcome(target: str, *texts: str, offers: Iterable[Offer] = CORPUS) -> Outcome:
    return resolve(parse_target(target), Wishes(lines(*texts)), Said(*offers))


def picked(found: Outcome) -> dict[str, str]:
    return {pick.project: str(pick.version) for pick in found.picks}


def the_verdict(target: str, text: str, *offers: Offer) -> Verdict:
    (verdict,) = outcome(target, text, offers=offers or CORPUS).verdicts
    return verdict


@pytest.mark.parametrize(
    ("target", "line", "picks"),
    [
        # Markers are those of the target
        (LINUX, "colour", {"colour": "1.0", "late": "1.0"}),
        ("3.12.0-win_amd64", "colour", {"colour": "1.0", "win-helper": "1.0"}),
        (OLD_LINUX, "colour", {"colour": "1.0", "backport": "1.0"}),
        # The newest whose wheel its C library can run
        (LINUX, "native", {"native": "1.0"}),
        (NEW_LINUX, "native", {"native": "2.0"}),
        (WINDOWS, "native", {"native": "2.0"}),
        ("3.12.1-alpine", "native", {"native": "2.0"}),
        ("3.12.1-macosx_13_0_arm64", "native", {"native": "1.0"}),
        (OLD_LINUX, "native", {"native": "1.0"}),
        ("3.13.0-linux", "abi3", {"abi3": "1.0"}),
        # Requires-Python, with holes, down to the patch release
        (WINDOWS, "holes", {"holes": "1.0"}),
        (LINUX, "holes", {"holes": "2.0"}),
        (WINDOWS, "patchy", {"patchy": "1.0"}),
        ("3.9.19-win_amd64", "patchy", {"patchy": "2.0"}),
        ("cp39-win_amd64", "patchy", {"patchy": "2.0"}),
        # Pre-releases: only if asked for, or if there is nothing else
        (LINUX, "fresh", {"fresh": "1.0"}),
        (LINUX, "fresh>=2.0rc1", {"fresh": "2.0rc1"}),
        (LINUX, "needs-pre", {"needs-pre": "1.0", "fresh": "2.0rc1"}),
        (LINUX, "only-pre", {"only-pre": "1.0a2"}),
        # Yanked: only if pinned
        (LINUX, "dropped", {"dropped": "1.0"}),
        (LINUX, "dropped==2.0", {"dropped": "2.0"}),
        (LINUX, "dropped===2.0", {"dropped": "2.0"}),
        # Source distributions are passed over, and so is what leads to one
        (LINUX, "half-source", {"half-source": "1.0"}),
        (LINUX, "deep", {"deep": "1.0", "plain": "1.0"}),
        # Extras
        (LINUX, "many", {"many": "1.0", "plain": "1.1"}),
        (LINUX, "many[fast]", {"many": "1.0", "plain": "1.1", "native": "1.0"}),
        (LINUX, "many[unheard-of]", {"many": "1.0", "plain": "1.1"}),
        (LINUX, "circle-a", {"circle-a": "1.0", "circle-b": "1.0"}),
        (LINUX, "Plain", {"plain": "1.1"}),
    ],
)
def test_what_a_line_takes_on_a_target(target: str, line: str, picks: dict[str, str]) -> None:
    found = outcome(target, line)
    assert [(verdict.kind, verdict.chain) for verdict in found.verdicts] == [(Kind.MET, ())]
    assert found.is_complete
    assert picked(found) == picks


@pytest.mark.parametrize(
    ("target", "line", "chain"),
    [
        (LINUX, "nowhere", ["the index has no project nowhere"]),
        (LINUX, "plain>2", ["no release is plain>2; the newest is 1.1"]),
        (LINUX, "fresh>1", ["only pre-releases are fresh>1: 2.0rc1; none was asked for"]),
        (
            WINDOWS, "future",
            ["no future can be used on 3.9.18-win_amd64: future 1.0 requires Python >=3.13"],
        ),
        (
            # No final fits, and that makes no reason to take a pre-release.
            LINUX, "old-final",
            ["no old-final can be used on 3.12.1-manylinux_2_17_x86_64: "
             "old-final 1.0 requires Python <3.8"],
        ),
        (
            LINUX, "modern",
            ["no modern can be used on 3.12.1-manylinux_2_17_x86_64: modern 1.0 has no wheel for "
             "its glibc, only from glibc 2.28 on"],
        ),
        (
            WINDOWS, "modern",
            ["no modern can be used on 3.9.18-win_amd64: modern 1.0 has no wheel for its platform, "
             "only for manylinux_2_28_x86_64"],
        ),
        (
            OLD_LINUX, "abi3",
            ["no abi3 can be used on 3.6.15-manylinux_2_17_x86_64: abi3 1.0 has no wheel for its "
             "Python, only for cp38-abi3"],
        ),
        (
            "3.13.0-win_amd64", "native",
            ["no native can be used on 3.13.0-win_amd64: native 2.0 has no wheel for its Python, "
             "only for cp312-cp312, cp36-cp36m, cp37-cp37m, cp38-cp38 and 1 more; the other "
             "release cannot either"],
        ),
        (
            LINUX, "source-only",
            ["no source-only can be used on 3.12.1-manylinux_2_17_x86_64: source-only 1.0 has no "
             "wheel, only what has to be built"],
        ),
        (LINUX, "broken", ["broken 1.0 needs nowhere>=1", "the index has no project nowhere"]),
        (
            LINUX, "chain-1",
            ["chain-1 1.0 needs chain-2>=1", "chain-2 1.0 needs chain-3",
             "chain-3 1.0 needs nowhere", "the index has no project nowhere"],
        ),
        (
            LINUX, "many[slow]",
            ["many[slow] 1.0 needs source-only",
             "no source-only can be used on 3.12.1-manylinux_2_17_x86_64: source-only 1.0 has no "
             "wheel, only what has to be built"],
        ),
        (LINUX, "from-url", ["from-url 1.0 needs plain from a URL, which is no index"]),
    ],
)  # fmt: skip
def test_what_cannot_be_had_is_told_with_the_chain_of_reasons(
    target: str, line: str, chain: list[str]
) -> None:
    found = outcome(target, line)
    (verdict,) = found.verdicts
    assert (verdict.kind, list(verdict.chain)) == (Kind.UNMET, chain)
    assert not found.is_complete
    assert found.picks == ()


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("plain @ https://packages.example/plain-1.0.whl", "it comes from a URL"),
        ("https://packages.example/plain-1.0.whl", "it comes from a path or URL"),
        ("./wheels/plain-1.0-py3-none-any.whl", "it comes from a path or URL"),
        ("plain-1.0-py3-none-any.whl", "it comes from a path or URL"),
        ("-e .", "an editable project comes from a folder"),
        ("-r more.txt", "files that a file names are not read"),
        ("plain >=", "it is no requirement like"),
        ("plain == 1 2", "it is no requirement like"),
    ],
)
def test_lines_that_no_index_can_serve_are_refused(line: str, why: str) -> None:
    found = outcome(LINUX, line, "plain")
    refused, met = found.verdicts
    assert (refused.kind, met.kind) == (Kind.REFUSED, Kind.MET)
    assert refused.chain[0].startswith(why)
    assert not found.is_complete


def test_a_line_whose_marker_is_not_for_the_target_is_not_wanted() -> None:
    text = "win-helper; sys_platform == 'win32'"
    linux, windows = outcome(LINUX, text), outcome(WINDOWS, text)
    assert (linux.verdicts[0].kind, linux.is_complete) == (Kind.NOT_WANTED, True)
    assert linux.picks == ()
    assert windows.verdicts[0].kind is Kind.MET


def test_each_line_has_its_own_verdict_and_the_rest_is_not_held_up() -> None:
    found = outcome(LINUX, "broken", "plain", "source-only", "fresh")
    assert [verdict.kind for verdict in found.verdicts] == [
        Kind.UNMET, Kind.MET, Kind.UNMET, Kind.MET,
    ]  # fmt: skip
    assert picked(found) == {"plain": "1.1", "fresh": "1.0"}


def test_lines_go_together_where_that_is_possible() -> None:
    # app-c 2.0 wants the newer lib; beside app-a, its older release is the one that works.
    found = outcome(LINUX, "app-a", "app-c")
    assert found.is_complete
    assert picked(found) == {"app-a": "1.0", "app-c": "1.0", "lib": "1.0"}


def test_lines_that_exclude_each_other_are_served_each_by_itself() -> None:
    found = outcome(LINUX, "app-a", "plain", "app-b")
    kinds = [verdict.kind for verdict in found.verdicts]
    assert kinds == [Kind.MET, Kind.MET, Kind.ALONE]
    assert found.is_complete
    assert found.verdicts[2].chain == (
        "lib<2 is needed by app-a 1.0",
        "lib>=2 is needed by app-b 1.0",
        "these exclude each other",
    )
    both = {(pick.project, str(pick.version)) for pick in found.picks}
    assert {("lib", "1.0"), ("lib", "2.0"), ("app-a", "1.0"), ("app-b", "1.0")} <= both


def test_a_contradiction_within_the_wishes_is_told() -> None:
    found = outcome(LINUX, "lib<2", "lib>=2")
    assert [verdict.kind for verdict in found.verdicts] == [Kind.MET, Kind.ALONE]
    assert found.verdicts[1].chain == (
        "lib<2 is wanted", "lib>=2 is wanted", "these exclude each other",
    )  # fmt: skip


def test_a_pick_tells_who_needs_it() -> None:
    found = outcome(LINUX, "many[fast]", "plain>=1")
    picks: dict[str, Pick] = {pick.project: pick for pick in found.picks}
    assert picks["many"].needed_by == ("many[fast]",)
    assert picks["many"].extras == ("fast",)
    assert picks["plain"].needed_by == ("plain>=1", "many 1.0")
    assert picks["native"].needed_by == ("many 1.0",)


def test_constraints_limit_and_are_named_where_they_hurt() -> None:
    source = Said(*CORPUS)
    constraints = lines("plain<1.1", "lib==3; sys_platform == 'win32'", "unused<1")
    wishes = Wishes(lines("many", "lib"), constraints)
    linux = resolve(parse_target(LINUX), wishes, source)
    assert picked(linux) == {"many": "1.0", "plain": "1.0", "lib": "2.0"}
    windows = resolve(parse_target(WINDOWS), wishes, source)
    assert windows.verdicts[1].chain == (
        "no release is lib under the constraint lib==3; the newest is 2.0",
    )


def test_only_files_with_one_of_the_hashes_are_taken() -> None:
    good = next(each for each in CORPUS if each.built.filename.startswith("plain-1.0"))
    text = f"plain --hash=sha256:{good.built.sha256} \\\n  --hash=sha256:{'0' * 64}\n"
    found = resolve(parse_target(LINUX), Wishes(read_lines(text).lines), Said(*CORPUS))
    assert picked(found) == {"plain": "1.0"}
    other = Wishes(read_lines(f"plain --hash=sha256:{'0' * 64}").lines)
    refused = resolve(parse_target(LINUX), other, Said(*CORPUS))
    assert "plain 1.1 has no file with one of the hashes" in refused.verdicts[0].chain[0]


def test_what_a_site_has_is_kept_until_a_line_asks_for_more() -> None:
    held = {canonicalize_name("lib"): frozenset({Version("1.0")})}
    source = Said(*CORPUS)
    for text, version in (("lib", "1.0"), ("lib>1", "2.0"), ("app-b", "2.0")):
        found = resolve(parse_target(LINUX), Wishes(lines(text), held=held), source)
        assert picked(found)["lib"] == version


@pytest.mark.parametrize(
    ("held", "taken"),
    [
        ([], "manylinux_2_17_x86_64"),
        (["any"], "any"),
        (["any", "manylinux_2_12_x86_64"], "manylinux_2_12_x86_64"),
        (["manylinux_2_14_x86_64"], "manylinux_2_17_x86_64"),  # which is yanked
        (["win_amd64"], "manylinux_2_17_x86_64"),
    ],
)
def test_of_a_release_a_file_that_the_site_has_goes_before_better_ones(
    held: list[str], taken: str
) -> None:
    glibc = [f"manylinux_2_{minor}_x86_64" for minor in (12, 14, 17)]
    by_platform = {
        platform: offer("demo", tag=f"py3-none-{platform}", yanked=platform == glibc[1])
        for platform in ("any", *glibc, "win_amd64")
    }
    has = frozenset(page_file(by_platform[platform]).url for platform in held)
    wishes = Wishes(lines("demo"), held_files=has)
    (pick,) = resolve(parse_target(LINUX), wishes, Said(*by_platform.values())).picks
    assert pick.file.filename == by_platform[taken].built.filename


def test_pre_releases_are_as_good_as_others_if_the_site_says_so() -> None:
    wishes = Wishes(lines("fresh"), pre_releases=True)
    assert picked(resolve(parse_target(LINUX), wishes, Said(*CORPUS))) == {"fresh": "2.0rc1"}


def test_the_newest_tools_that_fit_come_along() -> None:
    tools = (
        offer("pip", "21.3.1", python=">=3.6"),
        offer("pip", "26.3", python=">=3.10"),
        offer("setuptools", "59.6.0", python=">=3.6"),
        offer("wheel", "0.37.1"),
        offer("wheel", "0.48.0", "packaging>=24", python=">=3.9"),
        offer("packaging", "26.3", python=">=3.8"),
    )
    old = outcome(OLD_LINUX, "plain", offers=[*CORPUS, *tools])
    assert picked(old) == {
        "pip": "21.3.1", "setuptools": "59.6.0", "wheel": "0.37.1", "plain": "1.1",
    }  # fmt: skip
    assert [verdict.kind for verdict in old.bootstrap] == [Kind.MET] * 3
    new = outcome(LINUX, "wheel<0.40", offers=[*CORPUS, *tools])
    wheels = [str(pick.version) for pick in new.picks if pick.project == "wheel"]
    assert wheels == ["0.37.1", "0.48.0"]
    without = outcome(LINUX, "plain")
    assert [verdict.kind for verdict in without.bootstrap] == [Kind.UNMET] * 3
    assert without.is_complete  # it is the lines that count


def test_the_newest_pip_comes_along_whatever_is_held() -> None:
    tools = [offer(name, version) for name in ("pip", "wheel") for version in ("1.0", "2.0")]
    one = frozenset({Version("1.0")})
    held = {canonicalize_name(name): one for name in ("pip", "wheel")}
    found = resolve(parse_target(LINUX), Wishes((), held=held), Said(*tools))
    assert picked(found) == {"pip": "2.0", "wheel": "1.0"}


def test_a_file_that_the_hosts_own_pip_does_not_know_is_told() -> None:
    target = parse_target("cp36-linux", installer=Installer("pip", "18.1"))
    offers = [
        offer("named", tag="cp36-cp36m-manylinux2014_x86_64.manylinux_2_17_x86_64"),
        offer("plain"),
    ]
    found = resolve(target, Wishes(lines("named", "plain")), Said(*offers))
    needed = {pick.project: pick.pip_needed for pick in found.picks}
    assert needed == {"named": "19.3", "plain": None}


def test_the_best_tag_wins_and_then_the_highest_build() -> None:
    offers = [
        offer("demo", tag="py3-none-any"),
        offer("demo", tag="cp312-cp312-manylinux1_x86_64"),
        offer("demo", tag="cp312-cp312-manylinux_2_17_x86_64"),
    ]
    built = [offer("demo", tag=f"{build}-py3-none-any") for build in (2, 10)]
    (best,) = outcome(LINUX, "demo", offers=offers).picks
    assert best.file.filename == "demo-1.0-cp312-cp312-manylinux_2_17_x86_64.whl"
    (last,) = outcome(LINUX, "demo", offers=[*built, offers[0]]).picks
    assert last.file.filename == "demo-1.0-10-py3-none-any.whl"


def test_metadata_may_exclude_a_python_that_the_page_does_not() -> None:
    said = offer("demo", "2.0", python=">=3.13")
    silent = Offer(said.built, said.metadata, requires_python=None)
    found = outcome(LINUX, "demo", offers=[silent, offer("demo")])
    assert picked(found) == {"demo": "1.0"}
    verdict = the_verdict(LINUX, "demo>1", silent)
    assert verdict.chain == ("demo 2.0 requires Python >=3.13",)


def test_odd_metadata_is_left_out_and_told() -> None:
    offers = [
        offer("demo", "1.0", "bad (>dev)", "old (>=1.*)", python=">=2.7,!=3.0.*,<4.*"),
        offer("old"),
    ]
    found = outcome(LINUX, "demo[typo]", offers=offers)
    assert picked(found) == {"demo": "1.0", "old": "1.0"}
    assert found.notes == (
        "demo 1.0 needs 'bad (>dev)', which cannot be read and is left out",
        "demo 1.0 has no extra typo; it is left out",
    )


def test_an_index_in_trouble_is_no_verdict_of_its_files() -> None:
    source = Said(*CORPUS)
    source.broken = {"nowhere", "fresh-1.0-py3-none-any.whl"}
    found = resolve(parse_target(LINUX), Wishes(lines("broken", "fresh", "plain")), source)
    assert [verdict.kind for verdict in found.verdicts] == [Kind.UNKNOWN, Kind.UNKNOWN, Kind.MET]
    assert found.verdicts[0].chain == ("the page of nowhere cannot be had",)
    assert picked(found) == {"plain": "1.1"}


# How long it may take


def impossible_stack(depth: int, releases: int) -> Iterator[Offer]:
    """Every release of every layer needs any release of the next; the last layer has no wheel."""
    for layer in range(depth):
        below = f"layer-{layer + 1}"
        for number in range(releases):
            yield offer(f"layer-{layer}", f"{number}.0", below, "plain")
    yield source_offer(f"layer-{depth}")
    yield offer("plain")


def test_what_is_impossible_far_below_is_found_without_trying_everything_above() -> None:
    source = Said(*impossible_stack(8, 10))
    found = resolve(parse_target(LINUX), Wishes(lines("layer-0", "plain")), source)
    assert [verdict.kind for verdict in found.verdicts] == [Kind.UNMET, Kind.MET]
    assert len(found.verdicts[0].chain) == 9
    assert len(source.read) <= 8 * 10 + 1  # each release once, not each way down


def test_a_search_that_takes_too_long_says_so() -> None:
    ticks = count()
    found = resolve(
        parse_target(LINUX), Wishes(lines("many", "plain")), Said(*CORPUS),
        seconds_max=3, now=lambda: float(next(ticks)),
    )  # fmt: skip
    assert {verdict.kind for verdict in found.verdicts} == {Kind.GAVE_UP}
    assert found.verdicts[0].chain == ("the search took longer than it may",)
    turns_back = offer("both", "1.0", "app-c", "app-a")
    source = Said(turns_back, *CORPUS)
    assert resolve(parse_target(LINUX), Wishes(lines("both")), source).is_complete
    short = resolve(parse_target(LINUX), Wishes(lines("both")), source, rounds_max=1)
    assert short.verdicts[0].kind is Kind.GAVE_UP


def test_a_very_long_chain_is_no_obstacle() -> None:
    links = [offer(f"link-{number}", "1.0", f"link-{number + 1}") for number in range(300)]
    found = outcome(LINUX, "link-0", offers=[*links, offer("link-300")])
    assert found.is_complete
    assert len(found.picks) == 301


def test_many_targets_share_what_was_read_and_keep_their_order() -> None:
    targets = [parse_target(name) for name in (OLD_LINUX, LINUX, NEW_LINUX, WINDOWS)] * 4
    wishes = Wishes(lines("colour", "native", "deep", "broken"))
    found = resolve_all(targets, wishes, Said(*CORPUS))
    assert [each.target for each in found] == targets
    assert found == [resolve(target, wishes, Said(*CORPUS)) for target in targets]


# Files of requirements


def test_a_file_is_read_as_pip_reads_it() -> None:
    read = read_lines(
        "\ufeff# what we want\n"
        "--index-url https://packages.example/simple\n"
        "plain >= 1.0  # a comment\n"
        "many[fast] ; \\\n  python_version >= '3'\n"
        "\n"
        "lib==2.0 --hash=sha256:ABCD --hash sha256:ef01\n"
        "-e ./here\n"
        "last\\",
        "requirements.txt",
    )
    assert read.left_out == ("--index-url https://packages.example/simple",)
    told = [(line.where, line.text, line.project) for line in read.lines]
    assert told == [
        ("requirements.txt line 3", "plain >= 1.0", "plain"),
        ("requirements.txt line 4", "many[fast] ;   python_version >= '3'", "many"),
        ("requirements.txt line 7", "lib==2.0", "lib"),
        ("requirements.txt line 8", "-e ./here", None),
        ("requirements.txt line 9", "last", "last"),
    ]
    assert read.lines[2].hashes == {("sha256", "abcd"), ("sha256", "ef01")}
