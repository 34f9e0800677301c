"""A push out of a mirror: a release of upstream becomes one of our own. Blocks."""

from collections.abc import Sequence
from contextlib import ExitStack
from datetime import datetime
from typing import BinaryIO

from simpleindex.mirror.known import MirroredFile
from simpleindex.pushing.cargo import Step
from simpleindex_storage.durable import unavailable_on_failure
from simpleindex_storage.model import Actor, Event, LogEntry, Outcome, Staged, Upload
from simpleindex_storage.names import IndexName
from simpleindex_storage.store import Store

_COPY_BYTES = 1 << 20


def push_copies(
    store: Store,
    copies: Sequence[tuple[MirroredFile, BinaryIO]],
    target: IndexName,
    *,
    by: Actor,
    when: datetime,
) -> list[Step]:
    """Bring files of one release, which are here by now, into an index: all together, or none.

    They go through the same checks as uploads, and keep their upload times and yanks. Raises
    NotStored, Refused, AlreadyStored, Damaged and Unavailable.
    """
    source, project = copies[0][0].index, copies[0][0].project
    version = copies[0][0].known.version
    entry = LogEntry(Event.PUSH, by.name or None, when, source, target)
    with ExitStack() as drafts:
        arrivals: list[tuple[Upload, Staged]] = []
        for file, content in copies:
            draft = drafts.enter_context(store.stage())
            with unavailable_on_failure(f"{file.place.filename} cannot be read"):
                while block := content.read(_COPY_BYTES):
                    draft.write(block)
            arrivals.append((_upload(file, target, by.name, entry), draft.finish()))
        admitted = store.admit(arrivals, by=by, what="push")
    steps = [Step(200, ("register", project, version, "->", target))]
    for arrived in admitted:
        remark = ("(already there)",) if arrived.outcome is Outcome.ALREADY_THERE else ()
        steps.append(Step(200, ("store_releasefile", arrived.file.place.path, *remark)))
    return steps


def _upload(file: MirroredFile, target: IndexName, sender: str, entry: LogEntry) -> Upload:
    return Upload(
        index=target,
        filename=file.known.file.filename,
        sender=sender,
        promised={} if file.sha256 is None else {"sha256": file.sha256},
        uploaded_at=file.changed_at,
        yanked=file.known.file.yanked,
        log=(entry,),
    )
