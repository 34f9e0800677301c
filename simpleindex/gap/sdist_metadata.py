"""What a source distribution needs, as far as it says so without being built."""

import tarfile
import tomllib
import zipfile
import zlib
from dataclasses import replace
from pathlib import Path
from typing import IO

from packaging.requirements import Requirement
from packaging.version import InvalidVersion, Version

from simpleindex.gap.releases import Described, describe, parse_requirement
from simpleindex_storage.errors import Refused
from simpleindex_storage.inspection import inspect
from simpleindex_storage.model import CoreMetadata
from simpleindex_storage.names import parse_filename

_PYPROJECT_BYTES_MAX = 1 << 20
_STATIC_SINCE = Version("2.2")
_USUAL_BUILDERS = ("setuptools>=40.8.0", "wheel")
"""For a project that names none (PEP 517)."""


def read_sdist(path: Path, filename: str) -> Described | str:
    """What the one at `path` says; or a clause that tells why it says too little.

    Raises Unavailable.
    """
    try:
        metadata, _ = inspect(path, parse_filename(filename))
        builders = _builders(path, filename)
    except Refused as refused:
        return f"has a source distribution that cannot be used: {refused.rule}"
    why = _why_not_static(metadata)
    if why is not None:
        return f"has no wheel, and {why}"
    return replace(describe(metadata.raw, filename, is_proven=True), build_requires=builders)


def _why_not_static(metadata: CoreMetadata) -> str | None:
    version = metadata.fields.get("metadata_version")
    dynamic = metadata.fields.get("dynamic") or ()
    named = [dynamic] if isinstance(dynamic, str) else dynamic
    try:
        is_static = Version(str(version)) >= _STATIC_SINCE
    except InvalidVersion:
        is_static = False
    if not is_static or {"requires-dist", "requires-python"} & {each.lower() for each in named}:
        return "what it needs is known only once it is built"
    return None


def _builders(path: Path, filename: str) -> tuple[Requirement, ...]:
    """What a source distribution names in its build-system. Raises Refused."""
    try:
        raw = _pyproject(path, filename)
        document = {} if raw is None else tomllib.loads(raw.decode("utf-8"))
    except (
        OSError, EOFError, ValueError, tarfile.TarError, zipfile.BadZipFile, zlib.error,
        RecursionError,
    ) as error:  # fmt: skip
        raise Refused(filename, f"its pyproject.toml cannot be read: {error}") from None
    system = document.get("build-system")
    requires = system.get("requires") if isinstance(system, dict) else None
    if requires is None:
        requires = list(_USUAL_BUILDERS)
    texts = requires if isinstance(requires, list) else [requires]
    found = [parse_requirement(text) if isinstance(text, str) else None for text in texts]
    if None in found:
        raise Refused(filename, "its pyproject.toml names what is no requirement")
    return tuple(each for each in found if each is not None)


def _pyproject(path: Path, filename: str) -> bytes | None:
    """The pyproject.toml in the top folder, of an archive that was looked through before."""
    if filename.endswith(".zip"):
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                if _is_pyproject(member.filename):
                    with archive.open(member) as content:
                        return _read_whole(content, filename)
        return None
    with tarfile.open(path) as archive_:
        for entry in archive_:
            if entry.isfile() and _is_pyproject(entry.name):
                extracted = archive_.extractfile(entry)
                return None if extracted is None else _read_whole(extracted, filename)
    return None


def _read_whole(content: IO[bytes], filename: str) -> bytes:
    raw = content.read(_PYPROJECT_BYTES_MAX + 1)
    if len(raw) > _PYPROJECT_BYTES_MAX:
        raise Refused(filename, f"its pyproject.toml has over {_PYPROJECT_BYTES_MAX} bytes")
    return raw


def _is_pyproject(name: str) -> bool:
    return name.removeprefix("./").split("/")[1:] == ["pyproject.toml"]
