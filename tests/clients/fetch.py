"""Fetch the real files that the tests put into an index: `python -m tests.clients.fetch`.

pip does the talking. Its settings alone know which index, certificates, proxies and credentials
work on this machine; and unlike `pip download` it runs no code of a source distribution here, and
takes the very file that is listed, for whatever platform.
"""

import argparse
import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import urldefrag, urljoin

from packaging.utils import (
    NormalizedName,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)

FOLDER = Path(__file__).parents[2] / ".cache" / "real-packages"
"""Where the files lie, between runs too."""

EXIT_UNREACHABLE = 3
"""No index answers: what needs the files cannot run here."""

_PACKAGES = Path(__file__).with_name("packages.txt")
_ARCHIVES = Path(__file__).with_name("archives.txt")
_JSON = "application/vnd.pypi.simple.v1+json"
_CONNECTIONS = 4


class Unreachable(Exception):
    """The index that pip uses here cannot be asked."""


class NotAsListed(Exception):
    """The index answers, but not with the files that are listed."""


def listed_names() -> tuple[str, ...]:
    """The file names that `packages.txt` lists: what clients install, and look for in an index."""
    return tuple(told_lines(_PACKAGES))


def listed_archives() -> tuple[str, ...]:
    """The file names that `archives.txt` lists, none of them in `packages.txt`: to be inspected."""
    return tuple(told_lines(_ARCHIVES))


def told_lines(path: Path) -> Iterator[str]:
    """The lines of a list that are neither empty nor a comment."""
    lines = (line.strip() for line in path.read_text("utf-8").splitlines())
    return (line for line in lines if line and not line.startswith("#"))


def project_of(filename: str) -> NormalizedName:
    """The project that a wheel, sdist or egg belongs to."""
    if filename.endswith(".egg"):
        return canonicalize_name(filename.partition("-")[0], validate=True)
    parse = parse_wheel_filename if filename.endswith(".whl") else parse_sdist_filename
    return parse(filename)[0]


def fetch(names: Iterable[str], folder: Path) -> None:
    """Bring the files into the folder. Raises Unreachable, NotAsListed.

    A file is there whole or not at all; what is there already stays, and a later call goes on.
    """
    missing = tuple(name for name in names if not (folder / name).exists())
    if not missing:
        return
    folder.mkdir(parents=True, exist_ok=True)
    with _asking_pip() as index, ThreadPoolExecutor(_CONNECTIONS) as pool:
        pages = pool.map(index.files_of, {project_of(name) for name in missing})
        offered = {file.name: file for page in pages for file in page}
        unknown = [name for name in missing if name not in offered]
        if unknown:
            raise NotAsListed(f"the index that pip uses here has no {', '.join(unknown)}")
        for file, body in pool.map(index.bytes_of, (offered[name] for name in missing)):
            _write(folder / file.name, body)


def main(arguments: list[str] | None = None) -> int:
    """Fetch all that is listed, and say in one line how that went; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.clients.fetch", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=FOLDER)
    parser.add_argument("--packages-only", action="store_true", help="leave archives.txt out")
    given = parser.parse_args(arguments)
    folder: Path = given.folder
    names = listed_names() if given.packages_only else (*listed_names(), *listed_archives())
    try:
        fetch(names, folder)
    except Unreachable as error:
        print(f"the real packages cannot be fetched: {error}")
        return EXIT_UNREACHABLE
    except NotAsListed as error:
        print(f"the real packages are not as listed: {error}")
        return 1
    print(f"{len(names)} real packages are in {folder}")
    return 0


@dataclass(frozen=True, slots=True)
class _Offered:
    """A file, as a page of the index tells of it."""

    name: str
    url: str
    sha256: str


class _Reply(Protocol):
    """What is used of the answers of pip's session."""

    @property
    def status_code(self) -> int: ...
    @property
    def content(self) -> bytes: ...


class _Session(Protocol):
    """What is used of pip's session."""

    def get(self, url: str, *, headers: dict[str, str]) -> _Reply: ...


@dataclass(frozen=True, slots=True)
class _Index:
    """The index that pip installs from."""

    session: _Session
    url: str
    failures: tuple[type[Exception], ...]
    """What the session raises when nobody answers."""

    def files_of(self, project: NormalizedName) -> tuple[_Offered, ...]:
        page_url = f"{self.url.rstrip('/')}/{project}/"
        body = self._body(page_url, accept=_JSON)
        try:
            page = json.loads(body)
        except ValueError:
            raise Unreachable("the index that pip uses here does not speak JSON") from None
        return tuple(
            _Offered(
                file["filename"],
                urldefrag(urljoin(page_url, file["url"])).url,
                file["hashes"].get("sha256", ""),
            )
            for file in page["files"]
        )

    def bytes_of(self, file: _Offered) -> tuple[_Offered, bytes]:
        body = self._body(file.url, accept="*/*")
        if hashlib.sha256(body).hexdigest() != file.sha256:
            raise NotAsListed(f"{file.name} does not have the sha256 that its page tells")
        return file, body

    def _body(self, url: str, *, accept: str) -> bytes:
        try:
            reply = self.session.get(url, headers={"Accept": accept})
            status, body = reply.status_code, reply.content
        except self.failures as error:
            reason = f"the index that pip uses here does not answer ({type(error).__name__})"
            raise Unreachable(reason) from error
        if status == 404:
            raise NotAsListed(f"the index that pip uses here has no {url}")
        if status != 200:
            raise Unreachable(f"the index that pip uses here answers with status {status}")
        return body


@contextmanager
def _asking_pip() -> Iterator[_Index]:
    # Imported only here: a folder that is complete needs no pip, and not every environment has it.
    try:
        from pip._internal.cli.req_command import RequirementCommand
        from pip._internal.commands import create_command
        from pip._internal.exceptions import PipError
    except ImportError:
        raise Unreachable("this Python has no pip") from None
    command = create_command("download")
    if not isinstance(command, RequirementCommand):
        raise Unreachable("this pip is made otherwise than those that are known")
    # Read by pip itself: its configuration files and environment variables count, too.
    given = ["--no-cache-dir", "--retries=2", "--timeout=30", "no-requirement-is-resolved"]
    options, _ = command.parse_args(given)
    if options.no_index:
        raise Unreachable("pip is told to use no index")
    with command.main_context():
        session = command.get_default_session(options)
        # Older pips let the errors of requests through, which are OSErrors.
        yield _Index(session, options.index_url, failures=(PipError, OSError))


def _write(path: Path, body: bytes) -> None:
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=".fetch-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(body)
        Path(draft).replace(path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise


if __name__ == "__main__":
    sys.exit(main())
