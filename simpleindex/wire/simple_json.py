"""Pages of the simple repository API as JSON: PEP 691 and what later PEPs added to it.

What is not known is left out. A null in its place makes uv refuse the whole page.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
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

_END_OF_LIST = b"]}"


def render_project(page: ProjectPage) -> bytes:
    """The page of a project, in UTF-8.

    It says version 1.0 if the size of any file is unknown, as 1.1 and later require them all. Other
    facts are shown even so: PEP 691 has clients ignore keys that they do not know.
    """
    files = page.offered_files
    has_all_sizes = all(file.size_bytes is not None for file in files)
    before, after = project_frame(page, has_all_sizes=has_all_sizes)
    return before + render_files(files) + after


def project_frame(page: ProjectPage, *, has_all_sizes: bool) -> tuple[bytes, bytes]:
    """What stands before the files of a page, and what stands behind them."""
    document: dict[str, JsonValue] = {
        "meta": _meta(API_VERSION if has_all_sizes else "1.0", page.serial),
        "name": page.name,
    }
    if page.shows_status:
        document["project-status"] = _status(page)
    document["versions"] = list(page.versions)
    document["files"] = []
    encoded = _encoded(document)
    return encoded[: -len(_END_OF_LIST)], _END_OF_LIST


def render_files(files: Sequence[PageFile]) -> bytes:
    """Some files: those of a page, with commas between, make up its list."""
    valid = valid_requires_python(files)
    return _encoded([_file(file, valid) for file in files])[1:-1]


def render_list(page: ProjectListPage) -> bytes:
    """The list of an index's projects, in UTF-8."""
    return b"".join(list_parts(page.projects.items(), page.serial))


def list_parts(
    projects: Iterable[tuple[str, int | None]], serial: int | None = None
) -> Iterator[bytes]:
    """As `render_list`, part by part: there may be hundreds of thousands of names.

    They are normalised, so that there is nothing in them to escape.
    """
    meta = _encoded(_meta(API_VERSION, serial)).decode()
    yield f'{{"meta":{meta},"projects":['.encode()
    comma, rest = "", iter(projects)
    while some := list(islice(rest, _NAMES_PER_PART)):
        yield (comma + ",".join([_listed(name, serial) for name, serial in some])).encode()
        comma = ","
    yield _END_OF_LIST


def _listed(name: str, serial: int | None) -> str:
    # The serial is the public index's own addition, which tools that mirror an index go by.
    return (
        f'{{"name":"{name}"}}' if serial is None else f'{{"_last-serial":{serial},"name":"{name}"}}'
    )


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
