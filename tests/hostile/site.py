"""What the hostile upstream publishes, and its honest answers."""

import base64
import gzip
import hashlib
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from functools import lru_cache

from tests.hostile import pages
from tests.hostile.answers import Body, Content, Reply, Request, Slice, a_reply
from tests.hostile.pages import OfferedFile, OfferedProject

_FIRST_CHANGE = datetime(2024, 1, 1, tzinfo=UTC)
_ONE_SECOND = timedelta(seconds=1)
_FILE_LIFETIME = "max-age=365000000, immutable, public"
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


@dataclass(frozen=True, slots=True)
class Resource:
    """What lies at a path."""

    body: Body
    content_type: str
    etag: str
    last_modified: datetime
    headers: Mapping[str, str] = field(default_factory=dict)
    is_page: bool = False

    @property
    def last_modified_text(self) -> str:
        return format_datetime(self.last_modified, usegmt=True)


class Site:
    """Projects, files, and who may read them. Tests change it while it is asked."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._projects: dict[str, OfferedProject] = {}
        self._resources: dict[str, Resource] = {}
        self._more_names: Sequence[str] = ()
        self._serial = 0
        self._authorization: str | None = None
        self._login_for_files = True

    def offer(self, file: OfferedFile) -> None:
        """Show a file on the page of its project, in place of one of the same name."""
        with self._lock:
            project = self._projects.get(file.project, OfferedProject(file.project))
            others = tuple(each for each in project.files if each.filename != file.filename)
            self._change(replace(project, files=(*others, file)))

    def withdraw(self, filename: str) -> None:
        """Show a file no longer; its bytes stay where they are."""
        with self._lock:
            for project in list(self._projects.values()):
                kept = tuple(each for each in project.files if each.filename != filename)
                if kept != project.files:
                    self._change(replace(project, files=kept))

    def change_project(self, name: str, status: str | None, reason: str | None) -> None:
        """Make a project, or give one another status."""
        with self._lock:
            project = self._projects.get(name, OfferedProject(name))
            self._change(replace(project, status=status, status_reason=reason))

    def forget(self, project: str) -> None:
        """Have no such project any more; the bytes of its files stay where they are."""
        with self._lock:
            self._serial += 1
            del self._projects[project]

    def put(self, path: str, body: Body, content_type: str, etag: str | None = None) -> None:
        """Have something at a path, in place of what lies there."""
        with self._lock:
            self._serial += 1
            etag = etag or _etag(bytes(body.part(0, body.size_bytes)))
            headers = {"Cache-Control": _FILE_LIFETIME}
            self._resources[path] = Resource(body, content_type, etag, self._now, headers)

    def take_away(self, path: str) -> None:
        """Have nothing at a path."""
        with self._lock:
            del self._resources[path]

    def list_also(self, names: Sequence[str]) -> None:
        """Have these names in the list of projects, too."""
        with self._lock:
            self._serial += 1
            self._more_names = names

    def require_login(self, user: str, password: str, *, also_for_files: bool) -> None:
        with self._lock:
            credentials = base64.b64encode(f"{user}:{password}".encode()).decode()
            self._authorization = f"Basic {credentials}"
            self._login_for_files = also_for_files

    def answer(self, request: Request) -> Reply:
        """The honest answer."""
        with self._lock:
            if not self._may_read(request):
                challenge = 'Basic realm="upstream"'
                return a_reply(401, "Who are you?\n", WWW_Authenticate=challenge)
            if request.method not in {"GET", "HEAD"}:
                return a_reply(405, "Nobody may do that here.\n", Allow="GET, HEAD")
            found = self._found(request)
        return found if isinstance(found, Reply) else _respond(request, found)

    @property
    def _now(self) -> datetime:
        # A clock that ticks once a change: dates in headers know no fractions of a second.
        return _FIRST_CHANGE + self._serial * _ONE_SECOND

    def _change(self, project: OfferedProject) -> None:
        self._serial += 1
        changed = replace(project, serial=self._serial, changed_at=self._now)
        self._projects[project.name] = changed

    def _may_read(self, request: Request) -> bool:
        is_free = self._authorization is None or (
            not self._login_for_files and not request.path.startswith("/simple")
        )
        return is_free or request.header("authorization") == self._authorization

    def _found(self, request: Request) -> Resource | Reply:
        path = request.path
        if path in self._resources:
            return self._resources[path]
        if path in {"/simple", "/simple/"}:
            return self._list(request) if path.endswith("/") else _moved("/simple/")
        matched = re.fullmatch(r"/simple/([^/]+)(/?)", path)
        if matched is None:
            return _NOT_FOUND
        name = re.sub(r"[-_.]+", "-", matched[1]).lower()
        if name not in self._projects:
            return _NOT_FOUND
        if (name, "/") != matched.groups():
            return _moved(f"/simple/{name}/")
        return self._page(self._projects[name], request)

    def _list(self, request: Request) -> Resource:
        content_type = pages.chosen_type(request.header("accept"))
        names = [*self._projects, *self._more_names]
        body = _list_page(tuple(names), content_type, self._serial)
        return _a_page(body, content_type, self._serial, self._now)

    def _page(self, project: OfferedProject, request: Request) -> Resource:
        content_type = pages.chosen_type(request.header("accept"))
        body = pages.project_page(project, content_type)
        return _a_page(body, content_type, project.serial, project.changed_at)


_list_page = lru_cache(maxsize=2)(pages.list_page)


def _a_page(body: bytes, content_type: str, serial: int, changed_at: datetime) -> Resource:
    headers = {"Vary": "Accept, Accept-Encoding", "X-PyPI-Last-Serial": str(serial)}
    return Resource(Content(body), content_type, _etag(body), changed_at, headers, is_page=True)


def _moved(path: str) -> Reply:
    return a_reply(301, Location=path)


_NOT_FOUND = a_reply(404, "There is no such thing here.\n")


def _etag(content: bytes) -> str:
    return f'"{hashlib.sha256(content).hexdigest()[:32]}"'


def _respond(request: Request, found: Resource) -> Reply:
    validators = {"ETag": found.etag, "Last-Modified": found.last_modified_text}
    headers = {**found.headers, **validators}
    if _is_known(request, found):
        return Reply(304, headers, Content(b""))
    whole = Reply(200, {"Content-Type": found.content_type, **headers}, found.body)
    if found.is_page:
        return _maybe_packed(request, whole)
    return _maybe_part(request, found, whole.saying(Accept_Ranges="bytes"))


def _is_known(request: Request, found: Resource) -> bool:
    known = request.header("if-none-match")
    if known is not None:
        etags = {etag.strip().removeprefix("W/") for etag in known.split(",")}
        return known == "*" or found.etag in etags
    since = request.header("if-modified-since")
    return since is not None and found.last_modified <= parsedate_to_datetime(since)


def _maybe_packed(request: Request, whole: Reply) -> Reply:
    accepted = request.header("accept-encoding") or ""
    if not re.search(r"\bgzip\b(?!\s*;\s*q=0(\.0*)?\s*(,|$))", accepted):
        return whole
    packed = _gzip(bytes(whole.body.part(0, whole.body.size_bytes)))
    return whole.with_body(Content(packed)).saying(Content_Encoding="gzip")


@lru_cache(maxsize=8)
def _gzip(content: bytes) -> bytes:
    return gzip.compress(content, compresslevel=1, mtime=0)


def _maybe_part(request: Request, found: Resource, whole: Reply) -> Reply:
    wanted = _RANGE.fullmatch(request.header("range") or "")
    condition = request.header("if-range")
    holds = condition in {None, found.etag, found.last_modified_text}
    if wanted is None or not holds or wanted[0] == "bytes=-":
        return whole
    size_bytes = found.body.size_bytes
    if wanted[1]:
        start = int(wanted[1])
        stop = min(int(wanted[2]) + 1 if wanted[2] else size_bytes, size_bytes)
    else:
        start, stop = max(0, size_bytes - int(wanted[2])), size_bytes
    if start >= stop:
        return a_reply(416, Content_Range=f"bytes */{size_bytes}")
    part = replace(whole, status=206, body=Slice(found.body, start, stop))
    return part.saying(Content_Range=f"bytes {start}-{stop - 1}/{size_bytes}")
