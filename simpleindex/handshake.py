"""The TLS handshake, within the bounds on slow and greedy clients. In effect under `serve` only.

By itself asyncio lets a handshake take a minute, and tells of a connection only when that is done:
until then nobody would count it, and clients that say nothing could take all open files. So here
a connection is let in as soon as it is made, and its time runs from then; TLS is agreed on after
that, and then `IndexProtocol` goes on with the same connection.
"""

import asyncio
import ssl
from collections.abc import Callable
from functools import partial
from typing import Any, cast

from uvicorn.protocols.utils import get_remote_addr
from uvicorn.server import ServerState

from simpleindex.connections import Connection, Connections, Phase, Reason, Refusal
from simpleindex.hot import HotAnswers
from simpleindex.protocol import IndexProtocol, nothing_is_hot


def encrypted_protocol(
    connections: Connections,
    context: Callable[[], ssl.SSLContext],
    hot: Callable[[], HotAnswers | None] = nothing_is_hot,
) -> type[asyncio.Protocol]:
    """What uvicorn is given as `http` for HTTPS; it must know of no certificate itself.

    `context` tells what is served with from now on; it is asked for each connection.
    """

    def made(
        *, server_state: ServerState, _loop: asyncio.AbstractEventLoop | None = None, **given: Any
    ) -> Handshake:
        inner = partial(IndexProtocol, server_state=server_state, _loop=_loop, **given)
        return Handshake(
            partial(inner, connections=connections, hot=hot),
            connections,
            context(),
            server_state,
            _loop or asyncio.get_event_loop(),
        )

    # uvicorn calls what it gets, though it says that this must be a class.
    return cast("type[asyncio.Protocol]", made)


class Handshake(asyncio.Protocol):
    """A connection on which TLS is being agreed on."""

    def __init__(
        self,
        inner: Callable[[], IndexProtocol],
        connections: Connections,
        context: ssl.SSLContext,
        server_state: ServerState,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        """`inner` makes the protocol that speaks when the handshake is done."""
        self.loop = loop
        self._inner = inner
        self._connections = connections
        self._context = context
        self._open = cast("set[object]", server_state.connections)
        """What uvicorn waits for when it stops, and first tells so."""
        self._transport: asyncio.Transport = None  # type: ignore[assignment]  # until it is made
        self._connection: Connection = None  # type: ignore[assignment]  # until it is made
        self._task: asyncio.Task[None] | None = None
        self._refusal: Refusal | None = None
        self._early = bytearray()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn's are such
        """Let a client in, or remember that it is to be refused."""
        self._transport = transport
        client = get_remote_addr(transport)
        self._open.add(self)
        self._connection = self._connections.enter(self, client[0] if client else None)
        self._task = self.loop.create_task(self._shake_hands())

    def data_received(self, data: bytes) -> None:
        """Keep what comes before TLS has begun: uvloop reads as soon as a connection is made."""
        self._early += data

    def shutdown(self) -> None:
        """The server stops: no request is running here."""
        self.cut()

    def refuse(self, refusal: Refusal) -> None:
        """Answer so when it can be understood. Until then the client has the time to take it."""
        self._refusal = refusal

    def hang_up(self) -> None:
        """Close the connection."""
        self.cut()

    def cut(self) -> None:
        """Close the connection at once."""
        self._transport.abort()

    def is_done(self) -> bool:
        """Whether it has been closed."""
        return self._transport.is_closing()

    def holds_client_up(self) -> bool:
        """Whether the client has to wait for us."""
        return False

    def unsent_bytes(self) -> int:
        """How much of our answers waits: there is none yet."""
        return 0

    def taken_bytes(self) -> int:
        """How much of our answers the client has taken."""
        return 0

    async def _shake_hands(self) -> None:
        kept, encrypted = _Kept(), None
        try:
            encrypted = await self._encrypted(kept)
        finally:
            self._open.discard(self)
            if encrypted is None:
                self._connections.forget(self._connection)
        if encrypted is not None:
            self._hand_over(encrypted, kept)

    async def _encrypted(self, kept: "_Kept") -> asyncio.Transport | None:
        """The way to a client that speaks TLS; None if it does not, or has gone, or was cut."""
        if self._transport.is_closing():
            return None
        if self._early:
            self.loop.call_soon(self._pass_on)  # before all that `start_tls` lets be called so
        try:
            encrypted = await self.loop.start_tls(
                self._transport,
                kept,
                self._context,
                server_side=True,
                # The bounds end it before, and count it.
                ssl_handshake_timeout=2 * self._connections.bounds.header_seconds,
            )
        except ssl.SSLError:  # no TLS, none that we speak, or the client does not trust us
            if self._connection.phase is not Phase.LEAVING:
                self._connections.tell(self._connection, Reason.HANDSHAKE_FAILED)
            return None
        except OSError:
            return None
        if encrypted is not None and self._transport.is_closing():
            encrypted.abort()
            return None
        return encrypted

    def _pass_on(self) -> None:
        """Let asyncio's TLS find what has come before it. It looks when it begins."""
        within = cast(asyncio.BufferedProtocol, self._transport.get_protocol())
        while self._early:
            room = memoryview(within.get_buffer(len(self._early)))
            part = self._early[: len(room)]
            room[: len(part)] = part
            within.buffer_updated(len(part))
            del self._early[: len(part)]

    def _hand_over(self, encrypted: asyncio.Transport, kept: "_Kept") -> None:
        protocol = self._inner()
        encrypted.set_protocol(protocol)
        protocol.take_over(self._connection, encrypted)
        if self._refusal is not None:
            protocol.refuse(self._refusal)
        elif kept.received:
            protocol.data_received(bytes(kept.received))
        if kept.has_ended:
            protocol.eof_received()


class _Kept(asyncio.Protocol):
    """Keeps what comes over TLS before somebody is there to whom it can be given."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.has_ended = False

    def data_received(self, data: bytes) -> None:
        self.received += data

    def eof_received(self) -> None:
        self.has_ended = True
