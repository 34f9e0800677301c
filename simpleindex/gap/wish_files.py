"""Files of requirements and constraints, and those that they name: opened here, read by `wishes`.

As with pip, a name in a file is relative to that file.
"""

from pathlib import Path

from simpleindex.gap.small_files import read_bytes
from simpleindex.gap.wishes import LinesRead, read_lines
from simpleindex_storage.errors import Refused

DEPTH_MAX = 10
FILES_MAX = 200
FILE_BYTES_MAX = 8 << 20


def read_wish_file(path: Path) -> LinesRead:
    """The lines of a file, in place of each `-r` and `-c` in it those of the file it names.

    Raises Refused, Unavailable, also for those.
    """
    return _Reading().file(path, ())


class _Reading:
    """How many files have been opened so far, in all."""

    def __init__(self) -> None:
        self._opened = 0

    def file(self, path: Path, inside: tuple[Path, ...]) -> LinesRead:
        """A file; `inside` are those that have led to it. Raises Refused, Unavailable."""
        self._opened += 1
        if self._opened > FILES_MAX:
            raise Refused(str(path), f"over {FILES_MAX} files are named")
        try:
            text = read_bytes(path, FILE_BYTES_MAX).decode("utf-8")
        except UnicodeDecodeError:
            raise Refused(str(path), "it is no text in UTF-8") from None
        above = (*inside, path.resolve())

        def follow(name: str) -> LinesRead:
            if not name or "://" in name:
                raise Refused(
                    f"{path}: {name!r}", "files are read from this computer only; save it, name it"
                )
            named = path.parent / name
            if named.resolve() in above:
                raise Refused(str(path), f"it names {name}, which leads back to it")
            if len(above) > DEPTH_MAX:
                raise Refused(str(path), f"files are named over {DEPTH_MAX} deep")
            # What -r names in a file of constraints, pip takes for requirements; so it is here.
            return self.file(named, above)

        return read_lines(text, str(path), follow=follow)
