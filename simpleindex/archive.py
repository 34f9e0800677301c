"""The one file that this program runs from, where it does: `python server.pyz`."""

from pathlib import Path

_path: Path | None = None


def run_from(path: Path) -> None:
    """Say so, once, at the start of the process. The path is absolute."""
    global _path  # noqa: PLW0603  a fact about the process, as its arguments are
    _path = path


def archive() -> Path | None:
    """That file. None: the program is installed, or lies in a source tree."""
    return _path
