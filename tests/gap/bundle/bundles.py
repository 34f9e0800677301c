"""Make bundles with one line, of wheels that are in memory."""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from simpleindex.gap.bundle.manifest import BundledFile, Manifest
from simpleindex.gap.bundle.writing import OpenFile, Progress, Sign, Written, write_bundle
from simpleindex.gap.targets import parse_target
from simpleindex_storage.names import parse_filename
from tests.builders import BuiltFile, a_wheel

CREATED = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)


def bundled(built: BuiltFile, *targets: int) -> BundledFile:
    """What a manifest says of a file."""
    return BundledFile(
        parse_filename(built.filename), built.sha256, len(built.content), targets or (0,)
    )


def a_manifest(built: Iterable[BuiltFile] = (), **changed: object) -> Manifest:
    """The manifest of a bundle of these files, for one target."""
    manifest = Manifest(
        created=CREATED,
        tool="simpleindex-server 1.0",
        targets=(parse_target("cp39-win_amd64"),),
        roots=("demo",),
        files=tuple(bundled(each) for each in built),
    )
    return replace(manifest, **changed)  # type: ignore[arg-type]  # by name


def opener(built: Iterable[BuiltFile]) -> OpenFile:
    """Opens what is in memory."""
    contents = {each.filename: each.content for each in built}

    def open_file(file: BundledFile) -> BinaryIO:
        return BytesIO(contents[file.name.text])

    return open_file


def a_bundle(
    destination: Path,
    built: Sequence[BuiltFile],
    *,
    manifest: Manifest | None = None,
    extras: Mapping[str, bytes] | None = None,
    max_bytes: int | None = None,
    as_folder: bool = False,
    sign: Sign | None = None,
    progress: Progress | None = None,
) -> tuple[Written, ...]:
    """Write a bundle of these files."""
    return write_bundle(
        a_manifest(built) if manifest is None else manifest,
        opener(built),
        destination,
        extras=extras,
        max_bytes=max_bytes,
        as_folder=as_folder,
        sign=sign,
        progress=progress,
    )


def some_wheels(count: int = 3, *, payload_bytes: int = 0) -> list[BuiltFile]:
    """Wheels of different projects, of about this size."""
    payload = random.Random(count).randbytes(payload_bytes)
    return [
        a_wheel(f"project{number}", "1.0", extra_files={f"project{number}/payload.bin": payload})
        for number in range(1, count + 1)
    ]


def names_in(folder: Path) -> list[str]:
    """What is in a folder."""
    return sorted(path.name for path in folder.iterdir())
