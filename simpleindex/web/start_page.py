"""The page at `/` for people: what this is, and how to point tools at it. Pure."""

from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from html import escape

from simpleindex.wire.origin import host_to_trust

STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
pre { padding: .7rem 1rem; white-space: pre-wrap; overflow-wrap: anywhere; }
pre { border: 1px solid; border-radius: .3rem; }
code, pre { font: 14px/1.5 ui-monospace, Consolas, monospace; }
"""


def start_page(root_url: str, version: str, indexes: Sequence[str]) -> bytes:
    """The start page, complete in itself: no script, no picture, nothing from elsewhere.

    `root_url`: how the visitor reached us, without a slash at its end. `indexes`: names, in the
    order in which they are to be listed; the first serves as the example.
    """
    example = indexes[0] if indexes else "root/local"
    listed = "".join(
        f'<li><a href="{escape(name)}/+simple/">{escape(name)}</a></li>' for name in indexes
    )
    nothing_yet = (
        "<p>There is no index with packages yet: the first command below makes one, and so does "
        "the first upload by root to root/local.</p>"
    )
    body = "".join(
        f"<h2>{escape(title)}</h2><pre>{escape(command)}</pre>"
        for title, command in _sections(root_url, example, is_there=bool(indexes))
    )
    return (
        "<!DOCTYPE html>\n"
        '<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Python package index</title><style>{STYLE}</style></head><body>"
        "<h1>Python package index</h1>"
        f"<p>This is <b>simpleindex-server {escape(version)}</b>. It keeps Python packages for "
        "the hosts of this site; pip, uv, twine and the devpi client work with it.</p>"
        + (f"<p>Indexes:</p><ul>{listed}</ul>" if indexes else nothing_yet)
        + body
        + "<p>DIR is the server directory: the server says which one when it starts.</p>"
        "</body></html>\n"
    ).encode()


def style_source() -> str:
    """The page's style as a Content-Security-Policy names it, so that no other has an effect."""
    return f"'sha256-{b64encode(sha256(STYLE.encode()).digest()).decode()}'"


def _sections(root_url: str, example: str, *, is_there: bool) -> list[tuple[str, str]]:
    """What can be typed, and what for; filling the index comes first as long as it is empty."""
    index_url = f"{root_url}/{example}/"
    host = host_to_trust(root_url)
    option, setting = (f" --trusted-host {host}", f"\ntrusted-host = {host}") if host else ("", "")
    make = "" if is_there else f"devpi index -c {example.partition('/')[2]}\n"
    add = ("Add packages, on the server itself", "simpleindex-server add FOLDER --serverdir=DIR")
    install = [
        ("Install with pip", f"pip install --index-url {index_url}{option} NAME"),
        (
            "... always (pip.conf, on Windows pip.ini)",
            f"[global]\nindex-url = {index_url}{setting}",
        ),
        ("Install with uv", f"uv pip install --default-index {index_url} NAME"),
    ]
    upload = [
        ("Upload with twine", f"twine upload --repository-url {index_url} -u root dist/*"),
        ("Upload with uv", f"uv publish --publish-url {index_url} -u root --password=... dist/*"),
        (
            "Upload with the devpi client",
            f"devpi use {root_url}\ndevpi login root\n{make}devpi use {example}\n"
            "devpi upload --from-dir FOLDER",
        ),
    ]
    return [*install, *upload, add] if is_there else [add, *upload, *install]
