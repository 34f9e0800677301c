"""The log: a line for each answer and each failure, as text or as JSON, on standard error.

Lines gather in memory, and a thread of their own writes them, a batch at a time: nobody who is
being answered waits for a slow pipe. If that is so slow that a mebibyte has gathered, more lines
are dropped, and how many is the next line. Nothing of a request is printed as it came.
"""

import json
import logging
import math
import os
import select
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from threading import Event, Lock, Thread

from simpleindex.errors import RequestError
from simpleindex.events import Answered, Line
from simpleindex.secrets_in_urls import without_account
from simpleindex_storage.errors import StoreError

_WAITING_BYTES_MAX = 1 << 20
_BATCH_BYTES = 64 << 10
"""So much is written without waiting for more."""
_BATCH_SECONDS = 0.2
_WRITTEN_BYTES_MAX = 4096
"""PIPE_BUF of Linux: lines of several processes on one pipe stay whole if they come like this."""
_CLOSE_SECONDS_MAX = 2.0
_STDERR = 2

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


class LineWriter:
    """Lines on their way to a file descriptor. May be used from any thread."""

    def __init__(self, descriptor: int, tell_dropped: Callable[[int], bytes]) -> None:
        self._descriptor = descriptor
        self._tell_dropped = tell_dropped
        self._lock = Lock()
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._dropped = 0
        self._some, self._urgent, self._closing = Event(), Event(), Event()
        self._gives_up_at = math.inf
        self._thread: Thread | None = None

    def put(self, line: bytes, *, urgent: bool = False) -> bool:
        """Let a line be written in a moment, at once if it is urgent. False: it was dropped."""
        with self._lock:
            if self._waiting_bytes + len(line) > _WAITING_BYTES_MAX:
                self._dropped += 1
                return False
            before_bytes = self._waiting_bytes
            self._waiting.append(line)
            self._waiting_bytes = after_bytes = before_bytes + len(line)
        if not before_bytes:
            self._wake()
        if urgent or before_bytes < _BATCH_BYTES <= after_bytes:
            self._urgent.set()
        return True

    def close(self) -> None:
        """Write what is left, unless nobody takes it for some seconds."""
        self._gives_up_at = time.monotonic() + _CLOSE_SECONDS_MAX
        self._closing.set()
        self._urgent.set()
        self._some.set()
        if self._thread is not None:
            self._thread.join(_CLOSE_SECONDS_MAX)

    def _wake(self) -> None:
        """Let the thread take what waits; it is begun if there is none."""
        with self._lock:
            if self._thread is None or not self._thread.is_alive():  # also after a fork
                self._thread = Thread(target=self._write_on, name="log", daemon=True)
                self._thread.start()
        self._some.set()

    def _write_on(self) -> None:
        while True:
            self._some.wait()
            self._urgent.wait(_BATCH_SECONDS)
            self._some.clear()
            self._urgent.clear()
            # Only now: whoever closes after this wakes us once more, as nothing clears it again.
            closing = self._closing.is_set()
            self._write_waiting()
            if closing:
                return

    def _write_waiting(self) -> None:
        with self._lock:
            lines, self._waiting, self._waiting_bytes = self._waiting, [], 0
            dropped, self._dropped = self._dropped, 0
        lost = sum(len(batch) for batch in _batches(lines) if not self._is_written(b"".join(batch)))
        if dropped and not self._is_written(self._tell_dropped(dropped)):
            lost += dropped
        with self._lock:
            self._dropped += lost

    def _is_written(self, content: bytes) -> bool:
        """Write it, and wait for whoever reads; False, if it could not be written."""
        rest = memoryview(content)
        while rest:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:  # who started us may have made it so, for a use of their own
                if self._closing.is_set() and time.monotonic() > self._gives_up_at:
                    return False
                if not self._wait_for_room():
                    return False
            except OSError:  # whoever read the log is gone, or its disk is full
                return False
        return True

    def _wait_for_room(self) -> bool:
        """Wait a moment for the descriptor to take more; False, where nobody can tell."""
        try:
            select.select([], [self._descriptor], [], _BATCH_SECONDS)
        except (OSError, ValueError):
            return False
        return True


def _batches(lines: Iterable[bytes]) -> Iterator[list[bytes]]:
    """The lines, as many at a time as stay in one piece."""
    batch: list[bytes] = []
    size_bytes = 0
    for line in lines:
        if batch and size_bytes + len(line) > _WRITTEN_BYTES_MAX:
            yield batch
            batch, size_bytes = [], 0
        batch.append(line)
        size_bytes += len(line)
    if batch:
        yield batch


class _Form(ABC):
    """How lines look."""

    def answered(self, answered: Answered) -> bytes:
        """The line of a request that is over."""
        return self.filled(self.line_of(answered))

    @abstractmethod
    def line_of(self, answered: Answered) -> Line:
        """The same in two parts, between which the time stands."""

    @abstractmethod
    def time(self) -> bytes:
        """The time now, as lines of answers have it."""

    def filled(self, line: Line) -> bytes:
        """The line, with the time."""
        before, after = line
        return b"%b%b%b" % (before, self.time(), after)


class TextFormat(_Form):
    """Lines for people, and for tools that know the combined log format of web servers."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._second = 0
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
        self._second = 0
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
        now = self._clock()
        second = int(now)
        if second != self._second:
            self._time = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second)).encode()
            self._second = second
        return b"%b.%03dZ" % (self._time, int(now * 1000) % 1000)

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


class StderrLog(logging.Handler):
    """The log of a server that runs. Takes over what the libraries log, until it is closed."""

    def __init__(self, form: TextFormat | JsonFormat, descriptor: int) -> None:
        super().__init__()
        self._form = form
        self._lines = LineWriter(descriptor, self._tell_dropped)
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

    def answered(self, answered: Answered) -> bool:
        """Write that a request was answered. False: nobody reads so fast, and it was dropped."""
        return self._lines.put(self._form.answered(answered))

    def line_of(self, answered: Answered) -> Line:
        """What may be said `again`, whenever a request like this one is answered so."""
        return self._form.line_of(answered)

    def again(self, line: Line) -> bool:
        """Write that a request was answered as another one was before. As `answered`."""
        return self._lines.put(self._form.filled(line))

    def close(self) -> None:
        """Write what is left, and hear nobody any more."""
        for logger, level, propagate in self._before:
            logger.removeHandler(self)
            logger.setLevel(level)
            logger.propagate = propagate
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
