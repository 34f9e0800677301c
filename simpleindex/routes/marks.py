"""Yanks and statuses: what maintainers say of releases and projects that are there."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import Response

from simpleindex.access import Principal, Rules
from simpleindex.errors import Forbidden
from simpleindex.routes.asking import json_body
from simpleindex.routes.doorkeeper import Doorkeeper
from simpleindex.routes.replies import changed, told
from simpleindex.wire import marks_json
from simpleindex.wire.locations import ProjectAt, VersionAt
from simpleindex_storage.errors import NotStored
from simpleindex_storage.names import (
    IndexName,
    ProjectName,
    index_name,
    parse_project_name,
    parse_version,
)
from simpleindex_storage.ports import Catalog, Change
from simpleindex_storage.upkeep import mark_project, yank_release

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class MarksDoor:
    """PATCH of a release or a project. Whoever may remove it may mark it."""

    catalog: Catalog
    doorkeeper: Doorkeeper
    rules: Rules

    async def yank(self, request: Request, at: VersionAt) -> Response:
        """Yank all files of a release, or take the yank back."""
        principal = await self.doorkeeper.identify(request)
        reason = marks_json.parse_yank(await json_body(request))
        index = index_name(at.user, at.index)
        project, version = parse_project_name(at.project), parse_version(at.version)
        count = await self._change(
            lambda change: yank_release(change, index, project, version, reason),
            index,
            project,
            principal,
            "unyank" if reason is None else "yank",
        )
        verb = "not yanked" if reason is None else "yanked"
        return told(f"{project} {version}: {count} files are {verb} now")

    async def set_status(self, request: Request, at: ProjectAt) -> Response:
        """Give a project a status (PEP 792)."""
        principal = await self.doorkeeper.identify(request)
        status, reason = marks_json.parse_status(await json_body(request))
        index = index_name(at.user, at.index)
        project = parse_project_name(at.project)
        await self._change(
            lambda change: mark_project(change, index, project, status, reason),
            index,
            project,
            principal,
            "project status",
        )
        return told(f"{project} is {status} now")

    async def _change(
        self,
        work: Callable[[Change], T],
        name: IndexName,
        project: ProjectName,
        principal: Principal,
        what: str,
    ) -> T:
        """Do the work if the principal may, both decided on the same catalog."""

        def checked(change: Change) -> T:
            index = change.index(name)
            if index is None:
                raise NotStored(f"index {name}")
            if not self.rules.may_mark(principal, index, project):
                raise Forbidden(f"{principal} may not change {project} in {name}")
            return work(change)

        return await changed(self.catalog, checked, principal, what)
