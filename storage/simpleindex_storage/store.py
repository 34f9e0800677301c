"""The one door into an index: bytes are staged, then admitted, and all guards stand in between.

An upload, an upstream's file and a bundle's file come in by the same two calls. The promise, kept
at every moment and across crashes: a recorded file has its bytes, and bytes without a record are
invisible. So files are published first and recorded after; and forgotten first, then deleted.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from typing import BinaryIO

from .errors import AlreadyStored, Damaged, NotStored, Refused, StoreError, Unavailable
from .faults import Finding
from .inspecting import Inspect
from .inspection import inspect
from .model import (
    Actor,
    Admitted,
    Attachment,
    AttachmentKind,
    CoreMetadata,
    Digests,
    DistFile,
    Event,
    Index,
    LogEntry,
    Outcome,
    ProjectStatus,
    Release,
    Sidecar,
    Staged,
    StageSettings,
    Upload,
)
from .names import (
    DistFilename,
    FilePlace,
    IndexName,
    ProjectName,
    parse_filename,
    parse_project_name,
    same_version,
)
from .ports import Catalog, Change, Draft, Files, Snapshot
from .provenance import check_provenance, check_signature
from .upkeep import check_open_project, forget_file, open_index

_OURSELVES = Actor("")
"""The server, of itself: what it tidies is no change that anybody sees."""

_SWEPT_AT_ONCE_MAX = 100
"""Files that are deleted under one hold of the write lock: some 50 ms."""


class Store:
    """Files and the catalog, kept in step. Blocks; may be called from any thread."""

    def __init__(self, files: Files, catalog: Catalog, now: Callable[[], datetime]) -> None:
        self._files = files
        self.catalog = catalog
        self._now = now
        self._is_untidy = False
        """Whether something could not be removed: then whoever changes something tries again."""

    def stage(self) -> AbstractContextManager[Draft]:
        """Receive bytes out of sight. Call `admit` inside the block to keep them."""
        return self._files.draft()

    def admit(
        self,
        arrivals: Sequence[tuple[Upload, Staged]],
        *,
        by: Actor,
        make_index: Index | None = None,
        strict_archives: bool | None = None,
        what: str = "upload",
    ) -> tuple[Admitted, ...]:
        """Check files, publish and record them: all of them, or none.

        `make_index` is created with the first file if it does not exist; `strict_archives` counts
        instead of the index's own setting; `by` and `what` stand in the journal. The same bytes
        again are fine, and change nothing but what has become of the stored ones: those that were
        lost or damaged are put right. Once this returns, a crash or power cut loses nothing.
        Raises Refused, Damaged, AlreadyStored, NotStored (the index) and Unavailable; then nothing
        is left of any of the files.
        """
        checked = [self.check(upload, staged, strict_archives) for upload, staged in arrivals]
        return self.admit_checked(checked, by=by, make_index=make_index, what=what)

    def check(
        self,
        upload: Upload,
        staged: Staged,
        strict_archives: bool | None = None,
        *,
        look_through: Inspect = inspect,
    ) -> "Checked":
        """Everything that can be said of a file without looking at what is stored already.

        The first half of `admit`, for who has many files and several threads, and for
        `look_through` perhaps several processes. Raises Refused, Damaged, Unavailable.
        """
        filename = parse_filename(upload.filename)
        _check_digests(upload, staged)
        # First: it knows better what is wrong.
        metadata, findings = look_through(staged.path, filename)
        _check_said(upload, filename)
        sidecars = {Sidecar.METADATA: metadata.raw}
        if upload.signature is not None:
            check_signature(upload.signature, filename)
            sidecars[Sidecar.SIGNATURE] = upload.signature
        if upload.provenance is not None:
            check_provenance(upload.provenance, filename, staged.digests.sha256)
            sidecars[Sidecar.PROVENANCE] = upload.provenance
        uploaded_at = upload.uploaded_at or self._now()
        digests = {sidecar: sha256(content).hexdigest() for sidecar, content in sidecars.items()}
        file = DistFile(
            index=upload.index,
            project=filename.project,
            version=filename.version,
            filename=filename.text,
            key=filename.key,
            size_bytes=staged.size_bytes,
            sha256=staged.digests.sha256,
            md5=staged.digests.md5,
            blake2b_256=staged.digests.blake2b_256,
            uploaded_at=uploaded_at,
            uploaded_by=upload.sender,
            requires_python=metadata.requires_python,
            metadata_sha256=digests[Sidecar.METADATA],
            signature_sha256=digests.get(Sidecar.SIGNATURE),
            provenance_sha256=digests.get(Sidecar.PROVENANCE),
            findings=tuple(finding.rule for finding in findings),
            yanked=upload.yanked,
            log=upload.log or (_uploaded(upload, uploaded_at),),
        )
        return Checked(upload, staged, metadata, sidecars, file, findings, strict_archives)

    def objections(
        self, checked: "Iterable[Checked]", make_index: Index | None = None
    ) -> list[StoreError]:
        """What would be raised for each of some files, if they were admitted now."""
        found: list[StoreError] = []
        with self.catalog.snapshot() as seen:
            for arrival in checked:
                try:
                    _look_up(seen, arrival, make_index)
                except (Refused, AlreadyStored, NotStored) as error:
                    found.append(error)
        return found

    def admit_checked(
        self,
        checked: "Sequence[Checked]",
        *,
        by: Actor,
        make_index: Index | None = None,
        what: str = "upload",
        then: Callable[[Change, tuple[Admitted, ...]], None] | None = None,
    ) -> tuple[Admitted, ...]:
        """The second half of `admit`: publish and record files, all of them or none.

        `then` is done in the same change, when all files are recorded, and also where all were
        there before; if it raises, nothing was done. Raises as `admit` does, and what `then` does.
        """
        with self.catalog.snapshot() as seen:  # saves the disk's work if it is to be refused
            known = [_look_up(seen, arrival, make_index) for arrival in checked]
        whole = {
            file.place
            for arrival, file in zip(checked, known, strict=True)
            if file and self._files.holds(arrival.staged, file.place, arrival.beside(file))
        }
        if then is None and all(file and file.place in whole for file in known):
            return tuple(
                Admitted(file, Outcome.ALREADY_THERE) for file in known if file is not None
            )
        new = [
            (arrival.staged, arrival.file.place, arrival.sidecars)
            for arrival, same in zip(checked, known, strict=True)
            if same is None
        ]

        def record(change: Change) -> tuple[Admitted, ...]:
            admitted = self._record(change, checked, make_index, whole)
            if then is not None:
                then(change, admitted)
            return admitted

        try:
            if new:
                self._files.publish_all(new)
            admitted = self.catalog.change(record, by=by, what=what)
        except BaseException:
            self._withdraw([arrival.placed for arrival in checked])
            raise
        if [entry.file.place for entry in admitted] != [it.file.place for it in checked]:
            # Somebody was faster, with another spelling of a name.
            self._withdraw([arrival.placed for arrival in checked])
        if self._is_untidy or any(entry.outcome is Outcome.REPLACED for entry in admitted):
            self.sweep_if_possible()
        return admitted

    @contextmanager
    def stage_copy(self, file: DistFile) -> Iterator[Staged]:
        """A stored file's bytes, to be admitted to another index. They are not read again.

        Raises NotStored, Unavailable.
        """
        digests = Digests(file.sha256, file.md5, file.blake2b_256)
        with self._files.draft_of(file.place) as path:
            yield Staged(path, digests, file.size_bytes)

    def attach(self, attachment: Attachment, staged: Staged, *, by: Actor) -> Outcome:
        """Keep what belongs to a release, in an index that takes files.

        Documentation of a release that is not there makes the release; the result of a test needs
        its file. Raises NotStored, Refused, AlreadyStored and Unavailable; then nothing is left.
        """
        placed = [(attachment.place, staged)]
        try:
            self._files.publish(staged, attachment.place, {})
            outcome = self.catalog.change(
                lambda change: self._record_attachment(change, attachment, staged),
                by=by,
                what=attachment.kind,
            )
        except BaseException:
            self._withdraw(placed)
            raise
        if outcome is Outcome.ALREADY_THERE:
            self._withdraw(placed)  # it may be there under another name
        if self._is_untidy or outcome is Outcome.REPLACED:
            self.sweep_if_possible()
        return outcome

    def put_back(
        self, file: DistFile | Attachment, staged: Staged, sidecars: Mapping[Sidecar, bytes]
    ) -> bool:
        """Let a recorded file have its bytes again; False if it is on record no more.

        What is staged must be the recorded bytes. Raises Unavailable.
        """

        def put(change: Change) -> bool:
            known = change.file_at(file.place) or change.attachment_at(file.place)
            if known is None or known.sha256 != file.sha256:
                return False
            self._files.confirm(staged, file.place, sidecars)
            return True

        return self.catalog.change(put, by=_OURSELVES, what="put back")

    def open_attachment(self, place: FilePlace) -> tuple[Attachment, BinaryIO]:
        """What belongs to a release, open for reading. Raises NotStored, Unavailable."""
        with self.catalog.snapshot() as seen:
            attachment = seen.attachment_at(place)
            if attachment is None:
                raise NotStored(f"file {place.filename}")
            _check_offered(seen, attachment.index, attachment.project, place)
        return attachment, self._files.open(place)

    def open(self, place: FilePlace) -> tuple[DistFile, BinaryIO]:
        """A recorded file and its bytes, open for reading. Raises NotStored, Unavailable."""
        return self._recorded(place), self._files.open(place)

    def open_sidecar(self, place: FilePlace, sidecar: Sidecar) -> tuple[DistFile, BinaryIO]:
        """A recorded file, and what lies beside it, open. Raises NotStored, Unavailable."""
        file = self._recorded(place)
        if file.sha256_of(sidecar) is None:
            raise NotStored(f"file {place.filename}{sidecar}")
        return file, self._files.open_sidecar(place, sidecar)

    def recover(self) -> int:
        """Tidy up after processes that died; how many of their drafts there were."""
        dropped = self.catalog.change(self._recover, by=_OURSELVES, what="recover")
        self.sweep_if_possible()  # a full disk must not keep anybody from reading
        return dropped

    def sweep_if_possible(self) -> None:
        """Delete the files that were forgotten.

        What is left is removed with the next upload or removal, or else at the next start.
        """
        with suppress(StoreError):
            self.sweep()

    def sweep(self) -> None:
        """Delete the files that were forgotten, some at a time: uploads go on in between.

        Raises Unavailable. A file that cannot be deleted does not keep the others from it.
        """
        self._is_untidy = True
        failure: Unavailable | None = None
        is_more = True
        while is_more:
            is_more, failed = self.catalog.change(self._sweep, by=_OURSELVES, what="sweep")
            failure = failure or failed
        if failure is not None:
            raise failure
        self._is_untidy = False

    def close(self) -> None:
        """Finish, and let go of everything."""
        self.catalog.close()
        self._files.close()

    def _record(
        self,
        change: Change,
        arrivals: "Sequence[Checked]",
        make_index: Index | None,
        whole: Collection[FilePlace],
    ) -> tuple[Admitted, ...]:
        """The part that must be alone: decide, and write it down.

        `whole` are places that are known to have their bytes.
        """
        admitted = []
        for arrival in arrivals:
            file = arrival.file
            same = _look_up(change, arrival, make_index)
            if same is not None:
                if same.place not in whole:
                    self._files.confirm(arrival.staged, same.place, arrival.beside(same))
                admitted.append(Admitted(same, Outcome.ALREADY_THERE))
                continue
            if change.index(file.index) is None and make_index is not None:
                change.put_index(make_index)
            replaced = change.file_named(file.index, file.key)
            if replaced is not None:
                forget_file(change, replaced)
                file = replace(file, log=(_overwritten(replaced, self._now()), *file.log))
            self._files.confirm(arrival.staged, file.place, arrival.sidecars)
            fields = {**arrival.upload.fields, **arrival.metadata.fields}
            change.put_release(
                Release(file.index, file.project, file.version, fields), arrival.metadata.name
            )
            change.put_file(file)
            outcome = Outcome.ADDED if replaced is None else Outcome.REPLACED
            admitted.append(Admitted(file, outcome, arrival.remarks))
        return tuple(admitted)

    def _record_attachment(self, change: Change, attachment: Attachment, staged: Staged) -> Outcome:
        """The part that must be alone: decide, and write it down."""
        index = open_index(change.index(attachment.index), attachment.index)
        if attachment.kind is AttachmentKind.DOCUMENTATION:
            outcome = _make_room_for_documentation(change, attachment, index)
            if outcome is Outcome.ALREADY_THERE:
                if change.attachment_at(attachment.place) is not None:
                    self._files.confirm(staged, attachment.place, {})
                return outcome
        else:
            outcome = Outcome.ADDED
            _check_result(change, attachment)
        self._files.confirm(staged, attachment.place, {})
        change.put_attachment(attachment)
        return outcome

    def _withdraw(self, placed: Sequence[tuple[FilePlace, Staged]]) -> None:
        """Take back what was published and then not recorded."""

        def take_back(change: Change) -> None:
            with self._needed(change) as needs:
                for place, _ in placed:
                    if not needs(place):
                        self._files.remove(place)

        try:
            self.catalog.change(take_back, by=_OURSELVES, what="withdraw")
        except StoreError:
            self._is_untidy = True
            for _, staged in placed:
                self._files.leave(staged)

    def _recover(self, change: Change) -> int:
        with self._needed(change) as needs:
            return self._files.recover(needs)

    def _sweep(self, change: Change) -> tuple[bool, Unavailable | None]:
        """Whether there is more to do; and what went wrong."""
        swept, failure = 0, None
        with self._needed(change) as needs:
            for place in change.removals():
                if swept == _SWEPT_AT_ONCE_MAX:
                    return True, failure
                if needs(place) and not _is_used(change, place):
                    continue  # its removal is still to be committed; the next sweep finds it
                try:
                    if not needs(place):
                        self._files.remove(place)
                except Unavailable as error:
                    failure = error
                    continue
                change.forget_removal(place)
                swept += 1
            try:
                self._files.finish(needs)
            except Unavailable as error:
                failure = error
        return False, failure

    @contextmanager
    def _needed(self, change: Change) -> Iterator[Callable[[FilePlace], bool]]:
        """Whether the bytes at a place must stay, in a change that wants to delete some.

        What others have forgotten a moment ago, in the same commit, is on record again if that
        commit fails. So only what is neither in the change nor in the last commit may go.
        """
        with self.catalog.snapshot() as committed:
            yield lambda place: _is_used(change, place) or _is_used(committed, place)

    def _recorded(self, place: FilePlace) -> DistFile:
        with self.catalog.snapshot() as seen:
            file = seen.file_at(place)
            if file is None:
                raise NotStored(f"file {place.filename}")
            _check_offered(seen, file.index, file.project, place)
        return file


@dataclass(frozen=True, slots=True)
class Checked:
    """A file that may be stored, if its name is free."""

    upload: Upload
    staged: Staged
    metadata: CoreMetadata
    sidecars: Mapping[Sidecar, bytes]
    file: DistFile
    findings: tuple[Finding, ...]
    strict_archives: bool | None
    """Whether findings are refused, if that is not for the index to say."""

    def beside(self, stored: DistFile) -> Mapping[Sidecar, bytes]:
        """What has come that is recorded to lie beside a stored file."""
        return {
            sidecar: content
            for sidecar, content in self.sidecars.items()
            if stored.sha256_of(sidecar) == sha256(content).hexdigest()
        }

    @property
    def placed(self) -> tuple[FilePlace, Staged]:
        """Where it is to lie, and its draft."""
        return self.file.place, self.staged

    @property
    def remarks(self) -> tuple[str, ...]:
        """What is wrong with it, in sentences."""
        return tuple(finding.sentence for finding in self.findings)


def _check_said(upload: Upload, filename: DistFilename) -> None:
    """The form's name and version are those of the file."""
    if upload.name is not None and parse_project_name(upload.name) != filename.project:
        raise Refused(
            upload.filename,
            f"the form says that the project is {upload.name!r}, the file is of "
            f"{filename.project!r}; send the name that the file has",
        )
    if upload.version is not None and not same_version(upload.version, filename.version):
        raise Refused(
            upload.filename,
            f"the form says that the version is {upload.version!r}, the file is of "
            f"{filename.version!r}; send the version that the file has",
        )


def _check_digests(upload: Upload, staged: Staged) -> None:
    for algorithm, promised in upload.promised.items():
        actual = getattr(staged.digests, algorithm)
        if promised != actual:
            raise Damaged(upload.filename, algorithm, promised, actual)


def _uploaded(upload: Upload, when: datetime) -> LogEntry:
    return LogEntry(Event.UPLOAD, upload.sender or None, when, target=upload.index)


def _overwritten(file: DistFile, when: datetime) -> LogEntry:
    """devpi counts how often a file was replaced, and forgets what else had happened to it."""
    counts = [entry.count or 0 for entry in file.log if entry.what is Event.OVERWRITE]
    return LogEntry(Event.OVERWRITE, None, when, count=max(counts, default=0) + 1)


def _check_offered(
    seen: Snapshot, index: IndexName, project: ProjectName, place: FilePlace
) -> None:
    known = seen.project(index, project)
    if known is not None and known.status is ProjectStatus.QUARANTINED:
        raise NotStored(f"file {place.filename}", "its project is quarantined")


def _make_room_for_documentation(change: Change, attachment: Attachment, index: Index) -> Outcome:
    """A release has its documentation once, under the rules of files."""
    project, version = attachment.project, attachment.version
    filename = attachment.place.filename
    check_open_project(change, project, index, filename)
    known = [
        each
        for each in change.attachments(index.name, project)
        if each.kind is attachment.kind and each.version == version
    ]
    if any(each.sha256 == attachment.sha256 for each in known):
        return Outcome.ALREADY_THERE
    if known and not index.settings.volatile:
        raise AlreadyStored(
            "File",
            filename,
            f"{index.name} never replaces documentation (volatile=False)",
        )
    for each in known:
        change.remove_attachment(each)
    if change.release(index.name, project, version) is None:
        there = change.project(index.name, project)
        name = str(project) if there is None else there.display_name
        bare = {"name": name, "version": version}
        change.put_release(Release(index.name, project, version, bare), name)
    return Outcome.REPLACED if known else Outcome.ADDED


def _check_result(change: Change, attachment: Attachment) -> None:
    """The result of a test is about a file that is there, and never replaces another one."""
    place, filename = attachment.place, attachment.place.filename
    file = change.file_named(attachment.index, attachment.file_key or "")
    # Other bytes may have come under the name while the test was running.
    if file is None or file.place.sha256_prefix != place.sha256_prefix:
        raise NotStored(f"file that {filename} is about")
    _check_offered(change, file.index, file.project, place)
    if change.attachment_at(place) is not None:
        raise AlreadyStored("File", filename, "another result came at the same moment")


def _is_used(seen: Snapshot, place: FilePlace) -> bool:
    """Whether a recorded file has its bytes at a place, or at one that differs only in case.

    Some disks take both for one.
    """
    if seen.attachment_at(place) is not None:
        return True
    try:
        file = seen.file_named(place.index, parse_filename(place.filename).key)
    except Refused:  # no name of ours
        return False
    return (
        file is not None
        and file.place.sha256_prefix == place.sha256_prefix
        and file.filename.lower() == place.filename.lower()
    )


def _look_up(seen: Snapshot, arrival: Checked, make_index: Index | None) -> DistFile | None:
    """The stored file, if it is the same; None if the file is to be stored.

    Raises NotStored for an index that is not there, Refused for one that does not take the file,
    and AlreadyStored for a name that keeps its bytes.
    """
    file = arrival.file
    index = open_index(seen.index(file.index) or make_index, file.index)
    stored = seen.file_named(file.index, file.key)
    if stored is not None and stored.sha256 == file.sha256:
        return stored
    check_open_project(seen, file.project, index, file.filename)
    strict = arrival.strict_archives
    if arrival.findings and (_is_strict(index) if strict is None else strict):
        raise _refused_when_strict(arrival.findings, index)
    if stored is None:
        return None
    if not index.settings.volatile:
        raise AlreadyStored(
            "File",
            file.filename,
            f"{file.index} holds it with other content and never replaces a file "
            "(volatile=False); upload the change under a new version",
        )
    return None


def _is_strict(index: Index) -> bool:
    return isinstance(index.settings, StageSettings) and index.settings.strict_archives


def _refused_when_strict(findings: tuple[Finding, ...], index: Index) -> Refused:
    more = f" (it breaks {len(findings) - 1} more rules)" if len(findings) > 1 else ""
    return findings[0].refusal(f"{more}; {index.name} would take it with strict_archives=False")
