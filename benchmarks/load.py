"""Load on a server: wrk for reads, and a driver of our own for uploads."""

import base64
import http.client
import json
import re
import shutil
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.asking import ANSWER_SECONDS_MAX, FILE_HEADERS, read_answer
from benchmarks.corpus import small_wheel
from benchmarks.peers import ROOT_PASSWORD, Served
from benchmarks.processes import PeerFailed, pinned, run_to_end
from tests.builders import an_upload_body

WRK_CONNECTIONS = 16
_MB = 1_000_000


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
    stream = _SharedUploads(uploads, seconds_max)
    threads = [
        threading.Thread(target=_send_uploads, args=(served, stream, headers))
        for _ in range(connections)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if stream.failures:
        raise LoadFailed(stream.failures[0])
    return stream.rate


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


class _SharedUploads:
    """What several connections take their next upload from."""

    def __init__(self, uploads: Sequence[Upload], seconds_max: float) -> None:
        self.failures: list[str] = []
        self._uploads = iter(uploads)
        self._lock = threading.Lock()
        self._started = time.perf_counter()
        self._last_done = self._started
        self._deadline = self._started + seconds_max
        self._done = 0

    def __iter__(self) -> Iterator[Upload]:
        while True:
            with self._lock:
                if self.failures or time.perf_counter() > self._deadline:
                    return
                upload = next(self._uploads, None)
            if upload is None:
                return
            yield upload

    def count_done(self) -> None:
        with self._lock:
            self._done += 1
            self._last_done = time.perf_counter()

    @property
    def rate(self) -> float:
        return self._done / (self._last_done - self._started)


def _send_uploads(served: Served, stream: _SharedUploads, headers: Mapping[str, str]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=ANSWER_SECONDS_MAX)
    assert served.upload_path is not None
    try:
        for upload in stream:
            content_type = {"Content-Type": upload.content_type}
            connection.request("POST", served.upload_path, upload.body, {**headers, **content_type})
            answer = read_answer(connection)
            if answer.status != 200:
                stream.failures.append(f"upload: {answer.status} {answer.body[:200]!r}")
                return
            stream.count_done()
    except (OSError, http.client.HTTPException) as error:
        stream.failures.append(f"upload: {error!r}")
    finally:
        connection.close()


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
