"""The servers that are compared: ours, or the devpi-server that people come from.

Both have the users root and alice, take changes of users and indexes from root alone, and are
filled over HTTP, so that a test says nothing about how its server is set up.
"""

import base64
import itertools
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from tests.builders import BuiltFile, a_multipart_body, an_upload_body
from tests.clients.devpi_server import installed_devpi
from tests.clients.programs import Terminal
from tests.conformance.talking import Reply, ask
from tests.server import running_server

ServerName: TypeAlias = Literal["simpleindex", "devpi"]

JSON = "application/json"
SIMPLE_JSON = "application/vnd.pypi.simple.v1+json"
PIP = {"User-Agent": "pip/26.3"}
ALICE_PASSWORD = "alice-password"

_ROOT_PASSWORD = "root-password"


@dataclass(frozen=True, slots=True)
class Site:
    """A server that listens, and who may do what there."""

    server: ServerName
    url: str
    root_password: str
    tokens: Mapping[str, str]
    """What root and alice have got for their passwords."""
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def ask(
        self,
        method: str,
        path: str,
        data: object = None,
        *,
        by: str | None = None,
        accept: str | None = JSON,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Reply:
        """Send a request: `data` as JSON, or `body` as it is. Nobody is logged in without `by`."""
        sent = {} if accept is None else {"Accept": accept}
        if data is not None:
            body = json.dumps(data).encode()
            sent["Content-Type"] = JSON
        if by is not None:
            sent["X-Devpi-Auth"] = encoded(by, self.tokens[by])
        return ask(method, self.url + path, {**sent, **(headers or {})}, body)

    def a_name(self, prefix: str = "index") -> str:
        """A name that no test has used yet."""
        return f"{prefix}{next(self._numbers)}"

    def an_index(self, owner: str = "root", **settings: object) -> str:
        """A new index, made by root: `root/index7`."""
        index = f"{owner}/{self.a_name()}"
        result_of(self.ask("PUT", f"/{index}", settings, by="root"), "indexconfig")
        return index

    def a_user(self, password: str) -> str:
        """A new user, made by root."""
        name = self.a_name("user")
        told = self.ask("PUT", f"/{name}", {"password": password}, by="root")
        assert told.status == 201, told.text
        return name

    def upload(self, index: str, *files: BuiltFile, by: str = "root") -> None:
        """Send files as twine does; all must be taken."""
        for built in files:
            told = self.send(index, built, by=by)
            assert told.status == 200, told.text

    def send(
        self, index: str, built: BuiltFile, *, by: str | None = "root", **fields: str | None
    ) -> Reply:
        """Send a file; `fields` change the form, None leaves one out."""
        content_type, body = an_upload_body(built, **fields)
        return self.send_form(index, content_type, body, by=by)

    def send_documentation(self, index: str, built: BuiltFile, name: str, version: str) -> None:
        """Send a zip of pages as devpi-client does; it must be taken."""
        form = [("name", name), ("version", version), (":action", "doc_upload")]
        encoded_form = a_multipart_body(form, ("content", built.filename, built.content))
        told = self.send_form(index, *encoded_form)
        assert told.status == 200, told.text

    def register(self, index: str, name: str, version: str, **fields: str) -> None:
        """Announce a release without files; it must be taken."""
        form = {":action": "submit", "name": name, "version": version, **fields}
        told = self.send_form(index, *a_multipart_body(list(form.items())))
        assert told.status == 200, told.text

    def send_form(
        self, index: str, content_type: str, body: bytes, *, by: str | None = "root"
    ) -> Reply:
        """Send a form as devpi-client does."""
        headers = {"Content-Type": content_type}
        return self.ask("POST", f"/{index}/", by=by, accept="*/*", headers=headers, body=body)

    def filenames(self, index: str, project: str) -> set[str]:
        """The files that installers are shown; none where there is no such project."""
        told = self.ask("GET", f"/{index}/+simple/{project}/", accept=SIMPLE_JSON)
        assert told.status in {200, 404}, told.text
        files = told.json["files"] if told.status == 200 else []
        return {file["filename"] for file in files}

    def versions(self, index: str, project: str) -> list[str]:
        """The versions of a project, in order of their spelling."""
        return sorted(result_of(self.ask("GET", f"/{index}/{project}"), "projectconfig"))


def path_of(index: str, built: BuiltFile) -> str:
    """Where devpi puts a file."""
    return f"/{index}/+f/{built.sha256[:3]}/{built.sha256[3:16]}/{built.filename}"


def encoded(user: str, secret: str) -> str:
    """As `X-Devpi-Auth`, and after the word Basic, carry it."""
    return base64.b64encode(f"{user}:{secret}".encode()).decode()


def result_of(reply: Reply, kind: str) -> Any:
    """The result of a reply that must be devpi's, of this type."""
    assert reply.status == 200, reply.text
    assert reply.header("content-type") == JSON
    assert reply.json["type"] == kind
    return reply.json["result"]


def message_of(reply: Reply, status: int) -> str:
    """The message of a reply that must be devpi's, with this status."""
    assert reply.status == status, reply.text
    assert reply.header("content-type") == JSON
    message: str = reply.json["message"]
    return message


@contextmanager
def our_site(folder: Path) -> Iterator[Site]:
    """Our server, for the time of the block."""
    # What is pushed to elsewhere goes to this computer.
    with running_server(folder / "data", "--private-upstreams=127.0.0.1") as server:
        yield _populated("simpleindex", server.url, server.root_password)


@contextmanager
def devpi_site(folder: Path) -> Iterator[Site]:
    """A devpi-server, for the time of the block. Skips the tests if no index can be reached."""
    devpi, serverdir = installed_devpi(), folder / "devpi"
    root = [f"--root-passwd={_ROOT_PASSWORD}", "--no-root-pypi"]
    init = devpi.command("devpi-init")
    Terminal(folder / "home").must(init, f"--serverdir={serverdir}", *root)
    with devpi.running(serverdir, "--restrict-modify=root") as url:
        yield _populated("devpi", url, _ROOT_PASSWORD)


def _populated(server: ServerName, url: str, root_password: str) -> Site:
    root = _token(url, "root", root_password)
    site = Site(server, url, root_password, {"root": root})
    told = site.ask("PUT", "/alice", {"password": ALICE_PASSWORD}, by="root")
    assert told.status == 201, told.text
    tokens = {"root": root, "alice": _token(url, "alice", ALICE_PASSWORD)}
    return Site(server, url, root_password, tokens)


def _token(url: str, user: str, password: str) -> str:
    body = json.dumps({"user": user, "password": password}).encode()
    told = ask("POST", f"{url}/+login", {"Accept": JSON, "Content-Type": JSON}, body)
    token: str = result_of(told, "proxyauth")["password"]
    return token
