"""The cache's files: plain, at the path of their URL, as uploads lie below `files/`.

Only bytes are dealt with here. What is put or removed must be under the lock of the records.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from .durable import link, unavailable_on_failure
from .errors import Refused
from .model import Sidecar
from .names import FilePlace, index_name, parse_place
from .plain_files import files_below, open_plainly


@dataclass(frozen=True, slots=True)
class Found:
    """A file that lies below the folder, whoever put it there."""

    path: Path
    size_bytes: int
    place: FilePlace | None
    """None: no file of ours can lie there."""
    sidecar: Sidecar | None


class CacheFiles:
    """Files below one folder, and what lies beside them."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, place: FilePlace, sidecar: Sidecar | None = None) -> Path:
        """Where a file lies, or what is beside it."""
        return self.root / (place.path + (sidecar or ""))

    def open(self, place: FilePlace, sidecar: Sidecar | None = None) -> BinaryIO:
        """The bytes. Raises NotStored, Unavailable."""
        return open_plainly(self.path(place, sidecar), place.filename + (sidecar or ""))

    def has(self, place: FilePlace, sidecar: Sidecar | None, size_bytes: int) -> bool:
        """Whether a plain file of this size lies there."""
        try:
            found = self.path(place, sidecar).lstat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        return stat.S_ISREG(found.st_mode) and found.st_size == size_bytes

    def link(self, part: Path, place: FilePlace) -> None:
        """Give a part its place, over whatever lies there. It keeps its own name if it can."""
        final = self.path(place)
        final.parent.mkdir(parents=True, exist_ok=True)
        between = part.with_name(part.name + ".link")
        between.unlink(missing_ok=True)
        if not link(part, between):
            part.replace(final)
            return
        try:
            between.replace(final)
        finally:
            between.unlink(missing_ok=True)  # renaming onto a link to the same file does nothing

    def move(self, draft: Path, place: FilePlace, sidecar: Sidecar) -> None:
        """Put what belongs to a file beside it, over whatever lies there."""
        final = self.path(place, sidecar)
        final.parent.mkdir(parents=True, exist_ok=True)
        draft.replace(final)

    def remove(self, place: FilePlace, *kinds: Sidecar | None) -> bool:
        """Delete a file (None) and what lies beside it, all of that if no kind is named.

        False if somebody has it open, on systems where that keeps it there.
        """
        try:
            for kind in kinds or (None, *Sidecar):
                with suppress(NotADirectoryError):
                    self.path(place, kind).unlink(missing_ok=True)
        except PermissionError:
            return False
        self.remove_empty(self.path(place).parent)
        return True

    def remove_empty(self, folder: Path) -> None:
        """Delete a folder, and those above it, as far as nothing lies in them."""
        with suppress(OSError):
            while folder != self.root:
                folder.rmdir()
                folder = folder.parent

    def walk(self) -> Iterator[Found]:
        """All files that lie there. Raises Unavailable."""
        with unavailable_on_failure(f"{self.root} cannot be read"):
            for path in files_below(self.root):
                with suppress(FileNotFoundError):  # removed meanwhile
                    yield self._found(path, path.lstat())

    def _found(self, path: Path, stated: os.stat_result) -> Found:
        user, index, *rest = (*path.relative_to(self.root).parts, "", "")[:6]
        name, sidecar = path.name, None
        for kind in Sidecar:
            if name.endswith(kind):
                name, sidecar = name.removesuffix(kind), kind
        try:
            place = parse_place(index_name(user, index), "".join(rest[1:3]), name)
        except Refused:
            place = None
        if place is not None and self.path(place, sidecar) != path:
            place = None
        return Found(path, stated.st_size, place, sidecar)
