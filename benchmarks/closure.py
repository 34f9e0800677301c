"""How soon is it known whether what a site has is enough for all its hosts? Run with --help.

A generated site of some 700 wheels, pure ones and such with binary code, of projects that need each
other, with the metadata of the size that real ones have; 16 targets, CPython 3.6 to 3.13 on Linux
with glibc 2.17 and on Windows; and 37 lines that are wanted. What `doctor --targets` does, from the
server directory on the disk to the verdicts: for the lines, and for each project by itself. Beside
it what `uv pip compile` takes for the same lines, offline, one target after the other.
"""

import argparse
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

from benchmarks.machine import describe_machine
from benchmarks.tables import Timed, say, timed_table
from simpleindex.gap.closure import Roots, Standing, check_closure, releases_on
from simpleindex.gap.own_source import OwnSource
from simpleindex.gap.targets import Target, parse_target
from simpleindex.gap.wishes import Wishes, parse_line
from simpleindex.initialise import initialise
from simpleindex_storage.model import Actor, Index, StageSettings, Upload
from simpleindex_storage.names import IndexName, parse_project_name
from simpleindex_storage.opening import open_store, utc_now
from simpleindex_storage.ports import Snapshot
from simpleindex_storage.store import Store
from tests.builders import BuiltFile, a_wheel, core_metadata

SECONDS_TARGET = 10.0

PYTHONS = (
    "3.6.15", "3.7.17", "3.8.18", "3.9.18", "3.10.13", "3.11.7", "3.12.1", "3.13.0",
)  # fmt: skip
PLATFORMS = ("manylinux_2_17_x86_64", "win_amd64")
_UV_PLATFORMS = dict(
    zip(PLATFORMS, ("x86_64-manylinux2014", "x86_64-pc-windows-msvc"), strict=True)
)
_INDEX = IndexName("root/local")
_ROOTS = 37
_PURE_PROJECTS, _NATIVE_PROJECTS = 150, 26
_VERSIONS_OF_PURE = 2
_OPTIONAL_NEEDS = 12
_DESCRIPTION = "A line of a description, as long as such lines are in real projects.\n" * 100
_MARKERS = (
    "", "", "", "", "; sys_platform == 'win32'", "; python_version < '3.8'",
    "; python_version >= '3.7' and platform_python_implementation != 'PyPy'",
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the table, and return 1 when a target is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.closure", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="of ours; of uv one (3)")
    parser.add_argument("--ours", action="store_true", help="nobody else")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="simpleindex-closure-") as name:
        folder = Path(name)
        print(describe_machine(folder))
        files = list(_site())
        say(f"{len(files)} files: filling")
        _fill(folder / "data", files)
        with closing(open_store(folder / "data")) as store:
            rows = _ours(store, len(files), options.rounds)
        if not options.ours:
            rows += _uv(folder, files)
    print()
    print(timed_table(rows))
    return int(any(row.is_missed for row in rows))


def _targets() -> list[Target]:
    return [parse_target(f"{python}-{platform}") for python in PYTHONS for platform in PLATFORMS]


def _wanted() -> list[str]:
    return [f"p{number}" for number in range(_ROOTS)]


def _site() -> Iterator[BuiltFile]:
    """Projects that need some of those with higher numbers; the last ones have binary code.

    And the pip that Python 3.6 has to have first.
    """
    yield a_wheel("pip", "21.3.1", requires_python=">=3.6")
    chosen = random.Random(1)
    count = _PURE_PROJECTS + _NATIVE_PROJECTS
    for number in range(count):
        is_native = number >= _PURE_PROJECTS
        later = range(number + 1, count)
        for version in range(1, (1 if is_native else _VERSIONS_OF_PURE) + 1):
            metadata = _metadata(number, version, later, chosen)
            for tag in _native_tags() if is_native else ["py3-none-any"]:
                yield a_wheel(f"p{number}", f"{version}.0", metadata=metadata, tag=tag)


def _metadata(number: int, version: int, later: Sequence[int], chosen: random.Random) -> bytes:
    needs = [
        f"p{other}>=1{chosen.choice(_MARKERS)}"
        for other in chosen.sample(later, min(chosen.randint(1, 5), len(later)))
    ]
    needs += [
        f"q{chosen.randrange(500)}>=1,<4; extra == 'extra{extra % 3}'"
        for extra in range(_OPTIONAL_NEEDS)
    ]
    return core_metadata(
        f"p{number}",
        f"{version}.0",
        requires_python=">=3.6",
        requires_dist=needs,
        headers=[("Provides-Extra", f"extra{extra}") for extra in range(3)],
        description=_DESCRIPTION,
    )


def _native_tags() -> Iterator[str]:
    for python in PYTHONS:
        digits = "".join(python.split(".")[:2])
        abi = f"cp{digits}m" if digits in {"36", "37"} else f"cp{digits}"
        for platform in ("manylinux_2_17_x86_64.manylinux2014_x86_64", "win_amd64"):
            yield f"cp{digits}-{abi}-{platform}"


def _fill(serverdir: Path, files: Sequence[BuiltFile]) -> None:
    initialise(serverdir, utc_now(), password="a-password-of-the-benchmark")
    with closing(open_store(serverdir)) as store:
        made = Index(_INDEX, StageSettings())
        for built in files:
            with store.stage() as draft:
                draft.write(built.content)
                upload = Upload(_INDEX, built.filename, "root")
                store.admit([(upload, draft.finish())], by=Actor("root"), make_index=made)


def _ours(store: Store, files: int, rounds: int) -> list[Timed]:
    targets = _targets()
    roots = Roots((Wishes(tuple(map(parse_line, _wanted()))),))

    def each_project(source: OwnSource) -> tuple[Standing, ...]:
        return check_closure(targets, Roots(projects=source.projects()), source)

    def one_project(source: OwnSource) -> tuple[Standing, ...]:
        releases_on(parse_project_name("p0"), targets, source)
        return ()

    size = f"{files} files x {len(targets)} targets"
    return [
        _timed(
            f"{_ROOTS} lines, {size}",
            store,
            lambda source: check_closure(targets, roots, source),
            rounds,
            SECONDS_TARGET,
        ),
        _timed(f"each project, {size}", store, each_project, rounds, SECONDS_TARGET),
        _timed(f"all releases of one, {size}", store, one_project, rounds, None),
    ]


def _timed(
    title: str,
    store: Store,
    work: Callable[[OwnSource], tuple[Standing, ...]],
    rounds: int,
    target_seconds: float | None,
) -> Timed:
    taken = []
    standings: tuple[Standing, ...] = ()
    for number in range(rounds):
        say(f"{title}: round {number + 1}")
        with store.catalog.snapshot() as seen:
            begun = time.perf_counter()
            standings = work(_source(store, seen))
            taken.append(time.perf_counter() - begun)
    good = sum(not standing.failures for standing in standings)
    found = f"{good} of {len(standings)} complete" if standings else ""
    return Timed(title, "ours", statistics.median(taken), found, target_seconds)


def _source(store: Store, seen: Snapshot) -> OwnSource:
    return OwnSource(store, seen, _INDEX)


def _uv(folder: Path, files: Sequence[BuiltFile]) -> list[Timed]:
    uv = shutil.which("uv")
    if uv is None:
        say("uv is left out: it is not here")
        return []
    wheels = folder / "wheels"
    wheels.mkdir()
    for built in files:
        built.save(wheels)
    wanted = folder / "wanted.txt"
    wanted.write_text("\n".join(_wanted()))
    good, begun = 0, time.perf_counter()
    for target in _targets():
        say(f"uv for {target.name}")
        finished = subprocess.run(
            [
                uv, "pip", "compile", wanted, "--python-version", target.python,
                "--python-platform", _UV_PLATFORMS[str(target.platform)], "--only-binary", ":all:",
                "--no-index", "--find-links", wheels, "--offline", "--quiet", "--no-config",
                "--cache-dir", folder / "uv-cache", "--python", sys.executable,
            ],
            check=False,
            capture_output=True,
        )  # fmt: skip
        good += finished.returncode == 0
    seconds = time.perf_counter() - begun
    title = f"{_ROOTS} lines, {len(files)} files x {len(_targets())} targets"
    return [Timed(title, "uv", seconds, f"{good} of {len(_targets())} complete")]


if __name__ == "__main__":
    sys.exit(main())
