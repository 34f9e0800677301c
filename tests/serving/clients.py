"""Ask a server on a connection of its own each time, so that any of its processes may answer."""

import json
from base64 import b64encode
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any

from tests.builders import BuiltFile, an_upload_body
from tests.server import RunningServer

ANSWER_SECONDS_MAX = 30.0

_PAGE = "application/vnd.pypi.simple.v1+json"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    serial: int
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def files(self) -> dict[str, str]:
        """Of a page: file names, and the sha256 of each. None where there is no such page."""
        if self.status == 404:
            return {}
        assert self.status == 200, self
        return {file["filename"]: file["hashes"]["sha256"] for file in self.json["files"]}


@dataclass(frozen=True, slots=True)
class Root:
    """The user root, at work on a server."""

    port: int
    password: str

    @property
    def login(self) -> str:
        """The value of the header Authorization."""
        return "Basic " + b64encode(f"root:{self.password}".encode()).decode()

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] = {}
    ) -> Answer:
        """One request; raises OSError or HTTPException if the connection breaks."""
        return self._ask(method, path, body, {"Authorization": self.login, **headers})

    def _ask(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> Answer:
        given = {"Accept": _PAGE, **headers}
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_SECONDS_MAX)) as line:
            line.request(method, path, body, given)
            answer = line.getresponse()
            serial = int(answer.headers.get("X-Devpi-Serial", -1))
            return Answer(answer.status, serial, answer.read())

    def upload(self, built: BuiltFile, index: str = "root/local") -> Answer:
        """Upload a file."""
        content_type, body = an_upload_body(built)
        return self.ask("POST", f"/{index}/", body, {"Content-Type": content_type})

    def page(self, project: str, index: str = "root/local") -> Answer:
        """The page of a project."""
        return self.ask("GET", f"/{index}/+simple/{project}/")

    def page_as_anybody(self, project: str, index: str = "root/local") -> Answer:
        """The page of a project, to somebody who does not say who it is."""
        return self._ask("GET", f"/{index}/+simple/{project}/", None, {})

    def make_index(self, index: str) -> None:
        """Create an index in which files can be replaced and removed."""
        assert self.ask("PUT", f"/{index}", b"{}", _JSON).status in (200, 201)


def root_of(server: RunningServer) -> Root:
    """Root, with the password that the first run has made."""
    return Root(server.port, server.root_password)


_JSON = {"Content-Type": "application/json", "Accept": "application/json"}
