"""What the server must show: the history of every file that clients may see.

Each file name is written by one client alone, so its history is known exactly: the writer notes a
state before it sends it, and settles it once the server has acknowledged it. Whoever reads may see
what was settled when it asked, or anything that was sent since; and never nothing.
"""

import hashlib
import io
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from tests.builders import BuiltFile

STOCK_INDEX = "root/local"
"""Not volatile: what is in it stays as it is."""
VOLATILE_INDEX = "root/soak"
"""Files in it are replaced; it shows those of the stock, too, as a base."""

Seen: TypeAlias = Sequence["ShownFile"]


class WrongAnswer(Exception):
    """The server said something that cannot be."""


@dataclass(frozen=True, slots=True)
class FileState:
    """What a page says of a file at some time."""

    sha256: str
    size_bytes: int
    metadata_sha256: str | None
    """None where none is announced, as for sdists."""
    yanked: str | None = None

    @classmethod
    def of(cls, built: BuiltFile) -> "FileState":
        """That of a file that has just been stored."""
        return cls(built.sha256, len(built.content), _metadata_sha256(built))

    def yanked_for(self, reason: str | None) -> "FileState":
        """The same bytes, yanked or not."""
        return replace(self, yanked=reason)


@dataclass(frozen=True, slots=True)
class ShownFile:
    """A file as a page shows it."""

    filename: str
    path: str
    """Of its URL."""
    sha256: str
    metadata_sha256: str | None
    yanked: str | None
    size_bytes: int | None
    """None on HTML pages, which tell no sizes."""


class Slot:
    """One file name of an index, which always has some file.

    Written by one thread, read by all: states are only appended, and `settled` only grows.
    """

    def __init__(self, index: str, project: str, version: str, built: BuiltFile) -> None:
        self.index = index
        self.project = project
        self.version = version
        self.filename = built.filename
        self.settled = 0
        """The number of the state that was acknowledged last."""
        self._states = [FileState.of(built)]

    @property
    def now(self) -> FileState:
        """The state that was acknowledged last."""
        return self._states[self.settled]

    @property
    def is_untouched(self) -> bool:
        """Whether nothing has been sent since the beginning."""
        return len(self._states) == 1

    def begin(self, state: FileState) -> None:
        """This is about to be sent."""
        self._states.append(state)

    def settle(self) -> None:
        """What was sent last has been acknowledged."""
        self.settled = len(self._states) - 1

    def since(self, number: int) -> Sequence[FileState]:
        """The state of that number, and all that came after it."""
        return self._states[number:]

    def path_of(self, state: FileState) -> str:
        """Of the URL of its bytes."""
        prefix = f"{state.sha256[:3]}/{state.sha256[3:16]}"
        return f"/{self.index}/+f/{prefix}/{self.filename}"

    def may_be_gone(self, state: FileState, number: int) -> bool:
        """Whether other bytes were sent since the state of that number."""
        return any(each.sha256 != state.sha256 for each in self.since(number))


class Model:
    """All file names, by project. Projects and names stay the same for the whole run."""

    def __init__(self, slots: Iterable[Slot]) -> None:
        self.slots = tuple(slots)
        self._of_project: dict[str, list[Slot]] = {}
        for slot in self.slots:
            self._of_project.setdefault(slot.project, []).append(slot)
        self.projects = tuple(self._of_project)

    def expect(self, project: str) -> "Expectation":
        """What a page that is asked for from now on must show."""
        return Expectation(project, [(slot, slot.settled) for slot in self._of_project[project]])

    def indexes_of(self, project: str) -> tuple[str, ...]:
        """The indexes that show a project."""
        if self._of_project[project][0].index == STOCK_INDEX:
            return STOCK_INDEX, VOLATILE_INDEX
        return (VOLATILE_INDEX,)

    def shown_at(self, index: str) -> frozenset[str]:
        """The projects on the list of an index."""
        return frozenset(name for name in self.projects if index in self.indexes_of(name))

    def stored_at(self, index: str) -> frozenset[str]:
        """The projects that an index has itself."""
        return frozenset(slot.project for slot in self.slots if slot.index == index)


@dataclass(frozen=True, slots=True)
class Expectation:
    """What was known of a project when its page was asked for."""

    project: str
    marks: Sequence[tuple[Slot, int]]
    """Its file names, each with the number of the state that was settled."""

    @property
    def is_untouched(self) -> bool:
        """Whether nothing about the project has changed since the beginning."""
        return all(slot.is_untouched for slot, _ in self.marks)

    def check(self, shown: Seen) -> None:
        """Raises WrongAnswer for a page that says anything else than it must."""
        files = {file.filename: file for file in shown}
        if len(files) != len(shown):
            raise WrongAnswer(f"the page of {self.project} shows a file twice")
        for slot, number in self.marks:
            file = files.pop(slot.filename, None)
            if file is None:
                raise WrongAnswer(f"{slot.filename} was acknowledged and is missing on its page")
            if not any(_agree(file, slot, state) for state in slot.since(number)):
                raise WrongAnswer(
                    f"{slot.filename} is shown as {file}, which is none of the last "
                    f"{len(slot.since(number))} states; {slot.since(number)[0]} was acknowledged"
                )
        if files:
            raise WrongAnswer(f"the page of {self.project} shows {sorted(files)}, never sent")


def _agree(file: ShownFile, slot: Slot, state: FileState) -> bool:
    as_it_must_be = ShownFile(
        filename=slot.filename,
        path=slot.path_of(state),
        sha256=state.sha256,
        metadata_sha256=state.metadata_sha256,
        yanked=state.yanked,
        size_bytes=file.size_bytes and state.size_bytes,
    )
    return file == as_it_must_be


def _metadata_sha256(built: BuiltFile) -> str | None:
    if not built.filename.endswith(".whl"):
        return None
    with zipfile.ZipFile(io.BytesIO(built.content)) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return hashlib.sha256(archive.read(name)).hexdigest()
