"""Packages that the command line names: files, and what lies in folders."""

import os
from collections.abc import Iterable
from pathlib import Path

import click

PACKAGES = (".whl", ".tar.gz", ".zip", ".egg")
_OLD_PACKAGES = (".exe", ".msi", ".tar.bz2", ".tgz", ".rpm", ".deb", ".dmg")
"""Of these a folder's owner may expect that they are taken; the others are not packages."""


def find_packages(paths: Iterable[Path]) -> tuple[list[Path], list[tuple[Path, str]]]:
    """The files that were named and the packages below the folders, in order.

    And the folders that cannot be read, with the reason. Raises ClickException for a path that is
    not there.
    """
    found: list[Path] = []
    closed: list[tuple[Path, str]] = []

    def note(error: OSError) -> None:
        closed.append((Path(error.filename), f"cannot be read: {error.strerror}"))

    for path in paths:
        if not path.exists():
            raise click.ClickException(f"{path} does not exist")
        if path.is_file():
            found.append(path)
            continue
        for folder, _, names in os.walk(path, onerror=note):
            packages = [name for name in names if name.endswith((*PACKAGES, *_OLD_PACKAGES))]
            found += (Path(folder, name) for name in packages)
    return sorted(found), closed
