"""Plain files of ours, opened for reading: what lies in their place and is no file is not there."""

import errno
import os
from pathlib import Path
from typing import BinaryIO

from .durable import unavailable_on_failure
from .errors import NotStored


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
