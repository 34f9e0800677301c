"""Search for inputs that break the parsers: python -m tests.fuzz [TARGET...] --seconds N.

Without names, all targets are tried, one after the other. Inputs that reach new code are kept in
the corpus, and tried again first the next time; so are those that broke something, until they are
deleted. Ends with 1 if anything was found.
"""

import argparse
import logging
import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from tests.fuzz.engine import Failure, Fuzzer, Report, file_name
from tests.fuzz.targets import Target, available

_FAILING = "failing-"


def main(arguments: Sequence[str] | None = None) -> int:
    """What the process ends with."""
    told = _parser().parse_args(arguments)
    # python-multipart logs what it refuses.
    logging.getLogger("python_multipart").setLevel(logging.CRITICAL)
    warnings.simplefilter("error")
    targets = [available()[name] for name in told.targets or available()]
    if told.engine == "atheris":
        return _run_atheris(targets, told.corpus, told.seconds, told.seed)
    print(_HEADING)
    failures: list[Failure] = []
    for target in targets:
        folder: Path = told.corpus / target.name
        report = run(target, folder, seconds=told.seconds, seed=told.seed)
        print(line_of(report), flush=True)
        for failure in report.failures.values():
            print(f"{failure.trace}\n{target.name}: {failure.sentence}\n  {failure.data[:300]!r}")
            print(f"  kept as {_save(folder, failure.data, _FAILING)}", flush=True)
            failures.append(failure)
    return 1 if failures else 0


def run(target: Target, folder: Path, *, seconds: float, seed: int) -> Report:
    """Try one target, beginning with what is kept in its folder of the corpus."""
    earlier = [path.read_bytes() for path in sorted(folder.glob("*"))] if folder.is_dir() else []
    fuzzer = Fuzzer(target, seed=seed, earlier=earlier, keep=lambda data: _save(folder, data))
    return fuzzer.run(seconds=seconds)


_HEADING = f"{'target':<16}{'inputs':>10}{'a second':>10}{'accepted':>10}{'refused':>10}{'kept':>7}"


def line_of(report: Report) -> str:
    """A row of the table."""
    rate = report.inputs / max(report.seconds, 0.001)
    return (
        f"{report.target:<16}{report.inputs:>10,}{rate:>10,.0f}{report.accepted:>10,}"
        f"{report.refused:>10,}{report.kept:>7,}"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument(
        "targets",
        nargs="*",
        metavar="TARGET",
        choices=[*available(), []],
        help="all if none is named",
    )
    parser.add_argument("--seconds", type=float, default=60, help="for each target (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="the same one tries the same inputs")
    parser.add_argument(
        "--corpus", type=Path, default=Path(".cache/fuzz"), help="where inputs are kept"
    )
    parser.add_argument("--engine", choices=("own", "atheris"), default="own")
    return parser


def _save(folder: Path, data: bytes, prefix: str = "") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{prefix}{file_name(data)}"
    path.write_bytes(data)
    return path


def _run_atheris(targets: Sequence[Target], corpus: Path, seconds: float, seed: int) -> int:
    """One target with libFuzzer, which ends the process itself."""
    if len(targets) != 1:
        print("atheris takes one target", file=sys.stderr)
        return 2
    atheris = import_module("atheris")
    target, folder = targets[0], corpus / targets[0].name
    for data in target.seeds():
        _save(folder, data)
    atheris.instrument_all()
    told = [f"-max_total_time={seconds:.0f}", f"-seed={seed}", str(folder)]
    atheris.Setup([sys.argv[0], *told], target.check)
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
