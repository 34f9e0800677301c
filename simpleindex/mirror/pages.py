"""Asks upstreams for pages: each page once at a time, and in the background where one is kept."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

import anyio.to_thread

from simpleindex.errors import UpstreamFailed
from simpleindex.events import Event
from simpleindex.mirror.flights import Flights
from simpleindex.mirror.known import ABSENT_SECONDS, Known, Mirrored, WantedPage
from simpleindex.mirror.sources import Sources
from simpleindex.upstream.client import (
    Absent,
    Fetched,
    NotModified,
    Source,
    Upstream,
    UpstreamTrouble,
)
from simpleindex.wire import mirror_page
from simpleindex.wire.mirror_page import MirrorPage
from simpleindex.wire.simple_page import ProjectPage
from simpleindex.wire.upstream_page import BadPage, parse_page
from simpleindex_storage.errors import StoreError, Unavailable
from simpleindex_storage.mirrored import KeptPage
from simpleindex_storage.model import MirrorSettings
from simpleindex_storage.names import IndexName, ProjectName

_log = logging.getLogger("simpleindex")

_ABSENT_ONES_MAX = 500
"""After so many names that upstream had not, those that are out of date are forgotten."""

UpstreamFor = Callable[[str | None], Upstream]
"""The client for upstreams; the host that is given may have a private address."""


class Upstreams:
    """The clients of all upstreams: one, and one more for the index that pip here uses."""

    def __init__(self, sources: Sources, make: UpstreamFor) -> None:
        self._sources = sources
        self._make = make
        self._made: dict[str | None, Upstream] = {}
        self._finding = asyncio.Lock()

    async def reach(self, settings: MirrorSettings) -> tuple[Source, Upstream]:
        """Where a mirror's upstream is, and who talks to it. Raises UpstreamTrouble."""
        source = self._sources.known(settings)
        if source is None:
            async with self._finding:  # it may take long: one thread waits, and no more
                source = await anyio.to_thread.run_sync(self._sources.find, settings)
        host = self._sources.trusted_host(settings)
        upstream = self._made.get(host)
        if upstream is None:
            upstream = self._made[host] = self._make(host)
        return source, upstream

    async def close(self) -> None:
        """Let go of all connections."""
        for upstream in list(self._made.values()):
            await upstream.close()


class MirrorPages:
    """Fetches pages of projects, and keeps them. All its methods belong to one event loop."""

    def __init__(
        self, mirrored: Mirrored, upstreams: Upstreams, now: Callable[[], datetime]
    ) -> None:
        self._mirrored = mirrored
        self._upstreams = upstreams
        self._now = now
        self._flights = Flights[tuple[IndexName, ProjectName], _Outcome]()
        self._absent_ones = 0

    async def ask(self, wanted: Sequence[WantedPage], hops: tuple[str, ...] = ()) -> None:
        """Ask upstream for pages, all at once. Trouble with upstream is noted, not raised.

        Whoever asks for a page that is being asked for waits for the same answer, and what has
        been checked since it was seen is not asked for again. Raises Unavailable if there is one
        that cannot be kept: that may pass at any moment.
        """
        troubles = self._mirrored.troubles
        asked = [
            page
            for page in wanted
            # It may just have turned out that there is no use in asking.
            if troubles.until(page.index, page.project) is None
        ]
        flights = [asyncio.shield(self._flight(page, hops)) for page in asked]
        for outcome in await asyncio.gather(*flights):
            if outcome.unavailable is not None:
                raise outcome.unavailable

    async def refresh(self, wanted: Sequence[WantedPage], hops: tuple[str, ...] = ()) -> None:
        """Ask now, however fresh the pages are. Raises UpstreamFailed."""
        asking = [self._ask_from_now(page, hops) for page in wanted]
        for outcome in await asyncio.gather(*asking):
            if outcome.unavailable is not None:
                raise outcome.unavailable
            if outcome.line is not None:
                raise UpstreamFailed(outcome.line)

    def grant_wishes(self) -> None:
        """Begin to refresh, behind the answers, what was told although it was out of date."""
        wishes = self._mirrored.wishes
        while wishes:
            page = wishes.popleft()
            self._flight(page, ()).add_done_callback(partial(self._after_wish, page))

    async def close(self) -> None:
        """Give up what is under way."""
        await self._flights.close()

    async def _ask_from_now(self, page: WantedPage, hops: tuple[str, ...]) -> "_Outcome":
        """As `_fetch`; what was asked for before may be answered as it was then."""
        before = self._flights.under_way((page.index.name, page.project))
        if before is not None:
            outcome = await asyncio.shield(before)
            if outcome not in (_FETCHED, _CHECKED):
                return outcome
        outcome = _CHECKED
        while outcome == _CHECKED:  # it was the flight of somebody who was content with that
            outcome = await asyncio.shield(self._flight(page, hops, anew=True))
        return outcome

    def _flight(
        self, page: WantedPage, hops: tuple[str, ...], *, anew: bool = False
    ) -> "asyncio.Task[_Outcome]":
        key = (page.index.name, page.project)
        return self._flights.join(key, lambda: self._fetch(page, hops, anew=anew))

    async def _fetch(self, page: WantedPage, hops: tuple[str, ...], *, anew: bool) -> "_Outcome":
        """Fetch and keep one page. Whatever goes wrong is its outcome: tasks raise for nobody.

        `anew`: even if somebody else has done so since it was seen.
        """
        index, project = page.index.name, page.project
        is_down = False
        try:
            if not await self._fetch_and_keep(page, hops, anew=anew):
                return _CHECKED
        except Unavailable as error:
            _log.warning("%s: page of %s not kept: %s", index, project, error)
            return _Outcome(str(error), error)
        except (UpstreamTrouble, BadPage, StoreError) as error:
            is_down = isinstance(error, UpstreamTrouble) and error.is_down
            line = str(error)
            _log.warning("%s: page of %s not fetched: %s", index, project, line)
        except Exception:
            line = "the page could not be fetched; the server's log says why"
            _log.exception("%s: page of %s not fetched", index, project)
        else:
            self._mirrored.troubles.forget(index, project)
            return _FETCHED
        self._mirrored.troubles.note(page.index, project, line, is_down=is_down)
        self._mirrored.count(Event.MIRROR_PAGE_FAILED, 1)
        return _Outcome(line)

    def _after_wish(self, page: WantedPage, task: "asyncio.Task[_Outcome]") -> None:
        """What is kept is told all the same, so there is time until the next attempt."""
        if task.cancelled():
            return
        outcome = task.result()
        if outcome.unavailable is not None and outcome.line is not None:
            self._mirrored.troubles.note(page.index, page.project, outcome.line, is_down=False)

    async def _bound_absent_ones(self) -> None:
        """Whoever asks for thousands of names that are not there shall not fill the disk."""
        self._absent_ones += 1
        if self._absent_ones % _ABSENT_ONES_MAX == 0:
            outdated = self._now() - timedelta(seconds=ABSENT_SECONDS)
            await anyio.to_thread.run_sync(self._mirrored.cache.forget_absent, outdated)

    async def _fetch_and_keep(self, page: WantedPage, hops: tuple[str, ...], *, anew: bool) -> bool:
        """Whether upstream was asked."""
        settings = page.index.settings
        assert isinstance(settings, MirrorSettings)
        cache = self._mirrored.cache
        source, upstream = await self._upstreams.reach(settings)
        head = await anyio.to_thread.run_sync(cache.page_head, page.index.name, page.project)
        if head is not None and head.source != source.label:
            head = None
        if not anew and head is not None and head.checked_at != page.checked_at:
            return False  # another flight, or another process, came in with it just now
        # A validator is good for the upstream that gave it, and for a page that is still here.
        if head is not None and not head.has_content:
            head = None
        answer = await upstream.page(
            source,
            page.project,
            etag=None if head is None else head.etag,
            last_modified=None if head is None else head.last_modified,
            hops=hops,
        )
        keeping = _Keeping(self._mirrored, page, source.label, self._now())
        match answer:
            case NotModified():
                await anyio.to_thread.run_sync(keeping.renew)
                self._mirrored.count(Event.MIRROR_PAGE_UNCHANGED, 1)
            case Absent():
                await anyio.to_thread.run_sync(keeping.absent)
                self._mirrored.count(Event.MIRROR_PAGE_ABSENT, 1)
                await self._bound_absent_ones()
            case Fetched():
                await anyio.to_thread.run_sync(keeping.fetched, answer)
                self._mirrored.count(Event.MIRROR_PAGE_FETCHED, 1)
        return True


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What came of asking for a page."""

    line: str | None = None
    """What went wrong, if anything did."""
    unavailable: Unavailable | None = None
    """It was not upstream's fault: the page could not be kept here."""
    was_asked: bool = True


_FETCHED = _Outcome()
_CHECKED = _Outcome(was_asked=False)
"""It has been checked since it was seen: whoever wants it may look again."""


class _Keeping:
    """What is written down of one answer. Blocks."""

    def __init__(self, mirrored: Mirrored, page: WantedPage, source: str, now: datetime) -> None:
        self._mirrored = mirrored
        self._cache = mirrored.cache
        self._index = page.index.name
        self._project = page.project
        self._told = KeptPage(self._index, self._project, source, None, None, None, now)

    def renew(self) -> None:
        self._cache.renew_page(self._index, self._project, self._told.checked_at)

    def absent(self) -> None:
        """No such project. What it once had stays known: a name's bytes are never others."""
        nothing = ProjectPage(self._project, files=(), versions=())

        def make(known: Known | None) -> MirrorPage | None:
            is_unknown = known is None or known.page is None
            return None if is_unknown else self._merged(known, nothing)

        self._mirrored.keep(self._told, make)

    def fetched(self, answer: Fetched) -> None:
        """Raises BadPage."""
        page = parse_page(answer.body, answer.content_type, answer.url, self._project)
        told = replace(self._told, etag=answer.etag, last_modified=answer.last_modified)
        self._mirrored.keep(told, lambda known: self._merged(known, page))

    def _merged(self, known: Known | None, page: ProjectPage) -> MirrorPage:
        now = self._told.checked_at
        if known is None or known.page is None:
            return mirror_page.merged(None, None, page, now)
        merged = mirror_page.merged(known.page, known.head.checked_at, page, now)
        _log_changes(self._index, known.page, merged)
        return merged


def _log_changes(index: IndexName, before: MirrorPage, after: MirrorPage) -> None:
    """Say it once when upstream offers other bytes under a name that is known."""
    known = {file.file.filename: file.changed_to for file in before.files}
    for file in after.files:
        if file.changed_to is not None and file.changed_to != known.get(file.file.filename):
            _log.error(
                "%s: upstream offers other bytes under the name %s (%s); they are refused, and "
                "the file is not shown",
                index,
                file.file.filename,
                file.changed_to,
            )
