"""Sends the answers of the hostile upstream byte by byte, from a thread with a loop of its own."""

import asyncio
import contextlib
import select
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any, Literal, TypeVar

from tests.hostile.answers import BEFORE_HEAD, Delivery, Framing, Reply, Request
from tests.hostile.request_log import Asked, RequestLog

Answerer = Callable[[Request], Reply]

_T = TypeVar("_T")

_BLOCK_BYTES = 1 << 18
_TICK_SECONDS = 0.005
_COMMAND_SECONDS_MAX = 30.0
_LOOK_SECONDS = 0.2
_BACKLOG = 1024
_HEAD_BYTES_MAX = 1 << 16
_NO_BODY = (204, 304)
_ABORT_WITH_RESET = struct.pack("ii", 1, 0)


class Listener:
    """Answers on one port of 127.0.0.1, which it keeps while it is unplugged, too."""

    def __init__(self, answerer: Answerer, log: RequestLog) -> None:
        self._answerer = answerer
        self._log = log
        self._open: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._server: asyncio.Server | None = None
        self._socket = _bound_socket(0)
        self.port: int = self._socket.getsockname()[1]
        self.connections_made = 0
        self.faults: list[BaseException] = []
        """What went wrong in here, as opposed to what was meant to."""
        self._in_the_way: list[socket.socket] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="hostile upstream", daemon=True
        )
        self._thread.start()

    def plug_in(self) -> None:
        """Take connections."""
        if self._in_the_way:
            self.unplug()
        self._do(self._listen())

    def unplug(self) -> None:
        """Drop all connections and refuse new ones."""
        self._do(self._leave())
        self._socket = _bound_socket(self.port)

    def go_deaf(self) -> None:
        """Drop all connections and leave attempts to connect without an answer."""
        self.unplug()
        self._socket.listen(0)
        while _is_connected(filler := _connecting_socket(self.port)):
            self._in_the_way.append(filler)
        self._in_the_way.append(filler)

    def close(self) -> None:
        """End for good."""
        self._do(self._leave())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_COMMAND_SECONDS_MAX)
        self._loop.close()

    def _do(self, command: Coroutine[Any, Any, _T]) -> _T:
        future = asyncio.run_coroutine_threadsafe(command, self._loop)
        return future.result(_COMMAND_SECONDS_MAX)

    async def _listen(self) -> None:
        # A factory and not `start_server`, as the protocol has to tell when a client goes away.
        self._server = await self._loop.create_server(
            lambda: _Connection(self._serve, self._loop), sock=self._socket, backlog=_BACKLOG
        )

    async def _leave(self) -> None:
        if self._server is not None:
            self._server.close()
        self._socket.close()
        tasks = dict(self._open)
        for task, writer in tasks.items():
            writer.transport.abort()
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._server is not None:
            await self._server.wait_closed()
        self._server = None
        for filler in self._in_the_way:
            filler.close()
        self._in_the_way.clear()
        await asyncio.sleep(0)  # transports close their sockets in the next turn of the loop

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.connections_made += 1
        self._open[task] = writer
        try:
            # Waiting for the write buffer to be empty is what makes `bytes_sent` true.
            writer.transport.set_write_buffer_limits(high=0)
            while await self._answer_one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client has gone
        except asyncio.CancelledError:
            pass  # we have
        except Exception as fault:
            self.faults.append(fault)
        finally:
            del self._open[task]
            writer.close()

    async def _answer_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Whether the connection can go on."""
        request = await _read_request(reader)
        asked = self._log.add(request)
        whole = False
        try:
            reply = self._answerer(request)
            whole = await _Sending(request, reply, asked, writer).send()
        finally:
            self._log.end(asked, whole=whole)
        return whole and _may_go_on(request, reply.delivery)


class _Connection(asyncio.StreamReaderProtocol):
    """Tells when the client has gone, also while nothing is read or written."""

    def __init__(
        self,
        serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.gone = asyncio.Event()
        reader = asyncio.StreamReader(limit=_HEAD_BYTES_MAX, loop=loop)
        super().__init__(reader, serve, loop=loop)

    def eof_received(self) -> bool | None:
        self.gone.set()
        return super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone.set()
        super().connection_lost(exc)


class _Sending:
    """One answer on its way."""

    def __init__(
        self, request: Request, reply: Reply, asked: Asked, writer: asyncio.StreamWriter
    ) -> None:
        self._reply = reply
        self._delivery = reply.delivery
        self._asked = asked
        self._writer = writer
        self._without_body = request.method == "HEAD" or reply.status in _NO_BODY
        protocol = writer.transport.get_protocol()
        assert isinstance(protocol, _Connection)
        self._gone = protocol.gone

    async def send(self) -> bool:
        """Whether all of it went out. Raises ConnectionError when the client goes away."""
        await self._pause_at(BEFORE_HEAD)
        if self._delivery.raw is not None:
            await self._write(self._delivery.raw)
            self._maybe_reset()
            return False
        self._asked.status = self._reply.status
        await self._send_head()
        if self._without_body:
            return True
        return await self._send_body()

    async def _send_head(self) -> None:
        head = _head(self._reply)
        if not self._delivery.head_too:
            await self._write(head)
            return
        for start, stop in _steps(len(head), _tick_bytes(self._delivery)):
            await self._write(head[start:stop])
            await asyncio.sleep((stop - start) / (self._delivery.bytes_per_second or 1.0))

    async def _send_body(self) -> bool:
        body, delivery = self._reply.body, self._delivery
        size_bytes = body.size_bytes
        end = size_bytes
        if delivery.cut_after_bytes is not None:
            end = min(end, delivery.cut_after_bytes)
        pace = _Pace(delivery)
        sent = 0
        while True:
            await self._pause_at(sent)
            if sent == end:
                break
            due = await pace.due_bytes(sent)
            stop = min(sent + due, end, *(at for at in self._places() if at > sent))
            part = body.part(sent, stop)
            await self._write(_chunk(part) if delivery.framing is Framing.CHUNKED else part)
            sent = self._asked.bytes_sent = stop
        if end < size_bytes or delivery.cut_after_bytes == size_bytes:
            self._maybe_reset()
            return False
        if delivery.framing is Framing.CHUNKED:
            await self._write(b"0\r\n\r\n")
        return True

    def _places(self) -> list[int]:
        return [pause.at_byte for pause in self._delivery.pauses]

    async def _pause_at(self, place: int) -> None:
        for pause in self._delivery.pauses:
            if pause.at_byte == place:
                await _until(pause.until, self._gone)

    async def _write(self, content: bytes | memoryview) -> None:
        self._writer.write(content)
        await self._writer.drain()

    def _maybe_reset(self) -> None:
        if self._delivery.reset:
            raw = self._writer.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT_WITH_RESET)
            self._writer.transport.abort()


class _Pace:
    """How much may be sent by now. Steady from the first byte on: lost time is made up for."""

    def __init__(self, delivery: Delivery) -> None:
        self._bytes_per_second = delivery.bytes_per_second
        self._tick_bytes = _tick_bytes(delivery)
        self._loop = asyncio.get_running_loop()
        self._started = self._loop.time()

    async def due_bytes(self, sent: int) -> int:
        if self._bytes_per_second is None:
            return _BLOCK_BYTES
        while True:
            passed = self._loop.time() - self._started
            due = int(passed * self._bytes_per_second) - sent
            if due >= self._tick_bytes:
                return min(due, _BLOCK_BYTES)
            await asyncio.sleep((sent + self._tick_bytes) / self._bytes_per_second - passed)


def _bound_socket(port: int) -> socket.socket:
    """A socket that holds a port. Until it listens, whoever connects is refused."""
    # asyncio switches Nagle's algorithm off only for sockets that name their protocol.
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind(("127.0.0.1", port))
    return bound


def _connecting_socket(port: int) -> socket.socket:
    connecting = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    connecting.setblocking(False)
    connecting.connect_ex(("127.0.0.1", port))
    return connecting


def _is_connected(connecting: socket.socket) -> bool:
    return bool(select.select([], [connecting], [], _LOOK_SECONDS)[1])


async def _read_request(reader: asyncio.StreamReader) -> Request:
    head = await reader.readuntil(b"\r\n\r\n")
    request_line, *lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    method, target, version = request_line.split(" ")
    headers: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        name, value = name.lower(), value.strip()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    if version == "HTTP/1.0":
        headers.setdefault("connection", "close")
    await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(method, target, headers)


def _may_go_on(request: Request, delivery: Delivery) -> bool:
    return (
        delivery.framing is not Framing.CLOSE
        and delivery.declared_bytes is None
        and request.headers.get("connection", "").lower() != "close"
    )


def _head(reply: Reply) -> bytes:
    try:
        phrase = HTTPStatus(reply.status).phrase
    except ValueError:
        phrase = "Whatever"
    headers = dict(reply.headers)
    if reply.delivery.framing is Framing.CHUNKED:
        headers["Transfer-Encoding"] = "chunked"
    elif reply.delivery.framing is Framing.CLOSE:
        headers["Connection"] = "close"
    elif reply.status not in _NO_BODY:
        declared = reply.delivery.declared_bytes
        headers["Content-Length"] = str(reply.body.size_bytes if declared is None else declared)
    lines = [f"{name}: {value}\r\n" for name, value in headers.items()]
    return f"HTTP/1.1 {reply.status} {phrase}\r\n{''.join(lines)}\r\n".encode("latin-1")


def _tick_bytes(delivery: Delivery) -> int:
    if delivery.bytes_per_second is None:
        return _BLOCK_BYTES
    return max(1, int(delivery.bytes_per_second * _TICK_SECONDS))


def _steps(size: int, step: int) -> list[tuple[int, int]]:
    return [(start, min(start + step, size)) for start in range(0, size, step)]


def _chunk(part: bytes | memoryview) -> bytes:
    return b"%x\r\n%b\r\n" % (len(part), bytes(part))


async def _until(event: threading.Event | None, gone: asyncio.Event) -> None:
    """Wait for a test. Raises ConnectionError when the client goes away first."""
    given_up = threading.Event()
    waiting_for = {asyncio.create_task(gone.wait())}
    if event is not None:
        waiting_for.add(asyncio.create_task(_set_by_test(event, given_up)))
    try:
        await asyncio.wait(waiting_for, return_when=asyncio.FIRST_COMPLETED)
    finally:
        given_up.set()
        for task in waiting_for:
            task.cancel()
    if event is None or not event.is_set():
        raise ConnectionResetError("the client has gone")


async def _set_by_test(event: threading.Event, given_up: threading.Event) -> Literal[True]:
    loop = asyncio.get_running_loop()
    is_set = asyncio.Event()

    def wait() -> None:
        while not event.wait(_LOOK_SECONDS):
            if given_up.is_set():
                return
        with contextlib.suppress(RuntimeError):  # the upstream has been closed
            loop.call_soon_threadsafe(is_set.set)

    threading.Thread(target=wait, name="waiting for a test", daemon=True).start()
    return await is_set.wait()
