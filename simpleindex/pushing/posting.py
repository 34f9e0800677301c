"""A push to an index elsewhere, as twine would upload it: file by file, read as it is sent."""

import logging
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from io import SEEK_END
from typing import TYPE_CHECKING, BinaryIO

import anyio
import anyio.to_thread

from simpleindex.pushing.cargo import Cargo, Step
from simpleindex.upstream.addresses import Addresses, AddressRefused
from simpleindex.wire.outgoing_form import (
    FormFields,
    around_file,
    documentation_fields,
    file_fields,
    registration,
)
from simpleindex.wire.push_json import OtherServer
from simpleindex_storage.names import FilePlace
from simpleindex_storage.store import Store

if TYPE_CHECKING:
    import httpx2

_log = logging.getLogger("simpleindex")

UNREACHABLE = 502
"""The status of a step for which the other server has said none."""

_CHUNK_BYTES = 256 << 10
_REASON_CHARACTERS_MAX = 300
_GONE = 410
"""What public indexes answer to a registration: there, files alone make releases."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the other server may take."""

    connect_seconds: float = 5.0
    answer_seconds: float = 300.0
    """Without a byte from it, or without taking one."""
    request_seconds: float = 3600.0
    """For a file in all."""


async def post(
    store: Store,
    cargo: Cargo,
    server: OtherServer,
    addresses: Addresses,
    patience: Patience = Patience(),
) -> list[Step]:
    """Send a release to another server; what came of each step, up to the first that failed.

    It is done if the last one is. Redirects are not followed: the password is for this URL alone.
    Only `addresses` are connected to: the URL comes from a user, and this server reaches more than
    users do. Raises NotStored and Unavailable for what is wrong here.
    """
    client = await anyio.to_thread.run_sync(_client, server, addresses, patience)
    async with client:
        posting = _Posting(client, store, cargo, server, patience)
        steps: list[Step] = []
        for job in posting.jobs():
            steps.append(await posting.step(job))
            if not is_done(steps[-1]):
                break
    _log.info(
        "push of %s %s from %s to another server: the last of %d steps ended with %d",
        cargo.project,
        cargo.version,
        cargo.index,
        len(steps),
        steps[-1].status,
    )
    return steps


def is_done(step: Step) -> bool:
    """Whether the other server did what it was asked to, or need not."""
    return step.status == 200 or (step.status == _GONE and step.words[0] == "register")


@dataclass(frozen=True, slots=True)
class _Job:
    """One request, and how its step is told."""

    words: tuple[str, ...]
    body: bytes | None = None
    fields: FormFields = ()
    filename: str = ""
    open: Callable[[], BinaryIO] | None = None
    """The file that is sent with the fields; without one, the body is."""


@dataclass(frozen=True, slots=True)
class _Posting:
    client: "httpx2.AsyncClient"
    store: Store
    cargo: Cargo
    server: OtherServer
    patience: Patience

    def jobs(self) -> list[_Job]:
        """All requests, in their order."""
        cargo, name = self.cargo, self.cargo.display_name
        jobs = []
        if self.server.register:
            body = registration(name, cargo.version, cargo.said_of(cargo.version).fields)
            jobs.append(_Job(("register", name, cargo.version), body))
        for file in cargo.files:
            fields = file_fields(file, cargo.said_of(file.version).fields)
            opener = partial(self._open_file, file.place)
            jobs.append(_Job(("upload", file.place.path), None, fields, file.filename, opener))
        for documentation in cargo.documentation:
            version, place = documentation.version, documentation.place
            fields = documentation_fields(name, version, cargo.said_of(version).fields)
            opener = partial(self._open_documentation, place)
            jobs.append(_Job(("docfile", name), None, fields, place.filename, opener))
        return jobs

    async def step(self, job: _Job) -> Step:
        """Send one request. What goes wrong on the way becomes a step that failed."""
        import httpx2  # noqa: PLC0415  serving must not wait for it before it is needed

        try:
            with anyio.fail_after(self.patience.request_seconds):
                return await self._send(job)
        except AddressRefused as error:
            # Not told to the user in full: it says where names of the site's own network lead.
            _log.warning("push to another server: %s", error)
            why = (
                "the other server is at an address of a private network; an admin can allow it in "
                "the setting private_upstreams"
            )
        except (TimeoutError, httpx2.TimeoutException):
            why = "the other server took too long"
        except httpx2.ConnectError:
            why = "the other server cannot be reached"
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            why = f"the other server broke off ({type(error).__name__})"
        return Step(UNREACHABLE, (*job.words, why))

    def _open_file(self, place: FilePlace) -> BinaryIO:
        return self.store.open(place)[1]

    def _open_documentation(self, place: FilePlace) -> BinaryIO:
        return self.store.open_attachment(place)[1]

    async def _send(self, job: _Job) -> Step:
        if job.open is None:
            headers = {"content-type": "application/x-www-form-urlencoded"}
            return await self._answer(job, job.body or b"", headers)
        boundary = secrets.token_hex(16)
        head, tail = around_file(job.fields, job.filename, boundary)
        content = await anyio.to_thread.run_sync(job.open)
        try:
            size_bytes = await anyio.to_thread.run_sync(_size_of, content)
            headers = {
                "content-type": f"multipart/form-data; boundary={boundary}",
                "content-length": str(len(head) + size_bytes + len(tail)),
            }
            return await self._answer(job, _body(head, content, tail), headers)
        finally:
            content.close()

    async def _answer(
        self, job: _Job, body: bytes | AsyncIterator[bytes], headers: Mapping[str, str]
    ) -> Step:
        url = self.server.url
        async with self.client.stream("POST", url, content=body, headers=headers) as answer:
            # The body is not read: what is wrong stands in the phrase, which twine shows too.
            if answer.is_success:
                return Step(200, job.words)
            return Step(answer.status_code, (*job.words, _one_line(answer.reason_phrase)))


def _client(server: OtherServer, addresses: Addresses, patience: Patience) -> "httpx2.AsyncClient":
    # Serving must not wait for these before they are needed.
    import httpx2  # noqa: PLC0415

    from simpleindex.upstream.connections import make_client  # noqa: PLC0415

    timeout = httpx2.Timeout(patience.answer_seconds, connect=patience.connect_seconds)
    client = make_client(addresses, timeout)
    if server.username:
        client.auth = httpx2.BasicAuth(server.username, server.password)
    return client


def _size_of(content: BinaryIO) -> int:
    size_bytes = content.seek(0, SEEK_END)
    content.seek(0)
    return size_bytes


async def _body(head: bytes, content: BinaryIO, tail: bytes) -> AsyncIterator[bytes]:
    yield head
    while block := await anyio.to_thread.run_sync(content.read, _CHUNK_BYTES):
        yield block
    yield tail


def _one_line(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)[
        :_REASON_CHARACTERS_MAX
    ]
