"""The index that is tested, wherever it runs: its URLs, uploads to it, and what it shows."""

import base64
import itertools
import json
import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest

from tests.builders import BuiltFile, an_upload_body
from tests.conformance.forms import Body
from tests.conformance.pages import (
    HtmlPage,
    ShownFile,
    files_of_html,
    files_of_json,
    parse_html,
)
from tests.conformance.talking import FORMS, HTML, V1_JSON, Headers, Reply, ask

BASES = ("+simple/", "simple/", "")
"""Where the pages may lie below the URL of an index."""

PIP = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html; q=0.1, " \
    "text/html; q=0.01"  # fmt: skip


@dataclass(frozen=True, slots=True)
class Site:
    """One index. Every URL ends with a slash."""

    index_url: str
    base_url: str
    """The list of projects; their pages lie below."""
    upload_url: str
    credentials: tuple[str, str] | None
    is_ours: bool
    """Whether yanks, statuses and new indexes can be had as our server offers them."""
    suffix: str = field(default_factory=lambda: secrets.token_hex(4))
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def a_name(self, word: str) -> str:
        """A normalised name that no project of the index has."""
        return f"{word}-{self.suffix}-{next(self._numbers)}"

    # Reading

    def page_url(self, project: str) -> str:
        """Of a project's page."""
        return f"{self.base_url}{project}/"

    def get(self, project: str = "", accept: str | None = V1_JSON, **headers: str) -> Reply:
        """A project's page, or the list; `if_none_match` becomes If-None-Match."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if accept is not None:
            named["accept"] = accept
        return ask("GET", self.page_url(project) if project else self.base_url, named)

    def html(self, project: str = "") -> HtmlPage:
        """A page that must be there, as HTML."""
        reply = self.get(project, HTML)
        assert reply.status == 200, reply
        return parse_html(reply.text, self.page_url(project) if project else self.base_url)

    def json(self, project: str = "") -> Any:
        """A page that must be there, as JSON."""
        reply = self.get(project)
        assert (reply.status, reply.media_type) == (200, V1_JSON), reply
        return reply.json

    def files(self, project: str, form: str = V1_JSON) -> dict[str, ShownFile]:
        """The files of a project by their names, as one of the forms shows them."""
        if form == V1_JSON:
            return files_of_json(self.json(project), self.page_url(project))
        return files_of_html(self.html(project))

    def file(self, project: str, built: BuiltFile) -> ShownFile:
        """One file of a project."""
        return self.files(project)[built.filename]

    def projects(self) -> set[str]:
        """The names on the list."""
        return {project["name"] for project in self.json()["projects"]}

    # Writing

    def upload(self, built: BuiltFile, **changed_fields: Any) -> Reply:
        """Post a file as twine does."""
        return self.post(an_upload_body(built, **changed_fields))

    def store(self, *files: BuiltFile) -> None:
        """Upload files that have to be taken."""
        for built in files:
            reply = self.upload(built)
            assert reply.status == 200, (built.filename, reply)

    def post(self, body: Body, to: str | None = None, headers: Mapping[str, str] = {}) -> Reply:
        """Post a form, with credentials from the start."""
        named = {"content-type": body[0]} | dict(self.authorized()) | dict(headers)
        return ask("POST", self.upload_url if to is None else to, named, body[1])

    def authorized(self) -> Mapping[str, str]:
        """The header that says who we are; none where nobody was named."""
        if self.credentials is None:
            return {}
        return {"authorization": basic(*self.credentials)}

    # What only our own server can be told by HTTP

    def yank(self, project: str, version: str, value: bool | str = True) -> None:
        """Yank a release, with True or a reason; or take that back, with False."""
        self._patch(f"{project}/{version}", {"yanked": value})

    def set_status(self, project: str, status: str, reason: str | None = None) -> None:
        """Give a project a status."""
        content = {"project-status": status}
        self._patch(project, content if reason is None else content | {"reason": reason})

    def new_index(self, **settings: Any) -> "Site":
        """Another index of the same server."""
        self._must_be_ours("another index")
        url = urljoin(self.index_url, f"../{self.a_name('other')}/")
        made = ask("PUT", url[:-1], self.authorized(), json.dumps(settings).encode())
        assert made.status in (200, 201), made
        return site_at(url, credentials=self.credentials)

    def _patch(self, below: str, content: Mapping[str, object]) -> None:
        self._must_be_ours("a mark")
        url = f"{self.index_url}{below}"
        reply = ask("PATCH", url, self.authorized(), json.dumps(content).encode())
        assert reply.status == 200, reply

    def _must_be_ours(self, what: str) -> None:
        if not self.is_ours:
            pytest.skip(f"no standard says how an index is told to make {what}")


def site_at(index_url: str, *, credentials: tuple[str, str] | None) -> Site:
    """An index of our own server, which need not be there yet."""
    return Site(index_url, f"{index_url}+simple/", index_url, credentials, is_ours=True)


def foreign_site(
    index_url: str, *, upload_url: str | None, credentials: tuple[str, str] | None
) -> Site:
    """An index of any server, whose pages are searched for at the usual places."""
    index_url = f"{index_url.rstrip('/')}/"
    for below in BASES:
        index_url = index_url.removesuffix(below)
    for below in BASES:
        base_url = f"{index_url}{below}"
        reply = ask("GET", base_url, {"accept": PIP})
        if reply.status == 200 and reply.media_type in FORMS:
            return Site(index_url, base_url, upload_url or index_url, credentials, is_ours=False)
    pytest.exit(f"no simple page at {index_url}, nor at +simple/ or simple/ below it", 1)


def basic(user: str, password: str) -> str:
    """An Authorization header."""
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


def root_of(url: str) -> str:
    """The URL of the server."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}/"


def fetched(url: str, headers: Headers = ()) -> bytes:
    """A file that must be there."""
    reply = ask("GET", url, headers)
    assert reply.status == 200, reply
    return reply.body


def assert_refused(reply: Reply) -> None:
    """A 4xx with a sentence for people, and nothing of the server's insides."""
    assert 400 <= reply.status < 500, reply
    assert reply.text.strip(), "a refusal has to say why"
    assert reply.media_type != HTML, reply
    assert "Traceback" not in reply.text


def assert_nothing_of(site: Site, project: str) -> None:
    """A project that was refused has no page, and no place on the list."""
    for form in FORMS:
        assert site.get(project, form).status == 404
    assert project not in site.projects()


def upload_time(text: str) -> datetime:
    """An upload time, which must be in the one notation that there is for it."""
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z", text), text
    return datetime.fromisoformat(text).astimezone(UTC)
