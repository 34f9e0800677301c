"""What the doors ask of a request, and how they leave the event loop."""

from collections.abc import Callable
from typing import TypeVar

import anyio.to_thread
from starlette.requests import Request

from simpleindex.config import Network
from simpleindex.errors import TooLarge
from simpleindex.wire.credentials import Credentials, parse_credentials
from simpleindex.wire.hops import HOPS_HEADER, parse_hops
from simpleindex.wire.locations import FileAt
from simpleindex.wire.origin import Peer, client_address, is_trusted, origin
from simpleindex_storage.errors import NotStored, Refused
from simpleindex_storage.names import (
    FilePlace,
    IndexName,
    ProjectName,
    UserName,
    index_name,
    parse_place,
    parse_project_name,
    parse_user_name,
    parse_version,
)

T = TypeVar("T")

_JSON_BODY_BYTES_MAX = 64 << 10
_SHOWN_CHARACTERS = 80


async def in_thread(job: Callable[[], T]) -> T:
    """Do a job that waits for the disk or burns time. Once begun it is finished, come what may."""
    return await anyio.to_thread.run_sync(job)


def joined(request: Request, name: str) -> str | None:
    """All headers of a name, as one (RFC 9110, 5.2)."""
    values = request.headers.getlist(name)
    return ",".join(values) if values else None


def accept_of(request: Request) -> str | None:
    """All Accept headers of a request, as one."""
    return joined(request, "accept")


def credentials_of(request: Request) -> Credentials | None:
    """Who the request says it is from."""
    return parse_credentials(
        request.headers.get("authorization"), request.headers.get("x-devpi-auth")
    )


def hops_of(request: Request) -> tuple[str, ...]:
    """The servers of our kind that a request has come through, each asking the next."""
    return parse_hops(joined(request, HOPS_HEADER))


def path_of(request: Request) -> str:
    """The path below the place where this application is mounted."""
    path: str = request.scope["path"]
    prefix: str = request.scope.get("root_path", "")
    return path.removeprefix(prefix) if prefix else path


def origin_of(request: Request, outside_url: str | None, trusted: tuple[Network, ...]) -> str:
    """The URL under which the client sees our root, without a slash at its end."""
    scope = request.scope
    host, port = scope.get("server") or ("localhost", None)
    client = scope.get("client")
    peer = Peer(
        scheme=scope.get("scheme", "http"),
        server=_netloc(host, port) if port else "localhost",  # else it is a Unix socket
        trusted=client is not None and is_trusted(client[0], trusted),
        prefix=scope.get("root_path", "").rstrip("/"),
    )
    # Where a header comes in several lines, the last is what the nearest proxy has added.
    return origin(dict(request.headers.items()), peer, outside_url)


def address_of(request: Request, trusted: tuple[Network, ...]) -> str | None:
    """The address of the client; None where it cannot be known."""
    client = request.scope.get("client")
    forwarded_for = joined(request, "x-forwarded-for")
    return client_address(client[0] if client else None, forwarded_for, trusted)


def _netloc(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def json_body(request: Request) -> bytes:
    """A body that is meant to be JSON. Raises TooLarge."""
    return await bounded_body(request, "a JSON body", _JSON_BODY_BYTES_MAX)


async def bounded_body(request: Request, what: str, bytes_max: int) -> bytes:
    """The whole body, in memory. `what` it is begins the sentence of TooLarge."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > bytes_max:
            raise TooLarge(f"{what} has {bytes_max} bytes at the most")
    return bytes(body)


def asked_index(user: str, index: str) -> IndexName:
    """The index that a URL names. Raises NotStored: no index has an unlawful name."""
    try:
        return index_name(user, index)
    except Refused:
        shown = f"{user[:_SHOWN_CHARACTERS]}/{index[:_SHOWN_CHARACTERS]}"
        raise NotStored(f"index {shown}") from None


def asked_user(user: str) -> UserName:
    """The user that a URL names. Raises NotStored: nobody has an unlawful name."""
    try:
        return parse_user_name(user)
    except Refused:
        raise NotStored(f"user {user[:_SHOWN_CHARACTERS]}") from None


def asked_project(project: str) -> ProjectName:
    """The project that a URL names, in any spelling. Raises NotStored: as for indexes."""
    try:
        return parse_project_name(project)
    except Refused:
        raise NotStored(f"project {project[:_SHOWN_CHARACTERS]!r}") from None


def asked_version(version: str, project: ProjectName) -> str:
    """The version that a URL names, normalised. Raises NotStored: as for indexes."""
    try:
        return parse_version(version)
    except Refused:
        raise NotStored(f"version {version[:_SHOWN_CHARACTERS]!r} of {project}") from None


def asked_place(at: FileAt) -> FilePlace:
    """The place of a file that a URL names. Raises NotStored: as for indexes."""
    try:
        return parse_place(asked_index(at.user, at.index), at.sha256_prefix, at.filename)
    except Refused:
        raise NotStored(f"file {at.filename[:_SHOWN_CHARACTERS]!r}") from None
