"""A real server that mirrors the hostile upstream, and somebody who asks it.

with a_site(tmp_path / "data") as site:               # a server and an upstream of its own
    site.upstream.add(a_wheel("demo", "1.0"))
    assert site.filenames("demo") == ["demo-1.0-py3-none-any.whl"]

with a_mirror(server, mirror_cache_expiry=0) as site:  # an upstream and a mirror of its own, on a
    ...                                                # server that others use at the same time
"""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx2

from tests.builders import BuiltFile, an_upload_body
from tests.clients.server_side import run_verb
from tests.hostile.upstream import Upstream, running_upstream
from tests.server import RunningServer, running_server

JSON = "application/vnd.pypi.simple.v1+json"
HTML = "application/vnd.pypi.simple.v1+html"
ROOT_MIRROR = "root/pypi"

PIP_SECONDS = 15.0
"""After which pip gives up a request, and tells a time-out of its own."""

_ANSWER_SECONDS_MAX = 30.0
_UNTIL_SECONDS_MAX = 30.0
_numbers = count(1)


@dataclass(frozen=True, slots=True)
class MirrorSite:
    """One mirror of a server, what it mirrors, and a client that asks for simple pages in JSON."""

    server: RunningServer
    upstream: Upstream
    client: httpx2.Client
    index: str = ROOT_MIRROR
    """The mirror."""
    _tokens: list[str] = field(default_factory=list)

    @property
    def simple_url(self) -> str:
        """Of the mirror's list of projects, for installers."""
        return f"{self.server.url}/{self.index}/+simple/"

    def get(
        self, path: str, accept: str | None = None, *, method: str = "GET", **headers: str
    ) -> httpx2.Response:
        """Ask for a path of the server, or for a URL; `_` in names of headers is `-`."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if accept is not None:
            sent["accept"] = accept
        return self.client.request(method, path, headers=sent)

    def page(
        self, project: str, accept: str | None = None, *, index: str | None = None, **headers: str
    ) -> httpx2.Response:
        """The page of a project, whatever its status is."""
        return self.get(f"/{index or self.index}/+simple/{project}/", accept, **headers)

    def files(self, project: str, *, index: str | None = None) -> dict[str, dict[str, Any]]:
        """What the page in JSON says of each file, by its name. Fails if there is no page."""
        answer = self.page(project, index=index)
        assert answer.status_code == 200, answer.text
        return {file["filename"]: file for file in answer.json()["files"]}

    def filenames(self, project: str, *, index: str | None = None) -> list[str]:
        """The files on the page, in its order. Fails if there is no page."""
        return list(self.files(project, index=index))

    def file_url(self, project: str, filename: str, *, index: str | None = None) -> str:
        """Where the page says that a file is. Fails if it is not on the page."""
        page = f"{self.server.url}/{index or self.index}/+simple/{project}/"
        return urljoin(page, str(self.files(project, index=index)[filename]["url"]))

    def download(
        self, project: str, filename: str, *, index: str | None = None, **headers: str
    ) -> httpx2.Response:
        """A file by the URL that the page has for it, whatever the status is."""
        return self.get(self.file_url(project, filename, index=index), "*/*", **headers)

    def refresh(self, project: str, *, index: str | None = None) -> httpx2.Response:
        """Ask upstream now, as `devpi refresh` does; the answer, not followed."""
        path = f"/{index or self.index}/+simple/{project}/refresh"
        return self.client.post(path, headers={"accept": "application/json"})

    def api(self, method: str, path: str, content: object = None) -> httpx2.Response:
        """Ask the JSON API as root. Fails unless that is successful."""
        headers = {"accept": "application/json"}
        root = ("root", self.token())
        answer = self.client.request(method, path, json=content, headers=headers, auth=root)
        assert answer.status_code < 400, f"{method} {path}: {answer.text}"
        return answer

    def token(self) -> str:
        """A login of root."""
        if not self._tokens:
            login = {"user": "root", "password": self.server.root_password}
            answer = self.client.post("/+login", json=login, headers={"accept": "application/json"})
            self._tokens.append(answer.json()["result"]["password"])
        return self._tokens[0]

    def make_mirror(self, **settings: object) -> str:
        """Make one more mirror, of this one's upstream unless a `mirror_url` is given; its name."""
        name = f"root/mirror{next(_numbers)}"
        own = {"type": "mirror", "mirror_url": self.upstream.url}
        self.api("PUT", f"/{name}", own | settings)
        return name

    def make_stage(self, **settings: object) -> str:
        """Make an index for uploads, above the mirror unless other `bases` are given; its name."""
        name = f"root/stage{next(_numbers)}"
        own = {"type": "stage", "bases": [self.index], "volatile": True}
        self.api("PUT", f"/{name}", own | settings)
        return name

    def change(self, *operations: str, index: str | None = None) -> None:
        """Change settings of the mirror, or of another index: `offline=True`, `deny+=demo`."""
        self.api("PATCH", f"/{index or self.index}", list(operations))

    def upload(self, built: BuiltFile, to: str) -> None:
        """Upload a file to an index as root."""
        content_type, body = an_upload_body(built)
        headers, root = {"content-type": content_type}, ("root", self.token())
        answer = self.client.post(f"/{to}/", content=body, headers=headers, auth=root)
        assert answer.status_code == 200, answer.text

    def verb(self, *arguments: str) -> str:
        """Run a verb of the command line on the server's directory; what it wrote."""
        return run_verb(*arguments, "--serverdir", str(self.server.serverdir))

    def log(self) -> str:
        """All that the server has written to stderr."""
        return self.server.log.read_text("utf-8")

    def wait_for_log(self, text: str, *, after: int = 0) -> str:
        """As `RunningServer.wait_for_log`."""
        return self.server.wait_for_log(text, after=after)

    def meanwhile(self, *asking: Callable[[], httpx2.Response]) -> "Answers":
        """Ask in threads, one each, while the caller does something else."""
        pool = ThreadPoolExecutor(len(asking))
        try:
            return Answers([pool.submit(ask).result for ask in asking])
        finally:
            pool.shutdown(wait=False)


@dataclass(frozen=True, slots=True)
class Answers:
    """Answers that are on their way."""

    _results: list[Callable[[float], httpx2.Response]]

    def all(self) -> list[httpx2.Response]:
        """Wait for them."""
        return [result(_ANSWER_SECONDS_MAX) for result in self._results]


@contextmanager
def a_site(
    serverdir: Path, *arguments: str, upstream: Upstream | None = None
) -> Iterator[MirrorSite]:
    """A server whose `root/pypi` mirrors an upstream, which is a new one unless it is given.

    `arguments` go to `serve`, and win over what is given to it here.
    """
    with ExitStack() as stack:
        if upstream is None:
            upstream = stack.enter_context(running_upstream())
        options = ("--private-upstreams=127.0.0.1", f"--upstream-url={upstream.url}", *arguments)
        server = stack.enter_context(running_server(serverdir, *options))
        client = stack.enter_context(a_client(server.url))
        yield MirrorSite(server, upstream, client)


@contextmanager
def a_mirror(server: RunningServer, **settings: object) -> Iterator[MirrorSite]:
    """A new upstream, and a new index that mirrors it, on a server that runs.

    What goes wrong with one upstream is no matter to the mirrors of others.
    """
    with running_upstream() as upstream, a_client(server.url) as client:
        site = MirrorSite(server, upstream, client)
        yield replace(site, index=site.make_mirror(**settings))


def a_client(url: str) -> httpx2.Client:
    """Somebody who asks a server, with no settings of this machine."""
    return httpx2.Client(
        base_url=url, headers={"accept": JSON}, trust_env=False, timeout=_ANSWER_SECONDS_MAX
    )


def until(holds: Callable[[], bool], what: str) -> None:
    """Wait for what nothing can be awaited of: something that another process does unseen."""
    deadline = time.monotonic() + _UNTIL_SECONDS_MAX
    while not holds():
        assert time.monotonic() < deadline, f"not within {_UNTIL_SECONDS_MAX} s: {what}"
        time.sleep(0.02)
