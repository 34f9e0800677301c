"""What uvicorn does not do for us, below ASGI. In effect under `serve` only.

ASGI has no way to say a reason phrase, and twine shows its user nothing else of a refusal; so a
refusal's line travels in a header up to here, and leaves in the status line.

And uvicorn waits for ever: for a header, for a body, for a reader. What clients may ask of us is
counted in `connections`; here is how to tell how far a request has come, and how to end it.

Of three ways through here each request takes the shortest: an answer that is known is given at
once (`hot`); a plain request that has come in one piece goes to the application past h11
(`protocol_plain`); and h11 has all others, and all that is no request.
"""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, TypeAlias, cast
from urllib.parse import unquote

import h11
from uvicorn._types import ASGI3Application, ASGIReceiveCallable, ASGISendCallable, Scope
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from simpleindex.connections import Bounds, Connection, Connections, Phase, Refusal
from simpleindex.hot import RECORDING_KEY, HotAnswers, Peer, Recording, may_be_kept
from simpleindex.protocol_h11 import SpeakingConnection
from simpleindex.protocol_output import (
    SLICE_BYTES,
    Output,
    PatientFlow,
    bound_kernel_memory,
    in_slices,
    kernel_queue_bytes,
)
from simpleindex.protocol_plain import PlainCycle
from simpleindex.wire.browser_headers import completed
from simpleindex.wire.plain_request import PlainRequest, read_plain

_Hot: TypeAlias = Callable[[], "HotAnswers | None"]
"""Tells whole answers from before, if there is anybody who keeps them now."""


_ReadPlain: TypeAlias = Callable[[bytes], PlainRequest | None]
"""Tells the request that has come, if it is a plain one."""

_IDLE, _SILENT = Phase.IDLE, Phase.SILENT
"""Members of an enumeration take their time to be looked up."""


def nothing_is_hot() -> None:
    """Where all requests are answered anew."""


def nothing_is_plain(sent: bytes) -> None:
    """Where h11 reads all requests."""


def bounded_protocol(
    connections: Connections, hot: _Hot = nothing_is_hot
) -> type[asyncio.Protocol]:
    """What uvicorn is given as `http`, if not HTTPS is spoken (`handshake` has that)."""
    # uvicorn calls what it gets, though it says that this must be a class.
    return cast("type[asyncio.Protocol]", partial(IndexProtocol, connections=connections, hot=hot))


class IndexProtocol(H11Protocol):
    """uvicorn's HTTP/1.1 protocol on h11 (which also lets devpi's method PUSH through).

    Without `connections`, each one is alone with the usual bounds. `read_plain` tells which
    requests h11 need not see.
    """

    def __init__(
        self,
        *args: Any,
        connections: Connections | None = None,
        hot: _Hot = nothing_is_hot,
        read_plain: _ReadPlain = read_plain,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._hot = hot
        self._peer: tuple[HotAnswers, Peer] | None = None
        """What is known of the other end, by those who tell what is known."""
        self._recording: Recording | None = None
        self._connections = Connections(Bounds()) if connections is None else connections
        self._output = Output()
        self.conn: SpeakingConnection = SpeakingConnection(self._connections.bounds, self._output)
        self._read_plain = read_plain if self._is_uvicorn_plain() else nothing_is_plain
        self._plain: PlainCycle | None = None
        """The request that is being answered, if h11 has not seen it. What comes meanwhile waits
        with h11, which sees nothing of it before."""
        self._plain_app = self._ending_quietly(self.app)
        self.app = self._ending_quietly(in_slices(self.app))
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
        connection = self._connection
        phase = connection.phase
        if phase is _IDLE or phase is _SILENT:
            connection.received_bytes += len(data)
            self._take_first_part(data)
            return
        # RFC 9112, 9.6: after `Connection: close` there is no further request.
        if phase is Phase.LEAVING or (phase is Phase.ANSWERING and self._was_last()):
            return
        connection.received_bytes += len(data)
        self.conn.may_be_too_large = True
        if self._plain is None:
            super().data_received(data)
        else:
            self.conn.receive_data(data)
            self.flow.pause_reading()

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
            output = self._output.recorded()
            if not self.transport.is_closing():  # else it says so
                self._recording.output = output
            self._recording = None
        if self.transport.is_closing():
            self._connection.turn(Phase.ANSWERING)  # what else comes of a body is of no interest
            if self.is_done():
                self._connections.see_off(self._connection)
            return
        was_plain, self._plain = self._plain is not None, None
        if self.conn.our_state is h11.DONE and self.conn.their_state is h11.DONE:
            self.conn.start_next_cycle()
        self.flow.resume_reading()
        if was_plain and not self.conn.has_more:
            self._connection.turn(Phase.IDLE)
        else:
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
        waiting = self.unsent_bytes() + kernel_queue_bytes(self.transport)
        return self._output.produced_bytes - waiting

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
        self.flow = PatientFlow(transport, self._is_more_of_use)
        bound_kernel_memory(transport)

    @property
    def _address(self) -> str | None:
        return self.client[0] if self.client else None

    def _is_uvicorn_plain(self) -> bool:
        """Whether uvicorn has not been told to do more for each request than we do ourselves."""
        config = self.config
        return config.limit_concurrency is None and not getattr(config, "reset_contextvars", False)

    def _was_last(self) -> bool:
        """Whether the client has asked for the connection to be closed after its request."""
        if self._plain is not None:
            return self._plain.is_last
        return self.conn.their_state is h11.MUST_CLOSE

    def _is_more_of_use(self) -> bool:
        """Whether anything would become of what else comes in."""
        is_read = self._plain is None and self.conn.their_state in (h11.IDLE, h11.SEND_BODY)
        return is_read or not self.conn.has_more

    def _take_first_part(self, data: bytes) -> None:
        """Take what comes between two requests, when nothing is left of the one before."""
        hot = self._hot()
        if hot is not None:
            if self._peer is None or self._peer[0] is not hot:  # there are other settings
                self._peer = (hot, hot.peer(self.scheme, self.server, self._address))
            if self._is_read_at_once():
                answer = hot.answer_to(self._peer[1], data, self.loop)
                if answer is not None:
                    self._answer_at_once(answer)
                    return
        bounds = self._connections.bounds
        is_small = len(data) <= bounds.header_bytes
        plain = self._read_plain(data) if is_small else None
        if plain is not None and len(plain.headers) > bounds.header_count:
            plain = None
        recording = None
        if hot is not None and self._peer is not None:
            if plain is not None and self._is_read_at_once():
                answer = hot.answer_to_like(self._peer[1], data, plain, self.loop)
                if answer is not None:
                    self._answer_at_once(answer)
                    return
            recording = hot.record(self._peer[1], data, plain)
        if plain is not None:
            self._answer_plain(plain, recording)
            return
        self.conn.may_be_too_large = not is_small
        super().data_received(data)
        if recording is not None:
            self._record(recording)

    def _answer_plain(self, request: PlainRequest, recording: Recording | None) -> None:
        """Let the application answer. The scope is that which uvicorn makes of h11's request."""
        raw_path, _, query_string = request.target.partition(b"?")
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": self.asgi_version, "spec_version": "2.3"},
            "http_version": "1.1",
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme,
            "method": request.method,
            "root_path": self.root_path,
            "path": self.root_path + unquote(raw_path.decode("ascii")),
            "raw_path": self.root_path.encode("ascii") + raw_path,
            "query_string": query_string,
            "headers": request.headers,
            "state": self.app_state.copy(),
        }
        if recording is not None:
            self._begin_recording(recording, scope)
        plain = self._answer_with(scope, is_last=request.is_last)
        self._begin_task(plain.run_asgi(self._plain_app))

    def _answer_with(self, scope: dict[str, Any], *, is_last: bool) -> PlainCycle:
        """Begin to answer a request that h11 has not seen."""
        self.cycle = self._plain = plain = PlainCycle(
            scope=scope,
            conn=self.conn,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=self.access_log,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            on_response=self.on_response_complete,
            output=self._output,
            later=self.loop.call_soon,
            is_last=is_last,
        )
        self._connection.turn(Phase.ANSWERING)
        return plain

    def _begin_task(self, work: Coroutine[Any, Any, None]) -> None:
        task = self.loop.create_task(work)
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    def _is_read_at_once(self) -> bool:
        """Whether the client has taken all so far. Who does not has to do with flow control."""
        return not (self.transport.get_write_buffer_size() or self.transport.is_closing())

    def _answer_at_once(self, answer: bytes) -> None:
        """Send an answer that is known."""
        if len(answer) > SLICE_BYTES:
            plain = self._answer_with({"type": "http", "method": "GET"}, is_last=False)
            self._begin_task(plain.send_whole(answer))
            return
        self._output.produced_bytes += len(answer)  # nothing is recorded between two requests
        self.server_state.total_requests += 1
        self.transport.write(answer)
        self._connection.answered()

    def _record(self, recording: Recording) -> None:
        """Let the request that has just come carry a recording, if all of it is understood."""
        cycle, conn = self._last_cycle(), self.conn
        if cycle is None or cycle.response_complete or conn.fault is not None:
            return
        if conn.their_state is h11.DONE and not conn.has_more:
            self._begin_recording(recording, cast(dict[str, Any], cycle.scope))

    def _begin_recording(self, recording: Recording, scope: dict[str, Any]) -> None:
        if may_be_kept(scope["headers"], scope["http_version"]):
            scope[RECORDING_KEY] = self._recording = recording
            self._output.record(recording)

    def _phase(self) -> Phase:
        state = self.conn.their_state
        if state is h11.IDLE:
            if self.conn.has_more:
                return Phase.HEADER
            return Phase.SILENT if self._last_cycle() is None else Phase.IDLE
        return Phase.BODY if state is h11.SEND_BODY else Phase.ANSWERING

    def _is_answer_awaited(self) -> bool:
        """Not in the middle of an answer, nor when the rest of a body comes after it."""
        cycle = self._last_cycle()
        is_known = self._plain is not None or self.conn.has_header
        return cycle is None or not (is_known and cycle.response_started)

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
