"""What maintainers say of files and projects that are there: yanks and statuses.

Pieces of work for `Catalog.change`: each is done whole, or not at all.
"""

from dataclasses import replace

from .errors import NotStored, Refused
from .model import Project, ProjectStatus
from .names import IndexName, ProjectName, same_version
from .ports import Change

_REASON_CHARACTERS_MAX = 500


def yank_release(
    change: Change, index: IndexName, project: ProjectName, version: str, reason: str | None
) -> int:
    """Yank all files of a release, or with None take the yank back; how many files there are.

    A yanked file can still be had by whoever pins its version (PEP 592). Raises NotStored,
    Refused.
    """
    _check_reason(reason)
    stored = change.files(index, project)
    files = [file for file in stored if same_version(file.version, version)]
    if not files:
        raise NotStored(f"{project} {version} in {index}")
    for file in files:
        if file.yanked != reason:
            change.yank_file(file, reason)
    return len(files)


def mark_project(
    change: Change,
    index: IndexName,
    project: ProjectName,
    status: ProjectStatus,
    reason: str | None,
) -> Project:
    """Give a project a status (PEP 792). Raises NotStored, Refused."""
    _check_reason(reason)
    known = change.project(index, project)
    if known is None:
        raise NotStored(f"project {project} in {index}")
    marked = replace(known, status=status, status_reason=reason or None)
    if marked != known:
        change.mark_project(marked)
    return marked


def _check_reason(reason: str | None) -> None:
    if reason and (len(reason) > _REASON_CHARACTERS_MAX or not reason.isprintable()):
        raise Refused("reason", f"it is one line of {_REASON_CHARACTERS_MAX} characters at most")
