"""What we know beyond what devpi-server's dumps can say: a file beside theirs."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from simpleindex_storage import records
from simpleindex_storage.errors import Refused
from simpleindex_storage.model import (
    Attachment,
    DistFile,
    Index,
    JsonValue,
    Project,
    ProjectStatus,
    User,
)
from simpleindex_storage.names import (
    UserName,
    parse_index_name,
    parse_project_name,
    parse_user_name,
)

from .records import SIDE_FILE, FileFacts
from .values import as_list, as_object, as_text, is_sound, parse_json_object

_FORMAT = "simpleindex-server export"
_VERSION = 1


@dataclass(frozen=True, slots=True)
class SideFacts:
    """Facts by what they are about; all empty for a dump of devpi-server."""

    users: Mapping[str, User] = field(default_factory=dict)
    indexes: Mapping[str, Index] = field(default_factory=dict)
    projects: Mapping[tuple[str, str], Project] = field(default_factory=dict)
    """By index and project."""
    files: Mapping[str, FileFacts] = field(default_factory=dict)
    """By relpath; of attachments too."""


def parse_side_file(raw: bytes) -> SideFacts:
    """The facts. Raises Refused for anything that we cannot have written."""
    content = parse_json_object(raw, SIDE_FILE)
    if content.get("format") != _FORMAT or content.get("version") != _VERSION:
        raise Refused(
            SIDE_FILE, "it is not one of simpleindex-server's, or one of a newer version's"
        )
    if not is_sound(content):
        raise Refused(SIDE_FILE, "it holds text or numbers that are none")
    try:
        return SideFacts(
            users={user.name: user for user in map(_user, as_list(content["users"]))},
            indexes={index.name: index for index in map(_index, as_list(content["indexes"]))},
            projects={
                (project.index, project.name): project
                for project in map(_project, as_list(content["projects"]))
            },
            files={path: _facts(told) for path, told in as_object(content["files"]).items()},
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise Refused(SIDE_FILE, f"it is damaged ({error!r:.100})") from None


def side_file(
    users: Iterable[User],
    indexes: Iterable[Index],
    projects: Iterable[Project],
    files: Mapping[str, DistFile | Attachment],
) -> bytes:
    """The inverse of `parse_side_file`; `files` by relpath."""
    content: dict[str, JsonValue] = {
        "format": _FORMAT,
        "version": _VERSION,
        "users": [records.user_json(user) for user in users],
        "indexes": [records.index_json(index) for index in indexes],
        "projects": [records.project_json(project) for project in projects],
        "files": {path: _facts_json(file) for path, file in files.items()},
    }
    return json.dumps(content, indent=1).encode()


def _user(told: Mapping[str, Any]) -> User:
    modified_at = told["modified_at"]
    return User(
        name=parse_user_name(told["name"]),
        password_hash=_text(told["password_hash"]),
        password_version=int(told["password_version"]),
        created_at=records.time_from_text(told["created_at"]),
        modified_at=records.time_from_text(modified_at) if modified_at else None,
        profile=dict(told["profile"]),
    )


def _index(told: Mapping[str, Any]) -> Index:
    settings = records.settings_from_json(told["settings"])
    return Index(parse_index_name(told["name"]), settings, automatic=bool(told["automatic"]))


def _project(told: Mapping[str, Any]) -> Project:
    reason = told["status_reason"]
    return Project(
        index=parse_index_name(told["index"]),
        name=parse_project_name(told["name"]),
        display_name=_text(told["display_name"]),
        status=ProjectStatus(told["status"]),
        status_reason=None if reason is None else _text(reason),
    )


def _facts(told: Mapping[str, Any]) -> FileFacts:
    yanked = told["yanked"]
    return FileFacts(
        uploaded_at=records.time_from_text(told["uploaded_at"]),
        uploaded_by=UserName(_text(told["uploaded_by"])),
        log=records.log_from_json(told["log"]),
        yanked=None if yanked is None else _text(yanked),
        has_signature=told["has_signature"] is True,
        has_provenance=told["has_provenance"] is True,
    )


def _facts_json(file: DistFile | Attachment) -> dict[str, JsonValue]:
    facts: dict[str, JsonValue] = {
        "uploaded_at": records.time_text(file.uploaded_at),
        "uploaded_by": file.uploaded_by,
        "log": records.log_json(file.log),
        "yanked": None,
        "has_signature": False,
        "has_provenance": False,
    }
    if isinstance(file, DistFile):
        facts["yanked"] = file.yanked
        facts["has_signature"] = file.signature_sha256 is not None
        facts["has_provenance"] = file.provenance_sha256 is not None
    return facts


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("a text is needed")
    return as_text(value)
