"""The log: a line for each answer and each failure, as text or as JSON, on standard error.

Nobody who is being answered waits for them to be written (see `line_writer`). Nothing of a request
is printed as it came.
"""

import json
import logging
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache

from simpleindex.errors import RequestError
from simpleindex.events import Answered, Line
from simpleindex.line_writer import WRITTEN_BYTES_MAX, LineWriter
from simpleindex.secrets_in_urls import without_account
from simpleindex_storage.errors import StoreError

_STDERR = 2
_NO_MOMENT = -1

_TARGET_BYTES_MAX = 2000
_AGENT_BYTES_MAX = 300
_WORD_CHARACTERS_MAX = 80
_REMEMBERED_MAX = 512

_LEVELS: Mapping[str, int] = {
    "simpleindex": logging.INFO,
    "uvicorn.error": logging.WARNING,
    "asyncio": logging.WARNING,
    "python_multipart": logging.ERROR,  # it warns of each body that the sender got wrong
}


class _Form(ABC):
    """How lines look."""

    def answered(self, answered: Answered) -> bytes:
        """The line of a request that is over."""
        before, after = self.line_of(answered)
        return before + self.time() + after

    @abstractmethod
    def line_of(self, answered: Answered) -> Line:
        """The same in two parts, between which the time stands."""

    @abstractmethod
    def time(self) -> bytes:
        """The time now, as lines of answers have it."""


class TextFormat(_Form):
    """Lines for people, and for tools that know the combined log format of web servers."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._second = _NO_MOMENT
        self._time = b""

    def line_of(self, answered: Answered) -> Line:
        """The combined log format, with the seconds that the answer took at the end."""
        agent = answered.user_agent
        user = answered.user
        address = answered.address
        client = "-" if address is None else _word(address)
        asked = (
            f'] "{_word(answered.method)}'
            f" {_escaped(answered.target[:_TARGET_BYTES_MAX])} HTTP/{answered.http_version}"
            f'" {answered.status} {answered.sent_bytes} "-"'
            f' "{"-" if agent is None else _escaped(agent[:_AGENT_BYTES_MAX])}"'
            f" {answered.seconds:.3f}\n"
        )
        return f"{client} - {'-' if user is None else _word(user)} [".encode(), asked.encode()

    def time(self) -> bytes:
        """The time now, as lines of answers have it."""
        now = int(self._clock())
        if now != self._second:
            self._time = time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(now)).encode()
            self._second = now
        return self._time

    def record(self, record: logging.LogRecord) -> bytes:
        """The time, and what there is to say; a traceback is set in, so that it forges no line."""
        when = datetime.fromtimestamp(record.created).strftime("%Y-%m-%d %H:%M:%S")
        line = f"{when},{record.msecs:03.0f} {_escaped_text(record.getMessage())}"
        traceback = _traceback(record)
        if traceback is not None:
            line += "".join(f"\n    {_escaped_text(each)}" for each in traceback.splitlines())
        return without_account(f"{line}\n").encode(errors="backslashreplace")


class JsonFormat(_Form):
    """One JSON object a line, for tools."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._millisecond = _NO_MOMENT
        self._time = b""

    def line_of(self, answered: Answered) -> Line:
        """What is known of a request that is over."""
        agent = answered.user_agent
        method, path = _quoted_word(answered.method), _quoted(answered.target[:_TARGET_BYTES_MAX])
        return b'{"time": "', (
            '", "level": "info"'
            f', "logger": "simpleindex.access", "message": "{method[1:-1]} {path[1:-1]}'
            f' {answered.status}", "method": {method}, "path": {path}'
            f', "status": {answered.status}, "bytes": {answered.sent_bytes}'
            f', "received_bytes": {answered.received_bytes}'
            f', "duration_seconds": {answered.seconds:.6f}'
            f', "door": "{answered.door.name.lower()}"'
            f', "address": {_quoted_word(answered.address)}, "user": {_quoted_word(answered.user)}'
            f', "user_agent": {"null" if agent is None else _quoted(agent[:_AGENT_BYTES_MAX])}}}\n'
        ).encode()

    def time(self) -> bytes:
        """The time now, as lines of answers have it."""
        now = int(self._clock() * 1000)
        if now != self._millisecond:
            second, millisecond = divmod(now, 1000)
            until_second = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
            self._time = f"{until_second}.{millisecond:03}Z".encode()
            self._millisecond = now
        return self._time

    def record(self, record: logging.LogRecord) -> bytes:
        """A failure, or a remark."""
        when = datetime.fromtimestamp(record.created, UTC)
        told = {
            "time": when.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": without_account(record.getMessage()),
        }
        traceback = _traceback(record)
        if traceback is not None:
            told["exception"] = without_account(traceback)
        return (json.dumps(told) + "\n").encode()


class _Repeated:
    """Lines of answers that are given again, gathered to be written in one piece.

    Each would cost a microsecond by itself, where the answer costs seven.
    """

    def __init__(self, form: TextFormat | JsonFormat, lines: LineWriter) -> None:
        self._form = form
        self._lines = lines
        self._parts: list[bytes] = []
        self._size_bytes = 0

    def add(self, line: Line) -> int:
        """One more, now. Tells how many had to be dropped, of this and those before."""
        before, after = line
        now = self._form.time()
        size_bytes = len(before) + len(now) + len(after)
        dropped = 0
        if self._size_bytes + size_bytes > WRITTEN_BYTES_MAX:
            dropped = self.flush()
        self._parts += (before, now, after)
        self._size_bytes += size_bytes
        return dropped

    def flush(self) -> int:
        """Let those that are gathered be written. Tells how many had to be dropped."""
        parts, self._parts, self._size_bytes = self._parts, [], 0
        lines = len(parts) // 3
        is_kept = not lines or self._lines.put(b"".join(parts), lines=lines)
        return 0 if is_kept else lines


class StderrLog(logging.Handler):
    """The log of a server that runs. Takes over what the libraries log, until it is closed.

    Answers are told by the event loop alone; what else there is to say, by any thread.
    """

    def __init__(self, form: TextFormat | JsonFormat, descriptor: int) -> None:
        super().__init__()
        self._form = form
        self._lines = LineWriter(descriptor, self._tell_dropped)
        self._repeated = _Repeated(form, self._lines)
        self.again = self._repeated.add
        """Write that a request was answered as another one was before. As `answered`.

        It may wait for others like it until `write_all` is called.
        """
        self.addFilter(_in_one_line)
        self._before: list[tuple[logging.Logger, int, bool]] = []
        for name, level in _LEVELS.items():
            logger = logging.getLogger(name)
            self._before.append((logger, logger.level, logger.propagate))
            logger.setLevel(level)
            logger.propagate = False
            logger.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Write what somebody has to say."""
        try:
            self._lines.put(self._form.record(record), urgent=True)
        except Exception:  # what is said badly must not make anything fail
            self.handleError(record)

    def answered(self, answered: Answered) -> int:
        """Write that a request was answered.

        Tells how many lines were dropped, because nobody reads so fast: this, or some before it.
        """
        dropped = self._repeated.flush()  # they were before
        return dropped + (not self._lines.put(self._form.answered(answered)))

    def line_of(self, answered: Answered) -> Line:
        """What may be said `again`, whenever a request like this one is answered so."""
        return self._form.line_of(answered)

    def write_all(self) -> int:
        """Let be written what has waited for more. As `answered`."""
        return self._repeated.flush()

    def close(self) -> None:
        """Write what is left, and hear nobody any more."""
        for logger, level, propagate in self._before:
            logger.removeHandler(self)
            logger.setLevel(level)
            logger.propagate = propagate
        self.write_all()
        self._lines.close()
        super().close()

    def _tell_dropped(self, number: int) -> bytes:
        text = "%d lines of the log were dropped: whoever reads it is too slow"
        record = logging.LogRecord(
            "simpleindex", logging.WARNING, __file__, 0, text, (number,), None
        )
        return self._form.record(record)


def log_to_stderr(*, as_json: bool) -> StderrLog:
    """Begin to write the log of this process."""
    try:
        descriptor = sys.stderr.fileno()
    except (AttributeError, OSError, ValueError):  # there is none, or it is no file
        descriptor = _STDERR
    return StderrLog(JsonFormat() if as_json else TextFormat(), descriptor)


def _in_one_line(record: logging.LogRecord) -> bool:
    """Tell of an answer that had to be cut, because upstream failed, without a traceback.

    To raise is the only way in which ASGI lets a connection be cut.
    """
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, RequestError | StoreError):
        record.msg, record.args = "an answer was cut: %s", (str(error),)
        record.exc_info = None
    return True


def _traceback(record: logging.LogRecord) -> str | None:
    if not record.exc_info:
        return None
    return logging.Formatter().formatException(record.exc_info)


@lru_cache(_REMEMBERED_MAX)
def _escaped(raw: bytes) -> str:
    """Printable ASCII, between quotation marks, as web servers do it."""
    text = without_account(raw.decode("latin-1"))
    return "".join(
        letter if " " <= letter <= "~" and letter not in '"\\' else f"\\x{ord(letter):02x}"
        for letter in text
    )


@lru_cache(_REMEMBERED_MAX)
def _quoted(raw: bytes) -> str:
    """A JSON string of what should be UTF-8; of what is not, the escaped bytes."""
    return json.dumps(without_account(raw.decode("utf-8", "backslashreplace")))


def _escaped_text(text: str) -> str:
    """Without what moves a terminal's cursor or begins a line."""
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text
    )


def _word(text: str) -> str:
    """What should be one word: an address that a proxy tells may be anything."""
    raw = text[:_WORD_CHARACTERS_MAX].encode("utf-8", "backslashreplace")
    return _escaped(raw).replace(" ", "\\x20")


def _quoted_word(text: str | None) -> str:
    if text is None:
        return "null"
    return _quoted(text[:_WORD_CHARACTERS_MAX].encode("utf-8", "backslashreplace"))
