"""The report: what is compared with whom, and whether a promise holds."""

import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from benchmarks import first_table, installers, latency
from benchmarks.findings import Findings, Line, Report
from benchmarks.peers import OURS, OURS_WITH_SPEED
from benchmarks.promises import PROMISES, Promise, verdicts
from benchmarks.report import chart, main, missed, reference_of, table

PAGE = "page of 5 files, JSON"
INSTALL = "pip installs 60 projects"
UPLOADS = "uploads on 1 connection"


def a_line(
    title: str,
    rounds: Mapping[str, Sequence[float]],
    *,
    more_is_better: bool = True,
    load_shares: Mapping[str, float] = {},
    failures: Mapping[str, str] = {},
) -> Line:
    return Line(
        title,
        "answers/s",
        more_is_better,
        rounds,
        load_shares=load_shares,
        failures=failures,
    )


def some_findings(*lines: Line, missing: Mapping[str, str] = {}) -> Findings:
    servers = {server: "1.0" for line in lines for server in line.rounds}
    return Findings("How fast?", "a machine", lines, servers, missing)


def a_report(*lines: Line, missing: Mapping[str, str] = {}) -> Report:
    return Report([some_findings(*lines, missing=missing)])


def test_a_ratio_is_the_median_of_what_each_round_says() -> None:
    # The machine was half as fast in the second round; ratios of medians would say 1.5.
    report = a_report(a_line(PAGE, {OURS: [300, 100, 220], "nginx": [200, 50, 100]}))
    assert report.ratio(PAGE, OURS, "nginx") == 2.0


def test_servers_of_different_runs_are_not_compared() -> None:
    one = some_findings(a_line(PAGE, {OURS: [300], "nginx": [100]}))
    other = some_findings(a_line(PAGE, {OURS: [500], "pypiron": [100]}))
    report = Report([one, other])
    assert report.ratio(PAGE, OURS, "nginx") == 3.0
    assert report.ratio(PAGE, "nginx", "pypiron") is None
    assert report.figure(PAGE, OURS) == 400


def test_findings_are_read_as_they_were_saved(tmp_path: Path) -> None:
    findings = some_findings(
        a_line(PAGE, {OURS: [1.5]}, load_shares={OURS: 0.5}, failures={"nginx": "gone"}),
        missing={"pypiron": "cannot be installed"},
    )
    findings.save(tmp_path / "new" / "page.json")
    loaded = Findings.load(tmp_path / "new" / "page.json")
    assert [loaded.lines[0].rounds, loaded.missing] == [{OURS: [1.5]}, findings.missing]
    assert loaded.lines[0].failures == {"nginx": "gone"}


def test_a_line_compares_with_nginx_or_else_with_the_best_rival() -> None:
    report = a_report(
        a_line(PAGE, {OURS: [9], "nginx": [1], "pypiron": [5]}),
        a_line(UPLOADS, {OURS: [9], "devpi": [2], "pypiron": [5]}),
        a_line(INSTALL, {OURS: [1], "devpi": [2], "pypiron": [5]}, more_is_better=False),
    )
    assert [reference_of(report, title) for title in report.titles] == ["nginx", "pypiron", "devpi"]


def test_each_kind_of_install_is_held_to_its_own_promise() -> None:
    report = a_report(a_line(PAGE, {OURS: [140], OURS_WITH_SPEED: [140], "nginx": [100]}))
    held = {
        each.kind: each.is_held for each in verdicts(report, [Promise(PAGE, 1.3, 1.5, "nginx")])
    }
    assert held == {OURS: True, OURS_WITH_SPEED: False}


def test_at_most_is_not_at_least() -> None:
    report = a_report(a_line(INSTALL, {OURS: [1.2], "nginx": [1.0]}, more_is_better=False))
    promise = Promise(INSTALL, 1.1, None, "nginx", is_most=True)
    assert missed(report, [promise]) == [f"{OURS}: {INSTALL}: <= 1.1 x nginx: MISSED, 1.20"]


def test_a_figure_by_itself_is_compared_with_nobody() -> None:
    report = a_report(a_line("memory", {OURS: [70]}, more_is_better=False))
    assert missed(report, [Promise("memory", 60, None, is_most=True)])
    assert not missed(report, [Promise("memory", 80, None, is_most=True)])


@pytest.mark.parametrize(
    ("report", "reason"),
    [
        pytest.param(
            a_report(a_line(PAGE, {OURS: [9]}), missing={"pypiron": "no wheel for this system"}),
            "no wheel for this system",
            id="the peer is missing",
        ),
        pytest.param(
            a_report(a_line(PAGE, {OURS: [9]}, failures={"pypiron": "404"})),
            "404",
            id="its figure failed",
        ),
        pytest.param(a_report(), "no benchmark with this line has run", id="nothing has run"),
    ],
)
def test_what_could_not_be_measured_is_not_held_and_says_why(report: Report, reason: str) -> None:
    (line,) = missed(report, [Promise(PAGE, 1.0, None, "pypiron")])
    assert "NOT MEASURED" in line
    assert reason in line


def test_a_figure_that_the_load_held_down_is_marked() -> None:
    shares = {OURS: 0.97, "nginx": 0.5}
    printed = table(a_report(a_line(PAGE, {OURS: [200], "nginx": [100]}, load_shares=shares)))
    assert "| 200* (2.00) | 100 (1.00) |" in printed


def test_a_promise_says_where_the_load_was_the_limit() -> None:
    shares = {OURS: 0.5, "nginx": 0.99}
    report = a_report(a_line(PAGE, {OURS: [200], "nginx": [100]}, load_shares=shares))
    (verdict,) = verdicts(report, [Promise(PAGE, 1.3, None, "nginx")])
    assert str(verdict) == ">= 1.3 x nginx: held, 2.00, where the load was the limit of nginx"


def test_every_promise_is_about_a_line_that_a_benchmark_finds() -> None:
    found = {*first_table.titles(), *latency.titles(), *installers.titles()}
    assert {promise.title for promise in PROMISES} <= found


def test_a_broken_promise_is_the_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    some_findings(a_line(PAGE, {OURS: [1], "nginx": [1]})).save(tmp_path / "found.json")
    assert main([str(tmp_path)]) == 0
    assert main([str(tmp_path), "--check"]) == 1
    assert f"{OURS}: {PAGE}: >= 1.3 x nginx: MISSED, 1.00" in capsys.readouterr().out


def test_the_chart_has_a_bar_for_each_server_but_nginx() -> None:
    drawn = chart(
        a_report(
            a_line(PAGE, {OURS: [140], "nginx": [100], "devpi": [2]}),
            a_line("file of 1 KB", {OURS: [70], "nginx": [100]}),
        )
    )
    assert drawn is not None
    svg = ET.fromstring(drawn)
    boxes = [each for each in svg.iter() if each.tag.endswith("rect")]
    texts = [each.text for each in svg.iter() if each.tag.endswith("text")]
    assert len(boxes) == 2 + 3  # the key, and the bars
    assert {"1.40", "0.02", "0.70", "1", "page of 5 files", "file of 1 KB"} <= set(texts)


def test_a_chart_of_nothing_is_none() -> None:
    assert chart(a_report(a_line(UPLOADS, {OURS: [1]}))) is None
