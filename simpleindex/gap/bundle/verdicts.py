"""How targets stand before and after something was taken in or taken back."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from simpleindex.gap.bundle.site_ledger import RootSet
from simpleindex.gap.carried_sdists import CarriedSdists
from simpleindex.gap.closure import Roots, Standing, check_closure
from simpleindex.gap.own_source import OwnSource
from simpleindex.gap.releases import Sdists
from simpleindex.gap.targets import Target
from simpleindex.gap.wishes import Wishes, parse_line
from simpleindex_storage.names import IndexName
from simpleindex_storage.store import Store


@dataclass(frozen=True, slots=True)
class Comparison:
    """One target, for one set of roots."""

    target: Target
    wanted: int
    """Lines that are meant for it."""
    met_before: int
    after: Standing

    @property
    def met_after(self) -> int:
        """Lines that can be installed now."""
        return self.wanted - len(self.after.failures)


def standings(store: Store, index: IndexName, sets: Iterable[RootSet]) -> tuple[Standing, ...]:
    """How the targets of some sets stand, set by set. None, where the index is not there.

    Of a set that asks for nothing, since all of it was withdrawn, nothing is told.
    """
    with store.catalog.snapshot() as seen:
        if seen.index(index) is None:
            return ()
        source = OwnSource(store, seen, index)
        sdists = CarriedSdists(seen, source)
        return tuple(
            standing
            for each in sets
            if each.roots
            for standing in check_closure(each.targets, Roots((_wishes(each, sdists),)), source)
        )


def compare(before: Sequence[Standing], after: Sequence[Standing]) -> tuple[Comparison, ...]:
    """Those of the same sets at two moments; before there was an index, nothing was met."""
    met = [len(each.meant) - len(each.failures) for each in before] or [0] * len(after)
    return tuple(
        Comparison(standing.target, len(standing.meant), number, standing)
        for standing, number in zip(after, met, strict=True)
    )


def _wishes(roots: RootSet, sdists: Sdists | None) -> Wishes:
    return Wishes(
        tuple(map(parse_line, roots.roots)),
        tuple(map(parse_line, roots.constraints)),
        pre_releases=roots.pre_releases,
        sdists=sdists,
    )
