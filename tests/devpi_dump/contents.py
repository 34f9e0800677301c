"""Everything that a server directory holds, to be compared."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from simpleindex_storage.model import Attachment, DistFile, Index, Project, Release, User
from simpleindex_storage.names import IndexName, ProjectName
from simpleindex_storage.opening import open_store
from tests.cli.commands import listing

T = TypeVar("T")

_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Contents:
    """What is recorded, without serials; and what lies on the disk."""

    users: dict[str, User]
    indexes: dict[str, Index]
    projects: list[Project]
    releases: list[Release]
    files: list[DistFile]
    attachments: list[Attachment]
    on_disk: dict[str, str]


def contents(serverdir: Path) -> Contents:
    """All of it. When root was made depends on the directory, and does not count."""
    with closing(open_store(serverdir)) as store, store.catalog.snapshot() as seen:
        users = {str(user.name): user for user in seen.users()}
        users["root"] = replace(users["root"], created_at=_LONG_AGO)
        projects = [project for index in seen.indexes() for project in seen.projects(index.name)]
        return Contents(
            users=users,
            indexes={index.name: replace(index, serial=0) for index in seen.indexes()},
            projects=[replace(project, serial=0) for project in projects],
            releases=list(_each(projects, seen.releases)),
            files=list(_each(projects, seen.files)),
            attachments=list(_each(projects, seen.attachments)),
            on_disk={
                name: told
                for name, told in listing(serverdir / "files").items()
                if not (serverdir / "files" / name).is_dir()
            },
        )


def _each(
    projects: Iterable[Project], find: Callable[[IndexName, ProjectName], Iterable[T]]
) -> Iterator[T]:
    for project in projects:
        yield from find(project.index, project.name)
