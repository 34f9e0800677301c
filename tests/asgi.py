"""Asks an ASGI application the way a server does, without a socket, byte for byte.

Unlike HTTP clients it sends what it is told to: paths with `..` and NUL in them, half a body.
"""

import asyncio
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias
from urllib.parse import unquote

from starlette.types import ASGIApp, Message, Scope

Headers: TypeAlias = Mapping[str, str] | Sequence[tuple[str, str]]

_BODILESS = (204, 304)
_SECONDS_MAX = 60.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What an application has sent."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """The value of a header; None where it is not sent. It may be there once."""
        values = [value for key, value in self.headers if key == name.lower()]
        assert len(values) <= 1, f"{name} is there {len(values)} times"
        return values[0] if values else None

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body, parse_constant=_not_json)

    @property
    def line(self) -> str:
        """The refusal's one line, in whichever form it was sent."""
        assert self.status >= 400, f"{self.status} refuses nothing"
        if self.header("content-type") == "application/json":
            line: str = self.json["message"]
        else:
            assert self.header("content-type") == "text/plain; charset=utf-8"
            line = self.text.removesuffix("\n")
        assert line and line.isprintable(), f"{line!r} is not one readable line"
        return line


class Client:
    """One that asks an application one thing after the other."""

    def __init__(self, app: ASGIApp, runner: asyncio.Runner) -> None:
        self._app = app
        self._runner = runner

    def ask(
        self,
        method: str,
        target: str,
        headers: Headers = (),
        body: bytes | Iterable[bytes] = b"",
        *,
        host: str | None = "index.example:3141",
        peer: str = "192.0.2.7",
        **scope: Any,
    ) -> Answer:
        """Send a request; its answer. `target` is raw: quoted, maybe with a query."""
        chunks = [body] if isinstance(body, bytes) else list(body)
        messages = [
            {"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks[:-1]
        ]
        messages.append({"type": "http.request", "body": chunks[-1] if chunks else b""})
        whole_scope = {**_scope(method, target, headers, host, peer), **scope}
        sent = self.exchange(whole_scope, messages)
        return _answer(method, sent)

    def get(self, target: str, accept: str | None = None, **headers: str) -> Answer:
        """Read something. Header names are given with underscores."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.ask("GET", target, named if accept is None else named | {"accept": accept})

    def cut_off(self, method: str, target: str, headers: Headers, body: bytes) -> list[Message]:
        """Send a part of a body, and go away; what the application has sent by then."""
        arrived = {"type": "http.request", "body": body, "more_body": True}
        return self.exchange(
            _scope(method, target, headers, "index.example:3141", "192.0.2.7"), [arrived, _GONE]
        )

    def offer(self, extension: str, method: str, target: str, headers: Headers) -> list[Message]:
        """Ask on a server that offers an extension of ASGI; what the application sent."""
        scope = _scope(method, target, headers, "index.example:3141", "192.0.2.7")
        request = {"type": "http.request", "body": b""}
        return self.exchange({**scope, "extensions": {extension: {}}}, [request])

    def look_away(self, target: str, after_chunks: int) -> list[Message]:
        """Ask for a file, and go away while it is being sent; what the application sent."""
        scope = _scope("GET", target, (), "index.example:3141", "192.0.2.7")
        request = {"type": "http.request", "body": b""}
        return self.exchange(scope, [request, _GONE], hold_last_until=after_chunks)

    def exchange(
        self, scope: Scope, messages: Sequence[Message], *, hold_last_until: int = 0
    ) -> list[Message]:
        """Let the application handle a request; all that it sent.

        `hold_last_until`: how many parts of the body must be sent before the last message comes.
        """
        return self._runner.run(_exchange(self._app, scope, messages, hold_last_until))


@contextmanager
def asking(app: ASGIApp) -> Iterator[Client]:
    """A client for the time of the block."""
    with asyncio.Runner() as runner:
        yield Client(app, runner)


_GONE: Message = {"type": "http.disconnect"}


async def _exchange(
    app: ASGIApp, scope: Scope, messages: Sequence[Message], hold_last_until: int
) -> list[Message]:
    waiting = list(messages)
    sent: list[Message] = []
    may_go_on = asyncio.Event()
    nothing_more = asyncio.Event()

    async def receive() -> Message:
        if not waiting:
            await nothing_more.wait()
        if len(waiting) == 1 and hold_last_until:
            await may_go_on.wait()
        return waiting.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)
        if len(sent) > hold_last_until:
            may_go_on.set()
        await asyncio.sleep(0)

    async with asyncio.timeout(_SECONDS_MAX):
        await app(scope, receive, send)
    return sent


def _scope(method: str, target: str, headers: Headers, host: str | None, peer: str) -> Scope:
    raw_path, _, query = target.partition("?")
    pairs = list(headers.items() if isinstance(headers, Mapping) else headers)
    if host is not None:
        pairs.insert(0, ("host", host))
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(raw_path),
        "raw_path": raw_path.encode("ascii"),
        "query_string": query.encode("ascii"),
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in pairs],
        "client": (peer, 50000),
        "server": ("127.0.0.1", 3141),
        "state": {},
    }


def _answer(method: str, sent: Sequence[Message]) -> Answer:
    """The answer that the messages make up. They must be what ASGI allows."""
    start, *parts = sent
    assert start["type"] == "http.response.start"
    assert parts and all(part["type"] == "http.response.body" for part in parts)
    assert [part.get("more_body", False) for part in parts] == [True] * (len(parts) - 1) + [False]
    headers = tuple((name.decode(), value.decode("latin-1")) for name, value in start["headers"])
    assert all(name == name.lower() and value.isprintable() for name, value in headers)
    answer = Answer(start["status"], headers, b"".join(part.get("body", b"") for part in parts))
    if answer.status in _BODILESS:
        assert answer.body == b""
        return answer
    if method == "HEAD":  # servers leave the body out
        return Answer(answer.status, headers, b"")
    assert answer.header("content-length") == str(len(answer.body))
    return answer


def _not_json(name: str) -> None:
    raise AssertionError(f"{name} is not JSON")
