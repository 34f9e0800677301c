"""Many processes at the same names."""

import json
from contextlib import ExitStack
from pathlib import Path

from tests.builders import a_wheel
from tests.storage.other_process import elsewhere, race
from tests.storage.stores import (
    files_below,
    files_of,
    journal_of,
    make_store,
    opened,
    read,
    recorded_files,
    serial_of,
)

PROCESSES = ("north", "east", "south", "west")
NAMES = 25


def test_of_processes_that_upload_the_same_names_each_name_has_one_winner(tmp_path: Path) -> None:
    make_store(tmp_path)
    with ExitStack() as running:
        others = [
            running.enter_context(elsewhere(race, str(tmp_path), name, str(NAMES)))
            for name in PROCESSES
        ]
        for other in others:
            other.wait_for("ready")
        for other in others:
            other.tell()
        ends = [other.end() for other in others]
    assert [exit_code for exit_code, _ in ends] == [0] * len(PROCESSES)
    told = {name: json.loads(printed) for name, (_, printed) in zip(PROCESSES, ends, strict=True)}

    winner_of = {filename: name for name in PROCESSES for filename in told[name]["won"]}
    assert sum(len(told[name]["won"]) for name in PROCESSES) == len(winner_of) == NAMES
    for name in PROCESSES:
        assert told[name]["serials"] == sorted(told[name]["serials"])
        assert len(told[name]["serials"]) == NAMES

    with opened(tmp_path) as store:
        files = recorded_files(store.catalog)
        assert {file.filename: file.uploaded_by for file in files} == winner_of
        for file in files:
            built = a_wheel(
                "demo", file.version, extra_files={"demo/who.txt": file.uploaded_by.encode()}
            )
            assert read(store, file) == built.content
        assert serial_of(store.catalog) == store.catalog.agreed_serial() == NAMES
        assert set(files_below(tmp_path)) == files_of(*files)
    assert [line["serial"] for line in journal_of(tmp_path)] == list(range(NAMES + 1))
