"""devpi's JSON API, asked as its client does."""

import base64
import json
from typing import Any

from tests.asgi import Answer
from tests.routes.sites import DEVPI, Site


def ask(
    site: Site, method: str, target: str, content: Any = None, by: str | None = None, **more: Any
) -> Answer:
    """As devpi-client asks."""
    headers = {"accept": DEVPI, "content-type": DEVPI}
    if by is not None:
        headers["x-devpi-auth"] = devpi_auth(by, site.token(by))
    body = b"" if content is None else json.dumps(content).encode()
    answer = site.ask(method, target, headers, body, **more)
    assert answer.header("content-type") == "application/json"
    return answer


def devpi_auth(user: str, secret: str) -> str:
    return base64.b64encode(f"{user}:{secret}".encode()).decode()


def result(answer: Answer, kind: str, status: int = 200) -> Any:
    """What an answer is about, if it is of the kind that the client looks for."""
    assert (answer.status, answer.json.get("type")) == (status, kind), answer.text
    return answer.json["result"]
