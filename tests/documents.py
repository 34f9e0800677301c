"""Documentation and results of tests, as clients send them."""

import json
from collections.abc import Mapping

from tests.asgi import Answer
from tests.builders import BuiltFile, a_multipart_body, a_zip
from tests.routes.sites import DEVPI, Site

PAGES: Mapping[str, bytes] = {
    "index.html": b"<h1>demo</h1>",
    "_static/style.css": b"body {}",
    "guide/index.html": b"<h1>guide</h1>",
    "guide/a b+c.html": b"<h1>odd</h1>",
    "large.bin": bytes(range(256)) * 4000,
}
DOCUMENTATION = BuiltFile("demo-1.0.doc.zip", a_zip(PAGES))

TOX_RESULT: Mapping[str, object] = {
    "reportversion": "1",
    "toxversion": "4.0",
    "host": "builder",
    "platform": "linux",
    "testenvs": {
        "py": {
            "python": {"version": "3.11.7"},
            "setup": [],
            "test": [{"command": ["pytest"], "output": "all good", "retcode": 0}],
        }
    },
}


def send_documentation(
    site: Site,
    documentation: BuiltFile = DOCUMENTATION,
    to: str = "/root/local/",
    *,
    by: str | None = "root",
    name: str = "demo",
    version: str | None = "1.0",
) -> Answer:
    """Post a zip of pages as devpi-client does."""
    fields = [("name", name), (":action", "doc_upload"), ("protocol_version", "1")]
    if version is not None:
        fields.append(("version", version))
    file = ("content", documentation.filename, documentation.content)
    content_type, body = a_multipart_body(fields, file)
    return site.ask("POST", to, site.sent_by(by, content_type), body)


def send_result(
    site: Site,
    url: str,
    result: object = TOX_RESULT,
    *,
    by: str | None = None,
) -> Answer:
    """Post the result of a test as devpi-client does."""
    headers = site.sent_by(by, DEVPI) | {"accept": DEVPI}
    return site.ask("POST", url, headers, json.dumps(result).encode())
