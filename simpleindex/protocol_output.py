"""What goes out over a connection, and what comes in meanwhile: in amounts that can be borne."""

import asyncio
import socket
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress

from uvicorn._types import (
    ASGI3Application,
    ASGIReceiveCallable,
    ASGISendCallable,
    ASGISendEvent,
    HTTPResponseBodyEvent,
    Scope,
)
from uvicorn.protocols.http.flow_control import FlowControl

from simpleindex.hot import ANSWER_BYTES_MAX, Recording

if sys.platform == "linux":
    import fcntl
    import termios

SLICE_BYTES = 256 << 10
"""What a client that does not read has of an answer in our memory, and a little more."""
_KERNEL_BYTES = 256 << 10
"""What it has in the system's, beyond what is on its way; without a bound, 4 MB. Downloads on one
computer took 15 % more processor time for it, and were 10 % faster: disk and network take turns."""
_QUEUE_FIGURE = struct.Struct("i")


class Output:
    """What has gone out over one connection: how much it was, and a copy where one is wanted."""

    __slots__ = ("_record", "_recorded_bytes", "_recording", "produced_bytes")

    def __init__(self) -> None:
        self.produced_bytes = 0
        self._recording: Recording | None = None
        self._record: list[bytes | memoryview] | None = None
        self._recorded_bytes = 0

    def add(self, output: bytes | memoryview) -> None:
        """This goes out now."""
        self.produced_bytes += len(output)
        if self._record is not None and self._recording is not None:
            self._recorded_bytes += len(output)
            self._record.append(output)
            # What is known by now to be good for this once must not fill the memory.
            if self._recorded_bytes > ANSWER_BYTES_MAX or self._recording.standing is None:
                self._record = None

    def record(self, recording: Recording) -> None:
        """Keep a copy of the answer that goes out from now on, if its door says that it stands.

        It says so before it sends anything.
        """
        self._recording, self._record, self._recorded_bytes = recording, [], 0

    def recorded(self) -> bytes | None:
        """What has gone out since; None if that was too much."""
        record, self._record, self._recording = self._record, None, None
        return None if record is None else b"".join(record)


class PatientFlow(FlowControl):
    """Reads nothing more while requests that have come already wait for their turn.

    Else each call of `receive` would let another piece in, and who sends requests without reading
    answers could fill our memory with them.
    """

    def __init__(self, transport: asyncio.Transport, is_more_of_use: Callable[[], bool]) -> None:
        super().__init__(transport)
        self._is_more_of_use = is_more_of_use

    def resume_reading(self) -> None:
        """Let more come in, if there is a use for it."""
        if self._is_more_of_use():
            super().resume_reading()


def slices(message: HTTPResponseBodyEvent) -> Iterator[HTTPResponseBodyEvent]:
    """A body, in parts of which none is large."""
    body, more_body = message.get("body", b""), message.get("more_body", False)
    for start in range(0, len(body), SLICE_BYTES):
        end = start + SLICE_BYTES
        yield {
            "type": "http.response.body",
            "body": body[start:end],
            "more_body": more_body or end < len(body),
        }


def in_slices(app: ASGI3Application) -> ASGI3Application:
    """Hand large bodies over in parts, each when the client has taken most of the one before."""

    async def sliced(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        async def send_slices(message: ASGISendEvent) -> None:
            if message["type"] != "http.response.body":
                return await send(message)
            if len(message.get("body", b"")) <= SLICE_BYTES:
                return await send(message)
            for part in slices(message):
                await send(part)

        await app(scope, receive, send_slices)

    return sliced


def bound_kernel_memory(transport: asyncio.Transport) -> None:
    """Keep the system from taking megabytes for each client that does not read."""
    option = getattr(socket, "TCP_NOTSENT_LOWAT", None)  # Linux and macOS have it
    own_end = transport.get_extra_info("socket")
    if option is None or own_end is None or own_end.family == getattr(socket, "AF_UNIX", None):
        return
    with suppress(OSError):  # it may be closed already
        own_end.setsockopt(socket.IPPROTO_TCP, option, _KERNEL_BYTES)


def kernel_queue_bytes(transport: asyncio.Transport) -> int:
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
