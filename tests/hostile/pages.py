"""The pages of the hostile upstream. They say what they are told to, true or not.

They are written here once more, apart from the product: what reads them must not be tested with
its own idea of what they look like.
"""

import hashlib
import html
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Literal

JSON = "application/vnd.pypi.simple.v1+json"
HTML_V1 = "application/vnd.pypi.simple.v1+html"
HTML = "text/html; charset=utf-8"

_API_VERSION = "1.4"


@dataclass(frozen=True, slots=True)
class OfferedFile:
    """A file as a page shows it. None: the page does not say."""

    project: str
    filename: str
    url: str
    hashes: Mapping[str, str]
    size_bytes: int | None = None
    uploaded_at: datetime | None = None
    requires_python: str | None = None
    yanked: bool | str = False
    metadata: Mapping[str, str] | bool | None = None
    provenance: str | None = None
    version: str | None = None


@dataclass(frozen=True, slots=True)
class OfferedProject:
    """A project as its page shows it."""

    name: str
    files: tuple[OfferedFile, ...] = ()
    status: str | None = None
    status_reason: str | None = None
    serial: int = 0
    changed_at: datetime = datetime(2024, 1, 1, tzinfo=UTC)


def chosen_type(accept: str | None) -> str:
    """The content type of the page for a client that asks like this."""
    wanted = _qualities(accept or "text/html")
    as_json = max(wanted.get(JSON, 0.0), wanted.get(JSON.replace("v1", "latest"), 0.0))
    as_html_v1 = wanted.get(HTML_V1, 0.0)
    as_html = max(wanted.get("text/html", 0.0), wanted.get("*/*", 0.0))
    if as_json and as_json >= max(as_html_v1, as_html):
        return JSON
    return HTML_V1 if as_html_v1 > as_html else HTML


def project_page(project: OfferedProject, content_type: str) -> bytes:
    """The page of a project."""
    if content_type != JSON:
        links = "".join(map(_link, project.files))
        status = _status_in_html(project)
        title = f"Links for {html.escape(project.name)}"
        return _html_page(title, links, status)
    versions = dict.fromkeys(file.version for file in project.files if file.version is not None)
    has_all_sizes = all(file.size_bytes is not None for file in project.files)
    document: dict[str, Any] = {
        "meta": {
            "api-version": _API_VERSION if has_all_sizes else "1.0",
            "_last-serial": project.serial,
        },
        "name": project.name,
        "versions": list(versions),
        "files": [_file(file) for file in project.files],
    }
    if project.status is not None:
        reason = {} if project.status_reason is None else {"reason": project.status_reason}
        document["project-status"] = {"status": project.status, **reason}
    return json.dumps(document, separators=(",", ":")).encode()


def list_page(names: Sequence[str], content_type: str, serial: int) -> bytes:
    """The list of all projects."""
    if content_type != JSON:
        links = "".join(
            f'<a href="/simple/{name}/">{html.escape(name)}</a><br />\n' for name in names
        )
        return _html_page("Simple index", links)
    meta = {"api-version": _API_VERSION, "_last-serial": serial}
    projects = [{"name": name} for name in names]
    return json.dumps({"meta": meta, "projects": projects}, separators=(",", ":")).encode()


@lru_cache(maxsize=4)
def many_links(project: str, count: int, content_type: str) -> bytes:
    """A page of so many wheels, none of which is there."""
    return project_page(OfferedProject(project, tuple(_wheels(project, count))), content_type)


def _qualities(accept: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for each in accept.split(","):
        media_type, *parameters = [part.strip() for part in each.split(";")]
        quality = next((part[2:] for part in parameters if part.startswith("q=")), "1")
        found[media_type.lower()] = float(quality)
    return found


def _file(file: OfferedFile) -> dict[str, Any]:
    told = {
        "size": file.size_bytes,
        "upload-time": None if file.uploaded_at is None else _upload_time(file.uploaded_at),
        "requires-python": file.requires_python,
        "core-metadata": file.metadata,
        "data-dist-info-metadata": file.metadata,
        "provenance": file.provenance,
    }
    return {
        "filename": file.filename,
        "url": file.url,
        "hashes": dict(file.hashes),
        "yanked": file.yanked,
        **{key: value for key, value in told.items() if value is not None},
    }


def _upload_time(moment: datetime) -> str:
    in_utc = moment.astimezone(UTC).isoformat(timespec="microseconds")
    return in_utc.removesuffix("+00:00") + "Z"


def _html_page(title: str, links: str, more_meta: str = "") -> bytes:
    return (
        "<!DOCTYPE html>\n<html>\n<head>\n"
        f'<meta name="pypi:repository-version" content="{_API_VERSION}">\n{more_meta}'
        f"<title>{title}</title>\n</head>\n<body>\n<h1>{title}</h1>\n{links}</body>\n</html>\n"
    ).encode()


def _status_in_html(project: OfferedProject) -> str:
    told = {"": project.status, "-reason": project.status_reason}
    return "".join(
        f'<meta name="pypi:project-status{kind}" content="{html.escape(value)}">\n'
        for kind, value in told.items()
        if value is not None
    )


def _link(file: OfferedFile) -> str:
    fragment = "".join(f"#{name}={digest}" for name, digest in list(file.hashes.items())[:1])
    told = {
        "href": file.url + fragment,
        "data-requires-python": file.requires_python,
        "data-yanked": _yanked_in_html(file.yanked),
        "data-core-metadata": _metadata_in_html(file.metadata),
        "data-dist-info-metadata": _metadata_in_html(file.metadata),
        "data-provenance": file.provenance,
    }
    attributes = "".join(
        f' {name}="{html.escape(value)}"' for name, value in told.items() if value is not None
    )
    return f"<a{attributes}>{html.escape(file.filename)}</a><br />\n"


def _yanked_in_html(yanked: bool | str) -> str | None:
    if isinstance(yanked, str):
        return yanked
    return "" if yanked else None


def _metadata_in_html(metadata: Mapping[str, str] | bool | None) -> str | None:
    if isinstance(metadata, Mapping):
        return next((f"{name}={digest}" for name, digest in metadata.items()), "true")
    return "true" if metadata else None


def _wheels(project: str, count: int) -> Iterable[OfferedFile]:
    escaped = project.replace("-", "_")
    for number in range(count):
        filename = f"{escaped}-1.{number}-py3-none-any.whl"
        yield OfferedFile(
            project=project,
            filename=filename,
            url=f"/files/{project}/{filename}",
            hashes={"sha256": hashlib.sha256(filename.encode()).hexdigest()},
            size_bytes=1_000 + number,
            uploaded_at=datetime(2024, 1, 1, tzinfo=UTC),
            requires_python=">=3.8",
            metadata={"sha256": hashlib.sha256(b"metadata of " + filename.encode()).hexdigest()},
            version=f"1.{number}",
        )


Untold = Literal["untold"]
"""In place of a fact: the page does not say."""
