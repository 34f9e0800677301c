"""Bytes to a server and its answers back, read strictly: what HTTP libraries refuse to send.

with Line(port) as line:
    answer = line.ask(b"GET / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n", "GET")
"""

import re
import socket
from dataclasses import dataclass
from types import TracebackType

SECONDS_MAX = 10.0
"""Whoever says nothing for so long hangs."""

_STATUS_LINE = re.compile(rb"HTTP/1\.1 ([1-5][0-9]{2}) ([ -~]*)")
_HEADER_LINE = re.compile(rb"([0-9A-Za-z!#$%&'*+.^_`|~-]+):[ \t]*([ -~]*)")
_HEAD_BYTES_MAX = 64 << 10


class Hanging(Exception):
    """Neither an answer nor the end of the connection, for `SECONDS_MAX` seconds."""


class Malformed(Exception):
    """What came is no answer of HTTP/1.1, or less or more than one."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer, whole. Status 0 is none at all: the server closed without a word."""

    status: int
    reason: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    """Names in lower case."""
    body: bytes = b""

    def header(self, name: str) -> str:
        """A header's value; empty where it is not sent, and it may be there once."""
        values = [value for known, value in self.headers if known == name]
        if len(values) > 1:
            raise Malformed(f"{name} is there {len(values)} times")
        return values[0] if values else ""

    @property
    def closes(self) -> bool:
        """Whether it ends the connection."""
        return self.status == 0 or self.header("connection").lower() == "close"

    @property
    def head(self) -> bytes:
        """All that came ahead of the body, for searches."""
        lines = [self.reason, *(f"{name}: {value}" for name, value in self.headers)]
        return "\n".join(lines).encode("latin-1")


SILENCE = Answer(0)


class Line:
    """A connection that is used for as long as the server keeps it, and made anew after that.

    An answer that says nothing of closing is believed: the next request goes the same way.
    """

    def __init__(self, port: int, source: str = "127.0.0.1") -> None:
        """`source` is the address that the server sees."""
        self._port = port
        self._source = source
        self._socket: socket.socket | None = None
        self._received = b""

    def __enter__(self) -> "Line":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.hang_up()

    def ask(self, sent: bytes, method: str = "GET", *, ended: bool = False) -> Answer:
        """The final answer to a request. Raises Hanging, Malformed.

        `ended`: after the last byte our side is closed, as by a client that goes away.
        """
        self._send(sent, ended=ended)
        answer = self._answer(method)
        while 100 <= answer.status < 200:
            answer = self._answer(method)
        if answer.closes or ended:
            self._expect_end(answer)
        return answer

    def send_to_the_end(self, sent: bytes) -> bytes:
        """Send what is no request, and wait for the connection to end; what comes until then.

        Raises Hanging.
        """
        self._send(sent, ended=False)
        while self._socket is not None and self._more():
            pass
        received, self._received = self._received, b""
        return received

    def hang_up(self) -> None:
        """Close the connection, whatever may still come."""
        if self._socket is not None:
            self._socket.close()
        self._socket, self._received = None, b""

    def _send(self, sent: bytes, *, ended: bool) -> None:
        if self._socket is None:
            self._socket = socket.create_connection(
                ("127.0.0.1", self._port), SECONDS_MAX, (self._source, 0)
            )
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self._socket.sendall(sent)
            if ended:
                self._socket.shutdown(socket.SHUT_WR)
        except TimeoutError:
            self.hang_up()
            raise Hanging("it does not take what is sent") from None
        except OSError:
            pass  # a refusal need not wait for all of it, and lies there to be read

    def _answer(self, method: str) -> Answer:
        head = self._until(b"\r\n\r\n")
        if not head:
            return SILENCE
        first, *lines = head.split(b"\r\n")
        told = _STATUS_LINE.fullmatch(first)
        if told is None:
            raise Malformed(f"the status line is {first[:200]!r}")
        headers = []
        for line in lines:
            header = _HEADER_LINE.fullmatch(line)
            if header is None:
                raise Malformed(f"a header line is {line[:200]!r}")
            headers.append((header[1].decode().lower(), header[2].decode()))
        answer = Answer(int(told[1]), told[2].decode(), tuple(headers))
        return Answer(answer.status, answer.reason, answer.headers, self._body(answer, method))

    def _body(self, answer: Answer, method: str) -> bytes:
        if method == "HEAD" or answer.status < 200 or answer.status in (204, 304):
            return b""
        if answer.header("transfer-encoding"):
            return self._chunks()
        length = answer.header("content-length")
        if length:
            return self._exactly(int(length))
        if not answer.closes:
            raise Malformed("nothing tells where the body ends")
        while self._more():
            pass
        body, self._received = self._received, b""
        return body

    def _chunks(self) -> bytes:
        body = bytearray()
        while size := int(self._until(b"\r\n"), 16):
            body += self._exactly(size)
            self._exactly(2)
        self._exactly(2)
        return bytes(body)

    def _until(self, end: bytes) -> bytes:
        """What comes ahead of `end`; nothing if the connection ended instead."""
        while end not in self._received:
            if len(self._received) > _HEAD_BYTES_MAX:
                raise Malformed("its head does not end")
            if not self._more():
                if self._received:
                    raise Malformed(f"it was broken off: {self._received[:200]!r}")
                return b""
        found, _, self._received = self._received.partition(end)
        return found

    def _exactly(self, size_bytes: int) -> bytes:
        while len(self._received) < size_bytes:
            if not self._more():
                raise Malformed(f"{size_bytes - len(self._received)} bytes are missing")
        found, self._received = self._received[:size_bytes], self._received[size_bytes:]
        return found

    def _expect_end(self, answer: Answer) -> None:
        """After an answer that closes there is nothing more, not a second answer either."""
        while self._socket is not None and self._more():
            pass
        rest = self._received
        self.hang_up()
        if rest:
            raise Malformed(f"behind the {answer.status} came {rest[:200]!r}")

    def _more(self) -> bool:
        """Wait for the next bytes; False at the end of the connection. Raises Hanging."""
        assert self._socket is not None
        try:
            piece = self._socket.recv(1 << 16)
        except TimeoutError:
            self.hang_up()
            raise Hanging(f"it is silent for {SECONDS_MAX:.0f} s") from None
        except OSError:  # closed while we were still sending
            piece = b""
        if not piece:
            self._socket.close()
            self._socket = None
        self._received += piece
        return bool(piece)
