"""Runs all benchmarks and writes one report, or those that check a promise. Run with --help."""

import argparse
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.environments import CHECKOUT
from benchmarks.findings import Findings, Report
from benchmarks.lineup import NGINX
from benchmarks.peers import OURS, OURS_WITH_SPEED
from benchmarks.promises import BEST_RIVAL, PROMISES
from benchmarks.report import chart, markdown, missed
from benchmarks.tables import say

FOLDER = CHECKOUT / ".cache" / "bench"

_BOTH = f"{OURS},{OURS_WITH_SPEED}"


@dataclass(frozen=True, slots=True)
class Question:
    """A benchmark; its arguments for a check, None where it promises nothing.

    Findings of one that compares servers become lines of the table; what another one prints stands
    below, and whether its own promises hold is its exit code.
    """

    module: str
    is_compared: bool
    check_arguments: Sequence[str] | None = None


QUESTIONS = (
    Question(
        "first_table",
        is_compared=True,
        check_arguments=(
            *("--promised", "--seconds=1", "--minutes-max=7"),
            f"--peers={_BOTH},{NGINX},{BEST_RIVAL}",
        ),
    ),
    Question("latency", is_compared=True, check_arguments=(f"--peers={_BOTH}", "--minutes-max=4")),
    Question("installers", is_compared=True, check_arguments=(f"--peers={_BOTH},{NGINX}",)),
    Question("footprint", is_compared=False, check_arguments=()),
    Question("growth", is_compared=False, check_arguments=("--files", "1000", "1000000")),
    Question("inspection", is_compared=False),
    Question("bundles", is_compared=False),
    Question("bundle_files", is_compared=False, check_arguments=()),
    Question("bundle_import", is_compared=False, check_arguments=("--without-devpi",)),
    Question("closure", is_compared=False, check_arguments=("--ours",)),
    Question("mirror", is_compared=False),
    Question("mirror_warm", is_compared=False),
)


def main(argv: Sequence[str] | None = None) -> int:
    """1 when a benchmark failed; with --check, when a promise does not hold."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.everything", description=__doc__)
    parser.add_argument("--check", action="store_true", help="only what promises something")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="default: %(default)s")
    options = parser.parse_args(argv)
    folder: Path = options.folder
    folder.mkdir(parents=True, exist_ok=True)
    for old in (*folder.glob("*.json"), *folder.glob("*.txt")):
        old.unlink()
    asked = [each for each in QUESTIONS if not options.check or each.check_arguments is not None]
    failed = [question.module for question in asked if not _run(question, folder, options.check)]
    report = Report([Findings.load(path) for path in sorted(folder.glob("*.json"))])
    _write(report, folder)
    misses = missed(report, PROMISES) if options.check else []
    for line in misses:
        print(line)
    if failed:
        print(f"FAILED, or found a promise broken: {', '.join(failed)}")
    return 1 if failed or misses else 0


def _run(question: Question, folder: Path, is_check: bool) -> bool:
    """Whether it ended well; what it prints is shown when it is over."""
    say(f"benchmarks.{question.module}")
    command = [sys.executable, "-m", f"benchmarks.{question.module}"]
    if is_check:
        command += question.check_arguments or ()
    if question.is_compared:
        command += ["--findings", str(folder / f"{question.module}.json")]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, cwd=CHECKOUT, check=False)
    print(done.stdout, flush=True)
    if not question.is_compared:
        (folder / f"{question.module}.txt").write_text(done.stdout, "utf-8")
    return done.returncode == 0


def _write(report: Report, folder: Path) -> None:
    sections = [f"# Benchmarks\n\n{markdown(report)}"]
    for printed in sorted(folder.glob("*.txt")):
        sections.append(f"## {printed.stem}\n\n```\n{printed.read_text('utf-8').strip()}\n```")
    text = folder / "report.md"
    text.write_text("\n\n".join(sections) + "\n", "utf-8")
    print(f"written: {text}")
    drawn = chart(report)
    if drawn is not None:
        (folder / "report.svg").write_text(drawn, "utf-8")
        print(f"written: {folder / 'report.svg'}")


if __name__ == "__main__":
    sys.exit(main())
