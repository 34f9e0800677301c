"""What does looking through a whole wheel cost? Run with --help.

The strict walk of a wheel, beside the least that anybody pays who wants to know that all of it can
be unpacked and is what its RECORD says: `zipfile.testzip`, and the sha256 of what comes out.
"""

import argparse
import hashlib
import os
import random
import statistics
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.machine import describe_machine
from benchmarks.usage import MB, peak_of
from simpleindex_storage.inspection import inspect
from simpleindex_storage.names import DistFilename, parse_filename
from tests.builders import a_big_wheel, a_wheel

RATIO_TARGET = 1.3
GROWTH_MB_TARGET = 20

_MEMBERS = 100
_LARGE_BYTES = 200_000_000
_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table; times are medians."""

    title: str
    ours_seconds: float
    theirs_seconds: float
    ratio: float
    growth_mb: float

    @property
    def is_missed(self) -> bool:
        """Whether a target is."""
        return self.ratio > RATIO_TARGET or self.growth_mb > GROWTH_MB_TARGET


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the table, and return 1 when a target is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.inspection", description=__doc__)
    parser.add_argument("wheels", nargs="*", type=Path, help="others to measure besides")
    parser.add_argument("--rounds", type=int, default=5, help="of the large wheels (5)")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="simpleindex-inspection-") as folder:
        print(describe_machine(Path(folder)))
        wheels = [*_write_wheels(Path(folder)), *((path.name, path) for path in options.wheels)]
        rows = [_measure(title, path, options.rounds) for title, path in wheels]
    _print(rows)
    return int(any(row.is_missed for row in rows))


def _write_wheels(folder: Path) -> Iterator[tuple[str, Path]]:
    source = _some_source(_LARGE_BYTES // 10)
    for title, least, most in (("1 KB", 500, 1500), ("8 KB", 1000, 15_000)):
        chosen = random.Random(most)
        files = {
            f"bench/module_{number}.py": _cut(source, chosen.randint(least, most), chosen)
            for number in range(_MEMBERS - 4)
        }
        path = folder / title.replace(" ", "") / "bench-1.0-py3-none-any.whl"
        path.parent.mkdir()
        path.write_bytes(a_wheel("bench", "1.0", extra_files=files).content)
        yield f"{_MEMBERS} members of {title}, deflated", path
    stored = folder / "stored" / "bench-1.0-py3-none-any.whl"
    stored.parent.mkdir()
    a_big_wheel(stored, _LARGE_BYTES)
    yield "200 MB in one member, stored", stored
    deflated = folder / "deflated" / "bench-1.0-py3-none-any.whl"
    deflated.parent.mkdir()
    files = {f"bench/data_{number}.txt": source for number in range(10)}
    deflated.write_bytes(a_wheel("bench", "1.0", extra_files=files).content)
    yield "200 MB in ten members, deflated", deflated


def _some_source(size_bytes: int) -> bytes:
    """Text that shrinks to about a third, as source code does."""
    chosen = random.Random(1)
    words = [
        "".join(chosen.choices("abcdefghijklmnop_", k=chosen.randint(2, 9))) for _ in range(3000)
    ]
    block = " ".join(chosen.choices(words, k=_BLOCK_BYTES // 6)).encode()
    return (block * (size_bytes // len(block) + 1))[:size_bytes]


def _cut(source: bytes, size_bytes: int, chosen: random.Random) -> bytes:
    start = chosen.randrange(len(source) - size_bytes)
    return source[start : start + size_bytes]


def _measure(title: str, path: Path, rounds: int) -> Row:
    filename = parse_filename(path.name)
    with peak_of(os.getpid()) as peak:
        _inspect(path, filename)
    if path.stat().st_size < 10 * MB:
        rounds *= 20
    ours, theirs = [], []
    for _ in range(rounds):  # in turn, because machines get slower and faster meanwhile
        ours.append(_seconds(lambda: _inspect(path, filename)))
        theirs.append(_seconds(lambda: _test(path)) + _digest_seconds(path))
    return Row(
        title,
        statistics.median(ours),
        statistics.median(theirs),
        statistics.median(mine / other for mine, other in zip(ours, theirs, strict=True)),
        peak.growth_mb,
    )


def _inspect(path: Path, filename: DistFilename) -> None:
    inspect(path, filename)


def _test(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        if archive.testzip() is not None:
            raise ValueError(f"{path} is damaged")


def _digest_seconds(path: Path) -> float:
    """What the digests alone take: testzip has inflated the bytes, and it is not paid for twice."""
    seconds = 0.0
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            digest = hashlib.sha256()
            with archive.open(entry) as member:
                while block := member.read(_BLOCK_BYTES):
                    begun = time.perf_counter()
                    digest.update(block)
                    seconds += time.perf_counter() - begun
            begun = time.perf_counter()
            digest.digest()
            seconds += time.perf_counter() - begun
    return seconds


def _seconds(work: Callable[[], None]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _print(rows: Sequence[Row]) -> None:
    width = max(len(row.title) for row in rows)
    print(
        f"\n{'':{width}}  inspect, ms  testzip + sha256, ms  ratio (<= {RATIO_TARGET})  memory, MB"
    )
    for row in rows:
        print(
            f"{row.title:{width}}  {row.ours_seconds * 1000:11.1f}  "
            f"{row.theirs_seconds * 1000:20.1f}  {row.ratio:14.2f}  {row.growth_mb:10.1f}"
            + ("  MISSED" if row.is_missed else "")
        )


if __name__ == "__main__":
    sys.exit(main())
