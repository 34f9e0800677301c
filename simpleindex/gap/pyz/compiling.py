"""Compiles what a server imports last, while it imports what it needs first, on another processor.

Goes into the archive as it stands, and is run as a process of its own at the first start out of a
new folder, in which Python finds no module compiled: that is half of the time such a start takes.
"""

import importlib.util
import os
import py_compile
import threading
from collections.abc import Callable
from pathlib import Path

LOADED_LAST = (
    "simpleindex/serving",
    "h11",
    "uvicorn/protocols/http",
    "uvicorn/protocols",
    "simpleindex",
    "simpleindex/pushing",
    "simpleindex/routes",
    "simpleindex/mirror",
    "simpleindex/upstream",
    "simpleindex/wire",
    "uvicorn/supervisors",
    "uvicorn",
    "packaging/licenses",
    "pkginfo",
    "simpleindex_storage",
    "python_multipart",
)
"""Folders of the archive, in the reverse of the order in which `serve` comes to need them."""


def compile_ahead(folder: Path, is_over: Callable[[], bool]) -> None:
    """Compile the modules in these folders below `folder`, one by one, until all are or `is_over`.

    Where somebody else compiles one at the same moment, either is taken: Python puts it in place
    whole.
    """
    for name in LOADED_LAST:
        for source in sorted((folder / name).glob("*.py"), reverse=True):
            if is_over():
                return
            if not os.path.exists(importlib.util.cache_from_source(str(source))):  # noqa: PTH110
                _compile(str(source))


def _compile(source: str) -> None:
    """Put the compiled module where Python looks for it, if that can be."""
    try:
        # As Python itself does it, also where SOURCE_DATE_EPOCH asks for another way.
        py_compile.compile(source, invalidation_mode=py_compile.PycInvalidationMode.TIMESTAMP)
    except OSError:  # somebody else does the same, or the folder is gone, or the disk full
        return


def _main() -> None:
    """Work as long as standard input is open: till the process is over that holds its other end."""
    is_over = threading.Event()

    def wait() -> None:
        os.read(0, 1)  # not by sys.stdin, whose lock Python would miss when this thread holds it
        is_over.set()

    threading.Thread(target=wait, daemon=True).start()
    compile_ahead(Path(__file__).resolve().parent, is_over.is_set)


if __name__ == "__main__":
    _main()
