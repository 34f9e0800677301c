"""Forgets what was kept for mirrors that are gone."""

from contextlib import suppress

from simpleindex_storage.cache import Cache
from simpleindex_storage.errors import StoreError
from simpleindex_storage.model import Index, MirrorSettings
from simpleindex_storage.ports import Catalog


def forget_gone_indexes(cache: Cache, catalog: Catalog) -> None:
    """Forget what was kept for indexes that are mirrors no more, in any way they may have gone.

    Raises Unavailable.
    """
    with catalog.snapshot() as seen:
        gone = [name for name in cache.indexes() if not _is_mirror(seen.index(name))]
    for name in gone:
        cache.forget_index(name)


def forget_gone_if_possible(cache: Cache, catalog: Catalog) -> None:
    """As `forget_gone_indexes`. What is left, the next removal of an index or start finds."""
    with suppress(StoreError):
        forget_gone_indexes(cache, catalog)


def _is_mirror(index: Index | None) -> bool:
    return index is not None and isinstance(index.settings, MirrorSettings)
