"""Releases and files in devpi's JSON: `versiondata` and `releasefilemeta`."""

from collections.abc import Sequence
from dataclasses import dataclass

from simpleindex.wire.conditional import http_date
from simpleindex.wire.links import with_followable_links
from simpleindex_storage.model import Attachment, DistFile, JsonValue, LogEntry, Release

_FIELDS: dict[str, str | tuple[str, ...]] = {
    "name": "", "version": "", "metadata_version": "", "summary": "", "home_page": "",
    "author": "", "author_email": "", "maintainer": "", "maintainer_email": "", "license": "",
    "description": "", "keywords": "", "platform": (), "classifiers": (), "download_url": "",
    "supported_platform": (), "comment": "", "provides": (), "requires": (), "obsoletes": (),
    "project_urls": (), "provides_dist": (), "obsoletes_dist": (), "requires_dist": (),
    "requires_external": (), "requires_python": "", "description_content_type": "",
    "provides_extras": (), "dynamic": (), "license_expression": "", "license_file": (),
}  # fmt: skip
"""What devpi tells of every release, and how it says that nothing was given."""


@dataclass(frozen=True, slots=True)
class StoredRelease:
    """What one index has of a release."""

    release: Release
    display_name: str
    """Of the project, for a release whose author gives no name."""
    files: tuple[DistFile, ...]
    attachments: tuple[Attachment, ...]


def version_data(
    root_url: str, nearest: StoredRelease, shadowed: Sequence[StoredRelease] = ()
) -> dict[str, JsonValue]:
    """`versiondata`: what the nearest index says of a release, and what further ones do.

    Links begin with `root_url`, which ends without a slash: devpi-client takes for its index's own
    what begins with the URL that discovery has told it.
    """
    data = _fields(nearest)
    links = _links(root_url, nearest)
    if links:
        data["+links"] = links
    if shadowed:
        data["+shadowing"] = [version_data(root_url, each) for each in shadowed]
    return data


def file_meta(stored: DistFile | Attachment) -> dict[str, JsonValue]:
    """`releasefilemeta`: a file without its bytes."""
    return {
        "last_modified": http_date(stored.uploaded_at),
        **_hashes(stored),
        "project": stored.project,
        "version": stored.version,
    }


def _fields(stored: StoredRelease) -> dict[str, JsonValue]:
    told = with_followable_links(stored.release.fields)
    data: dict[str, JsonValue] = {}
    for name, nothing in _FIELDS.items():
        value = told.get(name, nothing)
        data[name] = value if isinstance(value, str) else list(value)
    data["name"] = data["name"] or stored.display_name
    data["version"] = stored.release.version
    return data


def _links(root_url: str, stored: StoredRelease) -> list[JsonValue]:
    hrefs = {file.key: f"{root_url}/{file.place.path}" for file in stored.files}
    links: list[JsonValue] = [
        {"rel": "releasefile", "href": hrefs[file.key], **_hashes(file), "log": _log(file.log)}
        for file in stored.files
    ]
    for attachment in stored.attachments:
        link: dict[str, JsonValue] = {
            "rel": attachment.kind,
            "href": f"{root_url}/{attachment.place.path}",
            **_hashes(attachment),
        }
        if attachment.file_key is not None:
            link["for_href"] = hrefs.get(attachment.file_key)
        links.append(link | {"log": _log(attachment.log)})
    return links


def _hashes(stored: DistFile | Attachment) -> dict[str, JsonValue]:
    return {"hash_spec": f"sha256={stored.sha256}", "hashes": {"sha256": stored.sha256}}


def _log(entries: Sequence[LogEntry]) -> list[JsonValue]:
    return [_log_entry(entry) for entry in entries]


def _log_entry(entry: LogEntry) -> dict[str, JsonValue]:
    told: dict[str, JsonValue] = {
        "what": entry.what,
        "who": entry.who,
        "when": list(entry.when.timetuple()[:6]),
    }
    further = {"src": entry.source, "dst": entry.target, "count": entry.count}
    return told | {key: value for key, value in further.items() if value is not None}
