"""How many answers a second does each server give on one core, how soon does it begin to, and
how much memory does it take? Run with --help for options."""

import argparse
import http.client
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from benchmarks.asking import JSON_PAGE_HEADERS, ask
from benchmarks.corpus import build_corpus
from benchmarks.findings import Findings, Line
from benchmarks.limit_peer import LIMIT
from benchmarks.lineup import (
    LOGGING,
    NGINX,
    SYNCING_ONCE,
    VARIANTS,
    Entrant,
    LineUp,
    Options,
    add_common_arguments,
    common_options,
    cores_for_load,
    line_up,
    pinning_note,
    variant_of,
    working_folder,
)
from benchmarks.load import LoadFailed, missing_wrk
from benchmarks.machine import describe_machine
from benchmarks.peers import OURS, OURS_WITH_SPEED, Served
from benchmarks.processes import PeerFailed
from benchmarks.promises import PROMISES
from benchmarks.report import conclude
from benchmarks.rivals import PYPIRON, SYNCS
from benchmarks.rows import ROWS, Measured, Row, Run
from benchmarks.tables import say
from benchmarks.usage import MB, resident_bytes

START, IDLE_MEMORY, LOADED_MEMORY = (
    "start to the first page",
    "memory when idle",
    "memory after all of this load",
)
WITH_LOG = "{}: with the access log"
"""The title of a line that says what is left of the figure of another one."""
WITH_ONE_SYNC = "{}, ours too with one sync only"
"""The title of a line that has what another one has, where all sync as little as the fastest."""

_STARTS = 5


@dataclass(frozen=True, slots=True)
class Choice:
    """What the command line says of the rows."""

    common: Options
    seconds: int
    rows: tuple[Row, ...]
    per_core: bool
    is_check: bool
    with_starts: bool


@dataclass(slots=True)
class Results:
    """The figures of all rounds, by title and server."""

    measured: dict[tuple[str, str], list[Measured]] = field(default_factory=dict)
    standing: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    """Of starts and memory, which are no load."""
    failures: dict[tuple[str, str], str] = field(default_factory=dict)
    rounds: int = 0

    def add(self, title: str, server: str, measured: Measured) -> None:
        self.measured.setdefault((title, server), []).append(measured)

    def stand(self, title: str, server: str, figure: float) -> None:
        self.standing.setdefault((title, server), []).append(figure)

    def of(self, title: str) -> dict[str, list[Measured]]:
        """By server, of those that did not fail."""
        return {
            server: measured
            for (of, server), measured in self.measured.items()
            if of == title and (of, server) not in self.failures
        }

    def failures_of(self, title: str) -> dict[str, str]:
        return {server: why for (of, server), why in self.failures.items() if of == title}


def titles() -> list[str]:
    """Of all lines that this can find."""
    variants = [title for row in ROWS if (title := _variant_title(row)) is not None]
    return [*(row.title for row in ROWS), *variants, START, IDLE_MEMORY, LOADED_MEMORY]


def main(argv: Sequence[str] | None = None) -> int:
    """Fill and start the servers, measure in turns, print the table. 1 when a figure failed."""
    choice = _parse(argv)
    if missing_wrk():
        print(f"missing: {missing_wrk()}", file=sys.stderr)
        return 1
    try:
        findings = _run(choice)
    except PeerFailed as failure:
        print(failure, file=sys.stderr)
        return 1
    return conclude(findings, choice.common.findings, is_check=choice.is_check)


def _run(choice: Choice) -> Findings:
    deadline = time.monotonic() + choice.common.minutes_max * 60
    with working_folder(choice.common.workdir) as folder:
        say("writing the wheels")
        corpus = build_corpus(folder / "wheels")
        variants = [each for each in VARIANTS if any(row.variant == each for row in choice.rows)]
        found = line_up(choice.common.peers, corpus, folder, variants=variants)
        cores = cores_for_load()
        run = Run(corpus, folder, choice.seconds, cores)
        results = Results()
        if choice.with_starts:
            _measure_starts(found, run, results)
        with ExitStack() as stack:
            served = {
                entrant.name: stack.enter_context(entrant.started(cores.server))
                for entrant in found.entrants
            }
            _measure_rounds(choice, found, served, run=run, results=results, deadline=deadline)
            for entrant in filter(_stands_alone, found.entrants):
                pid = served[entrant.name].server.pid
                results.stand(LOADED_MEMORY, entrant.name, resident_bytes(pid) / MB)
        return Findings(
            question="How many answers a second on one core?",
            machine=describe_machine(folder),
            lines=list(_lines(choice, results)),
            servers={
                entrant.name: found.versions[entrant.name]
                for entrant in found.entrants
                if variant_of(entrant.name) is None
            },
            missing=found.missing,
            notes=_conditions(choice, run, results),
        )


def _measure_starts(found: LineUp, run: Run, results: Results) -> None:
    """In turns. The system's file cache is warm; a start ends with a first whole page."""
    for number in range(_STARTS):
        say(f"start {number + 1} of {_STARTS}")
        for entrant in found.in_turn(number):
            if not _stands_alone(entrant):
                continue
            began = time.perf_counter()
            with entrant.started(run.cores.server) as served:
                path = served.json_page_path.format(project=run.corpus.small_projects[0].name)
                status = ask(served.port, path, JSON_PAGE_HEADERS).status
                seconds = time.perf_counter() - began
                if status != 200:
                    results.failures[START, entrant.name] = f"{path}: {status}"
                results.stand(START, entrant.name, seconds)
                resident = resident_bytes(served.server.pid)
                results.stand(IDLE_MEMORY, entrant.name, resident / MB)


def _measure_rounds(
    choice: Choice,
    found: LineUp,
    served: dict[str, Served],
    *,
    run: Run,
    results: Results,
    deadline: float,
) -> None:
    """Every row in every round, the servers in turn; who is first changes with the round.

    No round begins that would not end before the deadline, but for the first.
    """
    rounds = choice.common.rounds
    for number in range(rounds):
        began = time.monotonic()
        for row in choice.rows:
            say(f"round {number + 1} of {rounds}: {row.title}")
            for entrant in found.in_turn(number):
                if variant_of(entrant.name) in {None, row.variant}:
                    _measure_once(row, served[entrant.name], run, number, results)
        results.rounds += 1
        if 2 * time.monotonic() - began > deadline:
            break


def _measure_once(row: Row, served: Served, run: Run, number: int, results: Results) -> None:
    if (row.title, served.name) in results.failures:
        return
    try:
        measured = row.measure(served, run, number)
    except (LoadFailed, PeerFailed, OSError, http.client.HTTPException) as failure:
        results.failures[row.title, served.name] = str(failure) or repr(failure)
    else:
        if measured is not None:
            results.add(row.title, served.name, measured)


def _lines(choice: Choice, results: Results) -> Iterator[Line]:
    for row in choice.rows:
        of = results.of(row.title)
        shown = {name: each for name, each in of.items() if variant_of(name) is None}
        yield Line(
            title=row.title,
            unit=row.unit,
            more_is_better=True,
            rounds={name: _figures(each, choice) for name, each in shown.items()},
            server_shares=_shares(shown, lambda each: each.server_share),
            load_shares=_shares(shown, lambda each: each.load_share),
            failures=results.failures_of(row.title),
        )
    for row in choice.rows:
        if row.variant == LOGGING:
            yield _with_log(row, results.of(row.title))
        elif row.variant == SYNCING_ONCE:
            yield _with_one_sync(row, results.of(row.title), choice)
    for title, unit in ((START, "s"), (IDLE_MEMORY, "MB"), (LOADED_MEMORY, "MB")):
        standing = {
            name: figures
            for (of_title, name), figures in results.standing.items()
            if of_title == title
        }
        if standing:
            failures = results.failures_of(title)
            yield Line(title, unit, more_is_better=False, rounds=standing, failures=failures)


def _with_log(row: Row, of: dict[str, list[Measured]]) -> Line:
    """What is left of ours when it logs: pairs of one round."""
    rounds = {
        kind: [
            with_log.figure / without.figure
            for with_log, without in zip(of[LOGGING.format(kind)], of[kind], strict=True)
        ]
        for kind in (OURS, OURS_WITH_SPEED)
        if kind in of and LOGGING.format(kind) in of
    }
    return Line(WITH_LOG.format(row.title), "x without", more_is_better=True, rounds=rounds)


def _with_one_sync(row: Row, of: dict[str, list[Measured]], choice: Choice) -> Line:
    """Ours with one sync an upload, beside the rival that has no more."""
    names = {kind: SYNCING_ONCE.format(kind) for kind in (OURS, OURS_WITH_SPEED)}
    measured = {
        name: of[shown] for name, shown in {**names, PYPIRON: PYPIRON}.items() if shown in of
    }
    return Line(
        WITH_ONE_SYNC.format(row.title),
        row.unit,
        more_is_better=True,
        rounds={name: _figures(each, choice) for name, each in measured.items()},
    )


def _variant_title(row: Row) -> str | None:
    titles = {LOGGING: WITH_LOG, SYNCING_ONCE: WITH_ONE_SYNC}
    return None if row.variant is None else titles[row.variant].format(row.title)


def _stands_alone(entrant: Entrant) -> bool:
    """Whether its start and its memory are its own, and nobody else's."""
    return variant_of(entrant.name) is None and entrant.name != LIMIT


def _figures(measured: Sequence[Measured], choice: Choice) -> list[float]:
    return [each.per_core.figure if choice.per_core else each.figure for each in measured]


def _shares(of: dict[str, list[Measured]], share: Callable[[Measured], float]) -> dict[str, float]:
    return {name: statistics.median(map(share, each)) for name, each in of.items()}


def _conditions(choice: Choice, run: Run, results: Results) -> list[str]:
    per_core = ["figures are a second of the server's processor time"] if choice.per_core else []
    return [
        *per_core,
        f"median of {results.rounds} rounds of {run.seconds} s, servers in turn; "
        f"{pinning_note(run.cores)}; the access log is off unless the line says otherwise",
        "16 connections for reads; headers as pip sends them (pages with Accept-Encoding: gzip)",
        f"{LIMIT} is an event loop that says again what ours has said, and looks at nothing",
        f"{NGINX} sends the pages that simpleindex sent, as static files, with open_file_cache",
        *(f"{name} {told}" for name, told in SYNCS.items()),
    ]


def _parse(argv: Sequence[str] | None) -> Choice:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.first_table", description=__doc__)
    add_common_arguments(parser, minutes_max=20)
    parser.add_argument("--seconds", type=int, default=2, help="for each figure in each round")
    parser.add_argument("--rows", help="those whose title has one of these words: page,upload")
    parser.add_argument("--promised", action="store_true", help="rows that promise something")
    parser.add_argument("--no-starts", action="store_true", help="leave the times of starts out")
    parser.add_argument(
        "--per-core",
        action="store_true",
        help="figures a second of processor time that the server used: for a busy machine",
    )
    parser.add_argument(
        "--check", action="store_true", help="end with 1 where a figure is not what is promised"
    )
    parsed = parser.parse_args(argv)
    rows: tuple[Row, ...] = ROWS
    if parsed.promised:
        promised = {promise.title for promise in PROMISES}
        rows = tuple(row for row in rows if {row.title, _variant_title(row)} & promised)
    if parsed.rows:
        words = parsed.rows.split(",")
        rows = tuple(row for row in rows if any(word in row.title for word in words))
    return Choice(
        common=common_options(parser, parsed),
        seconds=parsed.seconds,
        rows=rows,
        per_core=parsed.per_core,
        is_check=parsed.check,
        with_starts=not parsed.no_starts,
    )


if __name__ == "__main__":
    sys.exit(main())
