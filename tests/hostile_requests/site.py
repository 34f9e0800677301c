"""The server that is attacked, and what is looked at before and after."""

import json
import re
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from tests.builders import a_wheel
from tests.documents import send_documentation
from tests.hostile_requests.attack import ESCAPED, MARKUP
from tests.hostile_requests.doors import DOORS, FILE, INDEX, Door, Request
from tests.hostile_requests.talking import Answer, Line
from tests.routes.sites import DEVPI, V1_JSON, WHEEL, a_site, prepare
from tests.server import RunningServer, running_server

Handles: TypeAlias = Counter[str]

PROXY = "127.0.0.2"
"""The address of a proxy that the server trusts."""

_SETTLED_SECONDS_MAX = 20.0
_PRINTABLE = r"[^\x00-\x1f\x7f-\x9f\u2028\u2029]*"
_LOG_LINE = re.compile(
    rf"[0-9-]{{10}} [0-9:]{{8}},[0-9]{{3}} {_PRINTABLE}"  # of a failure
    rf'|[^ ]+( by way of [^ ]+)? - [^ ]+ \[[^]]+\] "{_PRINTABLE}" [0-9]{{3}} [0-9]+ {_PRINTABLE}'
)
_GOOD = (
    Request(b"GET", f"{INDEX}/+simple/demo/".encode()),
    Request(b"GET", f"{INDEX}/+simple/".encode(), ((b"Accept", V1_JSON.encode()),)),
    Request(b"GET", INDEX.encode(), ((b"Accept", DEVPI.encode()),)),
    Request(b"GET", b"/", ((b"Accept", b"text/html"),)),
    Request(b"GET", b"/"),
    Request(b"GET", FILE.encode()),
)


@dataclass(frozen=True, slots=True)
class Seen:
    """What no attack may change."""

    answers: tuple[tuple[int, bytes], ...]
    """To good requests, and the serial of the last change."""
    paths: tuple[str, ...]
    """All files and folders of the server's, and beside them."""
    handles: str
    """What the server has open although nobody is there."""


@dataclass(frozen=True, slots=True)
class Site:
    """One real server."""

    server: RunningServer
    root: bytes
    """An Authorization header."""
    usual: Mapping[Door, Answer]
    """What each door answers to a good request of somebody who is not logged in."""
    idle: Handles
    """What the server had open before anybody was there."""

    def seen(self) -> Seen:
        """What there is, once no connection is open any more."""
        with Line(self.server.port) as line:
            answers = [line.ask(request.content) for request in _GOOD]
        return Seen(
            tuple((each.status, each.body) for each in answers),
            self._paths(),
            self._handles_left(),
        )

    def kilobytes(self) -> int:
        """The resident memory of the server's process."""
        status = Path(f"/proc/{self.server.process.pid}/status").read_text("ascii")
        found = re.search(r"VmRSS:\s+([0-9]+) kB", status)
        assert found is not None
        return int(found[1])

    def odd_log_lines(self) -> list[str]:
        """Lines of the log that are not ours, or that hold what no terminal should get."""
        lines = self.server.log.read_bytes().decode("utf-8", "backslashreplace").split("\n")
        return [line for line in lines if line and not _LOG_LINE.fullmatch(line)]

    def escaped(self) -> list[Path]:
        """Files that some attack wanted to have written."""
        above = [*self.server.serverdir.parents, Path.cwd(), Path.home()]
        return [path for folder in above for path in folder.glob(f"*{ESCAPED}*")]

    def _paths(self) -> tuple[str, ...]:
        around = self.server.serverdir.parent
        found = (path.relative_to(around).as_posix() for path in around.rglob("*"))
        return tuple(sorted(path for path in found if not path.endswith(("-wal", "-shm"))))

    def _handles_left(self) -> str:
        """What is open that was not open at first; connections take a moment to go."""
        deadline = time.monotonic() + _SETTLED_SECONDS_MAX
        while left := _handles(self.server) - self.idle:
            if time.monotonic() > deadline:
                break
            time.sleep(0.02)
        return str(left)


@contextmanager
def attacked_site(folder: Path) -> Iterator[Site]:
    """A server with something of everything in it, for the time of the block."""
    serverdir = folder / "data"
    prepare(serverdir)
    with a_site(serverdir) as site:
        site.make_index("root/local", acl_upload=("root",), acl_toxresult_upload=("root",))
        site.make_index("root/other", acl_upload=("root",))
        site.add(WHEEL, a_wheel("marked", requires_python=">=3.8,<4"))
        assert send_documentation(site).status == 200
        titled = json.dumps({"title": MARKUP}).encode()
        yanked = json.dumps({"yanked": f'"{MARKUP}'}).encode()
        by_root = site.sent_by("root", DEVPI)
        assert site.ask("PATCH", "/root/local", by_root, titled).status == 200
        assert site.ask("PATCH", "/root/local/marked/1.0", by_root, yanked).status == 200
    options = ("--offline-mode", f"--trusted-proxy={PROXY}", "--metrics-from=192.0.2.1")
    with running_server(serverdir, *options) as server:
        idle = _handles(server)
        with Line(server.port) as line:
            login = json.dumps({"user": "root", "password": "rootpw"}).encode()
            answer = line.ask(Request(b"POST", b"/+login", body=login).content)
            token = json.loads(answer.body)["result"]["password"]
            usual = {door: line.ask(door.request().content, door.method) for door in DOORS}
        yield Site(server, b"Basic " + b64encode(f"root:{token}".encode()), usual, idle)


def _handles(server: RunningServer) -> Handles:
    """What the process has open, but for the reading connections to its databases.

    Of those it makes more as it needs them, up to a number of their own.
    """
    kinds: Handles = Counter()
    for link in Path(f"/proc/{server.process.pid}/fd").iterdir():
        try:
            kind = str(link.readlink())
        except OSError:  # closed meanwhile
            continue
        if "sqlite" not in kind:
            kinds[re.sub(r":\[[0-9]+\]", "", kind)] += 1
    return kinds
