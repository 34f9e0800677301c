"""What a store asks of its two halves, method by method. Each backend is a class that fits.

Everything here blocks, and may be called from any thread: callers that must not wait hand whole
jobs to a thread. `tests/storage/contract_*.py` says the same in tests, for every backend.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO, Protocol, TypeAlias, TypeVar

from .model import (
    Actor,
    ApiToken,
    Attachment,
    Delivery,
    DistFile,
    Index,
    JsonValue,
    ListedFile,
    Project,
    Release,
    Sidecar,
    Staged,
    User,
)
from .names import FilePlace, IndexName, ProjectName, UserName
from .search_text import Found, Term

T = TypeVar("T")

Arrival: TypeAlias = "tuple[Staged, FilePlace, Mapping[Sidecar, bytes]]"
"""Staged bytes, where they are to lie, and what beside them."""


class Draft(Protocol):
    """A file that is being received. Leaving its `with` block removes what was not published."""

    def write(self, chunk: bytes) -> None:
        """Take the next bytes. Raises Unavailable when the disk is full or fails."""
        ...

    def finish(self) -> Staged:
        """Close it: all bytes are there."""
        ...


class Files(Protocol):
    """Bytes at places. A place is decided by its bytes, so it never changes them."""

    def draft(self) -> AbstractContextManager[Draft]:
        """Begin to receive a file, out of every client's sight."""
        ...

    def draft_of(self, place: FilePlace) -> AbstractContextManager[Path]:
        """A draft that has the bytes of a stored file already, for another index.

        They take no room of their own where the backend can help it. Raises NotStored.
        """
        ...

    def publish(self, staged: Staged, place: FilePlace, sidecars: Mapping[Sidecar, bytes]) -> None:
        """Put staged bytes, and what lies beside them, at their place, to stay.

        Once this returns, a power cut loses nothing. The same bytes may be published twice.
        """
        ...

    def publish_all(self, arrivals: Sequence[Arrival]) -> None:
        """Publish many: the disk has what it can at once. If it raises, any may be there or not."""
        ...

    def confirm(self, staged: Staged, place: FilePlace, sidecars: Mapping[Sidecar, bytes]) -> None:
        """Publish again if a removal of the same bytes has just taken the place away.

        `sidecars` are those that were published, or some of them.
        Called inside the catalog's change, which removals respect too; cheap when all is well.
        """
        ...

    def holds(self, staged: Staged, place: FilePlace, sidecars: Mapping[Sidecar, bytes]) -> bool:
        """Whether the place has these bytes, and these beside them. Reads all of both."""
        ...

    def leave(self, staged: Staged) -> None:
        """Keep the draft when its block ends, so that it can be found out later where it went.

        By `finish`, or else by the `recover` of another process.
        """
        ...

    def finish(self, is_recorded: Callable[[FilePlace], bool]) -> None:
        """Take back what was published by drafts that were left, and drop those.

        Called inside the catalog's change.
        """
        ...

    def remove(self, place: FilePlace) -> None:
        """Delete the file, and all beside it. Nothing there is fine."""
        ...

    def open(self, place: FilePlace) -> BinaryIO:
        """The bytes, open for reading. Raises NotStored."""
        ...

    def open_sidecar(self, place: FilePlace, sidecar: Sidecar) -> BinaryIO:
        """What lies beside the file. Raises NotStored."""
        ...

    def recover(self, is_recorded: Callable[[FilePlace], bool]) -> int:
        """Remove what processes that died have left behind; how many drafts there were.

        Called inside the catalog's change. Costs the number of left-overs, not of files.
        """
        ...

    def close(self) -> None:
        """Let go of locks and folders."""
        ...


class Snapshot(Protocol):
    """The catalog as it stood at one serial. Not to be kept: it holds a reader."""

    @property
    def serial(self) -> int:
        """Of the last change that this snapshot sees."""
        ...

    @property
    def journal_name(self) -> str:
        """The file of the journal in which that change, or the next one, is told."""
        ...

    def user(self, name: UserName) -> User | None:
        """One user."""
        ...

    def users(self) -> tuple[User, ...]:
        """All users, by name."""
        ...

    def tokens(self, user: UserName) -> tuple[ApiToken, ...]:
        """All tokens of a user, the oldest first; also those that are no good any more."""
        ...

    def token_by_digest(self, sha256: str) -> ApiToken | None:
        """The token whose secret has this digest. Whether it is still good, the caller asks."""
        ...

    def index(self, name: IndexName) -> Index | None:
        """One index."""
        ...

    def indexes(self) -> tuple[Index, ...]:
        """All indexes, by name."""
        ...

    def projects(self, index: IndexName) -> tuple[Project, ...]:
        """The index's own projects, by normalised name."""
        ...

    def listed_projects(
        self, index: IndexName, after: str, at_most: int
    ) -> tuple[tuple[ProjectName, int], ...]:
        """The next of the index's own projects, and their serials, by normalised name.

        `after` is the last name that is known already; before the first, it is empty.
        """
        ...

    def count_projects(self, index: IndexName, at_most: int | None = None) -> int:
        """How many projects of its own the index has.

        None are counted beyond `at_most`, so that asking whether there are many is quick.
        """
        ...

    def project(self, index: IndexName, name: ProjectName) -> Project | None:
        """One project of the index's own."""
        ...

    def had_project(self, index: IndexName, name: ProjectName) -> bool:
        """Whether the index has, or ever had, the project.

        A name that was private once stays so when its last file is gone, until `forget_former`.
        """
        ...

    def release(self, index: IndexName, project: ProjectName, version: str) -> Release | None:
        """One release of the index's own."""
        ...

    def releases(self, index: IndexName, project: ProjectName) -> tuple[Release, ...]:
        """All releases of one of the index's own projects, in order of arrival."""
        ...

    def files(self, index: IndexName, project: ProjectName) -> tuple[DistFile, ...]:
        """All files of one of the index's own projects, in order of arrival."""
        ...

    def listed_files(self, index: IndexName, project: ProjectName) -> tuple[ListedFile, ...]:
        """The same files, as far as a page shows them."""
        ...

    def has_files(self, index: IndexName, project: ProjectName, version: str) -> bool:
        """Whether one of the index's own releases, by its very spelling, has any file."""
        ...

    def search(self, index: IndexName, terms: Sequence[Term]) -> Iterator[Found]:
        """Those of the index's own releases that have files, and in which all terms are found.

        By project, and within it in order of arrival; of projects with any status. Read as they
        are asked for: many of them take no memory.
        """
        ...

    def all_facts(self) -> Iterator[tuple[str, dict[str, JsonValue]]]:
        """All of it, as facts like those in the journal, from which a catalog can be made again.

        Indexes and projects have a `serial` in them. Read as they are asked for.
        """
        ...

    def file_at(self, place: FilePlace) -> DistFile | None:
        """The file that is recorded at a place."""
        ...

    def file_named(self, index: IndexName, key: str) -> DistFile | None:
        """The file that has a name in an index, whichever way it is spelled."""
        ...

    def attachments(self, index: IndexName, project: ProjectName) -> tuple[Attachment, ...]:
        """What belongs to the releases of one of the index's own projects, in order of arrival."""
        ...

    def attachment_at(self, place: FilePlace) -> Attachment | None:
        """What is recorded at a place and is no file of a release."""
        ...

    def deliveries(self) -> tuple[Delivery, ...]:
        """What came together, the oldest first; also what was taken back."""
        ...


class Change(Snapshot, Protocol):
    """One change of the catalog: all of it becomes visible at one serial, or nothing does."""

    @property
    def new_serial(self) -> int:
        """The one at which it becomes visible, if it changes anything."""
        ...

    def put_user(self, user: User) -> None:
        """Create or change a user. Raises AlreadyStored if another differs only in case."""
        ...

    def put_token(self, token: ApiToken) -> None:
        """Record a token of a user who is there. Raises AlreadyStored."""
        ...

    def remove_token(self, token: ApiToken) -> None:
        """Forget a token. Those of a user go with the user."""
        ...

    def put_index(self, index: Index) -> None:
        """Create or change an index. Raises AlreadyStored if another differs only in case."""
        ...

    def put_release(self, release: Release, display_name: str) -> None:
        """Create or change a release, and its project where there is none."""
        ...

    def put_file(self, file: DistFile) -> None:
        """Record a file of a release that is there. Raises AlreadyStored if its key is taken."""
        ...

    def mark_project(self, project: Project) -> None:
        """Change the status, and its reason, of a project that is there."""
        ...

    def yank_file(self, file: DistFile, reason: str | None) -> None:
        """Mark a file as yanked for a reason, which may be empty; None: as not yanked."""
        ...

    def remove_file(self, file: DistFile) -> None:
        """Forget a file; its place is kept in mind until `forget_removal`."""
        ...

    def put_attachment(self, attachment: Attachment) -> None:
        """Record what belongs to a release that is there, instead of what was at its place."""
        ...

    def remove_attachment(self, attachment: Attachment) -> None:
        """Forget it; its place is kept in mind until `forget_removal`."""
        ...

    def remove_release(self, index: IndexName, project: ProjectName, version: str) -> None:
        """Forget a release that has neither files nor attachments."""
        ...

    def remove_project(self, index: IndexName, name: ProjectName) -> None:
        """Forget a project that has no releases. `had_project` still knows its name."""
        ...

    def forget_former(self, index: IndexName, name: ProjectName) -> None:
        """Give up the name of a project that was removed: nothing is kept of it any more."""
        ...

    def remove_index(self, name: IndexName) -> None:
        """Forget an index that has no projects, and which ones it had."""
        ...

    def remove_user(self, name: UserName) -> None:
        """Forget a user. That they own no index is for the caller to see to."""
        ...

    def put_delivery(self, delivery: Delivery) -> None:
        """Record what came together, in the change that takes it in; one in a change."""
        ...

    def undo_delivery(self, serial: int) -> None:
        """Note that this change takes back what came in with that one. Raises NotStored."""
        ...

    def removals(self) -> tuple[FilePlace, ...]:
        """Places whose files were forgotten and may still be there."""
        ...

    def forget_removal(self, place: FilePlace) -> None:
        """The file is gone. Housekeeping: not a change that anybody sees."""
        ...


class Catalog(Protocol):
    """What is known about the files."""

    def snapshot(self) -> AbstractContextManager[Snapshot]:
        """A consistent view, for the time of the block.

        Taken within a change, it shows what was committed before, without what the change does.
        """
        ...

    def change(self, work: Callable[[Change], T], *, by: Actor, what: str) -> T:
        """Do `work` alone, in all processes; when this returns, what it changed stays.

        `work` may be run together with others' work in one commit, but sees a catalog that only
        it changes. If it raises, nothing of it is kept, and the error comes out here. It gets a
        serial of its own if it changed anything, and one line in the journal, with `by` and
        `what`. Raises Unavailable when the catalog cannot be written, or is closed.
        """
        ...

    def begin_segment(self) -> None:
        """Let the journal go on in a new file, so that what was written before can be removed.

        Unless it has just begun one. Raises Unavailable.
        """
        ...

    def agreed_serial(self) -> int | None:
        """The serial, if no process is in the middle of a change; without a system call.

        What was read after an agreed serial, and while it stands, is not out of date.
        """
        ...

    def settled_serial(self) -> int:
        """The serial of the last change that was answered for; without a system call.

        For telling, not for deciding: a change may be on its way.
        """
        ...

    @property
    def uuid(self) -> str:
        """32 hex digits that tell this server from others."""
        ...

    def close(self) -> None:
        """Finish what is being written."""
        ...
