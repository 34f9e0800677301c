"""All benchmarks in one go: one that fails keeps no other from running, nor the report."""

from pathlib import Path

import pytest

from benchmarks import everything
from benchmarks.everything import Question, main
from benchmarks.promises import PROMISES

# A module that does nothing at all when it is run, and one that is not there.
QUIET = Question("tables", is_compared=False, check_arguments=())
BROKEN = Question("no_such_benchmark", is_compared=False)


@pytest.fixture(autouse=True)
def questions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(everything, "QUESTIONS", (BROKEN, QUIET))


def test_one_that_fails_is_named_and_the_report_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--folder", str(tmp_path)]) == 1
    assert "promise broken: no_such_benchmark\n" in capsys.readouterr().out
    assert "## tables" in (tmp_path / "report.md").read_text()


def test_a_check_leaves_out_what_promises_nothing_and_holds_nothing_unmeasured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--check", "--folder", str(tmp_path)]) == 1
    printed = capsys.readouterr().out
    kinds = sum(len(list(promise.bounds())) for promise in PROMISES)
    assert printed.count("NOT MEASURED (no benchmark with this line has run)\n") == kinds
    assert "no_such_benchmark" not in printed


def test_findings_of_another_day_are_not_reported(tmp_path: Path) -> None:
    (tmp_path / "footprint.txt").write_text("of yesterday")
    main(["--folder", str(tmp_path)])
    assert "yesterday" not in (tmp_path / "report.md").read_text()
