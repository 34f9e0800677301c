"""How long do pip and uv take with each server, just started and warm? Run with --help."""

import argparse
import http.client
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.clients import missing_uv, pip_seconds, uv_seconds
from benchmarks.corpus import CHAIN_PROJECTS, Corpus, build_chain_corpus
from benchmarks.findings import Findings, Line
from benchmarks.limit_peer import LIMIT
from benchmarks.lineup import PEERS as ALL_PEERS
from benchmarks.lineup import (
    Entrant,
    Options,
    add_common_arguments,
    common_options,
    cores_for_load,
    line_up,
    pinning_note,
    working_folder,
)
from benchmarks.load import LoadFailed
from benchmarks.machine import describe_machine
from benchmarks.peers import Served
from benchmarks.processes import PeerFailed
from benchmarks.report import conclude
from benchmarks.tables import say

# An installer is another one each time: nothing that it asks for is a repetition.
PEERS = tuple(name for name in ALL_PEERS if name != LIMIT)

CHAIN = tuple(f"bench-chain-{number:02}" for number in range(CHAIN_PROJECTS))
"""Each needs the next; see `build_chain_corpus`."""

_CLIENTS: dict[str, Callable[[str, Path], float]] = {
    f"pip installs {CHAIN_PROJECTS} projects": lambda url, folder: pip_seconds(url, CHAIN, folder),
    f"uv resolves {CHAIN_PROJECTS} projects": lambda url, folder: uv_seconds(url, CHAIN, folder),
}
_COLD = "{}, server just started"
_WARM_RUNS = 3


@dataclass(slots=True)
class Results:
    """Seconds by title and server, of all rounds."""

    rounds: int = 0
    seconds: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    failures: dict[tuple[str, str], str] = field(default_factory=dict)

    def add(self, title: str, server: str, seconds: float) -> None:
        self.seconds.setdefault((title, server), []).append(seconds)

    def line(self, title: str) -> Line:
        failures = {server: why for (of, server), why in self.failures.items() if of == title}
        rounds = {
            server: seconds
            for (of, server), seconds in self.seconds.items()
            if of == title and server not in failures
        }
        return Line(title, "s", more_is_better=False, rounds=rounds, failures=failures)


def titles() -> list[str]:
    """Of all lines that this can find."""
    return [title for client in _CLIENTS for title in (_COLD.format(client), client)]


def main(argv: Sequence[str] | None = None) -> int:
    """Measure in turns, print the table. 1 when a figure failed, or a promise to be checked."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.installers", description=__doc__)
    add_common_arguments(parser, peers=PEERS, rounds=5, minutes_max=12)
    parser.add_argument("--check", action="store_true", help="end with 1 where a promise fails")
    parsed = parser.parse_args(argv)
    if missing_uv():
        print(f"missing: {missing_uv()}", file=sys.stderr)
        return 1
    try:
        findings = _run(common_options(parser, parsed))
    except PeerFailed as failure:
        print(failure, file=sys.stderr)
        return 1
    return conclude(findings, parsed.findings, is_check=parsed.check)


def _run(options: Options) -> Findings:
    deadline = time.monotonic() + options.minutes_max * 60
    with working_folder(options.workdir) as folder:
        corpus = build_chain_corpus(folder / "wheels", CHAIN)
        found = line_up(options.peers, corpus, folder, is_nginx_whole=True)
        cores = cores_for_load()
        results = Results()
        for number in range(options.rounds):
            began = time.monotonic()
            for client in _CLIENTS:
                for entrant in found.in_turn(number):
                    say(f"round {number + 1}: {client}: {entrant.name}")
                    _measure_once(client, entrant, cores.server, folder, results)
            results.rounds += 1
            if 2 * time.monotonic() - began > deadline:
                break
        return Findings(
            question="How long does an installer take?",
            machine=describe_machine(folder),
            lines=[results.line(title) for title in titles()],
            servers=found.versions,
            missing=found.missing,
            notes=list(_conditions(results, corpus, pinning_note(cores))),
        )


def _measure_once(
    client: str, entrant: Entrant, core: int | None, folder: Path, results: Results
) -> None:
    """Once with a server that nobody has asked for anything yet, and some times again."""
    try:
        with entrant.started(core) as served:
            cold, *warm = (
                _CLIENTS[client](_index_url(served), folder) for _ in range(1 + _WARM_RUNS)
            )
    except (PeerFailed, LoadFailed, OSError, http.client.HTTPException) as failure:
        for title in (_COLD.format(client), client):
            results.failures[title, entrant.name] = str(failure) or repr(failure)
        return
    results.add(_COLD.format(client), entrant.name, cold)
    results.add(client, entrant.name, statistics.median(warm))


def _index_url(served: Served) -> str:
    return f"http://127.0.0.1:{served.port}{served.html_page_path.partition('{')[0]}"


def _conditions(results: Results, corpus: Corpus, pinning: str) -> Iterator[str]:
    files = len(corpus.small_projects[0].filenames)
    yield (
        f"{CHAIN_PROJECTS} projects of {files} files, each of which needs the next; median of "
        f"{results.rounds} rounds, servers in turn; {pinning}"
    )
    yield (
        "clients keep no cache and see no settings of this machine; their own work is part of the "
        f"figures; of each round the median of {_WARM_RUNS} runs after the first"
    )


if __name__ == "__main__":
    sys.exit(main())
