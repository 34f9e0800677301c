"""What verbs about mirrors have in common: which mirror, and how to open what is kept of it."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import click

from simpleindex.cli.directory import no_index, open_as_owner
from simpleindex.config import Config
from simpleindex.mirror.opening import Mirroring, open_mirroring
from simpleindex_storage.errors import Refused
from simpleindex_storage.model import Index, MirrorSettings
from simpleindex_storage.names import IndexName, parse_index_name
from simpleindex_storage.opening import utc_now
from simpleindex_storage.ports import Snapshot
from simpleindex_storage.store import Store

DEFAULT_MIRROR = "root/pypi"

mirror_option = click.option(
    "--index",
    "index_text",
    default=DEFAULT_MIRROR,
    show_default=True,
    metavar="USER/INDEX",
    help="The mirror.",
)


@dataclass(frozen=True, slots=True)
class OpenMirrors:
    """A server directory with what is kept of mirrors."""

    store: Store
    mirroring: Mirroring


@contextmanager
def opened(config: Config) -> Iterator[OpenMirrors]:
    """A server directory, open for the time of the block. The server may be running."""
    # What a server would write to its log, a verb tells by itself.
    logging.getLogger("simpleindex").addHandler(logging.NullHandler())
    with open_as_owner(config.serverdir) as store:
        mirroring = open_mirroring(config, store.catalog, store.catalog.uuid, utc_now)
        try:
            yield OpenMirrors(store, mirroring)
        finally:
            mirroring.cache.close()


def the_mirror(seen: Snapshot, text: str) -> Index:
    """The mirror of a name. Raises NotStored, Refused."""
    name: IndexName = parse_index_name(text)
    index = seen.index(name)
    if index is None:
        raise no_index(name)
    if not isinstance(index.settings, MirrorSettings):
        raise Refused(name, "it mirrors no other index; name a mirror with --index")
    return index
