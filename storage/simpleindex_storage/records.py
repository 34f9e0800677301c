"""Records as JSON values: how the journal and the catalog write them down."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from .model import (
    ApiToken,
    Attachment,
    AttachmentKind,
    Delivery,
    DistFile,
    Event,
    Fields,
    Index,
    IndexSettings,
    JsonValue,
    LogEntry,
    MirrorSettings,
    Project,
    ProjectStatus,
    Release,
    StageSettings,
    TokenAction,
    User,
)
from .names import FilePlace, IndexName, UserName

_MIRROR_KEYS = (
    "mirror_url",
    "mirror_web_url_fmt",
    "mirror_cache_expiry_seconds",
    "mirror_no_project_list",
    "mirror_use_external_urls",
    "mirror_ignore_serial_header",
    "mirror_provides_core_metadata",
    "min_age_days",
    "min_age_from",
    "offline",
)
_MIRROR_LISTS = ("approved", "allow", "deny", "reserved_names", "file_hosts")


def time_text(time: datetime) -> str:
    """A time as `2026-11-22T13:02:46.123456Z`; such texts sort like the times."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def time_from_text(text: str) -> datetime:
    """The inverse of `time_text`."""
    return datetime.fromisoformat(text)


def user_json(user: User) -> dict[str, JsonValue]:
    """A user, password hash included: journal and catalog are readable by their owner alone."""
    return {
        "name": user.name,
        "password_hash": user.password_hash,
        "password_version": user.password_version,
        "created_at": time_text(user.created_at),
        "modified_at": time_text(user.modified_at) if user.modified_at else None,
        "profile": dict(user.profile),
    }


def user_from_json(value: Mapping[str, Any]) -> User:
    """The inverse of `user_json`."""
    modified_at = value["modified_at"]
    return User(
        name=UserName(value["name"]),
        password_hash=value["password_hash"],
        password_version=value["password_version"],
        created_at=time_from_text(value["created_at"]),
        modified_at=time_from_text(modified_at) if modified_at else None,
        profile=value["profile"],
    )


def token_json(token: ApiToken) -> dict[str, JsonValue]:
    """A token; of its secret only the digest."""
    return {
        "id": token.id,
        "user": token.user,
        "name": token.name,
        "sha256": token.sha256,
        "created_at": time_text(token.created_at),
        "expires_at": time_text(token.expires_at) if token.expires_at else None,
        "actions": list(token.actions),
        "indexes": list(token.indexes),
        "projects": list(token.projects),
    }


def token_from_json(value: Mapping[str, Any]) -> ApiToken:
    """The inverse of `token_json`."""
    expires_at = value["expires_at"]
    return ApiToken(
        id=value["id"],
        user=UserName(value["user"]),
        name=value["name"],
        sha256=value["sha256"],
        created_at=time_from_text(value["created_at"]),
        expires_at=time_from_text(expires_at) if expires_at else None,
        actions=tuple(map(TokenAction, value["actions"])),
        indexes=tuple(value["indexes"]),
        projects=tuple(value["projects"]),
    )


def index_json(index: Index) -> dict[str, JsonValue]:
    """An index with its settings."""
    return {
        "name": index.name,
        "automatic": index.automatic,
        "settings": settings_json(index.settings),
    }


def index_from_json(value: Mapping[str, Any]) -> Index:
    """The inverse of `index_json`; the serial is for the catalog to set."""
    settings = settings_from_json(value["settings"])
    return Index(IndexName(value["name"]), settings, automatic=value["automatic"])


def project_json(project: Project) -> dict[str, JsonValue]:
    """A project, with what its maintainers say of it."""
    return {
        "index": project.index,
        "name": project.name,
        "display_name": project.display_name,
        "status": project.status,
        "status_reason": project.status_reason,
    }


def project_from_json(value: Mapping[str, Any]) -> Project:
    """The inverse of `project_json`; the serial is for the catalog to set."""
    return Project(
        index=IndexName(value["index"]),
        name=value["name"],
        display_name=value["display_name"],
        status=ProjectStatus(value["status"]),
        status_reason=value["status_reason"],
    )


def release_json(release: Release, display_name: str) -> dict[str, JsonValue]:
    """A release, and how its project is spelled."""
    return {
        "index": release.index,
        "project": release.project,
        "display_name": display_name,
        "version": release.version,
        "fields": fields_json(release.fields),
    }


def release_from_json(value: Mapping[str, Any]) -> tuple[Release, str]:
    """The inverse of `release_json`: the release, and how its project is spelled."""
    fields = fields_from_json(value["fields"])
    release = Release(IndexName(value["index"]), value["project"], value["version"], fields)
    return release, value["display_name"]


def file_json(file: DistFile) -> dict[str, JsonValue]:
    """A file of a release."""
    return {
        "index": file.index,
        "project": file.project,
        "version": file.version,
        "filename": file.filename,
        "key": file.key,
        "size_bytes": file.size_bytes,
        "sha256": file.sha256,
        "md5": file.md5,
        "blake2b_256": file.blake2b_256,
        "uploaded_at": time_text(file.uploaded_at),
        "uploaded_by": file.uploaded_by,
        "requires_python": file.requires_python,
        "metadata_sha256": file.metadata_sha256,
        "signature_sha256": file.signature_sha256,
        "provenance_sha256": file.provenance_sha256,
        "yanked": file.yanked,
        "findings": list(file.findings),
        "log": log_json(file.log),
    }


def file_from_json(value: Mapping[str, Any]) -> DistFile:
    """The inverse of `file_json`."""
    return DistFile(
        index=IndexName(value["index"]),
        project=value["project"],
        version=value["version"],
        filename=value["filename"],
        key=value["key"],
        size_bytes=value["size_bytes"],
        sha256=value["sha256"],
        md5=value["md5"],
        blake2b_256=value["blake2b_256"],
        uploaded_at=time_from_text(value["uploaded_at"]),
        uploaded_by=value["uploaded_by"],
        requires_python=value["requires_python"],
        metadata_sha256=value["metadata_sha256"],
        signature_sha256=value["signature_sha256"],
        provenance_sha256=value["provenance_sha256"],
        yanked=value["yanked"],
        findings=tuple(value["findings"]),
        log=log_from_json(value["log"]),
    )


def attachment_json(attachment: Attachment) -> dict[str, JsonValue]:
    """Something that belongs to a release."""
    return {
        "kind": attachment.kind,
        "index": attachment.index,
        "project": attachment.project,
        "version": attachment.version,
        "sha256_prefix": attachment.place.sha256_prefix,
        "filename": attachment.place.filename,
        "size_bytes": attachment.size_bytes,
        "sha256": attachment.sha256,
        "uploaded_at": time_text(attachment.uploaded_at),
        "uploaded_by": attachment.uploaded_by,
        "file_key": attachment.file_key,
        "log": log_json(attachment.log),
    }


def attachment_from_json(value: Mapping[str, Any]) -> Attachment:
    """The inverse of `attachment_json`."""
    index = IndexName(value["index"])
    return Attachment(
        kind=AttachmentKind(value["kind"]),
        index=index,
        project=value["project"],
        version=value["version"],
        place=FilePlace(index, value["sha256_prefix"], value["filename"]),
        size_bytes=value["size_bytes"],
        sha256=value["sha256"],
        uploaded_at=time_from_text(value["uploaded_at"]),
        uploaded_by=value["uploaded_by"],
        file_key=value["file_key"],
        log=log_from_json(value["log"]),
    )


def delivery_json(delivery: Delivery) -> dict[str, JsonValue]:
    """What came together."""
    return {
        "taken_at": time_text(delivery.taken_at),
        "taken_by": delivery.taken_by,
        "subject": delivery.subject,
        "undone_serial": delivery.undone_serial,
        "document": dict(delivery.document),
    }


def delivery_from_json(value: Mapping[str, Any]) -> Delivery:
    """The inverse of `delivery_json`; the serial is for the catalog to set."""
    return Delivery(
        taken_at=time_from_text(value["taken_at"]),
        taken_by=value["taken_by"],
        subject=value["subject"],
        undone_serial=value["undone_serial"],
        document=dict(value["document"]),
    )


def place_json(place: FilePlace) -> dict[str, JsonValue]:
    """Where a file lies."""
    return {
        "index": place.index,
        "sha256_prefix": place.sha256_prefix,
        "filename": place.filename,
    }


def place_from_json(value: Mapping[str, Any]) -> FilePlace:
    """The inverse of `place_json`."""
    return FilePlace(IndexName(value["index"]), value["sha256_prefix"], value["filename"])


def log_json(log: Sequence[LogEntry]) -> list[JsonValue]:
    """The history of a file."""
    return [
        {
            "what": entry.what,
            "who": entry.who,
            "when": time_text(entry.when),
            "source": entry.source,
            "target": entry.target,
            "count": entry.count,
        }
        for entry in log
    ]


def log_from_json(value: Sequence[Mapping[str, Any]]) -> tuple[LogEntry, ...]:
    """The inverse of `log_json`."""
    return tuple(
        LogEntry(
            what=Event(entry["what"]),
            who=entry["who"],
            when=time_from_text(entry["when"]),
            source=entry["source"],
            target=entry["target"],
            count=entry["count"],
        )
        for entry in value
    )


def fields_json(fields: Fields) -> dict[str, JsonValue]:
    """Metadata fields; several values become a list."""
    return {
        name: list(value) if isinstance(value, tuple) else value for name, value in fields.items()
    }


def fields_from_json(value: Mapping[str, Any]) -> Fields:
    """The inverse of `fields_json`."""
    return {
        name: tuple(entry) if isinstance(entry, list) else entry for name, entry in value.items()
    }


def settings_json(settings: IndexSettings) -> dict[str, JsonValue]:
    """The settings of an index; `type` tells which kind."""
    if isinstance(settings, MirrorSettings):
        mirror: dict[str, JsonValue] = {"type": "mirror", "volatile": settings.volatile}
        mirror |= {key: getattr(settings, key) for key in _MIRROR_KEYS}
        mirror |= {key: list(getattr(settings, key)) for key in _MIRROR_LISTS}
        mirror |= {"acl_read": list(settings.acl_read), "challenge": settings.challenge}
        return mirror | {"extra": dict(settings.extra)}
    return {
        "type": "stage",
        "volatile": settings.volatile,
        "bases": list(settings.bases),
        "acl_upload": list(settings.acl_upload),
        "acl_project_upload": {
            pattern: list(names) for pattern, names in settings.acl_project_upload.items()
        },
        "acl_read": list(settings.acl_read),
        "challenge": settings.challenge,
        "acl_toxresult_upload": list(settings.acl_toxresult_upload),
        "mirror_whitelist": list(settings.mirror_whitelist),
        "mirror_whitelist_inheritance": settings.mirror_whitelist_inheritance,
        "strict_archives": settings.strict_archives,
        "extra": dict(settings.extra),
    }


def settings_from_json(value: Mapping[str, Any]) -> IndexSettings:
    """The inverse of `settings_json`. What older versions did not know has its default."""
    if value["type"] == "mirror":
        mirror_values = {key: value[key] for key in _MIRROR_KEYS if key in value}
        mirror_values |= {key: tuple(value[key]) for key in _MIRROR_LISTS if key in value}
        return MirrorSettings(
            volatile=value["volatile"],
            acl_read=tuple(value["acl_read"]),
            challenge=value["challenge"],
            extra=value["extra"],
            **mirror_values,
        )
    return StageSettings(
        volatile=value["volatile"],
        bases=tuple(IndexName(base) for base in value["bases"]),
        acl_upload=tuple(value["acl_upload"]),
        acl_project_upload={
            pattern: tuple(names) for pattern, names in value["acl_project_upload"].items()
        },
        acl_read=tuple(value["acl_read"]),
        challenge=value["challenge"],
        acl_toxresult_upload=tuple(value["acl_toxresult_upload"]),
        mirror_whitelist=tuple(value["mirror_whitelist"]),
        mirror_whitelist_inheritance=value["mirror_whitelist_inheritance"],
        strict_archives=value["strict_archives"],
        extra=value["extra"],
    )
