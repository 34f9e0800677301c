"""Taking a dump over into a store. What is there is left alone, so it can be done again and again.

Whatever moment it is interrupted at: a project's files are recorded together or not at all (a
hundred at a time, if it has more), and the next run goes on from there.
"""

from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from simpleindex_storage.errors import NotStored
from simpleindex_storage.names import IndexName, UserName, owner_of
from simpleindex_storage.store import Store

from .accounts import take_accounts
from .projects import ProjectWork
from .records import Dump, Note
from .report import Options, Report

_AT_A_TIME = 4
"""Projects that are on their way at once; what becomes ready together shares a commit."""


def only(dump: Dump, names: Sequence[IndexName]) -> Dump:
    """The part of a dump that is about some indexes and their owners. Raises NotStored."""
    found = {index.name for index in dump.indexes}
    for name in names:
        if name not in found:
            raise NotStored(
                f"index {name}", "the dump has: " + (", ".join(sorted(found)) or "none")
            )
    owners = {owner_of(name) for name in names}
    return replace(
        dump,
        users=tuple(user for user in dump.users if user.name in owners),
        indexes=tuple(index for index in dump.indexes if index.name in names),
        notes=tuple(note for note in dump.notes if _is_about(note, names, owners)),
    )


def take_over(
    store: Store, dump: Dump, options: Options, progress: Callable[[], None] = lambda: None
) -> Report:
    """Take everything over that is not there yet; `progress` is called after each file.

    Raises Unavailable if the store cannot be written; what was taken until then stays.
    """
    accounts = take_accounts(store, dump, options)
    counts, notes = accounts.counts, [*dump.notes, *accounts.notes]
    work = [(index.name, project) for index in dump.indexes for project in index.projects]
    with ThreadPoolExecutor(_AT_A_TIME) as threads:
        running = [
            threads.submit(ProjectWork(store, dump.folder, options, *named, progress).do)
            for named in work
        ]
        try:
            for each in running:
                done = each.result()
                counts.add(done.counts)
                notes += done.notes
        except BaseException:
            threads.shutdown(cancel_futures=True)
            raise
    return Report(dump.source, counts, tuple(notes))


def _is_about(note: Note, names: Sequence[IndexName], owners: Collection[UserName]) -> bool:
    if note.subject in {f"user {owner}" for owner in owners}:
        return True
    named = note.subject.removeprefix("index ")
    return any(named == name or named.startswith((f"{name}/", f"{name}:")) for name in names)
