"""From a server directory to a `Store`: the only file that names every backend."""

import logging
import os
from collections.abc import Callable
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from enum import Enum, auto
from pathlib import Path
from typing import TypeVar

from .cache import Cache
from .catalog_sqlite import SqliteCatalog, create_catalog
from .durable import unavailable_on_failure, write_file
from .errors import Refused, Unavailable
from .failures import LoginNotes, MemoryNotes, SharedNotes
from .files_disk import DiskFiles
from .generation import Generation
from .journal import Journal
from .ports import Change
from .processes import check_one_version
from .sqlite_file import CATALOG_FILE, prepare_catalog
from .store import Store

T = TypeVar("T")

_log = logging.getLogger(__name__)

# What an interrupted initialisation, an admin who wrote the settings first, or a fresh disk leave.
_MAY_BE_THERE = {
    "simpleindex.toml",
    "targets.json",
    "trusted-keys",
    "wanted.json",
    "secret",
    "secret.new",
    "root-password",
    "root-password.new",
    "journal.jsonl",
    "catalog.sqlite.new",
    "catalog.sqlite.new-journal",
    "catalog.sqlite.new-wal",
    "catalog.sqlite.new-shm",
    "lost+found",
}

_CACHE_FOLDER = "cache"
_INCOMING = "incoming"

_BALLAST = "ballast"
_BALLAST_BYTES = 256 << 10


class FolderState(Enum):
    """What a folder is to us."""

    EMPTY = auto()
    """Nothing of anybody's is in it, or it does not exist: a server directory can be made."""
    OURS = auto()
    FOREIGN = auto()


def utc_now() -> datetime:
    """The clock that is used unless another is passed in."""
    return datetime.now(UTC)


def state_of(root: Path) -> FolderState:
    """What a folder is. Raises Unavailable if it cannot be looked into."""
    with unavailable_on_failure(f"{root} cannot be read"):
        if not root.exists():
            return FolderState.EMPTY
        if not root.is_dir():
            return FolderState.FOREIGN
        names = {path.name for path in root.iterdir()}
    if CATALOG_FILE in names:
        return FolderState.OURS
    return FolderState.FOREIGN if names - _MAY_BE_THERE else FolderState.EMPTY


def lacks_catalog(root: Path) -> bool:
    """Whether a folder has what a server directory has, but for the catalog. Raises Unavailable.

    An initialisation that was interrupted leaves a journal too, but no folder of files.
    """
    with unavailable_on_failure(f"{root} cannot be read"):
        names = {path.name for path in root.iterdir()} if root.is_dir() else set()
    ours = names & {"secret", "incoming", "journal.jsonl", "state.json"}
    return "files" in names and bool(ours) and CATALOG_FILE not in names


def create_store(root: Path, first: Callable[[Change], None], now: datetime) -> None:
    """Make the catalog of a new server directory, with what `first` puts in at serial 0.

    To be called last in making a server directory: only with its catalog it counts as one.
    Raises Refused for a folder in which something else lies, and Unavailable.
    """
    if state_of(root) is not FolderState.EMPTY:
        raise Refused(str(root), "a new server directory needs an empty folder")
    with unavailable_on_failure(f"{root} cannot be written"):
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        create_catalog(root, first, now)


def open_store(root: Path, now: Callable[[], datetime] = utc_now) -> Store:
    """Open a server directory for reading and writing, and tidy up after a crash.

    Several processes of one version may have it open. The time it takes does not depend on the
    number of files. Raises Refused for a directory that is not ours, that a newer version made, or
    that a process of another version has open; Unavailable for one that cannot be read or written.
    """
    if state_of(root) is not FolderState.OURS:
        raise Refused(str(root), "this is not a directory of simpleindex-server")
    if not os.access(root, os.W_OK):
        raise Refused(str(root), "the directory cannot be written; give its owner the right to")
    check_one_version(root / _INCOMING)  # before anything is brought up to date
    return _with_room(root, lambda: _open(root, now))


def open_cache(root: Path, now: Callable[[], datetime] = utc_now) -> Cache:
    """Open what mirrors have kept, of a server directory that is open.

    On a full disk too, and several processes may. Raises Refused, Unavailable.
    """
    return _with_room(root, lambda: Cache(root / _CACHE_FOLDER, now))


def open_login_notes(root: Path) -> LoginNotes:
    """What the processes of a server directory know of failed logins.

    Where the disk has no room for it, each process counts for itself until its next start.
    """
    try:
        return SharedNotes(root / "failures")
    except OSError as error:
        _log.warning("failed logins are counted by each process for itself: %s", error)
        return MemoryNotes()


def _open(root: Path, now: Callable[[], datetime]) -> Store:
    with ExitStack() as if_it_fails:
        # First, since it marks that this process is in here: a rebuild waits for nobody else.
        files = DiskFiles(root)
        if_it_fails.callback(files.close)
        check_one_version(root / _INCOMING)  # again: another one may have begun with us
        prepare_catalog(root / CATALOG_FILE, now())
        journal = Journal(root)
        if_it_fails.callback(journal.close)
        generation = Generation(root / "generation")
        if_it_fails.callback(generation.close)
        catalog = SqliteCatalog(root, journal, generation, now)
        if_it_fails.pop_all()  # from here on they are the catalog's
        if_it_fails.callback(files.close)
        if_it_fails.callback(catalog.close)
        store = Store(files, catalog, now)
        store.recover()
        if_it_fails.pop_all()
    return store


def _with_room(root: Path, open_part: Callable[[], T]) -> T:
    """Open a part of a server directory, if need be in the room that is set aside for that."""
    with unavailable_on_failure(f"{root} cannot be written"):
        try:
            opened = open_part()
        except Unavailable:
            if not _drop_ballast(root):
                raise
            opened = open_part()
    _take_ballast(root)
    return opened


def _drop_ballast(root: Path) -> bool:
    """Make the little room that opening needs on a full disk; whether there was any to make.

    SQLite cannot even read a catalog without the file of shared memory beside it, which the last
    process to leave has removed.
    """
    try:
        (root / _BALLAST).unlink()
    except FileNotFoundError:
        return False
    return True


def _take_ballast(root: Path) -> None:
    with suppress(OSError):  # no room for it now; the next opening tries again
        if not (root / _BALLAST).exists():
            # Random, or a filesystem that compresses would set nothing aside.
            write_file(root / _BALLAST, os.urandom(_BALLAST_BYTES))
