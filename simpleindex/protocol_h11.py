"""HTTP/1.1 as h11 speaks it, with our bounds, and our words for what is wrong."""

from typing import Any

import h11

from simpleindex.connections import Bounds, Reason, Refusal
from simpleindex.errors import REASON_HEADER
from simpleindex.protocol_output import Output

_REASON = REASON_HEADER.encode()
_LINE_BREAK = b"\n"


class SpeakingConnection(h11.Connection):
    """Turns the header with a refusal's line into the reason phrase, and requests into refusals."""

    def __init__(self, bounds: Bounds, output: Output) -> None:
        super().__init__(h11.SERVER, bounds.header_bytes)
        self._bounds = bounds
        self._output = output
        self.fault: Refusal | None = None
        """What is wrong with what came last; nothing is understood after it."""
        self.has_header = False
        """Whether a header has been understood, and the next is not due yet."""
        self.may_be_too_large = True
        """Whether headers are more than was looked at to be sure that they are small."""
        self._small_chunks = 0

    @property
    def has_more(self) -> bool:
        """Whether something has come that is not understood yet."""
        return bool(self.trailing_data[0])

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
            self._output.add(output)
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
        """What is wrong with a header that came whole."""
        if not request.http_version.startswith(b"1."):
            # RFC 9110, 2.5, has 505 for it; but 5xx is for what is wrong with the server.
            line = "only HTTP/1.1 and HTTP/1.0 are understood here"
            return Refusal(400, line, Reason.MALFORMED)
        if self.may_be_too_large:  # it was so before that could be known
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
