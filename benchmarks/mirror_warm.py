"""Is a mirror's page as fast as our own, with upstream gone; and how soon is an unknown name told?

Both pages show the same five files, and come from one server, asked in turn.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.asking import HTML_PAGE_HEADERS, JSON_PAGE_HEADERS, Answer, ask
from benchmarks.load import Target, missing_wrk, run_wrk
from benchmarks.machine import describe_machine
from tests.builders import a_wheel
from tests.hostile.upstream import running_upstream
from tests.mirror.sites import MirrorSite, a_site

WHEELS = tuple(a_wheel("demo", f"{number}.0") for number in range(1, 6))
UNKNOWN_NAMES = 50


def main(argv: Sequence[str] | None = None) -> int:
    """Print a table; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=3, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args(argv)
    missing = missing_wrk()
    if missing is not None:
        print(f"missing: {missing}", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder, running_upstream() as upstream:
        for wheel in WHEELS:
            upstream.add(wheel)
        with a_site(Path(folder) / "data", "--no-access-log", upstream=upstream) as site:
            ours = site.make_stage(bases=[])
            for wheel in WHEELS:
                site.upload(wheel, ours)
            site.filenames("demo")
            upstream.unplug()
            rows = _pages(site, ours, Path(folder), options.seconds, options.rounds)
            site.change("offline=True")
            unknown = _unknown_seconds(site)
    print(describe_machine(Path(tempfile.gettempdir())))
    print()
    print("| page of 5 files, answers/s | our own | mirror, upstream gone | ratio |")
    print("| --- | --- | --- | --- |")
    for name, own, mirrored, ratio in rows:
        print(f"| {name} | {own:,.0f} | {mirrored:,.0f} | {ratio:.2f} |")
    print()
    print(
        f"unknown name offline: median {statistics.median(unknown) * 1000:.1f} ms, "
        f"worst of {len(unknown)} {max(unknown) * 1000:.1f} ms"
    )
    return 0


def _pages(
    site: MirrorSite, ours: str, folder: Path, seconds: int, rounds: int
) -> list[tuple[str, float, float, float]]:
    rows = []
    for name, headers in (("JSON", JSON_PAGE_HEADERS), ("HTML", HTML_PAGE_HEADERS)):
        found: dict[str, list[float]] = {ours: [], site.index: []}
        for _ in range(rounds):
            for index, figures in found.items():
                path = f"/{index}/+simple/demo/"
                body_bytes = len(_ask(site, path, headers).body)
                target = Target(site.server.port, (path,), headers, round(body_bytes * 0.9))
                answers = run_wrk(target, folder / "turn.lua", seconds=seconds, core=None)
                figures.append(answers.per_second)
        ratios = [b / a for a, b in zip(found[ours], found[site.index], strict=True)]
        own, mirrored = (statistics.median(figures) for figures in found.values())
        rows.append((name, own, mirrored, statistics.median(ratios)))
    return rows


def _unknown_seconds(site: MirrorSite) -> list[float]:
    taken = []
    for number in range(UNKNOWN_NAMES):
        started = time.perf_counter()
        path = f"/{site.index}/+simple/nobody-{number}/"
        answer = ask(site.server.port, path, JSON_PAGE_HEADERS)
        taken.append(time.perf_counter() - started)
        assert answer.status == 404, answer
    return taken


def _ask(site: MirrorSite, path: str, headers: dict[str, str]) -> Answer:
    return ask(site.server.port, path, headers)


if __name__ == "__main__":
    sys.exit(main())
