"""Layers over an index as a source: what was found out otherwise, and what somebody does not want.

Each is a source itself and hands on what it has nothing to say to.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from threading import Lock

from packaging.version import Version

from simpleindex.gap.releases import Described, Releases, Source, releases_of
from simpleindex.wire.simple_page import PageFile
from simpleindex_storage.names import ProjectName, split_filename


class Layer:
    """Hands everything on."""

    def __init__(self, below: Source) -> None:
        self._below = below

    def releases(self, project: ProjectName) -> Releases | None:
        """A project; None: there is none. Raises SourceTrouble."""
        return self._below.releases(project)

    def described(self, file: PageFile) -> Described:
        """The metadata of a wheel. Raises SourceTrouble."""
        return self._below.described(file)

    def expect(self, projects: Iterable[ProjectName]) -> None:
        """These will be asked for soon."""
        self._below.expect(projects)

    def expect_described(self, file: PageFile) -> None:
        """So will the metadata of this wheel."""
        self._below.expect_described(file)


class _OtherPages(Layer, ABC):
    """Changes what the pages of projects say; each is changed once. May be used from any thread."""

    def __init__(self, below: Source) -> None:
        super().__init__(below)
        self._known: dict[ProjectName, Releases] = {}
        self._lock = Lock()

    def releases(self, project: ProjectName) -> Releases | None:
        """A project as it is to be seen; None: there is none. Raises SourceTrouble."""
        with self._lock:
            known = self._known.get(project)
        if known is not None:
            return known
        changed = self._changed(project, self._below.releases(project))
        if changed is not None:
            with self._lock:
                self._known[project] = changed
        return changed

    @abstractmethod
    def _changed(self, project: ProjectName, found: Releases | None) -> Releases | None:
        """What a page says instead of what the index says; None: there is no such project."""


class UploadedBefore(_OtherPages):
    """An index as it was at a time: without what was uploaded then or later, or nobody knows when.

    What was yanked or removed since then is not brought back; what only a site has, stays.
    """

    def __init__(self, below: Source, time: datetime) -> None:
        super().__init__(below)
        self.undated: set[ProjectName] = set()
        """Projects with files of which nobody knows when they came."""
        self._time = time

    def _changed(self, project: ProjectName, found: Releases | None) -> Releases | None:
        if found is None:
            return None
        files = {
            version: tuple(file for file in some if self._is_old(file))
            for version, some in found.files.items()
        }
        return Releases(project, {version: some for version, some in files.items() if some})

    def _is_old(self, file: PageFile) -> bool:
        if is_private(file):
            return True
        if file.uploaded_at is None:
            self.undated.add(split_filename(file.filename)[0])
        return file.uploaded_at is not None and file.uploaded_at < self._time


class Proven(Layer):
    """An index, of whose files some were read themselves: what they say counts."""

    def __init__(self, below: Source) -> None:
        super().__init__(below)
        self._known: dict[str, Described] = {}

    def prove(self, file: PageFile, described: Described) -> None:
        """Say what is in a file. Before others ask, not while they do."""
        self._known[file.url] = described

    def described(self, file: PageFile) -> Described:
        """What is in the file, if that is known."""
        known = self._known.get(file.url)
        return super().described(file) if known is None else known

    def expect_described(self, file: PageFile) -> None:
        """If it is not known."""
        if file.url not in self._known:
            super().expect_described(file)


class Sorted(Layer):
    """An index, of whose files some turned out to be such as nobody takes in.

    For the top: other layers change pages, and keep them as they were.
    """

    def __init__(self, below: Source) -> None:
        super().__init__(below)
        self._spoilt: dict[ProjectName, dict[str, str]] = {}

    def sort_out(self, file: PageFile, why: str) -> None:
        """Say why a file is no good, in a clause. Before others ask, not while they do."""
        project, _ = split_filename(file.filename)
        self._spoilt.setdefault(project, {})[file.url] = why

    def releases(self, project: ProjectName) -> Releases | None:
        """A project, and what is wrong with some of its files. Raises SourceTrouble."""
        found = super().releases(project)
        spoilt = self._spoilt.get(project)
        return found if found is None or spoilt is None else replace(found, spoilt=spoilt)


class WithPrivate(_OtherPages):
    """An index, and beside it files that only the site has: nothing is known but their names."""

    def __init__(self, below: Source, filenames: Mapping[ProjectName, Sequence[str]]) -> None:
        super().__init__(below)
        self._filenames = filenames

    def _changed(self, project: ProjectName, found: Releases | None) -> Releases | None:
        there = [] if found is None else [file for some in found.files.values() for file in some]
        names = {file.filename for file in there}
        private = [
            PageFile(_as_wheel(name), private_url(name), {})
            for name in self._filenames.get(project, ())
            if name not in names
        ]
        return releases_of(project, [*there, *private]) if private else found

    def described(self, file: PageFile) -> Described:
        """Of what only the site has: that it needs nothing, which nobody knows."""
        if is_private(file):
            return Described((), None, frozenset(), is_proven=False)
        return super().described(file)

    def expect_described(self, file: PageFile) -> None:
        """If it can be asked for."""
        if not is_private(file):
            super().expect_described(file)


def _as_wheel(filename: str) -> str:
    """A source distribution is told as a wheel for all: how the site uses it, is not known here."""
    if filename.endswith(".whl"):
        return filename
    project, version = split_filename(filename)
    return f"{project.replace('-', '_')}-{version}-py3-none-any.whl"


_PRIVATE = "private:"


def private_url(filename: str) -> str:
    """Where a file is said to be that only the site has."""
    return f"{_PRIVATE}{filename}"


def is_private(file: PageFile) -> bool:
    """Whether only the site has a file."""
    return file.url.startswith(_PRIVATE)


def versions_by_project(
    names: Iterable[tuple[ProjectName, str]],
) -> dict[ProjectName, frozenset[Version]]:
    """As `Wishes.held` has it."""
    found: dict[ProjectName, set[Version]] = {}
    for project, version in names:
        found.setdefault(project, set()).add(Version(version))
    return {project: frozenset(versions) for project, versions in found.items()}
