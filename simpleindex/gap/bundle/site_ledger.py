"""What was taken in at a site, import by import: its ledger, which is part of the catalog.

So an import and what is known of it are there together or not at all, and backups and rebuilds
have both. What was undone stays in it, and does not count any more.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import Any

from simpleindex.gap.bundle.manifest import Manifest, dump_manifest, parse_manifest
from simpleindex.gap.targets import Target
from simpleindex.gap.wishes import parse_line
from simpleindex_storage.model import Delivery, JsonValue
from simpleindex_storage.names import IndexName, ProjectName
from simpleindex_storage.ports import Change, Snapshot

_BUNDLE = "bundle"
"""Marks the deliveries that are of this ledger."""
_REMEMBERED_MAX = 256
"""Manifests that were read: an import looks at the ledger several times, the last time while
nobody else can change anything. One of 700 files takes 20 ms to read, and some 1 MB."""


@dataclass(frozen=True, slots=True)
class TakenBundle:
    """A bundle, or some volumes of it, that was taken in."""

    manifest: Manifest
    sha256s: tuple[str, ...]
    """Of the manifests of its volumes, byte for byte."""
    digests: tuple[str, ...]
    """Of the same, as they are read out."""
    signed_by: str | None = None
    """Name and fingerprint of the key; None: nobody that is trusted."""


@dataclass(frozen=True, slots=True)
class TakenFile:
    """A file that came, whether it was there already or not."""

    filename: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Import:
    """One import: all of it came in with one change."""

    index: IndexName
    sources: tuple[str, ...]
    """Names of the files or folders that it was."""
    bundles: tuple[TakenBundle, ...]
    """Empty: only files without a manifest came, which nobody has vouched for."""
    loose_files: tuple[TakenFile, ...]
    """Those without a manifest."""
    added: tuple[TakenFile, ...]
    """What the index did not have before."""
    yanked: tuple[TakenFile, ...] = ()
    """What was yanked by it, and was not before."""
    taken_at: datetime | None = None
    """Known once it is in the ledger, as the three that follow."""
    taken_by: str = ""
    serial: int = 0
    undone_serial: int | None = None

    @property
    def brought(self) -> frozenset[str]:
        """SHA-256 of all files that came with it, also of those that were there already."""
        bundled = (file.sha256 for bundle in self.bundles for file in bundle.manifest.files)
        return frozenset(bundled) | {file.sha256 for file in self.loose_files}

    @property
    def assumed(self) -> frozenset[str]:
        """SHA-256 of files that had to be there."""
        return frozenset(file.sha256 for bundle in self.bundles for file in bundle.manifest.assumes)


@dataclass(frozen=True, slots=True)
class RootSet:
    """What a site is to be able to install, all lines of it together."""

    roots: tuple[str, ...]
    constraints: tuple[str, ...]
    pre_releases: bool
    targets: tuple[Target, ...]
    serial: int
    """Of the import that brought it last."""
    withdrawn: tuple[str, ...] = ()
    """Lines that were in it and count no more."""

    def without(self, ignored: Collection[ProjectName]) -> "RootSet":
        """The same without the lines about these projects, for the same targets.

        What is carried in cannot be changed at the site; so whoever decides there that a project
        is ignored withdraws what bundles say of it.
        """
        withdrawn = tuple(root for root in self.roots if parse_line(root).project in ignored)
        kept = tuple(root for root in self.roots if root not in withdrawn)
        return replace(self, roots=kept, withdrawn=withdrawn)


def imports(seen: Snapshot) -> tuple[Import, ...]:
    """All imports, the oldest first; also those that were undone. Raises Refused."""
    return tuple(
        _load(delivery)
        for delivery in seen.deliveries()
        if delivery.document.get("kind") == _BUNDLE
    )


def latest_roots(
    seen: Snapshot,
    index: IndexName,
    ignored: Collection[ProjectName],
    *,
    but: int | None = None,
) -> tuple[RootSet, ...]:
    """What the bundles of an index were made for, the newest first. Raises Refused.

    The same lines count once, for the targets that they came for last. What was undone counts no
    more, nor does what is about ignored projects, or came `but` with the import of that serial.
    Parts of one bundle say the same.
    """
    sets: dict[object, RootSet] = {}
    for taken in reversed(imports(seen)):
        if taken.index != index or taken.undone_serial is not None or taken.serial == but:
            continue
        for bundle in taken.bundles:
            manifest = bundle.manifest
            lines = (manifest.roots, manifest.constraints, manifest.pre_releases)
            if manifest.roots and lines not in sets:
                sets[lines] = RootSet(*lines, manifest.targets, taken.serial)
    return tuple(each.without(ignored) for each in sets.values())


def note_import(change: Change, taken: Import, *, at: datetime, by: str) -> None:
    """Write an import into the ledger, within the change that takes it in."""
    change.put_delivery(Delivery(at, by, _subject(taken), _dump(taken)))


def _subject(taken: Import) -> str:
    return f"{taken.index} {', '.join(taken.sources)}"


def _dump(taken: Import) -> Mapping[str, JsonValue]:
    return {
        "kind": _BUNDLE,
        "index": taken.index,
        "sources": list(taken.sources),
        "bundles": [
            {
                "manifest": json.loads(dump_manifest(bundle.manifest)),
                "sha256s": list(bundle.sha256s),
                "digests": list(bundle.digests),
                "signed_by": bundle.signed_by,
            }
            for bundle in taken.bundles
        ],
        "loose_files": _dump_files(taken.loose_files),
        "added": _dump_files(taken.added),
        "yanked": _dump_files(taken.yanked),
    }


def _dump_files(files: Iterable[TakenFile]) -> JsonValue:
    return [[file.filename, file.sha256] for file in files]


def _load(delivery: Delivery) -> Import:
    document: Mapping[str, Any] = delivery.document
    return Import(
        index=IndexName(document["index"]),
        sources=tuple(document["sources"]),
        bundles=tuple(_load_bundle(bundle, delivery.subject) for bundle in document["bundles"]),
        loose_files=_load_files(document["loose_files"]),
        added=_load_files(document["added"]),
        yanked=_load_files(document["yanked"]),
        taken_at=delivery.taken_at,
        taken_by=delivery.taken_by,
        serial=delivery.serial,
        undone_serial=delivery.undone_serial,
    )


def _load_bundle(bundle: Mapping[str, Any], subject: str) -> TakenBundle:
    return TakenBundle(
        _manifest(json.dumps(bundle["manifest"]), subject),
        tuple(bundle["sha256s"]),
        tuple(bundle["digests"]),
        bundle["signed_by"],
    )


@lru_cache(maxsize=_REMEMBERED_MAX)
def _manifest(text: str, subject: str) -> Manifest:
    return parse_manifest(text.encode(), subject)


def _load_files(files: Iterable[tuple[str, str]]) -> tuple[TakenFile, ...]:
    return tuple(TakenFile(filename, sha256) for filename, sha256 in files)
