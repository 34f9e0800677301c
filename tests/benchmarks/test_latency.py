"""Pages while wheels come in: a figure counts only where they did."""

from pathlib import Path

from benchmarks import latency
from benchmarks.corpus import build_corpus
from benchmarks.lineup import LineUp
from benchmarks.load import prepare_uploads
from benchmarks.peers import OURS, SimpleindexPeer
from benchmarks.processes import Cores


def measured_with(wheels: int, folder: Path) -> latency.Results:
    corpus = build_corpus(
        folder / "wheels", small_projects=2, large_project_files=0, big_file_bytes=0
    )
    found, results = LineUp(), latency.Results()
    assert found.add(SimpleindexPeer(), corpus, folder) is not None, found.missing
    run = latency.Run(corpus, Cores(server=None, load=None), seconds=0.5)
    size = latency.Size("1 KB", prepare_uploads(wheels, series="one"))
    latency.measure_round(found, size, run, 0, results)
    return results


def test_pages_and_uploads_are_measured_at_the_same_time(tmp_path: Path) -> None:
    results = measured_with(2_000, tmp_path)
    assert results.failures == {}
    assert {title for title, server in results.figures if server == OURS} == {
        *(title for title in latency.titles() if "1 KB" in title)
    }


def test_a_figure_without_enough_wheels_is_none(tmp_path: Path) -> None:
    results = measured_with(1, tmp_path)
    assert list(results.failures.values()) == ["all 1 wheels were taken too soon"]
    assert results.figures == {}
