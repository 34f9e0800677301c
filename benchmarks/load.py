"""Load on a server: wrk for reads, and a driver of our own for uploads, as lean as Python can."""

import base64
import http.client
import json
import re
import selectors
import shutil
import socket
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks.asking import ANSWER_SECONDS_MAX, FILE_HEADERS, read_answer
from benchmarks.corpus import small_wheel
from benchmarks.peers import ROOT_PASSWORD, Served
from benchmarks.processes import PeerFailed, pinned, run_to_end
from tests.builders import an_upload_body

WRK_CONNECTIONS = 16
_MB = 1_000_000
_ANSWER_BYTES_MAX = 64 << 10
_CONTENT_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *([0-9]+)")


class LoadFailed(Exception):
    """The server did not give the answers that were asked for, so there is no figure."""


@dataclass(frozen=True, slots=True)
class Target:
    """What is asked for again and again; several paths are asked for in turn.

    An answer with less of a body than `body_bytes_min` is a wrong one. With `are_unlike`, each
    request has a header that no other one has.
    """

    port: int
    paths: tuple[str, ...]
    headers: Mapping[str, str]
    body_bytes_min: int
    are_unlike: bool = False


@dataclass(frozen=True, slots=True)
class Answers:
    """What wrk counted."""

    per_second: float
    megabytes_per_second: float


@dataclass(frozen=True, slots=True)
class Upload:
    """The request body of one upload."""

    content_type: str
    body: bytes


def missing_wrk() -> str | None:
    """What has to be installed first; None when nothing is missing."""
    return None if shutil.which("wrk") else "wrk (apt install wrk)"


def run_wrk(
    target: Target,
    script: Path,
    *,
    seconds: int,
    core: int | None,
    connections: int = WRK_CONNECTIONS,
) -> Answers:
    """Ask for `seconds` on all connections. `script` is a file to write. Raises LoadFailed."""
    command = [
        *("wrk", "--threads", "1", "--connections", str(connections)),
        *("--duration", f"{seconds}s", "--timeout", f"{ANSWER_SECONDS_MAX:.0f}s"),
    ]
    for name, value in target.headers.items():
        command += ["--header", f"{name}: {value}"]
    if len(target.paths) > 1 or target.are_unlike:
        text = _UNLIKE_SCRIPT if target.are_unlike else _TURN_SCRIPT
        script.write_text(text.format(paths=json.dumps(target.paths)[1:-1]))
        command += ["--script", str(script)]
    command.append(f"http://127.0.0.1:{target.port}{target.paths[0]}")
    try:
        printed = run_to_end(pinned(command, core), seconds_max=seconds + ANSWER_SECONDS_MAX)
    except PeerFailed as failure:
        raise LoadFailed(str(failure)) from None
    return parse_wrk(printed, body_bytes_min=target.body_bytes_min)


def parse_wrk(printed: str, *, body_bytes_min: int) -> Answers:
    """What wrk's report says. Raises LoadFailed when any answer was not what it should be."""
    for error in ("Non-2xx or 3xx responses", "Socket errors"):
        found = re.search(rf"{error}: (.*)", printed)
        if found:
            raise LoadFailed(f"{error}: {found[1]}")
    count = re.search(r"(\d+) requests in ", printed)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", printed)
    transfer = re.search(r"Transfer/sec:\s+([\d.]+)([KMGT]?)B", printed)
    if not count or not rate or not transfer:
        raise LoadFailed(f"wrk printed no figures: {printed[-500:]}")
    answers_per_second = float(rate[1])
    bytes_per_second = float(transfer[1]) * 1024 ** " KMGT".index(transfer[2] or " ")
    # wrk counts redirects and empty answers as good ones. It rounds; heads are not counted here.
    if bytes_per_second < 0.95 * body_bytes_min * answers_per_second:
        raise LoadFailed(f"answers were shorter than {body_bytes_min} bytes")
    return Answers(
        per_second=answers_per_second,
        megabytes_per_second=bytes_per_second / _MB,
    )


def prepare_uploads(count: int, *, series: str) -> list[Upload]:
    """That many small wheels of as many projects; another `series`, other projects."""
    built = [small_wheel(f"bench-up-{series}-{number:05}", "1.0") for number in range(count)]
    return [Upload(*an_upload_body(each)) for each in built]


def run_uploads(
    served: Served,
    uploads: Sequence[Upload],
    headers: Mapping[str, str],
    *,
    connections: int,
    seconds_max: float,
) -> float:
    """Uploads a second, over keep-alive connections, until time or uploads run out.

    Raises LoadFailed at the first answer other than 200.
    """
    assert served.upload_path is not None
    path = served.upload_path
    # Whole requests, made before the clock starts: what is measured is the server.
    requests = [_upload_request(path, upload, headers) for upload in uploads]
    with _Uploading(requests, served.port, connections) as uploading:
        return uploading.rate(seconds_max)


def login_headers(served: Served) -> dict[str, str]:
    """What proves that we are root, as the devpi client sends it: a token, hashed by no server.

    (A password in each request would measure how dear each server's password hash is.)
    """
    login = json.dumps({"user": "root", "password": ROOT_PASSWORD})
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=ANSWER_SECONDS_MAX)
    try:
        connection.request("POST", "/+login", login, {"Content-Type": "application/json"})
        answer = read_answer(connection)
    finally:
        connection.close()
    if answer.status != 200:
        raise LoadFailed(f"login: {answer.status} {answer.body[:200]!r}")
    token = json.loads(answer.body)["result"]["password"]
    credentials = base64.b64encode(f"root:{token}".encode()).decode()
    return {"X-Devpi-Auth": credentials, "User-Agent": FILE_HEADERS["User-Agent"]}


def _upload_request(path: str, upload: Upload, headers: Mapping[str, str]) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", "Accept-Encoding: identity"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines += [f"Content-Type: {upload.content_type}", f"Content-Length: {len(upload.body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + upload.body


class _Uploading:
    """One thread that sends from all connections: several would wait for each other."""

    def __init__(self, requests: Sequence[bytes], port: int, connections: int) -> None:
        self._requests = iter(requests)
        self._done = 0
        self._selector = selectors.DefaultSelector()
        with ExitStack() as if_it_fails:
            if_it_fails.callback(self._selector.close)
            self._uploaders = [
                _Uploader(if_it_fails.enter_context(_connected(port))) for _ in range(connections)
            ]
            self._to_close = if_it_fails.pop_all()

    def __enter__(self) -> "_Uploading":
        return self

    def __exit__(self, *_: object) -> None:
        self._to_close.close()

    def rate(self, seconds_max: float) -> float:
        """Send until time or requests run out, read all answers; how many there were a second."""
        started = last_done = time.perf_counter()
        for uploader in self._uploaders:
            self._selector.register(uploader.connection, selectors.EVENT_READ, uploader)
            self._send_next(uploader)
        while any(uploader.is_waiting for uploader in self._uploaders):
            ready = self._selector.select(ANSWER_SECONDS_MAX)
            if not ready:
                raise LoadFailed(f"upload: no answer in {ANSWER_SECONDS_MAX:.0f} seconds")
            for key, events in ready:
                if not self._go_on(key.data, events):
                    continue
                self._done += 1
                last_done = time.perf_counter()
                if last_done - started < seconds_max:
                    self._send_next(key.data)
        return self._done / (last_done - started)

    def _send_next(self, uploader: "_Uploader") -> None:
        request = next(self._requests, None)
        if request is not None:
            uploader.begin(request)
            self._send(uploader)

    def _go_on(self, uploader: "_Uploader", events: int) -> bool:
        """Send and read as far as that goes; whether the answer has come. Raises LoadFailed."""
        if events & selectors.EVENT_WRITE:
            self._send(uploader)
        return bool(events & selectors.EVENT_READ) and uploader.has_read_all()

    def _send(self, uploader: "_Uploader") -> None:
        events = selectors.EVENT_READ
        if not uploader.has_sent_all():
            events |= selectors.EVENT_WRITE
        if self._selector.get_key(uploader.connection).events != events:
            self._selector.modify(uploader.connection, events, uploader)


class _Uploader:
    """One connection, and where its request and the answer to it have got to."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.is_waiting = False
        """Whether an answer is to come."""
        self._rest = memoryview(b"")
        self._answer = b""

    def begin(self, request: bytes) -> None:
        """Let a request be the next that is sent."""
        self._rest, self._answer, self.is_waiting = memoryview(request), b"", True

    def has_sent_all(self) -> bool:
        """Send on, as far as that goes at once; whether nothing is left. Raises LoadFailed."""
        try:
            while self._rest:
                self._rest = self._rest[self.connection.send(self._rest) :]
        except BlockingIOError:
            return False
        except OSError as error:
            raise LoadFailed(f"upload: {error!r}") from error
        return True

    def has_read_all(self) -> bool:
        """Read on; whether the answer is whole. Raises LoadFailed for any but 200."""
        try:
            received = self.connection.recv(_ANSWER_BYTES_MAX)
        except OSError as error:
            raise LoadFailed(f"upload: {error!r}") from error
        self._answer += received
        head, is_whole, body = self._answer.partition(b"\r\n\r\n")
        if not received or (is_whole and not head.startswith(b"HTTP/1.1 200 ")):
            raise LoadFailed(f"upload: {self._answer[:200]!r}")
        if not is_whole:
            return False
        length = _CONTENT_LENGTH.search(head)
        if length is None:
            raise LoadFailed(f"upload: an answer without a length: {head!r}")
        self.is_waiting = len(body) < int(length[1])
        return not self.is_waiting


def _connected(port: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), ANSWER_SECONDS_MAX)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setblocking(False)
    return connection


# The requests are made before the clock starts; braces are doubled for str.format.
_TURN_SCRIPT = """\
local paths = {{ {paths} }}
local requests = {{}}
local turn = 0

init = function(arguments)
    for place, path in ipairs(paths) do
        requests[place] = wrk.format("GET", path)
    end
end

request = function()
    turn = turn % #requests + 1
    return requests[turn]
end
"""

# As above; what makes requests unlike is put in between two parts that are made before, too.
_UNLIKE_SCRIPT = """\
local paths = {{ {paths} }}
local requests = {{}}
local turn = 0
local number = 0

init = function(arguments)
    wrk.headers["X-Number"] = "@"
    for place, path in ipairs(paths) do
        local request = wrk.format("GET", path)
        local at = string.find(request, "X-Number: @", 1, true) + #"X-Number: "
        requests[place] = {{ string.sub(request, 1, at - 1), string.sub(request, at + 1) }}
    end
end

request = function()
    turn = turn % #requests + 1
    number = number + 1
    return requests[turn][1] .. number .. requests[turn][2]
end
"""
