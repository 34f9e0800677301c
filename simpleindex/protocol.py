"""What uvicorn does not do for us, below ASGI. In effect under `serve` only.

ASGI has no way to say a reason phrase, and twine shows its user nothing else of a refusal; so a
refusal's line travels in a header up to here, and leaves in the status line.

And uvicorn waits for ever: for a header, for a body, for a reader. What clients may ask of us is
counted in `connections`; here is how to tell how far a request has come, and how to end it.
"""

import asyncio
import socket
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, TypeAlias, cast

import h11
from uvicorn._types import (
    ASGI3Application,
    ASGIReceiveCallable,
    ASGISendCallable,
    ASGISendEvent,
    Scope,
)
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from simpleindex.connections import Bounds, Connection, Connections, Phase, Reason, Refusal
from simpleindex.errors import REASON_HEADER
from simpleindex.hot import (
    ANSWER_BYTES_MAX,
    RECORDING_KEY,
    HotAnswers,
    Peer,
    Recording,
    may_be_kept,
)
from simpleindex.wire.browser_headers import completed

if sys.platform == "linux":
    import fcntl
    import termios

_REASON = REASON_HEADER.encode()

_SLICE_BYTES = 256 << 10
"""What a client that does not read has of an answer in our memory, and a little more."""
_KERNEL_BYTES = 256 << 10
"""What it has in the system's, beyond what is on its way; without a bound, 4 MB. Downloads on one
computer took 15 % more processor time for it, and were 10 % faster: disk and network take turns."""
_QUEUE_FIGURE = struct.Struct("i")
_LINE_BREAK = b"\n"


_Hot: TypeAlias = Callable[[], "HotAnswers | None"]
"""Tells whole answers from before, if there is anybody who keeps them now."""


def nothing_is_hot() -> None:
    """Where all requests are answered anew."""


def bounded_protocol(
    connections: Connections, hot: _Hot = nothing_is_hot
) -> type[asyncio.Protocol]:
    """What uvicorn is given as `http`, if not HTTPS is spoken (`handshake` has that)."""
    # uvicorn calls what it gets, though it says that this must be a class.
    return cast("type[asyncio.Protocol]", partial(IndexProtocol, connections=connections, hot=hot))


class IndexProtocol(H11Protocol):
    """uvicorn's HTTP/1.1 protocol on h11 (which also lets devpi's method PUSH through).

    Without `connections`, each one is alone with the usual bounds.
    """

    def __init__(
        self,
        *args: Any,
        connections: Connections | None = None,
        hot: _Hot = nothing_is_hot,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._hot = hot
        self._peer: tuple[HotAnswers, Peer] | None = None
        """What is known of the other end, by those who tell what is known."""
        self._recording: Recording | None = None
        self._connections = Connections(Bounds()) if connections is None else connections
        self.conn: _SpeakingConnection = _SpeakingConnection(self._connections.bounds)
        self.app = self._ending_quietly(_in_slices(self.app))
        self._connection: Connection = None  # type: ignore[assignment]  # until it is made

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Let a client in, or refuse it."""
        self._begin(transport)
        self._connection = self._connections.enter(self, self._address)

    def take_over(self, connection: Connection, transport: asyncio.Transport) -> None:
        """Go on with a client that was let in already, before TLS was agreed on."""
        self._begin(transport)
        self._connection = connection
        connection.end = self

    def connection_lost(self, exc: Exception | None) -> None:
        """It is closed, by whomever."""
        self._connections.forget(self._connection)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what a client sends."""
        phase = self._connection.phase
        # RFC 9112, 9.6: after `Connection: close` there is no further request.
        if phase is Phase.LEAVING or (
            phase is Phase.ANSWERING and self.conn.their_state is h11.MUST_CLOSE
        ):
            return
        self._connection.received_bytes += len(data)
        recording = None
        is_first_part = phase is Phase.IDLE or phase is Phase.SILENT
        if is_first_part:
            hot = self._hot()
            if hot is not None:
                if self._peer is None or self._peer[0] is not hot:  # there are other settings
                    self._peer = (hot, hot.peer(self.scheme, self.server, self._address))
                peer = self._peer[1]
                if self._is_answered_at_once(hot, peer, data):
                    return
                recording = hot.record((peer.kind, data))
        self.conn.may_be_too_large = (
            not is_first_part or len(data) > self._connections.bounds.header_bytes
        )
        super().data_received(data)
        if recording is not None:
            self._record(recording)

    def handle_events(self) -> None:
        """Act on all that has come and can be understood by now."""
        super().handle_events()
        if self.conn.fault is None:
            self._connection.turn(self._phase())
        elif self._connection.phase is not Phase.LEAVING:
            self._connections.refuse(self._connection, self.conn.fault)

    def on_response_complete(self) -> None:
        """Turn to the next request. As uvicorn's, but without a timer for each answer."""
        self.server_state.total_requests += 1
        if self._recording is not None:
            output = self.conn.recorded()
            if not self.transport.is_closing():  # else it says so
                self._recording.output = output
            self._recording = None
        if self.transport.is_closing():
            self._connection.turn(Phase.ANSWERING)  # what else comes of a body is of no interest
            if self.is_done():
                self._connections.see_off(self._connection)
            return
        if self.conn.our_state is h11.DONE and self.conn.their_state is h11.DONE:
            self.conn.start_next_cycle()
        self.flow.resume_reading()
        self.handle_events()

    def shutdown(self) -> None:
        """The server stops: what is running has its time, all else goes."""
        phase = self._connection.phase
        is_waiting = phase.waits and not self.unsent_bytes()
        if phase is Phase.LEAVING or is_waiting or self.is_done():
            self.cut()  # nobody waits for a goodbye over TLS
        elif not self.transport.is_closing():  # asyncio takes being told so twice badly over TLS
            super().shutdown()

    def refuse(self, refusal: Refusal) -> None:
        """Answer so, if there is still a request to answer, and hang up."""
        if self._is_answer_awaited():
            self.transport.write(self._serialised(refusal))
        cycle = self._last_cycle()
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True
            cycle.waiting_for_100_continue = False
            cycle.message_event.set()
            self.flow.resume_writing()  # nobody waits any more for what will not be sent
        if self.transport.can_write_eof():
            # To close while more is coming would reset the connection, and the client could lose
            # the answer: what comes is read, and thrown away, until it closes or its time is over.
            self.transport.write_eof()
            FlowControl.resume_reading(self.flow)
        else:
            self.hang_up()

    def hang_up(self) -> None:
        """Close the connection, which has nothing more to say."""
        if not self.transport.is_closing():
            self.transport.close()

    def cut(self) -> None:
        """Close the connection at once: an orderly end would wait for the client."""
        self.transport.abort()

    def is_done(self) -> bool:
        """Whether it has been closed, and the client has all that we had to say."""
        return self.transport.is_closing() and not self.unsent_bytes()

    def holds_client_up(self) -> bool:
        """Whether it is we who keep the client from sending more of its body."""
        return self.flow.read_paused or self.conn.they_are_waiting_for_100_continue

    def unsent_bytes(self) -> int:
        """How much of our answers still waits in our memory for the client to take it."""
        return self.transport.get_write_buffer_size()

    def taken_bytes(self) -> int:
        """How much of all our answers the client has taken, as far as the system tells."""
        waiting = self.unsent_bytes() + _kernel_queue_bytes(self.transport)
        return self.conn.produced_bytes - waiting

    def _ending_quietly(self, app: ASGI3Application) -> ASGI3Application:
        async def ended(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
            try:
                await app(scope, receive, send)
            except asyncio.CancelledError:
                # The server stops. Whoever is still there has been told so, and uvicorn, which
                # would log a traceback, needs not to be.
                if self._connection.phase is not Phase.LEAVING and not self.transport.is_closing():
                    raise

        return ended

    def _begin(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        self.flow = _PatientFlow(transport, self.conn)
        _bound_kernel_memory(transport)

    @property
    def _address(self) -> str | None:
        return self.client[0] if self.client else None

    def _is_answered_at_once(self, hot: HotAnswers, peer: Peer, request: bytes) -> bool:
        """Whether the answer to all that has come was known, and is sent.

        To be called between two requests, when nothing is left of the one before.
        """
        transport = self.transport
        answer = hot.find((peer.kind, request))
        # Who does not read what it asks for has to do with flow control.
        if answer is None or transport.get_write_buffer_size() or transport.is_closing():
            return False
        output = hot.give(answer, peer, self.loop)
        self.conn.produced_bytes += len(output)
        self.server_state.total_requests += 1
        transport.write(output)
        self._connection.answered()
        return True

    def _record(self, recording: Recording) -> None:
        """Let the request that has just come carry a recording, if all of it is understood."""
        cycle, conn = self._last_cycle(), self.conn
        if cycle is None or cycle.response_complete or conn.fault is not None:
            return
        if conn.their_state is not h11.DONE or conn.trailing_data[0]:
            return
        scope = cast(dict[str, Any], cycle.scope)
        if not may_be_kept(scope["headers"], scope["http_version"]):
            return
        scope[RECORDING_KEY] = self._recording = recording
        conn.record()

    def _phase(self) -> Phase:
        state = self.conn.their_state
        if state is h11.IDLE:
            if self.conn.trailing_data[0]:
                return Phase.HEADER
            return Phase.SILENT if self._last_cycle() is None else Phase.IDLE
        return Phase.BODY if state is h11.SEND_BODY else Phase.ANSWERING

    def _is_answer_awaited(self) -> bool:
        """Not in the middle of an answer, nor when the rest of a body comes after it."""
        cycle = self._last_cycle()
        return cycle is None or not (self.conn.has_header and cycle.response_started)

    def _last_cycle(self) -> RequestResponseCycle | None:
        """The request that came last; None before the first, which uvicorn's types conceal."""
        return self.cycle

    def _serialised(self, refusal: Refusal) -> bytes:
        body = f"{refusal.line}\n".encode()
        headers = [
            *self.server_state.default_headers,
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", b"%d" % len(body)),
            (b"cache-control", b"no-store"),
            (b"connection", b"close"),
        ]
        if refusal.retry_seconds is not None:
            headers.append((b"retry-after", b"%d" % refusal.retry_seconds))
        head = b"".join(b"%s: %s\r\n" % header for header in completed(headers))
        status_line = f"HTTP/1.1 {refusal.status} {refusal.line}\r\n".encode()
        return b"%s%s\r\n%s" % (status_line, head, body)

    def _should_upgrade(self) -> bool:
        return False  # there is nothing to upgrade to, and no reason to log that


class _SpeakingConnection(h11.Connection):
    """Turns the header with a refusal's line into the reason phrase, and requests into refusals."""

    def __init__(self, bounds: Bounds) -> None:
        super().__init__(h11.SERVER, bounds.header_bytes)
        self._bounds = bounds
        self.fault: Refusal | None = None
        """What is wrong with what came last; nothing is understood after it."""
        self.has_header = False
        """Whether a header has been understood, and the next is not due yet."""
        self.may_be_too_large = True
        """Whether headers are more than was looked at to be sure that they are small."""
        self.produced_bytes = 0
        self._small_chunks = 0
        self._record: list[bytes] | None = None
        self._recorded_bytes = 0

    def record(self) -> None:
        """Keep a copy of what is sent from now on."""
        self._record, self._recorded_bytes = [], 0

    def recorded(self) -> bytes | None:
        """What was sent since; None if that was too much."""
        record, self._record = self._record, None
        return None if record is None else b"".join(record)

    def next_event(self) -> Any:  # as h11 has it: an event, NEED_DATA or PAUSED
        """Parse. With a fault nothing more comes."""
        try:
            event = super().next_event()
        except h11.RemoteProtocolError as error:
            self.fault = self._fault_of(error)
            return h11.NEED_DATA
        if isinstance(event, h11.Request):
            self.fault = self._fault_in(event)
            self.has_header = self.fault is None
        elif isinstance(event, h11.Data) and event.chunk_start:
            self._count_chunk(len(event.data) if event.chunk_end else None)
        return event if self.fault is None else h11.NEED_DATA

    def start_next_cycle(self) -> None:
        """Turn to the next request."""
        super().start_next_cycle()
        self.has_header = False
        self._small_chunks = 0

    def send(self, event: h11.Event) -> Any:  # bytes, or None when the connection closes
        """Serialise an event."""
        if isinstance(event, h11.Response) and event.status_code >= 400:
            reason = next((value for name, value in event.headers if name == _REASON), None)
            if reason is not None:
                event = h11.Response(
                    status_code=event.status_code,
                    headers=[header for header in event.headers if header[0] != _REASON],
                    http_version=event.http_version,
                    reason=reason,
                )
        output = super().send(event)
        if output is not None:
            self.produced_bytes += len(output)
            if self._record is not None:
                self._recorded_bytes += len(output)
                self._record.append(output)
                if self._recorded_bytes > ANSWER_BYTES_MAX:
                    self._record = None
        return output

    def _fault_of(self, error: h11.RemoteProtocolError) -> Refusal:
        if self.has_header:
            line = "the request's body is malformed: its chunks are not what HTTP/1.1 says"
            return Refusal(400, line, Reason.MALFORMED)
        if error.error_status_hint == 431:
            came = self.trailing_data[0]
            return self._too_large(len(came.partition(_LINE_BREAK)[0]))
        if error.error_status_hint == 501:
            # RFC 9112, 6.1, has 501 for it; but 5xx is for what is wrong with the server.
            line = "of transfer encodings only `chunked` is understood here"
            return Refusal(400, line, Reason.MALFORMED)
        line = "the request is malformed: its first line or its headers are not what HTTP/1.1 says"
        return Refusal(400, line, Reason.MALFORMED)

    def _fault_in(self, request: h11.Request) -> Refusal | None:
        """What is wrong with a header that came whole before it was too large to wait for."""
        if self.may_be_too_large:
            lines = request.headers.raw_items()
            size = sum(len(name) + len(value) + len(": \r\n") for name, value in lines)
            if size + len(request.target) > self._bounds.header_bytes:
                return self._too_large(len(request.target))
        if len(request.headers) > self._bounds.header_count:
            line = f"the request has more than {self._bounds.header_count} headers"
            return Refusal(431, line, Reason.HEADER_TOO_LARGE)
        return None

    def _count_chunk(self, size_bytes: int | None) -> None:
        """`size_bytes`: None where more of it is to come."""
        if size_bytes is None or size_bytes >= self._bounds.small_chunk_bytes:
            return
        self._small_chunks += 1
        if self._small_chunks > self._bounds.small_chunk_count:
            line = "the request's body comes in too many small chunks"
            self.fault = Refusal(400, line, Reason.MALFORMED)

    def _too_large(self, target_bytes: int) -> Refusal:
        bytes_max = self._bounds.header_bytes
        if target_bytes > bytes_max // 2:
            line = f"the URL is too long: with the headers it may have {bytes_max} bytes"
            return Refusal(414, line, Reason.HEADER_TOO_LARGE)
        line = f"the request's headers are too large: all of them may have {bytes_max} bytes"
        return Refusal(431, line, Reason.HEADER_TOO_LARGE)


class _PatientFlow(FlowControl):
    """Reads nothing more while requests that have come already wait for their turn.

    Else each call of `receive` would let another piece in, and who sends requests without reading
    answers could fill our memory with them.
    """

    def __init__(self, transport: asyncio.Transport, conn: h11.Connection) -> None:
        super().__init__(transport)
        self._conn = conn

    def resume_reading(self) -> None:
        """Let more come in, if there is a use for it."""
        is_of_use = self._conn.their_state in (h11.IDLE, h11.SEND_BODY)
        if is_of_use or not self._conn.trailing_data[0]:
            super().resume_reading()


def _in_slices(app: ASGI3Application) -> ASGI3Application:
    """Hand large bodies over in parts, each when the client has taken most of the one before."""

    async def sliced(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        async def send_slices(message: ASGISendEvent) -> None:
            if message["type"] != "http.response.body":
                return await send(message)
            body, more_body = message.get("body", b""), message.get("more_body", False)
            if len(body) <= _SLICE_BYTES:
                return await send(message)
            for start in range(0, len(body), _SLICE_BYTES):
                end = start + _SLICE_BYTES
                await send(
                    {
                        "type": "http.response.body",
                        "body": body[start:end],
                        "more_body": more_body or end < len(body),
                    }
                )

        await app(scope, receive, send_slices)

    return sliced


def _bound_kernel_memory(transport: asyncio.Transport) -> None:
    """Keep the system from taking megabytes for each client that does not read."""
    option = getattr(socket, "TCP_NOTSENT_LOWAT", None)  # Linux and macOS have it
    own_end = transport.get_extra_info("socket")
    if option is None or own_end is None or own_end.family == getattr(socket, "AF_UNIX", None):
        return
    with suppress(OSError):  # it may be closed already
        own_end.setsockopt(socket.IPPROTO_TCP, option, _KERNEL_BYTES)


def _kernel_queue_bytes(transport: asyncio.Transport) -> int:
    """What we have handed to the system and the client has not taken; 0 where nobody tells.

    The system takes more from us only when much of this is gone: with a slow reader, perhaps after
    minutes, in which nothing else shows that it reads at all.
    """
    own_end = transport.get_extra_info("socket")
    if sys.platform != "linux" or own_end is None:
        return 0
    try:
        told = fcntl.ioctl(own_end.fileno(), termios.TIOCOUTQ, bytes(_QUEUE_FIGURE.size))
    except OSError:
        return 0
    bytes_waiting: int = _QUEUE_FIGURE.unpack(told)[0]
    return bytes_waiting
