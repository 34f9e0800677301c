"""What is said of a release beside its files: registrations, documentation, results of tests.

Blocks, and knows nothing of HTTP.
"""

from collections.abc import Callable
from datetime import datetime

from packaging.version import Version

from simpleindex_storage import upkeep
from simpleindex_storage.documentation import check_documentation, documentation_name
from simpleindex_storage.errors import AlreadyStored, Refused
from simpleindex_storage.model import (
    Actor,
    Attachment,
    AttachmentKind,
    DistFile,
    Event,
    Index,
    LogEntry,
    Outcome,
    Release,
    Staged,
)
from simpleindex_storage.names import (
    FILENAME_BYTES_MAX,
    FilePlace,
    IndexName,
    ProjectName,
    same_version,
)
from simpleindex_storage.ports import Change, Snapshot
from simpleindex_storage.store import Store

Clock = Callable[[], datetime]

_TRIES = 10


def register_release(
    store: Store,
    release: Release,
    display_name: str,
    *,
    by: Actor,
    make_index: Index | None = None,
) -> None:
    """Make a release without files, or say anew all that is said of one.

    Raises NotStored, Refused, Unavailable.
    """
    if len(release.project) > FILENAME_BYTES_MAX:
        raise Refused(
            f"project name {release.project[:80]!r}", f"it has over {FILENAME_BYTES_MAX} bytes"
        )

    def work(change: Change) -> None:
        index = upkeep.open_index(change.index(release.index) or make_index, release.index)
        upkeep.check_open_project(change, release.project, index, str(release.project))
        if change.index(release.index) is None and make_index is not None:
            change.put_index(make_index)
        change.put_release(release, display_name)

    store.catalog.change(work, by=by, what="submit")


def keep_documentation(
    store: Store,
    staged: Staged,
    index: IndexName,
    project: ProjectName,
    version: str | None,
    *,
    by: Actor,
    now: Clock,
    make_index: Index | None = None,
) -> Outcome:
    """Keep a zip of pages as the documentation of a release, which is made if it is not there.

    Without a version it is that of the highest one. Raises NotStored, Refused, AlreadyStored and
    Unavailable.
    """
    with store.catalog.snapshot() as seen:
        taker = upkeep.open_index(seen.index(index) or make_index, index)
        upkeep.check_open_project(seen, project, taker, f"documentation of {project}")
        version = _release_meant(seen, index, project, version)
    filename = documentation_name(project, version)
    check_documentation(staged.path, filename)
    if make_index is not None:
        _make_index(store, make_index, by)
    sha256 = staged.digests.sha256
    when = now()
    return store.attach(
        Attachment(
            kind=AttachmentKind.DOCUMENTATION,
            index=index,
            project=project,
            version=version,
            place=FilePlace(index, sha256[:16], filename),
            size_bytes=staged.size_bytes,
            sha256=sha256,
            uploaded_at=when,
            uploaded_by=by.name,
            log=(LogEntry(Event.UPLOAD, by.name or None, when, target=index),),
        ),
        staged,
        by=by,
    )


def keep_result(
    store: Store, file: DistFile, content: bytes, *, by: Actor, now: Clock
) -> Attachment:
    """Keep what a test of a file has found, as it was sent. Raises NotStored, Refused, Unavailable.

    Its name is devpi's: the file's, the time, and how many results there were before.
    """
    when = now()
    log = (LogEntry(Event.UPLOAD, by.name or None, when, target=file.index),)
    ending = f".toxresult-{when:%Y%m%d%H%M%S}-"
    return keep_result_as(store, file, ending, content, by=by, when=when, log=log)


def keep_result_as(
    store: Store,
    file: DistFile,
    ending: str,
    content: bytes,
    *,
    by: Actor,
    when: datetime,
    log: tuple[LogEntry, ...],
) -> Attachment:
    """As `keep_result`, with a history. A number that is free comes behind `ending`."""
    for _ in range(_TRIES):
        with store.catalog.snapshot() as seen:
            place = _free_place(seen, file, ending)
        with store.stage() as draft:
            draft.write(content)
            staged = draft.finish()
            attachment = Attachment(
                kind=AttachmentKind.TOX_RESULT,
                index=file.index,
                project=file.project,
                version=file.version,
                place=place,
                size_bytes=staged.size_bytes,
                sha256=staged.digests.sha256,
                uploaded_at=when,
                uploaded_by=by.name,
                file_key=file.key,
                log=log,
            )
            try:
                store.attach(attachment, staged, by=by)
            except AlreadyStored:
                continue  # somebody was faster
            return attachment
    raise AlreadyStored("File", place.filename, "too many results come at once; send it again")


def _make_index(store: Store, index: Index, by: Actor) -> None:
    def work(change: Change) -> None:
        if change.index(index.name) is None:
            change.put_index(index)

    store.catalog.change(work, by=by, what="create index")


def _release_meant(
    seen: Snapshot, index: IndexName, project: ProjectName, version: str | None
) -> str:
    """A version in the spelling that is stored, if it is; without one the highest."""
    stored = [release.version for release in seen.releases(index, project)]
    if version is not None:
        return next((known for known in stored if same_version(known, version)), version)
    if not stored:
        raise Refused(
            f"documentation of {project}", "there is no release of it yet; name its version"
        )
    return max(stored, key=Version)


def _free_place(seen: Snapshot, file: DistFile, ending: str) -> FilePlace:
    known = seen.attachments(file.index, file.project)
    number = sum(each.file_key == file.key for each in known)
    taken = {each.place.filename for each in known}
    while f"{file.filename}{ending}{number}" in taken:
        number += 1
    return FilePlace(file.index, file.sha256[:16], f"{file.filename}{ending}{number}")
