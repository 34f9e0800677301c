"""Every door of a server: what a good request to it is, and how it is answered.

A location or a method that the front door offers and that is missing here fails a test.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto

from simpleindex.wire.locations import AuthCheck, Location, locate
from tests.builders import a_wheel, an_upload_body
from tests.documents import DOCUMENTATION, TOX_RESULT
from tests.routes.sites import DEVPI, V1_JSON, WHEEL

HOST = b"127.0.0.1"
FORM = "multipart/form-data"
TEXT = "text/html"


class Takes(Enum):
    """What a door reads of a request's body."""

    NOTHING = auto()
    JSON = auto()
    FORM = auto()


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it goes out, every byte of it. Attacks change one part or another."""

    method: bytes
    target: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()
    """Without Host and Content-Length, which come by themselves unless one is here."""
    body: bytes = b""
    version: bytes = b"HTTP/1.1"
    raw: bytes | None = None
    """Sent instead of all the rest."""
    ended: bool = False
    """Whether the client goes away after it."""

    def with_headers(self, *added: tuple[bytes, bytes]) -> "Request":
        """With more headers; one that is there already is replaced."""
        names = {name.lower() for name, _ in added}
        kept = tuple(each for each in self.headers if each[0].lower() not in names)
        return replace(self, headers=(*kept, *added))

    @property
    def content(self) -> bytes:
        """What is sent."""
        if self.raw is not None:
            return self.raw
        names = {name.lower() for name, _ in self.headers}
        lines = [b" ".join([self.method, self.target, self.version])]
        if b"host" not in names:
            lines.append(b"Host: " + HOST)
        lines += [name + b": " + value for name, value in self.headers]
        if self.body and not names & {b"content-length", b"transfer-encoding"}:
            lines.append(b"Content-Length: %d" % len(self.body))
        return b"\r\n".join([*lines, b"", self.body])


@dataclass(frozen=True, slots=True)
class Door:
    """One thing that can be asked of the server."""

    method: str
    target: str
    status: int = 200
    """The answer to root."""
    stranger: int = 200
    """The answer to somebody who is not logged in."""
    takes: Takes = Takes.NOTHING
    content_type: str = ""
    body: bytes = b""
    accept: str = ""
    negotiates: bool = False
    """Whether it refuses what Accept names and it does not have."""
    is_file: bool = False
    """Whether it answers with part of a file to who asks for a part."""
    changes: bool = False
    is_steady: bool = True
    """Whether it says the same as long as nothing changes."""

    def __str__(self) -> str:
        return " ".join(word for word in (self.method, self.target, self.accept) if word)

    @property
    def location(self) -> Location:
        """What its URL names."""
        found = locate(self.target.partition("?")[0])
        assert found is not None, self.target
        return found

    @property
    def kind(self) -> str:
        """The name of the location's class."""
        return type(self.location).__name__

    def request(self, authorization: bytes | None = None, *, address: str | None = None) -> Request:
        """The good request, from somebody or from nobody; `address` is what a proxy tells."""
        headers = [] if address is None else [(b"X-Forwarded-For", address.encode())]
        if self.content_type:
            headers.append((b"Content-Type", self.content_type.encode()))
        if self.accept:
            headers.append((b"Accept", self.accept.encode()))
        if authorization is not None:
            headers.append((b"Authorization", authorization))
        method, target = self.method.encode(), self.target.encode()
        return Request(method, target, tuple(headers), self.body)


INDEX = "/root/local"
FILE = f"{INDEX}/+f/{WHEEL.sha256[:3]}/{WHEEL.sha256[3:16]}/{WHEEL.filename}"
_ZIP = DOCUMENTATION
DOCS = f"{INDEX}/+f/{_ZIP.sha256[:3]}/{_ZIP.sha256[3:16]}/{_ZIP.filename}"
NEW = a_wheel("newcomer", "1.0")
"""The file that uploads bring; it never gets in."""

ORDER: Mapping[str, object] = {"name": "demo", "version": "1.0", "targetindex": "root/other"}


def _reads(target: str, accept: str = "") -> Door:
    return Door("GET", target, accept=accept)


def _file(target: str) -> Door:
    return Door("GET", target, is_file=True)


def _page(target: str, accept: str = "") -> Door:
    return Door("GET", target, accept=accept, negotiates=True)


def _changes(method: str, target: str, stranger: int, status: int = 200) -> Door:
    return Door(method, target, status, stranger, changes=True)


def _json(method: str, target: str, stranger: int, content: object, status: int = 200) -> Door:
    return Door(
        method,
        target,
        status,
        stranger,
        Takes.JSON,
        DEVPI,
        json.dumps(content).encode(),
        changes=True,
    )


def _form(target: str) -> Door:
    content_type, body = an_upload_body(NEW)
    return Door("POST", target, 200, 401, Takes.FORM, content_type, body, changes=True)


DOORS: Sequence[Door] = (
    # The server
    _reads("/"),
    _reads("/", TEXT),
    _reads("/", DEVPI),
    _reads("/+status"),
    Door("GET", "/-/health", is_steady=False),
    Door("GET", "/-/health/live"),
    Door("GET", "/-/metrics", 200, 403, is_steady=False),
    _reads("/+authcheck"),
    _reads("/+api"),
    _reads("/root/+api"),
    _reads("/root/local/+api"),
    replace(
        _json("POST", "/+login", 200, {"user": "root", "password": "rootpw"}),
        changes=False,
        is_steady=False,
    ),
    # Users
    _reads("/root", DEVPI),
    _json("PUT", "/newcomer", 403, {"password": "of-a-newcomer"}, 201),
    _json("PATCH", "/alice", 403, {"title": "x"}),
    _changes("DELETE", "/alice", 403),
    Door("GET", "/root/+tokens", 200, 401),
    _json("POST", "/root/+tokens", 401, {"name": "more"}, 201),
    _changes("DELETE", "/root/+tokens/nothing", 401, 404),
    # An index
    _page("/root/local/"),
    _page("/root/local/", V1_JSON),
    _page("/root/local/", TEXT),
    _reads("/root/local", DEVPI),
    _reads("/root/local/+search?q=demo"),
    _json("PUT", "/root/new", 403, {"title": "x"}),
    _json("PATCH", "/root/local", 403, {"title": "x"}),
    _changes("DELETE", "/root/other", 403, 201),
    _form("/root/local/"),
    _form("/root/local"),
    _form("/root/local/+simple/"),
    _form("/root/local/legacy/"),
    _json("POST", "/root/local", 401, ORDER),
    _json("PUSH", "/root/local", 401, ORDER),
    _page("/root/local/+simple/"),
    _page("/root/local/simple/", V1_JSON),
    # A project
    _page("/root/local/+simple/demo/"),
    _page("/root/local/+simple/demo/", V1_JSON),
    _page("/root/local/demo/"),
    _reads("/root/local/demo", DEVPI),
    Door("POST", "/root/local/+simple/demo/refresh", 302, 302),
    _json("PATCH", "/root/local/demo", 403, {"project-status": "archived"}),
    _changes("DELETE", "/root/local/demo", 403),
    _reads("/root/local/pypi/demo/json"),
    _reads("/root/local/pypi/demo/1.0/json"),
    # A release
    _reads("/root/local/demo/1.0", DEVPI),
    _json("PATCH", "/root/local/demo/1.0", 403, {"yanked": True}),
    _changes("DELETE", "/root/local/demo/1.0", 403),
    _reads("/root/local/demo/1.0/+doc/"),
    _reads("/root/local/demo/1.0/+d/index.html"),
    # A file, and what lies beside it
    _file(FILE),
    _reads(FILE, DEVPI),
    _file(f"{FILE}.metadata"),
    _file(DOCS),
    _json("POST", FILE, 403, TOX_RESULT),
    _changes("DELETE", FILE, 403),
)

FORMS = tuple(door for door in DOORS if door.takes is Takes.FORM)
JSONS = tuple(door for door in DOORS if door.takes is Takes.JSON)
READS = tuple(door for door in DOORS if door.method == "GET")
FILES = tuple(door for door in DOORS if door.is_file)
PAGES = tuple(door for door in DOORS if door.negotiates)


def is_open_to_all_methods(door: Door) -> bool:
    """Whether it answers with the method that a front server was asked with."""
    return isinstance(door.location, AuthCheck)
