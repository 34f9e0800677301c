"""The JSON that public indexes have of a project and of a release, as tools read it.

Renovate takes versions and times from `releases`, pip-tools digests from there and bandersnatch
all files; pip-audit asks for a release. Their code relies on every key being there.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from packaging.version import Version

from simpleindex.wire.links import label_and_url, with_followable_links
from simpleindex.wire.simple_page import PageDepth, relative_url
from simpleindex_storage.model import DistFile, Fields, JsonValue
from simpleindex_storage.names import DistKind, IndexName, ProjectName

MEDIA_TYPE = "application/json"

_NO_DOWNLOADS: Mapping[str, JsonValue] = {"last_day": -1, "last_month": -1, "last_week": -1}
"""Not counted; public indexes say so too."""

_TEXTS = (
    "author", "author_email", "description", "description_content_type", "download_url",
    "home_page", "keywords", "license", "license_expression", "maintainer", "maintainer_email",
    "requires_python", "summary",
)  # fmt: skip
"""Fields that have the same name there as in upload forms."""


@dataclass(frozen=True, slots=True)
class OfferedRelease:
    """A release that clients can install: it has a file."""

    version: str
    files: tuple[DistFile, ...]
    """In the order in which they are shown; never none."""

    @property
    def is_yanked(self) -> bool:
        """Whether all of it is."""
        return all(file.yanked is not None for file in self.files)

    @property
    def yanked_reason(self) -> str | None:
        """The first that is given."""
        if not self.is_yanked:
            return None
        return next((file.yanked for file in self.files if file.yanked), None)


@dataclass(frozen=True, slots=True)
class ProjectDocument:
    """What is told of a project, and of one of its releases in detail."""

    root_url: str
    """Under which the client sees us; without a slash at its end."""
    index: IndexName
    project: ProjectName
    display_name: str
    release: OfferedRelease
    fields: Fields
    """What the author says of the release."""
    releases: tuple[OfferedRelease, ...] | None
    """All of the project; None where only the one was asked for."""
    serial: int
    """Of the last change to the project."""


def releases_of(files: Iterable[DistFile]) -> tuple[OfferedRelease, ...]:
    """Files by release, the oldest version first. `1.0` and `1.0.0` are one (PEP 440)."""
    by_version: dict[Version, list[DistFile]] = {}
    for file in files:
        by_version.setdefault(Version(file.version), []).append(file)
    return tuple(
        OfferedRelease(by_version[version][0].version, tuple(by_version[version]))
        for version in sorted(by_version)
    )


def latest(releases: Iterable[OfferedRelease]) -> OfferedRelease | None:
    """The one to recommend: not yanked if possible, then no pre-release, then the newest."""

    def rank(release: OfferedRelease) -> tuple[bool, bool, Version]:
        version = Version(release.version)
        return not release.is_yanked, not version.is_prerelease, version

    return max(releases, key=rank, default=None)


def render(document: ProjectDocument) -> bytes:
    """The document in UTF-8."""
    content: dict[str, JsonValue] = {
        "info": _info(document),
        "last_serial": document.serial,
    }
    if document.releases is not None:
        content["releases"] = {
            release.version: _files(release, document.root_url) for release in document.releases
        }
    content["urls"] = _files(document.release, document.root_url)
    content["vulnerabilities"] = []
    return encoded(content)


def encoded(content: JsonValue) -> bytes:
    """JSON in UTF-8. Half a surrogate pair, which has no encoding, becomes a question mark."""
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")


def _info(document: ProjectDocument) -> dict[str, JsonValue]:
    fields, release = with_followable_links(document.fields), document.release
    project_url = f"{document.root_url}/{document.index}/{document.project}/"
    info: dict[str, JsonValue] = {name: _text(fields, name) for name in _TEXTS}
    info |= {
        "bugtrack_url": None,
        "classifiers": _list(fields, "classifiers"),
        "docs_url": None,
        "downloads": dict(_NO_DOWNLOADS),
        "dynamic": _list(fields, "dynamic") or None,
        "license_files": _list(fields, "license_file") or None,
        "name": document.display_name,
        "package_url": project_url,
        "platform": ", ".join(_values(fields, "platform")) or None,
        "project_url": project_url,
        "project_urls": _project_urls(fields),
        "provides_extra": _list(fields, "provides_extras") or None,
        "release_url": project_url,  # a release has no page of its own
        "requires_dist": _list(fields, "requires_dist") or None,
        "version": release.version,
        "yanked": release.is_yanked,
        "yanked_reason": release.yanked_reason,
    }
    return dict(sorted(info.items()))


def _project_urls(fields: Fields) -> JsonValue:
    """By label. The two links that have fields of their own are among them, as people expect."""
    urls: dict[str, JsonValue] = dict(map(label_and_url, _values(fields, "project_urls")))
    for label, name in (("Homepage", "home_page"), ("Download", "download_url")):
        own_link = _text(fields, name)
        if own_link is not None:
            urls.setdefault(label, own_link)
    return urls


def _files(release: OfferedRelease, root_url: str) -> JsonValue:
    return [_file(file, root_url) for file in release.files]


def _file(file: DistFile, root_url: str) -> JsonValue:
    kind, python_version = _kind(file.filename)
    is_announced = kind is DistKind.WHEEL and file.metadata_sha256 is not None
    below_index = relative_url(file.place, index=file.index, depth=PageDepth(0))
    digests = {"blake2b_256": file.blake2b_256, "md5": file.md5, "sha256": file.sha256}
    return {
        "comment_text": "",
        "core-metadata": {"sha256": file.metadata_sha256} if is_announced else False,
        # Of a mirror's file only those that upstream tells are known.
        "digests": {name: digest for name, digest in digests.items() if digest},
        "downloads": -1,
        "filename": file.filename,
        "has_sig": file.signature_sha256 is not None,
        "md5_digest": file.md5,
        "packagetype": kind,
        "python_version": python_version,
        "requires_python": file.requires_python,
        "size": file.size_bytes,
        "upload_time": _utc(file.uploaded_at, "seconds"),  # bandersnatch wants no zone there
        "upload_time_iso_8601": _utc(file.uploaded_at, "microseconds") + "Z",
        "url": f"{root_url}/{file.index}/{below_index}",
        "yanked": file.yanked is not None,
        "yanked_reason": file.yanked or None,
    }


def _kind(filename: str) -> tuple[DistKind, str]:
    """What kind of file it is, and for which Python, as upload forms have it (`pyversion`)."""
    stem, _, ending = filename.rpartition(".")
    match ending:
        case "whl":
            return DistKind.WHEEL, stem.split("-")[-3]
        case "egg":
            return DistKind.EGG, stem.split("-")[2].removeprefix("py")
        case _:
            return DistKind.SDIST, "source"


def _utc(moment: datetime, timespec: str) -> str:
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec=timespec)


def _text(fields: Fields, name: str) -> str | None:
    value = fields.get(name)
    return value if isinstance(value, str) else None


def _values(fields: Fields, name: str) -> tuple[str, ...]:
    value = fields.get(name, ())
    return (value,) if isinstance(value, str) else value


def _list(fields: Fields, name: str) -> list[JsonValue]:
    return list(_values(fields, name))
