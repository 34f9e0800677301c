"""What a server does of itself, beside answering: once at its start, and once a day."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from threading import Event, Semaphore
from typing import Any

import pytest

from simpleindex import app as app_module
from simpleindex.app import Application, create_app
from simpleindex.config import Config
from simpleindex_storage.errors import Unavailable
from simpleindex_storage.journal import segments
from simpleindex_storage.log_retention import trim_log
from simpleindex_storage.opening import create_store, open_store, utc_now
from tests.builders import a_wheel
from tests.server import running_server
from tests.serving.processes import wait_until
from tests.storage.stores import a_stage, send

SECONDS_MAX = 30.0


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


@asynccontextmanager
async def running(app: Application) -> AsyncIterator[None]:
    """An application whose lifespan is followed for the time of the block."""
    app.open()
    told: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    heard: asyncio.Queue[Any] = asyncio.Queue()
    following = asyncio.create_task(app({"type": "lifespan"}, told.get, heard.put))
    await told.put({"type": "lifespan.startup"})
    await heard.get()
    try:
        yield
    finally:
        await told.put({"type": "lifespan.shutdown"})
        await heard.get()
        await following


class Trimming:
    """Stands where the audit log is trimmed, and looks at the catalog when it is let go on."""

    def __init__(self) -> None:
        self.has_begun = Semaphore(0)
        self.may_go_on = Event()
        self.serials: list[int] = []

    def __call__(self, root: Path, catalog: Any, *_: object) -> None:
        self.has_begun.release()
        assert self.may_go_on.wait(SECONDS_MAX)
        with catalog.snapshot() as seen:
            self.serials.append(seen.serial)


@pytest.fixture
def trimming(monkeypatch: pytest.MonkeyPatch) -> Trimming:
    trimming = Trimming()
    monkeypatch.setattr(app_module, "trim_log", trimming)
    return trimming


async def begun(trimming: Trimming) -> None:
    assert await asyncio.to_thread(trimming.has_begun.acquire, timeout=SECONDS_MAX)


def test_what_is_done_goes_on_with_its_directory_open_whatever_comes(
    tmp_path: Path, trimming: Trimming, caplog: pytest.LogCaptureFixture
) -> None:
    config = Config(serverdir=tmp_path / "data", offline_mode=True)

    async def reload_and_stop() -> None:
        app = create_app(config)
        async with running(app):
            await begun(trimming)
            await app.reload(config)
            asyncio.get_running_loop().call_later(0.1, trimming.may_go_on.set)
        assert len(trimming.serials) == 1

    asyncio.run(reload_and_stop())
    assert caplog.messages == []
    assert list((tmp_path / "data" / "incoming").iterdir()) == []


@pytest.mark.parametrize(
    "fault", [Unavailable("the disk is full"), ValueError("nobody thought of it")], ids=repr
)
def test_what_fails_is_told_and_tried_again(
    tmp_path: Path,
    fault: Exception,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    tries = Semaphore(0)

    def fail(*_: object) -> None:
        tries.release()
        raise fault

    monkeypatch.setattr(app_module, "trim_log", fail)
    monkeypatch.setattr(app_module, "_UPKEEP_SECONDS", 0.01)

    async def wait_for_two() -> None:
        async with running(create_app(Config(serverdir=tmp_path / "data", offline_mode=True))):
            for _ in range(2):
                assert await asyncio.to_thread(tries.acquire, timeout=SECONDS_MAX)

    asyncio.run(wait_for_two())
    assert len(caplog.records) >= 2
    assert all(record.levelno == logging.ERROR for record in caplog.records)
    assert str(fault) in caplog.text
