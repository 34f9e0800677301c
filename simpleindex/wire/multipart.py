"""The body of an upload, chunk by chunk: multipart/form-data (RFC 7578) in, events out.

    parser = MultipartParser(content_type)
    for event in parser.feed(chunk): ...
    parser.finish()

Only the file may be large; it is passed on as it comes. All the rest is bounded.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto
from typing import TypeAlias
from urllib.parse import unquote_to_bytes

import python_multipart
from python_multipart.exceptions import FormParserError

from simpleindex_storage.errors import Refused

FIELDS_MAX = 2000
"""Text fields; every classifier and requirement is one."""

FIELD_BYTES_MAX = 2 << 20
"""Of one text field; the description is the largest."""

TEXT_BYTES_MAX = 4 << 20
"""Of all text fields and their names."""

_PART_HEADERS_MAX = 8
_PART_HEADER_BYTES_MAX = 4096

_PREAMBLE_BYTES_MAX = 4096
"""Ahead of the first boundary; setup.py sends an empty line there."""

_EPILOGUE_BYTES_MAX = 4096
"""Behind the final boundary; most tools send an empty line there."""

_FILE = "content"
_SIGNATURE = "gpg_signature"
"""A second, small file: `FILE.asc`, which twine 6 and older send."""

# What nearly all parts begin with, whoever sends them. It leaves nothing to interpret.
_PLAIN_HEAD = re.compile(
    rb'Content-Disposition: form-data; name="([0-9A-Za-z_:]{1,80})"'
    rb'(?:; filename="([0-9A-Za-z_.+!-]{1,200})")?'
    rb"(?:\r\nContent-Type: [0-9A-Za-z/+.-]{1,80})?"
)

_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")  # RFC 2046, 5.1.1
_PARAMETER = re.compile(
    r"[ \t]*;[ \t]*([0-9A-Za-z!#$%&'*+.^_`|~-]+)[ \t]*=[ \t]*"
    r'(?:"((?:[^"\\]|\\.)*)"|([^\s;"]*))'
)


_LINE_END = b"\r\n"

_NO_PREAMBLE = _LINE_END
"""In front of the first boundary, which may lack it."""


@dataclass(frozen=True, slots=True)
class Field:
    """A text field, whole."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class FileStart:
    """The file begins. The name is what the client says, a path even."""

    name: str
    filename: str


@dataclass(frozen=True, slots=True)
class FileChunk:
    """The next bytes of the file; never none."""

    data: bytes


@dataclass(frozen=True, slots=True)
class FileEnd:
    """The file is whole, if the body turns out to be."""


@dataclass(frozen=True, slots=True)
class Signature:
    """The signature of the file, whole."""

    content: bytes


Event: TypeAlias = Field | FileStart | FileChunk | FileEnd | Signature


@dataclass(frozen=True, slots=True)
class _PlainPart:
    name: str
    filename: str | None
    content: bytes


class _Kind(Enum):
    FIELD = auto()
    FILE = auto()
    SIGNATURE = auto()


class MultipartParser:
    """Takes the chunks of one body. Every method raises Refused for what is malformed or too much.

    After that the body cannot be parsed any further.
    """

    def __init__(self, content_type: str) -> None:
        """`content_type` is the request's header, empty if there was none."""
        boundary = _boundary(content_type).encode("ascii")
        self._delimiter = b"\r\n--" + boundary
        self._preamble: bytes | None = _NO_PREAMBLE
        self._before = b""
        self._ended = False
        self._epilogue_bytes = 0
        self._events: list[Event] = []
        self._files = self._signatures = self._fields = self._text_bytes = 0
        self._kind = _Kind.FIELD
        self._name = ""
        self._text = bytearray()
        self._headers: dict[bytes, bytes] = {}
        self._header_name = self._header_value = b""
        self._parser = python_multipart.MultipartParser(
            boundary,
            {
                "on_part_begin": self._on_part_begin,
                "on_header_field": self._on_header_field,
                "on_header_value": self._on_header_value,
                "on_header_end": self._on_header_end,
                "on_headers_finished": self._on_headers_finished,
                "on_part_data": self._on_part_data,
                "on_part_end": self._on_part_end,
                "on_end": self._on_end,
            },
            max_header_count=_PART_HEADERS_MAX,
            max_header_size=_PART_HEADER_BYTES_MAX,
        )

    def feed(self, chunk: bytes) -> list[Event]:
        """What the next bytes of the body complete or continue."""
        if self._preamble == _NO_PREAMBLE and (parts := self._plain_parts(chunk)) is not None:
            self._preamble, self._ended = None, True
            return self._events_of(parts)
        if self._preamble is not None:
            chunk = self._after_preamble(self._preamble + chunk)
        if self._ended:
            self._count_epilogue(len(chunk))
            return []
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise _refused(f"its multipart body is malformed ({error}); send it again") from error
        self._note_end(chunk)
        events, self._events = self._events, []
        return events

    def finish(self) -> None:
        """The body has ended: was that its end?"""
        if not self._ended:
            raise _refused("it ends before its final boundary, so it was cut off; send it again")

    def _plain_parts(self, chunk: bytes) -> "list[_PlainPart] | None":
        """The parts of a body that has come whole and has nothing unusual; else None.

        Small uploads are so. To take them apart byte by byte takes ten times as long.
        """
        before, *pieces = (_NO_PREAMBLE + chunk).split(self._delimiter)
        if before or not pieces or pieces.pop() not in (b"--", b"--\r\n"):
            return None
        parts = []
        for piece in pieces:
            head, blank_line, content = piece.partition(b"\r\n\r\n")
            match = _PLAIN_HEAD.fullmatch(head, len(_LINE_END))
            if match is None or not blank_line or not head.startswith(_LINE_END):
                return None
            name, filename = match.groups()
            told = None if filename is None else filename.decode("ascii")
            parts.append(_PlainPart(name.decode("ascii"), told, content))
        return parts

    def _events_of(self, parts: "Iterable[_PlainPart]") -> list[Event]:
        for part in parts:
            self._text = bytearray()
            self._begin_part(part.name, part.filename)
            if part.content:
                self._on_part_data(part.content, 0, len(part.content))
            self._on_part_end()
        events, self._events = self._events, []
        return events

    def _after_preamble(self, seen: bytes) -> bytes:
        # python-multipart skips a preamble too, but which ones depends on how they are cut up.
        start = seen.find(self._delimiter)
        preamble_bytes = start if start >= 0 else len(seen) - len(self._delimiter)
        if preamble_bytes > _PREAMBLE_BYTES_MAX:
            raise _refused("its body does not begin with the boundary that Content-Type names")
        if start < 0:
            self._preamble = seen
            return b""
        self._preamble = None
        self._before = b"\r\n"
        return seen[start + 2 :]

    def _note_end(self, chunk: bytes) -> None:
        """Keep the last bytes, to tell where the final boundary ended when it has come."""
        final = self._delimiter + b"--"
        if self._ended:
            self._count_epilogue(len((self._before + chunk).partition(final)[2]))
        elif len(chunk) >= len(final):
            self._before = chunk[1 - len(final) :]
        else:
            self._before = (self._before + chunk)[1 - len(final) :]

    def _count_epilogue(self, size_bytes: int) -> None:
        self._epilogue_bytes += size_bytes
        if self._epilogue_bytes > _EPILOGUE_BYTES_MAX:
            raise _refused("its body goes on behind the final boundary; send nothing there")

    def _on_part_begin(self) -> None:
        self._headers = {}
        self._text = bytearray()

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _on_header_end(self) -> None:
        name = self._header_name.lower()
        if name in self._headers:
            raise _refused(f"a part of its body has two headers {name.decode('ascii')!r}")
        self._headers[name] = self._header_value
        self._header_name = self._header_value = b""

    def _on_headers_finished(self) -> None:
        self._begin_part(*_disposition(self._headers))

    def _begin_part(self, name: str, filename: str | None) -> None:
        self._name = name
        if self._name == _FILE:
            self._kind = _Kind.FILE
            self._begin_file(filename)
        elif filename is None:
            self._kind = _Kind.FIELD
            self._begin_text()
        elif self._name == _SIGNATURE:
            self._kind = _Kind.SIGNATURE
            self._signatures += 1
            if self._signatures > 1:
                raise _refused("it has more than one signature; send one")
            self._begin_text()
        else:
            raise _refused(
                f"it has a file in its part {self._name[:80]!r}; the file goes into {_FILE!r}"
            )

    def _begin_file(self, filename: str | None) -> None:
        if not filename:
            raise _refused(f"its part {_FILE!r} has no file name; send it as a file, with a name")
        self._files += 1
        if self._files > 1:
            raise _refused("it has more than one file; send each file in an upload of its own")
        self._events.append(FileStart(self._name, filename))

    def _begin_text(self) -> None:
        self._fields += 1
        if self._fields > FIELDS_MAX:
            raise _refused(f"it has more than {FIELDS_MAX} fields; send fewer")
        self._count_text(len(self._name))

    def _count_text(self, size_bytes: int) -> None:
        self._text_bytes += size_bytes
        if self._text_bytes > TEXT_BYTES_MAX:
            raise _refused(
                f"its text fields are larger than {TEXT_BYTES_MAX >> 20} MiB in all; shorten them"
            )

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._kind is _Kind.FILE:
            self._events.append(FileChunk(data[start:end]))
            return
        if len(self._text) + end - start > FIELD_BYTES_MAX:
            raise _refused(
                f"its field {self._name[:80]!r} is larger than {FIELD_BYTES_MAX >> 20} MiB; "
                "shorten it"
            )
        self._count_text(end - start)
        self._text += data[start:end]

    def _on_part_end(self) -> None:
        if self._kind is _Kind.FILE:
            self._events.append(FileEnd())
        elif self._kind is _Kind.FIELD:
            value = _utf8(bytes(self._text), f"its field {self._name[:80]!r}")
            self._events.append(Field(self._name, value))
        else:
            self._events.append(Signature(bytes(self._text)))

    def _on_end(self) -> None:
        self._ended = True


def _refused(rule: str) -> Refused:
    return Refused("upload form", rule)


def _boundary(content_type: str) -> str:
    media_type, parameters = _parse_header(content_type, "its Content-Type")
    if media_type != "multipart/form-data":
        raise _refused(
            f"its Content-Type is {media_type[:80]!r}; an upload is sent as multipart/form-data"
        )
    boundary = parameters.get("boundary")
    if boundary is None or not _BOUNDARY.fullmatch(boundary):
        raise _refused(
            "its Content-Type names no boundary that RFC 2046 allows; "
            "let the client library make the header"
        )
    return boundary


def _disposition(headers: dict[bytes, bytes]) -> tuple[str, str | None]:
    """The name of a part, and of its file if it is one."""
    raw = headers.get(b"content-disposition")
    if raw is None:
        raise _refused("a part of its body has no Content-Disposition")
    kind, parameters = _parse_header(
        _utf8(raw, "a Content-Disposition"), "a Content-Disposition in its body"
    )
    if kind != "form-data" or "name" not in parameters:
        raise _refused("a part of its body is not form-data with a name")
    encoding = headers.get(b"content-transfer-encoding", b"binary").strip().lower()
    if encoding not in (b"binary", b"8bit", b"7bit"):  # RFC 7578, 4.7
        raise _refused("a part of its body has a Content-Transfer-Encoding; send it as it is")
    filename = parameters.get("filename")
    if filename is None and "filename*" in parameters:
        filename = _extended_value(parameters["filename*"])
    return parameters["name"], filename


def _parse_header(header: str, what: str) -> tuple[str, dict[str, str]]:
    """The value in lower case, and the parameters. Of what is ambiguous, nothing is guessed."""
    if not header.replace("\t", " ").isprintable():
        raise _refused(f"{what} has control characters")
    value, semicolon, _ = header.partition(";")
    parameters: dict[str, str] = {}
    at = len(value)
    while match := _PARAMETER.match(header, at):
        name, quoted, token = match.groups()
        if name.lower() in parameters:
            raise _refused(f"{what} names {name[:80]!r} twice")
        parameters[name.lower()] = token if quoted is None else _unescape(quoted)
        at = match.end()
    if semicolon and header[at:].strip(" \t;"):
        raise _refused(f"{what} is malformed")
    return value.strip().lower(), parameters


def _unescape(quoted: str) -> str:
    # Browsers and requests escape the quote but not the backslash: C:\demo stays as it is, and
    # the rules for file names refuse it.
    return re.sub(r'\\(["\\])', r"\1", quoted)


def _extended_value(value: str) -> str:
    """The text of RFC 5987's charset'language'percent-encoded."""
    charset, _, language_and_text = value.partition("'")
    _, quote, encoded = language_and_text.partition("'")
    if quote and charset.lower() == "utf-8":
        return _utf8(unquote_to_bytes(encoded), "a file name")
    if quote and charset.lower() == "iso-8859-1":
        return unquote_to_bytes(encoded).decode("latin-1")
    raise _refused("a file name in its body is in no charset that RFC 5987 asks for")


def _utf8(raw: bytes, what: str) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise _refused(f"{what} is not UTF-8; send all text in UTF-8") from None
