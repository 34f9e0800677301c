"""A server directory with an application on top of it, for tests of the doors."""

import base64
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

from simpleindex.access import Logins, hash_password
from simpleindex.app import Application, create_app
from simpleindex.config import Config
from simpleindex.initialise import initialise, read_secret
from simpleindex_storage.model import Actor, Admitted, DistFile, Index, StageSettings, Upload, User
from simpleindex_storage.names import IndexName, UserName, parse_index_name, parse_project_name
from simpleindex_storage.opening import open_store
from simpleindex_storage.ports import Change, Snapshot
from simpleindex_storage.store import Store
from tests.asgi import Answer, Client, asking
from tests.builders import BuiltFile, a_wheel, an_sdist, an_upload_body

NOW = datetime(2026, 11, 22, 13, 2, 46, 123456, UTC)

PASSWORDS: Mapping[str, str] = {"root": "rootpw", "alice": "alicepw"}
"""Who is there from the start, and their passwords."""

WHEEL = a_wheel(requires_python=">=3.8,<4")
SDIST = an_sdist(version="2.0+local.1")
OTHER = a_wheel("art")
"""What is in the filled server."""

V1_JSON = "application/vnd.pypi.simple.v1+json"
V1_HTML = "application/vnd.pypi.simple.v1+html"
DEVPI = "application/json"

MakeSite: TypeAlias = "Callable[..., Site]"


@dataclass(frozen=True, slots=True)
class Site:
    """One server, asked in this process."""

    folder: Path
    app: Application
    client: Client

    def ask(self, method: str, target: str, *rest: Any, **more: Any) -> Answer:
        """As `Client.ask`."""
        return self.client.ask(method, target, *rest, **more)

    def get(self, target: str, accept: str | None = None, **headers: str) -> Answer:
        """As `Client.get`."""
        return self.client.get(target, accept, **headers)

    def upload(
        self,
        built: BuiltFile,
        to: str = "/root/local/",
        *,
        by: str | None = "root",
        headers: Mapping[str, str] = {},
        **changed_fields: Any,
    ) -> Answer:
        """Post a file as twine does."""
        content_type, body = an_upload_body(built, **changed_fields)
        return self.ask("POST", to, self.sent_by(by, content_type) | dict(headers), body)

    def sent_by(self, user: str | None, content_type: str | None = None) -> dict[str, str]:
        """The headers of a user who is logged in."""
        headers = {} if content_type is None else {"content-type": content_type}
        if user is not None:
            headers["authorization"] = basic(user, self.token(user))
        return headers

    def token(self, user: str) -> str:
        """What a login gives, made without its costs."""
        with elsewhere(self.folder) as store, store.catalog.snapshot() as seen:
            known = seen.user(UserName(user))
        assert known is not None
        secret = read_secret(self.folder / "secret")
        return Logins(secret, 36_000, lambda: NOW).issue(known)

    def add(self, *files: BuiltFile, index: str = "root/local") -> tuple[Admitted, ...]:
        """Take files in as another process does, making the index if it is not there."""
        with elsewhere(self.folder) as store:
            return tuple(_add(store, built, index) for built in files)

    def make_index(self, name: str, **settings: Any) -> None:
        """Make an index by another process."""
        index = Index(parse_index_name(name), StageSettings(**settings))
        with elsewhere(self.folder) as store:
            store.catalog.change(
                lambda change: change.put_index(index), by=Actor("root"), what="test"
            )

    def change(self, work: Callable[[Change], object]) -> None:
        """Change the catalog by another process."""
        with elsewhere(self.folder) as store:
            store.catalog.change(work, by=Actor("root"), what="test")

    def replace_files(self, *files: DistFile, project: str = "demo") -> None:
        """Let a project of root/local have just these files, by another process."""
        index, name = IndexName("root/local"), parse_project_name(project)

        def replace(change: Change) -> None:
            for known in change.files(index, name):
                change.remove_file(known)
            for file in files:
                change.put_file(file)

        self.change(replace)

    def stored(self) -> "Stored":
        """All that is kept, on the disk and in the catalog."""
        with elsewhere(self.folder) as store, store.catalog.snapshot() as seen:
            return Stored(seen.serial, _paths(self.folder, "files"), _recorded(seen), _drafts(self))


@dataclass(frozen=True, slots=True)
class Stored:
    """What is kept; equal before and after whatever must leave nothing."""

    serial: int
    paths: tuple[str, ...]
    """Files below `files/`."""
    recorded: tuple[str, ...]
    """Indexes, projects and files that the catalog knows."""
    drafts: tuple[str, ...]
    """What is left of uploads."""


@contextmanager
def a_site(folder: Path, **settings: Any) -> Iterator[Site]:
    """Serve a prepared folder for the time of the block."""
    # Nobody's upstream is asked, unless a test names one.
    settings.setdefault("offline_mode", "upstream_url" not in settings)
    app = create_app(Config(serverdir=folder, **settings), now=lambda: NOW)
    with asking(app) as client:
        try:
            yield Site(folder, app, client)
        finally:
            app.close()


@contextmanager
def elsewhere(folder: Path) -> Iterator[Store]:
    """The directory as another process has it open."""
    store = open_store(folder, lambda: NOW)
    try:
        yield store
    finally:
        store.close()


def prepare(folder: Path) -> None:
    """Make a server directory with the users of `PASSWORDS`, and no index but root/pypi."""
    initialise(folder, NOW, password=PASSWORDS["root"])
    alice = User(UserName("alice"), hash_password(PASSWORDS["alice"]), 1, NOW)
    with elsewhere(folder) as store:
        store.catalog.change(lambda change: change.put_user(alice), by=Actor("root"), what="test")


def basic(user: str, secret: str) -> str:
    """An Authorization header."""
    return f"Basic {base64.b64encode(f'{user}:{secret}'.encode()).decode()}"


def _add(store: Store, built: BuiltFile, index: str) -> Admitted:
    name = parse_index_name(index)
    made = Index(name, StageSettings(volatile=False, acl_upload=("root",)), automatic=True)
    with store.stage() as draft:
        draft.write(built.content)
        upload = Upload(name, built.filename, "root")
        return store.admit([(upload, draft.finish())], by=Actor("root"), make_index=made)[0]


def _paths(folder: Path, below: str) -> tuple[str, ...]:
    found = (folder / below).rglob("*")
    return tuple(sorted(path.relative_to(folder).as_posix() for path in found if path.is_file()))


def _drafts(site: Site) -> tuple[str, ...]:
    return tuple(path for path in _paths(site.folder, "incoming") if not path.endswith(".lock"))


def _recorded(seen: Snapshot) -> tuple[str, ...]:
    found = []
    for index in seen.indexes():
        found.append(f"{index.name} {index.settings}")
        for project in seen.projects(index.name):
            found += [f"{index.name} {project}"]
            found += [f"{file}" for file in seen.files(index.name, project.name)]
            found += [f"{release}" for release in seen.releases(index.name, project.name)]
    return tuple(found)
