"""What a server does of itself, beside answering: once at its start, and once a day."""

from datetime import timedelta
from pathlib import Path

from simpleindex_storage.journal import segments
from simpleindex_storage.log_retention import trim_log
from simpleindex_storage.opening import create_store, open_store, utc_now
from tests.builders import a_wheel
from tests.server import running_server
from tests.serving.processes import wait_until
from tests.storage.stores import a_stage, send


def test_lines_of_the_audit_log_that_are_too_old_go(tmp_path: Path) -> None:
    data = tmp_path / "data"
    (tmp_path / "key").write_text("k" * 40)
    created = utc_now() - timedelta(days=100)
    create_store(data, lambda change: change.put_index(a_stage()), created)
    store = open_store(data, lambda: created + timedelta(days=20))
    trim_log(data, store.catalog, 30, created + timedelta(days=20))
    send(store, a_wheel())
    store.close()
    assert [segment.path.name for segment in segments(data)] == [
        "journal.jsonl",
        "journal-1.jsonl",
    ]
    options = ("--log-days=30", f"--secretfile={tmp_path / 'key'}", "--workers=2")
    with running_server(data, *options):
        wait_until(lambda: not (data / "journal.jsonl").exists())
        wait_until((data / "state.json").exists)
