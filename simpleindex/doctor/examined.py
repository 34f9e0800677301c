"""Everything that the checks judge, as records; `examine` fills them. Nothing is changed by that.

But for two small files that are made in the server directory and removed again, to see what its
disk can do.
"""

import errno
import importlib.metadata
import os
import shutil
import socket
import sqlite3
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

from packaging.requirements import Requirement

from simpleindex.config import Config, ConfigError
from simpleindex.initialise import PASSWORD_FILE
from simpleindex.serving.tls import tls_of
from simpleindex.upstream.pip_index import find_pip_index
from simpleindex_storage.backup.last import LastBackup, read_last_backup
from simpleindex_storage.errors import StoreError
from simpleindex_storage.fsck import catalog as catalog_check
from simpleindex_storage.fsck.reading import CatalogReader
from simpleindex_storage.fsck.surroundings import open_to_others
from simpleindex_storage.model import ApiToken, Index, MirrorSettings, User
from simpleindex_storage.opening import FolderState, state_of
from simpleindex_storage.processes import living
from simpleindex_storage.records import time_from_text
from simpleindex_storage.sqlite_file import damage_at_first_sight

_DISTRIBUTION = "simpleindex-server"
_CONNECT_SECONDS = 3.0
_MOUNTS = Path("/proc/self/mounts")

if sys.platform == "win32":

    def _open_files_max() -> int | None:
        return None

else:
    import resource

    def _open_files_max() -> int | None:
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        return None if limit == resource.RLIM_INFINITY else limit


@dataclass(frozen=True, slots=True)
class Package:
    """What our own distribution asks for, and what is installed."""

    name: str
    wanted: Requirement
    version: str | None


@dataclass(frozen=True, slots=True)
class Machine:
    """What the program runs on."""

    python: tuple[int, int, int]
    sqlite: tuple[int, ...]
    packages: tuple[Package, ...]
    has_argon2: bool
    open_files_max: int | None
    """None: nobody says."""


@dataclass(frozen=True, slots=True)
class Directory:
    """The server directory, as a place on a disk."""

    path: Path
    state: FolderState | None
    """None: it cannot be looked into."""
    is_there: bool
    is_its_owners: bool
    """Whether it belongs to the user who asks."""
    filesystem: str | None
    """In the system's word; None: it does not say."""
    free_bytes: int
    free_inodes: int | None
    has_links: bool | None
    """Whether a file can have two names; None: that could not be tried."""
    is_synced: bool | None
    ignores_case: bool | None
    open_to_others: tuple[str, ...]
    is_in_use: bool
    """A living process has it open."""
    wal_bytes: int
    has_ballast: bool
    has_first_password: bool
    last_backup: LastBackup | None


@dataclass(frozen=True, slots=True)
class Known:
    """What the catalog says."""

    damage: tuple[str, ...]
    users: tuple[User, ...] = ()
    tokens: tuple[ApiToken, ...] = ()
    indexes: tuple[Index, ...] = ()
    newest_at: datetime | None = None
    """When the last file came."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """What HTTPS is to be served with."""

    fault: str | None = None
    """Why the server would not start with it."""
    warnings: tuple[str, ...] = ()
    """Why clients refuse it, or soon will."""


@dataclass(frozen=True, slots=True)
class Upstream:
    """What a mirror shows."""

    index: str
    host: str | None
    """None: that of pip."""
    is_reached: bool | None
    """None: nobody has tried."""


@dataclass(frozen=True, slots=True)
class Examined:
    """Everything."""

    now: datetime
    config: Config
    variables: Mapping[str, str]
    """The environment."""
    machine: Machine
    directory: Directory
    known: Known | None
    """None: there is no catalog that this user could read."""
    is_answered: bool
    """Whether somebody listens where the server would."""
    certificate: Certificate | None
    """None: the settings name none."""
    upstreams: tuple[Upstream, ...]


def examine(
    config: Config, variables: Mapping[str, str], now: datetime, *, is_online: bool = False
) -> Examined:
    """Look at everything. Only `is_online` connects to other machines."""
    directory = _directory(config.serverdir)
    known = None
    if directory.state is FolderState.OURS and directory.is_its_owners:
        known = _known(config.serverdir)
    return Examined(
        now=now,
        config=config,
        variables=variables,
        machine=_machine(),
        directory=directory,
        known=known,
        is_answered=_is_answered(config),
        certificate=_certificate(config),
        upstreams=tuple(_upstreams(config, variables, known, is_online=is_online)),
    )


def _machine() -> Machine:
    return Machine(
        python=sys.version_info[:3],
        sqlite=sqlite3.sqlite_version_info,
        packages=tuple(_packages()),
        has_argon2=_version_of("argon2-cffi") is not None,
        open_files_max=_open_files_max(),
    )


def _packages() -> Iterator[Package]:
    try:
        wanted = importlib.metadata.requires(_DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:  # run out of a source tree
        return
    for requirement in map(Requirement, wanted):
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield Package(requirement.name, requirement, _version_of(requirement.name))


def _version_of(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _directory(root: Path) -> Directory:
    try:
        state: FolderState | None = state_of(root)
    except StoreError:
        state = None
    is_ours = state is FolderState.OURS
    is_its_owners = not hasattr(os, "getuid") or not root.exists() or _is_mine(root)
    there = next(path for path in (root, *root.parents) if path.exists())
    has_links = is_synced = ignores_case = None
    may_look = is_ours and is_its_owners
    if may_look:
        has_links, is_synced, ignores_case = _tried(root)
    wal = root / "catalog.sqlite-wal"
    return Directory(
        path=root,
        state=state,
        is_there=root.exists(),
        is_its_owners=is_its_owners,
        filesystem=_filesystem(there),
        free_bytes=shutil.disk_usage(there).free,
        free_inodes=_free_inodes(there),
        has_links=has_links,
        is_synced=is_synced,
        ignores_case=ignores_case,
        open_to_others=tuple(
            f"{each.path} {each.what}" for each in (open_to_others(root) if may_look else ())
        ),
        is_in_use=may_look and bool(living(root / "incoming")),
        wal_bytes=wal.stat().st_size if may_look and wal.is_file() else 0,
        has_ballast=may_look and (root / "ballast").is_file(),
        has_first_password=may_look and (root / PASSWORD_FILE).is_file(),
        last_backup=read_last_backup(root) if may_look else None,
    )


def _is_mine(root: Path) -> bool:
    return root.stat().st_uid == os.getuid()


def _tried(root: Path) -> tuple[bool | None, bool | None, bool | None]:
    """Whether files can have two names there, can be synced, and are found in any case."""
    name = root / f"doctor-{os.getpid()}"
    second = root / f"{name.name}-second"
    try:
        with name.open("xb") as file:
            file.write(b"tried")
            file.flush()
            is_synced = True
            try:
                os.fsync(file.fileno())
            except OSError:
                is_synced = False
        ignores_case = name.with_name(name.name.upper()).exists()
        try:
            second.hardlink_to(name)
            has_links = True
        except OSError as failure:
            if failure.errno == errno.ENOSPC:
                raise
            has_links = False
    except OSError:  # no room, say, of which other checks tell
        return None, None, None
    finally:
        for path in (name, second):
            with suppress(OSError):
                path.unlink(missing_ok=True)
    return has_links, is_synced, ignores_case


def _filesystem(path: Path) -> str | None:
    """The kind of filesystem that a path lies on, as Linux names it."""
    try:
        lines = _MOUNTS.read_text("utf-8", "replace").splitlines()
    except OSError:
        return None
    found, kind = "", None
    resolved = path.resolve()
    for line in lines:
        _, mounted, each, *_ = line.split(" ")
        point = mounted.encode().decode("unicode_escape")  # a space is \040 there
        if resolved.is_relative_to(point) and len(point) >= len(found):
            found, kind = point, each
    return kind


def _free_inodes(path: Path) -> int | None:
    if not hasattr(os, "statvfs"):
        return None
    stated = os.statvfs(path)
    return stated.f_favail if stated.f_files else None  # some have no fixed number of them


def _known(root: Path) -> Known:
    path = root / "catalog.sqlite"
    try:
        damage = damage_at_first_sight(path)
        if damage is not None:
            return Known((f"is damaged: {damage}",))
        with closing(CatalogReader(path)) as reader:
            found = [*catalog_check.damage(reader, is_quick=True)]
            with reader.rows() as connection:
                (newest,) = connection.execute("SELECT max(uploaded_at) FROM files").fetchone()
            with reader.snapshot() as seen:
                users = seen.users()
                return Known(
                    damage=tuple(each.what for each in found),
                    users=users,
                    tokens=tuple(token for user in users for token in seen.tokens(user.name)),
                    indexes=seen.indexes(),
                    newest_at=None if newest is None else time_from_text(newest),
                )
    except (StoreError, ValueError, KeyError, TypeError) as failure:
        return Known((f"cannot be read: {failure}",))


def _is_answered(config: Config) -> bool:
    """Whether anybody listens at the first of our addresses, on this machine."""
    host, port = config.addresses[0]
    if port == 0:
        return False
    here = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    return _is_reached(here, port)


def _certificate(config: Config) -> Certificate | None:
    try:
        tls = tls_of(config)
    except ConfigError as failure:
        return Certificate(fault=str(failure))
    return None if tls is None else Certificate(warnings=tls.warnings)


def _is_reached(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), _CONNECT_SECONDS).close()
    except (OSError, UnicodeError):
        return False
    return True


def _upstreams(
    config: Config, variables: Mapping[str, str], known: Known | None, *, is_online: bool
) -> Iterator[Upstream]:
    mirrors = [
        (index.name, index.settings.mirror_url or config.upstream_url)
        for index in (known.indexes if known else ())
        if isinstance(index.settings, MirrorSettings)
    ]
    default = None
    if is_online and any(url is None for _, url in mirrors):
        found = find_pip_index(variables)
        default = None if found is None else found.url
    for name, url in mirrors:
        parts = urlsplit(url or default or "")
        port = parts.port or (443 if parts.scheme == "https" else 80)
        is_reached = None
        if is_online:
            is_reached = parts.hostname is not None and _is_reached(parts.hostname, port)
        yield Upstream(name, parts.hostname, is_reached)
