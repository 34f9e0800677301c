"""One project of a dump: its files, and what belongs to them."""

import hashlib
import shutil
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from simpleindex.access import ROOT_AT_CONSOLE
from simpleindex_storage.documentation import check_documentation
from simpleindex_storage.errors import AlreadyStored, Damaged, NotStored, Refused
from simpleindex_storage.inspection import inspect
from simpleindex_storage.model import (
    Attachment,
    AttachmentKind,
    DistFile,
    Outcome,
    Project,
    Release,
    Staged,
    Upload,
)
from simpleindex_storage.names import FilePlace, IndexName, ProjectName, parse_filename
from simpleindex_storage.ports import Change, Snapshot
from simpleindex_storage.store import Store

from .folder import member
from .records import DumpedAttachment, DumpedFile, DumpedProject
from .report import WHAT, Done, Options

_FILES_AT_A_TIME = 100
"""Of one project, in one commit."""
_READ_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class ProjectWork:
    """One project of one index."""

    store: Store
    folder: Path
    options: Options
    index: IndexName
    project: DumpedProject
    progress: Callable[[], None]
    done: Done = field(default_factory=Done)

    @property
    def name(self) -> ProjectName:
        """Normalised."""
        return self.project.name

    def do(self) -> Done:
        """All of it: files first, then what belongs to them, then what is said of the whole."""
        missing = self._missing_files()
        for start in range(0, len(missing), _FILES_AT_A_TIME):
            self._take_files(missing[start : start + _FILES_AT_A_TIME])
        self._take_bare_releases()
        for attachment in self.project.attachments:
            self._take_attachment(attachment)
        self._take_facts()
        return self.done

    def _missing_files(self) -> list[DumpedFile]:
        with self.store.catalog.snapshot() as seen:
            known = {file.key: file for file in seen.files(self.index, self.name)}
        missing = []
        for dumped in self.project.files:
            file = known.get(parse_filename(dumped.filename).key)
            if file is None:
                missing.append(dumped)
                continue
            if self._is_same(dumped, file):
                self.done.counts.files[Outcome.ALREADY_THERE] += 1
            else:
                self.done.lost(
                    dumped.relpath, f"{self.index} has other bytes under this name, and keeps them"
                )
            self.progress()
        return missing

    def _is_same(self, dumped: DumpedFile, file: DistFile) -> bool:
        digests = {"sha256": file.sha256, "md5": file.md5}
        for algorithm in digests.keys() & dumped.promised.keys():
            return dumped.promised[algorithm] == digests[algorithm]
        try:
            with member(self.folder, dumped.relpath).open("rb") as content:
                return hashlib.file_digest(content, "sha256").hexdigest() == file.sha256
        except (Refused, OSError):
            return True  # it was taken, and is gone from the dump since

    def _take_files(self, files: Sequence[DumpedFile]) -> None:
        """All at once; if one is refused, each for itself."""
        try:
            outcomes = self._look_at(files) if self.options.is_dry_run else self._admit(files)
        except (Refused, Damaged, AlreadyStored, NotStored, OSError) as error:
            if len(files) > 1:
                for file in files:
                    self._take_files([file])
                return
            self._refuse(files[0], error)
            outcomes = []
        self.done.counts.files.update(outcomes)
        for _ in files:
            self.progress()

    def _admit(self, files: Sequence[DumpedFile]) -> list[Outcome]:
        with ExitStack() as drafts:
            arrivals = [self._arrival(file, drafts) for file in files]
            admitted = self.store.admit(
                arrivals, by=ROOT_AT_CONSOLE, strict_archives=False, what=WHAT
            )
        return [each.outcome for each in admitted]

    def _arrival(self, file: DumpedFile, drafts: ExitStack) -> tuple[Upload, Staged]:
        path = member(self.folder, file.relpath)
        upload = Upload(
            index=self.index,
            filename=file.filename,
            sender=file.uploaded_by,
            name=self.name,
            promised=file.promised,
            fields=file.fields,
            signature=self._beside(file, ".asc") if file.has_signature else None,
            provenance=self._beside(file, ".provenance") if file.has_provenance else None,
            uploaded_at=file.uploaded_at or _modified_at(path),
            yanked=file.yanked,
            log=file.log,
        )
        return upload, self._stage(path, drafts)

    def _beside(self, file: DumpedFile, ending: str) -> bytes:
        return member(self.folder, file.relpath + ending).read_bytes()

    def _stage(self, path: Path, drafts: ExitStack) -> Staged:
        with path.open("rb") as content:
            draft = drafts.enter_context(self.store.stage())
            while chunk := content.read(_READ_BYTES):
                draft.write(chunk)
        return draft.finish()

    def _look_at(self, files: Sequence[DumpedFile]) -> list[Outcome]:
        """All that can be said without a store."""
        for file in files:
            path, filename = member(self.folder, file.relpath), parse_filename(file.filename)
            for algorithm, promised in file.promised.items():
                with path.open("rb") as content:
                    actual = hashlib.file_digest(content, algorithm).hexdigest()
                if actual != promised:
                    raise Damaged(file.filename, algorithm, promised, actual)
            if filename.project != self.name:
                raise Refused(file.filename, f"its name is not one of the project {self.name}")
            inspect(path, filename)
        return [Outcome.ADDED] * len(files)

    def _refuse(self, file: DumpedFile, error: Exception) -> None:
        sentence = str(error).removeprefix(f"{file.filename}: ")
        self.done.lost(file.relpath, sentence.removeprefix(f"{file.relpath}: "))
        keep = self.options.keep_refused
        if keep is not None and not self.options.is_dry_run:
            try:
                source = member(self.folder, file.relpath)
            except Refused:
                return  # there is nothing to keep
            target = keep / file.relpath
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)

    def _take_bare_releases(self) -> None:
        with self.store.catalog.snapshot() as seen:
            missing = [
                bare
                for bare in self.project.bare_releases
                if seen.release(self.index, self.name, bare.version) is None
            ]
        there = len(self.project.bare_releases) - len(missing)
        self.done.counts.releases[Outcome.ALREADY_THERE] += there
        if not missing:
            return

        def work(change: Change) -> bool:
            if change.index(self.index) is None:
                return False
            for bare in missing:
                release = Release(self.index, self.name, bare.version, bare.fields)
                change.put_release(release, bare.display_name)
            return True

        taken = self.options.is_dry_run or self.store.catalog.change(
            work, by=ROOT_AT_CONSOLE, what=WHAT
        )
        self.done.counts.releases[Outcome.ADDED] += len(missing) if taken else 0

    def _take_attachment(self, dumped: DumpedAttachment) -> None:
        try:
            path = member(self.folder, dumped.relpath)
            if self._is_there(dumped):
                outcome = Outcome.ALREADY_THERE
            elif self.options.is_dry_run:
                outcome = Outcome.ADDED
            else:
                with ExitStack() as drafts:
                    outcome = self._attach(dumped, path, self._stage(path, drafts))
            self.done.counts.attachments[outcome] += 1
        except (Refused, Damaged, AlreadyStored, NotStored, OSError) as error:
            self.done.lost(dumped.relpath, str(error).removeprefix(f"{dumped.relpath}: "))

    def _is_there(self, dumped: DumpedAttachment) -> bool:
        """Whether that can be said without reading it."""
        with self.store.catalog.snapshot() as seen:
            known = seen.attachments(self.index, self.name)
        return any(
            each.place.filename == dumped.filename
            and each.sha256 == dumped.promised.get("sha256")
            and each.kind is dumped.kind
            for each in known
        )

    def _attach(self, dumped: DumpedAttachment, path: Path, staged: Staged) -> Outcome:
        for algorithm, promised in dumped.promised.items():
            actual = getattr(staged.digests, algorithm)
            if actual != promised:
                raise Damaged(dumped.relpath, algorithm, promised, actual)
        if dumped.kind is AttachmentKind.DOCUMENTATION:
            check_documentation(staged.path, dumped.filename)
        with self.store.catalog.snapshot() as seen:
            attachment = self._attachment(seen, dumped, path, staged)
            known = seen.attachment_at(attachment.place) or _documentation_of(seen, attachment)
        if known is None:
            return self.store.attach(attachment, staged, by=ROOT_AT_CONSOLE)
        if known.sha256 == attachment.sha256:
            return Outcome.ALREADY_THERE
        raise Refused(dumped.relpath, f"{self.index} has another one, and keeps it")

    def _attachment(
        self, seen: Snapshot, dumped: DumpedAttachment, path: Path, staged: Staged
    ) -> Attachment:
        prefix, version, key = staged.digests.sha256[:16], dumped.version, None
        if dumped.kind is AttachmentKind.TOX_RESULT:
            file = seen.file_named(self.index, parse_filename(dumped.about).key)
            if file is None:
                raise NotStored(f"file {dumped.about}, which was tested,")
            prefix, version, key = file.place.sha256_prefix, file.version, file.key
        return Attachment(
            kind=dumped.kind,
            index=self.index,
            project=self.name,
            version=version,
            place=FilePlace(self.index, prefix, dumped.filename),
            size_bytes=staged.size_bytes,
            sha256=staged.digests.sha256,
            uploaded_at=dumped.uploaded_at or _modified_at(path),
            uploaded_by=dumped.uploaded_by,
            file_key=key,
            log=dumped.log,
        )

    def _take_facts(self) -> None:
        """What we ourselves knew of the project; after the files, which a status may forbid."""
        facts = self.project.facts
        if facts is None or self.options.is_dry_run:
            return

        def work(change: Change) -> None:
            known = change.project(self.index, self.name)
            if known is None:
                return
            releases = change.releases(self.index, self.name)
            if known.display_name != facts.display_name and releases:
                change.put_release(releases[-1], facts.display_name)
            wanted = Project(
                self.index, self.name, facts.display_name, 0, facts.status, facts.status_reason
            )
            if (known.status, known.status_reason) != (wanted.status, wanted.status_reason):
                change.mark_project(wanted)

        with self.store.catalog.snapshot() as seen:
            known = seen.project(self.index, self.name)
        if known is not None and replace(known, serial=0) != replace(facts, serial=0):
            self.store.catalog.change(work, by=ROOT_AT_CONSOLE, what=WHAT)


def _documentation_of(seen: Snapshot, wanted: Attachment) -> Attachment | None:
    """What a release has already; it has its documentation once."""
    if wanted.kind is not AttachmentKind.DOCUMENTATION:
        return None
    for attachment in seen.attachments(wanted.index, wanted.project):
        if attachment.kind is wanted.kind and attachment.version == wanted.version:
            return attachment
    return None


def _modified_at(path: Path) -> datetime:
    return datetime.fromtimestamp(path.stat().st_mtime, UTC)
