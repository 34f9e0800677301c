"""What the hostile upstream can do to those who ask it, one small class each.

A behaviour gets the request and the way to the honest answer; it may change what is asked, what is
answered, and how that is sent.
"""

import gzip
import json
import threading
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Protocol

from tests.hostile import pages
from tests.hostile.answers import (
    BEFORE_HEAD,
    Answering,
    Body,
    Content,
    Flipped,
    Framing,
    Padded,
    Pause,
    Reply,
    Request,
    a_reply,
)

_MB = 1_000_000


class Behaviour(Protocol):
    """One way to answer."""

    def answer(self, request: Request, honestly: Answering) -> Reply:
        """The answer, given the way to the honest one."""
        ...


@dataclass(frozen=True, slots=True)
class Honest:
    """Answers as it should: a turn without any fault."""

    def answer(self, request: Request, honestly: Answering) -> Reply:
        return honestly(request)


class Together:
    """Several at once: `Together(Rate(1_000_000), CutAfter(500_000))`; the last wins."""

    def __init__(self, *behaviours: Behaviour) -> None:
        self._behaviours = behaviours

    def answer(self, request: Request, honestly: Answering) -> Reply:
        return _nested(self._behaviours, honestly)(request)


# --- Connections that break, hang, or crawl


@dataclass(frozen=True, slots=True)
class CutAfter:
    """Closes the connection after so many bytes of a body whose whole length was promised."""

    bytes: int
    reset: bool = False
    """With a reset instead of an orderly end."""

    def answer(self, request: Request, honestly: Answering) -> Reply:
        return honestly(request).sent(cut_after_bytes=self.bytes, reset=self.reset)


@dataclass(frozen=True, slots=True)
class Hang:
    """Sends the head and so many bytes, then nothing until the event, then the rest.

    Without an event: nothing more, ever.
    """

    after_bytes: int = 0
    until: threading.Event | None = None

    def answer(self, request: Request, honestly: Answering) -> Reply:
        return honestly(request).sent(pause=Pause(self.after_bytes, self.until))


@dataclass(frozen=True, slots=True)
class Gate:
    """Answers only after the event is set; sends nothing at all before."""

    event: threading.Event

    def answer(self, request: Request, honestly: Answering) -> Reply:
        return honestly(request).sent(pause=Pause(BEFORE_HEAD, self.event))


@dataclass(frozen=True, slots=True)
class SilentDrop:
    """Takes the request, and never says anything to it."""

    def answer(self, request: Request, honestly: Answering) -> Reply:
        return a_reply(200).sent(pause=Pause(BEFORE_HEAD, None))


@dataclass(frozen=True, slots=True)
class HangUp:
    """Takes the request, and closes the connection without a word."""

    reset: bool = False

    def answer(self, request: Request, honestly: Answering) -> Reply:
        return _raw(b"", reset=self.reset)


@dataclass(frozen=True, slots=True)
class Rate:
    """Sends steadily, at this many bytes a second."""

    bytes_per_second: float

    def answer(self, request: Request, honestly: Answering) -> Reply:
        return honestly(request).sent(bytes_per_second=self.bytes_per_second)


@dataclass(frozen=True, slots=True)
class SlowDrip:
    """Sends the head, too, at this many bytes a second: just enough not to seem dead."""

    bytes_per_second: float = 10.0

    def answer(self, request: Request, honestly: Answering) -> Reply:
        return honestly(request).sent(bytes_per_second=self.bytes_per_second, head_too=True)


# --- Answers that do not keep to HTTP, or to what they say


@dataclass(frozen=True, slots=True)
class Status:
    """Another status, with its own body."""

    code: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def answer(self, request: Request, honestly: Answering) -> Reply:
        return a_reply(self.code).with_body(Content(self.body)).with_headers(self.headers)


@dataclass(frozen=True, slots=True)
class RawBytes:
    """Sends these bytes instead of an answer, and closes the connection."""

    content: bytes

    def answer(self, request: Request, honestly: Answering) -> Reply:
        return _raw(self.content)


@dataclass(frozen=True, slots=True)
class WithHeaders:
    """The honest answer with these headers, too, or instead; None takes one out."""

    headers: Mapping[str, str | None]

    def answer(self, request: Request, honestly: Answering) -> Reply:
        return honestly(request).with_headers(self.headers)


@dataclass(frozen=True, slots=True)
class WithBody:
    """The honest head with another body."""

    content: bytes

    def answer(self, request: Request, honestly: Answering) -> Reply:
        return _plain(request, honestly).with_body(Content(self.content))


@dataclass(frozen=True, slots=True)
class WrongLength:
    """Promises more bytes than it sends, or fewer where `delta` is negative; then closes."""

    delta: int

    def answer(self, request: Request, honestly: Answering) -> Reply:
        reply = honestly(request)
        return reply.sent(declared_bytes=max(0, reply.body.size_bytes + self.delta))


@dataclass(frozen=True, slots=True)
class WrongBytes:
    """As many bytes, but others; each request gets the same ones. The ETag, too, is another."""

    def answer(self, request: Request, honestly: Answering) -> Reply:
        reply = _plain(request.not_asking("if-range", "range"), honestly)
        etag = reply.headers.get("ETag")
        return reply.with_body(Flipped(reply.body)).saying(ETag=etag and f'"other-{etag[1:]}')


@dataclass(frozen=True, slots=True)
class SameEtagOtherBytes:
    """Other bytes under the old ETag, in parts of a file too: who goes on with them gets a mix."""

    def answer(self, request: Request, honestly: Answering) -> Reply:
        reply = honestly(request.asking(accept_encoding="identity"))
        return reply.with_body(Flipped(reply.body))


@dataclass(frozen=True, slots=True)
class Compressed:
    """With Content-Encoding: gzip, whether that was asked for or not, and no ranges."""

    def answer(self, request: Request, honestly: Answering) -> Reply:
        reply = _plain(request.not_asking("range"), honestly)
        packed = gzip.compress(_whole(reply.body), compresslevel=1, mtime=0)
        return reply.with_body(Content(packed)).saying(Content_Encoding="gzip")


@dataclass(frozen=True, slots=True)
class Chunked:
    """Without a Content-Length, in chunks."""

    def answer(self, request: Request, honestly: Answering) -> Reply:
        return honestly(request).sent(framing=Framing.CHUNKED)


@dataclass(frozen=True, slots=True)
class UntilClose:
    """Without a Content-Length: the body ends where the connection does."""

    def answer(self, request: Request, honestly: Answering) -> Reply:
        return honestly(request).sent(framing=Framing.CLOSE)


@dataclass(frozen=True, slots=True)
class Redirect:
    """Sends the client elsewhere."""

    url: str
    code: int = 302

    def answer(self, request: Request, honestly: Answering) -> Reply:
        return a_reply(self.code, Location=self.url)


@dataclass(frozen=True, slots=True)
class RedirectLoop:
    """Sends the client to the same path for ever, each time with another query."""

    code: int = 302

    def answer(self, request: Request, honestly: Answering) -> Reply:
        path, _, query = request.target.partition("?")
        turn = int(query.removeprefix("turn=") or 0) + 1
        return a_reply(self.code, Location=f"{path}?turn={turn}")


# --- Ranges and conditions


@dataclass(frozen=True, slots=True)
class NoRanges:
    """Answers a request for a part with the whole."""

    def answer(self, request: Request, honestly: Answering) -> Reply:
        return honestly(request.not_asking("range")).saying(Accept_Ranges="none")


@dataclass(frozen=True, slots=True)
class BadRange:
    """Answers 206, but with another part than was asked for, and says so in Content-Range.

    `keeps_quiet`: Content-Range names the part that was asked for even so.
    """

    shift_bytes: int = 1
    keeps_quiet: bool = False

    def answer(self, request: Request, honestly: Answering) -> Reply:
        reply = honestly(request)
        if reply.status != 206:
            return reply
        told = reply.headers["Content-Range"]
        start, _, rest = told.removeprefix("bytes ").partition("-")
        whole = honestly(request.not_asking("range"))
        first = max(0, int(start) - self.shift_bytes)
        shifted = honestly(request.asking(range=f"bytes={first}-{whole.body.size_bytes - 1}"))
        return shifted.saying(
            Content_Range=f"bytes {int(start)}-{rest}" if self.keeps_quiet else _told(shifted)
        ).with_body(_first(shifted.body, reply.body.size_bytes))


@dataclass(frozen=True, slots=True)
class IgnoreConditional:
    """Sends the whole, also to those who have it already."""

    def answer(self, request: Request, honestly: Answering) -> Reply:
        return honestly(request.not_asking("if-none-match", "if-modified-since"))


@dataclass(frozen=True, slots=True)
class FixedEtag:
    """The same ETag for ever, whatever is in the body: who asks with it always hears 304."""

    etag: str = '"always-the-same"'

    def answer(self, request: Request, honestly: Answering) -> Reply:
        if request.header("if-none-match") == self.etag:
            return Reply(304, {"ETag": self.etag}, Content(b""))
        reply = honestly(request.not_asking("if-none-match", "if-modified-since"))
        return reply.saying(ETag=self.etag)


@dataclass(frozen=True, slots=True)
class LastModifiedOnly:
    """No ETag: only a date says whether anything is new."""

    def answer(self, request: Request, honestly: Answering) -> Reply:
        return honestly(request.not_asking("if-none-match", "if-range")).saying(ETag=None)


@dataclass(frozen=True, slots=True)
class NoValidators:
    """Neither ETag nor date: nobody can ask whether anything is new."""

    def answer(self, request: Request, honestly: Answering) -> Reply:
        names = ("if-none-match", "if-modified-since", "if-range")
        return honestly(request.not_asking(*names)).saying(ETag=None, Last_Modified=None)


@dataclass(frozen=True, slots=True)
class Always304:
    """Not modified, to everybody, also to those who never had it."""

    def answer(self, request: Request, honestly: Answering) -> Reply:
        return Reply(304, {}, Content(b""))


# --- Pages


@dataclass(frozen=True, slots=True)
class HtmlOnly:
    """Knows no JSON."""

    def answer(self, request: Request, honestly: Answering) -> Reply:
        return honestly(request.asking(accept="text/html"))


@dataclass(frozen=True, slots=True)
class JsonOnly:
    """Knows no HTML."""

    def answer(self, request: Request, honestly: Answering) -> Reply:
        return honestly(request.asking(accept=pages.JSON))


@dataclass(frozen=True, slots=True)
class NotAJson:
    """Says that it is JSON, and is the page of a login."""

    def answer(self, request: Request, honestly: Answering) -> Reply:
        body = b"<!DOCTYPE html><html><body><h1>Please log in to the network</h1></body></html>\n"
        return _page(request, pages.JSON, Content(body))


@dataclass(frozen=True, slots=True)
class BadJson:
    """The first half of a page in JSON, of the right length for that."""

    def answer(self, request: Request, honestly: Answering) -> Reply:
        whole = _plain(request.asking(accept=pages.JSON), honestly)
        return whole.with_body(_first(whole.body, whole.body.size_bytes // 2))


@dataclass(frozen=True, slots=True)
class JsonOfWrongShape:
    """Valid JSON that is no page, or one with entries that are not what they should be."""

    document: object = field(default_factory=lambda: {"files": 7})

    def answer(self, request: Request, honestly: Answering) -> Reply:
        return _page(request, pages.JSON, Content(json.dumps(self.document).encode()))


@dataclass(frozen=True, slots=True)
class Page:
    """These very bytes as a page of a given content type; None: it has none."""

    content: bytes
    content_type: str | None = pages.HTML

    def answer(self, request: Request, honestly: Answering) -> Reply:
        reply = _page(request, pages.HTML, Content(self.content))
        return reply.saying(Content_Type=self.content_type)


@dataclass(frozen=True, slots=True)
class GzipBomb:
    """A page that is small on the wire and huge when it is unpacked: a valid one without files."""

    unpacked_bytes: int = 1_000 * _MB

    def answer(self, request: Request, honestly: Answering) -> Reply:
        content_type = pages.chosen_type(request.header("accept"))
        page = _blown_up(request, content_type, self.unpacked_bytes)
        packed = _packed(page.head, page.blanks, page.tail)
        return _page(request, content_type, Content(packed)).saying(Content_Encoding="gzip")


@dataclass(frozen=True, slots=True)
class HugePage:
    """A page of so many bytes, most of them blanks: a valid one without files."""

    bytes: int = 1_000 * _MB

    def answer(self, request: Request, honestly: Answering) -> Reply:
        content_type = pages.chosen_type(request.header("accept"))
        return _page(request, content_type, _blown_up(request, content_type, self.bytes))


@dataclass(frozen=True, slots=True)
class ManyLinks:
    """A page of so many wheels, none of which is there."""

    count: int = 120_000

    def answer(self, request: Request, honestly: Answering) -> Reply:
        content_type = pages.chosen_type(request.header("accept"))
        body = pages.many_links(_project(request), self.count, content_type)
        return _page(request, content_type, Content(body))


def _nested(behaviours: tuple[Behaviour, ...], honestly: Answering) -> Answering:
    if not behaviours:
        return honestly
    *before, last = behaviours
    inner = _nested(tuple(before), honestly)
    return lambda request: last.answer(request, inner)


def _raw(content: bytes, *, reset: bool = False) -> Reply:
    reply = a_reply(200).sent(reset=reset)
    return replace(reply, delivery=replace(reply.delivery, raw=content))


def _plain(request: Request, honestly: Answering) -> Reply:
    """The honest answer, whole and not compressed."""
    plain = request.asking(accept_encoding="identity")
    return honestly(plain.not_asking("if-none-match", "if-modified-since"))


def _whole(body: Body) -> bytes:
    return bytes(body.part(0, body.size_bytes))


def _first(body: Body, size_bytes: int) -> Content:
    return Content(bytes(body.part(0, size_bytes)))


def _told(reply: Reply) -> str | None:
    return reply.headers.get("Content-Range")


def _page(request: Request, content_type: str, body: Body) -> Reply:
    return Reply(200, {"Content-Type": content_type}, body)


def _project(request: Request) -> str:
    return request.path.rstrip("/").rpartition("/")[2]


def _blown_up(request: Request, content_type: str, size_bytes: int) -> Padded:
    page = pages.project_page(pages.OfferedProject(_project(request)), content_type)
    mark = b"}" if content_type == pages.JSON else b"</body>"
    head, _, tail = page.rpartition(mark)
    return Padded(head, max(0, size_bytes - len(page)), mark + tail)


@lru_cache(maxsize=4)
def _packed(head: bytes, blanks: int, tail: bytes) -> bytes:
    """One gzip member: a block of blanks is packed once, and repeated as it stands."""
    count, rest = divmod(blanks, _MB)
    block = b" " * _MB
    crc = zlib.crc32(head)
    for _ in range(count):
        crc = zlib.crc32(block, crc)
    crc = zlib.crc32(b" " * rest + tail, crc)
    size = len(head) + blanks + len(tail)
    return b"".join(
        [
            b"\x1f\x8b\x08\0\0\0\0\0\0\xff",
            _deflated(head, zlib.Z_FULL_FLUSH),
            _deflated(block, zlib.Z_FULL_FLUSH) * count,
            _deflated(b" " * rest + tail, zlib.Z_FINISH),
            crc.to_bytes(4, "little"),
            (size & 0xFFFFFFFF).to_bytes(4, "little"),
        ]
    )


def _deflated(content: bytes, flush: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packer.compress(content) + packer.flush(flush)
