"""What is asked of bundles before they are taken in, and what is asked for if files are missing."""

from collections.abc import Iterable, Sequence
from typing import TypeVar

from simpleindex.gap.bundle.loads import Load
from simpleindex.gap.bundle.manifest import stamp
from simpleindex.gap.bundle.reading import Bundle
from simpleindex.gap.bundle.site_ledger import RootSet
from simpleindex.gap.bundle.taking import searched_indexes
from simpleindex.gap.request import Held, Request
from simpleindex_storage.errors import Refused
from simpleindex_storage.names import IndexName
from simpleindex_storage.store import Store

Each = TypeVar("Each")

_HEARD_AS = str.maketrans("ILO", "110")
"""No digest has these letters: who hears one means the digit."""
_PREFIX_DIGITS = 16


def check_digests(bundles: Sequence[Bundle], expected: Sequence[str]) -> None:
    """Refuse bundles of which not each volume has an expected digest; none expected: all will do.

    Spaces, dashes and capitals do not matter.
    """
    if not expected:
        return
    wanted = {_plain(digest) for digest in expected}
    if not bundles:
        raise Refused("digest", "packages without a manifest have none that could be expected")
    for bundle in bundles:
        for volume in bundle.volumes:
            if _plain(volume.digest) not in wanted:
                raise Refused(
                    str(volume.path),
                    f"its digest is {volume.digest}, and that is not what is expected",
                )


def root_sets(load: Load) -> tuple[RootSet, ...]:
    """What the bundles that are whole were made for."""
    manifests = [bundle.manifest for bundle in load.bundles if bundle.manifest.part is None]
    return tuple(
        RootSet(it.roots, it.constraints, it.pre_releases, it.targets, serial=0)
        for it in manifests
        if it.roots
    )


def request_for(store: Store, load: Load, index: IndexName) -> Request:
    """Ask for all that bundles were made for, beside what is here already."""
    manifests = [bundle.manifest for bundle in load.bundles]
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
        roots=_once(root for it in manifests for root in it.roots),
        constraints=_once(line for it in manifests for line in it.constraints),
        have=tuple(Held(file.sha256[:_PREFIX_DIGITS], file.filename) for file in files),
    )


def _plain(digest: str) -> str:
    letters = "".join(letter for letter in digest.upper() if letter.isalnum())
    return letters.translate(_HEARD_AS)


def _once(found: Iterable[Each]) -> tuple[Each, ...]:
    return tuple(dict.fromkeys(found))
