"""Plain files of ours, found and opened: what lies in their place and is no file is not there."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from .durable import unavailable_on_failure
from .errors import NotStored, Refused
from .model import Sidecar
from .names import FilePlace, index_name, parse_place


def open_plainly(path: Path, name: str) -> BinaryIO:
    """Open a file of ours for reading. Raises NotStored, Unavailable."""
    try:
        return open(path, "rb", opener=_without_following)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        raise NotStored(f"file {name}") from None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise NotStored(f"file {name}") from None
        with unavailable_on_failure(f"{name} cannot be read"):
            raise


def _without_following(path: str, flags: int) -> int:
    # No link is ever made by us, so one that lies there leads somewhere it should not.
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0))


def files_below(folder: Path) -> Iterator[Path]:
    """All files below a folder that may be missing, in order of their names, folder by folder.

    What cannot be looked into is no empty folder, as it is to `rglob`. Raises OSError.
    """

    def fail(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            raise error

    for parent, folders, names in os.walk(folder, onerror=fail):
        folders.sort()
        yield from (Path(parent, name) for name in sorted(names))


def place_of(below: Path) -> tuple[FilePlace, Sidecar | None] | None:
    """What is at a path below `files/`, or lies beside it; None: no file of ours can lie there."""
    user, index, _marker, first, rest, name = (*below.parts, *[""] * 6)[:6]
    sidecar = next((kind for kind in Sidecar if name.endswith(kind)), None)
    try:
        place = parse_place(index_name(user, index), first + rest, name.removesuffix(sidecar or ""))
    except Refused:
        return None
    return (place, sidecar) if f"{place.path}{sidecar or ''}" == below.as_posix() else None
