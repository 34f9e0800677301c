"""From failure to HTTP: the one table, and the few failures that only a server knows."""

import json
import re
from collections.abc import Iterator, Mapping

from starlette.responses import Response

from simpleindex_storage.errors import (
    AlreadyStored,
    Damaged,
    NotStored,
    Refused,
    StoreError,
    Unavailable,
)

REASON_HEADER = "x-reason"
"""Carries a refusal's line to `protocol`, which makes it the reason phrase: twine shows that."""

RETRY_SECONDS = 5

_LINE_CHARACTERS_MAX = 1000
_REASON_CHARACTERS_MAX = 300


class RequestError(Exception):
    """A request that this server answers with an error, whatever is stored."""

    status = 400

    def __init__(self, line: str, **headers: str) -> None:
        super().__init__(line)
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class NotAuthenticated(RequestError):
    """Nobody knows who is asking, and that would matter."""

    status = 401


class Forbidden(RequestError):
    """It is known who is asking, and they may not."""

    status = 403


class NotFound(RequestError):
    """There is nothing at this URL."""

    status = 404


class MethodNotAllowed(RequestError):
    """There is something at this URL, for other methods."""

    status = 405


class NotAcceptable(RequestError):
    """There is no form of the page that the client takes."""

    status = 406


class TooLarge(RequestError):
    """The body is over the limit."""

    status = 413


class RangeNotSatisfiable(RequestError):
    """The file ends before the part that is asked for."""

    status = 416


class TooManyFailures(RequestError):
    """Passwords or tokens were wrong too often."""

    status = 429


class UpstreamFailed(RequestError):
    """The answer would have to come from another index, and that gives none."""

    status = 502


class NothingKnown(UpstreamFailed):
    """It is not known here what is there, and the other index does not say.

    Not 502: pip would ask five more times, with pauses, and hear the same.
    """

    status = 504


class UpstreamIsUs(RequestError):
    """The question has come back to this very server, by way of others."""

    status = 508


_STATUS_OF: dict[type[StoreError], int] = {
    NotStored: 404,
    AlreadyStored: 409,
    Refused: 400,
    Damaged: 400,
    Unavailable: 503,
}


def _word_for(kind: type) -> str:
    """`UpstreamFailed` is `upstream-failed`: short, and the same for good."""
    return re.sub(r"(?<!^)(?=[A-Z])", "-", kind.__name__).lower()


def _request_errors(kind: type[RequestError]) -> Iterator[type[RequestError]]:
    for each in kind.__subclasses__():
        yield each
        yield from _request_errors(each)


DISK_FULL = "disk-full"
SERVER_FAILED = "server-failed"

REASONS: Mapping[str, int] = {
    **{_word_for(kind): status for kind, status in _STATUS_OF.items()},
    **{_word_for(kind): kind.status for kind in _request_errors(RequestError)},
    _word_for(RequestError): RequestError.status,
    DISK_FULL: 507,
    SERVER_FAILED: 500,
}
"""Why a request may be refused, in one word each for whoever counts, and with which status."""


def reason_of(error: StoreError | RequestError) -> str:
    """The word for a failure, one of `REASONS`."""
    is_full = isinstance(error, Unavailable) and error.full
    return DISK_FULL if is_full else _word_for(type(error))


def status_of(error: StoreError | RequestError) -> int:
    """The status that tells of a failure."""
    if isinstance(error, RequestError):
        return error.status
    if isinstance(error, Unavailable) and error.full:
        return 507
    return _STATUS_OF[type(error)]


def refusal(
    error: StoreError | RequestError, *, as_json: bool = False, as_log: bool = False
) -> Response:
    """The answer to a request that failed: one line, in the form that the client reads.

    `as_log` is the form of devpi-client's uploads, which drop any other text.
    """
    line = one_line(str(error))
    headers = {
        # Without it, caches may keep a 404 for as long as they please (RFC 9111, 4.2.2).
        "cache-control": "no-store",
        "vary": "Accept",
    }
    if isinstance(error, RequestError):
        headers |= error.headers
    if isinstance(error, Unavailable):
        headers["retry-after"] = str(RETRY_SECONDS)
    if as_log:
        content: dict[str, object] = {"type": "actionlog", "result": [line], "message": line}
        return _json(content, status_of(error), headers)
    if as_json:
        # uv shows `code`; devpi-client and people look for `message`.
        return _json({"message": line, "code": line}, status_of(error), headers)
    # Not with JSON: who reads that shows the phrase as well, and so the line twice.
    headers[REASON_HEADER] = line.encode("ascii", "replace").decode()[:_REASON_CHARACTERS_MAX]
    body = (line + "\n").encode()
    return Response(body, status_of(error), headers, media_type="text/plain")


def one_line(text: str) -> str:
    """Without what headers, terminals and encoders cannot bear: names come from anywhere."""
    line = " ".join(text.split())[:_LINE_CHARACTERS_MAX]
    return "".join(letter if letter.isprintable() else "?" for letter in line)


def _json(content: dict[str, object], status: int, headers: dict[str, str]) -> Response:
    return Response(
        json.dumps(content, ensure_ascii=False).encode(), status, headers, "application/json"
    )
