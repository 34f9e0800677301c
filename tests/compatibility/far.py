"""An index elsewhere, neither of the servers compared, that takes whatever is sent to it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True, slots=True)
class FarIndex:
    """An index that listens."""

    url: str
    forms: list[bytes]
    """What was sent to it, in order."""


@contextmanager
def far_index() -> Iterator[FarIndex]:
    """Listen on a free port of the loopback interface, for the time of the block."""
    forms: list[bytes] = []

    class Answering(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            forms.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield FarIndex(f"http://127.0.0.1:{server.server_port}/", forms)
        finally:
            server.shutdown()
            thread.join()
