"""Dumps on the disk, and the server directories of devpi-server, which are never written to."""

import os
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from simpleindex_storage.errors import Refused
from simpleindex_storage.model import StageSettings, User
from simpleindex_storage.names import (
    IndexName,
    ProjectName,
    owner_of,
    parse_filename,
    parse_index_name,
)

from .reading import parse_dump, safe_relpath
from .records import (
    DATA_FILE,
    SIDE_FILE,
    UNUSABLE_HASH,
    Dump,
    DumpedFile,
    DumpedIndex,
    DumpedProject,
    Note,
)
from .side_file import parse_side_file
from .values import JSON_BYTES_MAX

_DATABASE = (".sqlite", ".sqlite-wal")
_MARKS = (".serverversion", ".nodeinfo")
_FILES = "+files"

_EXPORT = """\
import sys
from devpi_server import importexport
serverdir, target, *options = sys.argv[1:]
if hasattr(importexport, "export"):
    code = importexport.export(argv=["devpi-export", "--serverdir", serverdir, *options, target])
else:
    from devpi_server.main import main
    code = main(["devpi-server", "--serverdir", serverdir, *options, "--export", target])
sys.exit(code)
"""


def is_dump(folder: Path) -> bool:
    """Whether a folder is what devpi-export writes, or our own `export`."""
    return (folder / DATA_FILE).is_file()


def is_server_directory(folder: Path) -> bool:
    """Whether a folder is what devpi-server keeps its data in."""
    return any((folder / mark).is_file() for mark in _MARKS) and not is_dump(folder)


def read_dump(folder: Path) -> Dump:
    """What a dump says. Raises Refused, OSError."""
    side_file = folder / SIDE_FILE
    side = parse_side_file(_read(side_file)) if side_file.exists() else None
    return parse_dump(_read(folder / DATA_FILE), folder, side)


def member(folder: Path, relpath: str) -> Path:
    """Where a file of a dump lies. Raises Refused if it is not there, or a link leads away."""
    path = folder / safe_relpath(relpath)
    try:
        real = path.resolve(strict=True)
    except (OSError, RuntimeError):  # the latter from links in a circle
        raise Refused(relpath, "the file is missing in the dump") from None
    if not real.is_relative_to(folder.resolve()) or not real.is_file():
        raise Refused(relpath, "it is no file, or a link that leads out of the dump")
    return path


def export_with(python: Path, serverdir: Path, work: Path) -> Path:
    """Let devpi-server itself export its directory; where the dump lies, below `work`.

    A copy of the directory is exported, for devpi-server may tidy up what it opens; the packages
    in it are second names of the files, where disks allow it. Raises Refused, OSError.
    """
    if not (serverdir / _DATABASE[0]).is_file():
        raise Refused(
            str(serverdir),
            "its database is not in it, so devpi-server was told to keep it elsewhere; run "
            "devpi-export with the same --storage, and import what it writes",
        )
    copy, target = work / "copy", work / "dump"
    copy.mkdir()
    for name in (*_MARKS, *_DATABASE):
        if (serverdir / name).is_file():
            shutil.copyfile(serverdir / name, copy / name)
    _link_files(serverdir, copy)
    options = ["--hard-links"] if _has_links(work) else []
    finished = subprocess.run(  # noqa: S603  the interpreter that the admin has named
        [python, "-I", "-c", _EXPORT, copy, target, *options],
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    if finished.returncode != 0 or not is_dump(target):
        told = finished.stdout.decode("utf-8", "replace").split("\n")
        last = next((line.strip() for line in reversed(told) if line.strip()), "it said nothing")
        raise Refused(str(python), f"devpi-server in it could not export {serverdir}: {last}")
    return target


def indexes_with_files(serverdir: Path) -> dict[IndexName, int]:
    """The indexes of a stopped devpi-server that have files on the disk, and how many."""
    found = {}
    for folder in sorted((serverdir / _FILES).glob("*/*")):
        if count := sum(1 for _ in _stored(folder)):
            found[IndexName(f"{folder.parent.name}/{folder.name}")] = count
    return found


def read_server_directory(serverdir: Path, indexes: Sequence[IndexName]) -> Dump:
    """The files of some indexes of a stopped devpi-server, without what its database says.

    Raises Refused for an index that has none.
    """
    known = indexes_with_files(serverdir)
    missing = [name for name in indexes if name not in known]
    if missing:
        raise Refused(str(serverdir), f"there are no files of {', '.join(missing)} in it")
    notes: list[Note] = [
        Note(
            str(serverdir),
            "passwords, settings, documentation, test results and registered releases: only the "
            "database knows them, and it was not read",
        )
    ]
    owners = {owner_of(name) for name in indexes} - {"root"}
    long_ago = datetime(1970, 1, 1, tzinfo=UTC)
    return Dump(
        folder=serverdir / _FILES,
        source="a directory of devpi-server",
        users=tuple(User(owner, UNUSABLE_HASH, 1, long_ago) for owner in sorted(owners)),
        indexes=tuple(_index_of(serverdir, name, notes) for name in indexes),
        notes=tuple(notes),
    )


def _index_of(serverdir: Path, name: IndexName, notes: list[Note]) -> DumpedIndex:
    parse_index_name(name)
    projects: dict[ProjectName, dict[str, DumpedFile]] = {}
    root = serverdir / _FILES
    for path in sorted(_stored(root / name)):
        relpath = path.relative_to(root).as_posix()
        try:
            filename = parse_filename(path.name)
        except Refused as error:
            if ".toxresult-" not in path.name and not path.name.endswith(".doc.zip"):
                notes.append(Note(relpath, str(error)))
            continue
        files = projects.setdefault(filename.project, {})
        if filename.key in files:
            notes.append(Note(relpath, "another file has the same name in another spelling"))
            continue
        files[filename.key] = DumpedFile(relpath, path.name, {}, None, "", ())
    return DumpedIndex(
        name,
        StageSettings(volatile=False, acl_upload=(owner_of(name),)),
        tuple(DumpedProject(project, tuple(files.values())) for project, files in projects.items()),
    )


def _stored(folder: Path) -> Iterable[Path]:
    return (path for path in (folder / "+f").rglob("*") if path.is_file())


def _link_files(serverdir: Path, copy: Path) -> None:
    """Give the copy the files, as second names where it lies on the same disk."""
    if not (serverdir / _FILES).is_dir():
        return
    try:
        shutil.copytree(serverdir / _FILES, copy / _FILES, copy_function=os.link)
    except (OSError, shutil.Error):
        shutil.rmtree(copy / _FILES, ignore_errors=True)
        shutil.copytree(serverdir / _FILES, copy / _FILES)


def _has_links(folder: Path) -> bool:
    probe = folder / "probe"
    probe.touch()
    try:
        os.link(probe, folder / "second-name")
    except OSError:
        return False
    return True


def _read(path: Path) -> bytes:
    if path.stat().st_size > JSON_BYTES_MAX:
        raise Refused(str(path), f"it is larger than {JSON_BYTES_MAX >> 20} MiB")
    return path.read_bytes()
