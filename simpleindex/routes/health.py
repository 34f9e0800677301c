"""`/-/health`: whether the server lives, serves and can store, for whoever restarts or routes.

Everybody may ask: nothing is told that tells of packages or people, and each answer costs little.
"""

import json
import logging
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from starlette.responses import Response

from simpleindex.routes.asking import in_thread
from simpleindex.version import __version__
from simpleindex.wire.locations import Health, HealthAt
from simpleindex_storage.errors import Unavailable
from simpleindex_storage.model import JsonValue
from simpleindex_storage.store import Store

_log = logging.getLogger("simpleindex")

_TRIAL_BYTES = 64 << 10
_TRIAL_SECONDS = 1.0
"""How long it is believed that something could be written, or not."""


class HealthDoor:
    """How the server is, in one word and a status; and what there is to know besides."""

    def __init__(
        self,
        store: Store,
        serverdir: Path,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._serverdir = serverdir
        self._clock = clock
        self._tried_at: float | None = None
        self._tried_well = False

    async def tell(self, at: HealthAt) -> Response:
        """200 or 503. A full disk is no reason to send installers elsewhere: reads go on."""
        match at.what:
            case Health.LIVE:
                return _answer({"status": "ok"})
            case Health.READY:
                return await in_thread(lambda: _answer(*self._ready()))
            case Health.WRITABLE:
                return await in_thread(lambda: _answer(*self._writable()))
            case None:
                return await in_thread(lambda: _answer(*self._all()))

    def _ready(self) -> tuple[dict[str, JsonValue], int]:
        try:
            with self._store.catalog.snapshot() as seen:
                return {"status": "ok", "serial": seen.serial}, 200
        except Unavailable as error:
            _log.warning("not ready: %s", error)
            return {"status": "the catalog cannot be read; the log says why"}, 503

    def _writable(self) -> tuple[dict[str, JsonValue], int]:
        if self._can_write():
            return {"status": "ok"}, 200
        return {"status": "nothing can be stored; the log says why"}, 503

    def _all(self) -> tuple[dict[str, JsonValue], int]:
        told, status = self._ready()
        told["writable"] = self._can_write()
        told["version"] = __version__
        try:
            told["free_bytes"] = shutil.disk_usage(self._serverdir).free
        except OSError:
            told["free_bytes"] = None
        return told, status

    def _can_write(self) -> bool:
        """Whether there is room for an upload, found out by beginning one: quotas count too."""
        now = self._clock()
        if self._tried_at is not None and now - self._tried_at < _TRIAL_SECONDS:
            return self._tried_well
        try:
            with self._store.stage() as draft:
                draft.write(bytes(_TRIAL_BYTES))
        except Unavailable as error:
            _log.warning("not writable: %s", error)
            self._tried_well = False
        else:
            self._tried_well = True
        self._tried_at = now
        return self._tried_well


def _answer(told: dict[str, JsonValue], status: int = 200) -> Response:
    headers = {"cache-control": "no-store"}
    return Response(json.dumps(told) + "\n", status, headers, "application/json")
