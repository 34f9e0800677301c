"""One Markdown table and one chart of all that the benchmarks found. Run with --help."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.bars import Bars, log_bar_chart
from benchmarks.findings import LOAD_SHARE_MAX, Findings, Report
from benchmarks.peers import OURS, OURS_WITH_SPEED
from benchmarks.promises import PROMISES, Promise, Verdict, verdicts

_NGINX = "nginx"
_OURS = (OURS, OURS_WITH_SPEED)
_ORDER = (*_OURS, _NGINX)

CHARTED = {
    "page of 5 files, JSON": "page of 5 files",
    "and no two requests alike, JSON": "the same, no two requests alike",
    "page of 2,000 files, JSON": "page of 2,000 files",
    "304 of a page, JSON": "page not modified (304)",
    "metadata of a wheel": "metadata of a wheel",
    "file of 1 KB": "file of 1 KB",
    "file of 100 MB": "file of 100 MB",
}
"""The lines that the chart shows, and what it calls them."""


def main(argv: Sequence[str] | None = None) -> int:
    """Write what was asked for. 1 when a promise does not hold and that is to be checked."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=__doc__)
    parser.add_argument("findings", type=Path, nargs="+", help="files, or folders of files")
    parser.add_argument("--markdown", type=Path, help="a file to write; else it is printed")
    parser.add_argument("--svg", type=Path, help="a file to write")
    parser.add_argument("--check", action="store_true", help="end with 1 where a promise fails")
    options = parser.parse_args(argv)
    report = Report([Findings.load(path) for path in _files(options.findings)])
    text = markdown(report)
    if options.markdown is None:
        print(text)
    else:
        options.markdown.write_text(text + "\n", "utf-8")
        print(f"written: {options.markdown}")
    drawn = chart(report)
    if options.svg is not None and drawn is not None:
        options.svg.write_text(drawn, "utf-8")
        print(f"written: {options.svg}")
    if not options.check:
        return 0
    failed = missed(report, PROMISES)
    for line in failed:
        print(line)
    return 1 if failed else 0


def conclude(findings: Findings, to: Path | None, *, is_check: bool) -> int:
    """Print the table of one benchmark, and save what it found where that is wanted.

    1 when a figure failed, or with `is_check` a promise does not hold.
    """
    report = Report([findings])
    print(table(report))
    if to is not None:
        findings.save(to)
    own = [promise for promise in PROMISES if promise.title in report.titles]
    failed = any(line.failures for line in findings.lines)
    return 1 if failed or (is_check and missed(report, own)) else 0


def markdown(report: Report) -> str:
    """The table, what of the promises holds, and under which conditions."""
    return "\n".join(
        [
            table(report),
            "",
            *(f"- {note}" for note in _notes(report)),
        ]
    )


def table(report: Report) -> str:
    """Lines by servers; in brackets how many times the figure of nginx, or of the best rival."""
    servers = _in_order(report)
    lines = [
        ["", "unit", *servers, "promised"],
        ["---", "---", *("---:" for _ in servers), "---"],
    ]
    for title in report.titles:
        reference = reference_of(report, title)
        cells = [_cell(report, title, server, reference) for server in servers]
        lines.append([title, report.line(title).unit, *cells, _promised(report, title)])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def reference_of(report: Report, title: str) -> str | None:
    """With whom this line compares: nginx, or the best of the others where nginx cannot."""
    if report.figure(title, _NGINX) is not None:
        return _NGINX
    figures = {
        server: figure
        for server in report.servers
        if server not in _OURS and (figure := report.figure(title, server)) is not None
    }
    if not figures:
        return None
    choose = max if report.line(title).more_is_better else min
    return choose(figures, key=figures.__getitem__)


def missed(report: Report, promises: Sequence[Promise]) -> list[str]:
    """What does not hold, or could not be measured; a line for each."""
    return [
        f"{verdict.kind}: {verdict.promise.title}: {verdict}"
        for verdict in verdicts(report, promises)
        if not verdict.is_held
    ]


def chart(report: Report) -> str | None:
    """The main figures beside nginx's, as SVG; None where none of them is there."""
    servers = [server for server in _in_order(report) if server != _NGINX]
    groups = {
        called: {
            server: ratio
            for server in servers
            if (ratio := report.ratio(title, server, _NGINX)) is not None and ratio > 0
        }
        for title, called in CHARTED.items()
        if title in report.titles
    }
    bars: Mapping[str, Bars] = {called: group for called, group in groups.items() if group}
    if not bars:
        return None
    return log_bar_chart("Answers a second on one core, in times of nginx", bars, servers)


def _files(paths: Sequence[Path]) -> list[Path]:
    return [
        file
        for path in paths
        for file in (sorted(path.glob("*.json")) if path.is_dir() else [path])
    ]


def _in_order(report: Report) -> list[str]:
    known = [server for server in _ORDER if server in report.servers]
    return [*known, *(server for server in report.servers if server not in _ORDER)]


def _cell(report: Report, title: str, server: str, reference: str | None) -> str:
    figure = report.figure(title, server)
    if figure is None:
        return "-"
    mark = "*" if report.is_load_the_limit(title, server) else ""
    ratio = None if reference is None else report.ratio(title, server, reference)
    return f"{_figure(figure)}{mark}" + ("" if ratio is None else f" ({ratio:.2f})")


def _figure(figure: float) -> str:
    if figure >= 100:
        return f"{figure:,.0f}"
    return f"{figure:.1f}" if figure >= 10 else f"{figure:.2f}"


def _promised(report: Report, title: str) -> str:
    own = [promise for promise in PROMISES if promise.title == title]
    return "; ".join(map(_verdict, verdicts(report, own)))


def _verdict(verdict: Verdict) -> str:
    return f"{verdict.kind} {verdict}" if verdict.kind != OURS else str(verdict)


def _notes(report: Report) -> list[str]:
    notes = [f"{server}: {version}" for server, version in report.servers.items()]
    notes += [f"not measured: {server}: {why}" for server, why in report.missing.items()]
    notes += [
        f"FAILED: {server}: {line.title}: {' '.join(why.split())}"
        for found in report.findings
        for line in found.lines
        for server, why in line.failures.items()
    ]
    notes.append(
        "in brackets: how many times nginx's figure, or the best rival's where nginx cannot; "
        "medians of what each round says"
    )
    notes.append(_load_note(report))
    for found in report.findings:
        notes += [f"{found.question} {note}" for note in found.notes]
    machines = dict.fromkeys(found.machine for found in report.findings)
    notes += [" ".join(machine.split("\n")) for machine in machines]
    return list(dict.fromkeys(notes))


def _load_note(report: Report) -> str:
    """Where the client, and not the server, was the limit."""
    shares = [
        share
        for title in report.titles
        for server in report.servers
        if (share := report.load_share(title, server)) is not None
    ]
    highest = f"; the highest share was {max(shares):.0%}" if shares else ""
    return (
        f"*: the load used more than {LOAD_SHARE_MAX:.0%} of its core, and was the limit{highest}"
    )


if __name__ == "__main__":
    sys.exit(main())
