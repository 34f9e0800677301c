"""What a request may read: found out once, and only if it matters who is asking."""

from collections.abc import Callable
from typing import TypeVar

from starlette.requests import Request

from simpleindex.access import ANYBODY, Principal, Rules, is_public
from simpleindex.errors import NothingKnown
from simpleindex.mirror.known import UpstreamNeeded
from simpleindex.mirror.pages import MirrorPages
from simpleindex.reading import Reader, WhoIsAsking
from simpleindex.routes.asking import credentials_of, hops_of, in_thread
from simpleindex.routes.doorkeeper import Doorkeeper
from simpleindex_storage.errors import Refused
from simpleindex_storage.names import FilePlace, IndexName, ProjectName, parse_filename
from simpleindex_storage.ports import Catalog

T = TypeVar("T")

_KNOWN_MAX = 10_000
_ASKED_MAX = 2
"""How often upstream is asked for one request: the answer may be out of date as soon as it came."""


class Readers:
    """Stands in every door that shows something of an index.

    Where everybody may read, nobody's credentials are looked at.
    """

    def __init__(
        self, catalog: Catalog, doorkeeper: Doorkeeper, rules: Rules, pages: MirrorPages
    ) -> None:
        self._catalog = catalog
        self._pages = pages
        self._doorkeeper = doorkeeper
        self._rules = rules
        self._public: dict[IndexName, int] = {}
        """The agreed serial at which an index was last seen to be open to everybody."""

    async def read(self, request: Request, work: Callable[[Reader], T]) -> T:
        """Do what reads, in a thread, for whoever has sent the request.

        The work is begun for somebody unknown, and again from its start if it asks who that is,
        or needs a page of an upstream: so it must leave nothing behind when it raises.
        """
        try:
            for _ in range(_ASKED_MAX):
                try:
                    return await self._read(request, work)
                except UpstreamNeeded as needed:
                    await self._pages.ask(needed.wanted, hops_of(request))
            return await self._read(request, work)
        except UpstreamNeeded as needed:
            raise NothingKnown(f"upstream gives no page of {needed}") from None
        finally:
            self._pages.grant_wishes()

    async def _read(self, request: Request, work: Callable[[Reader], T]) -> T:
        if credentials_of(request) is None:
            return await self._as(ANYBODY, work)

        def read_if_known() -> T:
            try:
                return work(Reader(self._rules, None))
            except WhoIsAsking:
                known = self._doorkeeper.recognise(request)
                if known is None:
                    raise
                return work(Reader(self._rules, known))

        try:
            return await in_thread(read_if_known)
        except WhoIsAsking:
            pass
        return await self._as(await self._doorkeeper.identify(request), work)

    async def require(
        self, request: Request, index: IndexName, project: ProjectName | None = None
    ) -> bool:
        """Raises Forbidden, NotAuthenticated, TooManyFailures for what must not be shown.

        The answer is whether everybody may see it. What is not there, everybody may.
        """
        agreed = self._catalog.agreed_serial()
        if agreed is not None and self._public.get(index) == agreed:
            return True
        return await self.read(request, lambda reader: self.check(reader, index, project))

    def check(self, reader: Reader, index: IndexName, project: ProjectName | None = None) -> bool:
        """As `require`, in the thread of work that reads. Raises also WhoIsAsking."""
        # Read before the snapshot: what was agreed only afterwards might not be in it.
        agreed = self._catalog.agreed_serial()
        if agreed is not None and self._public.get(index) == agreed:
            return True
        with self._catalog.snapshot() as seen:
            known = seen.index(index)
        if known is None:
            return True
        reader.require(known, project)
        if not is_public(known.settings):
            return False
        if agreed is not None:
            if len(self._public) >= _KNOWN_MAX:
                self._public.clear()
            self._public[index] = agreed
        return True

    async def _as(self, principal: Principal, work: Callable[[Reader], T]) -> T:
        return await in_thread(lambda: work(Reader(self._rules, principal)))


def project_of(place: FilePlace) -> ProjectName | None:
    """The project that a file's name tells; None of documentation and results of tests.

    Tokens for some projects do not open those.
    """
    try:
        return parse_filename(place.filename).project
    except Refused:
        return None
