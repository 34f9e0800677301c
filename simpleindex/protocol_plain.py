"""Plain requests on their way through the application: read and answered without h11.

h11 has to look closely at each header that comes and each that goes, which takes longer than most
answers do. What has to be seen to for these requests is in `wire.plain_request` and
`wire.answer_head`; here is the rest, as uvicorn does it.
"""

from collections.abc import Callable
from typing import Any

from uvicorn._types import ASGISendEvent, HTTPResponseBodyEvent, HTTPResponseStartEvent
from uvicorn.protocols.http.h11_impl import STATUS_PHRASES, RequestResponseCycle
from uvicorn.protocols.utils import get_client_addr, get_path_with_query_string

from simpleindex.errors import REASON_HEADER
from simpleindex.protocol_output import SLICE_BYTES, Output, slices
from simpleindex.wire.answer_head import write_head

_REASON = REASON_HEADER.encode()


class PlainCycle(RequestResponseCycle):
    """A plain request, and its answer."""

    def __init__(
        self,
        *args: Any,
        output: Output,
        later: Callable[[Callable[[], None]], object],
        is_last: bool,
        **kwargs: Any,
    ) -> None:
        """`later` calls something when all that is ready now has had its turn."""
        super().__init__(*args, **kwargs)
        self.more_body = False
        self.message_event.set()
        self.is_last = is_last
        """The client has asked for the connection to be closed after it."""
        self._output = output
        self._later = later
        self._of_head = self.scope["method"] == "HEAD"
        self._closes = is_last
        self._head = b""
        """It goes out with the first of the body, if that is there at once."""
        self._bytes_left: int | None = None
        """Of the body; None where it is sent in chunks."""

    async def send(self, message: ASGISendEvent) -> None:
        """Take a part of the answer."""
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        if self.response_complete:
            raise RuntimeError(f"the answer is complete, and {message['type']} comes behind it")
        if not self.response_started:
            if message["type"] != "http.response.start":
                raise RuntimeError(f"an answer began with {message['type']}")
            self._begin(message)
        elif message["type"] == "http.response.body":
            if len(message.get("body", b"")) > SLICE_BYTES:
                await self._go_on_in_slices(message)
            else:
                self._go_on(message)
        else:
            raise RuntimeError(f"{message['type']} came in the middle of an answer")

    async def send_whole(self, output: bytes) -> None:
        """Send an answer that is known from its first byte to its last."""
        self.response_started = True
        view = memoryview(output)
        for start in range(0, len(output), SLICE_BYTES):
            if self.flow.write_paused and not self.disconnected:
                await self.flow.drain()
            if self.disconnected:
                return
            self._write(view[start : start + SLICE_BYTES])
        self._finish()

    def _begin(self, message: HTTPResponseStartEvent) -> None:
        self.response_started = True
        status, phrase = message["status"], STATUS_PHRASES[message["status"]]
        headers = [*self.default_headers, *message.get("headers", ())]
        if status >= 400:
            reasons = [value for name, value in headers if name.lower() == _REASON]
            if reasons:
                phrase = reasons[0]
                headers = [header for header in headers if header[0].lower() != _REASON]
        if self.access_log:
            self.access_logger.info(
                '%s - "%s %s HTTP/%s" %d',
                *(get_client_addr(self.scope), self.scope["method"]),
                *(get_path_with_query_string(self.scope), self.scope["http_version"], status),
            )
        head = write_head(status, phrase, headers, of_head=self._of_head, is_last=self.is_last)
        self._head, self._bytes_left, self._closes = head
        self._later(self._send_head)

    def _send_head(self) -> None:
        """Send the head, if it has not gone out with some of the body, and somebody waits."""
        head, self._head = self._head, b""
        if head and not self.disconnected and not self.transport.is_closing():
            self._write(head)

    async def _go_on_in_slices(self, message: HTTPResponseBodyEvent) -> None:
        """As `in_slices` has it for h11."""
        for part in slices(message):
            await self.send(part)

    def _go_on(self, message: HTTPResponseBodyEvent) -> None:
        body = b"" if self._of_head else message.get("body", b"")
        is_end = not message.get("more_body", False)
        head, self._head = self._head, b""
        if self._bytes_left is None:
            body = _chunks(body, is_end)
        else:
            self._bytes_left -= len(body)
            if self._bytes_left < 0 or (is_end and self._bytes_left):
                raise RuntimeError("an answer is not as long as its head says")
        if head or body:
            self._write(head + body if head else body)
        if is_end:
            self._finish()

    def _finish(self) -> None:
        self.response_complete = True
        self.message_event.set()
        if self._closes or not self.keep_alive:
            self.transport.close()
        self.on_response()

    def _write(self, output: bytes | memoryview) -> None:
        self._output.add(output)
        self.transport.write(output)


def _chunks(body: bytes, is_end: bool) -> bytes:
    """A part of a body as a chunk, if there is anything in it, and the one that ends all."""
    chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
    return chunk + b"0\r\n\r\n" if is_end else chunk
