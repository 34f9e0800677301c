"""What installers tell without being asked: on what kinds of hosts they are, what they looked for.

Of each request for the page of a project its User-Agent, the project, and whether there was any
page are counted; of the client itself nothing. Whatever comes is only noted down here, and read a
moment later, in a thread, once for all that are equal. It costs no answer any time, and what goes
wrong with it is no client's trouble.
"""

import logging
import re
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from threading import Lock, Timer
from typing import TypeAlias
from urllib.parse import unquote

from simpleindex.wire.installer_agents import AGENT_BYTES_MAX, kind_of_host
from simpleindex.wire.locations import PageAt, ProjectAt, locate
from simpleindex_storage.errors import Refused, StoreError
from simpleindex_storage.names import index_name, parse_project_name
from simpleindex_storage.sightings import Sight, Sightings

FILE_NAME = "sightings.sqlite"
"""In the server directory."""

HOST, MISSING, READ = "host", "missing", "read"
"""A kind of host; a project that such hosts asked for, which was not there; one that was."""

_KEPT_MAX = {HOST: 200, MISSING: 5_000, READ: 20_000}
"""Of the latter, pairs of a project and a kind of host."""
_NOTED_MAX = 1_000
"""Requests that differ, in one go; of more, so many are as good as all."""
_WRITTEN_SECONDS = 2.0
_PATH_CHARACTERS_MAX = 1000

_REQUEST_LINE = re.compile(rb"GET ([^ ?]+)")
_AGENT_LINE = re.compile(rb"\r\nuser-agent:[ \t]*([^\r\n]*)", re.IGNORECASE)

_Told: TypeAlias = tuple[bytes, str, bool]
"""The User-Agent, the path, and whether there was a page."""

_log = logging.getLogger(__name__)


def sightings_of(serverdir: Path) -> Sightings:
    """Where a server directory keeps what is learned."""
    return Sightings(serverdir / FILE_NAME, _KEPT_MAX)


class Learner:
    """Notes requests down, and counts them a moment later. May be used from any thread."""

    def __init__(
        self,
        sightings: Sightings,
        now: Callable[[], datetime],
        *,
        written_seconds: float = _WRITTEN_SECONDS,
    ) -> None:
        self._sightings = sightings
        self._now = now
        self._written_seconds = written_seconds
        self._noted: dict[_Told | bytes, int] = {}
        self._lock = Lock()
        self._timer: Timer | None = None
        self._is_closed = False
        self._has_failed = False

    def saw(self, agent: bytes, path: str, *, is_found: bool) -> None:
        """A page was asked for at a path below our root, by somebody who says they are `agent`."""
        if len(agent) <= AGENT_BYTES_MAX and len(path) <= _PATH_CHARACTERS_MAX:
            self._note((agent, path, is_found), 1)

    def saw_again(self, sent: bytes, times: int) -> None:
        """A request in these bytes came so many times, and got a page each time."""
        self._note(sent, times)

    def write(self) -> None:
        """Count what was noted down. What cannot be is lost, and the log says so once."""
        with self._lock:
            noted, self._noted = self._noted, {}
        try:
            self._sightings.add(_counted(noted), self._now().date())
            self._has_failed = False
        except StoreError as error:
            if not self._has_failed:
                _log.warning("what installers look for is not learned: %s", error)
            self._has_failed = True

    def close(self) -> None:
        """Count what was noted down, and note no more."""
        with self._lock:
            self._is_closed = True
            timer = self._timer
        if timer is not None:
            timer.cancel()
            timer.join()
        self.write()

    def _note(self, request: _Told | bytes, times: int) -> None:
        with self._lock:
            known = self._noted.get(request)
            if known is not None:
                self._noted[request] = known + times
            elif len(self._noted) < _NOTED_MAX and not self._is_closed:
                self._noted[request] = times
                if self._timer is None:
                    self._timer = Timer(self._written_seconds, self._write_in_time)
                    self._timer.daemon = True
                    self._timer.start()

    def _write_in_time(self) -> None:
        with self._lock:
            self._timer = None
        self.write()


def _counted(noted: dict[_Told | bytes, int]) -> dict[Sight, int]:
    found: dict[Sight, int] = {}
    for request, times in noted.items():
        agent, path, is_found = _parts(request) if isinstance(request, bytes) else request
        host = _host(agent)
        asked = None if host is None else _asked(path)
        if host is None or asked is None:
            continue
        kind = READ if is_found else MISSING
        for sight in (Sight(HOST, host), Sight(kind, asked, host)):
            found[sight] = found.get(sight, 0) + times
    return found


def _parts(sent: bytes) -> _Told:
    """A request that was answered with a page, taken apart."""
    line, agent = _REQUEST_LINE.match(sent), _AGENT_LINE.search(sent)
    if line is None or agent is None:
        return b"", "", True
    return agent[1].rstrip(), unquote(line[1].decode("latin-1")), True


_host = lru_cache(maxsize=1024)(kind_of_host)


def _asked(path: str) -> str | None:
    """The index and the project that a path is about; None: it is about none."""
    at = locate(path)
    if not isinstance(at, PageAt | ProjectAt):
        return None
    try:
        return f"{index_name(at.user, at.index)}/{parse_project_name(at.project)}"
    except Refused:
        return None
