"""Versions, the directory and its disk, the clock, processes."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from simpleindex.doctor.examined import Examined
from simpleindex.doctor.finding import Finding, error, note, ok, unsafe
from simpleindex.version import __version__
from simpleindex_storage.opening import FolderState

_PYTHON_MIN = (3, 11)
_SQLITE_MIN = (3, 26)
_BUILT = datetime(2026, 11, 1, tzinfo=UTC)
"""No clock that is right shows an earlier time."""
_CLOCK_SLACK = timedelta(minutes=5)
_OF_NETWORKS = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "9p", "afs", "ceph"}
_THAT_FORGET = {"tmpfs", "ramfs", "overlay"}
_FREE_BYTES_LOW = 256 << 20
_FREE_INODES_LOW = 10_000
_BALLAST_NEEDS_BYTES = 1 << 20
_OPEN_FILES_LOW = 1024
_WAL_BYTES_HIGH = 64 << 20
_BACKUP_IS_OLD = timedelta(days=8)


def versions(seen: Examined) -> Iterator[Finding]:
    """Of us, of Python, of SQLite, and of what we are built on."""
    machine = seen.machine
    python, sqlite = (".".join(map(str, each)) for each in (machine.python, machine.sqlite))
    yield ok("versions", f"simpleindex-server {__version__}, Python {python}, SQLite {sqlite}")
    if machine.python < _PYTHON_MIN:
        yield error("python-old", f"Python {python} is older than 3.11", "install a newer Python")
    if machine.sqlite < _SQLITE_MIN:
        yield error(
            "sqlite-old",
            f"SQLite {sqlite} is older than 3.26",
            "use a Python that was built with a newer one",
        )
    for package in machine.packages:
        if package.version is None:
            yield error(
                "package-missing",
                f"{package.name} is not installed",
                "install simpleindex-server again, with what it needs",
            )
        elif not package.wanted.specifier.contains(package.version, prereleases=True):
            yield unsafe(
                "package-old",
                f"{package.name} {package.version} is installed, and {package.wanted} is needed: "
                "others have known holes, or lack what we call",
                f"`python -m pip install '{package.wanted}'`",
            )


def directory(seen: Examined) -> Iterator[Finding]:
    """Whether it is there, ours, and closed to others."""
    where = seen.directory
    if not where.is_there or where.state is FolderState.EMPTY:
        yield error(
            "directory-missing",
            f"{where.path} is no server directory yet",
            "name yours with --serverdir, or make it: `simpleindex-server init`",
        )
    elif where.state is None:
        yield error("directory-closed", f"{where.path} cannot be read", "ask as its owner")
    elif where.state is FolderState.FOREIGN:
        yield error(
            "directory-foreign",
            f"{where.path} holds other things, and no catalog",
            "name yours with --serverdir; if its catalog was lost, `simpleindex-server rebuild` "
            "makes it anew",
        )
    elif not where.is_its_owners:
        yield error(
            "directory-owner",
            f"{where.path} belongs to another user, so little can be said of it",
            "ask as its owner",
        )
    else:
        yield ok("directory", f"{where.path} is a server directory")
    for each in where.open_to_others:
        yield unsafe(
            "open-to-others",
            f"{each}: other users of this machine may read or write it",
            "`simpleindex-server fsck --repair` takes their rights away",
        )


def disk(seen: Examined) -> Iterator[Finding]:
    """What the disk is, can do, and has room for."""
    where, kind = seen.directory, seen.directory.filesystem
    if kind in _OF_NETWORKS:
        yield error(
            "disk-network",
            f"{where.path} lies on {kind}, and SQLite's locks do not hold there",
            "move it to a disk of this machine: `simpleindex-server backup DEST`, then "
            "`simpleindex-server restore BACKUP --serverdir=NEW`",
        )
    elif kind in _THAT_FORGET:
        yield note(
            "disk-forgets",
            f"{where.path} lies on {kind}, which may be gone with the next start",
            "mount a volume there, unless that is meant",
        )
    else:
        yield ok("disk", f"the disk is {kind or 'of a kind that the system does not tell'}")
    if where.free_bytes < _FREE_BYTES_LOW:
        yield error(
            "disk-full",
            f"{where.free_bytes >> 20} MB are free; uploads are refused when there is no room",
            "make room; `simpleindex-server gc` removes what mirrors have kept over its budget",
        )
    if where.free_inodes is not None and where.free_inodes < _FREE_INODES_LOW:
        yield error(
            "disk-inodes",
            f"the disk has names for {where.free_inodes} more files",
            "remove some, or make the filesystem anew with more inodes",
        )
    if where.has_links is False:
        yield note(
            "disk-links",
            "the disk has no hard links, so the same file in two indexes takes twice the room",
            "nothing, or use another filesystem",
        )
    if where.is_synced is False:
        yield error(
            "disk-sync",
            "the disk refuses to sync, so a power cut may take acknowledged uploads",
            "use another disk",
        )
    if where.ignores_case:
        yield note("disk-case", "the disk takes A and a for one name", "nothing: we know of that")
    is_tight = where.free_bytes < _BALLAST_NEEDS_BYTES  # else the next start sets it aside
    if where.state is FolderState.OURS and not where.has_ballast and is_tight:
        yield note(
            "ballast-missing",
            "no room is set aside for a start on a full disk, and there is none for that",
            "make room; the next start sets it aside",
        )
    if where.wal_bytes > _WAL_BYTES_HIGH:
        yield note(
            "wal-large",
            f"the catalog's write-ahead log has {where.wal_bytes >> 20} MB",
            "restart the server; if it grows again, some program holds the catalog open",
        )


def clock(seen: Examined) -> Iterator[Finding]:
    """Whether the time can be right."""
    newest = seen.known.newest_at if seen.known else None
    if seen.now < _BUILT:
        yield error(
            "clock-past",
            f"the clock shows {seen.now:%Y-%m-%d %H:%M} UTC, before this program was made",
            "set it: logins and tokens expire by it, and https fails",
        )
    elif newest is not None and seen.now < newest - _CLOCK_SLACK:
        yield error(
            "clock-behind",
            f"the clock shows {seen.now:%Y-%m-%d %H:%M} UTC, and a file came at "
            f"{newest:%Y-%m-%d %H:%M}",
            "set it, or wait: it was wrong then, or is now",
        )
    else:
        yield ok("clock", f"it is {seen.now:%Y-%m-%d %H:%M} UTC")


def processes(seen: Examined) -> Iterator[Finding]:
    """Whether the server runs, and has what it needs for that."""
    where, (host, port) = seen.directory, seen.config.addresses[0]
    told = f"{host}:{port}"
    if where.is_in_use and seen.is_answered:
        yield ok("server", f"the server runs, and {told} answers")
    elif where.is_in_use:
        yield note(
            "server-elsewhere",
            f"a process has the directory open, and nobody answers at {told}",
            "if it serves another port, name that with --port",
        )
    elif seen.is_answered:
        yield note(
            "port-taken",
            f"another program answers at {told}",
            "stop it, or choose another port with --port",
        )
    else:
        yield ok("server", f"the server does not run, and {told} is free")
    limit = seen.machine.open_files_max
    if limit is not None and limit < _OPEN_FILES_LOW:
        yield note(
            "open-files",
            f"a process may have {limit} files and connections open",
            "raise it: `ulimit -n 4096`, or LimitNOFILE= in the unit",
        )


def backups(seen: Examined) -> Iterator[Finding]:
    """How old the last one is."""
    if seen.known is None:
        return
    last = seen.directory.last_backup
    if last is None:
        yield note(
            "backup-none",
            "no backup was ever made with `backup`",
            "`simpleindex-server backup DEST`, once a day",
        )
        return
    days = (seen.now.date() - last.made_at.date()).days
    ago = {0: "today", 1: "yesterday"}.get(days, f"{days} days ago")
    what = f"the last backup was made {ago}: {last.path}"
    if seen.now - last.made_at > _BACKUP_IS_OLD:
        yield note("backup-old", what, "find out why there is no newer one")
    else:
        yield ok("backup", what)
