"""Pages of the simple repository API as JSON: PEP 691 and what later PEPs added to it.

What is not known is left out. A null in its place makes uv refuse the whole page.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice

from simpleindex.wire.simple_page import (
    API_VERSION,
    PageFile,
    ProjectListPage,
    ProjectPage,
    valid_requires_python,
)
from simpleindex_storage.model import JsonValue

_NAMES_PER_PART = 2000


def render_project(page: ProjectPage) -> bytes:
    """The page of a project, in UTF-8.

    It says version 1.0 if the size of any file is unknown, as 1.1 and later require them all. Other
    facts are shown even so: PEP 691 has clients ignore keys that they do not know.
    """
    files = page.offered_files
    valid = valid_requires_python(files)
    has_all_sizes = all(file.size_bytes is not None for file in files)
    document: dict[str, JsonValue] = {
        "meta": _meta(API_VERSION if has_all_sizes else "1.0", page.serial),
        "name": page.name,
    }
    if page.shows_status:
        document["project-status"] = _status(page)
    document["versions"] = list(page.versions)
    document["files"] = [_file(file, valid) for file in files]
    return _encoded(document)


def render_list(page: ProjectListPage) -> bytes:
    """The list of an index's projects, in UTF-8."""
    return _encoded(
        {
            "meta": _meta(API_VERSION, page.serial),
            "projects": [_listed(name, serial) for name, serial in page.projects.items()],
        }
    )


def list_parts(names: Iterable[str]) -> Iterator[bytes]:
    """A list of names without serials, part by part: a mirror's has hundreds of thousands.

    The names are normalised, so that there is nothing in them to escape.
    """
    meta = _encoded(_meta(API_VERSION, None)).decode()
    yield f'{{"meta":{meta},"projects":['.encode()
    comma, rest = "", iter(names)
    while some := list(islice(rest, _NAMES_PER_PART)):
        yield (comma + ",".join(f'{{"name":"{name}"}}' for name in some)).encode()
        comma = ","
    yield b"]}"


def _listed(name: str, serial: int | None) -> JsonValue:
    # The serial is the public index's own addition, which tools that mirror an index go by.
    return {"name": name} if serial is None else {"_last-serial": serial, "name": name}


def _meta(api_version: str, serial: int | None) -> JsonValue:
    meta: dict[str, JsonValue] = {"api-version": api_version}
    if serial is not None:
        meta["_last-serial"] = serial
    return meta


def _status(page: ProjectPage) -> JsonValue:
    status: dict[str, JsonValue] = {"status": page.status}
    if page.status_reason:
        status["reason"] = page.status_reason
    return status


def _file(file: PageFile, valid: frozenset[str]) -> JsonValue:
    shown: dict[str, JsonValue] = {
        "filename": file.filename,
        "url": file.url,
        "hashes": dict(file.hashes),
    }
    if file.requires_python in valid:
        shown["requires-python"] = file.requires_python
    if file.size_bytes is not None:
        shown["size"] = file.size_bytes
    if file.uploaded_at is not None:
        shown["upload-time"] = _upload_time(file.uploaded_at)
    if file.metadata is not None:
        # Not also under its old name: pip 22.3 to 23.1 fail on a dictionary there.
        shown["core-metadata"] = _core_metadata(file.metadata)
    if file.yanked is not None:
        shown["yanked"] = file.yanked or True  # without a reason: an empty string is not allowed
    if file.gpg_sig is not None:
        shown["gpg-sig"] = file.gpg_sig
    if file.provenance is not None:
        shown["provenance"] = file.provenance
    return shown


def _upload_time(moment: datetime) -> str:
    # PEP 700 wants this very notation, with a Z.
    in_utc = moment.astimezone(UTC).isoformat(timespec="microseconds")
    return in_utc.removesuffix("+00:00") + "Z"


def _core_metadata(digests: Mapping[str, str] | bool) -> JsonValue:
    return digests if isinstance(digests, bool) else dict(digests) or True


def _encoded(document: JsonValue) -> bytes:
    # Half a surrogate pair can come in from elsewhere as "\ud800", but must not go out: uv's
    # parser would refuse the page. As text of its own kind it becomes a question mark here.
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")
