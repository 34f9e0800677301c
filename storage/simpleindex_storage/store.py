"""The one door into an index: bytes are staged, then admitted, and all guards stand in between.

An upload, an upstream's file and a bundle's file come in by the same two calls. The promise, kept
at every moment and across crashes: a recorded file has its bytes, and bytes without a record are
invisible. So files are published first and recorded after; and forgotten first, then deleted.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import BinaryIO

from .errors import AlreadyStored, Damaged, NotStored, Refused, StoreError
from .faults import Finding
from .inspection import inspect
from .model import (
    Admitted,
    CoreMetadata,
    DistFile,
    Index,
    MirrorSettings,
    Outcome,
    ProjectStatus,
    Release,
    Sidecar,
    Staged,
    Upload,
)
from .names import DistFilename, FilePlace, parse_filename, parse_project_name, same_version
from .ports import Catalog, Change, Draft, Files, Snapshot
from .provenance import check_provenance, check_signature

_CLOSED = (ProjectStatus.ARCHIVED, ProjectStatus.QUARANTINED)


class Store:
    """Files and the catalog, kept in step. Blocks; may be called from any thread."""

    def __init__(self, files: Files, catalog: Catalog, now: Callable[[], datetime]) -> None:
        self._files = files
        self.catalog = catalog
        self._now = now

    def stage(self) -> AbstractContextManager[Draft]:
        """Receive bytes out of sight. Call `admit` inside the block to keep them."""
        return self._files.draft()

    def admit(
        self,
        arrivals: Sequence[tuple[Upload, Staged]],
        *,
        make_index: Index | None = None,
        strict_archives: bool | None = None,
    ) -> tuple[Admitted, ...]:
        """Check files, publish and record them: all of them, or none.

        `make_index` is created with the first file if it does not exist; `strict_archives` counts
        instead of the index's own setting. The same bytes again are fine, and change nothing. Once
        this returns, a crash or power cut loses nothing. Raises Refused, Damaged, AlreadyStored,
        NotStored (the index) and Unavailable; then nothing is left of any of the files.
        """
        checked = [self._check(upload, staged, strict_archives) for upload, staged in arrivals]
        with self.catalog.snapshot() as seen:  # saves the disk's work if it is to be refused
            known = [_look_up(seen, arrival, make_index) for arrival in checked]
        if all(known):
            return tuple(
                Admitted(file, Outcome.ALREADY_THERE) for file in known if file is not None
            )
        try:
            for arrival, same in zip(checked, known, strict=True):
                if same is None:
                    self._files.publish(arrival.staged, arrival.file.place, arrival.sidecars)
            admitted = self.catalog.change(
                lambda change: self._record(change, checked, make_index),
                who=arrivals[0][0].sender,
                what="upload",
            )
        except BaseException:
            self._withdraw(checked)
            raise
        if [entry.file.place for entry in admitted] != [it.file.place for it in checked]:
            self._withdraw(checked)  # somebody was faster, with another spelling of a name
        if any(entry.outcome is Outcome.REPLACED for entry in admitted):
            with suppress(
                StoreError
            ):  # what is left is kept in mind, and removed at the next start
                self.sweep()
        return admitted

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
        dropped = self.catalog.change(self._recover, who="", what="recover")
        with suppress(StoreError):  # a full disk must not keep anybody from reading
            self.sweep()
        return dropped

    def sweep(self) -> None:
        """Delete the files that were forgotten."""
        self.catalog.change(self._sweep, who="", what="sweep")

    def close(self) -> None:
        """Finish, and let go of everything."""
        self.catalog.close()
        self._files.close()

    def _check(self, upload: Upload, staged: Staged, strict_archives: bool | None) -> "_Checked":
        """Everything that can be said without looking at what is stored already."""
        filename = parse_filename(upload.filename)
        _check_digests(upload, staged)
        metadata, findings = inspect(staged.path, filename)  # first: it knows better what is wrong
        _check_said(upload, filename)
        sidecars = {Sidecar.METADATA: metadata.raw}
        if upload.signature is not None:
            check_signature(upload.signature, filename)
            sidecars[Sidecar.SIGNATURE] = upload.signature
        if upload.provenance is not None:
            check_provenance(upload.provenance, filename, staged.digests.sha256)
            sidecars[Sidecar.PROVENANCE] = upload.provenance
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
            uploaded_at=self._now(),
            uploaded_by=upload.sender,
            requires_python=metadata.requires_python,
            metadata_sha256=digests[Sidecar.METADATA],
            signature_sha256=digests.get(Sidecar.SIGNATURE),
            provenance_sha256=digests.get(Sidecar.PROVENANCE),
            findings=tuple(finding.rule for finding in findings),
        )
        return _Checked(upload, staged, metadata, sidecars, file, findings, strict_archives)

    def _record(
        self, change: Change, arrivals: "Sequence[_Checked]", make_index: Index | None
    ) -> tuple[Admitted, ...]:
        """The part that must be alone: decide, and write it down."""
        admitted = []
        for arrival in arrivals:
            file = arrival.file
            same = _look_up(change, arrival, make_index)
            if same is not None:
                admitted.append(Admitted(same, Outcome.ALREADY_THERE))
                continue
            if change.index(file.index) is None and make_index is not None:
                change.put_index(make_index)
            replaced = change.file_named(file.index, file.key)
            if replaced is not None:
                change.remove_file(replaced)
            self._files.confirm(arrival.staged, file.place, arrival.sidecars)
            fields = {**arrival.upload.fields, **arrival.metadata.fields}
            change.put_release(
                Release(file.index, file.project, file.version, fields), arrival.metadata.name
            )
            change.put_file(file)
            outcome = Outcome.ADDED if replaced is None else Outcome.REPLACED
            admitted.append(Admitted(file, outcome, arrival.remarks))
        return tuple(admitted)

    def _withdraw(self, arrivals: "Sequence[_Checked]") -> None:
        """Take back what was published and then not recorded."""

        def take_back(change: Change) -> None:
            with self._needed(change) as needs:
                for arrival in arrivals:
                    if not needs(arrival.file.place):
                        self._files.remove(arrival.file.place)

        try:
            self.catalog.change(take_back, who="", what="withdraw")
        except StoreError:
            for arrival in arrivals:
                self._files.leave(arrival.staged)

    def _recover(self, change: Change) -> int:
        with self._needed(change) as needs:
            return self._files.recover(needs)

    def _sweep(self, change: Change) -> None:
        with self._needed(change) as needs:
            for place in change.removals():
                if not needs(place):
                    self._files.remove(place)
                elif not _is_used(change, place):
                    continue  # its removal is still to be committed; the next sweep finds it
                change.forget_removal(place)

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
            project = seen.project(file.index, file.project)
        if project is not None and project.status is ProjectStatus.QUARANTINED:
            raise NotStored(f"file {place.filename}", "its project is quarantined")
        return file


@dataclass(frozen=True, slots=True)
class _Checked:
    """A file that may be stored, if its name is free."""

    upload: Upload
    staged: Staged
    metadata: CoreMetadata
    sidecars: Mapping[Sidecar, bytes]
    file: DistFile
    findings: tuple[Finding, ...]
    strict_archives: bool | None
    """Whether findings are refused, if that is not for the index to say."""

    @property
    def remarks(self) -> tuple[str, ...]:
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


def _is_used(seen: Snapshot, place: FilePlace) -> bool:
    """Whether a recorded file has its bytes at a place, or at one that differs only in case.

    Some disks take both for one.
    """
    try:
        file = seen.file_named(place.index, parse_filename(place.filename).key)
    except Refused:  # no name of ours
        return False
    return (
        file is not None
        and file.place.sha256_prefix == place.sha256_prefix
        and file.filename.lower() == place.filename.lower()
    )


def _look_up(seen: Snapshot, arrival: _Checked, make_index: Index | None) -> DistFile | None:
    """The stored file, if it is the same; None if the file is to be stored.

    Raises NotStored for an index that is not there, Refused for one that does not take the file,
    and AlreadyStored for a name that keeps its bytes.
    """
    file = arrival.file
    index = seen.index(file.index) or make_index
    if index is None or index.name != file.index:
        raise NotStored(f"index {file.index}")
    if isinstance(index.settings, MirrorSettings):
        raise Refused(file.index, "this index mirrors another one and takes no uploads")
    stored = seen.file_named(file.index, file.key)
    if stored is not None and stored.sha256 == file.sha256:
        return stored
    project = seen.project(file.index, file.project)
    if project is not None and project.status in _CLOSED:
        raise Refused(
            file.filename,
            f"the project {project.name} is {project.status} in {file.index} and takes no files "
            "(PEP 792); it would have to be active again",
        )
    strict = arrival.strict_archives
    if arrival.findings and (index.settings.strict_archives if strict is None else strict):
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


def _refused_when_strict(findings: tuple[Finding, ...], index: Index) -> Refused:
    more = f" (it breaks {len(findings) - 1} more rules)" if len(findings) > 1 else ""
    return findings[0].refusal(f"{more}; {index.name} would take it with strict_archives=False")
