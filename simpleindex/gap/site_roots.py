"""What a site wants of an index, as far as the index itself can tell."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from simpleindex.gap.bundle.site_ledger import RootSet, imports, latest_roots
from simpleindex.gap.carried_sdists import CarriedSdists
from simpleindex.gap.closure import Roots, Standing, check_closure
from simpleindex.gap.own_source import OwnSource
from simpleindex.gap.releases import Sdists
from simpleindex.gap.targets import Target, is_meant, without_guesses
from simpleindex.gap.wishes import Wishes, parse_line
from simpleindex_storage.names import ProjectName
from simpleindex_storage.ports import Snapshot


@dataclass(frozen=True, slots=True)
class SiteRoots:
    """What bundles were made for, and what was put in without any."""

    sets: tuple[RootSet, ...]
    projects: tuple[ProjectName, ...]
    """Those that have a file which no bundle has brought."""
    sdists: Sdists | None = None
    """Source distributions that bundles have brought to be built count; None: none does."""

    @property
    def withdrawn(self) -> tuple[str, ...]:
        """Lines of bundles that count no more, each once."""
        return tuple(dict.fromkeys(line for one in self.sets for line in one.withdrawn))

    @property
    def of_bundles(self) -> frozenset[ProjectName]:
        """What the lines of bundles are about."""
        found = (parse_line(line).project for one in self.sets for line in one.roots)
        return frozenset(project for project in found if project is not None)

    @property
    def targets(self) -> tuple[Target, ...]:
        """The targets that bundles were made for, each once.

        One that was partly assumed gives way to what a newer bundle was made for in its place.
        """
        found: dict[str, Target] = {}
        for one in self.sets:
            new = without_guesses(one.targets, tuple(found.values()))
            found |= {each.name: each for each in new}
        return tuple(found.values())

    def of(self, target: Target) -> Roots:
        """What it has to be able to install: of bundles, what was carried in for it.

        So is one that stands for what was only assumed when a bundle was made. One that no bundle
        was made for is asked for all of it.
        """
        own = [one for one in self.sets if any(is_meant(target, it) for it in one.targets)]
        return Roots(tuple(self._wishes(own or self.sets)), self.projects)

    def _wishes(self, sets: Sequence[RootSet]) -> Iterator[Wishes]:
        """A line that several bundles were made for, under the same constraints, counts once."""
        asked: dict[tuple[tuple[str, ...], bool], dict[str, None]] = {}
        for one in sets:
            known = asked.setdefault((one.constraints, one.pre_releases), {})
            new = [line for line in dict.fromkeys(one.roots) if line not in known]
            known.update(dict.fromkeys(new))
            if new:
                yield Wishes(
                    tuple(map(parse_line, new)),
                    tuple(map(parse_line, one.constraints)),
                    pre_releases=one.pre_releases,
                    sdists=self.sdists,
                )


def read_site_roots(
    seen: Snapshot, source: OwnSource, ignored: Collection[ProjectName]
) -> SiteRoots:
    """What an index and its bases are to be good for. Raises Refused, Unavailable.

    What bundles say about `ignored` projects does not count.
    """
    sets = tuple(one for index in source.indexes for one in latest_roots(seen, index, ignored))
    brought: set[str] = set()
    for taken in imports(seen):
        if taken.undone_serial is None:
            for bundle in taken.bundles:
                brought.update(file.sha256 for file in bundle.manifest.files)
                brought.update(file.sha256 for file in bundle.manifest.assumes)
    projects = tuple(
        project
        for project in source.projects()
        if any(file.sha256 not in brought for file in source.listed(project))
    )
    return SiteRoots(sets, projects, CarriedSdists(seen, source))


def check_site(
    targets: Sequence[Target], wanted: SiteRoots, source: OwnSource
) -> tuple[Standing, ...]:
    """How each target stands, in their order."""
    return tuple(
        standing for each in targets for standing in check_closure([each], wanted.of(each), source)
    )
