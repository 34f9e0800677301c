"""The own catalog as a source for resolvers: what an index and its bases have, asked without HTTP.

Only what is stored here counts. What a mirror among the bases could fetch, a site without internet
cannot have.
"""

import shutil
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

from simpleindex import library
from simpleindex.access import ROOT, Principal, Rules
from simpleindex.gap.releases import Described, Releases, SourceTrouble, describe, releases_of
from simpleindex.gap.sdist_metadata import read_sdist
from simpleindex.library import Sight, View
from simpleindex.project_page import page_of
from simpleindex.reading import Reader
from simpleindex.wire.simple_page import PageFile, page_depth
from simpleindex_storage.errors import NotStored, StoreError
from simpleindex_storage.metadata import METADATA_BYTES_MAX
from simpleindex_storage.model import ListedFile, MirrorSettings, Sidecar
from simpleindex_storage.names import IndexName, ProjectName
from simpleindex_storage.ports import Snapshot
from simpleindex_storage.store import Store

_ADMIN = Reader(Rules(), Principal(ROOT))
_DEPTH = page_depth("+simple/project/")


class OwnSource:
    """An index at one moment, with all its bases. For one thread, while the snapshot is open."""

    def __init__(
        self, store: Store, seen: Snapshot, index: IndexName, *, may_be_missing: bool = False
    ) -> None:
        """Raises NotStored if there is no such index, unless that is as good as an empty one."""
        self._store = store
        self._seen = seen
        is_there = seen.index(index) is not None or not may_be_missing
        self._view = library.look(seen, index, _ADMIN) if is_there else View(())
        self._releases: dict[ProjectName, Releases | None] = {}
        self._listed: dict[str, ListedFile] = {}
        self._described: dict[str, Described] = {}
        """By the digest of the metadata: wheels of one release mostly have the same."""

        self._looked_into: dict[str, Described | str] = {}

    @property
    def indexes(self) -> tuple[IndexName, ...]:
        """Itself and its bases."""
        return tuple(index.name for index in self._view.indexes)

    @property
    def mirrors(self) -> tuple[IndexName, ...]:
        """The bases that show other indexes, of which nothing counts."""
        return tuple(
            index.name for index in self._view.indexes if isinstance(index.settings, MirrorSettings)
        )

    def projects(self) -> tuple[ProjectName, ...]:
        """All that are here, by name."""
        if not self._view.indexes:
            return ()
        return tuple(sorted(library.shown_projects(self._seen, self._view).projects))

    def listed(self, project: ProjectName) -> tuple[ListedFile, ...]:
        """The files of a project; none if there is no such."""
        sight = self._sight(project)
        return () if sight is None else sight.files

    def releases(self, project: ProjectName) -> Releases | None:
        """A project; None: there is none."""
        if project not in self._releases:
            self._releases[project] = self._read(project)
        return self._releases[project]

    def described(self, file: PageFile) -> Described:
        """The metadata of a wheel, or of a source distribution. Raises SourceTrouble."""
        if not file.filename.endswith(".whl"):
            found = self.look_into(file)
            if isinstance(found, str):
                raise SourceTrouble(f"{file.filename} {found}")
            return found
        listed = self._listed[file.url]
        digest = listed.metadata_sha256
        if digest is None:
            raise SourceTrouble(f"{file.filename} is stored without its metadata")
        known = self._described.get(digest)
        if known is None:
            known = self._described[digest] = self._describe(listed)
        return known

    def look_into(self, sdist: PageFile) -> Described | str:
        """What a source distribution needs, or why it does not say so. Raises SourceTrouble."""
        if sdist.url not in self._looked_into:
            self._looked_into[sdist.url] = self._look_into(self._listed[sdist.url])
        return self._looked_into[sdist.url]

    def expect(self, projects: Iterable[ProjectName]) -> None:
        """It is all here."""

    def expect_described(self, file: PageFile) -> None:
        """Likewise."""

    def _read(self, project: ProjectName) -> Releases | None:
        sight = self._sight(project)
        if sight is None:
            return None
        page = page_of(sight, _DEPTH)
        self._listed |= {
            told.url: listed for told, listed in zip(page.files, sight.files, strict=True)
        }
        return releases_of(project, page.offered_files)

    def _sight(self, project: ProjectName) -> Sight[ListedFile] | None:
        if not self._view.indexes:
            return None
        try:
            return library.listed_project(self._seen, self._view, project)
        except NotStored:
            return None

    def _look_into(self, listed: ListedFile) -> Described | str:
        try:
            _, stored = self._store.open(listed.place)
            with stored, TemporaryDirectory() as folder:
                copy = Path(folder) / "sdist"
                with copy.open("wb") as file:
                    shutil.copyfileobj(stored, file)
                return read_sdist(copy, listed.filename)
        except (StoreError, OSError) as error:
            raise SourceTrouble(f"{listed.filename} cannot be read", str(error)) from None

    def _describe(self, listed: ListedFile) -> Described:
        try:
            _, stored = self._store.open_sidecar(listed.place, Sidecar.METADATA)
            with stored:
                raw = stored.read(METADATA_BYTES_MAX)
            return describe(raw, listed.filename, is_proven=True)
        except StoreError as error:
            raise SourceTrouble(
                f"the metadata of {listed.filename} cannot be read: {error}"
            ) from None
        except OSError as error:
            reason = error.strerror or "the disk fails"
            raise SourceTrouble(
                f"the metadata of {listed.filename} cannot be read: {reason}"
            ) from None
