"""What may be taken in: bundles, and packages without a manifest, as people have them lying about.

Those are single files, folders of them (what `pip download` leaves, for example) and zips of them.
"""

import re
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path

from simpleindex.gap.bundle.manifest import FILES_MAX, BundledFile
from simpleindex.gap.bundle.reading import Bundle, looks_like_bundle, open_bundle
from simpleindex_storage.durable import unavailable_on_failure
from simpleindex_storage.errors import Refused
from simpleindex_storage.names import DistFilename, parse_filename

_PACKAGES = (".whl", ".tar.gz", ".zip", ".egg")
_OTHER_PACKAGES = (".exe", ".msi", ".tar.bz2", ".tgz", ".rpm", ".deb", ".dmg")
"""Who carries one of these may expect that it is taken in."""
_BUNDLE = ".pkgbundle.zip"
_TOP_PKG_INFO = re.compile(r"[^/]+/PKG-INFO")
_CHUNK_BYTES = 1 << 20
_LEFT_BY_DESKTOPS = re.compile(r"\.DS_Store|Thumbs\.db|desktop\.ini|\._.*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Arriving:
    """A file that is on its way in."""

    name: DistFilename
    size_bytes: int
    read: Callable[[], Iterator[bytes]]
    """Its bytes, from the beginning. Raises Refused where they are not as promised, Unavailable."""
    where: str
    """For people."""
    sha256: str | None = None
    """As a manifest promises it; None: nobody does."""
    uploaded_at: datetime | None = None
    """To the index that it is from."""
    yanked: str | None = None


@dataclass(frozen=True, slots=True)
class Load:
    """All that is taken in at once."""

    sources: tuple[str, ...]
    """Names of what was given."""
    bundles: tuple[Bundle, ...]
    files: tuple[Arriving, ...]
    """Of the bundles, and those that come without one."""
    left_out: tuple[str, ...]
    """What lay beside them and is no package."""
    faults: tuple[str, ...]
    """What looks like packages, and cannot be any; in sentences."""


@contextmanager
def opened_load(paths: Sequence[Path]) -> Iterator[Load]:
    """What lies at some paths, for the time of the block. Raises Refused, Unavailable.

    Volumes of one bundle are put together, in whichever order they come.
    """
    with ExitStack() as closing:
        found = _Found(closing)
        for path in dict.fromkeys(paths):
            found.take(path, is_named=True)
        yield found.load([path.name or str(path) for path in dict.fromkeys(paths)])


@dataclass(slots=True)
class _Found:
    """What has been found so far."""

    closing: ExitStack
    volumes: list[Path] = field(default_factory=list)
    loose: list[Arriving] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def take(self, path: Path, *, is_named: bool = False) -> None:
        """Look at a file or folder. `is_named`: somebody has named it, and is told what it is."""
        with unavailable_on_failure(f"{path} cannot be read"):
            try:
                mode = path.stat().st_mode
            except (FileNotFoundError, NotADirectoryError):
                raise Refused(str(path), "nothing lies there") from None
            if stat.S_ISDIR(mode):
                self._take_folder(path)
            elif not stat.S_ISREG(mode):
                self._leave_out(path, is_named)
            elif path.name.endswith(_BUNDLE) or looks_like_bundle(path):
                self.volumes.append(path)
            elif path.name.endswith(".zip"):
                self._take_zip(path)
            elif path.name.endswith((*_PACKAGES, *_OTHER_PACKAGES)):
                self._take_file(path)
            else:
                self._leave_out(path, is_named)

    def load(self, sources: Sequence[str]) -> Load:
        """All of it."""
        bundles = tuple(_put_together(self.volumes))
        if not bundles and not self.loose and not self.faults:
            raise Refused(", ".join(sources), "there is no bundle and no package in it")
        files = [arriving for bundle in bundles for arriving in _files_of(bundle)]
        return Load(
            tuple(sources),
            bundles,
            (*files, *self.loose),
            tuple(self.left_out),
            tuple(self.faults),
        )

    def _take_folder(self, path: Path) -> None:
        if looks_like_bundle(path):
            self.volumes.append(path)
            return
        for each in sorted(path.iterdir()):
            if each.is_symlink() and each.is_dir():  # it may lead round in circles
                self.left_out.append(str(each))
            elif not _LEFT_BY_DESKTOPS.fullmatch(each.name):
                self.take(each)
            if len(self.loose) > FILES_MAX:
                raise Refused(str(path), f"{FILES_MAX} files are taken in at once at the most")

    def _take_zip(self, path: Path) -> None:
        """A zip of packages, or an sdist that is one."""
        try:
            # It stays open, to be read from.
            archive = self.closing.enter_context(zipfile.ZipFile(path))
        except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
            raise Refused(str(path), f"it is no zip, or damaged: {error}") from None
        entries = archive.infolist()
        members = [entry for entry in entries if not entry.is_dir()]
        if entries and 0 not in {entry.header_offset for entry in entries}:
            # Of a zip that was cut short, the end of the last wheel in it looks like the whole.
            raise Refused(str(path), "it does not begin where its directory says; copy it again")
        if any(_TOP_PKG_INFO.fullmatch(entry.filename) for entry in members):
            self._take_file(path)
            return
        if len(members) > FILES_MAX:
            raise Refused(str(path), f"{FILES_MAX} files are taken in at once at the most")
        for entry in members:
            name = entry.filename.rpartition("/")[2]
            where = f"{path}: {entry.filename}"
            if name.endswith((*_PACKAGES, *_OTHER_PACKAGES)):
                read = partial(_read_member, archive, entry, where)
                self._add(name, entry.file_size, read, where)
            elif not _LEFT_BY_DESKTOPS.fullmatch(name):
                self.left_out.append(where)

    def _take_file(self, path: Path) -> None:
        self._add(path.name, path.stat().st_size, partial(_read_file, path), str(path))

    def _add(
        self, name: str, size_bytes: int, read: Callable[[], Iterator[bytes]], where: str
    ) -> None:
        try:
            self.loose.append(Arriving(parse_filename(name), size_bytes, read, where))
        except Refused as refused:
            self.faults.append(f"{where}: {refused}")

    def _leave_out(self, path: Path, is_named: bool) -> None:
        if is_named:
            raise Refused(str(path), "it is no bundle, no package, and no zip or folder of them")
        self.left_out.append(str(path))


def _put_together(volumes: Iterable[Path]) -> Iterator[Bundle]:
    """Bundles, each with all its volumes that are here."""
    sets: dict[object, list[Bundle]] = {}
    for path in dict.fromkeys(volumes):
        bundle = open_bundle(path)
        part = bundle.manifest.part
        sets.setdefault(path if part is None else part.set_stamp, []).append(bundle)
    for bundles in sets.values():
        first, *more = (bundle.volumes[0].path for bundle in bundles)
        yield open_bundle(first, *more) if more else bundles[0]


def _files_of(bundle: Bundle) -> Iterator[Arriving]:
    for file in bundle.manifest.files:
        yield Arriving(
            file.name,
            file.size_bytes,
            partial(_read_bundled, bundle, file),
            f"{bundle.subject}: {file.name.text}",
            file.sha256,
            file.uploaded_at,
            file.yanked,
        )


def _read_bundled(bundle: Bundle, file: BundledFile) -> Iterator[bytes]:
    with bundle.open_file(file) as content:
        while chunk := content.read(_CHUNK_BYTES):
            yield chunk


def _read_file(path: Path) -> Iterator[bytes]:
    with unavailable_on_failure(f"{path} cannot be read"), path.open("rb") as content:
        while chunk := content.read(_CHUNK_BYTES):
            yield chunk


def _read_member(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, where: str) -> Iterator[bytes]:
    try:
        with unavailable_on_failure(f"{where} cannot be read"), archive.open(entry) as content:
            while chunk := content.read(_CHUNK_BYTES):
                yield chunk
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise Refused(where, f"it is damaged: {error}; copy the zip again") from None
    except (RuntimeError, NotImplementedError) as error:  # a password, or a rare compression
        raise Refused(where, f"it cannot be taken out of the zip: {error}") from None
