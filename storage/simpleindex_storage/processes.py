"""Which processes have a server directory open: each keeps a locked mark while it lives.

    root/incoming/<process>-<random>@<version>.lock

Processes of one version may work side by side. Those of two versions may not: they could
disagree about what the catalog, the journal or the shared memory mean.
"""

import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

from .durable import unavailable_on_failure
from .errors import Refused
from .locks import FileLock
from .version import __version__

_SUFFIX = ".lock"


def new_mark(incoming: Path) -> tuple[Path, FileLock]:
    """A name that only this process has, below `incoming`, and the lock that says that it lives."""
    while True:
        name = f"{os.getpid()}-{secrets.token_hex(4)}@{__version__}"
        mark = incoming / f"{name}{_SUFFIX}"
        lock = FileLock(mark)
        # Another process that starts now may have taken our new mark for a dead one's.
        if lock.try_keep() and mark.exists():
            return incoming / name, lock
        lock.close()


def marks(incoming: Path) -> Iterator[Path]:
    """The marks of all processes, also of those that died. What is no plain file is none.

    Raises Unavailable.
    """
    yield from (path for path in incoming.glob(f"*{_SUFFIX}") if _is_plain(path))


def folder_of(mark: Path) -> Path:
    """The folder in which the process of a mark has its drafts."""
    return mark.with_name(mark.name.removesuffix(_SUFFIX))


def is_alive(folder: Path) -> bool:
    """Whether the process that has a folder of drafts lives. Its mark is locked then.

    Raises Unavailable for a mark that cannot be looked at.
    """
    mark = folder.with_name(f"{folder.name}{_SUFFIX}")
    if not _is_plain(mark):
        return False
    with unavailable_on_failure(f"{mark} cannot be opened"):
        lock = FileLock(mark)
    is_dead = lock.try_keep()
    # A mark that went between the two was made anew just now.
    lock.close(delete=is_dead and not folder.exists())
    return not is_dead


def living(incoming: Path) -> list[Path]:
    """The folders of all processes that have the server directory open. Raises Unavailable."""
    return [folder for mark in marks(incoming) if is_alive(folder := folder_of(mark))]


def check_one_version(incoming: Path) -> None:
    """Raises Refused if a process of another version has the directory open; and Unavailable."""
    for mark in marks(incoming):
        process, _, version = folder_of(mark).name.partition("@")
        if version != __version__ and is_alive(folder_of(mark)):
            raise Refused(
                str(incoming.parent),
                f"simpleindex-server {version or '(an older one)'}, process "
                f"{process.partition('-')[0]}, has this directory open, and this is version "
                f"{__version__}; stop that one first",
            )


def _is_plain(path: Path) -> bool:
    """Whether a plain file lies there. No link is followed. Raises Unavailable."""
    with unavailable_on_failure(f"{path} cannot be looked at"):
        try:
            return stat.S_ISREG(path.lstat().st_mode)
        except (FileNotFoundError, NotADirectoryError):
            return False
