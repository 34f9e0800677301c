"""Says again what another server has said: the least that an event loop can do for an answer.

A program of its own: `python parrot.py PORT`, the other server's port. It looks at nothing of a
request but whether its bytes are known, so that no server written for this loop can be quicker.
"""

import asyncio
import importlib.util
import re
import socket
import sys
from typing import cast

_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)\r\n", re.IGNORECASE)
_END_OF_HEAD = b"\r\n\r\n"
_ANSWER_SECONDS_MAX = 30.0


def whole_answer(port: int, request: bytes) -> bytes:
    """All that the server at a port sends to a request. Raises OSError."""
    with socket.create_connection(("127.0.0.1", port), _ANSWER_SECONDS_MAX) as connection:
        connection.sendall(request)
        answer = b""
        while _END_OF_HEAD not in answer:
            answer += _more(connection)
        head = answer[: answer.index(_END_OF_HEAD) + len(_END_OF_HEAD)]
        found = _LENGTH.search(head)
        is_without_body = b" 304 " in head.partition(b"\r\n")[0]
        size_bytes = 0 if found is None or is_without_body else int(found[1])
        while len(answer) < len(head) + size_bytes:
            answer += _more(connection)
        return answer


def _more(connection: socket.socket) -> bytes:
    came = connection.recv(1 << 20)
    if not came:
        raise ConnectionError("the answer was cut")
    return came


class Parrot(asyncio.Protocol):
    """A connection; `answers` are those of all connections, by request."""

    def __init__(self, port: int, answers: dict[bytes, bytes]) -> None:
        self._port = port
        self._answers = answers
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way to the client."""
        self._transport = cast(asyncio.Transport, transport)  # that of uvloop says it is none

    def data_received(self, data: bytes) -> None:
        """Answer; the load sends its requests whole, and one at a time."""
        answer = self._answers.get(data)
        if answer is None:
            answer = self._answers[data] = whole_answer(self._port, data)
        self._transport.write(answer)


async def main(port: int) -> None:
    """Answer until somebody ends it; its own port is printed first."""
    answers: dict[bytes, bytes] = {}
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Parrot(port, answers), "127.0.0.1", 0)
    own_port = server.sockets[0].getsockname()[1]
    print(f"http://127.0.0.1:{own_port}/", flush=True)
    await server.serve_forever()


def use_fast_loop() -> None:
    """Use the loop that the server which is measured would use; it is not everywhere."""
    if importlib.util.find_spec("uvloop") is not None:
        importlib.import_module("uvloop").install()


if __name__ == "__main__":
    use_fast_loop()
    asyncio.run(main(int(sys.argv[1])))
