"""What is asked of bundles before they are taken in, and what is asked for if files are missing."""

from collections.abc import Collection, Iterable
from typing import TypeVar

from simpleindex.gap.bundle.loads import Load
from simpleindex.gap.bundle.manifest import Manifest, stamp
from simpleindex.gap.bundle.site_ledger import RootSet
from simpleindex.gap.bundle.taking import searched_indexes
from simpleindex.gap.request import Held, Request
from simpleindex_storage.names import IndexName, ProjectName
from simpleindex_storage.store import Store

Each = TypeVar("Each")

_PREFIX_DIGITS = 16


def root_sets(load: Load, ignored: Collection[ProjectName]) -> dict[str, RootSet]:
    """What the bundles that are whole were made for, by how they are named.

    But for what is about ignored projects.
    """
    manifests = {it.subject: it.manifest for it in load.bundles if it.manifest.part is None}
    return {name: _root_set(it).without(ignored) for name, it in manifests.items() if it.roots}


def request_for(
    store: Store, load: Load, index: IndexName, ignored: Collection[ProjectName]
) -> Request:
    """Ask for all that bundles were made for and that is not ignored, beside what is here."""
    manifests = [bundle.manifest for bundle in load.bundles]
    sets = [_root_set(manifest).without(ignored) for manifest in manifests]
    with store.catalog.snapshot() as seen:
        files = [
            file
            for name in searched_indexes(seen, index)
            for project in seen.projects(name)
            for file in seen.listed_files(name, project.name)
        ]
    return Request(
        stamp=stamp(file.sha256 for file in files),
        targets=_once(target for it in manifests for target in it.targets),
        roots=_once(root for it in sets for root in it.roots),
        constraints=_once(line for it in manifests for line in it.constraints),
        have=tuple(Held(file.sha256[:_PREFIX_DIGITS], file.filename) for file in files),
    )


def _root_set(manifest: Manifest) -> RootSet:
    """Nothing of it is in the ledger yet."""
    it = manifest
    return RootSet(it.roots, it.constraints, it.pre_releases, it.targets, serial=0)


def _once(found: Iterable[Each]) -> tuple[Each, ...]:
    return tuple(dict.fromkeys(found))
