"""Reads bundles: zips, volumes of them, or plain folders. All is checked before it is believed.

A manifest tells how all the rest has to look, to the last byte of a zip; so nothing is searched
for, nothing is unpacked, and what a bundle costs to open is bounded by the size of its manifest.
"""

import io
import os
import re
import stat
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from simpleindex.gap.bundle.manifest import (
    MANIFEST_BYTES_MAX,
    MEMBER,
    BundledFile,
    Manifest,
    parse_manifest,
    spoken_digest,
)
from simpleindex.gap.bundle.stored_zip import (
    HEADER_BYTES_MAX,
    Layout,
    Member,
    crc_in,
    end,
    entry,
    header,
    layout,
    told_by,
)
from simpleindex.gap.bundle.volumes import (
    SIGNATURE,
    SIGNATURE_BYTES_MAX,
    VOLUMES_MAX,
    contradiction,
    members_of,
)
from simpleindex_storage.durable import unavailable_on_failure
from simpleindex_storage.errors import Refused

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_CHUNK_BYTES = 1 << 20
_THREADS_MAX = 8
_FAULTS_MAX = 1000

_LEFT_BY_DESKTOPS = re.compile(r"\.DS_Store|Thumbs\.db|desktop\.ini|\._.*", re.IGNORECASE)
_AGAIN = "copy the bundle again"


class Place(NamedTuple):
    """Where the bytes of a member lie."""

    path: Path
    start: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Volume:
    """A zip or a folder whose form is right; the bytes of its files have not been looked at."""

    path: Path
    manifest: Manifest
    raw_manifest: bytes
    """What is signed."""
    signature: bytes | None
    """`manifest.json.sig`; nobody has checked it."""
    places: Mapping[str, Place]
    """By the names of members."""

    @property
    def digest(self) -> str:
        """Of the manifest, to be compared by voice."""
        return spoken_digest(self.raw_manifest)


@dataclass(frozen=True, slots=True)
class Bundle:
    """What is carried: one volume or several."""

    volumes: tuple[Volume, ...]
    """In the order of their numbers."""
    manifest: Manifest
    """Of all of them together. `elsewhere` and `part` are there if volumes are missing."""
    subject: str
    """How it is named in what is told."""

    @property
    def size_bytes(self) -> int:
        """Of the files for the index."""
        return sum(file.size_bytes for file in self.manifest.files)

    def open_file(self, file: BundledFile) -> BinaryIO:
        """Open a file that the manifest names, to be read once from its beginning.

        Reading raises Refused instead of giving the last bytes, if all of them are not those that
        the manifest tells; and Unavailable.
        """
        place = next(
            volume.places[file.member] for volume in self.volumes if file.member in volume.places
        )
        return _checked(place, file.sha256, self.subject, file.name.text)


def looks_like_bundle(path: Path) -> bool:
    """Whether this is a bundle, be it whole or not, and no other folder or zip."""
    with unavailable_on_failure(f"{path} cannot be read"):
        if path.is_dir():
            return os.path.lexists(path / MEMBER)
        with path.open("rb") as file:
            told = told_by(file.read(HEADER_BYTES_MAX))
        return told is not None and told.name == MEMBER


def open_bundle(path: Path, *more: Path) -> Bundle:
    """Open a bundle, of which `more` are other volumes. Raises Refused, Unavailable.

    Volumes that are missing are no fault: the manifest tells of them.
    """
    paths = dict.fromkeys((path, *more))
    if len(paths) > VOLUMES_MAX:
        raise Refused(str(path), f"{VOLUMES_MAX} volumes are read at once at the most")
    volumes = [_open_volume(each) for each in paths]
    subject = str(path) if len(volumes) == 1 else f"{path} and the other volumes"
    if len(volumes) > 1:
        _check_set(volumes)
        volumes.sort(key=_number)
    return Bundle(tuple(volumes), _joined(volumes), subject)


def verify_bundle(
    bundle: Bundle,
    progress: Callable[[int], object] | None = None,
    *,
    but: Collection[str] = (),
) -> list[str]:
    """Read all files of a bundle, also those for people; what is wrong, in a sentence each.

    Members of the names `but` are left out, which somebody else reads.
    `progress` is told how many bytes were read since it was told before, from any thread, but not
    from two at a time. Raises Unavailable.
    """
    lock = Lock()

    def tell(read_bytes: int) -> None:
        if progress is not None:
            with lock:
                progress(read_bytes)

    jobs = [
        (volume.places[item.name], item.sha256, item.shown)
        for volume in bundle.volumes
        for item in _items(volume.manifest)
        if item.name not in but
    ]

    def fault(job: tuple[Place, str, str]) -> str | None:
        place, digest, shown = job
        try:
            with _checked(place, digest, bundle.subject, shown) as file:
                _read_through(file, tell)
        except Refused as refused:
            return str(refused)
        return None

    threads = ThreadPoolExecutor(min(_THREADS_MAX, os.cpu_count() or 1), "verifying")
    try:
        return [found for found in threads.map(fault, jobs) if found is not None][:_FAULTS_MAX]
    finally:
        threads.shutdown(cancel_futures=True)


class _Item(NamedTuple):
    """A member of which the manifest tells the digest."""

    name: str
    shown: str
    sha256: str
    size_bytes: int


def _items(manifest: Manifest) -> Iterator[_Item]:
    for file in manifest.files:
        yield _Item(file.member, file.name.text, file.sha256, file.size_bytes)
    for extra in manifest.extras:
        yield _Item(extra.name, extra.name, extra.sha256, extra.size_bytes)


def _read_through(file: BinaryIO, progress: Callable[[int], object]) -> None:
    while chunk := file.read(_CHUNK_BYTES):
        progress(len(chunk))


class _Checked(io.RawIOBase):
    """Bytes of a member, of which the last are not given away before all are known to be right."""

    def __init__(
        self, file: io.FileIO, place: Place, digest: str, subject: str, shown: str
    ) -> None:
        self._file = file
        self._left_bytes = place.size_bytes
        self._promised = digest
        self._digest = sha256()
        self._subject = subject
        self._shown = shown
        if not place.size_bytes:
            self._check()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        view = memoryview(buffer).cast("B")[: self._left_bytes]
        if not view:
            return 0
        with unavailable_on_failure(f"{self._subject}: {self._shown} cannot be read"):
            count = self._file.readinto(view)
        if not count:
            raise Refused(self._subject, f"its {self._shown} is cut short; {_AGAIN}")
        self._digest.update(view[:count])
        self._left_bytes -= count
        if not self._left_bytes:
            self._check()
        return count

    def close(self) -> None:
        self._file.close()
        super().close()

    def _check(self) -> None:
        if self._digest.hexdigest() != self._promised:
            raise Refused(
                self._subject,
                f"its {self._shown} is damaged: its sha256 is {self._digest.hexdigest()}, and not "
                f"{self._promised}; {_AGAIN}",
            )


def _checked(place: Place, digest: str, subject: str, shown: str) -> BinaryIO:
    with unavailable_on_failure(f"{subject}: {shown} cannot be read"):
        file = _opened(place.path)
        try:
            file.seek(place.start)
            return io.BufferedReader(_Checked(file, place, digest, subject, shown), _CHUNK_BYTES)
        except BaseException:
            file.close()
            raise


def _opened(path: Path) -> io.FileIO:
    return path.open("rb", buffering=0)


def _open_volume(path: Path) -> Volume:
    with unavailable_on_failure(f"{path} cannot be read"):
        stated = path.stat()
        if stat.S_ISDIR(stated.st_mode):
            return _open_folder(path)
        if not stat.S_ISREG(stated.st_mode):
            raise Refused(str(path), "it is neither a file nor a folder")
        with _opened(path) as file:
            return _Zip(path, file, stated.st_size).volume()


class _Zip:
    """A zip of which nothing is believed that is not as `stored_zip` has it."""

    def __init__(self, path: Path, file: io.FileIO, size_bytes: int) -> None:
        self._path = path
        self._file = file
        self._size_bytes = size_bytes

    def volume(self) -> Volume:
        """What is in it. Raises Refused, OSError."""
        told = told_by(self._bytes(0, HEADER_BYTES_MAX))
        if told is None or told.name != MEMBER:
            raise self._refused(
                f"it is no bundle, or its beginning is damaged: a bundle begins with {MEMBER}"
            )
        first, raw, after = self._small(0, MEMBER, MANIFEST_BYTES_MAX)
        manifest = _parsed(raw, str(self._path))
        signature = None
        told = told_by(self._bytes(after, HEADER_BYTES_MAX))
        if told is not None and told.name == SIGNATURE:
            _, signature, _ = self._small(after, SIGNATURE, SIGNATURE_BYTES_MAX)
        members = members_of(manifest, len(raw), None if signature is None else len(signature))
        self._check_size(sum(member.size_bytes for member in members))  # which may be absurd
        where = layout(members)
        self._check_size(where.size_bytes, is_all=True)
        known = self._check_directory(members, where)
        if known[0] != first:
            raise self._refused(f"its directory is damaged at {MEMBER}; {_AGAIN}")
        self._check_headers(known, where)
        places = {
            member.name: Place(self._path, start + len(header(member)), member.size_bytes)
            for member, start in zip(known, where.starts, strict=True)
        }
        return Volume(self._path, manifest, raw, signature, places)

    def _small(self, start: int, name: str, most_bytes: int) -> tuple[Member, bytes, int]:
        """A member of which only its own header tells: it, its bytes, and where they end."""
        told = told_by(self._bytes(start, HEADER_BYTES_MAX))
        if told is None or told.size_bytes > most_bytes:
            raise self._refused(f"the header of its {name} is damaged; {_AGAIN}")
        member = Member(name, told.size_bytes, told.crc)
        ahead = header(member)
        if self._bytes(start, len(ahead)) != ahead:
            raise self._refused(f"the header of its {name} is damaged; {_AGAIN}")
        content = self._bytes(start + len(ahead), member.size_bytes)
        if len(content) < member.size_bytes:
            raise self._refused(f"it is cut short, within its {name}; {_AGAIN}")
        if zlib.crc32(content) != member.crc:
            raise self._refused(f"its {name} is damaged; {_AGAIN}")
        return member, content, start + len(ahead) + len(content)

    def _check_size(self, needed_bytes: int, *, is_all: bool = False) -> None:
        if self._size_bytes < needed_bytes:
            raise self._refused(
                f"it is cut short: {self._size_bytes} bytes are there, and its {MEMBER} tells of "
                f"{needed_bytes}; {_AGAIN}"
            )
        if is_all and self._size_bytes > needed_bytes:
            raise self._refused(
                f"it is damaged, or something was added: {self._size_bytes - needed_bytes} bytes "
                f"more are there than its {MEMBER} tells of; {_AGAIN}"
            )

    def _check_directory(self, members: Sequence[Member], where: Layout) -> list[Member]:
        """The members with the checksums that the directory tells, the one thing it decides."""
        raw = self._bytes(where.directory_start, where.directory_bytes)
        known, at = [], 0
        for member, start in zip(members, where.starts, strict=True):
            told = member._replace(crc=crc_in(raw, at))
            expected = entry(told, start)
            if raw[at : at + len(expected)] != expected:
                raise self._refused(f"its directory is damaged at {member.name}; {_AGAIN}")
            known.append(told)
            at += len(expected)
        expected = end(len(members), where.directory_start, where.directory_bytes)
        if self._bytes(where.directory_start + where.directory_bytes, len(expected)) != expected:
            raise self._refused(f"its end is damaged; {_AGAIN}")
        return known

    def _check_headers(self, members: Sequence[Member], where: Layout) -> None:
        for member, start in zip(members, where.starts, strict=True):
            expected = header(member)
            if self._bytes(start, len(expected)) != expected:
                raise self._refused(f"the header of its {member.name} is damaged; {_AGAIN}")

    def _bytes(self, start: int, size_bytes: int) -> bytes:
        """So many bytes, or fewer where it ends."""
        self._file.seek(start)
        pieces = []
        while size_bytes and (piece := self._file.read(size_bytes)):
            pieces.append(piece)
            size_bytes -= len(piece)
        return b"".join(pieces)

    def _refused(self, why: str) -> Refused:
        return Refused(str(self._path), why)


def _open_folder(path: Path) -> Volume:
    """What is in a plain folder. Raises Refused, OSError."""
    if not os.path.lexists(path / MEMBER):
        raise Refused(str(path), f"it is no bundle: there is no {MEMBER} in it")
    raw = _small_file(path, MEMBER, MANIFEST_BYTES_MAX)
    signature = None
    if os.path.lexists(path / SIGNATURE):
        signature = _small_file(path, SIGNATURE, SIGNATURE_BYTES_MAX)
    manifest = _parsed(raw, str(path))
    members = members_of(manifest, len(raw), None if signature is None else len(signature))
    names = {member.name for member in members}
    folders = {"files", *(name[:8] for name in names if name.startswith("files/"))}
    _check_nothing_else(path, "", names, folders)
    for member in members:
        size_bytes = _plain_size(path, member.name)
        if size_bytes != member.size_bytes:
            raise Refused(
                str(path),
                f"its {member.name} has {size_bytes} bytes, and not {member.size_bytes}; {_AGAIN}",
            )
    places = {member.name: Place(path / member.name, 0, member.size_bytes) for member in members}
    return Volume(path, manifest, raw, signature, places)


def _check_nothing_else(top: Path, below: str, names: set[str], folders: set[str]) -> None:
    """Refuse what nobody speaks of. Links lead out of the folder, so there are none."""
    with os.scandir(top / below) as found:
        for each in found:
            name = f"{below}{each.name}"
            if each.is_dir(follow_symlinks=False) and name in folders:
                _check_nothing_else(top, f"{name}/", names, folders)
            elif name not in names and not _LEFT_BY_DESKTOPS.fullmatch(each.name):
                raise Refused(
                    str(top),
                    f"there is {each.name[:200]!r} in it, which its {MEMBER} does not name",
                )


def _small_file(folder: Path, name: str, most_bytes: int) -> bytes:
    if _plain_size(folder, name) > most_bytes:
        raise Refused(str(folder), f"its {name} has over {most_bytes} bytes")
    with (folder / name).open("rb") as file:
        return file.read(most_bytes + 1)


def _plain_size(folder: Path, name: str) -> int:
    try:
        stated = (folder / name).lstat()
    except (FileNotFoundError, NotADirectoryError):
        raise Refused(str(folder), f"its {name} is missing; {_AGAIN}") from None
    if not stat.S_ISREG(stated.st_mode):
        raise Refused(str(folder), f"its {name} is no plain file")
    return stated.st_size


def _parsed(raw: bytes, subject: str) -> Manifest:
    """A manifest that is consistent in itself. Raises Refused."""
    # Each costs some 60 bytes once it is parsed, and a list of files has hardly any for its length.
    if raw.count(b"{") + raw.count(b"[") > 10_000 + len(raw) // 20:
        raise Refused(subject, f"its {MEMBER} is no list of files")
    manifest = parse_manifest(raw, subject)
    why = contradiction(manifest)
    if why is not None:
        raise Refused(subject, f"its {MEMBER} {why}")
    return manifest


def _number(volume: Volume) -> int:
    return volume.manifest.part.number if volume.manifest.part else 0


def _check_set(volumes: Sequence[Volume]) -> None:
    """Refuse volumes that are not of one bundle, or not different ones."""
    first = volumes[0]
    common = _common(first.manifest)
    seen: dict[int, Volume] = {}
    for volume in volumes:
        if volume.manifest.part is None:
            raise Refused(str(volume.path), "it is whole, and no volume of several")
        if _common(volume.manifest) != common:
            raise Refused(str(volume.path), f"it is no volume of the same bundle as {first.path}")
        other = seen.setdefault(volume.manifest.part.number, volume)
        if other is not volume:
            raise Refused(str(volume.path), f"it is the same volume as {other.path}")


def _common(manifest: Manifest) -> tuple[Manifest, object, frozenset[tuple[str, str, int]]]:
    """What is the same in all volumes of a bundle."""
    part = manifest.part
    number = part.number if part else 0
    where = [(file.name.text, file.sha256, number) for file in manifest.files]
    where += [(each.name.text, each.sha256, each.part) for each in manifest.elsewhere]
    rest = replace(manifest, files=(), elsewhere=(), extras=(), part=None)
    return rest, part and (part.count, part.set_stamp), frozenset(where)


def _joined(volumes: Sequence[Volume]) -> Manifest:
    """As if all were one. Raises nothing: they fit."""
    first = volumes[0].manifest
    if first.part is None or len(volumes) == 1:
        return first
    here = {_number(volume) for volume in volumes}
    missing = tuple(each for each in first.elsewhere if each.part not in here)
    return replace(
        first,
        files=tuple(file for volume in volumes for file in volume.manifest.files),
        elsewhere=missing,
        part=first.part if missing else None,
    )
