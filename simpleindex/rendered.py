"""A bounded memory of finished pages: rendered once per change, not once per request."""

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from threading import Lock

_ENTRY_BYTES = 500
"""What an entry costs besides its body, roughly."""


@dataclass(frozen=True, slots=True)
class RenderedPage:
    """A page as it is sent."""

    body: bytes
    etag: str
    """Quoted, as in the header."""
    fingerprint: Hashable
    """Equal as long as nothing that the page shows has changed."""
    encoding: str | None = None
    """The Content-Encoding of the body."""
    differs_by_origin: bool = False
    """Whether clients that see us under a secure URL get more to see."""
    is_public: bool = True
    """Whether everybody gets to see the same."""


class RenderedPages:
    """Pages by key, each with the catalog's agreed serial at which it was last known to be true.

    The oldest go when the memory is full. May be used from any thread.
    """

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._bytes = 0
        self._pages: OrderedDict[Hashable, tuple[int, RenderedPage]] = OrderedDict()
        self._lock = Lock()

    def current(self, key: Hashable, agreed_serial: int | None) -> RenderedPage | None:
        """The page, if it is known to be true at this serial. None stands for no agreement."""
        with self._lock:
            found = self._pages.get(key)
            if found is None or found[0] != agreed_serial:
                return None
            self._pages.move_to_end(key)
            return found[1]

    def maybe(self, key: Hashable) -> RenderedPage | None:
        """The page as it was at some time: still true if its fingerprint is."""
        with self._lock:
            found = self._pages.get(key)
            return found[1] if found else None

    def keep(self, key: Hashable, agreed_serial: int | None, page: RenderedPage) -> None:
        """Remember a page made from a snapshot that was taken after the serial was agreed."""
        size = len(page.body) + _ENTRY_BYTES
        if agreed_serial is None or size > self._bytes_max:
            return
        with self._lock:
            before = self._pages.pop(key, None)
            if before is not None:
                self._bytes -= len(before[1].body) + _ENTRY_BYTES
            self._pages[key] = (agreed_serial, page)
            self._bytes += size
            while self._bytes > self._bytes_max:
                _, (_, oldest) = self._pages.popitem(last=False)
                self._bytes -= len(oldest.body) + _ENTRY_BYTES
