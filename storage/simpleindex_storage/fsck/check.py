"""All that is looked at, in order. Nothing is changed by looking, and a server may run meanwhile.

Memory does not grow with the number of files: the catalog is read in parts, and no view of it is
held while files are read. What was uploaded or removed meanwhile is looked at again before it is
told of.
"""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

from simpleindex_storage.errors import Unavailable
from simpleindex_storage.processes import living
from simpleindex_storage.sqlite_file import damage_at_first_sight

from . import catalog, journal, surroundings
from .codes import Code, Fault
from .files import FilesCheck, drafts_of_the_dead
from .reading import CatalogReader

_OF_RECORDS = {
    Code.CATALOG_PAGES,
    Code.RECORD_NAMES,
    Code.RECORD_ORPHAN,
    Code.RECORD_SERIAL,
    Code.RECORD_UNREADABLE,
}


def _nobody(_: int) -> None:
    """Is told how far it is, and does not care."""


class Check:
    """One check of a server directory."""

    def __init__(
        self,
        root: Path,
        *,
        is_quick: bool = False,
        catalog_name: str = "catalog.sqlite",
        progress: Callable[[int], None] = _nobody,
    ) -> None:
        """`progress` is told the bytes of each file; `catalog_name` is another draft's, say."""
        self._root = root
        self._is_quick = is_quick
        self._catalog = root / catalog_name
        self._progress = progress
        self.file_count = 0
        self.size_bytes = 0
        """Of what was looked at, once all faults were taken."""
        self._is_reliable = True
        """The catalog is, as far as is known."""

    def faults(self) -> Iterator[Fault]:
        """What is wrong, as it is found.

        Raises Refused for a catalog of another version, and Unavailable.
        """
        damage = damage_at_first_sight(self._catalog)
        if damage is not None:
            what = f"is damaged, so nothing else can be checked: {damage}"
            yield Fault(Code.CATALOG_PAGES, self._catalog.name, what)
            return
        with closing(CatalogReader(self._catalog)) as reader:
            for fault in catalog.damage(reader, is_quick=self._is_quick):
                self._is_reliable = False
                yield fault
            for part in self._parts(reader):
                try:
                    for fault in part:
                        self._is_reliable &= fault.code not in _OF_RECORDS
                        yield fault
                except Unavailable as error:
                    if self._is_reliable:  # else it was told of
                        raise
                    what = f"keeps part of it from being checked: {error}"
                    yield Fault(Code.CATALOG_PAGES, self._catalog.name, what)

    def expected_bytes(self) -> int:
        """How much there is to look at, as far as the catalog tells."""
        with closing(CatalogReader(self._catalog)) as reader, reader.rows() as connection:
            (total,) = connection.execute(
                "SELECT (SELECT ifnull(sum(size_bytes), 0) FROM files)"
                " + (SELECT ifnull(sum(size_bytes), 0) FROM attachments)"
            ).fetchone()
            return int(total)

    def _parts(self, reader: CatalogReader) -> Iterator[Iterator[Fault]]:
        yield surroundings.open_to_others(self._root)
        yield catalog.disagreements(reader)
        yield journal.disagreements(self._root, reader)
        yield drafts_of_the_dead(self._root)
        # A process that lives deletes what it has removed.
        removed = set() if living(self._root / "incoming") else catalog.removals(reader)
        files = FilesCheck(
            self._root, reader, is_quick=self._is_quick, progress=self._progress
        )  # fmt: skip
        yield self._counted(files)
        if self._is_reliable:  # else nobody can say what has no record
            yield files.strays()
        yield _left_removals(removed & catalog.removals(reader))
        yield surroundings.of_the_cache(self._root)

    def _counted(self, files: FilesCheck) -> Iterator[Fault]:
        yield from files.records()
        self.file_count, self.size_bytes = files.count, files.size_bytes


def _left_removals(left: set[tuple[str, str, str]]) -> Iterator[Fault]:
    """Removals that nobody has done in all the time of the check."""
    for index, _, filename in sorted(left):
        yield Fault(
            Code.REMOVAL_LEFT, "catalog.sqlite", f"still has to delete {filename} of {index}"
        )
