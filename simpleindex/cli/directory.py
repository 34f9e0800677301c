"""How verbs that work on a server directory get at it."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from difflib import get_close_matches
from pathlib import Path

import click

from simpleindex.access import AUTOMATIC_INDEX
from simpleindex.cli.options import require_owner, this_command
from simpleindex.config import Config
from simpleindex_storage.errors import NotStored, Refused, Unavailable
from simpleindex_storage.model import Index, MirrorSettings, StageSettings
from simpleindex_storage.names import IndexName, owner_of
from simpleindex_storage.opening import FolderState, lacks_catalog, open_store, state_of
from simpleindex_storage.privacy import PRIVATE_UMASK
from simpleindex_storage.store import Store

_ALIKE_MAX = 5


def keep_others_out() -> None:
    """Let what is made from now on be this user's alone, whatever the umask was."""
    os.umask(PRIVATE_UMASK)


def require_ours(root: Path) -> None:
    """Refuse to work on anything but a server directory, and as anybody but its owner.

    What is made from here on is the owner's alone.
    """
    require_owner(root)
    keep_others_out()
    if state_of(root) is not FolderState.OURS:
        if lacks_catalog(root):
            raise click.ClickException(
                f"{root} has lost its catalog; `{this_command()} rebuild --serverdir={root}` makes "
                "it anew"
            )
        raise _no_directory(root)


def named_or_ours(named: Path | None, name: str, config: Callable[[], Config]) -> Path:
    """The file that somebody has named, or else that of this name in the server directory."""
    if named is not None:
        return named
    root = config().serverdir
    require_ours(root)
    return root / name


def meant_instead(root: Path) -> Path | None:
    """The server directory that somebody may have meant who has named one that is not there.

    It is the folder above, or has nearly the same path: one name in it is spelt otherwise.
    """
    root = root.absolute()
    with suppress(OSError, Unavailable):
        if state_of(root.parent) is FolderState.OURS:
            return root.parent
        first = next((it for it in (root, *root.parents) if it.parent.is_dir()), root)
        names = [path.name for path in first.parent.iterdir() if path.name != first.name]
        for name in get_close_matches(first.name, names, n=_ALIKE_MAX):
            other = first.parent / name / root.relative_to(first)
            if state_of(other) is FolderState.OURS:
                return other
    return None


@contextmanager
def open_as_owner(root: Path) -> Iterator[Store]:
    """The store of a server directory that is there, for the time of the block."""
    require_ours(root)
    store = open_store(root)
    try:
        yield store
    finally:
        store.close()


into_index_option = click.option(
    "--index",
    "index_text",
    default=AUTOMATIC_INDEX,
    show_default=True,
    help="Where to; root/local is made if it is not there.",
)
"""For verbs that put packages in; `index_to_make` tells what has to be made of it."""


def index_to_make(store: Store, name: IndexName) -> Index | None:
    """What is to be made of an index that takes packages, if it is not there; None: nothing.

    Raises NotStored, Refused for one that takes none.
    """
    if name == AUTOMATIC_INDEX:
        settings = StageSettings(volatile=False, acl_upload=(owner_of(name),))
        return Index(name, settings, automatic=True)
    with store.catalog.snapshot() as seen:
        there = seen.index(name)
    if there is None:
        raise NotStored(
            f"index {name}", f"create it with `devpi index -c {name}`, or leave --index away"
        )
    if isinstance(there.settings, MirrorSettings):
        raise Refused(name, "this index mirrors another one and takes no packages")
    return None


def no_index(name: str) -> NotStored:
    """To raise where there is no index of a name."""
    return NotStored(f"index {name}", "`simpleindex-server index list` names all indexes")


def require_directory(root: Path) -> None:
    """Refuse to work in a folder that is no server directory; one that lost its catalog is."""
    require_owner(root)
    if state_of(root) is not FolderState.OURS and not lacks_catalog(root):
        raise _no_directory(root)


def _no_directory(root: Path) -> click.ClickException:
    return click.ClickException(
        f"{root} is not a directory of simpleindex-server; name the one that is served with "
        f"--serverdir, or make a new one with `{this_command()} init --serverdir={root}`"
    )
