"""Operations of a store that are to be killed: each is run in a process of its own.

    with elsewhere(operate, "removal", str(root), index, str(points), kill_at) as process: ...

They work below the doors of the server, so that every moment of theirs is a disk's or a catalog's.
"""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from simpleindex_storage.model import Actor, Event, LogEntry, Upload
from simpleindex_storage.names import IndexName, parse_project_name
from simpleindex_storage.store import Store
from simpleindex_storage.upkeep import remove_project
from tests.crash.points import ANSWER, Points, watch_disk
from tests.storage.stores import NOW, attach, documentation, opened, recorded_files

SOURCE = IndexName("root/source")
DEMO = parse_project_name("demo")
NEW_PAGES = b"the new pages"


def operate(operation: str, root: str, index: str, points_file: str, kill_at: str) -> None:
    """Do something to an index of a store; with a number in `kill_at` die in front of that point.

    What happens before and after the operation is no point.
    """
    points = Points(int(kill_at) if kill_at else None, Path(points_file))
    watch_disk(points)
    with opened(Path(root)) as store:
        points.watching = True
        OPERATIONS[operation](store, IndexName(index))
        points.reach(ANSWER)
        points.watching = False


def _remove(store: Store, index: IndexName) -> None:
    store.catalog.change(
        lambda it: remove_project(it, index, DEMO), by=Actor("root"), what="remove"
    )
    store.sweep_if_possible()


def _push(store: Store, index: IndexName) -> None:
    with ExitStack() as stages:
        arrivals = []
        for file in recorded_files(store.catalog, SOURCE):
            pushed = LogEntry(Event.PUSH, "root", NOW, SOURCE, index)
            upload = Upload(index, file.filename, "root", log=(*file.log, pushed))
            arrivals.append((upload, stages.enter_context(store.stage_copy(file))))
        store.admit(arrivals, by=Actor("root"), what="push")


def _document(store: Store, index: IndexName) -> None:
    attach(store, documentation(NEW_PAGES, index=index), NEW_PAGES)


def _remove_bytes_first(store: Store, index: IndexName) -> None:
    for file in recorded_files(store.catalog, index):
        if file.project == DEMO:
            store._files.remove(file.place)
    _remove(store, index)


def _push_one_by_one(store: Store, index: IndexName) -> None:
    for file in recorded_files(store.catalog, SOURCE):
        with store.stage_copy(file) as staged:
            store.admit(
                [(Upload(index, file.filename, "root"), staged)], by=Actor("root"), what="push"
            )


OPERATIONS: dict[str, Callable[[Store, IndexName], None]] = {
    "removal": _remove,
    "push": _push,
    "documentation": _document,
    # These break a promise: they show that the checks would notice.
    "careless removal": _remove_bytes_first,
    "careless push": _push_one_by_one,
}
