"""Writes bundles: as zips, in volumes, or as plain folders; whole or not at all.

Each is a draft beside its place until all its bytes are on the disk.
"""

import errno
import os
import shutil
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, TypeAlias

from simpleindex.gap.bundle.manifest import (
    MANIFEST_BYTES_MAX,
    MEMBER,
    BundledFile,
    ExtraFile,
    Manifest,
    dump_manifest,
    is_extra,
    spoken_digest,
)
from simpleindex.gap.bundle.papers import papers
from simpleindex.gap.bundle.stored_zip import Member, end, entry, header, layout
from simpleindex.gap.bundle.volumes import (
    FAT32_BYTES_MAX,
    SIGNATURE_BYTES_MAX,
    contradiction,
    is_volume_of,
    members_of,
    split,
    volume_path,
)
from simpleindex.gap.pyz.building import MEMBER as SERVER
from simpleindex_storage.durable import sync_folder, unavailable_on_failure
from simpleindex_storage.errors import Refused, Unavailable
from simpleindex_storage.locks import FileLock

OpenFile: TypeAlias = Callable[[BundledFile], BinaryIO]
"""Opens a file that a manifest names, for reading."""
Sign: TypeAlias = Callable[[bytes], bytes]
"""From the bytes of a manifest to `manifest.json.sig`."""
Progress: TypeAlias = Callable[[int], object]
"""Is told how many bytes of files have been done since it was told before."""

_CHUNK_BYTES = 1 << 20
_DRAFT = ".unfinished"


@dataclass(frozen=True, slots=True)
class Written:
    """A volume that is in its place."""

    path: Path
    manifest: Manifest
    digest: str
    """Of the manifest, to be compared by voice."""
    size_bytes: int
    is_written_over: bool = False
    """Whether another file lay there before."""


def write_bundle(
    manifest: Manifest,
    open_file: OpenFile,
    destination: Path,
    *,
    extras: Mapping[str, bytes] | None = None,
    max_bytes: int | None = None,
    as_folder: bool = False,
    sign: Sign | None = None,
    progress: Progress | None = None,
) -> tuple[Written, ...]:
    """Write a bundle, or several volumes if it has over `max_bytes`; where they are.

    `extras` are files beside those for the index, by their names (`manifest.is_extra`); those of
    `papers` are always there. The same manifest, files and extras make the same bytes. A file at
    `destination` is replaced; a folder there must be empty. Raises Refused for a file whose bytes
    are not those that the manifest tells, or that is larger than a volume, and Unavailable: then
    nothing is there. Nor is it when the process is killed, but for drafts (`*.unfinished`), which
    the next attempt removes.
    """
    if as_folder and max_bytes is not None:
        raise Refused(str(destination), "only zips are written in volumes, no folders")
    given = extras or {}
    contents = {**papers(has_server=SERVER in given), **given}
    facts = [_extra_file(name, content) for name, content in contents.items()]
    manifests = split(manifest, facts, max_bytes, is_signed=sign is not None)
    _check_place(destination, as_folder=as_folder)
    with _alone(destination):
        _remove_drafts(destination)
        _check_room(destination, manifests)
        writing = _Writing(open_file, contents, sign, progress or _tell_nobody)
        write = writing.folder if as_folder else writing.zip
        drafts: list[Path] = []
        try:
            written = []
            for number, each in enumerate(manifests, 1):
                path = volume_path(destination, number, len(manifests))
                drafts.append(path.with_name(path.name + _DRAFT))
                written.append(write(each, drafts[-1], path))
            with unavailable_on_failure(f"{destination} cannot be written"):
                for place, (volume, draft) in enumerate(zip(written, drafts, strict=True)):
                    if as_folder and volume.path.is_dir():  # an empty one
                        volume.path.rmdir()
                    written[place] = replace(volume, is_written_over=volume.path.exists())
                    draft.replace(volume.path)
                sync_folder(destination.absolute().parent)
        except BaseException:
            for draft in drafts:
                _remove(draft)
            raise
    return tuple(written)


class _Writing:
    """Writes volumes, each as a draft."""

    def __init__(
        self,
        open_file: OpenFile,
        extras: Mapping[str, bytes],
        sign: Sign | None,
        progress: Progress,
    ) -> None:
        self._open_file = open_file
        self._extras = extras
        self._sign = sign
        self._progress = progress

    def zip(self, manifest: Manifest, draft: Path, path: Path) -> Written:
        """Write a zip, and let its bytes stay."""
        raw, signature = self._said(manifest)
        members = members_of(manifest, len(raw), None if signature is None else len(signature))
        with _writable(path), draft.open("wb") as file:
            known = [
                self._member(file, member, content)
                for member, content in zip(
                    members, self._sources(manifest, raw, signature), strict=True
                )
            ]
            places = layout(known)
            for member, start in zip(known, places.starts, strict=True):
                file.write(entry(member, start))
            file.write(end(len(known), places.directory_start, places.directory_bytes))
            file.flush()
            os.fsync(file.fileno())
        return Written(path, manifest, spoken_digest(raw), places.size_bytes)

    def folder(self, manifest: Manifest, draft: Path, path: Path) -> Written:
        """Write a plain folder, and let its files stay."""
        raw, signature = self._said(manifest)
        members = members_of(manifest, len(raw), None if signature is None else len(signature))
        with _writable(path):
            _remove(draft)
            draft.mkdir()
            for member, content in zip(
                members, self._sources(manifest, raw, signature), strict=True
            ):
                place = draft / member.name
                place.parent.mkdir(parents=True, exist_ok=True)
                with place.open("xb") as file:
                    self._copy(file, member, content)
                    if not hasattr(os, "sync"):
                        os.fsync(file.fileno())
            if hasattr(os, "sync"):
                os.sync()  # far quicker than each file and folder for itself
        return Written(path, manifest, spoken_digest(raw), sum(each.size_bytes for each in members))

    def _said(self, manifest: Manifest) -> tuple[bytes, bytes | None]:
        """The bytes of the manifest and of its signature, if it gets one."""
        why = contradiction(manifest)
        if why is not None:
            raise Refused("the bundle", f"its {MEMBER} {why}")
        raw = dump_manifest(manifest)
        if len(raw) > MANIFEST_BYTES_MAX:
            raise Refused(
                "the bundle",
                f"the list of what is inside takes {len(raw)} bytes, and {MANIFEST_BYTES_MAX} are "
                "the most; make several bundles of it",
            )
        if self._sign is None:
            return raw, None
        signature = self._sign(raw)
        if len(signature) > SIGNATURE_BYTES_MAX:
            raise Refused("the signature", f"it has over {SIGNATURE_BYTES_MAX} bytes")
        return raw, signature

    def _sources(
        self, manifest: Manifest, raw: bytes, signature: bytes | None
    ) -> "Iterator[_Source]":
        """What to write, in the order of `members_of`."""
        yield _Source(partial(BytesIO, raw))
        if signature is not None:
            yield _Source(partial(BytesIO, signature))
        for file in manifest.files:
            yield _Source(partial(self._open_file, file), file.sha256, file.name.text)
        for extra in manifest.extras:
            yield _Source(partial(BytesIO, self._extras[extra.name]))

    def _member(self, file: BinaryIO, member: Member, source: "_Source") -> Member:
        """Write a member, whose checksum is known when it has been written."""
        start = file.tell()
        file.write(header(member))
        known = member._replace(crc=self._copy(file, member, source))
        file.seek(start)
        file.write(header(known))
        file.seek(0, os.SEEK_END)
        return known

    def _copy(self, file: BinaryIO, member: Member, source: "_Source") -> int:
        """Write the bytes of a member; their checksum. Raises Refused for others."""
        digest, crc, size_bytes = sha256(), 0, 0
        for chunk in source.chunks():
            size_bytes += len(chunk)
            if size_bytes > member.size_bytes:
                break
            file.write(chunk)
            digest.update(chunk)
            crc = zlib.crc32(chunk, crc)
            if source.sha256 is not None:
                self._progress(len(chunk))
        if size_bytes != member.size_bytes or source.sha256 not in (None, digest.hexdigest()):
            raise Refused(
                source.name, "its bytes are not those that its index has told; fetch it again"
            )
        return crc


@dataclass(frozen=True, slots=True)
class _Source:
    """Where the bytes of a member are from."""

    open: Callable[[], BinaryIO]
    sha256: str | None = None
    """What is known of it; None: it is made here."""
    name: str = ""

    def chunks(self) -> Iterator[bytes]:
        """Its bytes. Raises Unavailable."""
        with unavailable_on_failure(f"{self.name} cannot be read"), self.open() as reading:
            while chunk := reading.read(_CHUNK_BYTES):
                yield chunk


def _extra_file(name: str, content: bytes) -> ExtraFile:
    if not is_extra(name):
        raise Refused(name, "a bundle has no such file")
    return ExtraFile(name, sha256(content).hexdigest(), len(content))


def _check_place(destination: Path, *, as_folder: bool) -> None:
    with unavailable_on_failure(f"{destination} cannot be written"):
        if not as_folder and destination.is_dir():
            raise Refused(str(destination), "it is a folder; name a file to write")
        is_free = not destination.exists() or (
            destination.is_dir() and not any(destination.iterdir())
        )
        if as_folder and not is_free:
            raise Refused(str(destination), "it is no empty folder; name another")


@contextmanager
def _alone(destination: Path) -> Iterator[None]:
    """Let nobody else write the same drafts meanwhile."""
    with unavailable_on_failure(f"{destination} cannot be written"):
        lock = FileLock(destination.with_name(f"{destination.name}.lock"))
    if not lock.try_keep():
        lock.close()
        raise Unavailable(f"{destination} is being written by another process")
    try:
        yield
    finally:
        lock.close(delete=True)


def _remove_drafts(destination: Path) -> None:
    """Remove what attempts have left that were killed, however many volumes they made."""
    with unavailable_on_failure(f"{destination} cannot be written"):
        for each in destination.absolute().parent.iterdir():
            if each.name.endswith(_DRAFT) and is_volume_of(
                destination, each.name.removesuffix(_DRAFT)
            ):
                _remove(each)


def _check_room(destination: Path, manifests: tuple[Manifest, ...]) -> None:
    """Say at once what the disk would say after a long time."""
    needed = sum(file.size_bytes for manifest in manifests for file in manifest.files)
    with unavailable_on_failure(f"{destination} cannot be written"):
        free = shutil.disk_usage(destination.absolute().parent).free
    if free < needed:
        raise Unavailable(
            f"{destination} cannot be written: {needed} bytes are needed, and the disk has {free}",
            full=True,
        )


@contextmanager
def _writable(path: Path) -> Iterator[None]:
    try:
        with unavailable_on_failure(f"{path} cannot be written"):
            yield
    except Unavailable as error:
        if isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.EFBIG:
            raise Unavailable(
                f"{path} cannot be written: the disk takes no file of this size; allow volumes of "
                f"{FAT32_BYTES_MAX} bytes at the most"
            ) from error
        raise


def _remove(draft: Path) -> None:
    if draft.is_dir():
        shutil.rmtree(draft)
    else:
        with suppress(FileNotFoundError):
            draft.unlink()


def _tell_nobody(_bytes: int) -> None:
    """Where nobody wants to know."""
