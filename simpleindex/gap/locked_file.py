"""A small file that people and programs change: one process at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from simpleindex_storage.durable import unavailable_on_failure
from simpleindex_storage.locks import FileLock


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Wait until nobody else changes this file, and keep others waiting. Raises Unavailable."""
    with unavailable_on_failure(f"{path} cannot be written"):
        lock = FileLock(path.with_name(f"{path.name}.lock"))
    try:
        with lock.held():
            yield
    finally:
        lock.close()
