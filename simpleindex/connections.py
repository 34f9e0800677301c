"""The connections of one process: how many there may be, and how long they may keep us waiting.

Knows no parser and no socket. A protocol tells in which phase its connection is, and does what is
asked of it here. One look at all of them every second costs nothing where no timer per request
would be cheap enough; so each bound in seconds may be passed by two of these looks.
"""

import asyncio
import logging
import math
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import Enum, StrEnum
from typing import Protocol

from simpleindex.config import Config, Network
from simpleindex.wire.clients import LOOPBACK, network_of
from simpleindex.wire.origin import is_trusted

try:
    import resource
except ImportError:  # Windows, where a process may have as many sockets as there is memory for
    resource = None  # type: ignore[assignment]  # what is looked at before it is used

_log = logging.getLogger("simpleindex")

_LOOK_SECONDS_MAX = 1.0
_LOG_SECONDS = 10.0
_LEAVING_MAX = 100
_DESCRIPTORS_EACH = 2
"""A socket, and the file that goes over it."""
_DESCRIPTORS_BESIDE = 100
"""For the catalog, the journal, logs, and connections to other indexes."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a client may ask of us before it has got anything. Times in seconds, sizes in bytes.

    `connections` and `connections_per_address`: 0 for no bound.
    """

    header_seconds: float = 10
    """From the first byte of a request (of a connection's first: from connecting) to its body."""
    header_bytes: int = 32 << 10
    header_count: int = 100
    body_bytes_per_second: int = 1024
    body_grace_seconds: float = 20
    """How long a body may be slower than that at first."""
    body_pause_seconds: float = 60
    """How long a body may pause that was faster before."""
    small_chunk_bytes: int = 128
    small_chunk_count: int = 5000
    """How many chunks smaller than that a body may have: each takes as long as a large one."""
    unread_bytes_per_second: int = 256
    """A download may be slow, as long as it goes on."""
    unread_seconds: float = 60
    """How long a reader may take less than that of what is ready for it."""
    idle_seconds: float = 30
    """How long a connection is kept after an answer for another request."""
    linger_seconds: float = 5
    """How long a client that was refused has to take the answer."""
    connections: int = 1000
    connections_per_address: int = 200

    @classmethod
    def of(cls, config: Config) -> "Bounds":
        """The share of one process in the bounds that an admin has set.

        Raises this process's limit of open files as far as they need it.
        """
        bounds = cls(
            connections=config.connections_max,
            connections_per_address=config.connections_per_address_max,
        )
        return bounds.divided(config.workers).within_descriptors()

    def divided(self, workers: int) -> "Bounds":
        """The share of one of several processes that listen on the same addresses."""
        return replace(
            self,
            connections=math.ceil(self.connections / workers),
            connections_per_address=math.ceil(self.connections_per_address / workers),
        )

    def within_descriptors(self) -> "Bounds":
        """As many connections as this process may have open files for.

        Its own limit is raised for that as far as the system lets it.
        """
        if resource is None:
            return self
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft == resource.RLIM_INFINITY:
            return self
        needed = self.connections * _DESCRIPTORS_EACH + _DESCRIPTORS_BESIDE
        wanted = needed if self.connections else hard
        if hard != resource.RLIM_INFINITY:
            wanted = min(wanted, hard)
        if soft < wanted:
            with suppress(OSError, ValueError):  # some systems have further limits
                resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
                soft = wanted
        possible = max((soft - _DESCRIPTORS_BESIDE) // _DESCRIPTORS_EACH, 1)
        if 0 < self.connections <= possible:
            return self
        if self.connections:
            _log.warning(
                "%d connections would need %d open files, and the system allows %d; %d are taken "
                "(see `ulimit -n`, or LimitNOFILE of systemd)",
                *(self.connections, needed, soft, possible),
            )
        return replace(self, connections=possible)


class Reason(StrEnum):
    """Why a connection was closed; these words are counted, and stay as they are."""

    SILENT = "silent"
    HANDSHAKE_FAILED = "handshake-failed"
    HEADER_TOO_SLOW = "header-too-slow"
    HEADER_TOO_LARGE = "header-too-large"
    MALFORMED = "malformed"
    BODY_TOO_SLOW = "body-too-slow"
    UNREAD = "unread"
    MADE_ROOM = "made-room"
    TOO_MANY = "too-many-connections"
    STOPPING = "stopping"


_TOLD_AS = {
    Reason.SILENT: "on which no request was sent",
    Reason.HANDSHAKE_FAILED: "on which no TLS was agreed on",
    Reason.HEADER_TOO_SLOW: "whose request's header came too slowly",
    Reason.HEADER_TOO_LARGE: "whose request's header was too large",
    Reason.MALFORMED: "whose request was malformed",
    Reason.BODY_TOO_SLOW: "whose request's body came too slowly",
    Reason.UNREAD: "whose answer was not read",
    Reason.MADE_ROOM: "on which no request was running, to make room for others",
    Reason.TOO_MANY: "above connections_max or connections_per_address_max",
    Reason.STOPPING: "whose request was not done when the server had to stop",
}
_WARNED_OF = (Reason.TOO_MANY, Reason.STOPPING)
"""Where the client has done nothing wrong."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """The answer to a request that was not understood, or not waited for; the last one."""

    status: int
    line: str
    reason: Reason
    retry_seconds: int | None = None


_HEADER_TOO_SLOW = Refusal(
    408, "the request's header came too slowly; send it again", Reason.HEADER_TOO_SLOW
)
_BODY_TOO_SLOW = Refusal(
    408, "the request's body came too slowly; send it again", Reason.BODY_TOO_SLOW
)
TOO_MANY = Refusal(
    503, "there are too many connections; try again in a few seconds", Reason.TOO_MANY, 5
)
STOPPING = Refusal(
    503, "the server stops, and cannot wait for this; try again in a few seconds",
    Reason.STOPPING, 5,
)  # fmt: skip


_ORDER_SECONDS = 0.5
"""So far what is known of waiting may be behind, where a connection waits between two moments."""


class Phase(Enum):
    """How far a connection is."""

    SILENT = True, "it was made, and nothing has come over it"
    HEADER = True, "a request's header is coming"
    BODY = False, "a request's body is coming"
    ANSWERING = False, "a request has come, and is being answered"
    IDLE = True, "all requests are answered"
    LEAVING = False, "it is being closed; what still comes is thrown away"

    def __init__(self, waits: bool, meaning: str) -> None:
        self.waits = waits
        """No request is running, so that it can be closed without harm."""
        self.meaning = meaning


_IDLE = Phase.IDLE
"""Members of an enumeration take their time to be looked up."""


class End(Protocol):
    """Our end of a connection: what the bounds ask of a protocol."""

    loop: asyncio.AbstractEventLoop

    def refuse(self, refusal: Refusal) -> None:
        """Answer so, if there is still a request to answer, and hang up."""

    def hang_up(self) -> None:
        """Close the connection, which has nothing more to say."""

    def cut(self) -> None:
        """Close the connection at once, whatever it has to say."""

    def is_done(self) -> bool:
        """Whether it has been closed, and the client has all that we had to say."""

    def holds_client_up(self) -> bool:
        """Whether it is we who keep the client from sending more of its body."""

    def unsent_bytes(self) -> int:
        """How much of our answers still waits in our memory for the client to take it."""

    def taken_bytes(self) -> int:
        """How much of all our answers the client has taken, as far as the system tells."""


class Connection:
    """What is known of one connection."""

    __slots__ = (
        "_body_seconds_left", "_connections", "_counted_bytes", "_taken_bytes",
        "_unread_seconds_left", "address", "end", "network", "phase", "queues", "received_bytes",
        "since",
    )  # fmt: skip

    def __init__(
        self, connections: "Connections", end: End, address: str | None, network: "_Network | None"
    ) -> None:
        self.end = end
        self.address = address
        self.network = network
        self.phase = Phase.SILENT
        self.since = end.loop.time()
        self.received_bytes = 0
        self.queues: tuple[dict[Connection, None], ...] = ()
        """Where it stands while it waits."""
        self._connections = connections
        self._counted_bytes = 0
        self._body_seconds_left = 0.0
        self._taken_bytes = 0
        self._unread_seconds_left = connections.bounds.unread_seconds

    def turn(self, phase: Phase) -> None:
        """It has come as far as this."""
        if phase is self.phase:
            return
        was, self.phase = self.phase, phase
        # Who sends its first byte late has not more time for the rest.
        if was is not Phase.SILENT or phase is not Phase.HEADER:
            self.since = self.end.loop.time()
        if phase is Phase.BODY:
            self._counted_bytes = self.received_bytes
            self._body_seconds_left = self._connections.bounds.body_grace_seconds
        if was.waits is not phase.waits:
            for queue in self.queues:
                if phase.waits:
                    queue[self] = None
                else:
                    del queue[self]

    def answered(self) -> None:
        """It has sent a request and got its answer, both at once."""
        if self.phase is not _IDLE:
            self.turn(_IDLE)
        now = self.end.loop.time()
        if now - self.since >= _ORDER_SECONDS:
            self.since = now
            for queue in self.queues:  # who has waited longest comes first
                del queue[self]
                queue[self] = None

    def is_body_too_slow(self, bounds: Bounds, seconds: float) -> bool:
        """Whether the last seconds were too many. Those that we took ourselves do not count."""
        earned = (self.received_bytes - self._counted_bytes) / bounds.body_bytes_per_second
        self._counted_bytes = self.received_bytes
        spent = 0.0 if self.end.holds_client_up() else seconds
        left = self._body_seconds_left + earned - spent
        self._body_seconds_left = min(
            left, max(bounds.body_pause_seconds, bounds.body_grace_seconds)
        )
        return left <= 0

    def is_unread(self, bounds: Bounds, seconds: float) -> bool:
        """Whether the client has taken too little for too long of what is ready for it."""
        if not self.end.unsent_bytes():
            self._unread_seconds_left = bounds.unread_seconds
            return False
        taken = self.end.taken_bytes()
        earned = max(taken - self._taken_bytes, 0) / bounds.unread_bytes_per_second
        self._taken_bytes = taken
        left = self._unread_seconds_left + earned - seconds
        self._unread_seconds_left = min(left, bounds.unread_seconds)
        return left <= 0


@dataclass(slots=True, eq=False)
class _Network:
    """One client's addresses, as far as we can tell."""

    name: str
    count: int = 0
    waiting: dict[Connection, None] = field(default_factory=dict)


def _told_nobody(reason: str) -> None:
    """Whom nothing is told."""


class Connections:
    """All connections of one process, on one event loop.

    `exempt` are addresses and networks of proxies, from which everybody comes. `told` is called
    with a Reason for each connection that is refused or closed for it.
    """

    def __init__(
        self,
        bounds: Bounds,
        exempt: Collection[Network] = (),
        told: Callable[[str], object] = _told_nobody,
    ) -> None:
        self.bound(bounds, exempt)
        self._telling = _Telling(told)
        self._inside: dict[Connection, None] = {}
        self._waiting: dict[Connection, None] = {}
        """Those without a running request; who has waited longest comes first."""
        self._leaving: dict[Connection, None] = {}
        self._networks: dict[str, _Network] = {}
        self._looked_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._inside)

    def bound(self, bounds: Bounds, exempt: Collection[Network]) -> None:
        """Let these hold from now on. Who is inside stays, even if that is too many."""
        self.bounds = bounds
        self._exempt = tuple(exempt)
        self._look_seconds = min(_LOOK_SECONDS_MAX, _shortest(bounds) / 4)

    def enter(self, end: End, address: str | None) -> Connection:
        """A new connection, of a client with this address; None if it has none.

        Where there is no room, one without a running request is closed for it. Where there is no
        such either, the new one is refused.
        """
        network = self._network(address)
        connection = Connection(self, end, address, network)
        self._look_later(end.loop)
        if not self._has_room(network):
            self.refuse(connection, TOO_MANY)
            return connection
        self._inside[connection] = None
        connection.queues = (self._waiting,)
        if network is not None:
            self._networks[network.name] = network
            network.count += 1
            connection.queues = (self._waiting, network.waiting)
        for queue in connection.queues:
            queue[connection] = None
        return connection

    def refuse(self, connection: Connection, refusal: Refusal) -> None:
        """Answer for the last time. The client has a little time to take it."""
        self.tell(connection, refusal.reason)
        self.see_off(connection)
        connection.end.refuse(refusal)

    def refuse_running(self, refusal: Refusal) -> None:
        """Answer every request that is still running for the last time."""
        running = [connection for connection in self._inside if not connection.phase.waits]
        for connection in running:
            self._set_off(connection)
            connection.end.refuse(refusal)
        if running:
            self._telling.add_all(refusal.reason, running)

    def cut(self) -> None:
        """Close all connections at once."""
        for connection in [*self._inside, *self._leaving]:
            connection.end.cut()

    def see_off(self, connection: Connection) -> None:
        """It counts no more, and is about to be closed. The client has a little time for its part.

        (Over TLS, both sides say goodbye.)
        """
        self._set_off(connection)
        if len(self._leaving) > _LEAVING_MAX:
            oldest = next(iter(self._leaving))
            del self._leaving[oldest]
            oldest.end.cut()

    def forget(self, connection: Connection) -> None:
        """It is closed."""
        self._let_go(connection)
        self._leaving.pop(connection, None)

    def tell(self, connection: Connection, reason: Reason) -> None:
        """Count that a connection was closed, and why."""
        self._telling.add_all(reason, [connection])

    def _network(self, address: str | None) -> _Network | None:
        """None where everybody may come from: a proxy, a Unix socket, this computer."""
        if address is None or is_trusted(address, self._exempt):
            return None
        name = network_of(address)
        return None if name == LOOPBACK else self._networks.get(name) or _Network(name)

    def _has_room(self, network: _Network | None) -> bool:
        of_network, in_all = self.bounds.connections_per_address, self.bounds.connections
        if network is not None and 0 < of_network <= network.count:
            return self._make_room(network.waiting)
        if 0 < in_all <= len(self._inside):
            return self._make_room(self._waiting)
        return True

    def _make_room(self, waiting: dict[Connection, None]) -> bool:
        for connection in waiting:
            if not connection.end.unsent_bytes():  # else its last answer is still on its way
                self.tell(connection, Reason.MADE_ROOM)
                self._close(connection)
                return True
        return False

    def _close(self, connection: Connection) -> None:
        self.see_off(connection)
        connection.end.hang_up()

    def _set_off(self, connection: Connection) -> None:
        self._let_go(connection)
        connection.turn(Phase.LEAVING)
        self._leaving[connection] = None

    def _let_go(self, connection: Connection) -> None:
        if connection not in self._inside:
            return
        del self._inside[connection]
        for queue in connection.queues:
            queue.pop(connection, None)
        connection.queues = ()
        network = connection.network
        if network is not None:
            network.count -= 1
            if not network.count:
                del self._networks[network.name]

    def _look_later(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._timer is None:
            self._looked_at = loop.time()
            self._timer = loop.call_later(self._look_seconds, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Close what has had its time."""
        self._timer = None
        now = loop.time()
        # If we were stopped for a while ourselves, that is no client's fault.
        began = max(self._looked_at, now - 2 * self._look_seconds)
        try:
            for connection in [*self._inside, *self._leaving]:
                self._look_at(connection, now, now - max(began, connection.since))
            self._telling.write(now)
        finally:
            if self._inside or self._leaving or self._telling.has_more:
                self._look_later(loop)

    def _look_at(self, connection: Connection, now: float, seconds: float) -> None:
        """`seconds` have passed since the last look, or since its phase began."""
        bounds, phase, age = self.bounds, connection.phase, now - connection.since
        if phase is Phase.LEAVING:
            if age >= bounds.linger_seconds:
                connection.end.cut()
        elif connection.end.is_done():
            self.see_off(connection)
        elif connection.is_unread(bounds, seconds):
            self.tell(connection, Reason.UNREAD)
            connection.end.cut()
        elif phase is Phase.SILENT and age >= bounds.header_seconds:
            self.tell(connection, Reason.SILENT)
            self._close(connection)  # nobody has asked: an answer would confuse
        elif phase is Phase.HEADER and age >= bounds.header_seconds:
            self.refuse(connection, _HEADER_TOO_SLOW)
        elif phase is Phase.BODY and connection.is_body_too_slow(bounds, seconds):
            self.refuse(connection, _BODY_TOO_SLOW)
        elif (
            phase is Phase.IDLE and age >= bounds.idle_seconds and not connection.end.unsent_bytes()
        ):
            self._close(connection)


class _Telling:
    """Counts what happens, and writes at most one line in some seconds about each reason."""

    def __init__(self, told: Callable[[str], object]) -> None:
        self._told = told
        self._unwritten: Counter[Reason] = Counter()
        self._last_address: dict[Reason, str | None] = {}
        self._written_at: dict[Reason, float] = {}

    @property
    def has_more(self) -> bool:
        """Whether there is something to write yet."""
        return bool(self._unwritten)

    def add_all(self, reason: Reason, connections: Sequence[Connection]) -> None:
        """It has happened to each of these; there is one at least."""
        for _ in connections:
            self._told(reason.value)
        self._unwritten[reason] += len(connections)
        last = connections[-1]
        self._last_address[reason] = last.address
        self._write(reason, last.end.loop.time())

    def write(self, now: float) -> None:
        """Write what waits and may be written."""
        for reason in list(self._unwritten):
            self._write(reason, now)

    def _write(self, reason: Reason, now: float) -> None:
        if now - self._written_at.get(reason, -math.inf) < _LOG_SECONDS:
            return
        self._written_at[reason] = now
        count = self._unwritten.pop(reason)
        _log.log(
            logging.WARNING if reason in _WARNED_OF else logging.INFO,
            "%s: closed %d connection%s %s, the last from %s",
            *(reason.value, count, "" if count == 1 else "s", _TOLD_AS[reason]),
            self._last_address[reason] or "a Unix socket",
        )


def _shortest(bounds: Bounds) -> float:
    return min(
        bounds.header_seconds,
        bounds.body_grace_seconds,
        bounds.body_pause_seconds,
        bounds.unread_seconds,
        bounds.idle_seconds,
        bounds.linger_seconds,
    )
