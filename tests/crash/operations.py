"""What is done to a server while it dies or its disk fails: one request each.

Each is done again and again, at every call that may go wrong, and each time to something of its
own: a *word* stands in the names of indexes and users that belong to one time.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass

from tests.builders import a_multipart_body, a_wheel, a_zip, an_sdist, an_upload_body
from tests.crash.harness import PASSWORD, Answer, Client
from tests.crash.seeing import Seen, index_of, see_index, see_mirror, see_root, see_user

SOURCE = "root/source"
NEW_PASSWORD = "another-password-of-the-tests"

WHEEL, SDIST, NEXT = a_wheel(), an_sdist(), a_wheel("demo", "2.0")
CHANGED = a_wheel(extra_files={"demo/more.py": b"more"})
LARGE = a_wheel("large", extra_files={"large/data.py": bytes(range(256)) * 4096})
MIRRORED = a_wheel("mirrored", extra_files={"mirrored/data.py": b"#" * 100_000})

_MADE = (200, 201)


@dataclass(frozen=True, slots=True)
class Operation:
    """One request, what it needs, and how to see what it did."""

    name: str
    act: Callable[[Client, str], Answer]
    prepare: Callable[[Client, str], None]
    see: Callable[[Client, str], Seen] = see_index
    statuses: frozenset[int] = frozenset({503, 507})
    """What a server may answer that cannot do it now."""
    in_steps: bool = False
    """Whether what belongs to files may come after them; then the same again brings the rest."""
    goes_on: bool = False
    """Whether the server has more to do once it has answered."""


def fill_source(client: Client) -> None:
    """What is pushed to other indexes."""
    client.make_index(SOURCE)
    _fill(client, SOURCE)


def _fill(client: Client, index: str) -> None:
    """A project with everything that can belong to one, and a neighbour."""
    for built in (WHEEL, SDIST, NEXT, a_wheel("neighbour")):
        _done(client.post(f"/{index}/", an_upload_body(built)))
    _done(_document(client, index, b"the pages"))
    _done(_tell_result(client, index))


def _document(client: Client, index: str, page: bytes) -> Answer:
    fields = [("name", "demo"), ("version", "1.0"), (":action", "doc_upload")]
    pages = ("content", "demo-1.0.doc.zip", a_zip({"index.html": page}))
    return client.post(f"/{index}/", a_multipart_body(fields, pages))


def _tell_result(client: Client, index: str) -> Answer:
    place = f"{WHEEL.sha256[:3]}/{WHEEL.sha256[3:16]}/{WHEEL.filename}"
    return client.send("POST", f"/{index}/+f/{place}", {"testenvs": {}})


def _done(answer: Answer) -> None:
    assert answer.is_success, answer.line


def _nothing(_client: Client, _word: str) -> None:
    """It needs nothing."""


def _an_index(client: Client, word: str) -> None:
    client.make_index(index_of(word))


def _a_file(client: Client, word: str) -> None:
    _an_index(client, word)
    _done(client.post(f"/{index_of(word)}/", an_upload_body(WHEEL)))


def _a_tested_file(client: Client, word: str) -> None:
    _a_file(client, word)
    _done(_tell_result(client, index_of(word)))


def _documentation(client: Client, word: str) -> None:
    _a_file(client, word)
    _done(_document(client, index_of(word), b"the old pages"))


def _a_full_index(client: Client, word: str) -> None:
    _an_index(client, word)
    _fill(client, index_of(word))


def _other_bytes(client: Client, word: str) -> None:
    _an_index(client, word)
    _done(client.post(f"/{index_of(word)}/", an_upload_body(CHANGED)))


def _a_user(client: Client, word: str) -> None:
    _done(client.send("PUT", f"/{word}", {"password": PASSWORD}))


def _upload(built_name: str) -> Callable[[Client, str], Answer]:
    built = {"wheel": WHEEL, "next": NEXT, "changed": CHANGED, "large": LARGE}[built_name]
    return lambda client, word: client.post(f"/{index_of(word)}/", an_upload_body(built))


def _ask(method: str, path: str, content: object = None) -> Callable[[Client, str], Answer]:
    """`INDEX` and `WORD` in a path or in the content stand for this time's."""

    def ask(client: Client, word: str) -> Answer:
        text = json.dumps(content).replace("INDEX", index_of(word)).replace("WORD", word)
        at = path.replace("INDEX", index_of(word)).replace("WORD", word)
        return client.send(method, at, json.loads(text))

    return ask


_RELEASE = {"name": "demo", "version": "1.0", "targetindex": "INDEX"}
_FORM = [("name", "demo"), ("version", "3.0"), (":action", "submit"), ("metadata_version", "2.1")]
_PLACE = f"{WHEEL.sha256[:3]}/{WHEEL.sha256[3:16]}/{WHEEL.filename}"

UPLOADS = [
    Operation("upload: the first file", _upload("wheel"), _an_index),
    Operation("upload: another release", _upload("next"), _a_file),
    Operation("upload: other bytes", _upload("changed"), _a_tested_file),
    Operation("upload: the same bytes", _upload("wheel"), _a_file),
    Operation("upload: a large file", _upload("large"), _an_index),
    Operation(
        "upload: documentation",
        lambda client, word: _document(client, index_of(word), b"the new pages"),
        _documentation,
    ),
    Operation(
        "upload: result of a test",
        lambda client, word: _tell_result(client, index_of(word)),
        _a_file,
    ),
    Operation(
        "register a release",
        lambda client, word: client.post(f"/{index_of(word)}/", a_multipart_body(_FORM)),
        _a_file,
    ),
]

REMOVALS = [
    Operation("delete: a file", _ask("DELETE", f"/INDEX/+f/{_PLACE}"), _a_full_index),
    Operation("delete: a release", _ask("DELETE", "/INDEX/demo/1.0"), _a_full_index),
    Operation("delete: a project", _ask("DELETE", "/INDEX/demo"), _a_full_index),
    Operation("delete: an index", _ask("DELETE", "/INDEX"), _a_full_index),
]

CHANGES = [
    Operation("index: create", _ask("PUT", "/INDEX", {"bases": [SOURCE]}), _nothing),
    Operation("index: change", _ask("PATCH", "/INDEX", ["bases+=root/source"]), _an_index),
    Operation("yank", _ask("PATCH", "/INDEX/demo/1.0", {"yanked": "broken"}), _a_file),
    Operation("user: create", _ask("PUT", "/WORD", {"password": PASSWORD}), _nothing, see_user),
    Operation("user: password", _ask("PATCH", "/WORD", {"password": NEW_PASSWORD}), _a_user,
              see_user),
    Operation("user: root's password", _ask("PATCH", "/root", {"password": PASSWORD}), _nothing,
              see_root),
    Operation("user: delete", _ask("DELETE", "/WORD"), _a_user, see_user),
]  # fmt: skip

PUSHES = [
    Operation("push", _ask("POST", f"/{SOURCE}", _RELEASE), _an_index, in_steps=True),
    Operation(
        "push: over other bytes", _ask("POST", f"/{SOURCE}", _RELEASE), _other_bytes, in_steps=True
    ),
]


def mirroring(mirror_url: str) -> list[Operation]:
    """What makes a server fetch from an upstream that offers `MIRRORED`."""

    def a_mirror(client: Client, word: str, **more: object) -> None:
        settings = {"type": "mirror", "mirror_url": mirror_url, **more}
        assert client.send("PUT", f"/{index_of(word)}", settings).status in _MADE

    def a_page(client: Client, word: str) -> None:
        a_mirror(client, word)
        _done(_page(client, word))

    def an_old_page(client: Client, word: str) -> None:
        a_mirror(client, word, mirror_cache_expiry=0)
        _done(_page(client, word))

    def a_kept_file(client: Client, word: str) -> None:
        a_page(client, word)
        _done(_file(client, word))

    def target(client: Client, word: str) -> None:
        a_page(client, word)
        client.make_index(f"root/target-{word}")

    def push(client: Client, word: str) -> Answer:
        order = {"name": "mirrored", "version": "1.0", "targetindex": f"root/target-{word}"}
        return client.send("POST", f"/{index_of(word)}", order)

    fetched = frozenset({503, 507})
    return [
        Operation("fetch: a page", _page, a_mirror, see_mirror, fetched, goes_on=True),
        Operation("fetch: a page again", _page, an_old_page, see_mirror, fetched, goes_on=True),
        Operation("fetch: a file", _file, a_page, see_mirror, fetched, goes_on=True),
        Operation("fetch: metadata", _metadata, a_page, see_mirror, fetched, goes_on=True),
        Operation("fetch: the list", _list, a_mirror, see_mirror, fetched, goes_on=True),
        Operation("push out of a mirror", push, target,
                  lambda client, word: see_index(client, f"target-{word}"), fetched, goes_on=True,
                  in_steps=True),
        Operation("delete: a mirror", _ask("DELETE", "/INDEX"), a_kept_file),
    ]  # fmt: skip


def _page(client: Client, word: str) -> Answer:
    return _simple(client, f"/{index_of(word)}/+simple/mirrored/")


def _list(client: Client, word: str) -> Answer:
    return _simple(client, f"/{index_of(word)}/+simple/")


def _simple(client: Client, path: str) -> Answer:
    return client.ask("GET", path, None, {"Accept": "application/vnd.pypi.simple.v1+json"})


def _file(client: Client, word: str) -> Answer:
    place = f"{MIRRORED.sha256[:3]}/{MIRRORED.sha256[3:16]}/{MIRRORED.filename}"
    return client.ask("GET", f"/{index_of(word)}/+f/{place}", None, {})


def _metadata(client: Client, word: str) -> Answer:
    place = f"{MIRRORED.sha256[:3]}/{MIRRORED.sha256[3:16]}/{MIRRORED.filename}"
    return client.ask("GET", f"/{index_of(word)}/+f/{place}.metadata", None, {})


STORED = [*UPLOADS, *REMOVALS, *CHANGES, *PUSHES]
