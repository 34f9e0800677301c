"""What uv, which can use nothing but a folder of files, says where one of them is taken away."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from simpleindex.gap.closure import Roots, check_closure
from simpleindex.gap.resolving import Kind, resolve
from simpleindex.gap.targets import Target, parse_target
from simpleindex.gap.wishes import Line, Wishes, parse_line
from tests.clients.programs import Terminal, program
from tests.gap.corpus import Offer, Said, offer
from tests.gap.interpreters import python_of
from tests.gap.test_referees import UV_PLATFORMS

TARGETS = tuple(
    map(
        parse_target,
        ("3.8.18-manylinux_2_28_x86_64", "3.9.18-win_amd64", "3.12.1-manylinux_2_17_x86_64",
         "3.12.1-win_amd64"),
    )
)  # fmt: skip
_PROJECTS = 60
_ROOTS = 8
_NATIVE_TAGS = (
    "cp38-cp38-manylinux_2_17_x86_64.manylinux2014_x86_64", "cp38-abi3-win_amd64",
    "cp39-cp39-win_amd64", "cp312-cp312-manylinux_2_17_x86_64", "cp312-cp312-win_amd64",
)  # fmt: skip
_MARKERS = (
    "", "", "", "; sys_platform == 'win32'", "; sys_platform != 'win32'",
    "; python_version < '3.10'", "; python_version >= '3.9' and sys_platform == 'linux'",
)  # fmt: skip


def a_world(seed: int) -> tuple[Offer, ...]:
    """An index of many projects that need each other. The same for the same seed."""
    rng = random.Random(seed)
    offers: list[Offer] = []
    for number in range(_PROJECTS):
        for version in range(1, rng.choice((1, 2, 2, 3)) + 1):
            requires = [
                f"p{other}{rng.choice(('', '', '>=1', '>=2', '<3'))}{rng.choice(_MARKERS)}"
                for other in rng.sample(
                    range(number + 1, _PROJECTS), min(rng.choice((0, 1, 2)), _PROJECTS - number - 1)
                )
            ]
            python = rng.choice((None, None, ">=3.8", ">=3.9" if version > 1 else None))
            tags = _NATIVE_TAGS if rng.random() < 0.3 else ("py3-none-any",)
            offers += [
                offer(f"p{number}", f"{version}.0", *requires, tag=tag, python=python)
                for tag in tags
            ]
    return tuple(offers)


@dataclass(frozen=True, slots=True)
class Site:
    """What was carried to a site, for these lines."""

    lines: tuple[Line, ...]
    offers: tuple[Offer, ...]


def a_site(seed: int) -> Site:
    """The files that a world's roots take on all targets, of now and of some time ago."""
    world = a_world(seed)
    before = tuple(each for each in world if each.built.filename.split("-")[1] != "3.0")
    lines: list[Line] = []
    for number in range(_PROJECTS):
        line = parse_line(f"p{number}")
        if len(lines) < _ROOTS and all(_is_met([*lines, line], each) for each in (world, before)):
            lines.append(line)
    names = {
        pick.file.filename
        for offers in (world, before)
        for target in TARGETS
        for pick in resolve(target, Wishes(tuple(lines)), Said(*offers)).picks
    }
    return Site(tuple(lines), tuple(each for each in world if each.built.filename in names))


def _is_met(lines: Sequence[Line], offers: Sequence[Offer]) -> bool:
    wishes = Wishes(tuple(lines))
    return all(
        verdict.kind is Kind.MET
        for target in TARGETS
        for verdict in resolve(target, wishes, Said(*offers)).verdicts
    )


class Referee:
    """uv, with a folder of files."""

    def __init__(self, folder: Path, site: Site) -> None:
        self._folder = folder
        self._terminal = Terminal(folder / "home")
        self._wheels, self._gone = folder / "wheels", folder / "gone"
        self._wheels.mkdir()
        self._gone.mkdir()
        self._wanted = folder / "wanted.txt"
        self._wanted.write_text("".join(f"{line.text}\n" for line in site.lines))
        for each in site.offers:
            each.built.save(self._wheels)

    def can_install(self, target: Target, *without: Offer) -> bool:
        """Whether it finds all that is wanted among the files but these."""
        names = [each.built.filename for each in without]
        for name in names:
            (self._wheels / name).rename(self._gone / name)
        try:
            finished = self._terminal.run(
                program("uv"), "pip", "compile", self._wanted, "--python-version", target.python,
                "--python-platform", UV_PLATFORMS[str(target.platform)], "--only-binary", ":all:",
                "--no-header", "--no-annotate", "--no-index", "--find-links", self._wheels,
                "--python", python_of("this"), "--quiet", "--offline",
                UV_CACHE_DIR=str(self._folder / "cache"),
            )  # fmt: skip
        finally:
            for name in names:
                (self._gone / name).rename(self._wheels / name)
        return finished.exit_code == 0


def compared(folder: Path, seed: int, deletions: int) -> Iterator[tuple[str, str, bool, bool]]:
    """A file that was taken away, a target, whether we say it goes, and whether uv does."""
    site = a_site(seed)
    referee = Referee(folder, site)
    rng = random.Random(seed)
    for gone in rng.choices(site.offers, k=deletions):
        said = Said(*(each for each in site.offers if each is not gone))
        roots = Roots((Wishes(site.lines),))
        for standing in check_closure(TARGETS, roots, said):
            verdict = not standing.failures
            uv = referee.can_install(standing.target, gone)
            yield gone.built.filename, standing.target.name, verdict, uv


def differences(folder: Path, seed: int, deletions: int) -> list[tuple[str, str, bool, bool]]:
    found = list(compared(folder, seed, deletions))
    verdicts = {ours for _, _, ours, _ in found}
    assert verdicts == {True, False}  # or it tells nothing
    return [each for each in found if each[2] != each[3]]


@pytest.mark.parametrize("seed", range(3))
def test_what_goes_together_as_it_is_is_what_a_search_finds(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, straight = a_world(seed), "simpleindex.gap.resolving._Search._straight"
    wishes = [
        Wishes(tuple(parse_line(f"p{number}") for number in numbers))
        for numbers in ((0, 1, 2), (3, 7), (10, 20, 30, 40), (5,))
    ]
    asked = [(target, each) for target in TARGETS for each in wishes]
    quick = [resolve(target, each, Said(*world)) for target, each in asked]
    monkeypatch.setattr(straight, lambda *_: None)
    assert [resolve(target, each, Said(*world)) for target, each in asked] == quick


def test_a_file_that_is_gone_is_missed_where_uv_misses_it_too(tmp_path: Path) -> None:
    assert differences(tmp_path, seed=1, deletions=6) == []


@pytest.mark.full
@pytest.mark.parametrize("seed", range(2, 7))
def test_so_it_is_with_every_file(seed: int, tmp_path: Path) -> None:
    assert differences(tmp_path, seed, deletions=40) == []
