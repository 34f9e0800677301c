"""What becomes of source distributions: they go along as they are, or wheels are made of them.

To go along, one must say what it needs without being built (Metadata-Version 2.2 and later, nothing
of it Dynamic): nobody can know what else has to come. To make a wheel runs code of strangers on
this computer; it is done only where somebody asks for it.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

from packaging.tags import sys_tags

from simpleindex.gap.bundle.cache import BUILD_PREFIX, Cache
from simpleindex.gap.bundle.downloading import download
from simpleindex.gap.layers import Layer
from simpleindex.gap.probe import SCRIPT
from simpleindex.gap.releases import Described, Source, SourceTrouble, describe
from simpleindex.gap.releases import wheel_tags as tags_of
from simpleindex.gap.sdist_metadata import read_sdist
from simpleindex.gap.source import IndexSource
from simpleindex.gap.targets import Target, load_target
from simpleindex.mirror.wheel_ranges import metadata_in
from simpleindex.wire.simple_page import PageFile
from simpleindex_storage.durable import unavailable_on_failure, write_file
from simpleindex_storage.errors import Refused
from simpleindex_storage.names import parse_filename

BUILD_SECONDS_MAX = 1800.0
_REASON_CHARACTERS_MAX = 300
_BUILT = "built:"

_Found = TypeVar("_Found")


class Policy(StrEnum):
    """What to do where a target can use no wheel."""

    REFUSE = "refuse"
    INCLUDE = "include"
    BUILD = "build"


@dataclass(frozen=True, slots=True)
class _Built:
    """A wheel that was made here."""

    file: PageFile
    described: Described
    sdist_sha256: str


class _Once:
    """Finds out each thing once, whoever asks at the same time."""

    def __init__(self) -> None:
        self._futures: dict[str, Future[Any]] = {}
        self._lock = Lock()

    def get(self, key: str, find: Callable[[], _Found]) -> _Found:
        """What `find` has returned or raised, now or before."""
        with self._lock:
            future: Future[Any] | None = self._futures.get(key)
            is_first = future is None
            if future is None:
                future = self._futures[key] = Future()
        if is_first:
            try:
                future.set_result(find())
            except BaseException as error:
                future.set_exception(error)
        found: _Found = future.result()
        return found


class IncludedSdists(Layer):
    """An index whose source distributions count, where they say what they need."""

    def __init__(self, below: Source, index: IndexSource, cache: Cache) -> None:
        super().__init__(below)
        self._index = index
        self._cache = cache
        self._once = _Once()

    def usable(self, file: PageFile, target: Target) -> PageFile | str:
        """The file itself, or why not. It is fetched for that."""
        found = self._look(file)
        return found if isinstance(found, str) else file

    def described(self, file: PageFile) -> Described:
        """What a source distribution says, or a wheel."""
        if file.filename.endswith(".whl"):
            return super().described(file)
        found = self._look(file)
        if isinstance(found, str):
            raise SourceTrouble(f"{file.filename} {found}")
        return found

    def expect_described(self, file: PageFile) -> None:
        """If it is a wheel."""
        if file.filename.endswith(".whl"):
            super().expect_described(file)

    def _look(self, file: PageFile) -> Described | str:
        return self._once.get(file.url, lambda: self._read(file))

    def _read(self, file: PageFile) -> Described | str:
        path, _ = fetched(file, self._index, self._cache)
        return read_sdist(path, file.filename)


class BuiltSdists(Layer):
    """An index of whose source distributions wheels are made, here and now."""

    def __init__(
        self,
        below: Source,
        index: IndexSource,
        cache: Cache,
        environment: Mapping[str, str],
        tell: Callable[[str], None],
    ) -> None:
        """`environment` is what pip runs in. `tell` is told of each build, from any thread."""
        super().__init__(below)
        self._index = index
        self._cache = cache
        self._environment = environment
        self._tell = tell
        self._once = _Once()
        self._built: dict[str, _Built] = {}

    def usable(self, file: PageFile, target: Target) -> PageFile | str:
        """The wheel, if it is for the target, or why not."""
        made = self._once.get(file.url, lambda: self._made(file))
        if isinstance(made, str):
            return made
        tags = tags_of(made.file.filename)
        if tags is not None and all(tag.platform == "any" for tag in tags[0]):
            return made.file
        if _is_like(self._host(), target):
            return made.file
        return f"was built here as {made.file.filename}, which is for hosts like this one alone"

    def described(self, file: PageFile) -> Described:
        """What a wheel says that was made here, or another."""
        made = self._built.get(file.url)
        return super().described(file) if made is None else made.described

    def expect_described(self, file: PageFile) -> None:
        """If it was not made here."""
        if file.url not in self._built:
            super().expect_described(file)

    def built_from(self, file: PageFile) -> str | None:
        """The digest of what a file was made of; None: it is from the index."""
        made = self._built.get(file.url)
        return None if made is None else made.sdist_sha256

    def _made(self, file: PageFile) -> _Built | str:
        path, sha256 = fetched(file, self._index, self._cache)
        place = self._cache.folder / "built" / f"{sha256}.{_best_tag()}.json"
        with unavailable_on_failure(f"{self._cache.folder} cannot be written"):
            place.parent.mkdir(exist_ok=True)
            wheel = self._made_before(place)
            if wheel is None:
                self._tell(f"building a wheel of {file.filename}")
                with tempfile.TemporaryDirectory(
                    prefix=BUILD_PREFIX, dir=self._cache.folder
                ) as temporary:
                    folder = Path(temporary)
                    source = folder / parse_filename(file.filename).text
                    shutil.copyfile(path, source)
                    made = _build(source, folder / "wheels", self._environment)
                    if isinstance(made, str):
                        return f"has no wheel, and could not be built: {made}"
                    wheel = made.name, self._cache.add(made)
                note = json.dumps({"filename": wheel[0], "sha256": wheel[1]})
                write_file(place, note.encode())
            return self._as_built(*wheel, sha256, file)

    def _as_built(
        self, filename: str, sha256: str, sdist_sha256: str, sdist: PageFile
    ) -> _Built | str:
        path = self._cache.find(sha256)
        assert path is not None, "it was found or added a moment ago"
        try:
            with path.open("rb") as content:
                raw = metadata_in(content, parse_filename(filename).text)
            described = describe(raw, filename, is_proven=True)
        except Refused as refused:
            return f"was built as what is no wheel: {refused.rule}"
        file = PageFile(
            filename,
            f"{_BUILT}{sha256}",
            {"sha256": sha256},
            size_bytes=path.stat().st_size,
            uploaded_at=sdist.uploaded_at,
            requires_python=described.requires_python,
            yanked=sdist.yanked,
        )
        built = self._built[file.url] = _Built(file, described, sdist_sha256)
        return built

    def _made_before(self, place: Path) -> tuple[str, str] | None:
        """The name and digest of a wheel that is in the cache, so that it is the same again."""
        try:
            note = json.loads(place.read_bytes())
            filename, sha256 = str(note["filename"]), str(note["sha256"])
            parse_filename(filename)
        except (OSError, ValueError, KeyError, TypeError, Refused):
            return None
        return None if self._cache.find(sha256) is None else (filename, sha256)

    def _host(self) -> Target | None:
        return self._once.get("", _this_host)


def fetched(file: PageFile, index: IndexSource, cache: Cache) -> tuple[Path, str]:
    """Where a file lies once it is here, and its SHA-256. Raises SourceTrouble, Unavailable."""
    done = download([file], index, cache)
    for trouble in done.troubles.values():
        raise SourceTrouble(trouble)
    sha256 = done.sha256s[file.url]
    path = cache.find(sha256)
    if path is None:
        raise SourceTrouble(f"{file.filename} went from the cache")
    return path, sha256


def _build(source: Path, folder: Path, environment: Mapping[str, str]) -> Path | str:
    """The wheel that pip makes of it, in an environment of its own; or why it does not."""
    command = [
        sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-input", "--quiet",
        "--disable-pip-version-check", "--wheel-dir", str(folder), str(source),
    ]  # fmt: skip
    try:
        finished = subprocess.run(  # noqa: S603  that is what was asked for
            command,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # So that the same comes out again, where the builder keeps to it.
            env={"SOURCE_DATE_EPOCH": "315532800", **environment},
            cwd=source.parent,
            timeout=BUILD_SECONDS_MAX,
        )
    except subprocess.TimeoutExpired:
        return f"it took over {BUILD_SECONDS_MAX:.0f} s"
    except OSError as error:
        return f"pip cannot be run: {error.strerror}"
    wheels = list(folder.glob("*.whl"))
    if finished.returncode or len(wheels) != 1:
        return _last_words(finished.stdout.decode("utf-8", "replace"), source)
    try:
        parse_filename(wheels[0].name)
    except Refused as refused:
        return str(refused)
    return wheels[0]


def _last_words(output: str, source: Path) -> str:
    """The line that says most of why, in what pip wrote: none that only names the file again."""
    plain_lines = (line.strip() for line in output.splitlines())
    lines = [line for line in plain_lines if line and source.name not in line]
    loud = [line for line in lines if line.startswith("ERROR: ")]
    telling = loud or lines or ["nobody knows why"]
    plain = "".join(each if each.isprintable() else "?" for each in telling[-1])
    return plain[:_REASON_CHARACTERS_MAX]


def _best_tag() -> str:
    """Of the wheels that may be made here: tells the Python, the machine and its C library."""
    return str(next(sys_tags()))


def _this_host() -> Target | None:
    """The target that this computer is."""
    told = subprocess.run(  # noqa: S603  our own words
        [sys.executable, "-c", SCRIPT], check=False, capture_output=True, stdin=subprocess.DEVNULL
    )
    try:
        return load_target(json.loads(told.stdout))
    except (ValueError, Refused):
        return None


def _is_like(host: Target | None, target: Target) -> bool:
    """Whether what was built on a host runs on a target: it has to be the same kind of both."""
    return host is not None and (host.platform, host.abi, host.minor, host.implementation) == (
        target.platform,
        target.abi,
        target.minor,
        target.implementation,
    )
