"""What says again what our server has said, as the limit of all that its event loop can do."""

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks.asking import FILE_HEADERS, JSON_PAGE_HEADERS, ask, file_paths
from benchmarks.corpus import build_chain_corpus
from benchmarks.limit_peer import LimitPeer
from benchmarks.lineup import LineUp
from benchmarks.parrot import Parrot, whole_answer
from benchmarks.peers import SimpleindexPeer
from tests.lines import Clock, Line

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


@contextmanager
def a_server(*parts: Sequence[bytes]) -> Iterator[int]:
    """Its port; each connection is sent the next answer, part by part, and then is closed."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            for sent in parts:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(1000)
                    for part in sent:
                        connection.sendall(part)

        thread = threading.Thread(target=answer)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


@pytest.mark.parametrize(
    "parts",
    [
        (b"HTTP/1.1 200 OK\r\nContent-Le", b"ngth: 5\r\n\r\nhe", b"llo"),
        (b"HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n",),
        (b"HTTP/1.1 404 Not Found\r\n\r\n",),
    ],
    ids=["in parts", "not modified", "nothing"],
)
def test_an_answer_is_taken_whole(parts: Sequence[bytes]) -> None:
    with a_server(parts) as port:
        assert whole_answer(port, REQUEST) == b"".join(parts)


def test_an_answer_that_is_cut_is_none() -> None:
    with (
        a_server([b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe"]) as port,
        pytest.raises(OSError, match="cut"),
    ):
        whole_answer(port, REQUEST)


def test_what_is_asked_again_is_asked_of_nobody_else() -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
    clock = Clock()
    with a_server([answer]) as port:  # once
        parrot, line = Parrot(port, {}), Line(clock, "192.0.2.1")
        parrot.connection_made(line)
        for _ in range(3):
            parrot.data_received(REQUEST)
    clock.close()
    assert line.heard == answer * 3


def test_it_gives_the_pages_and_files_of_ours(tmp_path: Path) -> None:
    corpus = build_chain_corpus(tmp_path / "wheels", ("bench-one",))
    limit = LineUp().add(LimitPeer(SimpleindexPeer()), corpus, tmp_path)
    assert limit is not None
    with limit.started(None) as served:
        path = served.json_page_path.format(project="bench-one")
        for _ in range(2):
            page = ask(served.port, path, JSON_PAGE_HEADERS)
            for filename, file_path in file_paths(page, path).items():
                file = ask(served.port, file_path, FILE_HEADERS)
                assert file.body == (corpus.wheels / filename).read_bytes()
