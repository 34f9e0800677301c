"""What clients see of an index, a user or a mirror: all of it, and whether it is there in full."""

import hashlib
import json
import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit

from tests.crash.harness import PASSWORD, Client

NOTHING: frozenset[str] = frozenset()
ROOT_LOGIN = {"user": "root", "password": PASSWORD}

_CHANGES_WITH_TIME = {"log", "upload-time", "created", "modified", "_last-serial", "last_modified"}


@dataclass(frozen=True, slots=True)
class Seen:
    """What is shown under the names of one word."""

    text: str
    """All that is told of it; the same for the same things done to another word."""
    paths: frozenset[str]
    """What has to lie below `files/` for it, and no more."""
    broken: tuple[str, ...] = ()
    """What is shown and not there in full."""
    files: frozenset[tuple[str, str]] = frozenset()
    """The files among it, with their digests."""


def index_of(word: str) -> str:
    """The index that has a word in its name."""
    return f"root/{word}"


def see_index(client: Client, word: str) -> Seen:
    """An index with its projects, releases, files, and what belongs to them."""
    index = index_of(word)
    config = client.get_json(f"/{index}")
    told: dict[str, Any] = {"config": config}
    paths: set[str] = set()
    files: set[tuple[str, str]] = set()
    broken: list[str] = []
    for project in [] if config is None else config.get("projects", []):
        releases = client.get_json(f"/{index}/{project}")
        page = client.page(f"/{index}/+simple/{project}/")
        told[project] = [releases, page]
        files |= {(file["filename"], file["hashes"]["sha256"]) for file in page["files"]}
        found = [*_listed(index, project, page), *_linked(releases)]
        paths |= {path for path, _ in found}
        broken += (line for path, digest in found for line in _broken(client, path, digest))
    return Seen(_canonical(told, word), frozenset(paths), tuple(broken), frozenset(files))


def see_user(client: Client, word: str) -> Seen:
    """A user, and how often they had another password: too many wrong ones would be refused."""
    return Seen(_canonical([client.get_json(f"/{word}"), _passwords(client, word)], word), NOTHING)


def see_root(client: Client, _word: str) -> Seen:
    """That root is known, with the password that they have had all the time."""
    client.serial()
    return Seen(_canonical(client.send("POST", "/+login", ROOT_LOGIN).status, ""), NOTHING)


def _passwords(client: Client, user: str) -> list[int]:
    catalog = f"file:{client.serverdir}/catalog.sqlite?mode=ro"
    with closing(sqlite3.connect(catalog, uri=True)) as connection:
        rows = connection.execute("SELECT password_version FROM users WHERE name = ?", (user,))
        return [row[0] for row in rows]


def see_mirror(client: Client, word: str) -> Seen:
    """What a mirror shows and hands out, kept or fetched."""
    page = client.page(f"/{index_of(word)}/+simple/mirrored/")
    found = [*_listed(index_of(word), "mirrored", page)]
    broken = [line for path, digest in found for line in _broken(client, path, digest)]
    return Seen(_canonical([page["files"]], word), NOTHING, tuple(broken))


def _listed(index: str, project: str, page: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The paths of files and of their metadata on a simple page, and their digests."""
    for file in page["files"]:
        path = urljoin(f"/{index}/+simple/{project}/", file["url"]).removeprefix("/")
        yield path, file["hashes"]["sha256"]
        metadata = file.get("core-metadata")
        if metadata:
            yield f"{path}.metadata", metadata["sha256"]


def _linked(releases: Mapping[str, Any] | None) -> Iterator[tuple[str, str]]:
    """The paths of all that belongs to releases, and their digests."""
    for release in (releases or {}).values():
        for link in release.get("+links", []):
            path = urlsplit(link["href"]).path.removeprefix("/")
            yield path, link["hash_spec"].removeprefix("sha256=")


def _broken(client: Client, path: str, digest: str) -> Iterator[str]:
    answer = client.ask("GET", f"/{path}", None, {})
    if answer.status != 200 or hashlib.sha256(answer.body).hexdigest() != digest:
        yield f"{path} is shown and does not download (status {answer.status})"


def _canonical(told: object, word: str) -> str:
    text = json.dumps(_lasting(told), sort_keys=True).replace(word, "WORD")
    text = re.sub(r"http://127\.0\.0\.1:\d+", "http://server", text)
    return re.sub(r"toxresult-\d+", "toxresult-TIME", text)


def _lasting(told: object) -> object:
    """Without what differs from one time to the next."""
    if isinstance(told, dict):
        kept = told.items()
        return {key: _lasting(value) for key, value in kept if key not in _CHANGES_WITH_TIME}
    return [_lasting(each) for each in told] if isinstance(told, list) else told
