"""The lines that are written about requests and failures: whole, in one piece, without secrets."""

import json
import logging
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil
from pathlib import Path
from typing import Any

import pytest

from simpleindex import line_writer
from simpleindex.events import Answered, Door
from simpleindex.line_writer import LineWriter
from simpleindex.log_lines import JsonFormat, StderrLog, TextFormat
from simpleindex_storage.errors import Unavailable

WHEN = 1_795_397_799.25  # 2026-11-23 01:36:39.25 UTC
SEEN = Answered(
    door=Door.PAGE,
    method="GET",
    status=200,
    seconds=0.01234,
    received_bytes=0,
    sent_bytes=512,
    target=b"/root/local/+simple/demo/",
    address="192.0.2.7",
    user="alice",
    user_agent=b"pip/26.2",
)
COMBINED = re.compile(
    r"(?P<address>\S+) - (?P<user>\S+) \[(?P<time>[^\]]+)\] "
    r'"(?P<request>(?:[^"\\]|\\.)*)" (?P<status>\d{3}) (?P<bytes>\d+) "-" '
    r'"(?P<agent>(?:[^"\\]|\\.)*)" (?P<seconds>\d+\.\d{3})\n'
)

HOSTILE = {
    "a line": b'/a\r\n192.0.2.1 - root [x] "GET / HTTP/1.1" 200 0',
    "a terminal": b"/a\x1b[2J\x1b]0;x\x07",
    "not UTF-8": b"/a\xff\xfe\x80",
    "quotes": b'/a"b\\"c',
    "nothing printable": bytes(range(32)) + b"\x7f\x85\xe2\x80\xa8",
    "an account": b"http://root:hushhush@127.0.0.1/a",
    "very long": b"/" + b"a" * 100_000,
}


def text(answered: Answered) -> str:
    return TextFormat(lambda: WHEN).answered(answered).decode("ascii")


def parsed(answered: Answered) -> dict[str, Any]:
    line = JsonFormat(lambda: WHEN).answered(answered)
    assert line.endswith(b"}\n") and line.count(b"\n") == 1
    found: dict[str, Any] = json.loads(line)
    return found


def test_an_answer_is_told_in_the_combined_format_with_its_seconds() -> None:
    assert text(SEEN) == (
        '192.0.2.7 - alice [23/Nov/2026:01:36:39 +0000] "GET /root/local/+simple/demo/ HTTP/1.1" '
        '200 512 "-" "pip/26.2" 0.012\n'
    )


def test_an_answer_is_told_as_one_object() -> None:
    assert parsed(SEEN) == {
        "time": "2026-11-23T01:36:39.250Z",
        "level": "info",
        "logger": "simpleindex.access",
        "message": "GET /root/local/+simple/demo/ 200",
        "method": "GET",
        "path": "/root/local/+simple/demo/",
        "status": 200,
        "bytes": 512,
        "received_bytes": 0,
        "duration_seconds": 0.01234,
        "door": "page",
        "address": "192.0.2.7",
        "user": "alice",
        "user_agent": "pip/26.2",
    }


def test_what_is_not_known_is_left_open() -> None:
    unknown = SEEN._replace(address=None, user=None, user_agent=None)
    match = COMBINED.fullmatch(text(unknown))
    assert match is not None
    assert (match["address"], match["user"], match["agent"]) == ("-", "-", "-")
    told = parsed(unknown)
    assert (told["address"], told["user"], told["user_agent"]) == (None, None, None)


@pytest.mark.parametrize("raw", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("field", ["target", "user_agent", "method", "address", "user"])
def test_whatever_is_sent_stays_one_line_of_printable_text(field: str, raw: bytes) -> None:
    value: Any = raw if field in ("target", "user_agent") else raw.decode("latin-1")
    hostile = SEEN._replace(**{field: value})
    line = text(hostile)
    match = COMBINED.fullmatch(line)
    assert match is not None, line
    assert line[:-1].isprintable() and len(line) < 10_000
    assert match["status"] == "200" and match["bytes"] == "512"
    told = parsed(hostile)
    assert told["status"] == 200
    assert "hushhush" not in line + json.dumps(told)
    assert JsonFormat().answered(hostile)[:-1].decode("ascii").replace("\x7f", "").isprintable()


def test_bytes_that_are_text_are_told_as_that_in_json() -> None:
    assert parsed(SEEN._replace(user_agent="Grüße".encode()))["user_agent"] == "Grüße"
    assert parsed(SEEN._replace(user_agent=b"\xff"))["user_agent"] == "\\xff"


def test_the_time_is_that_of_the_moment() -> None:
    now = [0.0]
    text, parsed = TextFormat(lambda: now[0]), JsonFormat(lambda: now[0])
    seen = []
    # The first moment of a machine whose clock has no battery; and one that is put back.
    for now[0] in (0, WHEN, WHEN + 0.001, WHEN + 0.751, WHEN + 60.751, WHEN + 0.751):
        seen.append((text.time(), parsed.time()))
    assert seen == [
        (b"01/Jan/1970:00:00:00 +0000", b"1970-01-01T00:00:00.000Z"),
        (b"23/Nov/2026:01:36:39 +0000", b"2026-11-23T01:36:39.250Z"),
        (b"23/Nov/2026:01:36:39 +0000", b"2026-11-23T01:36:39.251Z"),
        (b"23/Nov/2026:01:36:40 +0000", b"2026-11-23T01:36:40.001Z"),
        (b"23/Nov/2026:01:37:40 +0000", b"2026-11-23T01:37:40.001Z"),
        (b"23/Nov/2026:01:36:40 +0000", b"2026-11-23T01:36:40.001Z"),
    ]


@pytest.mark.parametrize("form", [TextFormat(), JsonFormat()], ids=["text", "json"])
def test_a_message_forges_no_line_and_tells_no_account(form: TextFormat | JsonFormat) -> None:
    message = "no page of http://root:hushhush@up.example/\n2026 forged \x1b[2J"
    line = form.record(a_record(message)).decode()
    assert line.count("\n") == 1 and line[:-1].isprintable()
    assert "up.example" in line and "hushhush" not in line
    if isinstance(form, JsonFormat):
        told = json.loads(line)
        assert (told["level"], told["logger"]) == ("warning", "simpleindex")


def test_text_that_is_none_is_told_all_the_same() -> None:
    assert TextFormat().record(a_record("lone \ud800 surrogate"))
    assert json.loads(JsonFormat().record(a_record("lone \ud800 surrogate")))["message"]


def test_a_traceback_is_set_in_and_forges_no_line() -> None:
    record = a_record("it failed")
    try:
        raise ValueError("one\n2026-11-23 two http://a:hushhush@up.example/")
    except ValueError as error:
        record.exc_info = (ValueError, error, error.__traceback__)
    first, *rest = TextFormat().record(record).decode().splitlines()
    assert first.endswith("it failed")
    assert rest[0] == "    Traceback (most recent call last):"
    assert all(line.startswith("    ") for line in rest)
    told = json.loads(JsonFormat().record(record))
    assert told["message"] == "it failed" and "ValueError" in told["exception"]
    assert "hushhush" not in "".join(rest) + told["exception"]


def a_record(message: str) -> logging.LogRecord:
    return logging.LogRecord("simpleindex", logging.WARNING, __file__, 1, message, None, None)


# Writing


@contextmanager
def a_pipe() -> Iterator[tuple[int, int]]:
    """Both ends of a pipe; of the writing end, a copy is to be closed by whoever wants to."""
    reading, writing = os.pipe()
    try:
        yield reading, writing
    finally:
        os.close(reading)


def tell(number: int) -> bytes:
    return b"%d dropped\n" % number


def test_lines_come_out_in_order_and_all_of_them_before_it_is_closed() -> None:
    with a_pipe() as (reading, writing):
        lines = LineWriter(writing, tell)
        sent = [b"%d %s\n" % (number, b"x" * (number % 100)) for number in range(1000)]
        reader = Reader(reading)
        for line in sent:
            assert lines.put(line)
        lines.close()
        os.close(writing)
        assert reader.all() == b"".join(sent)


def test_an_urgent_line_takes_along_what_waits() -> None:
    with a_pipe() as (reading, writing):
        lines = LineWriter(writing, tell)
        lines.put(b"first\n")
        lines.put(b"second\n", urgent=True)
        told = b""
        while not told.endswith(b"second\n"):
            told += os.read(reading, 100)
        assert told == b"first\nsecond\n"
        lines.close()
        os.close(writing)


def test_nobody_waits_for_a_pipe_that_is_not_read_and_the_dropped_are_told() -> None:
    with a_pipe() as (reading, writing):
        lines = LineWriter(writing, tell)
        line = b"x" * 999 + b"\n"
        taken = sum(lines.put(line) for _ in range(3000))  # three times what may wait
        assert 1000 < taken < 3000
        reader = Reader(reading)
        lines.put(b"later\n", urgent=True)
        lines.close()
        os.close(writing)
        written = reader.all()
    told = [int(found) for found in re.findall(rb"^(\d+) dropped$", written, re.MULTILINE)]
    assert written.count(line) == taken
    assert sum(told) in (3000 - taken, 3001 - taken)


def test_lines_of_several_processes_on_one_pipe_stay_whole() -> None:
    """What is written at once fits into PIPE_BUF, which makes it atomic."""
    with a_pipe() as (reading, writing):
        reader = Reader(reading)
        writers = [LineWriter(writing, tell) for _ in range(3)]
        for number in range(2000):
            for writer, letter in zip(writers, b"abc", strict=True):
                writer.put(bytes([letter]) * (number % 300 + 1) + b"\n")
        for writer in writers:
            writer.close()
        os.close(writing)
        lines = reader.all().splitlines()
    assert len(lines) == 6000
    assert all(len(set(line)) == 1 for line in lines)


def test_a_pipe_that_nobody_reads_any_more_is_no_trouble() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    lines = LineWriter(writing, tell)
    assert lines.put(b"for nobody\n", urgent=True)
    lines.close()
    os.close(writing)


def test_a_pipe_that_must_not_block_is_waited_for_and_loses_nothing() -> None:
    with a_pipe() as (reading, writing):
        os.set_blocking(writing, False)
        lines = LineWriter(writing, tell)
        sent = [b"%d %s\n" % (number, b"x" * 999) for number in range(500)]  # no pipe holds it all
        for line in sent:
            assert lines.put(line)
        reader = Reader(reading)
        lines.close()
        os.close(writing)
        assert reader.all() == b"".join(sent)


def test_a_pipe_that_must_not_block_keeps_nobody_who_closes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(line_writer, "_CLOSE_SECONDS_MAX", 0.1)
    with a_pipe() as (_, writing):
        os.set_blocking(writing, False)
        lines = LineWriter(writing, tell)
        for number in range(500):
            lines.put(b"%d %s\n" % (number, b"x" * 999))
        lines.close()
        ended(lines)
        os.close(writing)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no file that is always full")
def test_lines_that_a_full_disk_refuses_are_told_of_when_there_is_room() -> None:
    with a_pipe() as (reading, writing):
        descriptor = os.open("/dev/full", os.O_WRONLY)
        lines = LineWriter(descriptor, tell)
        for _ in range(3):
            lines.put(b"lost\n")
        lines.put(b"lost\n" * 2, lines=2)
        lines.close()
        lines.put(b"lost too, and with it how many were\n")
        lines.close()
        os.dup2(writing, descriptor)
        lines.put(b"later\n")
        lines.close()
        os.close(writing)
        os.close(descriptor)
        assert Reader(reading).all() == b"later\n6 dropped\n"


def test_whoever_closes_while_lines_are_being_fetched_is_heard() -> None:
    class Interrupted(threading.Event):
        def clear(self) -> None:
            lines._closing.set()  # what `close` does, at the worst moment
            lines._urgent.set()
            self.set()
            super().clear()

    with a_pipe() as (reading, writing):
        lines = LineWriter(writing, tell)
        lines._some = Interrupted()
        lines.put(b"line\n", urgent=True)
        ended(lines)
        os.close(writing)
        assert Reader(reading).all() == b"line\n"


def ended(lines: LineWriter) -> None:
    """Wait for the end of the thread that writes. Fails if it does not come."""
    assert lines._thread is not None
    lines._thread.join(10)
    assert not lines._thread.is_alive()


def test_the_log_of_a_server_takes_over_and_lets_go() -> None:
    with a_pipe() as (reading, writing):
        logger = logging.getLogger("simpleindex")
        before = (logger.level, logger.propagate, list(logger.handlers))
        log = StderrLog(JsonFormat(), writing)
        assert not log.answered(SEEN)
        logger.warning("%s has happened", "something")
        try:
            raise Unavailable("upstream is down")
        except Unavailable:
            logging.getLogger("uvicorn.error").exception("Exception in ASGI application")
        log.close()
        os.close(writing)
        told = [json.loads(line) for line in Reader(reading).all().splitlines()]
        assert (logger.level, logger.propagate, list(logger.handlers)) == before
    assert [each["message"] for each in told] == [
        "GET /root/local/+simple/demo/ 200",
        "something has happened",
        "an answer was cut: upstream is down",
    ]
    assert "exception" not in told[-1]


@contextmanager
def a_log(descriptor: int) -> Iterator[StderrLog]:
    log = StderrLog(TextFormat(lambda: WHEN), descriptor)
    try:
        yield log
    finally:
        log.close()
        os.close(descriptor)


def test_answers_that_are_given_again_wait_for_more_but_keep_their_turn() -> None:
    with a_pipe() as (reading, writing):
        with a_log(writing) as log:
            first, second = (
                log.line_of(SEEN._replace(target=path)) for path in (b"/first", b"/second")
            )
            for line in (first, second, first):
                assert not log.again(line)
            assert not log.answered(SEEN._replace(target=b"/third"))
            assert not log.again(second)
            assert not log.write_all()
            assert not log.again(first)
        lines = Reader(reading).all().decode().splitlines(keepends=True)
    matches = [COMBINED.fullmatch(line) for line in lines]
    asked = [match["request"].split()[1] for match in matches if match]
    assert asked == ["/first", "/second", "/first", "/third", "/second", "/first"]
    assert lines[0] == text(SEEN._replace(target=b"/first"))


def test_what_waits_for_more_is_written_in_pieces_that_stay_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sizes_bytes: list[int] = []
    write = os.write
    with a_pipe() as (reading, writing):

        def noted(descriptor: int, content: bytes) -> int:
            if descriptor == writing:
                sizes_bytes.append(len(content))
            return write(descriptor, content)

        monkeypatch.setattr(os, "write", noted)
        reader = Reader(reading)
        with a_log(writing) as log:
            line = log.line_of(SEEN)
            for _ in range(1000):
                assert not log.again(line)
        assert reader.all().decode() == text(SEEN) * 1000
    assert max(sizes_bytes) <= 4096
    assert len(sizes_bytes) == ceil(1000 / (4096 // len(text(SEEN))))


def test_a_line_that_fits_into_no_piece_is_written_whole_and_in_its_turn() -> None:
    long, short = (SEEN._replace(target=path) for path in (b"\xff" * 2000, b"/short"))
    with a_pipe() as (reading, writing):
        reader = Reader(reading)
        with a_log(writing) as log:
            for answered in (short, long, short, long, long):
                assert not log.again(log.line_of(answered))
        told = reader.all().decode()
    assert len(text(long)) > 4096
    assert told == "".join(map(text, (short, long, short, long, long)))


def test_of_answers_that_are_given_again_each_that_is_dropped_is_counted() -> None:
    with a_pipe() as (reading, writing):
        with a_log(writing) as log:
            line = log.line_of(SEEN)
            dropped = sum(log.again(line) for _ in range(30_000)) + log.write_all()
            assert dropped
            reader = Reader(reading)
        written = reader.all().decode()
    assert written.count(text(SEEN)) == 30_000 - dropped
    told = re.findall(r" (\d+) lines of the log were dropped: whoever reads", written)
    assert sum(map(int, told)) == dropped


class Reader:
    """Reads a pipe to its end, in a thread."""

    def __init__(self, descriptor: int) -> None:
        self._content = b""
        self._descriptor = descriptor
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        while chunk := os.read(self._descriptor, 1 << 16):
            self._content += chunk

    def all(self) -> bytes:
        self._thread.join()
        return self._content
