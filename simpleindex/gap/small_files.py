"""Small files that people and programs read and change."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from simpleindex_storage.durable import unavailable_on_failure
from simpleindex_storage.errors import Refused
from simpleindex_storage.locks import FileLock


def read_bytes(path: Path, bytes_max: int) -> bytes:
    """A file that is not too large. Raises Refused, Unavailable."""
    with unavailable_on_failure(f"{path} cannot be read"):
        return _read(path, bytes_max)


def read_bytes_if_there(path: Path, bytes_max: int) -> bytes | None:
    """As `read_bytes`; None if there is no file."""
    with unavailable_on_failure(f"{path} cannot be read"):
        try:
            return _read(path, bytes_max)
        except FileNotFoundError:
            return None


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


def _read(path: Path, bytes_max: int) -> bytes:
    with path.open("rb") as file:
        content = file.read(bytes_max + 1)
    if len(content) > bytes_max:
        raise Refused(str(path), f"it has over {bytes_max} bytes")
    return content
