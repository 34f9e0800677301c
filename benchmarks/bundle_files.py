"""How fast is a bundle written and checked? Run with --help.

Writing includes the sync at the end. Checking reads what the system may still have in memory, so
it is the processor that is measured; the sha256 of the same bytes by one thread stands beside it.
"""

import argparse
import hashlib
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

from benchmarks.machine import describe_machine
from benchmarks.usage import MB
from simpleindex.gap.bundle import verify
from simpleindex.gap.bundle.manifest import BundledFile, Manifest
from simpleindex.gap.bundle.reading import open_bundle, verify_bundle
from simpleindex.gap.bundle.writing import write_bundle
from simpleindex_storage.names import parse_filename

VERIFY_MB_PER_SECOND_TARGET = 300

_MB_EACH_TIME = 500


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: MB a second."""

    title: str
    written: float
    verified: float
    by_script: float
    sha256_alone: float

    @property
    def is_missed(self) -> bool:
        """Whether the target is, by the server or by the script."""
        return min(self.verified, self.by_script) < VERIFY_MB_PER_SECOND_TARGET


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the table, and return 1 when a target is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bundle_files", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="of which the median counts (3)")
    parser.add_argument("--mb", type=int, default=_MB_EACH_TIME, help="size of a bundle (500)")
    options = parser.parse_args(arguments)
    size_bytes: int = options.mb * MB
    with tempfile.TemporaryDirectory(prefix="simpleindex-bundles-") as folder:
        print(describe_machine(Path(folder)))
        rows = [
            _measure(f"{count} files of {size_bytes // count / MB:g} MB", folder, count,
                     size_bytes // count, options.rounds)
            for count in (5, 1000)
        ]  # fmt: skip
    _print(rows)
    return int(any(row.is_missed for row in rows))


def _measure(title: str, folder: str, count: int, each_bytes: int, rounds: int) -> Row:
    block = random.Random(count).randbytes(each_bytes)
    contents = {f"project{number}-1.0-py3-none-any.whl": block for number in range(count)}
    digest = hashlib.sha256(block).hexdigest()
    manifest = Manifest(
        created=datetime.now(UTC),
        tool="benchmark",
        targets=(),
        roots=(),
        files=tuple(BundledFile(parse_filename(name), digest, each_bytes) for name in contents),
    )
    path = Path(folder) / f"{count}.zip"
    script = [sys.executable, verify.__file__, str(path)]
    figures: dict[str, list[float]] = {"written": [], "verified": [], "script": [], "sha256": []}
    for _ in range(rounds):  # in turn, because machines get slower and faster meanwhile
        begun = time.perf_counter()
        write_bundle(manifest, lambda file: BytesIO(contents[file.name.text]), path)
        figures["written"].append(time.perf_counter() - begun)
        begun = time.perf_counter()
        if verify_bundle(open_bundle(path)):
            raise ValueError(f"{path} is damaged")
        figures["verified"].append(time.perf_counter() - begun)
        begun = time.perf_counter()
        subprocess.run(script, check=True, stdout=subprocess.DEVNULL)
        figures["script"].append(time.perf_counter() - begun)
        begun = time.perf_counter()
        with path.open("rb") as file:
            hashlib.file_digest(file, "sha256")
        figures["sha256"].append(time.perf_counter() - begun)
    mb = count * each_bytes / MB
    return Row(title, *(mb / statistics.median(seconds) for seconds in figures.values()))


def _print(rows: Sequence[Row]) -> None:
    width = max(len(row.title) for row in rows)
    print(
        f"\n{'MB a second':{width}}  written  verified (>= {VERIFY_MB_PER_SECOND_TARGET})  "
        f"verify.py (>= {VERIFY_MB_PER_SECOND_TARGET})  sha256 alone"
    )
    for row in rows:
        print(
            f"{row.title:{width}}  {row.written:7.0f}  {row.verified:17.0f}  "
            f"{row.by_script:18.0f}  {row.sha256_alone:12.0f}"
            + ("  MISSED" if row.is_missed else "")
        )


if __name__ == "__main__":
    sys.exit(main())
