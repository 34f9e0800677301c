"""The version, where every room can read it."""

from simpleindex_storage.version import __version__

__all__ = ["__version__"]
