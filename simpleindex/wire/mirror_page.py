"""What a mirror remembers of a project page: what upstream says now, and what it said first.

A file that was listed once keeps its digests for ever. If upstream later offers other bytes under
its name, the mirror knows.
"""

import json
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256 as sha256_of
from typing import Any

from simpleindex.wire.simple_page import PageFile, ProjectPage
from simpleindex_storage.model import JsonValue, ProjectStatus
from simpleindex_storage.names import ProjectName, split_filename

_FORMAT = b"mirror-page-1"


@dataclass(frozen=True, slots=True)
class MirrorFile:
    """One file of another index, as a mirror knows it."""

    file: PageFile
    """What upstream says of it, at an absolute URL. The digests are those of the first time."""
    version: str
    """Normalised (PEP 440)."""
    sha256_prefix: str
    """Of its place: the first 16 digits of its own sha256, or of its URL's, if it had none when it
    was first seen."""
    first_seen_at: datetime
    absent_at: datetime | None
    """When its page was last seen without it. None: it was there when the page was first seen."""
    changed_to: str | None = None
    """The digest, `sha256=...`, of the other bytes that upstream offers under its name."""
    gone: bool = False
    """Upstream's page does not have it any more."""
    has_own_metadata: bool = False
    """The digest of its core metadata comes out of the file itself, and not from upstream."""


@dataclass(frozen=True, slots=True)
class MirrorPage:
    """One project of another index, as a mirror knows it."""

    project: ProjectName
    files: tuple[MirrorFile, ...]
    """In upstream's order; those that are gone come last."""
    versions: tuple[str, ...]
    """As upstream lists them."""
    status: ProjectStatus = ProjectStatus.ACTIVE
    status_reason: str | None = None
    serial: int | None = None
    """Upstream's."""


def merged(
    before: MirrorPage | None,
    before_checked_at: datetime | None,
    page: ProjectPage,
    now: datetime,
) -> MirrorPage:
    """The page as upstream tells it now, with what is remembered of each of its files.

    `before` None: it was never seen. `before_checked_at` is when upstream last confirmed it. Raises
    Refused for a file whose name says no version; `upstream_page` lets none through.
    """
    known = {} if before is None else {each.file.filename: each for each in before.files}
    absent_at = None if before is None else before_checked_at
    files = []
    for told in page.files:
        old = known.pop(told.filename, None)
        files.append(_first_seen(told, now, absent_at) if old is None else _seen_again(old, told))
    gone = (each if each.gone else replace(each, gone=True) for each in known.values())
    return MirrorPage(
        page.name,
        (*files, *gone),
        page.versions,
        page.status,
        page.status_reason,
        page.serial,
    )


def with_digest(page: MirrorPage, filename: str, sha256: str) -> MirrorPage:
    """The page with the digest of a file that had none: from now on, it counts.

    A digest that is known already stays, and so does a page that has no such file.
    """

    def pinned(each: MirrorFile) -> MirrorFile:
        hashes = {"sha256": sha256, **each.file.hashes}
        return replace(each, file=replace(each.file, hashes=hashes))

    return _with(page, filename, pinned)


def with_metadata(page: MirrorPage, filename: str, sha256: str) -> MirrorPage:
    """The page with the digest of the core metadata that lies in a file of it.

    A page that has no such file stays as it is.
    """

    def described(each: MirrorFile) -> MirrorFile:
        file = replace(each.file, metadata={"sha256": sha256})
        return replace(each, file=file, has_own_metadata=True)

    return _with(page, filename, described)


def encode(page: MirrorPage) -> bytes:
    """All of a page, to be kept until `decode` reads it again."""
    document: dict[str, JsonValue] = {
        "project": page.project,
        "versions": list(page.versions),
        "status": page.status,
        "reason": page.status_reason,
        "serial": page.serial,
        "files": [_encoded_file(each) for each in page.files],
    }
    content = json.dumps(document, separators=(",", ":")).encode()
    return _heading(content) + content


def decode(content: bytes) -> MirrorPage:
    """The page that `encode` was given. Raises ValueError for anything else."""
    heading, newline, text = content.partition(b"\n")
    if heading + newline != _heading(text):
        raise ValueError("it is no page of a mirror, or it is damaged")
    try:
        document = json.loads(text)
        return MirrorPage(
            ProjectName(document["project"]),
            tuple(map(_decoded_file, document["files"])),
            tuple(document["versions"]),
            ProjectStatus(document["status"]),
            document["reason"],
            document["serial"],
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"it is no page of a mirror: {error!r}") from None


def _first_seen(told: PageFile, now: datetime, absent_at: datetime | None) -> MirrorFile:
    _, version = split_filename(told.filename)
    sha256 = told.hashes.get("sha256") or sha256_of(told.url.encode()).hexdigest()
    return MirrorFile(told, version, sha256[:16], now, absent_at)


def _seen_again(old: MirrorFile, told: PageFile) -> MirrorFile:
    if told == old.file and old.changed_to is None and not old.gone:
        return old
    changed_to = _changed_to(old, told.hashes)
    if changed_to is not None:
        # All else that upstream says of the file now, it says of the other bytes.
        file = replace(old.file, yanked=told.yanked)
        return replace(old, file=file, changed_to=changed_to, gone=False)
    keeps_metadata = old.has_own_metadata and not _tells_digest(told.metadata)
    file = replace(
        told,
        hashes={**told.hashes, **old.file.hashes},
        metadata=old.file.metadata if keeps_metadata else told.metadata,
    )
    return replace(old, file=file, changed_to=None, gone=False, has_own_metadata=keeps_metadata)


def _changed_to(old: MirrorFile, told: Mapping[str, str]) -> str | None:
    pinned = old.file.hashes
    shared = pinned.keys() & told.keys()
    if not shared:
        return old.changed_to  # nothing new is known
    decisive = {"sha256"} if "sha256" in shared else shared
    differing = sorted(name for name in decisive if pinned[name] != told[name])
    if not differing:
        return None
    algorithm = "sha256" if "sha256" in told else differing[0]
    return f"{algorithm}={told[algorithm]}"


def _tells_digest(metadata: Mapping[str, str] | bool | None) -> bool:
    return isinstance(metadata, Mapping) and bool(metadata)


def _with(
    page: MirrorPage, filename: str, changed: Callable[[MirrorFile], MirrorFile]
) -> MirrorPage:
    files = (changed(each) if each.file.filename == filename else each for each in page.files)
    return replace(page, files=tuple(files))


# Of a page with thousands of files, what is plain is left out: None, False, and a prefix that its
# digest tells.


def _heading(content: bytes) -> bytes:
    return b"%s %08x\n" % (_FORMAT, zlib.crc32(content))


def _encoded_file(each: MirrorFile) -> JsonValue:
    file, hashes = each.file, each.file.hashes
    sha256 = hashes.get("sha256", "")
    entry: dict[str, JsonValue] = {
        "n": file.filename,
        "u": file.url,
        "h": sha256 if len(hashes) == 1 and sha256 else dict(hashes),
        "v": each.version,
        "f": each.first_seen_at.isoformat(),
    }
    if file.size_bytes is not None:
        entry["s"] = file.size_bytes
    if file.uploaded_at is not None:
        entry["t"] = file.uploaded_at.isoformat()
    if file.requires_python is not None:
        entry["r"] = file.requires_python
    if file.metadata is not None:
        entry["m"] = file.metadata if isinstance(file.metadata, bool) else dict(file.metadata)
    if file.yanked is not None:
        entry["y"] = file.yanked
    _add_rare_facts(entry, each, sha256)
    return entry


def _add_rare_facts(entry: dict[str, JsonValue], each: MirrorFile, sha256: str) -> None:
    if each.file.gpg_sig is not None:
        entry["g"] = each.file.gpg_sig
    if each.file.provenance is not None:
        entry["p"] = each.file.provenance
    if each.sha256_prefix != sha256[:16]:
        entry["x"] = each.sha256_prefix
    if each.absent_at is not None:
        entry["a"] = each.absent_at.isoformat()
    if each.changed_to is not None:
        entry["c"] = each.changed_to
    if each.gone:
        entry["o"] = True
    if each.has_own_metadata:
        entry["d"] = True


def _decoded_file(entry: Mapping[str, Any]) -> MirrorFile:
    get = entry.get
    hashes = entry["h"]
    if isinstance(hashes, str):
        hashes = {"sha256": hashes}
    uploaded_at, absent_at = get("t"), get("a")
    file = PageFile(
        entry["n"],
        entry["u"],
        hashes,
        get("s"),
        datetime.fromisoformat(uploaded_at) if uploaded_at else None,
        get("r"),
        get("m"),
        get("y"),
        get("g"),
        get("p"),
    )
    return MirrorFile(
        file,
        entry["v"],
        get("x") or hashes["sha256"][:16],
        datetime.fromisoformat(entry["f"]),
        datetime.fromisoformat(absent_at) if absent_at else None,
        get("c"),
        get("o", False),
        get("d", False),
    )
