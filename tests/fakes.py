"""A catalog in memory, for what only reads one."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, TypeVar

from simpleindex.mirror.known import MirroredFile, MirrorLook, UpstreamNeeded, WantedPage
from simpleindex.wire.mirror_page import MirrorFile, MirrorPage
from simpleindex.wire.simple_page import PageFile
from simpleindex_storage.model import (
    Actor,
    ApiToken,
    Attachment,
    Delivery,
    DistFile,
    Index,
    JsonValue,
    ListedFile,
    MirrorSettings,
    Project,
    ProjectStatus,
    Release,
    StageSettings,
    User,
)
from simpleindex_storage.names import (
    FilePlace,
    IndexName,
    ProjectName,
    UserName,
    parse_filename,
    parse_index_name,
    parse_project_name,
)
from simpleindex_storage.ports import Change
from simpleindex_storage.records import time_text
from simpleindex_storage.search_text import Found, Term

T = TypeVar("T")

AT = datetime(2026, 11, 22, 13, 2, 46, 123456, UTC)


@dataclass
class FakeMirrors:
    """Mirrors whose pages tests write directly. Of all other projects nobody knows anything."""

    pages: dict[tuple[str, str], MirrorPage] = field(default_factory=dict)
    unasked: set[tuple[str, str]] = field(default_factory=set)
    """Projects for which upstream would have to be asked first."""
    troubles: dict[str, str] = field(default_factory=dict)
    """Mirrors whose upstream does not answer, and why."""

    def put_file(self, index: str, filename: str, **facts: Any) -> MirrorFile:
        """A file that upstream shows; its digest stands for its index and name."""
        parsed = parse_filename(filename)
        digest = sha256(f"{index}/{filename}".encode()).hexdigest()
        url = f"http://upstream.example/files/{filename}"
        file = MirrorFile(
            PageFile(filename, url, {"sha256": digest}, **{"size_bytes": 1234, **facts}),
            parsed.version,
            digest[:16],
            AT,
            None,
        )
        known = self.pages.get((index, parsed.project))
        files = (*(known.files if known else ()), file)
        self.pages[index, parsed.project] = MirrorPage(
            parsed.project, files, (), ProjectStatus.ACTIVE, None, None
        )
        return file

    def look(self, index: Index, project: ProjectName) -> MirrorLook:
        if (index.name, project) in self.unasked:
            raise UpstreamNeeded(WantedPage(index, project))
        page = self.pages.get((index.name, project))
        if page is None:
            return MirrorLook(index.name, None, trouble=self.troubles.get(index.name))
        files = tuple(MirroredFile(index.name, project, file) for file in page.files)
        return MirrorLook(index.name, page, files, fingerprint=len(files))


@dataclass
class FakeCatalog:
    """A catalog that tests write into directly. It is its own snapshot."""

    serial: int = 0
    known_users: dict[str, User] = field(default_factory=dict)
    known_tokens: list[ApiToken] = field(default_factory=list)
    known_indexes: dict[str, Index] = field(default_factory=dict)
    known_projects: dict[tuple[str, str], Project] = field(default_factory=dict)
    former_projects: set[tuple[str, str]] = field(default_factory=set)
    known_files: dict[tuple[str, str], list[DistFile]] = field(default_factory=dict)
    reads_of_files: int = 0
    uuid: str = "0" * 32

    def put_user(self, name: str, password_hash: str, version: int = 1) -> User:
        user = User(UserName(name), password_hash, version, AT)
        self.serial += 1
        self.known_users[name] = user
        return user

    def put_stage(self, name: str, *bases: str, **more: Any) -> None:
        settings = StageSettings(bases=tuple(map(parse_index_name, bases)), **more)
        self._put_index(Index(parse_index_name(name), settings))

    def put_mirror(self, name: str) -> None:
        self._put_index(Index(parse_index_name(name), MirrorSettings()))

    def put_project(self, index: str, project: str) -> None:
        name = parse_project_name(project)
        self.serial += 1
        self.known_projects[index, name] = Project(IndexName(index), name, project, self.serial)

    def put_file(self, index: str, filename: str, **facts: Any) -> DistFile:
        """A file whose digests stand for its index and name; a changed one replaces it."""
        parsed = parse_filename(filename)
        self.put_project(index, parsed.project)
        file = DistFile(
            index=IndexName(index),
            project=parsed.project,
            version=parsed.version,
            filename=filename,
            key=parsed.key,
            size_bytes=1234,
            sha256=sha256(f"{index}/{filename}".encode()).hexdigest(),
            md5="0" * 32,
            blake2b_256="0" * 64,
            uploaded_at=AT,
            uploaded_by="root",
            **facts,
        )
        files = self.known_files.setdefault((index, parsed.project), [])
        files[:] = [known for known in files if known.key != file.key] + [file]
        return file

    def remove_project(self, index: str, project: str) -> None:
        name = parse_project_name(project)
        self.serial += 1
        self.known_files.pop((index, name), None)
        del self.known_projects[index, name]
        self.former_projects.add((index, name))

    @contextmanager
    def snapshot(self) -> Iterator["FakeCatalog"]:
        yield self

    def change(self, work: Callable[[Change], T], *, by: Actor, what: str) -> T:
        raise NotImplementedError

    @property
    def journal_name(self) -> str:
        raise NotImplementedError

    def all_facts(self) -> Iterator[tuple[str, dict[str, JsonValue]]]:
        raise NotImplementedError

    def begin_segment(self) -> None:
        raise NotImplementedError

    def agreed_serial(self) -> int | None:
        return self.serial

    def settled_serial(self) -> int:
        return self.serial

    def close(self) -> None:
        pass

    def user(self, name: UserName) -> User | None:
        return self.known_users.get(name)

    def users(self) -> tuple[User, ...]:
        return tuple(self.known_users.values())

    def tokens(self, user: UserName) -> tuple[ApiToken, ...]:
        return tuple(token for token in self.known_tokens if token.user == user)

    def token_by_digest(self, sha256: str) -> ApiToken | None:
        return next((token for token in self.known_tokens if token.sha256 == sha256), None)

    def index(self, name: IndexName) -> Index | None:
        return self.known_indexes.get(name)

    def indexes(self) -> tuple[Index, ...]:
        return tuple(self.known_indexes.values())

    def projects(self, index: IndexName) -> tuple[Project, ...]:
        found = (known for known in self.known_projects.values() if known.index == index)
        return tuple(sorted(found, key=lambda project: project.name))

    def listed_projects(
        self, index: IndexName, after: str, at_most: int
    ) -> tuple[tuple[ProjectName, int], ...]:
        found = [(it.name, it.serial) for it in self.projects(index) if it.name > after]
        return tuple(found[:at_most])

    def count_projects(self, index: IndexName, at_most: int | None = None) -> int:
        count = len(self.projects(index))
        return count if at_most is None else min(count, at_most)

    def project(self, index: IndexName, name: ProjectName) -> Project | None:
        return self.known_projects.get((index, name))

    def had_project(self, index: IndexName, name: ProjectName) -> bool:
        return (index, name) in self.known_projects or (index, name) in self.former_projects

    def release(self, index: IndexName, project: ProjectName, version: str) -> Release | None:
        raise NotImplementedError

    def releases(self, index: IndexName, project: ProjectName) -> tuple[Release, ...]:
        raise NotImplementedError

    def files(self, index: IndexName, project: ProjectName) -> tuple[DistFile, ...]:
        self.reads_of_files += 1
        return tuple(self.known_files.get((index, project), ()))

    def listed_files(self, index: IndexName, project: ProjectName) -> tuple[ListedFile, ...]:
        return tuple(
            ListedFile(
                index_name=file.index,
                version=file.version,
                filename=file.filename,
                key=file.key,
                size_bytes=file.size_bytes,
                sha256=file.sha256,
                uploaded_at_text=time_text(file.uploaded_at),
                requires_python=file.requires_python,
                metadata_sha256=file.metadata_sha256,
                signature_sha256=file.signature_sha256,
                provenance_sha256=file.provenance_sha256,
                yanked=file.yanked,
            )
            for file in self.files(index, project)
        )

    def has_files(self, index: IndexName, project: ProjectName, version: str) -> bool:
        raise NotImplementedError

    def search(self, index: IndexName, terms: Sequence[Term]) -> Iterator[Found]:
        raise NotImplementedError

    def file_at(self, place: FilePlace) -> DistFile | None:
        raise NotImplementedError

    def file_named(self, index: IndexName, key: str) -> DistFile | None:
        raise NotImplementedError

    def attachments(self, index: IndexName, project: ProjectName) -> tuple[Attachment, ...]:
        raise NotImplementedError

    def attachment_at(self, place: FilePlace) -> Attachment | None:
        raise NotImplementedError

    def deliveries(self) -> tuple[Delivery, ...]:
        return ()

    def _put_index(self, index: Index) -> None:
        self.serial += 1
        self.known_indexes[index.name] = replace(index, serial=self.serial)
