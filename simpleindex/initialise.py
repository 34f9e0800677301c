"""A new server directory: folders, secrets, the user root, the mirror root/pypi."""

import secrets
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from simpleindex.access import ROOT, check_new_password, hash_password
from simpleindex_storage.durable import unavailable_on_failure, write_file
from simpleindex_storage.errors import Refused
from simpleindex_storage.model import Index, MirrorSettings, User
from simpleindex_storage.names import IndexName
from simpleindex_storage.opening import FolderState, create_store, state_of
from simpleindex_storage.ports import Change

PASSWORD_FILE = "root-password"  # noqa: S105  the name of the file
SECRET_FILE = "secret"  # noqa: S105  the name of the file
_LETTERS = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
_PASSWORD_CHARACTERS = 16


def initialise(
    root: Path, now: datetime, *, password: str | None = None, with_pypi: bool = True
) -> str | None:
    """Make a server directory; the random password that root was given, if any.

    A random password is also kept in the file `root-password`, which only its owner can read,
    until root's password is changed. The catalog comes last: if this is interrupted, it can simply
    be done again. Raises Refused for a folder that is in use, and Unavailable.
    """
    if state_of(root) is not FolderState.EMPTY:
        raise Refused(str(root), "a new server directory needs an empty folder")
    if password is not None:
        check_new_password(password)
    made_up = random_password() if password is None else None
    password_hash = hash_password(password or made_up or "")
    with unavailable_on_failure(f"{root} cannot be written"):
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(PermissionError):  # of a disk that has no modes
            root.chmod(0o700)  # it may have been there, open to all
        write_file(root / SECRET_FILE, _new_secret())
        if made_up is not None:
            write_file(root / PASSWORD_FILE, f"{made_up}\n".encode())
        else:
            (root / PASSWORD_FILE).unlink(missing_ok=True)

    def first(change: Change) -> None:
        change.put_user(User(ROOT, password_hash, 1, now))
        if with_pypi:
            mirror = MirrorSettings(volatile=False, extra={"title": "PyPI"})
            change.put_index(Index(IndexName(f"{ROOT}/pypi"), mirror))

    create_store(root, first, now)
    return made_up


def keep_password(root: Path, password: str) -> None:
    """Keep a password that was made up for root, until root has another. Raises Unavailable."""
    with unavailable_on_failure(f"{root} cannot be written"):
        write_file(root / PASSWORD_FILE, f"{password}\n".encode())


def make_secret(root: Path) -> None:
    """Make a key for logins, if there is none. Raises Unavailable."""
    with unavailable_on_failure(f"{root} cannot be written"):
        if not (root / SECRET_FILE).exists():
            write_file(root / SECRET_FILE, _new_secret())


def _new_secret() -> bytes:
    return f"{secrets.token_urlsafe(32)}\n".encode()


def random_password() -> str:
    """One that can be read out, and typed after any option: it never begins with a dash."""
    return "".join(secrets.choice(_LETTERS) for _ in range(_PASSWORD_CHARACTERS))


def read_secret(path: Path) -> bytes:
    """The key that signs logins. Raises Refused for one that is missing or too short."""
    try:
        secret = path.read_bytes().strip()
    except OSError as error:
        raise Refused(str(path), f"the key for logins cannot be read: {error.strerror}") from None
    if len(secret) < 32:
        raise Refused(str(path), "the key for logins needs at least 32 bytes")
    return secret
