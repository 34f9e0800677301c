"""How long does it take to find out what many kinds of hosts need? Run with --help.

Real projects for 16 targets, CPython 3.6 to 3.13 on Linux with glibc 2.17 and on Windows, from the
index that the pip of this machine uses: what our resolver takes for all of them, beside `uv pip
compile` for one after the other; and a bundle with all files, beside `pip download` for one after
the other. How many of the targets can then install without an index, uv says. Everything begins
without a cache.
"""

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.machine import describe_machine
from benchmarks.tables import Timed, say, timed_table
from simpleindex.gap.bundle.cache import open_cache
from simpleindex.gap.bundle.creating import Creation, Order
from simpleindex.gap.resolving import Outcome, resolve_all
from simpleindex.gap.source import open_source
from simpleindex.gap.targets import Target
from simpleindex.gap.wishes import Wishes
from tests.gap.site_sets import ANYWHERE, MANY, SIX, SMALL, NoIndex, index_url, lines, targets
from tests.gap.site_sets import real_index as probed_index

_COMMAND_SECONDS_MAX = 120.0
_UV_PLATFORMS = {
    "manylinux_2_17_x86_64": "x86_64-manylinux2014",
    "win_amd64": "x86_64-pc-windows-msvc",
}
_PIP_PLATFORMS = {"manylinux_2_17_x86_64": "manylinux2014_x86_64", "win_amd64": "win_amd64"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the table, and return 1 when a target is missed. Without an index, say so."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bundles", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="of ours; of others one (3)")
    parser.add_argument("--ours", action="store_true", help="nobody else")
    parser.add_argument("--workdir", type=Path, help="for caches and files")
    options = parser.parse_args(arguments)
    try:
        url = index_url()
        with probed_index():
            pass
    except NoIndex as why:
        print(f"nothing is measured: no index of pip answers here: {why}")
        return 0
    with tempfile.TemporaryDirectory(prefix="simpleindex-bundles-", dir=options.workdir) as folder:
        print(describe_machine(Path(folder)))
        rows = _Measuring(url, Path(folder), options.rounds, only_ours=options.ours).rows()
    print()
    print(timed_table(rows))
    return int(any(row.is_missed for row in rows))


class _Measuring:
    def __init__(self, url: str, folder: Path, rounds: int, *, only_ours: bool) -> None:
        self._url = url
        self._folder = folder
        self._rounds = rounds
        self._only_ours = only_ours

    def rows(self) -> list[Timed]:
        found = [
            self._ours("resolve 6 roots x 16 targets", SIX, 10.0),
            self._ours(f"resolve {len(MANY)} roots x 16 targets", MANY, 60.0),
        ]
        if not self._only_ours:
            found.insert(1, self._uv(SIX))
        found.append(self._bundle())
        if not self._only_ours:
            found.append(self._pip_download())
        return found

    def _ours(self, title: str, wanted: tuple[str, ...], target_seconds: float) -> Timed:
        taken, outcomes = [], list[Outcome]()
        for number in range(self._rounds):
            say(f"{title}: round {number + 1}")
            begun = time.perf_counter()
            with open_source(self._url, private_hosts=ANYWHERE) as source:
                outcomes = resolve_all(targets(), Wishes(lines(wanted)), source)
            taken.append(time.perf_counter() - begun)
        good = sum(outcome.is_complete for outcome in outcomes)
        files = {
            pick.file.url: pick.file.size_bytes or 0 for each in outcomes for pick in each.picks
        }
        told = f"{good} of {len(outcomes)} complete, {len(files)} files, {_mb(sum(files.values()))}"
        return Timed(title, "ours", statistics.median(taken), told, target_seconds)

    def _uv(self, wanted: tuple[str, ...]) -> Timed:
        cache = self._folder / "uv-cache"
        good, begun = 0, time.perf_counter()
        for target in targets():
            say(f"uv for {target.name}")
            good += self._compiles(wanted, target, cache, "--default-index", self._url)
        seconds = time.perf_counter() - begun
        return Timed("resolve 6 roots x 16 targets", "uv", seconds, f"{good} of 16 resolved")

    def _bundle(self) -> Timed:
        files = self._folder / "ours"
        files.mkdir()
        say("ours with all files")
        begun = time.perf_counter()
        with (
            open_cache(self._folder / "cache") as cache,
            open_source(self._url, private_hosts=ANYWHERE) as source,
        ):
            creation = Creation(Order(targets(), lines(SMALL)), source, cache)
            plan = creation.fetch(creation.plan())
            contents = creation.contents(plan, datetime.now(UTC), "benchmark")
        seconds = time.perf_counter() - begun
        for file in contents.manifest.files:
            (files / file.name.text).symlink_to(contents.paths[file.sha256])
        return self._with_files("ours", seconds, files)

    def _pip_download(self) -> Timed:
        files = self._folder / "pip"
        say("pip download for each target")
        begun = time.perf_counter()
        for target in targets():
            _run(
                sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
                "--no-cache-dir", "--only-binary", ":all:", "--index-url", self._url,
                "--platform", _PIP_PLATFORMS[str(target.platform)],
                "--python-version", target.python, "--dest", str(files), *SMALL,
            )  # fmt: skip
        return self._with_files("pip download", time.perf_counter() - begun, files)

    def _with_files(self, who: str, seconds: float, files: Path) -> Timed:
        """How many targets can install from these files alone."""
        good = sum(
            self._compiles(SMALL, target, None, "--no-index", "--find-links", str(files))
            for target in targets()
        )
        there = list(files.iterdir()) if files.is_dir() else []
        size_bytes = sum(path.stat().st_size for path in there)
        told = f"{good} of 16 can install, {len(there)} files, {_mb(size_bytes)}"
        return Timed("fetch for 6 roots x 16 targets", who, seconds, told)

    def _compiles(
        self, wanted: tuple[str, ...], target: Target, cache: Path | None, *index: str
    ) -> bool:
        program = shutil.which("uv", path=str(Path(sys.executable).parent)) or "uv"
        listed = self._folder / "wanted.txt"
        listed.write_text("\n".join(wanted))
        kept = ["--no-cache"] if cache is None else ["--cache-dir", str(cache)]
        return _run(
            program, "pip", "compile", str(listed), "--quiet", "--python", sys.executable,
            "--python-version", target.python, "--only-binary", ":all:", "--no-header",
            "--python-platform", _UV_PLATFORMS[str(target.platform)], *kept, *index,
        )  # fmt: skip


def _run(*command: str) -> bool:
    """Whether it succeeds."""
    finished = subprocess.run(
        command, check=False, stdin=subprocess.DEVNULL, capture_output=True,
        timeout=_COMMAND_SECONDS_MAX,
    )  # fmt: skip
    return finished.returncode == 0


def _mb(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:,.0f} MB"


if __name__ == "__main__":
    sys.exit(main())
