"""Connections to the protocol without sockets, on a clock that goes when it is told to."""

import asyncio
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias, cast

import uvicorn
from starlette.types import ASGIApp
from uvicorn.server import ServerState

from simpleindex.config import parse_networks
from simpleindex.connections import Bounds, Connections
from simpleindex.handshake import Handshake, encrypted_protocol
from simpleindex.hot import HotAnswers
from simpleindex.protocol import IndexProtocol, nothing_is_plain
from simpleindex.wire.plain_request import PlainRequest, read_plain

Reader: TypeAlias = Callable[[bytes], PlainRequest | None]

READERS: dict[str, Reader] = {"plain ones by ourselves": read_plain, "by h11": nothing_is_plain}
"""How a server may read requests; a test of what does not depend on it goes through both."""

_STEP_SECONDS = 0.25
_TURNS = 5
"""How often all that is ready gets its turn, when nothing more comes in."""
_HIGH_WATER_BYTES = 64 << 10
_LOW_WATER_BYTES = 16 << 10


class Clock(asyncio.SelectorEventLoop):
    """An event loop on which time passes by `pass_time` alone."""

    _now = 1000.0

    def time(self) -> float:
        return self._now

    def pass_time(self, seconds: float, each: Callable[[], object] = lambda: None) -> None:
        """Let time pass in small steps, and do something after `each`."""
        end = self._now + seconds
        while self._now < end:
            self._now = min(self._now + _STEP_SECONDS, end)
            self.catch_up()
            each()

    def catch_up(self) -> None:
        """Do all that is due."""

        async def give_turns() -> None:
            for _ in range(_TURNS):
                await asyncio.sleep(0)

        self.run_until_complete(give_turns())


class Line(asyncio.Transport):
    """The way to one client, who reads only if it `reads`.

    With `tls`, as asyncio has it: the client must say goodbye too, and we may say it only once.
    """

    def __init__(self, clock: Clock, address: str | None, *, tls: bool = False) -> None:
        super().__init__()
        self.reads = True
        self.heard = bytearray()
        self.writes = 0
        """How often the server has written something."""
        self.is_paused = False
        self.is_lost = False
        self._clock = clock
        self._address = address
        self._tls = tls
        self._unread = bytearray()
        self._is_closing = False
        self._protocol: asyncio.BaseProtocol
        self.has_ended = False

    def connect(self, protocol: IndexProtocol | Handshake) -> None:
        """Let the server have its end."""
        self._protocol = protocol
        protocol.connection_made(self)
        self._clock.catch_up()

    def send(self, *parts: bytes) -> None:
        """Send something as a client; each part comes on its own."""
        for part in parts:
            if part and not self._is_closing:
                self._let_in(part)
            self._clock.catch_up()

    def _let_in(self, part: bytes) -> None:
        assert isinstance(self._protocol, IndexProtocol)
        self._protocol.data_received(part)

    def hang_up(self) -> None:
        """Close it as a client."""
        self.abort()
        self._clock.catch_up()

    def read(self, size_bytes: int) -> None:
        """Read this much of what the server has written."""
        self.heard += self._unread[:size_bytes]
        del self._unread[:size_bytes]
        if len(self._unread) <= _LOW_WATER_BYTES:
            self._protocol.resume_writing()
        if self._is_closing and not self._unread and not self._tls:
            self.abort()
        self._clock.catch_up()

    @property
    def is_open(self) -> bool:
        """Whether the server has neither closed it nor said that it has nothing more to say."""
        return not (self._is_closing or self.has_ended)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        if name == "peername":
            return None if self._address is None else (self._address, 40_000)
        return ("192.0.2.80", 80) if name == "sockname" else default

    def write(self, data: "bytes | bytearray | memoryview[Any]") -> None:
        assert not self.has_ended
        if self._is_closing:
            return
        self.writes += 1
        if self.reads:
            self.heard += data
            return
        self._unread += data
        if len(self._unread) > _HIGH_WATER_BYTES:
            self._protocol.pause_writing()

    def get_write_buffer_size(self) -> int:
        return len(self._unread)

    def can_write_eof(self) -> bool:
        return not self._tls

    def write_eof(self) -> None:
        assert not self._tls
        self.has_ended = True

    def pause_reading(self) -> None:
        self.is_paused = True

    def resume_reading(self) -> None:
        self.is_paused = False

    def is_closing(self) -> bool:
        return self._is_closing

    def close(self) -> None:
        assert not (self._tls and self._is_closing and not self.is_lost)
        self._is_closing = True
        if not self._unread and not self._tls:
            self.abort()

    def abort(self) -> None:
        self._is_closing = True
        if not self.is_lost:
            self.is_lost = True
            self._unread.clear()
            self._clock.call_soon(self._protocol.connection_lost, None)


class RawLine(Line):
    """The way to one client, with whom the server has to agree on TLS first."""

    _start_tls_compatible = True  # which asyncio wants to know

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._protocol

    def _let_in(self, part: bytes) -> None:
        if isinstance(self._protocol, asyncio.BufferedProtocol):
            buffer = memoryview(self._protocol.get_buffer(len(part)))
            buffer[: len(part)] = part
            self._protocol.buffer_updated(len(part))
        else:
            assert isinstance(self._protocol, asyncio.Protocol)
            self._protocol.data_received(part)

    def _force_close(self, _: Exception) -> None:
        self.abort()


class Desk:
    """A server without sockets. `reasons` are those for which it has closed connections."""

    def __init__(
        self,
        clock: Clock,
        app: ASGIApp,
        bounds: Bounds,
        *,
        exempt: tuple[str, ...],
        hot: HotAnswers | None,
        reader: Reader,
    ) -> None:
        self.clock = clock
        self.reasons: list[str] = []
        self.connections = Connections(bounds, parse_networks(exempt), self.reasons.append)
        self._config = uvicorn.Config(
            app, lifespan="off", log_config=None, ws="none", proxy_headers=False
        )
        self._state = ServerState()
        self._hot = hot
        self._reader = reader
        self._lines: list[Line] = []

    def connect(self, *sent: bytes, address: str | None = "192.0.2.1", tls: bool = False) -> Line:
        """A new client, which has sent this."""
        line = Line(self.clock, address, tls=tls)
        self._lines.append(line)
        line.connect(
            IndexProtocol(
                self._config,
                self._state,
                {},
                self.clock,
                connections=self.connections,
                hot=lambda: self._hot,
                read_plain=self._reader,
            )
        )
        line.send(*sent)
        return line

    def take_over(self, hot: HotAnswers) -> None:
        """Have other settings, as after a SIGHUP."""
        self._hot = hot

    def tell_date(self, date: str) -> None:
        """Let answers have a date, as uvicorn does each second."""
        self._state.default_headers = [(b"date", date.encode())]

    def connect_raw(
        self, context: ssl.SSLContext, *sent: bytes, address: str | None = "192.0.2.1"
    ) -> RawLine:
        """A new client, which has sent this, of a server of HTTPS."""
        line = RawLine(self.clock, address)
        self._lines.append(line)
        line.connect(self.raw_protocol(context))
        line.send(*sent)
        return line

    def raw_protocol(self, context: ssl.SSLContext) -> Handshake:
        """The server's end of a connection over which TLS has to be agreed on."""
        made = cast(Any, encrypted_protocol(self.connections, lambda: context))
        given = {"config": self._config, "server_state": self._state, "app_state": {}}
        protocol: Handshake = made(**given, _loop=self.clock)
        return protocol

    def close(self) -> None:
        """All clients leave."""
        for line in self._lines:
            line.abort()
        self.clock.catch_up()

    def give_up(self) -> None:
        """Cancel the requests that are running, as a stop does in the end."""
        for task in self._state.tasks:
            task.cancel()
        self.clock.catch_up()

    def stop(self) -> None:
        """As uvicorn does when it is told to."""
        for connection in list(self._state.connections):
            connection.shutdown()
        self.clock.catch_up()


_usual_reader: list[Reader] = [read_plain]


@contextmanager
def requests_read(reader: Reader) -> Iterator[None]:
    """Let desks that are made in the block read requests so."""
    _usual_reader.append(reader)
    try:
        yield
    finally:
        _usual_reader.pop()


@contextmanager
def a_desk(
    app: ASGIApp,
    *,
    exempt: tuple[str, ...] = (),
    hot: HotAnswers | None = None,
    **bounds: float,
) -> Iterator[Desk]:
    """A server for the time of the block, with the usual bounds but for those that are given."""
    clock = Clock()
    asyncio.set_event_loop(clock)
    held = Bounds(**bounds)  # type: ignore[arg-type]  # whole ones
    desk = Desk(clock, app, held, exempt=exempt, hot=hot, reader=_usual_reader[-1])
    try:
        yield desk
    finally:
        desk.close()
        for task in asyncio.all_tasks(clock):
            task.cancel()
        clock.catch_up()
        asyncio.set_event_loop(None)
        clock.close()
