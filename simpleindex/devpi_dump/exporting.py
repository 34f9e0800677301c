"""Writing a dump that devpi-import takes, and that we take back without a loss.

The text that makes the folder a dump comes last: what was interrupted is none.
"""

import json
import os
import secrets
import shutil
import sys
from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import cast

from simpleindex import argon2_hashes
from simpleindex.secrets_in_urls import without_account
from simpleindex.version import __version__
from simpleindex_storage.durable import sync_file, sync_folder, unavailable_on_failure, write_file
from simpleindex_storage.errors import NotStored, Refused
from simpleindex_storage.model import (
    Attachment,
    AttachmentKind,
    DistFile,
    Index,
    JsonValue,
    MirrorSettings,
    Project,
    Release,
    Sidecar,
    User,
)
from simpleindex_storage.names import IndexName, owner_of
from simpleindex_storage.ports import Snapshot
from simpleindex_storage.records import fields_json
from simpleindex_storage.store import Store

from .records import DATA_FILE, SIDE_FILE, UNUSABLE_HASH
from .settings import settings_json
from .side_file import side_file
from .values import http_time_text, log_json, time_text

_SIDECARS = (Sidecar.SIGNATURE, Sidecar.PROVENANCE)


@dataclass(frozen=True, slots=True)
class Exported:
    """What a dump has got."""

    files_count: int
    attachments_count: int
    without_password: tuple[str, ...]
    """Users who cannot log in to a devpi-server that takes it: it does not know their hashes."""
    bare_mirrors: tuple[IndexName, ...]
    """Mirrors whose user and password at their upstream were left out."""
    missing: tuple[str, ...]
    """Files that are not in the store: removed while the dump was being written, or lost."""


def write_dump(
    store: Store,
    files: Path,
    target: Path,
    *,
    indexes: Sequence[IndexName] = (),
    hard_links: bool = False,
    with_secrets: bool = False,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> Exported:
    """Write everything, or some indexes and their users, into a folder that is new or empty.

    Hashes of passwords, and passwords in the URLs of mirrors, only `with_secrets`.
    `files` is where the store keeps its files; `progress` is told how many of them are done, and
    how many there are. On the disk once this returns. Raises Refused, NotStored (an
    index), Unavailable.
    """
    with unavailable_on_failure(f"{target} cannot be written"):
        target.mkdir(parents=True, exist_ok=True)
        if any(target.iterdir()):
            raise Refused(str(target), "the folder is not empty; name one that is, or a new one")
        target.chmod(0o700)  # it may have secrets, and names indexes that not everybody may see
        with store.catalog.snapshot() as seen:
            gathered = _gather(seen, indexes)
        bare_mirrors = [] if with_secrets else _without_secrets(gathered)
        missing = _place_all(gathered, files, target, hard_links, progress)
        kept = _without(gathered, missing)
        side = side_file(gathered.users, gathered.indexes, gathered.projects, kept)
        _sync_all(target)
        write_file(target / SIDE_FILE, side)
        write_file(target / DATA_FILE, _data(gathered, kept))
    return Exported(
        files_count=sum(1 for file in kept.values() if isinstance(file, DistFile)),
        attachments_count=sum(1 for file in kept.values() if isinstance(file, Attachment)),
        without_password=tuple(
            user.name for user in gathered.users if not argon2_hashes.is_argon2(user.password_hash)
        ),
        bare_mirrors=tuple(bare_mirrors),
        missing=tuple(missing),
    )


@dataclass(slots=True)
class _Gathered:
    """What goes into a dump, as it stood at one moment."""

    users: list[User] = field(default_factory=list)
    indexes: list[Index] = field(default_factory=list)
    projects: list[Project] = field(default_factory=list)
    releases: list[Release] = field(default_factory=list)
    files: dict[str, DistFile | Attachment] = field(default_factory=dict)
    """By relpath."""
    tested: dict[str, DistFile] = field(default_factory=dict)
    """What a result is about, by the relpath of the result."""


def _gather(seen: Snapshot, names: Sequence[IndexName]) -> _Gathered:
    gathered = _Gathered()
    known = {index.name: index for index in seen.indexes()}
    for name in names:
        if name not in known:
            raise NotStored(f"index {name}", f"these are there: {', '.join(known)}")
    owners = {owner_of(name) for name in names or known}
    gathered.users = [user for user in seen.users() if not names or user.name in owners]
    gathered.indexes = [index for index in known.values() if not names or index.name in names]
    for index in gathered.indexes:
        if isinstance(index.settings, MirrorSettings):
            continue
        for project in seen.projects(index.name):
            gathered.projects.append(project)
            gathered.releases += seen.releases(index.name, project.name)
            _gather_files(seen, project, gathered)
    return gathered


def _without_secrets(gathered: _Gathered) -> list[IndexName]:
    """Leave out whatever lets somebody in; the mirrors that lose a password by that."""
    gathered.users = [replace(user, password_hash=UNUSABLE_HASH) for user in gathered.users]
    bare = []
    for number, index in enumerate(gathered.indexes):
        settings = index.settings
        if isinstance(settings, MirrorSettings) and settings.mirror_url is not None:
            url = without_account(settings.mirror_url)
            if url != settings.mirror_url:
                bare.append(index.name)
                settings = replace(settings, mirror_url=url)
        # Settings of plugins that came from a devpi-server: names of all kinds, URLs at the best.
        extra = _without_accounts(settings.extra)
        assert isinstance(extra, dict)
        gathered.indexes[number] = replace(index, settings=replace(settings, extra=extra))
    return bare


def _without_accounts(value: object) -> JsonValue:
    """JSON, without users and passwords in its URLs."""
    match value:
        case str():
            return without_account(value)
        case dict() | MappingProxyType():
            return {key: _without_accounts(each) for key, each in value.items()}
        case list() | tuple():
            return [_without_accounts(each) for each in value]
        case _:
            return cast("JsonValue", value)


def _gather_files(seen: Snapshot, project: Project, gathered: _Gathered) -> None:
    by_key = {}
    folder = f"{project.index}/{project.name}"
    for file in seen.files(project.index, project.name):
        by_key[file.key] = file
        gathered.files[f"{folder}/{file.version}/{file.filename}"] = file
    for attachment in seen.attachments(project.index, project.name):
        if attachment.kind is AttachmentKind.DOCUMENTATION:
            gathered.files[f"{folder}-{attachment.version}.doc.zip"] = attachment
        else:
            tested = by_key[attachment.file_key or ""]
            path = f"{folder}/sha256={tested.sha256}/{attachment.place.filename}"
            gathered.files[path] = attachment
            gathered.tested[path] = tested


def _without(gathered: _Gathered, missing: Sequence[str]) -> dict[str, DistFile | Attachment]:
    """The files but for some, and for the results of tests of those: nobody could place them."""
    gone = [gathered.files[path] for path in missing]
    return {
        path: file
        for path, file in gathered.files.items()
        if file not in gone and gathered.tested.get(path) not in gone
    }


def _place_all(
    gathered: _Gathered,
    files: Path,
    target: Path,
    hard_links: bool,
    progress: Callable[[int, int], None],
) -> list[str]:
    """Copy or link all files; those that are not there."""
    missing = []
    for done, (relpath, file) in enumerate(gathered.files.items(), 1):
        source = files / file.place.path
        final = target / relpath
        final.parent.mkdir(parents=True, exist_ok=True)
        try:
            _place(source, final, hard_links)
            if isinstance(file, DistFile):
                for sidecar in _SIDECARS:
                    if file.sha256_of(sidecar) is not None:
                        _place(_beside(source, sidecar), _beside(final, sidecar), hard_links)
        except FileNotFoundError:
            missing.append(relpath)
        progress(done, len(gathered.files))
    return missing


def _place(source: Path, final: Path, hard_links: bool) -> None:
    if hard_links:
        try:
            final.hardlink_to(source)
            return
        except FileNotFoundError:
            raise
        except OSError:  # another disk, or one without links
            pass
    shutil.copyfile(source, final, follow_symlinks=False)


def _beside(path: Path, sidecar: Sidecar) -> Path:
    return path.with_name(path.name + sidecar)


def _sync_all(target: Path) -> None:
    if hasattr(os, "sync"):
        os.sync()  # one call for thousands of files
        return
    for path in target.rglob("*"):
        if path.is_file():
            sync_file(path)
        else:
            sync_folder(path)


def _data(gathered: _Gathered, files: dict[str, DistFile | Attachment]) -> bytes:
    """`dataindex.json`."""
    indexes: dict[str, dict[str, JsonValue]] = {}
    for index in gathered.indexes:
        indexes[index.name] = {"indexconfig": settings_json(index.settings)}
        if not isinstance(index.settings, MirrorSettings):
            indexes[index.name] |= {"projects": {}, "files": []}
    for release in gathered.releases:
        projects = indexes[release.index]["projects"]
        assert isinstance(projects, dict)
        versions = projects.setdefault(release.project, {})
        assert isinstance(versions, dict)
        versions[release.version] = _release_json(release)
    for relpath, file in files.items():
        entries = indexes[file.index]["files"]
        assert isinstance(entries, list)
        entries.append(_file_json(relpath, file, gathered.tested.get(relpath)))
    data = {
        "dumpversion": "2",
        "pythonversion": list(sys.version_info),
        "devpi_server": f"simpleindex-server {__version__}",
        "users": {user.name: _user_json(user) for user in gathered.users},
        "indexes": indexes,
    }
    return json.dumps(data, indent=1).encode()


def _user_json(user: User) -> dict[str, JsonValue]:
    told: dict[str, JsonValue] = {"username": user.name, "created": time_text(user.created_at)}
    if user.modified_at is not None:
        told["modified"] = time_text(user.modified_at)
    has_argon2 = argon2_hashes.is_argon2(user.password_hash)
    # Without a hash devpi-import would give the user an empty password.
    told["pwhash"] = user.password_hash if has_argon2 else _nobodys_argon2()
    return {**user.profile, **told}


def _nobodys_argon2() -> str:
    """A hash of the kind that devpi-server makes, of no password that anybody knows."""
    salt, digest = (
        b64encode(secrets.token_bytes(length)).decode().rstrip("=") for length in (16, 32)
    )
    return f"$argon2id$v=19$m=65536,t=3,p=4${salt}${digest}"


def _release_json(release: Release) -> dict[str, JsonValue]:
    fields = fields_json(release.fields)
    return {**fields, "name": fields.get("name") or release.project, "version": release.version}


def _file_json(
    relpath: str, file: DistFile | Attachment, tested: DistFile | None
) -> dict[str, JsonValue]:
    told: dict[str, JsonValue] = {
        "type": "releasefile" if isinstance(file, DistFile) else str(file.kind),
        "projectname": file.project,
        "version": file.version,
        "relpath": relpath,
        "entrymapping": {
            "last_modified": http_time_text(file.uploaded_at),
            "hash_spec": f"sha256={file.sha256}",
            "hashes": {"sha256": file.sha256},
            "project": file.project,
            "version": file.version,
        },
        "log": log_json(file.log),
    }
    if tested is not None:
        told["for_entrypath"] = tested.place.path
    return told
