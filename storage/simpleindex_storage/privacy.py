"""Who can get at a server directory: its owner alone, as far as modes of files say."""

import os
import stat
from pathlib import Path

PRIVATE_UMASK = 0o077
"""For processes that work on a server directory: 0700 for folders, 0600 for files."""

_OTHERS = 0o077

# What is current, and with it drafts, older ones that were kept, and what was set aside.
_SECRET = (
    "catalog*", "journal*", "root-password*", "secret*", "simpleindex.toml*", "state*.json*",
)  # fmt: skip


def wide_open(root: Path) -> tuple[Path, ...]:
    """The directory and what lies on top in it, as far as others than the owner can get at it.

    Nothing, if only the owner may enter the directory, whatever the modes within. It takes no
    longer for many packages: `files/` is looked at, not into. Windows, where a folder inherits
    who may enter it, has no such modes. Raises OSError.
    """
    if os.name == "nt" or not root.stat().st_mode & _OTHERS:
        return ()
    return (root, *sorted(path for path in root.iterdir() if _is_open(path)))


def open_secrets(root: Path) -> tuple[Path, ...]:
    """The files on top that hold secrets, as far as their own modes let others at them.

    Whatever the mode of the directory: a copy of them, or a directory that is opened one day, shall
    not give them away. Nothing on Windows.
    """
    if os.name == "nt":
        return ()
    named = {path for pattern in _SECRET for path in root.glob(pattern)}
    return tuple(sorted(path for path in named if _is_open(path) and not path.is_dir()))


def _is_open(path: Path) -> bool:
    try:
        found = path.lstat()
    except FileNotFoundError:  # files of a catalog that is in use come and go
        return False
    return not stat.S_ISLNK(found.st_mode) and bool(found.st_mode & _OTHERS)
