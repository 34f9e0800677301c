"""A Python package index: HTTP, command line and web pages.

`create_app` builds an ASGI application that other applications can mount; it is looked up when it
is first asked for, so that `import simpleindex` loads nothing.
"""

from typing import TYPE_CHECKING, Any

from simpleindex.version import __version__

if TYPE_CHECKING:
    from simpleindex.app import create_app as create_app
    from simpleindex.config import Config as Config

__all__ = ["Config", "__version__", "create_app"]


def __getattr__(name: str) -> Any:
    if name == "create_app":
        from simpleindex.app import create_app  # noqa: PLC0415  lazy on purpose, see above

        return create_app
    if name == "Config":
        from simpleindex.config import Config  # noqa: PLC0415  lazy on purpose, see above

        return Config
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
