"""Pages at a steady pace: no stall of a server is hidden."""

import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from benchmarks.latency import percentile
from benchmarks.pace import Pace, ask_paced, run_paced
from benchmarks.processes import PeerFailed

GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CLOSING = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
STALL_SECONDS = 0.3

Answering = Callable[[int], bytes]
"""From the number of a request, counted from 0, to what is sent; nothing: the connection ends."""


@contextmanager
def a_server(answer: Answering) -> Iterator[int]:
    """Its port; each request is answered by whatever the function gives."""
    numbers = iter(range(1_000_000))

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while line := self.rfile.readline():
                while line not in {b"\r\n", b""}:
                    line = self.rfile.readline()
                sent = answer(next(numbers))
                self.wfile.write(sent)
                if not sent or b"close" in sent:
                    return

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def a_pace(port: int, *, connections: int = 1, requests: int = 40, per_second: float = 200) -> Pace:
    return Pace(port, ["/one", "/two"], {"Accept": "*/*"}, per_second, connections, requests / 200)


def test_a_stall_counts_for_all_that_were_due_in_it() -> None:
    def stalling(number: int) -> bytes:
        if number == 5:
            time.sleep(STALL_SECONDS)  # the fault itself
        return GOOD

    with a_server(stalling) as port:
        answers = ask_paced(a_pace(port)).answers
    assert len(answers) == 40
    # The stall is longer than all that was still to be asked for, so each of these waited.
    assert sum(seconds > STALL_SECONDS / 3 for seconds in answers) >= 30


@pytest.mark.parametrize("answer", [GOOD, CLOSING, CHUNKED], ids=["length", "closing", "chunked"])
def test_every_request_is_answered_whatever_the_form(answer: bytes) -> None:
    with a_server(lambda _: answer) as port:
        paced = ask_paced(a_pace(port, connections=4))
    assert [len(paced.answers), len(paced.own_delays)] == [40, 40]


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        pytest.param(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", "503", id="refused"),
        pytest.param(b"", "closed before the answer was whole", id="cut"),
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\n", "neither length nor chunks", id="endless"),
    ],
)
def test_an_answer_that_is_none_is_no_figure(answer: bytes, told: str) -> None:
    with a_server(lambda _: answer) as port, pytest.raises(PeerFailed, match=told):
        ask_paced(a_pace(port))


def test_a_process_of_its_own_asks_as_well() -> None:
    with a_server(lambda _: GOOD) as port:
        assert len(run_paced(a_pace(port), None).answers) == 40


def test_a_percentile_is_one_of_the_values() -> None:
    values = [float(number) for number in range(1, 101)]
    assert [percentile(values, percent) for percent in (1, 50, 99, 100)] == [1, 50, 99, 100]
    assert percentile([3.0], 99) == 3.0
