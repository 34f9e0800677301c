"""A push to another index of the same server. Blocks."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from typing import BinaryIO

from simpleindex.pushing.cargo import Cargo, Step
from simpleindex.releases import keep_result_as
from simpleindex_storage.durable import unavailable_on_failure
from simpleindex_storage.errors import AlreadyStored
from simpleindex_storage.model import (
    Actor,
    Admitted,
    Attachment,
    DistFile,
    Event,
    LogEntry,
    Outcome,
    Sidecar,
    Staged,
    Upload,
)
from simpleindex_storage.names import FilePlace, IndexName
from simpleindex_storage.ports import Change
from simpleindex_storage.store import Store

_COPY_BYTES = 1 << 20


def push(store: Store, cargo: Cargo, target: IndexName, *, by: Actor, when: datetime) -> list[Step]:
    """Bring a release into another index: its files all together, or not at all.

    The files share their bytes with those they come from, and bring along their history, yanks,
    signatures and provenance. What is said of the release, results of tests and documentation
    follow once the files are in. What is there with the same bytes already stays as it is. Raises
    NotStored, Refused, AlreadyStored and Unavailable.
    """
    _check_documentation(store, cargo, target)
    trip = _Trip(
        store, cargo, target, by, LogEntry(Event.PUSH, by.name or None, when, cargo.index, target)
    )
    admitted = trip.bring_files()
    steps = [Step(200, ("register", cargo.display_name, cargo.version, "->", target))]
    for file, arrived in zip(cargo.files, admitted, strict=True):
        steps.append(Step(200, ("store_releasefile", arrived.file.place.path, *_remark(arrived))))
        steps += [
            Step(200, ("store_toxresult", trip.bring_result(result, file, arrived.file).path))
            for result in cargo.results
            if result.file_key == file.key
        ]
    for documentation in cargo.documentation:
        trip.bring_documentation(documentation)
        words = ("store_doczip", cargo.display_name, documentation.version, "->", target)
        steps.append(Step(200, words))
    trip.tell_what_is_said()
    return steps


@dataclass(frozen=True, slots=True)
class _Trip:
    """The way of one release."""

    store: Store
    cargo: Cargo
    target: IndexName
    by: Actor
    entry: LogEntry
    """What all that arrives has in its history from now on."""

    def bring_files(self) -> tuple[Admitted, ...]:
        if not self.cargo.files:
            return ()
        with ExitStack() as drafts:
            arrivals: list[tuple[Upload, Staged]] = []
            for file in self.cargo.files:
                staged = drafts.enter_context(self.store.stage_copy(file))
                arrivals.append((self._upload(file), staged))
            return self.store.admit(arrivals, by=self.by, what="push")

    def bring_result(self, result: Attachment, file: DistFile, arrived: DistFile) -> FilePlace:
        """Put a result beside the file that arrived; where it lies there."""
        ending = result.place.filename.removeprefix(file.filename)
        with self.store.catalog.snapshot() as seen:
            for known in seen.attachments(self.target, arrived.project):
                if known.file_key == arrived.key and known.sha256 == result.sha256:
                    return known.place
        _, opened = self.store.open_attachment(result.place)
        return keep_result_as(
            self.store,
            arrived,
            ending[: ending.rfind("-") + 1],
            _whole(result.place.filename, opened),
            by=self.by,
            when=result.uploaded_at,
            log=self._log(result.log),
        ).place

    def bring_documentation(self, documentation: Attachment) -> None:
        place = replace(documentation.place, index=self.target)
        arriving = replace(
            documentation,
            index=self.target,
            place=place,
            uploaded_by=self.by.name,
            log=self._log(documentation.log),
        )
        _, opened = self.store.open_attachment(documentation.place)
        with opened as content, self.store.stage() as draft:
            with unavailable_on_failure(f"{place.filename} cannot be read"):
                while block := content.read(_COPY_BYTES):
                    draft.write(block)
            self.store.attach(arriving, draft.finish(), by=self.by)

    def tell_what_is_said(self) -> None:
        """Let the release say in the target what it says in the source, even by registration."""
        arriving = [replace(each, index=self.target) for each in self.cargo.releases]

        def work(change: Change) -> None:
            for release in arriving:
                known = change.release(self.target, release.project, release.version)
                project = change.project(self.target, release.project)
                named = project is not None and project.display_name == self.cargo.display_name
                # Only what came: another spelling of the version need not have brought anything.
                if known is not None and not (named and known.fields == release.fields):
                    change.put_release(release, self.cargo.display_name)

        self.store.catalog.change(work, by=self.by, what="push")

    def _upload(self, file: DistFile) -> Upload:
        return Upload(
            index=self.target,
            filename=file.filename,
            sender=self.by.name,
            fields=self.cargo.said_of(file.version).fields,
            signature=self._beside(file, Sidecar.SIGNATURE),
            provenance=self._beside(file, Sidecar.PROVENANCE),
            uploaded_at=file.uploaded_at,
            yanked=file.yanked,
            log=self._log(file.log),
        )

    def _beside(self, file: DistFile, sidecar: Sidecar) -> bytes | None:
        if file.sha256_of(sidecar) is None:
            return None
        _, opened = self.store.open_sidecar(file.place, sidecar)
        return _whole(f"{file.filename}{sidecar}", opened)

    def _log(self, before: tuple[LogEntry, ...]) -> tuple[LogEntry, ...]:
        """devpi leaves out what was overwritten in the source: nothing was in the target."""
        return (*(each for each in before if each.what is not Event.OVERWRITE), self.entry)


def _whole(name: str, opened: BinaryIO) -> bytes:
    """The content of an opened file, which is closed. Raises Unavailable."""
    with opened, unavailable_on_failure(f"{name} cannot be read"):
        return opened.read()


_REMARKS: Mapping[Outcome, tuple[str, ...]] = {Outcome.ALREADY_THERE: ("(already there)",)}


def _remark(admitted: Admitted) -> tuple[str, ...]:
    return _REMARKS.get(admitted.outcome, ())


def _check_documentation(store: Store, cargo: Cargo, target: IndexName) -> None:
    """Refuse before anything has come what would be refused at the end."""
    with store.catalog.snapshot() as seen:
        index = seen.index(target)
        if index is None or index.settings.volatile:
            return
        kept = {
            each.version: each.sha256
            for each in seen.attachments(target, cargo.project)
            if each.file_key is None
        }
    for documentation in cargo.documentation:
        if kept.get(documentation.version, documentation.sha256) != documentation.sha256:
            raise AlreadyStored(
                "File",
                documentation.place.filename,
                f"{target} never replaces documentation (volatile=False); push without it",
            )
