"""What goes into the one file: this program and all that it needs, as pip has installed them.

The versions are those that are installed here. Only what runs is taken, and the licences; so it is
the same on every system, whatever installer has put it there.
"""

import hashlib
import importlib.metadata
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from importlib.metadata import Distribution, PackageNotFoundError, PackagePath
from pathlib import Path, PurePath

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from simpleindex.gap.targets import marker_environment, parse_target
from simpleindex_storage.errors import Damaged, NotStored, Refused

PROGRAM = "simpleindex-server"

_PYTHONS = ("3.11", "3.12", "3.13", "3.14")
_PLATFORMS = ("linux_x86_64", "win_amd64", "macosx_13_0_arm64")
_OUR_PACKAGES = ("simpleindex", "simpleindex_storage")
_NATIVE = {".so", ".pyd", ".dll", ".dylib"}
_NOT_RUN = {".pyi", ".pyc", ".c", ".h", ".pyx", ".pxd"}
_FASTER_WITH_C = {"markupsafe"}
"""Has the same in Python, which it takes where the native part is missing."""
_LICENCE_NAMES = ("licen", "copying", "notice", "authors")


@dataclass(frozen=True, slots=True)
class Part:
    """One distribution."""

    name: str
    version: str
    licence: str
    """As its metadata tells; empty where that is silent."""
    files: Mapping[str, bytes]
    """By their names in the archive."""


def installed_parts() -> tuple[Part, ...]:
    """This program and all that it needs on any Python and system that it runs on, by name.

    Raises NotStored for what is not installed here, Refused for what cannot run everywhere, and
    Damaged where a file is not as it was installed.
    """
    parts: dict[str, Part] = {}
    waiting = [(PROGRAM, "")]
    seen = set(waiting)
    while waiting:
        name, extra = waiting.pop()
        distribution = _distribution(name)
        parts[name] = _part(name, distribution)
        for wanted in _needs(distribution, extra):
            if wanted not in seen:
                seen.add(wanted)
                waiting.append(wanted)
    return tuple(parts[name] for name in sorted(parts))


def _distribution(name: str) -> Distribution:
    try:
        return importlib.metadata.distribution(name)
    except PackageNotFoundError:
        raise NotStored(
            f"{name} among what this Python has installed",
            f"`python -m pip install {name}` brings it",
        ) from None


def _needs(distribution: Distribution, extra: str) -> Iterator[tuple[str, str]]:
    """Names and extras that it asks for anywhere. Each name also without any extra."""
    for requirement in map(Requirement, distribution.requires or ()):
        marker = requirement.marker
        if marker is None or any(
            marker.evaluate({**environment, "extra": extra}) for environment in _environments()
        ):
            for each in ("", *sorted(requirement.extras)):
                yield canonicalize_name(requirement.name), each


@lru_cache(maxsize=1)
def _environments() -> tuple[dict[str, str], ...]:
    return tuple(
        marker_environment(parse_target(f"{python}-{platform}"))
        for python in _PYTHONS
        for platform in _PLATFORMS
    )


def _part(name: str, distribution: Distribution) -> Part:
    files = dict(_files(name, distribution))
    if name == PROGRAM:
        files |= _our_files()
    told = [*_told(distribution, "License-Expression"), *_told(distribution, "License"), ""]
    return Part(name, distribution.version, told[0].partition("\n")[0], files)


def _told(distribution: Distribution, field: str) -> list[str]:
    return [str(value) for value in distribution.metadata.get_all(field) or ()]


def _files(name: str, distribution: Distribution) -> Iterator[tuple[str, bytes]]:
    listed = distribution.files
    if listed is None:
        raise Refused(name, "there is no list of its files; install it with pip")
    for path in listed:
        is_information = path.parts[0].endswith(".dist-info")
        if path.parts[0] == ".." or "__pycache__" in path.parts:  # commands; what Python makes
            continue
        if is_information:
            if path.name == "METADATA":
                yield str(path), _headers(path.read_binary())
            elif path.name.lower().startswith(_LICENCE_NAMES) or "licenses" in path.parts:
                yield str(path), _content(path)
        elif name != PROGRAM and _runs(path, name):
            yield str(path), _content(path)


def _headers(metadata: bytes) -> bytes:
    """What programs read; the description below is for people, and long."""
    return b"\n".join(metadata.splitlines()).partition(b"\n\n")[0] + b"\n"


def _runs(path: PurePath, name: str) -> bool:
    if path.suffix in _NATIVE:
        if name in _FASTER_WITH_C:
            return False
        raise Refused(name, f"{path.name} runs on one kind of system only, and cannot go along")
    if path.suffix == ".pth":
        raise Refused(name, f"{path.name} would not be read where it goes")
    return path.suffix not in _NOT_RUN and path.name != "py.typed"


def _content(path: PackagePath) -> bytes:
    """A file as it was installed. Raises Damaged."""
    content = path.read_binary()
    if path.hash is not None and path.hash.mode == "sha256":
        actual = urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
        if actual != path.hash.value:
            raise Damaged(str(path.locate()), "sha256", path.hash.value, actual)
    return content


def _our_files() -> Iterator[tuple[str, bytes]]:
    """What is running now: in a source tree, nothing else lists it."""
    for package in _OUR_PACKAGES:
        folder = Path(str(resources.files(package)))
        for path in folder.rglob("*"):
            name = path.relative_to(folder.parent)
            if path.is_file() and "__pycache__" not in name.parts and _runs(name, PROGRAM):
                yield name.as_posix(), path.read_bytes()
