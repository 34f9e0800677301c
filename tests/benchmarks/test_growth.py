"""What the benchmark of growth takes for flat."""

import pytest

from benchmarks.growth import FLAT_TARGET, Table


@pytest.mark.parametrize(("with_a_million", "is_met"), [(0.9, True), (FLAT_TARGET * 1.1, False)])
def test_what_is_flat_is_measured_by_what_it_takes_with_the_fewest_files(
    with_a_million: float, is_met: bool
) -> None:
    table = Table()
    for files, value in ((1_000, 1.0), (1_000_000, with_a_million)):
        table.put(files, "page", value, is_flat=True)
        table.put(files, "list", value * files)
    assert table.lines["page"].met is is_met
    assert table.lines["list"].met
    assert ("| 2 ms **missed** |" in table.markdown()) is not is_met


def test_what_is_flat_may_have_a_target_of_its_own_too() -> None:
    table = Table()
    for files in (1_000, 1_000_000):
        table.put(files, "start", 5.0, target=4.0, is_flat=True)
    assert not table.lines["start"].met
