"""A bounded memory of finished pages: rendered once per change, not once per request."""

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from datetime import datetime
from threading import Lock

from simpleindex.wire.pieces import Piece, Pieced

_ENTRY_BYTES = 500
"""What an entry costs besides its body, roughly."""
_PIECE_BYTES = 200
"""What is kept of each piece of a body, roughly."""


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
    valid_until: datetime | None = None
    """When it may change without any change here; None: never."""
    looked_at: datetime | None = None
    """When that was found out. Before that, the clock has been put back."""
    pieces: tuple[Piece, ...] = ()
    """What the body is made of, if it is long."""

    @property
    def pieced(self) -> Pieced:
        """The body, and where its pieces are."""
        return Pieced(self.body, self.pieces)

    @property
    def memory_bytes(self) -> int:
        """What it costs to keep it."""
        return len(self.body) + len(self.pieces) * _PIECE_BYTES + _ENTRY_BYTES

    def is_due(self, now: datetime) -> bool:
        """Whether time alone may have changed it."""
        if self.valid_until is None:
            return False
        return now >= self.valid_until or (self.looked_at is not None and now < self.looked_at)


class RenderedPages:
    """Pages by key, each with the agreed serials at which it was last known to be true.

    The oldest go when the memory is full. May be used from any thread.
    """

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._bytes = 0
        self._pages: OrderedDict[Hashable, tuple[Hashable, RenderedPage]] = OrderedDict()
        self._lock = Lock()

    def current(self, key: Hashable, agreed: Hashable, now: datetime) -> RenderedPage | None:
        """The page, if it is known to be true at these serials. None stands for no agreement."""
        with self._lock:
            found = self._pages.get(key)
            if found is None or found[0] != agreed or found[1].is_due(now):
                return None
            self._pages.move_to_end(key)
            return found[1]

    def maybe(self, key: Hashable) -> RenderedPage | None:
        """The page as it was at some time: still true if its fingerprint is."""
        with self._lock:
            found = self._pages.get(key)
            return found[1] if found else None

    def keep(self, key: Hashable, agreed: Hashable, page: RenderedPage) -> None:
        """Remember a page made from what was read after the serials were agreed."""
        size = page.memory_bytes
        if agreed is None or size > self._bytes_max:
            return
        with self._lock:
            before = self._pages.pop(key, None)
            if before is not None:
                self._bytes -= before[1].memory_bytes
            self._pages[key] = (agreed, page)
            self._bytes += size
            while self._bytes > self._bytes_max:
                _, (_, oldest) = self._pages.popitem(last=False)
                self._bytes -= oldest.memory_bytes
