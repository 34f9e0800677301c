"""An index on 127.0.0.1 for ours to mirror: honest at first, and as bad as it is told to be.

with running_upstream() as upstream:
    upstream.add(a_wheel("demo", "1.0"))                     # or bytes and a file name
    upstream.add_big("big-1.0-py3-none-any.whl", 100_000_000)
    mirror_of(upstream.url)                                  # http://127.0.0.1:PORT/simple

    upstream.behave("demo-1.0", CutAfter(100))               # from now on
    upstream.behave("demo-1.0", [Status(503), None])         # once, then honest once, then CutAfter
    upstream.behave("demo-1.0", None)                        # honest again
    upstream.behave("/simple/demo/", Together(HtmlOnly(), Rate(1_000)))

    upstream.unplug()                                        # connections are refused
    upstream.plug_in()                                       # same port again
    upstream.go_deaf()                                       # attempts to connect time out

    upstream.wait_for("/simple/demo/", count=2)              # has been asked for twice
    upstream.wait_for("demo-1.0", over=True)                 # and been answered to the end
    upstream.requests.count(".whl$")                         # `$`: at the end of the path

Where files lie: `/files/PROJECT/FILENAME`, beside them `.metadata` and `.provenance`. A part of a
path matches requests whose path contains it. Behaviours are in `tests.hostile.behaviours`; what
they start from, the honest answer, has JSON and HTML, ETag and Last-Modified with 304, ranges with
206 on files, gzip on pages, redirects to normalised names, HEAD, and keep-alive.

It runs in a thread of its own and may be told things from any other.
"""

import hashlib
import mmap
import tempfile
import threading
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Literal, TypedDict, Unpack
from urllib.parse import quote

from packaging.utils import (
    InvalidWheelFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)

from tests.builders import BuiltFile, a_big_wheel
from tests.hostile.answers import Answering, Body, Content, MappedFile, Reply, Request
from tests.hostile.behaviours import Behaviour, Honest
from tests.hostile.pages import OfferedFile, Untold
from tests.hostile.request_log import Asked, RequestLog, matches
from tests.hostile.serving import Listener
from tests.hostile.site import Site

UPLOADED_AT = datetime(2024, 1, 1, tzinfo=UTC)
"""When files were uploaded unless something else is said."""

_BINARY = "application/octet-stream"
_PROVENANCE = "application/vnd.pypi.integrity.v1+json"


class Facts(TypedDict, total=False):
    """What can be said of a file that is published."""

    project: str
    """If the file's name does not say, or says another."""
    uploaded_at: datetime | None
    """None: the page does not say."""
    yanked: bool | str
    requires_python: str | None
    metadata: bool | bytes | Literal["sha256"] | None
    """Whether the core metadata is there and announced: "sha256", with its digest, which is what
    None means for wheels; True, without; bytes, with their digest and sent in its place."""
    provenance: str | bytes | None
    """Its URL, or what is then sent from this very server."""
    size: int | Untold
    """May lie; "untold": the page does not say."""
    sha256: str
    """May lie; "untold": the page names no digest."""
    url: str | None
    """What the page links to, if that is elsewhere; nothing lies at the usual path then."""


@dataclass(slots=True)
class _Rule:
    path_part: str
    behaviour: Behaviour | None
    turns: list[Behaviour] = field(default_factory=list)


class Upstream:
    """The index, as tests see it."""

    def __init__(self, folder: Path) -> None:
        self.requests = RequestLog()
        self._folder = folder
        self._site = Site()
        self._lock = threading.Lock()
        self._rules: list[_Rule] = []
        self._mappings: list[mmap.mmap] = []
        self._listener = Listener(self._answer, self.requests)
        self._listener.plug_in()

    @property
    def port(self) -> int:
        return self._listener.port

    @property
    def root_url(self) -> str:
        """Without a slash at its end."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """Of the simple index, without a slash at its end."""
        return f"{self.root_url}/simple"

    @property
    def connections_made(self) -> int:
        return self._listener.connections_made

    def add(
        self, content: bytes | BuiltFile, filename: str | None = None, **facts: Unpack[Facts]
    ) -> OfferedFile:
        """Publish a file, in place of one of the same name; what the page now says of it."""
        if isinstance(content, BuiltFile):
            filename, content = content.filename, content.content
        assert filename is not None, "bytes need a file name"
        digest = hashlib.sha256(content).hexdigest()
        found = _metadata_in(BytesIO(content), filename)
        return self._publish(filename, Content(content), digest, found, facts)

    def add_big(self, filename: str, size_bytes: int, **facts: Unpack[Facts]) -> OfferedFile:
        """Publish a wheel of just over `size_bytes` that pip can install; it lies on disk."""
        path = self._folder / filename
        a_big_wheel(path, size_bytes)
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            found = _metadata_in(file, filename)
        self._mappings.append(mapping)
        return self._publish(filename, MappedFile(mapping), digest, found, facts)

    def remove(self, filename: str, *, bytes_too: bool = False) -> None:
        """Show a file no longer; `bytes_too`: nothing lies at its path either."""
        self._site.withdraw(filename)
        if bytes_too:
            self._site.take_away(_path(_project_of(filename), filename))

    def remove_project(self, project: str) -> None:
        """Have no such project any more."""
        self._site.forget(project)

    def add_project(
        self, name: str, *, status: str | None = None, reason: str | None = None
    ) -> None:
        """Have a project, maybe without files, or give one that is there another status."""
        self._site.change_project(name, status, reason)

    def many_names(self, count: int) -> list[str]:
        """Have so many more names in the list of projects, without pages; these names."""
        names = [f"synthetic-name-{number:07}" for number in range(count)]
        self._site.list_also(names)
        return names

    def put(self, path: str, content: bytes, content_type: str = _BINARY) -> str:
        """Have something else at a path; its URL."""
        self._site.put(path, Content(content), content_type)
        return self.root_url + path

    def require_login(self, user: str, password: str, *, also_for_files: bool = True) -> None:
        """Answer 401 to all who do not name these."""
        self._site.require_login(user, password, also_for_files=also_for_files)

    def behave(
        self, path_part: str, behaviour: Behaviour | Sequence[Behaviour | None] | None
    ) -> None:
        """How requests whose path contains this part are answered from now on; None: honestly.

        A sequence is for one request each, None in it for an honest answer, and holds no longer
        than that. Where several apply, the one that was said last does.
        """
        with self._lock:
            if behaviour is None:
                self._rules = [rule for rule in self._rules if rule.path_part != path_part]
            elif isinstance(behaviour, Sequence):
                turns = [Honest() if each is None else each for each in behaviour]
                self._rules.insert(0, _Rule(path_part, None, turns))
            else:
                self._rules.insert(0, _Rule(path_part, behaviour))

    def unplug(self) -> None:
        """Drop all connections, and refuse new ones from now on."""
        self._listener.unplug()

    def plug_in(self) -> None:
        """Be there again, at the same port."""
        self._listener.plug_in()

    def go_deaf(self) -> None:
        """Drop all connections; attempts to connect get no answer from now on (Linux)."""
        self._listener.go_deaf()

    def wait_for(
        self,
        path_part: str,
        count: int = 1,
        timeout_seconds: float = 30.0,
        *,
        method: str | None = "GET",
        over: bool = False,
    ) -> list[Asked]:
        """Block until so many requests have arrived, or are over; all that have, by then."""
        return self.requests.wait_for(path_part, count, timeout_seconds, method=method, over=over)

    def close(self) -> None:
        """End for good. Fails if something went wrong that nobody asked for."""
        self._listener.close()
        for mapping in self._mappings:
            mapping.close()
        if self._listener.faults:
            raise AssertionError("the hostile upstream is at fault") from self._listener.faults[0]

    def _publish(
        self, filename: str, body: Body, digest: str, found: bytes | None, facts: Facts
    ) -> OfferedFile:
        project = facts.get("project")
        name = _project_of(filename) if project is None else canonicalize_name(project)
        path = _path(name, filename)
        url = facts.get("url")
        if url is None:
            self._site.put(path, body, _BINARY, f'"{digest[:32]}"')
        metadata = facts.get("metadata")
        sent_metadata = metadata if isinstance(metadata, bytes) else found
        if sent_metadata is not None and metadata is not False:
            self._site.put(f"{path}.metadata", Content(sent_metadata), _BINARY)
        provenance = facts.get("provenance")
        if isinstance(provenance, bytes):
            provenance = self.put(f"{path}.provenance", provenance, _PROVENANCE)
        size, sha256 = facts.get("size", body.size_bytes), facts.get("sha256", digest)
        offered = OfferedFile(
            project=name,
            filename=filename,
            url=f"../..{path}" if url is None else url,
            hashes={} if sha256 == "untold" else {"sha256": sha256},
            size_bytes=None if size == "untold" else size,
            uploaded_at=facts.get("uploaded_at", UPLOADED_AT),
            requires_python=facts.get("requires_python"),
            yanked=facts.get("yanked", False),
            metadata=_announced(metadata, sent_metadata),
            provenance=provenance,
            version=_version_of(filename),
        )
        self._site.offer(offered)
        return offered

    def _answer(self, request: Request) -> Reply:
        behaviour = self._behaviour_for(request.target)
        honestly: Answering = self._site.answer
        return behaviour.answer(request, honestly)

    def _behaviour_for(self, target: str) -> Behaviour:
        with self._lock:
            for rule in self._rules:
                if not matches(target, rule.path_part):
                    continue
                if rule.behaviour is not None:
                    return rule.behaviour
                if rule.turns:
                    return rule.turns.pop(0)
        return Honest()


@contextmanager
def running_upstream() -> Iterator[Upstream]:
    """An index for the time of the block, on a free port."""
    with tempfile.TemporaryDirectory(prefix="upstream-") as folder:
        upstream = Upstream(Path(folder))
        try:
            yield upstream
        finally:
            upstream.close()


def _path(project: str, filename: str) -> str:
    return f"/files/{project}/{quote(filename, safe='!')}"


def _project_of(filename: str) -> str:
    try:
        return parse_wheel_filename(filename)[0]
    except InvalidWheelFilename:
        return parse_sdist_filename(filename)[0]


def _version_of(filename: str) -> str | None:
    try:
        return str(parse_wheel_filename(filename)[1])
    except ValueError:
        pass
    try:
        return str(parse_sdist_filename(filename)[1])
    except ValueError:
        return None  # of an egg, or no valid name at all


def _metadata_in(wheel: BinaryIO, filename: str) -> bytes | None:
    """METADATA; None where there is none to be found."""
    if not filename.endswith(".whl"):
        return None
    try:
        with zipfile.ZipFile(wheel) as archive:
            names = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
            return archive.read(names[0]) if names else None
    except zipfile.BadZipFile:
        return None


def _announced(
    metadata: bool | bytes | Literal["sha256"] | None, sent: bytes | None
) -> Mapping[str, str] | bool | None:
    if isinstance(metadata, bool):
        return metadata
    return None if sent is None else {"sha256": hashlib.sha256(sent).hexdigest()}
