"""What the side with internet keeps of what it has fetched: files by their SHA-256, and drafts.

What has come of a file stays whatever happens, so that the next run fetches only the rest. Each
file is hashed when it has arrived, and again by the first who uses it later. All that is lost with
the folder is time; but for the ledger, if that lies beside it.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

from simpleindex.gap.releases import NotAsPromised
from simpleindex.wire.simple_page import PageFile
from simpleindex_storage.durable import sync_file, unavailable_on_failure, write_file
from simpleindex_storage.errors import Refused
from simpleindex_storage.locks import FileLock

_BLOCK_BYTES = 1 << 20
_DIGESTS = ("sha256", "sha384", "sha512")
_NOTE_BYTES_MAX = 4096
BUILD_PREFIX = "build-"
"""Of folders for the time of a build."""
_SHA256 = re.compile(r"[0-9a-f]{64}")


def usual_cache(environment: Mapping[str, str]) -> Path:
    """Where caches of this user lie."""
    if os.name == "nt" and (local := environment.get("LOCALAPPDATA")):
        return Path(local) / "simpleindex-server" / "Cache"
    named = environment.get("XDG_CACHE_HOME", "")
    base = Path(named) if named.startswith("/") else Path.home() / ".cache"
    return base / "simpleindex-server"


def promised_sha256(file: PageFile) -> str | None:
    """The digest that a page promises; None: it promises none that is one."""
    sha256 = file.hashes.get("sha256", "").lower()
    return sha256 if _SHA256.fullmatch(sha256) else None


class Cache:
    """A folder of files. Made by `open_cache`. May be used from any thread."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._files = folder / "files"
        self._drafts = folder / "drafts"
        self._checked: set[str] = set()

    def find(self, sha256: str) -> Path | None:
        """A file, if it is here and whole. One that was damaged is gone then."""
        path = self._path(sha256)
        if sha256 in self._checked:
            return path
        with unavailable_on_failure(f"{path} cannot be read"):
            try:
                with path.open("rb") as file:
                    actual = hashlib.file_digest(file, "sha256").hexdigest()
            except FileNotFoundError:
                return None
            if actual != sha256:
                path.unlink()
                return None
        self._checked.add(sha256)
        return path

    def seems_to_have(self, file: PageFile) -> bool:
        """Whether a file of that digest and size is here, at a glance."""
        sha256 = promised_sha256(file)
        try:
            return sha256 is not None and self._path(sha256).stat().st_size == file.size_bytes
        except OSError:
            return False

    def draft(self, file: PageFile, received: Callable[[int], None]) -> "FileDraft":
        """What there is of a file so far. `received` is told of what comes; of what goes, less."""
        key = promised_sha256(file) or hashlib.sha256(file.url.encode()).hexdigest()
        return FileDraft(self._drafts / f"{key}.part", received)

    def take(self, file: PageFile, draft: "FileDraft") -> str:
        """Keep a draft that is whole; its SHA-256. Raises NotAsPromised, OSError."""
        digests = {name: hashlib.new(name) for name in _DIGESTS}
        with draft.path.open("rb") as content:
            while block := content.read(_BLOCK_BYTES):
                for digest in digests.values():
                    digest.update(block)
        for name, digest in digests.items():
            if file.hashes.get(name, "").lower() not in {"", digest.hexdigest()}:
                draft.delete()
                raise NotAsPromised(f"{file.filename} has another {name} than its page promises")
        return self._keep(draft.path, digests["sha256"].hexdigest(), draft)

    def add(self, path: Path) -> str:
        """Keep a file that was made here, by moving it; its SHA-256. Raises OSError."""
        with path.open("rb") as content:
            sha256 = hashlib.file_digest(content, "sha256").hexdigest()
        return self._keep(path, sha256, None)

    def _keep(self, path: Path, sha256: str, draft: "FileDraft | None") -> str:
        place = self._path(sha256)
        place.parent.mkdir(exist_ok=True)
        sync_file(path)
        path.replace(place)
        if draft is not None:
            draft.delete()
        self._checked.add(sha256)
        return sha256

    def _path(self, sha256: str) -> Path:
        return self._files / sha256[:2] / sha256


class FileDraft:
    """The beginning of a file, and what its rest has to be asked with. For one user at a time."""

    def __init__(self, path: Path, received: Callable[[int], None]) -> None:
        self.path = path
        self._note = path.with_suffix(".json")
        self._received = received
        self._file: FileIO | None = None
        self.validator = self._read_note()
        self.received_bytes = 0
        if self.validator is not None:
            try:
                self.received_bytes = path.stat().st_size
            except FileNotFoundError:
                self.validator = None

    def begin(self, first_byte: int, validator: str | None) -> None:
        """Go on where it stands, or begin again."""
        self.close()
        if first_byte != self.received_bytes or not first_byte:
            self._received(-self.received_bytes)
            self.received_bytes = 0
            self._note.unlink(missing_ok=True)
            self._file = self.path.open("wb", buffering=0)
        else:
            self._file = self.path.open("ab", buffering=0)
        self.validator = validator
        if validator is not None:
            write_file(self._note, json.dumps({"validator": validator}).encode())

    def write(self, chunk: bytes) -> None:
        """Put it at the end."""
        assert self._file is not None, "it has begun"
        left = memoryview(chunk)
        while left:
            left = left[self._file.write(left) :]
        self.received_bytes += len(chunk)
        self._received(len(chunk))

    def close(self) -> None:
        """Let it lie as it is."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def delete(self) -> None:
        """Let nobody go on with it."""
        self.close()
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)

    def _read_note(self) -> str | None:
        try:
            with self._note.open("rb") as file:
                note = json.loads(file.read(_NOTE_BYTES_MAX))
            validator = note.get("validator")
        except (OSError, ValueError, AttributeError):
            return None
        return validator if isinstance(validator, str) else None


@contextmanager
def open_cache(folder: Path) -> Iterator[Cache]:
    """The cache in a folder, which is made if it is new, for this process alone.

    Raises Refused if another one has it, and Unavailable.
    """
    with unavailable_on_failure(f"{folder} cannot be used as a cache"):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for part in ("files", "drafts"):
            (folder / part).mkdir(exist_ok=True)
        lock = FileLock(folder / "lock")
    try:
        if not lock.try_keep():
            raise Refused(
                str(folder), "another process uses this cache now; wait, or name another --cache"
            )
        for left in folder.glob(f"{BUILD_PREFIX}*"):  # of one who was killed
            shutil.rmtree(left, ignore_errors=True)
        yield Cache(folder)
    finally:
        lock.close()
