"""Ask a server that runs, past all proxies."""

import json
from base64 import b64encode
from collections.abc import Mapping
from contextlib import closing
from http.client import HTTPConnection
from typing import Any

ANSWER_SECONDS_MAX = 30.0


def ask(
    port: int,
    method: str,
    path: str,
    body: bytes | None = None,
    headers: Mapping[str, str] = {},
) -> tuple[int, bytes]:
    """One request on a connection of its own; status and body of the answer."""
    with closing(HTTPConnection("127.0.0.1", port, timeout=ANSWER_SECONDS_MAX)) as connection:
        connection.request(method, path, body, dict(headers))
        answer = connection.getresponse()
        return answer.status, answer.read()


def ask_json(
    port: int,
    method: str,
    path: str,
    content: object = None,
    *,
    login: tuple[str, str] | None = None,
) -> tuple[int, Any]:
    """The same in JSON, as devpi-client asks; `login` is a user's name and password or token."""
    headers = {"Accept": "application/json", "Content-Type": "application/json"}
    if login is not None:
        headers["X-Devpi-Auth"] = b64encode(":".join(login).encode()).decode()
    body = None if content is None else json.dumps(content).encode()
    status, answer = ask(port, method, path, body, headers)
    return status, json.loads(answer)


def shown_filenames(port: int, project: str, index: str = "root/local") -> set[str]:
    """The files that a project's page shows; none where there is no such page."""
    accept = {"Accept": "application/vnd.pypi.simple.v1+json"}
    status, body = ask(port, "GET", f"/{index}/+simple/{project}/", headers=accept)
    if status == 404:
        return set()
    assert status == 200, body
    return {file["filename"] for file in json.loads(body)["files"]}
