"""Source distributions that bundles have brought on purpose, to be built on the hosts.

Whoever makes a bundle decides about that, for the targets that the bundle was made for. Any other
source distribution is no file that a host can use: it may lack a compiler.
"""

from collections.abc import Mapping, Sequence

from simpleindex.gap.bundle.manifest import AssumedFile, BundledFile
from simpleindex.gap.bundle.site_ledger import imports
from simpleindex.gap.own_source import OwnSource
from simpleindex.gap.targets import Target, is_meant
from simpleindex.wire.simple_page import PageFile
from simpleindex_storage.names import DistKind
from simpleindex_storage.ports import Snapshot


class CarriedSdists:
    """Those that are in an index. For one thread, while the snapshot is open."""

    def __init__(self, seen: Snapshot, source: OwnSource) -> None:
        self._seen = seen
        self._source = source
        self._targets: Mapping[str, Sequence[Target]] | None = None

    def usable(self, file: PageFile, target: Target) -> PageFile | str | None:
        """The file itself, or why not; None: it has not come for the target.

        Raises SourceTrouble, Refused.
        """
        if self._targets is None:  # read as late as this, since it takes long and is seldom needed
            self._targets = _carried(self._seen)
        meant = self._targets.get(file.hashes.get("sha256", ""), ())
        if not any(is_meant(target, each) for each in meant):
            return None
        found = self._source.look_into(file)
        return found if isinstance(found, str) else file


def _carried(seen: Snapshot) -> Mapping[str, Sequence[Target]]:
    """What imports that count have brought or relied on: by SHA-256, for which targets."""
    found: dict[str, list[Target]] = {}
    for taken in imports(seen):
        if taken.undone_serial is not None:
            continue
        for bundle in taken.bundles:
            manifest = bundle.manifest
            files: list[BundledFile | AssumedFile] = [*manifest.files, *manifest.assumes]
            for file in files:
                if file.name.kind is DistKind.SDIST:
                    targets = found.setdefault(file.sha256, [])
                    targets += (manifest.targets[place] for place in file.targets)
    return found
