"""Upload to servers that die, and say what broke the promise: an empty list, if nothing did."""

import hashlib
import json
import os
import sys
import time
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from simpleindex.cli import main
from tests.builders import BuiltFile, an_upload_body
from tests.crash.shim import Shim
from tests.server import RunningServer, server_environment, server_of

RESTART_SECONDS_MAX = 2.0
"""Of the server's own work: what others on this machine do is not counted."""

ANSWER_SECONDS_MAX = 30.0
PASSWORD = "a-password-of-the-tests"

_LOGIN = "Basic " + b64encode(f"root:{PASSWORD}".encode()).decode()
_PAGE = "application/vnd.pypi.simple.v1+json"
_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


@dataclass(frozen=True, slots=True)
class Sent:
    """A file that was sent to an index of root's, and what came back."""

    index: str
    built: BuiltFile
    status: int | None
    """None: the connection broke before there was an answer."""

    @property
    def is_promised(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back from a request."""

    status: int | None
    """None: the connection broke before the answer was whole."""
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes

    @property
    def is_success(self) -> bool:
        return self.status is not None and 200 <= self.status < 300

    @property
    def line(self) -> str:
        """The beginning of it, to be shown."""
        return f"{self.status} {self.body[:200].decode(errors='replace').strip()}"


def init(serverdir: Path) -> None:
    """Make a server directory to which the clients below can upload."""
    assert main(["init", f"--serverdir={serverdir}", f"--root-passwd={PASSWORD}"]) == 0


@contextmanager
def launched(
    serverdir: Path,
    *options: str,
    sabotage: str | None = None,
    shim: Shim | None = None,
    under: Sequence[str] = (),
) -> Iterator[RunningServer]:
    """The real server, for the time of the block.

    It is spoiled by `launcher` if that is asked for, and watched by a shim. `under` is a program
    that runs it.
    """
    program = "simpleindex" if sabotage is None else "tests.crash.launcher"
    spoiled = [] if sabotage is None else [f"--sabotage={sabotage}", "--"]
    words = ["serve", f"--serverdir={serverdir}", "--port=0", "--no-access-log", *options]
    command = [*under, sys.executable, "-m", program, *spoiled, *words]
    environment = server_environment() if shim is None else shim.environment()
    with server_of(command, serverdir, environment) as server:
        yield server


class Client:
    """Root with a program that keeps its connection."""

    def __init__(self, server: RunningServer) -> None:
        self.serverdir = server.serverdir
        self._connection = HTTPConnection("127.0.0.1", server.port, timeout=ANSWER_SECONDS_MAX)

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    def make_index(self, index: str) -> None:
        """Create an index, of the kind that lets files be replaced."""
        answer = self.send("PUT", f"/{index}", {})
        assert answer.status in (200, 201), answer.line

    def upload(self, index: str, built: BuiltFile) -> Sent:
        """Upload a file; the server may die over it."""
        return Sent(index, built, self.post(f"/{index}/", an_upload_body(built)).status)

    def post(self, path: str, form: tuple[str, bytes]) -> Answer:
        """Send a form: its Content-Type, and the body."""
        return self.ask("POST", path, form[1], {"Content-Type": form[0]})

    def send(self, method: str, path: str, content: object) -> Answer:
        """Send JSON, and ask for it."""
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        return self.ask(method, path, json.dumps(content).encode(), headers)

    def get(self, path: str) -> tuple[int | None, bytes]:
        """What is at a path."""
        answer = self.ask("GET", path, None, {"Accept": _PAGE})
        return answer.status, answer.body

    def get_json(self, path: str) -> Any:
        """What devpi's API tells; None if that is nothing."""
        answer = self.ask("GET", path, None, {"Accept": "application/json"})
        if answer.status == 404:
            return None
        assert answer.status == 200, (path, answer.line)
        return json.loads(answer.body)["result"]

    def page(self, path: str) -> Any:
        """A simple page; one without entries where there is none."""
        status, body = self.get(path)
        if status == 404:
            return {"projects": [], "files": []}
        assert status == 200, (path, status, body)
        return json.loads(body)

    def serial(self) -> int:
        """Of the last change."""
        return int(self.ask("GET", "/+api", None, {}).headers["x-devpi-serial"])

    def ask(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        """Send a request; the server may die over it."""
        try:
            self._connection.request(method, path, body, {"Authorization": _LOGIN, **headers})
            answer = self._connection.getresponse()
            told = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, told, answer.read())
        except (OSError, HTTPException):
            self._connection.close()
            return Answer(None, {}, b"")


def client_of(server: RunningServer) -> closing[Client]:
    """A client for the time of a block."""
    return closing(Client(server))


@contextmanager
def restarted(
    serverdir: Path, broken: list[str], *options: str, **how: Any
) -> Iterator[RunningServer]:
    """Start a server again after a crash; that it takes too long is added to `broken`."""
    begun = time.monotonic()
    with launched(serverdir, *options, **how) as server:
        with client_of(server) as client:
            status, _ = client.get("/+api")
        seconds = min(time.monotonic() - begun, _seconds_worked(server.process.pid))
        if status != 200 or seconds > RESTART_SECONDS_MAX:
            broken.append(f"the restart answered with {status} after {seconds:.1f} s")
        yield server


def _seconds_worked(process: int) -> float:
    """How long a process has had a processor."""
    try:
        stated = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return float("inf")
    return (int(stated[11]) + int(stated[12])) / _TICKS_A_SECOND


def violations(server: RunningServer, sent: Sequence[Sent]) -> list[str]:
    """Where a server that was started after a crash breaks the promise.

    `sent` are the uploads to some indexes, all of them, in the order in which they were sent.
    Nothing else may be going on.
    """
    indexes = sorted({each.index for each in sent})
    with client_of(server) as client:
        shown = {index: _shown(client, index) for index in indexes}
        found = [
            *(f"{each.built.filename} was refused with {each.status}" for each in sent
              if each.status is not None and not each.is_promised),
            *_lost_or_strange(shown, sent),
            *(line for files in shown.values() for file in files for line in _broken(client, file)),
        ]  # fmt: skip
    for index in indexes:
        found += _strays(server.serverdir, index, shown[index])
    return [*found, *dead_drafts(server)]


def journal_violations(server: RunningServer, sent: Sequence[Sent]) -> list[str]:
    """Where the journal tells something else than the catalog.

    `sent` are the uploads to some indexes, all of them.
    """
    lines = (server.serverdir / "journal.jsonl").read_text("utf-8").splitlines()
    entries = [json.loads(line) for line in lines]
    with client_of(server) as client:
        serial = client.serial()
        indexes = sorted({each.index for each in sent})
        shown = {(index, file.filename, file.sha256)
                 for index in indexes for file in _shown(client, index)}  # fmt: skip
    found = []
    serials = [entry["serial"] for entry in entries]
    if serials != list(range(serial + 1)):
        found.append(f"the catalog is at serial {serial}, the journal has the serials {serials}")
    told: dict[tuple[str, str], str] = {}
    for kind, fact in (fact for entry in entries for fact in entry["facts"]):
        if kind == "file":
            told[fact["index"], fact["filename"]] = fact["sha256"]
        elif kind == "file removed":
            del told[fact["index"], fact["filename"]]
    in_journal = {(*name, sha256) for name, sha256 in told.items() if name[0] in indexes}
    if in_journal != shown:
        found.append(f"the journal and the pages differ by {sorted(in_journal ^ shown)}")
    return found


@dataclass(frozen=True, slots=True)
class _Shown:
    """A file as a simple page shows it."""

    filename: str
    path: str
    """Of its URL."""
    sha256: str
    metadata_sha256: str | None

    @property
    def on_disk(self) -> set[str]:
        """What has to lie below `files/` for it, and no more."""
        name = self.path.removeprefix("/")
        return {name} if self.metadata_sha256 is None else {name, f"{name}.metadata"}


def _shown(client: Client, index: str) -> list[_Shown]:
    root = f"/{index}/+simple/"
    files = []
    for project in client.page(root)["projects"]:
        page = f"{root}{project['name']}/"
        for file in client.page(page)["files"]:
            metadata = file.get("core-metadata") or {}
            path = urljoin(page, file["url"])
            sha256 = file["hashes"]["sha256"]
            files.append(_Shown(file["filename"], path, sha256, metadata.get("sha256")))
    return files


def _lost_or_strange(shown: Mapping[str, Sequence[_Shown]], sent: Sequence[Sent]) -> Iterator[str]:
    """Promised and not there; there and not sent; there twice."""
    may_be: dict[tuple[str, str], set[str | None]] = {}
    for each in sent:
        allowed = may_be.setdefault((each.index, each.built.filename), {None})
        if each.is_promised:
            allowed.clear()  # what came before has been replaced
        allowed.add(each.built.sha256)
    there: dict[tuple[str, str], str] = {}
    for index, files in shown.items():
        for file in files:
            if (index, file.filename) in there:
                yield f"{file.filename} is shown twice"
            there[index, file.filename] = file.sha256
    for key, allowed in may_be.items():
        sha256 = there.get(key)
        if sha256 is None and None not in allowed:
            yield f"{key[1]} was answered with success and is lost"
        elif sha256 not in allowed:
            yield f"{key[1]} is shown with the bytes of another upload"
    for _, filename in sorted(set(there) - set(may_be)):
        yield f"{filename} is shown, and nobody sent it"


def _broken(client: Client, file: _Shown) -> Iterator[str]:
    """Shown, and not there in full."""
    status, body = client.get(file.path)
    if status != 200 or hashlib.sha256(body).hexdigest() != file.sha256:
        yield f"{file.filename} is shown and does not download (status {status})"
    status, body = client.get(f"{file.path}.metadata")
    if status != 200 or hashlib.sha256(body).hexdigest() != file.metadata_sha256:
        yield f"{file.filename} is shown and its metadata does not download (status {status})"


def _strays(serverdir: Path, index: str, shown: Sequence[_Shown]) -> Iterator[str]:
    root = serverdir / "files"
    there = {
        path.relative_to(root).as_posix() for path in (root / index).rglob("*") if not path.is_dir()
    }
    recorded = {name for file in shown for name in file.on_disk}
    for name in sorted(there - recorded):
        yield f"files/{name} lies there without a record"


def dead_drafts(server: RunningServer) -> Iterator[str]:
    """What lies in `incoming/` but for the lock and the empty folder of the server that lives."""
    incoming = server.serverdir / "incoming"
    own = {f"{name}{suffix}" for name in _folders_of(server) for suffix in ("", ".lock")}
    for path in sorted(incoming.rglob("*")):
        name = path.relative_to(incoming).as_posix()
        if name not in own and not (path.is_dir() and name.partition("/")[0] in own):
            yield f"incoming/{name} is left over"


def _folders_of(server: RunningServer) -> list[str]:
    folders = [path.name for path in (server.serverdir / "incoming").iterdir() if path.is_dir()]
    return [name for name in folders if name.partition("-")[0] == str(server.process.pid)]
