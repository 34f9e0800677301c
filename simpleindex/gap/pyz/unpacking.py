"""Out of the archive, once, into a folder from which Python starts faster.

Goes into the archive as it stands, and so imports nothing but the standard library. The folder is
only a cache: where it cannot be written, or somebody else could change what is in it, the program
runs out of the archive.

What is in the folder is compared with the archive at every start, and mended file by file. So it
makes no difference who unpacked it, whether others do the same at this moment, or whether a kill,
a power cut or something that tidies up has left half of it.
"""

import hashlib
import importlib.util
import os
import stat
import subprocess
import sys
import tempfile
import threading
import zipfile
import zlib
from collections.abc import Mapping, MutableSequence
from contextlib import suppress
from pathlib import Path

_OURS = ("simpleindex-server", "pyz")
_DIGEST_DIGITS = 32
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_COMPILING = "simpleindex_compiling.py"
_NEEDED_BY_SERVE = "simpleindex/app.py"


def prepare(search_path: MutableSequence[str]) -> None:
    """Let Python import from the unpacked archive, if that can be, instead of the archive.

    The archive is the first entry of the path, where `python server.pyz` puts it.
    """
    archive = Path(search_path[0]).absolute()
    home = cache_home(os.environ)
    folder = None if home is None else unpacked(archive, home)
    search_path[0] = str(folder or archive)
    if folder is not None:
        compile_beside(folder)

    from simpleindex.archive import run_from  # noqa: PLC0415  out of what was just unpacked

    run_from(archive)


def cache_home(environment: Mapping[str, str]) -> Path | None:
    """Where programs of this user keep what they can make again. None: there is no such place."""
    if sys.platform == "win32":
        named = environment.get("LOCALAPPDATA")
    else:
        named = environment.get("XDG_CACHE_HOME")
        if not named and (home := environment.get("HOME")):
            named = f"{home}/Library/Caches" if sys.platform == "darwin" else f"{home}/.cache"
    return Path(named) if named and Path(named).is_absolute() else None


def unpacked(archive: Path, home: Path) -> Path | None:
    """The folder below `home` that holds what is in the archive. None: it cannot be had safely."""
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()[:_DIGEST_DIGITS]
    try:
        folder = _private_folder(home, (*_OURS, digest))
        if folder is not None:
            with zipfile.ZipFile(archive) as members:
                for member in members.infolist():
                    _put(members, member, folder)
    except OSError:  # no room, no right, or on Windows: in use
        return None
    except (zipfile.BadZipFile, zlib.error):
        sys.exit(f"simpleindex-server: {archive} is damaged; take another copy of it")
    return folder


def compile_beside(folder: Path) -> None:
    """Let another process compile what this one imports last, if this Python has not yet.

    It ends by itself, and with this one at the latest. A quarter of the time of a first start, on
    two processors; on one it is no help, and no harm.
    """
    compiled = importlib.util.cache_from_source(str(folder / _NEEDED_BY_SERVE))
    if sys.dont_write_bytecode or not sys.executable or os.path.exists(compiled):  # noqa: PTH110
        return
    try:
        helper = subprocess.Popen(  # noqa: S603  of what was just unpacked
            [sys.executable, "-S", str(folder / _COMPILING)],
            stdin=subprocess.PIPE,  # which is closed when this process ends, however it does
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    except OSError:  # no more processes are allowed
        return
    try:
        threading.Thread(target=_wait_for, args=(helper,), daemon=True).start()
    except RuntimeError:  # no more threads are allowed
        helper.communicate()  # which tells it to end


def _wait_for(helper: "subprocess.Popen[bytes]") -> None:
    helper.wait()
    if helper.stdin is not None:
        helper.stdin.close()


def _private_folder(home: Path, names: tuple[str, ...]) -> Path | None:
    """A folder that is made if need be, and in which nobody but this user can change anything."""
    folder = home.resolve().joinpath(*names)
    chain = (folder, *folder.parents)
    missing = [each for each in chain if not os.path.lexists(each)]
    if not _is_safe_below(chain[len(missing)]):  # nothing is made there: it may be somebody's home
        return None
    for each in reversed(missing):
        with suppress(FileExistsError):  # somebody starts at the same time
            each.mkdir(mode=0o700)
    return folder if _is_private(folder) and _is_safe_below(folder.parent) else None


def _is_private(folder: Path) -> bool:
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode):
        return False
    # On Windows a profile's folders are its user's alone, and modes say nothing.
    return sys.platform == "win32" or (
        found.st_uid == os.geteuid() and not found.st_mode & _OTHERS_WRITE
    )


def _is_safe_below(folder: Path) -> bool:
    """Whether nobody else can put another folder in the place of one in here, or of this one."""
    if sys.platform == "win32":
        return True
    for each in (folder, *folder.parents):
        found = each.lstat()
        is_trusted = stat.S_ISDIR(found.st_mode) and found.st_uid in (0, os.geteuid())
        # Where the sticky bit is set, as for /tmp, each can only move what is his own.
        is_open = found.st_mode & _OTHERS_WRITE and not found.st_mode & stat.S_ISVTX
        if not is_trusted or is_open:
            return False
    return True


def _put(members: zipfile.ZipFile, member: zipfile.ZipInfo, folder: Path) -> None:
    """See to it that a file is there as it is in the archive."""
    # No Path: it takes its time, 700 times.
    path = os.path.join(folder, member.filename)  # noqa: PTH118
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123
            content = file.read()
    except FileNotFoundError:
        if _make(path, members.read(member)):
            return
    else:
        if len(content) == member.file_size and zlib.crc32(content) == member.CRC:
            return
    _mend(Path(path), members.read(member))


def _make(path: str, content: bytes) -> bool:
    """Write a file that is not there. False: now it is.

    Who comes across the half of it puts a whole one in its place, and nobody writes into that: so
    it needs no other name first, which would take twice as long. A kill leaves the half, which the
    next start mends.
    """
    try:
        handle = _opened_new(path)
    except FileExistsError:  # somebody starts at the same time
        return False
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
    except BaseException:
        os.unlink(path)  # noqa: PTH108
        raise
    return True


def _opened_new(path: str) -> int:
    try:
        return os.open(path, _NEW, mode=0o600)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)  # noqa: PTH103, PTH120
        return os.open(path, _NEW, mode=0o600)


def _mend(path: Path, content: bytes) -> None:
    """Put a whole file in the place of what is there, which somebody may be reading."""
    handle, name = tempfile.mkstemp(prefix=".", suffix=".draft", dir=path.parent)
    draft = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
