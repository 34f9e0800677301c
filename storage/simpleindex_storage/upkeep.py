"""What may be done to files, projects, indexes and users that are there: marks and removals.

Pieces of work for `Catalog.change`: each is done whole, or not at all.
"""

from collections.abc import Sequence
from dataclasses import replace

from .errors import NotStored, Refused
from .model import (
    Attachment,
    DistFile,
    Index,
    MirrorSettings,
    Project,
    ProjectStatus,
    Release,
    StageSettings,
)
from .names import IndexName, ProjectName, UserName, owner_of, same_version
from .ports import Change, Snapshot

_REASON_CHARACTERS_MAX = 500

_CLOSED = (ProjectStatus.ARCHIVED, ProjectStatus.QUARANTINED)


def open_index(index: Index | None, name: IndexName) -> Index:
    """An index that takes files. Raises NotStored, Refused."""
    if index is None or index.name != name:
        raise NotStored(f"index {name}")
    if isinstance(index.settings, MirrorSettings):
        raise Refused(name, "this index mirrors another one and takes no uploads")
    return index


def check_open_project(seen: Snapshot, name: ProjectName, index: Index, subject: str) -> None:
    """Raises Refused, of `subject`, for a project that takes nothing (PEP 792)."""
    project = seen.project(index.name, name)
    if project is not None and project.status in _CLOSED:
        raise Refused(
            subject,
            f"the project {project.name} is {project.status} in {index.name} and takes no files "
            "(PEP 792); it would have to be active again",
        )


def check_bases(seen: Snapshot, index: Index, before: Sequence[IndexName] = ()) -> None:
    """Raises Refused for bases that are not there.

    `before` are those that the index has had: one that was removed since may stay in the list.
    """
    if not isinstance(index.settings, StageSettings):
        return
    known = {index.name, *before}
    missing = [
        base for base in index.settings.bases if base not in known and seen.index(base) is None
    ]
    if missing:
        raise Refused(index.name, f"its bases do not exist: {', '.join(missing)}")


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


def forget_file(change: Change, file: DistFile) -> None:
    """Forget a file, and the results of its tests. Its release stays."""
    for attachment in change.attachments(file.index, file.project):
        if attachment.file_key == file.key:
            change.remove_attachment(attachment)
    change.remove_file(file)


def remove_file(change: Change, file: DistFile) -> None:
    """Remove a file; with the last one of a release the release goes, and so on upwards.

    Raises NotStored, also if other bytes have taken its place.
    """
    if change.file_at(file.place) is None:
        raise NotStored(f"file {file.filename}")
    forget_file(change, file)
    release = change.release(file.index, file.project, file.version)
    has_files = change.has_files(file.index, file.project, file.version)
    if release is not None and not has_files:
        _forget_releases(change, [release])


def remove_attachment(change: Change, attachment: Attachment) -> None:
    """Remove documentation or a test's result; a release of which nothing is left goes too.

    Raises NotStored.
    """
    if change.attachment_at(attachment.place) is None:
        raise NotStored(f"file {attachment.place.filename}")
    change.remove_attachment(attachment)
    named = (attachment.index, attachment.project)
    # By its very spelling: another one of the same version may well have files.
    release = change.release(*named, attachment.version)
    left = {file.version for file in change.files(*named)}
    left |= {other.version for other in change.attachments(*named)}
    if release is not None and attachment.version not in left:
        _forget_releases(change, [release])


def remove_release(change: Change, index: IndexName, project: ProjectName, version: str) -> None:
    """Remove a release with all that belongs to it; with the last one the project goes.

    A version may be there in two spellings, which are one release to installers. Raises NotStored.
    """
    stored = change.releases(index, project)
    releases = [release for release in stored if same_version(release.version, version)]
    if not releases:
        raise NotStored(f"{project} {version} in {index}")
    _forget_releases(change, releases)


def remove_project(change: Change, index: IndexName, project: ProjectName) -> None:
    """Remove a project with all its releases. Raises NotStored."""
    if change.project(index, project) is None:
        raise NotStored(f"project {project} in {index}")
    _forget_releases(change, change.releases(index, project))
    if change.project(index, project) is not None:  # it may have no release, and so be there still
        change.remove_project(index, project)


def remove_index(change: Change, name: IndexName) -> None:
    """Remove an index with all its projects. Raises NotStored."""
    if change.index(name) is None:
        raise NotStored(f"index {name}")
    for project in change.projects(name):
        remove_project(change, name, project.name)
    change.remove_index(name)


def remove_user(change: Change, name: UserName) -> None:
    """Remove a user with all indexes that lie below that name. Raises NotStored."""
    if change.user(name) is None:
        raise NotStored(f"user {name}")
    for index in change.indexes():
        if owner_of(index.name) == name:
            remove_index(change, index.name)
    change.remove_user(name)


def _forget_releases(change: Change, releases: Sequence[Release]) -> None:
    """Forget some releases of one project, and the project with the last of them.

    Files are read once for all: a project may have thousands of both.
    """
    if not releases:
        return
    index, project = releases[0].index, releases[0].project
    versions = {release.version for release in releases}
    for attachment in change.attachments(index, project):
        if attachment.version in versions:
            change.remove_attachment(attachment)
    for file in change.files(index, project):
        if file.version in versions:
            change.remove_file(file)
    for release in releases:
        change.remove_release(index, project, release.version)
    if not change.releases(index, project):
        change.remove_project(index, project)


def _check_reason(reason: str | None) -> None:
    if reason and (len(reason) > _REASON_CHARACTERS_MAX or not reason.isprintable()):
        raise Refused("reason", f"it is one line of {_REASON_CHARACTERS_MAX} characters at most")
