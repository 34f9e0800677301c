"""What was seen of clients, counted in a file that processes share."""

import sqlite3
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import pytest

from simpleindex_storage.errors import Unavailable
from simpleindex_storage.sightings import TEXT_CHARACTERS_MAX, Sight, Sighted, Sightings

DAY, NEXT_DAY = date(2026, 11, 22), date(2026, 11, 23)
DEMO = Sight("missing", "demo", "a target")


def sightings(tmp_path: Path, kept_max: int = 100) -> Sightings:
    return Sightings(tmp_path / "sightings.sqlite", {"missing": kept_max, "target": kept_max})


def whats(found: Sightings, kind: str = "missing") -> list[str]:
    return [each.sight.what for each in found.all() if each.sight.kind == kind]


def test_times_and_days_are_counted_whoever_counts(tmp_path: Path) -> None:
    assert sightings(tmp_path).all() == ()
    sightings(tmp_path).add({DEMO: 2}, DAY)
    sightings(tmp_path).add({DEMO: 1}, DAY)
    assert sightings(tmp_path).all() == (Sighted(DEMO, 3, 1, DAY),)
    sightings(tmp_path).add({DEMO: 1}, NEXT_DAY)
    assert sightings(tmp_path).all() == (Sighted(DEMO, 4, 2, NEXT_DAY),)
    sightings(tmp_path).add({DEMO: 1}, DAY)  # the clock was put back
    assert sightings(tmp_path).all() == (Sighted(DEMO, 5, 2, NEXT_DAY),)


def test_several_at_once_lose_nothing(tmp_path: Path) -> None:
    def count(_: int) -> None:
        sightings(tmp_path).add({DEMO: 1}, DAY)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(count, range(40)))
    assert sightings(tmp_path).all() == (Sighted(DEMO, 40, 1, DAY),)


def test_what_was_seen_on_two_days_is_not_driven_out_by_any_number_of_new_names(
    tmp_path: Path,
) -> None:
    found = sightings(tmp_path, kept_max=10)
    found.add({DEMO: 1, Sight("target", "a target"): 1}, DAY)
    found.add({DEMO: 1}, NEXT_DAY)
    for some in range(5):
        found.add({Sight("missing", f"junk-{some}-{n}"): 1000 for n in range(50)}, NEXT_DAY)
    assert len(whats(found)) == 10
    assert "demo" in whats(found)
    assert whats(found, "target") == ["a target"]


def test_what_was_seen_least_goes_first(tmp_path: Path) -> None:
    found = sightings(tmp_path, kept_max=2)
    seen = {Sight("missing", "once"): 1, Sight("missing", "often"): 9, Sight("missing", "twice"): 2}
    found.add(seen, DAY)
    assert whats(found) == ["often", "twice"]
    found.add({Sight("missing", "today"): 1}, NEXT_DAY)
    assert whats(found) == ["often", "today"]


def test_the_file_stays_small_whatever_comes(tmp_path: Path) -> None:
    found = sightings(tmp_path)
    for some in range(20):
        text = f"{some}".ljust(TEXT_CHARACTERS_MAX - 10, "x")
        found.add({Sight("missing", f"{text}-{n}"): 1 for n in range(100)}, DAY)
    assert (tmp_path / "sightings.sqlite").stat().st_size < 100 * TEXT_CHARACTERS_MAX * 6


def test_long_texts_and_other_kinds_are_not_kept(tmp_path: Path) -> None:
    found = sightings(tmp_path)
    long = "x" * (TEXT_CHARACTERS_MAX + 1)
    found.add(
        {
            Sight("missing", long): 1,
            Sight("missing", "x", long): 1,
            Sight("other", "x"): 1,
            DEMO: 1,
        },
        DAY,
    )
    assert whats(found) == ["demo"]


def no_database(path: Path) -> None:
    path.write_bytes(b"these bytes are no database\n" * 500)


def cut(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2] + b"\xff" * 10)


def another_table(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE sighting (other TEXT)")
    connection.close()


@pytest.mark.parametrize("spoil", [no_database, cut, another_table])
def test_a_damaged_file_is_begun_anew(spoil: Callable[[Path], None], tmp_path: Path) -> None:
    found = sightings(tmp_path)
    found.add({Sight("missing", f"{n}".ljust(450, "x")): 1 for n in range(50)}, DAY)
    spoil(tmp_path / "sightings.sqlite")
    found.add({DEMO: 1}, DAY)
    assert whats(found) == ["demo"]


def test_it_is_its_owners_alone(tmp_path: Path) -> None:
    sightings(tmp_path).add({DEMO: 1}, DAY)
    assert stat.S_IMODE((tmp_path / "sightings.sqlite").stat().st_mode) == 0o600


def test_a_disk_that_fails_is_told(tmp_path: Path) -> None:
    (tmp_path / "sightings.sqlite").mkdir()
    with pytest.raises(Unavailable, match=r"sightings\.sqlite cannot be used"):
        sightings(tmp_path).add({DEMO: 1}, DAY)
